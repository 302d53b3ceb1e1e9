"""The chart in Helm's own hands, and its manifests against the schemas of Kubernetes and the Prometheus Operator."""

import importlib
import json
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
        ("api.replica=3", "replica"),
        ("ingress.enabled=true", "host"),
    ],
)
def test_wrong_values_are_refused_by_name(helm: Helm, value: str, said: str) -> None:
    """Before anything is installed: what is missing, misspelt, or would reveal a password."""
    example = CHART / "examples" / "one-server.yaml"
    done = helm.run("template", str(CHART), "--values", str(example), "--set", value)
    assert done.returncode != 0
    assert said in done.stderr
