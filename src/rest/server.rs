//! The REST door in one value that a listener can serve, alone or beside the one of gRPC; it may not
//! know addresses, listeners or signals.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::{
    instance,
    metrics::{self, Metrics},
    moved, point,
    problem::{BadRequest, Problem, Refusal},
    query::Sizes,
    responses::StateName,
    restoration, schedule,
    settings::RestSettings,
};
use crate::{
    domain::error::Error,
    service::{
        Service,
        acting::{Acting, Login},
    },
};

/// What every address needs.
#[derive(Clone)]
pub(super) struct RestState {
    service: Service,
    sizes: Sizes,
}

/// What a call needs: the service as its caller may use it.
pub(super) struct Rest {
    /// The service.
    pub(super) service: Acting,
    /// Sizes of pages.
    pub(super) sizes: Sizes,
}

impl FromRequestParts<RestState> for Rest {
    type Rejection = Problem;

    /// Whoever was not recognised on the way here is nobody.
    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Problem> {
        let login = parts.extensions.get::<Login>().cloned();
        let login = login.ok_or_else(Error::unknown_caller)?;
        Ok(Self {
            service: state.service.acting(login),
            sizes: state.sizes,
        })
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "drbackup",
        version = "1",
        description = "Disaster-recovery backups of OpenStack instances, by the names that the original \
            of this service had. The same resources are told of, and more can be asked for, by gRPC \
            (drbackup.v1) on the same port.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Refusal, BadRequest, StateName))
)]
struct Frame;

fn addresses() -> OpenApiRouter<RestState> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .merge(point::dr_backup::router())
        .merge(restoration::router())
        .merge(point::backup::router())
        .merge(schedule::router())
        .merge(instance::router())
        .merge(moved::router())
}

/// The document that describes every address.
pub fn document() -> OpenApi {
    addresses().into_openapi()
}

/// The door to `service`, with what `metrics` counts; `beside` is served on the same port.
pub fn door(service: Service, metrics: Metrics, settings: &RestSettings, beside: Router) -> Router {
    let limits = service.limits();
    let sizes = Sizes {
        default: limits.page_default.min(settings.page_max),
        most: limits.page_max.min(settings.page_max),
    };
    let rest = RestState { service, sizes };
    let (addresses, document) = addresses().split_for_parts();
    let addresses = addresses
        .route("/api/openapi.json", get(|| async move { Json(document) }))
        .route("/api", any(nowhere))
        .route("/api/", any(nowhere))
        .route("/api/{*rest}", any(nowhere))
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(settings.body_bytes))
        .with_state(rest);
    let metrics = Router::new()
        .route("/metrics", get(metrics::show))
        .method_not_allowed_fallback(not_so)
        .with_state(metrics);
    beside.merge(addresses).merge(metrics)
}

async fn nowhere() -> Problem {
    Problem::nowhere()
}

/// A method that an address does not have; which ones it has, the router adds.
async fn not_so() -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "this address does not have this method",
        "see the Allow header",
    )
    .into_response()
}
