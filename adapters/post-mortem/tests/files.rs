//! Folders and files as a service meets them at its start and at its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ebbtide::{Drain, State};
use ebbtide_post_mortem::{Event, Holder, Oddity, PostMortem, Recorder, Trouble};
use tempfile::{TempDir, tempdir};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that does not live: no machine has this boot.
const DEAD: &str = include_str!("killed");

fn recorded(folder: &Path, drain: &Drain) -> (Recorder, Receiver<Event>) {
    let (told, events) = channel();
    let post_mortem = PostMortem::in_folder(folder).on_event(move |it| told.send(it).unwrap_or_default());
    (post_mortem.record(drain), events)
}

/// What a start finds, and nothing else is told.
fn found(folder: &Path) -> Vec<Event> {
    let drain = Drain::new();
    let (recorder, events) = recorded(folder, &drain);
    end(recorder, &events)
}

/// Ends the recording, and waits for the end of its thread. What it has told.
fn end(recorder: Recorder, events: &Receiver<Event>) -> Vec<Event> {
    drop(recorder);
    let mut told = Vec::new();
    loop {
        match events.recv_timeout(PATIENCE) {
            // On a machine that is busy the end of a test may come before that of the thread.
            Ok(Event::Trouble(Trouble::Slow { .. })) => {}
            Ok(event) => told.push(event),
            Err(RecvTimeoutError::Disconnected) => return told,
            Err(RecvTimeoutError::Timeout) => panic!("the thread does not end"),
        }
    }
}

fn folder() -> TempDir {
    tempdir().expect("a folder")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect()
}

/// Waits until the file is there.
fn file(folder: &Path) -> PathBuf {
    let until = Instant::now() + PATIENCE;
    loop {
        let file = files(folder).into_iter().find(|it| it.extension().is_none());
        match file {
            Some(file) => return file,
            None => assert!(Instant::now() < until, "no file"),
        }
        thread::yield_now();
    }
}

#[test]
fn a_drain_has_a_file_from_its_beginning_to_its_end() {
    let folder = folder();
    let drain = Drain::new();
    let upload = drain.watcher().labelled("upload");
    let (recorder, events) = recorded(folder.path(), &drain);
    assert!(files(folder.path()).is_empty());

    drop(drain.start_because("SIGTERM"));
    let text = fs::read_to_string(file(folder.path())).unwrap();
    assert!(text.contains("\ncause SIGTERM\n") && text.contains("\nheld - 1 x upload\n"), "{text}");

    drop(upload);
    assert!(end(recorder, &events).is_empty());
    assert!(files(folder.path()).is_empty());
}

#[test]
fn the_end_of_the_drain_removes_the_file_though_the_recorder_is_kept() {
    let folder = folder();
    let drain = Drain::new();
    let guard = drain.guard();
    let (_recorder, _events) = recorded(folder.path(), &drain);
    drop(drain.start());
    file(folder.path());
    drop(guard);
    let until = Instant::now() + PATIENCE;
    while !files(folder.path()).is_empty() {
        assert!(Instant::now() < until);
        thread::yield_now();
    }
}

#[test]
fn work_that_goes_on_after_a_forced_close_is_recorded_until_the_recorder_is_dropped() {
    let folder = folder();
    let drain = Drain::new();
    let guard = drain.watcher().labelled("blocked");
    let (recorder, events) = recorded(folder.path(), &drain);
    drop(drain.start());
    let file = file(folder.path());
    drain.close();
    let until = Instant::now() + PATIENCE;
    while !fs::read_to_string(&file).unwrap().contains("\nstate closed by force\nheld - 1 x blocked\n") {
        assert!(Instant::now() < until);
        // It is written once a second.
        thread::sleep(Duration::from_millis(10));
    }
    assert!(end(recorder, &events).is_empty());
    assert!(!file.exists());
    drop(guard);
}

#[test]
fn a_killed_drain_is_told_once_as_text_and_as_data() {
    let folder = folder();
    fs::write(folder.path().join("ebbtide-drain-812-1"), DEAD).unwrap();
    let events = found(folder.path());
    let [Event::Killed(killed)] = &events[..] else { panic!("{events:?}") };
    let holders = [("GET /report", 1, Some(Duration::from_millis(29_100))), ("upload", 2, None)];
    let of = |it: &Holder| (it.what().to_owned(), it.guards(), it.age());
    assert_eq!(
        killed.holders().iter().map(of).collect::<Vec<_>>(),
        holders.map(|(what, n, age)| (what.into(), n, age))
    );
    assert_eq!((killed.pid(), killed.cause(), killed.unlabelled(), killed.more()), (812, "SIGTERM", 1, 7));
    assert_eq!(killed.elapsed(), Duration::from_millis(29_800));
    assert_eq!(killed.deadline(), Some(Duration::from_secs(30)));
    assert!(!killed.was_closed());
    #[cfg(target_os = "linux")]
    assert_eq!(
        killed.to_string(),
        "the last drain of process 812 ended with its machine after 29.8 s (SIGTERM, deadline 30.0 s) while holding: \
         GET /report 29.1 s, 2 x upload, 7 more, 1 guard without a label",
    );
    assert!(found(folder.path()).is_empty());
}

#[test]
fn a_file_is_removed_only_when_it_was_told() {
    let folder = folder();
    let file = folder.path().join("ebbtide-drain-812-1");
    fs::write(&file, DEAD).unwrap();
    let (told, was_there) = channel();
    let drain = Drain::new();
    let found = file.clone();
    let recorder = PostMortem::in_folder(folder.path())
        .on_event(move |_| told.send(found.exists()).unwrap_or_default())
        .record(&drain);
    assert_eq!(was_there.recv_timeout(PATIENCE), Ok(true));
    drop(recorder);
    assert_eq!(was_there.into_iter().count(), 0);
    assert!(!file.exists());
}

#[test]
fn of_many_that_start_at_once_one_tells() {
    let folder = folder();
    fs::write(folder.path().join("ebbtide-drain-812-1"), DEAD).unwrap();
    let starts: Vec<_> = (0..16).map(|_| recorded(folder.path(), &Drain::new())).collect();
    let told: Vec<_> = starts.into_iter().flat_map(|(recorder, events)| end(recorder, &events)).collect();
    if cfg!(unix) {
        assert!(matches!(told[..], [Event::Killed(_)]), "{told:?}");
    }
}

#[test]
fn a_file_that_was_found_stays_if_nobody_is_told() {
    let folder = folder();
    let file = folder.path().join("ebbtide-drain-812-1");
    fs::write(&file, DEAD).unwrap();
    drop(PostMortem::in_folder(folder.path()).record(&Drain::new()));
    assert!(file.exists());
}

#[test]
fn files_of_other_programs_are_left_alone() {
    let folder = folder();
    fs::write(folder.path().join("postgres.pid"), "812").unwrap();
    fs::create_dir(folder.path().join("uploads")).unwrap();
    assert!(found(folder.path()).is_empty());
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn what_has_the_name_and_is_none_is_told_and_left_as_it_is() {
    let folder = folder();
    let path = |name: &str| folder.path().join(format!("ebbtide-drain-{name}"));
    fs::write(path("1-empty"), "").unwrap();
    fs::write(path("2-cut"), &DEAD[..200]).unwrap();
    fs::write(path("3-binary"), [0xff; 4096]).unwrap();
    fs::write(path("4-huge"), DEAD.repeat(4096)).unwrap();
    fs::create_dir(path("5-folder")).unwrap();
    let oddities = |events: Vec<Event>| {
        let oddity = |it| match it {
            Event::Trouble(Trouble::Odd { file, oddity }) => {
                (file.file_name().unwrap().to_str().unwrap()[14..].to_owned(), format!("{oddity:?}"))
            }
            other => panic!("{other}"),
        };
        events.into_iter().map(oddity).collect::<Vec<_>>()
    };
    let mut expected = vec![
        ("1-empty".to_owned(), format!("{:?}", Oddity::Garbage)),
        ("2-cut".into(), "Garbage".into()),
        ("3-binary".into(), "Garbage".into()),
        ("4-huge".into(), "TooLong".into()),
        ("5-folder".into(), "NoFile".into()),
    ];
    #[cfg(unix)]
    {
        // A link to a record that could be read, and a pipe that nobody writes to.
        fs::write(folder.path().join("elsewhere"), DEAD).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), path("6-link")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("7-pipe")).status().unwrap();
        assert!(made.success());
        expected.extend([("6-link".into(), "NoFile".into()), ("7-pipe".into(), "NoFile".into())]);
    }
    let before = files(folder.path()).len();
    assert_eq!(oddities(found(folder.path())), expected);
    assert_eq!(files(folder.path()).len(), before);
}

#[test]
fn the_file_of_a_process_that_lives_is_no_kill() {
    let folder = folder();
    let drain = Drain::new();
    let guard = drain.guard();
    let (recorder, _events) = recorded(folder.path(), &drain);
    drop(drain.start());
    let file = file(folder.path());
    assert!(found(folder.path()).is_empty());
    assert!(file.exists());
    drop((guard, recorder));
}

#[test]
fn a_missing_folder_is_told_and_the_drain_ends_as_without_it() {
    let folder = folder();
    let missing = folder.path().join("not-mounted");
    let drain = Drain::new();
    let guard = drain.guard();
    let (recorder, events) = recorded(&missing, &drain);
    assert!(matches!(events.recv_timeout(PATIENCE), Ok(Event::Trouble(Trouble::Folder { .. }))));
    drop(drain.start());
    let write = events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(write, Event::Trouble(Trouble::Write { .. })));
    assert!(write.to_string().contains("not-mounted/ebbtide-drain-"), "{write}");
    // It is tried again each second, and told once: there is no event to wait for.
    assert!(events.recv_timeout(Duration::from_millis(1_500)).is_err());
    drop(guard);
    assert_eq!(drain.state(), State::Closed);
    assert!(end(recorder, &events).is_empty() && !missing.exists());
}

#[test]
fn a_disk_that_does_not_answer_holds_up_neither_the_drain_nor_the_end() {
    let folder = folder();
    let drain = Drain::new();
    let guard = drain.guard();
    let (told, events) = channel();
    let (_never, answer) = channel::<()>();
    let (asks, asked) = channel();
    // The thread that writes stands still, as it does in a write to such a disk.
    let stuck = move || {
        asks.send(()).unwrap();
        answer.recv().unwrap_or_default();
        Vec::new()
    };
    let recorder = PostMortem::in_folder(folder.path())
        .held_by(stuck)
        .on_event(move |it| told.send(it).unwrap_or_default())
        .record(&drain);
    drop(drain.start());
    asked.recv_timeout(PATIENCE).unwrap();
    drop(guard);
    assert_eq!(drain.state(), State::Closed);
    // It returns, though the thread does not.
    drop(recorder);
    assert!(matches!(events.try_recv(), Ok(Event::Trouble(Trouble::Slow { .. }))));
}

#[test]
fn who_is_told_and_stands_still_holds_up_neither_the_drain_nor_the_end() {
    let folder = folder();
    let drain = Drain::new();
    let (_never, answer) = channel::<()>();
    let answer = std::sync::Mutex::new(answer);
    let recorder = PostMortem::in_folder(folder.path().join("missing"))
        .on_event(move |_| answer.lock().unwrap().recv().unwrap_or_default())
        .record(&drain);
    drop(drain.start());
    assert_eq!(drain.state(), State::Closed);
    drop(recorder);
}

#[test]
fn what_panics_is_not_listed_and_the_file_is_written() {
    let folder = folder();
    let drain = Drain::new();
    let guard = drain.guard();
    let post_mortem = PostMortem::in_folder(folder.path()).held_by(|| panic!("of the user's"));
    let recorder = post_mortem.record(&drain);
    drop(drain.start());
    let text = fs::read_to_string(file(folder.path())).unwrap();
    assert!(text.contains("\nstate draining\nmore 0\nwithout a label 1\n"), "{text}");
    drop((guard, recorder));
}

#[test]
fn the_oldest_are_first_and_the_rest_is_counted() {
    let folder = folder();
    let drain = Drain::new();
    let guard = drain.guard();
    let holders = || {
        let holder = |n: u64| Holder::new(n).aged(Duration::from_secs(n));
        [Holder::new("of unknown age")].into_iter().chain((1..=149).map(holder)).collect()
    };
    let recorder = PostMortem::in_folder(folder.path()).held_by(holders).record(&drain);
    drop(drain.start());
    let text = fs::read_to_string(file(folder.path())).unwrap();
    let held: Vec<_> = text.lines().filter(|it| it.starts_with("held ")).collect();
    assert_eq!((held.len(), held[0], held[99]), (100, "held 149.0 s 1 x 149", "held 50.0 s 1 x 50"));
    assert!(text.contains("\nmore 50\n"), "{text}");
    drop((guard, recorder));
}

#[cfg(unix)]
#[test]
fn nobody_but_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let drain = Drain::new();
    let guard = drain.guard();
    let (recorder, _events) = recorded(folder.path(), &drain);
    drop(drain.start());
    let mode = file(folder.path()).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop((guard, recorder));
}

#[test]
fn an_unfinished_file_of_a_process_that_has_ended_is_removed() {
    let folder = folder();
    fs::write(folder.path().join("ebbtide-drain-812-1.new"), &DEAD[..100]).unwrap();
    assert!(found(folder.path()).is_empty());
    #[cfg(unix)]
    assert!(files(folder.path()).is_empty());
}

/// In containers that share a folder, the number of a process means nothing to the others.
#[cfg(unix)]
#[test]
fn a_file_that_is_locked_is_that_of_a_process_that_lives_somewhere() {
    use rustix::fs::{FlockOperation, flock};

    let folder = folder();
    let path = folder.path().join("ebbtide-drain-812-1");
    fs::write(&path, DEAD).unwrap();
    let file = fs::File::open(&path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    assert!(found(folder.path()).is_empty() && path.exists());
    drop(file);
    assert_eq!(found(folder.path()).len(), 1);
}
