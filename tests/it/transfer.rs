//! Restorations next door: into another project of the cloud that holds the backups, without an admin.
//! The volumes are made with the project that holds the records and change hands after that.

use std::collections::BTreeMap;

use drbackup::{
    api::pb,
    sim::{Action, InstanceSpec, Rule, Service, Times},
};
use serde_json::json;

use crate::house::{House, census, things};

fn state(number: i32) -> pb::State {
    pb::State::try_from(number).expect("a known state")
}

/// A house without admins whose cloud has a DR backup in project `demo`, and the wish to restore it
/// into project `second`.
async fn next_door(sizes: &[u64]) -> (House, pb::CreateRestorationRequest) {
    let mut house = House::open(Times::fast()).await;
    let web = InstanceSpec::new("web", sizes);
    let instance = house.source.create_instance(&web).expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    let mut resident = InstanceSpec::new("resident", &[1]);
    "second".clone_into(&mut resident.project);
    house
        .source
        .create_instance(&resident)
        .expect("a resident with a network");
    house.dismiss_admins();
    let wish = pb::CreateRestorationRequest {
        cloud: "source".to_owned(),
        tenant: house.source.project_id("second").expect("it is there"),
        ..house.wish(&backup.id)
    };
    (house, wish)
}

type Census = BTreeMap<&'static str, usize>;

/// What both projects hold.
fn both(house: &House) -> [Census; 2] {
    ["demo", "second"].map(|project| census(&house.source, project))
}

fn assert_restored(house: &House, restoration: &pb::Restoration, before: &[Census; 2]) {
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    for volume in &restoration.volumes {
        let digest = |id: &str| house.source.volume_digest(id).expect("it is there");
        assert_eq!(digest(&volume.source_volume_id), digest(&volume.volume_id));
    }
    let volumes = restoration.volumes.len();
    let [demo, second] = both(house);
    assert_eq!(demo, before[0], "nothing is left with the giver");
    for (kind, more) in [
        ("volumes", volumes),
        ("servers", 1),
        ("backups", 0),
        ("transfers", 0),
    ] {
        assert_eq!(second[kind], before[1][kind] + more, "{kind}");
    }
    let attached = things(&house.source, "second", "volumes");
    let attached = attached.iter().filter(|one| !one.text("server").is_empty());
    assert_eq!(attached.count(), 1 + volumes);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_change_hands_where_no_admin_reaches() {
    let (house, wish) = next_door(&[1, 1, 2]).await;
    let before = both(&house);
    house.source.clear_requests();
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_restored(&house, &restoration, &before);
    let posts = |end: &str| {
        let requests = house.source.requests();
        let posts = requests.iter().filter(|request| request.method == "POST");
        posts.filter(|request| request.path.ends_with(end)).count()
    };
    for (end, count) in [
        ("/volumes", 3),
        ("/restore", 3),
        ("/volume-transfers", 3),
        ("/accept", 3),
        ("/import_record", 0),
    ] {
        assert_eq!(posts(end), count, "{end}");
    }

    remove(&house, &restoration, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_move_a_volume_once() {
    let (house, wish) = next_door(&[1, 1]).await;
    let before = both(&house);
    for action in [Action::ResetBefore, Action::ResetAfter, Action::Malformed] {
        for path in ["/volumes$", "/restore$", "/volume-transfers$", "/accept$"] {
            let lost = Rule::on(Service::Volume, "POST", path, action.clone()).once();
            house.source.fault(lost).expect("a rule");
        }
    }
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_restored(&house, &restoration, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_or_after_the_transfer_leaves_nothing_in_either_project() {
    let (house, wish) = next_door(&[1, 1]).await;
    let before = both(&house);
    let refusals = [
        (Service::Volume, "/volume-transfers$", 403, "forbidden"),
        (Service::Volume, "/accept$", 413, "overLimit"),
        (Service::Compute, "/servers$", 400, "badRequest"),
    ];
    for (service, path, status, key) in refusals {
        // One volume gets through, so that the two are in different projects.
        let skip = u32::from(service == Service::Volume);
        let answer = Action::Answer {
            status,
            body: json!({ key: {"code": status, "message": "no such luck"} }),
            headers: Vec::new(),
            acted: false,
        };
        let refusal = Rule {
            skip,
            ..Rule::on(service, "POST", path, answer)
        };
        house.source.fault(refusal).expect("a rule");
        let restoration = house.restore_as(wish.clone()).await;
        // The volumes have their bytes, so it is held: it says why, and is given up by a word only.
        let told = house.told(&restoration.id, "no such luck").await;
        assert!(told.contains("held"), "{told}");
        let cancel = pb::CancelRestorationRequest {
            id: restoration.id.clone(),
            ..Default::default()
        };
        let mut client = house.restorations().await;
        client.cancel_restoration(cancel).await.expect("cancelled");
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(state(restoration.state), pb::State::Erred);
        let error = restoration.error.expect("a reason");
        assert!(error.message.contains("cancelled"), "{}", error.message);
        assert_eq!(both(&house), before, "after a refusal of {path}");
        house.source.faults_clear();
    }
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_restored(&house, &restoration, &before);
}

/// Removes a restoration with its instance, after which all is as it was.
async fn remove(house: &House, restoration: &pb::Restoration, before: &[Census; 2]) {
    let request = pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        delete_instance: true,
        ..Default::default()
    };
    let mut client = house.restorations().await;
    client.delete_restoration(request).await.expect("it may go");
    let get = pb::GetRestorationRequest {
        id: restoration.id.clone(),
    };
    let gone = async {
        while client.get_restoration(get.clone()).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone)
        .await
        .expect("it goes");
    assert_eq!(both(house), *before);
}

/// Waits until the cloud was asked for so much by the engine, or for nothing any more.
async fn asked(house: &House, requests: usize) {
    let (mut quiet, mut before) = (0, 0);
    while before < requests && quiet < 60 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        let now = house.source.requests().len();
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_at_any_request_finishes_the_transfer() {
    let (mut house, wish) = next_door(&[1, 1]).await;
    let before = both(&house);
    house.source.clear_requests();
    let restoration = house.restore_as(wish).await;
    for requests in (10..100).step_by(3) {
        asked(&house, requests).await;
        house.kill_engine();
        house.start_engine();
    }
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_restored(&house, &restoration, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_after_a_crash_at_any_request_of_the_transfer_leaves_nothing() {
    let (mut house, wish) = next_door(&[1, 1]).await;
    let before = both(&house);
    // Where in its requests a restoration offers its first volume, and has its last one accepted.
    house.source.clear_requests();
    let restoration = house.restore_as(wish.clone()).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_restored(&house, &restoration, &before);
    let requests = house.source.requests();
    let is = |end: &str| {
        let places = requests.iter().enumerate();
        let found = places.filter(|(_, one)| one.method == "POST" && one.path.ends_with(end));
        found.map(|(place, _)| place).collect::<Vec<usize>>()
    };
    let (first, last) = (is("/volume-transfers")[0], is("/accept")[1]);
    remove(&house, &restoration, &before).await;
    for kill_at in (first - 2..last + 4).step_by(2) {
        house.source.clear_requests();
        let restoration = house.restore_as(wish.clone()).await;
        asked(&house, kill_at).await;
        house.kill_engine();
        let request = pb::CancelRestorationRequest {
            id: restoration.id.clone(),
            ..Default::default()
        };
        let mut client = house.restorations().await;
        let cancelled = client.cancel_restoration(request).await;
        house.start_engine();
        let restoration = house.restoration_at_rest(&restoration.id).await;
        if cancelled.is_ok() {
            assert_eq!(state(restoration.state), pb::State::Erred);
            assert_eq!(both(&house), before, "killed at request {kill_at}");
        } else {
            // It was faster than we were.
            remove(&house, &restoration, &before).await;
        }
    }
}

/// The moments of a transfer one by one: before and after the offer is made, before and after it is
/// accepted. The process dies while it waits for the answer; then the restoration is cancelled, or
/// goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_offer_and_acceptance_leaves_no_offer() {
    let (mut house, wish) = next_door(&[1, 1]).await;
    let before = both(&house);
    for path in ["/volume-transfers$", "/accept$"] {
        for acted in [false, true] {
            for cancel in [true, false] {
                let hang = Action::Hang {
                    milliseconds: None,
                    acted,
                };
                let rule = Rule::on(Service::Volume, "POST", path, hang);
                let rule = house.source.fault(rule).expect("a rule");
                let restoration = house.restore_as(wish.clone()).await;
                let waits = async {
                    while house.source.fault_happened(rule) < 2 {
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    }
                };
                tokio::time::timeout(std::time::Duration::from_secs(20), waits)
                    .await
                    .expect("both transfers hang");
                house.kill_engine();
                house.source.faults_clear();
                if cancel {
                    let request = pb::CancelRestorationRequest {
                        id: restoration.id.clone(),
                        ..Default::default()
                    };
                    let mut client = house.restorations().await;
                    client.cancel_restoration(request).await.expect("in time");
                }
                house.start_engine();
                let restoration = house.restoration_at_rest(&restoration.id).await;
                if cancel {
                    assert_eq!(state(restoration.state), pb::State::Erred);
                    assert_eq!(both(&house), before, "{path} {acted}");
                    continue;
                }
                assert_restored(&house, &restoration, &before);
                remove(&house, &restoration, &before).await;
            }
        }
    }
}
