"""Checks the model cards against Dalston's form and the table of docs/models.md."""

import re
import unittest

import repository


# The ids and the files of Dalston's own cards for Parakeets, at 7d12e67a. Its gateway reads all cards from one
# folder and keeps one for each id.
DALSTONS = {
    f"{maker}{name}"
    for name in (
        "parakeet-ctc-0.6b",
        "parakeet-ctc-1.1b",
        "parakeet-rnnt-0.6b",
        "parakeet-tdt-0.6b-v3",
        "parakeet-tdt-1.1b",
    )
    for maker in ("", "nvidia/")
}


class ModelCards(unittest.TestCase):
    """The content of the cards."""

    def setUp(self):
        """Reads the cards and the table."""
        files = sorted((repository.ROOT / "models/cards").glob("*.yaml"))
        self.files = {file.stem for file in files}
        cards = [repository.documents(f"{file}")[0] for file in files]
        self.cards = {card["loaded_model_id"].removeprefix("nvidia/"): card for card in cards}
        known = [
            row for row in repository.tables("docs/models.md") if row[0].startswith("parakeet-")
        ]
        self.known = {row[0]: row for row in known}

    def test_every_known_model_has_a_card_and_no_other_has(self):
        self.assertEqual(self.cards.keys(), self.known.keys())
        self.assertEqual(len(self.files), len(self.cards))

    def test_no_card_takes_the_place_of_one_of_dalstons(self):
        ids = {card["id"] for card in self.cards.values()}
        self.assertEqual(ids, self.files)
        self.assertFalse((ids | self.files) & DALSTONS)

    def test_a_card_has_what_dalston_requires_and_the_id_that_its_bundle_is_found_by(self):
        for name, card in self.cards.items():
            with self.subTest(name):
                model = name.removeprefix("parakeet-")
                self.assertEqual(card["id"], f"parakeet-worker-{model}")
                self.assertEqual(card["engine_id"], "parakeet")
                # Dalston sends `source` where there is one: both must lead to the same bundle.
                self.assertEqual(card["loaded_model_id"], f"nvidia/{name}")
                self.assertEqual(card["source"], f"nvidia/{name}")

    def test_a_card_says_of_text_and_languages_what_the_table_says(self):
        for name, (_, _, writes, languages, *_) in self.known.items():
            with self.subTest(name):
                card = self.cards[name]
                marks = writes == "case and punctuation"
                self.assertEqual(card["capabilities"]["punctuation"], marks)
                self.assertEqual(card["capabilities"]["capitalization"], marks)
                n_languages = re.match(r"\d+", languages)
                expected = int(n_languages[0]) if n_languages else 1
                self.assertEqual(len(set(card["languages"])), expected)
                self.assertIn("en", card["languages"])

    def test_no_card_names_a_speed(self):
        for name, card in self.cards.items():
            self.assertNotIn("performance", card, name)


if __name__ == "__main__":
    unittest.main()
