//! The queries, written once and compiled once for each database; it may not know which one it is
//! compiled for, except by the few statements of its `dialect`.
//!
//! `sqlite.rs` and `postgres.rs` each declare this folder as a module of their own and put the
//! connection type, the database handle and the dialect beside it. So each query is checked
//! statically against either database, without generic bounds and without macros around the code.

use super::{Conn, Db, Engine, Handle, dialect};

mod admission;
pub(super) mod audit;
mod audits;
mod effect;
pub(super) mod event;
mod freshness;
mod head;
mod history;
mod journal;
mod lane;
mod link;
mod mirror;
mod operation;
mod orphan;
mod page;
mod point;
pub(super) mod prepared;
mod request;
mod restoration;
mod run;
mod schedule;
mod schedules;
pub(super) mod sealed;
mod secret;
mod sweep;
mod transactions;
pub(super) mod turn;
mod verification;
