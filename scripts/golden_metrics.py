"""Writes tests/golden/metrics.json: cases for the metrics, and what scikit-learn says of them.

pip install numpy scikit-learn; python scripts/golden_metrics.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m

warnings.simplefilter("ignore")


def roc(y, scores):
    """Points (threshold, false positive rate, true positive rate); the first threshold, infinite, as None."""
    fpr, tpr, thresholds = m.roc_curve(y, scores, drop_intermediate=False)
    return [[None, *map(float, (fpr[0], tpr[0]))], *np.stack([thresholds, fpr, tpr], 1)[1:].tolist()]


def precision_recall(y, scores):
    """Points (threshold, precision, recall) from the highest threshold down; the first one, infinite, as None."""
    precision, recall, thresholds = m.precision_recall_curve(y, scores)
    points = np.stack([thresholds, precision[:-1], recall[:-1]], 1)[::-1].tolist()
    return [[None, *map(float, (precision[-1], recall[-1]))], *points]


def case(name, rows, classes, occurring, decimals, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, occurring, rows)
    logits = rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels]
    p = np.exp(logits)
    # Sixteenths and the like: many ties, and rows that still sum to 1 in float64.
    p = np.floor(p / p.sum(1, keepdims=True) * 2**decimals) / 2**decimals
    p[:, -1] += 1 - p.sum(1)
    predicted = p.argmax(1)
    every = np.arange(classes)
    precision, recall, f1, support = m.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    rest = [(labels == k, p[:, k]) for k in every]
    own = p[np.arange(rows), labels]
    return {
        "name": name,
        "classes": classes,
        "labels": labels.tolist(),
        "probabilities": p.tolist(),
        "accuracy": m.accuracy_score(labels, predicted),
        "balanced_accuracy": m.balanced_accuracy_score(labels, predicted),
        "macro_f1": m.f1_score(labels, predicted, labels=every, average="macro", zero_division=0),
        "log_loss": m.log_loss(labels, p, labels=every) if classes > 2 else m.log_loss(labels, p[:, 1], labels=every),
        "smallest_own_probability": own.min(),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "roc_auc": [m.roc_auc_score(y, s) if 0 < y.sum() < rows else None for y, s in rest],
        "average_precision": [m.average_precision_score(y, s) if y.any() else None for y, s in rest],
        "roc_curve": [roc(y, s) if 0 < y.sum() < rows else None for y, s in rest],
        "precision_recall_curve": [precision_recall(y, s) if y.any() else None for y, s in rest],
        "confusion": m.confusion_matrix(labels, predicted, labels=every).tolist(),
    }


cases = [
    case("three classes", 60, 3, 3, 20, 1),
    case("many ties", 80, 3, 3, 3, 2),
    case("two classes", 50, 2, 2, 20, 3),
    case("a class that does not occur", 40, 5, 4, 12, 4),
]
golden = {"scikit-learn": sklearn.__version__, "cases": cases}
path = Path(__file__).parent.parent / "tests/golden/metrics.json"
path.write_text(json.dumps(golden) + "\n")
