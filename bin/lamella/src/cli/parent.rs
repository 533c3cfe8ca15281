//! A node that ends with whoever started it.

use std::{io, process, thread, time::Duration};

/// Time for an orderly end; then the process goes at once, which loses nothing that it acknowledged.
const GRACE: Duration = Duration::from_secs(10);

/// Calls `stop` when standard input closes: whoever holds its other end let go of it, or is gone, SIGKILL included.
///
/// # Errors
/// The system gives no thread.
pub(super) fn stop_when_stdin_closes(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let watch = move || {
        // What is written to it is of no interest; an error is an end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop();
        thread::sleep(GRACE);
        process::exit(1);
    };
    thread::Builder::new().name("parent".into()).spawn(watch).map(drop)
}
