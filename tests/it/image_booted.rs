//! Instances that boot from an image, from outside: their root disk travels by way of an image and a
//! volume, and comes back with its bytes as a volume that boots.

use drbackup::{
    api::pb,
    sim::{self, Action, Rule, Service},
};

use crate::house::{House, census, things};

fn made(house: &House, data: &[u64]) -> sim::Instance {
    let spec = sim::InstanceSpec::new("web", data).booted_from_image();
    let instance = house.source.create_instance(&spec).expect("made");
    // What the guest has written since is on no image yet.
    let written = house
        .source
        .server_write(&instance.server, 7 << 20, b"since");
    written.expect("a root disk");
    instance
}

fn all(house: &House) -> Vec<(&'static str, usize)> {
    let mut all: Vec<_> = census(&house.source, "demo").into_iter().collect();
    all.push(("images", things(&house.source, "demo", "images").len()));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_booted_from_an_image_comes_back_byte_for_byte() {
    for data in [&[][..], &[1, 2]] {
        let house = House::open(sim::Times::fast()).await;
        house.prepare_refuge();
        let instance = made(&house, data);
        let root = house.source.server_digest(&instance.server).expect("bytes");
        let before = all(&house);
        let backup = house.back_up_to_end(&instance.server).await;
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        assert!(backup.recoverable, "{}", backup.unrecoverable_reason);
        let disks = data.len() + 1;
        let mut after = before.clone();
        for (kind, count) in &mut after {
            if *kind == "backups" {
                *count += disks;
            }
        }
        assert_eq!(all(&house), after, "nothing temporary is left");
        let facts = backup.metadata.as_ref().expect("a manifest");
        assert!(!facts.root_is_volume);
        assert!(facts.volumes[0].made_from_image);
        assert_eq!(facts.volumes[0].volume_id, instance.server);
        assert_eq!(facts.volumes[0].size_gib, 1, "as large as its flavor says");
        let reached = backup.consistency.expect("it is told");
        assert_eq!(reached.level(), pb::consistency::Level::PerVolume);

        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            restoration.state(),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        assert_eq!(restoration.volumes.len(), disks);
        for volume in &restoration.volumes {
            let was = if volume.source_volume_id == instance.server {
                root.clone()
            } else {
                let was = house.source.volume_digest(&volume.source_volume_id);
                was.expect("a volume")
            };
            let is = house.dr.volume_digest(&volume.volume_id).expect("made");
            assert_eq!(is, was, "{volume:?}");
        }
        let told = restoration.adjustments.iter();
        let told = told.filter(|text| text.contains("booted from an image"));
        assert_eq!(told.count(), 1, "{:?}", restoration.adjustments);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regular_backup_of_it_is_refused_with_the_way_out() {
    let house = House::open(sim::Times::fast()).await;
    let instance = made(&house, &[1]);
    let request = pb::CreateBackupRequest {
        cloud: "source".to_owned(),
        tenant: house.home(),
        instance_id: instance.server,
        ..Default::default()
    };
    let refusal = house.backups().await.create_backup(request).await;
    let refusal = refusal.expect_err("refused");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(refusal.message().contains("DR backup"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_on_the_way_nothing_is_left() {
    let fail = |reason: &str| Action::Fail {
        reason: reason.to_owned(),
    };
    let refuse = |status| Action::Answer {
        status,
        body: serde_json::json!({"forbidden": {"code": status, "message": "no"}}),
        headers: Vec::new(),
        acted: false,
    };
    for (service, path, action) in [
        (Service::Compute, "servers/.*/action", refuse(403)),
        (
            Service::Compute,
            "servers/.*/action",
            fail("the hypervisor"),
        ),
        (Service::Compute, "servers/.*/action", Action::Vanish),
        (Service::Volume, "/volumes$", refuse(403)),
        (Service::Volume, "/volumes$", fail("the disks are full")),
        (Service::Volume, "/snapshots$", fail("no room")),
        (Service::Volume, "/backups$", fail("no store")),
    ] {
        let house = House::open(sim::Times::fast()).await;
        let instance = made(&house, &[1]);
        let before = all(&house);
        let told = format!("{path} {action:?}");
        // A volume backup is tried three times for each of both disks.
        let failures = if path == "/backups$" { 6 } else { 1 };
        let rule = Rule::on(service, "POST", path, action).times(failures);
        house.source.fault(rule).expect("armed");
        let backup = house.back_up_to_end(&instance.server).await;
        assert_eq!(backup.state(), pb::State::Erred, "{told}");
        assert_eq!(all(&house), before, "{told}: {:?}", backup.error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_image() {
    for action in [Action::ResetBefore, Action::ResetAfter, Action::Malformed] {
        let house = House::open(sim::Times::fast()).await;
        let instance = made(&house, &[]);
        let before = all(&house);
        let rule = Rule::on(Service::Compute, "POST", "servers/.*/action", action).once();
        house.source.fault(rule).expect("armed");
        let backup = house.back_up_to_end(&instance.server).await;
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        let history = house.source.history();
        let images = history.iter().filter(|one| one.name.starts_with("drb-"));
        let images = images.filter(|one| one.kind == sim::Kind::Image);
        assert_eq!(images.count(), 1);
        let after = all(&house);
        let grown: Vec<_> = after.iter().zip(&before).filter(|(a, b)| a != b).collect();
        assert_eq!(grown.len(), 1, "{grown:?}");
    }
}
