//! A line protocol, without HTTP: lines that a client has sent before the drain are answered.
//!
//! `cargo run --example lines`, then `nc 127.0.0.1 8080` in another terminal: what you type comes back in capitals. Ctrl-C
//! here ends it, 100 ms after the last line.

use std::env;
use std::time::Duration;

use ebbtide::Guard;
use ebbtide_tokio::{Outcome, Service, bind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long a line may have been under way when the drain began.
const GRACE: Duration = Duration::from_millis(100);

async fn session(mut stream: TcpStream, guard: Guard) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    // `until_draining` would drop the lines that are here already, unread.
    let mut grace = guard.watcher().grace(GRACE, tokio::time::sleep);
    while let Some(line) = grace.during(lines.next_line()).await {
        let Some(line) = line? else { return Ok(()) };
        // Outside the grace: what was begun is finished.
        write.write_all(format!("{}\n", line.to_uppercase()).as_bytes()).await?;
    }
    write.write_all(b"goodbye\n").await
}

#[tokio::main]
async fn main() -> Outcome {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    Service::new()
        .deadline(Duration::from_secs(10))
        .on_event(|event| println!("{event}"))
        .serve("lines", bind(address).await, session)
        .run()
        .await
}
