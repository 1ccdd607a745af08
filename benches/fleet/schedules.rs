//! Many schedules stored: whether one is got and listed as fast among ten thousand as among a thousand,
//! what a look at the clock costs when nothing is due, and what the service costs that keeps them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use drbackup::{
    api::pb::{self, schedule_service_client::ScheduleServiceClient},
    port::clock::Clock as _,
    sim::{Cloud, Config, Times},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tonic::transport::Channel;

use super::{
    Sizes,
    backups::{self, SystemClock},
    process::{Service, computed, own_memory},
    restart::servers,
    table::{Row, Table, note, percentile, size, span},
};

/// Calls of each kind.
const CALLS: usize = 1000;
/// Instances that have them.
const INSTANCES: usize = 50;
/// Zones over which they are spread; each has other offsets and changes its clocks on other days.
const ZONES: [&str; 4] = [
    "Europe/Tallinn",
    "America/New_York",
    "Australia/Lord_Howe",
    "UTC",
];
/// Schedules that the service takes up in one look, as usual.
const AT_ONCE: u32 = 200;
/// How long the service is left alone.
const REST: Duration = Duration::from_secs(10);

/// What was measured with so many.
struct Measured {
    get: Duration,
    first_page: Duration,
    later_page: Duration,
    tick: Duration,
    rest: Duration,
    own: f64,
}

/// Measures the section.
pub(crate) async fn measure(sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
    let [few, many] = sizes.schedules;
    let small = with(few).await?;
    let large = with(many).await?;
    let mut tell = |what: &str, few_took: Duration, many_took: Duration, has_target: bool| {
        let took = [(few, few_took), (many, many_took)];
        table.growth("schedules", what, took, has_target);
    };
    tell("p99 of GetSchedule", small.get, large.get, false);
    tell(
        "p99 of the first page",
        small.first_page,
        large.first_page,
        true,
    );
    tell(
        "p99 of later pages",
        small.later_page,
        large.later_page,
        true,
    );
    tell(
        "p99 of a tick with nothing due",
        small.tick,
        large.tick,
        false,
    );
    tell(
        &format!("computing in {} s of rest", REST.as_secs()),
        small.rest,
        large.rest,
        false,
    );
    table.add(
        Row::new(
            "schedules",
            format!("memory of the service, {many} stored and all listed"),
        )
        .ours(size(large.own))
        .beside(format!("{few} stored: {}", size(small.own)))
        .ratio(format!("{:.2}", large.own / small.own)),
    );
    table.remark(format!(
        "schedules: active, over {} zones and {INSTANCES} instances; {CALLS} calls of each kind, one after the \
         other, pages of the usual 50; a tick is what the service asks its database at each look at the clock, \
         here asked by this process, after the service ended",
        ZONES.len()
    ));
    Ok(())
}

async fn with(count: usize) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let mut config = Config::new("source");
    config.times = Times::instant();
    let cloud = Cloud::start(config).await?;
    let servers = servers(&cloud, INSTANCES)?;
    let project = cloud.project_id("demo").context("the project")?;
    let path = folder.path().join("schedules.db");
    let database = format!("sqlite:{}", path.display());
    let service = Service::start(&cloud, folder.path(), &database).await?;
    let mut client = ScheduleServiceClient::new(service.channel().await?);
    let begun = Instant::now();
    let ids: Vec<String> = stream::iter(0..count)
        .map(|number| {
            let mut client = client.clone();
            let request = pb::CreateScheduleRequest {
                schedule: Some(nightly(number, &project, &servers[number % INSTANCES])),
                ..Default::default()
            };
            async move { anyhow::Ok(client.create_schedule(request).await?.into_inner().id) }
        })
        .buffer_unordered(32)
        .try_collect()
        .await?;
    note(&format!("{count} made in {}", span(begun.elapsed())));

    let mut get = Vec::new();
    for number in 0..CALLS {
        let id = ids[number * 7919 % ids.len()].clone();
        let asked = Instant::now();
        client.get_schedule(pb::GetScheduleRequest { id }).await?;
        get.push(asked.elapsed());
    }
    let first_page = pages(&mut client, false).await?;
    let later_page = pages(&mut client, true).await?;
    let own = own_memory(service.id())?;
    let before = computed(service.id())?;
    tokio::time::sleep(REST).await;
    let rest = computed(service.id())?.saturating_sub(before);
    service.kill().await?;
    Ok(Measured {
        get: percentile(&mut get, 99),
        first_page,
        later_page,
        tick: tick(&database).await?,
        rest,
        own,
    })
}

/// A schedule that has nothing to do while this looks.
fn nightly(number: usize, project: &str, server: &str) -> pb::Schedule {
    pb::Schedule {
        name: format!("nightly-{number:05}"),
        cloud: "source".to_owned(),
        tenant: project.to_owned(),
        instance_id: server.to_owned(),
        schedule: format!("{} 3 29 2 *", number % 60),
        is_active: true,
        time_zone: ZONES[number % ZONES.len()].to_owned(),
        ..Default::default()
    }
}

/// The p99 of pages: of the first one again and again, or of all that follow.
async fn pages(
    client: &mut ScheduleServiceClient<Channel>,
    follow: bool,
) -> anyhow::Result<Duration> {
    let mut waits = Vec::new();
    let mut request = pb::ListSchedulesRequest::default();
    for _ in 0..CALLS {
        let asked = Instant::now();
        let page = client.list_schedules(request.clone()).await?.into_inner();
        waits.push(asked.elapsed());
        if follow {
            request.page_token = page.next_page_token;
        }
    }
    Ok(percentile(&mut waits, 99))
}

/// The p99 of what a look at the clock asks of the database.
async fn tick(database: &str) -> anyhow::Result<Duration> {
    let store = backups::open(database).await?;
    let mut waits = Vec::new();
    for _ in 0..CALLS {
        let asked = Instant::now();
        store.runs_rested(AT_ONCE).await?;
        let (due, next) = store.schedules_due(SystemClock.now(), AT_ONCE).await?;
        waits.push(asked.elapsed());
        anyhow::ensure!(due.is_empty(), "something was due");
        anyhow::ensure!(next.is_some(), "nothing will ever be due");
    }
    Ok(percentile(&mut waits, 99))
}
