//! A call to a service, as it is put together; this file may not know how it is sent, nor what it is for.

use http::Method;
use serde_json::Value;

use super::{answer::Unread, path::Path, version::Microversion};
use crate::domain::fault::{Fault, FaultKind, Service};

/// A call to be made.
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) method: Method,
    /// Below the versioned root, and below the project where Cinder wants one.
    pub(super) path: Path,
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
        path: impl Into<Path>,
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

    pub(super) fn get(service: Service, path: impl Into<Path>, action: impl Into<String>) -> Self {
        Self::new(Method::GET, service, path, action)
    }

    pub(super) fn post(
        service: Service,
        path: impl Into<Path>,
        action: impl Into<String>,
        body: Value,
    ) -> Self {
        let mut call = Self::new(Method::POST, service, path, action);
        call.body = Some(body);
        call
    }

    pub(super) fn put(
        service: Service,
        path: impl Into<Path>,
        action: impl Into<String>,
        body: Value,
    ) -> Self {
        let mut call = Self::new(Method::PUT, service, path, action);
        call.body = Some(body);
        call
    }

    pub(super) fn delete(
        service: Service,
        path: impl Into<Path>,
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

    /// The fault of an answer in which `what` cannot be read, and why: it leaves open what happened.
    pub(super) fn unreadable(&self, what: &str, why: Unread) -> Fault {
        let (action, message) = (self.action.clone(), why.in_search_of(what));
        Fault::new(FaultKind::Unanswered, self.service, action, message)
    }
}
