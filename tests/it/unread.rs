//! One bad row, or one bad planner, stops nobody else: tried through the API, with a hand that spoils what
//! is stored as a newer version of the service would.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use drbackup::{
    api::pb,
    domain::{
        capture::Capture,
        error::{ErrorKind, UNREADABLE, UNREADABLE_TEXT},
        id::{CloudName, PointKind, ProjectId, ServerId, Tenant},
        keeping::Keeping,
        operation::Ask,
    },
    plan,
    service::point::CreatePoint,
    sim::{Action, InstanceSpec, Rule, Service, Times},
};

use tonic_types::StatusExt as _;

use crate::{
    house::{House, census, things},
    stage::until,
};

fn state(number: i32) -> pb::State {
    pb::State::try_from(number).expect("a known state")
}

/// Runs statements in a database of SQLite beside the service.
fn sql(path: &Path, statements: &str) {
    let mut other = SqliteConnection::establish(&path.to_string_lossy()).expect("opened");
    other
        .batch_execute(&format!("PRAGMA busy_timeout = 10000; {statements}"))
        .expect("done");
}

async fn get(house: &House, id: &str) -> pb::DrBackup {
    let request = pb::GetDrBackupRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    let answer = house.dr_backups().await.get_dr_backup(request).await;
    answer.expect("it is there").into_inner()
}

/// Waits until a DR backup tells something that contains these words.
async fn tells(house: &House, id: &str, words: &str) -> pb::DrBackup {
    until(async || {
        let now = get(house, id).await;
        now.runtime_state.contains(words).then_some(now)
    })
    .await
}

/// Two instances of the source; a DR backup of the first cannot get beyond its snapshot.
async fn with_one_that_waits() -> (House, pb::DrBackup, String) {
    let house = House::open(Times::fast()).await;
    let shop = house
        .source
        .create_instance(&InstanceSpec::new("shop", &[1]));
    let other = house
        .source
        .create_instance(&InstanceSpec::new("other", &[1]));
    let (shop, other) = (shop.expect("made"), other.expect("made"));
    let stuck = Rule::on(Service::Volume, "POST", "/snapshots", Action::Stuck);
    house.source.fault(stuck.times(1)).expect("a rule");
    let waits = house.back_up(&shop.server).await;
    until(async || {
        let snapshots = things(&house.source, "demo", "snapshots");
        (!snapshots.is_empty()).then_some(())
    })
    .await;
    (house, waits, other.server)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_of_a_newer_version_is_set_aside_and_the_rest_of_its_tenant_goes_on() {
    let (mut house, spoilt, other) = with_one_that_waits().await;
    house.kill_engine();
    let path = house.database();
    sql(
        &path,
        "CREATE TABLE kept AS SELECT * FROM effects; \
         UPDATE effects SET request = '{\"ask\":\"made_by_a_newer_version\"}' \
         WHERE key LIKE '%snapshot%'",
    );
    house.start_engine();
    let told = tells(&house, &spoilt.id, UNREADABLE_TEXT).await;
    assert_eq!(
        state(told.state),
        pb::State::Creating,
        "it is left as it is"
    );
    // The same tenant, and a caller who wants the other one to end.
    let good = house.back_up_to_end(&other).await;
    assert_eq!(state(good.state), pb::State::Ok, "{:?}", good.error);
    let list = pb::ListDrBackupsRequest::default();
    let list = house.dr_backups().await.list_dr_backups(list).await;
    let list = list.expect("a list").into_inner().dr_backups;
    let in_list = list.iter().find(|one| one.id == spoilt.id).expect("listed");
    assert!(
        in_list.runtime_state.contains(UNREADABLE_TEXT),
        "{in_list:#?}"
    );
    let cancel = pb::CancelDrBackupRequest {
        id: spoilt.id.clone(),
        ..Default::default()
    };
    let cancelled = house.dr_backups().await.cancel_dr_backup(cancel).await;
    assert!(cancelled.is_ok(), "{cancelled:?}");
    assert_eq!(
        things(&house.source, "demo", "snapshots").len(),
        1,
        "nothing is done for it"
    );

    // Somebody who can read it goes on where it was left.
    let snapshot = things(&house.source, "demo", "snapshots").remove(0);
    let freed = house.source.set_status(snapshot.text("id"), "available");
    freed.expect("it is there");
    sql(
        &path,
        "UPDATE effects SET request = (SELECT request FROM kept \
         WHERE kept.operation = effects.operation AND kept.key = effects.key) \
         WHERE key LIKE '%snapshot%' AND operation IN (SELECT operation FROM kept)",
    );
    let ended = house.backup_at_rest(&spoilt.id).await;
    assert_eq!(ended.error.expect("it was cancelled").reason, "CANCELLED");
    assert_eq!(census(&house.source, "demo")["snapshots"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_panics_holds_its_own_operation_and_no_other() {
    let mut house = House::open(Times::fast()).await;
    let shop = house
        .source
        .create_instance(&InstanceSpec::new("shop", &[1]));
    let other = house
        .source
        .create_instance(&InstanceSpec::new("other", &[1]));
    let (shop, other) = (shop.expect("made"), other.expect("made"));
    house.kill_engine();
    let broken = Arc::new(AtomicBool::new(true));
    let (is_broken, wrong) = (Arc::clone(&broken), shop.server.clone());
    house.start_engine_with(Arc::new(move |operation, ledger, now| {
        let about_wrong = matches!(&operation.ask, Ask::CreateDrBackup { server, .. } if server.as_str() == wrong);
        assert!(!(about_wrong && is_broken.load(Ordering::SeqCst)), "a volume of size -1");
        plan::plan(&plan::PatienceSettings::default(), operation, ledger, now)
    }));
    let held = house.back_up(&shop.server).await;
    let told = tells(&house, &held.id, "a defect of this version").await;
    assert!(
        told.runtime_state.contains("a volume of size -1"),
        "{told:#?}"
    );
    let good = house.back_up_to_end(&other.server).await;
    assert_eq!(state(good.state), pb::State::Ok, "{:?}", good.error);

    // It is asked again, and goes on as if nothing had been.
    broken.store(false, Ordering::SeqCst);
    let held = house.backup_at_rest(&held.id).await;
    assert_eq!(state(held.state), pb::State::Ok, "{:?}", held.error);
    assert!(!held.runtime_state.contains("defect"), "{held:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_panics_when_it_is_asked_beforehand_is_an_error_of_that_call() {
    let house = House::open(Times::fast()).await;
    let spec = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let service = house.service_with(Arc::new(|_, _, _| panic!("a volume of size -1")));
    let asked = tokio::spawn(async move {
        let ask = CreatePoint {
            kind: PointKind::Dr,
            tenant: Tenant {
                cloud: CloudName::new("source"),
                project: ProjectId::new(house.home()),
            },
            server: ServerId::new(server),
            name: String::new(),
            description: String::new(),
            capture: Capture::default(),
            incremental: false,
            minimum: None,
            keeping: Keeping::default(),
            deadline: None,
            validate_only: true,
            request_id: String::new(),
        };
        service.internally("a test").point_create(ask).await
    });
    let refused = asked.await.expect("no panic").expect_err("it says nothing");
    assert_eq!(refused.kind, ErrorKind::Internal, "{refused:?}");
    assert!(
        refused.message.contains("a volume of size -1"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_a_newer_version_is_neither_gone_by_nor_blamed_on_the_caller() {
    let house = House::open(Times::fast()).await;
    let spec = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&spec).expect("made").server;
    let create = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            cloud: "source".to_owned(),
            tenant: house.home(),
            instance_id: server,
            schedule: "@daily".to_owned(),
            time_zone: "UTC".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let client = &mut house.schedules().await;
    let made = client.create_schedule(create).await.expect("made");
    let made = made.into_inner();
    sql(
        &house.database(),
        "UPDATE schedules SET plan = '{\"missed\":\"catch_up_all\"}'",
    );
    let id = || made.id.clone();
    let update = pb::UpdateScheduleRequest {
        schedule: Some(pb::Schedule {
            id: id(),
            description: "other words".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["description".to_owned()],
        }),
        ..Default::default()
    };
    let preview = pb::PreviewScheduleRequest {
        id: id(),
        ..Default::default()
    };
    let run = pb::RunScheduleRequest {
        id: id(),
        ..Default::default()
    };
    let activate = pb::ActivateScheduleRequest {
        id: id(),
        ..Default::default()
    };
    let deactivate = pb::DeactivateScheduleRequest {
        id: id(),
        ..Default::default()
    };
    for refused in [
        client.update_schedule(update).await.map(drop),
        client.preview_schedule(preview).await.map(drop),
        client.run_schedule(run).await.map(drop),
        client.activate_schedule(activate).await.map(drop),
        client.deactivate_schedule(deactivate).await.map(drop),
    ] {
        let refused = refused.expect_err("nobody can read it");
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        let told = refused.get_error_details();
        let told = told.error_info().expect("a reason");
        assert_eq!(told.reason, UNREADABLE, "{refused:?}");
    }
}
