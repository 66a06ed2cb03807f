#!/usr/bin/env python3
"""Asks NVIDIA's own cuDNN, on a machine without a card, what it would do with the convolutions of src/engine/cuda on one.

    python3 -m venv /tmp/cudnn
    /tmp/cudnn/bin/pip install nvidia-cudnn-cu13 nvidia-cuda-nvrtc==13.0.* nvidia-cublas==13.0.*
    /tmp/cudnn/bin/python scripts/check_cudnn_engines.py [--gradients] [--compile]

Since 9.8 cuDNN takes a description of a card in place of a card: heuristics answer for it, and plans are compiled for it. This describes
an H100, makes the operation graphs that src/engine/cuda/cudnn/ makes (the same descriptors, shapes, strides, types), and prints which
engines there are for each layer, batch and precision, under the rules of config.rs: those with tensor cores not for float32, none that
gives other bits the next time. With --compile the first two of each are compiled as well, which takes a while.

With --gradients it asks for those of training instead (src/engine/cuda/training/, cudnn/gradient.rs): by the input, and by the kernel in
float32 and, in bfloat16, in bfloat16 as well; all tensors packed, which is how they mostly lie there.

Exit code 1 where a layer has no engine that writes straight into its channels of the concatenation.

It runs nothing: what the engines compute, and how fast, is for a card to show. libcuda, which cuDNN wants to find, is a file of
functions that do nothing, compiled here.
"""

import argparse
import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HALF, BFLOAT16, FLOAT = 2, 9, 0
# Precision: number type, tensor cores allowed, types of the bias.
PRECISIONS = {
    "f16": (HALF, True, [FLOAT, HALF]),
    "bf16": (BFLOAT16, True, [FLOAT]),
    "tf32": (FLOAT, True, [FLOAT]),
    "f32": (FLOAT, False, [FLOAT]),
}
NOTES = ["tensor core", "down convert", "reduced reduction", "fft", "nondeterministic", "winograd", "4x4", "6x6", "13x13", "nan"]
UNWANTED = {"down convert", "reduced reduction", "nondeterministic", "6x6", "13x13"}
# What cuDNN asks of a card; the numbers are those of an H100 SXM5.
CARD = {
    "deviceName": "NVIDIA H100 80GB HBM3", "deviceVer": 900, "driverVer": 13000, "cudaDeviceId": 0, "pciDeviceId": 0x2330,
    "multiProcessorCount": 132, "warpSize": 32, "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
    "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
    "reservedSharedMemoryPerBlock": 1024, "oversizedSharedMemoryPerBlock": 0, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048, "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85000000000, "smClockRateKHz": 1980000,
    "memClockRateKHz": 2619000, "memoryBusWidth": 5120, "l2CacheSize": 52428800,
}


def layers():
    """The 94 convolutions at 299x299: name, channels in, side, channels out, kernel, stride, padding, channels of the buffer."""

    def conv(name, channels, side, out, kernel, stride=1, padding=None, buffer=None):
        padding = [length // 2 for length in kernel] if padding is None else padding
        return name, channels, side, out, kernel, stride, padding, buffer or out

    yield conv("1a", 3, 299, 32, [3, 3], 2, [0, 0])
    yield conv("2a", 32, 149, 32, [3, 3], 1, [0, 0])
    yield conv("2b", 32, 147, 64, [3, 3])
    yield conv("3b", 64, 73, 80, [1, 1])
    yield conv("4a", 80, 73, 192, [3, 3], 1, [0, 0])
    for block, channels, pool in ("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64):
        buffer = 64 + 64 + 96 + pool
        yield conv(f"{block} 1x1", channels, 35, 64, [1, 1], buffer=buffer)
        yield conv(f"{block} 5x5_1", channels, 35, 48, [1, 1])
        yield conv(f"{block} 5x5_2", 48, 35, 64, [5, 5], buffer=buffer)
        yield conv(f"{block} 3x3dbl_1", channels, 35, 64, [1, 1])
        yield conv(f"{block} 3x3dbl_2", 64, 35, 96, [3, 3])
        yield conv(f"{block} 3x3dbl_3", 96, 35, 96, [3, 3], buffer=buffer)
        yield conv(f"{block} pool", channels, 35, pool, [1, 1])
    yield conv("6a 3x3", 288, 35, 384, [3, 3], 2, [0, 0], 768)
    yield conv("6a 3x3dbl_1", 288, 35, 64, [1, 1])
    yield conv("6a 3x3dbl_2", 64, 35, 96, [3, 3])
    yield conv("6a 3x3dbl_3", 96, 35, 96, [3, 3], 2, [0, 0], 768)
    for block, inner in ("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192):
        yield conv(f"{block} 1x1", 768, 17, 192, [1, 1], buffer=768)
        yield conv(f"{block} 7x7_1", 768, 17, inner, [1, 1])
        yield conv(f"{block} 7x7_2", inner, 17, inner, [1, 7])
        yield conv(f"{block} 7x7_3", inner, 17, 192, [7, 1], buffer=768)
        yield conv(f"{block} 7x7dbl_1", 768, 17, inner, [1, 1])
        yield conv(f"{block} 7x7dbl_2", inner, 17, inner, [7, 1])
        yield conv(f"{block} 7x7dbl_3", inner, 17, inner, [1, 7])
        yield conv(f"{block} 7x7dbl_4", inner, 17, inner, [7, 1])
        yield conv(f"{block} 7x7dbl_5", inner, 17, 192, [1, 7], buffer=768)
        yield conv(f"{block} pool", 768, 17, 192, [1, 1])
    yield conv("7a 3x3_1", 768, 17, 192, [1, 1])
    yield conv("7a 3x3_2", 192, 17, 320, [3, 3], 2, [0, 0], 1280)
    yield conv("7a 7x7x3_1", 768, 17, 192, [1, 1])
    yield conv("7a 7x7x3_2", 192, 17, 192, [1, 7])
    yield conv("7a 7x7x3_3", 192, 17, 192, [7, 1])
    yield conv("7a 7x7x3_4", 192, 17, 192, [3, 3], 2, [0, 0], 1280)
    for block, channels in ("7b", 1280), ("7c", 2048):
        yield conv(f"{block} 1x1", channels, 8, 320, [1, 1], buffer=2048)
        yield conv(f"{block} 3x3_1", channels, 8, 384, [1, 1])
        yield conv(f"{block} 3x3_2a", 384, 8, 384, [1, 3], buffer=2048)
        yield conv(f"{block} 3x3_2b", 384, 8, 384, [3, 1], buffer=2048)
        yield conv(f"{block} 3x3dbl_1", channels, 8, 448, [1, 1])
        yield conv(f"{block} 3x3dbl_2", 448, 8, 384, [3, 3])
        yield conv(f"{block} 3x3dbl_3a", 384, 8, 384, [1, 3], buffer=2048)
        yield conv(f"{block} 3x3dbl_3b", 384, 8, 384, [3, 1], buffer=2048)
        yield conv(f"{block} pool", channels, 8, 192, [1, 1])


class Cudnn:
    """The library, and descriptors by the numbers of cudnn_graph.h."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.cudnnGetVersion.restype = ctypes.c_size_t
        card = json.dumps(CARD).encode()
        self.card = self.descriptor(38, (2702, 24, (ctypes.c_char * len(card))(*card), len(card)))

    def check(self, status):
        if status:
            words = ctypes.create_string_buffer(4096)
            self.library.cudnnGetLastErrorString(words, ctypes.c_size_t(4096))
            raise RuntimeError(f"status {status}: {words.value.decode()}")

    def new(self, kind):
        descriptor = ctypes.c_void_p()
        self.check(self.library.cudnnBackendCreateDescriptor(kind, ctypes.byref(descriptor)))
        return descriptor

    def descriptor(self, kind, *attributes):
        """A finalised descriptor; attributes are (name, type, array, count)."""
        descriptor = self.new(kind)
        for name, of, array, count in attributes:
            self.check(self.library.cudnnBackendSetAttribute(descriptor, name, of, ctypes.c_int64(count), array))
        self.check(self.library.cudnnBackendFinalize(descriptor))
        return descriptor

    def get(self, descriptor, name, of, element, most):
        array, count = (element * most)(), ctypes.c_int64()
        call = self.library.cudnnBackendGetAttribute
        self.check(call(descriptor, name, of, ctypes.c_int64(most), ctypes.byref(count), array))
        return list(array)[: count.value]

    def get_parts(self, descriptor, name, kind, most):
        parts = [self.new(kind) for _ in range(most)]
        array, count = (ctypes.c_void_p * most)(*[part.value for part in parts]), ctypes.c_int64()
        call = self.library.cudnnBackendGetAttribute
        self.check(call(descriptor, name, 15, ctypes.c_int64(most), ctypes.byref(count), array))
        return parts[: count.value]

    def tensor(self, name, dtype, dims, strides, virtual=False):
        attributes = ints(906, name), enum(901, 1, dtype), ints(902, *dims), ints(903, *strides), ints(900, 16)
        return self.descriptor(17, *attributes, (907, 2, (ctypes.c_bool * 1)(virtual), 1))

    def graph(self, images, layer, dtype, bias):
        """The operation graph of a layer, and what has to stay with it. Without a bias it is the convolution alone."""
        _, channels, side, out, (rows, columns), stride, padding, buffer = layer
        channels = channels if channels > 3 else (4 if dtype == FLOAT else 8)
        height, width = [(side + 2 * pad - kernel) // stride + 1 for pad, kernel in zip(padding, (rows, columns))]
        result = [images, out, height, width]
        image = self.tensor(1, dtype, [images, channels, side, side], channels_last(side, side, channels))
        kernel = self.tensor(2, dtype, [out, channels, rows, columns], channels_last(rows, columns, channels))
        output = self.tensor(4, dtype, result, channels_last(height, width, buffer))
        window = self.window(stride, padding)

        def forward(to):
            one, zero = [(name, 4, (ctypes.c_float * 1)(value), 1) for name, value in ((700, 1), (701, 0))]
            return self.descriptor(10, parts(702, window), parts(704, image), parts(703, kernel), parts(705, to), one, zero)

        if bias is None:
            operations, rest = [forward(output)], []
        else:
            packed = channels_last(height, width, out)
            added = self.tensor(3, bias, [1, out, 1, 1], [out, 1, out, out])
            sums, biased = [self.tensor(name, FLOAT, result, packed, True) for name in (5, 6)]
            add, relu = [self.descriptor(0, enum(0, 14, mode), enum(1, 1, FLOAT)) for mode in (0, 100)]
            operations = [
                forward(sums),
                self.descriptor(13, parts(750, add), parts(751, sums), parts(752, added), parts(753, biased)),
                self.descriptor(13, parts(750, relu), parts(751, biased), parts(753, output)),
            ]
            rest = [added, sums, biased, add, relu]
        graph = self.descriptor(15, parts(801, *operations))
        return graph, [image, kernel, output, window, *operations, *rest]

    def gradient(self, images, layer, dtype, by):
        """The operation graph of a layer's gradient by the input, or by the kernel in a number type."""
        _, channels, side, out, (rows, columns), stride, padding, _ = layer
        channels = channels if channels > 3 else (4 if dtype == FLOAT else 8)
        height, width = [(side + 2 * pad - kernel) // stride + 1 for pad, kernel in zip(padding, (rows, columns))]
        of_kernel = dtype if by == "input" else by
        image = self.tensor(1, dtype, [images, channels, side, side], channels_last(side, side, channels))
        kernel = self.tensor(2, of_kernel, [out, channels, rows, columns], channels_last(rows, columns, channels))
        output = self.tensor(4, dtype, [images, out, height, width], channels_last(height, width, out))
        window = self.window(stride, padding)
        kind, first, names = (12, 706, (709, 710, 711)) if by == "input" else (11, 712, (715, 716, 717))
        one, zero = [(name, 4, (ctypes.c_float * 1)(value), 1) for name, value in ((first, 1), (first + 1, 0))]
        tensors = [parts(name, tensor) for name, tensor in zip(names, (kernel, image, output))]
        operation = self.descriptor(kind, parts(first + 2, window), *tensors, one, zero)
        return self.descriptor(15, parts(801, operation)), [image, kernel, output, window, operation]

    def window(self, stride, padding):
        return self.descriptor(
            1, enum(100, 1, FLOAT), enum(101, 7, 1), ints(106, 2), ints(102, 1, 1), ints(103, stride, stride),
            ints(104, *padding), ints(105, *padding),
        )

    def proposed(self, graph, mode, most=40):
        """(tag, notes, configuration) of what heuristics propose."""
        heuristics = self.descriptor(4, parts(201, graph), enum(200, 8, mode), parts(204, self.card))
        for config in self.get_parts(heuristics, 202, 3, most):
            (engine,) = self.get_parts(config, 300, 2, 1)
            (index,) = self.get(engine, 1301, 3, ctypes.c_int64, 1)
            notes = {NOTES[note] for note in self.get(engine, 1303, 11, ctypes.c_int32, 32)}
            yield f"eng{index}", notes, config

    def compile(self, config):
        """Bytes of workspace of the plan that it becomes."""
        plan = self.descriptor(5, parts(401, config), parts(407, self.card))
        return self.get(plan, 402, 3, ctypes.c_int64, 1)[0]


def ints(name, *values):
    return name, 3, (ctypes.c_int64 * len(values))(*values), len(values)


def enum(name, of, value):
    return name, of, (ctypes.c_int32 * 1)(value), 1


def parts(name, *descriptors):
    return name, 15, (ctypes.c_void_p * len(descriptors))(*[part.value for part in descriptors]), len(descriptors)


def channels_last(height, width, stride):
    return [height * width * stride, 1, width * stride, stride]


def usable(cudnn, graph, precision, mode):
    """(tag, configuration) of what is proposed and may be used."""
    unwanted = UNWANTED if PRECISIONS[precision][1] else UNWANTED | {"tensor core"}
    return [(tag, config) for tag, notes, config in cudnn.proposed(graph, mode) if not notes & unwanted]


def engines_of_gradient(cudnn, images, layer, precision, by):
    """Engines for a layer's gradient, and configurations to compile."""
    for mode in 3, 2:
        try:
            graph, stays = cudnn.gradient(images, layer, PRECISIONS[precision][0], by)
            found = usable(cudnn, graph, precision, mode)
        except RuntimeError:
            continue
        if found:
            return list(dict.fromkeys(tag for tag, _ in found)), found[:2], [stays]
    return [], [], []


def engines(cudnn, images, layer, precision):
    """Engines for a layer, those with the bias in float32 before those with it rounded, and configurations to compile."""
    dtype, _, biases = PRECISIONS[precision]
    # A 1x1 behind a pool is moved before it, and is alone.
    biases = [None] if layer[0].endswith("pool") else biases
    for mode in 3, 2:
        found, configs, kept = [], [], []
        for bias in biases:
            graph, stays = cudnn.graph(images, layer, dtype, bias)
            there = usable(cudnn, graph, precision, mode)
            prefix = "rounded " if bias not in (None, FLOAT) else ""
            found += [prefix + tag for tag in dict.fromkeys(tag for tag, _ in there)]
            configs += [(prefix + tag, config) for tag, config in there[:2]]
            kept.append(stays)
        if found:
            return found, configs, kept
    return [], [], []


def libraries():
    """Makes this process find cuDNN's companions, and a libcuda: the loader reads its path only once, so it starts anew."""
    import nvidia

    root = Path(next(iter(nvidia.__path__)))
    folders = sorted({str(path.parent) for path in root.rglob("lib*.so*")})
    if "CUDNN_WITHOUT_A_CARD" not in os.environ:
        names = set()
        for path in root.rglob("libcudnn*.so.9"):
            names |= set(re.findall(rb"\0(cu[A-Z][A-Za-z0-9]+(?:_v\d+)?)(?=\0)", path.read_bytes()))
        # What was compiled is "loaded"; most else says that there is no device.
        gives = re.compile(rb"cu(Library(LoadData|GetKernel)|Module(LoadData|LoadDataEx|GetFunction)|KernelGetFunction)")
        takes = re.compile(rb"cu(Library|Module)Unload|cu(Kernel|Func)SetAttribute")
        code = ""
        for name in sorted(names - {b"cuDriverGetVersion"}):
            body = "(void **result) { *result = result; return 0; }" if gives.fullmatch(name) else "(void) { return 100; }"
            body = "(void) { return 0; }" if takes.fullmatch(name) else body
            code += f"int {name.decode()}{body}\n"
        code += "int cuDriverGetVersion(int *version) { *version = 13000; return 0; }\n"
        folder = tempfile.mkdtemp()
        command = ["cc", "-w", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-", "-o", f"{folder}/libcuda.so.1"]
        subprocess.run(command, input=code.encode(), check=True)
        path = ":".join([folder, *folders])
        os.environ.update(CUDNN_WITHOUT_A_CARD="1", LD_LIBRARY_PATH=path)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return next(root.rglob("libcudnn.so.9"))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--compile", action="store_true", help="compile the first two of each as well")
    arguments.add_argument("--gradients", action="store_true", help="those of training instead, in bf16, tf32 and f32")
    arguments.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256])
    arguments.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS))
    arguments = arguments.parse_args()
    cudnn = Cudnn(libraries())
    print(f"cuDNN {cudnn.library.cudnnGetVersion()}, {CARD['deviceName']}\n")
    if arguments.gradients:
        kinds = {"by input": "input", "by kernel in float32": FLOAT, "by kernel in bfloat16": BFLOAT16}
        # Nothing is trained in float16, and only among bfloat16 may a kernel's gradient be that.
        asked = [
            (precision, f"{precision}, {kind}", by)
            for precision in arguments.precisions
            for kind, by in kinds.items()
            if precision != "f16" and (by != BFLOAT16 or precision == "bf16")
        ]
        one = lambda images, layer, precision, by: engines_of_gradient(cudnn, images, layer, precision, by)
    else:
        asked = [(precision, precision, None) for precision in arguments.precisions]
        one = lambda images, layer, precision, _: engines(cudnn, images, layer, precision)
    print("| precision | images | layers with an engine | engines (layers) | plans compiled |\n|---|---:|---:|---|---:|")
    without = []
    for precision, shown_as, by in asked:
        for images in arguments.batches:
            known, counts, compiled, served = {}, {}, 0, 0
            for layer in layers():
                key = str(layer[1:-1]) if arguments.gradients else str(layer[1:]) + str(layer[0].endswith("pool"))
                if key not in known:
                    found, configs, kept = one(images, layer, precision, by)
                    for tag, config in configs if arguments.compile else []:
                        try:
                            cudnn.compile(config)
                            compiled += 1
                        except RuntimeError as error:
                            print(f"{shown_as} {images} {layer[0]} {tag}: {error}", file=sys.stderr)
                    known[key] = found
                served += bool(known[key])
                if not known[key]:
                    without.append(f"{shown_as} {images} {layer[0]}")
                for tag in known[key]:
                    counts[tag] = counts.get(tag, 0) + 1
            shown = ", ".join(f"{tag} ({count})" for tag, count in sorted(counts.items(), key=lambda pair: -pair[1]))
            print(f"| {shown_as} | {images} | {served} | {shown} | {compiled or ''} |", flush=True)
    if without:
        sys.exit("no engine: " + ", ".join(without))


if __name__ == "__main__":
    main()
