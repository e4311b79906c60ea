//! Logs: `tracing` events on standard error; `SEALPOST_LOG` filters, `SEALPOST_LOG_FORMAT=json` makes them machine-readable.
//!
//! Security: no module logs subjects, bodies, names of enclosures, link secrets or codes; a test looks for them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Libraries whose events may carry content.
const SILENT: [&str; 6] =
    ["html5ever=off", "markup5ever=off", "tendril=off", "mail_parser=off", "ammonia=off", "selectors=off"];

/// Starts logging: doors say what they do, other commands only what goes wrong.
pub fn start(is_door: bool) {
    let quiet = "warn,sqlx=error";
    let doors = "info,sqlx=warn";
    let filter =
        EnvFilter::try_from_env("SEALPOST_LOG").unwrap_or_else(|_| EnvFilter::new(if is_door { doors } else { quiet }));
    // These log what they work on, which is content: never, whatever is asked for.
    let filter = SILENT.iter().fold(filter, |filter, directive| match directive.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match std::env::var("SEALPOST_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().try_init(),
        _ => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    if let Err(cause) = started {
        eprintln!("sealpost: no log: {cause}");
    }
}

/// A moment as administrators read it: RFC 3339, UTC.
pub fn time(seconds: sealpost_vault::Time) -> String {
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}
