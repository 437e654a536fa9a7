"""Tells whether a process has a file open for writing: Linux then grants no read lease on the file.

A process that has mapped a file for writing can change its content without a change of its times once the
page is dirty (Linux 6.18, ext4, observed). A mapping counts as open for writing until it is gone. Only root
can take a lease on files of others.

The hook runs this file where it lies, without Sealward's package: it imports modules of Python itself alone.
"""

import _signal  # type: ignore[import-not-found]  # typeshed lacks the module that `signal` is made of
import errno
import fcntl
import posix

import fallback  # type: ignore[import-not-found]  # it lies beside this file

DELEGATED = (b"nfs", b"cifs", b"smb")
"""Beginnings of the types of file systems that grant no lease where their server delegated nothing."""
LEFT_OF_TYPE = b" - "
"""The text before the type of the file system in a line of mountinfo (proc_pid_mountinfo(5))."""


def is_open_for_writing(path: bytes) -> bool:
    """Return whether a process has a file open for writing. Raises OSError.

    False for files that root may not open, and on file systems without leases.
    """
    _signal.signal(_signal.SIGIO, _signal.SIG_IGN)  # a holder of a lease gets SIGIO, which ends a process
    try:
        file = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC)
    except PermissionError:
        return False
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as refused:
        return refused.errno == errno.EAGAIN and not _file_system(file).startswith(DELEGATED)
    finally:
        posix.close(file)
    return False


def _file_system(file: int) -> bytes:
    """Return the type of the file system that an open file is on; empty where Linux does not tell."""
    told = fallback.content(f"/proc/self/fdinfo/{file}").split()
    mount = told[told.index(b"mnt_id:") + 1] if b"mnt_id:" in told else b""
    for line in fallback.content("/proc/self/mountinfo").splitlines():
        if line.split(b" ", 1)[0] == mount:
            kind: bytes = line.partition(LEFT_OF_TYPE)[2].split(b" ", 1)[0]
            return kind
    return b""
