//! What carries our mark in a cloud although nothing of ours accounts for it; it may not know how
//! things are listed or how it is kept what we know.
//!
//! A thing is ours by its name or a tag of it: `drb-OPERATION-KEY`, as [`Operation::name_of`] spells
//! it; a snapshot that Nova made with an image of ours has that name at the end of its own. It is an orphan when none of this holds:
//!
//! | What accounts for it | Why |
//! |---|---|
//! | the operation that it names is open | its engine finds it again by that name |
//! | a row of an open operation has its id | imported, filled, taken over or used |
//! | a backup of either kind or a restoration holds it | it is what was asked for |
//! | it is young | a request for it may still be on its way |
//! | it is a volume backup that may be an imported record | deleting it deletes the bytes of the original |
//!
//! An imported record looks like what it was imported from: name, volume and times are those of the
//! original. So a volume backup counts as made here only if its volume lives here too, or if a ledger
//! that is still kept says so; any other is never called an orphan, however lost it looks.
//!
//! [`Operation::name_of`]: super::operation::Operation::name_of

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    id::{OperationId, Tenant, VolumeId},
    operation::NAME_MARK,
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

/// The kinds that can carry the mark, in an order in which they can be deleted: what holds others
/// fast comes first. A key pair has the name that its user knows it by, and no mark.
pub const KINDS: [ThingKind; 9] = [
    ThingKind::Server,
    ThingKind::Trunk,
    ThingKind::Port,
    ThingKind::SecurityGroup,
    ThingKind::VolumeBackup,
    ThingKind::GroupSnapshot,
    ThingKind::Snapshot,
    ThingKind::Volume,
    ThingKind::Image,
];

/// What is known of marked things and of the operations that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The operations that are under way.
    pub open: BTreeSet<OperationId>,
    /// The operations that came to their end, as far as that is still remembered.
    pub ended: BTreeSet<OperationId>,
    /// Ids that open operations, backups of either kind and restorations account for.
    pub held: BTreeSet<String>,
    /// Ids of volume backups that a ledger says were made in this tenant.
    pub made: BTreeSet<String>,
}

/// A marked thing that nothing accounts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The thing.
    pub sighting: Sighting,
    /// The operation that it names.
    pub operation: OperationId,
    /// Why nothing accounts for it.
    pub why: Why,
}

/// Why nothing accounts for a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its operation came to its end, and nothing that is left holds it.
    Ended,
    /// Its operation is not known here: forgotten since, or that of another service.
    Unknown,
}

impl Why {
    /// The reason for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Ended => {
                "the operation that it names has ended, and no backup or restoration holds it"
            }
            Self::Unknown => {
                "the operation that it names is not known here: it ended long ago, or it is that of \
                 another drbackup over the same cloud"
            }
        }
    }
}

/// What became of a thing that was to be deleted as an orphan. Stored with the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionResult {
    /// The id that was asked for.
    pub id: String,
    /// The thing, where one was found.
    pub thing: Option<Thing>,
    /// Its name, where it was found.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was left alone; empty when it was not.
    pub problem: String,
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The cloud took its deletion.
    Deleted,
    /// Nothing with our mark has that id.
    NotFound,
    /// It is no orphan, or somebody uses it, so it was left alone.
    Kept,
    /// The cloud did not delete it.
    Refused,
}

/// What a tenant is looked through for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Orphans.
    Orphans,
    /// What the points of its instances rest on.
    Points {
        /// Where something was never seen, or may be half deleted, a tenant is due when its last sweep
        /// began before this.
        urgent: Timestamp,
    },
}

impl Aim {
    /// The name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orphans => "orphans",
            Self::Points { .. } => "points",
        }
    }
}

/// A look through one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The tenant.
    pub tenant: Tenant,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended; nothing while it is under way, or when it was broken off.
    pub ended: Option<Timestamp>,
    /// How many orphans of each kind there were; a kind of which there was none may be missing.
    pub found: BTreeMap<ThingKind, u64>,
    /// Why it failed, where it did; the numbers are then those of the one before.
    pub problem: Option<String>,
}

impl Sweep {
    /// How many orphans there were in all.
    pub fn orphans(&self) -> u64 {
        self.found.values().sum()
    }
}

/// The operation that a thing names, if it carries our mark.
pub fn marked(seen: &Sighting) -> Option<OperationId> {
    let last_word = seen.name.rsplit(' ').next();
    let with_image = last_word.filter(|_| seen.thing.kind == ThingKind::Snapshot);
    std::iter::once(&seen.name)
        .chain(&seen.tags)
        .map(String::as_str)
        .chain(with_image)
        .find_map(operation_of)
}

fn operation_of(name: &str) -> Option<OperationId> {
    const DIGITS: usize = 32;
    let rest = name.strip_prefix(NAME_MARK)?;
    let (id, key) = rest.split_at_checked(DIGITS)?;
    // Everybody may call a thing `drb-something`: only what names an operation and a key is ours.
    key.strip_prefix('-').filter(|key| !key.is_empty())?;
    Uuid::try_parse(id).ok().map(OperationId)
}

/// Which of the things that were seen in one tenant are orphans, in the order of [`KINDS`], newest
/// first within a kind. What was made after `young`, or nobody knows when, is none.
pub fn orphans(seen: &[Sighting], known: &Known, young: Timestamp) -> Vec<Orphan> {
    let volumes: BTreeSet<&str> = seen
        .iter()
        .filter(|one| one.thing.kind == ThingKind::Volume)
        .map(|one| one.thing.id.as_str())
        .collect();
    let made_here = |one: &Sighting| {
        let volume = one.volume.as_ref().map(VolumeId::as_str);
        known.made.contains(&one.thing.id) || volume.is_some_and(|id| volumes.contains(id))
    };
    let mut found: Vec<Orphan> = seen
        .iter()
        .filter(|one| KINDS.contains(&one.thing.kind))
        .filter(|one| one.created.is_some_and(|created| created <= young))
        .filter(|one| !known.held.contains(&one.thing.id))
        .filter(|one| one.thing.kind != ThingKind::VolumeBackup || made_here(one))
        .filter_map(|one| {
            let operation = marked(one)?;
            if known.open.contains(&operation) {
                return None;
            }
            let why = if known.ended.contains(&operation) {
                Why::Ended
            } else {
                Why::Unknown
            };
            Some(Orphan {
                sighting: one.clone(),
                operation,
                why,
            })
        })
        .collect();
    found.sort_by_key(|orphan| {
        let seen = &orphan.sighting;
        let place = KINDS.iter().position(|kind| *kind == seen.thing.kind);
        // The newest of a chain of volume backups has to go first.
        (
            place,
            std::cmp::Reverse(seen.created),
            seen.thing.id.clone(),
        )
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);
    const OPERATION: &str = "0190000000007000800000000000000a";

    fn operation() -> OperationId {
        OperationId(Uuid::try_parse(OPERATION).expect("an id"))
    }

    fn seen(kind: ThingKind, id: &str) -> Sighting {
        Sighting {
            thing: Thing {
                kind,
                id: id.to_owned(),
            },
            name: format!("drb-{OPERATION}-thing"),
            tags: Vec::new(),
            status: "available".to_owned(),
            message: None,
            created: Some(Timestamp(10)),
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        }
    }

    fn backup_of(volume: &str) -> Sighting {
        Sighting {
            volume: Some(VolumeId::new(volume)),
            ..seen(ThingKind::VolumeBackup, "backup")
        }
    }

    fn ids(seen: &[Sighting], known: &Known) -> Vec<String> {
        let found = orphans(seen, known, NOW);
        found.into_iter().map(|one| one.sighting.thing.id).collect()
    }

    #[test]
    fn what_nothing_accounts_for_is_an_orphan_of_every_kind_with_a_mark() {
        for kind in KINDS {
            let mut all = vec![seen(kind, "a")];
            all[0].volume = Some(VolumeId::new("v"));
            let volume = Sighting {
                name: "data".to_owned(),
                ..seen(ThingKind::Volume, "v")
            };
            all.push(volume);
            assert_eq!(ids(&all, &Known::default()), ["a"], "{kind:?}");
        }
    }

    #[test]
    fn only_a_name_or_a_tag_of_an_operation_is_a_mark() {
        for name in [
            "",
            "drb-",
            "drb-thing",
            "drb-0190000000007000800000000000000a",
            "drb-0190000000007000800000000000000a-",
            "drb-0190000000007000800000000000000z-thing",
            "my drb-0190000000007000800000000000000a-thing",
            "drb-ünïcödé-names-are-taken-as-they-are-too",
        ] {
            let mut one = seen(ThingKind::Volume, "a");
            name.clone_into(&mut one.name);
            assert_eq!(marked(&one), None, "{name}");
        }
        let mut server = seen(ThingKind::Server, "s");
        server.tags = vec!["blue".to_owned(), std::mem::take(&mut server.name)];
        "shop".clone_into(&mut server.name);
        assert_eq!(marked(&server), Some(operation()));
    }

    #[test]
    fn what_an_open_operation_made_is_none() {
        let known = Known {
            open: BTreeSet::from([operation()]),
            ..Known::default()
        };
        assert_eq!(ids(&[seen(ThingKind::Snapshot, "a")], &known), [""; 0]);
    }

    #[test]
    fn what_is_held_is_none() {
        let known = Known {
            ended: BTreeSet::from([operation()]),
            held: BTreeSet::from(["a".to_owned()]),
            ..Known::default()
        };
        let all = [seen(ThingKind::Volume, "a"), seen(ThingKind::Volume, "b")];
        assert_eq!(ids(&all, &known), ["b"]);
        assert_eq!(orphans(&all, &known, NOW)[0].why, Why::Ended);
    }

    #[test]
    fn what_is_young_or_of_unknown_age_is_none() {
        let mut one = seen(ThingKind::Port, "a");
        one.created = Some(Timestamp(NOW.0 + 1));
        assert_eq!(ids(&[one.clone()], &Known::default()), [""; 0]);
        one.created = None;
        assert_eq!(ids(&[one.clone()], &Known::default()), [""; 0]);
        one.created = Some(NOW);
        assert_eq!(ids(&[one], &Known::default()), ["a"]);
    }

    #[test]
    fn a_volume_backup_that_may_be_an_imported_record_is_none() {
        let volume = seen(ThingKind::Volume, "here");
        let known = Known {
            held: BTreeSet::from(["here".to_owned()]),
            ..Known::default()
        };
        let imported = [backup_of("elsewhere"), volume.clone()];
        assert_eq!(ids(&imported, &known), [""; 0]);
        let own = [backup_of("here"), volume.clone()];
        assert_eq!(ids(&own, &known), ["backup"]);
        let told = Known {
            made: BTreeSet::from(["backup".to_owned()]),
            ..known
        };
        assert_eq!(ids(&imported, &told), ["backup"]);
    }

    #[test]
    fn a_key_pair_has_no_mark() {
        let pair = seen(ThingKind::KeyPair, "a");
        assert_eq!(ids(&[pair], &Known::default()), [""; 0]);
    }

    #[test]
    fn what_holds_others_fast_comes_first_and_the_newest_before_what_it_builds_on() {
        let aged = |kind, id: &str, created| Sighting {
            created: Some(Timestamp(created)),
            volume: Some(VolumeId::new("v")),
            ..seen(kind, id)
        };
        let all = [
            aged(ThingKind::Volume, "v", 1),
            aged(ThingKind::VolumeBackup, "full", 2),
            aged(ThingKind::VolumeBackup, "incremental", 3),
            aged(ThingKind::Snapshot, "snapshot", 4),
            aged(ThingKind::Server, "server", 5),
        ];
        let order = ids(&all, &Known::default());
        assert_eq!(order, ["server", "incremental", "full", "snapshot", "v"]);
    }
}
