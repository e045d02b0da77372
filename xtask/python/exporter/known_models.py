"""The languages that published models recognise, which their files do not state."""

# NVIDIA's model card of parakeet-tdt-0.6b-v3.
EUROPEAN = [
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it"),
    *("lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk"),
]
LANGUAGES = {"nvidia/parakeet-tdt-0.6b-v3": EUROPEAN}


def languages(model_id: str) -> list[str]:
    """Returns the codes of the languages that a model recognises; an unknown id means English."""
    return LANGUAGES.get(model_id, ["en"])
