//! Looks for orphans now and then and says how many there are; it may not know how they are found, and
//! deletes none.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    domain::orphan::Sweep,
    port::store::StoreError,
    service::{Service, settings::OrphanSettings},
};

/// So often within the time between two looks it is asked whether a tenant is due.
const ROUNDS: u32 = 4;

/// Counts the orphans of every tenant in which we ever worked. Any number of replicas may do so side by
/// side: each tenant is looked through by one of them.
pub struct OrphanScanner {
    service: Service,
    settings: OrphanSettings,
}

impl OrphanScanner {
    /// A scanner that looks through `service`.
    pub fn new(service: Service, settings: OrphanSettings) -> Self {
        Self { service, settings }
    }

    /// Counts at once, then again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while let Some(scanned) = stop.run_until_cancelled(self.scan()).await {
            if let Err(error) = scanned {
                warn!(%error, "orphans could not be counted; it is tried again later");
            }
            let pause = sleep(self.settings.every / ROUNDS);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Looks through all tenants that are due; answers how many those were.
    pub async fn scan(&self) -> Result<usize, StoreError> {
        let due = self.service.orphans_due(self.settings.every);
        let mut all = 0;
        // Ends because a sweep that begins from now on did not begin before that.
        loop {
            let at_once = self.settings.counted_at_once;
            let sweeps = self.service.orphans_sweep(due, at_once).await?;
            if sweeps.is_empty() {
                return Ok(all);
            }
            all += sweeps.len();
            sweeps.iter().for_each(tell);
        }
    }
}

/// One line for each tenant, with the same fields every time: a log is where it is counted from.
fn tell(sweep: &Sweep) {
    let Sweep {
        tenant,
        begun,
        ended: _,
        found: _,
        problem,
    } = sweep;
    let orphans = sweep.orphans();
    let (cloud, project) = (&tenant.cloud, &tenant.project);
    match problem {
        Some(problem) => {
            warn!(%cloud, %project, %begun, problem, "a tenant could not be looked through for orphans");
        }
        None if orphans > 0 => {
            warn!(%cloud, %project, %begun, orphans, "there are orphans; `drbackup orphan list --cloud CLOUD --tenant PROJECT` shows them");
        }
        None => info!(%cloud, %project, %begun, orphans, "a tenant was looked through for orphans"),
    }
}
