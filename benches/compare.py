"""Runs ours and the peers on the same recordings and weights, in turn, and prints a table.

Called by `cargo xtask bench`, which installs the peers. The contestants of a heat are loaded once
and wait while the others work; each round asks each of them once, and the first is not counted.
A figure is the median of the rounds, a ratio the median of the rounds' ratios: what disturbs a
machine for a while disturbs both sides of it. All in one heat would not fit 24 GB of memory.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Operations of a 0.6B encoder per second of audio, in chunks of 30 s.
FLOP_PER_AUDIO_S = 15.6e9
MATRIX_ROWS = 2048
OURS, NEMO, ONNX = "parakeet", "NeMo", "onnx-asr"
HEATS = [
    [
        (OURS, "float32"),
        (OURS, "bfloat16"),
        (NEMO, "float32"),
        (NEMO, "bfloat16"),
        (ONNX, "float32"),
    ],
    [(OURS, "bfloat16"), (OURS, "int8"), (NEMO, "int8"), (ONNX, "int8")],
]
# Heats for a CPU without bfloat16 instructions, where bfloat16 takes many times as long as float32.
HEATS_WITHOUT_BFLOAT16 = [
    [(OURS, "float32"), (OURS, "int8_float32"), (NEMO, "float32"), (ONNX, "float32")],
    [(OURS, "int8_float32"), (NEMO, "int8"), (ONNX, "int8")],
]


@dataclass
class Contestant:
    """A program that reads requests from stdin, one per line, and writes an answer per line."""

    program: str
    kind: str
    command: list[str]
    log: Path
    process: Any = None
    # The answers of the counted rounds, by the task's name.
    answers: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The contestant's name in the tables."""
        return f"{self.program} {self.kind}"

    def start(self) -> None:
        """Starts the program and waits for the line that it prints when it has loaded."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        loaded = self.read()
        print(f"{self.name}: loaded in {loaded['load']:.1f} s", file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Ends the program, which frees its memory."""
        self.process.terminate()
        self.process.wait()

    def ask(self, question: Any) -> dict:
        """Sends a request and waits for the answer."""
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `read` reports why the program ended.
        return self.read()

    def read(self) -> dict:
        """Returns the next answer; exits if the program has ended."""
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            hint = ", out of memory perhaps" if code == -signal.SIGKILL else ""
            sys.exit(f"error: {self.name} ended with {code}{hint}; see {self.log}")
        return json.loads(line)


@dataclass(frozen=True)
class Task:
    """Recordings that are transcribed together."""

    name: str
    seconds: int
    n_files: int
    n_rounds: int

    def files(self, work: Path) -> list[str]:
        """Returns the paths of the recordings."""
        return [str(work / f"{self.seconds}.wav")] * self.n_files


def main() -> None:
    """Prints progress on standard error and the tables on standard output."""
    arguments = parse_arguments()
    work: Path = arguments.work
    tasks = [
        Task("30 s", 30, 1, arguments.rounds),
        Task("8 x 30 s", 30, 8, arguments.long_rounds),
        Task("10 min", 600, 1, arguments.long_rounds),
    ]
    tasks = [task for task in tasks if arguments.tasks is None or task.name in arguments.tasks]
    prepare(arguments, sorted({task.seconds for task in tasks}))
    figures = []
    for heat in HEATS if has_bfloat16() else HEATS_WITHOUT_BFLOAT16:
        names = [name for name in heat if is_wanted(name, arguments.only)]
        contestants = [make_contestant(*name, arguments) for name in names]
        if not contestants:
            continue
        figures.append(run_heat(contestants, tasks, arguments))
        (work / "bench.json").write_text(json.dumps(figures, indent=1))


def has_bfloat16() -> bool:
    """Whether Linux lists bfloat16 instructions of the CPU."""
    words = Path("/proc/cpuinfo").read_text().split()
    return "avx512_bf16" in words or "bf16" in words


def run_heat(
    contestants: list[Contestant], tasks: list[Task], arguments: argparse.Namespace
) -> dict:
    """Runs the tasks with these contestants and prints their tables; returns all figures."""
    rates: dict[str, float] = {}
    for loaded in [[it] for it in contestants] if arguments.apart else [contestants]:
        for contestant in loaded:
            contestant.start()
            if contestant.program == NEMO:
                rates[contestant.kind] = contestant.ask(MATRIX_ROWS)["matrix_rate"]
        for task in tasks:
            run(task, loaded, arguments)
        for contestant in loaded:
            contestant.stop()
    for task in tasks:
        report(task, contestants, rates)
    return {it.name: it.answers for it in contestants} | {"matrix_rates": rates}


def parse_arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contestant", type=Path, required=True, help="our program")
    parser.add_argument("--nemo", type=Path, required=True, help="Python with NeMo")
    parser.add_argument("--onnx", type=Path, required=True, help="Python with onnx-asr")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the model and the audio"
    )
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--long-rounds", type=int, default=3, help="rounds of the longer tasks")
    parser.add_argument("--only", nargs="+", help="parts of contestants' names")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds that are not counted")
    parser.add_argument(
        "--apart",
        action="store_true",
        help="load one contestant at a time, where memory is short",
    )
    parser.add_argument("--tasks", nargs="+", choices=("30 s", "8 x 30 s", "10 min"))
    return parser.parse_args()


def prepare(arguments: argparse.Namespace, seconds: list[int]) -> None:
    """Runs `random_model.py`, which makes the model and the recordings."""
    maker = Path(__file__).parent / "peers/random_model.py"
    command = [arguments.nemo, "-W", "ignore", maker, arguments.work, "--seconds"]
    subprocess.run([*map(str, command), *map(str, seconds)], check=True, stdout=sys.stderr)


def make_contestant(program: str, kind: str, arguments: argparse.Namespace) -> Contestant:
    """Returns our program or a peer, not yet started."""
    peers, work = Path(__file__).parent / "peers", arguments.work
    commands = {
        OURS: [arguments.contestant, "--device", "cpu", "--model", work / "bundle"],
        NEMO: [arguments.nemo, "-W", "ignore", peers / "peer_nemo.py", work / "rnnt-0.6b.nemo"],
        ONNX: [arguments.onnx, peers / "peer_onnx.py", work / "onnx"],
    }
    command = [*map(str, commands[program]), "--compute-type", kind]
    command += ["--threads", str(arguments.threads)]
    return Contestant(program, kind, command, work / f"{program}-{kind}.log")


def is_wanted(name: tuple[str, str], only: list[str] | None) -> bool:
    """Whether the contestant is selected; without `only` all are."""
    return only is None or any(part in " ".join(name) for part in only)


def run(task: Task, contestants: list[Contestant], arguments: argparse.Namespace) -> None:
    """Runs the rounds of a task. Warm-up rounds, which build kernels, are not counted."""
    for a_round in range(-arguments.warm_up, task.n_rounds):
        for contestant in contestants:
            answer = contestant.ask(task.files(arguments.work))
            print(
                f"{task.name}, round {a_round + 1}: {contestant.name} {answer['seconds']:.2f} s",
                file=sys.stderr,
                flush=True,
            )
            if a_round >= 0:
                contestant.answers.setdefault(task.name, []).append(answer)


def report(task: Task, contestants: list[Contestant], rates: dict[str, float]) -> None:
    """Prints the table of a task."""
    ours = [it for it in contestants if it.program == OURS]
    heads = ["seconds", "least to most", "RTFx", "of matrix rate", "encode", "search", "words"]
    heads += [f"x {it.name}" for it in ours]
    measured = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in rates.items())
    print(f"\n{task.name}, counted rounds: {task.n_rounds}")
    print(f"matrix rate in GFLOP/s: {measured or 'not measured'}\n")
    print("| | " + " | ".join(heads) + " |")
    print("|---" * (1 + len(heads)) + "|")
    for contestant in contestants:
        print(row(contestant, task, ours, rates), flush=True)


def row(contestant: Contestant, task: Task, ours: list[Contestant], rates: dict[str, float]) -> str:
    """Returns a contestant's line: its figures, and its time relative to each of ours."""
    answers = contestant.answers[task.name]
    times = [it["seconds"] for it in answers]
    middle, audio = statistics.median(times), answers[0]["audio"]
    # The matrix rate of int8 holds for int8_float32, which multiplies the same bytes.
    rate = rates.get(contestant.kind.removesuffix("_float32"))

    def part(name: str) -> str:
        if name not in answers[0]:
            return ""
        return f"{statistics.median(it[name] / it['seconds'] for it in answers):.0%}"

    def ratio(other: Contestant) -> str:
        pairs = zip(times, (it["seconds"] for it in other.answers[task.name]))
        return f"{statistics.median(mine / theirs for mine, theirs in pairs):.2f}"

    cells = [
        contestant.name,
        f"{middle:.2f}",
        f"{min(times):.2f} to {max(times):.2f}",
        f"{audio / middle:.1f}",
        f"{FLOP_PER_AUDIO_S * audio / middle / rate:.0%}" if rate else "",
        part("encode"),
        part("search"),
        str(sum(len(text.split()) for text in answers[0]["texts"])),
        *map(ratio, ours),
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
