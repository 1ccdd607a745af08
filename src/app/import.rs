//! Takes in what the system that came before kept; it may not know how its rows read.

use std::{fs, io::Read as _, path::PathBuf, sync::Arc};

use clap::Args;

use super::{
    clock::SystemClock,
    config::{self, Flags, Scratch},
    serve::{open_store, planner},
};
use crate::{
    cli::{failure::Failure, out::Out},
    domain::{error::Error, id::CloudName},
    import_waldur::{self, Reading, Remark, Terms},
    openstack::{self, Clouds},
    port::clock::Clock,
    service::Service,
};

/// What to take in, and where.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Files with rows as Django's `dumpdata` writes them, one JSON object a line; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Which configured cloud the rows are about
    #[arg(long, value_name = "NAME")]
    cloud: String,
    /// Let schedules that were active be active here, too; stop the original first
    #[arg(long)]
    active: bool,
    /// Only tell what would be taken in
    #[arg(long)]
    dry_run: bool,
    /// File with the configuration of the service [env: `DRBACKUP_SERVER_CONFIG`] [default:
    /// `/etc/drbackup/server.toml`, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database of the service: `sqlite:PATH` (the service must not run) or
    /// `postgres://USER@HOST/DATABASE` [env: `DRBACKUP_DATABASE`] [default: a file in the user's data
    /// directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The `clouds.yaml` to use [env: `DRBACKUP_CLOUDS_FILE`] [default: where OpenStack clients look]
    #[arg(long, value_name = "FILE")]
    clouds_file: Option<PathBuf>,
}

/// Takes everything in that can be, and tells what cannot.
pub(super) async fn run(import: Import, out: &mut Out) -> Result<(), Failure> {
    let mut text = String::new();
    for file in &import.files {
        text.push_str(&contents(file)?);
        text.push('\n');
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let terms = Terms {
        cloud: CloudName::new(import.cloud.clone()),
        now: clock.now(),
        active: import.active,
    };
    let reading = import_waldur::read(&text, &terms);
    let (points, schedules) = (reading.dr_backups.len(), reading.schedules.len());
    if points + schedules == 0 && !reading.left.is_empty() {
        tell(&reading, out)?;
        return Err(Failure::Usage(
            "nothing in the dump can be taken in".to_owned(),
        ));
    }
    // What is only tried is taken in all the same, where it is thrown away: so nothing is refused later that
    // was not refused then.
    let scratch = import.dry_run.then(Scratch::new).transpose()?;
    let service = service(&import, scratch.as_ref(), &clock).await?;
    let mut new = (0, 0);
    // The schedules first: points name them.
    for schedule in &reading.schedules {
        let taken = service.schedule_take_in(schedule.clone()).await;
        new.0 += usize::from(taken.map_err(|error| refused(&error))?);
    }
    for backup in &reading.dr_backups {
        let taken = service.point_take_in(backup.clone()).await;
        new.1 += usize::from(taken.map_err(|error| refused(&error))?);
    }
    tell(&reading, out)?;
    if import.dry_run {
        return out.line(&format!(
            "would take in {points} DR backups and {schedules} schedules"
        ));
    }
    out.line(&format!(
        "took in {} DR backups and {} schedules; {} and {} were there before",
        new.1,
        new.0,
        points - new.1,
        schedules - new.0
    ))
}

fn contents(file: &PathBuf) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| Failure::Usage(format!("reading {}: {error}", file.display())))?;
    Ok(text)
}

/// The service over the configured database; nothing of it runs by itself.
async fn service(
    import: &Import,
    scratch: Option<&Scratch>,
    clock: &Arc<dyn Clock>,
) -> Result<Service, Failure> {
    openstack::install_crypto();
    let scratch = scratch.map(|one| format!("sqlite:{}", one.file("scratch.db").display()));
    let (database, clouds_file) = (
        scratch.or(import.database.clone()),
        import.clouds_file.clone(),
    );
    let flags = Flags::opening(import.config.clone(), database, clouds_file);
    let config = config::load(flags)?;
    let environment = config.environment()?;
    let clouds =
        openstack::config::Config::load(&environment, &config.clouds, config.openstack.clone())
            .map_err(|error| Failure::Usage(error.to_string()))?;
    let clouds = Arc::new(Clouds::new(clouds, clock));
    let store = open_store(&config, clock).await?;
    let planner = planner(config.patience.clone());
    let settings = config.service();
    Ok(Service::new(
        store,
        clouds,
        clock.clone(),
        settings,
        planner,
    ))
}

fn refused(error: &Error) -> Failure {
    Failure::Conflict(error.to_string())
}

/// What was left, what was taken otherwise than it stood there, and what nobody reads.
fn tell(reading: &Reading, out: &mut Out) -> Result<(), Failure> {
    let mut lines = |word: &str, remarks: &[Remark]| -> Result<(), Failure> {
        for Remark { line, what, why } in remarks {
            out.line(&format!("line {line}: {word} {what}: {why}"))?;
        }
        Ok(())
    };
    lines("left", &reading.left)?;
    lines("took", &reading.remarks)?;
    for (model, count) in &reading.ignored {
        out.remark(&format!(
            "{count} rows of {model} are about nothing that is taken in"
        ));
    }
    Ok(())
}
