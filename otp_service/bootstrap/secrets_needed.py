"""The secrets that a policy names: which of them are missing, or cannot be used.

Must not import what sends or the store: `policy check` asks this about a file alone.
"""

from collections.abc import Iterator, Mapping

from otp_service.events.signing_secrets import read_secrets
from otp_service.policy import Policy


def missing_from(environment: Mapping[str, str], loaded: Policy) -> Iterator[str]:
    """List what is missing where only the environment is known. A secret in a file counts as given."""
    given = {name.removesuffix("_FILE"): value for name, value in environment.items()}
    return missing_secrets(loaded, tokens=given, events=given, captcha=given.get("OTP_CAPTCHA_SECRET", ""))


def missing_secrets(
    loaded: Policy, *, tokens: Mapping[str, str], events: Mapping[str, str], captcha: str
) -> Iterator[str]:
    """List what a policy needs and these secrets, by the names of their variables, lack."""
    for upstream in loaded.upstreams.values():
        if not tokens.get(upstream.token_env):
            yield f"{upstream.token_env} is required: the token of upstream.{upstream.name}"
    yield from _event_problems(loaded, events)
    guards = [loaded.guard, *(app.guard for app in loaded.apps.values() if app.guard)]
    if not captcha and any(guard.human_check.kind == "siteverify" for guard in guards):
        yield "OTP_CAPTCHA_SECRET is required: the secret of the vendor that guard.human_check names"


def _event_problems(loaded: Policy, secrets: Mapping[str, str]) -> Iterator[str]:
    for app in loaded.apps.values():
        if app.events is None:
            continue
        name = app.events.secret_env
        if not secrets.get(name):
            yield f"{name} is required: the secret that signs events of app.{app.name}"
            continue
        try:
            read_secrets(secrets[name])
        except ValueError as error:
            yield f"{name} {error}"
