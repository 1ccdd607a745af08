//! The door to restorations; it may not know how an instance is rebuilt.

use tonic::{Request, Response, Status};

use super::{
    answers::Answers,
    common::{Call, Door, List, answered, called, our_id, watched},
    convert::{fields::Fields, manifest::manifest, restoration},
    filter, page,
    pb::{self, restoration_service_server::RestorationService},
    watch::{EventStream, Watches},
};
use crate::{
    domain::{
        error::Error,
        id::{InstanceId, ResourceId, RestorationId},
    },
    service::Service,
};

/// The service of restorations.
pub(super) struct Restorations {
    service: Service,
    watches: Watches,
    answers: Answers<pb::Restoration>,
}

/// By what a restored instance is named.
enum Which {
    /// By the restoration that makes it.
    Restoration(RestorationId),
    /// By our own id.
    Instance(InstanceId),
}

impl Restorations {
    /// A door to `service`, with room for so many answers that are given again.
    pub(super) fn new(service: Service, watches: Watches, answers: usize) -> Self {
        Self {
            service,
            watches,
            answers: Answers::new(answers),
        }
    }
}

impl Door for Restorations {
    fn service(&self) -> &Service {
        &self.service
    }
}

impl Call<'_, Restorations> {
    async fn create(
        &self,
        message: pb::CreateRestorationRequest,
    ) -> Result<pb::Restoration, Error> {
        let ask = restoration::create(message, self.service.limits())?;
        let only_checked = ask.validate_only;
        let mut answer = restoration::restoration(self.service.restoration_create(ask).await?);
        if only_checked {
            // It has ids in no store, so nobody should ask for them.
            answer.id.clear();
            answer.etag.clear();
            if let Some(instance) = &mut answer.instance {
                instance.id.clear();
                instance.restoration_id.clear();
            }
        }
        Ok(answer)
    }

    async fn get(&self, message: pb::GetRestorationRequest) -> Result<pb::Restoration, Error> {
        let id = RestorationId(our_id(self.service.limits(), &message.id)?);
        let version = self.service.version();
        let whole = async {
            let found = self.service.restoration_get(id).await?;
            Ok(restoration::restoration(found))
        };
        self.door
            .answers
            .answer(version, self.service.caller().scope(), id.0, whole)
            .await
    }

    async fn list(
        &self,
        message: pb::ListRestorationsRequest,
    ) -> Result<pb::ListRestorationsResponse, Error> {
        let limits = self.service.limits();
        let key = self.service.page_key().await?;
        let list = List {
            method: "ListRestorations",
            filter: &message.filter,
            order_by: &message.order_by,
            page_token: &message.page_token,
            page_size: message.page_size,
        };
        let (fields, most) = (Fields::new(limits), limits.page_max);
        let (question, query) = list.query(key, fields, limits, most, filter::restorations)?;
        let page = self.service.restorations_list(query).await;
        let page = page.map_err(|error| error.within("filter"))?;
        Ok(pb::ListRestorationsResponse {
            restorations: page
                .items
                .into_iter()
                .map(restoration::restoration)
                .collect(),
            next_page_token: page::token(&question, page.next),
        })
    }

    async fn cancel(
        &self,
        message: pb::CancelRestorationRequest,
    ) -> Result<pb::Restoration, Error> {
        let mut fields = Fields::new(self.service.limits());
        let id = RestorationId(fields.id("id", &message.id));
        let request_id = fields.request_id(message.request_id);
        fields.done()?;
        self.service
            .restoration_cancel(id, &request_id, message.keep_volumes)
            .await
            .map(restoration::restoration)
    }

    async fn delete(
        &self,
        message: pb::DeleteRestorationRequest,
    ) -> Result<pb::Restoration, Error> {
        let ask = restoration::delete(message, self.service.limits())?;
        self.service
            .restoration_delete(ask)
            .await
            .map(restoration::restoration)
    }

    async fn instance(
        &self,
        message: pb::GetRestoredInstanceRequest,
    ) -> Result<pb::RestoredInstance, Error> {
        let restoration = match self.which(&message)? {
            Which::Restoration(id) => self.service.restoration_get(id).await?,
            Which::Instance(id) => self.service.restoration_of_instance(id).await?,
        };
        if message.include_sensitive {
            self.service.check_sensitive(&restoration.tenant)?;
        }
        let mut answer = restoration::instance(&restoration);
        if let Some(read) = self.service.restored_instance(&restoration).await? {
            answer.status.clone_from(&read.status);
            answer.manifest = Some(manifest(&read, message.include_sensitive));
        }
        Ok(answer)
    }

    /// Which instance is meant: one id of the two says so.
    fn which(&self, message: &pb::GetRestoredInstanceRequest) -> Result<Which, Error> {
        let mut fields = Fields::new(self.service.limits());
        let (restoration, instance) = (&message.restoration_id, &message.instance_id);
        let which = if instance.is_empty() {
            Which::Restoration(RestorationId(fields.id("restoration_id", restoration)))
        } else {
            Which::Instance(InstanceId(fields.id("instance_id", instance)))
        };
        if !restoration.is_empty() && !instance.is_empty() {
            fields.bad("instance_id", "cannot be given beside restoration_id");
        }
        if restoration.is_empty() && instance.is_empty() {
            fields.bad(
                "instance_id",
                "is required where restoration_id is not given",
            );
        }
        fields.done().map(|()| which)
    }
}

#[tonic::async_trait]
impl RestorationService for Restorations {
    type WatchRestorationStream = EventStream;

    async fn create_restoration(
        &self,
        request: Request<pb::CreateRestorationRequest>,
    ) -> Result<Response<pb::Restoration>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.create(message).await)
    }

    async fn get_restoration(
        &self,
        request: Request<pb::GetRestorationRequest>,
    ) -> Result<Response<pb::Restoration>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.get(message).await)
    }

    async fn list_restorations(
        &self,
        request: Request<pb::ListRestorationsRequest>,
    ) -> Result<Response<pb::ListRestorationsResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.list(message).await)
    }

    async fn cancel_restoration(
        &self,
        request: Request<pb::CancelRestorationRequest>,
    ) -> Result<Response<pb::Restoration>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.cancel(message).await)
    }

    async fn delete_restoration(
        &self,
        request: Request<pb::DeleteRestorationRequest>,
    ) -> Result<Response<pb::Restoration>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.delete(message).await)
    }

    async fn watch_restoration(
        &self,
        request: Request<pb::WatchRestorationRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let (call, message) = called(self, request)?;
        let limits = call.service.limits();
        let (id, sequence) = watched(limits, &message.id, message.from_sequence)?;
        let resource = ResourceId::Restoration(RestorationId(id));
        call.door
            .watches
            .one(call.source(), resource, sequence, message.until_settled)
            .await
            .map(Response::new)
    }

    async fn get_restored_instance(
        &self,
        request: Request<pb::GetRestoredInstanceRequest>,
    ) -> Result<Response<pb::RestoredInstance>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.instance(message).await)
    }
}
