"""A crowd of clients that say little, in a process of its own (python3 -m lab.crowd)."""

import collections
import contextlib
import os
import resource
import socket
import subprocess
import sys
import time

from . import pptp
from .logs import ProgramLog
from .namespaces import SERVER, popen

RATE = 50               # connections a second, once all are there
SAYS = b"", pptp.sccrq()[:100], pptp.sccrq()


class Strangers:
    """So many connections from many addresses: a third is silent, a third says half a message, a
    third greets and waits. All of them are there inside the block, and RATE more a second come,
    for each of which the oldest goes."""

    def __init__(self, lab, count):
        self.lab, self.count, self.ns = lab, count, lab.net.client()
        self.sources = [f"198.19.{n // 250}.{n % 250 + 1}" for n in range(max(10, count // 64))]
        for source in self.sources:
            lab.net.add_address(self.ns, source)

    def __enter__(self):
        self.process = popen(self.ns, [sys.executable, "-B", "-m", "lab.crowd", str(self.count),
                                       *self.sources],
                             env={"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ProgramLog(self.lab.file("crowd.log"), self.process, "crowd").wait("full", 3000)
        return self

    def __exit__(self, *_):
        ended = self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        self.lab.expect(not ended, "the crowd ended by itself: crowd.log")


def opened(source, words):
    sock = socket.socket()
    sock.settimeout(10)
    with contextlib.suppress(OSError):
        sock.bind((source, 0))
        sock.connect((SERVER, pptp.PORT))
        sock.send(words)
    return sock


def main():
    count, sources = int(sys.argv[1]), sys.argv[2:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    held, n, due = collections.deque(), 0, None
    while True:
        if len(held) == count:
            held.popleft().close()
        held.append(opened(sources[n % len(sources)], SAYS[n % len(SAYS)]))
        n += 1
        if n == count:
            print("full", flush=True)
            due = time.monotonic()
        if due is not None:
            due += 1 / RATE
            time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    main()
