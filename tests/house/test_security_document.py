"""docs/security.md: everything it names exists, its figures are the code's, and the log is as described."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import otp_service
from otp_service import settings
from otp_service.access import sessions
from otp_service.access.keyring import MOST_KEYS
from otp_service.challenge.guess import MOST_REPEATS
from otp_service.cli import main as cli
from otp_service.guard.networks import PLACE, WIDER
from otp_service.guard.pins import MOST_PINS
from otp_service.ops import audit_trail
from otp_service.ops.places import OPS_PLACES
from otp_service.policy import review
from otp_service.policy.guard_forms import FORMS, GUARD
from otp_service.policy.limits import RULES, Guard
from otp_service.policy.model import EVENTS, ChallengeRules, Upstream
from otp_service.telemetry.metrics import Metrics
from tests.conftest import OPS, POLICY, PUBLISHABLE
from tests.house import made, security_document
from tests.house.openapi_document import application
from tests.support.http_api import NUMBER, Api, close, make_api, wrong
from tests.support.valkey_server import ValkeyServer
from tests.telemetry.test_telemetry import Log, log

pytest_plugins = ["tests.support.http_fixtures"]
__all__ = ["log"]

PACKAGE = Path(otp_service.__file__).parent
TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent
TEXT = security_document.FILE.read_text(encoding="utf-8")
NAMED = re.findall(r"`([^`\n]+)`", TEXT)
"""Everything between backticks."""
ASVS = {
    *("2.1.1", "2.1.2", "2.1.3", "2.2.1", "2.2.2", "2.2.3", "2.3.1", "2.3.2", "2.3.3", "2.3.4", "2.4.1"),
    *("6.1.1", "6.1.3", "6.3.1", "6.3.2", "6.3.3", "6.5.1", "6.5.2", "6.5.3", "6.5.4", "6.5.5"),
    *("6.6.1", "6.6.2", "6.6.3", "9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4"),
    *("14.1.1", "14.1.2", "14.2.1", "14.2.2", "14.2.3", "14.2.4", "14.3.1", "14.3.2", "14.3.3"),
    *("16.1.1", "16.2.1", "16.2.2", "16.2.3", "16.2.4", "16.2.5", "16.3.1", "16.3.2", "16.3.3", "16.3.4"),
    *("16.4.1", "16.4.2", "16.4.3", "16.5.1", "16.5.2", "16.5.3"),
}
"""The rows of ASVS 5.0.0, levels 1 and 2, in these chapters, except passwords and identity providers."""


def rows(text: str, *, first: str) -> dict[str, list[str]]:
    """Return the rows of all tables with a matching first cell, by that cell."""
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    return {cells[0]: cells for cells in lines if len(cells) > 1 and re.fullmatch(first, cells[0])}


def section(title: str, text: str = TEXT) -> str:
    """Return the text of a section of a document."""
    return text.partition(f"\n## {title}")[2].partition("\n## ")[0]


@cache
def found_in(file: str) -> set[str]:
    """Return the tests of a module."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


# What the document names.


def test_every_test_that_is_named_exists() -> None:
    """It finds a renamed or removed test, so that every row has a proof."""
    named = [name.split("::") for name in NAMED if "::" in name]
    assert len(named) > 60
    assert not [name for file, name in named if not (TESTS / file).is_file() or name not in found_in(file)]


def test_every_module_that_is_named_exists() -> None:
    """Modules, scripts and folders are those of the package."""
    named = {name for name in NAMED if re.fullmatch(r"[a-z_/]+(\.py|\.lua|/)", name)}
    assert len(named) > 20
    assert not {name for name in named if not (PACKAGE / name).exists()}


def test_every_setting_that_is_named_exists() -> None:
    """All named variables and policy fields exist."""
    variables = {name for name, _, _ in settings.variables()}
    named = {name for name in NAMED if re.fullmatch(r"OTP_[A-Z_]+", name)}
    assert len(named) > 8
    assert named <= variables | {settings.UPSTREAM_PREFIX, settings.EVENTS_PREFIX}
    fields = {re.match(r"[a-zA-Z_.]+", name).group() for name in NAMED if is_of_policy(name)}  # type: ignore[union-attr]
    known = {f"guard.{rule}.{field}" for rule, form in FORMS.items() for field in form.fields}
    known |= {f"guard.{name}" for name in (*GUARD.fields, *RULES)}
    known |= {f"challenge.{name}" for name in ChallengeRules.__dataclass_fields__}
    known |= {f"upstream.NAME.{name}" for name in Upstream.__dataclass_fields__}
    assert len(fields) > 40
    assert fields - known <= events_logged() | set(EVENTS)


def is_of_policy(name: str) -> bool:
    """Return whether a name belongs to the policy; some names of events start alike."""
    return bool(re.match(r"(guard|challenge|upstream\.NAME)\.(?!py$|lua$)[a-z]", name))


def test_every_call_and_command_that_is_named_exists() -> None:
    """An operator in a hurry can type these commands."""
    paths = {rule.rule for rule in application().url_map.iter_rules()}
    named = {path for name in NAMED for path in re.findall(r"(?<![a-z])/(?:ops|otp)/[a-z/]+", name)}
    assert len(named) > 3
    assert named <= paths
    commands = {tuple(name.split()[1:3]) for name in NAMED if name.startswith("otp-service ")}
    assert len(commands) > 10
    for command in commands:
        words = [word for word in command if re.fullmatch(r"[a-z]+", word)]
        assert cli.run([*words, "--help"]) == 0, command


def test_every_metric_that_is_named_exists() -> None:
    """Dashboards are made from these names."""
    known = {
        sample for family in Metrics().registry.collect() for sample in (family.name, f"{family.name}_total")
    }
    named = {re.sub(r"\{.*", "", name) for name in NAMED if name.startswith("otp_")}
    assert len(named) > 4
    assert named <= known


# What the document covers.


def test_every_invariant_of_the_design_is_covered() -> None:
    """Each row says what it prevents, and names a test."""
    text = (PROJECT / "docs" / "design.md").read_text(encoding="utf-8")
    design = rows(section("What always holds", text), first=r"\d+")
    assert len(design) == 10
    told = rows(section("What always holds"), first=r"\d+")
    assert list(told) == list(design)
    assert all("::test_" in cells[2] for cells in told.values())


def test_every_row_of_asvs_is_judged() -> None:
    """No row is left out, and a test or a section of this document shows each requirement that is met."""
    told = rows(section("OWASP ASVS"), first=r"\d+\.\d+\.\d+")
    assert set(told) == ASVS
    for _, _, met, _, shown in told.values():
        assert re.match(r"(yes|part|no)\b", met)
        assert "::test_" in shown or shown == "-"
    unshown = {row for row, cells in told.items() if cells[2].startswith("yes") and cells[4] == "-"}
    assert unshown == {"14.1.1", "14.1.2"}  # they ask for a text


def test_every_rule_of_the_guard_is_told() -> None:
    """A new rule without a description of what it counts fails here."""
    assert tuple(security_document.COUNTED) == RULES
    assert all(f"| `{rule}` |" in security_document.figures() for rule in Guard().rules())


def test_every_setting_of_the_guard_is_told() -> None:
    """The table has each field of each form except `mode`, which all rules have."""
    told = section("Limits")
    for rule, form in FORMS.items():
        for field in set(form.fields) - {"mode"}:
            assert f"`guard.{rule}.{field}`" in told


def events_logged() -> set[str]:
    """Return the events that the product logs; a part that varies matches any word."""
    names = set()
    for file in PACKAGE.rglob("*.py"):
        if not {"demo", "sandbox"} & set(file.relative_to(PACKAGE).parts):  # a newcomer's, not an operator's
            names |= set(named_in(ast.parse(file.read_text(encoding="utf-8"))))
    return names


def named_in(tree: ast.Module) -> Iterator[str]:
    """Yield the events in a source, as patterns: first arguments that look like one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and called(node) in LOGGING:
            name = node.args[0]
            parts = name.values if isinstance(name, ast.JoinedStr) else [name]
            pattern = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "[a-z_]+" for part in parts
            )
            if re.match(r"\S+\.\S+$", pattern):
                yield pattern


LOGGING = {
    *("log", "log_challenge", "error", "critical", "warning"),
    *("record", "_record", "_record_change"),  # of acts, which the store keeps, too
    *("failed", "succeeded"),  # of a failure that repeats
}


def called(node: ast.Call) -> str:
    """Return the name of the called function."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_every_event_of_the_log_is_listed() -> None:
    """The inventory of ASVS 16.1.1 has all logged events and no others."""
    lines = [line for line in section("The log").splitlines() if line.startswith("| `")]
    listed = {name for line in lines for name in re.findall(r"`([a-z_.]+)`", line.split(" | ")[0])}
    logged = events_logged()
    assert not {name for name in listed if not any(re.fullmatch(pattern, name) for pattern in logged)}
    assert not {pattern for pattern in logged if not any(re.fullmatch(pattern, name) for name in listed)}


def test_the_notice_is_linked() -> None:
    """Readers of only the README or openapi.yaml also see the notice (NIST SP 800-63B-4, 3.2.9)."""
    assert "restricted authenticator" in section("SMS and calls are restricted authenticators")
    assert "docs/security.md" in (PROJECT / "README.md").read_text(encoding="utf-8")
    assert "restricted authenticators" in (PROJECT / "openapi.yaml").read_text(encoding="utf-8")


# The figures.


def test_the_figures_are_what_the_code_says() -> None:
    """A changed limit, lifetime or time limit without a new document fails here."""
    wanted = made.filled(TEXT, security_document.MODULE, security_document.figures())
    assert wanted == TEXT, "python -m tests.house.security_document"


WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 100: "a hundred"}


def sentences() -> Iterator[str]:
    """Yield what sentences of the document say about figures, as the code has them."""
    guard, most = Guard(), ChallengeRules().max_attempts
    number, unproven = guard.number, guard.unproven
    pause = unproven.trickle[0].seconds // 60
    hour, day = (window.limit for window in unproven.refuse)
    yield f"Strangers together cause at most {number.refuse[-1].limit} messages a day to one phone"
    yield f"(IPv4 /{PLACE[4]}, IPv6 /{PLACE[6]})"
    yield f"one such message leaves every {number.trickle[0].seconds // 60} minutes"
    yield f"up to {number.refuse[-1].limit} messages a day and one more every {pause} minutes"
    yield f"{hour} in an hour and {day} in a day, or {WORDS[int(unproven.ratio)]} for each verified one"
    yield f"plus {unproven.trickle[0].limit} every {pause} minutes"
    yield f"counted by /64, /{WIDER[0][0]} and /{WIDER[1][0]}"
    yield f"At {guard.consecutive.most} that kind is closed"
    yield f"{WORDS[guard.standing.unverified]} sends in a row that are not verified"
    yield f"{WORDS[most]} guesses end it"
    yield f"{WORDS[most]} guesses per challenge"
    yield f"at most {WORDS[1 + ChallengeRules().earlier_codes]} of 10⁶ are right at once"
    yield f"Operators' calls have {WORDS[OPS_PLACES]} places in each process"
    yield f"a challenge answers {WORDS[MOST_REPEATS]} repetitions"
    yield f"{MOST_KEYS:,} valid keys and {MOST_PINS:,} pins"
    yield f"these for {audit_trail.KEEP // DAY_MS} days, the newest {audit_trail.MOST_ACTS:,}"
    yield f"{review.LONGEST} days"
    yield f"{sessions.LONGEST // HOUR_MS} hours at most; {sessions.TRIES_WITHIN // 60_000} minutes"
    yield f"API keys have {8 * 24} random bits"


DAY_MS, HOUR_MS = 86_400_000, 3_600_000


def test_the_figures_in_sentences_are_the_codes() -> None:
    """Each sentence with a figure stands in the document with the figure that holds."""
    text = re.sub(r"\s+", " ", TEXT)
    assert [said for said in sentences() if said not in text] == []


def test_the_check_finds_drift(tmp_path: Path) -> None:
    """The command that CI runs fails for a wrong figure without changing it; another run corrects it."""
    file = tmp_path / "security.md"
    file.write_text(TEXT.replace("| 5 min, 10 min at most |", "| 50 min |"), encoding="utf-8")
    before = file.read_text(encoding="utf-8")
    assert before != TEXT
    command = [sys.executable, "-m", "tests.house.security_document", "--file", str(file)]
    checked = subprocess.run([*command, "--check"], check=False, capture_output=True, text=True)
    assert checked.returncode == 1
    assert "python -m tests.house.security_document" in checked.stderr
    assert file.read_text(encoding="utf-8") == before
    assert subprocess.run(command, check=False).returncode == 0
    assert file.read_text(encoding="utf-8") == TEXT


def test_a_document_without_its_markers_is_no_document() -> None:
    """Missing markers are an error, because the figures would no longer be checked."""
    with pytest.raises(ValueError, match="markers"):
        made.filled(TEXT.replace(made.END, ""), security_document.MODULE, "")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.05, "0.05 s"),
        (9, "9 s"),
        (90, "90 s"),
        (300, "5 min"),
        (5400, "90 min"),
        (3600, "1 h"),
        (86400, "1 d"),
        (315_360_000, "3,650 d"),
    ],
)
def test_a_time_is_written_in_the_largest_unit_that_it_fills(seconds: float, written: str) -> None:
    """Readers need no arithmetic, and nothing is rounded."""
    assert security_document.span(seconds) == written


# What the log promises.


def test_each_check_is_logged_with_its_result(live: Api, log: Log) -> None:
    """A wrong code, the right one with its channel, and a guess without a challenge (ASVS 16.3.1)."""
    challenge_id, code = live.sent()
    live.verify(challenge_id, wrong(code))
    live.verify(challenge_id, code)
    checked = [event for event in log.events() if event["event"] == "challenge.checked"]
    assert [event["result"] for event in checked] == ["wrong_code", "verified"]
    assert checked[1]["channel"] == "sms"
    live.verify(challenge_id, code)
    assert log.last()["event"] == "http.answered"
    assert (log.last()["route"], log.last()["status"]) == ("/otp/verify", 404)


@pytest.mark.parametrize(
    ("key", "path", "status"),
    [("sk_nobodys-key-at-all", "/otp/send", 401), (OPS, "/otp/send", 403), (PUBLISHABLE, "/ops/policy", 403)],
)
def test_refused_access_is_logged(api: Api, log: Log, key: str, path: str, status: int) -> None:
    """The call, its result and its request id, but never the key (ASVS 16.3.2)."""
    answer = api.call("GET" if path.startswith("/ops") else "POST", path, key=key, body={"to": NUMBER})
    logged = log.last()
    assert (logged["event"], logged["route"], logged["status"]) == ("http.answered", path, status)
    assert logged["request_id"] == answer.headers["X-Request-Id"]
    assert key not in log.stream.getvalue()


def test_a_refusal_of_the_guard_is_logged(valkey: ValkeyServer, log: Log) -> None:
    """Rule, verdict and app, linked to the answer by the request id (ASVS 16.3.3)."""
    api = make_api(valkey, text=POLICY.replace('allow = ["*"]', 'allow = ["IN"]'))
    answer = api.send()
    close(api)
    refused = next(event for event in log.events() if event["event"] == "guard.refused")
    assert (refused["rule"], refused["verdict"], refused["app"]) == ("countries", "refuse", "web")
    assert refused["request_id"] == answer.headers["X-Request-Id"]
    tripped = next(event for event in log.events() if event["event"] == "guard.tripped")
    assert (tripped["rule"], tripped["mode"], tripped["app"]) == ("countries", "enforce", "web")
    assert NUMBER not in log.stream.getvalue()


def test_what_a_rule_would_refuse_is_logged_while_it_is_watched(valkey: ValkeyServer, log: Log) -> None:
    """The mode says that the message left (ASVS 16.3.3)."""
    api = make_api(valkey, text=f'{POLICY}[guard.number]\nmode = "watch"\nrefuse = ["1/h"]\n')
    first = api.send()
    api.later(40)  # than the cooldown
    assert [first.status_code, api.send().status_code] == [202, 202]
    close(api)
    tripped = [event for event in log.events() if event["event"] == "guard.tripped"]
    assert [(one["rule"], one["mode"], one["verdict"]) for one in tripped] == [("number", "watch", "allow")]
