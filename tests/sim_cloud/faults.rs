//! What trouble it can make: answers that are lost, late or spoiled, and a cloud that is away.

use std::time::Duration;

use drbackup::sim::{Action, InstanceSpec, Kind, Rule, Service};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Outcome, Person, cloud, id};

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
