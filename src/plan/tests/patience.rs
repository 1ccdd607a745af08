//! How long planners wait, and what they tell meanwhile; it may not know the engine.

use std::time::Duration;

use super::world::{answer, create, plan, row};
use crate::domain::{
    capture::Capture,
    decision::Ending,
    effect::{EffectKind, EffectState},
    ledger::Ledger,
    operation::Operation,
    sighting::ThingKind,
    time::Timestamp,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A DR backup of three volumes, 1 + 2 + 3 GiB, whose volume backups are under way and stay so.
fn under_way() -> (Operation, Ledger) {
    let mut operation = create(Capture::Snapshot);
    operation.deadline = Timestamp(1).after(24 * HOUR);
    operation.per_gib = HOUR;
    let mut ledger = Ledger::default();
    loop {
        let wishes = plan(&operation, &ledger, Timestamp(1)).wishes;
        if wishes.is_empty() {
            return (operation, ledger);
        }
        for wish in wishes {
            let mut effect = row(&operation, wish, ledger.next_ordinal());
            if effect.request.kind() == EffectKind::Make(ThingKind::VolumeBackup) {
                effect.state = EffectState::Accepted;
                effect.status = Some("creating".to_owned());
            } else {
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
