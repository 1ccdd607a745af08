//! Where the log goes and how it looks; it may not know what is logged.
//!
//! What a cloud or a caller named anything can hold line ends, which would make lines of their own, and
//! characters that a terminal obeys. All of the log leaves here, so all of it is made visible here, whoever
//! wrote it: in text the value of every field, and in JSON what JSON itself lets pass.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{self, IsTerminal as _},
    path::Path,
    sync::Mutex,
};

use tracing::{Metadata, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::{
        MakeWriter,
        format::{Writer, debug_fn},
    },
    util::SubscriberInitExt as _,
};

use super::config::{LogFormat, LogSettings};
use crate::cli::{
    failure::Failure,
    out::{is_obeyed, visible_line},
};

/// Logs to standard error from here on.
pub(super) fn start(log: &LogSettings) -> Result<(), Failure> {
    let (levels, ansi) = (filter(&log.filter)?, io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => text(io::stderr, levels, ansi).try_init(),
        LogFormat::Json => json(io::stderr, levels).try_init(),
    };
    started.map_err(|error| Failure::Local(format!("starting the log: {error}")))
}

/// Logs into a file from here on, so that a screen stays for what it shows. A process that logs
/// already goes on as it does.
pub(super) fn start_in_file(path: &Path, levels: &str) -> Result<(), Failure> {
    let file = File::create(path)
        .map_err(|error| Failure::Local(format!("making {}: {error}", path.display())))?;
    let _already = text(Mutex::new(file), filter(levels)?, false).try_init();
    Ok(())
}

/// What the driver of PostgreSQL logs below `info` is every value that is written, also those that are sealed
/// only there.
const DRIVER: &str = "tokio_postgres=info";

fn filter(levels: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(format!("{levels},{DRIVER}"))
        .map_err(|error| Failure::Usage(format!("the log filter `{levels}`: {error}")))
}

/// Lines for people.
fn text<W>(writer: W, levels: EnvFilter, ansi: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .fmt_fields(debug_fn(field).delimited(" "))
        .with_env_filter(levels)
        .with_ansi(ansi)
        .with_writer(writer)
        .finish()
}

/// A document for each line.
fn json<W>(writer: W, levels: EnvFilter) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(levels)
        .with_writer(Escaping(writer))
        .finish()
}

/// Writes a field, and of the message its value only.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Visible(writer), "{value:?}")
}

/// A writer of text in which every character can be seen, in one line.
struct Visible<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Visible<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&visible_line(text))
    }
}

/// A writer of JSON in which every character can be seen. JSON lets pass whatever is not below U+0020; such
/// characters are in its texts alone, where each can be written by its number.
struct Escaping<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Escaping<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Escaping(self.0.make_writer())
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Self::Writer {
        Escaping(self.0.make_writer_for(metadata))
    }
}

impl<W: io::Write> io::Write for Escaping<W> {
    /// Takes a whole line at once, as the log writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut shown = String::with_capacity(text.len());
        for one in text.chars() {
            if one == '\n' || !is_obeyed(one) {
                shown.push(one);
            } else {
                // Writing to a string cannot fail, and none of these is beyond U+FFFF.
                let _written = write!(shown, "\\u{:04x}", u32::from(one));
            }
        }
        self.0.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, PoisonError};

    use serde_json::Value;

    use super::*;

    /// What the log has written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8(bytes.clone()).unwrap()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str =
        "a\n2026 ERROR forged\r\u{1b}]0;title\u{7}\u{9b}2J\u{202e}d\u{2028}e\u{7f}";

    fn log_hostile() {
        let error = io::Error::other(HOSTILE);
        let span = tracing::info_span!("work", name = %HOSTILE);
        let _inside = span.enter();
        tracing::info!(shown = %HOSTILE, debug = ?HOSTILE, text = HOSTILE, number = 7, %error, "{HOSTILE}");
    }

    fn check_one_line(log: &str) {
        let line = log.strip_suffix('\n').unwrap();
        assert!(!line.contains(is_obeyed), "{line:?}");
        assert!(line.contains("forged"), "{line}");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_logged_as_text() {
        let log = Written::default();
        let writer = log.clone();
        let subscriber = text(move || writer.clone(), EnvFilter::new("info"), false);
        tracing::subscriber::with_default(subscriber, log_hostile);
        let log = log.text();
        check_one_line(&log);
        assert!(
            log.contains("number=7") && log.contains("error=a\\n2026"),
            "{log}"
        );
        assert!(log.contains("work{name=a\\n"), "{log}");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_logged_as_json() {
        let log = Written::default();
        let writer = log.clone();
        let subscriber = json(move || writer.clone(), EnvFilter::new("info"));
        tracing::subscriber::with_default(subscriber, log_hostile);
        let log = log.text();
        check_one_line(&log);
        let document: Value = serde_json::from_str(&log).unwrap();
        for field in ["message", "shown", "text"] {
            assert_eq!(document[field], HOSTILE, "{field} is what it was");
        }
    }
}
