//! The section of the configuration about this door; it may not know where values come from.

use serde::{Deserialize, Serialize};

/// The door of JSON and the metrics.
///
/// What it does not read itself is for whoever listens for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RestSettings {
    /// Whether JSON over HTTP is answered below `/api/`, and metrics at `/metrics`.
    pub enabled: bool,
    /// Address to answer these on instead of that of gRPC; it is encrypted, and open, as that one is.
    /// Empty answers both on one port.
    pub listen: String,
    /// Names of this host that are taken beside those of loopback where the address is one of loopback:
    /// those that a reverse proxy passes on as `Host`. They hold for gRPC too.
    pub hosts: Vec<String>,
    /// Bytes of a request in JSON at most.
    pub body_bytes: usize,
    /// Rows of a page in JSON at most; `requests.page_max` limits it too.
    // Each has everything in it, and costs a question of its own.
    pub page_max: u32,
}

impl Default for RestSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: String::new(),
            hosts: Vec::new(),
            body_bytes: 64 * 1024,
            page_max: 100,
        }
    }
}
