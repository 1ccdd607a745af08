//! The audit for its operator, verified and written out; it may not know how it is kept, or what its entries
//! say.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use clap::{Args, Subcommand};

use super::{
    clock::SystemClock,
    config::{self, Flags},
    serve::open_audit,
};
use crate::{
    cli::{failure::Failure, out::Out},
    domain::{
        audit::{Break, Chain, Digest, Ends, Entry, Link},
        time::Timestamp,
    },
    port::{self, clock::Clock},
};

/// So many entries are read at once.
const ENTRIES_AT_ONCE: u32 = 500;

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Tell whether the chain of entries holds, and where it ends
    Verify(Verify),
    /// Write entries as lines of JSON, the oldest first
    Export(Export),
}

/// Which chain has to hold.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// An entry that an earlier `verify` told of and that has to be there: so an end that was cut off is
    /// noticed, and a chain that was written anew
    #[arg(long, value_name = "NUMBER:DIGEST")]
    known: Option<Known>,
}

/// What to write out.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    /// Only what happened at this time or later, such as `2026-11-29T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only what happened before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

/// Where it is kept.
#[derive(Debug, Args)]
struct Place {
    /// File with the configuration of the service [env: `DRBACKUP_SERVER_CONFIG`] [default:
    /// `/etc/drbackup/server.toml`, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database of the service, which may run: `sqlite:PATH` or `postgres://USER@HOST/DATABASE` [env:
    /// `DRBACKUP_DATABASE`] [default: a file in the user's data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// An entry that is known from elsewhere.
#[derive(Debug, Clone)]
struct Known(Link);

impl FromStr for Known {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write NUMBER:DIGEST, as `audit verify` tells it";
        let (number, digest) = text.split_once(':').ok_or(wrong)?;
        let number = number.parse().map_err(|_| wrong)?;
        let is_hex = |letter: char| matches!(letter, '0'..='9' | 'a'..='f');
        if number == 0 || digest.len() != 64 || !digest.chars().all(is_hex) {
            return Err(wrong);
        }
        let digest = Digest(digest.to_owned());
        Ok(Self(Link { number, digest }))
    }
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text).ok_or("write a time such as 2026-11-29T12:00:00Z")
}

/// Does it.
pub(super) async fn run(audit: Audit, out: &mut Out) -> Result<(), Failure> {
    match audit {
        Audit::Verify(verify) => verify_all(verify, out).await,
        Audit::Export(export) => write_out(export, out).await,
    }
}

async fn open(place: &Place) -> Result<Arc<dyn port::audit::Audit>, Failure> {
    let flags = Flags::opening(place.config.clone(), place.database.clone(), None);
    let config = config::load(flags)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    open_audit(&config, &clock).await
}

async fn page(store: &dyn port::audit::Audit, after: u64) -> Result<(Ends, Vec<Entry>), Failure> {
    let page = store.audit_page(after, ENTRIES_AT_ONCE).await;
    page.map_err(|error| Failure::Unreachable {
        message: error.to_string(),
        guidance: "look at the database that is configured (--database)".to_owned(),
    })
}

async fn verify_all(verify: Verify, out: &mut Out) -> Result<(), Failure> {
    let store = open(&verify.place).await?;
    let known = verify.known.map(|known| known.0);
    let (ends, mut entries) = page(&*store, 0).await?;
    if let Some(known) = &known
        && known.number < ends.anchor.number
    {
        return Err(Failure::Conflict(format!(
            "entry {} was let go because of its age: name a younger one",
            known.number
        )));
    }
    let mut chain = Chain::behind(ends.anchor.clone()).with(known);
    let begun = chain.check_known();
    if let Err(broken) = begun.and_then(|()| Chain::ends_at(&ends.head, &entries)) {
        return tell_break(&broken, out);
    }
    // What is entered meanwhile is not waited for.
    let end = ends.head;
    let verified = loop {
        let taken = entries
            .iter()
            .filter(|entry| entry.number <= end.number)
            .try_for_each(|entry| chain.take(entry));
        if taken.is_err() || entries.is_empty() || chain.last().number >= end.number {
            break taken.and_then(|()| chain.end(&end));
        }
        let (ends, next) = page(&*store, chain.last().number).await?;
        if let Err(broken) = Chain::ends_at(&ends.head, &next) {
            break Err(broken);
        }
        chain.skip_to(&ends.anchor);
        if chain.last().number > end.number {
            // All that was to be verified went meanwhile because of its age.
            break Ok(());
        }
        entries = next;
    };
    if let Err(broken) = verified {
        return tell_break(&broken, out);
    }
    let span = match chain.span() {
        None => String::new(),
        Some((first, last)) => format!(", from {first} to {last}"),
    };
    let count = chain.entries();
    out.line(&format!("the audit holds: {count} entries{span}"))?;
    if ends.anchor.number > 0 {
        let anchor = ends.anchor.number;
        out.line(&format!(
            "entries up to {anchor} were let go because of their age"
        ))?;
    }
    let Link { number, digest } = chain.last();
    out.line(&format!("the last entry is {number}:{digest}"))
}

fn tell_break(broken: &Break, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("the audit does not hold: {broken}"))?;
    Err(Failure::Unwell)
}

async fn write_out(export: Export, out: &mut Out) -> Result<(), Failure> {
    let store = open(&export.place).await?;
    let is_wanted = |entry: &&Entry| {
        export.since.is_none_or(|since| entry.time >= since)
            && export.until.is_none_or(|until| entry.time < until)
    };
    let mut last = 0;
    // Ends with the entries that were there when it began: what is entered meanwhile is the next one's.
    let (ends, mut entries) = page(&*store, last).await?;
    while let Some(newest) = entries.last() {
        last = newest.number;
        let lines = entries
            .iter()
            .filter(|entry| entry.number <= ends.head.number)
            .filter(is_wanted)
            .map(|entry| entry.line() + "\n");
        out.document(&lines.collect::<String>())?;
        if last >= ends.head.number {
            break;
        }
        (_, entries) = page(&*store, last).await?;
    }
    Ok(())
}
