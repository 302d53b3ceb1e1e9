"""What the operators' endpoint is told between looks: each state once, when it lasts, and once when it is over."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from otp_service.alerts import bulletin
from otp_service.alerts.alert import Alert
from otp_service.alerts.bulletin import MOST, QUIET, SETTLE, AlertType, Bulletin, News, follow

OPEN = Alert("breaker_open", "main/sms", "critical", "main, SMS: open.", "upstreams")
LATE = Alert("deliveries_late", "", "critical", "The oldest delivery is 9 s late.", "find")
STEP = 5_000
NAMES = "abc"


def looks(*seen: Iterable[Alert], start: int = 1_000, before: Bulletin | None = None) -> list[list[News]]:
    """Look every five seconds; gives the news of each look. What is remembered goes through text each time."""
    known, told = before or {}, []
    for place, alerts in enumerate(seen):
        known, news = follow(bulletin.read(bulletin.write(known)), alerts, start + place * STEP)
        told.append(news)
    return told


def types(told: Iterable[list[News]]) -> list[list[str]]:
    """Give the types of news, look by look."""
    return [[one.type for one in news] for news in told]


def test_a_state_is_told_once_it_lasts() -> None:
    """Not at the first look, then once, however long it lasts; it says since when."""
    told = looks([OPEN], [OPEN], [OPEN], [OPEN])
    assert types(told) == [[], [AlertType.FIRING], [], []]
    assert told[1][0].data == {
        "alert": "breaker_open",
        "subject": "main/sms",
        "severity": "critical",
        "text": "main, SMS: open.",
        "since": 1_000,
        "page": "/ops/console/upstreams",
    }


def test_a_state_that_passes_at_once_is_not_told() -> None:
    """Neither that it began, nor that it is over."""
    assert types(looks([OPEN], [], [OPEN], [], *[[]] * 20)) == [[]] * 24


def test_a_state_is_over_when_it_stayed_away() -> None:
    """Not sooner, so that what comes and goes is told once; then it can begin anew."""
    away: list[list[Alert]] = [[] for _ in range(QUIET // STEP - 1)]
    told = looks([OPEN], [OPEN], *away, [OPEN], *away, [], [OPEN], [OPEN])
    assert [news for news in types(told) if news] == [
        [AlertType.FIRING],
        [AlertType.RESOLVED],
        [AlertType.FIRING],
    ]


def test_the_text_that_is_told_is_the_newest() -> None:
    """The two looks may see different numbers; the kind and the subject say that it is the same state."""
    later = Alert("deliveries_late", "", "critical", "The oldest delivery is 14 s late.", "find")
    (_, news) = looks([LATE], [later])
    assert [one.data["text"] for one in news] == [later.text]


def test_a_look_that_comes_too_soon_tells_nothing() -> None:
    """Two processes may look one after the other."""
    known, _ = follow({}, [OPEN], 0)
    assert follow(known, [OPEN], SETTLE - 1)[1] == []
    assert len(follow(known, [OPEN], SETTLE)[1]) == 1


def test_only_so_many_are_followed() -> None:
    """Those that came first; of the others none is told, and what is remembered stays small."""
    many = [Alert("conversion_fell", f"sms/{place}", "critical", "", "find") for place in range(2 * MOST)]
    known, _ = follow({}, many, 0)
    _, news = follow(known, list(reversed(many)), SETTLE)
    assert {one.data["subject"] for one in news} == {f"sms/{place}" for place in range(MOST)}


@given(st.lists(st.frozensets(st.sampled_from(NAMES)), max_size=60))
def test_beginnings_and_ends_alternate(seen: list[frozenset[str]]) -> None:
    """For each state: told that it began first, then that it is over, and so on; never over while it is seen."""
    states = [[Alert("breaker_open", name, "critical", "", "upstreams") for name in one] for one in seen]
    told: dict[str, list[AlertType]] = {name: [] for name in NAMES}
    for now, news in zip(seen, looks(*states), strict=True):
        for one in news:
            told[one.data["subject"]].append(one.type)
            assert (one.data["subject"] in now) == (one.type is AlertType.FIRING)
    for types_ in told.values():
        expected = [AlertType.FIRING, AlertType.RESOLVED] * len(types_)
        assert types_ == expected[: len(types_)]
