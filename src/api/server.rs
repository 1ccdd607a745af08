//! All services of the door in one value that a listener can serve; it may not know addresses,
//! listeners or signals.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::{
    ServingStatus,
    server::{HealthReporter, health_reporter},
};
use tonic_reflection::server::Builder;

use super::{
    cloud::Clouds,
    limits,
    orphan::Orphans,
    pb::{
        self, DESCRIPTORS, backup_service_server::BackupServiceServer,
        cloud_service_server::CloudServiceServer, dr_backup_service_server::DrBackupServiceServer,
        orphan_service_server::OrphanServiceServer,
        restoration_service_server::RestorationServiceServer,
        schedule_service_server::ScheduleServiceServer,
    },
    point::Points,
    restoration::Restorations,
    schedule::Schedules,
    settings::ApiSettings,
    watch::Watches,
};
use crate::service::Service;

/// The name under which health says `SERVING` as long as the process runs, whatever its database
/// does and also while it takes its leave: for whoever restarts what does not answer.
pub const LIVENESS: &str = "liveness";

/// The door, ready to be served.
pub struct Door {
    /// All services, reflection and health among them.
    pub routes: Routes,
    /// Tells health checks whether to come here: `NOT_SERVING` before `stop`, so that callers stay
    /// away first. [`LIVENESS`] stays `SERVING`.
    pub health: HealthReporter,
}

/// The methods that this door answers, as `package.Service/Method`.
pub fn methods() -> BTreeSet<String> {
    let sets = [DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
    // What was built in can be read.
    let sets = sets.map(|set| FileDescriptorSet::decode(set).unwrap_or_default());
    let files = sets.iter().flat_map(|set| &set.file);
    let methods = files.flat_map(|file| {
        file.service.iter().flat_map(|service| {
            service
                .method
                .iter()
                .map(|method| format!("{}.{}/{}", file.package(), service.name(), method.name()))
        })
    });
    methods.collect()
}

/// The door to `service`; its streams end as `UNAVAILABLE` with `stop`.
///
/// Answers an error only when the descriptors that were built in cannot be read.
pub async fn door(
    service: Service,
    settings: &ApiSettings,
    stop: CancellationToken,
) -> Result<Door, tonic_reflection::server::Error> {
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that a generic client can read the details of a refusal.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let (health, health_service) = health_reporter();
    health
        .set_serving::<DrBackupServiceServer<Points<pb::DrBackup>>>()
        .await;
    health
        .set_serving::<BackupServiceServer<Points<pb::Backup>>>()
        .await;
    health
        .set_serving::<RestorationServiceServer<Restorations>>()
        .await;
    health
        .set_serving::<ScheduleServiceServer<Schedules>>()
        .await;
    health.set_serving::<CloudServiceServer<Clouds>>().await;
    health.set_serving::<OrphanServiceServer<Orphans>>().await;
    health
        .set_service_status(LIVENESS, ServingStatus::Serving)
        .await;

    let watches = Watches::new(settings.streams, stop);
    let dr_backups = Points::new(service.clone(), watches.clone(), settings.answers);
    let schedules = Schedules::new(service.clone(), watches.clone());
    let backups = Points::new(service.clone(), watches.clone(), settings.answers);
    let restorations = Restorations::new(service.clone(), watches, settings.answers);
    limits::prepare();
    // A request may come compressed; it is as long as it is when it is not.
    macro_rules! bounded {
        ($service:expr, $most:expr) => {
            $service
                .max_decoding_message_size($most)
                .accept_compressed(CompressionEncoding::Gzip)
        };
    }
    let (much, little) = (settings.request_bytes, settings.small_request_bytes);
    let clouds = Clouds::new(service.clone());
    let mut routes = Routes::builder();
    routes
        .add_service(bounded!(DrBackupServiceServer::new(dr_backups), much))
        .add_service(bounded!(BackupServiceServer::new(backups), much))
        .add_service(bounded!(RestorationServiceServer::new(restorations), much))
        .add_service(bounded!(ScheduleServiceServer::new(schedules), much))
        .add_service(bounded!(CloudServiceServer::new(clouds), little))
        .add_service(bounded!(
            OrphanServiceServer::new(Orphans::new(service)),
            much
        ))
        .add_service(bounded!(reflection().build_v1()?, little))
        .add_service(bounded!(reflection().build_v1alpha()?, little))
        .add_service(bounded!(health_service, little));
    Ok(Door {
        routes: routes.routes(),
        health,
    })
}
