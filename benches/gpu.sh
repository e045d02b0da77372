#!/usr/bin/env bash
# Checks the engine on a GPU, first its words and then its speed, in one call of some six minutes:
#
#   benches/gpu.sh [BINARIES] [SCRATCH]
#
# BINARIES  folder with built parakeet-worker and throughput (default: target/release)
# SCRATCH   where bundles, audio and outputs go, 12 GB (default: a temporary folder)
#
# Needs python3 with torch 2.11.0 (CUDA), PyYAML and sentencepiece, and no Rust: the binaries may come
# from another machine. PYTHON names another interpreter. DEVICE=cpu checks the script itself on a
# machine without a GPU. MODELS and NUMBERS_MODEL select other sizes.
#
# Words: the tiny model on the 300 test sentences, every compute type on the GPU against float32 on
# the CPU. Numbers: every stage of a larger random model against the CPU. Speed: random weights of
# true size, from samples in memory to words, as a share of the matrix rate measured in the same run.
# The table is printed, and written to SCRATCH/gpu.json. A failed part is reported and the other parts
# still run; the exit code is then 1.
set -euo pipefail
cd "$(dirname "$0")/.."

binaries=${1:-target/release}
scratch=${2:-$(mktemp -d)}
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
models=${MODELS:-rnnt-0.6b ctc-0.6b tdt-0.6b-v3 rnnt-1.1b}

for binary in parakeet-worker throughput; do
    [ -x "$binaries/$binary" ] || {
        echo "no $binary in $binaries: cargo build --release -p parakeet-worker -p benches" >&2
        exit 1
    }
done
mkdir -p "$scratch"
libraries=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent / "lib")')
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# The folder of the package `exporter`, before the folders of the caller.
export PYTHONPATH=$PWD/xtask/python${PYTHONPATH:+:$PYTHONPATH}
failed=0
fails() { # WHAT
    echo "FAILED: $1"
    failed=1
}

echo "== bundles"
# Few threads each, since the exports run at the same time.
export_model() {
    local log=$scratch/export-$BASHPID.log
    OMP_NUM_THREADS=3 "$python" -m exporter.export "$@" 2> "$log" || {
        cat "$log" >&2
        return 1
    }
}
exports=()
export_model models/parakeet-rnnt-tiny/parakeet-rnnt-tiny.nemo \
    --out "$scratch/tiny" --dtype float32,bfloat16,float16 & exports+=($!)
export_model --random-init "${NUMBERS_MODEL:-tdt_ctc-110m}" \
    --out "$scratch/numbers" --dtype float32,bfloat16,float16 & exports+=($!)
for model in $models; do
    types=bfloat16
    [ "$model" = rnnt-0.6b ] && types=bfloat16,float16
    export_model --random-init "$model" --out "$scratch/$model" --dtype "$types" & exports+=($!)
done
for export in "${exports[@]}"; do wait "$export"; done

echo "== words: the tiny model on tests/data/tiny-300"
words() { # NAME FLAGS...
    local name=$1
    shift
    "$binaries/parakeet-worker" transcribe --model "$scratch/tiny" --format json --tokens \
        --chunk-seconds 60 "$@" tests/data/tiny-300/*.flac > "$scratch/words-$name.jsonl" || fails "$name"
}
words reference --device cpu --compute-type float32
words gpu-float32 --device "$device" --compute-type float32
words gpu-float32-alone --device "$device" --compute-type float32 --batch-size 1
# Small batches, so that the worker encodes some batches while it searches others.
words gpu-float32-eights --device "$device" --compute-type float32 --batch-size 8
words gpu-bfloat16 --device "$device" --compute-type bfloat16
words gpu-float16 --device "$device" --compute-type float16
"$python" benches/gpu_words.py tests/data/tiny-300/truth.jsonl "$scratch"/words-*.jsonl || fails words

echo "== numbers: ${NUMBERS_MODEL:-tdt_ctc-110m}, random, against float32 on the CPU"
"$python" benches/gpu_numbers.py "$scratch/numbers" --device "$device" || fails numbers

echo "== speed: random weights"
"$python" benches/gpu_speed.py --throughput "$binaries/throughput" --device "$device" \
    --bundles "$scratch" --models "$models" --json "$scratch/gpu.json" || fails speed
exit "$failed"
