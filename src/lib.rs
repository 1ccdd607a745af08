//! DR
pub mod domain;
pub mod port;
pub mod plan;
pub mod engine;
pub mod service;
pub mod api;
pub mod store;
pub mod openstack;
pub mod sim;
pub mod cli;
pub mod app;
