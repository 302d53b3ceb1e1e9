"""Messages: what each channel says, how an SMS ends, and how many parts it is charged as."""

import re
import string
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.messages import gsm, languages, templates
from otp_service.messages.templates import Size, Written

CODE, BRAND, HOST, HASH = "123456", "Acme", "app.example.com", "FA+9qCX9VSu"
UNICODE = {"ar", "hi"}


def sms(template: str, *, app_hash: str = "", host: str = HOST) -> str:
    """Write an SMS with everything typical."""
    return templates.compose(template, code=CODE, brand=BRAND, minutes=5, app_hash=app_hash, host=host)


# Size.


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", Size(unicode=False, units=0, parts=1)),
        ("a" * 160, Size(unicode=False, units=160, parts=1)),
        ("a" * 161, Size(unicode=False, units=161, parts=2)),
        ("a" * 306, Size(unicode=False, units=306, parts=2)),
        ("a" * 307, Size(unicode=False, units=307, parts=3)),
        ("é" * 160, Size(unicode=False, units=160, parts=1)),
        ("|" * 70, Size(unicode=True, units=70, parts=1)),
        ("^Δ", Size(unicode=True, units=2, parts=1)),
        ("[" * 80, Size(unicode=False, units=160, parts=1)),
        ("€" * 81, Size(unicode=False, units=162, parts=2)),
        ("a" * 152 + "[" + "a" * 152, Size(unicode=False, units=306, parts=3)),
        ("á" + "a" * 69, Size(unicode=True, units=70, parts=1)),
        ("á" + "a" * 70, Size(unicode=True, units=71, parts=2)),
        ("á" * 134, Size(unicode=True, units=134, parts=2)),
        ("á" * 135, Size(unicode=True, units=135, parts=3)),
        ("\U0001f600" * 35, Size(unicode=True, units=70, parts=1)),
        ("\U0001f600" * 36, Size(unicode=True, units=72, parts=2)),
        ("\U0001f600" * 67, Size(unicode=True, units=134, parts=3)),
        ("á" * 66 + "\U0001f600" + "á" * 66, Size(unicode=True, units=134, parts=3)),
        ("`", Size(unicode=True, units=1, parts=1)),
        ("\t", Size(unicode=True, units=1, parts=1)),
    ],
)
def test_an_sms_is_counted_as_operators_do(text: str, size: Size) -> None:
    """3GPP TS 23.038: 160 or 153 septets, 70 or 67 UTF-16 units; no character of two units is split."""
    assert templates.size(text) == size


def test_the_gsm_alphabet_is_complete() -> None:
    """There are 127 basic characters beside the escape, and ten in the extension table, which take two places."""
    assert len(gsm.GSM_BASIC) == 127
    assert len(gsm.GSM_EXTENDED) == 10
    assert not gsm.GSM_BASIC & gsm.GSM_EXTENDED
    assert set(string.ascii_letters + string.digits + "@£$¥èéùìòÇØøÅåÆæßÉÄÖÑÜ§¿äöñüà¡¤\n\r ") <= gsm.GSM_BASIC
    assert not set("áíóúâêôãõçÁ`") & (gsm.GSM_BASIC | gsm.GSM_EXTENDED)


@settings(deadline=None)
@given(st.text())
def test_parts_hold_what_they_are_charged_for(text: str) -> None:
    """The units fit into the parts, and one part fewer would be too small, but for one split character per part."""
    size = templates.size(text)
    one, many = (70, 67) if size.unicode else (160, 153)
    assert size.units <= (one if size.parts == 1 else many * size.parts)
    if size.parts > 1:
        assert size.units > max(one, (many - 1) * (size.parts - 1))


# The words we bring.


@pytest.mark.parametrize("locale", templates.TEMPLATES)
def test_every_built_in_text_is_exactly_one_part(locale: str) -> None:
    """With a typical brand, six digits, five minutes and the line for autofill; with an app's hash, too."""
    template = templates.TEMPLATES[locale]
    size = templates.size(sms(template))
    assert (size.parts, size.unicode) == (1, locale in UNICODE)
    assert size.units <= (70 if locale in UNICODE else 160)
    assert templates.size(sms(template, app_hash=HASH)).parts == 1


@pytest.mark.parametrize("locale", templates.TEMPLATES)
def test_every_built_in_text_says_code_brand_and_minutes(locale: str) -> None:
    """A text without the brand does not say what the code is for."""
    template = templates.TEMPLATES[locale]
    assert templates.problems(template) == []
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    assert names == templates.VARIABLES


# Templates of operators.


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("hello", "must contain {code} once"),
        ("{code} {code}", "must contain {code} once"),
        ("{code} {name}", "unknown variable {name}"),
        ("{code} {0} {brand.__class__}", "unknown variable {0}, {brand.__class__}"),
        ("{code} {}", "unknown variable {}"),
        ("{code:>10}", "variables take no format: write {code}"),
        ("{code!r}", "variables take no format: write {code}"),
        ("{code", "cannot be read: expected '}' before end of string"),
        ("{code} }", "cannot be read: Single '}' encountered in format string"),
    ],
)
def test_a_template_that_cannot_work_says_why(template: str, problem: str) -> None:
    """Operators see it when they write it, not when the first message fails."""
    assert problem in templates.problems(template)


@pytest.mark.parametrize("channel", ["sms", "voice", "payment"])
def test_a_template_is_no_longer_than_a_message_can_be(channel: str) -> None:
    """Longer ones are not read at all: the checks of texts would take minutes for what fits into a policy."""
    least = "{code} {amount} {payee} "
    text = least if channel == "payment" else "{code} "
    text += "a" * (templates.MOST_TEMPLATE - len(text))
    assert templates.problems(text, channel) == []
    assert templates.problems(f"{text}{{", channel) == ["must be at most 1600 characters"]


def test_a_template_may_leave_brand_and_minutes_out_and_show_braces() -> None:
    """Only the code is required; doubled braces are braces."""
    assert templates.problems("{{{code}}}") == []
    assert sms("{{{code}}}", host="") == f"{{{CODE}}}"


PIECES = ["{code}", "{brand}", "{minutes}", "{", "}", "{{", "}}", "{code!r}", "{code:x}", "{0}", "{brand.x}"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).map("".join))
def test_a_template_without_problems_can_be_written(template: str) -> None:
    """A template that passes the check never fails when a message is composed."""
    if not templates.problems(template):
        assert CODE in sms(template)


# Which one.


@pytest.mark.parametrize(
    ("own", "locale", "country", "start"),
    [
        ({}, "", "US", "{code} is your"),
        ({}, "", "DE", "{code} ist Ihr"),
        ({}, "", "MX", "{code} es su"),
        ({}, "", "", "{code} is your"),
        ({}, "fr", "DE", "{code} est votre"),
        ({}, "fr-CA", "DE", "{code} est votre"),
        ({}, "xx", "DE", "{code} is your"),
        ({"de": "own {code}"}, "", "DE", "own {code}"),
        ({"de": "own {code}"}, "de-AT", "US", "own {code}"),
        ({"de-AT": "own {code}"}, "de-AT", "US", "own {code}"),
        ({"pt-BR": "own {code}"}, "pt-br", "US", "own {code}"),
        ({"pt-BR": "own {code}"}, "pt-BR-x-formal", "US", "own {code}"),
        ({"zh-TW": "own {code}"}, "zh_TW", "US", "own {code}"),
        ({"en-IN": "own {code}"}, "", "IN", "own {code}"),
        ({"en-IN": "own {code}"}, "en-IN", "GB", "own {code}"),
        ({"en-IN": "own {code}"}, "", "GB", "{code} is your"),
        ({"de-AT": "own {code}"}, "de", "US", "{code} ist Ihr"),
        ({"en": "own {code}"}, "xx", "DE", "own {code}"),
        ({"pl": "own {code}"}, "pl", "DE", "own {code}"),
        ({"pl": "own {code}"}, "", "PL", "{code} is your"),
    ],
)
def test_a_text_is_chosen_by_locale_then_country(
    own: dict[str, str], locale: str, country: str, start: str
) -> None:
    """RFC 4647, 3.4: the locale, then with fewer subtags; the policy's words before ours, English in the end."""
    assert templates.choose([own, templates.TEMPLATES], locale, country).text.startswith(start)


@pytest.mark.parametrize(
    ("locale", "country", "language"),
    [
        ("pt-BR", "DE", "pt-BR"),
        ("fr", "", "fr"),
        ("", "MX", "es-MX"),
        ("", "US", "en-US"),
        ("", "", "en"),
        ("pl", "DE", "pl"),
    ],
)
def test_the_language_of_a_person_keeps_its_region(locale: str, country: str, language: str) -> None:
    """Senders look for it among their templates and voices, and may have one for the region."""
    assert languages.of_person(locale, country) == language


# What each channel says.

OWN = {
    "sms": {"en": "SMS {code}", "de": "SMS auf Deutsch {code}"},
    "voice": {"en": "Call {code}"},
    "rcs": {"en": "RCS {code}"},
}


def written(channel: str, locale: str = "en", own: Mapping[str, Mapping[str, str]] = OWN) -> Written:
    """Write a message with everything that an SMS could end with."""
    return templates.write(
        channel, own, locale, "DE", code=CODE, brand=BRAND, minutes=5, app_hash=HASH, host=HOST
    )


@pytest.mark.parametrize(
    ("channel", "locale", "text", "language"),
    [
        ("sms", "en", f"SMS {CODE}\n{HASH}\n@{HOST} #{CODE}", "en"),
        ("sms", "", f"SMS auf Deutsch {CODE}\n{HASH}\n@{HOST} #{CODE}", "de-DE"),
        ("rcs", "en", f"RCS {CODE}", "en"),
        ("rcs", "de-AT", f"SMS auf Deutsch {CODE}", "de-AT"),
        ("mip", "en", f"SMS {CODE}", "en"),
        ("mip", "nl", f"{CODE} is uw code voor Acme, 5 minuten geldig. Deel hem met niemand.", "nl"),
        ("voice", "en-GB", "Call 1, 2, 3, 4, 5, 6 Call 1, 2, 3, 4, 5, 6", "en-GB"),
        (
            "voice",
            "it",
            "Il suo codice Acme è: 1, 2, 3, 4, 5, 6; Ripeto: 1, 2, 3, 4, 5, 6",
            "it",
        ),
        ("whatsapp", "pt-BR", CODE, "pt-BR"),
        ("whatsapp", "", CODE, "de-DE"),
        ("whatsapp", "pl", CODE, "pl"),
        ("voice", "pl", "Call 1, 2, 3, 4, 5, 6 Call 1, 2, 3, 4, 5, 6", "en"),
    ],
)
def test_each_channel_has_its_words_and_tells_their_language(
    channel: str, locale: str, text: str, language: str
) -> None:
    """Autofill is for SMS only; RCS and MIP fall back to the SMS templates; the vendor stores those of WhatsApp."""
    message = written(channel, locale)
    assert (message.text, message.language) == (text, language)


@pytest.mark.parametrize("locale", templates.TEMPLATES)
def test_every_language_we_write_we_also_speak(locale: str) -> None:
    """With the brand, and with the code digit by digit, twice."""
    template = templates.VOICE[locale]
    assert templates.problems(template, "voice") == []
    said = written("voice", locale, {})
    assert said.language == locale
    assert said.text.count("1, 2, 3, 4, 5, 6") == 2
    assert BRAND in said.text
    assert CODE not in said.text


@given(
    template=st.sampled_from(["{code}", "{code} {code}", "It is {code}, {brand}.", "{{{code}}}"]),
    code=st.from_regex(r"[0-9]{6,10}", fullmatch=True),
)
def test_a_call_says_every_digit_twice_and_apart(template: str, code: str) -> None:
    """A voice would read a whole code as one number, and one reading is too fast to write it down."""
    said = templates.spoken(template, code, brand=BRAND, minutes=5)
    assert re.findall(r"[0-9]", said) == list(code * 2)
    assert not re.search(r"[0-9]{2}", said)


@pytest.mark.parametrize("locale", templates.VOICE)
def test_no_call_has_a_digit_before_a_full_stop(locale: str) -> None:
    """German and other languages read it as an ordinal number: "7." is "siebte"."""
    assert not re.search(r"\d\s*\.", written("voice", locale, {}).text)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Code {code}.", "Code 7, 0; Code 7, 0"),
        ("Code {code} . Danke.", "Code 7, 0; Danke. Code 7, 0; Danke."),
        ("{code}. Gilt {minutes}. {code}.", "7, 0; Gilt 5; 7, 0"),
        ("Version 1.5: {code}", "Version 1.5: 7, 0 Version 1.5: 7, 0"),
        ("{code}...", "7, 0; 7, 0"),
        ("{code}.Danke ({code}.)", "7, 0;Danke (7, 0;)"),
        ("{code}\u2026 {code}", "7, 0; 7, 0"),
    ],
)
def test_a_full_stop_of_an_operators_text_makes_no_ordinal_either(template: str, text: str) -> None:
    """A semicolon pauses as long. Within a number a full stop stays."""
    assert templates.spoken(template, "70", brand=BRAND, minutes=5) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("hello", "must contain {code} once or twice"),
        ("{code} {code} {code}", "must contain {code} once or twice"),
        ("{code} {name}", "unknown variable {name}"),
    ],
)
def test_a_spoken_template_has_rules_of_its_own(template: str, problem: str) -> None:
    """It may contain the code twice."""
    assert templates.problems(template, "voice") == [problem]
    assert templates.problems("{code}. {code}.", "voice") == []


# The last line.


def origin_bound(message: str) -> tuple[str, str] | None:
    """Parse the last line as the WICG draft "Origin-bound one-time codes delivered via SMS" does."""
    line = message.rpartition("\n")[2]
    if not line.startswith("@"):
        return None
    host, space, rest = line[1:].partition(" ")
    code, _, extra = rest.partition(" ")
    if not space or not host or not code.startswith("#") or len(code) < 2:
        return None
    if extra and not re.fullmatch(r"@\S+", extra):
        return None
    return host, code[1:]


def test_the_parser_of_the_draft_knows_good_from_bad() -> None:
    """The test's own parser accepts the draft's examples and refuses its counter-examples."""
    assert origin_bound("747723 is your code.\n\n@example.com #747723") == ("example.com", "747723")
    assert origin_bound("@example.com #747723 @iframe.example") == ("example.com", "747723")
    for bad in (
        "@example.com 747723",
        "example.com #747723",
        "@example.com  #747723",
        "@ #1",
        "@example.com #",
    ):
        assert origin_bound(bad) is None
    assert origin_bound("@example.com #747723\n") is None


@pytest.mark.parametrize("locale", templates.TEMPLATES)
@pytest.mark.parametrize("app_hash", ["", HASH])
def test_the_last_line_binds_the_code_to_the_host(locale: str, app_hash: str) -> None:
    """Every built-in text ends so that a browser fills the code into pages of this host only."""
    assert origin_bound(sms(templates.TEMPLATES[locale], app_hash=app_hash)) == (HOST, CODE)


@settings(deadline=None)
@given(
    before=st.text(st.characters(exclude_characters="{}")),
    after=st.text(st.characters(exclude_characters="{}")),
    host=st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
    code=st.from_regex(r"[0-9]{6,10}", fullmatch=True),
)
def test_any_text_keeps_the_line_parsable(before: str, after: str, host: str, code: str) -> None:
    """Whatever operators write, the draft's parser finds host and code."""
    template = f"{before}{{code}}{{brand}}{after}"
    assert templates.problems(template) == []
    text = templates.compose(template, code=code, brand="\n@x #1", minutes=5, host=host)
    assert origin_bound(text) == (host, code)


def test_without_a_host_there_is_no_line() -> None:
    """A server's send for an app without pages binds the code to nothing."""
    assert origin_bound(sms("{code}", host="")) is None
    assert sms("{code}", host="") == CODE


def test_the_apps_hash_has_a_line_of_its_own() -> None:
    """Android's SMS Retriever looks for the eleven characters; they come before the line for browsers."""
    assert sms("Code: {code}", app_hash=HASH).split("\n") == [f"Code: {CODE}", HASH, f"@{HOST} #{CODE}"]
    assert sms("Code: {code}", app_hash=HASH, host="").split("\n") == [f"Code: {CODE}", HASH]
