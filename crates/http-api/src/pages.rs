//! Pages for people. The server is handed them and knows nothing of what they show.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

use super::{ApiError, context::ApiContext};

/// A file of the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it is served; where this ends in `/`, the path without it and `/` lead here.
    pub path: String,
    /// Its media type.
    pub content_type: &'static str,
    /// What changes when its bytes do.
    pub etag: String,
    /// What a browser may do with it: its `Content-Security-Policy`.
    pub policy: String,
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
}

/// A page as it is served.
struct Served {
    headers: HeaderMap,
    etag: HeaderValue,
    bytes: Bytes,
}

/// A route for each page.
pub(super) fn routes(pages: &[Page]) -> Router<Arc<ApiContext>> {
    let mut router = Router::new();
    for page in pages {
        if let Some(folder) = page.path.strip_suffix('/') {
            let to = page.path.clone();
            let lead = move || async move { (StatusCode::FOUND, [(LOCATION, to)]) };
            router = router.route("/", get(lead.clone())).route(folder, get(lead));
        }
        let served = Arc::new(Served::new(page));
        let answer = move |headers: HeaderMap| async move {
            match &*served {
                Ok(served) => served.answer(&headers),
                Err(why) => ApiError::Internal(why.clone()).into_response(),
            }
        };
        router = router.route(&page.path, get(answer));
    }
    router
}

impl Served {
    fn new(page: &Page) -> Result<Self, String> {
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|error| format!("{}: {error}", page.path))
        };
        let etag = value(&page.etag)?;
        let headers: [(HeaderName, HeaderValue); 6] = [
            (CONTENT_TYPE, HeaderValue::from_static(page.content_type)),
            (CONTENT_SECURITY_POLICY, value(&page.policy)?),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            // Kept, and asked for each time whether it is still the same: a node may be replaced by a newer one.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (ETAG, etag.clone()),
        ];
        let bytes = match &page.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes.clone()),
        };
        Ok(Self { headers: headers.into_iter().collect(), etag, bytes })
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        if request.get(IF_NONE_MATCH) == Some(&self.etag) {
            return (StatusCode::NOT_MODIFIED, self.headers.clone()).into_response();
        }
        (self.headers.clone(), self.bytes.clone()).into_response()
    }
}
