//! The numbers that bound every call to a cloud; this file may not know what the calls are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Deadlines, sizes and counts of the OpenStack client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OpenStackSettings {
    /// Seconds until a connection to a cloud must stand.
    pub connect_seconds: u64,
    /// Seconds for one login.
    pub login_seconds: u64,
    /// Seconds for one read.
    pub read_seconds: u64,
    /// Seconds for one write.
    pub write_seconds: u64,
    /// Seconds for a read that is put together from several.
    pub composite_seconds: u64,
    /// Seconds before its end in which a token is renewed.
    pub renew_seconds: u64,
    /// Seconds for which the list of projects that a credential reaches is believed.
    pub projects_seconds: u64,
    /// Seconds for which it is believed whether a tenant's own entry may export or import records.
    pub rights_seconds: u64,
    /// Things asked for on one page of a list.
    pub page_size: u32,
    /// Pages of one list at most; a longer one is a fault, never a short list.
    pub pages_max: u32,
    /// Bytes of one answer at most.
    pub answer_bytes_max: usize,
    /// Bytes of an answer about one thing, or of one row of a list, at most.
    pub thing_bytes_max: usize,
    /// Bytes of one text in an answer at most.
    pub text_bytes_max: usize,
    /// Bytes of all pages of one list at most; a longer one is a fault, never a short list.
    pub list_bytes_max: usize,
    /// Rows of one list at most; a longer one is a fault, never a short list.
    pub list_rows_max: usize,
    /// Seconds at most for which a cloud can ask (`Retry-After`) not to be asked again.
    pub retry_after_seconds_max: u32,
    /// Characters of a service's message that are kept.
    pub message_characters_max: usize,
    /// Calls of one read that are under way at once.
    pub side_by_side: usize,
    /// Milliseconds for which a read waits for others who want things of the same kind.
    pub gather_millis: u64,
    /// Ids named in one filter.
    pub ids_per_filter: usize,
    /// Calls under way to one cloud at once, for operations.
    pub requests_per_cloud: usize,
    /// Calls under way to one cloud at once for callers of the service who wait for an answer, beside
    /// those for operations.
    pub caller_requests_per_cloud: usize,
    /// Calls of these at most that are about one tenant, so that its callers leave some to those of others.
    pub caller_requests_per_tenant: usize,
    /// Calls to one cloud in a second, once the burst is used up.
    pub requests_per_second: u32,
    /// Calls to one cloud that may leave at once after a pause.
    pub requests_burst: u32,
}

impl Default for OpenStackSettings {
    fn default() -> Self {
        Self {
            connect_seconds: 5,
            login_seconds: 20,
            read_seconds: 60,
            write_seconds: 60,
            composite_seconds: 180,
            renew_seconds: 120,
            projects_seconds: 60,
            rights_seconds: 300,
            page_size: 500,
            pages_max: 200,
            answer_bytes_max: 16 << 20,
            thing_bytes_max: 4 << 20,
            text_bytes_max: 256 << 10,
            list_bytes_max: 64 << 20,
            list_rows_max: 100_000,
            retry_after_seconds_max: 300,
            message_characters_max: 500,
            side_by_side: 32,
            gather_millis: 10,
            ids_per_filter: 50,
            requests_per_cloud: 128,
            caller_requests_per_cloud: 16,
            caller_requests_per_tenant: 8,
            requests_per_second: 400,
            requests_burst: 800,
        }
    }
}

impl OpenStackSettings {
    pub(super) fn gather(&self) -> Duration {
        Duration::from_millis(self.gather_millis)
    }

    pub(super) fn composite(&self) -> Duration {
        Duration::from_secs(self.composite_seconds)
    }
}
