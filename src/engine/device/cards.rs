//! Which NVIDIA cards: `0`, `0,1`, `all`.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::DeviceError;

/// Workers that one card may have: while one waits for its copies, the other computes.
const WORKERS: usize = 2;

/// Cards by number, as the driver counts those that `CUDA_VISIBLE_DEVICES` leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cards {
    /// Every one that is there.
    All,
    /// These, a worker for each time that one is named.
    Listed(Vec<usize>),
}

impl Cards {
    /// The first one.
    #[must_use]
    pub fn first() -> Self {
        Self::Listed(vec![0])
    }

    /// Opens them, a device each.
    ///
    /// # Errors
    /// Where one is not there, or a library, or the driver or the card is too old.
    #[cfg(feature = "cuda")]
    pub(super) fn open(&self) -> Result<Vec<Device>, DeviceError> {
        super::nvidia::open(self)
    }

    /// There are none without the feature `cuda`; reading `cuda:0` says so already.
    #[cfg(not(feature = "cuda"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) const fn open(&self) -> Result<Vec<Device>, DeviceError> {
        Err(DeviceError::NotBuilt { name: "CUDA", feature: "cuda" })
    }
}

impl FromStr for Cards {
    type Err = DeviceError;

    /// Reads `all`, or numbers with commas between; each at most twice.
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let refused = || DeviceError::UnknownCards(text.to_owned());
        // Digits alone: `parse` would take a sign.
        let number = |text: &str| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| is_number)
        };
        let cards: Option<Vec<usize>> = text.split(',').map(number).collect();
        let cards = cards.ok_or_else(refused)?;
        let workers = |card: usize| cards.iter().filter(|&&other| other == card).count();
        if cards.iter().any(|&card| workers(card) > WORKERS) { Err(refused()) } else { Ok(Self::Listed(cards)) }
    }
}

impl fmt::Display for Cards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Listed(cards) => f.write_str(&cards.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cards_are_read_as_they_are_written() {
        for text in ["0", "3", "0,1", "1,0", "0,0", "0,1,0,1", "all"] {
            assert_eq!(text.parse::<Cards>().unwrap().to_string(), text);
        }
        assert_eq!("0".parse::<Cards>().unwrap(), Cards::first());
    }

    #[test]
    fn nonsense_and_a_third_worker_on_one_card_are_refused_by_name() {
        for text in ["", "0,", ",0", "0;1", "-1", "+1", "0 ,1", "x", "ALL", "all,0", "0,0,0", "99999999999999999999"] {
            let error = text.parse::<Cards>().unwrap_err().to_string();
            assert!(error.contains(&format!("'cuda:{text}'")), "{error}");
        }
    }
}
