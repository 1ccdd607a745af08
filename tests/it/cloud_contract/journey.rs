//! The long claims: an instance on its way from one cloud to the other; this file may not know which
//! clouds these are.

use drbackup::{
    domain::{
        effect::{
            Apply, Disk, Fact, Make, NewPort, Parents, Presence, Read, Request, ServerPlan,
            VolumeSettings,
        },
        fault::FaultKind,
        id::{
            FlavorId, NetworkId, PortId, ProjectId, SecurityGroupId, ServerId, SnapshotId, Tenant,
            VolumeBackupId, VolumeId,
        },
        manifest::{Manifest, Properties},
        record::BackupRecord,
        sighting::{Thing, ThingKind},
        user_data::UserData,
    },
    openstack::settings::OpenStackSettings,
    port::cloud::{Answer, Cloud},
};

use super::{
    Stage,
    claims::{kind_of, make, perform, properties, ready, remove, volume_of},
    ground::{PUBLIC_KEY, text},
    until,
};

/// The whole way of an instance, with what is asked twice on it.
pub(super) async fn instance_goes_from_one_cloud_to_the_other(stage: &Stage) {
    let (source, dr) = (stage.source_tenant(), stage.dr_tenant());
    let specimen = stage.source.specimen(&stage.mark).await;
    let server = ServerId::new(specimen.server.clone());
    let peek = stage
        .cloud
        .instance_peek(source, &server)
        .await
        .expect("the instance");
    assert_eq!(
        (peek.name.as_str(), peek.root_is_volume, peek.volumes),
        (stage.mark.as_str(), true, 2)
    );
    let listed = stage.cloud.instances_list(source).await.expect("instances");
    assert!(listed.contains(&peek), "{listed:?}");
    let manifest = read_instance(stage, source, &server).await;
    check_manifest(&manifest, &specimen);

    let chain = back_up(stage, &manifest.volumes[0].id).await;
    // Everything that a restoration does in the other cloud.
    let presence = Request::Read(Read::Presence {
        backups: chain.iter().map(|link| link.id.clone()).collect(),
        projects: Vec::new(),
    });
    let here = perform(stage, source, "", &presence).await;
    assert_eq!(live(here).len(), 2);
    assert!(live(perform(stage, dr, "", &presence).await).is_empty());
    a_failed_import_can_be_had_again(stage, dr, &chain[0], &presence).await;
    for link in &chain {
        let import = Request::Import {
            backup: link.id.clone(),
            record: link.record.clone(),
        };
        let answer = perform(stage, dr, "", &import).await;
        assert_eq!(answer.cloud_id.as_deref(), Some(link.id.as_str()));
        assert!(!answer.ready);
        ready(stage, dr, ThingKind::VolumeBackup, link.id.as_str()).await;
        let again = stage.cloud.request_perform(dr, "", &import).await;
        assert_eq!(kind_of(again), FaultKind::Conflict);
    }
    let present = live(perform(stage, dr, "", &presence).await);
    assert!(
        present.iter().all(|(_, project)| *project == dr.project),
        "{present:?}"
    );

    let root = restore(stage, dr, &chain[1].id, &dr.project).await;
    let data = make(stage, dr, &format!("{}-data", stage.mark), &volume_of(1)).await;
    ready(stage, dr, ThingKind::Volume, &data).await;
    let made = rebuild(stage, &root, &data).await;

    for (kind, id) in &made {
        remove(stage, dr, *kind, id).await;
    }
    let network = made_network(stage).await;
    stage
        .dr
        .remove("network", &format!("networks/{network}"))
        .await;
    for volume in [&root, &data] {
        remove(stage, dr, ThingKind::Volume, volume).await;
    }
    // The imported records share their bytes with the originals: those are done with, too.
    for link in chain.iter().rev() {
        remove(stage, dr, ThingKind::VolumeBackup, link.id.as_str()).await;
        remove(stage, source, ThingKind::VolumeBackup, link.id.as_str()).await;
    }
    stage.source.clear(&specimen).await;
}

async fn made_network(stage: &Stage) -> String {
    let path = format!("networks?name={}-dr", stage.mark);
    let (_, found) = stage.dr.ask("GET", "network", &path, "", None).await;
    text(&found["networks"][0]["id"])
}

async fn read_instance(stage: &Stage, tenant: &Tenant, server: &ServerId) -> Manifest {
    let request = Request::Read(Read::Instance {
        server: server.clone(),
    });
    let Some(Fact::Instance(manifest)) = perform(stage, tenant, "", &request).await.fact else {
        panic!("no manifest");
    };
    *manifest
}

fn check_manifest(manifest: &Manifest, specimen: &super::ground::Specimen) {
    assert_eq!(manifest.gaps, Vec::<String>::new());
    assert_eq!(manifest.name, specimen.name);
    assert_eq!(manifest.description, "a specimen");
    assert_eq!(manifest.tags, ["blue", "green"]);
    assert_eq!(manifest.metadata, properties(&[("role", "web")]));
    assert_eq!(
        manifest.user_data,
        Some(UserData::new("I2Nsb3VkLWNvbmZpZwo="))
    );
    assert!(manifest.config_drive && manifest.root_is_volume);
    let volumes: Vec<&str> = manifest
        .volumes
        .iter()
        .map(|volume| volume.id.as_str())
        .collect();
    assert_eq!(volumes, specimen.volumes);
    assert_eq!(manifest.volumes[0].boot_index, Some(0));
    assert_eq!(manifest.volumes[1].boot_index, None);
    assert_eq!(manifest.volumes[1].tag.as_deref(), Some("disk1"));
    let together: Vec<bool> = manifest
        .volumes
        .iter()
        .map(|volume| volume.delete_on_termination)
        .collect();
    assert_eq!(together, [false, true]);
    assert_eq!(
        manifest.volumes[0].metadata,
        properties(&[("purpose", "test")])
    );
    assert_eq!(manifest.volumes[0].image_metadata["hw_disk_bus"], "virtio");
    let image = manifest.image.as_ref().expect("an image");
    assert_eq!((image.name.as_str(), image.min_ram_mib), ("debian", 64));
    assert!(
        manifest.flavor.ram_mib > 0
            && manifest.flavor.cores > 0
            && !manifest.flavor.name.is_empty()
    );
    let macs: Vec<&str> = manifest
        .ports
        .iter()
        .map(|port| port.mac.as_str())
        .collect();
    let wanted: Vec<&str> = specimen.ports.iter().map(|(_, mac)| mac.as_str()).collect();
    assert_eq!(macs, wanted);
    let port = &manifest.ports[0];
    assert_eq!(
        (port.network.as_str(), port.network_name.as_str()),
        (specimen.network.as_str(), specimen.name.as_str())
    );
    assert_eq!(port.fixed[0].cidr, "10.77.0.0/24");
    assert!(!port.fixed[0].address.is_empty());
    let mut groups: Vec<&str> = manifest
        .security_groups
        .iter()
        .map(|group| group.id.as_str())
        .collect();
    groups.sort_unstable();
    let mut wanted = vec![specimen.group.as_str(), specimen.friend.as_str()];
    wanted.sort_unstable();
    assert_eq!(groups, wanted);
    let key = manifest.key.as_ref().expect("a key");
    assert_eq!(key.public_key.as_deref().map(str::trim), Some(PUBLIC_KEY));
}

struct Link {
    id: VolumeBackupId,
    record: BackupRecord,
}

/// A full and an incremental volume backup, each from a snapshot, with their records.
async fn back_up(stage: &Stage, volume: &VolumeId) -> Vec<Link> {
    let tenant = stage.source_tenant();
    let mut chain: Vec<Link> = Vec::new();
    for number in 0..2 {
        let name = format!("{}-{number}", stage.mark);
        let request = Request::Make(Make::Snapshot {
            volume: volume.clone(),
            description: "s".to_owned(),
        });
        let snapshot = make(stage, tenant, &name, &request).await;
        ready(stage, tenant, ThingKind::Snapshot, &snapshot).await;
        let request = Request::Make(Make::VolumeBackup {
            volume: volume.clone(),
            snapshot: Some(SnapshotId::new(snapshot.clone())),
            description: "b".to_owned(),
            incremental: number > 0,
        });
        let id = make(stage, tenant, &name, &request).await;
        let held = Thing {
            kind: ThingKind::VolumeBackup,
            id: id.clone(),
        };
        let early = stage.cloud.thing_delete(tenant, &held, &[]).await;
        if early.is_err() {
            assert_eq!(kind_of(early), FaultKind::Busy);
        }
        let seen = ready(stage, tenant, ThingKind::VolumeBackup, &id).await;
        assert_eq!((seen.incremental, seen.size_gib), (number > 0, Some(1)));
        assert!(seen.data_timestamp.is_some());
        remove(stage, tenant, ThingKind::Snapshot, &snapshot).await;
        let backup = VolumeBackupId::new(id);
        let describe = Request::Apply(Apply::VolumeBackup {
            backup: backup.clone(),
            description: "x".to_owned(),
        });
        perform(stage, tenant, "", &describe).await;
        let read = Request::Read(Read::Record {
            backup: backup.clone(),
        });
        let Some(Fact::Record(exported)) = perform(stage, tenant, "", &read).await.fact else {
            panic!("no record");
        };
        assert_eq!(exported.parent.as_ref(), chain.last().map(|link| &link.id));
        assert_eq!(exported.size_gib, Some(1));
        assert_eq!(exported.data_timestamp, seen.data_timestamp);
        let parents = Request::Read(Read::Parents {
            volumes: vec![volume.clone(), VolumeId::new("another")],
        });
        let Some(Fact::Parents(Parents { newest })) =
            perform(stage, tenant, "", &parents).await.fact
        else {
            panic!("no parents");
        };
        let newest: Vec<&str> = newest.iter().map(|one| one.thing.id.as_str()).collect();
        assert_eq!(newest, [backup.as_str()], "the next one builds on this one");
        chain.push(Link {
            id: backup,
            record: exported.record,
        });
    }
    let parent = Thing {
        kind: ThingKind::VolumeBackup,
        id: chain[0].id.as_str().to_owned(),
    };
    assert_eq!(
        kind_of(stage.cloud.thing_delete(tenant, &parent, &[]).await),
        FaultKind::Conflict
    );
    chain
}

/// An import that fails leaves a row without bytes, which goes and takes none along: the record is
/// imported and restored after this.
async fn a_failed_import_can_be_had_again(
    stage: &Stage,
    dr: &Tenant,
    link: &Link,
    presence: &Request,
) {
    let import = Request::Import {
        backup: link.id.clone(),
        record: BackupRecord {
            service: "cinder.backup.drivers.nowhere.NowhereBackupDriver".to_owned(),
            url: link.record.url.clone(),
        },
    };
    perform(stage, dr, "", &import).await;
    until("the import has failed", async || {
        let seen = perform(stage, dr, "", presence).await;
        let Some(Fact::Presence(Presence {
            live,
            failed_imports,
            pending_imports,
            ..
        })) = seen.fact
        else {
            panic!("no presence");
        };
        assert_eq!(live.len(), 0);
        assert_eq!(pending_imports.len() + failed_imports.len(), 1);
        failed_imports
            .contains(&(link.id.clone(), dr.project.clone()))
            .then_some(())
    })
    .await;
    remove(stage, dr, ThingKind::VolumeBackup, link.id.as_str()).await;
    assert!(live(perform(stage, dr, "", presence).await).is_empty());
}

fn live(answer: Answer) -> Vec<(VolumeBackupId, ProjectId)> {
    match answer.fact {
        Some(Fact::Presence(Presence { live, .. })) => live,
        other => panic!("no presence: {other:?}"),
    }
}

/// Makes a volume and restores into it; judged by the volume.
async fn restore(
    stage: &Stage,
    tenant: &Tenant,
    backup: &VolumeBackupId,
    project: &ProjectId,
) -> String {
    let name = format!("{}-root", stage.mark);
    let volume = make(stage, tenant, &name, &volume_of(1)).await;
    ready(stage, tenant, ThingKind::Volume, &volume).await;
    let request = Request::RestoreInto {
        backup: backup.clone(),
        backup_project: project.clone(),
        volume: VolumeId::new(volume.clone()),
    };
    let answer = stage
        .cloud
        .request_perform(tenant, "", &request)
        .await
        .expect("a restore");
    assert_eq!(answer.cloud_id.as_deref(), Some(volume.as_str()));
    // A second one has to wait, either for the backup or for the volume.
    if let Err(fault) = stage.cloud.request_perform(tenant, "", &request).await {
        assert_eq!(fault.kind, FaultKind::Busy, "{fault}");
    }
    ready(stage, tenant, ThingKind::Volume, &volume).await;
    volume
}

/// The device that the data disk is wished to have.
const DATA_DEVICE: &str = "/dev/vdd";

/// Makes an instance in the other cloud as a restoration does, and gives what it made, first to go
/// first.
async fn rebuild(stage: &Stage, root: &str, data: &str) -> Vec<(ThingKind, String)> {
    let dr = stage.dr_tenant();
    let name = format!("{}-dr", stage.mark);
    let network = stage.dr.network(&name, "10.79.0.0/24").await;
    let apply = Request::Apply(Apply::Volume(VolumeSettings {
        volume: VolumeId::new(root),
        name: "ostest-root".to_owned(),
        description: String::new(),
        metadata: Properties::new(),
        bootable: Some(true),
        image_metadata: Properties::new(),
    }));
    perform(stage, dr, "", &apply).await;
    let request = Request::Make(Make::SecurityGroup {
        description: String::new(),
        stateful: true,
    });
    let group = make(stage, dr, &name, &request).await;
    let mut ports = Vec::new();
    for mac in ["fa:16:3e:00:77:01", "fa:16:3e:00:77:02"] {
        let request = Request::Make(Make::Port(NewPort {
            network: NetworkId::new(network.clone()),
            fixed: Vec::new(),
            mac: Some(mac.to_owned()),
            security_groups: vec![SecurityGroupId::new(group.clone())],
            port_security: None,
            vnic_type: None,
            bare: false,
            down: false,
            default_group: false,
            uplink_status: None,
        }));
        ports.push(make(stage, dr, &name, &request).await);
    }
    let key = Request::Make(Make::KeyPair {
        name: name.clone(),
        public_key: PUBLIC_KEY.to_owned(),
        kind: None,
    });
    assert_eq!(make(stage, dr, "", &key).await, name);
    assert_eq!(
        kind_of(stage.cloud.request_perform(dr, "", &key).await),
        FaultKind::Conflict
    );
    // Not the name that it would get by itself.
    let disk = |volume: &str, tag: &str| Disk {
        volume: VolumeId::new(volume),
        tag: Some(tag.to_owned()),
        device: (tag == "data").then(|| DATA_DEVICE.to_owned()),
        delete_on_termination: false,
    };
    let plan = Request::Make(Make::Server(Box::new(ServerPlan {
        name: "ostest-web".to_owned(),
        description: "restored".to_owned(),
        flavor: FlavorId::new(stage.dr.flavor().await),
        disks: vec![disk(root, "root"), disk(data, "data")],
        ports: ports.iter().map(|port| PortId::new(port.clone())).collect(),
        key_name: Some(name.clone()),
        availability_zone: None,
        config_drive: true,
        user_data: Some(UserData::new("I2Nsb3VkLWNvbmZpZwo=")),
        metadata: properties(&[("role", "web")]),
        tags: vec!["blue".to_owned()],
        card_tags: Vec::new(),
        hostname: None,
        disk_config: None,
    })));
    let server = make(stage, dr, &name, &plan).await;
    let seen = ready(stage, dr, ThingKind::Server, &server).await;
    assert!(seen.tags.contains(&name), "{seen:?}");
    check_rebuilt(stage, &server, &group, [root, data]).await;
    let mut made = vec![(ThingKind::Server, server)];
    made.extend(ports.into_iter().map(|port| (ThingKind::Port, port)));
    made.push((ThingKind::SecurityGroup, group));
    made.push((ThingKind::KeyPair, name));
    made
}

async fn check_rebuilt(stage: &Stage, server: &str, group: &str, disks: [&str; 2]) {
    let dr = stage.dr_tenant();
    let server_id = ServerId::new(server);
    let tags = Request::Apply(Apply::ServerTags {
        server: server_id.clone(),
        tags: vec!["blue".to_owned()],
    });
    for _ in 0..2 {
        perform(stage, dr, "", &tags).await;
    }
    let manifest = read_instance(stage, dr, &server_id).await;
    assert_eq!(manifest.gaps, Vec::<String>::new());
    assert_eq!(
        (manifest.name.as_str(), manifest.description.as_str()),
        ("ostest-web", "restored")
    );
    assert_eq!(manifest.tags, ["blue"]);
    assert_eq!(manifest.metadata, properties(&[("role", "web")]));
    let volumes: Vec<&str> = manifest
        .volumes
        .iter()
        .map(|volume| volume.id.as_str())
        .collect();
    assert_eq!(volumes, disks);
    assert_eq!(manifest.volumes[1].device.as_deref(), Some(DATA_DEVICE));
    let macs: Vec<&str> = manifest
        .ports
        .iter()
        .map(|port| port.mac.as_str())
        .collect();
    assert_eq!(macs, ["fa:16:3e:00:77:01", "fa:16:3e:00:77:02"]);
    // What is in use cannot go yet, and whose use it is decides whether that passes.
    let whole = Thing {
        kind: ThingKind::Server,
        id: server.to_owned(),
    };
    for (kind, id) in [
        (ThingKind::Volume, disks[0]),
        (ThingKind::SecurityGroup, group),
    ] {
        let used = Thing {
            kind,
            id: id.to_owned(),
        };
        let refused = stage.cloud.thing_delete(dr, &used, &[]).await;
        assert_eq!(kind_of(refused), FaultKind::Held, "{used}");
    }
    let used = Thing {
        kind: ThingKind::Volume,
        id: disks[0].to_owned(),
    };
    let refused = stage.cloud.thing_delete(dr, &used, &[whole]).await;
    assert_eq!(
        kind_of(refused),
        FaultKind::Busy,
        "it goes when its server has gone"
    );
}

/// The admin of another project imports into its own, and restores into a volume of the tenant.
pub(super) async fn admin_of_another_project_restores_into_the_tenant(stage: &Stage) {
    let (source, dr) = (stage.source_tenant(), stage.dr_tenant());
    let volume = stage.source.volume(&format!("{}-volume", stage.mark)).await;
    let chain = back_up(stage, &VolumeId::new(volume.clone())).await;
    let elsewhere = Stage {
        cloud: stage.client("admin", OpenStackSettings::default()),
        file: stage.file.clone(),
        names: stage.names.clone(),
        source: super::Ground::of_entry(
            &stage.file,
            source.cloud.as_str(),
            &format!("{}-demo", source.cloud),
        )
        .await,
        dr: super::Ground::of_entry(
            &stage.file,
            dr.cloud.as_str(),
            &format!("{}-demo", dr.cloud),
        )
        .await,
        mark: stage.mark.clone(),
    };
    let entry = format!("{}-admin", dr.cloud);
    let admin = super::Ground::of_entry(&stage.file, dr.cloud.as_str(), &entry).await;
    for link in &chain {
        let import = Request::Import {
            backup: link.id.clone(),
            record: link.record.clone(),
        };
        // It would land in the project of the admin, who may not import for another one.
        let refused = elsewhere.cloud.request_perform(dr, "", &import).await;
        assert_eq!(kind_of(refused), FaultKind::Forbidden);
        perform(&elsewhere, &admin.tenant, "", &import).await;
    }
    let presence = Request::Read(Read::Presence {
        backups: chain.iter().map(|link| link.id.clone()).collect(),
        projects: Vec::new(),
    });
    let present = until("both are imported", async || {
        let present = live(perform(&elsewhere, dr, "", &presence).await);
        (present.len() == 2).then_some(present)
    })
    .await;
    let other = present[0].1.clone();
    assert_eq!(other, admin.tenant.project);
    assert_ne!(other, dr.project);
    let their = Tenant {
        cloud: dr.cloud.clone(),
        project: other.clone(),
    };
    for link in &chain {
        ready(
            &elsewhere,
            &their,
            ThingKind::VolumeBackup,
            link.id.as_str(),
        )
        .await;
    }
    let restored = restore(&elsewhere, dr, &chain[1].id, &other).await;
    remove(stage, dr, ThingKind::Volume, &restored).await;
    for link in chain.iter().rev() {
        remove(
            &elsewhere,
            &their,
            ThingKind::VolumeBackup,
            link.id.as_str(),
        )
        .await;
        remove(stage, source, ThingKind::VolumeBackup, link.id.as_str()).await;
    }
    remove(stage, source, ThingKind::Volume, &volume).await;
}
