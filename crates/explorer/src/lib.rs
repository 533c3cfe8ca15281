//! The explorer: pages on which a person sees a node's chain, forks, validators and store.
//!
//! The hard idea: a page that is shown from a node must not be a way into it. So nothing here is built, fetched from elsewhere or put
//! together from text: the files are served as they lie in `assets/`, a browser is told to run and ask nothing else, and what
//! a node answers becomes text nodes only, which the policy has the browser enforce.
//!
//! | question | file |
//! |---|---|
//! | which files there are, under which policy | this one |
//! | addresses of the pages, the frame around them | `assets/main.js` |
//! | how a node is asked, how it is followed live | `assets/api.js`, `assets/live.js` |
//! | elements, numbers, what is absent and why | `assets/dom.js`, `assets/absence.js` |
//! | the pages | `assets/{overview,slots,block,state,forks,validators,database,archive,proof}.js` |
//! | where a fork is drawn, and drawing it | `assets/layout.js`, `assets/paint.js` |
//! | SHA-256, roots of headers, branches | `assets/sha256.js`, `assets/ssz.js` |
//! | several nodes on one page | `assets/network.js` |
//!
//! Absent on purpose: a server, and anything that changes the node.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hasher},
    str::FromStr,
};

/// Where the pages begin. A page is named after its `#`, so this one address opens all of them.
pub const HOME: &str = "/explorer/";

/// The page that shows several nodes.
pub const NETWORK: &str = "/explorer/network.html";

/// Where that page reads which nodes there are.
const NODES: &str = "/explorer/nodes.json";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";

/// Path below [`HOME`], media type, bytes.
macro_rules! assets {
    ($($name:literal: $kind:expr),+ $(,)?) => {
        [$(($name, $kind, include_bytes!(concat!("../assets/", $name)).as_slice())),+]
    };
}

const ASSETS: [(&str, &str, &[u8]); 25] = assets! {
    "index.html": HTML,
    "network.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "absence.js": JS,
    "api.js": JS,
    "archive.js": JS,
    "block.js": JS,
    "database.js": JS,
    "dom.js": JS,
    "forks.js": JS,
    "layout.js": JS,
    "live.js": JS,
    "main.js": JS,
    "metrics.js": JS,
    "network.js": JS,
    "overview.js": JS,
    "paint.js": JS,
    "proof.js": JS,
    "sha256.js": JS,
    "slots.js": JS,
    "ssz.js": JS,
    "state.js": JS,
    "validators.js": JS,
    "votes.js": JS,
};

/// A file as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Another one whenever the bytes are others.
    pub etag: String,
    /// Its `Content-Security-Policy`.
    pub policy: String,
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
}

/// A node of a network that one page shows together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where its API is, such as `http://127.0.0.1:5052`.
    pub origin: String,
}

/// Why a text names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not NAME=ORIGIN, such as lamella_0=http://127.0.0.1:5052")]
pub struct NodeError(String);

impl FromStr for Node {
    type Err = NodeError;

    fn from_str(text: &str) -> Result<Self, NodeError> {
        let parts = text.split_once('=').filter(|(name, origin)| {
            let rest = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
            // It becomes part of a policy, where a space or a semicolon would begin something else.
            let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
            !name.is_empty()
                && rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_host))
        });
        let (name, origin) = parts.ok_or_else(|| NodeError(text.to_owned()))?;
        Ok(Self { name: name.to_owned(), origin: origin.to_owned() })
    }
}

/// Every file, and the list of the nodes that [`NETWORK`] shows.
#[must_use]
pub fn files(nodes: &[Node]) -> Vec<File> {
    let asset = |&(name, content_type, bytes): &(&str, _, &'static [u8])| {
        let path = match name {
            "index.html" => HOME.to_owned(),
            name => format!("{HOME}{name}"),
        };
        let others = if path == NETWORK { nodes } else { &[] };
        File {
            path,
            content_type,
            etag: etag(bytes),
            policy: policy(others),
            bytes: Cow::Borrowed(bytes),
        }
    };
    let mut files: Vec<_> = ASSETS.iter().map(asset).collect();
    let listed = nodes
        .iter()
        .map(|Node { name, origin }| serde_json::json!({ "name": name, "origin": origin }));
    let listed = serde_json::Value::from_iter(listed).to_string().into_bytes();
    files.push(File {
        path: NODES.to_owned(),
        content_type: JSON,
        etag: etag(&listed),
        policy: policy(&[]),
        bytes: Cow::Owned(listed),
    });
    files
}

/// What a browser may do for a page: run and show our files, ask us and these nodes, make no HTML of text.
fn policy(others: &[Node]) -> String {
    let mut asked = String::from("'self'");
    for node in others {
        asked.push(' ');
        asked.push_str(&node.origin);
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {asked}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
}

fn etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests;
