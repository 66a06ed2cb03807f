"""Writes tests/golden/dense.json: a small dense head trained by Keras, step by step, and what Keras says of it.

pip install keras torch; KERAS_BACKEND=torch python scripts/golden_dense.py
"""

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

FEATURES, HIDDEN, CLASSES, ROWS, BATCH, EPOCHS = 6, 8, 3, 22, 8, 4
LEARNING_RATE = 1e-2
CLASS_WEIGHT = {0: 0.5, 1: 1.0, 2: 2.5}

rng = np.random.default_rng(5)


def model():
    layers = [
        keras.Input((FEATURES,)),
        keras.layers.Dense(HIDDEN, activation="relu"),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.RMSprop(learning_rate=LEARNING_RATE)
    model.compile(optimizer, "categorical_crossentropy", weighted_metrics=[], metrics=["accuracy"])
    return model


def samples(rows):
    labels = rng.integers(0, CLASSES, rows)
    return rng.normal(size=(rows, FEATURES)).astype("f4"), labels, keras.utils.to_categorical(labels, CLASSES)


def kept(weights):
    # Keras keeps kernels as [inputs, outputs].
    kernel1, bias1, kernel2, bias2 = weights
    named = {"weight1": kernel1.T, "bias1": bias1, "weight2": kernel2.T, "bias2": bias2}
    return {name: numbers.tolist() for name, numbers in named.items()}


x, labels, y = samples(ROWS)
stepped, start = model(), None
# Biases that are not zero, so that a mistake in them shows.
start = [rng.uniform(-0.7, 0.7, numbers.shape).astype("f4") for numbers in stepped.get_weights()]
stepped.set_weights(start)
losses = []
for _ in range(EPOCHS):
    for first in range(0, ROWS, BATCH):
        part = slice(first, first + BATCH)
        stepped.reset_metrics()
        loss, _ = stepped.train_on_batch(x[part], y[part], class_weight=CLASS_WEIGHT)
        losses.append(float(loss))

# The same by Keras' own loop, for the loss that it gives for an epoch.
looped = model()
looped.set_weights(start)
history = looped.fit(x, y, BATCH, EPOCHS, shuffle=False, class_weight=CLASS_WEIGHT, verbose=0).history
assert all(np.array_equal(a, b) for a, b in zip(stepped.get_weights(), looped.get_weights()))

watch_x, watch_labels, watch_y = samples(13)
watch_weights = rng.uniform(0.2, 2, 13).astype("f4")
loss, accuracy = stepped.evaluate(watch_x, watch_y, sample_weight=watch_weights, batch_size=13, verbose=0)

golden = {
    "keras": keras.__version__,
    "learning_rate": LEARNING_RATE,
    "batch_size": BATCH,
    "epochs": EPOCHS,
    "rows": x.tolist(),
    "labels": labels.tolist(),
    "weights": [CLASS_WEIGHT[label] for label in labels.tolist()],
    "start": kept(start),
    "losses": losses,
    "epoch_losses": history["loss"],
    "end": kept(stepped.get_weights()),
    "watch": {
        "rows": watch_x.tolist(),
        "labels": watch_labels.tolist(),
        "weights": watch_weights.tolist(),
        "loss": loss,
        "accuracy": accuracy,
    },
}
path = Path(__file__).parent.parent / "tests/golden/dense.json"
path.write_text(json.dumps(golden) + "\n")
