//! The audit, as the core has it kept and told of; it may not know SQL or which database it is.
//!
//! The entries of what callers ask for and of operations that end are written with what they tell of: see
//! [`super::store::Asked`] and [`super::journal::Journal::turn_record`]. Here is what is left.

use async_trait::async_trait;

use super::store::StoreError;
use crate::domain::{
    audit::{Ends, Entry, Note},
    fault::Service,
    id::Tenant,
    time::Timestamp,
};

/// The store of the audit: one chain of entries without a gap, which only grows, and loses its oldest.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes an entry by itself, of what is about to be done outside.
    async fn audit_note(&self, note: Note) -> Result<(), StoreError>;

    /// The ends of the chain, and its entries behind a number, in order, at most `limit`; all of one moment.
    async fn audit_page(&self, after: u64, limit: u32) -> Result<(Ends, Vec<Entry>), StoreError>;

    /// Lets go at most `limit` of the oldest entries, as far as all of them are from before `before`; answers
    /// how many. The anchor moves with them. Harmless to repeat.
    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// A call that is about to be made with the credential of an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminCall {
    /// For which tenant.
    pub tenant: Tenant,
    /// What the admin is needed for: `export`, `import`, `reset` or `instance`.
    pub purpose: &'static str,
    /// Whose API it is.
    pub service: Service,
    /// The method of HTTP.
    pub method: String,
    /// What it is to do.
    pub action: String,
    /// Whether it changes nothing.
    pub reads: bool,
}

/// Hears of every use of the credential of an admin before it happens.
#[async_trait]
pub trait AdminUses: Send + Sync {
    /// Takes note of a call. Where it fails, the call must not be made.
    async fn admin_used(&self, call: AdminCall) -> Result<(), StoreError>;
}
