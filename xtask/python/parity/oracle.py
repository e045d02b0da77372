"""NeMo as the reference: features, encoder output and greedy search, on the CPU."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import torch
from nemo.collections.asr.models import ASRModel
from nemo.utils import logging
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from parity.emissions import Emissions
from parity.near_ties import Steps, ctc_steps, joint_steps, near_ties
from parity.timed_words import ReferenceTranscript, cut_words, segments

TRANSDUCER_SEARCH = {"max_symbols": 10, "loop_labels": True, "use_cuda_graph_decoder": False}


class Oracle:
    """A checkpoint restored by NeMo, with one of its heads: rnnt, tdt or ctc."""

    def __init__(self, checkpoint: Path, head: str) -> None:
        logging.setLevel(logging.ERROR)
        model: Any = ASRModel.restore_from(str(checkpoint), map_location="cpu")
        self.model = model.eval().float()
        self.head = head
        hybrid = hasattr(model, "ctc_decoder")
        config = model.cfg.aux_ctc if hybrid and head == "ctc" else model.cfg
        decoding = OmegaConf.create(OmegaConf.to_container(config.decoding))
        with open_dict(decoding):
            decoding.strategy = "greedy_batch"
            decoding.compute_timestamps = True
            decoding.preserve_alignments = True
            decoding.greedy = {} if head == "ctc" else TRANSDUCER_SEARCH
            decoding.confidence_cfg = {
                "preserve_word_confidence": True,
                "exclude_blank": True,
                "aggregation": "min",
                # With alpha 1 the confidence is the normalised probability.
                "method_cfg": {"name": "max_prob", "alpha": 1.0},
            }
        which = {"decoder_type": "ctc" if head == "ctc" else "rnnt"} if hybrid else {}
        model.change_decoding_strategy(decoding, verbose=False, **which)
        if head == "ctc":
            self.ctc_decoder = model.ctc_decoder if hybrid else model.decoder
            self.decoding = model.ctc_decoding if hybrid else model.decoding
            self.blank = self.ctc_decoder.num_classes_with_blank - 1
        else:
            self.decoding = model.decoding
            self.blank = self.decoding.blank_id

    def features(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log-mel (N, n_mels, T) and the number of valid frames of each row (N)."""
        return self.model.preprocessor(input_signal=audio, length=n_samples)

    def encode(self, features: Tensor, n_features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns encoder output (N, T', D) and the number of valid frames of each row (N)."""
        encoded, n_frames = self.model.encoder(audio_signal=features, length=n_features)
        return encoded.transpose(1, 2), n_frames

    def transcribe(
        self, files: list[str], encoded: Tensor, n_frames: Tensor, n_samples: Tensor
    ) -> list[ReferenceTranscript]:
        """Runs NeMo's own greedy search over a batch, and scores its path again for near ties."""
        encoded = encoded.transpose(1, 2)
        if self.head == "ctc":
            scores = self.ctc_decoder(encoder_output=encoded)
            touching = self.decode_ctc(scores, n_frames)
            with engine_token_times(self.decoding):
                hypotheses = self.decode_ctc(scores, n_frames)
        else:
            hypotheses = self.decoding.rnnt_decoder_predictions_tensor(
                encoder_output=encoded, encoded_lengths=n_frames, return_hypotheses=True
            )
        answer = []
        for row, (file, hypothesis) in enumerate(zip(files, hypotheses)):
            n = int(n_frames[row])
            tokens, frames, durations = self.tokens(hypothesis, n)
            emissions = Emissions(file, n, tokens, frames, durations)
            emissions.confidences = [float(it) for it in hypothesis.token_confidence]
            if self.head == "ctc":
                steps = ctc_steps(scores[row, :n], self.blank)
            else:
                steps = self.joint_steps(encoded[row, :, :n].T, emissions)
            emissions.n_emissions = len(steps)
            emissions.near_ties = near_ties(steps)
            words = cut_words(hypothesis, int(n_samples[row]))
            transcript = ReferenceTranscript(emissions, words, segments(hypothesis, words))
            if self.head == "ctc":
                transcript.touching_words = cut_words(touching[row], int(n_samples[row]))
            answer.append(transcript)
        return answer

    def decode_ctc(self, scores: Tensor, n_frames: Tensor) -> list[Any]:
        """Returns NeMo's hypotheses for log-probabilities (N, T', V + 1)."""
        return self.decoding.ctc_decoder_predictions_tensor(
            decoder_outputs=scores, decoder_lengths=n_frames, return_hypotheses=True
        )

    def tokens(self, hypothesis: Any, n_frames: int) -> tuple[list[int], list[int], list[int]]:
        """Returns tokens, frames and durations of NeMo's hypothesis."""
        if self.head == "ctc":
            runs = label_runs(hypothesis.y_sequence[:n_frames], self.blank)
            return [run[0] for run in runs], [run[1] for run in runs], [run[2] for run in runs]
        tokens = [int(token) for token in hypothesis.y_sequence]
        frames = [int(frame) for frame in hypothesis.timestamp["timestep"]]
        if self.head == "rnnt":
            return tokens, frames, [1] * len(tokens)
        return tokens, frames, [int(duration) for duration in hypothesis.token_duration]

    def joint_steps(self, encoded: Tensor, emissions: Emissions) -> Steps:
        """Returns the joint's steps along NeMo's path over encoder frames (T', D)."""
        joint = self.model.joint
        targets = torch.tensor([emissions.tokens], dtype=torch.int64).reshape(1, -1)
        # Row u of the predictor's output is its state after u tokens.
        predicted, _ = self.model.decoder.predict(targets, add_sos=True)
        hidden = joint.project_encoder(encoded), joint.project_prednet(predicted[0])

        def score(frame: Tensor, n_tokens: Tensor) -> Tensor:
            return joint.joint_net(hidden[0][frame] + hidden[1][n_tokens])

        durations = list(self.model.cfg.decoding.durations) if self.head == "tdt" else []
        return joint_steps(score, emissions, self.blank, durations)


def label_runs(labels: Any, blank: int) -> list[tuple[int, int, int]]:
    """Returns token, first frame and length of every run of a token other than blank."""
    runs: list[tuple[int, int, int]] = []
    previous = blank
    for frame, label in enumerate(map(int, labels)):
        if label == previous != blank:
            runs[-1] = (label, runs[-1][1], runs[-1][2] + 1)
        elif label != blank:
            runs.append((label, frame, 1))
        previous = label
    return runs


@contextmanager
def engine_token_times(decoding: Any) -> Iterator[None]:
    """Replaces NeMo's rule for the times of CTC tokens with our rule, inside the `with` block.

    By NeMo's rule a token lasts until the next token, so words touch each other. By our rule a
    token lasts as long as its run, and a punctuation mark has no length, as in NeMo's TDT.
    """

    def offsets(hypothesis: Any, token_lengths: list[int], blank: int) -> list[dict]:
        return [
            {"char": token, "start_offset": frame, "end_offset": frame + length}
            for token, frame, length in label_runs(hypothesis.y_sequence, blank)
        ]

    def silence(
        encoded_char_offsets: list, char_offsets: list, supported_punctuation: set
    ) -> tuple:
        for before, mark, token in zip(char_offsets, char_offsets[1:], encoded_char_offsets[1:]):
            if mark["char"] in supported_punctuation:
                span = {"start_offset": before["end_offset"], "end_offset": before["end_offset"]}
                mark.update(span)
                token.update(span)
        return encoded_char_offsets, char_offsets

    decoding._compute_offsets, decoding._refine_timestamps = offsets, silence
    yield
    del decoding._compute_offsets, decoding._refine_timestamps
