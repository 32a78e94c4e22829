"""The watched files, with an admin interface that answers as Envoy's does."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from closedloop.platforms.embedded.envoy import xds
from closedloop.platforms.embedded.envoy.proxy import Files, Rejected

_STATS = {
    xds.CLUSTERS: "cluster_manager.cds",
    xds.LISTENERS: "listener_manager.lds",
    xds.ROUTES: "http.gateway.rds.gateway",
}


class Case:
    """Files in a folder, and an Envoy that takes every version but those of files it `refuses`."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        self.files = Files(folder)
        self.refuses: set[str] = set()
        self.admin = ""
        self._http = http
        self._taken: dict[str, str] = {}
        self._refused: dict[str, set[str]] = {name: set() for name in _STATS}

    async def write(self, *ports: int, confirm: bool = True) -> None:
        listen = {f"s.ns:{port}": ("127.0.0.1", port) for port in ports}
        content = xds.render(
            self.files.folder, (), gateway=("127.0.0.1", 8003), listen=listen, endpoints={}
        )
        await self.files.write(
            content,
            admin=self.admin if confirm else None,
            http=self._http,
            log=self.files.folder / "log",
        )

    def lies_there(self, name: str) -> str:
        return (self.files.folder / name).read_text()

    async def stats(self, _: web.Request) -> web.Response:
        rows: list[dict[str, object]] = []
        for name, stat in _STATS.items():
            version = str(json.loads(self.lies_there(name))["version_info"])
            if name not in self.refuses:
                self._taken[name] = version
            elif version != self._taken.get(name):
                self._refused[name].add(version)
            rows.append({"name": f"{stat}.version_text", "value": self._taken.get(name, "")})
            rows.append({"name": f"{stat}.update_rejected", "value": len(self._refused[name])})
        return web.json_response({"stats": rows})


@pytest.fixture
async def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    monkeypatch.setattr("closedloop.platforms.embedded.envoy.proxy._CONFIRM", 60.0)
    async with aiohttp.ClientSession() as http:
        one = Case(tmp_path, http)
        app = web.Application()
        app.router.add_get("/stats", one.stats)
        async with TestServer(app) as server:
            one.admin = str(server.make_url("")).rstrip("/")
            await one.write(1, confirm=False)
            await one.write(1)
            yield one


async def test_what_envoy_took_is_not_written_again(case: Case) -> None:
    before = case.lies_there(xds.LISTENERS)
    await case.write(1)
    assert case.lies_there(xds.LISTENERS) == before


async def test_refusal_stays_until_envoy_takes_the_file(case: Case) -> None:
    case.refuses = {xds.LISTENERS}
    for _ in range(3):
        with pytest.raises(Rejected, match=r"Envoy refused lds\.json"):
            await case.write(1, 2)
    case.refuses = set()
    await case.write(1, 2)
    assert "s.ns:2" in case.lies_there(xds.LISTENERS)


async def test_later_steps_wait_for_the_refused_one(case: Case) -> None:
    case.refuses = {xds.CLUSTERS}
    for _ in range(2):
        with pytest.raises(Rejected, match=r"Envoy refused cds\.json"):
            await case.write(1, 2)
    assert "s.ns:2" not in case.lies_there(xds.LISTENERS)


async def test_refused_file_does_not_stay_when_nobody_wants_it_any_more(case: Case) -> None:
    case.refuses = {xds.LISTENERS}
    with pytest.raises(Rejected):
        await case.write(1, 2)
    case.refuses = set()
    await case.write(1)
    assert "s.ns:2" not in case.lies_there(xds.LISTENERS)


async def test_what_was_written_without_envoy_is_confirmed_once_it_is_there(case: Case) -> None:
    await case.write(1, 2, confirm=False)
    case.refuses = {xds.LISTENERS}
    with pytest.raises(Rejected):
        await case.write(1, 2)


async def test_reason_is_envoys_last_warning_without_its_time(case: Case) -> None:
    line = "[2026-01-02 03:04:05.678][9][warning][config] [source/x.cc:1] address in use\n"
    (case.files.folder / "log").write_text(line)
    case.refuses = {xds.LISTENERS}
    with pytest.raises(Rejected) as refusal:
        await case.write(2)
    assert str(refusal.value) == "Envoy refused lds.json: [source/x.cc:1] address in use"
