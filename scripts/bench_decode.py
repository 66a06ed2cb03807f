"""Decoding and resizing a JPEG on one thread: headstock beside libjpeg-turbo, Pillow, Pillow-SIMD and torchvision.

    pip install numpy pillow torch torchvision simplejpeg
    cargo bench --bench decode_rate --no-run
    python scripts/bench_decode.py [--rounds 9] [--pillow-simd PYTHON]

The image is tests/golden/photo.jpg, 500x375, 4:2:0. simplejpeg is libjpeg-turbo with its defaults (whose upsampling and IDCT Pillow
has too). PYTHON is an interpreter whose `PIL` is Pillow-SIMD (`CC="cc -mavx2" pip install --no-binary :all: pillow-simd`). All
take turns in a round; medians of the rounds, and of the ratios.

    python scripts/bench_decode.py --cores 2000,5000,10000

asks something else: how many such cores feed a card that takes so many images a second? For photos of three sizes, the one above
enlarged: milliseconds of decode and resize by headstock, and the cores, which decode alone.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

here = Path(__file__).parent.parent
photo = here / "tests/golden/photo.jpg"
PILLOW = """
import io, sys, time
from PIL import Image
data = open(sys.argv[1], "rb").read()
picture = Image.open(io.BytesIO(data)).convert("RGB")
for line in sys.stdin:
    what, repeats = line.split()
    began = time.perf_counter()
    for _ in range(int(repeats)):
        if what == "decode":
            Image.open(io.BytesIO(data)).convert("RGB").load()
        else:
            picture.resize((299, 299), Image.BILINEAR)
    print((time.perf_counter() - began) * 1e3 / int(repeats), flush=True)
"""
TURBO = """
import sys, time
import numpy, simplejpeg
data = open(sys.argv[1], "rb").read()
for line in sys.stdin:
    what, repeats = line.split()
    began = time.perf_counter()
    for _ in range(int(repeats)):
        simplejpeg.decode_jpeg(data)
    print((time.perf_counter() - began) * 1e3 / int(repeats), flush=True)
"""
TORCHVISION = """
import sys, time
import numpy, torch, torchvision
from torchvision.transforms.v2 import functional
torch.set_num_threads(1)
data = torch.frombuffer(bytearray(open(sys.argv[1], "rb").read()), dtype=torch.uint8)
mode = torchvision.io.ImageReadMode.RGB
picture = torchvision.io.decode_jpeg(data, mode)
for line in sys.stdin:
    what, repeats = line.split()
    began = time.perf_counter()
    for _ in range(int(repeats)):
        if what == "decode":
            torchvision.io.decode_jpeg(data, mode)
        else:
            functional.resize(picture, [299, 299], antialias=True)
    print((time.perf_counter() - began) * 1e3 / int(repeats), flush=True)
"""


class Peer:
    """A process that reads `what repeats` and answers milliseconds."""

    def __init__(self, command, verbs=("decode", "resize"), suffix=""):
        self.verbs, self.suffix = verbs, suffix
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def milliseconds(self, what, repeats):
        self.process.stdin.write(f"{what} {repeats}{self.suffix}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def headstock():
    if args.bench:
        return args.bench
    built = subprocess.run(
        ["cargo", "bench", "--bench", "decode_rate", "--no-run", "--message-format", "json"],
        cwd=here, capture_output=True, text=True, check=True,
    )
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "decode_rate" and m.get("executable"))


parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=9)
parser.add_argument("--repeats", type=int, default=100)
parser.add_argument("--pillow-simd", metavar="PYTHON")
parser.add_argument("--cores", metavar="RATES", help="images a second of a card, with commas")
parser.add_argument("--bench", help="the built decode_rate; otherwise cargo is asked")
args = parser.parse_args()


def enlarged(folder, width, height):
    """The photo in another size: enlarged, with noise, as a larger sensor has it; quality 90, 4:2:0."""
    import numpy
    from PIL import Image

    picture = numpy.asarray(Image.open(photo).convert("RGB").resize((width, height), Image.BICUBIC))
    noise = numpy.random.default_rng(0).normal(0, 4, picture.shape)
    path = Path(folder) / f"{width}x{height}.jpg"
    Image.fromarray(numpy.clip(picture + noise, 0, 255).astype(numpy.uint8)).save(path, quality=90, subsampling="4:2:0")
    return path


def cores(rates):
    with tempfile.TemporaryDirectory() as folder:
        photos = {"500x375": photo}
        photos |= {f"{w}x{h}": enlarged(folder, w, h) for w, h in ((1024, 768), (4000, 3000))}
        peers = {size: Peer([headstock()], suffix=f" {path}") for size, path in photos.items()}
        print("| JPEG | decode, ms | resize, ms | images/s a core | " + " | ".join(f"cores for {rate}/s" for rate in rates) + " |")
        print("|---" * (4 + len(rates)) + "|")
        for size, peer in peers.items():
            repeats = max(3, args.repeats * 187500 // (int(size.split("x")[0]) * int(size.split("x")[1])))
            took = {what: statistics.median(peer.milliseconds(what, repeats) for _ in range(args.rounds)) for what in peer.verbs}
            both = sum(took.values())
            needed = " | ".join(str(math.ceil(rate * both / 1e3)) for rate in rates)
            print(f"| {size} | {took['decode']:.2f} | {took['resize']:.2f} | {1e3 / both:.0f} | {needed} |")


def beside_others():
    peers = {
        "headstock": Peer([headstock()], suffix=f" {photo}"),
        "libjpeg-turbo (simplejpeg)": Peer([sys.executable, "-c", TURBO, photo], verbs=("decode",)),
        "Pillow": Peer([sys.executable, "-c", PILLOW, photo]),
        "torchvision": Peer([sys.executable, "-c", TORCHVISION, photo]),
    }
    if args.pillow_simd:
        peers["Pillow-SIMD"] = Peer([args.pillow_simd, "-c", PILLOW, photo])
    for what in ("decode", "resize"):
        able = {name: peer for name, peer in peers.items() if what in peer.verbs}
        for peer in able.values():
            peer.milliseconds(what, 5)
        rounds = [{name: peer.milliseconds(what, args.repeats) for name, peer in able.items()} for _ in range(args.rounds)]
        print(f"\n| {what} | ms, median | it over headstock, median of rounds (least, most) |\n|---|---|---|")
        for name in able:
            ratios = [times[name] / times["headstock"] for times in rounds]
            median = statistics.median(times[name] for times in rounds)
            print(f"| {name} | {median:.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f}) |")


if args.cores:
    cores([int(rate) for rate in args.cores.split(",")])
else:
    beside_others()
