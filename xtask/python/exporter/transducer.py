"""The RNNT and TDT heads: predictor, joint, and the greedy choice: no logit leaves the device.

TDT: Xu et al. 2023, "Efficient Sequence Transduction by Jointly Predicting Tokens and Durations".
"""

from typing import List, Tuple

import torch
from torch import Tensor, nn

from exporter.architecture import Architecture
from exporter.architecture import Predictor as PredictorSizes
from exporter.weights import Weights, constant, plain

# Longest window that is scored at once, in encoder frames.
MAX_WINDOW = 1024
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class TransducerHead(nn.Module):
    """Projects encoder frames, scores windows of them, and moves the predictor on."""

    durations: Tensor
    ahead: Tensor

    def __init__(self, sizes: Architecture, weights: Weights) -> None:
        super().__init__()
        assert sizes.predictor is not None, "a transducer has a predictor"
        # TDT's joint scores the durations beside the symbols; blank is the last symbol.
        classes = sizes.vocabulary_size + 1 + len(sizes.durations)
        joint = sizes.joint_width
        self.predictor = Predictor(sizes.vocabulary_size, sizes.predictor, weights)
        self.encoder_projection = weights.linear("joint.enc", sizes.encoder.width, joint)
        self.predictor_projection = weights.plain_linear(
            "joint.pred", sizes.predictor.width, joint
        )
        # NeMo's sequence: activation, dropout, linear.
        self.classes = weights.plain_linear("joint.joint_net.2", joint, classes)
        self.activation = ACTIVATIONS[sizes.joint_activation]()
        self.activation_name = sizes.joint_activation
        self.blank = sizes.vocabulary_size
        self.predicts_durations = len(sizes.durations) > 0
        durations = torch.tensor(sizes.durations, dtype=torch.int64)
        self.register_buffer("durations", durations, persistent=False)
        self.register_buffer("ahead", torch.arange(MAX_WINDOW), persistent=False)

    def project(self, encoded: Tensor) -> Tensor:
        """What the search keeps of encoder frames: (N, T', D) to (N, T', J)."""
        return self.encoder_projection(encoded)

    def host_weights(self) -> Tuple[List[Tensor], List[Tensor], List[Tensor], str]:
        """What the engine's own predictor and joint on a CPU are made of.

        What each token adds to the first layer's gates (V + 1, 4 H), and TDT's durations (D); of
        each layer, what its state adds to the gates (4 H, H); weight and bias of each linear layer
        else: what the input of each layer but the first adds, the predictor's projection, and the
        classes; and the name of the joint's activation.
        """
        layers = self.predictor.input_weights()
        for layer in (self.predictor_projection, self.classes):
            layers += [layer.weight, layer.bias]
        tables = [self.predictor.first_gates, self.durations]
        return tables, self.predictor.state_weights(), layers, self.activation_name

    def initial_state(self, n: int) -> Tuple[Tensor, Tensor, Tensor]:
        """The state of `n` utterances after the start of sequence, which is blank's zero row.

        Returns predicted (N, J), hidden and cell (L, N, H).
        """
        hidden, cell = self.predictor.zero_state(n)
        tokens = torch.full([n], self.blank, dtype=torch.int64, device=hidden.device)
        rows = torch.arange(n, device=hidden.device)
        output = self.predictor(tokens, rows, hidden, cell)
        return self.predictor_projection(output), hidden, cell

    def score(self, encoded: Tensor, predicted: Tensor, lanes: Tensor, window: int) -> Tensor:
        """Best token, duration and log-probability of each of the next `window` frames.

        `encoded` is (N, T', J), `predicted` (N, J), `lanes` int64 (B, 2): utterance and first
        frame. Returns float32 (B, window, 3); the first of equals wins. RNNT's duration is 0 for a
        token and 1 for blank, TDT's the best on its own, whatever the token. A frame past the last
        column is answered with the scores of any frame.
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
        """Float32 scores (..., V + 1 and the durations) of projections (..., J) to be added."""
        return self.classes(self.activation(encoded + predicted)).to(torch.float32)

    def advance(
        self, predicted: Tensor, hidden: Tensor, cell: Tensor, emitted: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Feeds one token to each named utterance, in place; the others keep their state.

        `emitted` is int64 (B, 2): utterance and token. Returns the three tensors it was given.
        """
        rows, tokens = emitted.unbind(1)
        output = self.predictor(tokens, rows, hidden, cell)
        predicted.index_copy_(0, rows, self.predictor_projection(output))
        return predicted, hidden, cell


class Predictor(nn.Module):
    """An embedding and a stack of LSTM cells, one step at a time.

    Not `nn.LSTM`, which takes a sequence. On a CPU the engine has its own (crates/parakeet-model).
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
            # NeMo starts some searches from blank's row and others from zeros.
            raise source.refusal("embed.weight", "has a row for blank that is not 0")
        lstm = source.scope("dec_rnn.lstm.")
        inputs, states = [], []
        for i in range(sizes.n_layers):
            bias = lstm.take(f"bias_ih_l{i}", 4 * width) + lstm.take(f"bias_hh_l{i}", 4 * width)
            inputs.append((lstm.take(f"weight_ih_l{i}", 4 * width, width), bias))
            states.append(lstm.take(f"weight_hh_l{i}", 4 * width, width))
        # The first layer's input is one of V + 1 vectors: its product is looked up.
        self.first_gates = constant(torch.addmm(inputs[0][1], embedding, inputs[0][0].T))
        self.first_state = plain(states[0], None)
        self.later_inputs = nn.ModuleList(plain(*layer) for layer in inputs[1:])
        self.later_states = nn.ModuleList(plain(state, None) for state in states[1:])

    def state_weights(self) -> List[Tensor]:
        """What each layer's state adds to its gates: (4 H, H)."""
        weights = [self.first_state.weight]
        for layer in self.later_states:
            weights.append(layer.weight)
        return weights

    def input_weights(self) -> List[Tensor]:
        """What the input of each layer but the first adds, (4 H, H), and the bias (4 H), in turn."""
        weights: List[Tensor] = []
        for layer in self.later_inputs:
            weights += [layer.weight, layer.bias]
        return weights

    def zero_state(self, n: int) -> Tuple[Tensor, Tensor]:
        """Hidden and cell (L, N, H) before anything was fed."""
        hidden = self.first_gates.new_zeros([self.n_layers, n, self.width])
        return hidden, hidden.clone()

    def forward(self, tokens: Tensor, rows: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        """One step of some utterances: tokens (B) for the `rows` (B) of the states (L, N, H), which
        are changed in place, to output (B, H)."""
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
    """Hidden and cell (N, H) from the two parts of the gates (N, 4 H): input, forget, candidate,
    output."""
    if cell.is_cuda:
        output, cell, _ = torch.ops.aten._thnn_fused_lstm_cell(by_input, by_state, cell)
        return output, cell
    take_in, forget, candidate, give_out = (by_input + by_state).chunk(4, dim=1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(take_in) * torch.tanh(candidate)
    return torch.sigmoid(give_out) * torch.tanh(cell), cell
