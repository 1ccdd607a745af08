//! Where the log goes and how it looks; it may not know what is logged.

use std::{fs::File, io::IsTerminal as _, path::Path, sync::Mutex};

use tracing_subscriber::EnvFilter;

use super::config::{LogFormat, LogSettings};
use crate::cli::failure::Failure;

/// Logs to standard error from here on.
pub(super) fn start(log: &LogSettings) -> Result<(), Failure> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.filter)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::Local(format!("starting the log: {error}")))
}

/// Logs into a file from here on, so that a screen stays for what it shows. A process that logs
/// already goes on as it does.
pub(super) fn start_in_file(path: &Path, levels: &str) -> Result<(), Failure> {
    let file = File::create(path)
        .map_err(|error| Failure::Local(format!("making {}: {error}", path.display())))?;
    let _already = tracing_subscriber::fmt()
        .with_env_filter(filter(levels)?)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .try_init();
    Ok(())
}

fn filter(levels: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(levels)
        .map_err(|error| Failure::Usage(format!("the log filter `{levels}`: {error}")))
}
