//! How well the volumes agree: what is reached and told, and what is refused; it may not know the engine.

use super::world::{Story, answer, create, create_regular, of_server, plan, row, unfold};
use crate::domain::{
    capture::Capture,
    consistency::{Consistency, ConsistencyLevel},
    decision::{Detail, Ending},
    effect::{Apply, Disposal, EffectState, Fact, Make, Request},
    fault::FaultKind,
    inventory::Right,
    ledger::Ledger,
    operation::{Ask, Operation},
    time::Timestamp,
};

const VOLUMES: usize = 2;

fn reached(story: &Story) -> Option<Consistency> {
    match &story.detail {
        Some(Detail::Point(detail)) => detail.consistency.clone(),
        Some(Detail::Restoration(_)) | None => None,
    }
}

fn at(story: &Story, key: &str) -> usize {
    let mut keys = story.wished.iter().map(|(key, _, _)| key.as_str());
    keys.position(|one| one == key)
        .unwrap_or_else(|| panic!("no {key} in {}", story.text))
}

#[test]
fn the_best_way_is_taken_and_told() {
    let dr = || create(Capture::Snapshot);
    for (operation, level) in [
        (dr(), ConsistencyLevel::VolumeSnapshots),
        (
            of_server(dr(), "quiesced-server", None),
            ConsistencyLevel::Quiesced,
        ),
        (
            of_server(dr(), "grouped-server", None),
            ConsistencyLevel::GroupSnapshot,
        ),
        (
            of_server(create(Capture::VolumeInUse), "quiesced-server", None),
            ConsistencyLevel::PerVolume,
        ),
        (
            of_server(create_regular(), "quiesced-server", None),
            ConsistencyLevel::Quiesced,
        ),
        (
            of_server(create_regular(), "grouped-server", None),
            ConsistencyLevel::VolumeSnapshots,
        ),
    ] {
        let story = unfold(operation, VOLUMES, None, false);
        assert_eq!(story.ending, Ending::Done, "{}", story.text);
        let reached = reached(&story).expect("it is told");
        assert_eq!(reached.level, level, "{}", story.text);
        assert!(reached.skew_ms.is_some());
    }
}

#[test]
fn what_cannot_be_reached_is_refused_before_anything_is_made() {
    let dr = || create(Capture::Snapshot);
    let wish =
        |operation: Operation, server: &str, level| of_server(operation, server, Some(level));
    for (operation, says) in [
        (
            wish(dr(), "source-server", ConsistencyLevel::Quiesced),
            "hw_qemu_guest_agent=yes",
        ),
        (
            wish(dr(), "source-server", ConsistencyLevel::GroupSnapshot),
            "not all in one volume group",
        ),
        (
            wish(dr(), "quiesced-server", ConsistencyLevel::ShutOff),
            "it is ACTIVE, not shut off",
        ),
        (
            wish(
                create(Capture::VolumeInUse),
                "quiesced-server",
                ConsistencyLevel::Quiesced,
            ),
            "read one by one",
        ),
        (
            wish(
                create_regular(),
                "grouped-server",
                ConsistencyLevel::GroupSnapshot,
            ),
            "regular backup",
        ),
    ] {
        let story = unfold(operation, VOLUMES, None, false);
        let Ending::Erred(why) = &story.ending else {
            panic!("{}", story.text)
        };
        assert_eq!(why.reason, "CONSISTENCY_NOT_REACHABLE");
        assert!(why.message.contains(says), "{}", why.message);
        assert!(!why.guidance.is_empty());
        assert_eq!(story.wished.len(), 2, "it only read: {}", story.text);
    }
}

#[test]
fn all_that_is_in_the_way_is_told_at_once() {
    for operation in [create(Capture::Snapshot), create_regular()] {
        let dr = matches!(operation.ask, Ask::CreateDrBackup { .. });
        let operation = of_server(operation, "source-server", Some(ConsistencyLevel::ShutOff));
        let mut ledger = Ledger::default();
        let ending = loop {
            let decision = plan(&operation, &ledger, Timestamp(1));
            if decision.ending != Ending::Open {
                break decision.ending;
            }
            for wish in decision.wishes {
                let mut effect = row(&operation, wish, ledger.next_ordinal());
                answer(&mut effect, VOLUMES);
                if let Some(Fact::Instance(manifest)) = &mut effect.fact {
                    manifest.volumes[0].status = Some("error".to_owned());
                    manifest.volumes[1].encrypted = true;
                } else if let Some(Fact::Allowance(allowance)) = &mut effect.fact {
                    allowance.quotas.snapshots = Some(0);
                    allowance.export = Right::Refused("no".to_owned());
                } else {
                    panic!("it makes something: {effect}");
                }
                ledger.put(effect);
            }
        };
        let Ending::Erred(error) = ending else {
            panic!("{ending:?}")
        };
        let reasons = error.blockers.iter().map(|one| one.reason.as_str());
        let reasons: Vec<&str> = reasons.collect();
        let of_both = [
            FaultKind::Unfit.reason(),
            "CONSISTENCY_NOT_REACHABLE",
            "QUOTA_SHORT",
        ];
        let of_dr = ["VOLUME_ENCRYPTED", "EXPORT_FORBIDDEN"];
        for reason in of_both.iter().chain(of_dr.iter().filter(|_| dr)) {
            assert!(reasons.contains(reason), "{reason} in {reasons:?}");
        }
    }
}

#[test]
fn one_volume_alone_agrees_with_itself() {
    let operation = of_server(
        create(Capture::Snapshot),
        "source-server",
        Some(ConsistencyLevel::GroupSnapshot),
    );
    let story = unfold(operation, 1, None, false);
    assert_eq!(story.ending, Ending::Done);
    let level = reached(&story).map(|one| one.level);
    assert_eq!(level, Some(ConsistencyLevel::VolumeSnapshots));
}

#[test]
fn a_better_way_that_fails_is_made_up_for_only_where_less_is_enough() {
    for (server, key, level) in [
        (
            "quiesced-server",
            "quiesced-image",
            ConsistencyLevel::Quiesced,
        ),
        (
            "grouped-server",
            "group-snapshot",
            ConsistencyLevel::GroupSnapshot,
        ),
    ] {
        let operation = |minimum| of_server(create(Capture::Snapshot), server, minimum);
        let fails = at(&unfold(operation(None), VOLUMES, None, false), key);
        for minimum in [None, Some(ConsistencyLevel::VolumeSnapshots)] {
            let story = unfold(operation(minimum), VOLUMES, Some(fails), false);
            assert_eq!(story.ending, Ending::Done, "{}", story.text);
            let level = reached(&story).map(|one| one.level);
            assert_eq!(level, Some(ConsistencyLevel::VolumeSnapshots));
        }
        let story = unfold(operation(Some(level)), VOLUMES, Some(fails), false);
        assert!(matches!(story.ending, Ending::Erred(_)), "{}", story.text);
        let snapshots = story.wished.iter().filter(|(_, request, _)| {
            matches!(
                request,
                Request::Make(Make::Snapshot { .. } | Make::VolumeBackup { .. })
            )
        });
        assert_eq!(snapshots.count(), 0, "{}", story.text);
    }
}

#[test]
fn what_came_with_an_image_is_looked_for_whatever_becomes_of_it() {
    for regular in [false, true] {
        let operation = if regular {
            create_regular()
        } else {
            create(Capture::Snapshot)
        };
        let operation = of_server(operation, "quiesced-server", None);
        let count = unfold(operation.clone(), VOLUMES, None, false).wished.len();
        for fails in (0..count).map(Some).chain([None]) {
            for cancel in [false, true] {
                let story = unfold(operation.clone(), VOLUMES, fails, cancel);
                let image = story.ledger.iter();
                let asked = image
                    .filter(|one| one.key.as_str() == "quiesced-image")
                    .count();
                let swept = story.ledger.iter();
                let swept: Vec<_> = swept
                    .filter(|one| {
                        matches!(one.request, Request::Apply(Apply::SnapshotsGone { .. }))
                    })
                    .collect();
                assert_eq!(swept.len(), asked, "{}", story.text);
                for sweep in swept {
                    assert!(sweep.state.is_settled());
                    assert_ne!(sweep.state, EffectState::Gone, "it is not given up");
                }
            }
        }
    }
}

#[test]
fn the_image_of_a_regular_backup_goes_and_its_snapshots_stay() {
    let operation = of_server(create_regular(), "quiesced-server", None);
    let story = unfold(operation, VOLUMES, None, false);
    for effect in story.ledger.iter() {
        let expected = match effect.disposal {
            Disposal::Temporary => EffectState::Gone,
            Disposal::Product | Disposal::Keep => EffectState::Done,
        };
        assert_eq!(effect.state, expected, "{effect}");
    }
    let Some(Detail::Point(detail)) = story.detail else {
        panic!("a regular backup")
    };
    assert_eq!(detail.snapshots().len(), VOLUMES);
}
