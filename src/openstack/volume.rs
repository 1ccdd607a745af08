//! Cinder volumes; this file may not know why one is made.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::Access,
    attributes::{self, Odd},
    call::Call,
    coalescer::worth_a_list,
    path::Path,
    volume_group,
    wire::{cut, flag, gib, nullable, properties, short},
};
use crate::domain::{
    effect::{NewVolume, VolumeSettings},
    fault::{Fault, FaultKind, Service},
    id::{Tenant, VolumeId},
    manifest::Properties,
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const CINDER: Service = Service::BlockStorage;

/// A volume as Cinder shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields have the names that Cinder gives them"
)]
pub(super) struct Volume {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default, deserialize_with = "short")]
    pub(super) status: String,
    #[serde(default, deserialize_with = "gib")]
    pub(super) size: u64,
    #[serde(default)]
    pub(super) created_at: Option<String>,
    #[serde(default)]
    pub(super) volume_type: Option<String>,
    /// Its group, told from the microversion of groups on.
    #[serde(default)]
    pub(super) group_id: Option<String>,
    #[serde(default)]
    pub(super) availability_zone: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) bootable: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) encrypted: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) multiattach: bool,
    /// Its project; told to everybody by the policy as shipped.
    #[serde(default, rename = "os-vol-tenant-attr:tenant_id")]
    pub(super) project: Option<String>,
    #[serde(default, deserialize_with = "properties")]
    pub(super) metadata: Properties,
    #[serde(default, deserialize_with = "properties")]
    pub(super) volume_image_metadata: Properties,
    /// What says something and is not restored.
    #[serde(flatten, deserialize_with = "attributes::of_volume")]
    pub(super) odd: Vec<Odd>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) volume: Volume,
}

/// What Cinder mixes into the metadata of a volume that it shows (`add_visible_admin_metadata`): it is not
/// the user's, and setting it sets nothing.
const OF_CINDER: [&str; 2] = ["readonly", "attached_mode"];

/// Metadata as its user set it.
pub(super) fn own_metadata(mut metadata: Properties) -> Properties {
    metadata.retain(|key, _| !OF_CINDER.contains(&key.as_str()));
    metadata
}

impl Volume {
    /// What says something and is not restored.
    pub(super) fn odd(&self) -> Vec<Odd> {
        let readonly = self.metadata.get("readonly");
        let readonly = readonly.filter(|text| text.eq_ignore_ascii_case("true"));
        let readonly = readonly.map(|text| Odd::new("readonly", &json!(text)));
        let group = self.group_id.as_ref().filter(|id| !id.is_empty());
        let group = group.map(|id| Odd::new("group_id", &json!(id)));
        self.odd
            .iter()
            .cloned()
            .chain(readonly)
            .chain(group)
            .collect()
    }

    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::Volume,
                id: self.id,
            },
            name: self.name,
            tags: Vec::new(),
            status: self.status.to_lowercase(),
            message: None,
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: Some(self.size),
            incremental: false,
            data_timestamp: None,
            volume: None,
        }
    }
}

/// Makes a volume.
pub(super) async fn make(access: &Access, name: &str, wish: &NewVolume) -> Result<String, Fault> {
    let mut volume = Map::new();
    volume.insert("size".to_owned(), json!(wish.size_gib));
    volume.insert("name".to_owned(), json!(name));
    volume.insert("description".to_owned(), json!(cut(&wish.description)));
    let optional = [
        ("volume_type", json!(wish.volume_type)),
        ("availability_zone", json!(wish.availability_zone)),
        ("snapshot_id", json!(wish.snapshot)),
        ("imageRef", json!(wish.image)),
    ];
    let named = optional.into_iter().filter(|(_, value)| !value.is_null());
    volume.extend(named.map(|(key, value)| (key.to_owned(), value)));
    let call = Call::post(
        CINDER,
        "volumes",
        format!("create the volume {name}"),
        json!({ "volume": volume }),
    );
    let made = access.read::<One>(&call).await?.volume;
    call.tells_of(name, &made.name)?;
    Ok(made.id)
}

/// Reads one volume, whosoever it is.
pub(super) async fn get(access: &Access, volume: &VolumeId) -> Result<Volume, Fault> {
    let call = one(access, volume).await?;
    Ok(access.read::<One>(&call).await?.volume)
}

/// Reads one volume of a tenant.
async fn get_of(access: &Access, tenant: &Tenant, volume: &VolumeId) -> Result<Volume, Fault> {
    let call = one(access, volume).await?;
    Ok(access
        .read_of::<One>(tenant, volume.as_str(), &call)
        .await?
        .volume)
}

async fn one(access: &Access, volume: &VolumeId) -> Result<Call, Fault> {
    let call = Call::get(
        CINDER,
        Path::of("volumes", &volume),
        format!("read the volume {volume}"),
    );
    Ok(call.at(volume_group::version(access).await?))
}

/// Reads volumes of a tenant, in this order. Many that are wanted at the same time, by whomever, come out of one
/// list, as long as that is not much longer than they are many.
pub(super) async fn get_all(
    access: &Access,
    tenant: &Tenant,
    ids: &[String],
) -> Result<Vec<Volume>, Fault> {
    let coalescer = access.shared::<Volume>(format!("volumes of project {}", tenant.project));
    let mut found = coalescer
        .get(
            ids.to_vec(),
            |volume| &volume.id,
            |ids| read_together(access, tenant, ids),
        )
        .await?;
    let mut volumes = Vec::with_capacity(ids.len());
    for id in ids {
        let place = found.iter().position(|volume| volume.id == *id);
        volumes.push(match place {
            Some(place) => found.swap_remove(place),
            // What a list does not show may still be there; and if not, this says so.
            None => get_of(access, tenant, &VolumeId::new(id.clone())).await?,
        });
    }
    Ok(volumes)
}

/// Those of these volumes that could be read; what is not there is left out.
async fn read_together(
    access: &Access,
    tenant: &Tenant,
    ids: Vec<String>,
) -> Result<Vec<Volume>, Fault> {
    // One that is asked for alone has an answer of its own, also when that is a refusal.
    if let [id] = ids.as_slice() {
        return Ok(vec![
            get_of(access, tenant, &VolumeId::new(id.clone())).await?,
        ]);
    }
    if let Some(rows) = worth_a_list(ids.len()) {
        let call = Call::get(CINDER, "volumes/detail", "list the volumes");
        let call = call.at(volume_group::version(access).await?);
        if let Some(listed) = access
            .short_list(Some(tenant), call, "volumes", rows)
            .await?
        {
            return Ok(listed);
        }
    }
    let ids: Vec<VolumeId> = ids.into_iter().map(VolumeId::new).collect();
    let asked: Vec<_> = ids.iter().map(|id| get_of(access, tenant, id)).collect();
    stream::iter(asked)
        .buffered(access.session.connection.limits().side_by_side)
        .filter_map(|answer| async {
            match answer {
                Err(fault) if fault.kind == FaultKind::NotFound => None,
                other => Some(other),
            }
        })
        .try_collect()
        .await
}

/// Gives a volume its final look, touching only what differs; what is refused takes nothing else with it,
/// and what a server needs comes first.
pub(super) async fn apply(access: &Access, settings: &VolumeSettings) -> Result<(), Fault> {
    let VolumeSettings {
        volume: id,
        name,
        description,
        metadata,
        bootable,
        image_metadata,
    } = settings;
    let volume = get(access, id).await?;
    let mut refused = None;
    if bootable.is_some_and(|bootable| volume.bootable != bootable) {
        mark_bootable(access, id, !volume.bootable).await?;
    }
    let lacking: Properties = image_metadata
        .iter()
        .filter(|(key, value)| volume.volume_image_metadata.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !lacking.is_empty() {
        let body = json!({"os-set_image_metadata": {"metadata": lacking}});
        let action = format!("set the image metadata of the volume {id}");
        note(&mut refused, act(access, id, action, body).await)?;
    }
    if own_metadata(volume.metadata) != *metadata {
        let body = json!({ "metadata": metadata });
        let action = format!("set the metadata of the volume {id}");
        let path = Path::of("volumes", &id).word("metadata");
        let answer = access.send(&Call::put(CINDER, path, action, body)).await;
        note(&mut refused, answer.map(drop))?;
    }
    let description = cut(description);
    if volume.name != *name || volume.description != description {
        let body = json!({"volume": {"name": name, "description": description}});
        let action = format!("name the volume {id}");
        let call = Call::put(CINDER, Path::of("volumes", &id), action, body);
        note(&mut refused, access.send(&call).await.map(drop))?;
    }
    refused.map_or(Ok(()), Err)
}

/// Keeps the first refusal for later; what may pass is asked for again with all the rest.
fn note(refused: &mut Option<Fault>, answer: Result<(), Fault>) -> Result<(), Fault> {
    match answer {
        Err(fault) if fault.may_pass() => Err(fault),
        Err(fault) => {
            refused.get_or_insert(fault);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Marks a volume as one that boots, or as one that does not.
pub(super) async fn mark_bootable(
    access: &Access,
    id: &VolumeId,
    bootable: bool,
) -> Result<(), Fault> {
    let body = json!({"os-set_bootable": {"bootable": bootable}});
    let action = format!("set the bootable flag of the volume {id}");
    act(access, id, action, body).await
}

async fn act(access: &Access, id: &VolumeId, action: String, body: Value) -> Result<(), Fault> {
    access
        .send(&Call::post(
            CINDER,
            Path::of("volumes", &id).word("action"),
            action,
            body,
        ))
        .await?;
    Ok(())
}
