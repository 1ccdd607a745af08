//! What the doors of several resources do alike; it may not know any of them.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{convert::fields::Fields, filter, page, pb, status::status, watch::EventSource};
use crate::{
    domain::{
        error::Error,
        page::{Filter, PageKey, Query},
    },
    service::{
        Service,
        acting::{Acting, Login},
        settings::RequestSettings,
    },
};

/// Rows of a page in which each row has everything: what clients take in one message.
const FULL_PAGE: u32 = 100;

/// Whether a view has everything.
pub(super) fn is_full(view: i32) -> Result<bool, String> {
    match pb::View::try_from(view) {
        Ok(pb::View::Unspecified | pb::View::Basic) => Ok(false),
        Ok(pb::View::Full) => Ok(true),
        Err(_) => Err(format!("{view} is not a view that is known here")),
    }
}

/// Rows of a page at most.
pub(super) fn most_rows(limits: &RequestSettings, full: bool) -> u32 {
    if full {
        limits.page_max.min(FULL_PAGE)
    } else {
        limits.page_max
    }
}

/// The door to a kind of resource.
pub(super) trait Door {
    /// The service behind it.
    fn service(&self) -> &Service;
}

/// One call at a door, with the service as its caller may use it.
pub(super) struct Call<'a, D> {
    /// The door.
    pub(super) door: &'a D,
    /// The service.
    pub(super) service: Acting,
}

/// The call of a request, and its message. Whoever was not recognised on the way here is nobody.
pub(super) fn called<D: Door, T>(
    door: &D,
    request: Request<T>,
) -> Result<(Call<'_, D>, T), Status> {
    let login = request.extensions().get::<Login>().cloned();
    let login = login.ok_or_else(|| status(&Error::unknown_caller()))?;
    let service = door.service().acting(login);
    Ok((Call { door, service }, request.into_inner()))
}

impl<D> Call<'_, D> {
    /// What streams read from.
    pub(super) fn source(&self) -> Arc<dyn EventSource> {
        Arc::new(self.service.clone())
    }
}

/// What a list of ours is asked for.
pub(super) struct List<'a> {
    /// The method, to which the tokens of its pages belong.
    pub(super) method: &'a str,
    /// What narrows it.
    pub(super) filter: &'a str,
    /// By what it is ordered.
    pub(super) order_by: &'a str,
    /// Which page.
    pub(super) page_token: &'a str,
    /// Rows of a page.
    pub(super) page_size: i32,
}

impl List<'_> {
    /// The question that a page answers, with its `filter` read; at most `most` rows.
    pub(super) fn query(
        &self,
        key: &PageKey,
        mut fields: Fields<'_>,
        limits: &RequestSettings,
        most: u32,
        filter: impl Fn(&str) -> Result<Filter, String>,
    ) -> Result<(page::Question, Query), Error> {
        let question = page::Question::new(
            key,
            &[self.method, self.filter.trim(), self.order_by.trim()],
        );
        let size = page::size(self.page_size, limits.page_default, most);
        let query = Query {
            filter: fields.take("filter", filter(self.filter)),
            order: fields.take("order_by", filter::order(self.order_by)),
            after: fields.take("page_token", page::cursor(&question, self.page_token)),
            limit: fields.take("page_size", size),
            ..Query::default()
        };
        fields.done().map(|()| (question, query))
    }
}

/// The id of ours in a request that has nothing else to check.
pub(super) fn our_id(limits: &RequestSettings, given: &str) -> Result<Uuid, Error> {
    let mut fields = Fields::new(limits);
    let id = fields.id("id", given);
    fields.done().map(|()| id)
}

/// What is to be watched, and where its stream is to begin.
pub(super) fn watched(
    limits: &RequestSettings,
    id: &str,
    from_sequence: i64,
) -> Result<(Uuid, u64), Status> {
    let mut fields = Fields::new(limits);
    let id = fields.id("id", id);
    let sequence = u64::try_from(from_sequence).map_err(|_| "is negative");
    let sequence = fields.take("from_sequence", sequence);
    fields.done().map_err(|error| status(&error))?;
    Ok((id, sequence))
}

/// An error of the service about a resource that is a `message` of its own in the request: the fields are those
/// of that message, but for what the request itself has.
pub(super) fn in_message(error: Error, message: &str) -> Error {
    error.with_fields(|field| match field {
        "request_id" => field.to_owned(),
        _ => format!("{message}.{field}"),
    })
}

/// The answer to a call.
pub(super) fn answered<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(|error| status(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::{BadField, ErrorKind};

    #[test]
    fn fields_of_the_message_are_named_with_it_and_those_of_the_request_are_not() {
        let bad = |field: &str| BadField {
            field: field.to_owned(),
            problem: "is required".to_owned(),
        };
        let told = in_message(
            Error::fields(vec![bad("name"), bad("request_id")]),
            "backup",
        );
        assert_eq!(
            told,
            Error::fields(vec![bad("backup.name"), bad("request_id")])
        );

        let of = |field: &str, message: &str| {
            Error::new(ErrorKind::Unreached, message).about(Some(field.to_owned()))
        };
        let told = in_message(of("tenant", "tenant: it is not reached"), "schedule");
        assert_eq!(
            told,
            of("schedule.tenant", "schedule.tenant: it is not reached")
        );
        let told = in_message(of("tenant", "tenants are many"), "schedule");
        assert_eq!(told, of("schedule.tenant", "tenants are many"));
    }
}
