use serde_json::{Value, json};

use super::*;
use crate::domain::{id::PointKind, lifecycle::State, user_data::UserData};

fn terms() -> Terms {
    Terms {
        cloud: CloudName::new("old"),
        now: Timestamp::parse("2026-11-23T12:00:00Z").expect("a time"),
        active: false,
    }
}

fn row(model: &str, pk: u64, fields: &Value) -> String {
    json!({"model": format!("openstack.{model}"), "pk": pk, "fields": fields}).to_string()
}

/// What a DR backup of an instance with two volumes leaves in the tables, and a schedule of it. The
/// system volume is the second in the list.
fn export(state: &Value) -> Vec<String> {
    let details = |id: &str, volume: &str| {
        let details = json!({
            "id": id, "volume_id": volume, "size": 3, "container": "ab/cd", "service_metadata": "x",
        });
        // The exporter writes JSON columns as text.
        Value::String(details.to_string())
    };
    let volume_backup = |pk: u64, volume: u64, bootable: bool| {
        json!({
            "uuid": format!("{pk:032x}"), "name": format!("backup {pk}"), "backend_id": format!("vb-{pk}"),
            "tenant": 1, "source_volume": volume, "size": 2050, "state": 3, "record": pk,
            "metadata": {"source_volume_name": format!("disk {volume}"), "source_volume_bootable": bootable,
                "source_volume_type": "fast", "source_volume_image_metadata": {"os": "x", "min_disk": 2}},
        })
    };
    let record = |pk: u64, volume: &str| {
        json!({"uuid": format!("{pk:032x}"), "service": "cinder.backup.drivers.nfs",
            "details": details(&format!("vb-{pk}"), volume)})
    };
    vec![
        row("tenant", 1, &json!({"name": "blue", "backend_id": "b1ce"})),
        row(
            "instance",
            4,
            &json!({"name": "web", "backend_id": "5e4e", "tenant": 1}),
        ),
        row("volumebackup", 11, &volume_backup(11, 71, false)),
        row("volumebackup", 12, &volume_backup(12, 72, true)),
        row("volumebackuprecord", 11, &record(11, "v-data")),
        row("volumebackuprecord", 12, &record(12, "v-root")),
        row(
            "drbackup",
            7,
            &json!({
                "uuid": "0123456789abcdef0123456789abcdef", "name": "friday", "description": "all of it",
                "created": "2016-11-02T10:11:12.5Z", "modified": "2016-11-02T11:00:00Z", "state": state,
                "error_message": "no space", "tenant": 1, "source_instance": 4, "backup_schedule": 9,
                "kept_until": null, "volume_backups": [11, 12], "runtime_state": "Available",
                "metadata": json!({"name": "web", "system_volume_id": 72, "data_volume_id": 71,
                    "flavor_name": "m1.small", "min_ram": 512, "min_disk": 2048, "key_name": "mine",
                    "user_data": "#!/bin/sh"}).to_string(),
            }),
        ),
        row(
            "backupschedule",
            9,
            &json!({
                "uuid": "fedcba98-7654-3210-fedc-ba9876543210", "description": "nightly", "schedule": "30 3 * * *",
                "timezone": "Europe/Tallinn", "is_active": true, "backup_type": "DR", "instance": 4,
                "retention_time": 30, "maximal_number_of_backups": 5,
            }),
        ),
        row("snapshot", 1, &json!({})),
    ]
}

fn read_all(lines: &[String]) -> Reading {
    read(&lines.join("\n"), &terms())
}

#[test]
fn a_point_of_the_original_can_be_restored_by_us() {
    let reading = read_all(&export(&json!(3)));
    assert_eq!(reading.left, []);
    let [backup] = reading.dr_backups.as_slice() else {
        panic!("one: {:?}", reading.dr_backups);
    };
    assert_eq!(backup.head.state, State::Ok);
    assert_eq!(
        backup.id.to_string(),
        "01234567-89ab-cdef-0123-456789abcdef"
    );
    assert_eq!(backup.server.as_str(), "5e4e");
    assert_eq!(backup.detail.unrecoverable_reason(), None);
    assert_eq!(backup.keeping.schedule, Some(reading.schedules[0].id));
    let manifest = backup.detail.manifest.as_ref().expect("a manifest");
    let volumes: Vec<_> = manifest
        .volumes
        .iter()
        .map(|volume| {
            (
                volume.id.as_str(),
                volume.name.as_str(),
                volume.boot_index,
                volume.size_gib,
            )
        })
        .collect();
    assert_eq!(
        volumes,
        [
            ("v-root", "disk 72", Some(0), 3),
            ("v-data", "disk 71", None, 3)
        ],
        "the system volume is the root, whatever the order of the rows"
    );
    assert_eq!(manifest.volumes[0].image_metadata["min_disk"], "2");
    assert_eq!(
        (manifest.flavor.ram_mib, manifest.flavor.disk_gib),
        (512, 2)
    );
    assert_eq!(manifest.user_data, Some(UserData::new("IyEvYmluL3No")));
    let record = backup.detail.volume_backups()[0]
        .record
        .as_ref()
        .expect("a record");
    assert_eq!(record.service, "cinder.backup.drivers.nfs");
    assert!(record.url.starts_with("eyJ"), "base64 of the object");
    assert_eq!(reading.ignored["openstack.snapshot"], 1);
}

#[test]
fn a_schedule_of_the_original_becomes_one_of_ours_but_does_not_run_beside_it() {
    let lines = export(&json!(3));
    let reading = read_all(&lines);
    let schedule = &reading.schedules[0];
    assert_eq!(schedule.plan.kind, PointKind::Dr);
    assert_eq!(
        (schedule.plan.keep.days, schedule.plan.keep.maximum),
        (30, 5)
    );
    assert!(!schedule.active && schedule.next.is_none());
    assert!(
        reading
            .remarks
            .iter()
            .any(|remark| remark.why.contains("inactive"))
    );
    let terms = Terms {
        active: true,
        ..terms()
    };
    let active = &read(&lines.join("\n"), &terms).schedules[0];
    let slot = active.next.expect("planned").time;
    assert_eq!(slot.to_string(), "2026-11-24T01:30:00Z", "03:30 in Tallinn");
}

#[test]
fn every_state_of_the_original_has_its_answer() {
    let cases = [
        (json!(3), Some(State::Ok)),
        (json!(4), Some(State::Erred)),
        (json!(1), Some(State::Ok)),
        (json!(2), Some(State::Ok)),
        (json!(5), None),
        (json!(6), None),
        (json!(7), None),
        (json!(8), None),
        (json!("Ready"), Some(State::Ok)),
        (json!("Restoring"), Some(State::Ok)),
        (json!("BACKING_UP"), None),
        (json!("Deleted"), None),
        (json!("OK"), Some(State::Ok)),
        (json!(17), None),
    ];
    for (state, wanted) in cases {
        let reading = read_all(&export(&state));
        let taken = reading.dr_backups.first().map(|backup| backup.head.state);
        assert_eq!(taken, wanted, "{state}");
        if wanted.is_none() {
            let why = &reading.left[0].why;
            assert!(why.starts_with("state: "), "{state}: {why}");
        }
    }
    let erred = &read_all(&export(&json!(4))).dr_backups[0];
    assert_eq!(
        erred
            .head
            .error
            .as_ref()
            .map(|error| error.message.as_str()),
        Some("no space")
    );
}

#[test]
fn what_cannot_be_taken_is_named_with_its_line_and_column() {
    let broken = |at: usize, from: &str, to: &str| {
        let mut lines = export(&json!(3));
        let line = lines[at].replace(from, to);
        assert_ne!(line, lines[at]);
        lines[at] = line;
        read_all(&lines)
    };
    let cases = [
        (
            0,
            r#""pk":1"#,
            r#""pk":2"#,
            7,
            "tenant: the tenant with the pk 1 is not in the export",
        ),
        (
            6,
            r#""volume_backups":[11,12]"#,
            r#""volume_backups":[]"#,
            7,
            "volume_backups: there are none",
        ),
        (
            6,
            "0123456789abcdef0123456789abcdef",
            "friday",
            7,
            "uuid: `friday` is no UUID",
        ),
        (7, "30 3 * * *", "30 3 * *", 8, "schedule: "),
        (7, "Europe/Tallinn", "Europe/Nowhere", 8, "time_zone: "),
        (
            7,
            r#""instance":4"#,
            r#""instance":null"#,
            8,
            "instance: it refers to no instance",
        ),
        (
            2,
            r#""state":3"#,
            r#""size":"big","state":3"#,
            3,
            "invalid type",
        ),
        (8, "{", "", 9, "it is no row of an export"),
    ];
    for (at, from, to, line, why) in cases {
        let reading = broken(at, from, to);
        let found = reading.left.iter().find(|one| one.line == line);
        let found = found.unwrap_or_else(|| panic!("{why}: {:?}", reading.left));
        assert!(found.why.contains(why), "{found:?}");
    }
}

#[test]
fn a_point_without_a_record_is_taken_and_says_that_it_cannot_be_restored() {
    let mut lines = export(&json!(3));
    lines.remove(5);
    lines.push(row(
        "volume",
        72,
        &json!({"name": "disk 72", "backend_id": "v-root"}),
    ));
    let reading = read_all(&lines);
    assert_eq!(reading.dr_backups.len(), 1, "{:?}", reading.left);
    assert!(
        reading
            .remarks
            .iter()
            .any(|remark| remark.why.contains("cannot be restored")),
        "{:?}",
        reading.remarks
    );
}
