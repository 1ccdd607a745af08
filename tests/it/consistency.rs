//! How well the volumes of a backup agree, from outside: what was reached is told, and is what the
//! hypervisor really did; what cannot be reached is refused and nothing is made.

use drbackup::{
    api::pb::{self, consistency::Level},
    sim::{self, Action, Rule, Service},
};
use serde_json::json;

use crate::house::{House, census, things};

fn spec() -> sim::InstanceSpec {
    sim::InstanceSpec::new("web", &[1, 1, 2])
}

fn made(house: &House, spec: &sim::InstanceSpec) -> sim::Instance {
    house.source.create_instance(spec).expect("made")
}

fn wish(house: &House, server: &str, minimum: Level) -> pb::CreateDrBackupRequest {
    pb::CreateDrBackupRequest {
        cloud: "source".to_owned(),
        tenant: house.home(),
        instance_id: server.to_owned(),
        minimum_consistency: minimum.into(),
        ..Default::default()
    }
}

fn regular_wish(house: &House, server: &str, minimum: Level) -> pb::CreateBackupRequest {
    pb::CreateBackupRequest {
        cloud: "source".to_owned(),
        tenant: house.home(),
        instance_id: server.to_owned(),
        minimum_consistency: minimum.into(),
        ..Default::default()
    }
}

async fn backed_up(house: &House, wish: pb::CreateDrBackupRequest) -> pb::DrBackup {
    let answer = house.dr_backups().await.create_dr_backup(wish).await;
    let id = answer.expect("admitted").into_inner().id;
    house.backup_at_rest(&id).await
}

fn level(reached: Option<&pb::Consistency>) -> Level {
    let reached = reached.expect("it is told");
    assert!(reached.skew.is_some(), "{reached:?}");
    reached.level()
}

/// Everything in the project, to compare before and after.
fn all(house: &House) -> Vec<(&'static str, usize)> {
    let mut all: Vec<_> = census(&house.source, "demo").into_iter().collect();
    for kind in ["images", "group_snapshots"] {
        all.push((kind, things(&house.source, "demo", kind).len()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_has_to_hold_still_does_and_its_bytes_come_back() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = made(&house, &spec().quiesced());
    let before = all(&house);
    let backup = backed_up(&house, wish(&house, &instance.server, Level::Quiesced)).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(level(backup.consistency.as_ref()), Level::Quiesced);
    let mut after = before.clone();
    for (kind, count) in &mut after {
        if *kind == "backups" {
            *count += 3;
        }
    }
    assert_eq!(all(&house), after, "nothing temporary is left");
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    for volume in &restoration.volumes {
        let was = house.source.volume_digest(&volume.source_volume_id);
        let is = house.dr.volume_digest(&volume.volume_id);
        assert_eq!(is.expect("made"), was.expect("there"), "{volume:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshots_of_a_regular_backup_are_those_of_the_guest_that_held_still() {
    let house = House::open(sim::Times::fast()).await;
    let instance = made(&house, &spec().quiesced());
    let before = all(&house);
    let request = regular_wish(&house, &instance.server, Level::Quiesced);
    let answer = house.backups().await.create_backup(request).await;
    let backup = house.kept(&answer.expect("admitted").into_inner().id).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert!(backup.recoverable, "{}", backup.unrecoverable_reason);
    assert_eq!(level(backup.consistency.as_ref()), Level::Quiesced);
    let snapshots = things(&house.source, "demo", "snapshots");
    assert_eq!(snapshots.len(), 3);
    let state = house.source.state();
    for snapshot in state["projects"]["demo"]["snapshots"]
        .as_array()
        .expect("a list")
    {
        assert_eq!(snapshot["quiesced"], true, "{snapshot}");
        let name = snapshot["name"].as_str().expect("a name");
        assert!(name.starts_with("drb-"), "{name} has no name of ours");
    }
    let request = pb::DeleteBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    let deleted = house.backups().await.delete_backup(request).await;
    deleted.expect("it may go");
    house.let_go(&backup.id).await;
    assert_eq!(all(&house), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_can_be_reached_is_refused_and_nothing_is_made() {
    let house = House::open(sim::Times::fast()).await;
    let plain = made(&house, &spec());
    let grouped = made(&house, &sim::InstanceSpec::new("loose", &[1, 1]));
    let group = house.source.create_group("demo", &grouped.volumes, false);
    let group = group.expect("a group");
    let before = all(&house);
    let (plain, grouped) = (&plain.server, &grouped.server);
    let promise = format!("the type of volume group {group} does not promise");
    for (server, minimum, says) in [
        (plain, Level::Quiesced, "hw_qemu_guest_agent=yes"),
        (plain, Level::GroupSnapshot, "not all in one volume group"),
        (plain, Level::ShutOff, "it is ACTIVE, not shut off"),
        (grouped, Level::GroupSnapshot, promise.as_str()),
    ] {
        let request = wish(&house, server, minimum);
        let refusal = house.dr_backups().await.create_dr_backup(request).await;
        let regular = regular_wish(&house, server, minimum);
        let regular = house.backups().await.create_backup(regular).await;
        for refusal in [refusal.expect_err("refused"), regular.expect_err("refused")] {
            assert_eq!(refusal.code(), tonic::Code::FailedPrecondition, "{refusal}");
            let text = refusal.message();
            assert!(text.contains("minimum_consistency"), "{text}");
            assert!(text.contains("no more than"), "{text}");
        }
        let request = wish(&house, server, minimum);
        let refusal = house.dr_backups().await.create_dr_backup(request).await;
        let text = refusal.expect_err("refused").message().to_owned();
        assert!(text.contains(says), "{text}");
    }
    assert_eq!(all(&house), before);
    let mut client = house.dr_backups().await;
    let listed = client.list_dr_backups(pb::ListDrBackupsRequest::default());
    let listed = listed.await.expect("a page").into_inner();
    assert!(listed.dr_backups.is_empty(), "no row is left either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_answer_fails_what_demands_it_and_lowers_what_does_not() {
    let house = House::open(sim::Times::fast()).await;
    let instance = made(&house, &spec().quiesced());
    let silent = house.source.set_guest_agent(&instance.server, false);
    silent.expect("there");
    let before = all(&house);
    let demanded = backed_up(&house, wish(&house, &instance.server, Level::Quiesced)).await;
    assert_eq!(demanded.state(), pb::State::Erred);
    assert_eq!(all(&house), before, "{:?}", demanded.error);
    let request = wish(&house, &instance.server, Level::Unspecified);
    let lowered = backed_up(&house, request).await;
    assert_eq!(lowered.state(), pb::State::Ok, "{:?}", lowered.error);
    assert_eq!(level(lowered.consistency.as_ref()), Level::VolumeSnapshots);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_a_group_are_captured_at_one_moment() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = made(&house, &spec());
    let group = house.source.create_group("demo", &instance.volumes, true);
    group.expect("a group");
    let before = all(&house);
    let request = wish(&house, &instance.server, Level::GroupSnapshot);
    let backup = backed_up(&house, request).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(level(backup.consistency.as_ref()), Level::GroupSnapshot);
    let asked = house.source.requests();
    let of_one = asked.iter().filter(|one| one.method == "POST");
    let of_one = of_one.filter(|one| one.path.ends_with("/snapshots"));
    assert_eq!(of_one.count(), 0, "no volume by itself");
    let mut after = before.clone();
    for (kind, count) in &mut after {
        if *kind == "backups" {
            *count += 3;
        }
    }
    assert_eq!(all(&house), after);
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    for volume in &restoration.volumes {
        let was = house.source.volume_digest(&volume.source_volume_id);
        let is = house.dr.volume_digest(&volume.volume_id);
        assert_eq!(is.expect("made"), was.expect("there"), "{volume:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_type_promises_counts_only_where_the_driver_says_so_too() {
    let pool = json!({"pools": [{"name": "source-host@lab#lab", "capabilities": {"storage_protocol": "LVM"}}]});
    let other = json!({"pools": [{"name": "another", "capabilities": {"consistent_group_snapshot_enabled": true}}]});
    let forbidden = json!({"forbidden": {"code": 403, "message": "Policy doesn't allow it"}});
    for (status, body) in [(200, pool), (200, other), (403, forbidden)] {
        let house = House::open(sim::Times::fast()).await;
        let instance = made(&house, &spec());
        let group = house.source.create_group("demo", &instance.volumes, true);
        group.expect("a group");
        let before = all(&house);
        let told = Action::Answer {
            status,
            body: body.clone(),
            headers: Vec::new(),
            acted: false,
        };
        let pools = Rule::on(Service::Volume, "GET", "get_pools", told);
        house.source.fault(pools).expect("a rule");
        let request = wish(&house, &instance.server, Level::GroupSnapshot);
        let refusal = house.dr_backups().await.create_dr_backup(request).await;
        let refusal = refusal.expect_err("refused");
        assert!(
            refusal.message().contains("minimum_consistency"),
            "{body}: {refusal}"
        );
        assert_eq!(all(&house), before);
        let request = wish(&house, &instance.server, Level::Unspecified);
        let lowered = backed_up(&house, request).await;
        assert_eq!(lowered.state(), pb::State::Ok, "{:?}", lowered.error);
        let reached = level(lowered.consistency.as_ref());
        assert_eq!(reached, Level::VolumeSnapshots, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_or_a_refusal_in_the_middle_leaves_nothing() {
    for (path, action) in [
        ("servers/.*/action", Action::ResetAfter),
        ("servers/.*/action", Action::ResetBefore),
        ("servers/.*/action", Action::Truncate),
        ("group_snapshots", Action::ResetAfter),
    ] {
        let house = House::open(sim::Times::fast()).await;
        let instance = made(&house, &spec().quiesced());
        if path == "group_snapshots" {
            let instance = made(&house, &sim::InstanceSpec::new("grouped", &[1, 1]));
            let group = house.source.create_group("demo", &instance.volumes, true);
            group.expect("a group");
            lost(&house, &instance.server, Service::Volume, path, action).await;
        } else {
            lost(&house, &instance.server, Service::Compute, path, action).await;
        }
    }
}

async fn lost(house: &House, server: &str, service: Service, path: &str, action: Action) {
    let before = all(house);
    let told = format!("{path} {action:?}");
    let rule = Rule::on(service, "POST", path, action).once();
    house.source.fault(rule).expect("armed");
    let backup = backed_up(house, wish(house, server, Level::GroupSnapshot)).await;
    assert_eq!(backup.state(), pb::State::Ok, "{told}: {:?}", backup.error);
    let after = all(house);
    let grown: Vec<_> = after.iter().zip(&before).filter(|(a, b)| a != b).collect();
    assert_eq!(grown.len(), 1, "{told}: {grown:?}");
    assert_eq!(grown[0].0.0, "backups", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nova_left_of_an_image_that_never_came_to_be_goes_too() {
    // Room for three snapshots by number, and for two of them by size: Nova fails in the middle.
    let house = House::with(sim::Times::fast(), |source, _| {
        source.quotas.gigabytes = 6;
    })
    .await;
    let instance = made(&house, &spec().quiesced());
    // What is not shown cannot be looked at beforehand.
    let hidden = Action::Answer {
        status: 200,
        body: serde_json::json!({"quota_set": {}}),
        headers: Vec::new(),
        acted: false,
    };
    let rule = Rule::on(Service::Volume, "GET", "os-quota-sets", hidden);
    house.source.fault(rule).expect("armed");
    let before = all(&house);
    let backup = backed_up(&house, wish(&house, &instance.server, Level::Quiesced)).await;
    assert_eq!(backup.state(), pb::State::Erred);
    let error = backup.error.expect("told");
    assert_eq!(error.status, 403, "{error:?}");
    assert_eq!(all(&house), before, "{error:?}");
    let history = house.source.history();
    let left = history
        .iter()
        .filter(|one| one.name.starts_with("snapshot for"));
    assert!(left.count() > 0, "nothing was there to be cleaned up");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_shut_off_needs_nothing_else() {
    let house = House::open(sim::Times::fast()).await;
    let instance = made(&house, &spec());
    house
        .source
        .set_status(&instance.server, "SHUTOFF")
        .expect("stopped");
    let backup = backed_up(&house, wish(&house, &instance.server, Level::Quiesced)).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(level(backup.consistency.as_ref()), Level::ShutOff);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_demands_it_of_every_run() {
    let house = House::open(sim::Times::fast()).await;
    let plain = made(&house, &spec());
    let ready = made(&house, &sim::InstanceSpec::new("ready", &[1, 1]).quiesced());
    let wanted = |server: &str| pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            cloud: "source".to_owned(),
            tenant: house.home(),
            instance_id: server.to_owned(),
            schedule: "@daily".to_owned(),
            minimum_consistency: Level::Quiesced.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut client = house.schedules().await;
    let refusal = client.create_schedule(wanted(&plain.server)).await;
    let refusal = refusal.expect_err("out of reach");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition, "{refusal}");
    let made = client.create_schedule(wanted(&ready.server)).await;
    let schedule = made.expect("admitted").into_inner();
    assert_eq!(schedule.minimum_consistency(), Level::Quiesced);
    let request = pb::RunScheduleRequest {
        id: schedule.id,
        ..Default::default()
    };
    let run = client
        .run_schedule(request)
        .await
        .expect("begun")
        .into_inner();
    let backup = house.backup_at_rest(&run.dr_backup_id).await;
    assert_eq!(level(backup.consistency.as_ref()), Level::Quiesced);
}
