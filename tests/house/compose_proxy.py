"""The proxy's configuration for compose.yaml: deploy/nginx/nginx.conf with the services' name for their addresses.

`python -m tests.house.compose_proxy` writes it; tests/deploy/test_compose.py finds what differs.
"""

import re
import sys

from tests.support.documents import PROJECT

ORIGINAL = PROJECT / "deploy" / "nginx" / "nginx.conf"
MADE = PROJECT / "deploy" / "compose" / "nginx.conf"
SAID = "# Made from deploy/nginx/nginx.conf by python -m tests.house.compose_proxy: change it there.\n"
ADDRESSES = re.compile(r"(?:^    server \S+:8000 [^\n]*# CHANGE\n)+", re.MULTILINE)
SERVICES = "    server api:8000 max_fails=0; # all that run, as of the proxy's start\n"


def made() -> str:
    """Return the configuration. Raises ValueError if the original lists no services."""
    text, found = ADDRESSES.subn(SERVICES, ORIGINAL.read_text(encoding="utf-8"))
    if found != 1:
        raise ValueError(f"{ORIGINAL} lists its services elsewhere")
    return SAID + text


if __name__ == "__main__":
    sys.exit(MADE.write_text(made(), encoding="utf-8") == 0)
