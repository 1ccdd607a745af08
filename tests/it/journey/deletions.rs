//! A cancel and a deletion take what they made, and leave what others use.

use drbackup::{api::pb, sim};

use super::{state, wait_until};
use crate::house::{House, census, things};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_leaves_nothing_behind() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1, 1]))
        .expect("made");
    let before = census(&house.source, "demo");
    let slow = sim::Times {
        backup_base: std::time::Duration::from_millis(400),
        ..sim::Times::fast()
    };
    house.source.set_times(slow);
    let backup = house.back_up(&instance.server).await;
    wait_until(|| !things(&house.source, "demo", "backups").is_empty()).await;
    let request = pb::CancelDrBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    house
        .dr_backups()
        .await
        .cancel_dr_backup(request)
        .await
        .expect("it can be cancelled");
    let backup = house.backup_at_rest(&backup.id).await;
    assert_eq!(state(backup.state), pb::State::Erred);
    assert_eq!(backup.error.expect("a reason").reason, "CANCELLED");
    assert_eq!(before, census(&house.source, "demo"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_dr_backup_takes_its_bytes_and_its_mirrors_along() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1, 1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = house.restore(&backup.id).await;
    let request = pb::DeleteDrBackupRequest {
        id: backup.id.clone(),
        ..Default::default()
    };
    let refusal = house
        .dr_backups()
        .await
        .delete_dr_backup(request.clone())
        .await
        .expect_err("in use");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition);
    assert!(
        refusal.message().contains(&restoration.id),
        "{}",
        refusal.message()
    );
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        state(restoration.state),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let servers = things(&house.dr, "demo", "servers").len();
    house
        .dr_backups()
        .await
        .delete_dr_backup(request)
        .await
        .expect("it may go now");
    wait_until(|| things(&house.dr, "demo", "backups").is_empty()).await;
    assert!(things(&house.source, "demo", "backups").is_empty());
    assert_eq!(
        things(&house.dr, "demo", "servers").len(),
        servers,
        "the instance stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_the_cloud_forgets_is_asked_for_again() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let before = things(&house.dr, "demo", "servers").len();
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    let forgotten = sim::Action::Answer {
        status: 404,
        body: serde_json::json!({"itemNotFound": {"code": 404, "message": "no such server"}}),
        headers: Vec::new(),
        acted: false,
    };
    let (service, path) = (sim::Service::Compute, "/servers/");
    let rule = sim::Rule::on(service, "DELETE", path, forgotten);
    house.dr.fault(rule.times(1)).expect("a rule");
    let request = pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        delete_instance: true,
        ..Default::default()
    };
    let mut client = house.restorations().await;
    client.delete_restoration(request).await.expect("it may go");
    house.restoration_gone(&restoration.id).await;
    assert_eq!(things(&house.dr, "demo", "servers").len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_is_removed_with_or_without_its_instance() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let before = census(&house.dr, "demo");
    for delete_instance in [false, true] {
        let restoration = house.restore(&backup.id).await;
        let restoration = house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        let request = pb::DeleteRestorationRequest {
            id: restoration.id.clone(),
            delete_instance,
            ..Default::default()
        };
        house
            .restorations()
            .await
            .delete_restoration(request)
            .await
            .expect("it may go");
        let mut client = house.restorations().await;
        let get = pb::GetRestorationRequest {
            id: restoration.id.clone(),
        };
        let gone = async {
            while client.get_restoration(get.clone()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), gone)
            .await
            .expect("it goes");
        let servers = things(&house.dr, "demo", "servers").len();
        let expected = before["servers"] + 1;
        assert_eq!(servers, expected, "with the instance: {delete_instance}");
    }
    let backups = things(&house.dr, "demo", "backups").len();
    assert_eq!(backups, 1, "an imported record outlives every restoration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_deletion_answers_as_the_first_did_when_all_is_gone() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;

    let request = pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        request_id: "away with it".to_owned(),
        ..Default::default()
    };
    let mut client = house.restorations().await;
    let first = client.delete_restoration(request.clone()).await;
    let first = first.expect("it may go").into_inner();
    assert_eq!(state(first.state), pb::State::DeletionScheduled);
    house.restoration_gone(&restoration.id).await;
    let again = client.delete_restoration(request.clone()).await;
    assert_eq!(again.expect("the same answer").into_inner(), first);
    let other = pb::DeleteRestorationRequest {
        delete_instance: true,
        ..request
    };
    let refusal = client.delete_restoration(other).await.expect_err("another");
    assert_eq!(refusal.code(), tonic::Code::AlreadyExists);

    let request = pb::DeleteDrBackupRequest {
        id: backup.id.clone(),
        request_id: "away with it".to_owned(),
        ..Default::default()
    };
    let mut client = house.dr_backups().await;
    let first = client.delete_dr_backup(request.clone()).await;
    let mut first = first.expect("it may go").into_inner();
    assert_eq!(state(first.state), pb::State::DeletionScheduled);
    house.backup_gone(&backup.id).await;
    let again = client.delete_dr_backup(request.clone()).await;
    // Where it was imported is kept beside it and goes with it.
    let [volume_backup] = &mut first.volume_backups[..] else {
        panic!("{first:?}")
    };
    assert_eq!(volume_backup.mirrors.len(), 1);
    volume_backup.mirrors.clear();
    assert_eq!(again.expect("the same answer").into_inner(), first);
    let other = pb::DeleteDrBackupRequest {
        allow_missing_cloud: true,
        ..request
    };
    let refusal = client.delete_dr_backup(other).await.expect_err("another");
    assert_eq!(refusal.code(), tonic::Code::AlreadyExists);
    let unkeyed = pb::DeleteDrBackupRequest {
        id: backup.id,
        ..Default::default()
    };
    let refusal = client.delete_dr_backup(unkeyed).await.expect_err("gone");
    assert_eq!(refusal.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_group_that_others_use_is_left_to_them() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&sim::InstanceSpec::new("web", &[1]))
        .expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    let groups = things(&house.dr, "demo", "security_groups").len();
    let mut restorations = Vec::new();
    for _ in 0..2 {
        let restoration = house.restore(&backup.id).await;
        restorations.push(house.restoration_at_rest(&restoration.id).await);
    }
    let made = things(&house.dr, "demo", "security_groups").len() - groups;
    assert_eq!(
        made, 1,
        "the second restoration found the group of the first by its content"
    );
    let servers = things(&house.dr, "demo", "servers").len();
    for (index, restoration) in restorations.iter().enumerate() {
        assert_eq!(
            state(restoration.state),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        let request = pb::DeleteRestorationRequest {
            id: restoration.id.clone(),
            delete_instance: true,
            ..Default::default()
        };
        let mut client = house.restorations().await;
        client.delete_restoration(request).await.expect("it may go");
        let get = pb::GetRestorationRequest {
            id: restoration.id.clone(),
        };
        let gone = async {
            while client.get_restoration(get.clone()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(std::time::Duration::from_secs(20), gone).await;
        gone.expect("it goes, whoever uses its group");
        let left = things(&house.dr, "demo", "servers").len();
        assert_eq!(left, servers - index - 1);
    }
}
