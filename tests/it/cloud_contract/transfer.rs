//! The claim about a volume that changes its project; this file may not know about which clouds it is.

use drbackup::{
    domain::{
        effect::{Make, Request},
        fault::FaultKind,
        id::VolumeId,
        operation::NAME_MARK,
        sighting::{Thing, ThingKind},
    },
    port::cloud::Cloud,
};
use serde_json::json;

use super::{
    Ground, Stage,
    claims::{kind_of, make, perform, ready, remove, volume_of},
};

/// A volume is taken over from a project that another entry lives in; an offer that a crash left behind
/// is in nobody's way, neither in that of the taking over nor in that of a deletion.
#[expect(
    clippy::too_many_lines,
    reason = "one volume after the other, in the same words"
)]
pub(super) async fn volume_is_taken_over_whatever_was_left_of_it(stage: &Stage) {
    let dr = stage.dr_tenant();
    let entry = format!("{}-admin", dr.cloud);
    let giver = Ground::of_entry(&stage.file, dr.cloud.as_str(), &entry).await;
    let two = Stage {
        cloud: stage.two_projects(),
        file: stage.file.clone(),
        names: stage.names.clone(),
        source: Ground::of_entry(&stage.file, dr.cloud.as_str(), &entry).await,
        dr: Ground::of_entry(
            &stage.file,
            dr.cloud.as_str(),
            &format!("{}-demo", dr.cloud),
        )
        .await,
        mark: stage.mark.clone(),
    };
    let away = &giver.tenant;
    // Offers of ours have names of ours; those of somebody else are none of our business.
    let own = format!("{NAME_MARK}{}", stage.mark);
    let offer = async |volume: &str, name: &str| {
        let body = json!({"volume_id": volume, "name": name});
        giver
            .make(
                "volumev3",
                "volume-transfers",
                "volume 3.55",
                "transfer",
                body,
            )
            .await;
    };
    let offers = async || {
        let (_, all) = giver
            .ask("GET", "volumev3", "volume-transfers", "volume 3.55", None)
            .await;
        let all = all["transfers"].as_array().expect("a list").clone();
        all.iter()
            .filter(|one| {
                let name = one["name"].as_str();
                name.is_some_and(|name| name.ends_with(&stage.mark))
            })
            .count()
    };

    let volume = make(&two, away, &stage.mark, &volume_of(1)).await;
    ready(&two, away, ThingKind::Volume, &volume).await;
    offer(&volume, &own).await;
    let take = Request::Make(Make::AcceptTransfer {
        volume: VolumeId::new(volume.clone()),
        from: away.project.clone(),
    });
    for _ in 0..2 {
        let answer = perform(&two, dr, &stage.mark, &take).await;
        assert_eq!(answer.cloud_id.as_deref(), Some(volume.as_str()));
    }
    let seen = ready(&two, dr, ThingKind::Volume, &volume).await;
    assert_eq!(seen.name, stage.mark, "it keeps its name");
    let left = two.cloud.things_list(away, ThingKind::Volume).await;
    let left = left.expect("a list");
    assert!(left.iter().all(|one| one.thing.id != volume), "{left:?}");
    assert_eq!(offers().await, 0);
    remove(&two, dr, ThingKind::Volume, &volume).await;
    let gone = two.cloud.request_perform(dr, &stage.mark, &take).await;
    assert_eq!(kind_of(gone), FaultKind::NotFound);

    let volume = make(&two, away, &stage.mark, &volume_of(1)).await;
    ready(&two, away, ThingKind::Volume, &volume).await;
    offer(&volume, &own).await;
    let thing = Thing {
        kind: ThingKind::Volume,
        id: volume.clone(),
    };
    let deleted = two.cloud.thing_delete(away, &thing, &[]).await;
    deleted.expect("the offer goes with it");
    assert_eq!(offers().await, 0);
    remove(&two, away, ThingKind::Volume, &volume).await;

    let volume = make(&two, away, &stage.mark, &volume_of(1)).await;
    ready(&two, away, ThingKind::Volume, &volume).await;
    offer(&volume, &format!("gift-{}", stage.mark)).await;
    let thing = Thing {
        kind: ThingKind::Volume,
        id: volume.clone(),
    };
    let refused = two.cloud.thing_delete(away, &thing, &[]).await;
    assert_eq!(kind_of(refused), FaultKind::Held, "somebody gives it away");
    let take = Request::Make(Make::AcceptTransfer {
        volume: VolumeId::new(volume.clone()),
        from: away.project.clone(),
    });
    let refused = two.cloud.request_perform(dr, &stage.mark, &take).await;
    assert_eq!(kind_of(refused), FaultKind::Conflict);
    assert_eq!(offers().await, 1, "and nobody takes the offer back");
    let (_, all) = giver
        .ask("GET", "volumev3", "volume-transfers", "volume 3.55", None)
        .await;
    let all = all["transfers"].as_array().expect("a list");
    let gift = all.iter().find(|one| one["volume_id"] == volume.as_str());
    let path = format!(
        "volume-transfers/{}",
        gift.expect("an offer")["id"].as_str().expect("an id")
    );
    giver
        .ask("DELETE", "volumev3", &path, "volume 3.55", None)
        .await;
    remove(&two, away, ThingKind::Volume, &volume).await;
}
