"""NeMo as the reference: features, encoder output and greedy emissions in float32 on the CPU."""

from pathlib import Path

import torch
from nemo.collections.asr.models import EncDecRNNTBPEModel
from nemo.utils import logging
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from emissions import NEAR_TIE, Emissions, NearTie

MAX_SYMBOLS = 10


class Oracle:
    """A checkpoint restored by NeMo."""

    def __init__(self, checkpoint: Path) -> None:
        logging.setLevel(logging.ERROR)
        model = EncDecRNNTBPEModel.restore_from(str(checkpoint), map_location="cpu")
        self.model = model.eval().float()
        self.blank = self.model.joint.num_classes_with_blank - 1
        decoding = OmegaConf.create(OmegaConf.to_container(model.cfg.decoding))
        with open_dict(decoding):
            decoding.strategy = "greedy_batch"
            decoding.greedy = {
                "max_symbols": MAX_SYMBOLS,
                "loop_labels": True,
                "use_cuda_graph_decoder": False,
            }
        self.model.change_decoding_strategy(decoding, verbose=False)

    def features(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised log-mel (N, n_mels, T) and the valid frames of each row."""
        return self.model.preprocessor(input_signal=audio, length=n_samples)

    def encode(self, features: Tensor, n_features: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder output (N, T', D) and the valid frames of each row."""
        encoded, n_frames = self.model.encoder(audio_signal=features, length=n_features)
        return encoded.transpose(1, 2), n_frames

    def emissions(self, files: list[str], encoded: Tensor, n_frames: Tensor) -> list[Emissions]:
        """NeMo's own greedy search over a batch; near ties are found by scoring its path again."""
        hypotheses = self.model.decoding.rnnt_decoder_predictions_tensor(
            encoder_output=encoded.transpose(1, 2),
            encoded_lengths=n_frames,
            return_hypotheses=True,
        )
        answer = []
        for row, (file, hypothesis) in enumerate(zip(files, hypotheses)):
            tokens = [int(token) for token in hypothesis.y_sequence]
            frames = [int(frame) for frame in hypothesis.timestamp]
            n = int(n_frames[row])
            ties = self.near_ties(encoded[row, :n], tokens, frames)
            answer.append(Emissions(file, n, tokens, frames, ties))
        return answer

    def near_ties(self, encoded: Tensor, tokens: list[int], frames: list[int]) -> list[NearTie]:
        """The joint steps along the path (T', D) whose two best log-probabilities are close."""
        steps = path(encoded.size(0), tokens, frames, self.blank)
        if not steps:
            return []
        targets = torch.tensor([tokens], dtype=torch.int64)
        # Row u of the predictor's output is its state after u tokens.
        predicted, _ = self.model.decoder.predict(targets, add_sos=True)
        joint = self.model.joint
        frame, n_tokens, emitted = torch.tensor(steps).unbind(1)
        hidden = joint.project_encoder(encoded)[frame]
        hidden = hidden + joint.project_prednet(predicted[0])[n_tokens]
        scores, classes = joint.joint_net(hidden).log_softmax(-1).topk(2)
        gaps = scores[:, 0] - scores[:, 1]
        # Scored again in another order of sums, a near tie may turn round; nothing else may.
        assert ((classes[:, 0] == emitted) | (gaps < NEAR_TIE)).all(), "NeMo is not greedy here"
        return [
            NearTie(int(frame[i]), int(n_tokens[i]), *classes[i].tolist(), float(gaps[i]))
            for i in (gaps < NEAR_TIE).nonzero().flatten().tolist()
        ]


def path(
    n_frames: int, tokens: list[int], frames: list[int], blank: int
) -> list[tuple[int, int, int]]:
    """The greedy search's joint steps: frame, number of tokens before it, and what it emitted.

    A frame ends with a blank, or without one after `MAX_SYMBOLS` tokens.
    """
    steps, n_tokens = [], 0
    for frame in range(n_frames):
        start = n_tokens
        while n_tokens < len(tokens) and frames[n_tokens] == frame:
            steps.append((frame, n_tokens, tokens[n_tokens]))
            n_tokens += 1
        if n_tokens - start < MAX_SYMBOLS:
            steps.append((frame, n_tokens, blank))
    return steps
