//! Chains of increments from outside: built on what is there, brought back elsewhere out of all their
//! links, and let go of from their newest end; it may not look inside the service.

use drbackup::{
    api::pb,
    domain::{
        effect::{Make, Request},
        id::{CloudName, ProjectId, Tenant, VolumeId},
        sighting::ThingKind,
    },
    sim::{self, Action, Instance, InstanceSpec, Rule, Service, Times},
};
use tonic::{Code, Status};

use crate::{
    house::{House, things},
    stage::until,
};

async fn house() -> House {
    let house = House::with(Times::fast(), |source, dr| {
        source.quotas = sim::Quotas::generous();
        dr.quotas = sim::Quotas::generous();
    })
    .await;
    house.prepare_refuge();
    house
}

fn instance(house: &House, sizes: &[u64]) -> Instance {
    let spec = InstanceSpec::new("web", sizes);
    house.source.create_instance(&spec).expect("made")
}

/// Writes into every volume of an instance; answers what is in them then.
fn write(house: &House, instance: &Instance, bytes: &[u8]) -> Vec<String> {
    let volumes = instance.volumes.iter();
    let written = volumes.map(|volume| {
        let cloud = &house.source;
        cloud.volume_write(volume, 5 << 20, bytes).expect("written");
        cloud.volume_digest(volume).expect("there")
    });
    written.collect()
}

/// A full DR backup and two increments, after new bytes each, the last of which are zeros again; with
/// what was in the volumes.
async fn three(house: &House, instance: &Instance) -> [(pb::DrBackup, Vec<String>); 3] {
    let first = write(house, instance, b"one");
    let full = house.back_up_to_end(&instance.server).await;
    let second = write(house, instance, &vec![7; 4 << 20]);
    let middle = house.back_up_changes(&instance.server).await;
    let third = write(house, instance, &vec![0; 2 << 20]);
    let newest = house.back_up_changes(&instance.server).await;
    let all = [(full, first), (middle, second), (newest, third)];
    for (backup, _) in &all {
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        assert!(backup.recoverable, "{}", backup.unrecoverable_reason);
    }
    all
}

/// Restores a DR backup in the other cloud, where its volumes have to be as they were.
async fn comes_back(house: &House, instance: &Instance, backup: &pb::DrBackup, was: &[String]) {
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert_eq!(restoration.volumes.len(), was.len());
    for (source, was) in instance.volumes.iter().zip(was) {
        let mut volumes = restoration.volumes.iter();
        let volume = volumes.find(|one| one.source_volume_id == *source);
        let is = house.dr.volume_digest(&volume.expect("restored").volume_id);
        assert_eq!(is.expect("there"), *was, "volume {source} differs");
    }
}

async fn delete(house: &House, backup: &pb::DrBackup) -> Result<(), Status> {
    let request = pb::DeleteDrBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    let mut client = house.dr_backups().await;
    client.delete_dr_backup(request).await.map(drop)
}

async fn delete_to_end(house: &House, backup: &pb::DrBackup) {
    delete(house, backup).await.expect("it may go");
    house.backup_gone(&backup.id).await;
}

/// Kind and owner of every volume backup: `+` for an increment, `(…)` for what was inherited.
fn links(backup: &pb::DrBackup) -> Vec<&'static str> {
    let links = backup.volume_backups.iter();
    let shown = links.map(|one| match (one.incremental, one.inherited) {
        (true, false) => "+",
        (true, true) => "(+)",
        (false, false) => "full",
        (false, true) => "(full)",
    });
    shown.collect()
}

fn imports(house: &House) -> usize {
    let requests = house.dr.requests();
    let imports = requests.iter();
    // Another one is to see whether the tenant may import by itself.
    let imports =
        imports.filter(|one| one.path.ends_with("import_record") && one.status == Some(201));
    imports.count()
}

fn home(house: &House) -> Tenant {
    Tenant {
        cloud: CloudName::new("source"),
        project: ProjectId::new(house.home()),
    }
}

/// A backup of a volume by somebody else.
async fn foreign_backup(house: &House, volume: &str, incremental: bool) -> String {
    let tenant = home(house);
    let request = Request::Make(Make::VolumeBackup {
        volume: VolumeId::new(volume),
        snapshot: None,
        description: String::new(),
        incremental,
    });
    let cloud = house.cloud();
    let made = cloud.request_perform(&tenant, "by hand", &request).await;
    let id = made.expect("made").cloud_id.expect("an id");
    until(|| async {
        let all = cloud.things_list(&tenant, ThingKind::VolumeBackup).await;
        let all = all.expect("listed");
        let mut all = all.iter();
        all.any(|one| one.thing.id == id && one.status == "available")
            .then_some(())
    })
    .await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn any_point_of_a_chain_comes_back_after_its_cloud_is_gone() {
    let house = house().await;
    let instance = instance(&house, &[1, 2]);
    let [(full, was_full), (middle, was_middle), (newest, was_newest)] =
        three(&house, &instance).await;
    assert_eq!(links(&full), ["full", "full"]);
    assert_eq!(links(&middle), ["+", "(full)", "+", "(full)"]);
    assert_eq!(links(&newest), ["+", "(+)", "(full)", "+", "(+)", "(full)"]);
    for pair in newest.volume_backups.windows(2) {
        let builds = pair[0].volume_id == pair[1].volume_id;
        let parent = if builds {
            pair[1].backup_id.as_str()
        } else {
            ""
        };
        assert_eq!(pair[0].parent_id, parent);
    }
    assert_eq!(things(&house.source, "demo", "backups").len(), 6);
    assert!(things(&house.source, "demo", "snapshots").is_empty());

    house.source.stop().await;
    comes_back(&house, &instance, &newest, &was_newest).await;
    assert_eq!(imports(&house), 6, "every link of both chains");
    comes_back(&house, &instance, &middle, &was_middle).await;
    comes_back(&house, &instance, &full, &was_full).await;
    assert_eq!(imports(&house), 6, "what is there already is used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_deleted_from_its_newest_end() {
    let house = house().await;
    let instance = instance(&house, &[1]);
    let [(full, was_full), (middle, was_middle), (newest, was_newest)] =
        three(&house, &instance).await;
    comes_back(&house, &instance, &newest, &was_newest).await;
    let refusal = delete(&house, &full).await.expect_err("built upon");
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    for heir in [&middle, &newest] {
        let told = refusal.message();
        assert!(told.contains(&heir.id), "{told}");
    }
    let refusal = delete(&house, &middle).await.expect_err("built upon");
    assert!(refusal.message().contains(&newest.id));

    delete_to_end(&house, &newest).await;
    assert_eq!(things(&house.source, "demo", "backups").len(), 2);
    assert_eq!(
        things(&house.dr, "demo", "backups").len(),
        2,
        "the mirrors of what others made stay"
    );
    comes_back(&house, &instance, &middle, &was_middle).await;
    comes_back(&house, &instance, &full, &was_full).await;
    delete_to_end(&house, &middle).await;
    comes_back(&house, &instance, &full, &was_full).await;
    delete_to_end(&house, &full).await;
    for cloud in [&house.source, &house.dr] {
        assert!(things(cloud, "demo", "backups").is_empty());
    }
    let bytes = house.source.backup_store().prefixes();
    assert_eq!(bytes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_tool_made_is_built_on_and_left_alone() {
    let house = house().await;
    let instance = instance(&house, &[1]);
    write(&house, &instance, b"before us");
    let theirs = foreign_backup(&house, &instance.volumes[0], false).await;
    let was = write(&house, &instance, b"and then");
    let ours = house.back_up_changes(&instance.server).await;
    assert_eq!(ours.state(), pb::State::Ok, "{:?}", ours.error);
    assert_eq!(links(&ours), ["+", "(full)"]);
    assert_eq!(ours.volume_backups[1].backup_id, theirs);
    comes_back(&house, &instance, &ours, &was).await;

    let above = foreign_backup(&house, &instance.volumes[0], true).await;
    delete(&house, &ours)
        .await
        .expect("nothing of ours is above");
    let kept = house.backup_at_rest(&ours.id).await;
    assert_eq!(kept.state(), pb::State::Erred);
    let error = kept.error.expect("a reason");
    let head = &kept.volume_backups[0].backup_id;
    assert!(error.message.contains(head), "{}", error.message);
    assert!(
        error.message.contains("Incremental backups exist"),
        "{}",
        error.message
    );

    let above = drbackup::domain::sighting::Thing {
        kind: ThingKind::VolumeBackup,
        id: above,
    };
    let cloud = house.cloud();
    cloud
        .thing_delete(&home(&house), &above, &[])
        .await
        .expect("gone");
    until(|| async { (things(&house.source, "demo", "backups").len() == 2).then_some(()) }).await;
    delete_to_end(&house, &ours).await;
    for cloud in [&house.source, &house.dr] {
        let left = things(cloud, "demo", "backups");
        let left: Vec<&str> = left.iter().map(|one| one.text("id")).collect();
        assert_eq!(left, [theirs.as_str()], "in {}", cloud.name());
    }
    assert!(house.source.backup_store().holds(&theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_has_grown_gets_a_full_one() {
    let house = house().await;
    let instance = instance(&house, &[1, 1]);
    house.back_up_to_end(&instance.server).await;
    let grown = &instance.volumes[1];
    house.source.volume_grow(grown, 2).expect("larger");
    let was = write(&house, &instance, b"more");
    house.source.clear_requests();
    let backup = house.back_up_changes(&instance.server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(links(&backup), ["+", "(full)", "full"]);
    let requests = house.source.requests();
    let asked = requests.iter();
    let asked = asked.filter(|one| one.method == "POST" && one.path.ends_with("/backups"));
    assert_eq!(asked.count(), 2, "it is known before anything is asked for");
    comes_back(&house, &instance, &backup, &was).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_that_is_refused_or_breaks_becomes_a_full_one() {
    let house = house().await;
    let instance = instance(&house, &[1]);
    house.back_up_to_end(&instance.server).await;
    let message = "Invalid backup: No backups available to do an incremental backup.";
    let refusal = Action::Answer {
        status: 400,
        body: serde_json::json!({"badRequest": {"code": 400, "message": message}}),
        headers: Vec::new(),
        acted: false,
    };
    let rule = Rule::on(Service::Volume, "POST", "/backups$", refusal).once();
    house.source.fault(rule).expect("a rule");
    let was = write(&house, &instance, b"refused");
    let backup = house.back_up_changes(&instance.server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(links(&backup), ["full"]);
    comes_back(&house, &instance, &backup, &was).await;
    assert_eq!(things(&house.source, "demo", "backups").len(), 2);

    // The volume grows when its size was read already.
    let slow = Times {
        snapshot_create: std::time::Duration::from_millis(400),
        ..Times::fast()
    };
    house.source.set_times(slow);
    let growing = async {
        until(|| async { (!things(&house.source, "demo", "snapshots").is_empty()).then_some(()) })
            .await;
        let grown = &instance.volumes[0];
        house.source.volume_grow(grown, 2).expect("larger");
    };
    let (backup, ()) = tokio::join!(house.back_up_changes(&instance.server), growing);
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(links(&backup), ["full"]);
    assert_eq!(
        things(&house.source, "demo", "backups").len(),
        3,
        "the broken increment is gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_increment_is_a_full_one() {
    let house = house().await;
    let instance = instance(&house, &[1]);
    let backup = house.back_up_changes(&instance.server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(links(&backup), ["full"]);
}
