//! Comma-separated text. Numbers have as many digits as it takes to read the same float32 again.

use std::io::{self, Read, Write};

use super::Table;

/// `path,class,e0,e1,...`, a line a row; the class is empty where there is none.
pub(super) fn write(table: &Table<'_>, rows: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    let columns = (0..table.columns).map(|column| format!("e{column}"));
    out.write_record(["path".to_owned(), "class".to_owned()].into_iter().chain(columns))?;
    let mut row = vec![0; table.columns * size_of::<f32>()];
    for (path, class) in images(table) {
        rows.read_exact(&mut row)?;
        out.write_field(path)?;
        out.write_field(class)?;
        for number in row.chunks_exact(4) {
            out.write_field(f32::from_le_bytes([number[0], number[1], number[2], number[3]]).to_string())?;
        }
        out.write_record(None::<&[u8]>)?;
    }
    out.flush()
}

/// `row,path,class,label`: which image each row of an array is.
pub(super) fn write_index(table: &Table<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record(["row", "path", "class", "label"])?;
    let mut labels = table.labels();
    for (row, (path, class)) in images(table).enumerate() {
        let label = labels.as_mut().and_then(Iterator::next).map_or_else(String::new, |label| label.to_string());
        out.write_record([&row.to_string(), path, class, &label])?;
    }
    out.flush()
}

fn images<'a>(table: &'a Table<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    table.images.iter().map(|image| {
        let class = image.class.and_then(|class| table.classes.get(class as usize));
        (image.path.as_str(), class.map_or("", String::as_str))
    })
}
