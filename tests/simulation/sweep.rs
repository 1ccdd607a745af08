//! Many runs on all cores, each in a thread whose clock is wound by hand; a run that fails is named
//! with what it takes to run it again. It may not know what is run.

use std::{
    any::Any,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// At most so many failures are told.
const TOLD: usize = 5;

/// Of every how many points one is run: a bounded run says so, or else it is as many as usual.
pub(crate) fn every(usual: usize) -> usize {
    let wanted = std::env::var("DRBACKUP_EVERY").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs every point; `run` panics where an invariant is broken.
pub(crate) fn all<P: Debug + Sync>(what: &str, points: &[P], run: impl Fn(&P) + Sync) {
    // A panic is told once, with its point, and without the way that it took.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let failures: Mutex<Vec<String>> = Mutex::default();
    let worker = || {
        loop {
            let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(point))) {
                let text = format!("{point:?}: {}", words(panic.as_ref()));
                eprintln!("FAILED {text}");
                let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push(text);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(worker);
        }
    });
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let told: Vec<&String> = failures.iter().take(TOLD).collect();
    assert!(
        failures.is_empty(),
        "{what}: {} of {} runs failed, among them:\n{}",
        failures.len(),
        points.len(),
        told.iter()
            .map(|one| one.as_str())
            .collect::<Vec<_>>()
            .join("\n\n")
    );
    assert!(!points.is_empty(), "{what}: nothing was run");
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
