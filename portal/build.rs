//! Embeds the browser code: verifies that it was built and that the libraries are the ones we pinned, and hashes it.
//!
//! Why here: the pages name each script with its integrity hash, and the executable must not depend on files beside it.
//! Nothing is downloaded; what is missing or foreign stops the build with the command that helps. Each text is also
//! compressed once, here: OpenPGP.js is a third of its size then, and phones fetch it on bad lines.
//! Standards: W3C Subresource Integrity (over what is decoded), RFC 1952 (gzip).

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::{Compression, GzBuilder};
use ring::digest::{Context, SHA256, SHA384, digest};

/// What its makers published, by its name in our `dist`.
struct Pinned {
    name: &'static str,
    version: &'static str,
    integrity: &'static str,
}

/// `dist/openpgp.min.js` of openpgp, `esm/index.js` of @serenity-kit/opaque.
const PINNED: [Pinned; 2] = [
    Pinned {
        name: "openpgp.min.js",
        version: "OpenPGP.js 6.3.2",
        integrity: "Q6tBjZrAPJTIxj5F9KxCni/T9dTGDsXfi4U7aBZOl+3zPHpzU6gKcyKzAhs8Xeoa",
    },
    Pinned {
        name: "serenity-opaque.js",
        version: "@serenity-kit/opaque 1.1.0",
        integrity: "rOFkPVywaUAcFCA5u7KTeNPuMHZf3MvhDyb7sfFnhdgStombY09xfP1xEMaEz28q",
    },
];

const COMMAND: &str = "run in portal/web: npm ci --ignore-scripts && npm run build";

fn main() {
    if let Err(reason) = embed() {
        println!("cargo::error={reason}; {COMMAND}");
        process::exit(1);
    }
}

fn embed() -> Result<(), String> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(|_| "not run by cargo")?);
    let dist = here.join("web").join("dist");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=web/dist");
    println!("cargo::rerun-if-changed=../templates/portal");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|_| "not run by cargo")?);
    let mut files = Vec::new();
    list(&dist, &dist, &mut files)?;
    files.sort();
    let mut whole = Context::new(&SHA256);
    let mut rows = String::new();
    let mut found = 0;
    for (n, (name, path)) in files.iter().enumerate() {
        let Some(media_type) = media_type(name) else { continue };
        let content = fs::read(path).map_err(|_| format!("portal/web/dist/{name} can't be read"))?;
        let integrity = STANDARD.encode(digest(&SHA384, &content));
        if let Some(pinned) = PINNED.iter().find(|pinned| pinned.name == name) {
            if integrity != pinned.integrity {
                return Err(format!("portal/web/dist/{name} is not {}", pinned.version));
            }
            found += 1;
        }
        whole.update(name.as_bytes());
        whole.update(&[0]);
        whole.update(digest(&SHA256, &content).as_ref());
        let compressed = out.join(format!("{n}.gz"));
        compress(&content, &compressed).map_err(|error| format!("portal/web/dist/{name}: {error}"))?;
        let (path, compressed) = (path.display().to_string(), compressed.display().to_string());
        let _ = writeln!(
            rows,
            "    Asset {{ name: {name:?}, media_type: {media_type:?}, integrity: \"sha384-{integrity}\", \
             content: include_bytes!({path:?}), compressed: include_bytes!({compressed:?}) }},"
        );
    }
    if found != PINNED.len() {
        return Err("portal/web/dist lacks a library".to_owned());
    }
    let version: String = URL_SAFE_NO_PAD.encode(whole.finish()).chars().take(16).collect();
    let text = format!("pub const VERSION: &str = {version:?};\npub static ASSETS: &[Asset] = &[\n{rows}];\n");
    fs::write(out.join("assets.rs"), text).map_err(|error| format!("the list of assets can't be written: {error}"))
}

fn compress(content: &[u8], to: &Path) -> Result<(), std::io::Error> {
    // No name and no time: the same content gives the same executable.
    let mut encoder = GzBuilder::new().write(fs::File::create(to)?, Compression::best());
    encoder.write_all(content)?;
    encoder.finish().map(drop)
}

fn list(root: &Path, directory: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    let entries = fs::read_dir(directory).map_err(|_| "portal/web/dist is missing: the browser code isn't built")?;
    for entry in entries {
        let path = entry.map_err(|error| format!("portal/web/dist can't be listed: {error}"))?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.push((name.to_owned(), path));
        }
    }
    Ok(())
}

/// What we serve; other files of dist stay out of the executable.
fn media_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}
