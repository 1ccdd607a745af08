//! What was found out about tokens, for a while; it may not know how, nor any token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use crate::domain::{caller::Caller, error::Error, time::Timestamp};

/// The name under which a token is remembered.
pub(super) type TokenDigest = [u8; 32];

/// One, of some texts.
pub(super) fn digest(texts: &[&str]) -> TokenDigest {
    let mut sha = Sha256::new();
    for text in texts {
        // Their lengths too, so that no text can end as another begins.
        sha.update(text.len().to_le_bytes());
        sha.update(text.as_bytes());
    }
    sha.finalize().into()
}

/// What was found out about one token.
#[derive(Clone)]
pub(super) struct Judgement {
    /// Who holds it, or why nobody is let in with it.
    pub(super) caller: Result<Arc<Caller>, Error>,
    /// Until when that is taken for granted.
    pub(super) until: Timestamp,
}

/// Where it stands, and who is finding it out.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Judgement>>>;

/// A bounded number of them.
pub(super) struct Memory {
    most: usize,
    slots: Mutex<HashMap<TokenDigest, Slot>>,
}

impl Memory {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            slots: Mutex::default(),
        }
    }

    /// The place of a token. Where there is no room left, all that nobody is waiting at is forgotten: who
    /// floods us with tokens costs others one more question each, and no memory.
    pub(super) fn slot(&self, token: TokenDigest) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.most && !slots.contains_key(&token) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(token).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let memory = Memory::new(2);
        let held = memory.slot(digest(&["a"]));
        for number in 0..10 {
            drop(memory.slot(digest(&[&number.to_string()])));
        }
        let slots = memory.slots.lock().expect("unbroken");
        assert!(slots.len() <= 2, "{}", slots.len());
        assert!(Arc::strong_count(&held) > 1, "who is waited for stays");
    }

    #[test]
    fn texts_are_not_taken_for_others_that_read_alike() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["a", ""]), digest(&["a"]));
    }
}
