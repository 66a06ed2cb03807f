#!/usr/bin/env bash
# Does the CUDA engine give what the CPU gives? Built where there is no card, run where there is one.
#
#     scripts/gpu_check.sh                        here: builds by scripts/build_cuda.sh, and says what to take along
#     scripts/gpu_check.sh --run BINARY [flags]   there, in a clone or copy of this repository: one table, Markdown, on stdout
#
# There it needs the driver, CUDA's libraries on LD_LIBRARY_PATH, and Python with numpy; flags are those of scripts/gpu_check.py.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --run ]; then
    [ $# -ge 2 ] || { echo "--run BINARY" >&2; exit 2; }
    shift
    exec python3 scripts/gpu_check.py "$@"
fi
scripts/build_cuda.sh "$@"
cat << 'TELL'

Take the binary, scripts/ and data/ to a machine with a card, put the folders of cuBLAS, cuRAND and cuDNN on LD_LIBRARY_PATH
(of Python's packages: site-packages/nvidia/*/lib), and run there

    scripts/gpu_check.sh --run BINARY
TELL
