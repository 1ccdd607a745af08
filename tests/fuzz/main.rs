//! Whatever comes: every door of the service, and every answer of a cloud, given what nobody in their right
//! mind would send; it may not know anything that is not public.
//!
//! `cargo test --test fuzz` asks each door a few thousand inputs. `DRBACKUP_FUZZ_INPUTS=10000000` asks so many,
//! `DRBACKUP_FUZZ_SEED=7` throws other dice, and with `DRBACKUP_FUZZ_INPUT=123` too that one input is asked alone.
//! What once failed is a file below `corpus`, which every run asks first and then starts from.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests, which the lint does not see, and a run tells what it asked"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is matched is JSON and kinds of fields, whose enums are not ours"
)]

mod cloud_calls;
mod clouds;
mod corpus;
mod grpc;
mod mutate;
mod ports;
mod rest;
mod run;
mod spoil;
mod words;

#[test]
fn grpc() {
    run::run("grpc", grpc::Grpc::open);
}

#[test]
fn rest() {
    run::run("rest", rest::Rest::open);
}

#[test]
fn clouds() {
    run::run("clouds", clouds::Clouds::open);
}
