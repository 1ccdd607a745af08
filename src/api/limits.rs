//! How much of each field a request may bring, looked at before anything is built of it; it may not know
//! what the fields are for.
//!
//! A message of a few bytes can become a structure of many, and one of a megabyte half a million of them.
//! So the bytes are walked once, by a table made of the descriptors, and what is too much is refused by the
//! name of its field. The limits here are those beyond which nothing makes sense; `service` has those of
//! the configuration and of OpenStack, and tells all that is wrong at once.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor};

use super::pb::DESCRIPTORS;
use crate::domain::error::{BadField, Error};

/// Ids, names and other words, in characters.
pub const WORD: usize = 1024;
/// Sentences and what is put together of words.
pub const TEXT: usize = 8 * 1024;
/// User data in base64, of which Nova takes half as much.
pub const USER_DATA: usize = 128 * 1024;
/// Things of an instance, of which it has a handful.
const THINGS: usize = 256;
/// Properties, of which Nova takes half as many if nobody said otherwise.
const PROPERTIES: usize = 512;
/// Orphans that one request deletes.
pub const ORPHANS: usize = 1000;

/// Characters of each text at most, by its name or by that of its message too.
const TEXTS: &[(&str, usize)] = &[
    ("address", WORD),
    ("availability_zone", WORD),
    ("backup_id", WORD),
    ("cidr", WORD),
    ("cloud", WORD),
    ("code", WORD),
    ("description", TEXT),
    ("device", WORD),
    ("direction", WORD),
    ("dr_backup_id", WORD),
    ("driver", WORD),
    ("etag", WORD),
    ("ethertype", WORD),
    ("filter", TEXT),
    ("fingerprint", WORD),
    ("fixed_address", WORD),
    ("flavor_id", WORD),
    ("floating_addresses", WORD),
    ("gaps", TEXT),
    ("guidance", TEXT),
    ("id", WORD),
    ("ids", WORD),
    ("image_id", WORD),
    ("image_metadata", TEXT),
    ("instance_id", WORD),
    ("instance_name", WORD),
    ("key_name", WORD),
    ("mac_address", WORD),
    ("message", TEXT),
    ("metadata", TEXT),
    ("name", WORD),
    ("network_id", WORD),
    ("network_name", WORD),
    ("order_by", TEXT),
    ("page_token", TEXT),
    ("parent_id", WORD),
    ("paths", WORD),
    ("phase", WORD),
    ("policy", WORD),
    ("properties", TEXT),
    ("protocol", WORD),
    ("public_key", TEXT),
    ("reason", WORD),
    ("remote_group_id", WORD),
    ("remote_ip_prefix", WORD),
    ("request_id", WORD),
    ("restoration_id", WORD),
    ("runtime_state", WORD),
    ("schedule", WORD),
    ("schedule_id", WORD),
    ("security_group_id", WORD),
    ("security_group_ids", WORD),
    ("segmentation_type", WORD),
    ("server_group_id", WORD),
    ("service", WORD),
    ("snapshot_id", WORD),
    ("source_network_id", WORD),
    ("source_volume_id", WORD),
    ("status", WORD),
    ("subnet_id", WORD),
    ("subnet_name", WORD),
    ("tag", WORD),
    ("tags", WORD),
    ("target_network_id", WORD),
    ("tenant", WORD),
    ("time_zone", WORD),
    ("unrecoverable_reason", TEXT),
    ("user_data", USER_DATA),
    ("vnic_type", WORD),
    ("volume_availability_zone", WORD),
    ("volume_id", WORD),
    ("volume_name", WORD),
    ("volume_type", WORD),
    ("waiting", TEXT),
];

/// Entries of each list and map at most, in the same way.
const COUNTS: &[(&str, usize)] = &[
    ("fixed_addresses", THINGS),
    ("floating_addresses", THINGS),
    ("gaps", 4 * 1024),
    ("ids", ORPHANS),
    ("image_metadata", PROPERTIES),
    ("metadata", PROPERTIES),
    ("mirrors", THINGS),
    ("networks", THINGS),
    ("paths", 64),
    ("ports", THINGS),
    ("properties", PROPERTIES),
    ("restorations", 1000),
    ("rules", 4 * 1024),
    ("security_group_ids", THINGS),
    ("security_groups", THINGS),
    ("snapshots", THINGS),
    ("sub_ports", 1024),
    ("tags", THINGS),
    ("volume_backups", THINGS),
    ("volumes", THINGS),
];

/// Bad fields that are told at most.
const TOLD: usize = 16;
/// Levels of messages in messages, as many as prost reads.
const DEPTH: usize = 100;

/// Looks through the bytes of a message of this name; those that are no request are not looked at.
pub(super) fn check(name: &str, bytes: &[u8]) -> Result<(), Error> {
    let Some(&message) = TABLE.requests.get(name) else {
        return Ok(());
    };
    let mut bad = Vec::new();
    let walked = TABLE.walk(message, bytes, &Place::top(), &mut bad);
    if bad.is_empty() && walked.is_none() {
        return Err(Error::field("", "the message cannot be read"));
    }
    if bad.is_empty() {
        return Ok(());
    }
    Err(Error::fields(bad))
}

/// Makes the table, so that the first caller need not wait for it.
pub(super) fn prepare() {
    LazyLock::force(&TABLE);
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// What is known of all messages that a request can have in it.
#[derive(Debug, Default)]
struct Table {
    /// The requests by their names, and where they are in `messages`.
    requests: HashMap<String, usize>,
    messages: Vec<Message>,
}

/// The fields of a message by their numbers.
#[derive(Debug, Default)]
struct Message(Vec<Option<Field>>);

#[derive(Debug)]
struct Field {
    name: String,
    /// How often it may be there. A text that is there again replaces the first, a message is added to it.
    count: Option<usize>,
    repeated: bool,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// So many characters at most.
    Text(usize),
    /// This message of the table.
    Message(usize),
    /// Nothing that grows.
    Number,
}

impl Table {
    fn new() -> Self {
        let mut table = Self::default();
        let mut known = HashMap::new();
        for input in requests() {
            let index = table.learn(&input, &mut known);
            table.requests.insert(input.name().to_owned(), index);
        }
        table
    }

    /// The place of a message, which is learnt if it is not known yet.
    fn learn(&mut self, message: &MessageDescriptor, known: &mut HashMap<String, usize>) -> usize {
        if let Some(&index) = known.get(message.full_name()) {
            return index;
        }
        let index = self.reserve();
        known.insert(message.full_name().to_owned(), index);
        let fields = message.fields().map(|field| {
            let inner = field.kind().as_message().cloned();
            let what = match inner {
                Some(entry) if field.is_map() => What::Message(self.learn_entry(&field, &entry)),
                Some(inner) => What::Message(self.learn(&inner, known)),
                None => what(&field.kind(), &field),
            };
            (field, what)
        });
        let fields: Vec<(FieldDescriptor, What)> = fields.collect();
        self.fill(index, fields);
        index
    }

    /// The entry of a map: what is said of the map holds for its keys and for its values.
    fn learn_entry(&mut self, map: &FieldDescriptor, entry: &MessageDescriptor) -> usize {
        let index = self.reserve();
        let fields = entry.fields().map(|field| {
            let what = what(&field.kind(), map);
            (field, what)
        });
        self.fill(index, fields.collect());
        index
    }

    fn reserve(&mut self) -> usize {
        self.messages.push(Message::default());
        self.messages.len() - 1
    }

    fn fill(&mut self, index: usize, fields: Vec<(FieldDescriptor, What)>) {
        let mut message = Message::default();
        for (field, what) in fields {
            let number = field.number() as usize;
            if message.0.len() <= number {
                message.0.resize_with(number + 1, || None);
            }
            let repeated = field.is_list() || field.is_map();
            let count = match what {
                // What nobody has thought of is refused; a test finds it first.
                _ if repeated => Some(limit(COUNTS, &field).unwrap_or_default()),
                What::Message(_) => Some(1),
                What::Text(_) | What::Number => None,
            };
            message.0[number] = Some(Field {
                name: field.name().to_owned(),
                count,
                repeated,
                what,
            });
        }
        self.messages[index] = message;
    }

    /// Notes what is too much in a message; nothing when it cannot be read or enough is noted.
    fn walk(
        &self,
        message: usize,
        mut bytes: &[u8],
        place: &Place<'_>,
        bad: &mut Vec<BadField>,
    ) -> Option<()> {
        if place.depth > DEPTH {
            return None;
        }
        let fields = &self.messages.get(message)?.0;
        let mut counts: Vec<usize> = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let number = usize::try_from(key >> 3).ok()?;
            let data = match key & 7 {
                0 => {
                    varint(&mut bytes)?;
                    &[][..]
                }
                1 => take(&mut bytes, 8)?,
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    take(&mut bytes, length)?
                }
                5 => take(&mut bytes, 4)?,
                // Groups, which the third edition of the language has not.
                _ => return None,
            };
            let Some(Some(field)) = fields.get(number) else {
                continue;
            };
            let mut index = 0;
            if let Some(most) = field.count {
                if counts.len() <= number {
                    counts.resize(fields.len(), 0);
                }
                let count = counts.get_mut(number)?;
                index = *count;
                // Numbers come packed, each in a byte or more.
                *count += match field.what {
                    What::Number => data.len().max(1),
                    What::Text(_) | What::Message(_) => 1,
                };
                if *count > most {
                    let problem = if field.repeated {
                        format!("has more than {most} entries")
                    } else {
                        "is there more than once".to_owned()
                    };
                    place.note(field, None, problem, bad);
                    return None;
                }
            }
            let index = Some(index).filter(|_| field.repeated);
            match field.what {
                What::Text(most) => {
                    if let Some(problem) = too_long(data, most) {
                        place.note(field, index, problem, bad);
                        if bad.len() >= TOLD {
                            return None;
                        }
                    }
                }
                What::Message(inner) => {
                    self.walk(inner, data, &place.inner(field, index), bad)?;
                }
                What::Number => {}
            }
        }
        Some(())
    }
}

/// Where in a request a message is.
struct Place<'a> {
    outer: Option<&'a Place<'a>>,
    name: &'a str,
    index: Option<usize>,
    depth: usize,
}

impl<'a> Place<'a> {
    fn top() -> Self {
        Self {
            outer: None,
            name: "",
            index: None,
            depth: 0,
        }
    }

    fn inner(&'a self, field: &'a Field, index: Option<usize>) -> Self {
        Self {
            outer: Some(self),
            name: &field.name,
            index,
            depth: self.depth + 1,
        }
    }

    /// Notes a bad field of the message that is here.
    fn note(&self, field: &Field, index: Option<usize>, problem: String, bad: &mut Vec<BadField>) {
        let mut parts = Vec::new();
        let own = self.inner(field, index);
        let mut place = Some(&own);
        while let Some(one) = place.filter(|one| one.outer.is_some()) {
            parts.push(match one.index {
                Some(index) => format!("{}[{index}]", one.name),
                None => one.name.to_owned(),
            });
            place = one.outer;
        }
        parts.reverse();
        bad.push(BadField {
            field: parts.join("."),
            problem,
        });
    }
}

/// Every message that a method takes.
fn requests() -> Vec<MessageDescriptor> {
    // They were built in; a test reads them.
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap_or_default();
    let services: Vec<_> = pool.services().collect();
    let methods = services.iter().flat_map(ServiceDescriptor::methods);
    methods.map(|method| method.input()).collect()
}

fn what(kind: &Kind, field: &FieldDescriptor) -> What {
    if is_text(kind) {
        // As above.
        return What::Text(limit(TEXTS, field).unwrap_or_default());
    }
    What::Number
}

fn is_text(kind: &Kind) -> bool {
    matches!(kind, Kind::String | Kind::Bytes)
}

/// What a table says of a field.
fn limit(table: &[(&str, usize)], field: &FieldDescriptor) -> Option<usize> {
    let found = table.iter().find(|(name, _)| *name == field.name());
    found.map(|(_, most)| *most)
}

/// What is wrong with the length of a text.
fn too_long(text: &[u8], most: usize) -> Option<String> {
    // A character has one byte or more.
    if text.len() <= most {
        return None;
    }
    let is_first = |byte: &&u8| (**byte & 0b1100_0000) != 0b1000_0000;
    let characters = text.iter().filter(is_first).count();
    (characters > most || text.len() > most.saturating_mul(4))
        .then(|| format!("has {characters} characters, at most {most} are possible"))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for index in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::{Message as _, Name as _};

    use super::*;
    use crate::{api::pb, domain::error::ErrorKind};

    /// Every field of every message that a request can have in it.
    fn fields() -> Vec<FieldDescriptor> {
        let mut open = requests();
        let mut seen = BTreeSet::new();
        let mut fields = Vec::new();
        while let Some(message) = open.pop() {
            if !seen.insert(message.full_name().to_owned()) {
                continue;
            }
            for field in message.fields() {
                if let Kind::Message(inner) = field.kind()
                    && !field.is_map()
                {
                    open.push(inner);
                }
                fields.push(field);
            }
        }
        fields
    }

    /// Whether there is text in a field, as it is or in a map.
    fn has_text(field: &FieldDescriptor) -> bool {
        let kind = field.kind();
        match kind.as_message().filter(|_| field.is_map()) {
            Some(entry) => entry.fields().any(|field| is_text(&field.kind())),
            None => is_text(&kind),
        }
    }

    #[test]
    fn every_text_list_and_map_of_every_request_has_a_limit() {
        let fields = fields();
        assert!(fields.len() > 100, "{}", fields.len());
        let lacks = |table: &[(&str, usize)], field: &FieldDescriptor| {
            limit(table, field)
                .is_none()
                .then(|| field.full_name().to_owned())
        };
        let texts = fields.iter().filter(|field| has_text(field));
        let lists = fields.iter().filter(|one| one.is_list() || one.is_map());
        let missing: Vec<String> = texts
            .filter_map(|field| lacks(TEXTS, field))
            .chain(lists.filter_map(|field| lacks(COUNTS, field)))
            .collect();
        assert!(missing.is_empty(), "without a limit: {missing:#?}");
    }

    #[test]
    fn every_limit_is_of_a_field() {
        let fields = fields();
        let named = |table: &[(&str, usize)], is: &dyn Fn(&FieldDescriptor) -> bool| {
            let of = |name: &str| fields.iter().any(|one| is(one) && one.name() == name);
            let idle = table.iter().filter(|(name, _)| !of(name));
            idle.map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(named(TEXTS, &has_text), Vec::<String>::new());
        let is_list = |field: &FieldDescriptor| field.is_list() || field.is_map();
        assert_eq!(named(COUNTS, &is_list), Vec::<String>::new());
    }

    /// The names of the fields that are too much.
    fn bad<M: prost::Message + prost::Name>(message: &M) -> Vec<(String, String)> {
        match check(M::NAME, &message.encode_to_vec()) {
            Ok(()) => Vec::new(),
            Err(error) => {
                let ErrorKind::Invalid(bad) = error.kind else {
                    panic!("{error}")
                };
                let pairs = bad.into_iter().map(|one| (one.field, one.problem));
                pairs.collect()
            }
        }
    }

    #[test]
    fn what_is_too_much_is_named() {
        let volumes = |count| pb::CreateRestorationRequest {
            volumes: vec![pb::VolumeOverride::default(); count],
            ..Default::default()
        };
        assert_eq!(bad(&volumes(THINGS)), []);
        let told = [("volumes".to_owned(), "has more than 256 entries".to_owned())];
        assert_eq!(bad(&volumes(THINGS + 1)), told);
        assert_eq!(bad(&volumes(100_000)), told);

        let mut message = volumes(2);
        message.volumes[1].volume_type = "ü".repeat(WORD);
        assert_eq!(bad(&message), []);
        message.volumes[1].volume_type.push('n');
        message.metadata = HashMap::from([("k".to_owned(), "v".repeat(TEXT + 1))]);
        message.user_data = Some("a".repeat(USER_DATA + 1));
        let names: Vec<String> = bad(&message).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["volumes[1].volume_type", "user_data", "metadata[0].value"]
        );
        let metadata = |count: usize| pb::CreateRestorationRequest {
            metadata: (0..count)
                .map(|one| (one.to_string(), String::new()))
                .collect(),
            ..Default::default()
        };
        assert_eq!(bad(&metadata(PROPERTIES)), []);
        assert_eq!(bad(&metadata(PROPERTIES + 1))[0].0, "metadata");
    }

    #[test]
    fn bad_fields_are_told_up_to_a_number() {
        let message = pb::DeleteOrphansRequest {
            ids: vec!["i".repeat(WORD + 1); ORPHANS],
            ..Default::default()
        };
        assert_eq!(bad(&message).len(), TOLD);
    }

    #[test]
    fn a_message_in_parts_is_not_a_way_round_a_limit() {
        let part = pb::UpdateDrBackupRequest {
            dr_backup: Some(pb::DrBackup::default()),
            ..Default::default()
        };
        let twice = part.encode_to_vec().repeat(2);
        let error = check(pb::UpdateDrBackupRequest::NAME, &twice).expect_err("refused");
        assert_eq!(error, Error::field("dr_backup", "is there more than once"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_is_not_known_is_passed_over() {
        let name = pb::GetDrBackupRequest::NAME;
        for bytes in [
            &[0x0a, 5, b'a'][..],
            &[0x0b, 0x0c],
            &[0xff],
            &[0xff; 11],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
        ] {
            check(name, bytes).expect_err("refused");
        }
        assert_eq!(check(name, &[0xf8, 1, 7]), Ok(()));
        // Ports in sub ports in trunks of ports.
        let mut deep = Vec::new();
        for number in [3, 3, 10].iter().cycle().take(300).chain(&[14, 12, 1]) {
            let mut outer = vec![(number << 3) | 2];
            outer.extend(length(deep.len()));
            outer.append(&mut deep);
            deep = outer;
        }
        check(pb::UpdateDrBackupRequest::NAME, &deep).expect_err("refused");
    }

    fn length(mut length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).expect("seven bits"));
        bytes
    }
}
