//! A main listener that whoever started this process has opened: systemd, or another parent.

use std::env;
use std::ffi::{OsStr, OsString};
use std::net::TcpListener;

use listenfd::ListenFd;

use crate::output;

/// The listener that the environment names.
///
/// Takes the variables out of the environment, so it is for the beginning of a process, before there are threads.
///
/// # Errors
///
/// One line that says what is wrong with what was passed.
pub fn main_listener() -> Result<Option<TcpListener>, String> {
    let said = Said::by_environment();
    let at = match said.main(std::process::id())? {
        Main::Passed(at) => at,
        Main::OfAnother(process) => {
            output::complain(format!(
                "server: LISTEN_PID: sockets were passed to process {process}, and not to this one"
            ));
            return Ok(None);
        }
        Main::None => return Ok(None),
    };
    let refused =
        |error| format!("LISTEN_FDS: of the inherited descriptors, number {} is no TCP listener: {error}", at + 1);
    match ListenFd::from_env().take_tcp_listener(at) {
        Ok(Some(listener)) if listens(&listener) => Ok(Some(listener)),
        Ok(Some(_)) => Err(refused("it does not listen".to_owned())),
        Ok(None) => Err(refused("it was not passed".to_owned())),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Whether a TCP socket listens, as far as this platform tells.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn listens(socket: &TcpListener) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(true)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn listens(_: &TcpListener) -> bool {
    true
}

/// What the environment says of sockets that were passed: `sd_listen_fds(3)`. A variable that is not there is `None`.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// `LISTEN_FDS`: how many they are.
    pub count: Option<OsString>,
    /// `LISTEN_PID`: for which process. Without it they are for anyone.
    pub process: Option<OsString>,
    /// `LISTEN_FDS_FIRST_FD`, which is `listenfd`'s: the first of them, if that is not 3.
    pub first: Option<OsString>,
    /// `LISTEN_FDNAMES`: a name for each, of which ours is `main`. Without names ours is the first.
    pub names: Option<OsString>,
}

/// Where among them the main listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Main {
    /// Nowhere: nothing was passed.
    None,
    /// Nowhere: what was passed was for that process, whose environment this one has inherited.
    OfAnother(u32),
    /// So many are before it.
    Passed(usize),
}

/// No process has more descriptors: Linux's `fs.nr_open`, unless that was raised. `listenfd` makes a list of as many as are said.
const MOST: i32 = 1 << 20;

impl Said {
    fn by_environment() -> Self {
        Self {
            count: env::var_os("LISTEN_FDS"),
            process: env::var_os("LISTEN_PID"),
            first: env::var_os("LISTEN_FDS_FIRST_FD"),
            names: env::var_os("LISTEN_FDNAMES"),
        }
    }

    /// Where the main listener is, for a process of this number.
    ///
    /// # Errors
    ///
    /// One line that names the variable that is wrong. What was passed and cannot be told is an error, and no reason to
    /// listen elsewhere.
    pub fn main(&self, process: u32) -> Result<Main, String> {
        let Some(count) = &self.count else { return Ok(Main::None) };
        if let Some(said) = self.process.as_deref().filter(|it| !it.is_empty()) {
            let said = number(said, 1..=i32::MAX).ok_or_else(|| wrong("LISTEN_PID", said, "no process"))?;
            if said.unsigned_abs() != process {
                return Ok(Main::OfAnother(said.unsigned_abs()));
            }
        }
        let count = number(count, 1..=MOST).ok_or_else(|| wrong("LISTEN_FDS", count, "no number of descriptors"))?;
        if let Some(first) = &self.first {
            // The first three are the standard streams'.
            number(first, 3..=MOST).ok_or_else(|| wrong("LISTEN_FDS_FIRST_FD", first, "no descriptor"))?;
        }
        let Some(names) = self.names.as_deref().filter(|it| !it.is_empty()) else { return Ok(Main::Passed(0)) };
        let names: Vec<_> = names.as_encoded_bytes().split(|byte| *byte == b':').collect();
        if i32::try_from(names.len()) != Ok(count) {
            return Err(format!("LISTEN_FDNAMES: {} names for {count} inherited sockets", names.len()));
        }
        let at = names.iter().position(|name| *name == b"main");
        let at = at.ok_or("LISTEN_FDNAMES: none of the inherited sockets is called main")?;
        Ok(Main::Passed(at))
    }
}

/// For what puts it to any environment.
impl Said {
    /// The four variables in this order, with NUL between them: what no variable has in it. A `-` is one that is not there.
    #[cfg(unix)]
    #[must_use]
    pub fn by_bytes(bytes: &[u8]) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let mut values =
            bytes.split(|byte| *byte == 0).map(|it| (it != b"-").then(|| OsStr::from_bytes(it).to_owned()));
        let mut next = || values.next().flatten();
        Self { count: next(), process: next(), first: next(), names: next() }
    }

    /// What must hold of any answer.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn check(&self, process: u32) -> Result<(), String> {
        let said = |it: &Option<OsString>| it.as_deref().and_then(OsStr::to_str).and_then(|it| it.parse::<i128>().ok());
        let holds = match self.main(process) {
            Ok(Main::None) => self.count.is_none(),
            Ok(Main::OfAnother(other)) => other != process && said(&self.process) == Some(other.into()),
            Ok(Main::Passed(at)) => {
                let (first, end) = (said(&self.first).unwrap_or(3), said(&self.count).unwrap_or(0));
                let names = self.names.as_deref().unwrap_or_default().as_encoded_bytes();
                let name = names.split(|byte| *byte == b':').nth(at);
                // What listenfd counts with: a list that has memory, and descriptors that are some.
                (0..end).contains(&(at as i128))
                    && first >= 3
                    && first + end <= 2 * i128::from(MOST)
                    && (name == Some(b"main") || names.is_empty() && at == 0)
            }
            // A line for the operator, whatever is in it.
            Err(error) => error.starts_with("LISTEN_") && !error.contains(char::is_control),
        };
        if holds { Ok(()) } else { Err(format!("{:?} of {self:?}", self.main(process))) }
    }
}

fn number(said: &OsStr, valid: std::ops::RangeInclusive<i32>) -> Option<i32> {
    said.to_str()?.parse().ok().filter(|it| valid.contains(it))
}

fn wrong(variable: &str, said: &OsStr, what: &str) -> String {
    format!("{variable}: {said:?} is {what}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn said(count: &str, process: &str, first: &str, names: &str) -> Said {
        let some = |it: &str| (it != "-").then(|| it.into());
        Said { count: some(count), process: some(process), first: some(first), names: some(names) }
    }

    #[test]
    fn what_is_passed_is_found() {
        for (fds, pid, first, names, main) in [
            ("-", "-", "-", "-", Main::None),
            ("-", "7", "-", "main", Main::None),
            ("1", "7", "-", "-", Main::Passed(0)),
            ("2", "7", "-", "", Main::Passed(0)),
            ("2", "-", "-", "admin:main", Main::Passed(1)),
            ("2", "", "10", "main:", Main::Passed(0)),
            // Inherited by a child of the process that they were for: not for us to judge.
            ("1", "8", "-", "main", Main::OfAnother(8)),
            ("nonsense", "8", "-", "main", Main::OfAnother(8)),
        ] {
            let said = said(fds, pid, first, names);
            assert_eq!(said.main(7), Ok(main), "{said:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error_that_names_the_variable() {
        for (fds, pid, first, names, variable) in [
            ("", "7", "-", "-", "LISTEN_FDS"),
            ("0", "7", "-", "-", "LISTEN_FDS"),
            ("-1", "7", "-", "-", "LISTEN_FDS"),
            (" 1", "7", "-", "-", "LISTEN_FDS"),
            ("1\n", "7", "-", "-", "LISTEN_FDS"),
            ("0x1", "7", "-", "-", "LISTEN_FDS"),
            ("2147483647", "7", "-", "-", "LISTEN_FDS"),
            ("4294967297", "7", "-", "-", "LISTEN_FDS"),
            ("99999999999", "7", "-", "-", "LISTEN_FDS"),
            ("1", "-7", "-", "-", "LISTEN_PID"),
            ("1", "0", "-", "-", "LISTEN_PID"),
            ("1", "7x", "-", "-", "LISTEN_PID"),
            ("1", "4294967303", "-", "-", "LISTEN_PID"),
            ("1", "7", "2", "-", "LISTEN_FDS_FIRST_FD"),
            ("1", "7", "-5", "-", "LISTEN_FDS_FIRST_FD"),
            ("1", "7", "", "-", "LISTEN_FDS_FIRST_FD"),
            ("2", "7", "2147483647", "-", "LISTEN_FDS_FIRST_FD"),
            ("1", "7", "-", "admin", "LISTEN_FDNAMES"),
            ("1", "7", "-", "admin:main", "LISTEN_FDNAMES"),
            ("2", "7", "-", "main", "LISTEN_FDNAMES"),
            ("1", "7", "-", "Main", "LISTEN_FDNAMES"),
        ] {
            let said = said(fds, pid, first, names);
            let error = said.main(7).expect_err(&format!("{said:?}"));
            assert!(error.starts_with(&format!("{variable}: ")) && !error.contains('\n'), "{error:?} of {said:?}");
        }
    }

    /// A fuzzer starts from these, and leaves here what it finds.
    #[test]
    fn what_was_ever_found_is_not_found_again() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/environment");
        let mut count = 0;
        for seed in fs::read_dir(seeds).expect("there are some") {
            let path = seed.expect("a file").path();
            assert_eq!(Said::by_bytes(&fs::read(&path).expect("a file")).check(7), Ok(()), "{}", path.display());
            count += 1;
        }
        assert!(count > 10);
    }
}
