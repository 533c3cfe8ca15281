//! The next segment is read and encoded while the one before it is verified and put: each takes about as long.

use std::{
    mem::take,
    ops::ControlFlow,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Scope, ScopedJoinHandle},
};

use lamella_archive::{Network, SealedSegment};
use lamella_inspect::seal::{SealError, Shipped};

/// Seals segments one after the other, the next one on a thread of its own, of the caller's priority.
pub(crate) struct Ahead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shipped: Shipped<'env>,
    network: &'env Network,
    is_over: &'env AtomicBool,
    /// The one that will be asked for next, if that is known.
    pub(crate) next: Option<u32>,
    sealing: Option<(u32, ScopedJoinHandle<'scope, Result<SealedSegment, SealError>>)>,
}

impl Ahead<'_, '_> {
    /// Does work that asks for segments. What is being sealed at its end is given up.
    pub(crate) fn with<T>(
        shipped: Shipped<'_>,
        network: &Network,
        work: impl FnOnce(&mut Ahead<'_, '_>) -> T,
    ) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (next, sealing) = (None, None);
            let mut ahead = Ahead { scope, shipped, network, is_over: &is_over, next, sealing };
            let done = work(&mut ahead);
            is_over.store(true, Ordering::Relaxed);
            done
        })
    }

    /// A segment, and the next one is begun. `go_on` is asked between the transactions of one that was not begun.
    ///
    /// # Errors
    /// As [`Shipped::seal`].
    pub(crate) fn seal(
        &mut self,
        index: u32,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<SealedSegment, SealError> {
        let sealed = match take(&mut self.sealing).filter(|(begun, _)| *begun == index) {
            Some((_, thread)) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => self.shipped.seal(self.network, index, go_on),
        }?;
        if let Some(next) = take(&mut self.next) {
            let (shipped, network, is_over) = (self.shipped, self.network, self.is_over);
            let begun = self.scope.spawn(move || {
                shipped.seal(network, next, &mut || match is_over.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            });
            self.sealing = Some((next, begun));
        }
        Ok(sealed)
    }
}
