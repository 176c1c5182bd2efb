//! Clients with a WebSocket each: they echo until the server says goodbye, answer that, and come again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message};
use futures_util::StreamExt;
use tokio::net::TcpStream;

use crate::load::{Dice, PATIENCE};
use crate::tally::Tally;

/// What is noted of every goodbye that is as it should be.
pub(crate) const GOODBYE: &str = "goodbyes 1001";

pub(crate) async fn client(addr: SocketAddr, mut dice: Dice, tally: &RefCell<Tally>) {
    loop {
        let ended = one(addr, &mut dice, tally).await;
        if let Err(why) = ended {
            tally.borrow_mut().failed(why);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn one(addr: SocketAddr, dice: &mut Dice, tally: &RefCell<Tally>) -> Result<(), String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| error.kind().to_string())?;
    let opening = async_tungstenite::tokio::client_async(format!("ws://{addr}/ws"), stream);
    let opened = tokio::time::timeout(PATIENCE, opening).await.map_err(|_| "not opened in time")?;
    let (mut socket, _) = opened.map_err(|error| format!("not opened: {error}"))?;
    for number in 0_u64.. {
        let mut said = None;
        // Between two messages it listens, so that a goodbye is heard at once.
        let heard = tokio::time::timeout(Duration::from_millis(dice.roll(50)), socket.next()).await;
        let heard = if let Ok(heard) = heard {
            heard
        } else {
            let text = number.to_string();
            let begun = Instant::now();
            // If this fails, what is heard says why.
            drop(socket.send(Message::text(text.as_str())).await);
            said = Some((text, begun));
            tokio::time::timeout(PATIENCE, socket.next()).await.map_err(|_| "no echo in time")?
        };
        match (heard, said) {
            (Some(Ok(Message::Text(text))), Some((said, begun))) if text.as_str() == said => {
                tally.borrow_mut().answered(begun.elapsed());
            }
            (Some(Ok(Message::Close(Some(frame)))), said) if frame.code == CloseCode::Away => {
                let mut tally = tally.borrow_mut();
                tally.noted(GOODBYE);
                if said.is_some() {
                    tally.noted("messages that crossed a goodbye");
                }
                break;
            }
            (Some(Ok(other)), _) => return Err(format!("unexpected: {other:?}")),
            (Some(Err(error)), _) => return Err(format!("no goodbye: {error}")),
            (None, _) => return Err("no goodbye: closed".into()),
        }
    }
    // Reading on sends the answer, and waits for the server to close.
    let end = tokio::time::timeout(PATIENCE, socket.next()).await.map_err(|_| "not closed in time")?;
    match end {
        None | Some(Err(Error::ConnectionClosed)) => Ok(()),
        Some(other) => Err(format!("after the goodbye: {other:?}")),
    }
}
