//! The door to schedules; it may not know when one runs.

use tonic::{Request, Response, Status};

use super::{
    common::{Call, Door, List, answered, called, in_message, our_id, watched},
    convert::{fields::Fields, schedule},
    filter, page,
    pb::{self, schedule_service_server::ScheduleService},
    watch::{EventStream, Watches},
};
use crate::{
    domain::{
        error::Error,
        id::{ResourceId, ScheduleId},
    },
    service::Service,
};

/// Runs that a preview tells when the caller names no number.
const PREVIEWED: u32 = 10;

/// The message of a request that holds the schedule.
const MESSAGE: &str = "schedule";

/// The service of schedules.
pub(super) struct Schedules {
    service: Service,
    watches: Watches,
}

impl Schedules {
    /// A door to `service`.
    pub(super) fn new(service: Service, watches: Watches) -> Self {
        Self { service, watches }
    }
}

impl Door for Schedules {
    fn service(&self) -> &Service {
        &self.service
    }
}

impl Call<'_, Schedules> {
    async fn create(&self, message: pb::CreateScheduleRequest) -> Result<pb::Schedule, Error> {
        let ask = schedule::create(message, self.service.limits())?;
        let only_checked = ask.validate_only;
        let made = self.service.schedule_create(ask).await;
        let made = made.map_err(|error| in_message(error, MESSAGE))?;
        let mut answer = schedule::schedule(made);
        if only_checked {
            // It has an id in no store, so nobody should ask for it.
            answer.id.clear();
            answer.etag.clear();
        }
        Ok(answer)
    }

    async fn list(
        &self,
        message: pb::ListSchedulesRequest,
    ) -> Result<pb::ListSchedulesResponse, Error> {
        let limits = self.service.limits();
        let key = self.service.page_key().await?;
        let list = List {
            method: "ListSchedules",
            filter: &message.filter,
            order_by: &message.order_by,
            page_token: &message.page_token,
            page_size: message.page_size,
        };
        let (fields, most) = (Fields::new(limits), limits.page_max);
        let (question, query) = list.query(key, fields, limits, most, filter::schedules)?;
        let page = self.service.schedules_list(query).await;
        let page = page.map_err(|error| error.within("filter"))?;
        Ok(pb::ListSchedulesResponse {
            schedules: page.items.into_iter().map(schedule::schedule).collect(),
            next_page_token: page::token(&question, page.next),
        })
    }

    async fn runs(
        &self,
        message: pb::ListScheduleRunsRequest,
    ) -> Result<pb::ListScheduleRunsResponse, Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let key = self.service.page_key().await?;
        let parts = [
            "ListScheduleRuns",
            &message.schedule_id,
            message.filter.trim(),
        ];
        let question = page::Question::new(key, &parts);
        let id = ScheduleId(fields.id("schedule_id", &message.schedule_id));
        let outcome = fields.take("filter", filter::runs(&message.filter));
        let after = fields.take("page_token", page::cursor(&question, &message.page_token));
        let limit = fields.take(
            "page_size",
            page::size(message.page_size, limits.page_default, limits.page_max),
        );
        fields.done()?;
        let page = self.service.runs_list(id, outcome, after, limit).await?;
        Ok(pb::ListScheduleRunsResponse {
            runs: page.items.into_iter().map(schedule::run).collect(),
            next_page_token: page::token(&question, page.next),
        })
    }

    async fn preview(
        &self,
        message: pb::PreviewScheduleRequest,
    ) -> Result<pb::PreviewScheduleResponse, Error> {
        let limits = self.service.limits();
        let mut fields = Fields::new(limits);
        let id = ScheduleId(fields.id("id", &message.id));
        let runs = fields.take(
            "run_count",
            page::size(message.run_count, PREVIEWED, self.service.previewed_runs()),
        );
        fields.done()?;
        let preview = self.service.schedule_preview(id, runs).await?;
        let verdicts = preview.judgement.verdicts.iter();
        Ok(pb::PreviewScheduleResponse {
            run_times: preview.runs.into_iter().map(super::convert::time).collect(),
            verdicts: verdicts.map(schedule::verdict).collect(),
        })
    }
}

/// Asks the service about one schedule and answers with it.
macro_rules! one {
    ($self:ident, $request:ident, $method:ident, $convert:path) => {{
        let (call, message) = called($self, $request)?;
        let limits = call.service.limits();
        let done = match schedule::one(&message.id, message.etag, message.request_id, limits) {
            Ok(ask) => call.service.$method(ask).await,
            Err(error) => Err(error),
        };
        answered(done.map($convert))
    }};
}

#[tonic::async_trait]
impl ScheduleService for Schedules {
    type WatchScheduleStream = EventStream;

    async fn create_schedule(
        &self,
        request: Request<pb::CreateScheduleRequest>,
    ) -> Result<Response<pb::Schedule>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.create(message).await)
    }

    async fn get_schedule(
        &self,
        request: Request<pb::GetScheduleRequest>,
    ) -> Result<Response<pb::Schedule>, Status> {
        let (call, message) = called(self, request)?;
        let found = match our_id(call.service.limits(), &message.id) {
            Ok(id) => call.service.schedule_get(ScheduleId(id)).await,
            Err(error) => Err(error),
        };
        answered(found.map(schedule::schedule))
    }

    async fn list_schedules(
        &self,
        request: Request<pb::ListSchedulesRequest>,
    ) -> Result<Response<pb::ListSchedulesResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.list(message).await)
    }

    async fn update_schedule(
        &self,
        request: Request<pb::UpdateScheduleRequest>,
    ) -> Result<Response<pb::Schedule>, Status> {
        let (call, message) = called(self, request)?;
        let changed = match schedule::update(message, call.service.limits()) {
            Ok(ask) => {
                let changed = call.service.schedule_update(ask).await;
                changed.map_err(|error| in_message(error, MESSAGE))
            }
            Err(error) => Err(error),
        };
        answered(changed.map(schedule::schedule))
    }

    async fn delete_schedule(
        &self,
        request: Request<pb::DeleteScheduleRequest>,
    ) -> Result<Response<pb::Schedule>, Status> {
        one!(self, request, schedule_delete, schedule::schedule)
    }

    async fn activate_schedule(
        &self,
        request: Request<pb::ActivateScheduleRequest>,
    ) -> Result<Response<pb::Schedule>, Status> {
        one!(self, request, schedule_activate, schedule::schedule)
    }

    async fn deactivate_schedule(
        &self,
        request: Request<pb::DeactivateScheduleRequest>,
    ) -> Result<Response<pb::Schedule>, Status> {
        one!(self, request, schedule_deactivate, schedule::schedule)
    }

    async fn run_schedule(
        &self,
        request: Request<pb::RunScheduleRequest>,
    ) -> Result<Response<pb::ScheduleRun>, Status> {
        let (call, message) = called(self, request)?;
        let limits = call.service.limits();
        let begun = match schedule::one(&message.id, message.etag, message.request_id, limits) {
            Ok(ask) => {
                let begun = call.service.schedule_run(ask).await;
                // What is wrong was asked for when the schedule was made.
                begun.map_err(|error| in_message(error, MESSAGE))
            }
            Err(error) => Err(error),
        };
        answered(begun.map(schedule::run))
    }

    async fn preview_schedule(
        &self,
        request: Request<pb::PreviewScheduleRequest>,
    ) -> Result<Response<pb::PreviewScheduleResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.preview(message).await)
    }

    async fn list_schedule_runs(
        &self,
        request: Request<pb::ListScheduleRunsRequest>,
    ) -> Result<Response<pb::ListScheduleRunsResponse>, Status> {
        let (call, message) = called(self, request)?;
        answered(call.runs(message).await)
    }

    async fn watch_schedule(
        &self,
        request: Request<pb::WatchScheduleRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let (call, message) = called(self, request)?;
        let limits = call.service.limits();
        let (id, sequence) = watched(limits, &message.id, message.from_sequence)?;
        // A schedule is always at rest, so a stream over it ends only when it is gone.
        call.door
            .watches
            .one(
                call.source(),
                ResourceId::Schedule(ScheduleId(id)),
                sequence,
                false,
            )
            .await
            .map(Response::new)
    }
}
