//! Streams over a source that is made up here; they may not know a store.

use std::sync::{Mutex, atomic::AtomicUsize};

use futures::{FutureExt as _, StreamExt as _};
use tonic::Code;
use uuid::Uuid;

use super::*;
use crate::domain::{
    id::{CloudName, PointId, ProjectId, ServerId, Tenant},
    progress::Progress,
    time::Timestamp,
};

/// A source in memory: DR backups by number, and what happened to them in order.
struct Told {
    happened: Mutex<Vec<(PointId, Event)>>,
    wake: watch::Sender<u64>,
    /// How often it was asked.
    asked: AtomicUsize,
    /// Whether the right to read it has ended.
    ended: watch::Sender<bool>,
    /// How many events it gave.
    given: AtomicUsize,
}

impl Told {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            happened: Mutex::default(),
            wake: watch::Sender::new(0),
            asked: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
            given: AtomicUsize::new(0),
        })
    }

    fn happen(&self, number: u128, state: State) {
        let id = PointId::dr(Uuid::from_u128(number));
        let mut happened = self.happened.lock().expect("lock");
        let before = happened.iter().filter(|(one, _)| *one == id).count();
        let event = Event {
            resource: ResourceId::Point(id),
            sequence: u64::try_from(before).expect("small") + 1,
            time: Timestamp(0),
            state,
            runtime_state: String::new(),
            progress: Progress::default(),
            error: None,
        };
        happened.push((id, event));
        self.wake.send_modify(|number| *number += 1);
    }

    fn last(&self, id: PointId) -> Option<Event> {
        let happened = self.happened.lock().expect("lock");
        happened
            .iter()
            .rev()
            .find(|(one, _)| *one == id)
            .map(|(_, event)| event.clone())
    }
}

#[async_trait]
impl EventSource for Told {
    async fn events_after(
        &self,
        resource: ResourceId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        self.asked.fetch_add(1, Relaxed);
        let happened = self.happened.lock().expect("lock");
        let events = happened.iter().map(|(_, event)| event);
        let new = events.filter(|one| one.resource == resource && one.sequence > sequence);
        let limit = usize::try_from(limit).expect("small");
        let events: Vec<Event> = new.take(limit).cloned().collect();
        self.given.fetch_add(events.len(), Relaxed);
        Ok(events)
    }

    async fn changed_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), Error> {
        self.asked.fetch_add(1, Relaxed);
        let happened = self.happened.lock().expect("lock");
        let (start, limit) = (usize::try_from(position), usize::try_from(limit));
        let behind = happened
            .iter()
            .skip(start.expect("small"))
            .take(limit.expect("small"));
        let mut changed: Vec<ResourceId> = behind.map(|(_, event)| event.resource).collect();
        let next = position + u64::try_from(changed.len()).expect("small");
        changed.dedup();
        Ok((changed, next))
    }

    fn wake_ups(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    async fn over(&self) -> Error {
        let mut ended = self.ended.subscribe();
        drop(ended.wait_for(|ended| *ended).await);
        Error::unknown_caller()
    }

    async fn state(&self, resource: ResourceId) -> Result<Option<State>, Error> {
        let ResourceId::Point(id) = resource else {
            panic!("not in this source")
        };
        match self.point(id).await {
            Ok(point) => Ok(Some(point.state)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn point(&self, id: PointId) -> Result<PointSummary, Error> {
        match self.last(id).map(|event| event.state) {
            None | Some(State::Deleted) => Err(Error::not_found("DR backup", id)),
            Some(state) => Ok(standing(id, state)),
        }
    }

    async fn points(&self, query: Query) -> Result<Page<PointSummary>, Error> {
        let mut ids: Vec<PointId> = self
            .happened
            .lock()
            .expect("lock")
            .iter()
            .map(|(id, _)| *id)
            .collect();
        ids.sort();
        ids.dedup();
        let mut items = Vec::new();
        for id in ids {
            items.extend(self.point(id).await.ok());
        }
        items.retain(|point| filter::fits(&query.filter, point));
        Ok(Page { items, next: None })
    }
}

fn standing(id: PointId, state: State) -> PointSummary {
    PointSummary {
        id,
        name: String::new(),
        tenant: Tenant {
            cloud: CloudName::new("one"),
            project: ProjectId::new("t"),
        },
        server: ServerId::new("s"),
        schedule: None,
        state,
        created: Timestamp(0),
        revision: 1,
    }
}

const FIRST: ResourceId = ResourceId::Point(PointId::dr(Uuid::from_u128(1)));

/// Streams over one source.
struct Watching(Watches, Arc<Told>);

impl Watching {
    fn new(source: &Arc<Told>, most: usize, stop: &CancellationToken) -> Self {
        Self(Watches::new(most, stop.clone()), Arc::clone(source))
    }

    fn source(&self) -> Arc<dyn EventSource> {
        Arc::<Told>::clone(&self.1)
    }

    async fn one(&self, of: ResourceId, from: u64, settled: bool) -> Result<EventStream, Status> {
        self.0.one(self.source(), of, from, settled).await
    }

    async fn many(&self, filter: Filter) -> Result<EventStream, Status> {
        self.0.many(self.source(), filter).await
    }
}

fn watches(source: &Arc<Told>, stop: &CancellationToken) -> Watching {
    Watching::new(source, 2, stop)
}

#[tokio::test]
async fn a_stream_ends_with_the_right_of_whoever_reads_it() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::Creating);
    let watches = watches(&source, &stop);
    let mut one = watches.one(FIRST, 0, false).await.expect("stream");
    let mut many = watches.many(Filter::default()).await.expect("stream");
    assert_eq!(heard(&mut one).1, Ending::Waits);
    assert_eq!(heard(&mut many).1, Ending::Waits);
    // What it had to tell after that is not told any more.
    source.happen(1, State::Ok);
    source.ended.send_replace(true);
    for stream in [&mut one, &mut many] {
        assert_eq!(
            heard(stream),
            (vec![], Ending::Refused(Code::Unauthenticated))
        );
    }
}

/// Everything that the stream tells before it waits or ends, as (number, sequence, state).
fn heard(stream: &mut EventStream) -> (Vec<(u128, i64, State)>, Ending) {
    let mut events = Vec::new();
    loop {
        match stream.next().now_or_never() {
            None => return (events, Ending::Waits),
            Some(None) => return (events, Ending::Good),
            Some(Some(Err(refusal))) => return (events, Ending::Refused(refusal.code())),
            Some(Some(Ok(event))) => {
                let number = Uuid::parse_str(&event.resource_id).expect("id").as_u128();
                let state = event
                    .state()
                    .as_str_name()
                    .trim_start_matches("STATE_")
                    .to_owned();
                let state = State::from_name(&state).expect("state");
                events.push((number, event.sequence, state));
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Ending {
    Waits,
    Good,
    Refused(Code),
}

#[tokio::test]
async fn a_stream_replays_and_then_follows() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::CreationScheduled);
    source.happen(2, State::CreationScheduled);
    source.happen(1, State::Creating);
    let mut stream = watches(&source, &stop)
        .one(FIRST, 0, false)
        .await
        .expect("stream");

    let scheduled = (1, 1, State::CreationScheduled);
    assert_eq!(
        heard(&mut stream),
        (vec![scheduled, (1, 2, State::Creating)], Ending::Waits)
    );

    source.happen(2, State::Creating);
    assert_eq!(heard(&mut stream), (vec![], Ending::Waits));
    source.happen(1, State::Ok);
    assert_eq!(heard(&mut stream), (vec![(1, 3, State::Ok)], Ending::Waits));
}

#[tokio::test]
async fn what_has_changed_is_asked_once_for_all_who_follow() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    for number in 1..=100 {
        source.happen(number, State::CreationScheduled);
    }
    let watches = Watching::new(&source, 100, &stop);
    let mut streams = Vec::new();
    for number in 1..=100 {
        let about = ResourceId::Point(PointId::dr(Uuid::from_u128(number)));
        let mut stream = watches.one(about, 0, false).await.expect("stream");
        assert_eq!(heard(&mut stream).1, Ending::Waits);
        streams.push(stream);
    }
    // The first to hear of anything finds out where the source stands, and all look once more.
    source.happen(1, State::Creating);
    for stream in &mut streams {
        assert_eq!(heard(stream).1, Ending::Waits);
    }
    let before = source.asked.load(Relaxed);
    source.happen(2, State::Creating);
    source.happen(3, State::Creating);
    let told: Vec<_> = streams.iter_mut().map(|stream| heard(stream).0).collect();
    let told = told.concat();
    assert_eq!(told, [(2, 2, State::Creating), (3, 2, State::Creating)]);
    let asked = source.asked.load(Relaxed) - before;
    assert!(asked <= 8, "asked {asked} times for 100 streams");
}

#[tokio::test]
async fn a_stream_goes_on_from_a_number_that_may_not_be_reached_yet() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::CreationScheduled);
    let mut stream = watches(&source, &stop)
        .one(FIRST, 3, false)
        .await
        .expect("stream");

    source.happen(1, State::Creating);
    assert_eq!(heard(&mut stream), (vec![], Ending::Waits));
    source.happen(1, State::Ok);
    assert_eq!(heard(&mut stream), (vec![(1, 3, State::Ok)], Ending::Waits));
}

#[tokio::test]
async fn a_settled_resource_ends_the_stream_only_when_all_is_told() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    for state in [
        State::CreationScheduled,
        State::Creating,
        State::Ok,
        State::UpdateScheduled,
    ] {
        source.happen(1, state);
    }
    let mut stream = watches(&source, &stop)
        .one(FIRST, 3, true)
        .await
        .expect("stream");

    let replayed = vec![(1, 3, State::Ok), (1, 4, State::UpdateScheduled)];
    assert_eq!(heard(&mut stream), (replayed, Ending::Waits));
    source.happen(1, State::Erred);
    assert_eq!(
        heard(&mut stream),
        (vec![(1, 5, State::Erred)], Ending::Good)
    );

    let mut behind = watches(&source, &stop)
        .one(FIRST, 9, true)
        .await
        .expect("stream");
    assert_eq!(heard(&mut behind), (vec![], Ending::Good));
}

#[tokio::test]
async fn a_deletion_ends_the_stream_and_can_still_be_replayed() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::Deleting);
    let watches = watches(&source, &stop);
    let mut before = watches.one(FIRST, 1, false).await.expect("stream");
    assert_eq!(heard(&mut before).1, Ending::Waits);
    source.happen(1, State::Deleted);
    assert_eq!(
        heard(&mut before),
        (vec![(1, 2, State::Deleted)], Ending::Good)
    );

    let mut after = watches.one(FIRST, 2, false).await.expect("stream");
    assert_eq!(
        heard(&mut after),
        (vec![(1, 2, State::Deleted)], Ending::Good)
    );
}

#[tokio::test]
async fn what_was_never_there_is_refused() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    let refusal = watches(&source, &stop)
        .one(FIRST, 0, false)
        .await
        .err()
        .expect("refusal");
    assert_eq!(refusal.code(), Code::NotFound);
}

#[tokio::test]
async fn the_end_of_the_service_ends_every_stream_as_unavailable() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::Ok);
    let watches = watches(&source, &stop);
    let mut one = watches.one(FIRST, 0, false).await.expect("stream");
    let mut many = watches.many(Filter::default()).await.expect("stream");
    assert_eq!(heard(&mut one).1, Ending::Waits);

    stop.cancel();
    assert_eq!(
        heard(&mut one),
        (vec![], Ending::Refused(Code::Unavailable))
    );
    assert_eq!(
        heard(&mut many),
        (vec![], Ending::Refused(Code::Unavailable))
    );
    assert_eq!(heard(&mut one).1, Ending::Good, "nothing follows a refusal");
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::Ok);
    let watches = watches(&source, &stop);
    let first = watches.one(FIRST, 0, false).await.expect("stream");
    let _second = watches.many(Filter::default()).await.expect("stream");

    let refusal = watches.one(FIRST, 0, false).await.err().expect("refusal");
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    drop(first);
    assert!(watches.one(FIRST, 0, false).await.is_ok());
}

#[tokio::test]
async fn a_stream_over_many_tells_the_present_and_then_the_news() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::CreationScheduled);
    source.happen(1, State::Ok);
    source.happen(2, State::Deleted);
    let mut stream = watches(&source, &stop)
        .many(Filter::default())
        .await
        .expect("stream");
    assert_eq!(heard(&mut stream), (vec![(1, 2, State::Ok)], Ending::Waits));

    source.happen(3, State::CreationScheduled);
    source.happen(1, State::DeletionScheduled);
    source.happen(1, State::Deleted);
    let news = vec![
        (3, 1, State::CreationScheduled),
        (1, 3, State::DeletionScheduled),
        (1, 4, State::Deleted),
    ];
    assert_eq!(heard(&mut stream), (news, Ending::Waits));
}

#[tokio::test]
async fn what_stops_fitting_is_told_a_last_time() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::Creating);
    let filter = Filter {
        states: vec![State::Creating],
        ..Filter::default()
    };
    let mut stream = watches(&source, &stop).many(filter).await.expect("stream");
    assert_eq!(
        heard(&mut stream),
        (vec![(1, 1, State::Creating)], Ending::Waits)
    );

    source.happen(1, State::Ok);
    assert_eq!(heard(&mut stream), (vec![(1, 2, State::Ok)], Ending::Waits));
    source.happen(1, State::UpdateScheduled);
    assert_eq!(heard(&mut stream), (vec![], Ending::Waits));
}

#[tokio::test]
async fn the_present_is_found_however_many_changes_there_were() {
    let source = Told::new();
    for changes in 0..70 {
        for known in [0, changes / 2, changes] {
            let position = present_position(source.as_ref(), known).await;
            assert_eq!(position.expect("position"), changes, "from {known}");
        }
        source.happen(1, State::Creating);
    }
}

#[tokio::test]
async fn many_events_of_one_are_all_told_in_order() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    source.happen(1, State::CreationScheduled);
    let mut many = watches(&source, &stop)
        .many(Filter::default())
        .await
        .expect("stream");
    assert_eq!(heard(&mut many).0.len(), 1);
    for _ in 0..1000 {
        source.happen(1, State::Creating);
    }
    let mut one = watches(&source, &stop)
        .one(FIRST, 2, false)
        .await
        .expect("stream");

    let expected: Vec<_> = (2..=1001)
        .map(|sequence| (1, sequence, State::Creating))
        .collect();
    assert_eq!(heard(&mut one), (expected.clone(), Ending::Waits));
    assert_eq!(heard(&mut many), (expected, Ending::Waits));
}

#[tokio::test]
async fn a_stream_reads_ahead_by_as_much_as_is_taken_of_it() {
    let (source, stop) = (Told::new(), CancellationToken::new());
    for _ in 0..1000 {
        source.happen(1, State::Creating);
    }
    let mut one = watches(&source, &stop)
        .one(FIRST, 0, false)
        .await
        .expect("stream");
    let mut ahead = Vec::new();
    for taken in 0..600 {
        ahead.push(source.given.load(Relaxed) - taken);
        one.next().await.expect("an event").expect("told");
    }
    assert_eq!(ahead[0], 0, "nothing before it is asked for");
    assert_eq!(ahead[1], READ_AT_FIRST as usize - 1);
    let most = ahead.iter().max().expect("some");
    assert!(*most < READ_AT_ONCE as usize, "{most}");
    assert!(
        *most > READ_AT_ONCE as usize / 2,
        "it becomes quick: {most}"
    );
}
