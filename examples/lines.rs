//! A line protocol, without HTTP: lines that a client has sent before the drain are answered.
//!
//! `cargo run --example lines`, then `nc 127.0.0.1 8080` in another terminal: what you type comes back in capitals. Ctrl-C
//! here ends it, 100 ms after the last line.

use std::env;
use std::error::Error;
use std::time::Duration;

use ebbtide::{Drain, Draining, Guard};
use ebbtide_signal::{Signals, escalate};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

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
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let drain = Drain::new();
    let guard = drain.guard().ok_or(Draining)?;
    escalate(drain.clone(), Signals::new()?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);

    let served = ebbtide_tokio::serve(listener, guard, session).on_error(|failure| eprintln!("lines: {failure}"));
    let served = served.await;
    ebbtide_tokio::within(drain.start(), Duration::from_secs(10)).await?;
    println!("drained");
    Ok(served?)
}
