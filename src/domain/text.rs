//! What the services take as a text, and what they refuse: one table for all that goes into a cloud; it
//! may not know where a text comes from.
//!
//! | Text | Goes to | Characters | Which |
//! |---|---|---|---|
//! | description | Cinder | 0 to 255 | printable |
//! | name of an instance | Nova | 1 to 255 | printable, no blank at either end |
//! | metadata key | Nova | 1 to 255 | letters and digits of ASCII, `-`, `_`, `:`, `.` and blanks |
//! | metadata value | Nova | 0 to 255 | any of the first 65,535 of Unicode: what keeps them answers 500 to others |
//! | user data | Nova | 0 to 65,535 | base64 |
//!
//! Printable is what `api/validation/parameter_types.py` of Cinder and Nova calls so (seen on Zed and
//! 2026.1): no control, format, private or unassigned character, no line end, and nothing beyond the first
//! 65,535 characters of Unicode, so no emoji.

use std::sync::LazyLock;

use regex::Regex;

/// A text that goes into a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Of a volume backup, a snapshot or a volume.
    Description,
    /// Of a server.
    InstanceName,
    /// A key of the metadata of a server.
    MetadataKey,
    /// A value of the metadata of a server.
    MetadataValue,
    /// In base64.
    UserData,
}

/// A character that is not printable, as the services see it.
#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and a test compiles it"
)]
static UNPRINTABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{C}\p{Zl}\p{Zp}\x{FFFF}-\x{10FFFF}]").expect("a pattern that is right")
});

/// A character that no key of metadata has.
#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant, and a test compiles it"
)]
static UNKEYED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[^a-zA-Z0-9_:. -]").expect("a pattern that is right"));

impl Text {
    /// Characters at most.
    pub fn most(self) -> usize {
        match self {
            Self::Description | Self::InstanceName | Self::MetadataKey | Self::MetadataValue => 255,
            Self::UserData => 65_535,
        }
    }

    /// What the service has against a text, if anything.
    pub fn problem(self, text: &str) -> Option<String> {
        let characters = text.chars().count();
        if characters > self.most() {
            let most = self.most();
            return Some(format!(
                "has {characters} characters, at most {most} are possible"
            ));
        }
        match self {
            Self::UserData => None,
            Self::MetadataValue => {
                let found = text.chars().find(|one| !is_kept(*one))?;
                let shown = found.escape_unicode();
                Some(format!("has the character {shown}, which OpenStack does not keep: no emoji"))
            }
            Self::InstanceName if text.trim() != text => {
                Some("begins or ends with a blank, which Nova refuses".to_owned())
            }
            Self::Description | Self::InstanceName => unprintable(text),
            Self::MetadataKey if text.is_empty() => Some("is empty".to_owned()),
            Self::MetadataKey => UNKEYED.find(text).map(|found| {
                format!(
                    "has {:?}: a key of metadata has letters, digits, `-`, `_`, `:`, `.` and blanks",
                    found.as_str()
                )
            }),
        }
    }

    /// The text as the service takes it: what it refuses becomes a blank, and what is too long is cut.
    pub fn fitted(self, text: &str) -> String {
        let fitted = match self {
            Self::UserData => text.to_owned(),
            Self::MetadataValue => {
                let kept = |one| if is_kept(one) { one } else { ' ' };
                text.chars().map(kept).collect()
            }
            Self::Description => UNPRINTABLE.replace_all(text, " ").into_owned(),
            Self::InstanceName => UNPRINTABLE.replace_all(text, " ").trim().to_owned(),
            Self::MetadataKey => UNKEYED.replace_all(text, "_").into_owned(),
        };
        fitted.chars().take(self.most()).collect()
    }
}

/// Whether a character has room in the database of a service, as many are set up (seen on Zed and 2026.1).
fn is_kept(one: char) -> bool {
    u32::from(one) < 0xFFFF
}

fn unprintable(text: &str) -> Option<String> {
    let found = UNPRINTABLE.find(text)?;
    let shown: String = found.as_str().escape_unicode().collect();
    Some(format!(
        "has the character {shown}, which OpenStack refuses: no line ends, control characters or emoji"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_refuses_is_refused_and_fitted() {
        let long = "ü".repeat(256);
        let table = [
            (Text::Description, "nightly", None),
            (Text::Description, "", None),
            (Text::Description, "Füße – 東京", None),
            (Text::Description, "two\nlines", Some("two lines")),
            (Text::Description, "a\ttab", Some("a tab")),
            (Text::Description, "party \u{1f389}", Some("party  ")),
            (Text::Description, "a\u{2028}b", Some("a b")),
            (Text::Description, "soft\u{ad}hyphen", Some("soft hyphen")),
            (Text::Description, "own \u{e000}", Some("own  ")),
            (Text::InstanceName, "shop", None),
            (Text::InstanceName, " shop", Some("shop")),
            (Text::InstanceName, "shop\u{1f389}", Some("shop")),
            (Text::MetadataKey, "a-B_9: .", None),
            (Text::MetadataKey, "a/b", Some("a_b")),
            (Text::MetadataValue, "two\nlines", None),
            (Text::MetadataValue, "party \u{1f389}", Some("party  ")),
        ];
        for (kind, text, fitted) in table {
            assert_eq!(
                kind.problem(text).is_some(),
                fitted.is_some(),
                "{kind:?} {text:?}"
            );
            assert_eq!(
                kind.fitted(text),
                fitted.unwrap_or(text),
                "{kind:?} {text:?}"
            );
            assert_eq!(kind.problem(&kind.fitted(text)), None, "{kind:?} {text:?}");
        }
        for kind in [Text::Description, Text::InstanceName, Text::MetadataValue] {
            assert!(kind.problem(&long).is_some(), "{kind:?}");
            assert_eq!(kind.fitted(&long).chars().count(), 255, "{kind:?}");
        }
        assert!(Text::MetadataKey.problem("").is_some());
        assert!(Text::UserData.problem(&"A".repeat(65_536)).is_some());
    }
}
