"""Irreversibly drops the privileges that a decoder does not need; Linux only.

Each layer is used as far as the kernel supports it. No package is used: those for seccomp on PyPI need libseccomp, and
Landlock takes only two system calls here, as its rule set has no rules. Sources: Linux kernel,
Documentation/userspace-api/seccomp_filter.rst and landlock.rst; the headers named below.
"""

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Callable

#: <linux/prctl.h> and <linux/seccomp.h>.
_PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 15, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _PROT_EXEC = 1, 4
#: <linux/bpf_common.h>: load a word, jump if equal, jump if a bit is set, return; and places in struct seccomp_data.
_LOAD, _EQUAL, _BIT_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _THIRD_ARGUMENT_AT = 0, 4, 32

#: The system calls that computing needs, by machine: its AUDIT_ARCH, the numbers of those that are always allowed, and
#: of mmap and mprotect, allowed unless they make memory executable (<asm/unistd.h>). In order: read, write, munmap,
#: mremap, brk, madvise, rt_sigprocmask, rt_sigreturn, futex, sched_yield, clock_gettime, getrandom, restart_syscall,
#: exit, exit_group.
_CALLS = {
    "x86_64": (0xC000003E, (0, 1, 11, 25, 12, 28, 14, 15, 202, 24, 228, 318, 219, 60, 231), (9, 10)),
    "aarch64": (0xC00000B7, (63, 64, 215, 216, 214, 233, 135, 139, 98, 124, 113, 278, 128, 93, 94), (222, 226)),
}

#: The same numbers on every machine.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1

_library = ctypes.CDLL(None, use_errno=True)


def enter(memory_bytes: int, descriptors: int) -> dict[str, str]:
    """Gives up everything but computing and the first `descriptors` descriptors.

    `memory_bytes` is what may still be allocated. Returns the layers by name, each with the reason why it is not in
    force, or "" where it is.
    """
    _prctl(_PR_SET_NAME, ctypes.c_char_p(b"likeness-decode"))
    # Neither a core dump nor another process of the same user can show a photo.
    _prctl(_PR_SET_DUMPABLE, 0)
    in_use = _address_space_bytes()  # read while files can be opened
    layers = [
        ("no_new_privileges", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)),
        ("landlock", _restrict_files_and_network),
        ("limits", lambda: _limit(in_use + memory_bytes, descriptors)),
        ("seccomp", _filter_calls),
    ]
    return {name: _failure_of(layer) for name, layer in layers}


def _failure_of(layer: Callable[[], None]) -> str:
    try:
        layer()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _address_space_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _limit(address_space_bytes: int, descriptors: int) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, address_space_bytes),
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


def _restrict_files_and_network() -> None:
    """A Landlock rule set without a rule: no file, no TCP port, no signal and no abstract socket outside."""
    version = _call(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    file_rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rights = struct.pack("=QQQ", (1 << file_rights) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    rules = _call(_LANDLOCK_CREATE_RULESET, ctypes.c_char_p(rights), len(rights), 0)
    try:
        _call(_LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _filter_calls() -> None:
    """A seccomp filter: EPERM for every system call that computing does not need."""
    if platform.machine() not in _CALLS:
        raise ValueError(f"no list of system calls for {platform.machine()}")
    program = filter_program(platform.machine())
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):  # struct sock_fprog of <linux/filter.h>
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    described = Program(len(program) // 8, ctypes.addressof(instructions))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(described))


def filter_program(machine: str) -> bytes:
    """The filter for a machine, as the kernel takes it: instructions of struct sock_filter, 8 bytes each."""
    architecture, plain, mapping = _CALLS[machine]
    steps = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    steps += [(_LOAD, 0, 0, _NUMBER_AT)]
    for number in plain:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number in mapping:
        steps += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _THIRD_ARGUMENT_AT), (_BIT_SET, 1, 0, _PROT_EXEC)]
        steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE | _EPERM)]
    steps += [(_RETURN, 0, 0, _REFUSE | _EPERM)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _prctl(option: int, *arguments: object) -> None:
    given = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    _checked(_library.prctl(option, *given, *[ctypes.c_ulong(0)] * (4 - len(given))))


def _call(number: int, *arguments: object) -> int:
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_library.syscall(ctypes.c_long(number), *given))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
