#!/usr/bin/env python3
"""Hold headstock to ONNX Runtime and PyTorch, with files of full size, from the picture to the last number.

    cargo build --release --features onnx       the binary there, or what HEADSTOCK names
    python scripts/check_onnx.py [--tf2onnx FILE] > table.md

- **In.** Each exporter of `golden_onnx.py` writes its graph, weights and all. ONNX Runtime's features of pictures that the library's own
  transforms brought to size, beside `headstock extract --weights GRAPH.onnx` on the picture files.
- **Any backbone.** torchvision's ResNet-18 and MobileNetV3-Small, random weights, likewise.
- **Out.** A head fitted on the drawn guitars: `headstock export`, and ONNX Runtime's probabilities beside those of `headstock score`
  on guitars that the head has not seen; PyTorch's, from the state dict, loaded strictly.

Pictures are handed to both as PNG: of a JPEG with fewer pixels of colour than of light (4:2:0), decoders make pictures that differ by a step or two,
and the table of 2026-11-24 tells what that comes to. Python as in `golden_onnx.py`. `--tf2onnx` is what its `--tensorflow` wrote.
"""

import argparse
import csv
import json
import os
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import onnx
import onnxruntime
import torch
from golden_network import GOLDEN, ROOT
from golden_onnx import EXPORTERS, features_name
from PIL import Image
from torchvision import models, transforms

HEADSTOCK = Path(os.environ.get("HEADSTOCK", ROOT / "target" / "release" / "headstock"))
PICTURES = ["photo.png", "photo.jpg", "pixels_0.png", "pixels_2.png"]
# What probabilities may differ by where the network's weights are random.
RANDOM = 1e-4
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def headstock(folder, *arguments):
    run = subprocess.run([HEADSTOCK, *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stderr.strip()


# ---- what the libraries make of a picture: float32 [3, side, side] ----


def torchvision_crop(side, shorter, mean, deviation):
    steps = [transforms.Resize(shorter, antialias=True), transforms.CenterCrop(side), transforms.ToTensor()]
    return transforms.Compose([*steps, transforms.Normalize(mean, deviation)])


def tf_squash(picture):
    pixels = np.asarray(picture.resize((299, 299), Image.Resampling.BILINEAR), np.float32)
    return torch.from_numpy((pixels - 128) / 128).permute(2, 0, 1)


def keras_squash(picture):
    pixels = torch.from_numpy(np.asarray(picture, np.float32)).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(pixels, (299, 299), mode="bilinear", align_corners=False, antialias=False)
    return resized[0] / 127.5 - 1


HALF = torchvision_crop(299, 342, [0.5] * 3, [0.5] * 3)
IMAGENET = torchvision_crop(299, 342, MEAN, DEVIATION)
PREPROCESS = {
    "torchscript": IMAGENET, "torchscript_plain": HALF, "dynamo": IMAGENET, "dynamo_plain": HALF,
    "fid": tf_squash, "keras": keras_squash, "tf2onnx": keras_squash,
}


def runtime(path, images, name=None):
    """An output of the graph by ONNX Runtime, image after image; `name` may be any value."""
    model = onnx.load(path)
    if name is not None and name not in [output.name for output in model.graph.output]:
        model.graph.output.add().name = name
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    rows = []
    for one in images:
        one = one[None] if image.shape[1] == 3 else one.transpose(1, 2, 0)[None]
        rows.append(session.run([name] if name else None, {image.name: np.ascontiguousarray(one)})[0].reshape(-1))
    return np.stack(rows)


def relative_l2(found, expected):
    distances = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(found.astype(np.float64), expected, strict=True)]
    return max(distances)


def as_png(pictures, root, folder):
    """Copies of pictures under `root`, decoded by Pillow."""
    images = folder / "images"
    for picture in pictures:
        copy = images / picture.relative_to(root).with_suffix(f"{picture.suffix}.png")
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(picture).convert("RGB").save(copy)
    return images


def extracted(folder, *flags):
    headstock(folder, "extract", "--images", "images", *flags)
    header, data = read_safetensors(folder / "embeddings.safetensors")
    rows = header["embeddings"]
    numbers = np.frombuffer(data[slice(*rows["data_offsets"])], "<f4").reshape(rows["shape"])
    return numbers, json.loads(header["__metadata__"]["paths"])


def read_safetensors(path):
    """The header, and the bytes behind it."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def apply(transform, folder, paths):
    return [transform(Image.open(folder / path).convert("RGB")).numpy() for path in paths]


def check_graph(name, exported, flags=(), transform=None, value=None):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        images = as_png([GOLDEN / name for name in PICTURES], GOLDEN, folder)
        rows, paths = extracted(folder, "--weights", exported, *flags)
        model = onnx.load(exported, load_external_data=False)
        inputs = apply(transform or PREPROCESS[name], images, paths)
        expected = runtime(exported, inputs, value or features_name(model.graph)[0])
        producer = f"{model.producer_name} {model.producer_version}".strip()
        opset = model.opset_import[0].version
        distance = relative_l2(rows, expected)
        print(f"| {name} | {producer} | {opset} | {rows.shape[1]} | {distance:.1e} |", flush=True)
        return distance


def check_in(folder, tf2onnx):
    print("| graph | written by | opset | features | relative L2, the worst of 4 pictures |\n|---|---|---|---|---|")
    worst = 0
    for name, export in EXPORTERS.items():
        path = folder / f"{name}.onnx"
        export(path)
        worst = max(worst, check_graph(name, path))
        path.unlink()
    # As it comes: the numbers in a file beside the graph.
    path = folder / "external.onnx"
    torch.manual_seed(3)
    model = models.inception_v3(weights=None, aux_logits=True, transform_input=True, init_weights=False).eval()
    torch.onnx.export(model, (torch.zeros(1, 3, 299, 299),), str(path), dynamo=True, verbose=False)
    assert path.with_suffix(".onnx.data").exists()
    worst = max(worst, check_graph("dynamo, external", path, transform=IMAGENET))
    if tf2onnx:
        worst = max(worst, check_graph("tf2onnx", tf2onnx))
    assert worst < 2e-5, worst


def check_any(folder):
    print("\n| backbone | written by | opset | features | relative L2, the worst of 4 pictures |\n|---|---|---|---|---|")
    transform = torchvision_crop(224, 256, MEAN, DEVIATION)
    for build in (models.resnet18, models.mobilenet_v3_small):
        for dynamo in (False, True):
            torch.manual_seed(5)
            model = build(weights=None).eval()
            path = folder / f"{build.__name__}_{'dynamo' if dynamo else 'torchscript'}.onnx"
            torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), str(path), dynamo=dynamo, verbose=False)
            value = pooled(onnx.load(path).graph)
            flags = ("--preprocess", "imagenet", "--onnx-output", value)
            distance = check_graph(path.stem, path, flags, transform, value)
            assert distance < 2e-5, distance


def pooled(graph):
    """What the first matrix after the last convolution reads."""
    last = max(at for at, node in enumerate(graph.node) if node.op_type == "Conv")
    return next(node.input[0] for node in graph.node[last:] if node.op_type in ("Gemm", "MatMul"))


def check_out(folder):
    print("\nThe largest difference of a probability, from `headstock score --engine reference`, plain float32, and from `headstock score`:\n")
    print("| exported | read by | images | reference | fast engine |\n|---|---|---|---|---|")
    unseen = ROOT / "data" / "guitars_unseen"
    images = as_png(sorted(unseen.glob("*/*.jpg")), unseen, folder)
    headstock(folder, "extract", "--images", ROOT / "data" / "guitars")
    for kind in ("logistic", "dense"):
        headstock(folder, "fit-head", "embeddings.safetensors", "--head", kind, "--out", "head.safetensors")
        scores, paths, classes = scored(folder, images, "--head", "head.safetensors")
        headstock(folder, "export", "--head", "head.safetensors", "--to", "onnx")
        model = onnx.load(folder / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(metadata["classes"]) == classes
        inputs = apply(tf_squash, images, paths)
        found = runtime(folder / "model.onnx", inputs, "probabilities")
        print(f"| tf2015, {kind} head | ONNX Runtime | {len(paths)} | {report(found, scores)} |", flush=True)
        batch = onnxruntime.InferenceSession(str(folder / "model.onnx")).run(["probabilities"], {"input": np.stack(inputs)})
        assert np.abs(batch[0] - found).max() < 1e-6, "a batch is not its images"
        check_temperature(folder, metadata)
        if kind == "logistic":
            check_torch(folder, inputs, scores, len(paths), "tf2015")
    check_torchvision(folder, images)


def check_temperature(folder, metadata):
    header, _ = read_safetensors(folder / "head.safetensors")
    assert metadata["temperature"] == header["__metadata__"]["temperature"] != "1.0"


def check_torchvision(folder, images):
    """The same with weights of torchvision's own structure: there the state dict is all that torchvision needs.

    They are random, so that the features of all pictures are nearly one and the same, and the head, which divides by their deviation,
    makes much of the last bits: hence the wider bound.
    """
    import golden_onnx

    weights = folder / "weights.onnx"
    golden_onnx.export_dynamo_plain(weights)
    headstock(folder, "extract", "--images", ROOT / "data" / "guitars", "--weights", weights)
    headstock(folder, "fit-head", "embeddings.safetensors", "--out", "head.safetensors")
    flags = ("--head", "head.safetensors", "--weights", weights)
    scores, paths, _ = scored(folder, images, *flags)
    inputs = apply(HALF, images, paths)
    headstock(folder, "export", *flags, "--to", "onnx")
    found = runtime(folder / "model.onnx", inputs, "probabilities")
    print(f"| torchvision, logistic head | ONNX Runtime | {len(paths)} | {report(found, scores, RANDOM)} |", flush=True)
    check_torch(folder, inputs, scores, len(paths), "torchvision", flags)


def check_torch(folder, inputs, scores, count, variant, flags=("--head", "head.safetensors")):
    headstock(folder, "export", *flags, "--to", "torchvision")
    state = torch.load(folder / "model.pth", weights_only=True)
    model = models.inception_v3(
        weights=None, aux_logits=False, num_classes=scores[0].shape[1], transform_input=False, init_weights=False
    )
    if variant == "tf2015":
        import pytorch_fid.inception as fid

        model.load_state_dict(state, strict=True)
        sizes = {"Mixed_5b": (192, 32), "Mixed_5c": (256, 64), "Mixed_5d": (288, 64)}
        for name, (channels, pool) in sizes.items():
            setattr(model, name, fid.FIDInceptionA(channels, pool_features=pool))
        for name, channels in {"Mixed_6b": 128, "Mixed_6c": 160, "Mixed_6d": 160, "Mixed_6e": 192}.items():
            setattr(model, name, fid.FIDInceptionC(768, channels_7x7=channels))
        model.Mixed_7b, model.Mixed_7c = fid.FIDInceptionE_1(1280), fid.FIDInceptionE_2(2048)
    note = " with pytorch-fid's blocks" if variant == "tf2015" else ""
    model.load_state_dict(state, strict=True)
    model.eval()
    with torch.no_grad():
        found = np.stack([model(torch.from_numpy(one)[None]).softmax(1)[0].numpy() for one in inputs])
    difference = report(found, scores, 1e-5 if variant == "tf2015" else RANDOM)
    print(f"| {variant}, logistic head | torchvision, strict=True{note} | {count} | {difference} |", flush=True)


def report(found, scores, bound=1e-5):
    reference, fast = (np.abs(found.astype(np.float64) - by_engine).max() for by_engine in scores)
    assert reference < bound and fast < 5 * bound, (reference, fast)
    return f"{reference:.1e} | {fast:.1e}"


def scored(folder, images, *flags):
    """Probabilities as `headstock score` writes them, by the reference engine and by the fast one, and their images."""
    scores = []
    for engine in ("reference", "auto"):
        headstock(folder, "score", "--images", images, *flags, "--out", "scores.csv", "--engine", engine)
        with open(folder / "scores.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = [name for name in rows[0] if name.startswith("p_")]
        scores.append(np.array([[float(row[name]) for name in columns] for row in rows]))
    return scores, [row["path"] for row in rows], [name.removeprefix("p_") for name in columns]


def main():
    parser = argparse.ArgumentParser(description="Hold headstock to ONNX Runtime and PyTorch.")
    parser.add_argument("--tf2onnx", type=Path, help="TensorFlow's graph, as golden_onnx.py --tensorflow wrote it")
    parser.add_argument("--only", choices=["in", "any", "out"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if args.only in (None, "in"):
            check_in(folder, args.tf2onnx)
        if args.only in (None, "any"):
            check_any(folder)
        if args.only in (None, "out"):
            check_out(folder)


if __name__ == "__main__":
    main()
