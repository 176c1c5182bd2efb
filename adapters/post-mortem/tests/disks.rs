//! Disks that fail: full, read-only, and one that does not answer. `tests/post_mortem.sh` makes them, which needs root.
#![cfg(unix)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ebbtide::{Drain, State};
use ebbtide_post_mortem::{Event, PostMortem, Recorder, Trouble};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn folder(name: &str) -> PathBuf {
    env::var_os(name).expect("`tests/post_mortem.sh` runs these").into()
}

fn recorded(folder: &Path, drain: &Drain) -> (Recorder, Receiver<Event>) {
    let (told, events) = channel();
    let post_mortem = PostMortem::in_folder(folder).on_event(move |it| told.send(it).unwrap_or_default());
    (post_mortem.record(drain), events)
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it.starts_with("ebbtide")).collect()
}

/// Lets a drain with one guard end, and tells how long that took, and the end of its recording.
fn end_in_time(drain: &Drain, guard: Option<ebbtide::Guard>, recorder: Recorder) {
    let begun = Instant::now();
    drop(guard);
    assert_eq!(drain.state(), State::Closed);
    let closed = begun.elapsed();
    drop(recorder);
    println!("the drain was closed after {closed:?}, and its recording had ended after {:?}", begun.elapsed());
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
#[ignore = "needs a full disk"]
fn on_a_full_disk_the_drain_ends_in_time_with_one_line_that_says_so() {
    let folder = folder("FULL");
    let drain = Drain::new();
    let guard = drain.watcher().labelled("upload");
    let (recorder, events) = recorded(&folder, &drain);
    drop(drain.start());
    let event = events.recv_timeout(PATIENCE).unwrap();
    println!("{event}");
    assert!(matches!(event, Event::Trouble(Trouble::Write { .. })));
    assert!(event.to_string().contains("No space left on device"), "{event}");
    // It is tried again each second, and told no more.
    assert!(events.recv_timeout(Duration::from_millis(2_500)).is_err());
    assert!(names(&folder).is_empty(), "what was begun takes no space");
    end_in_time(&drain, guard, recorder);
    assert!(events.iter().next().is_none());
}

#[test]
#[ignore = "needs a full disk"]
fn when_a_full_disk_has_space_again_what_is_held_is_written() {
    let folder = folder("FULL");
    let drain = Drain::new();
    let guard = drain.watcher().labelled("upload");
    let (recorder, events) = recorded(&folder, &drain);
    drop(drain.start());
    assert!(matches!(events.recv_timeout(PATIENCE), Ok(Event::Trouble(Trouble::Write { .. }))));
    let filler = fs::read(folder.join("filler")).unwrap();
    fs::remove_file(folder.join("filler")).unwrap();
    let until = Instant::now() + PATIENCE;
    while names(&folder).iter().all(|it| it.contains('.')) {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    end_in_time(&drain, guard, recorder);
    assert!(events.iter().next().is_none() && names(&folder).is_empty());
    fs::write(folder.join("filler"), filler).unwrap();
}

#[test]
#[ignore = "needs a read-only folder"]
fn in_a_read_only_folder_the_drain_ends_in_time_with_a_line_for_what_cannot_be_removed_and_one_for_what_cannot_be_written()
 {
    let folder = folder("READ_ONLY");
    let drain = Drain::new();
    let guard = drain.watcher().labelled("upload");
    let (recorder, events) = recorded(&folder, &drain);
    drop(drain.start());
    let events: Vec<_> = (0..3).map(|_| events.recv_timeout(PATIENCE).unwrap()).chain(events.try_iter()).collect();
    for event in &events {
        println!("{event}");
    }
    let kinds = &events[..];
    assert!(
        matches!(
            kinds,
            [Event::Killed(_), Event::Trouble(Trouble::Remove { .. }), Event::Trouble(Trouble::Write { .. })]
        ),
        "{kinds:?}"
    );
    end_in_time(&drain, guard, recorder);
}

#[test]
#[ignore = "needs a disk that can be frozen"]
fn a_disk_that_does_not_answer_delays_neither_the_drain_nor_the_end() {
    let folder = folder("FROZEN");
    let drain = Drain::new();
    let guard = drain.watcher().labelled("upload");
    let ((told, events), (asks, asked)) = (channel(), channel());
    let held_by = move || {
        asks.send(()).unwrap_or_default();
        Vec::new()
    };
    let post_mortem = PostMortem::in_folder(&folder).held_by(held_by);
    let recorder = post_mortem.on_event(move |it| told.send(it).unwrap_or_default()).record(&drain);
    freeze("--freeze", &folder);
    drop(drain.start());
    // What it does next is to write.
    asked.recv_timeout(PATIENCE).unwrap();
    end_in_time(&drain, guard, recorder);
    let event = events.recv_timeout(PATIENCE).unwrap();
    println!("{event}");
    assert!(matches!(event, Event::Trouble(Trouble::Slow { .. })));
    freeze("--unfreeze", &folder);
    // The thread goes on, and ends.
    assert!(events.iter().next().is_none() && names(&folder).is_empty());
}

fn freeze(how: &str, folder: &Path) {
    assert!(Command::new("fsfreeze").arg(how).arg(folder).status().expect("fsfreeze").success());
}
