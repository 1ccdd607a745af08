//! Decides and admits what callers ask for; it may not know transports, SQL, or wait on a cloud
//! for longer than one short read.

pub mod acting;
pub mod cloud;
mod content;
pub mod events;
pub mod fields;
pub mod freshness;
pub mod orphan;
pub mod point;
mod refusals;
mod rehearsal;
pub mod request;
pub mod restoration;
pub mod retention;
pub mod run;
pub mod schedule;
mod scope;
pub mod settings;
pub mod take_in;
pub mod verification;

use std::sync::Arc;

use tokio::sync::OnceCell;

use self::{
    refusals::Refusals,
    run::RunCounts,
    scope::Gate,
    settings::{RequestSettings, ServiceSettings},
    verification::LookCounts,
};
use crate::{
    domain::{
        decision::Planner,
        error::{Error, ErrorKind, UNREADABLE, UNREADABLE_GUIDANCE, UNREADABLE_TEXT},
        page::PageKey,
    },
    port::{
        clock::Clock,
        cloud::Cloud,
        store::{Store, StoreError},
    },
};

/// The service: one value, shared by all doors.
#[derive(Clone)]
pub struct Service {
    store: Arc<dyn Store>,
    gate: Gate,
    clock: Arc<dyn Clock>,
    settings: ServiceSettings,
    planner: Planner,
    runs: Arc<RunCounts>,
    looks: Arc<LookCounts>,
    page_key: Arc<OnceCell<PageKey>>,
    refusals: Arc<Refusals>,
}

impl Service {
    /// A service over these; `planner` is the one by which the work is done that it admits.
    pub fn new(
        store: Arc<dyn Store>,
        cloud: Arc<dyn Cloud>,
        clock: Arc<dyn Clock>,
        settings: ServiceSettings,
        planner: Planner,
    ) -> Self {
        Self {
            store,
            gate: Gate::new(cloud, settings.requests.peek),
            clock,
            settings,
            planner,
            runs: Arc::default(),
            looks: Arc::default(),
            page_key: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// How many rows of each kind this process could not read.
    pub fn rows_unread(&self) -> Vec<(&'static str, u64)> {
        self.store.unread()
    }

    /// What a request may be at most.
    pub fn limits(&self) -> &RequestSettings {
        &self.settings.requests
    }

    /// What the tokens of pages are sealed with, read once.
    pub async fn page_key(&self) -> Result<&PageKey, Error> {
        let read = || self.store.page_key();
        self.page_key.get_or_try_init(read).await.map_err(refused)
    }

    /// Runs that a preview tells at most.
    pub fn previewed_runs(&self) -> u32 {
        self.settings.schedules.previewed_runs
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
