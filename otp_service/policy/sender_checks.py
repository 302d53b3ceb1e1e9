"""Warnings about senders of SMS: what networks cut or refuse, and what India requires (TRAI, DLT).

Pure. Knows the rules that others fix. Must not know texts beyond their registration.
"""

import re
from collections.abc import Iterable, Iterator

from otp_service.messages.payments import LONGEST
from otp_service.policy.draft import Draft, Findings
from otp_service.policy.limits import Guard
from otp_service.policy.model import Upstream
from otp_service.policy.places import join
from otp_service.policy.registered import registered_texts
from otp_service.upstream.channels import SmsSettings

_INDIA = "IN"
_INDIAN_CODE = "+91"
_NO_SMS = frozenset({"VOC", "WAP", "RCS", "MIP", "VBR", "L"})
"""Codes of the upstream's other products."""
_MOST_LETTERS, _MOST_DIGITS = 11, 15
"""3GPP TS 23.040, 9.1.2.5: an alphanumeric sender; ITU-T E.164: a number."""
_VARIABLE = 30
"""Characters that a variable of a registered template may have."""


def report_warnings(draft: Draft, findings: Findings) -> None:
    """Add warnings about senders of SMS.

    A policy for all countries may never send to India, so it is told only why nothing would arrive there.
    """
    for upstream in draft.upstreams.values():
        if upstream.sms:
            _warn_of_sender(upstream.sms, _place(upstream), findings)
    for upstream, _ in _reaching_india(draft, named=False):
        assert upstream.sms  # noqa: S101 - for the type checker
        _warn_of_india(upstream.sms, _place(upstream), findings)
    registered = list(_reaching_india(draft, named=True))
    _warn_of_texts(draft, [upstream for upstream, _ in registered], findings)
    if registered:
        _warn_of_variables(draft, lines=any(lines for _, lines in registered), findings=findings)


def _place(upstream: Upstream) -> str:
    return f"{join('upstream', upstream.name)}.sms"


def _warn_of_sender(sms: SmsSettings, place: str, findings: Findings) -> None:
    sender = sms.sender.removeprefix("+")
    most = _MOST_DIGITS if sender.isdecimal() else _MOST_LETTERS
    if len(sender) > most:
        findings.add(f"{place}.sender", f"is longer than the {most} characters that networks show")
    if sms.service in _NO_SMS:
        findings.add(f"{place}.service", f"{sms.service} is not a code for SMS")


def _reaching_india(draft: Draft, *, named: bool) -> Iterator[tuple[Upstream, bool]]:
    """Yield each account whose SMS may go to India, and whether they end with lines.

    With `named`, "*" is not enough: the allowed countries or a route must name India.
    """
    allowed = any(
        _INDIA in rules.countries.allow if named else rules.countries.reaches(_INDIA)
        for rules in _guards(draft)
    )
    found: dict[str, bool] = {}
    for route in draft.routes:
        match = route.match
        here = _INDIA in match.countries or any(p.startswith(_INDIAN_CODE) for p in match.prefixes)
        if here or (allowed and match.may_meet(_INDIA)):
            for step in route.steps:
                for name in step.upstreams if step.channel == "sms" else ():
                    found[name] = found.get(name, False) or step.lines == "on"
    return ((draft.upstreams[name], lines) for name, lines in found.items() if draft.upstreams[name].sms)


def _guards(draft: Draft) -> list[Guard]:
    return [draft.guard, *(app.guard for app in draft.apps.values() if app.guard)]


def _warn_of_india(sms: SmsSettings, place: str, findings: Findings) -> None:
    if not sms.entity_id or not (sms.template_id or sms.template_ids):
        findings.add(place, "India delivers no SMS without entity_id and template_id or template_ids (DLT)")
    if sms.service == "T" and not re.fullmatch(r"[A-Za-z]{6}", sms.sender):
        findings.add(f"{place}.sender", "must have six letters for service T in India")
    if sms.service == "P":
        findings.add(
            f"{place}.service",
            "India allows promotional P from 9 to 21 h only, not for login codes",
        )


def _warn_of_texts(draft: Draft, upstreams: Iterable[Upstream], findings: Findings) -> None:
    """Find ids under which several texts can leave: the network compares each with the registered one."""
    texts: dict[str, dict[str, str]] = {}
    places: dict[str, str] = {}
    for upstream in upstreams:
        for each in registered_texts(draft.apps, draft.templates, upstream.sms):
            texts.setdefault(each.template_id, {}).setdefault(each.text, f"{each.language} of {each.app}")
            places.setdefault(each.template_id, _place(upstream))
    for template_id, named in texts.items():
        if len(named) > 1:
            findings.add(
                places[template_id], f"id {template_id} stands for several texts: {', '.join(named.values())}"
            )


def _warn_of_variables(draft: Draft, *, lines: bool, findings: Findings) -> None:
    for app in draft.apps.values():
        place = join("app", app.name)
        if app.binding:
            findings.add(
                f"{place}.binding",
                f"amount and payee have up to {LONGEST} characters, a variable in India has {_VARIABLE}",
            )
        if len(app.brand) > _VARIABLE:
            findings.add(
                f"{place}.brand", f"is longer than the {_VARIABLE} characters of a variable in India"
            )
        for at, origin in enumerate(app.origins if lines else ()):
            if len(app.host(origin)) > _VARIABLE:
                findings.add(
                    f"{place}.origins[{at}]",
                    f'its host is longer than a variable in India ({_VARIABLE} characters): set lines = "off"',
                )
