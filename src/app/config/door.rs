//! The section of the configuration about the entrance; it may not know where values come from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What the entrance takes, before anybody knows who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct DoorSettings {
    /// Connections that may be open at once, at all addresses together; one more is closed at once. The
    /// process raises its limit of open files as far as it may, and says so where that is less.
    pub(in crate::app) connections: usize,
    /// Calls that may be under way at once, over all connections; one more is `RESOURCE_EXHAUSTED`, or 429.
    /// An open watch counts as a stream (`api.streams`) instead; health checks and `/metrics` never do.
    pub(in crate::app) calls: usize,
    /// Calls of one caller that may be under way at once, where callers are told apart; one more is
    /// `RESOURCE_EXHAUSTED`, or 429.
    pub(in crate::app) calls_per_caller: usize,
    /// Watch streams that one caller may have open at once, where callers are told apart.
    pub(in crate::app) streams_per_caller: usize,
    /// How long the handshake of TLS may take.
    #[serde(with = "Span")]
    pub(in crate::app) handshake: Duration,
    /// How long a new connection may take until its first request has come with all its headers.
    #[serde(with = "Span")]
    pub(in crate::app) first_request: Duration,
    /// How long a request may take from its headers to its end.
    #[serde(with = "Span")]
    pub(in crate::app) body: Duration,
    /// How long a connection may have nothing under way before it is asked to end.
    #[serde(with = "Span")]
    pub(in crate::app) idle: Duration,
    /// How old a connection may be before it is asked to end (GOAWAY): what is under way goes on, what
    /// is new takes a connection of its own.
    #[serde(with = "Span")]
    pub(in crate::app) age: Duration,
    /// How long what is under way on it may take after that; a watch that is cut off then is opened again
    /// without a gap.
    #[serde(with = "Span")]
    pub(in crate::app) age_patience: Duration,
    /// How long nobody is let in after the process had no file left for a connection.
    #[serde(with = "Span")]
    pub(in crate::app) files_pause: Duration,
    /// The shortest time between two lines of the log about one limit that keeps callers out.
    #[serde(with = "Span")]
    pub(in crate::app) log_every: Duration,
}

impl Default for DoorSettings {
    fn default() -> Self {
        Self {
            connections: 4096,
            calls: 1000,
            calls_per_caller: 250,
            streams_per_caller: 2500,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(5 * 60),
            age: Duration::from_secs(60 * 60),
            age_patience: Duration::from_secs(24 * 60 * 60),
            files_pause: Duration::from_millis(200),
            log_every: Duration::from_secs(10),
        }
    }
}
