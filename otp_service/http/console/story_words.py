"""What happened to a challenge, in words: a sentence for each note, and how long nothing happened before it.

Pure. Knows the fields of notes. Must not know how a story is found or drawn.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otp_service.alerts.words import channel_name, duration
from otp_service.ops.finding_words import with_counter, without_counter

Note = Mapping[str, Any]
LINE, LEAST = 200, 4
"""Units of height of all waits of a story together, and of the shortest one."""


@dataclass(frozen=True, slots=True)
class ToldStep:
    """A step of a story: its moment, tone ("", "good", "bad"), words, and the wait before it with its height."""

    at: int
    tone: str
    text: str
    more: str
    wait: float
    height: int


def told_steps(timeline: Iterable[Note], country: str = "") -> list[ToldStep]:
    """Tell the story of a number of this country step by step; the heights of waits are to scale."""
    notes = list(timeline)
    whole = max(1, notes[-1]["at"] - notes[0]["at"]) if notes else 1
    return list(_steps(notes, whole, country))


def _steps(notes: list[Note], whole: int, country: str) -> Iterator[ToldStep]:
    before = notes[0]["at"] if notes else 0
    for note in notes:
        wait = max(0, note["at"] - before)
        tone, text = sentence(note)
        height = max(LEAST, round(LINE * wait / whole)) if wait else 0
        yield ToldStep(note["at"], tone, text, _more(note, country), wait / 1000, height)
        before = note["at"]


def sentence(note: Note) -> tuple[str, str]:
    """Return the tone and the words of a note."""
    tell = _TOLD.get(note["what"])
    return tell(note) if tell else ("", str(note["what"]).replace("_", " "))


def _by(note: Note) -> str:
    channel = channel_name(note.get("channel", "")) or "The message"
    return f"{channel} by {note['account']}" if note.get("account") else channel


def _because(note: Note) -> str:
    words = [str(note[name]).replace("_", " ") for name in ("reason", "rule") if note.get(name)]
    return f": {', rule '.join(words)}" if words else ""


def _asked(note: Note) -> tuple[str, str]:
    origin = str(note.get("origin", ""))
    who = f"a {origin}" if origin in {"page", "server"} else f"a page of {origin}"
    return "", f"A code was asked for by {who}" if origin else "A code was asked for"


def _decided(note: Note) -> tuple[str, str]:
    """Tell the answer of an app's endpoint from the policy's, which decides without one."""
    result, failure = (str(note.get(name, "")).replace("_", " ") for name in ("result", "reason"))
    took = f" after {note['seconds'] * 1000:.0f} ms" if note.get("seconds") is not None else ""
    if failure:
        return "bad", f"The app's endpoint gave no answer{took} ({failure}); its policy decided: {result}"
    tone = "bad" if result in {"refuse", "human check"} else ""
    return tone, f"The app's endpoint decided{took}{f': {result}' if result else ''}"


def _sent(note: Note) -> tuple[str, str]:
    if note.get("result") == "unknown":
        return "bad", f"{_by(note)}: no answer came, so it is unknown whether it left"
    return "", f"{_by(note)} accepted it"


def _reported(note: Note) -> tuple[str, str]:
    tones = {"delivered": "good", "read": "good", "failed": "bad"}
    result = str(note.get("result", ""))
    return tones.get(
        result, ""
    ), f"{channel_name(note.get('channel', '')) or 'Message'} {result}{_because(note)}"


def _guessed(note: Note) -> tuple[str, str]:
    result = str(note.get("result", ""))
    return (
        ("good", "The right code") if result == "right" else ("bad", f"A code was typed: {result or 'wrong'}")
    )


def _ended(note: Note) -> tuple[str, str]:
    result = str(note.get("result", ""))
    by = (
        f" with the code of {channel_name(note['channel'])}"
        if note.get("channel") and result == "verified"
        else ""
    )
    return ("good" if result == "verified" else "bad"), f"Ended: {result}{by}"


def _fell_back(note: Note) -> tuple[str, str]:
    gave_up, following = (channel_name(note.get(name, "")) for name in ("channel", "following"))
    return (
        "bad",
        f"{gave_up or 'A step'} was given up{_because(note)}; {following or 'the next step'} follows",
    )


_TOLD: Mapping[str, Callable[[Note], tuple[str, str]]] = {
    "asked": _asked,
    "decided": _decided,
    "admitted": lambda note: ("", f"The guard let it in ({note.get('result', 'allow')})"),
    "refused": lambda note: ("bad", f"Refused{_because(note)}"),
    "human_check": lambda note: ("bad", f"A human check was asked for{_because(note)}"),
    "sent": _sent,
    "not_sent": lambda note: ("bad", f"{_by(note)} did not take it{_because(note)}"),
    "skipped": lambda note: (
        "",
        f"{channel_name(note.get('channel', '')) or 'A step'} was passed over{_because(note)}",
    ),
    "fell_back": _fell_back,
    "reported": _reported,
    "dropped": lambda _: ("bad", "Not sent: too little time was left to type its code"),
    "guessed": _guessed,
    "resent": lambda note: (
        "",
        f"The person asked for another code{' by ' + channel_name(note['channel']) if note.get('channel') else ''}",
    ),
    "ended": _ended,
    "redeemed": lambda _: ("good", "The app redeemed the token"),
    "told": lambda note: ("", f"The app is told {note.get('reason', 'of it')}"),
}


def _more(note: Note, country: str) -> str:
    """Return what else a note says: why the rule applies, the upstream's word, the plan, the price."""
    parts = [_finding(note, country)] if note.get("rule") else []
    if note.get("word"):
        parts.append(f"the upstream's word: {note['word']}")
    if note.get("plan"):
        parts.append(f"plan {note['plan']}")
    if note.get("price"):
        parts.append(f"price {note['price']:g}")
    return "; ".join(parts)


def _finding(note: Note, country: str) -> str:
    """Say why the guard's rule applies: what it counted, or what it refuses if it counts nothing."""
    if note.get("counter") is None or not note.get("threshold"):
        return without_counter(note["rule"], country)
    return with_counter(
        note["counter"], note["threshold"], duration(note["window"]) if note.get("window") else ""
    )
