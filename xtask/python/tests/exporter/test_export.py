"""Tests of the command: it writes a whole bundle, or one sentence and no files."""

import contextlib
import hashlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from exporter import export, random_init
from exporter.architecture import Architecture, Predictor
from tests.exporter import miniature, nemo_file
from tests.exporter.miniature import CTC, TDT, noise


class Command(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.checkpoint = nemo_file.write(self.folder / "mini.nemo", nemo_file.members())
        self.out = self.folder / "bundles" / "mini"

    def run_command(self, *arguments: str | Path) -> tuple[int, str]:
        """Runs the command; returns the exit code and stderr."""
        stderr = io.StringIO()
        line = ["export.py", *map(str, arguments)]
        with mock.patch("sys.argv", line), contextlib.redirect_stderr(stderr):
            try:
                return export.main(), stderr.getvalue()
            except SystemExit as stop:
                return int(stop.code or 0), stderr.getvalue()

    def export(self, *more: str) -> dict:
        code, stderr = self.run_command(self.checkpoint, "--out", self.out, *more)
        self.assertEqual(code, 0, stderr)
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

    def test_the_manifest_says_which_head_was_exported(self) -> None:
        ctc = miniature.state_dict(CTC)
        weights = miniature.state_dict(TDT) | {
            f"ctc_decoder.decoder_layers.0.{part}": ctc[f"decoder.decoder_layers.0.{part}"]
            for part in ("weight", "bias")
        }
        nemo_file.write(self.checkpoint, nemo_file.members(weights, nemo_file.hybrid(TDT)))
        manifest = self.export()
        self.assertEqual((manifest["head"], manifest["durations"]), ("tdt", [0, 1, 2, 4]))
        manifest = self.export("--head", "ctc")
        self.assertEqual((manifest["head"], manifest["durations"]), ("ctc", []))
        self.assertEqual((manifest["joint_dim"], manifest["predictor"]), (0, None))
        code, stderr = self.run_command(self.checkpoint, "--out", self.out, "--head", "rnnt")
        self.assertEqual(code, 1)
        self.assertIn("error: mini.nemo has no rnnt head", stderr)

    def test_the_manifest_says_what_the_model_hears_and_writes(self) -> None:
        self.assertEqual(self.languages(), ("en", ["en"]))
        self.assertEqual(self.languages("--language", "de"), ("de", ["de"]))
        self.assertEqual(self.languages("--language", "de,fr"), ("und", ["de", "fr"]))
        language, known = self.languages("--model-id", "nvidia/parakeet-tdt-0.6b-v3")
        self.assertEqual((language, len(known), "uk" in known), ("und", 25, True))
        self.assertFalse(self.export()["punctuation"])
        files = nemo_file.members()
        files["./0a_tokenizer.model"] = nemo_file.tokenizer(16, "abc abca. bcab. cabca.")
        nemo_file.write(self.checkpoint, files)
        self.assertTrue(self.export()["punctuation"])

    def languages(self, *more: str) -> tuple[str, list[str]]:
        manifest = self.export(*more)
        return manifest["language"], manifest["languages"]

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
                expected = miniature.archive(name).encode(audio, n_samples)
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
            code, stderr = self.run_command(self.checkpoint, "--out", self.out)
        self.assertEqual(code, 1)
        self.assertIn("No space left on device", stderr)
        self.assertNotIn("manifest.json", self.names())

    def test_a_failed_export_leaves_nothing_and_harms_no_earlier_bundle(self) -> None:
        manifest = self.export()
        nemo_file.write(self.checkpoint, nemo_file.members({"a": torch.zeros(1)}))
        code, stderr = self.run_command(self.checkpoint, "--out", self.out)
        self.assertEqual(code, 1)
        self.assertIn("error: mini.nemo has no tensor", stderr)
        self.assertNotIn("Traceback", stderr)
        self.assertEqual(json.loads((self.out / "manifest.json").read_text()), manifest)
        self.assertEqual([path.name for path in self.out.parent.iterdir()], ["mini"])

    def test_a_checkpoint_that_is_not_there_is_named(self) -> None:
        code, stderr = self.run_command("absent.nemo", "--out", self.out)
        self.assertEqual(code, 1)
        self.assertIn("error: absent.nemo: No such file", stderr)
        self.assertFalse(self.out.exists())

    def test_wrong_usage_says_what_there_is(self) -> None:
        for arguments, word in (
            ([self.checkpoint, "--out", self.out, "--dtype", "int4"], "bfloat16"),
            ([self.checkpoint, "--out", self.out, "--language", "english"], "two letters"),
            ([self.checkpoint, "--out", self.out, "--head", "transducer"], "ctc"),
            ([self.checkpoint], "--out"),
            ([self.checkpoint, "--random-init", "rnnt-tiny", "--out", self.out], "not allowed"),
        ):
            code, stderr = self.run_command(*arguments)
            self.assertEqual(code, 2)
            self.assertIn(word, stderr)


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
        for sizes in (random_init.SIZES["rnnt-tiny"], tiny("tdt"), tiny("ctc")):
            with tempfile.TemporaryDirectory() as folder, self.subTest(sizes.head):
                arguments = ["--random-init", "rnnt-tiny", "--out", folder]
                line = mock.patch("sys.argv", ["export.py", *arguments])
                table = mock.patch.dict(random_init.SIZES, {"rnnt-tiny": sizes})
                with line, table, contextlib.redirect_stderr(io.StringIO()):
                    self.assertEqual(export.main(), 0)
                archive = torch.jit.load(Path(folder, "model.float32.pt"))
                sounds = random_init.speech_like(seed=99)
                per_second = n_tokens(archive, sizes.head, sounds) * 16000 / sounds.numel()
                self.assertTrue(1.0 < per_second < 10.0, per_second)

    def test_an_unknown_name_says_which_there_are(self) -> None:
        with self.assertRaisesRegex(export.ExportError, "rnnt-0.6b"):
            random_init.architecture("rnnt-2b")

    def test_a_hybrid_size_has_both_heads_and_a_plain_one_its_own(self) -> None:
        transducer = random_init.architecture("tdt_ctc-110m")
        ctc = random_init.architecture("tdt_ctc-110m", "ctc")
        self.assertEqual((transducer.head, ctc.head, ctc.predictor), ("tdt", "ctc", None))
        self.assertEqual(ctc.encoder, transducer.encoder)
        for name, head in (("rnnt-0.6b", "ctc"), ("tdt_ctc-110m", "rnnt"), ("ctc-1.1b", "tdt")):
            with self.assertRaisesRegex(export.ExportError, f"{name} has no {head} head"):
                random_init.architecture(name, head)

    def test_true_sizes_have_the_published_number_of_parameters(self) -> None:
        # NVIDIA's model cards: 616.7 million, 1070.4 million, 114 million with both heads. The 627
        # million of v3 count all numbers in its file, batch norm's statistics and tables included.
        for name, published, tolerance in (
            ("rnnt-0.6b", 616.7e6, 0.003),
            ("rnnt-1.1b", 1070.4e6, 0.003),
            ("tdt_ctc-110m", 114e6, 0.01),
            ("tdt-0.6b-v3", 627e6, 0.003),
        ):
            self.assertAlmostEqual(n_parameters(name) / published, 1.0, delta=tolerance, msg=name)


def tiny(head: str) -> Architecture:
    """Returns the tiny size with this head."""
    return random_init.sized(head, random_init.TINY, Predictor(n_layers=1, width=128), pieces=128)


def n_tokens(archive: torch.jit.ScriptModule, head: str, sounds: Tensor) -> int:
    """Counts the tokens of a greedy search, frame by frame."""
    n_samples = torch.full([sounds.size(0)], sounds.size(1))
    encoded, n_frames = archive.encode(sounds, n_samples)
    if head == "ctc":
        tokens = [row[:n, 0].unique_consecutive() for row, n in zip(encoded, n_frames)]
        return sum(int((row != 128).sum()) for row in tokens)
    count = 0
    for row, n in zip(encoded, n_frames.tolist()):
        state, frame, on_frame = archive.initial_state(1), 0, 0
        while frame < n:
            score = archive.score(row[None], state[0], torch.tensor([[0, frame]]), 1)
            token, duration = (int(number) for number in score[0, 0, :2])
            if token != 128:
                count += 1
                state = archive.advance(*state, torch.tensor([[0, token]]))
            on_frame = on_frame + 1 if duration == 0 else 0
            stuck = duration == 0 and (token == 128 or on_frame == 10)
            frame, on_frame = frame + (1 if stuck else duration), 0 if stuck else on_frame
    return count


def n_parameters(name: str) -> int:
    """Counts the parameters of a checkpoint of this size from its architecture."""
    sizes = random_init.architecture(name)
    encoder, predictor = sizes.encoder, sizes.predictor
    d, f, k, c = encoder.width, encoder.feed_forward_width, encoder.conv_kernel, 256
    b = int(encoder.bias)
    feed_forward = 2 * d + (d * f + b * f) + (f * d + b * d)
    attention = 2 * d + 4 * (d * d + b * d) + d * d + 2 * d
    convolution = 2 * d + 2 * (d * d + b * d) + (k * d + b * d) + 2 * d + (d * d + b * d)
    layer = 2 * feed_forward + attention + convolution + 2 * d
    bands = sizes.front_end.n_mels // 8
    subsampling = (9 * c + c) + 2 * (9 * c + c + c * c + c) + (c * bands * d + d)
    p, v = predictor.width, sizes.vocabulary_size + 1
    labels = v * p + predictor.n_layers * (8 * p * p + 8 * p)
    outputs = v + len(sizes.durations)
    joint = (d * p + p) + (p * p + p) + (p * outputs + outputs)
    ctc = d * v + v if "_ctc" in name else 0
    return encoder.n_layers * layer + subsampling + labels + joint + ctc


if __name__ == "__main__":
    unittest.main()
