//! What the doors to DR backups and to regular backups do alike; it may not know how one is made.

use futures::future::try_join_all;
use tonic::Status;

use super::{
    answers::Answers,
    common::{Call, Door, List, in_message, is_full, most_rows, our_id, watched},
    convert::{
        fields::Fields,
        point::{self, Depth, Message},
    },
    filter, page, pb,
    status::status,
    watch::{EventStream, Watches},
};
use crate::{
    domain::{
        error::Error,
        id::{PointId, ResourceId},
        point::Point,
    },
    service::Service,
};

/// The service of the points of a kind; it takes what is asked by the words of DR backups.
pub(super) struct Points<M> {
    service: Service,
    watches: Watches,
    answers: Answers<M>,
}

impl<M: Message> Points<M> {
    /// A door to `service`, with room for so many answers that are given again.
    pub(super) fn new(service: Service, watches: Watches, answers: usize) -> Self {
        Self {
            service,
            watches,
            answers: Answers::new(answers),
        }
    }
}

impl<M: Message> Door for Points<M> {
    fn service(&self) -> &Service {
        &self.service
    }
}

impl<M: Message> Call<'_, Points<M>> {
    /// Makes one.
    pub(super) async fn create(&self, message: pb::CreateDrBackupRequest) -> Result<M, Error> {
        let ask = point::create(M::KIND, message, self.service.limits())?;
        let only_checked = ask.validate_only;
        let point = self.service.point_create(ask).await?;
        if only_checked {
            return Ok(M::told(point, Depth::Checked));
        }
        self.full(point, false).await
    }

    /// Tells of one.
    pub(super) async fn get(&self, id: &str, sensitive: bool) -> Result<M, Error> {
        let id = of_kind::<M>(our_id(self.service.limits(), id)?);
        // What is sensitive is kept nowhere but in the store.
        let version = self.service.version().filter(|_| !sensitive);
        let whole = async {
            let point = self.service.point_get(id).await?;
            self.full(point, sensitive).await
        };
        self.door
            .answers
            .answer(version, self.service.caller().scope(), id.id, whole)
            .await
    }

    /// A page of them, and the token of the next.
    pub(super) async fn list(
        &self,
        message: pb::ListDrBackupsRequest,
    ) -> Result<(Vec<M>, String), Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let full = fields.take("view", is_full(message.view));
        let key = self.service.page_key().await?;
        let list = List {
            method: M::LIST,
            filter: &message.filter,
            order_by: &message.order_by,
            page_token: &message.page_token,
            page_size: message.page_size,
        };
        let filter = |text: &str| filter::points(M::KIND, text);
        let (question, query) = list.query(key, fields, limits, most_rows(limits, full), filter)?;
        let page = self.service.points_list(query).await;
        let page = page.map_err(|error| error.within("filter"))?;
        let items = page.items.into_iter();
        let told = if full {
            try_join_all(items.map(|point| self.full(point, false))).await?
        } else {
            items.map(|point| M::told(point, Depth::Basic)).collect()
        };
        Ok((told, page::token(&question, page.next)))
    }

    /// Changes one.
    pub(super) async fn update(&self, message: pb::UpdateDrBackupRequest) -> Result<M, Error> {
        let ask = point::update(M::KIND, message, self.service.limits())?;
        let changed = self.service.point_update(ask).await;
        let point = changed.map_err(|error| in_message(error, point::message(M::KIND)))?;
        self.full(point, false).await
    }

    /// Deletes one.
    pub(super) async fn delete(&self, message: pb::DeleteDrBackupRequest) -> Result<M, Error> {
        let ask = point::delete(M::KIND, message, self.service.limits())?;
        let point = self.service.point_delete(ask).await?;
        self.full(point, false).await
    }

    /// Cancels what is under way with one.
    pub(super) async fn cancel(&self, id: &str, request_id: String) -> Result<M, Error> {
        let mut fields = Fields::new(self.service.limits());
        let id = of_kind::<M>(fields.id("id", id));
        let request_id = fields.request_id(request_id);
        fields.done()?;
        let point = self.service.point_cancel(id, &request_id).await?;
        self.full(point, false).await
    }

    /// The events of one.
    pub(super) async fn watch(
        &self,
        id: &str,
        from_sequence: i64,
        until_settled: bool,
    ) -> Result<EventStream, Status> {
        let (id, sequence) = watched(self.service.limits(), id, from_sequence)?;
        let resource = ResourceId::Point(of_kind::<M>(id));
        self.door
            .watches
            .one(self.source(), resource, sequence, until_settled)
            .await
    }

    /// The events of all that a filter fits.
    pub(super) async fn watch_all(&self, filter: &str) -> Result<EventStream, Status> {
        let filter = filter::points(M::KIND, filter)
            .map_err(|problem| status(&Error::field("filter", problem)))?;
        let places = self.service.check_filter(&filter).await;
        places.map_err(|error| status(&error.within("filter")))?;
        self.door.watches.many(self.source(), filter).await
    }

    /// One with what is kept beside it.
    async fn full(&self, point: Point, sensitive: bool) -> Result<M, Error> {
        let restorations = self.service.restorations_of(point.id).await?;
        let mirrors = self.service.point_mirrors(&point).await?;
        if sensitive {
            self.service.check_sensitive(&point.tenant)?;
        }
        let depth = Depth::Full {
            restorations: &restorations,
            mirrors: &mirrors,
            sensitive,
        };
        Ok(M::told(point, depth))
    }
}

fn of_kind<M: Message>(id: uuid::Uuid) -> PointId {
    PointId { kind: M::KIND, id }
}
