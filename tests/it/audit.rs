//! The audit seen from outside: what callers do at every door, what admin credentials are used for, and what
//! an operator makes of it; it may not look inside the service.

use std::collections::{BTreeMap, BTreeSet};

use drbackup::{api::pb::DESCRIPTORS, sim::Times};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{Request, transport::Endpoint};

use crate::{
    scope::Bytes,
    stage::{Answer, Stage, finish},
};

/// A service that lets one caller in, by a token of its configuration.
struct Audited {
    stage: Stage,
    token: String,
    methods: BTreeMap<String, MethodDescriptor>,
}

impl Audited {
    async fn set() -> Self {
        let mut stage = Stage::unserved(Times::fast()).await;
        let issued = stage.run("token portal").await;
        let token = issued
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("#   "));
        let token = token.expect("a token").to_owned();
        let config = issued.stdout.replace("\"reader\"", "\"admin\"");
        let file = stage.path("server.toml");
        std::fs::write(&file, config).expect("written");
        stage.add_flags(&["--config", &file.display().to_string()]);
        stage.serve().await;
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
        let methods = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| (method.name().to_owned(), method));
        Self {
            stage,
            token,
            methods: methods.collect(),
        }
    }

    /// A command line of the caller, which has to succeed.
    async fn run(&self, line: &str) -> String {
        let mut command = self.stage.command(line);
        command.env("DRBACKUP_TOKEN", &self.token);
        let answer = finish(command).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        answer.stdout.trim().to_owned()
    }

    /// What a method of gRPC answers.
    async fn call(&self, name: &str, ask: &Value) -> Value {
        let method = &self.methods[name];
        let text = ask.to_string();
        let mut reader = serde_json::Deserializer::from_str(&text);
        let message = DynamicMessage::deserialize(method.input(), &mut reader).expect(name);
        let channel = Endpoint::from_shared(self.stage.address.clone()).expect("an address");
        let mut grpc = tonic::client::Grpc::new(channel.connect().await.expect("connected"));
        grpc.ready().await.expect("up");
        let path = format!("/{}/{name}", method.parent_service().full_name());
        let path = PathAndQuery::try_from(path).expect("a path");
        let mut request = Request::new(message.encode_to_vec());
        let bearer = format!("Bearer {}", self.token).parse().expect("a header");
        request.metadata_mut().insert("authorization", bearer);
        let answer = grpc.unary(request, path, Bytes).await;
        let bytes = answer
            .unwrap_or_else(|status| panic!("{name}: {status}"))
            .into_inner();
        let answer = DynamicMessage::decode(method.output(), bytes.as_slice());
        serde_json::to_value(answer.expect("a message")).expect("JSON")
    }

    /// The same of something that changes, twice: a repeat changes nothing more.
    async fn change(&self, name: &str, mut ask: Value) -> String {
        ask["requestId"] = json!(request_id(name));
        let first = self.call(name, &ask).await;
        let again = self.call(name, &ask).await;
        assert_eq!(first["id"], again["id"], "{name}");
        first["id"].as_str().unwrap_or_default().to_owned()
    }

    fn database(&self) -> String {
        format!("sqlite:{}", self.stage.path("drbackup.db").display())
    }

    /// What the audit tells, be the service up or not.
    async fn audit(&self, line: &str) -> Answer {
        self.stage
            .run(&format!("audit {line} --database {}", self.database()))
            .await
    }
}

fn request_id(method: &str) -> String {
    format!("of-{method}")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// What begins like this changes nothing.
const READS: [&str; 4] = ["Get", "List", "Watch", "Preview"];

/// What was asked for, and of what.
struct Asked {
    tenant: String,
    /// A DR backup that was made before.
    dr: String,
    /// The id of what each method was about.
    objects: BTreeMap<&'static str, String>,
}

/// Asks for every change that there is.
async fn ask_for_all(audited: &mut Audited) -> Asked {
    let server = audited.stage.instance("shop", &[1]).server;
    let home = audited.stage.source.project_id("demo").expect("a project");
    let there = format!("--cloud source --tenant {home}");
    let create = |kind: &str| format!("{kind} create {there} {server} -o id");
    let dr = audited.run(&create("backup")).await;
    let spare = audited.run(&create("backup")).await;
    let regular = audited.run(&create("regular")).await;
    let restore = format!("restoration create {dr} --cloud source --tenant {home} -o id");
    let restoration = audited.run(&restore).await;

    let place = json!({"cloud": "source", "tenant": home, "instanceId": server});
    let of = |id: &str| json!({"id": id});
    let plan = json!({"schedule": {"cloud": "source", "tenant": home, "instanceId": server,
        "schedule": "@daily", "timeZone": "UTC", "backupType": "BACKUP_TYPE_REGULAR"}});
    let renamed =
        |field: &str, id: &str| json!({field: {"id": id, "name": "new"}, "updateMask": "name"});
    let mut objects = BTreeMap::new();
    let orphans = json!({"cloud": "source", "tenant": home, "ids": ["nothing"]});
    audited.change("DeleteOrphans", orphans).await;
    objects.insert("DeleteOrphans", "nothing".to_owned());
    for (method, ask) in [
        ("UpdateDRBackup", renamed("drBackup", &dr)),
        ("UpdateBackup", renamed("backup", &regular)),
        ("DeleteRestoration", of(&restoration)),
    ] {
        objects.insert(method, audited.change(method, ask).await);
    }
    let schedule = audited.change("CreateSchedule", plan).await;
    objects.insert("CreateSchedule", schedule.clone());
    for (method, ask) in [
        ("UpdateSchedule", renamed("schedule", &schedule)),
        ("ActivateSchedule", of(&schedule)),
        ("DeactivateSchedule", of(&schedule)),
        ("RunSchedule", of(&schedule)),
        ("DeleteSchedule", of(&schedule)),
    ] {
        audited.change(method, ask).await;
        objects.insert(method, schedule.clone());
    }
    // Work is under way as long as its cloud does not answer.
    audited.stage.source.stop().await;
    for (method, ask) in [
        ("DeleteBackup", of(&regular)),
        ("DeleteDRBackup", of(&spare)),
    ] {
        objects.insert(method, audited.change(method, ask).await);
    }
    let into = json!({"drBackupId": dr, "cloud": "source", "tenant": home});
    for (create, cancel, ask) in [
        ("CreateDRBackup", "CancelDRBackup", place.clone()),
        ("CreateBackup", "CancelBackup", place),
        ("CreateRestoration", "CancelRestoration", into),
    ] {
        let id = audited.change(create, ask).await;
        audited.change(cancel, of(&id)).await;
        objects.insert(create, id.clone());
        objects.insert(cancel, id);
    }
    Asked {
        tenant: home,
        dr,
        objects,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_that_changes_anything_leaves_one_entry_of_its_caller() {
    let mut audited = Audited::set().await;
    let Asked {
        tenant,
        dr,
        objects,
    } = ask_for_all(&mut audited).await;
    let changing = audited.methods.keys().map(String::as_str);
    let changing = changing.filter(|name| !READS.iter().any(|reads| name.starts_with(reads)));
    let asked: BTreeSet<&str> = objects.keys().copied().collect();
    assert_eq!(asked, changing.collect(), "each has its request here");

    let (_, log) = audited.stage.terminate().await;
    let exported = audited.audit("export").await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let entries: Vec<Value> = exported
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let lines: Vec<Value> = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line| text(line, "message") == "accepted")
        .collect();
    for (method, object) in &objects {
        let id = request_id(method);
        let found: Vec<&Value> = entries
            .iter()
            .filter(|entry| text(entry, "what") == "accepted" && text(entry, "request_id") == id)
            .collect();
        let [entry] = found.as_slice() else {
            panic!("{method} has {} entries", found.len());
        };
        assert_eq!(text(entry, "method"), *method);
        assert_eq!(
            entry["by"],
            json!({"name": "portal", "via": "static_token", "door": "grpc", "address": "127.0.0.1"}),
            "{method}"
        );
        assert_eq!(text(&entry["object"], "id"), object, "{method}");
        assert_eq!(text(&entry["object"], "tenant"), tenant, "{method}");
        let told: Vec<&Value> = lines
            .iter()
            .filter(|line| line["audit"] == entry["number"])
            .collect();
        let [line] = told.as_slice() else {
            panic!("{method} has {} lines in the log", told.len());
        };
        assert_eq!(text(line, "method"), *method);
        assert_eq!(text(line, "caller"), "portal");
    }
    let made = entries
        .iter()
        .find(|entry| text(entry, "request_id") == request_id("RunSchedule"));
    assert_eq!(made.expect("an entry")["makes"]["kind"], "backup");
    let of_dr = |entry: &&Value| text(&entry["object"], "id") == dr;
    let ended = entries
        .iter()
        .filter(of_dr)
        .find(|entry| entry["what"] == "ended");
    let ended = ended.expect("its making ended");
    assert_eq!(ended["outcome"], "done");
    assert_eq!(ended["by"]["name"], "engine");
    let used: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["what"] == "admin_used")
        .collect();
    assert!(
        used.iter()
            .any(|entry| text(&entry["object"], "cloud") == "source"),
        "{used:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_names_the_door_and_an_operator_verifies_and_exports() {
    let mut audited = Audited::set().await;
    let server = audited.stage.instance("shop", &[1]).server;
    let home = audited.stage.source.project_id("demo").expect("a project");
    drbackup::openstack::install_crypto();
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let url = format!("{}/api/openstack-backup-schedules/", audited.stage.address);
    let ask =
        json!({"cloud": "source", "tenant": home, "instance": server, "schedule": "0 3 * * *"});
    for (token, status) in [(audited.token.as_str(), 201), ("drb_of_nobody", 401)] {
        let request = http.post(&url).header("x-auth-token", token).json(&ask);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{answer:?}");
    }
    // While the service runs, as an operator would.
    let exported = audited.audit("export").await;
    let entry: Value = serde_json::from_str(exported.stdout.trim()).expect("one entry");
    assert_eq!(text(&entry, "method"), "CreateSchedule");
    assert_eq!(
        entry["by"],
        json!({"name": "portal", "via": "static_token", "door": "rest", "address": "127.0.0.1"})
    );
    let later = audited.audit("export --since 2999-01-01T00:00:00Z").await;
    assert_eq!((later.code, later.stdout.as_str()), (0, ""));
    let earlier = audited.audit("export --until 2999-01-01T00:00:00Z").await;
    assert_eq!(earlier.stdout, exported.stdout);

    let verified = audited.audit("verify").await;
    assert_eq!(verified.code, 0, "{verified:?}");
    let known = format!("1:{}", text(&entry, "digest"));
    assert!(
        verified
            .stdout
            .starts_with("the audit holds: 1 entries, from 20"),
        "{verified:?}"
    );
    assert!(
        verified
            .stdout
            .contains(&format!("the last entry is {known}\n")),
        "{verified:?}"
    );
    assert_eq!(
        audited.audit(&format!("verify --known {known}")).await.code,
        0
    );
    let cut = known.replacen("1:", "2:", 1);
    let broken = audited.audit(&format!("verify --known {cut}")).await;
    assert_eq!(broken.code, 1, "{broken:?}");
    assert_eq!(
        broken.stdout,
        "the audit does not hold: entry 2 is not there, although it is known to be\n"
    );
    assert_eq!(audited.audit("verify --known 7").await.code, 2);
    audited.stage.terminate().await;
    assert_eq!(audited.audit("verify").await.stdout, verified.stdout);
}
