"""The calls to the upstream: send over each channel, fetch reports, look up a number, read the balance.

Knows which request goes to which path. Must not know challenges, or what fields and words mean: each channel's module
writes its requests, and tables read the answers.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from otp_service.upstream.channels import (
    MipSettings,
    RcsSettings,
    SmsSettings,
    VoiceSettings,
    WhatsappSettings,
)
from otp_service.upstream.mobtexting import sms, unified, voice
from otp_service.upstream.mobtexting.account import AccountSettings
from otp_service.upstream.mobtexting.balance import balances
from otp_service.upstream.mobtexting.lookup import lookup_of
from otp_service.upstream.mobtexting.outcomes import (
    ACCEPTED,
    UNREADABLE,
    Reading,
    for_rcs,
    for_recipient,
    outcome_of,
    read,
    rows,
)
from otp_service.upstream.mobtexting.receipts import ReceiptError, parse_rows
from otp_service.upstream.mobtexting.transport import FormRequest, JsonRequest, NoAnswerError, Transport
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Balance, Lookup, Message, Outcome, Receipt, UpstreamError

_log = logging.getLogger(__name__)


class MobtextingClient:
    """The calls of one account. Safe to use from many threads; `close` it at the end.

    Each send makes one request, once, and takes up to the account's `total_timeout`. Everything that the network or the
    upstream does becomes an outcome. Raises ValueError if the number is not E.164 with its plus.
    """

    def __init__(self, account: AccountSettings) -> None:
        self._account = account
        self._transport = Transport(account)
        self._balance_paths = account.balance_paths

    def send_sms(self, message: Message, settings: SmsSettings) -> Outcome:
        """Send one SMS and return the outcome (documentation, v2/sms/post)."""
        return self._send(sms.one(self._account.sms_path, message, settings))

    def send_sms_batch(self, messages: Sequence[Message], settings: SmsSettings) -> list[Outcome]:
        """Send several SMS and return the outcome of each (documentation, v2/sms/json).

        Makes one request for each alphabet. The outcome of a request is that of all messages in it; a message that
        the answer leaves out is unknown. References must differ, and numbers should.
        """
        outcomes: dict[int, Outcome] = {}
        for places, asked in list(sms.several(self._account.sms_batch_path, messages, settings)):
            reading = self._post(asked)
            found = sms.rows_of([messages[place] for place in places], rows(reading))
            outcomes |= {place: self._outcome(reading, row) for place, row in zip(places, found, strict=True)}
        return [outcomes[place] for place in range(len(messages))]

    def send_whatsapp(self, message: Message, settings: WhatsappSettings) -> Outcome:
        """Send one WhatsApp message and return the outcome (documentation, v2/whatsapp/send-message)."""
        return self._send(unified.whatsapp(self._account.whatsapp_path, message, settings))

    def send_voice(self, message: Message, settings: VoiceSettings) -> Outcome:
        """Start one call and return the outcome (documentation, v2/reach/tts and v2/reach/call)."""
        paths = self._account.voice_tts_path, self._account.voice_flow_path
        return self._send(voice.call(*paths, message, settings))

    def send_rcs(self, message: Message, settings: RcsSettings) -> Outcome:
        """Send one RCS message and return the outcome (documentation, v2/rcs/send-message)."""
        reading = for_rcs(self._post(unified.rcs(self._account.rcs_path, message, settings)))
        return self._outcome(reading, next(iter(rows(reading)), None))

    def send_mip(self, message: Message, settings: MipSettings) -> Outcome:
        """Send one IP message and return the outcome (documentation of 2022, v2/mip)."""
        return self._send(unified.mip(self._account.mip_path, message, settings))

    def reports(self, channel: str, upstream_ids: Sequence[str]) -> list[Receipt]:
        """Fetch the reports of messages of one channel; messages that the upstream does not know are left out.

        Makes one request for each id, as the documented filters accept one. Raises UpstreamError at the first request
        without a usable answer.
        """
        path = {
            "sms": self._account.sms_status_path,
            "voice": self._account.voice_status_path,
            "whatsapp": self._account.whatsapp_status_path,
            "rcs": self._account.rcs_status_path,
            "mip": self._account.mip_status_path,
        }[channel]
        return [
            receipt for upstream_id in upstream_ids for receipt in self._report(channel, path, upstream_id)
        ]

    def lookup(self, to: str) -> Lookup:
        """Look up what the networks know about a number (documentation, v2/lookup/verify).

        Raises UpstreamError, or ValueError if `to` is not E.164 with its plus.
        """
        reading = self._usable(self._post(FormRequest(self._account.lookup_path, {"to": digits(to)})))
        found = rows(reading)
        if not found:
            raise UpstreamError(self._account.name, UNREADABLE)
        return lookup_of(found[0])

    def balance(self) -> list[Balance]:
        """Read the balance of each service code (documentation, v2/account/balance).

        If the account's first path is not found, the next one is tried; the path that works is tried first from then
        on. Raises UpstreamError.
        """
        reading = Reading("not_found")
        for path in self._balance_paths:
            reading = self._get(path)
            if reading.reason == ACCEPTED:
                self._balance_paths = tuple(sorted(self._account.balance_paths, key=path.__ne__))
            if reading.reason != "not_found":
                break
        found = balances(self._usable(reading).body)
        if found is None:
            raise UpstreamError(self._account.name, UNREADABLE)
        return found

    def close(self) -> None:
        """Close all idle connections. Calls that are still running end normally."""
        self._transport.close()

    def _send(self, asked: FormRequest | JsonRequest) -> Outcome:
        reading = self._post(asked)
        return self._outcome(reading, next(iter(rows(reading)), None))

    def _outcome(self, reading: Reading, row: Mapping[str, Any] | None) -> Outcome:
        found = for_recipient(reading, row)
        self._log_new_word(found)
        return outcome_of(found, datetime.now(UTC))

    def _report(self, channel: str, path: str, upstream_id: str) -> list[Receipt]:
        reading = self._usable(self._get(path, {"id": upstream_id}))
        try:
            return parse_rows(channel, rows(reading), upstream_id)
        except ReceiptError:
            raise UpstreamError(self._account.name, UNREADABLE) from None

    def _usable(self, reading: Reading) -> Reading:
        self._log_new_word(reading)
        if reading.reason != ACCEPTED:
            raise UpstreamError(self._account.name, reading.reason, reading.wait(datetime.now(UTC)))
        return reading

    def _post(self, asked: FormRequest | JsonRequest) -> Reading:
        try:
            return read(self._transport.post(asked))
        except NoAnswerError as end:
            return Reading(end.reason)

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Reading:
        try:
            return read(self._transport.get(path, query))
        except NoAnswerError as end:
            return Reading(end.reason)

    def _log_new_word(self, reading: Reading) -> None:
        if reading.new_word:
            _log.warning(
                "account %s: the status word %s is not in the table", self._account.name, reading.new_word
            )
