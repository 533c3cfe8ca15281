//! Time, and what happens in it: one event after the other, each at a node, which then takes its turns.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use lamella_network::{
    PeerId,
    peers::{Offence, Weight},
    requests::{BlocksRequest, RequestFailure, RequestId},
    service::{Command, GossipId, GossipMessage, NetworkEvent, Verdict, Worth},
};
use lamella_types::{SignedBlock, Status};
use tempfile::TempDir;

use crate::{
    dice::Dice,
    folder,
    gossip::{Message, serve},
    laws::{self, Broken, Had, Laws, Standing, Violation},
    member::{Image, LEAD_MS, Member, Running, SCHEME},
    plan::{Fault, Kind, Plan, SLOT_MS},
    wires::{Change, Wires},
};

/// Slots in which finality is back once the faults are over: what testing/model found for the rules alone.
const BACK_SLOTS_MAX: u64 = 40;

/// Milliseconds between two looks at the connections.
const HOUSEKEEPING_MS: u64 = 500;

/// Milliseconds after which an answer does not come any more.
const ANSWER_MS: u64 = 10_000;

/// Turns at one instant. More would be a node that never comes to rest.
const TURNS_MAX: usize = 1_000;

/// Slots between a copy and the death after which a planted fault restores it.
const OLD_SLOTS: u64 = 3;

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The law that was broken.
    pub violation: Option<Violation>,
    /// All that happened, a line each.
    pub trace: Vec<String>,
    /// Milliseconds that the nodes lived, together.
    pub node_ms: u64,
    /// Nodes that were killed and started again.
    pub restarts: u64,
    /// Slots until finality was back.
    pub back_slots: u64,
    /// The highest finalized slot.
    pub finalized_slot: u64,
}

enum Event {
    Housekeep,
    Slot,
    Begin(usize),
    End(usize),
    Keep(usize),
    Wake { node: usize, life: u64 },
    Work { node: usize, life: u64 },
    Timeout { node: usize, life: u64, request: RequestId },
    Arrive { from: usize, to: usize, link: u64, what: Arrival },
}

#[derive(Clone)]
enum Arrival {
    Gossip { message: Rc<Message>, is_again: bool },
    AskStatus(Status),
    Status(Status),
    Ask { request: RequestId, blocks: BlocksRequest },
    Answer { request: RequestId, outcome: Result<Vec<SignedBlock>, RequestFailure> },
}

struct World {
    plan: Plan,
    dice: Dice,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    members: Vec<Member>,
    standings: Vec<Option<Standing>>,
    had: Vec<Option<Had>>,
    wires: Wires,
    laws: Laws,
    ended: Ended,
    _root: TempDir,
}

/// Lives through a plan.
#[must_use]
pub fn run(plan: &Plan) -> Ended {
    let mut world = World::new(plan);
    let violation = world.live().err();
    if let Some(violation) = &violation {
        world.trace(violation.node, &violation.to_string());
    }
    Ended { violation, ..world.ended }
}

impl World {
    fn new(plan: &Plan) -> Self {
        let root = folder::new();
        let (dice, nodes) = (Dice(plan.seed), plan.nodes);
        // One for all nodes, so that each signature is verified once.
        let scheme = SCHEME.scheme();
        let member = |index| Member::new(plan, index, root.path(), Arc::clone(&scheme));
        Self {
            dice,
            now_ms: 0,
            queue: BTreeMap::new(),
            queued: 0,
            members: (0..nodes).map(member).collect(),
            standings: vec![None; nodes],
            had: (0..nodes).map(|_| None).collect(),
            wires: Wires::new(dice, nodes, plan.lost_per_mille),
            laws: Laws::default(),
            ended: Ended {
                violation: None,
                trace: Vec::new(),
                node_ms: 0,
                restarts: 0,
                back_slots: 0,
                finalized_slot: 0,
            },
            plan: plan.clone(),
            _root: root,
        }
    }

    fn trace(&mut self, node: usize, said: &str) {
        self.ended.trace.push(format!("{} {node} {said}", self.now_ms));
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at_ms, self.queued), event);
    }

    fn broken(&self, node: usize, (law, said): Broken) -> Violation {
        Violation { at_ms: self.now_ms, node, law, said }
    }

    fn live(&mut self) -> Result<(), Violation> {
        for (index, fault) in self.plan.faults.clone().into_iter().enumerate() {
            let at_ms = LEAD_MS + fault.at_ms;
            self.at(at_ms, Event::Begin(index));
            self.at(at_ms + fault.for_ms, Event::End(index));
            if matches!(fault.kind, Kind::OldCopy(_)) {
                self.at(at_ms.saturating_sub(OLD_SLOTS * SLOT_MS), Event::Keep(index));
            }
        }
        (0..self.plan.nodes).try_for_each(|node| self.start(node))?;
        self.at(0, Event::Housekeep);
        self.at(LEAD_MS + SLOT_MS - 1, Event::Slot);
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            if matches!(event, Event::Slot) {
                if self.is_over()? {
                    return self.finish();
                }
                self.at(at_ms + SLOT_MS, Event::Slot);
            } else {
                self.happens(event)?;
            }
        }
        Ok(())
    }

    /// Whether all is well again, a slot being over.
    fn is_over(&mut self) -> Result<bool, Violation> {
        self.ended.node_ms +=
            SLOT_MS * self.members.iter().filter(|member| member.running.is_some()).count() as u64;
        let calm_ms = LEAD_MS + self.plan.calm_ms();
        if self.now_ms <= calm_ms {
            return Ok(false);
        }
        let calm_slot = calm_ms / SLOT_MS;
        let standings: Vec<Standing> = self.standings.iter().copied().flatten().collect();
        let is_well = |standing: &Standing| {
            standing.finalized.slot > calm_slot && standing.head == standings[0].head
        };
        self.ended.back_slots = (self.now_ms - calm_ms) / SLOT_MS;
        if standings.len() == self.plan.nodes && standings.iter().all(is_well) {
            return Ok(true);
        }
        if self.ended.back_slots < BACK_SLOTS_MAX {
            return Ok(false);
        }
        let broken =
            ("back", format!("{BACK_SLOTS_MAX} slots after the last fault: {standings:?}"));
        Err(self.broken(0, broken))
    }

    fn finish(&mut self) -> Result<(), Violation> {
        for node in 0..self.plan.nodes {
            let Some(running) = &self.members[node].running else { continue };
            laws::invariants(running.node.chain()).map_err(|broken| self.broken(node, broken))?;
        }
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        for (a, b) in self.wires.begins_again(node) {
            self.gone(if a == node { b } else { a }, node)?;
        }
        let started = self.members[node].start(now_ms);
        started.map_err(|error| self.broken(node, ("going on", error.to_string())))?;
        self.standings[node] = None;
        self.trace(node, "starts");
        if self.members[node].life > 1 {
            self.ended.restarts += 1;
            let chain = self.members[node].running.as_ref().map(|it| it.node.chain().clone());
            let Some(chain) = chain else { return Ok(()) };
            if let Some(had) = self.had[node].take() {
                laws::is_back(&chain.fork_choice(), &had)
                    .map_err(|broken| self.broken(node, broken))?;
            }
            laws::invariants(&chain).map_err(|broken| self.broken(node, broken))?;
        }
        self.step(node)
    }

    fn happens(&mut self, event: Event) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        match event {
            Event::Slot => Ok(()),
            Event::Housekeep => {
                self.at(now_ms + HOUSEKEEPING_MS, Event::Housekeep);
                self.look_at_connections()
            }
            Event::Begin(index) => self.begin(index, self.plan.faults[index]),
            Event::End(index) => self.end(index, self.plan.faults[index]),
            Event::Keep(index) => {
                if let Kind::OldCopy(node) = self.plan.faults[index].kind {
                    self.members[node].keep_old();
                }
                Ok(())
            }
            Event::Wake { node, life }
            | Event::Work { node, life }
            | Event::Timeout { node, life, .. }
                if self.members[node].life != life || self.members[node].running.is_none() =>
            {
                Ok(())
            }
            Event::Wake { node, .. }
            | Event::Work { node, .. }
            | Event::Arrive { to: node, .. }
                if self.members[node].paused_until_ms > now_ms =>
            {
                let until_ms = self.members[node].paused_until_ms;
                if matches!(event, Event::Wake { .. }) {
                    self.members[node].wake_ms = until_ms;
                }
                self.at(until_ms, event);
                Ok(())
            }
            Event::Wake { node, .. } => {
                if self.members[node].wake_ms == now_ms {
                    self.step(node)
                } else {
                    Ok(())
                }
            }
            Event::Work { node, .. } => {
                let member = &mut self.members[node];
                member.set_clocks(now_ms);
                member.works_at_ms = None;
                if let Some(running) = &mut member.running {
                    running.node.work();
                }
                self.step(node)
            }
            Event::Timeout { node, request, .. } => {
                self.answered(node, request, Err(RequestFailure::Timeout))
            }
            Event::Arrive { from, to, link, what } => {
                let is_there = self.members[to].running.is_some()
                    && self.wires.is_up(from, to)
                    && self.wires.is_whole(from, to)
                    && self.wires.number(from, to) == link;
                if is_there { self.arrives(from, to, what) } else { Ok(()) }
            }
        }
    }

    fn begin(&mut self, index: usize, fault: Fault) -> Result<(), Violation> {
        self.trace(self.plan.nodes, &format!("begins: {:?}", fault.kind));
        match fault.kind {
            Kind::Partition(side) => {
                self.wires.partitions.insert(index, side);
            }
            Kind::Pause(node) => self.members[node].paused_until_ms = self.now_ms + fault.for_ms,
            Kind::Kill(node) | Kind::PowerCut(node) | Kind::OldCopy(node) => {
                let steps = self.dice.between("dies in", &[index as u64], 1, 40);
                self.members[node].dies_in = Some(steps);
            }
            Kind::Skew(node, ms) => {
                self.members[node].skew_ms = ms;
                self.step(node)?;
            }
            Kind::Slow(node) => self.members[node].is_slow = true,
            Kind::Loss(per_mille) => self.wires.lost_per_mille += per_mille,
            Kind::Twice(per_mille) => self.wires.twice_per_mille += per_mille,
        }
        Ok(())
    }

    fn end(&mut self, index: usize, fault: Fault) -> Result<(), Violation> {
        self.trace(self.plan.nodes, &format!("ends: {:?}", fault.kind));
        match fault.kind {
            Kind::Partition(_) => {
                self.wires.partitions.remove(&index);
            }
            Kind::Pause(_) => {}
            Kind::Kill(node) | Kind::PowerCut(node) | Kind::OldCopy(node) => {
                self.members[node].dies_in = None;
                if self.members[node].running.is_none() {
                    self.start(node)?;
                }
            }
            Kind::Skew(node, _) => {
                self.members[node].skew_ms = 0;
                self.step(node)?;
            }
            Kind::Slow(node) => self.members[node].is_slow = false,
            Kind::Loss(per_mille) => self.wires.lost_per_mille -= per_mille,
            Kind::Twice(per_mille) => self.wires.twice_per_mille -= per_mille,
        }
        Ok(())
    }

    /// A node takes its turns until it waits, and what it says goes out. Or it dies before all of that is out.
    fn step(&mut self, node: usize) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let member = &mut self.members[node];
        member.set_clocks(now_ms);
        let Some(running) = member.running.as_mut() else { return Ok(()) };
        if member.paused_until_ms > now_ms {
            let (wake_ms, life) = (member.paused_until_ms, member.life);
            member.wake_ms = wake_ms;
            self.at(wake_ms, Event::Wake { node, life });
            return Ok(());
        }
        let rested = rest(running);
        let mut commands: Vec<Command> = std::iter::from_fn(|| running.hand.take()).collect();
        let chain = Arc::clone(running.node.chain());
        let view = chain.fork_choice();
        let wait = rested.map_err(|broken| self.broken(node, broken))?;
        let dies = self.dies(node, commands.len());
        commands.truncate(dies.unwrap_or(commands.len()));
        self.laws.sees(&view);
        self.stands(node, Standing::of(&view))?;
        for command in commands {
            if let Command::Publish(message) = &command {
                self.laws.published(&chain, message).map_err(|broken| self.broken(node, broken))?;
            }
            self.command(node, command)?;
        }
        // Its folder is about to be taken away, or the next life to open it.
        drop(chain);
        if dies.is_some() {
            self.kill(node);
            return Ok(());
        }
        let is_slow = self.members[node].is_slow;
        let member = &mut self.members[node];
        member.keep_flushed();
        let life = member.life;
        member.wake_ms = now_ms + u64::try_from(wait.as_millis()).unwrap_or(1).max(1);
        let wake_ms = member.wake_ms;
        self.at(wake_ms, Event::Wake { node, life });
        let member = &mut self.members[node];
        let has_work = member.running.as_ref().is_some_and(|running| running.node.has_work());
        if has_work && member.works_at_ms.is_none() {
            let takes_ms = self.dice.between("work", &[node as u64, now_ms], 1, 12);
            let at_ms = now_ms + if is_slow { 100 * takes_ms } else { takes_ms };
            member.works_at_ms = Some(at_ms);
            self.at(at_ms, Event::Work { node, life });
        }
        Ok(())
    }

    /// Whether a node dies after this step, and how much of what it said gets out.
    fn dies(&mut self, node: usize, commands: usize) -> Option<usize> {
        let steps = self.members[node].dies_in.as_mut()?;
        *steps -= 1;
        if *steps > 0 {
            return None;
        }
        let throw = [node as u64, self.now_ms];
        Some(self.dice.between("gets out", &throw, 0, commands as u64) as usize)
    }

    fn kill(&mut self, node: usize) {
        let faults = self.plan.faults.iter().filter(|fault| {
            let at_ms = LEAD_MS + fault.at_ms;
            (at_ms..=at_ms + fault.for_ms).contains(&self.now_ms)
        });
        let kinds: Vec<Kind> = faults.map(|fault| fault.kind).collect();
        let member = &mut self.members[node];
        let image = if kinds.contains(&Kind::OldCopy(node)) {
            Image::Old
        } else if kinds.contains(&Kind::PowerCut(node)) {
            member.image_of_power_cut()
        } else {
            Image::Now
        };
        let view = member.running.as_ref().map(|running| running.node.chain().fork_choice());
        // Lazy commits may be lost since the last flush, and only they.
        let flushed = member.flushed.take().filter(|_| matches!(image, Image::Flushed));
        self.had[node] = flushed.or_else(|| view.as_deref().map(Had::of));
        member.kill(image);
        self.standings[node] = None;
        self.trace(node, &format!("is killed: {image:?}"));
    }

    /// Where a node's view is now.
    fn stands(&mut self, node: usize, standing: Standing) -> Result<(), Violation> {
        let before = self.standings[node].replace(standing);
        if before == Some(standing) {
            return Ok(());
        }
        self.trace(
            node,
            &format!(
                "head {} {} justified {} finalized {}",
                standing.head.slot,
                standing.head.root,
                standing.justified.slot,
                standing.finalized.slot
            ),
        );
        self.ended.finalized_slot = self.ended.finalized_slot.max(standing.finalized.slot);
        if before.is_none_or(|before| before.finalized != standing.finalized) {
            self.laws.finalizes(standing.finalized).map_err(|broken| self.broken(node, broken))?;
        }
        Ok(())
    }

    fn command(&mut self, node: usize, command: Command) -> Result<(), Violation> {
        match command {
            Command::Publish(message) => {
                self.trace(node, &said(&message));
                let message = Rc::new(Message::new(message));
                self.members[node].seen.insert(message.id);
                self.forward(node, None, &message);
                Ok(())
            }
            Command::Verdict(id, verdict) => self.verdict(node, &id, verdict),
            Command::Request { request, peer, blocks } => self.ask(node, request, peer, blocks),
            Command::AskStatus(peer) => {
                let Some(to) = self.member_of(peer) else { return Ok(()) };
                self.trace(node, &format!("asks {to} where it is"));
                let Some(running) = &self.members[node].running else { return Ok(()) };
                let status = running.hand.source.status();
                self.send(node, to, Arrival::AskStatus(status));
                Ok(())
            }
            Command::Penalise(peer, offence) => self.penalised(node, peer, offence),
        }
    }

    fn penalised(&mut self, node: usize, peer: PeerId, offence: Offence) -> Result<(), Violation> {
        let whom = self.member_of(peer);
        self.trace(node, &format!("holds {} against {whom:?}", offence.name()));
        match offence.weight() {
            Weight::Silent => Ok(()),
            Weight::Certain(_) | Weight::Relayed => {
                let said = format!("{} held against {whom:?}", offence.name());
                Err(self.broken(node, ("honest", said)))
            }
        }
    }

    fn verdict(&mut self, node: usize, id: &GossipId, verdict: Verdict) -> Result<(), Violation> {
        let key = (id.message_bytes().to_vec(), id.peer());
        let Some(message) = self.members[node].undecided.remove(&key) else { return Ok(()) };
        match verdict {
            Verdict::Accept => {
                let from = self.member_of(id.peer());
                self.forward(node, from, &message);
                Ok(())
            }
            Verdict::Ignore => Ok(()),
            Verdict::Reject => {
                Err(self.broken(node, ("honest", format!("refused: {}", said(&message.message)))))
            }
        }
    }

    fn member_of(&self, peer: PeerId) -> Option<usize> {
        self.members.iter().position(|member| member.peer_id == peer)
    }

    fn forward(&mut self, node: usize, from: Option<usize>, message: &Rc<Message>) {
        for to in (0..self.plan.nodes).filter(|to| *to != node && Some(*to) != from) {
            let arrivals = self.wires.arrivals(node, to, message.number(), self.now_ms);
            let link = self.wires.number(node, to);
            for (copy, at_ms) in arrivals.into_iter().enumerate() {
                let what = Arrival::Gossip { message: Rc::clone(message), is_again: copy > 0 };
                self.at(at_ms, Event::Arrive { from: node, to, link, what });
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, what: Arrival) {
        let number = self.wires.next();
        let link = self.wires.number(from, to);
        // What is asked and answered comes once or not at all.
        if let Some(at_ms) = self.wires.arrivals(from, to, number, self.now_ms).first() {
            self.at(*at_ms, Event::Arrive { from, to, link, what });
        }
    }

    fn ask(
        &mut self,
        node: usize,
        request: RequestId,
        peer: PeerId,
        blocks: BlocksRequest,
    ) -> Result<(), Violation> {
        let life = self.members[node].life;
        let to = self.member_of(peer).filter(|to| self.wires.is_up(node, *to));
        self.trace(node, &format!("asks {to:?}: {blocks:?}"));
        self.members[node].asked.insert(request, to.unwrap_or(node));
        let Some(to) = to else {
            // Told at its next turn, as the network's task would.
            self.at(self.now_ms + 1, Event::Timeout { node, life, request });
            return Ok(());
        };
        self.send(node, to, Arrival::Ask { request, blocks });
        self.at(self.now_ms + ANSWER_MS, Event::Timeout { node, life, request });
        Ok(())
    }

    fn answered(
        &mut self,
        node: usize,
        request: RequestId,
        outcome: Result<Vec<SignedBlock>, RequestFailure>,
    ) -> Result<(), Violation> {
        if self.members[node].asked.remove(&request).is_none() {
            return Ok(());
        }
        self.tell(node, NetworkEvent::Blocks { request, outcome })
    }

    fn arrives(&mut self, from: usize, to: usize, what: Arrival) -> Result<(), Violation> {
        match what {
            Arrival::Gossip { message, is_again } => self.gossiped(from, to, message, is_again),
            Arrival::AskStatus(status) => {
                let Some(running) = &self.members[to].running else { return Ok(()) };
                let ours = running.hand.source.status();
                self.send(to, from, Arrival::Status(ours));
                self.heard_status(to, from, status)
            }
            Arrival::Status(status) => self.heard_status(to, from, status),
            Arrival::Ask { request, blocks } => {
                let Some(running) = &self.members[to].running else { return Ok(()) };
                let outcome = serve(&*running.hand.source, &blocks);
                self.send(to, from, Arrival::Answer { request, outcome });
                Ok(())
            }
            Arrival::Answer { request, outcome } => self.answered(to, request, outcome),
        }
    }

    fn heard_status(&mut self, node: usize, of: usize, status: Status) -> Result<(), Violation> {
        let peer = self.members[of].peer_id;
        self.trace(node, &format!("hears that {of} has head {}", status.head.slot));
        if let Some(running) = &self.members[node].running {
            running.hand.said(&peer, status);
        }
        self.tell(node, NetworkEvent::Status { peer, status })
    }

    fn gossiped(
        &mut self,
        from: usize,
        to: usize,
        message: Rc<Message>,
        is_again: bool,
    ) -> Result<(), Violation> {
        let peer = self.members[from].peer_id;
        let now_ms = self.now_ms;
        let member = &mut self.members[to];
        member.set_clocks(now_ms);
        if !member.seen.insert(message.id) && !is_again {
            return Ok(());
        }
        let Some(running) = &member.running else { return Ok(()) };
        match running.hand.listener.worth(&message.glance) {
            Worth::Nothing => return Ok(()),
            Worth::Never(why) => {
                let broken = ("honest", format!("{why}: {}", said(&message.message)));
                return Err(self.broken(to, broken));
            }
            Worth::Reading => {}
        }
        let id = GossipId::by_hand(&message.id, peer);
        let event = NetworkEvent::Gossip { id, message: message.message.clone() };
        member.undecided.insert((message.id.to_vec(), peer), message);
        self.tell(to, event)
    }

    fn tell(&mut self, node: usize, event: NetworkEvent) -> Result<(), Violation> {
        let member = &mut self.members[node];
        member.set_clocks(self.now_ms);
        let Some(running) = &member.running else { return Ok(()) };
        if running.hand.listener.event(event).is_err() {
            return Err(self.broken(node, ("going on", "its inbox is full".to_owned())));
        }
        self.step(node)
    }

    fn look_at_connections(&mut self) -> Result<(), Violation> {
        let is_there: Vec<bool> = self
            .members
            .iter()
            .map(|member| member.running.is_some() && member.paused_until_ms <= self.now_ms)
            .collect();
        for (a, b, change) in self.wires.look(self.now_ms, |node| is_there[node]) {
            match change {
                Change::Up => {
                    self.connected(a, b);
                    self.connected(b, a);
                }
                Change::Down => {
                    self.gone(a, b)?;
                    self.gone(b, a)?;
                }
            }
        }
        Ok(())
    }

    fn connected(&mut self, node: usize, other: usize) {
        let peer = self.members[other].peer_id;
        let Some(running) = &self.members[node].running else { return };
        running.hand.connected(peer);
        let status = running.hand.source.status();
        self.send(node, other, Arrival::AskStatus(status));
    }

    fn gone(&mut self, node: usize, other: usize) -> Result<(), Violation> {
        let peer = self.members[other].peer_id;
        let Some(running) = &self.members[node].running else { return Ok(()) };
        running.hand.gone(&peer);
        let asked = self.members[node].asked.iter().filter(|(_, whom)| **whom == other);
        let requests: Vec<RequestId> = asked.map(|(request, _)| *request).collect();
        for request in requests {
            self.answered(node, request, Err(RequestFailure::Disconnected))?;
        }
        self.tell(node, NetworkEvent::Gone { peer })
    }
}

/// Takes a node's turns until it waits. For how long.
fn rest(running: &mut Running) -> Result<Duration, Broken> {
    for _ in 0..TURNS_MAX {
        let wait = running.node.turn().map_err(|error| ("going on", error.to_string()))?;
        if !wait.is_zero() {
            return Ok(wait);
        }
    }
    Err(("going on", format!("{TURNS_MAX} turns and no rest")))
}

fn said(message: &GossipMessage) -> String {
    match message {
        GossipMessage::Block(signed) => {
            let block = &signed.block;
            format!("block {} of {}", block.slot, block.proposer_index)
        }
        GossipMessage::Attestation { attestation, .. } => {
            let data = &attestation.data;
            let (head, target) = (data.head.slot, data.target.slot);
            format!("vote {} of {} for {head}, {target}", data.slot, attestation.validator_index)
        }
        GossipMessage::Aggregate(aggregate) => {
            let voters = aggregate.proof.participants.count_ones();
            format!("aggregate {} of {voters}", aggregate.data.slot)
        }
    }
}
