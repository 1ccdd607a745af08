//! The calls to the service, each with its deadline; it may not know why a verb makes them.

use std::{future::Future, time::Duration};

use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::{config::ClientSettings, failure::Failure, tls};
use crate::api::pb::{
    self, backup_service_client::BackupServiceClient, cloud_service_client::CloudServiceClient,
    dr_backup_service_client::DrBackupServiceClient, orphan_service_client::OrphanServiceClient,
    restoration_service_client::RestorationServiceClient,
    schedule_service_client::ScheduleServiceClient,
};

/// How often a quiet connection is asked whether it is still there, so that following work notices
/// a service that vanished without a word.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long it may take to answer that.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
/// The largest answer that is read; a page of complete DR backups is the largest there is.
const ANSWER_BYTES: usize = 64 << 20;
/// How many things are asked for at once.
const PAGE: i32 = 1000;

/// A stream of events that was asked for.
pub(super) type Opened = Result<Response<Streaming<pb::Event>>, Status>;

/// Every page of what a method lists, up to a limit.
macro_rules! every_page {
    ($client:ident, $service:ident, $method:ident, $wanted:ident, $items:ident, $limit:expr) => {
        $crate::cli::client::pages($limit, |page_size, page_token| {
            let mut service = $client.$service();
            let mut request = $wanted.clone();
            request.page_size = page_size;
            request.page_token = page_token;
            async move {
                let page = $client.ask(service.$method(request)).await?;
                Ok((page.$items, page.next_page_token))
            }
        })
        .await
    };
}
pub(super) use every_page;

/// How calls travel.
pub(super) type Way = InterceptedService<Channel, Shown>;

/// What every call shows, so that the service knows who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    token: Option<MetadataValue<Ascii>>,
    keystone: Option<MetadataValue<Ascii>>,
}

impl Shown {
    fn of(settings: &ClientSettings) -> Result<Self, Failure> {
        let value = |name: &str, text: String| {
            let value = MetadataValue::try_from(text);
            value.map_err(|_| Failure::Usage(format!("{name} is none: no header can hold it")))
        };
        let token = settings.token()?;
        let token = token.map(|token| value("the token", format!("Bearer {token}")));
        let mut token = token.transpose()?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let keystone = settings.keystone.clone();
        let keystone = keystone.map(|cloud| value("the name of the cloud", cloud));
        Ok(Self {
            token,
            keystone: keystone.transpose()?,
        })
    }
}

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        if let Some(cloud) = &self.keystone {
            request
                .metadata_mut()
                .insert("x-drbackup-cloud", cloud.clone());
        }
        Ok(request)
    }
}

/// A connection to the service, made when it is first needed and made again when it breaks.
#[derive(Debug, Clone)]
pub(super) struct Client {
    channel: Channel,
    shown: Shown,
    /// For streams alone. A service asks an old connection to end, which one with a stream on it does
    /// late, and a call that is sent over it meanwhile would be lost.
    streams: Channel,
    address: String,
    timeout: Duration,
}

impl Client {
    /// A client with these settings; does not connect yet.
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, Failure> {
        let usage = |why: &str| {
            Failure::Usage(format!(
                "`{}` is no address of a service: {why}; write http://HOST:PORT or https://HOST:PORT",
                settings.address
            ))
        };
        let endpoint = Endpoint::from_shared(settings.address.clone())
            .map_err(|error| usage(&error.to_string()))?;
        let endpoint = match endpoint.uri().scheme_str() {
            Some("http") => endpoint,
            Some("https") => tls::encrypted(endpoint, settings)?,
            Some(_) | None => return Err(usage("it has neither http:// nor https://")),
        };
        let endpoint = endpoint
            .connect_timeout(settings.connect_timeout.0)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .keep_alive_while_idle(true)
            .user_agent(concat!("drbackup/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| usage(&error.to_string()))?;
        Ok(Self {
            channel: endpoint.connect_lazy(),
            shown: Shown::of(settings)?,
            streams: endpoint.connect_lazy(),
            address: settings.address.clone(),
            timeout: settings.timeout.0,
        })
    }

    /// The same client for what answers with a stream.
    pub(super) fn streaming(&self) -> Self {
        Self {
            channel: self.streams.clone(),
            ..self.clone()
        }
    }

    /// The service for DR backups.
    pub(super) fn dr_backups(&self) -> DrBackupServiceClient<Way> {
        DrBackupServiceClient::with_interceptor(self.channel.clone(), self.shown.clone())
            .max_decoding_message_size(ANSWER_BYTES)
    }

    /// The service for regular backups.
    pub(super) fn regular_backups(&self) -> BackupServiceClient<Way> {
        BackupServiceClient::with_interceptor(self.channel.clone(), self.shown.clone())
            .max_decoding_message_size(ANSWER_BYTES)
    }

    /// The service for restorations.
    pub(super) fn restorations(&self) -> RestorationServiceClient<Way> {
        RestorationServiceClient::with_interceptor(self.channel.clone(), self.shown.clone())
            .max_decoding_message_size(ANSWER_BYTES)
    }

    /// The service for schedules.
    pub(super) fn schedules(&self) -> ScheduleServiceClient<Way> {
        ScheduleServiceClient::with_interceptor(self.channel.clone(), self.shown.clone())
            .max_decoding_message_size(ANSWER_BYTES)
    }

    /// The service for what clouds have.
    pub(super) fn clouds(&self) -> CloudServiceClient<Way> {
        CloudServiceClient::with_interceptor(self.channel.clone(), self.shown.clone())
            .max_decoding_message_size(ANSWER_BYTES)
    }

    /// The service for what was left behind.
    pub(super) fn orphans(&self) -> OrphanServiceClient<Way> {
        OrphanServiceClient::with_interceptor(self.channel.clone(), self.shown.clone())
            .max_decoding_message_size(ANSWER_BYTES)
    }

    /// Waits for an answer, no longer than the settings allow.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.explain(status)),
            Err(_elapsed) => Err(Failure::Unreachable {
                message: format!("{} did not answer within {:?}", self.address, self.timeout),
                guidance: "look into the log of the service, or give it more with --timeout"
                    .to_owned(),
            }),
        }
    }

    /// The same for a call that starts work: what was asked may have begun although no answer came,
    /// and the same request id makes it safe to ask again.
    pub(super) async fn start<T>(
        &self,
        request_id: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let repeat = format!("repeat it with --request-id {request_id}, which is safe");
        match self.ask(call).await {
            Err(Failure::Unreachable { message, guidance }) => Err(Failure::Unreachable {
                message,
                guidance: format!("{guidance}; then {repeat}"),
            }),
            Err(Failure::Refused { status, .. }) if status.code() == Code::Unavailable => {
                Err(Failure::Refused {
                    status,
                    remark: Some(repeat),
                })
            }
            other => other,
        }
    }

    /// A status as a failure: one that tonic made up because nobody answered reads differently.
    pub(super) fn explain(&self, status: Status) -> Failure {
        if !is_broken(&status) {
            return Failure::from(status);
        }
        let mut message = format!("cannot reach a service at {}", self.address);
        let mut cause = std::error::Error::source(&status);
        let mut last = None;
        while let Some(error) = cause {
            last = Some(error.to_string());
            cause = error.source();
        }
        if let Some(last) = last {
            message = format!("{message}: {last}");
        }
        let guidance = tls::guidance(&self.address, &message).unwrap_or(
            "start one with `drbackup serve`, or name its address with --address or DRBACKUP_ADDRESS",
        );
        Failure::Unreachable {
            message,
            guidance: guidance.to_owned(),
        }
    }

    /// One restoration.
    pub(super) async fn restoration(&self, id: &str) -> Result<pb::Restoration, Failure> {
        let request = pb::GetRestorationRequest { id: id.to_owned() };
        self.ask(self.restorations().get_restoration(request)).await
    }

    /// Restorations, every page up to a limit.
    pub(super) async fn list_restorations(
        &self,
        wanted: pb::ListRestorationsRequest,
        limit: Option<usize>,
    ) -> Result<Vec<pb::Restoration>, Failure> {
        every_page!(
            self,
            restorations,
            list_restorations,
            wanted,
            restorations,
            limit
        )
    }

    /// The configured clouds.
    pub(super) async fn list_clouds(&self) -> Result<Vec<pb::Cloud>, Failure> {
        let wanted = pb::ListCloudsRequest::default();
        every_page!(self, clouds, list_clouds, wanted, clouds, None)
    }

    /// The tenants of a cloud.
    pub(super) async fn list_tenants(&self, cloud: &str) -> Result<Vec<pb::Tenant>, Failure> {
        let wanted = pb::ListTenantsRequest {
            cloud: cloud.to_owned(),
            ..pb::ListTenantsRequest::default()
        };
        every_page!(self, clouds, list_tenants, wanted, tenants, None)
    }

    /// The instances of a tenant.
    pub(super) async fn list_instances(
        &self,
        cloud: &str,
        tenant: &str,
    ) -> Result<Vec<pb::Instance>, Failure> {
        let wanted = pb::ListInstancesRequest {
            cloud: cloud.to_owned(),
            tenant: tenant.to_owned(),
            ..pb::ListInstancesRequest::default()
        };
        every_page!(self, clouds, list_instances, wanted, instances, None)
    }

    /// The flavors of a tenant, compared with a DR backup where one is named.
    pub(super) async fn list_flavors(
        &self,
        wanted: pb::ListFlavorsRequest,
    ) -> Result<Vec<pb::Flavor>, Failure> {
        every_page!(self, clouds, list_flavors, wanted, flavors, None)
    }

    /// The networks of a tenant.
    pub(super) async fn list_networks(
        &self,
        cloud: &str,
        tenant: &str,
    ) -> Result<Vec<pb::Network>, Failure> {
        let wanted = pb::ListNetworksRequest {
            cloud: cloud.to_owned(),
            tenant: tenant.to_owned(),
            ..pb::ListNetworksRequest::default()
        };
        every_page!(self, clouds, list_networks, wanted, networks, None)
    }

    /// The volume types of a tenant.
    pub(super) async fn list_volume_types(
        &self,
        cloud: &str,
        tenant: &str,
    ) -> Result<Vec<pb::VolumeType>, Failure> {
        let wanted = pb::ListVolumeTypesRequest {
            cloud: cloud.to_owned(),
            tenant: tenant.to_owned(),
            ..pb::ListVolumeTypesRequest::default()
        };
        every_page!(self, clouds, list_volume_types, wanted, volume_types, None)
    }

    /// Schedules.
    pub(super) async fn list_schedules(
        &self,
        wanted: pb::ListSchedulesRequest,
        limit: Option<usize>,
    ) -> Result<Vec<pb::Schedule>, Failure> {
        every_page!(self, schedules, list_schedules, wanted, schedules, limit)
    }

    /// The runs of a schedule.
    pub(super) async fn list_schedule_runs(
        &self,
        wanted: pb::ListScheduleRunsRequest,
        limit: Option<usize>,
    ) -> Result<Vec<pb::ScheduleRun>, Failure> {
        every_page!(self, schedules, list_schedule_runs, wanted, runs, limit)
    }

    /// The orphans of a tenant.
    pub(super) async fn list_orphans(
        &self,
        wanted: pb::ListOrphansRequest,
    ) -> Result<Vec<pb::Orphan>, Failure> {
        every_page!(self, orphans, list_orphans, wanted, orphans, None)
    }

    /// The last sweep of every tenant.
    pub(super) async fn list_orphan_sweeps(
        &self,
        wanted: pb::ListOrphanSweepsRequest,
    ) -> Result<Vec<pb::OrphanSweep>, Failure> {
        every_page!(self, orphans, list_orphan_sweeps, wanted, sweeps, None)
    }
}

/// Whether a status says that the connection broke or never was, and not that somebody said no.
pub(super) fn is_broken(status: &Status) -> bool {
    // What the service says itself comes without a local cause.
    std::error::Error::source(status).is_some()
}

/// Asks for page after page until there is none, or until there are enough. It ends because a page
/// token that comes again ends it.
pub(super) async fn pages<T, F, Page>(limit: Option<usize>, mut page: F) -> Result<Vec<T>, Failure>
where
    F: FnMut(i32, String) -> Page,
    Page: Future<Output = Result<(Vec<T>, String), Failure>>,
{
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let missing = limit.map(|limit| limit.saturating_sub(all.len()));
        let size = missing
            .and_then(|missing| i32::try_from(missing).ok())
            .map_or(PAGE, |missing| missing.clamp(1, PAGE));
        let (items, next) = page(size, token.clone()).await?;
        all.extend(items);
        if let Some(limit) = limit.filter(|limit| all.len() >= *limit) {
            all.truncate(limit);
            return Ok(all);
        }
        if next.is_empty() || next == token {
            return Ok(all);
        }
        token = next;
    }
}
