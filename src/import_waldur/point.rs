//! A DR backup of the original as one of ours; this file may not know how rows are read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Terms,
    rows::{BackendRow, DrBackupRow, Key, OldState, Row, Table, Tables, VolumeBackupRow},
};
use crate::domain::{
    capture::Capture,
    consistency::ServerState,
    error::OperationError,
    head::Head,
    id::{NetworkId, PointId, ProjectId, ScheduleId, ServerId, Tenant, VolumeBackupId, VolumeId},
    keeping::Keeping,
    lifecycle::State,
    manifest::{
        FlavorShape, ImageFacts, KeyFacts, Manifest, PortFacts, PortSettings, Properties,
        VolumeFacts,
    },
    point::{Content, Point, PointDetail},
    progress::Progress,
    record::BackupRecord,
    time::Timestamp,
    user_data::UserData,
    verification::Verification,
    volume_backup::VolumeBackup,
};

const MIB_PER_GIB: u64 = 1024;

/// The network of the only port: the original put every instance into one network of its tenant, and
/// did not note which. A restoration has to be told (`--network internal=…`).
const NETWORK: &str = "internal";

/// How a state of the original is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    As(State),
    /// It was in the middle of something that nobody finishes any more.
    Left(&'static str),
}

/// The DR backup, and what was taken otherwise than it stands there.
pub(super) fn of(
    row: &Row<DrBackupRow>,
    tables: &Tables,
    terms: &Terms,
) -> Result<(Point, Vec<String>), String> {
    let fields = &row.fields;
    let mut remarks = Vec::new();
    let id = uuid(&fields.uuid)?;
    let state = match taken(&fields.state)? {
        Taken::As(state) => state,
        Taken::Left(why) => return Err(format!("state: {why}{}", backups_of(fields, tables))),
    };
    let tenant = tenant_of(tables, &fields.tenant, terms)?;
    let server = server_of(fields, tables, &mut remarks);
    let links = links_of(fields, tables, terms)?;
    let manifest = manifest_of(fields, &tenant, &server, &links);
    let time = |column: &Option<String>| column.as_deref().and_then(Timestamp::parse);
    let created = time(&fields.created).unwrap_or(terms.now);
    let schedule = tables.schedules.get(&fields.backup_schedule);
    let schedule = schedule.and_then(|row| Uuid::parse_str(&row.uuid).ok());
    let links = links.into_iter().map(|link| link.backup).collect();
    let detail = PointDetail {
        manifest: Some(Box::new(manifest)),
        ..PointDetail::of(Content::Dr(links))
    };
    if let Some(reason) = detail.unrecoverable_reason() {
        remarks.push(format!("it cannot be restored: {reason}"));
    }
    let backup = Point {
        id: PointId::dr(id),
        name: fields.name.clone(),
        description: fields.description.clone(),
        tenant,
        server,
        instance_name: text(&fields.metadata, "name"),
        capture: Some(Capture::SnapshotThenCopy),
        keeping: Keeping {
            schedule: schedule.map(ScheduleId),
            until: time(&fields.kept_until),
            held: false,
        },
        head: Head {
            state,
            runtime_state: "Taken in from the original".to_owned(),
            progress: Progress::default(),
            error: (state == State::Erred).then(|| {
                OperationError::new(
                    "ORIGINAL_ERRED",
                    if fields.error_message.is_empty() {
                        "it failed in the original, which did not note why"
                    } else {
                        fields.error_message.as_str()
                    },
                    "restore from it if it is recoverable, else delete it",
                )
            }),
            created,
            updated: time(&fields.modified).unwrap_or(created),
            revision: 1,
        },
        detail,
        // Nobody of ours has seen it yet.
        verification: Verification::default(),
    };
    Ok((backup, remarks))
}

/// The row that a column refers to, or a sentence that names the column.
pub(super) fn required<'t, T>(
    table: &'t Table<T>,
    key: &Key,
    column: &str,
    model: &str,
) -> Result<&'t T, String> {
    let pk = key.0.as_deref();
    let pk = pk.ok_or_else(|| format!("{column}: it refers to no {model}"))?;
    table
        .get(key)
        .ok_or_else(|| format!("{column}: the {model} with the pk {pk} is not in the export"))
}

/// The project that a row is in.
pub(super) fn tenant_of(tables: &Tables, key: &Key, terms: &Terms) -> Result<Tenant, String> {
    let row = required(&tables.tenants, key, "tenant", "tenant")?;
    if row.backend_id.is_empty() {
        return Err(format!("tenant: the row of {} has no backend_id", row.name));
    }
    Ok(Tenant {
        cloud: terms.cloud.clone(),
        project: ProjectId::new(row.backend_id.clone()),
    })
}

fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::parse_str(text).map_err(|_| format!("uuid: `{text}` is no UUID"))
}

/// States from 0.4 on are numbers, or the words that its API showed; before they were other words.
fn taken(state: &OldState) -> Result<Taken, String> {
    const MADE: &str = "it was being made, and nobody finishes it";
    const GOING: &str = "it was being deleted, and what is left of it is not known";
    let word = match state {
        OldState::Code(code) => match code {
            5 => "creation scheduled",
            6 => "creating",
            1 => "update scheduled",
            2 => "updating",
            7 => "deletion scheduled",
            8 => "deleting",
            3 => "ok",
            4 => "erred",
            other => return Err(format!("state: {other} is no state of the original")),
        }
        .to_owned(),
        OldState::Word(word) => word.to_lowercase().replace('_', " "),
    };
    Ok(match word.as_str() {
        // An update changed a description only, and a restoration left the backup as it was.
        "ok" | "ready" | "restoring" | "update scheduled" | "updating" => Taken::As(State::Ok),
        "erred" => Taken::As(State::Erred),
        "creation scheduled" | "creating" | "backing up" => Taken::Left(MADE),
        "deletion scheduled" | "deleting" => Taken::Left(GOING),
        "deleted" => Taken::Left("it was deleted"),
        _ => return Err(format!("state: `{word}` is no state of the original")),
    })
}

/// Which Cinder backups whoever reads the list should look for.
fn backups_of(fields: &DrBackupRow, tables: &Tables) -> String {
    let rows = fields.volume_backups.iter();
    let rows = rows.filter_map(|key| tables.volume_backups.get(key));
    let ids: Vec<&str> = rows
        .map(|row| row.backend_id.as_str())
        .filter(|id| !id.is_empty())
        .collect();
    if ids.is_empty() {
        return String::new();
    }
    format!("; look for the volume backups {}", ids.join(", "))
}

fn server_of(fields: &DrBackupRow, tables: &Tables, remarks: &mut Vec<String>) -> ServerId {
    let row: Option<&BackendRow> = tables.instances.get(&fields.source_instance);
    if let Some(row) = row.filter(|row| !row.backend_id.is_empty()) {
        return ServerId::new(row.backend_id.clone());
    }
    remarks.push("its instance was deleted, and with it Nova's id of it".to_owned());
    ServerId::new("not-noted")
}

/// A volume backup with what its row says of its volume.
struct Link<'t> {
    backup: VolumeBackup,
    row: &'t VolumeBackupRow,
}

fn links_of<'t>(
    fields: &DrBackupRow,
    tables: &'t Tables,
    terms: &Terms,
) -> Result<Vec<Link<'t>>, String> {
    if fields.volume_backups.is_empty() {
        return Err("volume_backups: there are none, so there is nothing to restore".to_owned());
    }
    let keys = fields.volume_backups.iter();
    keys.map(|key| {
        let row = required(
            &tables.volume_backups,
            key,
            "volume_backups",
            "volume backup",
        )?;
        link_of(row, tables, terms)
    })
    .collect()
}

fn link_of<'t>(
    row: &'t VolumeBackupRow,
    tables: &'t Tables,
    terms: &Terms,
) -> Result<Link<'t>, String> {
    let record = tables.records.get(&row.record);
    let details = record.map(|record| &record.details);
    let told = |field: &str| {
        let value = details.and_then(|details| details.get(field));
        value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if row.backend_id.is_empty() {
        return Err(format!("volume_backups: {} has no backend_id", row.name));
    }
    let volume = told("volume_id").map(str::to_owned).or_else(|| {
        let row = tables.volumes.get(&row.source_volume)?;
        (!row.backend_id.is_empty()).then(|| row.backend_id.clone())
    });
    let volume = volume.ok_or_else(|| {
        let id = &row.backend_id;
        format!("volume_backups: neither a record nor a volume tells which volume {id} is of")
    })?;
    let size = details.and_then(|details| details.get("size")?.as_u64());
    let incremental = told("parent_id").is_some();
    let backup = VolumeBackup {
        id: VolumeBackupId::new(row.backend_id.clone()),
        volume: VolumeId::new(volume),
        tenant: tenant_of(tables, &row.tenant, terms)?,
        size_gib: size.unwrap_or_else(|| row.size.div_ceil(MIB_PER_GIB)),
        incremental,
        parent: told("parent_id").map(VolumeBackupId::new),
        status: match taken(&row.state)? {
            Taken::As(State::Ok) => "available".to_owned(),
            Taken::As(_) | Taken::Left(_) => "error".to_owned(),
        },
        data_timestamp: told("data_timestamp").and_then(Timestamp::parse),
        record: record
            .filter(|record| !record.details.is_empty())
            .map(|record| BackupRecord {
                service: record.service.clone(),
                url: STANDARD.encode(Value::Object(record.details.clone()).to_string()),
            }),
        inherited: false,
    };
    Ok(Link { backup, row })
}

fn manifest_of(
    fields: &DrBackupRow,
    tenant: &Tenant,
    server: &ServerId,
    links: &[Link<'_>],
) -> Manifest {
    let noted = &fields.metadata;
    let system = noted.get("system_volume_id").and_then(pk_of);
    let is_root = |link: &Link<'_>| match &system {
        Some(system) => link.row.source_volume.0.as_ref() == Some(system),
        None => flag(&link.row.metadata, "source_volume_bootable"),
    };
    let root = links.iter().position(is_root).unwrap_or(0);
    // The root first, as devices are.
    let mut order: Vec<usize> = (0..links.len()).collect();
    order.sort_by_key(|index| *index != root);
    let volumes = order
        .into_iter()
        .map(|index| volume_of(&links[index], index == root));
    Manifest {
        tenant: tenant.clone(),
        server: server.clone(),
        name: text(noted, "name"),
        description: text(noted, "description"),
        status: "ACTIVE".to_owned(),
        state: ServerState::default(),
        root_is_volume: true,
        flavor: FlavorShape {
            id: None,
            name: text(noted, "flavor_name"),
            cores: 0,
            ram_mib: number(noted, "min_ram"),
            disk_gib: number(noted, "min_disk").div_ceil(MIB_PER_GIB),
            ephemeral_gib: 0,
            swap_mib: 0,
            properties: Properties::new(),
        },
        image: Some(text(noted, "image_name"))
            .filter(|name| !name.is_empty())
            .map(|name| ImageFacts {
                id: String::new(),
                name,
                min_ram_mib: number(noted, "min_ram"),
                min_disk_gib: number(noted, "min_disk").div_ceil(MIB_PER_GIB),
                properties: Properties::new(),
            }),
        volumes: volumes.collect(),
        ports: vec![PortFacts {
            name: String::new(),
            network: NetworkId::new(NETWORK),
            network_name: NETWORK.to_owned(),
            mac: String::new(),
            fixed: Vec::new(),
            floating: Vec::new(),
            security_groups: Vec::new(),
            port_security: true,
            vnic_type: "normal".to_owned(),
            id: None,
            settings: PortSettings::default(),
            trunk: None,
        }],
        security_groups: Vec::new(),
        key: Some(text(noted, "key_name"))
            .filter(|name| !name.is_empty())
            .map(|name| KeyFacts {
                name,
                public_key: None,
                fingerprint: Some(text(noted, "key_fingerprint"))
                    .filter(|fingerprint| !fingerprint.is_empty()),
                kind: None,
            }),
        availability_zone: None,
        server_group: None,
        volume_group: None,
        config_drive: false,
        metadata: Properties::new(),
        tags: Vec::new(),
        user_data: Some(text(noted, "user_data"))
            .filter(|data| !data.is_empty())
            .map(|data| UserData::new(STANDARD.encode(data))),
        gaps: vec![
            "the original noted no networks, addresses or security groups: the instance gets one port \
             in the network that the restoration names for `internal`"
                .to_owned(),
            "the original noted no cores of the flavor".to_owned(),
        ],
        locked: false,
        locked_reason: None,
        hostname: None,
        disk_config: None,
        unrestored: Vec::new(),
    }
}

fn volume_of(link: &Link<'_>, is_root: bool) -> VolumeFacts {
    let noted = &link.row.metadata;
    let or = |key: &str, other: &str| {
        let told = text(noted, key);
        if told.is_empty() {
            other.to_owned()
        } else {
            told
        }
    };
    VolumeFacts {
        id: link.backup.volume.clone(),
        name: or("source_volume_name", &link.row.name),
        description: or("source_volume_description", &link.row.description),
        size_gib: link.backup.size_gib,
        volume_type: Some(text(noted, "source_volume_type")).filter(|name| !name.is_empty()),
        availability_zone: None,
        from_image: false,
        status: None,
        bootable: is_root || flag(noted, "source_volume_bootable"),
        device: None,
        boot_index: is_root.then_some(0),
        encrypted: false,
        multiattach: false,
        delete_on_termination: false,
        tag: None,
        metadata: properties(noted, "source_volume_metadata"),
        image_metadata: properties(noted, "source_volume_image_metadata"),
    }
}

fn pk_of(value: &Value) -> Option<String> {
    value
        .as_u64()
        .map(|number| number.to_string())
        .or_else(|| value.as_str().map(str::to_owned))
}

fn text(object: &Map<String, Value>, key: &str) -> String {
    object
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(object: &Map<String, Value>, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn flag(object: &Map<String, Value>, key: &str) -> bool {
    match object.get(key) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// Names and values; what is no text is written as JSON.
fn properties(object: &Map<String, Value>, key: &str) -> Properties {
    let Some(Value::Object(inner)) = object.get(key) else {
        return Properties::new();
    };
    let pairs = inner.iter().map(|(name, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), value)
    });
    pairs.collect()
}
