//! Carries decisions out: acts, observes, records; it may not know what a backup is, SQL or HTTP.
//!
//! One replica runs one engine. It claims lanes, and each lane runs as one task: a turn applies
//! what happened, asks the planner, records everything in one transaction, and only then lets
//! requests leave. What it holds in memory is a copy of the store and may be thrown away at any
//! moment; a lane that is loaded anew doubts every request that it finds without an answer.

mod act;
pub mod aside;
mod call_gate;
mod end;
mod exit;
mod guard;
mod lane;
mod last_turn;
pub mod meter;
mod observe;
mod permits;
mod phases;
#[cfg(test)]
mod tests;
mod turn;

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{aside::Asides, call_gate::CallGate, meter::Meter};
use crate::{
    domain::id::{Lane, ReplicaId, Tenant},
    port::{clock::Clock, cloud::Cloud, journal::Journal},
    span::Span,
};

pub use crate::domain::decision::Planner;

/// The paces and limits of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// How long a tenant is one replica's without being renewed: what another replica waits for when
    /// this one dies.
    #[serde(with = "Span")]
    pub lease: Duration,
    /// How long before the end of its lease a replica stops acting.
    #[serde(with = "Span")]
    pub lease_margin: Duration,
    /// Tenants that one replica works for at once.
    pub lanes_max: u32,
    /// When a thing is first looked for after it was asked for.
    #[serde(with = "Span")]
    pub observe_first: Duration,
    /// The shortest time between two lists of one kind in one tenant for which one operation waits.
    #[serde(with = "Span")]
    pub observe_min: Duration,
    /// The longest time between two such lists.
    #[serde(with = "Span")]
    pub observe_max: Duration,
    /// The time between lists grows to this part of how long nothing has happened: 8 means an eighth.
    pub observe_share: u32,
    /// The time between two lists is at least so many times what the last one took.
    pub observe_effort: u32,
    /// Both the shortest time and the share are divided by the operations that wait for the list, at
    /// most by so much.
    pub observe_crowd: u32,
    /// How old what a cloud told last may be for a decision that deletes something; what is older is
    /// looked at again before.
    #[serde(with = "Span")]
    pub sight_age: Duration,
    /// How long a thing that no list shows may still turn up after an answer was lost.
    #[serde(with = "Span")]
    pub settle: Duration,
    /// The first wait after a fault; each further one is twice as long.
    #[serde(with = "Span")]
    pub retry_first: Duration,
    /// The longest wait after a fault.
    #[serde(with = "Span")]
    pub retry_max: Duration,
    /// How often a request is repeated that a cloud keeps answering with a server error.
    pub attempts_max: u32,
    /// Calls under way to one tenant at once, so that one with much to do leaves places to others.
    pub requests_per_tenant: usize,
    /// Instances of one tenant read at once. The more there are, the more share a list.
    pub reads_per_tenant: usize,
    /// How long to wait before work is loaded anew after the database failed; each further wait is
    /// twice as long, up to `retry_max`.
    #[serde(with = "Span")]
    pub store_retry: Duration,
    /// How long an operation that this version cannot read, or whose changes cannot be written, is
    /// left alone before it is tried again.
    #[serde(with = "Span")]
    pub aside_retry: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            lease_margin: Duration::from_secs(3),
            lanes_max: 10_000,
            observe_first: Duration::from_secs(1),
            observe_min: Duration::from_millis(500),
            observe_max: Duration::from_secs(15),
            observe_share: 8,
            observe_effort: 2,
            observe_crowd: 4,
            sight_age: Duration::from_secs(60),
            settle: Duration::from_secs(5),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            attempts_max: 6,
            requests_per_tenant: 96,
            reads_per_tenant: 256,
            store_retry: Duration::from_secs(1),
            aside_retry: Duration::from_secs(60),
        }
    }
}

/// What every lane of an engine shares.
#[derive(Clone)]
struct Shared {
    journal: Arc<dyn Journal>,
    cloud: Arc<dyn Cloud>,
    clock: Arc<dyn Clock>,
    planner: Planner,
    settings: Arc<EngineSettings>,
    gate: Arc<CallGate>,
    asides: Asides,
    meter: Meter,
}

/// The engine of one replica.
pub struct Engine {
    replica: ReplicaId,
    shared: Shared,
}

/// A lane that runs here.
struct Running {
    epoch: i64,
    acts_until: watch::Sender<Instant>,
    /// Ends with the engine, also when the engine is dropped instead of stopped.
    task: AbortOnDropHandle<()>,
}

impl Running {
    /// Ends the task; when this returns it does nothing any more, and another may act in its place.
    async fn end(&mut self, tenant: &Tenant) {
        self.task.abort();
        if let Err(error) = (&mut self.task).await
            && !error.is_cancelled()
        {
            tracing::error!(%tenant, %error, "a lane ended badly");
        }
    }
}

impl Engine {
    /// An engine over these; `replica` must be another one in every process.
    pub fn new(
        replica: ReplicaId,
        journal: Arc<dyn Journal>,
        cloud: Arc<dyn Cloud>,
        clock: Arc<dyn Clock>,
        planner: Planner,
        settings: EngineSettings,
    ) -> Self {
        let gate = Arc::new(CallGate::new(&settings));
        let settings = Arc::new(settings);
        let asides = Asides::default();
        let meter = Meter::new(Arc::clone(&gate), asides.clone());
        Self {
            replica,
            shared: Shared {
                journal,
                cloud,
                clock,
                planner,
                settings,
                gate,
                asides,
                meter,
            },
        }
    }

    /// What it counts.
    pub fn meter(&self) -> Meter {
        self.shared.meter.clone()
    }

    /// Runs until `stop`; then the lanes are given back.
    pub async fn run(self, stop: CancellationToken) {
        let mut running: HashMap<Tenant, Running> = HashMap::new();
        let mut admissions = self.shared.journal.admissions();
        loop {
            admissions.borrow_and_update();
            self.claim(&mut running, &stop).await;
            self.shared.meter.note_lanes(running.len());
            tokio::select! {
                () = stop.cancelled() => break,
                // The store has closed down: only the timer is left.
                changed = admissions.changed() => if changed.is_err() {
                    sleep(self.shared.settings.lease / 3).await;
                },
                () = sleep(self.shared.settings.lease / 3) => {}
            }
        }
        for (tenant, mut lane) in running {
            lane.end(&tenant).await;
        }
        match self.shared.journal.replica_leave(&self.replica).await {
            Ok(()) => tracing::info!("the work was handed over"),
            Err(error) => {
                tracing::warn!(%error, "the work was not handed over; the leases end by themselves");
            }
        }
    }

    /// Renews what runs here, starts what is new, ends what is not ours any more.
    async fn claim(&self, running: &mut HashMap<Tenant, Running>, stop: &CancellationToken) {
        let settings = &self.shared.settings;
        let asked = Instant::now();
        let unread = self.shared.asides.unread(asked);
        let claim = self.shared.journal.lanes_claim(
            &self.replica,
            settings.lease,
            settings.lanes_max,
            &unread,
        );
        let claimed = match claim.await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "leases were not renewed; lanes stop by themselves when they end");
                return;
            }
        };
        let acts_until = asked + settings.lease.saturating_sub(settings.lease_margin);
        let mut kept = HashMap::new();
        for lane in claimed {
            let tenant = lane.tenant.clone();
            match running.remove(&tenant) {
                Some(old) if old.epoch == lane.epoch && !old.task.is_finished() => {
                    old.acts_until.send_replace(acts_until);
                    kept.insert(tenant, old);
                }
                old => {
                    // An old task ends here, before its successor begins.
                    if let Some(mut old) = old {
                        old.end(&tenant).await;
                    }
                    kept.insert(tenant, self.start(lane, acts_until, stop));
                }
            }
        }
        for (tenant, mut lane) in std::mem::replace(running, kept) {
            // Nobody else can own it before its lease has ended: it has no work at the moment, and
            // is renewed where it is when some comes in time.
            if Instant::now() < *lane.acts_until.borrow() {
                running.insert(tenant, lane);
                continue;
            }
            lane.end(&tenant).await;
            let epoch = lane.epoch;
            tracing::info!(%tenant, epoch, "the lane is not ours any more");
            let lane = Lane { tenant, epoch };
            // Takes nothing from another owner, because that one has another epoch.
            if let Err(error) = self.shared.journal.lane_release(&lane).await {
                tracing::warn!(tenant = %lane.tenant, %error, "a lane was not given back; its lease ends by itself");
            }
        }
    }

    fn start(&self, lane: Lane, acts_until: Instant, stop: &CancellationToken) -> Running {
        let (sender, receiver) = watch::channel(acts_until);
        let epoch = lane.epoch;
        tracing::info!(tenant = %lane.tenant, epoch, "the lane is ours");
        let task = lane::Runner::new(self.shared.clone(), lane, receiver, stop.child_token());
        Running {
            epoch,
            acts_until: sender,
            task: AbortOnDropHandle::new(tokio::spawn(task.run())),
        }
    }
}
