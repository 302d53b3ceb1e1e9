"""The chart names settings, metrics, alerts and a dashboard that exist, and its manifests hold together."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from otp_service import __version__, policy
from otp_service.settings import Settings
from tests.house.chart import COPIES
from tests.support.documents import PROJECT
from tests.support.helm import CHART, EXAMPLES, kept, manifests
from tests.support.prometheus import Query, alerts

ADAPTER = yaml.safe_load((PROJECT / "deploy" / "prometheus" / "adapter.yaml").read_text(encoding="utf-8"))[
    "rules"
]
SETTINGS = set(re.findall(r"`(OTP_[A-Z_]+)`", (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8")))
ALL = [one for example in EXAMPLES for one in manifests(kept(example))]


def of_kind(kind: str) -> list[dict[str, Any]]:
    """List the resources of a kind in all examples."""
    found = [one for one in ALL if one["kind"] == kind]
    assert found, kind
    return found


def pods() -> list[dict[str, Any]]:
    """List what pods are made from."""
    return [one["spec"]["template"]["spec"] for one in of_kind("Deployment")]


def test_there_are_eight_examples_and_their_manifests() -> None:
    """None is left over."""
    assert len(EXAMPLES) == 8
    assert {file.name for file in (CHART / "rendered").iterdir()} == {file.name for file in EXAMPLES}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_in_the_chart_is_the_original(name: str) -> None:
    """`python -m tests.house.chart` makes it anew."""
    assert (CHART / "files" / name).read_bytes() == COPIES[name].read_bytes()


def test_the_chart_and_the_service_have_one_version() -> None:
    """So that the default tag of the image is of this service."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert about["version"] == about["appVersion"] == __version__


def test_pods_are_scaled_by_metrics_that_the_code_exports() -> None:
    """And the adapter serves just these, by queries whose metrics and labels exist."""
    wanted = {
        metric["pods"]["metric"]["name"]
        for one in of_kind("HorizontalPodAutoscaler")
        for metric in one["spec"]["metrics"]
    }
    assert wanted == {"otp_hash_waiting", "otp_deadline_lag_seconds"}
    assert {rule["name"]["as"] for rule in ADAPTER} == wanted
    for rule in ADAPTER:
        text = (
            rule["metricsQuery"].replace("<<.GroupBy>>", "instance").replace("<<.LabelMatchers>>", 'job="a"')
        )
        assert Query(text).series
        assert Query(text).unknown() == []
        assert rule["name"]["as"] in {name.removesuffix("_bucket") for name in Query(text).series}
        assert Query(rule["seriesQuery"]).series <= Query(text).series


def test_only_settings_that_exist_are_set() -> None:
    """A misspelt one would be passed over."""
    maps = [one["data"] for one in of_kind("ConfigMap") if "OTP_ISSUER" in one["data"]]
    assert len(maps) == len(EXAMPLES)
    for data in maps:
        assert {name for name in data if name.startswith("OTP_")} <= SETTINGS
        assert all(isinstance(value, str) for value in data.values())


def test_the_schema_names_what_the_chart_sets_itself_and_what_is_secret() -> None:
    """So that `settings` cannot contradict a port or a probe, and puts no secret where all may read it."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    reserved, secret, _ = schema["properties"]["settings"]["propertyNames"]["not"]["anyOf"]
    text = (CHART / "templates" / "settings.yaml").read_text(encoding="utf-8")
    assert set(reserved["enum"]) == set(re.findall(r"^  (OTP_[A-Z_]+):", text, re.MULTILINE))
    secrets = {
        f"OTP_{one.name.upper()}" for one in dataclasses.fields(Settings) if one.metadata and not one.repr
    }
    assert set(secret["enum"]) == secrets - {"OTP_REDIS_URL"}


def test_a_store_of_the_example_is_one_that_the_service_reads() -> None:
    """Sentinel and Cluster, too."""
    urls = {one["data"]["OTP_REDIS_URL"] for one in of_kind("ConfigMap") if "OTP_REDIS_URL" in one["data"]}
    kinds = {url.partition("://")[0] for url in urls}
    assert kinds == {"redis", "redis+sentinel", "rediss+sentinel"}


def test_the_policy_of_an_example_could_deliver() -> None:
    """It has no mistake."""
    texts = [one["data"]["policy.toml"] for one in of_kind("ConfigMap") if "policy.toml" in one["data"]]
    assert [policy.parse(text).routes for text in texts]


def test_pods_may_do_as_little_as_possible() -> None:
    """Not root, nothing to write but /tmp, no token of the cluster, no extra rights."""
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")] == ["/tmp"]  # noqa: S108
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_a_new_pod_counts_only_once_it_works() -> None:
    """Otherwise an update with a setting that cannot be used would replace every worker by one that never starts."""
    for pod in pods():
        [container] = pod["containers"]
        named = {port["name"] for port in container["ports"]}
        assert container["readinessProbe"]["httpGet"]["port"] in named - {"http"}


def test_the_memory_of_a_pod_suffices_on_a_node_of_any_size() -> None:
    """Its limit of CPU bounds its processes and hashing threads; docs/performance.md says what they need."""
    for pod in pods():
        limits = pod["containers"][0]["resources"]["limits"]
        memory, unit = int(limits["memory"][:-2]), limits["memory"][-2:]
        first_two = {"api": 300, "worker": 256}[pod["containers"][0]["name"]]
        assert memory * {"Mi": 1, "Gi": 1024}[unit] >= first_two + 110 * max(0, int(limits["cpu"]) - 2)


def test_secrets_come_from_a_secret_that_exists_only() -> None:
    """The chart makes none."""
    assert not [one for one in ALL if one["kind"] == "Secret"]
    for pod in pods():
        assert pod["containers"][0]["envFrom"][1] == {"secretRef": {"name": "otp-secrets"}}


def test_ingresses_lead_to_the_port_of_apps_only() -> None:
    """Operators' calls and metrics stay inside."""
    for one in of_kind("Ingress"):
        [rule] = one["spec"]["rules"]
        assert [path["backend"] for path in rule["http"]["paths"]] == [
            {"service": {"name": "otp", "port": {"name": "http"}}}
        ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_what_selects_pods_finds_them(example: Path) -> None:
    """Services, budgets and the policy of the network; a port by its name."""
    found = list(manifests(kept(example)))
    templates = [one["spec"]["template"] for one in found if one["kind"] == "Deployment"]
    for one in found:
        selector = one.get("spec", {}).get("selector") or one.get("spec", {}).get("podSelector")
        if one["kind"] in {"Service", "PodDisruptionBudget", "NetworkPolicy"}:
            labels = selector.get("matchLabels", selector).items()
            chosen = [pod for pod in templates if labels <= pod["metadata"]["labels"].items()]
            assert chosen, one["metadata"]["name"]
            for port in one["spec"].get("ports", ()):
                assert port["targetPort"] in {
                    named["name"] for pod in chosen for named in pod["spec"]["containers"][0]["ports"]
                }
        if one["kind"] == "ServiceMonitor":
            chosen = [
                other for other in found if other["kind"] == "Service" and _is_selected(other, selector)
            ]
            assert len(chosen) == 2
            assert {port["name"] for service in chosen for port in service["spec"]["ports"]} == {"metrics"}


def _is_selected(service: dict[str, Any], selector: dict[str, Any]) -> bool:
    labels = service["metadata"]["labels"]
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in selector["matchExpressions"]
    )


def test_the_rules_of_the_operator_are_the_alerts() -> None:
    """All of them, none altered by a template."""
    for one in of_kind("PrometheusRule"):
        assert {rule["alert"]: rule for group in one["spec"]["groups"] for rule in group["rules"]} == alerts()
