//! Logging in with one entry, and the tokens that come of it; this file may not know any service
//! but Keystone.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    answer::Reply,
    catalogue::{self, Catalogue},
    connection::{Connection, HttpRequest},
    entry::{Credential, Entry, Named},
    fault::{self, Refusal},
    wire::short,
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::ProjectId,
    time::Timestamp,
};

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// What the entry itself says.
    Home,
    /// Another project in which the user has a role.
    Project(ProjectId),
}

/// A token and what Keystone said with it.
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// Nothing when it is not scoped to a project.
    pub(super) project: Option<ProjectId>,
    pub(super) user: String,
    pub(super) roles: Vec<String>,
    pub(super) catalogue: Catalogue,
    /// By our clock, from the life that Keystone gave it: the clocks need not agree.
    ends: Timestamp,
    renew: Timestamp,
}

impl Token {
    pub(super) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("project", &self.project)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// A project as Keystone lists it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Project {
    pub(super) id: String,
    #[serde(default, deserialize_with = "short")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) domain_id: Option<String>,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
}

fn yes() -> bool {
    true
}

/// Where one token is kept. Its lock is held while logging in, so that a hundred calls that find the
/// token expired log in once; the ones that waited share the outcome, also a bad one, instead of
/// each waiting for a Keystone that does not answer.
#[derive(Default)]
struct Slot {
    attempts: AtomicU64,
    state: tokio::sync::Mutex<LoginState>,
}

#[derive(Default)]
struct LoginState {
    token: Option<Arc<Token>>,
    failure: Option<Fault>,
}

/// One entry, logged in where it was needed.
pub(super) struct Session {
    pub(super) entry: Entry,
    pub(super) connection: Connection,
    slots: std::sync::Mutex<HashMap<Scope, Arc<Slot>>>,
    projects: tokio::sync::Mutex<Option<(Timestamp, Arc<Vec<Project>>)>>,
}

impl Session {
    pub(super) fn new(entry: Entry, connection: Connection) -> Self {
        Self {
            entry,
            connection,
            slots: std::sync::Mutex::default(),
            projects: tokio::sync::Mutex::default(),
        }
    }

    /// A token that is good now; `refused` is one that a service did not take.
    pub(super) async fn token(
        &self,
        scope: &Scope,
        refused: Option<&Arc<Token>>,
    ) -> Result<Arc<Token>, Fault> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(scope.clone()).or_default())
        };
        let attempts_before = slot.attempts.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        let now = self.connection.clock().now();
        let usable = state
            .token
            .clone()
            .filter(|token| refused.is_none_or(|refused| !Arc::ptr_eq(token, refused)));
        if let Some(token) = &usable
            && now < token.renew
        {
            return Ok(Arc::clone(token));
        }
        let others_tried = slot.attempts.load(Ordering::Acquire) != attempts_before;
        let outcome = match &state.failure {
            Some(failure) if others_tried => Err(failure.clone()),
            Some(_) | None => {
                let outcome = Box::pin(self.log_in(scope)).await;
                slot.attempts.fetch_add(1, Ordering::AcqRel);
                outcome
            }
        };
        match outcome {
            Ok(token) => {
                let token = Arc::new(token);
                state.token = Some(Arc::clone(&token));
                state.failure = None;
                Ok(token)
            }
            Err(fault) => {
                state.failure = Some(fault.clone());
                match usable {
                    // Keystone may be away for a while without stopping those who are in.
                    Some(token) if fault.may_pass() && now < token.ends => Ok(token),
                    Some(_) | None => {
                        if !fault.may_pass() {
                            state.token = None;
                        }
                        Err(fault)
                    }
                }
            }
        }
    }

    /// How the entry can be scoped to `project`, if it can.
    pub(super) async fn reach(&self, project: &ProjectId) -> Result<Option<Scope>, Fault> {
        let home = self.token(&Scope::Home, None).await?;
        if home.project.as_ref() == Some(project) {
            return Ok(Some(Scope::Home));
        }
        let reached = self
            .projects()
            .await?
            .iter()
            .any(|known| known.enabled && known.id == project.as_str());
        Ok(reached.then(|| Scope::Project(project.clone())))
    }

    /// The projects that the entry can be scoped to; an application credential has only its own.
    pub(super) async fn projects(&self) -> Result<Arc<Vec<Project>>, Fault> {
        // Held while asking, so that many tenants at once ask once.
        let mut cached = self.projects.lock().await;
        let now = self.connection.clock().now();
        let life = Duration::from_secs(self.connection.limits().projects_seconds);
        if let Some((read, projects)) = cached.as_ref()
            && now.since(*read) < life
        {
            return Ok(Arc::clone(projects));
        }
        let home = self.token(&Scope::Home, None).await?;
        let mut projects = self.read_projects(&home).await?;
        if let Credential::Application { .. } = self.entry.credential {
            projects.retain(|known| {
                Some(known.id.as_str()) == home.project.as_ref().map(ProjectId::as_str)
            });
        }
        let projects = Arc::new(projects);
        *cached = Some((now, Arc::clone(&projects)));
        Ok(projects)
    }

    /// Asks Keystone now, whatever is remembered: whether it answers, takes the credential, and tells where
    /// all services are that are called.
    pub(super) async fn hail(&self) -> Result<(), Fault> {
        let patience = Duration::from_secs(self.connection.limits().login_seconds);
        let asked = async {
            let home = self.token(&Scope::Home, None).await?;
            self.read_projects(&home).await?;
            self.find_services(&home)
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(Fault::new(
                FaultKind::Unreachable,
                Service::Identity,
                format!("reach Keystone with the entry {}", self.entry.name),
                "no answer within the deadline",
            )),
        }
    }

    /// Refuses a token whose catalogue lacks one of the services in our region; one without a project has
    /// no catalogue.
    fn find_services(&self, token: &Token) -> Result<(), Fault> {
        let Some(project) = &token.project else {
            return Ok(());
        };
        for service in [
            Service::BlockStorage,
            Service::Compute,
            Service::Network,
            Service::Image,
        ] {
            let found = catalogue::root(service, &self.entry, &token.catalogue, project.as_str());
            found.map_err(|problem| {
                let action = format!("tell where {} is", service.project());
                Fault::new(FaultKind::Unconfigured, Service::Identity, action, problem)
            })?;
        }
        Ok(())
    }

    async fn read_projects(&self, home: &Arc<Token>) -> Result<Vec<Project>, Fault> {
        let action = "list the projects that the credential reaches";
        let mut reply = self.ask_projects(home, action).await?;
        if reply.status == 401 {
            let fresh = self.token(&Scope::Home, Some(home)).await?;
            reply = self.ask_projects(&fresh, action).await?;
        }
        let mut reply = self.judged(action, reply, &home.secret)?;
        self.field(&mut reply, action, "projects").await
    }

    async fn ask_projects(&self, token: &Token, action: &str) -> Result<Reply, Fault> {
        let url = format!("{}/auth/projects", self.keystone(action)?);
        self.connection
            .exchange(&HttpRequest {
                service: Service::Identity,
                method: Method::GET,
                url: &url,
                query: &[],
                body: None,
                token: Some(&token.secret),
                subject: None,
                microversion: None,
                action,
                login: false,
                waiter: None,
            })
            .await
    }

    pub(super) fn keystone(&self, action: &str) -> Result<String, Fault> {
        catalogue::root(Service::Identity, &self.entry, &Catalogue::default(), "").map_err(
            |problem| Fault::new(FaultKind::Unconfigured, Service::Identity, action, problem),
        )
    }

    async fn log_in(&self, scope: &Scope) -> Result<Token, Fault> {
        let action = match scope {
            Scope::Home => format!("log in with the entry {}", self.entry.name),
            Scope::Project(project) => {
                format!(
                    "log in with the entry {} to project {project}",
                    self.entry.name
                )
            }
        };
        let url = format!("{}/auth/tokens", self.keystone(&action)?);
        let body = login_body(&self.entry, scope);
        let reply = self
            .connection
            .exchange(&HttpRequest {
                service: Service::Identity,
                method: Method::POST,
                url: &url,
                query: &[],
                body: Some(&body),
                token: None,
                subject: None,
                microversion: None,
                action: &action,
                login: true,
                waiter: None,
            })
            .await
            .map_err(never_sent)?;
        let reply = self.judged(&action, reply, self.entry.credential.secret());
        let mut reply = reply.map_err(never_sent)?;
        let unreadable = || {
            Fault::new(
                FaultKind::Unreachable,
                Service::Identity,
                action.clone(),
                "the answer is not one of Keystone version 3",
            )
        };
        let secret = reply.header("x-subject-token").ok_or_else(unreadable)?;
        let secret = SecretString::from(secret.to_owned());
        let body = self.field::<TokenBody>(&mut reply, &action, "token").await;
        let body = body.map_err(never_sent)?;
        let life = match (
            Timestamp::parse(&body.expires_at),
            body.issued_at.as_deref().and_then(Timestamp::parse),
        ) {
            (Some(ends), Some(begins)) => ends.since(begins),
            _ => return Err(unreadable()),
        };
        let spare = Duration::from_secs(self.connection.limits().renew_seconds).min(life / 4);
        let now = self.connection.clock().now();
        tracing::debug!(entry = self.entry.name, "logged in");
        Ok(Token {
            secret,
            project: body.project.map(|project| ProjectId::new(project.id)),
            user: body.user.id,
            roles: body.roles.into_iter().map(|role| role.name).collect(),
            catalogue: body.catalog,
            ends: now.after(life),
            renew: now.after(life.saturating_sub(spare)),
        })
    }

    /// Reads `key` of a JSON answer.
    pub(super) async fn field<T: DeserializeOwned + Send + 'static>(
        &self,
        reply: &mut Reply,
        action: &str,
        key: &str,
    ) -> Result<T, Fault> {
        let read = reply.field(self.connection.limits(), key).await;
        read.map_err(|why| {
            let mut fault = Fault::new(
                FaultKind::Unanswered,
                Service::Identity,
                action,
                why.in_search_of(key),
            );
            fault.status = Some(reply.status);
            fault.request_id = reply.request_id().map(Into::into);
            fault
        })
    }

    /// A refusal by Keystone is a fault, which is told without the secret that was sent.
    pub(super) fn judged(
        &self,
        action: &str,
        reply: Reply,
        secret: &SecretString,
    ) -> Result<Reply, Fault> {
        if reply.is_success() {
            return Ok(reply);
        }
        Err(fault::of_refusal(
            &Refusal {
                service: Service::Identity,
                action,
                status: reply.status,
                body: &reply.body,
                request_id: reply.request_id(),
                retry_after: reply.retry_after(),
                location: reply.header("location"),
                secrets: &[secret.expose_secret()],
            },
            self.connection.limits(),
        ))
    }
}

#[derive(Deserialize)]
struct TokenBody {
    expires_at: String,
    #[serde(default)]
    issued_at: Option<String>,
    user: Id,
    #[serde(default)]
    project: Option<Id>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    catalog: Catalogue,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

/// A login that got no answer did nothing: the call that wanted it was never sent.
pub(super) fn never_sent(mut fault: Fault) -> Fault {
    if fault.kind == FaultKind::Unanswered {
        fault.kind = FaultKind::Unreachable;
    }
    fault
}

fn login_body(entry: &Entry, scope: &Scope) -> Value {
    let identity = match &entry.credential {
        Credential::Password { user, password } => {
            let mut user = named(user);
            user["password"] = json!(password.expose_secret());
            json!({"methods": ["password"], "password": {"user": user}})
        }
        Credential::Application {
            id,
            name,
            user,
            secret,
        } => {
            let mut credential = json!({"secret": secret.expose_secret()});
            if let Some(id) = id {
                credential["id"] = json!(id);
            } else {
                credential["name"] = json!(name);
                credential["user"] = named(user);
            }
            json!({"methods": ["application_credential"], "application_credential": credential})
        }
        Credential::Token { token } => {
            json!({"methods": ["token"], "token": {"id": token.expose_secret()}})
        }
    };
    let mut auth = json!({"identity": identity});
    match (scope, &entry.project) {
        (Scope::Project(project), _) => {
            auth["scope"] = json!({"project": {"id": project.as_str()}});
        }
        (Scope::Home, Some(project)) => auth["scope"] = json!({"project": named(project)}),
        (Scope::Home, None) => {}
    }
    json!({"auth": auth})
}

fn named(named: &Named) -> Value {
    if let Some(id) = &named.id {
        return json!({"id": id});
    }
    let domain = match (&named.domain_id, &named.domain_name) {
        (Some(id), _) => json!({"id": id}),
        (None, Some(name)) => json!({"name": name}),
        (None, None) => return json!({"name": named.name}),
    };
    json!({"name": named.name, "domain": domain})
}
