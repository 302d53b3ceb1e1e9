"""Messages that confirm payments: amount and payee stand in them, as they were bound."""

import json

import pytest

from otp_service.messages import payments, templates


def test_a_payment_of_the_longest_fields_is_one_sms_in_english() -> None:
    """This is why a field has 40 characters: with a brand of 20, text and code fit into 160 septets."""
    fields = payments.fields_of(json.dumps(dict.fromkeys(payments.FIELDS, "A" * payments.LONGEST)))
    text = templates.compose(payments.PAYMENTS["en"], code="0" * 8, brand="B" * 20, minutes=5, payment=fields)
    assert templates.size(text).parts == 1
    assert payments.fields_of(json.dumps(dict.fromkeys(payments.FIELDS, "A" * 41))) == {}


PAYMENT = {"amount": "12.00 EUR", "payee": "Acme Ltd"}


@pytest.mark.parametrize("locale", payments.PAYMENTS)
@pytest.mark.parametrize("channel", ["sms", "voice", "rcs", "mip"])
def test_every_message_of_a_payment_says_amount_and_payee(channel: str, locale: str) -> None:
    """PSD2 RTS, article 5: the payer is made aware of both, in every language and over every channel."""
    assert templates.problems(payments.PAYMENTS[locale], "payment") == []
    text = templates.write(
        channel, {}, locale, "DE", code="123456", brand="Bank", minutes=5, payment=PAYMENT
    ).text
    assert all(value in text for value in PAYMENT.values())


def test_a_policy_has_its_own_words_for_payments() -> None:
    """They need all three."""
    own = {"payment": {"en": "{payee} gets {amount}: {code}"}}
    written = templates.write("sms", own, "en", "GB", code="123456", brand="Bank", minutes=5, payment=PAYMENT)
    assert written.text == "Acme Ltd gets 12.00 EUR: 123456"
    assert templates.problems("{code} {amount}", "payment") == ["must contain {payee}"]
    assert templates.problems("{code} {amount}") == ["unknown variable {amount}"]


def test_a_field_is_text_and_no_template() -> None:
    """Braces stay braces, and white space is one space, so a payee cannot add a line."""
    found = payments.fields_of(json.dumps({"amount": "1  EUR", "payee": "{code}\n@evil.example #1"}))
    assert found == {"amount": "1 EUR", "payee": "{code} @evil.example #1"}
    text = templates.compose("{code} {amount} {payee}", code="7", brand="", minutes=5, payment=found)
    assert text == "7 1 EUR {code} @evil.example #1"


@pytest.mark.parametrize(
    "binding",
    [
        "",
        '"12.00 EUR to Acme"',
        '{"amount":"1"}',
        '{"payee":"Acme"}',
        '{"amount":" ","payee":"Acme"}',
        json.dumps({"amount": "1", "payee": "x" * 41}),
        json.dumps({"amount": "1", "payee": "a\u202eb"}),
        json.dumps({"amount": "1", "payee": "a\x00b"}),
        json.dumps({"amount": "1", "payee": "\u3164"}),
        json.dumps({"amount": "1", "payee": "a\U000e0101b"}),
    ],
)
def test_a_binding_that_cannot_be_shown_has_no_fields(binding: str) -> None:
    """A part of a payee, or one in another order, would be worse than none."""
    assert payments.fields_of(binding) == {}
