//! Nova servers; this file may not know what is on their disks or behind their ports.
//!
//! One file because a server is shown, made and set in one and the same document, by one list of versions.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::Access,
    attributes::{self, Odd},
    call::Call,
    coalescer::worth_a_list,
    fault::presentable,
    path::Path,
    server_group,
    version::Microversion,
    wire::{InOrder, cut, flag, nullable, present, properties, short},
};
use crate::domain::{
    effect::{ServerPlan, ServerSetting},
    fault::{Fault, FaultKind, Service},
    id::{ServerId, Tenant},
    inventory::InstanceInfo,
    manifest::Properties,
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
    user_data::UserData,
};

const NOVA: Service = Service::Compute;

/// Bytes of a line of user data that is hidden where a cloud quotes it; shorter ones are common words.
const TELLING: usize = 8;
/// A list tells the tags from 2.26 on, and owns up to servers in cells that are down from 2.69 on;
/// before, it leaves them out without a word.
const LIST: [Microversion; 2] = [Microversion(2, 69), Microversion(2, 26)];
/// Description (2.19), device tags (2.42), no networks at all (2.37), tags at once (2.52).
/// The name of the host (2.90).
const MAKE: [Microversion; 4] = [
    Microversion(2, 90),
    Microversion(2, 52),
    Microversion(2, 42),
    Microversion(2, 19),
];
/// Hints (2.100), the zone that it is bound to (2.96), the name of the host (2.90), why it is locked (2.73),
/// server groups (2.71), the flavor in full (2.47), tags (2.26), description (2.19), whether it is locked
/// (2.9), what goes with the server (2.3).
const SHOW: [Microversion; 10] = [
    Microversion(2, 100),
    Microversion(2, 96),
    Microversion(2, 90),
    Microversion(2, 73),
    Microversion(2, 71),
    Microversion(2, 47),
    Microversion(2, 26),
    Microversion(2, 19),
    Microversion(2, 9),
    Microversion(2, 3),
];
/// From here on an admin sees user data and root device.
const ADMIN_VIEW: Microversion = Microversion(2, 3);
const TAGS: Microversion = Microversion(2, 26);
const TAGS_AT_ONCE: Microversion = Microversion(2, 52);
const NO_NETWORK: Microversion = Microversion(2, 37);
const DEVICE_TAGS: Microversion = Microversion(2, 42);
const DESCRIPTION: Microversion = Microversion(2, 19);
const HOSTNAME: Microversion = Microversion(2, 90);
const LOCKED_REASON: Microversion = Microversion(2, 73);

/// Nova keeps as many tags on a server.
const TAGS_MAX: usize = 50;
/// Nova keeps as many characters of a tag.
const TAG_CHARACTERS_MAX: usize = 60;
/// The metadata key that stands in for our tag where Nova takes none at once.
const MARK: &str = "drbackup";

/// A server as Nova shows it; a server in a cell that is down has only an id and `UNKNOWN`.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields have the names that Nova gives them"
)]
pub(super) struct Server {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) status: String,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    pub(super) updated: Option<String>,
    #[serde(default, rename = "OS-EXT-STS:task_state")]
    pub(super) task: Option<String>,
    #[serde(default)]
    pub(super) user_id: Option<String>,
    /// An empty text for a server that boots from a volume.
    #[serde(default)]
    pub(super) image: Value,
    #[serde(default)]
    pub(super) flavor: Value,
    #[serde(default, deserialize_with = "properties")]
    pub(super) metadata: Properties,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) tags: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default)]
    fault: Option<ServerFault>,
    #[serde(default)]
    pub(super) key_name: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) config_drive: bool,
    #[serde(default, rename = "OS-EXT-AZ:availability_zone")]
    pub(super) zone: Option<String>,
    #[serde(
        default,
        rename = "os-extended-volumes:volumes_attached",
        deserialize_with = "nullable"
    )]
    pub(super) volumes: Vec<AttachedVolume>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) server_groups: Vec<String>,
    /// By network, in the order of the network cards.
    #[serde(default)]
    pub(super) addresses: InOrder<(String, Vec<Address>)>,
    /// Empty where there is none, missing where it may not be seen.
    #[serde(
        default,
        rename = "OS-EXT-SRV-ATTR:user_data",
        deserialize_with = "present"
    )]
    pub(super) user_data: Option<UserData>,
    #[serde(default, rename = "OS-EXT-SRV-ATTR:root_device_name")]
    pub(super) root_device: Option<String>,
    /// Told to everybody from 2.90 on, before that to admins.
    #[serde(default, rename = "OS-EXT-SRV-ATTR:hostname")]
    pub(super) hostname: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) locked: bool,
    #[serde(default)]
    pub(super) locked_reason: Option<String>,
    #[serde(default, rename = "OS-DCF:diskConfig")]
    pub(super) disk_config: Option<String>,
    /// What says something and is not restored.
    #[serde(flatten, deserialize_with = "attributes::of_server")]
    pub(super) odd: Vec<Odd>,
}

#[derive(Debug, Clone, Deserialize)]
struct ServerFault {
    #[serde(default, deserialize_with = "nullable")]
    message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AttachedVolume {
    pub(super) id: String,
    #[serde(default, deserialize_with = "flag")]
    pub(super) delete_on_termination: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    #[serde(default, rename = "OS-EXT-IPS-MAC:mac_addr")]
    pub(super) mac: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) server: Server,
}

#[derive(Deserialize)]
struct Made {
    server: MadeServer,
}

#[derive(Deserialize)]
struct MadeServer {
    id: String,
}

impl Server {
    /// Whether Nova knows of no image: then it boots from a volume, for else it could not boot. With one it
    /// may boot from a volume all the same: see [`super::root`].
    pub(super) fn has_no_image(&self) -> bool {
        match &self.image {
            Value::String(text) => text.is_empty(),
            Value::Null => true,
            Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
        }
    }

    fn sighting(self, characters_max: usize) -> Sighting {
        let mut tags = self.tags;
        tags.extend(self.metadata.get(MARK).cloned());
        Sighting {
            thing: Thing {
                kind: ThingKind::Server,
                id: self.id,
            },
            name: self.name.unwrap_or_default(),
            tags,
            status: self.status.to_lowercase(),
            message: self
                .fault
                .map(|fault| presentable(&fault.message, &[], characters_max))
                .filter(|message| !message.is_empty()),
            created: self.created.as_deref().and_then(Timestamp::parse),
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        }
    }

    fn info(self, tenant: &Tenant) -> InstanceInfo {
        InstanceInfo {
            tenant: tenant.clone(),
            root_is_volume: self.has_no_image(),
            volumes: u32::try_from(self.volumes.len()).unwrap_or(u32::MAX),
            server: ServerId::new(self.id),
            name: cut(&self.name.unwrap_or_default()),
            status: self.status,
        }
    }
}

/// All servers of a tenant.
async fn list(access: &Access, tenant: &Tenant) -> Result<Vec<Server>, Fault> {
    let version = access.first_of(NOVA, &LIST).await?;
    let call = Call::get(NOVA, "servers/detail", "list the servers").at(version);
    access
        .pages_of(tenant, of_tenant(call, access, tenant), "servers")
        .await
}

/// All servers of a tenant as sightings. A cell that is down hides names and tags, and a server that
/// is looked for by them must not be taken for missing: then there is no list.
pub(super) async fn sightings(access: &Access, tenant: &Tenant) -> Result<Vec<Sighting>, Fault> {
    let servers = list(access, tenant).await?;
    if servers.iter().any(|server| server.name.is_none()) {
        return Err(Fault::new(
            FaultKind::ServiceDown,
            NOVA,
            "list the servers",
            "a cell of Nova is down, so that some servers are hidden",
        ));
    }
    let characters_max = access.session.connection.limits().message_characters_max;
    Ok(servers
        .into_iter()
        .map(|server| server.sighting(characters_max))
        .collect())
}

/// All servers of a tenant as instances.
pub(super) async fn instances(
    access: &Access,
    tenant: &Tenant,
) -> Result<Vec<InstanceInfo>, Fault> {
    let servers = list(access, tenant).await?;
    Ok(servers
        .into_iter()
        .map(|server| server.info(tenant))
        .collect())
}

async fn get(access: &Access, id: &str) -> Result<Server, Fault> {
    let version = access.first_of(NOVA, &LIST).await?;
    let call = Call::get(
        NOVA,
        Path::of("servers", &id),
        format!("read the server {id}"),
    );
    Ok(access.read::<One>(&call.at(version)).await?.server)
}

/// One server as an instance.
pub(super) async fn instance(
    access: &Access,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<InstanceInfo, Fault> {
    Ok(shown(access, tenant, id).await?.info(tenant))
}

/// One server with all that a member is shown.
pub(super) async fn shown(
    access: &Access,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<Server, Fault> {
    let version = access.first_of(NOVA, &SHOW).await?;
    show(access, tenant, id, version).await
}

/// One server as an admin is shown it, with user data and root device.
pub(super) async fn shown_to_admin(
    admin: &Access,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<Server, Fault> {
    let version = admin.first_of(NOVA, &[ADMIN_VIEW]).await?;
    show(admin, tenant, id, version).await
}

/// One server. Many that are wanted at the same time come out of one list, as long as that is
/// not much longer than they are many.
async fn show(
    access: &Access,
    tenant: &Tenant,
    id: &ServerId,
    version: Option<Microversion>,
) -> Result<Server, Fault> {
    let about = format!("servers of project {} at {version:?}", tenant.project);
    let coalescer = access.shared::<Server>(about);
    let found = coalescer
        .get(
            vec![id.as_str().to_owned()],
            |server| &server.id,
            |ids| show_together(access, tenant, ids, version),
        )
        .await?;
    match found.into_iter().next() {
        Some(server) => Ok(server),
        // What a list does not show may still be there; and if not, this says so.
        None => show_one(access, tenant, id.as_str(), version).await,
    }
}

async fn show_one(
    access: &Access,
    tenant: &Tenant,
    id: &str,
    version: Option<Microversion>,
) -> Result<Server, Fault> {
    let call = Call::get(
        NOVA,
        Path::of("servers", &id),
        format!("read the server {id}"),
    );
    let found: One = access.read_of(tenant, id, &call.at(version)).await?;
    Ok(found.server)
}

/// Those of these servers that could be read; what is not there is left out.
async fn show_together(
    access: &Access,
    tenant: &Tenant,
    ids: Vec<String>,
    version: Option<Microversion>,
) -> Result<Vec<Server>, Fault> {
    // One that is asked for alone has an answer of its own, also when that is a refusal.
    if let [id] = ids.as_slice() {
        return Ok(vec![show_one(access, tenant, id, version).await?]);
    }
    if let Some(rows) = worth_a_list(ids.len())
        && let Some(listed) = list_in_full(access, tenant, version, rows).await?
    {
        return Ok(listed);
    }
    let asked: Vec<_> = ids
        .iter()
        .map(|id| show_one(access, tenant, id, version))
        .collect();
    stream::iter(asked)
        .buffered(access.session.connection.limits().side_by_side)
        .filter_map(|answer| async {
            match answer {
                Err(fault) if fault.kind == FaultKind::NotFound => None,
                other => Some(other),
            }
        })
        .try_collect()
        .await
}

/// The servers of a tenant with all that a question for one of them would answer; nothing when there
/// are more than `rows`.
async fn list_in_full(
    access: &Access,
    tenant: &Tenant,
    version: Option<Microversion>,
    rows: usize,
) -> Result<Option<Vec<Server>>, Fault> {
    let call = Call::get(NOVA, "servers/detail", "list the servers").at(version);
    let call = of_tenant(call, access, tenant);
    // A list leaves out in which groups a server is.
    let memberships = async {
        if version.is_some_and(server_group::is_told_by_server) {
            server_group::memberships(access).await
        } else {
            Ok(Some(Vec::new()))
        }
    };
    let listed = access.short_list::<Server>(Some(tenant), call, "servers", rows);
    let (listed, groups) = futures::try_join!(listed, memberships)?;
    let (Some(mut servers), Some(groups)) = (listed, groups) else {
        return Ok(None);
    };
    for server in &mut servers {
        let own = groups.iter().filter(|group| group.has(&server.id));
        server
            .server_groups
            .extend(own.map(|group| group.id.clone()));
    }
    Ok(Some(servers))
}

/// An admin out of another project names the one that is meant.
fn of_tenant(call: Call, access: &Access, tenant: &Tenant) -> Call {
    if access.foreign {
        call.query("all_tenants", "1")
            .query("project_id", tenant.project.as_str())
    } else {
        call
    }
}

/// One server as a sighting.
pub(super) async fn sighting(
    access: &Access,
    tenant: &Tenant,
    id: &str,
) -> Result<Sighting, Fault> {
    let characters_max = access.session.connection.limits().message_characters_max;
    let version = access.first_of(NOVA, &LIST).await?;
    let seen = show_one(access, tenant, id, version).await?;
    Ok(seen.sighting(characters_max))
}

/// Makes a server. It is found again by `name`, which is one of its tags, or, where Nova takes no
/// tags at once, the value of the metadata `drbackup`.
pub(super) async fn make(access: &Access, name: &str, plan: &ServerPlan) -> Result<String, Fault> {
    let version = access.first_of(NOVA, &MAKE).await?;
    let mut call = Call::post(
        NOVA,
        "servers",
        format!("create the server {} ({name})", plan.name),
        json!({"server": body(name, plan, version)}),
    )
    .at(version);
    if let Some(user_data) = &plan.user_data {
        call = lines_of(user_data.expose())
            .iter()
            .fold(call.hiding(user_data.expose()), |call, line| {
                call.hiding(line)
            });
    }
    Ok(access.read::<Made>(&call).await?.server.id)
}

/// The lines of user data that say something, as a cloud may quote one of them.
fn lines_of(user_data: &str) -> Vec<String> {
    let plain = STANDARD.decode(user_data.trim()).unwrap_or_default();
    let plain = String::from_utf8(plain).unwrap_or_default();
    let lines = plain.lines().map(str::trim);
    let telling = lines.filter(|line| line.len() >= TELLING);
    telling.map(str::to_owned).collect()
}

fn body(name: &str, plan: &ServerPlan, version: Option<Microversion>) -> Map<String, Value> {
    let speaks = |least: Microversion| version.is_some_and(|version| version >= least);
    let disks: Vec<Value> = plan
        .disks
        .iter()
        .enumerate()
        .map(|(index, disk)| {
            let mut mapping = json!({
                "uuid": disk.volume,
                "source_type": "volume",
                "destination_type": "volume",
                "boot_index": if index == 0 { 0 } else { -1 },
                "delete_on_termination": disk.delete_on_termination,
            });
            if let Some(tag) = disk.tag.as_ref().filter(|_| speaks(DEVICE_TAGS)) {
                mapping["tag"] = json!(tag);
            }
            // Seen on Nova of Zed and 2026.1 with the fake driver: the wish becomes the name, and of
            // two alike wishes one is lost without a word. The driver of libvirt overrules all.
            if let Some(device) = &disk.device {
                mapping["device_name"] = json!(device);
            }
            mapping
        })
        .collect();
    let mut server = Map::new();
    let mut put = |key: &str, value: Value| server.insert(key.to_owned(), value);
    put("name", json!(plan.name));
    put("flavorRef", json!(plan.flavor));
    put("block_device_mapping_v2", Value::Array(disks));
    put("config_drive", json!(plan.config_drive));
    let tags = plan.card_tags.iter().map(Option::as_ref);
    let tags = tags.chain(std::iter::repeat(None));
    let ports: Vec<Value> = plan
        .ports
        .iter()
        .zip(tags)
        .map(|(port, tag)| match tag.filter(|_| speaks(DEVICE_TAGS)) {
            Some(tag) => json!({"port": port, "tag": tag}),
            None => json!({"port": port}),
        })
        .collect();
    if !ports.is_empty() {
        put("networks", Value::Array(ports));
    } else if speaks(NO_NETWORK) {
        put("networks", json!("none"));
    }
    if speaks(DESCRIPTION) && !plan.description.is_empty() {
        put("description", json!(cut(&plan.description)));
    }
    let hostname = plan.hostname.clone();
    let hostname = hostname.filter(|name| speaks(HOSTNAME) && is_host_name(name));
    let optional = [
        ("hostname", &hostname),
        ("OS-DCF:diskConfig", &plan.disk_config),
        ("key_name", &plan.key_name),
        ("availability_zone", &plan.availability_zone),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            put(key, json!(value));
        }
    }
    if let Some(user_data) = &plan.user_data {
        put("user_data", json!(user_data));
    }
    let mut metadata = plan.metadata.clone();
    if speaks(TAGS_AT_ONCE) && is_tag(name) {
        let tags: Vec<&str> = std::iter::once(name)
            .chain(plan.tags.iter().map(String::as_str))
            .take(TAGS_MAX)
            .collect();
        put("tags", json!(tags));
    } else {
        metadata.insert(MARK.to_owned(), name.to_owned());
    }
    put("metadata", json!(metadata));
    server
}

/// Whether Nova takes it: at 2.90 no dots, and letters and digits at both ends (schema `hostname`); a name
/// that it refuses would refuse the server.
fn is_host_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    (2..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| good(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| good(*byte))
        && bytes.last().is_some_and(|byte| good(*byte))
}

fn is_tag(text: &str) -> bool {
    text.chars().count() <= TAG_CHARACTERS_MAX && !text.contains(['/', ','])
}

/// Gives a server exactly these tags, and takes the mark off that stood in for one.
pub(super) async fn apply_tags(
    access: &Access,
    id: &ServerId,
    tags: &[String],
) -> Result<(), Fault> {
    let version = access.first_of(NOVA, &[TAGS]).await?;
    if version.is_some() {
        let call = Call::put(
            NOVA,
            Path::of("servers", &id).word("tags"),
            format!("set the tags of the server {id}"),
            json!({ "tags": tags }),
        );
        access.send(&call.at(version)).await?;
    }
    if access.first_of(NOVA, &[TAGS_AT_ONCE]).await?.is_some() {
        return Ok(());
    }
    let call = Call::delete(
        NOVA,
        Path::of("servers", &id).word("metadata").word(MARK),
        format!("take our mark off the server {id}"),
    );
    match access.send(&call).await {
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// Sets one thing on a server that is up; `Busy` until it is so.
pub(super) async fn set(
    access: &Access,
    id: &ServerId,
    setting: &ServerSetting,
) -> Result<(), Fault> {
    match setting {
        ServerSetting::Stopped => stop(access, id).await,
        ServerSetting::Locked(reason) => {
            let version = access.first_of(NOVA, &[LOCKED_REASON]).await?;
            let body = match reason.as_ref().filter(|_| version.is_some()) {
                Some(reason) => json!({"lock": {"locked_reason": cut(reason)}}),
                None => json!({"lock": null}),
            };
            act(access, id, format!("lock the server {id}"), body, version).await
        }
    }
}

/// Nova makes no server that is switched off, so one that is up is; what is down already stays.
async fn stop(access: &Access, id: &ServerId) -> Result<(), Fault> {
    let action = format!("stop the server {id}");
    let seen = get(access, id.as_str()).await?;
    if seen.status.eq_ignore_ascii_case("SHUTOFF") {
        return Ok(());
    }
    if seen.task.is_none() {
        act(access, id, action.clone(), json!({"os-stop": null}), None).await?;
    }
    Err(Fault::new(
        FaultKind::Busy,
        NOVA,
        action,
        "it is on its way down",
    ))
}

async fn act(
    access: &Access,
    id: &ServerId,
    action: String,
    body: Value,
    version: Option<Microversion>,
) -> Result<(), Fault> {
    let call = Call::post(NOVA, Path::of("servers", &id).word("action"), action, body);
    access.send(&call.at(version)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        effect::Disk,
        id::{FlavorId, PortId, VolumeId},
    };

    fn plan() -> ServerPlan {
        let disk = |id: &str| Disk {
            volume: VolumeId::new(id),
            tag: Some("data".to_owned()),
            device: (id == "b").then(|| "/dev/vdc".to_owned()),
            delete_on_termination: false,
        };
        ServerPlan {
            name: "web".to_owned(),
            description: "d".to_owned(),
            flavor: FlavorId::new("f"),
            disks: vec![disk("a"), disk("b")],
            ports: vec![PortId::new("p")],
            key_name: None,
            availability_zone: None,
            config_drive: false,
            user_data: None,
            metadata: Properties::new(),
            tags: (0..60).map(|n| format!("t{n}")).collect(),
            card_tags: vec![Some("uplink".to_owned())],
            hostname: Some("old-host".to_owned()),
            disk_config: None,
        }
    }

    #[test]
    fn new_nova_gets_our_name_as_first_tag_and_not_more_than_it_keeps() {
        let body = body("drb-1", &plan(), Some(Microversion(2, 52)));
        let tags = body["tags"].as_array().unwrap();
        assert_eq!((tags.len(), &tags[0]), (TAGS_MAX, &json!("drb-1")));
        assert_eq!(body["block_device_mapping_v2"][0]["boot_index"], 0);
        assert_eq!(body["block_device_mapping_v2"][1]["boot_index"], -1);
        assert_eq!(body["block_device_mapping_v2"][1]["tag"], "data");
        let devices = [0, 1].map(|index| &body["block_device_mapping_v2"][index]["device_name"]);
        assert_eq!(devices, [&Value::Null, &json!("/dev/vdc")]);
        assert_eq!(body["metadata"], json!({}));
    }

    #[test]
    fn old_nova_gets_no_unknown_key() {
        let body = body("drb-1", &plan(), None);
        assert!(!body.contains_key("tags") && !body.contains_key("description"));
        assert!(!body.contains_key("hostname") && body["networks"][0].get("tag").is_none());
        assert!(body["block_device_mapping_v2"][0].get("tag").is_none());
        assert_eq!(body["metadata"], json!({"drbackup": "drb-1"}));
    }

    #[test]
    fn a_name_of_the_host_is_sent_where_it_is_taken() {
        let mut plan = plan();
        let sent = |plan: &ServerPlan, minor| {
            let body = body("drb-1", plan, Some(Microversion(2, minor)));
            (
                body.get("hostname").cloned(),
                body["networks"][0]["tag"].clone(),
            )
        };
        assert_eq!(sent(&plan, 90), (Some(json!("old-host")), json!("uplink")));
        assert_eq!(sent(&plan, 52).0, None);
        for name in ["a.b", "-a", "a", "a_b"] {
            plan.hostname = Some(name.to_owned());
            assert_eq!(sent(&plan, 90).0, None, "{name} would refuse the server");
        }
    }

    #[test]
    fn name_that_is_no_tag_becomes_metadata() {
        let long = "x".repeat(61);
        let body = body(&long, &plan(), Some(Microversion(2, 52)));
        assert!(!body.contains_key("tags"));
        assert_eq!(body["metadata"]["drbackup"], long);
    }

    #[test]
    fn server_without_image_boots_from_a_volume() {
        let read = |text| serde_json::from_str::<Server>(text).unwrap();
        assert!(read(r#"{"id": "s", "image": ""}"#).has_no_image());
        assert!(!read(r#"{"id": "s", "image": {"id": "i"}}"#).has_no_image());
    }
}
