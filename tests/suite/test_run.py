"""Runs of tiny notebooks, through papermill and a real kernel."""

import io
import json
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from rich.console import Console

from closedloop.platforms.protocol import PartStatus, PlatformError
from closedloop.suite import SuiteError
from closedloop.suite.interrupts import INTERRUPTED
from closedloop.suite.parameters import assign
from closedloop.suite.results import results
from closedloop.suite.run import Plan, Run
from tests.suite.fakes import FakePlatform, code, notebook

FIGURE = "import matplotlib.pyplot as plt\nplt.plot([0, 1])\nplt.show()"
RECORD = "from closedloop.suite.results import record\nrecord('twice', 2 * n)"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME of its own, to see that nothing is left in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


class Case:
    """A run of some notebooks on a fake platform, and what it said."""

    def __init__(self, tmp_path: Path, *notebooks: Path, platform: FakePlatform | None = None):
        self.platform = platform or FakePlatform()
        self.folder = tmp_path / "out of run"
        self.notebooks = notebooks
        self.out, self.err = io.StringIO(), io.StringIO()

    def run(
        self,
        *,
        keep: bool = False,
        talkative: bool = False,
        again: Mapping[str, Path] | None = None,
        **given: str,
    ) -> int:
        values = assign(self.notebooks, given, platform="embedded")
        plan = Plan(
            "embedded",
            self.notebooks,
            values,
            self.folder,
            keep,
            talkative,
            junit=self.folder / "junit.txt",
            summary=self.folder / "summary.txt",
            again=again or {},
        )
        run = Run(
            plan,
            lambda _: self.platform,
            console=Console(file=self.out, width=200),
            errors=Console(file=self.err, width=200),
        )
        return run()

    @property
    def junit(self) -> str:
        return (self.folder / "junit.txt").read_text()

    @property
    def summary(self) -> str:
        return (self.folder / "summary.txt").read_text()

    @property
    def report(self) -> str:
        return (self.folder / "index.html").read_text()


def test_a_run_that_goes_well(tmp_path: Path, home: Path) -> None:
    first = notebook(tmp_path / "01_first.ipynb", "# Numbers", RECORD, code(FIGURE, "figure-line"))
    second = notebook(tmp_path / "02_second.ipynb", "assert n == 5 and platform == 'embedded'")
    case = Case(tmp_path, first, second)
    assert case.run(n="5", again={"01_first-more": first}) == 0
    assert results(case.folder / "01_first.ipynb") == {"twice": 10}
    assert case.platform.calls[-1] == "down"
    assert (case.folder / "figures" / "line.png").read_bytes().startswith(b"\x89PNG")
    assert "Numbers" in (case.folder / "01_first.html").read_text()
    for shown in ("01_first.html", "twice", "10", "data:image/png;base64", "1.40.0", "ran to its"):
        assert shown in case.report
    assert "ok          01_first" in case.out.getvalue()
    assert str(case.folder / "index.html") in case.out.getvalue()
    run = json.loads((case.folder / "run.json").read_text())
    assert run["ok"] is True
    assert run["notebooks"][0]["state"] == "ok"
    assert run["results"] == {
        "01_first": {"twice": 10},
        "02_second": {},
        "01_first-more": {"twice": 4},
    }
    assert (case.folder / "figures" / "line-more.png").exists()
    assert run["parts"][0]["part"] == "envoy"
    assert list(home.iterdir()) == []
    assert '<testcase classname="closedloop.embedded" name="01_first"' in case.junit
    assert '<img src="figures/line.png"' in case.summary
    assert not (case.folder / "bundle.tar.gz").exists()


def test_a_talkative_run_tells_of_waits_and_texts_and_shows_pictures_as_they_come(
    tmp_path: Path,
) -> None:
    shown = tmp_path / "out of run" / "figures" / "line.png"
    seen = (
        "from pathlib import Path\n"
        "from closedloop.notebook.waiting import until\n"
        f"until(lambda: Path({str(shown)!r}).exists(), what='the picture on the disk')\n"
        "print('it is there')"
    )
    case = Case(tmp_path, notebook(tmp_path / "01_a.ipynb", code(FIGURE, "figure-line"), seen))
    assert case.run(talkative=True) == 0, case.err.getvalue()
    said = case.out.getvalue()
    place = [
        said.index(part)
        for part in ("picture after", "waiting for the picture on the disk", "it is there")
    ]
    assert place == sorted(place)


def test_a_failing_cell_is_told_and_logs_are_saved_before_the_platform_stops(
    tmp_path: Path,
) -> None:
    bad = notebook(tmp_path / "01_bad.ipynb", "print('so far')\n1 / (n - 2)", "'never'")
    case = Case(tmp_path, bad, notebook(tmp_path / "02_next.ipynb"))
    assert case.run() == 1
    told = case.err.getvalue()
    for part in (
        "01_bad failed in cell",
        "ZeroDivisionError: division by zero",
        "1 / (n - 2)",
        "so far",
    ):
        assert part in told
        assert part.replace("failed in cell", "failed") in case.report
    assert "not run" in case.out.getvalue()
    assert (case.folder / "failure.txt").read_text().strip() == told.strip()
    assert "ZeroDivisionError: division by zero" in case.junit
    assert "1 / (n - 2)" in case.summary
    assert (case.folder / "bundle.tar.gz").exists()
    calls = case.platform.calls
    assert calls.index("logs seldon-logs/logger") < calls.index("down")
    saved = case.folder / "logs" / "seldon-logs_logger.log"
    assert saved.read_text() == "last words of seldon-logs/logger\n"
    assert "last words of seldon-logs/logger" in case.report


def test_the_bundle_is_there_although_the_platform_does_not_answer_any_more(
    tmp_path: Path,
) -> None:
    class Dies(FakePlatform):
        def status(self) -> list[PartStatus]:
            if (tmp_path / "out of run" / "01_a.ipynb").exists():
                raise PlatformError("the platform ended")
            return super().status()

    case = Case(tmp_path, notebook(tmp_path / "01_a.ipynb"), platform=Dies())
    assert case.run() == 1
    with tarfile.open(case.folder / "bundle.tar.gz") as bundle:
        assert "bundle/run/01_a.ipynb" in bundle.getnames()
    assert '<error message="the platform ended"' in case.junit


def test_a_kernel_that_dies(tmp_path: Path) -> None:
    case = Case(tmp_path, notebook(tmp_path / "01_bad.ipynb", "import os\nos._exit(3)"))
    assert case.run() == 1
    assert "01_bad failed in cell" in case.err.getvalue()
    assert "Kernel died" in case.err.getvalue()
    assert "os._exit(3)" in case.err.getvalue()


def test_a_part_that_does_not_install(tmp_path: Path) -> None:
    case = Case(
        tmp_path, notebook(tmp_path / "01_a.ipynb"), platform=FakePlatform(fail="seldon-core")
    )
    assert case.run() == 1
    assert case.err.getvalue() == "seldon-core does not start: see its log\n"
    assert "seldon-core does not start" in case.report
    assert "not run" in case.report
    assert case.platform.calls[-1] == "down"


def test_a_platform_that_cannot_be_opened(tmp_path: Path) -> None:
    def refuse(name: str) -> FakePlatform:
        raise PlatformError(f"there is no platform {name}: name another")

    first = notebook(tmp_path / "01_a.ipynb")
    plan = Plan("cluster", [first], {}, tmp_path / "out")
    errors = io.StringIO()
    run = Run(plan, refuse, console=Console(file=io.StringIO()), errors=Console(file=errors))
    assert run() == 1
    assert "there is no platform cluster" in errors.getvalue()


def test_keep_leaves_the_platform_and_prints_urls(tmp_path: Path) -> None:
    case = Case(tmp_path, notebook(tmp_path / "01_a.ipynb"))
    assert case.run(keep=True) == 0
    assert "down" not in case.platform.calls
    assert "http://127.0.0.1:8003" in case.out.getvalue()


def test_a_platform_that_does_not_answer_is_left_alone(tmp_path: Path) -> None:
    class Silent(FakePlatform):
        def status(self) -> list[PartStatus]:
            raise PlatformError("the platform does not answer: try again")

    case = Case(tmp_path, notebook(tmp_path / "01_a.ipynb"), platform=Silent())
    assert case.run() == 1
    assert case.platform.calls == []
    assert case.err.getvalue() == "the platform does not answer: try again\n"


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, notebook(tmp_path / "01_a.ipynb"))
    case.folder.mkdir()
    (case.folder / "mine.txt").touch()
    with pytest.raises(SuiteError, match="is not empty"):
        case.run()
    assert case.platform.calls == []


def test_a_notebook_runs_in_its_own_folder_where_relative_paths_mean_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a platform that was up before stays up."""
    source = (
        "from closedloop import paths\n"
        f"assert str(paths.home()) == {str(tmp_path / 'h')!r}\n"
        "assert open('beside.txt').read()"
    )
    path = tmp_path / "notebooks" / "01_a.ipynb"
    case = Case(tmp_path, notebook(path, source), platform=FakePlatform(up=True))
    path.with_name("beside.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOSEDLOOP_HOME", "h")
    assert case.run() == 0, case.err.getvalue()
    assert "down" not in case.platform.calls


@pytest.fixture
def signal_when() -> Iterator[Callable[[Path, signal.Signals], None]]:
    """Send this process a signal once a file exists."""
    threads: list[threading.Thread] = []

    def begin(file: Path, number: signal.Signals) -> None:
        def wait() -> None:
            while not file.exists():
                time.sleep(0.02)
            os.kill(os.getpid(), number)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)]
)
def test_an_interrupted_run_leaves_nothing(
    number: signal.Signals,
    tmp_path: Path,
    signal_when: Callable[[Path, signal.Signals], None],
) -> None:
    pids = tmp_path / "pids"
    source = (
        "import os, pathlib, subprocess, tempfile, threading\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "text = f'{os.getpid()} {child.pid} {tempfile.mkstemp()[1]}'\n"
        f"pathlib.Path({str(tmp_path / 'part')!r}).write_text(text)\n"
        f"os.rename({str(tmp_path / 'part')!r}, {str(pids)!r})\n"
        "threading.Event().wait()"
    )
    case = Case(
        tmp_path, notebook(tmp_path / "01_a.ipynb", source), notebook(tmp_path / "02_b.ipynb")
    )
    before = signal.getsignal(number)
    signal_when(pids, number)
    assert case.run() == INTERRUPTED
    *processes, file = pids.read_text().split()
    for pid in processes:
        assert not running(int(pid))
    assert not Path(file).exists()
    assert case.platform.calls[-1] == "down"
    assert "interrupted" in case.report
    assert "interrupted" in case.err.getvalue()
    assert signal.getsignal(number) is before


def test_an_interruption_during_the_installation(tmp_path: Path) -> None:
    class Interrupted(FakePlatform):
        def apply(self, *manifests: object) -> list[str]:
            self.up = True
            signal.raise_signal(signal.SIGTERM)
            return []

    case = Case(tmp_path, notebook(tmp_path / "01_a.ipynb"), platform=Interrupted())
    assert case.run() == INTERRUPTED
    assert case.platform.calls[-1] == "down"


def running(pid: int) -> bool:
    """Whether a process is there and is no zombie; waits a moment for one that was killed."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True
