//! The service: opens its parts, lets callers in, and takes leave of them; it may not know what they
//! ask for.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{error, info, warn};

use super::{
    clock::SystemClock,
    config::{self, Config, Flags},
    credentials::Credentials,
    entrance::{Doors, Entrance},
    log,
    metrics::metrics,
    ops::{self, Ops, Readiness},
    reload,
};
use crate::{
    api::{
        pb::{
            backup_service_server, cloud_service_server, dr_backup_service_server,
            orphan_service_server, restoration_service_server, schedule_service_server,
        },
        server::{LIVENESS, door},
    },
    auth::Authenticator,
    cli::{failure::Failure, out::Out},
    domain::id::ReplicaId,
    engine::{Engine, Planner},
    openstack::{self, Clouds, config::Environment},
    plan::{self, PatienceSettings},
    port::{audit::Audit, clock::Clock, cloud::Cloud as _, login::Tokens, store::Store},
    service::Service,
    store::{self, OpenError},
    worker::{
        admin_uses::AdminUseRecorder, history_pruner::HistoryPruner, orphan_scanner::OrphanScanner,
        retention::Retention, ticker::Ticker, verifier::Verifier,
    },
};

/// How to serve.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Show the configuration in force, without passwords, and stop
    #[arg(long)]
    show_config: bool,
}

/// Serves until the process is asked to stop.
pub(super) async fn run(serve: Serve, out: &mut Out) -> Result<(), Failure> {
    let config = config::load(serve.flags)?;
    if serve.show_config {
        return out.answer(&config.shown()?);
    }
    log::start(&config.log)?;
    for name in config::strange_variables() {
        warn!(
            name,
            "this variable means nothing to drbackup; is it a slip of the pen?"
        );
    }
    let environment = config.environment()?;
    // Before anything is begun, so that no signal is lost.
    let mut asked = Signals::listen()?;
    let mut running = start(config, &environment).await?;
    let reload = Arc::clone(&running.reload);
    tokio::select! {
        ended = running.ended() => return ended,
        name = asked.next_stop(&reload) => info!(signal = name, "stopping"),
    }
    tokio::select! {
        ended = running.stop() => ended,
        name = asked.next_stop(&reload) => {
            warn!(signal = name, "asked again: ended at once; the next start recovers what is under way");
            Err(Failure::Interrupted("ended at once, without taking leave".to_owned()))
        }
    }
}

/// A service that runs.
pub(super) struct Running {
    /// Where it listens.
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    /// Asks for the files to be read again.
    reload: Arc<Notify>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Running {
    /// Takes leave of the callers, gives the work back and ends.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits for the end, however it comes.
    async fn ended(&mut self) -> Result<(), Failure> {
        match (&mut self.task).await {
            Ok(ended) => ended,
            Err(broken) => Err(Failure::Local(format!("the service broke: {broken}"))),
        }
    }
}

/// Opens the store, the clouds and the door, and returns as soon as callers can come.
pub(super) async fn start(config: Config, environment: &Environment) -> Result<Running, Failure> {
    openstack::install_crypto();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let credentials = Credentials::read(&config, environment, &clock)?;
    let clouds = credentials.clouds();
    let authenticator = authenticator(&config, &clouds, &clock)?;
    let entrance = Entrance::open(&config)?;
    // Before the database: bringing its schema up may take a while, in which probes are answered.
    let ops = Ops::open(&config.ops).await?;
    let store = open_store(&config, &clock).await?;

    let service = Service::new(
        store.clone(),
        clouds.clone(),
        clock.clone(),
        config.service(),
        planner(config.patience.clone()),
    );
    let scanner = OrphanScanner::new(service.clone(), config.orphans.clone());
    let ticker = Ticker::new(service.clone(), config.schedules.clone());
    let verifier = Verifier::new(service.clone(), config.verification.clone());
    let retention = Retention::new(service.clone(), config.retention.clone());
    let stop = CancellationToken::new();
    let streams_end = CancellationToken::new();
    let door = door(service.clone(), &config.api, streams_end.clone())
        .await
        .map_err(|error| Failure::Local(format!("describing the API: {error}")))?;
    let engine = engine(&config, &store, &clouds, &clock);
    let metrics = metrics(
        service.clone(),
        engine.meter(),
        clouds.clone(),
        entrance.counts(),
        entrance.certificates(),
        &config,
    );
    let reload = Arc::new(Notify::new());
    let reloading = reload::run(
        entrance.certificates(),
        credentials,
        config.tls.look_every,
        Arc::clone(&reload),
        stop.child_token(),
    );
    let readiness = ops.readiness();
    ops.tells(ops::Parts {
        metrics: metrics.clone(),
        clouds: clouds.clone(),
        certificates: entrance.certificates(),
        sealed: config.seal.seals(),
    });
    let pruner = pruner(&config, &store, &clock);
    let admin_uses = admin_uses(&clouds, &store, &clock);
    let workers = vec![
        tokio::spawn(pruner.run(stop.child_token())),
        tokio::spawn(admin_uses.run(stop.child_token())),
        tokio::spawn(scanner.run(stop.child_token())),
        tokio::spawn(ticker.run(stop.child_token())),
        tokio::spawn(retention.run(stop.child_token())),
        tokio::spawn(verifier.run(stop.child_token())),
        tokio::spawn(tell_clouds(clouds)),
        tokio::spawn(reloading),
    ];
    let work = tokio::spawn(engine.run(stop.child_token()));
    let reporter = door.health.clone();
    let health = tokio::spawn(tell_health(
        (reporter.clone(), readiness.clone()),
        store,
        config.clone(),
        stop.child_token(),
    ));
    let address = entrance.address();
    let doors = Doors {
        grpc: door.routes,
        service,
        metrics,
        authenticator,
    };
    let callers = entrance.serve(&config, doors, &streams_end);
    let callers = tokio::spawn(callers);

    let task = tokio::spawn(run_to_end(Parts {
        notice: config.stop_notice,
        patience: config.stop_patience,
        stop: stop.clone(),
        reporter,
        readiness,
        streams_end,
        health,
        workers,
        work,
        callers,
        _ops: ops,
    }));
    Ok(Running {
        address,
        stop,
        reload,
        task,
    })
}

/// The engine of this replica.
fn engine(
    config: &Config,
    store: &Arc<dyn Store>,
    clouds: &Arc<Clouds>,
    clock: &Arc<dyn Clock>,
) -> Engine {
    Engine::new(
        ReplicaId::new(clock.new_id().to_string()),
        store.clone(),
        clouds.clone(),
        clock.clone(),
        planner(config.patience.clone()),
        config.engine.clone(),
    )
}

/// Who lets old history go, by the configuration.
fn pruner(config: &Config, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> HistoryPruner {
    let (history, audit) = (config.history.clone(), config.audit.clone());
    HistoryPruner::new(Arc::clone(store), Arc::clone(clock), history, audit)
}

/// Who enters what admins are used for; from here on no cloud sends a call of one without.
fn admin_uses(
    clouds: &Clouds,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> Arc<AdminUseRecorder> {
    let recorder = Arc::new(AdminUseRecorder::new(Arc::clone(store), Arc::clone(clock)));
    clouds.note_admin_uses(recorder.clone());
    recorder
}

/// Who tells callers apart, by the configuration.
fn authenticator(
    config: &Config,
    clouds: &Arc<Clouds>,
    clock: &Arc<dyn Clock>,
) -> Result<Authenticator, Failure> {
    let known = clouds.cloud_names();
    if let Some(strange) = config
        .auth
        .keystones
        .iter()
        .find(|one| !known.contains(one))
    {
        return Err(Failure::Usage(format!(
            "auth.keystones: `{strange}` is not a configured cloud"
        )));
    }
    let tokens: Arc<dyn Tokens> = clouds.clone();
    Authenticator::new(config.auth.clone(), tokens, Arc::clone(clock)).map_err(Failure::Usage)
}

/// Says of every cloud of the configuration whether it lets us in: a wrong password, project or region is
/// better heard of now than when a backup is due. One that does not answer keeps nobody from starting.
async fn tell_clouds(clouds: Arc<Clouds>) {
    for cloud in clouds.clouds_list().await {
        match cloud.problem {
            None => info!(cloud = %cloud.name, "the cloud lets us in"),
            Some(problem) => {
                warn!(cloud = %cloud.name, problem, "the cloud cannot be used as configured");
            }
        }
    }
}

/// The planners, as patient as that.
pub(super) fn planner(patience: PatienceSettings) -> Planner {
    Arc::new(move |operation, ledger, now| plan::plan(&patience, operation, ledger, now))
}

/// Opens the configured database.
pub(super) async fn open_store(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, Failure> {
    let store = opened(store::open(store_config(config, clock).await?).await)?;
    if !config.seal.seals() {
        warn!(
            "manifests and their user data lie readable in the database: name a key in seal.keys (`drbackup seal \
             key` makes one), then seal what is there already (`drbackup seal rotate`)"
        );
    }
    Ok(store)
}

/// Opens the audit of the configured database to read it, for which no key is needed.
pub(super) async fn open_audit(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Audit>, Failure> {
    let place = store::Config {
        settings: config.store.clone(),
        ..store::Config::new(config.database.clone(), Arc::clone(clock))
    };
    opened(store::open_audit(place).await)
}

/// Where the configured database is, and what seals it.
pub(super) async fn store_config(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<store::Config, Failure> {
    Ok(store::Config {
        url: config.database.clone(),
        settings: config.store.clone(),
        clock: Arc::clone(clock),
        sealer: Arc::new(config.seal.sealer().await?),
    })
}

/// What a person is told of a database that does not open.
pub(super) fn opened<T>(opening: Result<T, OpenError>) -> Result<T, Failure> {
    opening.map_err(|error| match &error {
        OpenError::Url(_) => Failure::Usage(error.to_string()),
        OpenError::InUse { .. }
        | OpenError::Newer { .. }
        | OpenError::Older { .. }
        | OpenError::Sealed { .. } => Failure::Conflict(error.to_string()),
        OpenError::Migration(_) | OpenError::Unavailable(_) => Failure::Unreachable {
            message: error.to_string(),
            guidance: "check the database that is configured (--database)".to_owned(),
        },
    })
}

/// What runs side by side, and how it is ended.
struct Parts<Callers> {
    notice: Duration,
    patience: Duration,
    stop: CancellationToken,
    reporter: HealthReporter,
    readiness: Readiness,
    streams_end: CancellationToken,
    health: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    work: JoinHandle<()>,
    callers: JoinHandle<Callers>,
    /// Answers until all the others have ended.
    _ops: Ops,
}

/// Runs until `stop`, then ends in this order: health says so, and the work is handed over to other
/// replicas at the same moment; the door stays open for the notice, so that callers who ask health
/// first go elsewhere; then streams end as UNAVAILABLE and calls under way finish, within patience. A
/// part that ends by itself ends the whole, because a service without it only seems to run.
async fn run_to_end<E: std::fmt::Display>(mut parts: Parts<Result<(), E>>) -> Result<(), Failure> {
    let broken = tokio::select! {
        // Asked first: the engine hears of a stop at the same moment, and may end sooner than this looks.
        biased;
        () = parts.stop.cancelled() => None,
        _ended = &mut parts.work => Some("the engine ended by itself".to_owned()),
        ended = &mut parts.callers => Some(match ended {
            Ok(Ok(())) => "the listener ended by itself".to_owned(),
            Ok(Err(error)) => format!("the listener broke: {error}"),
            Err(error) => format!("the listener broke: {error}"),
        }),
    };
    parts.readiness.leaving();
    parts.stop.cancel();
    let _told = parts.health.await;
    for worker in parts.workers {
        let _ended = worker.await;
    }
    if broken.is_none() {
        sleep(parts.notice).await;
    }
    parts.streams_end.cancel();
    // Whoever watches health would keep the door from closing.
    for name in READY.into_iter().chain([LIVENESS]) {
        parts.reporter.clear_service_status(name).await;
    }
    if broken.is_none() {
        leave(parts.patience, "callers", parts.callers).await;
        leave(parts.patience, "the work", parts.work).await;
    }
    match broken {
        None => {
            info!("stopped");
            Ok(())
        }
        Some(problem) => {
            error!(problem, "stopped");
            Err(Failure::Local(problem))
        }
    }
}

/// Waits for a part no longer than there is patience: whoever is left is recovered by the next start.
async fn leave<T>(patience: Duration, name: &str, part: JoinHandle<T>) {
    let abort = part.abort_handle();
    if timeout(patience, part).await.is_err() {
        warn!(part = name, "did not end in time and was left");
        abort.abort();
    }
}

/// Keeps the answer to health checks true, and ends it with `NOT_SERVING`.
async fn tell_health(
    (health, readiness): (HealthReporter, Readiness),
    store: Arc<dyn Store>,
    config: Config,
    stop: CancellationToken,
) {
    let mut trouble: Option<String> = None;
    loop {
        let pause = sleep(config.api.health_every);
        if stop.run_until_cancelled(pause).await.is_none() {
            break;
        }
        let patience = config.api.keep_alive_answer;
        let found = match timeout(patience, store.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_late) => Some(format!("it did not answer within {patience:?}")),
        };
        if found == trouble {
            continue;
        }
        // A new reason is told too: the first one may be how the trouble began, the next what it is.
        match &found {
            None => info!("the database works again"),
            Some(reason) => error!(reason, "the database does not work"),
        }
        readiness.database(found.clone());
        if found.is_some() != trouble.is_some() {
            tell_all(&health, found.is_none()).await;
        }
        trouble = found;
    }
    tell_all(&health, false).await;
}

/// The names under which health tells whether to come here; the empty one is the service as a whole.
/// [`LIVENESS`] is none of them: a process that takes its leave, or waits for its database, must not
/// be restarted for that.
const READY: [&str; 7] = [
    "",
    dr_backup_service_server::SERVICE_NAME,
    backup_service_server::SERVICE_NAME,
    restoration_service_server::SERVICE_NAME,
    schedule_service_server::SERVICE_NAME,
    cloud_service_server::SERVICE_NAME,
    orphan_service_server::SERVICE_NAME,
];

async fn tell_all(health: &HealthReporter, well: bool) {
    let status = if well {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for name in READY {
        health.set_service_status(name, status).await;
    }
}

/// Becomes ready with the name of the signal when somebody wants the process to end.
pub(super) fn asked_to_stop() -> Result<impl Future<Output = &'static str>, Failure> {
    let mut signals = Signals::listen()?;
    Ok(async move { signals.next_stop(&Notify::new()).await })
}

/// The signals by which somebody wants something of the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From here on none ends the process by itself.
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::Local(format!("listening for signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The name of the next one by which the process is to end; one that asks for the files to be read
    /// again is passed on meanwhile.
    async fn next_stop(&mut self, reload: &Notify) -> &'static str {
        loop {
            tokio::select! {
                _asked = self.terminate.recv() => return "SIGTERM",
                _asked = self.interrupt.recv() => return "SIGINT",
                _asked = self.hang_up.recv() => {
                    info!(signal = "SIGHUP", "reading the files again");
                    reload.notify_one();
                }
            }
        }
    }
}
