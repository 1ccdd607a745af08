//! What was left behind in clouds: found, counted, and deleted on an operator's word, through the API
//! and by the sweep; it may not look inside the service.

use std::time::Duration;

use drbackup::{
    api::pb::{self, orphan_deletion::Outcome},
    domain::{
        effect::{Make, NewVolume, Request},
        id::{CloudName, OperationId, ProjectId, Tenant, VolumeId},
        operation::NAME_MARK,
        orphan::{self, Why},
        sighting::ThingKind,
    },
    service::{
        orphan::DeleteOrphans,
        settings::{OrphanSettings, ServiceSettings},
    },
    sim::{self, Action, InstanceSpec, Rule, Times},
    worker::orphan_scanner::OrphanScanner,
};
use tonic::Code;
use uuid::Uuid;

use crate::{
    house::{House, census, things, without_grace},
    stage::until,
};

fn tenant(cloud: &str, project: &str) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new(project),
    }
}

/// A name that an operation hands out.
fn marked(operation: OperationId, key: &str) -> String {
    format!("{NAME_MARK}{}-{key}", operation.0.simple())
}

fn strange() -> OperationId {
    OperationId(Uuid::now_v7())
}

/// Makes a volume of this name in a tenant, as if work had left it there.
async fn leave_volume(house: &House, tenant: &Tenant, name: &str) -> String {
    let request = Request::Make(Make::Volume(NewVolume {
        size_gib: 1,
        volume_type: None,
        availability_zone: None,
        snapshot: None,
        image: None,
        description: String::new(),
    }));
    made(house, tenant, ThingKind::Volume, name, &request).await
}

/// Makes a snapshot of a volume.
async fn leave_snapshot(house: &House, tenant: &Tenant, name: &str, volume: &str) -> String {
    let request = Request::Make(Make::Snapshot {
        volume: VolumeId::new(volume),
        description: String::new(),
    });
    made(house, tenant, ThingKind::Snapshot, name, &request).await
}

/// Makes a thing and waits until it is ready.
async fn made(
    house: &House,
    tenant: &Tenant,
    kind: ThingKind,
    name: &str,
    request: &Request,
) -> String {
    let cloud = house.cloud();
    let answer = cloud.request_perform(tenant, name, request).await;
    let id = answer.expect("made").cloud_id.expect("an id");
    until(|| async {
        let all = cloud.things_list(tenant, kind).await.expect("listed");
        let ready = all
            .iter()
            .any(|one| one.thing.id == id && one.status == "available");
        ready.then_some(())
    })
    .await;
    id
}

async fn list(house: &House, tenant: &Tenant) -> Vec<pb::Orphan> {
    let request = pb::ListOrphansRequest {
        cloud: tenant.cloud.to_string(),
        tenant: tenant.project.to_string(),
        ..Default::default()
    };
    let answer = house.orphans().await.list_orphans(request).await;
    answer.expect("listed").into_inner().orphans
}

/// Also of what nobody knows, because the operations of these tests are made up.
fn removal(tenant: &Tenant, ids: &[&str], request_id: &str) -> pb::DeleteOrphansRequest {
    pb::DeleteOrphansRequest {
        include_unknown: true,
        cloud: tenant.cloud.to_string(),
        tenant: tenant.project.to_string(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        request_id: request_id.to_owned(),
    }
}

fn outcomes(answer: &pb::DeleteOrphansResponse) -> Vec<(&str, Outcome)> {
    let deletions = answer.deletions.iter();
    deletions
        .map(|one| (one.id.as_str(), one.outcome()))
        .collect()
}

/// A house with an instance in the first cloud and a DR backup of it.
async fn with_a_backup() -> (House, pb::DrBackup) {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1, 1]);
    let instance = house.source.create_instance(&shop).expect("made");
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    (house, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_is_found_and_deletion_takes_exactly_what_it_names() {
    let (house, backup) = with_a_backup().await;
    let home = tenant("source", &house.home());
    let operation = strange();
    let mine = leave_volume(&house, &home, "drb-is-what-i-call-it").await;
    let lost = leave_volume(&house, &home, &marked(operation, "volume-0")).await;
    let other = leave_volume(&house, &home, &marked(strange(), "volume-1")).await;
    let snapshot = leave_snapshot(&house, &home, &marked(operation, "snapshot"), &mine).await;

    let found = list(&house, &home).await;
    let mut ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
    let mut expected = [lost.as_str(), &other, &snapshot];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected, "and no volume backup of the DR backup");
    let one = found.iter().find(|one| one.id == lost).expect("found");
    assert_eq!(one.kind(), pb::ThingKind::Volume);
    assert_eq!(one.operation_id, operation.to_string());
    assert_eq!((one.size_gib, one.status.as_str()), (1, "available"));
    assert_eq!(one.reason, Why::Unknown.sentence());
    assert!(!one.operation_known);
    assert!(one.create_time.is_some());

    let before = census(&house.source, "demo");
    let held = &backup.volume_backups[0].backup_id;
    let nobody = Uuid::now_v7().to_string();
    let asked = removal(&home, &[&mine, held, &lost, &nobody, &snapshot], "friday");
    let mut client = house.orphans().await;
    let answer = client.delete_orphans(asked.clone()).await;
    let answer = answer.expect("done").into_inner();
    assert_eq!(
        outcomes(&answer),
        [
            (mine.as_str(), Outcome::Kept),
            (held.as_str(), Outcome::Kept),
            (lost.as_str(), Outcome::Deleted),
            (nobody.as_str(), Outcome::NotFound),
            (snapshot.as_str(), Outcome::Deleted),
        ]
    );
    until(|| async { (list(&house, &home).await.len() == 1).then_some(()) }).await;
    let mut after = before.clone();
    for kind in ["volumes", "snapshots"] {
        *after.get_mut(kind).expect("counted") -= 1;
    }
    assert_eq!(census(&house.source, "demo"), after);
    assert_eq!(list(&house, &home).await[0].id, other);

    let again = client.delete_orphans(asked).await.expect("done");
    assert_eq!(again.into_inner(), answer, "the first answer");
    let reused = client
        .delete_orphans(removal(&home, &[&other], "friday"))
        .await;
    assert_eq!(reused.expect_err("refused").code(), Code::AlreadyExists);
    assert_eq!(census(&house.source, "demo"), after);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_service_may_have_made_goes_only_with_a_word_for_it() {
    let house = House::open(Times::fast()).await;
    let home = tenant("source", &house.home());
    let others = leave_volume(&house, &home, &marked(strange(), "volume-0")).await;
    let ask = pb::DeleteOrphansRequest {
        include_unknown: false,
        ..removal(&home, &[&others], "")
    };
    let answer = house.orphans().await.delete_orphans(ask).await;
    let answer = answer.expect("done").into_inner();
    assert_eq!(outcomes(&answer), [(others.as_str(), Outcome::Kept)]);
    let problem = &answer.deletions[0].problem;
    assert!(problem.contains("include_unknown"), "{problem}");
    assert_eq!(list(&house, &home).await.len(), 1, "it is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_work_needs_is_no_orphan_from_the_first_request_to_long_after_it() {
    let mut house = House::open(Times::fast()).await;
    let home = tenant("source", &house.home());
    let away = tenant("dr", &house.refuge());
    house.prepare_refuge();
    let shop = InstanceSpec::new("shop", &[1, 1, 1]);
    let instance = house.source.create_instance(&shop).expect("made");
    let backup = house.back_up(&instance.server).await;
    until(|| async { (!things(&house.source, "demo", "snapshots").is_empty()).then_some(()) })
        .await;
    // Nobody works on it now, but somebody will.
    house.kill_engine();
    assert_eq!(list(&house, &home).await, []);
    house.start_engine();
    let backup = house.backup_at_rest(&backup.id).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(list(&house, &home).await, []);

    let restoration = house.restore(&backup.id).await;
    let service = house.service(&house.store, without_grace());
    let looking = service.internally("a test");
    let mut looks = 0;
    let rested = house.restoration_at_rest(&restoration.id);
    tokio::pin!(rested);
    let restoration = loop {
        tokio::select! {
            rested = &mut rested => break rested,
            found = looking.orphans_list(&away) => {
                assert_eq!(found.expect("listed"), []);
                looks += 1;
            }
        }
    };
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert!(looks > 3, "{looks} looks");
    assert_eq!(list(&house, &away).await, []);

    // The ledgers are gone some day; what was made for the living is theirs all the same.
    let forgotten = drbackup::domain::time::Timestamp(i64::MAX);
    while house
        .store
        .history_prune(forgotten, 1_000)
        .await
        .expect("pruned")
        > 0
    {}
    assert_eq!(list(&house, &home).await, []);
    assert_eq!(list(&house, &away).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_record_is_never_offered_nor_deleted() {
    let (house, backup) = with_a_backup().await;
    house.prepare_refuge();
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let home = tenant("source", &house.home());
    let away = tenant("dr", &house.refuge());
    let records = things(&house.dr, "demo", "backups");
    let originals = things(&house.source, "demo", "backups");
    assert_eq!((records.len(), originals.len()), (2, 2));
    let name = records[0].text("name");
    assert!(
        name.starts_with(NAME_MARK),
        "it has the name of the original: {name}"
    );

    // Whoever has lost everything that we know sees marks of work that nobody knows.
    let stranger = house.stranger().await;
    assert_eq!(
        stranger.internally("a test").orphans_list(&away).await,
        Ok(Vec::new())
    );
    let ask = DeleteOrphans {
        tenant: away.clone(),
        ids: records
            .iter()
            .map(|one| one.text("id").to_owned())
            .collect(),
        include_unknown: true,
        request_id: String::new(),
    };
    let told = stranger
        .internally("a test")
        .orphans_delete(ask)
        .await
        .expect("told");
    for farewell in told {
        assert_eq!(farewell.outcome, orphan::Outcome::Kept, "{farewell:?}");
    }
    assert_eq!(things(&house.dr, "demo", "backups").len(), 2);
    // Where the volumes are, there is no doubt that the backups were made.
    let found = stranger
        .internally("a test")
        .orphans_list(&home)
        .await
        .expect("listed");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|one| one.why == Why::Unknown), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_young_is_no_orphan_yet_and_what_ended_work_left_is_one() {
    let (house, _) = with_a_backup().await;
    let home = tenant("source", &house.home());
    let backups = things(&house.source, "demo", "backups");
    // The operation that made the volume backups has ended, and lost something on its way.
    let name = backups[0].text("name").replace("backup", "copy");
    let lost = leave_volume(&house, &home, &name).await;

    let cautious = house.service(&house.store, ServiceSettings::default());
    assert_eq!(
        cautious.internally("a test").orphans_list(&home).await,
        Ok(Vec::new())
    );
    let found = list(&house, &home).await;
    let told: Vec<(&str, &str)> = found
        .iter()
        .map(|one| (one.id.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(told, [(lost.as_str(), Why::Ended.sentence())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_counts_the_orphans_of_every_tenant_that_we_worked_in_and_deletes_none() {
    let (house, backup) = with_a_backup().await;
    house.prepare_refuge();
    let restoration = house.restore(&backup.id).await;
    house.restoration_at_rest(&restoration.id).await;
    let away = tenant("dr", &house.refuge());
    leave_volume(&house, &away, &marked(strange(), "volume-0")).await;
    let scanner = || {
        let service = house.service(&house.store, without_grace());
        OrphanScanner::new(service, OrphanSettings::default())
    };
    let before = census(&house.dr, "demo");
    let (one, other) = (scanner(), scanner());
    let (first, second) = tokio::join!(one.scan(), other.scan());
    let tenants = first.expect("counted") + second.expect("counted");
    assert_eq!(tenants, 2, "each tenant once, whoever looks");
    assert_eq!(one.scan().await, Ok(0), "an hour has not passed");

    let sweeps = || async {
        let request = pb::ListOrphanSweepsRequest::default();
        let answer = house.orphans().await.list_orphan_sweeps(request).await;
        let sweeps = answer.expect("listed").into_inner().sweeps;
        let told = sweeps.into_iter().map(|one| {
            assert!(
                one.begin_time.is_some() && one.end_time.is_some(),
                "{one:?}"
            );
            let by_kind: i32 = one.counts.iter().map(|count| count.count).sum();
            assert_eq!(by_kind, one.orphan_count, "{one:?}");
            (one.cloud, one.orphan_count, one.problem)
        });
        told.collect::<Vec<_>>()
    };
    let expected = [("dr", 1), ("source", 0)]
        .map(|(cloud, orphans)| (cloud.to_owned(), orphans, String::new()));
    assert_eq!(sweeps().await, expected);
    assert_eq!(census(&house.dr, "demo"), before);

    let service = house.service(&house.store, without_grace());
    let broken = Action::Answer {
        status: 500,
        body: serde_json::Value::Null,
        headers: Vec::new(),
        acted: false,
    };
    house
        .dr
        .fault(Rule::on(sim::Service::Volume, "GET", "", broken))
        .expect("a rule");
    let eager = OrphanScanner::new(
        service,
        OrphanSettings {
            every: Duration::ZERO,
            ..OrphanSettings::default()
        },
    );
    assert_eq!(eager.scan().await, Ok(2));
    let told = sweeps().await;
    assert_eq!(
        (told[0].0.as_str(), told[0].1),
        ("dr", 1),
        "the number stays"
    );
    assert!(told[0].2.contains("500"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_nothing_or_too_much_is_refused_whole() {
    let house = House::open(Times::instant()).await;
    let home = tenant("source", &house.home());
    let mut client = house.orphans().await;
    let many: Vec<String> = (0..101).map(|number| format!("id-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for ids in [&[][..], &[""], &["../volumes"], &many] {
        let refused = client.delete_orphans(removal(&home, ids, "")).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let nowhere = tenant("nowhere", &house.home());
    let refused = client.delete_orphans(removal(&nowhere, &["a"], "")).await;
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument);
}
