//! The dialogue files.
//!
//! ```text
//! # comment
//! @ key value      a setting of the server: see `set`
//! c -> TEXT        the client sends TEXT and CRLF; {x*600} repeats
//! c ~> TEXT        the client sends TEXT as it is; \r \n \t \0 \\ \xHH are escapes
//! c .> MS TEXT     the client sends TEXT, with escapes, octet by octet with a pause before each; goes on whatever the server says
//! c <- TEXT        the server's next line; * stands for anything
//! c <> tls         the TLS handshake
//! c |> half        the client says that it will send nothing more
//! c |> goes        the client is gone, by a reset where `@ resets` stands; waits until its session has ended
//! c <| closed      the server has said nothing more and closed
//! c <| cut         the server has closed, perhaps with a TLS alert, but without a reply
//! = waited MS      the last reply came at least so long after the client began to send the text before it
//! = accepted N     how many messages were accepted
//! = from ADDRESS   of the last accepted message; <> is null
//! = to A B C
//! = body 8bitmime
//! = charset utf8
//! = client ADDRESS
//! = dsn RET ENVID           `-` where there is none
//! = asked ADDRESS NOTIFY ORCPT
//! = tls yes
//! = bytes TEXT     with the escapes of ~>
//! ```

use std::path::Path;
use std::time::Duration;

use sealpost_gateway::smtp::{Door, Encryption, Settings};

use crate::server::{Mood, Shown, users};

pub struct Script {
    pub name: String,
    pub settings: Settings,
    pub door: Door,
    pub tls: bool,
    pub shown: Shown,
    pub mood: Mood,
    /// Means something only if texts arrive in one piece.
    pub whole_only: bool,
    /// The client goes by a reset of its connection.
    pub resets: bool,
    pub steps: Vec<(usize, Step)>,
}

#[derive(Debug)]
pub enum Step {
    Send(Vec<u8>),
    Trickle(Duration, Vec<u8>),
    Expect(String),
    Handshake,
    Half,
    Goes,
    Closed,
    Cut,
    Waited(Duration),
    Accepted(usize),
    From(String),
    To(Vec<String>),
    Body(String),
    Tls(bool),
    Charset(String),
    Client(String),
    Dsn(String),
    Asked(String),
    Bytes(Vec<u8>),
}

/// Fewer were found: files that went missing would otherwise be a passing test.
const AT_LEAST: usize = 195;

impl Script {
    /// Those of `tests/dialogs`.
    pub fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dialogs");
        let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "smtp"));
        paths.sort();
        assert!(paths.len() >= AT_LEAST, "only {} dialogues", paths.len());
        paths
            .iter()
            .map(|path| Self::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            .collect()
    }

    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&path.file_name().unwrap().to_string_lossy(), &text)
    }

    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let settings = Settings {
            hostname: "gateway.example".into(),
            error_delay: Duration::ZERO,
            auth_delay: Duration::ZERO,
            ..Settings::default()
        };
        let mut script = Self {
            name: name.into(),
            settings,
            door: Door::Inside,
            tls: false,
            shown: Shown::Nothing,
            mood: Mood::Willing,
            whole_only: false,
            resets: false,
            steps: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            script.line(number, line).ok_or_else(|| format!("line {number} isn't understood: {line}"))?;
        }
        // Else a server that says too much or never lets go would go unnoticed.
        if !script.steps.iter().any(|(_, step)| matches!(step, Step::Closed | Step::Cut | Step::Goes)) {
            return Err("a dialogue must see the connection closed".into());
        }
        Ok(script)
    }

    fn line(&mut self, number: usize, line: &str) -> Option<()> {
        if line.is_empty() || line.starts_with('#') {
            return Some(());
        }
        if let Some(setting) = line.strip_prefix("@ ") {
            return self.set(setting);
        }
        let step = if let Some(text) = line.strip_prefix("c -> ") {
            Step::Send([repeated(text).as_bytes(), b"\r\n"].concat())
        } else if let Some(text) = line.strip_prefix("c ~> ") {
            Step::Send(unescaped(&repeated(text))?)
        } else if let Some(trickle) = line.strip_prefix("c .> ") {
            let (pause, text) = trickle.split_once(' ')?;
            Step::Trickle(Duration::from_millis(pause.parse().ok()?), unescaped(&repeated(text))?)
        } else if let Some(text) = line.strip_prefix("c <- ") {
            Step::Expect(text.into())
        } else if let Some(fact) = line.strip_prefix("= ") {
            let (key, value) = fact.split_once(' ').unwrap_or((fact, ""));
            match key {
                "waited" => Step::Waited(Duration::from_millis(value.parse().ok()?)),
                "accepted" => Step::Accepted(value.parse().ok()?),
                "from" => Step::From(value.trim_matches(['<', '>']).into()),
                "to" => Step::To(value.split(' ').map(Into::into).collect()),
                "body" => Step::Body(value.into()),
                "tls" => Step::Tls(value == "yes"),
                "charset" => Step::Charset(value.into()),
                "client" => Step::Client(value.into()),
                "dsn" => Step::Dsn(value.into()),
                "asked" => Step::Asked(value.into()),
                "bytes" => Step::Bytes(unescaped(&repeated(value))?),
                _ => return None,
            }
        } else {
            match line {
                "c ->" => Step::Send(b"\r\n".to_vec()),
                "c <> tls" => Step::Handshake,
                "c |> half" => Step::Half,
                "c |> goes" => {
                    // So that a second connection shows when the first one's session has ended.
                    self.settings.max_connections = 1;
                    Step::Goes
                }
                "c <| closed" => Step::Closed,
                "c <| cut" => Step::Cut,
                _ => return None,
            }
        };
        self.steps.push((number, step));
        Some(())
    }

    fn set(&mut self, setting: &str) -> Option<()> {
        let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
        let count = || value.parse::<usize>().ok();
        let milliseconds = || value.parse().ok().map(Duration::from_millis);
        match key {
            "tls" => self.tls = true,
            "whole" => self.whole_only = true,
            "resets" => self.resets = true,
            "door" => self.door = if value == "returns" { Door::Returns } else { Door::Inside },
            "intake" => self.mood = Mood::parse(value)?,
            "networks" => {
                self.settings.networks = value.split(' ').map(|network| network.parse().ok()).collect::<Option<_>>()?;
            }
            "implicit-tls" => {
                self.tls = true;
                self.settings.encryption = Encryption::FromTheStart;
            }
            "users" => self.settings.users = Some(users(value)),
            "shows" => self.shown = Shown::parse(value)?,
            "proxies" => self.settings.proxies = vec![value.parse().ok()?],
            "introducers" => self.settings.introducers = vec![value.parse().ok()?],
            "max-per-client" => self.settings.max_per_client = count()?,
            "max-header" => self.settings.max_header = count()?,
            "max-header-fields" => self.settings.max_header_fields = count()?,
            "max-auth-failures" => self.settings.max_auth_failures = value.parse().ok()?,
            "max-size" => self.settings.max_size = count()?,
            "max-memory" => {
                self.settings.max_memory = count()?;
                self.settings.memory_wait = Duration::from_millis(100);
            }
            "max-recipients" => self.settings.max_recipients = count()?,
            "max-errors" => self.settings.max_errors = value.parse().ok()?,
            "max-idle-commands" => self.settings.max_idle_commands = value.parse().ok()?,
            "error-delay-ms" => self.settings.error_delay = milliseconds()?,
            "auth-delay-ms" => self.settings.auth_delay = milliseconds()?,
            "greet-wait-ms" => self.settings.greet_wait = milliseconds()?,
            "command-timeout-ms" => self.settings.command_timeout = milliseconds()?,
            "data-timeout-ms" => self.settings.data_timeout = milliseconds()?,
            "minimum-rate" => self.settings.minimum_rate = value.parse().ok()?,
            "rate-grace-ms" => self.settings.rate_grace = milliseconds()?,
            _ => return None,
        }
        Some(())
    }
}

/// `a{xy*3}b` is `axyxyxyb`.
fn repeated(text: &str) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        written.push_str(before);
        let found = after.split_once('}').and_then(|(inside, after)| {
            let (unit, times) = inside.rsplit_once('*')?;
            Some((unit.repeat(times.parse().ok()?), after))
        });
        match found {
            Some((expansion, after)) => {
                written.push_str(&expansion);
                rest = after;
            }
            None => {
                written.push('{');
                rest = after;
            }
        }
    }
    written + rest
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut source = text.bytes();
    while let Some(byte) = source.next() {
        bytes.push(match byte {
            b'\\' => match source.next()? {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'\\' => b'\\',
                b'x' => {
                    let digits = [source.next()?, source.next()?];
                    u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
                }
                _ => return None,
            },
            other => other,
        });
    }
    Some(bytes)
}
