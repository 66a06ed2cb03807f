"""Writes tests/golden/preprocess: what Pillow and the libraries themselves make of a few pictures.

    python scripts/golden_preprocess.py   # needs numpy, pillow, torch, torchvision, timm, pytorch-fid, tensorflow (cpu),
                                          # torch-fidelity 0.4.0, clean-fid 0.1.35
    python scripts/golden_preprocess.py torch-fidelity clean-fid   # only these presets; the rest of presets.json stays

- sources/<name>.png                     the pictures
- resize/<source>_<w>x<h>_<filter>.png   `Image.resize` of Pillow
- presets.json                           for each preset and source: the library's network input, sampled

A sample of `presets.json` is the network input (the library's own float32) at flat HWC index `i * STRIDE % (299 * 299 *
3)`; where the library rounds to bytes on its way, `hash` is FNV-1a (64 bits) over all of those bytes in HWC order.
"""

import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden" / "preprocess"
SIDE = 299
VALUES = SIDE * SIDE * 3
STRIDE = 7919  # prime, and no divisor of VALUES
SAMPLES = 600


# --- sources ---------------------------------------------------------------------------------------------------------


def picture(width, height, seed):
    """Ramps, hard-edged shapes and a patch of noise."""
    noise = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = (x + 0.5) / width, (y + 0.5) / height
    rgb = np.stack([u, v, 0.5 + 0.5 * np.sin(9 * u + 5 * v)], axis=-1) * 255
    for _ in range(8):
        left, top = noise.random(2) * 0.8
        wide, high = noise.random(2) * 0.3 + 0.02
        rgb[(u > left) & (u < left + wide) & (v > top) & (v < top + high)] = noise.integers(0, 256, 3)
    grain = (u - 0.6) ** 2 + (v - 0.4) ** 2 < 0.02
    rgb[grain] = noise.integers(0, 256, (int(grain.sum()), 3))
    return Image.fromarray(np.round(rgb).astype(np.uint8))


SOURCES = {
    "landscape": picture(400, 300, 1),
    "portrait": picture(173, 311, 2),
    "small": picture(61, 43, 3),
    "exact": picture(299, 299, 4),
    "panorama": picture(1999, 37, 5),
    "column": picture(1, 200, 6),
    "row": picture(150, 2, 7),
}

RESIZES = {
    "landscape": [(64, 48), (33, 77), (7, 5), (400, 40), (90, 300), (1, 1)],
    "small": [(90, 101), (61, 43), (100, 20), (62, 43)],
    "panorama": [(30, 30), (3, 50)],
    "column": [(20, 30), (1, 7)],
    "row": [(11, 19)],
}

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


# --- the libraries: a picture in, ([299, 299, 3] float32 network input, bytes on the way or None) out ------------------
# Each is imported where it is used: PyTorch and TensorFlow do not get along in one process.


def hwc(tensor):
    return tensor.permute(1, 2, 0).contiguous().numpy()


def tf(image):
    # Pillow is the reference for the resize, (x - 128) / 128 the arithmetic of the 2015 graph ("Sub", "Mul" nodes).
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return (pixels.astype(np.float32) - np.float32(128)) * np.float32(1 / 128), pixels


def keras_(image):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/only")
        image.save(f"{folder}/only/image.png")
        dataset = keras.utils.image_dataset_from_directory(folder, image_size=(SIDE, SIDE), batch_size=1, verbose=False)
        (batch, _), *_ = list(dataset)
    pixels = np.array(batch[0], np.float32)
    return keras.applications.inception_v3.preprocess_input(pixels.copy()), None


def torchvision_(image):
    import torchvision

    normalised = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.transforms()(image)
    network = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=True)
    seen = network._transform_input(normalised[None])[0]
    return hwc(seen), np.round((hwc(seen) + 1) * 127.5).astype(np.uint8)


def timm_transformed(name, image):
    import timm

    cfg = timm.models.get_pretrained_cfg(name).to_dict()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg), is_training=False)
    return hwc(transform(image))


def timm_(image):
    seen = timm_transformed("inception_v3.tf_in1k", image)
    return seen, np.round((seen + 1) * 127.5).astype(np.uint8)


MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def timm_imagenet(image):
    seen = timm_transformed("inception_v3.gluon_in1k", image)
    return seen, np.round((seen * DEVIATION + MEAN) * 255).astype(np.uint8)


def imagenet(image):
    import torchvision

    seen = hwc(torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.transforms()(image))
    return seen, np.round((seen * DEVIATION + MEAN) * 255).astype(np.uint8)


def fid(image):
    import torch
    from pytorch_fid.inception import InceptionV3
    from torchvision.transforms.functional import to_tensor

    # The unmodified forward of pytorch-fid, on a network whose only block hands on what it sees.
    network = InceptionV3.__new__(InceptionV3)
    torch.nn.Module.__init__(network)
    network.resize_input, network.normalize_input = True, True
    network.blocks = torch.nn.ModuleList([torch.nn.Identity()])
    network.output_blocks, network.last_needed_block = [0], 0
    with torch.no_grad():
        return hwc(network(to_tensor(image)[None])[0][0]), None


def torch_fidelity_(image):
    import torch
    from torch_fidelity.datasets import TransformPILtoRGBTensor
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Seen(Exception):
        pass

    def show(x):
        raise Seen(x)

    # The unmodified forward of torch-fidelity, up to its first convolution.
    network = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
    torch.nn.Module.__init__(network)
    network.features_list, network.feature_extractor_internal_dtype = ["2048"], torch.float32
    network.Conv2d_1a_3x3 = show
    try:
        network(TransformPILtoRGBTensor()(Image.fromarray(np.asarray(image)))[None])
    except Seen as seen:
        return hwc(seen.args[0][0]), None


def clean_fid(image):
    import torch
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.utils import ResizeDataset

    class Layers:
        def forward(self, x):
            self.seen = x
            return torch.zeros(len(x), 2048)

    # The unmodified resize and forward of clean-fid, on a network whose layers keep what they see.
    network = InceptionV3W.__new__(InceptionV3W)
    torch.nn.Module.__init__(network)
    network.layers, network.resize_inside = Layers(), False
    with tempfile.TemporaryDirectory() as folder:
        image.save(f"{folder}/image.png")
        network(ResizeDataset([f"{folder}/image.png"], "clean")[0][None])
    return hwc(network.layers.seen[0]), None


PRESETS = {
    "tf": tf,
    "keras": keras_,
    "torchvision": torchvision_,
    "timm": timm_,
    "fid": fid,
    "torch-fidelity": torch_fidelity_,
    "clean-fid": clean_fid,
    "imagenet": imagenet,
    "timm-imagenet": timm_imagenet,
}


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def golden(network_input, pixels):
    assert network_input.shape == (SIDE, SIDE, 3) and network_input.dtype == np.float32
    samples = network_input.reshape(-1)[np.arange(SAMPLES) * STRIDE % VALUES]
    # Nine significant digits give every float32 back.
    return {"hash": fnv1a(pixels.tobytes()) if pixels is not None else None, "samples": [float(f"{x:.9g}") for x in samples]}


def goldens_of(preset):
    return {name: golden(*PRESETS[preset](image)) for name, image in SOURCES.items()}


if __name__ == "__main__":
    for folder in ("sources", "resize"):
        (FOLDER / folder).mkdir(parents=True, exist_ok=True)
    for name, image in SOURCES.items():
        image.save(FOLDER / "sources" / f"{name}.png", optimize=True)
    for name, sizes in RESIZES.items():
        for size in sizes:
            for label, kernel in FILTERS.items():
                path = FOLDER / "resize" / f"{name}_{size[0]}x{size[1]}_{label}.png"
                SOURCES[name].resize(size, kernel).save(path, optimize=True)
    wanted = sys.argv[1:] or list(PRESETS)
    goldens = json.loads((FOLDER / "presets.json").read_text())["presets"] if sys.argv[1:] else {}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        goldens |= zip(wanted, pool.map(goldens_of, wanted, chunksize=1))
    (FOLDER / "presets.json").write_text(json.dumps({"stride": STRIDE, "presets": goldens}, separators=(",", ":")) + "\n")
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1024:.0f} KiB")
