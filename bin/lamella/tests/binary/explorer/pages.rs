//! Every page over a small real chain: what it shows, live, and what it never does.

use std::{io::Write as _, time::Instant};

use lamella_chain::PruneMode;
use lamella_tables::{Key as _, SlotRoot};
use lamella_types::Root;
use serde_json::json;

use super::{browser::Browser, routes::serve_pages};
use crate::api::support::{Node, get};

/// A selector finds something.
fn has(selector: &str) -> String {
    format!("document.querySelector({}) !== null", json!(selector))
}

/// The main part has this text.
fn says(text: &str) -> String {
    format!("document.getElementById('main').innerText.includes({})", json!(text))
}

/// Addresses of all pages, and what each has when it is ready.
const PAGES: [(&str, &str); 9] = [
    ("", "#figure-head"),
    ("slots", "tr[data-slot='8']"),
    ("block/8", "#absent"),
    ("state/8", "table"),
    ("forks", "canvas.tree[aria-label]"),
    ("validators", "tr[data-validator='3']"),
    ("database", "meter"),
    ("archive", "dl"),
    ("proof/2", "#proof-root"),
];

#[test]
fn every_page_is_shown_asks_nobody_else_and_fits_360_pixels() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _) = Node::with_chain();
    let server = serve_pages(&node);
    let home = format!("http://{}/explorer/", server.api_address());
    browser.open(&home);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for (width, height) in [(1280, 900), (360, 740)] {
            browser.resize(width, height);
            for (page, ready) in PAGES {
                show(&mut browser, page, ready);
                let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
                assert!(wide <= u64::from(width), "{page} is {wide} px wide at {width}");
                assert_eq!(browser.text(".absence[data-code]"), "", "{page}");
                let contrast = browser.eval(CONTRAST).as_f64().unwrap();
                assert!(contrast >= 4.5, "{page}, {scheme}: text has a contrast of {contrast}");
                let sheet = browser.eval(LIGHTNESS).as_f64().unwrap();
                assert_eq!(sheet > 0.5, scheme == "light", "{page}, {scheme}: {sheet}");
                browser.picture(&format!("{}-{scheme}-{width}", page.replace('/', "-")));
            }
        }
    }
    let origin = format!("http://{}/", server.api_address());
    let asked = browser.asked();
    assert!(asked.len() > 40, "{asked:?}");
    assert!(asked.iter().all(|url| url.starts_with(&origin)), "{asked:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Opens a page and waits until it is whole.
fn show(browser: &mut Browser, page: &str, ready: &str) {
    browser.eval(&format!("location.hash = '#/{page}'"));
    browser.wait_for(&has(ready));
    browser.wait_for("!document.getElementById('main').hasAttribute('aria-busy')");
}

/// The least contrast of a text with what it stands on, by WCAG's formula; texts that only decorate do not count.
const CONTRAST: &str = "(() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parts(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const texts = [...document.querySelectorAll('main *, header *, nav *')].filter((element) =>
        element.checkVisibility() && !element.closest('[aria-hidden=true]') && element.tagName !== 'OPTION' &&
        [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''));
    const contrasts = texts.map((element) => {
        const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
    return Math.min(21, ...contrasts);
})()";

/// How light the sheet is, from 0 to 1.
const LIGHTNESS: &str = "(() => {
    const colour = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
    const sheet = colour[3] === 0 ? getComputedStyle(document.documentElement).backgroundColor.match(/[\\d.]+/g).map(Number) : colour;
    return (sheet[0] + sheet[1] + sheet[2]) / 765;
})()";

/// Whoever has no mouse comes to all that can be pressed or typed into, in order, and sees where they are.
#[test]
fn every_page_is_walked_by_the_tab_key_alone() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _) = Node::with_chain();
    let server = serve_pages(&node);
    browser.open(&format!("http://{}/explorer/", server.api_address()));
    for (page, ready) in PAGES {
        show(&mut browser, page, ready);
        let wanted = browser.eval(
            "(() => {
                const all = 'a[href], button, input, select, textarea, summary, [tabindex]';
                window.wanted = new Set([...document.querySelectorAll(all)].filter((element) =>
                    element.checkVisibility() && !element.disabled && element.getAttribute('tabindex') !== '-1'));
                window.unseen = [];
                document.activeElement?.blur();
                return window.wanted.size;
            })()",
        );
        let wanted = wanted.as_u64().unwrap();
        assert!(wanted > 5, "{page}: {wanted}");
        for _ in 0..2 * wanted + 3 {
            browser.press("Tab");
            browser.eval(
                "(() => {
                    const at = document.activeElement;
                    const style = getComputedStyle(at);
                    if (window.wanted.delete(at) && (style.outlineStyle === 'none' || style.outlineWidth === '0px')) window.unseen.push(at.outerHTML.slice(0, 80));
                })()",
            );
        }
        let missed = browser.eval("[...window.wanted].filter((element) => element.isConnected).map((element) => element.outerHTML.slice(0, 80))");
        assert_eq!(missed, json!([]), "{page}: not come to");
        assert_eq!(browser.eval("window.unseen"), json!([]), "{page}: not seen to be there");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A chain of whose first anchors nothing but headers is left: a finalized slot beyond 2,048, and the mode `light`.
fn pruned() -> Node {
    let (mut node, _) = Node::with_chain();
    let head_slot = |node: &Node| node.chain.fork_choice().head_summary().slot;
    // After so many empty slots one in some 33 can be justified, and two of them one after the other finalize.
    for _ in 0..2 {
        let before = head_slot(&node);
        for slot in before + 1_050..before + 1_150 {
            node.extend(slot);
        }
    }
    let finalized = node.chain.fork_choice().latest_finalized().slot;
    assert!(finalized > 2_048, "{finalized}");
    node.chain.set_prune_mode(PruneMode::Light).unwrap();
    let next = head_slot(&node) + 1;
    node.extend(next);
    node.chain.states().clear();
    node
}

/// Symptom: no test ever saw the page of a pruned state, and a page of pruned bodies was never opened. Each page over a directory
/// that lets everything go that it may: what is gone is said to be, and the rest is whole.
#[test]
fn over_a_pruned_directory_every_page_says_what_is_gone_and_shows_the_rest() {
    let Some(mut browser) = Browser::start() else { return };
    let node = pruned();
    let server = serve_pages(&node);
    browser.resize(1280, 900);
    browser.open(&format!("http://{}/explorer/", server.api_address()));
    let pruned = ".absence.pruned[data-code=pruned]";
    for (page, ready, word) in [
        ("", "#figure-head", ""),
        ("slots", "tr[data-slot]", ""),
        ("slots/8", "tr[data-slot='3'] .mark.pruned", ""),
        ("block/5", pruned, "bodies are kept from slot 1024"),
        ("state/5", pruned, "states are kept from slot 1024"),
        ("block/head", "#absent", ""),
        ("state/head", "table", ""),
        ("forks/0?slots=32", "canvas.tree[aria-label]", ""),
        ("validators", "tr[data-validator='3']", ""),
        ("database", "meter", "light"),
        ("archive", "dl", ""),
        ("proof/2", "#proof-root", ""),
    ] {
        browser.eval("document.querySelector('.absence')?.remove()");
        show(&mut browser, page, ready);
        browser.picture(&format!("pruned-{}", page.replace(['/', '?'], "-")));
        let text = browser.text("main");
        assert!(text.contains(word), "{page}: {text}");
        let absence = browser.text(".absence");
        assert_eq!(absence.contains("Pruned"), ready == pruned, "{page}: {absence}");
        assert!(!text.contains("Damaged") && !text.contains("Refused"), "{page}: {text}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_archive_page_names_who_follows_this_node() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _) = Node::with_chain();
    let server = serve_pages(&node);
    let api = server.api_address();
    let networks = get(api, "/lean/v0/archive").json();
    let network = networks["networks"][0].as_str().unwrap();
    browser.open(&format!("http://{api}/explorer/#/archive"));
    browser.wait_for(&says("Nobody asked this node for its archive"));
    let list = get(api, &format!("/lean/v0/archive/{network}")).json();
    let name = list["objects"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(get(api, &format!("/lean/v0/archive/{network}/{name}")).status, 200);
    assert_eq!(get(api, &format!("/lean/v0/archive/{network}/tail/nobody")).status, 404);
    browser.open(&format!("http://{api}/explorer/#/"));
    browser.wait_for(&has("#figure-head"));
    browser.open(&format!("http://{api}/explorer/#/archive"));
    browser.wait_for(&has("tr[data-follower='127.0.0.1']"));
    assert!(browser.text("tr[data-follower]").contains(&name), "{name}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_overview_follows_the_chain_without_being_asked() {
    let Some(mut browser) = Browser::start() else { return };
    let (mut node, _) = Node::with_chain();
    let server = serve_pages(&node);
    browser.open(&format!("http://{}/", server.api_address()));
    let shows = |name: &str, slot: u64| {
        format!("document.getElementById('figure-{name}')?.innerText === '{slot}'")
    };
    browser.wait_for(&shows("head", 8));
    browser.wait_for(&shows("finalized", 6));
    browser.wait_for("document.getElementById('link').innerText === 'live'");
    browser.eval("window.isTheSamePage = true");
    node.extend(9);
    let imported = Instant::now();
    browser.wait_for(&shows("head", 9));
    let took = imported.elapsed();
    browser.wait_for(&shows("finalized", 7));
    browser.wait_for(&has(".strip a[href='#/block/9']"));
    assert_eq!(browser.eval("window.isTheSamePage"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    writeln!(
        std::io::stdout().lock(),
        "a block was on the page {} ms after its import",
        took.as_millis()
    )
    .unwrap();
}

#[test]
fn unknown_skipped_pruned_and_damaged_each_look_different() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, side) = Node::with_chain();
    let key = SlotRoot::new(6, node.canonical(6)).encode();
    let mut txn = node.chain.database().write_raw().unwrap();
    for table in ["Headers", "Diffs"] {
        txn.put_raw(table, &key, &[7; 30]).unwrap();
    }
    txn.commit().unwrap();
    node.chain.states().clear();
    let server = serve_pages(&node);
    let home = format!("http://{}/explorer/", server.api_address());
    let stranger = Root::new([9; 32]);
    let mut looks = Vec::new();
    for (page, code, word) in [
        (format!("block/{stranger}"), "unknown", "Unknown"),
        ("block/4".to_owned(), "skipped_slot", "Skipped"),
        ("block/99".to_owned(), "beyond_head", "Not yet"),
        ("block/6".to_owned(), "corrupt", "Damaged"),
        ("state/6".to_owned(), "corrupt", "Damaged"),
    ] {
        // What the page before showed is not waited for.
        browser.eval("document.querySelector('.absence')?.remove()");
        browser.open(&format!("{home}#/{page}"));
        browser.wait_for(&has(&format!(".absence.{code}[data-code={code}]")));
        let text = browser.text(".absence");
        assert!(text.contains(word), "{page}: {text}");
        let look = "(() => { const style = getComputedStyle(document.querySelector('.absence')); \
                    return [style.borderTopStyle, style.borderTopColor, style.backgroundImage].join(' ') })()";
        looks.push((code, browser.eval(look).to_string()));
    }
    for (a, b) in [(0, 1), (0, 3), (1, 3)] {
        assert_ne!(looks[a].1, looks[b].1, "{looks:?}");
    }

    browser.open(&format!("{home}#/slots"));
    browser.wait_for(&has("tr.skipped_slot[data-slot='4'] .mark.skipped_slot"));
    for row in [
        "tr.corrupt[data-slot='6'] .mark.corrupt",
        "tr.fork[data-slot='7'] .mark.fork",
        "tr[data-slot='3'] .mark.pruned",
        "tr[data-slot='5'] .mark.kept",
        "tr.canonical[data-slot='8']",
    ] {
        assert!(browser.eval(&has(row)).as_bool().unwrap(), "{row}");
    }
    // A block whose proof was pruned is here, and says so of its proof alone.
    browser.open(&format!("{home}#/block/3"));
    browser.wait_for(&has("dd .mark.pruned"));
    assert!(browser.text("#absent").contains("Nobody is absent"));
    browser.open(&format!("{home}#/block/{side}"));
    browser.wait_for(&has(".heading .mark.fork"));
    browser.wait_for(&says("500 B"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_proof_is_checked_in_the_browser_and_not_believed() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _) = Node::with_chain();
    let server = serve_pages(&node);
    browser.open(&format!("http://{}/explorer/#/proof", server.api_address()));
    browser.wait_for(&has("#proof-root"));
    let head = node.canonical(8);
    let ask = |slot: u64, root: &Root| {
        format!(
            "document.getElementById('proof-root').value = '{root}'; document.getElementById('proof-slot').value = '{slot}'; \
             document.querySelector('.verdict')?.remove(); document.querySelector('.fields').requestSubmit()"
        )
    };
    for (slot, what) in
        [(2, "block and post-state"), (4, "the slot is empty"), (8, "block and post-state")]
    {
        browser.eval(&ask(slot, &head));
        browser.wait_for(&has(".verdict[data-holds=true]"));
        assert!(browser.text(".verdict h2").contains(what), "slot {slot}");
    }
    assert!(browser.text("main").contains(&node.made[&head].signed.block.state_root.to_string()));
    browser.eval(&ask(2, &Root::new([9; 32])));
    browser.wait_for(&has(".absence.unknown"));

    // A node that lies in any part of its answer is not believed. Neither is one that proves another slot.
    let lies = "(async () => {
        const { check } = await import('/explorer/proof.js');
        const root = 'ROOT';
        const honest = await (await fetch(`/lean/v0/proof/block/2?root=${root}`)).json();
        const other = '0x' + '77'.repeat(32);
        const lies = {
            honest: (p) => p,
            root: (p) => { p.root = other },
            sibling: (p) => { p.branch[5] = other },
            short: (p) => { p.branch.pop() },
            state: (p) => { p.trusted_header.state_root = other },
            header: (p) => { p.header.body_root = other },
            slot: (p) => { p.header.slot = 3 },
            empty: (p) => { p.root = '0x' + '00'.repeat(32); p.header = null },
            index: (p) => { p.generalized_index += 1 },
        };
        const believed = [];
        for (const [name, lie] of Object.entries(lies)) {
            const proof = structuredClone(honest);
            lie(proof);
            if (check(proof, 2, root).every((step) => step.holds)) believed.push(name);
        }
        if (check(honest, 3, root).every((step) => step.holds)) believed.push('other slot');
        if (check(honest, 2, other).every((step) => step.holds)) believed.push('other root');
        return believed;
    })()";
    assert_eq!(browser.eval(&lies.replace("ROOT", &head.to_string())), json!(["honest"]));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn sha_256_is_the_browsers_own() {
    let Some(mut browser) = Browser::start() else { return };
    let node = Node::new(4);
    let server = serve_pages(&node);
    browser.open(&format!("http://{}/explorer/", server.api_address()));
    browser.wait_for(&has("#figure-head"));
    let differing = "(async () => {
        const { sha256 } = await import('/explorer/sha256.js');
        const differing = [];
        for (let length = 0; length < 200; length += 1) {
            const message = crypto.getRandomValues(new Uint8Array(length));
            const expected = new Uint8Array(await crypto.subtle.digest('SHA-256', message));
            if (String(sha256(message)) !== String(expected)) differing.push(length);
        }
        return differing;
    })()";
    assert_eq!(browser.eval(differing), json!([]));
}

/// Made here and not imported: what is asked of the page is to place and to paint them.
#[test]
fn a_tree_of_ten_thousand_blocks_is_painted_with_every_branch_in_a_lane_of_its_own() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, _) = Node::with_chain();
    let server = serve_pages(&node);
    browser.open(&format!("http://{}/explorer/#/forks", server.api_address()));
    browser.wait_for(&has("canvas.tree[aria-label]"));
    // Chain blocks 0..8000; at every 16th slot a branch of 4 begins: 2,000 blocks.
    let painted = "(async () => {
        const { layout } = await import('/explorer/layout.js');
        const { paint } = await import('/explorer/paint.js');
        const blocks = [];
        for (let slot = 0; slot < 8000; slot += 1) {
            blocks.push({ slot, root: `c${slot}`, parent_root: `c${slot - 1}`, proposer_index: 0, is_canonical: true });
            const start = slot - (slot - 1) % 16 - 1;
            if (slot > 0 && slot - start <= 4) {
                const parent_root = slot - start === 1 ? `c${start}` : `f${slot - 1}`;
                blocks.push({ slot, root: `f${slot}`, parent_root, proposer_index: 0, is_canonical: false });
            }
        }
        const tree = { from: 0, to: 7999, finalized_slot: 7000, damage: [], blocks };
        const began = performance.now();
        const placed = layout(blocks);
        const count = paint(document.querySelector('canvas.tree'), tree, placed, null);
        const context = document.querySelector('canvas.tree').getContext('2d');
        context.getImageData(0, 0, 1, 1);
        const ms = performance.now() - began;
        const lanes = new Set(placed.placed.filter((node) => !node.block.is_canonical).map((node) => node.lane));
        return { count, total: blocks.length, lanes: [...lanes], ms };
    })()";
    let painted = browser.eval(painted);
    assert_eq!(
        (&painted["count"], &painted["total"]),
        (&json!(10_000), &json!(10_000)),
        "{painted}"
    );
    assert_eq!(painted["lanes"], json!([1]), "branches that do not meet share a lane");
    writeln!(
        std::io::stdout().lock(),
        "10,000 blocks were placed and painted in {} ms",
        painted["ms"]
    )
    .unwrap();

    // Branches side by side, and one that leaves a branch, have lanes of their own.
    let lanes = "(async () => {
        const { layout } = await import('/explorer/layout.js');
        const block = (slot, root, parent_root, is_canonical = false) => ({ slot, root, parent_root, is_canonical });
        const { placed, lanes } = layout([
            block(0, 'a', '-', true), block(1, 'b', 'a', true), block(1, 'x', 'a'), block(2, 'y', 'x'), block(2, 'z', 'x'),
            block(2, 'c', 'b', true), block(3, 'd', 'c', true), block(3, 'y2', 'y'), block(6, 'w', 'd'),
        ]);
        return [lanes, Object.fromEntries(placed.map((node) => [node.block.root, node.lane]))];
    })()";
    let expected =
        json!([3, { "a": 0, "b": 0, "c": 0, "d": 0, "x": 1, "y": 1, "y2": 1, "z": 2, "w": 2 }]);
    assert_eq!(browser.eval(lanes), expected);
}

#[test]
fn the_tree_is_walked_by_keys() {
    let Some(mut browser) = Browser::start() else { return };
    let (node, side) = Node::with_chain();
    let server = serve_pages(&node);
    browser.open(&format!("http://{}/explorer/#/forks/0?slots=32", server.api_address()));
    browser.wait_for(&has("canvas.tree[aria-label]"));
    browser.eval("document.querySelector('canvas.tree').focus()");
    let mut press = |key: &str| {
        browser.press(key);
        browser.text("#chosen")
    };
    assert!(press("End").starts_with("Slot 8, "));
    assert!(press("ArrowLeft").starts_with("Slot 7, "));
    assert!(press("ArrowDown").contains("another branch"));
    press("Enter");
    browser.wait_for(&format!("location.hash === '#/block/{side}'"));
    browser.wait_for(&has(".heading .mark.fork"));
}
