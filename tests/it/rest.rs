//! The REST door from outside: JSON over HTTP, as a client of the original speaks it.

use drbackup::sim::{Action, Rule, Times};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::stage::{Stage, until};

const DR_BACKUPS: &str = "/api/openstack-dr-backups/";
const DR_RESTORATIONS: &str = "/api/openstack-dr-backup-restorations/";
const BACKUPS: &str = "/api/openstack-backups/";
const RESTORATIONS: &str = "/api/openstack-backup-restorations/";
const SCHEDULES: &str = "/api/openstack-backup-schedules/";
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A caller of one service.
struct Client {
    http: reqwest::Client,
    address: String,
}

/// What a caller got.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// The one answer of a status.
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The names of the fields that are bad.
    fn bad_fields(self) -> Vec<String> {
        let fields = self.expect(400);
        let fields = fields.as_object().expect("an object");
        assert!(fields.values().all(Value::is_array), "{fields:?}");
        fields.keys().cloned().collect()
    }
}

impl Client {
    fn of(stage: &Stage) -> Self {
        Self::at(&stage.address)
    }

    fn at(address: &str) -> Self {
        drbackup::openstack::install_crypto();
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            http: http.expect("a client"),
            address: address.to_owned(),
        }
    }

    async fn with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<&str>,
    ) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = request.send().await.expect("an answer");
        Reply {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.expect("text"),
        }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Reply {
        let json = [("content-type", "application/json")];
        self.with(method, path, &json, Some(&body.to_string()))
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, body).await
    }

    async fn ask(&self, method: Method, path: &str) -> Reply {
        self.with(method, path, &[], None).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path).await
    }

    /// Reads an address until nothing is under way there.
    async fn settled(&self, path: &str) -> Value {
        until(|| async {
            let told = self.get(path).await.expect(200);
            let state = told["state"].as_str().expect("a state").to_owned();
            ["OK", "Erred"].contains(&state.as_str()).then_some(told)
        })
        .await
    }

    async fn gone(&self, path: &str) {
        until(|| async { (self.get(path).await.status == 404).then_some(()) }).await;
    }

    /// A DR backup of an instance at its end.
    async fn dr_backup(&self, stage: &Stage, server: &str) -> Value {
        let made = self.post(DR_BACKUPS, &wanted(stage, server)).await;
        let told = self.settled(made.header("location")).await;
        assert_eq!(told["state"], "OK", "{told}");
        told
    }
}

fn url(told: &Value) -> &str {
    told["url"].as_str().expect("an address")
}

fn home(stage: &Stage) -> String {
    stage.source.project_id("demo").expect("a project")
}

/// What makes a DR backup.
fn wanted(stage: &Stage, server: &str) -> Value {
    json!({ "cloud": "source", "tenant": home(stage), "source_instance": server, "name": "friday" })
}

/// What makes anything else of an instance.
fn of_instance(stage: &Stage, server: &str) -> Value {
    json!({ "cloud": "source", "tenant": home(stage), "instance": server })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_comes_back_in_another_cloud_as_clients_of_the_original_ask_for_it() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1, 2]);

    let made = client
        .post(DR_BACKUPS, &wanted(&stage, &instance.server))
        .await;
    let address = made.header("location").to_owned();
    let told = made.expect(201);
    assert_eq!(told["state"], "Creation Scheduled");
    assert_eq!(
        (url(&told), &told["name"]),
        (address.as_str(), &json!("friday"))
    );
    let told = client.settled(&address).await;
    assert_eq!(
        (&told["state"], &told["runtime_state"]),
        (&json!("OK"), &json!("Available"))
    );
    assert_eq!(told["source_instance"], instance.server);
    assert_eq!(told["metadata"]["storage"], 3 * 1024);
    assert!(told["metadata"]["min_ram"].as_u64() > Some(0), "{told}");
    assert!(told["metadata"]["cores"].as_u64() > Some(0), "{told}");
    assert_eq!(told["restorations"], json!([]));

    let wish = json!({
        "backup": address,
        "cloud": "dr",
        "tenant": stage.dr.project_id("demo").expect("a project"),
        "name": "shop again",
    });
    let made = client.post(DR_RESTORATIONS, &wish).await.expect(201);
    assert_eq!(made["backup"], address);
    let running = client.get(&address).await.expect(200);
    assert_eq!(running["state"], "OK", "any number of restorations may run");
    let restored = client.settled(url(&made)).await;
    assert_eq!(restored["state"], "OK", "{restored}");
    let listed = client.get(&address).await.expect(200)["restorations"][0].clone();
    for field in [
        "uuid",
        "instance",
        "instance_uuid",
        "instance_name",
        "created",
    ] {
        assert_eq!(listed[field], restored[field], "{field}");
    }
    assert_eq!(listed["instance_state"], "OK");

    let instance = restored["instance"].as_str().expect("an address");
    let instance = client.get(instance).await.expect(200);
    assert_eq!(
        (&instance["name"], &instance["state"]),
        (&json!("shop again"), &json!("OK"))
    );
    assert_eq!(instance["runtime_state"], "ACTIVE");
    assert_eq!(instance["disk"], 3 * 1024);
    assert!(!instance["backend_id"].as_str().expect("text").is_empty());

    let gone = client.ask(Method::DELETE, &address).await.expect(202);
    assert!(gone["detail"].as_str().expect("text").contains("scheduled"));
    client.gone(&address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regular_backup_comes_back_in_its_own_tenant() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let made = client
        .post(BACKUPS, &of_instance(&stage, &instance.server))
        .await;
    let told = client.settled(url(&made.expect(201))).await;
    assert_eq!(
        (&told["state"], &told["name"]),
        (&json!("OK"), &json!("shop"))
    );
    let wish = json!({ "backup": told["uuid"] });
    let made = client.post(RESTORATIONS, &wish).await.expect(201);
    assert_eq!(
        (&made["cloud"], &made["tenant"]),
        (&told["cloud"], &told["tenant"])
    );
    let restored = client.settled(url(&made)).await;
    assert_eq!(restored["state"], "OK", "{restored}");
    let elsewhere = format!(
        "{DR_RESTORATIONS}{}/",
        restored["uuid"].as_str().expect("an id")
    );
    client.get(&elsewhere).await.expect(404);
    assert_eq!(client.get(DR_RESTORATIONS).await.expect(200), json!([]));
    let uuid = told["uuid"].as_str().expect("an id");
    let listed = client
        .get(&format!("{RESTORATIONS}?backup_uuid={uuid}"))
        .await;
    assert_eq!(listed.expect(200)[0]["uuid"], restored["uuid"]);
    client.ask(Method::DELETE, url(&told)).await.expect(202);
    client.gone(url(&told)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn post_put_and_patch_change_a_backup_and_a_busy_one_refuses() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let mut told = client.dr_backup(&stage, &instance.server).await;
    let address = url(&told).to_owned();
    for (method, name) in [
        (Method::POST, "a"),
        (Method::PATCH, "b"),
        (Method::PUT, "c"),
    ] {
        let change = json!({ "name": name, "description": format!("made by {method}") });
        client
            .send(method.clone(), &address, &change)
            .await
            .expect(200);
        told = client.settled(&address).await;
        assert_eq!(told["name"], name);
        assert_eq!(told["description"], format!("made by {method}"));
    }
    let nameless = client
        .send(Method::PUT, &address, &json!({ "description": "" }))
        .await;
    assert_eq!(nameless.bad_fields(), ["name"]);

    // As it was read, with one field changed.
    told["name"] = json!("d");
    told["kept_until"] = json!("2100-01-01T00:00:00Z");
    let changed = client.send(Method::PUT, &address, &told).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["kept_until"]),
        (&json!("d"), &told["kept_until"])
    );
    let strange = client
        .send(Method::PATCH, &address, &json!({ "colour": "red" }))
        .await;
    assert_eq!(strange.bad_fields(), ["colour"]);
    let for_ever = json!({ "kept_until": null, "held": true });
    let changed = client
        .send(Method::PATCH, &address, &for_ever)
        .await
        .expect(200);
    assert_eq!(changed["kept_until"], Value::Null);

    let held = client.ask(Method::DELETE, &address).await.expect(409);
    assert_eq!(held["reason"], "ON_HOLD");
    client
        .send(Method::PATCH, &address, &json!({ "held": false }))
        .await
        .expect(200);
    client.ask(Method::DELETE, &address).await.expect(202);
    client.gone(&address).await;
    client
        .send(Method::PATCH, &address, &for_ever)
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_names_its_fields_and_makes_nothing() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let good = wanted(&stage, &instance.server);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, fields) in [
        (json!({}), &["cloud", "source_instance", "tenant"][..]),
        (with("source_instance", json!(NOBODY)), &["source_instance"]),
        (with("source_instance", json!("../x")), &["source_instance"]),
        (with("cloud", json!("nowhere")), &["cloud"]),
        (with("name", json!("n".repeat(256))), &["name"]),
        (with("name", json!("a\0b")), &["name"]),
        (with("description", json!(7)), &["description"]),
        (with("kept_until", json!("tomorrow")), &["kept_until"]),
        (with("held", json!("yes")), &["held"]),
        (with("colour", json!("red")), &["colour"]),
    ] {
        let bad = client.post(DR_BACKUPS, &body).await;
        assert_eq!(bad.bad_fields(), fields, "{body}");
    }
    let tenant = home(&stage);
    let asked = json!({ "backup": NOBODY, "cloud": "source", "tenant": tenant });
    assert_eq!(
        client.post(DR_RESTORATIONS, &asked).await.bad_fields(),
        ["backup"]
    );
    let asked = json!({ "backup": format!("{BACKUPS}{NOBODY}/"), "cloud": "x", "tenant": tenant });
    assert_eq!(
        client.post(DR_RESTORATIONS, &asked).await.bad_fields(),
        ["backup"]
    );
    let asked = json!({ "backup": NOBODY });
    assert_eq!(
        client.post(RESTORATIONS, &asked).await.bad_fields(),
        ["backup"]
    );

    for (field, value) in [
        ("schedule", json!("61 * * * *")),
        ("timezone", json!("Mars/Olympus")),
        ("instance", json!(NOBODY)),
        ("backup_type", json!("Weekly")),
        ("retention_time", json!(-1)),
    ] {
        let mut body = of_instance(&stage, &instance.server);
        body["schedule"] = json!("0 2 * * *");
        body[field] = value;
        assert_eq!(client.post(SCHEDULES, &body).await.bad_fields(), [field]);
    }
    for text in [
        "",
        "{",
        "[]",
        "7",
        "{\"name\": \"\\ud800\"}",
        "{\"a\": 1e999}",
    ] {
        let json = [("content-type", "application/json")];
        let reply = client
            .with(Method::POST, DR_BACKUPS, &json, Some(text))
            .await;
        assert_eq!(reply.expect(400)["reason"], "NO_JSON", "{text}");
    }
    let reply = client.with(Method::POST, DR_BACKUPS, &[], Some("{}")).await;
    reply.expect(415);
    let long = with("name", json!("n".repeat(100_000)));
    client.post(DR_BACKUPS, &long).await.expect(413);
    assert_eq!(client.get(DR_BACKUPS).await.expect(200), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed_ordered_and_paged_and_a_strange_filter_is_named() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    for name in ["monday 100%", "tuesday", "Wednesday"] {
        let mut body = wanted(&stage, &instance.server);
        body["name"] = json!(name);
        body["description"] = json!(format!("of {name}"));
        let made = client.post(DR_BACKUPS, &body).await;
        client.settled(made.header("location")).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let rows = client
            .get(&format!("{DR_BACKUPS}?{query}"))
            .await
            .expect(200);
        let rows = rows.as_array().expect("a list").iter();
        rows.map(|row| row["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(
        names("o=name").await,
        ["Wednesday", "monday 100%", "tuesday"]
    );
    assert_eq!(
        names("o=-created").await,
        ["Wednesday", "tuesday", "monday 100%"]
    );
    assert_eq!(
        names("name=day&o=created&page_size=1&page=2").await,
        ["tuesday"]
    );
    assert_eq!(names("name=0%25").await, ["monday 100%"]);
    assert_eq!(
        names("name=_").await,
        Vec::<String>::new(),
        "nothing stands for anything"
    );
    assert_eq!(
        names("name=wed").await,
        Vec::<String>::new(),
        "case matters"
    );
    assert_eq!(names("description=of%20tues").await, ["tuesday"]);
    assert_eq!(names("state=OK&state=Erred").await.len(), 3);
    assert_eq!(names("state=Erred&state=Creation+Scheduled").await.len(), 0);
    assert_eq!(
        names(&format!("source_instance_uuid={}", instance.server))
            .await
            .len(),
        3
    );
    assert_eq!(names(&format!("uuid={NOBODY}")).await.len(), 0);

    let first = client
        .get(&format!("{DR_BACKUPS}?o=name&page_size=2"))
        .await;
    let next = format!("<{DR_BACKUPS}?o=name&page_size=2&page=2>; rel=\"next\"");
    assert!(first.header("link").contains(&next), "{first:?}");
    let last = client
        .get(&format!("{DR_BACKUPS}?o=name&page_size=2&page=2"))
        .await;
    assert!(!last.header("link").contains("next"), "{last:?}");
    assert!(
        last.header("link").contains("page=1>; rel=\"prev\""),
        "{last:?}"
    );
    client
        .get(&format!("{DR_BACKUPS}?page=9"))
        .await
        .expect(404);

    for (query, field) in [
        ("customer=x", "customer"),
        ("name=a&name=b", "name"),
        ("state=Ready", "state"),
        ("page=0", "page"),
        ("page_size=many", "page_size"),
        ("o=state", "o"),
        ("uuid=7", "uuid"),
        ("name=%00", "name"),
        ("cloud=", "cloud"),
    ] {
        let bad = client.get(&format!("{DR_BACKUPS}?{query}")).await;
        assert_eq!(bad.bad_fields(), [field]);
    }
    let bad = client.get(&format!("{SCHEDULES}?is_active=perhaps")).await;
    assert_eq!(bad.bad_fields(), ["is_active"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_activated_once_and_deleted_at_once() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let mut body = of_instance(&stage, &instance.server);
    body["schedule"] = json!("0 2 * * 1");
    body["timezone"] = json!("Europe/Tallinn");
    body["retention_time"] = json!(7);
    body["maximal_number_of_resources"] = json!(3);
    let made = client.post(SCHEDULES, &body).await.expect(201);
    for field in [
        "schedule",
        "timezone",
        "retention_time",
        "maximal_number_of_resources",
    ] {
        assert_eq!(made[field], body[field], "{field}");
    }
    assert_eq!(
        (&made["is_active"], &made["backup_type"]),
        (&json!(false), &json!("Regular"))
    );
    assert_eq!(made["next_trigger_at"], Value::Null);

    let address = url(&made);
    for (word, active) in [("activate", true), ("deactivate", false)] {
        let word = format!("{address}{word}/");
        let status = client.ask(Method::POST, &word).await.expect(200);
        assert!(status["status"].is_string(), "{status}");
        let again = client.ask(Method::POST, &word).await.expect(409);
        assert_eq!(again["reason"], "SCHEDULE_STATE");
        let told = client.get(address).await.expect(200);
        assert_eq!(told["is_active"], active);
        assert_eq!(told["next_trigger_at"].is_null(), !active);
    }
    let change = json!({ "maximal_number_of_resources": 5 });
    let changed = client.post(address, &change).await.expect(200);
    assert_eq!(changed["maximal_number_of_resources"], 5);
    assert_eq!(changed["retention_time"], 7, "what is not given stays");
    let bad = client.post(address, &json!({ "schedule": "never" })).await;
    assert_eq!(bad.bad_fields(), ["schedule"]);
    let found = client
        .get(&format!("{SCHEDULES}?instance_uuid={}", instance.server))
        .await;
    assert_eq!(found.expect(200)[0]["uuid"], made["uuid"]);
    assert_eq!(
        client
            .get(&format!("{SCHEDULES}?is_active=true"))
            .await
            .expect(200),
        json!([])
    );

    let gone = client.ask(Method::DELETE, address).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    client.get(address).await.expect(404);
    client
        .ask(Method::POST, &format!("{address}activate/"))
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_with_its_key_is_the_same_request() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "one"),
    ];
    let body = wanted(&stage, &instance.server);
    let once = client
        .with(Method::POST, DR_BACKUPS, &headers, Some(&body.to_string()))
        .await;
    let twice = client
        .with(Method::POST, DR_BACKUPS, &headers, Some(&body.to_string()))
        .await;
    assert_eq!(once.expect(201)["uuid"], twice.expect(201)["uuid"]);
    let other = json!({ "name": "other", "cloud": "source", "tenant": home(&stage), "source_instance": instance.server });
    let reused = client
        .with(Method::POST, DR_BACKUPS, &headers, Some(&other.to_string()))
        .await;
    assert_eq!(reused.expect(409)["reason"], "REQUEST_ID_REUSED");
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", ""),
    ];
    let bad = client
        .with(Method::POST, DR_BACKUPS, &headers, Some(&body.to_string()))
        .await;
    assert_eq!(bad.bad_fields(), ["Idempotency-Key"]);
}

impl Client {
    /// Sends a request that has this key.
    async fn keyed(&self, method: Method, path: &str, key: &str, body: &Value) -> Value {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let reply = self
            .with(method, path, &headers, Some(&body.to_string()))
            .await;
        assert!(
            (200..300).contains(&reply.status),
            "{path} {key}: {reply:?}"
        );
        serde_json::from_str(&reply.text).unwrap_or_default()
    }
}

/// Every request that both doors know: the client's words, and where and what the same is in JSON. `ID` is what
/// the last creation made, `HOME` and `AWAY` are the tenants, `SHOP` is the server.
const BOTH: &[(&str, &str, &str)] = &[
    (
        "backup create shop --cloud source --tenant demo --name friday --description a",
        "POST /api/openstack-dr-backups/",
        r#"{"cloud": "source", "tenant": "HOME", "source_instance": "SHOP", "name": "friday", "description": "a"}"#,
    ),
    (
        "backup update ID --description b --keep-until 2100-01-01T00:00:00Z --hold",
        "PATCH /api/openstack-dr-backups/ID/",
        r#"{"description": "b", "kept_until": "2100-01-01T00:00:00Z", "held": true}"#,
    ),
    (
        "backup update ID --release",
        "PATCH /api/openstack-dr-backups/ID/",
        r#"{"held": false}"#,
    ),
    (
        "restoration create ID --cloud dr --tenant demo --name again",
        "POST /api/openstack-dr-backup-restorations/",
        r#"{"backup": "ID", "cloud": "dr", "tenant": "AWAY", "name": "again"}"#,
    ),
    (
        "regular-backup create shop --cloud source --tenant demo --name noon",
        "POST /api/openstack-backups/",
        r#"{"cloud": "source", "tenant": "HOME", "instance": "SHOP", "name": "noon"}"#,
    ),
    (
        "regular-backup update ID --name night --keep-for-ever",
        "PATCH /api/openstack-backups/ID/",
        r#"{"name": "night", "kept_until": null}"#,
    ),
    (
        "regular-backup delete ID",
        "DELETE /api/openstack-backups/ID/",
        "{}",
    ),
    (
        "schedule create shop --cloud source --tenant demo --name nightly --schedule @daily --backup-type dr --keep-days 7 --keep-at-most 9",
        "POST /api/openstack-backup-schedules/",
        r#"{"cloud": "source", "tenant": "HOME", "instance": "SHOP", "name": "nightly", "schedule": "@daily",
            "backup_type": "DR", "timezone": "UTC", "retention_time": 7, "maximal_number_of_resources": 9,
            "is_active": true}"#,
    ),
    (
        "schedule update ID --description c --time-zone Europe/Berlin --schedule @hourly",
        "PATCH /api/openstack-backup-schedules/ID/",
        r#"{"schedule": "@hourly", "timezone": "Europe/Berlin", "description": "c"}"#,
    ),
    (
        "schedule deactivate ID",
        "POST /api/openstack-backup-schedules/ID/deactivate/",
        "{}",
    ),
    (
        "schedule activate ID",
        "POST /api/openstack-backup-schedules/ID/activate/",
        "{}",
    ),
    (
        "schedule delete ID",
        "DELETE /api/openstack-backup-schedules/ID/",
        "{}",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn both_doors_take_a_repeat_for_the_same_request() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let server = stage.instance("shop", &[1]).server;
    let away = stage.dr.project_id("demo").expect("a project");
    // Whichever of the two doors hears it first.
    for json_first in [false, true] {
        let mut id = String::new();
        for (number, (words, request, body)) in BOTH.iter().enumerate() {
            let key = format!("{number}-{json_first}");
            let said = |text: &str| {
                text.replace("ID", &id)
                    .replace("HOME", &home(&stage))
                    .replace("AWAY", &away)
                    .replace("SHOP", &server)
            };
            let words = format!("{} --request-id {key}", said(words));
            let (request, body) = (said(request), said(body));
            let (method, path) = request.split_once(' ').expect("both");
            let method: Method = method.parse().expect("a method");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let in_json = async || client.keyed(method.clone(), path, &key, &body).await;
            let first = if json_first {
                Some(in_json().await)
            } else {
                None
            };
            let told = stage.json(&words).await;
            // Again, when everything is at rest and the resource has changed or gone.
            let again = in_json().await;
            for told_in_json in first.iter().chain([&again]) {
                if let Some(uuid) = told_in_json["uuid"].as_str() {
                    assert_eq!(told["id"], uuid, "{words}");
                }
            }
            if words.contains("create") {
                told["id"].as_str().expect("an id").clone_into(&mut id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_no_more_say_where_they_went_and_others_what_they_have() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    for (noun, restorations) in [(DR_BACKUPS, DR_RESTORATIONS), (BACKUPS, RESTORATIONS)] {
        let one = format!("{noun}{NOBODY}/");
        for (word, successor) in [("delete", one.as_str()), ("restore", restorations)] {
            let went = client.ask(Method::POST, &format!("{one}{word}/")).await;
            assert_eq!(
                went.header("link"),
                format!("<{successor}>; rel=\"successor-version\"")
            );
            assert!(
                went.expect(410)["guidance"]
                    .as_str()
                    .expect("text")
                    .contains(successor)
            );
        }
    }
    for path in [
        "/api/",
        "/api/openstack-dr-backups",
        "/api/nothing/",
        "/api/openstack-dr-backups/7/",
    ] {
        let nowhere = client.get(path).await.expect(404);
        assert_eq!(nowhere["reason"], "NOT_FOUND", "{path}");
    }
    for (path, allowed) in [
        (DR_BACKUPS.to_owned(), "GET,HEAD,POST"),
        (format!("{DR_RESTORATIONS}{NOBODY}/"), "GET,HEAD"),
        (format!("{SCHEDULES}{NOBODY}/activate/"), "POST"),
        ("/metrics".to_owned(), "GET,HEAD"),
    ] {
        let refused = client.ask(Method::DELETE, &path).await;
        assert_eq!(refused.header("allow"), allowed, "{path}");
        refused.expect(405);
    }
    let document = client.get("/api/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_are_refused_and_grpc_is_not_for_http_1() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    for header in [
        ("origin", "http://127.0.0.1"),
        ("sec-fetch-site", "same-origin"),
        ("host", "rebound.example"),
    ] {
        for path in [DR_BACKUPS, "/metrics"] {
            let refused = client.with(Method::GET, path, &[header], None).await;
            assert_eq!(
                refused.expect(403)["reason"],
                "FROM_A_BROWSER",
                "{header:?}"
            );
        }
    }
    let call = "/drbackup.v1.DRBackupService/ListDRBackups";
    let plain = [("content-type", "text/plain")];
    let refused = client
        .with(Method::POST, call, &plain, Some("\0\0\0\0\0"))
        .await;
    assert_eq!(refused.expect(426)["reason"], "HTTP_2_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_answers_both_and_the_metrics_change_with_the_work() {
    let mut stage = Stage::set(Times::instant()).await;
    stage.terminate().await;
    stage.set_variable("DRBACKUP_ORPHANS__EVERY", "1s");
    stage.serve().await;
    let client = Client::of(&stage);
    stage.instance("shop", &[1]);
    let value = async |line: &str| -> u64 {
        let told = client.get("/metrics").await;
        assert_eq!(told.status, 200, "{told:?}");
        assert!(
            told.header("content-type")
                .starts_with("application/openmetrics-text; version=1.0.0")
        );
        let mut lines = told.text.lines();
        let found = lines.find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_default()
    };
    let ended = "drbackup_operations_ended_total{kind=\"create_dr_backup\",outcome=\"done\"}";
    let written =
        "drbackup_cloud_calls_total{cloud=\"source\",method=\"write\",outcome=\"success\"}";
    assert_eq!((value(ended).await, value(written).await), (0, 0));
    // By gRPC, as the command line speaks it, on the same port.
    let made = stage
        .json("backup create shop -c source -t demo --name friday")
        .await;
    until(|| async { (value(ended).await == 1).then_some(()) }).await;
    let operations =
        "drbackup_operation_duration_seconds_count{kind=\"create_dr_backup\",outcome=\"done\"}";
    assert_eq!(value(operations).await, 1);
    let calls = "drbackup_cloud_call_duration_seconds_count{cloud=\"source\",service=\"cinder\"}";
    assert!(value(calls).await >= 3);
    assert!(value(written).await >= 3);
    let one = format!("{DR_BACKUPS}{}/", made["id"].as_str().expect("an id"));
    assert_eq!(client.get(&one).await.expect(200)["name"], "friday");

    let schedule = stage
        .json("schedule create shop -c source -t demo --schedule @daily --name nightly")
        .await;
    let id = schedule["id"].as_str().expect("an id");
    stage.json(&format!("schedule run {id}")).await;
    assert_eq!(
        value("drbackup_schedule_runs_total{outcome=\"started\"}").await,
        1
    );
    until(|| async {
        let succeeded = value("drbackup_schedule_runs_total{outcome=\"succeeded\"}").await;
        (succeeded == 1).then_some(())
    })
    .await;
    let sweeps = until(|| async {
        let told = client.get("/metrics").await.text;
        told.contains("drbackup_orphans{cloud=\"source\",kind=\"volume_backup\"} 0")
            .then_some(told)
    });
    assert!(
        sweeps
            .await
            .contains("drbackup_orphan_sweeps_failed{cloud=\"source\"} 0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_cloud_that_does_not_answer_is_counted() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let silent = Rule::any(Action::ResetBefore);
    stage.source.fault(silent).expect("a fault");
    client
        .post(DR_BACKUPS, &wanted(&stage, &instance.server))
        .await
        .expect(201);
    let told = until(|| async {
        let told = client.get("/metrics").await.text;
        let waiting = "drbackup_operations_waiting{cloud=\"source\"} 1";
        told.contains(waiting).then_some(told)
    });
    let under_way = "drbackup_operations_under_way{cloud=\"source\",kind=\"create_dr_backup\"} 1";
    assert!(told.await.contains(under_way));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_can_be_shut_or_be_elsewhere() {
    let mut stage = Stage::set(Times::instant()).await;
    let shut = Client::of(&stage);
    stage.terminate().await;
    stage.set_variable("DRBACKUP_REST__ENABLED", "false");
    stage.serve().await;
    let refused = shut
        .http
        .get(format!("{}{DR_BACKUPS}", shut.address))
        .send()
        .await;
    assert!(refused.is_err(), "HTTP/1 is not spoken");
    assert_eq!(stage.run("backup list").await.code, 0);

    stage.terminate().await;
    stage.set_variable("DRBACKUP_REST__ENABLED", "true");
    stage.set_variable("DRBACKUP_REST__LISTEN", "127.0.0.1:0");
    stage.serve().await;
    let elsewhere = Client::at(&stage.rest_address);
    assert_ne!(stage.rest_address, stage.address);
    assert_eq!(elsewhere.get(DR_BACKUPS).await.expect(200), json!([]));
    assert_eq!(stage.run("backup list").await.code, 0);
    let (code, _) = stage.terminate().await;
    assert_eq!(code, Some(0));
    let refused = elsewhere
        .http
        .get(format!("{}{DR_BACKUPS}", elsewhere.address))
        .send()
        .await;
    assert!(refused.is_err(), "both doors are shut");

    let mut far = stage.command("serve --listen 127.0.0.1:0");
    far.env("DRBACKUP_REST__LISTEN", "0.0.0.0:0");
    let far = crate::stage::finish(far).await;
    assert_eq!(far.code, 2, "{far:?}");
    assert!(far.stderr.contains("rest.listen"), "{far:?}");
}

/// The addresses at which `method` takes fields that name a cloud, by the document of the door.
fn scoped(method: &str) -> Vec<String> {
    let document = drbackup::rest::server::document().to_json().expect("JSON");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let paths = document["paths"].as_object().expect("addresses");
    let takes_cloud = |operation: &Value| {
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let schema = body.as_str().and_then(|name| name.rsplit('/').next());
        let schema = schema.map(|name| &document["components"]["schemas"][name]);
        parameters.iter().any(|one| one["name"] == "cloud")
            || schema.is_some_and(|schema| schema["properties"]["cloud"].is_object())
    };
    let found = paths.iter().filter(|(_, item)| takes_cloud(&item[method]));
    found.map(|(path, _)| path.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_answers_about_a_place_that_does_not_exist() {
    let stage = Stage::set(Times::instant()).await;
    let client = Client::of(&stage);
    let instance = stage.instance("shop", &[1]);
    let made = client
        .post(DR_BACKUPS, &wanted(&stage, &instance.server))
        .await;
    let address = made.header("location").to_owned();
    let backup = client.settled(&address).await["uuid"].clone();
    let home = home(&stage);
    let stranger = "f".repeat(32);
    let wrong = [
        ("cloud", "nowhere"),
        ("tenant", stranger.as_str()),
        ("tenant", "demo"),
        ("instance", NOBODY),
    ];

    let lists = scoped("get");
    assert!(lists.len() >= 4, "{lists:?}");
    for path in &lists {
        for (field, value) in wrong {
            let field = match (field, path.as_str()) {
                ("instance", DR_BACKUPS) => "source_instance_uuid",
                ("instance", DR_RESTORATIONS | RESTORATIONS) => continue,
                ("instance", _) => "instance_uuid",
                (other, _) => other,
            };
            let answer = client.get(&format!("{path}?{field}={value}")).await;
            assert!(
                [400, 403, 404].contains(&answer.status),
                "{path} {field}: {answer:?}"
            );
            assert!(answer.text.contains(field), "{path} {field}: {answer:?}");
        }
    }

    let mut schedule = of_instance(&stage, &instance.server);
    schedule["schedule"] = json!("0 2 * * *");
    let bodies = [
        (BACKUPS, of_instance(&stage, &instance.server)),
        (SCHEDULES, schedule),
        (
            DR_RESTORATIONS,
            json!({"backup": backup, "cloud": "source", "tenant": home}),
        ),
        (DR_BACKUPS, wanted(&stage, &instance.server)),
    ];
    let mut known: Vec<&str> = bodies.iter().map(|(path, _)| *path).collect();
    let mut takers = scoped("post");
    known.sort_unstable();
    takers.sort_unstable();
    assert_eq!(takers, known);
    for (path, good) in &bodies {
        for (field, value) in wrong {
            let field = match (field, *path) {
                ("instance", DR_BACKUPS) => "source_instance",
                ("instance", DR_RESTORATIONS) => continue,
                (other, _) => other,
            };
            let mut body = good.clone();
            body[field] = json!(value);
            let answer = client.post(path, &body).await;
            assert!(
                [400, 403, 404].contains(&answer.status),
                "{path} {field}: {answer:?}"
            );
            assert!(answer.text.contains(field), "{path} {field}: {answer:?}");
        }
    }
}
