//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::Error;
use crate::setup::{SUBJECTS, Setup, Subject};

pub(crate) const HELP: &str = "\
Restarts three replicas in turn behind a proxy, under load of mixed clients. No client may see it, and no proxy may hide it.

  ebbtide-rolling FOLDER-OF-THE-SERVERS [options]

  --server NAME     an example server, or grpc; more than once for more than one; all: every one
                    [server, server_smol_hyper, grpc]
  --setup NAME      haproxy, haproxy-http2, haproxy-grpc or nginx [all that the server can]
  --rounds N        how often each replica is restarted [2]
  --faster N        divides the times of examples/deploy and the lame duck time [1]
  --lame-duck-ms N  in place of the 5 s of examples/deploy; 0: none [5000]
  --kill            restarts by SIGKILL
  --control         wants it noticed, and by clients if it is by SIGKILL: a test of the test

Exit code: 0 nobody noticed, 1 somebody did (or nobody, with --control), 2 it could not be tried.";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) programs: PathBuf,
    pub(crate) subjects: Vec<&'static Subject>,
    pub(crate) setups: Vec<Setup>,
    pub(crate) rounds: u32,
    pub(crate) faster: u32,
    pub(crate) lame_duck: Duration,
    pub(crate) kill: bool,
    pub(crate) control: bool,
}

impl Options {
    /// `None` if the help was asked for.
    pub(crate) fn from_args() -> Result<Option<Self>, Error> {
        let mut options = Self {
            programs: PathBuf::new(),
            subjects: Vec::new(),
            setups: Vec::new(),
            rounds: 2,
            faster: 1,
            lame_duck: Duration::from_secs(5),
            kill: false,
            control: false,
        };
        let mut args = Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Value(folder) => options.programs = folder.into(),
                Arg::Long("server") => {
                    let name = args.value()?.string()?;
                    let known = options.subjects.len();
                    options.subjects.extend(SUBJECTS.iter().filter(|it| name == "all" || it.name == name));
                    if options.subjects.len() == known {
                        return Err(format!("there is no server {name}").into());
                    }
                }
                Arg::Long("setup") => options.setups.push(args.value()?.parse()?),
                Arg::Long("rounds") => options.rounds = args.value()?.parse()?,
                Arg::Long("faster") => options.faster = args.value()?.parse()?,
                Arg::Long("lame-duck-ms") => options.lame_duck = Duration::from_millis(args.value()?.parse()?),
                Arg::Long("kill") => options.kill = true,
                Arg::Long("control") => options.control = true,
                Arg::Long("help") => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        if options.programs.as_os_str().is_empty() || options.rounds == 0 || options.faster == 0 {
            return Err("a folder is needed, and numbers above zero; --help says more".into());
        }
        if options.subjects.is_empty() {
            options.subjects = SUBJECTS.iter().filter(|it| it.by_default).collect();
        }
        options.lame_duck /= options.faster;
        Ok(Some(options))
    }
}
