"""Decoding and resizing a JPEG on one thread: headstock beside libjpeg-turbo, Pillow, Pillow-SIMD and torchvision.

    pip install numpy pillow torch torchvision simplejpeg
    cargo bench --bench decode_rate --no-run
    python scripts/bench_decode.py [--rounds 9] [--pillow-simd PYTHON]

The image is tests/golden/photo.jpg, 500x375, 4:2:0. simplejpeg is libjpeg-turbo with its defaults (whose upsampling and IDCT Pillow
has too). PYTHON is an interpreter whose `PIL` is Pillow-SIMD (`CC="cc -mavx2" pip install --no-binary :all: pillow-simd`). All
take turns in a round; medians of the rounds, and of the ratios.
"""

import argparse
import json
import statistics
import subprocess
import sys
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
args = parser.parse_args()

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
