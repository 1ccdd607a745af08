//! One HTTP exchange with a cloud; this file may not know tokens, services or what an answer means.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    answer::Reply,
    fault::presentable,
    http_transport::{HttpTransport, TransportError},
    rate_limiter::{RateLimiter, Waiter},
    settings::OpenStackSettings,
    traffic::{CallKind, CallOutcome, Traffic},
};
use crate::{
    domain::{
        fault::{Fault, FaultKind, Service},
        id::ProjectId,
    },
    port::clock::Clock,
};

/// Makes ring the process's provider of cryptography; to be called once before the first client.
/// A second call changes nothing.
pub fn install_crypto() {
    // An error says that one is installed already, which is what was wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A request as it goes out.
pub(super) struct HttpRequest<'a> {
    pub(super) service: Service,
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) query: &'a [(String, String)],
    pub(super) body: Option<&'a Value>,
    pub(super) token: Option<&'a SecretString>,
    /// The token that it is about, which only Keystone is asked.
    pub(super) subject: Option<&'a SecretString>,
    /// `volume 3.18`, and what else the service wants to hear.
    pub(super) microversion: Option<(&'static str, String)>,
    /// For people: what we are doing.
    pub(super) action: &'a str,
    /// A login, which is counted and timed on its own.
    pub(super) login: bool,
    /// Who waits for the answer, and about which project. Nobody stands in line for Keystone, which is asked
    /// seldom and holds up everybody else.
    pub(super) waiter: Option<(Waiter, &'a ProjectId)>,
}

/// The way to the cloud of one entry, counted, timed and within the rate of the cloud.
pub(super) struct Connection {
    transport: Arc<dyn HttpTransport>,
    traffic: Arc<Traffic>,
    rate_limiter: Arc<RateLimiter>,
    clock: Arc<dyn Clock>,
    limits: OpenStackSettings,
}

impl Connection {
    pub(super) fn new(
        transport: Arc<dyn HttpTransport>,
        traffic: Arc<Traffic>,
        rate_limiter: Arc<RateLimiter>,
        clock: Arc<dyn Clock>,
        limits: OpenStackSettings,
    ) -> Self {
        Self {
            transport,
            traffic,
            rate_limiter,
            clock,
            limits,
        }
    }

    pub(super) fn limits(&self) -> &OpenStackSettings {
        &self.limits
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Sends a request and reads the whole answer. A read is sent a second time when the connection
    /// broke under it: a kept-alive one may have been closed at the same moment by the other side.
    pub(super) async fn exchange(&self, request: &HttpRequest<'_>) -> Result<Reply, Fault> {
        let is_read = request.method == Method::GET;
        let outcome = match self.exchange_once(request).await {
            Err(Broken { fault, stale: true }) if is_read && !request.login => {
                tracing::debug!(%fault, "asking again on a new connection");
                self.exchange_once(request).await
            }
            other => other,
        };
        match outcome {
            Ok(reply) => {
                tracing::debug!(
                    method = %request.method,
                    url = request.url,
                    status = reply.status,
                    request_id = reply.request_id(),
                    "{}",
                    request.action
                );
                Ok(reply)
            }
            Err(Broken { fault, .. }) => Err(fault),
        }
    }

    async fn exchange_once(&self, request: &HttpRequest<'_>) -> Result<Reply, Broken> {
        // Sent so that the logs of all services can be searched for it, and told when no answer comes.
        let own_id = format!("req-{}", self.clock.new_id());
        let (kind, seconds) = if request.login {
            (CallKind::Login, self.limits.login_seconds)
        } else if request.method == Method::GET {
            (CallKind::Read, self.limits.read_seconds)
        } else {
            (CallKind::Write, self.limits.write_seconds)
        };
        let http = as_http(request, &own_id).map_err(|problem| Broken {
            fault: Fault::new(
                FaultKind::Unconfigured,
                request.service,
                request.action,
                problem,
            ),
            stale: false,
        })?;
        // The deadline is that of the cloud and begins when the call leaves.
        let permit = match request.waiter {
            Some((waiter, project)) => Some(self.rate_limiter.acquire(waiter, project).await),
            None => None,
        };
        let left = Instant::now();
        let answered = self
            .transport
            .send(http, Duration::from_secs(seconds))
            .await;
        drop(permit);
        let outcome = answered.as_ref().map_or(CallOutcome::Unanswered, |answer| {
            CallOutcome::of(answer.status().as_u16())
        });
        self.traffic
            .add(request.service, kind, outcome, left.elapsed());
        let (head, body) = answered
            .map_err(|trouble| self.broken(request, trouble, own_id))?
            .into_parts();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    fn broken(&self, request: &HttpRequest<'_>, trouble: TransportError, own_id: String) -> Broken {
        let stale = matches!(trouble, TransportError::Broken(_));
        let (kind, message) = match trouble {
            TransportError::Unconfigured(problem) => (FaultKind::Unconfigured, problem),
            TransportError::Unreachable(problem) => (FaultKind::Unreachable, problem),
            TransportError::Late => (
                FaultKind::Unanswered,
                "no answer within the deadline".to_owned(),
            ),
            TransportError::Broken(problem) => (FaultKind::Unanswered, problem),
            TransportError::TooLong(limit) => (
                FaultKind::Unanswered,
                format!("the answer is longer than {limit} bytes"),
            ),
        };
        let message = presentable(&message, &[], self.limits.message_characters_max);
        let mut fault = Fault::new(kind, request.service, request.action, message);
        fault.request_id = Some(own_id.into()).filter(|_| kind == FaultKind::Unanswered);
        Broken { fault, stale }
    }
}

struct Broken {
    fault: Fault,
    /// Whether the connection went away, so that a new one may do better.
    stale: bool,
}

/// What is asked, as HTTP has it; or why its address is none.
fn as_http(request: &HttpRequest<'_>, own_id: &str) -> Result<http::Request<Vec<u8>>, String> {
    let mut url =
        url::Url::parse(request.url).map_err(|error| format!("{}: {error}", request.url))?;
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(request.query);
    }
    let mut built = http::Request::builder()
        .method(request.method.clone())
        .uri(url.as_str())
        .header("Accept", "application/json")
        .header("X-Openstack-Request-Id", own_id);
    if let Some(token) = request.token {
        built = built.header("X-Auth-Token", token.expose_secret());
    }
    if let Some(subject) = request.subject {
        // What a caller shows as a token may hold anything.
        let mut subject = HeaderValue::from_str(subject.expose_secret())
            .map_err(|_| "it is no token: no header can hold it".to_owned())?;
        subject.set_sensitive(true);
        built = built.header("X-Subject-Token", subject);
    }
    if let Some((service, version)) = &request.microversion {
        built = built.header("OpenStack-API-Version", format!("{service} {version}"));
        if *service == "compute" {
            built = built.header("X-OpenStack-Nova-API-Version", version);
        }
    }
    let body = match request.body {
        Some(body) => {
            built = built.header("Content-Type", "application/json");
            body.to_string().into_bytes()
        }
        None => Vec::new(),
    };
    built.body(body).map_err(|error| error.to_string())
}
