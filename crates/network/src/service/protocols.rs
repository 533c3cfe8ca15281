//! Requests and answers as libp2p streams.
//!
//! | protocol | request | answer |
//! |---|---|---|
//! | `/leanconsensus/req/status/1/ssz_snappy` | `Status` | one chunk, `Status` |
//! | `/leanconsensus/req/blocks_by_root/1/ssz_snappy` | `BlocksByRootRequest` | a `SignedBlock` a chunk |
//! | `/leanconsensus/req/blocks_by_range/1/ssz_snappy` | `BlocksByRangeRequest` | a `SignedBlock` a chunk |
//!
//! A request that is no such SSZ reaches the task as [`Malformed`], so that it can be answered INVALID_REQUEST.

use std::io;

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use lamella_types::{
    BlocksByRangeRequest, BlocksByRootRequest, Decode, SignedBlock, Status,
    limits::{MAX_REQUEST_BLOCKS, SIGNED_BLOCK_BYTES_MAX},
    to_ssz,
};
use libp2p::{StreamProtocol, request_response};

use super::{
    source::Serving,
    stream::{invalid, read_chunk, read_payload},
};
use crate::{
    requests::{BlocksRequest, REQUEST_BLOCKS_MAX},
    wire::chunk::{ResponseChunk, ResponseCode, encode_payload},
};

/// Bytes of the largest request: the offset and 1,024 roots.
const REQUEST_BYTES_MAX: usize = 4 + 32 * MAX_REQUEST_BLOCKS;

/// Bytes of a status, and of the text of an error.
const STATUS_BYTES_MAX: usize = 256;

/// A request that cannot be understood, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// Asks where a chain is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StatusCodec;

impl StatusCodec {
    pub(super) const PROTOCOL: StreamProtocol =
        StreamProtocol::new("/leanconsensus/req/status/1/ssz_snappy");
}

impl request_response::Codec for StatusCodec {
    type Protocol = StreamProtocol;
    type Request = Result<Status, Malformed>;
    type Response = ResponseChunk;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_request(io, |bytes| Status::from_ssz(bytes).map_err(|error| error.to_string())).await
    }

    async fn read_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<ResponseChunk>
    where
        T: AsyncRead + Unpin + Send,
    {
        let chunk = read_chunk(io, STATUS_BYTES_MAX).await?;
        chunk.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let status = request.map_err(|malformed| invalid(malformed.0))?;
        io.write_all(&encode_payload(&to_ssz(&status)).map_err(invalid)?).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: ResponseChunk,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&response.encode().map_err(invalid)?).await
    }
}

/// Asks for blocks, in one of two ways. A stream has a codec of its own, which reads no more than was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlocksCodec {
    by: By,
    /// Most blocks of the answer, once a request was written.
    blocks_max: usize,
}

/// How blocks are named.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    /// By slots.
    Range,
    /// By roots.
    Roots,
}

/// The answer to a request for blocks.
#[derive(Debug)]
pub(super) enum BlocksAnswer {
    /// A peer's: what it sent, and the error chunk that ended it early.
    Received {
        /// Decoded.
        blocks: Vec<SignedBlock>,
        /// Bytes of their SSZ.
        ssz_bytes: usize,
        /// Why there are no more.
        end: Option<ResponseChunk>,
    },
    /// Ours, read while it is written.
    Serving(Serving),
    /// Ours: nothing but an error.
    Refused(ResponseChunk),
}

impl BlocksCodec {
    pub(super) const fn new(by: By) -> Self {
        Self { by, blocks_max: REQUEST_BLOCKS_MAX }
    }

    pub(super) const fn protocol(self) -> StreamProtocol {
        StreamProtocol::new(match self.by {
            By::Range => "/leanconsensus/req/blocks_by_range/1/ssz_snappy",
            By::Roots => "/leanconsensus/req/blocks_by_root/1/ssz_snappy",
        })
    }

    fn decode(self, bytes: &[u8]) -> Result<BlocksRequest, String> {
        match self.by {
            By::Range => {
                let range = BlocksByRangeRequest::from_ssz(bytes).map_err(|e| e.to_string())?;
                let BlocksByRangeRequest { start_slot, count } = range;
                if !(1..=MAX_REQUEST_BLOCKS as u64).contains(&count) {
                    return Err(format!("count must be 1 to {MAX_REQUEST_BLOCKS}"));
                }
                Ok(BlocksRequest::Range { start_slot, count })
            }
            By::Roots => {
                let roots = BlocksByRootRequest::from_ssz(bytes).map_err(|e| e.to_string())?;
                Ok(BlocksRequest::Roots(roots.roots.to_vec()))
            }
        }
    }

    fn encode(request: BlocksRequest) -> io::Result<Vec<u8>> {
        Ok(match request {
            BlocksRequest::Range { start_slot, count } => {
                to_ssz(&BlocksByRangeRequest { start_slot, count })
            }
            BlocksRequest::Roots(roots) => {
                let roots = roots.try_into().map_err(|_| invalid("too many roots"))?;
                to_ssz(&BlocksByRootRequest { roots })
            }
        })
    }
}

impl request_response::Codec for BlocksCodec {
    type Protocol = StreamProtocol;
    type Request = Result<BlocksRequest, Malformed>;
    type Response = BlocksAnswer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let codec = *self;
        read_request(io, |bytes| codec.decode(bytes)).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<BlocksAnswer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let (mut blocks, mut ssz_bytes) = (Vec::new(), 0);
        while let Some(chunk) = read_chunk(io, SIGNED_BLOCK_BYTES_MAX).await? {
            if chunk.code != ResponseCode::Success {
                return Ok(BlocksAnswer::Received { blocks, ssz_bytes, end: Some(chunk) });
            }
            if blocks.len() == self.blocks_max {
                return Err(invalid("more blocks than were asked for"));
            }
            ssz_bytes += chunk.payload.len();
            blocks.push(SignedBlock::from_ssz(&chunk.payload).map_err(invalid)?);
        }
        Ok(BlocksAnswer::Received { blocks, ssz_bytes, end: None })
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = request.map_err(|malformed| invalid(malformed.0))?;
        self.blocks_max = request.blocks_max().min(REQUEST_BLOCKS_MAX);
        let ssz = Self::encode(request)?;
        io.write_all(&encode_payload(&ssz).map_err(invalid)?).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: BlocksAnswer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let mut serving = match response {
            BlocksAnswer::Serving(serving) => serving,
            BlocksAnswer::Refused(chunk) => {
                return io.write_all(&chunk.encode().map_err(invalid)?).await;
            }
            BlocksAnswer::Received { .. } => return Err(invalid("a peer's answer is not ours")),
        };
        loop {
            let (rest, chunk) = serving.next().await?;
            let Some(chunk) = chunk else { return Ok(()) };
            io.write_all(&chunk.encode().map_err(invalid)?).await?;
            serving = rest;
        }
    }
}

async fn read_request<T, R>(
    io: &mut T,
    decode: impl FnOnce(&[u8]) -> Result<R, String>,
) -> io::Result<Result<R, Malformed>>
where
    T: AsyncRead + Unpin + Send,
{
    match read_payload(io, REQUEST_BYTES_MAX).await {
        Ok(payload) => Ok(decode(&payload).map_err(Malformed)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Ok(Err(Malformed(error.to_string())))
        }
        Err(error) => Err(error),
    }
}
