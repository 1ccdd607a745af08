//! An instance whose port is the parent of a trunk comes back with it, and without it where the other cloud
//! has none; the tests may not look inside the service.

use std::collections::BTreeMap;

use drbackup::{
    api::pb,
    sim::{self, Action, InstanceSpec, Rule, Service, Times, TrunkSpec},
};
use serde_json::{Value, json};

use crate::{
    attributes::Eye,
    house::{House, census, things},
};

/// The VLANs of the trunk.
const LANES: [u32; 2] = [101, 102];

/// An instance of the source with a trunk of two sub ports, each in a network of its own that the other
/// cloud has as well.
fn with_trunk(house: &House) -> sim::Instance {
    let instance = house
        .source
        .create_instance(&InstanceSpec::new("router", &[1]))
        .expect("made");
    let mut sub_ports = Vec::new();
    for vlan in LANES {
        let network = format!("lane-{vlan}");
        let of_source = house.source.create_network("demo", &network);
        house.dr.create_network("demo", &network).expect("made");
        let groups = [instance.security_group.clone()];
        let name = format!("sub-{vlan}");
        let port = house
            .source
            .create_port("demo", &of_source.expect("made"), &name, &groups);
        sub_ports.push((vlan, port.expect("made")));
    }
    for (name, value) in [
        ("description", json!("the second lane")),
        ("tags", json!(["lane"])),
    ] {
        let done = house.source.set_attribute(&sub_ports[1].1, name, value);
        done.expect("it is there");
    }
    let spec = TrunkSpec {
        name: "lanes".to_owned(),
        description: "two lanes".to_owned(),
        tags: vec!["gold".to_owned()],
        sub_ports,
    };
    house
        .source
        .create_trunk(&instance.port, &spec)
        .expect("made");
    instance
}

async fn backed_up(house: &House) -> pb::DrBackup {
    house.prepare_refuge();
    let instance = with_trunk(house);
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    backup
}

async fn restored(house: &House, wish: pb::CreateRestorationRequest) -> pb::Restoration {
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    restoration
}

async fn delete(house: &House, id: &str) {
    let request = pb::DeleteRestorationRequest {
        id: id.to_owned(),
        delete_instance: true,
        ..Default::default()
    };
    let mut client = house.restorations().await;
    client.delete_restoration(request).await.expect("admitted");
    house.restoration_gone(id).await;
}

fn server_of(restoration: &pb::Restoration) -> String {
    let instance = restoration.instance.as_ref().expect("an instance");
    instance.server_id.clone()
}

/// What is in the other cloud, but for records: those stay, because they share their bytes with the originals.
fn left(house: &House) -> BTreeMap<&'static str, usize> {
    let mut left = census(&house.dr, "demo");
    left.remove("backups");
    left
}

/// What a trunk and its sub ports are, without what is one cloud's own.
async fn trunk_of(cloud: &sim::Cloud, server: &str) -> Option<Value> {
    let eye = Eye::open(cloud).await;
    let ports = eye
        .get(&format!("network/v2.0/ports?device_id={server}"))
        .await;
    let port = ports["ports"][0].clone();
    let details = port.get("trunk_details")?;
    let id = details["trunk_id"].as_str().expect("an id");
    let trunk = eye.get(&format!("network/v2.0/trunks/{id}")).await;
    let trunk = &trunk["trunk"];
    assert_eq!(trunk["port_id"], port["id"]);
    let mut lanes = Vec::new();
    for sub in details["sub_ports"].as_array().expect("a list") {
        let port = sub["port_id"].as_str().expect("an id");
        let port = eye.get(&format!("network/v2.0/ports/{port}")).await;
        let port = &port["port"];
        assert_eq!(port["mac_address"], sub["mac_address"]);
        assert_eq!(port["device_owner"], "trunk:subport");
        let network = port["network_id"].as_str().expect("an id");
        let network = eye.get(&format!("network/v2.0/networks/{network}")).await;
        let group = port["security_groups"][0].as_str().expect("one group");
        let group = eye
            .get(&format!("network/v2.0/security-groups/{group}"))
            .await;
        lanes.push(json!({
            "segmentation": [sub["segmentation_type"], sub["segmentation_id"]],
            "name": port["name"], "description": port["description"], "tags": port["tags"],
            "admin_state_up": port["admin_state_up"],
            "network": network["network"]["name"], "group": group["security_group"]["name"],
            "mac_address": port["mac_address"], "address": port["fixed_ips"][0]["ip_address"],
        }));
    }
    Some(
        json!({"name": trunk["name"], "description": trunk["description"], "tags": trunk["tags"],
        "admin_state_up": trunk["admin_state_up"], "status": trunk["status"], "lanes": lanes}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_comes_back_with_its_trunk_and_goes_with_it() {
    let house = House::open(Times::fast()).await;
    let backup = backed_up(&house).await;
    let manifest = backup.metadata.as_ref().expect("a manifest");
    assert!(
        manifest.gaps.iter().all(|gap| !gap.contains("trunk")),
        "{:#?}",
        manifest.gaps
    );
    let trunk = manifest.ports[0].trunk.as_ref().expect("a trunk");
    let lanes = trunk.sub_ports.iter().map(|sub| sub.segmentation_id);
    assert_eq!(lanes.collect::<Vec<_>>(), [101, 102]);
    let before = left(&house);
    let restoration = restored(
        &house,
        pb::CreateRestorationRequest {
            keep_fixed_addresses: true,
            keep_mac_addresses: true,
            ..house.wish(&backup.id)
        },
    )
    .await;
    let was = trunk_of(&house.source, &manifest.instance_id).await;
    let is = trunk_of(&house.dr, &server_of(&restoration)).await;
    assert!(was.is_some());
    assert_eq!(is, was, "{:#?}", restoration.differences);
    let told =
        |one: &&pb::Difference| one.attribute.contains("trunk") || one.attribute.contains("sub-10");
    let told: Vec<&pb::Difference> = restoration.differences.iter().filter(told).collect();
    assert!(told.is_empty(), "{told:#?}");
    delete(&house, &restoration.id).await;
    assert_eq!(left(&house), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_without_trunks_gets_the_instance_alone_and_that_is_told() {
    let house = House::open(Times::fast()).await;
    let backup = backed_up(&house).await;
    house.dr.set_without_trunks(true);
    let before = left(&house);
    let restoration = restored(&house, house.wish(&backup.id)).await;
    let told = restoration.differences.iter();
    let told: Vec<&pb::Difference> = told
        .filter(|one| one.attribute == "port 0 (router-port) trunk")
        .collect();
    assert_eq!(told.len(), 1, "{:#?}", restoration.differences);
    assert_eq!(told[0].was, "lanes (vlan 101 sub-101, vlan 102 sub-102)");
    let ports = things(&house.dr, "demo", "ports");
    assert!(ports.iter().all(|port| !port.text("name").contains("sub-")));
    assert!(ports.iter().all(|port| !port.text("name").contains("drb-")));
    delete(&house, &restoration.id).await;
    assert_eq!(left(&house), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_that_is_refused_takes_its_sub_ports_along_and_that_is_told() {
    let house = House::open(Times::fast()).await;
    let backup = backed_up(&house).await;
    let refusal = Action::Answer {
        status: 403,
        body: json!({"NeutronError": {"type": "PolicyNotAuthorized",
            "message": "rule:create_trunk is disallowed by policy", "detail": ""}}),
        headers: Vec::new(),
        acted: false,
    };
    let rule = Rule::on(Service::Network, "POST", "/trunks", refusal);
    house.dr.fault(rule).expect("a rule");
    let restoration = restored(&house, house.wish(&backup.id)).await;
    let told = restoration.differences.iter();
    let told: Vec<&pb::Difference> = told
        .filter(|one| one.attribute == "port 0 (router-port) trunk")
        .collect();
    assert_eq!(told.len(), 1, "{:#?}", restoration.differences);
    assert!(told[0].why.contains("disallowed"), "{told:#?}");
    let ports = things(&house.dr, "demo", "ports");
    let left = ports.iter().map(|port| port.text("name").to_owned());
    let left: Vec<String> = left
        .filter(|name| name.contains("drb-") || name.contains("sub-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// A guest's VLAN interface has the MAC address of its card: where none is kept, the sub port that had that of
/// its parent gets the new one of its parent.
#[tokio::test(flavor = "multi_thread")]
async fn a_sub_port_that_had_the_address_of_its_parent_follows_it() {
    let house = House::open(Times::fast()).await;
    house.prepare_refuge();
    let instance = with_trunk(&house);
    let port = things(&house.source, "demo", "ports");
    let port = |id: &str| port.iter().find(|port| port.text("id") == id);
    let mac = port(&instance.port).expect("there").text("mac_address");
    let sub = things(&house.source, "demo", "ports");
    let sub = sub.iter().find(|port| port.text("name") == "sub-101");
    let sub = sub.expect("there").text("id").to_owned();
    let done = house.source.set_attribute(&sub, "mac_address", json!(mac));
    done.expect("it is there");
    let backup = house.back_up_to_end(&instance.server).await;
    let restoration = restored(&house, house.wish(&backup.id)).await;
    let server = server_of(&restoration);
    let trunk = trunk_of(&house.dr, &server).await.expect("a trunk");
    let eye = Eye::open(&house.dr).await;
    let ports = eye
        .get(&format!("network/v2.0/ports?device_id={server}"))
        .await;
    let parent = &ports["ports"][0]["mac_address"];
    assert_ne!(parent, mac);
    assert_eq!(&trunk["lanes"][0]["mac_address"], parent);
    assert_ne!(&trunk["lanes"][1]["mac_address"], parent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_whose_parent_port_others_use_stays_with_its_sub_ports() {
    let house = House::open(Times::fast()).await;
    let backup = backed_up(&house).await;
    let servers = things(&house.dr, "demo", "servers");
    let resident = servers[0].text("id").to_owned();
    let restoration = restored(&house, house.wish(&backup.id)).await;
    let server = server_of(&restoration);
    let ports = things(&house.dr, "demo", "ports");
    let parent = ports.iter().find(|port| port.text("device_id") == server);
    let parent = parent.expect("a port").text("id").to_owned();
    house.dr.give_port(&parent, &resident).expect("given");
    let request = |delete_instance| pb::DeleteRestorationRequest {
        id: restoration.id.clone(),
        delete_instance,
        ..Default::default()
    };
    let mut client = house.restorations().await;
    let admitted = client.delete_restoration(request(true)).await;
    admitted.expect("admitted");
    let ended = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(ended.state(), pb::State::Erred);
    let error = ended.error.expect("an error");
    assert_eq!(error.reason, "IN_USE");
    for told in ["trunk", "port", &resident] {
        assert!(error.message.contains(told), "{told}: {}", error.message);
    }
    let trunks = things(&house.dr, "demo", "trunks");
    assert_eq!(trunks.len(), 1);
    let of_trunk = |port: &&crate::house::Thing| port.text("device_id") == trunks[0].text("id");
    let ports = things(&house.dr, "demo", "ports");
    assert_eq!(ports.iter().filter(of_trunk).count(), LANES.len());
    // Given back, everything goes.
    house.dr.let_go_of_port(&parent).expect("let go");
    delete(&house, &restoration.id).await;
    assert!(things(&house.dr, "demo", "trunks").is_empty());
}
