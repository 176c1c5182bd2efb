use core::time::Duration;

use super::timers::{FIRST_LOOK, HTTP2_QUIET, LOOK};
use super::*;

fn draining(events: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::new(Bounds::default());
    events(&mut policy);
    policy.on_drain();
    policy
}

fn bound(policy: &Policy, timer: Timer) -> Option<Duration> {
    policy.wait(timer).map(|wait| wait.after)
}

fn served(policy: &mut Policy) {
    policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
    policy.on_request(false);
    let _ = policy.on_response(false);
    policy.on_response_end();
}

#[test]
fn nothing_but_the_wait_for_a_request_is_bounded_before_the_drain() {
    let mut policy = Policy::new(Bounds::default());
    assert_eq!(bound(&policy, Timer::Request), Some(Bounds::default().request));
    for timer in [Timer::State, Timer::Progress] {
        assert_eq!(policy.wait(timer), None);
    }
    policy.on_read(b"GET /");
    for timer in [Timer::Age, Timer::State, Timer::Progress] {
        assert_eq!(policy.wait(timer), None);
    }
    assert_eq!(policy.step(), Step::Serve);
}

fn uploading(policy: &mut Policy) {
    policy.on_read(b"PUT / HTTP/1.1\r\n");
    policy.on_request(true);
    policy.on_body_awaited();
}

#[test]
fn a_response_that_nobody_takes_is_cut_though_nothing_drains() {
    let mut policy = Policy::new(Bounds::default());
    stalled(&mut policy);
    let wait = policy.wait(Timer::Progress).expect("bounded");
    assert_eq!((wait.after, wait.is_lazy, policy.interest().steps), (Bounds::default().progress, true, true));
    policy.on_written(1);
    assert_eq!(bound(&policy, Timer::Progress), None);
    policy.on_write_blocked();
    assert_ne!(policy.wait(Timer::Progress), Some(wait), "progress starts the wait anew");
    policy.on_timer(Timer::Progress);
    assert_eq!((policy.step(), policy.is_cut()), (Step::Close, true));
}

#[test]
fn a_response_that_is_taken_slowly_is_not_cut_though_its_socket_takes_nothing() {
    let mut policy = Policy::new(Bounds::default()).with_acknowledgements();
    stalled(&mut policy);
    for left in (1..100).rev() {
        assert_eq!(over(&mut policy, Timer::Progress, Some(left * 1000)), Step::Serve);
    }
    assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Serve);
    assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Close);
}

#[test]
fn http2_that_opens_no_window_is_cut_though_nothing_drains() {
    let mut policy = Policy::new(Bounds::default());
    policy.on_read(PREFACE);
    policy.on_request(false);
    assert_eq!(bound(&policy, Timer::Progress), None, "the response is owed");
    let _ = policy.on_response(false);
    let wait = policy.wait(Timer::Progress);
    assert_eq!(wait.map(|it| it.after), Some(Bounds::default().progress));
    assert!(policy.interest().reads && policy.interest().writes && policy.interest().steps);
    policy.on_read(&[0; 17]);
    policy.on_written(17);
    assert_eq!(policy.wait(Timer::Progress), wait, "a PING and its answer are no progress");
    policy.on_written(16_384);
    assert_ne!(policy.wait(Timer::Progress), wait, "a DATA frame is");
    policy.on_timer(Timer::Progress);
    assert_eq!((policy.step(), policy.is_cut()), (Step::Close, true));
}

#[test]
fn a_body_that_does_not_come_is_cut_after_its_bound() {
    for begin in [|_: &mut Policy| {}, Policy::on_drain] {
        let mut policy = Policy::new(Bounds::default());
        uploading(&mut policy);
        begin(&mut policy);
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().progress / 2));
        policy.on_timer(Timer::Progress);
        assert_eq!(policy.step(), Step::Serve);
        assert!(policy.interest().reads, "from now on its bytes count");
        policy.on_body_awaited();
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().progress / 2));
        policy.on_timer(Timer::Progress);
        assert_eq!((policy.step(), policy.is_cut()), (Step::Close, true));
    }
}

#[test]
fn a_body_that_comes_byte_by_byte_is_cut_and_one_that_comes_slowly_is_not() {
    let lives = |more: usize| {
        let mut policy = Policy::new(Bounds::default());
        uploading(&mut policy);
        (0..100).all(|_| {
            policy.on_timer(Timer::Progress);
            policy.on_read(&[0; LEAST][..more]);
            policy.on_body_awaited();
            policy.step() == Step::Serve
        })
    };
    assert!(!lives(LEAST - 1) && lives(LEAST));
}

#[test]
fn a_body_that_its_handler_no_longer_waits_for_bounds_nothing() {
    let mut policy = Policy::new(Bounds::default());
    uploading(&mut policy);
    policy.on_timer(Timer::Progress);
    policy.on_timer(Timer::Progress);
    assert_eq!((policy.step(), policy.wait(Timer::Progress)), (Step::Serve, None));
    let mut without = Policy::new(Bounds::default());
    without.on_request(false);
    without.on_body_awaited();
    assert_eq!(without.wait(Timer::Progress), None, "an engine that reads on behind a request waits for no body");
}

#[test]
fn a_client_that_ended_its_direction_is_asked_once_and_looked_after_until_it_is_answered() {
    for begin in [|_: &mut Policy| {}, Policy::on_drain] {
        let mut policy = Policy::new(Bounds::default());
        policy.on_request(false);
        begin(&mut policy);
        assert!(policy.on_client_end() && !policy.on_client_end());
        assert_eq!(bound(&policy, Timer::State), Some(FIRST_LOOK));
        for _ in 0..10_000 {
            policy.on_timer(Timer::State);
            assert_eq!((policy.step(), bound(&policy, Timer::State)), (Step::Serve, Some(LOOK)));
        }
    }
}

#[test]
fn a_client_that_ended_its_direction_is_gone_if_nothing_of_its_response_was_written_for_long() {
    let bounds = Bounds::default();
    for begin in [|_: &mut Policy| {}, Policy::on_drain] {
        let mut policy = Policy::new(bounds);
        policy.on_request(false);
        let _ = policy.on_response(false);
        assert!(!policy.on_client_end(), "in the midst of a response nothing may be asked");
        begin(&mut policy);
        let looked = |policy: &mut Policy| {
            policy.on_timer(Timer::State);
            policy.step() == Step::Close
        };
        let looks = (1..1000).find(|_| looked(&mut policy)).expect("bounded");
        assert_eq!((LOOK * (looks - 1), policy.is_cut()), (bounds.linger, false), "who is gone was not cut");
    }
}

#[test]
fn a_connection_of_an_age_drains_by_itself() {
    let mut policy = Policy::new(Bounds { age: LOOK, ..Bounds::default() });
    let wait = policy.wait(Timer::Age);
    assert_eq!(wait.map(|it| it.after), Some(LOOK));
    served(&mut policy);
    assert_eq!(policy.wait(Timer::Age), wait, "a request does not make it younger");
    policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
    policy.on_request(false);
    policy.on_timer(Timer::Age);
    assert!(policy.on_response(false), "it says close");
    assert_eq!(policy.wait(Timer::Age), None);
}

#[test]
fn an_answer_is_owed_from_a_request_to_its_response() {
    let mut policy = Policy::new(Bounds::default());
    assert!(!policy.owes_response());
    policy.on_request(false);
    assert!(policy.owes_response());
    policy.on_write_blocked();
    assert!(!policy.owes_response(), "something is half written");
    policy.on_written(1);
    let _ = policy.on_response(false);
    assert!(!policy.owes_response());
    let mut dropped = Policy::new(Bounds::default());
    dropped.on_request(false);
    dropped.on_response_end();
    assert!(dropped.owes_response(), "its handler is gone");
    let mut upgraded = Policy::new(Bounds::default());
    upgraded.on_request(false);
    upgraded.on_upgrade();
    assert!(!upgraded.owes_response());
}

#[test]
fn a_connection_whose_request_does_not_come_drains_by_itself() {
    let lives: [fn(&mut Policy); 3] = [|_| {}, |it| it.on_read(b"GET / HTTP/1.1\r\nHo"), served];
    for life in lives {
        let mut late = Policy::new(Bounds::default());
        life(&mut late);
        assert!(late.wait(Timer::Request).is_some());
        late.on_timer(Timer::Request);
        let drained = draining(life);
        for timer in [Timer::Request, Timer::State, Timer::Progress] {
            assert_eq!(bound(&late, timer), bound(&drained, timer));
        }
        late.on_read(b"GET / HTTP/1.1\r\n\r\n");
        assert!(late.on_request(false) && late.on_response(false), "what comes at last is answered, and says close");
    }
}

#[test]
fn a_handshake_is_waited_for_like_a_head_and_then_the_connection_is_as_new() {
    let bounds = Bounds::default();
    let mut policy = draining(Policy::on_handshake);
    let wait = policy.wait(Timer::State);
    assert_eq!(wait.map(|it| it.after), Some(bounds.head));
    policy.on_handshake();
    assert_eq!(policy.wait(Timer::State), wait, "more of it does not extend its bound");
    policy.on_handshake_end();
    assert_eq!((bound(&policy, Timer::State), policy.state()), (Some(bounds.silent), ConnectionState::New));
    policy.on_handshake();
    policy.on_timer(Timer::State);
    assert_eq!(policy.step(), Step::Close);
}

#[test]
fn a_handshake_and_the_first_head_share_the_wait_for_a_request() {
    let mut policy = Policy::new(Bounds::default());
    let wait = policy.wait(Timer::Request);
    assert!(wait.is_some());
    policy.on_handshake();
    assert_eq!(policy.wait(Timer::Request), wait);
    policy.on_handshake_end();
    policy.on_read(b"GET / HTTP/1.1\r\nHo");
    assert_eq!(policy.wait(Timer::Request), wait);
}

#[test]
fn what_comes_behind_a_handshake_is_http() {
    let mut policy = draining(Policy::on_handshake);
    policy.on_read(PREFACE);
    assert_eq!((policy.protocol, policy.state()), (Protocol::Http2, ConnectionState::Idle));
    policy.on_handshake();
    assert_eq!(policy.state(), ConnectionState::Idle, "told too late, it says nothing");
}

#[test]
fn the_first_request_and_the_next_ones_have_bounds_of_their_own() {
    let (mut policy, bounds) = (Policy::new(Bounds::default()), Bounds::default());
    assert_eq!(bound(&policy, Timer::Request), Some(bounds.request));
    served(&mut policy);
    assert_eq!(bound(&policy, Timer::Request), Some(bounds.keep_alive));
    assert!(bounds.keep_alive > Duration::from_secs(60), "longer than load balancers keep theirs");
}

#[test]
fn a_request_in_flight_is_not_late_and_starts_the_wait_anew() {
    let mut policy = Policy::new(Bounds::default());
    let first = policy.wait(Timer::Request);
    policy.on_read(b"GET / HTTP/1.1\r\nHo");
    assert_eq!(policy.wait(Timer::Request), first, "a part of its head does not");
    policy.on_request(false);
    let in_flight = policy.wait(Timer::Request);
    policy.on_timer(Timer::Request);
    let later = policy.wait(Timer::Request);
    let _ = policy.on_response(false);
    policy.on_response_end();
    let idle = policy.wait(Timer::Request);
    assert_eq!(policy.step(), Step::Serve);
    let waits = [first, in_flight, later, idle];
    assert!(waits.is_sorted_by(|before, after| before != after), "each is a wait of its own: {waits:?}");
}

#[test]
fn who_asks_for_no_bound_is_waited_for_for_ever() {
    let mut http2 = Policy::new(Bounds { keep_alive: Duration::MAX, ..Bounds::default() });
    http2.on_read(PREFACE);
    assert_eq!(http2.wait(Timer::Request), None);
    assert_eq!(Policy::new(Bounds::NONE).wait(Timer::Request), None);
}

#[test]
fn http2_on_which_nothing_is_asked_for_is_told_by_goaway_and_one_with_a_stream_is_not() {
    let mut policy = Policy::new(Bounds::default());
    policy.on_read(PREFACE);
    assert_eq!(bound(&policy, Timer::Request), Some(Bounds::default().keep_alive));
    assert!(policy.on_request(false));
    policy.on_timer(Timer::Request);
    assert_eq!(policy.step(), Step::Serve, "a stream is open");
    assert!(!policy.on_response(false));
    policy.on_response_end();
    assert_eq!(bound(&policy, Timer::Request), Some(Bounds::default().keep_alive));
    policy.on_timer(Timer::Request);
    assert_eq!(policy.step(), Step::Finish);
    policy.on_finish();
    assert!(policy.on_request(false), "it crossed the GOAWAY");
}

#[test]
fn a_silent_connection_has_a_short_grace() {
    let mut policy = draining(|_| {});
    assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().silent));
    policy.on_timer(Timer::State);
    assert_eq!(policy.step(), Step::Close);
}

#[test]
fn half_a_head_is_waited_for_and_its_bound_is_not_extended_by_more_of_it() {
    let mut policy = draining(|it| it.on_read(b"GET / HTTP/1.1\r\nHo"));
    let wait = policy.wait(Timer::State);
    assert_eq!(wait.map(|it| it.after), Some(Bounds::default().head));
    policy.on_read(b"st: x");
    assert_eq!(policy.wait(Timer::State), wait);
    policy.on_timer(Timer::State);
    assert_eq!(policy.step(), Step::Close);
}

#[test]
fn an_idle_connection_serves_what_was_on_the_wire() {
    let mut policy = draining(served);
    assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().idle));
    policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
    policy.on_request(false);
    assert_eq!(policy.wait(Timer::State), None, "an active request has no bound");
    assert!(policy.on_response(false), "it says close");
}

#[test]
fn an_idle_connection_is_finished_after_its_grace() {
    let mut policy = draining(served);
    policy.on_timer(Timer::State);
    assert_eq!(policy.step(), Step::Finish);
    policy.on_finish();
    assert_eq!(policy.step(), Step::Serve);
    assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().stall), "and has a bound still");
}

#[test]
fn what_a_client_sends_in_the_end_does_not_extend_its_bound() {
    let mut policy = draining(served);
    policy.on_timer(Timer::State);
    policy.on_finish();
    let wait = policy.wait(Timer::Progress);
    policy.on_read(b"GET / HTTP/1.1\r\nHo");
    assert!(wait.is_some() && policy.wait(Timer::Progress) == wait);
}

fn begun_before_the_drain() -> Policy {
    draining(|it| {
        it.on_read(b"GET / HTTP/1.1\r\n\r\n");
        it.on_request(false);
        assert!(!it.on_response(false));
    })
}

#[test]
fn a_connection_whose_response_did_not_say_close_is_idle_behind_it() {
    let mut policy = begun_before_the_drain();
    assert_eq!(policy.step(), Step::Serve, "an engine that finishes reads no next request");
    policy.on_response_end();
    assert_eq!((policy.state(), policy.step()), (ConnectionState::Idle, Step::Serve));
    assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().idle));
    policy.on_timer(Timer::State);
    assert_eq!(policy.step(), Step::Finish, "and no longer than that");
}

#[test]
fn a_request_behind_a_response_that_did_not_say_close_is_the_last_one() {
    let mut policy = begun_before_the_drain();
    policy.on_response_end();
    policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
    assert!(policy.on_request(false) && policy.on_response(false), "it is served, and says close");
    policy.on_response_end();
    assert_eq!(policy.step(), Step::Finish, "at once");
}

#[test]
fn an_idle_connection_has_its_grace_once_its_last_response_is_written() {
    let mut policy = begun_before_the_drain();
    policy.on_write_blocked();
    policy.on_response_end();
    assert_eq!(policy.wait(Timer::State), None);
    assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().stall));
    policy.on_written(1);
    let wait = policy.wait(Timer::State);
    assert_eq!(wait.map(|it| it.after), Some(Bounds::default().idle));
    policy.on_write_blocked();
    policy.on_written(1);
    assert!(policy.wait(Timer::State) != wait, "each time anew");
}

#[test]
fn an_engine_is_not_told_to_finish_before_the_head_of_the_response() {
    let policy = draining(|it| {
        it.on_read(b"GET / HTTP/1.1\r\n\r\n");
        it.on_request(false);
    });
    assert_eq!(policy.step(), Step::Serve);
}

#[test]
fn http2_is_told_at_once_and_its_ping_is_bounded_only_without_streams() {
    let mut policy = draining(|it| {
        it.on_read(&PREFACE[..10]);
        it.on_read(&PREFACE[10..]);
        it.on_request(false);
    });
    assert_eq!(policy.step(), Step::Finish);
    policy.on_finish();
    assert!(!policy.on_response(false), "HTTP/2 has no Connection header");
    policy.on_response_waits();
    assert_eq!(policy.wait(Timer::Progress), None);
    policy.on_response_resumes();
    policy.on_response_end();
    assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().goaway));
}

#[test]
fn http2_that_answers_no_ping_opens_no_streams_after_its_bound_and_keeps_those_it_has() {
    let mut policy = draining(|it| it.on_read(PREFACE));
    policy.on_finish();
    let wait = policy.wait(Timer::State);
    assert_eq!(wait.map(|it| it.after), Some(Bounds::default().goaway));
    assert!(policy.on_request(false));
    policy.on_response_end();
    assert!(policy.on_request(false));
    assert_eq!(policy.wait(Timer::State), wait, "streams do not extend it");
    policy.on_timer(Timer::State);
    assert!(!policy.on_request(false));
    assert_eq!((policy.step(), policy.wait(Timer::Progress)), (Step::Serve, None));
    policy.on_response_end();
    assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().goaway));
}

#[test]
fn http2_is_not_cut_while_it_takes_a_response_and_not_held_by_pings() {
    let mut policy = draining(|it| it.on_read(PREFACE));
    policy.on_finish();
    let wait = policy.wait(Timer::Progress);
    for _ in 0..100 {
        policy.on_read(&[0; 17]);
        policy.on_written(17);
    }
    assert_eq!(policy.wait(Timer::Progress), wait, "a PING and its answer are no progress");
    policy.on_read(&[0; 13]);
    policy.on_written(16_384);
    assert_ne!(policy.wait(Timer::Progress), wait, "a WINDOW_UPDATE and a DATA frame are");
}

#[test]
fn http2_that_opens_no_window_is_bounded_and_one_whose_application_is_slow_is_not() {
    let mut policy = draining(|it| {
        it.on_read(PREFACE);
        it.on_request(false);
    });
    assert_eq!(bound(&policy, Timer::Progress), None, "the response is owed");
    let _ = policy.on_response(false);
    let wait = policy.wait(Timer::Progress);
    assert_eq!(wait.map(|it| it.after), Some(Bounds::default().stall));
    policy.on_read(&[0; 17]);
    policy.on_written(17);
    assert_eq!(policy.wait(Timer::Progress), wait, "a PING and its answer are no progress");
    policy.on_written(16_384);
    assert_ne!(policy.wait(Timer::Progress), wait, "a DATA frame is");
    policy.on_response_waits();
    assert_eq!(bound(&policy, Timer::Progress), None, "more of the response is owed");
}

#[test]
fn half_a_preface_is_bounded() {
    let mut policy = draining(|it| it.on_read(&PREFACE[..3]));
    assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().preface));
    policy.on_read(b"T / HTTP/1.1\r\n");
    assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().head), "it was another method");
}

#[test]
fn a_client_that_takes_nothing_is_bounded_and_one_that_takes_something_is_not_cut() {
    let mut policy = draining(|it| {
        it.on_read(b"GET / HTTP/1.1\r\n\r\n");
        it.on_request(false);
        it.on_write_blocked();
    });
    let first = policy.wait(Timer::Progress);
    assert_eq!(first.map(|it| it.after), Some(Bounds::default().stall));
    policy.on_written(1);
    assert_eq!(policy.wait(Timer::Progress), None);
    policy.on_write_blocked();
    assert_ne!(policy.wait(Timer::Progress), first, "progress starts the wait anew");
    policy.on_timer(Timer::Progress);
    assert_eq!(policy.step(), Step::Close);
}

/// The timer is over, and the system says that so many bytes are not acknowledged.
fn over(policy: &mut Policy, timer: Timer, unacknowledged: Option<usize>) -> Step {
    assert!(policy.needs_unacknowledged(timer));
    policy.on_unacknowledged(unacknowledged);
    let before = policy.wait(timer);
    policy.on_timer(timer);
    assert!(before.is_some() && policy.wait(timer) != before, "a timer that is over counts no more");
    policy.step()
}

#[test]
fn answers_to_what_a_client_sends_are_no_progress_once_all_was_acknowledged() {
    let mut policy = asking(|it| it.on_read(PREFACE));
    policy.on_finish();
    let bound = Bounds::default().goaway;
    let mut waited = Duration::ZERO;
    // Each time another answer is on its way.
    for on_its_way in [13, 26].into_iter().cycle().take(100) {
        policy.on_written(26);
        let Some(wait) = policy.wait(Timer::State) else { break };
        waited += wait.after;
        policy.on_unacknowledged(Some(on_its_way));
        policy.on_timer(Timer::State);
        if !policy.on_request(false) {
            break;
        }
        policy.on_response_end();
    }
    assert_eq!(waited, bound, "it could open streams for ever");
}

fn asking(events: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::new(Bounds::default()).with_acknowledgements();
    events(&mut policy);
    policy.on_drain();
    policy
}

fn stalled(policy: &mut Policy) {
    policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
    policy.on_request(false);
    policy.on_write_blocked();
}

#[test]
fn a_client_that_acknowledges_something_now_and_then_is_not_cut() {
    let mut policy = asking(stalled);
    for left in (1..100).rev() {
        assert_eq!(over(&mut policy, Timer::Progress, Some(left * 1000)), Step::Serve);
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().stall / 2));
    }
    assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Serve);
    assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Close);
    assert!(policy.is_cut(), "and it is told");
}

#[test]
fn a_client_that_acknowledges_nothing_is_cut_after_its_bound_and_no_later() {
    for unacknowledged in [Some(1000), None] {
        let mut policy = asking(stalled);
        assert_eq!(over(&mut policy, Timer::Progress, unacknowledged), Step::Serve, "half of it is over");
        assert_eq!(over(&mut policy, Timer::Progress, unacknowledged), Step::Close);
        assert!(policy.is_cut());
    }
}

#[test]
fn nothing_is_asked_of_the_system_before_a_client_that_is_to_send_something_is_let_go() {
    let lives: [fn(&mut Policy); 3] = [|_| {}, |it| it.on_read(b"GET / HTTP/1.1\r\nHo"), served];
    for life in lives {
        let mut policy = asking(life);
        assert!(!policy.needs_unacknowledged(Timer::State) && !policy.needs_unacknowledged(Timer::Progress));
        policy.on_timer(Timer::State);
        assert!(policy.step() != Step::Serve && !policy.is_cut());
    }
}

#[test]
fn the_grace_of_an_idle_connection_begins_once_its_client_has_the_last_response() {
    let mut policy = asking(|it| {
        it.on_read(b"GET / HTTP/1.1\r\n\r\n");
        it.on_request(false);
        let _ = it.on_response(false);
    });
    policy.on_response_end();
    for left in [2000, 1000, 0] {
        assert_eq!(over(&mut policy, Timer::State, Some(left)), Step::Serve);
        assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().idle));
    }
    assert_eq!(over(&mut policy, Timer::State, Some(0)), Step::Finish);
}

#[test]
fn a_client_that_takes_nothing_is_let_go_after_its_bound_though_all_others_are_zero() {
    let stall = Duration::from_secs(1);
    let mut policy = Policy::new(Bounds { stall, ..Bounds::NONE }).with_acknowledgements();
    policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
    policy.on_request(false);
    let _ = policy.on_response(false);
    policy.on_drain();
    policy.on_response_end();
    let mut waited = Duration::ZERO;
    for _ in 0..1000 {
        waited += bound(&policy, Timer::State).expect("it is waited for");
        if over(&mut policy, Timer::State, Some(1000)) != Step::Serve {
            break;
        }
    }
    assert_eq!(waited, stall);
    let none = Policy::new(Bounds::NONE).with_acknowledgements();
    assert_eq!(none.wait(Timer::State).map(|it| it.after), None, "and before a drain nothing is waited for");
}

#[test]
fn the_bound_of_a_ping_begins_once_what_was_written_before_it_is_with_the_client() {
    let mut policy = asking(|it| {
        it.on_read(PREFACE);
        it.on_request(false);
    });
    policy.on_finish();
    for left in [2000, 1000, 0, 0] {
        let _ = over(&mut policy, Timer::State, Some(left));
        assert!(policy.on_request(false), "streams are served as long as it is not over");
    }
    let _ = over(&mut policy, Timer::State, Some(0));
    assert!(!policy.on_request(false));
}

#[test]
fn http2_lingers_until_its_client_has_what_was_written_and_is_not_held_by_one_that_takes_nothing() {
    let closing = || {
        let mut policy = asking(|it| {
            it.on_read(PREFACE);
            it.on_request(false);
            let _ = it.on_response(false);
            it.on_response_end();
        });
        policy.on_half_closed();
        policy
    };
    let mut slow = closing();
    for left in [2000, 1000, 0] {
        assert_eq!(over(&mut slow, Timer::Progress, Some(left)), Step::Serve);
    }
    assert_eq!((over(&mut slow, Timer::Progress, Some(0)), slow.is_cut()), (Step::Close, false));
    let mut gone = closing();
    let asked = (1..10_000).find(|_| over(&mut gone, Timer::Progress, Some(1000)) == Step::Close);
    let waited = asked.map(|it| HTTP2_QUIET * it);
    assert_eq!((waited, gone.is_cut()), (Some(Bounds::default().stall), true));
    assert_eq!(over(&mut closing(), Timer::Progress, Some(0)), Step::Close, "and no longer than that");
}

#[test]
fn http2_that_had_no_stream_in_the_drain_waits_for_its_ping_for_a_second() {
    let mut policy = draining(|it| it.on_read(PREFACE));
    policy.on_finish();
    assert_eq!(bound(&policy, Timer::Progress), Some(Duration::from_secs(1)));
    policy.on_request(false);
    policy.on_response_end();
    assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().goaway), "its response may be on its way");
    let mut policy = Policy::new(Bounds { goaway: Duration::ZERO, ..Bounds::default() });
    policy.on_read(PREFACE);
    policy.on_drain();
    assert_eq!(bound(&policy, Timer::Progress), Some(Duration::ZERO), "and no longer than for any");
}

#[test]
fn what_a_bound_cuts_is_told_and_what_asks_for_nothing_is_not_cut() {
    let mut policy = draining(stalled);
    policy.on_timer(Timer::Progress);
    assert!(policy.is_cut());
    let mut policy = draining(|_| {});
    policy.on_timer(Timer::State);
    assert!(!policy.is_cut());
    // The answers to its PINGs are on their way.
    let mut policy = draining(|it| it.on_read(PREFACE));
    policy.on_finish();
    policy.on_write_blocked();
    policy.on_timer(Timer::Progress);
    assert_eq!((policy.step(), policy.is_cut()), (Step::Close, false));
}

#[test]
fn a_client_that_still_sends_is_lingered_for_and_one_that_is_done_is_not() {
    let mut quiet = draining(served);
    quiet.on_half_closed();
    assert!(!quiet.lingers());

    quiet.on_read(b"more");
    assert!(quiet.lingers());
    assert_eq!(bound(&quiet, Timer::State), Some(Bounds::default().linger));
    quiet.on_timer(Timer::Progress);
    assert_eq!(quiet.step(), Step::Close);
}

#[test]
fn a_response_that_is_the_last_one_leaves_nothing_idle() {
    let mut policy = Policy::new(Bounds::default());
    policy.on_read(b"GET / HTTP/1.0\r\n\r\n");
    policy.on_request(false);
    assert!(!policy.on_response(true), "it says so itself");
    policy.on_response_end();
    assert_eq!(policy.state(), ConnectionState::Active);
}

#[test]
fn an_upgraded_connection_is_its_handlers() {
    let mut policy = draining(|it| {
        it.on_read(b"GET /ws HTTP/1.1\r\n\r\n");
        it.on_request(false);
        it.on_upgrade();
        it.on_response_end();
    });
    policy.on_write_blocked();
    policy.on_half_closed();
    assert_eq!((policy.step(), policy.lingers()), (Step::Serve, false));
    assert_eq!((policy.wait(Timer::State), policy.wait(Timer::Progress)), (None, None));
}

#[test]
fn a_connection_behind_a_handshake_does_not_leave() {
    for begins in [|_: &mut Policy| {}, Policy::on_handshake] {
        let mut policy = draining(begins);
        policy.on_leaving(true);
        let is_wrapped = policy.stage == Stage::Handshake;
        policy.on_handshake_end();
        assert_eq!(policy.on_leave(), !is_wrapped);
    }
}

#[test]
fn the_graces_begin_when_the_successor_is_given_up() {
    for between in [|_: &mut Policy| {}, served] {
        let mut policy = draining(between);
        let wait = policy.wait(Timer::State).expect("a grace");
        policy.on_leaving(true);
        assert_eq!(policy.wait(Timer::State), None);
        policy.on_leaving(false);
        let anew = policy.wait(Timer::State).expect("a grace");
        assert_eq!(anew.after, wait.after);
        assert_ne!(anew.epoch, wait.epoch);
        policy.on_leaving(false);
        assert_eq!(policy.wait(Timer::State), Some(anew), "said again, it begins no grace anew");
    }
}
