//! Shipping a tail: what is not sealed yet, one object after the other, each confirmed before the next.
//!
//! The hard idea: two processes with one writer id must not both go on. Objects are put only where there is none, and what
//! an object is to be is written down before it is put. So an object that is found in the place of the next one is either
//! ours, by its digest, and its acknowledgement was lost; or somebody else's, who has our id: a copy of this directory, or
//! the life that it had before an older copy of it was put back. Then this one is fenced off, and says so. So it is where
//! somebody deleted that object and later ones are there: those were never ours.

use lamella_archive::{ObjectName, TailFile, WriterId};
use lamella_chain::{Chain, ShippedTail};
use lamella_inspect::tails::{NextTail, TailError, TailLog};

use crate::{error::ShippingError, remote::Remote};

/// A tail on its way into an archive.
#[derive(Debug)]
pub struct TailShipper {
    remote: Remote,
    address: String,
    log: TailLog,
    /// Written down, and perhaps put: what it is does not change any more, since its put may still happen.
    underway: Option<NextTail>,
}

/// An object that was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailShipped {
    /// Its number.
    pub sequence: u64,
    /// Blocks in it.
    pub blocks: usize,
    /// Its bytes.
    pub bytes: u64,
    /// Whether more waits to be shipped at once.
    pub has_more: bool,
}

impl TailShipper {
    /// Begins a tail under a writer id that nobody has.
    #[must_use]
    pub fn begin(remote: Remote, chain: &Chain, writer: WriterId) -> Self {
        let log = TailLog::new(remote.network(), writer, chain);
        Self { address: remote.url(), remote, log, underway: None }
    }

    /// Goes on with the tail that this directory has shipped to this address; begins one under `writer` if there is none.
    ///
    /// # Errors
    /// The store does not answer, or somebody else ships under this directory's writer id.
    pub fn resume(remote: Remote, chain: &Chain, writer: WriterId) -> Result<Self, ShippingError> {
        let address = remote.url();
        let kept = ShippedTail::read(&chain.read()?)?.filter(|kept| kept.address == address);
        let Some(kept) = kept else { return Ok(Self::begin(remote, chain, writer)) };
        let mut log = TailLog::resume(remote.network(), kept.position, kept.floor);
        let name = name_of(&log);
        if !kept.underway.is_zero()
            && let Some(bytes) = remote.get_late(&name)?
        {
            let file = remote.decode_tail(&name, &bytes).map_err(|error| remote.damaged(error))?;
            if file.link().digest != kept.underway {
                return Err(fenced(&remote, name, &file));
            }
            log.told_before(&file);
        }
        require_none_after(&remote, &log)?;
        Ok(Self { remote, address, log, underway: None })
    }

    /// Ships the next object, if there is something to tell.
    ///
    /// # Errors
    /// [`ShippingError`]; nothing counts then, and the next call tries again.
    pub fn ship_next(&mut self, chain: &Chain) -> Result<Option<TailShipped>, ShippingError> {
        let next = match self.underway.take() {
            Some(next) => next,
            None => {
                let Some(next) = self.log.next(chain)? else { return Ok(None) };
                self.write_down(&next, chain)?;
                next
            }
        };
        let sealed = &self.underway.insert(next).sealed;
        self.remote.store().put_new(&self.remote.path(&sealed.name), &sealed.bytes)?;
        let found = self.remote.read_back(&sealed.name)?;
        if found != sealed.bytes {
            let file = self.remote.decode_tail(&sealed.name, &found);
            let file = file.map_err(|error| self.remote.damaged(error))?;
            return Err(fenced(&self.remote, sealed.name, &file));
        }
        let Some(next) = self.underway.take() else { return Ok(None) };
        self.log.told(&next, chain);
        Ok(Some(TailShipped {
            sequence: next.sealed.link.sequence,
            blocks: next.block_count(),
            bytes: next.sealed.bytes.len() as u64,
            has_more: next.has_more,
        }))
    }

    fn write_down(&self, next: &NextTail, chain: &Chain) -> Result<(), ShippingError> {
        let shipped = ShippedTail {
            position: self.log.position(),
            underway: next.sealed.link.digest,
            floor: self.log.floor(),
            address: self.address.clone(),
        };
        chain.put_shipped_tail(&shipped).map_err(|error| {
            let what = format!("what is shipped cannot be written down: {error}");
            ShippingError::NotShippable { what }
        })
    }

    /// Which object comes next.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.log.position().next
    }
}

const fn name_of(log: &TailLog) -> ObjectName {
    let position = log.position();
    ObjectName::Tail { writer: WriterId(position.writer), sequence: position.next }
}

/// Nobody but us puts objects under our id, and we have put none beyond the next one.
fn require_none_after(remote: &Remote, log: &TailLog) -> Result<(), ShippingError> {
    let (writer, next) = (WriterId(log.position().writer), log.position().next);
    let listed = remote.tails([(writer, next + 1)])?;
    let after = listed.get(&writer).and_then(|tail| tail.first_from(next + 1));
    let Some(sequence) = after else { return Ok(()) };
    let name = ObjectName::Tail { writer, sequence };
    let Some(bytes) = remote.get_late(&name)? else { return Ok(()) };
    let file = remote.decode_tail(&name, &bytes).map_err(|error| remote.damaged(error))?;
    Err(fenced(remote, name, &file))
}

fn fenced(remote: &Remote, name: ObjectName, file: &TailFile) -> ShippingError {
    ShippingError::Fenced { url: remote.url(), name, digest: file.link().digest }
}

impl From<TailError> for ShippingError {
    fn from(error: TailError) -> Self {
        match error {
            TailError::Lookup(error) => error.into(),
            TailError::Build(source) => {
                Self::NotShippable { what: format!("the tail cannot be written: {source}") }
            }
        }
    }
}
