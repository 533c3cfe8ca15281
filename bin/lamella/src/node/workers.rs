//! Workers: threads for what takes processor time and nothing of the consensus's own. Signing, checking signatures and
//! proofs, transitions, blocks to build, aggregates to fold.
//!
//! One seam: [`Node::later`] hands over work together with what is to be done with its result. A worker does the work;
//! the rest is an event of the node's loop like any other, so the consensus stays on its one thread. Between the two
//! anything may have happened there, so the second half looks again at whatever the first half relied on.
//!
//! Work waits in order of [`Urgency`], and of arrival within one. What may take long (a run of old blocks) never takes
//! all threads, so a duty waits for a vote's check at most. Queues are bounded; who finds one full says so, and loses
//! that piece of work and no other.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex};

use super::{Node, StoreFailure};

/// Threads at most. Each job of many signatures spreads over the machine's cores anyway.
const THREADS_MAX: usize = 8;

/// Threads at least: one for what takes long, one for what must not wait for it.
const THREADS_MIN: usize = 2;

/// Jobs waiting of one urgency: as many as messages of gossip may be without their verdict.
const WAITING_MAX: usize = lamella_network::service::GOSSIP_PENDING_MAX;

/// What goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A duty of our validators.
    Duty,
    /// A block at the head.
    Block,
    /// Votes.
    Vote,
    /// What was long ago.
    Background,
}

const URGENCIES: usize = 4;

/// What is left to do on the node's thread.
pub(super) struct Done {
    urgency: Urgency,
    then: Box<Then>,
}

type Then = dyn FnOnce(&mut Node) -> Result<(), StoreFailure> + Send;

impl std::fmt::Debug for Done {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Done").field(&self.urgency).finish()
    }
}

/// Who is told.
pub(super) trait Employer: Send + Sync {
    /// A worker has done its part.
    fn worked(&self, done: Done);
    /// A worker panicked.
    fn worker_died(&self);
}

type Job = Box<dyn FnOnce() -> Done + Send>;

#[derive(Default)]
struct Waiting {
    jobs: [VecDeque<Job>; URGENCIES],
    /// Jobs of the background that run.
    background: usize,
    is_stopping: bool,
}

#[derive(Default)]
struct Queues {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    threads: usize,
}

/// The threads. Dropping it waits for what runs, and drops what waits.
pub(super) struct Workers {
    queues: Arc<Queues>,
    threads: Vec<JoinHandle<()>>,
    /// Jobs whose end the node has not heard of, by urgency.
    in_flight: [usize; URGENCIES],
}

impl Workers {
    /// Starts one thread for each core, within [`THREADS_MIN`] and [`THREADS_MAX`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(node: &Arc<dyn Employer>) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(THREADS_MIN, usize::from);
        let count = cores.clamp(THREADS_MIN, THREADS_MAX);
        let queues = Arc::new(Queues { threads: count, ..Queues::default() });
        let mut workers =
            Self { queues: Arc::clone(&queues), threads: Vec::new(), in_flight: [0; URGENCIES] };
        for index in 0..count {
            let (queues, node) = (Arc::clone(&queues), Arc::clone(node));
            let name = format!("worker-{index}");
            let thread = thread::Builder::new().name(name).spawn(move || queues.serve(&*node))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Without a thread: whoever has them does the work, job by job, with [`Self::work`].
    #[cfg(feature = "simulation")]
    pub(super) fn by_hand() -> Self {
        let queues = Arc::new(Queues { threads: THREADS_MIN, ..Queues::default() });
        Self { queues, threads: Vec::new(), in_flight: [0; URGENCIES] }
    }

    /// Whether a job waits.
    #[cfg(feature = "simulation")]
    pub(super) fn has_work(&self) -> bool {
        self.queues.waiting.lock().jobs.iter().any(|jobs| !jobs.is_empty())
    }

    /// Does the job that a free worker would. `None` if none waits.
    #[cfg(feature = "simulation")]
    pub(super) fn work(&self) -> Option<Done> {
        let (urgency, job) = self.queues.waiting.lock().take(self.queues.threads)?;
        let done = job();
        self.queues.ended(urgency);
        Some(done)
    }

    /// Whether the job will be done; not if too many wait.
    fn submit(&mut self, urgency: Urgency, job: Job) -> bool {
        let is_taken = self.queues.push(urgency, job);
        self.in_flight[urgency as usize] += usize::from(is_taken);
        is_taken
    }

    /// Whether blocks, votes or duties are being worked on.
    pub(super) fn is_busy(&self) -> bool {
        [Urgency::Duty, Urgency::Block, Urgency::Vote]
            .into_iter()
            .any(|urgency| self.in_flight[urgency as usize] > 0)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        {
            let mut waiting = self.queues.waiting.lock();
            waiting.is_stopping = true;
            waiting.jobs = Default::default();
        }
        self.queues.changed.notify_all();
        for thread in self.threads.drain(..) {
            // One that panicked has said so, and the node ends for it.
            let _ = thread.join();
        }
    }
}

impl Queues {
    fn push(&self, urgency: Urgency, job: Job) -> bool {
        let mut waiting = self.waiting.lock();
        let jobs = &mut waiting.jobs[urgency as usize];
        let has_room = jobs.len() < WAITING_MAX;
        if has_room {
            jobs.push_back(job);
            self.changed.notify_one();
        }
        has_room
    }

    fn serve(&self, node: &dyn Employer) {
        let alarm = Alarm(node);
        while let Some((urgency, job)) = self.next() {
            let done = job();
            self.ended(urgency);
            node.worked(done);
        }
        drop(alarm);
    }

    fn ended(&self, urgency: Urgency) {
        if urgency == Urgency::Background {
            self.waiting.lock().background -= 1;
            self.changed.notify_one();
        }
    }

    /// The most urgent job; waits for one. `None` when there is nothing more to do.
    fn next(&self) -> Option<(Urgency, Job)> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.is_stopping {
                return None;
            }
            if let Some(next) = waiting.take(self.threads) {
                return Some(next);
            }
            self.changed.wait(&mut waiting);
        }
    }
}

impl Waiting {
    /// The most urgent job that one of so many threads may do now.
    fn take(&mut self, threads: usize) -> Option<(Urgency, Job)> {
        for urgency in [Urgency::Duty, Urgency::Block, Urgency::Vote] {
            if let Some(job) = self.jobs[urgency as usize].pop_front() {
                return Some((urgency, job));
            }
        }
        if self.background + 1 < threads
            && let Some(job) = self.jobs[Urgency::Background as usize].pop_front()
        {
            self.background += 1;
            return Some((Urgency::Background, job));
        }
        None
    }
}

/// A worker that panics takes its job with it, and whoever waits for that waits for ever: the node is told, and ends.
struct Alarm<'a>(&'a dyn Employer);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.worker_died();
        }
    }
}

impl Node {
    /// Does `work` on a worker, and `then` with its result on this thread. Whether it will; not if too many such jobs
    /// wait.
    pub(super) fn later<T: Send + 'static>(
        &mut self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Self, T) -> Result<(), StoreFailure> + Send + 'static,
    ) -> bool {
        self.workers.submit(
            urgency,
            Box::new(move || {
                let result = work();
                Done { urgency, then: Box::new(move |node| then(node, result)) }
            }),
        )
    }

    /// A worker is done.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn worked(&mut self, done: Done) -> Result<(), StoreFailure> {
        self.workers.in_flight[done.urgency as usize] -= 1;
        (done.then)(self)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    const FOREVER: Duration = Duration::from_secs(3_600);

    fn job(urgency: Urgency, work: impl FnOnce() + Send + 'static) -> Job {
        Box::new(move || {
            work();
            Done { urgency, then: Box::new(|_| Ok(())) }
        })
    }

    #[test]
    fn duties_go_before_blocks_before_votes_and_what_takes_long_never_takes_every_worker() {
        let queues = Queues { threads: 2, ..Queues::default() };
        let push = |urgency| assert!(queues.push(urgency, job(urgency, || ())));
        let next = || queues.next().unwrap().0;
        let all = [Urgency::Background, Urgency::Vote, Urgency::Block, Urgency::Duty];
        all.into_iter().for_each(push);
        push(Urgency::Background);
        let taken: Vec<Urgency> = (0..4).map(|_| next()).collect();
        assert!(taken.iter().eq(all.iter().rev()), "{taken:?}");
        // One of the background runs, and the other thread is not for the second.
        push(Urgency::Vote);
        assert_eq!(next(), Urgency::Vote);
        queues.waiting.lock().background -= 1;
        assert_eq!(next(), Urgency::Background);
    }

    #[test]
    fn a_full_queue_gives_work_back() {
        let queues = Queues { threads: 2, ..Queues::default() };
        for _ in 0..WAITING_MAX {
            assert!(queues.push(Urgency::Vote, job(Urgency::Vote, || ())));
        }
        assert!(!queues.push(Urgency::Vote, job(Urgency::Vote, || ())));
        assert!(queues.push(Urgency::Duty, job(Urgency::Duty, || ())));
    }

    /// `None` says that a worker died.
    struct Heard(Mutex<mpsc::Sender<Option<Done>>>);

    impl Employer for Heard {
        fn worked(&self, done: Done) {
            self.0.lock().send(Some(done)).unwrap();
        }

        fn worker_died(&self) {
            self.0.lock().send(None).unwrap();
        }
    }

    #[test]
    fn work_comes_back_as_an_event_and_a_worker_that_dies_is_heard_of() {
        let (sender, heard) = mpsc::channel();
        let employer: Arc<dyn Employer> = Arc::new(Heard(Mutex::new(sender)));
        let mut workers = Workers::start(&employer).unwrap();
        let (sender, worked) = mpsc::channel();
        assert!(
            workers.submit(Urgency::Duty, job(Urgency::Duty, move || sender.send(()).unwrap()))
        );
        assert!(workers.is_busy());
        let came = heard.recv_timeout(FOREVER).unwrap().unwrap();
        assert_eq!(came.urgency, Urgency::Duty);
        assert_eq!(worked.try_recv(), Ok(()));
        let dies = || std::panic::resume_unwind(Box::new("as planned"));
        assert!(workers.submit(Urgency::Vote, job(Urgency::Vote, dies)));
        assert!(heard.recv_timeout(FOREVER).unwrap().is_none());
    }
}
