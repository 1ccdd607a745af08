//! Who may do what: every RPC and every path, by every kind of caller, to what is there, to what is another's
//! and to what is not there; `tests/golden/rights.txt` is the matrix, and so the documentation.
//!
//! Nothing is changed by asking: what could change something has a condition that does not hold.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use drbackup::{
    api::pb::DESCRIPTORS,
    openstack::install_crypto,
    rest::server::document,
    sim::{Cloud, InstanceSpec, Times},
};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{Code, Request, Status, transport::Endpoint};
use tonic_types::StatusExt as _;

use crate::{
    scope::Bytes,
    stage::{Answer, Stage, finish, until},
};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// The callers, each with the user and the project of its token; none for who shows no token, or a forged one.
const CALLERS: [(&str, Option<(&str, &str)>); 6] = [
    ("nobody", None),
    ("forged", None),
    ("stranger", Some(("demo", "second"))),
    ("reader", Some(("auditor", "demo"))),
    ("operator", Some(("demo", "demo"))),
    ("admin", Some(("operator", "demo"))),
];

/// A service that asks the Keystone of the first cloud, and what lies in it.
struct Guarded {
    stage: Stage,
    tokens: BTreeMap<&'static str, String>,
    /// The ids of what is there, by what it is.
    ids: BTreeMap<&'static str, String>,
}

fn client() -> reqwest::Client {
    install_crypto();
    let http = reqwest::Client::builder().no_proxy().build();
    http.expect("a client")
}

/// A token of a simulated Keystone.
fn token(cloud: &Cloud, user: &str, project: &str) -> String {
    cloud.token(user, project).expect("a role there")
}

impl Guarded {
    async fn set(more: &str) -> Self {
        let mut stage = Stage::unserved(Times::fast()).await;
        let config = stage.path("server.toml");
        let text = format!("[auth]\nkeystones = [\"source\", \"dr\"]\ncached = \"1s\"\n{more}");
        std::fs::write(&config, text).expect("written");
        stage.add_flags(&["--config", &config.display().to_string()]);
        stage.serve().await;
        let mut tokens = BTreeMap::from([("forged", "gAAAAABforged".to_owned())]);
        for (caller, login) in CALLERS {
            if let Some((user, project)) = login {
                tokens.insert(caller, token(&stage.source, user, project));
            }
        }
        Self {
            stage,
            tokens,
            ids: BTreeMap::new(),
        }
    }

    /// A command line of somebody.
    async fn run(&self, caller: &str, line: &str) -> Answer {
        let mut command = self.stage.command(line);
        command.env("DRBACKUP_ADDRESS", &self.stage.address);
        if let Some(token) = self.tokens.get(caller) {
            command.env("DRBACKUP_TOKEN", token);
        }
        finish(command).await
    }

    /// The id of what a command line makes.
    async fn make(&self, caller: &str, line: &str) -> String {
        let answer = self.run(caller, &format!("{line} -o id")).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        answer.stdout.trim().to_owned()
    }

    /// Something of every kind in project demo, and a DR backup in another.
    async fn furnish(&mut self) {
        let own = self.stage.instance("shop", &[1]).server;
        let spec = InstanceSpec {
            project: "second".to_owned(),
            ..InstanceSpec::new("other", &[1])
        };
        let foreign = self
            .stage
            .source
            .create_instance(&spec)
            .expect("made")
            .server;
        let project = |name: &str| self.stage.source.project_id(name).expect("a project");
        let (home, second) = (project("demo"), project("second"));
        let at = |tenant: &str, server: &str| format!("--cloud source --tenant {tenant} {server}");
        let (here, there) = (at(&home, &own), at(&second, &foreign));
        let dr = self
            .make("admin", &format!("backup create {here} --hold"))
            .await;
        let regular = self
            .make("operator", &format!("regular create {here}"))
            .await;
        let other = self
            .make("stranger", &format!("backup create {there}"))
            .await;
        let schedule = format!("schedule create {here} --schedule @daily --inactive");
        let schedule = self.make("operator", &schedule).await;
        let restore = format!("restoration create {regular} --cloud source --tenant {home}");
        let restoration = self.make("operator", &restore).await;
        self.ids = BTreeMap::from([
            ("tenant", home),
            ("second", second),
            ("server", own),
            ("dr", dr),
            ("regular", regular),
            ("other", other),
            ("schedule", schedule),
            ("restoration", restoration),
        ]);
    }

    /// What a call is told: how it ends, and how many things are in its answer.
    async fn call(&self, caller: &str, method: &MethodDescriptor, ask: &Value) -> Told {
        let text = ask.to_string();
        let mut reader = serde_json::Deserializer::from_str(&text);
        let message = DynamicMessage::deserialize(method.input(), &mut reader);
        let message = message.unwrap_or_else(|error| panic!("{}: {error}: {text}", method.name()));
        let channel = Endpoint::from_shared(self.stage.address.clone()).expect("an address");
        let mut grpc = tonic::client::Grpc::new(channel.connect().await.expect("connected"));
        grpc.ready().await.expect("up");
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = PathAndQuery::try_from(path).expect("a path");
        let mut request = Request::new(message.encode_to_vec());
        if let Some(token) = self.tokens.get(caller) {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        if method.is_server_streaming() {
            return match grpc.server_streaming(request, path, Bytes).await {
                Ok(_) => Told::Done(None),
                Err(status) => Told::of(&status),
            };
        }
        match grpc.unary(request, path, Bytes).await {
            Err(status) => Told::of(&status),
            Ok(answer) => {
                let bytes = answer.into_inner();
                let answer = DynamicMessage::decode(method.output(), bytes.as_slice());
                let answer = answer.expect("a message");
                let output = method.output();
                let mut lists = output
                    .fields()
                    .filter(prost_reflect::FieldDescriptor::is_list);
                let is_list = method.name().starts_with("List");
                let list = lists.next().filter(|_| is_list);
                let count = list.and_then(|field| Some(answer.get_field(&field).as_list()?.len()));
                Told::Done(count)
            }
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    /// It was let through; with so many things in a list.
    Done(Option<usize>),
    /// It was not.
    Refused(Code),
    /// There is no such place for this caller.
    Unreached,
}

impl Told {
    fn of(status: &Status) -> Self {
        let reason = status.get_error_details();
        let reason = reason.error_info().map(|info| info.reason.as_str());
        if reason == Some("TENANT_NOT_REACHED") {
            return Self::Unreached;
        }
        let code = status.code();
        if [
            Code::Unauthenticated,
            Code::PermissionDenied,
            Code::NotFound,
        ]
        .contains(&code)
        {
            return Self::Refused(code);
        }
        // Whoever hears that a condition does not hold was let through.
        let through = [
            Code::FailedPrecondition,
            Code::Aborted,
            Code::InvalidArgument,
            Code::ResourceExhausted,
        ];
        assert!(through.contains(&code), "{code:?}: {}", status.message());
        Self::Done(None)
    }

    fn cell(&self) -> String {
        match self {
            Self::Done(None) => "yes".to_owned(),
            Self::Done(Some(count)) => format!("sees {count}"),
            Self::Unreached => "unreached".to_owned(),
            Self::Refused(Code::Unauthenticated) => "who?".to_owned(),
            Self::Refused(Code::PermissionDenied) => "forbidden".to_owned(),
            Self::Refused(_) => "not found".to_owned(),
        }
    }
}

/// The requests of a method, each by what it is about: what is there, and what is not.
fn requests(method: &MethodDescriptor, ids: &BTreeMap<&str, String>) -> Vec<(&'static str, Value)> {
    let input = method.input();
    let has = |name: &str| input.get_field_by_name(name).is_some();
    let service = method.parent_service().name().to_owned();
    let kind = match service.as_str() {
        "DRBackupService" => "dr",
        "BackupService" => "regular",
        "RestorationService" => "restoration",
        _ => "schedule",
    };
    let mut asked = Vec::new();
    for what in ["there", "absent"] {
        let is_there = what == "there";
        let id = |name: &str| {
            if is_there {
                ids[name].clone()
            } else {
                NOBODY.to_owned()
            }
        };
        let tenant = if is_there {
            ids["tenant"].clone()
        } else {
            "f".repeat(32)
        };
        let mut ask = json!({});
        let mut is_about_something = false;
        let mut set = |name: &str, camel: &str, value: Value, says: bool| {
            if has(name) {
                ask[camel] = value;
                is_about_something |= says;
            }
        };
        set("id", "id", json!(id(kind)), true);
        set("schedule_id", "scheduleId", json!(id("schedule")), true);
        set(
            "restoration_id",
            "restorationId",
            json!(id("restoration")),
            true,
        );
        if has("tenant") {
            set("cloud", "cloud", json!("source"), false);
            set("tenant", "tenant", json!(tenant), true);
            if !has("restoration_id") {
                set("instance_id", "instanceId", json!(ids["server"]), false);
            }
        } else {
            let cloud = if is_there { "source" } else { "nowhere" };
            set("cloud", "cloud", json!(cloud), true);
        }
        set("ids", "ids", json!(["x"]), false);
        set("etag", "etag", json!("\"999\""), false);
        set("validate_only", "validateOnly", json!(true), false);
        match input.name() {
            "CreateRestorationRequest" => {
                ask["backupId"] = json!(id("regular"));
                ask["tenant"] = json!(ids["tenant"]);
            }
            "CreateScheduleRequest" => {
                ask["schedule"] = json!({"cloud": "source", "tenant": tenant, "instanceId": ids["server"],
                    "schedule": "@daily", "timeZone": "UTC", "backupType": "BACKUP_TYPE_DR"});
                is_about_something = true;
            }
            "UpdateDRBackupRequest" | "UpdateBackupRequest" | "UpdateScheduleRequest" => {
                let field = match kind {
                    "dr" => "drBackup",
                    "regular" => "backup",
                    _ => "schedule",
                };
                ask[field] = json!({"id": id(kind), "etag": "\"999\"", "name": "new"});
                ask["updateMask"] = json!("name");
                is_about_something = true;
            }
            _ => {}
        }
        if is_there || is_about_something {
            asked.push((what, ask));
        }
    }
    asked
}

/// What takes more than its method alone: each with its method, its name, and its request.
fn finer(ids: &BTreeMap<&str, String>) -> Vec<(&'static str, &'static str, Value)> {
    let covered = |ask: Value| {
        let mut ask = ask;
        ask["includeSensitive"] = json!(true);
        ask
    };
    let place = json!({"cloud": "source", "tenant": ids["tenant"], "instanceId": ids["server"]});
    let of = |id: &str| json!({"id": ids[id]});
    vec![
        (
            "UpdateSchedule",
            "retention changed",
            json!({"schedule": {"id": ids["schedule"], "retention": {"keepLast": 1}},
                "updateMask": "retention"}),
        ),
        ("GetDRBackup", "covered", covered(of("dr"))),
        ("GetBackup", "covered", covered(of("regular"))),
        ("GetInstance", "covered", covered(place)),
        (
            "GetRestoredInstance",
            "covered",
            covered(json!({"restorationId": ids["restoration"]})),
        ),
        (
            "CreateRestoration",
            "into another tenant",
            json!({"backupId": ids["regular"], "cloud": "source", "tenant": ids["second"],
                "validateOnly": true}),
        ),
        (
            "UpdateDRBackup",
            "hold lifted",
            json!({"drBackup": {"id": ids["dr"], "held": false}, "updateMask": "held"}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_lets_through_whom_the_matrix_says() {
    let mut guarded = Guarded::set("").await;
    guarded.furnish().await;
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let methods: Vec<MethodDescriptor> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let mut rows: Vec<(String, MethodDescriptor, Value)> = Vec::new();
    for method in &methods {
        for (what, ask) in requests(method, &guarded.ids) {
            rows.push((format!("{} {what}", method.name()), method.clone(), ask));
        }
    }
    for (name, what, ask) in finer(&guarded.ids) {
        let method = methods.iter().find(|method| method.name() == name);
        let method = method.expect("a method").clone();
        rows.push((format!("{name} {what}"), method, ask));
    }
    let mut table = format!("{:<40}", "");
    for (caller, _) in CALLERS {
        write!(table, "{caller:<12}").expect("written");
    }
    let mut text = format!("{}\n", table.trim_end());
    for (name, method, ask) in &rows {
        let mut row = format!("{name:<40}");
        for (caller, _) in CALLERS {
            let told = guarded.call(caller, method, ask).await;
            write!(row, "{:<12}", told.cell()).expect("written");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    golden("rights.txt", &text);
}

/// Every method of every path that has something to allow, with a request: what is about what is there, and what
/// makes or deletes last.
fn paths(ids: &BTreeMap<&str, String>) -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(document()).expect("JSON");
    let mut asked = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        // Former addresses tell where they went, and nothing of what is there.
        if path.ends_with("/restore/") || path.ends_with("/{uuid}/delete/") {
            continue;
        }
        let kind = match path.split('/').nth(2).expect("a resource") {
            "openstack-dr-backups" => "dr",
            "openstack-backups" => "regular",
            "openstack-backup-schedules" => "schedule",
            "openstack-instances" => "instance",
            _ => "restoration",
        };
        for method in methods.as_object().expect("methods").keys() {
            let body = match (path.as_str(), method.as_str()) {
                (_, "get" | "delete") => Value::Null,
                ("/api/openstack-dr-backups/", _) => {
                    json!({"cloud": "source", "tenant": ids["tenant"],
                    "source_instance": ids["server"]})
                }
                ("/api/openstack-backups/", _) => {
                    json!({"cloud": "source", "tenant": ids["tenant"],
                    "instance": ids["server"]})
                }
                ("/api/openstack-backup-schedules/", _) => json!({"cloud": "source",
                    "tenant": ids["tenant"], "instance": ids["server"], "schedule": "0 3 * * *"}),
                ("/api/openstack-dr-backup-restorations/", _) => json!({"cloud": "source",
                    "tenant": ids["tenant"], "backup": ids["dr"]}),
                ("/api/openstack-backup-restorations/", _) => json!({"backup": ids["regular"]}),
                ("/api/openstack-backup-schedules/{uuid}/", "put") => json!({"name": "new",
                    "schedule": "0 3 * * *"}),
                _ => json!({"name": "new"}),
            };
            let path = path.replace("{uuid}", &ids[kind]);
            asked.push((method.to_uppercase(), path, body));
        }
    }
    let weight = |method: &str, path: &str| match method {
        "GET" => 0,
        "DELETE" => 3,
        _ if path.ends_with("s/") => 2,
        _ => 1,
    };
    asked.sort_by_key(|(method, path, _)| weight(method, path));
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_lets_through_whom_the_matrix_says() {
    let mut guarded = Guarded::set("").await;
    guarded.furnish().await;
    let shown = guarded
        .run(
            "admin",
            &format!("restoration get {} -o json", guarded.ids["restoration"]),
        )
        .await;
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let instance = shown["instance"]["id"].as_str().expect("an id").to_owned();
    guarded.ids.insert("instance", instance);
    let http = client();
    let names: BTreeMap<String, &str> = guarded
        .ids
        .iter()
        .map(|(name, id)| (id.clone(), *name))
        .collect();
    let mut text = String::new();
    for (method, path, body) in paths(&guarded.ids) {
        let told = path.split('/').map(|part| match names.get(part) {
            Some(name) => format!("{{{name}}}"),
            None => part.to_owned(),
        });
        let name = format!("{method} {}", told.collect::<Vec<_>>().join("/"));
        let mut row = format!("{name:<64}");
        for (caller, _) in CALLERS {
            let verb = method.parse().expect("a method");
            let mut request = http.request(verb, format!("{}{path}", guarded.stage.address));
            if !body.is_null() {
                request = request.json(&body);
            }
            if let Some(token) = guarded.tokens.get(caller) {
                request = request.header("x-auth-token", token);
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let told: Value = answer.json().await.unwrap_or_default();
            let cell = match (status, told["reason"].as_str().unwrap_or_default()) {
                (401, _) => "who?".to_owned(),
                (403, "TENANT_NOT_REACHED") => "unreached".to_owned(),
                (403, _) => "forbidden".to_owned(),
                (404, _) => "not found".to_owned(),
                (400, _) if told.to_string().contains("there is no ") => "not found".to_owned(),
                (200..=299, _) => told
                    .as_array()
                    .map_or_else(|| "yes".to_owned(), |all| format!("sees {}", all.len())),
                (409, _) => "yes".to_owned(),
                (status, reason) => format!("{status} {reason}"),
            };
            write!(row, "{cell:<12}").expect("written");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    golden("rights_rest.txt", &text);
}

/// Compares with an agreed matrix, or writes it where that is asked for.
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == agreed,
        "differs from {}: look, and write it anew with UPDATE_GOLDEN=1:\n{text}",
        path.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_is_ones_own_and_a_filter_finds_no_more() {
    let mut guarded = Guarded::set("").await;
    guarded.furnish().await;
    let ids = |answer: &Answer| -> Vec<String> {
        let ids = answer.stdout.split_whitespace();
        ids.map(str::to_owned).collect()
    };
    let listed = guarded.run("reader", "backup list -o id").await;
    assert_eq!(ids(&listed), [guarded.ids["dr"].clone()], "{listed:?}");
    let listed = guarded.run("stranger", "backup list -o id").await;
    assert_eq!(ids(&listed), [guarded.ids["other"].clone()], "{listed:?}");
    // A tenant of others reads like one that there is not.
    let list = |tenant: &str| format!("backup list --cloud source --tenant {tenant}");
    let foreign = guarded.run("reader", &list(&guarded.ids["second"])).await;
    let absent = guarded.run("reader", &list(&"f".repeat(32))).await;
    let same = |text: &str| text.replace(&guarded.ids["second"], &"f".repeat(32));
    assert_eq!(
        (foreign.code, same(&foreign.stderr)),
        (absent.code, absent.stderr)
    );
    assert_ne!(foreign.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_a_stream_and_lets_nobody_in() {
    let mut guarded = Guarded::set("").await;
    guarded.furnish().await;
    let mut command = guarded.stage.command("backup watch --patience 1s");
    command.env("DRBACKUP_ADDRESS", &guarded.stage.address);
    command.env("DRBACKUP_TOKEN", &guarded.tokens["reader"]);
    let watching = tokio::spawn(finish(command));
    let get = format!("backup show {}", guarded.ids["dr"]);
    assert_eq!(guarded.run("reader", &get).await.code, 0);
    guarded.stage.source.revoke_tokens();
    let ended = watching.await.expect("it ends");
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("UNAUTHENTICATED"), "{ended:?}");
    let refused = until(|| async {
        let answer = guarded.run("reader", &get).await;
        (answer.code != 0).then_some(answer)
    })
    .await;
    assert!(refused.stderr.contains("UNAUTHENTICATED"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_worst_day_the_paired_tenant_restores_and_a_stranger_does_not() {
    // The ids of the projects are those of the seeds, which stand fast.
    let mut guarded = Guarded::set("").await;
    guarded.furnish().await;
    let dr_home = guarded.stage.dr.project_id("demo").expect("a project");
    let pair = format!(
        "[[auth.pairs]]\nsource = {{ cloud = \"source\", project = \"{}\" }}\n\
         target = {{ cloud = \"dr\", project = \"{dr_home}\" }}\n",
        guarded.ids["tenant"]
    );
    let config = guarded.stage.path("server.toml");
    let text = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, format!("{text}{pair}")).expect("written");
    guarded.stage.terminate().await;
    guarded.stage.serve().await;
    let dr = &guarded.stage.dr;
    let paired = token(dr, "demo", "demo");
    let stranger = token(dr, "demo", "second");
    guarded.tokens.insert("paired", paired);
    guarded.tokens.insert("stranger", stranger);
    guarded.stage.source.stop().await;
    let id = guarded.ids["dr"].clone();
    let show = format!("backup show {id}");
    let seen = guarded.run("stranger", &show).await;
    assert!(seen.stderr.contains("NOT_FOUND"), "{seen:?}");
    // A token of the cloud that is gone is not called bad.
    let lost = guarded.run("operator", &show).await;
    assert!(
        lost.stderr.contains("could not judge the token"),
        "{lost:?}"
    );
    assert_eq!(guarded.run("paired", &show).await.code, 0);
    let restore = format!("restoration create {id} --cloud dr --tenant {dr_home} --keystone dr");
    let restored = guarded.run("paired", &restore).await;
    assert_eq!(restored.code, 0, "{restored:?}");
    let delete = guarded.run("paired", &format!("backup delete {id}")).await;
    assert!(delete.stderr.contains("FORBIDDEN"), "{delete:?}");
}
