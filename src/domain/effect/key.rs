//! The keys of effects, by a type that writes each of them and reads it back; it may not know which planner
//! makes which.
//!
//! A key is stored, and it is the end of the name by which what an effect makes is found again. So a text
//! that was handed out once is handed out for ever: `key::volume(3).increment().try_no(2)` is
//! `volume-3-increment-2`. All of them are rows of the tables in this file and in `listed`, and what is no row
//! is read as nothing: it is the key of a newer replica.

mod listed;

use std::fmt;

use super::{PortSetting, ServerSetting};
use crate::domain::id::EffectKey;

pub use self::listed::{List, Single};

/// What may be made again when it failed: `server`, `server-2` …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried(String);

impl Tried {
    /// The first, the second … of its tries.
    pub fn try_no(&self, number: u32) -> EffectKey {
        match number {
            1 => EffectKey::new(&self.0),
            _ => EffectKey::new(format!("{}-{number}", self.0)),
        }
    }
}

impl From<Tried> for EffectKey {
    /// The first try.
    fn from(tried: Tried) -> Self {
        Self::new(tried.0)
    }
}

/// The server.
pub fn server() -> Tried {
    Tried(Subject::Server.head().to_owned())
}

/// What is set on the server when it is up.
pub fn server_setting(setting: &ServerSetting) -> EffectKey {
    EffectKey::new(format!(
        "{}-{}",
        Subject::ServerSetting.head(),
        setting.attribute()
    ))
}

/// The volume at a place of the manifest.
pub fn volume(place: usize) -> Volume {
    Volume(place)
}

/// A volume of the manifest, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume(usize);

impl Volume {
    fn of(self, aspect: &str) -> String {
        Subject::Volume.aspect(self.0, aspect)
    }

    /// The volume that is made in its place.
    pub fn made(self) -> Tried {
        Tried(self.of(""))
    }

    /// Its snapshot.
    pub fn snapshot(self) -> EffectKey {
        EffectKey::new(self.of("snapshot"))
    }

    /// The image of a root disk that is no volume.
    pub fn image(self) -> EffectKey {
        EffectKey::new(self.of("image"))
    }

    /// Its temporary copy.
    pub fn copy(self) -> EffectKey {
        EffectKey::new(self.of("copy"))
    }

    /// Its full volume backup.
    pub fn backup(self) -> Tried {
        Tried(self.of("backup"))
    }

    /// Its volume backup that builds on another one.
    pub fn increment(self) -> Tried {
        Tried(self.of("increment"))
    }

    /// A record of its chain: the head's first, then those of what is under it.
    pub fn record(self, depth: usize) -> EffectKey {
        let head = self.of("record");
        match depth {
            0 => EffectKey::new(head),
            _ => EffectKey::new(format!("{head}-{depth}")),
        }
    }

    /// The restore into the volume of the same try.
    pub fn restore(self) -> Tried {
        Tried(self.of("restore"))
    }

    /// What was taken over from a donor.
    pub fn taken(self) -> EffectKey {
        EffectKey::new(self.of("taken"))
    }

    /// Whether it boots.
    pub fn bootable(self) -> EffectKey {
        EffectKey::new(self.of("bootable"))
    }

    /// The looks of the original.
    pub fn properties(self) -> EffectKey {
        EffectKey::new(self.of("properties"))
    }
}

/// The security group at a place of the manifest.
pub fn group(place: usize) -> Group {
    Group(place)
}

/// A security group of the manifest, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(usize);

impl Group {
    fn of(self, aspect: &str) -> EffectKey {
        EffectKey::new(Subject::Group.aspect(self.0, aspect))
    }

    /// The group that is made.
    pub fn made(self) -> EffectKey {
        self.of("")
    }

    /// Its rules.
    pub fn rules(self) -> EffectKey {
        self.of("rules")
    }

    /// Its final name.
    pub fn name(self) -> EffectKey {
        self.of("name")
    }
}

/// The port at a place among all ports of the manifest.
pub fn port(place: usize) -> Port {
    Port(place)
}

/// A port of the manifest, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(usize);

impl Port {
    fn of(self, aspect: &str) -> String {
        Subject::Port.aspect(self.0, aspect)
    }

    /// The port that is made without wishes.
    pub fn made(self) -> EffectKey {
        EffectKey::new(self.of(""))
    }

    /// The port that keeps something of the original.
    pub fn kept(self) -> Tried {
        Tried(self.of(KEPT))
    }

    /// Its trunk.
    pub fn trunk(self) -> EffectKey {
        EffectKey::new(self.of("trunk"))
    }

    /// The name and the tags of its trunk.
    pub fn trunk_name(self) -> EffectKey {
        EffectKey::new(self.of("trunk-name"))
    }

    /// Its final name.
    pub fn name(self) -> EffectKey {
        EffectKey::new(self.of("name"))
    }

    /// One thing that is set on it.
    pub fn setting(self, setting: &PortSetting) -> EffectKey {
        EffectKey::new(self.of(setting.attribute()))
    }
}

const KEPT: &str = "kept";

impl EffectKey {
    /// Another status for what this effect made or deletes, so that it can go.
    #[must_use]
    pub fn reset(&self) -> Self {
        self.followed(After::Reset)
    }

    /// Another status for the record that this effect waits for.
    #[must_use]
    pub fn freed(&self) -> Self {
        self.followed(After::Freed)
    }

    /// The end of what came with this image.
    #[must_use]
    pub fn swept(&self) -> Self {
        self.followed(After::Swept)
    }

    /// Another status for the snapshot that this volume backup has left busy.
    #[must_use]
    pub fn snapshot_freed(&self) -> Self {
        self.followed(After::SnapshotFreed)
    }

    fn followed(&self, after: After) -> Self {
        let (before, behind) = after.around();
        Self::new(format!("{before}{self}{behind}"))
    }

    /// What it says; nothing where no planner of today writes such a key.
    pub fn parts(&self) -> Option<Parts> {
        let (text, after) = After::ALL
            .into_iter()
            .find_map(|after| {
                let (before, behind) = after.around();
                let own = self.as_str().strip_prefix(before)?.strip_suffix(behind)?;
                Some((own, Some(after)))
            })
            .unwrap_or((self.as_str(), None));
        Subject::all().find_map(|subject| Parts::read(subject, text, after))
    }

    /// The place of what it is about among others of its kind.
    pub fn place(&self) -> Option<usize> {
        self.parts()?.place
    }

    /// The place of the volume that it is about.
    pub fn volume(&self) -> Option<usize> {
        let parts = self.parts()?;
        let is_own = parts.after != Some(After::SnapshotFreed);
        parts
            .place
            .filter(|_| is_own && parts.subject == Subject::Volume)
    }

    /// Whether it is a port that keeps something of the original.
    pub fn is_kept_port(&self) -> bool {
        let is_kept = |parts: Parts| parts.subject == Subject::Port && parts.aspect == KEPT;
        self.parts().is_some_and(is_kept)
    }

    /// Which try it is, counted from 1.
    pub fn try_no(&self) -> u32 {
        let parts = self.parts().filter(|parts| parts.counted == Counted::Tries);
        parts.and_then(|parts| parts.number).unwrap_or(1)
    }

    /// The text of the key of the image whose end this sees to.
    pub fn swept_image(&self) -> Option<&str> {
        let (before, behind) = After::Swept.around();
        self.as_str().strip_prefix(before)?.strip_suffix(behind)
    }
}

/// What a key says, part by part; its text is the key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    subject: Subject,
    place: Option<usize>,
    aspect: &'static str,
    counted: Counted,
    number: Option<u32>,
    after: Option<After>,
}

impl Parts {
    /// What the text says if it is about this subject.
    fn read(subject: Subject, text: &str, after: Option<After>) -> Option<Self> {
        let mut rest = text.strip_prefix(subject.head())?;
        let mut place = None;
        if subject.has_places() {
            let digits = rest.strip_prefix('-')?;
            let (digits, behind) = digits.split_at(digits.find('-').unwrap_or(digits.len()));
            place = Some(digits.parse().ok()?);
            rest = behind;
        }
        let aspects = subject.aspects().iter().copied();
        let mut readings = aspects.filter_map(|(aspect, counted)| {
            let rest = match aspect {
                "" => rest,
                _ => rest.strip_prefix('-')?.strip_prefix(aspect)?,
            };
            let number = match rest {
                "" => None,
                _ => Some(rest.strip_prefix('-')?.parse().ok()?),
            };
            Some(Self {
                subject,
                place,
                aspect,
                counted,
                number: number.filter(|number| *number >= counted.least().unwrap_or(u32::MAX)),
                after,
            })
        });
        // A number that is written otherwise, or counts what is not counted, is none of ours.
        let (before, behind) = after.map_or(("", ""), After::around);
        readings.find(|parts| parts.to_string() == format!("{before}{text}{behind}"))
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, behind) = self.after.map_or(("", ""), After::around);
        write!(formatter, "{before}{}", self.subject.head())?;
        if let Some(place) = self.place {
            write!(formatter, "-{place}")?;
        }
        if !self.aspect.is_empty() {
            write!(formatter, "-{}", self.aspect)?;
        }
        if let Some(number) = self.number {
            write!(formatter, "-{number}")?;
        }
        formatter.write_str(behind)
    }
}

/// What a key begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Single(Single),
    Listed(List),
    Volume,
    Group,
    Port,
    Server,
    ServerSetting,
}

impl Subject {
    fn all() -> impl Iterator<Item = Self> {
        [
            Self::Volume,
            Self::Port,
            Self::Group,
            Self::Server,
            Self::ServerSetting,
        ]
        .into_iter()
        .chain(Single::ALL.into_iter().map(Self::Single))
        .chain(List::ALL.into_iter().map(Self::Listed))
    }

    fn head(self) -> &'static str {
        match self {
            Self::Single(single) => single.text(),
            Self::Listed(list) => list.text(),
            Self::Volume => "volume",
            Self::Group => "group",
            Self::Port => "port",
            Self::Server => "server",
            Self::ServerSetting => "set",
        }
    }

    fn has_places(self) -> bool {
        match self {
            Self::Listed(_) | Self::Volume | Self::Group | Self::Port => true,
            Self::Single(_) | Self::Server | Self::ServerSetting => false,
        }
    }

    /// What is done with it, and whether that is counted.
    fn aspects(self) -> &'static [(&'static str, Counted)] {
        match self {
            Self::Single(_) | Self::Listed(_) => &[("", Counted::No)],
            Self::Server => &[("", Counted::Tries)],
            Self::ServerSetting => &[("status", Counted::No), ("locked", Counted::No)],
            Self::Group => &[
                ("", Counted::No),
                ("rules", Counted::No),
                ("name", Counted::No),
            ],
            Self::Volume => &[
                ("", Counted::Tries),
                ("snapshot", Counted::No),
                ("image", Counted::No),
                ("copy", Counted::No),
                ("backup", Counted::Tries),
                ("increment", Counted::Tries),
                ("record", Counted::Depth),
                ("restore", Counted::Tries),
                ("taken", Counted::No),
                ("bootable", Counted::No),
                ("properties", Counted::No),
            ],
            Self::Port => &[
                ("", Counted::No),
                (KEPT, Counted::Tries),
                ("trunk", Counted::No),
                ("trunk-name", Counted::No),
                ("name", Counted::No),
                ("description", Counted::No),
                ("allowed_address_pairs", Counted::No),
                ("extra_dhcp_opts", Counted::No),
                ("dns_name", Counted::No),
                ("dns_domain", Counted::No),
                ("qos_policy", Counted::No),
                ("tags", Counted::No),
                ("fixed_ips", Counted::No),
                ("admin_state_up", Counted::No),
            ],
        }
    }

    /// The text of what is done with the one at a place.
    fn aspect(self, place: usize, aspect: &str) -> String {
        match aspect {
            "" => format!("{}-{place}", self.head()),
            _ => format!("{}-{place}-{aspect}", self.head()),
        }
    }
}

/// Whether a number ends a key, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    No,
    /// The first one has none.
    Tries,
    /// That of the head, 0, is not written.
    Depth,
}

impl Counted {
    /// The least number that is written.
    fn least(self) -> Option<u32> {
        match self {
            Self::No => None,
            Self::Tries => Some(2),
            Self::Depth => Some(1),
        }
    }
}

/// What is done because of another effect, whose key it has inside its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Reset,
    Freed,
    Swept,
    SnapshotFreed,
}

impl After {
    const ALL: [Self; 4] = [Self::Reset, Self::Freed, Self::Swept, Self::SnapshotFreed];

    /// What stands before that key, and behind it.
    fn around(self) -> (&'static str, &'static str) {
        match self {
            Self::Reset => ("", "-reset"),
            Self::Freed => ("", "-freed"),
            Self::Swept => ("", "-swept"),
            Self::SnapshotFreed => ("freed-after-", ""),
        }
    }
}

#[cfg(test)]
mod tests;
