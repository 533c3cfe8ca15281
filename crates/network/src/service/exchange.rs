//! Questions to peers and from peers: where is your chain, give me these blocks.

use std::{collections::HashMap, sync::Arc};

use lamella_types::{Decode, SignedBlock, Status, to_ssz};
use libp2p::{
    PeerId,
    request_response::{
        Event, InboundFailure, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
    },
};
use tracing::debug;

use super::{
    book::printable,
    hub::Hub,
    listener::Observation,
    message::NetworkEvent,
    protocols::{BlocksAnswer, Malformed},
    source::{BlockSource, Serving},
};
use crate::{
    peers::{Demand, Offence},
    requests::{BlocksRequest, REQUEST_BLOCKS_MAX, REQUESTS_MAX, RequestFailure, RequestId},
    wire::chunk::{ResponseChunk, ResponseCode},
};

/// What a peer hears that asks for more than its share.
const TOO_MANY: &str = "too many requests; wait";

/// What we serve, and what we wait for.
pub(super) struct Exchange {
    source: Arc<dyn BlockSource>,
    /// Our requests under way. libp2p numbers them per protocol, so the protocol is part of the name.
    outstanding: HashMap<(bool, OutboundRequestId), (RequestId, usize)>,
}

type BlocksEvent = Event<Result<BlocksRequest, Malformed>, BlocksAnswer>;
type StatusEvent = Event<Result<Status, Malformed>, ResponseChunk>;

impl Exchange {
    pub(super) fn new(source: Arc<dyn BlockSource>) -> Self {
        Self { source, outstanding: HashMap::new() }
    }

    pub(super) fn ask_status(&self, hub: &mut Hub, peer: PeerId) {
        let status = self.source.status();
        hub.swarm.behaviour_mut().status.send_request(&peer, Ok(status));
    }

    /// Asks a peer for blocks; what cannot be asked fails at once.
    pub(super) fn request(
        &mut self,
        hub: &mut Hub,
        request: RequestId,
        peer: PeerId,
        blocks: BlocksRequest,
    ) {
        let blocks_max = blocks.blocks_max();
        let failure = if !hub.swarm.is_connected(&peer) {
            Some(RequestFailure::Disconnected)
        } else if self.outstanding.len() >= REQUESTS_MAX || blocks_max > REQUEST_BLOCKS_MAX {
            Some(RequestFailure::Refused("beyond our own limits".to_owned()))
        } else {
            None
        };
        if let Some(failure) = failure {
            return hub.tell(NetworkEvent::Blocks { request, outcome: Err(failure) });
        }
        let is_range = matches!(blocks, BlocksRequest::Range { .. });
        let behaviour = hub.swarm.behaviour_mut();
        let protocol = if is_range { &mut behaviour.range } else { &mut behaviour.roots };
        let id = protocol.send_request(&peer, Ok(blocks));
        self.outstanding.insert((is_range, id), (request, blocks_max));
    }

    pub(super) fn status_event(&self, hub: &mut Hub, event: StatusEvent) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.answer_status(hub, peer, request, channel);
            }
            Event::Message { peer, message: Message::Response { response, .. }, .. } => {
                if response.code != ResponseCode::Success {
                    // It may be busy; who has no status to give is asked for no blocks.
                    return debug!(%peer, code = ?response.code, "No status");
                }
                match Status::from_ssz(&response.payload) {
                    Ok(status) => heard(hub, peer, status),
                    Err(_) => hub.penalise(peer, Offence::BrokeProtocol, "no status"),
                }
            }
            Event::OutboundFailure { peer, error, .. } => {
                debug!(%peer, %error, "No status");
                if matches!(error, OutboundFailure::Timeout) {
                    hub.penalise(peer, Offence::Stalled, "status");
                }
            }
            Event::InboundFailure { peer, error, .. } => inbound_failure(hub, peer, &error),
            Event::ResponseSent { .. } => {}
        }
    }

    fn answer_status(
        &self,
        hub: &mut Hub,
        peer: PeerId,
        request: Result<Status, Malformed>,
        channel: ResponseChannel<ResponseChunk>,
    ) {
        let chunk = match request {
            _ if !hub.allows(&peer, Demand::Status) => {
                hub.refused(peer, "status");
                ResponseChunk::error(ResponseCode::ServerError, TOO_MANY)
            }
            Ok(status) => {
                heard(hub, peer, status);
                ResponseChunk::success(to_ssz(&self.source.status()))
            }
            Err(Malformed(reason)) => {
                hub.penalise(peer, Offence::Malformed, &reason);
                ResponseChunk::error(ResponseCode::InvalidRequest, &reason)
            }
        };
        // The peer may be gone by now.
        let _ = hub.swarm.behaviour_mut().status.send_response(channel, chunk);
    }

    pub(super) fn blocks_event(&mut self, hub: &mut Hub, is_range: bool, event: BlocksEvent) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.answer_blocks(hub, is_range, peer, request, channel);
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.answered(hub, is_range, request_id, response);
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some((request, _)) = self.outstanding.remove(&(is_range, request_id)) {
                    let outcome = Err(failure(&error));
                    hub.tell(NetworkEvent::Blocks { request, outcome });
                }
            }
            Event::InboundFailure { peer, error, .. } => inbound_failure(hub, peer, &error),
            Event::ResponseSent { .. } => {}
        }
    }

    fn answer_blocks(
        &self,
        hub: &mut Hub,
        is_range: bool,
        peer: PeerId,
        request: Result<BlocksRequest, Malformed>,
        channel: ResponseChannel<BlocksAnswer>,
    ) {
        let answer = match request {
            Err(Malformed(reason)) => {
                hub.penalise(peer, Offence::Malformed, &reason);
                let refusal = ResponseChunk::error(ResponseCode::InvalidRequest, &reason);
                BlocksAnswer::Refused(refusal)
            }
            Ok(request) => {
                let blocks = request.blocks_max();
                hub.listener.observe(Observation::Asked { blocks });
                if hub.allows(&peer, Demand::Blocks { bytes: request.asking_bytes() }) {
                    let meter = hub.meter(&peer);
                    BlocksAnswer::Serving(Serving::new(self.source.clone(), meter, request))
                } else {
                    hub.refused(peer, "blocks");
                    let refusal = ResponseChunk::error(ResponseCode::ServerError, TOO_MANY);
                    BlocksAnswer::Refused(refusal)
                }
            }
        };
        let behaviour = hub.swarm.behaviour_mut();
        let protocol = if is_range { &mut behaviour.range } else { &mut behaviour.roots };
        // The peer may be gone by now.
        let _ = protocol.send_response(channel, answer);
    }

    fn answered(
        &mut self,
        hub: &mut Hub,
        is_range: bool,
        id: OutboundRequestId,
        answer: BlocksAnswer,
    ) {
        let Some((request, blocks_max)) = self.outstanding.remove(&(is_range, id)) else {
            return;
        };
        let BlocksAnswer::Received { blocks, ssz_bytes, end } = answer else { return };
        hub.listener.observe(Observation::Received { blocks: blocks.len(), ssz_bytes });
        let outcome = outcome(blocks, blocks_max, end);
        hub.tell(NetworkEvent::Blocks { request, outcome });
    }
}

fn heard(hub: &mut Hub, peer: PeerId, status: Status) {
    hub.book.update(&peer, |entry| entry.status = Some(status));
    hub.tell(NetworkEvent::Status { peer, status });
}

fn inbound_failure(hub: &mut Hub, peer: PeerId, error: &InboundFailure) {
    match error {
        InboundFailure::Timeout => hub.penalise(peer, Offence::Stalled, "reads no answer"),
        InboundFailure::ConnectionClosed
        | InboundFailure::UnsupportedProtocols
        | InboundFailure::ResponseOmission
        | InboundFailure::Io(_) => debug!(%peer, %error, "Request not answered"),
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
    let text = printable(&String::from_utf8_lossy(&end.payload));
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
