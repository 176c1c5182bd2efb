//! Whoever else comes to the control socket.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::process::{Place, Process, ask, descriptors, until_answered_by};
use crate::protocol::Message;

/// What comes back for these bytes.
fn say(place: &Place, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(place.socket()).expect("it listens");
    stream.write_all(bytes).expect("it reads");
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn hands_over(place: &Place, first: &Process, port: u16) {
    assert_eq!(ask(port).expect("it listens"), first.id());
    let next = place.start(&[("EBBTIDE_PORT", &port.to_string())]);
    next.says("ready");
    first.says("drained");
    until_answered_by(port, &next);
}

#[test]
fn another_version_is_told_so_and_what_is_no_message_changes_nothing() {
    let place = Place::new("forged");
    let (first, port) = place.first();
    let mut hello = Message::Hello { pid: 7 }.bytes();
    hello[2] = 9;
    assert!(say(&place, &hello).contains("version 9"), "{}", say(&place, &hello));
    assert!(first.says("cannot take over: ").contains("version 9"));
    assert!(say(&place, b"GET / HTTP/1.1\r\n\r\n").contains("another protocol"));
    assert!(say(&place, &Message::Ready.bytes()).contains("before it said hello"));
    let hello = Message::Hello { pid: 7 }.bytes();
    let twice = [&hello[..], &hello[..]].concat();
    assert!(say(&place, &twice).contains("at the wrong time"));
    // Cut in the middle.
    for length in 0..hello.len() {
        let mut stream = UnixStream::connect(place.socket()).expect("it listens");
        stream.write_all(&hello[..length]).expect("it reads");
    }
    hands_over(&place, &first, port);
}

#[test]
fn many_connections_to_the_control_socket_are_bounded() {
    let place = Place::new("crowd");
    let (first, port) = place.first();
    let before = descriptors(&first);
    let crowd: Vec<_> = (0..2000).filter_map(|_| UnixStream::connect(place.socket()).ok()).collect();
    assert_eq!(ask(port).expect("it listens"), first.id());
    let during = descriptors(&first);
    assert!(during <= before + 40, "{before}, {during} with {} more", crowd.len());
    drop(crowd);
    hands_over(&place, &first, port);
}

#[test]
fn a_successor_without_descriptors_says_so_and_was_never_noticed() {
    let place = Place::new("exhausted");
    let first = place.start(&[("EBBTIDE_LISTENERS", "100")]);
    let port = first.port();
    first.says("ready");
    let test = std::env::current_exe().expect("a path");
    let limited = [OsStr::new("-c"), OsStr::new("ulimit -n 40; exec \"$0\" \"$@\""), test.as_os_str()];
    let successor = place.start_by(OsStr::new("sh"), &limited, &[]);
    assert!(successor.says("error: cannot take over: ").contains("raise its limit"));
    successor.ends();
    hands_over(&place, &first, port);
}

#[test]
fn the_process_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start a process of another user");
        return;
    }
    let place = Place::new("user");
    let (first, port) = place.first();
    let test = std::env::current_exe().expect("a path");
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"].map(OsStr::new);
    let nobody = [&nobody[..], &[test.as_os_str()]].concat();
    // The files are closed to others.
    let other = place.start_by(OsStr::new("setpriv"), &nobody, &[]);
    assert!(other.says("error: ").contains("Permission denied"));
    // If they were not, the kernel still says who it is.
    fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o666)).expect("ours");
    let other = place.start_by(OsStr::new("setpriv"), &nobody, &[("EBBTIDE_ONLY_LISTENS", "1")]);
    assert!(other.says("heard: ").contains("user 65534"));
    assert!(first.says("cannot take over: ").contains("user 65534"));
    hands_over(&place, &first, port);
}
