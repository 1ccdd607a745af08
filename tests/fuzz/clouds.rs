//! The answers of clouds: those of simulated ones are kept once, and given again with something done to them; it
//! may not know what is made of an answer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use drbackup::{
    domain::{
        effect::{EffectKind, Make, Request},
        id::{CloudName, ProjectId, Tenant},
    },
    openstack::{
        Clouds as Client, HttpTransport, TransportError,
        config::{CloudMapping, Config, Environment},
        settings::OpenStackSettings,
    },
    sim::{self, InstanceSpec},
};
use http::{HeaderMap, StatusCode};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    cloud_calls::{self, Call, Ids, kind_name},
    corpus, ports,
    run::{Door, Verdict},
    spoil::spoil,
};

/// A request and what it was answered.
#[derive(Clone)]
pub(crate) struct Exchange {
    /// The method and the address.
    asked: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The same, read.
    pub(crate) json: Option<Value>,
}

/// A call and how it went.
struct Recording {
    tenant: Tenant,
    call: Call,
    exchanges: Vec<Arc<Exchange>>,
}

/// An answer of the corpus.
struct Kept {
    name: String,
    /// A part of the addresses that are answered so.
    about: String,
    status: u16,
    body: Vec<u8>,
}

/// Which answers are not as they were.
#[derive(Debug, Clone, Copy)]
enum Spoilt {
    Nothing,
    /// The one after so many others.
    One(usize),
    /// Each of four.
    Many,
    /// Those that the corpus has another one for.
    Kept(usize),
}

/// A call, and what the clouds answer to it.
pub(crate) struct Input {
    recording: usize,
    spoilt: Spoilt,
    /// Of the dice by which it is spoilt.
    seed: u64,
}

/// The client over clouds that answer what they should not.
pub(crate) struct Clouds {
    runtime: Runtime,
    config: Config,
    player: Arc<Player>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to simulated clouds, which keeps what goes over it.
struct Recorder {
    clouds: Vec<sim::Cloud>,
    exchanges: Mutex<Vec<Arc<Exchange>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let host = request.uri().host().unwrap_or_default();
        let cloud = self
            .clouds
            .iter()
            .find(|one| host.starts_with(&format!("{}.", one.name())));
        let asked = format!("{} {}", request.method(), request.uri());
        let answer = cloud
            .expect("a cloud")
            .carry(request)
            .await
            .expect("an answer");
        let exchange = Exchange {
            asked,
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            json: serde_json::from_slice(answer.body()).ok(),
            body: answer.body().clone(),
        };
        locked(&self.exchanges).push(Arc::new(exchange));
        Ok(answer)
    }
}

/// What is under way.
struct Play {
    recording: usize,
    used: Vec<bool>,
    asked: usize,
    spoilt: Spoilt,
    dice: StdRng,
    /// What was answered, where somebody wants to read it.
    told: Option<Vec<String>>,
}

/// Answers from what was kept.
struct Player {
    recordings: Vec<Recording>,
    /// Good answers to what is asked in no recording as it is asked now, by what it looks like.
    alike: HashMap<String, Vec<Arc<Exchange>>>,
    kept: Vec<Kept>,
    play: Mutex<Play>,
}

/// The method and the path of a request, without ids.
fn shape(asked: &str) -> String {
    let (method, url) = asked.split_once(' ').unwrap_or_default();
    let path = url.split('?').next().unwrap_or_default();
    let path = path.splitn(4, '/').nth(3).unwrap_or_default();
    let is_id = |part: &str| {
        part.len() >= 32
            && part
                .chars()
                .all(|one| one.is_ascii_hexdigit() || one == '-')
    };
    let parts = path
        .split('/')
        .map(|part| if is_id(part) { "*" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

impl Player {
    /// What is answered to a request when nothing is done to it.
    fn plain(&self, play: &mut Play, asked: &str) -> Option<Arc<Exchange>> {
        let exchanges = &self.recordings[play.recording].exchanges;
        let same = |index: &usize| exchanges[*index].asked == asked;
        let unused = (0..exchanges.len()).find(|index| same(index) && !play.used[*index]);
        if let Some(index) = unused.or_else(|| (0..exchanges.len()).rfind(same)) {
            play.used[index] = true;
            return Some(Arc::clone(&exchanges[index]));
        }
        let alike = self.alike.get(&shape(asked))?;
        alike.choose(&mut play.dice).cloned()
    }

    fn answer(&self, asked: &str) -> Result<http::Response<Vec<u8>>, TransportError> {
        let mut play = locked(&self.play);
        let plain = self.plain(&mut play, asked);
        let mut exchange = plain.map_or_else(
            || Exchange {
                asked: String::new(),
                status: 404,
                headers: HeaderMap::new(),
                body: br#"{"itemNotFound": {"code": 404, "message": "it is not there"}}"#.to_vec(),
                json: None,
            },
            |plain| Exchange::clone(&plain),
        );
        let number = play.asked;
        play.asked += 1;
        let is_spoilt = match play.spoilt {
            Spoilt::Nothing => false,
            Spoilt::One(one) => one == number,
            Spoilt::Many => play.dice.random_ratio(1, 4),
            Spoilt::Kept(kept) => {
                let kept = &self.kept[kept];
                if asked.contains(&kept.about) {
                    exchange.status = kept.status;
                    exchange.body.clone_from(&kept.body);
                }
                false
            }
        };
        let spoilt = if is_spoilt {
            spoil(&mut play.dice, &mut exchange)
        } else {
            Ok(())
        };
        if let Some(told) = &mut play.told {
            let mark = if is_spoilt { "spoilt" } else { "as it was" };
            let (status, headers) = (exchange.status, &exchange.headers);
            let body = String::from_utf8_lossy(&exchange.body);
            told.push(format!(
                "{asked} ({mark}: {spoilt:?}) -> {status} {headers:?}\n  {body}"
            ));
        }
        spoilt?;
        let mut response = http::Response::new(exchange.body);
        *response.status_mut() = StatusCode::from_u16(exchange.status).expect("a status");
        *response.headers_mut() = exchange.headers;
        Ok(response)
    }
}

#[async_trait]
impl HttpTransport for Player {
    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        self.answer(&format!("{} {}", request.method(), request.uri()))
    }
}

/// The configuration of a pair of clouds.
fn config(clouds: &[sim::Cloud]) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clouds.yaml");
    std::fs::write(&file, sim::clouds_yaml(clouds)).expect("written");
    let variable = (
        "OS_CLIENT_CONFIG_FILE".to_owned(),
        file.display().to_string(),
    );
    let environment = Environment {
        variables: BTreeMap::from([variable]),
        working_directory: folder.path().into(),
        home: None,
    };
    let mappings = ["source", "dr"].map(|name| CloudMapping {
        name: name.to_owned(),
        entries: vec![format!("{name}-demo")],
        admin: Some(format!("{name}-operator")),
    });
    Config::load(&environment, &mappings, OpenStackSettings::default()).expect("a configuration")
}

fn is_taken(request: &Request) -> bool {
    matches!(
        request,
        Request::Make(Make::AcceptTransfer { .. } | Make::TakeSnapshot { .. })
    )
}

/// Calls clouds, and keeps what they answer.
struct Studio<'a> {
    runtime: &'a Runtime,
    recorder: Arc<Recorder>,
    config: Config,
}

impl Studio<'_> {
    fn record(&self, tenant: &Tenant, call: Call) -> (Recording, Option<Value>) {
        let transport: Arc<dyn HttpTransport> = self.recorder.clone();
        let client = Client::with_transport(self.config.clone(), &ports::clock(), &transport);
        let answer = self.runtime.block_on(call.make(&client, tenant));
        for cloud in &self.recorder.clouds {
            cloud.finish_all();
        }
        let exchanges = std::mem::take(&mut *locked(&self.recorder.exchanges));
        let answer = answer.ok().flatten();
        let brought = answer.map(|answer| {
            let fact = serde_json::to_value(answer.fact).expect("JSON");
            serde_json::json!({ "id": answer.cloud_id, "record": fact["record"]["url"] })
        });
        let recording = Recording {
            tenant: tenant.clone(),
            call,
            exchanges,
        };
        (recording, brought)
    }

    /// Has everything made that can be made, and puts it into `ids`.
    fn furnish(&self, tenant: &Tenant, ids: &mut Ids) {
        // Twice: what is made of something comes after it the second time.
        for _ in 0..2 {
            for request in cloud_calls::requests(ids) {
                let word = match request.kind() {
                    // What is taken over is of this kind, and was made before.
                    EffectKind::Make(_) if is_taken(&request) => continue,
                    EffectKind::Make(kind) => kind_name(kind),
                    EffectKind::Read => "record".to_owned(),
                    EffectKind::Import
                    | EffectKind::RestoreInto
                    | EffectKind::Apply
                    | EffectKind::Drop(_) => continue,
                };
                let (_, brought) = self.record(tenant, Call::Perform(Box::new(request)));
                let field = if word == "record" { "record" } else { "id" };
                if let Some(id) = brought.as_ref().and_then(|brought| brought[field].as_str()) {
                    ids.insert(word, id.to_owned());
                }
            }
        }
    }
}

impl Clouds {
    /// The client over what two simulated clouds once answered.
    pub(crate) fn open() -> Self {
        let runtime = crate::grpc::runtime();
        let clouds = sim::Config::pair(sim::Times::instant()).map(|mut config| {
            config.quotas = sim::Quotas::generous();
            sim::Cloud::in_memory(config)
        });
        let clouds = Vec::from(clouds);
        let spec = InstanceSpec {
            kib_of_data: 4,
            ..InstanceSpec::new("shop", &[1, 1])
        };
        let instance = clouds[0].create_instance(&spec).expect("an instance");
        let other = InstanceSpec::new("other", &[1]);
        let other = clouds[1].create_instance(&other).expect("an instance");
        let group = clouds[0]
            .create_group("demo", &instance.volumes, true)
            .expect("a group");
        let tenants = clouds.iter().map(|cloud| Tenant {
            cloud: CloudName::new(cloud.name()),
            project: ProjectId::new(cloud.project_id("demo").expect("a project")),
        });
        let tenants: Vec<Tenant> = tenants.collect();
        let mut ids = Ids::new();
        for (word, id) in [
            ("server", &instance.server),
            ("volume", &instance.volumes[1]),
            ("network", &instance.network),
            ("port", &instance.port),
            ("security_group", &instance.security_group),
            ("key_pair", &instance.keypair),
            ("volume_group", &group),
            ("project", &tenants[0].project.as_str().to_owned()),
            ("token", &clouds[0].token("demo", "demo").expect("a token")),
        ] {
            ids.insert(word.to_owned(), id.clone());
        }
        let config = config(&clouds);
        let recorder = Recorder {
            clouds,
            exchanges: Mutex::default(),
        };
        let studio = Studio {
            runtime: &runtime,
            recorder: Arc::new(recorder),
            config: config.clone(),
        };
        studio.furnish(&tenants[0], &mut ids);
        let mut recordings = Vec::new();
        for tenant in [&tenants[1], &tenants[0]] {
            for call in cloud_calls::calls(&ids) {
                recordings.push(studio.record(tenant, call).0);
            }
        }
        let there = Call::Instance(drbackup::domain::id::ServerId::new(other.server));
        recordings.push(studio.record(&tenants[1], there).0);
        Self {
            runtime,
            config,
            player: Arc::new(player(recordings)),
        }
    }

    fn client(&self) -> Client {
        let transport: Arc<dyn HttpTransport> = self.player.clone();
        Client::with_transport(self.config.clone(), &ports::clock(), &transport)
    }

    /// Makes the call of an input; says what was answered, where that is wanted.
    fn play(&self, input: &Input, is_told: bool) -> (Verdict, Vec<String>) {
        let recording = &self.player.recordings[input.recording];
        *locked(&self.player.play) = Play {
            recording: input.recording,
            used: vec![false; recording.exchanges.len()],
            asked: 0,
            spoilt: input.spoilt,
            dice: StdRng::seed_from_u64(input.seed),
            told: is_told.then(Vec::new),
        };
        // One of its own, so that no answer is remembered from another input.
        let client = self.client();
        let outcome = self
            .runtime
            .block_on(recording.call.make(&client, &recording.tenant));
        let told = locked(&self.player.play).told.take();
        let verdict = match outcome {
            Ok(_) => Verdict::Taken,
            Err(fault) => Verdict::Refused(fault.kind.reason()),
        };
        (verdict, told.unwrap_or_default())
    }
}

fn player(recordings: Vec<Recording>) -> Player {
    let mut alike: HashMap<String, Vec<Arc<Exchange>>> = HashMap::new();
    for exchange in recordings.iter().flat_map(|one| &one.exchanges) {
        let same = alike.entry(shape(&exchange.asked)).or_default();
        let is_new = same.iter().all(|one| one.body != exchange.body);
        if exchange.status < 300 && is_new && same.len() < 8 {
            same.push(Arc::clone(exchange));
        }
    }
    let kept = corpus::kept("clouds", "json").into_iter().map(|one| {
        let told: Value = serde_json::from_str(&one.text).expect("JSON");
        let status = told["status"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        let about = told["about"].as_str().expect("an address").to_owned();
        let body = match &told["body"] {
            // What is no JSON stands there as text.
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        Kept {
            name: one.name,
            about,
            status: status.unwrap_or(200),
            body: body.into_bytes(),
        }
    });
    let play = Play {
        recording: 0,
        used: Vec::new(),
        asked: 0,
        spoilt: Spoilt::Nothing,
        dice: StdRng::seed_from_u64(0),
        told: None,
    };
    Player {
        kept: kept.collect(),
        recordings,
        alike,
        play: Mutex::new(play),
    }
}

impl Door for Clouds {
    type Input = Input;

    fn known(&self) -> Vec<Input> {
        let recordings = || self.player.recordings.iter().enumerate();
        let plain = recordings().map(|(recording, _)| Input {
            recording,
            spoilt: Spoilt::Nothing,
            seed: 0,
        });
        let kept = self
            .player
            .kept
            .iter()
            .enumerate()
            .flat_map(|(index, kept)| {
                let about = move |one: &Recording| {
                    one.exchanges
                        .iter()
                        .any(|one| one.asked.contains(&kept.about))
                };
                let found: Vec<usize> = recordings()
                    .filter(|(_, one)| about(one))
                    .map(|(place, _)| place)
                    .collect();
                assert!(
                    !found.is_empty(),
                    "{}: nobody asks for {}",
                    kept.name,
                    kept.about
                );
                found.into_iter().map(move |recording| Input {
                    recording,
                    spoilt: Spoilt::Kept(index),
                    seed: 0,
                })
            });
        plain.chain(kept).collect()
    }

    fn make(&self, dice: &mut StdRng) -> Input {
        let recording = dice.random_range(0..self.player.recordings.len());
        let exchanges = self.player.recordings[recording].exchanges.len().max(1);
        let spoilt = match dice.random_range(0..32_u8) {
            0 => Spoilt::Nothing,
            1 if !self.player.kept.is_empty() => {
                Spoilt::Kept(dice.random_range(0..self.player.kept.len()))
            }
            1..8 => Spoilt::Many,
            // Rather a later one: the first are those of the login, without which nothing else comes.
            _ => {
                let [one, other] = [0; 2].map(|_| dice.random_range(0..exchanges));
                Spoilt::One(one.max(other))
            }
        };
        Input {
            recording,
            spoilt,
            seed: dice.random(),
        }
    }

    fn ask(&self, input: &Input) -> Verdict {
        self.play(input, false).0
    }

    fn tell(&self, input: &Input) -> String {
        let recording = &self.player.recordings[input.recording];
        // Played again, since nobody takes notes otherwise.
        let played =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.play(input, true).1));
        let told =
            played.unwrap_or_else(|_| locked(&self.player.play).told.take().unwrap_or_default());
        let kept = match input.spoilt {
            Spoilt::Kept(kept) => self.player.kept[kept].name.as_str(),
            Spoilt::Nothing | Spoilt::One(_) | Spoilt::Many => "a recording",
        };
        let (call, tenant, spoilt) = (&recording.call, &recording.tenant, input.spoilt);
        format!(
            "{call:?} in {tenant}, {spoilt:?} of {kept}:\n{}",
            told.join("\n")
        )
    }
}
