"""NeMo 2.7.3 as a contestant of `cargo xtask bench`, on a CPU.

The program loads the model once. Each input line is a JSON list of 16 kHz recordings to transcribe,
or a number, which asks for the matrix rate with that many rows. Each answer is a line of JSON.
Recordings are cut into pieces of 30 s, and eight pieces form a batch: in one pass over ten minutes
NeMo needs more than seven minutes and 15 GB.

Front end and search run in float32, as in NeMo, and the encoder in the given type. int8 is PyTorch's
dynamic quantisation of the encoder's linear layers. Words come without times or confidence, for which
NeMo's search would do more work.
"""

import argparse
import ctypes
import gc
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "xtask/python"))

from exporter.int8 import byte_product  # noqa: E402  (the folder is put on the path above)
from nemo.collections.asr.models import EncDecRNNTBPEModel  # noqa: E402
from nemo.utils import logging  # noqa: E402
from pieces import SAMPLE_RATE_HZ, batches, pieces  # noqa: E402

N_PRODUCTS = 20


def main() -> None:
    """Loads the checkpoint and answers until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--compute-type", choices=("float32", "bfloat16", "int8"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    # NeMo and its libraries print to standard output, which must carry the answers alone.
    answers, sys.stdout = sys.stdout, sys.stderr
    logging.setLevel(logging.ERROR)
    torch.set_num_threads(arguments.threads)
    begun = time.perf_counter()
    model = load(arguments.checkpoint, arguments.compute_type)
    print(json.dumps({"load": time.perf_counter() - begun}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        if isinstance(question, int):
            answer = {"matrix_rate": matrix_rate(question, arguments.compute_type)}
        else:
            answer = transcribe(model, question, arguments.compute_type)
        print(json.dumps(answer), file=answers, flush=True)


def load(checkpoint: Path, compute_type: str) -> Any:
    """Loads the checkpoint, and casts its encoder to this type."""
    model: Any = EncDecRNNTBPEModel.restore_from(str(checkpoint), map_location="cpu")
    model.eval().float()
    if compute_type == "bfloat16":
        model.encoder.bfloat16()
    if compute_type == "int8":
        # The faster engine of the two: without VNNI, `x86` uses FBGEMM.
        torch.backends.quantized.engine = "onednn" if torch.cpu._is_vnni_supported() else "x86"
        model.encoder = torch.ao.quantization.quantize_dynamic(
            model.encoder, {torch.nn.Linear}, dtype=torch.qint8
        )
    # Restoring leaves garbage of the model's size; the other contestants need that memory.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return model


@torch.inference_mode()
def transcribe(model: Any, files: list[str], compute_type: str) -> dict:
    """Transcribes files; returns texts and times."""
    begun = time.perf_counter()
    recordings = pieces(files)
    answer = {"texts": [], "encode": 0.0, "search": 0.0, "n_tokens": 0}
    for batch in batches(recordings):
        samples = [torch.from_numpy(it) for it in batch]
        n_samples = torch.tensor([len(it) for it in samples])
        audio = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)
        encoding = time.perf_counter()
        features, n_features = model.preprocessor(input_signal=audio, length=n_samples)
        if compute_type == "bfloat16":
            features = features.bfloat16()
        encoded, n_frames = model.encoder(audio_signal=features, length=n_features)
        searching = time.perf_counter()
        hypotheses = model.decoding.rnnt_decoder_predictions_tensor(encoded.float(), n_frames)
        answer["encode"] += searching - encoding
        answer["search"] += time.perf_counter() - searching
        answer["texts"] += [it.text for it in hypotheses]
        answer["n_tokens"] += sum(len(it.y_sequence) for it in hypotheses)
    answer["audio"] = sum(map(len, recordings)) / SAMPLE_RATE_HZ
    answer["seconds"] = time.perf_counter() - begun
    return answer


def matrix_rate(size: int, compute_type: str) -> float:
    """Returns operations per second of the fastest of `N_PRODUCTS` products of square matrices."""
    if compute_type == "int8":
        a = torch.randint(0, 256, (size, size), dtype=torch.uint8)
        b = torch.randint(-64, 65, (size, size), dtype=torch.int8)
        b = torch.ops.onednn.qlinear_prepack(b, None)
        # The product of our int8 layers. `torch._int_mm` is a plain loop on a CPU without VNNI.
        zero_points = torch.zeros(size, dtype=torch.int32)
        multiply = partial(
            byte_product, scale=torch.ones(size), zero_points=zero_points, out_type=torch.float32
        )
    else:
        a, b = (torch.randn(size, size).to(getattr(torch, compute_type)) for _ in range(2))
        multiply = torch.mm
    best = float("inf")
    for _ in range(N_PRODUCTS):
        begun = time.perf_counter()
        multiply(a, b)
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
