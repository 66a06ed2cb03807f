//! Why a device cannot be had, and what to do about it; each in one line.

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The text names no device.
    #[error("'{0}' is no device: it is one of auto, cpu, cuda, cuda:N, cuda:N,N,..., cuda:all, metal")]
    Unknown(String),
    /// The text names no cards.
    #[error(
        "'cuda:{0}' names no cards: give their numbers, such as cuda:0 or cuda:0,1, each at most twice, or cuda:all"
    )]
    UnknownCards(String),
    /// The binary cannot use it.
    #[error(
        "this binary was built without {name}: build it with `cargo build --release --features {feature}`, or use --device cpu"
    )]
    NotBuilt {
        /// The device.
        name: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// libcuda cannot be opened.
    #[error(
        "no NVIDIA driver: looked for {looked_for}. NVIDIA's driver brings it (`nvidia-smi` shows one that works); a container \
         has to be given it (`docker run --gpus all`). --device cpu needs none"
    )]
    NoDriver {
        /// Names, and the folders that were looked in.
        looked_for: String,
    },
    /// Libraries beside the driver cannot be opened.
    #[error(
        "{names} cannot be opened: looked for {looked_for}. `pip install {packages}` brings what is missing; name its folders in \
         LD_LIBRARY_PATH (they are nvidia/*/lib under Python's site-packages). --device cpu needs none"
    )]
    MissingLibraries {
        /// `cuDNN`, or several.
        names: String,
        /// File names, and the folders that were looked in.
        looked_for: String,
        /// What Python's package index calls them.
        packages: String,
    },
    /// The driver is older than what the binary was built by.
    #[error(
        "the NVIDIA driver is for CUDA {has}, and this binary needs one for CUDA {needs} or later: update the driver, or build with \
         the CUDA toolkit {has}"
    )]
    OldDriver {
        /// `12.4`.
        has: String,
        /// `13.0`.
        needs: String,
    },
    /// There is a driver and nothing for it to drive.
    #[error("there is no NVIDIA card: the driver shows none{}", that_hides(.visible.as_deref()))]
    NoCard {
        /// `CUDA_VISIBLE_DEVICES`, where it is set.
        visible: Option<String>,
    },
    /// Fewer cards than that.
    #[error("cuda:{asked} is not there: this machine has {there}{}", that_hides(.visible.as_deref()))]
    NoSuchCard {
        /// Its number.
        asked: usize,
        /// `1 card, 0`, `2 cards, 0 and 1`, `8 cards, 0 to 7`.
        there: String,
        /// `CUDA_VISIBLE_DEVICES`, where it is set.
        visible: Option<String>,
    },
    /// A card that the binary's programs do not run on.
    #[error(
        "{card} has compute capability {has}, and this binary runs on {needs}: use another card, or build on this machine"
    )]
    OtherCapability {
        /// `cuda:0 (Tesla T4)`.
        card: String,
        /// `7.5`.
        has: String,
        /// `8.0 or later`.
        needs: String,
    },
    /// A library or the driver refuses otherwise.
    #[error("{card} cannot be used: {words}")]
    Refused {
        /// `cuda:0`, or CUDA as such.
        card: String,
        /// What the driver or a library says.
        words: String,
    },
    /// The machine does not have it.
    #[error("{device} cannot be used on this machine")]
    NotThere {
        /// The device.
        device: String,
        /// What its driver says.
        source: candle_core::Error,
    },
}

impl DeviceError {
    /// As the reason why something else is done: of a machine without a driver, which mostly has no card either, in a few words.
    #[must_use]
    pub fn shortly(&self) -> String {
        match self {
            Self::NoDriver { .. } => "this machine has no NVIDIA driver".to_owned(),
            other => other.to_string(),
        }
    }
}

/// That a variable hides cards, where it may be the reason.
fn that_hides(variable: Option<&str>) -> String {
    variable.map_or_else(String::new, |value| format!(" (CUDA_VISIBLE_DEVICES is '{value}')"))
}
