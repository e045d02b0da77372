"""The command: a whole bundle, or one sentence and nothing left behind."""

import contextlib
import hashlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import miniature
import nemo_file
import torch
from miniature import noise

import export
import random_init
from archive_search import Archive


class Command(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.checkpoint = nemo_file.write(self.folder / "mini.nemo", nemo_file.members())
        self.out = self.folder / "bundles" / "mini"

    def run_command(self, *arguments: str | Path) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""
        said = io.StringIO()
        line = ["export.py", *map(str, arguments)]
        with mock.patch("sys.argv", line), contextlib.redirect_stderr(said):
            try:
                return export.main(), said.getvalue()
            except SystemExit as stop:
                return int(stop.code or 0), said.getvalue()

    def export(self, *more: str) -> dict:
        code, said = self.run_command(self.checkpoint, "--out", self.out, *more)
        self.assertEqual(code, 0, said)
        return json.loads((self.out / "manifest.json").read_text())

    def names(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir())

    def test_the_manifest_describes_the_files_that_are_there(self) -> None:
        manifest = self.export("--dtype", "float32,bfloat16")
        self.assertEqual(
            self.names(),
            ["manifest.json", "model.bfloat16.pt", "model.float32.pt", "vocabulary.json"],
        )
        entries = [*manifest["archives"].values(), manifest["files"]["vocabulary"]]
        self.assertEqual(len(entries), 3)
        for entry in entries:
            content = (self.out / entry["file"]).read_bytes()
            self.assertEqual(entry["bytes"], len(content))
            self.assertEqual(entry["sha256"], hashlib.sha256(content).hexdigest())
        pieces = json.loads((self.out / "vocabulary.json").read_text())
        self.assertEqual(len(pieces), manifest["vocabulary_size"])

    def test_the_manifest_says_what_the_archive_does(self) -> None:
        manifest = self.export("--max-seconds", "2")
        archive = torch.jit.load(self.out / "model.float32.pt")
        longest = manifest["max_samples"]
        encoded, n_frames = archive.encode(noise(1, longest), torch.tensor([longest]))
        stride = manifest["hop_samples"] * manifest["subsampling"]
        self.assertEqual(longest, 2 * manifest["sample_rate_hz"])
        self.assertEqual(n_frames.item(), longest // stride)
        self.assertEqual(encoded.size(2), manifest["joint_dim"])
        _, hidden, _ = archive.initial_state(1)
        predictor = manifest["predictor"]
        self.assertEqual(list(hidden.shape), [predictor["n_layers"], 1, predictor["width"]])
        self.assertEqual(manifest["blank_id"], manifest["vocabulary_size"])
        self.assertEqual(manifest["source"]["kind"], "nemo")
        digest = hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()
        self.assertEqual(manifest["source"]["sha256"], digest)

    def test_the_archive_gives_what_the_modules_give(self) -> None:
        self.export()
        archive = torch.jit.load(self.out / "model.float32.pt")
        audio, n_samples = noise(2, 16000), torch.tensor([16000, 9000])
        expected, _ = miniature.model().encode(audio, n_samples)
        actual, _ = archive.encode(audio, n_samples)
        self.assertLess((actual - expected)[0].abs().max().item(), 2e-5)

    def test_the_order_of_types_does_not_matter(self) -> None:
        audio, n_samples = noise(1, 16000), torch.tensor([16000])
        for order in ("bfloat16,float16", "float16,bfloat16"):
            self.export("--dtype", order)
            for name in order.split(","):
                archive = torch.jit.load(self.out / f"model.{name}.pt")
                expected = miniature.archive(export.COMPUTE_TYPES[name]).encode(audio, n_samples)
                actual = archive.encode(audio, n_samples)
                self.assertTrue(torch.equal(actual[0], expected[0]), f"{name} in {order}")

    def test_an_earlier_bundle_is_replaced_and_other_files_stay(self) -> None:
        self.export("--dtype", "bfloat16")
        (self.out / "notes.md").write_text("mine")
        self.export()
        self.assertEqual(
            self.names(), ["manifest.json", "model.float32.pt", "notes.md", "vocabulary.json"]
        )

    def test_a_bundle_that_could_not_be_moved_whole_has_no_manifest(self) -> None:
        self.export()
        moves = mock.patch("os.replace", side_effect=[None, OSError(28, "No space left on device")])
        with moves:
            code, said = self.run_command(self.checkpoint, "--out", self.out)
        self.assertEqual(code, 1)
        self.assertIn("No space left on device", said)
        self.assertNotIn("manifest.json", self.names())

    def test_a_failed_export_leaves_nothing_and_harms_no_earlier_bundle(self) -> None:
        manifest = self.export()
        nemo_file.write(self.checkpoint, nemo_file.members({"a": torch.zeros(1)}))
        code, said = self.run_command(self.checkpoint, "--out", self.out)
        self.assertEqual(code, 1)
        self.assertIn("error: mini.nemo has no tensor", said)
        self.assertNotIn("Traceback", said)
        self.assertEqual(json.loads((self.out / "manifest.json").read_text()), manifest)
        self.assertEqual([path.name for path in self.out.parent.iterdir()], ["mini"])

    def test_a_checkpoint_that_is_not_there_is_named(self) -> None:
        code, said = self.run_command("absent.nemo", "--out", self.out)
        self.assertEqual(code, 1)
        self.assertIn("error: absent.nemo: No such file", said)
        self.assertFalse(self.out.exists())

    def test_wrong_usage_says_what_there_is(self) -> None:
        for arguments, word in (
            ([self.checkpoint, "--out", self.out, "--dtype", "int4"], "bfloat16"),
            ([self.checkpoint], "--out"),
            ([self.checkpoint, "--random-init", "rnnt-tiny", "--out", self.out], "not allowed"),
        ):
            code, said = self.run_command(*arguments)
            self.assertEqual(code, 2)
            self.assertIn(word, said)


class RandomModels(unittest.TestCase):
    def test_a_random_bundle_is_the_same_for_the_same_seed(self) -> None:
        digests = []
        with tempfile.TemporaryDirectory() as folder:
            for seed in ("1", "1", "2"):
                out = Path(folder, "bundle")
                arguments = ["--random-init", "rnnt-tiny", "--out", str(out), "--seed", seed]
                line = mock.patch("sys.argv", ["export.py", *arguments])
                with line, contextlib.redirect_stderr(io.StringIO()):
                    self.assertEqual(export.main(), 0)
                archive = torch.jit.load(out / "model.float32.pt")
                encoded, _ = archive.encode(noise(1, 16000), torch.tensor([16000]))
                digests.append(encoded)
        self.assertTrue(torch.equal(digests[0], digests[1]))
        self.assertFalse(torch.equal(digests[0], digests[2]))

    def test_a_random_model_emits_about_as_often_as_speech(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["--random-init", "rnnt-tiny", "--out", folder]
            line = mock.patch("sys.argv", ["export.py", *arguments])
            with line, contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(export.main(), 0)
            sounds = random_init.speech_like(seed=99)
            n_samples = torch.full([sounds.size(0)], sounds.size(1))
            found = Archive(Path(folder)).emissions(list("abcd"), sounds, n_samples)
        n_tokens = sum(len(emissions.tokens) for emissions in found)
        per_second = n_tokens * 16000 / sounds.numel()
        self.assertTrue(1.0 < per_second < 10.0, per_second)

    def test_an_unknown_name_says_which_there_are(self) -> None:
        with self.assertRaisesRegex(export.ExportError, "rnnt-0.6b"):
            random_init.architecture("rnnt-2b")

    def test_true_sizes_have_the_published_number_of_parameters(self) -> None:
        # NVIDIA's model cards: 616.7 million and 1070.4 million.
        for name, published in (("rnnt-0.6b", 616.7e6), ("rnnt-1.1b", 1070.4e6)):
            self.assertAlmostEqual(n_parameters(name) / published, 1.0, delta=0.003)


def n_parameters(name: str) -> int:
    """Parameters of a checkpoint of this size, by its architecture."""
    sizes = random_init.architecture(name)
    encoder, predictor = sizes.encoder, sizes.predictor
    d, f, k, c = encoder.width, encoder.feed_forward_width, encoder.conv_kernel, 256
    feed_forward = 2 * d + (d * f + f) + (f * d + d)
    attention = 2 * d + 4 * (d * d + d) + d * d + 2 * d
    convolution = 2 * d + (2 * d * d + 2 * d) + (k * d + d) + 2 * d + (d * d + d)
    layer = 2 * feed_forward + attention + convolution + 2 * d
    subsampling = (9 * c + c) + 2 * (9 * c + c + c * c + c) + (c * 10 * d + d)
    p, v = predictor.width, sizes.vocabulary_size + 1
    labels = v * p + predictor.n_layers * (8 * p * p + 8 * p)
    joint = (d * p + p) + (p * p + p) + (p * v + v)
    return encoder.n_layers * layer + subsampling + labels + joint


if __name__ == "__main__":
    unittest.main()
