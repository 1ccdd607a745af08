//! What is claimed of Cinder: backups, records, chains, filters, quotas, transfers.

use std::{error::Error, time::Duration};

use drbackup::sim::{Cloud, Config, InstanceSpec, Quotas, Release, Times};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Outcome, Person, cloud, id, pair};

#[tokio::test]
async fn only_an_admin_may_export_and_import_and_the_record_lands_where_the_token_is() -> Outcome {
    let [source, dr] = pair(Times::instant(), Release::Zed).await?;
    let (demo, operator) = (
        Person::login(&source, "demo", "demo").await?,
        Person::login(&source, "operator", "demo").await?,
    );
    let there = Person::login(&dr, "operator", "second").await?;
    let web = source.create_instance(&InstanceSpec::new("web", &[1]))?;
    let backup = demo.backup(&web.volumes[0], false).await?;
    let path = format!("/backups/{backup}/export_record");
    let (status, body) = demo.volume(Method::GET, &path, Value::Null).await?;
    assert_eq!(
        (status, &body["forbidden"]["message"]),
        (
            403,
            &json!("Policy doesn't allow backup:export-import to be performed.")
        )
    );
    operator.carry(&there, &[&backup]).await?;
    let member = Person::login(&dr, "demo", "second").await?;
    assert_eq!(member.status("backup", &backup).await?, "available");
    let stranger = Person::login(&dr, "demo", "demo").await?;
    assert_eq!(stranger.status("backup", &backup).await?, "gone");
    let (_, record) = operator.volume(Method::GET, &path, Value::Null).await?;
    let elsewhere = Person::login(&dr, "operator", "demo").await?;
    let (status, body) = elsewhere
        .volume(Method::POST, "/backups/import_record", record)
        .await?;
    assert_eq!(
        (status, &body["badRequest"]["message"]),
        (
            400,
            &json!("Invalid backup: Backup already exists in database.")
        )
    );
    Ok(())
}

#[tokio::test]
async fn deleting_an_imported_record_deletes_the_bytes_of_both() -> Outcome {
    let [source, dr] = pair(Times::instant(), Release::Zed).await?;
    let (here, there) = (
        Person::login(&source, "operator", "demo").await?,
        Person::login(&dr, "operator", "demo").await?,
    );
    let web = source.create_instance(&InstanceSpec::new("web", &[1]))?;
    let backup = here.backup(&web.volumes[0], false).await?;
    here.carry(&there, &[&backup]).await?;
    assert_eq!(
        there
            .volume(Method::DELETE, &format!("/backups/{backup}"), Value::Null)
            .await?
            .0,
        202
    );
    assert_eq!(there.status("backup", &backup).await?, "gone");
    assert!(!source.backup_store().holds(&backup));
    assert_eq!(here.status("backup", &backup).await?, "available");
    let volume = here.make("volume", json!({"size": 1})).await?;
    here.status("volume", &volume).await?;
    assert_eq!(here.restore(&backup, Some(&volume)).await?.0, 202);
    assert_eq!(here.status("volume", &volume).await?, "error_restoring");
    assert_eq!(here.status("backup", &backup).await?, "available");
    Ok(())
}

/// Zeros a region after the full backup, restores the incremental, and says whether the bytes are right
/// with a volume of one's own and without.
async fn zeros(release: Release) -> Result<(bool, bool), Box<dyn Error>> {
    let [source, dr] = pair(Times::instant(), release).await?;
    let (here, there) = (
        Person::login(&source, "operator", "demo").await?,
        Person::login(&dr, "operator", "demo").await?,
    );
    let web = source.create_instance(&InstanceSpec::new("web", &[1]))?;
    let volume = &web.volumes[0];
    source.volume_write(volume, 100 << 20, &vec![7; 2 << 20])?;
    let full = here.backup(volume, false).await?;
    source.volume_write(volume, 100 << 20, &vec![0; 2 << 20])?;
    source.volume_write(volume, 300 << 20, &vec![9; 2 << 20])?;
    let incremental = here.backup(volume, true).await?;
    let wanted = source.volume_digest(volume)?;
    here.status("backup", &incremental).await?;
    here.carry(&there, &[&full, &incremental]).await?;
    let own = there.make("volume", json!({"size": 1})).await?;
    there.restore(&incremental, Some(&own)).await?;
    assert_eq!(there.status("volume", &own).await?, "available");
    let (_, body) = there.restore(&incremental, None).await?;
    let auto = body["restore"]["volume_id"]
        .as_str()
        .ok_or("a volume")?
        .to_owned();
    assert_eq!(there.status("volume", &auto).await?, "available");
    Ok((
        dr.volume_digest(&own)? == wanted,
        dr.volume_digest(&auto)? == wanted,
    ))
}

#[tokio::test]
async fn an_incremental_restored_without_a_volume_loses_zeros_on_newer_releases_only() -> Outcome {
    assert_eq!(zeros(Release::Zed).await?, (true, true));
    assert_eq!(zeros(Release::Gazpacho).await?, (true, false));
    Ok(())
}

#[tokio::test]
async fn a_restore_rewrites_metadata_and_keeps_a_name() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let backup = demo.backup(&web.volumes[0], false).await?;
    let volume = demo
        .make(
            "volume",
            json!({"size": 1, "name": "mine", "metadata": {"marker": "x"}}),
        )
        .await?;
    demo.status("backup", &backup).await?;
    demo.restore(&backup, Some(&volume)).await?;
    let (_, body) = demo
        .volume(Method::GET, &format!("/volumes/{volume}"), Value::Null)
        .await?;
    assert_eq!(
        body["volume"]["metadata"],
        json!({"role": "root", "src_backup_id": backup})
    );
    assert_eq!(
        (&body["volume"]["name"], &body["volume"]["bootable"]),
        (&json!("mine"), &json!("false"))
    );
    assert_eq!(
        one.volume_digest(&volume)?,
        one.volume_digest(&web.volumes[0])?
    );
    Ok(())
}

#[tokio::test]
async fn a_chain_is_deleted_from_its_end_and_restored_one_at_a_time() -> Outcome {
    let one = Cloud::start(Config {
        times: Times::realistic(),
        ..Config::new("one")
    })
    .await?;
    one.set_times(Times {
        api_latency: Duration::ZERO,
        ..Times::realistic()
    });
    let demo = Person::login(&one, "demo", "demo").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let full = demo.backup(&web.volumes[0], false).await?;
    one.finish_all();
    let child = demo.backup(&web.volumes[0], true).await?;
    one.finish_all();
    let (status, body) = demo
        .volume(Method::DELETE, &format!("/backups/{full}"), Value::Null)
        .await?;
    assert_eq!(
        (status, &body["badRequest"]["message"]),
        (
            400,
            &json!("Invalid backup: Incremental backups exist for this backup.")
        )
    );
    let volumes = [
        demo.make("volume", json!({"size": 1})).await?,
        demo.make("volume", json!({"size": 1})).await?,
    ];
    one.finish_all();
    assert_eq!(demo.restore(&child, Some(&volumes[0])).await?.0, 202);
    let (status, body) = demo.restore(&child, Some(&volumes[1])).await?;
    assert_eq!(
        (status, &body["badRequest"]["message"]),
        (
            400,
            &json!("Invalid backup: Backup status must be available")
        )
    );
    Ok(())
}

#[tokio::test]
async fn a_temporary_volume_is_listed_while_a_backup_of_a_snapshot_runs() -> Outcome {
    let times = Times {
        api_latency: Duration::ZERO,
        ..Times::realistic()
    };
    let one = Cloud::start(Config {
        times,
        ..Config::new("one")
    })
    .await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let volume = &web.volumes[0];
    let snapshot = demo.make("snapshot", json!({"volume_id": volume})).await?;
    one.finish_all();
    let body = json!({"volume_id": volume, "snapshot_id": snapshot, "name": "n"});
    let backup = demo.make("backup", body).await?;
    let (_, list) = demo
        .volume(
            Method::GET,
            "/volumes/detail?status=backing-up",
            Value::Null,
        )
        .await?;
    assert_eq!(
        list["volumes"][0]["name"],
        json!(format!("backup-vol-{volume}"))
    );
    assert_eq!(demo.status("snapshot", &snapshot).await?, "backing-up");
    assert_eq!(
        demo.volume(
            Method::DELETE,
            &format!("/snapshots/{snapshot}"),
            Value::Null
        )
        .await?
        .0,
        400
    );
    one.advance(Duration::from_secs(8));
    assert_eq!(demo.status("backup", &backup).await?, "available");
    let (_, list) = demo.volume(Method::GET, "/volumes", Value::Null).await?;
    assert_eq!(list["volumes"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn filters_are_as_narrow_as_cinders() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    demo.backup(&web.volumes[0], false).await?;
    let (status, body) = demo
        .volume(
            Method::GET,
            "/backups/detail?status=creating,available",
            Value::Null,
        )
        .await?;
    assert_eq!((status, body), (200, json!({"backups": []})));
    let (status, body) = demo
        .volume(Method::GET, "/backups/detail?name~=x", Value::Null)
        .await?;
    assert_eq!(
        (status, &body["badRequest"]["message"]),
        (
            400,
            &json!("Invalid filters name~ are found in query options.")
        )
    );
    let (status, body) = demo
        .ask(Method::GET, "/volume/v3/00ff/volumes", Value::Null)
        .await?;
    assert_eq!(
        (status, &body["badRequest"]["message"]),
        (400, &json!("Malformed request url"))
    );
    assert_eq!(demo.get("/volume/v3/volumes").await?.0, 200);
    let later = Person {
        version: "volume 3.99",
        ..demo
    };
    assert_eq!(later.get("/volume/v3/volumes").await?.0, 406);
    Ok(())
}

#[tokio::test]
async fn quota_counts_imports_and_answers_413() -> Outcome {
    let [source, dr] = pair(Times::instant(), Release::Zed).await?;
    let (here, there) = (
        Person::login(&source, "operator", "demo").await?,
        Person::login(&dr, "operator", "demo").await?,
    );
    let web = source.create_instance(&InstanceSpec::new("web", &[1]))?;
    let backup = here.backup(&web.volumes[0], false).await?;
    dr.set_quotas(Quotas {
        backups: 0,
        ..Quotas::default()
    });
    here.status("backup", &backup).await?;
    let (_, record) = here
        .volume(
            Method::GET,
            &format!("/backups/{backup}/export_record"),
            Value::Null,
        )
        .await?;
    let (status, body) = there
        .volume(Method::POST, "/backups/import_record", record)
        .await?;
    let wanted = json!({"overLimit": {"code": 413, "retryAfter": "0",
        "message": "BackupLimitExceeded: Maximum number of backups allowed (0) exceeded"}});
    assert_eq!((status, body), (413, wanted));
    Ok(())
}

#[tokio::test]
async fn without_cinder_backup_a_404_does_not_mean_gone() -> Outcome {
    let times = Times {
        api_latency: Duration::ZERO,
        ..Times::realistic()
    };
    let one = Cloud::start(Config {
        times,
        ..Config::new("one")
    })
    .await?;
    let operator = Person::login(&one, "operator", "demo").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let volume = &web.volumes[0];
    let snapshot = operator
        .make("snapshot", json!({"volume_id": volume}))
        .await?;
    one.finish_all();
    let backup = operator.backup(volume, false).await?;
    let target = operator.make("volume", json!({"size": 1})).await?;
    one.finish_all();
    operator.restore(&backup, Some(&target)).await?;
    let cut_off = operator
        .make(
            "backup",
            json!({"volume_id": volume, "snapshot_id": snapshot}),
        )
        .await?;
    one.backup_service_kill();
    let (status, body) = operator
        .volume(Method::DELETE, &format!("/backups/{cut_off}"), Value::Null)
        .await?;
    assert_eq!(status, 400, "{body}");
    let record =
        json!({"backup-record": {"backup_service": "cinder.backup", "backup_url": "e30="}});
    assert_eq!(
        operator
            .volume(Method::POST, "/backups/import_record", record)
            .await?
            .0,
        503
    );
    one.advance(Duration::from_secs(60));
    assert_eq!(
        operator.status("volume", &target).await?,
        "restoring-backup"
    );
    one.set_status(&backup, "available")?;
    let path = format!("/backups/{backup}/export_record");
    let (status, body) = operator.volume(Method::GET, &path, Value::Null).await?;
    assert_eq!(
        (status, &body["itemNotFound"]["message"]),
        (404, &json!("Service cinder-backup could not be found."))
    );
    let accepted = operator.backup(&web.volumes[0], false).await?;
    one.backup_service_start();
    assert_eq!(operator.status("volume", &target).await?, "error_restoring");
    assert_eq!(operator.status("backup", &cut_off).await?, "error");
    assert_eq!(operator.status("snapshot", &snapshot).await?, "backing-up");
    one.finish_all();
    assert_eq!(operator.status("backup", &accepted).await?, "available");
    Ok(())
}

#[tokio::test]
async fn a_volume_changes_its_project_by_a_transfer() -> Outcome {
    let one = cloud().await?;
    let (demo, second) = (
        Person::login(&one, "demo", "demo").await?,
        Person::login(&one, "demo", "second").await?,
    );
    let volume = demo.make("volume", json!({"size": 1})).await?;
    demo.status("volume", &volume).await?;
    let body = json!({"transfer": {"volume_id": volume, "name": "t"}});
    let (status, made) = demo.volume(Method::POST, "/volume-transfers", body).await?;
    assert_eq!(status, 202, "{made}");
    assert_eq!(demo.status("volume", &volume).await?, "awaiting-transfer");
    // The volume itself cannot go now, and nobody else sees what is offered.
    let (status, refusal) = demo
        .volume(Method::DELETE, &format!("/volumes/{volume}"), Value::Null)
        .await?;
    assert_eq!(status, 400, "{refusal}");
    let filters = [
        ("", 1),
        (format!("?volume_id={volume}").as_str(), 1),
        ("?volume_id=another", 0),
        ("?nonsense=1", 0),
    ]
    .map(|(query, count)| (query.to_owned(), count));
    for (query, count) in filters {
        let path = format!("/volume-transfers{query}");
        let (_, list) = demo.volume(Method::GET, &path, Value::Null).await?;
        assert_eq!(
            list["transfers"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
        let (_, list) = second.volume(Method::GET, &path, Value::Null).await?;
        assert_eq!(list["transfers"], json!([]));
    }
    // A limit is a filter that nothing fits, until 3.59.
    for (version, count) in [("volume 3.55", 0), ("volume 3.59", 1)] {
        let asks = Person {
            version,
            ..Person::login(&one, "demo", "demo").await?
        };
        let (_, list) = asks
            .volume(Method::GET, "/volume-transfers?limit=500", Value::Null)
            .await?;
        assert_eq!(
            list["transfers"].as_array().map(Vec::len),
            Some(count),
            "{version}"
        );
    }
    let body = json!({"accept": {"auth_key": made["transfer"]["auth_key"]}});
    let path = format!("/volume-transfers/{}/accept", id(&made["transfer"]));
    assert_eq!(second.volume(Method::POST, &path, body).await?.0, 202);
    assert_eq!(second.status("volume", &volume).await?, "available");
    assert_eq!(demo.status("volume", &volume).await?, "gone");
    Ok(())
}
