#!/usr/bin/env python3
"""Make the golden files of ONNX, under `tests/golden/onnx/`: graphs as exporters write them, and what ONNX Runtime computes by them.

For each graph:

- `<name>.onnx`: what the exporter wrote, but for its large tensors: they are said to lie in `<name>.bin`, which is not
  committed. Documentation, shapes of intermediate results and exporters' metadata are left out.
- `<name>.json`: those tensors in their order in that file, `[name, shape, rule]`. A test makes the file: element i of the
  tensor is, by u of `golden_network.py` for the tensor's name,

      kernel      (u * 2 - 1) * float32(sqrt(6 / fan))         fan: the product of its lengths but for that of the outputs
      positive    0.5 + u                                      batch norm's scale and variance
      vector      (u - 0.5) * 0.5                              biases, batch norm's shift and mean

- `<name>.safetensors`: `features` [3, 2048] and, where the graph goes on, `outputs` [3, K], by ONNX Runtime in float32 on
  `pixels_{0,1,2}.png`, brought into the range that the graph takes.

| graph | exporter | |
|---|---|---|
| torchscript | torch.onnx, dynamo=False | torchvision, `transform_input`, classifier; batch norms folded by the exporter |
| torchscript_plain | torch.onnx, dynamo=False, opset 11 | torchvision without classifier; batch norms as they are |
| dynamo | torch.onnx, dynamo=True | torchvision, `transform_input`, classifier |
| dynamo_plain | torch.onnx, dynamo=True | torchvision, classifier, nothing before the first convolution |
| fid | torch.onnx, dynamo=False | pytorch-fid's network: the pools of 2015 |
| keras | keras' `model.export(format="onnx")`, torch backend | Keras' applications, no top, pooled |
| tf2onnx | tf2onnx from TensorFlow's Keras | Keras' applications, with top; channels last |

And of networks that are no Inception-v3, whole as they are small: `small_torchscript.onnx` and `small_dynamo.onnx`, one network with what
backbones are made of (padded pools, groups, gates), and in `small.safetensors` what ONNX Runtime gives for `photo.png`, brought to 32
pixels and into ImageNet's range by torchvision's transforms: `features` [1, 24], and `map` [1, 24, 4, 4], from which they are pooled.

Rerun, from the root of the repository:

    pip install numpy==2.4.6 pillow==13.0.0 torch==2.15.0 torchvision==0.29.2 pytorch-fid==0.3.0 keras==3.15.1 \\
        onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
    python scripts/golden_onnx.py [NAME ...]

`tf2onnx` wants TensorFlow, which does not live beside these; in an environment of its own

    pip install tensorflow-cpu==2.21.0 tf2onnx==1.17.0
    python scripts/golden_onnx.py --tensorflow tf2onnx.onnx
    python scripts/golden_onnx.py --from tf2onnx.onnx tf2onnx       in the first one
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

SIDE = 299
# Tensors of more numbers than this are left out of the committed graphs.
SMALL = 16


def export_tensorflow(path):
    """Keras' network by TensorFlow and tf2onnx; its weights are of no account."""
    import tensorflow as tf
    import tf2onnx

    model = tf.keras.applications.InceptionV3(weights=None)
    signature = (tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="image"),)
    tf2onnx.convert.from_keras(model, signature, opset=15, output_path=str(path))


def torch_export(model, path, **options):
    import torch

    image = torch.zeros(1, 3, SIDE, SIDE)
    torch.onnx.export(model.eval(), (image,), str(path), input_names=["image"], verbose=False, **options)


def torchvision_model(transform_input, classifier=True):
    """torchvision's network with seeded weights, so that no two tensors are alike and none is left out as such."""
    import torch
    import torchvision
    from golden_network import fill, seeded_weights

    torch.manual_seed(1)
    model = torchvision.models.inception_v3(
        weights=None, aux_logits=False, init_weights=False, transform_input=transform_input
    )
    classes = torch.nn.Linear(2048, 1000)
    model.fc = torch.nn.Identity()
    fill(model, seeded_weights(gamma=True))
    if classifier:
        model.fc = classes
    return model


def export_torchscript(path):
    torch_export(torchvision_model(True), path, dynamo=False, dynamic_axes={"image": {0: "batch"}})


def export_torchscript_plain(path):
    import torch

    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False, "opset_version": 11}
    options |= {"dynamic_axes": {"image": {0: "batch"}}}
    torch_export(torchvision_model(False, classifier=False), path, dynamo=False, **options)


def dynamic_batch():
    import torch

    return ({0: torch.export.Dim("batch")},)


def export_dynamo(path):
    torch_export(torchvision_model(True), path, dynamo=True, external_data=False, dynamic_shapes=dynamic_batch())


def export_dynamo_plain(path):
    torch_export(torchvision_model(False), path, dynamo=True, external_data=False, dynamic_shapes=dynamic_batch())


def export_fid(path):
    from golden_network import build_torchvision, seeded_weights

    model = build_torchvision("tf2015", seeded_weights(gamma=False))
    torch_export(model, path, dynamo=False, dynamic_axes={"image": {0: "batch"}})


def export_keras(path):
    import torch
    from golden_network import build_keras, fill_keras, seeded_weights

    model = build_keras(pooling="avg")
    # Tensors that are alike would be exported as one.
    fill_keras(model, seeded_weights(gamma=False))
    # It is exported as it was called.
    model(torch.zeros(1, SIDE, SIDE, 3))
    model.export(str(path), format="onnx", verbose=False)


EXPORTERS = {
    "torchscript": export_torchscript,
    "torchscript_plain": export_torchscript_plain,
    "dynamo": export_dynamo,
    "dynamo_plain": export_dynamo_plain,
    "fid": export_fid,
    "keras": export_keras,
}

def small_model():
    import torch
    from torch import nn

    class Gate(nn.Module):
        """Squeeze and excitation, as MobileNetV3 has it."""

        def __init__(self, channels):
            super().__init__()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.conv = nn.Conv2d(channels, channels, 1)
            self.act = nn.Hardsigmoid()

        def forward(self, x):
            return x * self.act(self.conv(self.pool(x)))

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish(), nn.MaxPool2d(3, 2, 1))
            self.deep = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU6(), Gate(16))
            self.last = nn.Sequential(nn.Conv2d(16, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24))

        def forward(self, x):
            x = self.stem(x)
            x = x + self.deep(x)
            maps = self.last(x)
            return maps.mean((2, 3)), maps

    torch.manual_seed(7)
    model = Small()
    # Statistics that are not those of a new network.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def write_small(golden):
    import numpy as np
    import onnx
    import onnxruntime
    import torch
    from convert_weights import serialize
    from golden_network import GOLDEN
    from PIL import Image
    from torchvision import transforms

    mean, deviation = IMAGENET
    transform = transforms.Compose([
        transforms.Resize(37, antialias=True), transforms.CenterCrop(32),
        transforms.ToTensor(), transforms.Normalize(mean, deviation),
    ])
    image = transform(Image.open(GOLDEN / "photo.png").convert("RGB"))[None]
    names = {"input_names": ["image"], "output_names": ["features", "map"]}
    results = {}
    for name, options in (("small_torchscript", {"dynamo": False}), ("small_dynamo", {"dynamo": True, "external_data": False})):
        path = golden / f"{name}.onnx"
        torch.onnx.export(small_model(), (image,), str(path), verbose=False, **names, **options)
        model = onnx.load(path)
        model.graph.ClearField("value_info")
        for item in [model, *model.graph.node, *model.graph.input, *model.graph.output]:
            item.ClearField("metadata_props")
            item.ClearField("doc_string")
        onnx.save(model, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        results[name] = session.run(None, {"image": image.numpy()})
        print(f"{name}: opset {model.opset_import[0].version}, {path.stat().st_size} bytes")
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(*results.values()))
    features, maps = results["small_torchscript"]
    metadata = {"format": "headstock.golden/1"}
    (golden / "small.safetensors").write_bytes(serialize({"features": features, "map": maps}, metadata))


# What v / 255 becomes for a graph: (v / 255 - mean) / deviation.
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)


def rule_of(graph, name):
    """How the numbers of an initialiser are made: by what first reads it."""
    for node in graph.node:
        for position, read in enumerate(node.input):
            if read != name:
                continue
            if node.op_type in ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast"):
                return rule_of(graph, node.output[0])
            if node.op_type == "BatchNormalization":
                return "positive" if position in (1, 4) else "vector"
            if node.op_type in ("Conv", "Gemm", "MatMul") and position == 1:
                return "kernel"
            # A batch norm that is written out: what it is multiplied by, what is under the root.
            if node.op_type in ("Mul", "Div", "Sqrt") or (node.op_type == "Add" and is_under_root(graph, node)):
                return "positive"
            return "vector"
    raise ValueError(f"nothing reads {name}")


def is_under_root(graph, add):
    return any(node.op_type in ("Sqrt", "Pow") and node.input[0] == add.output[0] for node in graph.node)


def seeded(name, shape, rule, outputs):
    import numpy as np
    from golden_network import fnv1a_64, splitmix_units

    half = np.float32(0.5)
    u = splitmix_units(fnv1a_64(name), math.prod(shape)).reshape(shape)
    if rule == "positive":
        return half + u
    if rule == "vector":
        return (u - half) * half
    bound = np.float32(math.sqrt(6 * outputs / math.prod(shape)))
    return (u * np.float32(2) - np.float32(1)) * bound


def outputs_of(graph, tensor):
    """The outputs of a kernel: its first length, or its last where it is transposed before it is used, or multiplied from the right."""
    reader = next(node for node in graph.node if tensor.name in node.input)
    is_first = reader.op_type == "Conv" or any(a.name == "transB" and a.i for a in reader.attribute)
    return tensor.dims[0] if is_first else tensor.dims[-1]


def strip(model, name, folder):
    """Put the large tensors, newly seeded, into `<name>.bin` in `folder`, and the list of them beside it."""
    import numpy as np
    import onnx
    from onnx import external_data_helper, numpy_helper

    graph = model.graph
    # Constants that are nodes are tensors like the others.
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is not None and math.prod(tensor.dims) > SMALL:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = node.output[0]
            graph.node.remove(node)
    rows, blob = [], bytearray()
    for tensor in graph.initializer:
        shape = list(tensor.dims)
        if math.prod(shape) <= SMALL or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        rule = rule_of(graph, tensor.name)
        outputs = outputs_of(graph, tensor) if rule == "kernel" else 0
        values = seeded(tensor.name, shape, rule, outputs)
        named = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), named))
        external_data_helper.set_external_data(tensor, f"{name}.bin", offset=len(blob), length=len(tensor.raw_data))
        blob += tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        rows.append([named, shape, rule, outputs])
    graph.ClearField("value_info")
    graph.ClearField("doc_string")
    graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    for item in [*graph.node, *graph.input, *graph.output]:
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    (folder / f"{name}.bin").write_bytes(blob)
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return rows


def features_name(graph):
    """What goes into the classifier, and whether there is one."""
    for node in reversed(graph.node):
        if node.op_type in ("Gemm", "MatMul"):
            return node.input[0], True
    return graph.output[0].name, False


def run(folder, name, pixels, takes):
    """Features, and the output where there is another one, by ONNX Runtime."""
    import numpy as np
    import onnx
    import onnxruntime

    path = folder / f"{name}.onnx"
    model = onnx.load(path, load_external_data=False)
    features, has_classifier = features_name(model.graph)
    if has_classifier:
        model.graph.output.add().name = features
        path = folder / f"{name}.with_features.onnx"
        onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    mean, deviation = (np.array(numbers, np.float32) for numbers in takes)
    images = (pixels.astype(np.float32) / np.float32(255) - mean) / deviation
    if image.shape[1] == 3:
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    # Some exporters fix the batch.
    results = [session.run(None, {image.name: one[None]}) for one in images]
    results = [np.concatenate(rows) for rows in zip(*results)]
    return results[-1].reshape(len(pixels), -1), results[0] if has_classifier else None


def main():
    parser = argparse.ArgumentParser(description="Write the golden files of ONNX under tests/golden/onnx.")
    parser.add_argument("names", nargs="*", help="which graphs (default: all but tf2onnx)")
    parser.add_argument("--tensorflow", type=Path, metavar="FILE", help="only write TensorFlow's graph to FILE")
    parser.add_argument("--from", dest="given", type=Path, metavar="FILE", help="the graph, as it was exported before")
    args = parser.parse_args()
    if args.tensorflow:
        export_tensorflow(args.tensorflow)
        return

    import numpy as np
    import onnx
    from convert_weights import serialize
    from golden_network import GOLDEN, read_rgb

    golden = GOLDEN / "onnx"
    golden.mkdir(exist_ok=True)
    if not args.names:
        write_small(golden)
    pixels = np.stack([read_rgb(GOLDEN / f"pixels_{index}.png") for index in range(3)])
    for name in args.names or EXPORTERS:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            exported = args.given or folder / "exported.onnx"
            if not args.given:
                EXPORTERS[name](exported)
            model = onnx.load(exported)
            rows = strip(model, name, folder)
            takes = IMAGENET if name in ("torchscript", "dynamo") else HALF
            features, outputs = run(folder, name, pixels, takes)
            norms = [float(np.linalg.norm(row)) for row in features]
            producer = f"{model.producer_name} {model.producer_version}, opset {model.opset_import[0].version}"
            print(f"{name}: {producer}, {len(rows)} tensors, features of norm {norms}")
            assert all(1 < norm < 1e4 for norm in norms), "ill-conditioned"
            tensors = {"features": features} | ({} if outputs is None else {"outputs": outputs})
            metadata = {"format": "headstock.golden/1", "producer": producer}
            (golden / f"{name}.safetensors").write_bytes(serialize(tensors, metadata))
            (golden / f"{name}.onnx").write_bytes((folder / f"{name}.onnx").read_bytes())
            lines = ",\n".join(json.dumps(row) for row in rows)
            (golden / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
