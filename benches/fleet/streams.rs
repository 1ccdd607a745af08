//! Thousands of open watches: how soon all of them have an event, and what each costs in memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use drbackup::{
    api::pb::{self, dr_backup_service_client::DrBackupServiceClient},
    sim::{Cloud, Config},
};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::{
    Sizes,
    points::fill,
    process::{Service, own_memory},
    table::{Row, Table, percentile, real, size, span},
};

/// Streams on one connection.
const EACH: usize = 100;
/// Events that are told, one after the other.
const EVENTS: usize = 5;
/// How long an event may take to reach everybody.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a watcher heard an event.
type Heard = mpsc::UnboundedReceiver<(String, Instant)>;

/// Measures the section.
pub(crate) async fn measure(sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cloud = Cloud::start(Config::new("source")).await?;
    let database = format!("sqlite:{}", folder.path().join("streams.db").display());
    let ids = fill(&database, sizes.streams).await?;
    for (what, same) in [
        ("all of them watch one", true),
        ("each watches its own", false),
    ] {
        let service = Service::start(&cloud, folder.path(), &database).await?;
        let mut client = service.client().await?;
        let before = own_memory(service.id())?;
        let begun = Instant::now();
        let watched = |number: usize| {
            let place = if same { 0 } else { number };
            ids[place % ids.len()].clone()
        };
        let mut heard = open(&service, sizes.streams, watched).await?;
        let opened = begun.elapsed();
        // Those whose story is longer than the present tell the rest of it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = own_memory(service.id())?;
        let mut delays = Vec::new();
        for event in 0..EVENTS {
            let place = if same { 0 } else { event * 37 % ids.len() };
            delays.append(&mut tell(&mut client, &mut heard, &ids[place], same, sizes).await?);
        }
        let busy = own_memory(service.id())?;
        service.kill().await?;
        table.add(
            Row::new("streams", format!("{} open watches, {what}", sizes.streams))
                .ours(format!(
                    "an event is with them after p50 {}, p99 {}",
                    span(percentile(&mut delays, 50)),
                    span(percentile(&mut delays, 99))
                ))
                .ratio(format!("opened in {}", span(opened))),
        );
        let each = |bytes: f64| size((bytes - before).max(0.0) / real(sizes.streams));
        table.add(
            Row::new("streams", format!("memory of each watch, {what}")).ours(format!(
                "{} at rest, {} after {EVENTS} events",
                each(after),
                each(busy)
            )),
        );
    }
    table.remark(format!(
        "streams: {EACH} on each connection; an event is the new name of a DR backup, timed from before the \
         call that gives it; the watchers share the cores with the service"
    ));
    Ok(())
}

/// Opens watches and waits until each has told its present.
async fn open(
    service: &Service,
    count: usize,
    watched: impl Fn(usize) -> String,
) -> anyhow::Result<Heard> {
    let (sender, mut heard) = mpsc::unbounded_channel();
    for connection in 0..count.div_ceil(EACH) {
        let client = DrBackupServiceClient::new(service.channel().await?);
        for number in connection * EACH..((connection + 1) * EACH).min(count) {
            tokio::spawn(listen(client.clone(), watched(number), sender.clone()));
        }
        // A wave at a time: this is not about who comes first.
        for _ in connection * EACH..((connection + 1) * EACH).min(count) {
            let present = tokio::time::timeout(PATIENCE, heard.recv()).await?;
            present.context("the watchers ended")?;
        }
    }
    Ok(heard)
}

/// Listens to one DR backup; says once that it has heard the present, then of each event.
async fn listen(
    mut client: DrBackupServiceClient<Channel>,
    id: String,
    sender: mpsc::UnboundedSender<(String, Instant)>,
) -> anyhow::Result<()> {
    let mut events = client
        .watch_dr_backup(pb::WatchDrBackupRequest {
            id: id.clone(),
            ..Default::default()
        })
        .await?
        .into_inner();
    let id: Arc<str> = id.into();
    let mut present = false;
    while let Some(event) = events.message().await? {
        // The story so far ends with the state that it is in.
        let settled = event.state == i32::from(pb::State::Ok);
        if present || settled {
            present = true;
            sender.send((id.to_string(), Instant::now()))?;
        }
    }
    Ok(())
}

/// Makes an event, and waits until everybody whom it concerns has heard of it.
async fn tell(
    client: &mut DrBackupServiceClient<Channel>,
    heard: &mut Heard,
    id: &str,
    same: bool,
    sizes: &Sizes,
) -> anyhow::Result<Vec<Duration>> {
    while heard.try_recv().is_ok() {}
    let request = pb::UpdateDrBackupRequest {
        dr_backup: Some(pb::DrBackup {
            id: id.to_owned(),
            name: format!("named at {:?}", Instant::now()),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["name".to_owned()],
        }),
        ..Default::default()
    };
    let begun = Instant::now();
    client.update_dr_backup(request).await?;
    let mut delays = Vec::new();
    for _ in 0..if same { sizes.streams } else { 1 } {
        let one = tokio::time::timeout(PATIENCE, heard.recv()).await?;
        let (about, at) = one.context("the watchers ended")?;
        anyhow::ensure!(about == id, "an event of another one");
        delays.push(at - begun);
    }
    Ok(delays)
}
