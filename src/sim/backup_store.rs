//! Where the bytes of backups are, shared by the clouds that were given the same store; it may not
//! know any cloud.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::content::Delta;

/// One backup as its driver left it: data, and what the volume was called at the time.
#[derive(Clone, Debug)]
pub(crate) struct StoredBackup {
    pub(crate) delta: Delta,
    pub(crate) incremental: bool,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) image_metadata: BTreeMap<String, String>,
}

/// The objects of a backup driver, as in a directory or a container that two clouds can reach.
#[derive(Debug, Default)]
pub struct BackupStore {
    objects: Mutex<BTreeMap<String, StoredBackup>>,
}

impl BackupStore {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The prefixes of all that is stored; each one ends in the id of its backup.
    pub fn prefixes(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Whether the bytes of the backup with this id are there.
    pub fn holds(&self, backup_id: &str) -> bool {
        self.lock().keys().any(|prefix| prefix.ends_with(backup_id))
    }

    /// Loses the bytes of a backup behind the back of every cloud; says whether there were any.
    pub fn lose(&self, backup_id: &str) -> bool {
        let mut objects = self.lock();
        let before = objects.len();
        objects.retain(|prefix, _| !prefix.ends_with(backup_id));
        objects.len() < before
    }

    pub(crate) fn put(&self, prefix: &str, backup: StoredBackup) {
        self.lock().insert(prefix.to_owned(), backup);
    }

    pub(crate) fn get(&self, prefix: &str) -> Option<StoredBackup> {
        self.lock().get(prefix).cloned()
    }

    pub(crate) fn remove(&self, prefix: &str) {
        self.lock().remove(prefix);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StoredBackup>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
