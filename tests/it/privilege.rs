//! Least privilege: which calls of the admin entry a cloud sees, and that none is needed where the policy lets
//! members export and import; `tests/golden/admin_calls.txt` lists them.
//!
//! Whatever any test does with a house, its clouds are looked through at the end: see [`assert_allowed`].

use std::collections::BTreeSet;

use drbackup::{
    api::pb,
    domain::{
        effect::{Apply, Request},
        id::{CloudName, ProjectId, Tenant},
        sighting::{Thing, ThingKind},
    },
    sim::{Cloud, InstanceSpec, LoggedRequest, Service, Times},
};
use regex::Regex;
use serde_json::json;

use crate::{
    held::tenant_of,
    house::{House, things},
    rights::golden,
};

/// What the admin entry may be seen at: the service, the method, the path without its project, and why. The same
/// is said in docs/callers.md.
const ALLOWED: [(Service, &str, &str, &str); 19] = [
    (
        Service::Volume,
        "DELETE",
        "/backups/ID",
        "import: the end of what it imported",
    ),
    (
        Service::Volume,
        "GET",
        "/volume-transfers",
        "reset: who works with it",
    ),
    (
        Service::Volume,
        "GET",
        "/os-volume-transfer",
        "reset: who works with it",
    ),
    (
        Service::Volume,
        "GET",
        "/attachments",
        "reset: who works with it",
    ),
    (Service::Identity, "POST", "/auth/tokens", "its own login"),
    (Service::Identity, "GET", "/auth/tokens", "judging callers"),
    (Service::Identity, "GET", "/auth/projects", "its own reach"),
    (Service::Volume, "GET", "/", "the microversions"),
    (Service::Compute, "GET", "/", "the microversions"),
    (
        Service::Volume,
        "GET",
        "/backups/ID/export_record",
        "export",
    ),
    (Service::Volume, "POST", "/backups/import_record", "import"),
    (
        Service::Volume,
        "GET",
        "/backups/ID",
        "import: look, in all projects",
    ),
    (
        Service::Volume,
        "GET",
        "/backups/detail",
        "import: look where it lands; reset: who works with it",
    ),
    (
        Service::Volume,
        "GET",
        "/os-quota-sets/ID",
        "import: what its own project may hold",
    ),
    (
        Service::Volume,
        "POST",
        "/backups/ID/restore",
        "import: restore from where it landed",
    ),
    (
        Service::Volume,
        "GET",
        "/THINGS",
        "reset: look, and who works with it",
    ),
    (Service::Volume, "POST", "/THINGS/ID/action", "reset"),
    (
        Service::Compute,
        "GET",
        "/SERVERS",
        "instance: user data, root device",
    ),
    (
        Service::Compute,
        "GET",
        "/os-keypairs/NAME",
        "instance: another user's key pair",
    ),
];

/// What of that also tells about a group of volumes.
const OF_GROUPS: [&str; 4] = [
    "/groups/ID",
    "/group_types/ID",
    "/scheduler-stats/get_pools",
    "/volumes/ID",
];

/// The call with everything taken out that names one thing.
fn template(request: &LoggedRequest) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    let id = "[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}";
    let path = match request.service {
        Service::Volume => {
            let version = Regex::new(&format!("^(/volume)?/v3(/{id})?")).expect("valid");
            version.replace(path, "").into_owned()
        }
        Service::Compute => {
            let version = Regex::new("^(/compute)?/v2.1").expect("valid");
            version.replace(path, "").into_owned()
        }
        Service::Identity => {
            let version = Regex::new("^(/identity)?/v3").expect("valid");
            version.replace(path, "").into_owned()
        }
        Service::Network | Service::Image => path.to_owned(),
    };
    let path = Regex::new(id).expect("valid").replace_all(&path, "ID");
    let path = Regex::new("^/os-keypairs/.+$")
        .expect("valid")
        .replace(&path, "/os-keypairs/NAME");
    if path.is_empty() {
        "/".to_owned()
    } else {
        path.into_owned()
    }
}

/// Why the admin entry may be seen at this, if it may.
fn allowed(request: &LoggedRequest) -> Option<&'static str> {
    let path = template(request);
    let things =
        Regex::new("^/(volumes|snapshots|backups|group_snapshots)(/ID|/detail)?$").expect("valid");
    let actions =
        Regex::new("^/(volumes|snapshots|backups|group_snapshots)/ID/action$").expect("valid");
    let servers = Regex::new("^/servers(/ID|/detail)$").expect("valid");
    let found = ALLOWED.iter().find(|(service, method, pattern, _)| {
        *service == request.service
            && *method == request.method
            && match *pattern {
                "/THINGS" => things.is_match(&path),
                "/THINGS/ID/action" => actions.is_match(&path),
                "/SERVERS" => servers.is_match(&path),
                pattern => pattern == path,
            }
    });
    let of_group = request.service == Service::Volume
        && request.method == "GET"
        && OF_GROUPS.contains(&path.as_str());
    found
        .map(|(_, _, _, why)| *why)
        .or(of_group.then_some("instance: what its group of volumes promises"))
}

/// The calls of a user.
fn calls_of(cloud: &Cloud, user: &str) -> Vec<LoggedRequest> {
    let mut requests = cloud.requests();
    requests.retain(|request| request.user.as_deref() == Some(user));
    requests
}

/// Fails where the admin entry of a house, which no test uses by hand, was seen at anything else.
pub(crate) fn assert_allowed(cloud: &Cloud) {
    for request in calls_of(cloud, "operator") {
        assert!(
            allowed(&request).is_some(),
            "the admin entry was used for {} {}",
            request.method,
            request.path
        );
    }
}

/// A tenant `demo`.
fn tenant(cloud: &str, project: String) -> Tenant {
    Tenant {
        cloud: CloudName::new(cloud),
        project: ProjectId::new(project),
    }
}

/// Backs up, restores, and frees what is stuck: everything that an admin entry may be used for.
async fn whole_life(house: &House) -> pb::DrBackup {
    let resident = InstanceSpec::new("resident", &[1]);
    house
        .dr
        .create_instance(&resident)
        .expect("a resident with a network");
    // A volume backup shows that records may be exported.
    let tenant = tenant_of(house, "source").await;
    let volume = tenant.volume("lost").await;
    let witness = json!({"volume_id": volume, "name": "witness"});
    let made = tenant
        .make("volumev3", "backups", "", "backup", witness)
        .await;
    let path = format!("backups/{}", made["id"].as_str().expect("an id"));
    tenant.wait("volumev3", &path, "backup", "available").await;
    // Somebody else's server, so that its key pair is another user's.
    let mut web = InstanceSpec::new("web", &[1, 1]);
    "operator".clone_into(&mut web.user);
    let web = house.source.create_instance(&web).expect("made").server;
    let backup = house.back_up_to_end(&web).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    let restoration = house.restore(&backup.id).await;
    let restoration = house.restoration_at_rest(&restoration.id).await;
    assert_eq!(
        restoration.state(),
        pb::State::Ok,
        "{:?}",
        restoration.error
    );
    let kept = house.keep(&web).await;
    let kept = house.kept(&kept.id).await;
    assert_eq!(kept.state(), pb::State::Ok, "{:?}", kept.error);
    backup
}

/// Gives a volume of the source a status that only an admin ends, and has it ended.
async fn free_what_is_stuck(house: &House) {
    let volume = things(&house.source, "demo", "volumes");
    let volume = volume.iter().find(|one| one.text("server").is_empty());
    let volume = volume.expect("one is free").text("id").to_owned();
    house
        .source
        .set_status(&volume, "error_deleting")
        .expect("there");
    let thing = Thing {
        kind: ThingKind::Volume,
        id: volume,
    };
    let request = Request::Apply(Apply::ErrorStatus { thing });
    let place = tenant("source", house.home());
    let done = house.cloud().request_perform(&place, "", &request).await;
    done.expect("it is freed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_entry_is_seen_at_its_calls_alone() {
    let mut told = BTreeSet::new();
    for admin in ["operator", "admin"] {
        let mut house = House::open(Times::fast()).await;
        house.hire_admins(Some(admin));
        let backup = whole_life(&house).await;
        free_what_is_stuck(&house).await;
        let request = pb::DeleteDrBackupRequest {
            id: backup.id.clone(),
            ..Default::default()
        };
        let deleted = house.dr_backups().await.delete_dr_backup(request).await;
        deleted.expect("it is admitted");
        house.backup_gone(&backup.id).await;
        for cloud in [&house.source, &house.dr] {
            for call in calls_of(cloud, admin) {
                let why = allowed(&call);
                let call = format!("{:?} {} {}", call.service, call.method, template(&call));
                let why = why.unwrap_or_else(|| panic!("the admin entry was used for {call}"));
                let stands = if admin == "operator" {
                    "in the tenant"
                } else {
                    "elsewhere"
                };
                told.insert(format!("{call}: {why} (an admin {stands})\n"));
            }
        }
    }
    let text: String = told.into_iter().collect();
    golden("admin_calls.txt", &text);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_who_may_export_and_import_need_no_admin() {
    for admin in [None, Some("admin")] {
        let mut house = House::open(Times::fast()).await;
        for cloud in [&house.source, &house.dr] {
            cloud.volume_policy("backup:export-import", true);
            cloud.volume_policy("backup:backup-import", true);
        }
        house.hire_admins(admin);
        whole_life(&house).await;
        let imported = things(&house.dr, "demo", "backups");
        assert_eq!(imported.len(), 2, "they landed in the tenant");
        for cloud in [&house.source, &house.dr] {
            for call in calls_of(cloud, "admin") {
                let call = format!("{} {}", call.method, template(&call));
                let moves = ["export_record", "import_record", "/restore"];
                assert!(!moves.iter().any(|end| call.ends_with(end)), "{call}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_the_right_is_told_before_anything_is_made() {
    let mut house = House::open(Times::fast()).await;
    house.hire_admins(None);
    let web = InstanceSpec::new("web", &[1]);
    let web = house.source.create_instance(&web).expect("made").server;
    house.source.clear_requests();
    let backup = house.back_up_to_end(&web).await;
    assert_eq!(backup.state(), pb::State::Erred);
    let error = backup.error.expect("a reason");
    assert!(error.message.contains("export"), "{error:?}");
    let mut requests = house.source.requests();
    requests.retain(|one| one.method != "GET" && one.service != Service::Identity);
    assert_eq!(requests, [], "nothing was made");
}

/// The policy is changed between two backups, and while what was seen of it is believed still.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_members_lose_or_get_is_noticed() {
    let house = House::open(Times::fast()).await;
    let web = InstanceSpec::new("web", &[1]);
    let web = house.source.create_instance(&web).expect("made").server;
    let exporters = async || {
        house.source.clear_requests();
        let backup = house.back_up_to_end(&web).await;
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        let mut requests = house.source.requests();
        requests.retain(|one| one.path.ends_with("export_record") && one.status == Some(200));
        let users: BTreeSet<String> = requests.into_iter().filter_map(|one| one.user).collect();
        users
    };
    let operator = BTreeSet::from(["operator".to_owned()]);
    let demo = BTreeSet::from(["demo".to_owned()]);
    assert_eq!(exporters().await, operator);
    house.source.volume_policy("backup:export-import", true);
    house.pass(std::time::Duration::from_secs(600));
    assert_eq!(exporters().await, demo);
    // What is believed does not hold up a backup.
    house.source.volume_policy("backup:export-import", false);
    assert_eq!(exporters().await, operator);
}
