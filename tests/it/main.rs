//! Behaviour seen from outside, in one binary: contract suites of the adapters and the service
//! through its API; it may not know anything that is not public.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests are tests, which the lint does not see"
)]

mod chains;
mod cli;
mod cloud_contract;
mod demo;
mod house;
mod journey;
mod orphans;
mod postgres;
mod replica;
mod replicas;
mod stage;
mod store_contract;
mod store_opening;
mod sweeper;
mod tls;
mod transfer;
