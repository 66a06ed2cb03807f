"""Does the CUDA engine give what the CPU gives? For `scripts/gpu_check.sh --run`: one table, Markdown.

    python scripts/gpu_check.py BINARY [--device cuda] [--images 523] [--batches 1,3,32,100,256,512]

The same binary runs the same images of data/ on the CPU and on the card. 523 is a prime: every batch size leaves an odd tail. Held
to each other are the features of each image, relative L2 distance and cosine, and the losses of two epochs of fine-tuning. Variants beside
tf2015 get its numbers under their own pools. Exit code 1 where a line fails. `--device cpu` tries this script itself where there is no card.
"""

import argparse
import csv
import ctypes
import json
import os
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
# Relative L2 at most, and cosine at least.
BOUNDS = {"f32": (2e-5, 0.9999), "tf32": (1e-3, 0.9999), "bf16": (1e-2, 0.9999), "f16": (1e-2, 0.9999)}

parser = argparse.ArgumentParser()
parser.add_argument("binary", type=Path)
parser.add_argument("--device", default="cuda")
parser.add_argument("--images", type=int, default=523)
parser.add_argument("--batches", default="1,3,32,100,256,512")
parser.add_argument("--leave", type=int, default=1 << 30, help="bytes that are left free in the check of a full card")
args = parser.parse_args()
ON_CARD = args.device.startswith("cuda")
PRECISIONS = list(BOUNDS) if ON_CARD else ["f32"]
BATCHES = [int(batch) for batch in args.batches.split(",")]
failures = 0


def line(what, ok, *found):
    global failures
    failures += not ok
    print(f"| {what} | {' | '.join(found)} | {'yes' if ok else '**NO**'} |", flush=True)


def headstock(images, out, *flags, **environment):
    command = [args.binary.resolve(), "extract", "--images", images, "--out", out, "--restart", "--limit", str(args.images), *flags]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def features(images, out, *flags, **environment):
    """Rows [N, 2048] and what was said; None for the rows where it failed."""
    done = headstock(images, out, *flags, **environment)
    return (np.load(out) if done.returncode == 0 else None), done.stderr


def compared(of, to):
    """The largest relative L2 distance and the least cosine of two images' rows."""
    of, to = of.astype(np.float64), to.astype(np.float64)
    norms = np.linalg.norm(to, axis=1)
    distance = np.linalg.norm(of - to, axis=1) / norms
    cosine = (of * to).sum(axis=1) / (np.linalg.norm(of, axis=1) * norms)
    return distance.max(), cosine.min()


def parity(what, rows, said, expected, precision):
    if rows is None:
        return line(what, False, said.strip().splitlines()[-1][:200], "")
    if rows.shape != expected.shape or not np.isfinite(rows).all():
        return line(what, False, f"rows {rows.shape}, finite: {np.isfinite(rows).all()}", "")
    distance, cosine = compared(rows, expected)
    most, least = BOUNDS[precision]
    line(what, distance <= most and cosine >= least, f"{distance:.2e} (at most {most:.0e})", f"1 - {1 - cosine:.1e}")


def variant_file(variant, folder):
    """The numbers of tf2015 as those of another variant: the names are the same, and torchvision's has a scale besides, of ones."""
    data = (HERE / "data/inception_v3_2015.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, numbers = json.loads(data[8 : 8 + length]), data[8 + length :]
    header["__metadata__"] = {"variant": variant}
    if variant == "torchvision":
        for name, tensor in list(header.items()):
            if name.endswith(".bn.bias"):
                begin, ones = len(numbers), np.ones(tensor["shape"], np.float32).tobytes()
                header[name.replace(".bn.bias", ".bn.weight")] = {**tensor, "data_offsets": [begin, begin + len(ones)]}
                numbers += ones
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = folder / f"{variant}.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    return ["--weights", path]


class Card:
    """The driver, without any package."""

    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        self.device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(self.device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *arguments):
        result = getattr(self.driver, name)(*arguments)
        if result != 0:
            raise RuntimeError(f"{name}: error {result}")

    def free(self):
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    @contextmanager
    def full_but_for(self, bytes_left):
        """Takes all of its memory but so much."""
        place, size = ctypes.c_void_p(), self.free() - bytes_left
        self.call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
        try:
            yield size
        finally:
            self.call("cuMemFree_v2", place)

    def described(self):
        name, version = ctypes.create_string_buffer(100), ctypes.c_int()
        self.call("cuDeviceGetName", name, 100, self.device)
        self.call("cuDriverGetVersion", ctypes.byref(version))
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[0]
        try:
            cudnn = ctypes.CDLL("libcudnn.so.9").cudnnGetVersion()
        except OSError:
            cudnn = "?"
        return f"{name.value.decode()}, driver {driver} (CUDA {version.value // 1000}.{version.value % 1000 // 10}), cuDNN {cudnn}"


def check_parity(images, folder):
    for variant in ("tf2015", "keras", "torchvision"):
        weights = [] if variant == "tf2015" else variant_file(variant, folder)
        expected, said = features(images, folder / "cpu.npy", "--device", "cpu", *weights)
        if expected is None:
            sys.exit(said)
        for precision in PRECISIONS:
            flags = ["--device", args.device, "--precision", precision, *weights]
            for batch in BATCHES if variant == "tf2015" else [32]:
                rows, said = features(images, folder / "card.npy", "--batch-size", str(batch), *flags)
                parity(f"{variant}, {precision}, batch {batch}", rows, said, expected, precision)
        if variant == "tf2015":
            of_cpu = expected
    return of_cpu


def check_bits(images, folder):
    for precision in PRECISIONS:
        flags = ["--device", args.device, "--precision", precision]
        first, second = (features(images, folder / name, *flags)[0] for name in ("first.npy", "second.npy"))
        same = first is not None and second is not None and first.tobytes() == second.tobytes()
        line(f"two runs, {precision}", same, "the same bits" if same else "other bits", "")


def check_refusals(images, folder, expected):
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    done = headstock(images, folder / "none.npy", "--device", "cuda", **hidden)
    line("no card shown, --device cuda", done.returncode == 1 and "panicked" not in done.stderr, done.stderr.strip()[:300], f"exit {done.returncode}")
    rows, said = features(images, folder / "auto.npy", "--device", "auto", **hidden)
    on_cpu = [text for text in said.splitlines() if text.startswith("on the CPU: ")]
    same = rows is not None and rows.tobytes() == expected.tobytes()
    line("no card shown, --device auto", same and len(on_cpu) == 1, " ".join(on_cpu)[:300], "the CPU's bits" if same else "other rows")
    done = headstock(images, folder / "none.npy", "--device", "cuda:99")
    line("--device cuda:99", done.returncode == 1 and "cuda:99" in done.stderr, done.stderr.strip()[:300], f"exit {done.returncode}")


def check_full_card(card, images, folder, expected):
    with card.full_but_for(args.leave):
        for precision in ("f32", "f16"):
            flags = ["--device", args.device, "--precision", precision, "--batch-size", "512"]
            rows, said = features(images, folder / "full.npy", *flags)
            parity(f"{args.leave / 2**30:.1f} GiB free, {precision}, batch 512", rows, said, expected, precision)


def check_training(folder):
    """Two epochs of fine-tuning on the demo: the loss of every step beside the CPU's, which starts from the same head and images."""
    guitars = HERE / "data/guitars"
    for command in (
        ["extract", "--images", guitars, "--out", folder / "guitars.safetensors", "--device", "cpu"],
        ["fit-head", folder / "guitars.safetensors", "--out", folder / "head.safetensors"],
    ):
        subprocess.run([args.binary.resolve(), *command], capture_output=True, check=True)

    def losses(name, device, precision):
        """Of each step; none where it failed."""
        model = folder / f"{name}.safetensors"
        flags = ["--device", device, "--precision", precision, "--epochs", "2", "--patience", "2", "--clip-norm", "1", "--restart"]
        command = [args.binary.resolve(), "finetune", "--images", guitars, "--head", folder / "head.safetensors", "--out", model, *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr.strip()[-300:]
        with open(f"{model}.curves.csv") as file:
            rows = [row["loss"] for row in csv.DictReader(file)]
        return np.array([float(loss) for loss in rows if loss]), model.read_bytes()

    expected, _ = losses("cpu", "cpu", "f32")
    for precision, bound in {"f32": 1e-2, "tf32": 5e-2, "bf16": 2e-1}.items() if ON_CARD else {"f32": 0.0}.items():
        found, model = losses("card", args.device, precision)
        if found is None:
            line(f"finetune, {precision}", False, model, "")
            continue
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        again = losses("card", args.device, precision)[1] == model
        line(f"finetune, {precision}: losses of {len(found)} steps, two runs", error <= bound and again, f"{error:.1e}", "the same bits" if again else "other bits")


def main():
    version = subprocess.run([args.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    card = Card() if ON_CARD else None
    print(f"{version} on {card.described() if card else 'the CPU'}; {args.images} images\n")
    print("| what | relative L2, largest | cosine, least | holds |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        images = folder / "images"
        images.mkdir()
        for source in ("guitars", "guitars_unseen", "shapes", "shapes_unseen"):
            (images / source).symlink_to(HERE / "data" / source)
        expected = check_parity(images, folder)
        check_bits(images, folder)
        check_training(folder)
        if card:
            rows, said = features(images, folder / "two.npy", "--device", "cuda:0,0", "--precision", "f32", "--batch-size", "32")
            parity("two workers on one card, f32, batch 32", rows, said, expected, "f32")
            check_refusals(images, folder, expected)
            check_full_card(card, images, folder, expected)
    print(f"\n{failures} of the lines do not hold." if failures else "\nAll lines hold.")
    sys.exit(failures > 0)


main()
