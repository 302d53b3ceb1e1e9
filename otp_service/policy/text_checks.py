"""Warnings about texts: what they cost, how long a call lasts, and what phones fill in instead of the code.

Pure. Judges the longest text that can leave. Must not know who sends it.
"""

import re
from collections.abc import Iterator, Mapping

from otp_service.durations import MINUTE
from otp_service.messages import gsm, templates
from otp_service.messages.payments import FIELDS, LONGEST, PAYMENTS
from otp_service.policy.draft import Draft, Findings
from otp_service.policy.model import App
from otp_service.policy.places import join

_APP_HASH = "A" * 11
_CHARACTERS_PER_SECOND = 14
_LONG_CALL = 30
"""Seconds, after which many people hang up."""
_OTHER_DIGITS = re.compile(r"\d(?:[ -]?\d){3,}")
_OTHER_VARIABLE = re.compile(r"\{(?!code\})[a-z]+\}")
_AGAINST_CODE = re.compile(r"[^\W_]\{code\}|\{code\}[^\W_]")


def report_warnings(draft: Draft, findings: Findings) -> None:
    """Add warnings about texts that work, but probably not as intended."""
    for app in draft.apps.values():
        _warn_of_parts(draft, app, findings)
        _warn_of_long_calls(draft, app, findings)
        if digits := _OTHER_DIGITS.search(app.brand):
            findings.add(f"{join('app', app.name)}.brand", _may_be_filled_in(digits[0]))
    for channel in ("sms", "payment"):
        for locale, template in draft.templates.get(channel, {}).items():
            _warn_of_autofill(template, join(f"template.{channel}", locale), findings)


def _warn_of_autofill(template: str, place: str, findings: Findings) -> None:
    if digits := _OTHER_DIGITS.search(template):
        findings.add(place, _may_be_filled_in(digits[0]))
    if _AGAINST_CODE.search(_OTHER_VARIABLE.sub("A", template)):
        findings.add(place, "a letter or digit touches {code}, so phones may not find the code")


def _may_be_filled_in(digits: str) -> str:
    return f"phones may fill in {digits} instead of the code"


def _templates(draft: Draft, app: App, channel: str) -> Iterator[tuple[str, str, str]]:
    """Yield the locale, the template and its place: for a built-in one, what an app can change about it."""
    kind = "payment" if app.binding else channel
    own = draft.templates.get(kind, {})
    built_in = {"payment": PAYMENTS, "sms": templates.TEMPLATES, "voice": templates.VOICE}[kind]
    mine = f"{join('app', app.name)}.{'binding' if app.binding else 'brand'}"
    for locale, template in {**built_in, **own}.items():
        yield locale, template, join(f"template.{kind}", locale) if locale in own else mine


def _longest_payment(app: App) -> Mapping[str, str] | None:
    return dict.fromkeys(FIELDS, "A" * LONGEST) if app.binding else None


def _longest_code(draft: Draft) -> str:
    """Return a code as long as the guard can make it while there are too many wrong guesses."""
    guards = [draft.guard, *(app.guard for app in draft.apps.values() if app.guard)]
    raised = [guard.guessing.code_length for guard in guards if guard.guessing.mode == "enforce"]
    return "0" * max(draft.challenge.code_length, *raised, 0)


def _warn_of_parts(draft: Draft, app: App, findings: Findings) -> None:
    """Find SMS that would be charged as several parts, with everything that a send may add to them."""
    own = [step for _, route in draft.routes_of(app.name) for step in route.steps if step.channel == "sms"]
    if app.binding and not own:
        return
    lines = any(step.lines == "on" for step in own)
    host = max((app.host(origin) for origin in app.origins), key=len, default="")
    for locale, template, place in _templates(draft, app, "sms"):
        text = templates.compose(
            template,
            code=_longest_code(draft),
            brand=app.brand,
            minutes=draft.challenge.ttl // MINUTE,
            app_hash=_APP_HASH if lines else "",
            host=host if lines else "",
            payment=_longest_payment(app),
        )
        size = templates.size(text)
        if size.parts > 1:
            findings.add(
                place,
                f"the SMS in {locale} of app {app.name} needs {size.parts} parts, {size.units} units{_because(text)}",
            )


def _because(text: str) -> str:
    """Name the characters that make a text Unicode, if a few do."""
    found = gsm.outside(text)
    few = 5
    if not found or len(found) > few:
        return ""
    named = " and ".join(f"{char} (U+{ord(char):04X})" for char in found)
    return f", Unicode because of {named}"


def _warn_of_long_calls(draft: Draft, app: App, findings: Findings) -> None:
    for locale, template, place in _templates(draft, app, "voice"):
        text = templates.spoken(
            template,
            _longest_code(draft),
            brand=app.brand,
            minutes=draft.challenge.ttl // MINUTE,
            payment=_longest_payment(app),
        )
        seconds = len(text) // _CHARACTERS_PER_SECOND
        if seconds > _LONG_CALL:
            findings.add(
                place,
                f"the call in {locale} of app {app.name} lasts about {seconds} s",
            )
