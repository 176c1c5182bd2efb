//! When parts are told and cut, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ebbtide::Label;
use ebbtide_tokio::{Outcome, Part, Service};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::time::{Instant, sleep};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What happened to which part, and when: in milliseconds from the beginning of the drain.
#[derive(Clone)]
struct Log {
    begun: Instant,
    lines: Arc<Mutex<Vec<(String, u128)>>>,
}

impl Log {
    fn new() -> Self {
        Self { begun: Instant::now(), lines: Arc::default() }
    }

    fn add(&self, line: String) {
        self.lines.lock().unwrap().push((line, self.begun.elapsed().as_millis()));
    }

    fn lines(&self) -> Vec<(String, u128)> {
        self.lines.lock().unwrap().clone()
    }

    fn at(&self, line: &str) -> Option<u128> {
        self.lines().into_iter().find(|it| it.0 == line).map(|it| it.1)
    }

    /// A part that takes so long to end once its drain has begun.
    fn part(&self, name: &str, time: Duration) -> impl FnOnce(Part) -> Work + Send + use<> {
        let (log, name) = (self.clone(), name.to_owned());
        move |part: Part| -> Work {
            Box::pin(async move {
                part.watcher().await;
                let _ended = Ended::new(&log, &name);
                let ends = sleep(time);
                tokio::pin!(ends);
                if part.until_last_call(&mut ends).await.is_none() {
                    log.add(format!("{name} last call"));
                    ends.await;
                }
            })
        }
    }

    /// A closing action that takes so long.
    fn action(&self, name: &str, time: Duration) -> Work {
        let (log, name) = (self.clone(), name.to_owned());
        Box::pin(async move {
            let _ended = Ended::new(&log, &name);
            sleep(time).await;
        })
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells of its beginning and of its end.
struct Ended(Log, String);

impl Ended {
    fn new(log: &Log, name: &str) -> Self {
        log.add(format!("{name} begins"));
        Self(log.clone(), format!("{name} ended"))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.add(self.1.clone());
    }
}

/// Runs a service whose drain has begun already, which is the origin of the log's times.
async fn drain(service: Service) -> Outcome {
    drop(service.drain().start_because("the test"));
    service.run().await
}

fn lines(lines: &[(&str, u128)]) -> Vec<(String, u128)> {
    lines.iter().map(|(line, at)| ((*line).into(), *at)).collect()
}

fn cut(outcome: &Outcome) -> Vec<&Label> {
    outcome.cut().iter().map(|it| &it.0).collect()
}

#[tokio::test(start_paused = true)]
async fn stages_end_one_after_the_other_and_unused_time_flows_on() {
    let log = Log::new();
    let service = Service::without_signals()
        .deadline(ms(10_000))
        .task("http", log.part("http", ms(300)))
        .then()
        .task("worker", log.part("worker", ms(6_000)))
        .finally("pool", log.action("pool", ms(200)));
    let outcome = drain(service).await;
    assert!(outcome.is_clean(), "{outcome}");
    let expected = lines(&[
        ("http begins", 0),
        ("http ended", 300),
        ("worker begins", 300),
        ("worker ended", 6_300),
        ("pool begins", 6_300),
        ("pool ended", 6_500),
    ]);
    assert_eq!(log.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_hung_stage_takes_all_but_what_is_reserved_behind_it() {
    let log = Log::new();
    let service = Service::without_signals()
        .deadline(ms(10_000))
        .task("http", log.part("http", ms(60_000)))
        .then()
        .task("worker", log.part("worker", ms(60_000)))
        .reserve(ms(1_000))
        .finally("pool", log.action("pool", ms(1_900)))
        .reserve(ms(2_000));
    let outcome = drain(service).await;
    assert_eq!(cut(&outcome), [&Label::from("http"), &Label::from("worker")]);
    // 10 s without 2 s and 1 s, and 0.1 s behind each stage that is cut; each with its last call 2 s before.
    assert_eq!((log.at("http last call"), log.at("http ended")), (Some(4_800), Some(6_800)));
    assert_eq!((log.at("worker last call"), log.at("worker ended")), (Some(6_800), Some(7_900)));
    assert_eq!((log.at("pool begins"), log.at("pool ended")), (Some(7_900), Some(9_800)));
}

/// Budgets that are counted from the beginning of all, as those of queued phases are elsewhere, would be used up.
#[tokio::test(start_paused = true)]
async fn the_most_that_a_stage_takes_is_counted_from_its_own_beginning() {
    let log = Log::new();
    let service = Service::without_signals()
        .task("first", log.part("first", ms(5_000)))
        .at_most(ms(6_000))
        .then()
        .task("second", log.part("second", ms(60_000)))
        .at_most(ms(4_000));
    let outcome = drain(service).await;
    assert_eq!(cut(&outcome), [&Label::from("second")]);
    assert_eq!((log.at("second last call"), log.at("second ended")), (Some(7_000), Some(9_000)));
}

/// Those of .NET's hosted services and of Spring's phases add up: four hung stages take four times as long.
#[tokio::test(start_paused = true)]
async fn times_do_not_add_up_beyond_the_one_deadline() {
    let log = Log::new();
    let mut service = Service::without_signals().deadline(ms(5_000));
    for name in ["a", "b", "c", "d"] {
        service = service.task(name, log.part(name, ms(60_000))).at_most(ms(4_000)).then();
    }
    let outcome = drain(service).await;
    assert_eq!(outcome.cut().len(), 4);
    assert!(log.at("d ended").unwrap() <= 5_000, "{:?}", log.lines());
}

/// swift-service-lifecycle waits for ever unless it is told not to (issues 207 and 253).
#[tokio::test(start_paused = true)]
async fn a_service_that_is_told_no_time_has_a_deadline_of_thirty_seconds() {
    let log = Log::new();
    let outcome = drain(Service::without_signals().task("hangs", log.part("hangs", ms(1_000_000)))).await;
    assert_eq!(
        (cut(&outcome).len(), log.at("hangs last call"), log.at("hangs ended")),
        (1, Some(28_000), Some(30_000))
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nothing_is_cut_and_no_last_call_comes() {
    let log = Log::new();
    let service = Service::without_signals().deadline(None).task("worker", log.part("worker", ms(3_600_000)));
    assert!(drain(service).await.is_clean());
    assert_eq!((log.at("worker last call"), log.at("worker ended")), (None, Some(3_600_000)));
}

#[tokio::test(start_paused = true)]
async fn a_last_call_gives_the_work_back_before_it_is_cut() {
    let returned = Arc::new(Mutex::new(None));
    let (saved, begun) = (returned.clone(), Instant::now());
    let service =
        Service::without_signals().deadline(ms(5_000)).last_call(ms(500)).task("worker", move |part| async move {
            if part.until_last_call(sleep(ms(60_000))).await.is_none() {
                *saved.lock().unwrap() = Some(begun.elapsed().as_millis());
            }
        });
    assert!(drain(service).await.is_clean(), "what gives its work back in time is not cut");
    assert_eq!(*returned.lock().unwrap(), Some(4_500));
}

/// swift-service-lifecycle keeps its order only if nothing is cancelled (issue 232).
#[tokio::test(start_paused = true)]
async fn a_forced_close_keeps_the_order_and_every_reserve() {
    let log = Log::new();
    let service = Service::without_signals()
        .task("http", log.part("http", ms(60_000)))
        .then()
        .task("worker", log.part("worker", ms(60_000)))
        .reserve(ms(700))
        .finally("pool", log.action("pool", ms(300)))
        .finally("telemetry", log.action("telemetry", ms(60_000)))
        .reserve(ms(200));
    let all = service.drain().clone();
    tokio::spawn(async move {
        sleep(ms(1_000)).await;
        all.close();
    });
    let outcome = drain(service).await;
    assert_eq!(cut(&outcome), ["http", "worker", "telemetry"].map(Label::from).iter().collect::<Vec<_>>());
    assert!(outcome.to_string().starts_with("closed by force after"), "{outcome}");
    let expected = lines(&[
        ("http begins", 0),
        ("http ended", 1_000),
        ("worker begins", 1_000),
        ("worker last call", 1_000),
        ("worker ended", 1_700),
        ("pool begins", 1_700),
        ("pool ended", 2_000),
        ("telemetry begins", 2_000),
        ("telemetry ended", 2_200),
    ]);
    // The end of what hears of a forced close is told before or behind its last call.
    assert_eq!(log.lines().into_iter().filter(|it| it.0 != "http last call").collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_lame_duck_time_comes_before_the_deadline_and_a_forced_close_ends_it() {
    for (forced, begins) in [(None, 3_000), (Some(ms(1_000)), 1_000)] {
        let log = Log::new();
        let service = Service::without_signals().lame_duck(ms(3_000)).task("http", log.part("http", ms(100)));
        let (all, readiness) = (service.drain().clone(), service.readiness());
        if let Some(time) = forced {
            tokio::spawn(async move {
                sleep(time).await;
                assert!(!readiness.is_ready());
                all.close();
            });
        }
        let outcome = drain(service).await;
        assert_eq!(outcome.is_clean(), forced.is_none(), "{outcome}");
        assert!(log.begun.elapsed() < ms(begins + 200), "{:?}", log.begun.elapsed());
        assert!(forced.is_some() || log.at("http begins") == Some(begins.into()), "{:?}", log.lines());
    }
}

/// Stages as they may come: their times in milliseconds, and how long they need.
#[derive(Clone, Debug)]
struct Stage {
    most: Option<u64>,
    reserve: Option<u64>,
    needs: u64,
    is_closing: bool,
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let stage = (prop::option::of(0_u64..8_000), prop::option::of(0_u64..2_000), 0_u64..20_000, any::<bool>());
    let stage = stage.prop_map(|(most, reserve, needs, is_closing)| Stage { most, reserve, needs, is_closing });
    prop::collection::vec(stage, 1..6)
}

#[test]
fn a_thousand_services_are_never_late_keep_their_order_and_their_reserves_forced_or_not() {
    let mut runner = TestRunner::new(Config::with_cases(1_000));
    let forced = prop::option::of(0_u64..20_000);
    let plans = ((0_u64..20_000), stages(), forced);
    let judged = runner.run(&plans, |(deadline, stages, forced)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(one(deadline, &stages, forced))
    });
    judged.unwrap();
}

async fn one(deadline: u64, stages: &[Stage], forced: Option<u64>) -> Result<(), TestCaseError> {
    let log = Log::new();
    let mut service = Service::without_signals().deadline(ms(deadline));
    for (at, stage) in stages.iter().enumerate() {
        let (name, needs) = (at.to_string(), ms(stage.needs));
        service = if stage.is_closing {
            service.finally(name.clone(), log.action(&name, needs))
        } else {
            service.then().task(name.clone(), log.part(&name, needs))
        };
        service = stage.most.map(ms).into_iter().fold(service, Service::at_most);
        service = stage.reserve.map(ms).into_iter().fold(service, Service::reserve);
    }
    let all = service.drain().clone();
    if let Some(forced) = forced {
        tokio::spawn(async move {
            sleep(ms(forced)).await;
            all.close();
        });
    }
    let outcome = drain(service).await;
    if outcome.start_error().is_some() {
        let reserved: u64 = stages.iter().filter_map(|it| it.reserve).sum();
        prop_assert!(reserved + 100 * (stages.len() as u64) > deadline, "{}", outcome);
        return Ok(());
    }
    let mut last_end = 0;
    // Timers come up to a millisecond late, and no earlier.
    let mut late = 2;
    for (at, stage) in stages.iter().enumerate() {
        let (begins, ended) = (log.at(&format!("{at} begins")), log.at(&format!("{at} ended")));
        let (Some(begins), Some(ended)) = (begins, ended) else {
            // It was cut before its task had run once.
            prop_assert!(outcome.cut().iter().any(|it| it.0.to_string() == at.to_string()), "{at}: {:?}", log.lines());
            continue;
        };
        prop_assert!(begins >= last_end, "{at} began before {last_end}: {:?}", log.lines());
        prop_assert!(ended <= u128::from(deadline) + late, "{at}: {:?}", log.lines());
        let reserve = stage.reserve.unwrap_or(0).min(stage.most.unwrap_or(u64::MAX)).min(stage.needs);
        prop_assert!(ended - begins + late >= u128::from(reserve), "{at} had {:?}", log.lines());
        last_end = ended;
        late += 2;
    }
    Ok(())
}
