use headstock::head::{Scaler, logistic::*};
use linfa::traits::Fit;
use ndarray::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut f = headstock::embeddings::EmbeddingsFile::open(std::path::Path::new(&a[1])).unwrap();
    let (n, d) = (f.len(), f.columns);
    let mut v = Vec::with_capacity(n * d);
    f.for_each_row(|r| v.extend_from_slice(r)).unwrap();
    let x = Array2::from_shape_vec((n, d), v).unwrap();
    let y: Array1<usize> = f.labels.unwrap().iter().map(|&l| l as usize).collect();
    let k = f.classes.len();
    let t = std::time::Instant::now();
    let x = Scaler::fit(x.view()).transform(x.view());
    println!("scale {:.2}s", t.elapsed().as_secs_f64());
    let folds: Vec<usize> = (0..n).map(|i| i % 5).collect();
    let alphas = if a.len() > 2 {
        if a[2] == "grid" {
            Alphas::Listed((0..10).map(|i| 10f64.powf(4. - 8. / 9. * i as f64)).collect())
        } else {
            Alphas::Listed(a[2].split(',').map(|s| s.parse().unwrap()).collect())
        }
    } else {
        Alphas::HalfDecades
    };
    let ds = linfa::DatasetBase::from((x, y));
    let t = std::time::Instant::now();
    let fit = LogisticParams::new(k, folds).alphas(alphas).fit(&ds).unwrap();
    let s = t.elapsed().as_secs_f64();
    for p in &fit.path {
        println!("alpha {:9.3e} log loss {:.5} passes {}", p.alpha, p.log_loss, p.passes);
    }
    println!(
        "chosen {} loss {:.8} gap {:.2e} conv {} time {s:.2}s |w|={}",
        fit.alpha,
        fit.loss,
        fit.gap,
        fit.has_converged(),
        fit.weight.mapv(|x| x * x).sum().sqrt()
    );
}
