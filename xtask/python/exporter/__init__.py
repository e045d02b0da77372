"""Turns a `.nemo` checkpoint into a bundle: TorchScript archives, a manifest and a vocabulary.

The command is `python -m exporter.export`, with `xtask/python` on PYTHONPATH. The
exporter needs torch, PyYAML and sentencepiece. `exporter.hub` fetches checkpoints: it needs the
model hub's client, and runs where no torch is installed, so this file imports nothing.
"""
