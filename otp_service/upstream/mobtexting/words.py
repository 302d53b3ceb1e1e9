"""One table of the upstream's status words for all channels; no other module knows them.

Must not know where a word came from: the answer to a send, a pushed report, or a report that was fetched. Pure: an
unknown word becomes a meaning, never an exception.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otp_service.upstream.mobtexting.values import scalar
from otp_service.upstream.port import Stage

UNKNOWN_WORD: Final = "unknown_word"
PART_LOST: Final = "part_lost"

WORDS: Final[Mapping[str, tuple[Stage, str]]] = {
    # Accepted, sent and delivered.
    "": (Stage.PENDING, "pending"),
    "AWAITING-DLR": (Stage.PENDING, "pending"),
    "QUEUED": (Stage.PENDING, "pending"),
    "DISPATCHED": (Stage.PENDING, "pending"),
    "SENT": (Stage.SENT, "sent"),
    "DELIVRD": (Stage.DELIVERED, "delivered"),
    "DELIVERED": (Stage.DELIVERED, "delivered"),
    "READ": (Stage.READ, "read"),
    # Unknown.
    "TIMEOUT-DLR": (Stage.UNKNOWN, "no_receipt"),  # the operator did not report in time
    # The subscriber, the handset, the network.
    "INVALID-SUB": (Stage.FAILED, "invalid_number"),
    "ABSENT-SUB": (Stage.FAILED, "unreachable"),
    "HANDSET-ERR": (Stage.FAILED, "unreachable"),
    "HANDSET-BUSY": (Stage.FAILED, "unreachable"),
    "MEMEXEC": (Stage.FAILED, "unreachable"),
    "MOB-OFF": (Stage.FAILED, "unreachable"),
    "NET-ERR": (Stage.FAILED, "unreachable"),
    "OFFLINE": (Stage.FAILED, "unreachable"),
    "BARRED": (Stage.FAILED, "blocked"),
    "SERIES-BLK": (Stage.FAILED, "blocked"),
    "EXPIRED": (Stage.FAILED, "undelivered"),
    "FAILED": (Stage.FAILED, "undelivered"),
    "UNDELIV": (Stage.FAILED, "undelivered"),
    "DELETED": (
        Stage.FAILED,
        "undelivered",
    ),  # deleted or expired in the application; "delivered" before counts
    "REJ-MULTIPART": (Stage.FAILED, PART_LOST),  # not all parts of the message were delivered to the handset
    # Calls. The meaning of RECEIVED is inferred from MISSED, its opposite.
    "ANSWER": (Stage.DELIVERED, "delivered"),
    "COMPLETED": (Stage.DELIVERED, "delivered"),
    "RECEIVED": (Stage.DELIVERED, "delivered"),
    "BUSY": (Stage.FAILED, "busy"),
    "NOANSWER": (Stage.FAILED, "no_answer"),
    "MISSED": (Stage.FAILED, "no_answer"),
    "CANCEL": (Stage.FAILED, "cancelled"),
    "CONGESTION": (Stage.FAILED, "unreachable"),
    "CHANUNAVAIL": (Stage.FAILED, "unreachable"),
    # The platform.
    "SERIES-BLOCK": (Stage.FAILED, "blocked"),
    "BLACKLST": (Stage.FAILED, "blocked"),
    "BLACKLIST": (Stage.FAILED, "blocked"),
    "DNDNUMB": (Stage.FAILED, "do_not_disturb"),
    "NOT-OPTIN": (Stage.FAILED, "opted_out"),
    "OPTOUT-REJ": (Stage.FAILED, "opted_out"),
    "NOTALLOWED": (Stage.FAILED, "not_allowed"),
    "INV-NUMBER": (Stage.FAILED, "invalid_number"),
    "NO-CREDITS": (Stage.FAILED, "no_credits"),
    "NO-ACCOUNT": (Stage.FAILED, "no_account"),
    "SERVER-ERR": (Stage.FAILED, "upstream_failed"),
    "SPAM": (Stage.FAILED, "spam"),
    "SNDR-BLOCK": (Stage.FAILED, "invalid_sender"),
    "SNDR-NOT-ALLOTED": (Stage.FAILED, "invalid_sender"),  # the upstream's spelling
    "INV-SENDER": (Stage.FAILED, "invalid_sender"),
    "TEMPLATE-NOT-FOUND": (Stage.FAILED, "invalid_template"),
    "INV-TEMPLATE": (Stage.FAILED, "invalid_template"),
    "INV-PROVISION": (Stage.FAILED, "invalid_service"),
    "INV-SERVICE": (Stage.FAILED, "invalid_service"),
    "INV-SCHEDULE": (Stage.FAILED, "invalid_schedule"),
    "PROMO-TMOUT": (Stage.FAILED, "outside_hours"),
    "REJECTED": (Stage.FAILED, "rejected"),
    "DUPLICATE": (Stage.FAILED, "duplicate"),
    "THROTTLED": (Stage.FAILED, "throttled"),
    # DLT, India's registry of senders and texts.
    "DLT-REJECTED": (Stage.FAILED, "dlt_rejected"),
    "DLT-INV-TMID": (Stage.FAILED, "invalid_template"),
    "DLT-INV-TM-ID": (Stage.FAILED, "invalid_template"),
    "INV-TMID": (Stage.FAILED, "invalid_template"),
    "DLT-TM-VAR-EXECEED": (Stage.FAILED, "invalid_template"),  # the upstream's spelling
    "DLT-TM-BLACKLST": (Stage.FAILED, "invalid_template"),
    "DLT-TM-INACTIVE": (Stage.FAILED, "invalid_template"),
    "DLT-INV-ENTITY": (Stage.FAILED, "invalid_entity"),
    "DLT-ENTITY-NOT-FOUND": (Stage.FAILED, "invalid_entity"),
    "DLT-ENTITY-BLACKLST": (Stage.FAILED, "invalid_entity"),
    "INV-ENTITY": (Stage.FAILED, "invalid_entity"),
    "INV-PEID": (Stage.FAILED, "invalid_entity"),
    "DLT-HEADER-INACTIVE": (Stage.FAILED, "invalid_sender"),
    "DLT-SENDER-NOT-REG-TM": (Stage.FAILED, "invalid_sender"),
}
"""The stage and reason of each word (documentation: v2/sms, v2/voice, v2/whatsapp, v2/rcs, v2/mip)."""

_WORD_LIKE: Final = re.compile(r"[A-Z][A-Z-]{0,39}")  # contains no digits, so no number and no code


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a word.

    `said` is the word if it is safe to show, `new_word` the same if it is not in the table.
    """

    stage: Stage
    reason: str
    new_word: str | None = None
    said: str | None = None


def meaning_of(value: object) -> Meaning:
    """Return the meaning of a status word, whatever its type, case and separators. A missing word means "pending"."""
    text = "" if value is None else scalar(value)
    known = None if text is None else _KNOWN.get(_bare(text))
    if known:
        return Meaning(*known, said=shown(value))
    return Meaning(Stage.UNKNOWN, UNKNOWN_WORD, shown(value), shown(value))


def shown(value: object) -> str | None:
    """Spell a word as the tables do, to show it to operators; None if it may contain a number or a code."""
    spelt = re.sub(r"[\s_]+", "-", (scalar(value) or "").strip().upper())
    return spelt if _WORD_LIKE.fullmatch(spelt) else None


def _bare(word: str) -> str:
    """Remove what differs between the upstream's own samples: case and separators."""
    return re.sub(r"[\s_-]+", "", word).upper()


_KNOWN: Final = {_bare(word): meaning for word, meaning in WORDS.items()}
