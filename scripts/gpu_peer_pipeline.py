"""A folder of JPEGs to embeddings in PyTorch, tuned, for `scripts/bench_gpu.py`: prints the images a second.

    python scripts/gpu_peer_pipeline.py FOLDER DEVICE WORKERS BATCH DECODER [COMPILE]

Workers decode and resize to bytes (DECODER: `pillow`, or `torchvision`, whose decoder is libjpeg-turbo); batches are pinned, copied without
waiting, and normalised on the card; the network is bf16, channels last, compiled with COMPILE = max-autotune (CUDA graphs within),
or `none`. The time runs from the first batch asked for, when the network is compiled and warm, to the last row in the host's memory.
"""

import sys
import time
from pathlib import Path

import torch
from gpu_peers import compiled, folded, network, settings
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

folder, device, workers, batch, decoder = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
compile_as = sys.argv[6] if len(sys.argv) > 6 else "max-autotune"
on_card = device != "cpu"


class Folder(torch.utils.data.Dataset):
    def __init__(self):
        self.paths = sorted(Path(folder).rglob("*.jpg"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        """Bytes [3, 299, 299]."""
        if decoder == "pillow":
            picture = Image.open(self.paths[index]).convert("RGB").resize((299, 299), Image.BILINEAR)
            return functional.pil_to_tensor(picture)
        picture = decode_jpeg(read_file(str(self.paths[index])), ImageReadMode.RGB)
        return functional.resize(picture, [299, 299], antialias=True)


def one_thread(_):
    torch.set_num_threads(1)


def main():
    settings("bf16")
    model = folded(network()).to(device, torch.bfloat16, memory_format=torch.channels_last)
    run = compiled(model, on_card) if compile_as != "none" else model

    def embed(pixels):
        images = pixels.to(device, non_blocking=True).to(memory_format=torch.channels_last)
        return run(((images.to(torch.bfloat16) - 128) / 128)).float()

    loader = torch.utils.data.DataLoader(
        Folder(), batch_size=batch, num_workers=workers, pin_memory=on_card, prefetch_factor=4, worker_init_fn=one_thread,
    )
    with torch.inference_mode():
        images = len(loader.dataset)
        for size in {min(batch, images), images % batch or batch}:
            for _ in range(3):
                embed(torch.zeros(size, 3, 299, 299, dtype=torch.uint8)).cpu()
        began = time.perf_counter()
        # One batch behind, so that the card has the next one before the host waits for this one.
        rows, before = [], None
        for pixels in loader:
            features = embed(pixels).clone()
            if before is not None:
                rows.append(before.cpu())
            before = features
        rows.append(before.cpu())
        rows = torch.cat(rows)
    assert rows.shape == (images, 2048)
    print(images / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
