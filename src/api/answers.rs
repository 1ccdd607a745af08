//! Answers that are given again for as long as nothing was written, to those who may be told the same; it
//! may not know what they say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use crate::domain::caller::Scope;

/// Answers about resources by their ids, all of one version of the store.
///
/// Whoever asks faster than anything changes is answered from here. Any write makes all of them
/// worthless at once, because an answer is made of several resources: nothing has to know of which.
#[derive(Debug)]
pub(super) struct Answers<T> {
    most: usize,
    kept: Mutex<StoredAnswer<T>>,
}

#[derive(Debug)]
struct StoredAnswer<T> {
    version: u64,
    answers: HashMap<(Scope, Uuid), Arc<T>>,
}

impl<T: Clone> Answers<T> {
    /// Room for `most` answers.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            kept: Mutex::new(StoredAnswer {
                version: 0,
                answers: HashMap::new(),
            }),
        }
    }

    /// The answer about `id`, to whoever may be told of `scope`, in that version of the store, which was looked at before this call: what is
    /// kept, or else what `make` makes. Without a version nothing is kept.
    pub(super) async fn answer<E>(
        &self,
        version: Option<u64>,
        scope: &Scope,
        id: Uuid,
        make: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(version) = version else {
            return make.await;
        };
        let key = (scope.clone(), id);
        if let Some(answer) = self.find(version, &key) {
            return Ok(T::clone(&answer));
        }
        let answer = make.await?;
        self.keep(version, key, &answer);
        Ok(answer)
    }

    fn find(&self, version: u64, key: &(Scope, Uuid)) -> Option<Arc<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.version != version {
            return None;
        }
        kept.answers.get(key).cloned()
    }

    fn keep(&self, version: u64, key: (Scope, Uuid), answer: &T) {
        let answer = Arc::new(answer.clone());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // It took so long that others know of something newer.
        if version < kept.version {
            return;
        }
        if version > kept.version || kept.answers.len() >= self.most {
            kept.version = version;
            kept.answers.clear();
        }
        if self.most > 0 {
            kept.answers.insert(key, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::FutureExt as _;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    /// What is answered when `new` would be made.
    fn ask(answers: &Answers<u8>, version: Option<u64>, id: Uuid, new: u8) -> Option<u8> {
        let make = async move { Ok::<_, Infallible>(new) };
        answers
            .answer(version, &Scope::All, id, make)
            .now_or_never()?
            .ok()
    }

    #[test]
    fn an_answer_is_given_again_until_something_is_written() {
        let answers = Answers::new(10);
        assert_eq!(ask(&answers, Some(1), ONE, 1), Some(1));
        assert_eq!(ask(&answers, Some(1), ONE, 2), Some(1));
        assert_eq!(ask(&answers, Some(1), OTHER, 3), Some(3));
        assert_eq!(ask(&answers, Some(2), ONE, 4), Some(4));
        assert_eq!(ask(&answers, Some(2), OTHER, 5), Some(5));
    }

    #[test]
    fn what_was_looked_at_before_a_write_is_not_given_after_it() {
        let answers = Answers::new(10);
        assert_eq!(ask(&answers, Some(2), ONE, 2), Some(2));
        // Whoever looked at the version before the write is answered, and nobody else.
        assert_eq!(ask(&answers, Some(1), ONE, 1), Some(1));
        assert_eq!(ask(&answers, Some(2), ONE, 3), Some(2));
    }

    #[test]
    fn what_one_may_be_told_is_not_given_to_another() {
        let answers = Answers::new(10);
        let nobody = Scope::default();
        assert_eq!(ask(&answers, Some(1), ONE, 1), Some(1));
        let other = answers.answer(Some(1), &nobody, ONE, async { Err::<u8, _>("not found") });
        assert_eq!(other.now_or_never(), Some(Err("not found")));
        assert_eq!(ask(&answers, Some(1), ONE, 2), Some(1));
    }

    #[test]
    fn without_a_version_nothing_is_kept() {
        let answers = Answers::new(10);
        assert_eq!(ask(&answers, None, ONE, 1), Some(1));
        assert_eq!(ask(&answers, None, ONE, 2), Some(2));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let answers = Answers::new(1);
        assert_eq!(ask(&answers, Some(1), ONE, 1), Some(1));
        assert_eq!(ask(&answers, Some(1), OTHER, 2), Some(2));
        assert_eq!(ask(&answers, Some(1), ONE, 3), Some(3));
        let none = Answers::new(0);
        assert_eq!(ask(&none, Some(1), ONE, 1), Some(1));
        assert_eq!(ask(&none, Some(1), ONE, 2), Some(2));
    }
}
