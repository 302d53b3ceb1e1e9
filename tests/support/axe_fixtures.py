"""The source of axe as a fixture; a test module asks for it with `pytest_plugins`."""

import pytest

from tests.support.node_tools import CLIENT, Tools


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe, from the lock file of clients/js."""
    tools = Tools(tmp_path_factory.mktemp("axe"), CLIENT)
    return (tools.folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
