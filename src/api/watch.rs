//! Streams of events: replay from a number, then follow; it may not know what the events are about.
//!
//! A stream is polled by its connection and never runs by itself: a slow watcher reads late, and
//! nobody waits for it. Wake-ups carry no data, so a lost one costs nothing but time, and a stream
//! reads what is new from the store as often as it is woken.

mod change_feed;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use futures::{FutureExt as _, Stream, future::BoxFuture, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::change_feed::{ChangeFeed, Follow};
use super::{
    convert::progress,
    filter, pb,
    point_summary::PointSummary,
    status::{going_down, status, too_many_streams},
};
use crate::{
    domain::{
        error::Error,
        event::Event,
        id::{PointId, ResourceId},
        lifecycle::State,
        page::{Cursor, Filter, Order, Page, Query},
    },
    service::acting::Acting,
};

/// What a method that streams answers with.
pub(super) type EventStream = Pin<Box<dyn Stream<Item = Result<pb::Event, Status>> + Send>>;

/// Events, changes and rows that are read at once at most: what a stream holds in memory.
const READ_AT_ONCE: u32 = 256;

/// How many are read at first: whoever never takes one has no more than that waiting.
const READ_AT_FIRST: u32 = 8;

/// The part of the service that streams need.
#[async_trait]
pub(super) trait EventSource: Send + Sync + 'static {
    /// The events of a resource above a sequence number.
    async fn events_after(
        &self,
        resource: ResourceId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, Error>;
    /// The resources with news after a position, and the position to go on from.
    async fn changed_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), Error>;
    /// Waits until whoever reads may not do so any more, and tells why.
    async fn over(&self) -> Error;
    /// Wakes whenever any event was written.
    fn wake_ups(&self) -> watch::Receiver<u64>;
    /// The state of a resource; nothing when it is gone, and an error when its events are not to be told.
    async fn state(&self, resource: ResourceId) -> Result<Option<State>, Error>;
    /// How a point stands.
    async fn point(&self, id: PointId) -> Result<PointSummary, Error>;
    /// A page of points.
    async fn points(&self, query: Query) -> Result<Page<PointSummary>, Error>;
}

#[async_trait]
impl EventSource for Acting {
    async fn events_after(
        &self,
        resource: ResourceId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        Self::events_after(self, resource, sequence, limit).await
    }

    async fn changed_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), Error> {
        Self::changed_after(self, position, limit).await
    }

    async fn over(&self) -> Error {
        Self::over(self).await
    }

    fn wake_ups(&self) -> watch::Receiver<u64> {
        Self::wake_ups(self)
    }

    async fn state(&self, resource: ResourceId) -> Result<Option<State>, Error> {
        self.followed(resource).await
    }

    async fn point(&self, id: PointId) -> Result<PointSummary, Error> {
        Ok(self.point_get(id).await?.into())
    }

    async fn points(&self, query: Query) -> Result<Page<PointSummary>, Error> {
        let page = self.points_list(query).await?;
        Ok(Page {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next,
        })
    }
}

/// All open streams of a door.
#[derive(Clone)]
pub(super) struct Watches {
    feed: Arc<ChangeFeed>,
    permits: Arc<Semaphore>,
    most: usize,
    stop: CancellationToken,
    /// There are changes up to here; the next stream need not find that out again.
    known: Arc<AtomicU64>,
}

impl Watches {
    /// None open, at most so many at once, all ending with `stop`.
    pub(super) fn new(most: usize, stop: CancellationToken) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            feed: Arc::default(),
            permits: Arc::new(Semaphore::new(most)),
            most,
            stop,
            known: Arc::default(),
        }
    }

    /// The events of one resource from a sequence number on.
    pub(super) async fn one(
        &self,
        source: Arc<dyn EventSource>,
        resource: ResourceId,
        from_sequence: u64,
        until_settled: bool,
    ) -> Result<EventStream, Status> {
        let mut follower = OneFollower {
            tail: self.tail(source)?,
            follow: self.feed.follow(resource),
            resource,
            told: from_sequence.saturating_sub(1),
            until_settled,
            last_state: None,
            pace: Pace::new(),
            queue: VecDeque::new(),
        };
        // What was never there is refused at once; what is gone can still be read to its end.
        let state = follower.tail.source.state(resource).await;
        if state.map_err(|error| status(&error))?.is_none() {
            follower.read_on().await?;
            if follower.queue.is_empty() {
                let error = Error::not_found(resource.noun(), resource.uuid());
                return Err(status(&error));
            }
        }
        Ok(streamed(follower))
    }

    /// The present of all points that fit, and then their news.
    pub(super) async fn many(
        &self,
        source: Arc<dyn EventSource>,
        filter: Filter,
    ) -> Result<EventStream, Status> {
        let tail = self.tail(source)?;
        // The position is taken before the present is read: what happens in between is told twice
        // to this stream, and recognised by its sequence.
        let known = self.known.load(Relaxed);
        let position = present_position(tail.source.as_ref(), known)
            .await
            .map_err(|one| status(&one))?;
        self.known.fetch_max(position, Relaxed);
        Ok(streamed(ManyFollower {
            tail,
            filter,
            position,
            present: Present::From(None),
            told: HashMap::new(),
            due: VecDeque::new(),
            pace: Pace::new(),
            queue: VecDeque::new(),
        }))
    }

    fn tail(&self, source: Arc<dyn EventSource>) -> Result<Tail, Status> {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| too_many_streams(self.most))?;
        Ok(Tail {
            wake_ups: source.wake_ups(),
            over: {
                let source = Arc::clone(&source);
                Box::pin(async move { source.over().await })
            },
            source,
            stop: self.stop.clone(),
            _permit: permit,
        })
    }
}

/// The position of the last change there is, at `known` or behind it; found by halving, because nobody
/// counts the changes of years for each stream.
///
/// A change that comes meanwhile may be passed, which is right: the present is read after this.
async fn present_position(source: &dyn EventSource, known: u64) -> Result<u64, Error> {
    // The last change is at `low` or behind it, and, once `high` has none behind it, not behind that.
    let (mut low, mut high, mut step) = (known, known, 1_u64);
    while let Some(next) = change_behind(source, high).await? {
        low = next;
        high = next.saturating_add(step);
        step = step.saturating_mul(2);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        match change_behind(source, middle).await? {
            Some(next) => low = next,
            None => high = middle,
        }
    }
    Ok(low)
}

/// The position of the first change behind a position.
async fn change_behind(source: &dyn EventSource, position: u64) -> Result<Option<u64>, Error> {
    let (_, next) = source.changed_after(position, 1).await?;
    Ok(Some(next).filter(|next| *next > position))
}

/// What every stream needs while it waits.
struct Tail {
    source: Arc<dyn EventSource>,
    wake_ups: watch::Receiver<u64>,
    /// Ends when the right of whoever reads does.
    over: BoxFuture<'static, Error>,
    stop: CancellationToken,
    /// Given back when the stream ends, however it ends.
    _permit: OwnedSemaphorePermit,
}

impl Tail {
    /// Forgets the wake-ups so far. To be called before reading: what is written after that wakes
    /// again, and what was written before it is read, so nothing falls in between.
    fn rest(&mut self) {
        self.wake_ups.mark_unchanged();
    }

    /// Waits for news, or for the end of the service.
    async fn wait(&mut self) -> Result<(), Status> {
        tokio::select! {
            () = self.stop.cancelled() => Err(going_down()),
            error = &mut self.over => Err(status(&error)),
            woken = self.wake_ups.changed() => woken.map_err(|_| going_down()),
        }
    }

    /// Refuses to go on when the service or the right of whoever reads has ended: also one who has always
    /// something to read.
    fn check_open(&mut self) -> Result<(), Status> {
        if self.stop.is_cancelled() {
            return Err(going_down());
        }
        match (&mut self.over).now_or_never() {
            Some(error) => Err(status(&error)),
            None => Ok(()),
        }
    }
}

/// How many are read at once: twice as many each time that all of those before were taken.
struct Pace(u32);

impl Pace {
    fn new() -> Self {
        Self(READ_AT_FIRST)
    }

    fn next(&mut self) -> u32 {
        let now = self.0;
        self.0 = now.saturating_mul(2).min(READ_AT_ONCE);
        now
    }
}

/// Something that tells one event after another.
trait Follower: Send + 'static {
    /// The next event; nothing at a good end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Event>, Status>> + Send;
}

/// The stream of a follower; it ends after the first refusal.
fn streamed(follower: impl Follower) -> EventStream {
    Box::pin(stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        match follower.next().await {
            Ok(Some(event)) => Some((Ok(progress::event(event)), Some(follower))),
            Ok(None) => None,
            Err(refusal) => Some((Err(refusal), None)),
        }
    }))
}

/// Follows one resource.
struct OneFollower {
    tail: Tail,
    follow: Follow,
    resource: ResourceId,
    /// The sequence that was told last.
    told: u64,
    until_settled: bool,
    /// The state that was told last.
    last_state: Option<State>,
    pace: Pace,
    queue: VecDeque<Event>,
}

impl OneFollower {
    /// Reads what is new.
    async fn read_on(&mut self) -> Result<(), Status> {
        self.tail.rest();
        let events = self
            .tail
            .source
            .events_after(self.resource, self.told, self.pace.next());
        self.queue
            .extend(events.await.map_err(|error| status(&error))?);
        Ok(())
    }

    /// Waits for news of the resource.
    async fn wait(&mut self) -> Result<(), Status> {
        loop {
            self.tail.wait().await?;
            let woken = *self.tail.wake_ups.borrow_and_update();
            let source = self.tail.source.as_ref();
            let news = self.follow.has_news(source, woken).await;
            if news.map_err(|error| status(&error))? {
                return Ok(());
            }
        }
    }

    /// Whether the resource is at rest, once everything is told.
    async fn settled(&mut self) -> Result<bool, Status> {
        if let Some(state) = self.last_state {
            return Ok(!state.is_busy());
        }
        match self.tail.source.state(self.resource).await {
            Ok(state) => Ok(state.is_none_or(|state| !state.is_busy())),
            // It went while it was followed.
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(status(&error)),
        }
    }
}

impl Follower for OneFollower {
    async fn next(&mut self) -> Result<Option<Event>, Status> {
        loop {
            self.tail.check_open()?;
            if let Some(event) = self.queue.pop_front() {
                self.told = event.sequence;
                self.last_state = Some(event.state);
                return Ok(Some(event));
            }
            if self.last_state == Some(State::Deleted) {
                return Ok(None);
            }
            self.read_on().await?;
            if !self.queue.is_empty() {
                continue;
            }
            if self.until_settled && self.settled().await? {
                return Ok(None);
            }
            self.wait().await?;
        }
    }
}

/// Follows all points that fit a filter.
struct ManyFollower {
    tail: Tail,
    filter: Filter,
    /// Changes up to here are told or due.
    position: u64,
    present: Present,
    /// The sequence that was told last, of each point that was told.
    told: HashMap<PointId, u64>,
    /// Points to look at.
    due: VecDeque<PointId>,
    pace: Pace,
    queue: VecDeque<Event>,
}

/// How much of the present was told.
enum Present {
    /// What comes before this place; nothing when it is none.
    From(Option<Cursor>),
    /// All of it.
    Told,
}

impl ManyFollower {
    /// Queues what one point has to tell.
    async fn look_at(&mut self, id: PointId) -> Result<(), Error> {
        let (source, resource) = (Arc::clone(&self.tail.source), ResourceId::Point(id));
        let point = match source.point(id).await {
            Ok(point) => Some(point),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let fits = point
            .as_ref()
            .is_some_and(|point| filter::fits(&self.filter, point));
        let Some(told) = self.told.get(&id).copied() else {
            if let Some(point) = point.filter(|_| fits) {
                let last = last_event(source.as_ref(), resource, point.revision).await?;
                self.told
                    .insert(id, last.as_ref().map_or(0, |event| event.sequence));
                self.queue.extend(last);
            }
            return Ok(());
        };
        let at_once = self.pace.next();
        let events = source.events_after(resource, told, at_once).await?;
        if let Some(newest) = events.last() {
            self.told.insert(id, newest.sequence);
            let more = events.len() >= at_once as usize;
            self.queue.extend(events);
            if more {
                // It is looked at again when these are taken.
                self.due.push_front(id);
                return Ok(());
            }
        }
        if !fits {
            self.told.remove(&id);
        }
        Ok(())
    }

    /// Makes the next page of the present due.
    async fn list_on(&mut self, after: Option<Cursor>) -> Result<(), Error> {
        let query = Query {
            filter: self.filter.clone(),
            order: Order {
                descending: false,
                ..Order::default()
            },
            after,
            limit: self.pace.next(),
            ..Query::default()
        };
        let page = self.tail.source.points(query).await?;
        self.due.extend(page.items.iter().map(|point| point.id));
        self.present = page
            .next
            .map_or(Present::Told, |next| Present::From(Some(next)));
        Ok(())
    }

    /// Makes due what changed; answers whether there was anything.
    async fn read_on(&mut self) -> Result<bool, Error> {
        self.tail.rest();
        let source = Arc::clone(&self.tail.source);
        let (changed, position) = source
            .changed_after(self.position, self.pace.next())
            .await?;
        let moved = position > self.position;
        self.position = position;
        let kind = self.filter.kind;
        self.due
            .extend(changed.into_iter().filter_map(|resource| match resource {
                ResourceId::Point(id) if kind.is_none_or(|kind| kind == id.kind) => Some(id),
                ResourceId::Point(_) | ResourceId::Restoration(_) | ResourceId::Schedule(_) => None,
            }));
        Ok(moved)
    }
}

impl Follower for ManyFollower {
    async fn next(&mut self) -> Result<Option<Event>, Status> {
        loop {
            self.tail.check_open()?;
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            if let Some(id) = self.due.pop_front() {
                self.look_at(id).await.map_err(|error| status(&error))?;
                continue;
            }
            if let Present::From(after) = &self.present {
                self.list_on(after.clone())
                    .await
                    .map_err(|error| status(&error))?;
                continue;
            }
            if !self.read_on().await.map_err(|error| status(&error))? {
                self.tail.wait().await?;
            }
        }
    }
}

/// The last event of a resource. Most often it is the one that told of this revision, and then
/// nothing else has to be read.
async fn last_event(
    source: &dyn EventSource,
    resource: ResourceId,
    revision: i64,
) -> Result<Option<Event>, Error> {
    let before = u64::try_from(revision).unwrap_or(0).saturating_sub(1);
    let mut last = source
        .events_after(resource, before, READ_AT_ONCE)
        .await?
        .pop();
    loop {
        let after = last.as_ref().map_or(0, |event| event.sequence);
        match source
            .events_after(resource, after, READ_AT_ONCE)
            .await?
            .pop()
        {
            Some(event) => last = Some(event),
            None => return Ok(last),
        }
    }
}

#[cfg(test)]
mod tests;
