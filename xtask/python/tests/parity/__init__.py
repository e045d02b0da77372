"""Tests of the parity tools."""
