"""headstock beside PyTorch: training past Keras' layer 150, batch norm frozen, from a cold start.

    pip install numpy torch torchvision
    cargo bench --bench finetune_step --no-run
    python scripts/bench_finetune.py --threads 2 --rounds 5

Both train the same tensors of the same network with SGD, momentum 0.9, in batches of 8, on random images in memory, for three
epochs. PyTorch is channels last; its frozen layers run without a graph, every epoch, as is usual. headstock runs them once and keeps
what they give. Each run is a process of its own, from its start on; what Python takes to import its libraries is not counted.
Rounds follow each other, so that a slow minute of the machine hits both alike. Printed, as Markdown: the medians of images times
epochs a second, of the ratio in a round, and of the processes' peak memory.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--images", type=int, default=64)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--program", help="the built bench; otherwise cargo is asked")
parser.add_argument("--pytorch", action="store_true", help=argparse.SUPPRESS)
args = parser.parse_args()
for library in ("OMP", "MKL", "OPENBLAS", "RAYON"):
    os.environ[f"{library}_NUM_THREADS"] = str(args.threads)
here = Path(__file__).parent.parent

TRAINED_BLOCKS = ("Mixed_6d.", "Mixed_6e.", "Mixed_7a.", "Mixed_7b.", "Mixed_7c.")
TRAINED_BRANCHES = tuple(f"Mixed_6c.{branch}." for branch in ("branch1x1", "branch7x7_3", "branch7x7dbl_5", "branch_pool"))
TRAINED_PARAMETERS = 17_366_976


def pytorch():
    """Trains; prints the rate and the peak memory in bytes."""
    import torch
    import torchvision

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    images = torch.rand(args.images, 3, 299, 299) * 2 - 1
    began = time.perf_counter()
    model = torchvision.models.inception_v3(weights=None, transform_input=False, init_weights=False)
    model.aux_logits, model.AuxLogits = False, None
    model.fc, model.dropout = torch.nn.Linear(2048, 3), torch.nn.Identity()
    model = model.to(memory_format=torch.channels_last).train()
    model.requires_grad_(False)
    trained = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    for name, parameter in model.named_parameters():
        # The network of 2015 has no gamma: it is not trained here either.
        if name.startswith(TRAINED_BLOCKS + TRAINED_BRANCHES) and not name.endswith("bn.weight"):
            trained.append(parameter.requires_grad_(True))
    assert sum(parameter.numel() for parameter in trained) == TRAINED_PARAMETERS
    optimiser = torch.optim.SGD([*trained, *model.fc.requires_grad_(True).parameters()], lr=1e-6, momentum=0.9)
    labels = torch.arange(args.images) % 3
    for _ in range(args.epochs):
        for first in range(0, args.images, args.batch):
            batch = images[first : first + args.batch].contiguous(memory_format=torch.channels_last)
            loss = torch.nn.functional.cross_entropy(model(batch), labels[first : first + args.batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    rate = args.images * args.epochs / (time.perf_counter() - began)
    print(json.dumps({"rate": rate, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def program():
    if args.program:
        return args.program
    command = ["cargo", "bench", "--bench", "finetune_step", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "finetune_step" and m.get("executable"))


def headstock(executable):
    process = subprocess.Popen([executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(f"{args.images} {args.batch} {args.epochs}\n")
    process.stdin.flush()
    rate = float(process.stdout.readline())
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    process.communicate()
    return {"rate": rate, "peak": peak}


def peer():
    done = subprocess.run([sys.executable, *sys.argv, "--pytorch"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    executable = program()
    rounds = [(headstock(executable), peer()) for _ in range(args.rounds)]
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{model}, {args.threads} threads, batches of {args.batch}, {args.images} images, {args.epochs} epochs, {args.rounds} rounds\n")
    print("| | images a second | peak memory, MB |\n|---|---|---|")
    for name, at in (("headstock", 0), ("PyTorch, channels last", 1)):
        rate, peak = (statistics.median(round[at][key] for round in rounds) for key in ("rate", "peak"))
        print(f"| {name} | {rate:.1f} | {peak / 1e6:.0f} |")
    ratio = statistics.median(ours["rate"] / theirs["rate"] for ours, theirs in rounds)
    print(f"\nMedian ratio {ratio:.2f}.")


if args.pytorch:
    pytorch()
else:
    main()
