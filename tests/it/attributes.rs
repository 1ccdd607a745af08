//! Every attribute of every document that the services show of an instance, set to something: it comes
//! back as it was, or is named among the differences; this file may not know which attributes there are.
//!
//! The lists of attributes are the documents themselves, so one that the simulator learns is swept from
//! then on. What only the one thing can have (ids, times, states, places) is named here once more, apart
//! from the tables that the service goes by.

use std::collections::BTreeMap;

use drbackup::{api::pb, sim};
use serde_json::{Map, Value, json};

use crate::house::House;

type Document = Map<String, Value>;

/// What of each kind of document is its own; a name that ends in `*` stands for all that begin so.
const OWN: [(&str, &str); 5] = [
    (
        "server",
        "id created updated tenant_id user_id hostId links progress OS-EXT-STS:* OS-SRV-USG:* \
         OS-EXT-SRV-ATTR:host OS-EXT-SRV-ATTR:hypervisor_hostname OS-EXT-SRV-ATTR:instance_name \
         OS-EXT-SRV-ATTR:reservation_id OS-EXT-SRV-ATTR:launch_index host_status server_groups addresses \
         os-extended-volumes:volumes_attached security_groups flavor image",
    ),
    (
        "volume",
        "id status created_at updated_at links user_id attachments snapshot_id source_volid \
         migration_status os-vol-* cluster_name provider_id service_uuid shared_targets volume_type_id",
    ),
    (
        "port",
        "id status created_at updated_at device_id device_owner tenant_id project_id revision_number \
         binding:host_id binding:vif_* network_id fixed_ips mac_address security_groups dns_assignment \
         ip_allocation resource_request qos_network_policy_id",
    ),
    (
        "group",
        "id created_at updated_at tenant_id project_id revision_number security_group_rules",
    ),
    (
        "rule",
        "id created_at updated_at tenant_id project_id revision_number security_group_id \
         standard_attr_id remote_group_id normalized_cidr belongs_to_default_sg",
    ),
];

/// What an attribute is called where it is told, if not as in its document.
const TOLD_AS: [(&str, &str); 5] = [
    ("OS-EXT-SRV-ATTR:hostname", "hostname"),
    ("OS-EXT-SRV-ATTR:user_data", "user_data"),
    ("OS-EXT-AZ:availability_zone", "availability_zone"),
    ("qos_policy_id", "qos_policy"),
    ("key_name", "key pair"),
];

fn is_own(kind: &str, name: &str) -> bool {
    let own = OWN.iter().find(|(known, _)| *known == kind);
    let own = own.map_or("", |(_, names)| names);
    own.split_whitespace()
        .any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => known == name,
        })
}

/// A client of one cloud: an admin at Nova, as the service has one, and a member elsewhere.
pub(crate) struct Eye<'a> {
    cloud: &'a sim::Cloud,
    admin: String,
    member: String,
}

impl<'a> Eye<'a> {
    pub(crate) async fn open(cloud: &'a sim::Cloud) -> Self {
        let admin = Self::token(cloud, "admin").await;
        let member = Self::token(cloud, "demo").await;
        Self {
            cloud,
            admin,
            member,
        }
    }

    async fn token(cloud: &sim::Cloud, entry: &str) -> String {
        let entries: Value = serde_norway::from_str(&sim::clouds_yaml([cloud])).expect("YAML");
        let auth = &entries["clouds"][format!("{}-{entry}", cloud.name())]["auth"];
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": auth["username"],
                "domain": {"name": "Default"}, "password": auth["password"]}}},
            "scope": {"project": {"name": auth["project_name"], "domain": {"name": "Default"}}}}});
        let url = format!("{}/auth/tokens", cloud.auth_url());
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes());
        let answer = cloud.carry(request.expect("a request")).await;
        let answer = answer.expect("an answer");
        let token = answer.headers().get("x-subject-token");
        let token = token.expect("a token").to_str().expect("text");
        token.to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (token, version) = if path.starts_with("compute") {
            (&self.admin, "compute latest")
        } else {
            (&self.member, "volume latest")
        };
        let request = http::Request::get(format!("{}/{path}", self.cloud.url()))
            .header("x-auth-token", token)
            .header("openstack-api-version", version)
            .body(Vec::new());
        let answer = self.cloud.carry(request.expect("a request")).await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(answer.body()).expect("JSON")
    }

    /// All documents of a server, by kind and by what they are told apart by.
    async fn documents(&self, project: &str, server: &str) -> BTreeMap<(String, String), Document> {
        let mut all = BTreeMap::new();
        let mut put = |kind: &str, key: String, value: &Value| {
            let document = value.as_object().expect("a document").clone();
            assert!(all.insert((kind.to_owned(), key), document).is_none());
        };
        let seen = self.get(&format!("compute/v2.1/servers/{server}")).await;
        put("server", String::new(), &seen["server"]);
        let disks = &seen["server"]["os-extended-volumes:volumes_attached"];
        for disk in disks.as_array().expect("a list") {
            let id = disk["id"].as_str().expect("an id");
            let volume = self.get(&format!("volume/v3/{project}/volumes/{id}")).await;
            put("volume", text(&volume["volume"]["name"]), &volume["volume"]);
        }
        let ports = self
            .get(&format!("network/v2.0/ports?device_id={server}"))
            .await;
        for port in ports["ports"].as_array().expect("a list") {
            put("port", text(&port["name"]), port);
            for id in port["security_groups"].as_array().expect("a list") {
                let id = id.as_str().expect("an id");
                let group = self
                    .get(&format!("network/v2.0/security-groups/{id}"))
                    .await;
                let group = &group["security_group"];
                put("group", text(&group["name"]), group);
                for rule in group["security_group_rules"].as_array().expect("a list") {
                    let own = rule["remote_group_id"] == id;
                    let key = [
                        "direction",
                        "ethertype",
                        "protocol",
                        "port_range_min",
                        "remote_ip_prefix",
                    ]
                    .map(|name| rule[name].to_string());
                    put("rule", format!("{} {own}", key.join(" ")), rule);
                }
            }
        }
        all
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Another value of the same type in place of one that says nothing, or says what is usual.
fn something(name: &str, value: &Value) -> Option<Value> {
    Some(match (name, value) {
        ("allowed_address_pairs", _) => {
            json!([{"ip_address": "10.10.9.9", "mac_address": "fa:16:3e:0a:0b:0c"}])
        }
        ("extra_dhcp_opts", _) => {
            json!([{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}])
        }
        ("config_drive", _) => json!("True"),
        ("OS-DCF:diskConfig", _) => json!("AUTO"),
        ("admin_state_up" | "propagate_uplink_status", _) => json!(false),
        // Such a volume is refused before anything is captured.
        ("encrypted", _) => return None,
        (_, Value::Null) => json!("swept"),
        (_, Value::String(text)) if text.is_empty() => json!("swept"),
        (_, Value::Bool(false)) => json!(true),
        (_, Value::Array(list)) if list.is_empty() => json!(["swept"]),
        (_, Value::Object(map)) if map.is_empty() => json!({"swept": "swept"}),
        _ => return None,
    })
}

/// Both clouds tell of a port whether it follows its uplink.
fn load_uplink_status(house: &House) {
    house.source.load_uplink_status();
    house.dr.load_uplink_status();
}

/// To be named is not enough for what can be put back.
fn follow_no_uplink(all: [&BTreeMap<(String, String), Document>; 2]) {
    for documents in all {
        let port = documents.iter().find(|((kind, _), _)| kind == "port");
        let (_, port) = port.expect("a port");
        assert_eq!(port["propagate_uplink_status"], json!(false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attribute_comes_back_or_is_named() {
    let house = House::open(sim::Times::fast()).await;
    house.prepare_refuge();
    load_uplink_status(&house);
    let spec = sim::InstanceSpec::new("web", &[1, 1]);
    let instance = house.source.create_instance(&spec).expect("made");
    let (source, dr) = (Eye::open(&house.source).await, Eye::open(&house.dr).await);
    let plain = source.documents(&house.home(), &instance.server).await;
    let mut set = 0;
    for ((kind, key), document) in &plain {
        let id = document["id"].as_str().expect("an id");
        let unheard = ("vendor:unheard".to_owned(), Value::Null);
        for (name, value) in document.iter().chain([(&unheard.0, &unheard.1)]) {
            // One rule is narrowed, the others stay as they are.
            let other_rule = kind == "rule" && !key.contains("443");
            if is_own(kind, name) || other_rule {
                continue;
            }
            if let Some(value) = something(name, value) {
                let done = house.source.set_attribute(id, name, value);
                done.expect("it is there");
                set += 1;
            }
        }
    }
    assert!(set > 30, "{set}");
    let was = source.documents(&house.home(), &instance.server).await;
    let backup = house.back_up_to_end(&instance.server).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    let gaps = &backup.metadata.as_ref().expect("a manifest").gaps;
    for kind in [
        "server",
        "volume web-root-0",
        "volume web-data-1",
        "port 0 (web-port)",
        "security group",
    ] {
        let told = gaps
            .iter()
            .any(|gap| gap.starts_with(kind) && gap.contains("vendor:unheard"));
        assert!(told, "{kind}: {gaps:#?}");
    }
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let server = &restoration
        .instance
        .as_ref()
        .expect("an instance")
        .server_id;
    let is = dr.documents(&house.refuge(), server).await;
    follow_no_uplink([&was, &is]);
    let named = |kind: &str, key: &str, name: &str| {
        let told_as = TOLD_AS.iter().find(|(known, _)| *known == name);
        let name = told_as.map_or(name, |(_, told)| told);
        restoration.differences.iter().any(|one| match kind {
            "server" => {
                let path = one.attribute.trim_start_matches("server ");
                path == name || path.starts_with(&format!("{name} "))
            }
            // A rule is told as a whole.
            "rule" => one.attribute.contains(" rule"),
            _ => {
                let path = &one.attribute;
                let hit =
                    path.ends_with(&format!(" {name}")) || path.contains(&format!(" {name} "));
                hit && path.contains(key)
            }
        })
    };
    let mut untold = Vec::new();
    for ((kind, key), document) in &was {
        let now = is.get(&(kind.clone(), key.clone()));
        for (name, value) in document {
            let equal = now.is_some_and(|now| now.get(name) == Some(value));
            if !equal && !is_own(kind, name) && !named(kind, key, name) {
                let now = now.and_then(|now| now.get(name));
                untold.push(format!("{kind} {key} {name}: {value} is now {now:?}"));
            }
        }
    }
    assert_eq!(
        untold,
        Vec::<String>::new(),
        "{:#?}",
        restoration.differences
    );
    // Nothing is let in that was not before.
    let rules = |all: &BTreeMap<(String, String), Document>| {
        let rules = all.keys().filter(|(kind, _)| kind == "rule");
        rules.map(|(_, key)| key.clone()).collect::<Vec<_>>()
    };
    let before = rules(&was);
    assert!(rules(&is).iter().all(|rule| before.contains(rule)));
    assert_eq!(
        rules(&is).len(),
        before.len() - 1,
        "the narrowed one is left out"
    );
}
