"""The error tree. Each error has a stable `code` that callers may rely on.

Knows codes and sentences. Must not know HTTP: `http/problems.py` maps each error to a status.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of one of the guard's budgets: `left` of `limit` per `seconds`; `reset` seconds until there is more."""

    rule: str
    limit: int
    seconds: int
    left: int
    reset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Why the guard refused: a `rule`; if it counts, a `counter` is beyond its `threshold` within `window` seconds."""

    rule: str
    counter: float | None = None
    threshold: float | None = None
    window: float | None = None


class OtpError(Exception):
    """A request that cannot be served, with the reason that the caller may see.

    `code` is stable. `detail` says what happened and what to do next. `broken` is the field or header at fault, and its
    rule. `retry_after` is in seconds. Only servers may see the guard's `rule` and `standing`, only operators `excess`.
    """

    code = "error"
    detail = "The request could not be served."
    broken: tuple[str, str] | None = None
    rule: str | None = None
    standing: Standing | None = None
    excess: Excess | None = None

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None) -> None:
        self.detail = detail or type(self).detail
        self.retry_after = retry_after
        super().__init__(self.detail)

    def rules(self) -> list[tuple[str, str]]:
        """List each field at fault with each rule that it breaks."""
        return [self.broken] if self.broken else []


class Invalid(OtpError):
    """Fields of the request break rules. `fields` maps each field to the rules that it breaks."""

    code = "invalid_request"
    detail = "Some fields break a rule."

    def __init__(self, fields: Mapping[str, Sequence[str]], detail: str | None = None) -> None:
        super().__init__(detail)
        self._fields = fields

    def rules(self) -> list[tuple[str, str]]:
        """List each field at fault with each rule that it breaks."""
        return [(field, rule) for field, rules in self._fields.items() for rule in rules]


class InvalidNumber(Invalid):
    """A field, usually `to`, is not a known phone number."""

    code = "invalid_number"
    detail = "This is not a phone number that is known here."

    def __init__(self, rule: str, field: str = "to", *, detail: str | None = None) -> None:
        super().__init__({field: [rule]}, detail)


class MalformedJson(OtpError):
    """The body is not valid JSON."""

    code = "malformed_json"
    detail = "The body is not valid JSON in UTF-8."
    broken = ("body", "must be valid JSON in UTF-8")


class UnsupportedMediaType(OtpError):
    """The body has another media type than JSON."""

    code = "unsupported_media_type"
    detail = "Send JSON with 'Content-Type: application/json'."
    broken = ("Content-Type", "must be application/json")


class BodyTooLarge(OtpError):
    """The body is longer than any valid one."""

    code = "body_too_large"
    broken = ("body", "must not be longer than the limit of the call")

    def __init__(self, most: int) -> None:
        super().__init__(f"The body is larger than {most // 1024} KiB.")
        self.broken = ("body", f"must be at most {most // 1024} KiB")


class NotFound(OtpError):
    """There is nothing at this path, or no record with this id."""

    code = "not_found"
    detail = "There is nothing at this path. See openapi.yaml for the paths that exist."


class MethodNotAllowed(OtpError):
    """The path does not support this method."""

    code = "method_not_allowed"
    detail = "This path does not support this method. See the Allow header."


class InternalError(OtpError):
    """An unexpected error; only the log has its cause."""

    code = "internal_error"
    detail = "Something went wrong in the service. Quote the request_id when you report this."


class MissingKey(OtpError):
    """The request has no API key."""

    code = "missing_key"
    detail = "Send an API key, as in 'Authorization: Bearer pk_...' (or sk_... from a server)."
    broken = ("Authorization", "must be 'Bearer' followed by an API key")


class UnknownKey(OtpError):
    """The API key is not one of this service's."""

    code = "unknown_key"
    detail = "This API key is unknown. Check that it is complete and belongs to this service."
    broken = ("Authorization", "must contain a key of this service")


class KeyNotAllowed(OtpError):
    """The key is valid, but its kind may not make this call."""

    code = "key_not_allowed"
    detail = "This call needs another kind of key."
    broken = ("Authorization", "must contain a key of a kind that may make this call")


class RoleNotAllowed(OtpError):
    """The operator's role does not allow this."""

    code = "role_not_allowed"
    broken = ("Authorization", "must contain a key whose role allows this")

    def __init__(self, role: str, what: str = "This call") -> None:
        super().__init__(f"{what} needs an operator with the role {role}.")


class OperatorLimited(OtpError):
    """The operator is limited to some apps, and this concerns all of them."""

    code = "operator_limited"
    detail = "You are limited to some apps, and this concerns all. Ask an operator who is not limited."
    broken = ("Authorization", "must contain a key of an operator who is not limited to apps")


class OriginNotAllowed(OtpError):
    """A page used the key from an origin that is not one of its app's."""

    code = "origin_not_allowed"
    detail = "Pages of this origin may not use this key. Add it to the app's origins in the policy."
    broken = ("Origin", "must be one of the app's origins")


class ChallengeNotFound(OtpError):
    """The challenge is unknown, expired, used or another app's: one answer for all."""

    code = "challenge_not_found"
    detail = "There is no open challenge with this id. Start a new one with POST /otp/send."
    broken = ("challenge_id", "must be the id of an open challenge of this app")


class WrongCode(OtpError):
    """A code was wrong; the guess was counted."""

    code = "wrong_code"
    broken = ("code", "must be the code from one of the messages")

    def __init__(self, checks_left: int) -> None:
        advice = "Check the message and try again." if checks_left else "Start a new challenge."
        super().__init__(f"The code is wrong. {advice}")
        self.checks_left = checks_left


class NoAttemptsLeft(OtpError):
    """All attempts of the challenge are used up."""

    code = "no_attempts_left"
    detail = "This challenge has no attempts left. Start a new one with POST /otp/send."
    broken = ("challenge_id", "must be a challenge with attempts left")


class ResendTooEarly(OtpError):
    """The cooldown after the last message is not over."""

    code = "resend_too_early"
    detail = "A code was sent a moment ago. Wait retry_after seconds before you request another."
    broken = ("challenge_id", "must be a challenge whose cooldown is over")


class NoSendsLeft(OtpError):
    """All messages of the challenge are used up."""

    code = "no_sends_left"
    detail = "No more codes can be sent for this challenge. Start a new one later."
    broken = ("challenge_id", "must be a challenge with sends left")


class BindingIncomplete(OtpError):
    """The app's policy wants the message to say what is paid to whom, and the binding does not."""

    code = "binding_incomplete"
    detail = "The binding lacks what the message must say."
    broken = ("binding", "must have amount and payee, 40 characters each, from a secret key")


class ChannelNotAvailable(Invalid):
    """No step of the route uses the requested channel."""

    code = "channel_not_available"
    detail = "This channel is not available for this number."

    def __init__(self, available: Iterable[str]) -> None:
        some = ", ".join(dict.fromkeys(available))
        super().__init__({"channel": [f"must be one of {some}"]}, f"{type(self).detail} Available: {some}.")


class NoRoute(OtpError):
    """No route of the policy serves the number."""

    code = "no_route"
    detail = "This service does not send to this destination."
    broken = ("to", "must be a number that this service sends to")


class TooManyRequests(OtpError):
    """A limit of the guard is reached. Only operators and servers may know which one."""

    code = "too_many_requests"
    detail = "Too many codes were requested. Wait retry_after seconds."


class HumanCheckRequired(OtpError):
    """The guard demands a human check first. `check` has all that a page needs to show it."""

    code = "human_check_required"
    detail = "Solve the check in human_check, then repeat the request with the result as human_proof."

    def __init__(self, check: Mapping[str, Any]) -> None:
        super().__init__()
        self.check = check


class HumanCheckFailed(OtpError):
    """The proof is forged, wrong, expired, used or for another request: one answer for all."""

    code = "human_check_failed"
    detail = "The human check failed. Repeat the request without human_proof to get a new check."
    broken = ("human_proof", "must be the unused result of a check for this request")


class HumanCheckUnavailable(OtpError):
    """The service that judges the human check does not answer. Nothing is sent."""

    code = "human_check_unavailable"
    detail = "The human check cannot be verified now. Nothing was sent. Try again after retry_after seconds."


class NumberOptedOut(OtpError):
    """The person asked not to receive messages."""

    code = "number_opted_out"
    detail = "This number opted out of messages. The person can opt in again with START, or an operator can."
    broken = ("to", "must be a number that has not opted out")


class IdempotencyKeyReused(OtpError):
    """The same idempotency key came with another request body."""

    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used with another body. Use a new key for each new request."
    broken = ("Idempotency-Key", "must be new for each new body")


class IdempotencyKeySpent(OtpError):
    """The challenge that this idempotency key started is over and was deleted."""

    code = "idempotency_key_spent"
    detail = "This Idempotency-Key belongs to a challenge that is over. Use a new key to start another."
    broken = ("Idempotency-Key", "must be new for each new challenge")


class TokenInvalid(OtpError):
    """The verification token is forged, expired or another app's."""

    code = "token_invalid"
    detail = "The verification token is not valid for this app or has expired."
    broken = ("token", "must be an unexpired token of this app")


class TokenSpent(OtpError):
    """The verification token was redeemed before."""

    code = "token_spent"
    detail = "This verification token was redeemed before. Each token can be redeemed once."
    broken = ("token", "must not have been redeemed before")


class ReviewToken(OtpError):
    """The token is of a review number, which nobody proved, and the app did not say that it accepts one."""

    code = "review_token"
    detail = "This token is of a review number: nobody proved it. Where that is enough, set accept_review."
    broken = ("accept_review", "must be true for a token of a review number")


class TokenMismatch(Invalid):
    """The token proves something else than its app expects. It is not spent."""

    code = "token_mismatch"
    detail = "The verification token is not for what you expect. This call did not spend it."


class PolicyConflict(OtpError):
    """`version` is in force, not the one that the change was based on; `warnings` are about what was not applied."""

    code = "policy_conflict"
    broken = ("expected", "must be the version in force")

    def __init__(self, version: int, warnings: Sequence[str] = ()) -> None:
        super().__init__(f"Version {version} of the policy is in force. Review it, then apply yours again.")
        self.version, self.warnings = version, warnings


class KeyConflict(OtpError):
    """The key's current state does not allow this."""

    code, detail = "key_conflict", "The key's current state does not allow this."


class PolicyInvalid(Invalid):
    """The policy is not valid. Each problem is listed with its line."""

    code = "policy_invalid"
    detail = "The policy is not valid."

    def __init__(self, problems: Sequence[str], detail: str | None = None) -> None:
        super().__init__({"policy": [problem.removeprefix("policy: ") for problem in problems]}, detail)


class ReceiptUnreadable(OtpError):
    """What an upstream pushed is not a report that can be read."""

    code = "receipt_unreadable"
    detail = "This is not a delivery report or inbound message in a known form."
    broken = ("body", "must be a report in the form that the upstream documents")


class Busy(OtpError):
    """The service is overloaded. Nothing was sent; if the guess was counted, the detail says so."""

    code = "busy"
    detail = "The service is busy. Nothing was counted. Try again after retry_after seconds."


class StoreUnavailable(OtpError):
    """The store does not answer. Nothing is sent or verified."""

    code = "store_unavailable"
    detail = "The service cannot reach its store. Try again after retry_after seconds, with the same Idempotency-Key."
    made = False  # or the change was made all the same, and only replicas lack it


class NoWorker(OtpError):
    """No worker is alive that could send the message. Nothing is sent or counted."""

    code = "no_worker"
    detail = "No worker runs that could send the message. Nothing was counted. Try again after retry_after seconds."


class ConfigurationError(Exception):
    """Everything that is wrong with settings or policy, one line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))
