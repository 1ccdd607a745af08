//! Many DR backups stored: whether one is got and listed as fast among a hundred thousand as among a
//! thousand, and what they cost in memory.

use std::time::{Duration, Instant};

use drbackup::{
    api::pb::{self, dr_backup_service_client::DrBackupServiceClient},
    domain::{
        id::{Lane, ReplicaId},
        operation::Operation,
    },
    sim::{Cloud, Config},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::transport::Channel;

use super::{
    Sizes, backups,
    process::{Service, memory, own_memory},
    table::{Row, Table, note, percentile, size, span},
};

/// Calls of each kind.
const CALLS: usize = 1000;
/// Projects over which they are spread.
const PROJECTS: usize = 20;
/// DR backups that end in one turn.
const ENDS: usize = 100;

/// What was measured with so many.
struct Measured {
    get: Duration,
    first_page: Duration,
    later_page: Duration,
    filtered: Duration,
    idle: f64,
    own: f64,
    mapped: f64,
    file: f64,
}

/// Measures the section.
pub(crate) async fn measure(sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let cloud = Cloud::start(Config::new("source")).await?;
    let [few, many] = sizes.points;
    let small = with(&cloud, few).await?;
    let large = with(&cloud, many).await?;
    let mut tell = |what: &str, few_took: Duration, many_took: Duration, has_target: bool| {
        let took = [(few, few_took), (many, many_took)];
        table.growth("points", &format!("p99 of {what}"), took, has_target);
    };
    tell("GetDRBackup", small.get, large.get, false);
    tell("the first page", small.first_page, large.first_page, true);
    tell("later pages", small.later_page, large.later_page, true);
    tell(
        "a page of one project",
        small.filtered,
        large.filtered,
        true,
    );
    table.add(
        Row::new("points", format!("memory of the service, {many} stored"))
            .ours(format!(
                "{} at rest, {} after the calls, {} with mapped pages",
                size(large.idle),
                size(large.own),
                size(large.mapped)
            ))
            .beside(format!(
                "{few} stored: {}, {}, {}",
                size(small.idle),
                size(small.own),
                size(small.mapped)
            ))
            .ratio(format!("{:.2}", large.own / small.own)),
    );
    table.add(
        Row::new("points", format!("the file of the database, {many} stored"))
            .ours(size(large.file))
            .beside(format!("{few} stored: {}", size(small.file))),
    );
    table.remark(format!(
        "points: each holds a manifest of three volumes and their records; {CALLS} calls of each kind, one after \
         the other, pages of the usual 50; later pages are followed from the first one on; the pages of the \
         file that its connections map are shared by them and counted once for each"
    ));
    Ok(())
}

async fn with(cloud: &Cloud, count: usize) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("points.db");
    let database = format!("sqlite:{}", path.display());
    let begun = Instant::now();
    let ids = fill(&database, count).await?;
    note(&format!("{count} stored in {}", span(begun.elapsed())));
    let service = Service::start(cloud, folder.path(), &database).await?;
    let mut client = service.client().await?;
    // What is asked for first also wakes the process.
    let list = pb::ListDrBackupsRequest::default();
    client.list_dr_backups(list.clone()).await?;
    let idle = own_memory(service.id())?;

    let mut get = Vec::new();
    for number in 0..CALLS {
        let request = pb::GetDrBackupRequest {
            id: ids[number * 7919 % ids.len()].clone(),
            ..Default::default()
        };
        let asked = Instant::now();
        client.get_dr_backup(request).await?;
        get.push(asked.elapsed());
    }
    let first_page = pages(&mut client, &list, false).await?;
    let later_page = pages(&mut client, &list, true).await?;
    let project = backups::tenant(3);
    let of_project = pb::ListDrBackupsRequest {
        filter: format!(
            "cloud = \"{}\" AND tenant = \"{}\"",
            project.cloud, project.project
        ),
        ..Default::default()
    };
    let filtered = pages(&mut client, &of_project, false).await?;
    let (own, mapped) = (own_memory(service.id())?, memory(service.id())?);
    service.kill().await?;
    #[expect(clippy::cast_precision_loss, reason = "a file of less than a petabyte")]
    let file = std::fs::metadata(&path)?.len() as f64;
    Ok(Measured {
        get: percentile(&mut get, 99),
        first_page,
        later_page,
        filtered,
        idle,
        own,
        mapped,
        file,
    })
}

/// The p99 of pages: of the first one again and again, or of all that follow.
async fn pages(
    client: &mut DrBackupServiceClient<Channel>,
    list: &pb::ListDrBackupsRequest,
    follow: bool,
) -> anyhow::Result<Duration> {
    let mut waits = Vec::new();
    let mut request = list.clone();
    for _ in 0..CALLS {
        let asked = Instant::now();
        let page = client.list_dr_backups(request.clone()).await?.into_inner();
        waits.push(asked.elapsed());
        if follow {
            request.page_token = page.next_page_token;
        }
    }
    Ok(percentile(&mut waits, 99))
}

/// Fills a new database with DR backups at rest; answers their ids.
pub(crate) async fn fill(database: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let store = backups::open(database).await?;
    let asked =
        (0..count).map(|number| backups::scheduled(&backups::tenant(number % PROJECTS), number));
    let operations: Vec<Operation> = stream::iter(asked)
        .map(|(backup, operation)| {
            let store = &store;
            async move {
                store
                    .point_admit(backups::asked(), backup, operation.clone())
                    .await?;
                anyhow::Ok(operation)
            }
        })
        .buffered(256)
        .try_collect()
        .await?;
    let lanes = store
        .lanes_claim(
            &ReplicaId::new("fill"),
            Duration::from_secs(3600),
            u32::MAX,
            &[],
        )
        .await?;
    for lane in &lanes {
        end_all(store.as_ref(), lane, &operations).await?;
    }
    Ok(operations
        .iter()
        .map(|operation| operation.resource.uuid().to_string())
        .collect())
}

async fn end_all(
    store: &dyn drbackup::port::store::Store,
    lane: &Lane,
    operations: &[Operation],
) -> anyhow::Result<()> {
    let own: Vec<&Operation> = operations
        .iter()
        .filter(|operation| operation.tenant == lane.tenant)
        .collect();
    for some in own.chunks(ENDS) {
        let turns = some
            .iter()
            .map(|operation| backups::end(operation, &backups::server_of(operation)))
            .collect();
        store.turn_record(lane, turns).await?;
    }
    Ok(())
}
