#!/usr/bin/env python3
"""Draw the README's picture: some of the demo's guitars, and all of them as their embeddings see them.

    cargo run --release -- extract --images data/guitars --out guitars.safetensors
    pip install numpy==2.4.6 pillow==13.0.0 safetensors matplotlib
    python scripts/readme_picture.py guitars.safetensors data/readme/guitars.jpg

The scatter shows the two directions of Fisher's linear discriminants, computed on the twenty first principal components
(with 120 rows of 2048 numbers, discriminants of the raw rows would separate noise). Each image is placed by directions that were
computed without it (leave one out, aligned by the class means), so the picture does not flatter.
"""

import json
import sys

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from safetensors import safe_open

NAMES = {"les_paul": "Les Paul", "sg": "SG", "stratocaster": "Stratocaster"}
COLOURS = {"les_paul": "#c8871e", "sg": "#a3262b", "stratocaster": "#2b6ca3"}
SHOWN = {"stratocaster": (0, 2, 5), "les_paul": (1, 2, 3), "sg": (1, 2, 3)}


def discriminants(x, y, classes):
    """The principal components and Fisher's two directions in them."""
    mean = x.mean(0)
    _, _, components = np.linalg.svd(x - mean, full_matrices=False)
    components = components[:20]
    z = (x - mean) @ components.T
    within = sum(np.cov(z[y == k].T, bias=True) * (y == k).sum() for k in range(classes))
    means = np.stack([z[y == k].mean(0) for k in range(classes)])
    between = (means - means.mean(0)).T @ (means - means.mean(0))
    values, vectors = np.linalg.eig(np.linalg.solve(within, between))
    order = np.argsort(-values.real)[:2]
    directions = vectors[:, order].real
    directions /= np.sqrt(np.sum(directions * (within @ directions), axis=0))
    return mean, components, directions


def place(x, y, classes):
    """Each row's place by directions computed without it."""
    def project(rows, model):
        mean, components, directions = model
        return (rows - mean) @ components.T @ directions

    whole = discriminants(x, y, classes)
    target = np.stack([project(x[y == k], whole).mean(0) for k in range(classes)])
    places = []
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        model = discriminants(x[rest], y[rest], classes)
        means = np.stack([project(x[rest & (y == k)], model).mean(0) for k in range(classes)])
        a, b = means - means.mean(0), target - target.mean(0)
        u, _, v = np.linalg.svd(a.T @ b)
        places.append((project(x[i : i + 1], model)[0] - means.mean(0)) @ (u @ v) + target.mean(0))
    return np.array(places)


def main(embeddings, out):
    with safe_open(embeddings, "np") as file:
        x, y = file.get_tensor("embeddings").astype(np.float64), file.get_tensor("labels")
        classes = json.loads(file.metadata()["classes"])
    places = place(x, y, len(classes))

    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 11})
    figure = plt.figure(figsize=(11, 5), dpi=110)
    grid = figure.add_gridspec(3, 4, width_ratios=[1, 1, 1, 4.6], left=0.075, right=0.99, top=0.98, bottom=0.02, wspace=0.05, hspace=0.06)
    for row, (name, shown) in enumerate(SHOWN.items()):
        for column, index in enumerate(shown):
            axis = figure.add_subplot(grid[row, column])
            picture = Image.open(f"data/guitars/{name}/{index:03}.jpg")
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side)
            axis.imshow(picture.crop((left, top, left + side, top + side)))
            axis.set_xticks([]), axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
            if column == 0:
                axis.set_ylabel(NAMES[name], color=COLOURS[name], fontweight="bold", labelpad=8)
    axis = figure.add_subplot(grid[:, 3])
    for label, name in enumerate(classes):
        axis.scatter(*places[y == label].T, s=42, color=COLOURS[name], alpha=0.85, edgecolor="white", linewidth=0.7)
        x0, y0 = places[y == label].mean(0)
        axis.annotate(NAMES[name], (x0, y0), ha="center", va="center", fontsize=14, fontweight="bold", color=COLOURS[name],
                      bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.8})
    axis.set_xticks([]), axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color("#cccccc")
    figure.savefig(out, pil_kwargs={"quality": 90, "optimize": True})


if __name__ == "__main__":
    main(*sys.argv[1:])
