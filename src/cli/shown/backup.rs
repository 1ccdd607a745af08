//! How a DR backup looks; it may not know where it is written.

use super::{
    Page, Shown, either, failed, gone, inside, named, needs, span, standing, state, time, working,
    yes,
};
use crate::{api::pb, cli::consistency::words};

impl Shown for pb::DrBackup {
    const MESSAGE: &'static str = "drbackup.v1.DRBackup";
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "CLOUD",
        "INSTANCE",
        "STATE",
        "DETAIL",
        "RECOVERABLE",
        "CREATED",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.cloud.clone(),
            either(&self.instance_name, &self.instance_id),
            state(self.state),
            self.runtime_state.clone(),
            yes(self.recoverable),
            time(self.create_time.as_ref()),
        ]
    }

    fn page(&self) -> Page {
        if self.state() == pb::State::Deleted {
            return gone(&self.id, &self.name);
        }
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("Name", &self.name);
        page.fact("Description", &self.description);
        page.fact("Instance", named(&self.instance_name, &self.instance_id));
        page.fact(
            "From",
            format!("cloud {}, tenant {}", self.cloud, self.tenant),
        );
        page.fact("State", standing(self.state, &self.runtime_state));
        working(&mut page, self.state, self.progress.as_ref());
        failed(&mut page, self.error.as_ref());
        page.fact(
            "Recoverable",
            recoverable(self.recoverable, &self.unrecoverable_reason),
        );
        page.fact("Verified", time(self.verified_time.as_ref()));
        page.fact("Captured", captured(self));
        if let Some(manifest) = &self.metadata {
            page.fact("Needs", needs(manifest));
        }
        page.fact("Kept until", kept(self.kept_until.as_ref(), self.held));
        page.fact("Schedule", &self.schedule_id);
        page.fact("Created", time(self.create_time.as_ref()));
        page.fact("Updated", time(self.update_time.as_ref()));
        page.fact("Etag", &self.etag);
        page.table(
            "Volume backups",
            VOLUME_BACKUPS,
            self.volume_backups.iter().map(volume_backup).collect(),
        );
        if let Some(manifest) = &self.metadata {
            inside(&mut page, manifest);
        }
        restored(&mut page, &self.restorations);
        page
    }
}

/// Whether an instance can be brought back, or why not.
pub(super) fn recoverable(is: bool, reason: &str) -> String {
    match (is, reason) {
        (true, _) => "yes".to_owned(),
        (false, "") => "no".to_owned(),
        (false, reason) => format!("no: {reason}"),
    }
}

/// What was made from a backup.
pub(super) fn restored(page: &mut Page, restorations: &[pb::RestorationSummary]) {
    let restorations = restorations.iter().map(|one| {
        vec![
            one.id.clone(),
            named(&one.instance_name, &one.instance_id),
            one.cloud.clone(),
            state(one.state),
            time(one.create_time.as_ref()),
        ]
    });
    page.table(
        "Restorations",
        &["ID", "INSTANCE", "CLOUD", "STATE", "CREATED"],
        restorations.collect(),
    );
}

const VOLUME_BACKUPS: &[&str] = &["ID", "VOLUME", "GIB", "KIND", "STATUS", "RECORD", "MIRRORS"];

fn volume_backup(backup: &pb::VolumeBackup) -> Vec<String> {
    let mirrors: Vec<&str> = backup
        .mirrors
        .iter()
        .map(|one| one.cloud.as_str())
        .collect();
    vec![
        backup.backup_id.clone(),
        either(&backup.volume_name, &backup.volume_id),
        backup.size_gib.to_string(),
        kind(backup).to_owned(),
        backup.status.clone(),
        if backup.record_held {
            "held"
        } else {
            "missing"
        }
        .to_owned(),
        mirrors.join(", "),
    ]
}

fn kind(backup: &pb::VolumeBackup) -> &'static str {
    match (backup.incremental, backup.inherited) {
        (true, false) => "increment",
        (false, false) => "full",
        (true, true) => "increment, inherited",
        (false, true) => "full, inherited",
    }
}

fn captured(backup: &pb::DrBackup) -> String {
    let how = match backup.capture() {
        pb::dr_backup::Capture::Unspecified => "",
        pb::dr_backup::Capture::Snapshot => "by snapshots",
        pb::dr_backup::Capture::VolumeInUse => "from the volumes in use",
        pb::dr_backup::Capture::SnapshotThenCopy => "from copies of snapshots",
    };
    together(how, backup.consistency.as_ref())
}

/// How well the volumes agree in time, behind how they were taken.
pub(super) fn together(how: &str, consistency: Option<&pb::Consistency>) -> String {
    let Some(consistency) = consistency else {
        return how.to_owned();
    };
    let level = words(consistency.level());
    let mut parts = vec![how.to_owned(), level.to_owned()];
    if let Some(skew) = &consistency.skew {
        parts.push(format!("{} apart", span(skew)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// How long a point is kept, in a word or two.
pub(super) fn kept(until: Option<&prost_types::Timestamp>, held: bool) -> String {
    match (until, held) {
        (None, false) => String::new(),
        (None, true) => "on hold".to_owned(),
        (Some(_), false) => time(until),
        (Some(_), true) => format!("{}, on hold", time(until)),
    }
}
