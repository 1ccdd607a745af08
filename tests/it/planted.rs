//! Secrets that are planted in every door and looked for at every exit: the log at its finest, answers,
//! errors, metrics, the database, and what the words of the domain print; it may not look inside the service.

mod sweep;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use drbackup::{
    api::pb::{self, restoration_service_client::RestorationServiceClient},
    domain::{
        effect::ServerPlan, manifest::Manifest, restoration::RestoreOptions, user_data::UserData,
    },
    openstack::install_crypto,
    port::clock::Clock,
    sim::{Action, ApplicationCredential, Rule, Service, Times},
    store::{
        self,
        seal::{SealKey, Sealer},
    },
};
use regex::Regex;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tonic::{Request, transport::Endpoint};

use crate::{
    postgres,
    stage::{Answer, Stage, finish, until},
    store_contract::still_clock,
};

/// The user data of the instance, before Nova has it in base64.
const OF_INSTANCE: &str = "#!planted/user+data of the instance";
/// The user data that a restoration is given.
const OF_WISH: &str = "#!planted/user+data of the wish";
/// User data that is refused, since it is no base64.
const OF_MISTAKE: &str = "#!planted/user+data in a mistake";
/// The secret of an application credential.
const OF_CREDENTIAL: &str = "planted/application+credential";
/// The password of every user of the simulated clouds.
const OF_CLOUDS: &str = "lab-secret";
/// The password of the database.
const OF_DATABASE: &str = "planted-password-of-the-database";
/// Tokens that are none.
const FORGED: [&str; 3] = [
    "gAAAAABplanted-token",
    "drb_robot_planted-token",
    "planted-service-token",
];

/// What was planted, by its name.
#[derive(Default)]
struct Planted(BTreeMap<String, String>);

impl Planted {
    fn plant(&mut self, name: &str, secret: impl Into<String>) {
        self.0.insert(name.to_owned(), secret.into());
    }

    /// Which of them are in a text, in any spelling, each with how it stands there.
    fn found_in(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (name, secret) in &self.0 {
            for spelling in spellings(secret) {
                if let Some(at) = text.find(&spelling) {
                    let before = text[..at].rfind('\n').map_or(0, |end| end + 1);
                    let line: String = text[before..].chars().take(400).collect();
                    found.push(format!("{name}: {line}"));
                    break;
                }
            }
        }
        found
    }
}

/// A secret as it is, in base64 wherever it begins there, percent-encoded, as JSON escapes it, and as the
/// bytes that a careless `{:?}` prints.
fn spellings(secret: &str) -> BTreeSet<String> {
    let bytes = secret.as_bytes();
    let mut all = BTreeSet::from([secret.to_owned()]);
    for shift in 0..3 {
        let shifted = [&vec![0; shift], bytes].concat();
        let encoded = STANDARD.encode(&shifted);
        let encoded = encoded.trim_end_matches('=');
        // What stands at either end depends on its neighbours.
        let begin = (shift * 8).div_ceil(6);
        let inside = &encoded[begin..encoded.len() - 1];
        all.insert(inside.to_owned());
        all.insert(inside.replace('+', "-").replace('/', "_"));
    }
    let mut percent = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            percent.push(char::from(*byte));
        } else {
            write!(percent, "%{byte:02X}").expect("a string");
        }
    }
    all.insert(percent);
    let quoted = json!(secret).to_string();
    all.insert(quoted.trim_matches('"').to_owned());
    let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    all.insert(numbers.join(", "));
    all
}

/// A life with secrets, and all that was told of it.
struct Life {
    stage: Stage,
    planted: Planted,
    /// What was told, by where.
    told: Vec<(String, String)>,
    robot: String,
    sealer: Arc<Sealer>,
}

impl Life {
    async fn begin(database: Option<String>) -> Self {
        let mut stage = Stage::changed(Times::fast(), database, |config| {
            config.application_credentials = vec![ApplicationCredential {
                id: "app-id".to_owned(),
                name: "app".to_owned(),
                secret: OF_CREDENTIAL.to_owned(),
                user: "demo".to_owned(),
                project: "demo".to_owned(),
            }];
        })
        .await;
        let mut planted = Planted::default();
        planted.plant("password of the clouds", OF_CLOUDS);
        planted.plant("application credential", OF_CREDENTIAL);
        planted.plant("password of the database", OF_DATABASE);
        for (name, data) in [
            ("user data of the instance", OF_INSTANCE),
            ("user data of the wish", OF_WISH),
            ("user data in a mistake", OF_MISTAKE),
        ] {
            planted.plant(name, data);
            planted.plant(&format!("{name}, as Nova has it"), STANDARD.encode(data));
        }
        for forged in FORGED {
            planted.plant(&format!("forged token {forged}"), forged);
        }
        let clouds = stage.path("clouds.yaml");
        let text = fs::read_to_string(&clouds).expect("written before");
        let mut yaml: Value = serde_norway::from_str(&text).expect("YAML");
        let url = yaml["clouds"]["source-demo"]["auth"]["auth_url"].clone();
        yaml["clouds"]["source-demo"]["auth"] = json!({
            "auth_url": url,
            "application_credential_id": "app-id",
            "application_credential_secret": OF_CREDENTIAL,
        });
        yaml["clouds"]["source-demo"]["auth_type"] = json!("v3applicationcredential");
        fs::write(&clouds, yaml.to_string()).expect("written");

        let (robot, hash) = issued(&stage).await;
        planted.plant("token of the configuration", robot.clone());
        let mut keys = Vec::new();
        for name in ["key of sealing in a file", "key of sealing in a variable"] {
            let key = SealKey::random().expect("random numbers");
            planted.plant(name, key.expose_secret());
            keys.push(key);
        }
        let key = stage.path("seal.key");
        fs::write(&key, keys[0].expose_secret()).expect("written");
        stage.set_variable("PLANTED_SEAL_KEY", keys[1].expose_secret());
        stage.set_variable("DRBACKUP_LOG__FILTER", "trace");
        let config = format!(
            "[auth]\nkeystones = [\"source\", \"dr\"]\ncached = \"1s\"\n\
             [[auth.tokens]]\nname = \"robot\"\nhash = \"{hash}\"\ngrants = [{{ role = \"admin\" }}]\n\
             [seal]\nkeys = [{{ file = \"{}\" }}, {{ variable = \"PLANTED_SEAL_KEY\" }}]\n",
            key.display()
        );
        let path = stage.path("server.toml");
        fs::write(&path, config).expect("written");
        stage.add_flags(&["--config", &path.display().to_string()]);
        let keys = keys
            .iter()
            .map(|key| SealKey::parse(key.expose_secret()).expect("a key"));
        let sealer = Arc::new(Sealer::new(keys.collect()));
        Self {
            stage,
            planted,
            told: Vec::new(),
            robot,
            sealer,
        }
    }

    /// A command line of whoever has this token, and what it is told.
    async fn run(&mut self, token: &str, line: &str) -> Answer {
        let answer = self.covered(token, line).await;
        let told = format!("{}\n{}", answer.stdout, answer.stderr);
        self.told.push((line.to_owned(), told));
        answer
    }

    /// The same, of what may be told to nobody else.
    async fn covered(&self, token: &str, line: &str) -> Answer {
        let mut command = self.stage.command(line);
        command.env("DRBACKUP_TOKEN", token);
        finish(command).await
    }

    /// The same, which has to go well.
    async fn done(&mut self, line: &str) -> String {
        let robot = self.robot.clone();
        let answer = self.run(&robot, line).await;
        assert_eq!(answer.code, 0, "{line}: {answer:?}");
        answer.stdout.trim().to_owned()
    }

    /// Has a cloud answer so whatever has `quoted` in it, with a word on that.
    fn refuse(&self, cloud: &str, service: Service, path: &str, quoted: &str) {
        let cloud = if cloud == "dr" {
            &self.stage.dr
        } else {
            &self.stage.source
        };
        let said = format!("no such luck with {quoted}");
        let (status, body) = if service == Service::Identity {
            (401, json!({"error": {"code": 401, "message": said}}))
        } else {
            (400, json!({"badRequest": {"code": 400, "message": said}}))
        };
        let answer = Action::Answer {
            status,
            body,
            headers: Vec::new(),
            acted: false,
        };
        let rule = Rule::on(service, "POST", path, answer).with_body(quoted);
        cloud.fault(rule).expect("a rule");
    }

    /// An instance is lost and brought back, not at once and not without mistakes.
    async fn live(&mut self) {
        let shop = self.stage.instance("shop", &[1]).server;
        let data = json!(STANDARD.encode(OF_INSTANCE));
        let name = "OS-EXT-SRV-ATTR:user_data";
        let dressed = self.stage.source.set_attribute(&shop, name, data);
        dressed.expect("an instance");
        self.done("backup create shop -c source -t demo --name friday -q")
            .await;
        self.done("regular create shop -c source -t demo --name noon -q")
            .await;
        for line in [
            "backup get friday",
            "backup get friday -o json",
            "backup list -o wide",
            "regular get noon -o yaml",
            "cloud instance shop -c source -t demo -o json",
            "cloud list -o json",
            "orphan list -c source -t demo",
        ] {
            self.done(line).await;
        }
        for line in [
            "backup get friday --include-sensitive -o json",
            "cloud instance shop -c source -t demo --include-sensitive -o json",
        ] {
            let answer = self.covered(&self.robot, line).await;
            let seen = answer.stdout.contains(&STANDARD.encode(OF_INSTANCE));
            assert!(seen, "who may is told: {answer:?}");
        }
        self.restore().await;
        self.be_refused(&shop).await;
        self.done("regular delete noon -q").await;
        self.done("backup delete friday -q").await;
    }

    async fn restore(&mut self) {
        let file = self.stage.path("user-data");
        fs::write(&file, OF_WISH).expect("written");
        let create = format!(
            "restoration create friday -c dr -t demo --network internal=internal --user-data {}",
            file.display()
        );
        let quoted = STANDARD.encode(OF_WISH);
        self.refuse("dr", Service::Compute, "/servers$", &quoted);
        self.done(&format!("{create} --name unlucky --no-wait -q"))
            .await;
        let stage = &self.stage;
        let line = "restoration get unlucky -o json";
        let held = until(|| async {
            let answer = self.covered(&self.robot, line).await;
            let text = format!("{}{}", answer.stdout, answer.stderr);
            text.contains("no such luck").then_some(text)
        })
        .await;
        stage.dr.faults_clear();
        self.told.push(("a refusal that quotes".to_owned(), held));
        self.done("restoration cancel unlucky -q").await;
        self.done(&format!("{create} --name lucky -q")).await;
        self.done("restoration get lucky -o json").await;
        self.done("restoration instance lucky -o json").await;
        self.done("restoration delete lucky --instance -q").await;
    }

    /// Wrong tokens, wrong words, and a Keystone that quotes what it was sent.
    async fn be_refused(&mut self, shop: &str) {
        let token = |user: &str| self.stage.source.token(user, "demo").expect("a role");
        let (reader, operator) = (token("auditor"), token("operator"));
        for token in [&reader, &operator] {
            self.planted.plant(&format!("token {token}"), token.clone());
        }
        let covered = "backup get friday --include-sensitive";
        assert_ne!(self.run(&reader, covered).await.code, 0);
        assert_eq!(self.run(&reader, "backup get friday -o json").await.code, 0);
        for forged in FORGED {
            assert_ne!(self.run(forged, "backup list").await.code, 0);
        }
        install_crypto();
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let dr_backups = format!("{}/api/openstack-dr-backups/", self.stage.address);
        let ready = format!("{}/readyz", self.stage.ops_address);
        let metrics = format!("{}/metrics", self.stage.ops_address);
        for (url, token) in [
            (&dr_backups, reader.as_str()),
            (&dr_backups, operator.as_str()),
            (&dr_backups, FORGED[0]),
            (&dr_backups, FORGED[1]),
            (&ready, ""),
        ] {
            let asked = http.get(url).header("x-auth-token", token);
            let asked = asked.header("x-service-token", FORGED[2]).send().await;
            let text = asked.expect("an answer").text().await.expect("text");
            self.told.push((format!("GET {url}"), text));
        }
        let page = format!("{dr_backups}?page_token={}", STANDARD.encode(OF_MISTAKE));
        let wrong =
            json!({"source_instance": shop, "cloud": [OF_MISTAKE], "user_data": OF_MISTAKE});
        for asked in [http.get(&page), http.post(&dr_backups).json(&wrong)] {
            let asked = asked.header("x-auth-token", &operator).send().await;
            let text = asked.expect("an answer").text().await.expect("text");
            // Whoever sent it may read it; nobody else may.
            drop(text);
        }
        self.ask_wrongly(&operator).await;

        for quoted in [OF_CLOUDS, OF_CREDENTIAL] {
            self.refuse("source", Service::Identity, "/auth/tokens", quoted);
        }
        self.stage.source.revoke_tokens();
        for line in ["cloud list -o json", "cloud instances -c source -t demo"] {
            let robot = self.robot.clone();
            let answer = self.run(&robot, line).await;
            let told = format!("{}{}", answer.stdout, answer.stderr);
            assert!(
                told.contains("no such luck with [hidden]"),
                "{line}: {told}"
            );
        }
        self.stage.source.faults_clear();
        let told = http.get(&metrics).send().await.expect("an answer");
        let told = told.text().await.expect("text");
        assert!(told.contains("drbackup_user_data_sealed 1"), "{told}");
        self.told.push(("metrics".to_owned(), told));
    }

    async fn ask_wrongly(&mut self, token: &str) {
        let channel = Endpoint::from_shared(self.stage.address.clone()).expect("an address");
        let channel = channel.connect().await.expect("connected");
        let mut client = RestorationServiceClient::new(channel);
        for data in [OF_MISTAKE.to_owned(), STANDARD.encode(OF_MISTAKE)] {
            let mut request = Request::new(pb::CreateRestorationRequest {
                backup_id: "none".to_owned(),
                cloud: "source".to_owned(),
                user_data: Some(data),
                ..Default::default()
            });
            let headers = request.metadata_mut();
            let value = format!("Bearer {token}").parse().expect("a header");
            headers.insert("authorization", value);
            headers.insert("x-service-token", FORGED[2].parse().expect("a header"));
            let refused = client.create_restoration(request).await;
            let refused = format!("{:?}", refused.expect_err("no such backup"));
            self.told.push(("CreateRestoration".to_owned(), refused));
        }
    }

    /// What of it lies at an exit.
    fn assert_untold(&self, exit: &str, text: &str) {
        let found = self.planted.found_in(text);
        assert!(found.is_empty(), "{exit}:\n{}", found.join("\n"));
        let token = Regex::new("gAAAA[0-9a-f]{20}").expect("a pattern");
        let found = token.find(text).map(|found| found.as_str());
        assert_eq!(found, None, "a token of a Keystone in {exit}");
    }

    /// Ends it, and looks at all that was told.
    async fn end(&mut self, url: &str, stolen: impl Fn(&Stage) -> String) {
        // Also while everything is still there.
        self.assert_untold("the database at work", &stolen(&self.stage));
        let (code, log) = self.stage.terminate().await;
        assert_eq!(code, Some(0));
        let clock: Arc<dyn Clock> = still_clock();
        let opened = store::open(store::Config {
            sealer: Arc::clone(&self.sealer),
            ..store::Config::new(url, clock)
        });
        let key = opened.await.expect("it opens").page_key().await;
        let key = key.expect("a key").bytes().to_vec();
        let key = String::from_utf8(key).expect("text");
        self.planted.plant("key of page tokens", key);

        let levels = |level: &str| log.iter().filter(|line| line.contains(level)).count();
        assert!(levels("\"TRACE\"") > 1_000, "the log is at its finest");
        self.assert_untold("the log", &log.join("\n"));
        for (exit, text) in &self.told {
            self.assert_untold(exit, text);
        }
        self.assert_untold("the database", &stolen(&self.stage));
    }
}

/// A token of the configuration, and its hash.
async fn issued(stage: &Stage) -> (String, String) {
    let answer = stage.run("token robot").await;
    let part = |pattern: &str| {
        let pattern = Regex::new(pattern).expect("a pattern");
        let found = pattern.captures(&answer.stdout).expect("it is told");
        found[1].to_owned()
    };
    (part("(drb_robot_\\S+)"), part("hash = \"(.+)\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_planted_is_told_with_sqlite() {
    let mut life = Life::begin(None).await;
    life.stage.serve().await;
    life.live().await;
    let url = format!("sqlite:{}", life.stage.path("drbackup.db").display());
    life.end(&url, |stage| {
        let files = ["drbackup.db", "drbackup.db-wal"].map(|name| fs::read(stage.path(name)));
        let bytes = files.into_iter().flatten().flatten().collect::<Vec<u8>>();
        assert!(!bytes.is_empty());
        String::from_utf8_lossy(&bytes).into_owned()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_planted_is_told_with_postgresql() {
    let url = postgres::database();
    let database = url.rsplit('/').next().expect("a name").to_owned();
    // The server of the tests lets everybody in, whatever the password.
    let with_password = url.replace("postgres@", &format!("postgres:{OF_DATABASE}@"));
    let mut life = Life::begin(Some(with_password)).await;
    life.stage.serve().await;
    life.live().await;
    let shown = life.stage.run("serve --show-config").await;
    life.told
        .push(("serve --show-config".to_owned(), shown.stdout));
    life.end(&url, |_| postgres::server().dump(&database)).await;
}

#[test]
fn the_words_of_the_domain_print_no_user_data() {
    let data = || Some(UserData::new(STANDARD.encode(OF_WISH)));
    let options = RestoreOptions {
        user_data: data(),
        ..RestoreOptions::default()
    };
    let plan: ServerPlan = serde_json::from_value(json!({
        "name": "a", "description": "", "flavor": "f", "disks": [], "ports": [], "key_name": null,
        "availability_zone": null, "config_drive": false, "metadata": {}, "tags": [],
        "user_data": STANDARD.encode(OF_WISH),
    }))
    .expect("a plan");
    let manifest: Manifest = serde_json::from_value(json!({
        "tenant": {"cloud": "c", "project": "p"}, "server": "s", "name": "a", "description": "",
        "status": "ACTIVE", "root_is_volume": true, "image": null, "volumes": [], "ports": [],
        "flavor": {"id": null, "name": "f", "cores": 1, "ram_mib": 1, "disk_gib": 1,
            "ephemeral_gib": 0, "swap_mib": 0, "properties": {}},
        "security_groups": [], "key": null, "availability_zone": null, "server_group": null,
        "config_drive": false, "metadata": {}, "tags": [], "gaps": [],
        "user_data": STANDARD.encode(OF_WISH),
    }))
    .expect("a manifest");
    let mut planted = Planted::default();
    planted.plant("user data", OF_WISH);
    planted.plant("user data, as Nova has it", STANDARD.encode(OF_WISH));
    let printed = format!("{options:?} {options:#?} {plan:?} {manifest:?}");
    assert_eq!(planted.found_in(&printed), [""; 0]);
    assert_eq!(printed.matches("[redacted]").count(), 4);
    let stored = serde_json::to_string(&options).expect("JSON");
    assert_eq!(
        planted.found_in(&stored).len(),
        2,
        "it is found where it is"
    );
}

#[test]
fn a_secret_is_found_in_every_spelling() {
    let mut planted = Planted::default();
    planted.plant("it", OF_CREDENTIAL);
    for text in [
        format!("x{OF_CREDENTIAL}y"),
        STANDARD.encode(format!("{{\"a\": \"{OF_CREDENTIAL}\"}}")),
        STANDARD.encode(format!("..{OF_CREDENTIAL}.")),
        "planted%2Fapplication%2Bcredential".to_owned(),
        format!("{:?}", format!("<{OF_CREDENTIAL}>").as_bytes()),
    ] {
        assert_eq!(planted.found_in(&text).len(), 1, "{text}");
    }
    assert_eq!(planted.found_in("planted").len(), 0);
}
