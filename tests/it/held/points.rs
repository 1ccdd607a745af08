//! What a DR backup left behind, or an orphan, and others use by now: kept, named, and never forced.

use drbackup::{
    api::pb::{self, orphan_deletion::Outcome},
    domain::{
        effect::{Apply, Request},
        fault::{Fault, FaultKind},
        id::{CloudName, OperationId, ProjectId, Tenant},
        operation::NAME_MARK,
        sighting::{Thing, ThingKind},
    },
    sim::{Action, InstanceSpec, Rule, Service, Times},
};
use serde_json::json;
use uuid::Uuid;

use super::{Scene, ground_of, tenant_of};
use crate::{
    house::{House, census, things},
    stage::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dr_backup_names_the_temporaries_that_others_use_and_takes_them_when_it_is_deleted() {
    for cancel in [true, false] {
        let house = House::open(Times::fast()).await;
        let cloud = &house.source;
        let shop = InstanceSpec::new("shop", &[1, 1]);
        let instance = cloud.create_instance(&shop).expect("made");
        let resident = InstanceSpec::new("production", &[1]);
        let resident = cloud.create_instance(&resident).expect("made").server;
        let before = census(cloud, "demo");
        let slow = Times {
            backup_base: std::time::Duration::from_millis(400),
            ..Times::fast()
        };
        cloud.set_times(slow);
        // Between the look at a copy and its deletion somebody attaches it.
        let hangs = Action::Hang {
            milliseconds: None,
            acted: false,
        };
        let rule = Rule::on(Service::Volume, "DELETE", "/volumes/", hangs);
        let rule = cloud.fault(rule).expect("a rule");
        let request = pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: house.home(),
            instance_id: instance.server.clone(),
            capture: pb::dr_backup::Capture::SnapshotThenCopy.into(),
            ..Default::default()
        };
        let mut client = house.dr_backups().await;
        let backup = client.create_dr_backup(request).await.expect("admitted");
        let backup = backup.into_inner();
        if cancel {
            until(|| async { (!things(cloud, "demo", "backups").is_empty()).then_some(()) }).await;
            let request = pb::CancelDrBackupRequest {
                id: backup.id.clone(),
                ..Default::default()
            };
            client.cancel_dr_backup(request).await.expect("cancelled");
        }
        until(|| async { (cloud.fault_happened(rule) == 2).then_some(()) }).await;
        let copies = things(cloud, "demo", "volumes");
        let copies = copies
            .iter()
            .filter(|one| one.text("name").starts_with(NAME_MARK));
        let copies: Vec<String> = copies.map(|one| one.text("id").to_owned()).collect();
        for copy in &copies {
            cloud.give_volume(copy, &resident).expect("given");
        }
        cloud.fault_remove(rule);
        cloud.release();
        let ended = house.backup_at_rest(&backup.id).await;
        let told = if cancel {
            assert_eq!(ended.state(), pb::State::Erred);
            ended.error.expect("a reason").message
        } else {
            assert_eq!(ended.state(), pb::State::Ok, "{:?}", ended.error);
            assert!(ended.recoverable, "{}", ended.unrecoverable_reason);
            ended.runtime_state
        };
        assert!(!copies.is_empty());
        for copy in &copies {
            assert!(told.contains(copy), "{copy} is not named in: {told}");
        }
        assert!(
            told.contains(&format!("server production ({resident})")),
            "{told}"
        );

        let delete = async || {
            let request = pb::DeleteDrBackupRequest {
                id: backup.id.clone(),
                ..Default::default()
            };
            let mut client = house.dr_backups().await;
            client.delete_dr_backup(request).await.expect("admitted");
        };
        delete().await;
        let left = house.backup_at_rest(&backup.id).await;
        assert_eq!(left.error.expect("a reason").reason, "IN_USE");
        let attached = things(cloud, "demo", "volumes");
        let attached = attached.iter().filter(|one| one.text("server") == resident);
        assert_eq!(
            attached.count(),
            copies.len() + 1,
            "production keeps all of them"
        );
        for copy in &copies {
            cloud.let_go_of_volume(copy).expect("free");
        }
        delete().await;
        house.backup_gone(&backup.id).await;
        assert_eq!(
            census(cloud, "demo"),
            before,
            "and nothing is an orphan now"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_others_use_is_kept_and_the_answer_names_them() {
    let house = House::open(Times::fast()).await;
    let cloud = &house.source;
    let tenant = tenant_of(&house, "source").await;
    let name = |key: &str| {
        format!(
            "{NAME_MARK}{}-{key}",
            OperationId(Uuid::now_v7()).0.simple()
        )
    };
    let resident = InstanceSpec::new("production", &[1]);
    let resident = cloud.create_instance(&resident).expect("made");
    let (theirs, home) = (&resident.server, house.home());
    let volume = tenant.volume(&name("volume-0")).await;
    cloud.give_volume(&volume, theirs).expect("given");
    let wish = json!({"network_id": resident.network, "name": name("port-0")});
    let port = tenant.make("network", "ports", "", "port", wish).await;
    let port = port["id"].as_str().expect("an id").to_owned();
    cloud.give_port(&port, theirs).expect("given");
    let group = json!({"name": name("group-0")});
    let group = tenant
        .make("network", "security-groups", "", "security_group", group)
        .await;
    let group = group["id"].as_str().expect("an id").to_owned();
    let body = json!({"port": {"security_groups": [group]}});
    let path = format!("ports/{}", resident.port);
    let (status, _) = tenant.ask("PUT", "network", &path, "", Some(body)).await;
    assert_eq!(status, 200);
    let locked = InstanceSpec::new(&name("server"), &[1]);
    let locked = cloud.create_instance(&locked).expect("made").server;
    cloud.lock_server(&locked, true).expect("a server");
    let free = tenant.volume(&name("volume-1")).await;

    let before = census(cloud, "demo");
    let ids = [&volume, &port, &group, &locked, &free].map(String::clone);
    let request = pb::DeleteOrphansRequest {
        include_unknown: true,
        cloud: "source".to_owned(),
        tenant: home,
        ids: ids.to_vec(),
        request_id: String::new(),
    };
    let mut client = house.orphans().await;
    let answer = client.delete_orphans(request).await.expect("answered");
    let by = format!("server production ({theirs})");
    let words = [
        &by,
        &by,
        &format!("port {}", resident.port),
        "is locked",
        "",
    ];
    for ((one, id), words) in answer.into_inner().deletions.iter().zip(ids).zip(words) {
        assert_eq!(one.id, id);
        let expected = if words.is_empty() {
            Outcome::Deleted
        } else {
            Outcome::Kept
        };
        assert_eq!(one.outcome(), expected, "{one:?}");
        assert!(one.problem.contains(words), "{one:?}");
    }
    until(|| async {
        let mut after = before.clone();
        *after.get_mut("volumes").expect("counted") -= 1;
        (census(cloud, "demo") == after).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_status_is_reset_but_what_a_death_has_left_behind() {
    const DEAD: [&str; 6] = [
        "creating",
        "downloading",
        "deleting",
        "error_deleting",
        "backing-up",
        "restoring-backup",
    ];
    const ALIVE: [&str; 14] = [
        "in-use",
        "attaching",
        "detaching",
        "reserved",
        "awaiting-transfer",
        "uploading",
        "retyping",
        "extending",
        "maintenance",
        "migrating",
        "error_attaching",
        "error_detaching",
        "managing",
        "some-new-status",
    ];
    let house = House::open(Times::fast()).await;
    let cloud = &house.source;
    let tenant = tenant_of(&house, "source").await;
    let resident = InstanceSpec::new("production", &[1]);
    let resident = cloud.create_instance(&resident).expect("made").server;
    let place = Tenant {
        cloud: CloudName::new("source"),
        project: ProjectId::new(house.home()),
    };
    let volume = tenant.volume("stuck").await;
    let status = || {
        let all = things(cloud, "demo", "volumes");
        let one = all.iter().find(|one| one.text("id") == volume);
        let one = one.expect("it is there");
        (one.text("status").to_owned(), one.text("server").to_owned())
    };
    let reset = async || {
        let request = Request::Apply(Apply::ErrorStatus {
            thing: Thing {
                kind: ThingKind::Volume,
                id: volume.clone(),
            },
        });
        let answer = house.cloud().request_perform(&place, "", &request).await;
        answer.map(drop).map_err(|fault| fault.kind)
    };
    for alive in ALIVE {
        cloud.set_status(&volume, alive).expect("a volume");
        let refused = reset().await.expect_err(alive);
        assert!(
            matches!(refused, FaultKind::Held | FaultKind::Busy),
            "{alive}: {refused:?}"
        );
        assert_eq!(status(), (alive.to_owned(), String::new()));
    }
    for dead in DEAD {
        cloud.set_status(&volume, dead).expect("a volume");
        assert_eq!(reset().await, Ok(()), "{dead}");
        assert_eq!(status().0, "error", "{dead}");
    }
    // Whatever it says of itself: what a server has is not forced.
    cloud.give_volume(&volume, &resident).expect("given");
    for dead in DEAD {
        cloud.set_status(&volume, dead).expect("a volume");
        assert_eq!(reset().await, Err(FaultKind::Held), "{dead}");
        assert_eq!(status(), (dead.to_owned(), resident.clone()));
    }
    cloud.let_go_of_volume(&volume).expect("free");
    cloud.set_status(&volume, "available").expect("a volume");

    // A backup of it that is being written, by whomever.
    let slow = Times {
        backup_base: std::time::Duration::from_secs(600),
        ..Times::fast()
    };
    cloud.set_times(slow);
    let wish = json!({"volume_id": volume, "name": "theirs"});
    tenant.make("volumev3", "backups", "", "backup", wish).await;
    assert_eq!(status().0, "backing-up");
    assert_eq!(reset().await, Err(FaultKind::Busy));
    assert_eq!(status().0, "backing-up");
}

/// An admin restores across projects, and backs up what is another's.
#[tokio::test(flavor = "multi_thread")]
async fn no_status_is_reset_while_somebody_in_another_project_works_with_it() {
    let house = House::open(Times::fast()).await;
    let cloud = &house.source;
    let tenant = tenant_of(&house, "source").await;
    let elsewhere = ground_of(&house, "source", "source-admin").await;
    assert_ne!(tenant.tenant.project, elsewhere.tenant.project);
    let volume = tenant.volume("kept").await;
    let wish = json!({"volume_id": volume, "name": "theirs"});
    let backup = tenant.make("volumev3", "backups", "", "backup", wish).await;
    let backup = backup["id"].as_str().expect("an id").to_owned();
    let status = |kind: &str, id: &str| {
        let all = things(cloud, "demo", kind);
        let one = all.iter().find(|one| one.text("id") == id);
        one.expect("it is there").text("status").to_owned()
    };
    until(|| async { (status("backups", &backup) == "available").then_some(()) }).await;
    let target = elsewhere.volume("target").await;
    let slow = Times {
        backup_base: std::time::Duration::from_secs(600),
        restore_base: std::time::Duration::from_secs(600),
        ..Times::fast()
    };
    cloud.set_times(slow);
    let wish = json!({"volume_id": target});
    let path = format!("backups/{backup}/restore");
    elsewhere.make("volumev3", &path, "", "restore", wish).await;
    assert_eq!(status("backups", &backup), "restoring");
    let refused = give_up(&house, ThingKind::VolumeBackup, &backup).await;
    let refused = refused.expect_err("it is being restored from");
    assert_eq!(refused.kind, FaultKind::Busy, "{refused}");
    assert!(refused.to_string().contains(&target), "{refused}");
    assert_eq!(status("backups", &backup), "restoring");

    let wish = json!({"volume_id": volume, "name": "an admin's"});
    elsewhere
        .make("volumev3", "backups", "", "backup", wish)
        .await;
    assert_eq!(status("volumes", &volume), "backing-up");
    let refused = give_up(&house, ThingKind::Volume, &volume).await;
    assert_eq!(refused.expect_err("busy").kind, FaultKind::Busy);
    assert_eq!(status("volumes", &volume), "backing-up");
}

async fn give_up(house: &House, kind: ThingKind, id: &str) -> Result<(), Fault> {
    let place = Tenant {
        cloud: CloudName::new("source"),
        project: ProjectId::new(house.home()),
    };
    let id = id.to_owned();
    let request = Request::Apply(Apply::ErrorStatus {
        thing: Thing { kind, id },
    });
    let answer = house.cloud().request_perform(&place, "", &request).await;
    answer.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_which_somebody_has_made_a_snapshot_stays_and_the_snapshot_is_named() {
    let (scene, backup) = Scene::at_the_refuge().await;
    let restoration = scene.restored(&backup).await;
    let restored = scene.house.restoration_at_rest(&restoration.id).await;
    let volume = &restored.volumes[1].volume_id;
    let wish = json!({"volume_id": volume, "name": "before the change", "force": true});
    let made = scene
        .tenant
        .make("volumev3", "snapshots", "volume 3.0", "snapshot", wish)
        .await;
    let snapshot = made["id"].as_str().expect("an id").to_owned();
    let last = scene.deleted(&restoration.id).await;
    assert_eq!(last.state(), pb::State::Erred, "{last:?}");
    let left = scene.house.restoration_at_rest(&restoration.id).await;
    let error = left.error.expect("a reason");
    assert_eq!(error.reason, "IN_USE", "{error:?}");
    assert!(error.message.contains(&snapshot), "{}", error.message);
    assert!(error.message.contains(volume), "{}", error.message);
    let path = format!("snapshots/{snapshot}");
    let (status, _) = scene
        .tenant
        .ask("DELETE", "volumev3", &path, "", None)
        .await;
    assert_eq!(status, 202);
    let last = scene.deleted(&restoration.id).await;
    assert_eq!(last.state(), pb::State::Deleted, "{last:?}");
}
