//! What Nova refuses, shows and lets others do to a server, seen in Zed and in 2026.1, as in [`super::strictness`];
//! this file may not know the client that is under test.

use serde_json::{Value, json};

use super::{
    Ground, Stage,
    ground::{PUBLIC_KEY, text},
    strictness::{Said, grounds, is, look, say, say_in},
    until,
};

const NOVA: &str = "compute 2.93";
const CINDER: &str = "volume 3.70";

/// `@` and `.` in the name of a key pair are newer than the others; a certificate has a type of its own.
pub(super) async fn key_pair_has_a_name_and_a_type(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let make = async |version: &str, name: &str, more: Value| {
            let mut body = json!({"name": name, "public_key": PUBLIC_KEY});
            for (key, value) in more.as_object().into_iter().flatten() {
                body[key] = value.clone();
            }
            let body = json!({"keypair": body});
            say_in(ground, "POST", "compute", "os-keypairs", version, body).await
        };
        let name = format!("{}-me@laptop.example", stage.mark);
        for version in ["", "compute 2.91"] {
            is(&make(version, &name, Value::Null).await, 400, "");
        }
        is(&make("compute 2.92", &name, Value::Null).await, 201, "");
        let path = format!("os-keypairs/{name}");
        let seen = look(ground, "compute", &path, "", "keypair").await;
        assert_eq!(seen["name"], name.as_str());
        ground.remove("compute", &path).await;
        let long = "x".repeat(256);
        for name in ["a/b", "é", "a\nb", &long] {
            is(&make("compute 2.92", name, Value::Null).await, 400, "");
        }
        let name = format!("{}-key", stage.mark);
        for more in [
            json!({"type": "x509"}),
            json!({"type": "dsa"}),
            json!({"public_key": "nonsense"}),
            json!({"public_key": format!(" {PUBLIC_KEY}")}),
        ] {
            is(&make("compute 2.92", &name, more).await, 400, "");
        }
        let said = make("", &name, json!({"type": "ssh"})).await;
        is(&said, 400, "");
    }
}

/// A server with a network card in one network, one in another, and again one in the first.
struct Subject {
    server: String,
    networks: [String; 2],
    volumes: Vec<String>,
}

impl Subject {
    async fn new(stage: &Stage, ground: &Ground, version: &str, more: Value) -> Self {
        let networks = [
            ground
                .network(&format!("{}-a", stage.mark), "10.90.0.0/24")
                .await,
            ground
                .network(&format!("{}-b", stage.mark), "10.91.0.0/24")
                .await,
        ];
        let volumes = vec![
            ground.volume(&format!("{}-root", stage.mark)).await,
            ground.volume(&format!("{}-data", stage.mark)).await,
        ];
        let path = format!("volumes/{}/action", volumes[0]);
        let bootable = json!({"os-set_bootable": {"bootable": true}});
        ground
            .ask("POST", "volumev3", &path, "", Some(bootable))
            .await;
        let disks: Vec<Value> = volumes
            .iter()
            .enumerate()
            .map(|(number, volume)| {
                json!({"uuid": volume, "source_type": "volume", "destination_type": "volume",
                    "boot_index": if number == 0 { 0 } else { -1 }})
            })
            .collect();
        let cards = json!([{"uuid": networks[0], "tag": "one"}, {"uuid": networks[1], "tag": "two"},
            {"uuid": networks[0], "tag": "three"}]);
        let mut body = json!({"name": format!("{} A_b", stage.mark), "flavorRef": ground.flavor().await,
            "block_device_mapping_v2": disks, "networks": cards});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let made = ground
            .make("compute", "servers", version, "server", body)
            .await;
        let server = text(&made["id"]);
        ground
            .wait("compute", &format!("servers/{server}"), "server", "ACTIVE")
            .await;
        Self {
            server,
            networks,
            volumes,
        }
    }

    fn path(&self) -> String {
        format!("servers/{}", self.server)
    }

    async fn act(&self, ground: &Ground, action: Value) -> Said {
        let path = format!("{}/action", self.path());
        say_in(ground, "POST", "compute", &path, NOVA, action).await
    }

    /// Waits until the server has a status and nothing is under way.
    async fn settle(&self, ground: &Ground, status: &str) {
        until(&format!("the server is {status}"), async || {
            let now = look(ground, "compute", &self.path(), NOVA, "server").await;
            (now["status"] == status && now["OS-EXT-STS:task_state"].is_null()).then_some(())
        })
        .await;
    }

    async fn volume_status(&self, ground: &Ground, number: usize) -> String {
        let path = format!("volumes/{}", self.volumes[number]);
        text(&look(ground, "volumev3", &path, "", "volume").await["status"])
    }

    async fn clear(&self, ground: &Ground) {
        ground.remove("compute", &self.path()).await;
        for volume in &self.volumes {
            ground
                .remove("volumev3", &format!("volumes/{volume}"))
                .await;
        }
        for network in &self.networks {
            ground
                .remove("network", &format!("networks/{network}"))
                .await;
        }
    }
}

/// `addresses` is grouped by network and the list of cards by nothing at all, so that only tags tell which card
/// is which; the hostname stays when a server is renamed.
pub(super) async fn server_shows_cards_by_network(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let subject = Subject::new(stage, ground, NOVA, Value::Null).await;
        let body = json!({"network_id": subject.networks[0], "fixed_ips": []});
        let bare = ground.make("network", "ports", "", "port", body).await;
        let bare = text(&bare["id"]);
        let body = json!({"server": {"name": "x", "flavorRef": ground.flavor().await,
            "networks": [{"port": bare}], "block_device_mapping_v2": [{"uuid": subject.volumes[0],
                "source_type": "volume", "destination_type": "volume", "boot_index": 0}]}});
        let said = say_in(ground, "POST", "compute", "servers", NOVA, body).await;
        assert_eq!(said.0, 400, "{said:?}");
        ground.remove("network", &format!("ports/{bare}")).await;
        let seen = look(ground, "compute", &subject.path(), NOVA, "server").await;
        let counts = |name: &str| {
            let list = seen["addresses"][format!("{}-{name}", stage.mark)].as_array();
            list.map_or(0, Vec::len)
        };
        assert_eq!((counts("a"), counts("b")), (2, 1), "{}", seen["addresses"]);
        let path = format!("{}/os-interface", subject.path());
        let cards = look(ground, "compute", &path, NOVA, "interfaceAttachments").await;
        let cards = cards.as_array().expect("a list").clone();
        let mut tags: Vec<String> = cards.iter().map(|card| text(&card["tag"])).collect();
        tags.sort();
        assert_eq!(tags, ["one", "three", "two"]);
        let ids: Vec<String> = cards.iter().map(|card| text(&card["port_id"])).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        let two = cards
            .iter()
            .find(|card| card["tag"] == "two")
            .expect("a card");
        assert_eq!(two["net_id"], subject.networks[1].as_str());

        let host = |seen: &Value| text(&seen["OS-EXT-SRV-ATTR:hostname"]);
        let wanted = format!("{}-a-b", stage.mark);
        assert_eq!(host(&seen), wanted);
        let rename = json!({"server": {"name": format!("{}-renamed", stage.mark)}});
        is(
            &say_in(ground, "PUT", "compute", &subject.path(), NOVA, rename).await,
            200,
            "",
        );
        let seen = look(ground, "compute", &subject.path(), NOVA, "server").await;
        assert_eq!(host(&seen), wanted);
        let rename = json!({"server": {"hostname": "other-name"}});
        let path = subject.path();
        let early = say_in(
            ground,
            "PUT",
            "compute",
            &path,
            "compute 2.89",
            rename.clone(),
        );
        is(&early.await, 400, "");
        is(
            &say_in(ground, "PUT", "compute", &subject.path(), NOVA, rename).await,
            200,
            "",
        );
        let seen = look(ground, "compute", &subject.path(), NOVA, "server").await;
        assert_eq!(host(&seen), "other-name");
        for (key, value) in [
            ("name", "a\nb"),
            ("name", " a"),
            ("description", "a\nb"),
            ("description", "😀"),
        ] {
            let body = json!({"server": {key: value}});
            is(
                &say_in(ground, "PUT", "compute", &subject.path(), NOVA, body).await,
                400,
                "",
            );
        }
        subject.clear(ground).await;
    }
}

/// What stands still or is shelved refuses what only a running server can do, and says so; the volumes of a
/// shelved one are `reserved`, of which nobody takes a snapshot or a backup.
pub(super) async fn server_stands_still_in_many_ways(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let subject = Subject::new(stage, ground, NOVA, Value::Null).await;
        for (into, status, out) in [
            ("os-stop", "SHUTOFF", "os-start"),
            ("pause", "PAUSED", "unpause"),
            ("suspend", "SUSPENDED", "resume"),
        ] {
            is(&subject.act(ground, json!({ into: null })).await, 202, "");
            subject.settle(ground, status).await;
            let said = subject.act(ground, json!({"os-stop": null})).await;
            is(&said, 409, "while it is in vm_state");
            assert_eq!(subject.volume_status(ground, 1).await, "in-use");
            is(&subject.act(ground, json!({ out: null })).await, 202, "");
            subject.settle(ground, "ACTIVE").await;
        }
        let said = subject.act(ground, json!({"rescue": {}})).await;
        is(&said, 400, "Cannot rescue a volume-backed instance");

        is(&subject.act(ground, json!({"shelve": null})).await, 202, "");
        subject.settle(ground, "SHELVED_OFFLOADED").await;
        until("the volume is reserved", async || {
            (subject.volume_status(ground, 0).await == "reserved").then_some(())
        })
        .await;
        let volume = &subject.volumes[0];
        let seen = look(
            ground,
            "volumev3",
            &format!("volumes/{volume}"),
            "",
            "volume",
        )
        .await;
        assert_eq!(seen["attachments"], json!([]));
        let path = format!("{}/os-volume_attachments", subject.path());
        let kept = look(ground, "compute", &path, NOVA, "volumeAttachments").await;
        assert_eq!(kept.as_array().map(Vec::len), Some(2));
        for force in [true, false] {
            let body = json!({"snapshot": {"volume_id": volume, "force": force}});
            let said = say_in(ground, "POST", "volumev3", "snapshots", "volume 3.60", body).await;
            is(&said, 400, "reserved");
        }
        let body = json!({"backup": {"volume_id": volume, "force": true}});
        let said = say(ground, "POST", "volumev3", "backups", body).await;
        is(&said, 400, "reserved");
        let said = subject
            .act(ground, json!({"createImage": {"name": "x"}}))
            .await;
        is(&said, 409, "vm_state shelved_offloaded");
        is(
            &subject.act(ground, json!({"os-start": null})).await,
            409,
            "",
        );
        is(
            &subject.act(ground, json!({"unshelve": null})).await,
            202,
            "",
        );
        subject.settle(ground, "ACTIVE").await;
        subject.clear(ground).await;
    }
}

/// A lock keeps members from changing a server, and not from taking an image of it; it does not bind an admin.
pub(super) async fn lock_binds_members(stage: &Stage) {
    for (ground, admin) in grounds(stage).await {
        let subject = Subject::new(stage, ground, NOVA, Value::Null).await;
        let lock = json!({"lock": {"locked_reason": "because"}});
        is(&subject.act(ground, lock).await, 202, "");
        let seen = look(ground, "compute", &subject.path(), NOVA, "server").await;
        assert_eq!(
            (&seen["locked"], &seen["locked_reason"]),
            (&json!(true), &json!("because"))
        );
        for action in ["os-stop", "pause", "shelve"] {
            let said = subject.act(ground, json!({ action: null })).await;
            is(&said, 409, "is locked");
        }
        let metadata = format!("{}/metadata", subject.path());
        let body = json!({"metadata": {"a": "b"}});
        let said = say(ground, "PUT", "compute", &metadata, body).await;
        is(&said, 409, "is locked");
        let said = say(ground, "DELETE", "compute", &subject.path(), Value::Null).await;
        is(&said, 409, "is locked");
        let name = json!({"server": {"name": format!("{}-locked", stage.mark)}});
        is(
            &say_in(ground, "PUT", "compute", &subject.path(), NOVA, name).await,
            200,
            "",
        );
        is(
            &subject.act(&admin, json!({"os-stop": null})).await,
            202,
            "",
        );
        subject.settle(ground, "SHUTOFF").await;
        is(&subject.act(ground, json!({"unlock": null})).await, 202, "");
        let seen = look(ground, "compute", &subject.path(), NOVA, "server").await;
        assert_eq!(
            (&seen["locked"], &seen["locked_reason"]),
            (&json!(false), &Value::Null)
        );
        subject.clear(ground).await;
    }
}

/// A server shows the image that it was launched from also when it boots from a volume.
pub(super) async fn image_is_shown_of_what_boots_from_a_volume(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let subject = Subject::new(stage, ground, NOVA, Value::Null).await;
        let seen = look(ground, "compute", &subject.path(), NOVA, "server").await;
        assert_eq!(seen["image"], "");
        let path = format!("{}/action", subject.path());
        let wish = json!({"createImage": {"name": format!("{}-image", stage.mark)}});
        let (status, answer) = ground.ask("POST", "compute", &path, NOVA, Some(wish)).await;
        assert_eq!(status, 202, "{answer}");
        let image = text(&answer["image_id"]);
        let (_, shown) = ground
            .ask("GET", "image", &format!("v2/images/{image}"), "", None)
            .await;
        let mapping = text(&shown["block_device_mapping"]);
        let mapping: Vec<Value> = serde_json::from_str(&mapping).expect("a list");
        let snapshots: Vec<String> = mapping
            .iter()
            .map(|one| text(&one["snapshot_id"]))
            .collect();
        for snapshot in &snapshots {
            let path = format!("snapshots/{snapshot}");
            ground
                .wait("volumev3", &path, "snapshot", "available")
                .await;
        }
        let body = json!({"name": format!("{}-copy", stage.mark), "flavorRef": ground.flavor().await,
            "imageRef": image, "networks": "none"});
        let copy = ground
            .make("compute", "servers", NOVA, "server", body)
            .await;
        let path = format!("servers/{}", text(&copy["id"]));
        ground.wait("compute", &path, "server", "ACTIVE").await;
        let seen = look(ground, "compute", &path, NOVA, "server").await;
        assert_eq!(seen["image"]["id"], image.as_str());
        let inside = format!("{path}/os-volume_attachments");
        let disks = look(ground, "compute", &inside, NOVA, "volumeAttachments").await;
        let disks = disks.as_array().expect("a list").clone();
        assert_eq!(disks.len(), 2);
        let mut bootable = Vec::new();
        for disk in &disks {
            let volume = format!("volumes/{}", text(&disk["volumeId"]));
            let volume = look(ground, "volumev3", &volume, "", "volume").await;
            assert!(snapshots.contains(&text(&volume["snapshot_id"])));
            bootable.push((text(&disk["device"]), text(&volume["bootable"])));
        }
        bootable.sort();
        let bootable: Vec<&str> = bootable.iter().map(|(_, one)| one.as_str()).collect();
        assert_eq!(bootable, ["true", "false"]);
        ground.remove("compute", &path).await;
        for disk in &disks {
            let volume = format!("volumes/{}", text(&disk["volumeId"]));
            ground.remove("volumev3", &volume).await;
        }
        for snapshot in &snapshots {
            ground
                .remove("volumev3", &format!("snapshots/{snapshot}"))
                .await;
        }
        ground.remove("image", &format!("v2/images/{image}")).await;
        subject.clear(ground).await;
    }
}

/// Cinder keeps a volume that is attached until an admin says that it is not, and Neutron keeps no port at all.
pub(super) async fn what_is_attached_is_kept_until_somebody_lies(stage: &Stage) {
    for (ground, admin) in grounds(stage).await {
        let subject = Subject::new(stage, ground, NOVA, Value::Null).await;
        let volume = format!("volumes/{}", subject.volumes[1]);
        let action = format!("{volume}/action");
        let refused = "must not be migrating, attached";
        let said = say(ground, "DELETE", "volumev3", &volume, Value::Null).await;
        is(&said, 400, refused);
        let forced = format!("{volume}?force=true");
        let said = say_in(ground, "DELETE", "volumev3", &forced, CINDER, Value::Null).await;
        is(&said, 403, "volume:force_delete");
        let force = json!({"os-force_delete": {}});
        let said = say(&admin, "POST", "volumev3", &action, force).await;
        is(&said, 400, refused);
        let reset = |body: Value| json!({"os-reset_status": body});
        let error = reset(json!({"status": "error"}));
        let said = say(ground, "POST", "volumev3", &action, error.clone()).await;
        is(&said, 403, "reset_status");
        is(
            &say(&admin, "POST", "volumev3", &action, error).await,
            202,
            "",
        );
        assert_eq!(subject.volume_status(ground, 1).await, "error");
        let said = say(ground, "DELETE", "volumev3", &volume, Value::Null).await;
        is(&said, 400, refused);
        let seen = look(ground, "volumev3", &volume, "", "volume").await;
        assert_eq!(seen["attachments"].as_array().map(Vec::len), Some(1));

        let lie = reset(json!({"status": "error", "attach_status": "detached"}));
        is(
            &say(&admin, "POST", "volumev3", &action, lie).await,
            202,
            "",
        );
        let seen = look(ground, "volumev3", &volume, "", "volume").await;
        assert_eq!(
            (&seen["attachments"], &seen["status"]),
            (&json!([]), &json!("available"))
        );
        let path = format!("{}/os-volume_attachments", subject.path());
        let held = look(ground, "compute", &path, NOVA, "volumeAttachments").await;
        let held = held.as_array().expect("a list").len();
        assert_eq!(held, 2, "Nova goes on writing into it");

        let ports = format!("ports?device_id={}", subject.server);
        let ports = look(ground, "network", &ports, "", "ports").await;
        let port = format!("ports/{}", text(&ports[0]["id"]));
        is(
            &say(ground, "DELETE", "network", &port, Value::Null).await,
            204,
            "",
        );
        subject.settle(ground, "ACTIVE").await;
        let path = format!("{}/os-interface", subject.path());
        until("the card is gone", async || {
            let cards = look(ground, "compute", &path, NOVA, "interfaceAttachments").await;
            (cards.as_array().map(Vec::len) == Some(2)).then_some(())
        })
        .await;
        subject.clear(ground).await;
    }
}
