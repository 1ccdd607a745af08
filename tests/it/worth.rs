//! Nothing is undone for something worth less, or on old knowledge: what the clouds and their operators did
//! meanwhile, seen from outside; it may not look inside the service.

use std::{collections::BTreeSet, time::Duration};

use drbackup::{
    api::pb,
    sim::{Action, Cloud, InstanceSpec, Rule, Service, Times},
};
use serde_json::{Value, json};

use crate::{
    house::{House, census, things},
    stage::until,
};

const WEEKEND: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A write: its service, its method and the end of its path.
type Write = (Service, &'static str, &'static str);

const CREATION: &[Write] = &[
    (Service::Volume, "POST", "/snapshots$"),
    (Service::Volume, "POST", "/backups$"),
    (Service::Volume, "DELETE", "/snapshots/[^/]+$"),
];

const RESTORATION: &[Write] = &[
    (Service::Volume, "POST", "/import_record$"),
    (Service::Volume, "POST", "/volumes$"),
    (Service::Volume, "POST", "/restore$"),
    (Service::Network, "POST", "/ports$"),
    (Service::Compute, "POST", "/servers$"),
];

/// Two volumes, backed up, and a place to bring them back to.
async fn backed_up() -> (House, String, pb::DrBackup) {
    let house = House::open(Times::fast()).await;
    house.prepare_refuge();
    let spec = InstanceSpec::new("web", &[1, 1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let backup = house.back_up_to_end(&server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    (house, server, backup)
}

fn an_hour() -> prost_types::Duration {
    prost_types::Duration {
        seconds: 60 * 60,
        nanos: 0,
    }
}

/// Has the next request of this kind carried out, and its answer kept back.
fn keep_back(cloud: &Cloud, write: &Write) -> u64 {
    let (service, method, path) = write;
    let held = Action::Hang {
        milliseconds: None,
        acted: true,
    };
    let rule = Rule::on(*service, method, path, held).once();
    cloud.fault(rule).expect("a rule")
}

async fn happened(cloud: &Cloud, rule: u64) {
    until(|| async { (cloud.fault_happened(rule) > 0).then_some(()) }).await;
}

/// How often a request of this kind is refused, and with what.
fn refuse(cloud: &Cloud, write: &Write, status: u16, body: Value, times: u32) -> u64 {
    let (service, method, path) = write;
    let answer = Action::Answer {
        status,
        body,
        headers: Vec::new(),
        acted: false,
    };
    let rule = Rule::on(*service, method, path, answer).times(times);
    cloud.fault(rule).expect("a rule")
}

fn ids(cloud: &Cloud, kind: &str) -> BTreeSet<String> {
    let things = things(cloud, "demo", kind);
    things.iter().map(|one| one.text("id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_away_past_the_deadline_looks_before_it_undoes_anything() {
    for write in RESTORATION {
        let (mut house, _, backup) = backed_up().await;
        let wish = pb::CreateRestorationRequest {
            time_limit: Some(an_hour()),
            ..house.wish(&backup.id)
        };
        let before = census(&house.dr, "demo");
        let rule = keep_back(&house.dr, write);
        let restoration = house.restore_as(wish).await;
        happened(&house.dr, rule).await;
        house.kill_engine();
        house.pass(WEEKEND);
        house.dr.release();
        house.start_engine();
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            restoration.state(),
            pb::State::Ok,
            "away after {write:?}: {:?}",
            restoration.error
        );
        let after = census(&house.dr, "demo");
        assert_eq!(after["servers"], before["servers"] + 1);
        assert_eq!(after["volumes"], before["volumes"] + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dr_backup_is_not_given_up_for_the_time_in_which_nobody_worked() {
    for write in CREATION {
        let mut house = House::open(Times::fast()).await;
        let spec = InstanceSpec::new("web", &[1, 1]);
        let server = house.source.create_instance(&spec).expect("made").server;
        let rule = keep_back(&house.source, write);
        let ask = pb::CreateDrBackupRequest {
            time_limit: Some(an_hour()),
            ..house.plainest(&server)
        };
        let backup = house.back_up_as(ask).await;
        happened(&house.source, rule).await;
        house.kill_engine();
        house.pass(WEEKEND);
        house.source.release();
        house.start_engine();
        let backup = house.backup_at_rest(&backup.id).await;
        assert_eq!(
            backup.state(),
            pb::State::Ok,
            "away after {write:?}: {:?}",
            backup.error
        );
        assert!(backup.recoverable, "{}", backup.unrecoverable_reason);
        let left = census(&house.source, "demo");
        assert_eq!(left.get("backups"), Some(&2), "{left:?}");
        assert_eq!(left.get("snapshots").copied().unwrap_or(0), 0, "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_past_the_deadline_undoes_nothing() {
    let (house, _, backup) = backed_up().await;
    let wish = pb::CreateRestorationRequest {
        time_limit: Some(an_hour()),
        ..house.wish(&backup.id)
    };
    let rule = keep_back(&house.dr, &RESTORATION[4]);
    let restoration = house.restore_as(wish).await;
    happened(&house.dr, rule).await;
    house.pass(WEEKEND);
    house.dr.release();
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_to_do_when_the_server_is_up_never_costs_the_server() {
    let finishing: &[Write] = &[
        (Service::Network, "PUT", "/ports/[^/]+$"),
        (Service::Network, "PUT", "/security-groups/[^/]+$"),
        (Service::Compute, "PUT", "/servers/[^/]+/tags$"),
        (Service::Volume, "PUT", "/volumes/[^/]+$"),
        (Service::Compute, "POST", "/os-keypairs$"),
    ];
    for (write, status) in finishing
        .iter()
        .flat_map(|write| [403, 409, 400].map(|status| (write, status)))
    {
        let (house, _, backup) = backed_up().await;
        let body = json!({"forbidden": {"code": status, "message": "not by you"}});
        let before = census(&house.dr, "demo");
        let rule = refuse(&house.dr, write, status, body, u32::MAX);
        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            restoration.state(),
            pb::State::Ok,
            "{status} to {write:?}: {:?}",
            restoration.error
        );
        let after = census(&house.dr, "demo");
        assert_eq!(after["servers"], before["servers"] + 1);
        let told = restoration
            .adjustments
            .iter()
            .any(|one| one.contains("not by you"));
        assert_eq!(
            told,
            house.dr.fault_happened(rule) > 0,
            "{status} to {write:?}: {:?}",
            restoration.adjustments
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_can_mend_holds_the_restoration_with_its_volumes() {
    let server = (Service::Compute, "POST", "/servers$");
    let port = (Service::Network, "POST", "/ports$");
    let quota = json!({"forbidden": {"code": 403, "message": "Quota exceeded for ram: Requested 512, but already used 1024 of 1024 ram"}});
    let policy = json!({"forbidden": {"code": 403, "message": "Policy doesn't allow it"}});
    let login = json!({"error": {"code": 401, "message": "The request you have made requires authentication."}});
    for (write, status, body) in [
        (server, 403, quota),
        (server, 403, policy.clone()),
        (server, 401, login.clone()),
        (port, 403, policy),
        (port, 401, login),
    ] {
        let (house, _, backup) = backed_up().await;
        let rule = refuse(&house.dr, &write, status, body, 6);
        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            restoration.state(),
            pb::State::Ok,
            "{status} to {write:?}: {:?}",
            restoration.error
        );
        assert!(house.dr.fault_happened(rule) >= 2, "{status} to {write:?}");
        let told = house.story(&restoration.id).await;
        assert!(
            told.iter().any(|one| one.contains("held")),
            "{status} to {write:?}: {told:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_with_their_bytes_are_kept_where_that_is_said() {
    for at_cancel in [false, true] {
        let (house, _, backup) = backed_up().await;
        let server = (Service::Compute, "POST", "/servers$");
        let quota = json!({"forbidden": {"code": 403, "message": "Quota exceeded for cores"}});
        let before = ids(&house.dr, "volumes");
        let rule = refuse(&house.dr, &server, 403, quota, u32::MAX);
        let wish = pb::CreateRestorationRequest {
            keep_volumes: !at_cancel,
            ..house.wish(&backup.id)
        };
        let restoration = house.restore_as(wish).await;
        happened(&house.dr, rule).await;
        let cancel = pb::CancelRestorationRequest {
            id: restoration.id.clone(),
            keep_volumes: at_cancel,
            ..pb::CancelRestorationRequest::default()
        };
        let mut client = house.restorations().await;
        client.cancel_restoration(cancel).await.expect("cancelled");
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(restoration.state(), pb::State::Erred);
        let kept = ids(&house.dr, "volumes");
        let kept: Vec<&String> = kept.difference(&before).collect();
        let error = restoration.error.as_ref().expect("an error");
        assert_eq!(kept.len(), 2, "both stay: {}", error.message);
        for volume in &kept {
            assert!(error.message.contains(*volume), "{}", error.message);
        }
        for volume in &restoration.volumes {
            let original = house.source.volume_digest(&volume.source_volume_id);
            let copy = house.dr.volume_digest(&volume.volume_id);
            assert_eq!(copy.expect("the copy"), original.expect("the original"));
        }
        house.dr.faults_clear();
        let delete = pb::DeleteRestorationRequest {
            id: restoration.id.clone(),
            delete_instance: true,
            ..pb::DeleteRestorationRequest::default()
        };
        client.delete_restoration(delete).await.expect("deleted");
        house.restoration_gone(&restoration.id).await;
        assert_eq!(ids(&house.dr, "volumes"), before);
    }
}
