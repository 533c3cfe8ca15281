//! A store that fails as stores do, by a seed: nothing in it depends on time.
//!
//! What it may do to an operation: refuse it before it has an effect, or after; leave a put torn, and say so or not; show
//! an object late, to reads and to lists, by so many operations; flip a bit of what is read, or cut it. After its last
//! operation it answers nothing more, which is how a process that is killed there looks to the store. What is in it
//! outlives it, in [`Backing`].

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use lamella_benches::Random;
use lamella_shipping::store::Store;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, memory::InMemory, path::Path,
};

/// Operations after which the latest object is shown to everybody.
const LAG_MAX: u64 = 12;

/// What a store holds.
#[derive(Clone, Default)]
pub struct Backing {
    pub objects: Arc<InMemory>,
    /// Operations so far.
    operations: Arc<AtomicU64>,
    /// From which operation on an object is shown to reads, and to lists.
    shown: Arc<Mutex<HashMap<Path, (u64, u64)>>>,
    /// What lists say that objects are older than they are.
    older_by: Duration,
}

impl Backing {
    /// The same, whose lists say that objects are older than they are.
    pub fn older_by(self, older_by: Duration) -> Self {
        Self { older_by, ..self }
    }

    /// Every object, by name.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let read = self.objects.list(None).and_then(|meta| async move {
            let bytes = self.objects.get(&meta.location).await?.bytes().await?;
            Ok((meta.location.to_string(), bytes.to_vec()))
        });
        futures::executor::block_on(read.try_collect()).unwrap()
    }

    /// A store of these objects.
    pub fn of(contents: &BTreeMap<String, Vec<u8>>) -> Self {
        let backing = Self::default();
        for (name, bytes) in contents {
            let path = Path::from(name.as_str());
            let put = backing.objects.put(&path, bytes.clone().into());
            futures::executor::block_on(put).unwrap();
        }
        backing
    }

    /// A store that does what it says, until it answers nothing more.
    pub fn honest(&self, operations: u64) -> Store {
        let objects = Faulty::new(self, Faults::default(), 0, operations);
        Store::of_objects(Arc::new(objects), "honest://").unwrap()
    }

    /// Deletes an object below a folder of any network, as somebody else might. Whether there was one.
    pub fn lose_one(&self, folder: &str, random: &mut Random) -> bool {
        let paths = self.objects.list(None).map_ok(|meta| meta.location).try_collect::<Vec<_>>();
        let mut paths = futures::executor::block_on(paths).unwrap();
        paths.retain(|path| path.as_ref().contains(folder));
        let Some(path) = paths.get(random.number() as usize % paths.len().max(1)) else {
            return false;
        };
        futures::executor::block_on(self.objects.delete(path)).unwrap();
        true
    }

    /// The same objects, none of them late.
    pub fn shown_to_all(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), ..Self::default() }
    }
}

/// What is to go wrong, in parts of a thousand operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub refused: u64,
    pub acknowledgement_lost: u64,
    pub torn: u64,
    pub lagging: u64,
    pub flipped: u64,
    pub cut: u64,
}

/// What somebody else does, and before which operation.
type Intruder = (u64, Box<dyn FnOnce() + Send>);

/// The store over what it holds.
pub struct Faulty {
    backing: Backing,
    faults: Faults,
    random: Mutex<Random>,
    /// Operations until the process is killed.
    left: AtomicU64,
    intruder: Mutex<Option<Intruder>>,
}

impl Faulty {
    pub fn new(backing: &Backing, faults: Faults, seed: u64, operations: u64) -> Self {
        let (random, left) = (Mutex::new(Random::new(seed)), AtomicU64::new(operations));
        Self { backing: backing.clone(), faults, random, left, intruder: Mutex::new(None) }
    }

    /// Has somebody else act before one of the operations.
    pub fn with_intruder(self, operation: u64, act: impl FnOnce() + Send + 'static) -> Self {
        *self.intruder.lock().unwrap() = Some((operation, Box::new(act)));
        self
    }

    fn happens(&self, parts: u64) -> bool {
        parts > 0 && self.random.lock().unwrap().per_mille(parts)
    }

    fn up_to(&self, most: u64) -> u64 {
        self.random.lock().unwrap().number() % (most + 1)
    }

    /// Counts an operation; an error if it is refused, or nobody is there any more.
    fn begin(&self) -> Result<u64> {
        let operation = self.backing.operations.fetch_add(1, Ordering::Relaxed);
        let mut intruder = self.intruder.lock().unwrap();
        if intruder.as_ref().is_some_and(|(at, _)| *at <= operation)
            && let Some((_, act)) = intruder.take()
        {
            drop(intruder);
            std::thread::spawn(act).join().unwrap();
        }
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(failure("the process was killed"));
        }
        self.left.store(left - 1, Ordering::Relaxed);
        if self.happens(self.faults.refused) { Err(failure("refused")) } else { Ok(operation) }
    }

    fn is_shown(&self, path: &Path, operation: u64, to_lists: bool) -> bool {
        let shown = self.backing.shown.lock().unwrap();
        let Some((reads, lists)) = shown.get(path) else { return true };
        operation >= if to_lists { *lists } else { *reads }
    }
}

fn failure(what: &str) -> Error {
    Error::Generic { store: "faulty", source: what.to_owned().into() }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let operation = self.begin()?;
        let objects = &self.backing.objects;
        if self.happens(self.faults.torn) {
            let whole: Vec<u8> = payload.iter().flatten().copied().collect();
            let kept = self.up_to(whole.len() as u64) as usize;
            let put = objects.put_opts(path, whole[..kept].to_vec().into(), options).await?;
            return if self.happens(500) { Ok(put) } else { Err(failure("torn")) };
        }
        let put = objects.put_opts(path, payload, options).await?;
        if self.happens(self.faults.lagging) {
            let (reads, lists) = (self.up_to(2), self.up_to(LAG_MAX));
            let shown = (operation + 1 + reads, operation + 1 + lists);
            self.backing.shown.lock().unwrap().insert(path.clone(), shown);
        }
        if self.happens(self.faults.acknowledgement_lost) {
            return Err(failure("the acknowledgement was lost"));
        }
        Ok(put)
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = self.begin()?;
        let found = self.backing.objects.get_opts(path, options).await?;
        if !self.is_shown(path, operation, false) {
            let source = "not shown yet".into();
            return Err(Error::NotFound { path: path.to_string(), source });
        }
        let (meta, range, attributes) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let mut bytes = found.bytes().await?.to_vec();
        if !bytes.is_empty() && self.happens(self.faults.flipped) {
            let at = self.up_to(bytes.len() as u64 - 1) as usize;
            bytes[at] ^= 1 << self.up_to(7);
        }
        if self.happens(self.faults.cut) {
            bytes.truncate(self.up_to(bytes.len() as u64) as usize);
        }
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes.into())]).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.begin() {
            Ok(_) => self.backing.objects.delete_stream(paths),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let operation = match self.begin() {
            Ok(operation) => operation,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let listed = futures::executor::block_on(self.backing.objects.list(prefix).try_collect());
        let listed: Vec<ObjectMeta> = listed.unwrap();
        let shown =
            listed.into_iter().filter(|meta| self.is_shown(&meta.location, operation, true));
        let shown = shown.map(|mut meta| {
            meta.last_modified -= self.backing.older_by;
            meta
        });
        stream::iter(shown.map(Ok).collect::<Vec<_>>()).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let operation = self.begin()?;
        let mut found = self.backing.objects.list_with_delimiter(prefix).await?;
        found.objects.retain(|meta| self.is_shown(&meta.location, operation, true));
        let mut shown = Vec::new();
        for folder in found.common_prefixes {
            let below = self.backing.objects.list(Some(&folder)).try_collect::<Vec<_>>().await?;
            if below.iter().any(|meta| self.is_shown(&meta.location, operation, true)) {
                shown.push(folder);
            }
        }
        found.common_prefixes = shown;
        Ok(found)
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(failure("an archive's objects are put whole"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failure("an archive copies nothing"))
    }
}
