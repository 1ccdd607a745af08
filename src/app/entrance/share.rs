//! How much one caller may have under way at once, so that others are served beside; it may not know how a
//! caller was recognised.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{http::Version, response::Response};

use super::{
    counts::{Counts, Reason},
    gate,
};
use crate::{app::config::DoorSettings, domain::caller::Caller};

/// What is under way of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Call,
    Stream,
}

/// What is under way of one caller.
#[derive(Debug, Default)]
struct UnderWay {
    calls: usize,
    streams: usize,
}

impl UnderWay {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Call => &mut self.calls,
            Kind::Stream => &mut self.streams,
        }
    }
}

/// The shares of all callers, at all doors together.
#[derive(Debug)]
pub(in crate::app) struct Shares {
    calls: usize,
    streams: usize,
    /// By what sets a caller apart from others; only those are in it who have something under way.
    under_way: Mutex<HashMap<String, UnderWay>>,
    counts: Arc<Counts>,
}

impl Shares {
    pub(super) fn new(settings: &DoorSettings, counts: Arc<Counts>) -> Self {
        Self {
            calls: settings.calls_per_caller,
            streams: settings.streams_per_caller,
            under_way: Mutex::default(),
            counts,
        }
    }

    /// A place for what this caller asks, until it is dropped; nothing is counted where nobody is told apart.
    /// The answer to a caller who has as much under way as may be.
    pub(in crate::app) fn take(
        self: &Arc<Self>,
        caller: &Caller,
        path: &str,
        version: Version,
    ) -> Result<Option<Share>, Box<Response>> {
        let Some(caller) = caller.namespace() else {
            return Ok(None);
        };
        let (kind, most) = if gate::is_stream(path) {
            (Kind::Stream, self.streams)
        } else {
            (Kind::Call, self.calls)
        };
        let mut all = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(caller.clone()).or_default().of(kind);
        if *count >= most {
            drop(all);
            self.counts.refused(Reason::Caller);
            let grpc = !gate::is_json(path);
            return Err(Box::new(gate::refused(Reason::Caller, version, grpc)));
        }
        *count += 1;
        Ok(Some(Share {
            shares: Arc::clone(self),
            caller,
            kind,
        }))
    }

    fn give_back(&self, caller: &str, kind: Kind) {
        let mut all = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(under_way) = all.get_mut(caller) else {
            return;
        };
        let count = under_way.of(kind);
        *count = count.saturating_sub(1);
        if under_way.calls == 0 && under_way.streams == 0 {
            all.remove(caller);
        }
    }
}

/// The place of one call or stream.
#[derive(Debug)]
pub(in crate::app) struct Share {
    shares: Arc<Shares>,
    caller: String,
    kind: Kind,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.give_back(&self.caller, self.kind);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;

    use super::*;
    use crate::domain::caller::{Grants, Via};

    const GET: &str = "/drbackup.v1.DRBackupService/GetDRBackup";
    const WATCH: &str = "/drbackup.v1.DRBackupService/WatchDRBackups";

    fn caller(name: &str) -> Caller {
        Caller::new(name.to_owned(), Via::StaticToken, Grants::default(), None)
    }

    #[test]
    fn who_has_as_much_under_way_as_may_be_is_refused_and_others_are_not() {
        let settings = DoorSettings {
            calls_per_caller: 1,
            streams_per_caller: 2,
            ..DoorSettings::default()
        };
        let counts = Arc::new(Counts::new(Duration::ZERO));
        let shares = Arc::new(Shares::new(&settings, Arc::clone(&counts)));
        let take = |name: &str, path: &str| shares.take(&caller(name), path, Version::HTTP_2);
        let call = take("one", GET).expect("the first").expect("counted");
        let refused = take("one", GET).expect_err("one too many");
        assert_eq!(refused.headers()["grpc-status"], "8");
        let refused = take("one", "/api/dr-backups").expect_err("by JSON too");
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let streams = [take("one", WATCH), take("one", WATCH)];
        assert!(streams.iter().all(Result::is_ok), "streams count apart");
        assert!(take("one", WATCH).is_err());
        assert!(take("other", GET).is_ok());
        drop(call);
        assert!(take("one", GET).is_ok());
        drop(streams);
        assert!(shares.under_way.lock().expect("whole").is_empty());
        let refusals = counts
            .refusals()
            .find(|(reason, _)| *reason == Reason::Caller);
        assert_eq!(refusals, Some((Reason::Caller, 3)));
        let open = shares.take(&Caller::anybody(), GET, Version::HTTP_2);
        assert!(open.expect("let in").is_none(), "nobody is told apart");
    }
}
