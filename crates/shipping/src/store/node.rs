//! The archive that a node serves at `/lean/v0/archive`, as a store that is only read.
//!
//! The hard idea: a node is a source like any other, and believed as little: what it lists only says where to look, what it
//! gives is verified by whoever fetched it. What it says beyond a folder is why it lacks something: that it began at a
//! checkpoint is not an absence that waiting helps.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    path::Path,
};
use serde::Deserialize;
use tokio::task::yield_now;
use ureq::{Agent, Body, http::Response};

use super::ENTRIES_MAX;

/// Where a node serves its archive.
const ARCHIVE_PATH: &str = "/lean/v0/archive";

/// Time for name, connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest silence, before and in an answer. A node makes one segment at a time, for whoever waits.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Bytes of a page of a list: 1,000 names of under 120 bytes.
const PAGE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a name in a list: the longest, a frontier's, has 89. A page could hold one of nearly a megabyte.
const NAME_BYTES_MAX: usize = 128;

/// Bytes of a refusal.
const REFUSAL_BYTES_MAX: u64 = 16 << 10;

/// Redirects followed for one request.
const REDIRECTS_MAX: u32 = 5;

/// What a node answers of history that it never had.
const BEFORE_BOOTSTRAP: &str = "before_bootstrap";

/// That a node does not hold an object, by its own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotHeld(String);

/// The objects of a node.
#[derive(Debug)]
pub(super) struct Node {
    agent: Agent,
    /// Address up to the folders of networks, without a slash at its end.
    base: String,
}

#[derive(Deserialize)]
struct Networks {
    networks: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    objects: Vec<Object>,
    more: bool,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    code: String,
}

impl Node {
    /// The node at an address, each of whose answers ends within `answer_time_max`. Without a path it is the API's own.
    pub(super) fn new(url: &str, answer_time_max: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(answer_time_max))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(SILENCE_MAX))
            .timeout_recv_response(Some(SILENCE_MAX))
            .max_redirects(REDIRECTS_MAX)
            .http_status_as_error(false)
            // One from the environment would be asked for loopback addresses too.
            .proxy(None)
            .build();
        let base = url.trim_end_matches('/');
        let has_path = base.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        let path = if has_path { "" } else { ARCHIVE_PATH };
        Self { agent: config.new_agent(), base: format!("{base}{path}") }
    }

    /// A good answer to a request for what is below the base.
    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Response<Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        let mut response = request.call().map_err(failed)?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        let body = response.body_mut().with_config().limit(REFUSAL_BYTES_MAX).read_to_vec();
        let said = body.ok().and_then(|body| serde_json::from_slice::<Refusal>(&body).ok());
        let text = said.as_ref().map_or_else(|| "no reason".to_owned(), |said| said.error.clone());
        if status == 404 {
            let is_not_held = said.is_some_and(|said| said.code == BEFORE_BOOTSTRAP);
            let source = if is_not_held { NotHeld(text).into() } else { text.into() };
            return Err(Error::NotFound { path: path.to_owned(), source });
        }
        Err(failed(format!("status {status}: {text}")))
    }

    fn get_json<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        let mut response = self.get(path, query)?;
        let body = response.body_mut().with_config().limit(PAGE_BYTES_MAX).read_to_vec();
        serde_json::from_slice(&body.map_err(failed)?).map_err(failed)
    }

    /// The page of a list after a name, and the last name of it if there are more.
    fn page(
        &self,
        network: &str,
        prefix: &str,
        after: &str,
    ) -> Result<(Vec<ObjectMeta>, Option<String>)> {
        let query = [("prefix", prefix), ("after", after)];
        let page: Page = self.get_json(&format!("/{network}"), &query)?;
        let mut last = after.to_owned();
        let mut listed = Vec::with_capacity(page.objects.len());
        for Object { name, bytes } in page.objects {
            if name.len() > NAME_BYTES_MAX {
                let length = name.len();
                return Err(failed(format!("a list with a name of {length} bytes")));
            }
            if name <= last || !name.starts_with(prefix) {
                return Err(failed(format!("a list with {name} after {last}")));
            }
            let location = Path::parse(format!("{network}/{name}")).map_err(failed)?;
            listed.push(meta(location, bytes.unwrap_or(0)));
            last = name;
        }
        let next = (page.more && !listed.is_empty()).then_some(last);
        Ok((listed, next))
    }

    /// The list of a network's folder, page by page, from after a name on.
    fn pages(&self, prefix: Option<&Path>, after: &str) -> BoxStream<'static, Result<ObjectMeta>> {
        let Some(prefix) = prefix else {
            return stream::iter([Err(failed("a list of all networks"))]).boxed();
        };
        let node = Self { agent: self.agent.clone(), base: self.base.clone() };
        let (network, folder) = prefix.as_ref().split_once('/').unwrap_or((prefix.as_ref(), ""));
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let begin = Some((node, network.to_owned(), folder, after.to_owned()));
        let pages = stream::try_unfold(begin, |at| async move {
            let Some((node, network, folder, after)) = at else {
                return Ok::<_, Error>(None);
            };
            // A page blocks: between two of them the attempt may see that its time is over.
            yield_now().await;
            let (listed, next) = match node.page(&network, &folder, &after) {
                // As of a folder that is not there.
                Err(Error::NotFound { .. }) => (Vec::new(), None),
                page => page?,
            };
            let next = next.map(|after| (node, network, folder, after));
            Ok(Some((stream::iter(listed.into_iter().map(Ok::<_, Error>)), next)))
        });
        pages.try_flatten().boxed()
    }
}

/// An object of now: how old it is nobody says.
fn meta(location: Path, size: u64) -> ObjectMeta {
    let last_modified = SystemTime::now().into();
    ObjectMeta { location, last_modified, size, e_tag: None, version: None }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "node", source: error.into() }
}

fn is_only_read() -> Error {
    failed("a node's archive is only read")
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.base)
    }
}

/// Each call blocks the thread that waits for it, which has nothing else to do: see [`super::Store`].
#[async_trait]
impl ObjectStore for Node {
    async fn get_opts(&self, path: &Path, _: GetOptions) -> Result<GetResult> {
        let response = self.get(&format!("/{path}"), &[])?;
        let length = response.body().content_length();
        let size = length.ok_or_else(|| failed("an answer without a length"))?;
        let mut body = response.into_body();
        // Read only if the caller takes what the answer says of its length.
        let read = async move {
            // At its limit a reader does not look whether that was the end.
            let bytes = body.with_config().limit(size.saturating_add(1)).read_to_vec();
            bytes.map(Into::into).map_err(failed)
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(read).boxed()),
            meta: meta(path.clone(), size),
            range: 0..size,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(prefix, "")
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(prefix, offset.as_ref().split_once('/').map_or("", |(_, after)| after))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (mut common_prefixes, mut objects) = (BTreeSet::new(), Vec::new());
        if let Some(prefix) = prefix {
            // It has 260 names and those of its own tail: they are told apart here.
            let mut list = self.list(Some(prefix));
            while let Some(listed) = list.try_next().await? {
                let below: Vec<_> =
                    listed.location.prefix_match(prefix).into_iter().flatten().collect();
                if let [folder, _, ..] = &below[..] {
                    common_prefixes.insert(prefix.clone().join(folder.clone()));
                } else {
                    objects.push(listed);
                }
                // Whoever asked refuses so many: no further page is.
                if common_prefixes.len() + objects.len() > ENTRIES_MAX {
                    break;
                }
            }
        } else {
            let Networks { networks } = self.get_json("", &[])?;
            common_prefixes =
                networks.iter().map(Path::parse).collect::<Result<_, _>>().map_err(failed)?;
        }
        let common_prefixes = common_prefixes.into_iter().collect();
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(is_only_read())
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(is_only_read())
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(is_only_read())]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(is_only_read())
    }
}

#[cfg(test)]
mod tests {
    use lamella_archive::{ObjectName, WriterId};
    use lamella_types::{Root, limits::CHAIN_LAST_SLOT};

    use super::*;

    #[test]
    fn the_longest_name_of_an_object_is_within_the_limit() {
        let (root, index, slot) = (Root::new([0xff; 32]), 255, CHAIN_LAST_SLOT);
        let (writer, sequence) = (WriterId([0xff; 8]), 999_999_999_999);
        let names = [
            ObjectName::Format,
            ObjectName::Registry { root },
            ObjectName::Segment { index, root },
            ObjectName::Frontier { slot, root },
            ObjectName::Proofs { index, root },
            ObjectName::Tail { writer, sequence },
        ];
        let longest = names.iter().map(|name| name.to_string().len()).max();
        assert_eq!(longest, Some(89));
        assert!(longest < Some(NAME_BYTES_MAX));
    }
}
