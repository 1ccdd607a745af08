//! What was last seen of a point's bytes: how old the claim is that it can be brought back, and what
//! speaks against it; it may not know who looks, or how.
//!
//! | What is seen | What becomes of the claim |
//! |---|---|
//! | every original there, usable and as large as it was | renewed |
//! | an original gone, broken, going or of another size | not recoverable, until a later look sees it again; a DR backup may be tried, for bytes can outlive their row |
//! | an imported record gone or going | doubtful: both share their bytes; a restoration proves it |
//! | a cloud that does not answer | stays as it is, and grows old |
//!
//! The number of objects that a volume backup tells (`object_count`) is not compared, because it cannot shrink:
//! Cinder writes it once, when the backup is made, and never counts again (`_finalize_backup` of
//! cinder/backup/chunkeddriver.py is the only place that sets it, Zed to 2026.1), and an import copies it. The
//! Ceph driver does not write it at all. So two readings of it are two readings of one stored number, and say
//! nothing of what is in the store.
//!
//! A list tells of records, not of bytes. So what a restoration could not bring back stays doubtful
//! whatever lists say, until one can.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    id::{Tenant, VolumeBackupId},
    point::{Content, Point},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
    volume_backup::{BackupAt, VolumeBackup},
    volume_snapshot::VolumeSnapshot,
};

/// How far the claim reaches that a point can be restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The moment from which on all of it was seen; nothing while it never was.
    pub time: Option<Timestamp>,
    /// What speaks against it.
    pub doubt: Option<Doubt>,
}

/// Why a point is not known to be recoverable although it was made well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// How it came up.
    pub cause: Cause,
    /// In half a sentence.
    pub reason: String,
}

/// How a doubt came up, which decides what removes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A look saw that something is wrong. A look that sees all of it removes it.
    Seen,
    /// Its own deletion has removed something. A look that sees all of it removes it.
    Deleted,
    /// Its own deletion was broken off and may have removed something. The next look removes it, or tells
    /// what is missing, which went with that deletion then.
    BrokenOff,
    /// It could not be restored for want of bytes, or a record that shared them is gone. Only a
    /// restoration removes it.
    Unproven,
}

impl Doubt {
    /// A doubt.
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self {
            cause,
            reason: reason.into(),
        }
    }

    /// Whether it is known that something is missing, so that a restoration would be in vain.
    pub fn is_certain(&self) -> bool {
        match self.cause {
            Cause::Seen | Cause::Deleted => true,
            Cause::BrokenOff | Cause::Unproven => false,
        }
    }
}

/// Something in a cloud that a point rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub tenant: Tenant,
    /// Which.
    pub thing: Thing,
    /// How large it was, GiB; nothing where that does not matter.
    pub size_gib: Option<u64>,
    /// Whether it is an imported record, which is needed only in so far as nobody may delete it.
    pub is_mirror: bool,
}

/// How a part was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Where it is could not be looked through.
    Unknown,
    /// The service says that it is not there.
    Gone,
    /// It is there.
    There {
        /// Its status, in lower case.
        status: String,
        /// Its size in GiB, where it is told.
        size_gib: Option<u64>,
    },
}

impl From<&Sighting> for Found {
    fn from(seen: &Sighting) -> Self {
        Self::There {
            status: seen.status.clone(),
            size_gib: seen.size_gib,
        }
    }
}

/// What a look came to, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All of it was seen, and nothing speaks against it.
    Recoverable,
    /// Something speaks against it.
    Doubtful,
    /// It could not be looked at.
    Unseen,
}

impl Outcome {
    /// All of them, for tables.
    pub const ALL: [Self; 3] = [Self::Recoverable, Self::Doubtful, Self::Unseen];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recoverable => "recoverable",
            Self::Doubtful => "doubtful",
            Self::Unseen => "unseen",
        }
    }
}

impl Part {
    /// What is wrong with it, if anything.
    fn doubt(&self, found: &Found) -> Option<Doubt> {
        match found {
            Found::Unknown => None,
            Found::Gone if self.is_mirror => Some(self.mirror_doubt("gone")),
            Found::Gone => Some(Doubt::new(
                Cause::Seen,
                format!("{} is missing", self.thing),
            )),
            Found::There { status, .. } if self.is_mirror => {
                // Whatever else it is, its bytes are not about to go.
                let goes = matches!(status.as_str(), "deleting" | "error_deleting" | "deleted");
                goes.then(|| self.mirror_doubt(status))
            }
            Found::There { status, size_gib } => {
                if !is_usable(self.thing.kind, status) {
                    let reason = format!("{} is {status}", self.thing);
                    return Some(Doubt::new(Cause::Seen, reason));
                }
                let (was, is) = ((self.size_gib)?, (*size_gib)?);
                (was != is).then(|| {
                    let reason = format!("{} has {is} GiB instead of {was}", self.thing);
                    Doubt::new(Cause::Seen, reason)
                })
            }
        }
    }

    fn mirror_doubt(&self, what: &str) -> Doubt {
        let reason = format!(
            "the imported record of {} in {} is {what}, and the bytes of both are the same",
            self.thing, self.tenant
        );
        Doubt::new(Cause::Unproven, reason)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in {}", self.thing, self.tenant)
    }
}

/// Whether a thing can be restored from in this status, if need be a little later.
fn is_usable(kind: ThingKind, status: &str) -> bool {
    match kind {
        ThingKind::VolumeBackup => matches!(status, "available" | "restoring"),
        // It is being read by somebody.
        ThingKind::Snapshot => matches!(status, "available" | "backing-up"),
        ThingKind::Volume
        | ThingKind::SecurityGroup
        | ThingKind::KeyPair
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server
        | ThingKind::GroupSnapshot
        | ThingKind::Image => status == "available",
    }
}

/// What a look at all parts of a point, made at `time`, means for what was known of it; nothing when it
/// could not be looked at.
pub fn judged<'p>(
    known: &Verification,
    found: impl IntoIterator<Item = (&'p Part, &'p Found)>,
    time: Timestamp,
) -> Option<Verification> {
    let mut doubts: Vec<Doubt> = Vec::new();
    for (part, found) in found {
        if *found == Found::Unknown && !part.is_mirror {
            return None;
        }
        doubts.extend(part.doubt(found));
    }
    // What is certain tells more than what may be.
    let certain = doubts.iter().find(|doubt| doubt.is_certain());
    let seen = certain.or(doubts.first()).cloned();
    let before = known.doubt.as_ref();
    let doubt = match (seen, before.map(|doubt| doubt.cause)) {
        // It is on its way out by its own deletion, which tells more than what is missing by now; and no
        // list proves bytes.
        (Some(_), Some(Cause::Deleted)) | (None, Some(Cause::Unproven)) => known.doubt.clone(),
        // What is missing after a deletion of its own that was broken off went with that.
        (Some(seen), Some(Cause::BrokenOff)) if seen.is_certain() => Some(Doubt {
            cause: Cause::Deleted,
            ..seen
        }),
        (seen, _) => seen,
    };
    Some(Verification {
        time: Some(time),
        doubt,
    })
}

impl Point {
    /// What it rests on, where `mirrors` are imported records of its volume backups that were seen.
    pub fn parts<'a>(&'a self, mirrors: impl IntoIterator<Item = &'a BackupAt>) -> Vec<Part> {
        match &self.detail.content {
            Content::Dr(links) => of_links(links, mirrors),
            Content::Regular(snapshots) => of_snapshots(&self.tenant, snapshots),
        }
    }
}

fn of_links<'a>(
    links: &[VolumeBackup],
    mirrors: impl IntoIterator<Item = &'a BackupAt>,
) -> Vec<Part> {
    let thing = |id: &VolumeBackupId| Thing {
        kind: ThingKind::VolumeBackup,
        id: id.to_string(),
    };
    let originals = links.iter().map(|link| Part {
        tenant: link.tenant.clone(),
        thing: thing(&link.id),
        size_gib: Some(link.size_gib),
        is_mirror: false,
    });
    let imported = mirrors.into_iter().filter(|mirror| {
        let mut links = links.iter();
        links.any(|link| link.id == mirror.backup && link.tenant != mirror.tenant)
    });
    let imported = imported.map(|mirror| Part {
        tenant: mirror.tenant.clone(),
        thing: thing(&mirror.backup),
        size_gib: None,
        is_mirror: true,
    });
    originals.chain(imported).collect()
}

fn of_snapshots(tenant: &Tenant, snapshots: &[VolumeSnapshot]) -> Vec<Part> {
    let parts = snapshots.iter().map(|snapshot| Part {
        tenant: tenant.clone(),
        thing: Thing {
            kind: ThingKind::Snapshot,
            id: snapshot.id.to_string(),
        },
        size_gib: Some(snapshot.size_gib),
        is_mirror: false,
    });
    parts.collect()
}

#[cfg(test)]
mod tests;
