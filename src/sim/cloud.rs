//! The handle of one simulated cloud: start it, switch it off, look inside, and script its trouble;
//! it may not know how any service works.

mod network;
mod volume_service;

use std::fmt::Write as _;
use std::future::IntoFuture as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backup_store::BackupStore;
use super::clock::Times;
use super::config::{Config, Quotas};
use super::faults::Rule;
use super::http::{Connection, Cut, Door, LoggedRequest, Shared, carry, serve};
use super::seed::{self, Instance, InstanceSpec};
use super::world::{Memory, World};
use super::{cinder, control, keystone, neutron, nova};

/// Why a cloud could not be started or looked into.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The port could not be listened on.
    #[error("listening on port {port}")]
    Listen {
        /// The port; 0 is any.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A rule's path is no regular expression.
    #[error("the path of a fault rule: {0}")]
    Rule(String),
    /// There is no such resource or name.
    #[error("no {kind} {id}")]
    Missing {
        /// What was looked for.
        kind: &'static str,
        /// Its id or name.
        id: String,
    },
}

#[derive(Debug)]
struct Running {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

/// One simulated cloud. It listens until it is stopped or dropped, and keeps its memory when stopped.
#[derive(Debug)]
pub struct Cloud {
    shared: Arc<Shared>,
    /// Nothing when it is reached by [`Cloud::carry`] alone.
    address: Option<SocketAddr>,
    running: Mutex<Option<Running>>,
}

impl Cloud {
    /// Starts a cloud on the loopback port of its configuration.
    pub async fn start(config: Config) -> Result<Self, CloudError> {
        let listener = listen(config.port).await?;
        let port = config.port;
        let address = listener
            .local_addr()
            .map_err(|source| CloudError::Listen { port, source })?;
        let shared = Shared::new(World::new(config), format!("http://{address}"));
        let running = open(&shared, listener);
        Ok(Self {
            shared,
            address: Some(address),
            running: Mutex::new(Some(running)),
        })
    }

    /// Makes a cloud without a port: requests reach it by [`Cloud::carry`] alone, so that a whole
    /// deployment fits into a thread whose clock is wound by hand.
    pub fn in_memory(config: Config) -> Self {
        let base = format!("http://{}.invalid", config.name);
        Self {
            shared: Shared::new(World::new(config), base),
            address: None,
            running: Mutex::new(None),
        }
    }

    /// Takes one request as if it had come over the network, whose end the caller is. A caller that
    /// goes away does not take its request back.
    pub async fn carry(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, Cut> {
        carry(Arc::clone(&self.shared), request).await
    }

    /// Switches the cloud off: its connections break and new ones are refused.
    pub async fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.shared.door().cancel();
        let Some(running) = running else { return };
        running.closing.cancel();
        // The task ends when its door is closed; if it had panicked, the port is free all the same.
        let _ended = running.task.await;
    }

    /// Switches a stopped cloud on again, on the same port and with all that it remembers.
    pub async fn start_again(&self) -> Result<(), CloudError> {
        self.stop().await;
        let listener = match self.address {
            Some(address) => Some(listen(address.port()).await?),
            None => None,
        };
        *self
            .shared
            .door
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = CancellationToken::new();
        let Some(listener) = listener else {
            return Ok(());
        };
        let running = open(&self.shared, listener);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }

    /// Waits until somebody stops the cloud through its control endpoint.
    pub async fn stopped(&self) {
        self.shared.door().cancelled().await;
    }

    /// The name from the configuration.
    pub fn name(&self) -> String {
        self.shared.world().config.name.clone()
    }

    /// The region from the configuration.
    pub fn region(&self) -> String {
        self.shared.world().config.region.clone()
    }

    /// Where the cloud listens, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        self.shared.base.clone()
    }

    /// Where to authenticate.
    pub fn auth_url(&self) -> String {
        format!("{}/identity/v3", self.shared.base)
    }

    /// The entries of this cloud for a `clouds.yaml`, without the line `clouds:`.
    pub fn clouds_yaml_entries(&self) -> String {
        let (name, region) = (self.name(), self.region());
        let people = [
            ("admin", "admin"),
            ("auditor", "demo"),
            ("demo", "demo"),
            ("operator", "demo"),
        ];
        let mut text = String::new();
        for (user, project) in people {
            // Writing to a string cannot fail.
            let _written = write!(
                text,
                "  {name}-{user}:\n    auth:\n      auth_url: {}\n      password: {}\n      \
                 project_domain_name: Default\n      project_name: {project}\n      \
                 user_domain_name: Default\n      username: {user}\n    identity_api_version: 3\n    \
                 region_name: {region}\n    volume_api_version: 3\n",
                self.auth_url(),
                keystone::PASSWORD
            );
        }
        text
    }

    /// The id of the project with this name.
    pub fn project_id(&self, name: &str) -> Option<String> {
        self.shared
            .world()
            .keystone
            .project_named(name)
            .map(|project| project.id.clone())
    }

    /// The id of the user with this name.
    pub fn user_id(&self, name: &str) -> Option<String> {
        self.shared
            .world()
            .keystone
            .user_named(name)
            .map(|user| user.id.clone())
    }

    /// Where the bytes of this cloud's backups are.
    pub fn backup_store(&self) -> Arc<BackupStore> {
        Arc::clone(&self.shared.world().config.backup_store)
    }

    // ---- time ----

    /// The time since the cloud began, with what was wound forward.
    pub fn elapsed(&self) -> Duration {
        self.shared.world().now
    }

    /// Winds the clock forward: what becomes due meanwhile happens.
    pub fn advance(&self, time: Duration) {
        let mut world = self.shared.world();
        world.clock.wind(time);
        world.settle();
    }

    /// Winds the clock forward until nothing is under way any more.
    pub fn finish_all(&self) {
        self.shared.world().finish_all();
    }

    /// Changes how long things take from now on.
    pub fn set_times(&self, times: Times) {
        self.shared.world().config.times = times;
    }

    /// Changes the limits of all projects for which nobody has set any.
    pub fn set_quotas(&self, quotas: Quotas) {
        self.shared.world().config.quotas = quotas;
    }

    /// Makes the calendar wrong by so many seconds.
    pub fn set_clock_skew(&self, seconds: i64) {
        self.shared.world().clock.set_skew(seconds);
    }

    /// A token of the user with this name in the project with this name, where that user has a role there.
    pub fn token(&self, user: &str, project: &str) -> Option<String> {
        keystone::token(&mut self.shared.world(), user, project)
    }

    /// Makes every token invalid at once.
    pub fn revoke_tokens(&self) {
        self.shared.world().keystone.revoke_all();
    }

    // ---- trouble ----

    /// Arms a fault rule and returns its number.
    pub fn fault(&self, rule: Rule) -> Result<u64, CloudError> {
        self.shared
            .world()
            .faults
            .add(rule)
            .map_err(CloudError::Rule)
    }

    /// How often a fault rule has happened.
    pub fn fault_happened(&self, id: u64) -> u32 {
        self.shared.world().faults.happened(id)
    }

    /// Disarms one fault rule.
    pub fn fault_remove(&self, id: u64) {
        self.shared.world().faults.remove(id);
    }

    /// Disarms all fault rules and lets go of what hangs.
    pub fn faults_clear(&self) {
        self.shared.world().faults.clear();
        self.release();
    }

    /// Lets go of every request that hangs.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Gives a volume, snapshot, backup or server another status, as nobody could from outside.
    pub fn set_status(&self, id: &str, status: &str) -> Result<(), CloudError> {
        let found = self.shared.world().set_status(id, status);
        found.then_some(()).ok_or_else(|| missing("resource", id))
    }

    /// Takes a resource away without a trace, whatever stands on it, as a lost row of a database is.
    pub fn vanish(&self, id: &str) {
        self.shared.world().vanish(id);
    }

    /// Gives a snapshot or a backup another size in GiB, as nobody could from outside; answers the one that
    /// it had.
    pub fn set_size(&self, id: &str, gib: u64) -> Result<u64, CloudError> {
        let cinder = &mut self.shared.world().cinder;
        let snapshot = cinder.snapshots.get_mut(id).map(|one| &mut one.size);
        let backup = cinder.backups.get_mut(id).map(|one| &mut one.size);
        let size = snapshot.or(backup).ok_or_else(|| missing("resource", id))?;
        Ok(std::mem::replace(size, gib))
    }

    /// Gives a server, volume, port, security group or rule an attribute as it is shown from then on: one of
    /// an extension that nobody has heard of, or one that no call of a client sets.
    pub fn set_attribute(&self, id: &str, name: &str, value: Value) -> Result<(), CloudError> {
        let found = self.shared.world().set_attribute(id, name, value);
        found.then_some(()).ok_or_else(|| missing("resource", id))
    }

    // ---- other hands ----

    /// Gives a volume to a server, as its tenant would who detaches it and attaches it there.
    pub fn give_volume(&self, volume: &str, server: &str) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let known = world.cinder.volumes.contains_key(volume);
        known
            .then_some(())
            .ok_or_else(|| missing("volume", volume))?;
        known_server(&world, server)?;
        nova::volume_hand_over(&mut world, volume, server);
        Ok(())
    }

    /// The same with a port.
    pub fn give_port(&self, port: &str, server: &str) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let known = neutron::port_device(&world, None, port);
        known.ok_or_else(|| missing("port", port))?;
        known_server(&world, server)?;
        nova::port_hand_over(&mut world, port, server);
        Ok(())
    }

    /// Lets go of a volume that a server has, as its tenant would who detaches it.
    pub fn let_go_of_volume(&self, volume: &str) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let known = world.cinder.volumes.contains_key(volume);
        known
            .then_some(())
            .ok_or_else(|| missing("volume", volume))?;
        nova::volume_let_go(&mut world, volume);
        Ok(())
    }

    /// Lets go of a port that a server has, as its tenant would who detaches it.
    pub fn let_go_of_port(&self, port: &str) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let known = neutron::port_device(&world, None, port);
        known.ok_or_else(|| missing("port", port))?;
        nova::port_let_go(&mut world, port);
        Ok(())
    }

    /// Locks a server, or lets it be unlocked.
    pub fn lock_server(&self, server: &str, locked: bool) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let found = world.nova.servers.get_mut(server);
        found.ok_or_else(|| missing("server", server))?.locked = locked;
        Ok(())
    }

    // ---- memory ----

    /// All requests so far, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.world().requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.world().requests.clear();
    }

    /// Everything that was ever made here, and when it went, in the order of its making.
    pub fn history(&self) -> Vec<Memory> {
        self.shared.world().history().to_vec()
    }

    /// All resources with their states and digests, by project.
    pub fn state(&self) -> Value {
        control::state(&self.shared.world())
    }

    // ---- bytes ----

    /// Writes into a volume as its guest would.
    pub fn volume_write(&self, id: &str, offset: u64, bytes: &[u8]) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let volume = world
            .cinder
            .volumes
            .get_mut(id)
            .ok_or_else(|| missing("volume", id))?;
        volume.content.write(offset, bytes);
        Ok(())
    }

    /// Makes a volume larger, in use or not, as `cinder extend` does in the end.
    pub fn volume_grow(&self, id: &str, gib: u64) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let volume = world
            .cinder
            .volumes
            .get_mut(id)
            .ok_or_else(|| missing("volume", id))?;
        volume.size = volume.size.max(gib);
        Ok(())
    }

    /// Reads from a volume.
    pub fn volume_read(&self, id: &str, offset: u64, length: u64) -> Result<Vec<u8>, CloudError> {
        let world = self.shared.world();
        let volume = world
            .cinder
            .volumes
            .get(id)
            .ok_or_else(|| missing("volume", id))?;
        Ok(volume.content.read(offset, length))
    }

    /// A digest of a volume's size and bytes; the same for the same bytes in any cloud.
    pub fn volume_digest(&self, id: &str) -> Result<String, CloudError> {
        let world = self.shared.world();
        let volume = world
            .cinder
            .volumes
            .get(id)
            .ok_or_else(|| missing("volume", id))?;
        Ok(volume.digest())
    }

    /// A digest of a snapshot's size and bytes, to compare with that of a volume.
    pub fn snapshot_digest(&self, id: &str) -> Result<String, CloudError> {
        let world = self.shared.world();
        let snapshot = world
            .cinder
            .snapshots
            .get(id)
            .ok_or_else(|| missing("snapshot", id))?;
        Ok(snapshot.digest())
    }

    /// A digest of the root disk of a server that boots from an image, to compare with that of a volume.
    pub fn server_digest(&self, id: &str) -> Result<String, CloudError> {
        nova::disk_digest(&self.shared.world(), id).ok_or_else(|| missing("root disk", id))
    }

    /// Writes into the root disk of a server that boots from an image, as its guest would.
    pub fn server_write(&self, id: &str, offset: u64, bytes: &[u8]) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let server = world.nova.servers.get_mut(id);
        let disk = server.and_then(|server| server.disk.as_mut());
        disk.ok_or_else(|| missing("root disk", id))?
            .write(offset, bytes);
        Ok(())
    }

    /// Starts or stops the agent in the guest of a server.
    pub fn set_guest_agent(&self, id: &str, answers: bool) -> Result<(), CloudError> {
        let mut world = self.shared.world();
        let server = world.nova.servers.get_mut(id);
        server.ok_or_else(|| missing("server", id))?.agent = answers;
        Ok(())
    }

    /// Puts volumes of a project, by its name, into a new volume group, whose type promises snapshots of
    /// one moment or does not.
    pub fn create_group(
        &self,
        project: &str,
        volumes: &[String],
        consistent: bool,
    ) -> Result<String, CloudError> {
        let mut world = self.shared.world();
        let id = world.keystone.project_named(project);
        let id = id.map(|one| one.id.clone());
        let id = id.ok_or_else(|| missing("project", project))?;
        Ok(cinder::put_together(&mut world, &id, volumes, consistent))
    }

    /// Makes an instance with all that belongs to it, at once and ready.
    pub fn create_instance(&self, spec: &InstanceSpec) -> Result<Instance, CloudError> {
        seed::create_instance(&mut self.shared.world(), spec)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.shared.door().cancel();
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(running) = running {
            running.closing.cancel();
        }
    }
}

fn known_server(world: &World, id: &str) -> Result<(), CloudError> {
    let known = world.nova.servers.contains_key(id);
    known.then_some(()).ok_or_else(|| missing("server", id))
}

pub(crate) fn missing(kind: &'static str, id: &str) -> CloudError {
    CloudError::Missing {
        kind,
        id: id.to_owned(),
    }
}

async fn listen(port: u16) -> Result<TcpListener, CloudError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|source| CloudError::Listen { port, source })
}

fn open(shared: &Arc<Shared>, listener: TcpListener) -> Running {
    let closing = CancellationToken::new();
    let door = Door {
        listener,
        closing: closing.clone(),
    };
    let router = Router::new().fallback(serve).with_state(Arc::clone(shared));
    let server = axum::serve(
        door,
        router.into_make_service_with_connect_info::<Connection>(),
    );
    let closed = shared.door();
    let task = tokio::spawn(async move {
        // Whichever ends first, the door is dropped and the port refuses.
        tokio::select! {
            () = closed.cancelled() => {}
            _ended = server.into_future() => {}
        }
    });
    Running { closing, task }
}

/// The text of a `clouds.yaml` with the people of all these clouds: `NAME-admin`, `NAME-demo`,
/// `NAME-operator` and `NAME-auditor`.
pub fn clouds_yaml<'cloud>(clouds: impl IntoIterator<Item = &'cloud Cloud>) -> String {
    let mut text = "clouds:\n".to_owned();
    for cloud in clouds {
        text.push_str(&cloud.clouds_yaml_entries());
    }
    text
}

/// Pair that were started together.
#[derive(Debug)]
pub struct Pair {
    /// The clouds, in the order of their configurations.
    pub clouds: Vec<Cloud>,
    /// The text of a `clouds.yaml` for all of them.
    pub clouds_yaml: String,
}

/// Starts clouds, all with the backup store of the first, and returns them with their `clouds.yaml`.
pub async fn run(configs: Vec<Config>) -> Result<Pair, CloudError> {
    let mut clouds = Vec::new();
    let store = configs
        .first()
        .map(|config| Arc::clone(&config.backup_store));
    for config in configs {
        let backup_store = store
            .clone()
            .unwrap_or_else(|| Arc::clone(&config.backup_store));
        clouds.push(
            Cloud::start(Config {
                backup_store,
                ..config
            })
            .await?,
        );
    }
    let clouds_yaml = clouds_yaml(&clouds);
    Ok(Pair {
        clouds,
        clouds_yaml,
    })
}
