//! Which requests a browser may send for a page that the operator did not open on purpose.
//!
//! A browser sends any page's requests to any address, this machine's too. Three things tell them apart. *Host*: a page whose
//! name was rebound to our address still says its name there, so names that are not known are refused where only this
//! machine can ask. *Origin*: a browser says which page asks for a change. *Content type*: a page cannot send JSON
//! elsewhere without asking first, which nobody answers unless the operator allowed that origin.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
            ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HOST, ORIGIN, VARY,
        },
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{ApiError, ServerConfig, answer::BLOCK_ROOT};

/// What stands for every origin.
const ANY_ORIGIN: &str = "*";

/// The only form of a request's body.
const JSON: &str = "application/json";

/// Who may ask for what.
#[derive(Debug)]
pub(super) struct Access {
    /// Only programs of this machine reach the port.
    is_local: bool,
    has_admin: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Access {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let is_local = config.address.is_loopback();
        Self {
            is_local,
            has_admin: config.admin.unwrap_or(is_local),
            hosts: config.allowed_hosts.clone(),
            origins: config.allowed_origins.clone(),
        }
    }

    /// Whether the request names us: by an address, which cannot be rebound, or by a name that we know.
    fn knows_host(&self, headers: &HeaderMap) -> bool {
        // No browser leaves it out.
        let Some(host) = headers.get(HOST) else { return true };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let Some(authority) = authority else { return false };
        let host = authority.host().trim_end_matches('.');
        let is = |name: &str| host.eq_ignore_ascii_case(name);
        let address = host.trim_start_matches('[').trim_end_matches(']');
        is("localhost")
            || address.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|name| is(name))
    }

    /// The origin to name as allowed to read the answer.
    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        if self.origins.iter().any(|allowed| allowed == ANY_ORIGIN) {
            return Some(HeaderValue::from_static(ANY_ORIGIN));
        }
        self.names(origin).then(|| origin.clone())
    }

    /// Whether the operator named this origin itself.
    fn names(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }

    /// Whether a change may be asked for from there: by no page, by a page of ours, or by one that the operator named.
    fn may_change(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        let page = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        self.names(origin) || page.is_some_and(|(_, page)| Some(page.as_bytes()) == host)
    }

    fn check_admin(&self, request: &Request) -> Result<(), ApiError> {
        let headers = request.headers();
        if !self.has_admin {
            return Err(ApiError::Forbidden(
                "admin routes are off beyond the loopback address; --http-admin switches them on",
            ));
        }
        if !self.knows_host(headers) {
            return Err(UNKNOWN_HOST);
        }
        if request.method() != Method::POST {
            return Ok(());
        }
        if !self.may_change(headers) {
            return Err(ApiError::Forbidden("no page of another origin may change anything here"));
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        if media_type.trim().eq_ignore_ascii_case(JSON) {
            Ok(())
        } else {
            Err(ApiError::UnsupportedMediaType)
        }
    }

    /// The answer to a browser that asks whether it may send a page's request.
    fn preflight(origin: HeaderValue) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "accept, content-type"),
            (VARY, "origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response
    }
}

const UNKNOWN_HOST: ApiError =
    ApiError::Forbidden("Host is a name that is not ours; --http-allow-host makes it known");

/// Before each request of the API but for metrics and health, which monitors ask for by any name.
pub(super) async fn check(access: State<Arc<Access>>, request: Request, next: Next) -> Response {
    if access.is_local && !access.knows_host(request.headers()) {
        return UNKNOWN_HOST.into_response();
    }
    allow_origin(access, request, next).await
}

/// Before each request of the API's port: tells a browser that the page may read the answer, if the operator allowed that.
pub(super) async fn allow_origin(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(origin) = access.allowed_origin(request.headers()) else {
        return next.run(request).await;
    };
    let asks = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && asks {
        return Access::preflight(origin);
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed: HeaderName = BLOCK_ROOT;
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_name(exposed));
    headers.append(VARY, HeaderValue::from_static("origin"));
    response
}

/// Before each request to an admin route.
pub(super) async fn check_admin(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    match access.check_admin(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn access(address: &str, change: impl FnOnce(&mut ServerConfig)) -> Access {
        let mut config = ServerConfig::new(address.parse().unwrap(), 0, None);
        change(&mut config);
        Access::new(&config)
    }

    fn post(headers: &[(&str, &str)]) -> Request {
        let request = Request::post("/lean/v0/admin/aggregator");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn addresses_and_known_names_are_hosts_of_ours_and_rebound_names_are_not() {
        let access = access("127.0.0.1", |config| config.allowed_hosts.push("Node.lan".to_owned()));
        for (host, is_known) in [
            ("127.0.0.1:5052", true),
            ("[::1]:5052", true),
            ("10.0.0.7", true),
            ("localhost", true),
            ("LOCALHOST.:5052", true),
            ("node.lan:5052", true),
            ("evil.example:5052", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("node.lan@evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(access.knows_host(&headers), is_known, "{host}");
        }
        assert!(access.knows_host(&HeaderMap::new()), "no browser");
    }

    /// Symptom: any page in a browser on the node's machine could switch the aggregator role.
    /// Mechanism: the route took a body of any type from anybody, so a form's POST needed no leave.
    /// Fix: JSON only, from our own pages or none, under a name of ours, and beyond this machine only if asked for.
    #[test]
    fn a_change_is_asked_for_by_programs_and_pages_of_ours() {
        let local =
            access("127.0.0.1", |config| config.allowed_origins.push("http://ui.lan".to_owned()));
        let host = ("host", "localhost:5052");
        let json = ("content-type", "application/json; charset=utf-8");
        let refusal = |headers: &[(&str, &str)]| {
            local
                .check_admin(&post(headers))
                .err()
                .map(|refusal| refusal.into_response().status().as_u16())
        };
        assert_eq!(refusal(&[host, json]), None);
        assert_eq!(refusal(&[host, json, ("origin", "http://localhost:5052")]), None);
        assert_eq!(refusal(&[host, json, ("origin", "http://ui.lan")]), None);
        for origin in ["http://evil.example", "null", "http://localhost:8080", "http://ui.lan.evil"]
        {
            assert_eq!(refusal(&[host, json, ("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(refusal(&[("host", "evil.example"), json]), Some(403));
        let rebound = [("host", "evil.example"), json, ("origin", "http://evil.example")];
        assert_eq!(refusal(&rebound), Some(403));
        assert_eq!(refusal(&[host]), Some(415));
        for form in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
        {
            assert_eq!(refusal(&[host, ("content-type", form)]), Some(415), "{form}");
        }
        let wide = |admin| {
            access("0.0.0.0", |config| config.admin = admin).check_admin(&post(&[host, json]))
        };
        assert!(wide(None).is_err() && wide(Some(true)).is_ok());
        let off = access("127.0.0.1", |config| config.admin = Some(false));
        assert!(off.check_admin(&post(&[host, json])).is_err());
        let any = access("127.0.0.1", |config| config.allowed_origins.push("*".to_owned()));
        let foreign = post(&[host, json, ("origin", "http://evil.example")]);
        assert!(any.check_admin(&foreign).is_err(), "every origin may read, none change");
    }
}
