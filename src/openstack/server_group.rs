//! Nova server groups; this file may not know why servers are kept together or apart.

use serde::Deserialize;

use super::{
    access::{Access, Call},
    network::is_refusal,
    server::Server,
    version::Microversion,
    wire::nullable,
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

#[derive(Deserialize)]
struct Group {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    policies: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    members: Vec<String>,
}

/// The group of a server, or a sentence on why it is not known.
pub(super) async fn of_server(
    access: &Access,
    server: &Server,
) -> Result<(Option<ServerGroupFacts>, Option<String>), Fault> {
    let doing = format!("read the server group of the server {}", server.id);
    let version = access.first_of(NOVA, &[GROUP_POLICY]).await?;
    let tells_groups = access.first_of(NOVA, &[GROUPS_OF_SERVER]).await?.is_some();
    let found = if tells_groups {
        let Some(id) = server.server_groups.first() else {
            return Ok((None, None));
        };
        let call = Call::get(NOVA, format!("os-server-groups/{id}"), doing).at(version);
        access
            .read::<OneGroup>(&call)
            .await
            .map(|one| Some(one.server_group))
    } else {
        let call = Call::get(NOVA, "os-server-groups", doing).at(version);
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
