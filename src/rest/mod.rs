//! The REST door: turns JSON into words of the domain and back, with the names that the original had;
//! it may not decide anything, nor know messages of gRPC, clouds, stores or tasks.
//!
//! Every resource has one file, which reads downward: what is told of it, what may be asked, and one
//! function for each method of each address. What they answer is described beside them, and the
//! document at `/api/openapi.json` is made of that. The two kinds of backup share a file for what they do
//! alike, with one for the addresses of each below it.

mod extract;
mod instance;
mod listing;
pub mod metrics;
mod moved;
mod point;
pub mod problem;
mod query;
mod responses;
mod restoration;
mod schedule;
pub mod server;
pub mod settings;

use axum::response::{IntoResponse as _, Response};

use crate::domain::error::Error;

/// What somebody is answered who is not let in.
pub fn refusal(error: Error) -> Response {
    problem::Problem::from(error).into_response()
}
