//! Processes that are killed while they drain: this test's own binary, run once more as a child.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_post_mortem::PostMortem;
use ebbtide_tokio::Service;
use tempfile::tempdir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child that plays `role` and says a line at each step.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn run(role: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "child", "--nocapture"])
            .env("ROLE", role)
            .env("STATE_DIRECTORY", folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test's own binary");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// Waits for a line that has this word, and returns what stands behind it.
    fn says(&mut self, word: &str) -> String {
        let mut lines = self.lines.by_ref().map(|line| line.expect("text"));
        let said = lines.find_map(|line| line.split_once(word).map(|(_, rest)| rest.to_owned()));
        said.unwrap_or_else(|| panic!("the child ended without saying {word:?}"))
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Kills it once its file has this word; returns its number.
    fn kill_when_its_file_says(mut self, word: &str, folder: &Path) -> u32 {
        // One that is not yet written to its end has the extension `new`.
        let files = || std::fs::read_dir(folder).expect("the folder").map(|it| it.expect("a file").path());
        let files = || files().filter(|it| it.extension().is_none());
        let text = || files().filter_map(|it| std::fs::read_to_string(it).ok()).collect::<String>();
        // The child ends by itself when it has waited too long.
        while !text().contains(word) {
            assert!(self.child.try_wait().expect("a child").is_none(), "it has ended, and said {:?}", text());
            thread::sleep(Duration::from_millis(5));
        }
        self.send("-KILL");
        assert_eq!(self.child.wait().expect("a child").signal(), Some(9));
        self.child.id()
    }

    fn ends_well(mut self) {
        assert!(self.child.wait().expect("a child").success());
    }
}

/// What the next start says, in the folder that it leaves.
fn next_start(folder: &Path) -> Vec<String> {
    let mut start = Process::run("starts", folder);
    let said = start.lines.by_ref().map(|line| line.expect("text"));
    let said = said.filter_map(|line| line.split_once("told: ").map(|(_, rest)| rest.to_owned())).collect();
    start.ends_well();
    said
}

/// Not a test by itself: what the children run.
#[test]
fn child() {
    let Ok(role) = std::env::var("ROLE") else { return };
    // What never comes fails the test that waits for it, and leaves nothing behind.
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        std::process::exit(3);
    });
    let post_mortem = PostMortem::in_state_directory().expect("it is set");
    let (until_here, ended) = channel::<()>();
    let post_mortem = post_mortem.on_event(move |event| {
        let _ = &until_here;
        println!("told: {event}");
    });
    match role.as_str() {
        "starts" => {
            drop(post_mortem.record(&Drain::new()));
            // On a machine that is busy, the drop may not have waited for all that is told.
            let _disconnected = ended.recv();
        }
        "drains" => {
            let drain = Drain::new();
            let guards =
                [drain.watcher().labelled("GET /report"), drain.watcher().labelled("GET /report"), drain.guard()];
            let _recorder = post_mortem.record(&drain);
            drop(drain.start_because("SIGTERM"));
            thread::park();
            drop(guards);
        }
        "serves" => serve(post_mortem, None),
        "serves, and is cut" => serve(post_mortem, Some(Duration::from_millis(50))),
        other => panic!("no role {other}"),
    }
}

#[tokio::main]
async fn serve(post_mortem: PostMortem, deadline: Option<Duration>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("at {}", listener.local_addr().expect("an address"));
    let service = Service::new()
        .deadline(deadline.unwrap_or(Duration::from_secs(30)))
        .serve("api", listener, |mut stream: TcpStream, guard: ebbtide::Guard| async move {
            let _request = guard.labelled("GET /report");
            println!("accepted");
            // Up to the client's end.
            stream.read(&mut [0]).await.map(drop)
        })
        .then()
        .task("mailer", |part| async move { part.watcher().await });
    let _recorder = post_mortem.record_service(&service);
    println!("outcome {}", service.run().await);
}

#[test]
fn the_next_start_names_what_a_killed_drain_held() {
    let folder = tempdir().unwrap();
    let child = Process::run("drains", folder.path());
    let pid = child.kill_when_its_file_says("\nend\n", folder.path());
    let said = next_start(folder.path());
    assert_eq!(said.len(), 1, "{said:?}");
    let what = said[0].strip_prefix(&format!("the last drain of process {pid} was killed after "));
    let what = what.and_then(|it| it.split_once(" s (SIGTERM) ")).unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(what.1, "while holding: 2 x GET /report, 1 guard without a label");
    assert!(next_start(folder.path()).is_empty(), "it is told once");
}

#[test]
fn the_next_start_of_a_service_names_the_part_that_was_waited_for_and_what_it_held() {
    let folder = tempdir().unwrap();
    let mut child = Process::run("serves", folder.path());
    let address = child.says("at ");
    let client = std::net::TcpStream::connect(address).unwrap();
    child.says("accepted");
    child.send("-TERM");
    let pid = child.kill_when_its_file_says("GET /report", folder.path());
    let said = next_start(folder.path());
    assert!(said.len() == 1 && said[0].contains(&format!("process {pid} was killed")), "{said:?}");
    let what = said[0].split_once(" (SIGTERM, deadline 30.0 s) while holding: ").map(|(_, what)| what);
    // The connection has a guard, too, which is labelled as its client.
    let mut what: Vec<_> = what.unwrap_or_default().split(", ").collect();
    what.sort_unstable();
    assert!(what.len() == 2 && what[0].starts_with("api: 127.0.0.1:") && what[1] == "api: GET /report", "{said:?}");
    drop(client);
}

#[test]
fn a_drain_whose_outcome_was_told_leaves_nothing_whatever_it_has_cut() {
    let folder = tempdir().unwrap();
    let mut child = Process::run("serves, and is cut", folder.path());
    let client = std::net::TcpStream::connect(child.says("at ")).unwrap();
    child.says("accepted");
    child.send("-TERM");
    let outcome = child.says("outcome ");
    assert!(outcome.contains("closed by force") && outcome.contains("GET /report"), "{outcome}");
    child.ends_well();
    assert!(next_start(folder.path()).is_empty());
    drop(client);
}

#[test]
fn instances_that_share_a_folder_tell_only_of_the_one_that_was_killed() {
    let folder = tempdir().unwrap();
    let mut lives = Process::run("serves", folder.path());
    let client = std::net::TcpStream::connect(lives.says("at ")).unwrap();
    lives.says("accepted");
    lives.send("-TERM");
    let killed = Process::run("drains", folder.path());
    let pid = killed.kill_when_its_file_says("2 x GET /report", folder.path());
    let said = next_start(folder.path());
    assert!(said.len() == 1 && said[0].contains(&format!("process {pid} was killed")), "{said:?}");
    drop(client);
    lives.says("outcome ");
    lives.ends_well();
}
