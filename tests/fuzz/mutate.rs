//! What is done to bytes and to JSON; it may not know what they mean.

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Map, Number, Value};

use crate::words;

/// Does something to bytes, mostly little: flips, cuts, splices, repeats.
pub(crate) fn bytes(dice: &mut StdRng, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..dice.random_range(1..=4_u8) {
        let place = dice.random_range(0..=bytes.len());
        let end = dice.random_range(place..=bytes.len());
        match dice.random_range(0..16_u8) {
            0..4 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << dice.random_range(0..8_u8);
                }
            }
            4..7 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = *[0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'0']
                        .choose(dice)
                        .unwrap_or(&0);
                }
            }
            7..9 => drop(bytes.drain(place..end)),
            9 => bytes.truncate(place),
            10..12 => {
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
            12..14 => {
                let from = dice.random_range(0..=other.len());
                let to = dice.random_range(from..=other.len());
                bytes.splice(place..place, other[from..to].iter().copied());
            }
            14 => bytes.insert(place, dice.random()),
            _ => {
                let part = bytes[place..end.min(place + 16)].to_vec();
                let many = dice.random_range(1..=600);
                bytes.splice(place..place, part.repeat(many));
            }
        }
    }
}

/// Nothing but dice.
pub(crate) fn noise(dice: &mut StdRng) -> Vec<u8> {
    let length = dice.random_range(0..96_usize);
    (0..length).map(|_| dice.random()).collect()
}

/// Does something to one place of a value, or to a few.
pub(crate) fn json(dice: &mut StdRng, value: &mut Value) {
    for _ in 0..dice.random_range(1..=3_u8) {
        let count = places(value);
        let mut left = dice.random_range(0..count);
        change(dice, value, "", &mut left);
    }
}

/// How many values there are in a value, and it.
fn places(value: &Value) -> usize {
    let inside: usize = match value {
        Value::Object(fields) => fields.values().map(places).sum(),
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    inside + 1
}

/// Changes the value that is so many places on; says whether it was inside.
fn change(dice: &mut StdRng, value: &mut Value, name: &str, left: &mut usize) -> bool {
    if *left == 0 {
        spoil(dice, value, name);
        return true;
    }
    *left -= 1;
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .any(|(name, value)| change(dice, value, name, left)),
        Value::Array(items) => items
            .iter_mut()
            .any(|value| change(dice, value, name, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn spoil(dice: &mut StdRng, value: &mut Value, name: &str) {
    // Half of all stays what it is of, with something else in it.
    if dice.random_ratio(1, 2) {
        match value {
            Value::Object(fields) => return spoil_fields(dice, fields),
            Value::Array(items) => return spoil_items(dice, items),
            Value::Number(_) => return *value = number(dice),
            Value::String(text) => return *text = text_like(dice, text, name),
            Value::Null | Value::Bool(_) => {}
        }
    }
    *value = anything(dice, name);
}

fn text_like(dice: &mut StdRng, text: &str, name: &str) -> String {
    let mut changed = text.as_bytes().to_vec();
    match dice.random_range(0..4_u8) {
        0 => return words::word(dice, name),
        1 => return text.repeat(dice.random_range(0..300)),
        2 => changed.truncate(dice.random_range(0..=text.len())),
        _ => bytes(dice, &mut changed, b"2026-02-30T25:61:61Z"),
    }
    String::from_utf8_lossy(&changed).into_owned()
}

fn spoil_fields(dice: &mut StdRng, fields: &mut Map<String, Value>) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let Some(name) = names.choose(dice) else {
        fields.insert(words::word(dice, "name"), anything(dice, "name"));
        return;
    };
    match dice.random_range(0..8_u8) {
        0..4 => drop(fields.remove(name)),
        4 => drop(fields.insert(words::word(dice, "name"), anything(dice, name))),
        5 => drop(fields.insert(name.to_uppercase(), fields[name].clone())),
        6 => {
            let other = names.choose(dice).unwrap_or(name);
            drop(fields.insert(name.clone(), fields[other].clone()));
        }
        _ => fields.clear(),
    }
}

fn spoil_items(dice: &mut StdRng, items: &mut Vec<Value>) {
    match dice.random_range(0..4_u8) {
        0 => items.clear(),
        1 => drop(items.pop()),
        2 => items.insert(0, anything(dice, "id")),
        _ => {
            let Some(item) = items.first().cloned() else {
                return;
            };
            let many = *[1, 2, 50, 600].choose(dice).unwrap_or(&1);
            items.extend(std::iter::repeat_n(item, many));
        }
    }
}

fn number(dice: &mut StdRng) -> Value {
    let real = |real: f64| Number::from_f64(real).map_or(Value::Null, Value::Number);
    match dice.random_range(0..10_u8) {
        0 => Value::from(0),
        1 => Value::from(-1),
        2 => Value::from(u64::MAX),
        3 => Value::from(i64::MIN),
        4 => Value::from(i64::MAX),
        5 => Value::from(1_u64 << dice.random_range(0..64_u8)),
        6 => real(1e300),
        7 => real(-0.5),
        8 => Value::from(dice.random::<i32>()),
        _ => Value::from(dice.random_range(0..300)),
    }
}

/// A value of any kind, for a field of this name.
pub(crate) fn anything(dice: &mut StdRng, name: &str) -> Value {
    match dice.random_range(0..12_u8) {
        0..2 => Value::Null,
        2 => Value::Bool(dice.random()),
        3..6 => number(dice),
        6..9 => Value::String(words::word(dice, name)),
        9 => Value::Array(vec![anything(dice, name)]),
        10 => Value::Object(Map::from_iter([(
            words::plausible(dice, "name"),
            anything(dice, name),
        )])),
        _ => deep(dice),
    }
}

/// Something in something in something.
fn deep(dice: &mut StdRng) -> Value {
    let depth = *[3, 30, 100, 126, 127, 128].choose(dice).unwrap_or(&3);
    let mut value = Value::Null;
    for _ in 0..depth {
        value = if dice.random() {
            Value::Array(vec![value])
        } else {
            Value::Object(Map::from_iter([("a".to_owned(), value)]))
        };
    }
    value
}
