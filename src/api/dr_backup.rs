//! The door to DR backups; it may not know how one is made.

use futures::future::try_join_all;
use tonic::{Request, Response, Status};

use super::{
    answers::Answers,
    common::{answered, from_sequence, is_full, most_rows},
    convert::{
        dr_backup::{self, Depth},
        fields::Fields,
    },
    filter, page,
    pb::{self, dr_backup_service_server::DrBackupService},
    status::status,
    watch::{EventStream, Watches},
};
use crate::{
    domain::{
        error::Error,
        id::{PointId, PointKind, ResourceId},
        page::Query,
        point::Point,
    },
    service::Service,
};

/// The service of DR backups.
pub(super) struct DrBackups {
    service: Service,
    watches: Watches,
    answers: Answers<pb::DrBackup>,
}

impl DrBackups {
    /// A door to `service`, with room for so many answers that are given again.
    pub(super) fn new(service: Service, watches: Watches, answers: usize) -> Self {
        Self {
            service,
            watches,
            answers: Answers::new(answers),
        }
    }

    async fn create(&self, message: pb::CreateDrBackupRequest) -> Result<pb::DrBackup, Error> {
        let ask = dr_backup::create(message, self.service.limits())?;
        let only_checked = ask.validate_only;
        let backup = self.service.point_create(ask).await?;
        if !only_checked {
            return self.full(backup, false).await;
        }
        // It has an id in no store, so nobody should ask for it.
        let mut answer = dr_backup::dr_backup(backup, Depth::Basic);
        answer.id.clear();
        answer.etag.clear();
        Ok(answer)
    }

    async fn get(&self, message: pb::GetDrBackupRequest) -> Result<pb::DrBackup, Error> {
        let id = self.id(&message.id)?;
        // What is sensitive is kept nowhere but in the store.
        let version = self
            .service
            .version()
            .filter(|_| !message.include_sensitive);
        let whole = async {
            let backup = self.service.point_get(id).await?;
            self.full(backup, message.include_sensitive).await
        };
        self.answers.answer(version, id.id, whole).await
    }

    async fn list(
        &self,
        message: pb::ListDrBackupsRequest,
    ) -> Result<pb::ListDrBackupsResponse, Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let full = fields.take("view", is_full(message.view));
        let most = most_rows(limits, full);
        let question = page::Question::new(&[
            "ListDRBackups",
            message.filter.trim(),
            message.order_by.trim(),
        ]);
        let query = Query {
            filter: fields.take("filter", filter::points(PointKind::Dr, &message.filter)),
            order: fields.take("order_by", filter::order(&message.order_by)),
            after: fields.take("page_token", page::cursor(&question, &message.page_token)),
            skip: 0,
            limit: fields.take(
                "page_size",
                page::size(message.page_size, limits.page_default, most),
            ),
        };
        fields.done()?;
        let page = self.service.points_list(query).await;
        let page = page.map_err(|error| error.within("filter"))?;
        let items = page.items.into_iter();
        let dr_backups = if full {
            try_join_all(items.map(|backup| self.full(backup, false))).await?
        } else {
            items
                .map(|backup| dr_backup::dr_backup(backup, Depth::Basic))
                .collect()
        };
        let next_page_token = page::token(&question, page.next);
        Ok(pb::ListDrBackupsResponse {
            dr_backups,
            next_page_token,
        })
    }

    async fn update(&self, message: pb::UpdateDrBackupRequest) -> Result<pb::DrBackup, Error> {
        let ask = dr_backup::update(message, self.service.limits())?;
        let backup = self.service.point_update(ask).await?;
        self.full(backup, false).await
    }

    async fn delete(&self, message: pb::DeleteDrBackupRequest) -> Result<pb::DrBackup, Error> {
        let ask = dr_backup::delete(message, self.service.limits())?;
        let backup = self.service.point_delete(ask).await?;
        self.full(backup, false).await
    }

    async fn cancel(&self, message: pb::CancelDrBackupRequest) -> Result<pb::DrBackup, Error> {
        let mut fields = Fields::new(self.service.limits());
        let id = PointId::dr(fields.id("id", &message.id));
        let request_id = fields.request_id(message.request_id);
        fields.done()?;
        let backup = self.service.point_cancel(id, &request_id).await?;
        self.full(backup, false).await
    }

    fn id(&self, given: &str) -> Result<PointId, Error> {
        let mut fields = Fields::new(self.service.limits());
        let id = PointId::dr(fields.id("id", given));
        fields.done().map(|()| id)
    }

    /// A DR backup with what is kept beside it.
    async fn full(&self, backup: Point, sensitive: bool) -> Result<pb::DrBackup, Error> {
        let restorations = self.service.restorations_of(backup.id).await?;
        let mirrors = self.service.point_mirrors(backup.id).await?;
        let depth = Depth::Full {
            restorations: &restorations,
            mirrors: &mirrors,
            sensitive,
        };
        Ok(dr_backup::dr_backup(backup, depth))
    }
}

#[tonic::async_trait]
impl DrBackupService for DrBackups {
    type WatchDRBackupStream = EventStream;
    type WatchDRBackupsStream = EventStream;

    async fn create_dr_backup(
        &self,
        request: Request<pb::CreateDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        answered(self.create(request.into_inner()).await)
    }

    async fn get_dr_backup(
        &self,
        request: Request<pb::GetDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        answered(self.get(request.into_inner()).await)
    }

    async fn list_dr_backups(
        &self,
        request: Request<pb::ListDrBackupsRequest>,
    ) -> Result<Response<pb::ListDrBackupsResponse>, Status> {
        answered(self.list(request.into_inner()).await)
    }

    async fn update_dr_backup(
        &self,
        request: Request<pb::UpdateDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        answered(self.update(request.into_inner()).await)
    }

    async fn delete_dr_backup(
        &self,
        request: Request<pb::DeleteDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        answered(self.delete(request.into_inner()).await)
    }

    async fn cancel_dr_backup(
        &self,
        request: Request<pb::CancelDrBackupRequest>,
    ) -> Result<Response<pb::DrBackup>, Status> {
        answered(self.cancel(request.into_inner()).await)
    }

    async fn watch_dr_backup(
        &self,
        request: Request<pb::WatchDrBackupRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let message = request.into_inner();
        let mut fields = Fields::new(self.service.limits());
        let id = PointId::dr(fields.id("id", &message.id));
        let sequence = from_sequence(&mut fields, message.from_sequence);
        fields.done().map_err(|error| status(&error))?;
        let resource = ResourceId::Point(id);
        self.watches
            .one(resource, sequence, message.until_settled)
            .await
            .map(Response::new)
    }

    async fn watch_dr_backups(
        &self,
        request: Request<pb::WatchDrBackupsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let filter = filter::points(PointKind::Dr, &request.into_inner().filter)
            .map_err(|problem| status(&Error::field("filter", problem)))?;
        let places = self.service.check_filter(&filter).await;
        places.map_err(|error| status(&error.within("filter")))?;
        self.watches.many(filter).await.map(Response::new)
    }
}
