//! A headless Chromium, spoken to through its DevTools protocol.
//!
//! Over a pipe: JSON ended by zero bytes on its descriptors 3 and 4. So it takes neither a port nor a WebSocket, and
//! no crate; a shell moves the descriptors, and the browser ends when the pipe does.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    disk::skip,
    wait::{self, PATIENCE},
};

/// Names that Chromium has, the smallest first.
const NAMES: [&str; 5] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser with one page.
pub(super) struct Browser {
    process: Child,
    to: ChildStdin,
    said: Receiver<Value>,
    /// What it told without being asked.
    pub(super) events: Vec<Value>,
    session: Option<String>,
    calls: u64,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; `None`, and a line that says so, where there is none.
    pub(super) fn start() -> Option<Self> {
        let paths = env::var_os("PATH").unwrap_or_default();
        let found =
            NAMES.iter().flat_map(|name| env::split_paths(&paths).map(move |path| path.join(name)));
        let program = env::var_os("LAMELLA_BROWSER")
            .map(PathBuf::from)
            .or(found.into_iter().find(|path| path.is_file()));
        let Some(program) = program else {
            assert!(env::var_os("CI").is_none(), "no Chromium: sh .ci/deps test");
            skip(
                "the explorer in a browser: no Chromium here, under its usual names or in LAMELLA_BROWSER",
            );
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"])
            .arg(program)
            // Its sandbox wants rights that a container does not give; it shows nothing but our own pages.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let from = BufReader::new(process.stdout.take().unwrap());
        let (told, said) = channel();
        thread::spawn(move || {
            for message in from.split(0).map_while(Result::ok) {
                if told.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let to = process.stdin.take().unwrap();
        let mut browser = Self {
            process,
            to,
            said,
            events: Vec::new(),
            session: None,
            calls: 0,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Asks the browser for something.
    pub(super) fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        write!(self.to, "{message}\0").unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut said = self.said.recv_timeout(left).unwrap();
            if said["id"] == self.calls {
                assert_eq!(said["error"], Value::Null, "{method}");
                return said["result"].take();
            }
            self.events.push(said);
        }
    }

    pub(super) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert_eq!(opened["errorText"], Value::Null, "{url}");
    }

    /// What an expression of the page comes to.
    pub(super) fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|thrown| panic!("{expression}: {thrown}"))
    }

    fn try_eval(&mut self, expression: &str) -> Result<Value, String> {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", asked);
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            thrown => Err(thrown.to_string()),
        }
    }

    /// Waits until an expression is true. While a page is changed for another there is nothing to ask.
    pub(super) fn wait_for(&mut self, expression: &str) {
        let mut last = String::new();
        wait::until(&format!("in the page: {expression}"), || {
            match self.try_eval(expression) {
                Ok(Value::Bool(true)) => return Some(()),
                Ok(other) => last = other.to_string(),
                Err(thrown) => last = thrown,
            }
            None
        });
    }

    /// The text of what a selector finds first.
    pub(super) fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({})?.innerText", json!(selector)));
        found.as_str().unwrap_or_default().to_owned()
    }

    /// How wide the window is.
    pub(super) fn resize(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Which colours the reader prefers, `light` or `dark`.
    pub(super) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    pub(super) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key == "Enter" { "\r" } else { "" };
            let code = if key == "Tab" { 9 } else { 0 };
            let params =
                json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Keeps what is to be seen as a picture, where `LAMELLA_PICTURES` names a folder for it.
    pub(super) fn picture(&mut self, name: &str) {
        let Some(folder) = env::var_os("LAMELLA_PICTURES") else { return };
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = decoded(taken["data"].as_str().unwrap());
        fs::write(PathBuf::from(folder).join(name).with_extension("png"), bytes).unwrap();
    }

    /// What the console has of errors and warnings, refused scripts and exceptions. Answers of a node that are refusals
    /// are logged by the browser itself.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        // What was said before an answer has been read with it.
        self.eval("0");
        let complaint = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if params["type"] != "log" => Some(params.to_string()),
                "Log.entryAdded" if params["entry"]["source"] != "network" => {
                    Some(params["entry"].to_string())
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// Every URL that was asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        let sent =
            self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }
}

/// Bytes of base 64.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        (bits, held) = (bits << 6 | u32::try_from(digit).unwrap(), held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
