//! What a planner decided; it may not know who carries it out.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    effect::{Disposal, Request},
    error::OperationError,
    id::{EffectKey, Tenant},
    ledger::Ledger,
    operation::Operation,
    point::PointDetail,
    progress::Progress,
    restoration::RestorationDetail,
    time::Timestamp,
    verification::Verification,
};

/// The planners, reached as one pure function that `app` hands over to whoever has to plan.
pub type Planner = Arc<dyn Fn(&Operation, &Ledger, Timestamp) -> Decision + Send + Sync>;

/// Asks a planner. One that panics has decided nothing, and what it panicked with is the answer. It only
/// reads, so there is nothing that a panic could leave half done.
pub fn ask(
    planner: &Planner,
    operation: &Operation,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<Decision, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| planner(operation, ledger, now)));
    outcome.map_err(|panic| words_of(panic.as_ref()))
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it gave no reason".to_owned())
}

/// An effect that should exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredEffect {
    /// Its name within the operation; the same wish has the same key in every run of the planner.
    pub key: EffectKey,
    /// Where.
    pub tenant: Tenant,
    /// What.
    pub request: Request,
    /// What becomes of what it makes.
    pub disposal: Disposal,
}

/// What the resource should tell its callers right now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// For people.
    pub runtime_state: String,
    /// In numbers.
    pub progress: Progress,
    /// What it holds by now; nothing leaves it as it is.
    pub detail: Option<Detail>,
    /// What the end of the work says about the claim that the point can be restored, be it that of the
    /// resource or the one that a restoration is made from. Nothing, and nothing of it, leaves that as it
    /// is: a time that is not told stays the one that there was.
    pub verification: Option<Verification>,
}

/// What a resource holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A point.
    Point(Box<PointDetail>),
    /// A restoration.
    Restoration(Box<RestorationDetail>),
}

/// Whether the operation has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ending {
    /// It goes on.
    #[default]
    Open,
    /// The goal is reached.
    Done,
    /// It gave up, and everything is cleaned up, or the error names what could not be removed.
    Erred(OperationError),
}

/// What a planner decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// Effects that should exist and are not in the ledger yet.
    pub wishes: Vec<DesiredEffect>,
    /// Effects whose things should go now.
    pub drops: Vec<EffectKey>,
    /// Effects that were refused, did nothing, and are to be asked for again.
    pub retries: Vec<EffectKey>,
    /// Whether no request leaves: what was asked for before is looked at first.
    pub looks_only: bool,
    /// What to tell.
    pub report: Report,
    /// When to ask the planner again although nothing has happened by then.
    pub again: Option<Timestamp>,
    /// Whether it has ended.
    pub ending: Ending,
}
