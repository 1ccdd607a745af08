//! Simulated clouds until they are stopped, to try things on; it may not know how they work.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{config, serve::asked_to_stop};
use crate::{
    cli::{failure::Failure, out::Out},
    sim::{self, CloudError, Config, InstanceSpec, Pair, Quotas, Release, Times},
};

/// What to simulate.
#[derive(Debug, Args)]
pub(super) struct Sim {
    /// Names of the clouds, which share one backup store
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "source,dr"
    )]
    clouds: Vec<String>,
    /// Loopback port of the first cloud, the others get the next ones; 0 takes any
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How long things take
    #[arg(long, value_enum, default_value_t = Timing::Realistic)]
    times: Timing,
    /// The release that each cloud imitates, in the order of the names: zed, 2025.1 or 2026.1
    /// [default: zed]
    #[arg(long, value_name = "RELEASE,…", value_delimiter = ',', value_parser = release)]
    releases: Vec<Release>,
    /// Where to write a `clouds.yaml` for them [default: standard output]
    #[arg(long, value_name = "FILE")]
    write_clouds_yaml: Option<PathBuf>,
    /// An instance in project demo of the first cloud, with volumes of these sizes (GiB) and random
    /// bytes; may be repeated
    #[arg(long = "instance", value_name = "NAME=GIB[,GIB]", value_parser = instance)]
    instances: Vec<(String, Vec<u64>)>,
    /// Without the quotas that OpenStack ships with
    #[arg(long)]
    generous: bool,
    /// The same number gives the same ids and bytes [default: a random one]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// How long things take in a simulated cloud.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Timing {
    /// No time at all
    Instant,
    /// A few milliseconds
    Fast,
    /// What was measured on a small real cloud
    Realistic,
}

/// Runs until the process is asked to stop, or every cloud was stopped from outside.
pub(super) async fn run(wanted: Sim, out: &mut Out) -> Result<(), Failure> {
    let asked = asked_to_stop()?;
    let running = start(&wanted).await.map_err(|error| broken(&error))?;
    // A place for the instances, in the first cloud and where they are restored to.
    for cloud in &running.clouds {
        let made = cloud.create_network("demo", NETWORK);
        made.map_err(|error| broken(&error))?;
    }
    if let Some(source) = running.clouds.first() {
        for (name, volumes) in &wanted.instances {
            let made = source.create_instance(&InstanceSpec::new(name, volumes));
            let made = made.map_err(|error| broken(&error))?;
            out.remark(&format!("instance {name}: {}", made.server));
        }
    }
    for cloud in &running.clouds {
        out.remark(&format!("cloud {}: {}", cloud.name(), cloud.auth_url()));
    }
    match &wanted.write_clouds_yaml {
        Some(path) => {
            config::write_private(path, &running.clouds_yaml)?;
            out.remark(&format!(
                "{}\n\n  {}",
                "a service for them:",
                command(&wanted, path)
            ));
        }
        None => out.answer(&running.clouds_yaml)?,
    }
    let all_stopped = async {
        for cloud in &running.clouds {
            cloud.stopped().await;
        }
    };
    tokio::select! {
        _signal = asked => {}
        () = all_stopped => {}
    }
    Ok(())
}

async fn start(wanted: &Sim) -> Result<Pair, CloudError> {
    let times = match wanted.times {
        Timing::Instant => Times::instant(),
        Timing::Fast => Times::fast(),
        Timing::Realistic => Times::realistic(),
    };
    let configs = wanted.clouds.iter().zip(0_u16..).map(|(name, number)| {
        let mut config = Config::new(name);
        config.times = times.clone();
        config.region = REGIONS.get(usize::from(number)).map_or_else(
            || format!("Region{}", number + 1),
            |name| (*name).to_owned(),
        );
        if wanted.port != 0 {
            config.port = wanted.port.saturating_add(number);
        }
        if let Some(release) = wanted.releases.get(usize::from(number)) {
            config.release = *release;
        }
        if wanted.generous {
            config.quotas = Quotas::generous();
        }
        if let Some(seed) = wanted.seed {
            // Two clouds with the same ids would hide mistakes.
            config.seed = seed.wrapping_add(u64::from(number));
        }
        config
    });
    sim::run(configs.collect()).await
}

/// The network that every cloud has in project demo.
pub(super) const NETWORK: &str = "internal";
const REGIONS: [&str; 2] = ["RegionOne", "RegionTwo"];

/// A service over these clouds, as a person would start it.
fn command(wanted: &Sim, path: &std::path::Path) -> String {
    let mut command = format!("drbackup serve --clouds-file {}", path.display());
    for name in &wanted.clouds {
        command = format!("{command} --cloud {name}={name}-demo --admin {name}={name}-admin");
    }
    command
}

/// What a failure of the simulation means for whoever started it.
pub(super) fn broken(error: &CloudError) -> Failure {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    Failure::Local(format!(
        "the simulation: {error}{}",
        source.unwrap_or_default()
    ))
}

fn release(text: &str) -> Result<Release, String> {
    Release::named(text).ok_or_else(|| "write zed, 2025.1 or 2026.1".to_owned())
}

fn instance(text: &str) -> Result<(String, Vec<u64>), String> {
    let wrong = || "write NAME=GIB or NAME=GIB,GIB".to_owned();
    let (name, sizes) = text.split_once('=').ok_or_else(wrong)?;
    let sizes: Result<Vec<u64>, _> = sizes.split(',').map(str::parse).collect();
    let sizes = sizes.map_err(|_| wrong())?;
    if name.is_empty() || sizes.contains(&0) {
        return Err(wrong());
    }
    Ok((name.to_owned(), sizes))
}
