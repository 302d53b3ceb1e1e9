"""compose.yaml is valid, gives each process as little as it needs, and mounts files that exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from otp_service import __version__
from tests.house import compose_proxy
from tests.support.composed import ADDRESSES, Composed, furnish
from tests.support.documents import PROJECT
from tests.support.own_network import own_network

FILE = PROJECT / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OF_THE_OPERATOR = {"./policy.toml", "./tls"}
"""What operators make themselves, as the head of the file says."""
SETTINGS = set(re.findall(r"`(OTP_[A-Z_]+)`", (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_it_follows_the_specification_of_compose() -> None:
    """As its maintainers publish it; a misspelt field is refused."""
    judge = [
        str(Path(sys.executable).with_name("check-jsonschema")),
        "--builtin-schema",
        "vendor.compose-spec",
    ]
    done = subprocess.run([*judge, str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_judge_of_the_file_finds_a_misspelt_field(tmp_path: Path) -> None:
    """Otherwise the test before would say nothing."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text(encoding="utf-8").replace("read_only: true", "readonly: true", 1))
    judge = [
        str(Path(sys.executable).with_name("check-jsonschema")),
        "--builtin-schema",
        "vendor.compose-spec",
    ]
    done = subprocess.run([*judge, str(wrong)], capture_output=True, text=True, check=False)
    assert "readonly" in done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.needs_prometheus
def test_prometheus_reads_its_configuration(tmp_path: Path) -> None:
    """With the rules at the place where they are mounted."""
    text = (PROJECT / "deploy" / "compose" / "prometheus.yaml").read_text(encoding="utf-8")
    rules = PROJECT / "deploy" / "prometheus" / "alerts.yaml"
    (tmp_path / "prometheus.yaml").write_text(text.replace("/etc/prometheus/alerts.yaml", str(rules)))
    command = ["/usr/bin/promtool", "check", "config", str(tmp_path / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@pytest.mark.needs_nginx
def test_nginx_reads_its_configuration(tmp_path: Path) -> None:
    """As it is mounted, with the rights that it is given, where the services have their names."""
    furnish(tmp_path)
    composed = Composed(None, tmp_path)
    with own_network(ADDRESSES):
        code = composed.container("proxy", ("nginx", "-t")).start(composed.log("proxy")).wait()
    said = composed.log("proxy").read_text()
    assert (code, "test is successful" in said) == (0, True), said


@pytest.mark.parametrize(
    ("file", "listed", "fields"),
    [
        ("grafana-source.yaml", "datasources", {"name", "type", "url", "isDefault"}),
        ("grafana-dashboards.yaml", "providers", {"name", "type", "options"}),
    ],
)
def test_grafana_is_given_fields_that_it_reads(file: str, listed: str, fields: set[str]) -> None:
    """It ignores a field that it does not know, and so what was meant by it. These are names of its own readers."""
    given = yaml.safe_load((PROJECT / "deploy" / "compose" / file).read_text(encoding="utf-8"))
    assert set(given) == {"apiVersion", listed}
    assert given["apiVersion"] == 1
    assert [set(one) for one in given[listed]] == [fields]


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    """The dashboard is mounted where its provider looks, and the source is Prometheus by its name."""
    folder = PROJECT / "deploy" / "compose"
    [provider] = yaml.safe_load((folder / "grafana-dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    [source] = yaml.safe_load((folder / "grafana-source.yaml").read_text(encoding="utf-8"))["datasources"]
    mounts = [one.split(":")[:2] for one in SERVICES["grafana"]["volumes"]]
    assert ["./deploy/grafana", provider["options"]["path"]] in mounts
    assert provider["type"] == "file"
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES
    for name, kind in (("grafana-source.yaml", "datasources"), ("grafana-dashboards.yaml", "dashboards")):
        [place] = [to for what, to in mounts if what.endswith(name)]
        assert place.startswith(f"/etc/grafana/provisioning/{kind}/")


@pytest.mark.parametrize("name", SERVICES)
def test_each_process_may_do_as_little_as_possible(name: str) -> None:
    """A root that is read only, and no capability but the proxy's; the store has what its image has."""
    if name == "valkey":
        return
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("cap_add", ())) <= (
        {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"} if name == "proxy" else set()
    )


def test_only_the_proxy_is_reached_from_elsewhere() -> None:
    """Operators' port and dashboard are for this host."""
    ports = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert ports.pop("proxy") == ["443:443"]
    assert all(port.startswith("127.0.0.1:") for listed in ports.values() for port in listed)


def test_what_is_mounted_exists_and_is_read_only() -> None:
    """A file that is missing would be made as a folder, and its process would not start."""
    mounts = [one.split(":") for service in SERVICES.values() for one in service.get("volumes", ())]
    for source, _, *mode in mounts:
        if source.startswith("./"):
            assert mode == ["ro"]
            assert source in OF_THE_OPERATOR or (PROJECT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


def test_only_our_own_processes_reach_the_store() -> None:
    """Neither the proxy, which the internet reaches, nor what draws pictures; and the store reaches nobody outside."""
    [store] = SERVICES["valkey"]["networks"]
    assert COMPOSE["networks"][store] == {"internal": True}
    assert "default" not in SERVICES["valkey"]["networks"]
    near = {name for name, one in SERVICES.items() if store in one.get("networks", ["default"])}
    assert near == {"valkey", "api", "worker"}
    assert all(
        "default" in one.get("networks", ["default"]) for name, one in SERVICES.items() if name != "valkey"
    )


def test_a_new_api_is_found_by_the_proxy() -> None:
    """It finds the services when it starts, so an update that gives them other addresses starts it again."""
    assert re.search(r"^ +server api:8000 max_fails=0;", compose_proxy.made(), re.MULTILINE)
    assert SERVICES["proxy"]["depends_on"]["api"] == {"condition": "service_healthy", "restart": True}


def test_the_store_keeps_what_it_has_taken() -> None:
    """Append-only, on a volume, and it deletes nothing before its time."""
    words = SERVICES["valkey"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert SERVICES["valkey"]["volumes"] == ["valkey:/data"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_processes_have_settings_that_exist(name: str) -> None:
    """And the image of this version."""
    assert set(SERVICES[name]["environment"]) <= SETTINGS
    assert SERVICES[name]["image"] == f"otp-service:{__version__}"


def test_the_proxy_has_the_limits_of_the_shipped_configuration() -> None:
    """`python -m tests.house.compose_proxy` makes it anew."""
    assert compose_proxy.MADE.read_text(encoding="utf-8") == compose_proxy.made()
    assert compose_proxy.SERVICES in compose_proxy.made()
