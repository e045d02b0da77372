"""What is known of published models beyond their files: the languages that they hear."""

# NVIDIA's model card of parakeet-tdt-0.6b-v3.
EUROPEAN = [
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it"),
    *("lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk"),
]
LANGUAGES = {"nvidia/parakeet-tdt-0.6b-v3": EUROPEAN}


def languages(model_id: str) -> list[str]:
    """Codes of the languages that the model of this id hears; English, unless it is known."""
    return LANGUAGES.get(model_id, ["en"])
