//! The claims about snapshots: those that Nova takes of a server all at once, and those that keep a volume;
//! this file may not know which clouds these are.

use std::collections::BTreeSet;

use drbackup::{
    domain::{
        effect::{Apply, Captured, Fact, Make, Read, Request},
        fault::FaultKind,
        id::{ServerId, SnapshotId},
        sighting::{Thing, ThingKind},
    },
    port::cloud::Cloud,
};
use serde_json::json;

use super::{
    Stage,
    claims::{make, perform, ready, remove},
    ground::text,
    until,
};

/// An image of a server that boots from a volume names a snapshot of each of its volumes; what is taken
/// over of them has our name, and the rest goes by the name of the image.
pub(super) async fn image_of_a_server_brings_a_snapshot_of_each_volume(stage: &Stage) {
    let source = stage.source_tenant();
    let specimen = stage.source.specimen(&stage.mark).await;
    let server = ServerId::new(specimen.server.clone());
    let image_name = format!("{}-image", stage.mark);
    let request = Request::Make(Make::Image {
        server: server.clone(),
    });
    let image = make(stage, source, &image_name, &request).await;
    let seen = ready(stage, source, ThingKind::Image, &image).await;
    assert_eq!(seen.name, image_name);
    let thing = Thing {
        kind: ThingKind::Image,
        id: image.clone(),
    };
    let request = Request::Read(Read::Captured { thing, server });
    let Some(Fact::Captured(Captured {
        quiesced,
        snapshots,
    })) = perform(stage, source, "", &request).await.fact
    else {
        panic!("no snapshots are told");
    };
    assert!(!quiesced, "nobody had to hold still");
    let volumes: BTreeSet<String> = specimen.volumes.iter().cloned().collect();
    let of: BTreeSet<String> = snapshots
        .iter()
        .filter_map(|one| Some(one.volume.as_ref()?.as_str().to_owned()))
        .collect();
    assert_eq!(of, volumes, "{snapshots:?}");

    // One of them becomes ours, whatever is asked twice; the others are left over.
    let taken = snapshots[0].thing.id.clone();
    let ours = format!("{}-taken", stage.mark);
    let take = Request::Make(Make::TakeSnapshot {
        snapshot: SnapshotId::new(&taken),
        description: "of a test".to_owned(),
    });
    for _ in 0..2 {
        assert_eq!(make(stage, source, &ours, &take).await, taken);
    }
    let seen = ready(stage, source, ThingKind::Snapshot, &taken).await;
    assert_eq!(seen.name, ours);
    let gone = Request::Apply(Apply::SnapshotsGone {
        image: image_name.clone(),
    });
    until("the other snapshots are gone", async || {
        let swept = stage.cloud.request_perform(source, "", &gone).await;
        swept.is_ok().then_some(())
    })
    .await;
    let left = stage.cloud.things_list(source, ThingKind::Snapshot).await;
    let left = left.expect("a list");
    let left: Vec<&str> = left
        .iter()
        .filter(|one| {
            one.volume
                .as_ref()
                .is_some_and(|of| volumes.contains(of.as_str()))
        })
        .map(|one| one.thing.id.as_str())
        .collect();
    assert_eq!(left, [taken.as_str()]);

    remove(stage, source, ThingKind::Snapshot, &taken).await;
    remove(stage, source, ThingKind::Image, &image).await;
    stage.source.clear(&specimen).await;
}

/// Cinder keeps a volume of which there are snapshots, and does not say which. An admin who stands in another
/// project sees them too: his own project has none.
pub(super) async fn snapshot_that_keeps_a_volume_is_named_to_an_admin_of_another_project(
    stage: &Stage,
) {
    let elsewhere = stage.admin_elsewhere();
    for ground in [&stage.source, &stage.dr] {
        let volume = ground.volume(&stage.mark).await;
        let body = json!({"name": stage.mark, "volume_id": volume});
        let made = ground
            .make("volumev3", "snapshots", "", "snapshot", body)
            .await;
        let snapshot = text(&made["id"]);
        let path = format!("snapshots/{snapshot}");
        ground
            .wait("volumev3", &path, "snapshot", "available")
            .await;
        let thing = |kind, id: &str| Thing {
            kind,
            id: id.to_owned(),
        };
        let kept = thing(ThingKind::Volume, &volume);
        let refused = elsewhere.thing_delete(&ground.tenant, &kept, &[]).await;
        let fault = refused.expect_err("it has a snapshot");
        assert_eq!(fault.kind, FaultKind::Held, "{fault}");
        assert!(fault.message.contains(&snapshot), "{fault}");
        // One of ours goes by itself, and is no stranger.
        let ours = [thing(ThingKind::Snapshot, &snapshot)];
        let refused = elsewhere.thing_delete(&ground.tenant, &kept, &ours).await;
        let fault = refused.expect_err("it has a snapshot");
        assert_ne!(fault.kind, FaultKind::Held, "{fault}");
        for path in [path, format!("volumes/{volume}")] {
            ground.remove("volumev3", &path).await;
        }
    }
}
