//! Rot in the data file: what every command that reads, and a start, make of a file in which a few bytes are not what was
//! written.
//!
//! The hard idea: a wrong answer shows only beside the right one. So each answer is compared with that of the sound file,
//! or of one of the commits before it that the file still has, since a torn meta page means just that. Whatever is not an
//! answer must be an error; where `verify` is content, all must be answers. A process judges many files, and where it dies
//! or hangs, the file that it had is the finding.

mod answers;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    ops::Range,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::Duration,
};

use lamella_chain::Chain;
use lamella_tables::{Canonical, DutyKey, KeyKind, Read as _, TABLES};
use lamella_types::Root;
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::{Deserialize, Serialize};

pub use answers::{Answers, Commands, answer_lines};

use answers::Left;

use crate::scenario::Scenario;

/// The slot that two keys are reserved for in it.
const RESERVED_SLOT: u64 = 2_000;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4_096;

/// Bytes of a meta page that mean something.
const META_BYTES: usize = 244;

/// Meta pages.
const METAS: usize = 3;

/// Where the first of a meta page's transaction numbers stands.
const META_TRANSACTION: usize = 28;

/// Longest time for one file. A healthy one takes a hundredth of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most memory that the judging process may ever have had.
const MEMORY_KIB_MAX: u64 = 512 << 10;

/// Findings that are kept.
const FINDINGS_MAX: usize = 50;

/// One way in which the file is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Where other bytes stand.
    pub at: usize,
    /// Those bytes.
    pub bytes: Vec<u8>,
    /// The file's length, if it is another.
    pub length: Option<u64>,
}

/// The directory, sound.
pub struct Sound {
    commands: Commands,
    file: Vec<u8>,
    /// Bytes that are in use.
    used: usize,
    /// What it, and it without its newest commits, answers.
    references: Vec<Answers>,
    /// Roots of its blocks: each is the head or an ancestor.
    blocks: BTreeSet<Root>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Files judged.
    pub judged: usize,
    /// Files of which something was an error.
    pub refused: usize,
    /// Files that `verify` found sound.
    pub clean: usize,
    /// Files over which an assertion of the engine ended the process. What is released is built without them.
    pub assertions: usize,
    /// What must not be, up to fifty.
    pub findings: Vec<String>,
}

/// Makes the directory and hears what it answers to these commands.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn sound(program: &Path, scratch: &Path, commands: Commands) -> Sound {
    let folder = scratch.join("sound");
    let scenario = Scenario::named(commands.scenario());
    let chain = std::sync::Arc::new(scenario.open(&folder.join("data/db")).unwrap());
    scenario.run(&chain, 0, |_, _| {}).unwrap();
    let keys =
        [KeyKind::Attestation, KeyKind::Proposal].map(|kind| DutyKey { validator_index: 1, kind });
    chain.reserve_slot(RESERVED_SLOT, &keys).unwrap();
    let (blocks, empty) = blocks_and_empty_tables(&chain);
    assert!(empty.is_empty() || commands == Commands::Reading && empty == ["History"], "{empty:?}");
    drop(chain);
    let file = fs::read(folder.join("data/db/mdbx.dat")).unwrap();
    let used = file.len() - file.iter().rev().take_while(|byte| **byte == 0).count();
    let used = used.next_multiple_of(PAGE_BYTES);
    let mut sound = Sound { commands, file, used, references: Vec::new(), blocks };
    let mut worker = sound.worker(program, &scratch.join("reference"));
    let mut torn = Vec::new();
    for _ in 0..METAS {
        let case = |at: usize| Case { at, bytes: vec![sound.file[at] ^ 1], length: None };
        let answers = worker.judge_all(&torn.iter().copied().map(case).collect::<Vec<_>>());
        sound.references.push(answers.unwrap());
        let left = (0..METAS).map(|meta| meta * PAGE_BYTES + META_TRANSACTION);
        let newest = left
            .filter(|at| !torn.contains(at))
            .max_by_key(|at| u64::from_le_bytes(sound.file[*at..*at + 8].try_into().unwrap()));
        torn.extend(newest);
    }
    let newest = &sound.references[0];
    assert_eq!((newest.is_clean.clone(), newest.start.as_ref().err()), (Ok(true), None));
    assert!(newest.answers.iter().all(Result::is_ok), "{:?}", newest.answers);
    if commands == Commands::All {
        let left = newest.left.as_ref().unwrap();
        assert_eq!(left.is_same, Ok(true));
        assert!(left.objects.keys().any(|name| name.ends_with(".lseg")), "{:?}", left.objects);
    }
    sound
}

fn blocks_and_empty_tables(chain: &Chain) -> (BTreeSet<Root>, Vec<&'static str>) {
    let txn = chain.read().unwrap();
    let has_row = |table: &str| txn.raw_rows(table).unwrap().unwrap().next().is_some();
    let empty = TABLES.iter().map(|table| table.name).filter(|name| !has_row(name));
    (txn.scan::<Canonical>(0).unwrap().map(|row| row.unwrap().1).collect(), empty.collect())
}

impl Sound {
    /// Bytes in use.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// Every bit of what meta pages say, one at a time.
    pub fn meta_bits(&self) -> impl Iterator<Item = Case> + '_ {
        self.meta_places().flat_map(move |at| (0..8).map(move |bit| self.flip(at, 1 << bit)))
    }

    /// One bit of each byte that meta pages say something with.
    pub fn meta_bytes(&self, seed: u64) -> impl Iterator<Item = Case> + '_ {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        self.meta_places().map(move |at| self.flip(at, 1 << (random.next_u64() % 8)))
    }

    fn meta_places(&self) -> impl Iterator<Item = usize> + use<> {
        (0..METAS).flat_map(|meta| (0..META_BYTES).map(move |at| meta * PAGE_BYTES + at))
    }

    /// Every bit of the heads of pages and of their nodes.
    #[must_use]
    pub fn head_bits(&self) -> Vec<Case> {
        self.heads()
            .into_iter()
            .flatten()
            .flat_map(|at| (0..8).map(move |bit| (at, bit)))
            .map(|(at, bit)| self.flip(at, 1 << bit))
            .collect()
    }

    /// Every byte behind the meta pages, turned round.
    pub fn bytes(&self) -> impl Iterator<Item = Case> + '_ {
        self.all_bytes().skip(METAS * PAGE_BYTES)
    }

    /// Every byte, turned round.
    pub fn all_bytes(&self) -> impl Iterator<Item = Case> + '_ {
        (0..self.used).map(|at| self.flip(at, 0xff))
    }

    /// Pages of zeros, and files cut and grown there.
    pub fn pages(&self) -> impl Iterator<Item = Case> + '_ {
        (0..self.used / PAGE_BYTES).flat_map(|page| {
            let at = page * PAGE_BYTES;
            let zeros = Case { at, bytes: vec![0; PAGE_BYTES], length: None };
            let cut =
                |length: usize| Case { at: 0, bytes: Vec::new(), length: Some(length as u64) };
            [zeros, cut(at), cut(at + 999), cut(self.file.len() + at + 1)]
        })
    }

    /// Some of [`Sound::head_bits`] and [`Sound::bytes`], half of each, drawn by this seed.
    #[must_use]
    pub fn sample(&self, count: usize, seed: u64) -> Vec<Case> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut below = |end: usize| (random.next_u64() % end as u64) as usize;
        let heads: Vec<usize> = self.heads().into_iter().flatten().collect();
        let case = |index: usize| {
            let at = match index % 2 {
                0 => heads[below(heads.len())],
                _ => METAS * PAGE_BYTES + below(self.used - METAS * PAGE_BYTES),
            };
            self.flip(at, 1 << below(8))
        };
        (0..count).map(case).collect()
    }

    fn flip(&self, at: usize, bits: u8) -> Case {
        Case { at, bytes: vec![self.file[at] ^ bits], length: None }
    }

    /// Heads of the pages behind the meta pages, and of the nodes of those that are of trees.
    fn heads(&self) -> Vec<Range<usize>> {
        let number =
            |at: usize| usize::from(u16::from_le_bytes([self.file[at], self.file[at + 1]]));
        let mut heads = Vec::new();
        for page in (METAS..self.used / PAGE_BYTES).map(|page| page * PAGE_BYTES) {
            heads.push(page..page + 20);
            if ![1, 2].contains(&number(page + 10)) {
                continue;
            }
            for offset in
                (0..number(page + 12).min(PAGE_BYTES - 20) / 2).map(|at| page + 20 + 2 * at)
            {
                heads.push(offset..offset + 2);
                let node = page + 20 + number(offset);
                heads.extend((node + 8 <= page + PAGE_BYTES).then_some(node..node + 8));
            }
        }
        heads
    }

    /// Judges these files, by so many processes at a time.
    ///
    /// # Panics
    /// When a process cannot be started.
    #[must_use]
    pub fn judge(&self, program: &Path, scratch: &Path, cases: &[Case], threads: usize) -> Outcome {
        let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
        thread::scope(|scope| {
            for thread in 0..threads {
                let (next, outcome) = (&next, &outcome);
                scope.spawn(move || {
                    let folder = scratch.join(format!("rot-{thread}"));
                    let mut worker = self.worker(program, &folder);
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let answers = worker.judge_all(std::slice::from_ref(case));
                        if answers.is_err() {
                            worker = self.worker(program, &folder);
                        }
                        self.count(case, answers, &mut outcome.lock().unwrap());
                    }
                });
            }
        });
        outcome.into_inner().unwrap()
    }

    fn worker(&self, program: &Path, folder: &Path) -> Worker {
        Worker::start(program, folder, &self.file, self.commands)
    }

    fn count(&self, case: &Case, answers: Result<Answers, String>, outcome: &mut Outcome) {
        outcome.judged += 1;
        let found = match &answers {
            Ok(answers) => {
                let is_refused =
                    answers.answers.iter().any(Result::is_err) || answers.start.is_err();
                outcome.refused += usize::from(is_refused);
                outcome.clean += usize::from(answers.is_clean == Ok(true));
                self.wrong(case, answers)
            }
            Err(ended) if cfg!(debug_assertions) && ended.contains("SIGABRT") => {
                outcome.assertions += 1;
                None
            }
            Err(ended) => Some(ended.clone()),
        };
        if let Some(found) = found
            && outcome.findings.len() < FINDINGS_MAX
        {
            let place = format!("page {}, byte {}", case.at / PAGE_BYTES, case.at % PAGE_BYTES);
            let bytes = &case.bytes[..case.bytes.len().min(2)];
            outcome
                .findings
                .push(format!("{place}, {bytes:02x?}, length {:?}: {found}", case.length));
        }
    }

    /// What must not be of what the commands left that do more than read.
    fn wrongly_left(&self, left: &Left, is_clean: &Result<bool, String>) -> Option<String> {
        let is_known = |object: &(&String, &u64)| {
            let mut known = self.references.iter().flat_map(|reference| &reference.left);
            known.any(|known| known.objects.get(object.0) == Some(object.1))
        };
        if let Some((name, _)) = left.objects.iter().find(|object| !is_known(object)) {
            return Some(format!("an export made another object {name}"));
        }
        if let Some(finding) = &left.repaired {
            return Some(format!("a repair left nothing, and verify finds: {finding}"));
        }
        let is_of_rows = is_clean.as_ref().is_err_and(|first| !first.starts_with("E1"));
        (left.is_same == Ok(true) && is_of_rows)
            .then(|| format!("every row is as it was, and verify finds: {is_clean:?}"))
    }

    /// What of these answers must not be.
    fn wrong(&self, case: &Case, answers: &Answers) -> Option<String> {
        if answers.memory_kib > MEMORY_KIB_MAX {
            return Some(format!("{} KiB of memory", answers.memory_kib));
        }
        let differs = |reference: &Answers| {
            let mut pairs = answers.answers.iter().zip(&reference.answers);
            pairs.find_map(|(got, right)| match (got, right) {
                (Ok(got), Ok(right)) if got != right => {
                    Some(format!("{got:.300} instead of {right:.300}"))
                }
                (Ok(got), Err(_)) => Some(format!("{got:.300} instead of an error")),
                (Err(error), _) if answers.is_clean == Ok(true) => {
                    Some(format!("verify is content, and then: {error}"))
                }
                _ => None,
            })
        };
        let wrong: Vec<_> = self.references.iter().map_while(differs).collect();
        if wrong.len() == self.references.len() {
            return wrong.into_iter().next();
        }
        let left = answers.left.as_ref();
        if let Some(wrong) = left.and_then(|left| self.wrongly_left(left, &answers.is_clean)) {
            return Some(wrong);
        }
        match &answers.start {
            // A file of no bytes is none: a start says that it begins anew.
            Ok(_) if case.length == Some(0) => None,
            Ok((head, is_derived)) => {
                let heads = self.references.iter().flat_map(|reference| &reference.start);
                let is_known = heads.into_iter().any(|(known, _)| known == head);
                // Where it had to be derived, it is the head or an ancestor.
                let mut known = self.blocks.iter().map(|root| format!("{root:?}, created: false"));
                let may_be = is_known || (*is_derived && known.any(|known| known == *head));
                (!may_be).then(|| format!("a start with head {head}, derived: {is_derived}"))
            }
            Err(error) if answers.is_clean == Ok(true) => {
                Some(format!("verify is content, and a start is not: {error}"))
            }
            Err(_) => None,
        }
    }
}

/// A process that judges files.
struct Worker {
    child: Child,
    answers: std::sync::mpsc::Receiver<String>,
}

impl Worker {
    fn start(program: &Path, folder: &Path, file: &[u8], commands: Commands) -> Self {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("sound"), file).unwrap();
        // A file that grows beyond any reason ends the process by SIGXFSZ.
        let mut child = Command::new("sh")
            .args(["-c", r#"ulimit -f 1048576; exec "$0" "$1" "$2""#])
            .arg(program)
            .arg(commands.verb())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, answers }
    }

    /// What a file with all of these changes answers, or how the process ended over it.
    fn judge_all(&mut self, cases: &[Case]) -> Result<Answers, String> {
        let line = serde_json::to_string(cases).unwrap();
        let _ = writeln!(self.child.stdin.as_ref().unwrap(), "{line}");
        let answer = self.answers.recv_timeout(PATIENCE);
        answer.map(|answer| serde_json::from_str(&answer).unwrap()).map_err(|why| {
            let _ = self.child.kill();
            format!("{why}: {}", self.child.wait().unwrap())
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
