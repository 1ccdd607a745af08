//! Tells callers apart: takes what they show, says who they are, and when that ends; it may not know doors,
//! nor what anybody asks for.
//!
//! A token of Keystone is judged by its cloud's Keystone and by nobody else: while that does not answer, its
//! tokens let nobody in who is not remembered. What was judged is remembered for `auth.cached` at most, under a
//! SHA-256 of the token, and so late is it noticed that a token was revoked.

mod memory;
pub mod settings;
mod static_token;

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;

pub use self::static_token::Issued;
use self::{
    memory::{Judgement, Memory},
    settings::{AuthSettings, granted},
    static_token::StaticTokens,
};
use crate::{
    domain::{
        caller::{Caller, Grants, Identity, Role, Via},
        error::{Error, ErrorKind},
        id::{CloudName, Tenant},
        time::Timestamp,
    },
    port::{
        clock::Clock,
        login::{Login, Standing, Tokens},
    },
};

/// The role of Keystone that a service has which calls for others.
const SERVICE_ROLE: &str = "service";

/// What a caller shows.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// A token, of Keystone or of the configuration.
    pub token: Option<SecretString>,
    /// The token of the service that calls for somebody else.
    pub service_token: Option<SecretString>,
    /// The cloud whose Keystone gave the token.
    pub cloud: Option<CloudName>,
    /// The names of the certificate that the connection was made with.
    pub certificate: Option<Vec<String>>,
}

/// Who tells callers apart. One value, shared by all doors.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    settings: AuthSettings,
    statics: StaticTokens,
    tokens: Arc<dyn Tokens>,
    clock: Arc<dyn Clock>,
    memory: Memory,
    /// Places for tokens of Keystone that are being judged, so that those whom it cannot judge leave the doors to
    /// others.
    judging: Semaphore,
    /// The same for tokens of the configuration.
    judging_statics: Semaphore,
}

impl Authenticator {
    /// One by these settings. An error names what of them cannot be used.
    pub fn new(
        settings: AuthSettings,
        tokens: Arc<dyn Tokens>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let statics = StaticTokens::new(&settings.tokens)?;
        let memory = Memory::new(settings.cache_tokens);
        let (judging, judging_statics) = (
            Semaphore::new(settings.judged_at_once),
            Semaphore::new(settings.judged_at_once),
        );
        Ok(Self(Arc::new(Inner {
            settings,
            statics,
            tokens,
            clock,
            memory,
            judging,
            judging_statics,
        })))
    }

    /// Who somebody is; an error when that cannot be said.
    pub async fn login(&self, presented: Presented) -> Result<Login, Error> {
        let settings = &self.0.settings;
        if settings.is_open() {
            return Ok(Login::lasting(Caller::anybody()));
        }
        if let Some(token) = &presented.token {
            let shown = Shown {
                token: token.clone(),
                service_token: presented.service_token,
                cloud: presented.cloud,
            };
            let caller = self.judged(&shown, Place::Now).await?;
            let standing = Renewed {
                authenticator: self.clone(),
                shown,
                caller: Arc::clone(&caller),
            };
            return Ok(Login {
                standing: Some(Arc::new(standing)),
                ..Login::of(caller)
            });
        }
        match presented.certificate {
            Some(names) => self.by_certificate(&names),
            None => Err(Error::unknown_caller()),
        }
    }

    fn by_certificate(&self, names: &[String]) -> Result<Login, Error> {
        let certificates = &self.0.settings.certificates;
        if certificates.is_empty() {
            let name = names.first().cloned().unwrap_or_default();
            let all = Grants::everywhere(Role::Admin);
            return Ok(Login::lasting(Caller::new(
                name,
                Via::Certificate,
                all,
                None,
            )));
        }
        let found = certificates.iter().find(|one| names.contains(&one.subject));
        let Some(found) = found else {
            return Err(unknown("no grant is configured for this certificate"));
        };
        let grants = granted(&found.grants);
        let caller = Caller::new(found.subject.clone(), Via::Certificate, grants, None);
        Ok(Login::lasting(caller))
    }

    /// Who holds a token, as it is remembered or as it is found out now.
    async fn judged(&self, shown: &Shown, place: Place) -> Result<Arc<Caller>, Error> {
        let inner = &self.0;
        let slot = inner.memory.slot(shown.digest());
        // Held while it is judged, so that a hundred calls with one token ask once.
        let mut known = slot.lock().await;
        let now = inner.clock.now();
        if let Some(judgement) = known.as_ref()
            && now < judgement.until
        {
            return judgement.caller.clone();
        }
        let places = if static_token::is_static(&shown.token) {
            &inner.judging_statics
        } else {
            &inner.judging
        };
        let _place = match place {
            Place::Now => places.try_acquire().map_err(|_full| crowded())?,
            Place::Patient => places.acquire().await.map_err(|_closed| crowded())?,
        };
        // What cannot be judged now is not remembered: it is judged when its judge is back.
        let caller = self.judge(shown, now).await?;
        let life = match &caller {
            Ok(_) => inner.settings.cached,
            Err(_) => inner.settings.refused_cached,
        };
        let ends = caller.as_ref().ok().and_then(|caller| caller.expires());
        let until = now.after(life);
        *known = Some(Judgement {
            caller: caller.clone(),
            until: ends.map_or(until, |ends| ends.min(until)),
        });
        caller
    }

    /// Judges a token: who holds it, or why nobody is let in with it; an error outside when that cannot be said.
    async fn judge(
        &self,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<Result<Arc<Caller>, Error>, Error> {
        let inner = &self.0;
        if static_token::is_static(&shown.token) {
            let found = inner.statics.find(&shown.token).await;
            let caller = found
                .map(|(name, grants)| Arc::new(Caller::new(name, Via::StaticToken, grants, None)));
            return Ok(caller.ok_or_else(|| unknown("this token is not known")));
        }
        let expired_too = match &shown.service_token {
            None => false,
            Some(service) => self.is_of_a_service(service, shown.cloud.as_ref()).await?,
        };
        let found = self
            .identity(&shown.token, shown.cloud.as_ref(), expired_too)
            .await?;
        let Some((cloud, identity)) = found else {
            return Ok(Err(unknown(
                "no Keystone knows this token, or not any more",
            )));
        };
        if identity.expires <= now && !expired_too {
            return Ok(Err(unknown("this token has expired")));
        }
        if identity.is_limited {
            return Ok(Err(unknown(
                "this token is of an application credential with access rules, which cannot be judged here",
            )));
        }
        let grants = self.grants(&cloud, &identity);
        if grants.is_empty() {
            return Ok(Err(Error::new(
                ErrorKind::Forbidden,
                "none of the roles of this token gives a right here",
            )
            .advise("have one of the roles given to you that `auth.roles` names")));
        }
        // Whom a service speaks for stays for as long as what is remembered does.
        let expires = (!expired_too).then_some(identity.expires);
        let caller = Caller::new(identity.user, Via::Keystone(cloud), grants, expires);
        Ok(Ok(Arc::new(caller)))
    }

    /// Who a Keystone says holds a token. Where one does not know it and another does not answer, that one may
    /// know it: nobody is told that the token is no good.
    async fn identity(
        &self,
        token: &SecretString,
        named: Option<&CloudName>,
        expired_too: bool,
    ) -> Result<Option<(CloudName, Identity)>, Error> {
        let settings = &self.0.settings;
        let mut silent = None;
        for cloud in &settings.keystones {
            if named.is_some_and(|named| named != cloud) {
                continue;
            }
            let look = self.0.tokens.token_look(cloud, token, expired_too);
            let why = match timeout(settings.patience, look).await {
                Ok(Ok(Some(identity))) => return Ok(Some((cloud.clone(), identity))),
                Ok(Ok(None)) => continue,
                Ok(Err(fault)) => fault.to_string(),
                Err(_elapsed) => format!("no answer within {:?}", settings.patience),
            };
            warn!(%cloud, why, "a caller's token could not be judged");
            silent = Some(unjudged(cloud, &why));
        }
        match silent {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    async fn is_of_a_service(
        &self,
        token: &SecretString,
        named: Option<&CloudName>,
    ) -> Result<bool, Error> {
        let found = self.identity(token, named, false).await?;
        let now = self.0.clock.now();
        Ok(found.is_some_and(|(_, identity)| {
            identity.expires > now && identity.roles.iter().any(|role| role == SERVICE_ROLE)
        }))
    }

    /// What the roles of a token give. One that is scoped to no project gives what holds everywhere.
    fn grants(&self, cloud: &CloudName, identity: &Identity) -> Grants {
        let settings = &self.0.settings;
        let mut grants = Grants::default();
        if let Some(role) = settings.everywhere.highest(&identity.roles) {
            grants.add_everywhere(role);
        }
        let Some(project) = &identity.project else {
            return grants;
        };
        let Some(role) = settings.roles.highest(&identity.roles) else {
            return grants;
        };
        let own = Tenant {
            cloud: cloud.clone(),
            project: project.clone(),
        };
        for pair in &settings.pairs {
            if pair.target.tenant() == own {
                grants.add_tenant(pair.source.tenant(), Role::Reader);
            }
        }
        grants.add_tenant(own, role);
        grants
    }
}

/// A token as it was shown.
#[derive(Debug, Clone)]
struct Shown {
    token: SecretString,
    service_token: Option<SecretString>,
    cloud: Option<CloudName>,
}

impl Shown {
    fn digest(&self) -> [u8; 32] {
        let service = self.service_token.as_ref();
        memory::digest(&[
            self.token.expose_secret(),
            service.map_or("", |token| token.expose_secret()),
            self.cloud.as_ref().map_or("", CloudName::as_str),
        ])
    }
}

/// A caller whose token is looked at again as often as what is remembered of it ends.
struct Renewed {
    authenticator: Authenticator,
    shown: Shown,
    caller: Arc<Caller>,
}

#[async_trait]
impl Standing for Renewed {
    async fn over(&self) -> Error {
        let inner = &self.authenticator.0;
        loop {
            let mut wait = inner.settings.cached;
            if let Some(ends) = self.caller.expires() {
                wait = wait.min(ends.since(inner.clock.now()));
            }
            tokio::time::sleep(wait).await;
            match self.authenticator.judged(&self.shown, Place::Patient).await {
                Ok(caller) if caller.grants() == self.caller.grants() => {}
                Ok(_) => return unknown("what this login may do has changed"),
                Err(error) => return error,
            }
        }
    }
}

/// Whether a place to judge a token is waited for.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Who comes in is sent away where all are taken.
    Now,
    /// Who is in waits for one.
    Patient,
}

fn crowded() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "too many tokens are being judged at once",
    )
    .advise("try again; a token that was judged a moment ago is taken at once")
}

fn unknown(why: &str) -> Error {
    let mut error = Error::unknown_caller();
    error.message = format!("{}: {why}", error.message);
    error
}

/// Nobody can tell whether the token is good: the caller may try again, and is not told that it is bad.
fn unjudged(cloud: &CloudName, why: &str) -> Error {
    let message = format!("the Keystone of cloud {cloud} could not judge the token: {why}");
    Error::new(ErrorKind::Unavailable, message).advise(
        "try again; where that Keystone is gone, come with a token of the cloud that is restored into, or \
         with a certificate",
    )
}

#[cfg(test)]
mod tests;
