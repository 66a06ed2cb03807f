//! float32 and float64: the path over the penalties is walked in the one, its end is polished in the other.

use faer::{Mat, MatRef};

/// A float that fits are computed in.
pub(super) trait Number: linfa::Float + faer::traits::RealField + Into<f64> {
    /// The change of the cost, relative, below which it is rounding.
    const ROUNDING: f64;

    /// Rows [n, D] in this type.
    fn rows(rows: MatRef<'_, f32>) -> Rows<'_, Self>;
}

/// Rows as they are, or converted.
pub(super) enum Rows<'a, T> {
    Borrowed(MatRef<'a, T>),
    /// Their transpose.
    Converted(Mat<T>),
}

impl<T: Number> Rows<'_, T> {
    pub(super) fn view(&self) -> MatRef<'_, T> {
        match self {
            Self::Borrowed(rows) => *rows,
            Self::Converted(transpose) => transpose.as_ref().transpose(),
        }
    }
}

impl Number for f32 {
    const ROUNDING: f64 = 1e-7;

    fn rows(rows: MatRef<'_, f32>) -> Rows<'_, Self> {
        Rows::Borrowed(rows)
    }
}

impl Number for f64 {
    const ROUNDING: f64 = 1e-14;

    fn rows(rows: MatRef<'_, f32>) -> Rows<'_, Self> {
        let mut transpose = Mat::zeros(rows.ncols(), rows.nrows());
        for (column, row) in transpose.col_iter_mut().zip(rows.row_iter()) {
            column.iter_mut().zip(row.iter()).for_each(|(to, &from)| *to = Self::from(from));
        }
        Rows::Converted(transpose)
    }
}
