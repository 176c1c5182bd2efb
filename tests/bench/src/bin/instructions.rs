//! One operation of the hot path, so many times: `instructions <guard | repoll | subscribe> <times>`. For `tests/instructions.sh`,
//! which counts the instructions of two runs and divides the difference.

use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let times: u32 = words.next().and_then(|it| it.parse().ok()).expect("how many times");
    let drain = ebbtide::Drain::new();
    let mut watcher = drain.watcher();
    match &*what {
        "guard" => {
            for _ in 0..times {
                drop(black_box(watcher.guard()));
            }
        }
        "repoll" => {
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..times {
                assert!(black_box(Pin::new(&mut watcher).poll(&mut context)).is_pending());
            }
        }
        "subscribe" => {
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..times {
                assert!(black_box(Pin::new(&mut watcher.clone()).poll(&mut context)).is_pending());
            }
        }
        _ => panic!("which operation: guard, repoll or subscribe"),
    }
}
