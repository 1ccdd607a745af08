//! What the doors of several resources do alike; it may not know any of them.

use tonic::{Response, Status};

use super::{convert::fields::Fields, pb, status::status};
use crate::{domain::error::Error, service::Limits};

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
pub(super) fn most_rows(limits: &Limits, full: bool) -> u32 {
    if full {
        limits.page_max.min(FULL_PAGE)
    } else {
        limits.page_max
    }
}

/// Checks where a stream is to begin.
pub(super) fn from_sequence(fields: &mut Fields<'_>, given: i64) -> u64 {
    fields.take(
        "from_sequence",
        u64::try_from(given).map_err(|_| "is negative"),
    )
}

/// The answer to a call.
pub(super) fn answered<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(|error| status(&error))
}
