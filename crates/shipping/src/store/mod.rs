//! A store of objects, as an archive needs it: put if absent, read whole, list, delete.
//!
//! The hard idea: the outcome of a put that failed is unknown. It may have happened, and its answer been lost; it may
//! happen later. So a put that fails is tried again as it is, and what it then finds there is for the caller to compare
//! with what it meant: an object is never replaced, and never believed to be ours because we sent one like it.
//!
//! Every size is judged before the bytes are taken, every list is bounded, every wait ends. Waiting is what the threads
//! of callers do here: no runtime and no future leave this crate.

mod error;
mod node;

use std::{
    fs,
    future::Future,
    io::{
        self,
        ErrorKind::{InvalidInput, PermissionDenied},
    },
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{
    Attributes, ClientOptions, Error, GetOptions, GetResult, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

pub use error::StoreError;

/// How often an operation is tried. What the store says the last time is what the caller hears.
pub const ATTEMPTS_MAX: u32 = 4;

/// Wait before the second attempt; before each further one it is twice as long: 1.4 s in all.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Longest that one attempt may take, whatever the store's own client thinks: but for sidecars of proofs, which have
/// [`BYTES_PER_SECOND_MIN`], our objects are under a few MB.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(60);

/// What a store has to take of a large object: 1 MB/s, 8.5 minutes for the largest there can be.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// Longest that the store's own client waits for an answer: as long as an attempt with the largest object, 512 MiB.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(60 + 513);

/// Longest that a client retries below one of our attempts. Its own default is three minutes.
const CLIENT_RETRY_TIME_MAX: Duration = Duration::from_secs(10);

/// Entries right in a folder that are taken at most, whatever their reader's own limit: as many as there are writers of tails.
const ENTRIES_MAX: usize = 4_096;

/// Whether objects will be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// They are read: a folder that is not there is an error.
    Read,
    /// They are put: a folder is made.
    Write,
}

/// What a put found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Nothing; the object is there now.
    New,
    /// An object of this name, which is as it was: perhaps ours, put by an attempt whose answer was lost.
    Exists,
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name, from the store's prefix on.
    pub name: String,
    /// Its bytes; 0 of a segment that a node makes only when it is asked for.
    pub bytes: u64,
    /// Seconds since it was last changed, by the store's clock and ours; below zero if that lies ahead, so that of two the
    /// later one is the younger whatever our clock says.
    pub age_s: i64,
}

/// What lies right in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Names of the folders in it.
    pub folders: Vec<String>,
    /// Its objects.
    pub objects: Vec<Listed>,
}

/// Where the objects of an archive are.
pub struct Store {
    url: String,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
    prefix: Path,
    objects: Arc<dyn ObjectStore>,
    runtime: Runtime,
    first_pause: Duration,
    attempt_time_max: Duration,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store at an address: a folder, `file://` and a folder, `s3://bucket/prefix`, which takes its keys,
    /// region and endpoint from `AWS_*` as other tools do, or `http://host:port` of a node, which is only read.
    ///
    /// # Errors
    /// [`StoreError::Address`]. A bucket is not asked for anything yet.
    pub fn open(url: &str, access: Access) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::Address { url: url.to_owned(), reason };
        let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
        match scheme {
            "file" if rest.is_empty() => Err(bad("no folder".to_owned())),
            "file" => {
                let folder = PathBuf::from(rest);
                if access == Access::Write {
                    make_folder(&folder).map_err(|error| bad(error.to_string()))?;
                }
                let objects = LocalFileSystem::new_with_prefix(&folder);
                // Without the flush an object that was acknowledged could be gone after a power cut.
                let objects = objects.map_err(|error| bad(error.to_string()))?.with_fsync(true);
                let store = Self::over(Arc::new(objects), url, "", FIRST_PAUSE)?;
                Ok(Self { folder: Some(folder), ..store })
            }
            "s3" => Self::in_bucket(url, &[]),
            "http" | "https" if access == Access::Write => {
                Err(bad("a node's archive is only read".to_owned()))
            }
            "http" | "https" => {
                let node = node::Node::new(url, ATTEMPT_TIME_MAX);
                Self::over(Arc::new(node), url, "", FIRST_PAUSE)
            }
            other => Err(bad(format!("{other}:// is not known"))),
        }
    }

    /// A bucket, with settings beside those of the environment: `aws_endpoint` and the like.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn in_bucket(url: &str, settings: &[(&str, &str)]) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::Address { url: url.to_owned(), reason };
        let rest = url.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("no bucket".to_owned()));
        }
        let objects = s3(bucket, settings).map_err(|error| bad(error.to_string()))?;
        Self::over(objects, url, prefix, FIRST_PAUSE)
    }

    /// A store over objects that somebody else made, for tests: with no pause between attempts.
    ///
    /// # Errors
    /// [`StoreError::Address`] if the system gives no timer.
    #[doc(hidden)]
    pub fn of_objects(objects: Arc<dyn ObjectStore>, url: &str) -> Result<Self, StoreError> {
        Self::over(objects, url, "", Duration::ZERO)
    }

    /// With another limit for attempts, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_attempt_time(self, attempt_time_max: Duration) -> Self {
        Self { attempt_time_max, ..self }
    }

    fn over(
        objects: Arc<dyn ObjectStore>,
        url: &str,
        prefix: &str,
        first_pause: Duration,
    ) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::Address { url: url.to_owned(), reason };
        let prefix = Path::parse(prefix).map_err(|error| bad(error.to_string()))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            url: url.to_owned(),
            folder: None,
            prefix,
            objects,
            runtime,
            first_pause,
            attempt_time_max: ATTEMPT_TIME_MAX,
        })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts an object, if there is none of its name.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: whether it is there is not known.
    pub fn put_new(&self, name: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        self.put_new_parts(name, vec![bytes.to_vec()])
    }

    /// As [`Store::put_new`], of an object that is large and lies in parts: it is held once.
    ///
    /// # Errors
    /// As [`Store::put_new`].
    pub fn put_new_parts(&self, name: &str, parts: Vec<Vec<u8>>) -> Result<Put, StoreError> {
        let path = self.path(name);
        let payload: PutPayload = parts.into_iter().flat_map(PutPayload::from).collect();
        let seconds = payload.content_length() as u64 / BYTES_PER_SECOND_MIN;
        let time_max = self.attempt_time_max + Duration::from_secs(seconds);
        let put = || async {
            let mode = PutMode::Create;
            let options = PutOptions { mode, attributes: Attributes::new(), ..Default::default() };
            match self.objects.put_opts(&path, payload.clone(), options).await {
                Ok(_) => Ok(Put::New),
                Err(Error::AlreadyExists { .. }) => Ok(Put::Exists),
                Err(error) => Err(error),
            }
        };
        let put = self.attempt_within(time_max, "put", name, put)?;
        if put == Put::Exists {
            self.settle(name)?;
        }
        Ok(put)
    }

    /// Makes an object that is there durable, with its name: whoever put it may have been killed before it was. Of a bucket what
    /// is there is that already.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: it may be gone after a power cut.
    pub fn settle(&self, name: &str) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let place = folder.join(name);
        for place in place.ancestors().take_while(|place| place.starts_with(folder)) {
            fs::File::open(place).and_then(|place| place.sync_all()).map_err(|error| {
                let (url, name, reason) = (self.url.clone(), name.to_owned(), error.to_string());
                StoreError::Failed { url, name, operation: "flush", attempts: 1, reason }
            })?;
        }
        Ok(())
    }

    /// Bytes of an object; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::Failed`], which is not an absence.
    pub fn size(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = self.path(name);
        let head = || async {
            match self.objects.head(&path).await {
                Ok(meta) => Ok(Some(meta.size)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.attempt("look for", name, head)
    }

    /// A part of an object, exactly these bytes of it; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::Failed`], which is not an absence; also where the object ends before, and before any byte is taken where
    /// the store answers another part, as a node does, which gives whole objects.
    pub fn range(&self, name: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        if range.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let path = self.path(name);
        let get = || async {
            let options = GetOptions::new().with_range(Some(range.clone()));
            match self.objects.get_opts(&path, options).await {
                Ok(found) if found.range != range => Err(other_range(&found.range, &range)),
                Ok(found) => read_all(found, range.end - range.start).await.map(Some),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.attempt("read", name, get)
    }

    /// The whole of an object; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] before its bytes are taken; [`StoreError::Failed`], which is not an absence;
    /// [`StoreError::NotHeld`], which no waiting helps.
    pub fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let get = || async {
            match self.objects.get_opts(&path, GetOptions::default()).await {
                Ok(found) => read(found, bytes_max).await,
                Err(Error::NotFound { source, .. }) => {
                    let said = source.downcast_ref::<node::NotHeld>();
                    Ok(said.map_or(Read::Absent, |said| Read::NotHeld(said.to_string())))
                }
                Err(error) => Err(error),
            }
        };
        match self.attempt("read", name, get)? {
            Read::Whole(bytes) => Ok(Some(bytes)),
            Read::Absent => Ok(None),
            Read::NotHeld(reason) => {
                let (url, name) = (self.url.clone(), name.to_owned());
                Err(StoreError::NotHeld { url, name, reason })
            }
            Read::TooLong(bytes) => {
                let (url, name) = (self.url.clone(), name.to_owned());
                Err(StoreError::TooLong { url, name, bytes, bytes_max })
            }
        }
    }

    /// The objects of a folder and of the folders in it, by name; none if it is not there.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] if there are more than `objects_max`.
    pub fn list(&self, folder: &str, objects_max: usize) -> Result<Vec<Listed>, StoreError> {
        self.list_after(folder, None, objects_max)
    }

    /// As [`Store::list`], those whose names come after one: a bucket tells no others.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn list_after(
        &self,
        folder: &str,
        after: Option<&str>,
        objects_max: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let (path, after) = (self.path(folder), after.map(|after| self.path(after)));
        let list = || async {
            let found = match &after {
                Some(after) => self.objects.list_with_offset(Some(&path), after),
                None => self.objects.list(Some(&path)),
            };
            found.take(objects_max + 1).try_collect::<Vec<_>>().await
        };
        let found = self.attempt("list", folder, list)?;
        self.check_count(folder, found.len(), objects_max)?;
        let mut listed: Vec<Listed> =
            found.into_iter().filter_map(|meta| self.listed(meta)).collect();
        listed.sort_unstable();
        Ok(listed)
    }

    /// What lies right in a folder, by name; nothing if it is not there. The empty name is the prefix itself.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] if there is more than `entries_max`, or than any folder has: 4,096.
    pub fn entries(&self, folder: &str, entries_max: usize) -> Result<Entries, StoreError> {
        let path = self.path(folder);
        let prefix = (!path.as_ref().is_empty()).then_some(&path);
        let list = || async { self.objects.list_with_delimiter(prefix).await };
        let folder = format!("{folder}/");
        let found = self.attempt("list", &folder, list)?;
        // A node's list ends beyond that many, and must not pass for a whole one.
        let entries_max = entries_max.min(ENTRIES_MAX);
        self.check_count(&folder, found.common_prefixes.len() + found.objects.len(), entries_max)?;
        let names = found.common_prefixes.iter();
        let mut folders: Vec<String> =
            names.filter_map(|path| path.filename().map(ToOwned::to_owned)).collect();
        folders.sort_unstable();
        let objects = found.objects.into_iter().filter_map(|meta| self.listed(meta)).collect();
        Ok(Entries { folders, objects })
    }

    fn check_count(
        &self,
        folder: &str,
        count: usize,
        objects_max: usize,
    ) -> Result<(), StoreError> {
        if count <= objects_max {
            return Ok(());
        }
        let (url, name) = (self.url.clone(), folder.to_owned());
        Err(StoreError::TooMany { url, name, objects_max })
    }

    fn listed(&self, meta: ObjectMeta) -> Option<Listed> {
        let parts = meta.location.prefix_match(&self.prefix)?;
        let name = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let age_s = now.saturating_sub(meta.last_modified.timestamp());
        Some(Listed { name, bytes: meta.size, age_s })
    }

    /// Deletes an object. That there is none of its name is no error.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let delete = || async {
            match self.objects.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.attempt("delete", name, delete)
    }

    /// Waits as between two attempts.
    pub(crate) fn pause(&self) {
        std::thread::sleep(self.first_pause);
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), Path::join)
    }

    /// Does it until it succeeds, [`ATTEMPTS_MAX`] times at most, each within [`ATTEMPT_TIME_MAX`].
    fn attempt<T, F: Future<Output = Result<T, Error>>>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        self.attempt_within(self.attempt_time_max, operation, name, work)
    }

    fn attempt_within<T, F: Future<Output = Result<T, Error>>>(
        &self,
        time_max: Duration,
        operation: &'static str,
        name: &str,
        work: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(async {
            let (mut reason, mut pause) = (String::new(), self.first_pause);
            for attempt in 1..=ATTEMPTS_MAX {
                match timeout(time_max, work()).await {
                    Ok(Ok(done)) => return Ok(done),
                    Ok(Err(error)) => reason = said(&error),
                    Err(_) => reason = format!("no answer in {} s", time_max.as_secs()),
                }
                if attempt < ATTEMPTS_MAX {
                    sleep(pause).await;
                    pause *= 2;
                }
            }
            let (url, name, attempts) = (self.url.clone(), name.to_owned(), ATTEMPTS_MAX);
            Err(StoreError::Failed { url, name, operation, attempts, reason })
        })
    }
}

/// Folders in each other below an archive's own: of the network, of the tails, of a writer.
const FOLDERS_DEEP: u32 = 3;

/// Makes a folder. Its name is durable then, with every name on the way to it and in it: a run may have made them that was killed
/// since.
fn make_folder(folder: &std::path::Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    flush_within(folder, FOLDERS_DEEP)?;
    for above in folder.canonicalize()?.ancestors().skip(1) {
        match fs::File::open(above).and_then(|above| above.sync_all()) {
            // Nobody like us has made anything in it: closed to us, or of a file system that is only read.
            Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput) => {}
            flushed => flushed?,
        }
    }
    Ok(())
}

/// Flushes which names there are in a folder, and in those in it.
fn flush_within(folder: &std::path::Path, deep: u32) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()?;
    if deep == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match flush_within(&entry.path(), deep - 1) {
                // `lost+found`, where the folder is a disk's: nobody like us has made anything in it.
                Err(error) if error.kind() == PermissionDenied => {}
                flushed => flushed?,
            }
        }
    }
    Ok(())
}

/// What a reading found.
enum Read {
    Whole(Vec<u8>),
    Absent,
    /// Absent, and why that will not change.
    NotHeld(String),
    /// Too long, with so many bytes at least.
    TooLong(u64),
}

/// The bytes of an object: what it says of its length is judged first, and not believed after.
async fn read(found: GetResult, bytes_max: u64) -> Result<Read, Error> {
    if found.meta.size > bytes_max {
        return Ok(Read::TooLong(found.meta.size));
    }
    let expected = found.meta.size;
    let mut bytes = Vec::new();
    let mut parts = found.into_stream();
    while let Some(part) = parts.try_next().await? {
        bytes.extend_from_slice(&part);
        if bytes.len() as u64 > bytes_max {
            return Ok(Read::TooLong(bytes.len() as u64));
        }
    }
    if bytes.len() as u64 != expected {
        let cut = format!("{} bytes came of {expected}", bytes.len());
        return Err(Error::Generic { store: "archive", source: cut.into() });
    }
    Ok(Read::Whole(bytes))
}

/// That another part of an object came than was asked for.
fn other_range(got: &Range<u64>, expected: &Range<u64>) -> Error {
    let other = format!("bytes {got:?} are answered, {expected:?} were asked for");
    Error::Generic { store: "archive", source: other.into() }
}

/// Exactly so many bytes.
async fn read_all(found: GetResult, expected: u64) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut parts) = (Vec::new(), found.into_stream());
    while let Some(part) = parts.try_next().await? {
        bytes.extend_from_slice(&part);
        if bytes.len() as u64 > expected {
            break;
        }
    }
    if bytes.len() as u64 == expected {
        return Ok(bytes);
    }
    let other = format!("{} bytes came, {expected} were asked for", bytes.len());
    Err(Error::Generic { store: "archive", source: other.into() })
}

/// An error with what is behind it, on one line and not longer than a line should be.
fn said(error: &Error) -> String {
    const CHARS_MAX: usize = 400;
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(CHARS_MAX).collect()
}

fn s3(bucket: &str, settings: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, Error> {
    let retry = RetryConfig {
        max_retries: 3,
        retry_timeout: CLIENT_RETRY_TIME_MAX,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env();
    for (name, value) in settings {
        builder = builder.with_config(name.parse()?, *value);
    }
    // An endpoint that is not encrypted was asked for by its own name.
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_default();
    let options = ClientOptions::new()
        .with_allow_http(endpoint.starts_with("http://"))
        .with_timeout(CLIENT_TIME_MAX);
    let builder = builder.with_bucket_name(bucket).with_retry(retry).with_client_options(options);
    Ok(Arc::new(builder.build()?))
}
