"""The chart in Helm's own hands, and its manifests against the schemas of Kubernetes and the Prometheus Operator."""

import importlib
import json
import re
from pathlib import Path

import pytest

from tests.support.helm import CHART, EXAMPLES, Helm, kept, manifests

pytestmark = pytest.mark.needs_node
OF_THE_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
RELEASES = ("1.30", "1.37")
"""The oldest release of Kubernetes that the chart asks for, and the newest whose schema we have."""
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm, installed once."""
    return Helm(tmp_path_factory.mktemp("helm"))


@each_example
def test_helm_finds_nothing_to_complain_about(helm: Helm, example: Path) -> None:
    """Warnings count."""
    done = helm.run("lint", "--strict", str(CHART), "--values", str(example))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@each_example
def test_the_manifests_beside_the_chart_are_its_own(helm: Helm, example: Path) -> None:
    """`python -m tests.house.chart` makes them anew."""
    assert helm.rendered(example) == kept(example)


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_knows_every_field(release: str) -> None:
    """A misspelt field would be ignored, and what it protects would not be protected."""
    judge = importlib.import_module("kubernetes_validate")  # for .ci/run only
    different = {json.dumps(one): one for example in EXAMPLES for one in manifests(kept(example))}
    judged = [one for one in different.values() if one["kind"] not in OF_THE_OPERATOR]
    assert len({one["kind"] for one in judged}) == 8
    for one in judged:
        judge.validate(one, release, strict=True)


@pytest.mark.parametrize(
    "release", ["123", "1e5", "true", "null", "on", "my.release", "9otp", "a" * 48 + "--bcd"]
)
def test_every_name_of_a_release_gives_names_that_kubernetes_takes(helm: Helm, release: str) -> None:
    """Also one that YAML reads as a number, a truth or nothing; a service's name is a label of RFC 1035."""
    judge = importlib.import_module("kubernetes_validate")
    example = CHART / "examples" / "everything.yaml"
    done = helm.run("template", release, str(CHART), "--namespace", "otp", "--values", str(example))
    assert done.returncode == 0, done.stderr
    made = list(manifests(done.stdout))
    for one in made:
        assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", one["metadata"]["name"])
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == release
        if one["kind"] not in OF_THE_OPERATOR:
            judge.validate(one, RELEASES[-1], strict=True)
    names = {(one["kind"], one["metadata"]["name"]) for one in made}
    assert len(names) == len(made)
    for pod in (one["spec"]["template"]["spec"] for one in made if one["kind"] == "Deployment"):
        settings, _ = pod["containers"][0]["envFrom"]
        assert ("ConfigMap", settings["configMapRef"]["name"]) in names
        assert ("ServiceAccount", pod["serviceAccountName"]) in names


def test_values_arrive_as_they_were_written(helm: Helm, tmp_path: Path) -> None:
    """Large numbers, a policy that begins with a blank, names of digits, and what another ingress adds."""
    note = {"example.com/note": 'it\'s "so": {{ x }}'}
    policy = '  [app.web]\n  brand = "Acme"\n'
    values = {
        "settings": {"OTP_WORKER_SENDS": 1_000_000, "OTP_LOG_LEVEL": "info", "OTP_TRUSTED_PROXIES": 3},
        "policy": policy,
        "existingSecret": "123",
        "ingress": {"enabled": False},
        "networkPolicy": {"apiFrom": ["123", "true"]},
        "podAnnotations": note,
    }
    (tmp_path / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    example = CHART / "examples" / "everything.yaml"
    files = ("--values", str(example), "--values", str(tmp_path / "values.yaml"))
    done = helm.run("template", "otp", str(CHART), *files)
    assert done.returncode == 0, done.stderr
    made = {(one["kind"], one["metadata"]["name"]): one for one in manifests(done.stdout)}
    settings = made["ConfigMap", "otp"]["data"]
    wanted = {"OTP_WORKER_SENDS": "1000000", "OTP_LOG_LEVEL": "info", "OTP_TRUSTED_PROXIES": "3"}
    assert wanted.items() <= settings.items()
    assert made["ConfigMap", "otp-policy"]["data"]["policy.toml"] == policy
    template = made["Deployment", "otp-api"]["spec"]["template"]
    assert note.items() <= template["metadata"]["annotations"].items()
    assert template["spec"]["containers"][0]["envFrom"][1] == {"secretRef": {"name": "123"}}
    allowed = made["NetworkPolicy", "otp"]["spec"]["ingress"][0]["from"]
    named = [one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in allowed]
    assert named == ["123", "true"]


def test_the_judge_of_fields_finds_a_misspelt_one() -> None:
    """Otherwise the test before would say nothing."""
    judge = importlib.import_module("kubernetes_validate")
    [first, *_] = [one for one in manifests(kept(EXAMPLES[0])) if one["kind"] == "Deployment"]
    first["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesytem"] = True
    with pytest.raises(judge.ValidationError):
        judge.validate(first, RELEASES[-1], strict=True)


def test_the_operator_accepts_its_resources(helm: Helm) -> None:
    """By the schemas that it installs; they pass over unknown fields, so those are named here."""
    found = [
        one for example in EXAMPLES for one in manifests(kept(example)) if one["kind"] in OF_THE_OPERATOR
    ]
    assert {one["kind"] for one in found} == OF_THE_OPERATOR
    assert helm.mistakes(found) == []
    for one in found:
        if one["kind"] == "ServiceMonitor":
            assert set(one["spec"]) == {"selector", "endpoints"}
            assert all(set(endpoint) == {"port", "path", "interval"} for endpoint in one["spec"]["endpoints"])
            one["spec"]["endpoints"][0]["interval"] = "often"
    assert len(helm.mistakes(found)) == len([one for one in found if one["kind"] == "ServiceMonitor"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("existingSecret=", "name a secret with the output"),
        ("store.url=", "name the store"),
        ("store.url=redis://user:password@valkey:6379/0", "store/url"),
        ("issuer=http://otp.example.com", "issuer"),
        ("settings.OTP_LISTEN=x", "invalid propertyName 'OTP_LISTEN'"),
        ("settings.OTP_PEPPERS=x", "invalid propertyName 'OTP_PEPPERS'"),
        ("settings.OTP_UPSTREAM_MAIN_TOKEN=x", "invalid propertyName 'OTP_UPSTREAM_MAIN_TOKEN'"),
        ("api.replica=3", "replica"),
        ("worker.disruptionBudget.maxUnavailable=0%", "maxUnavailable"),
        ("ingress.enabled=true", "host"),
    ],
)
def test_wrong_values_are_refused_by_name(helm: Helm, value: str, said: str) -> None:
    """Before anything is installed: what is missing, misspelt, or would reveal a password."""
    example = CHART / "examples" / "one-server.yaml"
    done = helm.run("template", str(CHART), "--values", str(example), "--set", value)
    assert done.returncode != 0
    assert said in done.stderr
