//! The folder of a local network: made, or found and gone on with.
//!
//! ```text
//! DIR/config.yaml ..    the network, as `lamella genesis` writes it
//! DIR/devnet.json       what was asked for, written before config.yaml: without it a network is not ours
//! DIR/devnet.lock       held while a run lasts
//! DIR/data/NODE         a node's data
//! DIR/logs/NODE.log     what it said, over all runs
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use lamella_network_dir::{
    GenesisConfig, NetworkDir, ValidatorConfig,
    genesis::{self, GenesisOptions},
};
use lamella_types::{Slot, SlotClock, limits::SLOT_MS};
use serde::{Deserialize, Serialize};

use super::{DevnetError, DevnetOptions, KeyProgress, churn, clock::unix_ms, ports::Ports};

/// Seconds between the last key and slot 0: four nodes start in less than one, on a busy machine in three.
const LEAD_S: u64 = 5;

/// Slots that the keys sign beyond a run's last one: the nodes go on while its end is judged.
const SPARE_SLOTS: u64 = 64;

/// Slots that keys sign, whatever the first run asked for, so that the next one can go on with them.
const KEY_SLOTS: u64 = 4096;

/// Leaves of all keys together that are made for such later runs: where validators are many their keys sign fewer slots.
/// They take 73 s of one core.
const KEY_LEAVES: u64 = 1 << 17;

/// What a network was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) nodes: u64,
    pub(super) validators: u64,
    pub(super) key_slots: u64,
}

/// A network that is ready to run, and ours alone until this is dropped.
pub(super) struct Folder {
    pub(super) record: Record,
    /// Milliseconds of a slot, as `config.yaml` has it.
    pub(super) slot_ms: u64,
    pub(super) clock: SlotClock,
    pub(super) ports: Ports,
    /// Whether it was here already.
    pub(super) resumed: bool,
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the network asked for, or finds it.
    pub(super) fn prepare(
        options: &DevnetOptions,
        progress: &KeyProgress,
    ) -> Result<Self, DevnetError> {
        let dir = &options.dir;
        // Before the lock too: a folder that is refused is left as it is.
        find(options)?;
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let lock = lock(dir)?;
        let paths = NetworkDir::new(dir);
        let found = find(options)?;
        let (record, ports) = match found {
            Some(record) => {
                let config = ValidatorConfig::load(&paths.validator_config)?;
                (record, Ports::listed(&paths, &config)?)
            }
            None => make(options, progress)?,
        };
        let config = GenesisConfig::load(&paths.config)?;
        let slot_ms = slot_ms(&config, options)?;
        let clock = SlotClock::new(config.genesis_time, slot_ms);
        let resumed = found.is_some();
        let folder = Self { record, slot_ms, clock, ports, resumed, dir: dir.clone(), _lock: lock };
        folder.check_keys(folder.now().saturating_add(options.slots.unwrap_or(1)))?;
        Ok(folder)
    }

    pub(super) fn data_dir(&self, node_id: &str) -> PathBuf {
        self.dir.join("data").join(node_id)
    }

    pub(super) fn log(&self, node_id: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{node_id}.log"))
    }

    /// The network's files.
    pub(super) fn paths(&self) -> NetworkDir {
        NetworkDir::new(&self.dir)
    }

    /// Slot of the wall clock.
    pub(super) fn now(&self) -> Slot {
        self.clock.current_slot(unix_ms())
    }

    /// Whether the keys sign up to this slot and the wall clock's.
    pub(super) fn check_keys(&self, end: Slot) -> Result<(), DevnetError> {
        let (now, last, folder) = (self.now(), self.record.last_signable_slot(), self.dir.clone());
        if now > last {
            return Err(DevnetError::KeysUsedUp { folder, last, now });
        }
        if end > last {
            return Err(DevnetError::KeysTooFew { folder, last, end });
        }
        Ok(())
    }
}

impl Record {
    const NAME: &str = "devnet.json";

    fn of(options: &DevnetOptions) -> Self {
        let validators = options.validators.unwrap_or(DevnetOptions::VALIDATORS);
        let needed = options.slots.unwrap_or(0).saturating_add(SPARE_SLOTS);
        let later = (KEY_LEAVES / validators.saturating_mul(2).max(1)).min(KEY_SLOTS);
        Self {
            nodes: options.nodes.unwrap_or(DevnetOptions::NODES),
            validators,
            key_slots: options.key_slots.unwrap_or(later.max(needed)),
        }
    }

    /// How it is made, but for the ports.
    fn genesis(&self, options: &DevnetOptions) -> GenesisOptions {
        GenesisOptions {
            nodes: self.nodes,
            validators: self.validators,
            out: options.dir.clone(),
            genesis_time: None,
            lead_s: LEAD_S,
            ports: None,
            key_slots: self.key_slots,
            slot_ms: options.slot_ms.unwrap_or(SLOT_MS),
        }
    }

    pub(super) fn last_signable_slot(&self) -> Slot {
        self.key_slots.saturating_sub(1)
    }

    fn write(&self, dir: &Path) -> Result<(), DevnetError> {
        let path = dir.join(Self::NAME);
        let text = format!("{:#}\n", serde_json::json!(self));
        let mut file = File::create(&path).map_err(failed(&path))?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(failed(&path))
    }

    fn read(dir: &Path) -> Result<Self, DevnetError> {
        let path = dir.join(Self::NAME);
        if !path.exists() {
            return Err(DevnetError::NotOurs { folder: dir.into() });
        }
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        serde_json::from_str(&text).map_err(|error| DevnetError::Record {
            path,
            reason: error.to_string(),
            folder: dir.into(),
        })
    }

    /// Whether what is asked for is this network; what is not asked for is as it is.
    fn fits(&self, options: &DevnetOptions) -> Result<(), DevnetError> {
        let fields = [
            ("--nodes", options.nodes, self.nodes),
            ("--validators", options.validators, self.validators),
        ];
        for (flag, asked, found) in fields {
            if let Some(asked) = asked.filter(|asked| *asked != found) {
                let folder = options.dir.clone();
                return Err(DevnetError::Mismatch { folder, flag, asked, found });
            }
        }
        Ok(())
    }
}

/// The slot length is the network's. Files that do not say it leave it to what is asked for.
fn slot_ms(config: &GenesisConfig, options: &DevnetOptions) -> Result<u64, DevnetError> {
    config.slot_ms(options.slot_ms).map_err(|found| DevnetError::Mismatch {
        folder: options.dir.clone(),
        flag: "--slot-ms",
        asked: options.slot_ms.unwrap_or(found),
        found,
    })
}

/// The network in the folder, if it is the one asked for; `None` if it is to be made, and can be.
fn find(options: &DevnetOptions) -> Result<Option<Record>, DevnetError> {
    let is_there = NetworkDir::new(&options.dir).config.exists();
    let record = if is_there { Record::read(&options.dir)? } else { Record::of(options) };
    if is_there {
        record.fits(options)?;
        slot_ms(&GenesisConfig::load(&NetworkDir::new(&options.dir).config)?, options)?;
    } else {
        record.genesis(options).check()?;
    }
    if options.has_churn && record.nodes < churn::NODES_MIN {
        return Err(DevnetError::TooFewToGo { nodes: record.nodes });
    }
    Ok(is_there.then_some(record))
}

fn make(options: &DevnetOptions, progress: &KeyProgress) -> Result<(Record, Ports), DevnetError> {
    let record = Record::of(options);
    let mut genesis = record.genesis(options);
    let ports = Ports::free(record.nodes)?;
    genesis.ports = Some(ports.numbers());
    record.write(&options.dir)?;
    genesis::create(&genesis, &|leaves| progress(&genesis, leaves))?;
    Ok((record, ports))
}

fn lock(dir: &Path) -> Result<File, DevnetError> {
    let path = dir.join("devnet.lock");
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DevnetError::Busy { folder: dir.into() }),
        Err(TryLockError::Error(source)) => Err(failed(&path)(source)),
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> DevnetError + '_ {
    move |source| DevnetError::File { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_short_run_are_enough_to_go_on_unless_validators_are_many() {
        let sign = |validators, slots, key_slots| {
            let options = DevnetOptions {
                nodes: None,
                validators,
                slot_ms: None,
                slots,
                key_slots,
                dir: PathBuf::new(),
                signature_window: None,
                archive: None,
                is_hostile: false,
                has_churn: false,
                seed: 0,
                program: PathBuf::new(),
            };
            Record::of(&options).key_slots
        };
        assert_eq!([sign(None, None, None), sign(Some(16), Some(30), None)], [KEY_SLOTS; 2]);
        assert_eq!(sign(None, Some(KEY_SLOTS), None), KEY_SLOTS + SPARE_SLOTS);
        assert_eq!(sign(None, Some(30), Some(40)), 40);
        assert_eq!([sign(Some(64), Some(30), None), sign(Some(200), Some(120), None)], [1024, 327]);
        assert_eq!(sign(Some(200), Some(300), None), 300 + SPARE_SLOTS);
        assert_eq!(sign(Some(u64::MAX), None, None), SPARE_SLOTS);
    }
}
