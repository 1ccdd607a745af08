//! Engines that die, answers that are lost, a cloud that is away: nothing is made twice.

use drbackup::{api::pb, sim};

use super::{assert_same_bytes, state, writes};
use crate::house::{House, census, things};

/// Ends the engine where it stands once a cloud has had so many requests, and starts another one.
/// Without so many requests it dies at rest, after a moment without any.
async fn die_after(house: &mut House, requests: usize, of: impl Fn(&House) -> &sim::Cloud) {
    let mut quiet = 0;
    let mut before = 0;
    while of(house).requests().len() < requests && quiet < 40 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let now = of(house).requests().len();
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    house.kill_engine();
    house.start_engine();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_again_and_again_finishes_without_a_second_copy() {
    let mut house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1, 1]))
        .expect("made");
    let backup = house.back_up(&instance.server).await;
    for requests in [3, 7, 11, 14, 17, 20, 23, 26, 30] {
        die_after(&mut house, requests, |house| &house.source).await;
    }
    let backup = house.backup_at_rest(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(
        things(&house.source, "demo", "backups").len(),
        3,
        "one for each volume"
    );
    assert!(things(&house.source, "demo", "snapshots").is_empty());

    let restoration = house.restore(&backup.id).await;
    for requests in [5, 15, 25, 32, 40, 50, 60, 70, 80] {
        die_after(&mut house, requests, |house| &house.dr).await;
    }
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert_same_bytes(&house, &restoration);
    assert_eq!(
        things(&house.dr, "demo", "volumes").len(),
        1 + 3,
        "the resident's and ours"
    );
    assert_eq!(things(&house.dr, "demo", "servers").len(), 1 + 1);
    assert_eq!(things(&house.dr, "demo", "backups").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_make_no_second_copy() {
    use sim::{Action, Rule, Service};
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1]))
        .expect("made");
    for path in ["/snapshots$", "/backups$"] {
        let lost = Rule::on(Service::Volume, "POST", path, Action::ResetAfter).once();
        house.source.fault(lost).expect("a rule");
    }
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(things(&house.source, "demo", "backups").len(), 2);
    assert!(things(&house.source, "demo", "snapshots").is_empty());
    assert_eq!(
        writes(&house.source, "snapshots").0,
        2,
        "the lost one was adopted"
    );

    let before = census(&house.dr, "demo");
    for (service, path) in [
        (Service::Volume, "/volumes$"),
        (Service::Volume, "/import_record$"),
        (Service::Volume, "/restore$"),
        (Service::Network, "/security-groups$"),
        (Service::Network, "/ports$"),
        (Service::Compute, "/servers$"),
    ] {
        let lost = Rule::on(service, "POST", path, Action::ResetAfter).once();
        house.dr.fault(lost).expect("a rule");
    }
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert_same_bytes(&house, &restoration);
    let after = census(&house.dr, "demo");
    for (kind, more) in [("volumes", 2), ("backups", 2), ("servers", 1), ("ports", 1)] {
        assert_eq!(after[kind], before[kind] + more, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_away_is_waited_for_and_people_see_why() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    house.dr.stop().await;
    let restoration = house.restore(&backup.id).await;
    let mut client = house.restorations().await;
    let get = pb::GetRestorationRequest {
        id: restoration.id.clone(),
    };
    let told = async {
        loop {
            let now = client
                .get_restoration(get.clone())
                .await
                .expect("there")
                .into_inner();
            let waiting = now
                .progress
                .map(|progress| progress.waiting)
                .unwrap_or_default();
            if !waiting.is_empty() {
                return waiting;
            }
            tokio::task::yield_now().await;
        }
    };
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(20), told).await;
    let waiting = waiting.expect("it says why it waits");
    assert!(waiting.contains("could not"), "{waiting}");
    house.dr.start_again().await.expect("it is back");
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
}
