"""Writes tests/golden/training.json: PyTorch's optimisers, losses, heads and colours, for the parts of fine-tuning to be held to.

pip install torchvision; python scripts/golden_training.py
"""

import json
from pathlib import Path

import torch
import torchvision.transforms.functional as F

torch.manual_seed(5)
torch.use_deterministic_algorithms(True)


def numbers(tensor):
    return tensor.detach().to(torch.float64).flatten().tolist()


def optimiser(make, steps=6, count=12):
    """A vector moved by given gradients, in float64; the values after each step."""
    start = torch.randn(count, dtype=torch.float64).float().double()
    gradients = torch.randn(steps, count, dtype=torch.float64).float().double()
    value = torch.nn.Parameter(start.clone())
    optimizer = make([value])
    values = []
    for gradient in gradients:
        value.grad = gradient.clone()
        optimizer.step()
        values.append(numbers(value))
    return {"start": numbers(start), "gradients": [numbers(g) for g in gradients], "values": values}


def cross_entropy(rows, classes, smoothing, weighted):
    logits = (3 * torch.randn(rows, classes, dtype=torch.float64)).float().double().requires_grad_()
    labels = torch.randint(0, classes, (rows,))
    weights = (torch.rand(classes, dtype=torch.float64) + 0.25) if weighted else torch.ones(classes, dtype=torch.float64)
    loss = torch.nn.functional.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
    loss.backward()
    return {
        "logits": [numbers(row) for row in logits], "labels": labels.tolist(), "weights": numbers(weights),
        "smoothing": smoothing, "loss": loss.item(), "gradient": [numbers(row) for row in logits.grad],
    }


def head(rows, features, hidden, classes):
    """A linear head, or one with a hidden layer, and the gradients of its cross-entropy."""
    sizes = [features, *([hidden] if hidden else []), classes]
    layers = [torch.nn.Linear(a, b).double() for a, b in zip(sizes, sizes[1:])]
    for layer in layers:
        layer.weight.data = layer.weight.data.float().double()
        layer.bias.data = layer.bias.data.float().double()
    x = torch.randn(rows, features, dtype=torch.float64).float().double().requires_grad_()
    labels = torch.randint(0, classes, (rows,))
    y = layers[0](x)
    for layer in layers[1:]:
        y = layer(torch.relu(y))
    torch.nn.functional.cross_entropy(y, labels).backward()
    return {
        "features": [numbers(row) for row in x], "labels": labels.tolist(), "logits": [numbers(row) for row in y],
        "layers": [{"weight": [numbers(row) for row in layer.weight], "bias": numbers(layer.bias)} for layer in layers],
        "gradients": [numbers(torch.cat([layer.weight.grad.flatten(), layer.bias.grad])) for layer in layers],
        "by_features": [numbers(row) for row in x.grad],
    }


def colours(width=7, height=5):
    picture = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    raw = lambda t: t.permute(1, 2, 0).flatten().tolist()
    ways = {"brightness": F.adjust_brightness, "contrast": F.adjust_contrast, "saturation": F.adjust_saturation}
    adjusted = [
        {"way": name, "factor": factor, "bytes": raw(way(picture, factor))}
        for name, way in ways.items() for factor in (0.0, 0.83, 1.0, 1.17, 1.9)
    ]
    return {"width": width, "height": height, "bytes": raw(picture), "adjusted": adjusted}


def clipped(limit):
    parts = [torch.nn.Parameter(torch.zeros(n)) for n in (5, 9)]
    for part in parts:
        part.grad = torch.randn_like(part)
    before = [numbers(part.grad) for part in parts]
    norm = torch.nn.utils.clip_grad_norm_(parts, limit)
    return {"limit": limit, "gradients": before, "norm": norm.item(), "clipped": [numbers(part.grad) for part in parts]}


golden = {
    "sgd": {
        "plain": optimiser(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        "decayed": optimiser(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05)),
        "without_momentum": optimiser(lambda p: torch.optim.SGD(p, lr=0.1)),
    },
    "adamw": {
        "plain": optimiser(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0)),
        "decayed": optimiser(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
    },
    "cross_entropy": [
        cross_entropy(5, 3, smoothing, weighted) for smoothing in (0.0, 0.1) for weighted in (False, True)
    ],
    "heads": [head(6, 9, hidden, 4) for hidden in (None, 7)],
    "colours": colours(),
    "clipped": [clipped(limit) for limit in (1.0, 100.0)],
}
path = Path(__file__).parent.parent / "tests/golden/training.json"
path.write_text(json.dumps(golden) + "\n")
print(f"{path}: {path.stat().st_size} bytes, torch {torch.__version__}")
