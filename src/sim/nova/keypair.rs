//! Key pairs, which belong to a user and to no project; they may not know servers.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Ask, limit, nowhere};
use crate::sim::reply::{Answer, Reply, bad, fault, missing};
use crate::sim::world::{Kind, World};

#[derive(Clone, Debug)]
pub(crate) struct Keypair {
    pub(crate) user: String,
    pub(crate) name: String,
    public_key: String,
    fingerprint: String,
    kind: String,
    created: DateTime<Utc>,
    number: u64,
}

/// Makes a key pair of a user from its public half.
pub(crate) fn make(world: &mut World, user: &str, name: &str, public_key: &str) {
    let hash = Sha256::digest(public_key.as_bytes());
    let fingerprint: Vec<String> = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let keypair = Keypair {
        user: user.to_owned(),
        name: name.to_owned(),
        public_key: public_key.to_owned(),
        fingerprint: fingerprint.join(":"),
        kind: "ssh".to_owned(),
        created: world.date(),
        number: world.next(),
    };
    world.remember(Kind::Keypair, name, name, user);
    world.nova.keypairs.push(keypair);
}

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    let user = match ask.call.param("user_id") {
        Some(user) if ask.since(10) && ask.who.is_admin() => user.to_owned(),
        Some(_) | None => ask.who.user.clone(),
    };
    let absent = |name: &str| missing(&format!("Keypair {name} not found for user {user}"));
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => {
            let mine = world.nova.keypairs.iter().filter(|one| one.user == user);
            let views: Vec<Value> = mine
                .map(|one| json!({"keypair": view(ask, one, false)}))
                .collect();
            Ok(Reply::ok(json!({"keypairs": views})))
        }
        ("POST", []) => create(world, ask, &user),
        ("GET", [name]) => {
            let found = world
                .nova
                .keypairs
                .iter()
                .find(|one| one.user == user && one.name == **name);
            let keypair = found.ok_or_else(|| absent(name))?;
            let mut view = view(ask, keypair, true);
            view["id"] = json!(keypair.number);
            view["created_at"] = json!(
                keypair
                    .created
                    .format("%Y-%m-%dT%H:%M:%S.000000")
                    .to_string()
            );
            for key in ["deleted_at", "updated_at"] {
                view[key] = Value::Null;
            }
            view["deleted"] = json!(false);
            Ok(Reply::ok(json!({"keypair": view})))
        }
        ("DELETE", [name]) => {
            let before = world.nova.keypairs.len();
            world
                .nova
                .keypairs
                .retain(|one| one.user != user || one.name != **name);
            if world.nova.keypairs.len() == before {
                return Err(absent(name));
            }
            world.forget(name);
            Ok(Reply::empty(if ask.since(2) { 204 } else { 202 }))
        }
        _ => Err(nowhere()),
    }
}

fn view(ask: &Ask<'_>, keypair: &Keypair, whole: bool) -> Value {
    let mut view = json!({"name": keypair.name, "public_key": keypair.public_key,
        "fingerprint": keypair.fingerprint});
    if whole {
        view["user_id"] = json!(keypair.user);
    }
    if ask.since(2) {
        view["type"] = json!(keypair.kind);
    }
    view
}

fn create(world: &mut World, ask: &Ask<'_>, user: &str) -> Answer {
    let body = ask.call.json();
    let wanted = &body["keypair"];
    let Some(name) = wanted["name"].as_str().filter(|name| !name.is_empty()) else {
        return Err(bad(
            "Invalid input for field/attribute keypair. 'name' is a required property",
        ));
    };
    let kind = match wanted["type"].as_str() {
        None => "ssh",
        Some("ssh") if ask.since(2) => "ssh",
        Some("x509") if ask.since(2) => "x509",
        Some(other) => {
            return Err(bad(&format!(
                "Invalid input for field/attribute type. Value: {other}. '{other}' is not one of ['ssh', 'x509']"
            )));
        }
    };
    let given = wanted["public_key"].as_str().map(str::to_owned);
    let private = given.is_none();
    if private && ask.since(92) {
        return Err(bad(
            "Invalid input for field/attribute keypair. 'public_key' is a required property",
        ));
    }
    check_name(name, ask)?;
    limit::reserve_keypair(world, &ask.who.project, user)?;
    let public =
        given.unwrap_or_else(|| format!("ssh-rsa AAAA{} Generated-by-Nova", world.hex_id()));
    if kind == "x509" && !public.starts_with("-----BEGIN CERTIFICATE-----") {
        return Err(bad(
            "Keypair data is invalid: failed to generate X509 fingerprint. Error message: Unable to load PEM file.",
        ));
    }
    // The keys of tokens came later (Zed refuses them, 2026.1 does not).
    let known: &[&str] = if world.config.release.is_newer() {
        &["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"]
    } else {
        &["ssh-", "ecdsa-"]
    };
    if kind == "ssh" && !known.iter().any(|prefix| public.starts_with(prefix)) {
        return Err(bad(
            "Keypair data is invalid: failed to generate fingerprint",
        ));
    }
    let mut known = world.nova.keypairs.iter();
    if known.any(|one| one.user == user && one.name == name) {
        return Err(fault(409, &format!("Key pair '{name}' already exists.")));
    }
    make(world, user, name, &public);
    let Some(keypair) = world.nova.keypairs.last_mut() else {
        return Err(nowhere());
    };
    kind.clone_into(&mut keypair.kind);
    let mut view = view(ask, keypair, true);
    if private {
        view["private_key"] =
            json!("-----BEGIN RSA PRIVATE KEY-----\nsimulated\n-----END RSA PRIVATE KEY-----\n");
    }
    Ok(Reply::new(
        if ask.since(2) { 201 } else { 200 },
        json!({"keypair": view}),
    ))
}

/// Which names Nova takes: `@` and `.` are newer than the rest.
fn check_name(name: &str, ask: &Ask<'_>) -> Result<(), Reply> {
    if name.chars().count() > 255 {
        return Err(bad(&format!(
            "Invalid input for field/attribute name. Value: {name}. '{name}' is too long"
        )));
    }
    let more = if ask.since(92) { "@." } else { "" };
    let known = |c: char| c.is_ascii_alphanumeric() || "_- ".contains(c) || more.contains(c);
    if name.chars().all(known) {
        return Ok(());
    }
    Err(bad(&format!(
        "An invalid 'name' value was provided. The name must be: Only expected characters: [{more}_- 0-9a-zA-Z]"
    )))
}
