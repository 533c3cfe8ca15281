//! Questions to peers and from peers: where is your chain, give me these blocks.

use std::collections::HashMap;

use lamella_types::{Decode, SignedBlock, Status, to_ssz};
use libp2p::{
    PeerId,
    request_response::{
        Event, InboundFailure, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
    },
};
use tracing::debug;

use super::{
    BlocksRequest, NetworkEvent, Observation, REQUEST_BLOCKS_MAX, REQUESTS_MAX, RequestFailure,
    RequestId, Serving,
    protocols::{BlocksAnswer, Malformed},
    task::Task,
};
use crate::{
    peers::{Demand, Offence},
    wire::chunk::{ResponseChunk, ResponseCode},
};

/// What a peer hears that asks for more than its share.
const TOO_MANY: &str = "too many requests; wait";

/// Our requests under way. libp2p numbers them per protocol, so the protocol is part of the name.
#[derive(Debug, Default)]
pub(super) struct Outstanding(HashMap<(bool, OutboundRequestId), (RequestId, usize)>);

type BlocksEvent = Event<Result<BlocksRequest, Malformed>, BlocksAnswer>;
type StatusEvent = Event<Result<Status, Malformed>, ResponseChunk>;

impl Task {
    pub(super) fn ask_status(&mut self, peer: PeerId) {
        let status = self.source.status();
        self.swarm.behaviour_mut().status.send_request(&peer, Ok(status));
    }

    /// Asks a peer for blocks; what cannot be asked fails at once.
    pub(super) fn request(&mut self, request: RequestId, peer: PeerId, blocks: BlocksRequest) {
        let blocks_max = blocks.blocks_max();
        let failure = if !self.swarm.is_connected(&peer) {
            Some(RequestFailure::Disconnected)
        } else if self.outstanding.0.len() >= REQUESTS_MAX || blocks_max > REQUEST_BLOCKS_MAX {
            Some(RequestFailure::Refused("beyond our own limits".to_owned()))
        } else {
            None
        };
        if let Some(failure) = failure {
            return self.tell(NetworkEvent::Blocks { request, outcome: Err(failure) });
        }
        let is_range = matches!(blocks, BlocksRequest::Range { .. });
        let behaviour = self.swarm.behaviour_mut();
        let protocol = if is_range { &mut behaviour.range } else { &mut behaviour.roots };
        let id = protocol.send_request(&peer, Ok(blocks));
        self.outstanding.0.insert((is_range, id), (request, blocks_max));
    }

    pub(super) fn status_event(&mut self, event: StatusEvent) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.answer_status(peer, request, channel);
            }
            Event::Message { peer, message: Message::Response { response, .. }, .. } => {
                if response.code != ResponseCode::Success {
                    // It may be busy; who has no status to give is asked for no blocks.
                    return debug!(%peer, code = ?response.code, "No status");
                }
                match Status::from_ssz(&response.payload) {
                    Ok(status) => self.heard(peer, status),
                    Err(_) => self.penalise(peer, Offence::BrokeProtocol, "no status"),
                }
            }
            Event::OutboundFailure { peer, error, .. } => {
                debug!(%peer, %error, "No status");
                if matches!(error, OutboundFailure::Timeout) {
                    self.penalise(peer, Offence::Stalled, "status");
                }
            }
            Event::InboundFailure { peer, error, .. } => self.inbound_failure(peer, &error),
            Event::ResponseSent { .. } => {}
        }
    }

    fn answer_status(
        &mut self,
        peer: PeerId,
        request: Result<Status, Malformed>,
        channel: ResponseChannel<ResponseChunk>,
    ) {
        let chunk = match request {
            _ if !self.peers.allows(&peer, Demand::Status, self.now_ms()) => {
                self.penalise(peer, Offence::Flood, "status");
                ResponseChunk::error(ResponseCode::ServerError, TOO_MANY)
            }
            Ok(status) => {
                self.heard(peer, status);
                ResponseChunk::success(to_ssz(&self.source.status()))
            }
            Err(Malformed(reason)) => {
                self.penalise(peer, Offence::Garbage, &reason);
                ResponseChunk::error(ResponseCode::InvalidRequest, &reason)
            }
        };
        // The peer may be gone by now.
        let _ = self.swarm.behaviour_mut().status.send_response(channel, chunk);
    }

    fn heard(&mut self, peer: PeerId, status: Status) {
        self.book.update(&peer, |entry| entry.status = Some(status));
        self.tell(NetworkEvent::Status { peer, status });
    }

    pub(super) fn blocks_event(&mut self, is_range: bool, event: BlocksEvent) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.answer_blocks(is_range, peer, request, channel);
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.answered(is_range, request_id, response);
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some((request, _)) = self.outstanding.0.remove(&(is_range, request_id)) {
                    let outcome = Err(failure(&error));
                    self.tell(NetworkEvent::Blocks { request, outcome });
                }
            }
            Event::InboundFailure { peer, error, .. } => self.inbound_failure(peer, &error),
            Event::ResponseSent { .. } => {}
        }
    }

    fn answer_blocks(
        &mut self,
        is_range: bool,
        peer: PeerId,
        request: Result<BlocksRequest, Malformed>,
        channel: ResponseChannel<BlocksAnswer>,
    ) {
        let answer = match request {
            Err(Malformed(reason)) => {
                self.penalise(peer, Offence::Garbage, &reason);
                let refusal = ResponseChunk::error(ResponseCode::InvalidRequest, &reason);
                BlocksAnswer::Refused(refusal)
            }
            Ok(request) => {
                let blocks = request.blocks_max();
                self.listener.observe(Observation::Asked { blocks });
                if self.peers.allows(&peer, Demand::Blocks(blocks as u64), self.now_ms()) {
                    BlocksAnswer::Serving(Serving::new(self.source.clone(), request))
                } else {
                    // A refusal costs us little, and ranges of empty slots are soon through: only haste is held
                    // against the peer.
                    if !self.peers.allows(&peer, Demand::Status, self.now_ms()) {
                        self.penalise(peer, Offence::Flood, "blocks");
                    }
                    let refusal = ResponseChunk::error(ResponseCode::ServerError, TOO_MANY);
                    BlocksAnswer::Refused(refusal)
                }
            }
        };
        let behaviour = self.swarm.behaviour_mut();
        let protocol = if is_range { &mut behaviour.range } else { &mut behaviour.roots };
        // The peer may be gone by now.
        let _ = protocol.send_response(channel, answer);
    }

    fn answered(&mut self, is_range: bool, id: OutboundRequestId, answer: BlocksAnswer) {
        let Some((request, blocks_max)) = self.outstanding.0.remove(&(is_range, id)) else {
            return;
        };
        let BlocksAnswer::Received { blocks, ssz_bytes, end } = answer else { return };
        self.listener.observe(Observation::Received { blocks: blocks.len(), ssz_bytes });
        let outcome = outcome(blocks, blocks_max, end);
        self.tell(NetworkEvent::Blocks { request, outcome });
    }

    fn inbound_failure(&mut self, peer: PeerId, error: &InboundFailure) {
        match error {
            InboundFailure::Timeout => self.penalise(peer, Offence::Stalled, "reads no answer"),
            InboundFailure::ConnectionClosed
            | InboundFailure::UnsupportedProtocols
            | InboundFailure::ResponseOmission
            | InboundFailure::Io(_) => debug!(%peer, %error, "Request not answered"),
        }
    }
}

/// What an answer means. An error chunk that ends it makes it a failure, even behind blocks: asked again from where
/// it stopped, another peer may have the rest.
fn outcome(
    blocks: Vec<SignedBlock>,
    blocks_max: usize,
    end: Option<ResponseChunk>,
) -> Result<Vec<SignedBlock>, RequestFailure> {
    if blocks.len() > blocks_max {
        let got = blocks.len();
        let what = format!("{got} blocks where at most {blocks_max} were asked for");
        return Err(RequestFailure::Misbehaved(what));
    }
    let Some(end) = end else { return Ok(blocks) };
    let text = super::book::printable(&String::from_utf8_lossy(&end.payload));
    match end.code {
        ResponseCode::ResourceUnavailable => Err(RequestFailure::Unavailable(text)),
        _ => Err(RequestFailure::Refused(text)),
    }
}

fn failure(error: &OutboundFailure) -> RequestFailure {
    match error {
        OutboundFailure::Timeout => RequestFailure::Timeout,
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => {
            RequestFailure::Disconnected
        }
        OutboundFailure::UnsupportedProtocols => {
            RequestFailure::Refused("does not speak this protocol".to_owned())
        }
        OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            RequestFailure::Misbehaved(error.to_string())
        }
        OutboundFailure::Io(_) => RequestFailure::Disconnected,
    }
}
