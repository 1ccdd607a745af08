//! Decides and admits what callers ask for; it may not know transports, SQL, or wait on a cloud
//! for longer than one short read.

pub mod cloud;
mod content;
pub mod events;
pub mod fields;
pub mod orphan;
pub mod point;
mod rehearsal;
pub mod request;
pub mod restoration;
pub mod retention;
pub mod run;
pub mod schedule;
mod scope;
pub mod take_in;
pub mod verification;

use std::{sync::Arc, time::Duration};

use self::{run::RunCounts, scope::Gate, verification::LookCounts};
use crate::{
    domain::{
        decision::Planner,
        error::{Error, ErrorKind, UNREADABLE, UNREADABLE_GUIDANCE, UNREADABLE_TEXT},
        schedule::ScheduleSettings,
    },
    port::{
        clock::Clock,
        cloud::Cloud,
        store::{Store, StoreError},
    },
};

/// What a request may be at most; each limit has its name in the configuration.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Characters of a name.
    pub name_characters: usize,
    /// Characters of a description; Cinder takes 255.
    pub description_characters: usize,
    /// Characters of user data in base64; Nova takes 65,535.
    pub user_data_characters: usize,
    /// Rows of a page when the caller names none.
    pub page_default: u32,
    /// Rows of a page at most.
    pub page_max: u32,
    /// Characters of a request id.
    pub request_id_characters: usize,
    /// How long an operation may take when the caller names nothing, beside what moving takes.
    pub operation_deadline: Duration,
    /// How long moving one GiB may take when the caller names nothing and nothing slower was seen.
    pub deadline_per_gib: Duration,
    /// How many times longer than the last time a GiB may take to be moved.
    pub deadline_factor: u32,
    /// Restorations that a point lists.
    pub listed_restorations: u32,
    /// How long the one short read at admission may take.
    pub peek: Duration,
    /// How long a thing in a cloud is too young to be called an orphan: a request for it, or the row
    /// that accounts for it, may still be on its way.
    pub orphan_grace: Duration,
    /// Orphans that one request may delete.
    pub orphans_at_once: usize,
    /// Runs of schedules that may be under way in one cloud at once.
    pub runs_per_cloud: u32,
    /// How long a run that found no place waits before it looks again; so many times as long as there are
    /// rounds of runs before it.
    pub run_waits: Duration,
    /// Runs that a preview shows at most.
    pub previewed_runs: u32,
    /// How schedules are driven.
    pub schedules: ScheduleSettings,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name_characters: 255,
            description_characters: 255,
            user_data_characters: 65_535,
            page_default: 50,
            page_max: 1000,
            request_id_characters: 128,
            operation_deadline: Duration::from_secs(24 * 60 * 60),
            deadline_per_gib: Duration::from_secs(60),
            deadline_factor: 4,
            listed_restorations: 100,
            peek: Duration::from_secs(10),
            orphan_grace: Duration::from_secs(60 * 60),
            orphans_at_once: 100,
            runs_per_cloud: 20,
            run_waits: Duration::from_secs(10),
            previewed_runs: 100,
            schedules: ScheduleSettings::default(),
        }
    }
}

/// The service: one value, shared by all doors.
#[derive(Clone)]
pub struct Service {
    store: Arc<dyn Store>,
    gate: Gate,
    clock: Arc<dyn Clock>,
    limits: Limits,
    planner: Planner,
    runs: Arc<RunCounts>,
    looks: Arc<LookCounts>,
}

impl Service {
    /// A service over these; `planner` is the one by which the work is done that it admits.
    pub fn new(
        store: Arc<dyn Store>,
        cloud: Arc<dyn Cloud>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        planner: Planner,
    ) -> Self {
        Self {
            store,
            gate: Gate::new(cloud, limits.peek),
            clock,
            limits,
            planner,
            runs: Arc::default(),
            looks: Arc::default(),
        }
    }

    /// How many rows of each kind this process could not read.
    pub fn rows_unread(&self) -> Vec<(&'static str, u64)> {
        self.store.unread()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// What a caller is told when the store said no.
fn refused(error: StoreError) -> Error {
    match error {
        StoreError::NotFound(resource) => Error::not_found(resource.noun(), resource.uuid()),
        StoreError::Outdated(resource) => Error::new(
            ErrorKind::Outdated,
            format!("{resource} changed since it was read"),
        )
        .advise("read it again and decide anew"),
        StoreError::RequestReused => Error::new(
            ErrorKind::RequestReused,
            "request_id was used before with other content",
        )
        .advise("use a new request_id for a new request"),
        StoreError::InUse(restorations) => {
            let ids: Vec<String> = restorations.iter().map(ToString::to_string).collect();
            Error::precondition(
                "RESTORATIONS_RUNNING",
                format!("restorations of it are running: {}", ids.join(", ")),
            )
            .advise("wait for them or cancel them, then delete")
        }
        StoreError::BuiltUpon(backups) => {
            let ids: Vec<String> = backups.iter().map(ToString::to_string).collect();
            Error::precondition(
                "BUILT_UPON",
                format!("other DR backups build on it: {}", ids.join(", ")),
            )
            .advise("delete those first, the newest first")
        }
        StoreError::Unavailable(_) => {
            Error::new(ErrorKind::Unavailable, "the store does not answer")
                .advise("try again; the same request_id makes that safe")
        }
        StoreError::Unreadable(problem) => {
            Error::precondition(UNREADABLE, format!("it {UNREADABLE_TEXT}: {problem}"))
                .advise(UNREADABLE_GUIDANCE)
        }
        StoreError::Defect(_) => {
            tracing::error!(%error, "the store answered something that a caller cannot be told");
            Error::new(ErrorKind::Internal, "an internal error happened")
                .advise("look into the log of this service")
        }
    }
}
