"""What two decoders said about one recording, and whether they said the same."""

from dataclasses import asdict, dataclass, field

# Two scores closer than this may come out in another order: far above float32's noise of about
# 1e-5 in a log-probability, far below any difference that means something.
NEAR_TIE = 1e-3
# Near ties that differ, per emission.
MAX_DIFFERENT = 1e-3


@dataclass
class NearTie:
    """A joint step whose two best scores are close: at `frame`, after `n_tokens` tokens."""

    frame: int
    n_tokens: int
    best: int
    second: int
    gap: float


@dataclass
class Emissions:
    """The tokens of one recording with their encoder frames; blanks are what lies between.

    `near_ties` are known for the reference alone.
    """

    file: str
    n_frames: int
    tokens: list[int]
    frames: list[int]
    near_ties: list[NearTie] = field(default_factory=list)

    @property
    def n_emissions(self) -> int:
        """Joint steps of the greedy search, near enough: a token each, and a blank per frame."""
        return self.n_frames + len(self.tokens)

    def to_json(self) -> dict:
        """Plain mappings and lists."""
        return asdict(self)

    @staticmethod
    def from_json(row: dict) -> "Emissions":
        """The inverse of `to_json`."""
        ties = [NearTie(**tie) for tie in row["near_ties"]]
        return Emissions(row["file"], row["n_frames"], row["tokens"], row["frames"], ties)


def first_difference(reference: Emissions, other: Emissions) -> NearTie | str | None:
    """None where tokens and frames are the same; the near tie that parted them; or what differs.

    After the first difference the two predictors are in other states, so nothing that follows can
    be compared.
    """
    if other.n_frames != reference.n_frames:
        return f"{other.n_frames} encoder frames, expected {reference.n_frames}"
    pairs = list(zip(reference.tokens, reference.frames))
    others = list(zip(other.tokens, other.frames))
    if pairs == others:
        return None
    same = 0
    while same < min(len(pairs), len(others)) and pairs[same] == others[same]:
        same += 1
    expected = pairs[same] if same < len(pairs) else None
    actual = others[same] if same < len(others) else None
    frame = min(step[1] for step in (expected, actual) if step is not None)
    for tie in reference.near_ties:
        if tie.n_tokens == same and tie.frame == frame:
            return tie
    return f"token {same} is {show(actual)}, expected {show(expected)}"


def show(step: tuple[int, int] | None) -> str:
    """A token and its frame for a message."""
    return "absent" if step is None else f"{step[0]} on frame {step[1]}"
