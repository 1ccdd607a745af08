//! What is said of an operation that gives up: every planner, ended by a cancel and by its deadline while it
//! waits for each of its effects; it may not know the engine.

use super::{
    patience::{HOUR, until_all_wait},
    world::{answer, plan, registry, row, unfold},
};
use crate::domain::{
    decision::{Decision, Ending},
    effect::{Effect, EffectKind, EffectState},
    error::OperationError,
    fault::{Fault, FaultKind, Service},
    id::EffectKey,
    ledger::Ledger,
    operation::Operation,
    time::Timestamp,
};

/// An operation that waits for its effect number `at` alone; nothing where that comes after a deletion.
fn waiting_for(operation: &Operation, at: u32) -> Option<(Ledger, Effect)> {
    let ledger = until_all_wait(operation, |effect| {
        let waits = effect.ordinal == at;
        if waits {
            hang(effect);
        }
        waits
    });
    let effect = ledger.iter().find(|effect| effect.ordinal == at)?.clone();
    Some((ledger, effect))
}

/// A cloud took it, and does not bring it to its end.
fn hang(effect: &mut Effect) {
    match effect.request.kind() {
        EffectKind::Make(_)
        | EffectKind::Import
        | EffectKind::RestoreInto
        | EffectKind::Drop(_) => {
            answer(effect, 2);
            effect.fact = None;
            effect.state = EffectState::Accepted;
            effect.status = Some("hanging".to_owned());
        }
        EffectKind::Apply | EffectKind::Read => {}
    }
}

/// What the engine makes of the drops: what was waited for keeps in its row that it was.
fn let_go(ledger: &mut Ledger, drops: Vec<EffectKey>) {
    for key in drops {
        let mut effect = ledger.get(&key).expect("a row").clone();
        let open = !effect.state.is_settled();
        if open && effect.fault.is_none() {
            let doing = format!("bring {} {} to its end", effect.key, effect.name);
            let why = "it was still hanging";
            let fault = Fault::new(FaultKind::Busy, Service::Compute, doing, why);
            effect.fault = Some(fault);
        }
        let made = matches!(effect.request.kind(), EffectKind::Make(_));
        effect.state = if made {
            EffectState::Dropping
        } else {
            EffectState::Gone
        };
        ledger.put(effect);
    }
}

fn names_one_of(told: &str, ledger: &Ledger, mark: &str, state: EffectState) -> bool {
    let Some((_, named)) = told.split_once(mark) else {
        return false;
    };
    let mut those = ledger.iter().filter(|effect| effect.state == state);
    those.any(|effect| named.contains(&effect.name))
}

/// Cleans up to the end, where everything that goes is seen to hang once; answers with the error, and with
/// how often it waited for something.
fn clean_up(operation: &Operation, mut ledger: Ledger, now: Timestamp) -> (OperationError, usize) {
    let name = operation.ask.name();
    let mut waits = 0;
    for _ in 0..200 {
        let Decision {
            ending,
            drops,
            wishes,
            report,
            ..
        } = plan(operation, &ledger, now);
        if let Ending::Erred(error) = ending {
            return (error, waits);
        }
        assert_eq!(ending, Ending::Open, "{name}");
        let told = report.runtime_state;
        if drops.is_empty() && wishes.is_empty() {
            waits += 1;
            let names = names_one_of(&told, &ledger, "; still there: ", EffectState::Dropping);
            assert!(
                names,
                "{name} waits for something else than it says: {told}"
            );
            let gone = ledger.iter().cloned().map(|mut effect| {
                if effect.state == EffectState::Dropping {
                    effect.state = EffectState::Gone;
                }
                effect
            });
            ledger = Ledger::new(gone.collect::<Vec<_>>());
            continue;
        }
        let_go(&mut ledger, drops);
        for wish in wishes {
            let mut effect = row(operation, wish, ledger.next_ordinal());
            answer(&mut effect, 2);
            ledger.put(effect);
        }
    }
    panic!("{name} does not end: {ledger:#?}")
}

#[test]
fn whatever_a_cancelled_operation_still_waits_for_is_said_by_every_planner() {
    let (mut swept, mut waits) = (0, 0);
    for mut operation in registry(2) {
        let name = operation.ask.name();
        let count = unfold(operation.clone(), 2, None, false).wished.len();
        for at in 0..u32::try_from(count).expect("few") {
            operation.cancelled = None;
            let Some((mut ledger, hanging)) = waiting_for(&operation, at) else {
                continue;
            };
            operation.cancelled = Some(Timestamp(1));
            // As long as nobody has looked, that is what it waits for.
            ledger.set_unseen([hanging.key.clone()].into());
            let told = plan(&operation, &ledger, Timestamp(1)).report.runtime_state;
            let unseen = names_one_of(&told, &ledger, "; not seen yet: ", hanging.state);
            assert!(unseen, "{name} at {hanging}: {told}");
            ledger.set_unseen([].into());
            let (error, waited) = clean_up(&operation, ledger, Timestamp(1));
            assert_eq!(error.reason, "CANCELLED", "{name} at {hanging}");
            swept += 1;
            waits += waited;
        }
    }
    assert!(swept > 200 && waits > 200, "{swept} swept, {waits} waits");
    println!("{swept} effects hung at a cancel; {waits} times was told what was waited for");
}

#[test]
fn a_deadline_names_what_was_waited_for_and_says_so_to_the_end() {
    let mut swept = 0;
    for mut operation in registry(2) {
        let name = operation.ask.name();
        operation.deadline = Timestamp(1).after(HOUR);
        operation.deadline_fixed = true;
        let late = operation.deadline;
        let count = unfold(operation.clone(), 2, None, false).wished.len();
        for at in 0..u32::try_from(count).expect("few") {
            let Some((ledger, hanging)) = waiting_for(&operation, at) else {
                continue;
            };
            let first = plan(&operation, &ledger, late);
            if first.ending == Ending::Done {
                // The server is up, and that is worth more.
                continue;
            }
            let told = first.report.progress.phase;
            let told = told.strip_prefix("Cleaning up: ").expect(&told);
            let (error, _) = clean_up(&operation, ledger, late);
            assert!(
                error.message.starts_with(told),
                "{name} at {hanging}: first {told}, then {}",
                error.message
            );
            // Where nothing had to go it ended at once.
            assert!(
                error.message == told || error.message.contains(&hanging.name),
                "{name} at {hanging}: {}",
                error.message
            );
            swept += 1;
        }
    }
    assert!(swept > 200, "{swept} effects were waited for");
    println!("{swept} effects were waited for at a deadline");
}

#[test]
fn a_restoration_that_waits_for_its_server_does_not_say_that_it_makes_ports() {
    let operations = registry(2);
    let restores = operations.iter().filter(|one| one.ask.name() == "restore");
    for restore in restores.cloned() {
        let mut operation = restore;
        operation.deadline = Timestamp(1).after(HOUR);
        operation.deadline_fixed = true;
        let ledger = until_all_wait(&operation, |effect| {
            let waits = effect.key == EffectKey::new("server");
            if waits {
                hang(effect);
            }
            waits
        });
        let (error, _) = clean_up(&operation, ledger, operation.deadline);
        let told = "the deadline passed while creating the server: ";
        assert!(error.message.starts_with(told), "{}", error.message);
    }
}
