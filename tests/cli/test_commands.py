"""The command line: what each command prints and how it ends."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import requests
from flask import Flask
from redis import Redis
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from otp_service import __main__, __version__, policy, settings
from otp_service.access.api_keys import digest
from otp_service.cli import main as cli
from otp_service.policy.versions import Policies
from tests.conftest import OPS, POLICY, SECRET
from tests.support.deployments import Cluster
from tests.support.http_api import UPSTREAM_TOKEN
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

pytest_plugins = ["tests.support.http_fixtures"]

DOCS = Path(__file__).parents[2] / "docs"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("OTP_", "SANDBOX_"))}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, with these settings and no others."""
    return subprocess.run(
        [sys.executable, "-m", "otp_service", *arguments],
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def secret_settings(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return the settings that `secrets` prints."""
    assert cli.run(["secrets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split("=", maxsplit=1) for line in lines)


@pytest.fixture
def good(
    tmp_path: Path, valkey: ValkeyServer, upstream: tuple[Flask, str], capsys: pytest.CaptureFixture[str]
) -> dict[str, str]:
    """Return settings of a whole product: a store, a sandbox upstream and a policy."""
    file = tmp_path / "policy.toml"
    file.write_text(POLICY.replace("UPSTREAM/", f"{upstream[1]}/"), encoding="utf-8")
    return secret_settings(capsys) | {
        "OTP_REDIS_URL": valkey.url,
        "OTP_REDIS_PREFIX": f"t{secrets.token_hex(6)}",
        "OTP_POLICY_FILE": str(file),
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN,
    }


def edit(environment: Mapping[str, str], old: str, new: str) -> None:
    """Change the policy that settings name."""
    file = Path(environment["OTP_POLICY_FILE"])
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.fixture
def check(
    good: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Check":
    """Return a way to run `check` here with changed settings."""
    return Check(good, monkeypatch, capsys)


class Check:
    """Runs `otp-service check`."""

    def __init__(
        self, good: dict[str, str], environment: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]
    ) -> None:
        self.good = good
        self._environment = environment
        self._output = output

    def run(self, **changes: str) -> tuple[int, str]:
        """Run it and return its exit code and output."""
        for name, value in (self.good | changes).items():
            self._environment.setenv(name, value)
        code = cli.run(["check"])
        said = self._output.readouterr()
        return code, said.out + said.err


# Settings and options.

REQUIRED = [name for name, _, default in settings.variables() if default is None]


@pytest.mark.parametrize("command", ["serve", "worker", "check"])
def test_a_process_without_settings_says_all_that_is_missing_and_exits_with_2(command: str) -> None:
    """Each is named on a line of standard error, without a traceback."""
    ended = run(command)
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    if command == "check":
        assert "add --demo var" in lines.pop()
    assert lines[0] == "otp-service cannot start:"
    assert [line.split()[1] for line in lines[1:]] == REQUIRED
    assert all(" is required: " in line for line in lines[1:])


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_process_with_contradictory_settings_says_all_of_them_and_exits_with_2(
    good: dict[str, str], command: str
) -> None:
    """A setting given twice, an unknown one and a wait beyond the challenge's end are reported together."""
    edit(good, 'wait = "5s"', 'wait = "9m"')
    edit(good, "[operator.anna]", '[challenge]\nttl = "5m"\n\n[operator.anna]')
    ended = run(command, **good | {"OTP_PEPPERS_FILE": "/x", "OTP_THREAD": "1"})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "otp-service cannot start:",
        "  - OTP_PEPPERS and OTP_PEPPERS_FILE are both set: set only one",
        "  - OTP_THREAD is not a setting; did you mean OTP_THREADS?",
        "  - policy: route[0].steps[0].wait: must be shorter than challenge.ttl (line 27)",
    ]
    assert good["OTP_SUBJECT_KEY"] not in ended.stderr


def test_a_sandbox_without_a_token_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one it would accept any caller."""
    monkeypatch.delenv("SANDBOX_TOKEN", raising=False)
    assert cli.run(["sandbox"]) == 2
    said = capsys.readouterr().err
    assert "SANDBOX_TOKEN is required: the access token that the sandbox accepts" in said


def test_a_sandbox_that_could_not_mean_anything_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All mistakes in its options are reported together."""
    monkeypatch.setenv("SANDBOX_TOKEN", "t")
    assert cli.run(["sandbox", "--error-rate", "2", "--latency", "-1"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "otp-service cannot start:",
        "  - error_rate must be between 0 and 1",
        "  - latency must be 0 or more",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["keys"],
        ["keys", "draw", "admin"],
        ["keys", "publishable"],
        ["apps"],
        ["serve", "--port", "1"],
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_how(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage goes to standard error."""
    assert cli.run(arguments) == 2
    assert "Usage: otp-service" in capsys.readouterr().err


@pytest.mark.parametrize("group", [None, "policy", "apps", "keys", "blocks", "pins"])
def test_the_summary_of_each_command_fits_on_a_line(
    group: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list of commands cuts nothing in a terminal of 80 columns."""
    assert cli.run([*filter(None, (group,)), "--help"]) == 0
    summaries = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert summaries
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= 80 for line in summaries)


def test_the_version_is_told() -> None:
    """The command prints it for bug reports, and its exit code is that of the process."""
    ended = run("--version")
    assert (ended.returncode, ended.stdout.strip()) == (0, __version__)


def test_a_reader_that_has_seen_enough_ends_a_command_silently() -> None:
    """As `otp-service policy show | head` does."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "otp_service", "secrets"],
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.fixture
def snowy(tmp_path: Path) -> Path:
    """Give a policy whose check warns of a character that few encodings have."""
    file = tmp_path / "policy.toml"
    example = (DOCS / "policy.example.toml").read_text(encoding="utf-8")
    file.write_text(f'{example}\n[app.snow]\nbrand = "Snow ☃"\n', encoding="utf-8")
    return file


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_file_gets_utf_8_whatever_the_locale(snowy: Path, encoding: str) -> None:
    """As TOML and JSON require."""
    ended = subprocess.run(
        [sys.executable, "-m", "otp_service", "policy", "check", snowy],
        env=CLEAN | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "because of ☃ (U+2603)" in ended.stdout.decode()


def test_a_terminal_shows_what_it_has_no_character_for_as_an_escape(snowy: Path) -> None:
    """The command ends as it would elsewhere: what it did is done."""
    reading, writing = os.openpty()
    with os.fdopen(writing, "wb") as terminal, os.fdopen(reading, "rb", buffering=0) as shown:
        ended = subprocess.run(
            [sys.executable, "-m", "otp_service", "policy", "check", snowy],
            env=CLEAN | {"PYTHONIOENCODING": "latin-1"},
            stdout=terminal,
            stderr=subprocess.PIPE,
            check=False,
            timeout=PATIENCE,
        )
        text = shown.read(65536).decode("latin-1")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert r"because of \u2603 (U+2603)" in text


# Secrets and keys.


def test_new_secrets_are_good_settings_and_never_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """The output of `secrets` can be pasted into the environment unchanged."""
    first, second = secret_settings(capsys), secret_settings(capsys)
    others = {"OTP_REDIS_URL": "redis://x", "OTP_ISSUER": "https://otp"}
    read = settings.read(first | others)
    rings = (read.peppers, read.number_keys, read.lookup_keys, read.signing_keys)
    drawn = [read.subject_key, *(key for ring in rings for key in ring.values())]
    assert len(set(drawn)) == 5
    assert not set(first.values()) & set(second.values())
    assert set(first) | set(others) == set(REQUIRED)


def test_secrets_in_files_are_for_their_owner_only_and_good_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed names the files. Nothing that exists is overwritten, and then nothing is written."""
    folder = tmp_path / "new" / "secrets"
    assert cli.run(["secrets", "--dir", str(folder)]) == 0
    named = dict(line.split("=", maxsplit=1) for line in capsys.readouterr().out.splitlines())
    read = settings.read(named | {"OTP_REDIS_URL": "redis://x", "OTP_ISSUER": "https://otp"})
    assert set(read.peppers) == {"p1"}
    assert folder.stat().st_mode & 0o777 == 0o700
    written = {file.name: file.read_text() for file in folder.iterdir()}
    assert {(folder / name).stat().st_mode & 0o777 for name in written} == {0o600}
    (folder / "OTP_PEPPERS").unlink()
    assert cli.run(["secrets", "--dir", str(folder)]) == 2
    assert "exists already, and secrets are never overwritten" in capsys.readouterr().err
    assert {file.name for file in folder.iterdir()} == set(written) - {"OTP_PEPPERS"}


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_hold_secrets_is_named(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the code of a wrong option."""
    (tmp_path / "file").touch()
    assert cli.run(["secrets", "--dir", str(tmp_path / place)]) == 2
    assert str(tmp_path / place) in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "prefix"), [("publishable", "pk_"), ("secret", "sk_"), ("ops", "ops_")])
def test_a_new_key_comes_with_the_hash_that_a_policy_takes(
    capsys: pytest.CaptureFixture[str], kind: str, prefix: str
) -> None:
    """The key is shown once and has 192 random bits; its digest is what the policy accepts."""
    assert cli.run(["keys", "draw", kind]) == 0
    found = re.fullmatch(r"key:  (\S+) .*\nhash: ([0-9a-f]{64}) .*\n", capsys.readouterr().out)
    assert found
    key, hashed = found.groups()
    assert key.startswith(prefix)
    assert len(key) == len(prefix) + 32
    assert hashed == digest(key)
    text = POLICY.replace("UPSTREAM/", "https://x/").replace(digest(SECRET), hashed)
    owner = policy.parse(text).key_owner(digest(key))
    assert owner
    assert owner[0].name == "web"
    cli.run(["keys", "draw", kind])
    assert key not in capsys.readouterr().out


# Check.


@pytest.fixture
def careful() -> Iterator[ValkeyServer]:
    """Start a server as the documents ask for it."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    yield server
    server.close()


def test_check_finds_that_all_is_well(check: Check, careful: ValkeyServer) -> None:
    """It asks the store and each upstream, and shows the balances."""
    code, said = check.run(OTP_REDIS_URL=careful.url)
    assert code == 0
    assert said.splitlines()[-1] == "all is well"
    assert re.search(r"^upstream main: .* 10000000\.00", said, re.MULTILINE)


def test_check_finds_a_dead_store(check: Check) -> None:
    """It names the address without the password, and says nothing about the policy, which it could not read."""
    code, said = check.run(OTP_REDIS_URL="unix://:canary@/nowhere/valkey?password=canary")
    assert code == 1
    assert said.splitlines() == [
        "error: the store at unix:///nowhere/valkey does not answer (ConnectionError)"
    ]


def test_check_demands_replicas_of_a_cluster(check: Check, cluster: Cluster) -> None:
    """Codes that were accepted would be lost with a primary, so each that stands alone is an error."""
    code, said = check.run(OTP_REDIS_URL=cluster.url)
    assert code == 1
    errors = [line for line in said.splitlines() if "has no replica" in line]
    assert len(errors) == len(cluster.nodes)
    assert all(f":{node.port} " in "".join(errors) for node in cluster.nodes)


@pytest.mark.parametrize("command", [["blocks", "list"], ["policy", "history"], ["keys", "list"]])
def test_an_operators_command_names_the_store_that_does_not_answer(
    good: dict[str, str], command: list[str]
) -> None:
    """Without the password, and without advice for callers of the API."""
    ended = run(*command, **good | {"OTP_REDIS_URL": "unix://:canary@/nowhere/valkey"})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "The store at unix:///nowhere/valkey does not answer.\n"


@pytest.fixture
def forgetful() -> Iterator[ValkeyServer]:
    """Start a server that evicts keys when its memory is full."""
    server = ValkeyServer(options={"maxmemory-policy": "allkeys-lru"})
    yield server
    server.close()


def test_check_finds_a_store_that_forgets(check: Check, forgetful: ValkeyServer) -> None:
    """An evicted counter would be a lost limit."""
    code, said = check.run(OTP_REDIS_URL=forgetful.url)
    assert code == 1
    assert "error: Redis evicts keys (allkeys-lru): set maxmemory-policy noeviction" in said.splitlines()


def test_check_finds_a_wrong_token(check: Check) -> None:
    """It reports the upstream's answer in our words, without the token."""
    code, said = check.run(OTP_UPSTREAM_MAIN_TOKEN="wrong-token-canary")
    assert code == 1
    (line,) = (line for line in said.splitlines() if line.startswith("error: upstream main: "))
    assert line.endswith("gave no usable answer: bad_token.")
    assert "canary" not in said


def test_check_finds_an_upstream_that_is_away(check: Check, forgetful: ValkeyServer) -> None:
    """A wrong address is reported with everything else that is wrong."""
    edit(check.good, "http://127.0.0.1:", "http://127.0.0.1:1/")
    code, said = check.run(OTP_REDIS_URL=forgetful.url)
    assert code == 1
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert [line.split()[1] for line in errors] == ["Redis", "upstream"]


def test_check_writes_nothing_and_judges_the_file_as_it_is_now(check: Check, valkey: ValkeyServer) -> None:
    """An operator edits the file and checks again: the first `serve` stores what was checked last."""
    assert check.run()[0] == 0
    edit(check.good, 'brand = "Acme"', 'brand = "The Acme Trading Company of 1899"')
    assert "warning: app.web.brand: the SMS in ar of app web needs 2 parts, " in check.run()[1]
    with Redis.from_url(valkey.url) as store:
        assert [*store.scan_iter(f"{check.good['OTP_REDIS_PREFIX']}:*")] == []


def test_check_tells_that_the_file_is_not_the_policy_in_force(check: Check) -> None:
    """Both are judged: the file with its own warnings, the policy in force with what this process lacks for it."""
    with closing(scripts_at(check.good["OTP_REDIS_URL"])) as scripts:
        text = Path(check.good["OTP_POLICY_FILE"]).read_text(encoding="utf-8")
        Policies(scripts, prefix=check.good["OTP_REDIS_PREFIX"]).apply(
            text.replace("OTP_UPSTREAM_MAIN_TOKEN", "OTP_UPSTREAM_OTHER_TOKEN"), author="a", reason="r"
        )
    edit(check.good, 'brand = "Acme"', 'brand = "The Acme Trading Company of 1899"')
    code, said = check.run()
    assert code == 1
    lines = said.splitlines()
    assert any(
        line.startswith("warning: OTP_POLICY_FILE is not the policy in force, which is version 1")
        for line in lines
    )
    assert any(line.startswith("warning: OTP_POLICY_FILE: app.web.brand: the SMS in ar") for line in lines)
    assert any(line.startswith("error: version 1: OTP_UPSTREAM_OTHER_TOKEN is required") for line in lines)


def test_check_without_any_policy_says_so(check: Check) -> None:
    """Nothing could be sent."""
    code, said = check.run(OTP_POLICY_FILE="")
    assert code == 1
    assert "error: No policy is in force yet: otp-service policy apply FILE." in said.splitlines()


def test_check_finds_a_country_whose_mobiles_get_nothing(check: Check) -> None:
    """A route for landlines alone is valid, but hardly what a service for signups needs."""
    edit(check.good, '["*"]', '["GB", "GG", "IM", "JE"]')
    edit(check.good, "[[route]]", '[[route]]\nmatch = { type = ["fixed_line"] }')
    code, said = check.run()
    assert code == 1
    assert any(
        line.startswith("error: guard.countries.allow[0]: no route of app web serves mobile numbers of GB")
        for line in said.splitlines()
    )


def test_check_passes_with_warnings(check: Check) -> None:
    """A message of two parts works but costs twice, so check warns."""
    edit(check.good, 'brand = "Acme"', 'brand = "The Acme Trading Company of 1899"')
    code, said = check.run()
    assert code == 0
    assert "warning: app.web.brand: the SMS in ar of app web needs 2 parts, " in said


def test_check_with_wrong_settings_exits_with_2(check: Check) -> None:
    """It behaves as `serve` does."""
    code, said = check.run(OTP_PARTITIONS="0")
    assert code == 2
    assert "OTP_PARTITIONS must be a whole number from 1 to 256" in said


# Serve.


def test_serve_answers_from_several_processes_and_ends_when_told(
    good: dict[str, str], tmp_path: Path
) -> None:
    """It is ready, sums metrics over both processes, logs warnings as JSON, and exits with 0 on SIGTERM."""
    edit(good, 'brand = "Acme"', 'brand = "The Acme Trading Company of 1899"')
    port, inside = free_port(), free_port()
    own = {"OTP_LISTEN": f"127.0.0.1:{port}", "OTP_PROCESSES": "2", "TMPDIR": str(tmp_path)}
    own["OTP_OPS_LISTEN"] = f"127.0.0.1:{inside}"
    process = subprocess.Popen(
        [sys.executable, "-m", "otp_service", "serve"],
        env=CLEAN | good | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with requests.Session() as session:
            session.mount(
                "http://", HTTPAdapter(max_retries=Retry(total=300, backoff_factor=0.1, backoff_max=0.2))
            )
            assert session.get(f"{url}/readyz", timeout=PATIENCE).json()["status"] == "ok"
        for _ in range(20):
            assert requests.get(f"{url}/healthz", timeout=PATIENCE).status_code == 200
        page = requests.get(f"http://127.0.0.1:{inside}/metrics", timeout=PATIENCE).text
        assert 'otp_http_requests_total{route="/healthz",status="200"} 20.0' in page.splitlines()
        assert list(tmp_path.glob("otp-metrics-*"))
    finally:
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert '"the SMS' not in error
    assert "needs 2 parts" in out
    assert all(line.startswith('{"at": ') for line in out.splitlines())
    assert not list(tmp_path.glob("otp-metrics-*"))


@pytest.mark.slow
def test_a_deployment_without_a_worker_says_so_until_there_is_one(good: dict[str, str]) -> None:
    """Sends are refused after a while, the probe and the metrics tell why, and a worker that starts ends it."""
    port, numbers = free_port(), crowd()
    url = f"http://127.0.0.1:{port}"
    environment = CLEAN | good | {"OTP_LISTEN": f"127.0.0.1:{port}", "OTP_WORKER_SILENCE": "25s"}

    def send() -> tuple[int, str | None]:
        answer = requests.post(
            f"{url}/otp/send",
            json={"to": next(numbers)},
            headers={"Authorization": f"Bearer {SECRET}"},
            timeout=PATIENCE,
        )
        return answer.status_code, answer.json().get("code")

    def shows(pattern: str) -> bool:
        key = {"Authorization": f"Bearer {OPS}"}
        text = requests.get(f"{url}/metrics", headers=key, timeout=PATIENCE).text
        return bool(re.search(pattern, text, re.MULTILINE))

    def workers() -> str | None:
        return (answers(f"{url}/readyz") or {}).get("workers")

    with ExitStack() as stack:
        stack.enter_context(running("serve", environment))
        until(lambda: workers() == "no_worker")
        assert send() == (202, None)
        until(lambda: send() == (503, "no_worker"), pause=0.2)
        assert workers() == "no_worker"
        assert shows(r'^otp_workers\{.*queue="due".*\} 0\.0$')
        until(lambda: shows(r'^otp_oldest_overdue_seconds\{.*queue="due".*\} [1-9]'))
        stack.enter_context(running("worker", environment))
        until(lambda: send() == (202, None), pause=0.2)
        until(lambda: workers() == "ok")


@contextmanager
def running(command: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a command until the block ends; it must end well when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "otp_service", command], env=dict(environment), stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=PATIENCE)
    assert code == 0


def answers(url: str) -> dict[str, str] | None:
    """Return the parts that a probe names, None while there is no server."""
    try:
        parts: dict[str, str] | None = requests.get(url, timeout=PATIENCE).json().get("parts")
    except requests.ConnectionError:
        return None
    return parts


# Before anything is imported.


def test_only_serve_makes_a_folder_for_shared_metrics() -> None:
    """The Prometheus client reads the setting when it is imported, so it is set before that."""
    environment: dict[str, str] = {}
    __main__.share_metrics(["worker"], environment)
    __main__.share_metrics([], environment)
    assert environment == {}
    __main__.share_metrics(["serve"], environment)
    assert Path(environment["PROMETHEUS_MULTIPROC_DIR"]).is_dir()


@pytest.mark.parametrize("setting", ["OTP_WORKER_METRICS", "OTP_WORKER_METRICS_FILE"])
def test_a_worker_that_shows_metrics_makes_one_too(setting: str) -> None:
    """Or the page would show those of one of its processes."""
    environment = {setting: "127.0.0.1:9464"}
    __main__.share_metrics(["worker"], environment)
    assert Path(environment["PROMETHEUS_MULTIPROC_DIR"]).is_dir()


def test_a_folder_that_is_named_is_made_and_kept(tmp_path: Path) -> None:
    """A folder that the environment names can be shared between commands."""
    folder = tmp_path / "a" / "b"
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    for _ in range(2):
        __main__.share_metrics(["serve"], environment)
    assert folder.is_dir()
    assert environment == {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
