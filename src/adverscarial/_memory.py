"""How much memory there is: work that cannot fit is refused before it begins, and what is freed is given back."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from adverscarial.errors import MemoryLimitError

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_GROUPS = Path("/proc/self/cgroup")
_STATUS = Path("/proc/self/statm")


def available() -> int | None:
    """Return the bytes that this process can still take; None where the system does not tell.

    The least of what the machine has available, what its control group (a container, a batch job) allows, and what
    the limit on address space (``ulimit -v``) leaves.
    """
    known = [size for size in (_machine(), _control_group(), _address_space()) if size is not None]
    return max(0, min(known)) if known else None


def give_back() -> None:
    """Hand freed memory back to the system: between large pieces of work, where the C library keeps it (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def check(needed: int, what: str, advice: str = "") -> None:
    """Raise a MemoryLimitError when `needed` bytes are more than there are.

    Parameters
    ----------
    needed
        Bytes.
    what
        What they are needed for, the beginning of a sentence.
    advice
        What to do about it.
    """
    there = available()
    if there is not None and needed > there:
        text = f"{what} needs about {_gb(needed)} of memory; {_gb(there)} are available. {advice}"
        raise MemoryLimitError(text.strip())


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e9:,.3f} GB"


def _machine() -> int | None:
    for line in _text(_MEMINFO).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _control_group() -> int | None:
    """Return what the control group and those above it leave; a file cache is given up when memory is needed."""
    known = []
    for line in _text(_GROUPS).splitlines():  # number:controllers:path, without controllers in version 2
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = _GROUP / controllers
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            most = _text(folder / names[0]).strip()
            if most.isdigit() and (used := _text(folder / names[1]).strip()).isdigit():
                stat = dict(entry.split() for entry in _text(folder / "memory.stat").splitlines())
                known.append(int(most) - int(used) + int(stat.get("inactive_file", 0)))
    return min(known) if known else None


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most, pages = resource.getrlimit(resource.RLIMIT_AS)[0], _text(_STATUS).split()
    if most == resource.RLIM_INFINITY or not pages:
        return None
    return most - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
