//! The file of scores: what is written is read back, by us and by others, and what is broken is refused with its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use std::path::Path;

use headstock::scores::{Format, Score, Scores};
use proptest::prelude::*;

fn classes() -> Vec<String> {
    ["a", "b \"quoted\", and more", "ü\nnewline", ""].map(str::to_owned).to_vec()
}

fn score(path: &str, class: Option<usize>, probabilities: [f32; 4]) -> Score {
    Score { path: path.to_owned(), class, probabilities: probabilities.to_vec() }
}

fn scores() -> Vec<Score> {
    vec![
        score("a/1.png", Some(0), [0.7, 0.1, 0.15, 0.05]),
        score("b, \"c\"/2.png", None, [0.25, 0.25, 0.25, 0.25]),
        score("line\nbreak.png", Some(1), [3.0e-7, 0.999_999_7, 1.0e-38, 0.0]),
        score("é.png", Some(3), [0.0, 0.0, 0.0, 1.0]),
    ]
}

fn write(path: &Path, format: Format, top: Option<usize>) {
    format.write(path, &classes(), top, scores().into_iter().map(Ok)).unwrap();
}

#[test]
fn every_probability_is_read_back_as_the_same_number_from_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let path = folder.path().join("scores");
        write(&path, format, None);
        let read = Scores::read(&path).unwrap();
        assert_eq!(read, Scores { classes: classes(), top: None, rows: scores() }, "{format}");
    }
}

#[test]
fn the_top_is_read_back_with_its_classes_in_byte_order_and_zeros_for_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let read = Format::ALL.map(|format| {
        let path = folder.path().join("scores");
        write(&path, format, Some(2));
        Scores::read(&path).unwrap()
    });
    assert_eq!(read[0], read[1]);
    assert_eq!(
        (&read[0].classes[..], read[0].top),
        (&["", "a", "b \"quoted\", and more", "ü\nnewline"].map(str::to_owned)[..], Some(2))
    );
    let decisions: Vec<_> = read[0].rows.iter().map(|row| row.class).collect();
    assert_eq!(decisions, [Some(1), None, Some(2), Some(0)]);
    assert_eq!(read[0].rows[0].probabilities, [0.0, 0.7, 0.0, 0.15]);
    // Of four equals the first two of the head's classes.
    assert_eq!(read[0].rows[1].probabilities, [0.0, 0.25, 0.25, 0.0]);
}

#[test]
fn the_text_is_what_the_promise_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores");
    let classes = ["x".to_owned(), "y".to_owned(), "z".to_owned()];
    let scores = || {
        [("1.png", Some(2), [0.25, 1e-7, 0.75]), ("2.png", None, [0.5, 0.25, 0.25])].map(
            |(path, class, probabilities)| {
                Ok(Score { path: path.to_owned(), class, probabilities: probabilities.to_vec() })
            },
        )
    };
    let text = |format: Format, top| {
        format.write(&path, &classes, top, scores()).unwrap();
        std::fs::read_to_string(&path).unwrap()
    };
    assert_eq!(
        text(Format::Csv, None),
        "path,class,probability,p_x,p_y,p_z\n1.png,z,0.75,0.25,1e-7,0.75\n2.png,unsure,0.5,0.5,0.25,0.25\n"
    );
    assert_eq!(
        text(Format::Csv, Some(2)),
        "path,class,probability,class_1,p_1,class_2,p_2\n1.png,z,0.75,z,0.75,x,0.25\n2.png,unsure,0.5,x,0.5,y,0.25\n"
    );
    assert_eq!(
        text(Format::Jsonl, None).lines().next().unwrap(),
        r#"{"path":"1.png","class":"z","probability":0.75,"probabilities":{"x":0.25,"y":1e-7,"z":0.75}}"#
    );
    assert_eq!(
        text(Format::Jsonl, Some(1)).lines().nth(1).unwrap(),
        r#"{"path":"2.png","class":"unsure","probability":0.5,"top":[{"class":"x","probability":0.5}]}"#
    );
    assert_eq!(text(Format::Csv, Some(9)), text(Format::Csv, Some(3)), "more than there are is all");
}

/// What is said of a file with this content.
fn refusal(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.csv");
    std::fs::write(&path, content).unwrap();
    let error = Scores::read(&path).unwrap_err().to_string();
    assert!(error.contains("scores.csv as scores: "), "{error}");
    error
}

#[test]
fn what_holds_no_scores_is_refused_with_its_line() {
    let json = |line: &str| {
        format!("{}\n{line}\n", r#"{"path":"1","class":"a","probability":1,"probabilities":{"a":1,"b":0}}"#)
    };
    let row = |class: &str, p: &str| {
        json(&format!(r#"{{"path":"2","class":"{class}","probability":1,"probabilities":{p}}}"#))
    };
    let cases = [
        (String::new(), "it is empty"),
        ("a,b\n".to_owned(), "line 1: the columns are not path,class,probability"),
        ("path,class,probability\n".to_owned(), "line 1: it has no column p_<class>"),
        ("path,class,probability,x\n".to_owned(), "line 1: the column `x` is not p_<class>"),
        ("path,class,probability,p_a,p_a\n".to_owned(), "line 1: the class 'a' stands there twice"),
        ("path,class,probability,class_1,p_2\n".to_owned(), "line 1: the columns are not"),
        ("path,class,probability,class_1\n".to_owned(), "line 1: the columns are not"),
        (
            "path,class,probability,p_a,p_b\n1,a,1,1,0\n2,a,1,1\n".to_owned(),
            "line 3: it has 4 fields where the first line has 5",
        ),
        ("path,class,probability,p_a,p_b\n1,a,1,1,x\n".to_owned(), "line 2: 'x' is no probability"),
        ("path,class,probability,p_a,p_b\n1,a,1,1,NaN\n".to_owned(), "line 2: NaN is no probability"),
        ("path,class,probability,p_a,p_b\n1,a,1,1.5,0\n".to_owned(), "line 2: 1.5 is no probability"),
        ("path,class,probability,p_a,p_b\n1,c,1,1,0\n".to_owned(), "line 2: 'c' is none of its classes"),
        (
            "path,class,probability,class_1,p_1,class_2,p_2\n1,a,1,a,1,a,0\n".to_owned(),
            "line 2: the class 'a' stands there twice",
        ),
        (json("[]"), "line 2: "),
        (json("{"), "line 2: EOF"),
        (json(r#"{"path":"2","class":"a","probability":1}"#), "line 2: it has neither"),
        (json(r#"{"path":"2","class":"a","probability":1,"top":[]}"#), "line 2: `probabilities` and `top`"),
        (row("c", r#"{"a":1,"b":0}"#), "line 2: 'c' is none of its classes"),
        (row("a", r#"{"a":1}"#), "line 2: the class 'b' is missing"),
        (row("a", r#"{"a":1,"b":0,"c":0}"#), "line 2: the lines before have no class 'c'"),
        (row("a", r#"{"a":1,"a":0}"#), "line 2: the class 'a' stands there twice"),
        (row("a", r#"{"a":-1,"b":0}"#), "line 2: -1 is no probability"),
    ];
    for (content, expected) in cases {
        let said = refusal(content.as_bytes());
        assert!(said.contains(expected), "{content:?}: {said:?} does not say {expected:?}");
    }
    assert!(refusal(b"path,class,probability,p_a\n\xff,a,1,1\n").contains("line 2: it is not UTF-8"));
    assert!(refusal(b"{\"path\":\"\xff\"}").contains("line 1: it is not UTF-8"));
    let nowhere = Scores::read(Path::new("nowhere.csv")).unwrap_err();
    assert!(nowhere.source.is_some() && nowhere.line.is_none());
}

proptest! {
    #[test]
    fn any_float32_between_0_and_1_survives_both_formats(bits in prop::collection::vec(0..=1.0_f32.to_bits(), 1..50)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores");
        let classes: Vec<String> = (0..bits.len()).map(|class| class.to_string()).collect();
        let probabilities: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for format in Format::ALL {
            let score = Score { path: "x".to_owned(), class: None, probabilities: probabilities.clone() };
            format.write(&path, &classes, None, [Ok(score)]).unwrap();
            prop_assert_eq!(&Scores::read(&path).unwrap().rows[0].probabilities, &probabilities);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        head in prop::sample::select(vec!["", "path,class,probability,p_a\n", "path,class,probability,class_1,p_1\n", "{\"path\":"]),
        content in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores");
        std::fs::write(&path, [head.as_bytes(), &content].concat()).unwrap();
        if let Err(error) = Scores::read(&path) {
            prop_assert!(error.to_string().starts_with("cannot use"));
        }
    }
}
