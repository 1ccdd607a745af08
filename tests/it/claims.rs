//! What is claimed of points and how long it holds: losses behind our back are noticed, told, and forgotten
//! when they are made good; nothing is let go on an old claim. Through the API, beside a stranger in the
//! clouds; it may not look inside the service.

use drbackup::{
    api::pb,
    domain::{
        event::Event,
        id::{PointId, ResourceId},
        time::Timestamp,
    },
    service::Service,
    sim::{self, Action, InstanceSpec, Rule, Times},
};
use tonic::Code;

use crate::{
    house::{House, things, without_grace},
    stage::until,
};

fn service(house: &House) -> Service {
    house.service(&house.store, without_grace())
}

/// One look at everything, as it is due within an interval.
async fn look(house: &House) -> Vec<Option<String>> {
    let due = Timestamp(i64::MAX);
    let sweeps = service(house).points_verify((due, due), 100).await;
    let sweeps = sweeps.expect("looked");
    sweeps.into_iter().map(|one| one.problem).collect()
}

/// A point of either kind, as far as its claim goes.
#[derive(Debug)]
struct Claim {
    recoverable: bool,
    reason: String,
    verified: Option<prost_types::Timestamp>,
    etag: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Dr,
    Regular,
}

async fn claim(house: &House, kind: Kind, id: &str) -> Claim {
    let id = id.to_owned();
    match kind {
        Kind::Dr => {
            let request = pb::GetDrBackupRequest {
                id,
                ..Default::default()
            };
            let answer = house.dr_backups().await.get_dr_backup(request).await;
            let one = answer.expect("it is there").into_inner();
            Claim {
                recoverable: one.recoverable,
                reason: one.unrecoverable_reason,
                verified: one.verified_time,
                etag: one.etag,
            }
        }
        Kind::Regular => {
            let request = pb::GetBackupRequest {
                id,
                ..Default::default()
            };
            let answer = house.backups().await.get_backup(request).await;
            let one = answer.expect("it is there").into_inner();
            Claim {
                recoverable: one.recoverable,
                reason: one.unrecoverable_reason,
                verified: one.verified_time,
                etag: one.etag,
            }
        }
    }
}

async fn last_event(house: &House, kind: Kind, id: &str) -> Event {
    let id = match kind {
        Kind::Dr => ResourceId::Point(PointId::dr(id.parse().expect("an id"))),
        Kind::Regular => ResourceId::Point(PointId::regular(id.parse().expect("an id"))),
    };
    let mut events = house.store.events_list(id, 0, 1_000).await.expect("read");
    events.pop().expect("there is one")
}

fn instance(house: &House) -> sim::Instance {
    let shop = InstanceSpec::new("shop", &[1, 1]);
    house.source.create_instance(&shop).expect("made")
}

/// A chain of three links for each volume, and a regular backup; with the ids of all parts of each.
async fn both_kinds(house: &House) -> [(Kind, String, Vec<String>); 2] {
    let server = instance(house).server;
    house.back_up_to_end(&server).await;
    house.back_up_changes(&server).await;
    let newest = house.back_up_changes(&server).await;
    assert_eq!(newest.state(), pb::State::Ok, "{:?}", newest.error);
    let links: Vec<String> = newest
        .volume_backups
        .iter()
        .map(|link| link.backup_id.clone())
        .collect();
    assert_eq!(links.len(), 6, "three links for each of two volumes");
    let kept = house.kept(&house.keep(&server).await.id).await;
    assert_eq!(kept.state(), pb::State::Ok, "{:?}", kept.error);
    let snapshots = kept
        .snapshots
        .iter()
        .map(|one| one.snapshot_id.clone())
        .collect();
    [
        (Kind::Dr, newest.id, links),
        (Kind::Regular, kept.id, snapshots),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_loss_of_every_part_is_noticed_by_the_next_look_told_and_forgotten_when_made_good() {
    let house = House::open(Times::fast()).await;
    let points = both_kinds(&house).await;
    let mut sweeps = 0;
    for (kind, id, parts) in &points {
        let fresh = claim(&house, *kind, id).await;
        assert!(fresh.recoverable, "{fresh:?}");
        assert!(fresh.verified.is_some(), "what was just made was just seen");
        for part in parts {
            for status in ["error", "deleting", "error_deleting", "creating"] {
                house.source.set_status(part, status).expect("set");
                noticed(&house, *kind, id, part, status).await;
                house.source.set_status(part, "available").expect("set");
                made_good(&house, *kind, id).await;
                sweeps += 1;
            }
            for gib in [0, 9] {
                let was = house.source.set_size(part, gib).expect("set");
                noticed(&house, *kind, id, part, "GiB instead of 1").await;
                house.source.set_size(part, was).expect("set");
                made_good(&house, *kind, id).await;
                sweeps += 1;
            }
        }
    }
    // Gone for good comes last, from the newest link to the oldest, each noticed in its turn.
    for (kind, id, parts) in &points {
        house.source.vanish(&parts[1]);
        noticed(&house, *kind, id, &parts[1], "missing").await;
        sweeps += 1;
    }
    assert_eq!(sweeps, 2 + 6 * (6 + 2));
}

async fn noticed(house: &House, kind: Kind, id: &str, part: &str, word: &str) {
    let before = claim(house, kind, id).await;
    assert_eq!(look(house).await, [None]);
    let after = claim(house, kind, id).await;
    assert!(!after.recoverable, "{part} {word}: {after:?}");
    assert!(after.reason.contains(part), "{after:?}");
    assert!(after.reason.contains(word), "{after:?}");
    assert_ne!(after.etag, before.etag, "it is another version");
    let event = last_event(house, kind, id).await;
    assert!(event.runtime_state.contains(&after.reason), "{event:?}");
    // Told once.
    assert_eq!(look(house).await, [None]);
    assert_eq!(
        last_event(house, kind, id).await.sequence,
        event.sequence,
        "the same again is no news"
    );
}

async fn made_good(house: &House, kind: Kind, id: &str) {
    assert_eq!(look(house).await, [None]);
    let after = claim(house, kind, id).await;
    assert!(after.recoverable, "{after:?}");
    let event = last_event(house, kind, id).await;
    assert_eq!(event.runtime_state, "Available");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_renews_the_age_without_another_version_and_an_unreachable_cloud_lets_it_grow() {
    let house = House::open(Times::fast()).await;
    let points = both_kinds(&house).await;
    assert_eq!(look(&house).await, [None]);
    let mut before = Vec::new();
    for (kind, id, _) in &points {
        before.push(claim(&house, *kind, id).await);
    }
    assert_eq!(look(&house).await, [None]);
    for ((kind, id, _), before) in points.iter().zip(&before) {
        let after = claim(&house, *kind, id).await;
        let time = |claim: &Claim| {
            let seen = claim.verified.as_ref().expect("seen");
            (seen.seconds, seen.nanos)
        };
        assert!(time(&after) > time(before), "renewed");
        assert_eq!(after.etag, before.etag, "nothing else changed");
    }
    house.source.clear_requests();
    assert_eq!(look(&house).await, [None]);
    let asked: Vec<String> = house
        .source
        .requests()
        .into_iter()
        .map(|one| format!("{} {}", one.method, one.path))
        .collect();
    assert_eq!(
        asked.len(),
        2,
        "one list of each kind for all points: {asked:?}"
    );
    let mut before = Vec::new();
    for (kind, id, _) in &points {
        before.push(claim(&house, *kind, id).await);
    }
    house.source.stop().await;
    let problems = look(&house).await;
    assert!(problems.iter().all(Option::is_some), "{problems:?}");
    for ((kind, id, _), before) in points.iter().zip(&before) {
        let after = claim(&house, *kind, id).await;
        assert!(after.recoverable, "{after:?}");
        assert_eq!(after.verified, before.verified, "the age grows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_record_that_was_deleted_makes_doubtful_until_a_restoration_proves_it() {
    let house = House::open(Times::fast()).await;
    house.dr.create_network("demo", "internal").expect("made");
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    let restored = house.restore(&backup.id).await;
    let restored = house.restoration_at_rest(&restored.id).await;
    assert_eq!(restored.state(), pb::State::Ok, "{:?}", restored.error);
    assert_eq!(look(&house).await, [None]);
    assert!(claim(&house, Kind::Dr, &backup.id).await.recoverable);

    // The row alone, so that the bytes are still there for the proof.
    let record = backup.volume_backups[0].backup_id.clone();
    house.dr.vanish(&record);
    assert_eq!(look(&house).await, [None]);
    let doubtful = claim(&house, Kind::Dr, &backup.id).await;
    assert!(!doubtful.recoverable, "{doubtful:?}");
    assert!(doubtful.reason.contains(&record), "{doubtful:?}");
    assert!(doubtful.reason.contains("imported record"), "{doubtful:?}");
    // The list of the source goes on saying `available`, which proves nothing.
    assert_eq!(look(&house).await, [None]);
    assert!(!claim(&house, Kind::Dr, &backup.id).await.recoverable);

    let again = house.restore(&backup.id).await;
    let again = house.restoration_at_rest(&again.id).await;
    assert_eq!(again.state(), pb::State::Ok, "{:?}", again.error);
    let proved = claim(&house, Kind::Dr, &backup.id).await;
    assert!(proved.recoverable, "{proved:?}");
    assert_eq!(look(&house).await, [None]);
    assert!(claim(&house, Kind::Dr, &backup.id).await.recoverable);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_outlive_their_row_come_back_although_nothing_is_claimed() {
    let house = House::open(Times::fast()).await;
    house.dr.create_network("demo", "internal").expect("made");
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    // As after a database of Cinder that was put back to the day before.
    for part in &backup.volume_backups {
        house.source.vanish(&part.backup_id);
    }
    assert_eq!(look(&house).await, [None]);
    let claimed = claim(&house, Kind::Dr, &backup.id).await;
    assert!(!claimed.recoverable, "{claimed:?}");
    let tried = house.restore(&backup.id).await;
    let tried = house.restoration_at_rest(&tried.id).await;
    assert_eq!(tried.state(), pb::State::Ok, "{:?}", tried.error);
    assert_eq!(look(&house).await, [None]);
    let still = claim(&house, Kind::Dr, &backup.id).await;
    assert!(
        !still.recoverable,
        "the rows are gone all the same: {still:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_for_want_of_bytes_makes_doubtful_whatever_lists_say() {
    let house = House::open(Times::fast()).await;
    house.dr.create_network("demo", "internal").expect("made");
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    let broken = house
        .dr
        .fault(Rule::on(
            sim::Service::Volume,
            "POST",
            "/restore$",
            Action::Fail {
                reason: "the object is not there".to_owned(),
            },
        ))
        .expect("armed");
    let failed = house.restore(&backup.id).await;
    let failed = house.restoration_at_rest(&failed.id).await;
    assert_eq!(failed.state(), pb::State::Erred);
    house.dr.fault_remove(broken);
    let doubtful = claim(&house, Kind::Dr, &backup.id).await;
    assert!(!doubtful.recoverable, "{doubtful:?}");
    assert!(doubtful.reason.contains("a restoration of it has failed"));
    let event = last_event(&house, Kind::Dr, &backup.id).await;
    assert!(event.runtime_state.contains("Not recoverable"), "{event:?}");
    assert_eq!(look(&house).await, [None]);
    assert!(!claim(&house, Kind::Dr, &backup.id).await.recoverable);

    // It may be tried, and whoever asks beforehand is told what speaks against it.
    let asked = pb::CreateRestorationRequest {
        validate_only: true,
        ..house.wish(&backup.id)
    };
    let told = house.restorations().await.create_restoration(asked).await;
    let told = told.expect("it may be tried").into_inner();
    let mut told = told.differences.into_iter();
    let told = told.find(|one| one.attribute == "backup").expect("told");
    assert!(told.why.contains(&doubtful.reason), "{told:?}");

    let proof = house.restore(&backup.id).await;
    let proof = house.restoration_at_rest(&proof.id).await;
    assert_eq!(proof.state(), pb::State::Ok, "{:?}", proof.error);
    assert!(claim(&house, Kind::Dr, &backup.id).await.recoverable);
}

async fn delete(house: &House, id: &str, allow_missing_cloud: bool) {
    let request = pb::DeleteDrBackupRequest {
        id: id.to_owned(),
        allow_missing_cloud,
        ..Default::default()
    };
    let answer = house.dr_backups().await.delete_dr_backup(request).await;
    answer.expect("admitted");
}

async fn cancel(house: &House, id: &str) -> pb::DrBackup {
    let request = pb::CancelDrBackupRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    let answer = house.dr_backups().await.cancel_dr_backup(request).await;
    answer.expect("admitted");
    house.backup_at_rest(id).await
}

async fn deletion_asked_for(house: &House, id: &str) {
    until(|| async {
        let request = pb::GetDrBackupRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        let answer = house.dr_backups().await.get_dr_backup(request).await;
        let one = answer.expect("it is there").into_inner();
        let waits = one
            .progress
            .is_some_and(|progress| !progress.waiting.is_empty());
        (one.state == i32::from(pb::State::Deleting) && waits).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_deleted_nothing_leaves_the_point_as_it_was() {
    let house = House::open(Times::fast()).await;
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;

    // Its cloud is away.
    house.source.stop().await;
    delete(&house, &backup.id, false).await;
    deletion_asked_for(&house, &backup.id).await;
    let ended = cancel(&house, &backup.id).await;
    assert_eq!(ended.state(), pb::State::Erred);
    assert!(ended.recoverable, "{}", ended.unrecoverable_reason);
    house.source.start_again().await.expect("up");

    // Cinder refuses, because somebody else has built on it.
    let link = &backup.volume_backups[0].backup_id;
    let refusal = "Invalid backup: Incremental backups exist for this backup.";
    let rule = house
        .source
        .fault(Rule::on(
            sim::Service::Volume,
            "DELETE",
            "/backups/",
            Action::Answer {
                status: 400,
                body: serde_json::json!({"badRequest": {"code": 400, "message": refusal}}),
                headers: Vec::new(),
                acted: false,
            },
        ))
        .expect("armed");
    delete(&house, &backup.id, false).await;
    let ended = house.backup_at_rest(&backup.id).await;
    house.source.fault_remove(rule);
    assert_eq!(ended.state(), pb::State::Erred);
    assert!(ended.recoverable, "{}", ended.unrecoverable_reason);
    assert_eq!(look(&house).await, [None]);
    assert!(claim(&house, Kind::Dr, &backup.id).await.recoverable);
    let restored = house.restore(&backup.id).await;
    let request = pb::GetRestorationRequest { id: restored.id };
    house
        .restorations()
        .await
        .get_restoration(request)
        .await
        .expect("it may be restored");
    let there = things(&house.source, "demo", "backups");
    assert!(there.iter().any(|one| one.text("id") == *link));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_deleted_something_says_so_and_cannot_be_restored() {
    let house = House::open(Times::fast()).await;
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    let [first, second] = [0, 1].map(|index| backup.volume_backups[index].backup_id.clone());
    house
        .source
        .fault(Rule::on(
            sim::Service::Volume,
            "DELETE",
            &format!("/backups/{second}$"),
            Action::Answer {
                status: 503,
                body: serde_json::json!({}),
                headers: Vec::new(),
                acted: false,
            },
        ))
        .expect("armed");
    delete(&house, &backup.id, false).await;
    until(|| async {
        let there = things(&house.source, "demo", "backups");
        (!there.iter().any(|one| one.text("id") == first)).then_some(())
    })
    .await;
    let ended = cancel(&house, &backup.id).await;
    assert_eq!(ended.state(), pb::State::Erred);
    assert!(!ended.recoverable);
    look(&house).await;
    assert!(!claim(&house, Kind::Dr, &backup.id).await.recoverable);
    let refused = house
        .restorations()
        .await
        .create_restoration(house.wish(&backup.id))
        .await
        .expect_err("in vain");
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_a_missing_cloud_is_forgotten_only_on_the_callers_word() {
    let house = House::open(Times::fast()).await;
    house.dr.create_network("demo", "internal").expect("made");
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    let restored = house.restore(&backup.id).await;
    let restored = house.restoration_at_rest(&restored.id).await;
    assert_eq!(restored.state(), pb::State::Ok, "{:?}", restored.error);
    let mirrors = || things(&house.dr, "demo", "backups").len();
    assert_eq!(mirrors(), 2);

    house.source.stop().await;
    delete(&house, &backup.id, false).await;
    deletion_asked_for(&house, &backup.id).await;
    assert_eq!(mirrors(), 2, "the originals come first");
    cancel(&house, &backup.id).await;

    delete(&house, &backup.id, true).await;
    let gone = until(|| async {
        let event = last_event(&house, Kind::Dr, &backup.id).await;
        (event.state.name() == "DELETED").then_some(event)
    })
    .await;
    assert_eq!(mirrors(), 0, "a living cloud is cleaned up");
    for link in &backup.volume_backups {
        assert!(gone.runtime_state.contains(&link.backup_id), "{gone:?}");
    }
    assert!(gone.runtime_state.contains("forgotten"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_cloud_is_not_forgotten_whatever_is_allowed() {
    let house = House::open(Times::fast()).await;
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    delete(&house, &backup.id, true).await;
    house.backup_gone(&backup.id).await;
    assert_eq!(things(&house.source, "demo", "backups").len(), 0);
    let event = last_event(&house, Kind::Dr, &backup.id).await;
    assert_eq!(event.runtime_state, "Deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_whose_connections_break_off_for_a_moment_is_not_forgotten() {
    let house = House::open(Times::fast()).await;
    let server = instance(&house).server;
    let backup = house.back_up_to_end(&server).await;
    let broken = Rule::any(Action::ResetBefore).times(6);
    house.source.fault(broken).expect("armed");
    delete(&house, &backup.id, true).await;
    house.backup_gone(&backup.id).await;
    let left = house.source.state()["projects"]["demo"]["backups"].clone();
    assert_eq!(
        left,
        serde_json::json!([]),
        "they went, and were not forgotten"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_is_that_of_a_look_after_the_last_capture() {
    let house = House::open(Times::fast()).await;
    for (minimum, reason) in [
        (pb::consistency::Level::Unspecified, None),
        (
            pb::consistency::Level::ShutOff,
            Some("CONSISTENCY_NOT_REACHED"),
        ),
    ] {
        let server = instance(&house).server;
        house
            .source
            .set_status(&server, "SHUTOFF")
            .expect("stopped");
        // The snapshots take their time, and somebody starts the server meanwhile.
        let hang = house
            .source
            .fault(
                Rule::on(
                    sim::Service::Volume,
                    "POST",
                    "/snapshots$",
                    Action::Hang {
                        milliseconds: Some(700),
                        acted: false,
                    },
                )
                .times(2),
            )
            .expect("armed");
        let request = pb::CreateDrBackupRequest {
            cloud: "source".to_owned(),
            tenant: house.home(),
            instance_id: server.clone(),
            minimum_consistency: minimum.into(),
            ..Default::default()
        };
        let answer = house.dr_backups().await.create_dr_backup(request).await;
        let backup = answer.expect("admitted").into_inner();
        until(|| async { (house.source.fault_happened(hang) > 0).then_some(()) }).await;
        house.source.set_status(&server, "ACTIVE").expect("started");
        let backup = house.backup_at_rest(&backup.id).await;
        house.source.fault_remove(hang);
        match reason {
            None => {
                assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
                let level = backup.consistency.expect("told").level();
                assert_eq!(level, pb::consistency::Level::VolumeSnapshots);
            }
            Some(reason) => {
                assert_eq!(backup.state(), pb::State::Erred);
                assert_eq!(backup.error.expect("told").reason, reason);
                assert_eq!(things(&house.source, "demo", "snapshots").len(), 0);
            }
        }
    }
}
