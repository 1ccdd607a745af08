//! What is undone, for what, and on what knowledge: every planner, every effect; it may not know the
//! engine.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::{PatienceSettings, deletion},
    world::{answer, plan, registry, restore, restore_regular, row},
};
use crate::domain::{
    consistency::ConsistencyLevel,
    decision::{Detail, Ending},
    effect::{Apply, Effect, EffectKind, EffectState, Fact, Make, NewVolume, Request},
    error::OperationError,
    fault::{Fault, FaultKind, Service},
    id::EffectKey,
    ledger::Ledger,
    operation::{Ask, Operation},
    restoration::RestoreOptions,
    time::Timestamp,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What can befall an operation besides a failure.
const ENDS: [&str; 2] = ["the deadline passes", "it is cancelled"];

fn befall(operation: &mut Operation, what: &str) -> Timestamp {
    operation.deadline = Timestamp(1).after(DAY);
    operation.deadline_fixed = true;
    if what == ENDS[1] {
        operation.cancelled = Some(Timestamp(1));
        return Timestamp(1);
    }
    Timestamp(1).after(DAY + DAY / 24)
}

/// The ledger of an operation when it waits for its effect number `at` and for nothing else, and that
/// effect; nothing when it has no such effect.
fn waits_at(
    operation: &Operation,
    at: usize,
    change: impl Fn(&mut Effect),
) -> Option<(Ledger, EffectKey)> {
    let mut ledger = Ledger::default();
    let mut waiting = None;
    let mut wished = 0;
    loop {
        let decision = plan(operation, &ledger, Timestamp(1));
        if decision.wishes.is_empty() && decision.drops.is_empty() {
            return waiting.map(|key| (ledger, key));
        }
        for key in decision.drops {
            let mut effect = ledger.get(&key).expect("a row").clone();
            effect.state = EffectState::Gone;
            ledger.put(effect);
        }
        for wish in decision.wishes {
            let mut effect = row(operation, wish, ledger.next_ordinal());
            if wished == at {
                change(&mut effect);
                waiting = Some(effect.key.clone());
            } else {
                answer(&mut effect, 3);
            }
            wished += 1;
            ledger.put(effect);
        }
    }
}

fn accepted(effect: &mut Effect) {
    effect.state = EffectState::Accepted;
    effect.status = Some("creating".to_owned());
}

fn refused(effect: &mut Effect, kind: FaultKind) {
    effect.state = EffectState::Failed;
    effect.fault = Some(Fault::new(kind, Service::Compute, "do it", "no"));
}

#[test]
fn nothing_goes_and_nothing_leaves_before_everything_open_was_seen_once_more() {
    for what in ENDS {
        for operation in registry(3) {
            let name = operation.ask.name();
            for at in 0.. {
                let mut operation = operation.clone();
                let Some((mut ledger, key)) = waits_at(&operation, at, accepted) else {
                    break;
                };
                let now = befall(&mut operation, what);
                let kind = ledger.get(&key).expect("a row").request.kind();
                if matches!(
                    kind,
                    EffectKind::Read | EffectKind::Apply | EffectKind::Drop(_)
                ) {
                    // Nothing that it did would go.
                    continue;
                }
                ledger.set_unseen(BTreeSet::from([key.clone()]));
                let blind = plan(&operation, &ledger, now);
                assert_eq!(blind.ending, Ending::Open, "{name} at {key}: {what}");
                assert_eq!(blind.drops, [], "{name} at {key}: {what}");
                assert_eq!(blind.wishes, [], "{name} at {key}: {what}");
                assert!(blind.looks_only, "{name} at {key}: {what}");
                assert!(blind.again.is_some(), "it does not look for ever");

                // The cloud brought it to its end meanwhile, or did not: either is known now.
                ledger.set_unseen(BTreeSet::new());
                let seen = plan(&operation, &ledger, now);
                assert!(!seen.looks_only, "{name} at {key}: {what}");
            }
        }
    }
}

#[test]
fn what_nobody_could_look_at_is_named_and_left_in_the_end() {
    let mut operation = restore(1, RestoreOptions::default());
    let is_server = |effect: &Effect| matches!(effect.request, Request::Make(Make::Server(_)));
    let at = (0..60)
        .find(|at| {
            let (ledger, key) = waits_at(&operation, *at, accepted).expect("a server");
            ledger.get(&key).is_some_and(is_server)
        })
        .expect("a server");
    let (mut ledger, key) = waits_at(&operation, at, accepted).expect("a server");
    let now = befall(&mut operation, ENDS[0]).after(PatienceSettings::default().cleanup * 2);
    ledger.set_unseen(BTreeSet::from([key]));
    let Ending::Erred(error) = plan(&operation, &ledger, now).ending else {
        panic!("it ends");
    };
    let (_, left) = error
        .message
        .split_once("left behind: ")
        .expect("it is told");
    assert!(left.contains("server drb-"), "{left}");
}

#[test]
fn time_in_which_nobody_worked_does_not_count() {
    for operation in registry(2) {
        let Some((ledger, _)) = waits_at(&operation, 0, accepted) else {
            continue;
        };
        let mut operation = operation.clone();
        let late = befall(&mut operation, ENDS[0]);
        operation.idle = 2 * DAY;
        let name = operation.ask.name();
        assert_eq!(plan(&operation, &ledger, late).drops, [], "{name}");
        assert_eq!(
            plan(&operation, &ledger, late).ending,
            Ending::Open,
            "{name}"
        );
    }
}

/// The restorations whose volumes hold bytes when the effect is asked for: of it only what comes after
/// the first fill, of a regular one what comes after the first volume.
fn holds(operation: &Operation, ledger: &Ledger, key: &EffectKey) -> bool {
    let effect = ledger.get(key).expect("a row");
    let bytes = ledger.iter().any(|row| {
        let from_snapshot = |request: &Request| {
            matches!(request, Request::Make(Make::Volume(NewVolume { snapshot, .. })) if snapshot.is_some())
        };
        let moves = row.request.kind() == EffectKind::RestoreInto || from_snapshot(&row.request);
        moves && row.cloud_id.is_some()
    });
    let moves = matches!(operation.ask, Ask::Restore(_));
    // A sweep is asked for until it is done, so it never fails.
    let fails = !matches!(effect.request, Request::Apply(Apply::SnapshotsGone { .. }));
    moves && bytes && fails && !effect.key.as_str().ends_with("-kept")
}

/// The last ones pass, and did not often enough.
const MENDABLE: [FaultKind; 6] = [
    FaultKind::Unauthenticated,
    FaultKind::Forbidden,
    FaultKind::Quota,
    FaultKind::Unconfigured,
    FaultKind::Unanswered,
    FaultKind::ServiceDown,
];

#[test]
fn what_an_operator_can_mend_holds_what_was_moved_and_undoes_nothing() {
    let mut held = 0;
    for operation in registry(3) {
        let name = operation.ask.name();
        for (at, kind) in (0..60).flat_map(|at| MENDABLE.map(|kind| (at, kind))) {
            let Some((ledger, key)) = waits_at(&operation, at, |effect| refused(effect, kind))
            else {
                continue;
            };
            if !holds(&operation, &ledger, &key) {
                continue;
            }
            let now = Timestamp(1);
            let decision = plan(&operation, &ledger, now);
            let products = |key: &EffectKey| {
                let disposal = ledger.get(key).map(|effect| effect.disposal);
                disposal == Some(crate::domain::effect::Disposal::Product)
            };
            assert!(
                !decision.drops.iter().any(products),
                "{name}: {kind:?} at {key} undoes what was moved"
            );
            assert!(
                !matches!(decision.ending, Ending::Erred(_)),
                "{name}: {kind:?} at {key}"
            );
            if decision.ending == Ending::Done {
                continue;
            }
            held += 1;
            let told = &decision.report.runtime_state;
            assert!(
                told.contains("held") && told.contains("could not do it"),
                "{told}"
            );
            let pause = PatienceSettings::default().pause;
            let again = plan(&operation, &ledger, now.after(pause));
            assert_eq!(
                again.retries,
                [key],
                "{name}: {kind:?}, it is asked for again"
            );
        }
    }
    assert!(held > 20, "the sweep has met {held}");
}

#[test]
fn what_is_optional_is_told_and_undoes_nothing() {
    let kinds = [
        FaultKind::Forbidden,
        FaultKind::Conflict,
        FaultKind::Invalid,
    ];
    let mut optional = 0;
    for operation in [
        restore(2, RestoreOptions::default()),
        restore_regular(2, RestoreOptions::default()),
    ] {
        for (at, kind) in (0..60).flat_map(|at| kinds.map(|kind| (at, kind))) {
            let change = |effect: &mut Effect| {
                if super::super::restore::is_optional(&effect.request) {
                    refused(effect, kind);
                } else {
                    answer(effect, 3);
                }
            };
            let Some((ledger, key)) = waits_at(&operation, at, change) else {
                continue;
            };
            let decision = plan(&operation, &ledger, Timestamp(1));
            assert_eq!(decision.ending, Ending::Done, "{kind:?} at {key}");
            if ledger.get(&key).map(|effect| effect.state) != Some(EffectState::Failed) {
                continue;
            }
            optional += 1;
            let Some(Detail::Restoration(detail)) = decision.report.detail else {
                panic!("a restoration");
            };
            let told = detail
                .adjustments()
                .iter()
                .any(|one| one.contains("could not do it"));
            assert!(told, "{key} is told: {:?}", detail.adjustments());
        }
    }
    assert!(optional > 20, "the sweep has met {optional}");
}

#[test]
fn a_server_that_is_up_outlives_the_deadline() {
    let operation = restore(2, RestoreOptions::default());
    let mut met = 0;
    for at in 0..60 {
        let mut operation = operation.clone();
        let Some((ledger, key)) = waits_at(&operation, at, |_| {}) else {
            continue;
        };
        let up = ledger.iter().any(|one| {
            matches!(one.request, Request::Make(Make::Server(_))) && one.state == EffectState::Done
        });
        let late = befall(&mut operation, ENDS[0]);
        let decision = plan(&operation, &ledger, late);
        assert_eq!(decision.ending == Ending::Done, up, "at {key}");
        if up {
            met += 1;
            let Some(Detail::Restoration(detail)) = decision.report.detail else {
                panic!("a restoration");
            };
            let told = detail
                .adjustments()
                .iter()
                .any(|one| one.contains("comparison with the original: was not made"));
            assert!(told, "{key} is told: {:?}", detail.adjustments());
        }
    }
    assert!(met > 2, "there is something to finish");
}

#[test]
fn volumes_that_have_their_bytes_stay_where_that_is_wished_for() {
    for said_at_cancel in [false, true] {
        let wish = RestoreOptions {
            keep_volumes: !said_at_cancel,
            ..RestoreOptions::default()
        };
        for at in 0..60 {
            let mut operation = restore(2, wish.clone());
            let Some((mut ledger, key)) = waits_at(&operation, at, |_| {}) else {
                continue;
            };
            befall(&mut operation, ENDS[1]);
            operation.cancel_keeps_volumes = said_at_cancel;
            let ending = loop {
                let decision = plan(&operation, &ledger, Timestamp(1));
                for key in decision.drops {
                    let mut effect = ledger.get(&key).expect("a row").clone();
                    effect.state = EffectState::Gone;
                    ledger.put(effect);
                }
                if decision.ending != Ending::Open {
                    break decision.ending;
                }
            };
            let Ending::Erred(error) = ending else {
                continue;
            };
            for fill in ledger.iter() {
                let Request::RestoreInto { volume, .. } = &fill.request else {
                    continue;
                };
                let there = ledger.iter().any(|row| {
                    row.id() == volume.as_str()
                        && row.state == EffectState::Done
                        && row.thing().is_some()
                });
                assert_eq!(there, fill.state == EffectState::Done, "{volume} at {key}");
                assert_eq!(
                    error.message.contains(volume.as_str()),
                    there,
                    "{}",
                    error.message
                );
            }
        }
    }
}

#[test]
fn what_is_done_stays_done_in_the_numbers_of_every_planner() {
    for operation in registry(3) {
        let name = operation.ask.name();
        for (at, ends) in (0..60).flat_map(|at| ENDS.map(|what| (at, what))) {
            let mut operation = operation.clone();
            let mut ledger = Ledger::default();
            let (mut now, mut wished) = (Timestamp(1), 0);
            let (mut done, mut volumes) = (0, Vec::new());
            loop {
                let decision = plan(&operation, &ledger, now);
                let progress = &decision.report.progress;
                assert!(progress.effects_done >= done, "{name} at {at}: {ends}");
                assert!(progress.effects_done <= progress.effects_total, "{name}");
                done = progress.effects_done;
                for (was, is) in volumes.iter().zip(&progress.volumes) {
                    assert!(!was || is.done, "{name} at {at}: {ends}, {}", is.status);
                }
                volumes = progress.volumes.iter().map(|one| one.done).collect();
                match &decision.ending {
                    Ending::Open => {}
                    Ending::Done => break,
                    Ending::Erred(_) => {
                        let full = progress.effects_done == progress.effects_total;
                        assert!(!full, "{name} at {at}: {ends}, and the bar is full");
                        break;
                    }
                }
                for key in decision.drops {
                    let mut effect = ledger.get(&key).expect("a row").clone();
                    // What is let go of before it was done says so in its row.
                    if matches!(effect.state, EffectState::Requested | EffectState::Accepted) {
                        let still = "it was still creating";
                        let fault = Fault::new(FaultKind::Busy, Service::Compute, "end it", still);
                        effect.fault = Some(fault);
                    }
                    effect.state = EffectState::Dropping;
                    ledger.put(effect);
                }
                let going: Vec<Effect> = ledger
                    .iter()
                    .filter(|one| matches!(one.state, EffectState::Dropping | EffectState::Leaving))
                    .cloned()
                    .collect();
                for mut effect in going {
                    let goes_at_once = matches!(effect.request.kind(),
                        EffectKind::Make(kind) if kind.goes_at_once());
                    // Somebody else deleted it before us, and the answer was that there is no such thing.
                    if goes_at_once && effect.state == EffectState::Dropping {
                        effect.cloud_id = None;
                    }
                    effect.state = match effect.state {
                        EffectState::Dropping => EffectState::Leaving,
                        EffectState::Leaving
                        | EffectState::Requested
                        | EffectState::Accepted
                        | EffectState::Done
                        | EffectState::Failed
                        | EffectState::Gone => EffectState::Gone,
                    };
                    ledger.put(effect);
                }
                for wish in decision.wishes {
                    let mut effect = row(&operation, wish, ledger.next_ordinal());
                    if wished == at {
                        now = befall(&mut operation, ends);
                    }
                    // What belongs to the clean-up goes on.
                    if wished != at
                        || matches!(effect.request, Request::Apply(Apply::SnapshotsGone { .. }))
                    {
                        answer(&mut effect, 3);
                    }
                    wished += 1;
                    ledger.put(effect);
                }
            }
        }
    }
}

#[test]
fn the_bar_of_what_is_given_up_is_not_full_whatever_the_reason() {
    for operation in registry(2) {
        let name = operation.ask.name();
        let (mut operation, mut ledger) = (operation, Ledger::default());
        // All that was asked for is done, and then it turns out that it was in vain.
        if let Ask::CreateDrBackup { minimum, .. } | Ask::CreateBackup { minimum, .. } =
            &mut operation.ask
        {
            *minimum = Some(ConsistencyLevel::ShutOff);
        }
        for round in 0.. {
            assert!(round < 100, "{name} comes to no end");
            let decision = plan(&operation, &ledger, Timestamp(1));
            let progress = &decision.report.progress;
            let gives_up = progress.phase.starts_with("Cleaning up");
            let full = progress.effects_done == progress.effects_total;
            assert!(!(gives_up && full), "{name}: {progress:?}");
            if decision.ending != Ending::Open {
                break;
            }
            for key in decision.drops {
                let mut effect = ledger.get(&key).expect("a row").clone();
                effect.state = EffectState::Gone;
                ledger.put(effect);
            }
            for wish in decision.wishes {
                let mut effect = row(&operation, wish, ledger.next_ordinal());
                answer(&mut effect, 2);
                if let Some(Fact::Instance(manifest)) = &mut effect.fact {
                    manifest.status = "SHUTOFF".to_owned();
                }
                ledger.put(effect);
            }
        }
    }
}

#[test]
fn only_a_want_of_bytes_makes_the_point_doubtful() {
    let said = |status: Option<u16>, kind: FaultKind, message: &str| Fault {
        status,
        ..Fault::new(kind, Service::BlockStorage, "restore it", message)
    };
    let gone = |id: &str| format!("{id} could not be found.");
    for (operation, is_regular) in [
        (restore(1, RestoreOptions::default()), false),
        (restore_regular(1, RestoreOptions::default()), true),
    ] {
        let moves = |request: &Request| {
            if let Request::RestoreInto { backup, volume, .. } = request {
                return Some((backup.to_string(), volume.to_string()));
            }
            let Request::Make(Make::Volume(NewVolume { snapshot, .. })) = request else {
                return None;
            };
            let snapshot = snapshot.as_ref()?.to_string();
            Some((snapshot, "type fast".to_owned()))
        };
        let at = (0..60).find(|at| {
            let waits = waits_at(&operation, *at, accepted);
            waits.is_some_and(|(ledger, key)| moves(&ledger.get(&key).unwrap().request).is_some())
        });
        let at = at.expect("it moves bytes");
        let (ledger, key) = waits_at(&operation, at, accepted).expect("it waits");
        let (bytes, place) = moves(&ledger.get(&key).expect("a row").request).expect("it moves");
        let (broken, absent) = (FaultKind::Broken, FaultKind::NotFound);
        let ends_in = if is_regular {
            "error"
        } else {
            "error_restoring"
        };
        for (status, fault, doubtful) in [
            (Some(ends_in), said(None, broken, "it is in error"), true),
            (
                None,
                said(Some(400), broken, "the backup is in error"),
                !is_regular,
            ),
            (None, said(Some(404), absent, &gone(&bytes)), true),
            (None, said(Some(404), absent, &gone(&place)), false),
            (
                Some("creating"),
                said(None, broken, "it vanished: somebody else deleted it"),
                false,
            ),
            (
                None,
                said(
                    None,
                    broken,
                    "the volume vanished: somebody else deleted it",
                ),
                false,
            ),
            (
                Some("deleting"),
                said(None, broken, "it is deleting"),
                false,
            ),
        ] {
            let told = format!("{key}: {status:?} {fault}");
            let ending = Ending::Erred(OperationError::from(&fault));
            let failed = Effect {
                state: EffectState::Failed,
                status: status.map(str::to_owned),
                fault: Some(fault),
                ..ledger.get(&key).expect("a row").clone()
            };
            let claim = deletion::claim(&operation.ask, &ledger, &ending, Some(&failed));
            assert_eq!(claim.is_some(), doubtful, "{told}");
        }
    }
}

#[test]
fn what_was_left_behind_is_never_said_to_be_nothing() {
    let mut operation = restore(1, RestoreOptions::default());
    let makes = |effect: &Effect| matches!(effect.request, Request::Make(Make::Volume(_)));
    let at = (0..60)
        .find(|at| {
            let waits = waits_at(&operation, *at, accepted);
            waits.is_some_and(|(ledger, key)| makes(ledger.get(&key).expect("a row")))
        })
        .expect("it makes a volume");
    let (ledger, _) = waits_at(&operation, at, accepted).expect("it waits");
    operation.cancelled = Some(Timestamp(1));
    let late = operation
        .gives_up(10)
        .after(PatienceSettings::default().cleanup + DAY);
    let decision = plan(&operation, &ledger, late);
    let Ending::Erred(error) = decision.ending else {
        panic!("{decision:?}")
    };
    assert!(error.message.contains("left behind: "), "{error:?}");
    assert!(error.guidance.contains("let go of"), "{error:?}");
    assert!(!error.guidance.contains("nothing"), "{error:?}");
    let clean = plan(&operation, &Ledger::default(), Timestamp(2));
    let Ending::Erred(error) = clean.ending else {
        panic!("{clean:?}")
    };
    assert!(
        error.guidance.contains("nothing was left behind"),
        "{error:?}"
    );
}
