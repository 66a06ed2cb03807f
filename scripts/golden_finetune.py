#!/usr/bin/env python3
"""Make the golden files of training, under `tests/golden/`: what PyTorch's gradients and steps are.

Written:

- `finetune_tf2015.safetensors`: ten steps of training past Keras' layer 150, with the network inside the binary (kernels
  rounded to float16), batch norm frozen.
- `finetune_torchvision.safetensors`: the same with torchvision's network and the seeded weights of `golden_network.py`; here
  gamma is trained too; four steps.
- `finetune_torchvision_batch_norm.safetensors`: three steps of that with the batch's own statistics, PyTorch's momentum 0.1.
- `finetune_tf2015_whole.safetensors`: one step of the network of 2015 with nothing frozen.
- `operation_gradients.safetensors`: single operations, forward and backward.

All arithmetic is float64, on float32 inputs and weights; results are cast to float32 at the end.

The training: six images are the middle 203x203 pixels of `pixels_{0,1,2}.png` and their mirror images; image i is of class i // 2, so that mirror images differ. Step s (from 0) takes
the images s and s+2 (modulo 6). The head is linear, `head.weight` [3, 2048] = 0.02 * (2u - 1), u as in
`golden_network.py` by that name, and `head.bias` [3] = 0.1 * (2u - 1). The loss is the mean cross-entropy, the rule is SGD with
momentum 0.9, learning rates are in the metadata (features of the seeded weights are large, so that the head's is small there). What is trained past 150 is written down here, as
Keras tells it, and not derived. With `batch_norm` only the batch norms past the cut use and update the batch's statistics.

    loss                    [steps], before each step
    gradient/<tensor>       sketch of the first step's gradient
    delta_1/<tensor>        sketch of the tensor after one step, less the tensor before
    delta_<steps>/<tensor>  the same after all steps
    <tensor> is a name of torchvision's, or `head.weight`, `head.bias`; with `batch_norm` also `.running_mean`, `.running_var`

A sketch [17] stands in for a tensor x of n numbers: its norm, and 16 sums of its numbers with random signs:

    sketch = |x|, sum_i s(0, i) x_i, ..., sum_i s(15, i) x_i       s(k, i) = 1 where bit k of z_i is set, else -1

with z the outputs of splitmix64 seeded by fnv1a_64 of the tensor's name (not of what is before the slash). Such a sum is
linear, and the mean of its square over all signs is |x|^2. So the root of the mean square of the differences of two sketches
estimates the norm of the difference of two tensors, to within a fifth or so.

All of that is with float64, and so knows on which side of zero a unit is that float32 cannot tell. One such unit of a batch
moves the gradients below it by 1e-3 to 2e-2 of their norm; `pytorch_float32_gradient_error` in the metadata is what this makes of
PyTorch's own float32.

The operations: `cases` in the metadata is a list of objects

    name, op             `convolution`, `max_pool`, `average_pool`, `average_pool_counting` (padding counts as zeros)
    input                [batch, height, width, channels]; maps are channels last here
    out_channels         of a convolution
    kernel, stride, padding    [height, width], one number for both axes, [above and below, left and right]
    steps                0, or to how many levels the input is rounded down, so that a maximum has ties

and for each case with its input (and kernel [out, in, height, width]) 2u - 1 by the names `<name>/input` and `<name>/kernel`
(with steps: floor(steps * u) / steps), and the linear functional sum(output * by_output), by_output 2u - 1 by its name:

    <name>/output, <name>/by_input, <name>/by_kernel     sketches of the output and the functional's gradients

of the names `<name>/output` and so on, whole; elements in the row-major order of the shapes above.

Rerun, from the root of the repository (ten minutes or so):

    pip install numpy==2.4.6 pillow==13.0.0 torch==2.15.0 torchvision==0.29.2 pytorch-fid==0.3.0 keras==3.15.1
    python scripts/golden_finetune.py
"""

import json
import math
import platform

import numpy as np
import torch
import torchvision
from torch.nn import functional as F

from convert_weights import LAYERS, OUTPUT, serialize
from golden_network import (
    GOLDEN,
    build_torchvision,
    fnv1a_64,
    read_rgb,
    scale_127_5,
    scale_128,
    seeded_weights,
    splitmix,
    splitmix_units,
    to_nchw,
)

SIGNS = 16
MIDDLE = slice(48, 251)
BATCH = (0, 2)
CLASSES = 3
MOMENTUM = 0.9
BATCH_NORM_MOMENTUM = 0.1

# Keras' conv2d_40, 43, 48, 49 and all that is deeper.
TRAINED_BLOCKS = ("Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c")
TRAINED_BRANCHES = ("branch1x1", "branch7x7_3", "branch7x7dbl_5", "branch_pool")
TRAINED = [
    layer.name
    for layer in LAYERS
    if layer.name.startswith(TRAINED_BLOCKS) or layer.name in [f"Mixed_6c.{branch}" for branch in TRAINED_BRANCHES]
]
TRAINED_PARAMETERS = 17_366_976


def sketch(name, tensor):
    """The norm and sums with random signs that this file's docstring describes."""
    numbers = np.ascontiguousarray(tensor, dtype=np.float64).ravel()
    bits = splitmix(fnv1a_64(name), numbers.size)
    total = numbers.sum()
    sums = [2 * numbers[(bits >> np.uint64(k)) & np.uint64(1) == 1].sum() - total for k in range(SIGNS)]
    return np.array([np.linalg.norm(numbers), *sums]).astype(np.float32)


def write(name, tensors, metadata):
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    versions |= {"torch": torch.__version__, "torchvision": torchvision.__version__}
    metadata = {"format": "headstock.golden/1", "versions": json.dumps(versions), **metadata}
    path = GOLDEN / f"{name}.safetensors"
    path.write_bytes(serialize(tensors, metadata))
    print(f"{path.name}: {path.stat().st_size} bytes")


# ---- training ----


def read_embedded():
    """The tensors of `data/inception_v3_2015.safetensors`, float32."""
    blob = OUTPUT.read_bytes()
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            dtype = {"F16": np.float16, "F32": np.float32}[entry["dtype"]]
            tensors[name] = np.frombuffer(blob[begin:end], dtype).reshape(entry["shape"]).astype(np.float32)
    return tensors


def build(variant, weights, layers, dtype=torch.float64):
    """The network with a head, of which only these layers are trained; and its trained tensors by name."""
    model = build_torchvision(variant, weights).to(dtype)
    model.requires_grad_(False)
    trained = {}
    for layer in layers:
        module = model.get_submodule(layer)
        trained[f"{layer}.conv.weight"] = module.conv.weight
        if variant == "torchvision":
            trained[f"{layer}.bn.weight"] = module.bn.weight
        trained[f"{layer}.bn.bias"] = module.bn.bias
    total = sum(tensor.numel() for name, tensor in trained.items() if not name.endswith("bn.weight"))
    assert layers is not TRAINED or total == TRAINED_PARAMETERS, total
    for name, shape, scale in (("head.weight", (CLASSES, 2048), 0.02), ("head.bias", (CLASSES,), 0.1)):
        u = splitmix_units(fnv1a_64(name), math.prod(shape)).reshape(shape)
        trained[name] = torch.from_numpy(np.float32(scale) * (u * np.float32(2) - np.float32(1))).to(dtype)
    for tensor in trained.values():
        tensor.requires_grad_(True)
    return model, trained


def follow(model):
    """Lets the batch norms past the cut use the batch's statistics, and gives the running ones by name."""
    followed = {}
    for layer in TRAINED:
        module = model.get_submodule(layer).bn
        module.train()
        module.momentum = BATCH_NORM_MOMENTUM
        followed[f"{layer}.bn.running_mean"] = module.running_mean
        followed[f"{layer}.bn.running_var"] = module.running_var
    return followed


def backward(model, trained, images, step):
    """The loss of a step's batch, its gradients added to those of the trained tensors."""
    chosen = [(step + i) % len(images) for i in BATCH]
    features = model(images[chosen])
    logits = features @ trained["head.weight"].T + trained["head.bias"]
    loss = F.cross_entropy(logits, torch.tensor([image // 2 for image in chosen]))
    loss.backward()
    return loss.item()


def float32_error(variant, weights, layers, images, expected, batch_norm):
    """How far PyTorch's own float32 gradients are from its float64 ones: the largest relative L2 distance of a tensor."""
    model, trained = build(variant, weights, layers, torch.float32)
    if batch_norm:
        follow(model)
    backward(model, trained, images.float(), 0)
    errors = {key: (tensor.grad.double() - expected[key]).norm() / expected[key].norm() for key, tensor in trained.items()}
    name = max(errors, key=errors.get)
    return f"{errors[name]:.1e}", name


def train(name, variant, weights, images, steps, rates, layers=TRAINED, batch_norm=False):
    model, trained = build(variant, weights, layers)
    followed = follow(model) if batch_norm else {}
    snapshot = lambda: {key: tensor.detach().clone() for key, tensor in (trained | followed).items()}
    images = to_nchw(np.concatenate([images, images[:, :, ::-1]])).double()
    of_head = [tensor for key, tensor in trained.items() if key.startswith("head.")]
    of_network = [tensor for key, tensor in trained.items() if not key.startswith("head.")]
    groups = [{"params": of_network, "lr": rates[0]}, {"params": of_head, "lr": rates[1]}]
    rule = torch.optim.SGD(groups, momentum=MOMENTUM)
    before, golden, losses = snapshot(), {}, []
    for step in range(steps):
        rule.zero_grad()
        losses.append(backward(model, trained, images, step))
        if step == 0:
            gradients = {key: tensor.grad.clone() for key, tensor in trained.items()}
            golden |= {f"gradient/{key}": sketch(key, gradient.numpy()) for key, gradient in gradients.items()}
        rule.step()
        if step + 1 in (1, steps):
            for key, tensor in snapshot().items():
                golden[f"delta_{step + 1}/{key}"] = sketch(key, (tensor - before[key]).numpy())
    print(f"{name}: losses {' '.join(f'{loss:.4f}' for loss in losses)}")
    share = [golden[f"delta_1/{key}"][0] / before[key].norm().item() for key in trained if key != "head.bias"]
    print(f"  one step moves tensors by {min(share):.1e} to {max(share):.1e} of their norm")
    error, where = float32_error(variant, weights, layers, images, gradients, batch_norm)
    print(f"  PyTorch's float32 gradients are within {error} of these, {where}")
    golden["loss"] = np.array(losses, dtype=np.float32)
    metadata = {"variant": variant, "steps": str(steps), "momentum": str(MOMENTUM)}
    metadata |= {"learning_rate": str(rates[0]), "head_learning_rate": str(rates[1])}
    metadata |= {"pytorch_float32_gradient_error": error}
    if batch_norm:
        metadata["batch_norm_momentum"] = str(BATCH_NORM_MOMENTUM)
    write(name, golden, metadata)


# ---- operations ----


def conv(name, size, channels, out_channels, kernel, stride=1, padding=(0, 0), batch=2):
    case = {"name": name, "op": "convolution", "input": [batch, *size, channels], "out_channels": out_channels}
    return case | {"kernel": list(kernel), "stride": stride, "padding": list(padding), "steps": 0}


def pool(name, op, size, stride, padding, steps=0, channels=11, batch=2):
    case = {"name": name, "op": op, "input": [batch, *size, channels], "out_channels": channels}
    return case | {"kernel": [3, 3], "stride": stride, "padding": [padding, padding], "steps": steps}


CASES = [
    # Each kind of convolution at a size that the network has, and at odd ones.
    conv("1x1_17", (17, 17), 96, 40, (1, 1)),
    conv("1x1_odd", (5, 7), 13, 9, (1, 1), batch=3),
    conv("1x1_one_place", (1, 1), 6, 5, (1, 1), batch=1),
    conv("3x3_valid_73", (73, 73), 8, 12, (3, 3), batch=1),
    conv("3x3_valid_odd", (6, 9), 7, 10, (3, 3)),
    conv("3x3_valid_one_window", (3, 3), 5, 6, (3, 3)),
    conv("3x3_same_35", (35, 35), 16, 24, (3, 3), padding=(1, 1)),
    conv("3x3_same_8", (8, 8), 48, 40, (3, 3), padding=(1, 1)),
    conv("3x3_same_odd", (5, 10), 7, 10, (3, 3), padding=(1, 1), batch=3),
    conv("3x3_same_one_place", (1, 1), 7, 10, (3, 3), padding=(1, 1)),
    conv("3x3_stride_2_image", (49, 49), 3, 32, (3, 3), stride=2),
    conv("3x3_stride_2_35", (35, 35), 12, 20, (3, 3), stride=2),
    conv("3x3_stride_2_17", (17, 17), 40, 32, (3, 3), stride=2),
    conv("3x3_stride_2_even", (16, 16), 9, 10, (3, 3), stride=2),
    conv("3x3_stride_2_odd_even", (13, 18), 9, 10, (3, 3), stride=2),
    conv("3x3_stride_2_even_odd", (4, 3), 5, 6, (3, 3), stride=2),
    conv("5x5_35", (35, 35), 12, 16, (5, 5), padding=(2, 2)),
    conv("5x5_odd", (4, 9), 7, 6, (5, 5), padding=(2, 2)),
    conv("1x7_17", (17, 17), 40, 48, (1, 7), padding=(0, 3)),
    conv("1x7_odd", (6, 11), 7, 10, (1, 7), padding=(0, 3), batch=3),
    conv("1x7_narrow", (5, 2), 7, 10, (1, 7), padding=(0, 3)),
    conv("7x1_17", (17, 17), 40, 48, (7, 1), padding=(3, 0)),
    conv("7x1_odd", (11, 6), 7, 10, (7, 1), padding=(3, 0), batch=3),
    conv("7x1_low", (2, 5), 7, 10, (7, 1), padding=(3, 0)),
    conv("1x3_8", (8, 8), 48, 40, (1, 3), padding=(0, 1)),
    conv("1x3_odd", (5, 3), 7, 10, (1, 3), padding=(0, 1)),
    conv("3x1_8", (8, 8), 48, 40, (3, 1), padding=(1, 0)),
    conv("3x1_odd", (3, 5), 7, 10, (3, 1), padding=(1, 0)),
    *(
        pool(f"{op}_{name}{'_ties' if steps else ''}", op, size, stride, padding, steps)
        for op, stride, padding, sizes, all_steps in (
            ("max_pool", 2, 0, {"17": (17, 17), "even": (16, 12), "odd": (5, 8)}, (0, 4)),
            ("max_pool", 1, 1, {"same_8": (8, 8), "same_odd": (5, 7), "same_one_place": (1, 1)}, (0, 4)),
            ("average_pool", 1, 1, {"17": (17, 17), "odd": (5, 8), "one_place": (1, 1), "narrow": (4, 2)}, (0,)),
            ("average_pool_counting", 1, 1, {"17": (17, 17), "odd": (5, 8), "one_place": (1, 1)}, (0,)),
        )
        for name, size in sizes.items()
        for steps in all_steps
    ),
]


def seeded(name, shape, steps=0):
    u = splitmix_units(fnv1a_64(name), math.prod(shape)).reshape(shape)
    if steps:
        return torch.from_numpy(np.floor(u * np.float32(steps)) / np.float32(steps)).double()
    return torch.from_numpy(u * np.float32(2) - np.float32(1)).double()


def operate(case):
    """Sketches of the output and of the gradients of one operation."""
    name, window = case["name"], {"stride": case["stride"], "padding": tuple(case["padding"])}
    maps = seeded(f"{name}/input", case["input"], case["steps"]).requires_grad_()
    variables = {"input": maps}
    planes = maps.permute(0, 3, 1, 2)
    if case["op"] == "convolution":
        kernel = seeded(f"{name}/kernel", [case["out_channels"], case["input"][3], *case["kernel"]]).requires_grad_()
        variables["kernel"] = kernel
        output = F.conv2d(planes, kernel, **window)
    elif case["op"] == "max_pool":
        output = F.max_pool2d(planes, case["kernel"], **window)
    else:
        counts = case["op"] == "average_pool_counting"
        output = F.avg_pool2d(planes, case["kernel"], **window, count_include_pad=counts)
    output = output.permute(0, 2, 3, 1)
    (output * seeded(f"{name}/by_output", output.shape)).sum().backward()
    results = {"output": output.detach()} | {f"by_{part}": variable.grad for part, variable in variables.items()}
    return {f"{name}/{part}": sketch(f"{name}/{part}", result.numpy()) for part, result in results.items()}


def golden_operations():
    assert len({case["name"] for case in CASES}) == len(CASES)
    tensors = {}
    for case in CASES:
        tensors |= operate(case)
    write("operation_gradients", tensors, {"cases": json.dumps(CASES)})


def main():
    golden_operations()
    pixels = np.stack([read_rgb(GOLDEN / f"pixels_{index}.png")[MIDDLE, MIDDLE] for index in range(3)])
    weights, images = read_embedded(), scale_128(pixels)
    train("finetune_tf2015", "tf2015", weights, images, 10, (1e-4, 1e-4))
    train("finetune_tf2015_whole", "tf2015", weights, images, 1, (1e-4, 1e-4), [layer.name for layer in LAYERS])
    weights, images = seeded_weights(gamma=True), scale_127_5(pixels)
    train("finetune_torchvision", "torchvision", weights, images, 4, (5e-4, 1e-5))
    train("finetune_torchvision_batch_norm", "torchvision", weights, images, 3, (1e-3, 1e-5), batch_norm=True)


if __name__ == "__main__":
    main()
