//! One HTTP exchange with a cloud; this file may not know tokens, services or what an answer means.

use std::{
    error::Error as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, Method, Response, header::HeaderMap, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{entry::Entry, fault::presentable, limits::Limits};
use crate::{
    domain::fault::{Fault, FaultKind, Service},
    port::clock::Clock,
};

/// Makes ring the process's provider of cryptography; to be called once before the first client.
/// A second call changes nothing.
pub fn install_crypto() {
    // An error says that one is installed already, which is what was wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// How often a cloud was called.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    reads: AtomicU64,
    writes: AtomicU64,
    logins: AtomicU64,
    faults: AtomicU64,
}

/// How often a cloud was called since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficCount {
    /// Requests that change nothing.
    pub reads: u64,
    /// Requests that may change something.
    pub writes: u64,
    /// Logins.
    pub logins: u64,
    /// Calls of all kinds that no usable answer came to.
    pub faults: u64,
}

impl Traffic {
    pub(super) fn count(&self) -> TrafficCount {
        TrafficCount {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            logins: self.logins.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
        }
    }
}

/// A request as it goes out.
pub(super) struct Ask<'a> {
    pub(super) service: Service,
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) query: &'a [(String, String)],
    pub(super) body: Option<&'a Value>,
    pub(super) token: Option<&'a SecretString>,
    /// `volume 3.18`, and what else the service wants to hear.
    pub(super) microversion: Option<(&'static str, String)>,
    /// For people: what we are doing.
    pub(super) doing: &'a str,
    /// A login, which is counted and timed on its own.
    pub(super) login: bool,
}

/// An answer as it came in.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn request_id(&self) -> Option<String> {
        self.header("x-openstack-request-id")
            .or_else(|| self.header("x-compute-request-id"))
            .map(str::to_owned)
    }

    pub(super) fn retry_after(&self) -> Option<u32> {
        self.header("retry-after")?.trim().parse().ok()
    }
}

/// The connections of one entry.
pub(super) struct Line {
    client: Result<Client, String>,
    traffic: Arc<Traffic>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Line {
    pub(super) fn new(
        entry: &Entry,
        traffic: Arc<Traffic>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self {
            client: client(entry, &limits),
            traffic,
            clock,
            limits,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Sends a request and reads the whole answer. A read is sent a second time when the connection
    /// broke under it: a kept-alive one may have been closed at the same moment by the other side.
    pub(super) async fn exchange(&self, ask: &Ask<'_>) -> Result<Reply, Fault> {
        let is_read = ask.method == Method::GET;
        let outcome = match self.exchange_once(ask).await {
            Err(Broken { fault, stale: true }) if is_read && !ask.login => {
                tracing::debug!(%fault, "asking again on a new connection");
                self.exchange_once(ask).await
            }
            other => other,
        };
        match outcome {
            Ok(reply) => {
                tracing::debug!(
                    method = %ask.method,
                    url = ask.url,
                    status = reply.status,
                    request_id = reply.request_id(),
                    "{}",
                    ask.doing
                );
                Ok(reply)
            }
            Err(Broken { fault, .. }) => {
                self.traffic.faults.fetch_add(1, Ordering::Relaxed);
                Err(fault)
            }
        }
    }

    async fn exchange_once(&self, ask: &Ask<'_>) -> Result<Reply, Broken> {
        let client = self.client.as_ref().map_err(|problem| Broken {
            fault: Fault::new(
                FaultKind::Unconfigured,
                ask.service,
                ask.doing,
                problem.clone(),
            ),
            stale: false,
        })?;
        // Sent so that the logs of all services can be searched for it, and told when no answer comes.
        let own_id = format!("req-{}", self.clock.new_id());
        let (counter, seconds) = if ask.login {
            (&self.traffic.logins, self.limits.login_seconds)
        } else if ask.method == Method::GET {
            (&self.traffic.reads, self.limits.read_seconds)
        } else {
            (&self.traffic.writes, self.limits.write_seconds)
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut request = client
            .request(ask.method.clone(), ask.url)
            .timeout(Duration::from_secs(seconds))
            .header("Accept", "application/json")
            .header("X-Openstack-Request-Id", &own_id);
        if !ask.query.is_empty() {
            request = request.query(ask.query);
        }
        if let Some(token) = ask.token {
            request = request.header("X-Auth-Token", token.expose_secret());
        }
        if let Some((service, version)) = &ask.microversion {
            request = request.header("OpenStack-API-Version", format!("{service} {version}"));
            if *service == "compute" {
                request = request.header("X-OpenStack-Nova-API-Version", version);
            }
        }
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        let answered = async {
            let response = request.send().await.map_err(Trouble::Transport)?;
            self.read_whole(response).await
        };
        answered
            .await
            .map_err(|trouble| self.broken(ask, trouble, own_id))
    }

    async fn read_whole(&self, mut response: Response) -> Result<Reply, Trouble> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        // Ends with the answer, or at the limit, or with the request's deadline.
        while let Some(chunk) = response.chunk().await.map_err(Trouble::Transport)? {
            if body.len() + chunk.len() > self.limits.answer_bytes_max {
                return Err(Trouble::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    fn broken(&self, ask: &Ask<'_>, trouble: Trouble, own_id: String) -> Broken {
        let (kind, message, stale) = match trouble {
            Trouble::TooLong => (
                FaultKind::Unanswered,
                format!(
                    "the answer is longer than {} bytes",
                    self.limits.answer_bytes_max
                ),
                false,
            ),
            Trouble::Transport(error) => {
                let timed_out = error.is_timeout();
                let kind = if error.is_connect() {
                    FaultKind::Unreachable
                } else if error.is_builder() {
                    FaultKind::Unconfigured
                } else {
                    FaultKind::Unanswered
                };
                let stale = kind == FaultKind::Unanswered && !timed_out;
                let message = if timed_out && kind == FaultKind::Unanswered {
                    "no answer within the deadline".to_owned()
                } else {
                    causes(error)
                };
                (kind, message, stale)
            }
        };
        let message = presentable(&message, &[], self.limits.message_characters_max);
        let mut fault = Fault::new(kind, ask.service, ask.doing, message);
        fault.request_id = Some(own_id).filter(|_| kind == FaultKind::Unanswered);
        Broken { fault, stale }
    }
}

struct Broken {
    fault: Fault,
    /// Whether the connection went away, so that a new one may do better.
    stale: bool,
}

enum Trouble {
    Transport(reqwest::Error),
    TooLong,
}

/// The last words of an error's chain of causes, without the address, whose query nobody needs.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    // Ends because a chain of causes does.
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

fn client(entry: &Entry, limits: &Limits) -> Result<Client, String> {
    let builder = || {
        Client::builder()
            .user_agent(concat!("drbackup/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(limits.connect_seconds))
            // A redirect would carry the token to wherever it points.
            .redirect(redirect::Policy::none())
            .no_proxy()
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            format!(
                "entry {}: cannot read {}: {error}",
                entry.name,
                path.display()
            )
        })
    };
    let mut chosen = builder();
    if let Some(path) = &entry.cacert {
        let bundle = reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(|_| {
            format!(
                "entry {}: {} holds no certificates",
                entry.name,
                path.display()
            )
        })?;
        chosen = chosen.tls_certs_only(bundle);
    }
    if !entry.verify {
        chosen = chosen.tls_danger_accept_invalid_certs(true);
    }
    if let Some(path) = &entry.cert {
        let mut pem = read(path)?;
        if let Some(key) = &entry.key {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        let identity = reqwest::Identity::from_pem(&pem).map_err(|_| {
            format!(
                "entry {}: {} is no client certificate with its key",
                entry.name,
                path.display()
            )
        })?;
        chosen = chosen.identity(identity);
    }
    let plain = entry.cacert.is_none() && entry.cert.is_none();
    match chosen.build() {
        Ok(client) => Ok(client),
        // A machine without a bundle of certificates can still speak plain HTTP.
        Err(_) if plain => builder().tls_certs_only([]).build().map_err(causes),
        Err(error) => Err(format!("entry {}: {}", entry.name, causes(error))),
    }
}
