//! A new token of the configuration, and what has to be written there; it may not know who asks for one.

use clap::Args;
use rand::random;
use secrecy::ExposeSecret as _;

use crate::{
    auth::Issued,
    cli::{failure::Failure, out::Out},
};

/// A token that the service lets in without a Keystone.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// Who is to have it: letters, digits, `-` and `.`
    name: String,
}

/// Makes a token: it is told once, and kept nowhere.
pub(super) fn run(token: &Token, out: &mut Out) -> Result<(), Failure> {
    let name = &token.name;
    let issued = Issued::new(name, random(), random()).map_err(Failure::Usage)?;
    out.line(&format!(
        "# The token, for {name} alone:\n#   {}\n# For the configuration of the service; narrow the grant to \
         what {name} needs:\n[[auth.tokens]]\nname = \"{name}\"\nhash = \"{}\"\ngrants = [{{ role = \"reader\" }}]",
        issued.token.expose_secret(),
        issued.hash,
    ))
}
