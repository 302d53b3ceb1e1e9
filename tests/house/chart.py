"""What of the chart is made: its copies of alerts and dashboard, and the manifests of each file of values.

`python -m tests.house.chart` writes them; tests/deploy/test_chart.py finds what differs. It needs Node.js and npm.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.support.helm import CHART, EXAMPLES, Helm
from tests.support.prometheus import ALERTS, DASHBOARD

COPIES = {"alerts.yaml": ALERTS, "dashboard.json": DASHBOARD}
"""What a chart must hold itself, because Helm packs no file from outside."""


def main() -> int:
    """Write all of it; gives the exit code."""
    for name, source in COPIES.items():
        shutil.copy(source, CHART / "files" / name)
    with tempfile.TemporaryDirectory() as folder:
        helm = Helm(Path(folder))
        for example in EXAMPLES:
            (CHART / "rendered" / example.name).write_text(helm.rendered(example), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
