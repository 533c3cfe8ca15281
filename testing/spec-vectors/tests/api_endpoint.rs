//! Group `api_endpoint`: requests to a node that began at genesis, or at a later block as its trusted anchor.
//!
//! The server is the node's own, on a loopback port. The registry is the first keys of leanSpec's key set, which the
//! cases do not carry: they are taken from the anchor states of group `fork_choice`.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_http_api::{ApiContext, ApiServer, Events, Limits, NodeFacts, ServerConfig, serve};
use lamella_metrics::Metrics;
use lamella_state_transition::{BlockRequest, build_block};
use lamella_testing_spec_vectors::{
    Case, FromJson as _, HexBytes, Outcome, field, load_group, optional, run_group,
};
use lamella_types::{
    MultiMessageAggregate, SignedBlock, SlotClock, State, Validator, Validators, genesis_state,
    hash_tree_root, limits::SLOT_MS, slot::proposer_for_slot,
};
use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn api_endpoint_vectors() {
    let keys = test_keys().unwrap_or_default();
    run_group("api_endpoint", |case| check(case, &keys));
}

fn check(case: &Case, keys: &[Validator]) -> Result<Outcome, String> {
    let value = &case.value;
    let params: Value = field(value, "genesisParams")?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let bootstrap = bootstrap(&params, keys)?;
    let genesis_time = bootstrap.state.config.genesis_time;
    let chain = Chain::create(directory.path(), bootstrap, "trust", Settings::default());
    let (chain, _) = chain.map_err(|error| error.to_string())?;
    let clock = SlotClock::new(genesis_time, SLOT_MS);
    let facts = NodeFacts::new("vectors", None, clock, field(value, "initialIsAggregator")?);
    let server = start(chain, facts)?;

    let (method, endpoint): (String, String) = (field(value, "method")?, field(value, "endpoint")?);
    let body: Option<Value> = optional(value, "requestBody")?;
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let answer = request(server.api_address(), &method, &endpoint, &body)?;
    let got = (answer.status, answer.content_type.as_str());
    let content_type: String = field(value, "expectedContentType")?;
    let expected = (field::<u64>(value, "expectedStatusCode")?, content_type.as_str());
    if got != expected {
        return Err(format!("expected {expected:?}, got {got:?}"));
    }
    check_body(&answer, &field(value, "expectedBody")?)
}

fn check_body(answer: &Answer, expected: &Value) -> Result<Outcome, String> {
    if let Ok(HexBytes(bytes)) = HexBytes::from_json(expected) {
        return if answer.body == bytes {
            Ok(Outcome::Passed)
        } else {
            Err(format!("{} other bytes, expected {}", answer.body.len(), bytes.len()))
        };
    }
    if let Some(names) = optional::<Vec<String>>(expected, "required_metric_names")? {
        let text = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
        let is_sampled = |name: &&String| text.lines().any(|line| line.starts_with(name.as_str()));
        let missing: Vec<_> = names.iter().filter(|name| !is_sampled(name)).collect();
        return if missing.is_empty() {
            Ok(Outcome::Passed)
        } else {
            Err(format!("metrics without a sample: {missing:?}"))
        };
    }
    let got: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    if got == *expected { Ok(Outcome::Passed) } else { Err(format!("got {got}")) }
}

/// The block and state that the node begins at: genesis, or `anchorSlot` empty blocks later.
fn bootstrap(params: &Value, keys: &[Validator]) -> Result<Bootstrap, String> {
    let count = usize::try_from(field::<u64>(params, "numValidators")?).unwrap_or(usize::MAX);
    let keys = keys.get(..count).ok_or("no anchor state has that many validators")?;
    let validators = Validators::new(keys).map_err(|error| error.to_string())?;
    let genesis = genesis_state(field(params, "genesisTime")?, validators);
    let mut anchor = Bootstrap::genesis(genesis);
    let anchor_slot: Option<u64> = optional(params, "anchorSlot")?;
    for slot in 1..=anchor_slot.unwrap_or(0) {
        let proposer_index = proposer_for_slot(slot, count as u64).ok_or("no validators")?;
        let request = BlockRequest {
            slot,
            proposer_index,
            parent_root: hash_tree_root(&anchor.block.block),
            known_block: &|_| true,
            participants_max: 0,
        };
        let built = build_block(&anchor.state, &request, &[], &mut |_, _, _| None);
        let built = built.map_err(|reason| reason.to_string())?;
        let proof = MultiMessageAggregate::default();
        let block = SignedBlock { block: built.block, proof };
        anchor = Bootstrap { block, state: Arc::new(built.post_state) };
    }
    Ok(anchor)
}

/// leanSpec's test keys, as many as the largest anchor state of group `fork_choice` has.
fn test_keys() -> Option<Vec<Validator>> {
    let cases = load_group("fork_choice").ok()??;
    let states = cases.iter().filter_map(|case| field::<State>(&case.value, "anchorState").ok());
    let largest = states.max_by_key(|state| state.validators.len())?;
    Some(largest.validators.iter().collect())
}

fn start(chain: Chain, facts: NodeFacts) -> Result<ApiServer, String> {
    let metrics = Metrics::new("vectors", "0", 0);
    let context = ApiContext::new(
        chain.into(),
        facts.into(),
        metrics.into(),
        Events::new(),
        Limits::default(),
        Arc::new(|_| {}),
    );
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let config = ServerConfig::new(address, 0, None);
    serve(&config, Arc::new(context)).map_err(|error| error.to_string())
}

struct Answer {
    status: u64,
    content_type: String,
    body: Vec<u8>,
}

/// One request on a connection of its own.
fn request(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let exchange = || {
        let mut socket = TcpStream::connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes: Vec<u8> = exchange().map_err(|error: std::io::Error| error.to_string())?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no end of head")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    Ok(Answer {
        status: status.ok_or("no status")?,
        content_type: content_type.unwrap_or_default().to_owned(),
        body: bytes[end + 4..].to_vec(),
    })
}
