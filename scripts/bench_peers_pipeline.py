"""A folder of JPEGs to embeddings the usual way in Python: PyTorch DataLoader, PIL, torchvision transforms, ONNX Runtime.

    python scripts/bench_peers_pipeline.py FOLDER MODEL.onnx THREADS

Decoding and the network share the cores: as many workers as threads, and as many threads for the network (measured on two cores:
fewer of either is slower).
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from torchvision import transforms

folder, model, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)


class Folder(torch.utils.data.Dataset):
    def __init__(self):
        self.paths = sorted(Path(folder).iterdir())
        self.transform = transforms.Compose([
            transforms.Resize((299, 299)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3),
        ])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(Image.open(self.paths[index]).convert("RGB"))


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
loader = torch.utils.data.DataLoader(Folder(), batch_size=16, num_workers=threads)
features = [session.run(None, {"images": batch.numpy()})[0] for batch in loader]
np.save(Path(model).with_suffix(".npy"), np.concatenate(features))
