//! A page of a list with the links to its neighbours, and what else is answered beside JSON; it may not
//! know of what.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode, Uri,
        header::{LINK, LOCATION},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::problem::Problem;

/// One page of a list.
pub(super) struct Listing<T> {
    /// Its rows.
    pub(super) rows: Vec<T>,
    /// Its number, counted from 1.
    pub(super) page: u64,
    /// Whether another one follows.
    pub(super) more: bool,
    /// What was asked.
    pub(super) uri: Uri,
}

impl<T: Serialize> IntoResponse for Listing<T> {
    fn into_response(self) -> Response {
        if self.page > 1 && self.rows.is_empty() {
            return Problem::new(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "the list has no such page",
                "follow the links of its first page",
            )
            .into_response();
        }
        let before = (self.page > 1).then(|| self.page - 1);
        let after = self.more.then(|| self.page.saturating_add(1));
        let links = [("first", Some(1)), ("prev", before), ("next", after)];
        let links = links
            .into_iter()
            .filter_map(|(name, page)| Some(link(&self.uri, name, page?)))
            .collect::<Vec<String>>()
            .join(", ");
        let mut response = Json(self.rows).into_response();
        if let Ok(links) = HeaderValue::try_from(links) {
            response.headers_mut().insert(LINK, links);
        }
        response
    }
}

/// The link to another page of what was asked.
fn link(uri: &Uri, name: &str, page: u64) -> String {
    let asked = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.filter(|(name, _)| name != "page"));
    query.append_pair("page", &page.to_string());
    format!("<{}?{}>; rel=\"{name}\"", uri.path(), query.finish())
}

/// A resource that is new, at its address.
pub(super) struct Created<T> {
    /// The resource.
    pub(super) told: T,
    /// Where it is.
    pub(super) url: String,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(LOCATION, self.url)], Json(self.told)).into_response()
    }
}

/// What is under way from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// In words.
    detail: String,
}

impl Accepted {
    /// In these words.
    pub(super) fn new(detail: String) -> Self {
        Self { detail }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}
