//! The main job from outside: a DR backup of an instance, its cloud switched off, the instance back
//! in another one with the same bytes.

use std::collections::BTreeMap;

use drbackup::{api::pb, sim};

use crate::house::{House, census, things};

fn state(number: i32) -> pb::State {
    pb::State::try_from(number).expect("a known state")
}

/// Compares every restored volume with its original, byte for byte.
fn assert_same_bytes(house: &House, restoration: &pb::Restoration) {
    assert!(!restoration.volumes.is_empty());
    for volume in &restoration.volumes {
        assert_eq!(
            house
                .source
                .volume_digest(&volume.source_volume_id)
                .expect("the original"),
            house.dr.volume_digest(&volume.volume_id).expect("the copy"),
            "volume {} differs",
            volume.source_volume_id
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_comes_back_after_its_cloud_is_gone() {
    for sizes in [&[1][..], &[1, 2], &[1, 1, 3, 1, 2]] {
        let house = House::open(sim::Times::fast()).await;
        house.prepare_refuge();
        let instance = house
            .source
            .create_instance(&sim::InstanceSpec::new("web", sizes))
            .expect("made");
        let before = census(&house.source, "demo");
        let backup = house.back_up_to_end(&instance.server).await;
        assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
        assert!(backup.recoverable, "{}", backup.unrecoverable_reason);
        assert_eq!(backup.volume_backups.len(), sizes.len());
        let mut after = census(&house.source, "demo");
        assert_eq!(after.remove("backups"), Some(sizes.len()));
        after.insert("backups", 0);
        assert_eq!(before, after, "no temporary is left when the state says OK");

        house.source.stop().await;
        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        assert_same_bytes(&house, &restoration);
        let server = &restoration
            .instance
            .as_ref()
            .expect("an instance")
            .server_id;
        let servers = things(&house.dr, "demo", "servers");
        let server = servers
            .iter()
            .find(|one| one.text("id") == server)
            .expect("it is there");
        assert_eq!(
            (server.text("name"), server.text("status")),
            ("web", "ACTIVE")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_twice_while_nothing_fails() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1, 1]))
        .expect("made");
    house.source.clear_requests();
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(writes(&house.source, "snapshots"), (3, 3));
    assert_eq!(writes(&house.source, "backups"), (3, 0));
    house.dr.clear_requests();
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert_eq!(writes(&house.dr, "import_record"), (3, 0));
    assert_eq!(writes(&house.dr, "restore"), (3, 0));
    assert_eq!(writes(&house.dr, "volumes"), (3, 0));
    assert_eq!(writes(&house.dr, "servers"), (1, 0));
    assert_eq!(writes(&house.dr, "ports"), (1, 0));
}

/// How many POST requests ended in this word, and how many DELETE requests named something below it.
fn writes(cloud: &sim::Cloud, word: &str) -> (usize, usize) {
    let requests = cloud.requests();
    let paths = |method: &str| -> Vec<Vec<String>> {
        requests
            .iter()
            .filter(|request| request.method == method)
            .map(|request| {
                request
                    .path
                    .rsplit('/')
                    .take(2)
                    .map(str::to_owned)
                    .collect()
            })
            .collect()
    };
    let made = paths("POST").iter().filter(|tail| tail[0] == word).count();
    let deleted = paths("DELETE")
        .iter()
        .filter(|tail| tail[1] == word)
        .count();
    (made, deleted)
}

#[tokio::test(flavor = "multi_thread")]
async fn several_restorations_at_once_share_one_mirror() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(house.restore(&backup.id).await.id);
    }
    for id in ids {
        let restoration = house.restoration_at_rest(&id).await;
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        assert_same_bytes(&house, &restoration);
    }
    assert_eq!(
        things(&house.dr, "demo", "backups").len(),
        2,
        "one mirror for each volume"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_capturing_brings_the_same_bytes() {
    use pb::dr_backup::Capture;
    for capture in [
        Capture::Snapshot,
        Capture::VolumeInUse,
        Capture::SnapshotThenCopy,
    ] {
        let house = House::open(sim::Times::fast()).await;
        house.prepare_refuge();
        let instance = house
            .source
            .create_instance(&sim::InstanceSpec::new("web", &[1, 2]))
            .expect("made");
        let request = pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: house.home(),
            instance_id: instance.server,
            capture: capture.into(),
            ..Default::default()
        };
        let backup = house
            .dr_backups()
            .await
            .create_dr_backup(request)
            .await
            .expect("admitted");
        let backup = house.backup_at_rest(&backup.into_inner().id).await;
        assert_eq!(
            state(backup.state),
            pb::State::Ok,
            "{capture:?} {:?}",
            backup.error
        );
        let snapshots = things(&house.source, "demo", "snapshots");
        assert!(snapshots.is_empty(), "{capture:?} left {snapshots:?}");
        assert_eq!(
            things(&house.source, "demo", "volumes").len(),
            2,
            "{capture:?}"
        );
        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{capture:?} {:?}",
            restoration.error
        );
        assert_same_bytes(&house, &restoration);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_restored_into_another_project_of_the_same_cloud() {
    let house = House::open(sim::Times::fast()).await;
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let mut resident = sim::InstanceSpec::new("resident", &[1]);
    resident.project = "second".to_owned();
    house
        .source
        .create_instance(&resident)
        .expect("a resident with a network");
    let mut wish = house.wish(&backup.id);
    wish.cloud = "source".to_owned();
    wish.tenant = house.source.project_id("second").expect("it is there");
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    for volume in &restoration.volumes {
        assert_eq!(
            house
                .source
                .volume_digest(&volume.source_volume_id)
                .expect("the original"),
            house
                .source
                .volume_digest(&volume.volume_id)
                .expect("the copy"),
        );
    }
    assert_eq!(things(&house.source, "demo", "backups").len(), 2);
    assert!(
        things(&house.source, "second", "backups").is_empty(),
        "nothing was imported"
    );
}

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
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(state(restoration.state), pb::State::Erred);
    let error = restoration.error.expect("a reason");
    assert!(error.message.contains("no such luck"), "{}", error.message);
    assert_eq!(error.status, 400);
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
    house.dr.fault(import.times(1)).expect("a rule");
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
async fn a_cancel_leaves_nothing_behind() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1, 1]))
        .expect("made");
    let before = census(&house.source, "demo");
    let slow = sim::Times {
        backup_base: std::time::Duration::from_millis(400),
        ..sim::Times::fast()
    };
    house.source.set_times(slow);
    let backup = house.back_up(&instance.server).await;
    wait_until(|| !things(&house.source, "demo", "backups").is_empty()).await;
    let request = pb::CancelDrBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    house
        .dr_backups()
        .await
        .cancel_dr_backup(request)
        .await
        .expect("it can be cancelled");
    let backup = house.backup_at_rest(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Erred);
    assert_eq!(backup.error.expect("a reason").reason, "CANCELLED");
    assert_eq!(before, census(&house.source, "demo"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_dr_backup_takes_its_bytes_and_its_mirrors_along() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = house.restore(&backup.id).await;
    let request = pb::DeleteDrBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    let refusal = house
        .dr_backups()
        .await
        .delete_dr_backup(request.clone())
        .await
        .expect_err("in use");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(
        refusal.message().contains(&restoration.id),
        "{}",
        refusal.message()
    );
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let servers = things(&house.dr, "demo", "servers").len();
    house
        .dr_backups()
        .await
        .delete_dr_backup(request)
        .await
        .expect("it may go now");
    wait_until(|| things(&house.dr, "demo", "backups").is_empty()).await;
    assert!(things(&house.source, "demo", "backups").is_empty());
    assert_eq!(
        things(&house.dr, "demo", "servers").len(),
        servers,
        "the instance stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_the_cloud_forgets_is_asked_for_again() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let before = things(&house.dr, "demo", "servers").len();
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    let forgotten = sim::Action::Answer {
        status: 404,
        body: serde_json::json!({"itemNotFound": {"code": 404, "message": "no such server"}}),
        headers: Vec::new(),
        acted: false,
    };
    let (service, path) = (sim::Service::Compute, "/servers/");
    let rule = sim::Rule::on(service, "DELETE", path, forgotten);
    house.dr.fault(rule.times(1)).expect("a rule");
    let request = pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        delete_instance: true,
        ..Default::default()
    };
    let mut client = house.restorations().await;
    client.delete_restoration(request).await.expect("it may go");
    house.restoration_gone(&restoration.id).await;
    assert_eq!(things(&house.dr, "demo", "servers").len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_is_removed_with_or_without_its_instance() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let before = census(&house.dr, "demo");
    for delete_instance in [false, true] {
        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        let request = pb::DeleteRestorationRequest {
            id: restoration.id.clone(),
            delete_instance,
            ..Default::default()
        };
        house
            .restorations()
            .await
            .delete_restoration(request)
            .await
            .expect("it may go");
        let mut client = house.restorations().await;
        let get = pb::GetRestorationRequest {
            id: restoration.id.clone(),
        };
        let gone = async {
            while client.get_restoration(get.clone()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), gone)
            .await
            .expect("it goes");
        let servers = things(&house.dr, "demo", "servers").len();
        let expected = before["servers"] + 1;
        assert_eq!(servers, expected, "with the instance: {delete_instance}");
    }
    let backups = things(&house.dr, "demo", "backups").len();
    assert_eq!(backups, 1, "an imported record outlives every restoration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_deletion_answers_as_the_first_did_when_all_is_gone() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;

    let request = pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        request_id: "away with it".to_owned(),
        ..Default::default()
    };
    let mut client = house.restorations().await;
    let first = client.delete_restoration(request.clone()).await;
    let first = first.expect("it may go").into_inner();
    assert_eq!(state(first.state), pb::State::DeletionScheduled);
    house.restoration_gone(&restoration.id).await;
    let again = client.delete_restoration(request.clone()).await;
    assert_eq!(again.expect("the same answer").into_inner(), first);
    let other = pb::DeleteRestorationRequest {
        delete_instance: true,
        ..request
    };
    let refusal = client.delete_restoration(other).await.expect_err("another");
    assert_eq!(refusal.code(), tonic::Code::AlreadyExists);

    let request = pb::DeleteDrBackupRequest {
        id: backup.id.clone(),
        request_id: "away with it".to_owned(),
        ..Default::default()
    };
    let mut client = house.dr_backups().await;
    let first = client.delete_dr_backup(request.clone()).await;
    let mut first = first.expect("it may go").into_inner();
    assert_eq!(state(first.state), pb::State::DeletionScheduled);
    house.backup_gone(&backup.id).await;
    let again = client.delete_dr_backup(request.clone()).await;
    // Where it was imported is kept beside it and goes with it.
    let [volume_backup] = &mut first.volume_backups[..] else {
        panic!("{first:?}")
    };
    assert_eq!(volume_backup.mirrors.len(), 1);
    volume_backup.mirrors.clear();
    assert_eq!(again.expect("the same answer").into_inner(), first);
    let other = pb::DeleteDrBackupRequest {
        allow_missing_cloud: true,
        ..request
    };
    let refusal = client.delete_dr_backup(other).await.expect_err("another");
    assert_eq!(refusal.code(), tonic::Code::AlreadyExists);
    let unkeyed = pb::DeleteDrBackupRequest {
        id: backup.id,
        ..Default::default()
    };
    let refusal = client.delete_dr_backup(unkeyed).await.expect_err("gone");
    assert_eq!(refusal.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_instance_is_named_by_its_own_id_from_the_first_answer_on() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = house.restore(&backup.id).await;
    let instance = restoration.instance.expect("named at once");
    let mut client = house.restorations().await;
    let by_instance = pb::GetRestoredInstanceRequest {
        instance_id: instance.id.clone(),
        ..Default::default()
    };
    let early = client.get_restored_instance(by_instance.clone()).await;
    let early = early.expect("known before it is made").into_inner();
    assert_eq!((early.id, early.name), (instance.id, instance.name));

    let restoration = house.restoration_at_rest(&restoration.id).await;
    let made = client.get_restored_instance(by_instance.clone()).await;
    let made = made.expect("there").into_inner();
    assert!(!made.server_id.is_empty() && made.manifest.is_some());
    let by_restoration = pb::GetRestoredInstanceRequest {
        restoration_id: restoration.id.clone(),
        ..Default::default()
    };
    let same = client.get_restored_instance(by_restoration).await;
    assert_eq!(same.expect("there").into_inner(), made);

    let both = pb::GetRestoredInstanceRequest {
        restoration_id: restoration.id.clone(),
        ..by_instance.clone()
    };
    let neither = pb::GetRestoredInstanceRequest::default();
    let strange = pb::GetRestoredInstanceRequest {
        instance_id: restoration.id,
        ..Default::default()
    };
    for (request, code, about) in [
        (both, tonic::Code::InvalidArgument, "restoration_id"),
        (neither, tonic::Code::InvalidArgument, "restoration_id"),
        (strange, tonic::Code::NotFound, "restored instance"),
    ] {
        let refusal = client.get_restored_instance(request).await;
        let refusal = refusal.expect_err("not exactly one");
        assert_eq!(refusal.code(), code);
        assert!(refusal.message().contains(about), "{}", refusal.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_group_that_others_use_is_left_to_them() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let groups = things(&house.dr, "demo", "security_groups").len();
    let mut restorations = Vec::new();
    for _ in 0..2 {
        let restoration = house.restore(&backup.id).await;
        restorations.push(house.restoration_at_rest(&restoration.id).await);
    }
    let made = things(&house.dr, "demo", "security_groups").len() - groups;
    assert_eq!(
        made, 1,
        "the second restoration found the group of the first by its content"
    );
    let servers = things(&house.dr, "demo", "servers").len();
    for (index, restoration) in restorations.iter().enumerate() {
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
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
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(std::time::Duration::from_secs(20), gone).await;
        gone.expect("it goes, whoever uses its group");
        let left = things(&house.dr, "demo", "servers").len();
        assert_eq!(left, servers - index - 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_disks_keep_their_order_whether_they_are_alike_or_not() {
    for sizes in [&[1, 1, 1, 1, 1], &[1, 5, 3, 2, 4]] {
        data_disks_keep_their_order(sizes).await;
    }
}

async fn data_disks_keep_their_order(sizes: &[u64]) {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", sizes))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert_same_bytes(&house, &restoration);
    let request = pb::GetRestoredInstanceRequest {
        restoration_id: restoration.id.clone(),
        ..Default::default()
    };
    let mut client = house.restorations().await;
    let answer = client.get_restored_instance(request).await.expect("there");
    let seen = answer.into_inner().manifest.expect("a manifest").volumes;
    let seen: Vec<String> = seen.into_iter().map(|volume| volume.volume_id).collect();
    let meant = restoration
        .volumes
        .into_iter()
        .map(|volume| volume.volume_id);
    assert_eq!(
        seen,
        meant.collect::<Vec<String>>(),
        "in the order of the devices"
    );
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_new_description_travels_to_the_cinder_backups() {
    let house = House::open(sim::Times::fast()).await;
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let request = pb::UpdateDrBackupRequest {
        dr_backup: Some(pb::DrBackup {
            id: backup.id.clone(),
            name: "before the upgrade".to_owned(),
            description: "weekly".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["name".to_owned(), "description".to_owned()],
        }),
        ..Default::default()
    };
    house
        .dr_backups()
        .await
        .update_dr_backup(request)
        .await
        .expect("admitted");
    let backup = house.backup_at_rest(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(
        (backup.name.as_str(), backup.description.as_str()),
        ("before the upgrade", "weekly")
    );
    for path in ["/v3/", "/backups/"] {
        let sent = house.source.requests();
        let put = sent
            .iter()
            .filter(|one| one.method == "PUT" && one.path.contains(path));
        assert_eq!(put.count(), 2, "one for each volume backup");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_list_of_a_kind_serves_everybody_in_a_project() {
    let house = House::with(sim::Times::fast(), |source, _| {
        source.quotas = sim::Quotas::generous();
    })
    .await;
    let mut ids = Vec::new();
    for index in 0..8 {
        let spec = sim::InstanceSpec::new(&format!("web-{index}"), &[1, 1]);
        let instance = house.source.create_instance(&spec).expect("made");
        ids.push(house.back_up(&instance.server).await.id);
    }
    for id in ids {
        let backup = house.backup_at_rest(&id).await;
        assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    }
    // Nobody asks for one thing at a time while it is on its way.
    let singles: Vec<String> = house
        .source
        .requests()
        .iter()
        .filter(|request| request.method == "GET")
        .filter(|request| {
            let path = request.path.split('?').next().unwrap_or_default();
            let tail: Vec<&str> = path.rsplit('/').take(2).collect();
            matches!(tail[..], [id, "snapshots" | "backups"] if id != "detail")
        })
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(singles, Vec::<String>::new());
}

/// Waits until something is so, by looking again and again; a minute at most.
async fn wait_until(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting)
        .await
        .expect("in time");
}
