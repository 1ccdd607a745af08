//! Schedules as callers see them: made, changed, run at their word, refused with every bad field.

use drbackup::{
    api::pb::{self, schedule_service_client::ScheduleServiceClient},
    sim::{InstanceSpec, Times},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::house::House;

fn wanted(house: &House, server: &str) -> pb::Schedule {
    pb::Schedule {
        cloud: "source".to_owned(),
        tenant: house.home(),
        instance_id: server.to_owned(),
        schedule: "30 3 * * *".to_owned(),
        time_zone: "Europe/Tallinn".to_owned(),
        is_active: true,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_zone_it_is_utc_and_another_one_plans_the_next_run_anew() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let create = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            time_zone: String::new(),
            ..wanted(&house, &server)
        }),
        ..Default::default()
    };
    let made = client.create_schedule(create).await.expect("made");
    let made = made.into_inner();
    assert_eq!(made.time_zone, "UTC");
    let next = made.next_trigger_at.expect("active");
    assert_eq!(next.seconds % 86_400, 3 * 3600 + 30 * 60, "03:30 in UTC");
    let update = pb::UpdateScheduleRequest {
        schedule: Some(pb::Schedule {
            time_zone: "Asia/Tokyo".to_owned(),
            ..made
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["time_zone".to_owned()],
        }),
        ..Default::default()
    };
    let changed = client.update_schedule(update).await.expect("changed");
    let planned = changed.into_inner().next_trigger_at.expect("active");
    assert_eq!(
        planned.seconds % 86_400,
        18 * 3600 + 30 * 60,
        "03:30 in Tokyo"
    );
    assert!(planned.seconds > chrono::Utc::now().timestamp());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_changed_run_and_deleted_through_the_api() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let create = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            retention: Some(pb::Retention {
                retention_time: 7,
                maximal_number_of_resources: 3,
                ..Default::default()
            }),
            ..wanted(&house, &server)
        }),
        request_id: "monday".to_owned(),
        validate_only: false,
    };
    let made = client
        .create_schedule(create.clone())
        .await
        .expect("made")
        .into_inner();
    assert_eq!(
        (made.name.as_str(), made.schedule.as_str()),
        ("shop", "30 3 * * *")
    );
    assert_eq!(made.retention.expect("echoed").retention_time, 7);
    assert!(made.is_active && made.next_trigger_at.is_some());
    let again = client
        .create_schedule(create)
        .await
        .expect("the first answer");
    assert_eq!(again.into_inner(), made);

    let one = |request_id: &str| pb::ActivateScheduleRequest {
        id: made.id.clone(),
        etag: String::new(),
        request_id: request_id.to_owned(),
    };
    let refused = client
        .activate_schedule(one(""))
        .await
        .expect_err("it is active");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let off = pb::DeactivateScheduleRequest {
        id: made.id.clone(),
        ..Default::default()
    };
    let off = client
        .deactivate_schedule(off)
        .await
        .expect("off")
        .into_inner();
    assert!(!off.is_active && off.next_trigger_at.is_none());
    let on = client
        .activate_schedule(one("on"))
        .await
        .expect("on")
        .into_inner();
    assert!(on.is_active && on.next_trigger_at.is_some());

    let update = pb::UpdateScheduleRequest {
        schedule: Some(pb::Schedule {
            id: made.id.clone(),
            time_zone: "America/New_York".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["time_zone".to_owned()],
        }),
        request_id: String::new(),
    };
    let changed = client
        .update_schedule(update)
        .await
        .expect("changed")
        .into_inner();
    assert_eq!(changed.schedule, "30 3 * * *", "what is not named stays");
    assert_ne!(
        changed.next_trigger_at, on.next_trigger_at,
        "another zone, another time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_on_a_callers_word_and_what_it_made_outlives_it() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let create = pb::CreateScheduleRequest {
        schedule: Some(wanted(&house, &server)),
        ..Default::default()
    };
    let made = client.create_schedule(create).await.expect("made");
    let made = made.into_inner();
    let run = pb::RunScheduleRequest {
        id: made.id.clone(),
        request_id: "now".to_owned(),
        ..Default::default()
    };
    let begun = client
        .run_schedule(run.clone())
        .await
        .expect("begun")
        .into_inner();
    let backup = house.backup_at_rest(&begun.dr_backup_id).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    let same = client
        .run_schedule(run)
        .await
        .expect("the same run")
        .into_inner();
    assert_eq!(same.dr_backup_id, begun.dr_backup_id);
    let preview = pb::PreviewScheduleRequest {
        id: made.id.clone(),
        run_count: 3,
    };
    let preview = client
        .preview_schedule(preview)
        .await
        .expect("told")
        .into_inner();
    assert_eq!((preview.run_times.len(), preview.verdicts.len()), (3, 1));
    assert!(preview.verdicts[0].keep && !preview.verdicts[0].reasons.is_empty());

    let delete = pb::DeleteScheduleRequest {
        id: made.id.clone(),
        ..Default::default()
    };
    client.delete_schedule(delete).await.expect("gone");
    let get = pb::GetScheduleRequest {
        id: made.id.clone(),
    };
    let gone = client.get_schedule(get).await.expect_err("it is gone");
    assert_eq!(gone.code(), Code::NotFound);
    house.backup_at_rest(&begun.dr_backup_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_schedule_tells_every_bad_field() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let mut bad = async |change: &dyn Fn(&mut pb::Schedule)| {
        let mut schedule = wanted(&house, &server);
        change(&mut schedule);
        let request = pb::CreateScheduleRequest {
            schedule: Some(schedule),
            ..Default::default()
        };
        let refused = client.create_schedule(request).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let details = refused.get_details_bad_request().expect("the fields");
        let fields = details.field_violations.into_iter();
        fields.map(|one| one.field).collect::<Vec<_>>()
    };
    let fields = bad(&|schedule| {
        schedule.schedule = "61 * * * *".to_owned();
        schedule.time_zone = "Mars/Olympus".to_owned();
    })
    .await;
    assert_eq!(fields, ["schedule.schedule", "schedule.time_zone"]);
    let fields = bad(&|schedule| schedule.schedule = "0 0 31 2 *".to_owned()).await;
    assert_eq!(fields, ["schedule.schedule"]);
    let fields = bad(&|schedule| {
        schedule.instance_id.clear();
        schedule.failures_maximum = -1;
    })
    .await;
    assert_eq!(
        fields,
        ["schedule.instance_id", "schedule.failures_maximum"]
    );
}
