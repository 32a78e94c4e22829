import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIGURATION = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS = [hook for repo in CONFIGURATION["repos"] for hook in repo["hooks"]]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_needs_nothing_but_what_the_set_up_makes(hook: dict[str, str]) -> None:
    folder, _, program = hook["entry"].split()[0].rpartition("/")
    assert folder == ".venv/bin"
    assert Path(sys.executable).with_name(program).is_file()
