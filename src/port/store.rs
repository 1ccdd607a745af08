//! What the core keeps; it may not know SQL or which database it is.
//!
//! One method is one transaction and one business fact. A method that fails with
//! [`StoreError::Unavailable`] may or may not have taken effect: writes of callers are made
//! repeatable by their request key, and those of time passing are harmless to repeat.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{audit::Audit, journal::Journal, schedules::Schedules};
use crate::domain::{
    audit::{Note, Object, What, Who},
    caller::Scope,
    event::Event,
    id::{
        CloudName, InstanceId, OperationId, PointId, PointKind, ResourceId, RestorationId, Tenant,
    },
    operation::{Leftover, Operation, UnderWay},
    orphan::{Aim, DeletionResult, Known, Sweep},
    page::{Page, PageKey, Query},
    point::Point,
    restoration::Restoration,
    time::Timestamp,
    verification::Verification,
    volume_backup::BackupAt,
};

/// Why the store did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing of that id.
    #[error("there is no {0}")]
    NotFound(ResourceId),
    /// The row changed since it was read.
    #[error("{0} changed meanwhile")]
    Outdated(ResourceId),
    /// The request id was used with other content.
    #[error("the request id was used before with other content")]
    RequestReused,
    /// Restorations of the backup are running.
    #[error("restorations are running")]
    InUse(Vec<RestorationId>),
    /// Other DR backups build on the volume backups of the DR backup.
    #[error("other DR backups build on it")]
    BuiltUpon(Vec<PointId>),
    /// The database does not answer, is full or locked; trying again later can help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: a newer version of this service wrote it, or a foreign hand.
    #[error("the store holds something unreadable: {0}")]
    Unreadable(String),
    /// The database said no to what was to be written; a defect.
    #[error("the store refused what was written: {0}")]
    Defect(String),
}

/// The key by which a repeated request is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The method, for example `CreateDRBackup`.
    pub method: &'static str,
    /// The caller's id of the request.
    pub id: String,
    /// A digest of the request's content without the id, behind its version: `v1:0123…`.
    pub digest: String,
}

impl RequestKey {
    /// Whether this request is taken for a repeat of the one of the same key whose digest is `kept`.
    ///
    /// Digests of two versions say nothing of each other, and one without a version is of before there were
    /// any: then the key alone decides, and the caller is trusted to use an id for one request.
    pub fn repeats(&self, kept: &str) -> bool {
        version(&self.digest) != version(kept) || self.digest == kept
    }
}

/// The version of a digest.
fn version(digest: &str) -> Option<&str> {
    digest.split_once(':').map(|(version, _)| version)
}

/// Who asks for what: whatever is written because of it is written together with an entry of the audit that
/// says so. A repeat of a request is recognised by its key; it writes nothing, and no entry either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method, for example `CreateDRBackup`.
    pub method: &'static str,
    /// The caller's id of the request, as the caller spells it; empty means none.
    pub request_id: String,
    /// The key of a request that has an id.
    pub key: Option<RequestKey>,
    /// Who asks.
    pub who: Who,
}

impl Asked {
    /// What a part of the service does by itself.
    pub fn internally(part: &str, method: &'static str) -> Self {
        Self {
            method,
            request_id: String::new(),
            key: None,
            who: Who::internal(part),
        }
    }

    /// The entry that says that it was accepted.
    pub fn note(&self, object: Object, time: Timestamp) -> Note {
        let what = What::Accepted {
            method: self.method,
            request_id: self.request_id.clone(),
            makes: None,
        };
        Note {
            time,
            what,
            who: self.who.clone(),
            object,
        }
    }
}

/// The answer to an admission.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted<T> {
    /// It was new.
    New(T),
    /// The same request was admitted before: the resource as it is now, or, when it is gone since, as
    /// that request left it, with its user data emptied.
    Before(T),
}

/// What a look at one point brought to light.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The point, of either kind.
    pub point: PointId,
    /// The revision that it had before the look.
    pub revision: i64,
    /// What is known from now on.
    pub known: Verification,
    /// Whether that is news, which callers are told by an event.
    pub told: bool,
}

/// How the points of one kind in one cloud stand that are `OK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointsStanding {
    /// The cloud.
    pub cloud: CloudName,
    /// The kind.
    pub kind: PointKind,
    /// Something speaks against them.
    pub doubtful: u64,
    /// Nobody has seen them yet.
    pub unverified: u64,
    /// They were seen, and nothing speaks against them.
    pub verified: u64,
    /// When the one of these that was not seen for longest was seen last.
    pub oldest: Option<Timestamp>,
}

/// The store. Rows are read one by one. Of a resource that cannot be read in full a question for it and
/// a list show what can be read, with an error that says so; whatever works through many goes on without
/// it, and nothing is written over it: a change of it is `Unreadable`. Whatever takes an [`Asked`] writes its
/// entry in the same transaction.
#[async_trait]
pub trait Store: Schedules + Journal + Audit {
    /// What a repeat of a request about points answers, if one of that key was admitted before: what
    /// [`Admitted::Before`] says. `RequestReused` when it had other content, `NotFound` when neither the
    /// point nor that answer is there any more.
    async fn point_answered(&self, key: &RequestKey) -> Result<Option<Point>, StoreError>;

    /// The same for a request about restorations.
    async fn restoration_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Restoration>, StoreError>;

    /// Writes the request key, the point (`CREATION_SCHEDULED`), its operation and its first event.
    async fn point_admit(
        &self,
        asked: Asked,
        point: Point,
        operation: Operation,
    ) -> Result<Admitted<Point>, StoreError>;

    /// Writes a point that another system made, at rest, with the links of a DR backup and its first
    /// event. One of the same id that is there already is answered, and stays as it is.
    async fn point_take_in(
        &self,
        asked: Asked,
        point: Point,
    ) -> Result<Admitted<Point>, StoreError>;

    /// Writes name, description, until when it is kept, whether it is held, state, runtime state, progress
    /// and error of `point`, whose `revision` must be the current one, with an event; and the operation,
    /// where one follows. A deletion (`DELETION_SCHEDULED`) is `InUse` while restorations of it are busy,
    /// and `BuiltUpon` while other DR backups build on its volume backups.
    async fn point_change(
        &self,
        asked: Asked,
        point: Point,
        operation: Option<Operation>,
    ) -> Result<Admitted<Point>, StoreError>;

    /// One point; one of the other kind is not found.
    async fn point_get(&self, id: PointId) -> Result<Point, StoreError>;

    /// A page of points, of the kind that the filter names or of both.
    async fn points_list(&self, query: Query) -> Result<Page<Point>, StoreError>;

    /// The restorations of a point within a scope, newest first, at most `limit`.
    async fn restorations_of(
        &self,
        source: PointId,
        scope: &Scope,
        limit: u32,
    ) -> Result<Vec<Restoration>, StoreError>;

    /// The known mirrors of the volume backups of a DR backup.
    async fn mirrors_list(&self, id: PointId) -> Result<Vec<BackupAt>, StoreError>;

    /// The known mirrors of the DR backups of instances of a tenant, each with whether it was ever seen
    /// to be there: one that was only asked for may never have been.
    async fn mirrors_of(&self, tenant: &Tenant) -> Result<Vec<(BackupAt, bool)>, StoreError>;

    /// Writes what a look at points brought to light, each where nothing has happened to its point since
    /// it was read, with an event where that is news; and of mirrors which were seen, and which are gone
    /// and are known no more. Harmless to repeat.
    async fn points_verified(
        &self,
        looks: Vec<Looked>,
        seen: Vec<BackupAt>,
        gone: Vec<BackupAt>,
    ) -> Result<(), StoreError>;

    /// How the points of each kind stand in each cloud.
    async fn points_standing(&self) -> Result<Vec<PointsStanding>, StoreError>;

    /// What an earlier operation of a resource made, was to remove and could not, each with its tenant.
    async fn leftovers(&self, resource: ResourceId) -> Result<Vec<Leftover>, StoreError>;

    /// Writes the request key, the restoration (`CREATION_SCHEDULED`), its operation and its first
    /// event; `Outdated` when its backup is being deleted or gone.
    async fn restoration_admit(
        &self,
        asked: Asked,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError>;

    /// Writes state, runtime state, progress and error of `restoration`, whose `revision` must be
    /// the current one, with an event; and the operation that follows.
    async fn restoration_change(
        &self,
        asked: Asked,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError>;

    /// One restoration.
    async fn restoration_get(&self, id: RestorationId) -> Result<Restoration, StoreError>;

    /// The restoration that makes the instance of this id of ours, if there is one.
    async fn restoration_of_instance(
        &self,
        instance: InstanceId,
    ) -> Result<Option<Restoration>, StoreError>;

    /// A page of restorations.
    async fn restorations_list(&self, query: Query) -> Result<Page<Restoration>, StoreError>;

    /// Marks the open operation of a resource as cancelled at `time`, with the request key, and notes
    /// whether volumes that have their bytes are kept; answers false when none is open. The first cancel
    /// counts. Harmless to repeat.
    async fn operation_cancel(
        &self,
        asked: Asked,
        resource: ResourceId,
        time: Timestamp,
        keep_volumes: bool,
    ) -> Result<bool, StoreError>;

    /// How many operations are under way and since when, by cloud and kind.
    async fn operations_under_way(&self) -> Result<Vec<UnderWay>, StoreError>;

    /// The events of a resource with a sequence number above `after`, in order, at most `limit`.
    async fn events_list(
        &self,
        resource: ResourceId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// The resources whose events were written after the global position `after`, each once, with
    /// the position to go on from; for streams over many resources and for wake-ups.
    async fn changes_list(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), StoreError>;

    /// A number that is another one as soon as any write can be seen by a read that begins later; `None`
    /// where others may write without this process knowing at once. Asks nobody.
    fn version(&self) -> Option<u64>;

    /// A number that changes whenever an event was written, by this replica or by another. It
    /// carries no data: whoever wakes reads what is new.
    fn changes(&self) -> watch::Receiver<u64>;

    /// How many rows of each kind this process could not read.
    fn unread(&self) -> Vec<(&'static str, u64)>;

    /// Lets go what came to its end before `before`, the oldest first and about `limit` rows at once:
    /// the keys of requests that were made then, which are new requests after that; operations that
    /// ended then, with their ledgers; and the events of resources that went then, of each resource
    /// all or none. Nothing of what lives or is under way is touched, the events of a resource that
    /// lives neither, whatever their age. Answers how many rows, not counting ledgers; 0 when nothing
    /// is left or another replica is at it. Harmless to repeat.
    async fn history_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// What is known of things in `tenant` with these ids, whose marks name these operations, all of it
    /// at one moment: see [`Known`]. What the ledgers of open operations, living backups of either kind
    /// and restorations and the mirrors do not have is not held.
    async fn orphans_known(
        &self,
        tenant: &Tenant,
        operations: &[OperationId],
        things: &[String],
    ) -> Result<Known, StoreError>;

    /// What was answered to an earlier request of this key about orphans; `RequestReused` when it had
    /// other content.
    async fn orphans_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Vec<DeletionResult>>, StoreError>;

    /// Keeps the answer to a request about orphans for its repeats, where it has a key; the first one kept
    /// stays. With an entry that what was accepted at `accepted` has ended; that one is written by itself,
    /// before anything goes.
    async fn orphans_answer(
        &self,
        asked: Asked,
        tenant: &Tenant,
        accepted: Timestamp,
        answer: &[DeletionResult],
    ) -> Result<(), StoreError>;

    /// Takes up to `limit` tenants that have something of this aim and whose last sweep with it began
    /// before `before`, if there was one: from now on it began now. However many replicas ask, each
    /// tenant is given to one of them.
    async fn sweeps_claim(
        &self,
        aim: Aim,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError>;

    /// Writes how a sweep that was claimed has ended; of one that failed the number stays as it was.
    async fn sweep_record(&self, aim: Aim, sweep: &Sweep) -> Result<(), StoreError>;

    /// The last sweep of every tenant with this aim, by cloud and project.
    async fn sweeps_list(&self, aim: Aim) -> Result<Vec<Sweep>, StoreError>;

    /// What the tokens of pages are sealed with: one secret of this database, the same for all replicas.
    async fn page_key(&self) -> Result<PageKey, StoreError>;

    /// Whether the store answers and takes what is written.
    async fn ping(&self) -> Result<(), StoreError>;
}
