//! What a cloud fails to make is made again, or told; nothing but records stays behind.

use std::collections::BTreeMap;

use drbackup::{api::pb, sim};

use super::{assert_same_bytes, state};
use crate::{
    held::tenant_of,
    house::{House, census, things},
    stage::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_restoration_leaves_only_the_imported_records() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 2]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let before = census(&house.dr, "demo");
    let refusal = sim::Rule::on(
        sim::Service::Compute,
        "POST",
        "/servers",
        sim::Action::Answer {
            status: 400,
            body: serde_json::json!({"badRequest": {"code": 400, "message": "no such luck"}}),
            headers: Vec::new(),
            acted: false,
        },
    );
    house.dr.fault(refusal).expect("a rule");
    let restoration = house.restore(&backup.id).await;
    // The volumes have their bytes, which is worth more than a refusal: it is held, and tells why.
    let told = house.told(&restoration.id, "no such luck").await;
    assert!(told.contains("held"), "{told}");
    let request = pb::CancelRestorationRequest {
        id: restoration.id.clone(),
        ..Default::default()
    };
    let mut client = house.restorations().await;
    client.cancel_restoration(request).await.expect("cancelled");
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(state(restoration.state), pb::State::Erred);
    let error = restoration.error.expect("a reason");
    assert_eq!(error.reason, "CANCELLED", "{}", error.message);
    let mut after = census(&house.dr, "demo");
    assert_eq!(
        after.insert("backups", 0),
        Some(2),
        "an imported record is never deleted"
    );
    assert_eq!(before, after);
    // The records are re-used when it is tried again.
    house.dr.faults_clear();
    let again = house.restore(&backup.id).await;
    let again = house.restoration_at_rest(&again.id).await;
    assert_eq!(state(again.state), pb::State::Ok, "{:?}", again.error);
    assert_same_bytes(&house, &again);
}

/// So many failures of what is asked for there in one of the clouds.
fn fails(cloud: &sim::Cloud, service: sim::Service, path: &str, reason: &str, failures: u32) {
    let failure = sim::Action::Fail {
        reason: reason.to_owned(),
    };
    let rule = sim::Rule::on(service, "POST", path, failure);
    cloud.fault(rule.times(failures)).expect("a rule");
}

/// A restoration of two volumes in a cloud that fails as armed; and what was there before.
async fn restored_with_failures(
    house: &House,
    arm: impl FnOnce(&sim::Cloud),
) -> (pb::Restoration, BTreeMap<&'static str, usize>) {
    house.prepare_refuge();
    let before = census(&house.dr, "demo");
    let spec = sim::InstanceSpec::new("web", &[1, 2]);
    let instance = house.source.create_instance(&spec).expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    arm(&house.dr);
    let restoration = house.restore(&backup.id).await;
    (house.restoration_at_rest(&restoration.id).await, before)
}

/// The instance of two volumes is there with its bytes, and nothing of what failed.
fn assert_restored_once(
    house: &House,
    restoration: &pb::Restoration,
    before: &BTreeMap<&'static str, usize>,
) {
    let error = &restoration.error;
    assert_eq!(state(restoration.state), pb::State::Ok, "{error:?}");
    assert_same_bytes(house, restoration);
    let after = census(&house.dr, "demo");
    let more = |kind: &str| after[kind] - before[kind];
    assert_eq!((more("servers"), more("volumes"), more("ports")), (1, 2, 1));
}

/// It says why it failed, and nothing is there but what it imported.
fn assert_only_records_stay(
    house: &House,
    restoration: &pb::Restoration,
    before: BTreeMap<&'static str, usize>,
    why: &str,
) {
    assert_eq!(state(restoration.state), pb::State::Erred);
    let error = restoration.error.as_ref().expect("a reason");
    assert!(error.message.contains(why), "{}", error.message);
    let mut wanted = before;
    wanted.insert("backups", 2);
    let after = census(&house.dr, "demo");
    assert_eq!(after, wanted, "nothing but the imported records stays");
}

async fn restored_with_failing_servers(
    house: &House,
    failures: u32,
) -> (pb::Restoration, BTreeMap<&'static str, usize>) {
    let (service, path) = (sim::Service::Compute, "/servers");
    let reason = "No valid host was found.";
    restored_with_failures(house, |dr| fails(dr, service, path, reason, failures)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_cloud_could_not_bring_up_is_made_again_of_the_same_volumes() {
    let house = House::open(sim::Times::fast()).await;
    let (restoration, before) = restored_with_failing_servers(&house, 2).await;
    assert_restored_once(&house, &restoration, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_cloud_brings_up_late_was_worth_the_wait() {
    let house = House::open(sim::Times::fast()).await;
    // More often than it is tried without ever longer pauses.
    let (restoration, before) = restored_with_failing_servers(&house, 6).await;
    assert_restored_once(&house, &restoration, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_comes_up_is_told_and_a_cancel_leaves_only_records() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let before = census(&house.dr, "demo");
    let spec = sim::InstanceSpec::new("web", &[1, 2]);
    let instance = house.source.create_instance(&spec).expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let reason = "No valid host was found.";
    fails(
        &house.dr,
        sim::Service::Compute,
        "/servers",
        reason,
        u32::MAX,
    );
    let restoration = house.restore(&backup.id).await;
    let id = restoration.id;
    let told = house.told(&id, reason).await;
    assert!(told.contains("again from"), "{told}");
    let mut client = house.restorations().await;
    let cancel = pb::CancelRestorationRequest {
        id: id.clone(),
        ..Default::default()
    };
    client.cancel_restoration(cancel).await.expect("cancelled");
    let restoration = house.restoration_at_rest(&id).await;
    assert_only_records_stay(&house, &restoration, before, "cancelled");
}

/// A DR backup of two volumes of which Cinder fails so many volume backups; and what was there before.
async fn backed_up_with_failures(
    house: &House,
    failures: u32,
) -> (pb::DrBackup, BTreeMap<&'static str, usize>) {
    let spec = sim::InstanceSpec::new("web", &[1, 2]);
    let instance = house.source.create_instance(&spec).expect("made");
    let before = census(&house.source, "demo");
    let reason = "the store of backups is away";
    fails(
        &house.source,
        sim::Service::Volume,
        "/backups$",
        reason,
        failures,
    );
    (house.back_up_to_end(&instance.server).await, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_backup_that_cinder_failed_to_make_is_made_again() {
    let house = House::open(sim::Times::fast()).await;
    let (backup, mut wanted) = backed_up_with_failures(&house, 2).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    wanted.insert("backups", 2);
    let after = census(&house.source, "demo");
    assert_eq!(after, wanted, "nothing but the volume backups is left");
    house.prepare_refuge();
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_same_bytes(&house, &restoration);
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_backups_that_ended_with_the_backup_service_are_made_again_of_the_same_snapshots() {
    let house = House::open(sim::Times::fast()).await;
    let spec = sim::InstanceSpec::new("web", &[1, 2]);
    let instance = house.source.create_instance(&spec).expect("made");
    let mut wanted = census(&house.source, "demo");
    wanted.insert("backups", 2);
    house.source.set_times(sim::Times {
        backup_base: std::time::Duration::from_secs(3600),
        ..sim::Times::fast()
    });
    let backup = house.back_up(&instance.server).await;
    while census(&house.source, "demo")["backups"] < 2 {
        tokio::task::yield_now().await;
    }
    house.source.set_times(sim::Times::fast());
    house.source.backup_service_kill();
    house.source.backup_service_start();
    let backup = house.backup_at_rest(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    let after = census(&house.source, "demo");
    assert_eq!(after, wanted, "no snapshot is left, busy or not");
    let snapshots = house.source.history();
    let snapshots = snapshots
        .iter()
        .filter(|one| one.kind == sim::Kind::Snapshot);
    assert_eq!(snapshots.count(), 2, "the volumes are of one moment still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_backup_that_cinder_never_makes_ends_the_dr_backup_with_its_reason() {
    let house = House::open(sim::Times::fast()).await;
    let (backup, before) = backed_up_with_failures(&house, 6).await;
    assert_eq!(state(backup.state), pb::State::Erred);
    let error = backup.error.expect("a reason");
    let told = error.message.contains("the store of backups is away");
    assert!(told, "{}", error.message);
    assert_eq!(census(&house.source, "demo"), before, "nothing is left");
}

async fn restored_with_failing_restores(
    house: &House,
    failures: u32,
) -> (pb::Restoration, BTreeMap<&'static str, usize>) {
    let (service, path) = (sim::Service::Volume, "/restore$");
    let reason = "the store of backups is away";
    restored_with_failures(house, |dr| fails(dr, service, path, reason, failures)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cinder_failed_to_restore_is_restored_into_another_volume() {
    let house = House::open(sim::Times::fast()).await;
    let (restoration, before) = restored_with_failing_restores(&house, 2).await;
    assert_restored_once(&house, &restoration, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cinder_never_restores_ends_the_restoration_and_leaves_its_records() {
    let house = House::open(sim::Times::fast()).await;
    let (restoration, before) = restored_with_failing_restores(&house, 6).await;
    assert_only_records_stay(&house, &restoration, before, "error_restoring");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_failed_does_not_keep_the_next_restoration_from_it() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 2]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let failure = sim::Action::Fail {
        reason: "no driver that reads it".to_owned(),
    };
    let import = sim::Rule::on(
        sim::Service::Volume,
        "POST",
        "/backups/import_record",
        failure,
    );
    // The first one is to see whether the tenant may import by itself.
    let import = sim::Rule {
        skip: 1,
        ..import.times(1)
    };
    house.dr.fault(import).expect("a rule");
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(state(restoration.state), pb::State::Erred);
    let error = restoration.error.expect("a reason");
    assert!(error.message.contains("no driver"), "{}", error.message);
    let again = house.restore(&backup.id).await;
    let again = house.restoration_at_rest(&again.id).await;
    assert_eq!(state(again.state), pb::State::Ok, "{:?}", again.error);
    assert_same_bytes(&house, &again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_gone_by_then_falls_alone() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let spec = sim::InstanceSpec::new("web", &[1]);
    let instance = house.source.create_instance(&spec).expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let refusal = sim::Action::Answer {
        status: 400,
        body: serde_json::json!({"badRequest": {"code": 400, "message": "Invalid key_name provided."}}),
        headers: Vec::new(),
        acted: false,
    };
    let rule = sim::Rule::on(sim::Service::Compute, "POST", "/servers$", refusal).once();
    house.dr.fault(rule).expect("a rule");
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let told = restoration
        .differences
        .iter()
        .find(|one| one.attribute == "key pair");
    let told = told.expect("it is told");
    assert!(told.why.contains("Invalid key_name"), "{told:?}");
    assert_same_bytes(&house, &restoration);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_somebody_deletes_before_it_is_finished_is_not_said_to_be_there() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let spec = sim::InstanceSpec::new("web", &[1, 1]);
    let instance = house.source.create_instance(&spec).expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let hangs = sim::Action::Hang {
        milliseconds: None,
        acted: false,
    };
    let rule = sim::Rule::on(sim::Service::Compute, "PUT", "/tags$", hangs);
    let rule = house.dr.fault(rule).expect("a rule");
    let restoration = house.restore(&backup.id).await;
    until(|| async { (house.dr.fault_happened(rule) > 0).then_some(()) }).await;
    let servers = things(&house.dr, "demo", "servers");
    let server = servers.iter().find(|one| one.text("name") == "web");
    let server = server.expect("it is up").text("id").to_owned();
    let tenant = tenant_of(&house, "dr").await;
    let path = format!("servers/{server}");
    let (status, _) = tenant.ask("DELETE", "compute", &path, "", None).await;
    assert_eq!(status, 204);
    let is_there = || {
        let servers = things(&house.dr, "demo", "servers");
        servers.iter().any(|one| one.text("id") == server)
    };
    until(|| async { (!is_there()).then_some(()) }).await;
    house.dr.fault_remove(rule);
    house.dr.release();
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.runtime_state,
        "Restored, and not found any more"
    );
    let instance = restoration.instance.expect("it was made");
    assert_eq!(instance.status, "UNKNOWN");
    let told = restoration.differences.iter();
    let told = told.filter(|one| one.attribute == "server");
    assert_eq!(told.count(), 1, "{:?}", restoration.differences);
    let there = things(&house.dr, "demo", "volumes");
    assert_eq!(restoration.volumes.len(), 2);
    for volume in &restoration.volumes {
        let kept = there.iter().any(|one| one.text("id") == volume.volume_id);
        assert!(kept, "{volume:?} has its bytes");
    }
}
