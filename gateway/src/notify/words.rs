//! What a mail's templates take: its sentences and the facts that stand in them.

use sealpost_texts::{Language, Organisation, Texts};

use super::header;

/// The sentences of one language, with the facts of one mail.
pub struct Words {
    texts: Texts,
    facts: Vec<(&'static str, String)>,
    accent: String,
    ink: &'static str,
}

impl Words {
    /// Knows the organisation; each mail adds its own facts.
    pub fn new(organisation: &Organisation, language: Language) -> Self {
        let accent = Accent::of(&organisation.colour);
        let words = Self { texts: Texts::new(language), facts: Vec::new(), accent: accent.colour, ink: accent.ink };
        let website = header::line(&organisation.website, 200);
        let telephone = header::line(&organisation.telephone, header::NAME);
        words
            .fact("organisation", header::line(&organisation.name, header::NAME))
            .fact("portal", header::line(&organisation.portal, 300))
            .fact("telephone-link", telephone_link(&telephone))
            .fact("telephone", telephone)
            .fact("website-link", web_link(&website))
            .fact("website", website)
    }

    /// Adds a fact, one line already.
    pub fn fact(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// A sentence, its variables filled from the facts.
    pub fn say(&self, key: &str) -> String {
        let variables: Vec<(&'static str, &str)> =
            self.facts.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.texts.with(key, &variables)
    }

    /// A fact by itself. One that doesn't exist shows as its name, and the tests of each mail fail.
    pub fn value(&self, name: &str) -> String {
        let found = self.facts.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| format!("[{name}]"), |(_, value)| value.clone())
    }

    /// Whether there is something to show.
    pub fn has(&self, name: &str) -> bool {
        self.facts.iter().any(|(known, value)| *known == name && !value.is_empty())
    }

    pub fn date(&self, seconds: i64) -> String {
        self.texts.date(seconds)
    }

    pub fn code(&self) -> &'static str {
        self.texts.code()
    }

    /// Colour of bar and button.
    pub fn accent(&self) -> &str {
        &self.accent
    }

    /// Colour of the button's text.
    pub fn ink(&self) -> &str {
        self.ink
    }
}

/// One mail, rendered.
pub struct Triple {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Names the three templates of a mail and renders them from one [`Words`].
macro_rules! triple {
    ($render:ident, $subject:tt, $text:tt, $html:tt) => {
        fn $render(w: &$crate::notify::words::Words) -> Result<$crate::notify::words::Triple, askama::Error> {
            use askama::Template;

            use $crate::notify::words::{Triple, Words};

            #[derive(Template)]
            #[template(path = $subject)]
            struct Subject<'a> {
                w: &'a Words,
            }
            #[derive(Template)]
            #[template(path = $text)]
            struct Text<'a> {
                w: &'a Words,
            }
            #[derive(Template)]
            #[template(path = $html)]
            struct Html<'a> {
                w: &'a Words,
            }
            Ok(Triple { subject: Subject { w }.render()?, text: Text { w }.render()?, html: Html { w }.render()? })
        }
    };
}
pub(super) use triple;

/// The organisation's colour and what is readable on it.
struct Accent {
    colour: String,
    ink: &'static str,
}

impl Accent {
    // What isn't `#rrggbb` becomes the default: the value stands in a style attribute.
    fn of(colour: &str) -> Self {
        let channels = channels(colour);
        let (colour, [r, g, b]) =
            channels.map_or_else(|| ("#1d5f8a".to_owned(), [0x1d, 0x5f, 0x8a]), |known| (colour.to_owned(), known));
        // WCAG 2.2, relative luminance: black and white contrast equally at 0.179.
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        Self { colour, ink: if luminance > 0.179 { "#000000" } else { "#ffffff" } }
    }
}

fn channels(colour: &str) -> Option<[u8; 3]> {
    let digits = colour.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let channel = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    Some([channel(0)?, channel(2)?, channel(4)?])
}

// Empty: shown as text only.
fn telephone_link(telephone: &str) -> String {
    let digits: String = telephone.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
    let plus = if telephone.trim_start().starts_with('+') { "+" } else { "" };
    if digits.len() < 3 { String::new() } else { format!("tel:{plus}{digits}") }
}

fn web_link(website: &str) -> String {
    match website.split_once("://") {
        Some(("https" | "http", _)) => website.to_owned(),
        Some(_) => String::new(),
        None if website.is_empty() || website.contains(':') => String::new(),
        None => format!("https://{website}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_is_readable_on_the_accent() {
        for (colour, shown, ink) in [
            ("#1d5f8a", "#1d5f8a", "#ffffff"),
            ("#ffd400", "#ffd400", "#000000"),
            ("#000000", "#000000", "#ffffff"),
            ("#FFFFFF", "#FFFFFF", "#000000"),
            ("red;background:url(//x)", "#1d5f8a", "#ffffff"),
            ("", "#1d5f8a", "#ffffff"),
            ("#12345ä", "#1d5f8a", "#ffffff"),
        ] {
            let accent = Accent::of(colour);
            assert_eq!((accent.colour.as_str(), accent.ink), (shown, ink), "{colour}");
        }
    }

    #[test]
    fn links() {
        assert_eq!(telephone_link("+49 (0)30 123-4567"), "tel:+49301234567");
        assert_eq!(telephone_link("030 / 1234"), "tel:0301234");
        assert_eq!(telephone_link("ask at the desk"), "");
        assert_eq!(web_link("https://klinik.example"), "https://klinik.example");
        assert_eq!(web_link("www.klinik.example"), "https://www.klinik.example");
        assert_eq!(web_link("javascript:alert(1)"), "");
        assert_eq!(web_link("javascript://x"), "");
        assert_eq!(web_link(""), "");
    }
}
