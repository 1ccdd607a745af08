//! The traits through which the core reaches the world; it may not know who implements them.

pub mod audit;
pub mod clock;
pub mod cloud;
pub mod journal;
pub mod login;
pub mod schedules;
pub mod store;
