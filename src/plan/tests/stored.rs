//! What planners put into the ledger is read in every later version as it was written; these tests may not know
//! where it is kept.
//!
//! `tests/golden/stored.jsonl` holds asks, requests and facts as they lie in databases, one a line, and is only
//! ever added to, by hand. A line that cannot be read any more, or that loses something when it is read, fails
//! here before it is set aside there.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::world::{registry, unfold};
use crate::domain::{
    effect::{Apply, Fact, PortAddresses, PortSetting, Request, ServerSetting},
    id::{PortId, ServerId, SnapshotId, VolumeBackupId, VolumeId},
    manifest::{AddressPair, DhcpOption},
    operation::Ask,
    sighting::{Thing, ThingKind},
};

const KEPT: &str = include_str!("../../../tests/golden/stored.jsonl");

/// What is stored, each by the field that names its variant.
const TAGS: [&str; 3] = ["operation", "ask", "fact"];

/// Adds the spelling of a value.
fn spell(value: &impl Serialize, all: &mut Vec<Value>) {
    all.push(serde_json::to_value(value).expect("JSON"));
}

/// What all planners ask for and are told, where all goes well and where each effect fails.
fn written_today() -> Vec<Value> {
    let mut all = Vec::new();
    for request in rare_requests() {
        spell(&request, &mut all);
    }
    let port = Fact::Port(PortAddresses {
        addresses: vec!["10.0.0.9".to_owned()],
        mac: "fa:16:3e:00:00:01".to_owned(),
    });
    spell(&port, &mut all);
    for operation in registry(1) {
        spell(&operation.ask, &mut all);
        let count = unfold(operation.clone(), 1, None, false).wished.len();
        for fails in std::iter::once(None).chain((0..count).map(Some)) {
            for cancel in [false, true] {
                let story = unfold(operation.clone(), 1, fails, cancel);
                for effect in story.ledger.iter() {
                    spell(&effect.request, &mut all);
                    effect.fact.iter().for_each(|fact| spell(fact, &mut all));
                }
            }
        }
    }
    all
}

/// Requests that no world of these tests brings about.
fn rare_requests() -> Vec<Request> {
    let settings = [
        PortSetting::Description("web".to_owned()),
        PortSetting::AddressPairs(vec![AddressPair {
            address: "10.0.0.9".to_owned(),
            mac: Some("fa:16:3e:00:00:01".to_owned()),
        }]),
        PortSetting::DhcpOptions(vec![DhcpOption {
            name: "mtu".to_owned(),
            value: Some("1400".to_owned()),
            ip_version: 4,
        }]),
        PortSetting::DnsName("web".to_owned()),
        PortSetting::DnsDomain("example.org.".to_owned()),
        PortSetting::QosPolicy("slow".to_owned()),
        PortSetting::Tags(vec!["blue".to_owned()]),
        PortSetting::NoAddress,
        PortSetting::Up(false),
    ];
    let port = |setting| {
        Request::Apply(Apply::PortSetting {
            port: PortId::new("port"),
            setting,
        })
    };
    let server = |setting| {
        Request::Apply(Apply::ServerSetting {
            server: ServerId::new("server"),
            setting,
        })
    };
    let mut all: Vec<Request> = settings.into_iter().map(port).collect();
    all.extend([
        server(ServerSetting::Stopped),
        server(ServerSetting::Locked(Some("audit".to_owned()))),
        Request::Apply(Apply::DeleteOnTermination {
            server: ServerId::new("server"),
            volumes: vec![VolumeId::new("volume")],
        }),
        Request::Apply(Apply::ErrorStatus {
            thing: Thing {
                kind: ThingKind::Snapshot,
                id: "snapshot".to_owned(),
            },
        }),
        Request::Apply(Apply::ResetBackupStatus {
            backup: VolumeBackupId::new("backup"),
            interrupt_restore: true,
        }),
        Request::Apply(Apply::SnapshotFreed {
            snapshot: SnapshotId::new("snapshot"),
        }),
    ]);
    all
}

/// The tag of a stored value and the variant that it names.
fn variant(value: &Value) -> (&'static str, &str) {
    let named = TAGS
        .iter()
        .find_map(|tag| Some((*tag, value.get(tag)?.as_str()?)));
    named.expect("it is tagged")
}

/// Every place in a value at which something is.
fn places(at: &str, value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(&format!("{at}.{name}"), value, all);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| places(&format!("{at}[]"), item, all)),
        // Nothing at a place says nothing about how something is spelled there.
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => drop(all.insert(at.to_owned())),
    }
}

fn places_of(value: &Value) -> BTreeSet<String> {
    let (tag, name) = variant(value);
    let mut all = BTreeSet::from([format!("{tag} {name}")]);
    places(&format!("{tag} {name}"), value, &mut all);
    all
}

/// A value read and written again.
fn again<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(value.clone())?)
}

/// Whether `now` says all that `before` says; a field that came later may be there too.
fn says_all(before: &Value, now: &Value) -> bool {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => before
            .iter()
            .all(|(name, value)| says_all(value, now.get(name).unwrap_or(&Value::Null))),
        (Value::Array(before), Value::Array(now)) => {
            before.len() == now.len()
                && before
                    .iter()
                    .zip(now)
                    .all(|(one, other)| says_all(one, other))
        }
        _ => before == now,
    }
}

fn read_again(value: &Value) -> Result<Value, serde_json::Error> {
    match variant(value) {
        ("operation", _) => again::<Ask>(value),
        ("ask", _) => again::<Request>(value),
        _ => again::<Fact>(value),
    }
}

/// Whatever serde would read, as it says itself where it is given something else.
fn variants(tag: &str) -> Vec<String> {
    let refusal = read_again(&json!({ tag: "?" })).expect_err("no variant");
    let refusal = refusal.to_string();
    let names = refusal.split('`').skip(3).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn what_was_written_once_is_read_in_every_version() {
    let mut known = BTreeSet::new();
    for line in KEPT.lines() {
        let before: Value = serde_json::from_str(line).expect("JSON");
        let now = read_again(&before).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            says_all(&before, &now),
            "something is lost of {line}\nin {now}"
        );
        known.extend(places_of(&before));
    }
    let mut missing = String::new();
    for value in written_today() {
        let places = places_of(&value);
        if !places.is_subset(&known) {
            writeln!(missing, "{value}").expect("a string");
            known.extend(places);
        }
    }
    assert!(
        missing.is_empty(),
        "not pinned yet, append to it:\n{missing}"
    );
    for tag in TAGS {
        let unknown: Vec<String> = variants(tag)
            .into_iter()
            .filter(|name| !known.contains(&format!("{tag} {name}")))
            .collect();
        assert_eq!(unknown, Vec::<String>::new(), "shown by no planner");
    }
}
