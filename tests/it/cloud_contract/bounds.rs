//! How much is taken of a cloud that is broken, hangs, or is somebody else; this file may not know how the client
//! is built.

use drbackup::{
    domain::{
        fault::FaultKind,
        id::{ProjectId, Tenant},
        sighting::ThingKind,
    },
    openstack::settings::OpenStackSettings,
    port::cloud::Cloud as _,
    sim::{Action, Service},
};
use serde_json::json;

use super::{Simulated, troubles::answer};

/// A cloud that is broken, or is somebody else, makes this process neither grow nor tell what it was handed.
#[tokio::test]
async fn as_much_is_taken_of_a_cloud_as_a_list_a_thing_and_a_text_may_have() {
    let simulated = Simulated::start().await;
    let limits = OpenStackSettings {
        thing_bytes_max: 100_000,
        text_bytes_max: 10_000,
        list_bytes_max: 200_000,
        list_rows_max: 1_000,
        ..OpenStackSettings::default()
    };
    let client = simulated.stage.client("operator", limits);
    let row = |size: usize| json!({"id": "v", "name": "x".repeat(size)});
    let next = json!([{"rel": "next", "href": "http://elsewhere/?marker=v"}]);
    let cases = [
        (
            json!({"volumes": [row(20_000)]}),
            "a text of more than 10000 bytes",
        ),
        (
            json!({"volumes": [{"id": "v", "tags": vec!["x"; 50_000]}]}),
            "more than 100000 bytes",
        ),
        (
            json!({"volumes": vec![row(1); 1_001]}),
            "more than 1000 rows",
        ),
        (
            json!({"volumes": vec![row(9_000); 30]}),
            "more than 200000 bytes",
        ),
        (
            json!({"volumes": [], "volumes_links": next}),
            "does not end",
        ),
    ];
    for (body, told) in cases {
        simulated.arm(
            Service::Volume,
            "GET",
            "/volumes/detail",
            answer(200, body, &[]),
        );
        let listed = client
            .things_list(simulated.source(), ThingKind::Volume)
            .await;
        let fault = listed.expect_err("a fault");
        assert_eq!(fault.kind, FaultKind::Unanswered);
        assert!(fault.message.contains(told), "{fault}");
        assert!(fault.to_string().len() < 1_000);
        simulated.pair.clouds[0].faults_clear();
    }
}

#[tokio::test]
async fn callers_of_a_tenant_that_hangs_leave_places_to_others_and_to_operations() {
    let simulated = Simulated::start().await;
    let limits = OpenStackSettings {
        caller_requests_per_cloud: 3,
        caller_requests_per_tenant: 2,
        ..OpenStackSettings::default()
    };
    let client = simulated.stage.client("operator", limits);
    let hanging = simulated.source();
    let cloud = &simulated.pair.clouds[0];
    let other = Tenant {
        cloud: hanging.cloud.clone(),
        project: ProjectId::new(cloud.project_id("second").expect("a project")),
    };
    // Both are known, and what the services speak.
    for tenant in [hanging, &other] {
        client.volume_types_list(tenant).await.expect("a list");
    }
    let hang = Action::Hang {
        milliseconds: None,
        acted: false,
    };
    let path = format!("/{}/types", hanging.project);
    simulated.arm(Service::Volume, "GET", &path, hang);
    let mut waiting: Vec<_> = (0..40).map(|_| client.volume_types_list(hanging)).collect();
    for call in &mut waiting {
        assert!(futures::poll!(call).is_pending());
    }
    client.volume_types_list(&other).await.expect("a list");
    let operation = client.things_list(hanging, ThingKind::Volume).await;
    operation.expect("a list");
    assert!(
        futures::poll!(&mut waiting[0]).is_pending(),
        "it hangs still"
    );
}
