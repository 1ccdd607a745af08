//! Microversions and the documents that announce them; this file may not know what they are for.

use std::fmt;

use serde_json::Value;

/// A microversion, for example 3.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(pub(super) u16, pub(super) u16);

impl Microversion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().trim_start_matches('v').split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0, self.1)
    }
}

/// The microversions that a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    least: Microversion,
    greatest: Microversion,
}

impl Range {
    /// Reads a version document, one version or a list of them in any order. Among those of
    /// `major` the one with the greatest microversion counts. Nothing when none has microversions.
    pub(super) fn of_document(document: &Value, major: u16) -> Option<Self> {
        let versions: Vec<&Value> = match (document.get("version"), document.get("versions")) {
            (Some(one), _) => vec![one],
            (None, Some(Value::Array(list))) => list.iter().collect(),
            (None, Some(keystone)) => keystone.get("values")?.as_array()?.iter().collect(),
            (None, None) => return None,
        };
        versions
            .into_iter()
            .filter_map(|version| {
                let at = |key: &str| Microversion::parse(version.get(key)?.as_str()?);
                let greatest = at("version")?;
                Some(Self {
                    least: at("min_version").unwrap_or(greatest),
                    greatest,
                })
            })
            .filter(|range| range.greatest.0 == major)
            .max_by_key(|range| range.greatest)
    }

    /// Whether the service speaks `version`.
    pub(super) fn has(self, version: Microversion) -> bool {
        self.least <= version && version <= self.greatest
    }

    /// The first of `wanted` that the service speaks.
    pub(super) fn first_of(self, wanted: &[Microversion]) -> Option<Microversion> {
        wanted.iter().copied().find(|version| self.has(*version))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn list_is_not_sorted_and_holds_other_majors() {
        let document = json!({"versions": [
            {"id": "v2.0", "version": "", "min_version": ""},
            {"id": "v2.1", "version": "2.93", "min_version": "2.1"},
            {"id": "v2.1", "version": "2.103", "min_version": "2.1"},
            {"id": "v2.1", "version": "2.9", "min_version": "2.1"},
            {"id": "v3.0", "version": "3.70", "min_version": "3.0"},
        ]});
        let range = Range::of_document(&document, 2).unwrap();
        assert!(range.has(Microversion(2, 103)));
        assert!(!range.has(Microversion(2, 104)));
        assert!(!range.has(Microversion(3, 0)));
    }

    #[test]
    fn single_version_and_none() {
        let cinder = json!({"version": {"id": "v3.0", "version": "3.70", "min_version": "3.0"}});
        assert!(
            Range::of_document(&cinder, 3)
                .unwrap()
                .has(Microversion(3, 9))
        );
        let legacy = json!({"version": {"id": "v2.0", "version": "", "min_version": ""}});
        assert_eq!(Range::of_document(&legacy, 2), None);
    }

    #[test]
    fn first_wanted_that_is_spoken() {
        let range = Range {
            least: Microversion(2, 1),
            greatest: Microversion(2, 60),
        };
        let wanted = [
            Microversion(2, 71),
            Microversion(2, 47),
            Microversion(2, 26),
        ];
        assert_eq!(range.first_of(&wanted), Some(Microversion(2, 47)));
        assert_eq!(range.first_of(&[Microversion(2, 71)]), None);
    }
}
