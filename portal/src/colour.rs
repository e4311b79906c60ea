//! The organisation's colour, made readable: on light and dark pages, as ground and as text.
//!
//! The style sheet of the pages takes five custom properties from here and never the configured colour itself.
//! Standards: WCAG 2.2, 1.4.3 (contrast of at least 4.5 : 1).

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour([u8; 3]);

const WHITE: Colour = Colour([255; 3]);
const BLACK: Colour = Colour([0; 3]);
/// The darkest ground of light pages and the lightest ground of dark pages that coloured text must be read on.
const LIGHT_GROUND: Colour = Colour([0xee, 0xf0, 0xf2]);
const DARK_GROUND: Colour = Colour([0x2a, 0x2f, 0x36]);
/// WCAG's 4.5, and a little more so that rounding to 8 bits can't fall below it.
const READABLE: f64 = 4.6;

/// The style sheet `/style/organisation.css`.
#[derive(Clone, Debug)]
pub struct Accent(String);

impl Accent {
    pub fn style_sheet(&self) -> &str {
        &self.0
    }
}

/// From `#rrggbb`.
pub fn accent(written: &str) -> Option<Accent> {
    let colour = parse(written)?;
    let light = readable_on(colour, LIGHT_GROUND, BLACK);
    let dark = readable_on(colour, DARK_GROUND, WHITE);
    Some(Accent(format!(
        "/* --accent: ground of buttons, --on-accent: text on it, --accent-text: links and headings on the page's ground */\n\
         :root {{ --accent: {}; --on-accent: {}; --accent-text: {}; }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --accent: {}; --on-accent: {}; --accent-text: {}; }} }}\n",
        hex(colour),
        hex(foreground(colour)),
        hex(light),
        hex(dark),
        hex(foreground(dark)),
        hex(dark),
    )))
}

fn parse(written: &str) -> Option<Colour> {
    let digits = written.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some(Colour([red, green, blue]))
}

fn hex(Colour([red, green, blue]): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Relative luminance as WCAG defines it.
fn luminance(Colour(channels): Colour) -> f64 {
    let linear = channels.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let [red, green, blue] = linear;
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(a: Colour, b: Colour) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// White, or black where white can't be read: one of the two always can.
fn foreground(ground: Colour) -> Colour {
    if contrast(WHITE, ground) >= 4.5 { WHITE } else { BLACK }
}

/// The colour itself, or mixed with `towards` in the smallest step of 1/64 that is readable on `ground`.
fn readable_on(colour: Colour, ground: Colour, towards: Colour) -> Colour {
    let mixed = |step: u32| {
        let mut channels = colour.0;
        for (channel, target) in channels.iter_mut().zip(towards.0) {
            let value = (u32::from(*channel) * (64 - step) + u32::from(target) * step) / 64;
            *channel = u8::try_from(value).unwrap_or(u8::MAX);
        }
        Colour(channels)
    };
    (0..=64).map(mixed).find(|candidate| contrast(*candidate, ground) >= READABLE).unwrap_or(towards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_becomes_readable() {
        for red in (0..=255u8).step_by(15) {
            for green in (0..=255u8).step_by(15) {
                for blue in (0..=255u8).step_by(15) {
                    let colour = Colour([red, green, blue]);
                    let (light, dark) =
                        (readable_on(colour, LIGHT_GROUND, BLACK), readable_on(colour, DARK_GROUND, WHITE));
                    assert!(contrast(foreground(colour), colour) >= 4.5, "{colour:?}");
                    assert!(contrast(foreground(dark), dark) >= 4.5, "{colour:?}");
                    assert!(contrast(light, LIGHT_GROUND) >= 4.5 && contrast(light, WHITE) >= 4.5, "{colour:?}");
                    assert!(contrast(dark, DARK_GROUND) >= 4.5 && contrast(dark, BLACK) >= 4.5, "{colour:?}");
                }
            }
        }
    }

    #[test]
    fn a_readable_colour_stays_as_it_is() {
        let sheet = accent("#1d5f8a").unwrap();
        assert!(
            sheet.style_sheet().contains(":root { --accent: #1d5f8a; --on-accent: #ffffff; --accent-text: #1d5f8a; }")
        );
    }

    #[test]
    fn only_six_digits() {
        for written in ["", "#", "#fff", "1d5f8a", "#1d5f8g", "#1d5f8a;", "#+d5f8a", "red", "#ä5f8a", "#}body{"] {
            assert!(accent(written).is_none(), "{written}");
        }
    }

    #[test]
    fn contrast_as_wcag_counts_it() {
        assert!((contrast(WHITE, BLACK) - 21.0).abs() < 1e-9);
        assert!((contrast(WHITE, Colour([0x76; 3])) - 4.54).abs() < 0.01);
    }
}
