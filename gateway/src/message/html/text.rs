//! HTML as plain text, for readers and programs that want no HTML: lines where blocks were, lists with dashes, links with
//! their addresses.

use super::tree::{Kind, Tree};

const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "caption",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "header",
    "li",
    "main",
    "ol",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];
/// Blocks with an empty line around them.
const PARAGRAPHS: &[&str] = &["h1", "h2", "h3", "h4", "h5", "h6", "p"];

enum Step {
    Enter(usize),
    Leave(usize),
}

/// What was written, and what stands between it and the next word.
#[derive(Default)]
struct Page {
    out: String,
    lines: usize,
    blank: bool,
    preformatted: usize,
}

impl Page {
    fn break_line(&mut self, lines: usize) {
        self.lines = self.lines.max(lines);
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            if self.lines > 0 {
                self.out.extend(std::iter::repeat_n('\n', self.lines));
            } else if self.blank {
                self.out.push(' ');
            }
        }
        self.lines = 0;
        self.blank = false;
    }

    fn words(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.flush();
            self.out.push_str(text);
            return;
        }
        let is_blank = |c: char| c.is_ascii_whitespace() || c == '\u{a0}';
        for (nth, word) in text.split(is_blank).enumerate() {
            self.blank |= nth > 0;
            if !word.is_empty() {
                self.flush();
                self.out.push_str(word);
            }
        }
    }
}

/// The whole tree.
pub(super) fn rendered(tree: &Tree) -> String {
    let mut page = Page::default();
    let mut steps = vec![Step::Enter(0)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(node) => {
                enter(tree, node, &mut page);
                steps.push(Step::Leave(node));
                let children = tree.nodes.get(node).map(|node| node.children.as_slice()).unwrap_or_default();
                steps.extend(children.iter().rev().map(|child| Step::Enter(*child)));
            }
            Step::Leave(node) => leave(tree, node, &mut page),
        }
    }
    page.out.push('\n');
    if page.out.trim().is_empty() { String::new() } else { page.out }
}

fn enter(tree: &Tree, node: usize, page: &mut Page) {
    if let Some(Kind::Text(text)) = tree.nodes.get(node).map(|node| &node.kind) {
        page.words(text);
        return;
    }
    let name = tree.name(node);
    if BLOCKS.contains(&name) {
        page.break_line(1);
    } else if PARAGRAPHS.contains(&name) {
        page.break_line(2);
    }
    match name {
        "li" => {
            page.flush();
            page.out.push_str("- ");
        }
        "hr" => {
            page.break_line(1);
            page.words("--------");
            page.break_line(1);
        }
        "br" => page.lines = page.lines.saturating_add(1).min(3),
        "td" | "th" => page.blank = true,
        "img" => page.words(tree.attribute(node, "alt").unwrap_or_default()),
        "pre" => page.preformatted = page.preformatted.saturating_add(1),
        "div" if tree.attribute(node, "style") == Some("white-space:pre-wrap") => {
            page.preformatted = page.preformatted.saturating_add(1);
        }
        _ => {}
    }
}

fn leave(tree: &Tree, node: usize, page: &mut Page) {
    let name = tree.name(node);
    match name {
        "pre" => page.preformatted = page.preformatted.saturating_sub(1),
        "div" if tree.attribute(node, "style") == Some("white-space:pre-wrap") => {
            page.preformatted = page.preformatted.saturating_sub(1);
        }
        "a" => {
            let address = tree.attribute(node, "href").unwrap_or_default();
            let bare = address.trim_start_matches("mailto:").trim_end_matches('/');
            if !bare.is_empty() && !page.out.trim_end().ends_with(bare) {
                page.words(&format!(" <{address}>"));
            }
        }
        _ => {}
    }
    if BLOCKS.contains(&name) {
        page.break_line(1);
    } else if PARAGRAPHS.contains(&name) {
        page.break_line(2);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn texts() {
        for (html, expected) in [
            ("<p>Guten  Tag,<br>Ihr\n Befund</p><p>ist da.</p>", "Guten Tag,\nIhr Befund\n\nist da.\n"),
            ("<div>a</div><div>b<div>c</div></div>", "a\nb\nc\n"),
            ("<ul><li>eins<li>zwei</ul>", "- eins\n- zwei\n"),
            ("<table><tr><td>Hb</td><td>14,2</td></tr><tr><td>Fe<td>80</table>", "Hb 14,2\nFe 80\n"),
            ("<a href=\"https://x.example/a\">hier</a>", "hier <https://x.example/a>\n"),
            ("<a href=\"https://x.example/\">https://x.example</a>", "https://x.example\n"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc\n"),
            ("1 &lt; 2 &amp; 3&nbsp;mg", "1 < 2 & 3 mg\n"),
            ("<p> &nbsp; </p>", ""),
        ] {
            assert_eq!(rendered(&Tree::read(html, Duration::from_secs(60)).unwrap()), expected, "{html}");
        }
    }
}
