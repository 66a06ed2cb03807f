"""Writes tests/golden/logistic.json: logistic regressions, temperatures and principal axes, and what scikit-learn, SciPy
and NumPy say of them. The rows themselves are made by a rule that tests/logistic.rs follows too.

pip install numpy scipy scikit-learn; python scripts/golden_logistic.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

ALPHAS = [1e3, 1.0, 1e-3]
FOLDS = 4
FOLD_ALPHAS = [1000.0, 100.0, 10.0, 1.0]


def numbers(rows, columns, seed):
    """Numbers without a pattern, in (-1, 1), float32: xorshift64."""
    mask = (1 << 64) - 1
    state, out = (seed * 0x9E3779B97F4A7C15) & mask | 1, []
    for _ in range(rows * columns):
        state ^= (state << 13) & mask
        state ^= state >> 7
        state ^= (state << 17) & mask
        out.append((state >> 40) / (1 << 23) - 1.0)
    return np.array(out, np.float32).reshape(rows, columns)


def data(seed, rows, features, classes, signal, odd):
    """Rows [N, F] float32 and labels [N]: noise, and a centre a class."""
    u = numbers(rows, 1, seed)[:, 0].astype(np.float64)
    # The later a class, the rarer, where the case is odd.
    labels = np.minimum(((u + 1) / 2) ** (2 if odd else 1) * classes, classes - 1).astype(int)
    labels[:classes] = np.arange(classes)
    x = numbers(rows, features, seed + 1) + np.float32(signal) * numbers(classes, features, seed + 2)[labels]
    if odd:
        x[:, 0] = np.float32(0.1)  # a constant feature,
        x[:, 1] = x[:, 2]  # one that stands there twice,
        x[:, 3] = x[:, 4] + np.float32(1 / 64) * x[:, 5]  # one that all but does,
        x[rows // 2 :] = x[: rows - rows // 2]  # and rows that do, with labels of their own.
    assert x.dtype == np.float32
    return x, labels


def loss(x, y, weights, coef, intercept, alpha):
    p = log_softmax(x @ coef.T + intercept, axis=1)
    return -(weights * p[np.arange(len(y)), y]).sum() + alpha / 2 * (coef**2).sum()


def gradient(x, y, weights, coef, intercept, alpha):
    r = softmax(x @ coef.T + intercept, axis=1)
    r[np.arange(len(y)), y] -= 1
    r *= weights[:, None]
    return max(np.abs(r.T @ x + alpha * coef).max(), np.abs(r.sum(0)).max())


def fit(x, y, classes, weights, alpha):
    """scikit-learn's optimum, as a softmax of `classes` vectors."""
    best = None
    for solver in ["lbfgs", "newton-cg", "newton-cholesky"]:
        # With two classes scikit-learn has one vector where the softmax has two, each other's negative.
        c = (2 if classes == 2 else 1) / alpha
        model = LogisticRegression(C=c, solver=solver, tol=1e-10, max_iter=100_000)
        model.fit(x, y, sample_weight=weights)
        coef, intercept = model.coef_, model.intercept_
        if classes == 2:
            coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
        here = loss(x, y, weights, coef, intercept, alpha)
        if best is None or here < best[0]:
            best = here, coef, intercept - intercept.mean(), solver
    assert gradient(x, y, weights, *best[1:3], alpha) < 1e-5 * best[0], gradient(x, y, weights, *best[1:3], alpha)
    return best[:3]


def rounded(array):
    return [float(f"{number:.9g}") for number in np.ravel(array)]


def case(name, seed, rows, features, classes, signal, odd=False, balanced=False):
    raw, y = data(seed, rows, features, classes, signal, odd)
    scaler = StandardScaler().fit(raw.astype(np.float64))
    x = scaler.transform(raw.astype(np.float64)).astype(np.float32).astype(np.float64)
    weights = compute_sample_weight("balanced", y) if balanced else np.ones(rows)
    out = dict(name=name, seed=seed, rows=rows, features=features, classes=classes, signal=signal, odd=odd)
    out |= dict(balanced=balanced, labels=y.tolist(), mean=scaler.mean_.tolist(), scale=scaler.scale_.tolist(), fits=[])
    for alpha in ALPHAS:
        best, coef, intercept = fit(x, y, classes, weights, alpha)
        out["fits"].append(dict(alpha=alpha, loss=best, weight=rounded(coef), bias=rounded(intercept)))
        print(name, alpha, best)
    # Folds of rows in turn, each judged by a fit on the others.
    fold, out["path"] = np.arange(rows) * 7 % FOLDS, []
    for alpha in FOLD_ALPHAS:
        logits = np.empty((rows, classes))
        for k in range(FOLDS):
            _, coef, intercept = fit(x[fold != k], y[fold != k], classes, weights[fold != k], alpha)
            logits[fold == k] = x[fold == k] @ coef.T + intercept
        own = log_softmax(logits, axis=1)[np.arange(rows), y]
        out["path"].append(dict(alpha=alpha, log_loss=-(weights * own).sum() / weights.sum()))
    # Those of the last one; as probabilities' logarithms, which do not know what is added to all logits.
    out["out_of_fold"] = [float(f"{number:.7g}") for number in log_softmax(logits, axis=1).ravel()][: 60 * classes]
    print(name, [point["log_loss"] for point in out["path"]])
    return out


def temperature(seed, rows, classes, scale):
    """The temperature of logits that are too sure of themselves, or not sure enough."""
    labels = np.minimum((numbers(rows, 1, seed)[:, 0].astype(np.float64) + 1) / 2 * classes, classes - 1).astype(int)
    logits = np.float32(scale) * (numbers(rows, classes, seed + 1) + np.eye(classes, dtype=np.float32)[labels])
    own = lambda t: -log_softmax(logits.astype(np.float64) / t, axis=1)[np.arange(rows), labels].mean()
    found = minimize_scalar(own, bounds=(0.05, 20), method="bounded", options=dict(xatol=1e-10)).x
    print("temperature", found)
    return dict(seed=seed, rows=rows, classes=classes, scale=scale, temperature=found)


def axes(seed, rows, features):
    """Numbers whose features fall off in strength, their singular values and the coordinates on the first two axes."""
    x = numbers(rows, features, seed) * np.float32(2) ** -np.arange(features, dtype=np.float32)
    centred = x.astype(np.float64) - x.astype(np.float64).mean(0)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    vt *= np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(1)])[:, None]
    return dict(seed=seed, rows=rows, features=features, strengths=s.tolist()[:4], coordinates=rounded(centred @ vt[:2].T))


def main():
    cases = [
        case("three classes", 1, 240, 12, 3, 0.5),
        case("two classes", 10, 160, 10, 2, 0.4),
        case("ten classes", 20, 400, 20, 10, 0.7),
        case("fewer rows than features", 30, 60, 90, 3, 0.3),
        case("two classes, fewer rows than features", 40, 40, 64, 2, 0.2),
        case("balanced", 50, 240, 12, 4, 0.5, odd=True, balanced=True),
        case("rows and features twice", 60, 200, 16, 3, 0.5, odd=True),
        case("ten classes twice, fewer rows than features", 80, 150, 200, 10, 0.4, odd=True),
        case("rows and features twice, fewer rows than features", 70, 48, 80, 3, 0.3, odd=True, balanced=True),
    ]
    golden = dict(
        versions=dict(numpy=np.__version__, scipy=scipy.__version__, sklearn=sklearn.__version__),
        cases=cases,
        temperatures=[temperature(3, 300, 4, 9.0), temperature(5, 200, 2, 0.7), temperature(7, 500, 12, 2.5)],
        axes=[axes(9, 200, 12), axes(11, 30, 70)],
    )
    path = Path(__file__).parent.parent / "tests/golden/logistic.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
