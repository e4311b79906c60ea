//! Enclosures: a name that is safe to save under, a media type that is safe to hand on.
//!
//! Security: a sender's file name must not leave the directory, hide its extension, be a device, or be another's name.
//! Standards: RFC 2183 2.3, RFC 6838 4.2 (names of media types).

use std::collections::HashMap;

use super::header::{Header, Strictness};
use super::structure::Node;

/// Characters of a name, and of its extension.
const MAX_NAME: usize = 100;
const MAX_EXTENSION: usize = 16;

/// Names already given in one letter, in lower case (many file systems don't tell cases apart), and the number that the next
/// one of that name gets: ten thousand of one name must not be tried one by one.
#[derive(Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// A safe name that no other enclosure of this letter has.
    pub fn give(&mut self, wanted: &str) -> String {
        let name = safe(wanted).unwrap_or_else(|| "attachment.bin".to_owned());
        let (stem, extension) = split(&name);
        let mut number = self.0.get(&name.to_lowercase()).copied().unwrap_or(1);
        loop {
            let candidate = if number < 2 { name.clone() } else { format!("{stem} ({number}){extension}") };
            number = number.saturating_add(1);
            if !self.0.contains_key(&candidate.to_lowercase()) {
                self.0.insert(candidate.to_lowercase(), 2);
                self.0.insert(name.to_lowercase(), number);
                return candidate;
            }
        }
    }
}

/// What a part calls itself, or what its type is usually called.
pub(super) fn wanted_name(node: &Node<'_>) -> String {
    let given = given_name(node).and_then(|name| safe(&name));
    given.unwrap_or_else(|| {
        if node.main == "message" { message_name(node) } else { default_name(&media_type(node)).to_owned() }
    })
}

/// The file name that a part's header gives.
pub(super) fn given_name(node: &Node<'_>) -> Option<String> {
    let of = |value: &Option<mail_parser::ContentType<'static>>, attribute: &str| {
        value.as_ref().and_then(|value| value.attribute(attribute)).map(str::to_owned)
    };
    of(&node.disposition, "filename").or_else(|| of(&node.content_type, "name")).filter(|name| !name.trim().is_empty())
}

/// `type/subtype` without parameters; what isn't well-formed is `application/octet-stream`.
pub(super) fn media_type(node: &Node<'_>) -> String {
    // RFC 6838 4.2: restricted-name
    let well_formed = |name: &str| {
        name.len() <= 100
            && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    if well_formed(&node.main) && well_formed(&node.sub) && node.main != "multipart" {
        format!("{}/{}", node.main, node.sub)
    } else {
        "application/octet-stream".to_owned()
    }
}

/// A nested message is named by its subject.
fn message_name(node: &Node<'_>) -> String {
    if node.sub != "rfc822" && node.sub != "global" {
        return default_name(&media_type(node)).to_owned();
    }
    let head = node.content.get(..node.content.len().min(64 * 1024)).unwrap_or_default();
    let subject = Header::read(head, Strictness::Part).ok().and_then(|h| h.first("Subject").map(|field| field.text()));
    let short: String = subject.unwrap_or_default().chars().take(80).collect();
    // A subject may look like a path; here it is only a name.
    match safe(&short.replace(['/', '\\'], "_")) {
        Some(name) => format!("{name}.eml"),
        None => "message.eml".to_owned(),
    }
}

fn default_name(media_type: &str) -> &'static str {
    match media_type {
        "text/plain" => "text.txt",
        "text/html" => "page.html",
        "text/calendar" => "invitation.ics",
        "text/vcard" | "text/x-vcard" => "contact.vcf",
        "text/csv" => "table.csv",
        "text/rtf" | "application/rtf" => "text.rtf",
        "application/pdf" => "document.pdf",
        "application/zip" => "archive.zip",
        "application/pgp-signature" => "signature.asc",
        "application/pgp-encrypted" => "encrypted.asc",
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => "smime.p7s",
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => "smime.p7m",
        "application/ms-tnef" => "winmail.dat",
        "image/png" => "image.png",
        "image/jpeg" => "image.jpg",
        "image/gif" => "image.gif",
        "image/webp" => "image.webp",
        "image/svg+xml" => "image.svg",
        "message/rfc822" | "message/global" => "message.eml",
        "message/delivery-status" => "delivery-status.txt",
        "message/disposition-notification" => "disposition.txt",
        "text/rfc822-headers" => "headers.txt",
        other if other.starts_with("text/") => "text.txt",
        _ => "attachment.bin",
    }
}

/// Without path, control and direction characters, device names; `None` if nothing is left.
fn safe(wanted: &str) -> Option<String> {
    let last = wanted.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept = |c: &char| !c.is_control() && !is_invisible(*c);
    let replaced = |c: char| if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { c };
    let name: String = last.chars().filter(kept).map(replaced).collect();
    // Windows drops dots and blanks at the end; a dot in front hides a file.
    let name = name.trim().trim_end_matches(['.', ' ']).trim_start_matches(['.', ' ']);
    if name.is_empty() {
        return None;
    }
    let (stem, extension) = split(name);
    let room = MAX_NAME.saturating_sub(extension.chars().count());
    let stem: String = stem.chars().take(room).collect();
    let name = format!("{}{extension}", stem.trim_end());
    Some(if is_device(&name) { format!("_{name}") } else { name })
}

/// Stem and extension, the dot with the extension.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.').and_then(|dot| name.split_at_checked(dot)) {
        Some((stem, extension)) if !stem.is_empty() && extension.chars().count() <= MAX_EXTENSION => (stem, extension),
        _ => (name, ""),
    }
}

/// Marks that turn or hide text: `gpj.exe` behind a right-to-left override looks like `exe.jpg`.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Names that Windows keeps for devices, whatever the extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim().to_ascii_uppercase();
    let numbered = |port: &str| {
        let digit = stem.strip_prefix(port).unwrap_or_default();
        matches!(digit, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        for (wanted, expected) in [
            ("Befund.pdf", "Befund.pdf"),
            ("Befund Größe 2.pdf", "Befund Größe 2.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\a.docx", "a.docx"),
            ("/", "attachment.bin"),
            ("..", "attachment.bin"),
            ("  . .", "attachment.bin"),
            (".htaccess", "htaccess"),
            ("a.pdf. . ", "a.pdf"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("a\r\nb\0\u{1b}.txt", "ab.txt"),
            ("zero\u{200b}width\u{feff}.txt", "zerowidth.txt"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("LPT²", "_LPT²"),
            ("common.txt", "common.txt"),
            ("a<b>:\"|?*.txt", "a_b______.txt"),
            ("a.txt:evil", "a.txt_evil"),
        ] {
            assert_eq!(Names::default().give(wanted), expected, "{wanted:?}");
        }
        let long = Names::default().give(&("ä".repeat(500) + ".pdf"));
        assert_eq!(long.chars().count(), MAX_NAME);
        assert!(long.ends_with(".pdf"));
        assert!(Names::default().give(&("a.".to_owned() + &"b".repeat(500))).chars().count() <= MAX_NAME);
    }

    #[test]
    fn names_are_unique() {
        let mut names = Names::default();
        let given: Vec<String> = ["a.pdf", "A.pdf", "a.pdf", "a (2).pdf", "noext", "noext"]
            .into_iter()
            .map(|name| names.give(name))
            .collect();
        assert_eq!(given, ["a.pdf", "A (2).pdf", "a (3).pdf", "a (2) (2).pdf", "noext", "noext (2)"]);
    }
}
