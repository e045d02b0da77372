"""Compares bundles, and the output of our program, with NeMo on the same checkpoints.

The command is `python -m parity.compare`, which `cargo xtask parity` runs. `parity` imports
`exporter`; no module of `exporter` imports `parity`.
"""
