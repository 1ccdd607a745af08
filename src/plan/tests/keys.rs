//! The keys that planners make, and the names that are made of them; it may not know the engine.

use super::{
    super::{
        PatienceSettings,
        decision_builder::{DecisionBuilder, Stop, both},
    },
    world::{create, registry, unfold},
};
use crate::domain::{
    capture::Capture,
    decision::DesiredEffect,
    effect::{Disposal, EffectKind, Request, key},
    error::OperationError,
    id::EffectKey,
    ledger::Ledger,
    operation::Operation,
    time::Timestamp,
};

fn check(operation: &Operation, key: &EffectKey, request: &Request) {
    let read = key.parts().map(|parts| parts.to_string());
    assert_eq!(read.as_deref(), Some(key.as_str()), "{key} is no key");
    let name = operation.name_of(key);
    assert!(name.ends_with(&format!("-{key}")), "{name} was cut");
    if matches!(request.kind(), EffectKind::Make(_)) {
        assert!(operation.can_name(key) && name.len() <= 60, "{name}");
    }
}

#[test]
fn every_key_of_every_planner_reads_back_to_itself_and_fits_into_a_name() {
    for volumes in [1, 2, 20] {
        for operation in registry(volumes) {
            let whole = unfold(operation.clone(), volumes, None, false);
            let fails = (0..whole.wished.len()).filter(|_| volumes == 2);
            let others = fails.map(|fails| unfold(operation.clone(), volumes, Some(fails), false));
            for story in others.chain([whole]) {
                for (key, request, _) in &story.wished {
                    check(&operation, key, request);
                }
            }
        }
    }
}

#[test]
fn what_no_cloud_can_name_is_refused_before_it_is_asked_for() {
    let (limits, operation, ledger) = (
        PatienceSettings::default(),
        create(Capture::Snapshot),
        Ledger::default(),
    );
    let story = unfold(operation.clone(), 2, None, false);
    let mut requests = story.wished.into_iter().map(|(_, request, _)| request);
    let made = requests.find(|request| matches!(request.kind(), EffectKind::Make(_)));
    let made = made.expect("it makes something");
    let mut decision = DecisionBuilder::new(&limits, &operation, &ledger, Timestamp(1));
    let tries = key::volume(999).increment();
    let wish = |number| -> DesiredEffect {
        let key = tries.try_no(number);
        DecisionBuilder::wish_in(
            operation.tenant.clone(),
            key,
            made.clone(),
            Disposal::Product,
        )
    };
    assert_eq!(operation.name_of(&wish(99).key).len(), 60);
    assert!(matches!(decision.one(wish(99)), Err(Stop::Pending)));
    // It is told although others are only waited for.
    let refused = decision.all(vec![wish(98), wish(100), wish(97)]);
    let Err(Stop::GiveUp(why)) = refused else {
        panic!("it has no name");
    };
    assert_eq!(why.reason, "INTERNAL");
    assert!(why.message.contains("volume-999-increment-100"), "{why:?}");
    let wished: Vec<EffectKey> = decision
        .open()
        .wishes
        .into_iter()
        .map(|one| one.key)
        .collect();
    assert_eq!(wished, [99, 98, 97].map(|number| tries.try_no(number)));
}

#[test]
fn a_step_for_each_runs_for_all_and_prefers_giving_up_over_waiting() {
    let (limits, operation, ledger) = (
        PatienceSettings::default(),
        create(Capture::Snapshot),
        Ledger::default(),
    );
    let mut decision = DecisionBuilder::new(&limits, &operation, &ledger, Timestamp(1));
    let give_up = |reason: &str| Stop::GiveUp(Box::new(OperationError::new(reason, "", "")));
    let mut seen = Vec::new();
    let mut run = |decision: &mut DecisionBuilder<'_>, items: &[&'static str]| {
        let all = decision.each(items.iter().copied(), |_, item| {
            seen.push(item);
            match item {
                "waits" => Err(Stop::Pending),
                "FIRST" | "SECOND" => Err(give_up(item)),
                done => Ok(done),
            }
        });
        match all {
            Ok(all) => all.join(" "),
            Err(Stop::Pending) => "pending".to_owned(),
            Err(Stop::GiveUp(why)) => why.reason,
        }
    };
    assert_eq!(run(&mut decision, &["a", "b"]), "a b");
    assert_eq!(run(&mut decision, &["a", "waits", "b"]), "pending");
    let hopeless = ["waits", "FIRST", "waits", "SECOND", "b", "waits"];
    assert_eq!(run(&mut decision, &hopeless), "FIRST");
    assert_eq!(seen.len(), 2 + 3 + hopeless.len(), "each was run");
    let waits = || Err::<(), Stop>(Stop::Pending);
    let ends = both(waits(), Err::<(), Stop>(give_up("FIRST")));
    assert!(matches!(ends, Err(Stop::GiveUp(_))));
    assert!(matches!(both(Ok(1), waits()), Err(Stop::Pending)));
}
