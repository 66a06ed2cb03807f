//! `headstock report` as a user meets it: what is on the page, what is said where something is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::cell::RefCell;
use std::fs;
use std::iter;
use std::path::Path;

use assert_cmd::assert::Assert;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headstock::embeddings::Provenance;
use headstock::head::Head;
use headstock::image::Preset;
use headstock::report::{Pictures, Report, Source, Spoke};
use headstock::scores::{Score, Scores};
use image::RgbImage;
use support::heads::{dense_head, linear_head, provenance};
use support::judged_heads::{HeldOutRow, dense, head_of, rows};
use support::{folder_of_photos, headstock};
use tempfile::TempDir;

const CLASSES: [&str; 3] = ["ash", "birch", "cedar"];

/// Runs `report` on a head.
fn report(folder: &TempDir, head: &Head, flags: &[&str]) -> Assert {
    let path = folder.path().join("head.safetensors");
    head.write(&path).unwrap();
    let out = folder.path().join("report.html");
    headstock().arg("report").arg("--head").arg(path).arg("--out").arg(out).args(flags).assert()
}

fn page(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("report.html")).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// A folder with the images of rows.
fn images_of(rows: &[HeldOutRow]) -> TempDir {
    folder_of_photos(&rows.iter().map(|row| row.path.as_str()).collect::<Vec<_>>())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A page made without files: no image is found.
fn bare(head: &Head, scores: Option<&Scores>) -> String {
    Report::new(head, scores, &Pictures { image: &|_, _| None, maps: &|_, _| Vec::new() }, 100).unwrap().html
}

#[test]
fn the_page_is_the_same_each_time_and_for_any_number_of_threads() {
    let rows = rows(&CLASSES, 5);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    let head = head_of(&CLASSES, &rows, Some(text(images.path())));
    let pages: Vec<String> = ["1", "1", "2", "7"]
        .map(|threads| {
            report(&folder, &head, &["--threads", threads]).success();
            page(&folder)
        })
        .to_vec();
    assert!(pages.iter().all(|page| *page == pages[0]));
    assert_eq!(pages[0].matches("<symbol ").count(), rows.len(), "each image once");
}

#[test]
fn the_summary_says_the_metrics_of_the_head() {
    let head = head_of(&CLASSES, &rows(&CLASSES, 5), None);
    let page = bare(&head, None);
    let metrics = &head.held_out.as_ref().unwrap().metrics;
    assert_eq!(metrics.accuracy, 0.8);
    assert!(page.contains("<h1>Right on 80.0\u{a0}% of 15 images</h1>"));
    for number in [metrics.log_loss, metrics.calibration_error, metrics.roc_auc.unwrap(), metrics.macro_f1] {
        assert!(page.contains(&format!("<b>{number:.3}</b>")), "{number}");
    }
    assert!(page.contains("had not learned from it"), "it says which rows these are");
    assert!(page.contains("Calibration error") && page.contains("<circle class=\"dot chosen\""));
}

#[test]
fn names_and_paths_of_strangers_are_text_and_nothing_else() {
    let classes = ["<script>alert(1)</script>", "a\"onload=\"alert(2)", "{{ 7 * 7 }}</style>"];
    let mut rows = rows(&["x", "y", "z"], 3);
    rows[0].path = "\"><img src=x onerror='alert(3)'>/é&amp;.png".to_owned();
    let mut head = head_of(&classes, &rows, None);
    head.fit = serde_json::json!({ "<script>": "<script>alert(4)</script>", "list": ["</table><script>"] });
    head.provenance.variant = "</td><script>".to_owned();
    let scores = Scores {
        classes: head.classes.clone(),
        top: None,
        rows: vec![Score { path: "<script>/'.png".to_owned(), class: Some(1), probabilities: vec![0.1, 0.8, 0.1] }],
    };
    let page = bare(&head, Some(&scores));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("a\"onload"));
    assert!(!page.contains("49"), "what is written in a name is not carried out");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;"));
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn images_are_found_where_extract_was_told_and_else_where_the_flag_says() {
    let rows = rows(&CLASSES, 3);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    report(&folder, &head_of(&CLASSES, &rows, Some(text(images.path()))), &[]).success();
    let by_head = page(&folder);
    report(&folder, &head_of(&CLASSES, &rows, None), &["--images", text(images.path())]).success();
    assert_eq!(page(&folder), by_head);
    assert_eq!(by_head.matches("<symbol ").count(), 9);
}

#[test]
fn images_that_are_gone_or_broken_are_done_without_and_the_way_out_is_told() {
    let rows = rows(&CLASSES, 3);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    fs::remove_file(images.path().join("ash/1.png")).unwrap();
    fs::write(images.path().join("ash/2.png"), "no image").unwrap();
    let said = stderr(&report(&folder, &head_of(&CLASSES, &rows, Some(text(images.path()))), &[]).success());
    assert!(said.contains("2 images were not found or cannot be read: --images DIR"), "{said}");
    let page = page(&folder);
    assert!(page.contains("2 images were not found") && page.contains("--images DIR"));
    assert_eq!(page.matches("<symbol ").count(), 7);
    assert!(page.contains("no image</span>") && page.contains("ash&#x2f;1.png"), "the place is kept");
}

#[test]
fn a_path_that_leads_out_of_the_folder_is_not_followed() {
    let mut rows = rows(&CLASSES, 3);
    let images = images_of(&rows);
    rows[0].path = "../secret.png".to_owned();
    rows[1].path = text(&images.path().join("ash/1.png")).to_owned();
    let inside = images.path().join("birch");
    fs::copy(images.path().join("ash/0.png"), images.path().join("secret.png")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    report(&folder, &head_of(&CLASSES, &rows[..2], Some(text(&inside))), &[]).success();
    assert_eq!(page(&folder).matches("<symbol ").count(), 0);
}

#[test]
fn more_images_than_wanted_are_left_out_the_right_ones_first() {
    let rows = rows(&CLASSES, 4);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    let head = head_of(&CLASSES, &rows, Some(text(images.path())));
    let said = stderr(&report(&folder, &head, &["--max-images", "3"]).success());
    assert!(said.contains("9 images are not shown: --max-images 3"), "{said}");
    let page = page(&folder);
    assert_eq!(page.matches("<symbol ").count(), 3);
    assert!(page.contains("9 more images are not shown"));
    for mistake in ["ash/0.png", "birch/0.png", "cedar/0.png"] {
        assert!(page.contains(&format!("role=\"img\" aria-label=\"{mistake}\"").replace('/', "&#x2f;")), "{mistake}");
    }
}

#[test]
fn a_dense_head_has_a_page_that_says_why_it_draws_no_maps() {
    let head = dense(head_of(&CLASSES, &rows(&CLASSES, 3), None));
    let page = bare(&head, None);
    assert!(page.contains("dense, 43 numbers"), "5 * 4 + 5 + 3 * 5 + 3");
    assert!(page.contains("Where in the image a dense head saw its class cannot be told"));
}

#[test]
fn what_fit_head_says_of_a_fit_has_names_and_the_training_a_chart() {
    let mut head = dense(head_of(&CLASSES, &rows(&CLASSES, 3), None));
    let epoch = |train: f64, watched: f64| serde_json::json!({ "train_loss": train, "validation": { "loss": watched, "accuracy": 0.5 } });
    head.fit = serde_json::json!({
        "head": "dense", "hidden": 5, "epochs": 50, "batch_size": 32, "learning_rate": 1e-4, "dropout": 0.0, "patience": 5,
        "best_epoch": 2, "history": [epoch(1.0, 0.8), epoch(0.5, 0.4), epoch(0.25, 0.6)],
        "rows": 9, "folds": 3, "seed": 0, "validation": 0.2, "class_weight": "none", "target_precision": null,
        "calibration_error_before": 0.1, "log_loss_before": 0.7, "loss": 0.5, "gap": 1e-9, "converged": true,
    });
    let page = bare(&head, None);
    assert!(page.contains("Loss over 3 epochs, number 2 was taken") && page.contains("<title>epoch 2: 0.400</title>"));
    assert!(!page.contains("train_loss"), "the history is no row of the table");
    for name in ["Hidden units", "Best epoch", "Precision aimed at", "Above the optimum, at most", "Loss at the end"] {
        assert!(page.contains(&format!("<th scope=\"row\">{name}</th>")), "{name}");
    }
    head.fit["history"] = serde_json::json!([{ "train_loss": "much" }, 3, null]);
    assert!(!bare(&head, None).contains("The training"));
}

#[test]
fn a_head_without_held_out_rows_has_a_page_that_tells_the_way_out() {
    let mut head = head_of(&CLASSES, &rows(&CLASSES, 3), None);
    head.held_out = None;
    let folder = tempfile::tempdir().unwrap();
    let said = stderr(&report(&folder, &head, &[]).success());
    assert!(said.contains("fit it again with fit-head"), "{said}");
    let page = page(&folder);
    assert!(page.contains("<h1>A head for 3 classes</h1>") && page.contains("headstock fit-head"));
    assert!(page.contains("How it was made") && !page.contains("id=\"map\""));
}

#[test]
fn maps_are_asked_for_the_most_confident_mistakes_and_shown_beside_them() {
    let classes: Vec<String> = (0..10).map(|i| format!("c{i}")).collect();
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    let mut rows = rows(&classes, 2);
    rows.iter_mut().filter(|row| row.label < 9).for_each(|row| row.called = row.label + 1);
    let asked = RefCell::new(Vec::new());
    let maps = |source: Source, spoke: &[Spoke<'_>]| {
        asked.borrow_mut().extend(spoke.iter().map(|spoke| (source, spoke.path.to_owned(), spoke.class)));
        // Some cannot be drawn; their neighbours keep their places.
        let light = |i| RgbImage::from_pixel(40, 30, image::Rgb([200, 100, i as u8]));
        (0..spoke.len()).map(|i| (i % 4 > 0).then(|| light(i))).collect()
    };
    let pictures = Pictures { image: &|_, _| None, maps: &maps };
    let page = Report::new(&head_of(&classes, &rows, None), None, &pictures, 100).unwrap().html;
    let mut expected: Vec<&HeldOutRow> = rows.iter().filter(|row| row.label != row.called).collect();
    expected.sort_by(|a, b| b.sure.total_cmp(&a.sure));
    let expected: Vec<(Source, String, usize)> =
        expected.iter().take(12).map(|row| (Source::HeldOut, row.path.clone(), row.called)).collect();
    assert_eq!(*asked.borrow(), expected);
    assert_eq!(page.matches("<img class=\"thumb\" src=\"data:image/jpeg;base64,").count(), 9);
    let described = |row: &(Source, String, usize)| {
        format!("Where {} looked like {}\"", row.1.replace('/', "&#x2f;"), classes[row.2])
    };
    let has_map: Vec<bool> = expected.iter().map(|row| page.contains(&described(row))).collect();
    assert_eq!(has_map, (0..12).map(|i| i % 4 > 0).collect::<Vec<_>>());
}

/// The maps on a page, each with its size.
fn maps_on(page: &str) -> Vec<(u32, u32)> {
    let maps = page.split("<img class=\"thumb\" src=\"data:image/jpeg;base64,").skip(1);
    maps.map(|map| {
        let jpeg = BASE64_STANDARD.decode(map.split('"').next().unwrap()).unwrap();
        let picture = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        assert!(picture.pixels().any(|pixel| pixel.0[0] > 200 && pixel.0[2] < 100), "it glows");
        picture.dimensions()
    })
    .collect()
}

#[test]
fn a_linear_head_whose_network_is_at_hand_has_maps_of_its_mistakes() {
    let rows = rows(&CLASSES, 2);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    let mut head = linear_head(&CLASSES, 2048, provenance(Preset::Tf));
    head.held_out = head_of(&CLASSES, &rows, Some(text(images.path()))).held_out;
    fs::remove_file(images.path().join("birch/0.png")).unwrap();
    let said = stderr(&report(&folder, &head, &[]).success());
    assert!(!said.contains("maps"), "{said}");
    let drawn = page(&folder);
    assert_eq!(maps_on(&drawn), [(60, 40); 2], "of three mistakes one is gone; of the photos' size");
    assert!(drawn.contains("what spoke for the class that it was called"));
    report(&folder, &head, &["--threads", "1"]).success();
    assert_eq!(page(&folder), drawn);
}

#[test]
fn where_maps_cannot_be_drawn_the_page_stands_and_the_reason_is_told() {
    let rows = rows(&CLASSES, 2);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    let told = |head: Head| {
        let held_out = head_of(&CLASSES, &rows, Some(text(images.path()))).held_out;
        let said = stderr(&report(&folder, &Head { held_out, ..head }, &[]).success());
        assert!(maps_on(&page(&folder)).is_empty());
        assert_eq!(said.matches("no activation maps on the page").count(), 1, "{said}");
        said
    };
    let here = || provenance(Preset::Tf);
    assert!(told(dense_head(&CLASSES, 2048, here())).contains("this one is dense"));
    let elsewhere = Provenance { weights: "0123".to_owned(), ..here() };
    assert!(told(linear_head(&CLASSES, 2048, elsewhere)).contains("weights 0123"));
    let other = Provenance { variant: "keras".to_owned(), ..here() };
    assert!(told(linear_head(&CLASSES, 2048, other)).contains("keras there, tf2015 here"));
    assert!(told(linear_head(&CLASSES, 4, here())).contains("rows of 4 numbers"));
}

#[test]
fn a_page_without_mistakes_or_images_wants_no_network() {
    let mut right = rows(&CLASSES, 2);
    for row in &mut right {
        row.called = row.label;
    }
    let (images, folder) = (images_of(&right), tempfile::tempdir().unwrap());
    for (rows, images) in [(right, Some(text(images.path()))), (rows(&CLASSES, 2), None)] {
        let said = stderr(&report(&folder, &dense(head_of(&CLASSES, &rows, images)), &[]).success());
        assert!(!said.contains("maps"), "{said}");
    }
}

/// Scores of images in folders named as classes and of one in none of them.
fn scores() -> Scores {
    let score = |path: &str, class, probabilities: [f32; 3]| Score {
        path: path.to_owned(),
        class,
        probabilities: probabilities.to_vec(),
    };
    Scores {
        classes: CLASSES.map(str::to_owned).to_vec(),
        top: None,
        rows: vec![
            score("ash/new.png", Some(0), [0.8, 0.1, 0.1]),
            score("ash/other.png", Some(1), [0.25, 0.7, 0.05]),
            score("elsewhere/1.png", Some(2), [0.0, 0.05, 0.95]),
            score("cedar/new.png", None, [0.3, 0.3, 0.4]),
        ],
    }
}

#[test]
fn scores_are_counted_by_class_and_evaluated_where_folders_are_classes() {
    let head = head_of(&CLASSES, &rows(&CLASSES, 3), None);
    let page = bare(&head, Some(&scores()));
    assert!(page.contains("What it called 4 images"));
    assert!(page.contains("unsure</th>") && page.contains("25.0\u{a0}%"));
    assert!(page.contains("Right on 66.7\u{a0}% of 3 images in folders named as classes"));
    assert!(page.contains("id=\"s-0-1\""), "the cell of ash called birch");
    let first = page.find("The least certain ones").unwrap();
    let cut = &page[first..page.find("Some of each").unwrap()];
    let order = ["cedar&#x2f;new", "ash&#x2f;other", "ash&#x2f;new", "elsewhere"].map(|path| cut.find(path).unwrap());
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn scores_whose_classes_stand_in_another_order_are_read_by_name() {
    let head = head_of(&CLASSES, &rows(&CLASSES, 3), None);
    let mut turned = scores();
    turned.classes.reverse();
    for row in &mut turned.rows {
        row.probabilities.reverse();
        row.class = row.class.map(|class| 2 - class);
    }
    assert_eq!(bare(&head, Some(&turned)), bare(&head, Some(&scores())));
}

#[test]
fn scores_of_another_head_are_refused_with_both_named() {
    let folder = tempfile::tempdir().unwrap();
    let scores = folder.path().join("scores.csv");
    fs::write(&scores, "path,class,probability,p_oak,p_pine\na.png,oak,0.9,0.9,0.1\n").unwrap();
    let head = head_of(&CLASSES, &rows(&CLASSES, 3), None);
    let said = stderr(&report(&folder, &head, &["--scores", text(&scores)]).code(1));
    assert!(said.contains("oak, pine") && said.contains("ash, birch, cedar"), "{said}");
    assert!(!folder.path().join("report.html").exists());
}

#[test]
fn an_image_that_was_held_out_and_scored_stands_in_the_page_once() {
    let rows = rows(&CLASSES, 3);
    let (images, folder) = (images_of(&rows), tempfile::tempdir().unwrap());
    let lines = rows.iter().map(|row| format!("{},ash,0.5,0.5,0.25,0.25\n", row.path));
    let csv: String = iter::once("path,class,probability,p_ash,p_birch,p_cedar\n".to_owned()).chain(lines).collect();
    let scores = folder.path().join("scores.csv");
    fs::write(&scores, csv).unwrap();
    let head = head_of(&CLASSES, &rows, Some(text(images.path())));
    report(&folder, &head, &["--scores", text(&scores), "--images", text(images.path())]).success();
    let page = page(&folder);
    assert_eq!(page.matches("<symbol ").count(), 9);
    assert!(page.contains("Right on 33.3\u{a0}% of 9 images in folders"));
}

#[test]
fn images_of_equal_paths_in_two_folders_are_not_taken_for_each_other() {
    let rows = rows(&CLASSES, 2);
    let (images, others, folder) = (images_of(&rows), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = &rows[0].path;
    fs::create_dir_all(others.path().join(path).parent().unwrap()).unwrap();
    RgbImage::from_pixel(30, 90, image::Rgb([0, 0, 200])).save(others.path().join(path)).unwrap();
    let scores = folder.path().join("scores.csv");
    fs::write(&scores, format!("path,class,probability,p_ash,p_birch,p_cedar\n{path},ash,0.5,0.5,0.25,0.25\n"))
        .unwrap();
    let symbols = |images: &TempDir, flags: &[&str]| {
        let flags = [&["--scores", text(&scores)], flags].concat();
        let said = stderr(&report(&folder, &head_of(&CLASSES, &rows, Some(text(images.path()))), &flags).success());
        (page(&folder).matches("<symbol ").count(), said)
    };
    let (all, said) = symbols(&images, &["--images", text(others.path())]);
    assert_eq!(all, rows.len() + 1, "{said}");
    let (without, said) = symbols(&images, &[]);
    assert_eq!(without, rows.len());
    assert!(
        said.contains("1 image was not found or cannot be read: --images DIR says where the scored ones lie"),
        "{said}"
    );
    let (moved, said) = symbols(&tempfile::tempdir().unwrap(), &["--images", text(others.path())]);
    assert_eq!(moved, 1);
    assert!(said.contains("the head's own are looked for where extract read them"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_name_with_control_characters_does_nothing_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let scores = folder.path().join("\u{1b}[31m\u{7}.csv");
    fs::write(&scores, "no scores").unwrap();
    let head = head_of(&CLASSES, &rows(&CLASSES, 3), None);
    let said = stderr(&report(&folder, &head, &["--scores", text(&scores)]).code(1));
    assert!(said.contains("\u{fffd}[31m\u{fffd}.csv") && !said.contains('\u{1b}'), "{said}");
}
