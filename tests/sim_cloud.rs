//! What the simulator claims of OpenStack, and what trouble it can make: every name is a claim that was
//! measured on real clouds or is a fault that real networks have.

use std::error::Error;
use std::time::Duration;

use drbackup::sim::{
    Action, ApplicationCredential, Cloud, Config, InstanceSpec, Kind, Quotas, Release, Rule,
    Service, Times, run,
};
use reqwest::Method;
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error>>;

/// Somebody with a token of one cloud.
struct Person {
    http: reqwest::Client,
    url: String,
    token: String,
    project: String,
    version: &'static str,
}

impl Person {
    async fn login(cloud: &Cloud, user: &str, project: &str) -> Result<Self, Box<dyn Error>> {
        // Only the first of the tests installs it.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "domain": {"name": "Default"}, "password": "lab-secret"}}},
            "scope": {"project": {"name": project, "domain": {"name": "Default"}}}}});
        let url = format!("{}/auth/tokens", cloud.auth_url());
        let answer = http.post(url).json(&body).send().await?;
        let token = answer.headers()["x-subject-token"].to_str()?.to_owned();
        let project = cloud.project_id(project).ok_or("no such project")?;
        let url = cloud.url();
        Ok(Self {
            http,
            url,
            token,
            project,
            version: "volume 3.70",
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(u16, Value), reqwest::Error> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("x-auth-token", &self.token)
            .header("openstack-api-version", self.version);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    async fn get(&self, path: &str) -> Result<(u16, Value), reqwest::Error> {
        self.ask(Method::GET, path, Value::Null).await
    }

    async fn volume(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(u16, Value), reqwest::Error> {
        let path = format!("/volume/v3/{}{path}", self.project);
        self.ask(method, &path, body).await
    }

    async fn status(&self, kind: &str, id: &str) -> Result<String, reqwest::Error> {
        let (_, body) = self
            .volume(Method::GET, &format!("/{kind}s/{id}"), Value::Null)
            .await?;
        Ok(body[kind]["status"].as_str().unwrap_or("gone").to_owned())
    }

    /// Makes something of Cinder and gives its id.
    async fn make(&self, kind: &str, body: Value) -> Result<String, Box<dyn Error>> {
        let (status, body) = self
            .volume(Method::POST, &format!("/{kind}s"), json!({kind: body}))
            .await?;
        if status != 202 {
            return Err(format!("{status}: {body}").into());
        }
        Ok(id(&body[kind]))
    }

    async fn backup(&self, volume: &str, incremental: bool) -> Result<String, Box<dyn Error>> {
        self.make(
            "backup",
            json!({"volume_id": volume, "force": true, "incremental": incremental}),
        )
        .await
    }

    /// Carries records from where this person is to where another one is.
    async fn carry(&self, there: &Self, backups: &[&str]) -> Outcome {
        for backup in backups {
            let path = format!("/backups/{backup}/export_record");
            let (status, record) = self.volume(Method::GET, &path, Value::Null).await?;
            assert_eq!(status, 200, "{record}");
            let (status, body) = there
                .volume(Method::POST, "/backups/import_record", record)
                .await?;
            assert_eq!(status, 201, "{body}");
            assert_eq!(body["backup"]["name"], Value::Null);
        }
        Ok(())
    }

    async fn restore(
        &self,
        backup: &str,
        volume: Option<&str>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let body = json!({"restore": {"volume_id": volume}});
        self.volume(Method::POST, &format!("/backups/{backup}/restore"), body)
            .await
    }
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_default().to_owned()
}

async fn pair(times: Times, release: Release) -> Result<[Cloud; 2], Box<dyn Error>> {
    let [source, dr] = Config::pair(times);
    let pair = run(vec![source, Config { release, ..dr }]).await?;
    <[Cloud; 2]>::try_from(pair.clouds).map_err(|_| "two clouds".into())
}

async fn cloud() -> Result<Cloud, Box<dyn Error>> {
    Ok(Cloud::start(Config::new("one")).await?)
}

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
async fn a_lost_answer_may_have_worked() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let lost =
        one.fault(Rule::on(Service::Volume, "POST", "/backups$", Action::ResetAfter).once())?;
    assert!(demo.backup(&web.volumes[0], false).await.is_err());
    assert_eq!(one.fault_happened(lost), 1);
    one.fault(Rule::on(Service::Volume, "POST", "/backups$", Action::ResetBefore).once())?;
    assert!(demo.backup(&web.volumes[0], false).await.is_err());
    let made = one
        .history()
        .iter()
        .filter(|one| one.kind == Kind::Backup)
        .count();
    assert_eq!(made, 1);
    let unanswered = one
        .requests()
        .iter()
        .filter(|request| request.status.is_none())
        .count();
    assert_eq!(unanswered, 2);
    Ok(())
}

#[tokio::test]
async fn answers_can_be_spoiled_in_every_way() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let volume = demo.make("volume", json!({"size": 1})).await?;
    let path = format!("/volume/v3/volumes/{volume}");
    let spoil = |action| one.fault(Rule::on(Service::Volume, "GET", "/volumes", action).once());
    spoil(Action::Truncate)?;
    assert!(demo.get(&path).await.is_err());
    spoil(Action::Malformed)?;
    assert!(demo.get(&path).await?.1.is_string());
    spoil(Action::OtherResource)?;
    assert_ne!(id(&demo.get(&path).await?.1["volume"]), volume);
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    spoil(Action::Answer {
        status: 503,
        body: json!("busy"),
        headers,
        acted: false,
    })?;
    assert_eq!(demo.get(&path).await?, (503, json!("busy")));
    assert_eq!(demo.get(&path).await?.0, 200);

    let list = "/volume/v3/volumes/detail";
    let stale = one.fault(Rule::on(
        Service::Volume,
        "GET",
        "detail",
        Action::Stale { requests: 1 },
    ))?;
    demo.get(list).await?;
    demo.make("volume", json!({"size": 1})).await?;
    let count = |body: &Value| body["volumes"].as_array().map_or(0, Vec::len);
    assert_eq!(count(&demo.get(list).await?.1), 1);
    assert_eq!(count(&demo.get(list).await?.1), 2);
    one.fault_remove(stale);
    Ok(())
}

#[tokio::test]
async fn a_hanging_request_goes_on_when_it_is_released() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let hang = Action::Hang {
        milliseconds: None,
        acted: false,
    };
    let rule = one.fault(Rule::on(Service::Volume, "GET", "volumes", hang).once())?;
    let waiting = demo.get("/volume/v3/volumes");
    let release = async {
        while one.fault_happened(rule) == 0 {
            tokio::task::yield_now().await;
        }
        one.release();
    };
    let (answer, ()) = tokio::join!(waiting, release);
    assert_eq!(answer?.0, 200);
    Ok(())
}

#[tokio::test]
async fn what_a_request_began_can_fail_stick_turn_strange_or_vanish() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let fates = [
        (
            Action::Fail {
                reason: "no space".to_owned(),
            },
            "error",
        ),
        (Action::Stuck, "creating"),
        (
            Action::Status {
                status: "novel".to_owned(),
            },
            "novel",
        ),
        (Action::Vanish, "gone"),
    ];
    for (action, wanted) in fates {
        one.fault(Rule::on(Service::Volume, "POST", "/volumes$", action).once())?;
        let volume = demo.make("volume", json!({"size": 1})).await?;
        one.advance(Duration::from_secs(100));
        assert_eq!(demo.status("volume", &volume).await?, wanted);
    }
    Ok(())
}

#[tokio::test]
async fn a_cloud_that_is_switched_off_refuses_and_remembers() -> Outcome {
    let one = cloud().await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let volume = demo.make("volume", json!({"size": 1})).await?;
    one.stop().await;
    let error = demo
        .get("/volume/v3/volumes")
        .await
        .err()
        .ok_or("it answers")?;
    assert!(error.is_connect() || error.is_request(), "{error}");
    one.start_again().await?;
    assert_eq!(demo.status("volume", &volume).await?, "available");
    let (status, _) = demo.ask(Method::POST, "/_sim/stop", Value::Null).await?;
    assert_eq!(status, 204);
    assert!(demo.get("/volume/v3/volumes").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_token_is_good_for_its_time_only() -> Outcome {
    let one = Cloud::start(Config {
        token_seconds: 60,
        ..Config::new("one")
    })
    .await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    assert_eq!(demo.get("/volume/v3/volumes").await?.0, 200);
    one.advance(Duration::from_secs(61));
    let (status, body) = demo.get("/volume/v3/volumes").await?;
    assert_eq!(
        (status, &body["error"]["title"]),
        (401, &json!("Unauthorized"))
    );
    Ok(())
}

#[tokio::test]
async fn a_reader_makes_volumes_everywhere_but_networks_on_old_clouds_only() -> Outcome {
    for (release, wanted) in [(Release::Zed, 201), (Release::Epoxy, 403)] {
        let one = Cloud::start(Config {
            release,
            ..Config::new("one")
        })
        .await?;
        let auditor = Person::login(&one, "auditor", "demo").await?;
        auditor.make("volume", json!({"size": 1})).await?;
        let body = json!({"network": {"name": "n"}});
        assert_eq!(
            auditor
                .ask(Method::POST, "/network/v2.0/networks", body)
                .await?
                .0,
            wanted
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_a_newer_neutron_shows_it_refuses_in_a_create() -> Outcome {
    for (release, text) in [
        (Release::Zed, "Unrecognized attribute(s) 'router:external'"),
        (
            Release::Gazpacho,
            "Attribute 'router:external' not allowed in POST",
        ),
    ] {
        let one = Cloud::start(Config {
            release,
            ..Config::new("one")
        })
        .await?;
        let demo = Person::login(&one, "demo", "demo").await?;
        let (_, net) = demo
            .ask(
                Method::POST,
                "/network/v2.0/networks",
                json!({"network": {"name": "n"}}),
            )
            .await?;
        let body = json!({"subnet": {"network_id": net["network"]["id"], "ip_version": 4,
            "cidr": "10.0.0.0/24", "router:external": false}});
        let (status, body) = demo
            .ask(Method::POST, "/network/v2.0/subnets", body)
            .await?;
        assert_eq!(
            (status, &body["NeutronError"]["message"]),
            (400, &json!(text))
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_address_is_given_once_and_only_to_the_owner_of_its_network() -> Outcome {
    let one = cloud().await?;
    let (demo, other) = (
        Person::login(&one, "demo", "demo").await?,
        Person::login(&one, "demo", "second").await?,
    );
    let admin = Person::login(&one, "admin", "admin").await?;
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let ports = "/network/v2.0/ports";
    let body =
        json!({"port": {"network_id": web.network, "fixed_ips": [{"ip_address": "10.10.0.9"}]}});
    assert_eq!(demo.ask(Method::POST, ports, body.clone()).await?.0, 201);
    let (status, error) = demo.ask(Method::POST, ports, body.clone()).await?;
    assert_eq!(
        (status, &error["NeutronError"]["type"]),
        (409, &json!("IpAddressAlreadyAllocated"))
    );
    let share = json!({"network": {"shared": true}});
    let path = format!("/network/v2.0/networks/{}", web.network);
    assert_eq!(admin.ask(Method::PUT, &path, share).await?.0, 200);
    let (status, error) = other.ask(Method::POST, ports, body).await?;
    assert_eq!(
        (status, &error["NeutronError"]["type"]),
        (403, &json!("PolicyNotAuthorized"))
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_fails_tells_why_and_keeps_its_volumes_until_it_is_deleted() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.79",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let volume = demo.make("volume", json!({"size": 1})).await?;
    let (_, flavors) = demo.get("/compute/v2.1/flavors").await?;
    let body = json!({"server": {"name": "s", "flavorRef": flavors["flavors"][1]["id"],
        "networks": [{"uuid": web.network}], "block_device_mapping_v2": [{"uuid": volume,
        "source_type": "volume", "destination_type": "volume", "boot_index": 0}]}});
    let servers = "/compute/v2.1/servers";
    let (status, error) = demo.ask(Method::POST, servers, body.clone()).await?;
    assert_eq!(
        (status, &error["badRequest"]["message"]),
        (
            400,
            &json!(format!("Block Device {volume} is not bootable."))
        )
    );
    let bootable = json!({"os-set_bootable": {"bootable": true}});
    demo.volume(Method::POST, &format!("/volumes/{volume}/action"), bootable)
        .await?;
    let reason = "No valid host was found. ".to_owned();
    one.fault(
        Rule::on(
            Service::Compute,
            "POST",
            "/servers$",
            Action::Fail { reason },
        )
        .once(),
    )?;
    let (status, made) = demo.ask(Method::POST, servers, body).await?;
    assert_eq!(status, 202, "{made}");
    let path = format!("{servers}/{}", id(&made["server"]));
    let (_, shown) = demo.get(&path).await?;
    assert_eq!(
        (
            &shown["server"]["status"],
            &shown["server"]["fault"]["code"]
        ),
        (&json!("ERROR"), &json!(500))
    );
    assert_eq!(demo.status("volume", &volume).await?, "reserved");
    assert_eq!(demo.ask(Method::DELETE, &path, Value::Null).await?.0, 204);
    assert_eq!(demo.get(&path).await?.0, 404);
    assert_eq!(demo.status("volume", &volume).await?, "available");
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

#[tokio::test]
async fn an_image_of_a_server_on_volumes_is_snapshots_and_an_image_without_bytes() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.79",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1, 2]))?;
    let path = format!("/compute/v2.1/servers/{}/action", web.server);
    let body = json!({"createImage": {"name": "point", "metadata": {}}});
    let (status, made) = demo.ask(Method::POST, &path, body).await?;
    assert_eq!(status, 202, "{made}");
    let image = made["image_id"].as_str().ok_or("an image")?;
    let (_, image) = demo.get(&format!("/image/v2/images/{image}")).await?;
    let mapping = image["block_device_mapping"].as_str().unwrap_or_default();
    let mapping: Vec<Value> = serde_json::from_str(mapping)?;
    assert_eq!(
        (&image["status"], &image["size"]),
        (&json!("active"), &json!(0))
    );
    for one in &mapping {
        let snapshot = one["snapshot_id"].as_str().unwrap_or_default();
        assert_eq!(demo.status("snapshot", snapshot).await?, "available");
    }
    assert_eq!(
        mapping.iter().filter(|one| one["boot_index"] == 0).count(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_boots_from_an_image_has_one() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.93",
        ..Person::login(&one, "demo", "demo").await?
    };
    let body = json!({"name": "cirros", "disk_format": "raw", "container_format": "bare"});
    let (_, image) = demo.ask(Method::POST, "/image/v2/images", body).await?;
    let (_, flavors) = demo.get("/compute/v2.1/flavors").await?;
    let body = json!({"server": {"name": "s", "flavorRef": flavors["flavors"][1]["id"],
        "imageRef": image["id"], "networks": "none"}});
    let (status, made) = demo
        .ask(Method::POST, "/compute/v2.1/servers", body)
        .await?;
    assert_eq!(status, 202, "{made}");
    let path = format!("/compute/v2.1/servers/{}", id(&made["server"]));
    let (_, shown) = demo.get(&path).await?;
    assert_eq!(shown["server"]["image"]["id"], image["id"]);
    assert_eq!(shown["server"]["status"], "ACTIVE");
    Ok(())
}

#[tokio::test]
async fn volumes_of_a_server_are_listed_by_their_ids_and_not_by_their_devices() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.89",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1, 1, 1, 1, 1, 1]))?;
    let path = format!("/compute/v2.1/servers/{}/os-volume_attachments", web.server);
    let (_, list) = demo.get(&path).await?;
    let list = list["volumeAttachments"]
        .as_array()
        .ok_or("a list")?
        .clone();
    let mut ids: Vec<&str> = list
        .iter()
        .filter_map(|one| one["volumeId"].as_str())
        .collect();
    assert!(ids.is_sorted());
    let root = list
        .iter()
        .find(|one| one["device"] == "/dev/vda")
        .ok_or("a root")?;
    assert_eq!(root["volumeId"], json!(web.volumes[0]));
    let mut wanted: Vec<&str> = web.volumes.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ids, wanted);
    Ok(())
}

#[tokio::test]
async fn a_device_that_is_wished_for_is_given_and_the_others_get_what_is_free() -> Outcome {
    let one = cloud().await?;
    let demo = Person {
        version: "compute 2.89",
        ..Person::login(&one, "demo", "demo").await?
    };
    let web = one.create_instance(&InstanceSpec::new("web", &[1]))?;
    let mut disks = Vec::new();
    for wish in [None, Some("/dev/vdb"), Some("vde"), None] {
        let volume = demo.make("volume", json!({"size": 1})).await?;
        demo.status("volume", &volume).await?;
        disks.push((volume, wish));
    }
    let path = format!("/volumes/{}/action", disks[0].0);
    demo.volume(
        Method::POST,
        &path,
        json!({"os-set_bootable": {"bootable": true}}),
    )
    .await?;
    let mapping: Vec<Value> = disks
        .iter()
        .enumerate()
        .map(|(index, (volume, wish))| {
            let mut one = json!({"uuid": volume, "source_type": "volume",
                "destination_type": "volume", "boot_index": if index == 0 { 0 } else { -1 }});
            if let Some(wish) = wish {
                one["device_name"] = json!(wish);
            }
            one
        })
        .collect();
    let (_, flavors) = demo.get("/compute/v2.1/flavors").await?;
    let body = json!({"server": {"name": "wishes", "flavorRef": flavors["flavors"][0]["id"],
        "networks": [{"uuid": web.network}], "block_device_mapping_v2": mapping}});
    let (status, made) = demo
        .ask(Method::POST, "/compute/v2.1/servers", body)
        .await?;
    assert_eq!(status, 202, "{made}");
    let path = format!(
        "/compute/v2.1/servers/{}/os-volume_attachments",
        id(&made["server"])
    );
    let (_, list) = demo.get(&path).await?;
    let device = |volume: &str| {
        let all = list["volumeAttachments"].as_array()?;
        let found = all.iter().find(|one| one["volumeId"] == volume)?;
        found["device"].as_str().map(str::to_owned)
    };
    let devices: Vec<Option<String>> = disks.iter().map(|(volume, _)| device(volume)).collect();
    let wanted = ["/dev/vda", "/dev/vdb", "/dev/vde", "/dev/vdc"].map(|name| Some(name.to_owned()));
    assert_eq!(devices, wanted);
    Ok(())
}

#[tokio::test]
async fn an_application_credential_opens_its_project_only() -> Outcome {
    let credential = ApplicationCredential {
        id: "0123abcd".to_owned(),
        name: "dr".to_owned(),
        secret: "very".to_owned(),
        user: "operator".to_owned(),
        project: "second".to_owned(),
    };
    let application_credentials = vec![credential];
    let one = Cloud::start(Config {
        application_credentials,
        ..Config::new("one")
    })
    .await?;
    let demo = Person::login(&one, "demo", "demo").await?;
    let body = |secret: &str| {
        json!({"auth": {"identity": {"methods": ["application_credential"],
        "application_credential": {"id": "0123abcd", "secret": secret}}}})
    };
    let path = "/identity/v3/auth/tokens";
    let (status, token) = demo.ask(Method::POST, path, body("very")).await?;
    assert_eq!(
        (status, &token["token"]["project"]["name"]),
        (201, &json!("second"))
    );
    let catalog = token["token"]["catalog"].as_array().map_or(0, Vec::len);
    assert_eq!(catalog, 5);
    assert_eq!(demo.ask(Method::POST, path, body("wrong")).await?.0, 401);
    Ok(())
}

#[tokio::test]
async fn the_same_seed_makes_the_same_cloud() -> Outcome {
    let made = || async {
        let one = Cloud::start(Config {
            seed: 7,
            ..Config::new("one")
        })
        .await?;
        let web = one.create_instance(&InstanceSpec::new("web", &[1, 2]))?;
        let digest = one.volume_digest(&web.volumes[1])?;
        Ok::<_, Box<dyn Error>>((web, digest))
    };
    assert_eq!(made().await?, made().await?);
    Ok(())
}
