//! What the system tells of this process: memory, files, time; it may not know what the process does.
//!
//! Read from `/proc` at each scrape, under the names that exporters of all languages use. What cannot be read
//! is left out.

use std::{
    fmt, fs,
    mem::size_of,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// The entry of the auxiliary vector that says how many ticks a second has (`AT_CLKTCK`).
const TICKS_ENTRY: usize = 17;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    /// When it began, in seconds since 1970.
    began: f64,
    /// What a second of its time is counted in.
    ticks: f64,
}

impl Process {
    /// This process, which has just begun.
    pub(super) fn just_begun() -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            began: began.map_or(0.0, |began| began.as_secs_f64()),
            ticks: ticks(&fs::read("/proc/self/auxv").unwrap_or_default()),
        }
    }

    fn told(&self) -> impl Iterator<Item = (&'static str, &'static str, MetricType, f64)> {
        let file =
            |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let (stat, status, limits) = (file("stat"), file("status"), file("limits"));
        let fds = fs::read_dir("/proc/self/fd").ok();
        let fds = fds.and_then(|all| u32::try_from(all.count()).ok());
        [
            (
                "process_start_time_seconds",
                "When this process began to serve, in seconds since 1970",
                MetricType::Gauge,
                Some(self.began),
            ),
            (
                "process_cpu_seconds",
                "Time of processors that this process has used",
                MetricType::Counter,
                used_ticks(&stat).map(|used| used / self.ticks),
            ),
            (
                "process_resident_memory_bytes",
                "Memory that this process has in use",
                MetricType::Gauge,
                number(&status, "VmRSS:").map(|kib| kib * 1024.0),
            ),
            (
                "process_open_fds",
                "Files and connections that this process has open",
                MetricType::Gauge,
                fds.map(f64::from),
            ),
            (
                "process_max_fds",
                "How many of these it may have open",
                MetricType::Gauge,
                number(&limits, "Max open files"),
            ),
        ]
        .into_iter()
        .filter_map(|(name, help, kind, value)| Some((name, help, kind, value?)))
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, kind, value) in self.told() {
            let one = encoder.encode_descriptor(name, help, None, kind)?;
            if let MetricType::Counter = kind {
                ConstCounter::new(value).encode(one)?;
            } else {
                ConstGauge::new(value).encode(one)?;
            }
        }
        Ok(())
    }
}

/// How many ticks a second has, by the auxiliary vector; what every Linux of today has where it does not say.
fn ticks(auxv: &[u8]) -> f64 {
    let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
    let mut entries = auxv
        .chunks_exact(2 * size_of::<usize>())
        .filter_map(|entry| {
            let (name, value) = entry.split_at(size_of::<usize>());
            Some((word(name)?, word(value)?))
        });
    let found = entries.find(|(name, value)| *name == TICKS_ENTRY && *value > 0);
    let found = found.and_then(|(_, value)| u32::try_from(value).ok());
    found.map_or(100.0, f64::from)
}

/// The ticks that a process has used, by its `stat`: the 14th and the 15th field. The second is its name in
/// brackets, which may hold anything.
fn used_ticks(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

/// The first number behind a name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_time() {
        let told: Vec<(&str, f64)> = Process::just_begun()
            .told()
            .map(|(name, _, _, value)| (name, value))
            .collect();
        assert_eq!(told.len(), 5, "{told:?}");
        let positive = told.iter().filter(|(_, value)| *value > 0.0).count();
        assert!(positive >= 4, "{told:?}");
    }

    #[test]
    fn a_name_with_brackets_hides_no_field() {
        let stat = "1 (a) b) S 2 3 4 5 6 7 8 9 10 11 120 30 0 0";
        assert_eq!(used_ticks(stat), Some(150.0));
        assert_eq!(used_ticks(""), None);
        assert_eq!(
            number("VmPeak: 3 kB\nVmRSS:\t 12 kB\n", "VmRSS:"),
            Some(12.0)
        );
    }
}
