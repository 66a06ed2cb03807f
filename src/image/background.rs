//! The colour that transparent pictures are laid over.

/// The text is not a colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a colour: write white, black, grey, #rrggbb or r,g,b with numbers from 0 to 255")]
pub struct BackgroundError(String);

/// Reads a colour: `white`, `black`, `grey`, `#rrggbb`, `rrggbb` or `r,g,b`, in any case, spaces around it allowed.
///
/// # Errors
/// [`BackgroundError`], which quotes the text and lists the forms that are understood.
///
/// ```
/// use headstock::image::parse_background;
///
/// assert_eq!(parse_background("white"), Ok([255, 255, 255]));
/// assert_eq!(parse_background("#ff8000"), Ok([255, 128, 0]));
/// assert_eq!(parse_background("255, 128, 0"), Ok([255, 128, 0]));
/// assert!(parse_background("#ff80").is_err());
/// ```
pub fn parse_background(text: &str) -> Result<[u8; 3], BackgroundError> {
    let name = text.trim().to_ascii_lowercase();
    let color = match name.as_str() {
        "white" => Some([255; 3]),
        "black" => Some([0; 3]),
        "grey" | "gray" => Some([128; 3]),
        decimal if decimal.contains(',') => from_decimal(decimal),
        hex => from_hex(hex.strip_prefix('#').unwrap_or(hex)),
    };
    color.ok_or_else(|| BackgroundError(text.to_owned()))
}

fn from_decimal(text: &str) -> Option<[u8; 3]> {
    let values: Vec<u8> = text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    values.try_into().ok()
}

fn from_hex(text: &str) -> Option<[u8; 3]> {
    let six_digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let [_, red, green, blue] = six_digits.then(|| u32::from_str_radix(text, 16).ok())??.to_be_bytes();
    Some([red, green, blue])
}
