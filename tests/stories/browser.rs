//! Chromium, driven through chromedriver: a fresh profile for each browser, one story's browsers at a time.
//!
//! We start the browser ourselves and let chromedriver attach to it, because a driver session that ends must not take
//! the browser along: a tab can only be discarded while no debugger is attached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::sync::{Mutex, MutexGuard};

use crate::http;
use crate::patience::{PATIENCE, until};
use crate::ports;
use crate::process::Running;
use crate::scratch::Scratch;

/// Two cores, one story with Chromium.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The sizes that pages are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Phone,
    Desk,
}

impl Screen {
    fn size(self) -> (u32, u32) {
        match self {
            Self::Phone => (390, 844),
            Self::Desk => (1280, 900),
        }
    }
}

pub struct Browser {
    /// None only while a tab is being discarded.
    driver: Option<WebDriver>,
    driver_port: u16,
    debug_port: u16,
    screen: Screen,
    downloads: PathBuf,
    // Dropped in this order: driver, browser, profile, turn.
    _chromedriver: Running,
    _chromium: Running,
    _profile: Scratch,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Browser {
    pub async fn start(screen: Screen) -> Self {
        Self::with_profile(screen, Some(ONE_AT_A_TIME.lock().await)).await
    }

    /// Another profile of the same story, while this one stays open.
    pub async fn beside(&self, screen: Screen) -> Self {
        Self::with_profile(screen, None).await
    }

    async fn with_profile(screen: Screen, turn: Option<MutexGuard<'static, ()>>) -> Self {
        let profile = Scratch::new();
        let directory = profile.directory("profile");
        // chrome://discards is among the pages that a switch in the browser's own state must allow.
        fs::write(directory.join("Local State"), r#"{"internal_only_uis_enabled":true}"#).unwrap();
        let (width, height) = screen.size();
        let mut command = Command::new("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--remote-debugging-port=0", "--lang=en"]);
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!("--user-data-dir={}", directory.display())).arg("about:blank");
        let mut chromium = Running::start("Chromium", command, &profile.path().join("chromium.log"));
        let debug_port = until("Chromium's debugging port", PATIENCE, async || {
            assert!(chromium.ended().is_none(), "Chromium ended:\n{}", chromium.log());
            let written = fs::read_to_string(directory.join("DevToolsActivePort")).ok()?;
            written.lines().next()?.parse().ok()
        })
        .await;

        let driver_port = ports::free();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={driver_port}")).arg("--allowed-ips=127.0.0.1");
        let chromedriver = Running::start("chromedriver", command, &profile.path().join("chromedriver.log"));
        until("chromedriver", PATIENCE, async || http::get(driver_port, "/status").await).await;

        let downloads = profile.directory("downloads");
        let mut browser = Self {
            driver: None,
            driver_port,
            debug_port,
            screen,
            downloads,
            _chromedriver: chromedriver,
            _chromium: chromium,
            _profile: profile,
            _turn: turn,
        };
        browser.attach().await;
        browser
    }

    pub fn driver(&self) -> &WebDriver {
        self.driver.as_ref().expect("a browser with a driver")
    }

    async fn attach(&mut self) {
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.add_experimental_option("debuggerAddress", format!("127.0.0.1:{}", self.debug_port)).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", self.driver_port), capabilities).await.unwrap();
        driver.set_script_timeout(PATIENCE).await.unwrap();
        self.driver = Some(driver);
        self.dress().await;
    }

    /// Size and download directory; both belong to the debugger's session, so they are set again after each attaching.
    async fn dress(&self) {
        let (width, height) = self.screen.size();
        let mobile = self.screen == Screen::Phone;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        let downloads = json!({"behavior": "allow", "downloadPath": self.downloads});
        self.command("Browser.setDownloadBehavior", downloads).await;
    }

    /// A command of the DevTools protocol, for the current tab.
    pub async fn command(&self, method: &str, parameters: Value) -> Value {
        self.driver().cdp().send_raw(method, parameters).await.unwrap_or_else(|cause| panic!("{method}: {cause}"))
    }

    /// Prefers-color-scheme: dark, or light again.
    pub async fn color_scheme(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Runs a script's body; what it returns.
    pub async fn script(&self, body: &str) -> Value {
        self.driver().execute(body, Vec::new()).await.unwrap().json().clone()
    }

    /// Waits until the page's script, an expression, is true.
    pub async fn until(&self, expression: &str) {
        until(expression, PATIENCE, async || {
            (self.script(&format!("return Boolean({expression})")).await == Value::Bool(true)).then_some(())
        })
        .await;
    }

    /// A saved file, once it is complete. Chromium writes under a name of its own, then makes an empty file of the right name, then
    /// renames: what has its name is whole when nothing is left that is still being written.
    pub async fn download(&self, name: &str) -> Vec<u8> {
        let path = self.downloads.join(name);
        until(name, PATIENCE, async || (path.exists() && !self.is_downloading()).then(|| fs::read(&path).unwrap()))
            .await
    }

    fn is_downloading(&self) -> bool {
        let mut files = fs::read_dir(&self.downloads).unwrap().map(|file| file.unwrap().path());
        files.any(|file| file.extension().is_some_and(|extension| extension == "crdownload"))
    }

    /// What axe-core finds wrong with the page as it stands; empty is good.
    pub async fn axe(&self) -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("portal/web/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(&path)
            .unwrap_or_else(|cause| panic!("{}: {cause} (npm ci --ignore-scripts in portal/web)", path.display()));
        self.driver().execute(axe, Vec::new()).await.unwrap();
        let script = "const done = arguments[arguments.length - 1];
            const told = v => v.id + ' (' + v.impact + '): ' + v.nodes.map(n => n.target.join(' ')).join(', ');
            axe.run().then(r => done(r.violations.map(told)), e => done(['axe failed: ' + e]));";
        let found = self.driver().execute_async(script, Vec::new()).await.unwrap();
        found.convert().unwrap()
    }

    /// A picture of the page in target/screenshots/.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}.png"));
        self.driver().screenshot(&path).await.unwrap();
        path
    }

    /// Discards the current tab, as a phone does while its owner reads a mail, and comes back to it: the browser loads
    /// the page anew and gives it its sessionStorage back.
    pub async fn discard(&mut self) {
        let url = self.driver().current_url().await.unwrap().to_string();
        let tab = self.driver().window().await.unwrap();
        let other = self.driver().new_tab().await.unwrap();
        self.driver().switch_to_window(other).await.unwrap();
        self.driver().goto("chrome://discards/").await.unwrap();
        // The page goes on trying, because it is refused as long as this session is attached.
        let script = "const url = arguments[0];
            import('chrome://discards/discards.mojom-webui.js').then(async module => {
                const details = module.DetailsProvider.getRemote();
                let before;
                for (;;) {
                    const { infos } = await details.getTabDiscardsInfo();
                    const tab = infos.find(info => info.tabUrl === url);
                    before ??= tab?.discardCount;
                    if (tab && tab.discardCount > before) return;
                    if (tab) await details.discardById(tab.id, 0);
                    await new Promise(again => setTimeout(again, 100));
                }
            });";
        self.driver().execute(script, vec![json!(url)]).await.unwrap();
        self.driver.take().unwrap().quit().await.unwrap();

        let gone = format!("\"id\": \"{tab}\"");
        until("the tab to be discarded", PATIENCE, async || {
            let list = http::get(self.debug_port, "/json/list").await?.body;
            (list.contains("chrome://discards/") && !list.contains(&gone)).then_some(())
        })
        .await;
        self.attach().await;
        let mut back = None;
        for window in self.driver().windows().await.unwrap() {
            self.driver().switch_to_window(window.clone()).await.unwrap();
            match self.driver().current_url().await.unwrap().as_str() {
                "chrome://discards/" => self.driver().close_window().await.unwrap(),
                _ => back = Some(window),
            }
        }
        self.driver().switch_to_window(back.expect("the discarded tab")).await.unwrap();
        self.dress().await;
        self.until("document.readyState === 'complete'").await;
        self.until("document.wasDiscarded").await;
    }
}
