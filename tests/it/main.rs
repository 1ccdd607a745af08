//! Behaviour seen from outside, in one binary: contract suites of the adapters and the service
//! through its API; it may not know anything that is not public.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests are tests, which the lint does not see"
)]

mod attributes;
mod audit;
mod chains;
mod claims;
mod cli;
mod cloud_contract;
mod consistency;
mod credentials;
mod demo;
mod door;
mod held;
mod history;
mod house;
mod image_booted;
mod import;
mod journey;
#[expect(dead_code, reason = "events of the domain are not seen from outside")]
#[path = "../simulation/judge.rs"]
mod judge;
mod kill;
mod mistakes;
mod ops;
mod orphans;
mod outage;
mod planted;
mod postgres;
mod privilege;
mod regular;
mod replica;
mod replicas;
mod rest;
mod rights;
mod schedule_store;
mod schedules;
mod scope;
mod stage;
mod statuses;
mod store_contract;
mod store_opening;
mod tls;
mod transfer;
mod trunks;
mod unread;
mod upgrade;
mod worth;
