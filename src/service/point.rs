//! What is the same for points of both kinds, DR backups and regular backups, before and after they are
//! made; it may not know how either is.

use tokio::time::timeout;

use super::{
    Service, refused,
    scope::{Fields, may_pass},
};
use crate::domain::{
    consistency::{self, Aim, ConsistencyLevel},
    error::{Error, ErrorKind},
    id::{ServerId, Tenant},
    restoration::{Restoration, Source},
};

impl Service {
    /// Refuses an instance that is not there or cannot be captured, in one short read; and where more than
    /// nothing is wished for, in a longer one, what cannot be reached with the instance as it is. Admits
    /// when the cloud does not answer, because the operation looks again before it makes anything, and
    /// waits for it better than a caller can. Answers the name of the instance, where it is known.
    pub(super) async fn look_at_instance(
        &self,
        tenant: &Tenant,
        server: &ServerId,
        aim: Aim,
        minimum: Option<ConsistencyLevel>,
        fields: Fields,
    ) -> Result<String, Error> {
        let Some(inside) = self.gate.enter_later(tenant, fields).await? else {
            return Ok(String::new());
        };
        let name = match timeout(self.limits.peek, inside.peek(server)).await {
            Ok(Ok(instance)) if instance.root_is_volume || aim != Aim::Backup => instance.name,
            Ok(Ok(instance)) => return Err(root_not_volume(&instance.name)),
            Ok(Err(error)) if may_pass(&error) => return Ok(String::new()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(String::new()),
        };
        if minimum.is_some() {
            match timeout(self.limits.peek, inside.instance(server)).await {
                Ok(Ok(manifest)) => consistency::check(minimum, &manifest, aim)?,
                Ok(Err(error)) if may_pass(&error) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(name)
    }

    /// The restorations of a backup of either kind, newest first.
    pub async fn restorations_of(&self, source: Source) -> Result<Vec<Restoration>, Error> {
        let limit = self.limits.listed_restorations;
        self.store
            .restorations_of(source, limit)
            .await
            .map_err(refused)
    }
}

/// The refusal of an instance that snapshots of its volumes would not bring back.
pub(crate) fn root_not_volume(name: &str) -> Error {
    Error::new(
        ErrorKind::Precondition {
            reason: "INSTANCE_ROOT_NOT_VOLUME",
        },
        format!("instance `{name}` boots from an image: its root disk is not a volume"),
    )
    .advise("make a DR backup of it, which takes its root disk by an image")
}
