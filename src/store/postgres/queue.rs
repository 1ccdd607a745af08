//! The queue of turns: those of several lanes that wait at the same time go into one transaction; it may
//! not know what a turn writes.
//!
//! A commit costs a flush of the log and several ways to the server and back, whatever is in it, so the
//! turns that wait while one is under way share the next. They stay apart all the same: where one is
//! refused nothing of the common transaction stays, and each is written alone.

use std::{ops::Range, sync::Arc};

use futures::FutureExt as _;
use tokio::sync::{
    mpsc::{Receiver, Sender, channel},
    oneshot,
};

use super::{
    Writer,
    sql::turn::{self, LaneTurn},
};
use crate::port::{clock::Clock, journal::JournalError};

/// At most the turns of so many lanes share a commit.
const LANES_PER_COMMIT: usize = 64;

/// At most so many wait in the queue; whoever comes then waits to get in.
const LANES_WAITING: usize = 4_096;

/// A turn that waits, and where its answer goes.
pub(super) struct Waiting {
    pub(super) turn: LaneTurn,
    pub(super) answer: oneshot::Sender<Result<(), JournalError>>,
}

/// Opens the queue. It is worked on until nobody can send any more.
pub(super) fn open(writer: Writer, clock: Arc<dyn Clock>) -> Sender<Waiting> {
    let (sender, waiting) = channel(LANES_WAITING);
    tokio::spawn(work(writer, clock, waiting));
    sender
}

async fn work(writer: Writer, clock: Arc<dyn Clock>, mut waiting: Receiver<Waiting>) {
    let mut group = Vec::with_capacity(LANES_PER_COMMIT);
    while waiting.recv_many(&mut group, LANES_PER_COMMIT).await > 0 {
        let (turns, answers): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|Waiting { turn, answer }| (turn, answer))
            .unzip();
        let turns: Arc<[LaneTurn]> = turns.into();
        match record(&writer, clock.as_ref(), &turns, 0..turns.len()).await {
            Ok(Err(_)) if turns.len() > 1 => {
                // Nothing of it was written. Whoever waits for his lane then keeps nobody waiting.
                for (place, answer) in answers.into_iter().enumerate() {
                    let (writer, clock) = (writer.clone(), Arc::clone(&clock));
                    let turns = Arc::clone(&turns);
                    tokio::spawn(async move {
                        let one = place..place + 1;
                        let recorded = record(&writer, clock.as_ref(), &turns, one).await;
                        // A caller that went away needs no answer.
                        drop(answer.send(recorded.flatten()));
                    });
                }
            }
            recorded => {
                let recorded = recorded.flatten();
                for answer in answers {
                    drop(answer.send(recorded.clone()));
                }
            }
        }
    }
}

/// Writes some turns in one transaction; the inner error says that nothing of it was written.
async fn record(
    writer: &Writer,
    clock: &dyn Clock,
    turns: &Arc<[LaneTurn]>,
    which: Range<usize>,
) -> Result<Result<(), JournalError>, JournalError> {
    let (turns, now) = (Arc::clone(turns), clock.now());
    writer
        .write(move |conn| {
            async move { Ok(((), turn::record(conn, &turns[which], now).await?)) }.boxed()
        })
        .await
        .map_err(JournalError::from)
}
