# SPDX-License-Identifier: Apache-2.0
"""A command on a terminal of its own: screen.py COLUMNSxROWS STEP... -- CMD...

Steps, one after the other:
  shows:REGEX    waits until the screen has it (10 s)
  dump:FILE      writes what the screen shows, a line a row
  size:CxR       makes the terminal larger or smaller
  key:TEXT       presses keys, as in a Python string
  signal:NAME    sends a signal to the command
  sleep:SECONDS
  stopped:       waits until the command is stopped

Then the command has to end within 10 s. Prints what it left, as JSON: code (-N: killed by signal N), alternate (is the
alternate screen shown), cursor (is it shown), same (are the terminal's settings those of before), styles (the sequences that
set one).
"""
import ast
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pyte

PATIENCE = 10


class Screen(pyte.Screen):
    alternate = False

    def set_mode(self, *modes, **kwargs):
        self.alternate |= 1049 in modes
        super().set_mode(*modes, **kwargs)

    def reset_mode(self, *modes, **kwargs):
        self.alternate &= 1049 not in modes
        super().reset_mode(*modes, **kwargs)


class Terminal:
    def __init__(self, columns, rows, command):
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.styles = set()
        self.status = None
        master, slave = pty.openpty()
        self.master, self.slave = master, slave
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if not self.pid:
            os.close(master)
            login_tty(slave)
            os.execvp(command[0], command)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self, seconds):
        """What comes within that time, or until something has come."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        data = os.read(self.master, 65536)
        self.styles.update(re.findall(rb"\x1b\[[0-9;]*m", data))
        self.stream.feed(data)
        return True

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, holds, what):
        end = time.monotonic() + PATIENCE
        while not holds():
            self.read(0.05)
            if time.monotonic() > end:
                sys.exit(f"waited in vain for {what}; the screen is:\n{self.text()}")

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and not os.WIFSTOPPED(status):
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def stopped(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"

    def left(self):
        self.until(self.ended, "its end")
        while self.read(0.1):
            pass
        return {
            "code": self.status,
            "alternate": self.screen.alternate,
            "cursor": not self.screen.cursor.hidden,
            "same": termios.tcgetattr(self.slave) == self.before,
            "styles": sorted(style.decode()[1:] for style in self.styles),
        }


def login_tty(fd):
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(fd, number)
    if fd > 2:
        os.close(fd)


def size_of(text):
    return [int(number) for number in text.split("x")]


def take(terminal, step):
    verb, _, what = step.partition(":")
    if verb == "shows":
        terminal.until(lambda: re.search(what, terminal.text(), re.M), what)
    elif verb == "dump":
        with open(what, "w", encoding="utf-8") as file:
            file.write(terminal.text() + "\n")
    elif verb == "size":
        terminal.resize(*size_of(what))
    elif verb == "key":
        os.write(terminal.master, ast.literal_eval(f'"{what}"').encode())
    elif verb == "signal":
        os.kill(terminal.pid, getattr(signal, "SIG" + what))
    elif verb == "sleep":
        end = time.monotonic() + float(what)
        while time.monotonic() < end:
            terminal.read(0.05)
    elif verb == "stopped":
        terminal.until(terminal.stopped, "it to be stopped")
    else:
        sys.exit(f"no such step: {step}")


def main():
    steps, command = sys.argv[2:], []
    if "--" in steps:
        at = steps.index("--")
        steps, command = steps[:at], steps[at + 1 :]
    terminal = Terminal(*size_of(sys.argv[1]), command)
    try:
        for step in steps:
            take(terminal, step)
        print(json.dumps(terminal.left()))
    finally:
        if not terminal.ended():
            os.kill(terminal.pid, signal.SIGKILL)


main()
