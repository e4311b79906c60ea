//! Hostile HTML: after cleaning nothing may be left that loads, runs, navigates by itself or speaks to the page.
//!
//! The output is parsed again, by itself and inside other elements, and every node of the tree must be on a list that is
//! written here independently of the cleaner's.

use std::collections::HashSet;

use super::*;
use crate::message::html::tree::Kind;

const HARMLESS_TAGS: &str = "a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col \
    colgroup dd del dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark ol p \
    pre q s samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr";
const HARMLESS_ATTRIBUTES: &str = "align alt bgcolor border bordercolor cellpadding cellspacing color colspan dir face height \
    hspace href lang noshade nowrap rel role rowspan scope size span src start style target title type valign value vspace width";

fn cleaned(html: &str) -> String {
    clean(html, &Arc::new(Images::default())).unwrap()
}

/// Why the fragment isn't harmless.
fn harm(fragment: &str) -> Option<String> {
    let tags: HashSet<&str> = HARMLESS_TAGS.split_whitespace().collect();
    let attributes: HashSet<&str> = HARMLESS_ATTRIBUTES.split_whitespace().collect();
    let tree = Tree::read(fragment, MAX_TIME).unwrap();
    // The first two nodes are the document and the context's root.
    for node in
        tree.nodes.iter().filter(|node| !matches!(&node.kind, Kind::Element { name, .. } if *name.local == *"html"))
    {
        let Kind::Element { name, attributes: found } = &node.kind else { continue };
        if *name.local == *"body" {
            continue;
        }
        if name.ns != html5ever::ns!(html) {
            return Some(format!("namespace of {}", &name.local));
        }
        if !tags.contains(&*name.local) {
            return Some(format!("element {}", &name.local));
        }
        for (attribute, value) in found {
            if !attributes.contains(attribute.as_str()) {
                return Some(format!("attribute {attribute}"));
            }
            let url = Url::parse(value).ok();
            let scheme = url.as_ref().map(|url| url.scheme()).unwrap_or_default();
            let fine = match attribute.as_str() {
                "href" => &*name.local == "a" && ["http", "https", "mailto"].contains(&scheme),
                "src" => {
                    let image = IMAGE_TYPES.iter().any(|kind| value.starts_with(&format!("data:{kind};base64,")));
                    &*name.local == "img" && image
                }
                "target" => value == "_blank",
                "rel" => value == "noopener noreferrer nofollow",
                "style" => value.split(';').all(|one| {
                    let (property, value) = one.split_once(':').unwrap_or_default();
                    let parts: Vec<&str> = property.split('-').collect();
                    let harmless = "background border bottom box break caption clear collapse color cells decoration direction \
                        display empty family float font height indent layout left letter line list margin max min opacity \
                        overflow padding radius right side size sizing space spacing stretch style table text top transform type \
                        unicode bidi variant vertical align visibility weight white width word wrap";
                    let words: HashSet<&str> = harmless.split_whitespace().collect();
                    let forbidden = ["url", "expression", "\\", "/*", "@", "image", "var(", "calc", "attr", "element", "{", "<"];
                    parts.iter().all(|part| words.contains(part))
                        && property != "background"
                        && !forbidden.iter().any(|bad| value.to_lowercase().contains(bad))
                }),
                _ => true,
            };
            if !fine {
                return Some(format!("{}: {attribute}={value}", &name.local));
            }
            if &*name.local == "a" && !found.iter().any(|(name, _)| name == "rel") {
                return Some("link without rel".to_owned());
            }
        }
    }
    None
}

const VECTORS: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x.example/a.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"data:image/png;base64,AAAA\" onload=alert(1)>",
    "<div onmouseover='alert(1)' OnClick=alert(1)>x</div>",
    "<body onload=alert(1) background=//x.example/a.png>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href=\" \tjava\nscript:alert(1)\">x</a>",
    "<a href=\"&#106;avascript&colon;alert(1)\">x</a>",
    "<a href=\"vbscript:msgbox(1)\">x</a>",
    "<a href=\"data:text/html;base64,PHNjcmlwdD4=\">x</a>",
    "<a href=\"//x.example/relative\">x</a><a href=/local>y</a><a href=#frag>z</a><a href=page.html>p</a>",
    "<a href=\"blob:https://x.example/1\">x</a><a href=\"file:///etc/passwd\">x</a><a href=\"cid:a\">x</a>",
    "<a href=\"https:x.example\" target=_top rel=opener ping=//x.example>x</a>",
    "<div style=\"width:expression(alert(1))\">x</div>",
    "<div style=\"background:url(//x.example/a.png)\">x</div>",
    "<div style=\"background-image:\\75 rl(//x.example)\">x</div>",
    "<div style=\"color:red;-moz-binding:url(//x.example/x.xml#x)\">x</div>",
    "<div style=\"content:url(//x.example)\">x</div>",
    "<div style=\"position:fixed;top:0;left:0;width:100%;height:100%\">x</div>",
    "<div style=\"font-family:'a&quot;;background:url(//x.example)\">x</div>",
    "<style>@import '//x.example/a.css'; body{background:url(//x.example)}</style>",
    "<style><img src=x onerror=alert(1)></style>",
    "<link rel=stylesheet href=//x.example/a.css>",
    "<link rel=dns-prefetch href=//x.example><link rel=preconnect href=//x.example>",
    "<link rel=prefetch href=//x.example><link rel=icon href=//x.example>",
    "<meta http-equiv=refresh content='0;url=//x.example'>",
    "<meta http-equiv=x-dns-prefetch-control content=on>",
    "<base href=//x.example/><a href=a>x</a>",
    "<img srcset='//x.example/a.png 1x, //x.example/b.png 2x' src=''>",
    "<picture><source srcset=//x.example/a.png><img src=//x.example/b.png alt=b></picture>",
    "<img lowsrc=//x.example/a dynsrc=//x.example/b longdesc=//x.example/c usemap=#m src=http://x.example/d>",
    "<input type=image src=//x.example/a.png><isindex type=image src=//x.example>",
    "<table background=//x.example/a.png><tr><td background='//x.example/b.png'>x</table>",
    "<svg onload=alert(1)><image href=//x.example/a.png /></svg>",
    "<svg><script>alert(1)</script><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<svg><use href='data:image/svg+xml;base64,PHN2Zz4=#x'/></svg><svg><animate attributeName=href values=javascript:alert(1) /></svg>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='><img src='data:text/html,x'><img src='data:image/png,x'>",
    "<math><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>",
    "<math href=javascript:alert(1)><mtext><img src=x onerror=alert(1)></mtext></math>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><iframe src=//x.example></iframe>",
    "<frameset><frame src=//x.example></frameset>",
    "<form action=//x.example><input name=password><button formaction=javascript:alert(1)>x</button></form>",
    "<object data=//x.example/a.swf><param name=movie value=//x.example></object>",
    "<embed src=//x.example/a.swf><applet code=x archive=//x.example></applet>",
    "<video poster=//x.example/a.png src=//x.example/b><source src=//x.example/c><track src=//x.example/d></video>",
    "<audio src=//x.example autoplay></audio><bgsound src=//x.example>",
    "<marquee onstart=alert(1)>x</marquee><details open ontoggle=alert(1)>x</details><dialog open>x</dialog>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<math><annotation-xml encoding='text/html'><style><img src=x onerror=alert(1)></style></annotation-xml></math>",
    "<svg><foreignObject><iframe src=javascript:alert(1)></iframe></foreignObject></svg>",
    "<template><img src=x onerror=alert(1)></template><xmp><img src=x onerror=alert(1)></xmp>",
    "<textarea><img src=x onerror=alert(1)></textarea><title><img src=x onerror=alert(1)></title>",
    "<listing>&lt;img src=x onerror=alert(1)&gt;</listing><plaintext><img src=x onerror=alert(1)>",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]--><!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]><?xml-stylesheet href=//x.example?><!DOCTYPE html SYSTEM '//x.example'>",
    "<img alt=\"<script>alert(1)</script>\" src=http://x.example/track.gif>",
    "<img alt='\"><img src=x onerror=alert(1)>' src=http://x.example/track.gif>",
    "<img alt='&lt;img src=x onerror=alert(1)&gt;' src=http://x.example/track.gif>",
    "<img alt=' src=\"data:' src=http://x.example/track.gif><img title=' src=\"data:' src=http://x.example/track.gif>",
    "<div id=portal class=code name=x contenteditable accesskey=x tabindex=1 draggable=true is=x-y slot=s>x</div>",
    "<x-custom onclick=alert(1)>x</x-custom><slot></slot><portal src=//x.example></portal><fencedframe></fencedframe>",
    "<select><style></select><img src=x onerror=alert(1)></style>",
    "<a href=\"http://x.example\"\0 onclick=alert(1)>x</a><img/src=x/onerror=alert(1)>",
    "<<img src=x onerror=alert(1)//<",
    "<q cite=//x.example>x</q><blockquote cite=javascript:alert(1)>x</blockquote><del cite=//x.example>x</del>",
    "<div style=\"color:red\" style=\"background:url(x)\">x</div>",
    "<table><tr><td><img src=\"cid:not-there\" alt=\"chart\"></td></tr></table>",
];

#[test]
fn nothing_loads_or_runs() {
    for vector in VECTORS {
        let clean = cleaned(vector);
        // As it is, and where an earlier element or a second cleaning reads it differently.
        for fragment in [
            clean.clone(),
            format!("<table><tr><td>{clean}</table>"),
            format!("<p>{clean}</p>"),
            cleaned(&clean),
            cleaned(&format!("<svg><style>{vector}</style></svg>")),
            cleaned(&format!("<math><mtext>{vector}")),
            cleaned(&format!("<table><select>{vector}")),
            cleaned(&format!("<noscript>{vector}</noscript>")),
        ] {
            assert_eq!(harm(&fragment), None, "{vector} became {fragment}");
        }
    }
    assert!(VECTORS.len() >= 60);
}

#[test]
fn the_walker_sees_harm() {
    for vector in
        ["<script>1</script>", "<p onclick=x>", "<a href=javascript:x>", "<img src=http://x.example>", "<svg></svg>"]
    {
        assert!(harm(vector).is_some(), "{vector}");
    }
    for style in ["background:url(x)", "position:fixed", "color:u\\72l(x)", "width:expression(x)"] {
        assert!(harm(&format!("<p style=\"{style}\">")).is_some(), "{style}");
    }
}

#[test]
fn mail_still_looks_like_mail() {
    for (html, expected) in [
        ("<p style=\"color:#333;mso-x:1\">Guten <b>Tag</b></p>", "<p style=\"color:#333\">Guten <b>Tag</b></p>"),
        (
            "<a href=\"https://x.example/a?b=1&c=2\">x</a>",
            "<a href=\"https://x.example/a?b=1&amp;c=2\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>",
        ),
        (
            "<a href=\"mailto:a@x.example?subject=Hi\">x</a>",
            "<a href=\"mailto:a@x.example?subject=Hi\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>",
        ),
        ("<img src=http://x.example/l.png alt=\"Logo &amp; <b>\" width=10>", "Logo &amp; &lt;b&gt;"),
        ("<img src=http://x.example/pixel.gif width=1 height=1>", ""),
        (
            "<img src=\"data:image/PNG;base64,iVBORw0K\" alt=x>",
            "<img src=\"data:image/png;base64,iVBORw0K\" alt=\"x\">",
        ),
        ("<html><head><title>t</title><style>p{}</style></head><body bgcolor=red><p>x</p></body></html>", "<p>x</p>"),
        (
            "<table border=1><tr><td bgcolor=\"#eee\">x</td></tr></table>",
            "<table border=\"1\"><tbody><tr><td bgcolor=\"#eee\">x</td></tr></tbody></table>",
        ),
    ] {
        assert_eq!(cleaned(html), expected, "{html}");
    }
}

#[test]
fn embedded_images_are_bounded() {
    let mut images = Images::default();
    let image =
        |node: usize, kind: &str, octets: usize| Image { node, media_type: kind.to_owned(), bytes: vec![1; octets] };
    images.add("small@x".to_owned(), image(1, "image/png", 3));
    images.add("large@x".to_owned(), image(2, "image/png", MAX_IMAGE + 1));
    images.add("svg@x".to_owned(), image(3, "image/svg+xml", 3));
    images.add("two@x".to_owned(), image(4, "image/jpeg", MAX_IMAGE));
    images.add("unused@x".to_owned(), image(5, "image/png", 3));
    let images = Arc::new(images);
    let show = |html: &str| clean(html, &images).unwrap();
    assert_eq!(show("<img src=\"cid:small@x\" alt=s>"), "<img src=\"data:image/png;base64,AQEB\" alt=\"s\">");
    assert_eq!(show("<img src=\"CID:small%40x\">"), "<img src=\"data:image/png;base64,AQEB\">");
    assert_eq!(show("<img src=cid:large@x alt=l><img src=cid:svg@x alt=v><img src=cid:none alt=n>"), "lvn");
    let many = show(&"<img src=cid:two@x alt=+>".repeat(10));
    assert_eq!((many.matches("<img").count(), many.matches('+').count() >= 7), (3, true));
    let used: Vec<usize> = (1..6).filter(|node| images.is_used(*node)).collect();
    assert_eq!(used, [1, 4]);
}

#[test]
fn heavy_html_is_given_up() {
    let formatting: String = (0..20_000).map(|n| format!("<b a={n}>")).collect();
    let paragraphs = "<p>x".repeat(20_000);
    for heavy in [
        "<div>".repeat(1_000_000),
        formatting + &paragraphs,
        "<p>x</p>".repeat(200_000),
        "<table><tr><td>".repeat(10_000),
        "x".repeat(MAX_HTML + 1),
    ] {
        assert_eq!(clean(&heavy, &Arc::new(Images::default())), Err(TooHeavy), "{}", heavy.get(..50).unwrap());
    }
}

#[test]
fn after_one_heavy_piece_there_is_no_more() {
    let images = Arc::new(Images::default());
    assert!(clean("<p>x</p>", &images).is_ok());
    assert_eq!(clean(&"<div>".repeat(1_000), &images), Err(TooHeavy));
    assert_eq!(clean("<p>x</p>", &images), Err(TooHeavy));
    // Octets add up.
    let images = Images::default();
    assert!(images.allowance(MAX_HTML / 2).is_ok() && images.allowance(MAX_HTML / 2).is_ok());
    assert_eq!(images.allowance(1), Err(TooHeavy));
}
