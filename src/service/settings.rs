//! The sections of the configuration by which requests are judged, and what was left behind; it may not
//! know where values come from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{domain::schedule::ScheduleSettings, span::Span};

/// What the service needs of the configuration.
#[derive(Debug, Clone, Default)]
pub struct ServiceSettings {
    /// What a request may be at most.
    pub requests: RequestSettings,
    /// How orphans are told from what is in use, and deleted.
    pub orphans: OrphanSettings,
    /// How schedules are driven.
    pub schedules: ScheduleSettings,
}

/// What a request may be at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// Characters of a name at most.
    pub name_characters: usize,
    /// Characters of a description at most; Cinder takes 255.
    pub description_characters: usize,
    /// Characters of user data in base64 at most; Nova takes 65535.
    pub user_data_characters: usize,
    /// Characters of a `request_id` at most.
    pub request_id_characters: usize,
    /// Rows of a page when the caller names no size.
    pub page_default: u32,
    /// Rows of a page at most.
    pub page_max: u32,
    /// Restorations that a DR backup or a regular one lists at most.
    pub listed_restorations: u32,
    /// How long a piece of work may take when the caller names no limit, beside what moving its bytes
    /// may take; then it is undone.
    #[serde(with = "Span")]
    pub operation_deadline: Duration,
    /// How much longer for each GiB that it has to move.
    #[serde(with = "Span")]
    pub deadline_per_gib: Duration,
    /// Where the last DR backup of the instance was slower than that, a GiB may take so many times as
    /// long as it took then.
    pub deadline_factor: u32,
    /// How long the one short look at a cloud may take before a request is accepted without it.
    #[serde(with = "Span")]
    pub peek: Duration,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            name_characters: 255,
            description_characters: 255,
            user_data_characters: 65_535,
            request_id_characters: 128,
            page_default: 50,
            page_max: 1000,
            listed_restorations: 100,
            operation_deadline: Duration::from_secs(24 * 60 * 60),
            deadline_per_gib: Duration::from_secs(60),
            deadline_factor: 4,
            peek: Duration::from_secs(10),
        }
    }
}

/// How what was left behind is found, and how it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OrphanSettings {
    /// The shortest time between two looks through one tenant for what was left behind there; they
    /// only count.
    #[serde(with = "Span")]
    pub every: Duration,
    /// How old a thing has to be to be called an orphan: a request for it may still be on its way.
    #[serde(with = "Span")]
    pub grace: Duration,
    /// Tenants that one replica takes upon itself at once to look through.
    pub counted_at_once: u32,
    /// Orphans that one request may delete at most.
    pub deleted_at_once: usize,
}

impl Default for OrphanSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60 * 60),
            grace: Duration::from_secs(60 * 60),
            counted_at_once: 16,
            deleted_at_once: 100,
        }
    }
}
