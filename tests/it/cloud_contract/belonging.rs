//! The claim that what is asked for under the name of a tenant belongs to it, whoever may see more; this file may
//! not know which clouds these are.

use drbackup::{
    domain::{
        effect::{Make, Read, Request},
        fault::FaultKind,
        id::{ServerId, Tenant},
        sighting::{Thing, ThingKind},
    },
    openstack::Clouds,
    port::cloud::Cloud as _,
};
use serde_json::json;

use super::{
    Ground, Stage,
    claims::{kind_of, make, ready, remove},
    ground::text,
};

/// To an admin whose project is named every thing of another project is as one that is not there: it is not read,
/// not listed, and not deleted.
pub(super) async fn what_is_another_tenants_is_as_if_it_were_not_there(stage: &Stage) {
    let elsewhere = stage.admin_elsewhere();
    let owner = stage.source_tenant();
    let entry = format!("{}-admin", owner.cloud);
    let stranger = Ground::of_entry(&stage.file, owner.cloud.as_str(), &entry).await;
    assert_ne!(stranger.tenant, *owner);
    let stranger = &stranger.tenant;

    let specimen = stage.source.specimen(&stage.mark).await;
    let server = ServerId::new(specimen.server.clone());
    let image = Request::Make(Make::Image {
        server: server.clone(),
    });
    let image = make(stage, owner, &format!("{}-image", stage.mark), &image).await;
    ready(stage, owner, ThingKind::Image, &image).await;
    let volume = &specimen.volumes[1];
    let body = json!({"name": stage.mark, "volume_id": volume, "force": true});
    let made = stage
        .source
        .make("volumev3", "snapshots", "", "snapshot", body.clone());
    let snapshot = text(&made.await["id"]);
    ready(stage, owner, ThingKind::Snapshot, &snapshot).await;
    let made = stage.source.make("volumev3", "backups", "", "backup", body);
    let backup = text(&made.await["id"]);
    ready(stage, owner, ThingKind::VolumeBackup, &backup).await;

    for (kind, id) in [
        (ThingKind::Server, &specimen.server),
        (ThingKind::Volume, volume),
        (ThingKind::Snapshot, &snapshot),
        (ThingKind::VolumeBackup, &backup),
        (ThingKind::Image, &image),
        (ThingKind::Port, &specimen.ports[0].0),
        (ThingKind::SecurityGroup, &specimen.friend),
    ] {
        let thing = Thing {
            kind,
            id: id.clone(),
        };
        if kind == ThingKind::VolumeBackup {
            let seen = elsewhere.thing_get(owner, &thing).await.expect("an answer");
            assert!(seen.is_some(), "an admin is shown the {thing}");
        }
        let seen = elsewhere.thing_get(stranger, &thing).await;
        assert_eq!(seen, Ok(None), "{thing}");
        let listed = elsewhere.things_list(stranger, kind).await.expect("a list");
        assert!(listed.iter().all(|one| one.thing != thing), "{thing}");
        let deleted = elsewhere.thing_delete(stranger, &thing, &[]).await;
        assert_eq!(kind_of(deleted), FaultKind::NotFound, "{thing}");
        let seen = stage
            .cloud
            .thing_get(owner, &thing)
            .await
            .expect("an answer");
        assert!(
            seen.is_some_and(|seen| seen.status != "deleting"),
            "{thing}"
        );
    }
    no_instance_is_read(&elsewhere, stranger, &server, &image).await;
    let instances = elsewhere.instances_list(stranger).await.expect("a list");
    assert!(instances.iter().all(|one| one.server != server));
    let networks = elsewhere.networks_list(stranger).await.expect("a list");
    assert!(
        networks
            .iter()
            .all(|one| one.id.as_str() != specimen.network)
    );

    for (kind, id) in [
        (ThingKind::VolumeBackup, &backup),
        (ThingKind::Snapshot, &snapshot),
        (ThingKind::Image, &image),
    ] {
        remove(stage, owner, kind, id).await;
    }
    let snapshots = stage.cloud.things_list(owner, ThingKind::Snapshot).await;
    for left in snapshots.expect("a list") {
        if left.name.contains(&stage.mark) {
            remove(stage, owner, ThingKind::Snapshot, &left.thing.id).await;
        }
    }
    stage.source.clear(&specimen).await;
}

/// An instance, how it stands and what an image of it brought are not read under the name of another tenant.
async fn no_instance_is_read(
    elsewhere: &Clouds,
    stranger: &Tenant,
    server: &ServerId,
    image: &str,
) {
    let peek = elsewhere.instance_peek(stranger, server).await;
    assert_eq!(kind_of(peek), FaultKind::NotFound);
    let read = elsewhere.instance_get(stranger, server).await;
    assert_eq!(kind_of(read), FaultKind::NotFound);
    for read in [
        Read::Instance {
            server: server.clone(),
        },
        Read::ServerState {
            server: server.clone(),
        },
        Read::Captured {
            thing: Thing {
                kind: ThingKind::Image,
                id: image.to_owned(),
            },
            server: server.clone(),
        },
    ] {
        let request = Request::Read(read);
        let read = elsewhere.request_perform(stranger, "", &request).await;
        assert_eq!(kind_of(read), FaultKind::NotFound);
    }
}
