//! What does not end by itself gets another status from an admin: not before its patience is over, and only
//! once; it may not know the engine.

use super::{
    super::PatienceSettings,
    patience::{HOUR, change, clean_up, restoring, until_all_wait},
    world::{create, of_server, plan, registry, restore, row},
};
use crate::domain::{
    capture::Capture,
    decision::Ending,
    effect::{Apply, Effect, EffectKind, EffectState, Request},
    fault::{Fault, FaultKind, Service},
    ledger::Ledger,
    operation::Operation,
    restoration::RestoreOptions,
    sighting::ThingKind,
    time::Timestamp,
};

fn wished(operation: &Operation, ledger: &Ledger, now: Timestamp) -> Vec<Request> {
    let wishes = plan(operation, ledger, now).wishes;
    wishes.into_iter().map(|wish| wish.request).collect()
}

/// Whatever holds the only record of a restoration, after its patience it is freed, and once.
fn is_freed_once(operation: &Operation, mut ledger: Ledger) {
    let patience = Timestamp(1).after(PatienceSettings::default().stuck_after);
    let before = plan(operation, &ledger, Timestamp(patience.0 - 1));
    assert_eq!(before.wishes, []);
    assert!(before.again.is_some_and(|again| again <= patience));

    let after = plan(operation, &ledger, patience);
    let [free] = after.wishes.as_slice() else {
        panic!("{:#?}", after.wishes);
    };
    assert!(matches!(
        free.request,
        Request::Apply(Apply::ResetBackupStatus {
            interrupt_restore: false,
            ..
        })
    ));
    ledger.put(row(operation, free.clone(), ledger.next_ordinal()));
    assert_eq!(wished(operation, &ledger, patience.after(HOUR)), []);
}

#[test]
fn a_record_whose_import_does_not_end_is_freed_once() {
    let (operation, ledger) = restoring(|effect| {
        let waits = effect.request.kind() == EffectKind::Import;
        if waits {
            effect.state = EffectState::Accepted;
            effect.status = Some("creating".to_owned());
        }
        waits
    });
    is_freed_once(&operation, ledger);
}

#[test]
fn a_record_that_stays_busy_is_freed_once() {
    let (operation, ledger) = restoring(|effect| {
        let waits = effect.request.kind() == EffectKind::RestoreInto;
        if waits {
            let (kind, doing) = (FaultKind::Busy, "restore the volume backup");
            effect.fault = Some(Fault::new(kind, Service::BlockStorage, doing, "restoring"));
        }
        waits
    });
    is_freed_once(&operation, ledger);
}

#[test]
fn a_volume_that_is_stuck_while_it_is_filled_frees_its_record_too() {
    let (mut operation, mut ledger) = restoring(|effect| {
        let waits = effect.request.kind() == EffectKind::RestoreInto;
        if waits {
            effect.state = EffectState::Accepted;
            effect.status = Some("restoring-backup".to_owned());
        }
        waits
    });
    operation.cancelled = Some(Timestamp(1));
    let is_volume = |effect: &Effect| effect.request.kind() == EffectKind::Make(ThingKind::Volume);
    clean_up(&operation, &mut ledger, |effect| {
        if is_volume(effect) {
            EffectState::Dropping
        } else {
            EffectState::Gone
        }
    });
    change(&mut ledger, |effect| {
        if is_volume(effect) {
            effect.status = Some("restoring-backup".to_owned());
        }
    });
    assert_eq!(wished(&operation, &ledger, Timestamp(1)), []);

    let patience = Timestamp(1).after(PatienceSettings::default().stuck_after);
    let wishes = plan(&operation, &ledger, patience).wishes;
    let [freed, reset] = wishes.as_slice() else {
        panic!("{wishes:#?}");
    };
    assert!(matches!(
        freed.request,
        Request::Apply(Apply::ResetBackupStatus {
            interrupt_restore: true,
            ..
        })
    ));
    assert!(matches!(
        reset.request,
        Request::Apply(Apply::ErrorStatus { .. })
    ));
    for wish in wishes {
        ledger.put(row(&operation, wish, ledger.next_ordinal()));
    }
    change(&mut ledger, |effect| {
        if is_volume(effect) {
            effect.state = EffectState::Gone;
        }
    });
    clean_up(&operation, &mut ledger, |_| EffectState::Gone);
    let waits = plan(&operation, &ledger, patience);
    assert_eq!(waits.ending, Ending::Open, "the record comes first");
    change(&mut ledger, |effect| {
        if matches!(
            effect.request,
            Request::Apply(Apply::ResetBackupStatus { .. })
        ) {
            effect.state = EffectState::Done;
        }
    });
    let ended = plan(&operation, &ledger, patience);
    assert!(matches!(ended.ending, Ending::Erred(_)), "{ended:#?}");
}

#[test]
fn a_restore_of_somebody_else_is_not_cut_off_by_a_volume_that_does_not_go() {
    let (operation, ledger) = restoring(|effect| {
        let waits = effect.request.kind() == EffectKind::RestoreInto;
        if waits {
            let (kind, doing) = (FaultKind::Busy, "restore the volume backup");
            effect.fault = Some(Fault::new(kind, Service::BlockStorage, doing, "restoring"));
        }
        waits
    });
    let wished = wished_of_leaving_volumes(operation, ledger, "error_deleting");
    assert!(
        matches!(
            wished.as_slice(),
            [Request::Apply(Apply::ErrorStatus { .. })]
        ),
        "{wished:#?}"
    );
}

#[test]
fn a_cloud_that_was_away_for_long_is_met_with_new_patience_by_every_planner() {
    let patience = PatienceSettings::default().stuck_after;
    let heard = Timestamp(1).after(patience * 3);
    let mut resets = 0;
    for mut operation in registry(2) {
        operation.deadline = Timestamp(1).after(patience * 9);
        let ledger = until_all_wait(&operation, |effect| {
            let kind = effect.request.kind();
            let waits = matches!(kind, EffectKind::Drop(_) | EffectKind::RestoreInto);
            if waits {
                let refusal = Fault::new(FaultKind::Busy, Service::BlockStorage, "ask", "not now");
                effect.fault = Some(refusal.met(heard, None));
                effect.status = Some("deleting".to_owned());
            }
            waits
        });
        let forces = |now: Timestamp| {
            let wished = wished(&operation, &ledger, now);
            let is_forced = |request: &&Request| {
                matches!(
                    request,
                    Request::Apply(Apply::ErrorStatus { .. } | Apply::ResetBackupStatus { .. })
                )
            };
            wished.iter().filter(is_forced).count()
        };
        let last = Timestamp(heard.after(patience).0 - 1);
        assert_eq!((forces(heard), forces(last)), (0, 0), "{:?}", operation.ask);
        resets += forces(heard.after(patience));
    }
    assert!(resets >= 4, "{resets}: nobody loses patience any more");
}

/// What is wished for while the volumes of a cancelled operation are to go and have this status.
fn wished_of_leaving_volumes(
    mut operation: Operation,
    mut ledger: Ledger,
    status: &str,
) -> Vec<Request> {
    operation.cancelled = Some(Timestamp(1));
    clean_up(&operation, &mut ledger, |effect| {
        if effect.request.kind() == EffectKind::Make(ThingKind::Volume) {
            EffectState::Dropping
        } else {
            EffectState::Gone
        }
    });
    change(&mut ledger, |effect| {
        if effect.state == EffectState::Dropping {
            effect.status = Some(status.to_owned());
        }
    });
    wished(&operation, &ledger, Timestamp(1))
}

/// The same of an operation that has got as far as it can, while they are being backed up.
fn wished_of_busy_volumes(operation: Operation) -> Vec<Request> {
    let ledger = until_all_wait(&operation, |_| false);
    wished_of_leaving_volumes(operation, ledger, "backing-up")
}

#[test]
fn a_temporary_volume_that_its_backup_left_busy_is_freed_at_once_and_no_other() {
    let copied = of_server(create(Capture::Snapshot), "image-server", None);
    let wished = wished_of_busy_volumes(copied);
    assert!(
        matches!(
            wished.as_slice(),
            [Request::Apply(Apply::ErrorStatus { .. })]
        ),
        "{wished:#?}"
    );
    // Its owner may well back up what was restored.
    let restored = restore(1, RestoreOptions::default());
    assert_eq!(wished_of_busy_volumes(restored), []);
}
