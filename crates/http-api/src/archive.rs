//! The chain as an archive: the objects that shipping would put, under the same names, for `http://` sources.
//!
//! Making a segment reads 1,024 blocks, so one is made at a time, and of each client one waits for that: others have their
//! turn in between. The last ones made are kept, since nodes that follow ask for the same.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use lamella_inspect::{
    InspectError,
    objects::{ObjectError, Objects},
    seal::SealError,
    served::Served,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{ApiContext, ApiError, answer::Answer, clients::Client, followers::Follower};

/// Folder of the objects that are made with effort.
const SEGMENTS: &str = "segments/";

#[derive(Serialize)]
pub(super) struct FollowersBody {
    followers: Vec<Follower>,
}

/// `GET /lean/v0/node/followers`: who asked for objects or for their list in the last ten minutes.
pub(super) async fn followers(State(context): State<Arc<ApiContext>>) -> Json<FollowersBody> {
    Json(FollowersBody { followers: context.followers.list() })
}

#[derive(Serialize)]
struct Networks {
    networks: [String; 1],
}

/// `GET /lean/v0/archive`: the networks that are here, which is the node's own.
pub(super) async fn networks(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
) -> Result<Response, ApiError> {
    let networks = [context.chain.objects().network().to_string()];
    Answer::json(&Networks { networks })?.respond(&context, &client)
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    /// Names begin so.
    #[serde(default)]
    prefix: String,
    /// Names are after this one.
    #[serde(default)]
    after: String,
}

/// `GET /lean/v0/archive/{network}?prefix=P&after=N`: objects by name, 1,000 at most.
pub(super) async fn list(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(network): Path<String>,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Part { prefix, after }) =
        part.map_err(|error| ApiError::InvalidRequest(error.body_text()))?;
    context.followers.asked(client.address(), None);
    let answer = context.read(move |chain| {
        let page = objects_of(chain, &network)?.page(&prefix, &after).map_err(ObjectError::from)?;
        Answer::json(&page)
    });
    answer.await?.respond(&context, &client)
}

/// `GET /lean/v0/archive/{network}/{name}`: the bytes of an object.
pub(super) async fn object(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path((network, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let bytes = bytes_of(&context, &client, network, name.clone()).await?;
    // Only what there is: names of others are not kept.
    context.followers.asked(client.address(), Some(&name));
    Answer::ssz(bytes).respond(&context, &client)
}

async fn bytes_of(
    context: &ApiContext,
    client: &Client,
    network: String,
    name: String,
) -> Result<Vec<u8>, ApiError> {
    if !name.starts_with(SEGMENTS) {
        return context.read(move |chain| Ok(objects_of(chain, &network)?.get(&name)?)).await;
    }
    let key = format!("{network}/{name}");
    if let Some(bytes) = context.sealed.get(&key) {
        return Ok(bytes);
    }
    // First among its own, then among all: so nobody waits for more than one segment of each other client.
    let turns = async { (client.seal().await, Arc::clone(&context.seals).acquire_owned().await) };
    let Ok((Some(_of_client), Ok(turn))) = timeout(context.limits.seal_wait, turns).await else {
        context.metrics.storage.count_refused_read();
        return Err(ApiError::Busy);
    };
    if let Some(bytes) = context.sealed.get(&key) {
        return Ok(bytes);
    }
    let sealed = Arc::clone(&context.sealed);
    let get = move |chain: &Served| {
        let bytes = objects_of(chain, &network)?.get(&name)?;
        sealed.put(key, &bytes);
        // A client that went away does not give its turn to others before the work is over.
        drop(turn);
        Ok(bytes)
    };
    context.read(get).await
}

fn objects_of<'a>(chain: &'a Served, network: &str) -> Result<Objects<'a>, ApiError> {
    let objects = chain.objects();
    if objects.network().to_string() == network {
        return Ok(objects);
    }
    let own = objects.network();
    let (name, why) = (network.to_owned(), format!("this node's network is {own}"));
    Err(ObjectError::NotThere { name, why }.into())
}

impl From<ObjectError> for ApiError {
    fn from(error: ObjectError) -> Self {
        let text = error.to_string();
        match error {
            ObjectError::NotThere { .. } => Self::NoObject { code: "unknown", text },
            ObjectError::BeforeBootstrap { .. } => {
                Self::NoObject { code: "before_bootstrap", text }
            }
            ObjectError::Seal(SealError::Inspect(InspectError::Lookup(error))) => error.into(),
            ObjectError::Seal(SealError::State(error)) => {
                lamella_inspect::LookupError::from(error).into()
            }
            ObjectError::Seal(_) => Self::Corrupt(text),
        }
    }
}
