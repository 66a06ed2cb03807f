"""headstock beside PyTorch on one NVIDIA card: the bare network, a folder of JPEGs, a step of training.

    pip install numpy pillow torch torchvision
    cargo bench --no-run --features cuda                      # or scripts/build_cuda.sh --benches
    python scripts/bench_gpu.py [network] [pipeline] [finetune] --binary headstock --benches FOLDER

Same card, same process for all of PyTorch's ways (`scripts/gpu_peers.py`), headstock's in processes of their own. All take turns: in a
round each runs for about --seconds, and the tables have medians over the rounds and the median of the ratios in a round. Images lie in
the card's memory before the clock runs, and what the card was given to do is waited for.

The pipeline is a folder of 500x375 JPEGs, drawn here: `headstock extract`'s own rate, beside a DataLoader with a worker a core
(`scripts/gpu_peer_pipeline.py`). Neither counts the start, the opening of the card or compilation.

--device cpu tries the script itself where there is no card.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from gpu_peers import WAYS, Peer, TrainingStep, matrix_peak

GFLOP = 11.42  # An image's, at 299x299, a multiply-add counted as two.
HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser()
parser.add_argument("parts", nargs="*", default=[], help="network, pipeline, finetune: all unless named")
parser.add_argument("--binary", type=Path, help="headstock, for the pipeline")
parser.add_argument("--benches", type=Path, help="the folder of the built network_rate and finetune_step")
parser.add_argument("--device", default="cuda")
parser.add_argument("--precisions", default="f16,bf16,tf32")
parser.add_argument("--ways", default=",".join(WAYS))
parser.add_argument("--batches", default="1,32,256")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--seconds", type=float, default=1.0)
parser.add_argument("--images", type=int, default=20000, help="of the pipeline's folder")
parser.add_argument("--drawn", type=int, default=500, help="of them, different ones")
parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
parser.add_argument("--matrix", type=int, default=8192, help="the side of the product that tells the card's peak")
args = parser.parse_args()
PARTS = args.parts or ["network", "pipeline", "finetune"]
PRECISIONS, BATCHES = args.precisions.split(","), [int(batch) for batch in args.batches.split(",")]
ON_CARD = args.device != "cpu"
median = statistics.median


class Headstock:
    """A bench that answers lines with rates."""

    def __init__(self, name):
        programs = [path for path in args.benches.glob(f"{name}-*") if os.access(path, os.X_OK) and path.suffix == ""]
        program = max(programs, key=lambda path: path.stat().st_mtime, default=args.benches / name)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rate(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the bench ended at {words}")
        return float(answer)


def rounds_of(rates, per_repeat):
    """Rates by name of several rounds. `rates` are functions of a number of repeats, each of `per_repeat` images."""
    repeats = {name: max(1, round(args.seconds * rate(1) / per_repeat)) for name, rate in rates.items()}
    return [{name: rate(repeats[name]) for name, rate in rates.items()} for _ in range(args.rounds)]


def opened(makers):
    """Those that can be had; one that cannot is said to be so, and is no reason to stop."""
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except Exception as error:
            print(f"{name} is left out: {str(error).splitlines()[0][:200]}", file=sys.stderr, flush=True)
    return made


def table(what, rounds, ours, peak=None):
    """Each one's median rate; of ours, how it stands to each peer."""
    print(f"\n| {what} | images/s, median | least, most | of the card's peak | headstock over it, median of rounds |\n|---|---|---|---|---|")
    for name in rounds[0]:
        rates = [rates[name] for rates in rounds]
        share = f"{median(rates) * GFLOP * 1e9 / peak[name.split()[-1]]:.1%}" if peak else ""
        best = max((other for other in rounds[0] if other in ours), key=lambda other: median(rates[other] for rates in rounds))
        ratio = median(rates[best] / rates[name] for rates in rounds)
        print(f"| {name} | {median(rates):.1f} | {min(rates):.1f}, {max(rates):.1f} | {share} | {ratio:.2f} |", flush=True)


def network():
    bench = Headstock("network_rate")
    peak = {precision: matrix_peak(precision, args.device, args.matrix) for precision in PRECISIONS}
    print("\nPeak of a product of two matrices of", args.matrix, {name: f"{value / 1e12:.1f} TFLOP/s" for name, value in peak.items()})
    for batch in BATCHES:
        ours = {f"headstock {precision}": precision for precision in PRECISIONS}
        rates = {
            name: lambda repeats, precision=precision: bench.rate(batch, repeats, args.device, precision)
            for name, precision in ours.items()
        }
        makers = {
            f"PyTorch {way} {precision}": lambda way=way, precision=precision: Peer(way, precision, batch, args.device).rate
            for precision in PRECISIONS
            for way in args.ways.split(",")
        }
        rates |= opened(makers)
        table(f"network alone, batch {batch}", rounds_of(rates, batch), ours, peak)
        del rates
        torch._dynamo.reset()


def draw(folder):
    """JPEGs of 500x375: soft shapes with noise on them; copies by name where more are wanted than drawn."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(1)
    for index in range(args.images):
        path = folder / f"{index:06}.jpg"
        if index >= args.drawn:
            os.link(folder / f"{index % args.drawn:06}.jpg", path)
            continue
        picture = Image.fromarray(rng.integers(0, 255, (15, 20, 3), dtype=np.uint8)).resize((500, 375), Image.BICUBIC)
        pen = ImageDraw.Draw(picture)
        for _ in range(40):
            x, y, w, h = rng.integers(0, 500), rng.integers(0, 375), *rng.integers(5, 120, 2)
            pen.ellipse((int(x), int(y), int(x + w), int(y + h)), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
        picture = np.asarray(picture) + rng.normal(0, 6, (375, 500, 3))
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path, quality=90)


def pipeline():
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        draw(images)

        def extract():
            command = [args.binary.resolve(), "extract", "--images", images, "--out", Path(folder) / "out.npy", "--device", args.device]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return float(re.search(r"([\d.]+) images/s", done.stderr).group(1))

        def loader(decoder):
            compile_as = "max-autotune" if ON_CARD else "none"
            words = [images, args.device, args.workers, 256 if ON_CARD else 16, decoder, compile_as]
            command = [sys.executable, HERE / "gpu_peer_pipeline.py", *map(str, words)]
            return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)

        runs = {"headstock extract": extract}
        runs |= {f"DataLoader, {decoder}": lambda decoder=decoder: loader(decoder) for decoder in ("torchvision", "pillow")}
        rounds = [{name: run() for name, run in runs.items()} for _ in range(max(3, args.rounds // 2))]
    table(f"{args.images} JPEGs of 500x375 on {args.workers} cores", rounds, {"headstock extract"})


def finetune():
    bench = Headstock("finetune_step")
    precisions = ("bf16", "tf32")
    for batch in [batch for batch in BATCHES if batch > 1]:
        ours = {f"headstock {precision}": precision for precision in precisions}
        rates = {
            name: lambda repeats, precision=precision: bench.rate(batch, repeats, args.device, precision)
            for name, precision in ours.items()
        }
        makers = {
            f"PyTorch {way} {precision}": lambda way=way, precision=precision: TrainingStep(way, precision, batch, args.device).rate
            for precision in precisions
            for way in ("eager", "compiled")
            if way in args.ways
        }
        table(f"training past layer 150, batch {batch}", rounds_of(rates | opened(makers), batch), ours)
        torch._dynamo.reset()


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    text = f"{cpu}, {args.workers} cores; torch {torch.__version__}"
    if ON_CARD:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
        text += f"; {subprocess.run(query, capture_output=True, text=True).stdout.strip()}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return text


print(machine())
for part in PARTS:
    {"network": network, "pipeline": pipeline, "finetune": finetune}[part]()
