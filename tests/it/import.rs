//! What the system that came before kept, taken in and brought back; it may not look inside the service.

use std::process::Command;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use drbackup::{
    api::pb,
    domain::{id::CloudName, point::Point, time::Timestamp},
    import_waldur::{Terms, read},
    service::settings::ServiceSettings,
    sim::{InstanceSpec, Times},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, things};

fn row(model: &str, pk: usize, fields: &Value) -> String {
    json!({"model": format!("openstack.{model}"), "pk": pk, "fields": fields}).to_string()
}

/// What the original would have in its tables about this DR backup, as it exports them.
fn export(backup: &Point) -> String {
    let detail = &backup.detail;
    let manifest = detail.manifest.as_ref().expect("a manifest");
    let mut lines = vec![
        row(
            "tenant",
            1,
            &json!({"name": "demo", "backend_id": backup.tenant.project.as_str()}),
        ),
        row(
            "instance",
            2,
            &json!({"name": "web", "backend_id": backup.server.as_str(), "tenant": 1}),
        ),
        row(
            "backupschedule",
            3,
            &json!({"uuid": Uuid::from_u128(3), "description": "nightly", "schedule": "@daily",
                "timezone": "UTC", "is_active": true, "backup_type": "DR", "instance": 2,
                "retention_time": 7, "maximal_number_of_resources": 3}),
        ),
    ];
    for (pk, (link, volume)) in detail
        .volume_backups()
        .iter()
        .zip(&manifest.volumes)
        .enumerate()
    {
        let record = link.record.as_ref().expect("a record");
        let details = STANDARD.decode(&record.url).expect("base64");
        let details = String::from_utf8(details).expect("text");
        let fields =
            json!({"uuid": Uuid::from_u128(1), "service": record.service, "details": details});
        lines.push(row("volumebackuprecord", pk, &fields));
        lines.push(row(
            "volumebackup",
            pk,
            &json!({"uuid": Uuid::from_u128(2), "name": volume.name, "backend_id": link.id.as_str(),
                "tenant": 1, "source_volume": 40 + pk, "size": link.size_gib * 1024, "state": 3, "record": pk,
                "metadata": {"source_volume_bootable": volume.bootable}}),
        ));
    }
    let volume_backups: Vec<usize> = (0..detail.volume_backups().len()).rev().collect();
    lines.push(row(
        "drbackup",
        9,
        &json!({"uuid": Uuid::from_u128(9), "name": "the last one", "state": 3, "tenant": 1,
            "source_instance": 2, "backup_schedule": 3, "volume_backups": volume_backups,
            "metadata": {"name": "web", "system_volume_id": 40, "min_ram": 512, "min_disk": 1024}}),
    ));
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_of_the_original_is_restored_byte_for_byte() {
    let house = House::open(Times::fast()).await;
    house.prepare_refuge();
    let instance = house
        .source
        .create_instance(&InstanceSpec::new("web", &[1, 2]))
        .expect("made");
    let made = house.back_up_to_end(&instance.server).await;
    let id = made.id.parse::<Uuid>().expect("an id");
    let made = house
        .store
        .point_get(drbackup::domain::id::PointId::dr(id))
        .await
        .expect("there");
    let terms = Terms {
        cloud: CloudName::new("source"),
        now: Timestamp(1),
        active: false,
    };
    let reading = read(&export(&made), &terms);
    assert_eq!(reading.left, []);
    house.source.stop().await;
    let service = house.service(&house.store, ServiceSettings::default());
    for schedule in &reading.schedules {
        assert_eq!(service.schedule_take_in(schedule.clone()).await, Ok(true));
        assert_eq!(service.schedule_take_in(schedule.clone()).await, Ok(false));
    }
    let [backup] = reading.dr_backups.as_slice() else {
        panic!("one: {:?}", reading.remarks);
    };
    assert_eq!(service.point_take_in(backup.clone()).await, Ok(true));
    assert_eq!(service.point_take_in(backup.clone()).await, Ok(false));

    let networks = things(&house.dr, "demo", "networks");
    let wish = pb::CreateRestorationRequest {
        networks: vec![pb::NetworkMapping {
            source_network_id: "internal".to_owned(),
            target_network_id: networks[0].text("id").to_owned(),
            ..Default::default()
        }],
        ..house.wish(&backup.id.to_string())
    };
    let restoration = house.restore_as(wish).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    assert_eq!(restoration.volumes.len(), 2);
    for volume in &restoration.volumes {
        let was = house.source.volume_digest(&volume.source_volume_id);
        let is = house.dr.volume_digest(&volume.volume_id);
        assert_eq!(was.expect("the original"), is.expect("the copy"));
    }
}

#[test]
fn the_command_takes_in_what_it_can_and_names_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let clouds = folder.path().join("clouds.yaml");
    let auth = "auth: {auth_url: 'http://127.0.0.1:9', username: u, password: p, project_name: x}";
    std::fs::write(&clouds, format!("clouds:\n  old:\n    {auth}\n")).expect("written");
    let rows = folder.path().join("rows.jsonl");
    let schedule = |pk: usize, cron: &str| {
        let fields = json!({"uuid": Uuid::from_u128(pk as u128), "description": "nightly", "schedule": cron,
            "timezone": "UTC", "is_active": true, "backup_type": "DR", "instance": 2});
        row("backupschedule", pk, &fields)
    };
    let lines = [
        row("tenant", 1, &json!({"name": "demo", "backend_id": "d3"})),
        row(
            "instance",
            2,
            &json!({"name": "web", "backend_id": "5e", "tenant": 1}),
        ),
        schedule(3, "@daily"),
        schedule(4, "never"),
    ];
    std::fs::write(&rows, lines.join("\n")).expect("written");
    let run = |cloud: &str, more: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_drbackup"))
            .args(["import", "--cloud", cloud, "--clouds-file"])
            .arg(&clouds)
            .arg("--database")
            .arg(format!("sqlite:{}", folder.path().join("x.db").display()))
            .args(more)
            .arg(&rows)
            .env_clear()
            .output()
            .expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    let (code, said, trouble) = run("old", &["--dry-run"]);
    assert_eq!(code, Some(0), "{trouble}");
    assert!(
        said.ends_with("would take in 0 DR backups and 1 schedules\n"),
        "{said}"
    );
    let (code, said, trouble) = run("old", &[]);
    assert_eq!(code, Some(0), "{trouble}");
    assert!(
        said.starts_with("line 4: left schedule nightly: schedule: "),
        "{said}"
    );
    assert!(
        said.contains("line 3: took schedule nightly: it was active"),
        "{said}"
    );
    assert!(
        said.contains("took in 0 DR backups and 1 schedules; 0 and 0 were there"),
        "{said}"
    );
    let (_, again, _) = run("old", &[]);
    assert!(
        again.contains("took in 0 DR backups and 0 schedules; 0 and 1 were there"),
        "{again}"
    );
    for more in [&[][..], &["--dry-run"]] {
        let (code, _, trouble) = run("nowhere", more);
        assert_eq!(code, Some(4), "{more:?}: {trouble}");
        assert!(
            trouble.contains("`nowhere` is not a configured cloud"),
            "{trouble}"
        );
    }
}
