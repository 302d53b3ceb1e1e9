"""The HTTP API for apps, and probes: one thin view for each call.

Knows paths, schemas and which keys may call. Must not know how anything is done.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from otp_service import errors
from otp_service.challenge.view import View
from otp_service.http.auth import caller
from otp_service.http.body import idempotency_key, load
from otp_service.http.operation import CLIENT_KEYS, OPS_KEYS, operation
from otp_service.http.schemas.challenge import (
    ChallengeSchema,
    OptionsRequestSchema,
    OptionsSchema,
    ResendSchema,
    SendSchema,
    VerifiedSchema,
    VerifySchema,
)
from otp_service.http.schemas.health import HealthSchema
from otp_service.http.schemas.tokens import ClaimsSchema, KeySetSchema, RedeemSchema
from otp_service.http.view import core
from otp_service.verification.options import OptionsRequest
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest

views = Blueprint("public", __name__)


_SHOWN = tuple(field.name for field in fields(View))


def _shown(view: View) -> dict[str, Any]:
    return {name: value for name in _SHOWN if (value := getattr(view, name)) is not None}


@views.post("/otp/send")
@operation(
    summary="Send a code to a number",
    body=SendSchema,
    answer=ChallengeSchema,
    status=202,
    keys=CLIENT_KEYS,
    idempotent=True,
    problems=(
        errors.Busy,
        errors.NoWorker,
        errors.InvalidNumber,
        errors.NoRoute,
        errors.BindingIncomplete,
        errors.ChannelNotAvailable,
        errors.NumberOptedOut,
        errors.HumanCheckRequired,
        errors.HumanCheckFailed,
        errors.HumanCheckUnavailable,
        errors.TooManyRequests,
        errors.IdempotencyKeyReused,
        errors.IdempotencyKeySpent,
    ),
)
def send_code() -> tuple[dict[str, Any], int]:
    """Start a challenge. The answer does not wait for the message: see `deliveries` later."""
    wanted = SendRequest(**load(SendSchema))
    return _shown(core().send.send(caller(), wanted, idempotency_key())), 202


@views.post("/otp/options")
@operation(
    summary="List the channels that a number would get",
    body=OptionsRequestSchema,
    answer=OptionsSchema,
    keys=CLIENT_KEYS,
    problems=(errors.InvalidNumber, errors.NoRoute, errors.TooManyRequests),
)
def list_options() -> dict[str, Any]:
    """Nothing is sent or kept of the number. All numbers of a country and kind get the same answer."""
    wanted = OptionsRequest(**load(OptionsRequestSchema))
    channels = core().options.read(caller(), wanted)
    return {"channels": [{"channel": name, "first": not place} for place, name in enumerate(channels)]}


@views.post("/otp/verify")
@operation(
    summary="Check a code",
    body=VerifySchema,
    answer=VerifiedSchema,
    keys=CLIENT_KEYS,
    idempotent=True,
    problems=(
        errors.WrongCode,
        errors.NoAttemptsLeft,
        errors.ChallengeNotFound,
        errors.Busy,
        errors.IdempotencyKeyReused,
    ),
)
def verify_code() -> dict[str, Any]:
    """Count the attempt, then check the code. The right code ends the challenge and returns a signed token."""
    verified = core().check.verify(caller(), **load(VerifySchema), idempotency_key=idempotency_key())
    tokens = {"token": verified.token, "token_expires_in": verified.token_expires_in}
    device = {"device_token": verified.device_token} if verified.device_token else {}
    return _shown(verified.view) | tokens | device


@views.get("/otp/<challenge:challenge_id>")
@operation(
    summary="Read a challenge",
    answer=ChallengeSchema,
    keys=CLIENT_KEYS,
    problems=(errors.ChallengeNotFound, errors.Busy),
)
def get_challenge(challenge_id: str) -> dict[str, Any]:
    """Return its messages and the seconds for a countdown, until ten minutes after its end."""
    return _shown(core().manage.status(caller(), challenge_id))


@views.post("/otp/<challenge:challenge_id>/resend")
@operation(
    summary="Send another code for the same challenge",
    body=ResendSchema,
    answer=ChallengeSchema,
    status=202,
    keys=CLIENT_KEYS,
    idempotent=True,
    problems=(
        errors.ChallengeNotFound,
        errors.Busy,
        errors.NoWorker,
        errors.ChannelNotAvailable,
        errors.ResendTooEarly,
        errors.NoSendsLeft,
        errors.NoRoute,
        errors.NumberOptedOut,
        errors.HumanCheckRequired,
        errors.HumanCheckFailed,
        errors.HumanCheckUnavailable,
        errors.TooManyRequests,
        errors.IdempotencyKeyReused,
    ),
)
def resend_code(challenge_id: str) -> tuple[dict[str, Any], int]:
    """Use the next channel, or the given one. Earlier codes stay valid; attempts are not reset."""
    wanted = ResendRequest(**load(ResendSchema, optional=True))
    return _shown(core().resend.resend(caller(), challenge_id, wanted, idempotency_key())), 202


@views.delete("/otp/<challenge:challenge_id>")
@operation(
    summary="Cancel a challenge",
    answer=ChallengeSchema,
    keys=CLIENT_KEYS,
    problems=(errors.ChallengeNotFound, errors.Busy),
)
def cancel_challenge(challenge_id: str) -> dict[str, Any]:
    """Make its codes invalid."""
    return _shown(core().manage.cancel(caller(), challenge_id))


@views.post("/otp/token/redeem")
@operation(
    summary="Redeem a verification token, once",
    body=RedeemSchema,
    answer=ClaimsSchema,
    keys=("secret",),
    idempotent=True,
    problems=(
        errors.TokenInvalid,
        errors.ReviewToken,
        errors.TokenMismatch,
        errors.TokenSpent,
        errors.IdempotencyKeyReused,
    ),
)
def redeem_token() -> dict[str, Any]:
    """Return its claims. Without this call, or a check with the public keys, do not trust what a browser says."""
    return core().redeem.redeem(caller(), **load(RedeemSchema), idempotency_key=idempotency_key())


@views.get("/.well-known/jwks.json")
@operation(summary="The public keys of verification tokens", answer=KeySetSchema)
def get_key_set() -> tuple[Response, dict[str, str]]:
    """For checking tokens offline: require EdDSA, the type otp-verification+jwt and your app as audience."""
    return jsonify(core().signer.key_set()), {"Cache-Control": "public, max-age=300"}


PROBES = ("/healthz", "/readyz")
"""What load balancers and orchestrators ask again and again."""


@views.get(PROBES[0])
@operation(summary="Whether this process runs", answer=HealthSchema)
def check_health() -> dict[str, str]:
    """Answer without checking anything else."""
    return {"status": "ok"}


@views.get(PROBES[1])
@operation(summary="Whether this process can serve", answer=HealthSchema)
def check_readiness() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Ping each part. The answer is 503 without the store only: without workers, codes can be checked."""
    states = {"store": _state(core().store.facts.ping)} | core().layout.states()
    if states["store"] != "ok":
        return {"status": "unavailable", "parts": states}, 503, {"Retry-After": "2"}
    states["eviction"] = core().eviction.state
    states["workers"] = _state(core().workers.ping)
    states["policy"] = "; ".join(core().followers.behind()) or "ok"
    return {"status": "ok", "parts": states}, 200, {}


def _state(ping: Callable[[], None]) -> str:
    """Return `ok`, or the code of the problem of a part."""
    try:
        ping()
    except (errors.StoreUnavailable, errors.NoWorker) as error:
        return error.code
    return "ok"


@views.get("/metrics")
@operation(
    summary="Prometheus metrics",
    answer=None,
    keys=OPS_KEYS,
    role="read",
    open_on_own_port=True,
)
def get_metrics() -> Response:
    """Of all processes that share a metrics folder. A port of its own asks for no key."""
    page = core().metrics.page(shared=current_app.config["SHARED_METRICS"])
    return Response(page, content_type="text/plain; version=0.0.4; charset=utf-8")
