//! The door to regular backups; it may not know how one is made.

use futures::future::try_join_all;
use tonic::{Request, Response, Status};

use super::{
    answers::Answers,
    common::{answered, from_sequence, is_full, most_rows},
    convert::{
        backup::{self, Depth},
        fields::Fields,
    },
    filter, page,
    pb::{self, backup_service_server::BackupService},
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

/// The service of regular backups.
pub(super) struct Backups {
    service: Service,
    watches: Watches,
    answers: Answers<pb::Backup>,
}

impl Backups {
    /// A door to `service`, with room for so many answers that are given again.
    pub(super) fn new(service: Service, watches: Watches, answers: usize) -> Self {
        Self {
            service,
            watches,
            answers: Answers::new(answers),
        }
    }

    async fn create(&self, message: pb::CreateBackupRequest) -> Result<pb::Backup, Error> {
        let ask = backup::create(message, self.service.limits())?;
        let only_checked = ask.validate_only;
        let backup = self.service.point_create(ask).await?;
        if !only_checked {
            return self.full(backup, false).await;
        }
        // It has an id in no store, so nobody should ask for it.
        let mut answer = backup::backup(backup, Depth::Basic);
        answer.id.clear();
        answer.etag.clear();
        Ok(answer)
    }

    async fn get(&self, message: pb::GetBackupRequest) -> Result<pb::Backup, Error> {
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
        message: pb::ListBackupsRequest,
    ) -> Result<pb::ListBackupsResponse, Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let full = fields.take("view", is_full(message.view));
        let most = most_rows(limits, full);
        let question = page::Question::new(&[
            "ListBackups",
            message.filter.trim(),
            message.order_by.trim(),
        ]);
        let query = Query {
            filter: fields.take(
                "filter",
                filter::points(PointKind::Regular, &message.filter),
            ),
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
        let backups = if full {
            try_join_all(items.map(|backup| self.full(backup, false))).await?
        } else {
            items
                .map(|backup| backup::backup(backup, Depth::Basic))
                .collect()
        };
        let next_page_token = page::token(&question, page.next);
        Ok(pb::ListBackupsResponse {
            backups,
            next_page_token,
        })
    }

    async fn update(&self, message: pb::UpdateBackupRequest) -> Result<pb::Backup, Error> {
        let ask = backup::update(message, self.service.limits())?;
        let backup = self.service.point_update(ask).await?;
        self.full(backup, false).await
    }

    async fn delete(&self, message: pb::DeleteBackupRequest) -> Result<pb::Backup, Error> {
        let ask = backup::delete(message, self.service.limits())?;
        let backup = self.service.point_delete(ask).await?;
        self.full(backup, false).await
    }

    async fn cancel(&self, message: pb::CancelBackupRequest) -> Result<pb::Backup, Error> {
        let mut fields = Fields::new(self.service.limits());
        let id = PointId::regular(fields.id("id", &message.id));
        let request_id = fields.request_id(message.request_id);
        fields.done()?;
        let backup = self.service.point_cancel(id, &request_id).await?;
        self.full(backup, false).await
    }

    fn id(&self, given: &str) -> Result<PointId, Error> {
        let mut fields = Fields::new(self.service.limits());
        let id = PointId::regular(fields.id("id", given));
        fields.done().map(|()| id)
    }

    /// A regular backup with what is kept beside it.
    async fn full(&self, backup: Point, sensitive: bool) -> Result<pb::Backup, Error> {
        let restorations = self.service.restorations_of(backup.id).await?;
        let depth = Depth::Full {
            restorations: &restorations,
            sensitive,
        };
        Ok(backup::backup(backup, depth))
    }
}

#[tonic::async_trait]
impl BackupService for Backups {
    type WatchBackupStream = EventStream;
    type WatchBackupsStream = EventStream;

    async fn create_backup(
        &self,
        request: Request<pb::CreateBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        answered(self.create(request.into_inner()).await)
    }

    async fn get_backup(
        &self,
        request: Request<pb::GetBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        answered(self.get(request.into_inner()).await)
    }

    async fn list_backups(
        &self,
        request: Request<pb::ListBackupsRequest>,
    ) -> Result<Response<pb::ListBackupsResponse>, Status> {
        answered(self.list(request.into_inner()).await)
    }

    async fn update_backup(
        &self,
        request: Request<pb::UpdateBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        answered(self.update(request.into_inner()).await)
    }

    async fn delete_backup(
        &self,
        request: Request<pb::DeleteBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        answered(self.delete(request.into_inner()).await)
    }

    async fn cancel_backup(
        &self,
        request: Request<pb::CancelBackupRequest>,
    ) -> Result<Response<pb::Backup>, Status> {
        answered(self.cancel(request.into_inner()).await)
    }

    async fn watch_backup(
        &self,
        request: Request<pb::WatchBackupRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let message = request.into_inner();
        let mut fields = Fields::new(self.service.limits());
        let id = PointId::regular(fields.id("id", &message.id));
        let sequence = from_sequence(&mut fields, message.from_sequence);
        fields.done().map_err(|error| status(&error))?;
        let resource = ResourceId::Point(id);
        self.watches
            .one(resource, sequence, message.until_settled)
            .await
            .map(Response::new)
    }

    async fn watch_backups(
        &self,
        request: Request<pb::WatchBackupsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let filter = filter::points(PointKind::Regular, &request.into_inner().filter)
            .map_err(|problem| status(&Error::field("filter", problem)))?;
        let places = self.service.check_filter(&filter).await;
        places.map_err(|error| status(&error.within("filter")))?;
        self.watches.many(filter).await.map(Response::new)
    }
}
