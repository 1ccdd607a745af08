//! Keeps the time for schedules, to the second; it may not know what a run does.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::service::Service;

/// How often the clock is looked at; each has its name in the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The shortest time between two looks, however much happens.
    pub shortest: Duration,
    /// The longest: another replica may have changed what is due.
    pub longest: Duration,
    /// Schedules that are taken up in one look.
    pub at_once: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shortest: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            at_once: 200,
        }
    }
}

/// Does what is due for schedules, when it is due. Any number of replicas may do so side by side: of
/// each run one of them is the first.
pub struct Ticker {
    service: Service,
    settings: Settings,
}

impl Ticker {
    /// A ticker of `service`.
    pub fn new(service: Service, settings: Settings) -> Self {
        Self { service, settings }
    }

    /// Looks at once, then whenever something is due or has changed, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut wake_ups = self.service.wake_ups();
        loop {
            wake_ups.borrow_and_update();
            let wait = match self.service.schedules_tick(self.settings.at_once).await {
                Ok(ticked) => ticked.wait.unwrap_or(self.settings.longest),
                Err(error) => {
                    warn!(%error, "what is due for schedules could not be seen; it is tried again");
                    self.settings.longest
                }
            };
            let woken = async {
                sleep(self.settings.shortest).await;
                tokio::select! {
                    () = sleep(wait.min(self.settings.longest)) => {}
                    // The store has closed down: only the timer is left.
                    changed = wake_ups.changed() => if changed.is_err() {
                        sleep(self.settings.longest).await;
                    },
                }
            };
            if stop.run_until_cancelled(woken).await.is_none() {
                return;
            }
        }
    }
}
