"""A release of the tree as it is now, made once for all tests that look at it."""

import pytest

from otp_service import __version__
from tests.release.tree import run
from tests.release.trying import Made, clean_tree, make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make one release with a key of its own."""
    key = tmp_path_factory.mktemp("key") / "releaser"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key), folder=key.parent)
    tree = clean_tree(tmp_path_factory.mktemp("tree"))
    done = make(tree, key)
    assert done.returncode == 0, done.stdout + done.stderr
    return Made(tree / "dist" / __version__, tree, key)
