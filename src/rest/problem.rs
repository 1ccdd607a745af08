//! What a caller is told when something cannot be done: the one table from an error of the domain to
//! an HTTP status; it may not know which method failed.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{LINK, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{
        RefOr, Response as Described, ResponseBuilder, content::ContentBuilder, schema::Ref,
    },
};

use crate::domain::{
    error::{Blocker, Concern, Error, ErrorKind},
    fault::FaultKind,
};

/// Seconds after which to come back when nobody said better.
const RETRY_SECONDS: u32 = 2;

/// Why something was not done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refusal {
    /// What was wrong, for people.
    detail: String,
    /// What to do next, for people; missing where nothing sensible can be said.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    guidance: String,
    /// A stable name of it, for programs.
    reason: String,
    /// The field or the parameter that it is about; missing where it is about none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    field: Option<String>,
}

/// Why a request was bad: what is wrong with each of its fields, or with the whole of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BadRequest {
    /// The whole of it.
    Whole(Refusal),
    /// By the name of the field.
    Fields(BTreeMap<String, Vec<String>>),
}

/// An answer that is a refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: BadRequest,
    retry: Option<u32>,
    link: Option<String>,
}

impl Problem {
    /// One that no error of the domain stands for.
    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        detail: impl Into<String>,
        guidance: impl Into<String>,
    ) -> Self {
        let refusal = Refusal {
            detail: detail.into(),
            guidance: guidance.into(),
            reason: reason.to_owned(),
            field: None,
        };
        Self {
            status,
            body: BadRequest::Whole(refusal),
            retry: None,
            link: None,
        }
    }

    /// Nothing is at this address.
    pub(super) fn nowhere() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "there is nothing at this address",
            "see /api/openapi.json; every address of a resource ends with a slash",
        )
    }

    /// The same problem with a link to where to go instead.
    pub(super) fn instead(mut self, address: &str) -> Self {
        self.link = Some(format!("<{address}>; rel=\"successor-version\""));
        self
    }

    /// What a creation or an update is told about the thing that its `field` names: that it is not
    /// there, or not in a state for it, is a bad field and not a missing address or a conflict.
    pub(super) fn about(error: Error, field: &'static str, names: Names) -> Self {
        if error.is_about_the_resource() {
            let field = error.field.clone().unwrap_or_else(|| field.to_owned());
            let problem = if error.guidance.is_empty() {
                error.message
            } else {
                format!("{}; {}", error.message, error.guidance)
            };
            return Self::of(Error::field(field, problem), names);
        }
        Self::of(error, names)
    }

    /// An error, with its fields as this door calls them.
    pub(super) fn of(error: Error, names: Names) -> Self {
        let status = status(&error);
        let retry = retry_after(&error, status);
        let reason = error.reason().to_owned();
        let body = match error.kind {
            ErrorKind::Blocked(blockers) if blockers.iter().all(Blocker::is_of_a_field) => {
                let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for one in blockers {
                    if let Concern::Field(field) = &one.concern {
                        let problems = fields.entry(called(field, names)).or_default();
                        problems.push(one.message);
                    }
                }
                BadRequest::Fields(fields)
            }
            ErrorKind::Invalid(bad) => {
                let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for one in bad {
                    let problems = fields.entry(called(&one.field, names)).or_default();
                    problems.push(one.problem);
                }
                BadRequest::Fields(fields)
            }
            ErrorKind::NotFound { .. }
            | ErrorKind::RequestReused
            | ErrorKind::Outdated
            | ErrorKind::Precondition { .. }
            | ErrorKind::Short(_)
            | ErrorKind::Blocked(_)
            | ErrorKind::Unreached
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::Cloud(_)
            | ErrorKind::Unavailable
            | ErrorKind::Internal => BadRequest::Whole(Refusal {
                detail: error.message,
                guidance: error.guidance,
                reason,
                field: error.field.map(|field| called(&field, names)),
            }),
        };
        Self {
            status,
            body,
            retry,
            link: None,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::of(error, &[])
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(link) = self.link.and_then(|link| HeaderValue::try_from(link).ok()) {
            headers.insert(LINK, link);
        }
        response
    }
}

/// The answer to a request that did not come as far as an address.
pub fn refused(status: StatusCode, reason: &'static str, error: &Error) -> Response {
    let mut problem = Problem::new(
        status,
        reason,
        error.message.clone(),
        error.guidance.clone(),
    );
    problem.retry = error.is_retryable().then_some(RETRY_SECONDS);
    problem.into_response()
}

/// What fields are called elsewhere, and at this door.
pub(super) type Names = &'static [(&'static str, &'static str)];

fn called(field: &str, names: Names) -> String {
    let mut pairs = names.iter();
    let name = pairs.find(|(elsewhere, _)| *elsewhere == field);
    match name {
        Some((_, here)) => (*here).to_owned(),
        None if field == "request_id" => "Idempotency-Key".to_owned(),
        // A part of a field is told by its own name alone.
        None => field.rsplit('.').next().unwrap_or(field).to_owned(),
    }
}

/// The HTTP status of an error.
pub fn status(error: &Error) -> StatusCode {
    match &error.kind {
        // A quota that is short was a validation error in the original.
        ErrorKind::Invalid(_) | ErrorKind::Short(_) => StatusCode::BAD_REQUEST,
        ErrorKind::Blocked(blockers) => match Concern::of(blockers) {
            Concern::Field(_) | Concern::Short(_) => StatusCode::BAD_REQUEST,
            Concern::State => StatusCode::CONFLICT,
        },
        ErrorKind::NotFound { .. } => StatusCode::NOT_FOUND,
        ErrorKind::RequestReused | ErrorKind::Outdated | ErrorKind::Precondition { .. } => {
            StatusCode::CONFLICT
        }
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Unreached | ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Cloud(fault) => fault_status(fault.kind),
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The HTTP status of a fault of a cloud.
fn fault_status(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::Unreachable
        | FaultKind::Unanswered
        | FaultKind::Throttled
        | FaultKind::ServiceDown
        | FaultKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        // Not 401: it is our credential that was refused, not the caller's.
        FaultKind::Unauthenticated | FaultKind::Forbidden => StatusCode::FORBIDDEN,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Invalid | FaultKind::Quota => StatusCode::BAD_REQUEST,
        FaultKind::Conflict | FaultKind::Held | FaultKind::Unfit | FaultKind::Unconfigured => {
            StatusCode::CONFLICT
        }
        FaultKind::Broken | FaultKind::NoHost => StatusCode::BAD_GATEWAY,
    }
}

fn retry_after(error: &Error, status: StatusCode) -> Option<u32> {
    let asked = match &error.kind {
        ErrorKind::Cloud(fault) => fault.retry_after,
        ErrorKind::Invalid(_)
        | ErrorKind::NotFound { .. }
        | ErrorKind::RequestReused
        | ErrorKind::Outdated
        | ErrorKind::Precondition { .. }
        | ErrorKind::Short(_)
        | ErrorKind::Blocked(_)
        | ErrorKind::Unreached
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::Unavailable
        | ErrorKind::Internal => None,
    };
    (status == StatusCode::SERVICE_UNAVAILABLE).then(|| asked.unwrap_or(RETRY_SECONDS))
}

/// What any address may be told instead of its answer.
pub(super) struct Refusals;

/// What an address that takes a request may be told beside those.
pub(super) struct ChangeRefusals;

const ALWAYS: [(&str, &str); 6] = [
    ("400", "The request is bad; each bad field is named."),
    (
        "403",
        "A browser sent it, or our credential in a cloud was refused.",
    ),
    ("404", "There is no such resource."),
    ("500", "A defect of the service."),
    (
        "502",
        "A cloud answered something that cannot be understood.",
    ),
    (
        "503",
        "The database or a cloud does not answer; try again later.",
    ),
];

const CHANGES: [(&str, &str); 3] = [
    ("409", "The state of the resource does not allow it."),
    ("413", "The request is too long."),
    ("415", "The request is not JSON."),
];

fn described<'a>(
    all: impl Iterator<Item = &'a (&'a str, &'a str)>,
) -> BTreeMap<String, RefOr<Described>> {
    all.map(|(status, description)| {
        let schema = if *status == "400" {
            "BadRequest"
        } else {
            "Refusal"
        };
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(schema)))
            .build();
        let response = ResponseBuilder::new()
            .description(*description)
            .content("application/json", content)
            .build();
        ((*status).to_owned(), response.into())
    })
    .collect()
}

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        described(ALWAYS.iter())
    }
}

impl IntoResponses for ChangeRefusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        described(ALWAYS.iter().chain(&CHANGES))
    }
}
