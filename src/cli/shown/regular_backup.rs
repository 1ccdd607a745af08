//! How a regular backup looks; it may not know where it is written.

use super::{
    Page, Shown,
    backup::{kept, recoverable, restored, together},
    either, failed, gone, inside, named, needs, standing, state, time, working, yes,
};
use crate::api::pb;

impl Shown for pb::Backup {
    const MESSAGE: &'static str = "drbackup.v1.Backup";
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
            "In",
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
        page.fact(
            "Captured",
            together("by snapshots", self.consistency.as_ref()),
        );
        if let Some(manifest) = &self.metadata {
            page.fact("Needs", needs(manifest));
        }
        page.fact("Kept until", kept(self.kept_until.as_ref(), self.held));
        page.fact("Schedule", &self.schedule_id);
        page.fact("Created", time(self.create_time.as_ref()));
        page.fact("Updated", time(self.update_time.as_ref()));
        page.fact("Etag", &self.etag);
        let snapshots = self.snapshots.iter().map(|one| {
            vec![
                one.snapshot_id.clone(),
                either(&one.volume_name, &one.volume_id),
                one.size_gib.to_string(),
                one.status.clone(),
                time(one.data_time.as_ref()),
            ]
        });
        page.table(
            "Snapshots",
            &["ID", "VOLUME", "GIB", "STATUS", "TAKEN"],
            snapshots.collect(),
        );
        if let Some(manifest) = &self.metadata {
            inside(&mut page, manifest);
        }
        restored(&mut page, &self.restorations);
        page
    }
}
