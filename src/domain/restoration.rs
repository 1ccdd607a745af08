//! The restoration: the rebuilding of an instance from a backup of either kind; it may not know how it is stored.

use serde::{Deserialize, Serialize};

use super::{
    difference::Difference,
    error::Error,
    head::Head,
    id::{
        FlavorId, InstanceId, NetworkId, PointId, RestorationId, SecurityGroupId, ServerId, Tenant,
        VolumeId,
    },
    lifecycle::{State, Transition},
    manifest::{Manifest, Properties},
    sighting::Thing,
    user_data::UserData,
    volume_backup::{BackupAt, VolumeBackup},
    volume_snapshot::VolumeSnapshot,
};

/// A restoration as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Restoration {
    /// Its id.
    pub id: RestorationId,
    /// What it restores.
    pub source: PointId,
    /// Where the instance is made.
    pub tenant: Tenant,
    /// Our id of the instance, known from the first answer on.
    pub instance: InstanceId,
    /// The name that the instance gets.
    pub instance_name: String,
    /// What was asked for.
    pub options: RestoreOptions,
    /// Where it stands.
    pub head: Head,
    /// What it made.
    pub detail: RestorationDetail,
}

/// What the caller chose; what is not chosen comes from the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct RestoreOptions {
    /// The name of the instance; empty means that of the manifest.
    pub name: String,
    /// The flavor; nothing means the smallest that fits, one of the same name and shape first.
    pub flavor: Option<FlavorId>,
    /// Per volume of the source.
    pub volumes: Vec<VolumeOptions>,
    /// Per network of the source; what is not named is mapped by name.
    pub networks: Vec<NetworkOptions>,
    /// Whether fixed addresses are kept where the target allows it.
    pub keep_fixed_addresses: bool,
    /// Whether MAC addresses are kept.
    pub keep_mac_addresses: bool,
    /// Security groups of the target to use instead of those of the manifest; empty means find or make.
    pub security_groups: Vec<SecurityGroupId>,
    /// A key pair of the acting user to use instead of that of the manifest.
    pub key_name: Option<String>,
    /// Nova's zone; nothing means one of the same name, else that the target chooses.
    pub availability_zone: Option<String>,
    /// Cinder's zone for volumes without a wish of their own; nothing means one of the same name, else that
    /// the target chooses.
    pub volume_availability_zone: Option<String>,
    /// The type for volumes without a wish of their own; nothing means the type of the same name, else the target's default.
    pub volume_type: Option<String>,
    /// User data (base64) instead of that of the manifest.
    pub user_data: Option<UserData>,
    /// Config drive instead of that of the manifest.
    pub config_drive: Option<bool>,
    /// Metadata that is added to, or replaces, that of the manifest.
    pub metadata: Properties,
    /// Whether volumes that have their bytes stay where the restoration cannot be brought to its end.
    #[serde(default)]
    pub keep_volumes: bool,
    /// Whether no key pair is wished for, not that of the manifest either.
    #[serde(default)]
    pub no_key: bool,
    /// Whether the instance runs in the end.
    #[serde(default)]
    pub start: Start,
}

/// Whether a restored instance runs in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// If the original did: a twin that was switched off must not come up with its old address.
    #[default]
    AsCaptured,
    /// It runs.
    Running,
    /// It is switched off.
    Stopped,
}

impl Start {
    /// Whether an instance that had `status` is to be switched off.
    pub fn stops(self, status: &str) -> bool {
        match self {
            Self::Running => false,
            Self::Stopped => true,
            // Whatever else did not run (paused, suspended, shelved) has no memory to come back to.
            Self::AsCaptured => [
                "shutoff",
                "paused",
                "suspended",
                "shelved",
                "shelved_offloaded",
            ]
            .iter()
            .any(|one| status.eq_ignore_ascii_case(one)),
        }
    }
}

impl RestoreOptions {
    /// Whether it names things that the target has to have.
    pub fn names_things(&self) -> bool {
        self.flavor.is_some()
            || !self.networks.is_empty()
            || !self.security_groups.is_empty()
            || self.key_name.is_some()
            || self.availability_zone.is_some()
            || self.volume_availability_zone.is_some()
            || self.volume_type.is_some()
            || self
                .volumes
                .iter()
                .any(|one| one.volume_type.is_some() || one.availability_zone.is_some())
    }
}

/// What the caller chose for one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOptions {
    /// The volume of the source.
    pub volume: VolumeId,
    /// The type, by name.
    pub volume_type: Option<String>,
    /// Cinder's zone.
    pub availability_zone: Option<String>,
    /// A size in GiB, at least that of the backup.
    pub size_gib: Option<u64>,
}

/// What the caller chose for one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOptions {
    /// The network of the source.
    pub source: NetworkId,
    /// The network of the target.
    pub target: NetworkId,
    /// A fixed address in the target for the first port on it.
    pub fixed_address: Option<String>,
}

/// Everything that the planner of a restoration has to know; frozen when it is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePlanInput {
    /// The manifest of the backup.
    pub manifest: Manifest,
    /// The volume backups of a DR backup, with their records.
    pub volume_backups: Vec<VolumeBackup>,
    /// The snapshots of a regular backup, which are in the tenant itself.
    #[serde(default)]
    pub snapshots: Vec<VolumeSnapshot>,
    /// Where they were imported before, as far as is known.
    #[serde(default)]
    pub mirrors: Vec<BackupAt>,
    /// What was asked for.
    #[serde(rename = "wish")]
    pub options: RestoreOptions,
}

impl RestorePlanInput {
    /// The snapshot that a volume is made from, where it is restored from one.
    pub fn snapshot_of(&self, volume: &VolumeId) -> Option<&VolumeSnapshot> {
        self.snapshots.iter().find(|one| one.volume == *volume)
    }
}

/// What a restoration made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorationDetail {
    /// The server, as soon as it exists.
    pub server: Option<ServerId>,
    /// Nova's status of it when it was last seen.
    pub server_status: String,
    /// The restored volumes, in the order of the manifest.
    pub volumes: Vec<RestoredVolume>,
    /// The records that were imported or used.
    pub mirrors: Vec<BackupAt>,
    /// What is not exactly as it was; empty means an exact copy.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// What a release before this one wrote in sentences in place of differences.
    #[serde(default, rename = "adjustments")]
    pub former_adjustments: Vec<String>,
    /// Everything that was made and that goes when the instance is removed; never a record.
    pub made: Vec<Thing>,
}

impl RestorationDetail {
    /// What is not exactly as it was, one sentence each.
    pub fn adjustments(&self) -> Vec<String> {
        let told = self.differences.iter().map(Difference::sentence);
        self.former_adjustments
            .iter()
            .cloned()
            .chain(told)
            .collect()
    }
}

/// A restored volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredVolume {
    /// The volume of the source.
    pub source: VolumeId,
    /// The volume in the target.
    pub volume: VolumeId,
    /// Its name.
    pub name: String,
    /// Its size in GiB.
    pub size_gib: u64,
}

impl Restoration {
    /// The state after `transition`, or the refusal that a caller should see.
    pub fn moved(&self, transition: Transition) -> Result<State, Error> {
        self.head.state.after(transition).ok_or_else(|| {
            Error::precondition(
                "RESTORATION_STATE",
                format!(
                    "restoration {} is {}, which does not allow this",
                    self.id,
                    self.head.state.name()
                ),
            )
            .advise("wait until it is OK or ERRED, or cancel it")
        })
    }

    /// The state of the instance that it makes.
    pub fn instance_state(&self) -> State {
        match self.head.state {
            // The restoration runs long before the server is asked for, and ends with it.
            State::Creating if self.detail.server.is_none() => State::CreationScheduled,
            State::UpdateScheduled | State::Updating => State::Ok,
            State::CreationScheduled
            | State::Creating
            | State::Ok
            | State::Erred
            | State::DeletionScheduled
            | State::Deleting
            | State::Deleted => self.head.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_an_older_release_are_still_told() {
        let written = r#"{"server": null, "server_status": "", "volumes": [], "mirrors": [],
            "adjustments": ["a key was left out"], "made": []}"#;
        let mut detail: RestorationDetail = serde_json::from_str(written).unwrap();
        assert_eq!(detail.adjustments(), ["a key was left out"]);
        detail.differences.push(Difference::new("tags", "refused"));
        assert_eq!(
            detail.adjustments(),
            ["a key was left out", "tags: refused"]
        );
        // An older replica that reads the row needs the word.
        assert!(
            serde_json::to_value(&detail)
                .unwrap()
                .get("adjustments")
                .is_some()
        );
    }
}
