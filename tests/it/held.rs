//! What others have come to use by the time its turn to go comes: their server keeps it, and the answer
//! names it; every kind of thing, at every way in which work ends. The tests may not look inside the
//! service.

mod points;

use std::path::Path;

use drbackup::{
    api::pb,
    sim::{self, Action, InstanceSpec, Rule, Service, Times},
};
use serde_json::{Value, json};

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

/// The tenant of a cloud as it acts for itself.
pub(crate) async fn tenant_of(house: &House, cloud: &str) -> Ground {
    ground_of(house, cloud, &format!("{cloud}-demo")).await
}

async fn ground_of(house: &House, cloud: &str, entry: &str) -> Ground {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("clouds.yaml");
    std::fs::write(&file, sim::clouds_yaml([&house.source, &house.dr])).expect("written");
    Ground::of_entry(Path::new(&file), cloud, entry).await
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
                // A group that no port has yet.
                let wish = json!({"name": "database"});
                let own = self
                    .tenant
                    .make("network", "security-groups", "", "security_group", wish)
                    .await;
                let own = own["id"].as_str().expect("an id").to_owned();
                let group = self.group_of(server);
                let rule = json!({"security_group_id": own, "direction": "ingress",
                    "ethertype": "IPv4", "remote_group_id": group});
                let body = json!({"security_group_rule": rule});
                self.tell("POST", "network", "security-group-rules", "", body)
                    .await;
                Used {
                    beside: Some(own.clone()),
                    ..used("security_groups", &group, &format!("security group {own}"))
                }
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
                let own = used.beside.as_ref().expect("a group");
                let mut useless = vec![&used.thing];
                if how == Use::Group {
                    self.give_group(&self.port_of(&self.resident), own).await;
                } else {
                    useless.insert(0, own);
                }
                // They are theirs by now, and they have no more use for them.
                for group in useless {
                    let path = format!("security-groups/{group}");
                    let (status, _) = self.tenant.ask("DELETE", "network", &path, "", None).await;
                    assert_eq!(status, 204);
                }
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
    for at_once in [true, false] {
        let (scene, backup) = Scene::at_the_refuge().await;
        let dr = &scene.house.dr;
        let before = census(dr, "demo");
        let slow = Times {
            server_boot: std::time::Duration::from_millis(1_500),
            ..Times::fast()
        };
        dr.set_times(slow);
        if !at_once {
            // The first one does not come up, and the second one is refused until it is cancelled.
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
        if !at_once {
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
        if !at_once {
            let told = scene.house.told(&restoration.id, "no such thing").await;
            assert!(told.contains("held"), "{told}");
        }
        let request = pb::CancelRestorationRequest {
            id: restoration.id.clone(),
            ..Default::default()
        };
        let mut client = scene.house.restorations().await;
        client.cancel_restoration(request).await.expect("cancelled");
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
