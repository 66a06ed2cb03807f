"""headstock fit-head beside scikit-learn: the optimum, the predictions, every metric, and time.

    pip install numpy safetensors scikit-learn
    cargo build --release
    python scripts/compare_sklearn.py --rows 300,3000,20000 --classes 3,100 --threads 2 --runs 3

Rows are drawn: class means and within-class noise in 256 directions of falling variance, mixed into 2048 features, cut off
at zero as pooled ReLU features are, with a little noise. headstock is timed as a whole process (start, reading, scaler,
search, refit, calibration, metrics, writing), scikit-learn by LogisticRegressionCV.fit alone on standardised rows in memory.
Both search the grid that is scikit-learn's default, with as many folds. scikit-learn is tried as float32 and float64, with
its threads in BLAS and with its folds side by side, ten iterations a penalty; the way that is fastest then counts. The two
run in turn; medians of the ratios count.

The optimum is the lowest that scikit-learn finds at the penalty that headstock chose: from zero, and from headstock's own
weights, from where it could only go down.

On machines where a variable of the environment holds OpenBLAS to old kernels, run it without that.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
parser = argparse.ArgumentParser()
parser.add_argument("--rows", default="300,3000")
parser.add_argument("--classes", default="3,100")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--budget", type=float, default=400, help="seconds the timed runs of a case may take; fewer are made where it would be more")
parser.add_argument("--iterations", type=int, default=20000, help="scikit-learn's, at most, on its way to the optimum")
parser.add_argument("--way", help="scikit-learn's, as float64,1 (number type, folds side by side), instead of trying which is fastest")
parser.add_argument("--headstock", default=str(Path(__file__).parent.parent / "target/release/headstock"))
args = parser.parse_args()
# Before numpy is loaded. Worker processes of scikit-learn are held to one thread each by itself.
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = str(args.threads)

import numpy as np  # noqa: E402
import sklearn  # noqa: E402
from safetensors.numpy import load_file, save_file  # noqa: E402
from sklearn import metrics as m  # noqa: E402
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

FEATURES = 2048
ALPHAS = np.logspace(4, -4, 10)


def draw(rows, classes, seed=0):
    rng = np.random.default_rng(seed)
    directions = 256
    mix = rng.normal(size=(directions, FEATURES)) * (np.arange(1, directions + 1) ** -0.5)[:, None]
    means = rng.normal(size=(classes, directions)) * (0.12 if classes < 10 else 0.3)

    def some(count):
        labels = rng.permutation(np.arange(count) % classes)
        hidden = means[labels] + rng.normal(size=(count, directions))
        features = np.maximum(hidden @ mix * 0.5 + 0.3 * rng.normal(size=(count, FEATURES)) + 0.1, 0) / 2
        return features.astype(np.float32), labels

    return some(rows), some(max(1000, 2 * classes))


def save(path, features, labels, classes):
    names = [f"class {k:03}" for k in range(classes)]
    metadata = {
        "format": "headstock.embeddings/1",
        "classes": json.dumps(names),
        "paths": json.dumps([f"{names[k]}/{i:06}.jpg" for i, k in enumerate(labels)]),
        "weights": "drawn",
        "variant": "tf2015",
        "preprocess": "{}",
        "version": "0",
    }
    save_file({"embeddings": features, "labels": labels.astype(np.int64)}, path, metadata)


def headstock(*arguments):
    started = time.perf_counter()
    done = subprocess.run([args.headstock, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return time.perf_counter() - started


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def objective(weight, bias, x, y, alpha):
    logits = x @ weight.T + bias
    top = logits.max(1)
    loss = (np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[np.arange(len(y)), y]).sum()
    return loss + alpha / 2 * (weight**2).sum()


def every_metric(y, p, classes):
    """What fit-head's --metrics says, by scikit-learn."""
    every, predicted = np.arange(classes), p.argmax(1)
    precision, recall, f1, support = m.precision_recall_fscore_support(y, predicted, labels=every, zero_division=0)
    one_hot = [(y == k, p[:, k]) for k in every]
    area = [m.roc_auc_score(t, s) if 0 < t.sum() < len(t) else None for t, s in one_hot]
    average = [m.average_precision_score(t, s) if t.any() else None for t, s in one_hot]
    numbers = {
        "accuracy": m.accuracy_score(y, predicted),
        "balanced_accuracy": m.balanced_accuracy_score(y, predicted),
        "macro_f1": f1.mean(),
        "log_loss": m.log_loss(y, p, labels=every),
        "roc_auc": np.mean(area),
        "average_precision": np.mean(average),
    }
    by_class = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    by_class |= {"roc_auc": area, "average_precision": average}
    return numbers, by_class, m.confusion_matrix(y, predicted, labels=every)


def compare(rows, classes, folder):
    (x, y), (x_test, y_test) = draw(rows, classes)
    train, test = folder / "train.safetensors", folder / "test.safetensors"
    head, told = folder / "head.safetensors", folder / "metrics.json"
    save(train, x, y, classes)
    save(test, x_test, y_test, classes)
    folds = min(5, int(np.bincount(y).min()))
    fit = ["fit-head", train, "--out", head, "--threads", args.threads, "--folds", folds, "--quiet"]
    grid = ["--validation", 0, "--alpha", ",".join(map(repr, map(float, ALPHAS)))]

    # Time.
    scaler = StandardScaler().fit(x)
    z = scaler.transform(x)
    fold_of = np.empty(rows, int)
    for k in range(classes):
        own = np.flatnonzero(y == k)
        fold_of[own] = np.arange(len(own)) % folds
    splits = [(np.flatnonzero(fold_of != f), np.flatnonzero(fold_of == f)) for f in range(folds)]

    def theirs(dtype, jobs, iterations=100):
        numbers = z.astype(dtype)
        search = LogisticRegressionCV(
            Cs=1 / ALPHAS, cv=splits, scoring="neg_log_loss", n_jobs=jobs, use_legacy_attributes=False,
            max_iter=iterations,
        )
        started = time.perf_counter()
        search.fit(numbers, y)
        return time.perf_counter() - started, search

    ways = [(dtype, jobs) for dtype in ("float32", "float64") for jobs in (1, args.threads)]
    if args.way:
        way = (args.way.split(",")[0], int(args.way.split(",")[1]))
    else:
        way = min(ways, key=lambda way: theirs(*way, iterations=10)[0])
    pairs, began = [], time.perf_counter()
    while len(pairs) < args.runs and (not pairs or time.perf_counter() - began < args.budget):
        ours = headstock(*fit, *grid)
        other, search = theirs(*way)
        pairs.append((ours, other))
        print(f"{rows} x {classes}: {ours:.2f} s beside {other:.2f} s, {way}", file=sys.stderr, flush=True)
    ratio = statistics.median(ours / other for ours, other in pairs)
    their_alpha = float(1 / np.ravel(search.C_)[0])

    # What both say of rows that neither has seen.
    headstock(*fit, *grid, "--test", test, "--metrics", told)
    numbers = json.loads(told.read_text())
    alpha = numbers["fit"]["alpha"]
    headstock("score", "--head", head, "--embeddings", test, "--out", folder / "scores.csv", "--quiet")
    table = np.genfromtxt(folder / "scores.csv", delimiter=",", skip_header=1, usecols=range(3, 3 + classes))
    by_them, by_class, confusion = every_metric(y_test, table / table.sum(1, keepdims=True), classes)
    error = max(abs(numbers[name] - value) for name, value in by_them.items())
    for name, values in by_class.items():
        ours = [row[name] for row in numbers["classes"]]
        error = max([error, *(abs(a - b) for a, b in zip(ours, values, strict=True) if b is not None)])
    assert (np.array(numbers["confusion"]) == confusion).all()

    tensors = load_file(head)
    temperature = numbers["temperature"]
    weight = tensors["weight"].astype(np.float64) * temperature
    bias = tensors["bias"].astype(np.float64) * temperature + weight @ scaler.mean_
    weight = weight * scaler.scale_

    # The optimum at the penalty that headstock chose.
    z = z.astype(np.float64)
    best, optimum = None, np.inf
    for start in (None, (weight, bias)):
        driven = LogisticRegression(C=1 / alpha, tol=1e-9, max_iter=args.iterations, warm_start=True)
        if start is not None:
            driven.coef_, driven.intercept_ = start
        driven.fit(z, y)
        found = objective(driven.coef_, driven.intercept_, z, y, alpha)
        print(f"{rows} x {classes}: scikit-learn ends at {found!r} after {driven.n_iter_[0]} iterations", file=sys.stderr)
        best, optimum = min((best, optimum), (driven, found), key=lambda pair: pair[1])
    ours = objective(weight, bias, z, y, alpha)
    same = np.mean(table.argmax(1) == best.predict(scaler.transform(x_test).astype(np.float64)))
    z_test = scaler.transform(x_test).astype(np.float64)
    theirs_at_theirs = m.log_loss(y_test, softmax(z_test @ search.coef_.T + search.intercept_), labels=np.arange(classes))
    untempered = softmax(z_test @ weight.T + bias)
    ours_at_ours = m.log_loss(y_test, untempered, labels=np.arange(classes))
    print(
        f"| {rows} | {classes} | {folds} | **{ratio:.2f}** | {len(pairs)} | {way[0]}, "
        f"{'folds side by side' if way[1] > 1 else 'BLAS threads'} | {alpha:.3g} / {their_alpha:.3g} "
        f"| {ours / optimum - 1:+.1e} | {100 * same:.1f} % | {error:.0e} | {ours_at_ours:.4f} / {theirs_at_theirs:.4f} |",
        flush=True,
    )


print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, {args.threads} threads\n")
print("| rows | classes | folds | time, headstock / scikit-learn | runs | scikit-learn's best way | alpha chosen, ours / theirs "
      "| loss above optimum | same predictions | metrics differ by | test log loss, ours / theirs |")
print("|---|---|---|---|---|---|---|---|---|---|---|")
for rows in map(int, args.rows.split(",")):
    for classes in map(int, args.classes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            compare(rows, classes, Path(folder))
