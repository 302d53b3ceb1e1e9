"""The errors of the service, one class for each code, and those of a call that got no answer.

Knows problem details (RFC 9457). Must not know HTTP or single calls.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from otp_client.model import FieldError, HumanCheck


class OtpError(Exception):
    """The root of all errors of this client.

    `idempotency_key` is the key of the call, if it had one: the same call with the same key is never done twice.
    """

    idempotency_key: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be copied, and go from one process to another: not through `__init__`, which takes more than words."""
        return _made_again, (type(self), self.args), vars(self)


def _made_again(kind: type[OtpError], args: tuple[object, ...]) -> OtpError:
    return kind.__new__(kind, *args)


class NoAnswer(OtpError):
    """No answer came before the deadline. The call may or may not have been done; repeat it with its key."""


class UnexpectedAnswer(OtpError):
    """The answer is not one of the service: a redirect, or the page of a proxy. `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP status {status})")
        self.status = status


class Problem(OtpError):
    """The service refused the call. A code that this version does not know has this class itself.

    `code` is stable. `detail` is for developers; do not show it to people. `retry_after` is in seconds. `rule` is the
    guard's rule that refused, which only a secret key is told.
    """

    CODE: ClassVar[str] = ""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.code: str = str(document["code"])
        self.type: str = str(document.get("type", "about:blank"))
        self.title: str = str(document.get("title", ""))
        self.status: int = int(document["status"])
        self.detail: str = str(document.get("detail", ""))
        self.request_id: str = str(document.get("request_id", ""))
        self.errors = tuple(FieldError(one["field"], one["rule"]) for one in document.get("errors", ()))
        self.retry_after: int | None = document.get("retry_after")
        self.rule: str | None = document.get("rule")
        super().__init__(f"{self.code}: {self.detail} (request_id {self.request_id})")


class _RetryLater(Problem):
    """A problem that a later call may not have. `retry_after` is in seconds."""

    retry_after: int

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.retry_after = int(document.get("retry_after", 1))


# What an app's calls can get.


class WrongCode(Problem):
    """The code is wrong, and the guess was counted. `checks_left` more codes can be checked."""

    CODE = "wrong_code"

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.checks_left: int = int(document["checks_left"])


class NoAttemptsLeft(Problem):
    """All guesses of the challenge are used up. Start a new one."""

    CODE = "no_attempts_left"


class ChallengeNotFound(Problem):
    """The challenge is unknown, expired, verified, cancelled or another app's. Start a new one."""

    CODE = "challenge_not_found"


class InvalidNumber(Problem):
    """The number is not one that exists. Ask the person for another."""

    CODE = "invalid_number"


class NoRoute(Problem):
    """The policy sends nothing to this number."""

    CODE = "no_route"


class ChannelNotAvailable(Problem):
    """No step of the number's route uses the requested channel."""

    CODE = "channel_not_available"


class NumberOptedOut(Problem):
    """The person replied STOP. Only a secret key is told."""

    CODE = "number_opted_out"


class TooManyRequests(_RetryLater):
    """A limit of the guard is reached. Wait `retry_after` seconds; `rule` names it if the key is secret."""

    CODE = "too_many_requests"


class ResendTooEarly(_RetryLater):
    """The last message left a moment ago. Wait `retry_after` seconds."""

    CODE = "resend_too_early"


class NoSendsLeft(Problem):
    """All messages of the challenge are used up."""

    CODE = "no_sends_left"


class HumanCheckRequired(Problem):
    """Show `human_check` to the person, then repeat the call with its result as `human_proof`."""

    CODE = "human_check_required"

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        check = document["human_check"]
        self.human_check = HumanCheck(
            kind=check["kind"],
            expires_in=check.get("expires_in"),
            challenge=check.get("challenge"),
            site_key=check.get("site_key"),
        )


class HumanCheckFailed(Problem):
    """The proof of the human check is wrong, used or expired. Repeat the call without one to get a new check."""

    CODE = "human_check_failed"


class HumanCheckUnavailable(_RetryLater):
    """The CAPTCHA vendor does not answer. Nothing was sent."""

    CODE = "human_check_unavailable"


class BindingIncomplete(Problem):
    """The app confirms payments, and the binding lacks its amount or payee."""

    CODE = "binding_incomplete"


class TokenInvalid(Problem):
    """The token is forged, has expired, or was issued for another app."""

    CODE = "token_invalid"


class TokenSpent(Problem):
    """The token was redeemed before."""

    CODE = "token_spent"


class TokenMismatch(Problem):
    """The token is valid, but for something else. The call did not spend it. `unmet` names what differs."""

    CODE = "token_mismatch"

    @property
    def unmet(self) -> tuple[str, ...]:
        """What differs: `purpose`, `binding`, `reference` or `session`."""
        return tuple(error.field.removeprefix("expect.") for error in self.errors)


class IdempotencyKeyReused(Problem):
    """The key came with another body before. Use a new key for each act."""

    CODE = "idempotency_key_reused"


class IdempotencyKeySpent(Problem):
    """The key started a challenge that is over. Use a new key for another."""

    CODE = "idempotency_key_spent"


class InvalidRequest(Problem):
    """Fields of the request break rules; `errors` lists them."""

    CODE = "invalid_request"


# What a wrong set-up gets.


class MissingKey(Problem):
    """The request had no API key."""

    CODE = "missing_key"


class UnknownKey(Problem):
    """The API key is not one of this service, or was revoked."""

    CODE = "unknown_key"


class KeyNotAllowed(Problem):
    """The call needs a key of another kind, such as a secret one."""

    CODE = "key_not_allowed"


class OriginNotAllowed(Problem):
    """The key was used by a page that is not one of the app's."""

    CODE = "origin_not_allowed"


class SecretKeyInPage(Problem):
    """A web page sent a secret key, which whoever opens the page can read: replace the key."""

    CODE = "secret_key_in_page"


class ReviewToken(Problem):
    """The token is of a review number, which nobody proved; `redeem` takes it with `accept_review`."""

    CODE = "review_token"


class OperatorLimited(Problem):
    """The operator is limited to some apps, and this concerns all of them."""

    CODE = "operator_limited"


class RoleNotAllowed(Problem):
    """The operator's role does not allow this."""

    CODE = "role_not_allowed"


# What the service cannot do now.


class Busy(_RetryLater):
    """The service is overloaded."""

    CODE = "busy"


class StoreUnavailable(_RetryLater):
    """The service cannot reach its store. It may have done the call all the same; repeat it with its key."""

    CODE = "store_unavailable"


class NoWorker(_RetryLater):
    """No worker runs that could send the message. Nothing was sent."""

    CODE = "no_worker"


class InternalError(Problem):
    """The service failed unexpectedly. Quote `request_id` to its operators."""

    CODE = "internal_error"


# What this client does not cause by itself: malformed requests, and calls of operators and upstream accounts.


class MalformedJson(Problem):
    """The body is not JSON."""

    CODE = "malformed_json"


class MalformedRequest(Problem):
    """The request is not valid HTTP."""

    CODE = "malformed_request"


class UnsupportedMediaType(Problem):
    """The body is of another type than JSON."""

    CODE = "unsupported_media_type"


class BodyTooLarge(Problem):
    """The body is longer than any valid one."""

    CODE = "body_too_large"


class HeadersTooLarge(Problem):
    """The headers are too long."""

    CODE = "headers_too_large"


class UriTooLong(Problem):
    """The path is too long."""

    CODE = "uri_too_long"


class RequestTimeout(Problem):
    """The request took too long to arrive."""

    CODE = "request_timeout"


class NotFound(Problem):
    """There is nothing at this path. Check `base_url`."""

    CODE = "not_found"


class MethodNotAllowed(Problem):
    """The path does not support this method. Check `base_url`."""

    CODE = "method_not_allowed"


class PolicyConflict(Problem):
    """The policy was changed by someone else; `version` is in force."""

    CODE = "policy_conflict"

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.version: int = int(document["version"])
        self.warnings: tuple[str, ...] = tuple(document.get("warnings", ()))


class PolicyInvalid(Problem):
    """The policy is not valid; `errors` lists its mistakes."""

    CODE = "policy_invalid"


class KeyConflict(Problem):
    """The state of the API key does not allow the change."""

    CODE = "key_conflict"


class ReceiptUnreadable(Problem):
    """A delivery report has no known form."""

    CODE = "receipt_unreadable"


def problem_from(document: Mapping[str, Any]) -> Problem:
    """Make the exception for a problem document. Raises KeyError, TypeError or ValueError if it is none."""
    return _BY_CODE.get(str(document["code"]), Problem)(document)


def _all_kinds(kind: type[Problem]) -> list[type[Problem]]:
    return [kind, *(one for below in kind.__subclasses__() for one in _all_kinds(below))]


_BY_CODE = {kind.CODE: kind for kind in _all_kinds(Problem) if kind.CODE}
CODES = frozenset(_BY_CODE)
"""All codes that have a class of their own."""
