"""Tests that a damaged or unknown checkpoint is refused in one sentence that names the fault."""

import os
import tempfile
import unittest
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor

from exporter.checkpoint import read_checkpoint
from exporter.errors import ExportError
from exporter.parakeet import Parakeet, build
from tests.exporter import miniature, nemo_file
from tests.exporter.miniature import CTC, MAX_FRAMES, SIZES, TDT


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.witness),)


class Reading(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "a.nemo"

    def load(self, head: str | None = None) -> Parakeet:
        checkpoint = read_checkpoint(self.path, self.folder, head)
        model = build(checkpoint.sizes, MAX_FRAMES, checkpoint.weights)
        checkpoint.weights.refuse_unused()
        return model

    def check_refused(self, files: dict[str, bytes], *words: str) -> None:
        nemo_file.write(self.path, files)
        self.check_unreadable(*words)

    def check_unreadable(self, *words: str) -> None:
        with self.assertRaises(ExportError) as raised:
            self.load()
        message = str(raised.exception)
        for word in ("a.nemo", *words):
            self.assertIn(word, message)
        self.assertNotIn("\n", message)

    def check_same(self, actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
        self.assertEqual(actual.keys(), expected.keys())
        for name, tensor in expected.items():
            self.assertTrue(torch.equal(actual[name], tensor), name)

    def test_the_model_is_the_one_that_was_saved(self) -> None:
        for sizes in (SIZES, TDT, CTC):
            with self.subTest(sizes.head):
                nemo_file.write(self.path, nemo_file.members(sizes=sizes))
                self.check_same(self.load().state_dict(), miniature.model(sizes).state_dict())

    def test_a_hybrid_gives_the_head_that_was_asked_for(self) -> None:
        settings = nemo_file.hybrid(SIZES)
        heads = miniature.state_dict(), miniature.state_dict(CTC)
        ctc = {f"ctc_{name}": heads[1][name] for name in heads[1].keys() - heads[0].keys()}
        self.assertEqual(len(ctc), 2)
        nemo_file.write(self.path, nemo_file.members(heads[0] | ctc, settings))
        self.check_same(self.load().state_dict(), miniature.model().state_dict())
        head = self.load("ctc").head.classes
        self.assertTrue(
            torch.equal(head.weight, ctc["ctc_decoder.decoder_layers.0.weight"][..., 0])
        )
        self.assertTrue(torch.equal(head.bias, ctc["ctc_decoder.decoder_layers.0.bias"]))

    def test_a_joint_without_dropout_has_its_classes_one_place_earlier(self) -> None:
        weights = {
            name.replace("joint.joint_net.2.", "joint.joint_net.1."): tensor
            for name, tensor in miniature.state_dict().items()
        }
        nemo_file.write(self.path, nemo_file.members(weights))
        expected = miniature.state_dict()["joint.joint_net.2.weight"]
        self.assertTrue(torch.equal(self.load().head.classes.weight, expected))

    def test_weights_stored_as_float16_are_read_as_float32(self) -> None:
        half = {name: tensor.half() for name, tensor in miniature.state_dict().items()}
        nemo_file.write(self.path, nemo_file.members(half))
        for name, tensor in self.load().state_dict().items():
            self.assertEqual(tensor.dtype, torch.float32, name)

    def test_pieces_come_in_the_order_of_their_ids(self) -> None:
        nemo_file.write(self.path, nemo_file.members())
        pieces = read_checkpoint(self.path, self.folder).pieces
        self.assertEqual(len(pieces), miniature.SIZES.vocabulary_size)
        self.assertEqual(pieces[0], "<unk>")
        self.assertIn("\u2581", "".join(pieces))

    def test_a_file_that_is_no_tar_is_refused(self) -> None:
        self.path.write_bytes(b"not a tar" * 1000)
        self.check_unreadable("not a .nemo file")

    def test_a_file_cut_short_anywhere_is_refused(self) -> None:
        nemo_file.write(self.path, nemo_file.members())
        whole = self.path.read_bytes()
        for share in (0.0, 0.003, 0.1, 0.5, 0.9):
            with self.subTest(share=share):
                self.path.write_bytes(whole[: int(len(whole) * share)])
                self.check_unreadable()

    def test_each_missing_member_is_named(self) -> None:
        for name in nemo_file.members():
            with self.subTest(name=name):
                files = nemo_file.members()
                del files[name]
                self.check_refused(files, name.removeprefix("./"))

    def test_damaged_members_are_named(self) -> None:
        for name, word in (
            ("./model_config.yaml", "model_config.yaml"),
            ("./model_weights.ckpt", "model_weights.ckpt"),
            ("./0a_tokenizer.model", "tokenizer"),
        ):
            with self.subTest(name=name):
                files = nemo_file.members()
                files[name] = b"\x00: [\xff" + files[name][: len(files[name]) // 2]
                self.check_refused(files, word)

    def test_yaml_that_asks_for_an_object_is_refused(self) -> None:
        files = nemo_file.members()
        witness = self.folder / "ran"
        line = f"target: !!python/object/apply:os.mkdir ['{witness}']\n"
        files["./model_config.yaml"] = line.encode()
        self.check_refused(files, "model_config.yaml is not plain YAML")
        self.assertFalse(witness.exists())

    def test_a_pickled_object_is_refused_and_not_run(self) -> None:
        witness = self.folder / "ran"
        weights = miniature.state_dict() | {"encoder.payload": Payload(witness)}
        self.check_refused(nemo_file.members(weights), "model_weights.ckpt", "besides tensors")
        self.assertFalse(witness.exists())

    def test_weights_that_are_no_mapping_are_refused(self) -> None:
        self.check_refused(nemo_file.members([torch.zeros(1)]), "besides tensors")

    def test_a_missing_tensor_is_named(self) -> None:
        weights = dict(miniature.state_dict())
        del weights["encoder.layers.1.self_attn.pos_bias_u"]
        self.check_refused(
            nemo_file.members(weights), "no tensor encoder.layers.1.self_attn.pos_bias_u"
        )

    def test_a_misshapen_tensor_is_named_with_both_shapes(self) -> None:
        weights = miniature.state_dict() | {"joint.enc.weight": torch.zeros(20, 31)}
        self.check_refused(nemo_file.members(weights), "joint.enc.weight", "[20, 31]", "[20, 32]")

    def test_a_tensor_that_no_module_takes_is_named(self) -> None:
        weights = miniature.state_dict() | {"encoder.layers.0.adapter.weight": torch.zeros(1)}
        self.check_refused(nemo_file.members(weights), "encoder.layers.0.adapter.weight")

    def test_batch_norms_step_counts_are_no_tensor_of_the_network(self) -> None:
        count = {"encoder.layers.0.conv.batch_norm.num_batches_tracked": torch.tensor(7)}
        nemo_file.write(self.path, nemo_file.members(miniature.state_dict() | count))
        self.load()

    def test_numbers_that_are_not_finite_are_refused(self) -> None:
        weights = miniature.state_dict() | {"joint.enc.bias": torch.full([20], float("nan"))}
        self.check_refused(nemo_file.members(weights), "joint.enc.bias", "not finite")

    def test_a_start_of_sequence_that_is_not_zero_is_refused(self) -> None:
        name = "decoder.prediction.embed.weight"
        weights = miniature.state_dict() | {name: torch.ones(17, 20)}
        self.check_refused(nemo_file.members(weights), name, "blank")

    def test_a_tokenizer_of_another_size_is_refused(self) -> None:
        files = nemo_file.members()
        files["./0a_tokenizer.model"] = nemo_file.tokenizer(12)
        self.check_refused(files, "12 pieces", "rnnt head knows, 16")

    def test_a_tokenizer_that_is_not_sentencepiece_is_refused(self) -> None:
        for tokenizer in ({"type": "wpe"}, {"type": "agg", "langs": {}}, None):
            with self.subTest(tokenizer=tokenizer):
                settings = nemo_file.config() | {"tokenizer": tokenizer}
                self.check_refused(nemo_file.members(settings=settings), "tokenizer.type")


if __name__ == "__main__":
    unittest.main()
