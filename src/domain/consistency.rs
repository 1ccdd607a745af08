//! How well the volumes of a point agree in time: what was reached, and what can be; it may not know how
//! a snapshot is made.
//!
//! | Level | What it takes |
//! |---|---|
//! | each volume at its own time | nothing |
//! | snapshots | a snapshot of each volume, all asked for at once |
//! | group snapshot | all volumes in one group of Cinder, whose type promises snapshots of one moment |
//! | quiesced | a guest agent that Nova has to ask (`hw_qemu_guest_agent`, `os_require_quiesce`) |
//! | shut off | an instance that does not run |
//!
//! Without `os_require_quiesce` Nova goes on in silence when the guest does not answer, so only what is
//! required can be claimed.

use serde::{Deserialize, Serialize};

use super::{
    capture::Capture,
    error::Error,
    id::{GroupId, VolumeId},
    manifest::{Manifest, Properties},
    time::Timestamp,
};

/// How well the volumes of a point agree, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsistencyLevel {
    /// Each volume at its own time.
    PerVolume,
    /// One snapshot per volume, as close together as the cloud made them.
    VolumeSnapshots,
    /// All volumes at one moment, by one snapshot of the group that they are in.
    GroupSnapshot,
    /// The same by snapshots of each volume, and the guest held its file systems still meanwhile.
    Quiesced,
    /// The instance was shut off, so nothing was written meanwhile.
    ShutOff,
}

impl ConsistencyLevel {
    /// In words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::PerVolume => "each volume at its own time",
            Self::VolumeSnapshots => "snapshots of all volumes, asked for at once",
            Self::GroupSnapshot => "one snapshot of all volumes as a group",
            Self::Quiesced => "snapshots while the guest held still",
            Self::ShutOff => "the instance shut off",
        }
    }
}

/// What was reached, never what was hoped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// The level.
    pub level: ConsistencyLevel,
    /// Milliseconds between the first and the last capture by the cloud's own clock, where it
    /// tells; Cinder tells whole seconds or better.
    pub skew_ms: Option<u64>,
}

/// How an instance stands at one moment, as far as a claim about what was captured rests on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Nova's status.
    pub status: String,
    /// What Nova is doing with it, if anything.
    pub task: Option<String>,
    /// When anything of it last changed, by Nova's clock.
    pub changed: Option<Timestamp>,
    /// The request of the newest action of Nova after which it may have run, where there is one: being
    /// imaged, locked or given a volume are none. Nothing, too, where the actions could not be read.
    pub ran: Option<String>,
    /// Whether the actions could be read.
    pub told: bool,
    /// The volumes that are attached.
    pub volumes: Vec<VolumeId>,
}

impl ServerState {
    /// Whether it was off at this moment, and nothing was under way that ends that.
    fn is_off(&self) -> bool {
        self.status.eq_ignore_ascii_case("SHUTOFF")
            && self
                .task
                .as_deref()
                .is_none_or(|task| task.starts_with("image_"))
    }

    /// Whether it was off from this moment until `later`. Where its actions are not told, any change
    /// counts as one: Nova sets `updated` when it starts and stops a server, and not `launched_at`
    /// (`start_instance` in `nova/compute/manager.py`, 2023.1).
    pub fn stayed_off_until(&self, later: &Self) -> bool {
        let untouched = if self.told && later.told {
            self.ran == later.ran
        } else {
            self.changed.is_some() && self.changed == later.changed
        };
        self.is_off() && later.is_off() && untouched
    }
}

/// How the snapshots of an instance are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// One by one, or not at all.
    Each,
    /// All volumes of this group in one request to Cinder.
    Group(GroupId),
    /// By Nova, which has the guest hold still meanwhile.
    Quiesced,
}

/// The most that can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// How.
    pub way: Way,
    /// The level.
    pub level: ConsistencyLevel,
    /// Why it cannot be more, in half sentences.
    pub obstacles: Vec<String>,
}

/// Whether properties, as volumes and images have them, say that Nova has to have the guest hold still
/// and must not take a snapshot otherwise.
pub fn quiesce_is_required(properties: &Properties) -> bool {
    quiesce_obstacle(properties).is_none()
}

fn quiesce_obstacle(properties: &Properties) -> Option<String> {
    ["hw_qemu_guest_agent", "os_require_quiesce"]
        .into_iter()
        .find(|key| !properties.get(*key).is_some_and(|value| is_true(value)))
        .map(|key| format!("its root volume does not carry the image property {key}=yes"))
}

/// What Nova takes for a yes.
fn is_true(text: &str) -> bool {
    ["1", "t", "true", "on", "y", "yes"]
        .iter()
        .any(|yes| text.trim().eq_ignore_ascii_case(yes))
}

/// The most that can be reached with an instance as it is, when its bytes are taken so; nothing means
/// snapshots that stay.
pub fn reach(manifest: &Manifest, capture: Option<Capture>) -> Reach {
    let shut_off = manifest.status.eq_ignore_ascii_case("SHUTOFF");
    let mut obstacles = Vec::new();
    let best = match capture {
        Some(Capture::VolumeInUse) => {
            obstacles.push("volumes in use are read one by one, without snapshots".to_owned());
            (Way::Each, ConsistencyLevel::PerVolume)
        }
        Some(Capture::Snapshot | Capture::SnapshotThenCopy) | None => {
            by_snapshots(manifest, capture, &mut obstacles)
        }
    };
    let (way, level) = best;
    if shut_off {
        // Nothing is gained by anything else, and Nova asks no guest that does not run.
        return Reach {
            way: Way::Each,
            level: ConsistencyLevel::ShutOff,
            obstacles: Vec::new(),
        };
    }
    obstacles.push(format!("it is {}, not shut off", manifest.status));
    Reach {
        way,
        level,
        obstacles,
    }
}

fn by_snapshots(
    manifest: &Manifest,
    capture: Option<Capture>,
    obstacles: &mut Vec<String>,
) -> (Way, ConsistencyLevel) {
    if !manifest.root_is_volume {
        obstacles.push(
            "its root disk is not a volume, and an image of it is made in its own time".to_owned(),
        );
        return (Way::Each, ConsistencyLevel::PerVolume);
    }
    match quiesced(manifest) {
        None => return (Way::Quiesced, ConsistencyLevel::Quiesced),
        Some(obstacle) => obstacles.push(obstacle),
    }
    match group(manifest, capture) {
        Ok(group) => (Way::Group(group), ConsistencyLevel::GroupSnapshot),
        Err(obstacle) => {
            obstacles.push(obstacle);
            (Way::Each, ConsistencyLevel::VolumeSnapshots)
        }
    }
}

/// Why the guest cannot be asked to hold still, if it cannot.
fn quiesced(manifest: &Manifest) -> Option<String> {
    let Some(root) = manifest.root_volume() else {
        return Some("which of its volumes boots is not known".to_owned());
    };
    if !manifest.status.eq_ignore_ascii_case("ACTIVE") {
        return Some(format!(
            "Nova asks the guest of a running instance only, and it is {}",
            manifest.status
        ));
    }
    quiesce_obstacle(&root.image_metadata)
}

/// The group whose snapshot holds all volumes, or why there is none.
fn group(manifest: &Manifest, capture: Option<Capture>) -> Result<GroupId, String> {
    if capture.is_none() {
        return Err(
            "snapshots of a group cannot be kept or deleted one by one, as those of a regular backup are"
                .to_owned(),
        );
    }
    let Some(group) = &manifest.volume_group else {
        return Err("its volumes are not all in one volume group of Cinder".to_owned());
    };
    match group.consistent {
        Some(true) => Ok(group.id.clone()),
        Some(false) => Err(format!(
            "the type of volume group {} does not promise consistent snapshots, or the driver of its \
             volumes reports none",
            group.id
        )),
        None => Err(format!(
            "what the type of volume group {} promises could not be read, for which an admin entry is needed",
            group.id
        )),
    }
}

/// Whether `level` is enough where at least `minimum` is wished for. One volume alone agrees with itself.
pub fn is_enough(
    minimum: Option<ConsistencyLevel>,
    level: ConsistencyLevel,
    volumes: usize,
) -> bool {
    minimum.is_none_or(|minimum| {
        level >= minimum || volumes == 1 && minimum <= ConsistencyLevel::GroupSnapshot
    })
}

/// Refuses a wish for more than can be reached.
pub fn check(
    minimum: Option<ConsistencyLevel>,
    manifest: &Manifest,
    capture: Option<Capture>,
) -> Result<(), Error> {
    let reach = reach(manifest, capture);
    let Some(wished) = minimum.filter(|_| {
        let volumes = manifest.volumes.len() + usize::from(manifest.root_volume().is_none());
        !is_enough(minimum, reach.level, volumes)
    }) else {
        return Ok(());
    };
    Err(Error::precondition(
        "CONSISTENCY_NOT_REACHABLE",
        format!(
            "minimum_consistency: `{}` is wished for at least, and no more than `{}` can be reached \
             with instance `{}`: {}",
            wished.words(),
            reach.level.words(),
            manifest.name,
            reach.obstacles.join("; ")
        ),
    )
    .advise(remedy(wished)))
}

/// What makes a level reachable.
fn remedy(level: ConsistencyLevel) -> &'static str {
    match level {
        ConsistencyLevel::PerVolume | ConsistencyLevel::VolumeSnapshots => {
            "ask for less, or capture by snapshots"
        }
        ConsistencyLevel::GroupSnapshot => {
            "put all its volumes into one volume group whose type has \
             consistent_group_snapshot_enabled, and make a DR backup by snapshots; or ask for less"
        }
        ConsistencyLevel::Quiesced => {
            "boot it from a volume or image with hw_qemu_guest_agent=yes and os_require_quiesce=yes and \
             a running guest agent, and capture by snapshots; or shut it off, or ask for less"
        }
        ConsistencyLevel::ShutOff => "shut the instance off, or ask for less",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: &str, changed: i64, ran: Option<&str>, told: bool) -> ServerState {
        ServerState {
            status: status.to_owned(),
            task: None,
            changed: Some(Timestamp(changed)),
            ran: ran.map(str::to_owned),
            told,
            volumes: Vec::new(),
        }
    }

    #[test]
    fn off_is_claimed_only_of_what_was_off_all_the_time() {
        let before = state("SHUTOFF", 1, Some("create"), true);
        for (after, expected) in [
            (state("SHUTOFF", 1, Some("create"), true), true),
            // Our own image, a lock, a new name: it changed and did not run.
            (state("SHUTOFF", 2, Some("create"), true), true),
            // Started and stopped again meanwhile.
            (state("SHUTOFF", 2, Some("start"), true), false),
            (state("ACTIVE", 2, Some("start"), true), false),
            (state("SHELVED", 1, Some("create"), true), false),
            // The actions are hidden: any change may have been a start.
            (state("SHUTOFF", 2, None, false), false),
            (state("SHUTOFF", 1, None, false), true),
        ] {
            assert_eq!(before.stayed_off_until(&after), expected, "{after:?}");
        }
        let starting = ServerState {
            task: Some("powering-on".to_owned()),
            ..before.clone()
        };
        assert!(!before.stayed_off_until(&starting));
        assert!(!starting.stayed_off_until(&before));
        // What an earlier release read tells nothing, so nothing is claimed.
        assert!(!ServerState::default().stayed_off_until(&before));
    }
}
