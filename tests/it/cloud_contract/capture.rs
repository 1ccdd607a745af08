//! The claims about snapshots that Nova takes of a server all at once; this file may not know which clouds
//! these are.

use std::collections::BTreeSet;

use drbackup::{
    domain::{
        effect::{Apply, Captured, Fact, Make, Read, Request},
        id::{ServerId, SnapshotId},
        sighting::{Thing, ThingKind},
    },
    port::cloud::Cloud,
};

use super::{
    Stage,
    claims::{make, perform, ready, remove},
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
