//! The OpenStack client: Keystone, Cinder, Nova, Neutron and Glance over HTTP behind
//! [`Cloud`]; it may not know operations, ledgers or the store.
//!
//! Read [`Clouds`] first, then `make`, `apply` and `read` (which noun answers what is asked),
//! `cloud_sessions` (whose token is used), `call` and `access` (how a call is put together and sent),
//! `fault` (what a refusal means); the other files have one noun of OpenStack each.

mod access;
mod answer;
mod apply;
mod attributes;
mod call;
mod catalogue;
mod cloud_sessions;
mod coalescer;
pub mod config;
mod connection;
mod entry;
mod fault;
mod flavor;
mod holder;
mod http_transport;
mod image;
mod instance;
mod inventory;
mod key_pair;
mod make;
mod network;
mod owner;
mod pages;
mod path;
mod port;
mod rate_limiter;
mod read;
mod refusals;
mod root;
mod security_group;
mod server;
mod server_group;
mod server_image;
mod server_state;
mod session;
pub mod settings;
mod shared_reads;
mod snapshot;
mod thing;
mod token;
mod traffic;
mod transfer;
mod trunk;
mod version;
mod versions;
mod volume;
mod volume_backup;
mod volume_group;
mod wire;
mod wiring;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::future::join_all;

pub use connection::install_crypto;
pub use http_transport::{HttpTransport, TransportError};
pub use traffic::{Durations, TrafficCount};

use self::{
    access::Access, cloud_sessions::CloudSessions, config::Config, entry::Entry,
    http_transport::NetworkTransport, instance::AdminView, rate_limiter::Waiter,
    settings::OpenStackSettings,
};
use crate::{
    domain::{
        effect::{Fact, Request},
        fault::{Fault, FaultKind, Service},
        id::{CloudName, ServerId, Tenant},
        inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
        manifest::Manifest,
        sighting::{Sighting, Thing, ThingKind},
    },
    port::{
        clock::Clock,
        cloud::{Answer, Cloud},
    },
};

/// The clouds of the configuration.
pub struct Clouds {
    by_name: BTreeMap<CloudName, CloudSessions>,
    limits: OpenStackSettings,
    durations: Durations,
}

impl Clouds {
    /// Takes the configuration; nothing is sent before the first call. [`install_crypto`] has to
    /// have been called.
    pub fn new(config: Config, clock: &Arc<dyn Clock>) -> Self {
        let limits = config.limits.clone();
        Self::reached(config, clock, |entry| {
            Arc::new(NetworkTransport::new(entry, &limits))
        })
    }

    /// The same, but all requests travel over `transport` instead of connections of their own.
    pub fn with_transport(
        config: Config,
        clock: &Arc<dyn Clock>,
        transport: &Arc<dyn HttpTransport>,
    ) -> Self {
        Self::reached(config, clock, |_| Arc::clone(transport))
    }

    fn reached(
        config: Config,
        clock: &Arc<dyn Clock>,
        transport: impl Fn(&Entry) -> Arc<dyn HttpTransport>,
    ) -> Self {
        let Config { clouds, limits, .. } = config;
        let durations = traffic::durations();
        let by_name = clouds
            .into_iter()
            .map(|cloud| {
                let sessions = CloudSessions::new(cloud, &limits, clock, &durations, &transport);
                (sessions.name().clone(), sessions)
            })
            .collect();
        Self {
            by_name,
            limits,
            durations,
        }
    }

    /// How often each cloud was called.
    pub fn traffic(&self) -> Vec<(CloudName, Vec<TrafficCount>)> {
        self.by_name
            .iter()
            .map(|(name, sessions)| (name.clone(), sessions.traffic.count()))
            .collect()
    }

    /// Whether the last call to each cloud was answered, in whatever way.
    pub fn answering(&self) -> Vec<(CloudName, bool)> {
        self.by_name
            .iter()
            .map(|(name, sessions)| (name.clone(), sessions.traffic.is_answered()))
            .collect()
    }

    /// How long the calls to all clouds took.
    pub fn durations(&self) -> Durations {
        self.durations.clone()
    }

    fn sessions(&self, cloud: &CloudName) -> Result<&CloudSessions, Fault> {
        self.by_name.get(cloud).ok_or_else(|| {
            Fault::new(
                FaultKind::Unconfigured,
                Service::Identity,
                format!("find the cloud {cloud}"),
                "no cloud of this name is configured",
            )
        })
    }

    /// Ends a read that takes too long as a whole, although each of its calls is in time.
    async fn in_time<T>(
        &self,
        service: Service,
        action: &str,
        read: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.limits.composite(), read).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::new(
                FaultKind::Unanswered,
                service,
                action,
                format!("it took longer than {} s", self.limits.composite_seconds),
            )),
        }
    }

    async fn instance_in_time(
        &self,
        tenant: &Tenant,
        server: &ServerId,
        waiter: Waiter,
    ) -> Result<Manifest, Fault> {
        let action = format!("read the instance {server}");
        let read = self.instance_read(tenant, server, waiter);
        self.in_time(Service::Compute, &action, read).await
    }

    async fn instance_read(
        &self,
        tenant: &Tenant,
        server: &ServerId,
        waiter: Waiter,
    ) -> Result<Manifest, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions
            .keeper(&tenant.project)
            .await?
            .waited_for_by(waiter);
        let admin = if access.token().await?.is_admin() {
            None
        } else {
            let admin = sessions.admin(&tenant.project).await;
            Some(admin.map(|(admin, _)| admin.waited_for_by(waiter)))
        };
        let view = match &admin {
            None => AdminView::Own,
            Some(Ok(admin)) => AdminView::Of(admin),
            Some(Err(fault)) if fault.may_pass() => return Err(fault.clone()),
            Some(Err(fault)) => AdminView::None(fault.message.clone()),
        };
        Box::pin(instance::read(&access, &view, tenant, server)).await
    }

    /// The access in which things are made in a project.
    async fn access(&self, tenant: &Tenant) -> Result<Access, Fault> {
        self.sessions(&tenant.cloud)?.tenant(&tenant.project).await
    }

    /// The access with which a caller of the service looks into a project, and waits for it.
    async fn look(&self, tenant: &Tenant) -> Result<Access, Fault> {
        let access = self.access(tenant).await?;
        Ok(access.waited_for_by(Waiter::Caller))
    }

    /// The access for what usually only an admin may do. Without an admin entry the tenant tries:
    /// a policy may allow it, and otherwise says so itself.
    async fn admin_or_tenant(&self, tenant: &Tenant) -> Result<Access, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        if sessions.has_admin() {
            return Ok(sessions.admin(&tenant.project).await?.0);
        }
        sessions.tenant(&tenant.project).await
    }
}

fn accepted(id: String) -> Answer {
    Answer {
        cloud_id: Some(id),
        ready: false,
        fact: None,
    }
}

fn ready(id: String) -> Answer {
    Answer {
        cloud_id: Some(id),
        ready: true,
        fact: None,
    }
}

fn done(_: ()) -> Answer {
    Answer {
        cloud_id: None,
        ready: true,
        fact: None,
    }
}

fn fact(fact: Fact) -> Answer {
    Answer {
        cloud_id: None,
        ready: true,
        fact: Some(fact),
    }
}

#[async_trait]
impl Cloud for Clouds {
    async fn request_perform(
        &self,
        tenant: &Tenant,
        name: &str,
        request: &Request,
    ) -> Result<Answer, Fault> {
        match request {
            Request::Make(make) => self.make(tenant, name, make).await,
            Request::Import { backup, record } => {
                let access = self.admin_or_tenant(tenant).await?;
                volume_backup::import(&access, backup, record)
                    .await
                    .map(accepted)
            }
            Request::RestoreInto {
                backup,
                backup_project,
                volume,
            } => {
                let access = if *backup_project == tenant.project {
                    self.access(tenant).await?
                } else {
                    let sessions = self.sessions(&tenant.cloud)?;
                    sessions.admin(&tenant.project).await?.0
                };
                volume_backup::restore(&access, backup, volume).await?;
                Ok(accepted(volume.as_str().to_owned()))
            }
            Request::Apply(apply) => self.apply(tenant, apply).await.map(done),
            Request::Read(read) => self.read(tenant, read).await.map(fact),
            Request::Drop { thing } => {
                Answer::of_deletion(thing, self.thing_delete(tenant, thing, &[]).await)
            }
        }
    }

    async fn thing_delete(
        &self,
        tenant: &Tenant,
        thing: &Thing,
        ours: &[Thing],
    ) -> Result<(), Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.keeper(&tenant.project).await?;
        thing::delete(&access, tenant, thing, ours).await
    }

    async fn things_list(&self, tenant: &Tenant, kind: ThingKind) -> Result<Vec<Sighting>, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let service = thing::service(kind);
        let action = format!("list the {}s", kind.noun());
        self.in_time(service, &action, async {
            let access = sessions.keeper(&tenant.project).await?;
            thing::list(&access, tenant, kind).await
        })
        .await
    }

    async fn thing_get(&self, tenant: &Tenant, thing: &Thing) -> Result<Option<Sighting>, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.keeper(&tenant.project).await?;
        thing::get(&access, tenant, thing).await
    }

    async fn clouds_list(&self) -> Vec<CloudInfo> {
        join_all(self.by_name.values().map(CloudSessions::info)).await
    }

    fn cloud_names(&self) -> Vec<CloudName> {
        self.by_name.keys().cloned().collect()
    }

    async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Fault> {
        self.sessions(cloud)?.tenants().await
    }

    async fn tenant_reached(&self, tenant: &Tenant) -> Result<bool, Fault> {
        match self.sessions(&tenant.cloud)?.tenant(&tenant.project).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.kind == FaultKind::Unconfigured => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Fault> {
        self.in_time(Service::Compute, "list the servers", async {
            server::instances(&self.look(tenant).await?, tenant).await
        })
        .await
    }

    async fn instance_get(&self, tenant: &Tenant, server: &ServerId) -> Result<Manifest, Fault> {
        self.instance_in_time(tenant, server, Waiter::Caller).await
    }

    async fn instance_peek(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<InstanceInfo, Fault> {
        server::instance(&self.look(tenant).await?, tenant, server).await
    }

    async fn flavors_list(&self, tenant: &Tenant) -> Result<Vec<Flavor>, Fault> {
        self.in_time(Service::Compute, "list the flavors", async {
            flavor::list(&self.look(tenant).await?).await
        })
        .await
    }

    async fn networks_list(&self, tenant: &Tenant) -> Result<Vec<Network>, Fault> {
        self.in_time(Service::Network, "list the networks", async {
            network::list(&self.look(tenant).await?, tenant).await
        })
        .await
    }

    async fn volume_types_list(&self, tenant: &Tenant) -> Result<Vec<VolumeType>, Fault> {
        self.in_time(Service::BlockStorage, "list the volume types", async {
            inventory::volume_types(&self.look(tenant).await?).await
        })
        .await
    }
}
