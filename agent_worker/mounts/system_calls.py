"""The system calls of mounts, which Python's library does not have."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)

_MS_BIND, _MS_REC, _MS_SLAVE, _MS_SHARED = 0x1000, 0x4000, 0x80000, 0x100000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 0x1, 0x2, 0x4, 0x8, 0x20
_MNT_DETACH, _UMOUNT_NOFOLLOW = 0x2, 0x8
_TMPFS_MAGIC = 0x01021994
_STATFS_BYTES = 256  # more than any kernel writes; the kind of the file system is its first word
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000


def bind(source: str, target: str) -> None:
    """Mounts ``source`` at ``target`` with all that is mounted below it. What is mounted there later on the machine is
    seen as well; nothing goes the other way, or the end of this mount would end those of the machine."""
    _call(_libc.mount, source.encode(), target.encode(), None, _MS_BIND | _MS_REC, None)
    _call(_libc.mount, None, target.encode(), None, _MS_SLAVE | _MS_REC, None)


def bind_shared(source: str, target: str) -> None:
    """Mounts one file at ``target``, for reading alone. What is mounted on it later is seen wherever this mount was
    given as a slave, as in a container that runs: so it is read-only before it comes there, by way of a mount of the
    file on itself."""
    _call(_libc.mount, source.encode(), source.encode(), None, _MS_BIND, None)
    try:
        flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        _call(_libc.mount, None, source.encode(), None, flags, None)
        _call(_libc.mount, source.encode(), target.encode(), None, _MS_BIND, None)
    finally:
        unmount(source)
    _call(_libc.mount, None, target.encode(), None, _MS_SHARED, None)


def mount_in_memory(target: str, size: int) -> None:
    """Mounts a file system in memory that the kernel never writes to a disk, where it can promise that (Linux 6.4)."""
    options, flags = f"mode=0700,size={size}", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    try:
        _call(_libc.mount, b"gamekeeper", target.encode(), b"tmpfs", flags, f"{options},noswap".encode())
    except OSError:
        _call(_libc.mount, b"gamekeeper", target.encode(), b"tmpfs", flags, options.encode())


def is_in_memory(descriptor: int) -> bool:
    """True for what is on a tmpfs."""
    told = ctypes.create_string_buffer(_STATFS_BYTES)
    _call(_libc.fstatfs, descriptor, told)
    return ctypes.c_long.from_buffer(told).value == _TMPFS_MAGIC


def unmount(target: str) -> None:
    """Takes a mount away at once; who uses it keeps what it has."""
    _call(_libc.umount2, target.encode(), _MNT_DETACH | _UMOUNT_NOFOLLOW)


def enter_mount_namespace(namespace: int) -> None:
    """Lets this thread alone see the mounts of another process; ``namespace`` is its open ``ns/mnt``."""
    _call(_libc.unshare, _CLONE_FS)
    _call(_libc.setns, namespace, _CLONE_NEWNS)


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*map(_typed, arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _typed(argument: object) -> object:
    return ctypes.c_ulong(argument) if isinstance(argument, int) and argument > 0xFFFF else argument
