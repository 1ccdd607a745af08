//! What each request asks for, in the words by which a repeat of it is recognised; it may not know doors,
//! which give the same content for the same wish, or who keeps the digests.
//!
//! A digest lies in the database until history is pruned, and is compared with one that another version of
//! the service reckons. So its content is declared here, apart from the types that carry a request:
//!
//! - A request is an object of JSON with its keys in order, of which `v1:` and the SHA-256 are kept.
//! - What is at the default of its type is left out. A new optional field changes no digest of a request
//!   that does not name it, and a repeat after an upgrade is the same request.
//! - What is declared stays as it is: `tests/golden/requests.txt` holds a digest of every method and is only
//!   ever added to. Another spelling is another version, and versions are not compared (see
//!   [`RequestKey::repeats`]).
//! - Each request is taken apart by name, so that a new field does not compile before it is decided whether a
//!   repeat has to agree in it. Its id and `validate_only` are no content, nor is an etag: that is a condition
//!   on what was admitted once, and a door may fill it in from what it has just read.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    orphan::DeleteOrphans,
    point::{CreatePoint, DeletePoint, UpdatePoint},
    restoration::{CreateRestoration, DeleteRestoration},
    schedule::{CreateSchedule, OneSchedule, PlanChange, UpdateSchedule},
};
use crate::{
    domain::{
        id::{PointId, PointKind, RestorationId, Tenant},
        keeping::{Keeping, Rekeeping},
        restoration::{NetworkOptions, RestoreOptions, VolumeOptions},
        schedule::{Keep, Plan},
    },
    port::store::RequestKey,
};

/// The version of everything that is declared here.
const VERSION: &str = "v1";

/// A request: what it is called, and by what a repeat of it is recognised, where it has an id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) key: Option<RequestKey>,
}

/// An object of JSON in the making.
#[derive(Debug, Default)]
struct Content(Map<String, Value>);

impl Content {
    /// Notes a value, whatever it is.
    fn with(mut self, name: &str, value: impl Serialize) -> Self {
        // Nothing that is noted here has keys that are no texts or numbers that JSON does not know.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.0.insert(name.to_owned(), value);
        self
    }

    /// Notes a value unless it is at its default.
    fn unless_default<T: Serialize + Default + PartialEq>(self, name: &str, value: &T) -> Self {
        if *value == T::default() {
            return self;
        }
        self.with(name, value)
    }

    fn tenant(self, tenant: &Tenant) -> Self {
        let Tenant { cloud, project } = tenant;
        self.with("cloud", cloud).with("tenant", project)
    }

    fn deadline(self, deadline: Option<Duration>) -> Self {
        // As whole numbers, because fractions have more than one spelling.
        let parts = deadline.map(|it| (it.as_secs(), it.subsec_nanos()));
        self.unless_default("deadline", &parts)
    }

    fn keeping(self, keeping: Keeping) -> Self {
        let Keeping {
            schedule,
            until,
            held,
        } = keeping;
        self.unless_default("schedule", &schedule)
            .unless_default("kept_until", &until)
            .unless_default("held", &held)
    }

    fn rekeeping(self, keeping: Rekeeping) -> Self {
        let Rekeeping { until, held } = keeping;
        self.unless_default("kept_until", &until)
            .unless_default("held", &held)
    }

    /// The object with its keys in order.
    fn value(self) -> Value {
        let mut value = Value::Object(self.0);
        value.sort_all_objects();
        value
    }

    /// A request of this content; without a key when the caller gave no id.
    fn asked(self, method: &'static str, id: &str) -> Request {
        let key = (!id.is_empty()).then(|| self.key(method, id));
        Request { method, key }
    }

    fn key(self, method: &'static str, id: &str) -> RequestKey {
        let digest = Sha256::digest(self.value().to_string());
        let digest = digest.iter().fold(format!("{VERSION}:"), |text, byte| {
            format!("{text}{byte:02x}")
        });
        RequestKey {
            method,
            id: id.to_owned(),
            digest,
        }
    }
}

/// The content of a request that says no more than what it is about.
fn about(id: Uuid) -> Content {
    Content::default().with("id", id)
}

/// What is asked by a `CreateDRBackup` or `CreateBackup`.
pub(super) fn create_point(ask: &CreatePoint) -> Request {
    let CreatePoint {
        kind,
        tenant,
        server,
        name,
        description,
        capture,
        incremental,
        minimum,
        keeping,
        deadline,
        validate_only: _,
        request_id,
    } = ask;
    let content = Content::default()
        .tenant(tenant)
        .with("instance_id", server)
        .unless_default("name", name)
        .unless_default("description", description)
        .unless_default("minimum_consistency", minimum)
        .keeping(*keeping)
        .deadline(*deadline);
    match kind {
        PointKind::Dr => content
            .unless_default("capture", capture)
            .unless_default("incremental", incremental)
            .asked("CreateDRBackup", request_id),
        PointKind::Regular => content.asked("CreateBackup", request_id),
    }
}

/// What is asked by an `UpdateDRBackup` or `UpdateBackup`.
pub(super) fn update_point(ask: &UpdatePoint) -> Request {
    let UpdatePoint {
        id,
        name,
        description,
        keeping,
        etag: _,
        request_id,
    } = ask;
    let method = match id.kind {
        PointKind::Dr => "UpdateDRBackup",
        PointKind::Regular => "UpdateBackup",
    };
    about(id.id)
        .unless_default("name", name)
        .unless_default("description", description)
        .rekeeping(*keeping)
        .asked(method, request_id)
}

/// What is asked by a `DeleteDRBackup` or `DeleteBackup`.
pub(super) fn delete_point(ask: &DeletePoint) -> Request {
    let DeletePoint {
        id,
        allow_missing_cloud,
        etag: _,
        request_id,
    } = ask;
    let method = match id.kind {
        PointKind::Dr => "DeleteDRBackup",
        PointKind::Regular => "DeleteBackup",
    };
    about(id.id)
        .unless_default("allow_missing_cloud", allow_missing_cloud)
        .asked(method, request_id)
}

/// What is asked by a `CancelDRBackup` or `CancelBackup`.
pub(super) fn cancel_point(id: PointId, request_id: &str) -> Request {
    let method = match id.kind {
        PointKind::Dr => "CancelDRBackup",
        PointKind::Regular => "CancelBackup",
    };
    about(id.id).asked(method, request_id)
}

/// What is asked by a `CreateRestoration`.
pub(super) fn create_restoration(ask: &CreateRestoration) -> Request {
    let CreateRestoration {
        source,
        tenant,
        options,
        deadline,
        validate_only: _,
        request_id,
    } = ask;
    let kind = match source.kind {
        PointKind::Dr => "dr_backup_id",
        PointKind::Regular => "backup_id",
    };
    Content::default()
        .with(kind, source.id)
        .tenant(tenant)
        .options(options)
        .deadline(*deadline)
        .asked("CreateRestoration", request_id)
}

/// What is asked by a `CancelRestoration`.
pub(super) fn cancel_restoration(
    id: RestorationId,
    keep_volumes: bool,
    request_id: &str,
) -> Request {
    about(id.0)
        .unless_default("keep_volumes", &keep_volumes)
        .asked("CancelRestoration", request_id)
}

/// What is asked by a `DeleteRestoration`.
pub(super) fn delete_restoration(ask: &DeleteRestoration) -> Request {
    let DeleteRestoration {
        id,
        delete_instance,
        allow_missing_cloud,
        etag: _,
        request_id,
    } = ask;
    about(id.0)
        .unless_default("delete_instance", delete_instance)
        .unless_default("allow_missing_cloud", allow_missing_cloud)
        .asked("DeleteRestoration", request_id)
}

/// What is asked by a `CreateSchedule`.
pub(super) fn create_schedule(ask: &CreateSchedule) -> Request {
    let CreateSchedule {
        tenant,
        server,
        plan,
        active,
        validate_only: _,
        request_id,
    } = ask;
    Content::default()
        .tenant(tenant)
        .with("instance_id", server)
        .with("plan", planned(plan).value())
        .with("is_active", active)
        .asked("CreateSchedule", request_id)
}

/// What is asked by an `UpdateSchedule`: of the plan, the fields that change, whatever their order.
pub(super) fn update_schedule(ask: &UpdateSchedule) -> Request {
    let UpdateSchedule {
        id,
        change: PlanChange { wanted, fields },
        etag: _,
        request_id,
    } = ask;
    let mut fields = fields.clone();
    fields.sort_unstable();
    fields.dedup();
    let mut wanted = planned(wanted).0;
    // What a change sets to its default is no word of the plan, but a word of the change.
    wanted.retain(|name, _| fields.contains(&name.as_str()));
    about(id.0)
        .with("fields", fields)
        .with("plan", wanted)
        .asked("UpdateSchedule", request_id)
}

/// What is asked by a request that is about one schedule and says no more.
pub(super) fn one_schedule(method: &'static str, ask: &OneSchedule) -> Request {
    let OneSchedule {
        id,
        etag: _,
        request_id,
    } = ask;
    about(id.0).asked(method, request_id)
}

/// What is asked by a `DeleteOrphans`.
pub(super) fn delete_orphans(ask: &DeleteOrphans) -> Request {
    let DeleteOrphans {
        tenant,
        ids,
        include_unknown,
        request_id,
    } = ask;
    Content::default()
        .tenant(tenant)
        .with("ids", ids)
        .unless_default("include_unknown", include_unknown)
        .asked("DeleteOrphans", request_id)
}

/// What a schedule is to do, by the names that its fields have in the API.
fn planned(plan: &Plan) -> Content {
    let Plan {
        name,
        description,
        kind,
        capture,
        minimum,
        full_every,
        calendar,
        time_zone,
        jitter,
        missed,
        failures_maximum,
        keep,
    } = plan;
    let Keep {
        last,
        days,
        hourly,
        daily,
        weekly,
        monthly,
        yearly,
        maximum,
        floor,
    } = keep;
    let keep = Content::default()
        .unless_default("last", last)
        .unless_default("days", days)
        .unless_default("hourly", hourly)
        .unless_default("daily", daily)
        .unless_default("weekly", weekly)
        .unless_default("monthly", monthly)
        .unless_default("yearly", yearly)
        .unless_default("maximum", maximum)
        .unless_default("floor", floor);
    Content::default()
        .unless_default("name", name)
        .unless_default("description", description)
        .with("backup_type", kind)
        .unless_default("capture", capture)
        .unless_default("minimum_consistency", minimum)
        .unless_default("full_every", full_every)
        .with("schedule", calendar)
        .with("time_zone", time_zone)
        .unless_default("jitter", &(jitter.as_secs(), jitter.subsec_nanos()))
        .unless_default("missed_runs", missed)
        .unless_default("failures_maximum", failures_maximum)
        .unless_default("retention", &keep.0)
}

impl Content {
    /// How a restoration is to be made.
    fn options(self, options: &RestoreOptions) -> Self {
        let RestoreOptions {
            name,
            flavor,
            volumes,
            networks,
            keep_fixed_addresses,
            keep_mac_addresses,
            security_groups,
            key_name,
            availability_zone,
            volume_availability_zone,
            volume_type,
            user_data,
            config_drive,
            metadata,
            keep_volumes,
            no_key,
            start,
        } = options;
        let volumes: Vec<Value> = volumes.iter().map(volume).collect();
        let networks: Vec<Value> = networks.iter().map(network).collect();
        self.unless_default("name", name)
            .unless_default("flavor_id", flavor)
            .unless_default("volumes", &volumes)
            .unless_default("networks", &networks)
            .unless_default("keep_fixed_addresses", keep_fixed_addresses)
            .unless_default("keep_mac_addresses", keep_mac_addresses)
            .unless_default("security_group_ids", security_groups)
            .unless_default("key_name", key_name)
            .unless_default("availability_zone", availability_zone)
            .unless_default("volume_availability_zone", volume_availability_zone)
            .unless_default("volume_type", volume_type)
            .unless_default("user_data", user_data)
            .unless_default("config_drive", config_drive)
            .unless_default("metadata", metadata)
            .unless_default("keep_volumes", keep_volumes)
            .unless_default("no_key_pair", no_key)
            .unless_default("start", start)
    }
}

fn volume(options: &VolumeOptions) -> Value {
    let VolumeOptions {
        volume,
        volume_type,
        availability_zone,
        size_gib,
    } = options;
    Content::default()
        .with("volume_id", volume)
        .unless_default("volume_type", volume_type)
        .unless_default("availability_zone", availability_zone)
        .unless_default("size_gib", size_gib)
        .value()
}

fn network(options: &NetworkOptions) -> Value {
    let NetworkOptions {
        source,
        target,
        fixed_address,
    } = options;
    Content::default()
        .with("source", source)
        .with("target", target)
        .unless_default("fixed_address", fixed_address)
        .value()
}

#[cfg(test)]
mod tests;
