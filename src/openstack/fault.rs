//! What an answer that is not a success means; this file may not know how it came in.

use serde_json::Value;

use super::limits::Limits;
use crate::domain::fault::{Fault, FaultKind, Service};

/// What an answer says about its own failure.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    /// The key of the body, or Neutron's type of error.
    code: Option<String>,
    message: String,
    /// Whether the body is one that the service itself writes.
    own: bool,
    /// Seconds, where the body tells.
    retry_after: Option<u32>,
}

/// An answer that is not a success, as far as it counts here.
pub(super) struct Refusal<'a> {
    pub(super) service: Service,
    pub(super) doing: &'a str,
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<u32>,
    /// Where a redirect leads; it is not followed, since it would take the token along.
    pub(super) location: Option<&'a str>,
    /// What the request carried that nobody may read in a message.
    pub(super) secrets: &'a [&'a str],
}

/// The fault that a refusal is.
pub(super) fn of_refusal(refusal: &Refusal<'_>, limits: &Limits) -> Fault {
    let words = read_words(refusal.body);
    let kind = judge(refusal.service, refusal.status, &words);
    let message = if let Some(location) = refusal.location.filter(|_| refusal.status < 400) {
        let location = location.split('?').next().unwrap_or_default();
        presentable(
            &format!("it redirects to {location}: name that address in the configuration"),
            refusal.secrets,
            limits.message_characters_max,
        )
    } else if words.message.is_empty() {
        "no reason was given".to_owned()
    } else {
        presentable(
            &words.message,
            refusal.secrets,
            limits.message_characters_max,
        )
    };
    Fault {
        kind,
        service: refusal.service,
        doing: refusal.doing.to_owned(),
        status: Some(refusal.status),
        code: words.code,
        message,
        request_id: refusal.request_id.clone(),
        retry_after: refusal
            .retry_after
            .or(words.retry_after)
            // A quota's `Retry-After: 0` says nothing.
            .filter(|seconds| *seconds > 0),
    }
}

/// The table: which answer means what.
fn judge(service: Service, status: u16, words: &Words) -> FaultKind {
    let message = words.message.to_lowercase();
    let says = |part: &str| message.contains(part);
    let code = words.code.as_deref().unwrap_or_default();
    match status {
        401 => FaultKind::Unauthenticated,
        403 if service == Service::Compute && says_quota(&message) => FaultKind::Quota,
        403 => FaultKind::Forbidden,
        // "Service cinder-backup could not be found" is about the service, not about the backup.
        404 if says("service ") && says("could not be found") => FaultKind::ServiceDown,
        // A front door that knows no such place says nothing about the thing.
        404 if !words.own => FaultKind::Unanswered,
        404 => FaultKind::NotFound,
        // The cached range of microversions is dropped by the caller: the next call will fit.
        406 if words.own => FaultKind::Throttled,
        409 if service == Service::Network => judge_network_conflict(code),
        409 if says("already exists") => FaultKind::Conflict,
        409 if says("while it is in") || says("in use") || says("is locked") => FaultKind::Busy,
        409 => FaultKind::Conflict,
        413 if says("rate-limited") || says("rate limit") => FaultKind::Throttled,
        413 if words.own => FaultKind::Quota,
        400 => judge_bad_request(service, &message),
        // A service that says so itself means another one behind it.
        503 if words.own => FaultKind::ServiceDown,
        429 | 503 => FaultKind::Throttled,
        300..=399 => FaultKind::Unconfigured,
        402..=499 => FaultKind::Invalid,
        _ => FaultKind::Unanswered,
    }
}

fn judge_network_conflict(kind: &str) -> FaultKind {
    match kind {
        "OverQuota" | "IpAddressGenerationFailure" | "IPAddressGenerationFailure" => {
            FaultKind::Quota
        }
        // These mean an address or a name that is taken, although they end like a thing in use.
        "IpAddressInUse"
        | "IpAddressAlreadyAllocated"
        | "MacAddressInUse"
        | "SecurityGroupDefaultAlreadyExists"
        | "SecurityGroupRuleExists"
        | "SecurityGroupCannotRemoveDefault"
        | "SecurityGroupCannotUpdateDefault" => FaultKind::Conflict,
        kind if kind.ends_with("InUse") || kind == "PortBound" || kind == "RetryRequest" => {
            FaultKind::Busy
        }
        _ => FaultKind::Conflict,
    }
}

fn judge_bad_request(service: Service, message: &str) -> FaultKind {
    let says = |part: &str| message.contains(part);
    let exists = says("already exists in database") || says("is already in use");
    if exists {
        return FaultKind::Conflict;
    }
    // What builds on a volume backup goes when somebody wants it to, and not by itself; so does what
    // a volume has instead of a backup to build on.
    if says("incremental backups exist for this backup") {
        return FaultKind::Conflict;
    }
    if says("parent backup must be available") {
        return FaultKind::Invalid;
    }
    let status = says("must be available") || says("status must be") || says("invalid status");
    let in_a_passing_state = status && matches!(service, Service::BlockStorage | Service::Compute);
    if in_a_passing_state {
        return FaultKind::Busy;
    }
    FaultKind::Invalid
}

/// Nova tells a quota by 403 and words only.
fn says_quota(message: &str) -> bool {
    [
        "quota",
        "maximum number of",
        "too many",
        "number of ports exceeded",
    ]
    .iter()
    .any(|part| message.contains(part))
}

fn read_words(body: &[u8]) -> Words {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
        return Words {
            message: from_page(&String::from_utf8_lossy(body)),
            ..Words::default()
        };
    };
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(error) = body.get("NeutronError") {
        return Words {
            code: Some(text(error, "type")).filter(|code| !code.is_empty()),
            message: error
                .as_str()
                .map_or_else(|| text(error, "message"), str::to_owned),
            own: true,
            retry_after: None,
        };
    }
    if let Some(error) = body.get("error") {
        return Words {
            code: Some(text(error, "title")).filter(|code| !code.is_empty()),
            message: text(error, "message"),
            own: true,
            retry_after: None,
        };
    }
    // Nova and Cinder: one key that names the fault; 406 has a list of `errors`.
    if let Some(Value::Array(errors)) = body.get("errors") {
        let first = errors.first().unwrap_or(&Value::Null);
        return Words {
            code: Some(text(first, "code")).filter(|code| !code.is_empty()),
            message: text(first, "detail"),
            own: true,
            retry_after: None,
        };
    }
    match body.iter().find(|(_, fault)| fault.is_object()) {
        Some((code, fault)) => Words {
            code: Some(code.clone()),
            message: text(fault, "message"),
            own: true,
            retry_after: fault.get("retryAfter").and_then(|seconds| {
                seconds
                    .as_u64()
                    .or_else(|| seconds.as_str()?.parse().ok())
                    .and_then(|seconds| u32::try_from(seconds).ok())
            }),
        },
        None => Words {
            message: body
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            own: body.contains_key("code"),
            ..Words::default()
        },
    }
}

/// The text of an HTML page, or of a plain one.
fn from_page(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in page.chars() {
        match character {
            '<' => {
                inside = true;
                text.push(' ');
            }
            '>' if inside => inside = false,
            _ if inside => {}
            other => text.push(other),
        }
    }
    text
}

/// A message on one line, without secrets, without long values, cut to a length.
pub(super) fn presentable(message: &str, secrets: &[&str], characters_max: usize) -> String {
    /// A schema error quotes the value that it did not like; ours are records and user data.
    const WORD_CHARACTERS_MAX: usize = 80;
    let hidden = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(message.to_owned(), |message, secret| {
            message.replace(secret, "[hidden]")
        });
    let mut line = String::new();
    for word in hidden.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        if word.chars().count() > WORD_CHARACTERS_MAX {
            line.push_str("[long value]");
        } else {
            line.push_str(word);
        }
    }
    if line.chars().count() > characters_max {
        line = line.chars().take(characters_max).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(service: Service, status: u16, body: &str) -> Fault {
        of_refusal(
            &Refusal {
                service,
                doing: "do it",
                status,
                body: body.as_bytes(),
                request_id: Some("req-1".to_owned()),
                retry_after: None,
                location: Some("https://there/v3?x=1"),
                secrets: &["hunter2"],
            },
            &Limits::default(),
        )
    }

    #[test]
    fn every_refusal_has_its_meaning() {
        use FaultKind::{
            Busy, Conflict, Forbidden, Invalid, NotFound, Quota, ServiceDown, Throttled,
            Unanswered, Unauthenticated, Unconfigured,
        };
        use Service::{BlockStorage, Compute, Identity, Image, Network};
        let cinder = |key: &str, code: u16, message: &str| {
            format!(r#"{{"{key}": {{"code": {code}, "message": "{message}"}}}}"#)
        };
        let neutron = |kind: &str| {
            format!(r#"{{"NeutronError": {{"type": "{kind}", "message": "m", "detail": ""}}}}"#)
        };
        let cases: Vec<(FaultKind, Service, u16, String)> = vec![
            (Unauthenticated, Identity, 401, r#"{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}"#.to_owned()),
            (Forbidden, BlockStorage, 403, cinder("forbidden", 403, "Policy doesn't allow backup:export-import to be performed.")),
            (Quota, Compute, 403, cinder("forbidden", 403, "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances")),
            (Forbidden, Network, 403, neutron("PolicyNotAuthorized")),
            (ServiceDown, BlockStorage, 404, cinder("itemNotFound", 404, "Service cinder-backup could not be found.")),
            (NotFound, BlockStorage, 404, cinder("itemNotFound", 404, "Backup 1 could not be found.")),
            (NotFound, Network, 404, neutron("PortNotFound")),
            (Unanswered, BlockStorage, 404, "<html><h1>404 Not Found</h1> nginx</html>".to_owned()),
            (Throttled, Compute, 406, r#"{"computeFault": {"code": 406, "message": "Version 2.200 is not supported by the API."}}"#.to_owned()),
            (Quota, BlockStorage, 413, cinder("overLimit", 413, "BackupLimitExceeded: Maximum number of backups allowed (10) exceeded")),
            (Throttled, BlockStorage, 413, cinder("overLimit", 413, "This request was rate-limited.")),
            (Invalid, BlockStorage, 413, "<html>413 Request Entity Too Large</html>".to_owned()),
            (Throttled, Image, 429, String::new()),
            (Quota, Network, 409, neutron("OverQuota")),
            (Conflict, Network, 409, neutron("IpAddressAlreadyAllocated")),
            (Conflict, Network, 409, neutron("MacAddressInUse")),
            (Busy, Network, 409, neutron("SecurityGroupInUse")),
            (Conflict, Compute, 409, cinder("conflictingRequest", 409, "Key pair 'k' already exists.")),
            (Busy, Compute, 409, cinder("conflictingRequest", 409, "Cannot 'delete' instance 1 while it is in task_state deleting")),
            (Busy, Compute, 409, cinder("conflictingRequest", 409, "Port 1 is still in use.")),
            (Conflict, BlockStorage, 400, cinder("badRequest", 400, "Invalid backup: Backup already exists in database.")),
            (Busy, BlockStorage, 400, cinder("badRequest", 400, "Invalid backup: Backup status must be available")),
            (Busy, BlockStorage, 400, cinder("badRequest", 400, "Invalid volume: Volume to be restored to must be available")),
            (Conflict, BlockStorage, 400, cinder("badRequest", 400, "Invalid backup: Incremental backups exist for this backup.")),
            (Invalid, BlockStorage, 400, cinder("badRequest", 400, "Invalid backup: No backups available to do an incremental backup.")),
            (Invalid, BlockStorage, 400, cinder("badRequest", 400, "Invalid backup: The parent backup must be available for incremental backup.")),
            (Invalid, BlockStorage, 400, cinder("badRequest", 400, "Can't parse backup record.")),
            (Conflict, Compute, 400, cinder("badRequest", 400, "Fixed IP address 10.0.0.3 is already in use on instance 1.")),
            (Invalid, Compute, 400, cinder("badRequest", 400, "Block Device 1 is not bootable.")),
            (ServiceDown, BlockStorage, 503, cinder("serviceUnavailable", 503, "Service temporarily unavailable")),
            (Throttled, Compute, 503, "<html>503 Service Unavailable</html>".to_owned()),
            (Unanswered, Compute, 500, cinder("computeFault", 500, "Unexpected API Error.")),
            (Unanswered, Network, 502, "<html>Bad Gateway</html>".to_owned()),
            (Unanswered, Network, 504, String::new()),
            (Unconfigured, Identity, 301, String::new()),
        ];
        for (expected, service, status, body) in cases {
            assert_eq!(
                fault(service, status, &body).kind,
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn message_is_one_short_line_without_secrets() {
        let long = "A".repeat(200);
        let body = format!(
            r#"{{"badRequest": {{"code": 400, "message": "Value: {long}.\n hunter2 is bad"}}}}"#
        );
        let fault = fault(Service::Compute, 400, &body);
        assert_eq!(fault.message, "Value: [long value] [hidden] is bad");
        assert_eq!(fault.code.as_deref(), Some("badRequest"));
        let cut = presentable(&"word ".repeat(500), &[], 20);
        assert_eq!(cut.chars().count(), 21);
    }

    #[test]
    fn redirect_is_told_and_nothing_else_is() {
        let message = |status| fault(Service::Identity, status, "").message;
        assert!(
            message(301).contains("https://there/v3:"),
            "{}",
            message(301)
        );
        assert_eq!(message(500), "no reason was given");
    }

    #[test]
    fn page_is_read_without_its_tags() {
        let fault = fault(
            Service::Image,
            404,
            "<html><title>404 Not Found</title><body>No image</body></html>",
        );
        assert_eq!(fault.message, "404 Not Found No image");
        assert_eq!(fault.code, None);
    }
}
