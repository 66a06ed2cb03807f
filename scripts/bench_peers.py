"""headstock beside ONNX Runtime, OpenVINO and PyTorch: the bare network, and whole processes over folders of images.

    pip install numpy pillow torch torchvision onnx onnxscript onnxruntime openvino
    cargo build --release && cargo bench --bench network_rate --no-run
    python scripts/bench_peers.py --threads 2 --rounds 7

Network alone: each peer has the same network (torchvision's Inception-v3 without its classifier; random weights, speed does not
depend on them), the same number of threads, and random images in memory. In a round each peer runs for about two seconds at each
batch size; rounds follow each other, so that a slow minute of the machine hits all alike. The table has, for each peer,
its best batch size, and the median over the rounds of headstock's rate over that peer's.

Whole processes (--folders): headstock extract over 240 bitmaps of 299x299 and 500 JPEGs of 500x375, drawn from seeded noise and
shapes, against the peers' rate of the network alone, and against a Python process with a PyTorch DataLoader, PIL and ONNX Runtime
(scripts/bench_peers_pipeline.py).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--seconds", type=float, default=2, help="of each peer at each batch size in a round")
parser.add_argument("--batches", default="1,8,32")
parser.add_argument("--without", default="", help="peers to leave out, by name, with commas")
parser.add_argument("--folders", action="store_true", help="whole processes too")
args = parser.parse_args()
for library in ("OMP", "MKL", "OPENBLAS", "RAYON"):
    os.environ[f"{library}_NUM_THREADS"] = str(args.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402

here = Path(__file__).parent.parent
BATCHES = [int(batch) for batch in args.batches.split(",")]
torch.set_num_threads(args.threads)


def network():
    torch.manual_seed(0)
    model = torchvision.models.inception_v3(weights=None, transform_input=False, init_weights=False)
    model.aux_logits, model.AuxLogits = False, None
    model.fc, model.dropout = torch.nn.Identity(), torch.nn.Identity()
    return model.eval()


def export(model, path):
    torch.onnx.export(
        model, torch.zeros(1, 3, 299, 299), str(path), dynamo=False, input_names=["images"], output_names=["features"],
        dynamic_axes={"images": {0: "n"}, "features": {0: "n"}},
    )


class Headstock:
    def __init__(self):
        built = subprocess.run(
            ["cargo", "bench", "--bench", "network_rate", "--no-run", "--message-format", "json"],
            cwd=here, capture_output=True, text=True, check=True,
        )
        messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
        program = next(m["executable"] for m in messages if m.get("target", {}).get("name") == "network_rate" and m.get("executable"))
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rate(self, batch, repeats):
        self.process.stdin.write(f"{batch} {repeats}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class Called:
    """A peer that is a function of a batch."""

    def __init__(self, run):
        self.run = run

    def rate(self, batch, repeats):
        images = np.random.default_rng(0).uniform(-1, 1, (batch, 3, 299, 299)).astype(np.float32)
        self.run(images)
        began = time.perf_counter()
        for _ in range(repeats):
            self.run(images)
        return batch * repeats / (time.perf_counter() - began)


def onnx_runtime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Called(lambda images: session.run(None, {"images": images}))


def openvino(path):
    import openvino as ov

    core = ov.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {
        "INFERENCE_NUM_THREADS": args.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY",
    })
    return Called(lambda images: compiled(images))


def pytorch(compiled):
    model = network().to(memory_format=torch.channels_last)
    model = torch.compile(model, mode="max-autotune-no-cudagraphs", dynamic=False) if compiled else model

    def run(images):
        with torch.inference_mode():
            model(torch.from_numpy(images).contiguous(memory_format=torch.channels_last))

    return Called(run)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    best = [name for name in ("avx512f", "avx2", "sse4_2") if name in flags.split()]
    return f"{model}, {os.cpu_count()} cores, {best[0] if best else ''}, {args.threads} threads"


def network_alone(folder):
    path = folder / "inception.onnx"
    export(network(), path)
    makers = {
        "ONNX Runtime": lambda: onnx_runtime(path),
        "OpenVINO": lambda: openvino(path),
        "PyTorch, channels last": lambda: pytorch(False),
        "torch.compile": lambda: pytorch(True),
    }
    peers = {"headstock": Headstock()}
    for name, make in makers.items():
        if name not in args.without.split(","):
            try:
                peers[name] = make()
                peers[name].rate(1, 1)
            except Exception as error:  # A peer that cannot be had is said to be so, and is no reason to stop.
                peers.pop(name, None)
                print(f"{name} is left out: {str(error).splitlines()[0][:200]}", file=sys.stderr)
    # About as long for each, whatever its speed.
    repeats = {}
    for name, peer in peers.items():
        for batch in BATCHES:
            rate = peer.rate(batch, 1)
            repeats[name, batch] = max(1, round(args.seconds * rate / batch))
    rounds = []
    for turn in range(args.rounds):
        rates = {key: peers[key[0]].rate(key[1], count) for key, count in repeats.items()}
        rounds.append(rates)
        print(turn, {f"{name} {batch}": round(rate, 1) for (name, batch), rate in rates.items()}, file=sys.stderr, flush=True)
    best = {}
    for name in peers:
        best[name] = max(BATCHES, key=lambda batch: statistics.median(rates[name, batch] for rates in rounds))
    print("| network alone | best batch | images/s, median | " + " | ".join(f"batch {b}" for b in BATCHES) + " | headstock over it, median of rounds (least, most) |")
    print("|---|---|---|" + "---|" * len(BATCHES) + "---|")
    for name in peers:
        ratios = [rates["headstock", best["headstock"]] / rates[name, best[name]] for rates in rounds]
        medians = [statistics.median(rates[name, batch] for rates in rounds) for batch in BATCHES]
        print(
            f"| {name} | {best[name]} | {statistics.median(rates[name, best[name]] for rates in rounds):.1f} | "
            + " | ".join(f"{median:.1f}" for median in medians)
            + f" | **{statistics.median(ratios):.2f}** ({min(ratios):.2f}, {max(ratios):.2f}) |"
        )
    return path


def draw_folder(folder, count, size, suffix):
    from PIL import Image, ImageDraw

    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(count):
        small = Image.fromarray(rng.integers(0, 255, (size[1] // 25, size[0] // 25, 3), dtype=np.uint8))
        picture = small.resize(size, Image.BICUBIC)
        draw = ImageDraw.Draw(picture)
        for _ in range(40):
            x, y, w, h = rng.integers(0, size[0]), rng.integers(0, size[1]), *rng.integers(5, 120, 2)
            draw.ellipse((x, y, x + w, y + h), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
        noise = rng.normal(0, 6, (size[1], size[0], 3))
        picture = Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
        picture.save(folder / f"{index:04}.{suffix}", **({"quality": 90} if suffix == "jpg" else {}))


def whole_processes(folder, model):
    import onnxruntime

    draw_folder(folder / "bitmaps", 240, (299, 299), "bmp")
    draw_folder(folder / "photos", 500, (500, 375), "jpg")
    program = here / "target/release/headstock"
    out = folder / "embeddings.safetensors"

    def extract(images):
        began = time.perf_counter()
        subprocess.run([program, "extract", "--images", images, "--out", out, "--threads", str(args.threads), "--quiet"], check=True)
        return time.perf_counter() - began

    def pipeline(images):
        began = time.perf_counter()
        subprocess.run([sys.executable, here / "scripts/bench_peers_pipeline.py", images, model, str(args.threads)], check=True)
        return time.perf_counter() - began

    runtime = onnx_runtime(model)
    rows = []
    for turn in range(max(3, args.rounds // 2)):
        ours = 240 / extract(folder / "bitmaps")
        theirs = max(runtime.rate(batch, max(1, 32 // batch)) for batch in BATCHES)
        photos = 500 / extract(folder / "photos")
        python = 500 / pipeline(folder / "photos")
        rows.append((ours, theirs, photos, python))
        print(turn, [round(value, 1) for value in rows[-1]], file=sys.stderr, flush=True)
    median = statistics.median
    print(f"\nonnxruntime {onnxruntime.__version__}\n")
    print("| whole process | headstock, images/s | the other, images/s | headstock over it, median of rounds |")
    print("|---|---|---|---|")
    print(f"| 240 bitmaps of 299x299, start included / ONNX Runtime's network alone, best batch | {median(r[0] for r in rows):.1f} | "
          f"{median(r[1] for r in rows):.1f} | **{median(r[0] / r[1] for r in rows):.2f}** |")
    print(f"| 500 JPEGs of 500x375 / DataLoader, PIL, ONNX Runtime | {median(r[2] for r in rows):.1f} | "
          f"{median(r[3] for r in rows):.1f} | **{median(r[2] / r[3] for r in rows):.2f}** |")


print(machine(), "\n")
with tempfile.TemporaryDirectory() as folder:
    model = network_alone(Path(folder))
    if args.folders:
        whole_processes(Path(folder), model)
