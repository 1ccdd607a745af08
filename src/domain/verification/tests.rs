use super::*;
use crate::domain::id::{CloudName, ProjectId};

fn tenant(cloud: &str) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new("p"),
    }
}

fn part(kind: ThingKind, is_mirror: bool) -> Part {
    Part {
        tenant: tenant(if is_mirror { "dr" } else { "source" }),
        thing: Thing {
            kind,
            id: "x".to_owned(),
        },
        size_gib: (!is_mirror).then_some(5),
        is_mirror,
    }
}

fn there(status: &str, size_gib: u64) -> Found {
    Found::There {
        status: status.to_owned(),
        size_gib: Some(size_gib),
    }
}

fn known(cause: Option<Cause>) -> Verification {
    Verification {
        time: Some(Timestamp(1)),
        doubt: cause.map(|cause| Doubt::new(cause, "before")),
    }
}

#[expect(
    clippy::option_option,
    reason = "no judgement, and one without a doubt"
)]
fn cause_after(before: Option<Cause>, found: &[(Part, Found)]) -> Option<Option<Cause>> {
    let found = found.iter().map(|(part, found)| (part, found));
    let after = judged(&known(before), found, Timestamp(2))?;
    assert_eq!(after.time, Some(Timestamp(2)));
    Some(after.doubt.map(|doubt| doubt.cause))
}

#[test]
fn every_loss_of_an_original_is_told_and_forgotten_when_it_is_there_again() {
    for kind in [ThingKind::VolumeBackup, ThingKind::Snapshot] {
        let losses = [
            Found::Gone,
            there("error", 5),
            there("deleting", 5),
            there("error_deleting", 5),
            there("creating", 5),
            there("available", 4),
            there("available", 6),
        ];
        for loss in losses {
            // The first, one in the middle, the last.
            for place in 0..3 {
                let mut parts = vec![(part(kind, false), there("available", 5)); 3];
                parts[place].1 = loss.clone();
                assert_eq!(
                    cause_after(None, &parts),
                    Some(Some(Cause::Seen)),
                    "{loss:?}"
                );
                parts[place].1 = there("available", 5);
                assert_eq!(cause_after(Some(Cause::Seen), &parts), Some(None));
            }
        }
    }
}

#[test]
fn a_lost_mirror_makes_doubtful_and_an_unreachable_one_does_nothing() {
    let original = (part(ThingKind::VolumeBackup, false), there("available", 5));
    let with = |found| {
        [
            original.clone(),
            (part(ThingKind::VolumeBackup, true), found),
        ]
    };
    for loss in [Found::Gone, there("deleting", 5)] {
        assert_eq!(cause_after(None, &with(loss)), Some(Some(Cause::Unproven)));
    }
    for harmless in [Found::Unknown, there("error", 1), there("restoring", 5)] {
        assert_eq!(cause_after(None, &with(harmless)), Some(None));
    }
}

#[test]
fn what_cannot_be_looked_at_stays_as_it_was() {
    let unknown = [(part(ThingKind::Snapshot, false), Found::Unknown)];
    assert_eq!(cause_after(None, &unknown), None);
    assert_eq!(cause_after(Some(Cause::Seen), &unknown), None);
}

#[test]
fn a_list_proves_no_bytes() {
    let good = [(part(ThingKind::VolumeBackup, false), there("available", 5))];
    for (before, after) in [
        (Cause::Seen, None),
        (Cause::Deleted, None),
        (Cause::BrokenOff, None),
        (Cause::Unproven, Some(Cause::Unproven)),
    ] {
        assert_eq!(cause_after(Some(before), &good), Some(after));
    }
    let gone = [(part(ThingKind::VolumeBackup, false), Found::Gone)];
    assert_eq!(
        cause_after(Some(Cause::Deleted), &gone),
        Some(Some(Cause::Deleted)),
        "its own deletion goes on being the reason"
    );
}
