"""The RNNT and TDT heads: predictor, joint and greedy choice. No logit leaves the device.

TDT: Xu et al. 2023, "Efficient Sequence Transduction by Jointly Predicting Tokens and Durations".
"""

from typing import List, Tuple

import torch
from torch import Tensor, nn

from exporter.architecture import Architecture
from exporter.architecture import Predictor as PredictorSizes
from exporter.weights import Weights, constant, plain

# Longest window that `score` takes, in encoder frames.
MAX_WINDOW = 1024
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class TransducerHead(nn.Module):
    """Projects encoder frames, scores windows of frames, and advances the predictor."""

    durations: Tensor
    ahead: Tensor

    def __init__(self, sizes: Architecture, weights: Weights) -> None:
        super().__init__()
        assert sizes.predictor is not None, "a transducer has a predictor"
        # TDT's joint scores the symbols, of which blank is the last, and then the durations.
        classes = sizes.vocabulary_size + 1 + len(sizes.durations)
        joint = sizes.joint_width
        self.predictor = Predictor(sizes.vocabulary_size, sizes.predictor, weights)
        self.encoder_projection = weights.linear("joint.enc", sizes.encoder.width, joint)
        self.predictor_projection = weights.plain_linear("joint.pred", sizes.predictor.width, joint)
        # NeMo's joint_net is activation, dropout, linear: the linear has index 2.
        self.classes = weights.plain_linear("joint.joint_net.2", joint, classes)
        self.activation = ACTIVATIONS[sizes.joint_activation]()
        self.activation_name = sizes.joint_activation
        self.blank = sizes.vocabulary_size
        self.predicts_durations = len(sizes.durations) > 0
        durations = torch.tensor(sizes.durations, dtype=torch.int64)
        self.register_buffer("durations", durations, persistent=False)
        self.register_buffer("ahead", torch.arange(MAX_WINDOW), persistent=False)

    def project(self, encoded: Tensor) -> Tensor:
        """Projects encoder frames (N, T', D) for the joint: (N, T', J)."""
        return self.encoder_projection(encoded)

    def host_weights(self) -> Tuple[List[Tensor], List[Tensor], List[Tensor], str]:
        """Returns the weights of the engine's own predictor and joint, which it runs on a CPU.

        Four values, whose order crates/parakeet-model expects:
        1. What each token adds to the first layer's gates (V + 1, 4 H); TDT's durations (D).
        2. For each layer, the weight (4 H, H) from its state to its gates.
        3. Weight and bias of each other linear layer: from the input to the gates of each layer but
           the first, the predictor's projection, and the joint's classes.
        4. The name of the joint's activation.
        """
        layers = self.predictor.input_weights()
        for layer in (self.predictor_projection, self.classes):
            layers += [layer.weight, layer.bias]
        tables = [self.predictor.first_gates, self.durations]
        return tables, self.predictor.state_weights(), layers, self.activation_name

    def initial_state(self, n: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns predicted (N, J), hidden and cell (L, N, H) of `n` utterances before any token.

        The predictor has then taken the start of sequence, which is blank's zero row.
        """
        hidden, cell = self.predictor.zero_state(n)
        tokens = torch.full([n], self.blank, dtype=torch.int64, device=hidden.device)
        rows = torch.arange(n, device=hidden.device)
        output = self.predictor(tokens, rows, hidden, cell)
        return self.predictor_projection(output), hidden, cell

    def score(self, encoded: Tensor, predicted: Tensor, lanes: Tensor, window: int) -> Tensor:
        """Returns the best token, its duration and log-probability on each of `window` frames.

        `encoded` is (N, T', J), `predicted` (N, J), and `lanes` int64 (B, 2): utterance and first
        frame. The result is float32 (B, window, 3). Of equal scores the lowest id wins. RNNT's
        duration is 0 for a token and 1 for blank. TDT's duration is the best duration, chosen
        independently of the token. For a frame past the last column the scores are those of some
        other frame: the caller ignores them.
        """
        n_columns = encoded.size(1)
        utterance, frame = lanes.unbind(1)
        rows = torch.add(frame, utterance, alpha=n_columns).unsqueeze(1) + self.ahead[:window]
        rows = rows.clamp_(max=encoded.size(0) * n_columns - 1)
        frames_encoded = encoded.flatten(0, 1).index_select(0, rows.flatten())
        frames_encoded = frames_encoded.view(rows.size(0), window, encoded.size(2))
        logits = self.logits(frames_encoded, predicted.index_select(0, utterance).unsqueeze(1))
        symbols = logits
        if self.predicts_durations:
            symbols = logits[:, :, : self.blank + 1]
        log_prob, token = symbols.log_softmax(2).max(2)
        if self.predicts_durations:
            duration = self.durations[logits[:, :, self.blank + 1 :].argmax(2)]
        else:
            duration = token == self.blank
        return torch.stack([token.to(torch.float32), duration.to(torch.float32), log_prob], dim=2)

    def logits(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Scores the sum of two projections (..., J): float32 (..., V + 1 + durations)."""
        return self.classes(self.activation(encoded + predicted)).to(torch.float32)

    def advance(
        self, predicted: Tensor, hidden: Tensor, cell: Tensor, emitted: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Feeds one token to each utterance of `emitted`, in place; the others keep their state.

        `emitted` is int64 (B, 2): utterance and token. Returns its first three arguments.
        """
        rows, tokens = emitted.unbind(1)
        output = self.predictor(tokens, rows, hidden, cell)
        predicted.index_copy_(0, rows, self.predictor_projection(output))
        return predicted, hidden, cell


class Predictor(nn.Module):
    """An embedding and a stack of LSTM cells, one step at a time.

    `nn.LSTM` takes a whole sequence, and greedy search has one token at a time. On a CPU the engine
    runs its own predictor (crates/parakeet-model).
    """

    first_gates: Tensor

    def __init__(self, vocabulary_size: int, sizes: PredictorSizes, weights: Weights) -> None:
        super().__init__()
        width = sizes.width
        self.n_layers = sizes.n_layers
        self.width = width
        source = weights.scope("decoder.prediction.")
        embedding = source.take("embed.weight", vocabulary_size + 1, width)
        if embedding[vocabulary_size].any():
            # NeMo starts some searches from blank's row and others from zeros: only a zero row
            # gives the same result in both.
            raise source.refusal("embed.weight", "has a row for blank that is not 0")
        lstm = source.scope("dec_rnn.lstm.")
        inputs, states = [], []
        for i in range(sizes.n_layers):
            bias = lstm.take(f"bias_ih_l{i}", 4 * width) + lstm.take(f"bias_hh_l{i}", 4 * width)
            inputs.append((lstm.take(f"weight_ih_l{i}", 4 * width, width), bias))
            states.append(lstm.take(f"weight_hh_l{i}", 4 * width, width))
        # The first layer's input is one of V + 1 embeddings, so its product is a table of V + 1
        # rows.
        self.first_gates = constant(torch.addmm(inputs[0][1], embedding, inputs[0][0].T))
        self.first_state = plain(states[0], None)
        self.later_inputs = nn.ModuleList(plain(*layer) for layer in inputs[1:])
        self.later_states = nn.ModuleList(plain(state, None) for state in states[1:])

    def state_weights(self) -> List[Tensor]:
        """Returns, for each layer, the weight (4 H, H) from its state to its gates."""
        weights = [self.first_state.weight]
        for layer in self.later_states:
            weights.append(layer.weight)
        return weights

    def input_weights(self) -> List[Tensor]:
        """Returns, for each layer but the first, its input's weight (4 H, H) and bias (4 H)."""
        weights: List[Tensor] = []
        for layer in self.later_inputs:
            weights += [layer.weight, layer.bias]
        return weights

    def zero_state(self, n: int) -> Tuple[Tensor, Tensor]:
        """Returns hidden and cell (L, N, H) before the first token: zeros."""
        hidden = self.first_gates.new_zeros([self.n_layers, n, self.width])
        return hidden, hidden.clone()

    def forward(self, tokens: Tensor, rows: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        """Feeds `tokens` (B) to the utterances `rows` (B); returns the output (B, H).

        The rows of the states `hidden` and `cell` (L, N, H) are changed in place.
        """
        hidden_before = hidden.index_select(1, rows)
        cell_before = cell.index_select(1, rows)
        gates = self.first_gates.index_select(0, tokens)
        output, state = lstm_step(gates, self.first_state(hidden_before[0]), cell_before[0])
        hidden[0].index_copy_(0, rows, output)
        cell[0].index_copy_(0, rows, state)
        for i, (by_input, by_state) in enumerate(zip(self.later_inputs, self.later_states), 1):
            output, state = lstm_step(by_input(output), by_state(hidden_before[i]), cell_before[i])
            hidden[i].index_copy_(0, rows, output)
            cell[i].index_copy_(0, rows, state)
        return output


def lstm_step(by_input: Tensor, by_state: Tensor, cell: Tensor) -> Tuple[Tensor, Tensor]:
    """Returns hidden and cell (N, H) of one LSTM step.

    The gates (N, 4 H) are the sum of `by_input` and `by_state`, in the order input, forget,
    candidate, output.
    """
    if cell.is_cuda:
        output, cell, _ = torch.ops.aten._thnn_fused_lstm_cell(by_input, by_state, cell)
        return output, cell
    take_in, forget, candidate, give_out = (by_input + by_state).chunk(4, dim=1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(take_in) * torch.tanh(candidate)
    return torch.sigmoid(give_out) * torch.tanh(cell), cell
