//! How what was left behind in clouds looks; it may not know where it is written.

use super::{Shown, time};
use crate::api::pb::{self, orphan_deletion::Outcome};

impl Shown for pb::Orphan {
    const MESSAGE: &'static str = "drbackup.v1.Orphan";
    const COLUMNS: &'static [&'static str] =
        &["ID", "KIND", "NAME", "STATUS", "GIB", "CREATED", "REASON"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let size = Some(self.size_gib).filter(|size| *size > 0);
        vec![
            self.id.clone(),
            kind(self.kind()),
            self.name.clone(),
            self.status.clone(),
            size.map(|size| size.to_string()).unwrap_or_default(),
            time(self.create_time.as_ref()),
            self.reason.clone(),
        ]
    }
}

impl Shown for pb::OrphanDeletion {
    const MESSAGE: &'static str = "drbackup.v1.OrphanDeletion";
    const COLUMNS: &'static [&'static str] = &["ID", "KIND", "NAME", "OUTCOME", "PROBLEM"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            kind(self.kind()),
            self.name.clone(),
            outcome(self.outcome()),
            self.problem.clone(),
        ]
    }
}

impl Shown for pb::OrphanSweep {
    const MESSAGE: &'static str = "drbackup.v1.OrphanSweep";
    const COLUMNS: &'static [&'static str] =
        &["CLOUD", "TENANT", "ORPHANS", "BEGUN", "ENDED", "PROBLEM"];

    fn id(&self) -> &str {
        &self.tenant
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.cloud.clone(),
            self.tenant.clone(),
            self.orphan_count.to_string(),
            time(self.begin_time.as_ref()),
            time(self.end_time.as_ref()),
            self.problem.clone(),
        ]
    }
}

fn kind(kind: pb::ThingKind) -> String {
    let word = match kind {
        pb::ThingKind::Unspecified => "",
        pb::ThingKind::Volume => "volume",
        pb::ThingKind::Snapshot => "snapshot",
        pb::ThingKind::VolumeBackup => "volume backup",
        pb::ThingKind::Server => "server",
        pb::ThingKind::Port => "port",
        pb::ThingKind::SecurityGroup => "security group",
        pb::ThingKind::KeyPair => "key pair",
        pb::ThingKind::GroupSnapshot => "group snapshot",
        pb::ThingKind::Image => "image",
        pb::ThingKind::Trunk => "trunk",
    };
    word.to_owned()
}

fn outcome(outcome: Outcome) -> String {
    let word = match outcome {
        Outcome::Unspecified => "",
        Outcome::Deleted => "deleted",
        Outcome::NotFound => "not found",
        Outcome::Kept => "kept",
        Outcome::Refused => "refused",
    };
    word.to_owned()
}
