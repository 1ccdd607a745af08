//! What becomes of work when others have come to use what is to go: every make of every planner, and every
//! kind of thing at a deletion; it may not know the engine.

use uuid::Uuid;

use super::{
    super::PatienceSettings,
    world::{answer, operation, plan, registry, row, tenant, waited},
};
use crate::domain::{
    decision::Ending,
    effect::{Apply, Disposal, Effect, EffectKind, EffectState, Request},
    error::OperationError,
    fault::{Fault, FaultKind, Service},
    holder::Hold,
    id::{EffectKey, PointId, PointKind, ResourceId, RestorationId},
    ledger::Ledger,
    lifecycle::State,
    operation::{Ask, Leftover, Operation},
    point::PointDetail,
    sighting::{Thing, ThingKind},
    time::Timestamp,
};

const HOLDER: &str = "it is used by server production (s-1)";

fn looks() -> u32 {
    PatienceSettings::default().asked_while_used
}

fn held(looks: u32) -> Hold {
    let by = HOLDER.to_owned();
    Hold { by, looks }
}

/// What an operation came to.
struct End {
    ending: Ending,
    ledger: Ledger,
    told: String,
}

impl End {
    fn error(&self) -> &OperationError {
        match &self.ending {
            Ending::Erred(error) => error,
            Ending::Open | Ending::Done => panic!("{:?}", self.ending),
        }
    }
}

/// Unfolds an operation in a world that answers at once. `cancels` is asked about every wish. What `holds`
/// speaks of is seen to be used by somebody else whenever it is to go.
fn unfold(
    mut operation: Operation,
    volumes: usize,
    cancels: impl Fn(&EffectKey) -> bool,
    holds: impl Fn(&Effect) -> bool,
) -> End {
    let mut ledger = Ledger::default();
    for _ in 0..400 {
        let decision = plan(&operation, &ledger, Timestamp(1));
        if decision.ending != Ending::Open {
            return End {
                ending: decision.ending,
                ledger,
                told: decision.report.runtime_state,
            };
        }
        for wish in decision.wishes {
            let mut effect = row(&operation, wish, ledger.next_ordinal());
            assert!(
                !matches!(effect.request, Request::Apply(Apply::ErrorStatus { .. })),
                "{effect} is forced"
            );
            if cancels(&effect.key) {
                operation.cancelled = Some(Timestamp(1));
            }
            let is_drop = matches!(effect.request.kind(), EffectKind::Drop(_));
            if !(is_drop && holds(&effect)) {
                answer(&mut effect, volumes);
            }
            ledger.put(effect);
        }
        for key in decision.drops {
            let mut effect = ledger.get(&key).expect("a row").clone();
            let is_make = matches!(effect.request.kind(), EffectKind::Make(_));
            effect.state = if is_make && holds(&effect) {
                EffectState::Dropping
            } else {
                EffectState::Gone
            };
            ledger.put(effect);
        }
        let rows: Vec<Effect> = ledger.iter().cloned().collect();
        for mut effect in rows {
            let is_drop = matches!(effect.request.kind(), EffectKind::Drop(_));
            let asked = effect.state == EffectState::Dropping
                || is_drop && effect.state == EffectState::Requested;
            if asked && holds(&effect) {
                // What stays is looked at for as long as the rest of the work goes on.
                let before = effect.held.as_ref().map_or(0, |hold| hold.looks);
                effect.held = Some(held((before + 1).min(looks())));
                ledger.put(effect);
            }
        }
    }
    panic!("it does not end: {ledger:#?}")
}

#[test]
fn whatever_was_made_and_is_used_by_others_when_it_is_to_go_stays_and_is_told() {
    let mut swept = 0;
    for at in registry(2) {
        let name = at.ask.name();
        let all = unfold(at.clone(), 2, |_| false, |_| false).ledger;
        for made in all.iter() {
            let goes = made.disposal != Disposal::Keep
                && matches!(made.request.kind(), EffectKind::Make(_));
            if !goes {
                continue;
            }
            let holds = |effect: &Effect| effect.key == made.key;
            // A cancel as soon as the last thing is asked for, when all the others stand.
            let last = all.newest_first()[0].key.clone();
            let end = unfold(at.clone(), 2, |key| *key == last, holds);
            let temporary = made.disposal == Disposal::Temporary;
            if end.ending == Ending::Done {
                // It was over by then; what others use of its temporaries is told all the same.
                assert!(
                    !temporary || end.told.contains(HOLDER),
                    "{name}: {}",
                    end.told
                );
            } else {
                let error = end.error();
                assert_eq!(error.reason, "CANCELLED", "{name} {}", made.key);
                assert!(error.message.contains(HOLDER), "{name}: {error:#?}");
                assert!(error.message.contains(&made.name), "{name}: {error:#?}");
            }
            for effect in end
                .ledger
                .iter()
                .filter(|one| one.disposal != Disposal::Keep)
            {
                let made_by = matches!(effect.request.kind(), EffectKind::Make(_));
                let gone = effect.state == EffectState::Gone;
                let stands = end.ending == Ending::Done && effect.disposal == Disposal::Product;
                assert!(
                    !made_by || gone || stands || holds(effect),
                    "{name}: {effect} had to go beside {}",
                    made.key
                );
            }
            swept += 1;
        }
    }
    assert!(swept > 80, "{swept} makes were swept");
    println!("{swept} makes were used by others at their drop");
}

#[test]
fn a_failure_leaves_what_others_use_and_tells_why_it_failed_and_who_does() {
    let mut restoration = registry(2)
        .into_iter()
        .find(|one| one.ask.name() == "restore")
        .expect("a restoration");
    let refused = |effect: &Effect| effect.request.kind() == EffectKind::Make(ThingKind::Server);
    let mut ledger = Ledger::default();
    let mut now = Timestamp(1);
    let mut told = None;
    // It is held until its deadline: the volumes have their bytes.
    for _ in 0..2000 {
        let decision = plan(&restoration, &ledger, now);
        if let Ending::Erred(error) = decision.ending {
            told = Some(error);
            break;
        }
        now = waited(&decision, &mut restoration, &mut ledger, now);
        for wish in decision.wishes {
            let mut effect = row(&restoration, wish, ledger.next_ordinal());
            answer(&mut effect, 2);
            if refused(&effect) {
                effect.state = EffectState::Failed;
                effect.cloud_id = None;
                let (kind, service) = (FaultKind::Invalid, Service::Compute);
                let doing = "create the server";
                effect.fault = Some(Fault::new(kind, service, doing, "no such thing"));
            }
            ledger.put(effect);
        }
        for key in decision.drops {
            let mut effect = ledger.get(&key).expect("a row").clone();
            let used = effect.key == EffectKey::new("volume-1");
            effect.state = if used {
                EffectState::Dropping
            } else {
                EffectState::Gone
            };
            effect.held = used.then(|| held(looks()));
            ledger.put(effect);
        }
    }
    let error = told.expect("it ends");
    assert!(error.message.contains("no such thing"), "{error:#?}");
    assert!(error.message.contains(HOLDER), "{error:#?}");
    assert!(error.message.contains("made-volume-1"), "{error:#?}");
}

fn thing(kind: ThingKind) -> Thing {
    Thing {
        kind,
        id: format!("{kind:?}"),
    }
}

const KINDS: [ThingKind; 10] = [
    ThingKind::Snapshot,
    ThingKind::Volume,
    ThingKind::VolumeBackup,
    ThingKind::SecurityGroup,
    ThingKind::KeyPair,
    ThingKind::Port,
    ThingKind::Server,
    ThingKind::GroupSnapshot,
    ThingKind::Image,
    ThingKind::Trunk,
];

/// The deletions of all three resources, of which each finds one thing of each kind that an earlier
/// operation had left.
fn deletions() -> Vec<Operation> {
    let left: Vec<Leftover> = KINDS
        .into_iter()
        .map(|kind| Leftover {
            tenant: tenant("dr", "demo"),
            thing: thing(kind),
        })
        .collect();
    let id = Uuid::from_u128(9);
    let dr_backup = Ask::DeleteDrBackup {
        backups: Vec::new(),
        mirrors: Vec::new(),
        leftovers: left.clone(),
        missing: Vec::new(),
    };
    let backup = Ask::DeleteBackup {
        detail: Box::new(PointDetail::none(PointKind::Regular)),
        leftovers: left,
        missing: Vec::new(),
    };
    let made = Ask::DeleteRestoration {
        things: KINDS.map(thing).to_vec(),
        missing: Vec::new(),
    };
    [
        (ResourceId::Point(PointId::dr(id)), dr_backup),
        (ResourceId::Point(PointId::regular(id)), backup),
        (ResourceId::Restoration(RestorationId(id)), made),
    ]
    .map(|(resource, ask)| operation(resource, tenant("dr", "demo"), ask, State::Deleting))
    .to_vec()
}

#[test]
fn a_deletion_takes_all_that_it_names_but_what_others_use_of_it() {
    for deletion in deletions() {
        let free = unfold(deletion.clone(), 0, |_| false, |_| false);
        assert_eq!((free.ending, free.told.as_str()), (Ending::Done, "Deleted"));
        let asked: Vec<Thing> = free.ledger.iter().filter_map(Effect::thing_to_go).collect();
        for used in &asked {
            let end = unfold(
                deletion.clone(),
                0,
                |_| false,
                |effect| effect.thing_to_go().as_ref() == Some(used),
            );
            // A group and a key hold nothing, and are shared by their nature.
            let told = match used.kind {
                ThingKind::SecurityGroup | ThingKind::KeyPair => {
                    assert_eq!(end.ending, Ending::Done, "{used}");
                    end.told.clone()
                }
                ThingKind::Snapshot
                | ThingKind::Volume
                | ThingKind::VolumeBackup
                | ThingKind::Port
                | ThingKind::Trunk
                | ThingKind::Server
                | ThingKind::GroupSnapshot
                | ThingKind::Image => {
                    assert_eq!(end.error().reason, "IN_USE", "{used}");
                    end.error().message.clone()
                }
            };
            assert!(
                told.contains(&used.to_string()) && told.contains(HOLDER),
                "{told}"
            );
            let rest: Vec<&Effect> = end
                .ledger
                .iter()
                .filter(|one| one.thing_to_go().as_ref() != Some(used))
                .collect();
            assert!(
                rest.iter().all(|one| one.state == EffectState::Done),
                "{used}"
            );
            assert_eq!(rest.len() + 1, asked.len());
        }
    }
}
