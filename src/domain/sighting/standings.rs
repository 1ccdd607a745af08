//! Every status that the services have, and what it says; these tests may not know any planner.

use super::*;

fn all(kind: ThingKind) -> &'static [&'static str] {
    match kind {
        // Cinder's API reference of volumes, and what its managers write beside.
        ThingKind::Volume => &[
            "creating",
            "available",
            "reserved",
            "attaching",
            "detaching",
            "in-use",
            "maintenance",
            "deleting",
            "deleted",
            "awaiting-transfer",
            "error",
            "error_attaching",
            "error_detaching",
            "error_deleting",
            "backing-up",
            "restoring-backup",
            "error_backing-up",
            "error_restoring",
            "error_extending",
            "error_managing",
            "error_managing_deleting",
            "error_unmanaging",
            "managing",
            "unmanaging",
            "downloading",
            "uploading",
            "retyping",
            "extending",
            "migrating",
        ],
        ThingKind::Snapshot => &[
            "error",
            "available",
            "creating",
            "deleting",
            "deleted",
            "updating",
            "error_deleting",
            "unmanaging",
            "backing-up",
            "restoring",
        ],
        ThingKind::VolumeBackup => &[
            "error",
            "error_deleting",
            "creating",
            "available",
            "deleting",
            "deleted",
            "restoring",
        ],
        ThingKind::GroupSnapshot => &[
            "error",
            "available",
            "creating",
            "deleting",
            "deleted",
            "updating",
            "error_deleting",
        ],
        ThingKind::Server => &[
            "active",
            "build",
            "deleted",
            "error",
            "hard_reboot",
            "migrating",
            "password",
            "paused",
            "reboot",
            "rebuild",
            "rescue",
            "resize",
            "revert_resize",
            "shelved",
            "shelved_offloaded",
            "shutoff",
            "soft_deleted",
            "suspended",
            "verify_resize",
        ],
        ThingKind::Image => &[
            "queued",
            "saving",
            "uploading",
            "importing",
            "active",
            "deactivated",
            "killed",
            "deleted",
            "pending_delete",
        ],
        ThingKind::SecurityGroup | ThingKind::KeyPair | ThingKind::Port => &["", "down"],
        // `neutron_lib/services/trunk/constants.py`; none of them says that it is not there.
        ThingKind::Trunk => &["active", "down", "build", "degraded", "error"],
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

#[test]
fn every_status_that_the_services_have_says_something() {
    for kind in KINDS {
        for status in all(kind) {
            let standing = standing(kind, status);
            assert_ne!(standing, Standing::Unknown, "{kind:?} {status}");
            let gone = status.starts_with("error") || status.ends_with("deleted");
            assert_eq!(
                gone && !all_is_well(kind),
                standing == Standing::Failed && gone
            );
            let passes = status.ends_with("ing");
            assert!(
                !passes || standing == Standing::Passing || gone,
                "{kind:?} {status} ends by itself"
            );
        }
    }
}

fn all_is_well(kind: ThingKind) -> bool {
    matches!(
        kind,
        ThingKind::SecurityGroup | ThingKind::KeyPair | ThingKind::Port | ThingKind::Trunk
    )
}

#[test]
fn what_does_not_end_by_itself_is_refused_for_every_thing_of_cinder() {
    let stays = ["reserved", "maintenance", "awaiting-transfer"];
    let failed = [
        "error",
        "error_deleting",
        "error_restoring",
        "error_extending",
    ];
    for status in stays.iter().chain(&failed) {
        assert!(does_not_pass(status), "{status}");
        assert!(!way_out(status).is_empty());
    }
    for status in [
        "creating",
        "attaching",
        "detaching",
        "backing-up",
        "restoring",
        "restoring-backup",
        "extending",
        "retyping",
        "uploading",
        "downloading",
        "migrating",
        "in-use",
        "available",
    ] {
        assert!(!does_not_pass(status), "{status}");
    }
}

#[test]
fn a_status_that_nobody_knows_is_waited_for_and_told() {
    for (status, told) in [
        ("levitating", "does not know"),
        ("reserved", "unshelve"),
        ("creating", ""),
    ] {
        let sighting = Sighting {
            thing: Thing {
                kind: ThingKind::Volume,
                id: "1".to_owned(),
            },
            name: String::new(),
            tags: Vec::new(),
            status: status.to_owned(),
            message: None,
            created: None,
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        };
        assert_eq!(sighting.verdict(), Readiness::Waiting);
        let waits_for = sighting.what_it_waits_for().unwrap_or_default();
        assert!(waits_for.contains(told), "{waits_for}");
        assert_eq!(waits_for.is_empty(), told.is_empty(), "{waits_for}");
    }
}
