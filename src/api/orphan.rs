//! The door to what was left behind in clouds; it may not know how it is found.

use tonic::{Request, Response, Status};

use super::{
    cloud::{Asked, Cut},
    common::{Call, Door, answered, called},
    convert::{
        fields::{Fields, tenant},
        orphan,
    },
    pb::{self, orphan_service_server::OrphanService},
};
use crate::{
    domain::{
        error::Error,
        id::{CloudName, ProjectId},
        page::Filter,
    },
    service::Service,
};

/// The service of orphans.
pub(super) struct Orphans {
    service: Service,
}

impl Orphans {
    /// A door to `service`.
    pub(super) fn new(service: Service) -> Self {
        Self { service }
    }
}

impl Door for Orphans {
    fn service(&self) -> &Service {
        &self.service
    }
}

impl Call<'_, Orphans> {
    async fn orphans(
        &self,
        message: pb::ListOrphansRequest,
    ) -> Result<pb::ListOrphansResponse, Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let key = self.service.page_key().await?;
        let cut = Cut::new(
            key,
            &mut fields,
            limits,
            &["ListOrphans", &message.cloud, &message.tenant],
            Asked(&message.filter, &message.page_token, message.page_size),
            &["id", "name", "kind", "status", "operation_id"],
        );
        let tenant = tenant(&mut fields, message.cloud, message.tenant);
        cut.among(&mut fields, "kind", &orphan::kind_words());
        fields.done()?;
        let found = self.service.orphans_list(&tenant).await?;
        let rows = found.into_iter().map(|one| orphan::orphan(&tenant, one));
        let (orphans, next_page_token) = cut.page(rows.collect(), |orphan, field| match field {
            "name" => orphan.name.clone(),
            "kind" => orphan::kind_word(orphan.kind()),
            "status" => orphan.status.clone(),
            "operation_id" => orphan.operation_id.clone(),
            _ => orphan.id.clone(),
        })?;
        Ok(pb::ListOrphansResponse {
            orphans,
            next_page_token,
        })
    }

    async fn delete(
        &self,
        message: pb::DeleteOrphansRequest,
    ) -> Result<pb::DeleteOrphansResponse, Error> {
        let ask = orphan::delete(message, self.service.limits())?;
        let farewells = self.service.orphans_delete(ask).await?;
        Ok(pb::DeleteOrphansResponse {
            deletions: farewells.into_iter().map(orphan::deletion).collect(),
        })
    }

    async fn sweeps(
        &self,
        message: pb::ListOrphanSweepsRequest,
    ) -> Result<pb::ListOrphanSweepsResponse, Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let key = self.service.page_key().await?;
        let cut = Cut::new(
            key,
            &mut fields,
            limits,
            &["ListOrphanSweeps"],
            Asked(&message.filter, &message.page_token, message.page_size),
            &["cloud", "tenant"],
        );
        fields.done()?;
        let place = Filter {
            cloud: cut.wanted("cloud").map(CloudName::new),
            project: cut.wanted("tenant").map(ProjectId::new),
            ..Filter::default()
        };
        let rows = self.service.sweeps_list(&place).await;
        let rows = rows.map_err(|error| error.within("filter"))?;
        let rows = rows.iter().map(orphan::sweep).collect();
        // A page is cut by name and id: of a sweep these are its cloud and its tenant.
        let (sweeps, next_page_token) = cut.page(rows, |sweep, field| match field {
            "cloud" | "name" => sweep.cloud.clone(),
            _ => sweep.tenant.clone(),
        })?;
        Ok(pb::ListOrphanSweepsResponse {
            sweeps,
            next_page_token,
        })
    }
}

#[tonic::async_trait]
impl OrphanService for Orphans {
    async fn list_orphans(
        &self,
        request: Request<pb::ListOrphansRequest>,
    ) -> Result<Response<pb::ListOrphansResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.orphans(message).await)
    }

    async fn delete_orphans(
        &self,
        request: Request<pb::DeleteOrphansRequest>,
    ) -> Result<Response<pb::DeleteOrphansResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.delete(message).await)
    }

    async fn list_orphan_sweeps(
        &self,
        request: Request<pb::ListOrphanSweepsRequest>,
    ) -> Result<Response<pb::ListOrphanSweepsResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.sweeps(message).await)
    }
}
