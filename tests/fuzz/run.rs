//! Asks a door one input after the other, and judges each: no panic, not for long, and no growth over all of
//! them; it may not know what an input is for.

use std::{
    cell::Cell,
    collections::BTreeMap,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, Once, PoisonError},
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};

/// Inputs of each door where nobody says how many.
const INPUTS: u64 = 2_000;

/// How much work one input may be.
const WORK_MAX: Duration = Duration::from_secs(1);

/// KiB by which the process may be larger at the end than once its caches were filled.
const GROWTH_MAX: u64 = 64 * 1024;

/// Inputs by which caches are filled.
const WARM: u64 = 20_000;

/// Failures after which a run has seen enough.
const FAILURES_MAX: usize = 8;

/// What became of an input.
pub(crate) enum Verdict {
    /// It was taken.
    Taken,
    /// It was refused, in this word.
    Refused(&'static str),
    /// What no input may bring about.
    Broken(String),
}

/// A door, with whatever stands behind it.
pub(crate) trait Door {
    /// One input.
    type Input;

    /// The inputs that are asked as they are, before all others.
    fn known(&self) -> Vec<Self::Input>;

    /// One more input.
    fn make(&self, dice: &mut StdRng) -> Self::Input;

    /// Asks it.
    fn ask(&self, input: &Self::Input) -> Verdict;

    /// The input that was asked last, so that it can be asked again.
    fn tell(&self, input: &Self::Input) -> String;
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

thread_local! {
    /// Panics of this thread: one in a task is caught by its runtime, and seen here only.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
}

/// KiB of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.trim().split(' ').next());
    size.and_then(|size| size.parse().ok()).expect("a size")
}

/// How long this thread has worked: the machine may have others to serve.
fn worked() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").expect("readable");
    let nanoseconds = told.split(' ').next().and_then(|one| one.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a time"))
}

/// The run of one door.
struct Run<'a, D: Door> {
    name: &'static str,
    door: &'a D,
    seed: u64,
    verdicts: BTreeMap<&'static str, u64>,
    slowest: Duration,
    failures: Vec<String>,
}

impl<D: Door> Run<'_, D> {
    fn ask(&mut self, which: &str, input: &D::Input) {
        let (panics, before) = (PANICS.get(), worked());
        let verdict = catch_unwind(AssertUnwindSafe(|| self.door.ask(input)));
        let work = worked().saturating_sub(before);
        self.slowest = self.slowest.max(work);
        let mut wrong = Vec::new();
        match verdict {
            Ok(Verdict::Taken) => *self.verdicts.entry("taken").or_default() += 1,
            Ok(Verdict::Refused(why)) => *self.verdicts.entry(why).or_default() += 1,
            Ok(Verdict::Broken(problem)) => wrong.push(problem),
            Err(_) => {}
        }
        if PANICS.get() > panics {
            wrong.push("it panicked".to_owned());
        }
        if work > WORK_MAX {
            wrong.push(format!("it took {work:?} of work"));
        }
        if !wrong.is_empty() {
            let told = self.door.tell(input);
            let wrong = wrong.join(", ");
            let failure = format!(
                "{}: {which} of seed {}: {wrong}\n{told}\n",
                self.name, self.seed
            );
            println!("{failure}");
            self.failures.push(failure);
        }
    }
}

/// Opens a door and asks it as many inputs as the environment says.
pub(crate) fn run<D: Door>(name: &'static str, open: impl FnOnce() -> D) {
    // One door after the other: the memory of a process is that of all its threads.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    count_panics();
    let seed = number("DRBACKUP_FUZZ_SEED").unwrap_or(1);
    let inputs = number("DRBACKUP_FUZZ_INPUTS").unwrap_or(INPUTS);
    let only = number("DRBACKUP_FUZZ_INPUT");
    println!("{name}: {inputs} inputs of seed {seed} (DRBACKUP_FUZZ_SEED={seed})");
    let before = resident();
    let door = open();
    let mut run = Run {
        name,
        door: &door,
        seed,
        verdicts: BTreeMap::new(),
        slowest: Duration::ZERO,
        failures: Vec::new(),
    };
    let began = Instant::now();
    for (index, input) in door.known().iter().enumerate() {
        run.ask(&format!("known input {index}"), input);
    }
    let warm = WARM.min(inputs / 4);
    let (mut warmed, mut largest, mut asked) = (resident(), 0, 0);
    for index in only.map_or(0..inputs, |only| only..only + 1) {
        if run.failures.len() >= FAILURES_MAX {
            break;
        }
        // Each input has dice of its own, so that it can be asked alone.
        let mut dice = StdRng::seed_from_u64(seed.wrapping_add(index.wrapping_mul(0x9E37_79B9)));
        let input = door.make(&mut dice);
        run.ask(&format!("input {index}"), &input);
        asked += 1;
        if asked == warm {
            warmed = resident();
        }
        if asked % 100_000 == 0 {
            largest = largest.max(resident());
        }
        if asked % 1_000_000 == 0 {
            println!(
                "{name}: {asked} inputs, {:.0?}, {} KiB",
                began.elapsed(),
                resident()
            );
        }
    }
    let (took, after) = (began.elapsed(), resident());
    let growth = after.max(largest).saturating_sub(warmed);
    let rate = u128::from(asked) * 1_000_000 / took.as_micros().max(1);
    println!(
        "{name}: {asked} inputs of seed {seed} in {took:.1?} ({rate} a second), the most work of one {:?}; \
         {before} KiB at first, {warmed} once warm, {after} at the end, {growth} more than warm at most",
        run.slowest
    );
    for (word, count) in &run.verdicts {
        println!("{name}: {count:>10} {word}");
    }
    assert!(
        run.failures.is_empty(),
        "{} inputs failed, replayed by DRBACKUP_FUZZ_SEED={seed} DRBACKUP_FUZZ_INPUT=NUMBER:\n{}",
        run.failures.len(),
        run.failures.concat()
    );
    assert!(growth < GROWTH_MAX, "it grew by {growth} KiB");
}
