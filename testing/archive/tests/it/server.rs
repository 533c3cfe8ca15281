//! A real S3 endpoint over HTTP, in this process.

use std::{fs, net::SocketAddr, path::Path};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

/// The bucket that each has; its objects are files of the folder of this name.
pub const BUCKET: &str = "history";

/// Who has the keys of [`settings`].
pub fn access() -> SimpleAuth {
    SimpleAuth::from_single("lamella", "secret of a test")
}

/// Serves a folder, with a bucket in it, for as long as the runtime lives; without `access` to requests without a signature.
pub fn serve(folder: &Path, access: Option<SimpleAuth>) -> (SocketAddr, Runtime) {
    fs::create_dir(folder.join(BUCKET)).unwrap();
    let mut service = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
    if let Some(access) = access {
        service.set_auth(access);
    }
    let service = service.build();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    (address, runtime)
}

/// What says where an endpoint is and who asks it, in small letters; in capitals the environment takes it.
pub fn settings(endpoint: SocketAddr) -> [(&'static str, String); 4] {
    [
        ("aws_endpoint", format!("http://{endpoint}")),
        ("aws_region", "us-east-1".to_owned()),
        ("aws_access_key_id", "lamella".to_owned()),
        ("aws_secret_access_key", "secret of a test".to_owned()),
    ]
}
