//! Two clouds, one store, callers and replicas in one thread whose clock is wound by hand; it may not
//! know what is tried on it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use drbackup::{
    domain::{
        caller::Scope,
        decision::Decision,
        error::Error,
        event::Event,
        id::{CloudName, PointId, ProjectId, ReplicaId, ResourceId, RestorationId, Tenant},
        ledger::Ledger,
        operation::Operation,
        page::{Filter, Order, Query},
        point::Point,
        restoration::Restoration,
        schedule::ScheduleSettings,
        time::Timestamp,
    },
    engine::{Engine, EngineSettings},
    openstack::{
        Clouds, HttpTransport,
        config::{CloudMapping, Config, Environment},
        settings::OpenStackSettings,
    },
    plan,
    port::{clock::Clock, cloud::Cloud, store::Store},
    service::{Service, settings::ServiceSettings},
    sim::{self, InstanceSpec},
    store,
    worker::{
        retention::{Retention, RetentionSettings},
        ticker::Ticker,
        verifier::{VerificationSettings, Verifier},
    },
};
use tokio::{runtime::Handle, sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{
    store::{Epochs, TappedStore},
    tap::{Tap, TappedTransport},
};

/// Where the databases are: in memory, where there is such a folder.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder")
}

/// A calendar that goes with the hand-wound clock of its thread, and may be wrong.
#[derive(Debug)]
pub(crate) struct Calendar {
    began: Instant,
    skew_seconds: i64,
    /// What makes its ids other ones than those of all other calendars.
    number: u64,
    given: AtomicU64,
}

impl Calendar {
    pub(crate) fn new(number: u64, skew_seconds: i64) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            skew_seconds,
            number,
            given: AtomicU64::new(0),
        })
    }
}

/// 2026-01-01T00:00:00Z, when every simulation begins.
const EPOCH_MICROSECONDS: i64 = 1_767_225_600_000_000;

impl Clock for Calendar {
    fn now(&self) -> Timestamp {
        let since = i64::try_from(self.began.elapsed().as_micros()).expect("a short time");
        Timestamp(EPOCH_MICROSECONDS + since + self.skew_seconds * 1_000_000)
    }

    fn new_id(&self) -> Uuid {
        let given = self.given.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[..2].copy_from_slice(&self.number.to_be_bytes()[6..]);
        random[2..].copy_from_slice(&given.to_be_bytes());
        let milliseconds = u64::try_from(self.now().0 / 1_000).expect("after 1970");
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }
}

/// Who acts as a replica.
pub(crate) struct Replica {
    pub(crate) tap: Arc<Tap>,
    /// Everything that ends with the replica.
    _work: Vec<AbortOnDropHandle<()>>,
}

impl Replica {
    /// Waits until it dies, and buries it.
    pub(crate) async fn death(self) {
        self.tap.death().await;
    }
}

/// What the instance of a stage is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Volumes, and nobody who could be asked to hold still.
    Plain,
    /// Nova has to have it hold still.
    HoldsStill,
    /// Its volumes are in one group.
    Grouped,
    /// It boots from an image, so that its root disk is no volume; all its volumes hold data.
    FromImage,
}

/// What a stage is like.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// How long things take in both clouds.
    pub(crate) times: sim::Times,
    /// The sizes of the volumes of the instance.
    pub(crate) volumes: Vec<u64>,
    /// What else the instance is like.
    pub(crate) guest: Guest,
    /// Where ids and bytes come from.
    pub(crate) seed: u64,
    /// Whether reads are crossings too.
    pub(crate) reads: bool,
    /// What the engines keep to.
    pub(crate) settings: EngineSettings,
    /// The planner of the engines.
    pub(crate) planner: fn(&Operation, &Ledger, Timestamp) -> Decision,
    /// What the clouds allow.
    pub(crate) quotas: sim::Quotas,
    /// What the clouds are.
    pub(crate) releases: [sim::Release; 2],
    /// How many things the clouds show on a page of a list.
    pub(crate) page_limit: usize,
    /// Whether the replicas keep the time for schedules.
    pub(crate) ticks: bool,
}

impl Scene {
    /// Clouds that take their time, engines with the settings that are shipped.
    pub(crate) fn new(volumes: &[u64]) -> Self {
        Self {
            times: sim::Times::realistic(),
            volumes: volumes.to_vec(),
            guest: Guest::Plain,
            seed: 1,
            reads: false,
            settings: EngineSettings::default(),
            planner: |operation, ledger, now| {
                plan::plan(&plan::PatienceSettings::default(), operation, ledger, now)
            },
            quotas: sim::Quotas::generous(),
            releases: [sim::Release::Zed; 2],
            page_limit: 1_000,
            ticks: false,
        }
    }
}

/// A store, and where it lives if it needs a runtime whose time is real.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Option<Handle>,
}

/// The stage.
pub(crate) struct Stage {
    pub(crate) source: Arc<sim::Cloud>,
    pub(crate) dr: Arc<sim::Cloud>,
    pub(crate) instance: sim::Instance,
    pub(crate) service: Service,
    pub(crate) home: Tenant,
    pub(crate) refuge: Tenant,
    scene: Scene,
    database: Database,
    pub(crate) store: Arc<dyn Store>,
    epochs: Arc<Epochs>,
    replicas: AtomicU64,
}

impl Stage {
    /// Sets a stage over an empty SQLite database in `folder`.
    pub(crate) async fn sqlite(folder: &Path, scene: Scene) -> Self {
        let calendar: Arc<dyn Clock> = Calendar::new(u64::from(u16::MAX), 0);
        let mut config = store::Config::new(
            format!("sqlite:{}", folder.join("store.db").display()),
            Arc::clone(&calendar),
        );
        config.settings.connections = 1;
        let store = store::open(config).await.expect("a store");
        let runtime = None;
        Self::set(Database { store, runtime }, calendar, scene)
    }

    /// Sets a stage over an empty database that lives elsewhere.
    pub(crate) fn over(database: Database, scene: Scene) -> Self {
        Self::set(database, Calendar::new(u64::from(u16::MAX), 0), scene)
    }

    fn set(database: Database, calendar: Arc<dyn Clock>, scene: Scene) -> Self {
        let [mut source, mut dr] = sim::Config::pair(scene.times.clone());
        for (index, config) in [&mut source, &mut dr].into_iter().enumerate() {
            config.seed = scene.seed * 4 + index as u64 + 1;
            config.release = scene.releases[index];
            config.page_limit = scene.page_limit;
            config.quotas = scene.quotas.clone();
        }
        let source = Arc::new(sim::Cloud::in_memory(source));
        let dr = Arc::new(sim::Cloud::in_memory(dr));
        let spec = InstanceSpec {
            kib_of_data: 16,
            ..InstanceSpec::new("shop", &scene.volumes)
        };
        let spec = match scene.guest {
            Guest::Plain | Guest::Grouped => spec,
            Guest::HoldsStill => spec.quiesced(),
            Guest::FromImage => spec.booted_from_image(),
        };
        let instance = source.create_instance(&spec).expect("an instance");
        if scene.guest == Guest::Grouped {
            let group = source.create_group("demo", &instance.volumes, true);
            group.expect("a group");
        }
        dr.create_network("demo", "internal").expect("a network");
        let epochs = Arc::new(Epochs::default());
        let tap = Tap::new([]);
        let store: Arc<dyn Store> = Arc::new(TappedStore {
            tap: Arc::clone(&tap),
            store: Arc::clone(&database.store),
            epochs: Arc::clone(&epochs),
            runtime: database.runtime.clone(),
        });
        let clouds = vec![Arc::clone(&source), Arc::clone(&dr)];
        let cloud = client(&clouds, tap, false, &calendar);
        let tenant = |cloud: &sim::Cloud| {
            let project = cloud.project_id("demo").expect("the project");
            Tenant {
                cloud: CloudName::new(cloud.name()),
                project: ProjectId::new(project),
            }
        };
        Self {
            home: tenant(&source),
            refuge: tenant(&dr),
            service: Service::new(
                Arc::clone(&store),
                cloud,
                calendar,
                ServiceSettings::default(),
                Arc::new(scene.planner),
            ),
            source,
            dr,
            instance,
            scene,
            database,
            store,
            epochs,
            replicas: AtomicU64::new(0),
        }
    }

    /// A replica behind `tap`, whose calendar is wrong by so many seconds.
    pub(crate) fn replica(&self, tap: Arc<Tap>, skew_seconds: i64) -> Replica {
        let number = self.replicas.fetch_add(1, Ordering::Relaxed);
        let calendar: Arc<dyn Clock> = Calendar::new(number, skew_seconds);
        let clouds = vec![Arc::clone(&self.source), Arc::clone(&self.dr)];
        let cloud = client(&clouds, Arc::clone(&tap), self.scene.reads, &calendar);
        let store = Arc::new(TappedStore {
            tap: Arc::clone(&tap),
            store: Arc::clone(&self.database.store),
            epochs: Arc::clone(&self.epochs),
            runtime: self.database.runtime.clone(),
        });
        let engine = Engine::new(
            ReplicaId::new(format!("replica-{number}")),
            store.clone(),
            cloud.clone(),
            calendar.clone(),
            Arc::new(self.scene.planner),
            self.scene.settings.clone(),
        );
        let mut work = vec![tokio::spawn(engine.run(CancellationToken::new()))];
        if self.scene.ticks {
            let service = Service::new(
                store,
                cloud,
                calendar,
                ServiceSettings::default(),
                Arc::new(self.scene.planner),
            );
            let ticker = Ticker::new(service.clone(), ScheduleSettings::default());
            let verifier = Verifier::new(service.clone(), VerificationSettings::default());
            let retention = Retention::new(service, RetentionSettings::default());
            work.push(tokio::spawn(ticker.run(CancellationToken::new())));
            work.push(tokio::spawn(retention.run(CancellationToken::new())));
            work.push(tokio::spawn(verifier.run(CancellationToken::new())));
        }
        Replica {
            tap,
            _work: work.into_iter().map(AbortOnDropHandle::new).collect(),
        }
    }

    /// Lets the leases of a dead replica end where their time is not ours to wind.
    pub(crate) async fn bury(&self) {
        if self.database.runtime.is_some() {
            for lane in self.epochs.lanes() {
                let freed = self.store.lane_release(&lane).await;
                freed.expect("the store answers");
            }
        }
    }

    /// What the instance of this stage is like.
    pub(crate) fn guest(&self) -> Guest {
        self.scene.guest
    }

    /// A cloud by its name.
    pub(crate) fn cloud(&self, tenant: &Tenant) -> &sim::Cloud {
        if tenant.cloud == self.home.cloud {
            &self.source
        } else {
            &self.dr
        }
    }

    /// Waits until nothing is under way with a point; nothing when it is gone.
    pub(crate) async fn point_at_rest(&self, id: PointId) -> Option<Point> {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            match self.service.internally("a test").point_get(id).await {
                Ok(point) if point.head.state.is_busy() => next(&mut changes).await,
                Ok(point) => return Some(point),
                Err(error) => return absent(&error),
            }
        }
    }

    /// Waits until nothing is under way with a restoration; nothing when it is gone.
    pub(crate) async fn restoration_at_rest(&self, id: RestorationId) -> Option<Restoration> {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            match self.service.internally("a test").restoration_get(id).await {
                Ok(restoration) if restoration.head.state.is_busy() => next(&mut changes).await,
                Ok(restoration) => return Some(restoration),
                Err(error) => return absent(&error),
            }
        }
    }

    /// What the clouds were asked, for the story of a failure.
    pub(crate) fn asked(&self) -> String {
        let line = |cloud: &sim::Cloud, one: sim::LoggedRequest| {
            let (at, status, fault) = (one.elapsed.as_millis(), one.status, one.fault);
            let name = cloud.name();
            format!(
                "{name} {at} {} {} {status:?} {fault:?}",
                one.method, one.path
            )
        };
        let clouds = [&self.source, &self.dr].into_iter();
        let asked = clouds.flat_map(|cloud| {
            let requests = cloud.requests().into_iter();
            requests.map(|one| line(cloud, one)).collect::<Vec<_>>()
        });
        asked.collect::<Vec<_>>().join("\n")
    }

    /// What everything says of itself, for the story of a failure.
    pub(crate) async fn said(&self) -> String {
        let query = Query {
            scope: Scope::All,
            filter: Filter::default(),
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 100,
        };
        let points = self.store.points_list(query.clone()).await;
        let restorations = self.store.restorations_list(query).await;
        let points = points.expect("the store answers").items.into_iter();
        let restorations = restorations.expect("the store answers").items.into_iter();
        let points = points.map(|one| (one.head.state, one.head.runtime_state, one.head.error));
        let restorations =
            restorations.map(|one| (one.head.state, one.head.runtime_state, one.head.error));
        let said = points.chain(restorations);
        let said = said.map(|(state, text, error)| format!("{state:?} {text} {error:?}"));
        said.collect::<Vec<_>>().join("\n")
    }

    /// The whole story of a resource.
    pub(crate) async fn story(&self, resource: ResourceId) -> Vec<Event> {
        let events = self.store.events_list(resource, 0, 1_000).await;
        events.expect("the store answers")
    }

    /// The state of everything in a project of a cloud, as `KIND NAME ID STATUS`, without the volumes
    /// that Cinder itself makes for a backup and forgets when that dies: nobody else may touch them.
    pub(crate) fn inventory(&self, tenant: &Tenant) -> Vec<String> {
        let state = self.cloud(tenant).state();
        let kinds = state["projects"]["demo"].as_object();
        let mut lines = Vec::new();
        for (kind, things) in kinds.into_iter().flatten() {
            for thing in things.as_array().into_iter().flatten() {
                let text = |field: &str| thing[field].as_str().unwrap_or_default().to_owned();
                lines.push(format!(
                    "{kind} {} {} {}",
                    text("name"),
                    text("id"),
                    text("status")
                ));
            }
        }
        lines.retain(|line| !line.starts_with("volumes backup-vol-"));
        lines.sort();
        lines
    }
}

fn absent<T>(error: &Error) -> Option<T> {
    assert_eq!(error.reason(), "NOT_FOUND", "{error:?}");
    None
}

/// Waits until something has changed.
async fn next(changes: &mut watch::Receiver<u64>) {
    changes.changed().await.expect("the store is open");
}

fn client(
    clouds: &[Arc<sim::Cloud>],
    tap: Arc<Tap>,
    reads: bool,
    calendar: &Arc<dyn Clock>,
) -> Arc<dyn Cloud> {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| config(clouds));
    let transport: Arc<dyn HttpTransport> = Arc::new(TappedTransport {
        tap,
        clouds: clouds.to_vec(),
        reads,
    });
    Arc::new(Clouds::with_transport(config.clone(), calendar, &transport))
}

/// The configuration that is the same on every stage.
fn config(clouds: &[Arc<sim::Cloud>]) -> Config {
    let folder = scratch();
    let file = folder.path().join("clouds.yaml");
    let yaml = sim::clouds_yaml(clouds.iter().map(AsRef::as_ref));
    std::fs::write(&file, yaml).expect("written");
    let environment = Environment {
        variables: BTreeMap::from([(
            "OS_CLIENT_CONFIG_FILE".to_owned(),
            file.display().to_string(),
        )]),
        working_directory: folder.path().into(),
        home: None,
    };
    let mapping = |name: &str| CloudMapping {
        name: name.to_owned(),
        entries: vec![format!("{name}-demo")],
        admin: Some(format!("{name}-operator")),
    };
    let mappings = [mapping("source"), mapping("dr")];
    Config::load(&environment, &mappings, OpenStackSettings::default()).expect("a configuration")
}

/// Runs `work` in a runtime of its own, whose clock moves when nothing else does.
pub(crate) fn by_hand<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}
