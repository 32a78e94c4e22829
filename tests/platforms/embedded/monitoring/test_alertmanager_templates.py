import os
import sys
from pathlib import Path

import pytest

from closedloop.platforms.embedded.monitoring import alertmanager_templates
from closedloop.platforms.embedded.monitoring.alertmanager_templates import command
from closedloop.platforms.protocol import PlatformError

# Starts only where the templates are that its one hard-coded folder names.
PROGRAM = f"""#!{sys.executable}
import pathlib, sys, time
folder = "/usr/share/prometheus/alertmanager"
other = "/usr/share/prometheus/alertmanager/ui"
if not pathlib.Path(folder, "default.tmpl").is_file():
    sys.exit("open default.tmpl: no such file or directory")
print("msg=\\"Listening on\\" address=127.0.0.1:1", file=sys.stderr, flush=True)
time.sleep(60)
"""


def _program(folder: Path, text: str = PROGRAM) -> Path:
    (folder / "share").mkdir()
    (folder / "share" / "default.tmpl").touch()
    program = folder / "prometheus-alertmanager"
    program.write_text(text)
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager_templates, "_TRIAL_SECONDS", 60.0)


@pytest.fixture
def _no_unshare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


@pytest.mark.skipif(
    Path("/usr/share/prometheus/alertmanager").exists(), reason="Alertmanager is installed here"
)
@pytest.mark.usefixtures("_no_unshare")
async def test_copy_with_another_folder_is_made_and_kept(tmp_path: Path) -> None:
    program = _program(tmp_path)
    found = await command(program, tmp_path / "share", tmp_path / "copy of it")
    assert found.folder == tmp_path / "copy of it"
    assert found.argv == (str(tmp_path / "copy of it" / program.name),)
    changed = Path(found.argv[0]).read_text()
    assert len(changed) == len(PROGRAM)
    assert '"/usr/share/prometheus/alertmanager/ui"' in changed
    made = os.stat(found.argv[0]).st_mtime_ns  # noqa: PTH116 - a time, not a path
    assert await command(program, tmp_path / "share", tmp_path / "copy of it") == found
    assert Path(found.argv[0]).stat().st_mtime_ns == made


async def test_program_that_starts_is_left_as_it_is(tmp_path: Path) -> None:
    program = _program(
        tmp_path, PROGRAM.replace("/usr/share/prometheus/alertmanager", str(tmp_path / "share"))
    )
    found = await command(program, tmp_path / "share", tmp_path / "copy")
    assert found.argv == (str(program),)
    assert not (tmp_path / "copy").exists()


@pytest.mark.usefixtures("_no_unshare")
async def test_no_way_is_one_sentence_with_the_reason(tmp_path: Path) -> None:
    program = _program(tmp_path, f"#!{sys.executable}\nraise SystemExit('it is broken')\n")
    with pytest.raises(
        PlatformError, match=r"it is broken.*put Alertmanager of prometheus\.io on PATH"
    ):
        await command(program, tmp_path / "share", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
