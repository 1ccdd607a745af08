//! Regular backups from outside: snapshots of an instance in its own tenant, and the instance back from
//! them with the same bytes.

use std::{collections::BTreeMap, time::Duration};

use drbackup::{api::pb, sim};

use crate::house::{House, Thing, census, things};

fn state(number: i32) -> pb::State {
    pb::State::try_from(number).expect("a known state")
}

fn instance(house: &House, sizes: &[u64]) -> sim::Instance {
    let spec = sim::InstanceSpec::new("web", sizes);
    house.source.create_instance(&spec).expect("made")
}

fn snapshots(house: &House) -> Vec<Thing> {
    things(&house.source, "demo", "snapshots")
}

/// A regular backup that is OK.
async fn kept(house: &House, server: &str) -> pb::Backup {
    let backup = house.keep(server).await;
    let backup = house.kept(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Ok, "{:?}", backup.error);
    backup
}

async fn delete(house: &House, id: &str) -> Result<(), tonic::Status> {
    let request = pb::DeleteBackupRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    house.backups().await.delete_backup(request).await.map(drop)
}

async fn update(house: &House, wanted: pb::Backup, paths: &[&str]) -> pb::Backup {
    let request = pb::UpdateBackupRequest {
        backup: Some(wanted),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        ..Default::default()
    };
    let answer = house.backups().await.update_backup(request).await;
    answer.expect("admitted").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_comes_back_from_snapshots_as_it_was_and_nothing_is_left_of_them() {
    for sizes in [&[1][..], &[1, 2], &[1, 1, 1, 2]] {
        let house = House::open(sim::Times::fast()).await;
        let instance = instance(&house, sizes);
        let before = census(&house.source, "demo");
        let digest = |id: &str| house.source.volume_digest(id).expect("a volume");
        let volumes = instance.volumes.iter();
        let was: BTreeMap<&str, String> = volumes.map(|id| (id.as_str(), digest(id))).collect();
        let backup = kept(&house, &instance.server).await;
        assert!(backup.recoverable, "{}", backup.unrecoverable_reason);
        assert_eq!(backup.snapshots.len(), sizes.len());
        let mut with_snapshots = before.clone();
        with_snapshots.insert("snapshots", sizes.len());
        assert_eq!(census(&house.source, "demo"), with_snapshots);

        // What is written later is not in it.
        for volume in &instance.volumes {
            let written = house.source.volume_write(volume, 0, b"spoilt");
            written.expect("written");
        }
        let wish = house.wish_at_home(&backup.id);
        let restoration = house.restore_as(wish).await;
        assert_eq!(restoration.backup_id, backup.id);
        assert_eq!(restoration.dr_backup_id, "");
        let refusal = delete(&house, &backup.id).await.expect_err("in use");
        assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
        assert!(refusal.message().contains(&restoration.id), "{refusal}");
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        assert_eq!(restoration.volumes.len(), sizes.len());
        let facts = backup.metadata.as_ref().expect("a manifest");
        for (made, facts) in restoration.volumes.iter().zip(&facts.volumes) {
            assert_eq!(made.source_volume_id, facts.volume_id);
            let was = &was[made.source_volume_id.as_str()];
            assert_eq!(digest(&made.volume_id), *was, "{made:?}");
            let volumes = things(&house.source, "demo", "volumes");
            let volume = volumes.iter().find(|one| one.text("id") == made.volume_id);
            let volume = volume.expect("it is there");
            assert_eq!(volume.text("name"), facts.name, "it keeps its own name");
        }
        let server = restoration.instance.expect("an instance").server_id;
        let servers = things(&house.source, "demo", "servers");
        let server = servers.iter().find(|one| one.text("id") == server);
        let server = server.expect("it is there");
        assert_eq!(
            (server.text("name"), server.text("status")),
            ("web", "ACTIVE")
        );
        let request = pb::GetBackupRequest {
            id: backup.id.clone(),
            ..Default::default()
        };
        let told = house.backups().await.get_backup(request).await;
        let told = told.expect("there").into_inner();
        assert_eq!(told.restorations.len(), 1);
        assert_eq!(told.restorations[0].id, restoration.id);

        let request = pb::DeleteRestorationRequest {
            id: restoration.id.clone(),
            delete_instance: true,
            ..Default::default()
        };
        let answer = house.restorations().await.delete_restoration(request).await;
        answer.expect("it may go");
        house.restoration_gone(&restoration.id).await;
        delete(&house, &backup.id).await.expect("it may go now");
        house.let_go(&backup.id).await;
        assert_eq!(census(&house.source, "demo"), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_has_regular_backups_is_not_deleted() {
    let house = House::open(sim::Times::fast()).await;
    let instance = instance(&house, &[1]);
    let backup = kept(&house, &instance.server).await;
    let wish = house.wish_at_home(&backup.id);
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    let restored = restoration.instance.expect("an instance").server_id;
    let of_restored = kept(&house, &restored).await;
    let request = pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        delete_instance: true,
        ..Default::default()
    };
    let mut client = house.restorations().await;
    let refusal = client.delete_restoration(request.clone()).await;
    let refusal = refusal.expect_err("its snapshots hold its volumes");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(refusal.message().contains(&of_restored.id), "{refusal}");
    delete(&house, &of_restored.id).await.expect("it may go");
    house.let_go(&of_restored.id).await;
    client
        .delete_restoration(request)
        .await
        .expect("now it may");
    house.restoration_gone(&restoration.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regular_backup_is_restored_only_where_it_is_and_only_when_it_is_good() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = instance(&house, &[1]);
    let backup = kept(&house, &instance.server).await;
    let wish = house.wish_at_home(&backup.id);
    let elsewhere = pb::CreateRestorationRequest {
        cloud: "dr".to_owned(),
        tenant: house.refuge(),
        ..wish.clone()
    };
    let both = pb::CreateRestorationRequest {
        dr_backup_id: backup.id.clone(),
        ..wish.clone()
    };
    let neither = pb::CreateRestorationRequest {
        backup_id: String::new(),
        ..wish.clone()
    };
    let unknown = pb::CreateRestorationRequest {
        backup_id: uuid::Uuid::nil().to_string(),
        ..wish.clone()
    };
    let other_kind = pb::CreateRestorationRequest {
        dr_backup_id: backup.id.clone(),
        backup_id: String::new(),
        ..wish.clone()
    };
    let mut client = house.restorations().await;
    for (request, code, text) in [
        (
            elsewhere,
            tonic::Code::FailedPrecondition,
            "or use a DR backup",
        ),
        (both, tonic::Code::InvalidArgument, "backup_id"),
        (neither, tonic::Code::InvalidArgument, "dr_backup_id"),
        (unknown, tonic::Code::NotFound, "regular backup"),
        (other_kind, tonic::Code::NotFound, "DR backup"),
    ] {
        let refusal = client.create_restoration(request).await;
        let refusal = refusal.expect_err(text);
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.message().contains(text), "{}", refusal.message());
    }

    house.source.set_times(sim::Times {
        snapshot_create: Duration::from_secs(20),
        ..sim::Times::fast()
    });
    let early = house.keep(&instance.server).await;
    let refusal = client
        .create_restoration(house.wish_at_home(&early.id))
        .await;
    let refusal = refusal.expect_err("too early");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(
        refusal
            .message()
            .contains("cannot be restored: it is CREATI"),
        "{refusal}"
    );
    let only_checked = pb::CreateRestorationRequest {
        validate_only: true,
        ..wish
    };
    let checked = client.create_restoration(only_checked).await;
    assert_eq!(checked.expect("good").into_inner().id, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_regular_backup_leaves_nothing_behind() {
    let house = House::open(sim::Times::fast()).await;
    let instance = instance(&house, &[1, 1, 1]);
    house.source.set_times(sim::Times {
        snapshot_create: Duration::from_secs(600),
        ..sim::Times::fast()
    });
    let before = census(&house.source, "demo");
    let backup = house.keep(&instance.server).await;
    wait_until(|| snapshots(&house).len() == 3).await;
    let request = pb::CancelBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    let answer = house.backups().await.cancel_backup(request).await;
    answer.expect("it can be cancelled");
    // Cinder deletes no snapshot that is being made.
    house.source.finish_all();
    let backup = house.kept(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Erred);
    assert_eq!(backup.error.expect("a reason").reason, "CANCELLED");
    assert!(backup.snapshots.is_empty() && !backup.recoverable);
    assert_eq!(census(&house.source, "demo"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_fails_takes_its_backup_with_it_and_no_other() {
    let house = House::open(sim::Times::fast()).await;
    let instance = instance(&house, &[1, 1, 1]);
    let good = kept(&house, &instance.server).await;
    let refusal = sim::Rule::on(
        sim::Service::Volume,
        "POST",
        "/snapshots",
        sim::Action::Answer {
            status: 400,
            body: serde_json::json!({"badRequest": {"code": 400, "message": "no such luck"}}),
            headers: Vec::new(),
            acted: false,
        },
    );
    house.source.fault(refusal.after(1).once()).expect("a rule");
    let bad = house.keep(&instance.server).await;
    let bad = house.kept(&bad.id).await;
    assert_eq!(state(bad.state), pb::State::Erred);
    let error = bad.error.expect("a reason");
    assert!(error.message.contains("no such luck"), "{}", error.message);
    let left: Vec<String> = snapshots(&house)
        .iter()
        .map(|one| one.text("id").to_owned())
        .collect();
    assert_eq!(left.len(), 3);
    assert!(
        good.snapshots
            .iter()
            .all(|one| left.contains(&one.snapshot_id))
    );
    let good = house.kept(&good.id).await;
    assert_eq!(state(good.state), pb::State::Ok);
    assert!(good.recoverable);
    delete(&house, &bad.id).await.expect("what failed can go");
    house.let_go(&bad.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_travel_to_the_snapshots_and_a_hold_does_not() {
    let house = House::open(sim::Times::fast()).await;
    let instance = instance(&house, &[1, 1]);
    let backup = kept(&house, &instance.server).await;
    let described = |text: &str| {
        let all = snapshots(&house);
        all.len() == 2 && all.iter().all(|one| one.text("description") == text)
    };
    assert!(described("hourly"), "{:?}", snapshots(&house));
    let until = prost_types::Timestamp {
        seconds: 4_102_444_800,
        nanos: 0,
    };
    let wanted = pb::Backup {
        id: backup.id.clone(),
        name: "before the upgrade".to_owned(),
        kept_until: Some(until),
        held: true,
        ..Default::default()
    };
    let changed = update(&house, wanted.clone(), &["name", "kept_until", "held"]).await;
    assert_eq!(state(changed.state), pb::State::Ok, "nothing had to travel");
    assert_eq!(
        (changed.name.as_str(), changed.kept_until, changed.held),
        ("before the upgrade", Some(until), true)
    );
    let wanted = pb::Backup {
        description: "daily".to_owned(),
        kept_until: None,
        ..wanted
    };
    let changed = update(&house, wanted, &["description", "kept_until"]).await;
    assert_eq!(state(changed.state), pb::State::UpdateScheduled);
    let changed = house.kept(&backup.id).await;
    assert_eq!(state(changed.state), pb::State::Ok, "{:?}", changed.error);
    assert_eq!((changed.kept_until, changed.held), (None, true));
    assert!(described("daily"), "{:?}", snapshots(&house));
    let refusal = delete(&house, &backup.id).await.expect_err("it is held");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(refusal.message().contains("on hold"), "{refusal}");
    let free = pb::Backup {
        id: backup.id.clone(),
        ..Default::default()
    };
    update(&house, free, &["held"]).await;
    delete(&house, &backup.id).await.expect("it may go now");
    house.let_go(&backup.id).await;
    assert!(snapshots(&house).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_regular_backups_tells_of_no_others() {
    let house = House::open(sim::Times::fast()).await;
    let instance = instance(&house, &[1]);
    let first = kept(&house, &instance.server).await;
    let other = house.back_up_to_end(&instance.server).await;
    let request = pb::WatchBackupsRequest {
        filter: format!("instance_id = \"{}\"", instance.server),
    };
    let stream = house.backups().await.watch_backups(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let second = house.keep(&instance.server).await;
    let mut heard = Vec::new();
    let listening = async {
        loop {
            let event = stream.message().await.expect("it goes on").expect("open");
            let is_over = event.resource_id == second.id && event.state() == pb::State::Ok;
            heard.push(event.resource_id);
            if is_over {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listening)
        .await
        .expect("it is heard of");
    assert_eq!(heard[0], first.id, "the present comes first");
    assert!(!heard.contains(&other.id), "{heard:?}");
    let request = pb::ListBackupsRequest {
        view: pb::View::Full.into(),
        order_by: "create_time".to_owned(),
        ..Default::default()
    };
    let listed = house.backups().await.list_backups(request).await;
    let listed = listed.expect("a page").into_inner().backups;
    let ids: Vec<&str> = listed.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, [first.id.as_str(), second.id.as_str()]);
    assert_eq!(listed[0].snapshots.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_makes_one_regular_backup() {
    let house = House::open(sim::Times::fast()).await;
    let instance = instance(&house, &[1]);
    let request = pb::CreateBackupRequest {
        cloud: "source".to_owned(),
        tenant: house.home(),
        instance_id: instance.server,
        request_id: "once".to_owned(),
        ..Default::default()
    };
    let mut client = house.backups().await;
    let first = client.create_backup(request.clone()).await;
    let first = first.expect("admitted").into_inner();
    let again = client.create_backup(request.clone()).await;
    assert_eq!(again.expect("admitted").into_inner().id, first.id);
    let other = pb::CreateBackupRequest {
        name: "other".to_owned(),
        ..request
    };
    let refusal = client
        .create_backup(other)
        .await
        .expect_err("other content");
    assert_eq!(refusal.code(), tonic::Code::AlreadyExists);
    house.kept(&first.id).await;
    assert_eq!(snapshots(&house).len(), 1);
}

/// Waits until something is so, a minute at most.
async fn wait_until(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("in time");
}
