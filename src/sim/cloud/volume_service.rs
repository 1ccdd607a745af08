//! How Cinder's services are run: alive or dead, and what their policy allows; it may not know volumes.

use super::Cloud;
use crate::sim::cinder;

impl Cloud {
    /// Kills `cinder-backup`: what it was at does not end, and it is seen as down at once.
    pub fn backup_service_kill(&self) {
        cinder::service_kill(&mut self.shared.world());
    }

    /// Starts `cinder-backup` again: what was cut off ends in errors, what waited begins.
    pub fn backup_service_start(&self) {
        cinder::service_start(&mut self.shared.world());
    }

    /// Lets members do what Cinder's policy leaves to admins: `backup:export-import` or `backup:backup-import`;
    /// or leaves it to admins again.
    pub fn volume_policy(&self, rule: &str, open: bool) {
        cinder::policy(&mut self.shared.world(), rule, open);
    }
}
