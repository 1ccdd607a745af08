//! A replica of before and one of today over one PostgreSQL, with work under way; it may not look inside the
//! service.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use drbackup::{
    api::pb::{
        self, backup_service_client::BackupServiceClient,
        schedule_service_client::ScheduleServiceClient,
    },
    sim::{Action, Cloud, Rule, Service, Times},
};
use prost::Message;

use super::{
    old_program,
    told::{lost, spelled},
};
use crate::{
    judge,
    kill::{restoration_at_rest, restorations},
    postgres,
    replica::{Fleet, Replica},
    replicas::is_ok,
    stage::until,
};

/// The program of before; where it is not there, that is told to whoever runs the tests, past cargo, which keeps
/// what a test prints that passes.
fn old_program_or_say() -> Option<PathBuf> {
    let program = old_program();
    if program.is_none() {
        let words = "\nTHE ROLLING UPGRADE DID NOT RUN: there is no program of before; tests/upgrade/old builds it\n";
        let told = std::io::stderr().write_all(words.as_bytes());
        told.expect("somebody listens");
    }
    program
}

/// A replica whose lanes are free soon after its death.
async fn replica(fleet: &Fleet, program: &Path) -> Replica {
    let mut command = fleet.command_of(program);
    command
        .env("DRBACKUP_ENGINE__LEASE", "2s")
        .env("DRBACKUP_ENGINE__LEASE_MARGIN", "500ms")
        .env("DRBACKUP_SCHEDULES__TICK_LONGEST", "1s");
    Replica::start(command).await
}

/// The next request of this kind is carried out, and its answer never comes; tells when it has come.
struct Hanging<'f>(&'f Cloud, u64);

impl<'f> Hanging<'f> {
    fn on(cloud: &'f Cloud, path: &str) -> Self {
        let hangs = Action::Hang {
            milliseconds: None,
            acted: true,
        };
        let rule = Rule::on(Service::Volume, "POST", path, hangs).once();
        Self(cloud, cloud.fault(rule).expect("a rule"))
    }

    async fn has_come(self) {
        until(|| async { (self.0.fault_happened(self.1) > 0).then_some(()) }).await;
    }
}

async fn backups(replica: &Replica) -> BackupServiceClient<tonic::transport::Channel> {
    BackupServiceClient::new(replica.channel().await)
}

async fn schedules(replica: &Replica) -> ScheduleServiceClient<tonic::transport::Channel> {
    ScheduleServiceClient::new(replica.channel().await)
}

/// A regular backup as a replica tells of it once it is at rest.
async fn regular_at_rest(replica: &Replica, id: &str) -> pb::Backup {
    let client = backups(replica).await;
    let request = pb::GetBackupRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    until(|| {
        let (mut client, request) = (client.clone(), request.clone());
        async move {
            let found = client
                .get_backup(request)
                .await
                .expect("there")
                .into_inner();
            let rests = matches!(found.state(), pb::State::Ok | pb::State::Erred);
            rests.then_some(found)
        }
    })
    .await
}

/// Today's answer has all that the one of before has; it may have more.
fn tells_all_of(name: &str, before: &impl Message, today: &impl Message) {
    let mut missing = Vec::new();
    let (before, today) = (spelled(name, before), spelled(name, today));
    lost(name, &before, &today, &mut missing);
    // Either replica may look at what a point rests on between the two answers.
    missing.retain(|one: &String| !(one.contains(".verifiedTime: ") && one.contains(" became ")));
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_before_and_one_of_today_serve_one_database_and_today_ends_what_before_began()
{
    let Some(program) = old_program_or_say() else {
        return;
    };
    let fleet = Fleet::set(Times::fast(), postgres::database()).await;
    fleet.dr.create_network("demo", "internal").expect("made");
    let server = fleet.instance("demo", "web", &[1, 1]);
    let other = fleet.instance("second", "shop", &[1]);
    let home = fleet.source.project_id("demo").expect("a project");

    // Before the upgrade: a DR backup that is made, and a restoration and another one that are under way.
    let before = replica(&fleet, &program).await;
    let made = pb::CreateDrBackupRequest {
        cloud: "source".to_owned(),
        tenant: home.clone(),
        instance_id: server.clone(),
        name: "friday".to_owned(),
        request_id: "once".to_owned(),
        ..Default::default()
    };
    let first = before.backups().await.create_dr_backup(made.clone()).await;
    let first = first.expect("admitted").into_inner().id;
    assert!(is_ok(&before.told(&first).await));
    let restored = Hanging::on(&fleet.dr, "/restore$");
    let request = pb::CreateRestorationRequest {
        dr_backup_id: first.clone(),
        cloud: "dr".to_owned(),
        tenant: fleet.dr.project_id("demo").expect("a project"),
        ..Default::default()
    };
    let restoration = restorations(&before)
        .await
        .create_restoration(request)
        .await;
    let restoration = restoration.expect("admitted").into_inner().id;
    restored.has_come().await;
    let backed_up = Hanging::on(&fleet.source, "/backups$");
    let second = fleet.back_up(&before, "demo", &server).await;
    backed_up.has_come().await;

    // Both serve, and each tells what the other has written since.
    let today = replica(&fleet, env!("CARGO_BIN_EXE_drbackup").as_ref()).await;
    let request = pb::GetDrBackupRequest {
        id: first.clone(),
        ..Default::default()
    };
    let by_before = before.backups().await.get_dr_backup(request.clone()).await;
    let by_today = today.backups().await.get_dr_backup(request).await;
    tells_all_of(
        "DRBackup",
        by_before.expect("there").get_ref(),
        by_today.expect("there").get_ref(),
    );
    let request = pb::CreateBackupRequest {
        cloud: "source".to_owned(),
        tenant: home.clone(),
        instance_id: server.clone(),
        ..Default::default()
    };
    let regular = backups(&before).await.create_backup(request).await;
    let regular = regular.expect("admitted").into_inner().id;
    let kept = regular_at_rest(&today, &regular).await;
    assert_eq!(kept.state(), pb::State::Ok, "{kept:?}");
    let request = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            cloud: "source".to_owned(),
            tenant: home,
            instance_id: server.clone(),
            backup_type: pb::schedule::BackupType::Regular.into(),
            schedule: "@yearly".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let schedule = schedules(&before).await.create_schedule(request).await;
    let schedule = schedule.expect("admitted").into_inner();
    let request = pb::GetScheduleRequest {
        id: schedule.id.clone(),
    };
    let told = schedules(&today).await.get_schedule(request).await;
    tells_all_of("Schedule", &schedule, told.expect("there").get_ref());
    let third = fleet.back_up(&today, "second", &other).await;
    assert!(is_ok(&before.told(&third).await));
    assert!(is_ok(&today.told(&third).await));

    // The one of before dies in the midst of its work.
    before.kill().await;
    assert!(is_ok(&today.told(&second).await));
    let back = restoration_at_rest(&today, &restoration).await;
    let back = back.expect("there");
    assert_eq!(back.state(), pb::State::Ok, "{:?}", back.error);
    for volume in &back.volumes {
        let was = fleet.source.volume_digest(&volume.source_volume_id);
        let is = fleet.dr.volume_digest(&volume.volume_id);
        assert_eq!(was.expect("the original"), is.expect("the copy"));
    }
    // Whoever never heard the answer asks again.
    let again = today.backups().await.create_dr_backup(made).await;
    assert_eq!(again.expect("the first answer").into_inner().id, first);
    judge::nothing_twice(&fleet.source);
    judge::nothing_twice(&fleet.dr);
    assert_eq!(judge::servers_made(&fleet.dr), 1);
}
