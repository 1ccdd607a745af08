//! The reads of a cloud that are shared by those who want the same kind of thing at the same time; this
//! file may not know what kinds there are.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    coalescer::Coalescer, rate_limiter::Waiter, session::Scope, settings::OpenStackSettings,
};

/// Reads with one token about one thing, for one kind of waiter: a caller who shared a read with
/// operations would stand in their line. Reads of which one of these differs may not be shared: other
/// tokens see other things.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) entry: String,
    pub(super) scope: Scope,
    pub(super) waiter: Waiter,
    pub(super) about: String,
}

/// A coalescer for each type of thing and each subject.
#[derive(Debug)]
pub(super) struct SharedReads {
    all: Mutex<HashMap<(TypeId, Subject), Arc<dyn Any + Send + Sync>>>,
    /// Whoever reads waits so long for others.
    pause: Duration,
}

impl SharedReads {
    pub(super) fn new(limits: &OpenStackSettings) -> Self {
        Self {
            all: Mutex::default(),
            pause: limits.gather(),
        }
    }

    /// Where things of this type are read together.
    pub(super) fn of<T: Send + 'static>(&self, subject: Subject) -> Arc<Coalescer<T>> {
        // A map has no invariant that a panic elsewhere could break half-way.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Coalescer::<T>::new(self.pause));
        let one = all
            .entry((TypeId::of::<T>(), subject))
            .or_insert_with(|| new());
        // It is of this type, which is part of its key; one alone would only read alone.
        Arc::clone(one).downcast().unwrap_or_else(|_| new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_about_the_same_shares_and_nobody_else() {
        let reads = SharedReads::new(&OpenStackSettings::default());
        let subject = |about: &str| Subject {
            entry: "dr".to_owned(),
            scope: Scope::Home,
            waiter: Waiter::Caller,
            about: about.to_owned(),
        };
        let first = reads.of::<u8>(subject("a"));
        assert!(Arc::ptr_eq(&first, &reads.of::<u8>(subject("a"))));
        assert!(!Arc::ptr_eq(&first, &reads.of::<u8>(subject("b"))));
        let other = reads.of::<u16>(subject("a"));
        assert!(Arc::ptr_eq(&other, &reads.of::<u16>(subject("a"))));
    }
}
