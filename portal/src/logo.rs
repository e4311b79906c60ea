//! The organisation's logo: read once at the start, bounded, known by its content and not by its name.
//!
//! Security: an SVG can carry scripts; it is shown by `<img>`, which runs none, and whoever opens its address sees it in a
//! sandbox without scripts.

use std::io::Read as _;
use std::path::PathBuf;

/// Largest logo, in bytes.
const MAX_LOGO: u64 = 512 * 1024;

/// Why the configured logo can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    #[error("organisation.logo: {path}: {cause}")]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("organisation.logo: {path} is larger than 512 KiB")]
    TooLarge { path: PathBuf },
    #[error("organisation.logo: {path} is neither PNG nor SVG")]
    Format { path: PathBuf },
}

#[derive(Debug)]
pub struct Logo {
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

impl Logo {
    /// `None` where no path is configured.
    pub fn read(path: &str) -> Result<Option<Self>, LogoError> {
        if path.is_empty() {
            return Ok(None);
        }
        let path = PathBuf::from(path);
        let mut content = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_LOGO + 1).read_to_end(&mut content));
        match read {
            Err(cause) => Err(LogoError::Unreadable { path, cause }),
            Ok(length) if u64::try_from(length).unwrap_or(u64::MAX) > MAX_LOGO => Err(LogoError::TooLarge { path }),
            Ok(_) => match media_type(&content) {
                Some(media_type) => Ok(Some(Self { media_type, content })),
                None => Err(LogoError::Format { path }),
            },
        }
    }
}

fn media_type(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    let text = std::str::from_utf8(content).ok()?.trim_start_matches('\u{feff}').trim_start();
    let is_svg =
        text.starts_with("<svg") || (text.starts_with("<?xml") || text.starts_with("<!--")) && text.contains("<svg");
    is_svg.then_some("image/svg+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_by_content() {
        for (content, expect) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Some("image/png")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Some("image/svg+xml")),
            (b"<?xml version='1.0'?>\n<svg/>", Some("image/svg+xml")),
            (b"<html><svg/></html>", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(media_type(content), expect);
        }
    }

    #[test]
    fn size_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logo.svg");
        std::fs::write(&path, format!("<svg>{}</svg>", " ".repeat(600_000))).unwrap();
        assert!(matches!(Logo::read(path.to_str().unwrap()), Err(LogoError::TooLarge { .. })));
        std::fs::write(&path, "<svg/>").unwrap();
        assert!(Logo::read(path.to_str().unwrap()).unwrap().is_some());
        assert!(matches!(Logo::read("/nowhere/logo.png"), Err(LogoError::Unreadable { .. })));
    }
}
