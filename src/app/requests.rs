//! Counts what callers ask and what they are answered, at whichever door; it may not know what the answers
//! hold.
//!
//! A call is under way until the last byte of its answer has left, so that of methods that stream the gauge
//! tells the open streams.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{MatchedPath, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
    middleware::{Next, from_fn},
    response::Response,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tonic::Code;

use super::entrance::share::Share;
use crate::api::server::methods;

/// What was counted. It is about the process, whatever it has opened.
static REQUESTS: LazyLock<Requests> = LazyLock::new(|| Requests {
    known: methods(),
    answered: Family::default(),
    under_way: Family::default(),
});

/// What a caller may ask that no door knows: whoever makes names up makes no series.
const UNKNOWN: &str = "unknown";

#[derive(Debug)]
struct Requests {
    /// The methods of gRPC, as `package.Service/Method`.
    known: BTreeSet<String>,
    answered: Family<Labels, Counter>,
    under_way: Family<Method, Gauge>,
}

/// What tells answers apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    code: String,
}

/// What tells calls apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: String,
}

/// Lets the metrics tell what was counted.
pub(super) fn register(registry: &mut Registry) {
    registry.register(
        "drbackup_requests",
        "Calls of callers that were answered, by method (of gRPC) or address (of JSON) and by code",
        REQUESTS.answered.clone(),
    );
    registry.register(
        "drbackup_requests_under_way",
        "Calls of callers whose answer has not left yet; of methods that stream, the open streams",
        REQUESTS.under_way.clone(),
    );
}

/// Counts all that comes to a router.
pub(super) fn counted(router: Router) -> Router {
    router.layer(from_fn(count))
}

async fn count(request: Request, next: Next) -> Response {
    let mut call = Call::begin(method_of(&request));
    let mut response = next.run(request).await;
    call.share = response.extensions_mut().remove();
    let kind = response.headers().get(CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        // A refusal may come without a body; else the code comes behind it.
        call.note(response.headers());
    } else {
        call.code = Some(response.status().as_u16().to_string());
    }
    response.map(|inner| Body::new(Answer { inner, call }))
}

/// What is asked, by a name of which there is a known number.
fn method_of(request: &Request) -> String {
    let path = request.uri().path();
    if let Some(known) = path
        .strip_prefix('/')
        .filter(|name| REQUESTS.known.contains(*name))
    {
        return known.to_owned();
    }
    // The address as the router has it, with the names of its parts instead of ids. Of gRPC that is one for
    // all methods of a service.
    match request.extensions().get::<MatchedPath>() {
        Some(matched) if path == "/metrics" || path.starts_with("/api/") => {
            format!("{} {}", verb(request.method()), matched.as_str())
        }
        Some(_) | None => UNKNOWN.to_owned(),
    }
}

/// A method of HTTP that one may meet; callers can make up others.
fn verb(method: &http::Method) -> &str {
    let usual = [
        http::Method::GET,
        http::Method::HEAD,
        http::Method::POST,
        http::Method::PUT,
        http::Method::PATCH,
        http::Method::DELETE,
        http::Method::OPTIONS,
    ];
    if usual.contains(method) {
        method.as_str()
    } else {
        UNKNOWN
    }
}

/// One call, counted when it ends, however it ends.
struct Call {
    method: String,
    code: Option<String>,
    /// The caller's place, which is free again when it ends.
    share: Option<Arc<Share>>,
}

impl Call {
    fn begin(method: String) -> Self {
        let of = Method {
            method: method.clone(),
        };
        REQUESTS.under_way.get_or_create(&of).inc();
        Self {
            method,
            code: None,
            share: None,
        }
    }

    /// Reads the code of gRPC, where it is there.
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = Some(format!("{:?}", Code::from_bytes(status.as_bytes())));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let method = std::mem::take(&mut self.method);
        let code = self.code.take();
        let labels = Labels {
            method: method.clone(),
            // Whoever asked went before there was one.
            code: code.unwrap_or_else(|| format!("{:?}", Code::Cancelled)),
        };
        REQUESTS.answered.get_or_create(&labels).inc();
        REQUESTS.under_way.get_or_create(&Method { method }).dec();
    }
}

/// An answer on its way.
struct Answer {
    inner: Body,
    call: Call,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.note(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::StatusCode, routing::get};
    use tower::Service as _;

    use super::*;

    /// An answer that is nothing but its code.
    struct Trailing(Option<HeaderMap>);

    impl HttpBody for Trailing {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Ready(self.0.take().map(|trailers| Ok(Frame::trailers(trailers))))
        }
    }

    fn router() -> Router {
        let streamed = || async {
            let trailers =
                HeaderMap::from_iter([("grpc-status".parse().unwrap(), "5".parse().unwrap())]);
            (
                [(CONTENT_TYPE, "application/grpc")],
                Body::new(Trailing(Some(trailers))),
            )
        };
        let router = Router::new()
            .route(
                "/api/things/{id}/",
                get(|| async { StatusCode::IM_A_TEAPOT }),
            )
            .route(
                "/drbackup.v1.DRBackupService/{*rest}",
                axum::routing::any(streamed),
            );
        counted(router)
    }

    async fn answered(path: &str) {
        asked("GET", path).await;
    }

    async fn asked(method: &str, path: &str) {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let answer = router().call(request).await.unwrap();
        to_bytes(answer.into_body(), 1 << 10).await.unwrap();
    }

    fn value(method: &str, code: &str) -> u64 {
        let labels = Labels {
            method: method.to_owned(),
            code: code.to_owned(),
        };
        REQUESTS.answered.get_or_create(&labels).get()
    }

    #[tokio::test]
    async fn calls_are_counted_by_names_that_nobody_makes_up() {
        let list = "drbackup.v1.DRBackupService/ListDRBackups";
        answered("/api/things/7/").await;
        answered("/api/things/8/").await;
        answered(&format!("/{list}")).await;
        answered("/drbackup.v1.DRBackupService/Nonsense").await;
        asked("MADE-UP", "/api/things/9/").await;
        assert_eq!(value("GET /api/things/{id}/", "418"), 2);
        assert_eq!(value("unknown /api/things/{id}/", "405"), 1);
        assert_eq!(value(list, "NotFound"), 1);
        assert_eq!(value(UNKNOWN, "NotFound"), 1);
        let under_way = Method {
            method: list.to_owned(),
        };
        assert_eq!(REQUESTS.under_way.get_or_create(&under_way).get(), 0);
        // Whoever goes before the answer has come is counted too.
        let request = http::Request::get(format!("/{list}")).body(Body::empty());
        let answer = router().call(request.unwrap()).await.unwrap();
        assert_eq!(REQUESTS.under_way.get_or_create(&under_way).get(), 1);
        drop(answer);
        assert_eq!(value(list, "Cancelled"), 1);
    }
}
