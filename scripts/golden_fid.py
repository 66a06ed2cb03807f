"""Writes tests/golden/fid.json and tests/golden/*.npz: what pytorch-fid, torch-fidelity and clean-fid say of small sets.

    python scripts/golden_fid.py WORK   # needs what compare_fid.py needs; what is computed once goes to the folder WORK

- `rows`: pairs of small matrices, some with fewer rows than columns; the statistics by NumPy, FID by pytorch-fid and torch-fidelity,
  KID by torch-fidelity
- `choices`: draws of np.random.RandomState, one after the other from one seed
- `pictures`: the PNGs of tests/golden/preprocess/sources against those of tests/golden, by each package with the full float32 weights
- `guitars`: the same of data/guitars/les_paul against data/guitars/sg, which are JPEGs
- mu_sigma*.npz: the statistics of the first matrix of the first pair, by numpy.savez_compressed (as pytorch-fid writes them), by
  numpy.savez, and in float32 with the axes of sigma in Fortran's order
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

import compare_fid

GOLDEN = compare_fid.ROOT / "tests" / "golden"


def matrix(rng, rows, columns, shift):
    """Rectified and correlated, as features are; of sixty-fourths, so that few digits tell all."""
    mixed = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) / np.sqrt(columns)
    return (np.round(np.maximum(mixed + shift, 0) * 64) / 64).astype(np.float32)


def statistics(x):
    x = x.astype(np.float64)
    return x.mean(0), np.cov(x, rowvar=False)


def pair(name, rows_a, rows_b, columns, subsets, size, seed):
    rng = np.random.default_rng(seed)
    a, b = matrix(rng, rows_a, columns, 0.5), matrix(rng, rows_b, columns, 0.8)
    (mu_a, sigma_a), (mu_b, sigma_b) = statistics(a), statistics(b)
    fidelity = fid_statistics_to_metric({"mu": mu_a, "sigma": sigma_a}, {"mu": mu_b, "sigma": sigma_b}, False)
    # In float64, so that its rounding is not what is compared.
    features = [torch.from_numpy(x.astype(np.float64)) for x in (a, b)]
    kid = kid_features_to_metric(*features, kid_subsets=subsets, kid_subset_size=size, rng_seed=seed, verbose=False)
    return {
        "name": name,
        "a": a.tolist(),
        "b": b.tolist(),
        "mean": mu_a.tolist(),
        "covariance": sigma_a.tolist(),
        "pytorch_fid": float(calculate_frechet_distance(mu_a, sigma_a, mu_b, sigma_b)),
        "torch_fidelity": fidelity["frechet_inception_distance"],
        "subsets": subsets,
        "subset_size": size,
        "seed": seed,
        "kid": kid["kernel_inception_distance_mean"],
        "kid_deviation": kid["kernel_inception_distance_std"],
    }


def choices(seed, draws):
    random = np.random.RandomState(seed)
    drawn = [random.choice(population, size, replace=False).tolist() for population, size in draws]
    return {"seed": seed, "draws": [{"population": n, "chosen": c} for (n, _), c in zip(draws, drawn)]}


def by_each(a, b, work, subsets, size):
    compare_fid.SUBSETS |= {"kid_subsets": subsets, "kid_subset_size": size}
    return {name: peer(a, b, work) for name, peer in compare_fid.PEERS.items()} | {"subsets": subsets, "subset_size": size}


def pictures(work):
    folder = work / "golden"
    folder.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.png"):
        shutil.copy(path, folder)
    return by_each(GOLDEN / "preprocess" / "sources", folder, work, 20, 3)


def guitars(work):
    a, b = (compare_fid.flat(compare_fid.ROOT / "data" / "guitars" / name, work) for name in ("les_paul", "sg"))
    return by_each(a, b, work, 20, 30)


def main():
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    rows = [
        pair("more rows than columns", 60, 47, 12, 20, 40, 1),
        pair("fewer rows than columns", 9, 7, 12, 5, 7, 2),
        pair("fewer rows on one side", 50, 6, 12, 8, 5, 3),
        pair("two columns", 20, 30, 2, 10, 12, 4),
    ]
    all_choices = [choices(2020, [(5, 5), (1000, 7), (1, 1)]), choices(0, [(17, 3), (256, 10)]), choices(2**32 - 1, [(100, 9)])]
    golden = {"rows": rows, "choices": all_choices, "pictures": pictures(work), "guitars": guitars(work)}
    (GOLDEN / "fid.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")

    mu, sigma = statistics(np.array(rows[0]["a"], np.float32))
    np.savez_compressed(GOLDEN / "mu_sigma.npz", mu=mu, sigma=sigma)
    np.savez(GOLDEN / "mu_sigma_stored.npz", mu=mu, sigma=sigma, another=np.arange(3))
    np.savez(GOLDEN / "mu_sigma_float32.npz", mu=mu.astype("<f4"), sigma=np.asfortranarray(sigma.astype("<f4")))


if __name__ == "__main__":
    main()
