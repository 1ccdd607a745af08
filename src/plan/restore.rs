//! Rebuilds an instance from a DR backup in any tenant; it may not know how the backup was made.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking at the target | read inventory, read presence | keep | it only reads; the first answer stays |
//! | Creating security groups | make, apply rules; import the key pair | product (key pair: keep) | found by name |
//! | Importing records and creating volumes | import, where the id is not live yet | **keep** | looked up by the record's id |
//! | | make | product | found by name |
//! | Restoring volumes | fill | | the same bytes again |
//! | Preparing volumes | apply name, metadata, bootable, image metadata | | idempotent |
//! | Creating ports | make | product | found by name |
//! | Creating the server | make | product | found by tag |
//! | Finishing | apply final names and tags | | idempotent |
//!
//! One file because a planner is read from top to bottom: each step is followed by the requests that
//! it makes, and what the restoration tells of them.
//!
//! An imported record shares its bytes with the original, so nothing here ever lets one go.
//! The key pair stays too: other restorations may boot with it, and a public key harms nobody.

use super::{
    draft::{Draft, Step, Stop},
    layout::{self, GroupLayout, KeyLayout, Layout, PortLayout},
};
use crate::domain::{
    decision::Detail,
    dr_backup::{Mirror, VolumeBackup},
    effect::{Disk, Disposal, Effect, EffectKind, EffectState, Fact, Request, ServerPlan},
    id::{PortId, ProjectId, SecurityGroupId, ServerId, Tenant, VolumeBackupId, VolumeId},
    inventory::{AdminReach, Inventory},
    manifest::{Manifest, Properties, SecurityGroupRule, VolumeFacts},
    restoration::{RestorationDetail, RestorePlanInput, RestoredVolume},
};

/// Volume backups that are live in the target cloud, and their projects.
type Live = [(VolumeBackupId, ProjectId)];

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, input: &RestorePlanInput) -> Step<()> {
    let manifest = &input.manifest;
    next.tell_volumes(manifest);
    hold(next, input, &[], None);

    next.phase("Looking at the target");
    let backups: Vec<VolumeBackupId> = input
        .volume_backups
        .iter()
        .map(|backup| backup.id.clone())
        .collect();
    let presence = Request::ReadPresence { backups };
    let looks = next.all(vec![
        next.wish("inventory", Request::ReadInventory, Disposal::Keep),
        next.wish("presence", presence, Disposal::Keep),
    ])?;
    let (inventory, live) = (inventory_of(looks[0])?, live_of(looks[1])?);
    let layout = layout::choose(input, inventory, to_import(input, live)).map_err(Stop::GiveUp)?;
    hold(next, input, live, Some(&layout));

    // These need nothing of each other, so all are asked for before any is awaited.
    next.phase("Creating security groups");
    let groups = create_groups(next, input, &layout);
    let key_name = create_key(next, &layout);
    next.phase("Importing records and creating volumes");
    let imports = import_records(next, input, inventory, live);
    let volumes = create_volumes(next, manifest, &layout);
    imports?;
    let volumes = volumes?;

    next.phase("Restoring volumes");
    restore_volumes(next, input, inventory, live, &volumes)?;

    next.phase("Preparing volumes");
    prepare_volumes(next, manifest, &volumes)?;

    next.phase("Creating ports");
    let (groups, key_name) = (groups?, key_name?);
    let ports = create_ports(next, input, &layout, &groups)?;

    next.phase("Creating the server");
    let plan = server_plan(input, &layout, &volumes, &ports, key_name);
    let request = Request::MakeServer(Box::new(plan));
    let server = next.one(next.wish("server", request, Disposal::Product))?;

    next.phase("Finishing");
    finish(next, input, &layout, &groups, &ports, server)?;

    next.phase("Restored");
    Ok(())
}

/// A port whose kept address is taken or not allowed: another address is the way around.
pub(super) fn forgives(effect: &Effect) -> bool {
    effect.key.as_str().ends_with("-kept")
}

/// How many records have to be imported, and how many GiB.
fn to_import(input: &RestorePlanInput, live: &Live) -> (u64, u64) {
    let absent = input
        .volume_backups
        .iter()
        .filter(|one| project_of(live, &one.id).is_none());
    absent.fold((0, 0), |(count, gib), one| (count + 1, gib + one.size_gib))
}

fn project_of<'a>(live: &'a Live, backup: &VolumeBackupId) -> Option<&'a ProjectId> {
    live.iter()
        .find(|(id, _)| id == backup)
        .map(|(_, project)| project)
}

/// The project in which an import lands: that of the token that the admin entry can get.
fn import_tenant(next: &Draft<'_>, inventory: &Inventory) -> Tenant {
    let tenant = next.tenant().clone();
    match &inventory.admin {
        AdminReach::Tenant | AdminReach::None => tenant,
        AdminReach::Other(project) => Tenant {
            project: project.clone(),
            ..tenant
        },
    }
}

/// Imports what is not live yet, and re-uses what is.
fn import_records(
    next: &mut Draft<'_>,
    input: &RestorePlanInput,
    inventory: &Inventory,
    live: &Live,
) -> Step<()> {
    let mut wishes = Vec::new();
    for (index, backup) in input.volume_backups.iter().enumerate() {
        let Some(record) = &backup.record else {
            return Err(Stop::give_up(
                "RECORD_MISSING",
                format!("the record of volume backup {} is not held", backup.id),
                "choose another DR backup",
            ));
        };
        if project_of(live, &backup.id).is_some() {
            continue;
        }
        let request = Request::ImportRecord {
            backup: backup.id.clone(),
            record: record.clone(),
        };
        let key = format!("volume-{index}-record");
        wishes.push(Draft::wish_in(
            import_tenant(next, inventory),
            key,
            request,
            Disposal::Keep,
        ));
    }
    next.all(wishes).map(|_| ())
}

fn create_volumes<'a>(
    next: &mut Draft<'a>,
    manifest: &Manifest,
    layout: &Layout,
) -> Step<Vec<&'a Effect>> {
    let wishes = layout.volumes.iter().enumerate().map(|(index, volume)| {
        let request = Request::MakeVolume {
            size_gib: volume.size_gib,
            volume_type: volume.volume_type.clone(),
            availability_zone: volume.availability_zone.clone(),
            snapshot: None,
            description: format!("being restored for {}", short(&manifest.name)),
        };
        next.wish(format!("volume-{index}"), request, Disposal::Product)
    });
    let made = next.all(wishes.collect())?;
    Ok(in_device_order(manifest, layout, &made))
}

/// Gives the made volumes to those of the manifest so that the order of their ids is that of the
/// devices, wherever they are alike. Nova on MariaDB names data disks by the order of the ids, its
/// drivers overrule a wish for a name, and nothing is in the volumes yet.
fn in_device_order<'a>(
    manifest: &Manifest,
    layout: &Layout,
    made: &[&'a Effect],
) -> Vec<&'a Effect> {
    let data = data_disks(manifest);
    let mut given = made.to_vec();
    for index in &data {
        let shape = &layout.volumes[*index];
        let alike = data
            .iter()
            .filter(|other| layout.volumes[**other] == *shape);
        let places: Vec<usize> = alike.copied().collect();
        let mut sorted: Vec<&Effect> = places.iter().map(|place| made[*place]).collect();
        sorted.sort_by_key(|volume| volume.id());
        for (place, volume) in places.into_iter().zip(sorted) {
            given[place] = volume;
        }
    }
    given
}

/// The places of the volumes that do not boot.
fn data_disks(manifest: &Manifest) -> Vec<usize> {
    let volumes = manifest.volumes.iter().enumerate();
    volumes
        .filter(|(_, volume)| volume.boot_index != Some(0))
        .map(|(index, _)| index)
        .collect()
}

/// A name that fits into a description together with a few words.
fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Restores into the volumes that were made: a restore that makes its own volume skips zeros.
fn restore_volumes(
    next: &mut Draft<'_>,
    input: &RestorePlanInput,
    inventory: &Inventory,
    live: &Live,
    volumes: &[&Effect],
) -> Step<()> {
    let imported = import_tenant(next, inventory).project;
    let mut wishes = Vec::new();
    for (index, (facts, volume)) in input.manifest.volumes.iter().zip(volumes).enumerate() {
        let backup = backup_of(input, facts)?;
        let project = project_of(live, &backup.id).unwrap_or(&imported);
        let request = Request::RestoreVolumeBackup {
            backup: backup.id.clone(),
            backup_project: project.clone(),
            volume: VolumeId::new(volume.id()),
        };
        wishes.push(next.wish(format!("volume-{index}-restore"), request, Disposal::Keep));
    }
    next.all(wishes).map(|_| ())
}

fn backup_of<'a>(input: &'a RestorePlanInput, volume: &VolumeFacts) -> Step<&'a VolumeBackup> {
    input
        .volume_backups
        .iter()
        .find(|backup| backup.volume == volume.id)
        .ok_or_else(|| {
            Stop::give_up(
                "VOLUME_BACKUP_MISSING",
                format!("volume {} has no volume backup", volume.id),
                "choose another DR backup",
            )
        })
}

fn prepare_volumes(next: &mut Draft<'_>, manifest: &Manifest, volumes: &[&Effect]) -> Step<()> {
    let wishes =
        manifest
            .volumes
            .iter()
            .zip(volumes)
            .enumerate()
            .map(|(index, (facts, volume))| {
                let request = Request::ApplyVolume {
                    volume: VolumeId::new(volume.id()),
                    name: facts.name.clone(),
                    description: facts.description.clone(),
                    metadata: facts.metadata.clone(),
                    // Nova refuses a root volume that is not marked.
                    bootable: facts.bootable || facts.boot_index == Some(0),
                    image_metadata: facts.image_metadata.clone(),
                };
                next.wish(
                    format!("volume-{index}-properties"),
                    request,
                    Disposal::Keep,
                )
            });
    next.all(wishes.collect()).map(|_| ())
}

/// The groups of the target in the order of the manifest's: found by content, or made with rules.
fn create_groups(
    next: &mut Draft<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
) -> Step<Vec<SecurityGroupId>> {
    let facts = &input.manifest.security_groups;
    let wishes = layout.groups.iter().zip(facts).enumerate().filter_map(
        |(index, (group, facts))| match group {
            GroupLayout::Found(_) => None,
            GroupLayout::Make => {
                let request = Request::MakeSecurityGroup {
                    description: facts.description.clone(),
                    stateful: facts.stateful,
                };
                Some(next.wish(format!("group-{index}"), request, Disposal::Product))
            }
        },
    );
    next.all(wishes.collect())?;
    let mut ids = Vec::new();
    for (index, group) in layout.groups.iter().enumerate() {
        let made = next.effect(&format!("group-{index}")).map(Effect::id);
        ids.push(match group {
            GroupLayout::Found(id) => id.clone(),
            GroupLayout::Make => SecurityGroupId::new(made.unwrap_or_default()),
        });
    }
    // Rules come second, because they may name any of the groups.
    let target_of = |source: &SecurityGroupId| {
        facts
            .iter()
            .position(|group| group.id == *source)
            .and_then(|index| ids.get(index))
            .cloned()
    };
    let wishes =
        layout
            .groups
            .iter()
            .zip(facts)
            .enumerate()
            .filter_map(|(index, (group, facts))| {
                if matches!(group, GroupLayout::Found(_)) {
                    return None;
                }
                let rules = facts
                    .rules
                    .iter()
                    .filter_map(|rule| match &rule.remote_group {
                        None => Some(rule.clone()),
                        Some(source) => Some(SecurityGroupRule {
                            remote_group: Some(target_of(source)?),
                            ..rule.clone()
                        }),
                    });
                let request = Request::ApplySecurityGroupRules {
                    group: ids[index].clone(),
                    rules: rules.collect(),
                };
                Some(next.wish(format!("group-{index}-rules"), request, Disposal::Keep))
            });
    next.all(wishes.collect())?;
    Ok(ids)
}

fn create_key(next: &mut Draft<'_>, layout: &Layout) -> Step<Option<String>> {
    match &layout.key {
        KeyLayout::None => Ok(None),
        KeyLayout::Found(name) => Ok(Some(name.clone())),
        KeyLayout::Make { name, public_key } => {
            let request = Request::MakeKeyPair {
                name: name.clone(),
                public_key: public_key.clone(),
            };
            next.one(next.wish("key", request, Disposal::Keep))?;
            Ok(Some(name.clone()))
        }
    }
}

/// The ports in the order of the manifest's; where a kept address is refused, another one is taken.
fn create_ports<'a>(
    next: &mut Draft<'a>,
    input: &RestorePlanInput,
    layout: &Layout,
    groups: &[SecurityGroupId],
) -> Step<Vec<&'a Effect>> {
    let mut wishes = Vec::new();
    for (index, port) in layout.ports.iter().enumerate() {
        let keeps = !port.kept.is_empty() || port.mac.is_some();
        let refused = next.effect(&kept_key(index)).is_some_and(was_refused);
        if keeps && !refused {
            let request = port_request(input, index, port, groups, true);
            wishes.push(next.wish(kept_key(index), request, Disposal::Product));
        } else {
            let request = port_request(input, index, port, groups, false);
            wishes.push(next.wish(format!("port-{index}"), request, Disposal::Product));
        }
    }
    next.all(wishes)
}

fn kept_key(index: usize) -> String {
    format!("port-{index}-kept")
}

fn was_refused(effect: &Effect) -> bool {
    effect.state == EffectState::Failed
}

fn port_request(
    input: &RestorePlanInput,
    index: usize,
    port: &PortLayout,
    groups: &[SecurityGroupId],
    keep: bool,
) -> Request {
    let facts = &input.manifest.ports[index];
    let wished = &input.wish.security_groups;
    let security_groups = if !facts.port_security {
        Vec::new()
    } else if wished.is_empty() {
        let known = &input.manifest.security_groups;
        let index_of = |id: &SecurityGroupId| known.iter().position(|group| group.id == *id);
        let ids = facts
            .security_groups
            .iter()
            .filter_map(|id| groups.get(index_of(id)?).cloned());
        ids.collect()
    } else {
        wished.clone()
    };
    let kept = if keep { port.kept.clone() } else { Vec::new() };
    Request::MakePort {
        network: port.network.clone(),
        fixed: if port.demanded.is_empty() {
            kept
        } else {
            port.demanded.clone()
        },
        mac: port.mac.clone().filter(|_| keep),
        security_groups,
        port_security: (!facts.port_security).then_some(false),
        vnic_type: (facts.vnic_type != "normal").then(|| facts.vnic_type.clone()),
    }
}

fn server_plan(
    input: &RestorePlanInput,
    layout: &Layout,
    volumes: &[&Effect],
    ports: &[&Effect],
    key_name: Option<String>,
) -> ServerPlan {
    let RestorePlanInput { manifest, wish, .. } = input;
    // The root volume first; the others keep the order of their devices.
    let mut disks: Vec<(&VolumeFacts, &&Effect)> = manifest.volumes.iter().zip(volumes).collect();
    disks.sort_by_key(|(facts, _)| facts.boot_index.unwrap_or(u32::MAX));
    let mut metadata: Properties = manifest.metadata.clone();
    metadata.extend(wish.metadata.clone());
    ServerPlan {
        name: if wish.name.is_empty() {
            manifest.name.clone()
        } else {
            wish.name.clone()
        },
        description: manifest.description.clone(),
        flavor: layout.flavor.clone(),
        disks: disks
            .into_iter()
            .map(|(facts, volume)| Disk {
                volume: VolumeId::new(volume.id()),
                tag: facts.tag.clone(),
                delete_on_termination: facts.delete_on_termination,
            })
            .collect(),
        ports: ports.iter().map(|port| PortId::new(port.id())).collect(),
        key_name,
        availability_zone: wish.availability_zone.clone(),
        config_drive: wish.config_drive.unwrap_or(manifest.config_drive),
        user_data: wish
            .user_data
            .clone()
            .or_else(|| manifest.user_data.clone()),
        metadata,
        tags: manifest.tags.clone(),
    }
}

/// Gives what was made under our names the names of the originals.
fn finish(
    next: &mut Draft<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
    groups: &[SecurityGroupId],
    ports: &[&Effect],
    server: &Effect,
) -> Step<()> {
    let manifest = &input.manifest;
    let tags = Request::ApplyServerTags {
        server: ServerId::new(server.id()),
        tags: manifest.tags.clone(),
    };
    let mut wishes = vec![next.wish("server-tags", tags, Disposal::Keep)];
    for (index, (facts, port)) in manifest.ports.iter().zip(ports).enumerate() {
        let request = Request::ApplyPortName {
            port: PortId::new(port.id()),
            name: facts.name.clone(),
        };
        wishes.push(next.wish(format!("port-{index}-name"), request, Disposal::Keep));
    }
    for (index, (group, facts)) in layout
        .groups
        .iter()
        .zip(&manifest.security_groups)
        .enumerate()
    {
        if matches!(group, GroupLayout::Make) {
            let request = Request::ApplySecurityGroupName {
                group: groups[index].clone(),
                name: facts.name.clone(),
            };
            wishes.push(next.wish(format!("group-{index}-name"), request, Disposal::Keep));
        }
    }
    next.all(wishes).map(|_| ())
}

/// What the restoration holds by now.
fn hold(next: &mut Draft<'_>, input: &RestorePlanInput, live: &Live, layout: Option<&Layout>) {
    let mut detail = RestorationDetail::default();
    if let Some(server) = next.effect("server") {
        detail.server = server.external.as_ref().map(ServerId::new);
        detail.server_status = server.status.clone().unwrap_or_default().to_uppercase();
    }
    let mut order_may_differ = None;
    let made: Vec<&Effect> = (0..input.manifest.volumes.len())
        .filter_map(|index| next.effect(&format!("volume-{index}")))
        .filter(|volume| volume.external.is_some())
        .collect();
    // Which volume becomes which is settled when all are there.
    if let Some(layout) = layout.filter(|_| made.len() == input.manifest.volumes.len()) {
        let given = in_device_order(&input.manifest, layout, &made);
        let sizes = layout.volumes.iter().map(|volume| volume.size_gib);
        for ((facts, volume), size_gib) in input.manifest.volumes.iter().zip(&given).zip(sizes) {
            detail.volumes.push(RestoredVolume {
                source: facts.id.clone(),
                volume: VolumeId::new(volume.id()),
                name: facts.name.clone(),
                size_gib,
            });
        }
        let disks = data_disks(&input.manifest);
        if !disks.is_sorted_by_key(|place| given[*place].id()) {
            order_may_differ = Some(
                "data disks of different sizes or types may come up in another order".to_owned(),
            );
        }
    }
    // An import that was asked for may have worked whatever we heard, so it counts as a mirror.
    detail.mirrors = next
        .effects()
        .filter(|effect| effect.request.kind() == EffectKind::Import)
        .filter_map(|effect| {
            let backup = VolumeBackupId::new(effect.request.known_id()?);
            Some(Mirror {
                backup,
                tenant: effect.tenant.clone(),
            })
        })
        .collect();
    for (backup, project) in live {
        let tenant = Tenant {
            cloud: next.tenant().cloud.clone(),
            project: project.clone(),
        };
        detail.mirrors.push(Mirror {
            backup: backup.clone(),
            tenant,
        });
    }
    // The original itself may be what is live here.
    detail.mirrors.retain(|mirror| {
        !input
            .volume_backups
            .iter()
            .any(|one| one.id == mirror.backup && one.tenant == mirror.tenant)
    });
    detail.made = next
        .effects()
        .filter(|effect| effect.disposal == Disposal::Product && effect.state != EffectState::Gone)
        .filter_map(Effect::thing)
        .collect();
    detail.adjustments = layout
        .map(|layout| layout.adjustments.clone())
        .unwrap_or_default();
    detail.adjustments.extend(order_may_differ);
    detail.adjustments.extend(
        next.effects()
            .filter(|one| forgives(one) && was_refused(one))
            .filter_map(|effect| {
                let fault = effect.fault.as_ref()?;
                Some(format!("an address was not kept: {}", fault.message))
            }),
    );
    next.hold(Detail::Restoration(Box::new(detail)));
}

fn inventory_of(effect: &Effect) -> Step<&Inventory> {
    match &effect.fact {
        Some(Fact::Inventory(inventory)) => Ok(inventory),
        Some(
            Fact::Instance(_)
            | Fact::Record { .. }
            | Fact::Presence { .. }
            | Fact::Seen(_)
            | Fact::Port { .. },
        )
        | None => Err(no_fact("inventory")),
    }
}

fn live_of(effect: &Effect) -> Step<&Live> {
    match &effect.fact {
        Some(Fact::Presence { live }) => Ok(live),
        Some(
            Fact::Instance(_)
            | Fact::Record { .. }
            | Fact::Inventory(_)
            | Fact::Seen(_)
            | Fact::Port { .. },
        )
        | None => Err(no_fact("presence")),
    }
}

fn no_fact(what: &str) -> Stop {
    Stop::give_up(
        "INTERNAL",
        format!("the ledger holds no {what} of the target"),
        "report this as a defect",
    )
}
