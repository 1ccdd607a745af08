//! Lists and addresses of REST: narrowed, paged, moved, of places that do not exist.

use drbackup::sim::Times;
use http::Method;
use serde_json::{Value, json};

use super::{
    BACKUPS, Client, DR_BACKUPS, DR_RESTORATIONS, NOBODY, RESTORATIONS, SCHEDULES, home,
    of_instance, wanted,
};
use crate::stage::Stage;

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
