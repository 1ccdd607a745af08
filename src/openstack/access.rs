//! Sends calls with the token of one project; this file may not know what they are for, nor any noun of
//! a service.

use std::{collections::HashMap, sync::Arc};

use http::Method;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

use super::{
    admin_notes::AdminNotes,
    answer::{Reply, Unread},
    call::Call,
    catalogue,
    coalescer::Coalescer,
    connection::HttpRequest,
    fault::{self, Refusal},
    owner::{self, Whose},
    rate_limiter::Waiter,
    session::{Scope, Session, Token, never_sent},
    shared_reads::{SharedReads, Subject},
    version::{Microversion, Range},
    versions::Versions,
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::{ProjectId, Tenant},
};

/// A session within one project of a cloud.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) session: Arc<Session>,
    pub(super) scope: Scope,
    /// The project of the tokens.
    pub(super) project: ProjectId,
    /// The project that is meant, of whose share of the calls this is.
    pub(super) named: ProjectId,
    /// Whether the project of the tenant is another one, which only an admin may look into.
    pub(super) foreign: bool,
    /// What notes its calls, where it is that of an admin.
    pub(super) admin: Option<AdminNotes>,
    pub(super) versions: Arc<Versions>,
    pub(super) reads: Arc<SharedReads>,
    /// Who waits for what is asked.
    pub(super) waiter: Waiter,
}

impl Access {
    /// The same for what `waiter` waits for.
    pub(super) fn waited_for_by(self, waiter: Waiter) -> Self {
        Self { waiter, ..self }
    }

    /// The token, for what it tells about the user.
    pub(super) async fn token(&self) -> Result<Arc<Token>, Fault> {
        self.session.token(&self.scope, None).await
    }

    /// Makes a call; an answer that is not a success is a fault. A token that is refused is renewed
    /// once: the service did nothing with it, so even a write may be sent again.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, Fault> {
        let mut token = self.token().await?;
        if let Some(admin) = &self.admin {
            admin.note_call(&self.named, call).await?;
        }
        let mut reply = self.send_with(call, &token).await?;
        if reply.status == 401 {
            token = self.session.token(&self.scope, Some(&token)).await?;
            reply = self.send_with(call, &token).await?;
        }
        if reply.is_success() {
            return Ok(reply);
        }
        if reply.status == 406 {
            // The service was replaced by one that speaks other versions.
            self.versions.forget(call.service);
        }
        let secrets = call.secrets.iter().map(String::as_str);
        let secrets: Vec<&str> = secrets.chain([token.secret.expose_secret()]).collect();
        Err(fault::of_refusal(
            &Refusal {
                service: call.service,
                action: &call.action,
                status: reply.status,
                body: &reply.body,
                request_id: reply.request_id(),
                retry_after: reply.retry_after(),
                location: reply.header("location"),
                secrets: &secrets,
            },
            self.session.connection.limits(),
        ))
    }

    async fn send_with(&self, call: &Call, token: &Token) -> Result<Reply, Fault> {
        let project = match call.service {
            Service::BlockStorage => Some(&self.project),
            Service::Identity | Service::Compute | Service::Network | Service::Image => None,
        };
        let path = call.path.below(project).map_err(|odd| {
            let action = call.action.clone();
            Fault::new(FaultKind::Invalid, call.service, action, odd)
        })?;
        let root = self.root(call.service, &call.action, token)?;
        let url = format!("{root}/{path}");
        self.session
            .connection
            .exchange(&HttpRequest {
                service: call.service,
                method: call.method.clone(),
                url: &url,
                query: &call.query,
                body: call.body.as_ref(),
                token: Some(&token.secret),
                subject: None,
                microversion: call
                    .microversion
                    .and_then(|version| Some((header_name(call.service)?, version.to_string()))),
                action: &call.action,
                login: false,
                waiter: Some((self.waiter, &self.named)),
            })
            .await
    }

    fn root(&self, service: Service, action: &str, token: &Token) -> Result<String, Fault> {
        catalogue::root(
            service,
            &self.session.entry,
            &token.catalogue,
            self.project.as_str(),
        )
        .map_err(|problem| Fault::new(FaultKind::Unconfigured, service, action, problem))
    }

    /// Makes a call and reads the answer. One that cannot be read leaves open what happened.
    pub(super) async fn read<T>(&self, call: &Call) -> Result<T, Fault>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut reply = self.send(call).await?;
        let read = reply.thing(self.session.connection.limits()).await;
        read.map_err(|why| unreadable(call, &reply, why))
    }

    /// The same of a thing of a tenant, asked for by its id: one of another tenant is like one that is not there,
    /// whoever may see it.
    pub(super) async fn read_of<T>(
        &self,
        tenant: &Tenant,
        id: &str,
        call: &Call,
    ) -> Result<T, Fault>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut reply = self.send(call).await?;
        let (service, project, id) = (call.service, tenant.project.clone(), id.to_owned());
        let limits = self.session.connection.limits();
        let read = reply.thing_read_by(limits, move |body| {
            let whose = owner::whose(service, body, &id, &project)?;
            let thing = match whose {
                Whose::Ours => Some(serde_json::from_slice(body)?),
                Whose::Others | Whose::Another => None,
            };
            Ok((whose, thing))
        });
        let refused = |kind, message: String| {
            Err(Fault::new(kind, call.service, call.action.clone(), message))
        };
        match read.await {
            Ok((_, Some(thing))) => Ok(thing),
            Ok((Whose::Another, None)) => refused(
                FaultKind::Unanswered,
                "the answer speaks of something else".to_owned(),
            ),
            Ok((Whose::Ours | Whose::Others, None)) => refused(
                FaultKind::NotFound,
                format!("it is not in project {}", tenant.project),
            ),
            Err(why) => Err(unreadable(call, &reply, why)),
        }
    }

    /// The same; nothing when it is not there.
    pub(super) async fn read_of_if_there<T: DeserializeOwned + Send + 'static>(
        &self,
        tenant: &Tenant,
        id: &str,
        call: &Call,
    ) -> Result<Option<T>, Fault> {
        if_there(self.read_of(tenant, id, call).await)
    }

    /// Reads one thing; nothing when the service says that it is not there.
    pub(super) async fn read_if_there<T: DeserializeOwned + Send + 'static>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, Fault> {
        if_there(self.read(call).await)
    }

    /// Where things of one type are read together with those that others want now; `about` says what else
    /// tells two reads apart.
    pub(super) fn shared<T: Send + 'static>(&self, about: impl Into<String>) -> Arc<Coalescer<T>> {
        self.reads.of(Subject {
            entry: self.session.entry.name.clone(),
            scope: self.scope.clone(),
            waiter: self.waiter,
            about: about.into(),
        })
    }

    /// The rows of `collection` that have one of `values` in `field`, read together with those that
    /// others want now; `read` is told the values of all.
    pub(super) async fn coalesced<T, R>(
        &self,
        collection: &str,
        field: &str,
        values: Vec<String>,
        read: impl FnOnce(Vec<String>) -> R,
    ) -> Result<Vec<T>, Fault>
    where
        T: DeserializeOwned,
        R: Future<Output = Result<Vec<Box<RawValue>>, Fault>>,
    {
        let rows = self.shared::<SharedRow>(collection);
        let read = |values| async {
            let rows = read(values).await?.into_iter();
            Ok(rows.map(|row| SharedRow::new(field, row)).collect())
        };
        let found = rows.get(values, |row| &row.key, read).await?;
        let parsed = found.iter().map(|row| serde_json::from_str(row.text.get()));
        let parsed: Result<Vec<T>, _> = parsed.collect();
        parsed.map_err(|_| {
            let action = format!("list the {collection}");
            let message = format!("the answer has no usable `{collection}`");
            Fault::new(FaultKind::Unanswered, Service::Network, action, message)
        })
    }

    /// The microversions that a service speaks; nothing when it has none.
    pub(super) async fn range(&self, service: Service) -> Result<Option<Range>, Fault> {
        self.versions
            .range(service, || self.ask_range(service))
            .await
    }

    /// The first of `wanted` that the service speaks.
    pub(super) async fn first_of(
        &self,
        service: Service,
        wanted: &[Microversion],
    ) -> Result<Option<Microversion>, Fault> {
        Ok(self
            .range(service)
            .await?
            .and_then(|range| range.first_of(wanted)))
    }

    async fn ask_range(&self, service: Service) -> Result<Option<Range>, Fault> {
        let action = format!("ask which versions {} speaks", service.project());
        let token = self.token().await?;
        if let Some(admin) = &self.admin {
            let noted = admin.note(&self.named, service, &Method::GET, &action);
            noted.await?;
        }
        let root = self.root(service, &action, &token)?;
        let url = format!("{root}/");
        let limits = self.session.connection.limits();
        let mut reply = self
            .session
            .connection
            .exchange(&HttpRequest {
                service,
                method: Method::GET,
                url: &url,
                query: &[],
                body: None,
                token: Some(&token.secret),
                subject: None,
                microversion: None,
                action: &action,
                login: false,
                waiter: Some((self.waiter, &self.named)),
            })
            .await
            .map_err(never_sent)?;
        // 300 is how some of them answer here.
        let document = if reply.is_success() || reply.status == 300 {
            reply.thing::<Value>(limits).await.ok()
        } else {
            None
        };
        match document {
            Some(document) => {
                let major = if service == Service::BlockStorage {
                    3
                } else {
                    2
                };
                Ok(Range::of_document(&document, major))
            }
            None => Err(never_sent(fault::of_refusal(
                &Refusal {
                    service,
                    action: &action,
                    status: if reply.is_success() {
                        502
                    } else {
                        reply.status
                    },
                    body: &reply.body,
                    request_id: reply.request_id(),
                    retry_after: reply.retry_after(),
                    location: reply.header("location"),
                    secrets: &[],
                },
                self.session.connection.limits(),
            ))),
        }
    }
}

/// A row that several want, as its service wrote it.
#[derive(Clone)]
struct SharedRow {
    /// What is wanted by.
    key: String,
    text: Arc<RawValue>,
}

impl SharedRow {
    fn new(field: &str, row: Box<RawValue>) -> Self {
        let fields: HashMap<String, &RawValue> =
            serde_json::from_str(row.get()).unwrap_or_default();
        let key = fields
            .get(field)
            .map(|value| serde_json::from_str(value.get()));
        Self {
            key: key.and_then(Result::ok).unwrap_or_default(),
            text: row.into(),
        }
    }
}

/// The service's name in the microversion header.
fn header_name(service: Service) -> Option<&'static str> {
    match service {
        Service::BlockStorage => Some("volume"),
        Service::Compute => Some("compute"),
        Service::Identity | Service::Network | Service::Image => None,
    }
}

fn if_there<T>(read: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Ok(thing) => Ok(Some(thing)),
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn unreadable(call: &Call, reply: &Reply, why: Unread) -> Fault {
    let mut fault = call.unreadable("body", why);
    fault.status = Some(reply.status);
    fault.request_id = reply.request_id().map(Into::into);
    fault
}
