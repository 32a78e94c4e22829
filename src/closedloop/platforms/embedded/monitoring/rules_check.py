"""Rules are checked before they are accepted, as the Prometheus operator's webhook does."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from closedloop.platforms.protocol import PlatformError


async def check_rules(rules: Mapping[str, Mapping[str, object]], parts: Path) -> None:
    """Have promtool read rule files, given by name with their content.

    Raises `PlatformError` with its words on the first bad one. Where there
    is no promtool, Prometheus itself will refuse them.
    """
    unpacked = parts / "debian" / "usr" / "bin" / "promtool"
    promtool = str(unpacked) if unpacked.is_file() else shutil.which("promtool")
    if promtool is None or not rules:
        return
    with tempfile.TemporaryDirectory(prefix="closedloop-") as folder:
        for name, content in rules.items():
            (Path(folder) / name).write_text(json.dumps(content), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            promtool,
            "check",
            "rules",
            *rules,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    if process.returncode:
        said = [line.strip() for line in output.decode(errors="replace").splitlines()]
        faults = [line for line in said if line and "SUCCESS" not in line]
        faults = [line for line in faults if not line.startswith("Checking")]
        raise PlatformError(f"Prometheus would refuse a rule: {' '.join(faults)}")
