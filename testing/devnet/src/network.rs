//! A network of real nodes in a temporary folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use enr::Enr;
use lamella_devnet::{
    client::{Client, NodeView},
    ports::Place,
    process::{NodeCommand, NodeProcess, Stopped},
};
use lamella_inspect as inspect;
use lamella_network_dir::{
    NetworkDir, NodeKey,
    genesis::{GenesisOptions, create},
};
use lamella_tables::{Headers, Read as _, SlotRoot};
use lamella_types::{Root, Slot, SlotClock, limits::INTERVALS_PER_SLOT};
use tempfile::TempDir;

use crate::{lane::Lane, log, relay::Relay, wait::until};

/// Seconds from the last key to slot 0: time to start the nodes. A node that comes later misses nothing but duties.
const LEAD_S: u64 = 3;

/// Last lines of each log that a failed drill shows.
const LAST_LINES: usize = 12;

/// A network to make.
#[derive(Debug, Clone, Copy)]
pub struct NetworkPlan {
    /// The `lamella` binary.
    pub program: &'static str,
    /// Nodes with validators; the first one aggregates, of three or more the first two.
    pub nodes: u64,
    /// Validators, dealt to the nodes in turn.
    pub validators: u64,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Slots that the keys sign.
    pub key_slots: u64,
    /// Slots of before the nodes, which nobody has filled: genesis lies as far back.
    pub past_slots: u64,
    /// Flags of every node.
    pub flags: &'static [&'static str],
}

/// A node, running or not.
struct Member {
    place: Place,
    key: NodeKey,
    data_dir: PathBuf,
    process: Option<NodeProcess>,
    client: Client,
}

/// A network. Dropping it stops every node and deletes the folder.
pub struct Network {
    plan: NetworkPlan,
    clock: SlotClock,
    members: Vec<Member>,
    /// The relay through which one node dials another.
    relays: BTreeMap<(usize, usize), Relay>,
    dir: TempDir,
    lane: Lane,
    environment: Vec<(String, String)>,
}

impl Network {
    /// Makes keys and genesis; no node runs yet.
    #[must_use]
    pub fn make(plan: NetworkPlan) -> Self {
        let mut lane = Lane::take(plan.nodes, plan.validators);
        let dir = tempfile::tempdir().unwrap();
        let places = lane.places(plan.nodes);
        let options = GenesisOptions {
            nodes: plan.nodes,
            validators: plan.validators,
            out: dir.path().join("network"),
            genesis_time: None,
            lead_s: LEAD_S,
            ports: Some(places.iter().map(|place| place.ports).collect()),
            key_slots: plan.key_slots,
            slot_ms: plan.slot_ms,
        };
        let mut genesis_time = create(&options, &|_| {}).unwrap().genesis_time;
        if plan.past_slots > 0 {
            genesis_time -= plan.past_slots * plan.slot_ms / 1_000;
            set_genesis_time(&NetworkDir::new(&options.out).config, genesis_time);
        }
        let clock = SlotClock::new(genesis_time, plan.slot_ms);
        let (members, relays) = (Vec::new(), BTreeMap::new());
        let environment = vec![("RUST_LOG".to_owned(), log_filter())];
        let mut network = Self { plan, clock, members, relays, dir, lane, environment };
        let paths = network.paths();
        for place in places {
            let key = NodeKey::load(&paths.node_key(&place.node_id)).unwrap();
            network.add(place, key);
        }
        network
    }

    /// Adds a node without validators, which the network's files do not list; says which it is.
    pub fn add_follower(&mut self, node_id: &str) -> usize {
        let mut place = self.lane.places(1).remove(0);
        place.node_id = node_id.to_owned();
        self.add(place, NodeKey::random().unwrap());
        self.members.len() - 1
    }

    /// Gives the nodes that are started from now on these variables of the environment too.
    pub fn set_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        self.environment.extend(variables);
    }

    /// Starts a node and waits until it answers.
    pub fn start(&mut self, index: usize) {
        self.start_with(index, &[]);
    }

    /// Starts a node with further flags and waits until it answers.
    pub fn start_with(&mut self, index: usize, flags: &[&str]) {
        self.spawn(index, flags);
        let what = format!("{} answers", self.members[index].place.node_id);
        self.until(&what, |network| network.view(index));
    }

    /// Starts every node, all at once, and waits until they answer.
    pub fn start_all(&mut self) {
        (0..self.members.len()).for_each(|index| self.spawn(index, &[]));
        self.until("every node answers", |network| network.views().map(drop));
    }

    /// Starts a node without waiting for anything.
    pub fn spawn(&mut self, index: usize, flags: &[&str]) {
        let bootnodes = self.write_bootnodes(index);
        let key_file = self.dir.path().join(format!("{index}.key"));
        let log = self.log_file(index);
        let (plan, network_dir) = (self.plan, self.paths().root);
        let member = &mut self.members[index];
        assert!(member.process.is_none(), "{} runs already", member.place.node_id);
        fs::write(&key_file, hex(member.key.as_bytes())).unwrap();
        let mut all: Vec<String> =
            plan.flags.iter().chain(flags).map(ToString::to_string).collect();
        for (flag, path) in [("--bootnodes", &bootnodes), ("--node-key", &key_file)] {
            all.extend([flag.to_owned(), path.display().to_string()]);
        }
        member.place.release();
        let command = NodeCommand {
            program: plan.program.into(),
            network_dir,
            node_id: member.place.node_id.clone(),
            data_dir: member.data_dir.clone(),
            log,
            slot_ms: plan.slot_ms,
            ports: member.place.ports,
            environment: self.environment.clone(),
            flags: all,
        };
        member.process = Some(NodeProcess::start(command).unwrap());
    }

    /// Kills a node (SIGKILL); what it logged in that run.
    pub fn kill(&mut self, index: usize) -> String {
        let mut process = self.members[index].process.take().unwrap();
        process.kill().unwrap();
        process.logged().unwrap()
    }

    /// Stops a node in order; what it logged in that run.
    pub fn stop(&mut self, index: usize) -> String {
        let mut process = self.members[index].process.take().unwrap();
        let logged = |process: &NodeProcess| process.logged().unwrap();
        match process.stop().unwrap() {
            Stopped::Exited(status) => assert!(status.success(), "{status}: {}", logged(&process)),
            Stopped::Killed => panic!("does not stop: {}", logged(&process)),
        }
        logged(&process)
    }

    /// What the node logged in this run so far.
    #[must_use]
    pub fn logged(&self, index: usize) -> String {
        self.members[index].process.as_ref().unwrap().logged().unwrap()
    }

    /// Slot of the node's head as it was when this run began.
    #[must_use]
    pub fn resumed_at(&self, index: usize) -> Slot {
        let log = self.logged(index);
        let line = log.lines().find(|line| line.contains(" Started ")).unwrap();
        log::field(line, "head_slot").unwrap().parse().unwrap()
    }

    /// The node's API.
    #[must_use]
    pub fn client(&self, index: usize) -> &Client {
        &self.members[index].client
    }

    /// The nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].process.is_some()).collect()
    }

    /// Where the node hears peers.
    #[must_use]
    pub fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.members[index].place.ports.quic))
    }

    /// Bytes of memory that a running node has for itself: without the pages of files, which are the system's cache.
    #[must_use]
    pub fn memory_bytes(&self, index: usize) -> u64 {
        let id = self.members[index].process.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Processor time of a running node's consensus thread, and of all its threads, in the system's ticks.
    #[must_use]
    pub fn processor_ticks(&self, index: usize) -> (u64, u64) {
        let id = self.members[index].process.as_ref().unwrap().id();
        let ticks = |stat: String| -> u64 {
            // In user and system mode; the name before the last bracket may have blanks.
            let text = fs::read_to_string(stat).unwrap();
            let fields = text.rsplit(") ").next().unwrap().split(' ');
            fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
        };
        // The consensus runs on the thread that the process began with.
        (ticks(format!("/proc/{id}/task/{id}/stat")), ticks(format!("/proc/{id}/stat")))
    }

    /// The node's data directory.
    #[must_use]
    pub fn data_dir(&self, index: usize) -> &Path {
        &self.members[index].data_dir
    }

    /// Where the node is, if it answers.
    #[must_use]
    pub fn view(&self, index: usize) -> Option<NodeView> {
        self.members[index].client.view().ok()
    }

    /// Where the running nodes are, if all of them answer.
    #[must_use]
    pub fn views(&self) -> Option<Vec<NodeView>> {
        let running = self.members.iter().filter(|member| member.process.is_some());
        running.map(|member| member.client.view().ok()).collect()
    }

    /// Waits until the running nodes say so.
    pub fn wait(&mut self, what: &str, holds: impl Fn(&[NodeView]) -> bool) -> Vec<NodeView> {
        self.until(what, |network| network.views().filter(|views| holds(views)))
    }

    /// Asks again until there is an answer, as long as every node lives.
    pub fn until<T>(&mut self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        until(what, || {
            for member in &mut self.members {
                let Some(process) = &mut member.process else { continue };
                let ended = process.ended().unwrap();
                assert_eq!(ended, None, "{} ended: {what}", member.place.node_id);
            }
            ask(self)
        })
    }

    /// Lets so many slots pass.
    pub fn pass_slots(&mut self, slots: u64) {
        for end in (self.slot() + 1..).take(usize::try_from(slots).unwrap()) {
            self.until("a slot passes", |network| (network.slot() >= end).then_some(()));
        }
    }

    /// Cuts or heals every link between these two groups of nodes.
    pub fn set_cut(&self, one: &[usize], other: &[usize], is_cut: bool) {
        for ((from, to), relay) in &self.relays {
            let between = |from, to| one.contains(from) && other.contains(to);
            if between(from, to) || between(to, from) {
                relay.set_cut(is_cut);
            }
        }
    }

    /// Stops whatever runs; every database passes `lamella db verify`.
    pub fn stop_and_verify_all(&mut self) {
        for index in 0..self.members.len() {
            if self.members[index].process.is_some() {
                self.stop(index);
            }
            if inspect::database_path(&self.members[index].data_dir).exists() {
                self.verify(index);
            }
        }
    }

    /// The node's database passes `lamella db verify`.
    pub fn verify(&self, index: usize) {
        let Member { place, data_dir, .. } = &self.members[index];
        let report = inspect::verify::run(data_dir, &mut |_| ControlFlow::Continue(())).unwrap();
        let first = report.findings.first().map(ToString::to_string);
        assert_eq!((report.finding_count, first), (0, None), "{}", place.node_id);
        assert!(report.check_count() > 0);
    }

    /// Every block in the node's database, by slot and root.
    #[must_use]
    pub fn blocks(&self, index: usize) -> BTreeSet<(Slot, Root)> {
        let database = inspect::open_tables(self.data_dir(index)).unwrap();
        let txn = database.read().unwrap();
        let keys = txn.scan_keys::<Headers>(SlotRoot::new(0, Root::ZERO)).unwrap();
        keys.map(|key| key.map(|key| (key.slot, key.root)).unwrap()).collect()
    }

    /// The canonical chain of both databases is the same in these slots.
    pub fn same_chain(&self, one: usize, other: usize, from_slot: Slot, to_slot: Slot) {
        let [one, other] = [one, other].map(|index| {
            inspect::checksum::compute(self.data_dir(index), Some(from_slot), Some(to_slot))
                .unwrap()
        });
        assert_eq!(one, other);
        assert!(one.blocks > 0);
    }

    /// Slot of the wall clock.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.interval() / INTERVALS_PER_SLOT
    }

    /// Interval of the wall clock.
    #[must_use]
    pub fn interval(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.clock.total_intervals(u64::try_from(now.as_millis()).unwrap())
    }

    /// The network's files.
    #[must_use]
    pub fn paths(&self) -> NetworkDir {
        NetworkDir::new(&self.dir.path().join("network"))
    }

    fn log_file(&self, index: usize) -> PathBuf {
        self.dir.path().join("logs").join(format!("{}.log", self.members[index].place.node_id))
    }

    fn add(&mut self, place: Place, key: NodeKey) {
        let data_dir = self.dir.path().join("data").join(&place.node_id);
        let client = Client::new(place.ports.api);
        self.members.push(Member { place, key, data_dir, process: None, client });
        let new = self.members.len() - 1;
        for other in 0..new {
            for (from, to) in [(new, other), (other, new)] {
                let relay = Relay::to(self.members[to].place.ports.quic).unwrap();
                self.relays.insert((from, to), relay);
            }
        }
    }

    /// The records of all other nodes, with the ports of the relays to them.
    fn write_bootnodes(&self, index: usize) -> PathBuf {
        let mut text = String::new();
        for ((_, to), relay) in self.relays.range((index, 0)..(index + 1, 0)) {
            let enr = Enr::builder()
                .ip4(Ipv4Addr::LOCALHOST)
                .add_value("quic", &relay.port())
                .build(&self.members[*to].key.signing_key())
                .unwrap();
            text.push_str(&format!("- {}\n", enr.to_base64()));
        }
        let path = self.dir.path().join(format!("bootnodes-{index}.yaml"));
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in &self.members {
                let lines = member.process.as_ref().map(|process| process.last_lines(LAST_LINES));
                let lines = lines.unwrap_or_default().join("\n  ");
                eprintln!("{}:\n  {lines}", member.place.node_id);
            }
        }
        for process in self.members.iter_mut().filter_map(|member| member.process.as_mut()) {
            process.begin_stop();
        }
    }
}

/// Writes another genesis time into a network's `config.yaml`.
fn set_genesis_time(config: &Path, genesis_time: u64) {
    let text = fs::read_to_string(config).unwrap();
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some(("GENESIS_TIME", _)) => format!("GENESIS_TIME: {genesis_time}\n"),
        _ => format!("{line}\n"),
    });
    fs::write(config, lines.collect::<String>()).unwrap();
}

/// What drills read in the logs: also whom a node asks for which blocks.
fn log_filter() -> String {
    format!("info,{}=warn,lamella::node::catch_up=debug", lamella_tables::LOG_TARGET)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
