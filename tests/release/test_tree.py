"""A release is made from a clean tree whose files agree about the version."""

import shutil
from pathlib import Path

import pytest

from otp_service import __version__
from tests.release import tree
from tests.release.trying import commit
from tests.support.documents import PROJECT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A committed tree of the files that name the version."""
    for name in tree.WRITTEN:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    commit(tmp_path)
    return tmp_path


def test_all_files_name_one_version() -> None:
    """Whoever raises it raises it everywhere."""
    assert tree.versions(PROJECT) == dict.fromkeys(tree.WRITTEN, __version__)


def test_a_clean_tree_has_a_version(project: Path) -> None:
    """It is what a release is called."""
    assert tree.version(project) == __version__


def test_a_changed_tree_is_refused_with_what_has_changed(project: Path) -> None:
    """A release that no commit shows could not be made again."""
    (project / "stray.py").touch()
    with pytest.raises(ValueError, match=r"not committed:\n\?\? stray\.py"):
        tree.version(project)


def test_files_that_disagree_are_named(project: Path) -> None:
    """One that was forgotten is told from the others."""
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## 9.9.9\n")
    commit(project)
    with pytest.raises(ValueError, match=r"CHANGELOG\.md says 9\.9\.9"):
        tree.version(project)


def test_the_changes_of_one_version_are_told(tmp_path: Path) -> None:
    """Neither those before nor those after."""
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 2.0.0\n\n- New.\n\n## 1.0.0\n\n- Old.\n")
    assert tree.changes(tmp_path, "2.0.0") == "# 2.0.0\n\n- New.\n"
    assert tree.changes(tmp_path, "1.0.0") == "# 1.0.0\n\n- Old.\n"
