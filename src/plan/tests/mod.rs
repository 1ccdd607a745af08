//! Unfolds every planner against a world that answers at once, and fails it at every effect; it may
//! not know the engine.
//!
//! One file because every planner is swept in the same ways.

mod awaited;
mod chains;
mod consistency;
mod deletions;
mod held;
mod keys;
mod patience;
mod statuses;
mod stored;
mod stuck;
pub(super) mod world;
mod worth;
mod zones;

use std::{collections::BTreeSet, fmt::Write as _};

use self::world::{
    Story, answer, create, create_regular, inventory, of_server, plan, registry, restore,
    restore_next_door, restore_regular, row, unfold,
};
use super::target::Target;
use crate::domain::{
    capture::Capture,
    consistency::ConsistencyLevel,
    decision::{Detail, Ending},
    difference::Difference,
    effect::{
        Apply, Disposal, EffectKind, EffectState, Fact, Make, NewPort, NewTrunk, NewVolume, Read,
        Request,
    },
    id::{EffectKey, FlavorId, ImageId, ProjectId, SnapshotId},
    inventory::{AdminReach, Inventory, KeyPairInfo, Quotas, Right, TypeQuotas},
    ledger::Ledger,
    operation::{Ask, Operation},
    point::PointDetail,
    restoration::RestoreOptions,
    sighting::ThingKind,
    time::Timestamp,
};

#[test]
fn every_planner_has_its_name_in_the_list_of_all() {
    let used: BTreeSet<&str> = registry(1).iter().map(|one| one.ask.name()).collect();
    assert_eq!(used, BTreeSet::from(Ask::NAMES));
}

#[test]
fn unfoldings_read_as_they_are_documented() {
    let mut text = String::new();
    for operation in registry(2) {
        let name = operation.ask.name();
        writeln!(text, "# {name}\n{}", unfold(operation, 2, None, false).text).unwrap();
    }
    insta::assert_snapshot!("unfoldings", text);
}

#[test]
fn every_planner_reaches_its_goal() {
    for volumes in [1, 2, 5, 20] {
        for operation in registry(volumes) {
            let name = operation.ask.name();
            assert_eq!(
                unfold(operation, volumes, None, false).ending,
                Ending::Done,
                "{name}"
            );
        }
    }
}

#[test]
fn a_failure_or_cancel_at_any_effect_leaves_nothing_but_what_is_kept() {
    for volumes in [1, 2, 5] {
        for operation in registry(volumes) {
            let count = unfold(operation.clone(), volumes, None, false).wished.len();
            for at in 0..count {
                for cancel in [false, true] {
                    let story = unfold(operation.clone(), volumes, Some(at), cancel);
                    let name = operation.ask.name();
                    let key = &story.wished[at].0;
                    let around = ["-kept", "-increment", "quiesced-image", "group-snapshot"];
                    let around = around.iter().any(|end| key.as_str().ends_with(end));
                    let optional = super::restore::is_optional(&story.wished[at].1)
                        && matches!(operation.ask, Ask::Restore(_));
                    let forgiven = (around || optional) && !cancel;
                    if forgiven && !demands_the_best(&operation) {
                        assert_eq!(story.ending, Ending::Done, "{name} has a way around {key}");
                        continue;
                    }
                    if key.as_str() == "server-after" && !cancel {
                        // What was captured is worth more than what could be claimed of it.
                        assert_eq!(story.ending, Ending::Done, "{name} at {key}");
                        continue;
                    }
                    if key.as_str() == "allowance" && !cancel {
                        // What could not be looked at shows when it is asked for.
                        assert_eq!(story.ending, Ending::Done, "{name} without {key}");
                        continue;
                    }
                    if key.as_str().ends_with("-swept") {
                        // Everything stands by then, and one that is cancelled is seen to all the same.
                        assert_eq!(story.ending == Ending::Done, cancel, "{name} at {key}");
                        continue;
                    }
                    assert!(matches!(story.ending, Ending::Erred(_)), "{name} at {key}");
                    let left: Vec<String> = story
                        .ledger
                        .iter()
                        .filter(|effect| effect.disposal != Disposal::Keep)
                        .filter(|effect| {
                            !matches!(effect.state, EffectState::Gone | EffectState::Failed)
                        })
                        .map(ToString::to_string)
                        .collect();
                    assert_eq!(left, Vec::<String>::new(), "{name} failed at {key}");
                }
            }
        }
    }
}

/// Whether less than the best way is not enough.
fn demands_the_best(operation: &Operation) -> bool {
    matches!(
        &operation.ask,
        Ask::CreateDrBackup {
            minimum: Some(_),
            ..
        }
    )
}

/// Where the volumes of a world are, and how a taking over moves them: the row of the donor and that of
/// the tenant are about one volume, and a clean-up has to find it in whichever project it is.
#[test]
fn a_volume_is_let_go_of_in_both_projects_that_it_may_be_in() {
    let count = unfold(restore_next_door(2), 2, None, false).wished.len();
    for at in 0..count {
        for cancel in [false, true] {
            let story = unfold(restore_next_door(2), 2, Some(at), cancel);
            if story.ending == Ending::Done {
                // What failed was optional.
                continue;
            }
            for effect in story.ledger.iter() {
                let Request::Make(Make::AcceptTransfer { volume, from }) = &effect.request else {
                    continue;
                };
                let given = story
                    .ledger
                    .iter()
                    .find(|other| other.id() == volume.as_str() && other.tenant.project == *from);
                for row in [given.expect("the donor has a row"), effect] {
                    let gone = matches!(row.state, EffectState::Gone | EffectState::Failed);
                    assert!(gone, "{row} at {at}");
                    assert_eq!(row.disposal, Disposal::Product);
                }
            }
        }
    }
}

#[test]
fn what_a_giver_made_is_told_once_and_as_the_tenants() {
    let story = unfold(restore_next_door(2), 2, None, false);
    let Some(Detail::Restoration(detail)) = story.detail else {
        panic!("a restoration")
    };
    let mut volumes: Vec<&str> = detail
        .made
        .iter()
        .filter(|thing| thing.kind == ThingKind::Volume)
        .map(|thing| thing.id.as_str())
        .collect();
    volumes.sort_unstable();
    assert_eq!(volumes, ["made-volume-0", "made-volume-1"]);
    assert_eq!(detail.mirrors, Vec::new(), "the originals are no mirrors");
}

#[test]
fn a_giver_needs_room_and_the_volume_type_too() {
    let operation = restore_next_door(2);
    let mut ledger = Ledger::default();
    let error = loop {
        let decision = plan(&operation, &ledger, Timestamp(1));
        if let Ending::Erred(error) = decision.ending {
            break error;
        }
        for wish in decision.wishes {
            let ordinal = ledger.next_ordinal();
            let mut effect = row(&operation, wish, ordinal);
            answer(&mut effect, 2);
            if let (Some(Fact::Inventory(inventory)), "demo") =
                (&mut effect.fact, effect.tenant.project.as_str())
            {
                inventory.quotas.volumes = Some(1);
                inventory.quotas.gigabytes = Some(2);
                inventory.volume_types.clear();
            }
            ledger.put(effect);
        }
    };
    assert_eq!(error.reason, "QUOTA_SHORT");
    for text in [
        "quota of volumes of project demo, which holds the records, is short: 2 needed, 1 left",
        "quota of volume GiB of project demo, which holds the records, is short: 3 needed, 2 left",
    ] {
        assert!(error.message.contains(text), "{}", error.message);
    }
    assert_eq!(ledger.iter().count(), 3, "nothing was made");
}

#[test]
fn a_data_disk_wishes_for_its_device_unless_that_could_cost_another_one_its_place() {
    let wishes = |devices: &[&str]| -> Vec<Option<String>> {
        let mut operation = restore(devices.len(), RestoreOptions::default());
        let Ask::Restore(input) = &mut operation.ask else {
            panic!("a restoration")
        };
        for (volume, device) in input.manifest.volumes.iter_mut().zip(devices) {
            volume.device = (!device.is_empty()).then(|| (*device).to_owned());
        }
        let story = unfold(operation, devices.len(), None, false);
        let server = story.wished.iter().find_map(|(_, request, _)| {
            let Request::Make(Make::Server(plan)) = request else {
                return None;
            };
            Some(plan.disks.clone())
        });
        server
            .unwrap()
            .into_iter()
            .map(|disk| disk.device)
            .collect()
    };
    let some = |device: &str| Some(device.to_owned());
    assert_eq!(
        wishes(&["/dev/vda", "/dev/vdc", "/dev/sdb", ""]),
        [None, some("/dev/vdc"), some("/dev/sdb"), None]
    );
    assert_eq!(
        wishes(&["/dev/vda", "/dev/sda", "/dev/vdb", "/dev/vdb"]),
        [None, None, None, None]
    );
}

#[test]
fn no_failure_ever_lets_an_imported_record_go() {
    for operation in registry(3) {
        let count = unfold(operation.clone(), 3, None, false).wished.len();
        for at in 0..count {
            let story = unfold(operation.clone(), 3, Some(at), at % 2 == 0);
            for (key, request, disposal) in &story.wished {
                if request.kind() == EffectKind::Import {
                    assert_eq!(*disposal, Disposal::Keep, "{key}");
                    // Abandoned at most: the engine deletes only what was made.
                    assert!(story.ledger.get(key).unwrap().thing().is_none());
                }
                let drops_backup = matches!(request, Request::Drop { thing } if thing.kind == ThingKind::VolumeBackup);
                assert!(!drops_backup || operation.ask.name() == "delete_dr_backup");
            }
        }
    }
}

#[test]
fn all_snapshots_are_asked_for_before_any_volume_backup() {
    let story = unfold(create(Capture::Snapshot), 5, None, false);
    let kinds: Vec<EffectKind> = story
        .wished
        .iter()
        .map(|(_, request, _)| request.kind())
        .collect();
    let last_snapshot = kinds
        .iter()
        .rposition(|kind| *kind == EffectKind::Make(ThingKind::Snapshot))
        .unwrap();
    let first_backup = kinds
        .iter()
        .position(|kind| *kind == EffectKind::Make(ThingKind::VolumeBackup))
        .unwrap();
    assert!(last_snapshot < first_backup);
}

#[test]
fn temporaries_are_gone_before_the_backup_is_ok() {
    for capture in [Capture::Snapshot, Capture::SnapshotThenCopy] {
        let story = unfold(create(capture), 3, None, false);
        assert_eq!(story.ending, Ending::Done);
        for effect in story
            .ledger
            .iter()
            .filter(|one| one.disposal == Disposal::Temporary)
        {
            assert_eq!(effect.state, EffectState::Gone, "{effect}");
        }
    }
}

#[test]
fn a_regular_backup_holds_its_snapshots_and_nothing_else_is_made() {
    let story = unfold(create_regular(), 3, None, false);
    assert_eq!(story.ending, Ending::Done);
    let Some(Detail::Point(detail)) = story.detail else {
        panic!("a regular backup")
    };
    assert_eq!(detail.unrecoverable_reason(), None);
    let ids: Vec<&str> = detail
        .snapshots()
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    let made = ["volume-0", "volume-1", "volume-2"].map(|key| format!("made-{key}-snapshot"));
    assert_eq!(ids, made);
    assert_eq!(detail.consistency.map(|one| one.skew_ms), Some(Some(2000)));
    // Beside them it read what it may, and the instance twice.
    assert_eq!(story.ledger.iter().count(), 6);
}

#[test]
fn one_snapshot_that_fails_takes_the_others_of_its_backup_with_it() {
    for at in 2..=4 {
        let story = unfold(create_regular(), 3, Some(at), false);
        assert!(matches!(story.ending, Ending::Erred(_)));
        let Some(Detail::Point(detail)) = story.detail else {
            panic!("a regular backup")
        };
        assert_eq!(detail.snapshots(), [], "none is promised");
        let reason = detail.unrecoverable_reason();
        assert!(reason.is_some_and(|text| text.contains("has no snapshot")));
    }
}

#[test]
fn a_volume_is_made_from_its_own_snapshot_with_the_type_that_it_has() {
    let story = unfold(
        restore_regular(5, RestoreOptions::default()),
        5,
        None,
        false,
    );
    assert_eq!(story.ending, Ending::Done);
    let made: Vec<Option<&str>> = story
        .wished
        .iter()
        .filter_map(|(_, request, _)| {
            let kind = request.kind();
            assert!(!matches!(
                kind,
                EffectKind::Import | EffectKind::RestoreInto
            ));
            assert!(!matches!(request, Request::Read(Read::Presence { .. })));
            let Request::Make(Make::Volume(NewVolume {
                snapshot,
                volume_type,
                ..
            })) = request
            else {
                return None;
            };
            assert_eq!(*volume_type, None);
            Some(snapshot.as_ref().map(SnapshotId::as_str))
        })
        .collect();
    let own: Vec<String> = (0..5).map(|index| format!("snapshot-{index}")).collect();
    let own: Vec<Option<&str>> = own.iter().map(|one| Some(one.as_str())).collect();
    assert_eq!(made, own);
    let Some(Detail::Restoration(detail)) = story.detail else {
        panic!("a restoration")
    };
    for (index, volume) in detail.volumes.iter().enumerate() {
        assert_eq!(volume.volume.as_str(), format!("made-volume-{index}"));
        assert_eq!(volume.name, format!("disk {index}"));
    }
}

#[test]
fn another_type_for_a_volume_from_a_snapshot_is_told_before_anything_is_made() {
    let wish = RestoreOptions {
        volume_type: Some("slow".to_owned()),
        ..RestoreOptions::default()
    };
    let Ask::Restore(input) = restore_regular(1, wish).ask else {
        panic!("a restoration")
    };
    let mut there = inventory();
    let error = super::layout::choose(&input, &Target::of(&there, &[])).unwrap_err();
    assert_eq!(error.reason, "VOLUME_TYPE_NOT_FOUND");
    there.volume_types[0].name = "slow".to_owned();
    let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
    assert_eq!(layout.volumes[0].volume_type.as_deref(), Some("slow"));
    let told = |one: &&Difference| one.attribute.ends_with("volume_type") && one.is == "slow";
    assert!(layout.differences.iter().any(|one| told(&one)));
}

#[test]
fn the_skew_between_snapshots_is_recorded() {
    let story = unfold(create(Capture::Snapshot), 3, None, false);
    let Some(Detail::Point(detail)) = story.detail else {
        panic!("a DR backup")
    };
    assert_eq!(
        detail.consistency.as_ref().and_then(|one| one.skew_ms),
        Some(2000)
    );
    assert_eq!(detail.volume_backups().len(), 3);
    let whole = PointDetail {
        consistency: None,
        ..*detail
    };
    assert_eq!(whole.unrecoverable_reason(), None);
}

#[test]
fn names_are_deterministic_distinct_and_short_enough_for_a_tag() {
    for operation in registry(20) {
        let one = unfold(operation.clone(), 20, None, false);
        let two = unfold(operation.clone(), 20, None, false);
        let names = |story: &Story| -> Vec<String> {
            story
                .ledger
                .iter()
                .map(|effect| effect.name.clone())
                .collect()
        };
        assert_eq!(names(&one), names(&two));
        let distinct: BTreeSet<String> = names(&one).into_iter().collect();
        assert_eq!(distinct.len(), one.ledger.iter().count());
        assert!(distinct.iter().all(|name| name.len() <= 60));
    }
}

#[test]
fn snapshots_of_an_instance_that_boots_from_an_image_are_refused_before_anything_is_made() {
    let operation = of_server(create_regular(), "image-server", None);
    let story = unfold(operation, 2, None, false);
    let Ending::Erred(error) = story.ending else {
        panic!("it is refused")
    };
    assert_eq!(error.reason, "INSTANCE_ROOT_NOT_VOLUME");
    assert!(error.guidance.contains("DR backup"), "{}", error.guidance);
    assert_eq!(story.wished.len(), 2, "it only read: {}", story.text);
}

#[test]
fn a_root_disk_that_is_no_volume_becomes_one_by_way_of_an_image() {
    let operation = of_server(create(Capture::Snapshot), "image-server", None);
    let story = unfold(operation, 2, None, false);
    assert_eq!(story.ending, Ending::Done, "{}", story.text);
    let made = story.wished.iter().find_map(|(_, request, _)| {
        let Request::Make(Make::Volume(NewVolume {
            image, size_gib, ..
        })) = request
        else {
            return None;
        };
        Some((image.clone(), *size_gib))
    });
    let (image, size_gib) = made.expect("a volume");
    assert_eq!(image, Some(ImageId::new("made-volume-0-image")));
    assert_eq!(size_gib, 3, "as large as the flavor says");
    let Some(Detail::Point(detail)) = story.detail else {
        panic!("a DR backup")
    };
    assert_eq!(detail.unrecoverable_reason(), None);
    let root = detail.manifest.as_ref().and_then(|one| one.root_volume());
    let root = root.expect("a root volume");
    assert!(root.from_image);
    assert_eq!(root.id.as_str(), "image-server", "the id of the server");
    assert_eq!(detail.volume_backups()[0].volume, root.id);
    let level = detail.consistency.map(|one| one.level);
    assert_eq!(level, Some(ConsistencyLevel::PerVolume));
}

#[test]
fn everything_that_is_in_the_way_of_a_restoration_is_said_at_once() {
    let mut wanting = inventory();
    wanting.flavors[0].shape.cores = 0;
    wanting.networks.clear();
    wanting.quotas.volumes = Some(1);
    let Ask::Restore(input) = restore(
        3,
        RestoreOptions {
            flavor: Some(FlavorId::new("1")),
            ..RestoreOptions::default()
        },
    )
    .ask
    else {
        panic!("a restoration")
    };
    let error = super::layout::choose(&input, &Target::of(&wanting, &[])).unwrap_err();
    assert!(
        error.message.contains("short of 1 cores"),
        "{}",
        error.message
    );
    assert!(
        error.message.contains("no network named `inside`"),
        "{}",
        error.message
    );
    assert!(
        error
            .message
            .contains("quota of volumes is short: 3 needed, 1 left")
    );
}

#[test]
fn a_key_of_the_same_name_and_another_content_is_not_used() {
    let mut there = inventory();
    there.key_pairs = vec![KeyPairInfo {
        name: "ops".to_owned(),
        fingerprint: "cc:dd".to_owned(),
    }];
    let Ask::Restore(input) = restore(1, RestoreOptions::default()).ask else {
        panic!()
    };
    let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
    let super::layout::KeyLayout::Make { name, .. } = &layout.key else {
        panic!("made")
    };
    assert_eq!(name, "ops-aabb");
    assert!(
        layout
            .differences
            .iter()
            .any(|one| one.attribute == "key pair"
                && (one.was.as_str(), one.is.as_str()) == ("ops", "ops-aabb"))
    );
}

#[test]
fn a_key_of_the_same_name_that_nobody_can_compare_is_told() {
    let mut there = inventory();
    let named = |name: &str, fingerprint: &str| KeyPairInfo {
        name: name.to_owned(),
        fingerprint: fingerprint.to_owned(),
    };
    let Ask::Restore(mut input) = restore(1, RestoreOptions::default()).ask else {
        panic!()
    };
    let key = input.manifest.key.as_mut().expect("a key");
    (key.public_key, key.fingerprint) = (None, None);
    there.key_pairs = vec![named("ops", "cc:dd")];
    let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
    assert!(
        matches!(&layout.key, super::layout::KeyLayout::Found(name) if name == "ops"),
        "{:?}",
        layout.key
    );
    let mut told = layout.differences.iter();
    let told = told.find(|one| one.attribute == "key pair").expect("told");
    assert_eq!((told.was.as_str(), told.is.as_str()), ("ops", "ops"));
    assert!(told.why.contains("not known"), "{told:?}");

    // Nor is one that has the name which ours would have.
    let Ask::Restore(input) = restore(1, RestoreOptions::default()).ask else {
        panic!()
    };
    there.key_pairs = vec![named("ops", "cc:dd"), named("ops-aabb", "ee:ff")];
    let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
    assert!(
        matches!(layout.key, super::layout::KeyLayout::None),
        "{:?}",
        layout.key
    );
    let mut told = layout.differences.iter();
    let told = told.find(|one| one.attribute == "key pair").expect("told");
    assert_eq!((told.was.as_str(), told.is.as_str()), ("ops", ""));
}

#[test]
fn a_key_that_the_user_has_no_room_for_is_left_out_and_told_and_refuses_nothing_else() {
    let mut there = inventory();
    there.quotas.key_pairs = Some(0);
    let other = KeyPairInfo {
        name: "ops".to_owned(),
        fingerprint: "cc:dd".to_owned(),
    };
    let own = KeyPairInfo {
        name: "ops-aabb".to_owned(),
        fingerprint: "aa:bb".to_owned(),
    };
    let Ask::Restore(input) = restore(1, RestoreOptions::default()).ask else {
        panic!()
    };
    for (pairs, used) in [
        (vec![], None),
        (vec![other.clone()], None),
        (vec![other, own], Some("ops-aabb")),
    ] {
        there.key_pairs = pairs;
        let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
        let key = match &layout.key {
            super::layout::KeyLayout::None => None,
            super::layout::KeyLayout::Found(name) => Some(name.as_str()),
            super::layout::KeyLayout::Make { .. } => panic!("there is no room"),
        };
        assert_eq!(key, used);
        let mut told = layout.differences.iter();
        let told = told.find(|one| one.attribute == "key pair").expect("told");
        assert_eq!(
            (told.was.as_str(), told.is.as_str()),
            ("ops", used.unwrap_or_default())
        );
        assert_eq!(told.why.contains("no more key pairs"), used.is_none());
    }
}

/// An instance of which everything is set that a restoration asks for by itself.
fn everything_set(wish: RestoreOptions) -> Operation {
    let mut operation = restore(1, wish);
    if let Ask::Restore(input) = &mut operation.ask {
        let manifest = &mut input.manifest;
        manifest.status = "SHUTOFF".to_owned();
        manifest.locked = true;
        manifest.locked_reason = Some("audit".to_owned());
        manifest.security_groups[0].name = "Default".to_owned();
        let port = &mut manifest.ports[0];
        port.name = "eth".to_owned();
        port.id = Some(crate::domain::id::PortId::new("p"));
        port.settings = crate::domain::manifest::PortSettings {
            description: "uplink".to_owned(),
            address_pairs: vec![crate::domain::manifest::AddressPair {
                address: "10.0.0.9".to_owned(),
                mac: None,
            }],
            dhcp_options: vec![crate::domain::manifest::DhcpOption {
                name: "mtu".to_owned(),
                value: Some("1400".to_owned()),
                ip_version: 4,
            }],
            dns_name: "web".to_owned(),
            dns_domain: "example.org.".to_owned(),
            qos_policy: Some("gold".to_owned()),
            tags: vec!["a".to_owned()],
            ..Default::default()
        };
    }
    operation
}

fn told(story: &Story) -> Vec<Difference> {
    match &story.detail {
        Some(Detail::Restoration(detail)) => detail.differences.clone(),
        _ => panic!("a restoration"),
    }
}

/// One refusal of each thing that is optional: the restoration ends well all the same, and tells it.
#[test]
fn whatever_is_optional_falls_alone_and_is_told() {
    let whole = unfold(everything_set(RestoreOptions::default()), 1, None, false);
    assert_eq!(whole.ending, Ending::Done);
    let mut optional = 0;
    for at in 0..whole.wished.len() {
        let (key, request, _) = &whole.wished[at];
        if !crate::plan::restore::is_optional(request) {
            continue;
        }
        optional += 1;
        let story = unfold(
            everything_set(RestoreOptions::default()),
            1,
            Some(at),
            false,
        );
        assert_eq!(story.ending, Ending::Done, "{key}");
        let refused = told(&story);
        let refused = refused.iter().filter(|one| one.why.contains("x: no"));
        assert_eq!(refused.count(), 1, "{key}");
        let others = whole.wished.iter().filter(|(other, ..)| other != key);
        for (other, ..) in others.filter(|(other, ..)| !other.as_str().contains("admin_state_up")) {
            // A trunk takes its sub ports along, and its name.
            let lane = ["port-0-trunk", "port-1", "port-2"];
            let lane = lane.iter().any(|begin| other.as_str().starts_with(begin));
            if key.as_str() == "port-0-trunk" && lane {
                continue;
            }
            let asked = story.wished.iter().any(|(asked, ..)| asked == other);
            assert!(asked, "{other} falls with {key}");
        }
    }
    // The key, the volume, five settings and three names of the port, the group's name, the tags, the stop,
    // the port's switch, the lock and the look; the trunk, its name, and the names and switches of its sub
    // ports.
    assert_eq!(optional, 22);
}

#[test]
fn a_trunk_is_made_of_its_sub_ports_before_the_server_and_goes_before_them() {
    let operation = || restore(1, RestoreOptions::default());
    let story = unfold(operation(), 1, None, false);
    let place = |key: &str| {
        let mut wished = story.wished.iter();
        wished.position(|(asked, ..)| asked.as_str() == key)
    };
    let keys = ["port-0", "port-1", "port-2", "port-0-trunk", "server"];
    let places = keys.map(|key| place(key).expect(key));
    assert!(places.is_sorted(), "{}", story.text);
    let Request::Make(Make::Trunk(NewTrunk { sub_ports, .. })) = &story.wished[places[3]].1 else {
        panic!("a trunk")
    };
    assert_eq!(sub_ports.len(), 2);
    let Request::Make(Make::Server(plan)) = &story.wished[places[4]].1 else {
        panic!("a server")
    };
    assert_eq!(plan.ports.len(), 1, "a sub port is no card");
    // Refused, it takes its sub ports along, and nothing else.
    let refused = unfold(operation(), 1, Some(places[3]), false);
    assert_eq!(refused.ending, Ending::Done);
    let state = |key: &str| {
        let effect = refused.ledger.get(&EffectKey::new(key));
        effect.map(|effect| effect.state)
    };
    assert_eq!(state("port-0"), Some(EffectState::Done));
    for key in ["port-1", "port-2"] {
        assert_eq!(state(key), Some(EffectState::Gone), "{key}");
    }
    let Some(Detail::Restoration(detail)) = &refused.detail else {
        panic!("a restoration")
    };
    let kinds = |kind| {
        detail
            .made
            .iter()
            .filter(|thing| thing.kind == kind)
            .count()
    };
    assert_eq!((kinds(ThingKind::Port), kinds(ThingKind::Trunk)), (1, 0));
    let all = told(&refused);
    let told = all.iter().find(|one| one.attribute == "port 0 trunk");
    let told = told.expect("told");
    assert_eq!(told.was, "lanes (vlan 101 lane-101, vlan 102 lane-102)");
}

#[test]
fn where_there_are_no_trunks_no_sub_port_is_made_and_it_is_told() {
    let mut there = inventory();
    there.without_trunks = true;
    let Ask::Restore(mut input) = restore(1, RestoreOptions::default()).ask else {
        panic!()
    };
    // What is not made needs no network either.
    if let Some(trunk) = &mut input.manifest.ports[0].trunk {
        trunk.sub_ports[0].port.network_name = "nowhere".to_owned();
    }
    let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
    assert_eq!(layout.ports.len(), 1);
    let told = |one: &&Difference| one.attribute == "port 0 trunk";
    assert_eq!(layout.differences.iter().filter(told).count(), 1);
    let refused = super::layout::choose(&input, &Target::of(&inventory(), &[])).unwrap_err();
    assert_eq!(refused.reason, "NETWORK_NOT_MAPPED", "{refused:?}");
    assert!(format!("{refused:?}").contains("nowhere"), "{refused:?}");
}

#[test]
fn a_port_does_not_follow_its_uplink_where_it_did_not_and_the_target_knows_that() {
    for (known, was, wished, told) in [
        (Some(true), Some(false), Some(false), 0),
        // The usual way is not named, and neither is what Neutron would refuse.
        (Some(true), Some(true), None, 0),
        (Some(false), Some(false), None, 0),
        (None, Some(false), None, 0),
        (Some(false), Some(true), None, 1),
    ] {
        let mut there = inventory();
        there.uplink_status = known;
        let Ask::Restore(mut input) = restore(1, RestoreOptions::default()).ask else {
            panic!("a restoration")
        };
        input.manifest.ports[0].vnic_type = "direct".to_owned();
        input.manifest.ports[0].settings.uplink_status = was;
        let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
        assert_eq!(layout.ports[0].uplink_status, wished, "{known:?} {was:?}");
        let all = layout.differences.iter();
        let path = "port 0 propagate_uplink_status";
        let all = all.filter(|one| one.attribute == path).count();
        assert_eq!(all, told, "{known:?} {was:?}");
    }
}

#[test]
fn a_twin_that_was_switched_off_never_speaks_with_its_old_address() {
    use crate::domain::{
        effect::{PortSetting, ServerSetting},
        restoration::Start,
    };
    let place = |story: &Story, wanted: fn(&Request) -> bool| {
        story
            .wished
            .iter()
            .position(|(_, request, _)| wanted(request))
    };
    let stop: fn(&Request) -> bool = |request| {
        matches!(
            request,
            Request::Apply(Apply::ServerSetting {
                setting: ServerSetting::Stopped,
                ..
            })
        )
    };
    let up: fn(&Request) -> bool = |request| {
        matches!(
            request,
            Request::Apply(Apply::PortSetting {
                setting: PortSetting::Up(true),
                ..
            })
        )
    };
    let lock: fn(&Request) -> bool = |request| {
        matches!(
            request,
            Request::Apply(Apply::ServerSetting {
                setting: ServerSetting::Locked(_),
                ..
            })
        )
    };
    let down: fn(&Request) -> bool = |request| {
        matches!(
            request,
            Request::Make(Make::Port(NewPort { down: true, .. }))
        )
    };
    let story = unfold(everything_set(RestoreOptions::default()), 1, None, false);
    let places = [down, stop, up, lock].map(|wanted| place(&story, wanted).expect("asked for"));
    assert!(places.is_sorted(), "{}", story.text);
    let at = places[1];
    let refused = unfold(
        everything_set(RestoreOptions::default()),
        1,
        Some(at),
        false,
    );
    assert_eq!(
        place(&refused, up),
        None,
        "one that runs keeps its port off"
    );
    let running = RestoreOptions {
        start: Start::Running,
        ..RestoreOptions::default()
    };
    let story = unfold(everything_set(running), 1, None, false);
    assert_eq!(
        [down, stop, up].map(|wanted| place(&story, wanted)),
        [None; 3]
    );
}

#[test]
fn a_group_never_gets_the_name_of_the_default_group_and_no_rule_is_widened() {
    let mut operation = everything_set(RestoreOptions::default());
    if let Ask::Restore(input) = &mut operation.ask {
        let rules = &mut input.manifest.security_groups[0].rules;
        let mut narrowed = rules[0].clone();
        narrowed.remote_group = None;
        narrowed.restrictions = vec!["remote_address_group_id=a".to_owned()];
        rules.push(narrowed);
    }
    let story = unfold(operation, 1, None, false);
    for (_, request, _) in &story.wished {
        if let Request::Apply(Apply::SecurityGroupName { name, .. }) = request {
            assert_eq!(name, "Default (web)");
        }
        if let Request::Apply(Apply::SecurityGroupRules { rules, .. }) = request {
            assert_eq!(rules.len(), 1, "the narrowed rule is left out");
        }
    }
    let told = told(&story);
    let has = |attribute: &str, was: &str| {
        let mut told = told.iter();
        told.any(|one| one.attribute == attribute && one.was.contains(was))
    };
    assert!(has("security group Default name", "Default"), "{told:?}");
    assert!(
        has("security group Default rule", "remote_address_group_id=a"),
        "{told:?}"
    );
}

#[test]
fn no_address_is_wished_for_where_a_subnet_makes_its_own() {
    let Ask::Restore(input) = restore(
        1,
        RestoreOptions {
            keep_fixed_addresses: true,
            ..RestoreOptions::default()
        },
    )
    .ask
    else {
        panic!("a restoration")
    };
    for (mode, wished) in [
        (None, 1),
        (Some("dhcpv6-stateful"), 1),
        (Some("slaac"), 0),
        (Some("dhcpv6-stateless"), 0),
    ] {
        let mut there = inventory();
        there.networks[0].subnets[0].address_mode = mode.map(str::to_owned);
        let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
        assert_eq!(layout.ports[0].kept.fixed.len(), wished, "{mode:?}");
        let told = layout
            .differences
            .iter()
            .filter(|one| one.was == "10.0.0.7");
        assert_eq!(told.count(), 1 - wished, "{mode:?}");
    }
}

#[test]
fn what_a_flavor_gives_otherwise_is_told_in_true_words() {
    let mut there = inventory();
    let Ask::Restore(mut input) = restore(1, RestoreOptions::default()).ask else {
        panic!("a restoration")
    };
    input.manifest.flavor.ephemeral_gib = 5;
    input.manifest.flavor.swap_mib = 64;
    for (key, value) in [("hw:cpu_policy", "dedicated"), ("quota:vif", "10")] {
        let properties = &mut input.manifest.flavor.properties;
        properties.insert(key.to_owned(), value.to_owned());
    }
    let shape = &mut there.flavors[0].shape;
    shape.swap_mib = 32;
    shape
        .properties
        .insert("quota:vif".to_owned(), "20".to_owned());
    let layout = super::layout::choose(&input, &Target::of(&there, &[])).unwrap();
    let row = |attribute: &str| {
        let mut all = layout.differences.iter();
        let one = all.find(|one| one.attribute == attribute).expect("told");
        (one.was.as_str(), one.is.as_str(), one.why.contains("empty"))
    };
    assert_eq!(row("ephemeral disk"), ("5 GiB", "", false));
    assert_eq!(row("swap disk"), ("64 MiB", "32 MiB", true));
    assert_eq!(
        row("flavor extra spec hw:cpu_policy"),
        ("dedicated", "", false)
    );
    assert_eq!(row("flavor extra spec quota:vif"), ("10", "20", false));
}

/// What is in the way of a restoration of `volumes` volumes into this inventory.
fn in_the_way(volumes: usize, wish: RestoreOptions, there: &Inventory) -> String {
    let Ask::Restore(input) = restore(volumes, wish).ask else {
        panic!("a restoration")
    };
    let chosen = super::layout::choose(&input, &Target::of(there, &[]));
    chosen.err().map(|error| error.message).unwrap_or_default()
}

#[test]
fn the_flavor_that_is_asked_for_is_the_one_that_is_counted() {
    let mut there = inventory();
    let mut large = there.flavors[0].clone();
    large.id = FlavorId::new("2");
    large.shape.ram_mib = 4096;
    large.shape.cores = 2;
    there.flavors.push(large);
    there.quotas.ram_mib = Some(1024);
    there.quotas.cores = Some(1);
    let large = RestoreOptions {
        flavor: Some(FlavorId::new("2")),
        ..RestoreOptions::default()
    };
    let told = in_the_way(1, large, &there);
    assert!(
        told.contains("quota of RAM MiB is short: 4096 needed, 1024 left"),
        "{told}"
    );
    assert!(
        told.contains("quota of cores is short: 2 needed, 1 left"),
        "{told}"
    );
    assert_eq!(in_the_way(1, RestoreOptions::default(), &there), "");
}

#[test]
fn the_project_that_imports_pays_for_the_records() {
    let mut there = inventory();
    there.quotas.backups = Some(0);
    let other = AdminReach::Other(ProjectId::new("admin"));
    there.admin = other;
    there.importer = Some(Quotas::default());
    assert_eq!(in_the_way(3, RestoreOptions::default(), &there), "");
    there.quotas.backups = None;
    there.importer = Some(Quotas {
        backups: Some(2),
        ..Quotas::default()
    });
    let told = in_the_way(3, RestoreOptions::default(), &there);
    let expected = "quota of volume backups of project admin, in which imported records land, is short: 3 needed, 2 left";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn limits_of_a_type_and_of_one_volume_count_too() {
    let mut there = inventory();
    there.quotas.per_volume_gigabytes = Some(0);
    there.quotas.server_metadata = Some(0);
    let quotas = TypeQuotas {
        volumes: Some(1),
        gigabytes: Some(1),
        snapshots: None,
    };
    there.quotas.by_type.insert("fast".to_owned(), quotas);
    let wish = RestoreOptions {
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        ..RestoreOptions::default()
    };
    let told = in_the_way(2, wish, &there);
    for what in [
        "GiB of one volume is short",
        "volumes of type fast is short: 2 needed, 1 left",
        "volume GiB of type fast is short",
        "metadata of a server is short",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
}

#[test]
fn without_the_right_to_import_nothing_is_begun() {
    let there = inventory();
    let refused = Right::Refused("policy".to_owned());
    let mut target = Target::of(&there, &[]);
    target.import = &refused;
    let Ask::Restore(input) = restore(1, RestoreOptions::default()).ask else {
        panic!("a restoration")
    };
    let told = super::layout::choose(&input, &target).unwrap_err().message;
    assert!(told.contains("may not be imported: policy"), "{told}");
}
