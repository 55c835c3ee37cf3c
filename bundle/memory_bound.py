"""How much memory there is, so that what would not fit is refused before it is begun."""

from __future__ import annotations

from pathlib import Path

from bundle.errors import InputError

__all__ = ["available_gb", "check_memory", "unpacks_too_far"]

_CGROUPS = (  # limit and use of the group of processes that this one is in
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_UNKNOWN_GB = 4.0  # where neither Linux nor a container tells
_UNSUSPECTED_BYTES = 2**28
_MOST_SHRUNK = 100  # of images and numbers, measured or simulated


def available_gb() -> float:
    """Memory that can be taken without swapping: the machine's, or less where a container allows less."""
    free = [_free_of_machine_gb()]
    for limit, use in _CGROUPS:
        try:
            free.append((int(Path(limit).read_text()) - int(Path(use).read_text())) / 1e9)
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return max(0.0, min(free))


def check_memory(wanted_bytes: float, source: object, what: str, remedy: str) -> None:
    """Refuses what does not fit into the memory.

    Args:
        wanted_bytes: at most needed at once.
        source: file or setting that asks for it.
        what: what would take it, such as "unpacks to".
        remedy: what to do.

    Raises:
        InputError: with both numbers.
    """
    there = available_gb()
    if wanted_bytes > there * 1e9:
        raise InputError(source, f"{what} {wanted_bytes / 1e9:.3g} GB, and {there:.3g} GB of memory are free.", remedy)


def unpacks_too_far(unpacked_bytes: float, packed_bytes: float) -> bool:
    """Whether data say that they unpack to so much more than they take that they are made to fill the memory."""
    return unpacked_bytes > max(_UNSUSPECTED_BYTES, _MOST_SHRUNK * packed_bytes)


def _free_of_machine_gb() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / 1e9
    except (OSError, ValueError, IndexError):
        pass
    return _UNKNOWN_GB
