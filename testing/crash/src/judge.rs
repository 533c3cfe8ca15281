//! What an image holds, found out by the production path: run in a process of its own, so that one image's signal, hang
//! or panic is that image's finding.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use lamella_chain::{Bootstrap, Chain, Settings, verify};
use lamella_network_dir::GenesisConfig;
use lamella_tables::{DatabaseView, Durability, DutyKey, KeyKind, Read as _, SignGuard};
use lamella_types::genesis_state;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use crate::verdict::{Verdict, blocks, rows};
use crate::{
    archiving, followed,
    jobs::{self, Done},
    restored,
    scenario::{FETCH, SHIP, Scenario},
};

/// Whose directory it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Subject {
    /// A scenario's, below `db`.
    Scenario(String),
    /// A restoration's, below `db`.
    Restored {
        /// The archive.
        archive: PathBuf,
        /// Digest of all rows of the directory that a restoration without a crash makes.
        expected: String,
    },
    /// What a command moves or writes, below `data/db`.
    Job(Done),
    /// A follower's, below `data/db`.
    Follower {
        /// The archive that it follows.
        archive: PathBuf,
        /// Milliseconds of a slot.
        slot_ms: u64,
    },
    /// A node's, below `data/db`, with its guard's copy below `keys`.
    Node {
        /// `config.yaml` of its network.
        config: PathBuf,
        /// Milliseconds of a slot.
        slot_ms: u64,
        /// Whether its commits are lazy.
        is_lazy: bool,
        /// Name of the guard's copy.
        guard: String,
    },
}

/// One image to judge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether to take the scenario's other steps, after as many as this; of a command, whether what it left is cleaned up
    /// before it is run again.
    pub finish_from: Option<usize>,
}

/// How to open a subject's directory.
pub struct Judge {
    subject: Subject,
    scenario: Option<Scenario>,
    bootstrap: Bootstrap,
    scheme: &'static str,
    settings: Settings,
}

impl Judge {
    /// A judge of this subject's images.
    ///
    /// # Panics
    /// When its files are not there.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        match &subject {
            Subject::Restored { .. }
            | Subject::Scenario(_)
            | Subject::Job(_)
            | Subject::Follower { .. } => {
                let name = match &subject {
                    Subject::Scenario(name) => name,
                    _ => SHIP,
                };
                let scenario = Scenario::named(name);
                let (bootstrap, settings) = (scenario.bootstrap.clone(), scenario.settings);
                Self { subject, scenario: Some(scenario), bootstrap, scheme: "trust", settings }
            }
            Subject::Node { config, slot_ms, is_lazy, .. } => {
                let config = GenesisConfig::load(config).unwrap();
                let bootstrap =
                    Bootstrap::genesis(genesis_state(config.genesis_time, config.validators));
                let durability = if *is_lazy { Durability::Lazy } else { Durability::Durable };
                let settings = Settings { slot_ms: *slot_ms, durability, ..Settings::default() };
                Self { subject, scenario: None, bootstrap, scheme: "raw", settings }
            }
        }
    }

    /// Judges one image. It changes the folder.
    #[must_use]
    pub fn judge(&self, request: &Request) -> Verdict {
        let mut verdict = Verdict::default();
        if let Err(error) = self.open_twice(request, &mut verdict) {
            verdict.error = Some(error);
        }
        verdict
    }

    fn open_twice(&self, request: &Request, verdict: &mut Verdict) -> Result<(), String> {
        let path = request.folder.join(match &self.subject {
            Subject::Scenario(_) | Subject::Restored { .. } => "db",
            Subject::Node { .. } | Subject::Job(_) | Subject::Follower { .. } => "data/db",
        });
        if let Subject::Job(done) = &self.subject {
            return jobs::judge(done, &request.folder, request.finish_from.is_some(), verdict);
        }
        if let Subject::Restored { archive, expected } = &self.subject {
            return restored::judge(archive, expected, &path, verdict);
        }
        if let Subject::Follower { archive, slot_ms } = &self.subject {
            return followed::judge(archive, *slot_ms, &path, verdict);
        }
        if let Subject::Node { guard, .. } = &self.subject {
            verdict.copy = read_copy(&request.folder.join("keys").join(guard));
        }
        let found = Chain::find(&path);
        // What only a writer can recover, it finds itself.
        verdict.is_chain = !matches!(found, Ok(lamella_chain::Found::Nothing));
        let open = || {
            let bootstrap = self.bootstrap.clone();
            Chain::open(&path, bootstrap, self.scheme, self.settings).map_err(text)
        };
        let (chain, opened) = open()?;
        verdict.is_derived = opened.recovered.is_something();
        if matches!(self.subject, Subject::Node { .. }) {
            verdict.blocks = blocks(chain.database())?;
        }
        let report = verify(chain.database(), &mut |_| ControlFlow::Continue(())).map_err(text)?;
        verdict.findings = report.findings.iter().map(ToString::to_string).collect();
        if report.check_count() == 0 {
            verdict.findings.push("nothing was checked".to_owned());
        }
        verdict.rows = rows(chain.database())?;
        verdict.guard = guard(chain.database())?;
        drop(chain);
        let (chain, opened) = open()?;
        if opened.created || opened.recovered.is_something() {
            verdict.findings.push(format!("opened again, it was changed again: {opened:?}"));
        }
        verdict.rows_again = rows(chain.database())?;
        if self.scenario.as_ref().is_some_and(|scenario| scenario.name == SHIP) {
            archiving::check(&chain, &archiving::beside(&path))?;
        }
        let archive = request.folder.join("archive");
        if matches!(self.subject, Subject::Node { .. })
            && (archive.exists() || archiving::confirmed(&chain)? > 0)
        {
            archiving::check(&chain, &archive)?;
        }
        if let (Some(from), Some(scenario)) = (request.finish_from, &self.scenario) {
            let chain = Arc::new(chain);
            if scenario.name == FETCH {
                restored::make_source(&path, scenario.variant)?;
            }
            scenario.run(&chain, from, |_, _| {})?;
            verdict.rows_at_end = Some(rows(chain.database())?);
        }
        Ok(())
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn guard(database: &DatabaseView) -> Result<BTreeMap<String, u64>, String> {
    let txn = database.read().map_err(text)?;
    let mut guard = BTreeMap::new();
    let first = DutyKey { validator_index: 0, kind: KeyKind::Attestation };
    for row in txn.scan::<SignGuard>(first).map_err(text)? {
        let (key, slot) = row.map_err(text)?;
        let kind = match key.kind {
            KeyKind::Attestation => "attestation",
            KeyKind::Proposal => "proposal",
        };
        guard.insert(format!("{} {kind}", key.validator_index), slot);
    }
    Ok(guard)
}

/// The copy of the guard, read as the layout describes it: `None` if it is damaged, empty if there is none.
fn read_copy(path: &Path) -> Option<BTreeMap<String, u64>> {
    let Ok(text) = fs::read_to_string(path) else {
        return if path.exists() { None } else { Some(BTreeMap::new()) };
    };
    let name = path.file_stem()?.to_str()?;
    let genesis_time = name.rsplit('-').next()?;
    let mut slots = BTreeMap::new();
    let mut is_whole = text.ends_with('\n');
    let lines: Vec<&str> = text.lines().collect();
    let (last, rows) = lines.split_last()?;
    for line in lines.iter() {
        let (said, sum) = line.rsplit_once(' ')?;
        let expected = xxh3_64(format!("lamella sign guard {genesis_time} {said}").as_bytes());
        is_whole &= sum == format!("{expected:016x}");
    }
    for line in rows {
        let mut words = line.split(' ');
        let key = format!("{} {}", words.next()?, words.next()?);
        slots.insert(key, words.next()?.parse().ok()?);
    }
    is_whole &= last.starts_with(&format!("end {} ", rows.len()));
    is_whole.then_some(slots)
}
