//! The process itself ended by `kill -9` at the writes of a whole life: before they are carried out,
//! and when only their answers are lost; it may not look inside the service.

use drbackup::{
    api::pb::{self, restoration_service_client::RestorationServiceClient},
    sim::{Action, Cloud, Rule, Service, Times},
};
use tonic::{Code, transport::Channel};

use crate::{
    house::census,
    judge, postgres,
    replica::{Fleet, Replica},
    replicas::is_ok,
    stage::until,
};

/// A write: its service, its method and the end of its path.
type Write = (Service, &'static str, &'static str);

const CREATION: &[Write] = &[
    (Service::Volume, "POST", "/snapshots$"),
    (Service::Volume, "POST", "/backups$"),
    (Service::Volume, "DELETE", "/snapshots/[^/]+$"),
];

const RESTORATION: &[Write] = &[
    (Service::Volume, "POST", "/import_record$"),
    (Service::Volume, "POST", "/volumes$"),
    (Service::Volume, "POST", "/restore$"),
    (Service::Network, "POST", "/ports$"),
    (Service::Compute, "POST", "/servers$"),
];

const REMOVAL: &[Write] = &[
    (Service::Compute, "DELETE", "/servers/[^/]+$"),
    (Service::Volume, "DELETE", "/volumes/[^/]+$"),
];

const DELETION: &[Write] = &[(Service::Volume, "DELETE", "/backups/[^/]+$")];

/// Moments of a piece of work: each holds a request until its asker is gone.
struct Moments<'f> {
    cloud: &'f Cloud,
    rules: Vec<u64>,
}

impl<'f> Moments<'f> {
    /// Two for each write: the first that is sent never arrives, of the next the answer is lost.
    fn of(cloud: &'f Cloud, writes: &[Write]) -> Self {
        let mut rules = Vec::new();
        for (service, method, path) in writes {
            for acted in [false, true] {
                let held = Action::Hang {
                    milliseconds: None,
                    acted,
                };
                let rule = Rule::on(*service, method, path, held).once();
                rules.push(cloud.fault(rule).expect("a rule"));
            }
        }
        Self { cloud, rules }
    }

    /// How many have come.
    fn come(&self) -> usize {
        let came = |rule: &&u64| self.cloud.fault_happened(**rule) > 0;
        self.rules.iter().filter(came).count()
    }

    /// Kills the process whenever one of them comes, and starts another one, until all have come.
    async fn kill(self, fleet: &Fleet, mut replica: Replica) -> Replica {
        let mut seen = 0;
        while seen < self.rules.len() {
            until(|| async { (self.come() > seen).then_some(()) }).await;
            // Two requests that leave together are two moments of one death.
            seen = self.come();
            replica.kill().await;
            replica = born(fleet).await;
        }
        replica
    }
}

/// A process whose lanes are free soon after its death, where a lease has to end for that.
async fn born(fleet: &Fleet) -> Replica {
    let mut command = fleet.command();
    command
        .env("DRBACKUP_ENGINE__LEASE", "1s")
        .env("DRBACKUP_ENGINE__LEASE_MARGIN", "300ms");
    Replica::start(command).await
}

pub(crate) async fn restorations(replica: &Replica) -> RestorationServiceClient<Channel> {
    RestorationServiceClient::new(replica.channel().await)
}

/// A restoration once nothing is under way with it; nothing when it is gone.
pub(crate) async fn restoration_at_rest(replica: &Replica, id: &str) -> Option<pb::Restoration> {
    let client = restorations(replica).await;
    let request = pb::GetRestorationRequest { id: id.to_owned() };
    until(|| {
        let (mut client, request) = (client.clone(), request.clone());
        async move {
            match client.get_restoration(request).await {
                Ok(found) => {
                    let found = found.into_inner();
                    let rests = matches!(found.state(), pb::State::Ok | pb::State::Erred);
                    rests.then_some(Some(found))
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::NotFound, "{status:?}");
                    Some(None)
                }
            }
        }
    })
    .await
}

/// A DR backup made, restored and both removed by processes that are killed all the time.
async fn a_life_of_deaths(database: String) {
    let fleet = Fleet::set(Times::fast(), database).await;
    fleet.dr.create_network("demo", "internal").expect("made");
    let server = fleet.instance("demo", "web", &[1, 1]);
    let before = [&fleet.source, &fleet.dr].map(|cloud| census(cloud, "demo"));
    let replica = born(&fleet).await;

    let moments = Moments::of(&fleet.source, CREATION);
    let id = fleet.back_up(&replica, "demo", &server).await;
    let replica = moments.kill(&fleet, replica).await;
    let made = replica.told(&id).await;
    assert!(is_ok(&made), "{made:?}");
    let mut held = census(&fleet.source, "demo");
    assert_eq!(held.insert("backups", 0), Some(2), "one for each volume");
    assert_eq!(held, before[0], "no temporary is left");

    let moments = Moments::of(&fleet.dr, RESTORATION);
    let request = pb::CreateRestorationRequest {
        dr_backup_id: id.clone(),
        cloud: "dr".to_owned(),
        tenant: fleet.dr.project_id("demo").expect("a project"),
        ..Default::default()
    };
    let admitted = restorations(&replica)
        .await
        .create_restoration(request)
        .await;
    let restoration = admitted.expect("admitted").into_inner().id;
    let replica = moments.kill(&fleet, replica).await;
    let back = restoration_at_rest(&replica, &restoration)
        .await
        .expect("there");
    assert_eq!(back.state(), pb::State::Ok, "{:?}", back.error);
    assert_eq!(back.volumes.len(), 2);
    for volume in &back.volumes {
        let was = fleet.source.volume_digest(&volume.source_volume_id);
        let is = fleet.dr.volume_digest(&volume.volume_id);
        assert_eq!(was.expect("the original"), is.expect("the copy"));
    }

    let moments = Moments::of(&fleet.dr, REMOVAL);
    let request = pb::DeleteRestorationRequest {
        id: restoration.clone(),
        delete_instance: true,
        ..Default::default()
    };
    let admitted = restorations(&replica)
        .await
        .delete_restoration(request)
        .await;
    admitted.expect("admitted");
    let replica = moments.kill(&fleet, replica).await;
    let left = restoration_at_rest(&replica, &restoration).await;
    assert_eq!(left, None);

    let moments = Moments::of(&fleet.source, DELETION);
    let request = pb::DeleteDrBackupRequest {
        id: id.clone(),
        ..Default::default()
    };
    let admitted = replica.backups().await.delete_dr_backup(request).await;
    admitted.expect("admitted");
    let replica = moments.kill(&fleet, replica).await;
    let gone = replica.told(&id).await;
    assert_eq!(gone.state(), pb::State::Deleted, "{gone:?}");

    let after = [&fleet.source, &fleet.dr].map(|cloud| census(cloud, "demo"));
    assert_eq!(after, before, "nothing is left and nothing is lost");
    judge::nothing_twice(&fleet.source);
    judge::nothing_twice(&fleet.dr);
    assert_eq!(judge::servers_made(&fleet.dr), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_every_kind_of_write_doubles_and_loses_nothing_with_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    a_life_of_deaths(format!(
        "sqlite:{}",
        folder.path().join("life.db").display()
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_every_kind_of_write_doubles_and_loses_nothing_with_postgresql() {
    a_life_of_deaths(postgres::database()).await;
}
