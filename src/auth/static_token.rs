//! Tokens of the configuration: `drb_NAME_SECRET`, of which only a hash is kept; it may not know what their
//! holders may do.

use std::{collections::BTreeMap, sync::Arc};

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::settings::{StaticToken, granted};
use crate::domain::caller::Grants;

/// What each of them begins with, which no token of Keystone does.
const PREFIX: &str = "drb_";

/// Hashes that are reckoned at once: each takes some milliseconds and 19 MiB, and anybody may ask for one.
const AT_ONCE: usize = 2;

/// Whether a token is one of the configuration.
pub(super) fn is_static(token: &SecretString) -> bool {
    token.expose_secret().starts_with(PREFIX)
}

/// The tokens that are let in.
pub(super) struct StaticTokens {
    by_name: BTreeMap<String, (String, Grants)>,
    places: Arc<Semaphore>,
}

impl StaticTokens {
    /// Those of the configuration; an error names what of it cannot be used.
    pub(super) fn new(tokens: &[StaticToken]) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        for one in tokens {
            check_name(&one.name).map_err(|problem| format!("auth.tokens: {problem}"))?;
            PasswordHash::new(&one.hash)
                .map_err(|problem| format!("auth.tokens: the hash of {}: {problem}", one.name))?;
            let token = (one.hash.clone(), granted(&one.grants));
            if by_name.insert(one.name.clone(), token).is_some() {
                return Err(format!("auth.tokens: {} stands there twice", one.name));
            }
        }
        Ok(Self {
            by_name,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// The name and the rights of a token, if it is one of them.
    pub(super) async fn find(&self, token: &SecretString) -> Option<(String, Grants)> {
        let (name, secret) = parts(token.expose_secret())?;
        let (hash, grants) = self.by_name.get(name)?;
        let (hash, secret) = (hash.clone(), SecretString::from(secret.to_owned()));
        let _place = self.places.acquire().await.ok()?;
        let is_right = spawn_blocking(move || {
            let hash = PasswordHash::new(&hash).ok()?;
            let secret = secret.expose_secret().as_bytes();
            Argon2::default().verify_password(secret, &hash).ok()
        });
        is_right.await.ok()??;
        Some((name.to_owned(), grants.clone()))
    }
}

/// The name and the secret in a token.
fn parts(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(PREFIX)?.split_once('_')
}

fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |one: u8| one.is_ascii_alphanumeric() || one == b'-' || one == b'.';
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(format!(
            "`{name}` is no name: it may have letters, digits, `-` and `.`"
        ));
    }
    Ok(())
}

/// A new token.
pub struct Issued {
    /// To be given to its holder; it is kept nowhere.
    pub token: SecretString,
    /// To be written into the configuration.
    pub hash: String,
}

impl Issued {
    /// One for `name`, of random bytes; an error when the name cannot be one.
    pub fn new(name: &str, secret: [u8; 32], salt: [u8; 16]) -> Result<Self, String> {
        check_name(name)?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let salt = SaltString::encode_b64(&salt).map_err(|problem| problem.to_string())?;
        let hash = Argon2::default()
            .hash_password(secret.as_bytes(), &salt)
            .map_err(|problem| problem.to_string())?;
        Ok(Self {
            token: SecretString::from(format!("{PREFIX}{name}_{secret}")),
            hash: hash.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::settings::Grant, domain::caller::Role};

    fn configured(name: &str, hash: String) -> StaticToken {
        let grants = vec![Grant {
            cloud: None,
            project: None,
            role: Role::Reader,
        }];
        StaticToken {
            name: name.to_owned(),
            hash,
            grants,
        }
    }

    #[tokio::test]
    async fn only_the_token_itself_is_let_in() {
        let issued = Issued::new("billing", [1; 32], [2; 16]).expect("a name");
        let tokens = StaticTokens::new(&[configured("billing", issued.hash)]).expect("usable");
        let found = tokens.find(&issued.token).await;
        assert_eq!(
            found,
            Some(("billing".to_owned(), Grants::everywhere(Role::Reader)))
        );
        let other = Issued::new("billing", [3; 32], [2; 16]).expect("a name");
        assert_eq!(tokens.find(&other.token).await, None);
        let nobody = Issued::new("nobody", [1; 32], [2; 16]).expect("a name");
        assert_eq!(tokens.find(&nobody.token).await, None);
        assert_eq!(tokens.find(&SecretString::from("drb_billing")).await, None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let refusal = |tokens: &[StaticToken]| StaticTokens::new(tokens).err().unwrap_or_default();
        let plain = configured("a", "secret".to_owned());
        assert!(refusal(&[plain]).starts_with("auth.tokens: the hash of a: "));
        let hash = Issued::new("a", [1; 32], [2; 16]).expect("a name").hash;
        let twice = [configured("a", hash.clone()), configured("a", hash.clone())];
        assert_eq!(refusal(&twice), "auth.tokens: a stands there twice");
        assert!(refusal(&[configured("a_b", hash)]).contains("`a_b` is no name"));
    }
}
