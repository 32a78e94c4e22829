"""What `scripts/test --platform cluster` calls, in which order; nothing of it is carried out."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kubernetes.config import list_kube_config_contexts

from closedloop.paths import checkout_root
from closedloop.suite.verified import read_tests
from tests import on_cluster


class Calls:
    """Notes what is called; a call with a word of `fails` in it fails."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.made: list[list[str]] = []
        self.is_up = False

    def run(self, words: list[object], **_: object) -> SimpleNamespace:
        said = [Path(str(words[0])).name, *map(str, words[1:])]
        self.made.append(said)
        return SimpleNamespace(returncode=int(bool(self.fails & set(said))))

    def verbs(self) -> list[str]:
        return [said[1] if said[0] == "closedloop" else said[2] for said in self.made]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(subprocess, "run", calls.run)
    platform = SimpleNamespace(status=lambda: ["a part"] if calls.is_up else [])
    monkeypatch.setattr(on_cluster, "connect", lambda _: platform)
    for name in ("CONTEXT", "REGISTRY", "OFFLINE", "RUN"):
        monkeypatch.setenv(f"CLOSEDLOOP_{name}", "")
    monkeypatch.setenv("KUBECONFIG", "")
    return calls


def test_notebooks_then_tests_then_the_comparison(calls: Calls, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert on_cluster.main(["--out", out, "--same", "out/embedded", "-k", "chaos"]) == 0
    assert calls.verbs() == ["run", "pytest", "down", "same"]
    run, tests, _, same = calls.made
    assert run[2:] == ["--platform", "cluster", "--test", "--keep", "--out", f"{out}/run"]
    assert tests[3:5] == ["-m", "cluster"]
    assert tests[-2:] == ["-k", "chaos"]
    assert same[2:] == ["out/embedded", f"{out}/run"]


def test_pytest_takes_the_command_and_reports_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a test of its own that says a figure, beside one that is skipped without a run."""
    monkeypatch.delenv(on_cluster.RUN, raising=False)
    own = tmp_path / "test_own.py"
    own.write_text(
        "import pytest\n"
        "@pytest.mark.cluster\n"
        "def test_figure(record_property):\n"
        "    record_property('sent', 3)\n"
    )
    beside = "tests/notebooks/test_on_cluster.py"
    subprocess.run(
        on_cluster.tests_of(tmp_path, [str(own), beside]), cwd=checkout_root(), check=True
    )
    tested = read_tests(tmp_path / "tests.xml")
    assert tested.figures == [("test_figure", {"sent": "3"})]
    assert tested.skipped


def test_a_platform_that_was_up_or_is_to_be_kept_stays(calls: Calls, tmp_path: Path) -> None:
    assert on_cluster.main(["--out", str(tmp_path), "--keep"]) == 0
    calls.is_up = True
    assert on_cluster.main(["--out", str(tmp_path)]) == 0
    assert "down" not in calls.verbs()


@pytest.mark.parametrize(
    ("fails", "verbs"),
    [("run", ["run", "down"]), ("pytest", ["run", "pytest", "down", "same"])],
)
def test_what_fails_ends_it_and_the_platform_goes(
    calls: Calls, tmp_path: Path, fails: str, verbs: list[str]
) -> None:
    calls.fails = {fails}
    assert on_cluster.main(["--out", str(tmp_path), "--same", "a"]) == 1
    assert calls.verbs() == verbs


def test_other_numbers_than_those_of_the_other_platform_fail(calls: Calls, tmp_path: Path) -> None:
    calls.fails = {"same"}
    assert on_cluster.main(["--out", str(tmp_path), "--same", "a"]) == 1


def test_the_page_is_written_of_both_runs_and_the_tests(calls: Calls, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--same", "a", "--page", "docs/verified.md", "--note", "several nodes"]
    assert on_cluster.main(["--out", str(out), *words]) == 0
    page = ["--page", "docs/verified.md", "--tests", f"{out}/tests.xml", "--note", "several nodes"]
    assert calls.made[-1][2:] == ["a", f"{out}/run", *page]


def test_the_context_named_is_the_current_one(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("a", "b")]
    clusters = [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]
    users = [{"name": "u", "user": {"token": "secret"}}]
    given = {"clusters": clusters, "users": users, "contexts": contexts, "current-context": "a"}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(given))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("CLOSEDLOOP_CONTEXT", "b")
    contexts, current = list_kube_config_contexts(on_cluster._kubeconfig(tmp_path))
    assert current["name"] == "b"
    assert {each["name"] for each in contexts} == {"a", "b"}
