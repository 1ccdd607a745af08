//! What every [`Cloud`](drbackup::port::cloud::Cloud) keeps, claim by claim; this file may not know how one is made.
//!
//! Each claim is a test against the simulator. All of them run against the real pair that
//! `OS_CLIENT_CONFIG_FILE` and `DRBACKUP_TEST_CLOUDS` (`source,dr`) name when they are asked for:
//! `cargo test --test it cloud_contract -- --ignored --nocapture`. Each cloud of a pair has
//! the entries `NAME-demo` (a member of a project), `NAME-operator` (an admin in the same project)
//! and `NAME-admin` (an admin in another one).

mod admin_uses;
mod belonging;
mod bounds;
mod capture;
mod claims;
mod ground;
mod journey;
mod servers;
mod strictness;
mod transfer;
mod troubles;
mod trunk;

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use drbackup::{
    domain::{id::Tenant, time::Timestamp},
    openstack::{
        Clouds,
        config::{CloudMapping, Config, Environment},
        install_crypto,
        settings::OpenStackSettings,
    },
    port::clock::Clock,
    sim,
};
use futures::FutureExt;
pub(crate) use ground::Ground;
use uuid::Uuid;

/// The clock of the machine.
struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp(chrono::Utc::now().timestamp_micros())
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Two clouds, the client under test, and the ground on which both stand.
pub(crate) struct Stage {
    file: PathBuf,
    names: [String; 2],
    pub(crate) source: Ground,
    pub(crate) dr: Ground,
    pub(crate) cloud: Clouds,
    /// In the name of everything that this run makes.
    pub(crate) mark: String,
}

impl Stage {
    async fn new(file: &Path, names: [String; 2]) -> Self {
        install_crypto();
        let member = |name: &str| format!("{name}-demo");
        let (source, dr) = (
            Ground::of_entry(file, &names[0], &member(&names[0])).await,
            Ground::of_entry(file, &names[1], &member(&names[1])).await,
        );
        let cloud = client(file, &names, "operator", OpenStackSettings::default());
        Self {
            file: file.to_owned(),
            names,
            source,
            dr,
            cloud,
            mark: format!("ostest-{}", &Uuid::new_v4().simple().to_string()[..8]),
        }
    }

    pub(crate) fn source_tenant(&self) -> &Tenant {
        &self.source.tenant
    }

    pub(crate) fn dr_tenant(&self) -> &Tenant {
        &self.dr.tenant
    }

    /// A client of the same clouds whose admin entry is another one, or whose limits are others.
    pub(crate) fn client(&self, admin: &str, limits: OpenStackSettings) -> Clouds {
        client(&self.file, &self.names, admin, limits)
    }

    /// A client of the same clouds that has nothing but the admin of another project.
    pub(crate) fn admin_elsewhere(&self) -> Clouds {
        let mapping = |name: &String| CloudMapping {
            name: name.clone(),
            entries: vec![format!("{name}-admin")],
            admin: Some(format!("{name}-admin")),
        };
        let mappings: Vec<CloudMapping> = self.names.iter().map(mapping).collect();
        clouds(&self.file, &mappings, OpenStackSettings::default())
    }

    /// A client of the same clouds that acts in two projects of each, as the tenant of either.
    pub(crate) fn two_projects(&self) -> Clouds {
        let mapping = |name: &String| CloudMapping {
            name: name.clone(),
            entries: vec![format!("{name}-demo"), format!("{name}-admin")],
            admin: None,
        };
        let mappings: Vec<CloudMapping> = self.names.iter().map(mapping).collect();
        clouds(&self.file, &mappings, OpenStackSettings::default())
    }

    /// A client of one cloud with entries of a `clouds.yaml` that is given as text.
    pub(crate) fn client_of_text(text: &str) -> Clouds {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("clouds.yaml");
        std::fs::write(&file, text).expect("a file");
        clouds(&file, &[], OpenStackSettings::default())
    }

    pub(crate) fn file_text(&self) -> String {
        std::fs::read_to_string(&self.file).expect("clouds.yaml is readable")
    }
}

fn client(file: &Path, names: &[String; 2], admin: &str, limits: OpenStackSettings) -> Clouds {
    let mappings: Vec<CloudMapping> = names
        .iter()
        .map(|name| CloudMapping {
            name: name.clone(),
            entries: vec![format!("{name}-demo")],
            admin: (!admin.is_empty()).then(|| format!("{name}-{admin}")),
        })
        .collect();
    clouds(file, &mappings, limits)
}

fn clouds(file: &Path, mappings: &[CloudMapping], limits: OpenStackSettings) -> Clouds {
    let environment = Environment {
        variables: [(
            "OS_CLIENT_CONFIG_FILE".to_owned(),
            file.display().to_string(),
        )]
        .into(),
        ..Environment::default()
    };
    let config = Config::load(&environment, mappings, limits).expect("a configuration");
    let clock: Arc<dyn Clock> = Arc::new(MachineClock);
    Clouds::new(config, &clock)
}

/// A stage on two simulated clouds: an older release and a newer one.
pub(crate) struct Simulated {
    pub(crate) stage: Stage,
    pub(crate) pair: sim::Pair,
    _file: tempfile::TempDir,
}

impl Simulated {
    pub(crate) async fn start() -> Self {
        let [mut source, dr] = sim::Config::pair(sim::Times::fast());
        source.application_credentials = vec![sim::ApplicationCredential {
            id: "app-id".to_owned(),
            name: "app".to_owned(),
            secret: "s3cret".to_owned(),
            user: "demo".to_owned(),
            project: "demo".to_owned(),
        }];
        let dr = sim::Config {
            release: sim::Release::Gazpacho,
            ..dr
        };
        let pair = sim::run(vec![source, dr]).await.expect("two clouds");
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("clouds.yaml");
        std::fs::write(&file, &pair.clouds_yaml).expect("a file");
        Self {
            stage: Stage::new(&file, ["source".to_owned(), "dr".to_owned()]).await,
            pair,
            _file: place,
        }
    }
}

/// Looks until there is something to see; a cloud takes its time, but not for ever.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    const LOOKS_MAX: u32 = 300;
    for number in 0..LOOKS_MAX {
        if let Some(seen) = look().await {
            return seen;
        }
        let pause = if number < 5 { 20 } else { 500 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    panic!("waited in vain: {what}");
}

#[tokio::test]
#[ignore = "needs the real pair that DRBACKUP_TEST_CLOUDS names"]
async fn contract_holds_on_the_real_pair() {
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} has to name the real pair"))
    };
    let file = PathBuf::from(variable("OS_CLIENT_CONFIG_FILE"));
    let names = variable("DRBACKUP_TEST_CLOUDS");
    let (source, dr) = names
        .split_once(',')
        .expect("DRBACKUP_TEST_CLOUDS is SOURCE,DR");
    let only = std::env::var("DRBACKUP_TEST_CLAIM").unwrap_or_default();
    let mut broken = Vec::new();
    for (name, claim) in claims::all() {
        if !name.contains(&only) {
            continue;
        }
        let started = std::time::Instant::now();
        let stage = Stage::new(&file, [source.to_owned(), dr.to_owned()]).await;
        let kept = AssertUnwindSafe(claim(&stage)).catch_unwind().await.is_ok();
        println!(
            "{} {name}: {:.1} s, {:?}",
            if kept { "kept  " } else { "broken" },
            started.elapsed().as_secs_f32(),
            stage.cloud.traffic()
        );
        if !kept {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "not kept: {broken:?}");
}
