//! Inline styles, declaration by declaration: known properties, values that can only be measures, colours and names.
//!
//! Values are not parsed but restricted to characters that spell nothing dangerous: no backslash, no comment, no at-rule,
//! no function other than a colour's. So there is no `url()`, `expression()`, `image-set()` or `var()`, escaped or not.

/// No positions: a letter must not draw over what isn't its own.
const PROPERTIES: &[&str] = &[
    "background-color",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-style",
    "border-top-width",
    "border-width",
    "box-sizing",
    "caption-side",
    "clear",
    "color",
    "direction",
    "display",
    "empty-cells",
    "float",
    "font",
    "font-family",
    "font-size",
    "font-stretch",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "opacity",
    "overflow-wrap",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "table-layout",
    "text-align",
    "text-decoration",
    "text-decoration-color",
    "text-decoration-line",
    "text-decoration-style",
    "text-indent",
    "text-transform",
    "unicode-bidi",
    "vertical-align",
    "visibility",
    "white-space",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
];

const COLOURS: [&str; 4] = ["rgb", "rgba", "hsl", "hsla"];

/// The declarations that may stay; `None` if there are none.
pub(super) fn filtered(style: &str) -> Option<String> {
    let kept: Vec<String> = style.split(';').filter_map(declaration).collect();
    (!kept.is_empty()).then(|| kept.join(";"))
}

fn declaration(text: &str) -> Option<String> {
    let (property, value) = text.split_once(':')?;
    let property = property.trim().to_ascii_lowercase();
    let value = value.trim();
    let known = PROPERTIES.contains(&property.as_str());
    (known && is_harmless(value)).then(|| format!("{property}:{value}"))
}

fn is_harmless(value: &str) -> bool {
    let plain = |c: char| {
        c.is_alphanumeric() || matches!(c, ' ' | '#' | '%' | '.' | ',' | '-' | '!' | '+' | '(' | ')' | '\'' | '"' | '_')
    };
    let count = |quote: char| value.chars().filter(|c| *c == quote).count();
    let balanced = count('"').is_multiple_of(2) && count('\'').is_multiple_of(2) && count('(') == count(')');
    !value.is_empty() && value.len() <= 500 && value.chars().all(plain) && balanced && functions_are_colours(value)
}

fn functions_are_colours(value: &str) -> bool {
    let mut pieces = value.split('(').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return true;
        }
        let name = piece.rsplit([' ', ',', ')']).next().unwrap_or_default();
        if !COLOURS.iter().any(|colour| colour.eq_ignore_ascii_case(name)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles() {
        for (style, expected) in [
            ("color: red", Some("color:red")),
            ("COLOR:RGB(1, 2,3) !important; margin:0 0 1em", Some("color:RGB(1, 2,3) !important;margin:0 0 1em")),
            ("font-family:'Segoe UI',\"Arial\",sans-serif", Some("font-family:'Segoe UI',\"Arial\",sans-serif")),
            ("mso-line-height-rule:exactly; width:50%", Some("width:50%")),
            ("position:fixed;top:0;left:0;z-index:9", None),
            ("background:url(http://x.example/a.png)", None),
            ("background-image:url(cid:a)", None),
            ("list-style:url(//x.example)", None),
            ("color:url(//x.example)", None),
            ("color:u\\72l(//x.example)", None),
            ("color:u/**/rl(//x.example)", None),
            ("width:expression(alert(1))", None),
            ("width:calc(1px)", None),
            ("color:var(--x)", None),
            ("color:rgb(url(x))", None),
            ("color:image-set('x' 1x)", None),
            ("-moz-binding:url(x)", None),
            ("behavior:url(x)", None),
            ("@import 'x';color:red", Some("color:red")),
            ("color:red}body{color:blue", None),
            ("font-family:'a;color:red", Some("color:red")),
            ("", None),
        ] {
            assert_eq!(filtered(style).as_deref(), expected, "{style}");
        }
    }
}
