//! What is asked for through REST: changed, refused by the names of its fields, repeated.

use drbackup::sim::Times;
use http::Method;
use serde_json::{Value, json};

use super::{
    BACKUPS, Client, DR_BACKUPS, DR_RESTORATIONS, NOBODY, RESTORATIONS, SCHEDULES, home,
    of_instance, url, wanted,
};
use crate::stage::Stage;

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
