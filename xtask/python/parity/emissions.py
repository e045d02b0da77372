"""What two decoders said about one recording, and whether they said the same."""

from dataclasses import asdict, dataclass, field, fields

# Two scores closer than this may come out in another order: far above float32's noise of about
# 1e-5 in a log-probability, far below any difference that means something.
NEAR_TIE = 1e-3
# Near ties that differ, per emission.
MAX_DIFFERENT = 1e-3


@dataclass
class NearTie:
    """A step on `frame`, with `n_tokens` tokens done, that could as well have gone otherwise.

    `tokens` are the reference's choice and, if it is close, the second best; `durations` the same
    for a TDT, empty for others. `gap` is the smaller of the differences in log-probability. For CTC
    a token is done when its run has ended.
    """

    frame: int
    n_tokens: int
    tokens: list[int]
    durations: list[int]
    gap: float

    def excuses(self, token: int, duration: int) -> bool:
        """Whether this emission is one of those that come in question."""
        return token in self.tokens and (not self.durations or duration in self.durations)


@dataclass
class Emissions:
    """The tokens of one recording; blanks are what lies between.

    A token has its encoder frame and the frames it covers: 1 for RNNT, as predicted for TDT, the
    length of the run for CTC. `confidences` are the normalised probabilities of the tokens.
    `n_emissions`, the steps of the search, and `near_ties` are known for the reference alone.
    """

    file: str
    n_frames: int
    tokens: list[int]
    frames: list[int]
    durations: list[int]
    confidences: list[float] = field(default_factory=list)
    n_emissions: int = 0
    near_ties: list[NearTie] = field(default_factory=list)

    @property
    def steps(self) -> list[tuple[int, int, int]]:
        """Token, frame and duration of each."""
        return list(zip(self.tokens, self.frames, self.durations))

    def to_json(self) -> dict:
        """Plain mappings and lists."""
        return asdict(self)

    @staticmethod
    def from_json(row: dict) -> "Emissions":
        """The inverse of `to_json`; leaves aside what else the row holds."""
        own = {name.name: row[name.name] for name in fields(Emissions)}
        return Emissions(**own | {"near_ties": [NearTie(**tie) for tie in row["near_ties"]]})


def first_difference(reference: Emissions, other: Emissions) -> NearTie | str | None:
    """None where all steps are the same; the near tie that parted them; or what differs.

    After the first difference the two predictors are in other states, so nothing that follows can
    be compared.
    """
    if other.n_frames != reference.n_frames:
        return f"{other.n_frames} encoder frames, expected {reference.n_frames}"
    if reference.steps == other.steps:
        return None
    same = 0
    for expected, actual in zip(reference.steps, other.steps):
        if expected != actual:
            break
        same += 1
    pair = [steps[same] if same < len(steps) else None for steps in (reference.steps, other.steps)]
    parted = parting(*pair)
    for tie in reference.near_ties:
        if tie.n_tokens == same and tie.frame <= parted:
            return tie
    return f"token {same} is {show(pair[1])}, expected {show(pair[0])}"


def parting(one: tuple[int, int, int] | None, other: tuple[int, int, int] | None) -> int:
    """The last frame on which two unlike steps can have parted."""
    steps = [step for step in (one, other) if step is not None]
    if len(steps) == 2 and one[:2] == other[:2]:
        return one[1] + min(one[2], other[2])
    return min(step[1] for step in steps)


def show(step: tuple[int, int, int] | None) -> str:
    """A token, its frame and its duration for a message."""
    if step is None:
        return "absent"
    token, frame, duration = step
    return f"{token} on frame {frame} for {duration}"
