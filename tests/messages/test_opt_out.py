"""Which replies ask for silence, which ask for messages again, and which only contain such a word."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otp_service.messages import opt_out, templates

STOP = [
    *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "revoke"),
    *("توقف", "إيقاف", "إلغاء الاشتراك", "halt", "abmelden", "alto", "baja", "parar", "arrêt", "désabonner"),
    *("रोकें", "बंद करें", "स्टॉप", "ferma", "basta", "stoppen", "afmelden", "sair"),
]
START = [
    *("start", "unstop", "ابدأ", "starten", "iniciar", "démarrer", "शुरू करें", "avvia", "hervatten", "começar"),
]
WORDS = [*((text, "stop") for text in STOP), *((text, "start") for text in START)]
UNSEEN = "\u200b\u200e\u200f\ufeff\u00ad"
SPACE_AND_SIGNS = " \t\r\n\u00a0.,!?;:…。،؟।¡¿\"'«»“”*_-()👋🛑\ufe0f" + UNSEEN


@pytest.mark.parametrize(("text", "asked"), WORDS)
def test_a_word_asks(text: str, asked: str) -> None:
    """Every language in which we write has its words."""
    assert opt_out.word(text) == asked


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("STOP", "stop"),
        ("Stop.", "stop"),
        (" stop \n", "stop"),
        ("*STOP*", "stop"),
        ("“Stop!”", "stop"),
        ("STOP 🛑\ufe0f", "stop"),
        ("ＳＴＯＰ", "stop"),  # noqa: RUF001 - full width, as East Asian keyboards write
        ("𝐒𝐓𝐎𝐏", "stop"),  # noqa: RUF001 - as apps that decorate text write
        ("\u200eSTOP\u200f", "stop"),
        ("Opt-Out", "stop"),
        ("opt\u2011out", "stop"),
        ("OPT  OUT", "stop"),
        ("stop all", "stop"),
        ("¡ALTO!", "stop"),
        ("ARRET", "stop"),
        ("Arre\u0302t", "stop"),
        ("ايقاف", "stop"),
        ("تـوقـف", "stop"),
        ("قِف", "stop"),
        ("बंद करें।", "stop"),
        ("Un-Stop", None),
        ("START!", "start"),
        ("ابدا", "start"),
        ("COMECAR", "start"),
    ],
)
def test_small_differences_do_not_matter(text: str, asked: str | None) -> None:
    """Case, punctuation, accents, width and invisible characters do not matter (CTIA 5.1.3)."""
    assert opt_out.word(text) == asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "...",
        "🛑",
        "\u0301",
        "yes",
        "no",
        "help",
        "123456",
        "stop it please",
        "please stop",
        "don't stop",
        "stop 123456",
        "stop?start",
        "s t o p",
        "stopping",
        "nonstop",
        "start stop",
        "stop\nstop",
        "the end",
        "never ending",
        "anmelden",
        "St0p",
        "रोक",
    ],
)
def test_all_else_asks_nothing(text: str) -> None:
    """A sentence with a word, a word inside another, an answer to some question."""
    assert opt_out.word(text) is None


@given(
    st.sampled_from(WORDS),
    st.text(SPACE_AND_SIGNS, max_size=6),
    st.text(SPACE_AND_SIGNS, max_size=6),
    st.sampled_from([str.upper, str.lower, str.title, str.swapcase, str]),
    st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]),
    st.sampled_from(["", *UNSEEN]),
)
def test_a_word_survives_how_it_is_typed(
    known: tuple[str, str], before: str, after: str, case: object, form: str, unseen: str
) -> None:
    """Any case and normal form, any punctuation around it, any invisible character in it."""
    text, asked = known
    assert callable(case)
    typed = unseen.join(unicodedata.normalize(form, case(text)))  # type: ignore[arg-type]
    assert opt_out.word(before + typed + after) == asked


@given(st.sampled_from(WORDS), st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_a_word_in_a_sentence_asks_nothing(known: tuple[str, str], other: str) -> None:
    """With one more word before or after it, it is not the whole message."""
    text, _ = known
    assume(opt_out._fold(other))  # noqa: SLF001 - a stroke that lengthens letters, or an accent alone, is no word
    for sentence in (f"{other} {text}", f"{text}, {other}"):
        assume(sentence.casefold() not in {"stop, all", "stop all", "opt out"})
        assert opt_out.word(sentence) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """No text causes an error, and the order of marks and the normal form do not matter."""
    found = opt_out.word(text)
    assert found in {"stop", "start", None}
    assert opt_out.word(unicodedata.normalize("NFC", text)) == found


def test_every_language_that_we_write_in_has_both_words() -> None:
    """A message that can be sent can be answered."""
    for table in (opt_out._STOP, opt_out._START):  # noqa: SLF001 - which languages there are is seen nowhere else
        assert set(table) == set(templates.TEMPLATES)


def test_no_word_asks_for_both() -> None:
    """No word stops in one language and starts in another."""
    stop, start = (opt_out._listed(table) for table in (opt_out._STOP, opt_out._START))  # noqa: SLF001 - as above
    assert not stop & start
    assert "" not in stop | start
