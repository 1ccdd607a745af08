//! Rebuilds an instance from a backup, of the one kind in any tenant, of the other in its own; it may not know how the backup was made.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking at the target | read inventory, read presence; read the inventory of a giver | keep | it only reads; the first answer stays |
//! | Creating security groups | make, apply rules; import the key pair | product (key pair: keep) | found by name |
//! | Importing records and creating volumes | drop what a failed import has left | keep | what is gone stays gone |
//! | | import, oldest links first, where the id is not live yet | **keep** | looked up by the record's id |
//! | | make, in the project of the giver where there is one | product | found by name |
//! | Creating volumes from snapshots | make, in place of the two above, where the backup is a regular one | product | found by name |
//! | Restoring volumes | fill what is empty | | the same bytes again |
//! | | drop a volume whose restore failed, and make another | product | found by name |
//! | Transferring volumes | take over from the giver | product | one that is there already stays; an offer that was left over is withdrawn first |
//! | Preparing volumes | apply name, metadata, bootable, image metadata | | idempotent |
//! | Creating ports | make | product | found by name |
//! | Creating the server | make; drop one that did not come up, and make another | product | found by tag |
//! | Finishing | apply final names, tags and what goes with the server | | idempotent |
//!
//! What it does not go back for:
//!
//! | From | What is in the way | Then |
//! |---|---|---|
//! | the first volume that is being filled on | a login, a right, a quota, a server that does not come up | it is held until the deadline, and asked for again |
//! | the same, where volumes are to be kept | a cancel, the deadline, any failure | what has its bytes stays |
//! | always | what is optional is refused (see `is_optional`) | it is told as an adjustment |
//! | the server is up | the deadline | it ends well; what is unfinished is told |
//!
//! A giver is a project that holds a record out of which nobody else may restore (see `target`). Its
//! volume is made and filled there, and taken over after that: two rows, one for each project, and each
//! lets go of what is there. So whatever moment a transfer ends in, the volume is found and deleted.
//!
//! An imported record shares its bytes with the original, so nothing here ever lets one go.
//! The key pair stays too: other restorations may boot with it, and a public key harms nobody.

use super::{
    Limits,
    draft::{Draft, Step, Stop},
    layout::{self, GroupLayout, KeyLayout, Layout, PortLayout},
    server,
    target::{self, Held},
    volumes,
};
use crate::domain::{
    decision::Detail,
    dr_backup::Mirror,
    effect::{Disk, Disposal, Effect, EffectKind, EffectState, Request, ServerPlan},
    id::{PortId, SecurityGroupId, ServerId, Tenant, VolumeBackupId, VolumeId},
    manifest::{Properties, SecurityGroupRule, VolumeFacts},
    restoration::{RestorationDetail, RestorePlanInput, RestoredVolume},
    verification::Verification,
};

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, input: &RestorePlanInput) -> Step<()> {
    let manifest = &input.manifest;
    next.tell_volumes(manifest, |index| format!("volume-{index}-properties"));
    if volumes::hold_bytes(next) {
        next.holds();
    }
    if input.wish.keep_volumes || next.cancel_keeps_volumes() {
        volumes::keep(next);
    }
    hold(next, input, &[], None);

    next.phase("Looking at the target");
    let target = target::look(next, input)?;
    let layout = layout::choose(input, &target).map_err(Stop::GiveUp)?;
    hold(next, input, &target.live, Some(&layout));

    // These need nothing of each other, so all are asked for before any is awaited.
    next.phase("Creating security groups");
    let groups = create_groups(next, input, &layout);
    let key_name = create_key(next, &layout);
    next.phase(if input.snapshots.is_empty() {
        "Importing records and creating volumes"
    } else {
        "Creating volumes from snapshots"
    });
    let imports = volumes::import_records(next, input, &target);
    let volumes = volumes::create(next, manifest, &layout);
    imports?;
    let volumes = volumes?;

    next.phase("Restoring volumes");
    let volumes = volumes::restore(next, input, &target, &layout, &volumes)?;

    if layout.volumes.iter().any(|volume| volume.giver.is_some()) {
        next.phase("Transferring volumes");
        volumes::take_over(next, &layout, &volumes)?;
    }

    next.phase("Preparing volumes");
    volumes::prepare(next, manifest, &volumes)?;

    next.phase("Creating ports");
    let (groups, key_name) = (groups?, key_name?);
    let ports = create_ports(next, input, &layout, &groups)?;

    next.phase("Creating the server");
    let plan = server_plan(input, &layout, &volumes, &ports, key_name);
    let server = server::create(next, &plan)?;

    next.phase("Finishing");
    let finished = finish(next, input, &layout, &groups, &ports, &volumes, server);
    if finished.is_err() {
        if !next.is_late() {
            return finished;
        }
        // The server is up, which is worth more than what is left to do.
        next.phase("Restored, not finished");
        hold(next, input, &target.live, Some(&layout));
        return Ok(());
    }

    next.phase("Restored");
    // Nothing but this proves that the bytes are there.
    next.claim(Verification {
        time: Some(next.now()),
        doubt: None,
    });
    Ok(())
}

/// A port whose kept address is taken or not allowed, where another address is the way around; a server
/// and what is restored into a volume, where another one is.
pub(super) fn forgives(limits: &Limits, effect: &Effect) -> bool {
    is_optional(&effect.request)
        || keeps_address(effect)
        || server::forgives(effect)
        || volumes::forgives(limits, effect)
}

/// What was to be put back by something optional that is not done.
fn lacking(request: &Request) -> Option<String> {
    let lacking = match request {
        Request::MakeKeyPair { name, .. } => format!("key pair `{name}`"),
        Request::ApplyVolume { name, volume, .. } => {
            format!("name `{name}`, description, metadata and image metadata of volume {volume}")
        }
        Request::ApplySecurityGroupName { group, name } => {
            format!("name `{name}` of security group {group}")
        }
        Request::ApplyPortName { port, name } => format!("name `{name}` of port {port}"),
        Request::ApplyServerTags { tags, .. } => format!("tags {} of the server", tags.join(", ")),
        Request::ApplyDeleteOnTermination { .. } => {
            "that volumes are deleted with the server".to_owned()
        }
        Request::MakeSnapshot { .. }
        | Request::MakeImage { .. }
        | Request::MakeGroupSnapshot { .. }
        | Request::TakeSnapshot { .. }
        | Request::MakeVolumeBackup { .. }
        | Request::MakeVolume { .. }
        | Request::TakeVolume { .. }
        | Request::MakeSecurityGroup { .. }
        | Request::MakePort { .. }
        | Request::MakeServer(_)
        | Request::ImportRecord { .. }
        | Request::RestoreVolumeBackup { .. }
        | Request::ApplyBootable { .. }
        | Request::ApplySecurityGroupRules { .. }
        | Request::ApplyVolumeBackup { .. }
        | Request::ApplySnapshot { .. }
        | Request::ApplyErrorStatus { .. }
        | Request::ApplyRecordFreed { .. }
        | Request::ApplySnapshotFreed { .. }
        | Request::ApplySnapshotsGone { .. }
        | Request::ReadCaptured { .. }
        | Request::ReadInstance { .. }
        | Request::ReadServerState { .. }
        | Request::ReadParents { .. }
        | Request::ReadRecord { .. }
        | Request::ReadInventory
        | Request::ReadPresence { .. }
        | Request::Drop { .. } => return None,
    };
    Some(lacking)
}

/// What is worth less than the instance that it is for: where it is refused, or the deadline passes before
/// it is done, that is told.
pub(super) fn is_optional(request: &Request) -> bool {
    lacking(request).is_some()
}

fn keeps_address(effect: &Effect) -> bool {
    effect.key.as_str().ends_with("-kept")
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
            next.all_that_can(vec![next.wish("key", request, Disposal::Keep)])?;
            let made = next.effect("key").is_some_and(|key| !was_refused(key));
            Ok(made.then(|| name.clone()))
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
                device: volumes::device_of(manifest, facts),
                // Later, when the server is up.
                delete_on_termination: false,
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
    volumes: &[&Effect],
    server: &Effect,
) -> Step<()> {
    let manifest = &input.manifest;
    let tags = Request::ApplyServerTags {
        server: ServerId::new(server.id()),
        tags: manifest.tags.clone(),
    };
    let mut wishes = vec![next.wish("server-tags", tags, Disposal::Keep)];
    let going = manifest.volumes.iter().zip(volumes);
    let going = going.filter(|(facts, _)| facts.delete_on_termination);
    let going: Vec<VolumeId> = going
        .map(|(_, volume)| VolumeId::new(volume.id()))
        .collect();
    if !going.is_empty() {
        let request = Request::ApplyDeleteOnTermination {
            server: ServerId::new(server.id()),
            volumes: going,
        };
        wishes.push(next.wish("server-volumes", request, Disposal::Keep));
    }
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
    next.all_that_can(wishes)
}

/// What the restoration holds by now.
fn hold(next: &mut Draft<'_>, input: &RestorePlanInput, live: &[&Held], layout: Option<&Layout>) {
    let mut detail = RestorationDetail::default();
    if let Some(server) = server::newest(next) {
        detail.server = server.external.as_ref().map(ServerId::new);
        detail.server_status = server.status.clone().unwrap_or_default().to_uppercase();
    }
    let mut order_may_differ = None;
    let given = layout.and_then(|layout| {
        let given = volumes::known(next, &input.manifest, layout)?;
        Some((layout, given))
    });
    if let Some((layout, given)) = given {
        let sizes = layout.volumes.iter().map(|volume| volume.size_gib);
        for ((facts, volume), size_gib) in input.manifest.volumes.iter().zip(&given).zip(sizes) {
            detail.volumes.push(RestoredVolume {
                source: facts.id.clone(),
                volume: VolumeId::new(volume.id()),
                name: facts.name.clone(),
                size_gib,
            });
        }
        let disks = volumes::data_disks(&input.manifest);
        if !disks.is_sorted_by_key(|place| given[*place].id()) {
            order_may_differ = Some(
                "data disks that are not alike may come up in another order, where the hypervisor \
                 names devices itself"
                    .to_owned(),
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
    // What a giver made is the tenant's by its own row once it was taken over.
    detail.made = next
        .effects()
        .filter(|effect| effect.disposal == Disposal::Product && effect.state != EffectState::Gone)
        .filter(|effect| effect.tenant == *next.tenant())
        .filter_map(Effect::thing)
        .collect();
    detail.adjustments = layout
        .map(|layout| layout.adjustments.clone())
        .unwrap_or_default();
    detail.adjustments.extend(order_may_differ);
    let late = next.is_late();
    detail
        .adjustments
        .extend(next.asked().filter_map(|(request, effect)| {
            let lacking = lacking(request)?;
            match effect.map(|effect| effect.state) {
                Some(EffectState::Failed) => {
                    let fault = effect?.fault.as_ref()?;
                    Some(format!("{lacking} could not be put back: {fault}"))
                }
                None | Some(EffectState::Requested | EffectState::Accepted) if late => Some(
                    format!("{lacking} could not be put back before the deadline passed"),
                ),
                None
                | Some(
                    EffectState::Requested
                    | EffectState::Accepted
                    | EffectState::Done
                    | EffectState::Dropping
                    | EffectState::Leaving
                    | EffectState::Gone,
                ) => None,
            }
        }));
    detail.adjustments.extend(
        next.effects()
            .filter(|one| keeps_address(one) && was_refused(one))
            .filter_map(|effect| {
                let fault = effect.fault.as_ref()?;
                Some(format!("an address was not kept: {}", fault.message))
            }),
    );
    next.hold(Detail::Restoration(Box::new(detail)));
}
