//! What strangers send, against both ways from text to HTML.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use scraper::{Html, Node};
use url::Url;

use super::{markdown, nesting, plain, sanitize};

fn base() -> Url {
    Url::parse("https://acero-advocate.example/world/piece").unwrap()
}

/// What is wrong with HTML that strangers' programs will show.
fn faults(html: &str) -> Vec<String> {
    const ACTIVE: [&str; 18] = [
        "script", "style", "iframe", "frame", "frameset", "object", "embed", "applet", "base", "meta", "link", "form",
        "input", "button", "textarea", "select", "svg", "math",
    ];
    let mut faults = Vec::new();
    let tree = Html::parse_fragment(html);
    for node in tree.tree.nodes() {
        if node.ancestors().count() > nesting::DEEPEST + 4 {
            faults.push("too deep".to_owned());
        }
        if matches!(node.value(), Node::Comment(_) | Node::ProcessingInstruction(_)) {
            faults.push("a comment".to_owned());
        }
        let Node::Element(element) = node.value() else { continue };
        if ACTIVE.contains(&element.name()) {
            faults.push(format!("<{}>", element.name()));
        }
        for (name, value) in element.attrs() {
            let addresses: Vec<&str> = match name {
                "href" | "src" | "cite" | "poster" => vec![value],
                "srcset" => value.split(',').filter_map(|c| c.split_whitespace().next()).collect(),
                _ => vec![],
            };
            for address in addresses {
                let url = Url::parse(address).map(|u| u.scheme().to_owned()).unwrap_or_default();
                let inline = element.name() == "img" && address.starts_with("data:image/") && !address.contains("svg");
                if !inline && !["http", "https", "mailto", "tel"].contains(&url.as_str())
                    || address.contains(['<', '>', '"', ' ', '|', '\\', '^', '`', '{', '}'])
                {
                    faults.push(format!("{name}={address}"));
                }
            }
            if name.starts_with("on") || ["style", "srcdoc", "action", "formaction", "ping", "target"].contains(&name) {
                faults.push(format!("{name}={value}"));
            }
        }
    }
    if let Some(c) = html.chars().find(|c| (*c < ' ' && !"\n\t".contains(*c)) || ('\u{7f}'..='\u{9f}').contains(c)) {
        faults.push(format!("character {c:?}"));
    }
    faults
}

/// The same tree, but for how a serialiser writes it.
fn shape(html: &str) -> String {
    Html::parse_fragment(html).html()
}

const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<IMG SRC=\"jav&#x09;ascript:alert('XSS');\">",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\" &#14; javascript:alert(1)\">x</a>",
    "<a href=java&#10;script:alert(1)>x</a>",
    "<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><iframe><a title=\"</iframe><img src onerror=alert(1)>\">test",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<form action=/x><input name=y><button>z</button></form>",
    "<iframe src=https://x.example srcdoc='<script>'></iframe>",
    "<div style=\"background:url(javascript:alert(1))\">x</div>",
    "<base href=//evil.example><link rel=stylesheet href=x><meta http-equiv=refresh content=0>",
    "<object data=x><embed src=y></object>",
    "<table background=\"javascript:alert(1)\"><tr><td background=x>y",
    "<p title='\"><script>alert(1)</script>'>x",
    "<a href=\"https://x.example/\" target=_blank ping=//y.example onclick=z>x</a>",
    "<img src=data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=>",
    "<img srcset='javascript:alert(1) 1x, //x.example/a,b.png 2x'>",
    "<video poster=javascript:x src=data:text/html,x onloadstart=y><source src=vbscript:x></video>",
    "<p>&#0;&#1;&#x1F;&#xFFFE;&#x85;\u{b}</p>",
    "&#1; &#8;bell &#x1F; &#xFFFE; &#x85; [x](/a&#1;b \"t&#2;\") &#x202E;turned",
    "<!-- <script> --><![CDATA[<script>]]><?php x ?>",
    "<!--><script>alert(1)</script>-->",
    "<template><script>x</script></template><xmp><script>x</script></xmp><plaintext><script>",
    "<p id=top class='evil footnotes'>x</p><a name=x id=fn-y>z</a>",
    "[x](javascript:alert(1)) [y](<java\nscript:x>) ![z](javascript:x)",
    "[x]( \u{1}javascript:alert(1)) <javascript:alert(1)> <data:text/html,x>",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "`<script>` and\n\n    <script>\n\n```x\" onload=\"y\n<script>\n```",
    "text[^\"><script>]\n\n[^\"><script>]: note",
    "text[^<b>onload]\n\n[^<b>onload]: <img src=x onerror=y>",
    "![a\"onerror=\"x](y.png \"t\\\"><script>\")",
    "| a |\n|---|\n| <script>x</script> |",
    "]]> <![CDATA[ ]]&gt;",
    "Term <script>\n\n: Details <img src=x onerror=y>",
    "https://x.example/\"><script>alert(1)</script>",
    "www.x.example/<script>",
    "<a href=\"http://x.example/`|{}^\\\">x</a> <a href='http://[::1]:99999/'>y</a> <a href=http://>z</a>",
];

#[test]
fn nothing_hostile_survives() {
    for text in HOSTILE {
        for (way, html) in [("html", sanitize::html(text, &base())), ("markdown", markdown::to_html(text, &base()))] {
            assert_eq!(faults(&html), Vec::<String>::new(), "{way} of {text:?} is {html:?}");
            assert_eq!(
                sanitize::html(&html, &base()),
                sanitize::html(&sanitize::html(&html, &base()), &base()),
                "{way} of {text:?}"
            );
            plain::text(&html, 72);
            plain::summary(&html, 100);
        }
    }
}

#[test]
fn the_short_way_from_markdown_needs_no_sanitiser() {
    let long = include_str!("hostile.md");
    for text in HOSTILE.iter().chain([&long]) {
        let html = markdown::to_html(text, &base());
        assert_eq!(shape(&sanitize::html(&html, &base())), shape(&html), "{text:?}");
    }
    assert!(markdown::to_html(long, &base()).contains("data-footnotes>"), "no sanitiser was needed");
}

#[test]
fn depth_is_bounded_and_words_stay() {
    let div = format!("{}word{}", "<div>".repeat(50_000), "</div>".repeat(50_000));
    let open = format!("{}word", "<blockquote><b>".repeat(20_000));
    let lists = format!("{}word", "<ul><li>".repeat(10_000));
    let tables = format!("{}word", "<table><tr><td>".repeat(5_000));
    for html in [div, open, lists, tables] {
        let clean = sanitize::html(&html, &base());
        assert!(clean.contains("word"), "{}", &clean[..clean.len().min(200)]);
        assert_eq!(faults(&clean), Vec::<String>::new());
        assert!(plain::text(&clean, 72).text.contains("word"));
    }
    let quoted = format!("{} word", ">".repeat(10_000));
    let html = markdown::to_html(&quoted, &base());
    assert!(html.contains("word"));
    assert_eq!(faults(&html), Vec::<String>::new());
    // The deepest that still takes the short way.
    for depth in [nesting::DEEPEST / 4 - 3, nesting::DEEPEST / 4 - 2, nesting::DEEPEST] {
        let html = markdown::to_html(&format!("{} word", ">".repeat(depth)), &base());
        assert_eq!(html.matches("<blockquote>").count(), depth.min(nesting::DEEPEST), "{depth}");
    }
}

#[test]
fn what_articles_need_stays() {
    for html in [
        "<figure><img src=\"https://x.example/a.png\" alt=\"A\" width=\"3\"><figcaption>C</figcaption></figure>",
        "<p lang=\"ar\" dir=\"rtl\">نص</p>",
        "<h1>a</h1><h6>b</h6>",
        "<table><caption>c</caption><tbody><tr><th scope=\"col\">a</th><td colspan=\"2\" align=\"right\">b</td></tr></tbody></table>",
        "<a href=\"mailto:a@b.example\">m</a> <a href=\"tel:+49\">t</a>",
        "<ruby>字<rt>zi</rt></ruby> <abbr title=\"x\">y</abbr> <time datetime=\"2026-01-01\">z</time>",
        "<ol start=\"3\"><li>x</li></ol><dl><dt>a</dt><dd>b</dd></dl>",
        "<pre><code class=\"language-c++\">x</code></pre>",
        "<audio src=\"https://x.example/a.mp3\" controls=\"\"></audio>",
    ] {
        assert_eq!(sanitize::html(html, &base()), html);
    }
}

#[test]
fn footnotes_of_two_articles_do_not_meet() {
    let text = "a[^1]\n\n[^1]: b";
    let one = markdown::to_html(text, &base());
    let other = markdown::to_html(text, &base().join("other").unwrap());
    let ids = |html: &str| -> Vec<String> {
        html.split("id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&one).len(), 2);
    assert!(ids(&one).iter().all(|id| !ids(&other).contains(id)));
    assert!(one.contains(&format!("href=\"https://acero-advocate.example/world/piece#{}\"", ids(&one)[1])), "{one}");
}

#[test]
fn plain_text_becomes_paragraphs() {
    assert_eq!(
        markdown::plain_text_to_html(
            "One <b>\r\ntwo & https://x.example/a?b=1&c=2.\n\n\n  three (http://y.example/z) http://"
        ),
        "<p>One &lt;b&gt;<br>\ntwo &amp; <a href=\"https://x.example/a?b=1&amp;c=2\">https://x.example/a?b=1&amp;c=2</a>.</p>\n\
         <p>three (<a href=\"http://y.example/z\">http://y.example/z</a>) http://</p>\n"
    );
    assert_eq!(markdown::plain_text_to_html(" \n\n"), "");
}

/// Pieces of markup thrown together: it finds more than random characters do.
fn markup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<p>",
        "</p>",
        "<b",
        ">",
        "<a href=\"",
        "\"",
        "'",
        "javascript:",
        "data:text/html,",
        "<script>",
        "</script>",
        "<table>",
        "<tr>",
        "<td colspan=3>",
        "<td rowspan=2>",
        "</table>",
        "<svg>",
        "<math>",
        "<style>",
        "</style>",
        "<!--",
        "-->",
        "<ul>",
        "<li>",
        "onerror=",
        "<img src=",
        "&#x3c;",
        "&lt;",
        "&amp;",
        "&",
        "\n",
        "\n\n",
        "# ",
        "> ",
        "- ",
        "1. ",
        "| a | b |\n|---|---|\n",
        "[^1]",
        "[^1]: ",
        "[x](",
        ")",
        "![",
        "]",
        "](",
        "**",
        "_",
        "`",
        "```\n",
        "    ",
        "~~",
        ": ",
        "https://x.example/",
        "www.",
        "\u{202e}",
        "\u{0}",
        "\u{8}",
        "]]>",
        "é",
        "日本",
        "🗞️",
        " ",
        "word",
        "<pre>",
        "<h2>",
        "<blockquote>",
        "<section class=\"footnotes\">",
        "<a class=\"footnote-backref\">",
        "</a>",
        "<sup>",
        "<br/>",
    ]);
    prop::collection::vec(prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => ".{0,6}"], 0..40)
        .prop_map(|p| p.concat())
}

/// Pieces of Markdown without HTML.
fn pure_markdown() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\n",
        "\n\n",
        "# ",
        "===\n",
        "---\n",
        "> ",
        "- ",
        "1. ",
        "3) ",
        "    ",
        "\t",
        "| a | b |\n|---|:-:|\n| c |",
        "|",
        "[^1]",
        "[^1]: ",
        "[^ö\"]",
        "[x](",
        "[x]: ",
        "[x][]",
        " \"title\"",
        " 't&quot;'",
        ")",
        "![",
        "]",
        "](",
        "**",
        "_",
        "~~",
        "`",
        "``",
        "```c++ \"x\n",
        "~~~\n",
        ": ",
        "term\n\n: ",
        "https://x.example/?a=1&b=\"2\"",
        "http://[::1]:99999/",
        "www.x.example",
        "mailto:a@b.example",
        "a@b.example",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "data:text/html,x",
        "../up",
        "#part",
        "< ",
        " > ",
        "&lt;",
        "&amp;",
        "&#60;b&#62;",
        "&#1;",
        "&",
        "\"",
        "'",
        "--",
        "...",
        "\\",
        "\\<",
        "\u{202e}",
        "\u{8}",
        "\u{a0}",
        "]]>",
        "é",
        "日本",
        "🗞️",
        " ",
        "word",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|p| p.concat())
}

/// Pieces of which bare links are made, and of what is nearly one.
fn nearly_links() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "http",
        "https",
        "ftp",
        "://",
        ":",
        "/",
        "//",
        "www",
        "www.",
        "w",
        ".",
        "@",
        "&#64;",
        "&commat;",
        "&colon;",
        "\\",
        "mailto:",
        "xmpp:",
        "x.example",
        "a",
        "b1",
        "-",
        "_",
        "*",
        "**",
        "~~",
        "(",
        ")",
        "[",
        "]",
        "](",
        "[x](https://x.example/)",
        "![",
        "<",
        ">",
        "`",
        "\"",
        "'",
        "...",
        "--",
        " ",
        " ",
        "  \n",
        "\n",
        "\n\n",
        "- ",
        "> ",
        "# ",
        "|",
        "| a | b |\n|---|---|\n|",
        "[^1]",
        "\n[^1]: ",
        "\n[x]: ",
        ": ",
        "é",
        "日本",
    ]);
    prop::collection::vec(pieces, 0..25).prop_map(|p| p.concat())
}

/// Held for all of them together, so that both ways are really taken.
#[test]
fn bare_links_are_found_as_if_they_were_always_looked_for() {
    let (mut short, mut all) = (0, 0);
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let counted = std::cell::RefCell::new((&mut short, &mut all));
    runner
        .run(&prop_oneof![4 => nearly_links(), 1 => pure_markdown(), 1 => markup()], |text| {
            let text = crate::markup::escape::xml_chars(&text);
            let mut counted = counted.borrow_mut();
            *counted.1 += 1;
            if let Some(quick) = markdown::formatted(&text, &base(), false) {
                *counted.0 += 1;
                prop_assert_eq!(Some(quick), markdown::formatted(&text, &base(), true), "{:?}", text);
            }
            Ok(())
        })
        .unwrap();
    assert!(short * 5 > all && short * 10 < all * 9, "the short way was taken {short} times in {all}");
    let one = "See https://x.example/a, www.x.example, or a@b.example.";
    assert_eq!(markdown::to_html(one, &base()).matches("<a href=").count(), 3);
}

/// Held for all of them together, so that the short way is really taken.
#[test]
fn markdown_without_html_needs_no_sanitiser_whatever_comes() {
    let (mut short, mut all) = (0, 0);
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let counted = std::cell::RefCell::new((&mut short, &mut all));
    runner
        .run(&pure_markdown(), |text| {
            let (html, sound) = markdown::written(&text, &base());
            let mut counted = counted.borrow_mut();
            *counted.1 += 1;
            if sound {
                *counted.0 += 1;
                prop_assert_eq!(faults(&html), Vec::<String>::new(), "{:?}", html);
                prop_assert_eq!(shape(&sanitize::html(&html, &base())), shape(&html), "{:?}", text);
            }
            Ok(())
        })
        .unwrap();
    assert!(short * 10 > all * 9, "the short way was taken {short} times in {all}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn html_is_safe_whatever_comes(text in markup()) {
        let html = sanitize::html(&text, &base());
        prop_assert_eq!(faults(&html), Vec::<String>::new(), "{:?}", html);
    }

    #[test]
    fn markdown_is_safe_and_its_short_way_equal_whatever_comes(text in markup()) {
        let html = markdown::to_html(&text, &base());
        prop_assert_eq!(faults(&html), Vec::<String>::new(), "{:?}", html);
        prop_assert_eq!(shape(&sanitize::html(&html, &base())), shape(&html));
    }

    #[test]
    fn plain_text_never_panics_and_is_tidy(text in markup(), width in 0_usize..100) {
        for html in [text.clone(), sanitize::html(&text, &base()), markdown::plain_text_to_html(&text)] {
            let plain = plain::text(&html, width).text;
            prop_assert!(plain.lines().all(|line| line.trim_end() == line), "{:?}", plain);
            plain::strip(&html);
            prop_assert!(plain::summary(&html, 60).chars().count() <= 60);
        }
        prop_assert_eq!(faults(&markdown::plain_text_to_html(&text)), Vec::<String>::new());
    }
}
