//! Keystone: people, projects, roles, tokens and the catalogue; it may not know what any other service
//! does with them.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::call::{Call, Service};
use super::clock::keystone as written;
use super::config::Config;
use super::reply::{Answer, Body, Reply, identity_fault};
use super::world::World;

/// The password of every user.
pub(crate) const PASSWORD: &str = "lab-secret";
/// The users with their roles: user, project, roles.
const PEOPLE: [(&str, &str, &[&str]); 6] = [
    ("admin", "admin", &["admin"]),
    ("demo", "demo", &["member"]),
    ("demo", "second", &["member"]),
    ("operator", "demo", &["admin", "member"]),
    ("operator", "second", &["admin", "member"]),
    ("auditor", "demo", &["reader"]),
];
const UNAUTHORISED: &str = "The request you have made requires authentication.";

#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
}

#[derive(Clone, Debug)]
struct Token {
    user: Named,
    project: Option<Named>,
    roles: Vec<String>,
    methods: Vec<String>,
    issued: Duration,
    expires: Duration,
    audit: String,
    credential: Option<(String, String)>,
}

/// Who makes a request: what a service learns from a token.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) user: String,
    pub(crate) user_name: String,
    pub(crate) project: String,
    pub(crate) roles: Vec<String>,
}

impl Who {
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }

    /// Whether this is more than somebody who may look.
    pub(crate) fn is_member(&self) -> bool {
        self.is_admin() || self.roles.iter().any(|role| role == "member")
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    users: Vec<Named>,
    projects: Vec<Named>,
    role_ids: HashMap<String, String>,
    /// User id, project id, role name.
    assignments: Vec<(String, String, String)>,
    tokens: HashMap<String, Token>,
    service_ids: HashMap<&'static str, String>,
}

impl State {
    pub(crate) fn project_named(&self, name: &str) -> Option<&Named> {
        self.projects
            .iter()
            .find(|project| project.name == name || project.id == name)
    }

    pub(crate) fn user_named(&self, name: &str) -> Option<&Named> {
        self.users
            .iter()
            .find(|user| user.name == name || user.id == name)
    }

    pub(crate) fn projects(&self) -> &[Named] {
        &self.projects
    }

    /// Forgets every token, as after a rotation of keys.
    pub(crate) fn revoke_all(&mut self) {
        self.tokens.clear();
    }

    /// The owner of a token that is still good and has a project.
    pub(crate) fn who(&self, token: Option<&str>, now: Duration) -> Option<Who> {
        let token = self
            .tokens
            .get(token?)
            .filter(|token| now < token.expires)?;
        Some(Who {
            user: token.user.id.clone(),
            user_name: token.user.name.clone(),
            project: token.project.as_ref()?.id.clone(),
            roles: token.roles.clone(),
        })
    }

    /// The roles in a project, those that others imply among them.
    fn roles(&self, user: &str, project: &str, manager: bool) -> Vec<String> {
        let mut roles: Vec<String> = Vec::new();
        let mine = self
            .assignments
            .iter()
            .filter(|(u, p, _)| u == user && p == project);
        for (_, _, role) in mine {
            let implied: &[&str] = match role.as_str() {
                "admin" if manager => &["admin", "manager", "member", "reader"],
                "admin" => &["admin", "member", "reader"],
                "member" => &["member", "reader"],
                _ => &["reader"],
            };
            for one in implied {
                if !roles.iter().any(|known| known == one) {
                    roles.push((*one).to_owned());
                }
            }
        }
        roles
    }

    fn projects_of(&self, user: &str) -> Vec<&Named> {
        let has = |project: &&Named| {
            self.assignments
                .iter()
                .any(|(u, p, _)| u == user && *p == project.id)
        };
        self.projects.iter().filter(has).collect()
    }
}

pub(crate) fn furnish(world: &mut World) {
    for role in ["admin", "manager", "member", "reader", "service"] {
        let id = world.hex_id();
        world.keystone.role_ids.insert(role.to_owned(), id);
    }
    for name in ["admin", "demo", "second"] {
        let id = world.hex_id();
        world.keystone.projects.push(Named {
            id,
            name: name.to_owned(),
        });
    }
    for name in ["admin", "demo", "operator", "auditor"] {
        let id = world.hex_id();
        world.keystone.users.push(Named {
            id,
            name: name.to_owned(),
        });
    }
    for kind in ["identity", "volumev3", "compute", "network", "image"] {
        let id = world.hex_id();
        world.keystone.service_ids.insert(kind, id);
    }
    let state = &mut world.keystone;
    for (user, project, roles) in PEOPLE {
        let (Some(user), Some(project)) = (state.user_named(user), state.project_named(project))
        else {
            continue;
        };
        let (user, project) = (user.id.clone(), project.id.clone());
        for role in roles {
            state
                .assignments
                .push((user.clone(), project.clone(), (*role).to_owned()));
        }
    }
}

pub(crate) fn answer(world: &mut World, call: &Call) -> Answer {
    let parts = call.parts();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", []) => Ok(Reply::new(
            300,
            json!({"versions": {"values": [version(call)]}}),
        )),
        ("GET", ["v3"]) => Ok(Reply::ok(json!({"version": version(call)}))),
        ("POST", ["v3", "auth", "tokens"]) => authenticate(world, call),
        ("GET" | "HEAD", ["v3", "auth", "tokens"]) => validate(world, call),
        ("DELETE", ["v3", "auth", "tokens"]) => {
            token_of(world, call)?;
            let subject = call.header("x-subject-token").unwrap_or_default();
            world.keystone.tokens.remove(subject);
            Ok(Reply::empty(204))
        }
        ("GET", ["v3", "auth", "projects"]) => {
            let token = token_of(world, call)?;
            Ok(project_list(
                world,
                call,
                &world.keystone.projects_of(&token.user.id),
            ))
        }
        ("GET", ["v3", "auth", "catalog"]) => {
            let token = token_of(world, call)?;
            let Some(project) = &token.project else {
                return Err(identity_fault(
                    403,
                    "You are not authorized to perform the requested action: identity:get_auth_catalog.",
                ));
            };
            Ok(Reply::ok(
                json!({"catalog": catalog(world, call, &project.id), "links": {}}),
            ))
        }
        ("GET", ["v3", "users", user, "projects"]) => {
            let token = token_of(world, call)?;
            if token.user.id != **user && !is_admin(&token) {
                return Err(denied("identity:list_user_projects"));
            }
            Ok(project_list(world, call, &world.keystone.projects_of(user)))
        }
        ("GET", ["v3", "projects"]) => {
            let token = token_of(world, call)?;
            if !is_admin(&token) {
                return Err(denied("identity:list_projects"));
            }
            let wanted = call.param("name");
            let found: Vec<&Named> = world
                .keystone
                .projects
                .iter()
                .filter(|project| wanted.is_none_or(|name| project.name == name))
                .collect();
            Ok(project_list(world, call, &found))
        }
        ("GET", ["v3", "projects", id]) => {
            let token = token_of(world, call)?;
            let own = token
                .project
                .as_ref()
                .is_some_and(|project| project.id == **id);
            let found = world
                .keystone
                .projects
                .iter()
                .find(|project| project.id == **id);
            match found {
                Some(project) if own || is_admin(&token) => {
                    Ok(Reply::ok(json!({"project": project_view(call, project)})))
                }
                Some(_) | None if !is_admin(&token) => Err(denied("identity:get_project")),
                Some(_) | None => Err(identity_fault(
                    404,
                    &format!("Could not find project: {id}."),
                )),
            }
        }
        _ => Err(identity_fault(404, "(http://localhost) not found")),
    }
}

fn is_admin(token: &Token) -> bool {
    token.roles.iter().any(|role| role == "admin")
}

fn denied(rule: &str) -> Reply {
    identity_fault(
        403,
        &format!("You are not authorized to perform the requested action: {rule}."),
    )
}

/// The answer to somebody without a good token.
pub(crate) fn unauthorised(call: &Call) -> Reply {
    let reply = if call.service == Service::Image {
        Reply::page(
            401,
            "This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.",
        )
    } else {
        identity_fault(401, UNAUTHORISED)
    };
    reply.header(
        "www-authenticate",
        format!("Keystone uri=\"{}/identity/v3\"", call.base),
    )
}

fn version(call: &Call) -> Value {
    json!({
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/identity/v3/", call.base)}],
        "media-types": [{"base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

fn token_of(world: &World, call: &Call) -> Result<Token, Reply> {
    call.header("x-auth-token")
        .and_then(|token| world.keystone.tokens.get(token))
        .filter(|token| world.now < token.expires)
        .cloned()
        .ok_or_else(|| unauthorised(call))
}

/// What a request for a token proved: who it is, and how long that holds.
struct Proven {
    user: Named,
    method: String,
    expires: Option<Duration>,
    credential: Option<super::config::ApplicationCredential>,
}

fn prove(world: &World, call: &Call, identity: &Value) -> Result<Proven, Reply> {
    let refused = || unauthorised(call);
    let state = &world.keystone;
    let method = identity["methods"][0].as_str().unwrap_or_default();
    match method {
        "password" => {
            let given = &identity["password"]["user"];
            let name = given["id"]
                .as_str()
                .or(given["name"].as_str())
                .ok_or_else(refused)?;
            let user = state.user_named(name).ok_or_else(refused)?;
            if given["password"] != PASSWORD {
                return Err(refused());
            }
            Ok(Proven {
                user: user.clone(),
                method: method.to_owned(),
                expires: None,
                credential: None,
            })
        }
        "token" => {
            let id = identity["token"]["id"].as_str().ok_or_else(refused)?;
            let old = state
                .tokens
                .get(id)
                .filter(|old| world.now < old.expires)
                .ok_or_else(refused)?;
            Ok(Proven {
                user: old.user.clone(),
                method: method.to_owned(),
                expires: Some(old.expires),
                credential: None,
            })
        }
        "application_credential" => {
            let given = &identity["application_credential"];
            let owner = given["user"]["id"]
                .as_str()
                .or(given["user"]["name"].as_str());
            let owner = owner.and_then(|name| state.user_named(name));
            let fits = |one: &&super::config::ApplicationCredential| match given["id"].as_str() {
                Some(id) => one.id == id,
                None => {
                    given["name"] == one.name.as_str()
                        && owner.is_some_and(|owner| owner.name == one.user)
                }
            };
            let known = &world.config.application_credentials;
            let found = known.iter().find(fits).ok_or_else(refused)?;
            if given["secret"] != found.secret.as_str() {
                return Err(refused());
            }
            let user = state.user_named(&found.user).ok_or_else(refused)?;
            Ok(Proven {
                user: user.clone(),
                method: method.to_owned(),
                expires: None,
                credential: Some(found.clone()),
            })
        }
        _ => Err(refused()),
    }
}

/// The project that a token is asked for.
fn scope(
    world: &World,
    call: &Call,
    auth: &Value,
    proven: &Proven,
) -> Result<Option<Named>, Reply> {
    let state = &world.keystone;
    if let Some(credential) = &proven.credential {
        return Ok(state.project_named(&credential.project).cloned());
    }
    let wanted = &auth["scope"]["project"];
    let name = wanted["id"].as_str().or(wanted["name"].as_str());
    match name {
        Some(name) => match state.project_named(name) {
            Some(project) => Ok(Some(project.clone())),
            None => Err(unauthorised(call)),
        },
        None => Ok(None),
    }
}

fn authenticate(world: &mut World, call: &Call) -> Answer {
    let body = call.json();
    let auth = &body["auth"];
    if !auth.is_object() {
        return Err(identity_fault(
            400,
            "Invalid input for field/attribute auth.",
        ));
    }
    let proven = prove(world, call, &auth["identity"])?;
    let project = scope(world, call, auth, &proven)?;
    let manager = world.config.release.is_newer();
    let roles = match &project {
        Some(project) => world.keystone.roles(&proven.user.id, &project.id, manager),
        None => Vec::new(),
    };
    if project.is_some() && roles.is_empty() {
        return Err(unauthorised(call));
    }
    let life = Duration::from_secs(world.config.token_seconds);
    let token = Token {
        user: proven.user,
        project,
        roles,
        methods: vec![proven.method],
        issued: world.now,
        expires: proven.expires.unwrap_or(world.now + life),
        audit: world.hex_id(),
        credential: proven.credential.map(|one| (one.id, one.name)),
    };
    let view = token_view(world, call, &token);
    let id = hand_out(world, token);
    Ok(Reply::new(201, view).header("x-subject-token", id))
}

fn hand_out(world: &mut World, token: Token) -> String {
    let id = format!("gAAAAA{}{}", world.hex_id(), world.hex_id());
    world.keystone.tokens.insert(id.clone(), token);
    id
}

/// A token of somebody in a project, where that user has a role there.
pub(crate) fn token(world: &mut World, user: &str, project: &str) -> Option<String> {
    let user = world.keystone.user_named(user)?.clone();
    let project = world.keystone.project_named(project)?.clone();
    let manager = world.config.release.is_newer();
    let roles = world.keystone.roles(&user.id, &project.id, manager);
    if roles.is_empty() {
        return None;
    }
    let life = Duration::from_secs(world.config.token_seconds);
    let token = Token {
        user,
        project: Some(project),
        roles,
        methods: vec!["password".to_owned()],
        issued: world.now,
        expires: world.now + life,
        audit: world.hex_id(),
        credential: None,
    };
    Some(hand_out(world, token))
}

fn validate(world: &World, call: &Call) -> Answer {
    let asks = token_of(world, call)?;
    let subject = call.header("x-subject-token").unwrap_or_default();
    let is_own = call.header("x-auth-token") == Some(subject);
    if !is_own && !is_admin(&asks) && !asks.roles.iter().any(|role| role == "service") {
        return Err(denied("identity:validate_token"));
    }
    let found = world
        .keystone
        .tokens
        .get(subject)
        .filter(|token| world.now < token.expires);
    let Some(token) = found else {
        return Err(identity_fault(404, "This is not a recognized Fernet token"));
    };
    let mut reply = Reply::ok(token_view(world, call, token)).header("x-subject-token", subject);
    if call.method == "HEAD" {
        reply.body = Body::Empty;
    }
    Ok(reply)
}

fn token_view(world: &World, call: &Call, token: &Token) -> Value {
    let domain = json!({"id": "default", "name": "Default"});
    let mut view = json!({
        "methods": token.methods,
        "user": {"domain": domain, "id": token.user.id, "name": token.user.name,
            "password_expires_at": null},
        "audit_ids": [token.audit],
        "expires_at": written(world.clock.calendar(token.expires)),
        "issued_at": written(world.clock.calendar(token.issued)),
    });
    if let Some(project) = &token.project {
        let roles: Vec<Value> = token
            .roles
            .iter()
            .map(|role| json!({"id": world.keystone.role_ids.get(role), "name": role}))
            .collect();
        view["project"] = json!({"domain": domain, "id": project.id, "name": project.name});
        view["is_domain"] = json!(false);
        view["roles"] = json!(roles);
        view["catalog"] = catalog(world, call, &project.id);
    }
    if let Some((id, name)) = &token.credential {
        view["application_credential"] = json!({"id": id, "name": name, "restricted": true});
    }
    json!({"token": view})
}

fn catalog(world: &World, call: &Call, project: &str) -> Value {
    let Config {
        region,
        project_in_volume_url,
        ..
    } = &world.config;
    let base = &call.base;
    let volume = if *project_in_volume_url {
        format!("{base}/volume/v3/{project}")
    } else {
        format!("{base}/volume/v3")
    };
    let services = [
        ("compute", "nova", format!("{base}/compute/v2.1")),
        ("volumev3", "cinderv3", volume),
        ("network", "neutron", format!("{base}/network")),
        ("image", "glance", format!("{base}/image")),
        ("identity", "keystone", format!("{base}/identity/v3")),
    ];
    let entries: Vec<Value> = services
        .into_iter()
        .map(|(kind, name, url)| {
            let id = world
                .keystone
                .service_ids
                .get(kind)
                .cloned()
                .unwrap_or_default();
            let endpoints: Vec<Value> = ["public", "internal", "admin"]
                .into_iter()
                .map(|interface| {
                    json!({"id": format!("{}{interface}", id.get(..20).unwrap_or_default()),
                        "interface": interface, "region_id": region, "region": region, "url": url})
                })
                .collect();
            json!({"endpoints": endpoints, "id": id, "type": kind, "name": name})
        })
        .collect();
    json!(entries)
}

fn project_view(call: &Call, project: &Named) -> Value {
    json!({"id": project.id, "name": project.name, "domain_id": "default", "description": "",
        "enabled": true, "parent_id": "default", "is_domain": false, "tags": [], "options": {},
        "links": {"self": format!("{}/identity/v3/projects/{}", call.base, project.id)}})
}

fn project_list(_world: &World, call: &Call, projects: &[&Named]) -> Reply {
    let views: Vec<Value> = projects
        .iter()
        .map(|project| project_view(call, project))
        .collect();
    let own = format!("{}{}", call.base, call.path_and_query);
    Reply::ok(json!({"projects": views, "links": {"next": null, "self": own, "previous": null}}))
}
