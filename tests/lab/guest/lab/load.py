"""The load generator: many clients in one process (tests/bench/pptpload)."""

import json
import signal
import subprocess

from .client import Client
from .errors import LabError
from .logs import ProgramLog
from .namespaces import popen

PROGRAM = "/usr/lib/lab/pptpload"
# For -m: more logins at once than that a slow machine gives up by pppd's own times.
AT_ONCE = 8


class Load:
    """A running pptpload; it says what happens in lines of JSON."""

    def __init__(self, lab, ns, mode, *words):
        self.mode = mode
        command = [PROGRAM, mode, *map(str, words)]
        lab.say(f"{' '.join(command)} in {ns}")
        self.process = popen(ns, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.log = ProgramLog(lab.file(f"pptpload-{ns}-{mode}.log"), self.process, "pptpload")

    def wait(self, event, timeout=300, start=0):
        """The event of that name as a dictionary."""
        line = self.log.wait(rf'"event":"{event}"', timeout, start)
        return json.loads(line.text)

    def result(self, timeout=300):
        """Its last event, once it has ended."""
        found = self.wait("result", timeout)
        self.process.wait(timeout)
        return found

    def stop(self, timeout=300):
        """All calls hang up; the result."""
        self.process.send_signal(signal.SIGTERM)
        return self.result(timeout)

    def end(self):
        """Of a sink, which has no result."""
        self.process.terminate()
        self.process.wait()

    def expect_whole(self, result, calls):
        """Every call came and stayed, and no byte of it was damaged or in plain text."""
        wrong = {name: result[name] for name in ("broken", "bad", "duplicate", "plain")
                 if result[name]}
        if result["up"] != calls or result["failures"] or wrong:
            raise LabError(f"{result['up']} of {calls} calls up, {result['failures']}, {wrong}")


class KernelClient(Client):
    """One call with pppd on the kernel's PPTP socket: the fastest client there is."""

    def command(self):
        return [PROGRAM, "kernel", self.server, "pppd", "plugin", "pptpctrl.so",
                "pptp_client", self.server, "pptp_sock", "3", *self.options, "user", self.user,
                "password", self.password, "ipparam", self.ns, *self.more]
