//! How much memory a file can take.

use headstock::head::{Head, Linear, Model};
use serde_json::json;

use crate::mutations::{header_len, with_header, with_header_text, with_text};
use crate::reading::{CONSTANT, Reader, Reading};
use crate::valid;

/// Short text that becomes much in memory: the worst there is for its length.
#[test]
fn text_that_swells_in_memory_stays_within_bounds() {
    // A vector that has just outgrown a power of two.
    let list = |of: &str| format!("[{}{of}]", format!("{of},").repeat(if of.len() < 100 { 33_000 } else { 260 }));
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        let maps = format!("{}0{}", "{\"\":".repeat(100), "}".repeat(100));
        for of in ["0", "[]", "[0]", "{}", "{\"\":0}", &maps, "\"\"", "null", "1e5", "\"\\u0000\""] {
            let text = list(of);
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
        let empty = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
        let many: Vec<String> = (0..3000).map(|tensor| format!("\"{tensor}\":{empty}")).collect();
        reading.hold(
            reader,
            &with_header_text(&bytes, &format!("{{{}}}", many.join(","))),
            &format!("{name}: many tensors"),
        );
        let many: Vec<String> = (0..20_000).map(|key| format!("\"{key:x}\":\"\"")).collect();
        let metadata = format!("{{\"__metadata__\":{{{}}}}}", many.join(","));
        reading.hold(reader, &with_header_text(&bytes, &metadata), &format!("{name}: much metadata"));
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
    let (outcome, peak) = reading.of(Reader::Embeddings, &wide);
    assert_eq!(outcome, Ok(()));
    // A row as bytes and as numbers.
    assert!(peak < 2 * 4 * columns + CONSTANT, "{peak}");
}

#[test]
fn a_head_is_read_into_its_numbers_and_little_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    let large = Linear { weight: ndarray::Array2::from_elem((2, 500_000), 0.5), bias: vec![0.0; 2] };
    Head { model: Model::Linear(large), ..valid::linear() }.write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (outcome, peak) = Reading::new().of(Reader::Head, &bytes);
    assert_eq!(outcome, Ok(()));
    assert!(peak < bytes.len() + CONSTANT, "{peak} for {}", bytes.len());
}
