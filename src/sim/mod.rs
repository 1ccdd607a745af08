//! An `OpenStack` over real HTTP that takes time, loses answers, keeps quota and policy, and remembers
//! what was really created; it may not know any other room, so that a misreading of it in the
//! client is not repeated here.
//!
//! A [`Cloud`] is one deployment on one loopback port: Keystone, Cinder, Nova, Neutron and Glance
//! below `/identity`, `/volume`, `/compute`, `/network` and `/image`. Two clouds that are started with
//! the same [`BackupStore`] share the bytes of their backups and nothing else.
//!
//! | file | what |
//! |---|---|
//! | `cloud` | the handle: start, stop, look inside |
//! | `config`, `clock` | what a cloud is like and how long things take |
//! | `http`, `call`, `reply` | the wire |
//! | `world` | the memory of one cloud and the queue of what is still to happen |
//! | `keystone`, `cinder`, `nova`, `neutron`, `glance` | the services |
//! | `content`, `backup_store` | bytes |
//! | `faults`, `control` | scripted trouble, and the endpoint that scripts it |
//! | `seed` | instances made by hand, for tests and demonstrations |

mod backup_store;
mod call;
mod cinder;
mod clock;
mod cloud;
mod config;
mod content;
mod control;
mod faults;
mod glance;
mod http;
mod keystone;
mod neutron;
mod nova;
mod reply;
mod seed;
mod world;

pub use backup_store::BackupStore;
pub use call::Service;
pub use clock::{Clock, Times};
pub use cloud::{Cloud, CloudError, Pair, clouds_yaml, run};
pub use config::{ApplicationCredential, Config, Quotas, Release};
pub use faults::{Action, Rule};
pub use http::{Cut, LoggedRequest};
pub use neutron::TrunkSpec;
pub use seed::{Instance, InstanceSpec};
pub use world::{Kind, Memory};
