//! Certificates that nobody signed but their owner, and `openssl s_client`, which believes one of them and no other.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A certificate for `localhost` and 127.0.0.1, with its key, in two PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// What is spoken before TLS.
#[derive(Clone, Copy, Debug)]
pub enum Speech {
    /// Nothing: TLS from the first octet.
    Https,
    /// SMTP up to STARTTLS.
    Smtp,
}

impl Certificate {
    /// A new one in an existing directory.
    pub fn make(directory: &Path) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let pair = Self { chain: directory.join("certificate.pem"), key: directory.join("key.pem") };
        fs::write(&pair.chain, made.cert.pem()).unwrap();
        fs::write(&pair.key, made.signing_key.serialize_pem()).unwrap();
        pair
    }

    /// Puts this one in another one's place, as a renewal does: each file at once.
    pub fn replace(&self, other: &Self) {
        for (new, old) in [(&self.chain, &other.chain), (&self.key, &other.key)] {
            let beside = old.with_extension("new");
            fs::copy(new, &beside).unwrap();
            fs::rename(beside, old).unwrap();
        }
    }

    /// Two lines for a table of the configuration.
    pub fn lines(&self) -> String {
        format!("certificate = \"{}\"\nkey = \"{}\"", self.chain.display(), self.key.display())
    }

    /// What a server said to `words` after a handshake with this certificate; None if it shows another one, or nobody answers.
    /// The words must end the conversation.
    pub fn converse(&self, port: u16, speech: Speech, words: &str) -> Option<String> {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}"), "-servername", "localhost"]);
        client.args(["-verify_return_error", "-verify_hostname", "localhost", "-no-CApath", "-no-CAstore"]);
        client.arg("-CAfile").arg(&self.chain);
        if let Speech::Smtp = speech {
            client.args(["-starttls", "smtp", "-name", "client.klinik.example"]);
        }
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Who refuses the certificate reads nothing.
        let _ = client.stdin.take().unwrap().write_all(words.as_bytes());
        let output = client.wait_with_output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
            .filter(|said| !said.is_empty())
    }

    /// Whether a door shows this certificate and works behind it.
    pub fn is_shown(&self, port: u16, speech: Speech) -> bool {
        let (words, wanted) = match speech {
            Speech::Https => ("GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
            Speech::Smtp => ("EHLO client.klinik.example\r\nQUIT\r\n", "221 "),
        };
        self.converse(port, speech, words).is_some_and(|said| said.contains(wanted))
    }
}
