//! Each folder of `tests/cases/broken/templates/` holds a template with a mistake, and what a person is told of it.
//! `PRESSRUN_BLESS=1` writes `expected.txt` anew.

use pressrun::digest::render::{Overrides, TemplateFile, Templates, templates::FILES};
use pressrun::digest::{Digest, specimen};
use pressrun::newsroom::Problem;
use std::path::Path;

/// As an editor reads it.
fn told(problem: &Problem) -> String {
    let place = &problem.place;
    let mut lines = vec![format!("{}:{}:{}: {}", place.file, place.line, place.column, problem.what)];
    if place.line > 0 {
        let indent = " ".repeat(place.column as usize - 1);
        lines.push(format!("  | {}", problem.line));
        lines.push(format!("  | {indent}{}", "^".repeat(problem.span as usize)));
    }
    lines.extend(problem.help.as_ref().map(|help| format!("  = {help}")));
    lines.join("\n") + "\n"
}

fn problems_of(case: &Path) -> Vec<Problem> {
    let read = |name: &str| std::fs::read_to_string(case.join(name)).ok();
    let line = |name: &str| read(name).map(|text| text.trim_end().to_owned());
    let mut digest = specimen::digest();
    digest.template = line("template.txt").unwrap_or(digest.template);
    digest.subject = line("subject.txt").unwrap_or(digest.subject);
    digest.preheader = line("preheader.txt").unwrap_or(digest.preheader);
    let Digest { template, .. } = &digest;
    let file = |name: &str| Some(TemplateFile { file: format!("templates/{template}/{name}"), text: read(name)? });
    let overrides = Overrides { html: file(FILES[0]), text: file(FILES[1]) };
    Templates::new(&digest, overrides).err().unwrap_or_default()
}

#[test]
fn every_broken_template_is_told_with_its_place_and_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/broken/templates");
    let mut cases: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "the cases are gone");
    let mut wrong = Vec::new();
    for case in cases {
        let problems = problems_of(&case);
        assert!(!problems.is_empty(), "{} is not broken", case.display());
        assert!(problems.iter().all(|p| p.help.is_some()), "{} does not say what to do", case.display());
        let told = problems.iter().map(told).collect::<String>();
        let expected = case.join("expected.txt");
        if std::env::var_os("PRESSRUN_BLESS").is_some() {
            std::fs::write(&expected, &told).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != told {
            wrong.push(format!("{}\n{told}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
