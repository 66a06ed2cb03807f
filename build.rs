//! Compiles the kernels for NVIDIA cards, with the feature `cuda` alone: CUDA C++ to PTX, which the card's driver compiles further.
//!
//! ```text
//! src/engine/cuda/kernels/NAME.cu ─▶ nvcc ─▶ OUT_DIR/NAME.ptx, embedded by src/engine/cuda/kernels.rs
//! ```
//!
//! nvcc is `NVCC`, or `bin/nvcc` in `CUDA_HOME`, or the one in the `PATH`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const KERNELS: &str = "src/engine/cuda/kernels";
/// Every card from Ampere on.
const ARCHITECTURE: &str = "compute_80";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-changed={KERNELS}");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let files = Path::new(KERNELS).read_dir().map_err(|error| format!("{KERNELS}: {error}"))?;
    for file in files {
        let path = file.map_err(|error| format!("{KERNELS}: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            compile(&path, &out)?;
        }
    }
    Ok(())
}

fn compile(source: &Path, out: &Path) -> Result<(), String> {
    let ptx = out.join(source.with_extension("ptx").file_name().ok_or("a kernel without a name")?);
    let nvcc = nvcc();
    let mut command = Command::new(&nvcc);
    command.args(["--ptx", "-O3", "-std=c++17", "-arch", ARCHITECTURE, "-o"]).arg(ptx).arg(source);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} gave {status} for {}", nvcc.display(), source.display())),
        Err(error) => Err(format!(
            "the feature cuda needs NVIDIA's compiler, and {} cannot be run ({error}): install the CUDA toolkit, or set NVCC \
             or CUDA_HOME",
            nvcc.display()
        )),
    }
}

fn nvcc() -> PathBuf {
    let given = env::var_os("NVCC").map(PathBuf::from);
    let of_toolkit = || env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin/nvcc"));
    given.or_else(of_toolkit).unwrap_or_else(|| PathBuf::from("nvcc"))
}
