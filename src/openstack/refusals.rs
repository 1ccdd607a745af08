//! Which refusal of a cloud means what, in one table; this file may not know how a refusal came in.
//!
//! A row goes by the service, the HTTP status and the code of the body. Words of a message are the last
//! resort, for what a service tells in no other way; then the row says where they were seen. Where the
//! message names the status of a thing, that decides whether it is waited for.

use std::ops::RangeInclusive;

use crate::domain::{
    fault::{FaultKind, Service},
    sighting,
};

/// What an answer says about its own failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The key of the body, or Neutron's type of error.
    pub(super) code: Option<String>,
    pub(super) message: String,
    /// Whether the body is one that the service itself writes.
    pub(super) own: bool,
    /// Seconds, where the body tells.
    pub(super) retry_after: Option<u32>,
}

/// What an answer has to be like, and what it means then. What is left open matches everything.
struct Row {
    service: Option<Service>,
    status: RangeInclusive<u16>,
    /// Whether the service itself wrote the body, and no front door.
    own: Option<bool>,
    code: Code,
    says: Says,
    means: Means,
    /// Where the words or the code were seen; statuses alone are HTTP's.
    seen: &'static str,
}

/// The key of the body, or Neutron's type of error.
enum Code {
    Any,
    Is(&'static [&'static str]),
    EndsIn(&'static str),
}

/// Words of the message, in lower case: the last resort, for what a service tells in no other way.
enum Says {
    Anything,
    OneOf(&'static [&'static str]),
    AllOf(&'static [&'static str]),
}

enum Means {
    This(FaultKind),
    /// What the status means that the message names.
    AsTheStatusSays,
}

const ANY: Row = Row {
    service: None,
    status: 0..=u16::MAX,
    own: None,
    code: Code::Any,
    says: Says::Anything,
    means: Means::This(FaultKind::Unanswered),
    seen: "",
};

/// Which answer means what; the first row that fits counts, and the last one fits everything.
const TABLE: &[Row] = &[
    Row {
        status: 300..=399,
        means: Means::This(FaultKind::Unconfigured),
        ..ANY
    },
    Row {
        status: 401..=401,
        means: Means::This(FaultKind::Unauthenticated),
        ..ANY
    },
    Row {
        service: Some(Service::Compute),
        status: 403..=403,
        says: Says::OneOf(&[
            "quota",
            "maximum number of",
            "too many",
            "number of ports exceeded",
        ]),
        means: Means::This(FaultKind::Quota),
        seen: "nova/exception.py: OverQuota, PortLimitExceeded, TooManyInstances; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 403..=403,
        means: Means::This(FaultKind::Forbidden),
        ..ANY
    },
    // It is about the service, not about the backup.
    Row {
        status: 404..=404,
        says: Says::AllOf(&["service ", "could not be found"]),
        means: Means::This(FaultKind::ServiceDown),
        seen: "cinder/exception.py: ServiceNotFound, of cinder-backup that is down; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 404..=404,
        own: Some(true),
        means: Means::This(FaultKind::NotFound),
        ..ANY
    },
    // A front door that knows no such place says nothing about the thing.
    Row {
        status: 404..=404,
        means: Means::This(FaultKind::Unanswered),
        ..ANY
    },
    // The cached range of microversions is dropped by the caller: the next call will fit.
    Row {
        status: 406..=406,
        own: Some(true),
        means: Means::This(FaultKind::Throttled),
        ..ANY
    },
    Row {
        service: Some(Service::Network),
        status: 409..=409,
        code: Code::Is(&[
            "OverQuota",
            "IpAddressGenerationFailure",
            "IPAddressGenerationFailure",
        ]),
        means: Means::This(FaultKind::Quota),
        seen: "neutron_lib/exceptions; Zed to 2026.1",
        ..ANY
    },
    // These mean an address or a name that is taken, although some end like a thing in use.
    Row {
        service: Some(Service::Network),
        status: 409..=409,
        code: Code::Is(&[
            "IpAddressInUse",
            "IpAddressAlreadyAllocated",
            "MacAddressInUse",
            "SecurityGroupDefaultAlreadyExists",
            "SecurityGroupRuleExists",
            "SecurityGroupCannotRemoveDefault",
            "SecurityGroupCannotUpdateDefault",
            // A port that is bound, or has a trunk, becomes the parent of none by waiting.
            "ParentPortInUse",
        ]),
        means: Means::This(FaultKind::Conflict),
        seen: "neutron_lib/exceptions, neutron/extensions/securitygroup.py, neutron/services/trunk/exceptions.py; Zed to 2026.1",
        ..ANY
    },
    Row {
        service: Some(Service::Network),
        status: 409..=409,
        code: Code::EndsIn("InUse"),
        means: Means::This(FaultKind::Busy),
        seen: "neutron_lib/exceptions; Zed to 2026.1",
        ..ANY
    },
    Row {
        service: Some(Service::Network),
        status: 409..=409,
        code: Code::Is(&[
            "PortBound",
            "RetryRequest",
            "PortInUseAsTrunkParent",
            "PortInUseAsSubPort",
        ]),
        means: Means::This(FaultKind::Busy),
        seen: "neutron_lib/exceptions, neutron/services/trunk/exceptions.py; Zed to 2026.1",
        ..ANY
    },
    Row {
        service: Some(Service::Network),
        status: 409..=409,
        means: Means::This(FaultKind::Conflict),
        ..ANY
    },
    Row {
        status: 409..=409,
        says: Says::OneOf(&["already exists"]),
        means: Means::This(FaultKind::Conflict),
        seen: "nova/exception.py: KeyPairExists; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 409..=409,
        says: Says::OneOf(&["while it is in"]),
        means: Means::AsTheStatusSays,
        seen: "nova/exception.py: InstanceInvalidState; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 409..=409,
        says: Says::OneOf(&["is locked"]),
        means: Means::This(FaultKind::Unfit),
        seen: "nova/exception.py: InstanceIsLocked; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 409..=409,
        says: Says::OneOf(&["in use"]),
        means: Means::This(FaultKind::Busy),
        seen: "nova/exception.py: PortInUse; glance: an image in use; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 409..=409,
        means: Means::This(FaultKind::Conflict),
        ..ANY
    },
    Row {
        status: 413..=413,
        says: Says::OneOf(&["rate-limited", "rate limit"]),
        means: Means::This(FaultKind::Throttled),
        seen: "cinder/api/middleware/fault.py; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 413..=413,
        own: Some(true),
        means: Means::This(FaultKind::Quota),
        ..ANY
    },
    Row {
        status: 400..=400,
        says: Says::OneOf(&["already exists in database", "is already in use"]),
        means: Means::This(FaultKind::Conflict),
        seen: "cinder/backup/api.py: import of a record; nova/exception.py: FixedIpAlreadyInUse; Zed to 2026.1",
        ..ANY
    },
    // What builds on a volume backup goes when somebody wants it to, and not by itself.
    Row {
        status: 400..=400,
        says: Says::OneOf(&["incremental backups exist for this backup"]),
        means: Means::This(FaultKind::Conflict),
        seen: "cinder/backup/api.py: delete; Zed to 2026.1",
        ..ANY
    },
    // Neither does what a volume has instead of a backup to build on.
    Row {
        status: 400..=400,
        says: Says::OneOf(&["parent backup must be available"]),
        means: Means::This(FaultKind::Invalid),
        seen: "cinder/backup/api.py: create; Zed to 2026.1",
        ..ANY
    },
    Row {
        service: Some(Service::BlockStorage),
        status: 400..=400,
        says: Says::OneOf(&[
            "must be available",
            "status must be",
            "invalid status",
            "cannot be created when the volume is in",
        ]),
        means: Means::AsTheStatusSays,
        seen: "cinder/volume/api.py, cinder/backup/api.py: InvalidVolume, InvalidSnapshot, InvalidBackup; Zed to 2026.1",
        ..ANY
    },
    Row {
        service: Some(Service::Compute),
        status: 400..=400,
        says: Says::OneOf(&["must be available", "status must be", "invalid status"]),
        means: Means::AsTheStatusSays,
        seen: "nova/volume/cinder.py: check_attach; Zed to 2026.1",
        ..ANY
    },
    Row {
        status: 400..=400,
        means: Means::This(FaultKind::Invalid),
        ..ANY
    },
    // A service that says so itself means another one behind it.
    Row {
        status: 503..=503,
        own: Some(true),
        means: Means::This(FaultKind::ServiceDown),
        ..ANY
    },
    Row {
        status: 503..=503,
        means: Means::This(FaultKind::Throttled),
        ..ANY
    },
    Row {
        status: 429..=429,
        means: Means::This(FaultKind::Throttled),
        ..ANY
    },
    Row {
        status: 402..=499,
        means: Means::This(FaultKind::Invalid),
        ..ANY
    },
    ANY,
];

impl Row {
    fn fits(&self, service: Service, status: u16, words: &Words, message: &str) -> bool {
        let code = words.code.as_deref().unwrap_or_default();
        self.service.is_none_or(|of| of == service)
            && self.status.contains(&status)
            && self.own.is_none_or(|own| own == words.own)
            && match self.code {
                Code::Any => true,
                Code::Is(codes) => codes.contains(&code),
                Code::EndsIn(end) => code.ends_with(end),
            }
            && match self.says {
                Says::Anything => true,
                Says::OneOf(parts) => parts.iter().any(|part| message.contains(part)),
                Says::AllOf(parts) => parts.iter().all(|part| message.contains(part)),
            }
    }
}

/// What a refusal means.
pub(super) fn judge(service: Service, status: u16, words: &Words) -> FaultKind {
    let message = words.message.to_lowercase();
    let mut rows = TABLE.iter();
    let row = rows.find(|row| row.fits(service, status, words, &message));
    let row = row.unwrap_or(&ANY);
    tracing::trace!(status, seen = row.seen, "a refusal is judged");
    match row.means {
        Means::This(kind) => kind,
        Means::AsTheStatusSays => judge_status(&message),
    }
}

/// What stands before the status that a refusal names, the longest first.
const NAMED_AFTER: [&str; 5] = [
    "current status is:",
    "current status is",
    "currently in",
    "currently",
    "when the volume is in",
];

/// What a refusal means that names the status for which it refuses. One that names none is waited for: the
/// status is looked at where that matters.
fn judge_status(message: &str) -> FaultKind {
    // A task of Nova ends by itself; a state that it rests in does not.
    if message.contains("task_state ") {
        return FaultKind::Busy;
    }
    if let Some(state) = word_after(message, "vm_state ") {
        return if state == "building" {
            FaultKind::Busy
        } else {
            FaultKind::Unfit
        };
    }
    let mut told = NAMED_AFTER
        .iter()
        .filter_map(|before| word_after(message, before));
    match told.next() {
        Some(status) if sighting::does_not_pass(status) => FaultKind::Unfit,
        Some(_) | None => FaultKind::Busy,
    }
}

/// The status word behind some text.
fn word_after<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    let is_part = |one: char| one.is_ascii_lowercase() || one == '-' || one == '_';
    let rest = rest.trim_start_matches(|one| !is_part(one));
    let end = rest.find(|one| !is_part(one)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::fault::read_words;

    #[test]
    fn every_refusal_has_its_meaning() {
        use FaultKind::{
            Busy, Conflict, Forbidden, Invalid, NotFound, Quota, ServiceDown, Throttled,
            Unanswered, Unauthenticated, Unconfigured, Unfit,
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
            (Busy, BlockStorage, 400, cinder("badRequest", 400, "Invalid volume: Volume 1 status must be available, in-use, but current status is: extending.")),
            (Unfit, BlockStorage, 400, cinder("badRequest", 400, "Invalid volume: Volume 1 status must be available, in-use, but current status is: reserved.")),
            (Unfit, BlockStorage, 400, cinder("badRequest", 400, r#"Invalid volume: Volume to be backed up must be available or in-use, but the current status is \"maintenance\"."#)),
            (Unfit, BlockStorage, 400, cinder("badRequest", 400, r#"Invalid snapshot: Snapshot to be backed up must be available, but the current status is \"error\"."#)),
            (Unfit, BlockStorage, 400, cinder("badRequest", 400, "Invalid volume: The snapshot cannot be created when the volume is in error status.")),
            (Busy, BlockStorage, 400, cinder("badRequest", 400, "Invalid volume: Volume 1 status must be '{'status': 'available'}' to extend, currently retyping.")),
            (Unfit, Compute, 400, cinder("badRequest", 400, "Invalid volume: volume 1 status must be 'available'. Currently in 'awaiting-transfer'")),
            (Busy, Compute, 400, cinder("badRequest", 400, "Invalid volume: volume 1 status must be 'available'. Currently in 'detaching'")),
            (Unfit, Compute, 409, cinder("conflictingRequest", 409, "Cannot 'createImage' instance 1 while it is in vm_state rescued")),
            (Busy, Compute, 409, cinder("conflictingRequest", 409, "Cannot 'createImage' instance 1 while it is in vm_state building")),
            (Unfit, Compute, 409, cinder("conflictingRequest", 409, "Instance 1 is locked")),
            (Busy, Network, 409, neutron("PortBound")),
            (Conflict, Network, 409, neutron("SecurityGroupRuleExists")),
            (Conflict, Network, 409, neutron("SubnetPoolInvalid")),
            (Conflict, Image, 409, r#"{"code": "409 Conflict", "message": "x"}"#.to_owned()),
            (Throttled, BlockStorage, 503, "<html>503</html>".to_owned()),
            (Throttled, Compute, 429, cinder("overLimit", 429, "later")),
            (Invalid, Image, 410, String::new()),
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
        let mut met = vec![false; TABLE.len()];
        for (expected, service, status, body) in cases {
            assert_eq!(
                judge(service, status, &read_words(body.as_bytes())),
                expected,
                "{status} {body}"
            );
            let words = read_words(body.as_bytes());
            let message = words.message.to_lowercase();
            let row = TABLE
                .iter()
                .position(|row| row.fits(service, status, &words, &message));
            met[row.expect("the last row fits everything")] = true;
        }
        for (row, met) in TABLE.iter().zip(met) {
            assert!(
                met,
                "no case for {:?} {:?} {}",
                row.service, row.status, row.seen
            );
            let by_words = !matches!((&row.code, &row.says), (Code::Any, Says::Anything));
            assert_eq!(
                by_words,
                !row.seen.is_empty(),
                "{:?} {}",
                row.status,
                row.seen
            );
        }
    }
}
