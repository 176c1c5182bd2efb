//! A process that starts its own successor.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::process::{Load, Place, Process, ask};

fn first(place: &Place, variables: &[(&str, &str)]) -> (Process, u16) {
    let process = place.start(&[variables, &[("EBBTIDE_OBEYS", "1")]].concat());
    let port = process.port();
    process.says("ready");
    (process, port)
}

#[test]
fn a_process_replaces_itself_again_and_again() {
    let place = Place::new("itself");
    let (mut process, port) = first(&place, &[]);
    let load = Load::on(port);
    let mut before = process.id();
    for _ in 0..3 {
        process.hears("replace");
        process.says("checked");
        let pid = loop {
            let pid = ask(port).expect("it listens");
            if pid != before {
                break pid;
            }
        };
        before = pid;
        load.goes_on();
    }
    let (answered, failures) = load.end();
    assert_eq!(failures, Vec::<String>::new(), "of {answered}");
}

#[test]
fn a_program_that_cannot_serve_replaces_nothing_and_it_is_said_why() {
    let place = Place::new("cannot");
    let plain = place.file("plain");
    fs::write(&plain, "#!/bin/sh\n").expect("a file");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o600)).expect("ours");
    let plain = plain.to_str().expect("text");
    for (variable, value, why) in [
        ("EBBTIDE_CHECK", "7", "the check of the program failed (exit status: 7)"),
        ("EBBTIDE_PROGRAM", "/nowhere", "cannot start /nowhere: No such file or directory"),
        ("EBBTIDE_PROGRAM", plain, "Permission denied"),
        ("EBBTIDE_PROGRAM", "/bin/false", "the successor has ended before it was ready (exit status: 1)"),
    ] {
        let (mut process, port) = first(&place, &[(variable, value)]);
        process.hears("replace");
        let said = process.says("error: not replaced: ");
        assert!(said.contains(why), "{said}");
        assert_eq!(ask(port).expect("it listens"), process.id());
        process.kill();
    }
}

#[test]
fn a_program_that_hangs_is_killed_and_the_next_attempt_is_free() {
    let place = Place::new("hangs");
    let script = place.file("hangs");
    fs::write(&script, "#!/bin/sh\necho it hangs\nexec sleep 1000\n").expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("ours");
    let script = ("EBBTIDE_PROGRAM", script.to_str().expect("text"));
    let (mut process, port) = first(&place, &[script, ("EBBTIDE_PATIENCE_MS", "500")]);
    for _ in 0..2 {
        process.hears("replace");
        process.says("it hangs");
        assert!(process.says("error: not replaced: ").contains("was killed"));
        assert_eq!(ask(port).expect("it listens"), process.id());
    }
}
