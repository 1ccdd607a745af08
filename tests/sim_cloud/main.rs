//! What the simulator claims of OpenStack, and what trouble it can make: every name is a claim that was
//! measured on real clouds or is a fault that real networks have.

mod cinder;
mod faults;
mod nova;

use std::{error::Error, time::Duration};

use drbackup::sim::{ApplicationCredential, Cloud, Config, InstanceSpec, Release, Times, run};
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
