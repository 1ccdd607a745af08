//! How resources of every kind are admitted and changed: the request key, the row, the operation, the
//! answer that is kept and the event, in one order; it may not know the columns of any kind.

use futures::{FutureExt as _, future::BoxFuture};

use super::{
    Conn, dialect, link, operation, point,
    request::{self, Before, Claim},
    restoration, schedule,
};
use crate::{
    domain::{
        audit::{Note, Object},
        event::Event,
        id::{PointId, ResourceId, RestorationId, ScheduleId, Tenant},
        lifecycle::State,
        operation::Operation,
        point::Point,
        restoration::Restoration,
        schedule::Schedule,
        time::Timestamp,
    },
    port::store::{Admitted, Asked, RequestKey, StoreError},
    store::{notifier::CommitNotice, text},
};

/// What a resource is admitted with; from then on every event is one revision.
const FIRST_REVISION: i64 = 1;

/// A kind of resource that callers ask for.
pub(super) trait StoredResource: Clone + Send + Sync {
    /// Its ids.
    type Id: Copy + Send;

    /// The id among those of all kinds.
    fn about(&self) -> ResourceId;
    /// The tenant that it belongs to.
    fn tenant(&self) -> &Tenant;
    /// The id, where it is one of this kind.
    fn id_of(about: ResourceId) -> Option<Self::Id>;
    /// Its revision.
    fn revision(&mut self) -> &mut i64;
    /// Writes a new one, where that may be now.
    fn insert<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>>;
    /// Writes what a caller changed, where that may be now.
    fn change<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<Self, StoreError>>;
    /// One, where it is there.
    fn get(conn: &mut Conn, id: Self::Id) -> BoxFuture<'_, Result<Option<Self>, StoreError>>;
    /// Itself as an answer that is kept.
    fn answer(&self) -> Result<String, StoreError>;
    /// Reads an answer about this one that was kept.
    fn answered(id: Self::Id, text: &str) -> Result<Self, StoreError>;
    /// The event that tells of it as it is.
    fn event(&self) -> Result<Event, StoreError>;

    /// The entry that what was asked of it is accepted.
    fn note(&self, asked: &Asked, now: Timestamp) -> Note {
        asked.note(Object::resource(self.about(), self.tenant()), now)
    }
}

/// Admits a new resource, with the operation that makes it, where one does.
pub(super) async fn admit<R: StoredResource>(
    conn: &mut Conn,
    asked: &Asked,
    new: R,
    operation: Option<&Operation>,
    now: Timestamp,
) -> Result<(Admitted<R>, CommitNotice), StoreError> {
    let key = asked.key.as_ref();
    if let Claim::Before(earlier) = request::claim(conn, key, new.about(), now).await? {
        return Ok((
            Admitted::Before(before(conn, earlier).await?),
            CommitNotice::NONE,
        ));
    }
    let (new, notice) = begin(conn, new, operation).await?;
    request::keep(conn, key, || new.answer()).await?;
    let note = new.note(asked, now);
    Ok((Admitted::New(new), notice.with(note)))
}

/// Writes a new resource with its first event, and with the operation that makes it, where one does.
pub(super) async fn begin<R: StoredResource>(
    conn: &mut Conn,
    mut new: R,
    operation: Option<&Operation>,
) -> Result<(R, CommitNotice), StoreError> {
    *new.revision() = FIRST_REVISION;
    new.insert(conn).await?;
    if let Some(operation) = operation {
        operation::insert(conn, operation).await?;
    }
    let notice = CommitNotice {
        events: vec![new.event()?],
        audit: Vec::new(),
        admissions: operation.is_some(),
    };
    Ok((new, notice))
}

/// Takes in a point that another system made, at rest, with the links that it holds; one of the same id
/// that is there already stays as it is.
pub(super) async fn take_in(
    conn: &mut Conn,
    asked: &Asked,
    point: Point,
    now: Timestamp,
) -> Result<(Admitted<Point>, CommitNotice), StoreError> {
    if let Some(there) = point::get(conn, point.id).await? {
        return Ok((Admitted::Before(there), CommitNotice::NONE));
    }
    let (point, notice) = begin(conn, point, None).await?;
    link::put(conn, &[(point.id, &point.detail)]).await?;
    let note = point.note(asked, now);
    Ok((Admitted::New(point), notice.with(note)))
}

/// Changes a resource, with the operation that follows, where one does.
pub(super) async fn change<R: StoredResource>(
    conn: &mut Conn,
    asked: &Asked,
    wanted: R,
    operation: Option<Operation>,
    now: Timestamp,
) -> Result<(Admitted<R>, CommitNotice), StoreError> {
    let key = asked.key.as_ref();
    if let Claim::Before(earlier) = request::claim(conn, key, wanted.about(), now).await? {
        return Ok((
            Admitted::Before(before(conn, earlier).await?),
            CommitNotice::NONE,
        ));
    }
    let changed = wanted.change(conn).await?;
    if let Some(operation) = &operation {
        operation::insert(conn, operation).await?;
    }
    request::keep(conn, key, || changed.answer()).await?;
    let notice = CommitNotice {
        events: vec![changed.event()?],
        audit: vec![changed.note(asked, now)],
        admissions: operation.is_some(),
    };
    Ok((Admitted::New(changed), notice))
}

/// What a repeat of a request of this key answers, if one was admitted before.
pub(super) async fn answered<R: StoredResource>(
    conn: &mut Conn,
    key: &RequestKey,
) -> Result<Option<R>, StoreError> {
    match request::find(conn, key).await? {
        Some(earlier) => before(conn, earlier).await.map(Some),
        None => Ok(None),
    }
}

/// What a repeat of an earlier request answers.
pub(super) async fn before<R: StoredResource>(
    conn: &mut Conn,
    before: Before,
) -> Result<R, StoreError> {
    let gone = StoreError::NotFound(before.about);
    let Some(id) = R::id_of(before.about) else {
        return Err(gone);
    };
    if let Some(present) = R::get(conn, id).await? {
        return Ok(present);
    }
    before
        .answer
        .map_or(Err(gone), |text| R::answered(id, &text?))
}

/// Keeps a resource as it is as the answer to a request.
pub(super) async fn keep_present(
    conn: &mut Conn,
    key: Option<&RequestKey>,
    about: ResourceId,
) -> Result<(), StoreError> {
    if key.is_none() {
        return Ok(());
    }
    match about {
        ResourceId::Point(id) => keep_one::<Point>(conn, key, id).await,
        ResourceId::Restoration(id) => keep_one::<Restoration>(conn, key, id).await,
        // No operation is about a schedule.
        ResourceId::Schedule(_) => Ok(()),
    }
}

async fn keep_one<R: StoredResource>(
    conn: &mut Conn,
    key: Option<&RequestKey>,
    id: R::Id,
) -> Result<(), StoreError> {
    match R::get(conn, id).await? {
        Some(present) => request::keep(conn, key, || present.answer()).await,
        None => Ok(()),
    }
}

/// Refuses when a backup is gone or going; holds it as it is until the end of the transaction.
async fn check_not_leaving(conn: &mut Conn, source: PointId) -> Result<(), StoreError> {
    let outdated = StoreError::Outdated(source.into());
    let Some(state) = dialect::source_hold(conn, source).await? else {
        return Err(outdated);
    };
    match text::state(&state)? {
        State::DeletionScheduled | State::Deleting | State::Deleted => Err(outdated),
        State::CreationScheduled
        | State::Creating
        | State::Ok
        | State::Erred
        | State::UpdateScheduled
        | State::Updating => Ok(()),
    }
}

/// Refuses the deletion of a backup that is being restored. Its row was changed before and is locked:
/// a restoration that is admitted meanwhile waits for us and then sees the deletion.
async fn check_not_restored(
    conn: &mut Conn,
    source: PointId,
    state: State,
) -> Result<(), StoreError> {
    if state != State::DeletionScheduled {
        return Ok(());
    }
    let busy = restoration::busy(conn, source).await?;
    if busy.is_empty() {
        Ok(())
    } else {
        Err(StoreError::InUse(busy))
    }
}

/// Refuses the deletion of a DR backup on which another one builds. An increment that is being made
/// meanwhile is not known to build on it yet: there Cinder refuses.
async fn check_not_built_upon(
    conn: &mut Conn,
    id: PointId,
    state: State,
) -> Result<(), StoreError> {
    if state != State::DeletionScheduled {
        return Ok(());
    }
    let heirs = link::heirs(conn, id).await?;
    if heirs.is_empty() {
        Ok(())
    } else {
        Err(StoreError::BuiltUpon(heirs))
    }
}

impl StoredResource for Point {
    type Id = PointId;

    fn about(&self) -> ResourceId {
        ResourceId::Point(self.id)
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn id_of(about: ResourceId) -> Option<PointId> {
        match about {
            ResourceId::Point(id) => Some(id),
            ResourceId::Restoration(_) | ResourceId::Schedule(_) => None,
        }
    }

    fn revision(&mut self) -> &mut i64 {
        &mut self.head.revision
    }

    fn insert<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>> {
        point::insert(conn, self).boxed()
    }

    fn change<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<Self, StoreError>> {
        async move {
            let changed = point::change(conn, self).await?;
            check_not_restored(conn, self.id, changed.head.state).await?;
            check_not_built_upon(conn, self.id, changed.head.state).await?;
            Ok(changed)
        }
        .boxed()
    }

    fn get(conn: &mut Conn, id: PointId) -> BoxFuture<'_, Result<Option<Self>, StoreError>> {
        point::get(conn, id).boxed()
    }

    fn answer(&self) -> Result<String, StoreError> {
        point::answer(self)
    }

    fn answered(id: PointId, text: &str) -> Result<Self, StoreError> {
        point::answered(id.kind, text)
    }

    fn event(&self) -> Result<Event, StoreError> {
        point::event_of(self)
    }
}

impl StoredResource for Restoration {
    type Id = RestorationId;

    fn about(&self) -> ResourceId {
        ResourceId::Restoration(self.id)
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn id_of(about: ResourceId) -> Option<RestorationId> {
        match about {
            ResourceId::Restoration(id) => Some(id),
            ResourceId::Point(_) | ResourceId::Schedule(_) => None,
        }
    }

    fn revision(&mut self) -> &mut i64 {
        &mut self.head.revision
    }

    fn insert<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>> {
        async move {
            check_not_leaving(conn, self.source).await?;
            restoration::insert(conn, self).await
        }
        .boxed()
    }

    fn change<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<Self, StoreError>> {
        restoration::change(conn, self).boxed()
    }

    fn get(conn: &mut Conn, id: RestorationId) -> BoxFuture<'_, Result<Option<Self>, StoreError>> {
        restoration::get(conn, id).boxed()
    }

    fn answer(&self) -> Result<String, StoreError> {
        restoration::answer(self)
    }

    fn answered(_: RestorationId, text: &str) -> Result<Self, StoreError> {
        restoration::answered(text)
    }

    fn event(&self) -> Result<Event, StoreError> {
        restoration::event_of(self)
    }
}

impl StoredResource for Schedule {
    type Id = ScheduleId;

    fn about(&self) -> ResourceId {
        ResourceId::Schedule(self.id)
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn id_of(about: ResourceId) -> Option<ScheduleId> {
        match about {
            ResourceId::Schedule(id) => Some(id),
            ResourceId::Point(_) | ResourceId::Restoration(_) => None,
        }
    }

    fn revision(&mut self) -> &mut i64 {
        &mut self.revision
    }

    fn insert<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>> {
        schedule::insert(conn, self).boxed()
    }

    fn change<'c>(&'c self, conn: &'c mut Conn) -> BoxFuture<'c, Result<Self, StoreError>> {
        schedule::change(conn, self).boxed()
    }

    fn get(conn: &mut Conn, id: ScheduleId) -> BoxFuture<'_, Result<Option<Self>, StoreError>> {
        schedule::get(conn, id).boxed()
    }

    fn answer(&self) -> Result<String, StoreError> {
        schedule::answer(self)
    }

    fn answered(_: ScheduleId, text: &str) -> Result<Self, StoreError> {
        schedule::answered(text)
    }

    fn event(&self) -> Result<Event, StoreError> {
        schedule::event_of(self)
    }
}
