"""Reads a .nemo checkpoint: a tar of a YAML config, a state dict and a SentencePiece tokenizer.

Nothing in the file is executed: the safe loader reads the YAML, and torch reads the tensors with
`weights_only`, which refuses pickled objects.
"""

import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import sentencepiece
import torch
import yaml

from exporter.architecture import Architecture
from exporter.errors import ExportError
from exporter.model_config import HYBRID_CLASS, read_architecture
from exporter.weights import CheckpointWeights

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"


@dataclass
class Checkpoint:
    """The parts of a checkpoint that an export needs; `pieces` are in the order of their ids."""

    sizes: Architecture
    weights: CheckpointWeights
    pieces: list[str]


def read_checkpoint(path: Path, scratch: Path, head: str | None = None) -> Checkpoint:
    """Reads the checkpoint, and unpacks its weights into the folder `scratch`.

    The tensors are mapped from the unpacked file, so a large checkpoint is not copied into memory.
    `head` picks a head of a hybrid checkpoint; None takes its transducer.
    Raises `ExportError` for everything that can be wrong with the file.
    """
    try:
        with tarfile.open(path) as tar:
            members = {str(PurePosixPath(member.name)): member for member in tar}
            config = read_config(extract(tar, members, CONFIG, path), path)
            sizes = read_architecture(config, path.name, head)
            pieces = read_pieces(extract(tar, members, tokenizer_file(config, path), path), path)
            copy_member(tar, members, WEIGHTS, path, scratch / WEIGHTS)
    except (tarfile.TarError, EOFError) as error:
        raise ExportError(f"{path} is not a .nemo file, which is a tar, or is cut short") from error
    if len(pieces) != sizes.vocabulary_size:
        raise ExportError(
            f"{path.name}: the tokenizer has {len(pieces)} pieces, "
            f"expected as many as the {sizes.head} head knows, {sizes.vocabulary_size}"
        )
    tensors = read_tensors(scratch / WEIGHTS, path)
    if config["target"] == HYBRID_CLASS:
        tensors = tensors_of_head(tensors, sizes.head)
    return Checkpoint(sizes, CheckpointWeights(tensors, path.name), pieces)


def read_config(content: bytes, path: Path) -> dict:
    """Returns the config as plain mappings, lists and scalars."""
    try:
        config = yaml.safe_load(content)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{path.name}: {CONFIG} is not plain YAML: {reason}") from error
    if not isinstance(config, dict):
        raise ExportError(f"{path.name}: {CONFIG} is not a mapping")
    return config


def tokenizer_file(config: dict, path: Path) -> str:
    """Returns the name of the SentencePiece model inside the checkpoint."""
    tokenizer = config.get("tokenizer")
    if not isinstance(tokenizer, dict) or tokenizer.get("type") != "bpe":
        raise ExportError(f"{path.name}: tokenizer.type is not bpe in {CONFIG}")
    name = tokenizer.get("model_path")
    if not isinstance(name, str) or not name.startswith("nemo:"):
        raise ExportError(f"{path.name}: tokenizer.model_path names no file of the checkpoint")
    return name.removeprefix("nemo:")


def read_pieces(content: bytes, path: Path) -> list[str]:
    """Returns the tokenizer's pieces in the order of their ids."""
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(content)
    except RuntimeError as error:
        raise ExportError(f"{path.name}: the tokenizer is not a SentencePiece model") from error
    return [processor.IdToPiece(i) for i in range(processor.GetPieceSize())]


def read_tensors(weights: Path, path: Path) -> dict[str, torch.Tensor]:
    """Returns the state dict; its tensors are mapped from the file."""
    try:
        tensors = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ExportError(
            f"{path.name}: {WEIGHTS} is damaged, or holds something besides tensors"
        ) from error
    if not isinstance(tensors, dict) or not all(torch.is_tensor(t) for t in tensors.values()):
        raise ExportError(f"{path.name}: {WEIGHTS} holds something besides tensors")
    # Where dropout is 0, NeMo's joint has no dropout layer, and its last linear has index 1, not 2.
    return {name.replace("joint_net.1.", "joint_net.2."): t for name, t in tensors.items()}


def tensors_of_head(tensors: dict[str, torch.Tensor], head: str) -> dict[str, torch.Tensor]:
    """Returns a hybrid checkpoint's tensors of one head, named as in a checkpoint of that head."""
    other = ("decoder.", "joint.") if head == "ctc" else ("ctc_decoder.",)
    return {
        name.removeprefix("ctc_"): tensor
        for name, tensor in tensors.items()
        if not name.startswith(other)
    }


def find(members: dict[str, tarfile.TarInfo], name: str, path: Path) -> tarfile.TarInfo:
    """Returns the member of this name, which must be a plain file."""
    member = members.get(name)
    if member is None or not member.isfile():
        raise ExportError(f"{path.name} holds no {name}: it is not a whole .nemo checkpoint")
    return member


def extract(tar: tarfile.TarFile, members: dict, name: str, path: Path) -> bytes:
    """Returns the content of a small member."""
    file = tar.extractfile(find(members, name, path))
    assert file is not None, "a plain file can be opened"
    with file:
        return file.read()


def copy_member(tar: tarfile.TarFile, members: dict, name: str, path: Path, to: Path) -> None:
    """Unpacks a large member block by block."""
    source = tar.extractfile(find(members, name, path))
    assert source is not None, "a plain file can be opened"
    with source, to.open("wb") as file:
        while block := source.read(1 << 22):
            file.write(block)
