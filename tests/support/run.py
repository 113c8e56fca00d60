"""Hooks of pytest for the run as a whole: distribution, progress, cleaning up, summary."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The same examples in each run.
settings.register_profile("short", max_examples=100, deadline=None, derandomize=True)
# New ones, for a workflow, and for whoever changes what is tested so: --hypothesis-profile=full
settings.register_profile("full", max_examples=1000, deadline=None)
settings.load_profile("short")


# For tests, or parameters of tests, that only the full profile runs.
full = pytest.mark.full


def is_full() -> bool:
    """Tell whether the run has the full profile."""
    return settings().max_examples >= settings.get_profile("full").max_examples


# Modules whose tests run one after the other, because they ...
TOGETHER = {
    # ... measure time, or keep all cores busy,
    **dict.fromkeys(
        (
            "connections",
            "failures",
            "http_overload",
            "http_shutdown",
            "races",
            "refusals",
            "replicas",
            "promises",
            "restarts",
            "tls",
        ),
        "timing",
    ),
    # ... start a cluster of servers,
    "cluster": "cluster",
    # ... use the same clone.
    "readme": "readme",
}
# What takes longest, longest first: begun early, it does not keep one process busy in the end.
LONG = (
    "test_its_own_tests_pass",
    "test_a_project_that_its_owner_has_changed",
    "test_the_example_can_be_deleted",
    "test_answers_are_refused",
    "test_a_required_setting",
    "test_hundreds_of_thousands_of_rows",
    "test_relationships_are_loaded",
)
SECONDS_BETWEEN_REPORTS = 20
# Where Linux keeps files in memory, and the bytes that a run needs there.
SHM = "/dev/shm"  # noqa: S108
ROOM = 6 * 1024**3
COUNTED = {
    "updates of changed projects, versions x variants": "test_an_update_merges_what_is_new",
    "updates of unchanged projects, versions x variants": "test_an_update_of_a_project_that_nobody",
    "transitions of unchanged projects": "test_a_project_that_nobody_has_changed_becomes",
    "transitions of changed projects": "test_what_the_owner_has_written_survives",
}


class Progress:
    """Prints which tests are running, from time to time."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.last = config, time.monotonic()
        self.running: dict[str, None] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.running[nodeid.removeprefix("tests/")] = None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.running.pop(nodeid.removeprefix("tests/"), None)
        if time.monotonic() - self.last > SECONDS_BETWEEN_REPORTS and self.running:
            self.last = time.monotonic()
            self.config.get_terminal_writer().line("\nrunning: " + ", ".join(self.running))


class Scheduling(LoadScopeScheduling):
    """Gives each process the next test, or the next tests that belong together.

    pytest-xdist 3.8 has `--dist=loadgroup` for it, which has no effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition(".py::")[0].rpartition("test_")[2]
        if module == "tidiness" and " with " in nodeid:
            # What is rendered with other names is rendered for all tests of the module.
            return nodeid.partition("[")[2]
        return TOGETHER.get(module, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Start one process more than there are cores, because some of the slow tests wait for servers."""
    cores = yield
    return cores if config.option.markexpr == "not slow" else cores + 1


def memory() -> str | None:
    """Return a folder in memory, if there is one that has room and runs programs."""
    if sys.platform != "linux" or "TMPDIR" in os.environ or not os.access(SHM, os.W_OK):
        return None
    system = os.statvfs(SHM)
    has_room = system.f_bavail * system.f_frsize > ROOM
    return SHM if has_room and not system.f_flag & os.ST_NOEXEC else None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder for all that it makes, and remove it however the run ends."""
    if hasattr(config, "workerinput"):
        return
    folder = Path(tempfile.mkdtemp(prefix="template-tests-", dir=memory()))
    # If root runs the tests, another user runs PostgreSQL, and has to reach its files.
    folder.chmod(0o711)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    config.option.basetemp = config.option.basetemp or folder / "pytest"

    def remove() -> None:
        tempfile.tempdir = before
        os.environ.pop("TMPDIR")
        if before:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)

    config.add_cleanup(remove)
    config.pluginmanager.register(Progress(config))

    def stop(*given: object) -> None:
        # Once: `timeout` sends the signal to uv and to pytest, and uv passes it on.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Whoever stops the run from outside stops it like Ctrl-C.
    signal.signal(signal.SIGTERM, stop)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the full profile runs, and begin with what takes longest."""
    if not is_full():
        left_out = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]

    def place(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(LONG) if name in item.name), len(LONG))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much has been proved: how many updates, transitions and hostile answers."""
    passed = [
        report for report in terminalreporter.stats.get("passed", []) if report.when == "call"
    ]
    for title, test in COUNTED.items():
        seconds = [report.duration for report in passed if f"::{test}" in report.nodeid]
        if seconds:
            terminalreporter.write_line(f"{title}: {len(seconds)}, {sum(seconds):.0f} s")
    for report in passed:
        for title, count in report.user_properties:
            terminalreporter.write_line(f"{title}: {count}, {report.duration:.0f} s")
