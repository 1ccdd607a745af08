//! Sealing: what is sensitive is encrypted before it comes into a column and opened when it is read; it may
//! not know what the texts say, nor which database holds them.
//!
//! A sealed text is `sealed:v1:KEY:BASE64`. `KEY` is the id of the key that sealed it, and what follows is a
//! salt, the ciphertext and its tag. Each text has a key of its own, derived from the configured one by
//! HKDF-SHA256 with that salt, so the nonce of AES-256-GCM may be zero. Table, column and key of the row are
//! authenticated with it: a text that somebody moved to another row does not open there. A text that does not
//! begin so is plain: it was written before there was a key.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::{SecureRandom as _, SystemRandom},
};
use secrecy::{ExposeSecret as _, ExposeSecretMut as _, SecretBox, SecretSlice, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use super::text::{from_json, json, unreadable};
use crate::port::store::StoreError;

/// What every sealed text begins with. The id of its key follows.
pub(super) const PREFIX: &str = "sealed:v1:";

/// Characters of the id of a key.
pub(super) const ID_CHARACTERS: usize = 16;

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What a key is derived for: no two of them may be alike.
const TO_NAME: &[u8] = b"drbackup seal v1: id";
const TO_SEAL: &[u8] = b"drbackup seal v1: text";

tokio::task_local! {
    /// The sealer of the database whose work is under way: it goes with the transaction, as its connection
    /// does.
    static SEALER: Arc<Sealer>;
}

/// Does work on a database with its sealer.
pub(super) async fn with<F: Future>(sealer: Arc<Sealer>, work: F) -> F::Output {
    SEALER.scope(sealer, work).await
}

/// The sealer of the work under way.
pub(super) fn present() -> Result<Arc<Sealer>, StoreError> {
    SEALER
        .try_with(Arc::clone)
        .map_err(|_| StoreError::Defect("work on the database without its sealer".to_owned()))
}

/// A column whose texts are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    /// The table.
    pub(super) table: &'static str,
    /// The name of the column.
    pub(super) name: &'static str,
    /// The columns of the primary key, one or two.
    pub(super) keys: &'static [&'static str],
}

const fn column(table: &'static str, name: &'static str, keys: &'static [&'static str]) -> Column {
    Column { table, name, keys }
}

/// The manifest of a point, and what its bytes lie in.
pub(super) const POINT_DETAIL: Column = column("points", "detail", &["id"]);
/// What the caller of a restoration wished for.
pub(super) const WISH: Column = column("restorations", "wish", &["id"]);
/// What a restoration made, and what is not as it was.
pub(super) const RESTORATION_DETAIL: Column = column("restorations", "detail", &["id"]);
/// What an operation was asked for.
pub(super) const ASK: Column = column("operations", "ask", &["id"]);
/// What a cloud is asked for.
pub(super) const REQUEST: Column = column("effects", "request", &["operation", "key"]);
/// What a cloud answered.
pub(super) const FACT: Column = column("effects", "fact", &["operation", "key"]);
/// What a request was answered.
pub(super) const ANSWER: Column = column("requests", "answer", &["method", "id"]);
/// What the database alone knows.
pub(super) const SECRET: Column = column("secrets", "value", &["name"]);

/// All of them.
pub(super) const ALL: [Column; 8] = [
    POINT_DETAIL,
    WISH,
    RESTORATION_DETAIL,
    ASK,
    REQUEST,
    FACT,
    ANSWER,
    SECRET,
];

impl Column {
    /// A structured value as the column holds it, in the row of this key.
    pub(super) fn write<T: Serialize>(self, row: &[&str], value: &T) -> Result<String, StoreError> {
        self.seal(row, json(value)?)
    }

    /// Reads a structured value; `what` names it for the error.
    pub(super) fn read<T: DeserializeOwned>(
        self,
        row: &[&str],
        what: &str,
        text: String,
    ) -> Result<T, StoreError> {
        let text = self.open(row, text)?;
        from_json(what, &text)
    }

    /// A text as the column holds it.
    pub(super) fn seal(self, row: &[&str], text: String) -> Result<String, StoreError> {
        present()?.seal(&self.place(row), text)
    }

    /// The text that the column holds.
    pub(super) fn open(self, row: &[&str], text: String) -> Result<String, StoreError> {
        present()?.open(&self.place(row), text)
    }

    /// Its name behind that of its table, for people.
    pub(super) fn told(self) -> String {
        format!("{}.{}", self.table, self.name)
    }

    /// What a text is bound to. No part but the last can hold a line end.
    pub(super) fn place(self, row: &[&str]) -> String {
        format!("{}\n{}\n{}", self.table, self.name, row.join("\n"))
    }
}

/// A key that texts are sealed with.
pub struct SealKey {
    id: String,
    bytes: SecretBox<[u8; KEY_BYTES]>,
}

impl SealKey {
    /// Reads a key: 32 bytes in hexadecimal or in base64.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bytes = of_hex(text).or_else(|| of_base64(text));
        let bytes = SecretSlice::from(bytes.ok_or("is neither hexadecimal nor base64")?);
        let length = bytes.expose_secret().len();
        let mut key = Self {
            id: String::new(),
            bytes: SecretBox::new(Box::new([0; KEY_BYTES])),
        };
        if length != KEY_BYTES {
            return Err(format!("has {length} bytes, and {KEY_BYTES} are needed"));
        }
        let own = key.bytes.expose_secret_mut();
        own.copy_from_slice(bytes.expose_secret());
        let mut id = [0; ID_CHARACTERS / 2];
        derive(own, &[], TO_NAME, &mut id).map_err(|_| "cannot be used")?;
        key.id = hex(&id);
        Ok(key)
    }

    /// A new one, as a file holds it.
    pub fn random() -> Result<SecretString, String> {
        let mut bytes = SecretBox::new(Box::new([0; KEY_BYTES]));
        SystemRandom::new()
            .fill(bytes.expose_secret_mut())
            .map_err(|_| "the system has no random numbers".to_owned())?;
        Ok(STANDARD.encode(bytes.expose_secret()).into())
    }

    /// By what it is told apart from others. Nothing of the key can be guessed from it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What seals the text that has this salt.
    fn with_salt(&self, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let mut key = SecretBox::new(Box::new([0; KEY_BYTES]));
        let own = key.expose_secret_mut();
        derive(self.bytes.expose_secret(), salt, TO_SEAL, own)?;
        UnboundKey::new(&AES_256_GCM, own).map(LessSafeKey::new)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("SealKey");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

/// What seals the texts of a database, and opens them.
#[derive(Debug, Default)]
pub struct Sealer {
    keys: Vec<SealKey>,
}

impl Sealer {
    /// The first of these keys seals, and all of them open; without any nothing is sealed.
    pub fn new(keys: Vec<SealKey>) -> Self {
        Self { keys }
    }

    /// The id of the key that seals, if there is one.
    pub fn sealing(&self) -> Option<&str> {
        self.keys.first().map(SealKey::id)
    }

    /// Whether it has a key.
    pub fn has(&self, id: &str) -> bool {
        self.key(id).is_some()
    }

    fn key(&self, id: &str) -> Option<&SealKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Seals a text for a place.
    pub(super) fn seal(&self, place: &str, text: String) -> Result<String, StoreError> {
        let Some(key) = self.keys.first() else {
            return Ok(text);
        };
        let refused = |_: Unspecified| StoreError::Defect("a text could not be sealed".to_owned());
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(refused)?;
        let mut sealed = text.into_bytes();
        let cipher = key.with_salt(&salt).map_err(refused)?;
        cipher
            .seal_in_place_append_tag(nonce(), Aad::from(place), &mut sealed)
            .map_err(refused)?;
        sealed.splice(0..0, salt);
        let sealed = STANDARD_NO_PAD.encode(sealed);
        Ok(format!("{PREFIX}{}:{sealed}", key.id))
    }

    /// Opens a text that was sealed for a place; one that is plain stays as it is.
    pub(super) fn open(&self, place: &str, text: String) -> Result<String, StoreError> {
        let Some((id, sealed)) = parts(&text) else {
            return Ok(text);
        };
        let what = "a sealed text";
        let key = self.key(id).ok_or_else(|| {
            unreadable(what, format!("its key {id} is not configured (seal.keys)"))
        })?;
        let broken = || {
            unreadable(
                what,
                format!("it does not open with the key {id}: it was damaged, or is in another row"),
            )
        };
        let mut sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| broken())?;
        if sealed.len() < SALT_BYTES {
            return Err(broken());
        }
        let (salt, text) = sealed.split_at_mut(SALT_BYTES);
        let cipher = key.with_salt(salt).map_err(|_| broken())?;
        let text = cipher
            .open_in_place(nonce(), Aad::from(place), text)
            .map_err(|_| broken())?;
        String::from_utf8(text.to_vec()).map_err(|_| broken())
    }
}

/// The id of the key of a sealed text, and what was sealed.
pub(super) fn parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(PREFIX)?.split_once(':')
}

/// No two texts have the same key, so none needs another nonce.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// So many bytes of a derived key.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Derives a key for an aim from a key and a salt.
fn derive(key: &[u8], salt: &[u8], aim: &[u8], derived: &mut [u8]) -> Result<(), Unspecified> {
    let length = Length(derived.len());
    let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(key);
    pseudo_random.expand(&[aim], length)?.fill(derived)
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| (pair[0] << 4) | pair[1]).collect())
}

/// With or without padding, in the alphabet of addresses too.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    let text = text
        .trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/");
    STANDARD_NO_PAD.decode(text).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _never_fails = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const NEW: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

    fn sealer(keys: &[&str]) -> Sealer {
        let keys = keys.iter().map(|key| SealKey::parse(key).expect("a key"));
        Sealer::new(keys.collect())
    }

    fn here() -> String {
        POINT_DETAIL.place(&["a"])
    }

    #[test]
    fn what_is_sealed_says_nothing_and_opens_where_it_was_sealed() {
        let with = sealer(&[OLD]);
        let text = r#"{"user_data":"c2VjcmV0"}"#;
        let sealed = with.seal(&here(), text.to_owned()).unwrap();
        let id = with.sealing().unwrap();
        assert!(sealed.starts_with(&format!("sealed:v1:{id}:")), "{sealed}");
        assert_eq!(id.len(), ID_CHARACTERS);
        assert!(!sealed.contains("c2VjcmV0"));
        assert_ne!(sealed, with.seal(&here(), text.to_owned()).unwrap());
        assert_eq!(with.open(&here(), sealed).as_deref(), Ok(text));
        assert_eq!(with.open(&here(), text.to_owned()).as_deref(), Ok(text));
    }

    #[test]
    fn what_was_moved_or_changed_does_not_open() {
        let with = sealer(&[OLD]);
        let sealed = with.seal(&here(), "{}".to_owned()).unwrap();
        for place in [
            POINT_DETAIL.place(&["b"]),
            RESTORATION_DETAIL.place(&["a"]),
            WISH.place(&["a"]),
        ] {
            let problem = with.open(&place, sealed.clone()).unwrap_err();
            assert!(problem.to_string().contains("another row"), "{problem}");
        }
        let id = with.sealing().unwrap();
        for text in ["", "AAAA", "?", &sealed[PREFIX.len() + ID_CHARACTERS + 5..]] {
            let changed = format!("{PREFIX}{id}:{text}");
            assert!(with.open(&here(), changed).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (before, after) = (sealer(&[OLD]), sealer(&[NEW, OLD]));
        let old = before.seal(&here(), "old".to_owned()).unwrap();
        let new = after.seal(&here(), "new".to_owned()).unwrap();
        assert_eq!(after.open(&here(), old).as_deref(), Ok("old"));
        let problem = before.open(&here(), new).unwrap_err().to_string();
        let id = after.sealing().unwrap();
        assert!(
            problem.contains(id) && problem.contains("seal.keys"),
            "{problem}"
        );
        let none = Sealer::default();
        assert_eq!(
            none.seal(&here(), "plain".to_owned()).as_deref(),
            Ok("plain")
        );
    }

    #[test]
    fn a_key_is_32_bytes_in_hexadecimal_or_base64() {
        let id = |text: &str| SealKey::parse(text).map(|key| key.id);
        let hexadecimal = "FF".repeat(32);
        let base64 = "/".repeat(42) + "8";
        assert_eq!(id(&hexadecimal), id(&format!(" {base64}=\n")));
        assert_eq!(id(&hexadecimal), id(&base64.replace('/', "_")));
        let refused = |text: &str| id(text).unwrap_err();
        assert_eq!(refused("0011"), "has 2 bytes, and 32 are needed");
        assert_eq!(refused(""), "has 0 bytes, and 32 are needed");
        assert_eq!(refused("a key!"), "is neither hexadecimal nor base64");
        let made = SealKey::random().unwrap();
        let key = SealKey::parse(made.expose_secret()).unwrap();
        let printed = format!("{key:?}");
        assert!(printed.contains(key.id()) && !printed.contains(made.expose_secret()));
    }
}
