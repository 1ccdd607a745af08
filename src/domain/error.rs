//! What a caller is told when something cannot be done; it may not know gRPC or HTTP.

use serde::{Deserialize, Serialize};

use super::fault::{Fault, Service};

/// A bad field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadField {
    /// The field as the API spells it, dots between levels (`network_mappings[0].source_network`).
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A quota, or a limit of ours, that is short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// What is short, with the unit (`cores`, `RAM (MiB)`, `volumes`).
    pub subject: String,
    /// What is needed.
    pub needed: u64,
    /// What there is.
    pub available: u64,
}

/// Why a request cannot be done. Each kind has one gRPC code and one HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// Fields of the request are bad; all of them at once.
    Invalid(Vec<BadField>),
    /// A resource is not there: its noun and its id.
    NotFound {
        /// The noun.
        noun: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// The same `request_id` was used with other content.
    RequestReused,
    /// The etag is not the current one.
    Outdated,
    /// The resource is in a state that does not allow it.
    Precondition {
        /// A stable name of the precondition.
        reason: &'static str,
    },
    /// Something is short.
    Short(Vec<Shortage>),
    /// The caller may not.
    Forbidden,
    /// A cloud did not do what was asked.
    Cloud(Box<Fault>),
    /// Our own store does not answer; trying again later can help.
    Unavailable,
    /// A defect of ours.
    Internal,
}

/// An error for a caller: what we were doing and what was wrong, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind, by which programs branch.
    pub kind: ErrorKind,
    /// What we were doing and what was wrong.
    pub message: String,
    /// What to do next; empty where nothing sensible can be said.
    pub guidance: String,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            guidance: String::new(),
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn advise(mut self, guidance: impl Into<String>) -> Self {
        self.guidance = guidance.into();
        self
    }

    /// One bad field.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::fields(vec![BadField {
            field: field.into(),
            problem: problem.into(),
        }])
    }

    /// Bad fields, all that were found.
    pub fn fields(fields: Vec<BadField>) -> Self {
        let list: Vec<String> = fields
            .iter()
            .map(|bad| format!("{}: {}", bad.field, bad.problem))
            .collect();
        Self::new(
            ErrorKind::Invalid(fields),
            format!("bad request: {}", list.join("; ")),
        )
        .advise("correct the named fields and ask again")
    }

    /// A resource that is not there.
    pub fn not_found(noun: &'static str, id: impl std::fmt::Display) -> Self {
        let id = id.to_string();
        Self::new(
            ErrorKind::NotFound {
                noun,
                id: id.clone(),
            },
            format!("there is no {noun} {id}"),
        )
        .advise("list what is there")
    }

    /// Whether it is the resource that does not allow it as it is now, and not the world around it.
    pub fn is_about_the_resource(&self) -> bool {
        match self.kind {
            ErrorKind::Precondition { .. } | ErrorKind::NotFound { .. } | ErrorKind::Outdated => {
                true
            }
            ErrorKind::Invalid(_)
            | ErrorKind::RequestReused
            | ErrorKind::Short(_)
            | ErrorKind::Forbidden
            | ErrorKind::Cloud(_)
            | ErrorKind::Unavailable
            | ErrorKind::Internal => false,
        }
    }

    /// A state that does not allow it.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Precondition { reason }, message)
    }

    /// Whether the same request, unchanged, can succeed another time.
    pub fn is_retryable(&self) -> bool {
        match &self.kind {
            ErrorKind::Cloud(fault) => fault.kind.is_retryable(),
            ErrorKind::Invalid(_)
            | ErrorKind::NotFound { .. }
            | ErrorKind::RequestReused
            | ErrorKind::Outdated
            | ErrorKind::Precondition { .. }
            | ErrorKind::Short(_)
            | ErrorKind::Forbidden
            | ErrorKind::Unavailable
            | ErrorKind::Internal => RETRYABLE.contains(&self.reason()),
        }
    }

    /// The stable reason by which a client may branch (upper snake case).
    pub fn reason(&self) -> &'static str {
        match &self.kind {
            ErrorKind::Invalid(_) => "INVALID_FIELDS",
            ErrorKind::NotFound { .. } => "NOT_FOUND",
            ErrorKind::RequestReused => "REQUEST_ID_REUSED",
            ErrorKind::Outdated => "ETAG_OUTDATED",
            ErrorKind::Precondition { reason } => reason,
            ErrorKind::Short(_) => "QUOTA_SHORT",
            ErrorKind::Forbidden => "FORBIDDEN",
            ErrorKind::Cloud(fault) => fault.kind.reason(),
            ErrorKind::Unavailable => "STORE_UNAVAILABLE",
            ErrorKind::Internal => "INTERNAL",
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self {
            message: fault.to_string(),
            guidance: fault.guidance().to_owned(),
            kind: ErrorKind::Cloud(Box::new(fault)),
        }
    }
}

/// The reason of what a newer version of this service may have written and this one cannot read.
pub const UNREADABLE: &str = "UNREADABLE_HERE";

/// What people read of it.
pub const UNREADABLE_TEXT: &str = "cannot be read by this version";

/// What to do about it.
pub const UNREADABLE_GUIDANCE: &str =
    "ask a replica of the version that wrote it, or bring this one up to that version";

/// The reasons, of those that no fault of a cloud stands behind, which the same request need not meet
/// again.
const RETRYABLE: [&str; 6] = [
    "CANCELLED",
    "CONSISTENCY_NOT_REACHED",
    "DEADLINE_EXCEEDED",
    "INSTANCE_CHANGED",
    "QUOTA_SHORT",
    "STORE_UNAVAILABLE",
];

/// Why an operation ended in `ERRED`; kept on its resource, told by streams and reads alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationError {
    /// A stable name by which programs branch (`CANCELLED`, `FLAVOR_TOO_SMALL`, `QUOTA_EXCEEDED` …).
    pub reason: String,
    /// What we were doing and what was wrong.
    pub message: String,
    /// What to do next.
    pub guidance: String,
    /// Which of OpenStack's services failed, where one did.
    pub service: Option<Service>,
    /// Its HTTP status.
    pub status: Option<u16>,
    /// Its own code.
    pub code: Option<String>,
    /// Its request id.
    pub request_id: Option<String>,
    /// Whether the same request, unchanged, can succeed another time.
    #[serde(default)]
    pub retryable: bool,
}

impl OperationError {
    /// An error that no OpenStack service caused.
    pub fn new(reason: &str, message: impl Into<String>, guidance: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
            guidance: guidance.into(),
            service: None,
            status: None,
            code: None,
            request_id: None,
            retryable: RETRYABLE.contains(&reason),
        }
    }
}

impl OperationError {
    /// What a resource says of which this version cannot read everything that is stored.
    pub fn unreadable(problem: impl std::fmt::Display) -> Self {
        Self::new(
            UNREADABLE,
            format!("{UNREADABLE_TEXT}: {problem}"),
            UNREADABLE_GUIDANCE,
        )
    }

    /// Whether it is that.
    pub fn is_unreadable(&self) -> bool {
        self.reason == UNREADABLE
    }
}

impl From<&Error> for OperationError {
    fn from(error: &Error) -> Self {
        let new = Self::new(error.reason(), error.message.clone(), &error.guidance);
        if let ErrorKind::Cloud(fault) = &error.kind {
            return Self {
                message: new.message,
                guidance: new.guidance,
                ..Self::from(fault.as_ref())
            };
        }
        new
    }
}

impl From<&Fault> for OperationError {
    fn from(fault: &Fault) -> Self {
        Self {
            reason: fault.kind.reason().to_owned(),
            message: fault.to_string(),
            guidance: fault.guidance().to_owned(),
            service: Some(fault.service),
            status: fault.status,
            code: fault.code.clone(),
            request_id: fault.request_id.clone(),
            retryable: fault.kind.is_retryable(),
        }
    }
}
