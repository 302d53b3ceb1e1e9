"""The calls that the service makes to the upstream: send an SMS, ask for the balance.

Knows the fields of those calls. Must not know challenges or codes: it is handed a text,
a number and a reference.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from otp_service.delivery import Outcome
from otp_service.mobtexting.account import Account, SmsSender
from otp_service.mobtexting.outcomes import ACCEPTED, UNREADABLE, VERDICTS, Reading, number, outcome_of, read
from otp_service.mobtexting.transport import Answer, NoAnswerError, Transport

_log = logging.getLogger(__name__)

_E164: Final = re.compile(r"\+[1-9][0-9]{4,14}")

# 3GPP TS 23.038, 6.2.1: the default alphabet and its extension table, without the escape character.
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
    "\f^{}\\[~]|€"
)


class UpstreamError(Exception):
    """The upstream gave no usable answer; `reason` is a stable word of ours, and the text is safe to show."""

    def __init__(self, account: str, reason: str) -> None:
        super().__init__(f"The upstream account {account} gave no usable answer: {reason}.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left of one service code. `credits` and `charges` are in the upstream's own unit."""

    service: str
    name: str
    credits: float
    postpaid: bool
    charges: float | None


class Client:
    """One account at the upstream; safe to use from many threads, `close` it at the end."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._transport = Transport(account)
        self._balance_paths = account.balance_paths

    def send_sms(self, *, to: str, text: str, sender: SmsSender, reference: str) -> Outcome:
        """Send one SMS, once, and say how that ended (documentation, v2/sms/post).

        `to` is E.164 with its plus, `reference` comes back in delivery reports. Takes up to the account's
        `total_timeout`. Whatever the network or the upstream does is an outcome; ValueError if `to` is no
        such number.
        """
        if not _E164.fullmatch(to):
            # Not passed on to be refused there: the upstream takes a list, and would read a comma as one.
            raise ValueError("to must be E.164 with a plus")
        try:
            answer = self._transport.post(self._account.sms_path, _sms_fields(to, text, sender, reference))
        except NoAnswerError as end:
            return Outcome(VERDICTS[end.reason], end.reason)
        return outcome_of(self._read(answer), answer, datetime.now(UTC))

    def balance(self) -> list[Balance]:
        """Ask what is left, one entry per service code (documentation, v2/account/balance).

        Where the account's first path is not found, the next is tried, and the one that works is asked first
        from then on. Raises UpstreamError.
        """
        reason = "not_found"
        for path in self._balance_paths:
            reading = self._get(path)
            reason = reading.reason
            if reason == ACCEPTED:
                self._balance_paths = tuple(sorted(self._account.balance_paths, key=path.__ne__))
                return self._balances(reading.body.get("data"))
            if reason != "not_found":
                break
        raise UpstreamError(self._account.name, reason)

    def close(self) -> None:
        """Close all idle connections; calls that still run end as they would."""
        self._transport.close()

    def _get(self, path: str) -> Reading:
        try:
            return self._read(self._transport.get(path))
        except NoAnswerError as end:
            return Reading(end.reason)

    def _read(self, answer: Answer) -> Reading:
        reading = read(answer)
        if reading.new_word:
            _log.warning(
                "account %s: the status word %s is not in the table", self._account.name, reading.new_word
            )
        return reading

    def _balances(self, rows: object) -> list[Balance]:
        found = [_balance(row) for row in rows] if isinstance(rows, list) else [None]
        whole = [balance for balance in found if balance]
        if len(whole) != len(found):
            raise UpstreamError(self._account.name, UNREADABLE)
        return whole


def _sms_fields(to: str, text: str, sender: SmsSender, reference: str) -> Mapping[str, str]:
    fields = {
        "to": to.removeprefix("+"),
        "message": text,
        "sender": sender.sender,
        "service": sender.service,
        "type": "N" if _GSM.issuperset(text) else "U",  # N turns all else into question marks
        "custom": reference,
        "entity_id": sender.entity_id,
        "template_id": sender.template_id,
        "webhook_id": sender.webhook_id,
    }
    return {name: value for name, value in fields.items() if value}


def _balance(row: Any) -> Balance | None:  # noqa: ANN401 - it is whatever JSON held
    credits_left = number(row.get("credits")) if isinstance(row, dict) else None
    if credits_left is None:
        return None
    return Balance(
        service=str(row.get("service") or ""),
        name=str(row.get("name") or ""),
        credits=credits_left,
        postpaid=str(row.get("postpaid")).lower() in {"1", "true", "yes"},
        charges=number(row.get("charges")),
    )
