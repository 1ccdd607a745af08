//! The audit: who did what to which object, through which door, as a chain of entries; it may not know how
//! entries are kept.
//!
//! The text of an entry is what its digest is of, what is kept and what is exported, so that nobody has to
//! know a second spelling to verify it: the digest is the SHA-256 of the text, and the text holds the digest
//! of the entry before. The text is an object of JSON in printable ASCII. Texts are never written anew, so
//! their members may change from version to version; `number`, `before` and `time` stay.

use std::{fmt, fmt::Write as _, net::IpAddr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    caller::{Caller, Door, Via},
    decision::Ending,
    error::OperationError,
    id::{OperationId, PointId, PointKind, ResourceId, Tenant},
    time::Timestamp,
};

/// The digest of an entry, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// What the first entry of all names as the one before.
    pub fn of_nothing() -> Self {
        Self("0".repeat(64))
    }

    fn of(text: &str) -> Self {
        let digest = Sha256::digest(text);
        Self(digest.iter().fold(String::new(), |mut hex, byte| {
            let _never_fails = write!(hex, "{byte:02x}");
            hex
        }))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Somebody's request was accepted.
    Accepted {
        /// The method, for example `CreateDRBackup`.
        method: &'static str,
        /// The caller's id of the request; empty means none.
        #[serde(skip_serializing_if = "String::is_empty")]
        request_id: String,
        /// What is made of the object by it, where that is another one.
        #[serde(skip_serializing_if = "Option::is_none")]
        makes: Option<Object>,
    },
    /// Work that was accepted came to its end.
    Ended {
        /// The operation; nothing for work that is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        operation: Option<OperationId>,
        /// What it was to do, for example `create_dr_backup`.
        method: String,
        /// How it ended.
        outcome: Outcome,
        /// How long after it was accepted.
        seconds: f64,
        /// Why it gave up, where it did.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        why: Option<Why>,
    },
    /// The credential of an admin is used in a cloud.
    AdminUsed {
        /// What the admin is needed for: `export`, `import`, `reset` or `instance`.
        purpose: &'static str,
        /// Whose API it is, as OpenStack calls the service.
        service: &'static str,
        /// The method of HTTP.
        method: String,
        /// What the call is to do; of many the first one.
        action: String,
        /// How many calls: one, or all that read within a minute.
        calls: u64,
    },
}

/// How work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it was to do.
    Done,
    /// It gave up.
    Erred,
    /// The same, because a caller wanted that.
    Cancelled,
}

impl Outcome {
    /// How an operation ended, where it did, and why it gave up, where it did.
    pub fn of(ending: &Ending) -> Option<(Self, Option<Why>)> {
        match ending {
            Ending::Open => None,
            Ending::Done => Some((Self::Done, None)),
            Ending::Erred(error) => {
                let cancelled = error.is_cancelled();
                let outcome = if cancelled {
                    Self::Cancelled
                } else {
                    Self::Erred
                };
                Some((outcome, Some(error.into())))
            }
        }
    }
}

/// Why work gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The reason, for machines.
    pub reason: String,
    /// OpenStack's id of the call that failed, by which it is found in the log of its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openstack_request_id: Option<String>,
}

impl From<&OperationError> for Why {
    fn from(error: &OperationError) -> Self {
        Self {
            reason: error.reason.clone(),
            openstack_request_id: error.request_id.clone(),
        }
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The name of the caller, or of a part of the service.
    pub name: String,
    /// How it was recognised.
    pub via: &'static str,
    /// The cloud whose Keystone knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keystone: Option<String>,
    /// Through which door it came.
    pub door: &'static str,
    /// From which address, where it came over a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl Who {
    /// A caller.
    pub fn new(caller: &Caller, door: Door, address: Option<IpAddr>) -> Self {
        Self {
            name: caller.name().to_owned(),
            via: caller.via().name(),
            keystone: match caller.via() {
                Via::Keystone(cloud) => Some(cloud.to_string()),
                Via::Open | Via::Certificate | Via::StaticToken | Via::Internal => None,
            },
            door: door.name(),
            address,
        }
    }

    /// A part of the service.
    pub fn internal(part: &str) -> Self {
        Self::new(&Caller::internal(part), Door::Internal, None)
    }
}

/// To what it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Of which kind.
    pub kind: &'static str,
    /// Its id; empty where the tenant is all that is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The cloud that it is in.
    pub cloud: String,
    /// The tenant that it belongs to.
    pub tenant: String,
}

impl Object {
    /// A resource of ours.
    pub fn resource(about: ResourceId, tenant: &Tenant) -> Self {
        let kind = match about {
            ResourceId::Point(PointId { kind, .. }) => match kind {
                PointKind::Dr => "dr_backup",
                PointKind::Regular => "backup",
            },
            ResourceId::Restoration(_) => "restoration",
            ResourceId::Schedule(_) => "schedule",
        };
        Self {
            id: about.uuid().to_string(),
            ..Self::of(kind, tenant)
        }
    }

    /// Things of a kind in a tenant.
    pub fn of(kind: &'static str, tenant: &Tenant) -> Self {
        Self {
            kind,
            id: String::new(),
            cloud: tenant.cloud.to_string(),
            tenant: tenant.project.to_string(),
        }
    }
}

/// What is to be entered: all that an entry says, without its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// When it happened.
    #[serde(serialize_with = "told")]
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// Who did it.
    #[serde(rename = "by")]
    pub who: Who,
    /// To what.
    pub object: Object,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn told<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// A place in the chain, and the digest of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The number of the entry; 0 before the first one.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Link {
    /// Before the first entry of all.
    pub fn before_all() -> Self {
        Self {
            number: 0,
            digest: Digest::of_nothing(),
        }
    }
}

/// The two ends of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The last entry that was let go because of its age: what is there begins behind it.
    pub anchor: Link,
    /// The last entry.
    pub head: Link,
}

/// An entry at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: u64,
    /// When it happened.
    pub time: Timestamp,
    /// All that it says.
    pub text: String,
    /// The digest of the text.
    pub digest: Digest,
}

/// The members of a text that a chain goes by.
#[derive(Deserialize)]
struct Place {
    number: u64,
    before: Digest,
    time: String,
}

impl Entry {
    /// The entry of a note, behind another one.
    pub fn behind(last: &Link, note: &Note) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        struct Placed<'n> {
            number: u64,
            before: &'n Digest,
            #[serde(flatten)]
            note: &'n Note,
        }
        let number = last.number.saturating_add(1);
        let before = &last.digest;
        let placed = Placed {
            number,
            before,
            note,
        };
        let text = printable(&serde_json::to_string(&placed)?);
        Ok(Self {
            number,
            time: note.time,
            digest: Digest::of(&text),
            text,
        })
    }

    /// Its place.
    pub fn link(&self) -> Link {
        Link {
            number: self.number,
            digest: self.digest.clone(),
        }
    }

    /// A line of JSON: the text, with its digest as the last member.
    pub fn line(&self) -> String {
        let text = self.text.strip_suffix('}').unwrap_or(&self.text);
        format!("{text},\"digest\":\"{}\"}}", self.digest)
    }
}

/// JSON in printable ASCII. What is neither can only stand in a string, where it may be spelled so.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if matches!(letter, ' '..='~') {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _never_fails = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// Where a chain does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {number} {why}")]
pub struct Break {
    /// The number of the first entry that is not as it should be.
    pub number: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A chain that is verified, entry by entry.
#[derive(Debug)]
pub struct Chain {
    last: Link,
    known: Option<Link>,
    entries: u64,
    span: Option<(Timestamp, Timestamp)>,
}

impl Chain {
    /// What begins behind this.
    pub fn behind(anchor: Link) -> Self {
        Self {
            last: anchor,
            known: None,
            entries: 0,
            span: None,
        }
    }

    /// The same, which has to hold an entry that is known from elsewhere.
    #[must_use]
    pub fn with(self, known: Option<Link>) -> Self {
        Self { known, ..self }
    }

    /// Goes on behind another entry, where all up to it was let go since this began.
    pub fn skip_to(&mut self, anchor: &Link) {
        if anchor.number > self.last.number {
            self.last = anchor.clone();
        }
    }

    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Break> {
        let number = self.last.number.saturating_add(1);
        let broken = |why| Err(Break { number, why });
        if entry.number != number {
            return broken("is not there");
        }
        let Ok(place) = serde_json::from_str::<Place>(&entry.text) else {
            return broken("cannot be read");
        };
        if Digest::of(&entry.text) != entry.digest {
            return broken("was changed: its digest is not that of its text");
        }
        if place.number != number || place.time != entry.time.to_string() {
            return broken("was changed: its number or time is not that of its text");
        }
        if place.before != self.last.digest {
            return broken("does not follow the one before it: one of the two was replaced");
        }
        self.last = entry.link();
        self.check_known()?;
        self.entries += 1;
        let (first, _) = self.span.unwrap_or((entry.time, entry.time));
        self.span = Some((first, entry.time));
        Ok(())
    }

    /// The chain must end here.
    pub fn end(&self, head: &Link) -> Result<(), Break> {
        let broken = |number, why| Err(Break { number, why });
        if head.number > self.last.number {
            return broken(self.last.number + 1, "is not there");
        }
        if *head != self.last {
            return broken(self.last.number, "is not the one that was written last");
        }
        match &self.known {
            Some(known) if known.number > self.last.number => {
                broken(known.number, "is not there, although it is known to be")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Of what was read at one moment, nothing may lie behind the end.
    pub fn ends_at(head: &Link, entries: &[Entry]) -> Result<(), Break> {
        let beyond = entries.iter().find(|entry| entry.number > head.number);
        beyond.map_or(Ok(()), |entry| {
            Err(Break {
                number: entry.number,
                why: "lies behind the one that was written last",
            })
        })
    }

    /// What this has come to must be what is known of it from elsewhere.
    pub fn check_known(&self) -> Result<(), Break> {
        match &self.known {
            Some(known) if known.number == self.last.number && *known != self.last => Err(Break {
                number: known.number,
                why: "has another digest than it is known to have",
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The last entry so far.
    pub fn last(&self) -> &Link {
        &self.last
    }

    /// How many entries were taken.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// When the first and the last one that were taken happened.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{CloudName, ProjectId};

    fn note(name: &str) -> Note {
        let tenant = Tenant {
            cloud: CloudName::new("dr"),
            project: ProjectId::new("p"),
        };
        Note {
            time: Timestamp(1_790_000_000_000_000),
            what: What::Accepted {
                method: "CreateDRBackup",
                request_id: "r\u{1b}\u{7f}ü𝄞".to_owned(),
                makes: None,
            },
            who: Who::internal(name),
            object: Object::of("orphans", &tenant),
        }
    }

    fn chain(count: usize) -> Vec<Entry> {
        let mut last = Link::before_all();
        let mut entries = Vec::new();
        for index in 0..count {
            let entry = Entry::behind(&last, &note(&format!("part {index}"))).expect("written");
            last = entry.link();
            entries.push(entry);
        }
        entries
    }

    fn verified(anchor: &Link, entries: &[Entry], head: &Link) -> Result<u64, Break> {
        let mut chain = Chain::behind(anchor.clone());
        for entry in entries {
            chain.take(entry)?;
        }
        chain.end(head)?;
        Ok(chain.entries())
    }

    fn break_of(entries: &[Entry], head: &Link) -> u64 {
        let anchor = Link::before_all();
        verified(&anchor, entries, head)
            .expect_err("it is broken")
            .number
    }

    #[test]
    fn an_entry_is_spelled_like_this() {
        let entry = chain(1).remove(0);
        assert_eq!(
            entry.text,
            format!(
                r#"{{"number":1,"before":"{}","time":"2026-09-21T14:13:20Z","what":"accepted","method":"CreateDRBackup","request_id":"r\u001b\u007f\u00fc\ud834\udd1e","by":{{"name":"part 0","via":"internal","door":"internal"}},"object":{{"kind":"orphans","cloud":"dr","tenant":"p"}}}}"#,
                "0".repeat(64)
            )
        );
        let line = entry.line();
        let digest = format!(",\"digest\":\"{}\"}}", entry.digest);
        assert_eq!(line.replace(&digest, "}"), entry.text);
        let read: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(read["request_id"], "r\u{1b}\u{7f}ü𝄞");
    }

    #[test]
    fn a_chain_holds_from_its_beginning_and_from_an_anchor() {
        let entries = chain(5);
        let head = entries[4].link();
        let all = verified(&Link::before_all(), &entries, &head);
        assert_eq!(all, Ok(5));
        let anchor = entries[1].link();
        assert_eq!(verified(&anchor, &entries[2..], &head), Ok(3));
        assert_eq!(verified(&head, &[], &head), Ok(0));
        let empty = Link::before_all();
        assert_eq!(verified(&empty, &[], &empty), Ok(0));
    }

    #[test]
    fn whatever_is_done_to_an_entry_is_found_there() {
        let good = chain(5);
        let head = good[4].link();

        let mut changed = good.clone();
        changed[2].text = changed[2].text.replace("part 2", "part 9");
        assert_eq!(break_of(&changed, &head), 3);
        // With a new digest the next one does not follow it.
        changed[2].digest = Digest::of(&changed[2].text);
        assert_eq!(break_of(&changed, &head), 4);

        let mut moved = good.clone();
        moved[2].time = Timestamp(0);
        assert_eq!(break_of(&moved, &head), 3);

        let mut missing = good.clone();
        missing.remove(2);
        assert_eq!(break_of(&missing, &head), 3);

        let mut swapped = good.clone();
        swapped.swap(1, 2);
        assert_eq!(break_of(&swapped, &head), 2);

        let mut inserted = good.clone();
        inserted.insert(2, good[1].clone());
        assert_eq!(break_of(&inserted, &head), 3);

        assert_eq!(break_of(&good[..3], &head), 4);
        assert_eq!(break_of(&good, &good[3].link()), 5);
        let anchor = Link::before_all();
        let torn = verified(&anchor, &good[1..], &head).expect_err("its beginning is gone");
        assert_eq!((torn.number, torn.why), (1, "is not there"));
    }

    #[test]
    fn what_is_known_from_elsewhere_shows_that_the_end_was_cut_off_or_all_was_written_anew() {
        let good = chain(5);
        let verify = |entries: &[Entry], known: &Link| {
            let mut chain = Chain::behind(Link::before_all()).with(Some(known.clone()));
            for entry in entries {
                chain.take(entry)?;
            }
            chain.end(&entries[entries.len() - 1].link())
        };
        let known = good[3].link();
        assert_eq!(verify(&good, &known), Ok(()));
        assert_eq!(verify(&good[..3], &known).expect_err("cut").number, 4);
        let other = Link {
            digest: Digest::of_nothing(),
            ..known
        };
        assert_eq!(verify(&good, &other).expect_err("anew").number, 4);
    }
}
