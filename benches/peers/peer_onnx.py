"""onnx-asr 0.12 on ONNX Runtime as a contestant of `cargo xtask bench`, on a CPU.

Each input line is a JSON list of 16 kHz recordings, and each answer is a line of JSON. Recordings are
cut into pieces of 30 s, and eight pieces form a batch. The model is NeMo's own ONNX export. int8 is
ONNX Runtime's dynamic quantisation of this export, which the first run makes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import onnx_asr
import onnxruntime
from pieces import SAMPLE_RATE_HZ, batches, pieces


def main() -> None:
    """Loads the model and answers until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compute-type", choices=("float32", "int8"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    is_int8 = arguments.compute_type == "int8"
    if is_int8:
        quantise(arguments.folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    begun = time.perf_counter()
    model = onnx_asr.load_model(
        "nemo-conformer-rnnt",
        arguments.folder,
        quantization="int8" if is_int8 else None,
        sess_options=options,
        providers=["CPUExecutionProvider"],
    )
    print(json.dumps({"load": time.perf_counter() - begun}), flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        recordings = pieces(json.loads(line))
        texts = [text for batch in batches(recordings) for text in model.recognize(batch)]
        end = time.perf_counter()
        audio = sum(map(len, recordings)) / SAMPLE_RATE_HZ
        answer = {"texts": texts, "audio": audio, "seconds": end - begun}
        print(json.dumps(answer), flush=True)


def quantise(folder: Path) -> None:
    """Writes the int8 files next to the float32 files, unless they exist."""
    # Imported here because quantisation needs the package onnx, and loading does not.
    from onnxruntime.quantization import quantize_dynamic

    for name in ("encoder-model", "decoder_joint-model"):
        target = folder / f"{name}.int8.onnx"
        if not target.exists():
            unfinished = target.with_suffix(".unfinished")
            quantize_dynamic(folder / f"{name}.onnx", unfinished)
            unfinished.rename(target)


if __name__ == "__main__":
    main()
