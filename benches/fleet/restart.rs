//! A service that dies with thousands of operations under way: how long until the next one looks
//! after all of them, and whether it asked for anything twice.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use drbackup::{
    api::pb,
    sim::{Cloud, Config, InstanceSpec, Kind, LoggedRequest, Quotas, Times},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Sizes,
    process::Service,
    table::{Row, Table, note, span},
};

/// Instances that are backed up again and again: the work is in the operations.
const INSTANCES: usize = 50;
/// How long the first service may take to bring all of them under way.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the second one may take.
const RECOVERY: Duration = Duration::from_secs(120);

/// Measures the section.
pub(crate) async fn measure(sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = Config::new("source");
    // Nothing takes time but the backups, which take longer than this looks.
    config.times = Times {
        backup_base: Duration::from_secs(24 * 3600),
        ..Times::instant()
    };
    config.quotas = Quotas::generous();
    config.backup_workers = sizes.open;
    let cloud = Cloud::start(config).await?;
    let servers = servers(&cloud, INSTANCES)?;
    let project = cloud.project_id("demo").context("the project")?;
    let database = format!("sqlite:{}", folder.path().join("restart.db").display());
    let first = Service::start(&cloud, folder.path(), &database).await?;
    let client = first.client().await?;
    let begun = Instant::now();
    stream::iter(0..sizes.open)
        .map(|number| {
            let mut client = client.clone();
            let request = pb::CreateDrBackupRequest {
                cloud: "source".to_owned(),
                tenant: project.clone(),
                instance_id: servers[number % INSTANCES].clone(),
                ..Default::default()
            };
            async move { client.create_dr_backup(request).await.map(drop) }
        })
        .buffer_unordered(32)
        .try_collect::<()>()
        .await?;
    note(&format!(
        "{} asked for in {}",
        sizes.open,
        span(begun.elapsed())
    ));
    let backups = || made(&cloud, Kind::Backup);
    while backups() < sizes.open {
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "only {} of {} came under way",
            backups(),
            sizes.open
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    note(&format!(
        "{} under way after {}",
        sizes.open,
        span(begun.elapsed())
    ));
    // The answers of the last requests are written down.
    tokio::time::sleep(Duration::from_secs(2)).await;
    first.kill().await?;

    cloud.clear_requests();
    let epoch = Instant::now()
        .checked_sub(cloud.elapsed())
        .context("a clock that began before this cloud")?;
    let begun = Instant::now();
    let second = Service::start(&cloud, folder.path(), &database).await?;
    let ready = second.ready_after;
    let seen = loop {
        anyhow::ensure!(begun.elapsed() < RECOVERY, "nobody looks after them");
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(seen) = whole_list(&cloud.requests(), sizes.open) {
            break (epoch + seen).saturating_duration_since(begun);
        }
    };
    // Whatever it would ask for twice, it would ask for now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let twice = backups().saturating_sub(sizes.open)
        + made(&cloud, Kind::Snapshot).saturating_sub(sizes.open);
    // All of them are there: an event in the cloud reaches its operation.
    second.kill().await?;
    table.add(
        Row::new(
            "restart",
            format!("until {} open operations are looked after", sizes.open),
        )
        .ours(format!(
            "{} (lets callers in after {})",
            span(seen),
            span(ready)
        ))
        .ratio(format!("{twice} things made twice"))
        .target("at most 5 s", seen <= Duration::from_secs(5) && twice == 0),
    );
    table.remark(
        "restart: the service is killed while Cinder works on every one; looked after is what the first whole \
         list of volume backups covers that the new process gets, and with it everything that it waits for",
    );
    Ok(())
}

/// Makes so many instances with a small volume each.
pub(crate) fn servers(cloud: &Cloud, count: usize) -> anyhow::Result<Vec<String>> {
    (0..count)
        .map(|number| {
            let mut spec = InstanceSpec::new(&format!("i{number}"), &[1]);
            spec.kib_of_data = 64;
            Ok(cloud.create_instance(&spec)?.server)
        })
        .collect()
}

fn made(cloud: &Cloud, kind: Kind) -> usize {
    cloud
        .history()
        .iter()
        .filter(|memory| memory.kind == kind)
        .count()
}

/// When the last page of the first whole list of volume backups was answered.
fn whole_list(requests: &[LoggedRequest], open: usize) -> Option<Duration> {
    let mut pages = 0;
    for request in requests {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if !path.ends_with("/backups/detail") || request.status != Some(200) {
            continue;
        }
        pages += 1;
        let limit = query
            .split('&')
            .find_map(|part| part.strip_prefix("limit="))
            .and_then(|limit| limit.parse::<usize>().ok())
            .unwrap_or(1000);
        if pages >= open.div_ceil(limit) {
            return Some(request.elapsed);
        }
    }
    None
}
