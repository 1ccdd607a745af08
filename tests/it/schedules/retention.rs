//! What a schedule made is let go in its order, and never the last that is good.

use drbackup::{
    api::pb,
    domain::{
        caller::Scope,
        capture::Capture,
        id::{PointId, PointKind},
        keeping::{Keeping, Rekeeping},
        page::{Filter, Order, Query},
        schedule::RunOutcome,
        time::Timestamp,
    },
    port::clock::Clock as _,
    service::point::{CreatePoint, UpdatePoint},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{HOUR, MINUTE, Scene};
use crate::{house::things, stage::until};

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_goes_only_when_the_new_one_is_good() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.keep.maximum = 1).await;
    // `maximum` limits what the rules want; without one they want everything.
    let first = scene.next_hour(&schedule).await;
    assert_eq!(first.state(), pb::State::Ok, "{:?}", first.error);
    assert_eq!(scene.points(&schedule).await, [first.id.as_str()]);

    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    let held = scene.points(&schedule).await;
    assert!(held.contains(&first.id), "the new one is not good yet");
    let preview = scene
        .service
        .internally("a test")
        .schedule_preview(schedule.id, 3)
        .await;
    assert_eq!(preview.expect("told").judgement.deletions, []);
    let second = scene.finish(&schedule).await;
    assert_eq!(second.state(), pb::State::Ok, "{:?}", second.error);
    until(|| async { (scene.points(&schedule).await == [second.id.clone()]).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_regular_backups_makes_snapshots_and_keeps_as_many_as_are_asked_for() {
    let scene = Scene::set().await;
    let schedule = scene
        .schedule(|plan| {
            plan.kind = PointKind::Regular;
            plan.keep.last = 1;
        })
        .await;
    let mut made = Vec::new();
    for _ in 0..2 {
        scene.hands.wind(HOUR);
        assert_eq!(scene.tick().await, 1);
        until(|| async {
            scene.tick().await;
            let run = scene.runs(&schedule).await.remove(0);
            (run.outcome == RunOutcome::Succeeded).then_some(())
        })
        .await;
        made.extend(scene.runs(&schedule).await.remove(0).point);
    }
    let newest = made[1];
    assert_eq!(newest.kind, PointKind::Regular);
    let filter = Filter {
        kind: Some(PointKind::Regular),
        schedule: Some(schedule.id),
        ..Filter::default()
    };
    until(|| async {
        let query = Query {
            scope: Scope::All,
            filter: filter.clone(),
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 10,
        };
        let page = scene
            .service
            .internally("a test")
            .points_list(query)
            .await
            .expect("listed");
        let ids: Vec<_> = page.items.iter().map(|backup| backup.id).collect();
        (ids == [newest]).then_some(())
    })
    .await;
    assert_eq!(things(&scene.house.source, "demo", "snapshots").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_so_many_is_full_and_retention_goes_from_the_newest_end_of_a_chain() {
    let scene = Scene::set().await;
    let schedule = scene
        .schedule(|plan| {
            plan.full_every = 3;
            plan.keep.last = 1;
        })
        .await;
    let mut increments = Vec::new();
    for _ in 0..4 {
        let backup = scene.next_hour(&schedule).await;
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        increments.push(backup.volume_backups[0].incremental);
    }
    assert_eq!(increments, [false, true, true, false]);
    // The first three went as one chain, from its newest end, as soon as the second full one was there.
    until(|| async {
        scene.service.schedules_prune(10).await.expect("judged");
        (scene.points(&schedule).await.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_hold_or_to_be_kept_outlives_its_retention() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.keep.last = 1).await;
    let first = scene.next_hour(&schedule).await;
    let hold = |held: bool| UpdatePoint {
        id: PointId::dr(first.id.parse().expect("an id")),
        name: None,
        description: None,
        keeping: Rekeeping {
            until: None,
            held: Some(held),
        },
        etag: String::new(),
        request_id: String::new(),
    };
    scene
        .service
        .internally("a test")
        .point_update(hold(true))
        .await
        .expect("held");
    let second = scene.next_hour(&schedule).await;
    assert_eq!(
        scene.points(&schedule).await,
        [first.id.clone(), second.id.clone()]
    );
    let refused = scene
        .house
        .dr_backups()
        .await
        .delete_dr_backup(pb::DeleteDrBackupRequest {
            id: first.id.clone(),
            ..Default::default()
        })
        .await
        .expect_err("a person does not delete it either");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let info = refused.get_details_error_info().expect("told why");
    assert_eq!(info.reason, "ON_HOLD");

    scene
        .service
        .internally("a test")
        .point_update(hold(false))
        .await
        .expect("lifted");
    assert_eq!(scene.service.schedules_prune(10).await, Ok(1));
    until(|| async { (scene.points(&schedule).await == [second.id.clone()]).then_some(()) }).await;
    assert_eq!(
        scene.service.schedules_prune(10).await,
        Ok(0),
        "never the last good one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_be_kept_until_a_time_goes_then_but_not_the_last_of_its_instance() {
    let scene = Scene::set().await;
    let ask = |until: Option<Timestamp>| CreatePoint {
        kind: PointKind::Dr,
        tenant: scene.tenant(),
        server: scene.server.clone(),
        name: String::new(),
        description: String::new(),
        capture: Capture::Snapshot,
        incremental: false,
        minimum: None,
        keeping: Keeping {
            until,
            ..Keeping::default()
        },
        deadline: None,
        validate_only: false,
        request_id: String::new(),
    };
    let soon = scene.hands.now().after(HOUR);
    let short = scene
        .service
        .internally("a test")
        .point_create(ask(Some(soon)))
        .await;
    let short = short.expect("admitted").id.to_string();
    scene.house.backup_at_rest(&short).await;
    scene.hands.wind(MINUTE);
    assert_eq!(scene.service.points_expire(10).await, Ok(0), "not yet");
    scene.hands.wind(HOUR);
    assert_eq!(
        scene.service.points_expire(10).await,
        Ok(0),
        "it is all there is"
    );
    let long = scene
        .service
        .internally("a test")
        .point_create(ask(None))
        .await;
    let long = long.expect("admitted").id.to_string();
    assert_eq!(
        scene.service.points_expire(10).await,
        Ok(0),
        "the other is not good yet"
    );
    scene.house.backup_at_rest(&long).await;
    assert_eq!(scene.service.points_expire(10).await, Ok(1));
    let gone = scene.house.backup_gone(&short);
    gone.await;
    scene.hands.wind(1_000 * HOUR);
    assert_eq!(
        scene.service.points_expire(10).await,
        Ok(0),
        "nobody set a time for it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hollow_point_costs_no_real_one_and_a_cloud_that_is_away_costs_none() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.keep.last = 2).await;
    let first = scene.next_hour(&schedule).await;
    let second = scene.next_hour(&schedule).await;
    // A colleague, another tool, a lost bucket.
    let link = &second.volume_backups[0].backup_id;
    scene.house.source.vanish(link);
    let third = scene.next_hour(&schedule).await;
    assert_eq!(third.state(), pb::State::Ok, "{:?}", third.error);
    assert_eq!(scene.service.schedules_prune(10).await, Ok(0));
    let all = [first.id.clone(), second.id.clone(), third.id.clone()];
    assert_eq!(scene.points(&schedule).await, all);
    let request = pb::GetDrBackupRequest {
        id: second.id.clone(),
        ..Default::default()
    };
    let hollow = scene.house.dr_backups().await.get_dr_backup(request).await;
    let hollow = hollow.expect("it is there").into_inner();
    assert!(!hollow.recoverable);
    assert!(hollow.unrecoverable_reason.contains(link), "{hollow:?}");

    // With a fourth one two good ones stay in any case, as far as that can be seen.
    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    let fourth = scene.points(&schedule).await.pop().expect("it is made");
    let fourth = scene.house.backup_at_rest(&fourth).await;
    assert_eq!(fourth.state(), pb::State::Ok, "{:?}", fourth.error);
    scene.house.source.stop().await;
    assert_eq!(
        scene.service.schedules_prune(10).await,
        Ok(0),
        "nobody looks"
    );
    scene.house.source.start_again().await.expect("up");
    // Now it is seen that two newer ones are good.
    until(|| async {
        scene.service.schedules_prune(10).await.expect("judged");
        let left = scene.points(&schedule).await;
        (left == [third.id.clone(), fourth.id.clone()]).then_some(())
    })
    .await;
}
