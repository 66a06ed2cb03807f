//! Graphs as exporters wrote them, with the tensors that `scripts/golden_onnx.py` says.

use std::path::{Path, PathBuf};

use super::{under_tests, units};

/// Writes the graph of this name into a folder, and beside it the file of its tensors.
pub fn with_tensors(name: &str, folder: &Path) -> PathBuf {
    let rows = std::fs::read(under_tests(&format!("golden/onnx/{name}.json"))).unwrap();
    let rows: Vec<(String, Vec<usize>, String, usize)> = serde_json::from_slice(&rows).unwrap();
    let mut bytes = Vec::new();
    for (name, shape, rule, outputs) in rows {
        let count: usize = shape.iter().product();
        let bound = (6.0 * outputs as f64 / count as f64).sqrt() as f32;
        for u in units(&name).take(count) {
            let number = match rule.as_str() {
                "kernel" => (u * 2.0 - 1.0) * bound,
                "positive" => 0.5 + u,
                _ => (u - 0.5) * 0.5,
            };
            bytes.extend(number.to_le_bytes());
        }
    }
    std::fs::write(folder.join(format!("{name}.bin")), bytes).unwrap();
    let path = folder.join(format!("{name}.onnx"));
    std::fs::copy(under_tests(&format!("golden/onnx/{name}.onnx")), &path).unwrap();
    path
}
