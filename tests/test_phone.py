"""Phone numbers: every spelling of one number is one number, and nothing else is a number."""

import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service import phone
from otp_service.errors import Invalid, InvalidNumber

INDIAN = "+919876543210"
FULL_WIDTH = str.maketrans("0123456789", "".join(chr(0xFF10 + n) for n in range(10)))
DEVANAGARI = str.maketrans("0123456789", "".join(chr(0x0966 + n) for n in range(10)))
SPELLINGS = [
    "+91 98765 43210",
    "009198765 43210",
    "09876543210",
    "9876543210",
    "9876543210".translate(FULL_WIDTH),
    "9876543210".translate(DEVANAGARI),
    "98765\u200b43210",
    "tel:+91-98765-43210",
    "TEL:+919876543210",
    "+91\ufe0d9876543210",
    "98765\u200e 43210",
    "\u2068+91\u202f98765\u200943210\u2069\t",
    "98765\u221243210",
    "\ufeff+9\ufe0f\u20e31 98765 43210",
    "\uff0b919876543210",
    "+919876543210\n",
    "+9109876543210",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_one_number(spelling: str) -> None:
    """Limits are counted per number, so no way to write it may be another number."""
    assert phone.parse(spelling, "IN") == phone.Number(INDIAN, "IN", "mobile")


@settings(deadline=None)
@given(
    separators=st.lists(
        st.sampled_from(["", " ", "-", ".", "/", "\u00a0", "\u2011", "\u200b", " - ", "\u2009", "\ufe58"]),
        min_size=9,
    ),
    prefix=st.sampled_from(["+91", "0091", "0", "", "+91 ", "+91 (0)", "\uff0b91", "tel:+91"]),
    digits=st.sampled_from([str.maketrans({}), FULL_WIDTH, DEVANAGARI]),
    suffix=st.sampled_from(["", " ", "\t", "\ufeff", "\u2069"]),
    country=st.sampled_from(["IN"]),
)
def test_any_mixture_of_signs_is_the_same_number(
    separators: list[str], prefix: str, digits: dict[int, str], suffix: str, country: str
) -> None:
    """Separators, prefixes, scripts and marks do not matter; the digits are the number."""
    national = "".join(digit + between for digit, between in zip("987654321", separators, strict=False)) + "0"
    text = f"{prefix}{national}".translate(digits) + suffix
    assert phone.parse(text, country).e164 == INDIAN


EXTENSIONS = (
    "x5| x 123| ext 5| Ext. No. 5| extension: 5| extensión 5|;ext=5|;5|#5|,5|,,5#|*5| xtn 5| доб. 5| anexo 5|"
    " int 5| ~5|p5| poste 5| Durchwahl 5|\uff585| ext\uff15| wait 5| toestel 5| linka 5| nebenst. 12| \u5206\u6a5f 5"
)


@pytest.mark.parametrize("extension", EXTENSIONS.split("|"))
def test_an_extension_is_refused_with_a_sentence_however_it_is_written(extension: str) -> None:
    """A message reaches no extension; dropping it would send the code to a switchboard."""
    for number in ("+91 98765 43210", "9876543210", "(098765) 43210", "tel:+919876543210"):
        with pytest.raises(InvalidNumber) as caught:
            phone.parse(f"{number}{extension}", "IN")
        assert caught.value.rules() == [("to", "must have no extension, because a message cannot reach one")]


@pytest.mark.parametrize(
    ("old", "today"),
    [
        ("5215512345678", "+525512345678"),
        ("+52 1 55 1234 5678", "+525512345678"),
        ("+52 044 55 1234 5678", "+525512345678"),
        ("551187654321", "+5511987654321"),
        ("+55 (11) 8765-4321", "+5511987654321"),
        ("22547123456", "+2250747123456"),
        ("+225 07 12 34 56", "+2250707123456"),
        ("+225 05 12 34 56", "+2250505123456"),
        ("+225 41 23 45 67", "+2250141234567"),
        ("22997123456", "+2290197123456"),
        ("+54 11 2345-6789", "+5491123456789"),
        ("541123456789", "+5491123456789"),
        ("+54 11 15 2345-6789", "+5491123456789"),
        ("+54 9 11 2345-6789", "+5491123456789"),
        ("+54 351 234 5678", "+5493512345678"),
        ("+54 9 11 15 2345-6789", "+5491123456789"),
        ("+52 01 55 1234 5678", "+525512345678"),
        ("+225 20 30 40 50", "+2252720304050"),
        ("+225 20 00 40 50", "+2252520004050"),
        ("+225 20 80 54 20", "+2252120805420"),
        ("+225 30 60 12 34", "+2252730601234"),
        ("+229 21 30 01 02", "+2290121300102"),
        ("841681234567", "+84381234567"),
        ("+84 120 123 4567", "+84701234567"),
        ("+84 199 123 4567", "+84591234567"),
        ("+241 06 03 12 34", "+24166031234"),
        ("+241 07 12 34 56", "+24177123456"),
        ("2417123456", "+24177123456"),
        ("+241 01 44 12 34", "+24111441234"),
        ("+237 77 12 34 56", "+237677123456"),
        ("+237 22 12 34 56", "+237222123456"),
        ("+57 1 234 5678", "+576012345678"),
    ],
)
def test_old_and_vendors_spellings_are_the_number_of_today(old: str, today: str) -> None:
    """Limits, STOP, `sub` and forgetting must find the person under one number."""
    found = phone.parse_international(old)
    assert found.e164 == today
    assert phone.parse(today) == found


@pytest.mark.parametrize(
    ("country", "old", "today"),
    [
        ("MX", "044 55 1234 5678", "+525512345678"),
        ("AR", "011 15 2345-6789", "+5491123456789"),
        ("BR", "(61) 8765-4321", "+5561987654321"),
        ("CI", "07 12 34 56", "+2250707123456"),
        ("BJ", "97 12 34 56", "+2290197123456"),
        ("VN", "0168 123 4567", "+84381234567"),
        ("GA", "06 03 12 34", "+24166031234"),
    ],
)
def test_old_spellings_without_a_country_code_are_the_number_of_today(
    country: str, old: str, today: str
) -> None:
    """People type what is in their address book."""
    assert phone.parse(old, country).e164 == today


@settings(deadline=None)
@given(
    code=st.sampled_from(["52", "54", "55", "57", "84", "225", "229", "237", "241"]),
    digits=st.text("0123456789", min_size=7, max_size=12),
    possible=st.booleans(),
)
def test_the_number_of_today_is_never_mapped_again(*, code: str, digits: str, possible: bool) -> None:
    """Else a number that the store holds would be another one when it is read back."""
    try:
        found = phone.parse(f"+{code}{digits}", possible=possible)
    except InvalidNumber:
        return
    assert phone.parse(found.e164, possible=possible) == found
    assert phone.parse_international(found.e164[1:]) == found


REMAPPED = {"AR", "GA"}
"""Where the metadata knows the old numbers, too."""


@pytest.mark.parametrize(
    "kind", [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]
)
def test_no_country_but_two_has_numbers_that_are_read_as_others(kind: int) -> None:
    """The table is for numbers that do not exist any more."""
    for region in phonenumbers.SUPPORTED_REGIONS - REMAPPED:
        if example := phonenumbers.example_number_for_type(region, kind):
            e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert phone.parse(e164).e164 == e164


@pytest.mark.parametrize(
    "text", ["1" + "," * 60_000 + "x", "+1202555" + " " * 60_000 + "0100", "\ufdfa" * 150]
)
def test_a_text_that_is_too_long_for_a_number_is_refused_before_it_is_searched(text: str) -> None:
    """Senders come from outside: no text may keep a process busy for minutes."""
    for read in (phone.parse, phone.parse_international):
        with pytest.raises(InvalidNumber):
            read(text)


@pytest.mark.parametrize(
    "e164",
    [
        "+551132345678",
        "+551177123456",
        "+548001234567",
        "+2252720304050",
        "+525512345678",
        "+2290121123456",
        "+573211234567",
        "+84901234567",
        "+237677123456",
        "+24177123456",
    ],
)
def test_a_number_that_is_right_already_is_left_alone(e164: str) -> None:
    """Fixed lines of Brazil, its old trunk radio, toll-free numbers: no rule of spelling is for them."""
    assert phone.parse(e164).e164 == e164


@pytest.mark.parametrize(
    "text", ["28444", "SUPPORT", "VM-ACMEIN", "", "+", "\U0001f600", "56161", "9876543210"]
)
def test_a_sender_that_is_no_number_is_refused_and_can_be_masked(text: str) -> None:
    """Networks name short codes and words as senders."""
    with pytest.raises(InvalidNumber):
        phone.parse_international(text)
    assert phone.mask(text) == "*" * len(text)


@given(st.text())
def test_any_text_can_be_masked(text: str) -> None:
    """A log line must never fail, and never show what it cannot read."""
    assert len(phone.mask(text)) == len(text)


EXAMPLES = [
    example
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (example := phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE))
]


@settings(deadline=None)
@given(
    number=st.sampled_from(EXAMPLES),
    form=st.sampled_from(
        [
            phonenumbers.PhoneNumberFormat.E164,
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.RFC3966,
        ]
    ),
)
def test_what_is_written_for_humans_is_read_back(number: phonenumbers.PhoneNumber, form: int) -> None:
    """Mobile numbers of every country, in each common form, give the E.164 form, which the wire takes."""
    wanted = phone.parse(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)).e164
    found = phone.parse(phonenumbers.format_number(number, form)).e164
    assert found == wanted
    assert phone.E164.fullmatch(found)
    assert phone.parse(found).e164 == found


@settings(deadline=None)
@given(st.text())
def test_no_text_is_read_as_anything_but_a_number_or_refused(text: str) -> None:
    """Any text gives an E.164 number or one clear error."""
    for country in (None, "US"):
        try:
            found = phone.parse(text, country)
        except InvalidNumber as error:
            assert [field for field, _ in error.rules()] == ["to"]  # noqa: PT017 - either end is right
        else:
            assert phone.E164.fullmatch(found.e164)


@pytest.mark.parametrize(
    "text",
    [
        "1-800-FLOWERS",
        "+1800FLOWERS",
        "+12025550100a",
        "a+12025550100",
        "+1202555O100",
        "+120255501\u043e\u043e",
    ],
)
def test_letters_are_refused(text: str) -> None:
    """Vanity numbers and look-alike letters are a typing error or a trick."""
    with pytest.raises(InvalidNumber) as caught:
        phone.parse(text, "US")
    assert caught.value.rules() == [("to", "must be written in digits, not letters")]


@pytest.mark.parametrize(
    ("text", "country", "rule"),
    [
        ("+15550101234", None, "must be a number that is known in its country"),
        ("+12025", None, "must have all digits of a number of its country"),
        ("+49 1", None, "must have all digits of a number of its country"),
        ("+1202555010", None, "must have all digits of a number of its country"),
        ("+120255501000", None, "must have no more digits than a number of its country"),
        ("+4911111111111111", None, "must be a number that is known in its country"),
        ("112", "DE", "must have all digits of a number of its country"),
        ("9876543210", None, "must start with + and a country code, or come with 'country'"),
        ("+0123456789", None, "must start with + and a country code, or come with 'country'"),
        ("+0123456789", "DE", "must be a phone number"),
        ("+", None, "must be a phone number"),
        ("", None, "must be a phone number"),
        ("++--", "US", "must be a phone number"),
        ("+1" * 200, None, "must be a phone number"),
    ],
)
def test_what_cannot_exist_is_refused_with_the_rule(text: str, country: str | None, rule: str) -> None:
    """Each refusal says what the number must be."""
    with pytest.raises(InvalidNumber) as caught:
        phone.parse(text, country)
    assert caught.value.rules() == [("to", rule)]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("+12025", "This number is too short for +1."),
        ("+49 1", "This number is too short."),
        ("+120255501000", "This number is too long for +1."),
        ("+" + "49" * 20, "This number is too long."),
        ("+15550101234", "There is no such number in +1."),
        ("+999 1234567", "No country has the code with which this number begins."),
        ("9876543210", "This number has no country code. Write it as in +14155552671."),
        ("---", "This is not a phone number."),
    ],
)
def test_a_refusal_names_what_is_wrong_and_nothing_else(text: str, detail: str) -> None:
    """A person who wrote a country code is not told to write one."""
    with pytest.raises(InvalidNumber) as caught:
        phone.parse(text)
    assert caught.value.detail == detail


@pytest.mark.parametrize("country", ["", "uk", "XX", "USA", "001", "ZZ", "\u0131e"])
def test_an_unknown_country_is_named_as_the_wrong_field(country: str) -> None:
    """The number may be valid, but the country is not."""
    with pytest.raises(Invalid) as caught:
        phone.parse("+12025550100", country)
    assert [field for field, _ in caught.value.rules()] == ["country"]


def test_a_number_of_no_country_has_none() -> None:
    """Satellite and international service numbers belong to no country, so no route by country matches."""
    assert phone.parse("+80012345678") == phone.Number("+80012345678", "", "toll_free")
    assert phone.country_of("+80012345678") == ""


@pytest.mark.parametrize(
    ("e164", "country"),
    [("+12025550100", "US"), ("+14165550100", "CA"), ("+447400123456", "GB"), (INDIAN, "IN")],
)
def test_a_number_knows_its_country(e164: str, country: str) -> None:
    """Countries with the same calling code are distinguished."""
    assert phone.parse(e164).country == phone.country_of(e164) == country


@pytest.mark.parametrize(
    ("e164", "kind"),
    [
        ("+447400123456", "mobile"),
        ("+442070313000", "fixed_line"),
        ("+12025550100", "fixed_line_or_mobile"),
        ("+80012345678", "toll_free"),
        ("+445612345678", "voip"),
        ("+449012345678", "premium_rate"),
    ],
)
def test_a_number_knows_what_it_is(e164: str, kind: str) -> None:
    """As far as the metadata can tell; routes may ask for it by these words."""
    assert phone.parse(e164).type == kind
    assert kind in phone.TYPES


def test_the_words_for_what_a_number_is_are_those_of_the_metadata() -> None:
    """A new release with more types must not break a route silently."""
    assert len(phone.TYPES) == 12
    for number in EXAMPLES:
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert phone.parse(e164).type in phone.TYPES


@pytest.mark.parametrize(("country", "code"), [("GB", "+44"), ("US", "+1"), ("BS", "+1"), ("IN", "+91")])
def test_a_country_has_a_calling_code(country: str, code: str) -> None:
    """The prefix of all its numbers."""
    assert phone.calling_code(country) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12025550100",
        "+02025550100",
        "+1202555",
        "+1" + "2" * 15,
        "+12025550100\n",
        "+1202555010\uff10",
        "+1202555010\u0966",
        " +12025550100",
        "+1202-5550100",
        "++12025550100",
    ],
)
def test_the_wires_own_form_is_strict(text: str) -> None:
    """Only ASCII digits, 7 to 15 of them."""
    if text != "+1202555":
        assert not phone.E164.fullmatch(text)
    else:
        assert phone.E164.fullmatch(text)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["Nd"]), min_size=7, max_size=15))
def test_digits_of_other_scripts_are_not_the_wires(text: str) -> None:
    """Python's classes of digits have hundreds of characters; the rule allows ten."""
    assert bool(phone.E164.fullmatch(f"+{text}")) == bool(re.fullmatch("[1-9][0-9]{6,14}", text))


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_stored_number_has_the_country_that_it_had_when_it_was_parsed(region: str) -> None:
    """Also where a dozen countries share a calling code, or a number begins with 0, as in Rome."""
    number = phonenumbers.example_number(region)
    assert number is not None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert phone.country_of(e164) == phone.parse(e164, possible=True).country


@settings(deadline=None)
@given(st.sampled_from(EXAMPLES))
def test_a_mask_shows_country_code_and_two_digits_and_no_more(number: phonenumbers.PhoneNumber) -> None:
    """It shows enough for its owner and nothing for others; the length stays."""
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    masked = phone.mask(e164)
    code = f"+{number.country_code}"
    assert masked == f"{code}{'*' * (len(e164) - len(code) - 2)}{e164[-2:]}"
    assert masked.count("*") >= 2
