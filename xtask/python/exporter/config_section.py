"""A section of a config that remembers which of its keys were looked at, and refuses the rest."""

import json
import math
from typing import Any

from exporter.errors import ExportError

ABSENT = object()


class Section:
    """A mapping of model_config.yaml under its path from the root, `decoder.prednet`."""

    def __init__(self, content: Any, source: str, path: str = "") -> None:
        if not isinstance(content, dict):
            raise ExportError(f"{source}: {path or 'model_config.yaml'} is not a mapping")
        self.content = content
        self.source = source
        self.path = path
        self.known: set[str] = set()

    def get(self, key: str, default: Any = ABSENT) -> Any:
        """The key's value; `default` is what NeMo takes when the key is absent."""
        self.known.add(key)
        value = self.content.get(key, default)
        if value is ABSENT:
            raise ExportError(f"{self.source}: {self.name(key)} is missing in model_config.yaml")
        return value

    def section(self, key: str, default: Any = ABSENT) -> "Section":
        """The mapping under this key; null counts as `default`."""
        content = self.get(key, default)
        if content is None and default is not ABSENT:
            content = default
        return Section(content, self.source, self.name(key))

    def integer(self, key: str, default: Any = ABSENT) -> int:
        """A whole number."""
        value = self.get(key, default)
        if type(value) is not int:
            raise self.refusal(key, value, "a whole number")
        return value

    def count(self, key: str, default: Any = ABSENT) -> int:
        """A whole number, 1 or more."""
        value = self.integer(key, default)
        if value < 1:
            raise self.refusal(key, value, "1 or more")
        return value

    def number(self, key: str, default: Any = ABSENT) -> float:
        """A number that is finite."""
        value = self.get(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.refusal(key, value, "a number")
        return float(value)

    def require(self, key: str, *accepted: Any, default: Any = ABSENT) -> Any:
        """The value, which must be one of `accepted`; an absent key counts as null if null is."""
        if default is ABSENT and None in accepted:
            default = None
        value = self.get(key, default)
        if not any(value == choice and type(value) is type(choice) for choice in accepted):
            raise self.refusal(key, value, " or ".join(show(choice) for choice in accepted))
        return value

    def ignore(self, *keys: str) -> None:
        """Keys that inference does not depend on."""
        self.known.update(keys)

    def finish(self) -> None:
        """Refuses the first key that nobody looked at."""
        for key in self.content:
            if key not in self.known:
                raise ExportError(
                    f"{self.source}: {self.name(key)} in model_config.yaml is not a key whose "
                    "effect this exporter knows"
                )

    def refusal(self, key: str, value: Any, expected: str) -> ExportError:
        """The error for a value that is not implemented."""
        return ExportError(
            f"{self.source}: {self.name(key)} is {show(value)} in model_config.yaml, "
            f"expected {expected}"
        )

    def name(self, key: str) -> str:
        """The key's path from the root."""
        return f"{self.path}.{key}" if self.path else key


def show(value: Any) -> str:
    """The value as YAML would spell it, shortened."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
