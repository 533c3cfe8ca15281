//! Sockets, connections, and the server's own thread.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
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
use tracing::{debug, info, warn};

use super::{
    ApiContext, metrics_router, router,
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

/// Where to listen.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// Address of both ports.
    pub address: IpAddr,
    /// Port of the API; 0 picks a free one.
    pub api_port: u16,
    /// Port of the metrics; 0 picks a free one. The API's port has them too, and if this is the same one, alone.
    pub metrics_port: Option<u16>,
}

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
    let own_port = config.metrics_port.filter(|port| *port == 0 || *port != config.api_port);
    let metrics = own_port.map(|port| bind("--metrics-port", config.address, port)).transpose()?;
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    let mut ports = vec![(api, router(Arc::clone(&context)))];
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
    let run = move || run(runtime, ports, context, stopped);
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
        let connections = context.limits.connections;
        for (listener, router) in ports {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    tasks.spawn(accept(listener, router, connections, stopped.clone()));
                }
                Err(error) => warn!(%error, "HTTP port lost"),
            }
        }
        let sampling = tokio::spawn(sample(context));
        tasks.join_all().await;
        sampling.abort();
    });
    // A read that is still running ends by itself; nobody waits for its answer.
    runtime.shutdown_timeout(STOP_GRACE);
}

/// Takes connections until the server stops.
async fn accept(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(connections_max));
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
            (Some(place), Ok((socket, _))) => {
                let served = graceful.watch(connection(socket, router.clone()));
                tokio::spawn(async move {
                    if let Err(error) = served.await {
                        debug!(%error, "HTTP connection ended");
                    }
                    drop(place);
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
    router: Router,
) -> http1::Connection<TokioIo<Impatient>, TowerToHyperService<Router>> {
    // Answers go out whole; only events are small, and they should not wait.
    let _ = socket.set_nodelay(true);
    let socket = TokioIo::new(impatient(socket, STALL_TIMEOUT));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(socket, TowerToHyperService::new(router))
}

/// Ends when the server is to stop.
async fn stop_requested(stopped: &mut watch::Receiver<bool>) {
    // A server that is gone is a reason, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Keeps the sizes that a scrape shows at most [`SAMPLE_INTERVAL`] old.
async fn sample(context: Arc<ApiContext>) {
    let mut ticks = interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
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
