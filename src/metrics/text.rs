//! Metrics for people.

use std::fmt;

use super::{ClassMetrics, Metrics};
use crate::printable::printable;

/// With more classes than this the confusion matrix is not legible as text, and the largest confusions are told instead.
const MATRIX: usize = 12;
/// So many of them.
const CONFUSIONS: usize = 10;

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.accuracy_interval;
        writeln!(f, "accuracy           {:.4}  (95 % interval {low:.4} to {high:.4})", self.accuracy)?;
        writeln!(f, "balanced accuracy  {:.4}", self.balanced_accuracy)?;
        writeln!(f, "macro F1           {:.4}", self.macro_f1)?;
        writeln!(f, "log loss           {:.4}", self.log_loss)?;
        writeln!(f, "ROC AUC            {}  (mean of one class against the rest)", optional(self.roc_auc))?;
        writeln!(f, "average precision  {}  (mean of one class against the rest)", optional(self.average_precision))?;
        writeln!(f, "calibration error  {:.4}", self.calibration_error)?;
        writeln!(f)?;
        self.write_classes(f)?;
        writeln!(f)?;
        if self.classes.len() <= MATRIX { self.write_matrix(f) } else { self.write_confusions(f) }
    }
}

impl Metrics {
    fn write_classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.name_width("class");
        writeln!(f, "{:width$}  images  precision  recall      F1  ROC AUC  avg. prec.", "class")?;
        for class in &self.classes {
            let ClassMetrics { class: name, support, precision, recall, f1, roc_auc, average_precision } = class;
            let (area, average) = (optional(*roc_auc), optional(*average_precision));
            let name = printable(name);
            writeln!(
                f,
                "{name:width$}  {support:6}  {precision:9.4}  {recall:6.4}  {f1:6.4}  {area:>7}  {average:>10}"
            )?;
        }
        Ok(())
    }

    fn write_matrix(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let corner = "is \\ called";
        let width = self.name_width(corner);
        write!(f, "{corner:width$}")?;
        for class in &self.classes {
            write!(f, "  {:>6}", printable(&class.class))?;
        }
        writeln!(f)?;
        for (class, row) in self.classes.iter().zip(&self.confusion) {
            write!(f, "{:width$}", printable(&class.class))?;
            for (column, count) in self.classes.iter().zip(row) {
                let width = printable(&column.class).chars().count().max(6);
                write!(f, "  {count:width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_confusions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self
            .confusion
            .iter()
            .enumerate()
            .flat_map(|(truth, row)| row.iter().enumerate().map(move |(called, &count)| (count, truth, called)));
        let mut wrong: Vec<_> = cells.filter(|&(count, truth, called)| count > 0 && truth != called).collect();
        wrong.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        if wrong.is_empty() {
            return writeln!(f, "no class was taken for another");
        }
        writeln!(f, "most often taken for another:")?;
        for (count, truth, called) in wrong.into_iter().take(CONFUSIONS) {
            let name = |class: usize| printable(&self.classes[class].class);
            writeln!(f, "{count:6}  {} called {}", name(truth), name(called))?;
        }
        Ok(())
    }

    fn name_width(&self, heading: &str) -> usize {
        let names = self.classes.iter().map(|class| printable(&class.class).chars().count());
        names.chain([heading.len()]).max().unwrap_or_default()
    }
}

fn optional(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"))
}
