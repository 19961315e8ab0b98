"""Queries about other processes."""

import psutil


def alive(pid: int) -> bool:
    """Whether the process runs; False for a zombie too."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
