//! Nova server groups; this file may not know why servers are kept together or apart.

use serde::Deserialize;

use super::{
    access::Access, call::Call, network::is_refusal, path::Path, server::Server,
    version::Microversion, wire::nullable,
};
use crate::domain::{
    fault::{Fault, Service},
    manifest::ServerGroupFacts,
};

const NOVA: Service = Service::Compute;

/// A group has one policy, not a list of them, from here on.
const GROUP_POLICY: Microversion = Microversion(2, 64);
/// From here on a server tells its groups.
const GROUPS_OF_SERVER: Microversion = Microversion(2, 71);

#[derive(Deserialize)]
struct OneGroup {
    server_group: Group,
}

#[derive(Deserialize)]
struct Groups {
    server_groups: Vec<Group>,
}

/// A group as Nova lists it.
#[derive(Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    policies: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    members: Vec<String>,
}

/// Nova lists no more groups at once than this, unless an operator allows more.
const LISTED_MAX: usize = 1000;

impl Group {
    /// Whether a server is in it.
    pub(super) fn has(&self, server: &str) -> bool {
        self.members.iter().any(|member| member == server)
    }
}

/// Whether a server that is asked for in this version tells its groups itself.
pub(super) fn is_told_by_server(version: Microversion) -> bool {
    version >= GROUPS_OF_SERVER
}

/// All groups with their members; nothing when they may not be listed, or there are too many.
pub(super) async fn memberships(access: &Access) -> Result<Option<Vec<Group>>, Fault> {
    let version = access.first_of(NOVA, &[GROUP_POLICY]).await?;
    let call = Call::get(NOVA, "os-server-groups", "list the server groups").at(version);
    match access.read::<Groups>(&call).await {
        Ok(all) if all.server_groups.len() < LISTED_MAX => Ok(Some(all.server_groups)),
        Ok(_) => Ok(None),
        Err(fault) if is_refusal(&fault) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The group of a server, or a sentence on why it is not known.
pub(super) async fn of_server(
    access: &Access,
    server: &Server,
) -> Result<(Option<ServerGroupFacts>, Option<String>), Fault> {
    let action = format!("read the server group of the server {}", server.id);
    let version = access.first_of(NOVA, &[GROUP_POLICY]).await?;
    let tells_groups = access.first_of(NOVA, &[GROUPS_OF_SERVER]).await?.is_some();
    let found = if tells_groups {
        let Some(id) = server.server_groups.first() else {
            return Ok((None, None));
        };
        let call = Call::get(NOVA, Path::of("os-server-groups", &id), action).at(version);
        access
            .read::<OneGroup>(&call)
            .await
            .map(|one| Some(one.server_group))
    } else {
        let call = Call::get(NOVA, "os-server-groups", action).at(version);
        access.read::<Groups>(&call).await.map(|all| {
            all.server_groups
                .into_iter()
                .find(|group| group.members.contains(&server.id))
        })
    };
    match found {
        Ok(group) => Ok((
            group.map(|group| ServerGroupFacts {
                id: group.id,
                name: group.name,
                policy: group
                    .policy
                    .or_else(|| group.policies.into_iter().next())
                    .unwrap_or_default(),
            }),
            None,
        )),
        Err(fault) if is_refusal(&fault) => {
            let gap = format!("the server group could not be read: {}", fault.message);
            Ok((None, Some(gap)))
        }
        Err(fault) => Err(fault),
    }
}
