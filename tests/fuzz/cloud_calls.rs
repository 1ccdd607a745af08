//! Everything that the service can ask of a cloud, as values; it may not know what a cloud answers.

use std::collections::{BTreeMap, BTreeSet};

use drbackup::{
    domain::{
        effect::Request,
        fault::Fault,
        id::{ServerId, Tenant},
        sighting::{Thing, ThingKind},
    },
    openstack::Clouds,
    port::{
        cloud::{Answer, Cloud as _},
        login::Tokens as _,
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::ports::STORED;

/// One call of a method of the ports that clouds are behind.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Perform(Box<Request>),
    Delete(Thing, Vec<Thing>),
    List(ThingKind),
    Get(Thing),
    Clouds,
    Tenants,
    Reached,
    Instances,
    Instance(ServerId),
    Peek(ServerId),
    Flavors,
    Networks,
    VolumeTypes,
    Look { token: String, expired_too: bool },
}

impl Call {
    /// The method.
    fn method(&self) -> &'static str {
        match self {
            Self::Perform(_) => "request_perform",
            Self::Delete(..) => "thing_delete",
            Self::List(_) => "things_list",
            Self::Get(_) => "thing_get",
            Self::Clouds => "clouds_list",
            Self::Tenants => "tenants_list",
            Self::Reached => "tenant_reached",
            Self::Instances => "instances_list",
            Self::Instance(_) => "instance_get",
            Self::Peek(_) => "instance_peek",
            Self::Flavors => "flavors_list",
            Self::Networks => "networks_list",
            Self::VolumeTypes => "volume_types_list",
            Self::Look { .. } => "token_look",
        }
    }

    /// Whether something may be another thing afterwards.
    fn changes(&self) -> bool {
        matches!(self, Self::Perform(_) | Self::Delete(..))
    }

    /// Makes the call; what a request was answered is of use to others.
    pub(crate) async fn make(
        &self,
        clouds: &Clouds,
        tenant: &Tenant,
    ) -> Result<Option<Answer>, Fault> {
        match self {
            Self::Perform(request) => {
                let name = "drb-01890a5dac96774bbcceb302099a8057-fuzz";
                return clouds
                    .request_perform(tenant, name, request)
                    .await
                    .map(Some);
            }
            Self::Delete(thing, ours) => clouds.thing_delete(tenant, thing, ours).await?,
            Self::List(kind) => drop(clouds.things_list(tenant, *kind).await?),
            Self::Get(thing) => drop(clouds.thing_get(tenant, thing).await?),
            Self::Clouds => drop(clouds.clouds_list().await),
            Self::Tenants => drop(clouds.tenants_list(&tenant.cloud).await?),
            Self::Reached => drop(clouds.tenant_reached(tenant).await?),
            Self::Instances => drop(clouds.instances_list(tenant).await?),
            Self::Instance(server) => drop(clouds.instance_get(tenant, server).await?),
            Self::Peek(server) => drop(clouds.instance_peek(tenant, server).await?),
            Self::Flavors => drop(clouds.flavors_list(tenant).await?),
            Self::Networks => drop(clouds.networks_list(tenant).await?),
            Self::VolumeTypes => drop(clouds.volume_types_list(tenant).await?),
            Self::Look { token, expired_too } => {
                let token = SecretString::from(token.clone());
                drop(
                    clouds
                        .token_look(&tenant.cloud, &token, *expired_too)
                        .await?,
                );
            }
        }
        Ok(None)
    }
}

/// The methods of a trait, as its file has them.
fn methods(text: &str, of: &str) -> BTreeSet<String> {
    let inside = text.lines().skip_while(|line| !line.contains(of));
    let lines = inside.take_while(|line| *line != "}").map(str::trim);
    let named = lines.filter_map(|line| {
        line.strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ")
    });
    named
        .map(|line| line.split('(').next().unwrap_or_default().to_owned())
        .collect()
}

/// All kinds of things.
fn kinds() -> Vec<ThingKind> {
    let next = |kind: &ThingKind| match kind {
        ThingKind::Snapshot => Some(ThingKind::Volume),
        ThingKind::Volume => Some(ThingKind::VolumeBackup),
        ThingKind::VolumeBackup => Some(ThingKind::SecurityGroup),
        ThingKind::SecurityGroup => Some(ThingKind::KeyPair),
        ThingKind::KeyPair => Some(ThingKind::Port),
        ThingKind::Port => Some(ThingKind::Server),
        ThingKind::Server => Some(ThingKind::GroupSnapshot),
        ThingKind::GroupSnapshot => Some(ThingKind::Image),
        ThingKind::Image => Some(ThingKind::Trunk),
        ThingKind::Trunk => None,
    };
    std::iter::successors(Some(ThingKind::Snapshot), next).collect()
}

/// The name of a kind as it is stored.
pub(crate) fn kind_name(kind: ThingKind) -> String {
    json!(kind).as_str().unwrap_or_default().to_owned()
}

/// What lies in a cloud: the id of one thing by the word for it, which is that of its kind.
pub(crate) type Ids = BTreeMap<String, String>;

/// The requests of every kind, about what lies there. That none is missing is seen to where they are stored.
pub(crate) fn requests(ids: &Ids) -> Vec<Request> {
    let rows = STORED
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let asks = rows.filter(|row| row.get("ask").is_some());
    let fitted = asks.map(|mut row| {
        fit(&mut row, ids);
        serde_json::from_value(row).expect("a request")
    });
    fitted.collect()
}

/// Puts ids of what is there in the place of those of another world.
fn fit(value: &mut Value, ids: &Ids) {
    let Value::Object(fields) = value else {
        if let Value::Array(items) = value {
            for item in items {
                fit(item, ids);
            }
        }
        return;
    };
    let is_of_a_group = fields
        .get("ask")
        .is_some_and(|ask| ask == "make_group_snapshot");
    if let (Some(Value::String(kind)), Some(Value::String(id))) =
        (fields.get("kind"), fields.get("id"))
    {
        let known = ids.get(kind).unwrap_or(id).clone();
        fields.insert("id".to_owned(), Value::String(known));
    }
    for (name, value) in fields.iter_mut() {
        let known = match name.as_str() {
            "backup" | "backups" => "volume_backup",
            "group" if is_of_a_group => "volume_group",
            "group" | "remote_group" | "security_groups" => "security_group",
            "volume" | "volumes" => "volume",
            "port" | "ports" => "port",
            "projects" | "from" | "backup_project" => "project",
            "url" => "record",
            other => other,
        };
        let known = ids.get(known);
        match (value, known) {
            (Value::String(text), Some(id)) => text.clone_from(id),
            (Value::Array(items), Some(id)) if items.iter().all(Value::is_string) => {
                items.fill(Value::String(id.clone()));
            }
            (value, _) => fit(value, ids),
        }
    }
}

/// Every call of every method about what lies there, those first that change nothing.
pub(crate) fn calls(ids: &Ids) -> Vec<Call> {
    let id = |kind: &str| {
        ids.get(kind)
            .cloned()
            .unwrap_or_else(|| "missing".to_owned())
    };
    let server = ServerId::new(id("server"));
    let mut all = vec![
        Call::Clouds,
        Call::Tenants,
        Call::Reached,
        Call::Instances,
        Call::Instance(server.clone()),
        Call::Peek(server),
        Call::Flavors,
        Call::Networks,
        Call::VolumeTypes,
    ];
    all.extend([false, true].map(|expired_too| Call::Look {
        token: id("token"),
        expired_too,
    }));
    for kind in kinds() {
        let thing = Thing {
            kind,
            id: id(&kind_name(kind)),
        };
        all.extend([
            Call::List(kind),
            Call::Get(thing.clone()),
            Call::Delete(thing, Vec::new()),
        ]);
    }
    let requests = requests(ids).into_iter().map(Box::new);
    all.extend(requests.map(Call::Perform));
    let mut known = methods(include_str!("../../src/port/cloud.rs"), "pub trait Cloud:");
    known.extend(methods(
        include_str!("../../src/port/login.rs"),
        "pub trait Tokens:",
    ));
    // Which asks no cloud.
    known.remove("cloud_names");
    let called = all.iter().map(|call| call.method().to_owned()).collect();
    assert_eq!(known, called, "all methods are called");
    all.sort_by_key(|call| (call.changes(), matches!(call, Call::Delete(..))));
    all
}
