//! Many backups at once: what the cloud is asked for each, how long all take beside the cloud's own
//! time, and how soon a watcher hears of what happened in the cloud.
//!
//! The cloud is the simulator with times that were measured on real ones. It has as many hands for
//! backups as a cloud with twenty hosts of cinder-backup, so the work of a small fleet never waits
//! for a hand and every delay is that of whoever asks.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use drbackup::{
    api::pb::{self, dr_backup_service_client::DrBackupServiceClient},
    engine::EngineSettings,
    openstack::settings::OpenStackSettings,
    sim::{Cloud, Config, Instance, InstanceSpec, Kind, LoggedRequest, Memory, Quotas, Times},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::transport::Channel;

use super::{
    Sizes,
    process::{Service, computed},
    script,
    table::{Row, Table, note, per_second, percentile, rate, real, span},
};

const SECTION: &str = "calls";
/// Volumes of each instance, of one GiB.
const VOLUMES: usize = 3;
/// Instances on one network; the simulator looks long for a free address in a full one.
const PER_NETWORK: usize = 50;
/// Cinder gives each host of cinder-backup fifteen hands.
const HANDS: usize = 20 * 15;
/// Requests to the cloud at once, for a cloud that takes no more: the price of asking it less.
const NARROW: usize = 16;
/// Connections over which all backups are asked for and watched.
const CONNECTIONS: usize = 10;
/// Creations that are asked for side by side, at most: a script begins with all at once.
const CREATIONS: usize = 100;

/// What was asked of a cloud, sorted.
#[derive(Debug, Clone, Copy)]
struct Asked {
    writes: usize,
    reads: usize,
    /// The reads without which there is no backup: the record of each volume backup.
    exports: usize,
    logins: usize,
}

impl Asked {
    fn of(requests: &[LoggedRequest]) -> Self {
        let mut asked = Self {
            writes: 0,
            reads: 0,
            exports: 0,
            logins: 0,
        };
        for request in requests {
            let place = if request.path.ends_with("/auth/tokens") {
                &mut asked.logins
            } else if request.path.ends_with("/export_record") {
                &mut asked.exports
            } else if matches!(request.method.as_str(), "GET" | "HEAD") {
                &mut asked.reads
            } else {
                &mut asked.writes
            };
            *place += 1;
        }
        asked
    }

    fn text(self, backups: usize) -> String {
        let each = |count: usize| real(count) / real(backups);
        format!(
            "{:.2} writes, {:.2} exports, {:.2} other reads",
            each(self.writes),
            each(self.exports),
            each(self.reads)
        )
    }
}

/// Something that happened in the cloud and has its event.
struct Heard {
    resource: String,
    phase: String,
    state: i32,
    at: Instant,
}

/// What our own run took.
struct Ours {
    wall: Duration,
    computed: Duration,
    cloud_computed: Duration,
    requests: Vec<LoggedRequest>,
    delays: Vec<Duration>,
}

/// A cloud with so many instances, ready.
async fn cloud_with(count: usize) -> anyhow::Result<(Cloud, Vec<Instance>)> {
    let mut config = Config::new("source");
    config.times = Times::realistic();
    config.quotas = Quotas::generous();
    config.backup_workers = HANDS;
    let cloud = Cloud::start(config).await?;
    let mut fleet = Vec::new();
    for number in 0..count {
        let mut spec = InstanceSpec::new(&format!("i{number}"), &[1; VOLUMES]);
        spec.kib_of_data = 64;
        spec.network = format!("network-{}", number / PER_NETWORK);
        fleet.push(cloud.create_instance(&spec)?);
    }
    Ok((cloud, fleet))
}

/// How long a cloud needs for so many backups, whoever asks: four calls, one after the other, and
/// what follows from each.
fn critical_path(times: &Times, backups: usize) -> Duration {
    let batches = u32::try_from((backups * VOLUMES).div_ceil(HANDS)).unwrap_or(u32::MAX);
    4 * times.api_latency
        + times.snapshot_create
        + times.backup(1, false) * batches
        + times.snapshot_delete
}

/// The pause between two looks at what has been under way for so long.
fn observation_interval(waited: Duration) -> Duration {
    let settings = EngineSettings::default();
    (waited / settings.observe_share).clamp(settings.observe_min, settings.observe_max)
}

/// Measures the section.
pub(crate) async fn measure(
    sizes: &Sizes,
    only: &[usize],
    table: &mut Table,
) -> anyhow::Result<()> {
    let with_script = script::is_there();
    let wanted = |count: &usize| only.is_empty() || only.contains(count);
    for (count, beside) in sizes.in_flight.iter().filter(|(count, _)| wanted(count)) {
        let folder = tempfile::tempdir()?;
        let mut ours = ours(*count, None, folder.path()).await?;
        let mut theirs = Vec::new();
        for manifest in [false, true] {
            if *beside && with_script {
                note(&format!(
                    "the script, {count} at once, manifest: {manifest}"
                ));
                let (cloud, fleet) = cloud_with(*count).await?;
                theirs.push(script::run(&cloud, &fleet, manifest, folder.path()).await?);
            }
        }
        let why_not = if *beside {
            "not run: python3-openstacksdk is not installed".to_owned()
        } else {
            format!(
                "not run: {} threads of one Python process cannot ask as often as they want to",
                count * (1 + VOLUMES)
            )
        };
        tell_calls(table, *count, &ours, &theirs, &why_not);
        tell_times(table, *count, &mut ours, &theirs, &why_not);
        if (10..=100).contains(count) {
            let narrow = self::ours(*count, Some(NARROW), folder.path()).await?;
            let over = narrow
                .wall
                .saturating_sub(critical_path(&Times::realistic(), *count));
            table.add(
                Row::new(
                    SECTION,
                    format!(
                        "the same with {NARROW} requests to the cloud at once, {count} in flight"
                    ),
                )
                .ours(format!("{} over", span(over)))
                .beside(format!(
                    "the usual {}: {} over",
                    OpenStackSettings::default().requests_per_cloud,
                    span(
                        ours.wall
                            .saturating_sub(critical_path(&Times::realistic(), *count))
                    )
                )),
            );
        }
    }
    table.remark(format!(
        "calls: instances of {VOLUMES} volumes of 1 GiB; the cloud answers each request after 60 ms and has \
         {HANDS} hands for backups; logins are not counted; a needed call is a write or the export of a record"
    ));
    table.remark(
        "critical path: four calls one after the other, snapshot, backup (as often as the hands have to be \
         filled) and deletion of the snapshot, at the simulator's times",
    );
    Ok(())
}

/// What the cloud was asked.
fn tell_calls(table: &mut Table, count: usize, ours: &Ours, theirs: &[script::Run], why_not: &str) {
    let asked = Asked::of(&ours.requests);
    let row = Row::new(SECTION, format!("calls for each backup, {count} in flight"))
        .ours(asked.text(count));
    table.add(match theirs.first() {
        None => row.beside(why_not),
        Some(run) => beside_script(row, count, asked, run),
    });
    if let Some(run) = theirs.get(1) {
        let what = format!("the same beside a script that keeps a manifest too, {count} in flight");
        let row = Row::new(SECTION, what).ours(asked.text(count));
        table.add(beside_script(row, count, asked, run));
    }
    let row = Row::new(SECTION, format!("requests a second, {count} in flight"))
        .ours(per_second(rate(ours.requests.len(), ours.wall)));
    table.add(match theirs.first() {
        None => row.beside(why_not),
        Some(run) => row.beside(format!(
            "script: {}",
            per_second(rate(run.requests.len(), run.wall))
        )),
    });
}

/// Our calls beside those of a script.
fn beside_script(row: Row, count: usize, asked: Asked, run: &script::Run) -> Row {
    let script = Asked::of(&run.requests);
    let row = row
        .beside(format!("script: {}", script.text(count)))
        .ratio(format!(
            "{:.2} of its reads",
            real(asked.reads) / real(script.reads + script.exports)
        ));
    // Where nobody is there to share a list with, there is no target.
    if count < 100 {
        return row;
    }
    let needed = asked.writes <= 3 * VOLUMES * count && asked.exports <= VOLUMES * count;
    row.target(
        "needed writes and exports, and 1/10 of the script's reads",
        needed && asked.reads * 10 <= script.reads + script.exports,
    )
}

/// How long it took.
fn tell_times(
    table: &mut Table,
    count: usize,
    ours: &mut Ours,
    theirs: &[script::Run],
    why_not: &str,
) {
    let row = Row::new(
        SECTION,
        format!("computed for each backup, {count} in flight"),
    )
    .ours(format!(
        "{} (and the simulator {})",
        span(ours.computed.div_f64(real(count))),
        span(ours.cloud_computed.div_f64(real(count)))
    ));
    table.add(match theirs.first() {
        None => row.beside(why_not),
        Some(run) => row
            .beside(format!(
                "script: {}",
                span(run.computed.div_f64(real(count)))
            ))
            .ratio(format!(
                "{:.2}",
                ours.computed.as_secs_f64() / run.computed.as_secs_f64().max(1e-9)
            )),
    });
    let critical = critical_path(&Times::realistic(), count);
    let over = ours.wall.saturating_sub(critical);
    let allowed = observation_interval(critical).max(critical / 50);
    let row = Row::new(
        SECTION,
        format!("wall time over the critical path, {count} in flight"),
    )
    .ours(format!(
        "{} over {} ({:.1} %)",
        span(over),
        span(critical),
        100.0 * over.as_secs_f64() / critical.as_secs_f64()
    ))
    .target(
        format!("2 % or one look, {}", span(allowed)),
        over <= allowed,
    );
    table.add(match theirs.first() {
        None => row.beside(why_not),
        Some(run) => row
            .beside(format!(
                "script: {} over",
                span(run.wall.saturating_sub(critical))
            ))
            .ratio(format!(
                "{:.2} of its wall time",
                ours.wall.as_secs_f64() / run.wall.as_secs_f64()
            )),
    });
    let (half, most) = (
        percentile(&mut ours.delays, 50),
        percentile(&mut ours.delays, 99),
    );
    table.add(
        Row::new(
            SECTION,
            format!("from a change in the cloud to its event at a watcher, {count} in flight"),
        )
        .ours(format!("p50 {}, p99 {}", span(half), span(most)))
        .beside("the script tells nobody")
        .ratio(format!("{} changes", ours.delays.len())),
    );
}

/// Backs up a fleet with the service, and listens.
async fn ours(count: usize, places: Option<usize>, folder: &Path) -> anyhow::Result<Ours> {
    note(&format!("ours, {count} at once"));
    let settings: Vec<_> = places
        .map(|places| ("DRBACKUP_OPENSTACK__REQUESTS_PER_CLOUD", places.to_string()))
        .into_iter()
        .collect();
    let (cloud, fleet) = cloud_with(count).await?;
    let project = cloud.project_id("demo").context("the project")?;
    let file = format!("ours-{}.db", places.unwrap_or_default());
    let database = format!("sqlite:{}", folder.join(file).display());
    let service = Service::start_with(&cloud, folder, &database, &settings).await?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(service.client().await?);
    }
    cloud.clear_requests();
    // The cloud's clock, to tell when something happened there.
    let epoch = Instant::now()
        .checked_sub(cloud.elapsed())
        .context("a clock that began before this cloud")?;
    let (computed_before, cloud_before) = (computed(service.id())?, computed(std::process::id())?);
    let begun = Instant::now();
    let clients = Arc::new(clients);
    let watched: Vec<(pb::DrBackup, Vec<Heard>)> = stream::iter(fleet.iter().enumerate())
        .map(|(number, instance)| {
            let client = clients.get(number % CONNECTIONS).cloned();
            let request = pb::CreateDrBackupRequest {
                cloud: "source".to_owned(),
                tenant: project.clone(),
                instance_id: instance.server.clone(),
                ..Default::default()
            };
            async move {
                let mut client = client.context("a client")?;
                let made = client.create_dr_backup(request).await?.into_inner();
                // Its own task: the place is free for the next creation.
                Ok::<_, anyhow::Error>(tokio::spawn(follow(client, made.id)))
            }
        })
        .buffer_unordered(CREATIONS)
        .and_then(|task| async move { Ok(task) })
        .try_collect::<Vec<_>>()
        .await
        .map(futures::future::join_all)?
        .await
        .into_iter()
        .map(|ended| anyhow::Ok(ended??))
        .collect::<anyhow::Result<_>>()?;
    let wall = begun.elapsed();
    let requests = cloud.requests();
    let own = computed(service.id())?.saturating_sub(computed_before);
    let cloud_own = computed(std::process::id())?.saturating_sub(cloud_before);
    service.kill().await?;
    if std::env::var_os("FLEET_REQUESTS").is_some() {
        tell_requests(&requests);
    }
    for (backup, _) in &watched {
        anyhow::ensure!(
            backup.state() == pb::State::Ok,
            "a backup failed: {:?}",
            backup.error
        );
    }
    let delays = delays(&watched, &cloud.history(), epoch);
    Ok(Ours {
        wall,
        computed: own,
        cloud_computed: cloud_own,
        requests,
        delays,
    })
}

/// Follows a backup until it is at rest.
async fn follow(
    mut client: DrBackupServiceClient<Channel>,
    id: String,
) -> anyhow::Result<(pb::DrBackup, Vec<Heard>)> {
    let mut events = client
        .watch_dr_backup(pb::WatchDrBackupRequest {
            id: id.clone(),
            until_settled: true,
            ..Default::default()
        })
        .await?
        .into_inner();
    let mut heard = Vec::new();
    while let Some(event) = events.message().await? {
        heard.push(Heard {
            state: event.state,
            phase: event.progress.unwrap_or_default().phase,
            resource: event.resource_id,
            at: Instant::now(),
        });
    }
    let get = pb::GetDrBackupRequest {
        id,
        ..Default::default()
    };
    Ok((client.get_dr_backup(get).await?.into_inner(), heard))
}

/// From what happened in the cloud to the first event that tells of it.
fn delays(
    watched: &[(pb::DrBackup, Vec<Heard>)],
    history: &[Memory],
    epoch: Instant,
) -> Vec<Duration> {
    let times = Times::realistic();
    let ready = backups_ready(history, &times);
    // What an operation makes begins with the same mark.
    let mark = |memory: &Memory| memory.name.get(..36).unwrap_or_default().to_owned();
    let mut snapshots: HashMap<String, Vec<&Memory>> = HashMap::new();
    for memory in history.iter().filter(|one| one.kind == Kind::Snapshot) {
        snapshots.entry(mark(memory)).or_default().push(memory);
    }
    let names: HashMap<&str, &Memory> = history.iter().map(|one| (one.id.as_str(), one)).collect();
    let mut delays = Vec::new();
    for (backup, heard) in watched {
        let ids = || {
            backup
                .volume_backups
                .iter()
                .map(|one| one.backup_id.as_str())
        };
        let Some(made) = ids().next().and_then(|id| names.get(id)) else {
            continue;
        };
        let own = snapshots.get(&mark(made)).map_or(&[][..], Vec::as_slice);
        let changes = [
            (
                own.iter()
                    .map(|one| one.created + times.snapshot_create)
                    .max(),
                "Creating volume backups",
            ),
            (
                ids().filter_map(|id| ready.get(id).copied()).max(),
                "Exporting records",
            ),
            (own.iter().filter_map(|one| one.deleted).max(), "Available"),
        ];
        for (change, phase) in changes {
            let first = heard.iter().find(|event| {
                event.resource == backup.id
                    && if phase == "Available" {
                        event.state == i32::from(pb::State::Ok)
                    } else {
                        event.phase == phase
                    }
            });
            if let (Some(change), Some(event)) = (change, first) {
                delays.push(event.at.saturating_duration_since(epoch + change));
            }
        }
    }
    delays
}

/// When each volume backup was ready: the hands take them in the order of their making.
fn backups_ready(history: &[Memory], times: &Times) -> HashMap<String, Duration> {
    let mut hands = vec![Duration::ZERO; HANDS];
    let mut ready = HashMap::new();
    for memory in history.iter().filter(|one| one.kind == Kind::Backup) {
        if let Some(free) = hands.iter_mut().min() {
            *free = memory.created.max(*free) + times.backup(1, false);
            ready.insert(memory.id.clone(), *free);
        }
    }
    ready
}

/// What was asked how often and when, to see what costs.
fn tell_requests(requests: &[LoggedRequest]) {
    let mut kinds: HashMap<String, Vec<Duration>> = HashMap::new();
    for request in requests {
        let path = request.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path
            .split('/')
            .map(|part| if part.len() >= 32 { "…" } else { part })
            .collect();
        kinds
            .entry(format!("{} {}", request.method, parts.join("/")))
            .or_default()
            .push(request.elapsed);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, times)| std::cmp::Reverse(times.len()));
    for (kind, mut times) in kinds {
        let [first, half, last] = [0, 50, 100].map(|percent| percentile(&mut times, percent));
        note(&format!(
            "    {:6} {kind}: {} to {}, half by {}",
            times.len(),
            span(first),
            span(last),
            span(half)
        ));
    }
}
