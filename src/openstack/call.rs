//! A call to a service, as it is put together; this file may not know how it is sent, nor what it is for.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::version::Microversion;
use crate::domain::fault::{Fault, FaultKind, Service};

/// A call to be made.
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) method: Method,
    /// Below the versioned root, and below the project where Cinder wants one.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) microversion: Option<Microversion>,
    pub(super) action: String,
    /// What must not appear in a message about it.
    pub(super) secrets: Vec<String>,
}

impl Call {
    fn new(
        method: Method,
        service: Service,
        path: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self {
            service,
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            microversion: None,
            action: action.into(),
            secrets: Vec::new(),
        }
    }

    pub(super) fn get(
        service: Service,
        path: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self::new(Method::GET, service, path, action)
    }

    pub(super) fn post(
        service: Service,
        path: impl Into<String>,
        action: impl Into<String>,
        body: Value,
    ) -> Self {
        let mut call = Self::new(Method::POST, service, path, action);
        call.body = Some(body);
        call
    }

    pub(super) fn put(
        service: Service,
        path: impl Into<String>,
        action: impl Into<String>,
        body: Value,
    ) -> Self {
        let mut call = Self::new(Method::PUT, service, path, action);
        call.body = Some(body);
        call
    }

    pub(super) fn delete(
        service: Service,
        path: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self::new(Method::DELETE, service, path, action)
    }

    /// Adds a query parameter; several of one name are several values.
    pub(super) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// The microversion to speak, already known to be spoken by the service.
    pub(super) fn at(mut self, microversion: Option<Microversion>) -> Self {
        self.microversion = microversion;
        self
    }

    /// Something in the body that must not be told.
    pub(super) fn hiding(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// Whether the answer to a creation tells of what was asked for. One that was mixed up on its way
    /// tells of something that is not ours to touch; ours is found by its name.
    pub(super) fn tells_of(&self, name: &str, told: &str) -> Result<(), Fault> {
        if told == name {
            return Ok(());
        }
        let action = self.action.clone();
        let message = format!("the answer tells of `{told}`");
        Err(Fault::new(
            FaultKind::Unanswered,
            self.service,
            action,
            message,
        ))
    }

    /// The fault of an answer in which `what` cannot be read: it leaves open what happened.
    pub(super) fn unreadable(&self, what: &str) -> Fault {
        Fault::new(
            FaultKind::Unanswered,
            self.service,
            self.action.clone(),
            format!("the answer has no usable `{what}`"),
        )
    }
}

/// What an id may have as it is in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An id, a caller's or one that a cloud told, as one segment of a path, whatever is in it.
pub(super) fn segment(id: &impl ToString) -> String {
    utf8_percent_encode(&id.to_string(), SEGMENT).to_string()
}

/// Whether a segment is none, or one that leads up or nowhere; dots mean that in every spelling.
pub(super) fn leads_elsewhere(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_a_path_and_leads_nowhere_else() {
        for (id, told) in [
            ("f3a9-1_x~.y", "f3a9-1_x~.y"),
            ("a/../b", "a%2F..%2Fb"),
            ("%2e%2e", "%252e%252e"),
            ("x?y#z", "x%3Fy%23z"),
            ("ü\n", "%C3%BC%0A"),
        ] {
            assert_eq!(segment(&id), told);
        }
        for odd in ["", ".", "..", "%2E%2e", ".%2e"] {
            assert!(leads_elsewhere(odd), "{odd}");
        }
        for good in ["detail", "a%2F..%2Fb", "...", "a.b"] {
            assert!(!leads_elsewhere(good), "{good}");
        }
    }
}
