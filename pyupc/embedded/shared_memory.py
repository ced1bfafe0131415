"""Memory that the server's processes share for a parallel query."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MEMORY = Path("/dev/shm")

# A build uses 1 MB. Docker gives a container 64 MB, which is plenty; others give it none.
_ENOUGH_BYTES = 16 * 1024 * 1024


def shared_memory_settings(memory: Path = MEMORY) -> dict[str, str]:
    """No settings if there is enough memory; else files in the data folder, which are slower."""
    if sys.platform != "linux":
        return {}
    try:
        status = os.statvfs(memory)
    except OSError:
        pass
    else:
        # A file system in memory without a limit reports no blocks.
        if status.f_blocks == 0 or status.f_bavail * status.f_frsize >= _ENOUGH_BYTES:
            return {}
    return {"dynamic_shared_memory_type": "mmap"}
