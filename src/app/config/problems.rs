//! What of a configuration cannot work together; it may not know where its values came from.

use std::net::SocketAddr;

use super::{Config, flat};
use crate::api::limits;

impl Config {
    /// What cannot work, all of it at once.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |truth: bool, problem: &str| {
            if !truth {
                problems.push(problem.to_owned());
            }
        };
        let rest = self.rest_listen();
        must(
            rest.as_ref().is_ok_and(|rest| *rest != Some(self.listen)),
            "rest.listen: is neither empty nor another ADDRESS:PORT",
        );
        let ops = self.ops.address();
        // Port 0 is another one each time.
        let is_taken = |ops: SocketAddr| {
            let others = [Some(self.listen), rest.clone().ok().flatten()];
            ops.port() != 0 && others.contains(&Some(ops))
        };
        must(
            ops.is_ok_and(|ops| ops.is_none_or(|ops| !is_taken(ops))),
            "ops.listen: is neither empty nor another ADDRESS:PORT",
        );
        let tells_apart = self.tls.client_ca.is_some() || !self.auth.is_open();
        let is_meant = self.insecure_open || tells_apart;
        for (key, address) in [("listen", Ok(Some(self.listen))), ("rest.listen", rest)] {
            let is_far = address.is_ok_and(|one| one.is_some_and(|one| !one.ip().is_loopback()));
            must(
                is_meant || !is_far,
                &format!(
                    "{key}: the API is open to everybody who can reach it; for an address that is not \
                     loopback say so with insecure_open (--insecure-open), or tell callers apart (auth, \
                     tls.client_ca)"
                ),
            );
            must(
                self.auth.is_open() || self.insecure_open || self.tls.cert.is_some() || !is_far,
                &format!(
                    "{key}: callers would send their tokens in the clear; encrypt them (tls.cert), or say that \
                     something before this service does (insecure_open)"
                ),
            );
        }
        must(
            self.tls.cert.is_some() == self.tls.key.is_some(),
            "tls.key: belongs to tls.cert, and one does not work without the other",
        );
        must(
            self.tls.cert.is_some() || self.tls.client_ca.is_none(),
            "tls.client_ca: needs tls.cert, because without it nothing is encrypted",
        );
        let engine = &self.engine;
        must(
            engine.lease > engine.lease_margin * 2,
            "engine.lease: must be more than twice engine.lease_margin",
        );
        must(
            engine.observe_min <= engine.observe_max,
            "engine.observe_min: must not be longer than engine.observe_max",
        );
        must(
            engine.retry_first <= engine.retry_max,
            "engine.retry_first: must not be longer than engine.retry_max",
        );
        must(
            self.requests.page_default <= self.requests.page_max,
            "requests.page_default: must not be more than requests.page_max",
        );
        let (requests, orphans) = (&self.requests, self.orphans.deleted_at_once);
        for (key, value, most) in [
            (
                "requests.name_characters",
                requests.name_characters,
                limits::WORD,
            ),
            (
                "requests.description_characters",
                requests.description_characters,
                limits::TEXT,
            ),
            (
                "requests.user_data_characters",
                requests.user_data_characters,
                limits::USER_DATA,
            ),
            (
                "requests.request_id_characters",
                requests.request_id_characters,
                limits::WORD,
            ),
            ("orphans.deleted_at_once", orphans, limits::ORPHANS),
        ] {
            must(
                value <= most,
                &format!("{key}: must not be more than {most}, which is all that the API takes"),
            );
        }
        let values = flat(self);
        for (key, value) in &values {
            must(value != "0", &format!("{key}: must be more than 0"));
        }
        problems
    }
}
