//! What every request passes before either door, whatever its path and its version of HTTP; it may not
//! know what is asked.
//!
//! | What | Why |
//! |---|---|
//! | what a page of any site sent is refused | a browser says so, by `Origin` or `Sec-Fetch-Site`; with TLS it speaks HTTP/2 as well as a program does |
//! | on loopback only its names and `rest.hosts` are taken | a page whose name was made to lead here sends that name |
//! | gRPC has its own media type and HTTP/2 | its server takes any, as a simple form can send it |
//! | calls under way are bounded | each of them holds a request in memory |
//! | a request has to end in time | or it would hold that memory for as long as it likes |

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri, Version,
        header::{CONTENT_TYPE, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant},
};
use tonic::Code;

use super::{
    body::Timely,
    counts::{Counts, Reason},
};
use crate::{
    api::status,
    domain::error::{Error, ErrorKind},
    rest::problem,
};

/// What a request has to pass.
pub(super) struct Gate {
    /// Names by which this host may be asked, beside those of loopback; any where it is reached from
    /// elsewhere.
    hosts: Option<Vec<String>>,
    calls: Arc<Semaphore>,
    body: Duration,
    counts: Arc<Counts>,
}

impl Gate {
    /// One before an address; the calls under way are those of all addresses.
    pub(super) fn new(
        hosts: Option<Vec<String>>,
        calls: Arc<Semaphore>,
        body: Duration,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            hosts,
            calls,
            body,
            counts,
        }
    }

    /// Why a request is refused, before anything is done for it.
    fn refusal(&self, request: &Request) -> Option<Reason> {
        let (uri, headers) = (request.uri(), request.headers());
        if is_of_a_web_page(headers) {
            return Some(Reason::WebPage);
        }
        if self
            .hosts
            .as_ref()
            .is_some_and(|hosts| !is_named(hosts, uri, headers))
        {
            return Some(Reason::Host);
        }
        if is_json(uri.path()) || (request.version() >= Version::HTTP_2 && is_grpc(headers)) {
            return None;
        }
        Some(Reason::NoGrpc)
    }

    /// The answer to a request that is refused.
    fn refuse(&self, reason: Reason, version: Version, grpc: bool) -> Response {
        self.counts.refused(reason);
        refused(reason, version, grpc)
    }
}

/// The answer to a request that is refused.
pub(super) fn refused(reason: Reason, version: Version, grpc: bool) -> Response {
    let told = told(reason, version);
    if grpc && version >= Version::HTTP_2 {
        let status = status::refused(told.code, told.reason, &told.error);
        return status.into_http::<Body>();
    }
    problem::refused(told.status, told.reason, &told.error)
}

/// Lets a request through, or says why not.
pub(super) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let version = request.version();
    let grpc = is_grpc(request.headers());
    if let Some(reason) = gate.refusal(&request) {
        return gate.refuse(reason, version, grpc);
    }
    let path = request.uri().path();
    // Whoever looks after this process has to be answered above all when there is too much to do.
    let place = if path == "/metrics" || path.starts_with("/grpc.health.v1.Health/") {
        None
    } else {
        let Ok(place) = Arc::clone(&gate.calls).try_acquire_owned() else {
            return gate.refuse(Reason::Calls, version, grpc);
        };
        Some(place)
    };
    // A stream has a limit of its own once it is open; here it counts until its request is there.
    let (of_call, of_body) = if is_stream(path) {
        (None, place)
    } else {
        (place, None)
    };
    let (parts, body) = request.into_parts();
    let (body, late) = Timely::of(body, Instant::now() + gate.body, of_body);
    let answer = next.run(Request::from_parts(parts, body)).await;
    drop(of_call);
    if late.is_so() {
        return gate.refuse(Reason::Body, version, grpc);
    }
    answer
}

/// What somebody who is refused is told.
struct Told {
    code: Code,
    status: StatusCode,
    reason: &'static str,
    error: Error,
}

fn told(reason: Reason, version: Version) -> Told {
    let told = |code, status, reason, kind, message: &str, guidance: &str| Told {
        code,
        status,
        reason,
        error: Error::new(kind, message).advise(guidance),
    };
    match reason {
        Reason::WebPage => told(
            Code::PermissionDenied,
            StatusCode::FORBIDDEN,
            "FROM_A_BROWSER",
            ErrorKind::Forbidden,
            "a web page asked for this",
            "call it from a program, not from a web page",
        ),
        Reason::Host => told(
            Code::PermissionDenied,
            StatusCode::FORBIDDEN,
            "HOST_UNKNOWN",
            ErrorKind::Forbidden,
            "it was asked for by a name that is not that of this host",
            "name the host as localhost or by its address, or add the name to rest.hosts",
        ),
        Reason::NoGrpc if version < Version::HTTP_2 => told(
            Code::Unimplemented,
            StatusCode::UPGRADE_REQUIRED,
            "HTTP_2_REQUIRED",
            ErrorKind::Forbidden,
            "there is nothing at this address for HTTP/1",
            "gRPC needs HTTP/2; JSON is below /api/",
        ),
        Reason::NoGrpc => told(
            Code::Unimplemented,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            ErrorKind::Forbidden,
            "this address takes gRPC alone",
            "send it with `Content-Type: application/grpc`; JSON is below /api/",
        ),
        Reason::Body => told(
            Code::DeadlineExceeded,
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TOO_SLOW",
            ErrorKind::Unavailable,
            "the request did not end in time",
            "send it again, all at once",
        ),
        Reason::Caller => told(
            Code::ResourceExhausted,
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_CALLS",
            ErrorKind::Unavailable,
            "too many calls or streams of yours are under way",
            "end some of them, or come back later",
        ),
        // The others never come as far as a request.
        Reason::Calls
        | Reason::Connections
        | Reason::Files
        | Reason::Handshake
        | Reason::FirstRequest => told(
            Code::ResourceExhausted,
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_CALLS",
            ErrorKind::Unavailable,
            "too many calls are under way",
            "come back later",
        ),
    }
}

fn is_of_a_web_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    headers.contains_key(ORIGIN) || site.is_some_and(|site| site != "none")
}

/// Whether a path is one of JSON or of the metrics; every other one is of gRPC.
pub(in crate::app) fn is_json(path: &str) -> bool {
    path == "/metrics" || path == "/api" || path.starts_with("/api/")
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let rest = kind.strip_prefix("application/grpc");
    // Not `application/grpc-web`, which is the one for pages.
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// Whether a method answers with a stream, as those that are called so do.
pub(super) fn is_stream(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    method.starts_with("Watch")
}

/// Whether the host is asked for by a name of loopback, or one of these.
fn is_named(hosts: &[String], uri: &Uri, headers: &HeaderMap) -> bool {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = uri.authority().map(Authority::as_str);
    let Some(authority) = authority.or(named) else {
        return false;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|one| one.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // An address and this name can only mean what was typed.
    bare.parse::<IpAddr>().is_ok()
        || bare.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a gate on loopback has against a request.
    fn asked(
        version: Version,
        path: &'static str,
        headers: &[(&'static str, &'static str)],
    ) -> Option<Reason> {
        let gate = Gate::new(
            Some(vec!["dr.example".to_owned()]),
            Arc::new(Semaphore::new(1)),
            Duration::from_secs(1),
            Arc::new(Counts::new(Duration::from_secs(1))),
        );
        let mut request = Request::builder().version(version).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        gate.refusal(&request.body(Body::empty()).expect("a request"))
    }

    const CALL: &str = "/drbackup.v1.DRBackupService/ListDRBackups";
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    const HERE: (&str, &str) = ("host", "localhost");

    #[test]
    fn programs_and_the_address_bar_are_let_in() {
        for host in [
            "127.0.0.1:7447",
            "localhost:7447",
            "[::1]:7447",
            "LOCALHOST",
            "dr.example",
            "DR.example:443",
        ] {
            let asked = asked(Version::HTTP_11, "/api/", &[("host", host)]);
            assert_eq!(asked, None, "{host}");
        }
        let typed = [HERE, ("sec-fetch-site", "none")];
        assert_eq!(asked(Version::HTTP_2, "/metrics", &typed), None);
        for kind in ["application/grpc", "application/grpc+proto"] {
            let headers = [HERE, ("content-type", kind)];
            assert_eq!(asked(Version::HTTP_2, CALL, &headers), None, "{kind}");
        }
    }

    #[test]
    fn web_pages_are_not_whatever_they_ask_and_however() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for path in ["/api/", "/metrics", CALL, "/"] {
                for page in [
                    ("origin", "null"),
                    ("origin", "http://127.0.0.1"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-site", "same-origin"),
                ] {
                    let asked = asked(version, path, &[HERE, GRPC, page]);
                    assert_eq!(asked, Some(Reason::WebPage), "{version:?} {path} {page:?}");
                }
                for host in [
                    &[("host", "rebound.example:7447"), GRPC][..],
                    &[("host", "127.0.0.1.rebound.example"), GRPC],
                    &[GRPC],
                ] {
                    let asked = asked(version, path, host);
                    assert_eq!(asked, Some(Reason::Host), "{version:?} {path} {host:?}");
                }
            }
        }
    }

    #[test]
    fn grpc_is_asked_for_as_grpc() {
        for kind in [
            "text/plain",
            "application/json",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcx",
            "",
        ] {
            let headers = [HERE, ("content-type", kind)];
            let asked = asked(Version::HTTP_2, CALL, &headers);
            assert_eq!(asked, Some(Reason::NoGrpc), "{kind}");
        }
        let asked = asked(Version::HTTP_11, CALL, &[HERE, GRPC]);
        assert_eq!(asked, Some(Reason::NoGrpc));
    }

    #[test]
    fn elsewhere_any_name_is_good() {
        let (calls, body) = (Arc::new(Semaphore::new(1)), Duration::from_secs(1));
        let gate = Gate::new(None, calls, body, Arc::new(Counts::new(body)));
        let request = Request::builder().uri("/api/").header("host", "a.example");
        let request = request.body(Body::empty()).expect("a request");
        assert_eq!(gate.refusal(&request), None);
    }
}
