"""Which language a speaker keeps to, once what was heard makes it sure."""

from gateway.core.audio import Transcript

# A detection this sure is believed at once; a less sure one when the next utterance agrees. Whisper takes the likeliest
# language however flat its guess is, which for a second of speech is often a wrong one.
SURE_PROBABILITY = 0.8


class LanguageLock:
    """`language` is an ISO-639-1 code, or None while it is open."""

    def __init__(self, language: str | None = None) -> None:
        self.language = language
        self._guess: str | None = None

    def heard(self, transcript: Transcript) -> None:
        """Takes an utterance's detection into account; silence says nothing."""
        if self.language is not None or not transcript.text:
            return
        if transcript.language_probability >= SURE_PROBABILITY or transcript.language == self._guess:
            self.language = transcript.language
        self._guess = transcript.language
