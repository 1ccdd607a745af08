//! The pages in `docs` that are made of the code: the keys of the configuration with their comments, and
//! the commands; it may not know what a key or a command does.

use std::collections::BTreeMap;

use clap::CommandFactory as _;
use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use schemars::generate::SchemaSettings;

use super::{
    arguments::Arguments,
    config::{Config, flat},
};
use crate::cli::{
    config::{ClientSettings, VARIABLES},
    failure::Exit,
};

/// What comes before the tables.
const HEAD: &str = "\
# Configuration of the service

Generated from `src/app/config.rs` and the settings of the rooms; a test compares the two.

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

The same is told over HTTP with the reasons, beside the metrics, on a listener of its own: [operations.md](operations.md).

SIGTERM or SIGINT stops it like this:

1. Readiness says NOT_SERVING, and the work is handed over: other replicas go on at once.
2. For `stop_notice` the door stays open, so that callers go elsewhere.
3. Watch streams end as UNAVAILABLE with the reason `SHUTTING_DOWN` and a `RetryInfo`. A client opens them again on another replica, from the sequence after the last one seen; the command line does so by itself.
4. Calls under way get `stop_patience` to end.

A second signal ends the process at once; the next start, or another replica, recovers what was under way.

SIGHUP ends nothing: the files of `[tls]` and the credentials of the clouds (`clouds.yaml`, `secure.yaml` and the files they name) are read again, as they also are by themselves when they change. A cloud that is not in them any more stays until the next start.
New connections use what was read, and those that are open go on as they began.
What cannot be used is a warning in the log, and what was in force stays so.

What keeps callers out before anybody knows what they want is in `[door]`; the log tells of each limit that bites, at most once in `door.log_every`, and `drbackup_not_served_total` counts.
What a request may be is in `[api]` (bytes), `[rest]` (bytes, names of this host) and `[requests]`.

Several replicas share the tenants by leases: each takes up to its share of those with work, keeps them while they have some, and renews its leases three times in `engine.lease`.
What a replica had that died is taken over when its lease has ended and the next replica renews its own: after no more than four thirds of `engine.lease`.

Credentials are only ever in `clouds.yaml` and `secure.yaml`.
The client has settings of its own, which `docs/cli.md` lists.
";

/// The page about the configuration.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut section = None;
    for Key {
        table,
        name,
        default,
        meaning,
    } in keys()
    {
        if section.as_ref() != Some(&table) {
            let title = if table.is_empty() {
                "Top level".to_owned()
            } else {
                format!("`[{table}]`")
            };
            page = format!("{page}\n## {title}\n\n| Key | Default | Meaning |\n|---|---|---|\n");
            section = Some(table);
        }
        page = format!("{page}| `{name}` | `{default}` | {meaning} |\n");
    }
    page
}

/// A key of the configuration.
struct Key {
    table: String,
    name: String,
    default: String,
    meaning: String,
}

/// Every key in the order of its struct, which YAML keeps; what it means is the comment on its field.
fn keys() -> Vec<Key> {
    let schema = SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Config>();
    let defaults: BTreeMap<String, String> = flat(&Config::default()).into_iter().collect();
    let ordered = serde_norway::to_value(Config::default()).unwrap();
    let mut keys = Vec::new();
    let mut within = vec![(Vec::new(), ordered)];
    while let Some((tables, value)) = within.pop() {
        let table = value.as_mapping().into_iter().flatten();
        let mut deeper = Vec::new();
        for (name, value) in table {
            let name = name.as_str().unwrap();
            let path: Vec<&str> = tables.iter().map(String::as_str).chain([name]).collect();
            if value.is_mapping() {
                deeper.push((
                    path.iter().map(ToString::to_string).collect(),
                    value.clone(),
                ));
                continue;
            }
            let place = format!("/properties/{}/description", path.join("/properties/"));
            let meaning = schema.pointer(&place).unwrap().as_str().unwrap();
            keys.push(Key {
                table: tables.join("."),
                name: name.to_owned(),
                default: defaults[&path.join(".")].clone(),
                meaning: meaning.replace('\n', " "),
            });
        }
        within.extend(deeper.into_iter().rev());
    }
    keys
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
    let defaults = serde_json::to_value(ClientSettings::default()).unwrap_or_default();
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
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_page_has_every_key_with_its_meaning() {
        let keys = keys();
        assert_eq!(keys.len(), flat(&Config::default()).len());
        assert!(keys.iter().all(|key| !key.meaning.is_empty()));
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
