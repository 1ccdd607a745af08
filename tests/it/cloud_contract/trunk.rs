//! Trunks as Neutron has them, asked for by the client under test and by plain HTTP; this file may not know
//! what a restoration makes of them.

use drbackup::{
    domain::{
        effect::{Apply, Make, NewTrunk, Request, SubPort},
        fault::FaultKind,
        id::{PortId, TrunkId},
        sighting::{Readiness, Thing, ThingKind},
    },
    port::cloud::Cloud as _,
};
use serde_json::{Value, json};

use super::{
    Stage,
    claims::{ground, kind_of, make, perform, port_at, remove},
    strictness::{is, say},
};

/// A port is in one trunk at most and stays as long as that does; where Neutron has no trunks there are none.
pub(super) async fn port_of_a_trunk_stays_as_long_as_it(stage: &Stage) {
    for tenant in [stage.source_tenant(), stage.dr_tenant()] {
        let ground = ground(stage, tenant);
        let (_, known) = ground.ask("GET", "network", "extensions", "", None).await;
        let known = known["extensions"].as_array().expect("a list");
        if known.iter().all(|one| one["alias"] != "trunk") {
            let seen = stage.cloud.things_list(tenant, ThingKind::Trunk).await;
            assert_eq!(seen, Ok(Vec::new()));
            continue;
        }
        let network = ground.network(&stage.mark, "10.87.0.0/24").await;
        let mut ports = Vec::new();
        for word in ["parent", "sub", "other"] {
            let name = format!("{}-{word}", stage.mark);
            ports.push(make(stage, tenant, &name, &port_at(&network, None, None)).await);
        }
        let [parent, sub, other] = [0, 1, 2].map(|place| PortId::new(ports[place].clone()));
        let trunk = |port: &PortId, sub: &PortId| {
            Request::Make(Make::Trunk(NewTrunk {
                port: port.clone(),
                sub_ports: vec![SubPort {
                    port: sub.clone(),
                    segmentation_type: "vlan".to_owned(),
                    segmentation_id: 101,
                }],
                description: "a lane".to_owned(),
                down: false,
            }))
        };
        let name = format!("{}-trunk", stage.mark);
        let made = make(stage, tenant, &name, &trunk(&parent, &sub)).await;
        let seen = stage.cloud.things_list(tenant, ThingKind::Trunk).await;
        let seen = seen.expect("a list");
        let seen = seen.iter().find(|seen| seen.thing.id == made);
        let seen = seen.expect("the trunk");
        assert_eq!((&seen.name, seen.verdict()), (&name, Readiness::Ready));
        assert!(seen.created.is_some());

        let (_, found) = ground
            .ask("GET", "network", &format!("ports/{parent}"), "", None)
            .await;
        let details = &found["port"]["trunk_details"];
        assert_eq!(details["trunk_id"], json!(made));
        assert_eq!(details["sub_ports"][0]["port_id"], json!(sub));
        assert_eq!(details["sub_ports"][0]["segmentation_id"], 101);
        for (port, why) in [
            (&parent, "PortInUseAsTrunkParent"),
            (&sub, "PortInUseAsSubPort"),
        ] {
            let path = format!("ports/{port}");
            let said = say(ground, "DELETE", "network", &path, Value::Null).await;
            is(&said, 409, why);
            let thing = Thing {
                kind: ThingKind::Port,
                id: port.to_string(),
            };
            // By a stranger it is held; by what goes together with it only for a while.
            let refused = stage.cloud.thing_delete(tenant, &thing, &[]).await;
            assert_eq!(kind_of(refused), FaultKind::Held);
            let ours = [Thing {
                kind: ThingKind::Trunk,
                id: made.clone(),
            }];
            let refused = stage.cloud.thing_delete(tenant, &thing, &ours).await;
            assert_eq!(kind_of(refused), FaultKind::Busy);
        }
        for (port, sub) in [(&parent, &other), (&other, &sub)] {
            let request = trunk(port, sub);
            let refused = stage.cloud.request_perform(tenant, &name, &request).await;
            let refused = kind_of(refused);
            let expected = [FaultKind::Conflict, FaultKind::Busy];
            assert!(expected.contains(&refused), "{refused:?}");
        }
        let apply = Request::Apply(Apply::Trunk {
            trunk: TrunkId::new(made.clone()),
            name: "lanes".to_owned(),
            tags: vec!["gold".to_owned()],
        });
        perform(stage, tenant, "", &apply).await;
        let (_, found) = ground
            .ask("GET", "network", &format!("trunks/{made}"), "", None)
            .await;
        assert_eq!(found["trunk"]["name"], "lanes");
        assert_eq!(found["trunk"]["tags"], json!(["gold"]));
        assert_eq!(found["trunk"]["description"], "a lane");

        remove(stage, tenant, ThingKind::Trunk, &made).await;
        for port in ports {
            remove(stage, tenant, ThingKind::Port, &port).await;
        }
        ground
            .remove("network", &format!("networks/{network}"))
            .await;
    }
}
