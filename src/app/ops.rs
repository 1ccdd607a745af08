//! Where operators and their tools look: metrics, and whether the process lives and is ready, on a
//! listener of its own; it may not know callers, nor what they ask for.
//!
//! | Path | Answer |
//! |---|---|
//! | `/livez` | 200 as long as the process answers at all: a database that is away is no reason to restart it |
//! | `/readyz` | 200, or 503 where callers are better sent elsewhere, with the reasons |
//! | `/metrics` | what Prometheus reads |
//!
//! A cloud that does not answer is told at `/readyz` and is no reason to be unready: its work waits here as
//! well as it would anywhere, and restoring into another cloud is what the service is there for.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;
use tokio::{
    net::TcpListener,
    sync::Mutex as AsyncMutex,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::{config::OpsSettings, tls::Certificates};
use crate::{
    cli::failure::Failure,
    domain::id::CloudName,
    openstack::Clouds,
    rest::metrics::{self, Metrics},
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The metrics are not put together more often than so, however many ask.
const FRESH: Duration = Duration::from_millis(500);

/// What keeps callers from being sent here.
#[derive(Debug, Clone)]
pub(super) struct Readiness(Arc<Mutex<Standing>>);

#[derive(Debug)]
struct Standing {
    starting: bool,
    leaving: bool,
    /// Why the database does not work, where it does not.
    trouble: Option<String>,
}

impl Readiness {
    /// A process that has just begun.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Standing {
            starting: true,
            leaving: false,
            trouble: None,
        })))
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Each field says what it says by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Callers are let in from now on.
    pub(super) fn started(&self) {
        self.standing().starting = false;
    }

    /// The process was asked to stop.
    pub(super) fn leaving(&self) {
        self.standing().leaving = true;
    }

    /// Why the database does not work; nothing where it does.
    pub(super) fn database(&self, trouble: Option<String>) {
        self.standing().trouble = trouble;
    }

    fn checks(&self) -> [Check; 3] {
        let standing = self.standing();
        let said = |is_so: bool, reason: &str| is_so.then(|| reason.to_owned());
        [
            ("database", standing.trouble.clone()),
            (
                "migrations",
                said(
                    standing.starting,
                    "the database is being opened and its schema brought up",
                ),
            ),
            (
                "stop",
                said(standing.leaving, "the service was asked to stop"),
            ),
        ]
        .map(|(name, reason)| Check { name, reason })
    }
}

/// One thing that has to be well.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    /// Why it is not.
    reason: Option<String>,
}

/// How a cloud stands, which is told and decides nothing.
#[derive(Debug, Serialize)]
struct CloudCheck {
    name: CloudName,
    /// Whether its last call was answered.
    answers: bool,
}

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// How long a certificate is good for, which is told and decides nothing.
#[derive(Debug, Serialize)]
struct CertificateCheck {
    /// The setting that names its file, below `tls`.
    file: &'static str,
    /// None once it has expired.
    seconds_left: u64,
}

/// What is answered to a probe.
#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    checks: [Check; 3],
    clouds: Vec<CloudCheck>,
    certificates: Vec<CertificateCheck>,
    /// Whether user data is sealed in the database; nothing before it is open.
    user_data_sealed: Option<bool>,
}

impl Report {
    fn status(&self) -> StatusCode {
        if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }

    /// Line by line, for people.
    fn text(&self) -> String {
        let word = if self.ready { "ready" } else { "not ready" };
        let mut lines = vec![word.to_owned()];
        lines.extend(self.checks.iter().map(|check| match &check.reason {
            None => format!("{}: ok", check.name),
            Some(reason) => format!("{}: {reason}", check.name),
        }));
        lines.extend(self.clouds.iter().map(|cloud| {
            let name = &cloud.name;
            if cloud.answers {
                format!("cloud {name}: ok")
            } else {
                format!("cloud {name}: does not answer; what is to be done there waits")
            }
        }));
        lines.extend(self.certificates.iter().map(|certificate| {
            let (file, days) = (certificate.file, certificate.seconds_left / DAY);
            if certificate.seconds_left == 0 {
                format!("certificate tls.{file}: HAS EXPIRED; callers refuse it, or are refused")
            } else {
                format!("certificate tls.{file}: good for {days} days")
            }
        }));
        lines.extend(self.user_data_sealed.map(|sealed| {
            let how = if sealed {
                "sealed when it is written; `drbackup seal status` counts what was written before"
            } else {
                "readable in the database (seal.keys)"
            };
            format!("user data: {how}")
        }));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// What there is to tell once the service runs.
pub(super) struct Parts {
    pub(super) metrics: Metrics,
    pub(super) clouds: Arc<Clouds>,
    /// What callers are shown; nothing where nothing is encrypted.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Whether user data is sealed in the database.
    pub(super) sealed: bool,
}

/// What is told to whoever looks.
#[derive(Clone)]
struct Told {
    readiness: Readiness,
    parts: Arc<OnceLock<Parts>>,
    /// The last metrics, and when they were put together.
    last: Arc<AsyncMutex<Option<(Instant, String)>>>,
}

/// The listener, answering until it is dropped.
pub(super) struct Ops {
    told: Told,
    _answering: Option<AbortOnDropHandle<io::Result<()>>>,
}

impl Ops {
    /// Answers at the configured address from now on, if at any.
    pub(super) async fn open(settings: &OpsSettings) -> Result<Self, Failure> {
        let told = Told {
            readiness: Readiness::new(),
            parts: Arc::default(),
            last: Arc::default(),
        };
        let answering = match listen(settings).await? {
            None => None,
            Some(listener) => Some(answer(listener, told.clone())?),
        };
        Ok(Self {
            told,
            _answering: answering,
        })
    }

    /// What keeps callers from being sent here.
    pub(super) fn readiness(&self) -> Readiness {
        self.told.readiness.clone()
    }

    /// The service runs: there is something to tell of it.
    pub(super) fn tells(&self, parts: Parts) {
        // It runs once.
        let _told = self.told.parts.set(parts);
        self.told.readiness.started();
    }
}

/// Takes the address. Where somebody else has the default one, nobody asked for it by name: several services
/// on one machine must not need a setting each, and what nobody may look at is no reason to leave backups
/// undone. An address that was named, and cannot be had, is a mistake that is better told at once.
async fn listen(settings: &OpsSettings) -> Result<Option<TcpListener>, Failure> {
    let address = settings
        .address()
        .map_err(|error| Failure::Usage(format!("ops.listen: {error}")))?;
    let Some(address) = address else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && settings.listen == OpsSettings::default().listen =>
        {
            warn!(
                ops_address = %address,
                "another program listens there: there are no metrics and probes of this service; name an \
                 address of its own with --ops-listen"
            );
            Ok(None)
        }
        Err(error) => Err(Failure::Conflict(format!(
            "metrics and probes cannot be answered at {address}: {error}; name another address with \
             --ops-listen, or none to do without"
        ))),
    }
}

fn answer(listener: TcpListener, told: Told) -> Result<AbortOnDropHandle<io::Result<()>>, Failure> {
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Local(format!("listening for operators: {error}")))?;
    info!(ops_address = %address, "metrics and probes are answered");
    let loopback = address.ip().is_loopback();
    if !loopback {
        warn!(
            ops_address = %address,
            "everybody who can reach this address can read metrics, which name clouds, tenants and schedules"
        );
    }
    let router = router(told, loopback);
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        axum::serve(listener, router).await
    })))
}

fn router(told: Told, loopback: bool) -> Router {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(scraped))
        .with_state(told)
        .layer(from_fn_with_state(loopback, programs_only))
}

async fn alive() -> &'static str {
    "alive\n"
}

async fn ready(State(told): State<Told>, headers: HeaderMap) -> Response {
    let checks = told.readiness.checks();
    let clouds = told.parts.get().map(|parts| parts.clouds.answering());
    let clouds = clouds.into_iter().flatten();
    let report = Report {
        ready: checks.iter().all(|check| check.reason.is_none()),
        checks,
        clouds: clouds
            .map(|(name, answers)| CloudCheck { name, answers })
            .collect(),
        certificates: certificates(told.parts.get()),
        user_data_sealed: told.parts.get().map(|parts| parts.sealed),
    };
    let wanted = headers.get(ACCEPT).and_then(|wanted| wanted.to_str().ok());
    if wanted.is_some_and(|wanted| wanted.contains("json")) {
        (report.status(), Json(report)).into_response()
    } else {
        (report.status(), report.text()).into_response()
    }
}

fn certificates(parts: Option<&Parts>) -> Vec<CertificateCheck> {
    let shown = parts.and_then(|parts| parts.certificates.as_ref());
    let left = shown.map(|shown| shown.seconds_left()).unwrap_or_default();
    let told = |(file, seconds_left)| CertificateCheck { file, seconds_left };
    left.into_iter().map(told).collect()
}

async fn scraped(State(told): State<Told>) -> Response {
    let Some(parts) = told.parts.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the service is starting\n").into_response();
    };
    // Whoever comes while they are put together gets the same: nobody makes the database count twice.
    let text = timeout(PATIENCE, async {
        let mut last = told.last.lock().await;
        match last.as_ref() {
            Some((made, text)) if made.elapsed() < FRESH => text.clone(),
            Some(_) | None => {
                let text = parts.metrics.text().await;
                *last = Some((Instant::now(), text.clone()));
                text
            }
        }
    });
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, metrics::TEXT)], text).into_response(),
        Err(_late) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

/// Keeps web pages out, also one whose name was made to lead to loopback.
async fn programs_only(State(loopback): State<bool>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let site = headers.get("sec-fetch-site");
    let of_a_page = headers.contains_key(ORIGIN) || site.is_some_and(|site| site != "none");
    if of_a_page || loopback && !is_of_this_host(headers) {
        return (StatusCode::FORBIDDEN, "not for web pages\n").into_response();
    }
    next.run(request).await
}

/// Whether it was asked for by a name that can only mean this host. A probe need not name any.
fn is_of_this_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let name = authority.host().trim_matches(['[', ']']);
    name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tower::Service as _;

    use super::*;

    fn told() -> Told {
        Told {
            readiness: Readiness::new(),
            parts: Arc::default(),
            last: Arc::default(),
        }
    }

    async fn asked(told: &Told, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = http::Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = router(told.clone(), true).call(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_probe_hears_the_reasons() {
        let told = told();
        let (status, text) = asked(&told, "/readyz", &[]).await;
        let opening = "the database is being opened and its schema brought up";
        assert_eq!(status, 503);
        assert_eq!(
            text,
            format!("not ready\ndatabase: ok\nmigrations: {opening}\nstop: ok\n")
        );
        told.readiness.started();
        assert_eq!(asked(&told, "/readyz", &[]).await.0, 200);
        told.readiness.database(Some("it is full".to_owned()));
        let (status, text) = asked(&told, "/readyz", &[("accept", "application/json")]).await;
        assert_eq!(status, 503);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["ready"], false);
        assert_eq!(report["checks"][0]["reason"], "it is full");
        told.readiness.database(None);
        told.readiness.leaving();
        assert_eq!(asked(&told, "/readyz", &[]).await.0, 503);
        assert_eq!(asked(&told, "/livez", &[]).await.0, 200);
        assert_eq!(asked(&told, "/metrics", &[]).await.0, 503);
    }

    #[tokio::test]
    async fn web_pages_are_kept_out() {
        let told = told();
        for (header, status) in [
            (("host", "localhost:7448"), 200),
            (("host", "[::1]:7448"), 200),
            (("host", "rebound.example"), 403),
            (("origin", "http://127.0.0.1:7448"), 403),
            (("sec-fetch-site", "same-origin"), 403),
        ] {
            assert_eq!(
                asked(&told, "/livez", &[header]).await.0,
                status,
                "{header:?}"
            );
        }
    }

    #[tokio::test]
    async fn the_default_address_may_be_taken_and_one_that_was_named_may_not() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let named = OpsSettings {
            listen: address,
            ..OpsSettings::default()
        };
        assert!(matches!(listen(&named).await, Err(Failure::Conflict(_))));
        let off = OpsSettings {
            listen: String::new(),
            ..OpsSettings::default()
        };
        assert!(listen(&off).await.unwrap().is_none());
        // Taken by this test, or by whoever has it already.
        let _mine = TcpListener::bind(&OpsSettings::default().listen).await;
        assert!(listen(&OpsSettings::default()).await.unwrap().is_none());
    }
}
