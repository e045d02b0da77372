"""Random models of true size, which `cargo xtask parity --full` compares."""

from parity.nemo_config import Shape

# Few and short recordings: these models run at a hundredth of the speed of the small ones.
FULL_SIZE_AUDIO = ("speech-02.00s", "speech-05.20s", "speech-12.00s", "noise", "silence")

FULL_SHAPES = {
    "rnnt-0.6b": Shape(
        ("rnnt",),
        n_layers=24,
        width=1024,
        n_heads=8,
        channels=256,
        predictor=640,
        lstm_layers=2,
        joint=640,
        pieces=1024,
    ),
    # After 42 random layers frames differ little. A head that separates them strongly amplifies
    # float32's noise to 1e-4 of a probability, the limit of the comparison: hence a small spread.
    "ctc-1.1b": Shape(
        ("ctc",), n_layers=42, width=1024, n_heads=8, channels=256, pieces=1024, spread=1.5
    ),
}
