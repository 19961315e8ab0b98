"""Queries about other processes."""

import psutil


def alive(pid: int) -> bool:
    """False for one that has ended, waited for or not, and for one that ends while it is asked about."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
