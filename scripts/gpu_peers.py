"""PyTorch's ways to run the same network on a card, for `scripts/bench_gpu.py`: each a function of images in the card's memory.

    eager        channels last, batch norm as it is
    folded       channels last, each batch norm folded into its convolution
    graph        folded, recorded once as a CUDA graph and played again
    compiled     torch.compile, max-autotune (CUDA graphs within), weights frozen

All with cudnn.benchmark, under inference_mode. f16 and bf16 are the number type of weights and activations; tf32 is float32 with
TF32 allowed in products. Random weights: speed does not depend on them.
"""

import copy
import time

import torch
import torchvision

DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "f32": torch.float32}
WAYS = ("eager", "folded", "graph", "compiled")


def settings(precision):
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


def network():
    torch.manual_seed(0)
    model = torchvision.models.inception_v3(weights=None, transform_input=False, init_weights=False)
    model.aux_logits, model.AuxLogits = False, None
    model.fc, model.dropout = torch.nn.Identity(), torch.nn.Identity()
    return model.eval()


def folded(model):
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, torchvision.models.inception.BasicConv2d):
            module.conv = torch.nn.utils.fusion.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = torch.nn.Identity()
    return model


def recorded(run, images):
    """Plays a CUDA graph of `run` on these very images."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(images)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        features = run(images)

    def play(_):
        graph.replay()
        return features

    return play


def compiled(model, card):
    import torch._inductor.config

    torch._inductor.config.freezing = True
    return torch.compile(model, mode="max-autotune" if card else "default", dynamic=False)


class Peer:
    """The network in one way and precision, for one batch size."""

    def __init__(self, way, precision, batch, device):
        settings(precision)
        self.precision, self.batch, self.device = precision, batch, device
        model = network() if way == "eager" else folded(network())
        model = model.to(device, DTYPES[precision], memory_format=torch.channels_last)
        self.images = torch.rand(batch, 3, 299, 299, device=device) * 2 - 1
        self.images = self.images.to(DTYPES[precision], memory_format=torch.channels_last)
        with torch.inference_mode():
            self.run = compiled(model, device != "cpu") if way == "compiled" else model
            if way == "graph":
                self.run = recorded(model, self.images)
        for _ in range(3):
            self.rate(1)

    def rate(self, repeats):
        """Images a second."""
        settings(self.precision)
        with torch.inference_mode():
            synchronise(self.device)
            began = time.perf_counter()
            for _ in range(repeats):
                self.run(self.images)
            synchronise(self.device)
        return self.batch * repeats / (time.perf_counter() - began)


def synchronise(device):
    if device != "cpu":
        torch.cuda.synchronize()


def matrix_peak(precision, device, side):
    """Operations a second of a large product of two matrices; the best of a few."""
    settings(precision)
    a, b = (torch.randn(side, side, device=device).to(DTYPES[precision]) for _ in range(2))
    best = 0.0
    for _ in range(6):
        synchronise(device)
        began = time.perf_counter()
        for _ in range(10):
            a @ b
        synchronise(device)
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - began))
    return best


class TrainingStep:
    """Training past Keras' layer 150 from the maps that cross the border, batch norm frozen, SGD with momentum 0.9: the peer of
    `benches/finetune_step.rs`. bf16 and f16 are autocast over float32 weights; f16 would need a scaled loss besides, bf16 does not."""

    TRAINED = ("branch1x1", "branch7x7_3", "branch7x7dbl_5", "branch_pool")

    def __init__(self, way, precision, batch, device):
        settings("tf32")
        self.batch, self.device, self.precision = batch, device, precision
        model = network().to(device, memory_format=torch.channels_last)
        model.fc = torch.nn.Linear(2048, 3, device=device)
        trained = [getattr(model.Mixed_6c, name) for name in self.TRAINED]
        trained += [model.Mixed_6d, model.Mixed_6e, model.Mixed_7a, model.Mixed_7b, model.Mixed_7c]
        model.requires_grad_(False)
        parameters = list(model.fc.requires_grad_(True).parameters())
        for module in trained:
            # The network of 2015 has no gamma: it is not trained here either.
            parameters += [p.requires_grad_(True) for name, p in module.named_parameters() if not name.endswith("bn.weight")]
        assert sum(p.numel() for p in parameters) == 17_366_976 + 3 * 2049
        self.optimiser = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, fused=device != "cpu")
        narrow = model.Mixed_6c.branch7x7_3.conv.in_channels
        crossing = torch.rand(batch, 768 + 2 * narrow, 17, 17, device=device)
        self.maps = crossing.contiguous(memory_format=torch.channels_last).split([768, narrow, narrow], dim=1)
        self.labels = torch.arange(batch, device=device) % 3
        past = lambda x, a, b: self.past(model, x, a, b)
        self.past_border = torch.compile(past, mode="max-autotune", dynamic=False) if way == "compiled" else past
        for _ in range(3):
            self.rate(1)

    @staticmethod
    def past(model, x, a, b):
        block = model.Mixed_6c
        pooled = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
        x = torch.cat([block.branch1x1(x), block.branch7x7_3(a), block.branch7x7dbl_5(b), block.branch_pool(pooled)], 1)
        x = model.Mixed_7a(model.Mixed_6e(model.Mixed_6d(x)))
        return model.fc(torch.flatten(model.avgpool(model.Mixed_7c(model.Mixed_7b(x))), 1))

    def rate(self, steps):
        """Images a second."""
        settings("tf32")
        synchronise(self.device)
        began = time.perf_counter()
        for _ in range(steps):
            kind = "cpu" if self.device == "cpu" else "cuda"
            with torch.autocast(kind, DTYPES[self.precision], enabled=self.precision in ("bf16", "f16")):
                logits = self.past_border(*self.maps)
                loss = torch.nn.functional.cross_entropy(logits.float(), self.labels)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
        synchronise(self.device)
        return self.batch * steps / (time.perf_counter() - began)
