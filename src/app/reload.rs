//! Reads files again that may change while the service runs, when somebody asks for it or when they did; it
//! may not know what they are used for.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{credentials::Credentials, tls::Certificates};

/// How often it is said again that a certificate ends.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at the files again and again until `stop`, and at once when `asked`.
///
/// Each kind of file is read by whoever uses it, with the word whether somebody asked.
pub(super) async fn run(
    certificates: Option<Arc<Certificates>>,
    credentials: Credentials,
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
        let (certificates, credentials) = (certificates.clone(), credentials.clone());
        let again = warned.elapsed() >= WARN_EVERY;
        if again {
            warned = Instant::now();
        }
        // A file may lie where reading takes its time.
        let _read = spawn_blocking(move || {
            credentials.read_again(asked);
            let Some(certificates) = certificates else {
                return;
            };
            certificates.read_again(asked);
            if again {
                certificates.warn_of_the_end();
            }
        })
        .await;
    }
}
