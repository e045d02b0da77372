"""Writes manifest.json, which describes a bundle to a reader that has loaded no archive."""

import hashlib
import json
from pathlib import Path

from exporter.architecture import Architecture

FORMAT_VERSION = 2
EXPORTER_VERSION = "0.1.0"


def sha256(path: Path) -> str:
    """Returns the file's SHA-256 as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe_file(path: Path) -> dict:
    """Returns the manifest's entry for a file of the bundle: name, size and digest."""
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def manifest(
    sizes: Architecture,
    max_frames: int,
    model_id: str,
    languages: list[str],
    punctuation: bool,
    source: dict,
    archives: dict[str, dict],
    vocabulary: dict,
) -> dict:
    """Returns the manifest's content; docs/model-export.md says what each key means."""
    front_end, predictor = sizes.front_end, sizes.predictor
    stride = front_end.hop_samples * sizes.encoder.subsampling
    return {
        "format_version": FORMAT_VERSION,
        "exporter_version": EXPORTER_VERSION,
        "model_id": model_id,
        "language": languages[0] if len(languages) == 1 else "und",
        "languages": languages,
        "punctuation": punctuation,
        "source": source,
        "head": sizes.head,
        "sample_rate_hz": front_end.sample_rate_hz,
        "n_mels": front_end.n_mels,
        "hop_samples": front_end.hop_samples,
        "subsampling": sizes.encoder.subsampling,
        "max_samples": max_frames * stride,
        "encoder": {"n_layers": sizes.encoder.n_layers, "width": sizes.encoder.width},
        "vocabulary_size": sizes.vocabulary_size,
        "blank_id": sizes.vocabulary_size,
        "joint_dim": sizes.joint_width,
        "predictor": None
        if predictor is None
        else {"n_layers": predictor.n_layers, "width": predictor.width},
        "durations": list(sizes.durations),
        "archives": archives,
        "files": {"vocabulary": vocabulary},
    }


def write_json(path: Path, content: object) -> None:
    """Writes indented JSON; the same content gives the same bytes."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
