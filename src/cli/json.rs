//! Messages as proto3 JSON and as YAML of the same shape; it may not know what they mean.

use std::{fmt::Write as _, sync::OnceLock};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};

use super::{failure::Failure, out::is_obeyed};
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
        .map(|text| escaped(&text) + "\n")
        .map_err(|error| Failure::Local(format!("writing JSON: {error}")))
}

/// JSON in one line.
pub(super) fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| escaped(&text) + "\n")
        .map_err(|error| Failure::Local(format!("writing JSON: {error}")))
}

/// JSON of the same value in which no character is left that a terminal would obey: they are all within
/// strings, where JSON has an escape for each.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for one in json.chars() {
        if one != '\n' && is_obeyed(one) {
            let _written = write!(text, "\\u{:04x}", u32::from(one));
        } else {
            text.push(one);
        }
    }
    text
}

/// YAML.
pub(super) fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_norway::to_string(value)
        .map_err(|error| Failure::Local(format!("writing YAML: {error}")))?;
    if !text.contains(|one| one != '\n' && is_obeyed(one)) {
        return Ok(text);
    }
    // YAML writes such a character as it is where it is no control; JSON, which is YAML too, need not.
    pretty(value)
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
    fn no_document_has_a_character_that_a_terminal_obeys() {
        let name = "a\u{1b}[2J\u{202e}\u{9b}\u{2028}";
        for text in [pretty(&name), line(&name), yaml(&name)] {
            let text = text.unwrap();
            assert!(!text.trim_end().contains(is_obeyed), "{text:?}");
            assert_eq!(serde_norway::from_str::<String>(&text).unwrap(), name);
        }
    }

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
