//! The entries of `clouds.yaml`, read again when they change; it may not know what they are used for.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::config;
use crate::{
    cli::failure::Failure,
    domain::id::CloudName,
    openstack::{
        Clouds,
        config::{CloudMapping, Config, Environment},
        settings::OpenStackSettings,
    },
    port::clock::Clock,
};

/// Where the credentials of the clouds come from, and who uses them.
#[derive(Clone)]
pub(super) struct Credentials {
    clouds: Arc<Clouds>,
    environment: Environment,
    mappings: Vec<CloudMapping>,
    limits: OpenStackSettings,
    /// Why they could not be read the last time.
    problem: Arc<Mutex<Option<String>>>,
}

impl Credentials {
    /// Reads them for the first time. A file that others than its owner may read is told.
    pub(super) fn read(
        config: &config::Config,
        environment: &Environment,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let read = Config::load(environment, &config.clouds, config.openstack.clone())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        for (file, mode) in read.exposed() {
            let (file, mode) = (file.display(), format!("{mode:04o}"));
            warn!(%file, mode, "others than its owner may read this file, which holds passwords or keys: chmod 600 it");
        }
        Ok(Self {
            clouds: Arc::new(Clouds::new(read, clock)),
            environment: environment.clone(),
            mappings: config.clouds.clone(),
            limits: config.openstack.clone(),
            problem: Arc::default(),
        })
    }

    /// The clouds that are reached with them.
    pub(super) fn clouds(&self) -> Arc<Clouds> {
        Arc::clone(&self.clouds)
    }

    /// Reads the files again. What cannot be used is told once, and what was in force stays so. `asked` says
    /// that somebody wants to hear of it, whether anything changed or not.
    pub(super) fn read_again(&self, asked: bool) {
        let read = Config::load(&self.environment, &self.mappings, self.limits.clone());
        let mut known = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                *known = None;
                let changed = self.clouds.renew(config);
                if asked || !changed.is_empty() {
                    let clouds = changed.iter().map(CloudName::as_str);
                    let clouds = clouds.collect::<Vec<_>>().join(", ");
                    info!(
                        changed = clouds,
                        "the credentials of the clouds were read again; new calls use them"
                    );
                }
            }
            Err(error) => {
                let problem = Some(error.to_string());
                if asked || *known != problem {
                    warn!(
                        %error,
                        "the credentials of the clouds cannot be used; those from before stay in force"
                    );
                }
                *known = problem;
            }
        }
    }
}
