//! Removes a restoration, with the instance where that is wished for; it may not know why.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking whether a missing cloud is back | read allowance, in each that is said to be missing | keep | it only reads |
//! | Deleting the server, trunks, ports, security groups, volumes | drop, kind by kind | | gone is gone |
//!
//! What was made may be somebody's by now: a volume or a port that its tenant gave to another server, a
//! server that it locked, a security group that a later restoration found. Who uses a thing is read right
//! before its deletion; what somebody else uses is looked at again a few times, then it stays and is told.
//! A group or a key pair is theirs then and the deletion ends; a server, trunk, port, volume or snapshot keeps the
//! restoration there, `ERRED` with the holder in its error, to be deleted again later or without the
//! instance.
//! Imported records are never among the things: see [`crate::domain::effect::Disposal::Keep`].

use super::{
    decision_builder::{DecisionBuilder, Step},
    deletion::Deletion,
};
use crate::domain::{
    effect::{Disposal, Request, key::List},
    id::CloudName,
    sighting::{Thing, ThingKind},
};

/// What stands on what: a kind goes when everything before it is gone.
const ORDER: [ThingKind; 7] = [
    ThingKind::Server,
    ThingKind::Trunk,
    ThingKind::Port,
    ThingKind::SecurityGroup,
    ThingKind::KeyPair,
    ThingKind::Volume,
    ThingKind::Snapshot,
];

/// The steps, in order.
pub(super) fn steps(
    decision: &mut DecisionBuilder<'_>,
    things: &[Thing],
    missing: &[CloudName],
) -> Step<()> {
    let home = decision.tenant().clone();
    let mut deletion = Deletion::without(decision, missing, [&home])?;
    if deletion.forgets(&home.cloud) {
        let all = things.iter().map(|thing| (home.clone(), thing.clone()));
        deletion.drops(List::Thing, all);
        decision.phase(&deletion.ended());
        return Ok(());
    }
    for kind in ORDER {
        let of_kind = things
            .iter()
            .enumerate()
            .filter(|(_, thing)| thing.kind == kind);
        decision.phase(&format!("Deleting {}s", kind.noun()));
        let wishes = of_kind.map(|(index, thing)| {
            let request = Request::Drop {
                thing: thing.clone(),
            };
            decision.wish(List::Thing.at(index), request, Disposal::Keep)
        });
        decision.all_unless_held(wishes.collect())?;
    }

    decision.end_deletion(
        "Deleted",
        ", or without the instance if it is to stay there",
    )
}
