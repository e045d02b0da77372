"""Compares the table of metrics, the alerts and the dashboard with the SDK's metrics."""

import json
import re
import unittest

import repository

SOURCE = "crates/dalston-engine-sdk/src/metrics.rs"
LABELS = "crates/dalston-engine-sdk/src/metrics/labels.rs"
DASHBOARD = "deploy/grafana/parakeet.json"
ALERTS = "deploy/prometheus/alerts.yaml"

# The functions with which the source registers a metric: the suffix of the name, and the kind.
KINDS = {
    "counter": ("total", "counter"),
    "times": ("seconds", "histogram"),
    "ratio": ("ratio", "histogram"),
    "time": ("seconds_total", "counter"),
    "bytes": ("bytes", "gauge"),
    "number": ("", "gauge"),
    "decimal": ("", "gauge"),
}
# A metric in a query, with the conditions on its labels.
QUERIED = re.compile(r"(dalston_engine_\w+)(?:\{(.*?)\})?")


def metrics() -> list[list[str]]:
    """Returns name, kind, labels and meaning of every metric, in the order of registration."""
    source = repository.text(SOURCE)
    struct = r"^pub\(super\) struct (\w+) \{\n(.*?)^\}"
    structs = dict(re.findall(struct, repository.text(LABELS), re.DOTALL | re.MULTILINE))
    labels_of = dict(
        re.findall(r"^    (\w+): (?:Family|Histograms)<(\w+)[,>]", source, re.MULTILINE)
    )
    rows = []
    registered = r'^            (\w+): new\.(\w+)\(\s*"(\w+)",\s*"(.*?)"(?:, &\w+)?,?\s*\)'
    for field, kind, name, meaning in re.findall(registered, source, re.MULTILINE):
        ending, kind = KINDS[kind]
        labels = ", ".join(re.findall(r"(\w+):", structs[labels_of[field]]))
        full_name = "_".join(filter(None, ["dalston_engine", name, ending]))
        rows.append([full_name, kind, labels, meaning])
    return rows


class Metrics(unittest.TestCase):
    """The documentation of metrics, and the queries for metrics."""

    def setUp(self):
        """Reads the source."""
        self.metrics = metrics()
        self.labels = {}
        for name, kind, labels, _ in self.metrics:
            more = {"job", "instance"}
            names = [f"{name}_{it}" for it in ("sum", "count")] if kind == "histogram" else [name]
            self.labels |= {it: {*labels.split(", "), *more} for it in names}
            if kind == "histogram":
                self.labels[f"{name}_bucket"] = {*labels.split(", "), *more, "le"}

    def test_every_metric_is_in_the_table(self):
        n_registered = len(re.findall(r"\bnew\.\w+\(", repository.text(SOURCE)))
        self.assertEqual(len(self.metrics), n_registered, "a registration is not understood")
        rows = repository.tables("docs/metrics.md")
        documented = [row for row in rows if row[0].startswith("dalston_engine_")]
        self.assertEqual(documented, self.metrics)

    def test_queries_ask_for_metrics_and_labels_that_there_are(self):
        for path in (ALERTS, DASHBOARD):
            # The dashboard is JSON, which escapes the quotes inside a query.
            queried = QUERIED.findall(repository.text(path).replace('\\"', '"'))
            self.assertTrue(queried, path)
            for name, conditions in queried:
                self.assertIn(name, self.labels, path)
                for label in re.findall(r"(\w+)\s*(?:=|!)", conditions):
                    self.assertIn(label, self.labels[name], f"{path}: {name}")

    def test_every_alert_has_its_row_in_the_guide(self):
        (rules,) = repository.documents(ALERTS)
        alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
        rows = repository.tables("docs/operating.md")
        explained = {row[0] for row in rows if row[0].startswith("Parakeet")}
        self.assertEqual(explained, alerts)

    def test_panels_do_not_lie_over_each_other(self):
        taken = set()
        for panel in json.loads(repository.text(DASHBOARD))["panels"]:
            place = panel["gridPos"]
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            self.assertFalse(taken & cells, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            taken |= cells


if __name__ == "__main__":
    unittest.main()
