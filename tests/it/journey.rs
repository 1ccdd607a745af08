//! The main job from outside: a DR backup of an instance, its cloud switched off, the instance back
//! in another one with the same bytes.

mod deletions;
mod failures;
mod outages;

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

/// How many POST requests ended in this word, and how many DELETE requests named something below it; that a
/// tenant is not allowed to import by itself is seen once, and is not counted.
fn writes(cloud: &sim::Cloud, word: &str) -> (usize, usize) {
    let requests = cloud.requests();
    let paths = |method: &str| -> Vec<Vec<String>> {
        requests
            .iter()
            .filter(|request| request.method == method && request.status != Some(403))
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
