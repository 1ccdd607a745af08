//! What can go wrong for the one who runs a command, how it reads, and the exit code of each;
//! it may not know what was being done beyond its name.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::json;
use crate::api::pb;

/// Why a command did not do what it should.
#[derive(Debug)]
pub enum Failure {
    /// The service said no.
    Refused {
        /// What it said.
        status: Box<Status>,
        /// What else is worth knowing, such as how to repeat it safely.
        remark: Option<String>,
    },
    /// The service could not be reached, or did not answer in time.
    Unreachable {
        /// What was tried, and what came of it.
        message: String,
        /// What to do about it.
        guidance: String,
    },
    /// The work was done, and it failed.
    Erred {
        /// What it was about.
        subject: String,
        /// Why, as the resource keeps it.
        error: Box<pb::OperationError>,
    },
    /// The service is not well, as a probe was to find out; the answer says why.
    Unwell,
    /// The command itself makes no sense.
    Usage(String),
    /// There is nothing of that name.
    NotFound(String),
    /// A precondition that the client itself checks.
    Conflict(String),
    /// Something on this side broke.
    Local(String),
    /// A person pressed Ctrl-C; the work goes on without us.
    Interrupted(String),
    /// Whoever read our answer has gone.
    ReaderGone,
}

/// The exit codes, which never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The work was done, and it failed.
    Erred,
    /// The command or the request makes no sense.
    Usage,
    /// There is no such thing.
    NotFound,
    /// The state of things does not allow it.
    Conflict,
    /// The service or a cloud cannot be reached.
    Unavailable,
    /// Not allowed.
    Forbidden,
    /// A quota or limit is used up.
    Exhausted,
    /// A defect, on either side.
    Internal,
    /// A person pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    /// All of them, for the manual.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Erred,
        Self::Usage,
        Self::NotFound,
        Self::Conflict,
        Self::Unavailable,
        Self::Forbidden,
        Self::Exhausted,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Erred => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Unavailable => 5,
            Self::Forbidden => 6,
            Self::Exhausted => 7,
            Self::Internal => 8,
            Self::Interrupted => 130,
        }
    }

    /// What it means, for the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Erred => {
                "the work was carried out and ended in ERRED, or `health` found the service not well, or `audit verify` a chain that does not hold"
            }
            Self::Usage => "the command or the request makes no sense, or a name is ambiguous",
            Self::NotFound => "there is no such thing",
            Self::Conflict => "the state of things does not allow it",
            Self::Unavailable => {
                "the service or a cloud cannot be reached, or did not answer in time"
            }
            Self::Forbidden => "not allowed",
            Self::Exhausted => "a quota or limit is used up",
            Self::Internal => "a defect, of the client or the service",
            Self::Interrupted => "interrupted; work that was started goes on",
        }
    }

    /// The list of all, as `--help` shows it.
    pub fn manual() -> String {
        let mut text = "Exit codes:\n".to_owned();
        for exit in Self::ALL {
            // Writing to a string cannot fail.
            let _written = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused {
            status: Box::new(status),
            remark: None,
        }
    }
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { status, .. } => exit_of(status.code()),
            Self::Unreachable { .. } => Exit::Unavailable,
            Self::Erred { .. } | Self::Unwell => Exit::Erred,
            Self::Usage(_) => Exit::Usage,
            Self::NotFound(_) => Exit::NotFound,
            Self::Conflict(_) => Exit::Conflict,
            Self::Local(_) => Exit::Internal,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::ReaderGone => Exit::Done,
        }
    }

    /// What a person reads; nothing when there is nothing to say.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Refused { status, remark } => Some(refusal(status, remark.as_deref())),
            Self::Unreachable { message, guidance } => {
                Some(format!("error: {message}\n  what to do: {guidance}"))
            }
            Self::Erred { subject, error } => Some(operation_error(subject, error)),
            Self::Usage(message)
            | Self::NotFound(message)
            | Self::Conflict(message)
            | Self::Local(message) => Some(format!("error: {message}")),
            Self::Interrupted(message) => Some(message.clone()).filter(|text| !text.is_empty()),
            Self::Unwell | Self::ReaderGone => None,
        }
    }
}

/// A failure as a program reads it.
#[derive(Debug, Default, Serialize)]
struct Document<'f> {
    /// What went wrong, in a sentence.
    error: String,
    /// The stable word for it, as on `docs/errors.md`; `UNREACHABLE` where no service answered.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'f str,
    /// The status of gRPC, where the service answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    status: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "str::is_empty")]
    guidance: &'f str,
    /// The fields or preconditions that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation<'f>>,
    /// What else the service knows, such as the fault of a cloud.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<&'f str, &'f str>,
    /// The id that the request had in OpenStack.
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'f str,
    /// Seconds after which it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f32>,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'f str,
    /// The exit code of the command.
    exit: u8,
}

/// One thing that a refusal is about.
#[derive(Debug, Serialize)]
struct Violation<'f> {
    field: &'f str,
    description: &'f str,
}

impl Failure {
    /// What a program reads, in one line of JSON; nothing when there is nothing to say.
    pub fn document(&self) -> Option<String> {
        let error = |message: &str| Document {
            error: message.to_owned(),
            exit: self.exit().code(),
            ..Document::default()
        };
        let line = |document: Document<'_>| json::line(&document).ok();
        let text = match self {
            Self::Refused { status, remark } => {
                let details = status.get_error_details();
                line(refused(
                    status,
                    &details,
                    error(status.message()),
                    remark.as_deref(),
                ))
            }
            Self::Unreachable { message, guidance } => line(Document {
                reason: "UNREACHABLE",
                guidance,
                ..error(message)
            }),
            Self::Erred {
                subject,
                error: why,
            } => line(Document {
                reason: &why.reason,
                guidance: &why.guidance,
                request_id: &why.request_id,
                ..error(&format!("{subject} failed: {}", why.message))
            }),
            Self::Usage(message)
            | Self::NotFound(message)
            | Self::Conflict(message)
            | Self::Local(message) => line(error(message)),
            Self::Interrupted(message) => Some(message)
                .filter(|text| !text.is_empty())
                .and_then(|text| line(error(text))),
            Self::Unwell | Self::ReaderGone => None,
        };
        text.map(|text| text.trim_end().to_owned())
    }
}

/// What a refusal is about: its fields, then preconditions, then quotas.
fn violations(details: &ErrorDetails) -> impl Iterator<Item = Violation<'_>> {
    let bad = details.bad_request().into_iter();
    let bad = bad.flat_map(|all| &all.field_violations);
    let bad = bad.map(|one| (&one.field, &one.description));
    let unmet = details.precondition_failure().into_iter();
    let unmet = unmet.flat_map(|all| &all.violations);
    let unmet = unmet.map(|one| (&one.subject, &one.description));
    let short = details.quota_failure().into_iter();
    let short = short.flat_map(|all| &all.violations);
    let short = short.map(|one| (&one.subject, &one.description));
    let all = bad.chain(unmet).chain(short);
    all.map(|(field, description)| Violation { field, description })
}

fn refused<'f>(
    status: &Status,
    details: &'f ErrorDetails,
    mut document: Document<'f>,
    remark: Option<&'f str>,
) -> Document<'f> {
    document.status = format!("{:?}", status.code());
    document.note = remark.unwrap_or_default();
    document.violations = violations(details).collect();
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    document.retry_after = delay.map(|delay| delay.as_secs_f32());
    if let Some(info) = details.error_info() {
        document.reason = &info.reason;
        for (key, value) in info
            .metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
        {
            match key {
                "guidance" => document.guidance = value,
                "request_id" => document.request_id = value,
                _ => {
                    document.details.insert(key, value);
                }
            }
        }
    }
    document
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Done,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Exit::Conflict,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Exit::Unavailable,
        Code::PermissionDenied | Code::Unauthenticated => Exit::Forbidden,
        Code::ResourceExhausted => Exit::Exhausted,
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented => Exit::Internal,
    }
}

/// A status with its details, one line each.
fn refusal(status: &Status, remark: Option<&str>) -> String {
    let details = status.get_error_details();
    let info = details.error_info();
    let fact = |key: &str| {
        info.and_then(|info| info.metadata.get(key))
            .map_or("", String::as_str)
    };
    let guidance = fact("guidance");
    // The text of a status holds the guidance too, for clients that show nothing else.
    let message = status
        .message()
        .strip_suffix(guidance)
        .and_then(|message| message.strip_suffix("; "))
        .unwrap_or(status.message());
    let message = if message.is_empty() {
        "the service gave no reason"
    } else {
        message
    };
    let mut lines = vec![format!("error: {message}")];
    let mut add = |label: &str, text: &str| {
        // The service often puts details into its message as well; once is enough.
        if !text.is_empty() && !message.contains(text) {
            lines.push(format!("  {label}: {text}"));
        }
    };
    for Violation { field, description } in violations(&details) {
        add(field, description);
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        add("try again after", &format!("{}s", delay.as_secs_f32()));
    }
    add("what to do", guidance);
    for (key, label) in [
        ("service", "OpenStack service"),
        ("status", "HTTP status"),
        ("code", "fault"),
        ("request_id", "OpenStack request"),
    ] {
        add(label, fact(key));
    }
    if let Some(remark) = remark {
        add("note", remark);
    }
    let reason = info.map_or("", |info| info.reason.as_str());
    lines.push(if reason.is_empty() {
        format!("  status: {:?}", status.code())
    } else {
        format!("  reason: {reason} ({:?})", status.code())
    });
    lines.join("\n")
}

/// Why a piece of work failed, one line for each thing to know.
fn operation_error(subject: &str, error: &pb::OperationError) -> String {
    let mut lines = vec![format!("error: {subject} failed: {}", error.message)];
    if !error.guidance.is_empty() {
        lines.push(format!("  what to do: {}", error.guidance));
    }
    if !error.service.is_empty() && !error.message.contains(&error.service) {
        lines.push(format!("  OpenStack service: {}", error.service));
    }
    if !error.request_id.is_empty() && !error.message.contains(&error.request_id) {
        lines.push(format!("  OpenStack request: {}", error.request_id));
    }
    lines.push(format!("  reason: {}", error.reason));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_distinct() {
        let mut codes = Exit::ALL.map(Exit::code);
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_refusal_tells_each_thing_once() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("name", "has 300 characters");
        details.add_bad_request_violation("cloud", "is required");
        details.set_error_info(
            "INVALID_FIELDS",
            "drbackup",
            [("guidance".to_owned(), "correct the named fields".to_owned())],
        );
        let status = Status::with_error_details(
            Code::InvalidArgument,
            "bad request: name: has 300 characters; correct the named fields",
            details,
        );
        let failure = Failure::from(status);
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.text().unwrap(),
            "error: bad request: name: has 300 characters\n  cloud: is required\n  \
             what to do: correct the named fields\n  reason: INVALID_FIELDS (InvalidArgument)"
        );
    }
}
