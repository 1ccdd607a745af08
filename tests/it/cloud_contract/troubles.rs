//! What the client makes of a cloud in trouble, which only the simulator can be; this file may not
//! know how the client is built.

use drbackup::{
    domain::{
        effect::{Apply, Fact, Make, NewVolume, Presence, Read, Request},
        fault::{Fault, FaultKind},
        id::{CloudName, SnapshotId, Tenant, VolumeBackupId, VolumeId},
        inventory::Right,
        record::BackupRecord,
        sighting::{Thing, ThingKind},
    },
    openstack::settings::OpenStackSettings,
    port::cloud::{Answer, Cloud},
    sim::{Action, Rule, Service},
};
use serde_json::json;

use super::{Simulated, until};

/// Deadlines that a test can wait for.
fn hasty() -> OpenStackSettings {
    OpenStackSettings {
        login_seconds: 1,
        read_seconds: 1,
        write_seconds: 1,
        ..OpenStackSettings::default()
    }
}

fn volume() -> Request {
    Request::Make(Make::Volume(NewVolume {
        size_gib: 1,
        volume_type: None,
        availability_zone: None,
        snapshot: None,
        image: None,
        description: String::new(),
    }))
}

impl Simulated {
    pub(super) fn source(&self) -> &Tenant {
        self.stage.source_tenant()
    }

    pub(super) fn arm(&self, service: Service, method: &str, path: &str, action: Action) {
        let rule = Rule::on(service, method, path, action);
        self.pair.clouds[0].fault(rule).expect("a rule");
    }

    async fn ask(&self, cloud: &impl Cloud, request: &Request) -> Result<Answer, Fault> {
        cloud
            .request_perform(self.source(), "ostest-1", request)
            .await
    }

    fn sent(&self, method: &str, part: &str) -> usize {
        let requests = self.pair.clouds[0].requests();
        requests
            .iter()
            .filter(|request| request.method == method && request.path.contains(part))
            .count()
    }

    async fn names(&self, kind: ThingKind) -> Vec<String> {
        let things = self.stage.cloud.things_list(self.source(), kind).await;
        let things = things.expect("a list");
        things.into_iter().map(|seen| seen.name).collect()
    }
}

pub(super) fn answer(status: u16, body: serde_json::Value, headers: &[(&str, &str)]) -> Action {
    Action::Answer {
        status,
        body,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        acted: false,
    }
}

#[tokio::test]
async fn lost_or_unusable_answer_to_a_write_leaves_open_what_happened() {
    let actions = [Action::ResetAfter, Action::Truncate, Action::Malformed];
    for action in actions {
        let simulated = Simulated::start().await;
        simulated.arm(Service::Volume, "POST", "/volumes$", action.clone());
        let fault = simulated.ask(&simulated.stage.cloud, &volume()).await;
        let fault = fault.expect_err("a fault");
        assert_eq!(fault.kind, FaultKind::Unanswered, "{action:?}: {fault}");
        assert!(fault.request_id.is_some(), "{fault:?}");
        // It was sent once, worked, and the list tells.
        assert_eq!(simulated.sent("POST", "/volumes"), 1);
        assert_eq!(simulated.names(ThingKind::Volume).await, ["ostest-1"]);
    }
}

#[tokio::test]
async fn read_on_a_connection_that_broke_is_sent_once_more() {
    let simulated = Simulated::start().await;
    simulated.names(ThingKind::Volume).await;
    let rule = Rule::on(
        Service::Volume,
        "GET",
        "/volumes/detail",
        Action::ResetBefore,
    )
    .once();
    simulated.pair.clouds[0].fault(rule).expect("a rule");
    assert!(simulated.names(ThingKind::Volume).await.is_empty());
    simulated.arm(
        Service::Volume,
        "GET",
        "/volumes/detail",
        Action::ResetBefore,
    );
    let list = simulated
        .stage
        .cloud
        .things_list(simulated.source(), ThingKind::Volume)
        .await;
    assert_eq!(list.expect_err("a fault").kind, FaultKind::Unanswered);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let simulated = Simulated::start().await;
    let cloud = simulated.stage.client("operator", hasty());
    simulated.arm(
        Service::Volume,
        "POST",
        "/volumes$",
        Action::Hang {
            milliseconds: None,
            acted: true,
        },
    );
    let fault = simulated.ask(&cloud, &volume()).await.expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Unanswered, "{fault}");
    assert!(fault.message.contains("deadline"), "{fault}");
}

#[tokio::test]
async fn write_that_waits_for_a_silent_keystone_was_never_sent() {
    let simulated = Simulated::start().await;
    let cloud = simulated.stage.client("operator", hasty());
    simulated.arm(
        Service::Identity,
        "POST",
        "/auth/tokens",
        Action::Hang {
            milliseconds: None,
            acted: false,
        },
    );
    let fault = simulated.ask(&cloud, &volume()).await.expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    assert!(!fault.may_have_happened());
}

#[tokio::test]
async fn hundred_calls_with_a_dead_token_log_in_once() {
    let simulated = Simulated::start().await;
    simulated.names(ThingKind::Volume).await;
    let cloud = &simulated.pair.clouds[0];
    cloud.revoke_tokens();
    cloud.clear_requests();
    let lists = (0..100).map(|_| simulated.names(ThingKind::Volume));
    futures::future::join_all(lists).await;
    assert_eq!(simulated.sent("POST", "/auth/tokens"), 1);
    // A write with a dead token is sent again, since it did nothing.
    cloud.revoke_tokens();
    simulated
        .ask(&simulated.stage.cloud, &volume())
        .await
        .expect("a volume");
    assert_eq!(simulated.names(ThingKind::Volume).await.len(), 1);
}

#[tokio::test]
async fn cloud_that_is_off_is_unreachable_and_comes_back() {
    let simulated = Simulated::start().await;
    simulated.names(ThingKind::Volume).await;
    let cloud = &simulated.pair.clouds[0];
    cloud.stop().await;
    let fault = simulated.ask(&simulated.stage.cloud, &volume()).await;
    let fault = fault.expect_err("a fault");
    assert!(fault.may_pass() && fault.concerns_the_cloud(), "{fault}");
    let info = simulated
        .stage
        .client("operator", OpenStackSettings::default())
        .clouds_list()
        .await;
    assert_eq!(
        info.iter().map(|info| info.reachable).collect::<Vec<_>>(),
        [true, false]
    );
    cloud.start_again().await.expect("the cloud");
    simulated.names(ThingKind::Volume).await;
}

#[tokio::test]
async fn front_door_says_when_to_come_back() {
    let simulated = Simulated::start().await;
    let page = json!("<html><h1>503 Service Unavailable</h1></html>");
    simulated.arm(
        Service::Volume,
        "POST",
        "/volumes$",
        answer(503, page, &[("retry-after", "7")]),
    );
    let fault = simulated.ask(&simulated.stage.cloud, &volume()).await;
    let fault = fault.expect_err("a fault");
    assert_eq!(
        (fault.kind, fault.retry_after),
        (FaultKind::Throttled, Some(7))
    );
    assert_eq!(fault.message, "503 Service Unavailable");
    simulated.pair.clouds[0].faults_clear();
    let page = json!("<html>404 Not Found</html>");
    simulated.arm(Service::Volume, "GET", "/volumes/", answer(404, page, &[]));
    let thing = Thing {
        kind: ThingKind::Volume,
        id: "x".to_owned(),
    };
    let seen = simulated
        .stage
        .cloud
        .thing_get(simulated.source(), &thing)
        .await;
    assert_eq!(seen.expect_err("a fault").kind, FaultKind::Unanswered);
}

#[tokio::test]
async fn backup_service_that_is_down_is_not_a_backup_that_is_gone() {
    let simulated = Simulated::start().await;
    let stage = &simulated.stage;
    let volume = stage.source.volume("ostest-volume").await;
    let request = Request::Make(Make::VolumeBackup {
        volume: VolumeId::new(volume.clone()),
        snapshot: None,
        description: String::new(),
        incremental: false,
    });
    let made = simulated
        .ask(&stage.cloud, &request)
        .await
        .expect("a backup");
    let id = made.cloud_id.expect("an id");
    let thing = Thing {
        kind: ThingKind::VolumeBackup,
        id: id.clone(),
    };
    until("the backup is available", async || {
        let seen = stage.cloud.thing_get(simulated.source(), &thing).await;
        let seen = seen.expect("a look").expect("a backup");
        (seen.status == "available").then_some(())
    })
    .await;
    simulated.pair.clouds[0].backup_service_kill();
    let backup = VolumeBackupId::new(id);
    let target = stage.source.volume("ostest-target").await;
    let requests = [
        Request::Read(Read::Record {
            backup: backup.clone(),
        }),
        Request::RestoreInto {
            backup: backup.clone(),
            backup_project: simulated.source().project.clone(),
            volume: VolumeId::new(target),
        },
        Request::Import {
            backup: VolumeBackupId::new("9c7ad1ba-7ba0-4aa1-a0a3-1b3a2f4b6c10"),
            record: BackupRecord {
                service: "cinder.backup.drivers.posix.PosixBackupDriver".to_owned(),
                // {"id": "9c7ad1ba-7ba0-4aa1-a0a3-1b3a2f4b6c10", "size": 1}
                url: "eyJpZCI6ICI5YzdhZDFiYS03YmEwLTRhYTEtYTBhMy0xYjNhMmY0YjZjMTAiLCAic2l6ZSI6IDF9"
                    .to_owned(),
            },
        },
        Request::Drop {
            thing: thing.clone(),
        },
    ];
    for request in requests {
        let fault = simulated
            .ask(&stage.cloud, &request)
            .await
            .expect_err("a fault");
        assert_eq!(fault.kind, FaultKind::ServiceDown, "{request:?}: {fault}");
    }
    let seen = stage.cloud.thing_get(simulated.source(), &thing).await;
    assert!(seen.expect("a look").is_some());
}

#[tokio::test]
async fn only_a_snapshot_that_is_stuck_gets_another_status() {
    let simulated = Simulated::start().await;
    let stage = &simulated.stage;
    let volume = stage.source.volume("ostest-volume").await;
    let request = Request::Make(Make::Snapshot {
        volume: VolumeId::new(volume),
        description: String::new(),
    });
    let made = simulated
        .ask(&stage.cloud, &request)
        .await
        .expect("a snapshot");
    let id = made.cloud_id.expect("an id");
    let thing = Thing {
        kind: ThingKind::Snapshot,
        id: id.clone(),
    };
    let free = Request::Apply(Apply::ErrorStatus {
        thing: thing.clone(),
    });
    let status = async || {
        let seen = stage.cloud.thing_get(simulated.source(), &thing).await;
        seen.expect("a look").expect("a snapshot").status
    };
    until("the snapshot is available", async || {
        (status().await == "available").then_some(())
    })
    .await;
    let again = Request::Apply(Apply::SnapshotFreed {
        snapshot: SnapshotId::new(id.clone()),
    });
    let set_status = |status| simulated.pair.clouds[0].set_status(&id, status);
    for (request, before, after) in [
        (&free, "available", "available"),
        (&free, "backing-up", "error"),
        (&again, "available", "available"),
        (&again, "error", "error"),
        (&again, "backing-up", "available"),
    ] {
        set_status(before).expect("a snapshot");
        let answer = simulated.ask(&stage.cloud, request).await;
        answer.expect("an answer");
        assert_eq!(status().await, after, "{request:?} of {before}");
    }
    set_status("backing-up").expect("a snapshot");
    let member = stage.client("", OpenStackSettings::default());
    for request in [&free, &again] {
        let refused = simulated.ask(&member, request).await.expect_err("a fault");
        assert_eq!(refused.kind, FaultKind::Forbidden, "{request:?}");
    }
    let refused = stage
        .cloud
        .thing_delete(simulated.source(), &thing, &[])
        .await;
    assert_eq!(refused.expect_err("a fault").kind, FaultKind::Busy);
}

#[tokio::test]
async fn a_record_is_freed_by_what_it_holds_and_only_when_it_is_stuck() {
    let simulated = Simulated::start().await;
    let stage = &simulated.stage;
    let volume = stage.source.volume("ostest-volume").await;
    let request = Request::Make(Make::VolumeBackup {
        volume: VolumeId::new(volume),
        snapshot: None,
        description: String::new(),
        incremental: false,
    });
    let made = simulated
        .ask(&stage.cloud, &request)
        .await
        .expect("a backup");
    let backup = VolumeBackupId::new(made.cloud_id.expect("an id"));
    let status_in = async |tenant: &Tenant| {
        let thing = Thing {
            kind: ThingKind::VolumeBackup,
            id: backup.to_string(),
        };
        let seen = stage.cloud.thing_get(tenant, &thing).await.expect("a look");
        seen.map(|seen| seen.status)
    };
    let freeing = |interrupt_restore| {
        Request::Apply(Apply::ResetBackupStatus {
            backup: backup.clone(),
            interrupt_restore,
        })
    };
    let free = freeing(true);
    until("the backup is available", async || {
        let status = status_in(simulated.source()).await;
        (status.as_deref() == Some("available")).then_some(())
    })
    .await;
    // What has its bytes must never look like what has none, and what is at work is left alone.
    for (before, after) in [
        ("available", "available"),
        ("restoring", "available"),
        ("creating", "creating"),
        ("deleting", "deleting"),
        ("error", "error"),
    ] {
        simulated.pair.clouds[0]
            .set_status(backup.as_str(), before)
            .expect("a backup");
        simulated.ask(&stage.cloud, &free).await.expect("an answer");
        let status = status_in(simulated.source()).await;
        assert_eq!(status.as_deref(), Some(after), "{before}");
    }
    let member = stage.client("", OpenStackSettings::default());
    simulated.pair.clouds[0]
        .set_status(backup.as_str(), "restoring")
        .expect("a backup");
    let others = simulated.ask(&stage.cloud, &freeing(false)).await;
    assert_eq!(others.expect_err("a fault").kind, FaultKind::Invalid);
    let status = status_in(simulated.source()).await;
    assert_eq!(status.as_deref(), Some("restoring"), "it is somebody's");
    let refused = simulated.ask(&member, &free).await.expect_err("a fault");
    assert_eq!(refused.kind, FaultKind::Forbidden);
    simulated.ask(&stage.cloud, &free).await.expect("an answer");
    an_import_that_does_not_end(&simulated, backup, &free).await;
}

/// It knows of no bytes, so only a start of `cinder-backup` makes an end of it.
async fn an_import_that_does_not_end(
    simulated: &Simulated,
    backup: VolumeBackupId,
    free: &Request,
) {
    let stage = &simulated.stage;
    let read = Request::Read(Read::Record {
        backup: backup.clone(),
    });
    let read = simulated.ask(&stage.cloud, &read).await.expect("a record");
    let Some(Fact::Record(exported)) = read.fact else {
        panic!("no record");
    };
    let rule = Rule::on(Service::Volume, "POST", "/import_record", Action::Stuck);
    simulated.pair.clouds[1].fault(rule).expect("a rule");
    let dr = stage.dr_tenant();
    let ask = async |request: &Request| stage.cloud.request_perform(dr, "", request).await;
    let import = Request::Import {
        backup: backup.clone(),
        record: exported.record,
    };
    ask(&import).await.expect("an import");
    let presence = Request::Read(Read::Presence {
        backups: vec![backup.clone()],
        projects: Vec::new(),
    });
    let place = vec![(backup.clone(), dr.project.clone())];
    let seen = ask(&presence).await.expect("a look").fact;
    let none = Vec::new;
    let begun = Fact::Presence(Presence {
        live: none(),
        failed_imports: none(),
        pending_imports: place.clone(),
        import: Right::Unknown,
    });
    assert_eq!(seen, Some(begun));
    assert_eq!(
        ask(&import).await.expect_err("a fault").kind,
        FaultKind::Conflict
    );
    let refused = ask(free).await.expect_err("a fault");
    assert!(
        refused.message.contains("cinder-backup is started anew"),
        "{refused}"
    );
    simulated.pair.clouds[1].backup_service_kill();
    simulated.pair.clouds[1].backup_service_start();
    let seen = ask(&presence).await.expect("a look").fact;
    let hollow = Fact::Presence(Presence {
        live: none(),
        failed_imports: place,
        pending_imports: none(),
        import: Right::Unknown,
    });
    assert_eq!(seen, Some(hollow), "and so it is imported anew");

    let clear = Request::Apply(Apply::FailedImportGone {
        backup: backup.clone(),
    });
    let going = ask(&clear).await.expect_err("it is not gone yet");
    assert_eq!(going.kind, FaultKind::Busy, "{going}");
    // Whatever was stuck has gone at last.
    simulated.pair.clouds[1].vanish(backup.as_str());
    ask(&clear).await.expect("what is gone stays gone");
    // The original has its bytes: it is in nobody's way, and stays.
    let left = simulated.ask(&stage.cloud, &clear).await;
    left.expect("nothing to do");
    let thing = Thing {
        kind: ThingKind::VolumeBackup,
        id: backup.to_string(),
    };
    let seen = stage.cloud.thing_get(simulated.source(), &thing).await;
    let seen = seen.expect("a look").expect("it is there");
    assert_eq!(seen.status, "available");
}

#[tokio::test]
async fn unknown_microversion_is_asked_for_anew() {
    let simulated = Simulated::start().await;
    simulated.names(ThingKind::Server).await;
    let body = json!({"computeFault": {"code": 406, "message": "Version 2.69 is not supported"}});
    let rule = Rule::on(
        Service::Compute,
        "GET",
        "/servers/detail",
        answer(406, body, &[]),
    )
    .once();
    simulated.pair.clouds[0].fault(rule).expect("a rule");
    let list = simulated
        .stage
        .cloud
        .things_list(simulated.source(), ThingKind::Server)
        .await;
    assert_eq!(list.expect_err("a fault").kind, FaultKind::Throttled);
    simulated.pair.clouds[0].clear_requests();
    simulated.names(ThingKind::Server).await;
    assert_eq!(
        simulated.sent("GET", "/compute/v2.1/"),
        2,
        "a version document and a list"
    );
}

#[tokio::test]
async fn servers_hidden_by_a_dead_cell_are_no_list() {
    let simulated = Simulated::start().await;
    let body = json!({"servers": [{"id": "1", "status": "UNKNOWN", "links": []}]});
    simulated.arm(
        Service::Compute,
        "GET",
        "/servers/detail",
        answer(200, body, &[]),
    );
    let list = simulated
        .stage
        .cloud
        .things_list(simulated.source(), ThingKind::Server)
        .await;
    assert_eq!(list.expect_err("a fault").kind, FaultKind::ServiceDown);
}

#[tokio::test]
async fn secrets_stay_out_of_faults() {
    let simulated = Simulated::start().await;
    let record = BackupRecord {
        service: "s".to_owned(),
        url: "c2VjcmV0".to_owned(),
    };
    let said = format!(
        "Invalid input for field backup_url. Value: {}. It is bad",
        record.url
    );
    let body = json!({"badRequest": {"code": 400, "message": said}});
    simulated.arm(
        Service::Volume,
        "POST",
        "/import_record",
        answer(400, body, &[]),
    );
    let request = Request::Import {
        backup: VolumeBackupId::new("x"),
        record: record.clone(),
    };
    let fault = simulated.ask(&simulated.stage.cloud, &request).await;
    let fault = fault.expect_err("a fault");
    assert!(!format!("{fault:?}").contains(&record.url), "{fault:?}");
}

#[tokio::test]
async fn application_credential_stays_in_its_project() {
    let simulated = Simulated::start().await;
    let cloud = &simulated.pair.clouds[0];
    let text = format!(
        "clouds: {{app: {{auth: {{auth_url: '{}', application_credential_id: app-id, \
         application_credential_secret: s3cret}}}}}}",
        cloud.auth_url()
    );
    let client = super::Stage::client_of_text(&text);
    let tenants = client
        .tenants_list(&CloudName::new("app"))
        .await
        .expect("projects");
    assert_eq!(tenants.len(), 1);
    assert_eq!(tenants[0].tenant.project, simulated.source().project);
    let list = client
        .things_list(&tenants[0].tenant, ThingKind::Volume)
        .await;
    assert_eq!(list, Ok(Vec::new()));
}
