"""Tests of the exporter and of the parity tools, which need torch and no NeMo."""
