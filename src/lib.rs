//! `drbackup` takes disaster-recovery backups of OpenStack instances and brings them back in
//! another OpenStack deployment; this file may not know more than the names of the rooms.
//!
//! ```text
//!               app                     composition root, the only one who knows everybody
//!      ┌─────────┼─────────┬──────────┐
//!     api      rest     worker       cli     doors: gRPC; JSON; time passing, which knows the ports
//!      └─────────┤                            only; and the client of a person, who knows the API only
//!             service                   decides and admits; one transaction, no waiting on a cloud
//!      ┌─────────┴─────────┐
//!     plan               engine         pure planners │ turns, lanes, observe, act
//!      └─────────┬─────────┘
//!               port  ◄──────── store · openstack     adapters point inward (sim stands apart)
//!                │
//!              domain ◄──── import_waldur    words and rules; the rows of Waldur, read into them
//!                │
//!               span                     how settings write a length of time; cli knows it too
//! ```

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod import_waldur;
pub mod openstack;
pub mod plan;
pub mod port;
pub mod rest;
pub mod service;
pub mod sim;
pub mod span;
pub mod store;
pub mod worker;
