//! The CUDA libraries, opened at run time by name. One that is missing makes its first caller panic, so it is asked for before.
//!
//! A binary that was linked to them instead, as an ordinary build with a toolkit is, does not start without them, and the system's
//! loader says which one is missing; then there is nothing to ask. cudarc has a feature `dynamic-loading` for the one and
//! `dynamic-linking` for the other. candle asks for the other, so `scripts/build_cuda.sh` sets the one as a cfg of all crates, this one included.
#![cfg_attr(feature = "dynamic-loading", expect(unsafe_code, reason = "opening a library runs its initialisers"))]

use super::DeviceError;

/// Refuses to go on without one of them.
#[cfg(not(feature = "dynamic-loading"))]
pub const fn require() -> Result<(), DeviceError> {
    Ok(())
}

#[cfg(feature = "dynamic-loading")]
pub use opened_at_run_time::require;

#[cfg(feature = "dynamic-loading")]
mod opened_at_run_time {
    use std::env;
    use std::fmt::Write;

    use candle_core::cuda_backend::cudarc::{self, cublas, cublaslt, cudnn, curand, driver};

    use super::DeviceError;

    /// The major version of CUDA that the binary was built for.
    const MAJOR: u32 = driver::sys::CUDA_VERSION / 1000;

    /// A library of NVIDIA's.
    struct Library {
        /// As NVIDIA writes it.
        name: &'static str,
        /// Between `lib` and `.so`.
        file: &'static str,
        /// The package of Python's index that brings it, for CUDA 13; those for 12 end otherwise.
        package: &'static str,
        is_present: unsafe fn() -> bool,
    }

    const DRIVER: Library =
        Library { name: "the driver", file: "cuda", package: "", is_present: driver::sys::is_culib_present };

    /// What one needs of another comes first.
    const LIBRARIES: [Library; 4] = [
        Library {
            name: "cuBLASLt",
            file: "cublasLt",
            package: "nvidia-cublas",
            is_present: cublaslt::sys::is_culib_present,
        },
        Library { name: "cuBLAS", file: "cublas", package: "nvidia-cublas", is_present: cublas::sys::is_culib_present },
        Library { name: "cuRAND", file: "curand", package: "nvidia-curand", is_present: curand::sys::is_culib_present },
        Library { name: "cuDNN", file: "cudnn", package: "nvidia-cudnn", is_present: cudnn::sys::is_culib_present },
    ];

    /// Refuses to go on without one of them; all that are missing are named at once.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub fn require() -> Result<(), DeviceError> {
        if DRIVER.is_missing() {
            return Err(DeviceError::NoDriver { looked_for: format!("{} in {}", DRIVER.file_names(), folders()) });
        }
        let missing: Vec<&Library> = LIBRARIES.iter().filter(|library| library.is_missing()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut packages: Vec<String> = missing.iter().map(|library| library.package()).collect();
        packages.dedup();
        let files: Vec<String> = missing.iter().map(|library| library.file_names()).collect();
        Err(DeviceError::MissingLibraries {
            names: missing.iter().map(|library| library.name).collect::<Vec<_>>().join(" and "),
            looked_for: format!("{} in {}", files.join("; "), folders()),
            packages: packages.join(" "),
        })
    }

    impl Library {
        fn is_missing(&self) -> bool {
            // SAFETY: NVIDIA's libraries may be opened and closed by anyone; nothing of them is called.
            !unsafe { (self.is_present)() }
        }

        /// `libcudnn.so, .so.13, .so.12, .so.9`: the names that cudarc tries, but for those of other systems.
        fn file_names(&self) -> String {
            let plain = format!("lib{}.so", self.file);
            let mut names = plain.clone();
            for name in cudarc::get_lib_name_candidates(self.file) {
                if let Some(version) = name.strip_prefix(&plain).filter(|version| !version.is_empty()) {
                    let _ = write!(names, ", .so{version}");
                }
            }
            names
        }

        fn package(&self) -> String {
            match (MAJOR, self.file) {
                (..13, _) | (_, "cudnn") => format!("{}-cu{MAJOR}", self.package),
                _ => self.package.to_owned(),
            }
        }
    }

    /// Where the system's loader looks.
    fn folders() -> String {
        let variable = env::var("LD_LIBRARY_PATH").unwrap_or_default();
        let named: Vec<&str> = variable.split([':', ';']).filter(|folder| !folder.is_empty()).collect();
        if named.is_empty() {
            "the system's folders (LD_LIBRARY_PATH names no others)".to_owned()
        } else {
            format!("LD_LIBRARY_PATH ({}) and the system's folders", named.join(", "))
        }
    }
}
