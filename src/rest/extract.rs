//! Reads the parts of a request; it may not know what they are for.

use std::str::FromStr;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, Uri, header::CONTENT_TYPE, request::Parts},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};
use url::form_urlencoded;
use utoipa::{
    IntoParams, PartialSchema,
    openapi::{
        RefOr, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Schema, Type},
    },
};
use uuid::Uuid;

use super::problem::Problem;
use crate::{
    domain::{
        error::Error,
        id::{CloudName, ProjectId, Tenant},
        time::Timestamp,
    },
    service::fields::{Fields, brief},
};

/// A request as JSON.
pub(super) struct Body<T>(pub(super) T);

/// What may be asked for by JSON.
pub(super) trait Wanted: DeserializeOwned {
    /// What is answered. Its fields are taken and passed over, so that a resource can be sent back as
    /// it was read with one field changed, as clients of the original do.
    type Told: PartialSchema;
}

impl<S: Send + Sync, T: Wanted> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                "the request has to be JSON",
                "send it with `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|refused| {
            let reason = "UNREADABLE";
            let status = refused.status();
            Problem::new(status, reason, refused.body_text(), "send less at once")
        })?;
        let unreadable = |problem: String| {
            let status = StatusCode::BAD_REQUEST;
            Problem::new(status, "NO_JSON", problem, "send one JSON object")
        };
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| unreadable(format!("the request is no JSON: {error}")))?;
        let Value::Object(mut fields) = value else {
            return Err(unreadable("the request is no JSON object".to_owned()));
        };
        let known = |fields: Map<String, Value>| read::<T>(Value::Object(fields));
        match known(fields.clone()) {
            Err(Unread::Unknown(_)) => {
                let (told, strange) = (names::<T::Told>(), unknown::<T>(&fields));
                fields.retain(|name, _| !(strange.contains(name) && told.contains(name)));
                Ok(Self(known(fields)?))
            }
            other => Ok(Self(other?)),
        }
    }
}

/// The names of all fields of a schema.
fn names<T: PartialSchema>() -> Vec<String> {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
        RefOr::T(_) | RefOr::Ref(_) => Vec::new(),
    }
}

/// Those of the fields that `T` does not know.
fn unknown<T: DeserializeOwned>(fields: &Map<String, Value>) -> Vec<String> {
    let is_unknown = |name: &&String| {
        let alone = Map::from_iter([((*name).clone(), Value::Null)]);
        matches!(read::<T>(Value::Object(alone)), Err(Unread::Unknown(_)))
    };
    fields.keys().filter(is_unknown).cloned().collect()
}

/// Why a value cannot be read.
enum Unread {
    /// It has a field that is not known.
    Unknown(String),
    /// A field has something else than it should.
    Bad(String, String),
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        Self::from(Error::from(unread))
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Unknown(name) => Self::field(brief(&name), "is not known here"),
            Unread::Bad(name, problem) => Self::field(brief(&name), problem),
        }
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Unread> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner().to_string();
        // Serde tells the name of a field that nobody knows in its text alone.
        if let Some(rest) = problem.strip_prefix("unknown field `") {
            let name = rest.split_once("`, ").map_or(rest, |(name, _)| name);
            return Unread::Unknown(name.to_owned());
        }
        Unread::Bad(path, format!("is not what it should be: {problem}"))
    })
}

/// What stands behind the `?` of an address.
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(read(Value::Object(parameters(parts)))?))
    }
}

/// The parameters in an address, each with all that it is given as.
fn parameters(parts: &Parts) -> Map<String, Value> {
    let query = parts.uri.query().unwrap_or_default();
    let mut fields: Map<String, Value> = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let given = fields
            .entry(name.into_owned())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(given) = given {
            given.push(Value::String(value.into_owned()));
        }
    }
    fields
}

/// Which page of a list is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Which page, counted from 1.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<u64>, minimum = 1)]
    pub(super) page: Option<String>,
    /// Rows of a page; more than `rest.page_max` are not answered.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<u64>, minimum = 1)]
    pub(super) page_size: Option<String>,
    /// By what the list is ordered, the largest first behind a `-`; the newest first without it.
    #[serde(default, deserialize_with = "once")]
    #[param(pattern = "^-?(created|modified|name)$")]
    pub(super) o: Option<String>,
}

/// What is asked of a list.
pub(super) struct Asked<T> {
    /// What narrows it.
    pub(super) filter: T,
    /// Which page.
    pub(super) paging: Paging,
    /// The address, to which the links to other pages lead.
    pub(super) uri: Uri,
}

impl<T> Asked<T> {
    /// The same with its filter by other names.
    pub(super) fn named<U: From<T>>(self) -> Asked<U> {
        Asked {
            filter: self.filter.into(),
            paging: self.paging,
            uri: self.uri,
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut filter = parameters(parts);
        // Taken out by name, because what narrows a list refuses what it does not know.
        let paging = ["page", "page_size", "o"]
            .into_iter()
            .filter_map(|name| filter.remove_entry(name));
        let paging = Value::Object(paging.collect());
        Ok(Self {
            paging: read(paging)?,
            filter: read(Value::Object(filter))?,
            uri: parts.uri.clone(),
        })
    }
}

/// Reads a parameter that may be there once.
pub(super) fn once<'de, D: Deserializer<'de>>(given: D) -> Result<Option<String>, D::Error> {
    let mut given = Vec::<String>::deserialize(given)?;
    match given.len() {
        0 | 1 => Ok(given.pop()),
        times => Err(serde::de::Error::custom(format!(
            "it is there {times} times"
        ))),
    }
}

/// Reads a field of which it matters whether it is null or missing.
#[expect(clippy::option_option, reason = "null and missing are two things")]
pub(super) fn nullable<'de, D: Deserializer<'de>>(
    given: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(given).map(Some)
}

/// The id in an address; an address with anything else in its place leads nowhere.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path(given)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Problem::nowhere());
        };
        let id = Uuid::from_str(&given);
        id.map(Self).map_err(|_| Problem::nowhere())
    }
}

/// Whether a deletion may do without a cloud.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MissingCloud {
    /// True forgets what lies in a cloud that does not answer, instead of waiting for it.
    #[serde(default)]
    pub(super) allow_missing_cloud: bool,
}

/// The word that makes a repeat safe; empty where none is given.
pub(super) struct Key(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(given) = parts.headers.get("idempotency-key") else {
            return Ok(Self(String::new()));
        };
        let text = given.to_str();
        let text = text.unwrap_or_default();
        if text.is_empty() || !text.bytes().all(|one| one.is_ascii_graphic()) {
            let problem = "is empty, or has blanks or more than plain letters";
            return Err(Error::field("request_id", problem).into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl IntoParams for Key {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .pattern(Some("^[!-~]+$"));
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Makes a repeat harmless: the same request with the same word is the same request.",
            ))
            .schema(Some(text));
        vec![parameter.build()]
    }
}

/// The id in a field that refers to a resource, given as such or as the address that is told of it.
pub(super) fn reference(fields: &mut Fields<'_>, field: &str, given: &str, path: &str) -> Uuid {
    let trimmed = given.trim_end_matches('/');
    let id = match trimmed.rsplit_once('/') {
        Some((before, id)) if before.ends_with(path.trim_end_matches('/')) => id,
        Some(_) | None => given,
    };
    fields.id(field, id)
}

/// A moment, where one is given.
pub(super) fn moment(
    fields: &mut Fields<'_>,
    field: &str,
    given: Option<&str>,
) -> Option<Timestamp> {
    let read = given.map(|text| {
        Timestamp::parse(text)
            .filter(|time| time.is_tellable())
            .ok_or("is not a time as of RFC 3339 of the years 1 to 9999")
    });
    fields.take(field, read.transpose())
}

/// A tenant of a cloud.
pub(super) fn tenant(fields: &mut Fields<'_>, cloud: String, project: String) -> Tenant {
    Tenant {
        cloud: CloudName::new(fields.required("cloud", cloud)),
        project: ProjectId::new(fields.required("tenant", project)),
    }
}
