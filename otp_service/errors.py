"""The error tree. Each error has a stable `code` that callers may rely on; nothing here knows HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a budget of the guard stands: `left` of `limit` within `seconds`, more in `reset` seconds."""

    rule: str
    limit: int
    seconds: int
    left: int
    reset: int


class OtpError(Exception):
    """A request that cannot be served, with the reason a caller may be told.

    `code` is stable. `detail` says what happened and what to do next. `broken` is the field or header at fault and the
    rule it breaks, where there is one. `retry_after` is in whole seconds.
    """

    code = "error"
    detail = "The request could not be served."
    broken: tuple[str, str] | None = None
    rule: str | None = None
    """The guard's rule that refused, for who may know it."""
    standing: Standing | None = None
    """How that rule's budget stands, likewise."""

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None) -> None:
        self.detail = detail or type(self).detail
        self.retry_after = retry_after
        super().__init__(self.detail)

    def rules(self) -> list[tuple[str, str]]:
        """Name each field at fault with each rule it breaks."""
        return [self.broken] if self.broken else []


class Invalid(OtpError):
    """Fields of the request break rules: `fields` maps each field to the rules it breaks."""

    code = "invalid_request"
    detail = "Some fields break a rule; each is named below."

    def __init__(self, fields: Mapping[str, Sequence[str]], detail: str | None = None) -> None:
        super().__init__(detail)
        self._fields = fields

    def rules(self) -> list[tuple[str, str]]:
        """Name each field at fault with each rule it breaks."""
        return [(field, rule) for field, rules in self._fields.items() for rule in rules]


class InvalidNumber(Invalid):
    """A field, mostly `to`, is no phone number that exists."""

    code = "invalid_number"
    detail = "This is not a phone number that can exist. Write it with its country code, as in +14155552671."

    def __init__(self, rule: str, field: str = "to") -> None:
        super().__init__({field: [rule]})


class MalformedJson(OtpError):
    """The body is not JSON."""

    code = "malformed_json"
    detail = "The body is not JSON in UTF-8."
    broken = ("body", "must be JSON in UTF-8")


class UnsupportedMediaType(OtpError):
    """The body is of another type than JSON."""

    code = "unsupported_media_type"
    detail = "Send JSON, with 'Content-Type: application/json'."
    broken = ("Content-Type", "must be application/json")


class BodyTooLarge(OtpError):
    """The body is longer than any good one."""

    code = "body_too_large"
    detail = "The body is larger than 16 KiB."
    broken = ("body", "must be at most 16 KiB")


class MalformedRequest(OtpError):
    """What came is no HTTP."""

    code = "malformed_request"
    detail = "This is not a request as RFC 9112 writes one."
    broken = ("request", "must be HTTP/1.1")


class UriTooLong(OtpError):
    """The request line is longer than any good one."""

    code = "uri_too_long"
    detail = "The request line is longer than 4094 bytes."
    broken = ("path", "must fit a request line of 4094 bytes")


class HeadersTooLarge(OtpError):
    """There are too many header fields, or one is too long."""

    code = "headers_too_large"
    detail = "The request has more than 64 header fields, or one longer than 8190 bytes."
    broken = ("headers", "must be at most 64 fields of at most 8190 bytes")


class NotFound(OtpError):
    """There is no such path."""

    code = "not_found"
    detail = "There is nothing at this path; openapi.yaml lists what there is."


class MethodNotAllowed(OtpError):
    """The path does not take this method."""

    code = "method_not_allowed"
    detail = "This path does not take this method; see the Allow header."


class InternalError(OtpError):
    """Something that should not happen did."""

    code = "internal_error"
    detail = "Something went wrong here. Quote the request_id when you report it."


class MissingKey(OtpError):
    """No API key came with the request."""

    code = "missing_key"
    detail = "Send an API key as 'Authorization: Bearer pk_...' (or sk_... from a server)."
    broken = ("Authorization", "must be 'Bearer' and an API key")


class UnknownKey(OtpError):
    """The API key is none of ours."""

    code = "unknown_key"
    detail = "This API key is not known. Check that it is complete and belongs to this service."
    broken = ("Authorization", "must hold a key of this service")


class KeyNotAllowed(OtpError):
    """The key is good, but not for this call."""

    code = "key_not_allowed"
    detail = "This call needs another kind of key."
    broken = ("Authorization", "must hold a key of a kind that this call takes")


class RoleNotAllowed(OtpError):
    """The operator is known, but may not do this."""

    code = "role_not_allowed"
    detail = "This call needs an operator of another role."
    broken = ("Authorization", "must hold a key of a role that may do this")

    def __init__(self, role: str, what: str = "This call") -> None:
        super().__init__(f"{what} needs an operator of the role {role}.")


class OriginNotAllowed(OtpError):
    """A browser's page of a foreign origin used the key."""

    code = "origin_not_allowed"
    detail = "Pages of this origin may not use this key. Add the origin to the app's origins in the policy."
    broken = ("Origin", "must be one of the app's origins")


class ChallengeNotFound(OtpError):
    """Unknown, expired, used or foreign: one answer for all."""

    code = "challenge_not_found"
    detail = "There is no open challenge with this id. Start a new one with POST /otp/send."
    broken = ("challenge_id", "must be the id of an open challenge of this app")


class WrongCode(OtpError):
    """A counted guess that was wrong."""

    code = "wrong_code"
    detail = "The code is wrong."
    broken = ("code", "must be the code of one of the messages")

    def __init__(self, checks_left: int) -> None:
        advice = "Check the message and try again." if checks_left else "Start a new challenge."
        super().__init__(f"The code is wrong. {advice}")
        self.checks_left = checks_left


class NoAttemptsLeft(OtpError):
    """All guesses of the challenge are used up."""

    code = "no_attempts_left"
    detail = "All attempts at this code are used up. Start a new challenge with POST /otp/send."
    broken = ("challenge_id", "must be a challenge with attempts left")


class ResendTooEarly(OtpError):
    """The cooldown since the last send still runs."""

    code = "resend_too_early"
    detail = "A code was sent a moment ago. Wait for retry_after seconds before asking for another."
    broken = ("challenge_id", "must be a challenge whose cooldown is over")


class NoSendsLeft(OtpError):
    """The challenge's messages are used up."""

    code = "no_sends_left"
    detail = "No more codes can be sent for this challenge. Start a new one later."
    broken = ("challenge_id", "must be a challenge with sends left")


class ChannelNotAvailable(Invalid):
    """No step of the route uses the channel that was asked for."""

    code = "channel_not_available"
    detail = "This channel is not available for this number."

    def __init__(self) -> None:
        super().__init__({"channel": ["must be a channel that this service offers for the number"]})


class NoRoute(Invalid):
    """No route of the policy serves the number."""

    code = "no_route"
    detail = "This service does not send to this destination."

    def __init__(self) -> None:
        super().__init__({"to": ["must be a number that this service sends to"]})


class TooManyRequests(OtpError):
    """A limit of the guard is reached; which one is the operators' business."""

    code = "too_many_requests"
    detail = "Too many codes were asked for. Wait for retry_after seconds."


class HumanCheckRequired(OtpError):
    """The guard wants a human check first: `check` says which, and all that a page needs for it."""

    code = "human_check_required"
    detail = "Solve the check in human_check, then repeat the request with its result as human_proof."

    def __init__(self, check: Mapping[str, Any]) -> None:
        super().__init__()
        self.check = check


class HumanCheckFailed(Invalid):
    """The proof is forged, wrong, expired, spent, or of another request: one answer for all."""

    code = "human_check_failed"
    detail = "The human check was not passed. Repeat the request without human_proof to get a new one."

    def __init__(self) -> None:
        super().__init__({"human_proof": ["must be the unused result of a check of this very request"]})


class HumanCheckUnavailable(OtpError):
    """Who is to judge the human check does not answer: nothing is sent."""

    code = "human_check_unavailable"
    detail = "The human check cannot be judged now. Nothing was sent; try again after retry_after seconds."


class NumberOptedOut(Invalid):
    """The person has asked for no more messages."""

    code = "number_opted_out"
    detail = (
        "This number asked not to get messages. A message START from it, or an operator, allows them again."
    )

    def __init__(self) -> None:
        super().__init__({"to": ["must be a number that has not opted out"]})


class IdempotencyKeyReused(Invalid):
    """The same idempotency key came with another request."""

    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used with another request body. Use a new key for a new request."

    def __init__(self) -> None:
        super().__init__({"Idempotency-Key": ["must be a new one for another body"]})


class IdempotencyKeySpent(OtpError):
    """The challenge that this key once started is over and forgotten."""

    code = "idempotency_key_spent"
    detail = "This Idempotency-Key belongs to a challenge that is over. Use a new key to start another."
    broken = ("Idempotency-Key", "must be new for a new challenge")


class TokenInvalid(OtpError):
    """The verification token is forged, expired or another app's."""

    code = "token_invalid"
    detail = "The verification token is not valid for this app, or has expired."
    broken = ("token", "must be an unexpired token of this app")


class TokenSpent(OtpError):
    """The verification token was redeemed before."""

    code = "token_spent"
    detail = "This verification token was redeemed before; each counts once."
    broken = ("token", "must not have been redeemed before")


class PolicyConflict(OtpError):
    """Another version came in force since the one that the change was made from."""

    code = "policy_conflict"
    detail = "Another version of the policy came in force meanwhile. Look at it, then apply again."
    broken = ("expected", "must be the version in force")

    def __init__(self, version: int) -> None:
        super().__init__(f"Version {version} of the policy is in force. Look at it, then apply again.")
        self.version = version


class KeyConflict(OtpError):
    """The key is in no state for this."""

    code = "key_conflict"
    detail = "This key is in no state for this."


class PolicyInvalid(Invalid):
    """The policy could not work; each problem is named with its line."""

    code = "policy_invalid"
    detail = "The policy could not work. Nothing was changed."

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__({"policy": [problem.removeprefix("policy: ") for problem in problems]})


class ReceiptUnreadable(Invalid):
    """What an upstream pushed can be read as no report."""

    code = "receipt_unreadable"
    detail = "This is no delivery report or message in a form that this service knows."

    def __init__(self) -> None:
        super().__init__({"body": ["must be a report as the upstream's documentation writes one"]})


class Busy(OtpError):
    """Shed for load before anything was counted or sent."""

    code = "busy"
    detail = "The service is busy. Nothing was counted; try again after retry_after seconds."


class StoreUnavailable(OtpError):
    """The store does not answer: nothing is sent, nothing is verified."""

    code = "store_unavailable"
    detail = "The service cannot reach its store. Try again after retry_after seconds, with the same Idempotency-Key."


class ConfigurationError(Exception):
    """What is wrong with settings or policy, all at once, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))
