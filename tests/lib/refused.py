# SPDX-License-Identifier: Apache-2.0
"""Tries system calls, and prints for each its name and what became of it: ok, or the errno's name. None does any harm.

refused.py [FILE]    where to, in one step; else on standard output
"""
import ctypes
import errno
import os
import resource
import sys

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, PTRACE_TRACEME, NO_PERSONALITY = 0x10000000, 0, 0xFFFFFFFF
# From 424 on numbers are those of all architectures. One that no kernel has yet, and one that is newer than any filter.
PIDFD_OPEN, NOT_YET = 434, 500

CALLS = {
    # Which nobody needs a privilege for: refused by a filter alone.
    "ptrace": lambda: in_child(lambda: libc.ptrace(PTRACE_TRACEME, 0, 0, 0)),
    "unshare": lambda: in_child(lambda: libc.unshare(CLONE_NEWUSER)),
    "process_vm_readv": lambda: libc.process_vm_readv(os.getpid(), None, 0, None, 0, 0),
    "personality": lambda: libc.personality(NO_PERSONALITY),
    "setns": lambda: libc.setns(-1, 0),
    # Which also take a privilege.
    "mount": lambda: libc.mount(b"none", b"/nowhere", b"tmpfs", 0, None),
    "chroot": lambda: libc.chroot(b"/nowhere"),
    "swapon": lambda: libc.swapon(b"/nowhere", 0),
    # Which are allowed, or unknown.
    "pidfd_open": lambda: libc.syscall(PIDFD_OPEN, os.getpid(), 0),
    "not_yet": lambda: libc.syscall(NOT_YET),
}


def in_child(call):
    pid = os.fork()
    if pid == 0:
        os._exit(ctypes.get_errno() if call() < 0 else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ctypes.set_errno(code)
    return -1 if code else 0


def outcome(call):
    return "ok" if call() >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
text = "".join(f"{name} {outcome(call)}\n" for name, call in CALLS.items())
text += "".join(f"{name} {status[name].strip()}\n" for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp"))
text += f"uid {os.getuid()}\n"
text += f"descriptors {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}\n"
if len(sys.argv) > 1:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(text)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
else:
    sys.stdout.write(text)
