//! Whatever dies, wherever: two clouds, one store and any number of replicas in one thread whose clock
//! is wound by hand, ended at every boundary and hit by every fault; the simulator's memory judges.
//!
//! `cargo test --test simulation` runs all of it, but for a sample of the boundaries over PostgreSQL.
//! `DRBACKUP_SEEDS=10000` runs so many seeds, and `DRBACKUP_SEED=7` runs that one and tells its story.
//! `DRBACKUP_EVERY=3` takes every third fault and every third of the boundaries.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests are tests, which the lint does not see, and a sweep tells what it runs"
)]

mod crash;
mod fault;
mod judge;
mod life;
#[expect(dead_code, reason = "what else a server can do is for other tests")]
#[path = "../it/postgres.rs"]
mod postgres;
mod scheduled;
mod seeds;
mod server;
mod stage;
mod store;
mod sweep;
mod tap;
