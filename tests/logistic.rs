//! Logistic regression, held to scikit-learn's optimum (`scripts/golden_logistic.py`), to linfa's where linfa is right, and to
//! what must be true of any.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use headstock::head::Scaler;
use headstock::head::logistic::{Alphas, Fitted, LogisticError, LogisticParams};
use linfa::traits::Fit;
use linfa::{DatasetBase, ParamGuard};
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2, ArrayView1, Axis, array, concatenate, s};
use rayon::ThreadPoolBuilder;
use serde::Deserialize;
use support::heads::numbers;

/// What `scripts/golden_logistic.py` wrote.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    seed: u64,
    rows: usize,
    features: usize,
    classes: usize,
    signal: f32,
    odd: bool,
    balanced: bool,
    labels: Vec<usize>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    fits: Vec<GoldenFit>,
    path: Vec<GoldenPoint>,
    /// Logarithms of probabilities of the first rows, with the last penalty of the path.
    out_of_fold: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenFit {
    alpha: f64,
    loss: f64,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenPoint {
    alpha: f64,
    log_loss: f64,
}

fn golden() -> Vec<Case> {
    serde_json::from_str::<Golden>(include_str!("golden/logistic.json")).unwrap().cases
}

impl Case {
    /// The rows, by the script's rule.
    fn raw(&self) -> Array2<f32> {
        let mut x = numbers(self.rows, self.features, self.seed + 1);
        let centres = numbers(self.classes, self.features, self.seed + 2);
        for (mut row, &label) in x.rows_mut().into_iter().zip(&self.labels) {
            row.zip_mut_with(&centres.row(label), |x, centre| *x += self.signal * centre);
        }
        if self.odd {
            x.column_mut(0).fill(0.1);
            for mut row in x.rows_mut() {
                row[1] = row[2];
                row[3] = row[4] + row[5] / 64.0;
            }
            let half = self.rows / 2;
            let first = x.slice_axis(Axis(0), (..self.rows - half).into()).to_owned();
            x.slice_axis_mut(Axis(0), (half..).into()).assign(&first);
        }
        x
    }

    fn weights(&self) -> Vec<f32> {
        let count = |class| self.labels.iter().filter(|&&label| label == class).count();
        let weight = |&label: &usize| self.rows as f64 / (self.classes * count(label)) as f64;
        self.labels.iter().map(|label| if self.balanced { weight(label) as f32 } else { 1.0 }).collect()
    }

    fn dataset(&self) -> DatasetBase<Array2<f32>, Array1<usize>> {
        let raw = self.raw();
        dataset(Scaler::fit(raw.view()).transform(raw.view()), &self.labels).with_weights(self.weights().into())
    }

    fn params(&self, alphas: &[f64]) -> LogisticParams {
        LogisticParams::new(self.classes, in_turn(self.rows)).alphas(Alphas::Listed(alphas.to_vec()))
    }

    fn fit(&self, alphas: &[f64]) -> Fitted {
        self.params(alphas).fit(&self.dataset()).unwrap()
    }
}

fn dataset(rows: Array2<f32>, labels: &[usize]) -> DatasetBase<Array2<f32>, Array1<usize>> {
    DatasetBase::new(rows, Array1::from(labels.to_vec()))
}

/// Four folds, as the script deals them out.
fn in_turn(rows: usize) -> Vec<usize> {
    (0..rows).map(|row| row * 7 % 4).collect()
}

/// Logits [N, K] of standardised rows, in float64.
fn logits(rows: &Array2<f32>, weight: &Array2<f64>, bias: &Array1<f64>) -> Array2<f64> {
    rows.mapv(f64::from).dot(&weight.t()) + bias
}

fn log_softmax(logits: &Array2<f64>) -> Array2<f64> {
    let mut out = logits.clone();
    for mut row in out.rows_mut() {
        let top = row.fold(f64::NEG_INFINITY, |top, &z| top.max(z));
        let total = row.mapv(|z| (z - top).exp()).sum().ln() + top;
        row -= total;
    }
    out
}

/// What is minimised, in the plainest words.
fn loss(data: &DatasetBase<Array2<f32>, Array1<usize>>, weight: &Array2<f64>, bias: &Array1<f64>, alpha: f64) -> f64 {
    let log_p = log_softmax(&logits(data.records(), weight, bias));
    let rows = log_p.rows().into_iter().zip(data.targets()).enumerate();
    let losses: f64 = rows.map(|(row, (log_p, &label))| -f64::from(data.weight_for(row)) * log_p[label]).sum();
    losses + alpha / 2.0 * weight.mapv(|w| w * w).sum()
}

fn largest(differences: impl IntoIterator<Item = f64>) -> f64 {
    differences.into_iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

#[test]
fn the_scaler_is_scikit_learns() {
    for case in golden() {
        let scaler = Scaler::fit(case.raw().view());
        let away = |ours: &[f64], theirs: &[f64]| largest(ours.iter().zip(theirs).map(|(a, b)| a - b));
        assert_eq!((scaler.mean.len(), scaler.scale.len()), (case.features, case.features));
        assert!(away(&scaler.mean, &case.mean) < 1e-12, "{}", case.name);
        assert!(away(&scaler.scale, &case.scale) < 1e-12, "{}", case.name);
        assert_eq!(scaler.scale[0] == 1.0, case.odd, "a constant feature is left as it is");
    }
}

#[test]
fn the_optimum_is_scikit_learns() {
    let mut far: Vec<String> = Vec::new();
    for case in golden() {
        let data = case.dataset();
        for theirs in &case.fits {
            let name = format!("{}, alpha {}", case.name, theirs.alpha);
            // Where copies of a row are of different classes and hardly anything is penalised, the jitter of the span shows.
            let is_hard = case.odd && case.rows < case.features && theirs.alpha < 1.0;
            let (of_loss, most) = if is_hard { (5e-6, 1e-1) } else { (1e-6, 1e-2) };
            let ours = case.fit(&[theirs.alpha]);
            let (weight, bias) = (
                Array2::from_shape_vec((case.classes, case.features), theirs.weight.clone()).unwrap(),
                Array1::from(theirs.bias.clone()),
            );
            // The rows and the penalty are those of the script: its weights have the loss there that it says.
            let known = loss(&data, &weight, &bias, theirs.alpha);
            assert!((known / theirs.loss - 1.0).abs() < 1e-6, "{name}: {known} against {}", theirs.loss);

            let at_ours = loss(&data, &ours.weight, &ours.bias, ours.alpha);
            assert!((ours.loss / at_ours - 1.0).abs() < 1e-9, "{name}: said to be {}, is {at_ours}", ours.loss);
            let away = ours.loss / known - 1.0;
            let of_weights = largest(&ours.weight - &weight) / largest(weight.iter().copied());
            let shift = ours.bias.mean().unwrap();
            let of_bias = largest(&ours.bias - shift - &bias) / largest(bias.iter().copied()).max(1.0);
            let p = |weight, bias| log_softmax(&logits(data.records(), weight, bias)).mapv(f64::exp);
            let of_p = largest(p(&ours.weight, &ours.bias) - p(&weight, &bias));
            println!(
                "{name}: loss {away:+.1e}, gap {:.1e}, weights {of_weights:.1e}, bias {of_bias:.1e}, p {of_p:.1e}",
                ours.gap
            );
            far.extend((away > of_loss).then_some(format!("{name}: loss {} against {known}", ours.loss)));
            assert!(ours.gap >= 0.0 && (ours.has_converged() || is_hard), "{name}");
            assert!(away <= ours.gap + 1e-9, "{name}: {away} above the best known, and {} at most", ours.gap);
            far.extend((of_weights > most || of_bias > most || of_p > 1e-4).then_some(name));
        }
    }
    assert!(far.is_empty(), "{far:?}");
}

#[test]
fn the_path_is_that_of_exact_fits_without_a_fold() {
    for case in golden() {
        let alphas: Vec<f64> = case.path.iter().map(|point| point.alpha).collect();
        let fitted = case.fit(&alphas);
        assert!(fitted.path.len() >= 3);
        for (ours, theirs) in fitted.path.iter().zip(&case.path) {
            let away = ours.log_loss / theirs.log_loss - 1.0;
            println!("{}, alpha {}: {away:+.1e} in {} passes", case.name, ours.alpha, ours.passes);
            assert_eq!(ours.alpha, theirs.alpha);
            assert!(away.abs() < 3e-2, "{}: {} against {}", case.name, ours.log_loss, theirs.log_loss);
        }
        let best = fitted.path.iter().min_by(|a, b| a.log_loss.total_cmp(&b.log_loss)).unwrap();
        assert_eq!(fitted.alpha, best.alpha);

        let last = case.fit(&alphas[alphas.len() - 1..]);
        assert_eq!(last.out_of_fold.dim(), (case.rows, case.classes));
        let ours = log_softmax(&last.out_of_fold.mapv(f64::from)).mapv(f64::exp);
        let away = largest(ours.iter().zip(&case.out_of_fold).map(|(p, log_p)| p - log_p.exp()));
        println!("{}: probabilities out of fold are {away:.1e} off", case.name);
        assert!(away < 5e-2, "{}: {away}", case.name);
        // And the mean loss on the path is that of these very logits.
        let weights = case.weights();
        let own = case.labels.iter().enumerate().map(|(row, &label)| {
            let log_p = log_softmax(&last.out_of_fold.slice(s![row..=row, ..]).mapv(f64::from));
            -f64::from(weights[row]) * log_p[[0, label]]
        });
        let mean = own.sum::<f64>() / weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
        assert!((last.path[0].log_loss / mean - 1.0).abs() < 1e-4, "{} against {mean}", last.path[0].log_loss);
    }
}

#[test]
fn logits_out_of_fold_are_those_of_a_fit_to_which_the_fold_counts_nothing() {
    // Few classes share a tile of the gradient; of many each fit has its own, and passes over hundreds of rows at once.
    for classes in [3, 90] {
        let labels: Vec<usize> = (0..900).map(|row| row % classes).collect();
        let centres = numbers(classes, 6, 8);
        let rows = numbers(labels.len(), 6, 9) + centres.select(Axis(0), &labels);
        let data = dataset(Scaler::fit(rows.view()).transform(rows.view()), &labels);
        let folds: Vec<usize> = (0..labels.len()).map(|row| row / 7 % 2).collect();
        let fit = |data: &DatasetBase<Array2<f32>, Array1<usize>>| {
            let params = LogisticParams::new(classes, folds.clone());
            params.alphas(Alphas::Listed(vec![3.0])).fit(data).unwrap()
        };
        let fitted = fit(&data);
        for fold in [0, 1] {
            let weights: Vec<f32> = folds.iter().map(|&of_row| f32::from(of_row != fold)).collect();
            let without = fit(&data.clone().with_weights(Array1::from(weights)));
            let own: Vec<usize> = (0..labels.len()).filter(|&row| folds[row] == fold).collect();
            let p = |logits: Array2<f64>| log_softmax(&logits.select(Axis(0), &own)).mapv(f64::exp);
            let exact = p(logits(data.records(), &without.weight, &without.bias));
            let away = largest(p(fitted.out_of_fold.mapv(f64::from)) - &exact);
            let with = largest(p(logits(data.records(), &fitted.weight, &fitted.bias)) - &exact);
            println!("{classes} classes, fold {fold}: {away:.1e} off, and {with:.1e} with the fold");
            assert!(away < 1e-2 && with > 10.0 * away, "{classes} classes, fold {fold}: {away}, {with}");
        }
    }
}

#[test]
fn rows_of_which_none_counts_are_fitted_all_the_same() {
    let labels: Vec<usize> = (0..12).map(|row| row % 2).collect();
    let data = dataset(numbers(12, 3, 4), &labels).with_weights(Array1::zeros(12));
    let params = LogisticParams::new(2, (0..12).map(|row| row / 2 % 2).collect());
    let fitted = params.alphas(Alphas::Listed(vec![10.0, 1.0])).fit(&data).unwrap();
    assert_eq!(fitted.loss, 0.0);
    assert!(fitted.weight.iter().chain(&fitted.bias).all(|&number| number == 0.0));
}

#[test]
fn the_gap_bounds_the_distance_to_another_way_to_the_optimum() {
    // Classes of very different sizes, weak penalties: the intercepts' curvature is smallest there.
    let mut labels: Vec<usize> = (0..120).map(|row| usize::from(row % 30 == 7)).collect();
    labels.extend([2, 2]);
    let rows = numbers(labels.len(), 6, 5);
    let data = dataset(Scaler::fit(rows.view()).transform(rows.view()), &labels);
    for alpha in [1e2, 1.0, 1e-2, 1e-4] {
        let folds = (0..labels.len()).map(|row| row % 2).collect();
        let fitted = LogisticParams::new(3, folds).alphas(Alphas::Listed(vec![alpha])).fit(&data).unwrap();
        // A fit of the same rows, each there ten times with a tenth of the weight, comes to the same optimum another way.
        let again = (0..10).map(|_| data.records().view()).collect::<Vec<_>>();
        let again = dataset(concatenate(Axis(0), &again).unwrap(), &labels.repeat(10));
        let again = again.with_weights(Array1::from_elem(labels.len() * 10, 0.1));
        let folds = (0..labels.len() * 10).map(|row| row % 2).collect();
        let other = LogisticParams::new(3, folds).alphas(Alphas::Listed(vec![alpha])).fit(&again).unwrap();
        let known = loss(&data, &other.weight, &other.bias, alpha);
        println!("alpha {alpha}: gap {:.1e}, known {:+.1e}", fitted.gap, fitted.loss / known - 1.0);
        assert!(fitted.loss <= known * (1.0 + fitted.gap) + 1e-9 * known);
        assert!(known <= fitted.loss * (1.0 + other.gap) + 1e-9 * known);
    }
}

#[test]
fn classes_are_in_their_order_whichever_comes_first() {
    let case = &golden()[0];
    let fitted = case.fit(&[1.0]);
    // The same rows, those of class 2 first, then those of 0.
    let mut order: Vec<usize> = (0..case.rows).collect();
    order.sort_by_key(|&row| [1, 2, 0][case.labels[row]]);
    let data = case.dataset();
    let labels: Vec<usize> = order.iter().map(|&row| case.labels[row]).collect();
    assert_eq!((labels[0], labels[case.rows - 1]), (2, 1));
    let data = dataset(data.records().select(Axis(0), &order), &labels);
    let folds = order.iter().map(|row| row * 7 % 4).collect();
    let other = LogisticParams::new(3, folds).alphas(Alphas::Listed(vec![1.0])).fit(&data).unwrap();
    let away = largest(&fitted.weight - &other.weight) / largest(fitted.weight.iter().copied());
    assert!(away < 1e-4, "{away}");
    for (position, &row) in order.iter().enumerate() {
        let (a, b) = (fitted.out_of_fold.row(row), other.out_of_fold.row(position));
        assert!(largest(a.iter().zip(b).map(|(a, b)| f64::from(a - b))) < 2e-2);
    }
}

#[test]
fn the_unit_of_the_features_does_not_matter() {
    let case = &golden()[0];
    let fitted = case.fit(&[1.0]);
    for unit in [1e4, 1e-4] {
        let raw = case.raw() * unit;
        let scaled = Scaler::fit(raw.view()).transform(raw.view());
        let other = case.params(&[1.0]).fit(&dataset(scaled, &case.labels)).unwrap();
        assert!((fitted.loss / other.loss - 1.0).abs() < 1e-6);
        assert!(largest(&fitted.weight - &other.weight) < 1e-4 * largest(fitted.weight.iter().copied()));
    }
}

/// linfa's own measure of a fit: the log-sum-exp of each row is shifted by the largest logit of all rows and kept above 1e-15.
fn loss_by_one_shift(
    data: &DatasetBase<Array2<f32>, Array1<usize>>,
    weight: &Array2<f64>,
    bias: &Array1<f64>,
    alpha: f64,
) -> f64 {
    let logits = logits(data.records(), weight, bias);
    let top = logits.fold(f64::NEG_INFINITY, |top, &z| top.max(z));
    let of_row = |(row, &label): (ArrayView1<'_, f64>, &usize)| {
        row.mapv(|z| (z - top).exp()).sum().max(1e-15).ln() + top - row[label]
    };
    let losses: f64 = logits.rows().into_iter().zip(data.targets()).map(of_row).sum();
    losses + alpha / 2.0 * weight.mapv(|w| w * w).sum()
}

/// What linfa-logistic finds in float64, as [K, F] and `[K]`.
fn linfa(rows: &Array2<f32>, labels: &[usize], alpha: f64) -> (Array2<f64>, Array1<f64>) {
    let model = MultiLogisticRegression::default().alpha(alpha).max_iterations(10_000).gradient_tolerance(1e-6);
    let data = DatasetBase::new(rows.mapv(f64::from), Array1::from(labels.to_vec()));
    let fitted = model.fit(&data).unwrap();
    (fitted.params().t().to_owned(), fitted.intercept().clone())
}

#[test]
fn linfa_agrees_on_easy_data() {
    for case in &golden()[..3] {
        let data = case.dataset();
        let (weight, bias) = linfa(data.records(), &case.labels, 10.0);
        let (ours, theirs) = (case.fit(&[10.0]).loss, loss(&data, &weight, &bias, 10.0));
        println!("{}: {ours} against {theirs}", case.name);
        assert!((theirs / ours - 1.0).abs() < 1e-6, "{}: {theirs} against {ours}", case.name);
    }
}

#[test]
fn one_row_of_huge_logits_leads_linfa_astray_and_not_us() {
    let case = &golden()[0];
    for (far, is_easy) in [(3.0, true), (400.0, false)] {
        let mut rows = case.dataset().records().clone();
        rows.row_mut(0).fill(far);
        let data = dataset(rows, &case.labels);
        let (weight, bias) = linfa(data.records(), &case.labels, 1.0);
        let (ours, theirs) = (case.params(&[1.0]).fit(&data).unwrap(), loss(&data, &weight, &bias, 1.0));
        println!("{far}: {} against {theirs}, gap {:.1e}", ours.loss, ours.gap);
        assert!(ours.gap < 1e-5, "it is the optimum: {}", ours.gap);
        assert_eq!((theirs / ours.loss - 1.0).abs() < 1e-5, is_easy, "{theirs} against {}", ours.loss);
        // It is the measure that leads astray, not the search: by it their answer is the better one.
        let by_one_shift = |weight, bias| loss_by_one_shift(&data, weight, bias, 1.0);
        let (of_ours, of_theirs) = (by_one_shift(&ours.weight, &ours.bias), by_one_shift(&weight, &bias));
        println!("by one shift: {of_ours} against {of_theirs}");
        assert_eq!((of_ours / ours.loss - 1.0).abs() < 1e-9, is_easy);
        assert!(of_theirs < of_ours * (1.0 + 1e-5));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let bits = |case: &Case, alphas: &[f64], threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let fitted = pool.install(|| case.fit(alphas));
        let wide = fitted.weight.iter().chain(&fitted.bias).chain([&fitted.loss, &fitted.gap]).map(|x| x.to_bits());
        let path = fitted.path.iter().map(|point| point.log_loss.to_bits());
        let narrow = fitted.out_of_fold.iter().map(|x| u64::from(x.to_bits()));
        wide.chain(path).chain(narrow).collect::<Vec<u64>>()
    };
    let large = |rows, features, classes| Case {
        name: String::new(),
        seed: 90,
        rows,
        features,
        classes,
        signal: 0.2,
        odd: false,
        balanced: false,
        labels: (0..rows).map(|row| row * row % classes).collect(),
        mean: Vec::new(),
        scale: Vec::new(),
        fits: Vec::new(),
        path: Vec::new(),
        out_of_fold: Vec::new(),
    };
    let mut cases = golden();
    // Sizes at which libraries begin to think of threads.
    cases.extend([large(1500, 700, 5), large(800, 1200, 7)]);
    for case in &cases {
        let one = bits(case, &[100.0, 1.0], 1);
        for threads in [2, 3] {
            assert!(one == bits(case, &[100.0, 1.0], threads), "{} with {threads} threads", case.name);
        }
    }
}

#[test]
fn what_cannot_be_fitted_is_told() {
    let params = |classes, folds: &[usize]| LogisticParams::new(classes, folds.to_vec());
    let check = |params: LogisticParams| params.check().unwrap_err();
    assert!(matches!(check(params(1, &[0, 1])), LogisticError::OneClass));
    for folds in [&[][..], &[0, 0], &[1, 1], &[0, 2], &[0, usize::MAX]] {
        assert!(matches!(check(params(2, folds)), LogisticError::Folds), "{folds:?}");
    }
    for alphas in [vec![], vec![0.0], vec![1.0, -1.0], vec![f64::NAN], vec![f64::INFINITY], vec![1e300], vec![1e-300]] {
        let params = params(2, &[0, 1]).alphas(Alphas::Listed(alphas));
        assert!(matches!(check(params), LogisticError::Alpha(_)));
    }

    let rows = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]];
    let fit = |rows: Array2<f32>, labels: &[usize], folds: &[usize], weights: Option<Vec<f32>>| {
        let mut data = dataset(rows, labels);
        if let Some(weights) = weights {
            data = data.with_weights(weights.into());
        }
        params(2, folds).alphas(Alphas::Listed(vec![1.0])).fit(&data).unwrap_err().to_string()
    };
    let (labels, folds) = (&[0, 1, 0, 1], &[0, 0, 1, 1]);
    assert_eq!(fit(rows.clone(), &[0, 1, 0], folds, None), "labels of 3, where 4 should be");
    assert_eq!(fit(rows.clone(), labels, &[0, 1], None), "folds of 2, where 4 should be");
    assert_eq!(fit(rows.clone(), labels, folds, Some(vec![1.0; 3])), "weights of 3, where 4 should be");
    assert!(fit(rows.clone(), &[0, 1, 2, 1], folds, None).contains("label"));
    let mut bad = rows;
    bad[[2, 1]] = f32::NAN;
    assert_eq!(fit(bad.clone(), labels, folds, None), "row 2 holds a number that is not finite");
    bad[[2, 1]] = 1e30;
    assert_eq!(fit(bad.clone(), labels, folds, None), "row 2 holds a number beyond 1e15: standardise the rows");
    bad[[2, 1]] = 1.0;
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let said = fit(bad.clone(), labels, folds, Some(vec![1.0, weight, 1.0, 1.0]));
        assert!(said.starts_with("row 1 counts"), "{said}");
    }
}

#[test]
fn extreme_penalties_and_rows_come_to_an_end() {
    let case = &golden()[4];
    for alpha in [1e-30, 1e-9, 1e9, 1e30] {
        let fitted = case.fit(&[alpha]);
        println!("alpha {alpha:e}: loss {:e}, gap {:.1e}", fitted.loss, fitted.gap);
        assert!(fitted.loss.is_finite() && fitted.loss <= case.rows as f64);
        assert!(fitted.weight.iter().chain(&fitted.bias).all(|number| number.is_finite()));
    }
    for unit in [1e-30, 1e-9, 1e4, 1e9, 1e14] {
        let rows = case.dataset().records() * unit;
        let fitted = case.params(&[1.0]).fit(&dataset(rows, &case.labels)).unwrap();
        println!("unit {unit:e}: loss {:e}, gap {:.1e}", fitted.loss, fitted.gap);
        assert!(fitted.loss.is_finite() && fitted.weight.iter().all(|number| number.is_finite()));
    }
}
