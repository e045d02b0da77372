"""The emissions of one recording, and the comparison of two decoders' emissions."""

from dataclasses import asdict, dataclass, field, fields

# Scores closer than this may swap their order. The value lies far above float32's noise of about
# 1e-5 in a log-probability, and far below any difference that matters.
NEAR_TIE = 1e-3
# Limit of near ties decided differently, per emission.
MAX_DIFFERENT = 1e-3


@dataclass
class NearTie:
    """A step of the search whose two best choices have almost equal scores.

    The step is on `frame`, after `n_tokens` tokens. `tokens` are the reference's choice and, if its
    score is close, the second best token. `durations` are the same for a TDT's durations, and empty
    for other heads. `gap` is the smaller of the two differences in log-probability. A CTC token
    counts in `n_tokens` once its run has ended.
    """

    frame: int
    n_tokens: int
    tokens: list[int]
    durations: list[int]
    gap: float

    def excuses(self, token: int, duration: int) -> bool:
        """Whether this emission is one of the choices of the near tie."""
        return token in self.tokens and (not self.durations or duration in self.durations)


@dataclass
class Emissions:
    """The tokens of one recording, without blanks.

    `frames` are encoder frames. `durations` are the frames that a token covers: 1 for RNNT, the
    predicted duration for TDT, the length of the run for CTC. `confidences` are the normalised
    probabilities of the tokens. `n_emissions`, the number of search steps, and `near_ties` are
    known for the reference alone.
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
        """Token, frame and duration of each emission."""
        return list(zip(self.tokens, self.frames, self.durations))

    def to_json(self) -> dict:
        """Returns plain mappings and lists."""
        return asdict(self)

    @staticmethod
    def from_json(row: dict) -> "Emissions":
        """The inverse of `to_json`; ignores other keys of the row."""
        own = {name.name: row[name.name] for name in fields(Emissions)}
        return Emissions(**own | {"near_ties": [NearTie(**tie) for tie in row["near_ties"]]})


def first_difference(reference: Emissions, other: Emissions) -> NearTie | str | None:
    """Returns the first difference between two decoders' emissions.

    None: all steps are the same. A `NearTie`: the two paths diverged at this near tie. A string
    describes any other difference. After a difference the two predictors have different states, so
    later steps are not compared.
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
    diverged = last_common_frame(*pair)
    for tie in reference.near_ties:
        if tie.n_tokens == same and tie.frame <= diverged:
            return tie
    return f"token {same} is {describe_step(pair[1])}, expected {describe_step(pair[0])}"


def last_common_frame(one: tuple[int, int, int] | None, other: tuple[int, int, int] | None) -> int:
    """Returns the last frame on which the paths to two different steps can have diverged."""
    steps = [step for step in (one, other) if step is not None]
    if len(steps) == 2 and one[:2] == other[:2]:
        return one[1] + min(one[2], other[2])
    return min(step[1] for step in steps)


def describe_step(step: tuple[int, int, int] | None) -> str:
    """Formats a token, its frame and its duration for a message."""
    if step is None:
        return "absent"
    token, frame, duration = step
    return f"{token} on frame {frame} for {duration}"
