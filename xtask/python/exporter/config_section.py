"""A section of a config that records which of its keys were read, and refuses the others."""

import json
import math
from typing import Any

from exporter.errors import ExportError

ABSENT = object()


class Section:
    """A mapping of model_config.yaml; `path` leads to it from the root, as in `decoder.prednet`."""

    def __init__(self, content: Any, source: str, path: str = "") -> None:
        if not isinstance(content, dict):
            raise ExportError(f"{source}: {path or 'model_config.yaml'} is not a mapping")
        self.content = content
        self.source = source
        self.path = path
        self.known: set[str] = set()

    def get(self, key: str, default: Any = ABSENT) -> Any:
        """Returns the key's value; `default` is NeMo's value for an absent key."""
        self.known.add(key)
        value = self.content.get(key, default)
        if value is ABSENT:
            raise ExportError(f"{self.source}: {self.name(key)} is missing in model_config.yaml")
        return value

    def section(self, key: str, default: Any = ABSENT) -> "Section":
        """Returns the mapping under this key; null counts as `default`."""
        content = self.get(key, default)
        if content is None and default is not ABSENT:
            content = default
        return Section(content, self.source, self.name(key))

    def integer(self, key: str, default: Any = ABSENT) -> int:
        """Returns a whole number."""
        value = self.get(key, default)
        if type(value) is not int:
            raise self.refusal(key, value, "a whole number")
        return value

    def count(self, key: str, default: Any = ABSENT) -> int:
        """Returns a whole number, 1 or more."""
        value = self.integer(key, default)
        if value < 1:
            raise self.refusal(key, value, "1 or more")
        return value

    def number(self, key: str, default: Any = ABSENT) -> float:
        """Returns a finite number."""
        value = self.get(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.refusal(key, value, "a number")
        return float(value)

    def require(self, key: str, *accepted: Any, default: Any = ABSENT) -> Any:
        """Returns the value, one of `accepted`; absent counts as null if null is accepted."""
        if default is ABSENT and None in accepted:
            default = None
        value = self.get(key, default)
        if not any(value == choice and type(value) is type(choice) for choice in accepted):
            raise self.refusal(key, value, " or ".join(show(choice) for choice in accepted))
        return value

    def ignore(self, *keys: str) -> None:
        """Marks keys as known whose values do not change what inference gives."""
        self.known.update(keys)

    def finish(self) -> None:
        """Refuses the first key that was neither read nor ignored."""
        for key in self.content:
            if key not in self.known:
                raise ExportError(
                    f"{self.source}: {self.name(key)} in model_config.yaml is not a key whose "
                    "effect this exporter knows"
                )

    def refusal(self, key: str, value: Any, expected: str) -> ExportError:
        """Returns the error for a value that is not implemented."""
        return ExportError(
            f"{self.source}: {self.name(key)} is {show(value)} in model_config.yaml, "
            f"expected {expected}"
        )

    def name(self, key: str) -> str:
        """Returns the key's path from the root."""
        return f"{self.path}.{key}" if self.path else key


def show(value: Any) -> str:
    """Returns the value as YAML spells it, cut to 60 characters."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
