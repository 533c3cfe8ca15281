//! Sockets, connections, and the server's own thread.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use lamella_inspect::StoreError;
use lamella_metrics::StorageSample;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{
    ApiContext, Ended, ServerConfig,
    access::Access,
    clients::Client,
    routes::{metrics_router, router},
    stall::{Impatient, impatient},
};

/// Threads that serve sockets; reads of the chain have threads of their own.
const WORKERS: usize = 2;

/// Longest wait for a request's head, and so for the next request of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a request's head, and of what is buffered of an answer.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Longest wait of an answer for a client that reads nothing of it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for answers under way when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Time between two looks at what is too costly for a scrape; Prometheus scrapes every 15 s.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A port cannot be had.
    #[error("cannot listen on TCP {address}: {source}; choose another {flag}, 0 for any free one")]
    Bind {
        /// The flag that names it.
        flag: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The server's threads cannot be started.
    #[error("cannot start the HTTP server: {0}")]
    Start(#[from] io::Error),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct ApiServer {
    api_address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the server on a thread of its own.
///
/// # Errors
/// [`ServeError`]: the ports are bound before it returns, so a port in use is known at start.
pub fn serve(config: &ServerConfig, context: Arc<ApiContext>) -> Result<ApiServer, ServeError> {
    let (api, api_address) = bind("--api-port", config.address, config.api_port)?;
    let metrics_ip = config.metrics_address.unwrap_or(config.address);
    let is_own =
        |port: &u16| *port == 0 || *port != config.api_port || metrics_ip != config.address;
    let own_port = config.metrics_port.filter(is_own);
    let metrics = own_port.map(|port| bind("--metrics-port", metrics_ip, port)).transpose()?;
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    let mut ports = vec![(api, router(Arc::clone(&context), Access::new(config), &config.pages))];
    if let Some((listener, _)) = metrics {
        ports.push((listener, metrics_router(Arc::clone(&context))));
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        // The reads, and the sampling of sizes.
        .max_blocking_threads(context.limits.reads + 1)
        .thread_name("http")
        .enable_all()
        .build()?;
    let (stop, stopped) = watch::channel(false);
    let ends = Ends { ended: context.ended.clone(), stopped: stopped.clone() };
    let run = move || {
        let _ends = ends;
        run(runtime, ports, context, stopped);
    };
    let thread = thread::Builder::new().name("http-main".to_owned()).spawn(run)?;
    let metrics_at = metrics_address.unwrap_or(api_address);
    info!(api = %api_address, metrics = %metrics_at, "HTTP API listening");
    Ok(ApiServer { api_address, metrics_address, stop, thread: Some(thread) })
}

impl ApiServer {
    /// Where the API listens.
    #[must_use]
    pub const fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// Where the metrics have a port of their own.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Takes no more requests, finishes those under way for a second, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the server's has been reported by its thread.
            let _ = thread.join();
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells the node when the server's thread is over, however it came to that.
struct Ends {
    ended: Option<Ended>,
    stopped: watch::Receiver<bool>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !*self.stopped.borrow()
            && let Some(ended) = &self.ended
        {
            ended();
        }
    }
}

fn bind(
    flag: &'static str,
    address: IpAddr,
    port: u16,
) -> Result<(StdListener, SocketAddr), ServeError> {
    let address = SocketAddr::new(address, port);
    let failed = |source| ServeError::Bind { flag, address, source };
    let listener = StdListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn run(
    runtime: Runtime,
    ports: Vec<(StdListener, Router)>,
    context: Arc<ApiContext>,
    stopped: watch::Receiver<bool>,
) {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for (listener, router) in ports {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let context = Arc::clone(&context);
                    tasks.spawn(accept(listener, router, context, stopped.clone()));
                }
                Err(error) => {
                    error!(%error, "HTTP port lost");
                    return;
                }
            }
        }
        tasks.spawn(sample(context, stopped.clone()));
        while let Some(ended) = tasks.join_next().await {
            if !*stopped.borrow() {
                // One that panicked has said so; the others are of no use without it.
                error!(panicked = ended.is_err(), "HTTP server lost one of its tasks");
                return;
            }
        }
    });
    // A read that is still running ends by itself; nobody waits for its answer.
    runtime.shutdown_timeout(STOP_GRACE);
}

/// Takes connections until the server stops.
async fn accept(
    listener: TcpListener,
    router: Router,
    context: Arc<ApiContext>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(context.limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let next = async {
            let place = place.await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop_requested(&mut stopped) => break,
            next = next => next,
        };
        match (place, accepted) {
            (Some(place), Ok((socket, from))) => {
                let Some((client, part)) = context.clients.connect(from.ip()) else {
                    debug!(%from, "HTTP connection refused: its address has enough of them");
                    context.metrics.storage.count_refused_read();
                    continue;
                };
                let served = graceful.watch(connection(socket, client, router.clone()));
                tokio::spawn(async move {
                    if let Err(error) = served.await {
                        debug!(%error, "HTTP connection ended");
                    }
                    drop((place, part));
                });
            }
            (None, _) => break,
            // Out of file descriptors, or a client that left: neither is a reason to stop, nor to spin.
            (_, Err(error)) => {
                debug!(%error, "HTTP connection not accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    // Streams of events do not end by themselves: what the grace leaves goes with the runtime.
    let _ = timeout(STOP_GRACE, graceful.shutdown()).await;
}

/// A connection that is served as long as it is polled.
fn connection(
    socket: TcpStream,
    client: Client,
    router: Router,
) -> http1::Connection<TokioIo<Impatient>, Served> {
    // Answers go out whole; only events are small, and they should not wait.
    let _ = socket.set_nodelay(true);
    let socket = TokioIo::new(impatient(socket, STALL_TIMEOUT));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(socket, Served { client, router: TowerToHyperService::new(router) })
}

/// The routes, for one client's requests.
struct Served {
    client: Client,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for Served {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client.clone());
        self.router.call(request)
    }
}

/// Ends when the server is to stop.
async fn stop_requested(stopped: &mut watch::Receiver<bool>) {
    // A server that is gone is a reason, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Keeps the sizes that a scrape shows at most [`SAMPLE_INTERVAL`] old.
async fn sample(context: Arc<ApiContext>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop_requested(&mut stopped) => return,
            _ = ticks.tick() => {}
        }
        let chain = context.chain.clone();
        match spawn_blocking(move || StorageSample::read(chain.chain())).await {
            Ok(Ok(sample)) => context.metrics.observe_storage(&sample),
            Ok(Err(error)) => {
                let error = StoreError::from(error);
                warn!(%error, "Sizes of the store are not known");
                if error.is_unusable() {
                    (context.store_failed)(error);
                }
            }
            Err(error) => warn!(%error, "Sizes of the store are not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Symptom: a panic in the server's thread left a node without API and metrics, for ever, with one line in the log.
    /// Mechanism: nobody asked whether the thread was still there. Fix: its end tells the node, unless it was told to stop.
    #[test]
    fn a_server_that_ends_by_itself_tells_the_node_and_one_that_is_stopped_does_not() {
        for (is_stopped, expected) in [(false, true), (true, false)] {
            let told = Arc::new(AtomicBool::new(false));
            let (stop, stopped) = watch::channel(false);
            stop.send_replace(is_stopped);
            let ended = Arc::clone(&told);
            let ends = Ends {
                ended: Some(Arc::new(move || ended.store(true, Ordering::Relaxed))),
                stopped,
            };
            let thread = thread::spawn(move || {
                let _ends = ends;
                panic!("a bug");
            });
            assert!(thread.join().is_err());
            assert_eq!(told.load(Ordering::Relaxed), expected);
        }
    }
}
