//! Chains of increments in the planners: what is built on what, what is held, imported and let go; it
//! may not know the engine.

use super::world::{
    Story, answer, chains, create, increment, manifest, plan, restore_chains, row, unfold,
};
use crate::domain::{
    capture::Capture,
    decision::{Detail, Ending},
    effect::{Effect, EffectKind, EffectState, Fact, Make, Parents, Read, Request},
    fault::{Fault, FaultKind, Service},
    id::{EffectKey, VolumeBackupId},
    ledger::Ledger,
    operation::Operation,
    point::{Content, PointDetail},
    time::Timestamp,
    volume_backup::VolumeBackup,
};

fn held(story: &Story) -> Vec<VolumeBackup> {
    let Some(Detail::Point(detail)) = &story.detail else {
        panic!("a DR backup")
    };
    assert_eq!(detail.unrecoverable_reason(), None);
    detail.volume_backups().to_vec()
}

fn keys(story: &Story, of: impl Fn(&Request) -> bool) -> Vec<String> {
    let wished = story.wished.iter();
    let found = wished.filter(|(_, request, _)| of(request));
    found.map(|(key, _, _)| key.to_string()).collect()
}

fn is_backup(request: &Request) -> bool {
    matches!(request, Request::Make(Make::VolumeBackup { .. }))
}

/// Unfolds a creation over two volumes whose effects are answered as `change` says.
fn unfold_with(operation: &Operation, change: impl Fn(&mut Effect)) -> Story {
    let mut story = Story::default();
    for _ in 0..300 {
        let decision = plan(operation, &story.ledger, Timestamp(1));
        story.detail.clone_from(&decision.report.detail);
        for wish in decision.wishes {
            let wished = (wish.key.clone(), wish.request.clone(), wish.disposal);
            story.wished.push(wished);
            let mut effect = row(operation, wish, story.ledger.next_ordinal());
            answer(&mut effect, 2);
            change(&mut effect);
            story.ledger.put(effect);
        }
        for key in decision.drops {
            let mut effect = story.ledger.get(&key).expect("a row").clone();
            effect.state = EffectState::Gone;
            story.ledger.put(effect);
            story.dropped.insert(key);
        }
        if decision.ending != Ending::Open {
            story.ending = decision.ending;
            return story;
        }
    }
    panic!("no end")
}

#[test]
fn the_whole_chain_is_held_newest_first() {
    let story = unfold(increment(Capture::Snapshot), 2, None, false);
    let held = held(&story);
    let ids: Vec<&str> = held.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "made-volume-0-increment",
            "second-of-made-volume-0-increment",
            "first-of-made-volume-0-increment",
            "made-volume-1-increment",
            "second-of-made-volume-1-increment",
            "first-of-made-volume-1-increment",
        ]
    );
    let inherited: Vec<bool> = held.iter().map(|one| one.inherited).collect();
    assert_eq!(inherited, [false, true, true, false, true, true]);
    let incremental: Vec<bool> = held.iter().map(|one| one.incremental).collect();
    assert_eq!(incremental, [true, true, false, true, true, false]);
}

#[test]
fn a_missing_link_makes_it_unrecoverable() {
    let manifest = manifest(2);
    let links = chains(&manifest, &[2, 0]);
    let whole = PointDetail {
        manifest: Some(Box::new(manifest)),
        ..PointDetail::of(Content::Dr(links.clone()))
    };
    assert_eq!(whole.unrecoverable_reason(), None);
    let spoilt = |spoil: fn(&mut Vec<VolumeBackup>)| {
        let mut links = links.clone();
        spoil(&mut links);
        let detail = PointDetail {
            content: Content::Dr(links),
            ..whole.clone()
        };
        detail.unrecoverable_reason().expect("it is spoilt")
    };
    assert_eq!(
        spoilt(|links| drop(links.remove(2))),
        "volume backup backup-0-under-2, on which backup-0-under-1 builds, is not held"
    );
    assert_eq!(
        spoilt(|links| links[1].record = None),
        "the record of volume backup backup-0-under-1 is not held"
    );
    assert_eq!(
        spoilt(|links| links[2].status = "error".to_owned()),
        "volume backup backup-0-under-2 is error"
    );
}

#[test]
fn what_has_no_parent_or_has_grown_gets_a_full_one_at_once() {
    let story = unfold_with(&increment(Capture::Snapshot), |effect| {
        if let Some(Fact::Parents(Parents { newest })) = &mut effect.fact {
            newest.remove(0);
            newest[0].size_gib = Some(1);
        }
    });
    assert_eq!(story.ending, Ending::Done);
    assert_eq!(
        keys(&story, is_backup),
        ["volume-0-backup", "volume-1-backup"]
    );
    assert!(held(&story).iter().all(|one| !one.incremental));
}

#[test]
fn a_copy_has_nothing_to_build_on() {
    let story = unfold(increment(Capture::SnapshotThenCopy), 1, None, false);
    assert_eq!(keys(&story, is_backup), ["volume-0-backup"]);
    let plain = unfold(create(Capture::SnapshotThenCopy), 1, None, false);
    assert_eq!(story.text, plain.text);
}

/// An increment fails with this; answers the story.
fn with_failed_increment(kind: FaultKind, message: &str) -> Story {
    unfold_with(&increment(Capture::Snapshot), |effect| {
        if effect.key.as_str() != "volume-1-increment" {
            return;
        }
        effect.state = EffectState::Failed;
        effect.fact = None;
        effect.fault = Some(Fault::new(kind, Service::BlockStorage, "x", message));
        // Refused at once, it never was.
        if kind == FaultKind::Invalid {
            effect.cloud_id = None;
        }
    })
}

#[test]
fn a_refused_increment_becomes_a_full_one() {
    let story = with_failed_increment(FaultKind::Invalid, "No backups available");
    assert_eq!(story.ending, Ending::Done);
    let made = [
        "volume-0-increment",
        "volume-1-increment",
        "volume-1-backup",
    ];
    assert_eq!(keys(&story, is_backup), made);
    let links = held(&story).len();
    assert_eq!(links, 3 + 1, "a chain of three and a full one");
}

#[test]
fn a_broken_increment_goes_before_the_full_one_is_made() {
    let story = with_failed_increment(FaultKind::Broken, "Do a full backup.");
    assert_eq!(story.ending, Ending::Done);
    assert!(
        story
            .dropped
            .contains(&EffectKey::new("volume-1-increment"))
    );
    let quota = with_failed_increment(FaultKind::Quota, "no room for it");
    assert!(matches!(quota.ending, Ending::Erred(_)));
}

#[test]
fn a_chain_without_end_is_given_up_and_leaves_nothing() {
    let story = unfold_with(&increment(Capture::VolumeInUse), |effect| {
        if let (Some(Fact::Record(exported)), Request::Read(Read::Record { backup })) =
            (&mut effect.fact, &effect.request)
        {
            exported.parent = Some(VolumeBackupId::new(format!(
                "under-{}",
                backup.as_str().len()
            )));
        }
    });
    let Ending::Erred(error) = &story.ending else {
        panic!("{:?}", story.ending)
    };
    assert_eq!(error.reason, "CHAIN_TOO_LONG");
    assert_eq!(story.dropped.len(), 2, "both increments");
}

#[test]
fn every_record_is_imported_after_its_parents() {
    let operation = restore_chains(3);
    let mut ledger = Ledger::default();
    let mut waves: Vec<Vec<String>> = Vec::new();
    loop {
        let decision = plan(&operation, &ledger, Timestamp(1));
        let imports = decision.wishes.iter();
        let imports = imports.filter(|wish| wish.request.kind() == EffectKind::Import);
        let wave: Vec<String> = imports.map(|wish| wish.key.to_string()).collect();
        waves.extend((!wave.is_empty()).then_some(wave));
        if decision.ending != Ending::Open {
            assert_eq!(decision.ending, Ending::Done);
            break;
        }
        for wish in decision.wishes {
            let mut effect = row(&operation, wish, ledger.next_ordinal());
            answer(&mut effect, 3);
            ledger.put(effect);
        }
    }
    assert_eq!(
        waves,
        [
            &["volume-0-record-2", "volume-1-record", "volume-2-record-1"][..],
            &["volume-0-record-1", "volume-2-record"],
            &["volume-0-record"],
        ]
    );
    let fills = ledger.iter().filter_map(|effect| {
        let Request::RestoreInto { backup, .. } = &effect.request else {
            return None;
        };
        Some(backup.as_str())
    });
    let restored: Vec<&str> = fills.collect();
    assert_eq!(restored, ["backup-0", "backup-1", "backup-2"]);
}

#[test]
fn every_link_needs_room_in_the_quota() {
    let operation = restore_chains(1);
    let story = unfold_with(&operation, |effect| {
        if let Some(Fact::Inventory(inventory)) = &mut effect.fact {
            inventory.quotas.backups = Some(2);
            inventory.quotas.backup_gigabytes = Some(2);
        }
    });
    let Ending::Erred(error) = story.ending else {
        panic!("it does not fit")
    };
    for text in [
        "volume backups is short: 3 needed, 2 left",
        "volume backup GiB is short: 3 needed, 2 left",
    ] {
        assert!(error.message.contains(text), "{}", error.message);
    }
}
