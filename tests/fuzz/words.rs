//! Texts for fields by their names: plausible ones, and what can be made of them; it may not know which door
//! they go to.

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// What stands in plausible texts of each field, by the last part of its name.
const PLAUSIBLE: &[(&str, &[&str])] = &[
    (
        "filter",
        &[
            "cloud = \"source\" AND tenant = 'demo'",
            "state = OK AND create_time >= 2026-01-01T00:00:00Z AND create_time < 2026-02-01T00:00:00+02:00",
            "instance_id=a name=\"a \\\" b \\\\\"",
            "schedule_id = 01890a5d-ac96-774b-bcce-b302099a8057",
            "dr_backup_id=01890a5d-ac96-774b-bcce-b302099a8057 AND name = web",
            "is_active = true AND cloud=dr",
            "outcome = FAILED",
            "name = 'web' AND status = \"ACTIVE\"",
        ],
    ),
    (
        "order_by",
        &[
            "create_time desc",
            "name",
            "update_time asc",
            "name desc, create_time",
            "",
        ],
    ),
    (
        "o",
        &["-created", "name", "-name", "created,name", "", "modified"],
    ),
    (
        "page_token",
        &[
            "",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB7InQiOlsxLCIwMTg5MGE1ZC1hYzk2LTc3NGItYmNjZS1iMzAyMDk5YTgwNTciXX0",
            "AAAA",
            "=====",
        ],
    ),
    (
        "schedule",
        &[
            "0 3 * * *",
            "@daily",
            "@weekly",
            "*/5 8-18 * * MON-FRI",
            "0 0 29 2 *",
            "0 0 30 2 *",
            "0 0 L * *",
            "15 10 ? * 6#3",
            "0 0 1,15 * 5",
            "59 23 31 12 *",
            "0 0 1W * *",
            "1-59/2 */3 1-7 JAN-DEC/2 sun",
            "30 2 * 3 7L",
        ],
    ),
    (
        "time_zone",
        &[
            "UTC",
            "Europe/Berlin",
            "America/St_Johns",
            "Pacific/Apia",
            "Etc/GMT+12",
            "Asia/Kathmandu",
            "Africa/Monrovia",
            "Australia/Lord_Howe",
            "CET6CDT",
            "",
        ],
    ),
    (
        "paths",
        &[
            "name",
            "description",
            "*",
            "schedule",
            "time_zone",
            "keep",
            "keep.count",
            "full_every",
            "expire_time",
            "held",
            "kept_until",
        ],
    ),
    ("cloud", &["source", "dr", ""]),
    ("tenant", &["demo", "5a1e4e5c8d0b4f58a2f2f6b0d4d4d1a1", ""]),
    ("id", &[ID, "", "source-server"]),
    ("uuid", &[ID, "source-server"]),
    ("ids", &["snapshot/01890a5d", ID, "source-server"]),
    ("etag", &["1", "\"1\"", "2", "W/\"1\"", ""]),
    ("timezone", &["Europe/Berlin", "UTC", "Asia/Kathmandu"]),
    (
        "user_data",
        &["I2Nsb3VkLWNvbmZpZwo=", "", "////", "I2Nsb3VkLWNvbmZpZwo"],
    ),
    (
        "address",
        &[
            "10.0.0.7",
            "fe80::1",
            "::ffff:10.0.0.1",
            "256.1.1.1",
            "10.0.0.0/24",
        ],
    ),
    ("addresses", &["10.0.0.7", "fe80::1"]),
    ("state", &["OK", "ERRED", "Creating", "3"]),
    ("backup_type", &["dr", "regular"]),
    (
        "time",
        &[
            "2026-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "0001-01-01T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-01-01",
        ],
    ),
    ("until", &["2026-03-01T00:00:00Z", "2026-03-01T00:00:00"]),
    ("page", &["1", "0", "2", "18446744073709551615"]),
    ("page_size", &["10", "0", "-1", "4294967296"]),
    ("is_active", &["true", "false"]),
];

/// What is put into texts.
const HOSTILE: &[&str] = &[
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "\u{7f}",
    "é",
    "e\u{301}",
    "😀",
    "\u{10ffff}",
    "ß",
    "İ",
    "'",
    "\"",
    "\\",
    "\\\"",
    "%",
    "%00",
    "%s",
    "../",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\u{a0}",
    "*",
    "*/",
    "/",
    ",",
    ";",
    "-",
    "--",
    "#",
    "?",
    "L",
    "W",
    "{",
    "}",
    "[",
    "]",
    "(",
    "<",
    "=",
    ">=",
    " AND ",
    " OR ",
    "NOT ",
    "NaN",
    "1e999",
    "-1",
    "0",
    "00",
    "60",
    "4294967296",
    "18446744073709551616",
    "-9223372036854775808",
    "0x7f",
    "@",
    "@yearly",
    "*/0",
    "0-0",
    "59-0",
    "1/999999",
    "UTC",
    "null",
    "true",
    "drb-",
    "::",
    ".",
    "..",
];

/// A text as somebody might write it there.
pub(crate) fn plausible(dice: &mut StdRng, field: &str) -> String {
    let fits = |name: &str| {
        field == name
            || field
                .strip_suffix(name)
                .is_some_and(|rest| rest.ends_with('_'))
    };
    let found = PLAUSIBLE.iter().find(|(name, _)| fits(name));
    let texts = found.map_or(
        &["", "web", "nightly", "Daily, 3 o'clock"][..],
        |(_, texts)| texts,
    );
    texts.choose(dice).copied().unwrap_or_default().to_owned()
}

/// A text for a field: mostly as somebody might write it, or with something done to it.
pub(crate) fn word(dice: &mut StdRng, field: &str) -> String {
    let text = plausible(dice, field);
    if dice.random_ratio(1, 2) {
        return text;
    }
    twisted(dice, &text, field)
}

/// The text with something done to it, mostly little.
fn twisted(dice: &mut StdRng, text: &str, field: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..dice.random_range(1..=4_u8) {
        let place = dice.random_range(0..=letters.len());
        let end = dice.random_range(place..=letters.len());
        match dice.random_range(0..24_u8) {
            0..8 => {
                let hostile = HOSTILE.choose(dice).copied().unwrap_or_default();
                letters.splice(place..place, hostile.chars());
            }
            8..12 => drop(letters.drain(place..end)),
            12..15 => {
                let part: Vec<char> = letters[place..end].to_vec();
                letters.splice(place..place, part);
            }
            15..18 => {
                let other = plausible(dice, field);
                letters.splice(place..end, other.chars());
            }
            18..20 => letters
                .splice(place..place, dice.random::<u32>().to_string().chars())
                .for_each(drop),
            20 => letters.reverse(),
            21 => letters[place..end].iter_mut().for_each(|one| {
                *one = if one.is_uppercase() {
                    one.to_ascii_lowercase()
                } else {
                    one.to_ascii_uppercase()
                };
            }),
            22 => letters.insert(place, dice.random()),
            // Seldom, because it takes longest.
            _ => {
                let many = match dice.random_range(0..64_u8) {
                    0 => 140_000,
                    1..4 => 9_000,
                    4..16 => 1_100,
                    _ => dice.random_range(1..300),
                };
                let part: Vec<char> = letters[place..end].iter().take(8).copied().collect();
                let part = if part.is_empty() { vec!['a'] } else { part };
                let repeated = part.iter().cycle().take(many);
                letters.splice(place..place, repeated.copied().collect::<Vec<char>>());
            }
        }
    }
    letters.into_iter().collect()
}
