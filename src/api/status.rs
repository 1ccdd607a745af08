//! The one table from an error of the domain to a gRPC status with details; it may not know which
//! method failed.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::domain::{
    error::{Blocker, Concern, Error, ErrorKind},
    fault::{Fault, FaultKind},
};

/// Whose reasons `ErrorInfo` carries.
pub const DOMAIN: &str = "drbackup";

/// Seconds after which to come back when nobody said better.
const RETRY_SECONDS: u64 = 2;

/// Bytes of violations in one status. Clients refuse trailers above 8 KiB as a whole, and would then
/// see a broken connection in place of the refusal.
const DETAIL_BYTES: usize = 1_500;

/// Bytes of a status text, for the same reason: one outside ASCII travels as three.
const TEXT_BYTES: usize = 500;

/// The gRPC code of an error.
pub fn code(error: &Error) -> Code {
    match &error.kind {
        ErrorKind::Invalid(_) => Code::InvalidArgument,
        ErrorKind::NotFound { .. } => Code::NotFound,
        ErrorKind::RequestReused => Code::AlreadyExists,
        ErrorKind::Outdated => Code::Aborted,
        ErrorKind::Precondition { .. } => Code::FailedPrecondition,
        ErrorKind::Short(_) => Code::ResourceExhausted,
        ErrorKind::Blocked(blockers) => match Concern::of(blockers) {
            Concern::Field(_) => Code::InvalidArgument,
            Concern::Short(_) => Code::ResourceExhausted,
            Concern::State => Code::FailedPrecondition,
        },
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Unreached | ErrorKind::Forbidden => Code::PermissionDenied,
        ErrorKind::Cloud(fault) => fault_code(fault.kind),
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The gRPC code of a fault of a cloud.
fn fault_code(kind: FaultKind) -> Code {
    match kind {
        FaultKind::Unreachable
        | FaultKind::Unanswered
        | FaultKind::Throttled
        | FaultKind::ServiceDown
        | FaultKind::Busy => Code::Unavailable,
        // Not UNAUTHENTICATED: it is our credential that was refused, not the caller's.
        FaultKind::Unauthenticated | FaultKind::Forbidden => Code::PermissionDenied,
        FaultKind::NotFound => Code::NotFound,
        FaultKind::Invalid => Code::InvalidArgument,
        FaultKind::Quota | FaultKind::NoHost => Code::ResourceExhausted,
        FaultKind::Conflict | FaultKind::Held | FaultKind::Unfit | FaultKind::Unconfigured => {
            Code::FailedPrecondition
        }
        FaultKind::Broken => Code::Internal,
    }
}

/// The status of an error, with every detail that a client can use.
pub fn status(error: &Error) -> Status {
    let code = code(error);
    let mut details = ErrorDetails::new();
    details.set_error_info(error.reason(), DOMAIN, facts(error));
    if code == Code::Unavailable {
        details.set_retry_info(Some(retry_after(error)));
    }
    match &error.kind {
        ErrorKind::Invalid(fields) => {
            let pairs = fields
                .iter()
                .map(|bad| (bad.field.as_str(), bad.problem.clone()));
            for (field, problem) in bounded(pairs) {
                details.add_bad_request_violation(field, problem);
            }
        }
        ErrorKind::NotFound { noun, id } => {
            details.set_resource_info(*noun, shortened(id), "", error.message.as_str());
        }
        ErrorKind::Precondition { reason } => {
            details.add_precondition_failure_violation(*reason, "", shortened(&error.message));
        }
        ErrorKind::Short(shortages) => {
            let pairs = shortages.iter().map(|short| {
                let (needed, available) = (short.needed, short.available);
                (
                    short.subject.as_str(),
                    format!("needs {needed}, has {available}"),
                )
            });
            for (subject, description) in bounded(pairs) {
                details.add_quota_failure_violation(subject, description);
            }
        }
        ErrorKind::Blocked(blockers) => describe_blockers(blockers, &mut details),
        ErrorKind::Cloud(fault) => describe_fault(fault, error.reason(), &mut details),
        ErrorKind::RequestReused
        | ErrorKind::Outdated
        | ErrorKind::Unreached
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::Unavailable
        | ErrorKind::Internal => {}
    }
    if let Some(field) = &error.field {
        details.add_bad_request_violation(field.as_str(), shortened(&error.message));
    }
    Status::with_error_details(code, text(error), details)
}

/// The status of a call that did not come as far as its method.
pub fn refused(code: Code, reason: &str, error: &Error) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, facts(error));
    if error.is_retryable() {
        details.set_retry_info(Some(retry_after(error)));
    }
    Status::with_error_details(code, text(error), details)
}

/// The status of a door that is closing: what it was doing goes on, and can be asked for again.
pub(super) fn going_down() -> Status {
    let error = Error::new(ErrorKind::Unavailable, "the service is going down")
        .advise("open the stream again, from the sequence after the last one seen");
    let mut details = ErrorDetails::new();
    details.set_error_info("SHUTTING_DOWN", DOMAIN, facts(&error));
    details.set_retry_info(Some(retry_after(&error)));
    Status::with_error_details(Code::Unavailable, text(&error), details)
}

/// The status of one more stream than there may be.
pub(super) fn too_many_streams(limit: usize) -> Status {
    let error = Error::new(ErrorKind::Unavailable, "too many streams are open")
        .advise("close some, or come back later");
    let mut details = ErrorDetails::new();
    details.set_error_info("TOO_MANY_STREAMS", DOMAIN, facts(&error));
    details.add_quota_failure_violation("streams", format!("at most {limit}"));
    details.set_retry_info(Some(retry_after(&error)));
    Status::with_error_details(Code::ResourceExhausted, text(&error), details)
}

/// What we were doing, what was wrong, and what to do next, in one line.
fn text(error: &Error) -> String {
    let message = shortened(&error.message);
    if error.guidance.is_empty() {
        return message;
    }
    format!("{message}; {}", shortened(&error.guidance))
}

/// What a program may want to read without parsing the text.
fn facts(error: &Error) -> HashMap<String, String> {
    let mut facts = HashMap::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            facts.insert(key.to_owned(), value);
        }
    };
    put("guidance", shortened(&error.guidance));
    put("retryable", error.is_retryable().to_string());
    put("field", error.field.clone().unwrap_or_default());
    if let ErrorKind::Cloud(fault) = &error.kind {
        put("service", fault.service.project().to_owned());
        put(
            "status",
            fault
                .status
                .map(|status| status.to_string())
                .unwrap_or_default(),
        );
        put("code", fault.code.clone().unwrap_or_default().into());
        put(
            "request_id",
            fault.request_id.clone().unwrap_or_default().into(),
        );
    }
    facts
}

/// Everything that is in the way, each by its kind, as far as it fits.
fn describe_blockers(blockers: &[Blocker], details: &mut ErrorDetails) {
    let texts = blockers
        .iter()
        .map(|one| ("", format!("{}: {}", one.reason, one.message)));
    let kept = bounded(texts);
    for (index, (_, text)) in kept.into_iter().enumerate() {
        let concern = blockers
            .get(index)
            .map_or(&Concern::State, |one| &one.concern);
        let reason = blockers.get(index).map_or("", |one| one.reason.as_str());
        match concern {
            Concern::Field(field) => details.add_bad_request_violation(field.as_str(), text),
            Concern::Short(short) => {
                details.add_quota_failure_violation(short.subject.as_str(), text)
            }
            Concern::State => details.add_precondition_failure_violation(reason, "", text),
        };
    }
}

fn describe_fault(fault: &Fault, reason: &str, details: &mut ErrorDetails) {
    let message = shortened(&fault.message);
    match fault.kind {
        FaultKind::Quota => {
            details.add_quota_failure_violation(fault.service.project(), message);
        }
        FaultKind::Conflict | FaultKind::Held | FaultKind::Unfit | FaultKind::Unconfigured => {
            details.add_precondition_failure_violation(reason, fault.service.project(), message);
        }
        FaultKind::Unreachable
        | FaultKind::Unanswered
        | FaultKind::Throttled
        | FaultKind::ServiceDown
        | FaultKind::Busy
        | FaultKind::Unauthenticated
        | FaultKind::Forbidden
        | FaultKind::NotFound
        | FaultKind::Invalid
        | FaultKind::Broken
        | FaultKind::NoHost => {}
    }
}

fn retry_after(error: &Error) -> Duration {
    let told = match &error.kind {
        ErrorKind::Cloud(fault) => fault.retry_after.map(u64::from),
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
    Duration::from_secs(told.unwrap_or(RETRY_SECONDS).max(1))
}

/// As many violations as fit, and then how many more there were.
fn bounded<'a>(pairs: impl ExactSizeIterator<Item = (&'a str, String)>) -> Vec<(&'a str, String)> {
    let all = pairs.len();
    let mut room = DETAIL_BYTES;
    let mut kept = Vec::new();
    for (subject, description) in pairs {
        let description = shortened(&description);
        let size = subject.len() + description.len();
        if size > room {
            let more = all - kept.len();
            kept.push(("", format!("and {more} more")));
            break;
        }
        room -= size;
        kept.push((subject, description));
    }
    kept
}

fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES {
        return text.to_owned();
    }
    let whole = |&(at, character): &(usize, char)| at + character.len_utf8() <= TEXT_BYTES;
    let kept = text.char_indices().take_while(whole);
    let mut short: String = kept.map(|(_, character)| character).collect();
    short.push_str(" ...");
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{error::BadField, fault::Service};

    #[test]
    fn every_bad_field_is_told_at_once() {
        let bad = |field: &str| BadField {
            field: field.into(),
            problem: "is required".into(),
        };
        let status = status(&Error::fields(vec![bad("cloud"), bad("tenant")]));

        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let fields = &details.bad_request().expect("bad request").field_violations;
        let names: Vec<&str> = fields.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(names, ["cloud", "tenant"]);
    }

    #[test]
    fn a_fault_keeps_service_status_code_and_request_id() {
        let mut fault = Fault::new(
            FaultKind::Quota,
            Service::BlockStorage,
            "create the volume backup drb-1",
            "maximum number of backups allowed (10) exceeded",
        );
        fault.status = Some(413);
        fault.code = Some("overLimit".into());
        fault.request_id = Some("req-1".into());
        let status = status(&fault.into());

        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let facts = &details.error_info().expect("error info").metadata;
        assert_eq!(facts["service"], "Cinder");
        assert_eq!(facts["status"], "413");
        assert_eq!(facts["code"], "overLimit");
        assert_eq!(facts["request_id"], "req-1");
        assert!(details.quota_failure().is_some());
    }

    #[test]
    fn a_refusal_fits_into_what_clients_take() {
        let bad = |index: usize| BadField {
            field: format!("volumes[{index}].source_volume_id"),
            problem: "ü".repeat(10_000),
        };
        let status = status(&Error::fields((0..10_000).map(bad).collect()));

        let details = status.get_error_details();
        let fields = &details.bad_request().expect("bad request").field_violations;
        assert!(
            fields
                .last()
                .is_some_and(|one| one.description.starts_with("and "))
        );
        let headers = status.into_http::<()>();
        let size: usize = headers
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        assert!(size < 8_000, "{size} bytes");
    }

    #[test]
    fn what_passes_says_when_to_come_back() {
        let mut fault = Fault::new(
            FaultKind::Throttled,
            Service::Compute,
            "list servers",
            "busy",
        );
        fault.retry_after = Some(7);
        let details = status(&fault.into()).get_error_details();
        let delay = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(delay, Some(Duration::from_secs(7)));
    }
}
