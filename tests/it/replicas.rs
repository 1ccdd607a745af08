//! Several replicas over one database: lanes spread, the dead are replaced, sleepers do no harm,
//! restarts lose nothing; it may not look inside the service.

use std::time::Duration;

use drbackup::{
    api::pb,
    sim::{Cloud, Times},
};
use tonic::Code;
use tonic_health::ServingStatus;
use tonic_types::StatusExt as _;

use crate::{
    postgres,
    replica::{Fleet, Replica},
    stage::until,
};

const OURS: &str = "the lane is ours";

/// Clouds in which a backup takes a few seconds, so that there is something to interrupt.
pub(crate) fn unhurried() -> Times {
    Times {
        backup_base: Duration::from_secs(5),
        ..Times::fast()
    }
}

/// How many requests of this method and end of the path a cloud has seen.
pub(crate) fn asked(cloud: &Cloud, method: &str, end: &str) -> usize {
    let requests = cloud.requests();
    let fits = requests
        .iter()
        .filter(|one| one.method == method && one.path.ends_with(end));
    fits.count()
}

pub(crate) fn is_ok(event: &pb::Event) -> bool {
    event.state() == pb::State::Ok
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_spread_over_replicas_and_those_of_a_killed_one_are_taken_over() {
    let fleet = Fleet::set(unhurried(), postgres::database()).await;
    let mut one = fleet.replica().await;
    let mut two = fleet.replica().await;
    let servers = [
        fleet.instance("demo", "web", &[1, 1]),
        fleet.instance("second", "shop", &[1, 1]),
    ];
    // Both are asked of one replica, which takes up its share: one of the two lanes.
    let first = fleet.back_up(&one, "demo", &servers[0]).await;
    let second = fleet.back_up(&one, "second", &servers[1]).await;
    one.heard(OURS).await;
    two.heard(OURS).await;

    one.kill().await;
    for id in [first, second] {
        let last = two.told(&id).await;
        assert!(is_ok(&last), "{last:?}");
    }
    assert_eq!(asked(&fleet.source, "POST", "/snapshots"), 4);
    assert_eq!(asked(&fleet.source, "POST", "/backups"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_sleeps_through_its_lease_sends_and_writes_nothing_when_it_wakes() {
    let fleet = Fleet::set(unhurried(), postgres::database()).await;
    let mut sleeper = fleet.replica().await;
    let server = fleet.instance("demo", "web", &[1, 1, 1]);
    let id = fleet.back_up(&sleeper, "demo", &server).await;
    let mut stream = sleeper.watch(&id, 1).await;
    sleeper.heard(OURS).await;
    // In the midst of the work: snapshots are there, backups are under way, and lists go to and fro.
    until(|| async { (asked(&fleet.source, "POST", "/backups") >= 1).then_some(()) }).await;
    stream.message().await.expect("a stream").expect("an event");
    sleeper.signal("STOP");

    let mut other = fleet.replica().await;
    let taken = other.heard(OURS).await;
    assert!(taken.contains("\"epoch\":2"), "{taken}");
    let last = other.told(&id).await;
    assert!(is_ok(&last), "{last:?}");

    // All is done and the other one is at rest, so whatever a cloud is asked to do now is asked by
    // the one that wakes.
    fleet.source.clear_requests();
    sleeper.signal("CONT");
    sleeper.heard("the lane is not ours any more").await;
    let written: Vec<_> = fleet
        .source
        .requests()
        .into_iter()
        .filter(|request| request.method != "GET" && !request.path.contains("/auth/tokens"))
        .map(|request| (request.method, request.path))
        .collect();
    assert_eq!(written, Vec::new());
    assert_eq!(other.told(&id).await.sequence, last.sequence);
    // Its callers read on as if nothing had been, and it takes part again.
    let told = sleeper.told(&id).await;
    assert_eq!(told, last);
}

/// Reads a stream until the service ends it because it stops; answers what was told by then.
async fn until_dismissed(mut stream: tonic::Streaming<pb::Event>) -> Vec<i64> {
    let mut seen = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(event)) => seen.push(event.sequence),
            Ok(None) => panic!("the work had ended before the service stopped: {seen:?}"),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                let details = status.get_error_details();
                let info = details.error_info().expect("a reason");
                assert_eq!(info.reason, "SHUTTING_DOWN");
                assert!(details.retry_info().is_some());
                return seen;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_operation_and_no_event() {
    let fleet = Fleet::set(unhurried(), postgres::database()).await;
    let mut leaving = fleet.replica().await;
    let server = fleet.instance("demo", "web", &[1, 1]);
    let id = fleet.back_up(&leaving, "demo", &server).await;
    leaving.heard(OURS).await;
    let mut staying = fleet.replica().await;
    until(|| async { (asked(&fleet.source, "POST", "/backups") >= 1).then_some(()) }).await;
    let stream = leaving.watch(&id, 1).await;
    leaving.signal("TERM");
    // The lane is at work in the other one before the first has ended.
    staying.heard(OURS).await;
    let mut seen = until_dismissed(stream).await;
    assert_eq!(leaving.ended().await, Some(0));
    leaving.heard("the work was handed over").await;
    let next = seen.last().map_or(1, |sequence| sequence + 1);
    let mut stream = staying.watch(&id, next).await;
    let mut last = None;
    while let Some(event) = stream.message().await.expect("it goes on") {
        seen.push(event.sequence);
        last = Some(event);
    }
    let last = last.expect("it ended here");
    assert!(is_ok(&last), "{last:?}");
    let expected: Vec<i64> = (1..=last.sequence).collect();
    assert_eq!(seen, expected, "each event once");

    // The other one in its turn.
    let again = fleet.replica().await;
    let next = fleet.back_up(&staying, "demo", &server).await;
    staying.signal("TERM");
    assert!(is_ok(&again.told(&next).await));
    assert_eq!(staying.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_lose_nothing_and_are_made_anew() {
    let url = postgres::database();
    let database = url.rsplit('/').next().expect("a name").to_owned();
    let fleet = Fleet::set(unhurried(), url).await;
    let (one, two) = (fleet.replica().await, fleet.replica().await);
    let server = fleet.instance("demo", "web", &[1, 1]);
    let id = fleet.back_up(&one, "demo", &server).await;
    until(|| async { (asked(&fleet.source, "POST", "/backups") >= 1).then_some(()) }).await;
    for _ in 0..3 {
        postgres::server().sql(
            &database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }
    let last = two.told_through_trouble(&id).await;
    assert!(is_ok(&last), "{last:?}");
    assert_eq!(asked(&fleet.source, "POST", "/backups"), 2, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_to_who_asks_for_health_while_the_process_still_lives() {
    let fleet = Fleet::set(Times::instant(), postgres::database()).await;
    let mut replica = fleet.replica().await;
    let mut ready = replica.health("drbackup.v1.DRBackupService").await;
    let mut alive = replica.health("liveness").await;
    let serving = ServingStatus::Serving as i32;
    let first = ready.message().await.expect("a stream").expect("a status");
    assert_eq!(first.status, serving);
    replica.signal("TERM");
    let next = ready.message().await.expect("a stream").expect("a status");
    assert_eq!(next.status, ServingStatus::NotServing as i32);
    // The process still answers, and says that it lives.
    let mut late = replica.health("liveness").await;
    assert_eq!(
        late.message()
            .await
            .expect("a stream")
            .expect("a status")
            .status,
        serving
    );
    // Never anything else until the stream ends with the process.
    let mut said = Vec::new();
    while let Ok(Some(status)) = alive.message().await {
        said.push(status.status);
    }
    assert_eq!(said, [serving]);
    assert_eq!(replica.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let fleet = Fleet::set(Times::instant(), postgres::database()).await;
    let mut command = fleet.command();
    command.env("DRBACKUP_STOP_NOTICE", "10m");
    let mut replica = Replica::start(command).await;
    replica.signal("TERM");
    replica.heard("stopping").await;
    replica.signal("TERM");
    assert_eq!(replica.ended().await, Some(130));
}
