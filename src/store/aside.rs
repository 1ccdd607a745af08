//! What is set aside because this version cannot read it: told in the log once each, and counted; it may
//! not know what becomes of it.
//!
//! A newer version of the service may have written a word that this one does not know, and while replicas
//! are replaced both are at work. So rows are read one by one, and one that cannot be read holds up no
//! other: whoever asks for it by name is shown what can be read of it, and whoever works through many
//! goes on without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crate::{
    domain::error::{OperationError, UNREADABLE_TEXT},
    port::store::StoreError,
};

/// What was met in this process, by kind. A metric is about the process, whatever it has opened.
static MET: Mutex<BTreeMap<&'static str, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// So many of a kind are remembered; where it is that many, one more says nothing new.
const REMEMBERED: usize = 10_000;

/// Notes a row that cannot be read.
pub(super) fn set_aside(kind: &'static str, id: &str, problem: &StoreError) {
    // A set has no invariant that a panic elsewhere could break half-way.
    let mut met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = met.entry(kind).or_default();
    if ids.len() < REMEMBERED && ids.insert(id.to_owned()) {
        tracing::error!(kind, id, %problem, "this version cannot read what is stored; it is set aside, and everything else goes on");
    }
}

/// How many rows of each kind this process could not read.
pub(super) fn counted() -> Vec<(&'static str, u64)> {
    let met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = met.iter();
    counts
        .map(|(kind, ids)| (*kind, u64::try_from(ids.len()).unwrap_or(u64::MAX)))
        .collect()
}

/// A row of a resource, of which the rest is read where a part cannot be.
pub(super) trait Stored: Sized {
    /// What it is a row of.
    type Resource;

    /// The kind, for people.
    fn kind(&self) -> &'static str;

    /// What tells it apart from the others of its kind.
    fn key(&self) -> &str;

    /// What can be read of it; the rest is among the gaps.
    fn read(self, gaps: &mut Gaps) -> Self::Resource;

    /// Makes the resource say that not all of it could be read.
    fn say(resource: &mut Self::Resource, told: String, error: OperationError);

    /// All of it, or the refusal.
    fn whole(self) -> Result<Self::Resource, StoreError> {
        let mut gaps = Gaps::default();
        let read = self.read(&mut gaps);
        gaps.refused().map(|()| read)
    }

    /// What can be read of it; where that is not all, it says so.
    fn salvaged(self) -> Self::Resource {
        let (mut gaps, kind, key) = (Gaps::default(), self.kind(), self.key().to_owned());
        let mut read = self.read(&mut gaps);
        if let Some((told, error)) = gaps.told(kind, &key) {
            Self::say(&mut read, told, error);
        }
        read
    }
}

/// Reads rows one by one, and sets aside what cannot be read.
pub(super) fn readable<R: Stored>(rows: Vec<R>) -> Vec<R::Resource> {
    rows.into_iter().filter_map(readable_one).collect()
}

/// Reads one row, or sets it aside.
pub(super) fn readable_one<R: Stored>(row: R) -> Option<R::Resource> {
    let (kind, key) = (row.kind(), row.key().to_owned());
    match row.whole() {
        Ok(read) => Some(read),
        Err(problem) => {
            set_aside(kind, &key, &problem);
            None
        }
    }
}

/// What of a row could not be read, while the rest of it is.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<StoreError>);

impl Gaps {
    /// What was read, or something in its place.
    pub(super) fn fill<T>(&mut self, read: Result<T, StoreError>, instead: T) -> T {
        read.unwrap_or_else(|problem| {
            self.0.push(problem);
            instead
        })
    }

    /// The same, with the default in its place.
    pub(super) fn or_default<T: Default>(&mut self, read: Result<T, StoreError>) -> T {
        self.fill(read, T::default())
    }

    /// Refuses what has any.
    pub(super) fn refused(self) -> Result<(), StoreError> {
        self.0.into_iter().next().map_or(Ok(()), Err)
    }

    /// What the resource of a row says about it, where it has any; then the row is set aside.
    pub(super) fn told(self, kind: &'static str, id: &str) -> Option<(String, OperationError)> {
        let problem = self.0.into_iter().next()?;
        set_aside(kind, id, &problem);
        let error = OperationError::unreadable(&problem);
        Some((format!("{UNREADABLE_TEXT}: {problem}"), error))
    }
}
