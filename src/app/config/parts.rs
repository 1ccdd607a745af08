//! The sections of the configuration that no room but this one reads; it may not know where values come
//! from.

use std::{
    net::{AddrParseError, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct LogSettings {
    /// What to log: a level, or levels by module, such as `info,drbackup::engine=debug`.
    pub(in crate::app) filter: String,
    /// `text` for people, `json` for one JSON object a line.
    pub(in crate::app) format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(in crate::app) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Where operators and their tools look: metrics and probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct OpsSettings {
    /// Address to answer `/metrics`, `/livez` and `/readyz` on, without a login and without encryption.
    /// Port 0 takes any free one, which the log tells. Empty turns it off. Where another program has the
    /// default one, the service runs without it and says so.
    pub(in crate::app) listen: String,
    /// Schedules of which metrics tell one by one: those whose newest good point is oldest.
    pub(in crate::app) schedules: u32,
}

impl OpsSettings {
    /// Where to listen, if anywhere.
    pub(in crate::app) fn address(&self) -> Result<Option<SocketAddr>, AddrParseError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        self.listen.parse().map(Some)
    }
}

impl Default for OpsSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7448".to_owned(),
            schedules: 500,
        }
    }
}

/// The certificates of the listener; without them it does not encrypt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct TlsSettings {
    /// The file of the certificate that callers are shown, with its chain, as PEM. Empty means that
    /// nothing is encrypted.
    pub(in crate::app) cert: Option<PathBuf>,
    /// The file of its key, as PEM.
    pub(in crate::app) key: Option<PathBuf>,
    /// The file of the authorities, as PEM, of which every caller needs a certificate; whoever has
    /// one may do everything. Empty lets everybody in.
    pub(in crate::app) client_ca: Option<PathBuf>,
    /// How often these files and the credentials of the clouds are looked at. When they have changed, or on
    /// SIGHUP, they are read again and used for new connections and calls; what cannot be used is warned about, and what was in force stays so.
    #[serde(with = "Span")]
    pub(in crate::app) look_every: Duration,
    /// How long before a certificate ends the log begins to warn, at the start, after each reading, and
    /// once a day.
    #[serde(with = "Span")]
    pub(in crate::app) expiry_warning: Duration,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            look_every: Duration::from_secs(30),
            expiry_warning: Duration::from_secs(14 * 24 * 60 * 60),
        }
    }
}
