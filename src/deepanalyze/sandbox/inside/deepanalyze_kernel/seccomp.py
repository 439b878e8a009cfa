"""Which system calls the code may not make: the kernel's rarely needed doors, and what the rest of the sandbox
cannot see. A list of refusals, because the libraries of data analysis use most of the others.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import Any

from .bpf import Comparison, Rule, assemble

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LAST_KNOWN = 470
_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_UNIX, _INET, _INET6, _STREAM, _SEQPACKET = 1, 2, 10, 1, 5
_CLONE_NEW_ANY = 0x7E02_0080
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_O_TRUNC, _O_ACCMODE = os.O_TRUNC, os.O_ACCMODE

# name: (x86_64, aarch64); None where the architecture has no such call.
_OLD: dict[str, tuple[int | None, int | None]] = {
    "_sysctl": (156, None), "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "chmod": (90, None), "chown": (92, None), "chroot": (161, 51), "clock_adjtime": (305, 266),
    "clock_settime": (227, 112), "clone": (56, 220), "connect": (42, 203), "create_module": (174, None),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchown": (93, 55), "fchownat": (260, 54), "finit_module": (313, 273), "fremovexattr": (199, 16),
    "fsetxattr": (190, 7), "futimesat": (261, None), "init_module": (175, 105), "inotify_add_watch": (254, 27),
    "ioctl": (16, 29), "ioperm": (173, None), "iopl": (172, None), "ioprio_set": (251, 30), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219), "kill": (62, 129),
    "lchown": (94, None), "lookup_dcookie": (212, 18), "lremovexattr": (198, 15), "lsetxattr": (189, 6),
    "migrate_pages": (256, 238), "modify_ldt": (154, None), "mount": (165, 40), "move_pages": (279, 239),
    "mq_open": (240, 180), "msgget": (68, 186), "name_to_handle_at": (303, 264), "nfsservctl": (180, 42),
    "open": (2, None), "open_by_handle_at": (304, 265), "openat": (257, 56), "perf_event_open": (298, 241),
    "personality": (135, 92), "pivot_root": (155, 41), "prlimit64": (302, 261), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142),
    "removexattr": (197, 14), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "semget": (64, 190),
    "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268), "setpriority": (141, 140),
    "settimeofday": (164, 170), "setxattr": (188, 5), "shmget": (29, 194), "shmat": (30, 196), "socket": (41, 198),
    "socketpair": (53, 199), "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116),
    "tgkill": (234, 131), "tkill": (200, 130), "truncate": (76, 45), "umount2": (166, 39), "unshare": (272, 97),
    "uselib": (134, None), "userfaultfd": (323, 282), "utime": (132, None), "utimensat": (280, 88),
    "utimes": (235, None), "vhangup": (153, 58),
}  # fmt: skip
# Since Linux 5.1 a call has the same number everywhere.
_NEW = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "clone3": 435, "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "quotactl_fd": 443, "memfd_secret": 447, "process_mrelease": 448, "fchmodat2": 452, "statmount": 457,
    "listmount": 458, "setxattrat": 463, "removexattrat": 466, "open_tree_attr": 467, "file_setattr": 469,
}  # fmt: skip

_NEVER = (
    *(
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
        "pidfd_getfd",
        "process_madvise",
        "process_mrelease",
    ),
    *("mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount"),
    *("open_tree", "open_tree_attr", "mount_setattr", "statmount", "listmount", "unshare", "setns"),
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("keyctl", "add_key", "request_key", "init_module", "finit_module", "delete_module", "create_module"),
    *(
        "kexec_load",
        "kexec_file_load",
        "open_by_handle_at",
        "name_to_handle_at",
        "reboot",
        "swapon",
        "swapoff",
    ),
    *("acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("sethostname", "setdomainname", "syslog", "iopl", "ioperm", "modify_ldt", "vhangup", "personality"),
    *("fanotify_init", "memfd_secret", "lookup_dcookie", "nfsservctl", "uselib", "_sysctl"),
    *("migrate_pages", "move_pages"),
)
_SHARED_BY_ALL_PROCESSES = ("shmget", "shmat", "semget", "msgget", "mq_open", "inotify_add_watch")
# Pretended for others, because a process names its own threads like them, and ZeroMQ gives up on a refusal.
_SCHEDULING = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
# Landlock does not judge these, so they would reach every file of the user. Copying a file must still work.
_PRETENDED = (
    *("chmod", "fchmod", "fchmodat", "utime", "utimes", "futimesat", "utimensat"),
    *("chown", "fchown", "fchownat", "lchown"),
)
_NOT_SUPPORTED = ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
_NOT_KNOWN = ("setxattrat", "removexattrat", "fchmodat2", "file_setattr")
_SIGNALS_BY_OTHER_WAYS = ("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def program(profile: dict[str, Any]) -> bytes:
    """The filter for this machine.

    The profile says what else protects here. `namespaces`: own network, processes and IPC. `own_user`: a uid that
    nothing else has. `scoped_signals`, `truncation`: Landlock judges these.
    """
    machine = platform.machine()
    rules = [*_refused(_NEVER, errno.EPERM), *_no_new_namespaces(), *_no_typing_into_terminals()]
    if profile["namespaces"]:
        rules += _only_sockets_of(_UNIX, _INET, _INET6)
    else:
        rules += [
            *_only_sockets_of(_UNIX),
            *_no_way_to_other_sockets(),
            *_refused(_SHARED_BY_ALL_PROCESSES, errno.EPERM),
        ]
        if not profile["own_user"]:
            rules += _hands_off_the_users_other_things(profile)
    return assemble(rules, architecture=_ARCHITECTURES[machine], last_known=_LAST_KNOWN)


def install(code: bytes) -> None:
    """Binds the calling process and all it will ever start. Needs no_new_privs to be set."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    prepared = Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(prepared), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _refused(names: tuple[str, ...], code: int, *when: Comparison) -> list[Rule]:
    column = 0 if platform.machine() == "x86_64" else 1
    numbers = [_NEW[name] if name in _NEW else _OLD[name][column] for name in names]
    return [Rule(number, code, when) for number in numbers if number is not None]


def _no_new_namespaces() -> list[Rule]:
    # The flags of clone3 lie in memory, which a filter cannot read; glibc falls back to clone.
    return [
        *_refused(("clone",), errno.EPERM, Comparison(0, 0, equal=False, mask=_CLONE_NEW_ANY)),
        *_refused(("clone3",), errno.ENOSYS),
    ]


def _no_typing_into_terminals() -> list[Rule]:
    return [
        rule
        for request in (_TIOCSTI, _TIOCLINUX)
        for rule in _refused(("ioctl",), errno.EPERM, Comparison(1, request))
    ]


def _only_sockets_of(*families: int) -> list[Rule]:
    """No other family has its door watched by a namespace or Landlock; vsock, for one, leads to the host."""
    return _refused(("socket",), errno.EACCES, *(Comparison(0, family, equal=False) for family in families))


def _no_way_to_other_sockets() -> list[Rule]:
    """Sockets with a path, such as D-Bus, lead out, and Landlock does not judge them: the code may only listen."""
    only_connected = (
        Comparison(1, _STREAM, equal=False, mask=0xF),
        Comparison(1, _SEQPACKET, equal=False, mask=0xF),
    )
    return [
        *_refused(("connect",), errno.EACCES),
        *_refused(("socket", "socketpair"), errno.EACCES, *only_connected),
    ]


def _hands_off_the_users_other_things(profile: dict[str, Any]) -> list[Rule]:
    rules = [
        *_refused(("prlimit64",), errno.EPERM, Comparison(0, 0, equal=False)),
        *_refused(_SCHEDULING, 0, Comparison(0, 0, equal=False)),
        *_refused(("setpriority", "ioprio_set"), errno.EPERM, Comparison(1, 0, equal=False)),
        *_refused(("setpriority",), errno.EPERM, Comparison(0, 0, equal=False)),
        *_refused(("ioprio_set",), errno.EPERM, Comparison(0, 1, equal=False)),
        *_refused(_PRETENDED, 0),
        *_refused(_NOT_SUPPORTED, errno.ENOTSUP),
        *_refused(_NOT_KNOWN, errno.ENOSYS),
    ]
    if not profile["scoped_signals"]:
        own = os.getpid()
        others = [Comparison(0, pid & 0xFFFF_FFFF, equal=False) for pid in (own, 0, -own)]
        rules += [
            *_refused(("kill", "tgkill"), errno.EPERM, *others),
            *_refused(_SIGNALS_BY_OTHER_WAYS, errno.EPERM),
        ]
    if not profile["truncation"]:
        rules += _no_truncation()
    return rules


def _no_truncation() -> list[Rule]:
    """Before Linux 6.2 Landlock lets a file be emptied that may only be read."""
    emptied = Comparison(0, _O_TRUNC | os.O_RDONLY, mask=_O_TRUNC | _O_ACCMODE)
    return [
        *_refused(("truncate",), errno.EPERM),
        *_refused(("open",), errno.EPERM, Comparison(1, emptied.value, mask=emptied.mask)),
        *_refused(("openat",), errno.EPERM, Comparison(2, emptied.value, mask=emptied.mask)),
        *_refused(("openat2",), errno.ENOSYS),
    ]
