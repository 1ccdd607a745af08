//! DR backups as a store keeps them, made without a cloud: for what is about rows and not about clouds.

use std::{sync::Arc, time::Duration};

use drbackup::{
    domain::{
        capture::Capture,
        decision::{Detail, Ending, Report},
        effect::{Disposal, Effect, EffectState, Make, Request},
        head::Head,
        id::{
            CloudName, EffectKey, FlavorId, NetworkId, OperationId, PointId, PointKind, ProjectId,
            ResourceId, SecurityGroupId, ServerId, SubnetId, Tenant, VolumeBackupId, VolumeId,
        },
        keeping::Keeping,
        lifecycle::State,
        manifest::{
            FixedAddress, FlavorShape, KeyFacts, Manifest, PortFacts, PortSettings, Properties,
            SecurityGroupFacts, SecurityGroupRule, VolumeFacts,
        },
        operation::{Ask, Operation},
        point::{Content, Point, PointDetail},
        progress::{Progress, VolumeProgress},
        record::BackupRecord,
        time::Timestamp,
        user_data::UserData,
        verification::Verification,
        volume_backup::VolumeBackup,
    },
    port::{
        clock::Clock,
        journal::{ResourceUpdate, Turn},
        store::{Asked, Store},
    },
    store::{
        self,
        seal::{SealKey, Sealer},
    },
};
use uuid::Uuid;

/// Volumes of each.
const VOLUMES: usize = 3;

/// A request of nobody.
pub(crate) fn asked() -> Asked {
    Asked::internally("bench", "CreateDRBackup")
}

/// The clock of the machine.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(chrono::Utc::now().timestamp_micros())
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Opens a store; with `FLEET_SEAL` one that seals.
pub(crate) async fn open(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let mut config = store::Config::new(url, Arc::new(SystemClock));
    if std::env::var_os("FLEET_SEAL").is_some() {
        let key = SealKey::parse(&"07".repeat(32)).map_err(anyhow::Error::msg)?;
        config.sealer = Arc::new(Sealer::new(vec![key]));
    }
    Ok(store::open(config).await?)
}

/// A project that needs no cloud.
pub(crate) fn tenant(number: usize) -> Tenant {
    Tenant {
        cloud: CloudName::new("nowhere"),
        project: ProjectId::new(format!("project-{number:04}")),
    }
}

/// A DR backup that was just asked for, with its operation.
pub(crate) fn scheduled(tenant: &Tenant, number: usize) -> (Point, Operation) {
    let now = SystemClock.now();
    let id = PointId::dr(Uuid::now_v7());
    let server = ServerId::new(Uuid::now_v7().to_string());
    let backup = Point {
        id,
        name: format!("backup-{number:06}"),
        description: "nightly".to_owned(),
        tenant: tenant.clone(),
        server: server.clone(),
        instance_name: format!("instance-{number:06}"),
        capture: Some(Capture::Snapshot),
        keeping: Keeping::default(),
        head: Head::scheduled(now),
        detail: PointDetail::none(PointKind::Dr),
        verification: Verification::default(),
    };
    let operation = Operation {
        id: OperationId(Uuid::now_v7()),
        resource: ResourceId::Point(id),
        tenant: tenant.clone(),
        ask: Ask::CreateDrBackup {
            server,
            capture: Capture::Snapshot,
            description: "nightly".to_owned(),
            incremental: false,
            minimum: None,
        },
        resource_state: State::CreationScheduled,
        created: now,
        deadline: Timestamp(now.0 + 86_400_000_000),
        deadline_fixed: false,
        per_gib: Duration::from_secs(60),
        cancelled: None,
        cancel_keeps_volumes: false,
        idle: Duration::ZERO,
        attended: SystemClock.now(),
    };
    (backup, operation)
}

/// A row of the ledger that was just written.
pub(crate) fn effect(operation: &Operation, ordinal: u32) -> Effect {
    let key = EffectKey::new(format!("volume-{ordinal}-backup"));
    Effect {
        name: operation.name_of(&key),
        key,
        ordinal,
        tenant: operation.tenant.clone(),
        request: Request::Make(Make::VolumeBackup {
            volume: VolumeId::new(Uuid::now_v7().to_string()),
            snapshot: None,
            description: "nightly".to_owned(),
            incremental: false,
        }),
        disposal: Disposal::Product,
        state: EffectState::Requested,
        cloud_id: None,
        status: None,
        held: None,
        fact: None,
        fault: None,
        attempt: 1,
        changed: SystemClock.now(),
    }
}

/// A turn that tells of a change of one effect, as one that people see.
pub(crate) fn turn(operation: &Operation, effects: Vec<Effect>, step: u32) -> Turn {
    let report = Report {
        runtime_state: format!("Creating volume backups, {step} of 1000"),
        progress: progress(step),
        detail: None,
        verification: None,
    };
    Turn {
        operation: operation.id,
        resource: operation.resource,
        effects,
        update: Some(ResourceUpdate {
            state: State::Creating,
            report,
            detail_changed: false,
            time: SystemClock.now(),
        }),
        idle: None,
        ending: Ending::Open,
    }
}

/// The last turn of a DR backup, which is whole from then on.
pub(crate) fn end(operation: &Operation, server: &ServerId) -> Turn {
    let detail = detail(&operation.tenant, server);
    let mut turn = turn(operation, Vec::new(), 12);
    turn.ending = Ending::Done;
    if let Some(update) = &mut turn.update {
        update.state = State::Ok;
        "Available".clone_into(&mut update.report.runtime_state);
        update.report.detail = Some(Detail::Point(Box::new(detail)));
        update.detail_changed = true;
    }
    turn
}

fn progress(step: u32) -> Progress {
    let volumes = (0..VOLUMES).map(|number| VolumeProgress {
        volume: VolumeId::new(format!("e2c6d2f2-6f0f-4e1c-9b61-00000000000{number}")),
        name: format!("data-{number}"),
        size_gib: 10,
        status: "creating".to_owned(),
        done: false,
        failed: false,
    });
    Progress {
        phase: "Creating volume backups".to_owned(),
        effects_done: step,
        effects_total: 12,
        volumes: volumes.collect(),
        waiting: None,
        stalled: None,
        started: Some(SystemClock.now()),
        changed: Some(SystemClock.now()),
    }
}

/// What a DR backup of an ordinary instance holds.
pub(crate) fn detail(tenant: &Tenant, server: &ServerId) -> PointDetail {
    let volumes: Vec<VolumeFacts> = (0..VOLUMES).map(volume).collect();
    let backups = volumes.iter().map(|volume| VolumeBackup {
        id: VolumeBackupId::new(Uuid::now_v7().to_string()),
        volume: volume.id.clone(),
        tenant: tenant.clone(),
        size_gib: volume.size_gib,
        incremental: false,
        parent: None,
        status: "available".to_owned(),
        data_timestamp: Some(SystemClock.now()),
        record: Some(BackupRecord {
            service: "cinder.backup.drivers.nfs.NFSBackupDriver".to_owned(),
            url: "eyJiYWNrdXBfaWQiOiAi".repeat(60),
        }),
        inherited: false,
    });
    PointDetail {
        content: Content::Dr(backups.collect()),
        manifest: Some(Box::new(manifest(tenant, server, volumes))),
        consistency: None,
        capture_duration: None,
    }
}

fn volume(number: usize) -> VolumeFacts {
    VolumeFacts {
        id: VolumeId::new(Uuid::now_v7().to_string()),
        name: format!("data-{number}"),
        description: "a volume of an instance".to_owned(),
        size_gib: 10,
        volume_type: Some("standard".to_owned()),
        availability_zone: Some("nova".to_owned()),
        bootable: number == 0,
        device: Some(format!("/dev/vd{}", ["a", "b", "c"][number % VOLUMES])),
        boot_index: (number == 0).then_some(0),
        encrypted: false,
        multiattach: false,
        delete_on_termination: false,
        tag: None,
        metadata: properties(),
        image_metadata: properties(),
        from_image: false,
        status: Some("in-use".to_owned()),
    }
}

fn properties() -> Properties {
    ["tier", "owner", "hw_disk_bus"]
        .into_iter()
        .map(|key| (key.to_owned(), "a value of some length".to_owned()))
        .collect()
}

fn manifest(tenant: &Tenant, server: &ServerId, volumes: Vec<VolumeFacts>) -> Manifest {
    let group = SecurityGroupId::new(Uuid::now_v7().to_string());
    let rules = [22, 80, 443, 5432]
        .into_iter()
        .map(|port| SecurityGroupRule {
            direction: "ingress".to_owned(),
            ethertype: "IPv4".to_owned(),
            protocol: Some("tcp".to_owned()),
            port_min: Some(port),
            port_max: Some(port),
            remote_cidr: Some("192.0.2.0/24".to_owned()),
            ..SecurityGroupRule::default()
        });
    Manifest {
        tenant: tenant.clone(),
        server: server.clone(),
        name: "an instance".to_owned(),
        description: "an ordinary instance".to_owned(),
        status: "ACTIVE".to_owned(),
        state: drbackup::domain::consistency::ServerState::default(),
        root_is_volume: true,
        volume_group: None,
        flavor: FlavorShape {
            id: Some(FlavorId::new("42")),
            name: "m1.small".to_owned(),
            cores: 2,
            ram_mib: 4096,
            disk_gib: 0,
            ephemeral_gib: 0,
            swap_mib: 0,
            properties: properties(),
        },
        image: None,
        volumes,
        ports: vec![PortFacts {
            name: "port".to_owned(),
            network: NetworkId::new(Uuid::now_v7().to_string()),
            network_name: "internal".to_owned(),
            mac: "fa:16:3e:00:00:01".to_owned(),
            fixed: vec![FixedAddress {
                subnet: SubnetId::new(Uuid::now_v7().to_string()),
                subnet_name: "internal".to_owned(),
                cidr: "10.10.0.0/16".to_owned(),
                address: "10.10.3.4".to_owned(),
            }],
            floating: Vec::new(),
            security_groups: vec![group.clone()],
            port_security: true,
            vnic_type: "normal".to_owned(),
            id: None,
            settings: PortSettings::default(),
            trunk: None,
        }],
        security_groups: vec![SecurityGroupFacts {
            id: group,
            name: "web".to_owned(),
            description: "what may reach it".to_owned(),
            stateful: true,
            rules: rules.collect(),
        }],
        key: Some(KeyFacts {
            name: "key".to_owned(),
            public_key: Some(format!("ssh-ed25519 {}", "A".repeat(68))),
            fingerprint: Some("00:11:22:33:44:55:66:77".to_owned()),
            kind: None,
        }),
        availability_zone: Some("nova".to_owned()),
        server_group: None,
        config_drive: false,
        metadata: properties(),
        tags: vec!["web".to_owned()],
        user_data: Some(UserData::new("#cloud-config\n".repeat(40))),
        locked: false,
        locked_reason: None,
        hostname: None,
        disk_config: None,
        gaps: Vec::new(),
        unrestored: Vec::new(),
    }
}

/// The server that an operation backs up.
pub(crate) fn server_of(operation: &Operation) -> ServerId {
    match &operation.ask {
        Ask::CreateDrBackup { server, .. } => server.clone(),
        Ask::UpdateDrBackup { .. }
        | Ask::DeleteDrBackup { .. }
        | Ask::CreateBackup { .. }
        | Ask::UpdateBackup { .. }
        | Ask::DeleteBackup { .. }
        | Ask::Restore(_)
        | Ask::DeleteRestoration { .. } => ServerId::new(""),
    }
}
