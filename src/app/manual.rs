//! What each key of the configuration means, and the pages in `docs` that are made of the code;
//! it may not know what a key or a command does.

use clap::CommandFactory as _;
use figment::{
    Figment,
    providers::{Format as _, Toml},
};

use super::{
    arguments::Arguments,
    config::{Config, flat},
};
use crate::cli::{
    config::{Settings, VARIABLES},
    failure::Exit,
};

/// What each key means, in the order of the page.
const MEANINGS: &[(&str, &str)] = &[
    (
        "listen",
        "Address and port of the API. Port 0 takes any free one, which the log tells.",
    ),
    (
        "insecure_open",
        "Must be true for an address that is not loopback unless `tls.client_ca` is set: the API has no logins yet, so everybody who reaches it may do everything.",
    ),
    (
        "database",
        "Where everything is kept: `sqlite:PATH` for one process, or `postgres://USER@HOST/DATABASE` for any number of replicas; `HOST,HOST` with `?target_session_attrs=read-write` at the end follows the primary when a standby takes over. Empty means `drbackup.db` in `$STATE_DIRECTORY`, else in `$XDG_DATA_HOME/drbackup`, else in `~/.local/share/drbackup`.",
    ),
    (
        "clouds_file",
        "The `clouds.yaml` to use. Empty means where OpenStack clients look: `OS_CLIENT_CONFIG_FILE`, the working directory, `~/.config/openstack`, `/etc/openstack`.",
    ),
    (
        "clouds",
        "The clouds, each with `name`, `entries` (those of `clouds.yaml` that act for tenants) and `admin` (the one with the admin role, if any). Empty makes every entry a cloud of its own name.",
    ),
    (
        "stop_notice",
        "How long the door stays open after health has said NOT_SERVING, when the service is stopped.",
    ),
    (
        "stop_patience",
        "How long calls under way may take to end after that, and the work to be handed over.",
    ),
    (
        "log.filter",
        "What to log: a level, or levels by module, such as `info,drbackup::engine=debug`.",
    ),
    (
        "log.format",
        "`text` for people, `json` for one JSON object a line.",
    ),
    (
        "tls.cert",
        "The file of the certificate that callers are shown, with its chain, as PEM; read at the start. Empty means that nothing is encrypted.",
    ),
    ("tls.key", "The file of its key, as PEM."),
    (
        "tls.client_ca",
        "The file of the authorities, as PEM, of which every caller needs a certificate; whoever has one may do everything. Empty lets everybody in.",
    ),
    (
        "api.streams",
        "Watch streams that may be open at once, over all callers.",
    ),
    (
        "api.answers",
        "Answers of each kind that are kept, and given again for as long as nothing was written at all. With PostgreSQL, where other replicas write too, none are.",
    ),
    (
        "api.connection_streams",
        "Calls and streams that one connection may have open at once.",
    ),
    (
        "api.keep_alive",
        "How often a quiet connection is asked whether it is still there.",
    ),
    (
        "api.keep_alive_answer",
        "How long it may take to answer that.",
    ),
    (
        "api.health_every",
        "How often the database is asked whether it answers; while it does not, health checks say NOT_SERVING.",
    ),
    (
        "rest.enabled",
        "Whether JSON over HTTP is answered below `/api/`, and metrics at `/metrics`.",
    ),
    (
        "rest.listen",
        "Address to answer these on instead of that of gRPC; it is encrypted, and open, as that one is. Empty answers both on one port.",
    ),
    ("rest.body_bytes", "Bytes of a request in JSON at most."),
    (
        "rest.page_max",
        "Rows of a page in JSON at most; `requests.page_max` limits it too.",
    ),
    ("requests.name_characters", "Characters of a name at most."),
    (
        "requests.description_characters",
        "Characters of a description at most; Cinder takes 255.",
    ),
    (
        "requests.user_data_characters",
        "Characters of user data in base64 at most; Nova takes 65535.",
    ),
    (
        "requests.request_id_characters",
        "Characters of a `request_id` at most.",
    ),
    (
        "requests.page_default",
        "Rows of a page when the caller names no size.",
    ),
    ("requests.page_max", "Rows of a page at most."),
    (
        "requests.listed_restorations",
        "Restorations that a DR backup or a regular one lists at most.",
    ),
    (
        "requests.operation_deadline",
        "How long a piece of work may take when the caller names no limit, beside what moving its bytes may take; then it is undone.",
    ),
    (
        "requests.deadline_per_gib",
        "How much longer for each GiB that it has to move.",
    ),
    (
        "requests.deadline_factor",
        "Where the last DR backup of the instance was slower than that, a GiB may take so many times as long as it took then.",
    ),
    (
        "requests.peek",
        "How long the one short look at a cloud may take before a request is accepted without it.",
    ),
    ("store.connections", "Connections to the database at most."),
    ("store.page_limit", "Rows that one query answers at most."),
    (
        "store.migrate",
        "Whether a start may bring an older schema up. With `false` it is refused, until a start with `true` has done so.",
    ),
    (
        "history.keep",
        "How long is kept what came to its end: request ids, the ledgers of work that ended, and the events of what was deleted. The events of what is still there stay.",
    ),
    ("history.every", "How often it is looked for what is older."),
    (
        "history.rows",
        "About how many rows are removed in one transaction.",
    ),
    (
        "orphans.every",
        "The shortest time between two looks through one tenant for what was left behind there; they only count.",
    ),
    (
        "orphans.grace",
        "How old a thing has to be to be called an orphan: a request for it may still be on its way.",
    ),
    (
        "orphans.counted_at_once",
        "Tenants that one replica takes upon itself at once to look through.",
    ),
    (
        "orphans.deleted_at_once",
        "Orphans that one request may delete at most.",
    ),
    (
        "verification.every",
        "The longest time between two looks at what the points of one tenant rest on: so old a claim that one can be restored may become while its cloud answers. Retention looks too, before it deletes.",
    ),
    (
        "verification.urgent",
        "How soon is looked again where a point was never seen, or where its deletion was broken off.",
    ),
    (
        "verification.at_once",
        "Tenants that one replica takes upon itself at once to look at.",
    ),
    (
        "schedules.runs_per_cloud",
        "Runs of schedules that may be under way in one cloud at once; the others wait for a place.",
    ),
    (
        "schedules.run_waits",
        "How long a run that found no place waits before it looks again; the further behind it stands, the more times as long.",
    ),
    (
        "schedules.missed_after",
        "A run that begins later than this after its time was missed.",
    ),
    (
        "schedules.retry_first",
        "The wait before a failed run is tried again; each further one is twice as long.",
    ),
    ("schedules.retry_max", "The longest such wait."),
    (
        "schedules.previewed_runs",
        "Runs that a preview tells at most.",
    ),
    (
        "schedules.tick_shortest",
        "The shortest time between two looks at what is due, however much happens.",
    ),
    (
        "schedules.tick_longest",
        "The longest time between two looks at what is due.",
    ),
    (
        "schedules.taken_at_once",
        "Schedules that are taken up in one look.",
    ),
    (
        "retention.every",
        "The time between two looks for what nobody wants to keep any more.",
    ),
    (
        "retention.read_at_once",
        "Schedules and backups that such a look reads at once.",
    ),
    (
        "patience.stall_after",
        "How long nothing may change, beside a quarter of what moving the bytes may take, before that is told as a stall. The work goes on.",
    ),
    (
        "patience.stuck_after",
        "How long a thing that must go may keep a status that forbids it, before an admin entry resets the status.",
    ),
    (
        "patience.cleanup",
        "How long after its deadline work goes on to clean up; then it ends in ERRED and names what is left.",
    ),
    (
        "patience.asked_while_used",
        "How often in a row what is to be deleted is seen to be used by somebody else, with growing pauses between the looks, before it is left to them and told.",
    ),
    (
        "patience.tries",
        "How often a volume backup, a restore into a volume, and the server of a restoration are made where the cloud takes them and cannot bring them to their end; what failed goes first. After that a server is still made again, after ever longer pauses, until the time limit: its volumes have their bytes.",
    ),
    (
        "patience.pause",
        "The time between such a failure and the next try.",
    ),
    (
        "patience.hold_pause",
        "The longest time between two tries of what a login, a right or a quota forbids, or of a server that does not come up, while bytes that were moved are held.",
    ),
    (
        "patience.links_max",
        "How many volume backups may build on one another: a DR backup with a longer chain is given up.",
    ),
    (
        "engine.lease",
        "How long a tenant is one replica's without being renewed: what another replica waits for when this one dies.",
    ),
    (
        "engine.lease_margin",
        "How long before the end of its lease a replica stops acting.",
    ),
    (
        "engine.lanes_max",
        "Tenants that one replica works for at once.",
    ),
    (
        "engine.observe_first",
        "When a thing is first looked for after it was asked for.",
    ),
    (
        "engine.observe_min",
        "The shortest time between two lists of one kind in one tenant for which one operation waits.",
    ),
    (
        "engine.observe_max",
        "The longest time between two such lists.",
    ),
    (
        "engine.observe_share",
        "The time between lists grows to this part of how long nothing has happened: 8 means an eighth.",
    ),
    (
        "engine.observe_effort",
        "The time between two lists is at least so many times what the last one took.",
    ),
    (
        "engine.observe_crowd",
        "Both the shortest time and the share are divided by the operations that wait for the list, at most by so much.",
    ),
    (
        "engine.sight_age",
        "How old what a cloud told last may be for a decision that deletes something; what is older is looked at again before.",
    ),
    (
        "engine.settle",
        "How long a thing that no list shows may still turn up after an answer was lost.",
    ),
    (
        "engine.retry_first",
        "The first wait after a fault; each further one is twice as long.",
    ),
    ("engine.retry_max", "The longest wait after a fault."),
    (
        "engine.attempts_max",
        "How often a request is repeated that a cloud keeps answering with a server error.",
    ),
    (
        "engine.requests_per_tenant",
        "Calls under way to one tenant at once, so that one with much to do leaves places to others.",
    ),
    (
        "engine.reads_per_tenant",
        "Instances of one tenant read at once. The more there are, the more share a list.",
    ),
    (
        "engine.store_retry",
        "How long to wait before work is loaded anew after the database failed; each further wait is twice as long, up to `retry_max`.",
    ),
    (
        "engine.aside_retry",
        "How long an operation that this version cannot read, or whose changes cannot be written, is left alone before it is tried again.",
    ),
    (
        "openstack.connect_seconds",
        "Seconds until a connection to a cloud must stand.",
    ),
    ("openstack.login_seconds", "Seconds for one login."),
    ("openstack.read_seconds", "Seconds for one read."),
    ("openstack.write_seconds", "Seconds for one write."),
    (
        "openstack.composite_seconds",
        "Seconds for a read that is put together from several.",
    ),
    (
        "openstack.renew_seconds",
        "Seconds before its end in which a token is renewed.",
    ),
    (
        "openstack.projects_seconds",
        "Seconds for which the list of projects that a credential reaches is believed.",
    ),
    (
        "openstack.page_size",
        "Things asked for on one page of a list.",
    ),
    (
        "openstack.pages_max",
        "Pages of one list at most; a longer one is a fault, never a short list.",
    ),
    ("openstack.answer_bytes_max", "Bytes of one answer at most."),
    (
        "openstack.retry_after_seconds_max",
        "Seconds at most for which a cloud can ask (`Retry-After`) not to be asked again.",
    ),
    (
        "openstack.message_characters_max",
        "Characters of a service's message that are kept.",
    ),
    (
        "openstack.side_by_side",
        "Calls of one read that are under way at once.",
    ),
    (
        "openstack.gather_millis",
        "Milliseconds for which a read waits for others who want things of the same kind.",
    ),
    ("openstack.ids_per_filter", "Ids named in one filter."),
    (
        "openstack.requests_per_cloud",
        "Calls under way to one cloud at once, for operations.",
    ),
    (
        "openstack.caller_requests_per_cloud",
        "Calls under way to one cloud at once for callers of the service who wait for an answer, beside those for operations.",
    ),
    (
        "openstack.requests_per_second",
        "Calls to one cloud in a second, once the burst is used up.",
    ),
    (
        "openstack.requests_burst",
        "Calls to one cloud that may leave at once after a pause.",
    ),
];

/// What comes before the tables.
const HEAD: &str = "\
# Configuration of the service

Generated from `src/app/manual.rs`; a test compares the two.

A value comes from the first of these that has it:

1. a flag of `drbackup serve` (`drbackup serve --help` lists them),
2. an environment variable: `DRBACKUP_` and the key in upper case, with `__` for a dot (`DRBACKUP_ENGINE__LEASE=20s`),
3. a TOML file: the one named by `--config` or `DRBACKUP_SERVER_CONFIG`, else `/etc/drbackup/server.toml` if it is there,
4. the default below.

A key that is not in these tables is refused in a file, and warned about in the environment.
Times are a number with `ms`, `s`, `m`, `h` or `d`.
`drbackup serve --show-config` prints what is in force, without passwords, and stops.

```toml
listen = \"127.0.0.1:7447\"
database = \"sqlite:/var/lib/drbackup/drbackup.db\"
clouds_file = \"/etc/openstack/clouds.yaml\"

[[clouds]]
name = \"source\"
entries = [\"source-operator\"]
admin = \"source-admin\"

[[clouds]]
name = \"dr\"
entries = [\"dr-operator\"]
admin = \"dr-admin\"

[engine]
lease = \"15s\"
```

## Start, health and stop

A start brings the schema of the database up first (`store.migrate`).
A schema that a newer version has changed is refused, and so is an older one where it may not be brought up; the message says what to do.

Health checks (`grpc.health.v1.Health`) know these names:

| Name | SERVING means |
|---|---|
| empty, and each service by its name, such as `drbackup.v1.DRBackupService` | ready: the database takes what is written (asked every `api.health_every`; the log tells the reason when it does not), and nobody has asked the process to stop |
| `liveness` | the process runs, also while its database does not, and until it has taken its leave |

SIGTERM or SIGINT stops it like this:

1. Readiness says NOT_SERVING, and the work is handed over: other replicas go on at once.
2. For `stop_notice` the door stays open, so that callers go elsewhere.
3. Watch streams end as UNAVAILABLE with the reason `SHUTTING_DOWN` and a `RetryInfo`. A client opens them again on another replica, from the sequence after the last one seen; the command line does so by itself.
4. Calls under way get `stop_patience` to end.

A second signal ends the process at once; the next start, or another replica, recovers what was under way.

Several replicas share the tenants by leases: each takes up to its share of those with work, keeps them while they have some, and renews its leases three times in `engine.lease`.
What a replica had that died is taken over when its lease has ended and the next replica renews its own: after no more than four thirds of `engine.lease`.

Credentials are only ever in `clouds.yaml` and `secure.yaml`.
The client has settings of its own, which `docs/cli.md` lists.
";

/// The page about the configuration.
pub(super) fn page() -> String {
    let values = flat(&Config::default());
    let default = |key: &str| {
        let found = values.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value.as_str())
    };
    let mut page = HEAD.to_owned();
    let mut section = None;
    for (key, meaning) in MEANINGS {
        let (table, name) = key.split_once('.').unwrap_or(("", key));
        if section != Some(table) {
            let title = if table.is_empty() {
                "Top level".to_owned()
            } else {
                format!("`[{table}]`")
            };
            page = format!("{page}\n## {title}\n\n| Key | Default | Meaning |\n|---|---|---|\n");
            section = Some(table);
        }
        page = format!("{page}| `{name}` | `{}` | {meaning} |\n", default(key));
    }
    page
}

/// What comes before the commands.
const CLIENT_HEAD: &str = "\
# The command line

Generated from `src/app/manual.rs` and the commands themselves; a test compares the two.

Names are taken as well as ids, for tenants, instances, flavors, networks, volumes, DR backups and regular ones; a restoration has the name of its instance.
A name that several things have is refused with a list of them.

Work that is started is followed to its end unless `--no-wait` says otherwise: with bars in a terminal, else with a line on standard error for each change.
A connection that breaks is opened again, from the event after the last one seen.
Ctrl-C stops looking, never the work.

Answers go to standard output, everything else to standard error.
`--output json` writes one document with the names of proto3 JSON, fields that hold nothing included; a list is an array; `watch` writes a document a line.
";

/// The page about the command line.
pub(super) fn client_page() -> String {
    let mut page = format!("{CLIENT_HEAD}\n## Exit codes\n\n| Code | Meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        page = format!("{page}| {} | {} |\n", exit.code(), exit.meaning());
    }
    page.push_str(
        "\n## Settings\n\nA setting comes from its flag, else from its variable, else from the TOML file that \
         `--config` or `DRBACKUP_CONFIG` names (`~/.config/drbackup/config.toml` if neither does), \
         else it is the default.\n\n| Key | Variable | Default |\n|---|---|---|\n",
    );
    // Settings that were made here can be written.
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    for key in VARIABLES {
        let default = &defaults[key];
        let default = if default.is_null() {
            "none".to_owned()
        } else {
            format!("`{default}`")
        };
        page = format!(
            "{page}| `{key}` | `DRBACKUP_{}` | {default} |\n",
            key.to_uppercase()
        );
    }
    page.push_str(
        "\n`cloud` and `tenant` stand in for `--cloud` and `--tenant`, except in `restoration create`: \
         where to restore to has to be said.\n",
    );
    let mut command = Arguments::command().term_width(100);
    command.build();
    page = format!(
        "{page}\n## Flags of all verbs of `backup`, `restoration`, `cloud` and `orphan`\n\n{}",
        common_flags(&mut command)
    );
    page.push_str("\n## Commands\n");
    describe(&mut command, &mut page);
    page
}

/// The heading of the flags that all verbs take.
const COMMON: &str = "Connection and output:";

/// The flags that all verbs take, as the help of any verb has them.
fn common_flags(command: &mut clap::Command) -> String {
    let verb = command
        .find_subcommand_mut("cloud")
        .and_then(|cloud| cloud.find_subcommand_mut("list"));
    let help = verb.map(|verb| verb.render_long_help().to_string());
    let help = help.unwrap_or_default();
    block(help.split(COMMON).nth(1).unwrap_or_default())
}

fn block(text: &str) -> String {
    let lines: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}

fn describe(command: &mut clap::Command, page: &mut String) {
    for inner in command.get_subcommands_mut() {
        if inner.get_name() == "help" {
            continue;
        }
        if inner.has_subcommands() {
            describe(inner, page);
            continue;
        }
        let name = inner.get_bin_name().unwrap_or_default().to_owned();
        let help = inner.render_long_help().to_string();
        // What all verbs take is said once.
        let own = help.split(COMMON).next().unwrap_or_default();
        *page = format!("{page}\n### `{name}`\n\n{}", block(own));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env, fs, path::Path};

    use super::*;

    #[test]
    fn every_key_has_a_meaning_and_every_meaning_a_key() {
        let keys: BTreeSet<String> = flat(&Config::default())
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let meant: BTreeSet<String> = MEANINGS.iter().map(|(key, _)| (*key).to_owned()).collect();
        assert_eq!(keys, meant);
    }

    #[test]
    fn the_example_of_the_page_is_a_configuration() {
        let example = HEAD.split("```").nth(1).unwrap().trim_start_matches("toml");
        let config: Config = Figment::from(Toml::string(example)).extract().unwrap();
        assert_eq!(config.clouds.len(), 2);
    }

    #[test]
    fn the_pages_in_docs_are_those_that_are_generated() {
        for (name, page) in [("configuration", page()), ("cli", client_page())] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.md"));
            if env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &page).unwrap();
            }
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(written, page, "if that is meant, run with UPDATE_GOLDEN=1");
        }
    }
}
