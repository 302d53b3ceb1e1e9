"""Links in texts: a message with a code leads to the app's own host, or nowhere."""

import re

import pytest

from otp_service import policy
from otp_service.errors import ConfigurationError
from tests.support.http_api import GOOD

ONE_APP = re.sub(r"\[app\.other\]\n.*\n.*\n", "", GOOD)
"""A policy with one app, whose host is app.example.com."""


def problems(text: str) -> list[str]:
    """Return the problems of a document, without their lines."""
    try:
        policy.parse(text)
    except ConfigurationError as error:
        return [re.sub(r" \(line \d+\)\Z", "", problem) for problem in error.problems]
    return []


def with_text(text: str, base: str = ONE_APP, channel: str = "sms") -> str:
    """Write a policy with a text of its own."""
    return base.replace("[operator.anna]", f"[template.{channel}]\nen = '{text}'\n[operator.anna]")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("{code}: https://evil.example/login", "evil.example"),
        ("{code} HTTP://EVIL.EXAMPLE", "evil.example"),
        ("{code} https://app.example.com@evil.example/", "evil.example"),
        ("{code} https://evil.example:8443/app.example.com", "evil.example"),
        ("{code}, see evil.example.", "evil.example"),
        ("Open evil.example/{code}", "evil.example"),
        ("Open {code}.evil.example", "{code}.evil.example"),
        ("{brand}.evil.example {code}", "{brand}.evil.example"),
        ("{code} www.app.example.com.evil.example", "www.app.example.com.evil.example"),
        ("{code} x\\n@evil.example #{code}".replace("{code} x", "x"), "evil.example"),
        ("{code} ev\u200bil.example", "evil.example"),
        ("{code} evil\u3002example", "evil.example"),
        ("{code} \uff45vil.example", "evil.example"),
        ("{code} b\u00fccher.example", "b\u00fccher.example"),
        ("{code} evil.\u092d\u093e\u0930\u0924", "evil.\u092d\u093e\u0930\u0924"),
        ("{code} \u0939\u093f\u0902\u0926\u0940.example", "\u0939\u093f\u0902\u0926\u0940.example"),
        ("{code} \u0939\u093fapp.example.com", "\u0939\u093fapp.example.com"),
        ("{code} http://192.0.2.1/", "192.0.2.1"),
        ("{code} 192.0.2.1/login", "192.0.2.1"),
        ("See 192.0.2.1. {code}", "192.0.2.1"),
        ("{code} myapp://open", "open"),
    ],
)
def test_a_text_that_leads_elsewhere_is_refused(text: str, host: str) -> None:
    """However the link is written, as phones make one of it; an admin can allow its host if it can be named."""
    name = host.encode("idna").decode()  # those here are the same to all phones
    rule = f"leads to {host}, which is no app's own host; template.hosts can allow it"
    told = rule if name == host else f"{rule} as {name}"
    assert f"policy: template.sms.en: {told}" in problems(with_text(text))
    if re.fullmatch(r"[a-z0-9.-]+\.[a-z][a-z0-9-]+", name):
        allowed = with_text(text).replace("[template.sms]", f'[template]\nhosts = ["{name}"]\n[template.sms]')
        assert problems(allowed) == []


def test_a_text_may_write_its_apps_host_in_letters_of_any_script() -> None:
    """The origin has it in ASCII, as browsers say it."""
    own = ONE_APP.replace("app.example.com", "xn--bcher-kva.example")
    assert problems(with_text("{code} for b\u00fccher.example", own)) == []


def test_a_host_that_phones_spell_in_two_ways_is_no_apps_own() -> None:
    """Old software takes a sharp s for two, new software for a letter of its own."""
    own = ONE_APP.replace("app.example.com", "strasse.example")
    assert problems(with_text("{code} for strasse.example", own)) == []
    (problem,) = problems(with_text("{code} for stra\u00dfe.example", own))
    assert "leads to stra\u00dfe.example" in problem


@pytest.mark.parametrize(
    "text",
    [
        "{code} is your code. Enter it at https://app.example.com/login?now=1.",
        "{code} for app.example.com",
        "{code} for example.com: never share it.",
        "{code} ist Ihr Code. Er gilt {minutes} Minuten, z. B. heute.",
        "{brand}: {code}. 1.5 minutes",
        "{code} a.m.",
    ],
)
def test_a_text_may_lead_to_its_app(text: str) -> None:
    """Its host, or the domain around that; full stops and numbers are no links."""
    assert problems(with_text(text)) == []


def test_a_text_for_several_apps_may_lead_to_what_all_of_them_have() -> None:
    """One app's host is elsewhere for the people of another."""
    assert problems(with_text("{code} for app.example.com", GOOD)) != []


@pytest.mark.parametrize("channel", ["sms", "voice", "rcs", "mip", "payment"])
def test_texts_of_every_channel_are_judged(channel: str) -> None:
    """Calls too: a person may open what is said."""
    text = "{code} {amount} {payee} evil.example" if channel == "payment" else "{code} evil.example"
    assert len(problems(with_text(text, channel=channel))) == 1


def test_a_brand_may_lead_to_its_own_app_only() -> None:
    """Every message has it."""
    assert problems(GOOD.replace('"Acme"', '"Example.com"')) == []
    (problem,) = problems(GOOD.replace('"Other"', '"Example.com"'))
    assert problem.startswith("policy: app.other.brand: leads to example.com")
