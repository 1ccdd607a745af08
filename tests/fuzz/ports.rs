//! What stands behind the doors: clouds and a store that answer at once and keep nothing, so that an input which
//! is taken costs little and leaves nothing behind; it may not know what is asked.
//!
//! The store keeps the first thing of each kind that it is given, at rest, and shows that under whatever id
//! somebody asks for. What else is written is answered as if it were, and forgotten.
//!
//! One file because the ports have that many methods, and none of them does anything here.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use drbackup::{
    domain::{
        audit::{Ends, Entry, Link, Note},
        caller::Scope,
        effect::Request,
        event::Event,
        fault::{Fault, FaultKind, Service as CloudService},
        id::{
            CloudName, InstanceId, Lane, OperationId, PointId, PointKind, ProjectId, ReplicaId,
            ResourceId, RestorationId, ScheduleId, ServerId, Tenant,
        },
        inventory::{CloudInfo, Flavor, InstanceInfo, Inventory, Network, TenantInfo, VolumeType},
        lifecycle::State,
        manifest::Manifest,
        operation::{Leftover, Operation, UnderWay},
        orphan::{Aim, DeletionResult, Known, Sweep},
        page::{Cursor, OrderValue, Page, PageKey, Query},
        point::{Point, PointDetail},
        progress::Progress,
        restoration::Restoration,
        schedule::{Run, RunOutcome, Schedule},
        sighting::{Sighting, Thing, ThingKind},
        time::Timestamp,
        volume_backup::BackupAt,
    },
    plan,
    port::{
        audit::Audit,
        clock::Clock,
        cloud::{Answer, Cloud},
        journal::{Journal, JournalError, Loaded, Turn},
        schedules::{Freshness, KeptPoint, Made, NewPoint, Schedules},
        store::{Admitted, Asked, Looked, PointsStanding, RequestKey, Store, StoreError},
    },
    service::{Service, settings::ServiceSettings},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

/// Asks, requests and facts of every kind, one a line.
pub(crate) const STORED: &str = include_str!("../golden/stored.jsonl");

/// 2026-01-01T00:00:00Z, where time stands still.
const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

/// A service over these.
pub(crate) fn service() -> Service {
    let planner = |operation: &_, ledger: &_, now| {
        plan::plan(&plan::PatienceSettings::default(), operation, ledger, now)
    };
    Service::new(
        Arc::new(Shelf::default()),
        Arc::new(Fair::new()),
        clock(),
        ServiceSettings::default(),
        Arc::new(planner),
    )
}

/// The clock of everything here.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(Still::default())
}

#[derive(Default)]
struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u64_pair(
            0x0190_0000_0000_7000,
            self.0.fetch_add(1, Ordering::Relaxed),
        )
    }
}

/// The first stored row of which `is` is true.
fn row(is: impl Fn(&Value) -> bool) -> Value {
    let mut rows = STORED
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    rows.find(is).expect("it is stored")
}

fn read<T: DeserializeOwned>(row: Value) -> T {
    serde_json::from_value(row).expect("it can be read")
}

/// What a point that was made well holds.
fn made(kind: PointKind) -> PointDetail {
    match kind {
        PointKind::Dr => {
            let restored = |row: &Value| row["volume_backups"].get(0).is_some();
            let mut held = row(restored);
            read(json!({
                "manifest": held["manifest"].take(),
                "volume_backups": held["volume_backups"].take(),
                "consistency": null,
            }))
        }
        PointKind::Regular => {
            read(row(|row| row["detail"]["snapshots"].is_array())["detail"].take())
        }
    }
}

/// Clouds that have one of everything.
struct Fair {
    manifest: Manifest,
    inventory: Inventory,
}

impl Fair {
    fn new() -> Self {
        let told = |name: &'static str| move |row: &Value| row["fact"] == name;
        Self {
            manifest: read(row(told("instance"))),
            inventory: read(row(told("inventory"))),
        }
    }

    fn instance(&self, tenant: &Tenant, server: ServerId) -> InstanceInfo {
        InstanceInfo {
            tenant: tenant.clone(),
            server,
            name: self.manifest.name.clone(),
            status: "ACTIVE".to_owned(),
            root_is_volume: true,
            volumes: 1,
        }
    }
}

fn no() -> Fault {
    Fault::new(
        FaultKind::NotFound,
        CloudService::Compute,
        "look",
        "it is not there",
    )
}

#[async_trait]
impl Cloud for Fair {
    async fn request_perform(&self, _: &Tenant, _: &str, _: &Request) -> Result<Answer, Fault> {
        Err(no())
    }

    async fn thing_delete(&self, _: &Tenant, _: &Thing, _: &[Thing]) -> Result<(), Fault> {
        Ok(())
    }

    async fn things_list(&self, _: &Tenant, kind: ThingKind) -> Result<Vec<Sighting>, Fault> {
        Ok(vec![Sighting {
            thing: Thing {
                kind,
                id: "01890a5d".to_owned(),
            },
            name: "drb-01890a5dac96774bbcceb302099a8057-volume-0-snapshot".to_owned(),
            tags: Vec::new(),
            status: "available".to_owned(),
            message: None,
            created: Some(Timestamp(0)),
            size_gib: Some(1),
            incremental: false,
            data_timestamp: None,
            volume: None,
        }])
    }

    async fn thing_get(&self, _: &Tenant, _: &Thing) -> Result<Option<Sighting>, Fault> {
        Ok(None)
    }

    async fn clouds_list(&self) -> Vec<CloudInfo> {
        let told = |name| CloudInfo {
            name,
            region: "one".to_owned(),
            auth_url: "http://cloud.invalid/identity".to_owned(),
            has_admin: true,
            reachable: true,
            problem: None,
        };
        self.cloud_names().into_iter().map(told).collect()
    }

    fn cloud_names(&self) -> Vec<CloudName> {
        ["source", "dr"].map(CloudName::new).into()
    }

    async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Fault> {
        let told = |name: &str| TenantInfo {
            tenant: Tenant {
                cloud: cloud.clone(),
                project: ProjectId::new(name),
            },
            name: name.to_owned(),
            domain: "default".to_owned(),
        };
        Ok(["demo", "second"].map(told).into())
    }

    async fn tenant_reached(&self, tenant: &Tenant) -> Result<bool, Fault> {
        Ok(!tenant.project.as_str().is_empty())
    }

    async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Fault> {
        let servers = ["one", "two"].map(ServerId::new);
        Ok(servers.map(|server| self.instance(tenant, server)).into())
    }

    async fn instance_get(&self, _: &Tenant, _: &ServerId) -> Result<Manifest, Fault> {
        Ok(self.manifest.clone())
    }

    async fn instance_peek(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<InstanceInfo, Fault> {
        Ok(self.instance(tenant, server.clone()))
    }

    async fn flavors_list(&self, _: &Tenant) -> Result<Vec<Flavor>, Fault> {
        Ok(self.inventory.flavors.clone())
    }

    async fn networks_list(&self, _: &Tenant) -> Result<Vec<Network>, Fault> {
        Ok(self.inventory.networks.clone())
    }

    async fn volume_types_list(&self, _: &Tenant) -> Result<Vec<VolumeType>, Fault> {
        Ok(self.inventory.volume_types.clone())
    }
}

/// A store with one thing of each kind.
struct Shelf {
    dr: OnceLock<Point>,
    regular: OnceLock<Point>,
    restoration: OnceLock<Restoration>,
    schedule: OnceLock<Schedule>,
    run: OnceLock<Run>,
    news: watch::Sender<u64>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            dr: OnceLock::new(),
            regular: OnceLock::new(),
            restoration: OnceLock::new(),
            schedule: OnceLock::new(),
            run: OnceLock::new(),
            news: watch::Sender::new(0),
        }
    }
}

/// A page that is the first of two.
fn page<T>(item: Option<T>, query: &Query) -> Page<T> {
    let next = query.after.is_none().then(|| Cursor {
        value: OrderValue::Time(NOW),
        id: Uuid::nil(),
    });
    Page {
        items: item.into_iter().collect(),
        next,
    }
}

impl Shelf {
    fn points(&self, kind: PointKind) -> &OnceLock<Point> {
        match kind {
            PointKind::Dr => &self.dr,
            PointKind::Regular => &self.regular,
        }
    }

    fn point(&self, id: PointId) -> Result<Point, StoreError> {
        let kept = self
            .points(id.kind)
            .get()
            .ok_or(StoreError::NotFound(id.into()))?;
        Ok(Point { id, ..kept.clone() })
    }

    fn restoration(&self, id: RestorationId) -> Result<Restoration, StoreError> {
        let kept = self.restoration.get();
        let kept = kept.ok_or(StoreError::NotFound(ResourceId::Restoration(id)))?;
        Ok(Restoration { id, ..kept.clone() })
    }
}

#[async_trait]
impl Schedules for Shelf {
    async fn schedule_answered(&self, _: &RequestKey) -> Result<Option<Schedule>, StoreError> {
        Ok(None)
    }

    async fn schedule_admit(
        &self,
        _: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        self.schedule.get_or_init(|| schedule.clone());
        Ok(Admitted::New(schedule))
    }

    async fn schedule_change(
        &self,
        _: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        Ok(Admitted::New(schedule))
    }

    async fn schedule_wait(&self, _: Schedule) -> Result<(), StoreError> {
        Ok(())
    }

    async fn schedule_remove(
        &self,
        _: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        Ok(Admitted::New(schedule))
    }

    async fn schedule_get(&self, id: ScheduleId) -> Result<Schedule, StoreError> {
        let kept = self.schedule.get();
        let kept = kept.ok_or(StoreError::NotFound(ResourceId::Schedule(id)))?;
        Ok(Schedule { id, ..kept.clone() })
    }

    async fn schedules_list(&self, query: Query) -> Result<Page<Schedule>, StoreError> {
        Ok(page(self.schedule.get().cloned(), &query))
    }

    async fn schedules_due(
        &self,
        _: Timestamp,
        _: u32,
    ) -> Result<(Vec<Schedule>, Option<Timestamp>), StoreError> {
        Ok((Vec::new(), None))
    }

    async fn run_answered(&self, _: &RequestKey) -> Result<Option<Run>, StoreError> {
        Ok(None)
    }

    async fn run_begin(
        &self,
        _: Asked,
        _: Schedule,
        run: Run,
        _: Option<NewPoint>,
    ) -> Result<Run, StoreError> {
        self.run.get_or_init(|| run.clone());
        Ok(run)
    }

    async fn run_end(&self, _: Schedule, _: Run) -> Result<(), StoreError> {
        Ok(())
    }

    async fn runs_list(
        &self,
        _: ScheduleId,
        _: Option<RunOutcome>,
        after: Option<Cursor>,
        _: u32,
    ) -> Result<Page<Run>, StoreError> {
        let query = Query {
            after,
            ..Query::default()
        };
        Ok(page(self.run.get().cloned(), &query))
    }

    async fn runs_rested(&self, _: u32) -> Result<Vec<(Run, Made)>, StoreError> {
        Ok(Vec::new())
    }

    async fn runs_under_way(&self, _: &CloudName) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn schedules_freshness(&self, _: u32) -> Result<Vec<Freshness>, StoreError> {
        Ok(Vec::new())
    }

    async fn points_of(&self, _: ScheduleId) -> Result<Vec<KeptPoint>, StoreError> {
        Ok(Vec::new())
    }

    async fn points_expired(&self, _: Timestamp, _: u32) -> Result<Vec<KeptPoint>, StoreError> {
        Ok(Vec::new())
    }
}

/// Nobody works here.
#[async_trait]
impl Journal for Shelf {
    fn admissions(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    async fn lanes_claim(
        &self,
        _: &ReplicaId,
        _: Duration,
        _: u32,
        _: &[OperationId],
    ) -> Result<Vec<Lane>, JournalError> {
        Ok(Vec::new())
    }

    async fn lane_release(&self, _: &Lane) -> Result<(), JournalError> {
        Ok(())
    }

    async fn replica_leave(&self, _: &ReplicaId) -> Result<(), JournalError> {
        Ok(())
    }

    async fn lane_load(&self, _: &Lane, _: &[OperationId]) -> Result<Loaded, JournalError> {
        Ok(Loaded::default())
    }

    async fn operation_set_aside(
        &self,
        _: &Lane,
        _: ResourceId,
        _: &str,
    ) -> Result<(), JournalError> {
        Ok(())
    }

    async fn turn_record(&self, _: &Lane, _: Vec<Turn>) -> Result<(), JournalError> {
        Ok(())
    }
}

#[async_trait]
impl Audit for Shelf {
    async fn audit_note(&self, _: Note) -> Result<(), StoreError> {
        Ok(())
    }

    async fn audit_page(&self, _: u64, _: u32) -> Result<(Ends, Vec<Entry>), StoreError> {
        let (anchor, head) = (Link::before_all(), Link::before_all());
        Ok((Ends { anchor, head }, Vec::new()))
    }

    async fn audit_prune(&self, _: Timestamp, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl Store for Shelf {
    async fn point_answered(&self, _: &RequestKey) -> Result<Option<Point>, StoreError> {
        Ok(None)
    }

    async fn restoration_answered(
        &self,
        _: &RequestKey,
    ) -> Result<Option<Restoration>, StoreError> {
        Ok(None)
    }

    async fn point_admit(
        &self,
        _: Asked,
        point: Point,
        _: Operation,
    ) -> Result<Admitted<Point>, StoreError> {
        self.points(point.id.kind).get_or_init(|| {
            let mut kept = point.clone();
            kept.head.state = State::Ok;
            kept.detail = made(point.id.kind);
            kept
        });
        Ok(Admitted::New(point))
    }

    async fn point_take_in(&self, _: Asked, point: Point) -> Result<Admitted<Point>, StoreError> {
        Ok(Admitted::New(point))
    }

    async fn point_change(
        &self,
        _: Asked,
        point: Point,
        _: Option<Operation>,
    ) -> Result<Admitted<Point>, StoreError> {
        Ok(Admitted::New(point))
    }

    async fn point_get(&self, id: PointId) -> Result<Point, StoreError> {
        self.point(id)
    }

    async fn points_list(&self, query: Query) -> Result<Page<Point>, StoreError> {
        let kind = query.filter.kind.unwrap_or(PointKind::Dr);
        Ok(page(self.points(kind).get().cloned(), &query))
    }

    async fn restorations_of(
        &self,
        _: PointId,
        _: &Scope,
        _: u32,
    ) -> Result<Vec<Restoration>, StoreError> {
        Ok(self.restoration.get().cloned().into_iter().collect())
    }

    async fn mirrors_list(&self, _: PointId) -> Result<Vec<BackupAt>, StoreError> {
        Ok(Vec::new())
    }

    async fn mirrors_of(&self, _: &Tenant) -> Result<Vec<(BackupAt, bool)>, StoreError> {
        Ok(Vec::new())
    }

    async fn points_verified(
        &self,
        _: Vec<Looked>,
        _: Vec<BackupAt>,
        _: Vec<BackupAt>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn points_standing(&self) -> Result<Vec<PointsStanding>, StoreError> {
        Ok(Vec::new())
    }

    async fn leftovers(&self, _: ResourceId) -> Result<Vec<Leftover>, StoreError> {
        Ok(Vec::new())
    }

    async fn restoration_admit(
        &self,
        _: Asked,
        restoration: Restoration,
        _: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        self.restoration.get_or_init(|| {
            let mut kept = restoration.clone();
            kept.head.state = State::Ok;
            kept
        });
        Ok(Admitted::New(restoration))
    }

    async fn restoration_change(
        &self,
        _: Asked,
        restoration: Restoration,
        _: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        Ok(Admitted::New(restoration))
    }

    async fn restoration_get(&self, id: RestorationId) -> Result<Restoration, StoreError> {
        self.restoration(id)
    }

    async fn restoration_of_instance(
        &self,
        instance: InstanceId,
    ) -> Result<Option<Restoration>, StoreError> {
        let kept = self.restoration.get().cloned();
        Ok(kept.map(|kept| Restoration { instance, ..kept }))
    }

    async fn restorations_list(&self, query: Query) -> Result<Page<Restoration>, StoreError> {
        Ok(page(self.restoration.get().cloned(), &query))
    }

    async fn operation_cancel(
        &self,
        _: Asked,
        _: ResourceId,
        _: Timestamp,
        _: bool,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn operations_under_way(&self) -> Result<Vec<UnderWay>, StoreError> {
        Ok(Vec::new())
    }

    async fn events_list(
        &self,
        resource: ResourceId,
        after: u64,
        _: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let event = Event {
            resource,
            sequence: 1,
            time: NOW,
            state: State::Ok,
            runtime_state: "Ready".to_owned(),
            progress: Progress::default(),
            error: None,
        };
        Ok((after == 0).then_some(event).into_iter().collect())
    }

    async fn changes_list(&self, after: u64, _: u32) -> Result<(Vec<ResourceId>, u64), StoreError> {
        Ok((Vec::new(), after))
    }

    fn version(&self) -> Option<u64> {
        None
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn unread(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    async fn history_prune(&self, _: Timestamp, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn orphans_known(
        &self,
        _: &Tenant,
        _: &[OperationId],
        _: &[String],
    ) -> Result<Known, StoreError> {
        Ok(Known::default())
    }

    async fn orphans_answered(
        &self,
        _: &RequestKey,
    ) -> Result<Option<Vec<DeletionResult>>, StoreError> {
        Ok(None)
    }

    async fn orphans_answer(
        &self,
        _: Asked,
        _: &Tenant,
        _: Timestamp,
        _: &[DeletionResult],
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweeps_claim(&self, _: Aim, _: Timestamp, _: u32) -> Result<Vec<Tenant>, StoreError> {
        Ok(Vec::new())
    }

    async fn sweep_record(&self, _: Aim, _: &Sweep) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweeps_list(&self, _: Aim) -> Result<Vec<Sweep>, StoreError> {
        Ok(Vec::new())
    }

    async fn page_key(&self) -> Result<PageKey, StoreError> {
        Ok(PageKey::new("not to be guessed".to_owned()))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
