//! What a seed plans: a network, its weather, and what befalls it when.

use std::fmt;

use crate::dice::Dice;

/// Milliseconds of a slot: the lean network's.
pub const SLOT_MS: u64 = 4_000;

/// Slots in which faults begin, after a few without.
const FAULT_SLOTS: (u64, u64) = (3, 24);

/// Milliseconds that a fault lasts.
const FAULT_MS: (u64, u64) = (500, 40_000);

/// Faults of a plan at most.
const FAULTS_MAX: u64 = 6;

/// Slots by which a clock is set wrong at most: less than what makes a message one of the far future.
const LEAP_SLOTS_MAX: u64 = 24;

/// What befalls a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing passes between these nodes, as bits, and the others.
    Partition(u64),
    /// A node does nothing, and then goes on.
    Pause(usize),
    /// A node is killed, and started again from what was on its disk.
    Kill(usize),
    /// As `Kill`; of lazy commits those are lost too that came after the beginning of the last interval.
    PowerCut(usize),
    /// A node's clock is wrong by so many milliseconds, and then right again.
    Skew(usize, i64),
    /// A node's workers take a hundred times as long.
    Slow(usize),
    /// Of a thousand messages so many more are lost.
    Loss(u64),
    /// Of a thousand messages so many more come twice.
    Twice(u64),
    /// Only if planted: a node is killed, and started again from what was on its disk three slots before.
    OldCopy(usize),
}

/// A fault: from when, how long, what. In milliseconds since genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
    /// What it is.
    pub kind: Kind,
}

impl Fault {
    /// When what it did is over: keys that signed by a clock that was ahead are silent until the others' are there.
    fn over_ms(&self) -> u64 {
        let ahead_ms = match self.kind {
            Kind::Skew(_, ms) => u64::try_from(ms).unwrap_or(0),
            _ => 0,
        };
        self.at_ms + self.for_ms + ahead_ms
    }
}

/// A run to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What every throw of the dice depends on.
    pub seed: u64,
    /// Nodes, all connected.
    pub nodes: usize,
    /// Validators, dealt to the nodes in turn.
    pub validators: u64,
    /// Whether the nodes commit lazily.
    pub is_lazy: bool,
    /// Of a thousand messages so many are lost.
    pub lost_per_mille: u64,
    /// What befalls it.
    pub faults: Vec<Fault>,
    /// Only if planted: every node has the keys of all validators.
    pub has_twins: bool,
}

impl Plan {
    /// What a seed plans.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let dice = Dice(seed);
        let nodes = dice.between("nodes", &[], 3, 5);
        let faults = dice.between("faults", &[], 1, FAULTS_MAX);
        Self {
            seed,
            nodes: nodes as usize,
            validators: nodes + dice.between("validators", &[], 0, 8 - nodes),
            is_lazy: dice.happens("lazy", &[], 250),
            lost_per_mille: dice.between("weather", &[], 0, 20),
            faults: (0..faults).map(|index| fault(dice, index, nodes)).collect(),
            has_twins: false,
        }
    }

    /// When the last fault is over.
    #[must_use]
    pub fn calm_ms(&self) -> u64 {
        self.faults.iter().map(Fault::over_ms).max().unwrap_or(0)
    }
}

fn fault(dice: Dice, index: u64, nodes: u64) -> Fault {
    let (first, last) = FAULT_SLOTS;
    let (least, most) = FAULT_MS;
    let node = dice.between("whom", &[index], 0, nodes - 1) as usize;
    let kind = match dice.roll("what", &[index]) % 10 {
        0 | 1 => Kind::Partition(dice.between("side", &[index], 1, (1 << nodes) - 2)),
        2 => Kind::Pause(node),
        3 | 4 => Kind::Kill(node),
        5 => Kind::PowerCut(node),
        6 => {
            let slots = dice.between("leap", &[index], 0, 2 * LEAP_SLOTS_MAX) as i64;
            let odd = dice.between("odd", &[index], 0, 2_000) as i64 - 1_000;
            Kind::Skew(node, (slots - LEAP_SLOTS_MAX as i64) * SLOT_MS as i64 + odd)
        }
        7 => Kind::Slow(node),
        8 => Kind::Loss(dice.between("loss", &[index], 50, 600)),
        _ => Kind::Twice(dice.between("twice", &[index], 50, 500)),
    };
    Fault {
        at_ms: dice.between("when", &[index], first * SLOT_MS, last * SLOT_MS),
        for_ms: dice.between("how long", &[index], least, most),
        kind,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, nodes, validators, is_lazy, lost_per_mille, faults, .. } = self;
        writeln!(
            formatter,
            "seed {seed}: {nodes} nodes, {validators} validators, {lost_per_mille} of 1000 messages lost, lazy: {is_lazy}"
        )?;
        for Fault { at_ms, for_ms, kind } in faults {
            writeln!(formatter, "  from {at_ms} ms for {for_ms} ms: {kind:?}")?;
        }
        Ok(())
    }
}
