//! Beginning at another node's finalized block: the real binary over real HTTP, killed, resumed, and refused.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{Router, extract::Request, response::Redirect, routing::any};
use lamella::{
    checkpoint::{CheckpointError, FetchError, Refusal, Schedule, SourceError, fetch},
    import::{Imported, Importer},
};
use lamella_block_store as block_store;
use lamella_chain::{Chain, Identity, Settings, verify};
use lamella_interrupt::Interrupt;
use lamella_network_dir::GenesisConfig;
use lamella_types::{Root, to_ssz};
use lamella_xmss::{
    PRODUCTION,
    scheme::{Raw, Trust},
};

use crate::{
    api::support::Node as Source,
    node::{BINARY, Node, field, network, verify as verify_directory},
    wait::output,
};

/// As the default, without the waits.
const AT_ONCE: Schedule =
    Schedule { pairs: 3, pair_pause: Duration::ZERO, rounds: 2, round_pause: Duration::ZERO };

fn genesis_of(source: &Source) -> GenesisConfig {
    let view = source.chain.fork_choice();
    let state = source.chain.state(&view.head()).unwrap().unwrap();
    GenesisConfig {
        genesis_time: state.config.genesis_time,
        validators: state.validators.clone(),
        attestation_committee_count: 1,
        slot_ms: None,
    }
}

/// `config.yaml` of the source's network.
fn write_config(source: &Source, path: &Path) {
    let genesis = genesis_of(source);
    let mut text = format!("GENESIS_TIME: {}\nGENESIS_VALIDATORS:\n", genesis.genesis_time);
    for index in 0..genesis.validators.len() as u64 {
        let validator = genesis.validators.get(index).unwrap();
        let attestation = hex::encode(validator.attestation_public_key.0);
        let proposal = hex::encode(validator.proposal_public_key.0);
        writeln!(text, "  - attestation_pubkey: {attestation}\n    proposal_pubkey: {proposal}")
            .unwrap();
    }
    fs::write(path, text).unwrap();
}

fn follower(config: &Path, data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["node", "--node-id", "follower", "--proof-scheme", "trust", "--no-api"])
        .args(["--gossipsub-port", "0", "--bootnodes", "none", "--genesis"])
        .arg(config)
        .arg("--data-dir")
        .arg(data)
        .args(more);
    command
}

fn root_field(line: &str, name: &str) -> Root {
    field(line, name).unwrap().parse().unwrap()
}

fn assert_clean(chain: &Chain) {
    let report = verify(chain.database(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn a_directory_begins_at_a_checkpoint_goes_on_and_never_needs_the_flag_again() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("config.yaml"), dir.path().join("data"));
    // Given a node whose head is at slot 8 and which finalized slot 6.
    let (source, side) = Source::with_chain();
    write_config(&source, &config);
    let server = source.serve();
    let url = format!("http://{}/lean/v0/states/finalized", server.api_address());

    // When an empty directory begins there, and is killed at once.
    let join = ["--checkpoint-sync-url", &url];
    let mut node = Node::spawn(follower(&config, &data, &join));
    let started = node.wait_for(|line| line.contains(" Started "));
    assert!(started.contains("began at a checkpoint"), "{started}");
    assert_eq!(root_field(&started, "head"), source.canonical(6));
    for name in ["head_slot", "finalized", "justified"] {
        assert_eq!(field(&started, name), Some("6"), "{started}");
    }
    node.kill();

    // Then it holds that block and state, of the same chain as a directory that began at genesis...
    let path = data.join("db");
    let identity: Identity = source.chain.identity().clone();
    let (chain, opened) = Chain::resume(&path, &identity, Settings::default()).unwrap();
    assert_eq!((opened.head_slot, opened.live_blocks), (6, 1));
    assert_clean(&chain);
    let served = &source.made[&source.canonical(6)].state;
    assert_eq!(&chain.state(&source.canonical(6)).unwrap().unwrap().to_ssz(), served);

    // ... the next blocks import on it, a fork among them, to the very states of the source ...
    let chain = Arc::new(chain);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    for root in [source.canonical(7), side, source.canonical(8)] {
        let made = &source.made[&root];
        let imported = importer.import(made.signed.clone()).unwrap();
        assert!(matches!(imported, Imported::New(new) if new.root == root));
        assert_eq!(chain.state(&root).unwrap().unwrap().to_ssz(), made.state);
        assert_clean(&chain);
    }
    assert_eq!(chain.fork_choice().head(), source.canonical(8));
    drop((importer, chain));
    drop(server);

    // ... and it goes on, with a source that is gone or without one, and is not overwritten.
    for flags in [&join[..], &[]] {
        let mut node = Node::spawn(follower(&config, &data, flags));
        let mut said_so = false;
        let resumed = node.wait_for(|line| {
            said_so |= line.contains("--checkpoint-sync-url is not needed");
            line.contains(" Started ")
        });
        assert!(resumed.contains("a chain, resumed"), "{resumed}");
        assert_eq!(root_field(&resumed, "head"), source.canonical(8));
        assert_eq!(said_so, !flags.is_empty());
        node.kill();
    }
}

#[test]
fn a_joined_chain_finalizes_crosses_anchors_and_resumes() {
    // Given a source and a directory that begins at its slot 6.
    let (mut source, _) = Source::with_chain();
    let server = source.serve();
    let urls = [format!("http://{}", server.api_address())];
    let genesis = genesis_of(&source);
    let start = fetch(&urls, None, &genesis, &Trust, AT_ONCE, &Interrupt::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let (chain, _) = Chain::create(&path, start, "trust", Settings::default()).unwrap();
    let chain = Arc::new(chain);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    // When the source's chain goes on past an anchor, over slots at which targets stay justifiable.
    let mut slots = vec![7, 8];
    for (slot, has_votes) in [
        (9, true),
        (10, true),
        (11, true),
        (1002, true),
        (1034, true),
        (1035, true),
        (1038, false),
        (1039, true),
        (1040, true),
        (1041, true),
    ] {
        source.import(source.chain.fork_choice().head(), slot, has_votes);
        slots.push(slot);
    }
    let roots: Vec<Root> = {
        let txn = source.chain.read().unwrap();
        let canonical = |slot: &u64| block_store::canonical_root(&txn, *slot).unwrap().unwrap();
        slots.iter().map(canonical).collect()
    };
    for root in &roots {
        importer.import(source.made[root].signed.clone()).unwrap();
    }
    // Then it has the source's head and finality, and every state, cold.
    let (ours, theirs) = (chain.fork_choice(), source.chain.fork_choice());
    assert_eq!(ours.head(), theirs.head());
    assert_eq!(ours.latest_finalized(), theirs.latest_finalized());
    assert!(ours.latest_finalized().slot > 1024, "{:?}", ours.latest_finalized());
    assert_clean(&chain);
    let identity = chain.identity().clone();
    drop((importer, chain));
    let (chain, opened) = Chain::resume(&path, &identity, Settings::default()).unwrap();
    assert_eq!(opened.fork_choice.head, theirs.head());
    for (slot, root) in slots.iter().zip(&roots) {
        let state = chain.state(root).unwrap().unwrap();
        assert_eq!(state.to_ssz(), source.made[root].state, "slot {slot}");
    }
}

#[test]
fn a_foreign_directory_is_refused_untouched_though_a_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("config.yaml"), dir.path().join("data"));
    let (source, _) = Source::with_chain();
    write_config(&source, &config);
    Node::spawn(follower(&config, &data, &[])).wait_for(|line| line.contains(" Started "));
    let before = fs::read(data.join("db/mdbx.dat")).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("GENESIS_TIME: ", "GENESIS_TIME: 1", 1)).unwrap();

    let server = source.serve();
    let url = format!("http://{}", server.api_address());
    let join = ["--checkpoint-sync-url", &url, "--exit-with-parent"];
    let refused = output(&mut follower(&config, &data, &join));
    assert_eq!(refused.status.code(), Some(1));
    let log = String::from_utf8(refused.stderr).unwrap();
    assert!(log.contains("error: ") && log.contains("another network"), "{log}");
    assert_eq!(fs::read(data.join("db/mdbx.dat")).unwrap(), before);
}

#[test]
fn a_source_of_another_network_ends_the_start_at_once_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("config.yaml"), dir.path().join("data"));
    let (ours, _) = Source::with_chain();
    write_config(&ours, &config);
    let server = Source::new(7).serve();
    let url = format!("http://{}", server.api_address());
    let join = ["--checkpoint-sync-url", &url, "--exit-with-parent"];
    let refused = output(&mut follower(&config, &data, &join));
    assert_eq!(refused.status.code(), Some(1));
    let log = String::from_utf8(refused.stderr).unwrap();
    let error = log.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.contains(&url) && error.contains("another network"), "{error}");
    assert!(!data.exists(), "never genesis instead");
}

#[test]
fn ctrl_c_ends_a_fetch_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("config.yaml"), dir.path().join("data"));
    let (source, _) = Source::with_chain();
    write_config(&source, &config);
    // A source that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut node = Node::spawn(follower(&config, &data, &["--checkpoint-sync-url", &url]));
    node.wait_for(|line| line.contains("Fetching a checkpoint"));
    let _connection = silent.accept().unwrap();
    let pid = node.process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    node.wait_for(|line| line.contains("Stopped"));
    assert_eq!(node.process.wait().unwrap().code(), Some(0));
    assert!(!data.exists());
}

/// Serves these answers, in turn and the last one for ever, to every request of its path.
fn scripted(blocks: Vec<Vec<u8>>, states: Vec<Vec<u8>>) -> SocketAddr {
    fn next(answers: &[Vec<u8>], served: &AtomicUsize) -> Vec<u8> {
        let count = served.fetch_add(1, Ordering::Relaxed);
        answers[count.min(answers.len() - 1)].clone()
    }
    let (served_blocks, served_states) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let answer = move |request: Request| {
        let body = match request.uri().path() {
            "/lean/v0/blocks/finalized" => next(&blocks, &served_blocks),
            "/lean/v0/states/finalized" => next(&states, &served_states),
            other => panic!("asked for {other}"),
        };
        std::future::ready(body)
    };
    let answer = Arc::new(answer);
    let app = Router::new().fallback(any(move |request| answer(request)));
    run(app)
}

fn run(app: Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    address
}

fn from(address: SocketAddr, source: &Source) -> Result<Root, CheckpointError> {
    let urls = [format!("http://{address}")];
    let interrupt = Interrupt::default();
    let start = fetch(&urls, None, &genesis_of(source), &Trust, AT_ONCE, &interrupt)?;
    Ok(start.block.block.header().root())
}

fn failure(address: SocketAddr, source: &Source) -> SourceError {
    match from(address, source).unwrap_err() {
        CheckpointError::NoSource { error, .. } => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_source_that_finalizes_between_the_two_requests_is_asked_again() {
    let (source, _) = Source::with_chain();
    let made = |slot| &source.made[&source.canonical(slot)];
    let (old, new) = (made(6), made(7));
    let block = |of: &crate::api::support::Made| to_ssz(&of.signed);
    // The state is already the next one's, then the block is, too.
    let moving = scripted(vec![block(old), block(new)], vec![new.state.clone()]);
    assert_eq!(from(moving, &source).unwrap(), source.canonical(7));
    // Block and state that never belong together.
    let broken = scripted(vec![block(old)], vec![new.state.clone()]);
    let error = failure(broken, &source);
    assert!(
        matches!(error, SourceError::Refused(Refusal::Unpaired { block_slot: 6, state_slot: 7 })),
        "{error}"
    );
}

#[test]
fn what_a_source_can_get_wrong_has_a_name() {
    let (source, _) = Source::with_chain();
    let finalized = &source.made[&source.canonical(6)];
    let (block, state) = (to_ssz(&finalized.signed), finalized.state.clone());
    // Within the fixed part: a proof may be of any length.
    let cut = |bytes: &[u8]| bytes[..50].to_vec();

    let error = failure(scripted(vec![cut(&block)], vec![state.clone()]), &source);
    assert!(matches!(error, SourceError::Block(_)), "{error}");
    let error = failure(scripted(vec![block.clone()], vec![cut(&state)]), &source);
    assert!(matches!(error, SourceError::State(_)), "{error}");
    let large = failure(scripted(vec![vec![0; (10 << 20) + 1]], vec![state.clone()]), &source);
    assert!(matches!(large, SourceError::Fetch(FetchError::TooLarge { .. })), "{large}");
    let absent = failure(run(Router::new()), &source);
    assert!(absent.to_string().contains("404"), "{absent}");
    let around = Router::new().fallback(any(|| async { Redirect::temporary("/again") }));
    let error = failure(run(around), &source).to_string();
    assert!(error.contains("redirect"), "{error}");
    // No test is ever given this port.
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let error = failure(nobody, &source);
    assert!(matches!(error, SourceError::Fetch(FetchError::Http { .. })), "{error}");

    // A node that has finalized nothing has nothing to begin at.
    let fresh = Source::new(4);
    let server = fresh.serve();
    let error = failure(server.api_address(), &fresh);
    assert!(matches!(error, SourceError::Refused(Refusal::Genesis)), "{error}");

    // A source that fails is passed over for the next one.
    let server = source.serve();
    let urls = [format!("http://{nobody}"), format!("http://{}", server.api_address())];
    let start = fetch(&urls, None, &genesis_of(&source), &Trust, AT_ONCE, &Interrupt::default());
    assert_eq!(start.unwrap().block, finalized.signed);

    // TLS is spoken to https, and an answer without it is an error, not a panic.
    let plain = [format!("https://{}", server.api_address())];
    let error = fetch(&plain, None, &genesis_of(&source), &Trust, AT_ONCE, &Interrupt::default());
    assert!(matches!(error, Err(CheckpointError::NoSource { .. })));
}

#[test]
fn a_follower_begins_at_what_a_running_node_signed() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    network(&net);
    let mut node = Node::start(&net, &dir.path().join("node"));
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    let url = format!("http://{}", field(&listening, "api").unwrap());
    node.wait_for(|line| line.contains("Finalized slot=2"));

    // Every signature of the block is verified, under the keys of the follower's own config.yaml.
    let data = dir.path().join("follower");
    let mut command = Command::new(BINARY);
    command
        .args(["node", "--node-id", "follower", "--slot-ms", "400", "--no-api"])
        .args(["--gossipsub-port", "0", "--checkpoint-sync-url", &url, "--network-dir"])
        .arg(&net)
        .arg("--data-dir")
        .arg(&data);
    let mut follower = Node::spawn(command);
    let started = follower.wait_for(|line| line.contains(" Started "));
    assert!(started.contains("began at a checkpoint"), "{started}");
    assert!(field(&started, "finalized").unwrap().parse::<u64>().unwrap() >= 2, "{started}");
    follower.kill();
    verify_directory(&data);
}

/// A source that serves its finalized block and state and nothing else, as leanSpec's do: what nobody is seen to have
/// voted for is refused, though every byte is good; a root that is known from elsewhere is enough.
#[test]
fn a_checkpoint_without_votes_is_refused_and_begun_at_by_its_root() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    network(&net);
    let mut node = Node::start(&net, &dir.path().join("node"));
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    let honest: SocketAddr = field(&listening, "api").unwrap().parse().unwrap();
    node.wait_for(|line| line.contains("Finalized slot=2"));
    let genesis = GenesisConfig::load(&net.join("config.yaml")).unwrap();
    let raw = Raw { parameters: &PRODUCTION, verified: None };
    let ask = |address: SocketAddr, root| {
        let urls = [format!("http://{address}")];
        fetch(&urls, root, &genesis, &raw, AT_ONCE, &Interrupt::default())
    };
    let refusal = |address, root| match ask(address, root).unwrap_err() {
        CheckpointError::NoSource { error: SourceError::Refused(refusal), .. } => refusal,
        other => panic!("{other}"),
    };

    // The node itself shows the votes, whoever it is.
    let start = ask(honest, None).unwrap();
    let root = start.block.block.header().root();
    let (block, state) = (to_ssz(&start.block), start.state.to_ssz());
    node.kill();

    // The same without them.
    let bare = |block: Vec<u8>| {
        let state = state.clone();
        let answer = move |request: Request| {
            let found = match request.uri().path() {
                "/lean/v0/blocks/finalized" => Ok(block.clone()),
                "/lean/v0/states/finalized" => Ok(state.clone()),
                _ => Err(axum::http::StatusCode::NOT_FOUND),
            };
            std::future::ready(found)
        };
        let answer = Arc::new(answer);
        run(Router::new().fallback(any(move |request| answer(request))))
    };
    let silent = bare(block);
    let not_voted = refusal(silent, None);
    assert!(
        matches!(not_voted, Refusal::NotVoted { checkpoint, voters: 0, needed: 3, .. } if checkpoint == root),
        "{not_voted}"
    );
    assert_eq!(ask(silent, Some(root)).unwrap().block, start.block);
    let other = Root::new([7; 32]);
    assert_eq!(refusal(silent, Some(other)), Refusal::OtherRoot { found: root, expected: other });

    // A block without a proof, as leanSpec serves it: by its root, and it is not served on.
    let mut unproven = start.block.clone();
    unproven.proof = lamella_types::MultiMessageAggregate::default();
    let silent = bare(to_ssz(&unproven));
    let (url, data) = (format!("http://{silent}"), dir.path().join("follower"));
    let root_text = root.to_string();
    let join = ["--checkpoint-sync-url", &url, "--checkpoint-root", &root_text];
    let mut follower = Node::start_as("follower", &net, &data, &join);
    let started = follower.wait_for(|line| line.contains(" Started "));
    assert!(started.contains("began at a checkpoint"), "{started}");
    assert_eq!(root_field(&started, "head"), root);
    follower.kill();
    let (chain, _) = Chain::resume(
        &data.join("db"),
        &Identity::of(&start.state, "raw", 400),
        Settings::default(),
    )
    .unwrap();
    let read = block_store::signed_block(&chain.read().unwrap(), &root).unwrap();
    assert!(matches!(read, block_store::SignedBlockRead::Unchecked(_)), "{read:?}");
    assert_clean(&chain);
}
