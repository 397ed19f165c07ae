"""System calls a reading process has no use for: starting programs or processes, the network, looking into others.

Even a file that took over the reader could then neither start anything nor send anything away. On Linux on x86-64 and
arm64; elsewhere nothing is forbidden this way.

Source: seccomp(2) and the kernel's "Seccomp BPF" documentation.
"""

from __future__ import annotations

import ctypes
import platform
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1
"""Let it through; let it fail with "operation not permitted"."""
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NUMBERS = {
    # x86-64, arm64
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "fork": (57, None),
    "vfork": (58, None),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
}
_OTHER_NUMBERING = 0x40000000
"""From here on the numbers of x86-64's second way of calling, which is not needed either."""


def forbid() -> bool:
    """Forbids the calls to this process for good; True if the system took it.

    It must have given up new rights before (PR_SET_NO_NEW_PRIVS).
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES or struct.calcsize("P") != 8:
        return False
    numbers = [pair[machine == "aarch64"] for pair in _NUMBERS.values()]
    refused = [number for number in numbers if number is not None]
    # (code, steps if true, steps if false, value); the last instruction refuses, the one before it allows
    program = [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUALS, 0, len(refused) + 3, _ARCHITECTURES[machine])]
    program += [(_LOAD, 0, 0, _NUMBER_AT), (_AT_LEAST, len(refused) + 1, 0, _OTHER_NUMBERING)]
    program += [(_EQUALS, len(refused) - place, 0, number) for place, number in enumerate(refused)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    call = ctypes.CDLL(None).prctl
    call.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return bool(call(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(head), 0, 0) == 0)
