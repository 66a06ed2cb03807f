#!/usr/bin/env bash
# One binary that uses NVIDIA cards where there are any and runs on the CPU where there are none, built on a machine that has
# neither card nor CUDA.
#
#     scripts/build_cuda.sh [--full] [flags of cargo build, such as --no-default-features or -j 4]
#
#     Python's index ─▶ nvcc, its headers, cudart ─╮
#     empty libraries, for the linker to find ─────┴▶ CUDA_HOME ─▶ cargo build --features cuda ─▶ a binary that opens
#     cargo ─▶ candle, cudarc ─────────────────────────────────────────────▲                     CUDA's libraries when it runs
#
# Everything lies in target/cuda-toolkit and target/cuda. Needed: cargo, a C compiler, Python 3 with venv.
# Where it runs: Linux with a driver for CUDA 13.0 (580) or later, and cuBLAS, cuRAND and cuDNN 9, as PyTorch's packages for CUDA 13
# bring them; or no driver at all, on the CPU.
#
# --full builds candle's kernels for quantised language models too: eleven minutes and 35 MB more, which headstock never calls.
# CUDA_COMPUTE_CAP says for which cards: 80, the default, is PTX for Ampere and everything later.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
toolkit=$root/target/cuda-toolkit
home=$toolkit/home

full=no
if [ "${1:-}" = --full ]; then
    full=yes
    shift
fi
die() { echo "$*" >&2; exit 1; }
for program in cargo cc python3; do
    command -v "$program" > /dev/null || die "$program is needed and not on the PATH"
done

# 13.0 throughout: a driver reads the PTX of its own CUDA version and of earlier ones, and 580, for 13.0, is the oldest for CUDA 13.
if [ ! -e "$toolkit/complete" ]; then
    rm -rf "$toolkit"
    mkdir -p "$home/lib64"
    python3 -m venv "$toolkit/python" || die "python3 has no venv: install python3-venv"
    "$toolkit/python/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
    packages=$(echo "$toolkit"/python/lib/python3*/site-packages/nvidia/cu13)
    for folder in bin include nvvm; do
        ln -s "$packages/$folder" "$home/$folder"
    done
    # candle's build asks for -lcudart: linked in, it is one library less to be found later.
    ln -s "$packages/lib/libcudart_static.a" "$home/lib64/libcudart.a"
    # cudarc's build asks for these; nothing refers to them, and the linker leaves them out.
    for library in cuda nvrtc curand cublas cublasLt cudnn; do
        cc -shared -nostdlib -Wl,-soname,"lib$library.so" -x c /dev/null -o "$home/lib64/lib$library.so"
    done
    touch "$toolkit/complete"
fi

# cargo does not see that these change: a target folder for each.
target=$root/target/cuda
export CUDA_HOME=$home CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
export NVCC=$root/scripts/nvcc_without_llm NVCC_REAL=$home/bin/nvcc
if [ "$full" = yes ]; then
    target=$root/target/cuda-full
    export NVCC=$NVCC_REAL
fi

# candle asks cudarc to be linked to CUDA. As a cfg, its feature `dynamic-loading` goes before that in the sources; with --target it
# does not reach build scripts, where it would be an error.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${RUSTFLAGS:-} --cfg feature=\"dynamic-loading\"" \
    cargo build --release --locked --features cuda --target "$host" --target-dir "$target" "$@"

binary=$target/$host/release/headstock
if ldd "$binary" | grep -E 'lib(cu|nv)'; then
    die "$binary is linked to these and would not start without them"
fi
"$binary" --version > /dev/null || die "$binary does not start"
echo "$binary starts here, and is linked to no library of CUDA's ($(du -h "$binary" | cut -f1))"
