//! How a restoration and its instance look; it may not know where they are written.

use super::{Page, Shown, either, failed, gone, inside, named, standing, state, time, working};
use crate::api::pb;

impl Shown for pb::Restoration {
    const MESSAGE: &'static str = "drbackup.v1.Restoration";
    const COLUMNS: &'static [&'static str] = &[
        "ID", "INSTANCE", "CLOUD", "SERVER", "STATE", "DETAIL", "BACKUP", "CREATED",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let instance = self.instance.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            instance.name,
            self.cloud.clone(),
            instance.server_id,
            state(self.state),
            self.runtime_state.clone(),
            either(&self.dr_backup_id, &self.backup_id),
            time(self.create_time.as_ref()),
        ]
    }

    fn page(&self) -> Page {
        if self.state() == pb::State::Deleted {
            let instance = self.instance.as_ref();
            return gone(&self.id, instance.map_or("", |one| one.name.as_str()));
        }
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("DR backup", &self.dr_backup_id);
        page.fact("Regular backup", &self.backup_id);
        page.fact(
            "Into",
            format!("cloud {}, tenant {}", self.cloud, self.tenant),
        );
        if let Some(instance) = &self.instance {
            page.fact("Instance", named(&instance.name, &instance.id));
            page.fact("Server", &instance.server_id);
            page.fact("Server status", &instance.status);
        }
        page.fact("State", standing(self.state, &self.runtime_state));
        working(&mut page, self.state, self.progress.as_ref());
        failed(&mut page, self.error.as_ref());
        page.fact("Flavor", &self.flavor_id);
        page.fact("Created", time(self.create_time.as_ref()));
        page.fact("Updated", time(self.update_time.as_ref()));
        page.fact("Etag", &self.etag);
        let volumes = self.volumes.iter().map(|volume| {
            vec![
                volume.volume_id.clone(),
                volume.name.clone(),
                volume.size_gib.to_string(),
                volume.source_volume_id.clone(),
            ]
        });
        page.table(
            "Volumes",
            &["ID", "NAME", "GIB", "MADE FROM"],
            volumes.collect(),
        );
        differences(&mut page, self);
        page
    }
}

/// What differs; a restoration of an older release has only sentences.
fn differences(page: &mut Page, restoration: &pb::Restoration) {
    const TITLE: &str = "Not exactly as it was";
    let told = restoration.differences.len();
    let former = restoration.adjustments.len().saturating_sub(told);
    let rows = restoration.adjustments.iter().take(former);
    let rows = rows.map(|text| vec![String::new(), String::new(), String::new(), text.clone()]);
    let rows = rows.chain(restoration.differences.iter().map(|one| {
        vec![
            one.attribute.clone(),
            one.was.clone(),
            one.is.clone(),
            one.why.clone(),
        ]
    }));
    page.table(TITLE, &["WHAT", "WAS", "IS", "WHY"], rows.collect());
}

impl Shown for pb::RestoredInstance {
    const MESSAGE: &'static str = "drbackup.v1.RestoredInstance";
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "CLOUD",
        "SERVER",
        "STATE",
        "STATUS",
        "RESTORATION",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.cloud.clone(),
            self.server_id.clone(),
            state(self.state),
            self.status.clone(),
            self.restoration_id.clone(),
        ]
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("Name", &self.name);
        page.fact(
            "In",
            format!("cloud {}, tenant {}", self.cloud, self.tenant),
        );
        page.fact("Server", &self.server_id);
        page.fact("State", state(self.state));
        page.fact("Status", &self.status);
        page.fact("Restoration", &self.restoration_id);
        page.fact("DR backup", &self.dr_backup_id);
        page.fact("Regular backup", &self.backup_id);
        if let Some(manifest) = &self.manifest {
            inside(&mut page, manifest);
        }
        page
    }
}
