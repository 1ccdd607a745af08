//! Whom Keystone knows by a token that somebody showed us; this file may not know who may do what.
//!
//! As keystonemiddleware 10 does it: `GET /v3/auth/tokens` with a token of our own and the shown one as
//! `X-Subject-Token`. 404 says that the shown one is no good, 401 that ours is not, which is renewed once.
//! Keystone lets only its admins and the role `service` ask about tokens of others (policy
//! `identity:validate_token`, seen in Zed and 2026.1), so the entry with the admin role asks where there is
//! one.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Clouds,
    answer::Reply,
    connection::HttpRequest,
    session::{Scope, Session, Token, never_sent},
};
use crate::{
    domain::{
        caller::Identity,
        fault::{Fault, FaultKind, Service},
        id::{CloudName, ProjectId},
        time::Timestamp,
    },
    port::login::Tokens,
};

const ACTION: &str = "ask Keystone about the token of a caller";

#[derive(Deserialize)]
struct Shown {
    expires_at: String,
    user: Named,
    #[serde(default)]
    project: Option<Named>,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    application_credential: Option<Application>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct RoleName {
    name: String,
}

#[derive(Deserialize)]
struct Application {
    #[serde(default)]
    access_rules: Vec<Value>,
}

#[async_trait]
impl Tokens for Clouds {
    async fn token_look(
        &self,
        cloud: &CloudName,
        token: &SecretString,
        expired_too: bool,
    ) -> Result<Option<Identity>, Fault> {
        let sessions = self.sessions(cloud)?;
        let session = sessions.judge()?;
        look(session, token, expired_too).await.map_err(never_sent)
    }
}

async fn look(
    session: &Session,
    token: &SecretString,
    expired_too: bool,
) -> Result<Option<Identity>, Fault> {
    let own = session.token(&Scope::Home, None).await?;
    let mut reply = ask(session, &own, token, expired_too).await?;
    if reply.status == 401 {
        let fresh = session.token(&Scope::Home, Some(&own)).await?;
        reply = ask(session, &fresh, token, expired_too).await?;
    }
    if reply.status == 404 {
        return Ok(None);
    }
    let mut reply = session.judged(ACTION, reply, token)?;
    let shown: Shown = session.field(&mut reply, ACTION, "token").await?;
    let Some(expires) = Timestamp::parse(&shown.expires_at) else {
        return Err(Fault::new(
            FaultKind::Broken,
            Service::Identity,
            ACTION,
            "the token has no time at which it expires",
        ));
    };
    Ok(Some(Identity {
        user: shown.user.id,
        project: shown.project.map(|project| ProjectId::new(project.id)),
        roles: shown.roles.into_iter().map(|role| role.name).collect(),
        expires,
        is_limited: shown
            .application_credential
            .is_some_and(|credential| !credential.access_rules.is_empty()),
    }))
}

async fn ask(
    session: &Session,
    own: &Arc<Token>,
    token: &SecretString,
    expired_too: bool,
) -> Result<Reply, Fault> {
    let url = format!("{}/auth/tokens", session.keystone(ACTION)?);
    // Nobody needs the catalogue of the caller, which is most of the answer.
    let mut query = vec![("nocatalog".to_owned(), String::new())];
    if expired_too {
        query.push(("allow_expired".to_owned(), "1".to_owned()));
    }
    session
        .connection
        .exchange(&HttpRequest {
            service: Service::Identity,
            method: Method::GET,
            url: &url,
            query: &query,
            body: None,
            token: Some(&own.secret),
            subject: Some(token),
            microversion: None,
            action: ACTION,
            login: false,
            waiter: None,
        })
        .await
}
