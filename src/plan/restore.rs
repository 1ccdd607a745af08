//! Rebuilds an instance from a backup, of the one kind in any tenant, of the other in its own; it may not know how the backup was made.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking at the target | read inventory, read presence; read the inventory of a donor | keep | it only reads; the first answer stays |
//! | Creating security groups | make, apply rules; import the key pair | product (key pair: keep) | found by name |
//! | Importing records and creating volumes | drop what a failed import has left | keep | what is gone stays gone |
//! | | import, oldest links first, where the id is not live yet | **keep** | looked up by the record's id |
//! | | make, in the project of the donor where there is one | product | found by name |
//! | Creating volumes from snapshots | make, in place of the two above, where the backup is a regular one | product | found by name |
//! | Restoring volumes | fill what is empty | | the same bytes again |
//! | | drop a volume whose restore failed, and make another | product | found by name |
//! | Transferring volumes | take over from the donor | product | one that is there already stays; an offer that was left over is withdrawn first |
//! | Preparing volumes | apply name, metadata, bootable, image metadata | | idempotent |
//! | Creating ports | make, with fewer wishes where one is refused; apply what else is set on them | product | found by name |
//! | Creating trunks | make; drop the sub ports of one that is refused | product | found by name |
//! | Creating the server | make; drop one that did not come up, and make another | product | found by tag |
//! | Finishing | apply final names, tags, DNS names and what goes with the server | | idempotent |
//! | | switch off what was switched off, then switch on its ports, then lock | | seen before it is asked for |
//! | Comparing | read the instance that came of it | keep | it only reads |
//!
//! What it does not go back for:
//!
//! | From | What is in the way | Then |
//! |---|---|---|
//! | the first volume that is being filled on | a login, a right, a quota, a server that does not come up | it is held until the deadline, and asked for again |
//! | the same, where volumes are to be kept | a cancel, the deadline, any failure | what has its bytes stays |
//! | always | what is optional is refused (see `is_optional`) | it is told as a difference |
//! | the server is up | the deadline | it ends well; what is unfinished is told |
//!
//! A donor is a project that holds a record out of which nobody else may restore (see `target`). Its
//! volume is made and filled there, and taken over after that: two rows, one for each project, and each
//! lets go of what is there. So whatever moment a transfer ends in, the volume is found and deleted.
//!
//! What is optional falls alone: where it is refused the rest goes on, and the refusal is told as a
//! difference. What is to be switched off comes up once, because Nova makes no server that is off; its
//! ports are off meanwhile, so that it never speaks with an address that may be its twin's. (Nova does not
//! wait for the wiring of a port that is off: `_build_vif_model` of Zed and 2026.1.)
//!
//! One file because the table above is the plan, and its lines are the steps below in their order.
//!
//! An imported record shares its bytes with the original, so nothing here ever lets one go.
//! The key pair stays too: other restorations may boot with it, and a public key harms nobody.

mod kept;
mod trunks;

use self::kept::was_wish_refused;
use super::{
    PatienceSettings, compare,
    decision_builder::{DecisionBuilder, Step, Stop},
    layout::{self, GroupLayout, Kept, KeyLayout, Layout, PortLayout},
    server,
    target::{self, Held},
    volumes,
};
use crate::domain::{
    decision::{DesiredEffect, Detail},
    difference::Difference,
    effect::{
        Disk, Disposal, Effect, EffectKind, EffectState, Fact, PortSetting, Request, ServerPlan,
        ServerSetting,
    },
    id::{PortId, SecurityGroupId, ServerId, Tenant, VolumeBackupId, VolumeId},
    manifest::{Manifest, Properties, SecurityGroupRule, TrunkFacts, VolumeFacts},
    restoration::{RestorationDetail, RestorePlanInput, RestoredVolume},
    verification::Verification,
    volume_backup::BackupAt,
};

/// The steps, in order.
pub(super) fn steps(decision: &mut DecisionBuilder<'_>, input: &RestorePlanInput) -> Step<()> {
    let manifest = &input.manifest;
    decision.tell_volumes(manifest, |index| format!("volume-{index}-properties"));
    if volumes::hold_bytes(decision) {
        decision.holds();
    }
    if input.options.keep_volumes || decision.cancel_keeps_volumes() {
        volumes::keep(decision);
    }
    hold(decision, input, &[], None);

    decision.phase("Looking at the target");
    let target = target::look(decision, input)?;
    let layout = layout::choose(input, &target).map_err(Stop::GiveUp)?;
    hold(decision, input, &target.live, Some(&layout));

    // These need nothing of each other, so all are asked for before any is awaited.
    decision.phase("Creating security groups");
    let groups = create_groups(decision, input, &layout);
    let key_name = create_key(decision, &layout);
    decision.phase(if input.snapshots.is_empty() {
        "Importing records and creating volumes"
    } else {
        "Creating volumes from snapshots"
    });
    let imports = volumes::import_records(decision, input, &target);
    let volumes = volumes::create(decision, manifest, &layout);
    imports?;
    let volumes = volumes?;

    decision.phase("Restoring volumes");
    let volumes = volumes::restore(decision, input, &target, &layout, &volumes)?;

    if layout.volumes.iter().any(|volume| volume.donor.is_some()) {
        decision.phase("Transferring volumes");
        volumes::take_over(decision, &layout, &volumes)?;
    }

    decision.phase("Preparing volumes");
    volumes::prepare(decision, manifest, &volumes)?;

    decision.phase("Creating ports");
    let (groups, key_name) = (groups?, key_name?);
    let ports = create_ports(decision, input, &layout, &groups)?;
    set_ports(decision, input, &ports)?;
    if !layout.without_trunks && !manifest.trunks().is_empty() {
        decision.phase("Creating trunks");
        trunks::create(decision, input, &layout, &ports)?;
    }

    decision.phase("Creating the server");
    let plan = server_plan(input, &layout, &volumes, &ports, key_name);
    let server = server::create(decision, &plan, input.options.availability_zone.is_some())?;

    decision.phase("Finishing");
    let finished = finish(decision, input, &layout, &groups, &ports, &volumes, server);
    let finished = finished.and_then(|()| {
        decision.phase("Comparing");
        let request = Request::ReadInstance {
            server: ServerId::new(server.id()),
        };
        let look = decision.wish(COMPARED, request, Disposal::Keep);
        decision.all_that_can(vec![look])
    });
    if finished.is_err() {
        if !decision.is_late() {
            return finished;
        }
        // The server is up, which is worth more than what is left to do.
        decision.phase("Restored, not finished");
        prove(decision);
        hold(decision, input, &target.live, Some(&layout));
        return Ok(());
    }

    hold(decision, input, &target.live, Some(&layout));

    decision.phase("Restored");
    prove(decision);
    Ok(())
}

/// Says that the bytes are there, which nothing but this proves.
fn prove(decision: &mut DecisionBuilder<'_>) {
    let time = Some(decision.now());
    decision.claim(Verification { time, doubt: None });
}

const ORDER_OF_DISKS: &str = "order of data disks";

/// The look at the instance that came of it.
const COMPARED: &str = "compared";

/// What people read of it.
const COMPARISON: &str = "comparison with the original";

/// What is optional; a port with wishes that may fall; a server and what is restored into a volume, where
/// another one is the way around.
pub(super) fn forgives(limits: &PatienceSettings, effect: &Effect) -> bool {
    is_optional(&effect.request)
        || was_wish_refused(effect)
        || server::forgives(effect)
        || volumes::forgives(limits, effect)
}

/// What a restoration is whole without: refused, it is told, and everything else goes on.
pub(super) fn is_optional(request: &Request) -> bool {
    Optional::of(request).is_some()
}

/// What is optional, by what is told of it.
enum Optional<'a> {
    KeyPair(&'a str),
    Volume,
    GroupName,
    Port(&'static str),
    Trunk,
    Server(&'static str),
    Look,
}

impl<'a> Optional<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        match request {
            Request::MakeKeyPair { name, .. } => Some(Self::KeyPair(name)),
            Request::ApplyVolume { .. } => Some(Self::Volume),
            Request::ApplySecurityGroupName { .. } => Some(Self::GroupName),
            Request::ApplyPortName { .. } => Some(Self::Port("name")),
            Request::ApplyPortSetting { setting, .. } => Some(Self::Port(setting.attribute())),
            Request::MakeTrunk { .. } => Some(Self::Trunk),
            Request::ApplyTrunk { .. } => Some(Self::Port("trunk name")),
            Request::ApplyServerSetting { setting, .. } => Some(Self::Server(setting.attribute())),
            Request::ApplyServerTags { .. } => Some(Self::Server("tags")),
            Request::ApplyDeleteOnTermination { .. } => Some(Self::Server("delete_on_termination")),
            Request::ReadInstance { .. } => Some(Self::Look),
            Request::MakeSnapshot { .. }
            | Request::MakeImage { .. }
            | Request::MakeGroupSnapshot { .. }
            | Request::TakeSnapshot { .. }
            | Request::MakeVolumeBackup { .. }
            | Request::MakeVolume { .. }
            | Request::AcceptTransfer { .. }
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
            | Request::ResetBackupStatus { .. }
            | Request::ApplySnapshotFreed { .. }
            | Request::ApplySnapshotsGone { .. }
            | Request::ReadCaptured { .. }
            | Request::ReadServerState { .. }
            | Request::ReadParents { .. }
            | Request::ReadRecord { .. }
            | Request::ReadInventory
            | Request::ReadAllowance { .. }
            | Request::ReadPresence { .. }
            | Request::Drop { .. } => None,
        }
    }
}

/// The groups of the target in the order of the manifest's: found by content, or made with rules.
fn create_groups(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
) -> Step<Vec<SecurityGroupId>> {
    let facts = &input.manifest.security_groups;
    let wishes = layout.groups.iter().zip(facts).enumerate().filter_map(
        |(index, (group, facts))| match group {
            GroupLayout::Found(_) => None,
            GroupLayout::Make { .. } => {
                let request = Request::MakeSecurityGroup {
                    description: facts.description.clone(),
                    stateful: facts.stateful,
                };
                Some(decision.wish(format!("group-{index}"), request, Disposal::Product))
            }
        },
    );
    decision.all(wishes.collect())?;
    let mut ids = Vec::new();
    for (index, group) in layout.groups.iter().enumerate() {
        let made = decision.effect(&format!("group-{index}")).map(Effect::id);
        ids.push(match group {
            GroupLayout::Found(id) => id.clone(),
            GroupLayout::Make { .. } => SecurityGroupId::new(made.unwrap_or_default()),
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
                // A rule without what narrows it would let in or out more than it did.
                let whole = facts
                    .rules
                    .iter()
                    .filter(|rule| rule.restrictions.is_empty());
                let rules = whole.filter_map(|rule| match &rule.remote_group {
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
                Some(decision.wish(format!("group-{index}-rules"), request, Disposal::Keep))
            });
    decision.all(wishes.collect())?;
    Ok(ids)
}

fn create_key(decision: &mut DecisionBuilder<'_>, layout: &Layout) -> Step<Option<String>> {
    match &layout.key {
        KeyLayout::None => Ok(None),
        KeyLayout::Found(name) => Ok(Some(name.clone())),
        KeyLayout::Make {
            name,
            public_key,
            kind,
        } => {
            let request = Request::MakeKeyPair {
                name: name.clone(),
                public_key: public_key.clone(),
                kind: kind.clone(),
            };
            decision.all_that_can(vec![decision.wish("key", request, Disposal::Keep)])?;
            let made = decision.effect("key").is_some_and(|key| !was_refused(key));
            Ok(made.then(|| name.clone()))
        }
    }
}

/// The ports that stand, each with its place; a wish that is refused falls, and the others stay.
fn create_ports<'a>(
    decision: &mut DecisionBuilder<'a>,
    input: &RestorePlanInput,
    layout: &Layout,
    groups: &[SecurityGroupId],
) -> Step<Vec<(usize, &'a Effect)>> {
    let cards = input.manifest.ports.len();
    let mut made = Vec::new();
    // What a sub port is made with may be what its parent has got.
    for places in [0..cards, cards..layout.ports.len()] {
        let (mut standing, mut wishes) = (Vec::new(), Vec::new());
        for index in places {
            let kept = trunks::kept(decision, &input.manifest, layout, index);
            let tried = kept::tried(decision, index, &kept);
            if decision.effect(&tried.key).is_some_and(volumes::was_let_go) {
                continue;
            }
            let port = &layout.ports[index];
            let request = port_request(input, index, port, groups, &tried.kept);
            standing.push(index);
            wishes.push(decision.wish(tried.key, request, Disposal::Product));
        }
        made.extend(standing.into_iter().zip(decision.all(wishes)?));
    }
    Ok(made)
}

/// Sets what else was set on the ports, before the guest comes up and asks for it.
fn set_ports(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    ports: &[(usize, &Effect)],
) -> Step<()> {
    let mut wishes = Vec::new();
    let facts = input.manifest.every_port();
    for (index, port) in ports.iter().copied() {
        let set = &facts[index].settings;
        let mut all = Vec::new();
        if !set.description.is_empty() {
            all.push(PortSetting::Description(set.description.clone()));
        }
        if !set.address_pairs.is_empty() {
            all.push(PortSetting::AddressPairs(set.address_pairs.clone()));
        }
        if !set.dhcp_options.is_empty() {
            all.push(PortSetting::DhcpOptions(set.dhcp_options.clone()));
        }
        if let Some(policy) = &set.qos_policy {
            all.push(PortSetting::QosPolicy(policy.clone()));
        }
        if !set.tags.is_empty() {
            all.push(PortSetting::Tags(set.tags.clone()));
        }
        wishes.extend(
            all.into_iter()
                .map(|setting| port_setting(decision, index, port, setting)),
        );
    }
    decision.all_that_can(wishes)
}

fn port_setting(
    decision: &DecisionBuilder<'_>,
    index: usize,
    port: &Effect,
    setting: PortSetting,
) -> DesiredEffect {
    let key = format!("port-{index}-{}", setting.attribute());
    let request = Request::ApplyPortSetting {
        port: PortId::new(port.id()),
        setting,
    };
    decision.wish(key, request, Disposal::Keep)
}

fn was_refused(effect: &Effect) -> bool {
    effect.state == EffectState::Failed
}

fn port_request(
    input: &RestorePlanInput,
    index: usize,
    port: &PortLayout,
    groups: &[SecurityGroupId],
    kept: &Kept,
) -> Request {
    let facts = input.manifest.every_port()[index];
    let wished = &input.options.security_groups;
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
    Request::MakePort {
        network: port.network.clone(),
        fixed: kept.fixed.clone(),
        mac: kept.mac.clone(),
        security_groups,
        port_security: (!facts.port_security).then_some(false),
        vnic_type: (facts.vnic_type != "normal").then(|| facts.vnic_type.clone()),
        // It loses its address when the server has it.
        bare: false,
        down: facts.settings.down || stops(input),
        default_group: facts.security_groups.is_empty() && facts.id.is_none() && wished.is_empty(),
        uplink_status: port.uplink_status,
    }
}

/// Whether the instance is switched off in the end.
fn stops(input: &RestorePlanInput) -> bool {
    input.options.start.stops(&input.manifest.status)
}

fn server_plan(
    input: &RestorePlanInput,
    layout: &Layout,
    volumes: &[&Effect],
    ports: &[(usize, &Effect)],
    key_name: Option<String>,
) -> ServerPlan {
    let RestorePlanInput {
        manifest, options, ..
    } = input;
    // The root volume first; the others keep the order of their devices.
    let mut disks: Vec<(&VolumeFacts, &&Effect)> = manifest.volumes.iter().zip(volumes).collect();
    disks.sort_by_key(|(facts, _)| facts.boot_index.unwrap_or(u32::MAX));
    let mut metadata: Properties = manifest.metadata.clone();
    metadata.extend(options.metadata.clone());
    ServerPlan {
        name: if options.name.is_empty() {
            manifest.name.clone()
        } else {
            options.name.clone()
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
        // A sub port comes with its parent.
        ports: (ports.iter())
            .filter(|(index, _)| *index < manifest.ports.len())
            .map(|(_, port)| PortId::new(port.id()))
            .collect(),
        card_tags: (manifest.ports.iter())
            .map(|port| port.settings.card_tag.clone())
            .collect(),
        key_name,
        availability_zone: layout.availability_zone.clone(),
        config_drive: options.config_drive.unwrap_or(manifest.config_drive),
        user_data: options
            .user_data
            .clone()
            .or_else(|| manifest.user_data.clone()),
        metadata,
        tags: manifest.tags.clone(),
        // One that Nova made from the name is made from the name again, whichever that is.
        hostname: (manifest.hostname.clone()).filter(|host| *host != host_name_of(&manifest.name)),
        disk_config: (manifest.disk_config.clone()).filter(|config| config == "AUTO"),
    }
}

/// What Nova makes of a name (`sanitize_hostname` of Zed and 2026.1).
fn host_name_of(name: &str) -> String {
    let dashed = name.to_lowercase().replace([' ', '_'], "-");
    let kept = dashed
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c));
    kept.collect::<String>().trim_matches(['-', '.']).to_owned()
}

/// Gives what was made under our names the names of the originals, and the instance the state that it had.
fn finish(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
    groups: &[SecurityGroupId],
    ports: &[(usize, &Effect)],
    volumes: &[&Effect],
    server: &Effect,
) -> Step<()> {
    let manifest = &input.manifest;
    let tags = Request::ApplyServerTags {
        server: ServerId::new(server.id()),
        tags: manifest.tags.clone(),
    };
    let mut wishes = vec![decision.wish("server-tags", tags, Disposal::Keep)];
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
        wishes.push(decision.wish("server-volumes", request, Disposal::Keep));
    }
    let every_port = manifest.every_port();
    for (index, port) in ports.iter().copied() {
        let facts = every_port[index];
        let request = Request::ApplyPortName {
            port: PortId::new(port.id()),
            name: facts.name.clone(),
        };
        wishes.push(decision.wish(format!("port-{index}-name"), request, Disposal::Keep));
        if layout.ports[index].kept.bare {
            wishes.push(port_setting(decision, index, port, PortSetting::NoAddress));
        }
        // Nova refuses a server whose port has another DNS name than its own (`PortNotUsableDNS`).
        let set = &facts.settings;
        if !set.dns_name.is_empty() {
            let setting = PortSetting::DnsName(set.dns_name.clone());
            wishes.push(port_setting(decision, index, port, setting));
        }
        if !set.dns_domain.is_empty() {
            let setting = PortSetting::DnsDomain(set.dns_domain.clone());
            wishes.push(port_setting(decision, index, port, setting));
        }
    }
    wishes.extend(trunks::names(decision, manifest));
    for (index, group) in layout.groups.iter().enumerate() {
        if let GroupLayout::Make { name } = group {
            let request = Request::ApplySecurityGroupName {
                group: groups[index].clone(),
                name: name.clone(),
            };
            wishes.push(decision.wish(format!("group-{index}-name"), request, Disposal::Keep));
        }
    }
    decision.all_that_can(wishes)?;
    if stops(input) {
        let stop = server_setting(decision, server, ServerSetting::Stopped);
        decision.all_that_can(vec![stop])?;
        // One that could not be switched off keeps its ports off: they may have the address of its twin.
        let runs = decision
            .effect(&server_key(&ServerSetting::Stopped))
            .is_some_and(was_refused);
        let wishes = (ports.iter().copied())
            .filter(|(index, _)| !every_port[*index].settings.down && !runs)
            .map(|(index, port)| port_setting(decision, index, port, PortSetting::Up(true)));
        let wishes = wishes.collect();
        decision.all_that_can(wishes)?;
    }
    if manifest.locked {
        // The last of all: a lock stands in the way of whatever comes after it.
        let lock = ServerSetting::Locked(manifest.locked_reason.clone());
        let lock = server_setting(decision, server, lock);
        decision.all_that_can(vec![lock])?;
    }
    Ok(())
}

fn server_setting(
    decision: &DecisionBuilder<'_>,
    server: &Effect,
    setting: ServerSetting,
) -> DesiredEffect {
    let key = server_key(&setting);
    let request = Request::ApplyServerSetting {
        server: ServerId::new(server.id()),
        setting,
    };
    decision.wish(key, request, Disposal::Keep)
}

fn server_key(setting: &ServerSetting) -> String {
    format!("set-{}", setting.attribute())
}

/// What the restoration holds by now.
fn hold(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    live: &[&Held],
    layout: Option<&Layout>,
) {
    let mut detail = RestorationDetail::default();
    let every_port = input.manifest.every_port();
    if let Some(server) = server::newest(decision) {
        detail.server = server.cloud_id.as_ref().map(ServerId::new);
        detail.server_status = server.status.clone().unwrap_or_default().to_uppercase();
    }
    let mut order_may_differ = None;
    let given = layout.and_then(|layout| {
        let given = volumes::known(decision, &input.manifest, layout)?;
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
            order_may_differ = Some(Difference::new(
                ORDER_OF_DISKS,
                "disks that are not alike may come up in another order, where the hypervisor names \
                 devices itself",
            ));
        }
    }
    // An import that was asked for may have worked whatever we heard, so it counts as a mirror.
    detail.mirrors = decision
        .effects()
        .filter(|effect| effect.request.kind() == EffectKind::Import)
        .filter_map(|effect| {
            let backup = VolumeBackupId::new(effect.request.known_id()?);
            Some(BackupAt {
                backup,
                tenant: effect.tenant.clone(),
            })
        })
        .collect();
    for (backup, project) in live {
        let tenant = Tenant {
            cloud: decision.tenant().cloud.clone(),
            project: project.clone(),
        };
        detail.mirrors.push(BackupAt {
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
    // What a donor made is the tenant's by its own row once it was taken over.
    detail.made = decision
        .effects()
        .filter(|effect| effect.disposal == Disposal::Product && effect.state != EffectState::Gone)
        .filter(|effect| effect.tenant == *decision.tenant())
        .filter_map(Effect::thing)
        .collect();
    detail.differences = layout
        .map(|layout| layout.differences.clone())
        .unwrap_or_default();
    detail.differences.extend(order_may_differ);
    for (index, wished) in layout.map_or_else(Vec::new, |layout| wishes(decision, input, layout)) {
        let facts = every_port[index];
        let lost = kept::tried(decision, index, &wished).lost;
        detail.differences.extend(lost.into_iter().map(|lost| {
            Difference::new(facts.path(index, lost.attribute), lost.why).was(lost.was)
        }));
    }
    let late = decision.is_late();
    let lacking: Vec<Difference> = decision
        .asked()
        .filter_map(|(request, effect)| lacking(&input.manifest, request, effect, late))
        .collect();
    detail.differences.extend(lacking);
    if let Some(layout) = layout {
        compare(decision, input, layout, &mut detail);
    }
    decision.hold(Detail::Restoration(Box::new(detail)));
}

/// What is wished for each port, with its place.
fn wishes(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
) -> Vec<(usize, Kept)> {
    let wished = |index| {
        (
            index,
            trunks::kept(decision, &input.manifest, layout, index),
        )
    };
    (0..layout.ports.len()).map(wished).collect()
}

/// What is lacking of something optional that was refused, or that it is too late for.
fn lacking(
    manifest: &Manifest,
    request: &Request,
    effect: Option<&Effect>,
    late: bool,
) -> Option<Difference> {
    let optional = Optional::of(request)?;
    let why = match effect.map(|effect| effect.state) {
        Some(EffectState::Failed) => {
            format!("could not be put back: {}", effect?.fault.as_ref()?)
        }
        // Whether it was asked for or not, `compare` tells that it is lacking.
        None | Some(EffectState::Requested | EffectState::Accepted)
            if matches!(optional, Optional::Look) =>
        {
            return None;
        }
        None | Some(EffectState::Requested | EffectState::Accepted) if late => {
            "could not be put back before the deadline passed".to_owned()
        }
        None
        | Some(
            EffectState::Requested
            | EffectState::Accepted
            | EffectState::Done
            | EffectState::Dropping
            | EffectState::Leaving
            | EffectState::Gone,
        ) => return None,
    };
    let key = effect.map_or("", |effect| effect.key.as_str());
    let place: Option<usize> = key.split('-').nth(1).and_then(|part| part.parse().ok());
    let volume = || place.and_then(|place| manifest.volumes.get(place));
    let group = || place.and_then(|place| manifest.security_groups.get(place));
    let every_port = manifest.every_port();
    let port = || place.and_then(|place| Some((place, *every_port.get(place)?)));
    let words;
    let (attribute, was) = match optional {
        Optional::KeyPair(name) => ("key pair".to_owned(), name),
        Optional::Volume => {
            let path = volume().map(|volume| volume.path("properties"));
            (path.unwrap_or_else(|| "volume properties".to_owned()), "")
        }
        Optional::GroupName => {
            let path = group().map(|group| format!("security group {} name", group.name));
            (path.unwrap_or_else(|| "security group name".to_owned()), "")
        }
        Optional::Port(attribute) => {
            let path = port().map(|(place, port)| port.path(place, attribute));
            (path.unwrap_or_else(|| format!("port {attribute}")), "")
        }
        Optional::Trunk => {
            let path = port().map(|(place, port)| port.path(place, "trunk"));
            words = port()
                .and_then(|(_, port)| port.trunk.as_ref())
                .map_or_else(String::new, TrunkFacts::words);
            (path.unwrap_or_else(|| "trunk".to_owned()), words.as_str())
        }
        Optional::Server(attribute) => (attribute.to_owned(), ""),
        Optional::Look => (COMPARISON.to_owned(), ""),
    };
    Some(Difference::new(attribute, why).was(was))
}

/// What the look at the instance brought to light.
fn compare(
    decision: &DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
    detail: &mut RestorationDetail,
) {
    let look = decision
        .effect(COMPARED)
        .and_then(|look| look.fact.as_ref());
    let Some(Fact::Instance(is)) = look else {
        if decision.is_late() && detail.server.is_some() {
            let why = "was not made before the deadline passed: more may differ than is told";
            detail.differences.push(Difference::new(COMPARISON, why));
        }
        return;
    };
    let was = &input.manifest;
    detail.server_status.clone_from(&is.status);
    let ports = wishes(decision, input, layout).into_iter();
    let ports = ports.map(|(index, wished)| {
        let made = decision.effect(&kept::tried(decision, index, &wished).key);
        PortId::new(made.map(Effect::id).unwrap_or_default())
    });
    let groups = layout.groups.iter().enumerate();
    let groups = groups.map(|(index, group)| match group {
        GroupLayout::Found(id) => id.clone(),
        GroupLayout::Make { .. } => {
            let made = decision.effect(&format!("group-{index}"));
            SecurityGroupId::new(made.map(Effect::id).unwrap_or_default())
        }
    });
    let pairs = compare::Pairs {
        volumes: &detail.volumes.clone(),
        ports: ports.collect(),
        groups: groups.collect(),
    };
    let found = compare::differences(was, is, &pairs, &input.options);
    let came_back = compare::came_back(was, is);
    detail.differences.retain(|one| !came_back.contains(one));
    if !found.iter().any(|one| one.attribute.ends_with(" device")) {
        // It might have been; now it is seen that it is not.
        detail
            .differences
            .retain(|one| one.attribute != ORDER_OF_DISKS);
    }
    compare::merge(&mut detail.differences, found);
}
