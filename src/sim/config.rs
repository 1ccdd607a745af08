//! What a simulated cloud is like: its release, its limits, its people; it may not know how the
//! services use this.

use std::sync::Arc;

use super::backup_store::BackupStore;
use super::clock::Times;

/// The release that a cloud imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Cinder 3.70, Nova 2.93, Glance 2.15; a `reader` may create nearly everything.
    Zed,
    /// Cinder 3.71, Nova 2.100, Glance 2.17; a `reader` creates no server, network or image.
    Epoxy,
    /// Cinder 3.71, Nova 2.103, Glance 2.17; roles as in Epoxy.
    Gazpacho,
}

impl Release {
    /// The release with this name (`zed`, `2025.1`, `2026.1`).
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "zed" => Some(Self::Zed),
            "2025.1" | "epoxy" => Some(Self::Epoxy),
            "2026.1" | "gazpacho" => Some(Self::Gazpacho),
            _ => None,
        }
    }

    /// Whether roles are enforced and inputs refused as newer releases do.
    pub(crate) fn is_newer(self) -> bool {
        self != Self::Zed
    }

    pub(crate) fn volume_minor(self) -> u32 {
        if self.is_newer() { 71 } else { 70 }
    }

    pub(crate) fn compute_minor(self) -> u32 {
        match self {
            Self::Zed => 93,
            Self::Epoxy => 100,
            Self::Gazpacho => 103,
        }
    }
}

/// The limits that every project of a cloud starts with.
#[derive(Clone, Debug)]
pub struct Quotas {
    /// Volumes per project.
    pub volumes: i64,
    /// Snapshots per project.
    pub snapshots: i64,
    /// Backups per project, imported records among them.
    pub backups: i64,
    /// GiB of volumes and snapshots per project.
    pub gigabytes: i64,
    /// GiB of backups per project.
    pub backup_gigabytes: i64,
    /// Servers per project.
    pub instances: i64,
    /// Virtual processors per project.
    pub cores: i64,
    /// MiB of memory per project.
    pub ram_mib: i64,
    /// Ports per project.
    pub ports: i64,
    /// Networks per project.
    pub networks: i64,
    /// Security groups per project.
    pub security_groups: i64,
    /// Security group rules per project.
    pub security_group_rules: i64,
}

impl Default for Quotas {
    /// What the services ship with.
    fn default() -> Self {
        Self {
            volumes: 10,
            snapshots: 10,
            backups: 10,
            gigabytes: 1000,
            backup_gigabytes: 1000,
            instances: 10,
            cores: 20,
            ram_mib: 51_200,
            ports: 500,
            networks: 100,
            security_groups: 10,
            security_group_rules: 100,
        }
    }
}

impl Quotas {
    /// Limits that no test reaches.
    pub fn generous() -> Self {
        Self {
            volumes: 100_000,
            snapshots: 100_000,
            backups: 100_000,
            gigabytes: 10_000_000,
            backup_gigabytes: 10_000_000,
            instances: 10_000,
            cores: 100_000,
            ram_mib: 100_000_000,
            ports: 100_000,
            networks: 10_000,
            security_groups: 10_000,
            security_group_rules: 100_000,
        }
    }
}

/// An application credential that exists from the start.
#[derive(Clone, Debug)]
pub struct ApplicationCredential {
    /// Its id, to authenticate with.
    pub id: String,
    /// Its name, unique for the user.
    pub name: String,
    /// Its secret.
    pub secret: String,
    /// The name of the user whom it belongs to.
    pub user: String,
    /// The name of the project that it is for.
    pub project: String,
}

/// One simulated cloud.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name: the prefix of its entries in `clouds.yaml`.
    pub name: String,
    /// Its region in the catalogue.
    pub region: String,
    /// The loopback port to listen on; 0 takes any.
    pub port: u16,
    /// The release that it imitates.
    pub release: Release,
    /// How long things take.
    pub times: Times,
    /// What every project may have.
    pub quotas: Quotas,
    /// Whether the URL of Cinder in the catalogue ends in the project's id.
    pub project_in_volume_url: bool,
    /// How long a token is good for.
    pub token_seconds: u64,
    /// The greatest number of resources in one page of a list.
    pub page_limit: usize,
    /// How many backups, restores and imports `cinder-backup` works on at once; the rest waits.
    pub backup_workers: usize,
    /// Where the bytes of the backups are; clouds that were given the same one share them.
    pub backup_store: Arc<BackupStore>,
    /// Application credentials that exist from the start.
    pub application_credentials: Vec<ApplicationCredential>,
    /// The driver of `cinder-backup`; records of another one cannot be imported.
    pub backup_driver: String,
    /// Where ids and random bytes come from: the same seed gives the same ids for the same requests.
    pub seed: u64,
}

impl Config {
    /// A cloud with this name on any port, instant, with the default quotas, like Zed.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            region: "RegionOne".to_owned(),
            port: 0,
            release: Release::Zed,
            times: Times::instant(),
            quotas: Quotas::default(),
            project_in_volume_url: true,
            token_seconds: 3600,
            page_limit: 1000,
            backup_workers: 15,
            backup_store: BackupStore::new(),
            application_credentials: Vec::new(),
            backup_driver: "cinder.backup.drivers.posix.PosixBackupDriver".to_owned(),
            seed: rand::random(),
        }
    }

    /// A pair as for a recovery: `source` in `RegionOne` and `dr` in `RegionTwo`, with one backup store.
    pub fn pair(times: Times) -> [Self; 2] {
        let source = Self {
            times: times.clone(),
            ..Self::new("source")
        };
        let dr = Self {
            times,
            region: "RegionTwo".to_owned(),
            backup_store: Arc::clone(&source.backup_store),
            ..Self::new("dr")
        };
        [source, dr]
    }
}
