//! Places below the root of a service; this file may not know which service, nor what is done there.
//!
//! A place is made of words that are written in this program, and of ids and names, each of which is one
//! segment, whatever is in it. A text that was put together elsewhere is none: there is no other way to make one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::id::ProjectId;

/// What a segment may have as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// So many characters has the longest id or name of a service.
const CHARACTERS_MAX: usize = 255;

/// A place below the root of a service, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Result<String, String>);

impl From<&'static str> for Path {
    fn from(words: &'static str) -> Self {
        Self(Ok(words.to_owned()))
    }
}

impl Path {
    /// The thing with an id, a caller's or one that a cloud told, in a collection.
    pub(super) fn of(collection: &'static str, id: &impl ToString) -> Self {
        Self::from(collection).id(id)
    }

    /// The thing with a name of a user's choice in a collection.
    pub(super) fn named(collection: &'static str, name: &str) -> Self {
        Self::from(collection).segment(name, leads_elsewhere(name))
    }

    /// Further on to what has this id.
    pub(super) fn id(self, id: &impl ToString) -> Self {
        let id = id.to_string();
        let is_none = !is_id(&id);
        self.segment(&id, is_none)
    }

    /// Further on to this word.
    pub(super) fn word(self, word: &'static str) -> Self {
        Self(self.0.map(|text| format!("{text}/{word}")))
    }

    fn segment(self, segment: &str, is_none: bool) -> Self {
        Self(self.0.and_then(|text| {
            if is_none {
                let shown: String = segment.chars().take(CHARACTERS_MAX).collect();
                return Err(format!("{shown:?} is no id of anything"));
            }
            Ok(format!("{text}/{}", utf8_percent_encode(segment, PLAIN)))
        }))
    }

    /// The place as an address has it, below the part that a project has for itself where one is named.
    pub(super) fn below(&self, project: Option<&ProjectId>) -> Result<String, String> {
        let text = self.0.clone()?;
        match project {
            None => Ok(text),
            Some(project) if is_id(project.as_str()) => Ok(format!("{project}/{text}")),
            Some(project) => Err(format!("{:?} is no id of a project", project.as_str())),
        }
    }
}

/// Whether a text may be an id of OpenStack: a UUID, digits, or, of a flavor, a short text (`flavorid` of
/// Nova's schema).
fn is_id(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
    text.bytes().all(is_good) && text.len() <= CHARACTERS_MAX && !leads_elsewhere(text)
}

/// Whether a segment is none, or one that leads up or nowhere; dots mean that in every spelling.
fn leads_elsewhere(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.trim(), "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_and_what_is_none_leads_nowhere() {
        let project = ProjectId::new("c3a9".repeat(8));
        for id in ["f3a9-1_x.y", "...", "m1.small", "42", "a b"] {
            let path = Path::of("servers", &id).word("action");
            let told = format!("servers/{}/action", id.replace(' ', "%20"));
            assert_eq!(path.below(None), Ok(told.clone()));
            assert_eq!(path.below(Some(&project)), Ok(format!("{project}/{told}")));
        }
        for odd in [
            "",
            " ",
            ".",
            "..",
            "%2E%2e",
            ".%2e",
            "a/b",
            "a/../b",
            "%2e%2e%2fb",
            "x?y",
            "x#y",
            "x;y",
            "ü",
            "a\n",
            "a\0",
            "\u{202e}a",
            &"a".repeat(256),
        ] {
            assert!(Path::of("servers", &odd).below(None).is_err(), "{odd:?}");
            let within = Path::of("servers", &"s").word("x").id(&odd).word("y");
            assert!(within.below(None).is_err(), "{odd:?}");
            let project = ProjectId::new(odd);
            assert!(
                Path::from("limits").below(Some(&project)).is_err(),
                "{odd:?}"
            );
        }
    }

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        for (name, told) in [
            ("me@laptop", "me%40laptop"),
            ("a/../b", "a%2F..%2Fb"),
            ("x?y#z", "x%3Fy%23z"),
            ("ü\n", "%C3%BC%0A"),
        ] {
            let path = Path::named("os-keypairs", name);
            assert_eq!(path.below(None), Ok(format!("os-keypairs/{told}")));
        }
        for odd in ["", ".", "..", "%2e%2E"] {
            assert!(
                Path::named("os-keypairs", odd).below(None).is_err(),
                "{odd:?}"
            );
        }
    }
}
