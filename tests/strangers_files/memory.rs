//! How much memory a file can take.

use headstock::head::{Head, Linear, Model};
use serde_json::json;

use crate::mutations::{header_len, with_header, with_header_text, with_text};
use crate::reading::{CONSTANT, Reader, Reading};
use crate::valid;

/// Short text that becomes much in memory: the worst there is for its length.
#[test]
fn text_that_swells_in_memory_is_refused_before_it_does() {
    // Vectors that have just outgrown a power of two, as long as they may be and longer.
    let list = |of: &str, times: usize| format!("[{}{of}]", format!("{of},").repeat(times));
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        let maps = format!("{}0{}", "{\"\":".repeat(100), "}".repeat(100));
        for of in ["0", "[]", "[0]", "{}", "{\"\":0}", &maps, "\"\"", "null", "1e5", "\"\\u0000\""] {
            for times in if of.len() < 100 { [4_100, 66_000] } else { [70, 2_100] } {
                let text = list(of, times);
                for key in ["classes", "paths", "fit", "held_out", "thresholds", "temperature", "kind", "unknown"] {
                    reading.hold(reader, &with_text(&bytes, key, &text), &format!("{name}: {key} of {of:.20}"));
                }
                let metrics = format!("{{\"set\":\"\",\"paths\":{text},\"metrics\":{{\"confusion\":{text}}}}}");
                reading.hold(reader, &with_text(&bytes, "held_out", &metrics), &format!("{name}: metrics of {of:.20}"));
                for part in ["dtype", "shape", "data_offsets", "unknown"] {
                    let tensor = format!("{{\"a\":{{\"{part}\":{text}}}}}");
                    reading.hold(reader, &with_header_text(&bytes, &tensor), &format!("{name}: {part} of {of:.20}"));
                }
                reading.hold(reader, &with_header_text(&bytes, &text), &format!("{name}: nothing but {of:.20}"));
            }
        }
        let empty = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
        let many: Vec<String> = (0..20_000).map(|tensor| format!("\"{tensor}\":{empty}")).collect();
        reading.hold(
            reader,
            &with_header_text(&bytes, &format!("{{{}}}", many.join(","))),
            &format!("{name}: many tensors"),
        );
        let many: Vec<String> = (0..200_000).map(|key| format!("\"{key:x}\":\"\"")).collect();
        let metadata = format!("{{\"__metadata__\":{{{}}}}}", many.join(","));
        reading.hold(reader, &with_header_text(&bytes, &metadata), &format!("{name}: much metadata"));
    }
}

/// One string that is all of the file: what it is unescaped into, what an error would quote of it.
#[test]
fn a_string_that_is_all_of_the_file_is_held_no_longer_than_it_stands_there() {
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all().into_iter().filter(|(name, ..)| ["embeddings", "held_out"].contains(name))
    {
        for of in ["a", "\\n", "\u{200b}", "\\u200b", "\\ud83d\\ude00"] {
            let long = format!("\"{}\\n\"", of.repeat(700_000 / of.len()));
            for key in ["paths", "fit", "temperature", "kind"] {
                for text in [&long, &format!("[{long}]"), &long[1..]] {
                    reading.hold(reader, &with_text(&bytes, key, text), &format!("{name}: {key} a long {of}"));
                }
            }
            let headers = [
                format!("{{{long}:{{}}}}"),
                format!("{{\"a\":{{\"dtype\":{long}}}}}"),
                format!("{{\"a\":{long}}}"),
                long,
            ];
            for header in headers {
                reading.hold(reader, &with_header_text(&bytes, &header), &format!("{name}: a header of a long {of}"));
            }
        }
    }
}

#[test]
fn opening_embeddings_does_not_read_the_rows_and_reading_them_holds_one_at_a_time() {
    let reading = Reading::new();
    let (rows, columns) = (3, 200_000);
    let (_, _, bytes) = valid::all().swap_remove(1);
    let wide = with_header(&bytes, |header| {
        header["embeddings"] =
            json!({ "dtype": "F32", "shape": [rows, columns], "data_offsets": [0, 4 * rows * columns] });
    });
    let header = 8 + header_len(&wide);
    let wide = [&wide[..header], &vec![0; 4 * rows * columns][..]].concat();
    let (outcome, taken) = reading.of(Reader::Embeddings, &wide);
    assert_eq!(outcome, Ok(()));
    // A row as bytes and as numbers.
    assert!(taken.peak < 2 * 4 * columns + CONSTANT, "{taken:?}");
}

#[test]
fn a_head_is_read_into_its_numbers_and_little_more() {
    let reading = Reading::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let large = Linear { weight: ndarray::Array2::from_elem((2, 500_000), 0.5), bias: vec![0.0; 2] };
    Head { model: Model::Linear(large), ..valid::linear() }.write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (outcome, taken) = reading.of(Reader::Head, &bytes);
    assert_eq!(outcome, Ok(()));
    assert!(taken.peak < bytes.len() + CONSTANT, "{taken:?} for {}", bytes.len());
}
