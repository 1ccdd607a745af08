//! What the credential of an admin is used for is noted before; this file may not know who notes it in the
//! service.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use drbackup::{
    domain::{
        effect::Request, fault::FaultKind, id::VolumeBackupId, record::BackupRecord,
        sighting::ThingKind,
    },
    openstack::settings::OpenStackSettings,
    port::{
        audit::{AdminCall, AdminUses},
        cloud::Cloud as _,
        store::StoreError,
    },
};

use super::Simulated;

/// Notes the calls of admins that read, and fails at the others.
#[derive(Default)]
struct Failing(Mutex<Vec<AdminCall>>);

#[async_trait]
impl AdminUses for Failing {
    async fn admin_used(&self, call: AdminCall) -> Result<(), StoreError> {
        let reads = call.reads;
        self.0.lock().expect("whole").push(call);
        if reads {
            Ok(())
        } else {
            Err(StoreError::Unavailable("the disk is full".to_owned()))
        }
    }
}

#[tokio::test]
async fn a_call_of_an_admin_that_cannot_be_noted_is_not_sent() {
    let simulated = Simulated::start().await;
    let client = simulated
        .stage
        .client("operator", OpenStackSettings::default());
    let noting = Arc::new(Failing::default());
    client.note_admin_uses(noting.clone());
    let record = BackupRecord {
        service: "s".to_owned(),
        url: "c2VjcmV0".to_owned(),
    };
    let request = Request::Import {
        backup: VolumeBackupId::new("x"),
        record,
    };
    let tenant = simulated.source();
    let asked = client.request_perform(tenant, "ostest-1", &request).await;
    let fault = asked.expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    assert!(fault.message.starts_with("not sent: "), "{fault}");
    let requests = simulated.pair.clouds[0].requests();
    let of_admin = requests.iter().filter(|one| {
        one.method == "POST"
            && one.path.contains("import_record")
            && one.user.as_deref() == Some("operator")
    });
    assert_eq!(of_admin.count(), 0);
    let noted = || noting.0.lock().expect("whole").clone();
    let calls = noted();
    let last = calls.last().expect("a call");
    assert_eq!((&last.tenant, last.method.as_str()), (tenant, "POST"));
    assert_eq!(last.service.project(), "Cinder");
    // What a tenant may do itself is none.
    client
        .things_list(tenant, ThingKind::Volume)
        .await
        .expect("a list");
    assert_eq!(noted(), calls);
}
