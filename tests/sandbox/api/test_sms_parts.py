"""The sandbox counts units and finds codes as a network and a phone do."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.sandbox.api.sms_parts import GSM_BASIC, GSM_EXTENDED, encode
from otp_service.sandbox.codes import code_in

GSM = st.text(st.sampled_from(sorted(GSM_BASIC | GSM_EXTENDED)), max_size=700)


@pytest.mark.parametrize(
    ("text", "text_type", "length", "units"),
    [
        ("a" * 160, "A", 160, 1),
        ("a" * 161, "A", 161, 2),
        ("a" * 306, "A", 306, 2),
        ("a" * 307, "A", 307, 3),
        ("€" * 80, "A", 160, 1),
        ("€" * 81, "A", 162, 2),
        ("a" * 152 + "€" + "a" * 153, "A", 307, 3),
        ("я" * 70, "A", 70, 1),
        ("я" * 71, "A", 71, 2),
        ("я" * 135, "A", 135, 3),
        ("😀" * 35, "A", 70, 1),
        ("😀" * 36, "A", 72, 2),
        ("a" * 71, "U", 71, 2),
        ("я" * 71, "N", 71, 1),
    ],
)
def test_units_follow_the_limits_of_each_alphabet(text: str, text_type: str, length: int, units: int) -> None:
    """160 then 153 places in GSM, 70 then 67 in Unicode; no character is split between parts."""
    encoded = encode(text, text_type)  # type: ignore[arg-type]  # the table holds plain texts
    assert (encoded.length, encoded.units) == (length, units)


def test_the_gsm_alphabet_has_all_of_its_characters() -> None:
    """128 places less the escape, and ten characters behind the escape."""
    assert len(GSM_BASIC) == 127
    assert len(GSM_EXTENDED) == 10


def test_normal_text_loses_what_the_alphabet_lacks() -> None:
    """A character outside the GSM set becomes a question mark, one for one."""
    assert encode("code ✓ 1234 €", "N").text == "code ? 1234 €"


@given(st.text(max_size=700))
def test_normal_text_always_fits_the_gsm_alphabet(text: str) -> None:
    """Type N keeps the length of a text, and its result would also be GSM with type A."""
    fitted = encode(text, "N")
    assert len(fitted.text) == len(text)
    assert encode(fitted.text, "A") == fitted


@given(GSM)
def test_gsm_units_hold_the_text_and_are_not_too_many(text: str) -> None:
    """A part carries 152 places at the least (where a pair did not fit) and 153 at the most."""
    encoded = encode(text, "A")
    if encoded.length <= 160:
        assert encoded.units == 1
    else:
        assert encoded.length <= encoded.units * 153
        assert (encoded.units - 1) * 152 < encoded.length


@given(st.text(max_size=400))
def test_unicode_keeps_the_text_as_it_is(text: str) -> None:
    """Type U never alters a text, and counts it in 16-bit units."""
    encoded = encode(text, "U")
    assert encoded.text == text
    assert encoded.length == len(text.encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your code is 482913.", "482913"),
        ("482913 is your Acme code, valid 10 min", "482913"),
        ("Acme: 123 is too short, 4821 is not", "4821"),
        ("Call +12025550100 about code 998877", "998877"),
        ("On 2026-11-23 your code was 445566", "445566"),
        ("Rs.5000.00 paid, code 7788", "7788"),
        ("ref AB123456 has none", None),
        ("12345678901 is too long", None),
        ("Hello", None),
        ("", None),
        ("Use 111111\n@app.acme.example #222222", "222222"),
        ("Use 111111\n\n@app.acme.example #222222 %embed.example", "222222"),
        ("Use 111111\n@app.acme.example #222222\nFA+9qCX9VSu", "222222"),
        ("mail me@app.acme.example #222222 or 3333", "222222"),
    ],
)
def test_the_code_is_what_a_phone_would_fill_in(text: str, code: str | None) -> None:
    """The WebOTP line comes first, then the first free-standing group of 4 to 10 digits."""
    assert code_in(text) == code


@given(
    st.text(string.digits, min_size=4, max_size=10),
    st.text(string.ascii_letters + " .!\n", max_size=40).map(lambda words: f"{words} "),
    st.text(string.ascii_letters + " !\n", max_size=40).map(lambda words: f" {words}"),
)
def test_a_code_between_words_is_found(code: str, before: str, after: str) -> None:
    """Whatever words stand around it."""
    assert code_in(f"{before}{code}{after}") == code


@given(st.text(string.digits, min_size=4, max_size=10), st.text(max_size=80))
def test_the_webotp_line_wins_over_any_text(code: str, text: str) -> None:
    """However many other digits the text has above the line."""
    assert code_in(f"{text}\n@acme.example #{code}") == code
