//! The point: a DR backup or a regular backup, something to go back to; it may not know how it is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    capture::Capture,
    consistency::Consistency,
    error::Error,
    head::Head,
    id::{PointId, PointKind, ServerId, Tenant, VolumeBackupId},
    keeping::Keeping,
    lifecycle::{State, Transition},
    manifest::Manifest,
    retention::Health,
    time::Timestamp,
    verification::{Cause, Verification},
    volume_backup::{BackupAt, VolumeBackup, chain_of, head_of},
    volume_snapshot::VolumeSnapshot,
};

/// A point as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its id, which says of which kind it is.
    pub id: PointId,
    /// Its name.
    pub name: String,
    /// Its description, mirrored to the Cinder backups or snapshots.
    pub description: String,
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// The name of the instance, as soon as it is known.
    pub instance_name: String,
    /// How the bytes of a DR backup are taken; nothing of a regular backup, whose snapshots stay.
    pub capture: Option<Capture>,
    /// How long it is kept.
    pub keeping: Keeping,
    /// Where it stands.
    pub head: Head,
    /// What it holds.
    pub detail: PointDetail,
    /// What was last seen of it.
    pub verification: Verification,
}

/// What a point holds; grows while it is being made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointDetail {
    /// Everything that is needed to rebuild the instance.
    pub manifest: Option<Box<Manifest>>,
    /// The bytes.
    #[serde(flatten)]
    pub content: Content,
    /// How far apart the volumes are.
    pub consistency: Option<Consistency>,
    /// How long it took to make, once it is made.
    #[serde(default, rename = "took")]
    pub capture_duration: Option<Duration>,
}

/// What the bytes of a point lie in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Of a DR backup the links of every volume's chain, the newest first, in the order of the
    /// manifest's volumes.
    #[serde(rename = "volume_backups")]
    Dr(Vec<VolumeBackup>),
    /// Of a regular backup the snapshots, in the order of the manifest's volumes.
    #[serde(rename = "snapshots")]
    Regular(Vec<VolumeSnapshot>),
}

impl Content {
    /// Nothing yet.
    pub fn none(kind: PointKind) -> Self {
        match kind {
            PointKind::Dr => Self::Dr(Vec::new()),
            PointKind::Regular => Self::Regular(Vec::new()),
        }
    }

    /// Of which kind of point it is.
    pub fn kind(&self) -> PointKind {
        match self {
            Self::Dr(_) => PointKind::Dr,
            Self::Regular(_) => PointKind::Regular,
        }
    }
}

impl PointDetail {
    /// That of a point of which nothing is made yet.
    pub fn none(kind: PointKind) -> Self {
        Self::of(Content::none(kind))
    }

    /// That of a point of which nothing but these bytes is known.
    pub fn of(content: Content) -> Self {
        Self {
            manifest: None,
            content,
            consistency: None,
            capture_duration: None,
        }
    }

    /// The links of all chains of a DR backup; a regular backup has none.
    pub fn volume_backups(&self) -> &[VolumeBackup] {
        match &self.content {
            Content::Dr(links) => links,
            Content::Regular(_) => &[],
        }
    }

    /// The snapshots of a regular backup; a DR backup keeps none.
    pub fn snapshots(&self) -> &[VolumeSnapshot] {
        match &self.content {
            Content::Dr(_) => &[],
            Content::Regular(snapshots) => snapshots,
        }
    }

    /// The volume backups that a DR backup made: these are its own to describe and to delete.
    pub fn own_backups(&self) -> impl Iterator<Item = &VolumeBackup> {
        self.volume_backups().iter().filter(|one| !one.inherited)
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        match &self.content {
            Content::Dr(links) => links.is_empty(),
            Content::Regular(snapshots) => snapshots.is_empty(),
        }
    }

    /// How long making a DR backup took for each GiB, once it is made. Of a regular backup nothing is
    /// copied.
    pub fn capture_duration_per_gib(&self) -> Option<Duration> {
        let gib: u64 = self.own_backups().map(|one| one.size_gib).sum();
        let gib = u32::try_from(gib).ok().filter(|gib| *gib > 0)?;
        self.capture_duration.map(|duration| duration / gib)
    }

    /// Nothing when the point can be restored, else what is missing.
    pub fn unrecoverable_reason(&self) -> Option<String> {
        let Some(manifest) = &self.manifest else {
            return Some("the manifest is missing".to_owned());
        };
        match &self.content {
            Content::Dr(links) => missing_link(manifest, links),
            Content::Regular(snapshots) => missing_snapshot(manifest, snapshots),
        }
    }
}

fn missing_link(manifest: &Manifest, all: &[VolumeBackup]) -> Option<String> {
    if !manifest.root_is_volume && manifest.root_volume().is_none() {
        return Some("the root disk was not captured".to_owned());
    }
    for volume in &manifest.volumes {
        if head_of(all, &volume.id).is_none() {
            return Some(format!("volume {} has no volume backup", volume.id));
        }
        let mut links = chain_of(all, &volume.id).peekable();
        while let Some(link) = links.next() {
            if let Some(reason) = link.unrecoverable_reason(links.peek().copied()) {
                return Some(reason);
            }
        }
    }
    None
}

fn missing_snapshot(manifest: &Manifest, all: &[VolumeSnapshot]) -> Option<String> {
    if !manifest.root_is_volume {
        return Some("the root disk is not a volume".to_owned());
    }
    for volume in &manifest.volumes {
        let Some(snapshot) = all.iter().find(|one| one.volume == volume.id) else {
            return Some(format!("volume {} has no snapshot", volume.id));
        };
        // Earlier releases wrote so what was to be deleted; now a doubt says what became of it.
        if snapshot.status != "available" && snapshot.status != "deleting" {
            return Some(format!("snapshot {} is {}", snapshot.id, snapshot.status));
        }
    }
    None
}

impl Point {
    /// The state after `transition`, or the refusal that a caller should see.
    pub fn moved(&self, transition: Transition) -> Result<State, Error> {
        self.head.state.after(transition).ok_or_else(|| {
            let reason = match self.id.kind {
                PointKind::Dr => "DR_BACKUP_STATE",
                PointKind::Regular => "BACKUP_STATE",
            };
            Error::precondition(
                reason,
                format!(
                    "{} is {}, which does not allow this",
                    self.id.named(),
                    self.head.state.name()
                ),
            )
            .advise("wait until it is OK or ERRED, or cancel what is under way")
        })
    }

    /// Nothing when it is known that it can be restored, else why not.
    pub fn unrecoverable_reason(&self) -> Option<String> {
        let doubt = self.verification.doubt.as_ref();
        self.impossible_reason()
            .or_else(|| doubt.map(|doubt| doubt.reason.clone()))
    }

    /// Nothing when a restoration of it may be tried, else what makes that vain.
    fn impossible_reason(&self) -> Option<String> {
        let error = self.head.error.as_ref();
        if let Some(error) = error.filter(|error| error.is_unreadable()) {
            return Some(error.message.clone());
        }
        match self.head.state {
            // While words change, or when changing them failed, the bytes stay good. What failed to
            // be made says so in its detail, and what its deletion took is a doubt.
            State::Ok | State::UpdateScheduled | State::Updating | State::Erred => {
                let doubt = self.verification.doubt.as_ref();
                let certain = doubt.filter(|doubt| match self.id.kind {
                    // Only its own deletion takes the bytes with a row: they may outlive a row that is
                    // gone (a database that was put back, a status that somebody has reset), the record
                    // is held, and it may be all there is.
                    PointKind::Dr => doubt.cause == Cause::Deleted,
                    PointKind::Regular => doubt.is_certain(),
                });
                self.detail
                    .unrecoverable_reason()
                    .or_else(|| certain.map(|doubt| doubt.reason.clone()))
            }
            State::CreationScheduled
            | State::Creating
            | State::DeletionScheduled
            | State::Deleting
            | State::Deleted => Some(format!("it is {}", self.head.state.name())),
        }
    }

    /// Whether a restoration into `target` may start from it. What is only doubtful may be tried: nothing
    /// else proves it. Snapshots cannot leave their tenant.
    pub fn check_restorable(&self, target: &Tenant) -> Result<(), Error> {
        if let Some(reason) = self.impossible_reason() {
            return Err(self.not_restorable(&reason));
        }
        match self.id.kind {
            PointKind::Dr => Ok(()),
            PointKind::Regular if *target == self.tenant => Ok(()),
            PointKind::Regular => Err(Error::precondition(
                "BACKUP_OF_ANOTHER_TENANT",
                format!(
                    "{} is made of snapshots, which cannot leave {}: it cannot be restored into {target}",
                    self.id.named(),
                    self.tenant
                ),
            )
            .advise("restore it where it was made, or use a DR backup of the instance")),
        }
    }

    /// The refusal of a restoration of it.
    pub fn not_restorable(&self, reason: &str) -> Error {
        let (code, advice) = match self.id.kind {
            PointKind::Dr => (
                "DR_BACKUP_NOT_RECOVERABLE",
                "choose a DR backup that is OK and recoverable",
            ),
            PointKind::Regular => (
                "BACKUP_NOT_RECOVERABLE",
                "choose a regular backup that is OK and recoverable",
            ),
        };
        let text = format!("{} cannot be restored: {reason}", self.id.named());
        Error::precondition(code, text).advise(advice)
    }

    /// The volume backups that it made, where it made them.
    pub fn originals(&self) -> Vec<BackupAt> {
        let backups = self.detail.own_backups();
        backups
            .map(|one| BackupAt {
                backup: one.id.clone(),
                tenant: one.tenant.clone(),
            })
            .collect()
    }
}

/// A point as far as schedules and retention look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointFacts {
    /// Its id.
    pub id: PointId,
    /// Where its instance lives.
    pub tenant: Tenant,
    /// Its instance.
    pub server: ServerId,
    /// Where it stands.
    pub state: State,
    /// How long it is kept.
    pub keeping: Keeping,
    /// When it was admitted.
    pub created: Timestamp,
    /// What can be said of its data.
    pub health: Health,
    /// When its data was last seen.
    pub verified: Option<Timestamp>,
    /// The volume backups that it made.
    pub made: Vec<VolumeBackupId>,
    /// The volume backups that those build on.
    pub builds_on: Vec<VolumeBackupId>,
}

impl From<&Point> for PointFacts {
    fn from(point: &Point) -> Self {
        let detail = &point.detail;
        let recoverable = point.unrecoverable_reason().is_none();
        let holds_nothing = detail.is_empty() || is_going(&point.verification);
        Self {
            id: point.id,
            tenant: point.tenant.clone(),
            server: point.server.clone(),
            state: point.head.state,
            keeping: point.keeping,
            created: point.head.created,
            health: health(point.head.state, holds_nothing, recoverable),
            verified: point.verification.time,
            made: detail.own_backups().map(|one| one.id.clone()).collect(),
            builds_on: detail
                .own_backups()
                .filter_map(|one| one.parent.clone())
                .collect(),
        }
    }
}

/// Whether its deletion has removed something and did not come to its end.
fn is_going(verification: &Verification) -> bool {
    let doubt = verification.doubt.as_ref();
    doubt.is_some_and(|doubt| doubt.cause == Cause::Deleted)
}

/// What can be said of the data of a point. Of one whose making failed nothing is left, and one whose
/// deletion failed is let go again; any other that is not known to be good is doubtful.
fn health(state: State, holds_nothing: bool, recoverable: bool) -> Health {
    match state {
        State::Erred if holds_nothing => Health::Failed,
        State::Ok if recoverable => Health::Good,
        State::Ok
        | State::Erred
        | State::CreationScheduled
        | State::Creating
        | State::UpdateScheduled
        | State::Updating
        | State::DeletionScheduled
        | State::Deleting
        | State::Deleted => Health::Doubtful,
    }
}
