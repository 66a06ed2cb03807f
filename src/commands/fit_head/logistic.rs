//! `--head logistic`.

use anyhow::Result;
use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::Array1;
use serde_json::json;

use super::learn::{Learnt, Lesson};
use crate::cli::LogisticArgs;
use crate::commands::console::Console;
use crate::counts::count;
use crate::head::logistic::{Alphas, Fitted, LogisticParams};
use crate::head::{Linear, Model};

pub(super) fn learn(lesson: &Lesson, args: &LogisticArgs, console: Console) -> Result<Learnt> {
    let alphas = if args.alpha.is_empty() { Alphas::HalfDecades } else { Alphas::Listed(args.alpha.clone()) };
    let mut dataset = DatasetBase::new(lesson.rows.view(), Array1::from(lesson.labels.clone()));
    if let Some(weights) = &lesson.weights {
        dataset = dataset.with_weights(Array1::from(weights.clone()));
    }
    let fitted = LogisticParams::new(lesson.classes, lesson.folds.clone()).alphas(alphas).fit(&dataset)?;
    tell(&fitted, lesson, console);
    let search: Vec<_> =
        fitted.path.iter().map(|point| json!({ "alpha": point.alpha, "log_loss": point.log_loss })).collect();
    let fit = json!({
        "head": "logistic",
        "alpha": fitted.alpha,
        "search": search,
        "loss": fitted.loss,
        "gap": fitted.gap,
        "converged": fitted.has_converged(),
    });
    let linear = Linear {
        weight: fitted.weight.mapv(|weight| weight as f32),
        bias: fitted.bias.iter().map(|&bias| bias as f32).collect(),
    };
    Ok(Learnt { model: Model::Linear(linear), out_of_fold: fitted.out_of_fold, fit })
}

fn tell(fitted: &Fitted, lesson: &Lesson, console: Console) {
    let rows = count(lesson.labels.len(), "image", "images");
    let alpha = shown(fitted.alpha);
    match fitted.path.as_slice() {
        [_] => console.say(format_args!("logistic regression on {rows}, alpha {alpha}")),
        path => console.say(format_args!(
            "logistic regression on {rows}, alpha {alpha} by {}-fold log loss of {} from {} to {}",
            lesson.fold_count(),
            count(path.len(), "value", "values"),
            shown(path[0].alpha),
            shown(path[path.len() - 1].alpha),
        )),
    }
    let is_weakest = fitted.path.last().is_some_and(|last| last.alpha >= fitted.alpha);
    if fitted.path.len() > 1 && is_weakest {
        console.say(
            "the weakest penalty that was tried is the best: the optimum may lie below it; try smaller ones by --alpha",
        );
    }
    if !fitted.has_converged() {
        console.say(format_args!(
            "warning: the fit has not converged: its loss may be {:.1e} of itself above the optimum. Use a larger --alpha",
            fitted.gap
        ));
    }
}

/// Few digits: penalties are half decades.
fn shown(alpha: f64) -> String {
    if (1e-2..1e5).contains(&alpha) { format!("{}", (alpha * 1e3).round() / 1e3) } else { format!("{alpha:.2e}") }
}
