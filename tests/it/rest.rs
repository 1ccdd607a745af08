//! The REST door from outside: JSON over HTTP, as a client of the original speaks it.

mod addresses;
mod listener;
mod requests;

use drbackup::sim::Times;
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
