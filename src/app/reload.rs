//! Reads files again that may change while the service runs, when somebody asks for it or when they did; it
//! may not know what they are used for.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::tls::Certificates;

/// How often it is said again that a certificate ends.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at the files again and again until `stop`, and at once when `asked`.
///
/// Each kind of file is read by whoever uses it, with the word whether somebody asked: the next one has its
/// line beside that of the certificates.
pub(super) async fn run(
    certificates: Option<Arc<Certificates>>,
    every: Duration,
    asked: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut warned = Instant::now();
    loop {
        let due = async {
            tokio::select! {
                () = asked.notified() => true,
                () = sleep(every) => false,
            }
        };
        let Some(asked) = stop.run_until_cancelled(due).await else {
            return;
        };
        let Some(certificates) = certificates.clone() else {
            continue;
        };
        let again = warned.elapsed() >= WARN_EVERY;
        if again {
            warned = Instant::now();
        }
        // A file may lie where reading takes its time.
        let _read = spawn_blocking(move || {
            certificates.read_again(asked);
            if again {
                certificates.warn_of_the_end();
            }
        })
        .await;
    }
}
