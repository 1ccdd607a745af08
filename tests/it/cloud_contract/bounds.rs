//! How much is taken of a cloud that is broken, hangs, or is somebody else; this file may not know how the client
//! is built.

use drbackup::{
    domain::{fault::FaultKind, sighting::ThingKind},
    openstack::settings::OpenStackSettings,
    port::cloud::Cloud as _,
    sim::Service,
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
