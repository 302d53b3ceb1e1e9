"""How large a policy may be: a text that would stall a process is refused before it costs anything."""

import os
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service import policy
from otp_service.child_process import SPARE, LimitedWork, without_secrets
from otp_service.errors import Busy, ConfigurationError
from otp_service.policy import bounds
from otp_service.policy.draft import MOST_FINDINGS
from otp_service.policy.limited import MODULE, LimitedParser
from tests.support.http_api import GOOD
from tests.support.patience import PATIENCE, until

DEEP = bounds.MOST_PARTS + 1
ROUTE = '[[route]]\nmatch = {{ app = ["web"], prefix = ["{}"] }}\nsteps = [{{ channel = "sms", upstream = "main" }}]\n'


def problems(text: str) -> list[str]:
    """Return the problems of a document."""
    with pytest.raises(ConfigurationError) as caught:
        policy.parse(text)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"\n{'.'.join(['a'] * 20_000)} = 1", "has a key of more than 8 parts (line 2)"),
        (".".join(['"a.b"'] * DEEP) + "=1", "has a key of more than 8 parts (line 1)"),
        (" . ".join(["'a'"] * DEEP) + "=1", "has a key of more than 8 parts (line 1)"),
        (f"[{'.'.join(['a'] * DEEP)}]", "has a key of more than 8 parts (line 1)"),
        (f"x = {{ {'.'.join(['a'] * DEEP)} = 1 }}", "has a key of more than 8 parts (line 1)"),
        (f"a = {'[' * 100_000}", "is nested more than 8 deep (line 1)"),
        (f"a = 1\nb = {'{c=' * 9}1{'}' * 9}", "is nested more than 8 deep (line 2)"),
        ("#" * bounds.MOST_TEXT + "\n", "is longer than 256 KiB"),
        ("é" * (bounds.MOST_TEXT // 2 + 1), "is longer than 256 KiB"),
        (f"a = [{'1,' * bounds.MOST_VALUES}]", "has more than 20000 values"),
        (f"{'a' * 129} = 1", "has a key of more than 128 characters: aaaaaaaaaaaaaaaaaaaa..."),
    ],
)
def test_a_text_that_is_too_large_is_refused_unread(text: str, problem: str) -> None:
    """By key, nesting, length, number of values and length of keys, wherever they stand, and alone."""
    assert problems(text) == [f"policy: {problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[route]]\n" * 2_000, "route: has more than 250 entries (line 1)"),
        (f"route = [{'{},' * 251}]", "route: has more than 250 entries (line 1)"),
        ("".join(f"[app.a{at}]\n" for at in range(201)), "app: has more than 200 entries (line 1)"),
        ("".join(f"[upstream.a{at}]\n" for at in range(65)), "upstream: has more than 64 entries (line 1)"),
        (f"[[route]]\n\nsteps = [{'{},' * 17}]", "route[0].steps: has more than 16 entries (line 3)"),
        (f"[app.web]\norigins = [{'0,' * 501}]", "app.web.origins: has more than 500 entries (line 2)"),
    ],
)
def test_a_list_that_is_too_long_is_refused_before_its_entries_are_read(text: str, problem: str) -> None:
    """With its line, and without the problems of its entries."""
    assert problems(text) == [f"policy: {problem}"]


def test_after_fifty_problems_no_more_are_looked_for() -> None:
    """The answer says so."""
    found = problems(GOOD + "[[route]]\n" * 100)
    assert len(found) == MOST_FINDINGS + 1
    assert found[-1] == "policy: more than 50 were found, and the others are left out"
    assert len(problems(GOOD + "[[route]]\n" * 10)) < MOST_FINDINGS


def test_warnings_end_after_fifty_too() -> None:
    """A policy that warns of everything is accepted with the first of them."""
    tables = (f'[app.n{at}]\nbrand = "No {at}"\nsecret_keys = ["{at:064}"]\n' for at in range(60))
    text = GOOD + "".join(tables)
    assert len(policy.parse(text).warnings) == MOST_FINDINGS + 1


KEYS = st.lists(
    st.sampled_from(["a", "b-1", '"c.d"', "'e#[{'", '"\\""', '""', "''"]), min_size=1, max_size=12
)
SCALARS = st.sampled_from(
    [
        *("1", "-1.5", "true", "1979-05-27T07:32:00.5Z", '"a.b.c.d.e.f.g.h.i.j"', "'[[[[[[[[[['", '"\\"#"'),
        *('"""\n[[[[[[[[[[[[ " "" \\""" # """', "'''\n{{{{{{{{{{{ ' '' a.b.c.d.e.f.g.h.i\n'''", '""', "''"),
        *('"""a""""', '"""a"""""', "'''a''''"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ " + ", # ]]]\n ".join(items) + "\n]"),
        inner.map(lambda value: f"{{ x.y = {value} }}" if "\n" not in value else value),
    ),
    max_leaves=12,
)


def depth(value: object) -> int:
    """Return how deep lists and tables are nested in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


@given(st.lists(st.tuples(KEYS, VALUES, st.booleans()), max_size=4))
def test_sizes_are_counted_as_the_reader_counts_them(lines: list[tuple[list[str], str, bool]]) -> None:
    """Dots and brackets in texts and comments count for nothing, and none that counts is missed."""
    text, longest = "", 0
    for at, (key, value, table) in enumerate(lines):
        name = [f"k{at}", *key]
        longest = max(longest, len(name))
        text += f"[{'.'.join(name)}] # [[[[[[[[[\nv = {value}\n" if table else f"{'.'.join(name)} = {value}\n"
    if longest > bounds.MOST_PARTS:
        assert "parts" in str(bounds.text_problem(text))
        return
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    problem = bounds.text_problem(text)
    assert problem is None or "nested" in problem
    assert problem is None or depth(document) > bounds.MOST_NESTING


@pytest.mark.parametrize("unclosed", ['"""\n' + '\\"""\n' * 50_000, "'''\n" + "''\n" * 80_000, '"' * 200_001])
def test_a_text_that_never_ends_is_read_once(unclosed: str) -> None:
    """Quotes that are not closed end the count of sizes, as they end the reader's work."""
    assert "is not valid TOML" in problems(f"a = {unclosed}")[0]


# In a child process.


def largest() -> str:
    """Return a valid policy in which as much as possible has to be compared with everything else."""
    routes = [f'[[route]]\nmatch = {{ country = ["{c}"], app = ["web"] }}\n{STEPS}' for c in COUNTRIES]
    apps = [f'[app.n{at}]\nbrand = "No"\n' for at in range(198)]
    return GOOD.replace("[[route]]", "".join([*apps, *routes, "[[route]]"]))


COUNTRIES = ("IN", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "PL", "PT", "SE", "NO", "FI", "DK")
STEPS = 'steps = [{ channel = "sms", upstream = "main" }]\n'


def test_the_child_gives_what_the_parser_gives() -> None:
    """A policy, or its problems."""
    parser = LimitedParser(patient_work())
    assert parser.parse(GOOD) == policy.parse(GOOD)
    assert parser.parse(largest()) == policy.parse(largest())
    with pytest.raises(ConfigurationError) as caught:
        parser.parse("[app]")
    assert list(caught.value.problems) == problems("[app]")


def test_a_text_that_takes_too_much_ends_its_child_only() -> None:
    """Whatever the bounds above do not foresee: memory or time is over, and that is told like any problem."""
    for process in (LimitedWork(MODULE, memory=1), LimitedWork(MODULE, seconds=0.01)):
        with pytest.raises(ConfigurationError, match="to check; make it smaller"):
            LimitedParser(process).parse(largest() + "\n" * 200_000)


def test_a_child_that_takes_too_long_is_stopped_and_the_caller_told_to_come_again() -> None:
    """So that no caller waits longer, however busy the machine is; the next one gets its turn."""
    parser = LimitedParser(LimitedWork(MODULE, patience=0))
    for _ in range(2):
        with pytest.raises(Busy) as caught:
            parser.parse(GOOD)
        assert caught.value.retry_after


def patient_work(spare: float = SPARE) -> LimitedWork:
    """Give work that a slow machine may take its time for: what comes next is soon all the same."""
    return LimitedWork(MODULE, seconds=PATIENCE, patience=3 * PATIENCE, soon=3 * PATIENCE, spare=spare)


def ahead_of(work: LimitedWork) -> list[int]:
    """List the ids of processes that were started ahead."""
    return [process.pid for process in work._ahead]  # noqa: SLF001 - nobody else needs to see them


def test_while_someone_types_the_next_child_is_started_ahead() -> None:
    """From the second text on; what it gives is the same, also after it was ended meanwhile."""
    process = patient_work()
    parser = LimitedParser(process)
    for _ in range(2):
        assert not ahead_of(process)
        assert parser.parse(GOOD) == policy.parse(GOOD)
    (ahead,) = ahead_of(process)
    with pytest.raises(ConfigurationError):
        parser.parse("[app]")
    (other,) = ahead_of(process)
    assert other != ahead
    os.kill(other, signal.SIGKILL)
    until(lambda: Path(f"/proc/{other}/stat").read_text().split()[2] == "Z")
    assert parser.parse(GOOD) == policy.parse(GOOD)


def test_a_child_that_was_started_ahead_in_vain_ends() -> None:
    """When no work comes for a while, and with what would have given it some."""
    idle = patient_work(spare=0)
    for _ in range(2):
        LimitedParser(idle).parse(GOOD)
    until(lambda: not ahead_of(idle))
    process = patient_work()
    for _ in range(2):
        LimitedParser(process).parse(GOOD)
    (ahead,) = ahead_of(process)
    del process
    until(lambda: not Path(f"/proc/{ahead}").exists())


def test_the_child_gets_no_secret() -> None:
    """A mistake in a parser could give away nothing else than the text."""
    assert without_secrets({"OTP_PEPPERS": "p1:secret", "PATH": "/bin"}) == {"PATH": "/bin"}
