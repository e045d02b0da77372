"""Tests of fetching: the hub's client against a server that fails as the hub can fail."""

import hashlib
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from tests.exporter.local_hub import LocalHub, Refusal

SOURCES = Path(__file__).resolve().parents[2]
# The hub's client has an environment of its own, which `cargo xtask test` makes.
PYTHON = SOURCES.parents[1] / ".venv-hub/bin/python"
FETCH = ["-m", "exporter.hub"]
REPOSITORY = "someone/parrot"
# The client writes 10 MB at a time: each of two breaks leaves a partial file to resume.
CHECKPOINT = hashlib.shake_256(b"a checkpoint").digest(24 << 20)
DIGEST = hashlib.sha256(CHECKPOINT).hexdigest()


class Fetching(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        files = {"README.md": b"a card", "parrot.nemo": CHECKPOINT}
        self.hub = LocalHub({REPOSITORY: files}).start()
        self.addCleanup(self.hub.stop)

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the environment without the user's own settings for the hub and for proxies."""
        ours = {"HF_ENDPOINT": self.hub.address, "HF_HOME": str(self.home), "NO_PROXY": "*"}
        ours["PYTHONPATH"] = str(SOURCES)
        others = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        return others | ours | more

    def run_fetch(self, repository: str = REPOSITORY, **more: str) -> tuple[int, str, str]:
        """Fetches; returns exit code, stdout and stderr."""
        done = subprocess.run(
            [PYTHON, *FETCH, repository],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stdout.strip(), done.stderr

    def fetch(self, **more: str) -> str:
        """Fetches the whole checkpoint; returns stderr."""
        code, path, stderr = self.run_fetch(**more)
        self.assertEqual(code, 0, stderr)
        self.assertEqual(Path(path).read_bytes(), CHECKPOINT)
        return stderr

    def refused(self, repository: str = REPOSITORY, **more: str) -> str:
        """Expects a refusal; returns its sentence."""
        code, path, stderr = self.run_fetch(repository, **more)
        self.assertEqual((code, path), (1, ""), stderr)
        last = stderr.strip().splitlines()[-1]
        self.assertTrue(last.startswith("error: "), stderr)
        return last

    def starts(self) -> list[int]:
        """Returns the first byte of every request for content."""
        return [start for _, kind, start in self.hub.requests if kind == "content"]

    def stored(self) -> list[Path]:
        return [path for path in self.home.rglob("blobs/*") if path.is_file()]

    def test_a_checkpoint_comes_whole_and_a_second_time_from_the_cache(self) -> None:
        self.assertIn(f"SHA-256 {DIGEST}, as the hub states", self.fetch())
        self.fetch()
        self.assertEqual(self.starts(), [0])

    def test_a_connection_that_breaks_off_goes_on_where_it_stopped(self) -> None:
        self.hub.n_breaks = 2
        stderr = self.fetch()
        self.assertIn("going on in 1 s", stderr)
        self.assertEqual(len(self.starts()), 3)
        self.assertEqual(self.starts(), sorted(set(self.starts())))

    def test_a_connection_that_always_breaks_off_ends_and_the_next_run_goes_on(self) -> None:
        self.hub.n_breaks = 99
        self.assertIn("breaks off again and again", self.refused())
        self.hub.n_breaks = 0
        self.fetch()
        self.assertGreater(self.starts()[-1], len(CHECKPOINT) // 2)

    def test_a_run_that_is_interrupted_says_how_to_go_on(self) -> None:
        self.hub.refusals["content"] = Refusal(503)
        command = [PYTHON, *FETCH, REPOSITORY]
        with subprocess.Popen(
            command,
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
            # A shell ignores SIGINT in its background jobs, and a child process would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as run:
            while not self.starts():
                time.sleep(0.05)
            run.send_signal(signal.SIGINT)
            _, stderr = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 130)
        self.assertIn("the same command goes on where this one stopped", stderr)

    def test_bytes_left_by_something_else_are_thrown_away(self) -> None:
        self.fetch()
        blob = self.stored()[0]
        next(self.home.rglob("parrot.nemo")).unlink()
        blob.rename(blob.with_name(f"{DIGEST}.incomplete"))
        with blob.with_name(f"{DIGEST}.incomplete").open("ab") as file:
            file.write(b"and more than there is")
        self.fetch()
        self.assertEqual(self.starts()[-1], 0)

    def test_damaged_bytes_are_refused_and_removed(self) -> None:
        self.hub.damage = True
        stderr = self.refused()
        self.assertIn(f"the hub states {DIGEST}; it was removed", stderr)
        self.assertEqual(self.stored(), [])
        self.hub.damage = False
        self.fetch()

    def test_a_file_damaged_in_the_cache_is_found(self) -> None:
        self.fetch()
        self.stored()[0].write_bytes(CHECKPOINT[:-1])
        self.assertIn("it was removed", self.refused())
        self.fetch()

    def test_a_token_is_sent_and_a_wrong_one_named(self) -> None:
        message = "Invalid credentials in Authorization header"
        self.hub.refusals["api"] = Refusal(401, {"X-Error-Message": message})
        stderr = self.refused(HF_TOKEN="hf_wrong")
        self.assertIn("refuses the token (401)", stderr)
        self.assertNotIn("hf_wrong", stderr)
        self.assertEqual(self.hub.tokens, {"Bearer hf_wrong"})

    def test_a_gated_model_asks_to_accept_its_terms(self) -> None:
        self.hub.refusals["resolve"] = Refusal(403, {"X-Error-Code": "GatedRepo"})
        stderr = self.refused()
        self.assertIn(f"accept its terms at {self.hub.address}/{REPOSITORY}", stderr)
        self.assertIn("HF_TOKEN", stderr)

    def test_access_denied_is_said_so(self) -> None:
        self.hub.refusals["resolve"] = Refusal(403)
        self.assertIn("denies access to someone/parrot (403)", self.refused())

    def test_an_unknown_model_asks_to_check_the_name(self) -> None:
        self.assertIn("has no model someone/parot, or it is private", self.refused("someone/parot"))

    def test_a_file_that_has_gone_is_said_so(self) -> None:
        gone = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": 40 * "a"}
        self.hub.refusals["resolve"] = Refusal(404, gone)
        self.assertIn("has lost the file", self.refused())

    def test_a_name_that_is_none_is_refused_unasked(self) -> None:
        self.assertIn("expected OWNER/NAME", self.refused("some one/parrot"))
        self.assertEqual(self.hub.requests, [])

    def test_a_limit_of_requests_is_waited_out(self) -> None:
        self.hub.refusals["api"] = Refusal(429, {"Retry-After": "2"}, times=1)
        begin = time.monotonic()
        self.assertIn("going on in 2 s", self.fetch())
        self.assertGreater(time.monotonic() - begin, 2)

    def test_a_limit_of_requests_for_an_hour_is_not_waited_out(self) -> None:
        self.hub.refusals["api"] = Refusal(429, {"Retry-After": "3600"})
        self.assertIn("run the same command again in 3600 s", self.refused())

    def test_trouble_of_the_hub_passes(self) -> None:
        self.hub.refusals["api"] = Refusal(503, times=1)
        self.assertIn("going on in 2 s", self.fetch())

    def test_without_network_the_cache_serves(self) -> None:
        self.fetch()
        self.hub.stop()
        self.assertIn("looking in the cache", self.fetch())
        self.assertIn("looking in the cache", self.fetch(HF_HUB_OFFLINE="1"))

    def test_without_network_and_cache_the_reason_is_named(self) -> None:
        stderr = self.refused(HF_HUB_OFFLINE="1")
        self.assertIn("HF_HUB_OFFLINE forbids to fetch it", stderr)
        self.hub.stop()
        self.assertIn(f"cannot reach {self.hub.address}", self.refused())

    def test_the_checkpoint_is_the_only_one_or_the_one_named_like_the_repository(self) -> None:
        files = self.hub.repositories[REPOSITORY]
        files["other.nemo"] = b"another"
        self.fetch()
        del files["parrot.nemo"]
        files["third.nemo"] = b"a third"
        self.assertIn("but has 2 of them: other.nemo, third.nemo", self.refused())
        files.clear()
        self.assertIn("but has none", self.refused())

    def test_a_file_without_a_digest_is_not_taken_on_trust(self) -> None:
        small = {"X-Repo-Commit": 40 * "a", "ETag": '"' + 40 * "b" + '"', "Location": ""}
        small |= {"X-Linked-Size": str(len(CHECKPOINT)), "X-Linked-Etag": 40 * "b"}
        small["Location"] = f"{self.hub.address}/content/{DIGEST}"
        self.hub.refusals["resolve"] = Refusal(302, small)
        self.assertIn("the hub states no SHA-256", self.refused())


if __name__ == "__main__":
    unittest.main()
