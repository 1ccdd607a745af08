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

/// What something that is in the way is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// A field of the request, as the API spells it: another value would do.
    Field(String),
    /// A quota or a limit.
    Short(Shortage),
    /// What is there, or is not.
    State,
}

/// One thing that is in the way of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// A stable name by which programs branch (`FLAVOR_TOO_SMALL`, `QUOTA_SHORT` …).
    pub reason: String,
    /// What was wrong.
    pub message: String,
    /// What to do next.
    pub guidance: String,
    /// What it is about.
    pub concern: Concern,
}

impl Concern {
    /// What the whole of a refusal is about: the request, where another one would do; else the state of
    /// things; and a shortage only where nothing else is in the way.
    pub fn of(blockers: &[Blocker]) -> &Self {
        let mut concerns = blockers.iter().map(|one| &one.concern);
        let field = concerns.clone().find(|one| matches!(one, Self::Field(_)));
        let state = || concerns.clone().find(|one| matches!(one, Self::State));
        let found = field.or_else(state);
        found.or_else(|| concerns.next()).unwrap_or(&Self::State)
    }
}

impl Blocker {
    /// Whether another value in the request would do.
    pub fn is_of_a_field(&self) -> bool {
        matches!(self.concern, Concern::Field(_))
    }
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
    /// What the clouds have is in the way, all of it at once; never empty.
    Blocked(Vec<Blocker>),
    /// No credential of ours reaches the place that was named.
    Unreached,
    /// Nobody knows who the caller is.
    Unauthenticated,
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
    /// The field of the request that it is about, where it is about one; bad fields name theirs
    /// themselves.
    pub field: Option<String>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            guidance: String::new(),
            field: None,
        }
    }

    /// The same error, about this field of the request; nothing where no field says it.
    #[must_use]
    pub fn about(mut self, field: Option<String>) -> Self {
        self.field = field;
        self
    }

    /// The same error, where all fields that it names are parts of this one.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        if let ErrorKind::Invalid(bad) = &mut self.kind {
            for one in bad {
                one.problem = format!("{}: {}", one.field, one.problem);
                field.clone_into(&mut one.field);
            }
        }
        self.field = self.field.map(|_| field.to_owned());
        self
    }

    /// The same error, with the fields that it names as `called` calls them, also where its message begins
    /// with one.
    #[must_use]
    pub fn with_fields(mut self, called: impl Fn(&str) -> String) -> Self {
        if let ErrorKind::Invalid(bad) = self.kind {
            let bad = bad.into_iter().map(|one| BadField {
                field: called(&one.field),
                ..one
            });
            let (guidance, field) = (self.guidance, self.field);
            return Self {
                guidance,
                ..Self::fields(bad.collect())
            }
            .about(field.as_deref().map(called));
        }
        if let ErrorKind::Blocked(blockers) = &mut self.kind {
            for one in blockers {
                if let Concern::Field(field) = &mut one.concern {
                    *field = called(field);
                }
            }
        }
        if let Some(field) = &mut self.field {
            let name = called(field);
            let rest = self.message.strip_prefix(field.as_str());
            if let Some(rest) = rest.filter(|rest| rest.starts_with(':')) {
                self.message = format!("{name}{rest}");
            }
            *field = name;
        }
        self
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

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound { .. })
    }

    /// A caller whom nobody knows.
    pub fn unknown_caller() -> Self {
        Self::new(ErrorKind::Unauthenticated, "it is not known who asks").advise(
            "send a token as `authorization: Bearer ...` or `x-auth-token`, or come with a certificate",
        )
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
            | ErrorKind::Blocked(_)
            | ErrorKind::Unreached
            | ErrorKind::Unauthenticated
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
            | ErrorKind::Blocked(_)
            | ErrorKind::Unreached
            | ErrorKind::Unauthenticated
            | ErrorKind::Forbidden
            | ErrorKind::Unavailable
            | ErrorKind::Internal => RETRYABLE.contains(&self.reason()),
        }
    }

    /// The stable reason by which a client may branch (upper snake case).
    pub fn reason(&self) -> &str {
        match &self.kind {
            ErrorKind::Invalid(_) => "INVALID_FIELDS",
            ErrorKind::NotFound { .. } => "NOT_FOUND",
            ErrorKind::RequestReused => "REQUEST_ID_REUSED",
            ErrorKind::Outdated => "ETAG_OUTDATED",
            ErrorKind::Precondition { reason } => reason,
            ErrorKind::Short(_) => "QUOTA_SHORT",
            ErrorKind::Blocked(blockers) => blockers
                .first()
                .map_or("INTERNAL", |first| first.reason.as_str()),
            ErrorKind::Unreached => "TENANT_NOT_REACHED",
            ErrorKind::Unauthenticated => "UNAUTHENTICATED",
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
            field: None,
            kind: ErrorKind::Cloud(Box::new(fault)),
        }
    }
}

/// The reason of what a newer version of this service may have written and this one cannot read.
pub const UNREADABLE: &str = "UNREADABLE_HERE";

/// What people read of it.
pub const UNREADABLE_TEXT: &str = "cannot be read by this version";

/// What to do about it.
pub const UNREADABLE_GUIDANCE: &str = "ask a replica of the version that wrote it, or bring this one up to that version; where it was sealed, \
     name its key in seal.keys";

/// The reasons, of those that no fault of a cloud stands behind, which the same request need not meet
/// again.
const RETRYABLE: [&str; 9] = [
    "CANCELLED",
    "CONSISTENCY_NOT_REACHED",
    "DEADLINE_EXCEEDED",
    "EXPORT_FORBIDDEN",
    "IMPORT_FORBIDDEN",
    "INSTANCE_CHANGED",
    "QUOTA_SHORT",
    "STORE_UNAVAILABLE",
    "TENANT_NOT_REACHED",
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
    /// All that is in the way, where more than this sentence is known of it.
    #[serde(default)]
    pub blockers: Vec<Blocker>,
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
            blockers: Vec::new(),
        }
    }

    /// An error of all that is in the way; nothing where nothing is.
    pub fn blocked(blockers: Vec<Blocker>) -> Option<Self> {
        let first = blockers.first()?;
        let texts: Vec<&str> = blockers.iter().map(|one| one.message.as_str()).collect();
        let error = Self::new(&first.reason, texts.join("; "), first.guidance.clone());
        Some(Self { blockers, ..error })
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

    /// Whether a caller wanted it so.
    pub fn is_cancelled(&self) -> bool {
        self.reason == "CANCELLED"
    }

    /// Whether it is that.
    pub fn is_unreadable(&self) -> bool {
        self.reason == UNREADABLE
    }

    /// Refuses to go by what could not be read: an empty calendar, say, that stands in for another.
    pub fn check_readable(told: Option<&Self>) -> Result<(), Error> {
        match told.filter(|told| told.is_unreadable()) {
            None => Ok(()),
            Some(told) => {
                Err(Error::precondition(UNREADABLE, told.message.clone()).advise(&told.guidance))
            }
        }
    }
}

impl From<&Error> for OperationError {
    fn from(error: &Error) -> Self {
        let mut told = Self::new(error.reason(), error.message.clone(), &error.guidance);
        if let ErrorKind::Cloud(fault) = &error.kind {
            return Self {
                message: told.message,
                guidance: told.guidance,
                ..Self::from(fault.as_ref())
            };
        }
        if let ErrorKind::Blocked(blockers) = &error.kind {
            told.blockers.clone_from(blockers);
        }
        told
    }
}

/// What a planner saw before anything was begun, for the one who asks whether it may be.
impl From<OperationError> for Error {
    fn from(error: OperationError) -> Self {
        let blockers = if error.blockers.is_empty() {
            vec![Blocker {
                reason: error.reason,
                message: error.message.clone(),
                guidance: error.guidance.clone(),
                concern: Concern::State,
            }]
        } else {
            error.blockers
        };
        Self::new(ErrorKind::Blocked(blockers), error.message).advise(error.guidance)
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
            code: fault.code.clone().map(String::from),
            request_id: fault.request_id.clone().map(String::from),
            retryable: fault.kind.is_retryable(),
            blockers: Vec::new(),
        }
    }
}
