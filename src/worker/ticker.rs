//! Keeps the time for schedules, to the second; it may not know what a run does.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{domain::schedule::ScheduleSettings, service::Service};

/// Does what is due for schedules, when it is due. Any number of replicas may do so side by side: of
/// each run one of them is the first.
pub struct Ticker {
    service: Service,
    settings: ScheduleSettings,
}

impl Ticker {
    /// A ticker of `service`.
    pub fn new(service: Service, settings: ScheduleSettings) -> Self {
        Self { service, settings }
    }

    /// Looks at once, then whenever something is due or has changed, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut wake_ups = self.service.wake_ups();
        loop {
            wake_ups.borrow_and_update();
            let wait = match self
                .service
                .schedules_tick(self.settings.taken_at_once)
                .await
            {
                Ok(ticked) => ticked.wait.unwrap_or(self.settings.tick_longest),
                Err(error) => {
                    warn!(%error, "what is due for schedules could not be seen; it is tried again");
                    self.settings.tick_longest
                }
            };
            let woken = async {
                sleep(self.settings.tick_shortest).await;
                tokio::select! {
                    () = sleep(wait.min(self.settings.tick_longest)) => {}
                    // The store has closed down: only the timer is left.
                    changed = wake_ups.changed() => if changed.is_err() {
                        sleep(self.settings.tick_longest).await;
                    },
                }
            };
            if stop.run_until_cancelled(woken).await.is_none() {
                return;
            }
        }
    }
}
