"""Reads files of the repository for the tests of this folder."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def text(path: str) -> str:
    """Returns the text of a file of the repository."""
    return (ROOT / path).read_text()


def documents(path: str) -> list[dict]:
    """Returns the documents of a YAML file; a repeated key is an error."""
    return list(yaml.load_all(text(path), Loader=_StrictLoader))


def tables(path: str) -> list[list[str]]:
    """Returns the rows of every table of a Markdown file, headings included, without backticks."""
    lines = [line for line in text(path).splitlines() if line.startswith("|")]
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines
    ]
    return [row for row in rows if set("".join(row)) - set("-")]


class _StrictLoader(yaml.SafeLoader):
    """PyYAML, but a repeated key is an error; PyYAML itself silently keeps the last value."""

    def construct_mapping(self, node, deep=False):
        """Constructs a mapping after a check of its keys."""
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"{twice} stand twice{node.start_mark}")
        return super().construct_mapping(node, deep)
