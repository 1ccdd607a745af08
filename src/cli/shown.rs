//! How each message looks to a person: the columns of its table and the page of one of it;
//! it may not know where it is written.

mod backup;
mod cloud;
mod orphan;
mod restoration;
mod schedule;

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

/// What a flavor has to have for an instance.
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
    let ports = super::resolve::ports(manifest).into_iter().map(|port| {
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

/// All that is left to say of something that is gone.
fn gone(id: &str, name: &str) -> Page {
    let mut page = Page::default();
    page.fact("ID", id);
    page.fact("Name", name);
    page.fact("State", state(pb::State::Deleted.into()));
    page
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
    let told_elsewhere = [pb::State::Deleted, pb::State::Erred]
        .iter()
        .any(|state| now == i32::from(*state));
    if detail.is_empty() || told_elsewhere {
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
