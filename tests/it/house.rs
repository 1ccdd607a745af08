//! A whole service over two simulated clouds, in this process, reached through the gRPC API.
//!
//! The engine runs in a runtime of its own, so that a test can end it between any two instructions
//! as `kill -9` would, and start another one over the same store.
//!
//! One file because a house is one thing: opened, asked, ended and looked through.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use drbackup::{
    api::{
        pb::{
            self, backup_service_client::BackupServiceClient,
            dr_backup_service_client::DrBackupServiceClient,
            orphan_service_client::OrphanServiceClient,
            restoration_service_client::RestorationServiceClient,
            schedule_service_client::ScheduleServiceClient,
        },
        server,
        settings::ApiSettings,
    },
    domain::{caller::Caller, id::ReplicaId, time::Timestamp},
    engine::{Engine, EngineSettings, Planner},
    openstack::{
        Clouds,
        config::{CloudMapping, Config, Environment},
        install_crypto,
        settings::OpenStackSettings,
    },
    plan,
    port::{clock::Clock, cloud::Cloud, store::Store},
    service::{
        Service,
        acting::Login,
        settings::{OrphanSettings, ServiceSettings},
    },
    sim, store,
};
use tokio_util::sync::CancellationToken;
use tonic::{service::InterceptorLayer, transport::Channel};
use uuid::Uuid;

use crate::privilege;

/// The real clock, ahead by what tests let pass.
#[derive(Clone, Default)]
struct SystemClock {
    /// Microseconds.
    ahead: Arc<AtomicI64>,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp(chrono::Utc::now().timestamp_micros() + ahead)
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A pair of clouds and a service that knows both.
pub(crate) struct House {
    pub(crate) source: sim::Cloud,
    pub(crate) dr: sim::Cloud,
    pub(crate) store: Arc<dyn Store>,
    cloud: Arc<dyn Cloud>,
    clock: SystemClock,
    address: String,
    engine: Option<tokio::runtime::Runtime>,
    stop: CancellationToken,
    /// Goes with the house.
    directory: tempfile::TempDir,
}

/// An engine for clouds that take milliseconds.
fn settings() -> EngineSettings {
    EngineSettings {
        lease: Duration::from_secs(5),
        lease_margin: Duration::from_secs(1),
        observe_first: Duration::from_millis(10),
        observe_min: Duration::from_millis(10),
        observe_max: Duration::from_millis(100),
        settle: Duration::from_millis(60),
        retry_first: Duration::from_millis(20),
        retry_max: Duration::from_millis(200),
        store_retry: Duration::from_millis(20),
        aside_retry: Duration::from_millis(200),
        ..EngineSettings::default()
    }
}

/// The planners of a house, which do not pause for long.
fn planner() -> Planner {
    Arc::new(|operation, ledger, now| {
        let limits = plan::PatienceSettings {
            pause: Duration::from_millis(20),
            ..plan::PatienceSettings::default()
        };
        plan::plan(&limits, operation, ledger, now)
    })
}

impl House {
    /// A house whose clouds take `times`.
    pub(crate) async fn open(times: sim::Times) -> Self {
        Self::with(times, |_, _| {}).await
    }

    /// A house whose clouds were changed before they started.
    pub(crate) async fn with(
        times: sim::Times,
        change: impl FnOnce(&mut sim::Config, &mut sim::Config),
    ) -> Self {
        let mut house = Self::built(times, change, None).await;
        house.start_engine();
        house
    }

    /// A house over a database that was there before it, in which nobody works yet.
    pub(crate) async fn over(url: String) -> Self {
        Self::built(sim::Times::instant(), |_, _| {}, Some(url)).await
    }

    async fn built(
        times: sim::Times,
        change: impl FnOnce(&mut sim::Config, &mut sim::Config),
        url: Option<String>,
    ) -> Self {
        static CRYPTO: OnceLock<()> = OnceLock::new();
        CRYPTO.get_or_init(install_crypto);
        let [mut source, mut dr] = sim::Config::pair(times);
        change(&mut source, &mut dr);
        let source = sim::Cloud::start(source)
            .await
            .expect("the source cloud starts");
        let dr = sim::Cloud::start(dr).await.expect("the other cloud starts");
        let directory = tempfile::tempdir().expect("a directory");
        let clouds_yaml = directory.path().join("clouds.yaml");
        std::fs::write(&clouds_yaml, sim::clouds_yaml([&source, &dr])).expect("written");
        let system = SystemClock::default();
        let clock: Arc<dyn Clock> = Arc::new(system.clone());
        let cloud: Arc<dyn Cloud> = Arc::new(Clouds::new(
            config(&clouds_yaml, directory.path().into(), Some("operator")),
            &clock,
        ));
        let own = || format!("sqlite:{}", directory.path().join("store.db").display());
        let url = url.unwrap_or_else(own);
        let store = store::open(store::Config::new(url, Arc::clone(&clock)))
            .await
            .expect("a store");
        let service = Service::new(
            Arc::clone(&store),
            Arc::clone(&cloud),
            Arc::clone(&clock),
            without_grace(),
            planner(),
        );
        let stop = CancellationToken::new();
        let door = server::door(service, &ApiSettings::default(), stop.clone())
            .await
            .expect("a door");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let ending = stop.clone();
        tokio::spawn(async move {
            // Where no login stands before the door everybody may do everything.
            let anybody = |mut request: tonic::Request<()>| {
                let login = Login::lasting(Caller::anybody());
                request.extensions_mut().insert(login);
                Ok(request)
            };
            tonic::transport::Server::builder()
                .layer(InterceptorLayer::new(anybody))
                .add_routes(door.routes)
                .serve_with_incoming_shutdown(incoming, ending.cancelled_owned())
                .await
                .expect("the door serves");
        });
        Self {
            source,
            dr,
            store,
            cloud,
            clock: system,
            address,
            engine: None,
            stop,
            directory,
        }
    }

    /// A service over `store` and the same clouds, with other limits.
    pub(crate) fn service(&self, store: &Arc<dyn Store>, limits: ServiceSettings) -> Service {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let cloud = Arc::clone(&self.cloud);
        Service::new(Arc::clone(store), cloud, clock, limits, planner())
    }

    /// A service over the same store and clouds that goes by another clock.
    pub(crate) fn service_by(&self, clock: Arc<dyn Clock>, limits: ServiceSettings) -> Service {
        Service::new(
            Arc::clone(&self.store),
            Arc::clone(&self.cloud),
            clock,
            limits,
            planner(),
        )
    }

    /// A service over the same store and clouds that plans in another way.
    pub(crate) fn service_with(&self, planner: Planner) -> Service {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let (store, cloud) = (Arc::clone(&self.store), Arc::clone(&self.cloud));
        Service::new(store, cloud, clock, ServiceSettings::default(), planner)
    }

    /// A service over the same clouds that has nothing of what this one knows.
    pub(crate) async fn stranger(&self) -> Service {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let url = format!(
            "sqlite:{}",
            self.directory.path().join("other.db").display()
        );
        let store = store::open(store::Config::new(url, clock)).await;
        self.service(&store.expect("a store"), without_grace())
    }

    /// The clouds as the engine reaches them.
    pub(crate) fn cloud(&self) -> &dyn Cloud {
        self.cloud.as_ref()
    }

    /// The file of the store.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }

    /// Starts an engine; another one must not run.
    pub(crate) fn start_engine(&mut self) {
        self.start_engine_with(planner());
    }

    /// The same, with planners of its own.
    pub(crate) fn start_engine_with(&mut self, planner: Planner) {
        assert!(self.engine.is_none(), "one engine at a time");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let engine = Engine::new(
            ReplicaId::new("house"),
            self.store.clone(),
            Arc::clone(&self.cloud),
            Arc::new(self.clock.clone()),
            planner,
            settings(),
        );
        runtime.spawn(engine.run(self.stop.clone()));
        self.engine = Some(runtime);
    }

    /// Has the clock of everything but the clouds show a later time.
    pub(crate) fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).expect("a time");
        self.clock.ahead.fetch_add(micros, Ordering::Relaxed);
    }

    /// Ends the engine wherever it is: what was under way is neither awaited nor recorded.
    pub(crate) fn kill_engine(&mut self) {
        self.engine
            .take()
            .expect("an engine runs")
            .shutdown_background();
    }

    /// Takes the admin entries out of the configuration, as after a restart with another one.
    pub(crate) fn dismiss_admins(&mut self) {
        self.hire_admins(None);
    }

    /// Has this user, in the project of its entry, be the admin of both clouds, or nobody.
    pub(crate) fn hire_admins(&mut self, admin: Option<&str>) {
        self.kill_engine();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let directory = self.directory.path();
        let config = config(&directory.join("clouds.yaml"), directory.into(), admin);
        self.cloud = Arc::new(Clouds::new(config, &clock));
        self.start_engine();
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.address.clone())
            .expect("an address")
            .connect()
            .await
            .expect("up")
    }

    pub(crate) async fn dr_backups(&self) -> DrBackupServiceClient<Channel> {
        DrBackupServiceClient::new(self.channel().await)
    }

    pub(crate) async fn orphans(&self) -> OrphanServiceClient<Channel> {
        OrphanServiceClient::new(self.channel().await)
    }

    pub(crate) async fn restorations(&self) -> RestorationServiceClient<Channel> {
        RestorationServiceClient::new(self.channel().await)
    }

    pub(crate) async fn schedules(&self) -> ScheduleServiceClient<Channel> {
        ScheduleServiceClient::new(self.channel().await)
    }

    /// The project `demo` of the source.
    pub(crate) fn home(&self) -> String {
        self.source
            .project_id("demo")
            .expect("the project is there")
    }

    /// The project `demo` of the other cloud.
    pub(crate) fn refuge(&self) -> String {
        self.dr.project_id("demo").expect("the project is there")
    }

    /// Starts a DR backup of an instance of the source.
    pub(crate) async fn back_up(&self, server: &str) -> pb::DrBackup {
        self.back_up_as(self.plainest(server)).await
    }

    /// The plainest wish for a DR backup of an instance of the source.
    pub(crate) fn plainest(&self, server: &str) -> pb::CreateDrBackupRequest {
        pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: self.home(),
            instance_id: server.to_owned(),
            description: "nightly".to_owned(),
            ..Default::default()
        }
    }

    pub(crate) async fn back_up_as(&self, ask: pb::CreateDrBackupRequest) -> pb::DrBackup {
        let answer = self.dr_backups().await.create_dr_backup(ask).await;
        answer.expect("it is admitted").into_inner()
    }

    /// Makes a DR backup of what changed since the last one, to its end.
    pub(crate) async fn back_up_changes(&self, server: &str) -> pb::DrBackup {
        let request = pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: self.home(),
            instance_id: server.to_owned(),
            incremental: true,
            ..Default::default()
        };
        let answer = self.dr_backups().await.create_dr_backup(request).await;
        let admitted = answer.expect("it is admitted").into_inner();
        self.backup_at_rest(&admitted.id).await
    }

    /// Starts a DR backup and follows it until it is at rest.
    pub(crate) async fn back_up_to_end(&self, server: &str) -> pb::DrBackup {
        let backup = self.back_up(server).await;
        self.backup_at_rest(&backup.id).await
    }

    /// Starts a restoration into the project `demo` of the other cloud.
    pub(crate) async fn restore(&self, dr_backup: &str) -> pb::Restoration {
        self.restore_as(self.wish(dr_backup)).await
    }

    /// The plainest wish for a restoration into the other cloud.
    pub(crate) fn wish(&self, dr_backup: &str) -> pb::CreateRestorationRequest {
        pb::CreateRestorationRequest {
            dr_backup_id: dr_backup.to_owned(),
            cloud: "dr".to_owned(),
            tenant: self.refuge(),
            ..Default::default()
        }
    }

    /// What a restoration says as soon as that contains `text`.
    pub(crate) async fn told(&self, restoration: &str, text: &str) -> String {
        let request = pb::WatchRestorationRequest {
            id: restoration.to_owned(),
            ..Default::default()
        };
        let answer = self.restorations().await.watch_restoration(request).await;
        let mut stream = answer.expect("it is told").into_inner();
        while let Some(event) = stream.message().await.expect("an event") {
            if event.runtime_state.contains(text) {
                return event.runtime_state;
            }
        }
        panic!("it never said {text}");
    }

    /// What a restoration told from its beginning until it was at rest.
    pub(crate) async fn story(&self, restoration: &str) -> Vec<String> {
        let request = pb::WatchRestorationRequest {
            id: restoration.to_owned(),
            until_settled: true,
            ..Default::default()
        };
        let answer = self.restorations().await.watch_restoration(request).await;
        let mut stream = answer.expect("it is told").into_inner();
        let mut told = Vec::new();
        while let Some(event) = stream.message().await.expect("an event") {
            told.push(event.runtime_state);
        }
        told
    }

    pub(crate) async fn restore_as(&self, wish: pb::CreateRestorationRequest) -> pb::Restoration {
        let answer = self.restorations().await.create_restoration(wish).await;
        answer.expect("it is admitted").into_inner()
    }

    /// Follows a DR backup until nothing is under way, by its stream.
    pub(crate) async fn backup_at_rest(&self, id: &str) -> pb::DrBackup {
        let request = pb::WatchDrBackupRequest {
            id: id.to_owned(),
            until_settled: true,
            ..Default::default()
        };
        let stream = self
            .dr_backups()
            .await
            .watch_dr_backup(request)
            .await
            .expect("a stream");
        rest(stream.into_inner()).await;
        let request = pb::GetDrBackupRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        self.dr_backups()
            .await
            .get_dr_backup(request)
            .await
            .expect("it is there")
            .into_inner()
    }

    pub(crate) async fn backups(&self) -> BackupServiceClient<Channel> {
        BackupServiceClient::new(self.channel().await)
    }

    /// Starts a regular backup of an instance of the source.
    pub(crate) async fn keep(&self, server: &str) -> pb::Backup {
        let request = pb::CreateBackupRequest {
            cloud: "source".to_owned(),
            tenant: self.home(),
            instance_id: server.to_owned(),
            description: "hourly".to_owned(),
            ..Default::default()
        };
        let answer = self.backups().await.create_backup(request).await;
        answer.expect("it is admitted").into_inner()
    }

    /// Follows a regular backup until nothing is under way, by its stream.
    pub(crate) async fn kept(&self, id: &str) -> pb::Backup {
        let request = pb::WatchBackupRequest {
            id: id.to_owned(),
            until_settled: true,
            ..Default::default()
        };
        let stream = self.backups().await.watch_backup(request).await;
        rest(stream.expect("a stream").into_inner()).await;
        let request = pb::GetBackupRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        let answer = self.backups().await.get_backup(request).await;
        answer.expect("it is there").into_inner()
    }

    /// Follows a regular backup that is being deleted to its last event.
    pub(crate) async fn let_go(&self, id: &str) {
        let request = pb::WatchBackupRequest {
            id: id.to_owned(),
            until_settled: true,
            ..Default::default()
        };
        let stream = self.backups().await.watch_backup(request).await;
        rest(stream.expect("a stream").into_inner()).await;
        let request = pb::GetBackupRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        let answer = self.backups().await.get_backup(request).await;
        assert_eq!(answer.expect_err("gone").code(), tonic::Code::NotFound);
    }

    /// The plainest wish for a restoration where the snapshots are.
    pub(crate) fn wish_at_home(&self, backup: &str) -> pb::CreateRestorationRequest {
        pb::CreateRestorationRequest {
            backup_id: backup.to_owned(),
            cloud: "source".to_owned(),
            tenant: self.home(),
            ..Default::default()
        }
    }

    /// Follows a restoration until nothing is under way, by its stream.
    pub(crate) async fn restoration_at_rest(&self, id: &str) -> pb::Restoration {
        let request = pb::WatchRestorationRequest {
            id: id.to_owned(),
            until_settled: true,
            ..Default::default()
        };
        let stream = self
            .restorations()
            .await
            .watch_restoration(request)
            .await
            .expect("a stream");
        rest(stream.into_inner()).await;
        let request = pb::GetRestorationRequest { id: id.to_owned() };
        self.restorations()
            .await
            .get_restoration(request)
            .await
            .expect("it is there")
            .into_inner()
    }

    /// Waits until a DR backup is gone, half a minute at most.
    pub(crate) async fn backup_gone(&self, id: &str) {
        let mut client = self.dr_backups().await;
        let request = pb::GetDrBackupRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        let gone = async {
            while client.get_dr_backup(request.clone()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone)
            .await
            .expect("it goes");
    }

    /// Waits until a restoration is gone, half a minute at most.
    pub(crate) async fn restoration_gone(&self, id: &str) {
        let mut client = self.restorations().await;
        let request = pb::GetRestorationRequest { id: id.to_owned() };
        let gone = async {
            while client.get_restoration(request.clone()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone)
            .await
            .expect("it goes");
    }

    /// A network of the same name as that of the instances, in a project of the other cloud.
    pub(crate) fn prepare_refuge(&self) {
        // An instance brings everything that it needs; its own server and volumes stay out of the way.
        self.dr
            .create_instance(&sim::InstanceSpec::new("resident", &[1]))
            .expect("a resident with a network");
    }
}

/// A thing in a cloud, as the simulator knows it.
#[derive(Debug, Clone)]
pub(crate) struct Thing(serde_json::Value);

impl Thing {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    pub(crate) fn texts(&self, field: &str) -> Vec<String> {
        let list = self.0[field].as_array().cloned().unwrap_or_default();
        let texts = list.iter().filter_map(serde_json::Value::as_str);
        texts.map(str::to_owned).collect()
    }
}

/// What a project of a cloud holds of a kind (`volumes`, `snapshots`, `backups`, `servers`, `ports` …).
pub(crate) fn things(cloud: &sim::Cloud, project: &str, kind: &str) -> Vec<Thing> {
    let list = cloud.state()["projects"][project][kind].as_array().cloned();
    list.unwrap_or_default().into_iter().map(Thing).collect()
}

/// How many of each kind a project holds, to compare before and after.
pub(crate) fn census(cloud: &sim::Cloud, project: &str) -> BTreeMap<&'static str, usize> {
    [
        "volumes",
        "snapshots",
        "backups",
        "servers",
        "ports",
        "trunks",
        "security_groups",
        "transfers",
    ]
    .into_iter()
    .map(|kind| (kind, things(cloud, project, kind).len()))
    .collect()
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(engine) = self.engine.take() {
            engine.shutdown_background();
        }
        if !std::thread::panicking() {
            privilege::assert_allowed(&self.source);
            privilege::assert_allowed(&self.dr);
        }
    }
}

/// Settings under which what was made a moment ago may be an orphan.
pub(crate) fn without_grace() -> ServiceSettings {
    ServiceSettings {
        orphans: OrphanSettings {
            grace: Duration::ZERO,
            ..OrphanSettings::default()
        },
        ..ServiceSettings::default()
    }
}

/// The clouds of a `clouds.yaml` as an engine reaches them.
pub(crate) fn clouds(clouds_yaml: &std::path::Path) -> Arc<dyn Cloud> {
    install_crypto();
    let directory = clouds_yaml.parent().expect("a directory");
    let config = config(clouds_yaml, directory.into(), Some("operator"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    Arc::new(Clouds::new(config, &clock))
}

fn config(clouds_yaml: &std::path::Path, directory: PathBuf, admin: Option<&str>) -> Config {
    let environment = Environment {
        variables: BTreeMap::from([(
            "OS_CLIENT_CONFIG_FILE".to_owned(),
            clouds_yaml.display().to_string(),
        )]),
        working_directory: directory,
        home: None,
    };
    let mapping = |name: &str| CloudMapping {
        name: name.to_owned(),
        entries: vec![format!("{name}-demo")],
        admin: admin.map(|user| format!("{name}-{user}")),
    };
    Config::load(
        &environment,
        &[mapping("source"), mapping("dr")],
        OpenStackSettings::default(),
    )
    .expect("a configuration")
}

/// Reads a stream that ends when the resource is at rest; one that ends or stalls earlier fails the test.
async fn rest(mut stream: tonic::Streaming<pb::Event>) {
    let last = std::sync::Mutex::new(None);
    let follow = async {
        while let Some(event) = stream.message().await.expect("the stream goes on") {
            let before = last.lock().expect("not poisoned").replace(event.clone());
            let before = before.map_or(0, |event: pb::Event| event.sequence);
            assert_eq!(event.sequence, before + 1, "a gap in the story");
        }
        // A rest on the way is history: the stream tells its whole story and ends at the last one.
        let end = last.lock().expect("not poisoned").clone();
        let state = end.and_then(|event| pb::State::try_from(event.state).ok());
        assert!(
            matches!(
                state,
                Some(pb::State::Ok | pb::State::Erred | pb::State::Deleted)
            ),
            "the stream ended before the resource was at rest: {state:?}"
        );
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), follow).await;
    assert!(
        ended.is_ok(),
        "it does not come to rest; the last that was heard: {last:#?}"
    );
}
