//! What a page in a browser on the node's machine can do: read what it may, and change nothing.

use std::net::{IpAddr, Ipv4Addr};

use lamella_http_api::{Limits, ServerConfig, serve};

use super::support::{Answer, Node, any_port, get, request};

const ADMIN: &str = "/lean/v0/admin/aggregator";
const ON: &str = r#"{"enabled":true}"#;

fn post(server: std::net::SocketAddr, headers: &[&str]) -> Answer {
    let mut head = format!("POST {ADMIN} HTTP/1.1");
    for header in headers {
        head += "\r\n";
        head += header;
    }
    request(server, &head, ON)
}

const JSON: &str = "Content-Type: application/json";

/// Symptom: any page that a browser on the machine showed could switch the aggregator role.
/// Mechanism: the route took any body from anybody, so a form's POST, which needs nobody's leave, did.
/// Fix: JSON only, from programs and pages of ours, under a name that is ours.
#[test]
fn a_page_in_a_browser_cannot_switch_the_aggregator_role() {
    let node = Node::new(4);
    let server = node.serve();
    let at = server.api_address();
    // A form, a script that sends text, a script that sends JSON, and one whose name was rebound to us.
    for (headers, status, code) in [
        (vec!["Content-Type: text/plain", "Origin: http://evil.example"], 403, "forbidden"),
        (vec!["Content-Type: text/plain"], 415, "unsupported_media_type"),
        (vec![], 415, "unsupported_media_type"),
        (vec![JSON, "Origin: http://evil.example"], 403, "forbidden"),
        (vec![JSON, "Origin: null"], 403, "forbidden"),
        (
            vec![JSON, "Host: evil.example:5052", "Origin: http://evil.example:5052"],
            403,
            "forbidden",
        ),
    ] {
        assert_eq!(post(at, &headers).refusal(), (status, code.to_owned()), "{headers:?}");
        assert!(!node.facts.is_aggregator(), "{headers:?}");
    }
    // The browser's question whether it may send JSON is answered by nobody.
    let preflight = format!(
        "OPTIONS {ADMIN} HTTP/1.1\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST"
    );
    let preflight = request(at, &preflight, "");
    assert_eq!(preflight.header("access-control-allow-origin"), None, "{}", preflight.head);

    // A program, and a page that we serve ourselves, may.
    assert_eq!(post(at, &[JSON]).status, 200);
    assert!(node.facts.is_aggregator());
    let own = format!("Origin: http://{at}");
    assert_eq!(post(at, &[JSON, &format!("Host: {at}"), &own]).status, 200);
}

#[test]
fn a_name_that_is_not_ours_reads_nothing_but_what_monitors_read() {
    let node = Node::new(4);
    let server = node.serve();
    let rebound = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: evil.example:5052");
        request(server.api_address(), &head, "")
    };
    for path in ["/lean/v0/states/head", "/lean/v0/node/peers", ADMIN] {
        assert_eq!(rebound(path).refusal(), (403, "forbidden".to_owned()), "{path}");
    }
    assert_eq!((rebound("/metrics").status, rebound("/lean/v0/health").status), (200, 200));

    let allowed_hosts = vec!["node.lan".to_owned()];
    let known = ServerConfig { allowed_hosts, ..any_port(None) };
    let server = serve(&known, node.context(Limits::default())).unwrap();
    let head = "GET /lean/v0/node/peers HTTP/1.1\r\nHost: node.lan:5052";
    assert_eq!(request(server.api_address(), head, "").status, 200);
}

#[test]
fn beyond_this_machine_any_name_reads_and_admin_routes_are_off_unless_asked_for() {
    let node = Node::new(4);
    for admin in [None, Some(true)] {
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let config = ServerConfig { admin, ..ServerConfig::new(address, 0, None) };
        let server = serve(&config, node.context(Limits::default())).unwrap();
        let at = (Ipv4Addr::LOCALHOST, server.api_address().port()).into();
        let head = "GET /lean/v0/node/peers HTTP/1.1\r\nHost: lamella_0:5052";
        assert_eq!(request(at, head, "").status, 200);
        let expected = if admin.is_some() { 200 } else { 403 };
        assert_eq!((post(at, &[JSON]).status, get(at, ADMIN).status), (expected, expected));
        assert_eq!(post(at, &[JSON, "Host: lamella_0:5052"]).status, 403, "a name can be rebound");
    }
}

#[test]
fn pages_of_allowed_origins_read_and_those_that_are_named_change() {
    let node = Node::new(4);
    for (origins, may_change) in [(vec!["http://ui.lan"], true), (vec!["*"], false)] {
        let allowed_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let config = ServerConfig { allowed_origins, ..any_port(None) };
        let server = serve(&config, node.context(Limits::default())).unwrap();
        let at = server.api_address();
        for path in ["/lean/v0/headers/head", "/metrics"] {
            let read = request(at, &format!("GET {path} HTTP/1.1\r\nOrigin: http://ui.lan"), "");
            assert_eq!(read.header("access-control-allow-origin"), Some(origins[0]), "{path}");
            assert_eq!(read.header("access-control-expose-headers"), Some("x-block-root"));
        }
        let preflight = request(
            at,
            &format!(
                "OPTIONS {ADMIN} HTTP/1.1\r\nOrigin: http://ui.lan\r\nAccess-Control-Request-Method: POST"
            ),
            "",
        );
        assert_eq!(preflight.status, 204);
        let changed = post(at, &[JSON, "Origin: http://ui.lan"]).status;
        assert_eq!(changed, if may_change { 200 } else { 403 });
        if may_change {
            for path in ["/lean/v0/genesis", "/metrics"] {
                let head = format!("GET {path} HTTP/1.1\r\nOrigin: http://evil.example");
                let other = request(at, &head, "");
                assert_eq!(other.header("access-control-allow-origin"), None, "{path}");
            }
        }
    }
}

#[test]
fn metrics_have_an_address_of_their_own() {
    let node = Node::new(4);
    let metrics_address = Some("127.0.0.2".parse().unwrap());
    let config = ServerConfig { metrics_address, ..any_port(Some(0)) };
    let server = serve(&config, node.context(Limits::default())).unwrap();
    let own = server.metrics_address().unwrap();
    assert_eq!(Some(own.ip()), metrics_address);
    assert!(server.api_address().ip() == Ipv4Addr::LOCALHOST);
    assert_eq!(get(own, "/metrics").status, 200);
    assert_eq!(get(own, ADMIN).status, 404);
    server.stop();
    // The same port on two addresses is two servers.
    let port = own.port();
    let config = ServerConfig { api_port: port, metrics_port: Some(port), ..config };
    let server = serve(&config, node.context(Limits::default())).unwrap();
    assert_eq!(server.metrics_address().map(|at| at.port()), Some(port));
}
