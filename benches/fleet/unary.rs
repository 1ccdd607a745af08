//! `GetDRBackup` beside a bare server of tonic that answers the same message out of its memory.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use drbackup::{
    api::pb::{self, dr_backup_service_client::DrBackupServiceClient},
    sim::{Cloud, Config},
};
use futures::future::try_join_all;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::{
    Sizes, backups, echo,
    points::fill,
    process::{Service, connect},
    table::{Row, Table, median, per_second, percentile, rate, span},
};

/// Connections, and calls that are under way on each.
const CONNECTIONS: usize = 4;
const SIDE_BY_SIDE: usize = 16;

/// Calls both and tells.
pub(crate) async fn measure(sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cloud = Cloud::start(Config::new("source")).await?;
    for (what, whole) in [
        ("one with its manifest", true),
        ("one that just began", false),
    ] {
        let path = folder.path().join(format!("unary-{whole}.db"));
        let database = format!("sqlite:{}", path.display());
        let id = if whole {
            fill(&database, 1).await?.remove(0)
        } else {
            let (backup, operation) = backups::scheduled(&backups::tenant(0), 0);
            let id = backup.id.to_string();
            let store = backups::open(&database).await?;
            store
                .point_admit(backups::asked(), backup, operation)
                .await?;
            id
        };
        let service = Service::start(&cloud, folder.path(), &database).await?;
        let get = pb::GetDrBackupRequest {
            id,
            ..Default::default()
        };
        let reply = service.client().await?.get_dr_backup(get.clone()).await?;
        let (child, address) = echo::start(&reply.into_inner(), folder.path()).await?;
        let guarded =
            Service::start_with(&cloud, folder.path(), &copied(&path)?, &keystone()).await?;
        let token = cloud.token("demo", "demo").context("a token")?;
        let ours = clients(&service.address, None).await?;
        let known = clients(&guarded.address, Some(&token)).await?;
        let bare = clients(&address, None).await?;
        let (mut own, mut shown, mut other) = (Vec::new(), Vec::new(), Vec::new());
        let (mut waits, mut shown_waits, mut bare_waits) = (Vec::new(), Vec::new(), Vec::new());
        let time = Duration::from_secs(sizes.unary_seconds);
        for round in 0..=sizes.rounds {
            let (rate_of_ours, mut waited) = load(&ours, &get, time).await?;
            let (rate_of_known, mut known_waited) = load(&known, &get, time).await?;
            let (rate_of_bare, mut bare_waited) = load(&bare, &get, time).await?;
            if round > 0 {
                own.push(rate_of_ours);
                shown.push(rate_of_known);
                other.push(rate_of_bare);
                waits.append(&mut waited);
                shown_waits.append(&mut known_waited);
                bare_waits.append(&mut bare_waited);
            }
        }
        drop(child);
        service.kill().await?;
        guarded.kill().await?;
        let (own, shown, other) = (median(own), median(shown), median(other));
        table.add(
            Row::new("unary", format!("GetDRBackup, {what}"))
                .ours(format!(
                    "{}, p99 {}",
                    per_second(own),
                    span(percentile(&mut waits, 99))
                ))
                .beside(format!(
                    "bare tonic: {}, p99 {}",
                    per_second(other),
                    span(percentile(&mut bare_waits, 99))
                ))
                .ratio(format!("{:.0} %", 100.0 * own / other))
                .target("at least 80 %", own >= 0.8 * other),
        );
        table.add(
            Row::new(
                "unary",
                format!("the same with a token of Keystone, {what}"),
            )
            .ours(format!(
                "{}, p99 {}",
                per_second(shown),
                span(percentile(&mut shown_waits, 99))
            ))
            .beside(format!("without: {}", per_second(own)))
            .ratio(format!("{:.0} %", 100.0 * shown / own))
            .target("at least 80 %", shown >= 0.8 * own),
        );
    }
    table.remark(format!(
        "unary: {CONNECTIONS} connections with {SIDE_BY_SIDE} calls under way on each; the bare server \
         answers the same message from memory, ours too for as long as nothing is written"
    ));
    Ok(())
}

/// A client that shows a token, or none.
type Client = DrBackupServiceClient<InterceptedService<Channel, Shown>>;

#[derive(Clone)]
struct Shown(Option<MetadataValue<Ascii>>);

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("x-auth-token", token.clone());
        }
        Ok(request)
    }
}

async fn clients(address: &str, token: Option<&str>) -> anyhow::Result<Vec<Client>> {
    let shown = Shown(token.map(str::parse).transpose()?);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = connect(address).await?;
        clients.push(DrBackupServiceClient::with_interceptor(
            channel,
            shown.clone(),
        ));
    }
    Ok(clients)
}

/// The settings of a service that asks the Keystone of its cloud who calls.
fn keystone() -> [(&'static str, String); 1] {
    [("DRBACKUP_AUTH__KEYSTONES", "[\"source\"]".to_owned())]
}

/// Another database with the same in it.
fn copied(path: &Path) -> anyhow::Result<String> {
    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy)?;
    Ok(format!("sqlite:{}", copy.display()))
}

/// Asks for so long; answers the rate and how long each call took.
async fn load(
    clients: &[Client],
    get: &pb::GetDrBackupRequest,
    time: Duration,
) -> anyhow::Result<(f64, Vec<Duration>)> {
    let begun = Instant::now();
    let callers = clients.iter().cycle().take(CONNECTIONS * SIDE_BY_SIDE);
    let tasks = callers.map(|client| {
        let (mut client, get) = (client.clone(), get.clone());
        async move {
            let asking = tokio::spawn(async move {
                let mut waits = Vec::new();
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    client.get_dr_backup(get.clone()).await?;
                    waits.push(asked.elapsed());
                }
                anyhow::Ok(waits)
            });
            anyhow::Ok(asking.await??)
        }
    });
    let waits: Vec<Duration> = try_join_all(tasks).await?.into_iter().flatten().collect();
    Ok((rate(waits.len(), begun.elapsed()), waits))
}
