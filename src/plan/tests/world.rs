//! A world that answers planners at once, and operations in it to unfold; it may not know the engine.
//!
//! One file because every operation in it is about the same instance.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use uuid::Uuid;

use super::super::PatienceSettings;
use crate::domain::{
    capture::Capture,
    consistency::{ConsistencyLevel, ServerState},
    decision::{Decision, DesiredEffect, Detail, Ending},
    effect::{
        Apply, Captured, Disposal, Effect, EffectKind, EffectState, Fact, Parents, Presence, Read,
        Request,
    },
    fault::{Fault, FaultKind, Service},
    id::{
        CloudName, EffectKey, FlavorId, GroupId, NetworkId, OperationId, PointId, ProjectId,
        ResourceId, RestorationId, SecurityGroupId, ServerId, SnapshotId, SubnetId, Tenant,
        VolumeBackupId, VolumeId,
    },
    inventory::{
        AdminReach, Allowance, Flavor, Inventory, Network, Quotas, Right, Subnet, VolumeType,
    },
    ledger::Ledger,
    lifecycle::State,
    manifest::{
        FixedAddress, FlavorShape, KeyFacts, Manifest, PortFacts, PortSettings, Properties,
        SecurityGroupFacts, SecurityGroupRule, SubPortFacts, TrunkFacts, VolumeFacts,
        VolumeGroupFacts,
    },
    operation::{Ask, Operation},
    point::{Content, PointDetail},
    record::{BackupRecord, Exported},
    restoration::{RestoreOptions, RestorePlanInput},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
    volume_backup::{BackupAt, VolumeBackup},
    volume_snapshot::VolumeSnapshot,
};
/// As patient as it is shipped.
pub(super) fn plan(operation: &Operation, ledger: &Ledger, now: Timestamp) -> Decision {
    super::super::plan(&PatienceSettings::default(), operation, ledger, now)
}

pub(super) fn tenant(cloud: &str, project: &str) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new(project),
    }
}

pub(super) fn flavor_shape(name: &str, cores: u64, ram_mib: u64) -> FlavorShape {
    FlavorShape {
        id: None,
        name: name.to_owned(),
        cores,
        ram_mib,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        properties: Properties::new(),
    }
}

pub(in crate::plan) fn manifest(volumes: usize) -> Manifest {
    let group = SecurityGroupId::new("source-group");
    let volume = |index: usize| VolumeFacts {
        id: VolumeId::new(format!("source-volume-{index}")),
        name: format!("disk {index}"),
        description: String::new(),
        size_gib: 1 + index as u64,
        volume_type: Some("fast".to_owned()),
        availability_zone: None,
        bootable: index == 0,
        device: Some(format!(
            "/dev/vd{}",
            char::from(b'a' + u8::try_from(index).unwrap())
        )),
        boot_index: (index == 0).then_some(0),
        encrypted: false,
        multiattach: false,
        delete_on_termination: false,
        tag: None,
        metadata: Properties::new(),
        image_metadata: Properties::new(),
        from_image: false,
        status: None,
    };
    Manifest {
        tenant: tenant("source", "demo"),
        server: ServerId::new("source-server"),
        name: "web".to_owned(),
        description: String::new(),
        status: "ACTIVE".to_owned(),
        state: ServerState::default(),
        root_is_volume: true,
        flavor: flavor_shape("m1.tiny", 1, 512),
        image: None,
        volumes: (0..volumes).map(volume).collect(),
        volume_group: None,
        ports: vec![PortFacts {
            name: String::new(),
            network: NetworkId::new("source-network"),
            network_name: "inside".to_owned(),
            mac: "fa:16:3e:00:00:01".to_owned(),
            fixed: vec![FixedAddress {
                subnet: SubnetId::new("source-subnet"),
                subnet_name: "inside".to_owned(),
                cidr: "10.0.0.0/24".to_owned(),
                address: "10.0.0.7".to_owned(),
            }],
            floating: Vec::new(),
            security_groups: vec![group.clone()],
            port_security: true,
            vnic_type: "normal".to_owned(),
            id: None,
            settings: PortSettings::default(),
            trunk: Some(TrunkFacts {
                name: "lanes".to_owned(),
                sub_ports: vec![sub_port(101, &group), sub_port(102, &group)],
                ..TrunkFacts::default()
            }),
        }],
        security_groups: vec![SecurityGroupFacts {
            id: group.clone(),
            name: "web".to_owned(),
            description: String::new(),
            stateful: true,
            rules: vec![SecurityGroupRule {
                direction: "ingress".to_owned(),
                ethertype: "IPv4".to_owned(),
                protocol: Some("tcp".to_owned()),
                port_min: Some(22),
                port_max: Some(22),
                remote_group: Some(group),
                ..SecurityGroupRule::default()
            }],
        }],
        key: Some(KeyFacts {
            name: "ops".to_owned(),
            public_key: Some("ssh-ed25519 AAAA".to_owned()),
            fingerprint: Some("aa:bb".to_owned()),
            kind: None,
        }),
        availability_zone: None,
        server_group: None,
        config_drive: false,
        metadata: Properties::new(),
        tags: vec!["blue".to_owned()],
        user_data: None,
        locked: false,
        locked_reason: None,
        hostname: None,
        disk_config: None,
        gaps: Vec::new(),
        unrestored: Vec::new(),
    }
}

/// The instance of this id: some are made to be captured in a better way.
fn manifest_of(server: &ServerId, volumes: usize) -> Manifest {
    let mut manifest = manifest(volumes);
    manifest.server = server.clone();
    match server.as_str() {
        "quiesced-server" => {
            for key in ["hw_qemu_guest_agent", "os_require_quiesce"] {
                let root = &mut manifest.volumes[0];
                root.image_metadata.insert(key.to_owned(), "yes".to_owned());
            }
        }
        "grouped-server" => {
            manifest.volume_group = Some(VolumeGroupFacts {
                id: GroupId::new("group"),
                consistent: Some(true),
            });
        }
        // The world's number of volumes is that of all disks.
        "image-server" => {
            manifest.root_is_volume = false;
            manifest.volumes.remove(0);
            manifest.flavor.disk_gib = 3;
        }
        _ => {}
    }
    manifest
}

/// The same operation on another instance, and with a wish for how well its volumes agree.
pub(super) fn of_server(
    mut operation: Operation,
    name: &str,
    least: Option<ConsistencyLevel>,
) -> Operation {
    if let Ask::CreateDrBackup {
        server, minimum, ..
    }
    | Ask::CreateBackup {
        server, minimum, ..
    } = &mut operation.ask
    {
        *server = ServerId::new(name);
        *minimum = least;
    }
    operation
}

/// A sub port of the trunk of the instance.
fn sub_port(vlan: u32, group: &SecurityGroupId) -> SubPortFacts {
    SubPortFacts {
        segmentation_type: "vlan".to_owned(),
        segmentation_id: vlan,
        port: PortFacts {
            name: format!("lane-{vlan}"),
            network: NetworkId::new(format!("source-network-{vlan}")),
            network_name: "inside".to_owned(),
            mac: format!("fa:16:3e:00:01:{}", vlan - 100),
            fixed: vec![FixedAddress {
                subnet: SubnetId::new("source-subnet"),
                subnet_name: "inside".to_owned(),
                cidr: "10.0.0.0/24".to_owned(),
                address: format!("10.0.0.{vlan}"),
            }],
            floating: Vec::new(),
            security_groups: vec![group.clone()],
            port_security: true,
            vnic_type: "normal".to_owned(),
            id: None,
            settings: PortSettings::default(),
            trunk: None,
        },
    }
}

pub(super) fn inventory() -> Inventory {
    Inventory {
        flavors: vec![Flavor {
            id: FlavorId::new("1"),
            shape: flavor_shape("m1.tiny", 1, 512),
        }],
        networks: vec![Network {
            id: NetworkId::new("target-network"),
            name: "inside".to_owned(),
            owned: true,
            shared: false,
            external: false,
            subnets: vec![Subnet {
                id: SubnetId::new("target-subnet"),
                name: "inside".to_owned(),
                cidr: "10.0.0.0/24".to_owned(),
                ip_version: 4,
                address_mode: None,
            }],
        }],
        volume_types: vec![VolumeType {
            id: "t".to_owned(),
            name: "fast".to_owned(),
            is_default: true,
            is_public: true,
        }],
        security_groups: Vec::new(),
        key_pairs: Vec::new(),
        compute_zones: vec!["nova".to_owned()],
        volume_zones: vec!["nova".to_owned()],
        quotas: Quotas::default(),
        admin: AdminReach::Tenant,
        importer: None,
        without_trunks: false,
        uplink_status: None,
    }
}

pub(super) fn volume_backups(manifest: &Manifest) -> Vec<VolumeBackup> {
    chains(manifest, &[0])
}

/// Volume backups in chains: `lengths` says, over and over, on how many older links each is built.
pub(super) fn chains(manifest: &Manifest, lengths: &[usize]) -> Vec<VolumeBackup> {
    let id = |index: usize, depth: usize| {
        VolumeBackupId::new(match depth {
            0 => format!("backup-{index}"),
            depth => format!("backup-{index}-under-{depth}"),
        })
    };
    let volumes = manifest.volumes.iter().zip(lengths.iter().cycle());
    let links = volumes.enumerate().flat_map(|(index, (volume, length))| {
        (0..=*length).map(move |depth| VolumeBackup {
            id: id(index, depth),
            volume: volume.id.clone(),
            tenant: manifest.tenant.clone(),
            size_gib: volume.size_gib,
            incremental: depth < *length,
            parent: (depth < *length).then(|| id(index, depth + 1)),
            status: "available".to_owned(),
            data_timestamp: None,
            record: Some(BackupRecord {
                service: "posix".to_owned(),
                url: "e30=".to_owned(),
            }),
            inherited: depth > 0,
        })
    });
    links.collect()
}

pub(super) fn operation(resource: ResourceId, tenant: Tenant, ask: Ask, state: State) -> Operation {
    Operation {
        id: OperationId(Uuid::from_u128(7)),
        resource,
        tenant,
        ask,
        resource_state: state,
        created: Timestamp(0),
        deadline: Timestamp(i64::MAX),
        deadline_fixed: false,
        per_gib: Duration::from_secs(60),
        cancelled: None,
        cancel_keeps_volumes: false,
        idle: Duration::ZERO,
        attended: Timestamp(0),
    }
}

pub(super) fn create(capture: Capture) -> Operation {
    let ask = Ask::CreateDrBackup {
        server: ServerId::new("source-server"),
        capture,
        description: "nightly".to_owned(),
        incremental: false,
        minimum: None,
    };
    let resource = ResourceId::Point(PointId::dr(Uuid::from_u128(1)));
    operation(resource, tenant("source", "demo"), ask, State::Creating)
}

pub(super) fn increment(capture: Capture) -> Operation {
    let mut operation = create(capture);
    if let Ask::CreateDrBackup { incremental, .. } = &mut operation.ask {
        *incremental = true;
    }
    operation
}

pub(super) fn restore(volumes: usize, wish: RestoreOptions) -> Operation {
    let manifest = manifest(volumes);
    let volume_backups = volume_backups(&manifest);
    let ask = Ask::Restore(Box::new(RestorePlanInput {
        manifest,
        volume_backups,
        snapshots: Vec::new(),
        mirrors: Vec::new(),
        options: wish,
    }));
    let resource = ResourceId::Restoration(RestorationId(Uuid::from_u128(2)));
    operation(resource, tenant("dr", "demo"), ask, State::Creating)
}

pub(super) fn backup_detail(volumes: usize) -> PointDetail {
    let manifest = manifest(volumes);
    let facts = manifest.volumes.iter().enumerate();
    let snapshots = facts.map(|(index, volume)| VolumeSnapshot {
        id: SnapshotId::new(format!("snapshot-{index}")),
        volume: volume.id.clone(),
        size_gib: volume.size_gib,
        status: "available".to_owned(),
        created: None,
    });
    let snapshots = snapshots.collect();
    PointDetail {
        manifest: Some(Box::new(manifest)),
        ..PointDetail::of(Content::Regular(snapshots))
    }
}

pub(super) fn create_regular() -> Operation {
    let ask = Ask::CreateBackup {
        server: ServerId::new("source-server"),
        description: "hourly".to_owned(),
        minimum: None,
    };
    operation(REGULAR, tenant("source", "demo"), ask, State::Creating)
}

/// A restoration from snapshots, in their tenant.
pub(super) fn restore_regular(volumes: usize, wish: RestoreOptions) -> Operation {
    let ask = Ask::Restore(Box::new(RestorePlanInput {
        manifest: manifest(volumes),
        volume_backups: Vec::new(),
        snapshots: backup_detail(volumes).snapshots().to_vec(),
        mirrors: Vec::new(),
        options: wish,
    }));
    let resource = ResourceId::Restoration(RestorationId(Uuid::from_u128(2)));
    operation(resource, tenant("source", "demo"), ask, State::Creating)
}

const REGULAR: ResourceId = ResourceId::Point(PointId::regular(Uuid::from_u128(3)));

/// A restoration out of chains of different lengths.
pub(super) fn restore_chains(volumes: usize) -> Operation {
    let mut operation = restore(volumes, RestoreOptions::default());
    if let Ask::Restore(input) = &mut operation.ask {
        input.volume_backups = chains(&input.manifest, &[2, 0, 1]);
    }
    operation
}

/// A restoration into another project of the cloud of the backups, where no admin reaches.
pub(super) fn restore_next_door(volumes: usize) -> Operation {
    Operation {
        tenant: tenant("source", "second"),
        ..restore(volumes, RestoreOptions::default())
    }
}

/// Every planner with what it is asked; a planner that is not here is not swept, so the match in
/// [`plan`] and this list have to grow together.
pub(super) fn registry(volumes: usize) -> Vec<Operation> {
    let mirror = |cloud: &str| -> Vec<BackupAt> {
        (0..volumes)
            .map(|index| BackupAt {
                backup: VolumeBackupId::new(format!("backup-{index}")),
                tenant: tenant(cloud, "demo"),
            })
            .collect()
    };
    let resource = ResourceId::Point(PointId::dr(Uuid::from_u128(1)));
    let home = tenant("source", "demo");
    let update = Ask::UpdateDrBackup {
        description: "new".to_owned(),
        backups: mirror("source"),
    };
    let delete = Ask::DeleteDrBackup {
        backups: mirror("source"),
        mirrors: mirror("dr"),
        leftovers: Vec::new(),
        missing: Vec::new(),
    };
    let things = [
        ThingKind::Volume,
        ThingKind::Port,
        ThingKind::Trunk,
        ThingKind::Server,
    ];
    let things = things
        .map(|kind| Thing {
            kind,
            id: format!("{kind:?}"),
        })
        .to_vec();
    let restoration = ResourceId::Restoration(RestorationId(Uuid::from_u128(2)));
    let remove = Ask::DeleteRestoration {
        things,
        missing: Vec::new(),
    };
    let detail = backup_detail(volumes);
    let snapshots = detail.snapshots().iter();
    let describe = Ask::UpdateBackup {
        description: "new".to_owned(),
        snapshots: snapshots.map(|one| one.id.clone()).collect(),
    };
    let discard = Ask::DeleteBackup {
        detail: Box::new(detail),
        leftovers: Vec::new(),
        missing: Vec::new(),
    };
    vec![
        create_regular(),
        of_server(create_regular(), "quiesced-server", None),
        of_server(create(Capture::Snapshot), "quiesced-server", None),
        of_server(
            create(Capture::SnapshotThenCopy),
            "quiesced-server",
            Some(ConsistencyLevel::Quiesced),
        ),
        of_server(create(Capture::Snapshot), "grouped-server", None),
        of_server(create(Capture::Snapshot), "image-server", None),
        of_server(create(Capture::VolumeInUse), "image-server", None),
        of_server(increment(Capture::SnapshotThenCopy), "image-server", None),
        restore_regular(volumes, RestoreOptions::default()),
        operation(REGULAR, home.clone(), describe, State::Updating),
        operation(REGULAR, home.clone(), discard, State::Deleting),
        create(Capture::Snapshot),
        create(Capture::VolumeInUse),
        create(Capture::SnapshotThenCopy),
        increment(Capture::Snapshot),
        increment(Capture::VolumeInUse),
        increment(Capture::SnapshotThenCopy),
        restore(volumes, RestoreOptions::default()),
        restore(
            volumes,
            RestoreOptions {
                keep_fixed_addresses: true,
                ..RestoreOptions::default()
            },
        ),
        restore_chains(volumes),
        restore_next_door(volumes),
        operation(resource, home.clone(), update, State::Updating),
        operation(resource, home, delete, State::Deleting),
        operation(restoration, tenant("dr", "demo"), remove, State::Deleting),
    ]
}

/// Answers a request as a cloud would that has all the time in the world.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else is watched is seen"
)]
pub(super) fn answer(effect: &mut Effect, volumes: usize) {
    let id = match effect.request.kind() {
        EffectKind::Make(_) => match effect.request.known_id() {
            Some(id) => id.to_owned(),
            None => format!("made-{}", effect.key),
        },
        EffectKind::Import | EffectKind::RestoreInto | EffectKind::Drop(_) => {
            effect.request.known_id().unwrap_or_default().to_owned()
        }
        EffectKind::Apply | EffectKind::Read => String::new(),
    };
    effect.cloud_id = (!id.is_empty()).then_some(id.clone());
    effect.state = EffectState::Done;
    effect.fact = match &effect.request {
        Request::Read(Read::Instance { server }) => {
            Some(Fact::Instance(Box::new(manifest_of(server, volumes))))
        }
        Request::Read(Read::Captured { thing, .. }) => Some(Fact::Captured(Captured {
            quiesced: thing.kind == ThingKind::Image,
            snapshots: manifest(volumes)
                .volumes
                .iter()
                .map(|volume| captured(&volume.id))
                .collect(),
        })),
        Request::Read(Read::ServerState { server }) => Some(Fact::Server(Box::new(ServerState {
            volumes: manifest_of(server, volumes)
                .volumes
                .into_iter()
                .map(|one| one.id)
                .collect(),
            ..ServerState::default()
        }))),
        Request::Read(Read::Parents { volumes }) => Some(Fact::Parents(Parents {
            newest: volumes.iter().map(parent_of).collect(),
        })),
        Request::Read(Read::Record { backup }) => Some(Fact::Record(exported(backup))),
        Request::Read(Read::Allowance { .. }) => Some(Fact::Allowance(Box::new(Allowance {
            quotas: Quotas::default(),
            export: Right::Granted,
        }))),
        Request::Read(Read::Inventory) => Some(Fact::Inventory(Box::new(Inventory {
            // There is an admin in one of the clouds only.
            admin: if effect.tenant.cloud.as_str() == "dr" {
                AdminReach::Tenant
            } else {
                AdminReach::None
            },
            ..inventory()
        }))),
        // Whatever project is named holds everything.
        Request::Read(Read::Presence { backups, projects }) => Some(Fact::Presence(Presence {
            live: backups
                .iter()
                .cloned()
                .zip(projects.iter().cycle().cloned())
                .collect(),
            failed_imports: Vec::new(),
            pending_imports: Vec::new(),
            import: Right::Granted,
        })),
        request => request.watched().map(|kind| {
            Fact::Seen(Box::new(Sighting {
                thing: Thing { kind, id },
                name: effect.name.clone(),
                tags: Vec::new(),
                status: "available".to_owned(),
                message: None,
                created: Some(Timestamp(1_000_000 * i64::from(effect.ordinal))),
                size_gib: None,
                incremental: false,
                data_timestamp: None,
                volume: None,
            }))
        }),
    };
}

/// The snapshot of a volume that came with others.
fn captured(volume: &VolumeId) -> Sighting {
    Sighting {
        thing: Thing {
            kind: ThingKind::Snapshot,
            id: format!("captured-{volume}"),
        },
        created: Some(Timestamp(3)),
        ..parent_of(volume)
    }
}

/// What an increment of a volume builds on.
pub(super) fn parent_of(volume: &VolumeId) -> Sighting {
    Sighting {
        thing: Thing {
            kind: ThingKind::VolumeBackup,
            id: format!("before-{volume}"),
        },
        name: String::new(),
        tags: Vec::new(),
        status: "available".to_owned(),
        message: None,
        created: Some(Timestamp(0)),
        size_gib: None,
        incremental: false,
        data_timestamp: Some(Timestamp(0)),
        volume: Some(volume.clone()),
    }
}

/// The record of a volume backup: under an increment there is another one, and under that a full one.
fn exported(backup: &VolumeBackupId) -> Exported {
    let id = backup.as_str();
    let parent = match id.split_once("-of-") {
        None if id.ends_with("-increment") => Some(format!("second-of-{id}")),
        Some(("second", head)) => Some(format!("first-of-{head}")),
        None | Some(_) => None,
    };
    Exported {
        record: BackupRecord {
            service: "posix".to_owned(),
            url: "e30=".to_owned(),
        },
        parent: parent.map(VolumeBackupId::new),
        size_gib: Some(1),
        data_timestamp: Some(Timestamp(0)),
    }
}

/// The row of a wish as the engine writes it before its request leaves.
pub(super) fn row(operation: &Operation, wish: DesiredEffect, ordinal: u32) -> Effect {
    Effect {
        name: operation.name_of(&wish.key),
        key: wish.key,
        ordinal,
        tenant: wish.tenant,
        request: wish.request,
        disposal: wish.disposal,
        state: EffectState::Requested,
        cloud_id: None,
        status: None,
        fact: None,
        fault: None,
        held: None,
        attempt: 1,
        changed: Timestamp(1),
    }
}

/// What one unfolding did, for a person to read.
#[derive(Default)]
pub(super) struct Story {
    pub(super) text: String,
    /// Every effect in the order in which it was wished for.
    pub(super) wished: Vec<(EffectKey, Request, Disposal)>,
    pub(super) dropped: BTreeSet<EffectKey>,
    pub(super) ending: Ending,
    pub(super) detail: Option<Detail>,
    pub(super) ledger: Ledger,
}

/// A tenant for a person to read: the project only where it is not the usual one.
pub(super) fn place(tenant: &Tenant) -> String {
    match tenant.project.as_str() {
        "demo" => tenant.cloud.to_string(),
        _ => tenant.to_string(),
    }
}

/// The time after a decision: that for which it waits, where it does nothing else. What it asks for again is
/// refused again, until its deadline has passed.
pub(super) fn waited(
    decision: &Decision,
    operation: &mut Operation,
    ledger: &mut Ledger,
    now: Timestamp,
) -> Timestamp {
    const DAY: Timestamp = Timestamp(24 * 60 * 60 * 1_000_000);
    if now >= DAY {
        operation.deadline = DAY;
        operation.deadline_fixed = true;
    }
    for key in &decision.retries {
        let mut effect = ledger.get(key).expect("a row").clone();
        effect.attempt += 1;
        effect.changed = now;
        ledger.put(effect);
    }
    let waits = decision.wishes.is_empty() && decision.drops.is_empty();
    match decision.again.filter(|_| waits) {
        Some(again) => again.max(Timestamp(now.0 + 1)),
        None => now,
    }
}

/// Unfolds an operation; the effect at `fails` fails for good instead of getting done. Where there is nothing to
/// do but to wait, the time comes for which it is waited.
pub(super) fn unfold(
    mut operation: Operation,
    volumes: usize,
    fails: Option<usize>,
    cancel: bool,
) -> Story {
    let mut story = Story::default();
    let mut phase = String::new();
    let mut now = Timestamp(1);
    for _ in 0..2000 {
        let decision = plan(&operation, &story.ledger, now);
        now = waited(&decision, &mut operation, &mut story.ledger, now);
        if decision.report.progress.phase != phase {
            phase.clone_from(&decision.report.progress.phase);
            writeln!(story.text, "{phase}").unwrap();
        }
        story.detail = decision.report.detail.clone();
        for wish in decision.wishes {
            let ordinal = story.ledger.next_ordinal();
            let mut effect = row(&operation, wish, ordinal);
            writeln!(
                story.text,
                "    {:?} {} in {}",
                effect.disposal,
                effect.key,
                place(&effect.tenant)
            )
            .unwrap();
            story
                .wished
                .push((effect.key.clone(), effect.request.clone(), effect.disposal));
            if fails == Some(story.wished.len() - 1) {
                if cancel {
                    operation.cancelled = Some(Timestamp(1));
                    // Whatever belongs to the clean-up goes on.
                    if matches!(effect.request, Request::Apply(Apply::SnapshotsGone { .. })) {
                        answer(&mut effect, volumes);
                    }
                } else {
                    effect.state = EffectState::Failed;
                    effect.fault = Some(Fault::new(
                        FaultKind::Invalid,
                        Service::BlockStorage,
                        "x",
                        "no",
                    ));
                }
            } else {
                answer(&mut effect, volumes);
            }
            story.ledger.put(effect);
        }
        for key in decision.drops {
            let mut effect = story.ledger.get(&key).unwrap().clone();
            effect.state = EffectState::Gone;
            writeln!(story.text, "    drop {key}").unwrap();
            story.dropped.insert(key);
            story.ledger.put(effect);
        }
        if decision.ending != Ending::Open {
            story.ending = decision.ending;
            return story;
        }
    }
    panic!("no end:\n{}", story.text);
}
