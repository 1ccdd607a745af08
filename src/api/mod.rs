//! The gRPC door: turns messages into words of the domain and back; it may not decide anything, nor
//! know clouds, stores, clocks or tasks.

mod answers;
mod backup;
mod cloud;
pub mod codec;
mod common;
mod convert;
mod dr_backup;
mod filter;
pub mod limits;
mod orphan;
mod page;
pub mod pb;
mod point;
mod point_summary;
mod restoration;
mod schedule;
pub mod server;
pub mod settings;
pub mod status;
mod watch;
