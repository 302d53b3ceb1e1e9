"""The words with which people stop messages, or ask for them again.

Knows the words in each language. Must not know who wrote a message, over which channel, or what follows from it.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal

# By language, in everyday spelling; `_fold` removes accents, case and hyphens. The English words are those that
# 47 CFR 64.1200(a)(10) lists as sufficient (stop, quit, end, revoke, opt out, cancel, unsubscribe), and "stop all",
# which carriers add. Words that a person may write at a login in another sense ("no", "sí", "anmelden", which also
# means to log in) are left out, as CTIA 5.1.3 asks.
_STOP: Mapping[str, str] = {
    "en": "stop, stopall, stop all, unsubscribe, cancel, end, quit, optout, opt out, revoke",
    "ar": "توقف, إيقاف, أوقف, قف, إلغاء, إلغاء الاشتراك",
    "de": "stopp, halt, abmelden, abbestellen, beenden",
    "es": "alto, parar, pare, detener, baja, cancelar",
    "fr": "arrêt, arrêter, arrêtez, désabonner, annuler",
    "hi": "स्टॉप, रोकें, रोको, रुकें, बंद, बंद करें, बंद करो",
    "it": "ferma, fermare, basta, annulla, disiscrivi",
    "nl": "stoppen, afmelden, uitschrijven",
    "pt": "parar, pare, cancelar, sair",
}
_START: Mapping[str, str] = {
    "en": "start, unstop",
    "ar": "ابدأ, بدء, استئناف",
    "de": "starten, fortsetzen",
    "es": "iniciar, empezar, reanudar, alta",
    "fr": "démarrer, commencer, reprendre",
    "hi": "स्टार्ट, शुरू, शुरू करें, शुरू करो",
    "it": "avvia, inizia, riprendi",
    "nl": "starten, hervatten",
    "pt": "iniciar, começar, retomar",
}
# Accents of Latin, vowel signs, hamza and the lengthening stroke of Arabic, and the variation selectors of emoji.
# The vowel signs of Devanagari change the word, so they stay.
_ORNAMENTS = re.compile(r"[\u0300-\u036f\u064b-\u0655\u0640\ufe00-\ufe0f]")


def word(text: str) -> Literal["stop", "start"] | None:
    """Return what a message asks for, if it consists of one of the words only; None for any other text.

    CTIA Messaging Principles and Best Practices (2023), 5.1.3: case and punctuation do not matter, and a word that
    could opt out unintentionally must not. So sentences never count; a person has to read them. YES is not a word for
    "start": it may answer any earlier question, and an opt-in must be intended (5.1.2).
    """
    return _WORDS.get(_fold(text))


def _fold(text: str) -> str:
    """Remove what does not change a word: case, accents, width, invisible characters, punctuation around it."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    visible = "".join(char for char in _ORNAMENTS.sub("", plain) if unicodedata.category(char) != "Cf")
    first, last = _edges(visible)
    return " ".join(re.split(r"[\s_\u2010-\u2015-]+", visible[first:last]))


def _edges(text: str) -> tuple[int, int]:
    """Return where letters begin and end; a combining mark belongs to its letter."""
    letters = [place for place, char in enumerate(text) if unicodedata.category(char)[0] in "LMN"]
    return (letters[0], letters[-1] + 1) if letters else (0, 0)


def _listed(table: Mapping[str, str]) -> set[str]:
    return {_fold(entry) for words in table.values() for entry in words.split(",")}


_WORDS: dict[str, Literal["stop", "start"]] = {
    **dict.fromkeys(_listed(_START), "start"),
    **dict.fromkeys(_listed(_STOP), "stop"),
}
