//! The section of the configuration about the door; it may not know where values come from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What the door allows.
///
/// What it does not read itself is for whoever listens for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// Watch streams that may be open at once, over all callers.
    pub streams: usize,
    /// Answers of each kind that are kept, and given again for as long as nothing was written at all.
    /// With PostgreSQL, where other replicas write too, none are.
    pub answers: usize,
    /// Bytes of a request at most, as they are when nothing is compressed: user data, metadata, and a
    /// resource that is sent back as it was read fit in.
    pub request_bytes: usize,
    /// The same of a request that brings neither: to the clouds, to health checks and to reflection.
    pub small_request_bytes: usize,
    /// Calls and streams that one connection may have open at once.
    pub connection_streams: u32,
    /// Bytes of an answer that wait for a caller who does not take them, before no more of it is read; a
    /// message is always written whole.
    pub stream_bytes: usize,
    /// How often a quiet connection is asked whether it is still there.
    #[serde(with = "Span")]
    pub keep_alive: Duration,
    /// How long it may take to answer that.
    #[serde(with = "Span")]
    pub keep_alive_answer: Duration,
    /// How often the database is asked whether it answers; while it does not, health checks say
    /// `NOT_SERVING`.
    #[serde(with = "Span")]
    pub health_every: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            streams: 10_000,
            answers: 256,
            request_bytes: 512 * 1024,
            small_request_bytes: 64 * 1024,
            connection_streams: 1000,
            stream_bytes: 16 * 1024,
            keep_alive: Duration::from_secs(30),
            keep_alive_answer: Duration::from_secs(10),
            health_every: Duration::from_secs(5),
        }
    }
}
