//! The contract of the port `Store`, held against every database; it may not know SQL.
//!
//! Each function below is a claim and is run on each database by the macro at the end.
//! One file because a contract is read as one list of claims; those about regular backups, which are the
//! same again, are in a file of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use drbackup::{
    domain::{
        caller::Scope,
        capture::Capture,
        decision::{Detail, Ending, Report},
        effect::{Disposal, Effect, EffectState, Fact, Make, Presence, Request},
        error::OperationError,
        event::Event,
        fault::{Fault, FaultKind, Service},
        head::Head,
        id::{
            CloudName, EffectKey, InstanceId, Lane, OperationId, PointId, PointKind, ProjectId,
            ReplicaId, ResourceId, RestorationId, ServerId, Tenant, VolumeBackupId, VolumeId,
        },
        inventory::Right,
        keeping::Keeping,
        ledger::Ledger,
        lifecycle::State,
        operation::{Ask, Operation},
        orphan::{Aim, DeletionResult, Outcome, Sweep},
        page::{Cursor, Filter, Order, OrderField, OrderValue, Query},
        point::{Content, Point, PointDetail},
        progress::Progress,
        record::BackupRecord,
        restoration::{Restoration, RestorationDetail, RestoreOptions},
        sighting::ThingKind,
        time::Timestamp,
        user_data::UserData,
        verification::{Cause, Doubt, Verification},
        volume_backup::{BackupAt, VolumeBackup},
    },
    port::{
        clock::Clock,
        journal::{JournalError, Loaded, ResourceUpdate, Turn},
        store::{Admitted, Asked, Looked, RequestKey, Store, StoreError},
    },
    store::{
        self, Config, OpenError,
        seal::{SealKey, Sealer},
    },
};
use uuid::Uuid;

/// A clock that stands until it is wound.
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    pub(crate) fn wind(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("a short time");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A database of one test, opened as often as the test likes.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) clock: Arc<StillClock>,
    _folder: Option<tempfile::TempDir>,
}

impl Site {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            url: format!("sqlite:{}", folder.path().join("drbackup.db").display()),
            clock: still_clock(),
            _folder: Some(folder),
        }
    }

    pub(crate) fn postgres() -> Self {
        Self {
            url: crate::postgres::database(),
            clock: still_clock(),
            _folder: None,
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.expect("the store opens")
    }

    /// Runs statements beside the store, as another hand would.
    pub(crate) fn sql(&self, statements: &str) {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let mut other = SqliteConnection::establish(path).expect("opened");
            other.batch_execute(statements).expect("done");
        } else {
            let database = self.url.rsplit('/').next().expect("a name");
            crate::postgres::server().sql(database, statements);
        }
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<dyn Store>, OpenError> {
        store::open(self.config(&[])).await
    }

    /// The database, sealed with these keys.
    fn config(&self, keys: &[&str]) -> Config {
        let keys = keys.iter().map(|key| SealKey::parse(key).expect("a key"));
        Config {
            sealer: Arc::new(Sealer::new(keys.collect())),
            ..Config::new(self.url.clone(), self.clock.clone())
        }
    }

    /// All that lies in the database, as whoever steals it would see it.
    fn stolen(&self) -> String {
        let Some(path) = self.url.strip_prefix("sqlite:") else {
            let database = self.url.rsplit('/').next().expect("a name");
            return crate::postgres::server().dump(database);
        };
        let files = ["", "-wal"].map(|more| std::fs::read(format!("{path}{more}")));
        let bytes = files.into_iter().flatten().flatten().collect::<Vec<u8>>();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

pub(crate) fn still_clock() -> Arc<StillClock> {
    Arc::new(StillClock(AtomicI64::new(NOON)))
}

/// A request, with this key or without one.
pub(crate) fn asked(key: Option<RequestKey>) -> Asked {
    let method = key.as_ref().map_or("Test", |key| key.method);
    Asked {
        request_id: key.as_ref().map(|key| key.id.clone()).unwrap_or_default(),
        key,
        ..Asked::internally("test", method)
    }
}

const NOON: i64 = 1_790_000_000_000_000;
pub(crate) const LEASE: Duration = Duration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp(NOON + second * 1_000_000)
}

pub(crate) fn home() -> Tenant {
    tenant("home", "blue")
}

fn tenant(cloud: &str, project: &str) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new(project),
    }
}

fn replica(name: &str) -> ReplicaId {
    ReplicaId::new(name)
}

pub(crate) fn key(id: &str, digest: &str) -> RequestKey {
    RequestKey {
        method: "CreateDRBackup",
        id: id.to_owned(),
        digest: digest.to_owned(),
    }
}

pub(crate) fn backup() -> Point {
    Point {
        id: PointId::dr(Uuid::now_v7()),
        name: "nightly".to_owned(),
        description: "of the shop".to_owned(),
        tenant: home(),
        server: ServerId::new("server-1"),
        instance_name: String::new(),
        capture: Some(Capture::SnapshotThenCopy),
        keeping: Keeping::default(),
        detail: PointDetail::none(PointKind::Dr),
        verification: Verification::default(),
        head: Head {
            state: State::CreationScheduled,
            runtime_state: "scheduled".to_owned(),
            progress: Progress::default(),
            error: None,
            created: at(0),
            updated: at(0),
            revision: 1,
        },
    }
}

pub(crate) fn creation(of: &Point) -> Operation {
    Operation {
        id: OperationId(Uuid::now_v7()),
        resource: ResourceId::Point(of.id),
        tenant: of.tenant.clone(),
        ask: Ask::CreateDrBackup {
            server: of.server.clone(),
            capture: of.capture.expect("a DR backup"),
            description: of.description.clone(),
            incremental: false,
            minimum: None,
        },
        resource_state: State::CreationScheduled,
        created: of.head.created,
        deadline: at(3_600),
        deadline_fixed: false,
        per_gib: Duration::from_secs(60),
        cancelled: None,
        cancel_keeps_volumes: false,
        idle: Duration::ZERO,
        attended: of.head.created,
    }
}

fn deletion(of: &Point) -> Operation {
    Operation {
        ask: Ask::DeleteDrBackup {
            backups: Vec::new(),
            mirrors: Vec::new(),
            leftovers: Vec::new(),
            missing: Vec::new(),
        },
        resource_state: State::DeletionScheduled,
        ..creation(of)
    }
}

pub(crate) fn restoration(of: &Point) -> Restoration {
    Restoration {
        id: RestorationId(Uuid::now_v7()),
        source: of.id,
        tenant: tenant("away", "green"),
        instance: InstanceId(Uuid::now_v7()),
        instance_name: "shop-again".to_owned(),
        options: RestoreOptions {
            key_name: Some("mine".to_owned()),
            ..RestoreOptions::default()
        },
        head: Head {
            runtime_state: "scheduled".to_owned(),
            ..Head::scheduled(at(10))
        },
        detail: RestorationDetail::default(),
    }
}

pub(crate) fn restoring(of: &Restoration) -> Operation {
    Operation {
        id: OperationId(Uuid::now_v7()),
        resource: ResourceId::Restoration(of.id),
        tenant: of.tenant.clone(),
        ask: Ask::DeleteRestoration {
            things: Vec::new(),
            missing: Vec::new(),
        },
        resource_state: State::CreationScheduled,
        created: of.head.created,
        deadline: at(3_600),
        deadline_fixed: false,
        per_gib: Duration::from_secs(60),
        cancelled: None,
        cancel_keeps_volumes: false,
        idle: Duration::ZERO,
        attended: of.head.created,
    }
}

fn effect(key: &str, state: EffectState) -> Effect {
    Effect {
        key: EffectKey::new(key),
        ordinal: 3,
        tenant: home(),
        name: format!("drb-{key}"),
        request: Request::Make(Make::Snapshot {
            volume: VolumeId::new("volume-1"),
            description: "for the night".to_owned(),
        }),
        disposal: Disposal::Temporary,
        state,
        cloud_id: Some("snapshot-1".to_owned()),
        status: Some("creating".to_owned()),
        fact: Some(Fact::Presence(Presence {
            live: vec![(VolumeBackupId::new("backup-1"), ProjectId::new("blue"))],
            failed_imports: vec![(VolumeBackupId::new("backup-2"), ProjectId::new("blue"))],
            pending_imports: vec![(VolumeBackupId::new("backup-3"), ProjectId::new("blue"))],
            import: Right::Granted,
        })),
        fault: Some(Fault::new(
            FaultKind::Busy,
            Service::BlockStorage,
            "make a snapshot",
            "the volume is busy",
        )),
        held: None,
        attempt: 2,
        changed: at(5),
    }
}

fn update(state: State, second: i64) -> ResourceUpdate {
    ResourceUpdate {
        state,
        report: Report {
            runtime_state: format!("{} at {second}", state.name()),
            progress: Progress {
                phase: "Creating volume backups".to_owned(),
                effects_done: 1,
                effects_total: 4,
                ..Progress::default()
            },
            detail: None,
            verification: None,
        },
        detail_changed: false,
        time: at(second),
    }
}

fn turn(operation: &Operation) -> Turn {
    Turn {
        operation: operation.id,
        resource: operation.resource,
        effects: Vec::new(),
        update: None,
        idle: None,
        ending: Ending::Open,
    }
}

pub(crate) fn told(operation: &Operation, state: State, second: i64) -> Turn {
    Turn {
        update: Some(update(state, second)),
        ..turn(operation)
    }
}

fn ended(operation: &Operation, state: State, second: i64) -> Turn {
    Turn {
        ending: Ending::Done,
        ..told(operation, state, second)
    }
}

fn new_of<T>(admitted: Admitted<T>) -> T {
    match admitted {
        Admitted::New(resource) => resource,
        Admitted::Before(_) => panic!("it was admitted before"),
    }
}

pub(crate) async fn admit(store: &dyn Store, backup: &Point) -> Operation {
    let operation = creation(backup);
    let admitted = store
        .point_admit(asked(None), backup.clone(), operation.clone())
        .await
        .expect("admitted");
    new_of(admitted);
    operation
}

pub(crate) async fn lane_of(store: &dyn Store, owner: &str, tenant: &Tenant) -> Lane {
    let lanes = store
        .lanes_claim(&replica(owner), LEASE, 100, &[])
        .await
        .expect("claimed");
    lanes
        .into_iter()
        .find(|lane| lane.tenant == *tenant)
        .expect("the lane is ours")
}

/// A DR backup that is `OK`, and the lane that made it.
pub(crate) async fn finished(store: &dyn Store) -> (Point, Lane) {
    let backup = backup();
    let operation = admit(store, &backup).await;
    let lane = lane_of(store, "one", &home()).await;
    store
        .turn_record(&lane, vec![ended(&operation, State::Ok, 20)])
        .await
        .expect("recorded");
    (store.point_get(backup.id).await.expect("there"), lane)
}

/// A DR backup that is `OK`, by an operation with one row in its ledger.
pub(crate) async fn finished_with_a_ledger(store: &dyn Store) {
    let backup = backup();
    let operation = admit(store, &backup).await;
    let lane = lane_of(store, "one", &home()).await;
    let turn = Turn {
        effects: vec![effect("volume-1-snapshot", EffectState::Done)],
        ..ended(&operation, State::Ok, 20)
    };
    store
        .turn_record(&lane, vec![turn])
        .await
        .expect("recorded");
}

pub(crate) async fn events(store: &dyn Store, resource: ResourceId) -> Vec<Event> {
    store.events_list(resource, 0, 1_000).await.expect("events")
}

pub(crate) fn scheduled_for_deletion(backup: &Point) -> Point {
    Point {
        head: Head {
            state: State::DeletionScheduled,
            runtime_state: "deletion scheduled".to_owned(),
            updated: at(50),
            ..backup.clone().head
        },
        ..backup.clone()
    }
}

async fn a_dr_backup_of_another_system_is_taken_in_once(site: Site) {
    let store = site.open().await;
    let other = Point {
        detail: PointDetail {
            content: Content::Dr(vec![link(&("b1", true))]),
            ..PointDetail::none(PointKind::Dr)
        },
        head: Head {
            state: State::Ok,
            ..backup().head
        },
        ..backup()
    };
    let taken = store.point_take_in(asked(None), other.clone()).await;
    assert_eq!(taken, Ok(Admitted::New(other.clone())));
    let again = Point {
        name: "another name".to_owned(),
        ..other.clone()
    };
    let before = store.point_take_in(asked(None), again).await;
    assert_eq!(before, Ok(Admitted::Before(other.clone())));
    assert_eq!(store.point_get(other.id).await, Ok(other.clone()));
    let told = events(&*store, ResourceId::Point(other.id)).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].state, State::Ok);
    let lanes = store.lanes_claim(&replica("one"), LEASE, 9, &[]).await;
    assert_eq!(lanes, Ok(Vec::new()), "there is nothing to do about it");
    let (parent, _) = holding(&*store, &[("b1", false)]).await;
    let going = scheduled_for_deletion(&parent);
    let refusal = store
        .point_change(asked(None), going, Some(deletion(&parent)))
        .await;
    assert_eq!(refusal, Err(StoreError::BuiltUpon(vec![other.id])));
}

async fn an_admitted_dr_backup_reads_back_with_its_first_event(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;

    assert_eq!(store.point_get(backup.id).await, Ok(backup.clone()));
    let told = events(&*store, ResourceId::Point(backup.id)).await;
    assert_eq!(
        told,
        vec![Event {
            resource: ResourceId::Point(backup.id),
            sequence: 1,
            time: backup.head.created,
            state: State::CreationScheduled,
            runtime_state: "scheduled".to_owned(),
            progress: Progress::default(),
            error: None,
        }]
    );
    let lane = lane_of(&*store, "one", &home()).await;
    let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
    assert_eq!(open.len(), 1);
    assert_eq!(worked(&open[0].operation), operation);
    assert_eq!(open[0].ledger, Ledger::default());
}

/// An operation as if somebody had worked at it all the time: how long nobody did goes by the clock of the
/// database.
fn worked(operation: &Operation) -> Operation {
    Operation {
        idle: Duration::ZERO,
        ..operation.clone()
    }
}

async fn an_event_says_word_for_word_what_was_told(site: Site) {
    let store = site.open().await;
    let told = Point {
        head: Head {
            runtime_state: r#"it's "half" done \ x'); -- %s \u0000 € 漢"#.to_owned() + "\n\t$1",
            ..backup().head
        },
        ..backup()
    };
    admit(&*store, &told).await;
    let events = events(&*store, ResourceId::Point(told.id)).await;
    let [event] = events.as_slice() else {
        panic!("one event: {events:?}");
    };
    assert_eq!(event.runtime_state, told.head.runtime_state);
}

async fn the_version_is_another_one_after_every_write_where_there_is_one(site: Site) {
    let store = site.open().await;
    let mut versions = vec![store.version()];
    let (backup, lane) = finished(&*store).await;
    versions.push(store.version());
    store.point_get(backup.id).await.expect("read");
    assert_eq!(
        versions.last(),
        Some(&store.version()),
        "a read is no write"
    );
    store.lane_release(&lane).await.expect("released");
    versions.push(store.version());
    let nobody_knows = versions.iter().all(Option::is_none);
    assert!(
        nobody_knows || versions.is_sorted_by(|one, next| one < next),
        "{versions:?}"
    );
}

async fn a_repeated_request_answers_the_first_resource_as_it_is_now(site: Site) {
    let store = site.open().await;
    let first = backup();
    let operation = creation(&first);
    let admitted = store
        .point_admit(
            asked(Some(key("r1", "same"))),
            first.clone(),
            operation.clone(),
        )
        .await
        .expect("admitted");
    assert_eq!(admitted, Admitted::New(first.clone()));
    let lane = lane_of(&*store, "one", &home()).await;
    store
        .turn_record(&lane, vec![told(&operation, State::Creating, 5)])
        .await
        .expect("recorded");

    let second = backup();
    let again = store
        .point_admit(
            asked(Some(key("r1", "same"))),
            second.clone(),
            creation(&second),
        )
        .await
        .expect("answered");
    let now = store.point_get(first.id).await.expect("there");
    assert_eq!(now.head.state, State::Creating);
    assert_eq!(again, Admitted::Before(now));
    assert_eq!(
        store.point_get(second.id).await,
        Err(StoreError::NotFound(ResourceId::Point(second.id)))
    );
}

async fn repeats_about_a_dr_backup_that_is_gone_answer_as_the_first_did(site: Site) {
    let store = site.open().await;
    let first = backup();
    let making = creation(&first);
    let create = || {
        let key = Some(key("create", "same"));
        store.point_admit(asked(key), first.clone(), making.clone())
    };
    let created = new_of(create().await.expect("admitted"));
    let lane = lane_of(&*store, "one", &home()).await;
    store
        .turn_record(&lane, vec![ended(&making, State::Ok, 20)])
        .await
        .expect("recorded");
    let made = store.point_get(first.id).await.expect("there");
    let renamed = Point {
        name: "weekly".to_owned(),
        ..made
    };
    let rename = || store.point_change(asked(Some(key("update", "same"))), renamed.clone(), None);
    let updated = new_of(rename().await.expect("changed"));
    let removal = deletion(&updated);
    let going = scheduled_for_deletion(&updated);
    let delete = || {
        let key = Some(key("delete", "same"));
        store.point_change(asked(key), going.clone(), Some(removal.clone()))
    };
    let deleted = new_of(delete().await.expect("changed"));
    assert_eq!(deleted.head.state, State::DeletionScheduled);
    let about = ResourceId::Point(first.id);
    let cancel =
        || store.operation_cancel(asked(Some(key("cancel", "same"))), about, at(60), false);
    assert_eq!(cancel().await, Ok(true));
    store
        .turn_record(&lane, vec![ended(&removal, State::Deleted, 61)])
        .await
        .expect("recorded");

    assert_eq!(
        store.point_get(first.id).await,
        Err(StoreError::NotFound(about))
    );
    let answered = async |id: &str| store.point_answered(&key(id, "same")).await;
    assert_eq!(answered("create").await, Ok(Some(created.clone())));
    assert_eq!(answered("update").await, Ok(Some(updated.clone())));
    assert_eq!(answered("delete").await, Ok(Some(deleted.clone())));
    assert_eq!(answered("cancel").await, Ok(Some(deleted.clone())));
    assert_eq!(create().await, Ok(Admitted::Before(created)));
    assert_eq!(rename().await, Ok(Admitted::Before(updated)));
    assert_eq!(delete().await, Ok(Admitted::Before(deleted)));
    assert_eq!(cancel().await, Ok(true));
    assert_eq!(
        store.point_answered(&key("delete", "other")).await,
        Err(StoreError::RequestReused)
    );
    // One that was never asked before is about nothing.
    let first_time = store.point_change(asked(Some(key("late", "same"))), going.clone(), None);
    assert_eq!(first_time.await, Err(StoreError::NotFound(about)));
}

async fn repeats_about_a_restoration_that_is_gone_answer_as_the_first_did(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let first = restoration(&backup);
    let making = restoring(&first);
    let create = || {
        let key = Some(key("create", "same"));
        store.restoration_admit(asked(key), first.clone(), making.clone())
    };
    let created = new_of(create().await.expect("admitted"));
    let lane = lane_of(&*store, "one", &first.tenant).await;
    store
        .turn_record(&lane, vec![ended(&making, State::Ok, 40)])
        .await
        .expect("recorded");
    let made = store.restoration_get(first.id).await.expect("there");
    let going = Restoration {
        head: Head {
            state: State::DeletionScheduled,
            ..made.head
        },
        ..made
    };
    let removal = restoring(&first);
    let delete = || {
        let key = Some(key("delete", "same"));
        store.restoration_change(asked(key), going.clone(), removal.clone())
    };
    let deleted = new_of(delete().await.expect("changed"));
    let about = ResourceId::Restoration(first.id);
    let cancel =
        || store.operation_cancel(asked(Some(key("cancel", "same"))), about, at(60), false);
    assert_eq!(cancel().await, Ok(true));
    store
        .turn_record(&lane, vec![ended(&removal, State::Deleted, 61)])
        .await
        .expect("recorded");

    assert_eq!(
        store.restoration_get(first.id).await,
        Err(StoreError::NotFound(about))
    );
    let answered = async |id: &str| store.restoration_answered(&key(id, "same")).await;
    assert_eq!(answered("create").await, Ok(Some(created.clone())));
    assert_eq!(answered("delete").await, Ok(Some(deleted.clone())));
    assert_eq!(answered("cancel").await, Ok(Some(deleted.clone())));
    assert_eq!(create().await, Ok(Admitted::Before(created)));
    assert_eq!(delete().await, Ok(Admitted::Before(deleted)));
    assert_eq!(cancel().await, Ok(true));
    assert_eq!(
        store.restoration_answered(&key("delete", "other")).await,
        Err(StoreError::RequestReused)
    );
}

async fn an_answer_that_is_kept_holds_no_user_data(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let mut first = restoration(&backup);
    first.options.user_data = Some(UserData::new("c2VjcmV0"));
    let making = restoring(&first);
    let admitted = store
        .restoration_admit(
            asked(Some(key("r1", "same"))),
            first.clone(),
            making.clone(),
        )
        .await;
    assert_eq!(admitted, Ok(Admitted::New(first.clone())));
    let lane = lane_of(&*store, "one", &first.tenant).await;
    store
        .turn_record(&lane, vec![ended(&making, State::Deleted, 40)])
        .await
        .expect("recorded");
    let answered = store.restoration_answered(&key("r1", "same")).await;
    first.options.user_data = Some(UserData::default());
    assert_eq!(answered, Ok(Some(first)));
}

async fn a_request_id_with_other_content_is_refused_and_writes_nothing(site: Site) {
    let store = site.open().await;
    let first = backup();
    store
        .point_admit(
            asked(Some(key("r1", "one"))),
            first.clone(),
            creation(&first),
        )
        .await
        .expect("admitted");

    let second = backup();
    let refused = store
        .point_admit(
            asked(Some(key("r1", "two"))),
            second.clone(),
            creation(&second),
        )
        .await;
    assert_eq!(refused, Err(StoreError::RequestReused));
    assert_eq!(
        store.point_get(second.id).await,
        Err(StoreError::NotFound(ResourceId::Point(second.id)))
    );
}

async fn a_request_that_another_version_kept_is_found_by_its_key_alone(site: Site) {
    let store = site.open().await;
    // As they were before digests had a version, and as they may be spelled later.
    for (id, kept) in [("r1", "0123"), ("r2", "v2:0123")] {
        let one = backup();
        let key = |digest| Some(key(id, digest));
        let admitted = store
            .point_admit(asked(key(kept)), one.clone(), creation(&one))
            .await;
        assert_eq!(admitted, Ok(Admitted::New(one.clone())));
        let again = backup();
        let repeated = store
            .point_admit(asked(key("v1:4567")), again.clone(), creation(&again))
            .await;
        assert_eq!(repeated, Ok(Admitted::Before(one.clone())));
        let answered = store.point_answered(&key("v1:4567").expect("one")).await;
        assert_eq!(answered, Ok(Some(one)));
    }
    let orphans = |digest| RequestKey {
        method: "DeleteOrphans",
        ..key("r1", digest)
    };
    assert_eq!(
        store
            .orphans_answer(asked(Some(orphans("0123"))), &home(), at(0), &[])
            .await,
        Ok(())
    );
    assert_eq!(
        store.orphans_answered(&orphans("v1:4567")).await,
        Ok(Some(Vec::new()))
    );
}

async fn a_request_is_found_by_its_key_once_it_was_admitted(site: Site) {
    let store = site.open().await;
    let one = backup();
    assert_eq!(store.point_answered(&key("r1", "one")).await, Ok(None));
    store
        .point_admit(asked(Some(key("r1", "one"))), one.clone(), creation(&one))
        .await
        .expect("admitted");
    assert_eq!(store.point_answered(&key("r1", "one")).await, Ok(Some(one)));
    assert_eq!(
        store.point_answered(&key("r1", "two")).await,
        Err(StoreError::RequestReused)
    );
}

async fn many_callers_with_one_request_id_admit_one(site: Site) {
    let store = site.open().await;
    let mut callers = Vec::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        callers.push(tokio::spawn(async move {
            let backup = backup();
            let operation = creation(&backup);
            store
                .point_admit(asked(Some(key("r1", "same"))), backup, operation)
                .await
                .expect("answered")
        }));
    }
    let mut fresh = 0;
    let mut ids = BTreeSet::new();
    for caller in callers {
        match caller.await.expect("no panic") {
            Admitted::New(backup) => {
                fresh += 1;
                ids.insert(backup.id);
            }
            Admitted::Before(backup) => {
                ids.insert(backup.id);
            }
        }
    }
    assert_eq!((fresh, ids.len()), (1, 1));
}

async fn a_change_raises_the_revision_and_tells_it(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let renamed = Point {
        name: "weekly".to_owned(),
        description: "of the whole shop".to_owned(),
        head: Head {
            updated: at(30),
            ..backup.clone().head
        },
        ..backup.clone()
    };
    let changed = store
        .point_change(asked(None), renamed.clone(), None)
        .await
        .expect("changed");
    let expected = Point {
        head: Head {
            revision: backup.head.revision + 1,
            ..renamed.head
        },
        ..renamed
    };
    assert_eq!(changed, Admitted::New(expected.clone()));
    assert_eq!(store.point_get(backup.id).await, Ok(expected));
    let told = events(&*store, ResourceId::Point(backup.id)).await;
    assert_eq!(told.last().map(|event| event.time), Some(at(30)));
}

async fn a_change_from_a_stale_revision_is_refused(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let stale = Point {
        head: Head {
            revision: backup.head.revision - 1,
            ..scheduled_for_deletion(&backup).head
        },
        ..scheduled_for_deletion(&backup)
    };
    let refused = store
        .point_change(
            asked(Some(key("r2", "d"))),
            stale.clone(),
            Some(deletion(&backup)),
        )
        .await;
    assert_eq!(
        refused,
        Err(StoreError::Outdated(ResourceId::Point(backup.id)))
    );
    assert_eq!(store.point_get(backup.id).await, Ok(backup.clone()));

    // The key of a refused request is still free.
    let current = scheduled_for_deletion(&backup);
    let accepted = store
        .point_change(
            asked(Some(key("r2", "d"))),
            current,
            Some(deletion(&backup)),
        )
        .await
        .expect("changed");
    assert!(matches!(accepted, Admitted::New(_)));

    let unknown = Point {
        id: PointId::dr(Uuid::now_v7()),
        ..backup
    };
    let about = ResourceId::Point(unknown.id);
    assert_eq!(
        store.point_change(asked(None), unknown, None).await,
        Err(StoreError::NotFound(about))
    );
}

async fn a_restoration_changes_only_at_its_revision(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let restoration = restoration(&backup);
    let making = restoring(&restoration);
    let admitted = store
        .restoration_admit(
            asked(Some(key("r1", "x"))),
            restoration.clone(),
            making.clone(),
        )
        .await;
    assert_eq!(admitted, Ok(Admitted::New(restoration.clone())));
    assert_eq!(
        store.restoration_get(restoration.id).await,
        Ok(restoration.clone())
    );
    let lane = lane_of(&*store, "one", &restoration.tenant).await;
    store
        .turn_record(&lane, vec![ended(&making, State::Ok, 40)])
        .await
        .expect("recorded");

    let going = Restoration {
        head: Head {
            state: State::DeletionScheduled,
            updated: at(41),
            ..restoration.head.clone()
        },
        ..restoration.clone()
    };
    let about = ResourceId::Restoration(restoration.id);
    let removal = restoring(&restoration);
    assert_eq!(
        store
            .restoration_change(asked(None), going.clone(), removal.clone())
            .await,
        Err(StoreError::Outdated(about))
    );
    let current = Restoration {
        head: Head {
            revision: 2,
            ..going.head
        },
        ..going
    };
    let changed = store
        .restoration_change(
            asked(Some(key("r9", "x"))),
            current.clone(),
            removal.clone(),
        )
        .await
        .expect("changed");
    assert_eq!(new_of(changed).head.revision, 3);
    let again = store
        .restoration_change(asked(Some(key("r9", "x"))), current, removal)
        .await
        .expect("answered");
    assert!(matches!(again, Admitted::Before(_)));
}

async fn a_restoration_is_found_by_the_instance_that_it_makes(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let (one, two) = (restoration(&backup), restoration(&backup));
    for restoration in [&one, &two] {
        let admitted =
            store.restoration_admit(asked(None), restoration.clone(), restoring(restoration));
        new_of(admitted.await.expect("admitted"));
    }
    for restoration in [one, two] {
        let found = store.restoration_of_instance(restoration.instance).await;
        assert_eq!(found, Ok(Some(restoration)));
    }
    let unknown = InstanceId(Uuid::now_v7());
    assert_eq!(store.restoration_of_instance(unknown).await, Ok(None));
}

async fn deletion_is_refused_while_restorations_are_busy(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let restoration = restoration(&backup);
    let making = restoring(&restoration);
    store
        .restoration_admit(asked(None), restoration.clone(), making.clone())
        .await
        .expect("admitted");

    let delete = || {
        store.point_change(
            asked(None),
            scheduled_for_deletion(&backup),
            Some(deletion(&backup)),
        )
    };
    assert_eq!(delete().await, Err(StoreError::InUse(vec![restoration.id])));
    assert_eq!(store.point_get(backup.id).await, Ok(backup.clone()));

    let lane = lane_of(&*store, "one", &restoration.tenant).await;
    store
        .turn_record(&lane, vec![ended(&making, State::Ok, 40)])
        .await
        .expect("recorded");
    assert!(matches!(delete().await, Ok(Admitted::New(_))));
}

async fn a_restoration_of_a_leaving_or_missing_dr_backup_is_refused(site: Site) {
    let store = site.open().await;
    let (leaving, _) = finished(&*store).await;
    store
        .point_change(
            asked(None),
            scheduled_for_deletion(&leaving),
            Some(deletion(&leaving)),
        )
        .await
        .expect("changed");
    for of in [leaving, backup()] {
        let restoration = restoration(&of);
        let operation = restoring(&restoration);
        assert_eq!(
            store
                .restoration_admit(asked(None), restoration.clone(), operation)
                .await,
            Err(StoreError::Outdated(ResourceId::Point(of.id)))
        );
        assert!(store.restoration_get(restoration.id).await.is_err());
    }
}

async fn restoration_and_deletion_at_once_never_both_begin(site: Site) {
    let store = site.open().await;
    for _ in 0..10 {
        let (backup, _) = finished(&*store).await;
        let restoration = restoration(&backup);
        let making = restoring(&restoration);
        let (restored, deleted) = tokio::join!(
            store.restoration_admit(asked(None), restoration.clone(), making),
            store.point_change(
                asked(None),
                scheduled_for_deletion(&backup),
                Some(deletion(&backup))
            ),
        );
        assert_ne!(
            restored.is_ok(),
            deleted.is_ok(),
            "{restored:?} {deleted:?}"
        );
    }
}

async fn a_turn_changes_ledger_resource_and_events_together(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let detail = PointDetail {
        content: Content::Dr(vec![VolumeBackup {
            id: VolumeBackupId::new("backup-1"),
            volume: VolumeId::new("volume-1"),
            tenant: home(),
            size_gib: 20,
            incremental: false,
            parent: None,
            status: "available".to_owned(),
            data_timestamp: Some(at(3)),
            record: Some(BackupRecord {
                service: "driver".to_owned(),
                url: "c2VjcmV0".to_owned(),
            }),
            inherited: false,
        }]),
        ..PointDetail::none(PointKind::Dr)
    };
    let mut first = told(&operation, State::Creating, 5);
    first.effects = vec![
        effect("volume-1-snapshot", EffectState::Requested),
        effect("volume-2-snapshot", EffectState::Requested),
    ];
    let mut written = update(State::Creating, 5);
    written.report.detail = Some(Detail::Point(Box::new(detail.clone())));
    written.detail_changed = true;
    first.update = Some(written.clone());
    store
        .turn_record(&lane, vec![first])
        .await
        .expect("recorded");

    let done = effect("volume-1-snapshot", EffectState::Done);
    let second = Turn {
        effects: vec![done.clone()],
        ..turn(&operation)
    };
    store
        .turn_record(&lane, vec![second])
        .await
        .expect("recorded");

    let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
    assert_eq!(
        open[0].ledger,
        Ledger::new([done, effect("volume-2-snapshot", EffectState::Requested)])
    );
    assert_eq!(open[0].operation.resource_state, State::Creating);
    assert_eq!(
        open[0].detail,
        Some(Detail::Point(Box::new(detail.clone())))
    );
    let now = store.point_get(backup.id).await.expect("there");
    assert_eq!(
        now,
        Point {
            detail,
            head: Head {
                state: State::Creating,
                runtime_state: written.report.runtime_state.clone(),
                progress: written.report.progress.clone(),
                updated: at(5),
                revision: 2,
                ..backup.head
            },
            ..backup
        }
    );
    let told = events(&*store, ResourceId::Point(now.id)).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].progress, written.report.progress);
}

async fn a_failed_operation_leaves_its_error_and_the_next_success_takes_it_away(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let why = OperationError::new("CANCELLED", "a caller cancelled it", "create another one");
    let failed = Turn {
        ending: Ending::Erred(why.clone()),
        ..told(&operation, State::Erred, 7)
    };
    store
        .turn_record(&lane, vec![failed])
        .await
        .expect("recorded");
    let erred = store.point_get(backup.id).await.expect("there");
    assert_eq!(erred.head.error, Some(why.clone()));
    let told = events(&*store, ResourceId::Point(backup.id)).await;
    assert_eq!(told[1].error, Some(why));
    assert_eq!(store.lane_load(&lane, &[]).await, Ok(Loaded::default()));

    let update = Operation {
        ask: Ask::UpdateDrBackup {
            description: "new".to_owned(),
            backups: Vec::new(),
        },
        ..creation(&backup)
    };
    let scheduled = Point {
        head: Head {
            state: State::UpdateScheduled,
            ..erred.head
        },
        ..erred
    };
    store
        .point_change(asked(None), scheduled, Some(update.clone()))
        .await
        .expect("changed");
    store
        .turn_record(&lane, vec![ended(&update, State::Ok, 9)])
        .await
        .expect("recorded");
    let good = store.point_get(backup.id).await.expect("there");
    assert_eq!((good.head.state, good.head.error), (State::Ok, None));
}

async fn a_turn_that_fails_in_part_writes_nothing(site: Site) {
    let store = site.open().await;
    let (one, two) = (backup(), backup());
    let first = admit(&*store, &one).await;
    let second = admit(&*store, &two).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let mut good = told(&first, State::Creating, 5);
    good.effects = vec![effect("a", EffectState::Requested)];
    let mut bad = told(&second, State::Creating, 5);
    // A detail of the wrong kind is a defect that shows only after the first rows are written.
    let written = bad.update.as_mut().expect("an update");
    written.report.detail = Some(Detail::Restoration(Box::default()));
    written.detail_changed = true;
    let refused = store.turn_record(&lane, vec![good, bad]).await;
    assert!(matches!(refused, Err(JournalError::Unreadable(_))));

    assert_eq!(store.point_get(one.id).await, Ok(one.clone()));
    assert_eq!(events(&*store, ResourceId::Point(one.id)).await.len(), 1);
    let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
    assert!(open.iter().all(|open| open.ledger == Ledger::default()));
}

async fn a_turn_of_an_ended_operation_is_refused(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let last = ended(&operation, State::Ok, 20);
    store
        .turn_record(&lane, vec![last.clone()])
        .await
        .expect("recorded");
    assert_eq!(
        store.turn_record(&lane, vec![last]).await,
        Err(JournalError::Outdated(ResourceId::Point(backup.id)))
    );
    assert_eq!(events(&*store, ResourceId::Point(backup.id)).await.len(), 2);
}

async fn deletion_removes_the_resource_and_leaves_its_events(site: Site) {
    let store = site.open().await;
    let (backup, lane) = finished(&*store).await;
    let removal = deletion(&backup);
    store
        .point_change(
            asked(None),
            scheduled_for_deletion(&backup),
            Some(removal.clone()),
        )
        .await
        .expect("changed");
    store
        .turn_record(&lane, vec![ended(&removal, State::Deleted, 60)])
        .await
        .expect("recorded");

    let about = ResourceId::Point(backup.id);
    assert_eq!(
        store.point_get(backup.id).await,
        Err(StoreError::NotFound(about))
    );
    assert_eq!(store.lane_load(&lane, &[]).await, Ok(Loaded::default()));
    let told = events(&*store, about).await;
    let states: Vec<State> = told.iter().map(|event| event.state).collect();
    assert_eq!(
        states,
        [
            State::CreationScheduled,
            State::Ok,
            State::DeletionScheduled,
            State::Deleted
        ]
    );
}

async fn events_count_without_a_gap_and_replay_from_any_number(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    for second in 1..30 {
        store
            .turn_record(&lane, vec![told(&operation, State::Creating, second)])
            .await
            .expect("recorded");
    }
    let about = ResourceId::Point(backup.id);
    let all = events(&*store, about).await;
    let numbers: Vec<u64> = all.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=30).collect::<Vec<u64>>());
    let tail = store.events_list(about, 12, 5).await.expect("events");
    assert_eq!(tail, all[12..17]);
    assert_eq!(store.events_list(about, 30, 5).await, Ok(Vec::new()));
}

async fn changes_name_each_resource_once_and_go_on_from_a_position(site: Site) {
    let store = site.open().await;
    let (one, two) = (backup(), backup());
    let first = admit(&*store, &one).await;
    let second = admit(&*store, &two).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let (changed, position) = store.changes_list(0, 100).await.expect("changes");
    assert_eq!(
        changed,
        [ResourceId::Point(one.id), ResourceId::Point(two.id)]
    );

    let turns = vec![
        told(&second, State::Creating, 5),
        told(&first, State::Creating, 5),
    ];
    store.turn_record(&lane, turns).await.expect("recorded");
    store
        .turn_record(&lane, vec![told(&second, State::Creating, 6)])
        .await
        .expect("recorded");
    let (changed, end) = store.changes_list(position, 100).await.expect("changes");
    assert_eq!(
        changed,
        [ResourceId::Point(two.id), ResourceId::Point(one.id)]
    );
    assert_eq!(store.changes_list(end, 100).await, Ok((Vec::new(), end)));

    let (mut position, mut steps) = (0, 0);
    loop {
        let (changed, next) = store.changes_list(position, 1).await.expect("changes");
        if changed.is_empty() {
            break;
        }
        (position, steps) = (next, steps + 1);
    }
    assert_eq!((position, steps), (end, 5));
}

async fn changes_miss_nothing_while_many_write(site: Site) {
    let store = site.open().await;
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..10 {
                    admit(&*store, &backup()).await;
                }
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    let mut position = 0;
    loop {
        let written = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let (changed, next) = store.changes_list(position, 7).await.expect("changes");
        position = next;
        if changed.is_empty() && written {
            break;
        }
        seen.extend(changed);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    assert_eq!(seen.len(), 80);
}

async fn waiters_are_woken_by_events_and_by_admissions(site: Site) {
    let store = site.open().await;
    let (mut changes, mut admissions) = (store.changes(), store.admissions());
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    assert!(changes.has_changed().expect("open"));
    assert!(admissions.has_changed().expect("open"));
    changes.mark_unchanged();
    admissions.mark_unchanged();

    let lane = lane_of(&*store, "one", &home()).await;
    let silent = Turn {
        effects: vec![effect("a", EffectState::Requested)],
        ..turn(&operation)
    };
    store
        .turn_record(&lane, vec![silent])
        .await
        .expect("recorded");
    assert!(!admissions.has_changed().expect("open"));

    store
        .turn_record(&lane, vec![told(&operation, State::Creating, 5)])
        .await
        .expect("recorded");
    changes.changed().await.expect("open");
    store
        .operation_cancel(asked(None), operation.resource, at(6), false)
        .await
        .expect("cancelled");
    admissions.changed().await.expect("open");
}

async fn pages_are_stable_while_rows_are_inserted(site: Site) {
    let store = site.open().await;
    let mut old = Vec::new();
    for number in 0..23_i64 {
        let one = Point {
            // Many share a value, so that the id has to break ties.
            name: format!("name-{}", number % 5),
            head: Head {
                created: at(number / 3),
                updated: at(number / 4),
                ..backup().head
            },
            ..backup()
        };
        admit(&*store, &one).await;
        old.push(one);
    }
    let orders = [OrderField::Created, OrderField::Updated, OrderField::Name];
    for (field, descending) in orders.into_iter().flat_map(|f| [(f, false), (f, true)]) {
        let mut expected: Vec<&Point> = old.iter().collect();
        expected.sort_by_key(|one| match field {
            OrderField::Created => (one.head.created, String::new(), one.id),
            OrderField::Updated => (one.head.updated, String::new(), one.id),
            OrderField::Name => (Timestamp(0), one.name.clone(), one.id),
        });
        if descending {
            expected.reverse();
        }
        let known: BTreeSet<PointId> = old.iter().map(|one| one.id).collect();
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = store
                .points_list(Query {
                    scope: Scope::All,
                    filter: Filter::default(),
                    order: Order { field, descending },
                    after,
                    skip: 0,
                    limit: 4,
                })
                .await
                .expect("a page");
            assert!(page.items.len() <= 4);
            listed.extend(page.items);
            // One before and one behind the cursor.
            for (second, name) in [(-5, "a"), (900, "z")] {
                let late = Point {
                    name: name.to_owned(),
                    head: Head {
                        created: at(second),
                        updated: at(second),
                        ..backup().head
                    },
                    ..backup()
                };
                if listed.len() < old.len() {
                    admit(&*store, &late).await;
                }
            }
            after = page.next;
            if after.is_none() || listed.len() > 300 {
                break;
            }
        }
        let unique: BTreeSet<PointId> = listed.iter().map(|one| one.id).collect();
        assert_eq!(unique.len(), listed.len(), "{field:?}: no row twice");
        listed.retain(|one| known.contains(&one.id));
        let listed: Vec<PointId> = listed.iter().map(|one| one.id).collect();
        let expected: Vec<PointId> = expected.iter().map(|one| one.id).collect();
        assert_eq!(listed, expected, "{field:?} descending {descending}");
    }
}

async fn restorations_page_in_every_order(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let mut all = Vec::new();
    for number in 0..7_i64 {
        let one = Restoration {
            instance_name: format!("shop-{}", number % 3),
            head: Head {
                created: at(number / 2),
                updated: at(100 - number / 2),
                ..restoration(&backup).head
            },
            ..restoration(&backup)
        };
        store
            .restoration_admit(asked(None), one.clone(), restoring(&one))
            .await
            .expect("admitted");
        all.push(one);
    }
    let orders = [OrderField::Created, OrderField::Updated, OrderField::Name];
    for (field, descending) in orders.into_iter().flat_map(|f| [(f, false), (f, true)]) {
        let mut expected = all.clone();
        expected.sort_by_key(|one| match field {
            OrderField::Created => (one.head.created, String::new(), one.id),
            OrderField::Updated => (one.head.updated, String::new(), one.id),
            OrderField::Name => (Timestamp(0), one.instance_name.clone(), one.id),
        });
        if descending {
            expected.reverse();
        }
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = store
                .restorations_list(Query {
                    scope: Scope::All,
                    filter: Filter::default(),
                    order: Order { field, descending },
                    after,
                    skip: 0,
                    limit: 3,
                })
                .await
                .expect("a page");
            listed.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected, "{field:?} descending {descending}");
    }
    let newest = store
        .restorations_of(backup.id, &Scope::All, 2)
        .await
        .expect("listed");
    assert_eq!(newest, [all[6].clone(), all[5].clone()]);
}

async fn a_cursor_of_another_order_is_refused(site: Site) {
    let store = site.open().await;
    let query = Query {
        scope: Scope::All,
        filter: Filter::default(),
        order: Order::default(),
        after: Some(Cursor {
            value: OrderValue::Text("nightly".to_owned()),
            id: Uuid::now_v7(),
        }),
        skip: 0,
        limit: 3,
    };
    assert!(matches!(
        store.points_list(query).await,
        Err(StoreError::Unreadable(_))
    ));
}

async fn filters_narrow_to_what_they_name(site: Site) {
    let store = site.open().await;
    let wanted = Point {
        name: "wanted".to_owned(),
        description: "100% of Wanted".to_owned(),
        tenant: tenant("away", "green"),
        server: ServerId::new("server-9"),
        head: Head {
            created: at(500),
            ..backup().head
        },
        ..backup()
    };
    let operation = admit(&*store, &wanted).await;
    let lane = lane_of(&*store, "one", &wanted.tenant).await;
    store
        .turn_record(&lane, vec![told(&operation, State::Creating, 501)])
        .await
        .expect("recorded");
    for _ in 0..3 {
        admit(&*store, &backup()).await;
    }
    let none = Filter::default;
    let filters = [
        Filter {
            cloud: Some(CloudName::new("away")),
            ..none()
        },
        Filter {
            project: Some(ProjectId::new("green")),
            ..none()
        },
        Filter {
            server: Some(ServerId::new("server-9")),
            ..none()
        },
        Filter {
            states: vec![State::Creating],
            ..none()
        },
        Filter {
            states: vec![State::Erred, State::Creating],
            ..none()
        },
        Filter {
            name: Some("wanted".to_owned()),
            ..none()
        },
        Filter {
            name_part: Some("ante".to_owned()),
            ..none()
        },
        Filter {
            description_part: Some("0% of W".to_owned()),
            ..none()
        },
        Filter {
            created_from: Some(at(500)),
            ..none()
        },
        Filter {
            created_from: Some(at(500)),
            created_before: Some(at(501)),
            cloud: Some(CloudName::new("away")),
            ..none()
        },
    ];
    for filter in filters {
        let found = named(&*store, filter.clone()).await;
        assert_eq!(found, ["wanted"], "{filter:?}");
    }
    let before = Filter {
        created_before: Some(at(500)),
        ..none()
    };
    assert_eq!(named(&*store, before).await.len(), 3);
    for nothing_stands_for_anything in ["w%d", "w_nted", "WANTED"] {
        let part = Filter {
            name_part: Some(nothing_stands_for_anything.to_owned()),
            ..none()
        };
        assert_eq!(named(&*store, part).await, Vec::<String>::new());
    }
    let behind = Query {
        scope: Scope::All,
        filter: none(),
        order: Order::default(),
        after: None,
        skip: 1,
        limit: 2,
    };
    let page = store.points_list(behind).await.expect("a page");
    assert_eq!(page.items.len(), 2);
    assert!(
        page.items.iter().all(|one| one.name != "wanted"),
        "the newest is passed over"
    );
    assert!(page.next.is_some());

    under_way_is_counted(&*store).await;
}

async fn under_way_is_counted(store: &dyn Store) {
    let under_way = store.operations_under_way().await.expect("a count");
    let count = |cloud: &str| {
        let of_cloud = under_way.iter().filter(|one| one.cloud.as_str() == cloud);
        of_cloud.map(|one| one.count).collect::<Vec<_>>()
    };
    assert_eq!(count("away"), [1]);
    assert_eq!(under_way.iter().map(|one| one.count).sum::<u64>(), 4);
    assert!(under_way.iter().all(|one| one.kind == "create_dr_backup"));
}

async fn named(store: &dyn Store, filter: Filter) -> Vec<String> {
    let page = store
        .points_list(Query {
            scope: Scope::All,
            filter,
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 10,
        })
        .await
        .expect("a page");
    page.items.into_iter().map(|one| one.name).collect()
}

async fn filters_narrow_restorations_too(site: Site) {
    let store = site.open().await;
    let (first, _) = finished(&*store).await;
    let (second, _) = finished(&*store).await;
    let wanted = Restoration {
        tenant: tenant("third", "red"),
        instance_name: "wanted".to_owned(),
        head: Head {
            created: at(700),
            ..restoration(&first).head
        },
        ..restoration(&first)
    };
    for one in [wanted.clone(), restoration(&second), restoration(&second)] {
        store
            .restoration_admit(asked(None), one.clone(), restoring(&one))
            .await
            .expect("admitted");
    }
    let none = Filter::default;
    let filters = [
        Filter {
            kind: Some(PointKind::Dr),
            name_part: Some("want".to_owned()),
            ..none()
        },
        Filter {
            cloud: Some(CloudName::new("third")),
            project: Some(ProjectId::new("red")),
            ..none()
        },
        Filter {
            points: vec![first.id],
            states: vec![State::CreationScheduled],
            ..none()
        },
        Filter {
            name: Some("wanted".to_owned()),
            ..none()
        },
        Filter {
            created_from: Some(at(700)),
            created_before: Some(at(701)),
            ..none()
        },
    ];
    for filter in filters {
        let page = store
            .restorations_list(Query {
                scope: Scope::All,
                filter: filter.clone(),
                order: Order::default(),
                after: None,
                skip: 0,
                limit: 10,
            })
            .await
            .expect("a page");
        assert_eq!(page.items, std::slice::from_ref(&wanted), "{filter:?}");
    }
}

async fn a_lane_with_work_is_claimed_once_and_renewed_in_its_epoch(site: Site) {
    let store = site.open().await;
    let one = replica("one");
    assert_eq!(store.lanes_claim(&one, LEASE, 9, &[]).await, Ok(Vec::new()));
    admit(&*store, &backup()).await;
    let claimed = store
        .lanes_claim(&one, LEASE, 9, &[])
        .await
        .expect("claimed");
    assert_eq!(
        claimed,
        [Lane {
            tenant: home(),
            epoch: 1
        }]
    );
    assert_eq!(store.lanes_claim(&one, LEASE, 9, &[]).await, Ok(claimed));
    let two = store.lanes_claim(&replica("two"), LEASE, 9, &[]).await;
    assert_eq!(two, Ok(Vec::new()));
}

async fn claims_stop_at_the_limit(site: Site) {
    let store = site.open().await;
    for number in 0..5 {
        let one = Point {
            tenant: tenant("home", &format!("project-{number}")),
            ..backup()
        };
        admit(&*store, &one).await;
    }
    let one = replica("one");
    let few = store
        .lanes_claim(&one, LEASE, 2, &[])
        .await
        .expect("claimed");
    assert_eq!(few.len(), 2);
    let more = store
        .lanes_claim(&one, LEASE, 4, &[])
        .await
        .expect("claimed");
    assert_eq!(more.len(), 4);
    assert!(few.iter().all(|lane| more.contains(lane)));
    let rest = store.lanes_claim(&replica("two"), LEASE, 9, &[]).await;
    assert_eq!(rest.map(|lanes| lanes.len()), Ok(1));
    assert_eq!(
        store
            .lanes_claim(&one, LEASE, 3, &[])
            .await
            .map(|l| l.len()),
        Ok(3)
    );
}

async fn an_expired_lane_changes_owner_and_its_old_epoch_writes_nothing(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let brief = store
        .lanes_claim(&replica("one"), Duration::ZERO, 9, &[])
        .await
        .expect("claimed");
    site.clock.wind(Duration::from_secs(1));
    let taken = lane_of(&*store, "two", &home()).await;
    assert_eq!(taken.epoch, brief[0].epoch + 1);

    let mut late = told(&operation, State::Creating, 5);
    late.effects = vec![effect("a", EffectState::Requested)];
    assert_eq!(
        store.turn_record(&brief[0], vec![late]).await,
        Err(JournalError::Fenced(home()))
    );
    assert_eq!(
        store.lane_load(&brief[0], &[]).await,
        Err(JournalError::Fenced(home()))
    );
    assert_eq!(store.point_get(backup.id).await, Ok(backup));
    let open = store.lane_load(&taken, &[]).await.expect("loaded").open;
    assert_eq!(open[0].ledger, Ledger::default());
    assert_eq!(
        store.lanes_claim(&replica("one"), LEASE, 9, &[]).await,
        Ok(Vec::new())
    );
}

async fn a_released_lane_is_free_at_once_and_its_owner_is_fenced(site: Site) {
    let store = site.open().await;
    let operation = admit(&*store, &backup()).await;
    let lane = lane_of(&*store, "one", &home()).await;
    store.lane_release(&lane).await.expect("released");
    store.lane_release(&lane).await.expect("released again");
    assert_eq!(
        store
            .turn_record(&lane, vec![told(&operation, State::Creating, 5)])
            .await,
        Err(JournalError::Fenced(home()))
    );
    let next = lane_of(&*store, "two", &home()).await;
    assert_eq!(next.epoch, lane.epoch + 1);
    // A release that comes late takes nothing from the next owner.
    store.lane_release(&lane).await.expect("released late");
    assert!(store.lane_load(&next, &[]).await.is_ok());
}

async fn replicas_take_their_share_and_leave_it_to_the_others(site: Site) {
    let store = site.open().await;
    let (one, two) = (replica("one"), replica("two"));
    // Both take part before there is anything to do.
    for name in [&one, &two] {
        assert_eq!(
            store.lanes_claim(name, LEASE, 100, &[]).await,
            Ok(Vec::new())
        );
    }
    for number in 0..5 {
        let backup = Point {
            tenant: tenant("home", &format!("project-{number}")),
            ..backup()
        };
        admit(&*store, &backup).await;
    }
    let first = store
        .lanes_claim(&one, LEASE, 100, &[])
        .await
        .expect("claimed");
    assert_eq!(first.len(), 3, "half of five, rounded up");
    let second = store
        .lanes_claim(&two, LEASE, 100, &[])
        .await
        .expect("claimed");
    assert_eq!(second.len(), 2, "the rest");
    assert_eq!(
        store.lanes_claim(&one, LEASE, 100, &[]).await,
        Ok(first.clone())
    );
    let mut admissions = store.admissions();
    admissions.mark_unchanged();
    store.replica_leave(&one).await.expect("left");
    store.replica_leave(&one).await.expect("left again");
    admissions.changed().await.expect("the others are told");
    assert_eq!(
        store.lane_load(&first[0], &[]).await,
        Err(JournalError::Fenced(first[0].tenant.clone()))
    );
    let all = store
        .lanes_claim(&two, LEASE, 100, &[])
        .await
        .expect("claimed");
    assert_eq!(all.len(), 5, "nobody else takes part");
    assert!(second.iter().all(|lane| all.contains(lane)), "{all:?}");
}

async fn a_lane_without_work_is_not_renewed(site: Site) {
    let store = site.open().await;
    let (_, lane) = finished(&*store).await;
    let claimed = store.lanes_claim(&replica("one"), LEASE, 9, &[]).await;
    assert_eq!(claimed, Ok(Vec::new()));
    // It is still ours until its lease ends, so work that comes meanwhile goes on in its epoch.
    admit(&*store, &backup()).await;
    let claimed = store.lanes_claim(&replica("one"), LEASE, 9, &[]).await;
    assert_eq!(claimed, Ok(vec![lane]));
}

async fn replicas_share_lanes_without_overlap(site: Site) {
    let store = site.open().await;
    for number in 0..12 {
        let one = Point {
            tenant: tenant("home", &format!("project-{number}")),
            ..backup()
        };
        admit(&*store, &one).await;
    }
    let claims: Vec<_> = (0..6)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let name = replica(&format!("replica-{number}"));
                store
                    .lanes_claim(&name, LEASE, 100, &[])
                    .await
                    .expect("claimed")
            })
        })
        .collect();
    let mut owned = Vec::new();
    for claim in claims {
        owned.extend(claim.await.expect("no panic"));
    }
    let tenants: BTreeSet<Tenant> = owned.iter().map(|lane| lane.tenant.clone()).collect();
    assert_eq!((owned.len(), tenants.len()), (12, 12));
    assert!(owned.iter().all(|lane| lane.epoch == 1));
}

async fn a_load_skips_what_is_known_unless_it_was_cancelled(site: Site) {
    let store = site.open().await;
    let one = admit(&*store, &backup()).await;
    let two = admit(&*store, &backup()).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let known = [one.id, two.id];
    assert_eq!(store.lane_load(&lane, &known).await, Ok(Loaded::default()));
    let new = store
        .lane_load(&lane, &[one.id])
        .await
        .expect("loaded")
        .open;
    assert_eq!(new.len(), 1);
    assert_eq!(new[0].operation.id, two.id);

    assert_eq!(
        store
            .operation_cancel(asked(None), one.resource, at(9), false)
            .await,
        Ok(true)
    );
    assert_eq!(
        store
            .operation_cancel(asked(None), one.resource, at(11), false)
            .await,
        Ok(true)
    );
    let cancelled = store.lane_load(&lane, &known).await.expect("loaded").open;
    assert_eq!(cancelled.len(), 1);
    assert_eq!(
        worked(&cancelled[0].operation),
        Operation {
            cancelled: Some(at(9)),
            ..one
        }
    );
}

async fn a_cancellation_hits_the_operation_it_was_meant_for(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let about = ResourceId::Point(backup.id);
    let cancel = |digest: &'static str| {
        store.operation_cancel(asked(Some(key("c1", digest))), about, at(60), false)
    };
    assert_eq!(cancel("x").await, Ok(false), "nothing is open");

    let removal = deletion(&backup);
    store
        .point_change(
            asked(None),
            scheduled_for_deletion(&backup),
            Some(removal.clone()),
        )
        .await
        .expect("changed");
    assert_eq!(cancel("x").await, Ok(true));
    assert_eq!(cancel("y").await, Err(StoreError::RequestReused));
    let lane = lane_of(&*store, "one", &home()).await;
    store
        .turn_record(&lane, vec![ended(&removal, State::Erred, 61)])
        .await
        .expect("recorded");
    let erred = store.point_get(backup.id).await.expect("there");
    store
        .point_change(
            asked(None),
            scheduled_for_deletion(&erred),
            Some(deletion(&erred)),
        )
        .await
        .expect("changed");

    assert_eq!(cancel("x").await, Ok(true), "it was done the first time");
    let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
    assert_eq!(open[0].operation.cancelled, None);
}

async fn mirrors_follow_restorations_and_go_with_the_dr_backup(site: Site) {
    let store = site.open().await;
    let (backup, home_lane) = finished(&*store).await;
    let restoration = restoration(&backup);
    let making = restoring(&restoration);
    store
        .restoration_admit(asked(None), restoration.clone(), making.clone())
        .await
        .expect("admitted");
    let lane = lane_of(&*store, "one", &restoration.tenant).await;
    let mirror = |id: &str| BackupAt {
        backup: VolumeBackupId::new(id),
        tenant: restoration.tenant.clone(),
    };
    let with = |state, mirrors: Vec<BackupAt>| {
        let mut written = update(state, 40);
        written.detail_changed = true;
        written.report.detail = Some(Detail::Restoration(Box::new(RestorationDetail {
            mirrors,
            ..RestorationDetail::default()
        })));
        Turn {
            update: Some(written),
            ..turn(&making)
        }
    };
    store
        .turn_record(&lane, vec![with(State::Creating, vec![mirror("b1")])])
        .await
        .expect("recorded");
    let both = vec![mirror("b1"), mirror("b2")];
    let last = Turn {
        ending: Ending::Done,
        ..with(State::Ok, both.clone())
    };
    store
        .turn_record(&lane, vec![last])
        .await
        .expect("recorded");
    assert_eq!(store.mirrors_list(backup.id).await, Ok(both));

    let removal = deletion(&backup);
    store
        .point_change(
            asked(None),
            scheduled_for_deletion(&backup),
            Some(removal.clone()),
        )
        .await
        .expect("changed");
    store
        .turn_record(&home_lane, vec![ended(&removal, State::Deleted, 60)])
        .await
        .expect("recorded");
    assert_eq!(store.mirrors_list(backup.id).await, Ok(Vec::new()));
    assert!(store.restoration_get(restoration.id).await.is_ok());
}

/// A volume backup; a marked one is inherited.
fn link((id, inherited): &(&str, bool)) -> VolumeBackup {
    VolumeBackup {
        id: VolumeBackupId::new(*id),
        volume: VolumeId::new("volume-1"),
        tenant: home(),
        size_gib: 1,
        incremental: false,
        parent: None,
        status: "available".to_owned(),
        data_timestamp: None,
        record: None,
        inherited: *inherited,
    }
}

/// A DR backup that is `OK` and holds these volume backups; the marked ones are inherited.
pub(crate) async fn holding(store: &dyn Store, links: &[(&str, bool)]) -> (Point, Lane) {
    let backup = backup();
    let operation = admit(store, &backup).await;
    let lane = lane_of(store, "one", &home()).await;
    let mut done = ended(&operation, State::Ok, 20);
    if let Some(update) = &mut done.update {
        update.detail_changed = true;
        update.report.detail = Some(Detail::Point(Box::new(PointDetail {
            content: Content::Dr(links.iter().map(link).collect()),
            ..PointDetail::none(PointKind::Dr)
        })));
    }
    store
        .turn_record(&lane, vec![done])
        .await
        .expect("recorded");
    (store.point_get(backup.id).await.expect("there"), lane)
}

async fn delete_to_end(store: &dyn Store, backup: &Point, lane: &Lane) {
    let removal = deletion(backup);
    store
        .point_change(
            asked(None),
            scheduled_for_deletion(backup),
            Some(removal.clone()),
        )
        .await
        .expect("changed");
    store
        .turn_record(lane, vec![ended(&removal, State::Deleted, 60)])
        .await
        .expect("recorded");
}

async fn a_dr_backup_on_which_others_build_is_deleted_after_them(site: Site) {
    let store = site.open().await;
    let (parent, lane) = holding(&*store, &[("b1", false), ("foreign", true)]).await;
    let links = [("b2", false), ("b1", true), ("foreign", true)];
    let (child, _) = holding(&*store, &links).await;
    let (other, _) = holding(&*store, &[("b9", false), ("foreign", true)]).await;

    let delete = || {
        store.point_change(
            asked(None),
            scheduled_for_deletion(&parent),
            Some(deletion(&parent)),
        )
    };
    let refusal = Err(StoreError::BuiltUpon(vec![child.id]));
    assert_eq!(delete().await, refusal);
    assert_eq!(store.point_get(parent.id).await, Ok(parent.clone()));
    delete_to_end(&*store, &other, &lane).await;
    assert_eq!(delete().await, refusal, "what is nobody's binds nobody");
    delete_to_end(&*store, &child, &lane).await;
    delete_to_end(&*store, &parent, &lane).await;
}

async fn what_a_dr_backup_holds_no_more_binds_nobody(site: Site) {
    let store = site.open().await;
    let (parent, lane) = holding(&*store, &[("b1", false)]).await;
    let (child, _) = holding(&*store, &[("b2", false), ("b1", true)]).await;
    let update = creation(&child);
    let scheduled = Point {
        head: Head {
            state: State::UpdateScheduled,
            ..child.clone().head
        },
        ..child.clone()
    };
    store
        .point_change(asked(None), scheduled, Some(update.clone()))
        .await
        .expect("changed");
    let mut emptied = told(&update, State::Updating, 30);
    if let Some(update) = &mut emptied.update {
        update.detail_changed = true;
        update.report.detail = Some(Detail::Point(Box::new(PointDetail::none(PointKind::Dr))));
    }
    store
        .turn_record(&lane, vec![emptied])
        .await
        .expect("recorded");
    delete_to_end(&*store, &parent, &lane).await;
}

async fn mirrors_belong_to_the_dr_backup_that_made_their_bytes(site: Site) {
    let store = site.open().await;
    let (parent, home_lane) = holding(&*store, &[("b1", false)]).await;
    let links = [("b2", false), ("b1", true), ("foreign", true)];
    let (child, _) = holding(&*store, &links).await;
    let restoration = restoration(&child);
    let making = restoring(&restoration);
    store
        .restoration_admit(asked(None), restoration.clone(), making.clone())
        .await
        .expect("admitted");
    let lane = lane_of(&*store, "one", &restoration.tenant).await;
    let mirror = |id: &str| BackupAt {
        backup: VolumeBackupId::new(id),
        tenant: restoration.tenant.clone(),
    };
    let mut made = ended(&making, State::Ok, 40);
    if let Some(update) = &mut made.update {
        update.detail_changed = true;
        update.report.detail = Some(Detail::Restoration(Box::new(RestorationDetail {
            mirrors: ["b2", "b1", "foreign"].map(mirror).to_vec(),
            ..RestorationDetail::default()
        })));
    }
    store
        .turn_record(&lane, vec![made])
        .await
        .expect("recorded");
    let all = ["b1", "b2", "foreign"].map(mirror).to_vec();
    assert_eq!(store.mirrors_list(child.id).await, Ok(all));
    let owned = Ok(vec![mirror("b1")]);
    assert_eq!(store.mirrors_list(parent.id).await, owned);
    delete_to_end(&*store, &child, &home_lane).await;
    assert_eq!(store.mirrors_list(parent.id).await, owned);
    assert_eq!(store.mirrors_list(child.id).await, Ok(Vec::new()));
}

async fn large_turns_are_written_whole(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let effects: Vec<Effect> = (0..1_300)
        .map(|number| effect(&format!("effect-{number}"), EffectState::Requested))
        .collect();
    let large = Turn {
        effects: effects.clone(),
        ..turn(&operation)
    };
    store
        .turn_record(&lane, vec![large])
        .await
        .expect("recorded");
    let open = store.lane_load(&lane, &[]).await.expect("loaded").open;
    assert_eq!(open[0].ledger, Ledger::new(effects));
}

/// A DR backup that was made and deleted, with one event for each of these and two more.
async fn gone(store: &dyn Store, lane: &Lane, words: u32) -> ResourceId {
    let one = backup();
    let making = admit(store, &one).await;
    for second in 0..words {
        let turn = told(&making, State::Creating, i64::from(second));
        store.turn_record(lane, vec![turn]).await.expect("recorded");
    }
    store
        .turn_record(lane, vec![ended(&making, State::Deleted, 60)])
        .await
        .expect("recorded");
    ResourceId::Point(one.id)
}

/// Prunes until nothing is left; answers how many rows that were.
async fn prune_all(store: &dyn Store, before: Timestamp, limit: u32) -> u64 {
    let mut all = 0;
    loop {
        match store.history_prune(before, limit).await.expect("pruned") {
            0 => return all,
            rows => all += rows,
        }
    }
}

async fn history_goes_when_it_is_old_and_what_lives_stays(site: Site) {
    let store = site.open().await;
    let (living, lane) = finished(&*store).await;
    let keyed = || Point {
        name: "weekly".to_owned(),
        ..living.clone()
    };
    store
        .point_change(asked(Some(key("old", "same"))), keyed(), None)
        .await
        .expect("changed");
    let deleted = gone(&*store, &lane, 3).await;
    let working = backup();
    let open = admit(&*store, &working).await;
    let mut turn = told(&open, State::Creating, 30);
    turn.effects = vec![effect("volume-1-snapshot", EffectState::Requested)];
    store
        .turn_record(&lane, vec![turn])
        .await
        .expect("recorded");
    let (_, position) = store.changes_list(0, 1_000).await.expect("changes");
    assert_eq!(prune_all(&*store, at(0), 100).await, 0, "nothing is older");

    site.clock.wind(Duration::from_secs(100));
    let young = backup();
    store
        .point_admit(
            asked(Some(key("young", "same"))),
            young.clone(),
            creation(&young),
        )
        .await
        .expect("admitted");
    // One request, one operation that ended, and the five events of what is gone.
    assert_eq!(prune_all(&*store, at(90), 100).await, 7);

    assert_eq!(store.point_answered(&key("old", "same")).await, Ok(None));
    assert_eq!(
        store.point_answered(&key("young", "same")).await,
        Ok(Some(young))
    );
    assert_eq!(events(&*store, deleted).await, Vec::new());
    let told = events(&*store, ResourceId::Point(living.id)).await;
    let sequences: Vec<u64> = told.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2, 3], "its story is whole, however old");
    let lane = lane_of(&*store, "one", &home()).await;
    let loaded = store.lane_load(&lane, &[]).await.expect("loaded").open;
    let work = loaded.iter().find(|one| one.operation.id == open.id);
    assert_eq!(
        work.map(|work| work.ledger.clone()),
        Some(Ledger::new([effect(
            "volume-1-snapshot",
            EffectState::Requested
        )]))
    );
    let (changed, after) = store.changes_list(position, 10).await.expect("changes");
    assert_eq!(changed.len(), 1, "positions go on where they were");
    assert!(after > position);
}

async fn a_prune_takes_about_as_many_rows_as_it_is_told(site: Site) {
    let store = site.open().await;
    for number in 0..25 {
        site.clock.wind(Duration::from_secs(1));
        let one = backup();
        let key = Some(key(&format!("r{number}"), "same"));
        store
            .point_admit(asked(key), one.clone(), creation(&one))
            .await
            .expect("admitted");
    }
    let mut rounds = Vec::new();
    for _ in 0..4 {
        rounds.push(store.history_prune(at(1_000), 10).await.expect("pruned"));
    }
    assert_eq!(rounds, [10, 10, 5, 0]);
}

async fn the_events_of_one_resource_go_all_or_none(site: Site) {
    let store = site.open().await;
    admit(&*store, &backup()).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let first = gone(&*store, &lane, 4).await;
    let second = gone(&*store, &lane, 2).await;
    assert_eq!(store.history_prune(at(90), 1).await, Ok(6));
    let left = [
        events(&*store, first).await.len(),
        events(&*store, second).await.len(),
    ];
    assert!(left == [0, 4] || left == [6, 0], "{left:?}");
}

async fn many_prune_at_once_and_each_row_goes_once(site: Site) {
    let store = site.open().await;
    admit(&*store, &backup()).await;
    let lane = lane_of(&*store, "one", &home()).await;
    for _ in 0..12 {
        gone(&*store, &lane, 1).await;
    }
    let sweeps = (0..6).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { prune_all(&*store, at(90), 2).await })
    });
    let mut all = 0;
    for sweep in sweeps.collect::<Vec<_>>() {
        all += sweep.await.expect("no panic");
    }
    assert_eq!(all, 12 * 3);
}

async fn a_dropped_caller_leaves_no_transaction_open(site: Site) {
    let store = site.open().await;
    for _ in 0..50 {
        let one = backup();
        let operation = creation(&one);
        let asked = store.point_admit(asked(None), one, operation);
        // Polled once and dropped: the request is under way, and nobody waits for it any more.
        drop(tokio::time::timeout(Duration::ZERO, asked).await);
    }
    admit(&*store, &backup()).await;
    assert_eq!(store.ping().await, Ok(()));
}

async fn reopening_keeps_all_that_was_committed(site: Site) {
    let store = site.open().await;
    let (backup, lane) = finished(&*store).await;
    let told = events(&*store, ResourceId::Point(backup.id)).await;
    drop(store);

    let store = site.open().await;
    assert_eq!(store.point_get(backup.id).await, Ok(backup.clone()));
    assert_eq!(events(&*store, ResourceId::Point(backup.id)).await, told);
    admit(&*store, &self::backup()).await;
    site.clock.wind(LEASE);
    let next = store
        .lanes_claim(&replica("one"), LEASE, 9, &[])
        .await
        .expect("claimed");
    assert!(next[0].epoch >= lane.epoch);
}

/// A volume backup that was made, and a record that was imported, by their ids.
fn made_and_imported(made: &str, imported: &str) -> Vec<Effect> {
    let volume_backup = Request::Make(Make::VolumeBackup {
        volume: VolumeId::new("volume-1"),
        snapshot: None,
        description: String::new(),
        incremental: false,
    });
    let record = Request::Import {
        backup: VolumeBackupId::new(imported),
        record: BackupRecord {
            service: "posix".to_owned(),
            url: "e30=".to_owned(),
        },
    };
    [
        ("made", volume_backup, made),
        ("imported", record, imported),
    ]
    .map(|(key, request, id)| Effect {
        request,
        cloud_id: Some(id.to_owned()),
        ..effect(key, EffectState::Done)
    })
    .to_vec()
}

async fn what_is_known_of_things_tells_open_work_from_ended_and_held_from_not(site: Site) {
    let store = site.open().await;
    let (mut living, lane) = finished(&*store).await;
    living.detail.content = Content::Dr(vec![VolumeBackup {
        id: VolumeBackupId::new("held"),
        volume: VolumeId::new("volume-1"),
        tenant: home(),
        size_gib: 1,
        incremental: false,
        parent: None,
        status: "available".to_owned(),
        data_timestamp: None,
        record: None,
        inherited: false,
    }]);
    let mut written = update(State::Ok, 30);
    written.detail_changed = true;
    written.report.detail = Some(Detail::Point(Box::new(living.detail.clone())));
    let working = backup();
    let open = admit(&*store, &working).await;
    let writing = backup();
    let done = admit(&*store, &writing).await;
    let turns = vec![
        Turn {
            effects: vec![effect("volume-1-snapshot", EffectState::Accepted)],
            ..turn(&open)
        },
        Turn {
            effects: made_and_imported("made", "imported"),
            update: Some(written),
            ..ended(&done, State::Ok, 30)
        },
    ];
    store.turn_record(&lane, turns).await.expect("recorded");
    let restoration = restoration(&living);
    let mut rebuilt = restoration.clone();
    rebuilt.detail.server = Some(ServerId::new("server-2"));
    rebuilt.detail.mirrors = vec![BackupAt {
        backup: VolumeBackupId::new("mirror"),
        tenant: restoration.tenant.clone(),
    }];
    store
        .restoration_admit(asked(None), rebuilt, restoring(&restoration))
        .await
        .expect("admitted");

    let strange = OperationId(Uuid::now_v7());
    let operations = [open.id, done.id, strange];
    let things: Vec<String> = [
        "snapshot-1",
        "held",
        "made",
        "imported",
        "nobody's",
        "server-2",
    ]
    .map(str::to_owned)
    .to_vec();
    let known = store
        .orphans_known(&home(), &operations, &things)
        .await
        .expect("known");
    assert_eq!(known.open, BTreeSet::from([open.id]));
    assert_eq!(known.ended, BTreeSet::from([done.id]));
    assert_eq!(known.made, BTreeSet::from(["made".to_owned()]));
    let held = BTreeSet::from(["held".to_owned(), "snapshot-1".to_owned()]);
    assert_eq!(known.held, held, "those that are asked about, and here");

    let there = ["server-2", "mirror", "held"].map(str::to_owned);
    let known = store
        .orphans_known(&restoration.tenant, &operations, &there)
        .await
        .expect("known");
    let held = BTreeSet::from(["mirror".to_owned(), "server-2".to_owned()]);
    assert_eq!(known.held, held);
    assert_eq!(known.made, BTreeSet::new(), "it was made elsewhere");

    assert!(prune_all(&*store, at(90), 100).await > 0);
    let known = store
        .orphans_known(&home(), &operations, &things)
        .await
        .expect("known");
    assert_eq!(known.open, BTreeSet::from([open.id]));
    assert_eq!(known.ended, BTreeSet::new(), "it is forgotten");
    assert!(known.held.contains("held"), "what lives still holds it");
}

async fn an_answer_about_orphans_is_that_of_the_first_time(site: Site) {
    let store = site.open().await;
    let key = |digest: &str| RequestKey {
        method: "DeleteOrphans",
        ..key("word", digest)
    };
    let answer = |outcome| {
        vec![DeletionResult {
            id: "a".to_owned(),
            thing: None,
            name: String::new(),
            outcome,
            problem: "so it is".to_owned(),
        }]
    };
    assert_eq!(store.orphans_answered(&key("same")).await, Ok(None));
    for outcome in [Outcome::Refused, Outcome::Deleted] {
        store
            .orphans_answer(asked(Some(key("same"))), &home(), at(0), &answer(outcome))
            .await
            .expect("kept");
    }
    assert_eq!(
        store.orphans_answered(&key("same")).await,
        Ok(Some(answer(Outcome::Refused)))
    );
    assert_eq!(
        store.orphans_answered(&key("other")).await,
        Err(StoreError::RequestReused)
    );
    site.clock.wind(Duration::from_secs(100));
    assert_eq!(prune_all(&*store, at(90), 100).await, 1, "it goes in time");
    assert_eq!(store.orphans_answered(&key("same")).await, Ok(None));
}

async fn what_a_look_saw_is_written_unless_something_happened_meanwhile(site: Site) {
    let store = site.open().await;
    let (backup, _) = finished(&*store).await;
    let id = ResourceId::Point(backup.id);
    let doubt = Doubt::new(Cause::Seen, "volume backup x is missing");
    let looked = |revision: i64, doubt: Option<Doubt>, told: bool| Looked {
        point: backup.id,
        revision,
        known: Verification {
            time: Some(at(90)),
            doubt,
        },
        told,
    };
    let verified = |look: Looked| store.points_verified(vec![look], Vec::new(), Vec::new());
    let before = events(&*store, id).await.len();

    verified(looked(backup.head.revision - 1, Some(doubt.clone()), true))
        .await
        .expect("nothing");
    assert_eq!(store.point_get(backup.id).await, Ok(backup.clone()));

    verified(looked(backup.head.revision, None, false))
        .await
        .expect("renewed");
    let renewed = store.point_get(backup.id).await.expect("there");
    assert_eq!(renewed.verification.time, Some(at(90)));
    assert_eq!(
        renewed.head.revision, backup.head.revision,
        "no other version"
    );
    assert_eq!(events(&*store, id).await.len(), before);

    verified(looked(backup.head.revision, Some(doubt.clone()), true))
        .await
        .expect("told");
    let doubtful = store.point_get(backup.id).await.expect("there");
    assert_eq!(doubtful.verification.doubt, Some(doubt));
    assert_eq!(doubtful.head.revision, backup.head.revision + 1);
    let told = events(&*store, id).await;
    assert_eq!(told.len(), before + 1);
    let last = told.last().expect("told");
    assert_eq!(
        last.sequence,
        u64::try_from(doubtful.head.revision).expect("it counts up")
    );
    assert!(last.runtime_state.contains("volume backup x is missing"));
    let standing = store.points_standing().await.expect("counted");
    assert_eq!((standing[0].doubtful, standing[0].verified), (1, 0));
}

async fn points_that_were_never_seen_are_due_sooner(site: Site) {
    const EVERY: Duration = Duration::from_secs(1_000);
    const URGENT: Duration = Duration::from_secs(10);
    let store = site.open().await;
    let claim = || {
        let now = site.clock.now();
        let aim = Aim::Points {
            urgent: now.before(URGENT),
        };
        store.sweeps_claim(aim, now.before(EVERY), 10)
    };
    assert_eq!(claim().await, Ok(Vec::new()), "there are no points");
    let (backup, _) = finished(&*store).await;
    assert_eq!(claim().await, Ok(vec![home()]));
    assert_eq!(claim().await, Ok(Vec::new()), "it is being looked at");
    site.clock.wind(URGENT + Duration::from_secs(1));
    assert_eq!(claim().await, Ok(vec![home()]), "nobody has seen it yet");
    let look = |doubt: Option<Doubt>| Looked {
        point: backup.id,
        revision: backup.head.revision,
        known: Verification {
            time: Some(site.clock.now()),
            doubt,
        },
        told: false,
    };
    let verified = |look: Looked| store.points_verified(vec![look], Vec::new(), Vec::new());
    verified(look(None)).await.expect("written");
    site.clock.wind(URGENT + Duration::from_secs(1));
    assert_eq!(claim().await, Ok(Vec::new()), "it was seen lately");
    let broken_off = Doubt::new(Cause::BrokenOff, "it may be gone");
    verified(look(Some(broken_off))).await.expect("written");
    assert_eq!(claim().await, Ok(vec![home()]), "it may be half deleted");
    verified(look(None)).await.expect("written");
    site.clock.wind(EVERY + Duration::from_secs(1));
    assert_eq!(claim().await, Ok(vec![home()]), "it is time");
    assert_eq!(
        store.sweeps_list(Aim::Orphans).await,
        Ok(Vec::new()),
        "they are not swept for orphans by that"
    );
}

async fn what_work_that_ended_has_left_behind_is_known(site: Site) {
    let store = site.open().await;
    let backup = backup();
    let operation = admit(&*store, &backup).await;
    let lane = lane_of(&*store, "one", &home()).await;
    let row = |key: &str, disposal: Disposal, state: EffectState| Effect {
        cloud_id: Some(key.to_owned()),
        disposal,
        ..effect(key, state)
    };
    let turn = Turn {
        effects: vec![
            row("stuck", Disposal::Temporary, EffectState::Leaving),
            row("gone", Disposal::Temporary, EffectState::Gone),
            row("broken", Disposal::Product, EffectState::Failed),
            row("own", Disposal::Product, EffectState::Done),
            row("kept", Disposal::Keep, EffectState::Failed),
        ],
        ..told(&operation, State::Creating, 6)
    };
    store
        .turn_record(&lane, vec![turn])
        .await
        .expect("recorded");
    let id = ResourceId::Point(backup.id);
    assert_eq!(store.leftovers(id).await, Ok(Vec::new()), "it is at work");
    let failed = Turn {
        ending: Ending::Erred(OperationError::new("X", "x", "x")),
        ..told(&operation, State::Erred, 7)
    };
    store
        .turn_record(&lane, vec![failed])
        .await
        .expect("recorded");
    let left = store.leftovers(id).await.expect("read");
    let ids: Vec<&str> = left.iter().map(|one| one.thing.id.as_str()).collect();
    assert_eq!(ids, ["broken", "stuck"]);
    assert!(left.iter().all(|one| one.tenant == home()));
}

async fn a_tenant_is_swept_by_one_and_not_again_before_its_time(site: Site) {
    const EVERY: Duration = Duration::from_secs(100);
    let store = site.open().await;
    let due = || site.clock.now().before(EVERY);
    assert_eq!(
        store.sweeps_claim(Aim::Orphans, due(), 10).await,
        Ok(Vec::new())
    );
    let (_, lane) = finished(&*store).await;
    store.lane_release(&lane).await.expect("released");

    let claims = (0..8).map(|_| store.sweeps_claim(Aim::Orphans, due(), 10));
    let claimed: Vec<Tenant> = futures::future::try_join_all(claims)
        .await
        .expect("claimed")
        .concat();
    assert_eq!(claimed, [home()], "although nobody works there now");
    let begun = site.clock.now();
    let mut sweep = Sweep {
        tenant: home(),
        begun,
        ended: None,
        found: BTreeMap::new(),
        problem: None,
    };
    assert_eq!(
        store.sweeps_list(Aim::Orphans).await,
        Ok(vec![sweep.clone()])
    );
    sweep.ended = Some(begun.after(Duration::from_secs(5)));
    let found = BTreeMap::from([(ThingKind::Volume, 2), (ThingKind::Port, 1)]);
    sweep.found = found.clone();
    store
        .sweep_record(Aim::Orphans, &sweep)
        .await
        .expect("recorded");
    assert_eq!(
        store.sweeps_list(Aim::Orphans).await,
        Ok(vec![sweep.clone()])
    );

    site.clock.wind(EVERY);
    assert_eq!(
        store.sweeps_claim(Aim::Orphans, due(), 10).await,
        Ok(Vec::new())
    );
    site.clock.wind(Duration::from_secs(1));
    assert_eq!(
        store.sweeps_claim(Aim::Orphans, due(), 10).await,
        Ok(vec![home()])
    );
    let failed = Sweep {
        begun: site.clock.now(),
        found: BTreeMap::new(),
        problem: Some("the cloud is away".to_owned()),
        ..sweep
    };
    store
        .sweep_record(Aim::Orphans, &failed)
        .await
        .expect("recorded");
    let before = Sweep { found, ..failed };
    assert_eq!(store.sweeps_list(Aim::Orphans).await, Ok(vec![before]));
}

macro_rules! contract {
    ($($claim:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $claim() {
                    super::$claim(super::Site::sqlite()).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test]
                async fn $claim() {
                    super::$claim(super::Site::postgres()).await;
                }
            )*
        }
    };
}

mod audit;
mod backups;
mod sealed;
mod turns;
mod unread;

contract! {
    a_dr_backup_of_another_system_is_taken_in_once,
    an_admitted_dr_backup_reads_back_with_its_first_event,
    an_event_says_word_for_word_what_was_told,
    the_version_is_another_one_after_every_write_where_there_is_one,
    a_repeated_request_answers_the_first_resource_as_it_is_now,
    repeats_about_a_dr_backup_that_is_gone_answer_as_the_first_did,
    repeats_about_a_restoration_that_is_gone_answer_as_the_first_did,
    an_answer_that_is_kept_holds_no_user_data,
    a_request_id_with_other_content_is_refused_and_writes_nothing,
    a_request_that_another_version_kept_is_found_by_its_key_alone,
    a_request_is_found_by_its_key_once_it_was_admitted,
    many_callers_with_one_request_id_admit_one,
    a_change_raises_the_revision_and_tells_it,
    a_change_from_a_stale_revision_is_refused,
    a_restoration_changes_only_at_its_revision,
    a_restoration_is_found_by_the_instance_that_it_makes,
    deletion_is_refused_while_restorations_are_busy,
    a_restoration_of_a_leaving_or_missing_dr_backup_is_refused,
    restoration_and_deletion_at_once_never_both_begin,
    a_turn_changes_ledger_resource_and_events_together,
    a_failed_operation_leaves_its_error_and_the_next_success_takes_it_away,
    a_turn_that_fails_in_part_writes_nothing,
    a_turn_of_an_ended_operation_is_refused,
    deletion_removes_the_resource_and_leaves_its_events,
    events_count_without_a_gap_and_replay_from_any_number,
    changes_name_each_resource_once_and_go_on_from_a_position,
    changes_miss_nothing_while_many_write,
    waiters_are_woken_by_events_and_by_admissions,
    pages_are_stable_while_rows_are_inserted,
    restorations_page_in_every_order,
    a_cursor_of_another_order_is_refused,
    filters_narrow_to_what_they_name,
    filters_narrow_restorations_too,
    a_lane_with_work_is_claimed_once_and_renewed_in_its_epoch,
    claims_stop_at_the_limit,
    an_expired_lane_changes_owner_and_its_old_epoch_writes_nothing,
    a_released_lane_is_free_at_once_and_its_owner_is_fenced,
    replicas_take_their_share_and_leave_it_to_the_others,
    a_lane_without_work_is_not_renewed,
    replicas_share_lanes_without_overlap,
    a_load_skips_what_is_known_unless_it_was_cancelled,
    a_cancellation_hits_the_operation_it_was_meant_for,
    mirrors_follow_restorations_and_go_with_the_dr_backup,
    a_dr_backup_on_which_others_build_is_deleted_after_them,
    what_a_dr_backup_holds_no_more_binds_nobody,
    mirrors_belong_to_the_dr_backup_that_made_their_bytes,
    large_turns_are_written_whole,
    history_goes_when_it_is_old_and_what_lives_stays,
    a_prune_takes_about_as_many_rows_as_it_is_told,
    the_events_of_one_resource_go_all_or_none,
    many_prune_at_once_and_each_row_goes_once,
    what_is_known_of_things_tells_open_work_from_ended_and_held_from_not,
    an_answer_about_orphans_is_that_of_the_first_time,
    what_a_look_saw_is_written_unless_something_happened_meanwhile,
    points_that_were_never_seen_are_due_sooner,
    what_work_that_ended_has_left_behind_is_known,
    a_tenant_is_swept_by_one_and_not_again_before_its_time,
    a_dropped_caller_leaves_no_transaction_open,
    reopening_keeps_all_that_was_committed,
}
