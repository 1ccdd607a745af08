//! Deletions: what they take, what they leave to a missing cloud, and what their end says of the claim; they
//! may not know the engine.

use uuid::Uuid;

use super::{
    super::PatienceSettings,
    patience::{HOUR, change},
    world::{answer, backup_detail, operation, plan, row, tenant, unfold},
};
use crate::domain::{
    decision::Ending,
    effect::{EffectKind, EffectState, Read, Request},
    fault::{Fault, FaultKind, Service},
    id::{CloudName, PointId, ResourceId, VolumeBackupId},
    ledger::Ledger,
    lifecycle::State,
    operation::{Ask, Leftover, Operation},
    sighting::{Thing, ThingKind},
    time::Timestamp,
    verification::Cause,
    volume_backup::BackupAt,
};

fn mirror(cloud: &str, index: usize) -> BackupAt {
    BackupAt {
        backup: VolumeBackupId::new(format!("backup-{index}")),
        tenant: tenant(cloud, "demo"),
    }
}

fn left(kind: ThingKind, id: &str) -> Leftover {
    Leftover {
        tenant: tenant("source", "demo"),
        thing: Thing {
            kind,
            id: id.to_owned(),
        },
    }
}

fn of_dr_backup(leftovers: Vec<Leftover>, missing: Vec<CloudName>) -> Operation {
    let ask = Ask::DeleteDrBackup {
        backups: vec![mirror("source", 0), mirror("source", 1)],
        mirrors: vec![mirror("dr", 0), mirror("dr", 1)],
        leftovers,
        missing,
    };
    let resource = ResourceId::Point(PointId::dr(Uuid::nil()));
    operation(resource, tenant("source", "demo"), ask, State::Deleting)
}

fn of_backup(missing: Vec<CloudName>) -> Operation {
    let ask = Ask::DeleteBackup {
        detail: Box::new(backup_detail(2)),
        leftovers: Vec::new(),
        missing,
    };
    let resource = ResourceId::Point(PointId::regular(Uuid::nil()));
    operation(resource, tenant("source", "demo"), ask, State::Deleting)
}

/// What is asked to go, as `CLOUD ID`, in its order.
fn dropped(operation: &Operation) -> (Vec<String>, String) {
    let story = unfold(operation.clone(), 2, None, false);
    assert_eq!(story.ending, Ending::Done, "{}", story.text);
    let mut drops: Vec<_> = story.ledger.iter().collect();
    drops.sort_by_key(|effect| effect.ordinal);
    let drops = drops.into_iter().map(|effect| {
        assert!(matches!(effect.request.kind(), EffectKind::Drop(_)));
        let id = effect.request.known_id().unwrap_or_default();
        format!("{} {id}", effect.tenant.cloud)
    });
    let last = plan(operation, &story.ledger, Timestamp(1));
    (drops.collect(), last.report.runtime_state)
}

#[test]
fn what_was_left_behind_goes_too_what_stands_on_it_first_and_nothing_twice() {
    let leftovers = vec![
        left(ThingKind::Snapshot, "snapshot"),
        left(ThingKind::Volume, "copy"),
        left(ThingKind::VolumeBackup, "backup-0"),
        left(ThingKind::VolumeBackup, "failed"),
        left(ThingKind::Image, "image"),
    ];
    let (drops, last) = dropped(&of_dr_backup(leftovers, Vec::new()));
    assert_eq!(
        drops,
        [
            "source backup-0",
            "source backup-1",
            "dr backup-0",
            "dr backup-1",
            "source failed",
            "source copy",
            "source image",
            "source snapshot"
        ]
    );
    assert_eq!(last, "Deleted");
}

/// What is asked to go, as `CLOUD ID`, in its order, where these clouds answer nothing to any look.
fn dropped_while_silent(operation: &Operation, silent: &[&str]) -> (Vec<String>, String) {
    let operation = &Operation {
        deadline: Timestamp(1).after(HOUR),
        ..operation.clone()
    };
    let mut ledger = Ledger::default();
    let mut drops = Vec::new();
    let mut now = Timestamp(1);
    for _ in 0..50 {
        let decision = plan(operation, &ledger, now);
        if decision.ending != Ending::Open {
            assert_eq!(decision.ending, Ending::Done);
            return (drops, decision.report.runtime_state);
        }
        let waits = decision.wishes.is_empty() && decision.drops.is_empty();
        for wish in decision.wishes {
            let mut effect = row(operation, wish, ledger.next_ordinal());
            let cloud = effect.tenant.cloud.as_str();
            if silent.contains(&cloud) {
                assert!(matches!(
                    effect.request,
                    Request::Read(Read::Allowance { .. })
                ));
                let (kind, service) = (FaultKind::Unreachable, Service::BlockStorage);
                let fault = Fault::new(kind, service, "look", "no route to host");
                effect.fault = Some(fault.met(now, None));
            } else {
                if let Request::Drop { thing } = &effect.request {
                    drops.push(format!("{cloud} {}", thing.id));
                }
                answer(&mut effect, 2);
            }
            ledger.put(effect);
        }
        change(&mut ledger, |effect| {
            if decision.drops.contains(&effect.key) {
                let patience = Timestamp(1).after(PatienceSettings::default().pause);
                assert!(now >= patience, "one look is not enough");
                effect.state = EffectState::Gone;
            }
        });
        if waits {
            now = decision.again.expect("it looks again");
        }
    }
    panic!("it does not end: {ledger:#?}")
}

#[test]
fn a_missing_cloud_that_is_back_when_it_matters_is_not_forgotten() {
    let both = || ["source", "dr"].map(CloudName::new).to_vec();
    let deletion = of_dr_backup(Vec::new(), both());
    let (drops, last) = dropped_while_silent(&deletion, &[]);
    let source = ["source backup-0", "source backup-1"];
    let dr = ["dr backup-0", "dr backup-1"];
    assert_eq!(drops, [source, dr].concat(), "the originals first");
    assert_eq!(last, "Deleted");
    // One that answers with a refusal is there too.
    let looks = plan(&deletion, &Ledger::default(), Timestamp(1)).wishes;
    assert_eq!(
        looks.len(),
        2,
        "nothing is asked for before both were looked at"
    );
    let mut ledger = Ledger::default();
    for wish in looks {
        let mut effect = row(&deletion, wish, ledger.next_ordinal());
        effect.state = EffectState::Failed;
        let (kind, service) = (FaultKind::Forbidden, Service::BlockStorage);
        effect.fault = Some(Fault::new(kind, service, "look", "no"));
        ledger.put(effect);
    }
    let next = plan(&deletion, &ledger, Timestamp(1));
    assert_eq!((next.ending, next.wishes.len()), (Ending::Open, 2));
}

#[test]
fn what_lies_in_a_missing_cloud_is_named_and_the_rest_goes() {
    let source = || vec![CloudName::new("source")];
    let (drops, last) = dropped_while_silent(&of_dr_backup(Vec::new(), source()), &["source"]);
    assert_eq!(drops, ["dr backup-0", "dr backup-1"]);
    for backup in ["backup-0", "backup-1"] {
        assert!(
            last.contains(&format!(
                "volume backup {backup} in project demo of cloud source"
            )),
            "{last}"
        );
    }
    let (drops, last) = dropped_while_silent(
        &of_dr_backup(Vec::new(), vec![CloudName::new("dr")]),
        &["dr"],
    );
    assert_eq!(drops, ["source backup-0", "source backup-1"]);
    assert!(last.contains("of cloud dr"), "{last}");
    let (drops, last) = dropped_while_silent(&of_backup(source()), &["source"]);
    assert_eq!(drops, [""; 0]);
    assert!(last.contains("snapshot"), "{last}");
    let things = [ThingKind::Volume, ThingKind::Server].map(|kind| left(kind, "thing").thing);
    let ask = Ask::DeleteRestoration {
        things: things.into(),
        missing: source(),
    };
    let resource = ResourceId::Point(PointId::dr(Uuid::nil()));
    let home = tenant("source", "demo");
    let (drops, last) = dropped_while_silent(
        &operation(resource, home, ask, State::Deleting),
        &["source"],
    );
    assert_eq!(drops, [""; 0]);
    assert!(last.contains("server thing"), "{last}");
}

/// How far the deletion of one part came.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Came {
    NeverTaken,
    Taken,
    Gone,
}

#[test]
fn a_deletion_that_ends_otherwise_claims_what_is_known_and_no_more() {
    for operation in [of_dr_backup(Vec::new(), Vec::new()), of_backup(Vec::new())] {
        for (first, second, expected) in [
            (Came::NeverTaken, Came::NeverTaken, None),
            (Came::Taken, Came::NeverTaken, Some(Cause::BrokenOff)),
            (Came::NeverTaken, Came::Taken, Some(Cause::BrokenOff)),
            (Came::Gone, Came::NeverTaken, Some(Cause::Deleted)),
            (Came::Taken, Came::Gone, Some(Cause::Deleted)),
            (Came::Gone, Came::Gone, Some(Cause::Deleted)),
        ] {
            let mut ledger = Ledger::default();
            let wishes = plan(&operation, &ledger, Timestamp(1)).wishes;
            for (wish, came) in wishes.into_iter().zip([first, second]) {
                let mut effect = row(&operation, wish, ledger.next_ordinal());
                let Request::Drop { thing } = &effect.request else {
                    panic!("a deletion")
                };
                effect.cloud_id = (came != Came::NeverTaken).then(|| thing.id.clone());
                effect.state = match came {
                    Came::Gone => EffectState::Done,
                    // Given up: the row says no more than that.
                    Came::NeverTaken | Came::Taken => EffectState::Gone,
                };
                ledger.put(effect);
            }
            let mut operation = operation.clone();
            operation.cancelled = Some(Timestamp(1));
            let decision = plan(&operation, &ledger, Timestamp(2));
            let all_gone = (first, second) == (Came::Gone, Came::Gone);
            if all_gone && decision.ending == Ending::Done {
                // The regular one is through.
                continue;
            }
            assert!(matches!(decision.ending, Ending::Erred(_)), "{decision:?}");
            let doubt = decision.report.verification.and_then(|claim| claim.doubt);
            assert_eq!(
                doubt.map(|doubt| doubt.cause),
                expected,
                "{first:?} {second:?}"
            );
        }
    }
}
