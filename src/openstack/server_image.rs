//! Images that Nova makes of servers, and the snapshots that come with them; this file may not know what
//! they are taken for.
//!
//! Of a server that boots from a volume Nova (`snapshot_volume_backed`) has the guest hold still, asks
//! Cinder for a snapshot of each volume, and only then makes an image without bytes, which names the
//! snapshots in `block_device_mapping`. A guest that does not answer is an error where the server carries
//! `os_require_quiesce`, and is passed over in silence otherwise. The image inherits what Nova itself keeps
//! of the image properties of the server, so it tells what was asked of the guest.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::Access,
    call::Call,
    path::Path,
    server, snapshot,
    version::Microversion,
    wire::{nullable, plain},
};
use crate::domain::{
    consistency::quiesce_is_required,
    effect::Captured,
    fault::{Fault, FaultKind, Service},
    id::{ServerId, Tenant},
    manifest::Properties,
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const NOVA: Service = Service::Compute;
const GLANCE: Service = Service::Image;

const GIB: u64 = 1 << 30;

/// From here on the answer names the image in its body.
const IN_BODY: Microversion = Microversion(2, 45);

/// An image as Glance shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    status: String,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    /// GiB that a disk of it needs at least.
    #[serde(default, deserialize_with = "nullable")]
    min_disk: u64,
    /// Bytes of the disk; old releases and some formats leave it open.
    #[serde(default)]
    virtual_size: Option<u64>,
    /// Bytes of the file.
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Deserialize)]
struct Made {
    image_id: String,
}

#[derive(Deserialize)]
struct Mapping {
    #[serde(default)]
    snapshot_id: Option<String>,
}

impl Image {
    pub(super) fn sighting(self) -> Sighting {
        let bytes = self.virtual_size.or(self.size).unwrap_or(0);
        Sighting {
            thing: Thing {
                kind: ThingKind::Image,
                id: self.id,
            },
            name: self.name,
            tags: Vec::new(),
            status: self.status.to_lowercase(),
            message: None,
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: Some(self.min_disk.max(bytes.div_ceil(GIB))),
            incremental: false,
            // When it was active: its bytes are from before.
            data_timestamp: self.updated_at.as_deref().and_then(Timestamp::parse),
            volume: None,
        }
    }
}

/// Has Nova make an image of a server.
pub(super) async fn make(access: &Access, name: &str, server: &ServerId) -> Result<String, Fault> {
    let version = access.first_of(NOVA, &[IN_BODY]).await?;
    let call = Call::post(
        NOVA,
        Path::of("servers", &server).word("action"),
        format!("create the image {name} of the server {server}"),
        json!({"createImage": {"name": name, "metadata": {}}}),
    );
    let mut reply = access.send(&call.at(version)).await?;
    let limits = access.session.connection.limits();
    let in_body = reply.thing::<Made>(limits).await.map(|made| made.image_id);
    let in_header = || {
        let location = reply.header("location")?;
        let id = location.rsplit('/').next()?;
        (!id.is_empty()).then(|| id.to_owned())
    };
    in_body.ok().or_else(in_header).ok_or_else(|| {
        Fault::new(
            FaultKind::Unanswered,
            NOVA,
            format!("create the image {name} of the server {server}"),
            "the answer does not name the image",
        )
    })
}

/// The images of a tenant.
pub(super) async fn list(access: &Access, tenant: &Tenant) -> Result<Vec<Sighting>, Fault> {
    // Glance shows the images of others too.
    let call = Call::get(GLANCE, "images", "list the images");
    let call = call.query("owner", tenant.project.as_str());
    let rows: Vec<Image> = access.pages_of(tenant, call, "images").await?;
    Ok(rows.into_iter().map(Image::sighting).collect())
}

/// The snapshots that came with the image of a server.
pub(super) async fn captured(
    access: &Access,
    tenant: &Tenant,
    image: &str,
    server: &ServerId,
) -> Result<Captured, Fault> {
    let action = format!("read the image {image}");
    let call = Call::get(GLANCE, Path::of("images", &image), action.clone());
    let seen: Map<String, Value> = access.read_of(tenant, image, &call).await?;
    // Older releases of Glance hand out a text with the list in it.
    let mapping = match seen.get("block_device_mapping") {
        Some(Value::String(text)) => serde_json::from_str(text),
        Some(list) => serde_json::from_value(list.clone()),
        None => Ok(Vec::new()),
    };
    let mapping: Vec<Mapping> = mapping.map_err(|_| {
        let message = "its block_device_mapping cannot be read";
        Fault::new(FaultKind::Unanswered, GLANCE, action, message)
    })?;
    let mut snapshots = Vec::new();
    for id in mapping.into_iter().filter_map(|one| one.snapshot_id) {
        snapshots.push(snapshot::get(access, tenant, &id).await?);
    }
    let properties: Properties = seen
        .into_iter()
        .filter_map(|(key, value)| Some((key, plain(value)?)))
        .collect();
    // Nova asks the guest of a running server only; one that has stopped meanwhile was perhaps not asked.
    let runs = server::instance(access, tenant, server).await?.status == "ACTIVE";
    Ok(Captured {
        quiesced: runs && quiesce_is_required(&properties),
        snapshots,
    })
}

/// Deletes the snapshots that came with an image of this name and that nobody took; `Busy` until there are
/// none. Nova calls them `snapshot for NAME`, in the language of the cloud.
pub(super) async fn sweep(access: &Access, tenant: &Tenant, image: &str) -> Result<(), Fault> {
    let left: Vec<Sighting> = snapshot::list(access, tenant)
        .await?
        .into_iter()
        .filter(|seen| seen.name != image && seen.name.ends_with(image))
        .collect();
    let going = left.len();
    for seen in left.into_iter().filter(|seen| !seen.refuses_deletion()) {
        match super::thing::delete(access, tenant, &seen.thing, &[]).await {
            Ok(()) => {}
            Err(fault) if matches!(fault.kind, FaultKind::NotFound | FaultKind::Busy) => {}
            Err(fault) => return Err(fault),
        }
    }
    if going == 0 {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Busy,
        Service::BlockStorage,
        format!("delete the snapshots of the image {image}"),
        format!("{going} of them are on their way out"),
    ))
}
