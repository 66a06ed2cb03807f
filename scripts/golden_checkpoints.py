#!/usr/bin/env python3
"""Make `tests/golden/checkpoints.zip` and `tests/golden/checkpoints.safetensors`: whole checkpoints, each written by the library that owns
the format, and the features that this library computes with it.

A checkpoint of Inception-v3 is 90 MB. These are as long and go into a repository all the same, because their numbers repeat: element
[o, i, h, w] of the tensor `name` (torchvision's names; vectors have only o) is made from

    u = table[(fnv1a_64(name) + 3 o + 5 i + 7 h + 11 w) mod 61]            table: the first 61 numbers of seed "periodic"

as `golden_network.py` makes a tensor from a `u` (its docstring), but for kernels, which are half as large, since so many of them are alike;
`fc.weight` and `fc.bias` are made as kernel and bias. Every axis has a step of
its own and every tensor a phase, so an axis or a layer in the wrong place shows. Each file is deflated twice.

Written, as members of `checkpoints.zip`, each a zip archive of one file:

- `torchvision.pth`, `torchvision_legacy.pth`: `torch.save` of torchvision's `state_dict`, with auxiliary classifier, `fc` and
  `num_batches_tracked`; as a zip archive, and as before PyTorch 1.6.
- `lightning.ckpt`: float64, a dictionary around the tensors, `module.` before each name, the state of an optimiser beside them.
- `script.pt`: `torch.jit.script` of torchvision's network, by `torch.jit.save`.
- `timm.safetensors`, `timm.bin`: timm's `inception_v3`, by `safetensors.torch.save_file` (bfloat16) and `torch.save`.
- `fid.pth`, `fid_module.pth`: pytorch-fid's network with 1008 outputs under the names of its published weights, and its module.
- `keras.weights.h5`, `keras.keras`, `keras.h5`, `keras_notop.h5`: Keras 3, the second network of its process, so that numbers begin at 94.
- `small.pth`, `small_legacy.pth`, `small_script.pt`, `small.h5`, `small.keras`: a few tensors in each format, to be mutated by tests:
  parameters, transposed, sliced and shared tensors; contiguous, compressed and never written datasets.
- `sparse.pth`, `sparse.h5`: every tensor of the network, and next to no bytes: one number that is repeated, pieces that were never written.

And `checkpoints.safetensors`: `torchvision`, `timm`, `fid`, `keras` [1, 2048], the pooled features of `pixels_0.png` by these libraries, in
float32; `timm` of the weights rounded to bfloat16. `torchvision_logits`, `fid_logits`, `keras_logits`: what their classifiers say.

Rerun, from the root of the repository (minutes):

    pip install numpy==2.4.6 pillow==13.0.0 torch==2.15.0 torchvision==0.29.2 pytorch-fid==0.3.0 keras==3.15.1 h5py==3.16.0 \
                timm==1.0.31 safetensors==0.8.0
    python scripts/golden_checkpoints.py
"""

import io
import json
import math
import os
import zipfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

# Read when Keras is imported: its default, TensorFlow, is not needed here.
os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
import pytorch_fid.inception as fid
import timm
import torch
import torchvision
from safetensors.torch import save_file

from convert_weights import LAYERS, serialize
from golden_network import GOLDEN, fnv1a_64, in_creation_order, read_rgb, scale_127_5, scale_128, splitmix_units, to_nchw

PERIOD = 61
STEPS = (3, 5, 7, 11)
TABLE = splitmix_units(fnv1a_64("periodic"), PERIOD)


def periodic_tensor(name, shape):
    """The tensor that the formula in this file's docstring gives."""
    place = np.full(shape, fnv1a_64(name) % PERIOD, np.int64)
    for axis, step in zip(range(len(shape)), STEPS, strict=False):
        place += (step * np.arange(shape[axis])).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    u = TABLE[place % PERIOD]
    half = np.float32(0.5)
    if name.endswith("conv.weight") or name == "fc.weight":
        bound = np.float32(math.sqrt(1.5 / math.prod(shape[1:])))
        return (u * np.float32(2) - np.float32(1)) * bound
    if name.endswith((".bn.weight", ".bn.running_var")):
        return half + u
    return (u - half) * half


def fill(model):
    """Give a module of PyTorch, whose names are torchvision's, the numbers of the formula; counts stay."""
    state = model.state_dict()
    with torch.no_grad():
        for name, tensor in state.items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(periodic_tensor(name, tuple(tensor.shape))))
    return model.eval()


def run(model, images, features):
    """Pooled features [N, 2048] and logits of a module; `features` is the layer whose output, averaged over places, they are."""
    seen = {}
    handle = features.register_forward_hook(lambda module, inputs, output: seen.update(map=output))
    with torch.no_grad():
        logits = model(to_nchw(images))
    handle.remove()
    return seen["map"].mean(dim=(2, 3)).numpy(), logits.numpy()


def torchvision_files(folder, images):
    model = fill(torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=False))
    state = model.state_dict()
    torch.save(state, folder / "torchvision.pth")
    torch.save(state, folder / "torchvision_legacy.pth", _use_new_zipfile_serialization=False)
    wide = {f"module.{name}": tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    optimizer = {"state": {0: {"step": torch.tensor(7), "exp_avg": torch.zeros(32, 3, 3, 3)}}, "param_groups": [{"lr": 0.1}]}
    whole = {"state_dict": wide, "epoch": 3, "arch": "inception_v3", "best": 0.5, "optimizer_states": [optimizer], "done": True}
    torch.save(whole, folder / "lightning.ckpt")
    torch.jit.save(torch.jit.script(model), folder / "script.pt")
    features, logits = run(model, images, model.Mixed_7c)
    return {"torchvision": features, "torchvision_logits": logits}


def timm_files(folder, images):
    model = fill(timm.create_model("inception_v3", pretrained=False))
    torch.save(model.state_dict(), folder / "timm.bin")
    half = {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()}
    save_file(half, folder / "timm.safetensors", metadata={"format": "pt"})
    model.load_state_dict(half)
    with torch.no_grad():
        return {"timm": model.forward_head(model.forward_features(to_nchw(images)), pre_logits=True).numpy()}


def fid_files(folder, images):
    network = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=1008)
    # As pytorch-fid builds it, but for the download.
    for name, block in fid_blocks().items():
        setattr(network, name, block)
    fill(network)
    torch.save(network.state_dict(), folder / "fid.pth")
    fid.fid_inception_v3 = lambda: network
    module = fid.InceptionV3(resize_input=False, normalize_input=False).eval()
    torch.save(module.state_dict(), folder / "fid_module.pth")
    with torch.no_grad():
        features = module(to_nchw(images))[0][:, :, 0, 0]
        return {"fid": features.numpy(), "fid_logits": network.fc(features).numpy()}


def fid_blocks():
    return {
        "Mixed_5b": fid.FIDInceptionA(192, pool_features=32),
        "Mixed_5c": fid.FIDInceptionA(256, pool_features=64),
        "Mixed_5d": fid.FIDInceptionA(288, pool_features=64),
        "Mixed_6b": fid.FIDInceptionC(768, channels_7x7=128),
        "Mixed_6c": fid.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6d": fid.FIDInceptionC(768, channels_7x7=160),
        "Mixed_6e": fid.FIDInceptionC(768, channels_7x7=192),
        "Mixed_7b": fid.FIDInceptionE_1(1280),
        "Mixed_7c": fid.FIDInceptionE_2(2048),
    }


def keras_model(**options):
    model = keras.applications.InceptionV3(weights=None, classifier_activation=None, **options)
    kernels = in_creation_order(model, keras.layers.Conv2D)
    norms = in_creation_order(model, keras.layers.BatchNormalization)
    for kernel, norm, layer in zip(kernels, norms, LAYERS, strict=True):
        kernel.set_weights([periodic_tensor(f"{layer.name}.conv.weight", layer.kernel_shape).transpose(2, 3, 1, 0)])
        parts = ("bias", "running_mean", "running_var")
        norm.set_weights([periodic_tensor(f"{layer.name}.bn.{part}", (layer.out_channels,)) for part in parts])
    return model


def keras_files(folder, images):
    keras.utils.clear_session()
    keras.applications.InceptionV3(weights=None)
    model = keras_model()
    model.get_layer("predictions").set_weights([periodic_tensor("fc.weight", (1000, 2048)).T, periodic_tensor("fc.bias", (1000,))])
    for name in ("keras.weights.h5", "keras.keras", "keras.h5"):
        (model.save_weights if name == "keras.weights.h5" else model.save)(folder / name)
    keras_model(include_top=False, pooling="avg").save(folder / "keras_notop.h5")
    features = keras.Model(model.input, model.get_layer("avg_pool").output)
    with torch.no_grad():
        to_numpy = keras.ops.convert_to_numpy
        return {"keras": to_numpy(features(images)), "keras_logits": to_numpy(model(images))}


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3, bias=False)
        self.bn = torch.nn.BatchNorm2d(2)

    def forward(self, x):
        return self.bn(self.conv(x))


def small_files(folder):
    numbers = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = {
        "contiguous": numbers,
        "transposed": numbers.t(),
        "sliced": numbers[1:, ::2],
        "repeated": torch.ones(1).expand(2, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "half": torch.ones(3, dtype=torch.float16),
        "scalar": torch.tensor(7),
        "inner": {"wide": torch.ones(2, dtype=torch.float64), "name": "text", "none": None, "list": [1, 2.5, True, 2**70]},
    }
    torch.save(tensors, folder / "small.pth")
    torch.save(tensors, folder / "small_legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(Small()), folder / "small_script.pt")
    with h5py.File(folder / "small.h5", "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.create_dataset("0", data=np.ones((3, 3, 1, 2), np.float32))
        group.create_dataset("1", data=np.arange(64, dtype=np.float64), chunks=(16,), compression="gzip", shuffle=True)
        group.create_dataset("2", shape=(8, 8), dtype=np.float16, chunks=(4, 4))
        group.attrs["names"] = np.array([b"kernel", b"bias"])
    keras.utils.clear_session()
    layers = [keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization()]
    keras.Sequential(layers).save(folder / "small.keras")


def sparse_files(folder):
    shapes = {name: shape for layer in LAYERS for _, name, shape in layer.tensors()}
    tensors = {name: torch.ones(1).expand(shape) for name, shape in shapes.items()}
    torch.save(tensors | {"fc.weight": torch.ones(1).expand(1008, 2048), "fc.bias": torch.ones(1).expand(1008)}, folder / "sparse.pth")
    with h5py.File(folder / "sparse.h5", "w", libver="latest") as file:
        for index, layer in enumerate(LAYERS):
            number = f"_{index}" if index else ""
            out, into, height, width = layer.kernel_shape
            options = {"dtype": np.float32, "compression": "gzip"}
            file.create_dataset(f"conv2d{number}/kernel:0", (height, width, into, out), chunks=True, **options)
            for part in ("beta:0", "moving_mean:0", "moving_variance:0"):
                file.create_dataset(f"batch_normalization{number}/{part}", (out,), chunks=(out,), **options)


def deflated(files):
    """A zip archive with the same bytes whenever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def main():
    pixels = read_rgb(GOLDEN / "pixels_0.png")[None]
    outputs = {}
    with TemporaryDirectory() as folder:
        folder = Path(folder)
        outputs |= torchvision_files(folder, scale_127_5(pixels))
        outputs |= timm_files(folder, scale_127_5(pixels))
        outputs |= fid_files(folder, scale_128(pixels))
        outputs |= keras_files(folder, scale_127_5(pixels))
        small_files(folder)
        sparse_files(folder)
        packed = []
        for path in sorted(folder.iterdir()):
            packed.append((f"{path.name}.zip", deflated([(path.name, path.read_bytes())])))
            print(f"{path.name}: {path.stat().st_size} bytes, {len(packed[-1][1])} deflated")
    (GOLDEN / "checkpoints.zip").write_bytes(deflated(packed))
    for name, output in outputs.items():
        print(f"{name}: norm {np.linalg.norm(output):.4f}, {np.count_nonzero(output)} of {output.size} not zero")
    packages = ("numpy", "torch", "torchvision", "pytorch-fid", "keras", "h5py", "timm", "safetensors")
    metadata = {"format": "headstock.golden/1", "versions": json.dumps({package: version(package) for package in packages})}
    (GOLDEN / "checkpoints.safetensors").write_bytes(
        serialize({name: np.ascontiguousarray(output, np.float32) for name, output in outputs.items()}, metadata)
    )
    print(f"checkpoints.zip: {(GOLDEN / 'checkpoints.zip').stat().st_size} bytes")


if __name__ == "__main__":
    main()
