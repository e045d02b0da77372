#!/usr/bin/env bash
# Proves the engine on a GPU, words first and speed second, in one call:
#
#   benches/gpu.sh [BINARY] [SCRATCH]
#
# BINARY   a built parakeet-worker (default: target/release/parakeet-worker)
# SCRATCH  where bundles, audio and outputs go, 6 GB (default: a temporary folder)
#
# Needs python3 with torch 2.11.0 (CUDA), PyYAML and sentencepiece, and no Rust: BINARY may come from
# another machine. PYTHON names another interpreter. Words: the tiny model on the 300 test sentences,
# every compute type on the GPU against float32 on the CPU. Speed: random weights at the size of
# rnnt-0.6b on 30 s recordings, as a share of the matrix rate measured in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:-target/release/parakeet-worker}
scratch=${2:-$(mktemp -d)}
python=${PYTHON:-python3}
n_recordings=${N_RECORDINGS:-128}

[ -x "$binary" ] || { echo "no parakeet-worker at $binary: cargo build --release -p parakeet-worker" >&2; exit 1; }
mkdir -p "$scratch"
LD_LIBRARY_PATH=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent / "lib")')
export LD_LIBRARY_PATH
transcribe() { "$binary" transcribe "$@"; }

echo "== bundles"
"$python" xtask/python/export.py models/parakeet-rnnt-tiny/parakeet-rnnt-tiny.nemo \
    --out "$scratch/tiny" --dtype float32,bfloat16,float16
"$python" xtask/python/export.py --random-init rnnt-0.6b \
    --out "$scratch/rnnt-0.6b" --dtype bfloat16,float16

echo "== words: the tiny model on tests/data/tiny-300"
words() { # NAME FLAGS...
    local name=$1
    shift
    transcribe --model "$scratch/tiny" --format json --tokens --chunk-seconds 60 "$@" \
        tests/data/tiny-300/*.flac > "$scratch/words-$name.jsonl"
}
words reference --device cpu --compute-type float32 --batch-size 1
words cuda-float32 --device cuda --compute-type float32
words cuda-float32-alone --device cuda --compute-type float32 --batch-size 1
words cuda-bfloat16 --device cuda --compute-type bfloat16
words cuda-float16 --device cuda --compute-type float16
"$python" benches/gpu_words.py tests/data/tiny-300/truth.jsonl "$scratch"/words-*.jsonl

echo "== speed: random rnnt-0.6b on $n_recordings recordings of 30 s"
"$python" benches/gpu_speed.py --binary "$binary" --bundle "$scratch/rnnt-0.6b" \
    --n-recordings "$n_recordings" --scratch "$scratch"
