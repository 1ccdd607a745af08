//! A disaster in under a minute, all in this process: two simulated clouds and the service, driven
//! through the real API by the commands that a person would type; it may not know a short cut.

use std::time::{Duration, Instant};

use clap::{Args, Parser as _};
use serde_json::Value;

use super::{
    arguments::{Arguments, Command},
    compare,
    config::{self, Config, OpsSettings, Scratch},
    log,
    serve::{self, Running, asked_to_stop},
    sim::{NETWORK, broken},
};
use crate::{
    cli::{
        self,
        failure::{Exit, Failure},
        out::Out,
    },
    engine::EngineSettings,
    openstack::config::{CloudMapping, Environment},
    sim::{self, InstanceSpec, LoggedRequest, Pair, Times},
};

/// How to demonstrate.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Stay up afterwards, to try things on, until Ctrl-C
    #[arg(long)]
    stay: bool,
    /// Without waiting where a real cloud would take its time
    #[arg(long)]
    fast: bool,
}

/// The instance that is lost and comes back.
const INSTANCE: &str = "shop";
/// The sizes of its volumes in GiB.
const VOLUMES: [u64; 3] = [1, 1, 2];
/// The name of its DR backup.
const BACKUP: &str = "friday";

/// Tells the story; a volume or a setting that differs in the end is a failure.
pub(super) async fn run(demo: Demo, out: &mut Out) -> Result<(), Failure> {
    let asked = asked_to_stop()?;
    let stay = demo.stay;
    let stage = Stage::set(&demo).await?;
    let played = tokio::select! {
        played = Box::pin(stage.play(out)) => played,
        _signal = asked => Err(Failure::Interrupted("stopped".to_owned())),
    };
    if stay && played.is_ok() {
        out.line("\nThe service and both clouds stay up until Ctrl-C.")?;
        asked_to_stop()?.await;
    }
    let left = stage.leave().await;
    played.and(left)
}

/// The clouds and the service.
struct Stage {
    clouds: Pair,
    service: Running,
    /// Goes last: the service keeps its database there.
    scratch: Scratch,
}

impl Stage {
    async fn set(demo: &Demo) -> Result<Self, Failure> {
        let scratch = Scratch::new()?;
        log::start_in_file(&scratch.file("log"), "info")?;
        let times = if demo.fast { Times::fast() } else { brisk() };
        let clouds = sim::run(sim::Config::pair(times).into())
            .await
            .map_err(|error| broken(&error))?;
        for cloud in &clouds.clouds {
            cloud
                .create_network("demo", NETWORK)
                .map_err(|error| broken(&error))?;
        }
        let file = scratch.file("clouds.yaml");
        config::write_private(&file, &clouds.clouds_yaml)?;
        let mut environment = Environment::default();
        environment.variables.insert(
            "OS_CLIENT_CONFIG_FILE".to_owned(),
            file.display().to_string(),
        );
        let mapping = |name: &str| CloudMapping {
            name: name.to_owned(),
            entries: vec![format!("{name}-demo")],
            admin: Some(format!("{name}-admin")),
        };
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database: format!("sqlite:{}", scratch.file("drbackup.db").display()),
            clouds: vec![mapping("source"), mapping("dr")],
            engine: eager(),
            // Nobody else asks whether to come here, or how it goes.
            ops: OpsSettings {
                listen: String::new(),
                ..OpsSettings::default()
            },
            stop_notice: Duration::from_millis(1),
            ..Config::default()
        };
        let service = serve::start(config, &environment).await?;
        Ok(Self {
            clouds,
            service,
            scratch,
        })
    }

    async fn leave(self) -> Result<(), Failure> {
        let Self {
            clouds,
            service,
            scratch,
        } = self;
        service.stop().await?;
        for cloud in &clouds.clouds {
            cloud.stop().await;
        }
        drop(scratch);
        Ok(())
    }

    async fn play(&self, out: &mut Out) -> Result<(), Failure> {
        let [source, dr] = self.clouds.clouds.as_slice() else {
            return Err(Failure::Local(
                "the simulation: two clouds were asked for".to_owned(),
            ));
        };
        let begun = Instant::now();
        out.line("A disaster in under a minute: two simulated OpenStack clouds and the service, all in this process.\n")?;
        let made = source
            .create_instance(&InstanceSpec::new(INSTANCE, &VOLUMES))
            .map_err(|error| broken(&error))?;
        out.line(&format!("  cloud source  {}", source.auth_url()))?;
        out.line(&format!(
            "  cloud dr      {}  (another deployment; only the backup store is shared)",
            dr.auth_url()
        ))?;
        out.line(&format!("  service       http://{}", self.service.address))?;
        out.line(&format!(
            "  instance      {INSTANCE} ({}) in cloud source, {} volumes with random bytes",
            made.server,
            VOLUMES.len()
        ))?;
        let mut before = Vec::new();
        for volume in &made.volumes {
            before.push((
                volume.clone(),
                source
                    .volume_digest(volume)
                    .map_err(|error| broken(&error))?,
            ));
        }
        let was = self
            .ask(&format!(
                "cloud instance {INSTANCE} --cloud source --tenant demo --include-sensitive"
            ))
            .await?;

        self.act(
            out,
            &format!("backup create {INSTANCE} --cloud source --tenant demo --name {BACKUP}"),
            &[source, dr],
        )
        .await?;
        source.stop().await;
        out.line("\nCloud source is switched off.")?;
        match self
            .ask("cloud instances --cloud source --tenant demo")
            .await
        {
            Err(failure) if failure.exit() == Exit::Unavailable => {}
            Err(failure) => return Err(failure),
            Ok(_) => return Err(Failure::Local("cloud source still answers".to_owned())),
        }
        let restoration = self
            .act(
                out,
                &format!("restoration create {BACKUP} --cloud dr --tenant demo"),
                &[source, dr],
            )
            .await?;

        out.line("\nComparing what was with what is:")?;
        let id = restoration["id"].as_str().unwrap_or_default();
        let is = self
            .ask(&format!("restoration instance {id} --include-sensitive"))
            .await?;
        let mut differences = compare::instances(&was["manifest"], &is["manifest"]);
        for (volume, digest) in &before {
            let restored = compare::restored_volume(&restoration, volume);
            let now = match restored {
                Some(restored) => dr.volume_digest(restored).map_err(|error| broken(&error))?,
                None => "nothing".to_owned(),
            };
            let mark = if now == *digest { "equal" } else { "DIFFERENT" };
            let name = compare::volume_name(&was["manifest"], volume);
            out.line(&format!(
                "  volume {name}  bytes {digest:.16} -> {now:.16}  {mark}"
            ))?;
            if now != *digest {
                differences.push(format!("volume {name}: its bytes differ"));
            }
        }
        out.line(&format!(
            "  server {}  {}",
            is["serverId"].as_str().unwrap_or_default(),
            is["status"].as_str().unwrap_or_default()
        ))?;
        if !differences.is_empty() {
            return Err(Failure::Local(format!(
                "the instance did not come back as it was:\n  {}",
                differences.join("\n  ")
            )));
        }
        out.line(&format!("  {}: equal", compare::COMPARED.join(", ")))?;
        out.line(&format!(
            "\nThe instance is back in cloud dr after {:.1} s in all, byte for byte, without its old cloud.",
            begun.elapsed().as_secs_f64()
        ))?;
        out.answer(NEXT)
    }

    /// Carries out a command that starts work, in front of the audience.
    async fn act(
        &self,
        out: &mut Out,
        command: &str,
        clouds: &[&sim::Cloud],
    ) -> Result<Value, Failure> {
        out.line(&format!("\n$ drbackup {command}"))?;
        for cloud in clouds {
            cloud.clear_requests();
        }
        let begun = Instant::now();
        let answer = self.ask(command).await?;
        let calls: Vec<LoggedRequest> = clouds.iter().flat_map(|cloud| cloud.requests()).collect();
        let reads = calls.iter().filter(|call| call.method == "GET").count();
        out.line(&format!(
            "{} after {:.1} s: {} ({reads} reads and {} writes of OpenStack)",
            answer["state"]
                .as_str()
                .unwrap_or_default()
                .trim_start_matches("STATE_"),
            begun.elapsed().as_secs_f64(),
            answer["id"].as_str().unwrap_or_default(),
            calls.len() - reads,
        ))?;
        Ok(answer)
    }

    /// Carries out a command and returns its answer.
    async fn ask(&self, command: &str) -> Result<Value, Failure> {
        let line = format!(
            "drbackup {command} --address http://{} --output json",
            self.service.address
        );
        let arguments = Arguments::try_parse_from(line.split(' '))
            .map_err(|error| Failure::Local(error.to_string()))?;
        let Command::Ask(verb) = arguments.command else {
            return Err(Failure::Local(format!("{command} asks nothing")));
        };
        let (mut out, kept) = Out::kept();
        Box::pin(cli::run(*verb, &mut out)).await?;
        serde_json::from_str(&kept.text())
            .map_err(|error| Failure::Local(format!("the answer is no JSON: {error}")))
    }
}

/// Long enough to see what happens, short enough to wait for.
fn brisk() -> Times {
    let millis = Duration::from_millis;
    Times {
        api_latency: millis(10),
        volume_create: millis(300),
        snapshot_create: millis(500),
        snapshot_delete: millis(300),
        backup_base: millis(1500),
        backup_gib: millis(1200),
        backup_import: millis(300),
        restore_base: millis(800),
        restore_gib: millis(900),
        server_boot: millis(2000),
        ..Times::realistic()
    }
}

/// Looks often, because the clouds are quick.
fn eager() -> EngineSettings {
    EngineSettings {
        observe_first: Duration::from_millis(200),
        observe_min: Duration::from_millis(200),
        observe_max: Duration::from_secs(2),
        settle: Duration::from_secs(1),
        ..EngineSettings::default()
    }
}

/// What a user would do next.
const NEXT: &str = r#"
Next, the same by hand, in three terminals:

  drbackup sim --write-clouds-yaml clouds.yaml --instance shop=1,1,2
  drbackup serve --clouds-file clouds.yaml --cloud source=source-demo --admin source=source-admin \
                 --cloud dr=dr-demo --admin dr=dr-admin
  drbackup cloud instances --cloud source --tenant demo
  drbackup backup create shop --cloud source --tenant demo --name friday
  drbackup restoration create friday --cloud dr --tenant demo --flavor m1.small

The same API from any language, with reflection, so no file is needed:

  grpcurl -plaintext 127.0.0.1:7447 describe drbackup.v1.DRBackupService
  grpcurl -plaintext -d '{"filter": "state = OK"}' \
          127.0.0.1:7447 drbackup.v1.DRBackupService/ListDRBackups
  buf curl --protocol grpc --http2-prior-knowledge -d '{"id": "ID", "untilSettled": true}' \
          http://127.0.0.1:7447/drbackup.v1.DRBackupService/WatchDRBackup

With your own clouds: leave out the first line, name your clouds.yaml and its entries in the second.
"#;
