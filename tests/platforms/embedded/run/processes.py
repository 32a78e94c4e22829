"""What of a platform runs, read from /proc."""

from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """The process and all that it, or what it started, started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            parents[int(entry.name)] = int(stat[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def listening(pids: set[int]) -> set[str]:
    """Local addresses, `IPv4:port` or `[IPv6 in hexadecimal]:port`, at which these listen."""
    inodes = set()
    for pid in pids:
        # It may close a file, or end, while we look.
        with suppress(FileNotFoundError, ProcessLookupError):
            files = list(Path(f"/proc/{pid}/fd").iterdir())
            for file in files:
                with suppress(FileNotFoundError):
                    inodes.add(file.readlink().name.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            # 0A is LISTEN; a UDP socket has no such state, and a bound one is 07.
            if fields[9] in inodes and fields[3] in ("0A", "07"):
                found.add(_address(fields[1]))
    return found


def _address(text: str) -> str:
    host, port = text.split(":")
    if len(host) == 8:
        octets = [str(int(host[i : i + 2], 16)) for i in (6, 4, 2, 0)]
        return f"{'.'.join(octets)}:{int(port, 16)}"
    return f"[{host}]:{int(port, 16)}"


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
