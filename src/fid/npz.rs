//! `mu_sigma.npz`, the statistics of a set as pytorch-fid, clean-fid and others keep them: a zip of NumPy's arrays.
//!
//! ```text
//! mu.npy            [F], float64
//! sigma.npy         [F, F], float64
//! headstock.json    by what the rows were made, and their number; ours alone, others pass it over
//! ```
//!
//! Files come from strangers. What a member promises is held to its length in the zip, and that to the bytes behind it (no byte
//! deflates to less than a thousandth of itself), before room is made for the numbers.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use faer::Mat;
use serde::{Deserialize, Serialize};
use zip::read::{ZipArchive, ZipFile};
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

use super::Statistics;
use super::npy_header::NpyHeader;
use crate::embeddings::Provenance;
use crate::tensor_file::{Fault, ReadError, fault};
use crate::whole_file::{WriteError, write_whole};

/// The most features that are believed.
pub const MOST_FEATURES: usize = 4096;

/// How many times its length deflated bytes can grow, at most: 258 bytes from two bits, and the tables.
const DEFLATE_AT_MOST: u64 = 1032;
/// The longest `headstock.json` that is believed.
const ORIGIN_LIMIT: u64 = 16 << 10;
/// The longest file: uncompressed, with room for members that are not looked at.
const FILE_LIMIT: u64 = 1 << 30;

/// Statistics as a file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsFile {
    /// The numbers.
    pub statistics: Statistics,
    /// By what the rows were made, and how many there were; only files of ours say.
    pub origin: Option<Origin>,
}

/// Where statistics come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The number of rows.
    pub rows: usize,
    /// By what they were made.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl StatisticsFile {
    /// Reads `mu` and `sigma`, of float64 or float32, in either order of axes.
    ///
    /// # Errors
    /// Where the file cannot be read, is no npz, or its arrays are no mean and covariance of [`MOST_FEATURES`] features or fewer.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        read(path).map_err(|(reason, source)| ReadError { path: path.to_owned(), role: "statistics", reason, source })
    }

    /// Writes the file, deflated as pytorch-fid writes it; the same statistics give the same bytes.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        write_whole(path, |out| {
            let features = self.statistics.features();
            let covariance = &self.statistics.covariance;
            // Symmetric: columns are rows.
            let covariance = covariance.col_iter().flat_map(|column| column.iter().copied());
            let mut zip = ZipWriter::new(out);
            array(&mut zip, "mu", vec![features], self.statistics.mean.iter().copied())?;
            array(&mut zip, "sigma", vec![features, features], covariance)?;
            if let Some(origin) = &self.origin {
                zip.start_file("headstock.json", options())?;
                serde_json::to_writer(&mut zip, origin)?;
            }
            zip.finish()?;
            Ok(())
        })
    }
}

fn options() -> SimpleFileOptions {
    // No time of writing: the same bytes each time.
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).last_modified_time(DateTime::DEFAULT)
}

fn array<W: Write + Seek>(
    zip: &mut ZipWriter<W>,
    name: &str,
    shape: Vec<usize>,
    numbers: impl Iterator<Item = f64>,
) -> io::Result<()> {
    zip.start_file(format!("{name}.npy"), options())?;
    NpyHeader { descr: "<f8".to_owned(), fortran_order: false, shape }.write(zip)?;
    let mut out = io::BufWriter::new(zip);
    for number in numbers {
        out.write_all(&number.to_le_bytes())?;
    }
    out.flush()
}

fn read(path: &Path) -> Result<StatisticsFile, Fault> {
    let unreadable = |error| ("it cannot be read".to_owned(), Some(error));
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    if len > FILE_LIMIT {
        return Err(fault("it is far longer than statistics are"));
    }
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|_| fault("it is no npz file, which is a zip"))?;
    let mean = numbers(&mut zip, "mu", len, |shape| match shape {
        &[features] => Some(features),
        _ => None,
    })?;
    let features = mean.len();
    let numbers =
        numbers(&mut zip, "sigma", len, |shape| (shape == [features, features]).then_some(features * features))?;
    let covariance = Mat::from_fn(features, features, |i, j| numbers[i * features + j]);
    let asymmetry = |i: usize, j: usize| {
        let (above, below) = (covariance[(i, j)], covariance[(j, i)]);
        (above - below).abs() > 1e-5 * (covariance[(i, i)].abs() * covariance[(j, j)].abs()).sqrt() + 1e-12
    };
    if (0..features).any(|j| (0..j).any(|i| asymmetry(i, j))) || (0..features).any(|i| covariance[(i, i)] < 0.0) {
        return Err(fault("`sigma` in it is no covariance: it is not symmetric, or a variance is below zero"));
    }
    let origin = origin(&mut zip, len)?;
    Ok(StatisticsFile { statistics: Statistics { mean, covariance }, origin })
}

/// An array of floats, by the number of them that a shape of it may have.
fn numbers<R: Read + Seek>(
    zip: &mut ZipArchive<R>,
    name: &str,
    len: u64,
    count_of: impl Fn(&[usize]) -> Option<usize>,
) -> Result<Vec<f64>, Fault> {
    let mut member = member(zip, &format!("{name}.npy"), len)?
        .ok_or_else(|| fault(format!("it holds no `{name}`: statistics are the arrays `mu` and `sigma`")))?;
    let member_len = member.size();
    let (header, header_len) = NpyHeader::read(&mut member, name)?;
    let size = match header.descr.as_str() {
        "<f8" => 8,
        "<f4" => 4,
        other => return Err(fault(format!("`{name}` in it is of type {other:?}, not float64 (`<f8`) or float32"))),
    };
    let count = count_of(&header.shape)
        .filter(|&count| (1..=MOST_FEATURES * MOST_FEATURES).contains(&count))
        .filter(|_| header.shape.iter().all(|&length| length <= MOST_FEATURES))
        .ok_or_else(|| {
            fault(format!(
                "`{name}` in it has the shape {:?}: `mu` is [F] and `sigma` [F, F], with F up to {MOST_FEATURES}",
                header.shape
            ))
        })?;
    if member_len != (header_len + count * size) as u64 {
        return Err(fault(format!("`{name}` in it is cut off, or has something behind its last number")));
    }
    let cut_off = |_| fault(format!("`{name}` in it is damaged"));
    let mut numbers = Vec::with_capacity(count);
    let mut bytes = vec![0; 8192];
    while numbers.len() < count {
        let piece = &mut bytes[..((count - numbers.len()) * size).min(8192)];
        member.read_exact(piece).map_err(cut_off)?;
        match size {
            8 => numbers.extend(piece.as_chunks().0.iter().copied().map(f64::from_le_bytes)),
            _ => numbers.extend(piece.as_chunks().0.iter().copied().map(f32::from_le_bytes).map(f64::from)),
        }
    }
    // The sum of a member is looked at where it ends.
    if member.read(&mut bytes[..1]).map_err(cut_off)? != 0 {
        return Err(fault(format!("`{name}` in it has something behind its last number")));
    }
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(fault(format!("`{name}` in it holds numbers that are not finite")));
    }
    Ok(numbers)
}

fn origin<R: Read + Seek>(zip: &mut ZipArchive<R>, len: u64) -> Result<Option<Origin>, Fault> {
    let Some(member) = member(zip, "headstock.json", len)? else { return Ok(None) };
    let wrong = || fault("`headstock.json` in it is not what it should be");
    if member.size() > ORIGIN_LIMIT {
        return Err(wrong());
    }
    let mut text = String::new();
    member.take(ORIGIN_LIMIT).read_to_string(&mut text).map_err(|_| wrong())?;
    serde_json::from_str(&text).map(Some).map_err(|_| wrong())
}

/// A member of the zip, where there is such a one, whose bytes can be as many as it says.
fn member<'a, R: Read + Seek>(
    zip: &'a mut ZipArchive<R>,
    name: &str,
    len: u64,
) -> Result<Option<ZipFile<'a, R>>, Fault> {
    let Some(index) = zip.index_for_name(name) else { return Ok(None) };
    let member = zip.by_index(index).map_err(|_| fault(format!("`{name}` in it cannot be read as a zip's member")))?;
    let growth = match member.compression() {
        CompressionMethod::Stored => 1,
        CompressionMethod::Deflated => DEFLATE_AT_MOST,
        other => return Err(fault(format!("`{name}` in it is compressed by {other}, not stored or deflated"))),
    };
    if member.size() > member.compressed_size().min(len).saturating_mul(growth) {
        return Err(fault(format!("`{name}` in it promises more than the file holds")));
    }
    Ok(Some(member))
}
