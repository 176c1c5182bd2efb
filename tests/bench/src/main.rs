//! What a guard and a watcher cost: ours, the peers', and the physical limit, in one run.
//!
//! `cargo run --release -p ebbtide-bench` prints the machine, everybody's figures and our bounds, and draws two
//! pictures into `docs/`. Each figure is the median of the rounds, and within a round each figure is taken of
//! everybody before the next one, so that a disturbance meets all. With `--check` a missed bound is an error.
//!
//! The only allocator that can count without `unsafe` in our own code looks at a thread local in each allocation. While
//! times are taken it does no more than that; it is less than a nanosecond, in favour of those who do not allocate.

mod cores;
mod figure;
mod machine;
mod peer;
mod peers;
mod plot;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::{fs, io};

use crate::figure::{Figure, SIZES};
use crate::peer::Guards;
use crate::peers::{AsyncShutdown, Drain, Ebbtide, HyperUtil, Limit, Swansong, TokioGraceful, TokioUtil};
use crate::plot::{Line, Plot};
use crate::table::Column;

const ROUNDS: usize = 15;

type Taker = fn(Figure) -> Option<f64>;

/// The columns. Of the limit there are guards only.
const EVERYBODY: [(&str, Taker); 8] = [
    (table::OURS, Figure::of_peer::<Ebbtide>),
    (table::LIMIT, Figure::of_guards::<Limit>),
    (table::NEAREST, Figure::of_peer::<Swansong>),
    ("tokio-util", Figure::of_peer::<TokioUtil>),
    ("hyper-util", Figure::of_peer::<HyperUtil>),
    ("drain", Figure::of_peer::<Drain>),
    ("async-shutdown", Figure::of_peer::<AsyncShutdown>),
    ("tokio-graceful", Figure::of_peer::<TokioGraceful>),
];

fn main() -> io::Result<ExitCode> {
    let check = std::env::args().any(|it| it == "--check");
    println!("{}", machine::describe());

    let threads = threads();
    let columns = measure(&figures(&threads));
    println!("Nanoseconds, but for the heap; medians of {ROUNDS} interleaved rounds.\n");
    println!("{}", table::figures(&columns));

    let (verdicts, kept) = table::verdicts(&columns, wakes_of_the_last_guard());
    println!("{verdicts}");

    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    fs::create_dir_all(&docs)?;
    fs::write(docs.join("guard-cost.svg"), guard_cost(&columns, &threads).to_string())?;
    fs::write(docs.join("wake-cost.svg"), wake_cost(&columns).to_string())?;
    Ok(if check && !kept { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// 1, 2, 4, ... as far as there are cores.
fn threads() -> Vec<usize> {
    let cores = cores::all().len().max(1);
    std::iter::successors(Some(1), |it| Some(it * 2)).take_while(|it| *it <= cores).collect()
}

fn figures(threads: &[usize]) -> Vec<Figure> {
    let mut all = Vec::new();
    all.extend(threads.iter().map(|&threads| Figure::Guard { threads }));
    all.extend(threads.iter().map(|&threads| Figure::SharedGuard { threads }));
    all.push(Figure::Repoll);
    all.extend(threads.iter().map(|&threads| Figure::Subscribe { threads }));
    all.extend(SIZES.map(|held| Figure::GuardAmong { held }));
    all.extend(SIZES.map(|waiting| Figure::RepollAmong { waiting }));
    all.extend(SIZES.map(|waiting| Figure::SubscribeAmong { waiting }));
    all.extend(SIZES.map(|waiting| Figure::Wake { waiting }));
    all.extend(SIZES.map(|waiting| Figure::Heap { waiting }));
    all.extend(SIZES.map(|held| Figure::Release { held }));
    all
}

fn measure(figures: &[Figure]) -> Vec<Column> {
    let mut taken: [BTreeMap<Figure, Vec<f64>>; EVERYBODY.len()] = Default::default();
    for _ in 0..ROUNDS {
        for &figure in figures {
            for ((_, take), taken) in EVERYBODY.iter().zip(&mut taken) {
                if let Some(value) = take(figure) {
                    taken.entry(figure).or_default().push(value);
                }
            }
        }
    }
    let medians = |taken: BTreeMap<Figure, Vec<f64>>| taken.into_iter().map(|(it, all)| (it, cores::median(all)));
    let columns = EVERYBODY.iter().zip(taken);
    columns.map(|((name, _), taken)| Column { name, figures: medians(taken).collect() }).collect()
}

/// How often the task that awaits the end is woken.
fn wakes_of_the_last_guard() -> usize {
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let drain = ebbtide::Drain::new();
    let guards: Vec<_> = (0..SIZES[0]).map(|_| Ebbtide::guard(&drain.watcher())).collect();
    let mut drained = pin!(drain.start());
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    assert!(drained.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(guards);
    assert!(drained.poll(&mut Context::from_waker(&waker)).is_ready());
    count.0.load(Ordering::Relaxed)
}

fn guard_cost(columns: &[Column], threads: &[usize]) -> Plot {
    Plot {
        title: "Take and release a guard",
        across: "threads at once, each on a core of its own",
        up: "ns per guard and thread",
        lines: lines(columns, threads, |&threads| Figure::Guard { threads }),
    }
}

fn wake_cost(columns: &[Column]) -> Plot {
    Plot {
        title: "Wake all who wait",
        across: "waiting watchers",
        up: "ns per watcher",
        lines: lines(columns, &SIZES, |&waiting| Figure::Wake { waiting }),
    }
}

fn lines<T: ToString>(columns: &[Column], across: &[T], figure: impl Fn(&T) -> Figure) -> Vec<Line> {
    let point = |column: &Column, at: &T| Some((at.to_string(), *column.figures.get(&figure(at))?));
    columns.iter().map(|column| (column.name, across.iter().filter_map(|at| point(column, at)).collect())).collect()
}
