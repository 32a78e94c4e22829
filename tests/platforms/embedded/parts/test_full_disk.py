"""A full disk is met again and again, until there is room: nothing that follows changes ends."""

import asyncio
import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from closedloop.platforms.embedded.desired import Desired
from closedloop.platforms.embedded.monitoring import sync as prometheus_sync
from closedloop.platforms.embedded.monitoring.sync import PrometheusSync
from closedloop.platforms.embedded.parts import broker_sync
from closedloop.platforms.embedded.parts.broker_sync import BrokerSync
from closedloop.platforms.embedded.run import running as run_module
from closedloop.platforms.embedded.run.running import Changes


@pytest.mark.parametrize(
    ("module", "name"), [(broker_sync, "write_whole"), (prometheus_sync, "write")]
)
async def test_it_is_tried_again(
    module: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    def full(*_: object) -> bool:
        nonlocal tried
        tried += 1
        raise OSError(errno.ENOSPC, "No space left on device")

    pod = SimpleNamespace(ready=True)
    running: Any = SimpleNamespace(
        part_pods={"broker": pod, "prometheus": pod}, parts={}, workload_pods=[]
    )
    http: Any = None
    kind, place = (
        (BrokerSync, tmp_path / "broker.json")
        if module is broker_sync
        else (PrometheusSync, tmp_path)
    )
    sync = kind(place, Desired, running, Changes(), http)
    monkeypatch.setattr(module, name, full)
    monkeypatch.setattr(run_module, "_AGAIN", 0.0)
    following = asyncio.create_task(sync.run())
    async with asyncio.timeout(30):
        while tried < 3 and not following.done():
            await asyncio.sleep(0)
    assert not following.done()
    assert "No space left on device" in sync.error
    following.cancel()
