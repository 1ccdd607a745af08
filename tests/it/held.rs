//! What others have come to use by the time its turn to go comes: their server keeps it, and the answer
//! names it; every kind of thing, at every way in which work ends. The tests may not look inside the
//! service.

use std::path::Path;

use drbackup::{
    api::pb::{self, orphan_deletion::Outcome},
    domain::{
        effect::{Apply, Request},
        fault::FaultKind,
        id::{CloudName, OperationId, ProjectId, Tenant},
        operation::NAME_MARK,
        sighting::{Thing, ThingKind},
    },
    sim::{self, Action, InstanceSpec, Rule, Service, Times},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cloud_contract::Ground,
    house::{House, census, things},
    stage::until,
};

/// A house, and the tenant of one of its clouds as it acts for itself.
struct Scene {
    house: House,
    tenant: Ground,
    /// The server of the tenant's own.
    resident: String,
}

async fn tenant_of(house: &House, cloud: &str) -> Ground {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("clouds.yaml");
    std::fs::write(&file, sim::clouds_yaml([&house.source, &house.dr])).expect("written");
    Ground::of_entry(Path::new(&file), cloud, &format!("{cloud}-demo")).await
}

impl Scene {
    /// A DR backup of an instance with two volumes, and a server of the tenant's own where it is restored.
    async fn at_the_refuge() -> (Self, pb::DrBackup) {
        let house = House::open(Times::fast()).await;
        let shop = InstanceSpec::new("shop", &[1, 1]);
        let instance = house.source.create_instance(&shop).expect("made");
        let backup = house.back_up_to_end(&instance.server).await;
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        let resident = InstanceSpec::new("production", &[1]);
        let resident = house.dr.create_instance(&resident).expect("made").server;
        let tenant = tenant_of(&house, "dr").await;
        let scene = Self {
            house,
            tenant,
            resident,
        };
        (scene, backup)
    }

    async fn restored(&self, backup: &pb::DrBackup) -> pb::Restoration {
        let restoration = self.house.restore(&backup.id).await;
        let restoration = self.house.restoration_at_rest(&restoration.id).await;
        assert_eq!(
            restoration.state(),
            pb::State::Ok,
            "{:?}",
            restoration.error
        );
        restoration
    }

    async fn delete(&self, id: &str, delete_instance: bool) {
        let request = pb::DeleteRestorationRequest {
            id: id.to_owned(),
            delete_instance,
            ..Default::default()
        };
        let mut client = self.house.restorations().await;
        client.delete_restoration(request).await.expect("admitted");
    }

    /// Deletes a restoration with its instance; answers its last event.
    async fn deleted(&self, id: &str) -> pb::Event {
        self.delete(id, true).await;
        let request = pb::WatchRestorationRequest {
            id: id.to_owned(),
            until_settled: true,
            ..Default::default()
        };
        let mut client = self.house.restorations().await;
        let stream = client.watch_restoration(request).await.expect("a stream");
        let mut stream = stream.into_inner();
        let mut last = None;
        while let Some(event) = stream.message().await.expect("an event") {
            last = Some(event);
        }
        last.expect("it has a story")
    }

    fn port_of(&self, server: &str) -> String {
        let ports = things(&self.house.dr, "demo", "ports");
        let port = ports.iter().find(|port| port.text("device_id") == server);
        port.expect("a port").text("id").to_owned()
    }

    async fn tell(&self, method: &str, kind: &str, path: &str, version: &str, body: Value) {
        let (status, answer) = self
            .tenant
            .ask(method, kind, path, version, Some(body))
            .await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
    }
}

/// In which way others have come to use something of a restored instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A volume is attached to the tenant's own server.
    Attached,
    /// A volume is kept for it.
    Reserved,
    /// A volume is offered to another project.
    Offered,
    /// A port belongs to the tenant's own server.
    Port,
    /// The server is locked.
    Locked,
    /// A volume of the tenant's own would be deleted with the server.
    TakesAlong,
    /// A port of the tenant's own has the security group.
    Group,
    /// A group of the tenant's own, which its port has, names the security group in a rule.
    Named,
}

const USES: [Use; 8] = [
    Use::Attached,
    Use::Reserved,
    Use::Offered,
    Use::Port,
    Use::Locked,
    Use::TakesAlong,
    Use::Group,
    Use::Named,
];

/// What is used, who uses it, and how that ends.
struct Used {
    kind: &'static str,
    thing: String,
    by: String,
    beside: Option<String>,
}

impl Scene {
    async fn take(&self, how: Use, restoration: &pb::Restoration) -> Used {
        let (dr, resident) = (&self.house.dr, &self.resident);
        let server = &restoration.instance.as_ref().expect("told").server_id;
        let data = restoration.volumes[1].volume_id.clone();
        let used = |kind, thing: &str, by: &str| Used {
            kind,
            thing: thing.to_owned(),
            by: by.to_owned(),
            beside: None,
        };
        match how {
            Use::Attached => {
                dr.give_volume(&data, resident).expect("given");
                used("volumes", &data, &format!("server production ({resident})"))
            }
            Use::Reserved => {
                dr.give_volume(&data, resident).expect("given");
                dr.set_status(&data, "reserved").expect("a volume");
                used("volumes", &data, &format!("server production ({resident})"))
            }
            Use::Offered => {
                dr.let_go_of_volume(&data).expect("free");
                let body = json!({"volume_id": data, "name": "for the neighbours"});
                let (kind, version) = ("volumev3", "volume 3.55");
                let offer = self
                    .tenant
                    .make(kind, "volume-transfers", version, "transfer", body);
                let offer = offer.await["id"].as_str().expect("an id").to_owned();
                Used {
                    beside: Some(offer.clone()),
                    ..used("volumes", &data, &format!("transfer {offer}"))
                }
            }
            Use::Port => {
                let port = self.port_of(server);
                let path = format!("servers/{server}/os-interface/{port}");
                let (status, _) = self.tenant.ask("DELETE", "compute", &path, "", None).await;
                assert_eq!(status, 202, "it is taken off");
                let body = json!({"interfaceAttachment": {"port_id": port}});
                let path = format!("servers/{resident}/os-interface");
                self.tell("POST", "compute", &path, "", body).await;
                used("ports", &port, &format!("server production ({resident})"))
            }
            Use::Locked => {
                dr.lock_server(server, true).expect("a server");
                used("servers", server, "is locked")
            }
            Use::TakesAlong => {
                let own = self.tenant.volume("precious").await;
                let body = json!({"volumeAttachment":
                    {"volumeId": own, "delete_on_termination": true}});
                let path = format!("servers/{server}/os-volume_attachments");
                self.tell("POST", "compute", &path, "compute 2.79", body)
                    .await;
                Used {
                    beside: Some(own.clone()),
                    ..used("servers", server, &format!("volume {own}"))
                }
            }
            Use::Group => {
                let (group, port) = (self.group_of(server), self.port_of(resident));
                let own = self.group_of(resident);
                self.give_group(&port, &group).await;
                Used {
                    beside: Some(own),
                    ..used("security_groups", &group, &format!("port {port}"))
                }
            }
            Use::Named => {
                let (group, own) = (self.group_of(server), self.group_of(resident));
                let rule = json!({"security_group_id": own, "direction": "ingress",
                    "ethertype": "IPv4", "remote_group_id": group});
                let body = json!({"security_group_rule": rule});
                self.tell("POST", "network", "security-group-rules", "", body)
                    .await;
                used("security_groups", &group, &format!("security group {own}"))
            }
        }
    }

    async fn give_group(&self, port: &str, group: &str) {
        let body = json!({"port": {"security_groups": [group]}});
        self.tell("PUT", "network", &format!("ports/{port}"), "", body)
            .await;
    }

    /// The group of a server.
    fn group_of(&self, server: &str) -> String {
        let ports = things(&self.house.dr, "demo", "ports");
        let port = ports.iter().find(|port| port.text("device_id") == server);
        port.expect("a port").texts("security_groups")[0].clone()
    }

    /// The thing as the cloud knows it.
    fn look_at(&self, used: &Used) -> Option<String> {
        let all = things(&self.house.dr, "demo", used.kind);
        let one = all.into_iter().find(|one| one.text("id") == used.thing);
        one.map(|one| format!("{one:?}"))
    }

    async fn give_back(&self, how: Use, used: &Used) {
        let dr = &self.house.dr;
        match how {
            Use::Attached | Use::Reserved => {
                dr.let_go_of_volume(&used.thing).expect("free");
            }
            Use::Offered => {
                let offer = used.beside.as_ref().expect("an offer");
                let path = format!("volume-transfers/{offer}");
                let call = self
                    .tenant
                    .ask("DELETE", "volumev3", &path, "volume 3.55", None);
                assert_eq!(call.await.0, 202);
            }
            Use::Port => {
                let path = format!("servers/{}/os-interface/{}", self.resident, used.thing);
                let (status, _) = self.tenant.ask("DELETE", "compute", &path, "", None).await;
                assert_eq!(status, 202);
            }
            Use::Locked => dr.lock_server(&used.thing, false).expect("a server"),
            Use::TakesAlong => {
                let own = used.beside.as_ref().expect("a volume");
                dr.let_go_of_volume(own).expect("free");
            }
            Use::Group | Use::Named => {
                if let Some(own) = &used.beside {
                    self.give_group(&self.port_of(&self.resident), own).await;
                }
                // It is theirs by now, and they have no more use for it.
                let path = format!("security-groups/{}", used.thing);
                let (status, _) = self.tenant.ask("DELETE", "network", &path, "", None).await;
                assert_eq!(status, 204);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_of_a_restoration_leaves_to_others_what_they_use_and_names_it() {
    let (scene, backup) = Scene::at_the_refuge().await;
    for how in USES {
        let before = census(&scene.house.dr, "demo");
        let restoration = scene.restored(&backup).await;
        let used = scene.take(how, &restoration).await;
        let seen = scene.look_at(&used).expect("it is there");
        scene.house.dr.clear_requests();
        let last = scene.deleted(&restoration.id).await;
        assert_eq!(
            scene.look_at(&used).as_ref(),
            Some(&seen),
            "{how:?}: untouched"
        );
        let touched = scene.house.dr.requests();
        let touched: Vec<String> = touched
            .iter()
            .filter(|one| one.method != "GET" && one.path.contains(&used.thing))
            .map(|one| format!("{} {} {:?}", one.method, one.path, one.status))
            .collect();
        let told = if matches!(how, Use::Group | Use::Named) {
            // Neutron itself guards a group that ports have.
            assert!(
                how == Use::Group || touched.is_empty(),
                "{how:?}: {touched:?}"
            );
            assert_eq!(last.state(), pb::State::Deleted, "{how:?}: {last:?}");
            last.runtime_state
        } else {
            assert_eq!(touched, [""; 0], "{how:?}");
            assert_eq!(last.state(), pb::State::Erred, "{how:?}: {last:?}");
            let left = scene.house.restoration_at_rest(&restoration.id).await;
            let error = left.error.expect("a reason");
            assert_eq!(error.reason, "IN_USE", "{how:?}");
            error.message
        };
        for part in [&used.thing, &used.by] {
            assert!(
                told.contains(part),
                "{how:?}: {part} is not named in: {told}"
            );
        }

        scene.give_back(how, &used).await;
        if !matches!(how, Use::Group | Use::Named) {
            let last = scene.deleted(&restoration.id).await;
            assert_eq!(last.state(), pb::State::Deleted, "{how:?}: {last:?}");
        }
        let mut after = before.clone();
        if how == Use::TakesAlong {
            *after.get_mut("volumes").expect("counted") += 1;
        }
        // The records stay.
        after.insert("backups", census(&scene.house.dr, "demo")["backups"]);
        assert_eq!(
            census(&scene.house.dr, "demo"),
            after,
            "{how:?}: and nothing else is left"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_elsewhere_can_be_left_there_for_good() {
    let (scene, backup) = Scene::at_the_refuge().await;
    let restoration = scene.restored(&backup).await;
    let used = scene.take(Use::Attached, &restoration).await;
    let last = scene.deleted(&restoration.id).await;
    assert_eq!(last.state(), pb::State::Erred);
    let seen = scene.look_at(&used);
    scene.delete(&restoration.id, false).await;
    scene.house.restoration_gone(&restoration.id).await;
    assert_eq!(scene.look_at(&used), seen);
    assert!(seen.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_restoration_leaves_to_others_what_they_use_and_names_it() {
    for cancel in [true, false] {
        let (scene, backup) = Scene::at_the_refuge().await;
        let dr = &scene.house.dr;
        let before = census(dr, "demo");
        let slow = Times {
            server_boot: std::time::Duration::from_millis(1_500),
            ..Times::fast()
        };
        dr.set_times(slow);
        if !cancel {
            // The first one does not come up, and the second one is refused for good.
            let fails = Action::Fail {
                reason: "Build of instance aborted".to_owned(),
            };
            let rule = Rule::on(Service::Compute, "POST", "/servers$", fails).once();
            dr.fault(rule).expect("a rule");
        }
        let restoration = scene.house.restore(&backup.id).await;
        let server = until(|| async {
            let servers = things(dr, "demo", "servers");
            let mut made = servers.iter().filter(|one| one.text("name") == "shop");
            made.next().map(|one| one.text("id").to_owned())
        })
        .await;
        if !cancel {
            let refusal = Action::Answer {
                status: 400,
                body: json!({"badRequest": {"code": 400, "message": "no such thing"}}),
                headers: Vec::new(),
                acted: false,
            };
            let rule = Rule::on(Service::Compute, "POST", "/servers$", refusal);
            dr.fault(rule).expect("a rule");
        }
        let port = scene.port_of(&server);
        let volumes = things(dr, "demo", "volumes");
        let data = volumes
            .iter()
            .filter(|one| one.text("server") == server)
            .find(|one| one.text("name").contains("data"))
            .expect("a volume")
            .text("id")
            .to_owned();
        dr.give_volume(&data, &scene.resident).expect("given");
        dr.give_port(&port, &scene.resident).expect("given");
        if cancel {
            let request = pb::CancelRestorationRequest {
                id: restoration.id.clone(),
                ..Default::default()
            };
            let mut client = scene.house.restorations().await;
            client.cancel_restoration(request).await.expect("cancelled");
        }
        let ended = scene.house.restoration_at_rest(&restoration.id).await;
        assert_eq!(ended.state(), pb::State::Erred);
        let told = ended.error.expect("a reason").message;
        for part in [
            &data,
            &port,
            &format!("server production ({})", scene.resident),
        ] {
            assert!(told.contains(part), "{part} is not named in: {told}");
        }
        let theirs = |kind| {
            let all = things(dr, "demo", kind);
            let field = if kind == "ports" {
                "device_id"
            } else {
                "server"
            };
            let all = all.iter().filter(|one| one.text(field) == scene.resident);
            all.map(|one| one.text("id").to_owned()).collect::<Vec<_>>()
        };
        assert!(theirs("ports").contains(&port) && theirs("volumes").contains(&data));
        assert!(
            things(dr, "demo", "servers")
                .iter()
                .all(|one| one.text("name") != "shop")
        );

        let last = scene.deleted(&restoration.id).await;
        assert_eq!(
            last.state(),
            pb::State::Erred,
            "they still use it: {last:?}"
        );
        dr.let_go_of_volume(&data).expect("free");
        let path = format!("servers/{}/os-interface/{port}", scene.resident);
        let (status, _) = scene.tenant.ask("DELETE", "compute", &path, "", None).await;
        assert_eq!(status, 202);
        let last = scene.deleted(&restoration.id).await;
        assert_eq!(last.state(), pb::State::Deleted, "{last:?}");
        let mut after = before;
        after.insert("backups", census(dr, "demo")["backups"]);
        assert_eq!(
            census(dr, "demo"),
            after,
            "what it had left behind went with it"
        );
    }
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_who_uses_a_thing_costs_one_read_for_each() {
    let (scene, backup) = Scene::at_the_refuge().await;
    let restoration = scene.restored(&backup).await;
    let dr = &scene.house.dr;
    dr.clear_requests();
    let last = scene.deleted(&restoration.id).await;
    assert_eq!(last.state(), pb::State::Deleted, "{last:?}");
    let requests = dr.requests();
    let count = |method: &str, part: &str| {
        let asked = requests.iter().filter(|one| one.method == method);
        let of_it = |path: &str| {
            let mut path = path.split(['?', '/']).rev().filter(|part| !part.is_empty());
            path.nth(1) == Some(part)
        };
        asked.filter(|one| of_it(&one.path)).count()
    };
    for (part, things) in [("servers", 1), ("ports", 1), ("volumes", 2)] {
        assert_eq!(count("DELETE", part), things, "{part}");
        assert_eq!(
            count("GET", part),
            things,
            "{part}: one look for each deletion"
        );
    }
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
