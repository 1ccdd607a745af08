//! The claims; this file may not know which clouds they are made about.
//!
//! One file because the list of claims at its top and the claims are read side by side.

use std::pin::Pin;

use drbackup::{
    domain::{
        effect::{
            Apply, Fact, FixedWish, Make, NewPort, NewVolume, PortAddresses, Presence, Read,
            Request, VolumeSettings,
        },
        fault::{Fault, FaultKind},
        id::{
            CloudName, NetworkId, PortId, ProjectId, SecurityGroupId, ServerId, Tenant,
            VolumeBackupId, VolumeId,
        },
        inventory::{AdminReach, Right},
        manifest::{Properties, SecurityGroupRule},
        record::BackupRecord,
        sighting::{Readiness, Sighting, Thing, ThingKind},
    },
    openstack::settings::OpenStackSettings,
    port::cloud::{Answer, Cloud},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Stage,
    belonging::what_is_another_tenants_is_as_if_it_were_not_there,
    capture::image_of_a_server_brings_a_snapshot_of_each_volume,
    ground::PUBLIC_KEY,
    journey::{
        admin_of_another_project_restores_into_the_tenant,
        instance_goes_from_one_cloud_to_the_other,
    },
    servers::{
        image_is_shown_of_what_boots_from_a_volume, key_pair_has_a_name_and_a_type,
        lock_binds_members, server_shows_cards_by_network, server_stands_still_in_many_ways,
        what_is_attached_is_kept_until_somebody_lies,
    },
    strictness::{
        grounds, is, look, name_of_the_default_group_is_reserved,
        port_has_an_address_of_either_version, port_without_security_has_no_groups,
        readonly_is_a_flag_of_one_volume, right_to_import_is_told_and_that_to_export_is_not, say,
        texts_have_other_limits_in_each_service, types_and_volumes_have_quotas_of_their_own,
    },
    transfer::volume_is_taken_over_whatever_was_left_of_it,
    trunk::port_of_a_trunk_stays_as_long_as_it,
    until,
};

type Claim = for<'stage> fn(&'stage Stage) -> Pin<Box<dyn Future<Output = ()> + 'stage>>;

macro_rules! claims {
    ($($name:ident),* $(,)?) => {
        /// All claims by name.
        pub(crate) fn all() -> Vec<(&'static str, Claim)> {
            vec![$((stringify!($name), |stage| Box::pin($name(stage)))),*]
        }

        mod simulated {
            $(#[tokio::test]
            async fn $name() {
                let simulated = super::super::Simulated::start().await;
                Box::pin(super::$name(&simulated.stage)).await;
            })*
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
    security_group_that_others_need_stays,
    address_that_is_taken_is_a_conflict,
    inventory_tells_what_the_tenant_has,
    rights_and_quotas_are_seen_before_anything_is_made,
    record_without_the_right_is_forbidden,
    instance_goes_from_one_cloud_to_the_other,
    admin_of_another_project_restores_into_the_tenant,
    volume_is_taken_over_whatever_was_left_of_it,
    image_of_a_server_brings_a_snapshot_of_each_volume,
    port_has_an_address_of_either_version,
    port_without_security_has_no_groups,
    name_of_the_default_group_is_reserved,
    key_pair_has_a_name_and_a_type,
    server_shows_cards_by_network,
    server_stands_still_in_many_ways,
    lock_binds_members,
    image_is_shown_of_what_boots_from_a_volume,
    what_is_attached_is_kept_until_somebody_lies,
    readonly_is_a_flag_of_one_volume,
    texts_have_other_limits_in_each_service,
    types_and_volumes_have_quotas_of_their_own,
    key_pairs_of_a_user_have_a_quota,
    right_to_import_is_told_and_that_to_export_is_not,
    port_of_a_trunk_stays_as_long_as_it,
    what_is_another_tenants_is_as_if_it_were_not_there,
}

pub(super) async fn perform(
    stage: &Stage,
    tenant: &Tenant,
    name: &str,
    request: &Request,
) -> Answer {
    match stage.cloud.request_perform(tenant, name, request).await {
        Ok(answer) => answer,
        Err(fault) => panic!("{request:?}: {fault}"),
    }
}

pub(super) async fn make(stage: &Stage, tenant: &Tenant, name: &str, request: &Request) -> String {
    perform(stage, tenant, name, request)
        .await
        .cloud_id
        .expect("an id")
}

/// Waits by lists, as the engine does, until a thing is ready.
pub(super) async fn ready(stage: &Stage, tenant: &Tenant, kind: ThingKind, id: &str) -> Sighting {
    until(&format!("{} {id} is ready", kind.noun()), async || {
        let things = stage.cloud.things_list(tenant, kind).await.expect("a list");
        let seen = things.into_iter().find(|seen| seen.thing.id == id)?;
        assert_ne!(seen.verdict(), Readiness::Broken, "{seen:?}");
        (seen.verdict() == Readiness::Ready).then_some(seen)
    })
    .await
}

pub(super) async fn remove(stage: &Stage, tenant: &Tenant, kind: ThingKind, id: &str) {
    let thing = Thing {
        kind,
        id: id.to_owned(),
    };
    until(&format!("{thing} is gone"), async || {
        match stage.cloud.thing_delete(tenant, &thing, &[]).await {
            Ok(()) => {}
            Err(fault) => assert!(
                // Its holder may be on its way out.
                [FaultKind::Busy, FaultKind::Held, FaultKind::NotFound].contains(&fault.kind),
                "{fault}"
            ),
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

pub(super) fn volume_of(size_gib: u64) -> Request {
    Request::Make(Make::Volume(NewVolume {
        size_gib,
        volume_type: None,
        availability_zone: None,
        snapshot: None,
        image: None,
        description: "of a test".to_owned(),
    }))
}

pub(super) fn kind_of<T: std::fmt::Debug>(result: Result<T, Fault>) -> FaultKind {
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
    let text = stage.file_text();
    let password = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("password: "))
        .expect("a password");
    let text = text.replace(password, "wrong-secret");
    let cloud = Stage::client_of_text(&text);
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

async fn closed_port_is_unreachable_and_unknown_cloud_unconfigured(_stage: &Stage) {
    let closed = "clouds: {gone: {auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, \
                  password: p, project_name: p}}}";
    let cloud = Stage::client_of_text(closed);
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
    // The admin looks for records there, and sees none. It is not used for anything else.
    let records = ThingKind::VolumeBackup;
    let seen = stage.cloud.things_list(&nowhere, records).await;
    assert_eq!(seen, Ok(Vec::new()));
    for kind in [
        ThingKind::Volume,
        ThingKind::Snapshot,
        ThingKind::SecurityGroup,
        ThingKind::KeyPair,
        ThingKind::Server,
        ThingKind::Port,
        ThingKind::Trunk,
        ThingKind::GroupSnapshot,
        ThingKind::Image,
    ] {
        let seen = stage.cloud.things_list(&nowhere, kind).await;
        assert_eq!(kind_of(seen), FaultKind::Unconfigured, "{}", kind.noun());
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
            ThingKind::Trunk,
            ThingKind::SecurityGroup,
            ThingKind::KeyPair,
            ThingKind::GroupSnapshot,
            ThingKind::Image,
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
            let deleted = stage.cloud.thing_delete(tenant, &thing, &[]).await;
            assert_eq!(kind_of(deleted), FaultKind::NotFound, "{thing}");
        }
        let server = ServerId::new(Uuid::new_v4().to_string());
        let peek = stage.cloud.instance_peek(tenant, &server).await;
        assert_eq!(kind_of(peek), FaultKind::NotFound);
        let read = stage.cloud.instance_get(tenant, &server).await;
        assert_eq!(kind_of(read), FaultKind::NotFound);
        let backup = VolumeBackupId::new(Uuid::new_v4().to_string());
        let read = stage
            .cloud
            .request_perform(tenant, "x", &Request::Read(Read::Record { backup }))
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
        let id = answer.cloud_id.expect("an id");
        let seen = ready(stage, tenant, ThingKind::Volume, &id).await;
        assert_eq!(
            (seen.name.as_str(), seen.size_gib),
            (name.as_str(), Some(1))
        );
        assert!(seen.created.is_some());
        let apply = Request::Apply(Apply::Volume(VolumeSettings {
            volume: VolumeId::new(id.clone()),
            name: format!("{}-final", stage.mark),
            description: "d".to_owned(),
            metadata: properties(&[("role", "data")]),
            bootable: Some(true),
            image_metadata: properties(&[("hw_disk_bus", "scsi"), ("image_name", "debian")]),
        }));
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

pub(super) fn ground<'stage>(stage: &'stage Stage, tenant: &Tenant) -> &'stage super::Ground {
    if tenant == stage.source_tenant() {
        &stage.source
    } else {
        &stage.dr
    }
}

pub(super) fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn list_has_every_page(stage: &Stage) {
    let limits = OpenStackSettings {
        page_size: 2,
        ..OpenStackSettings::default()
    };
    let paged = stage.client("operator", limits);
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let mut made = Vec::new();
        for number in 0..3 {
            let request = Request::Make(Make::SecurityGroup {
                description: String::new(),
                stateful: true,
            });
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
            .request_perform(tenant, "", &Request::Read(Read::Inventory))
            .await
            .expect("an inventory");
        let endless = stage.client(
            "operator",
            OpenStackSettings {
                page_size: 1,
                pages_max: 2,
                ..OpenStackSettings::default()
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
        remote_group: group.map(SecurityGroupId::new),
        description: "r".to_owned(),
        ..SecurityGroupRule::default()
    }
}

async fn security_group_gets_exactly_its_rules(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let name = format!("{}-group", stage.mark);
        let request = Request::Make(Make::SecurityGroup {
            description: "d".to_owned(),
            stateful: true,
        });
        let answer = perform(stage, tenant, &name, &request).await;
        assert!(answer.ready);
        let id = answer.cloud_id.expect("an id");
        let group = SecurityGroupId::new(id.clone());
        let mut anywhere = rule(Some("udp"), Some(53), None);
        anywhere.remote_cidr = Some("0.0.0.0/0".to_owned());
        let mut other = rule(Some("icmp"), None, None);
        "egress".clone_into(&mut other.direction);
        let rules = vec![
            rule(Some("tcp"), Some(22), None),
            rule(None, None, Some(&id)),
            anywhere,
            other,
        ];
        for _ in 0..2 {
            let apply = Request::Apply(Apply::SecurityGroupRules {
                group: group.clone(),
                rules: rules.clone(),
            });
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
        let apply = Request::Apply(Apply::SecurityGroupName {
            group: group.clone(),
            name: format!("{name}-final"),
        });
        perform(stage, tenant, "", &apply).await;
        let seen = ready(stage, tenant, ThingKind::SecurityGroup, &id).await;
        assert_eq!(seen.name, format!("{name}-final"));
        remove(stage, tenant, ThingKind::SecurityGroup, &id).await;
    }
}

async fn security_group_that_others_need_stays(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let ground = ground(stage, tenant);
        let group = async |word: &str, stateful: bool| {
            let request = Request::Make(Make::SecurityGroup {
                description: String::new(),
                stateful,
            });
            make(stage, tenant, &format!("{}-{word}", stage.mark), &request).await
        };
        let (web, base) = (group("web", true).await, group("base", false).await);
        let apply = Request::Apply(Apply::SecurityGroupRules {
            group: SecurityGroupId::new(base.clone()),
            rules: vec![rule(Some("tcp"), Some(5432), Some(&web))],
        });
        perform(stage, tenant, "", &apply).await;
        let network = ground.network(&stage.mark, "10.80.0.0/24").await;
        let mut port = port_at(&network, None, None);
        if let Request::Make(Make::Port(NewPort {
            security_groups, ..
        })) = &mut port
        {
            security_groups.push(SecurityGroupId::new(base.clone()));
        }
        let port = make(stage, tenant, &format!("{}-port", stage.mark), &port).await;

        // Neutron itself refuses the first and would take the rule of the first away with the second.
        for id in [&base, &web] {
            let thing = Thing {
                kind: ThingKind::SecurityGroup,
                id: id.clone(),
            };
            let refused = stage.cloud.thing_delete(tenant, &thing, &[]).await;
            assert_eq!(kind_of(refused), FaultKind::Held);
        }
        let path = format!("security-groups/{base}");
        let (_, found) = ground.ask("GET", "network", &path, "", None).await;
        let found = &found["security_group"];
        assert_eq!(found["stateful"], json!(false));
        assert_eq!(
            found["security_group_rules"][0]["remote_group_id"],
            json!(web)
        );

        remove(stage, tenant, ThingKind::Port, &port).await;
        // Nobody has the group that refers to it now, and may tomorrow.
        let thing = |id: &String| Thing {
            kind: ThingKind::SecurityGroup,
            id: id.clone(),
        };
        let refused = stage.cloud.thing_delete(tenant, &thing(&web), &[]).await;
        let refused = refused.expect_err("it is named");
        assert_eq!(refused.kind, FaultKind::Held);
        assert!(refused.message.contains(&base), "{refused}");
        // What goes together holds nothing.
        let ours = [thing(&base)];
        let gone = stage.cloud.thing_delete(tenant, &thing(&web), &ours).await;
        gone.expect("both are ours");
        let (_, found) = ground.ask("GET", "network", &path, "", None).await;
        let rules = found["security_group"]["security_group_rules"].as_array();
        let named = |rule: &Value| rule["remote_group_id"] == json!(web);
        assert!(
            !rules.expect("rules").iter().any(named),
            "Neutron took the rule"
        );
        remove(stage, tenant, ThingKind::SecurityGroup, &base).await;
    }
}

pub(super) fn port_at(network: &str, address: Option<&str>, mac: Option<&str>) -> Request {
    Request::Make(Make::Port(NewPort {
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
        bare: false,
        down: false,
        default_group: false,
        uplink_status: None,
    }))
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
        let Some(Fact::Port(PortAddresses { addresses, .. })) = first.fact else {
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
        let id = first.cloud_id.expect("an id");
        let port = PortId::new(id.clone());
        perform(
            stage,
            tenant,
            "",
            &Request::Apply(Apply::PortName {
                port,
                name: String::new(),
            }),
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
        assert_eq!((seen.name.as_str(), seen.verdict()), ("", Readiness::Ready));
        remove(stage, tenant, ThingKind::Port, &id).await;
        ground
            .remove("network", &format!("networks/{network}"))
            .await;
    }
}

async fn inventory_tells_what_the_tenant_has(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let answer = perform(stage, tenant, "", &Request::Read(Read::Inventory)).await;
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
        let elsewhere = stage.client("admin", OpenStackSettings::default());
        let answer = elsewhere
            .request_perform(tenant, "", &Request::Read(Read::Inventory))
            .await;
        let Some(Fact::Inventory(inventory)) = answer.expect("an answer").fact else {
            panic!("no inventory");
        };
        assert!(
            matches!(inventory.admin, AdminReach::Other(_)),
            "{:?}",
            inventory.admin
        );
        // What imports land in pays for them.
        assert!(
            inventory
                .importer
                .is_some_and(|quotas| quotas.backups.is_some())
        );
    }
}

async fn rights_and_quotas_are_seen_before_anything_is_made(stage: &Stage) {
    let look = Request::Read(Read::Allowance { export: true });
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let answer = perform(stage, tenant, "", &look).await;
        let Some(Fact::Allowance(seen)) = answer.fact else {
            panic!("no allowance");
        };
        assert_eq!(seen.export, Right::Granted);
        let quotas = &seen.quotas;
        for left in [quotas.snapshots, quotas.backups, quotas.backup_gigabytes] {
            assert!(left.is_some(), "{quotas:?}");
        }
        let member = stage.client("", OpenStackSettings::default());
        let answer = member.request_perform(tenant, "", &look).await;
        let Some(Fact::Allowance(seen)) = answer.expect("an answer").fact else {
            panic!("no allowance");
        };
        assert!(
            matches!(seen.export, Right::Refused(_)),
            "{:?}",
            seen.export
        );
        let absent = Request::Read(Read::Presence {
            backups: vec![VolumeBackupId::new(Uuid::new_v4().to_string())],
            projects: Vec::new(),
        });
        let answer = member.request_perform(tenant, "", &absent).await;
        let Some(Fact::Presence(Presence { import, .. })) = answer.expect("an answer").fact else {
            panic!("no presence");
        };
        assert!(matches!(import, Right::Refused(_)), "{import:?}");
    }
}

/// A user has so many key pairs and no more; how many it has nobody tells.
async fn key_pairs_of_a_user_have_a_quota(stage: &Stage) {
    for (ground, admin) in grounds(stage).await {
        let room = async || {
            let answer = perform(stage, &ground.tenant, "", &Request::Read(Read::Inventory)).await;
            let Some(Fact::Inventory(inventory)) = answer.fact else {
                panic!("no inventory");
            };
            inventory.quotas.key_pairs.expect("a limit")
        };
        let path = format!("os-quota-sets/{}", ground.tenant.project);
        let before = look(&admin, "compute", &path, "", "quota_set").await["key_pairs"].clone();
        let limit = async |limit: &Value| {
            let body = json!({"quota_set": {"key_pairs": limit}});
            is(&say(&admin, "PUT", "compute", &path, body).await, 200, "");
        };
        let used = before.as_i64().expect("a number") - i64::try_from(room().await).expect("few");
        limit(&json!(used)).await;
        assert_eq!(room().await, 0);
        let body =
            json!({"keypair": {"name": format!("{}-more", stage.mark), "public_key": PUBLIC_KEY}});
        let said = say(ground, "POST", "compute", "os-keypairs", body).await;
        is(&said, 403, "too many key pairs");
        limit(&before).await;
    }
}

async fn record_without_the_right_is_forbidden(stage: &Stage) {
    let member = stage.client("", OpenStackSettings::default());
    let record = Request::Import {
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
