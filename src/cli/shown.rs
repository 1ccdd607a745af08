//! How each message looks to a person: the columns of its table and the page of one of it; it may not
//! know where it is written.

use chrono::{DateTime, SecondsFormat, Utc};
use prost::Message;
use prost_types::{Duration, Timestamp};

use crate::api::pb;

/// A message that can be answered with.
pub(super) trait Shown: Message {
    /// Its full name.
    const MESSAGE: &'static str;
    /// The headings of its table.
    const COLUMNS: &'static [&'static str];

    /// Its id.
    fn id(&self) -> &str;
    /// Its row in a table, one text for each heading.
    fn row(&self) -> Vec<String>;
    /// All that a person wants to know of one.
    fn page(&self) -> Page {
        let facts = Self::COLUMNS.iter().copied().zip(self.row());
        Page {
            facts: facts
                .map(|(label, text)| (label.to_owned(), text))
                .collect(),
            tables: Vec::new(),
        }
    }
}

/// What a person reads about one thing.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Labels and texts; an empty text is left out.
    pub(super) facts: Vec<(String, String)>,
    /// Tables below; one without rows is left out.
    pub(super) tables: Vec<Part>,
}

/// A table on a page.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) title: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
}

impl Page {
    fn fact(&mut self, label: &str, text: impl Into<String>) {
        self.facts.push((label.to_owned(), text.into()));
    }

    fn table(
        &mut self,
        title: &'static str,
        columns: &'static [&'static str],
        rows: Vec<Vec<String>>,
    ) {
        self.tables.push(Part {
            title,
            columns,
            rows,
        });
    }
}

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
        let recoverable = if self.recoverable {
            "yes".to_owned()
        } else if self.unrecoverable_reason.is_empty() {
            "no".to_owned()
        } else {
            format!("no: {}", self.unrecoverable_reason)
        };
        page.fact("Recoverable", recoverable);
        page.fact("Captured", captured(self));
        if let Some(manifest) = &self.metadata {
            page.fact("Needs", needs(manifest));
        }
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
        let restorations = self.restorations.iter().map(|one| {
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
        page
    }
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
        if backup.incremental {
            "increment"
        } else {
            "full"
        }
        .to_owned(),
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

fn captured(backup: &pb::DrBackup) -> String {
    let how = match backup.capture() {
        pb::dr_backup::Capture::Unspecified => "",
        pb::dr_backup::Capture::Snapshot => "by snapshots",
        pb::dr_backup::Capture::VolumeInUse => "from the volumes in use",
        pb::dr_backup::Capture::SnapshotThenCopy => "from copies of snapshots",
    };
    let Some(consistency) = &backup.consistency else {
        return how.to_owned();
    };
    let level = match consistency.level() {
        pb::consistency::Level::Unspecified => "",
        pb::consistency::Level::PerVolume => "each volume at its own time",
        pb::consistency::Level::VolumeSnapshots => "all volumes at once",
        pb::consistency::Level::ShutOff => "the instance was shut off",
    };
    let mut parts = vec![how.to_owned(), level.to_owned()];
    if let Some(skew) = &consistency.skew {
        parts.push(format!("{} apart", span(skew)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn needs(manifest: &pb::Manifest) -> String {
    format!(
        "{} cores, {} MiB RAM, {} GiB of volumes",
        manifest.min_cores, manifest.min_ram_mib, manifest.storage_gib
    )
}

/// What an instance consists of.
fn inside(page: &mut Page, manifest: &pb::Manifest) {
    let volumes = manifest.volumes.iter().map(|volume| {
        vec![
            volume.volume_id.clone(),
            volume.name.clone(),
            volume.device.clone(),
            volume.size_gib.to_string(),
            volume.volume_type.clone(),
            volume
                .boot_index
                .map_or_else(String::new, |index| index.to_string()),
            yes(volume.encrypted),
        ]
    });
    page.table(
        "Volumes",
        &["ID", "NAME", "DEVICE", "GIB", "TYPE", "BOOT", "ENCRYPTED"],
        volumes.collect(),
    );
    let ports = manifest.ports.iter().map(|port| {
        let addresses: Vec<&str> = port
            .fixed_addresses
            .iter()
            .map(|fixed| fixed.address.as_str())
            .chain(port.floating_addresses.iter().map(String::as_str))
            .collect();
        vec![
            named(&port.network_name, &port.network_id),
            port.mac_address.clone(),
            addresses.join(", "),
        ]
    });
    page.table("Ports", &["NETWORK", "MAC", "ADDRESSES"], ports.collect());
    let gaps = manifest.gaps.iter().map(|gap| vec![gap.clone()]);
    page.table("Not captured", &["WHAT"], gaps.collect());
}

impl Shown for pb::Restoration {
    const MESSAGE: &'static str = "drbackup.v1.Restoration";
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "INSTANCE",
        "CLOUD",
        "SERVER",
        "STATE",
        "DETAIL",
        "DR BACKUP",
        "CREATED",
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
            self.dr_backup_id.clone(),
            time(self.create_time.as_ref()),
        ]
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("DR backup", &self.dr_backup_id);
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
        let adjustments = self.adjustments.iter().map(|text| vec![text.clone()]);
        page.table("Not exactly as it was", &["WHAT"], adjustments.collect());
        page
    }
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
        if let Some(manifest) = &self.manifest {
            inside(&mut page, manifest);
        }
        page
    }
}

impl Shown for pb::Cloud {
    const MESSAGE: &'static str = "drbackup.v1.Cloud";
    const COLUMNS: &'static [&'static str] = &[
        "NAME",
        "REACHABLE",
        "ADMIN",
        "REGION",
        "AUTH URL",
        "PROBLEM",
    ];

    fn id(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            yes(self.reachable),
            yes(self.admin_configured),
            self.region.clone(),
            self.auth_url.clone(),
            self.problem.clone(),
        ]
    }
}

impl Shown for pb::Tenant {
    const MESSAGE: &'static str = "drbackup.v1.Tenant";
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "DOMAIN", "CLOUD"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.domain_id.clone(),
            self.cloud.clone(),
        ]
    }
}

impl Shown for pb::Instance {
    const MESSAGE: &'static str = "drbackup.v1.Instance";
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "STATUS", "VOLUMES", "ROOT IS VOLUME", "CLOUD"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            self.status.clone(),
            self.volume_count.to_string(),
            yes(self.root_is_volume),
            self.cloud.clone(),
        ]
    }

    fn page(&self) -> Page {
        let mut page = Page::default();
        page.fact("ID", &self.id);
        page.fact("Name", &self.name);
        page.fact("Status", &self.status);
        page.fact(
            "In",
            format!("cloud {}, tenant {}", self.cloud, self.tenant),
        );
        page.fact("Root is a volume", yes(self.root_is_volume));
        if let Some(manifest) = &self.manifest {
            page.fact("Needs", needs(manifest));
            page.fact(
                "Flavor",
                manifest
                    .flavor
                    .as_ref()
                    .map_or("", |flavor| flavor.name.as_str()),
            );
            page.fact(
                "Image",
                manifest
                    .image
                    .as_ref()
                    .map_or("", |image| image.name.as_str()),
            );
            page.fact(
                "Key",
                manifest
                    .key_pair
                    .as_ref()
                    .map_or("", |key| key.name.as_str()),
            );
            page.fact("Zone", &manifest.availability_zone);
            page.fact("Tags", manifest.tags.join(", "));
            let mut metadata: Vec<String> = manifest
                .metadata
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            metadata.sort_unstable();
            page.fact("Metadata", metadata.join(", "));
            inside(&mut page, manifest);
        }
        page
    }
}

impl Shown for pb::Flavor {
    const MESSAGE: &'static str = "drbackup.v1.Flavor";
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "CORES", "RAM MIB", "DISK GIB", "TOO SMALL BY"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let shortages = self
            .shortages
            .iter()
            .map(|short| format!("{} {}", short.needed - short.available, short.subject));
        vec![
            self.id.clone(),
            self.name.clone(),
            self.cores.to_string(),
            self.ram_mib.to_string(),
            self.disk_gib.to_string(),
            shortages.collect::<Vec<_>>().join(", "),
        ]
    }
}

impl Shown for pb::Network {
    const MESSAGE: &'static str = "drbackup.v1.Network";
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "SUBNETS", "OWNED", "SHARED", "EXTERNAL"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        let subnets: Vec<&str> = self.subnets.iter().map(|one| one.cidr.as_str()).collect();
        vec![
            self.id.clone(),
            self.name.clone(),
            subnets.join(", "),
            yes(self.owned),
            yes(self.shared),
            yes(self.external),
        ]
    }
}

impl Shown for pb::VolumeType {
    const MESSAGE: &'static str = "drbackup.v1.VolumeType";
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "DEFAULT", "PUBLIC"];

    fn id(&self) -> &str {
        &self.id
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.name.clone(),
            yes(self.is_default),
            yes(self.is_public),
        ]
    }
}

impl Shown for pb::Event {
    const MESSAGE: &'static str = "drbackup.v1.Event";
    const COLUMNS: &'static [&'static str] = &["TIME", "ID", "STATE", "DETAIL"];

    fn id(&self) -> &str {
        &self.resource_id
    }

    fn row(&self) -> Vec<String> {
        vec![
            time(self.time.as_ref()),
            self.resource_id.clone(),
            state(self.state),
            self.runtime_state.clone(),
        ]
    }
}

fn working(page: &mut Page, now: i32, progress: Option<&pb::Progress>) {
    let Some(progress) = progress.filter(|_| !is_at_rest(now)) else {
        return;
    };
    page.fact(
        "Progress",
        format!(
            "{} of {} steps",
            progress.effects_done, progress.effects_total
        ),
    );
    page.fact("Waiting", &progress.waiting);
}

fn failed(page: &mut Page, error: Option<&pb::OperationError>) {
    let Some(error) = error else { return };
    page.fact("Error", format!("{} ({})", error.message, error.reason));
    page.fact("What to do", &error.guidance);
    page.fact("OpenStack request", &error.request_id);
}

fn standing(now: i32, detail: &str) -> String {
    if detail.is_empty() {
        return state(now);
    }
    format!("{}: {detail}", state(now))
}

/// A state as people read it; one that this client does not know yet keeps its number.
pub(super) fn state(number: i32) -> String {
    match pb::State::try_from(number) {
        Ok(state) => state.as_str_name().trim_start_matches("STATE_").to_owned(),
        Err(_unknown) => format!("UNKNOWN_{number}"),
    }
}

/// Whether nothing is under way. A state that this client does not know yet is work in progress.
pub(super) fn is_at_rest(number: i32) -> bool {
    match pb::State::try_from(number) {
        Ok(pb::State::Ok | pb::State::Erred | pb::State::Deleted) => true,
        Ok(
            pb::State::Unspecified
            | pb::State::CreationScheduled
            | pb::State::Creating
            | pb::State::UpdateScheduled
            | pb::State::Updating
            | pb::State::DeletionScheduled
            | pb::State::Deleting,
        )
        | Err(_) => false,
    }
}

/// A moment in UTC to the second; empty when there is none.
pub(super) fn time(moment: Option<&Timestamp>) -> String {
    moment
        .and_then(|moment| {
            let nanos = u32::try_from(moment.nanos).ok()?;
            DateTime::<Utc>::from_timestamp(moment.seconds, nanos)
        })
        .map(|moment| moment.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

fn span(duration: &Duration) -> String {
    let seconds = u64::try_from(duration.seconds).unwrap_or(0);
    let nanos = u32::try_from(duration.nanos).unwrap_or(0);
    format!(
        "{:.1} s",
        std::time::Duration::new(seconds, nanos).as_secs_f64()
    )
}

fn yes(truth: bool) -> String {
    if truth { "yes" } else { "no" }.to_owned()
}

fn either(name: &str, id: &str) -> String {
    if name.is_empty() { id } else { name }.to_owned()
}

fn named(name: &str, id: &str) -> String {
    if name.is_empty() {
        return id.to_owned();
    }
    format!("{name} ({id})")
}
