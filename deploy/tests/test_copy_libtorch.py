"""Tests of the script that copies libtorch into the image, on an empty Python environment."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import repository


class CopyLibtorch(unittest.TestCase):
    """The script takes an environment with either build of torch."""

    def test_the_build_for_cpus_is_named_when_cuda_is_wanted(self):
        with tempfile.TemporaryDirectory() as folder:
            lib = Path(folder, "site-packages/torch/lib")
            lib.mkdir(parents=True)
            (lib / "libtorch_cpu.so").touch()
            script = repository.ROOT / "deploy/image/copy-libtorch.sh"
            command = [script, "cuda", lib.parents[1], Path(folder, "out")]
            outcome = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(outcome.returncode, 1)
            self.assertIn("torch's build for CPUs, without libtorch_cuda.so", outcome.stderr)
            self.assertFalse(Path(folder, "out").exists())


if __name__ == "__main__":
    unittest.main()
