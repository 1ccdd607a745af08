//! What of a thing is not as it was, or will not be; it may not know who compares or who is told.

use serde::{Deserialize, Serialize};

/// One thing of a restored instance that is not exactly as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What differs, as a path: `flavor`, `port 0 (eth-a) security_groups`.
    pub attribute: String,
    /// As it was; empty where it was nothing, or is not known.
    pub was: String,
    /// As it is; empty where it is nothing, or is not known.
    pub is: String,
    /// Why, in a sentence.
    pub why: String,
}

impl Difference {
    /// A difference of which only the reason is to be told.
    pub fn new(attribute: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            attribute: attribute.into(),
            why: why.into(),
            ..Self::default()
        }
    }

    /// The same of something that was so.
    #[must_use]
    pub fn was(self, was: impl Into<String>) -> Self {
        Self {
            was: was.into(),
            ..self
        }
    }

    /// The same of something that is so now.
    #[must_use]
    pub fn is(self, is: impl Into<String>) -> Self {
        Self {
            is: is.into(),
            ..self
        }
    }

    /// All of it in one sentence.
    pub fn sentence(&self) -> String {
        let Self {
            attribute,
            was,
            is,
            why,
        } = self;
        match (was.is_empty(), is.is_empty()) {
            (true, true) => format!("{attribute}: {why}"),
            (true, false) => format!("{attribute}: {why} (is `{is}`)"),
            (false, true) => format!("{attribute}: {why} (was `{was}`)"),
            (false, false) => format!("{attribute}: {why} (was `{was}`, is `{is}`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_a_sentence_with_what_is_known_of_it() {
        let plain = Difference::new("flavor", "another one was taken");
        assert_eq!(plain.sentence(), "flavor: another one was taken");
        let full = plain.clone().was("a").is("b");
        assert_eq!(
            full.sentence(),
            "flavor: another one was taken (was `a`, is `b`)"
        );
        assert_eq!(
            plain.was("a").sentence(),
            "flavor: another one was taken (was `a`)"
        );
    }
}
