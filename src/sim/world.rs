//! The memory of one cloud and the queue of what is still to happen in it; it may not know HTTP.
//!
//! Nothing runs in the background: whoever looks settles first what has become due, in its order and
//! with its own time, so that a cloud that nobody looks at costs nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::Value;

use super::clock::Clock;
use super::config::Config;
use super::faults::Faults;
use super::http::LoggedRequest;
use super::{cinder, glance, keystone, neutron, nova};

/// The kinds of resources whose comings and goings are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A volume.
    Volume,
    /// A snapshot.
    Snapshot,
    /// A backup that was made here.
    Backup,
    /// A backup whose record was imported.
    ImportedBackup,
    /// A server.
    Server,
    /// A network.
    Network,
    /// A subnet.
    Subnet,
    /// A port.
    Port,
    /// A trunk.
    Trunk,
    /// A security group.
    SecurityGroup,
    /// A router.
    Router,
    /// A floating address.
    FloatingIp,
    /// A snapshot of a volume group.
    GroupSnapshot,
    /// An image.
    Image,
    /// A key pair.
    Keypair,
    /// A server group.
    ServerGroup,
    /// The transfer of a volume.
    Transfer,
}

/// One resource that once existed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What it was.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its name when it was made.
    pub name: String,
    /// The tags and the values of the metadata of a server when it was made.
    pub marks: Vec<String>,
    /// The project that it was made in.
    pub project: String,
    /// When it was asked for, since the cloud began.
    pub created: Duration,
    /// When a server failed to come up, since the cloud began.
    pub broken: Option<Duration>,
    /// When it was gone, since the cloud began.
    pub deleted: Option<Duration>,
}

/// What a fault has in store for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stuck,
    Status(String),
    Fail(String),
}

/// What is still to happen, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    VolumeReady(String),
    VolumeGone(String),
    VolumeExtended(String, u64),
    SnapshotReady(String),
    SnapshotGone(String),
    BackupReady(String),
    BackupImported(String),
    BackupGone(String),
    /// `fresh`: Cinder made the volume itself.
    BackupRestored {
        backup: String,
        volume: String,
        fresh: bool,
    },
    ServerReady(String),
    ServerGone(String),
    ServerPower(String, bool),
    VolumeAttached {
        server: String,
        volume: String,
    },
    VolumeDetached {
        server: String,
        volume: String,
    },
    GroupSnapshotReady(String),
    GroupSnapshotGone(String),
    /// The hypervisor has put the bytes of a server into its image.
    ImageReady {
        image: String,
        server: String,
    },
}

impl Event {
    /// The resource whose fate decides how this ends.
    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::VolumeReady(id)
            | Self::VolumeGone(id)
            | Self::VolumeExtended(id, _)
            | Self::SnapshotReady(id)
            | Self::SnapshotGone(id)
            | Self::BackupReady(id)
            | Self::BackupImported(id)
            | Self::BackupGone(id)
            | Self::ServerReady(id)
            | Self::ServerGone(id)
            | Self::ServerPower(id, _)
            | Self::GroupSnapshotReady(id)
            | Self::GroupSnapshotGone(id)
            | Self::ImageReady { image: id, .. } => id,
            Self::BackupRestored { volume, .. }
            | Self::VolumeAttached { volume, .. }
            | Self::VolumeDetached { volume, .. } => volume,
        }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// The moment that is being lived through: of the event that is settled, or of the request.
    pub(crate) now: Duration,
    pub(crate) keystone: keystone::State,
    pub(crate) cinder: cinder::State,
    pub(crate) nova: nova::State,
    pub(crate) neutron: neutron::State,
    pub(crate) glance: glance::State,
    pub(crate) faults: Faults,
    pub(crate) fates: HashMap<String, Fate>,
    pub(crate) requests: Vec<LoggedRequest>,
    pub(crate) events: BTreeMap<(Duration, u64), Event>,
    /// What servers and volumes are shown with, by their ids, whatever else they are.
    dresses: BTreeMap<String, serde_json::Map<String, Value>>,
    history: Vec<Memory>,
    random: StdRng,
    sequence: u64,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let mut world = Self {
            clock: Clock::new(),
            now: Duration::ZERO,
            keystone: keystone::State::default(),
            cinder: cinder::State::default(),
            nova: nova::State::default(),
            neutron: neutron::State::default(),
            glance: glance::State::default(),
            faults: Faults::default(),
            fates: HashMap::new(),
            requests: Vec::new(),
            events: BTreeMap::new(),
            dresses: BTreeMap::new(),
            history: Vec::new(),
            random: StdRng::seed_from_u64(config.seed),
            sequence: 0,
            config,
        };
        keystone::furnish(&mut world);
        cinder::furnish(&mut world);
        nova::furnish(&mut world);
        neutron::furnish(&mut world);
        world
    }

    /// Lives through everything that has become due.
    pub(crate) fn settle(&mut self) {
        let until = self.clock.elapsed();
        while let Some(entry) = self
            .events
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        {
            self.now = entry.key().0;
            let event = entry.remove();
            self.live(&event);
        }
        self.now = until;
    }

    /// Winds the clock just far enough for everything that is under way to end.
    pub(crate) fn finish_all(&mut self) {
        self.settle();
        while let Some(((due, _), _)) = self.events.last_key_value() {
            let ahead = due.saturating_sub(self.clock.elapsed());
            self.clock.wind(ahead);
            self.settle();
        }
    }

    pub(crate) fn later(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    pub(crate) fn at(&mut self, due: Duration, event: Event) {
        let sequence = self.next();
        self.events.insert((due, sequence), event);
    }

    fn live(&mut self, event: &Event) {
        let subject = event.subject().to_owned();
        let fate = self.fates.remove(&subject);
        if fate == Some(Fate::Stuck) {
            return;
        }
        let failure = match &fate {
            Some(Fate::Fail(reason)) => Some(reason.as_str()),
            Some(Fate::Status(_) | Fate::Stuck) | None => None,
        };
        match event {
            Event::ServerReady(_)
            | Event::ServerGone(_)
            | Event::ServerPower(..)
            | Event::VolumeAttached { .. }
            | Event::VolumeDetached { .. }
            | Event::ImageReady { .. } => nova::settle(self, event, failure),
            Event::VolumeReady(_)
            | Event::VolumeGone(_)
            | Event::VolumeExtended(..)
            | Event::SnapshotReady(_)
            | Event::SnapshotGone(_)
            | Event::BackupReady(_)
            | Event::BackupImported(_)
            | Event::BackupGone(_)
            | Event::GroupSnapshotReady(_)
            | Event::GroupSnapshotGone(_)
            | Event::BackupRestored { .. } => cinder::settle(self, event, failure),
        }
        if let Some(Fate::Status(status)) = fate {
            self.set_status(&subject, &status);
        }
    }

    /// Gives a volume, snapshot, backup, server, group snapshot or image another status; says whether there is such a one.
    pub(crate) fn set_status(&mut self, id: &str, status: &str) -> bool {
        let place = if let Some(volume) = self.cinder.volumes.get_mut(id) {
            &mut volume.status
        } else if let Some(snapshot) = self.cinder.snapshots.get_mut(id) {
            &mut snapshot.status
        } else if let Some(backup) = self.cinder.backups.get_mut(id) {
            &mut backup.status
        } else if let Some(server) = self.nova.servers.get_mut(id) {
            &mut server.status
        } else if let Some(one) = self.cinder.groups.snapshots.get_mut(id) {
            &mut one.status
        } else if let Some(image) = self.glance.images.get_mut(id) {
            &mut image.status
        } else {
            return false;
        };
        status.clone_into(place);
        true
    }

    /// Gives a server, volume or whatever Neutron has an attribute as it is shown from then on; says
    /// whether there is such a one.
    pub(crate) fn set_attribute(&mut self, id: &str, name: &str, value: Value) -> bool {
        if self.neutron.set_attribute(id, name, &value) {
            return true;
        }
        let known = self.nova.servers.contains_key(id) || self.cinder.volumes.contains_key(id);
        if known {
            let dress = self.dresses.entry(id.to_owned()).or_default();
            dress.insert(name.to_owned(), value);
        }
        known
    }

    /// Puts on what was set by hand.
    pub(crate) fn dress(&self, id: &str, view: &mut Value) {
        for (name, value) in self.dresses.get(id).into_iter().flatten() {
            view[name] = value.clone();
        }
    }

    /// Removes a resource as if it had never been.
    pub(crate) fn vanish(&mut self, id: &str) {
        self.cinder.volumes.remove(id);
        self.cinder.snapshots.remove(id);
        self.cinder.backups.remove(id);
        if self.cinder.groups.snapshots.remove(id).is_some() {
            // They are its parts: no cloud loses the one and keeps the others.
            let members = self.cinder.snapshots.values();
            let members: Vec<String> = members
                .filter(|one| one.part_of.as_deref() == Some(id))
                .map(|one| one.id.clone())
                .collect();
            for member in members {
                self.vanish(&member);
            }
        }
        self.nova.servers.remove(id);
        self.neutron.vanish(id);
        self.glance.images.remove(id);
        self.forget(id);
    }

    pub(crate) fn remember(&mut self, kind: Kind, id: &str, name: &str, project: &str) {
        self.history.push(Memory {
            kind,
            id: id.to_owned(),
            name: name.to_owned(),
            marks: Vec::new(),
            project: project.to_owned(),
            created: self.now,
            broken: None,
            deleted: None,
        });
    }

    /// What is remembered of a resource that is there.
    pub(crate) fn recall(&mut self, id: &str) -> Option<&mut Memory> {
        let mut newest_first = self.history.iter_mut().rev();
        newest_first.find(|one| one.id == id && one.deleted.is_none())
    }

    pub(crate) fn forget(&mut self, id: &str) {
        let now = self.now;
        if let Some(memory) = self.recall(id) {
            memory.deleted = Some(now);
        }
    }

    pub(crate) fn history(&self) -> &[Memory] {
        &self.history
    }

    /// What the cloud's calendar says now.
    pub(crate) fn date(&self) -> DateTime<Utc> {
        self.clock.calendar(self.now)
    }

    /// A number greater than all before: the order of creation.
    pub(crate) fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// An id with dashes, as most resources have.
    pub(crate) fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.random.random())
            .into_uuid()
            .to_string()
    }

    /// An id without dashes, as Keystone gives.
    pub(crate) fn hex_id(&mut self) -> String {
        self.uuid().replace('-', "")
    }

    pub(crate) fn random_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.random.fill(bytes.as_mut_slice());
        bytes
    }
}
