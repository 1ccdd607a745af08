//! Whether a volume may be written into: a flag that is told among its metadata; it may not know who attaches it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Volume, nowhere};
use crate::sim::reply::{Answer, Reply, bad};
use crate::sim::world::World;

/// The metadata of a volume with what is told there beside it: its admin metadata wins (Zed and 2026.1 show it
/// to members too).
pub(super) fn shown_metadata(volume: &Volume) -> BTreeMap<String, String> {
    let mut shown = volume.metadata.clone();
    if let Some(readonly) = volume.readonly {
        let word = if readonly { "True" } else { "False" };
        shown.insert("readonly".to_owned(), word.to_owned());
    }
    shown
}

/// Says of a volume that it may or may not be written into.
pub(super) fn set(world: &mut World, id: &str, argument: &Value) -> Answer {
    let wanted = match &argument["readonly"] {
        Value::Null => {
            return Err(bad(&format!(
                "Invalid input for field/attribute os-update_readonly_flag. Value: {argument}. 'readonly' is a required property"
            )));
        }
        Value::Bool(wanted) => *wanted,
        Value::String(text) if boolean(text).is_some() => boolean(text).unwrap_or_default(),
        other @ (Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(bad(&format!(
                "Invalid input for field/attribute readonly. Value: {other}. {other} is not one of [True, 'True', 'true', '1', False, 'False', 'false', '0']"
            )));
        }
    };
    let Some(volume) = world.cinder.volumes.get_mut(id) else {
        return Err(nowhere());
    };
    if volume.status != "available" {
        return Err(bad(&format!(
            "Invalid volume: Volume {id} status must be available to update readonly flag, but current status is: {}.",
            volume.status
        )));
    }
    volume.readonly = Some(wanted);
    Ok(Reply::empty(202))
}

/// A word that Cinder takes for a truth or its opposite.
fn boolean(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "true" | "1" | "on" | "yes" | "y" | "t" => Some(true),
        "false" | "0" | "off" | "no" | "n" | "f" => Some(false),
        _ => None,
    }
}
