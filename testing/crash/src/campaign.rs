//! One recorded run, all its images, and what each must show.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc::sync_channel},
    thread,
};

use rand_xoshiro::rand_core::Rng as _;

use crate::{
    disk::Disk,
    enumerate::{self, Choice, Fill, choices, random},
    image::Image,
    judge::{Request, Subject, Verdict},
    process::field,
    record::{Recorder, Recording},
    scenario::Said,
    tally::Tally,
    trace::{Event, Operation, Trace},
    workers::Worker,
};

/// One image in so many is opened, and then takes the rest of its run's steps.
const FINISHED_EVERY: usize = 40;

/// Findings that are told in full, and whose images are kept.
const KEPT_MAX: usize = 3;

/// What a run promises, and what it had at each point when nothing crashed.
#[derive(Debug, Clone)]
pub enum Promise {
    /// Steps that the run counts aloud.
    Steps {
        /// Digest of all rows after so many steps, from a run of its own.
        reference: Vec<String>,
        /// Steps that were durable before the recording; `None` if not even the directory was.
        from: Option<usize>,
    },
    /// A node's log.
    Node {
        /// Digest of all rows after so many commits.
        reference: Vec<String>,
        /// Whether an imported block is promised, or only what was signed.
        is_durable: bool,
        /// Validators of the node.
        validators: u64,
    },
}

/// A recorded run with its promise.
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// What happened.
    pub recording: Recording,
    /// Whose directory it is.
    pub subject: Subject,
    /// What its images must show.
    pub promise: Promise,
}

/// How much is tried.
#[derive(Debug, Clone)]
pub struct Effort {
    /// The program that judges.
    pub program: PathBuf,
    /// Folder for images under judgement: in memory, if it can be.
    pub scratch: PathBuf,
    /// Folder for images that somebody is to open.
    pub kept: PathBuf,
    /// Most images that are judged; of more, all without a torn write first, then a sample.
    pub images_max: usize,
    /// No image is judged that a crash leaves before this event.
    pub from_event: usize,
    /// What the sample and all garbage follow from.
    pub seed: u64,
    /// Threads, each with a judging process.
    pub threads: usize,
    /// The number of an image to write down instead of judging anything.
    pub image: Option<usize>,
    /// Which writes are torn, which is most of all images.
    pub tears: Tears,
    /// Where a run of hours counts, which also says when it is over.
    pub tally: Option<Arc<Tally>>,
}

/// How writes are torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tears {
    /// Not at all.
    Never,
    /// As a disk does that writes sectors whole or not at all: what is missing is what was there.
    Old,
    /// Also into zeros and garbage.
    All,
}

impl Tears {
    const fn has(self, choice: &Choice) -> bool {
        match choice {
            Choice::Torn { fill: Fill::Old, .. } => !matches!(self, Self::Never),
            Choice::Torn { .. } => matches!(self, Self::All),
            _ => true,
        }
    }
}

/// Images as they follow from the trace: which, and between which events a crash leaves them.
#[derive(Debug, Clone, Copy)]
struct Entry {
    number: usize,
    hash: u128,
    at: usize,
    choice: Choice,
    /// Up to here everything said was said before some crash that leaves this image.
    said_before: usize,
}

/// What a campaign came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Images made, with those that are equal to others.
    pub made: usize,
    /// Distinct ones.
    pub distinct: usize,
    /// Distinct ones that were judged.
    pub judged: usize,
    /// Of these, how many then took the other steps of their run.
    pub finished: usize,
    /// Images with a finding.
    pub failed: usize,
    /// Findings by the check that made them.
    pub by_check: BTreeMap<&'static str, usize>,
    /// The first findings, in words.
    pub first: Vec<String>,
}

impl Outcome {
    /// Adds another campaign's.
    pub fn add(&mut self, other: &Self) {
        self.made += other.made;
        self.distinct += other.distinct;
        self.judged += other.judged;
        self.finished += other.finished;
        self.failed += other.failed;
        for (check, count) in &other.by_check {
            *self.by_check.entry(check).or_default() += count;
        }
        self.first.extend(other.first.iter().cloned());
    }
}

impl Campaign {
    /// How many blocks and keys' slots a node's log acknowledges, as the checks read it; `None` of a run that counts steps.
    #[must_use]
    pub fn acknowledged_by_node(&self) -> Option<(usize, usize)> {
        let Promise::Node { validators, .. } = self.promise else { return None };
        let said = said_by_node(&self.recording.trace, usize::MAX, validators);
        Some((said.imported.len(), said.signed.len()))
    }

    /// Judges the images of every crash of this run.
    #[must_use]
    pub fn run(&self, effort: &Effort) -> Outcome {
        let (entries, made) = self.entries(effort);
        let outcome = Outcome { made, distinct: entries.len(), ..Outcome::default() };
        if let Some(number) = effort.image {
            self.keep(effort, &entries, number);
            return outcome;
        }
        let chosen = choose(entries, effort);
        let shared = Mutex::new(outcome);
        let (sender, receiver) = sync_channel::<(Entry, Image)>(8);
        let receiver = Mutex::new(receiver);
        thread::scope(|scope| {
            for thread in 0..effort.threads {
                let (shared, receiver) = (&shared, &receiver);
                scope.spawn(move || {
                    let mut worker = Worker::new(&effort.program, self.subject.clone());
                    let folder = effort.scratch.join(format!("{}-{thread}", self.name));
                    loop {
                        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok((entry, image)) = next else { break };
                        let found = self.judge(&mut worker, &folder, entry, &image, shared);
                        if let Some(tally) = &effort.tally {
                            tally.judged(entry.hash, found.is_empty());
                        }
                        self.note(effort, entry, &image, found, shared);
                    }
                    let _ = std::fs::remove_dir_all(folder);
                });
            }
            let is_over = || effort.tally.as_ref().is_some_and(|tally| tally.is_over());
            self.images(&chosen, effort.seed, |entry, image| {
                !is_over() && sender.send((entry, image)).is_ok()
            });
            drop(sender);
        });
        shared.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens some of the images, recorded, so that a crash may come while it is opened: campaigns of their own, with what this
    /// run had said by then. `open` is what opens the folder that it is given, and `disk` a folder on a disk; `promise`, of
    /// what was recorded, is what that had at each point.
    #[must_use]
    pub fn recoveries(
        &self,
        effort: &Effort,
        disk: &Path,
        count: usize,
        mut open: impl FnMut(&Recorder, &Path),
        promise: impl Fn(&Recording) -> Promise,
    ) -> Vec<Self> {
        let entries = self.entries(&Effort { tears: Tears::Never, ..effort.clone() }).0;
        let apart = entries.len().div_ceil(count).max(1);
        let chosen: Vec<Entry> = entries.into_iter().step_by(apart).collect();
        let mut campaigns = Vec::new();
        self.images(&chosen, effort.seed, |entry, image| {
            let (root, log) = (disk.join("root"), disk.join("strace.log"));
            image.write(&root);
            let recorder = Recorder::begin(&root, &log);
            open(&recorder, &root);
            let mut recording = recorder.end();
            let said = self.recording.trace.said(entry.said_before);
            let said = said.map(|(_, line)| Event::Said(line.to_owned()));
            recording.trace.events = said.chain(recording.trace.events).collect();
            campaigns.push(Self {
                name: format!("{}-{}-recovery", self.name, entry.number),
                promise: promise(&recording),
                recording,
                subject: self.subject.clone(),
            });
            true
        });
        campaigns
    }

    /// Kills the run after each of these calls, until it has said this line if one is given, and has `again` take it up, recorded: campaigns of
    /// both runs, with the event where the second begins. A kill loses nothing that the system has, and makes nothing durable
    /// either. `again` says whether all is acknowledged then.
    #[must_use]
    pub fn killed(
        &self,
        disk: &Path,
        until: Option<&str>,
        is_kill: impl Fn(&Operation) -> bool,
        mut again: impl FnMut(&Recorder, &Path) -> bool,
    ) -> Vec<(usize, Self)> {
        let trace = &self.recording.trace;
        let (root, log) = (disk.join("root"), disk.join("strace.log"));
        let mut campaigns = Vec::new();
        walk(&self.recording, |at, disk| {
            if trace.said(at).any(|(_, line)| Some(line) == until) {
                return false;
            }
            let last = at.checked_sub(1).map(|last| &trace.events[last]);
            let Some(Event::End(number)) = last else { return true };
            if !is_kill(&trace.operations[*number]) {
                return true;
            }
            enumerate::image(disk, Choice::All, &self.recording.last, 0).write(&root);
            let recorder = Recorder::begin(&root, &log);
            let is_done = again(&recorder, &root);
            let second = recorder.end();
            let mut both = trace.until_then(at, &second.trace);
            if let (Subject::Job(_), Promise::Steps { reference, .. }) =
                (&self.subject, &self.promise)
            {
                // It counts no steps: all may have begun, and in the end all is done.
                let all = reference.len() - 1;
                both.events.insert(at, Event::Said(Said::Begin.line(all)));
                both.events.extend(is_done.then(|| Event::Said(Said::Acknowledged.line(all))));
            }
            let before = self.recording.before.clone();
            let recording = Recording { before, trace: both, last: second.last };
            let name = format!("{}-killed-{at}", self.name);
            let (subject, promise) = (self.subject.clone(), self.promise.clone());
            campaigns.push((at, Self { name, recording, subject, promise }));
            true
        });
        campaigns
    }

    fn note(
        &self,
        effort: &Effort,
        entry: Entry,
        image: &Image,
        found: Vec<(&'static str, String)>,
        shared: &Mutex<Outcome>,
    ) {
        let mut outcome = lock(shared);
        outcome.judged += 1;
        if found.is_empty() {
            return;
        }
        outcome.failed += 1;
        for (check, _) in &found {
            *outcome.by_check.entry(check).or_default() += 1;
        }
        if outcome.first.len() < KEPT_MAX {
            let folder = effort.kept.join(format!("{}-{}", self.name, entry.number));
            image.write(&folder);
            outcome.first.push(format!(
                "{} image {} (after event {}, {:?}), kept in {}: {found:?}",
                self.name,
                entry.number,
                entry.at,
                entry.choice,
                folder.display()
            ));
        }
    }

    /// Every distinct image, and how many there were with repetitions.
    fn entries(&self, effort: &Effort) -> (Vec<Entry>, usize) {
        let (trace, seed) = (&self.recording.trace, effort.seed);
        let (mut entries, mut known, mut made) = (Vec::<Entry>::new(), HashMap::new(), 0);
        walk(&self.recording, |at, disk| {
            let said_before = said_until(trace, at);
            let choices = choices(disk, seed).into_iter();
            for choice in choices.filter(|choice| effort.tears.has(choice)) {
                made += 1;
                let hash = enumerate::image(disk, choice, &self.recording.last, seed).hash();
                let number = *known.entry(hash).or_insert(entries.len());
                match entries.get_mut(number) {
                    Some(entry) => entry.said_before = entry.said_before.max(said_before),
                    None => entries.push(Entry { number, hash, at, choice, said_before }),
                }
            }
            true
        });
        (entries, made)
    }

    /// Makes the images of these entries, which are in the order of their events.
    fn images(&self, entries: &[Entry], seed: u64, mut take: impl FnMut(Entry, Image) -> bool) {
        let mut rest = entries.iter().copied().peekable();
        walk(&self.recording, |at, disk| {
            while let Some(entry) = rest.next_if(|entry| entry.at == at) {
                let image = enumerate::image(disk, entry.choice, &self.recording.last, seed);
                if !take(entry, image) {
                    return false;
                }
            }
            rest.peek().is_some()
        });
    }

    fn keep(&self, effort: &Effort, entries: &[Entry], number: usize) {
        let Some(entry) = entries.get(number) else {
            panic!("{} has {} images", self.name, entries.len())
        };
        self.images(&[*entry], effort.seed, |entry, image| {
            let folder = effort.kept.join(format!("{}-{number}", self.name));
            image.write(&folder);
            println!("after event {}, {:?}: {}", entry.at, entry.choice, folder.display());
            println!("{}", self.recording.trace.told(entry.at));
            false
        });
    }

    fn judge(
        &self,
        worker: &mut Worker,
        folder: &Path,
        entry: Entry,
        image: &Image,
        shared: &Mutex<Outcome>,
    ) -> Vec<(&'static str, String)> {
        image.write(folder);
        let verdict = worker.judge(&Request { folder: folder.to_owned(), finish_from: None });
        // What was said before the first call was said before some crash that leaves the first image.
        let at = entry.at.max(said_until(&self.recording.trace, 0));
        let mut found = self.check(&verdict, at, entry.said_before);
        let Promise::Steps { reference, .. } = &self.promise else { return found };
        let step = reference.iter().position(|rows| *rows == verdict.rows);
        if let Some(step) = step
            && entry.number.is_multiple_of(FINISHED_EVERY)
        {
            image.write(folder);
            let request = Request { folder: folder.to_owned(), finish_from: Some(step) };
            let verdict = worker.judge(&request);
            lock(shared).finished += 1;
            if verdict.rows_at_end.as_ref() != reference.last() {
                found.push(("finishes", format!("from step {step} on: {:?}", verdict.error)));
            }
        }
        found
    }

    /// What is wrong with an image that a crash leaves after this event, when this much had been said.
    #[must_use]
    pub fn check(
        &self,
        verdict: &Verdict,
        at: usize,
        said_before: usize,
    ) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if let Some(error) = &verdict.error {
            found.push(("opens", error.clone()));
            return found;
        }
        if !verdict.findings.is_empty() {
            found.push(("invariants", verdict.findings.join("; ")));
        }
        if verdict.is_derived {
            found.push(("nothing derived", "rows had to be derived again".to_owned()));
        }
        if verdict.rows != verdict.rows_again {
            found.push(("opens twice", "opening it changed rows".to_owned()));
        }
        match &self.promise {
            Promise::Steps { reference, from } => {
                found.extend(self.check_steps(verdict, at, said_before, reference, *from));
            }
            Promise::Node { reference, is_durable, validators } => {
                found.extend(self.check_node(
                    verdict,
                    (at, said_before),
                    reference,
                    *is_durable,
                    *validators,
                ));
            }
        }
        found
    }

    fn check_steps(
        &self,
        verdict: &Verdict,
        at: usize,
        said_before: usize,
        reference: &[String],
        from: Option<usize>,
    ) -> Vec<(&'static str, String)> {
        let trace = &self.recording.trace;
        let numbers = |before, word: &'static str| {
            trace
                .said(before)
                .filter_map(move |(_, line)| line.strip_prefix(word)?.trim().parse::<usize>().ok())
        };
        let acknowledged = numbers(said_before, "acknowledged").max().or(from);
        let begun = numbers(at, "begin").max().or(from).unwrap_or(0);
        let mut found = Vec::new();
        if !verdict.is_chain && acknowledged.is_some() {
            found.push(("acknowledged", format!("no chain, but step {acknowledged:?} was said")));
        }
        let steps: Vec<usize> =
            (0..reference.len()).filter(|step| reference[*step] == verdict.rows).collect();
        if steps.is_empty() {
            found.push(("reference", "rows that the run never had".to_owned()));
        } else if steps.iter().all(|step| Some(*step) < acknowledged) {
            let what = format!("{acknowledged:?} was acknowledged, recovered {steps:?}");
            found.push(("acknowledged", what));
        } else if steps.iter().all(|step| *step > begun) {
            found.push(("begun", format!("{begun} was begun, recovered {steps:?}")));
        }
        found
    }

    fn check_node(
        &self,
        verdict: &Verdict,
        (at, said_before): (usize, usize),
        reference: &[String],
        is_durable: bool,
        validators: u64,
    ) -> Vec<(&'static str, String)> {
        let said = said_by_node(&self.recording.trace, said_before, validators);
        let mut found = Vec::new();
        let is_lost = |root: &&String| !verdict.is_chain || !verdict.blocks.contains(*root);
        if let Some(lost) = said.imported.iter().find(is_lost).filter(|_| is_durable) {
            found.push(("acknowledged", format!("block {lost} was imported, and is not there")));
        }
        let commits: Vec<usize> =
            (0..reference.len()).filter(|commit| reference[*commit] == verdict.rows).collect();
        let begun = self.recording.trace.commits_begun(at);
        if commits.is_empty() {
            found.push(("reference", "rows that the run never had".to_owned()));
        } else if commits.iter().all(|commit| *commit > begun) {
            found.push(("begun", format!("commits {commits:?}, {begun} were begun")));
        }
        for (key, slot) in &said.signed {
            let has = |guard: &BTreeMap<String, u64>| guard.get(key) >= Some(slot);
            if !has(&verdict.guard) {
                found.push(("guard", format!("{key} signed {slot}, the rows do not say so")));
            }
            if !verdict.copy.as_ref().is_some_and(has) {
                found.push(("guard's copy", format!("{key} signed {slot}, it does not say so")));
            }
        }
        if verdict.copy.is_none() {
            found.push(("guard's copy", "it is damaged".to_owned()));
        }
        found
    }
}

fn lock(shared: &Mutex<Outcome>) -> std::sync::MutexGuard<'_, Outcome> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows the disk before the first event, and after each that changes it, while `look` wants to go on.
pub fn walk(recording: &Recording, mut look: impl FnMut(usize, &Disk) -> bool) {
    let mut disk = Disk::of(&recording.before);
    if !look(0, &disk) {
        return;
    }
    for (at, event) in recording.trace.events.iter().enumerate() {
        disk.step(&recording.trace, event);
        if !matches!(event, Event::Said(_)) && !look(at + 1, &disk) {
            return;
        }
    }
}

/// Up to which event things are only said: the disk is as it was before.
fn said_until(trace: &Trace, at: usize) -> usize {
    let rest = &trace.events[at..];
    at + rest.iter().take_while(|event| matches!(event, Event::Said(_))).count()
}

/// All images without a torn write, and of the others a sample.
fn choose(mut entries: Vec<Entry>, effort: &Effort) -> Vec<Entry> {
    entries.retain(|entry| entry.at >= effort.from_event);
    if entries.len() > effort.images_max {
        let mut random = random(effort.seed, entries.len() as u64);
        let mut drawn: Vec<(bool, u64, Entry)> = entries
            .into_iter()
            .map(|entry| (entry.choice.is_torn(), random.next_u64(), entry))
            .collect();
        drawn.sort_unstable_by_key(|(is_torn, number, _)| (*is_torn, *number));
        drawn.truncate(effort.images_max);
        entries = drawn.into_iter().map(|(_, _, entry)| entry).collect();
    }
    entries.sort_unstable_by_key(|entry| (entry.at, entry.number));
    entries
}

/// What a node's log acknowledges.
#[derive(Debug, Default)]
struct SaidByNode {
    /// Roots of blocks that it imported: of a run of blocks, the new head.
    imported: BTreeSet<String>,
    /// The highest slot that each key signed for.
    signed: BTreeMap<String, u64>,
}

fn said_by_node(trace: &Trace, before: usize, validators: u64) -> SaidByNode {
    let mut said = SaidByNode::default();
    for (_, line) in trace.said(before) {
        let number = |name| field(line, name)?.parse::<u64>().ok();
        let mut sign = |key: String, slot: u64| {
            let highest = said.signed.entry(key).or_default();
            *highest = slot.max(*highest);
        };
        if line.contains(" imported successfully ") {
            let roots = ["block_root", "head"].into_iter().filter_map(|name| field(line, name));
            said.imported.extend(roots.map(str::to_owned));
            // Its own block, not another node's.
            if let Some(proposer) = number("proposer").filter(|proposer| *proposer < validators) {
                sign(format!("{proposer} proposal"), number("slot").unwrap());
            }
        } else if line.contains(" Attested ") && number("validators") == Some(validators) {
            let slot = number("slot").unwrap();
            (0..validators).for_each(|index| sign(format!("{index} attestation"), slot));
        } else if line.contains(" Signing begins after this slot ") {
            let slot = number("slot").unwrap();
            for index in 0..validators {
                sign(format!("{index} attestation"), slot);
                sign(format!("{index} proposal"), slot);
            }
        }
    }
    said
}
