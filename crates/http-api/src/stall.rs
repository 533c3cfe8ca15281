//! A connection that gives up on a client who does not read.
//!
//! An answer waits in memory until it is sent, so a client that stops reading would keep it there for ever. Only a
//! write without any progress counts: a slow client that still reads gets its answer, and a silent stream of
//! events, which writes nothing, stays open.

use std::{pin::Pin, time::Duration};

use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

/// A socket whose writes must make progress.
pub(super) type Impatient = Pin<Box<TimeoutStream<TcpStream>>>;

/// Bounds the wait of each write.
pub(super) fn impatient(socket: TcpStream, patience: Duration) -> Impatient {
    let mut stream = TimeoutStream::new(socket);
    stream.set_write_timeout(Some(patience));
    Box::pin(stream)
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::sleep,
    };

    use super::*;

    /// A connection: our impatient end, and the client's.
    async fn pair(patience: Duration) -> (Impatient, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (impatient(listener.accept().await.unwrap().0, patience), client)
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_given_up() {
        let (mut ours, _client) = pair(Duration::from_millis(20)).await;
        let written = ours.write_all(&vec![0; 64 << 20]).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_client_that_reads_gets_everything() {
        // Patience for one buffer, not for all of it.
        let (mut ours, mut client) = pair(Duration::from_secs(4)).await;
        let bytes = 32 << 20;
        let reading = tokio::spawn(async move {
            let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
            while read < bytes {
                read += client.read(&mut buffer).await.unwrap();
                sleep(Duration::from_millis(150)).await;
            }
        });
        ours.write_all(&vec![0; bytes]).await.unwrap();
        reading.await.unwrap();
    }
}
