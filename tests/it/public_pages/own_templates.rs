//! A newsroom's own pages, letters and words: what is wrong with them is told with its place.

use crate::support::room::Room;

fn quick() -> Room {
    let room = Room::small(1);
    let config = room.read("config.yaml");
    room.write("config.yaml", &format!("{config}serve: {{ fill_time: 0s }}\n"));
    room
}

#[test]
fn a_mistake_in_an_own_page_is_told_with_its_place_by_check_and_when_serving_begins() {
    for (file, text, words) in [
        ("page/subscribe.html.hbs", "<p>\n{{stemp}}</p>", &["page/subscribe.html.hbs:2:3", "`stemp`", "`stamp`"][..]),
        ("page/sent.html.hbs", "{{#if title}}", &["page/sent.html.hbs:1", "never closed"]),
        ("page/layout.html.hbs", "<p>{{nobody}}</p>", &["page/layout.html.hbs:1:6", "`nobody`"]),
        (
            "page/archive.html.hbs",
            "{{#> layout}}{{> archive}}{{/layout}}",
            &["page/archive.html.hbs", "includes itself"],
        ),
        ("page/problem.html.hbs", "{{t \"no.such\"}}", &["page/problem.html.hbs:1", "no.such"]),
        ("confirm/body.txt.hbs", "{{button}}\n{{uri}}\n", &["confirm/body.txt.hbs:2:3", "`uri`"]),
        ("languages/en.yaml", "left.title: Gone\nleft.titel: Gone\n", &["languages/en.yaml:2:1", "left.titel"]),
        ("languages/de.yaml", "left.title: Weg\n", &["languages/de.yaml", "is missing"]),
    ] {
        let room = quick();
        room.write(&format!("templates/{file}"), text);
        for command in [&["check"][..], &["serve", "--bind", "127.0.0.1:0"]] {
            room.run(command).failed(1, words);
        }
    }
}

#[test]
fn an_own_page_without_a_mistake_is_shown() {
    let room = quick();
    room.write("templates/page/sent.html.hbs", "{{#> layout}}<p>Thanks, {{paper}} says.</p>{{/layout}}");
    room.run(&["check"]).fine();
    let serving = room.serve(&["--no-press"]);
    let answer = serving.subscribe("a%40b.example", "news");
    assert!(answer.contains("Thanks, The Small Paper says."));
    assert!(serving.stop().success());
}
