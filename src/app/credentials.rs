//! The entries of `clouds.yaml`, read again when they change; it may not know what they are used for.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use crate::openstack::{
    Clouds,
    config::{CloudMapping, Config, Environment},
    settings::OpenStackSettings,
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
    /// Those out of which `clouds` were made.
    pub(super) fn new(
        clouds: Arc<Clouds>,
        environment: &Environment,
        mappings: &[CloudMapping],
        limits: &OpenStackSettings,
    ) -> Self {
        Self {
            clouds,
            environment: environment.clone(),
            mappings: mappings.to_vec(),
            limits: limits.clone(),
            problem: Arc::default(),
        }
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
                    let clouds = changed.iter().map(|name| name.as_str());
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
