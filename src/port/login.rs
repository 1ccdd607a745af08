//! Logins: what a caller shows, who it turns out to be, and for how long; it may not know how any of it is
//! proven.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use futures::future::pending;
use secrecy::SecretString;

use crate::domain::{
    caller::{Caller, Door, Identity},
    error::Error,
    fault::Fault,
    id::CloudName,
};

/// The Keystones of the configured clouds, as judges of tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Who holds a token of this cloud; nothing when its Keystone does not know the token, or not any more.
    /// With `expired_too` one is still good that expired not long ago, for long work under way. Harmless to
    /// repeat.
    async fn token_look(
        &self,
        cloud: &CloudName,
        token: &SecretString,
        expired_too: bool,
    ) -> Result<Option<Identity>, Fault>;
}

/// A right that can end while it is used.
#[async_trait]
pub trait Standing: Send + Sync {
    /// Waits until it has ended, and tells why.
    async fn over(&self) -> Error;
}

/// A caller who was recognised.
#[derive(Clone)]
pub struct Login {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// How long that lasts; nothing when it does not end.
    pub standing: Option<Arc<dyn Standing>>,
    /// Through which door.
    pub door: Door,
    /// From which address, where it came over a network.
    pub address: Option<IpAddr>,
}

impl Login {
    /// One that lasts.
    pub fn lasting(caller: Caller) -> Self {
        Self::of(Arc::new(caller))
    }

    /// The same, of a caller who is known already.
    pub fn of(caller: Arc<Caller>) -> Self {
        Self {
            caller,
            standing: None,
            door: Door::Internal,
            address: None,
        }
    }

    /// Waits until it has ended, and tells why; for ever where it lasts.
    pub async fn over(&self) -> Error {
        match &self.standing {
            Some(standing) => standing.over().await,
            None => pending().await,
        }
    }
}
