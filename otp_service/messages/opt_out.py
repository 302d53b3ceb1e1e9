"""What a person asks who answers a message: to get no more of them, or to get them again.

Pure text. Must not know who wrote it, over which channel, or what becomes of the wish.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal

# By language, as they are spoken; `_fold` takes accents, case and hyphens from them. English: the words that
# 47 CFR 64.1200(a)(10) names as always enough (stop, quit, end, revoke, opt out, cancel, unsubscribe), and
# "stop all", which carriers add. Words that a login could call forth in another sense ("no", "sí", "anmelden",
# which is also to log in) are left out, as CTIA 5.1.3 says.
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
# Accents of Latin, vowel signs and hamza of Arabic, the stroke that makes Arabic words longer, and what picks the
# colour of an emoji. The signs of Devanagari are no ornament and stay.
_ORNAMENTS = re.compile(r"[\u0300-\u036f\u064b-\u0655\u0640\ufe00-\ufe0f]")


def word(text: str) -> Literal["stop", "start"] | None:
    """Say what a message asks, if all of it is one of the words that ask it.

    CTIA Messaging Principles and Best Practices (2023), 5.1.3: capitals and punctuation do not matter, and a word
    that may opt out unintentionally is not to be read so. Hence no sentence counts here; one that does ask for
    silence is for a person to read. YES is no word for more: it answers the last question, whoever asked it,
    while an opt-in must be meant (5.1.2).
    """
    return _WORDS.get(_fold(text))


def _fold(text: str) -> str:
    """Take away what does not change a word: case, accents, width, what is unseen, signs around it."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    seen = "".join(sign for sign in _ORNAMENTS.sub("", plain) if unicodedata.category(sign) != "Cf")
    first, last = _edges(seen)
    return " ".join(re.split(r"[\s_\u2010-\u2015-]+", seen[first:last]))


def _edges(text: str) -> tuple[int, int]:
    """Find where letters begin and where they end; a mark that sounds belongs to its letter."""
    spoken = [place for place, sign in enumerate(text) if unicodedata.category(sign)[0] in "LMN"]
    return (spoken[0], spoken[-1] + 1) if spoken else (0, 0)


def _listed(table: Mapping[str, str]) -> set[str]:
    return {_fold(entry) for words in table.values() for entry in words.split(",")}


_WORDS: dict[str, Literal["stop", "start"]] = {
    **dict.fromkeys(_listed(_START), "start"),
    **dict.fromkeys(_listed(_STOP), "stop"),
}
