//! Starting the nodes, watching them, stopping them.

use std::{
    net::Ipv4Addr,
    panic::resume_unwind,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use lamella_hostile::{Attack, Plan};
use lamella_interrupt::Interrupt;
use lamella_types::{Decode, Slot, State, limits::INTERVALS_PER_SLOT};

use super::{
    Check, DevnetError, DevnetOptions, Show, Verdict,
    checks::{self, Asked},
    churn::Churn,
    client::Client,
    clock::unix_ms,
    folder::{Folder, Record},
    health::{NodePicture, Picture, catch_up_slots},
    process::{NodeCommand, NodeProcess, Stopped},
    trial::{self, Duties, memory_bytes},
};

/// Time for a started node to answer: it opens its database and reads its keys.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Time between two looks at nodes that are starting.
const START_LOOK: Duration = Duration::from_millis(50);

/// Shortest time between two pictures: a person sees no more, and a node has other things to do.
const PICTURE_INTERVAL: Duration = Duration::from_millis(200);

/// Slots from the start after which finality is expected to be close: it may have paused for fewer than [`catch_up_slots`]
/// allows time for.
const SETTLED_SLOTS: u64 = 16;

/// Slots after the last one in which the nodes may come to agree: a block may just be on its way.
const SETTLE_SLOTS: u64 = 4;

/// Last lines of the log of a node that failed, for people.
const LAST_LINES: usize = 15;

struct Watched {
    process: NodeProcess,
    client: Client,
    /// Whether it was told to go, and is to come again.
    is_away: bool,
    /// Most bytes of memory that it had at a look.
    memory_peak: u64,
}

/// A running network.
pub(super) struct Watch<'a> {
    folder: Folder,
    nodes: Vec<Watched>,
    stop: &'a Interrupt,
    show: &'a mut dyn Show,
    /// Last slot of the run, `u64::MAX` without one.
    end: Slot,
    /// The slots up to this one were shown.
    shown: Slot,
    /// Up to this slot finality may be far from the head; 0 without a pause.
    catch_up_until: Slot,
    /// Slots between head and finalized block at the end of each slot in which finality had nothing to catch up with.
    distances: Vec<u64>,
    /// First slot of which that is noted.
    noted_from: Slot,
    /// When the last picture was taken.
    looked: Instant,
    /// Who comes and goes.
    churn: Option<Churn>,
    /// The peer that keeps no rule, while it is there.
    attack: Option<Attack>,
    /// What is signed by who never goes, if that is counted.
    duties: Duties,
}

impl<'a> Watch<'a> {
    /// Starts every node and waits until all of them answer.
    pub(super) fn start(
        options: &DevnetOptions,
        mut folder: Folder,
        stop: &'a Interrupt,
        show: &'a mut dyn Show,
    ) -> Result<Self, DevnetError> {
        let mut nodes = Vec::new();
        let pages = folder.ports.page_flags();
        let mut places = std::mem::take(&mut folder.ports.0);
        for place in &mut places {
            let node_id = place.node_id.clone();
            let window = options.signature_window.map(|slots| slots.to_string());
            let window = window.map(|slots| ["--signature-window".to_owned(), slots]);
            let archive = options.archive.clone().map(|url| ["--archive".to_owned(), url]);
            let further = window.into_iter().chain(archive).flatten();
            let flags = pages.iter().cloned().chain(further);
            let command = NodeCommand {
                program: options.program.clone(),
                network_dir: options.dir.clone(),
                data_dir: folder.data_dir(&node_id),
                log: folder.log(&node_id),
                node_id: node_id.clone(),
                slot_ms: folder.slot_ms,
                ports: place.ports,
                environment: Vec::new(),
                flags: flags.collect(),
            };
            place.release();
            let process = NodeProcess::start(command)
                .map_err(|source| DevnetError::Process { node_id, source })?;
            let client = Client::new(place.ports.api);
            nodes.push(Watched { process, client, is_away: false, memory_peak: 0 });
        }
        let shown = folder.now();
        let end = options.slots.map_or(u64::MAX, |slots| shown.saturating_add(slots));
        let churn = options.has_churn.then(|| Churn::new(nodes.len(), shown, end));
        let mut watch = Self {
            folder,
            churn,
            attack: None,
            duties: Duties::default(),
            nodes,
            stop,
            show,
            end,
            shown,
            catch_up_until: 0,
            distances: Vec::new(),
            noted_from: shown.saturating_add(SETTLED_SLOTS),
            looked: Instant::now(),
        };
        let picture = watch.wait_for_answers()?;
        match catch_up_slots(picture.slot.saturating_sub(picture.health().finalized_slot)) {
            0 => {}
            slots => watch.catch_up_until = picture.slot + slots,
        }
        if options.is_hostile {
            watch.attack = Some(watch.begin_attack()?);
        }
        Ok(watch)
    }

    /// Watches until the slots asked for are over, or the keys are used up.
    pub(super) fn run(&mut self) -> Result<(), DevnetError> {
        loop {
            self.wait_for_interval()?;
            self.check_alive()?;
            self.weigh();
            let complete = self.complete_slot();
            if complete > self.shown {
                self.shown = complete;
                self.looked = Instant::now();
                let picture = Picture { slot: complete, ..self.look()? };
                self.note(&picture)?;
                self.show.slot(&picture)?;
                self.come_and_go(complete + 1)?;
            } else if self.show.is_live() && self.looked.elapsed() >= PICTURE_INTERVAL {
                self.looked = Instant::now();
                let picture = self.look()?;
                self.show.picture(&picture)?;
            }
            if complete >= self.end {
                return Ok(());
            }
            self.folder.check_keys(0)?;
        }
    }

    /// Notes how far finality is, and from when on duties are counted.
    fn note(&mut self, picture: &Picture) -> Result<(), DevnetError> {
        let staying = self.staying(picture);
        let health = staying.health();
        if picture.slot < self.noted_from || health.answered < health.nodes {
            return Ok(());
        }
        if health.catch_up_slots == 0 {
            self.distances.push(health.finality_distance());
        }
        if self.attack.is_some() && self.duties.is_empty() {
            self.duties = self.count_duties(picture.slot)?;
        }
        Ok(())
    }

    /// The picture of the nodes that never go.
    fn staying(&self, picture: &Picture) -> Picture {
        let stays = |node: &&NodePicture| {
            let position = self.nodes.iter().position(|n| n.place().0 == node.node_id);
            position.is_some_and(|position| self.stays(position))
        };
        let nodes = picture.nodes.iter().filter(stays).cloned().collect();
        Picture { nodes, ..*picture }
    }

    fn stays(&self, position: usize) -> bool {
        self.churn.is_none_or(|churn| churn.stays(position))
    }

    /// Begins to count what is signed by who never goes, the robbed node aside.
    fn count_duties(&self, slot: Slot) -> Result<Duties, DevnetError> {
        let honest = self.nodes.len() - 1;
        let counted = (0..honest).filter(|position| self.stays(*position));
        let counted: Vec<_> = counted
            .map(|at| (at as u64, self.nodes[at].place().0, self.nodes[at].client.clone()))
            .collect();
        let Record { nodes, validators, .. } = self.folder.record;
        let begin = move || Duties::begin(counted.into_iter(), slot, nodes, validators);
        // One that does not answer is asked again at the end of the next slot.
        Ok(self.or_abandon(begin)?.unwrap_or_default())
    }

    /// Attacks every node, with keys of the last one.
    fn begin_attack(&self) -> Result<Attack, DevnetError> {
        let Some(robbed) = self.nodes.last() else { return Err(DevnetError::Stopped) };
        let client = self.nodes[0].client.clone();
        let head = move || {
            let (_, ssz) = client.state("head").ok()??;
            State::from_ssz(&ssz).ok()
        };
        let (paths, slot_ms) = (self.folder.paths(), self.folder.slot_ms);
        let api = |node: &Watched| (Ipv4Addr::LOCALHOST, node.process.command().ports.api).into();
        let apis = self.nodes.iter().map(api).collect();
        let plan = Plan { paths, slot_ms, apis, robbed: robbed.place().0, head: Box::new(head) };
        Ok(Attack::start(plan)?)
    }

    /// Looks how much memory each node has.
    fn weigh(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_away) {
            let bytes = memory_bytes(node.process.id()).unwrap_or(0);
            node.memory_peak = node.memory_peak.max(bytes);
        }
    }

    /// Sends nodes away and calls them back, as is due before this slot.
    fn come_and_go(&mut self, slot: Slot) -> Result<(), DevnetError> {
        let Some(churn) = self.churn else { return Ok(()) };
        let is_away = churn.is_away(slot);
        let goers = self.nodes.iter_mut().enumerate().filter(|(at, _)| !churn.stays(*at));
        for (_, node) in goers.filter(|(_, node)| node.is_away != is_away) {
            node.is_away = is_away;
            let changed = match (is_away, churn.is_killed(slot)) {
                (true, true) => node.process.kill(),
                (true, false) => node.process.stop().map(drop),
                (false, _) => node.process.start_again(),
            };
            let node_id = node.place().0;
            changed.map_err(|source| DevnetError::Process { node_id, source })?;
        }
        Ok(())
    }

    /// Makes every check: of the running nodes, then, when they have stopped, of what they left on disk. Shows them.
    pub(super) fn judge(&mut self, seed: u64) -> Result<Verdict, DevnetError> {
        let mut checks = self.settle()?;
        let distances = std::mem::take(&mut self.distances);
        checks.push(checks::distance(distances, self.churn.is_some()));
        let slot = self.folder.now();
        let (finalized, asked) = (self.look()?.health().finalized_slot, self.asked());
        checks.push(self.or_abandon(move || checks::states(&asked, finalized, seed))?);
        checks.extend(self.end_attack()?);
        checks.push(self.stop_nodes()?);
        let dirs: Vec<_> = self.nodes.iter().map(Watched::place).collect();
        let on_disk = move || [checks::databases(&dirs), checks::checksums(&dirs, finalized)];
        checks.extend(self.or_abandon(on_disk)?);
        let passed = checks.iter().all(|check| check.passed);
        let verdict = Verdict { passed, slot, checks };
        self.show.verdict(&verdict)?;
        Ok(verdict)
    }

    /// Agreement and finality, as soon as both hold, or as they are at the end of the time for that.
    fn settle(&mut self) -> Result<Vec<Check>, DevnetError> {
        let last = self.folder.now() + SETTLE_SLOTS;
        loop {
            let (picture, asked) = (self.look()?, self.asked());
            let (duties, shown) = (self.attack.as_ref().map(|_| self.duties.clone()), self.shown);
            let checks = self.or_abandon(move || {
                let mut checks =
                    vec![checks::agreement(&picture, &asked), checks::finality(&picture)];
                checks.extend(duties.map(|duties| duties.check(shown)));
                checks
            })?;
            if checks.iter().all(|check| check.passed) || self.folder.now() > last {
                return Ok(checks);
            }
            self.wait_for_interval()?;
            self.check_alive()?;
        }
    }

    /// Ends the attack, if there is one; what it cost the nodes.
    fn end_attack(&mut self) -> Result<Vec<Check>, DevnetError> {
        let Some(attack) = self.attack.take() else { return Ok(Vec::new()) };
        let done = self.or_abandon(move || attack.stop())?;
        let honest = lamella_hostile::names(&self.folder.paths())?;
        let mut logs = Vec::new();
        for node in &self.nodes {
            let node_id = node.place().0;
            let logged = node.process.logged();
            let log = logged
                .map_err(|source| DevnetError::Process { node_id: node_id.clone(), source })?;
            logs.push((node_id, log));
        }
        let peaks = self.nodes.iter().map(|node| (node.place().0, node.memory_peak));
        let peaks: Vec<_> = peaks.collect();
        Ok(vec![trial::attack(&done), trial::memory(&peaks), trial::bans(&honest, &logs)])
    }

    /// Stops every node, all at once.
    fn stop_nodes(&mut self) -> Result<Check, DevnetError> {
        self.nodes.iter_mut().for_each(|node| node.process.begin_stop());
        let mut wrong = Vec::new();
        for node in &mut self.nodes {
            let node_id = node.process.command().node_id.clone();
            match node.process.stop() {
                Ok(Stopped::Exited(status)) if status.success() => {}
                Ok(Stopped::Exited(status)) => wrong.push(format!("{node_id}: {status}")),
                Ok(Stopped::Killed) => wrong.push(format!("{node_id} had to be killed")),
                Err(source) => return Err(DevnetError::Process { node_id, source }),
            }
        }
        let passed = wrong.is_empty();
        let what = if passed {
            format!("{} nodes ended in order", self.nodes.len())
        } else {
            wrong.join(", ")
        };
        Ok(Check { name: "stop", passed, what })
    }

    fn asked(&self) -> Vec<Asked> {
        self.nodes.iter().map(|node| (node.place().0, node.client.clone())).collect()
    }

    /// Waits for the next interval of the slot clock.
    fn wait_for_interval(&self) -> Result<(), DevnetError> {
        let (clock, now_ms) = (&self.folder.clock, unix_ms());
        let wait = match clock.genesis_ms.checked_sub(now_ms) {
            None | Some(0) => {
                let next_ms = clock.interval_start_ms(clock.total_intervals(now_ms) + 1);
                Duration::from_millis(next_ms.saturating_sub(now_ms))
            }
            Some(left_ms) => PICTURE_INTERVAL.min(Duration::from_millis(left_ms)),
        };
        self.wait(wait)
    }

    /// Lets the time pass, unless told to stop.
    fn wait(&self, time: Duration) -> Result<(), DevnetError> {
        if self.stop.pause(time) { Err(DevnetError::Stopped) } else { Ok(()) }
    }

    /// Does work that may be abandoned at any point, unless told to stop.
    fn or_abandon<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DevnetError> {
        self.stop.race(work).ok_or(DevnetError::Stopped)
    }

    /// The last slot that is in its last interval, or over: everything due in it has been done.
    fn complete_slot(&self) -> Slot {
        let intervals = self.folder.clock.total_intervals(unix_ms()) + 1;
        (intervals / INTERVALS_PER_SLOT).saturating_sub(1)
    }

    /// Asks all nodes at once.
    fn look(&self) -> Result<Picture, DevnetError> {
        let here = self.nodes.iter().filter(|node| !node.is_away);
        let asked = here.map(|node| (node.process.id(), node.place().0, node.client.clone()));
        let asked: Vec<_> = asked.collect();
        let nodes = self.or_abandon(|| ask_all(asked))?;
        let left_ms = self.folder.clock.genesis_ms.saturating_sub(unix_ms());
        Ok(Picture {
            slot: self.folder.now(),
            until_genesis_s: left_ms.div_ceil(1000),
            catch_up_until: self.catch_up_until,
            nodes,
        })
    }

    fn wait_for_answers(&mut self) -> Result<Picture, DevnetError> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            self.check_alive()?;
            let picture = self.look()?;
            let Some(silent) = picture.nodes.iter().find(|node| node.view.is_err()) else {
                return Ok(picture);
            };
            if Instant::now() > deadline {
                let what = format!("did not answer within {} s", START_DEADLINE.as_secs());
                return Err(self.failure(&silent.node_id, what)?);
            }
            self.wait(START_LOOK)?;
        }
    }

    /// A node that has ended is a failure of the run.
    fn check_alive(&mut self) -> Result<(), DevnetError> {
        for node in self.nodes.iter_mut().filter(|node| !node.is_away) {
            let node_id = node.process.command().node_id.clone();
            let ended = node.process.ended();
            match ended {
                Ok(None) => {}
                Ok(Some(status)) => {
                    let what = format!("ended by itself ({status})");
                    return Err(self.failure(&node_id, what)?);
                }
                Err(source) => return Err(DevnetError::Process { node_id, source }),
            }
        }
        Ok(())
    }

    /// Shows the end of the node's log.
    fn failure(&mut self, node_id: &str, what: String) -> Result<DevnetError, DevnetError> {
        let log = self.folder.log(node_id);
        let is_it = |node: &&Watched| node.process.command().node_id == node_id;
        let lines = self.nodes.iter().find(is_it);
        let lines = lines.map(|node| node.process.last_lines(LAST_LINES)).unwrap_or_default();
        self.show.last_lines(node_id, &lines)?;
        Ok(DevnetError::NodeFailed { node_id: node_id.to_owned(), what, log })
    }
}

fn ask_all(nodes: Vec<(u32, String, Client)>) -> Vec<NodePicture> {
    let ask = |(pid, node_id, client): (u32, String, Client)| NodePicture {
        node_id,
        pid,
        url: client.url(),
        view: client.view().map_err(|error| error.to_string()),
    };
    thread::scope(|scope| {
        let asked: Vec<_> = nodes.into_iter().map(|node| scope.spawn(move || ask(node))).collect();
        let answered = asked.into_iter().map(|answer| answer.join());
        answered.map(|answer| answer.unwrap_or_else(|panicked| resume_unwind(panicked))).collect()
    })
}

impl Watched {
    fn place(&self) -> (String, PathBuf) {
        let command = self.process.command();
        (command.node_id.clone(), command.data_dir.clone())
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // All at once, not one after the other.
        self.nodes.iter_mut().for_each(|node| node.process.begin_stop());
    }
}
