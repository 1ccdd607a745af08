//! Digests of declared requests: pinned, and the same for what is the same; they may not know the store.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, time::Duration};

use super::*;
use crate::domain::{
    capture::Capture,
    consistency::ConsistencyLevel,
    id::{
        CloudName, FlavorId, NetworkId, PointId, PointKind, ProjectId, ScheduleId, SecurityGroupId,
        ServerId, VolumeId,
    },
    restoration::Start,
    schedule::MissedRuns,
    time::Timestamp,
    user_data::UserData,
};

const ID: Uuid = Uuid::from_u128(7);
const LATER: Timestamp = Timestamp(1_800_000_000_000_000);

fn tenant() -> Tenant {
    Tenant {
        cloud: CloudName::new("home"),
        project: ProjectId::new("blue"),
    }
}

fn request_id() -> String {
    "once".to_owned()
}

fn dr_backup() -> CreatePoint {
    CreatePoint {
        kind: PointKind::Dr,
        tenant: tenant(),
        server: ServerId::new("shop"),
        name: String::new(),
        description: String::new(),
        capture: Capture::default(),
        incremental: false,
        minimum: None,
        keeping: Keeping::default(),
        deadline: None,
        validate_only: false,
        request_id: request_id(),
    }
}

fn backup() -> CreatePoint {
    CreatePoint {
        kind: PointKind::Regular,
        ..dr_backup()
    }
}

fn restoration() -> CreateRestoration {
    CreateRestoration {
        source: PointId::dr(ID),
        tenant: tenant(),
        options: RestoreOptions::default(),
        deadline: None,
        validate_only: false,
        request_id: request_id(),
    }
}

fn every_option() -> RestoreOptions {
    RestoreOptions {
        name: "again".to_owned(),
        flavor: Some(FlavorId::new("m1")),
        volumes: vec![VolumeOptions {
            volume: VolumeId::new("root"),
            volume_type: Some("ssd".to_owned()),
            availability_zone: Some("a".to_owned()),
            size_gib: Some(9),
        }],
        networks: vec![NetworkOptions {
            source: NetworkId::new("old"),
            target: NetworkId::new("new"),
            fixed_address: Some("10.0.0.9".to_owned()),
        }],
        keep_fixed_addresses: true,
        keep_mac_addresses: true,
        security_groups: vec![SecurityGroupId::new("web")],
        key_name: Some("mine".to_owned()),
        availability_zone: Some("b".to_owned()),
        volume_availability_zone: Some("c".to_owned()),
        volume_type: Some("hdd".to_owned()),
        user_data: Some(UserData::new("IyE=")),
        config_drive: Some(false),
        metadata: BTreeMap::from([
            ("b".to_owned(), "2".to_owned()),
            ("a".to_owned(), "1".to_owned()),
        ]),
        keep_volumes: true,
        no_key: true,
        start: Start::Stopped,
    }
}

fn plan() -> Plan {
    Plan {
        name: String::new(),
        description: String::new(),
        kind: PointKind::Dr,
        capture: Capture::default(),
        minimum: None,
        full_every: 0,
        calendar: "@daily".to_owned(),
        time_zone: "UTC".to_owned(),
        jitter: Duration::ZERO,
        missed: MissedRuns::default(),
        failures_maximum: 0,
        keep: Keep::default(),
    }
}

fn every_plan() -> Plan {
    Plan {
        name: "nightly".to_owned(),
        description: "words".to_owned(),
        kind: PointKind::Regular,
        capture: Capture::SnapshotThenCopy,
        minimum: Some(ConsistencyLevel::VolumeSnapshots),
        full_every: 7,
        calendar: "30 3 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        jitter: Duration::from_millis(1500),
        missed: MissedRuns::Skip,
        failures_maximum: 5,
        keep: Keep {
            last: 1,
            days: 2,
            hourly: 3,
            daily: 4,
            weekly: 5,
            monthly: 6,
            yearly: 7,
            maximum: 8,
            floor: 9,
        },
    }
}

fn schedule(plan: Plan) -> CreateSchedule {
    CreateSchedule {
        tenant: tenant(),
        server: ServerId::new("shop"),
        plan,
        active: true,
        validate_only: false,
        request_id: request_id(),
    }
}

fn change(wanted: Plan, fields: Vec<&'static str>) -> UpdateSchedule {
    UpdateSchedule {
        id: ScheduleId(ID),
        change: PlanChange { wanted, fields },
        etag: String::new(),
        request_id: request_id(),
    }
}

fn one() -> OneSchedule {
    OneSchedule {
        id: ScheduleId(ID),
        etag: String::new(),
        request_id: request_id(),
    }
}

const KEEPING: Keeping = Keeping {
    schedule: Some(ScheduleId(ID)),
    until: Some(LATER),
    held: true,
};
const REKEEPING: Rekeeping = Rekeeping {
    until: Some(None),
    held: Some(false),
};
const MINIMUM: Option<ConsistencyLevel> = Some(ConsistencyLevel::GroupSnapshot);
const DEADLINE: Option<Duration> = Some(Duration::from_millis(90_500));

type Samples = Vec<(&'static str, Request)>;

fn of_dr_backups() -> Samples {
    let all = CreatePoint {
        name: "friday".to_owned(),
        description: "nightly".to_owned(),
        capture: Capture::VolumeInUse,
        incremental: true,
        minimum: MINIMUM,
        keeping: KEEPING,
        deadline: DEADLINE,
        ..dr_backup()
    };
    let update = |name, description, keeping| {
        update_point(&UpdatePoint {
            id: PointId::dr(ID),
            name,
            description,
            keeping,
            etag: String::new(),
            request_id: request_id(),
        })
    };
    let delete = |allow_missing_cloud| {
        delete_point(&DeletePoint {
            id: PointId::dr(ID),
            allow_missing_cloud,
            etag: String::new(),
            request_id: request_id(),
        })
    };
    let name = Some("friday".to_owned());
    vec![
        ("little", create_point(&dr_backup())),
        ("all", create_point(&all)),
        ("little", update(None, None, Rekeeping::default())),
        ("all", update(name, Some(String::new()), REKEEPING)),
        ("little", delete(false)),
        ("all", delete(true)),
        ("all", cancel_point(PointId::dr(ID), "once")),
    ]
}

fn of_regular_backups() -> Samples {
    let all = CreatePoint {
        name: "friday".to_owned(),
        description: "nightly".to_owned(),
        minimum: MINIMUM,
        keeping: KEEPING,
        deadline: DEADLINE,
        ..backup()
    };
    let update = |name, description, keeping| {
        update_point(&UpdatePoint {
            id: PointId::regular(ID),
            name,
            description,
            keeping,
            etag: String::new(),
            request_id: request_id(),
        })
    };
    let delete = |allow_missing_cloud| {
        delete_point(&DeletePoint {
            id: PointId::regular(ID),
            allow_missing_cloud,
            etag: String::new(),
            request_id: request_id(),
        })
    };
    let name = Some("friday".to_owned());
    vec![
        ("little", create_point(&backup())),
        ("all", create_point(&all)),
        ("little", update(None, None, Rekeeping::default())),
        ("all", update(name, Some(String::new()), REKEEPING)),
        ("little", delete(false)),
        ("all", delete(true)),
        ("all", cancel_point(PointId::regular(ID), "once")),
    ]
}

fn of_restorations() -> Samples {
    let all = CreateRestoration {
        source: PointId::regular(ID),
        options: every_option(),
        deadline: DEADLINE,
        ..restoration()
    };
    let cancel = |keep_volumes| cancel_restoration(RestorationId(ID), keep_volumes, "once");
    let delete = |delete_instance, allow_missing_cloud| {
        delete_restoration(&DeleteRestoration {
            id: RestorationId(ID),
            delete_instance,
            allow_missing_cloud,
            etag: String::new(),
            request_id: request_id(),
        })
    };
    vec![
        ("little", create_restoration(&restoration())),
        ("all", create_restoration(&all)),
        ("little", cancel(false)),
        ("all", cancel(true)),
        ("little", delete(false, false)),
        ("all", delete(true, true)),
    ]
}

fn of_schedules() -> Samples {
    let all_fields = vec![
        "name",
        "description",
        "capture",
        "minimum_consistency",
        "full_every",
        "schedule",
        "time_zone",
        "jitter",
        "missed_runs",
        "failures_maximum",
        "retention",
    ];
    let update = |plan, fields| update_schedule(&change(plan, fields));
    vec![
        ("little", create_schedule(&schedule(plan()))),
        ("all", create_schedule(&schedule(every_plan()))),
        ("little", update(plan(), vec!["retention"])),
        ("all", update(every_plan(), all_fields)),
        ("all", one_schedule("ActivateSchedule", &one())),
        ("all", one_schedule("DeactivateSchedule", &one())),
        ("all", one_schedule("DeleteSchedule", &one())),
        ("all", one_schedule("RunSchedule", &one())),
    ]
}

fn of_orphans() -> Samples {
    let delete = |include_unknown| {
        delete_orphans(&DeleteOrphans {
            tenant: tenant(),
            ids: vec!["b".to_owned(), "a".to_owned()],
            include_unknown,
            request_id: request_id(),
        })
    };
    vec![("little", delete(false)), ("all", delete(true))]
}

/// Of each method a request that says as little as it can, and one that says all that it can.
fn samples() -> Samples {
    [
        of_dr_backups(),
        of_regular_backups(),
        of_restorations(),
        of_schedules(),
        of_orphans(),
    ]
    .concat()
}

#[test]
fn the_digest_of_a_request_is_the_same_in_every_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/requests.txt");
    let mut kept = fs::read_to_string(&path).unwrap_or_default();
    let mut missing = String::new();
    for (much, asked) in samples() {
        let RequestKey { method, digest, .. } = asked.key.expect("it has an id");
        let before = kept.lines().find_map(|line| {
            let digest = line.strip_prefix(&format!("{method} {much} "))?;
            digest.starts_with(VERSION).then_some(digest)
        });
        match before {
            // Not even UPDATE_GOLDEN changes one: databases hold them.
            Some(before) => assert_eq!(before, digest, "{method}, which says {much}"),
            None => writeln!(missing, "{method} {much} {digest}").expect("a string"),
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        kept.push_str(&missing);
        fs::write(&path, kept).expect("the golden is written");
    } else {
        assert!(missing.is_empty(), "UPDATE_GOLDEN=1 adds:\n{missing}");
    }
}

#[test]
fn no_two_requests_of_a_method_have_one_digest() {
    let mut seen = BTreeMap::new();
    for (much, asked) in samples() {
        let key = asked.key.expect("it has an id");
        let before = seen.insert((key.method, key.digest), much);
        assert_eq!(before, None, "{}", key.method);
    }
}

#[test]
fn what_is_only_a_condition_or_a_trial_is_no_content() {
    let tried = CreatePoint {
        validate_only: true,
        ..dr_backup()
    };
    assert_eq!(create_point(&tried), create_point(&dr_backup()));
    let read_before = OneSchedule {
        etag: "\"7\"".to_owned(),
        ..one()
    };
    let key = |ask: &OneSchedule| one_schedule("DeleteSchedule", ask);
    assert_eq!(key(&read_before), key(&one()));
}

#[test]
fn a_change_is_what_it_changes_in_whatever_order() {
    let by_one = change(every_plan(), vec!["name", "jitter"]);
    let by_other = change(
        Plan {
            calendar: "@hourly".to_owned(),
            ..every_plan()
        },
        vec!["jitter", "name"],
    );
    assert_eq!(update_schedule(&by_one), update_schedule(&by_other));
    let to_the_default = change(plan(), vec!["name"]);
    let of_another = change(plan(), vec!["jitter"]);
    assert_ne!(
        update_schedule(&to_the_default),
        update_schedule(&of_another)
    );
}

#[test]
fn what_is_chosen_is_another_request_than_what_is_left_open() {
    let key = |options: RestoreOptions| {
        create_restoration(&CreateRestoration {
            options,
            ..restoration()
        })
    };
    let off = RestoreOptions {
        config_drive: Some(false),
        ..RestoreOptions::default()
    };
    assert_ne!(key(off), key(RestoreOptions::default()));
}

#[test]
fn a_request_without_an_id_has_no_key() {
    let nameless = CreatePoint {
        request_id: String::new(),
        ..dr_backup()
    };
    assert_eq!(create_point(&nameless).key, None);
}

#[test]
fn digests_of_two_versions_are_compared_by_their_key_only() {
    let key = |digest: &str| RequestKey {
        method: "CreateDRBackup",
        id: request_id(),
        digest: digest.to_owned(),
    };
    assert!(key("v1:a").repeats("v1:a"));
    assert!(!key("v1:a").repeats("v1:b"));
    assert!(key("v1:a").repeats("v2:b"));
    assert!(
        key("v1:a").repeats(&"0".repeat(64)),
        "of before there were versions"
    );
}
