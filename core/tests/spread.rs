//! Times that are spread over a span.

use std::time::Duration;

use ebbtide::Drain;

#[test]
fn times_within_a_span_are_spread_evenly_over_it_however_many_are_asked_for() {
    let (from, to) = (1000, 5000);
    let drain = Drain::new();
    let mut times = Vec::new();
    for count in 1..=1000 {
        let watcher = drain.watcher();
        times.push(watcher.spread(Duration::from_millis(from)..Duration::from_millis(to)).as_micros());
        let mut sorted = times.clone();
        sorted.sort_unstable();
        assert!(sorted[0] >= u128::from(from) * 1000 && sorted[count - 1] < u128::from(to) * 1000);
        // No gap is wider than three times what it would be if they were a ruler's.
        let widest = sorted.windows(2).map(|it| it[1] - it[0]).max().unwrap_or_default();
        assert!(widest <= 3 * u128::from(to - from) * 1000 / count as u128, "{widest} us between two of {count}");
    }
}

#[test]
fn a_span_that_is_empty_or_reversed_is_its_start() {
    let watcher = Drain::new().watcher();
    let second = Duration::from_secs(1);
    assert_eq!(watcher.spread(second..second), second);
    assert_eq!(watcher.spread(second..Duration::ZERO), second);
    assert_eq!(watcher.spread(Duration::MAX..Duration::MAX), Duration::MAX);
    assert!(watcher.spread(Duration::ZERO..Duration::MAX) < Duration::MAX);
}

#[test]
fn it_is_asked_for_before_in_and_after_a_drain() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let guard = drain.guard();
    let span = || Duration::ZERO..Duration::from_secs(1);
    let running = watcher.spread(span());
    let drained = drain.start();
    let draining = watcher.spread(span());
    drop((guard, drained, drain));
    let closed = watcher.spread(span());
    assert!(running != draining && draining != closed && closed != running);
}
