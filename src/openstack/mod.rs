//! The OpenStack client: Keystone, Cinder, Nova, Neutron and Glance over HTTP behind
//! [`Cloud`]; it may not know operations, ledgers or the store.
//!
//! Read [`Clouds`] first, then `make`, `apply` and `read` (which noun answers what is asked),
//! `cloud_sessions` and `admin` (whose token is used), `call` and `access` (how a call is put together and sent),
//! `fault` (what a refusal means); the other files have one noun of OpenStack each.

mod access;
mod admin;
mod admin_notes;
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

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use futures::future::join_all;

pub use connection::install_crypto;
pub use http_transport::{HttpTransport, TransportError};
pub use traffic::{Durations, TrafficCount};

use self::{
    access::Access,
    admin::{AdminUse, OwnRight},
    admin_notes::Listener,
    cloud_sessions::CloudSessions,
    config::Config,
    entry::Entry,
    http_transport::NetworkTransport,
    instance::AdminView,
    rate_limiter::Waiter,
    settings::OpenStackSettings,
    traffic::Traffic,
};
use crate::{
    domain::{
        effect::{Fact, Request},
        fault::{Fault, FaultKind, Service},
        id::{CloudName, ServerId, Tenant, VolumeBackupId},
        inventory::{CloudInfo, Flavor, InstanceInfo, Network, Right, TenantInfo, VolumeType},
        manifest::Manifest,
        record::{BackupRecord, Exported},
        sighting::{Sighting, Thing, ThingKind},
    },
    port::{
        audit::AdminUses,
        clock::Clock,
        cloud::{Answer, Cloud},
    },
};

/// How the requests with an entry travel.
type Transports = Box<dyn Fn(&Entry) -> Arc<dyn HttpTransport> + Send + Sync>;

/// The clouds of the configuration.
pub struct Clouds {
    by_name: RwLock<BTreeMap<CloudName, Arc<CloudSessions>>>,
    limits: OpenStackSettings,
    durations: Durations,
    clock: Arc<dyn Clock>,
    transports: Transports,
    listener: Listener,
}

impl Clouds {
    /// Takes the configuration; nothing is sent before the first call. [`install_crypto`] has to
    /// have been called.
    pub fn new(config: Config, clock: &Arc<dyn Clock>) -> Self {
        let limits = config.limits.clone();
        let transports = move |entry: &Entry| -> Arc<dyn HttpTransport> {
            Arc::new(NetworkTransport::new(entry, &limits))
        };
        Self::reached(config, clock, Box::new(transports))
    }

    /// The same, but all requests travel over `transport` instead of connections of their own.
    pub fn with_transport(
        config: Config,
        clock: &Arc<dyn Clock>,
        transport: &Arc<dyn HttpTransport>,
    ) -> Self {
        let transport = Arc::clone(transport);
        Self::reached(config, clock, Box::new(move |_| Arc::clone(&transport)))
    }

    fn reached(config: Config, clock: &Arc<dyn Clock>, transports: Transports) -> Self {
        let clouds = Self {
            by_name: RwLock::default(),
            limits: config.limits.clone(),
            durations: traffic::durations(),
            clock: Arc::clone(clock),
            transports,
            listener: Listener::default(),
        };
        clouds.renew(config);
        clouds
    }

    /// Takes the entries of a configuration that was read again, and answers which clouds are new or have changed.
    ///
    /// A cloud whose entries are what they were goes on as it is, with its tokens. What is under way with an
    /// entry of before ends with it. A cloud that is not in it any more stays: what lies there has to be
    /// reached as long as this process lives.
    pub fn renew(&self, config: Config) -> Vec<CloudName> {
        let mut changed = Vec::new();
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        for cloud in config.clouds {
            let name = CloudName::new(cloud.name.clone());
            let known = by_name.get(&name);
            if known.is_some_and(|known| known.is_of(&cloud)) {
                continue;
            }
            let traffic = known.map_or_else(
                || Arc::new(Traffic::new(name.clone(), self.durations.clone())),
                |known| Arc::clone(&known.traffic),
            );
            let sessions = CloudSessions::new(
                cloud,
                &self.limits,
                &self.clock,
                traffic,
                &self.listener,
                &self.transports,
            );
            by_name.insert(name.clone(), Arc::new(sessions));
            changed.push(name);
        }
        changed
    }

    /// The clouds as they are now.
    fn all(&self) -> Vec<Arc<CloudSessions>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().cloned().collect()
    }

    /// Lets somebody hear of every call of an admin before it leaves. Those of Keystone alone, by which the
    /// service logs in and judges tokens, are none.
    pub fn note_admin_uses(&self, uses: Arc<dyn AdminUses>) {
        self.listener.set(uses);
    }

    /// How often each cloud was called.
    pub fn traffic(&self) -> Vec<(CloudName, Vec<TrafficCount>)> {
        let told = |cloud: Arc<CloudSessions>| (cloud.name().clone(), cloud.traffic.count());
        self.all().into_iter().map(told).collect()
    }

    /// Whether the last call to each cloud was answered, in whatever way.
    pub fn answering(&self) -> Vec<(CloudName, bool)> {
        let told = |cloud: Arc<CloudSessions>| (cloud.name().clone(), cloud.traffic.is_answered());
        self.all().into_iter().map(told).collect()
    }

    /// How long the calls to all clouds took.
    pub fn durations(&self) -> Durations {
        self.durations.clone()
    }

    fn sessions(&self, cloud: &CloudName) -> Result<Arc<CloudSessions>, Fault> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(cloud).cloned().ok_or_else(|| {
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
        let access = sessions.tenant(&tenant.project).await?;
        let access = access.waited_for_by(waiter);
        let admin = if access.token().await?.is_admin() {
            None
        } else {
            let admin = sessions.admin(&tenant.project, AdminUse::Instance).await;
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

    /// The access for what only an admin may do, whatever the policy says of records. Without an admin entry
    /// the tenant tries: a policy may allow it, and otherwise says so itself.
    async fn admin_or_tenant(&self, tenant: &Tenant, admin_use: AdminUse) -> Result<Access, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        if sessions.has_admin() {
            return Ok(sessions.admin(&tenant.project, admin_use).await?.0);
        }
        sessions.tenant(&tenant.project).await
    }

    /// Whether the tenant's own entry may do this with records, so that no admin is needed. Where no entry
    /// reaches the project, it may not.
    async fn own_right(&self, tenant: &Tenant, right: OwnRight) -> Result<Right, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = match sessions.tenant(&tenant.project).await {
            Ok(access) => access,
            Err(fault) if fault.may_pass() => return Err(fault),
            Err(fault) => return Ok(Right::Refused(fault.to_string())),
        };
        let ask = async {
            match right {
                OwnRight::Export => volume_backup::export_right(&access).await,
                OwnRight::Import => volume_backup::import_right(&access).await,
            }
        };
        sessions.own_rights.of(&tenant.project, right, ask).await
    }

    /// The access that does this with records: the tenant's own where it may, else the admin's.
    async fn records(&self, tenant: &Tenant, right: OwnRight) -> Result<Access, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let admin_use = match right {
            OwnRight::Export => AdminUse::Export,
            OwnRight::Import => AdminUse::Import,
        };
        if sessions.has_admin() && self.own_right(tenant, right).await? != Right::Granted {
            return Ok(sessions.admin(&tenant.project, admin_use).await?.0);
        }
        sessions.tenant(&tenant.project).await
    }

    /// Whether a refusal of the tenant's own entry leaves it to the admin to try: the policy is another one
    /// than it was.
    async fn is_left_to_admin(
        &self,
        tenant: &Tenant,
        right: OwnRight,
        tried: &Access,
        fault: &Fault,
    ) -> Result<bool, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let is_left =
            fault.kind == FaultKind::Forbidden && tried.admin.is_none() && sessions.has_admin();
        if is_left {
            let project = &tenant.project;
            sessions.own_rights.refuse(project, right, fault).await;
        }
        Ok(is_left)
    }

    async fn record_import(
        &self,
        tenant: &Tenant,
        backup: &VolumeBackupId,
        record: &BackupRecord,
    ) -> Result<String, Fault> {
        let right = OwnRight::Import;
        let access = self.importer(tenant, backup).await?;
        match volume_backup::import(&access, backup, record).await {
            Err(fault)
                if self
                    .is_left_to_admin(tenant, right, &access, &fault)
                    .await? =>
            {
                let admin = self.importer(tenant, backup).await?;
                volume_backup::import(&admin, backup, record).await
            }
            outcome => outcome,
        }
    }

    /// The access whose imports land in this project: out of another one they would land there.
    async fn importer(&self, tenant: &Tenant, backup: &VolumeBackupId) -> Result<Access, Fault> {
        let access = self.records(tenant, OwnRight::Import).await?;
        if !access.foreign {
            return Ok(access);
        }
        Err(Fault::new(
            FaultKind::Forbidden,
            Service::BlockStorage,
            format!("import the record of the volume backup {backup}"),
            format!(
                "no entry that may import records reaches project {}, since the policy has changed",
                tenant.project
            ),
        ))
    }

    async fn record_export(
        &self,
        tenant: &Tenant,
        backup: &VolumeBackupId,
    ) -> Result<Exported, Fault> {
        let right = OwnRight::Export;
        let access = self.records(tenant, right).await?;
        match volume_backup::export(&access, backup).await {
            Err(fault)
                if self
                    .is_left_to_admin(tenant, right, &access, &fault)
                    .await? =>
            {
                let admin = self.records(tenant, right).await?;
                volume_backup::export(&admin, backup).await
            }
            outcome => outcome,
        }
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
            Request::Import { backup, record } => self
                .record_import(tenant, backup, record)
                .await
                .map(accepted),
            Request::RestoreInto {
                backup,
                backup_project,
                volume,
            } => {
                let access = if *backup_project == tenant.project {
                    self.access(tenant).await?
                } else {
                    let sessions = self.sessions(&tenant.cloud)?;
                    sessions.admin(&tenant.project, AdminUse::Import).await?.0
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
        let access = sessions.keeper(&tenant.project, thing.kind).await?;
        thing::delete(&access, tenant, thing, ours).await
    }

    async fn things_list(&self, tenant: &Tenant, kind: ThingKind) -> Result<Vec<Sighting>, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let service = thing::service(kind);
        let action = format!("list the {}s", kind.noun());
        self.in_time(service, &action, async {
            let access = sessions.keeper(&tenant.project, kind).await?;
            thing::list(&access, tenant, kind).await
        })
        .await
    }

    async fn thing_get(&self, tenant: &Tenant, thing: &Thing) -> Result<Option<Sighting>, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.keeper(&tenant.project, thing.kind).await?;
        thing::get(&access, tenant, thing).await
    }

    async fn clouds_list(&self) -> Vec<CloudInfo> {
        let clouds = self.all();
        join_all(clouds.iter().map(|cloud| cloud.info())).await
    }

    fn cloud_names(&self) -> Vec<CloudName> {
        let clouds = self.all();
        clouds.iter().map(|cloud| cloud.name().clone()).collect()
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
