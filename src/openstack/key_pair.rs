//! Nova key pairs, which belong to users; this file may not know which server uses one.

use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access, call::Call, coalescer::worth_a_list, path::Path, version::Microversion,
    wire::nullable,
};
use crate::domain::{
    fault::{Fault, Service},
    inventory::KeyPairInfo,
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const NOVA: Service = Service::Compute;

/// From here on an admin may name another user.
const OF_USER: Microversion = Microversion(2, 10);
/// From here on it has a type.
const TYPE: Microversion = Microversion(2, 2);
/// From here on a name may hold `@` and `.` too.
const ANY_NAME: Microversion = Microversion(2, 92);
/// From here on the list has pages.
const PAGES: Microversion = Microversion(2, 35);

/// A key pair as Nova shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct KeyPair {
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) public_key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) fingerprint: String,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
}

/// One key pair in its wrapping, which lists use too.
#[derive(Deserialize)]
pub(super) struct One {
    pub(super) keypair: KeyPair,
}

impl KeyPair {
    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::KeyPair,
                id: self.name.clone(),
            },
            name: self.name,
            tags: Vec::new(),
            status: "available".to_owned(),
            message: None,
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        }
    }

    pub(super) fn info(self) -> KeyPairInfo {
        KeyPairInfo {
            name: self.name,
            fingerprint: self.fingerprint,
        }
    }
}

/// A name within a path.
pub(super) fn path(name: &str) -> Path {
    Path::named("os-keypairs", name)
}

/// The key pairs of the acting user.
pub(super) async fn list(access: &Access) -> Result<Vec<KeyPair>, Fault> {
    let action = "list the key pairs";
    let version = access.first_of(NOVA, &[PAGES]).await?;
    let call = Call::get(NOVA, "os-keypairs", action).at(version);
    let pairs: Vec<One> = if version.is_some() {
        access.pages(call, "keypairs").await?
    } else {
        access.read::<All>(&call).await?.keypairs
    };
    Ok(pairs.into_iter().map(|one| one.keypair).collect())
}

#[derive(Deserialize)]
struct All {
    keypairs: Vec<One>,
}

/// The key pairs of a user, by their names; many that are wanted at the same time come out of one list.
async fn read_together(
    access: &Access,
    names: Vec<String>,
    of_user: Option<&str>,
) -> Result<Vec<KeyPair>, Fault> {
    let version = access.first_of(NOVA, &[PAGES]).await?;
    if let Some(rows) = worth_a_list(names.len()).filter(|_| version.is_some()) {
        let call = Call::get(NOVA, "os-keypairs", "list the key pairs").at(version);
        let call = of_user
            .into_iter()
            .fold(call, |call, user| call.query("user_id", user));
        let listed = access.short_list::<One>(None, call, "keypairs", rows);
        if let Some(listed) = listed.await? {
            return Ok(listed.into_iter().map(|one| one.keypair).collect());
        }
    }
    let mut found = Vec::new();
    for name in names {
        found.extend(read_one(access, &name, of_user).await?);
    }
    Ok(found)
}

/// A key pair of the acting user, or, asked by an admin, of another one.
pub(super) async fn get(
    access: &Access,
    name: &str,
    of_user: Option<&str>,
) -> Result<Option<KeyPair>, Fault> {
    let about = format!("key pairs of {}", of_user.unwrap_or("the acting user"));
    let coalescer = access.shared::<KeyPair>(about);
    let found = coalescer
        .get(
            vec![name.to_owned()],
            |pair| &pair.name,
            |names| read_together(access, names, of_user),
        )
        .await?;
    Ok(found.into_iter().next())
}

async fn read_one(
    access: &Access,
    name: &str,
    of_user: Option<&str>,
) -> Result<Option<KeyPair>, Fault> {
    let mut call = Call::get(NOVA, path(name), format!("read the key pair {name}"));
    if let Some(user) = of_user {
        let version = access.first_of(NOVA, &[OF_USER]).await?;
        if version.is_none() {
            return Ok(None);
        }
        call = call.query("user_id", user).at(version);
    } else {
        call = call.at(access.first_of(NOVA, &[OF_USER, TYPE]).await?);
    }
    Ok(access
        .read_if_there::<One>(&call)
        .await?
        .map(|one| one.keypair))
}

/// Imports a public key.
pub(super) async fn make(
    access: &Access,
    name: &str,
    public_key: &str,
    kind: Option<&str>,
) -> Result<String, Fault> {
    let version = access.first_of(NOVA, &[ANY_NAME, TYPE]).await?;
    let mut pair = json!({"name": name, "public_key": public_key});
    if let Some(kind) = kind.filter(|_| version.is_some()) {
        pair["type"] = json!(kind);
    }
    let action = format!("create the key pair {name}");
    let call = Call::post(NOVA, "os-keypairs", action, json!({ "keypair": pair }));
    Ok(access.read::<One>(&call.at(version)).await?.keypair.name)
}
