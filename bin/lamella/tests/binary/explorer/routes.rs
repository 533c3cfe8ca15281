//! The pages as files: where they are, and under which headers.

use lamella_http_api::{ApiServer, Limits, Page, ServerConfig, serve};

use crate::api::support::{Node, any_port, get, request};

/// A server with the pages.
pub(super) fn serve_pages(node: &Node) -> ApiServer {
    let page = |file| {
        let lamella_explorer::File { path, content_type, etag, policy, bytes } = file;
        Page { path, content_type, etag, policy, bytes }
    };
    let pages = lamella_explorer::files(&[]).into_iter().map(page).collect();
    let config = ServerConfig { pages, ..any_port(None) };
    serve(&config, node.context(Limits::default())).unwrap()
}

#[test]
fn pages_are_served_under_a_policy_that_names_nobody_else() {
    let node = Node::new(4);
    let server = serve_pages(&node);
    let at = server.api_address();
    for file in lamella_explorer::files(&[]) {
        let answer = get(at, &file.path);
        assert_eq!(
            (answer.status, answer.content_type()),
            (200, file.content_type),
            "{}",
            file.path
        );
        assert_eq!(answer.body, &*file.bytes);
        assert_eq!(answer.header("content-security-policy"), Some(&*file.policy));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let again = format!("GET {} HTTP/1.1\r\nIf-None-Match: {}", file.path, file.etag);
        let again = request(at, &again, "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{}", file.path);
    }
    for path in ["/", "/explorer"] {
        let answer = get(at, path);
        assert_eq!((answer.status, answer.header("location")), (302, Some("/explorer/")));
    }
    let rebound = request(at, "GET /explorer/ HTTP/1.1\r\nHost: evil.example", "");
    assert_eq!(rebound.status, 403, "a name that was rebound to this machine");
    assert_eq!(get(at, "/explorer/none.js").refusal(), (404, "no_route".to_owned()));
}

#[test]
fn a_node_that_is_not_asked_for_pages_has_none() {
    let node = Node::new(4);
    let server = node.serve();
    for path in ["/", "/explorer/", "/explorer/main.js"] {
        assert_eq!(get(server.api_address(), path).refusal(), (404, "no_route".to_owned()));
    }
}
