//! The claims; this file may not know which clouds they are made about.

use std::pin::Pin;

use drbackup::{
    domain::{
        effect::{Disk, Fact, FixedWish, Request, ServerPlan},
        fault::{Fault, FaultKind},
        id::{
            CloudName, FlavorId, NetworkId, PortId, ProjectId, SecurityGroupId, ServerId,
            SnapshotId, Tenant, VolumeBackupId, VolumeId,
        },
        inventory::AdminReach,
        manifest::{Manifest, Properties, SecurityGroupRule},
        record::BackupRecord,
        sighting::{Sighting, Thing, ThingKind, Verdict},
    },
    openstack::limits::Limits,
    port::cloud::{Answer, Cloud},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Stage,
    ground::{PUBLIC_KEY, text},
    until,
};

type Claim = for<'stage> fn(&'stage Stage) -> Pin<Box<dyn Future<Output = ()> + 'stage>>;

macro_rules! claims {
    ($($name:ident),* $(,)?) => {
        /// All claims by name.
        pub(crate) fn all() -> Vec<(&'static str, Claim)> {
            vec![$((stringify!($name), |stage| Box::pin($name(stage)))),*]
        }
    };
}

claims! {
    clouds_answer_and_tell_their_projects,
    wrong_password_is_unauthenticated,
    closed_port_is_unreachable_and_unknown_cloud_unconfigured,
    project_that_nobody_reaches_is_unconfigured,
    missing_thing_is_nothing_and_its_deletion_is_fine,
    too_large_volume_is_a_quota,
    volume_is_found_by_its_name_and_applied_twice,
    list_has_every_page,
    security_group_gets_exactly_its_rules,
    address_that_is_taken_is_a_conflict,
    inventory_tells_what_the_tenant_has,
    record_without_the_right_is_forbidden,
    instance_goes_from_one_cloud_to_the_other,
    admin_of_another_project_restores_into_the_tenant,
}

async fn perform(stage: &Stage, tenant: &Tenant, name: &str, request: &Request) -> Answer {
    match stage.cloud.request_perform(tenant, name, request).await {
        Ok(answer) => answer,
        Err(fault) => panic!("{request:?}: {fault}"),
    }
}

async fn make(stage: &Stage, tenant: &Tenant, name: &str, request: &Request) -> String {
    perform(stage, tenant, name, request)
        .await
        .external
        .expect("an id")
}

/// Waits by lists, as the engine does, until a thing is ready.
async fn ready(stage: &Stage, tenant: &Tenant, kind: ThingKind, id: &str) -> Sighting {
    until(&format!("{} {id} is ready", kind.noun()), async || {
        let things = stage.cloud.things_list(tenant, kind).await.expect("a list");
        let seen = things.into_iter().find(|seen| seen.thing.id == id)?;
        assert_ne!(seen.verdict(), Verdict::Broken, "{seen:?}");
        (seen.verdict() == Verdict::Ready).then_some(seen)
    })
    .await
}

async fn remove(stage: &Stage, tenant: &Tenant, kind: ThingKind, id: &str) {
    let thing = Thing {
        kind,
        id: id.to_owned(),
    };
    until(&format!("{thing} is gone"), async || {
        match stage.cloud.thing_delete(tenant, &thing).await {
            Ok(()) => {}
            Err(fault) => assert_eq!(fault.kind, FaultKind::Busy, "{fault}"),
        }
        stage
            .cloud
            .thing_get(tenant, &thing)
            .await
            .expect("a look")
            .is_none()
            .then_some(())
    })
    .await;
}

fn volume_of(size_gib: u64) -> Request {
    Request::MakeVolume {
        size_gib,
        volume_type: None,
        availability_zone: None,
        snapshot: None,
        description: "of a test".to_owned(),
    }
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, Fault>) -> FaultKind {
    result.expect_err("a fault").kind
}

async fn clouds_answer_and_tell_their_projects(stage: &Stage) {
    let clouds = stage.cloud.clouds_list().await;
    assert_eq!(clouds.len(), 2);
    for cloud in clouds {
        assert!(
            cloud.reachable && cloud.has_admin && cloud.problem.is_none(),
            "{cloud:?}"
        );
        let tenants = stage
            .cloud
            .tenants_list(&cloud.name)
            .await
            .expect("projects");
        let own = [stage.source_tenant(), stage.dr_tenant()];
        assert!(
            tenants.iter().any(|tenant| own.contains(&&tenant.tenant)),
            "{tenants:?}"
        );
    }
}

async fn wrong_password_is_unauthenticated(stage: &Stage) {
    let text = stage.file_text().replace("lab-secret", "wrong-secret");
    let cloud = stage.client_of_text(&text);
    let name = CloudName::new(format!("{}-demo", stage.source_tenant().cloud));
    let tenant = Tenant {
        cloud: name,
        project: stage.source_tenant().project.clone(),
    };
    let fault = cloud
        .things_list(&tenant, ThingKind::Volume)
        .await
        .expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Unauthenticated, "{fault}");
    assert!(!format!("{fault:?}").contains("wrong-secret"));
    let info = cloud.clouds_list().await;
    assert!(
        info.iter()
            .all(|info| !info.reachable && info.problem.is_some())
    );
}

async fn closed_port_is_unreachable_and_unknown_cloud_unconfigured(stage: &Stage) {
    let closed = "clouds: {gone: {auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, \
                  password: p, project_name: p}}}";
    let cloud = stage.client_of_text(closed);
    let tenant = |name: &str| Tenant {
        cloud: CloudName::new(name),
        project: ProjectId::new("p"),
    };
    let list = cloud.things_list(&tenant("gone"), ThingKind::Volume).await;
    assert_eq!(kind_of(list), FaultKind::Unreachable);
    let list = cloud.things_list(&tenant("other"), ThingKind::Volume).await;
    assert_eq!(kind_of(list), FaultKind::Unconfigured);
    let made = cloud
        .request_perform(&tenant("gone"), "x", &volume_of(1))
        .await;
    assert_eq!(kind_of(made), FaultKind::Unreachable);
}

async fn project_that_nobody_reaches_is_unconfigured(stage: &Stage) {
    let nowhere = Tenant {
        cloud: stage.source_tenant().cloud.clone(),
        project: ProjectId::new("0123456789abcdef0123456789abcdef"),
    };
    let made = stage
        .cloud
        .request_perform(&nowhere, "x", &volume_of(1))
        .await;
    assert_eq!(kind_of(made), FaultKind::Unconfigured);
    // The admin may look into it all the same, and sees nothing. Security groups are left out:
    // Neutron makes a default one for any project whose groups are listed.
    for kind in [
        ThingKind::Volume,
        ThingKind::Snapshot,
        ThingKind::VolumeBackup,
        ThingKind::Server,
        ThingKind::Port,
    ] {
        let seen = stage.cloud.things_list(&nowhere, kind).await;
        assert_eq!(seen, Ok(Vec::new()), "{}", kind.noun());
    }
}

async fn missing_thing_is_nothing_and_its_deletion_is_fine(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        for kind in [
            ThingKind::Volume,
            ThingKind::Snapshot,
            ThingKind::VolumeBackup,
            ThingKind::Server,
            ThingKind::Port,
            ThingKind::SecurityGroup,
            ThingKind::KeyPair,
        ] {
            let thing = Thing {
                kind,
                id: Uuid::new_v4().to_string(),
            };
            assert_eq!(
                stage.cloud.thing_get(tenant, &thing).await,
                Ok(None),
                "{thing}"
            );
            assert_eq!(
                stage.cloud.thing_delete(tenant, &thing).await,
                Ok(()),
                "{thing}"
            );
        }
        let server = ServerId::new(Uuid::new_v4().to_string());
        let peek = stage.cloud.instance_peek(tenant, &server).await;
        assert_eq!(kind_of(peek), FaultKind::NotFound);
        let read = stage.cloud.instance_get(tenant, &server).await;
        assert_eq!(kind_of(read), FaultKind::NotFound);
        let backup = VolumeBackupId::new(Uuid::new_v4().to_string());
        let read = stage
            .cloud
            .request_perform(tenant, "x", &Request::ReadRecord { backup })
            .await;
        assert_eq!(kind_of(read), FaultKind::NotFound);
    }
}

async fn too_large_volume_is_a_quota(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let name = format!("{}-large", stage.mark);
        let made = stage
            .cloud
            .request_perform(tenant, &name, &volume_of(100_000))
            .await;
        let fault = made.expect_err("a fault");
        assert_eq!(fault.kind, FaultKind::Quota, "{fault}");
        assert!(
            fault.request_id.is_some() && fault.retry_after.is_none(),
            "{fault:?}"
        );
    }
}

async fn volume_is_found_by_its_name_and_applied_twice(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let name = format!("{}-volume", stage.mark);
        let answer = perform(stage, tenant, &name, &volume_of(1)).await;
        assert!(!answer.ready);
        let id = answer.external.expect("an id");
        let seen = ready(stage, tenant, ThingKind::Volume, &id).await;
        assert_eq!(
            (seen.name.as_str(), seen.size_gib),
            (name.as_str(), Some(1))
        );
        assert!(seen.created.is_some());
        let apply = Request::ApplyVolume {
            volume: VolumeId::new(id.clone()),
            name: format!("{}-final", stage.mark),
            description: "d".to_owned(),
            metadata: properties(&[("role", "data")]),
            bootable: true,
            image_metadata: properties(&[("hw_disk_bus", "scsi"), ("image_name", "debian")]),
        };
        for _ in 0..2 {
            perform(stage, tenant, "", &apply).await;
        }
        let path = format!("volumes/{id}");
        let ground = ground(stage, tenant);
        let (_, volume) = ground.ask("GET", "volumev3", &path, "", None).await;
        let volume = &volume["volume"];
        assert_eq!(volume["metadata"], json!({"role": "data"}));
        assert_eq!(volume["bootable"], "true");
        assert_eq!(volume["volume_image_metadata"]["hw_disk_bus"], "scsi");
        assert_eq!(volume["name"], format!("{}-final", stage.mark));
        remove(stage, tenant, ThingKind::Volume, &id).await;
    }
}

fn ground<'stage>(stage: &'stage Stage, tenant: &Tenant) -> &'stage super::Ground {
    if tenant == stage.source_tenant() {
        &stage.source
    } else {
        &stage.dr
    }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn list_has_every_page(stage: &Stage) {
    let limits = Limits {
        page_size: 2,
        ..Limits::default()
    };
    let paged = stage.client("operator", limits);
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let mut made = Vec::new();
        for number in 0..3 {
            let request = Request::MakeSecurityGroup {
                description: String::new(),
            };
            let name = format!("{}-page-{number}", stage.mark);
            made.push((
                ThingKind::SecurityGroup,
                make(stage, tenant, &name, &request).await,
            ));
            made.push((
                ThingKind::Volume,
                make(stage, tenant, &name, &volume_of(1)).await,
            ));
        }
        for (kind, id) in &made {
            let seen = paged.things_list(tenant, *kind).await.expect("a list");
            let found = seen.iter().filter(|seen| seen.thing.id == *id).count();
            assert_eq!(found, 1, "{} {id}", kind.noun());
        }
        for kind in [
            ThingKind::Server,
            ThingKind::Snapshot,
            ThingKind::VolumeBackup,
            ThingKind::Port,
            ThingKind::KeyPair,
        ] {
            paged.things_list(tenant, kind).await.expect("a list");
        }
        paged
            .request_perform(tenant, "", &Request::ReadInventory)
            .await
            .expect("an inventory");
        let endless = stage.client(
            "operator",
            Limits {
                page_size: 1,
                pages_max: 2,
                ..Limits::default()
            },
        );
        let list = endless.things_list(tenant, ThingKind::SecurityGroup).await;
        assert_eq!(kind_of(list), FaultKind::Unanswered);
        for (kind, id) in &made {
            remove(stage, tenant, *kind, id).await;
        }
    }
}

fn rule(protocol: Option<&str>, port: Option<i64>, group: Option<&str>) -> SecurityGroupRule {
    SecurityGroupRule {
        direction: "ingress".to_owned(),
        ethertype: "IPv4".to_owned(),
        protocol: protocol.map(str::to_owned),
        port_min: port,
        port_max: port,
        remote_cidr: None,
        remote_group: group.map(SecurityGroupId::new),
        description: "r".to_owned(),
    }
}

async fn security_group_gets_exactly_its_rules(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let name = format!("{}-group", stage.mark);
        let request = Request::MakeSecurityGroup {
            description: "d".to_owned(),
        };
        let answer = perform(stage, tenant, &name, &request).await;
        assert!(answer.ready);
        let id = answer.external.expect("an id");
        let group = SecurityGroupId::new(id.clone());
        let mut anywhere = rule(Some("udp"), Some(53), None);
        anywhere.remote_cidr = Some("0.0.0.0/0".to_owned());
        let mut other = rule(Some("icmp"), None, None);
        other.direction = "egress".to_owned();
        let rules = vec![
            rule(Some("tcp"), Some(22), None),
            rule(None, None, Some(&id)),
            anywhere,
            other,
        ];
        for _ in 0..2 {
            let apply = Request::ApplySecurityGroupRules {
                group: group.clone(),
                rules: rules.clone(),
            };
            perform(stage, tenant, "", &apply).await;
            let (_, found) = ground(stage, tenant)
                .ask("GET", "network", &format!("security-groups/{id}"), "", None)
                .await;
            let found = found["security_group"]["security_group_rules"]
                .as_array()
                .expect("rules")
                .clone();
            assert_eq!(found.len(), rules.len(), "{found:?}");
        }
        let apply = Request::ApplySecurityGroupName {
            group: group.clone(),
            name: format!("{name}-final"),
        };
        perform(stage, tenant, "", &apply).await;
        let seen = ready(stage, tenant, ThingKind::SecurityGroup, &id).await;
        assert_eq!(seen.name, format!("{name}-final"));
        remove(stage, tenant, ThingKind::SecurityGroup, &id).await;
    }
}

fn port_at(network: &str, address: Option<&str>, mac: Option<&str>) -> Request {
    Request::MakePort {
        network: NetworkId::new(network),
        fixed: address
            .map(|address| FixedWish {
                subnet: None,
                address: Some(address.to_owned()),
            })
            .into_iter()
            .collect(),
        mac: mac.map(str::to_owned),
        security_groups: Vec::new(),
        port_security: None,
        vnic_type: None,
    }
}

async fn address_that_is_taken_is_a_conflict(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let ground = ground(stage, tenant);
        let network = ground.network(&stage.mark, "10.78.0.0/30").await;
        let name = format!("{}-port", stage.mark);
        let first = perform(
            stage,
            tenant,
            &name,
            &port_at(&network, Some("10.78.0.2"), None),
        )
        .await;
        assert!(first.ready);
        let Some(Fact::Port { addresses }) = first.fact else {
            panic!("no addresses");
        };
        assert_eq!(addresses, ["10.78.0.2"]);
        let again = stage
            .cloud
            .request_perform(tenant, &name, &port_at(&network, Some("10.78.0.2"), None))
            .await;
        assert_eq!(kind_of(again), FaultKind::Conflict);
        let full = stage
            .cloud
            .request_perform(tenant, &name, &port_at(&network, None, None))
            .await;
        assert_eq!(kind_of(full), FaultKind::Quota);
        let outside = stage
            .cloud
            .request_perform(tenant, &name, &port_at(&network, Some("10.79.0.2"), None))
            .await;
        assert_eq!(kind_of(outside), FaultKind::Invalid);
        let id = first.external.expect("an id");
        let port = PortId::new(id.clone());
        perform(
            stage,
            tenant,
            "",
            &Request::ApplyPortName {
                port,
                name: String::new(),
            },
        )
        .await;
        let seen = stage
            .cloud
            .things_list(tenant, ThingKind::Port)
            .await
            .expect("a list");
        let seen = seen
            .iter()
            .find(|seen| seen.thing.id == id)
            .expect("the port");
        assert_eq!((seen.name.as_str(), seen.verdict()), ("", Verdict::Ready));
        remove(stage, tenant, ThingKind::Port, &id).await;
        ground
            .remove("network", &format!("networks/{network}"))
            .await;
    }
}

async fn inventory_tells_what_the_tenant_has(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let answer = perform(stage, tenant, "", &Request::ReadInventory).await;
        let Some(Fact::Inventory(inventory)) = answer.fact else {
            panic!("no inventory");
        };
        assert!(!inventory.flavors.is_empty() && !inventory.networks.is_empty());
        assert!(inventory.volume_types.iter().any(|kind| kind.is_default));
        assert!(
            inventory
                .security_groups
                .iter()
                .any(|group| group.name == "default")
        );
        assert!(!inventory.compute_zones.is_empty() && !inventory.volume_zones.is_empty());
        assert_eq!(inventory.admin, AdminReach::Tenant);
        let quotas = &inventory.quotas;
        for left in [
            quotas.volumes,
            quotas.gigabytes,
            quotas.backups,
            quotas.instances,
            quotas.cores,
            quotas.ram_mib,
            quotas.ports,
            quotas.security_groups,
        ] {
            assert!(left.is_some(), "{quotas:?}");
        }
        let flavors = stage.cloud.flavors_list(tenant).await.expect("flavors");
        assert_eq!(flavors.len(), inventory.flavors.len());
        assert!(
            !stage
                .cloud
                .networks_list(tenant)
                .await
                .expect("networks")
                .is_empty()
        );
        assert!(
            !stage
                .cloud
                .volume_types_list(tenant)
                .await
                .expect("types")
                .is_empty()
        );
        let elsewhere = stage.client("admin", Limits::default());
        let answer = elsewhere
            .request_perform(tenant, "", &Request::ReadInventory)
            .await;
        let Some(Fact::Inventory(inventory)) = answer.expect("an answer").fact else {
            panic!("no inventory");
        };
        assert!(
            matches!(inventory.admin, AdminReach::Other(_)),
            "{:?}",
            inventory.admin
        );
    }
}

async fn record_without_the_right_is_forbidden(stage: &Stage) {
    let member = stage.client("", Limits::default());
    let record = Request::ImportRecord {
        backup: VolumeBackupId::new(Uuid::new_v4().to_string()),
        record: BackupRecord {
            service: "s".to_owned(),
            url: "eyJpZCI6ICJ4In0=".to_owned(),
        },
    };
    let imported = member.request_perform(stage.dr_tenant(), "", &record).await;
    assert_eq!(kind_of(imported), FaultKind::Forbidden);
    let bad = stage
        .cloud
        .request_perform(stage.dr_tenant(), "", &record)
        .await;
    assert_eq!(kind_of(bad), FaultKind::Invalid);
}

/// The whole way of an instance, with what is asked twice on it.
async fn instance_goes_from_one_cloud_to_the_other(stage: &Stage) {
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
    let presence = Request::ReadPresence {
        backups: chain.iter().map(|link| link.id.clone()).collect(),
    };
    let here = perform(stage, source, "", &presence).await;
    assert_eq!(live(here).len(), 2);
    assert!(live(perform(stage, dr, "", &presence).await).is_empty());
    for link in &chain {
        let import = Request::ImportRecord {
            backup: link.id.clone(),
            record: link.record.clone(),
        };
        let answer = perform(stage, dr, "", &import).await;
        assert_eq!(answer.external.as_deref(), Some(link.id.as_str()));
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
    let request = Request::ReadInstance {
        server: server.clone(),
    };
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
    assert_eq!(manifest.user_data.as_deref(), Some("I2Nsb3VkLWNvbmZpZwo="));
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
        let request = Request::MakeSnapshot {
            volume: volume.clone(),
            description: "s".to_owned(),
        };
        let snapshot = make(stage, tenant, &name, &request).await;
        ready(stage, tenant, ThingKind::Snapshot, &snapshot).await;
        let request = Request::MakeVolumeBackup {
            volume: volume.clone(),
            snapshot: Some(SnapshotId::new(snapshot.clone())),
            description: "b".to_owned(),
            incremental: number > 0,
        };
        let id = make(stage, tenant, &name, &request).await;
        let held = Thing {
            kind: ThingKind::VolumeBackup,
            id: id.clone(),
        };
        let early = stage.cloud.thing_delete(tenant, &held).await;
        if early.is_err() {
            assert_eq!(kind_of(early), FaultKind::Busy);
        }
        let seen = ready(stage, tenant, ThingKind::VolumeBackup, &id).await;
        assert_eq!((seen.incremental, seen.size_gib), (number > 0, Some(1)));
        assert!(seen.data_timestamp.is_some());
        remove(stage, tenant, ThingKind::Snapshot, &snapshot).await;
        let backup = VolumeBackupId::new(id);
        let describe = Request::ApplyVolumeBackup {
            backup: backup.clone(),
            description: "x".to_owned(),
        };
        perform(stage, tenant, "", &describe).await;
        let read = Request::ReadRecord {
            backup: backup.clone(),
        };
        let Some(Fact::Record { record, parent }) = perform(stage, tenant, "", &read).await.fact
        else {
            panic!("no record");
        };
        assert_eq!(parent.as_ref(), chain.last().map(|link| &link.id));
        chain.push(Link { id: backup, record });
    }
    let parent = Thing {
        kind: ThingKind::VolumeBackup,
        id: chain[0].id.as_str().to_owned(),
    };
    assert_eq!(
        kind_of(stage.cloud.thing_delete(tenant, &parent).await),
        FaultKind::Busy
    );
    chain
}

fn live(answer: Answer) -> Vec<(VolumeBackupId, ProjectId)> {
    match answer.fact {
        Some(Fact::Presence { live }) => live,
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
    let request = Request::RestoreVolumeBackup {
        backup: backup.clone(),
        backup_project: project.clone(),
        volume: VolumeId::new(volume.clone()),
    };
    let answer = stage
        .cloud
        .request_perform(tenant, "", &request)
        .await
        .expect("a restore");
    assert_eq!(answer.external.as_deref(), Some(volume.as_str()));
    // A second one has to wait, either for the backup or for the volume.
    if let Err(fault) = stage.cloud.request_perform(tenant, "", &request).await {
        assert_eq!(fault.kind, FaultKind::Busy, "{fault}");
    }
    ready(stage, tenant, ThingKind::Volume, &volume).await;
    volume
}

/// Makes an instance in the other cloud as a restoration does, and gives what it made, first to go
/// first.
async fn rebuild(stage: &Stage, root: &str, data: &str) -> Vec<(ThingKind, String)> {
    let dr = stage.dr_tenant();
    let name = format!("{}-dr", stage.mark);
    let network = stage.dr.network(&name, "10.79.0.0/24").await;
    let apply = Request::ApplyVolume {
        volume: VolumeId::new(root),
        name: "ostest-root".to_owned(),
        description: String::new(),
        metadata: Properties::new(),
        bootable: true,
        image_metadata: Properties::new(),
    };
    perform(stage, dr, "", &apply).await;
    let request = Request::MakeSecurityGroup {
        description: String::new(),
    };
    let group = make(stage, dr, &name, &request).await;
    let mut ports = Vec::new();
    for mac in ["fa:16:3e:00:77:01", "fa:16:3e:00:77:02"] {
        let request = Request::MakePort {
            network: NetworkId::new(network.clone()),
            fixed: Vec::new(),
            mac: Some(mac.to_owned()),
            security_groups: vec![SecurityGroupId::new(group.clone())],
            port_security: None,
            vnic_type: None,
        };
        ports.push(make(stage, dr, &name, &request).await);
    }
    let key = Request::MakeKeyPair {
        name: name.clone(),
        public_key: PUBLIC_KEY.to_owned(),
    };
    assert_eq!(make(stage, dr, "", &key).await, name);
    assert_eq!(
        kind_of(stage.cloud.request_perform(dr, "", &key).await),
        FaultKind::Conflict
    );
    let disk = |volume: &str, tag: &str| Disk {
        volume: VolumeId::new(volume),
        tag: Some(tag.to_owned()),
        delete_on_termination: false,
    };
    let plan = Request::MakeServer(Box::new(ServerPlan {
        name: "ostest-web".to_owned(),
        description: "restored".to_owned(),
        flavor: FlavorId::new(stage.dr.flavor().await),
        disks: vec![disk(root, "root"), disk(data, "data")],
        ports: ports.iter().map(|port| PortId::new(port.clone())).collect(),
        key_name: Some(name.clone()),
        availability_zone: None,
        config_drive: true,
        user_data: Some("I2Nsb3VkLWNvbmZpZwo=".to_owned()),
        metadata: properties(&[("role", "web")]),
        tags: vec!["blue".to_owned()],
    }));
    let server = make(stage, dr, &name, &plan).await;
    let seen = ready(stage, dr, ThingKind::Server, &server).await;
    assert!(seen.tags.contains(&name), "{seen:?}");
    let server_id = ServerId::new(server.clone());
    let tags = Request::ApplyServerTags {
        server: server_id.clone(),
        tags: vec!["blue".to_owned()],
    };
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
    assert_eq!(volumes, [root, data]);
    let macs: Vec<&str> = manifest
        .ports
        .iter()
        .map(|port| port.mac.as_str())
        .collect();
    assert_eq!(macs, ["fa:16:3e:00:77:01", "fa:16:3e:00:77:02"]);
    // What is in use cannot go yet.
    let used = Thing {
        kind: ThingKind::Volume,
        id: root.to_owned(),
    };
    assert_eq!(
        kind_of(stage.cloud.thing_delete(dr, &used).await),
        FaultKind::Busy
    );
    let used = Thing {
        kind: ThingKind::SecurityGroup,
        id: group.clone(),
    };
    assert_eq!(
        kind_of(stage.cloud.thing_delete(dr, &used).await),
        FaultKind::Busy
    );
    let mut made = vec![(ThingKind::Server, server)];
    made.extend(ports.into_iter().map(|port| (ThingKind::Port, port)));
    made.push((ThingKind::SecurityGroup, group));
    made.push((ThingKind::KeyPair, name));
    made
}

/// The admin of another project imports into its own, and restores into a volume of the tenant.
async fn admin_of_another_project_restores_into_the_tenant(stage: &Stage) {
    let (source, dr) = (stage.source_tenant(), stage.dr_tenant());
    let volume = stage.source.volume(&format!("{}-volume", stage.mark)).await;
    let chain = back_up(stage, &VolumeId::new(volume.clone())).await;
    let elsewhere = Stage {
        cloud: stage.client("admin", Limits::default()),
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
    for link in &chain {
        let import = Request::ImportRecord {
            backup: link.id.clone(),
            record: link.record.clone(),
        };
        perform(&elsewhere, dr, "", &import).await;
    }
    let presence = Request::ReadPresence {
        backups: chain.iter().map(|link| link.id.clone()).collect(),
    };
    let present = live(perform(&elsewhere, dr, "", &presence).await);
    assert_eq!(present.len(), 2);
    let other = present[0].1.clone();
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
