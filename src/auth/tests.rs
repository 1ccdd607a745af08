use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use uuid::Uuid;

use super::{
    settings::{CertificateGrant, Grant, Pair, PairedTenant},
    *,
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::ProjectId,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp(0).after(Duration::from_secs(seconds))
}

/// Keystones that know some tokens, and a clock that is wound by hand.
#[derive(Default)]
struct World {
    known: Mutex<BTreeMap<(String, String), Identity>>,
    silent: Mutex<Vec<String>>,
    asked: AtomicUsize,
    now: AtomicU64,
}

impl World {
    fn knows(&self, cloud: &str, token: &str, project: &str, roles: &[&str]) {
        let identity = Identity {
            user: format!("user-of-{token}"),
            project: Some(ProjectId::new(project)).filter(|_| !project.is_empty()),
            roles: roles.iter().map(ToString::to_string).collect(),
            expires: at(3600),
            is_limited: false,
        };
        self.tokens()
            .insert((cloud.to_owned(), token.to_owned()), identity);
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Identity>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forgets(&self, cloud: &str, token: &str) {
        self.tokens().remove(&(cloud.to_owned(), token.to_owned()));
    }

    fn silence(&self, clouds: &[&str]) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) =
            clouds.iter().map(ToString::to_string).collect();
    }

    fn wind(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Tokens for World {
    async fn token_look(
        &self,
        cloud: &CloudName,
        token: &SecretString,
        expired_too: bool,
    ) -> Result<Option<Identity>, Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.iter().any(|one| one == cloud.as_str()) {
            let kind = FaultKind::Unreachable;
            return Err(Fault::new(kind, Service::Identity, "ask", "no answer"));
        }
        let key = (cloud.to_string(), token.expose_secret().to_owned());
        let found = self.tokens().get(&key).cloned();
        Ok(found.filter(|one| expired_too || one.expires > self.now()))
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        at(self.now.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::nil()
    }
}

fn tenant(cloud: &str, project: &str) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new(project),
    }
}

fn settings() -> AuthSettings {
    AuthSettings {
        keystones: vec![CloudName::new("source"), CloudName::new("dr")],
        ..AuthSettings::default()
    }
}

fn authenticator(world: &Arc<World>, settings: AuthSettings) -> Authenticator {
    let (tokens, clock): (Arc<dyn Tokens>, Arc<dyn Clock>) = (world.clone(), world.clone());
    Authenticator::new(settings, tokens, clock).expect("settings that can be used")
}

fn showing(token: &str) -> Presented {
    Presented {
        token: Some(SecretString::from(token)),
        ..Presented::default()
    }
}

async fn role_of(authenticator: &Authenticator, token: &str, tenant: &Tenant) -> Option<Role> {
    let login = authenticator.login(showing(token)).await.expect("let in");
    login.caller.grants().in_tenant(tenant)
}

async fn refusal(authenticator: &Authenticator, presented: Presented) -> ErrorKind {
    match authenticator.login(presented).await {
        Ok(login) => panic!("{:?} was let in", login.caller),
        Err(error) => error.kind,
    }
}

#[tokio::test]
async fn without_settings_everybody_is_let_in_and_with_them_nobody_who_shows_nothing() {
    let world = Arc::new(World::default());
    let open = authenticator(&world, AuthSettings::default());
    let login = open.login(Presented::default()).await.expect("open");
    assert_eq!(*login.caller, Caller::anybody());
    let closed = authenticator(&world, settings());
    let kind = refusal(&closed, Presented::default()).await;
    assert_eq!(kind, ErrorKind::Unauthenticated);
    assert_eq!(
        refusal(&closed, showing("forged")).await,
        ErrorKind::Unauthenticated
    );
}

#[tokio::test]
async fn a_token_has_the_highest_role_of_its_project_and_none_elsewhere() {
    let world = Arc::new(World::default());
    world.knows("source", "member", "a", &["reader", "member"]);
    world.knows("source", "stranger", "a", &["guest"]);
    world.knows("source", "dr", "a", &["dr_operator"]);
    world.knows("source", "unscoped", "", &["admin"]);
    let auth = authenticator(&world, settings());
    let own = tenant("source", "a");
    assert_eq!(role_of(&auth, "member", &own).await, Some(Role::Operator));
    // A project of the same id in another cloud is another tenant.
    assert_eq!(role_of(&auth, "member", &tenant("dr", "a")).await, None);
    assert_eq!(
        role_of(&auth, "dr", &tenant("dr", "b")).await,
        Some(Role::Admin)
    );
    assert_eq!(
        refusal(&auth, showing("stranger")).await,
        ErrorKind::Forbidden
    );
    assert_eq!(
        refusal(&auth, showing("unscoped")).await,
        ErrorKind::Forbidden
    );
}

#[tokio::test]
async fn a_pair_lets_the_target_read_what_lies_under_the_source_and_no_more() {
    let world = Arc::new(World::default());
    world.knows("dr", "token", "b", &["admin"]);
    world.silence(&["source"]);
    let paired = |project: &str| PairedTenant {
        cloud: CloudName::new(if project == "a" { "source" } else { "dr" }),
        project: ProjectId::new(project),
    };
    let pairs = vec![Pair {
        source: paired("a"),
        target: paired("b"),
    }];
    let auth = authenticator(
        &world,
        AuthSettings {
            pairs,
            ..settings()
        },
    );
    assert_eq!(
        role_of(&auth, "token", &tenant("source", "a")).await,
        Some(Role::Reader)
    );
    assert_eq!(
        role_of(&auth, "token", &tenant("dr", "b")).await,
        Some(Role::Admin)
    );
    assert_eq!(role_of(&auth, "token", &tenant("source", "c")).await, None);
}

#[tokio::test]
async fn what_was_judged_is_remembered_for_its_time_and_asked_once() {
    let world = Arc::new(World::default());
    world.knows("source", "token", "a", &["member"]);
    let auth = authenticator(&world, settings());
    for _ in 0..3 {
        auth.login(showing("token")).await.expect("let in");
    }
    assert_eq!(world.asked.load(Ordering::SeqCst), 1);
    world.forgets("source", "token");
    world.wind(299);
    auth.login(showing("token")).await.expect("remembered");
    world.wind(1);
    assert_eq!(
        refusal(&auth, showing("token")).await,
        ErrorKind::Unauthenticated
    );
    // A bad one is remembered too, for a shorter time.
    let asked = world.asked.load(Ordering::SeqCst);
    refusal(&auth, showing("token")).await;
    assert_eq!(world.asked.load(Ordering::SeqCst), asked);
    world.knows("source", "token", "a", &["member"]);
    world.wind(15);
    auth.login(showing("token")).await.expect("let in again");
}

#[tokio::test]
async fn a_token_is_not_remembered_beyond_its_end() {
    let world = Arc::new(World::default());
    world.knows("source", "token", "a", &["member"]);
    world.wind(3500);
    let auth = authenticator(&world, settings());
    auth.login(showing("token")).await.expect("let in");
    world.wind(100);
    assert_eq!(
        refusal(&auth, showing("token")).await,
        ErrorKind::Unauthenticated
    );
}

#[tokio::test]
async fn a_keystone_that_does_not_answer_lets_nobody_in_and_calls_no_token_bad() {
    let world = Arc::new(World::default());
    world.knows("source", "token", "a", &["member"]);
    let auth = authenticator(&world, settings());
    world.silence(&["source"]);
    assert_eq!(
        refusal(&auth, showing("token")).await,
        ErrorKind::Unavailable
    );
    // It is judged as soon as its judge is back.
    world.silence(&[]);
    auth.login(showing("token")).await.expect("let in");
    // The other Keystone is enough for its own, and who names it waits for no other.
    world.silence(&["source"]);
    world.knows("dr", "other", "b", &["member"]);
    let named = Presented {
        cloud: Some(CloudName::new("dr")),
        ..showing("other")
    };
    auth.login(named).await.expect("let in");
}

#[tokio::test]
async fn an_expired_token_is_good_only_with_one_of_a_service() {
    let world = Arc::new(World::default());
    world.knows("source", "token", "a", &["member"]);
    world.wind(3700);
    world.knows("source", "nova", "services", &["service"]);
    world.knows("source", "user", "b", &["admin"]);
    for of in ["nova", "user"] {
        let key = ("source".to_owned(), of.to_owned());
        if let Some(identity) = world.tokens().get_mut(&key) {
            identity.expires = at(7200);
        }
    }
    let auth = authenticator(&world, settings());
    assert_eq!(
        refusal(&auth, showing("token")).await,
        ErrorKind::Unauthenticated
    );
    let with = |service: &str| Presented {
        service_token: Some(SecretString::from(service)),
        ..showing("token")
    };
    assert_eq!(
        refusal(&auth, with("user")).await,
        ErrorKind::Unauthenticated
    );
    auth.login(with("nova")).await.expect("let in");
}

#[tokio::test]
async fn a_certificate_is_let_in_by_its_subject_also_while_no_keystone_answers() {
    let world = Arc::new(World::default());
    world.silence(&["source", "dr"]);
    let certificates = vec![CertificateGrant {
        subject: "break-glass".to_owned(),
        grants: vec![Grant {
            cloud: None,
            project: None,
            role: Role::Admin,
        }],
    }];
    let auth = authenticator(
        &world,
        AuthSettings {
            certificates,
            ..settings()
        },
    );
    let with = |name: &str| Presented {
        certificate: Some(vec!["dns.example".to_owned(), name.to_owned()]),
        ..Presented::default()
    };
    let login = auth.login(with("break-glass")).await.expect("let in");
    assert_eq!(login.caller.name(), "break-glass");
    assert_eq!(
        refusal(&auth, with("other")).await,
        ErrorKind::Unauthenticated
    );
}

#[tokio::test(start_paused = true)]
async fn a_right_is_over_when_its_token_is_revoked_within_the_time_that_it_is_remembered() {
    let world = Arc::new(World::default());
    world.knows("source", "token", "a", &["member"]);
    let auth = authenticator(&world, settings());
    let login = auth.login(showing("token")).await.expect("let in");
    let mut over = Box::pin(login.over());
    assert_eq!((&mut over).now_or_never(), None);
    world.wind(300);
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!((&mut over).now_or_never(), None, "it is still good");
    world.forgets("source", "token");
    world.wind(300);
    tokio::time::advance(Duration::from_secs(300)).await;
    let error = over.now_or_never().expect("over");
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
}
