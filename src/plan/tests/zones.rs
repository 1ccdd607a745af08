//! Zones: that of the same name is asked for, and is worth less than the instance; they may not know the
//! engine.

use super::world::{answer, plan, restore, row};
use crate::domain::{
    decision::Ending,
    effect::{Effect, EffectState, Fact, Make, NewVolume, Request},
    fault::{Fault, FaultKind, Service},
    ledger::Ledger,
    operation::{Ask, Operation},
    restoration::RestoreOptions,
    time::Timestamp,
};

/// A restoration of an instance that was in zone `was`, whose volumes were too.
fn from_zone(was: &str, wish: RestoreOptions) -> Operation {
    let mut operation = restore(2, wish);
    if let Ask::Restore(input) = &mut operation.ask {
        input.manifest.availability_zone = Some(was.to_owned());
        for volume in &mut input.manifest.volumes {
            volume.availability_zone = Some(was.to_owned());
        }
    }
    operation
}

/// The zones that servers and volumes are asked for with, in a target that has `here`; the first server is
/// refused so.
fn zones_asked_for(
    operation: &Operation,
    here: &str,
    refused: Option<FaultKind>,
) -> (Vec<Option<String>>, Vec<Option<String>>, Ending) {
    let (mut servers, mut volumes) = (Vec::new(), Vec::new());
    let mut ledger = Ledger::default();
    let mut now = Timestamp(1);
    for _ in 0..100 {
        let decision = plan(operation, &ledger, now);
        if decision.ending != Ending::Open {
            return (servers, volumes, decision.ending);
        }
        if decision.wishes.is_empty() && decision.drops.is_empty() {
            now = decision.again.expect("it waits for a time");
        }
        for key in decision.drops {
            let mut effect = ledger.get(&key).expect("a row").clone();
            effect.state = EffectState::Gone;
            ledger.put(effect);
        }
        for wish in decision.wishes {
            let mut effect = row(operation, wish, ledger.next_ordinal());
            answer(&mut effect, 2);
            if let Some(Fact::Inventory(inventory)) = &mut effect.fact {
                inventory.compute_zones.push(here.to_owned());
                inventory.volume_zones.push(here.to_owned());
            }
            if let Request::Make(Make::Volume(NewVolume {
                availability_zone, ..
            })) = &effect.request
            {
                volumes.push(availability_zone.clone());
            }
            if let Request::Make(Make::Server(plan)) = &effect.request {
                let zone = plan.availability_zone.clone();
                if let (Some(kind), true) = (refused, servers.is_empty()) {
                    refuse(&mut effect, kind);
                }
                servers.push(zone);
            }
            ledger.put(effect);
        }
    }
    panic!("it does not end: {ledger:#?}")
}

fn refuse(effect: &mut Effect, kind: FaultKind) {
    effect.state = EffectState::Failed;
    effect.cloud_id = None;
    effect.fault = Some(Fault::new(kind, Service::Compute, "make the server", "no"));
}

#[test]
fn the_zone_of_the_same_name_is_asked_for_and_no_other() {
    let west = || Some("west".to_owned());
    let plain = from_zone("west", RestoreOptions::default());
    let (servers, volumes, ending) = zones_asked_for(&plain, "west", None);
    assert_eq!(ending, Ending::Done);
    assert_eq!((servers, volumes), (vec![west()], vec![west(), west()]));
    let (servers, volumes, ending) = zones_asked_for(&plain, "east", None);
    assert_eq!(ending, Ending::Done);
    assert_eq!((servers, volumes), (vec![None], vec![None, None]));
    // What both call the place of everything that is in no zone.
    let none = from_zone("nova", RestoreOptions::default());
    let (servers, volumes, _) = zones_asked_for(&none, "west", None);
    assert_eq!((servers, volumes), (vec![None], vec![None, None]));
}

#[test]
fn a_zone_that_nobody_wished_for_falls_and_one_that_is_wished_for_stays() {
    let west = || Some("west".to_owned());
    for kind in [FaultKind::NoHost, FaultKind::Broken, FaultKind::Invalid] {
        let plain = from_zone("west", RestoreOptions::default());
        let (servers, _, ending) = zones_asked_for(&plain, "west", Some(kind));
        assert_eq!(ending, Ending::Done, "{kind:?}");
        assert_eq!(servers, [west(), None], "{kind:?}");
        let wish = RestoreOptions {
            availability_zone: west(),
            ..RestoreOptions::default()
        };
        let wished = from_zone("east", wish);
        let (servers, _, ending) = zones_asked_for(&wished, "west", Some(kind));
        assert_eq!(ending, Ending::Done, "{kind:?}");
        assert_eq!(servers, [west(), west()], "{kind:?}");
    }
}
