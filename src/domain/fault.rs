//! A call to a cloud that did not end well; it may not know HTTP.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Which of OpenStack's services was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Keystone.
    Identity,
    /// Cinder.
    BlockStorage,
    /// Nova.
    Compute,
    /// Neutron.
    Network,
    /// Glance.
    Image,
}

impl Service {
    /// The name that operators use.
    pub fn project(self) -> &'static str {
        match self {
            Self::Identity => "Keystone",
            Self::BlockStorage => "Cinder",
            Self::Compute => "Nova",
            Self::Network => "Neutron",
            Self::Image => "Glance",
        }
    }
}

/// What a fault means for the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The request never left: no route, refused, name unknown, TLS failed.
    Unreachable,
    /// The request left and no usable answer came (time-out, reset, 5xx, unreadable): it may have worked.
    Unanswered,
    /// The cloud asks us to come back later (429, 503 of a front door): nothing happened.
    Throttled,
    /// A service behind the API is not up (Cinder's 404 "Service cinder-backup could not be found").
    ServiceDown,
    /// The thing is in a state that passes (a backup that is being restored, a volume in use).
    Busy,
    /// The thing is in a status in which this is refused, and which does not pass by itself (a volume
    /// that is `reserved` or in `error`).
    Unfit,
    /// Somebody else uses the thing, so it is not deleted: the message names the thing and who does.
    Held,
    /// The credential was refused.
    Unauthenticated,
    /// The credential may not do this.
    Forbidden,
    /// The thing is not there.
    NotFound,
    /// Something of that name, id or address is there already, or builds on the thing.
    Conflict,
    /// The request is not acceptable as it stands.
    Invalid,
    /// A quota is used up.
    Quota,
    /// The thing was made and then went wrong inside the cloud, or its status says error.
    Broken,
    /// The cloud has no host for the server, or none that could bring it up.
    NoHost,
    /// Our own configuration lacks what the call needs (no such cloud, no admin credential).
    Unconfigured,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Unreachable,
        Self::Unanswered,
        Self::Throttled,
        Self::ServiceDown,
        Self::Busy,
        Self::Unfit,
        Self::Held,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Invalid,
        Self::Quota,
        Self::Broken,
        Self::NoHost,
        Self::Unconfigured,
    ];

    /// The stable word by which programs branch; no two kinds share one.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "CLOUD_UNREACHABLE",
            Self::Unanswered => "CLOUD_UNANSWERED",
            Self::Throttled => "CLOUD_THROTTLED",
            Self::ServiceDown => "CLOUD_SERVICE_DOWN",
            Self::Busy => "CLOUD_BUSY",
            Self::Unfit => "STATUS_UNFIT",
            Self::Held => "IN_USE",
            Self::Unauthenticated => "CLOUD_LOGIN_REFUSED",
            Self::Forbidden => "CLOUD_FORBIDDEN",
            Self::NotFound => "CLOUD_NOT_FOUND",
            Self::Conflict => "CLOUD_CONFLICT",
            Self::Invalid => "CLOUD_INVALID",
            Self::Quota => "QUOTA_EXCEEDED",
            Self::Broken => "CLOUD_BROKEN",
            Self::NoHost => "NO_VALID_HOST",
            Self::Unconfigured => "CLOUD_UNCONFIGURED",
        }
    }

    /// Whether asking again later can help without anybody changing anything in the request.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Unreachable
            | Self::Unanswered
            | Self::Throttled
            | Self::ServiceDown
            | Self::Busy
            | Self::Held => true,
            Self::Unfit
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::Conflict
            | Self::Invalid
            | Self::Quota
            | Self::Broken
            | Self::NoHost
            | Self::Unconfigured => false,
        }
    }

    /// Whether an operator can mend it without anybody changing the request: a login, a right, a quota,
    /// room on the hosts, our own configuration. What was done before it is worth holding meanwhile.
    pub fn mended_by_operator(self) -> bool {
        match self {
            Self::Unauthenticated
            | Self::Forbidden
            | Self::Quota
            | Self::NoHost
            | Self::Unconfigured => true,
            Self::Unreachable
            | Self::Unanswered
            | Self::Throttled
            | Self::ServiceDown
            | Self::Busy
            | Self::Unfit
            | Self::Held
            | Self::NotFound
            | Self::Conflict
            | Self::Invalid
            | Self::Broken => false,
        }
    }

    /// Whether the same request, unchanged, can succeed another time: when it has passed, or when
    /// somebody has mended it.
    pub fn is_retryable(self) -> bool {
        self.may_pass() || self.mended_by_operator() || self == Self::Broken
    }
}

/// A call to a cloud that did not end well, with everything that its operator may want to look up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What it means for us.
    pub kind: FaultKind,
    /// Who was called.
    pub service: Service,
    /// What we were doing, for example `create the volume backup drb-…`.
    #[serde(rename = "doing")]
    pub action: String,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// The service's own code for it (`overLimit`, `IpAddressInUse`), where it gave one.
    pub code: Option<Box<str>>,
    /// What the service said, without secrets and cut to a sensible length.
    pub message: String,
    /// OpenStack's request id, by which its logs are searched.
    pub request_id: Option<Box<str>>,
    /// Seconds after which the cloud would like to be asked again.
    pub retry_after: Option<u32>,
    /// Since when an effect has met nothing but faults of this kind. Nothing in what an adapter tells, and
    /// in rows of versions that did not note it.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// No more of a text than is read.
fn cut(mut text: String) -> String {
    const CHARACTERS_MAX: usize = 2_000;
    if let Some((end, _)) = text.char_indices().nth(CHARACTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Fault {
    /// A fault without an answer behind it. What it tells may hold texts of a cloud, so that no more of it is
    /// kept than a person reads.
    pub fn new(
        kind: FaultKind,
        service: Service,
        action: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            service,
            action: cut(action.into()),
            status: None,
            code: None,
            message: cut(message.into()),
            request_id: None,
            retry_after: None,
            since: None,
        }
    }

    /// The same fault, met at `time` where `before` was met last.
    #[must_use]
    pub fn met(self, time: Timestamp, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.kind == self.kind);
        let since = same.and_then(|before| before.since).unwrap_or(time);
        Self {
            since: Some(since),
            ..self
        }
    }

    /// Whether the request may have had its effect all the same.
    pub fn may_have_happened(&self) -> bool {
        matches!(self.kind, FaultKind::Unanswered)
    }

    /// What [`FaultKind::may_pass`] says of its kind.
    pub fn may_pass(&self) -> bool {
        self.kind.may_pass()
    }

    /// What [`FaultKind::mended_by_operator`] says of its kind.
    pub fn mended_by_operator(&self) -> bool {
        self.kind.mended_by_operator()
    }

    /// Whether nothing at all was heard of a cloud: whatever it answers, also a refusal, shows that it is there.
    pub fn is_silence(&self) -> bool {
        match self.kind {
            FaultKind::Unreachable | FaultKind::Unconfigured => true,
            FaultKind::Unanswered => self.status.is_none(),
            FaultKind::Throttled
            | FaultKind::ServiceDown
            | FaultKind::Busy
            | FaultKind::Unfit
            | FaultKind::Held
            | FaultKind::Unauthenticated
            | FaultKind::Forbidden
            | FaultKind::NotFound
            | FaultKind::Conflict
            | FaultKind::Invalid
            | FaultKind::Quota
            | FaultKind::Broken
            | FaultKind::NoHost => false,
        }
    }

    /// Whether the whole cloud is in trouble, and not just this one request: nothing answers, or it
    /// asks everybody to come back later. A 5xx is an answer, and may be about one request only.
    pub fn concerns_the_cloud(&self) -> bool {
        match self.kind {
            FaultKind::Unreachable | FaultKind::Throttled => true,
            FaultKind::Unanswered => self.status.is_none(),
            FaultKind::ServiceDown
            | FaultKind::Busy
            | FaultKind::Unfit
            | FaultKind::Held
            | FaultKind::Unauthenticated
            | FaultKind::Forbidden
            | FaultKind::NotFound
            | FaultKind::Conflict
            | FaultKind::Invalid
            | FaultKind::Quota
            | FaultKind::Broken
            | FaultKind::NoHost
            | FaultKind::Unconfigured => false,
        }
    }

    /// Whether the two sides could not agree on who they are: then the words of the connection are
    /// all that tells it.
    fn is_about_certificates(&self) -> bool {
        self.status.is_none() && self.message.to_lowercase().contains("certificate")
    }

    /// What a person can do about it.
    pub fn guidance(&self) -> &'static str {
        match self.kind {
            FaultKind::Unreachable | FaultKind::Unanswered if self.is_about_certificates() => {
                "name the authority of its certificate as cacert in clouds.yaml, and a certificate of \
                 your own as cert and key if it asks for one"
            }
            FaultKind::Unreachable => {
                "check that the cloud is up and that its endpoints are reachable from here"
            }
            FaultKind::Unanswered | FaultKind::Throttled => {
                "look up the request id in the service's log; the work goes on when it answers"
            }
            FaultKind::ServiceDown => "start the service that is down; the work goes on then",
            FaultKind::Busy => "wait until the other work on it has ended",
            FaultKind::Unfit => {
                "bring it into a status in which this is possible, as the message says; then ask again"
            }
            FaultKind::Held => {
                "let it go where it is used, or unlock it, and delete it then, or keep it there"
            }
            FaultKind::Unauthenticated => "check the credential of this cloud in clouds.yaml",
            FaultKind::Forbidden => {
                "give the user the role that the policy asks for, or configure an admin entry for this cloud"
            }
            FaultKind::NotFound => "check that it still exists in that project",
            FaultKind::Conflict => "remove or rename what is in the way, then ask again",
            FaultKind::Invalid => "change the request as the message says",
            FaultKind::Quota => "raise the quota or free some of it, then ask again",
            FaultKind::NoHost => {
                "make room for the server: free or enable a host that has what its flavor asks for"
            }
            FaultKind::Broken => "look into the service's log for the reason, then ask again",
            FaultKind::Unconfigured => "complete the configuration of this cloud",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} could not {}: {}",
            self.service.project(),
            self.action,
            self.message
        )?;
        let mut marks = Vec::new();
        if let Some(status) = self.status {
            marks.push(format!("status {status}"));
        }
        if let Some(code) = &self.code {
            marks.push(format!("code {code}"));
        }
        if let Some(id) = &self.request_id {
            marks.push(format!("request {id}"));
        }
        if marks.is_empty() {
            Ok(())
        } else {
            write!(formatter, " ({})", marks.join(", "))
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_fault_is_as_old_as_the_first_of_its_kind_in_a_row() {
        let met = |kind, time, before: Option<&Fault>| {
            let fault = Fault::new(kind, Service::BlockStorage, "ask", "no");
            fault.met(Timestamp(time), before)
        };
        let first = met(FaultKind::Busy, 5, None);
        let second = met(FaultKind::Busy, 9, Some(&first));
        let silence = met(FaultKind::Unreachable, 12, Some(&second));
        let third = met(FaultKind::Busy, 20, Some(&silence));
        let since = [first, second, silence, third].map(|fault| fault.since);
        assert_eq!(since, [5, 5, 12, 20].map(|time| Some(Timestamp(time))));
    }

    #[test]
    fn every_kind_has_a_reason_of_its_own() {
        let reasons: BTreeSet<&str> = FaultKind::ALL.map(FaultKind::reason).into();
        assert_eq!(reasons.len(), FaultKind::ALL.len());
        for reason in reasons {
            assert!(
                reason
                    .chars()
                    .all(|one| one.is_ascii_uppercase() || one == '_'),
                "{reason}"
            );
        }
    }

    #[test]
    fn what_an_operator_mends_does_not_pass_by_itself() {
        for kind in FaultKind::ALL {
            assert!(!(kind.mended_by_operator() && kind.may_pass()), "{kind:?}");
        }
        let mended: Vec<FaultKind> = FaultKind::ALL
            .into_iter()
            .filter(|kind| kind.mended_by_operator())
            .collect();
        assert_eq!(
            mended,
            [
                FaultKind::Unauthenticated,
                FaultKind::Forbidden,
                FaultKind::Quota,
                FaultKind::NoHost,
                FaultKind::Unconfigured,
            ]
        );
    }

    #[test]
    fn a_fault_keeps_no_more_of_a_text_than_is_read() {
        let long = "ü".repeat(1 << 20);
        let fault = Fault::new(FaultKind::Unanswered, Service::Image, &*long, &*long);
        assert!(fault.to_string().len() < 10_000);
        let short = Fault::new(FaultKind::Unanswered, Service::Image, "a", "b");
        assert_eq!((short.action.as_str(), short.message.as_str()), ("a", "b"));
    }
}
