//! The page of `headstock report` in a real browser. Without Chromium these tests say so and pass.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headstock::report::{Pictures, Report, Spoke};
use headstock::scores::{Score, Scores};
use image::RgbImage;
use serde_json::{Value, json};
use support::browser::Browser;
use support::judged_heads::{head_of, rows};
use tempfile::TempDir;

/// A page of these classes, four images each of which the first is a mistake; each image has colours of its own.
fn page(classes: &[&str]) -> (TempDir, PathBuf) {
    let rows = rows(classes, 4);
    let head = head_of(classes, &rows, None);
    let colour =
        |path: &str| path.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let picture = |path: &str| {
        let [red, green, blue, shape] = colour(path).to_le_bytes();
        RgbImage::from_pixel(60 + u32::from(shape % 4) * 30, 90, image::Rgb([red, green, blue]))
    };
    let image = |_, path: &str| Some(picture(path));
    let maps = |_, spoke: &[Spoke<'_>]| spoke.iter().map(|spoke| Some(picture(spoke.path))).collect();
    let scores = Scores {
        classes: head.classes.clone(),
        top: None,
        rows: (0..20)
            .map(|i| Score {
                path: format!("{}/new {i}.png", classes[i % classes.len()]),
                class: (i % 4 > 0).then_some(i % 2),
                probabilities: (0..classes.len()).map(|k| if k == i % 2 { 0.5 } else { 0.0 }).collect(),
            })
            .collect(),
    };
    let report = Report::new(&head, Some(&scores), &Pictures { image: &image, maps: &maps }, 1000).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    fs::write(&path, report.html).unwrap();
    (folder, path)
}

fn many() -> Vec<String> {
    (0..100).map(|i| format!("a class with a rather long name, number {i}")).collect()
}

#[test]
fn the_page_asks_for_nothing_complains_of_nothing_and_holds_no_script() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, page) = page(&["<script>alert(1)</script>", "a\"b", "c"]);
    browser.width(1280);
    browser.open(&page);
    assert_eq!(browser.evaluate("document.scripts.length"), 0);
    let decoded = browser.evaluate(
        "Promise.all([...document.querySelectorAll('symbol image')].map(image => { \
         const copy = new Image(); copy.src = image.getAttribute('href'); return copy.decode(); })).then(all => all.length)",
    );
    assert_eq!(decoded, 12 + 20, "every thumbnail is an image");
    let unseen = browser.evaluate(
        "[...document.querySelectorAll('.mistakes .thumb')].filter(e => e.getBoundingClientRect().width < 20).length",
    );
    assert_eq!(unseen, 0);
    let nowhere = "[...document.querySelectorAll('a[href],use[href],[popovertarget]')]\
        .map(e => (e.getAttribute('href') ?? '#' + e.getAttribute('popovertarget')))\
        .filter(href => !document.getElementById(href.slice(1)))";
    assert_eq!(browser.evaluate(nowhere), json!([]), "every link leads somewhere in the page");
    let twice = "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)";
    assert_eq!(browser.evaluate(twice), json!([]), "every id is there once");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The images in the panel that is open.
fn open_panel(browser: &mut Browser) -> Value {
    browser.evaluate("[...document.querySelectorAll('.panel:popover-open .thumb')].map(e => e.ariaLabel)")
}

#[test]
fn a_click_on_a_cell_of_the_confusion_matrix_shows_its_images_and_escape_hides_them() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, page) = page(&["ash", "birch", "cedar"]);
    for width in [1280, 375] {
        browser.width(width);
        browser.open(&page);
        assert_eq!(open_panel(&mut browser), json!([]));
        browser.click("#h-confusion tbody tr:nth-child(2) td:nth-of-type(3) button");
        assert_eq!(open_panel(&mut browser), json!(["birch/0.png"]), "birch called cedar");
        browser.press("Escape", 27);
        assert_eq!(open_panel(&mut browser), json!([]));
        browser.click("#h-confusion tbody tr:nth-child(1) td:nth-of-type(1) button");
        let right = json!(["ash/1.png", "ash/2.png", "ash/3.png"]);
        assert_eq!(open_panel(&mut browser), right, "the least confident first");
        browser.click(".panel:popover-open .close");
        assert_eq!(open_panel(&mut browser), json!([]));
    }
}

#[test]
fn pointing_at_an_image_on_the_map_shows_it_and_picking_a_class_dims_the_others() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, page) = page(&["ash", "birch", "cedar"]);
    browser.width(1280);
    browser.open(&page);
    let shown = "[...document.querySelectorAll('.map .tip')].filter(e => e.checkVisibility())\
        .map(e => e.querySelector('.thumb').ariaLabel)";
    assert_eq!(browser.evaluate(shown), json!([]));
    browser.point_at(".map .pt:nth-child(6)");
    assert_eq!(browser.evaluate(shown), json!(["birch/1.png"]));
    let bright = "[...document.querySelectorAll('.map .pt')].filter(e => getComputedStyle(e).opacity > 0.5).length";
    assert_eq!(browser.evaluate(bright), 12);
    browser.evaluate("document.querySelector('#map option[value=c1]').selected = true");
    assert_eq!(browser.evaluate(bright), 4);
}

#[test]
fn nothing_is_wider_than_a_phone_and_large_tables_scroll_in_their_own_boxes() {
    let Some(mut browser) = Browser::start() else { return };
    let many = many();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for classes in [&["ash", "birch", "cedar"][..], &many] {
        let (_folder, page) = page(classes);
        for width in [375, 1280] {
            browser.width(width);
            browser.open(&page);
            let root = "[document.documentElement.scrollWidth, document.body.scrollWidth]";
            assert_eq!(browser.evaluate(root), json!([width, width]), "{} classes", classes.len());
        }
        let scrolls = browser.evaluate("(e => e.scrollWidth > e.clientWidth)(document.querySelector('.matrix'))");
        assert_eq!(scrolls, classes.len() == 100);
    }
}

#[test]
fn on_paper_the_mistakes_are_unfolded_and_nothing_is_cut() {
    let Some(mut browser) = Browser::start() else { return };
    let (_folder, few) = page(&["ash", "birch", "cedar"]);
    browser.open(&few);
    let result = browser.call("Page.printToPDF", json!({ "preferCSSPageSize": true }));
    let pdf = BASE64_STANDARD.decode(result["data"].as_str().unwrap()).unwrap();
    let count = |needle: &[u8]| pdf.windows(needle.len()).filter(|window| *window == needle).count();
    let pages = count(b"/Type /Page\n");
    assert!(pages >= 3, "{pages} pages");
    assert!(count(b"/Subtype /Image") >= 12, "the images are on them");

    browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    // The width of A4 less its margins.
    browser.width(688);
    let is_shown = |selector: &str| format!("document.querySelector('{selector}').checkVisibility()");
    assert_eq!(browser.evaluate(&is_shown("#h-0-1")), true);
    assert_eq!(browser.evaluate(&is_shown("#h-0-0")), false);
    assert_eq!(browser.evaluate(&is_shown(".top nav")), false);
    let many = many();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (_other_folder, many) = page(&many);
    for page in [&few, &many] {
        browser.open(page);
        let cut = "[document.documentElement, ...document.querySelectorAll('.scroll')]\
            .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.className + e.scrollWidth)";
        assert_eq!(browser.evaluate(cut), json!([]));
    }
}
