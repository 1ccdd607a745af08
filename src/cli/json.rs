//! Messages as proto3 JSON and as YAML of the same shape; it may not know what they mean.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};

use super::failure::Failure;
use crate::api::pb;

/// A message that knows what it is called, ready to be serialised.
///
/// Fields that hold nothing are written all the same, so that a script finds every field that the
/// API has.
pub(super) struct Document(DynamicMessage);

impl Document {
    /// The document of a message of this full name.
    pub(super) fn of(name: &str, message: &impl Message) -> Result<Self, Failure> {
        let unknown = || Failure::Local(format!("the message {name} is not described"));
        let descriptor = pool()?.get_message_by_name(name).ok_or_else(unknown)?;
        let bytes = message.encode_to_vec();
        let message = DynamicMessage::decode(descriptor, bytes.as_slice())
            .map_err(|error| Failure::Local(format!("reading a {name}: {error}")))?;
        Ok(Self(message))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new().skip_default_fields(false);
        self.0.serialize_with_options(serializer, &options)
    }
}

/// JSON over several lines.
pub(super) fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::Local(format!("writing JSON: {error}")))
}

/// JSON in one line.
pub(super) fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::Local(format!("writing JSON: {error}")))
}

/// YAML.
pub(super) fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_norway::to_string(value).map_err(|error| Failure::Local(format!("writing YAML: {error}")))
}

fn pool() -> Result<&'static DescriptorPool, Failure> {
    static POOL: OnceLock<Result<DescriptorPool, String>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(pb::DESCRIPTORS).map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| Failure::Local(format!("reading the descriptors: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_follows_the_proto3_mapping() {
        let event = pb::Event {
            sequence: 7,
            time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 5_000_000,
            }),
            resource_id: "x".to_owned(),
            state: pb::State::Creating.into(),
            ..pb::Event::default()
        };
        let document = Document::of("drbackup.v1.Event", &event).unwrap();
        assert_eq!(
            line(&document).unwrap(),
            "{\"sequence\":\"7\",\"time\":\"2023-11-14T22:13:20.005Z\",\"resourceId\":\"x\",\
             \"state\":\"STATE_CREATING\",\"runtimeState\":\"\"}\n"
        );
    }
}
