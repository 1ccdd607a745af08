//! A call to a service with the token of one project; this file may not know what the calls are for.

use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    catalogue,
    coalescer::Coalescers,
    connection::{HttpRequest, Reply},
    fault::{self, Refusal},
    key_pair::KeyPair,
    limits::Limits,
    rate_limiter::Waiter,
    server::Server,
    session::{Scope, Session, Token, never_sent},
    version::{Microversion, Range},
    versions::Versions,
    volume::Volume,
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::ProjectId,
};

/// A call to be made.
pub(super) struct Call {
    service: Service,
    method: Method,
    /// Below the versioned root, and below the project where Cinder wants one.
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    microversion: Option<Microversion>,
    doing: String,
    /// What must not appear in a message about it.
    secrets: Vec<String>,
}

impl Call {
    fn new(
        method: Method,
        service: Service,
        path: impl Into<String>,
        doing: impl Into<String>,
    ) -> Self {
        Self {
            service,
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            microversion: None,
            doing: doing.into(),
            secrets: Vec::new(),
        }
    }

    pub(super) fn get(service: Service, path: impl Into<String>, doing: impl Into<String>) -> Self {
        Self::new(Method::GET, service, path, doing)
    }

    pub(super) fn post(
        service: Service,
        path: impl Into<String>,
        doing: impl Into<String>,
        body: Value,
    ) -> Self {
        let mut call = Self::new(Method::POST, service, path, doing);
        call.body = Some(body);
        call
    }

    pub(super) fn put(
        service: Service,
        path: impl Into<String>,
        doing: impl Into<String>,
        body: Value,
    ) -> Self {
        let mut call = Self::new(Method::PUT, service, path, doing);
        call.body = Some(body);
        call
    }

    pub(super) fn delete(
        service: Service,
        path: impl Into<String>,
        doing: impl Into<String>,
    ) -> Self {
        Self::new(Method::DELETE, service, path, doing)
    }

    /// Adds a query parameter; several of one name are several values.
    pub(super) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// The microversion to speak, already known to be spoken by the service.
    pub(super) fn at(mut self, microversion: Option<Microversion>) -> Self {
        self.microversion = microversion;
        self
    }

    /// Something in the body that must not be told.
    pub(super) fn hiding(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }
}

/// A session within one project of a cloud.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) session: Arc<Session>,
    pub(super) scope: Scope,
    /// The project of the tokens.
    pub(super) project: ProjectId,
    /// Whether the project of the tenant is another one, which only an admin may look into.
    pub(super) foreign: bool,
    pub(super) versions: Arc<Versions>,
    pub(super) reads: Arc<Reads>,
    /// Who waits for what is asked.
    pub(super) waiter: Waiter,
}

/// Reads with one token about one subject, for one kind of waiter: a caller who shared a read with
/// operations would stand in their line.
type Subject = (String, Scope, Waiter, String);

/// The reads of a cloud that are shared by those who want the same kind of thing at the same time.
#[derive(Debug)]
pub(super) struct Reads {
    pub(super) servers: Coalescers<Subject, Server>,
    pub(super) volumes: Coalescers<Subject, Volume>,
    pub(super) key_pairs: Coalescers<Subject, KeyPair>,
    /// What has nothing in it whose order counts.
    rows: Coalescers<Subject, Value>,
}

impl Reads {
    pub(super) fn new(limits: &Limits) -> Self {
        let pause = limits.gather();
        Self {
            servers: Coalescers::new(pause),
            volumes: Coalescers::new(pause),
            key_pairs: Coalescers::new(pause),
            rows: Coalescers::new(pause),
        }
    }
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
        let token = self.token().await?;
        let mut reply = self.send_with(call, &token).await?;
        if reply.status == 401 {
            let fresh = self.session.token(&self.scope, Some(&token)).await?;
            reply = self.send_with(call, &fresh).await?;
        }
        if reply.is_success() {
            return Ok(reply);
        }
        if reply.status == 406 {
            // The service was replaced by one that speaks other versions.
            self.versions.forget(call.service);
        }
        let secrets: Vec<&str> = call.secrets.iter().map(String::as_str).collect();
        Err(fault::of_refusal(
            &Refusal {
                service: call.service,
                doing: &call.doing,
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
        if let Some(odd) = call.path.split('/').find(|part| leads_elsewhere(part)) {
            let message = format!("`{odd}` is no id of anything");
            let doing = call.doing.clone();
            return Err(Fault::new(FaultKind::Invalid, call.service, doing, message));
        }
        let root = self.root(call.service, &call.doing, token)?;
        let url = match call.service {
            Service::BlockStorage => format!("{root}/{}/{}", self.project, call.path),
            Service::Identity | Service::Compute | Service::Network | Service::Image => {
                format!("{root}/{}", call.path)
            }
        };
        self.session
            .connection
            .exchange(&HttpRequest {
                service: call.service,
                method: call.method.clone(),
                url: &url,
                query: &call.query,
                body: call.body.as_ref(),
                token: Some(&token.secret),
                microversion: call
                    .microversion
                    .and_then(|version| Some((header_name(call.service)?, version.to_string()))),
                doing: &call.doing,
                login: false,
                waiter: Some(self.waiter),
            })
            .await
    }

    fn root(&self, service: Service, doing: &str, token: &Token) -> Result<String, Fault> {
        catalogue::root(
            service,
            &self.session.entry,
            &token.catalogue,
            self.project.as_str(),
        )
        .map_err(|problem| Fault::new(FaultKind::Unconfigured, service, doing, problem))
    }

    /// Makes a call and reads the answer. One that cannot be read leaves open what happened.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Fault> {
        let reply = self.send(call).await?;
        parse(call, &reply)
    }

    /// Reads one thing; nothing when the service says that it is not there.
    pub(super) async fn read_if_there<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, Fault> {
        match self.read(call).await {
            Ok(thing) => Ok(Some(thing)),
            Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Tells reads apart that may not be shared: other tokens see other things.
    pub(super) fn subject(&self, about: impl Into<String>) -> Subject {
        let entry = self.session.entry.name.clone();
        (entry, self.scope.clone(), self.waiter, about.into())
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
        R: Future<Output = Result<Vec<Value>, Fault>>,
    {
        let rows = self.reads.rows.of(self.subject(collection));
        let found = rows
            .get(
                values,
                |row| row.get(field).and_then(Value::as_str).unwrap_or_default(),
                read,
            )
            .await?;
        let parsed: Result<Vec<T>, _> = found.into_iter().map(serde_json::from_value).collect();
        parsed.map_err(|_| {
            let doing = format!("list the {collection}");
            let message = format!("the answer has no usable `{collection}`");
            Fault::new(FaultKind::Unanswered, Service::Network, doing, message)
        })
    }

    /// Reads all pages of a list. A list that changes under the reader in a way that loses the place,
    /// or that does not end, is a fault: a list that may lack something is never handed out.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        call: Call,
        key: &str,
    ) -> Result<Vec<T>, Fault> {
        let limits = self.session.connection.limits();
        let mut call = call.query("limit", limits.page_size.to_string());
        let unmarked = call.query.len();
        let mut items = Vec::new();
        let mut last_marker = None;
        for page in 0..limits.pages_max {
            let mut body: Map<String, Value> = match self.read(&call).await {
                Err(fault) if page > 0 && lost_place(&fault) => {
                    return Err(Fault {
                        kind: FaultKind::Unanswered,
                        message: format!("the list changed while it was read: {}", fault.message),
                        ..fault
                    });
                }
                other => other?,
            };
            let Some(Value::Array(found)) = body.remove(key) else {
                return Err(unreadable(&call, key));
            };
            let marker = next_marker(&body, key, &found);
            for item in found {
                items.push(serde_json::from_value(item).map_err(|_| unreadable(&call, key))?);
            }
            let Some(marker) = marker else {
                return Ok(items);
            };
            if last_marker.as_ref() == Some(&marker) {
                break;
            }
            call.query.truncate(unmarked);
            call.query.push(("marker".to_owned(), marker.clone()));
            last_marker = Some(marker);
        }
        Err(Fault::new(
            FaultKind::Unanswered,
            call.service,
            call.doing.clone(),
            format!("the list does not end after {} pages", limits.pages_max),
        ))
    }

    /// Reads a list that has at most so many rows; nothing when it is longer.
    pub(super) async fn short_list<T: DeserializeOwned>(
        &self,
        call: Call,
        key: &str,
        rows: usize,
    ) -> Result<Option<Vec<T>>, Fault> {
        let call = call.query("limit", self.short(rows));
        let mut body: Map<String, Value> = self.read(&call).await?;
        let Some(Value::Array(found)) = body.remove(key) else {
            return Err(unreadable(&call, key));
        };
        if next_marker(&body, key, &found).is_some() {
            return Ok(None);
        }
        let items: Result<Vec<T>, _> = found.into_iter().map(serde_json::from_value).collect();
        items.map(Some).map_err(|_| unreadable(&call, key))
    }

    /// The limit of a list of at most so many rows, which is one page.
    pub(super) fn short(&self, rows: usize) -> String {
        let page = self.session.connection.limits().page_size;
        u32::try_from(rows).unwrap_or(page).min(page).to_string()
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
        let doing = format!("ask which versions {} speaks", service.project());
        let token = self.token().await?;
        let root = self.root(service, &doing, &token)?;
        let url = format!("{root}/");
        let reply = self
            .session
            .connection
            .exchange(&HttpRequest {
                service,
                method: Method::GET,
                url: &url,
                query: &[],
                body: None,
                token: Some(&token.secret),
                microversion: None,
                doing: &doing,
                login: false,
                waiter: Some(self.waiter),
            })
            .await
            .map_err(never_sent)?;
        let document = serde_json::from_slice::<Value>(&reply.body).ok();
        match document {
            // 300 is how some of them answer here.
            Some(document) if reply.is_success() || reply.status == 300 => {
                let major = if service == Service::BlockStorage {
                    3
                } else {
                    2
                };
                Ok(Range::of_document(&document, major))
            }
            _ => Err(never_sent(fault::of_refusal(
                &Refusal {
                    service,
                    doing: &doing,
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

/// What an id may have as it is in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An id, a caller's or one that a cloud told, as one segment of a path, whatever is in it.
pub(super) fn segment(id: &impl ToString) -> String {
    utf8_percent_encode(&id.to_string(), SEGMENT).to_string()
}

/// Whether a segment is none, or one that leads up or nowhere; dots mean that in every spelling.
fn leads_elsewhere(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "" | "." | "..")
}

/// The service's name in the microversion header.
fn header_name(service: Service) -> Option<&'static str> {
    match service {
        Service::BlockStorage => Some("volume"),
        Service::Compute => Some("compute"),
        Service::Identity | Service::Network | Service::Image => None,
    }
}

fn parse<T: DeserializeOwned>(call: &Call, reply: &Reply) -> Result<T, Fault> {
    serde_json::from_slice(&reply.body).map_err(|_| {
        let mut fault = unreadable(call, "body");
        fault.status = Some(reply.status);
        fault.request_id = reply.request_id().map(Into::into);
        fault
    })
}

impl Call {
    /// Whether the answer to a creation tells of what was asked for. One that was mixed up on its way
    /// tells of something that is not ours to touch; ours is found by its name.
    pub(super) fn tells_of(&self, name: &str, told: &str) -> Result<(), Fault> {
        if told == name {
            return Ok(());
        }
        let doing = self.doing.clone();
        let message = format!("the answer tells of `{told}`");
        Err(Fault::new(
            FaultKind::Unanswered,
            self.service,
            doing,
            message,
        ))
    }
}

fn unreadable(call: &Call, what: &str) -> Fault {
    Fault::new(
        FaultKind::Unanswered,
        call.service,
        call.doing.clone(),
        format!("the answer has no usable `{what}`"),
    )
}

/// The marker of the next page was deleted.
fn lost_place(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::NotFound | FaultKind::Invalid)
}

/// Where the next page begins: out of the `next` link, or the last item where the link has no marker.
/// The rest of the link is not used: it may name a host that only the service itself can reach.
fn next_marker(body: &Map<String, Value>, key: &str, items: &[Value]) -> Option<String> {
    // Of group snapshots Cinder tells `group_snapshot_links`.
    let one = key.trim_end_matches('s');
    let links = [key, one]
        .iter()
        .find_map(|noun| body.get(&format!("{noun}_links")))
        .and_then(Value::as_array);
    let next = links
        .and_then(|links| {
            links
                .iter()
                .find(|link| link.get("rel").and_then(Value::as_str) == Some("next"))
        })
        .and_then(|link| link.get("href"))
        // Glance has one link, and no list of them.
        .or_else(|| body.get("next"))
        .and_then(Value::as_str)?;
    let from_link = next.split_once('?').and_then(|(_, query)| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "marker")
            .map(|(_, value)| value.into_owned())
    });
    from_link.or_else(|| items.last()?.get("id")?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_one_segment_of_a_path_and_leads_nowhere_else() {
        for (id, told) in [
            ("f3a9-1_x~.y", "f3a9-1_x~.y"),
            ("a/../b", "a%2F..%2Fb"),
            ("%2e%2e", "%252e%252e"),
            ("x?y#z", "x%3Fy%23z"),
            ("ü\n", "%C3%BC%0A"),
        ] {
            assert_eq!(segment(&id), told);
        }
        for odd in ["", ".", "..", "%2E%2e", ".%2e"] {
            assert!(leads_elsewhere(odd), "{odd}");
        }
        for good in ["detail", "a%2F..%2Fb", "...", "a.b"] {
            assert!(!leads_elsewhere(good), "{good}");
        }
    }

    #[test]
    fn next_page_begins_where_the_link_says() {
        let body = json!({"volumes_links": [
            {"rel": "previous", "href": "http://inside/x?marker=a"},
            {"rel": "next", "href": "http://inside/v3/p/volumes/detail?limit=2&marker=b%20c"},
        ]});
        let body = body.as_object().unwrap();
        assert_eq!(next_marker(body, "volumes", &[]).as_deref(), Some("b c"));
        assert_eq!(next_marker(body, "snapshots", &[]), None);
    }
}
