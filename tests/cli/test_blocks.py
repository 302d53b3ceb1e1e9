"""The `blocks`, `pins` and `recycled` commands: what they print and how they end."""

from pathlib import Path

import pytest

from otp_service import errors
from otp_service.bootstrap.core import Core
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.http_api import GOOD, NUMBER, SPLIT, Run

pytest_plugins = ["tests.support.command_fixtures"]

ADDRESS = "192.0.2.1"


def refused_once(product: Core) -> None:
    """Make the cooldown refuse a number once."""
    caller = Caller(app=product.policy.apps["web"], active=product.active(), request_id="0" * 11)
    product.send.send(caller, SendRequest(to=NUMBER))
    with pytest.raises(errors.TooManyRequests):
        product.send.send(caller, SendRequest(to=NUMBER))


def test_blocks_in_a_terminal(run: Run, product: Core, tmp_path: Path) -> None:
    """Blocks are listed with their details, explained rule by rule, and lifted by their id."""
    code, _, err = run("blocks", "explain", NUMBER)
    assert (code, err) == (1, "No policy is in force yet: otp-service policy apply FILE.\n")
    policy = tmp_path / "policy.toml"
    policy.write_text(GOOD)
    assert run("policy", "apply", str(policy), "--reason", "first")[0] == 0
    assert run("blocks", "list") == (0, "the guard refuses nothing now\n", "")
    refused_once(product)
    code, out, _ = run("blocks", "list")
    first, times, id_ = out.splitlines()
    assert (code, first) == (0, "cooldown of +1********00 (server): refuse, 1 of 1 in 30 s")
    assert times.endswith("refused 1")
    code, out, _ = run("blocks", "explain", "2025550100", "--country", "US")
    assert code == 0
    stranger = run("blocks", "explain", NUMBER, "--address", ADDRESS)[1]
    assert stranger.startswith("+1********00 (US), app web, asked by a stranger: allow\n")
    assert "  checked: address (enforce) 6 in 600 s: human_check, 10 in 60 s: refuse" in stranger
    assert "  served by route 0: sms\n  checked: " in stranger
    guernsey = run("blocks", "explain", "+447911123456")[1].splitlines()
    assert guernsey[0].startswith("+44********56 (GG), ")
    assert not any("no route" in line for line in guernsey)
    policy.write_text(f'{GOOD}[guard.cooldown]\nmode = "off"\n')
    assert run("policy", "apply", str(policy), "--reason", "a try")[0] == 0
    assert run("blocks", "list")[1] == "the guard refuses nothing now\n"
    assert run("policy", "rollback", "--reason", "enough")[0] == 0
    assert run("blocks", "list")[1].splitlines() == [first, times, id_]
    lines = out.splitlines()
    assert lines[0] == "+1********00 (US), app web, asked by a server: refuse"
    assert lines[1].startswith("  cooldown: 1 of 1 in ")
    assert out.endswith(f"{times}\n{id_}\n")
    assert run("blocks", "lift", id_.strip(), "--reason", "a mistake", "--author", "bo")[:2] == (
        0,
        "lifted\n",
    )
    assert run("blocks", "list", "--all")[1] == "the guard refuses nothing now\n"
    code, out, err = run("blocks", "lift", id_.strip(), "--reason", "again")
    assert (code, out, err) == (1, "", "There is no such block, or it was lifted before.\n")
    assert run("blocks", "explain", "12")[0] == 1
    assert run("blocks", "explain", NUMBER, "--address", "1.2.3")[2].endswith(
        "  - address: must be an IP address\n"
    )
    assert run("blocks", "explain", NUMBER, "--app", "none")[2].endswith("  - app: there is no app none\n")


def test_the_split_of_a_route_is_explained(run: Run, product: Core, tmp_path: Path) -> None:
    """In the words of `policy simulate`."""
    assert product.policy.apps
    policy = tmp_path / "policy.toml"
    policy.write_text(SPLIT)
    assert run("policy", "apply", str(policy), "--reason", "compare")[0] == 0
    explained, simulated = (
        run(*command, NUMBER)[1] for command in (("blocks", "explain"), ("policy", "simulate"))
    )
    split = "split: 50% of the people, drawn at random, get voice, then sms instead of this order\n"
    assert f"  served by route 0: sms, then voice\n  {split}" in explained
    assert split in simulated


def test_pins_in_a_terminal(run: Run, product: Core) -> None:
    """Pins are set permanently or for some hours, listed and removed."""
    why = ("--reason", "pumping", "--author", "bo")
    assert run("pins", "refuse", "prefix", "+1202", "--hours", "2", *why)[:2] == (0, "pinned\n")
    assert run("pins", "allow", "number", NUMBER, *why)[:2] == (0, "pinned\n")
    listed = sorted(run("pins", "list")[1].splitlines())
    assert listed[0] == "allow number +1********00 permanently, by bo: pumping"
    assert listed[1].startswith("refuse prefix +1202 until 20")
    shown = run("pins", "show", *why)[1]
    assert f"allow number {NUMBER} permanently, by bo: pumping\n" in shown
    product.store.scripts.offset += 3 * 3_600_000
    assert run("pins", "lift", "number", NUMBER, *why)[:2] == (0, "lifted\n")
    code, _, err = run("pins", "lift", "number", NUMBER, *why)
    assert (code, err) == (1, "There is no such pin.\n")
    assert run("pins", "allow", "prefix", "44", *why)[2].splitlines() == [
        "Some fields break a rule.",
        "  - subject: must be the beginning of an E.164 number, such as +4479",
    ]


@pytest.mark.parametrize("hours", ["0", "-1", "87601", "1.5", "x"])
def test_a_pin_lasts_for_whole_hours(run: Run, hours: str) -> None:
    """Zero hours would otherwise mean a permanent pin."""
    code, out, err = run("pins", "refuse", "prefix", "+1202", "--hours", hours, "--reason", "x")
    assert (code, out) == (2, "")
    assert "Invalid value for '--hours': " in err


def test_recycled_numbers_in_a_terminal(run: Run, product: Core, tmp_path: Path) -> None:
    """They are read from a file; lines without a number are reported."""
    listed = tmp_path / "list.txt"
    listed.write_text(f"{NUMBER}\n\n  \n12\n+44 7400 123456\n")
    code, out, err = run("recycled", str(listed), "--days", "30", "--reason", "the regulator's list")
    assert (code, out) == (0, "2 numbers recorded for 30 days; line 4 is not a phone number\n")
    assert err.startswith("3 lines\n")
    assert product.history.read_past(NUMBER).recycled
    missing = str(tmp_path / "none.txt")
    assert run("recycled", missing, "--reason", "x") == (2, "", f"{missing} cannot be read: no such file\n")


FIRST_TWENTY = ", ".join(map(str, range(1, 21)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((NUMBER,), "1 number recorded for 1 day\n"),
        (("12", "", NUMBER, "x"), "1 number recorded for 1 day; lines 1 and 4 are not phone numbers\n"),
        (("1", "2", "3"), "0 numbers recorded for 1 day; lines 1, 2 and 3 are not phone numbers\n"),
        (
            ("x",) * 25,
            f"0 numbers recorded for 1 day; lines {FIRST_TWENTY} and 5 more are not phone numbers\n",
        ),
    ],
)
def test_skipped_lines_of_recycled_numbers_are_named(
    run: Run, tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    """The first twenty of them, as they stand in the file."""
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(lines))
    assert run("recycled", str(listed), "--days", "1", "--reason", "x")[1] == said


def test_a_rule_without_a_counter_is_explained_in_words(run: Run, product: Core, tmp_path: Path) -> None:
    """It says what refuses and where to change it."""
    assert product.policy.apps
    policy = tmp_path / "policy.toml"
    policy.write_text(GOOD.replace('allow = ["*"]', 'allow = ["US", "DE"]'))
    assert run("policy", "apply", str(policy), "--reason", "first")[0] == 0
    abroad = run("blocks", "explain", "+33612345678")[1]
    assert "  countries: country FR is not among the countries that are allowed (US, DE)" in abroad
    assert ": guard.countries.allow in the policy, so refuse\n" in abroad
    assert run("pins", "refuse", "number", NUMBER, "--reason", "pumping", "--author", "bo")[0] == 0
    pinned = run("blocks", "explain", NUMBER)[1]
    assert "  pin_destination: a pin refuses this number or its prefix: `pins list` says who" in pinned
    assert "`pins lift` ends it, so refuse\n" in pinned
