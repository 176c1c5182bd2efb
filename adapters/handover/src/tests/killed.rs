//! Either side ends, at every step.

use rustix::process::Signal;

use super::process::{Load, Place, ask, until_answered_by};

#[test]
fn a_successor_that_is_killed_at_any_step_was_never_noticed() {
    let place = Place::new("successor-killed");
    let (first, port) = place.first();
    let load = Load::on(port);
    let steps = "send Hello, sent Hello, read Welcome, send Received, sent Received, read Listeners, send Ready";
    for step in steps.split(", ") {
        let successor = place.start(&[("EBBTIDE_PAUSE", step)]);
        successor.says(&format!("paused at {step}"));
        successor.kill();
        load.goes_on();
        assert_eq!(ask(port).expect("it listens"), first.id(), "killed at {step}");
    }
    let successor = place.start(&[]);
    successor.says("ready");
    first.says("drained");
    load.goes_on();
    let (answered, failures) = load.end();
    assert_eq!(failures, Vec::<String>::new(), "of {answered}");
}

#[test]
fn a_predecessor_that_is_killed_at_any_step_leaves_everything_to_the_successor() {
    let steps = "read Hello, send Welcome, sent Welcome, read Received, send Listeners, sent Listeners, read Ready, \
                 send Draining, sent Draining";
    for step in steps.split(", ") {
        let place = Place::new(&format!("predecessor-killed-{}", step.replace(' ', "-")));
        let first = place.start(&[("EBBTIDE_PAUSE", step)]);
        let port = first.port();
        first.says("ready");
        let successor = place.start(&[("EBBTIDE_PORT", &port.to_string())]);
        first.says(&format!("paused at {step}"));
        first.kill();
        successor.says("ready");
        assert_eq!(ask(port).expect("it listens"), successor.id(), "killed at {step}");
        let third = place.start(&[("EBBTIDE_PORT", &port.to_string())]);
        third.says("ready");
        successor.says("drained");
        assert_eq!(ask(port).expect("it listens"), third.id(), "the line goes on, killed at {step}");
    }
}

#[test]
fn a_successor_that_hangs_is_given_up_and_is_told_when_it_wakes() {
    let place = Place::new("hung");
    let first = place.start(&[("EBBTIDE_PATIENCE_MS", "5000")]);
    let port = first.port();
    first.says("ready");
    let mut hung = place.start(&[("EBBTIDE_WAITS", "1")]);
    hung.says("started");
    hung.signal(Signal::STOP);
    assert!(first.says("did not take over").contains("not ready in time"));
    assert_eq!(ask(port).expect("it listens"), first.id());
    // It still has the sockets, and is in nobody's way.
    let next = place.start(&[]);
    next.says("ready");
    first.says("drained");
    hung.signal(Signal::CONT);
    hung.goes_on();
    assert!(hung.says("error: cannot take over: ").contains("too long"));
    hung.ends();
    until_answered_by(port, &next);
}
