"""The secrets that a policy names: which of them are missing, or cannot be used.

Must not import what sends or the store: `policy check` asks this about a file alone.
"""

from collections.abc import Iterator, Mapping

from otp_service.events.signing_secrets import read_secrets
from otp_service.policy import Policy
from otp_service.settings import Settings

_CAPTCHA = "OTP_CAPTCHA_SECRET"


def missing_from(environment: Mapping[str, str], loaded: Policy) -> Iterator[str]:
    """List what is missing where only the environment is known. A secret in a file counts as given."""
    given = {name.removesuffix("_FILE"): value for name, value in environment.items()}
    return missing_secrets(loaded, tokens=given, events=given, captcha=given.get(_CAPTCHA, ""))


def missing_secrets(
    loaded: Policy, *, tokens: Mapping[str, str], events: Mapping[str, str], captcha: str
) -> Iterator[str]:
    """List what a policy needs and these secrets, by the names of their variables, lack."""
    given = {**tokens, **events, _CAPTCHA: captcha}
    for name, what in needed_secrets(loaded).items():
        if not given.get(name):
            yield f"{name} is required: {what}"
    yield from _event_problems(loaded, events)


def needed_secrets(loaded: Policy) -> dict[str, str]:
    """Return what a policy needs: for the name of each variable, what it is."""
    needed = {one.token_env: f"the token of upstream.{one.name}" for one in loaded.upstreams.values()}
    for app in loaded.apps.values():
        if app.events:
            needed.setdefault(app.events.secret_env, f"the secret that signs events of app.{app.name}")
        if app.decision:
            needed.setdefault(app.decision.secret_env, f"the secret that signs questions to app.{app.name}")
    if loaded.alerts:
        needed.setdefault(loaded.alerts.secret_env, "the secret that signs alerts for operators")
    guards = [loaded.guard, *(app.guard for app in loaded.apps.values() if app.guard)]
    if any(guard.human_check.kind == "siteverify" for guard in guards):
        needed[_CAPTCHA] = "the secret of the vendor that guard.human_check names"
    return needed


def held_secrets(read: Settings) -> tuple[str, ...]:
    """Return the names of the variables of this kind that a process has."""
    captcha = (_CAPTCHA,) if read.captcha_secret else ()
    return (*read.upstream_tokens, *read.event_secrets, *captcha)


def _event_problems(loaded: Policy, secrets: Mapping[str, str]) -> Iterator[str]:
    endpoints = [loaded.alerts, *(one for app in loaded.apps.values() for one in (app.events, app.decision))]
    names = {endpoint.secret_env for endpoint in endpoints if endpoint}
    for name in sorted(names & {given for given, secret in secrets.items() if secret}):
        try:
            read_secrets(secrets[name])
        except ValueError as error:
            yield f"{name} {error}"
