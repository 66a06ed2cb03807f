#!/usr/bin/env bash
# Runs the CUDA build on a machine without a card, against the stand-in of tests/cuda_standin/; the head of standin.h there says what that
# proves and what it does not.
#
#   tests/cuda_standin/*.cpp, src/engine/cuda/kernels/*.cu ─▶ g++ ─▶ target/cuda-standin/lib/ ─▶ tests/cuda.rs, several times
#
#   scripts/check_cuda_without_card.sh            every check
#   scripts/check_cuda_without_card.sh NAME...    the checks whose names have one of these in them, once
#   scripts/check_cuda_without_card.sh --build    the stand-in alone: LD_LIBRARY_PATH=target/cuda-standin/lib headstock ... then has a card
#
# It needs g++, python3 with pip, and a CUDA toolkit: that of CUDA_HOME, with what else the build of the feature cuda asks for, or the one
# that scripts/build_cuda.sh has put together. cuDNN's headers are those in CUDNN_INCLUDE, or are fetched from PyPI into target/.
set -euo pipefail
cd "$(dirname "$0")/.."

toolkit=$PWD/target/cuda-toolkit
if [ -z "${CUDA_HOME:-}" ] && [ -e "$toolkit/complete" ]; then
    # As scripts/build_cuda.sh builds, and in the same folder.
    export CUDA_HOME=$toolkit/home NVCC=$PWD/scripts/nvcc_without_llm NVCC_REAL=$toolkit/home/bin/nvcc
    export CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
    export RUSTFLAGS="${RUSTFLAGS:-} --cfg feature=\"dynamic-loading\""
fi
[ -f "${CUDA_HOME:-}/include/cuda.h" ] || { echo "no CUDA toolkit: run scripts/build_cuda.sh first, or set CUDA_HOME" >&2; exit 1; }
out=$PWD/target/cuda-standin
mkdir -p "$out/lib" "$out/objects"

if [ -z "${CUDNN_INCLUDE:-}" ]; then
    CUDNN_INCLUDE=$out/cudnn/nvidia/cudnn/include
    if [ ! -f "$CUDNN_INCLUDE/cudnn.h" ]; then
        echo "cuDNN's headers, from PyPI (0.5 GB, of which 1 MB is kept)"
        python3 -m pip download --quiet --no-deps --dest "$out/cudnn" 'nvidia-cudnn-cu13==9.*'
        python3 -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.extractall(sys.argv[2], [n for n in z.namelist() if "/include/" in n])' \
            "$out"/cudnn/*.whl "$out/cudnn"
        rm "$out"/cudnn/*.whl
    fi
fi

source=tests/cuda_standin
flags=(-std=c++17 -fPIC -march=native -Wall -Wextra -Werror -Wno-missing-field-initializers -Wno-unknown-pragmas
    -I "$source" -isystem "$CUDA_HOME/include" -isystem "$CUDNN_INCLUDE")

compile() { # level of optimisation, source, object, more flags
    local level=$1 from=$2 to=$out/objects/$3.o
    shift 3
    g++ "${flags[@]}" "-O$level" "$@" -c "$from" -o "$to"
}

library() { # soname, then files in objects/
    local name=$1
    shift
    g++ -shared -pthread -Wl,-soname,"$name" -Wl,--no-undefined -o "$out/lib/$name" "${@/#/$out/objects/}"
}

build() {
    local name kernels=()
    local of_driver=(memory streams modules kernels_candle driver_devices driver_memory driver_streams)
    local of_cudnn=(descriptors operation_graph engines)
    for name in "${of_driver[@]}" "${of_cudnn[@]}" blas_rand; do compile 2 "$source/$name.cpp" "$name"; done
    compile 3 "$source/convolution.cpp" convolution
    for file in src/engine/cuda/kernels/*.cu; do
        name=kernels_$(basename "$file" .cu)
        # The names of the kernels are in the object file; with them, once more.
        compile 0 "$source/kernels_host.cpp" "$name" -DKERNELS="\"$PWD/$file\"" -w
        nm --defined-only --extern-only "$out/objects/$name.o" | awk '$2 == "T" && $3 !~ /^_Z/ { print "ENTRY(" $3 ")" }' > "$out/objects/$name.entries"
        # What a card would stop at, an address that is not a multiple of 16 for one, and what C++ leaves undefined, traps here.
        compile 3 "$source/kernels_host.cpp" "$name" -DKERNELS="\"$PWD/$file\"" -DENTRIES="\"$out/objects/$name.entries\"" \
            -fsanitize=undefined -fsanitize-undefined-trap-on-error
        kernels+=("$name.o")
    done
    library libcuda.so.1 "${of_driver[@]/%/.o}" "${kernels[@]}"
    library libcudnn.so.9 "${of_cudnn[@]/%/.o}" convolution.o ../lib/libcuda.so.1
    for name in libcublas.so.13 libcublasLt.so.13 libcurand.so.10; do library "$name" blas_rand.o; done
    compile 1 "$source/self_check.cpp" self_check
    g++ -pthread -o "$out/self_check" "$out/objects/self_check.o" "$out/lib/libcuda.so.1"
    LD_LIBRARY_PATH=$out/lib "$out/self_check"
    LD_LIBRARY_PATH=$out/lib HEADSTOCK_STANDIN_ORDER=early "$out/self_check"
}

run() { # what is special about this run, as NAME=VALUE, then names of checks
    local settings=() check
    while [[ ${1:-} == *=* ]]; do
        settings+=("$1")
        shift
    done
    echo "+ ${settings[*]} ${*:-every check}"
    # What one run chooses is nothing to the next.
    rm -rf "$out/cache"
    for check in "${checks[@]}"; do
        env "${settings[@]}" LD_LIBRARY_PATH="$out/lib:${LD_LIBRARY_PATH:-}" HEADSTOCK_STANDIN_LIBRARIES="$out/lib" \
            XDG_CACHE_HOME="$out/cache" "$check" --test-threads 1 "$@"
    done
}

build
[ "${1:-}" != --build ] || exit 0

test=(cargo test --release --locked --test cuda --test cuda_access --test cuda_kernels --test cuda_program --no-default-features --features cuda
    --target "$(rustc -vV | sed -n 's/^host: //p')" --target-dir "${CUDA_TARGET_DIR:-target/cuda}" --no-run)
"${test[@]}"
mapfile -t checks < <("${test[@]}" 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')
if [ $# -gt 0 ]; then
    run "$@"
    exit
fi
run HEADSTOCK_STANDIN_CARDS=2
run HEADSTOCK_STANDIN_ORDER=early HEADSTOCK_STANDIN_CARDS=2
for restriction in packed plain cores; do run HEADSTOCK_STANDIN_CUDNN=$restriction parity; done
