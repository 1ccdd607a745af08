//! Figures and ratios of a fleet of backups, ours beside what a person would do today, in one run on
//! one machine against one simulator.
//!
//! ```text
//! cargo bench --bench fleet                     everything, in a quarter of an hour at most
//! cargo bench --bench fleet -- calls restart    only these sections
//! cargo bench --bench fleet -- calls 1000       only with so many backups in flight
//! cargo bench --bench fleet -- --quick          small sizes, to see that it runs
//! ```
//!
//! | section | what |
//! |---|---|
//! | `calls` | calls to the cloud, wall time over the cloud's own, time from a change to its event |
//! | `ledger` | durable transitions over the raw commits of the same database |
//! | `unary` | `GetDRBackup` over a bare answer of tonic |
//! | `streams` | open watches: an event to all of them, memory of each |
//! | `restart` | until open operations are looked after again |
//! | `points` | get, list and memory with many DR backups stored |
//! | `schedules` | get, list, tick and memory with many schedules stored |
//! | `idle` | memory at rest and the size of the binary |
//!
//! The table is printed and written to `target/fleet.md` and `target/fleet.json`. Only what is measured
//! side by side in one run says something; the absolute numbers belong to the machine.

mod backups;
mod by_hand;
mod calls;
mod echo;
mod idle;
mod ledger;
mod points;
#[path = "../../tests/it/postgres.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    reason = "the server of the tests, of which only a database is needed here"
)]
mod postgres;
mod process;
mod restart;
mod schedules;
mod script;
mod streams;
mod table;
mod unary;

use std::path::Path;

use self::table::{Table, note};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Backups in flight at once, and whether the script of the SDK is run beside them.
    pub(crate) in_flight: &'static [(usize, bool)],
    /// Turns that are recorded one after the other, in each round.
    pub(crate) turns: usize,
    /// Rounds of everything that is alternated.
    pub(crate) rounds: usize,
    /// Seconds of one round of unary calls.
    pub(crate) unary_seconds: u64,
    /// Open watches.
    pub(crate) streams: usize,
    /// Open operations at a restart.
    pub(crate) open: usize,
    /// Stored DR backups: few, and many.
    pub(crate) points: [usize; 2],
    /// Stored schedules: few, and many.
    pub(crate) schedules: [usize; 2],
}

const WHOLE: Sizes = Sizes {
    in_flight: &[(1, true), (100, true), (1000, false)],
    turns: 2000,
    rounds: 5,
    unary_seconds: 3,
    streams: 10_000,
    open: 10_000,
    points: [1000, 100_000],
    schedules: [1000, 10_000],
};

const QUICK: Sizes = Sizes {
    in_flight: &[(1, true), (10, true)],
    turns: 200,
    rounds: 3,
    unary_seconds: 1,
    streams: 500,
    open: 300,
    points: [200, 2000],
    schedules: [100, 1000],
};

const SECTIONS: [&str; 8] = [
    "calls",
    "ledger",
    "unary",
    "streams",
    "restart",
    "points",
    "schedules",
    "idle",
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if let [first, reply] = arguments.as_slice()
        && first == echo::SERVE
    {
        return runtime.block_on(echo::serve(Path::new(reply)));
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let wanted: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with('-') && argument.parse::<usize>().is_err())
        .collect();
    let only: Vec<usize> = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    if let Some(strange) = wanted.iter().find(|wanted| !SECTIONS.contains(wanted)) {
        anyhow::bail!(
            "there is no section {strange}; there are {}",
            SECTIONS.join(", ")
        );
    }
    let sizes = if quick { QUICK } else { WHOLE };
    let begun = std::time::Instant::now();
    let mut table = Table::default();
    for section in SECTIONS {
        if !wanted.is_empty() && !wanted.contains(&section) {
            continue;
        }
        note(&format!("\n{section}"));
        runtime.block_on(run(section, &sizes, &only, &mut table))?;
    }
    table.remark(format!(
        "{} cores; the simulator, the service and whoever asks share them; {} s in all",
        std::thread::available_parallelism()?,
        begun.elapsed().as_secs()
    ));
    note(&format!("\n{}", table.markdown()));
    table.write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))
}

async fn run(
    section: &str,
    sizes: &Sizes,
    only: &[usize],
    table: &mut Table,
) -> anyhow::Result<()> {
    match section {
        "calls" => calls::measure(sizes, only, table).await,
        "ledger" => ledger::measure(sizes, table).await,
        "unary" => unary::measure(sizes, table).await,
        "streams" => streams::measure(sizes, table).await,
        "restart" => restart::measure(sizes, table).await,
        "points" => points::measure(sizes, table).await,
        "schedules" => schedules::measure(sizes, table).await,
        _ => idle::measure(table).await,
    }
}
