//! The parts of the configuration that the rooms take, with their defaults and in the rooms' own words;
//! it may not know where values come from.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    api,
    cli::config::Span,
    engine, plan, rest, service,
    worker::{history_pruner, orphan_scanner, retention, ticker, verifier},
};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Log {
    pub(in crate::app) filter: String,
    pub(in crate::app) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::app) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The certificates of the listener; without them it does not encrypt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Tls {
    pub(in crate::app) cert: Option<PathBuf>,
    pub(in crate::app) key: Option<PathBuf>,
    pub(in crate::app) client_ca: Option<PathBuf>,
}

/// What the door allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Api {
    pub(in crate::app) streams: usize,
    pub(in crate::app) answers: usize,
    pub(in crate::app) connection_streams: u32,
    pub(in crate::app) keep_alive: Span,
    pub(in crate::app) keep_alive_answer: Span,
    pub(in crate::app) health_every: Span,
}

/// The REST face and the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Rest {
    pub(in crate::app) enabled: bool,
    pub(in crate::app) listen: String,
    pub(in crate::app) body_bytes: usize,
    pub(in crate::app) page_max: u32,
}

/// What a request may be at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Requests {
    pub(in crate::app) name_characters: usize,
    pub(in crate::app) description_characters: usize,
    pub(in crate::app) user_data_characters: usize,
    pub(in crate::app) request_id_characters: usize,
    pub(in crate::app) page_default: u32,
    pub(in crate::app) page_max: u32,
    pub(in crate::app) listed_restorations: u32,
    pub(in crate::app) operation_deadline: Span,
    pub(in crate::app) deadline_per_gib: Span,
    pub(in crate::app) deadline_factor: u32,
    pub(in crate::app) peek: Span,
}

/// How much of the database is used at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Store {
    pub(in crate::app) connections: usize,
    pub(in crate::app) page_limit: u32,
    pub(in crate::app) migrate: bool,
}

/// How long history is kept, and how it is let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct History {
    pub(in crate::app) keep: Span,
    pub(in crate::app) every: Span,
    pub(in crate::app) rows: u32,
}

/// How what was left behind is found, and how it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Orphans {
    pub(in crate::app) every: Span,
    pub(in crate::app) grace: Span,
    pub(in crate::app) counted_at_once: u32,
    pub(in crate::app) deleted_at_once: usize,
}

/// How the claim that points can be restored is renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Verification {
    pub(in crate::app) every: Span,
    pub(in crate::app) urgent: Span,
    pub(in crate::app) at_once: u32,
}

/// How schedules are driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Schedules {
    pub(in crate::app) runs_per_cloud: u32,
    pub(in crate::app) run_waits: Span,
    pub(in crate::app) missed_after: Span,
    pub(in crate::app) retry_first: Span,
    pub(in crate::app) retry_max: Span,
    pub(in crate::app) previewed_runs: u32,
    pub(in crate::app) tick_shortest: Span,
    pub(in crate::app) tick_longest: Span,
    pub(in crate::app) taken_at_once: u32,
}

/// How what nobody wants to keep is let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Retention {
    pub(in crate::app) every: Span,
    pub(in crate::app) read_at_once: u32,
}

/// How patient the work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Patience {
    pub(in crate::app) stall_after: Span,
    pub(in crate::app) stuck_after: Span,
    pub(in crate::app) cleanup: Span,
    pub(in crate::app) asked_while_used: u32,
    pub(in crate::app) tries: u32,
    pub(in crate::app) pause: Span,
    pub(in crate::app) hold_pause: Span,
    pub(in crate::app) links_max: usize,
}

/// The paces and limits of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct Engine {
    pub(in crate::app) lease: Span,
    pub(in crate::app) lease_margin: Span,
    pub(in crate::app) lanes_max: u32,
    pub(in crate::app) observe_first: Span,
    pub(in crate::app) observe_min: Span,
    pub(in crate::app) observe_max: Span,
    pub(in crate::app) observe_share: u32,
    pub(in crate::app) observe_effort: u32,
    pub(in crate::app) observe_crowd: u32,
    pub(in crate::app) sight_age: Span,
    pub(in crate::app) settle: Span,
    pub(in crate::app) retry_first: Span,
    pub(in crate::app) retry_max: Span,
    pub(in crate::app) attempts_max: u32,
    pub(in crate::app) requests_per_tenant: usize,
    pub(in crate::app) reads_per_tenant: usize,
    pub(in crate::app) store_retry: Span,
    pub(in crate::app) aside_retry: Span,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            streams: api::server::Limits::default().streams,
            answers: api::server::Limits::default().answers,
            connection_streams: 1000,
            keep_alive: Span(Duration::from_secs(30)),
            keep_alive_answer: Span(Duration::from_secs(10)),
            health_every: Span(Duration::from_secs(5)),
        }
    }
}

impl Default for Rest {
    fn default() -> Self {
        let settings = rest::server::Settings::default();
        Self {
            enabled: true,
            listen: String::new(),
            body_bytes: settings.body_bytes,
            page_max: settings.page_max,
        }
    }
}

impl Default for Requests {
    fn default() -> Self {
        let limits = service::Limits::default();
        Self {
            name_characters: limits.name_characters,
            description_characters: limits.description_characters,
            user_data_characters: limits.user_data_characters,
            request_id_characters: limits.request_id_characters,
            page_default: limits.page_default,
            page_max: limits.page_max,
            listed_restorations: limits.listed_restorations,
            operation_deadline: Span(limits.operation_deadline),
            deadline_per_gib: Span(limits.deadline_per_gib),
            deadline_factor: limits.deadline_factor,
            peek: Span(limits.peek),
        }
    }
}

impl From<&Requests> for service::Limits {
    fn from(requests: &Requests) -> Self {
        Self {
            name_characters: requests.name_characters,
            description_characters: requests.description_characters,
            user_data_characters: requests.user_data_characters,
            request_id_characters: requests.request_id_characters,
            page_default: requests.page_default,
            page_max: requests.page_max,
            listed_restorations: requests.listed_restorations,
            operation_deadline: requests.operation_deadline.0,
            deadline_per_gib: requests.deadline_per_gib.0,
            deadline_factor: requests.deadline_factor,
            peek: requests.peek.0,
            ..Self::default()
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            connections: 8,
            page_limit: 1000,
            migrate: true,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        let settings = history_pruner::Settings::default();
        Self {
            keep: Span(settings.keep),
            every: Span(settings.every),
            rows: settings.rows,
        }
    }
}

impl From<&History> for history_pruner::Settings {
    fn from(history: &History) -> Self {
        Self {
            keep: history.keep.0,
            every: history.every.0,
            rows: history.rows,
        }
    }
}

impl Default for Orphans {
    fn default() -> Self {
        let settings = orphan_scanner::Settings::default();
        let limits = service::Limits::default();
        Self {
            every: Span(settings.every),
            grace: Span(limits.orphan_grace),
            counted_at_once: settings.at_once,
            deleted_at_once: limits.orphans_at_once,
        }
    }
}

impl From<&Orphans> for orphan_scanner::Settings {
    fn from(orphans: &Orphans) -> Self {
        Self {
            every: orphans.every.0,
            at_once: orphans.counted_at_once,
        }
    }
}

impl Default for Verification {
    fn default() -> Self {
        let settings = verifier::Settings::default();
        Self {
            every: Span(settings.every),
            urgent: Span(settings.urgent),
            at_once: settings.at_once,
        }
    }
}

impl From<&Verification> for verifier::Settings {
    fn from(verification: &Verification) -> Self {
        Self {
            every: verification.every.0,
            urgent: verification.urgent.0,
            at_once: verification.at_once,
        }
    }
}

impl Default for Schedules {
    fn default() -> Self {
        let (limits, ticker) = (service::Limits::default(), ticker::Settings::default());
        Self {
            runs_per_cloud: limits.runs_per_cloud,
            run_waits: Span(limits.run_waits),
            missed_after: Span(limits.schedules.missed_after),
            retry_first: Span(limits.schedules.retry_first),
            retry_max: Span(limits.schedules.retry_max),
            previewed_runs: limits.previewed_runs,
            tick_shortest: Span(ticker.shortest),
            tick_longest: Span(ticker.longest),
            taken_at_once: ticker.at_once,
        }
    }
}

impl From<&Schedules> for ticker::Settings {
    fn from(schedules: &Schedules) -> Self {
        Self {
            shortest: schedules.tick_shortest.0,
            longest: schedules.tick_longest.0,
            at_once: schedules.taken_at_once,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        let settings = retention::Settings::default();
        Self {
            every: Span(settings.every),
            read_at_once: settings.at_once,
        }
    }
}

impl From<&Retention> for retention::Settings {
    fn from(retention: &Retention) -> Self {
        Self {
            every: retention.every.0,
            at_once: retention.read_at_once,
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        let limits = plan::Limits::default();
        Self {
            stall_after: Span(limits.stall_after),
            stuck_after: Span(limits.stuck_after),
            cleanup: Span(limits.cleanup),
            asked_while_used: limits.asked_while_used,
            tries: limits.tries,
            pause: Span(limits.pause),
            hold_pause: Span(limits.hold_pause),
            links_max: limits.links_max,
        }
    }
}

impl From<&Patience> for plan::Limits {
    fn from(patience: &Patience) -> Self {
        Self {
            stall_after: patience.stall_after.0,
            stuck_after: patience.stuck_after.0,
            cleanup: patience.cleanup.0,
            asked_while_used: patience.asked_while_used,
            tries: patience.tries.max(1),
            pause: patience.pause.0,
            hold_pause: patience.hold_pause.0,
            links_max: patience.links_max,
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        let settings = engine::Settings::default();
        Self {
            lease: Span(settings.lease),
            lease_margin: Span(settings.lease_margin),
            lanes_max: settings.lanes_max,
            observe_first: Span(settings.observe_first),
            observe_min: Span(settings.observe_min),
            observe_max: Span(settings.observe_max),
            observe_share: settings.observe_share,
            observe_effort: settings.observe_effort,
            observe_crowd: settings.observe_crowd,
            sight_age: Span(settings.sight_age),
            settle: Span(settings.settle),
            retry_first: Span(settings.retry_first),
            retry_max: Span(settings.retry_max),
            attempts_max: settings.attempts_max,
            requests_per_tenant: settings.requests_per_tenant,
            reads_per_tenant: settings.reads_per_tenant,
            store_retry: Span(settings.store_retry),
            aside_retry: Span(settings.aside_retry),
        }
    }
}

impl From<&Engine> for engine::Settings {
    fn from(engine: &Engine) -> Self {
        Self {
            lease: engine.lease.0,
            lease_margin: engine.lease_margin.0,
            lanes_max: engine.lanes_max,
            observe_first: engine.observe_first.0,
            observe_min: engine.observe_min.0,
            observe_max: engine.observe_max.0,
            observe_share: engine.observe_share,
            observe_effort: engine.observe_effort,
            observe_crowd: engine.observe_crowd,
            sight_age: engine.sight_age.0,
            settle: engine.settle.0,
            retry_first: engine.retry_first.0,
            retry_max: engine.retry_max.0,
            attempts_max: engine.attempts_max,
            requests_per_tenant: engine.requests_per_tenant,
            reads_per_tenant: engine.reads_per_tenant,
            store_retry: engine.store_retry.0,
            aside_retry: engine.aside_retry.0,
        }
    }
}
