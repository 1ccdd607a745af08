//! How long planners wait, and what they tell meanwhile; it may not know the engine.

use std::time::Duration;

use super::{
    super::PatienceSettings,
    world::{answer, create, increment, plan, restore, row},
};
use crate::domain::{
    capture::Capture,
    decision::{DesiredEffect, Ending},
    effect::{Apply, Effect, EffectKind, EffectState, Make, Request},
    fault::{Fault, FaultKind, Service},
    id::EffectKey,
    ledger::Ledger,
    operation::{Ask, Operation},
    restoration::RestoreOptions,
    sighting::ThingKind,
    time::Timestamp,
};

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// A DR backup of three volumes, 1 + 2 + 3 GiB, whose volume backups are under way and stay so.
fn under_way() -> (Operation, Ledger) {
    let mut operation = create(Capture::Snapshot);
    operation.deadline = Timestamp(1).after(24 * HOUR);
    operation.per_gib = HOUR;
    let ledger = until_all_wait(&operation, |effect| {
        let waits = effect.request.kind() == EffectKind::Make(ThingKind::VolumeBackup);
        if waits {
            effect.state = EffectState::Accepted;
            effect.status = Some("creating".to_owned());
        }
        waits
    });
    (operation, ledger)
}

/// The ledger of an operation when it has nothing more to wish for: everything is answered but what
/// `waits` says of itself.
pub(super) fn until_all_wait(operation: &Operation, waits: impl Fn(&mut Effect) -> bool) -> Ledger {
    let mut ledger = Ledger::default();
    loop {
        let wishes = plan(operation, &ledger, Timestamp(1)).wishes;
        if wishes.is_empty() {
            return ledger;
        }
        for wish in wishes {
            let mut effect = row(operation, wish, ledger.next_ordinal());
            if !waits(&mut effect) {
                answer(&mut effect, 3);
            }
            ledger.put(effect);
        }
    }
}

#[test]
fn a_stall_is_told_with_its_beginning_and_ends_nothing() {
    let (operation, ledger) = under_way();
    // Half an hour, and a quarter of what moving 6 GiB may take.
    let stalls = Timestamp(1).after(HOUR / 2 + HOUR * 6 / 4);
    let before = plan(&operation, &ledger, Timestamp(stalls.0 - 1));
    assert_eq!(before.report.progress.stalled, None);
    assert_eq!(before.again, Some(stalls), "it is asked again then");

    let after = plan(&operation, &ledger, stalls);
    assert_eq!(after.report.progress.stalled, Some(Timestamp(1)));
    assert!(
        after.report.runtime_state.contains("stalled"),
        "{}",
        after.report.runtime_state
    );
    assert_eq!((after.ending, after.drops.len()), (Ending::Open, 0));
}

#[test]
fn the_deadline_grows_with_what_has_to_be_moved_unless_a_caller_fixed_it() {
    let (mut operation, ledger) = under_way();
    let last = Timestamp(1).after(30 * HOUR);
    let before = plan(&operation, &ledger, Timestamp(last.0 - 1));
    assert_eq!(before.drops, [], "24 hours and one for each of 6 GiB");
    assert_ne!(plan(&operation, &ledger, last).drops, []);

    operation.deadline_fixed = true;
    let fixed = Timestamp(1).after(24 * HOUR);
    assert_eq!(plan(&operation, &ledger, Timestamp(fixed.0 - 1)).drops, []);
    assert_ne!(plan(&operation, &ledger, fixed).drops, []);
}

/// A restoration of one volume that takes its time, up to what `waits` says of itself.
pub(super) fn restoring(waits: impl Fn(&mut Effect) -> bool) -> (Operation, Ledger) {
    let mut operation = restore(1, RestoreOptions::default());
    operation.created = Timestamp(1);
    operation.deadline = Timestamp(1).after(240 * HOUR);
    let ledger = until_all_wait(&operation, waits);
    (operation, ledger)
}

fn fail(effect: &mut Effect) {
    effect.state = EffectState::Failed;
    effect.status = Some("error".to_owned());
    effect.cloud_id = Some(format!("made-{}", effect.key));
    effect.fault = Some(Fault::new(
        FaultKind::Broken,
        Service::BlockStorage,
        "bring the volume backup to its end",
        "it is error: the store is away",
    ));
}

/// Of three volume backups that are under way the first fails as often as it is asked for; `first` and
/// `others` are the keys of what is asked for.
fn fails_again_and_again(operation: &Operation, first: &str, others: [&str; 2]) {
    let mut ledger = until_all_wait(operation, |effect| {
        let waits = effect.request.kind() == EffectKind::Make(ThingKind::VolumeBackup);
        if waits {
            effect.state = EffectState::Accepted;
            if effect.key == EffectKey::new(first) {
                fail(effect);
            }
        }
        waits
    });
    let (mut failed, mut now) = (first, Timestamp(1));
    for other in others {
        let decision = plan(operation, &ledger, now);
        assert_eq!(decision.drops, [EffectKey::new(failed)], "that one goes");
        assert_eq!(decision.wishes, []);
        change(&mut ledger, |effect| {
            if effect.key == EffectKey::new(failed) {
                effect.state = EffectState::Gone;
                effect.status = Some("deleting".to_owned());
                effect.changed = now;
            }
        });
        let over = now.after(PatienceSettings::default().pause);
        let decision = plan(operation, &ledger, now);
        assert_eq!((decision.wishes, decision.drops), (vec![], vec![]));
        assert_eq!(decision.again, Some(over));
        let told = decision.report.runtime_state;
        assert!(told.contains("the store is away"), "{told}");

        now = over;
        let [mut wish] = <[_; 1]>::try_from(plan(operation, &ledger, now).wishes).unwrap();
        if matches!(wish.request, Request::Apply(Apply::SnapshotFreed { .. })) {
            let mut freed = row(operation, wish, ledger.next_ordinal());
            answer(&mut freed, 3);
            ledger.put(freed);
            [wish] = <[_; 1]>::try_from(plan(operation, &ledger, now).wishes).unwrap();
        }
        assert_eq!(wish.key, EffectKey::new(other));
        let before = ledger.get(&EffectKey::new(failed)).expect("a row");
        assert_eq!(wish.request, before.request, "of what was captured");
        let mut effect = row(operation, wish, ledger.next_ordinal());
        fail(&mut effect);
        ledger.put(effect);
        failed = other;
    }
    let told = plan(operation, &ledger, now).report.runtime_state;
    assert!(
        told.starts_with("Cleaning up") && told.contains("the store is away"),
        "{told}"
    );
}

#[test]
fn a_volume_backup_that_fails_is_made_again_after_a_pause() {
    let full = create(Capture::Snapshot);
    let others = ["volume-0-backup-2", "volume-0-backup-3"];
    fails_again_and_again(&full, "volume-0-backup", others);
    let building = increment(Capture::VolumeInUse);
    let others = ["volume-0-increment-2", "volume-0-increment-3"];
    fails_again_and_again(&building, "volume-0-increment", others);
}

/// A restoration whose server was made and ended in an error.
fn server_down(operation: &Operation) -> Ledger {
    until_all_wait(operation, |effect| {
        let waits = effect.request.kind() == EffectKind::Make(ThingKind::Server);
        if waits {
            break_down(effect);
        }
        waits
    })
}

fn break_down(effect: &mut Effect) {
    effect.state = EffectState::Failed;
    effect.cloud_id = Some(format!("made-{}", effect.key));
    effect.fault = Some(Fault::new(
        FaultKind::Broken,
        Service::Compute,
        "bring the server to its end",
        "it is error: No valid host was found.",
    ));
}

#[test]
fn a_server_that_does_not_come_up_goes_and_another_one_is_made_after_a_pause() {
    let operation = restore(1, RestoreOptions::default());
    let limits = PatienceSettings::default();
    let mut ledger = server_down(&operation);
    let mut now = Timestamp(1);
    for (failed, other) in [
        ("server", "server-2"),
        ("server-2", "server-3"),
        ("server-3", "server-4"),
        ("server-4", "server-5"),
    ] {
        let decision = plan(&operation, &ledger, now);
        assert_eq!(
            decision.drops,
            [EffectKey::new(failed)],
            "the one that failed goes first"
        );
        assert_eq!(decision.wishes, []);
        now = now.after(HOUR / 60);
        change(&mut ledger, |effect| {
            if effect.key == EffectKey::new(failed) {
                effect.state = EffectState::Gone;
                effect.changed = now;
            }
        });
        // After the tries, ever longer: what is in the way may be for an operator to mend.
        let doubled = if failed == "server-4" { 2 } else { 1 };
        let over = now.after(limits.pause * doubled);
        let decision = plan(&operation, &ledger, Timestamp(over.0 - 1));
        assert_eq!(decision.wishes, [], "a pause first");
        assert_eq!(decision.drops, [], "what it is made of stays");
        assert_eq!(decision.again, Some(over));
        let told = decision.report.runtime_state;
        assert!(told.contains("No valid host"), "{told}");

        now = over;
        let [wish] = <[_; 1]>::try_from(plan(&operation, &ledger, now).wishes).unwrap();
        assert_eq!(wish.key, EffectKey::new(other));
        let first = ledger.get(&EffectKey::new("server")).unwrap();
        assert_eq!(wish.request, first.request, "of the same volumes and ports");
        let mut effect = row(&operation, wish, ledger.next_ordinal());
        break_down(&mut effect);
        ledger.put(effect);
    }
}

#[test]
fn disks_that_go_with_their_server_are_tied_to_one_that_is_up() {
    let mut operation = restore(1, RestoreOptions::default());
    let Ask::Restore(input) = &mut operation.ask else {
        panic!("a restoration");
    };
    input.manifest.volumes[0].delete_on_termination = true;
    let story = super::unfold(operation, 1, None, false);
    let position = |wanted: fn(&Request) -> bool| {
        let mut wished = story.wished.iter();
        wished.position(|(_, request, _)| wanted(request))
    };
    let server = position(|request| {
        matches!(request, Request::Make(Make::Server(plan))
            if plan.disks.iter().all(|disk| !disk.delete_on_termination))
    });
    let tied =
        position(|request| matches!(request, Request::Apply(Apply::DeleteOnTermination { .. })));
    assert!(server.is_some() && server < tied, "{server:?} {tied:?}");
}

/// A restoration of two volumes, of which Cinder could not restore into the first; the other one waits.
fn one_of_two_not_restored(operation: &Operation) -> Ledger {
    until_all_wait(operation, |effect| {
        let waits = effect.request.kind() == EffectKind::RestoreInto;
        if waits {
            effect.state = EffectState::Accepted;
            effect.status = Some("restoring-backup".to_owned());
            spoil(effect, "volume-0-restore");
        }
        waits
    })
}

fn spoil(effect: &mut Effect, key: &str) {
    if effect.key == EffectKey::new(key) {
        effect.state = EffectState::Failed;
        effect.status = Some("error_restoring".to_owned());
        let (kind, doing) = (FaultKind::Broken, "bring the restore to its end");
        let message = "it is error_restoring: the service gives no reason";
        effect.fault = Some(Fault::new(kind, Service::BlockStorage, doing, message));
    }
}

fn volume_filled(wish: &DesiredEffect) -> &str {
    wish.request.known_id().expect("a restore")
}

#[test]
fn what_cannot_be_restored_into_a_volume_is_restored_into_another_one_after_a_pause() {
    let operation = restore(2, RestoreOptions::default());
    let mut ledger = one_of_two_not_restored(&operation);
    let mut now = Timestamp(1);
    let tries = [
        ("volume-0", "volume-0-restore"),
        ("volume-0-2", "volume-0-restore-2"),
        ("volume-0-3", "volume-0-restore-3"),
    ];
    for (number, (volume, fill)) in tries.into_iter().enumerate() {
        let decision = plan(&operation, &ledger, now);
        let Some((other, refill)) = tries.get(number + 1) else {
            let told = decision.report.runtime_state;
            assert!(
                told.starts_with("Cleaning up") && told.contains("error_restoring"),
                "{told}"
            );
            return;
        };
        assert_eq!(decision.wishes, []);
        assert_eq!(
            decision.drops,
            [EffectKey::new(volume)],
            "that one alone goes"
        );
        change(&mut ledger, |effect| {
            if effect.key == EffectKey::new(volume) {
                effect.state = EffectState::Gone;
            }
        });
        let failed = ledger.get(&EffectKey::new(fill)).expect("a row").changed;
        let over = failed.after(PatienceSettings::default().pause);
        let decision = plan(&operation, &ledger, Timestamp(over.0 - 1));
        assert_eq!((decision.wishes, decision.drops), (vec![], vec![]));
        assert_eq!(decision.again, Some(over));
        let told = decision.report.runtime_state;
        assert!(told.contains("error_restoring"), "{told}");

        now = over;
        let [wish] = <[_; 1]>::try_from(plan(&operation, &ledger, now).wishes).unwrap();
        assert_eq!(wish.key, EffectKey::new(*other));
        let mut made = row(&operation, wish, ledger.next_ordinal());
        answer(&mut made, 3);
        let id = made.id().to_owned();
        ledger.put(made);
        let [wish] = <[_; 1]>::try_from(plan(&operation, &ledger, now).wishes).unwrap();
        assert_eq!((wish.key.as_str(), volume_filled(&wish)), (*refill, &*id));
        let mut filled = row(&operation, wish, ledger.next_ordinal());
        filled.changed = now;
        spoil(&mut filled, refill);
        ledger.put(filled);
    }
}

#[test]
fn a_server_is_made_of_the_volumes_that_could_be_restored_into() {
    let operation = restore(2, RestoreOptions::default());
    let mut ledger = one_of_two_not_restored(&operation);
    let now = Timestamp(1).after(HOUR);
    loop {
        change(&mut ledger, |effect| {
            if effect.state == EffectState::Accepted {
                effect.state = EffectState::Done;
            }
        });
        let decision = plan(&operation, &ledger, now);
        if decision.ending != Ending::Open {
            assert_eq!(decision.ending, Ending::Done);
            break;
        }
        for key in decision.drops {
            change(&mut ledger, |effect| {
                if effect.key == key {
                    effect.state = EffectState::Gone;
                }
            });
        }
        for wish in decision.wishes {
            let mut effect = row(&operation, wish, ledger.next_ordinal());
            answer(&mut effect, 3);
            ledger.put(effect);
        }
    }
    let id = |key: &str| ledger.get(&EffectKey::new(key)).expect("a row").id();
    let server = ledger.get(&EffectKey::new("server")).expect("a row");
    let Request::Make(Make::Server(plan)) = &server.request else {
        panic!("{server:#?}");
    };
    let disks: Vec<&str> = plan.disks.iter().map(|disk| disk.volume.as_str()).collect();
    assert_eq!(disks, [id("volume-0-2"), id("volume-1")]);
}

#[test]
fn a_restore_that_nobody_may_repeat_ends_the_restoration() {
    // Its volume is gone, or its record is of no use: not what a new volume helps against.
    let (operation, ledger) = restoring(|effect| {
        let waits = effect.request.kind() == EffectKind::RestoreInto;
        if waits {
            spoil(effect, "volume-0-restore");
            effect.status = None;
        }
        waits
    });
    let told = plan(&operation, &ledger, Timestamp(1)).report.runtime_state;
    assert!(told.starts_with("Cleaning up"), "{told}");
}

pub(super) fn change(ledger: &mut Ledger, change: impl Fn(&mut Effect)) {
    let rows: Vec<Effect> = ledger.iter().cloned().collect();
    for mut effect in rows {
        change(&mut effect);
        ledger.put(effect);
    }
}

/// Gives everything that is dropped the state that becomes of it, until nothing more is.
pub(super) fn clean_up(
    operation: &Operation,
    ledger: &mut Ledger,
    state: impl Fn(&Effect) -> EffectState,
) {
    loop {
        let drops = plan(operation, ledger, Timestamp(1)).drops;
        if drops.is_empty() {
            return;
        }
        for key in drops {
            let mut effect = ledger.get(&key).expect("a row").clone();
            effect.state = state(&effect);
            ledger.put(effect);
        }
    }
}
