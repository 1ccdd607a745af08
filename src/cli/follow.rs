//! Follows the events of one thing until it rests, through broken connections, missing none and seeing
//! none twice; it may not know how they are shown.

use std::time::Duration;

use prost_types::Timestamp;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::{
    client::{Client, Opened, is_broken},
    failure::Failure,
    shown,
};
use crate::api::pb;

/// The first pause before a stream is opened again; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who is told while something is followed.
pub(super) trait Watcher {
    /// Something happened.
    fn event(&mut self, event: &pb::Event) -> Result<(), Failure>;
    /// The service went away and is tried again.
    fn trouble(&mut self, why: &str);
    /// Nothing more will be told.
    fn end(&mut self);
}

/// What is followed, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trail<'id> {
    /// Its noun as the command line has it.
    pub(super) command: &'static str,
    /// Its id.
    pub(super) id: &'id str,
    /// The first event to tell.
    pub(super) from_sequence: i64,
    /// What happened before is replayed by the service but not told.
    pub(super) since: Option<Timestamp>,
    /// How long to try again when the service goes away.
    pub(super) patience: Duration,
}

/// Follows until the thing rests or is gone and returns the last event, if there was one. `open` opens the
/// stream from the event of a number on.
pub(super) async fn follow(
    client: &Client,
    trail: Trail<'_>,
    watcher: &mut dyn Watcher,
    open: impl AsyncFn(i64) -> Opened,
) -> Result<Option<pb::Event>, Failure> {
    let interrupted = tokio::signal::ctrl_c();
    let ended = tokio::select! {
        ended = follow_through(client, trail, watcher, open) => ended,
        _signal = interrupted => Err(Failure::Interrupted(format!(
            "stopped looking; the work goes on: drbackup {} watch {}",
            trail.command,
            trail.id
        ))),
    };
    watcher.end();
    ended
}

/// Opens the stream again and again. It ends because each success or failure of a stream either ends
/// it or uses up patience.
async fn follow_through(
    client: &Client,
    trail: Trail<'_>,
    watcher: &mut dyn Watcher,
    open: impl AsyncFn(i64) -> Opened,
) -> Result<Option<pb::Event>, Failure> {
    let mut next = trail.from_sequence;
    let mut last = None;
    let mut pause = FIRST_PAUSE;
    let mut patience_ends = Instant::now() + trail.patience;
    loop {
        let before = next;
        let ended = one_stream(&open, trail, watcher, &mut next, &mut last).await;
        if next > before {
            pause = FIRST_PAUSE;
            patience_ends = Instant::now() + trail.patience;
        }
        let status = match ended {
            Ok(()) => return Ok(last),
            Err(Ended::Told(failure)) => return Err(failure),
            Err(Ended::Broken(status)) => status,
        };
        // Whoever deletes a thing may lose the stream and find nothing left to open it for.
        let was_going = last
            .as_ref()
            .is_some_and(|event: &pb::Event| event.state() == pb::State::Deleting);
        if status.code() == Code::NotFound && was_going {
            return Ok(last.map(|event| pb::Event {
                state: pb::State::Deleted.into(),
                runtime_state: "Deleted".to_owned(),
                ..event
            }));
        }
        if !may_pass(&status) || Instant::now() + pause > patience_ends {
            return Err(client.explain(status));
        }
        watcher.trouble(status.message());
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why a stream ended before its time.
enum Ended {
    /// The watcher had enough.
    Told(Failure),
    /// The service or the connection broke it.
    Broken(Status),
}

async fn one_stream(
    open: &impl AsyncFn(i64) -> Opened,
    trail: Trail<'_>,
    watcher: &mut dyn Watcher,
    next: &mut i64,
    last: &mut Option<pb::Event>,
) -> Result<(), Ended> {
    let mut stream = open(*next).await.map_err(Ended::Broken)?.into_inner();
    while let Some(event) = stream.message().await.map_err(Ended::Broken)? {
        if event.sequence < *next {
            continue;
        }
        *next = event.sequence + 1;
        if is_after(&event, trail.since.as_ref()) {
            watcher.event(&event).map_err(Ended::Told)?;
        }
        *last = Some(event);
    }
    let is_over = last
        .as_ref()
        .is_none_or(|event| shown::is_at_rest(event.state));
    if is_over {
        return Ok(());
    }
    Err(Ended::Broken(Status::unavailable(
        "the service ended the stream early",
    )))
}

fn is_after(event: &pb::Event, since: Option<&Timestamp>) -> bool {
    let (Some(time), Some(since)) = (&event.time, since) else {
        return true;
    };
    (time.seconds, time.nanos) >= (since.seconds, since.nanos)
}

/// Whether opening the stream again can help.
fn may_pass(status: &Status) -> bool {
    is_broken(status)
        || matches!(
            status.code(),
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded
        )
}

/// Tells the events of a stream that never ends by itself until interrupted or out of patience.
pub(super) async fn follow_many(
    client: &Client,
    patience: Duration,
    watcher: &mut dyn Watcher,
    open: impl AsyncFn() -> Opened,
) -> Result<(), Failure> {
    let interrupted = tokio::signal::ctrl_c();
    let ended = tokio::select! {
        ended = follow_many_through(client, patience, watcher, open) => ended,
        _signal = interrupted => Err(Failure::Interrupted(String::new())),
    };
    watcher.end();
    ended
}

/// Opens the stream again and again, each time beginning with the present. It ends because each
/// failure of a stream uses up patience.
async fn follow_many_through(
    client: &Client,
    patience: Duration,
    watcher: &mut dyn Watcher,
    open: impl AsyncFn() -> Opened,
) -> Result<(), Failure> {
    let mut pause = FIRST_PAUSE;
    let mut patience_ends = Instant::now() + patience;
    loop {
        let status = match open().await {
            Err(status) => status,
            Ok(stream) => {
                let mut stream = stream.into_inner();
                pause = FIRST_PAUSE;
                patience_ends = Instant::now() + patience;
                loop {
                    match stream.message().await {
                        Ok(Some(event)) => watcher.event(&event)?,
                        Ok(None) => break Status::unavailable("the service ended the stream"),
                        Err(status) => break status,
                    }
                }
            }
        };
        if !may_pass(&status) || Instant::now() + pause > patience_ends {
            return Err(client.explain(status));
        }
        watcher.trouble(status.message());
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
