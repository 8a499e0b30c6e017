"""The machine lacks something: one line says what to do, and nothing is left behind."""

import contextlib
import os
import re
import socket
import stat
import struct
import subprocess
import sys

from lab import LabError, ip, poll, popen, processes, run, scenario
from lab.namespaces import MS_BIND, MS_REC, inside, mount
from lab.server import OPTIONS, Server

LOG_ERR, LOG_WARNING = 3, 4
PROGRAM = "/usr/sbin/pptpd"
MODPROBE = "/proc/sys/kernel/modprobe"
MODULES = "ppp_generic ppp_async ppp_mppe pptp l2tp_ppp".split()
MS_NODEV, MS_REMOUNT = 4, 32
FEW = "192.168.1.1-100"    # as many as connections: any other number has a line of its own
QUICK = OPTIONS + "lcp-echo-interval 1\nlcp-echo-failure 2\n"


# -- how a refusal looks --------------------------------------------------------

def refused(lab, what, regex, log=True, **how):
    """The server ends with status 1 and one line on standard error (and one in the log, when
    there is one) that matches; it leaves nothing. Returns the line."""
    how.setdefault("remote_ip", FEW)
    server = lab.server(start=False, **how)
    server.start(wait=False)
    try:
        status = server.process.wait(60)
    except subprocess.TimeoutExpired:
        raise LabError(f"{what}: the server runs") from None
    server.log.thread.join(10)
    said = [line.text for line in server.log.lines]
    lab.say(f"{what}: {' | '.join(said)}")
    lab.expect(status == 1, f"{what}: status {status}")
    lab.expect(len(said) == 1 and re.search(regex, said[0]), f"{what}: it said {said}")
    if log:
        expect_one_error(lab, what, regex, server.mark)
    lab.expect_clean()
    left = [path for path in ("/run/pptpd.pid", "/run/pptpd/control") if os.path.exists(path)]
    lab.expect(not left, f"{what}: left {left}")
    return said[0]


def expect_one_error(lab, what, regex, mark):
    lab.syslog.wait(regex, start=mark)
    logged = [line.text for line in lab.syslog.lines[mark:]
              if line.ident == "pptpd" and line.priority <= LOG_ERR]
    lab.expect(len(logged) == 1 and re.search(regex, logged[0]), f"{what}: it logged {logged}")


def serves(lab, path, **how):
    """A call comes up over this data path. Returns the server, which has ended."""
    server = lab.server(options=QUICK, **how)
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    server.wait_log(rf"call \d+ up: .*datapath {path}", start=server.mark)
    call.stop()
    server.wait_log(r"call \d+ ended", start=server.mark)
    lab.expect_clean()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()
    return server


def falls_back(lab, what, regex):
    """datapath auto takes the pty, and one line says why."""
    server = serves(lab, "tty", datapath="auto")
    lines = server.find_log("instead of relay", server.mark)
    lab.say(f"{what}: {lines[0].text if lines else 'nothing'}")
    lab.expect(len(lines) == 1 and re.search(regex, lines[0].text) and
               lines[0].priority == LOG_WARNING, f"{what}: it logged {lines}")


# -- how a machine is made to lack something ---------------------------------------

def write(path, text, mode=0o644):
    with open(path, "w") as handle:
        handle.write(text)
    os.chmod(path, mode)


def module_users(name):
    """Modules that use a module; None when it is not loaded."""
    for line in open("/proc/modules"):
        words = line.split()
        if words[0] == name:
            return [user for user in words[3].split(",") if user not in ("", "-")]
    return None


def unload(name):
    """With all that use it. A socket that was just closed may hold it for a moment."""
    users = module_users(name)
    if users is None:
        return
    for user in users:
        unload(user)
    poll(lambda: run(None, "rmmod", name, check=False).returncode == 0, f"{name} is unloaded")


def set_helper(path):
    """The program that the kernel loads modules with."""
    with open(MODPROBE, "w") as handle:
        handle.write(path)


@contextlib.contextmanager
def without(*modules):
    """The kernel lacks these modules, and nothing can load them."""
    run(None, "modprobe", "-a", *MODULES)
    with open(MODPROBE) as handle:
        was = handle.read().strip()
    set_helper("/nonexistent")
    try:
        for name in modules:
            unload(name)
        yield
    finally:
        set_helper(was)
        run(None, "modprobe", "-a", *MODULES)


def empty(path):
    """A function that hides what is in a directory, for one program."""
    return lambda: mount("none", path, "tmpfs", data="mode=755")


def hide(path, behind="/dev/null"):
    """A function that lays another file over a file, for one program."""
    return lambda: mount(behind, path, flags=MS_BIND)


def container_dev(*more):
    """/dev as in a container: no ppp, but what every program needs, and more (name, major)."""
    mount("none", "/mnt", "tmpfs", data="mode=755")
    os.mknod("/mnt/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for name, major in more:
        os.mknod(f"/mnt/{name}", 0o600 | stat.S_IFCHR, os.makedev(major, 0))
    write("/mnt/log", "")
    mount("/dev/log", "/mnt/log", flags=MS_BIND)
    mount("/mnt", "/dev", flags=MS_BIND | MS_REC)


def forbidden_ppp():
    """/dev/ppp is there, but opening it is not allowed."""
    mount("none", "/mnt", "tmpfs", flags=MS_NODEV)
    os.mknod("/mnt/ppp", 0o600 | stat.S_IFCHR, os.makedev(108, 0))
    mount("/mnt/ppp", "/dev/ppp", flags=MS_BIND)


def node_without_driver():
    """/dev/ppp was made by hand; there is no driver behind it."""
    container_dev(("ppp", 108))


def as_release(name):
    """A command before the server's: its uname() answers with another kernel release."""
    names = "".join(part.encode().ljust(65, b"\0").hex() for part in ("Linux", "lab", name))
    return ["strace", "-qq", "-o", "/tmp/strace.log", "-e", "trace=uname", "-e", "signal=none",
            "-e", rf"inject=uname:poke_exit=@arg1={names}"]


# -- kernel and devices -------------------------------------------------------------

@scenario(group="environment", needs_build=True)
def no_ppp(lab):
    """Kernel without PPP: Debian's cloud kernel, modules gone, not built, container."""
    kernel = re.escape(os.uname().release)
    with without("ppp_generic"):
        refused(lab, "cloud kernel", r"/dev/ppp is not there: kernel 6\.1\.0-9-cloud-amd64 is "
                r"Debian's cloud kernel.*install package linux-image-amd64 and boot",
                wrapper=as_release("6.1.0-9-cloud-amd64"))
        refused(lab, "modules gone", rf"/dev/ppp is not there: /lib/modules/{kernel} is not "
                r"there: .*reboot after a kernel upgrade", mounts=empty("/usr/lib/modules"))
        line = refused(lab, "not built", rf"/dev/ppp is not there: kernel {kernel} was built "
                       r"without it, or its modules package is not installed \(Debian "
                       r"linux-image-amd64")
        lab.expect("mknod /dev/ppp c 108 0" in line, f"no word about containers: {line}")
        refused(lab, "node without driver", rf"module ppp_generic cannot be loaded: kernel "
                rf"{kernel}", mounts=node_without_driver)
        refused(lab, "no log", r"/dev/ppp is not there", log=False, mounts=hide("/dev/log"))
    refused(lab, "container", r"/dev/ppp is not there though the kernel has PPP: in a container, "
            r"pass the device in \(--device /dev/ppp", mounts=container_dev)
    refused(lab, "forbidden", r"/dev/ppp: Permission denied \(the server needs root with "
            r"CAP_NET_ADMIN", mounts=forbidden_ppp)
    serves(lab, "relay", datapath="relay")


@scenario(group="environment", needs_build=True)
def module_missing(lab):
    """l2tp_ppp, pptp, ppp_mppe, ppp_async missing: named; auto falls back to the pty."""
    l2tp = r"no PPP over L2TP: module l2tp_ppp is not there \(Debian: package linux-image-amd64"
    with without("l2tp_ppp"):
        falls_back(lab, "auto without l2tp_ppp", l2tp)
        refused(lab, "relay without l2tp_ppp", "datapath relay: the kernel has " + l2tp,
                datapath="relay")
    with without("pptp"):
        refused(lab, "kernel without pptp", r"datapath kernel: module pptp cannot be loaded "
                r"\(Debian: package linux-image-amd64.*use datapath auto", datapath="kernel")
    with without("ppp_mppe"):
        refused(lab, "MPPE without ppp_mppe", r"options require MPPE, and module ppp_mppe cannot "
                r"be loaded: kernel .*linux-image-amd64")
        server = lab.server(options="noauth\n")
        server.wait_log("lets clients in without encryption", start=server.mark)
        lab.expect(server.stop() == 0, "status")
    with without("ppp_async"):
        refused(lab, "tty without ppp_async", r"datapath tty: module ppp_async cannot be loaded: "
                r"kernel .*linux-image-amd64", datapath="tty")
        # The stock client needs it too: no call here.
        server = lab.server(datapath="auto")
        lab.expect(server.stop() == 0, "status")
    with without("ppp_async", "l2tp_ppp"):
        refused(lab, "auto without both", r"datapath tty: module ppp_async cannot be loaded",
                datapath="auto")
    lab.expect_clean()


@scenario(group="environment", needs_build=True)
def loopback(lab):
    """lo down, a firewall that drops UDP on lo: named; auto falls back to the pty."""
    down = "the loopback interface lo is down; bring it up with: ip link set lo up"
    ip("srv", "link set lo down")
    refused(lab, "relay, lo down", "datapath relay: " + down, datapath="relay")
    falls_back(lab, "auto, lo down", down)
    ip("srv", "link set lo up")
    dropped = r"UDP from 127\.0\.0\.1 to 127\.0\.0\.1 does not get through: a firewall drops it"
    for chain, way in (("INPUT", "-i"), ("OUTPUT", "-o")):
        rule = [chain, way, "lo", "-p", "udp", "-j", "DROP"]
        run("srv", "iptables-legacy", "-w", "-A", *rule)
        refused(lab, f"relay, {chain} drops", "datapath relay: " + dropped, datapath="relay")
        if chain == "INPUT":
            falls_back(lab, f"auto, {chain} drops", dropped)
        run("srv", "iptables-legacy", "-w", "-D", *rule)
    serves(lab, "relay", datapath="auto")


# -- pppd, plugin, options --------------------------------------------------------------

def plugin_path():
    folder = "/usr/lib/pppd"
    return next(f"{folder}/{version}/pptpctrl.so" for version in os.listdir(folder)
                if os.path.exists(f"{folder}/{version}/pptpctrl.so"))


def patched(path, old, new, name):
    """A copy of a file with a string replaced by one as long; its path."""
    with open(path, "rb") as handle:
        data = handle.read()
    if old.encode() not in data or len(old) != len(new):
        raise LabError(f"no {old} in {path}")
    copy = f"/tmp/{name}"
    with open(copy, "wb") as handle:
        handle.write(data.replace(old.encode(), new.encode()))
    os.chmod(copy, 0o755)
    return copy


@scenario(group="environment", needs_build=True)
def pppd_unusable(lab):
    """pppd missing, not executable, another version; plugin missing, of another version."""
    install = r"\(install package ppp, or set keyword ppp\)"
    refused(lab, "no pppd", rf"PPP binary /usr/sbin/nopppd not executable: No such file.*{install}",
            conf="ppp /usr/sbin/nopppd\n")
    write("/tmp/pppd", "no program\n", 0o644)
    refused(lab, "not executable", rf"PPP binary /tmp/pppd not executable: Permission denied "
            rf"{install}", conf="ppp /tmp/pppd\n")
    plugin = plugin_path()
    ours = plugin.split("/")[-2]
    other = {"2.4.9": "2.5.2", "2.5.2": "2.4.9"}[ours]
    strange = patched("/usr/sbin/pppd", ours, other, "strange-pppd")
    refused(lab, "another pppd", rf"/tmp/strange-pppd is version {other}, but plugin pptpctrl.so "
            rf"was built for pppd {ours}: install the pptpctrl package of this",
            conf=f"ppp {strange}\n")
    refused(lab, "no plugin", rf"pppd cannot load plugin pptpctrl.so from {os.path.dirname(plugin)}"
            r": install it there \(make install\)", mounts=empty(os.path.dirname(plugin)))
    old = patched(plugin, ours, other, "old.so")
    refused(lab, "another plugin", r"plugin pptpctrl.so in /usr/lib/pppd/\S+ was built for another "
            r"pppd than /usr/sbin/pppd: install the pptpctrl package of this distribution release.*"
            rf"is for pppd version {other}, this is {ours}", mounts=hide(plugin, old))
    serves(lab, "relay", datapath="relay")


@scenario(group="environment", needs_build=True)
def options_unusable(lab):
    """Options file missing, a directory, with an unknown option, for a missing plugin."""
    options = "/etc/ppp/options.pptpd"
    refused(lab, "missing", rf"PPP options file {options} not readable: No such file or directory "
            r"\(keyword option in /etc/pptpd.conf\)", mounts=lambda: os.unlink(options))

    def directory():
        os.unlink(options)
        os.mkdir(options)
    refused(lab, "a directory", rf"PPP options file {options}: this is no regular file",
            mounts=directory)
    os.rmdir(options)
    refused(lab, "unknown option", rf"pppd refuses its options \(file {options}, exit status 2\): "
            r".*In file .*unrecognized option 'reqire-mppe'", options=OPTIONS + "reqire-mppe\n")
    refused(lab, "bad value", rf"pppd refuses its options \(file {options}, exit status 2\): .*lots",
            options=OPTIONS + "mtu lots\n")
    refused(lab, "unknown plugin", r"pppd refuses its options .*file " + options +
            r".*nosuch\.so", options=OPTIONS + "plugin nosuch.so\n")
    refused(lab, "no log", r"unrecognized option 'reqire-mppe'", log=False,
            options=OPTIONS + "reqire-mppe\n", mounts=hide("/dev/log"))


@scenario(group="environment", needs_build=True, releases=("13",))
def legacy_provider(lab):
    """pppd 2.5 without OpenSSL's legacy provider: the package is named."""
    modules = next(os.path.join(where, name) for where, names, _ in os.walk("/usr/lib")
                   for name in names if name == "ossl-modules")
    refused(lab, "no legacy provider", r"needs OpenSSL's legacy provider for MS-CHAPv2 and it is "
            r"not there: install package openssl-provider-legacy", mounts=empty(modules))
    refused(lab, "no log", r"install package openssl-provider-legacy", log=False,
            mounts=lambda: (empty(modules)(), hide("/dev/log")()))
    serves(lab, "relay", datapath="relay")


# -- the rest of the start ------------------------------------------------------------

@scenario(group="environment", needs_build=True)
def addresses_taken(lab):
    """Port 1723 taken, listen address of another host, a second server."""
    holder = popen("srv", [sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
    poll(lambda: processes.listens(holder.pid, 1723), "the port is taken")
    refused(lab, "port taken", r"TCP port 1723 of 0\.0\.0\.0 is taken by another program: "
            r"find it with ss -ltnp 'sport = :1723' and stop it, or choose another address with listen")
    holder.kill()
    holder.wait()
    refused(lab, "strange address", r"no interface of this host has the address 192\.0\.2\.7 that "
            r"listen names", conf="listen 192.0.2.7\n")
    first = lab.server(conf="listen 198.18.0.1\n")
    second = Server(lab, conf="listen 127.0.0.1\n")
    second.start(wait=False)
    status = second.process.wait(60)
    second.log.thread.join(10)
    said = [line.text for line in second.log.lines]
    lab.say(f"second server: {said}")
    lab.expect(status == 1 and len(said) == 1 and re.search(
        r"another pptpctrl is running: it answers on /run/pptpd/control; stop it, or give this "
        r"one its own configuration and pid file", said[0]), f"second server: {status} {said}")
    call = lab.client(up=True)
    lab.ping(call.ns, first.local_ip)
    call.stop()
    first.wait_log(r"call \d+ ended")
    lab.expect(first.stop() == 0, "status")
    lab.expect_clean()


HOLD = """
import socket, time
held = socket.create_server(("0.0.0.0", 1723))
time.sleep(1000)
"""


@scenario(group="environment", needs_build=True)
def rights_missing(lab):
    """Not root, root without capabilities, no user pptpd: named."""
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    # Before it has looked at anything: a message for who typed it, not for the log.
    line = refused(lab, "nobody", r"must be started as root: .*CAP_NET_ADMIN, CAP_NET_RAW",
                   log=False, wrapper=nobody)
    lab.expect(line.startswith("pptpd: "), line)
    refused(lab, "root without CAP_NET_ADMIN", r"CAP_NET_ADMIN",
            wrapper=["setpriv", "--bounding-set", "-net_admin"])
    refused(lab, "root without CAP_NET_RAW", r"raw GRE socket: .*CAP_NET_RAW",
            wrapper=["setpriv", "--bounding-set", "-net_raw"])
    with open("/etc/passwd") as handle:
        users = handle.read()
    write("/etc/passwd", re.sub(r"(?m)^pptpd:.*\n", "", users))
    refused(lab, "no user pptpd", r"there is no user pptpd .*create it with systemd-sysusers, or "
            r"useradd --system")
    write("/etc/passwd", users)


@scenario(group="environment", needs_build=True)
def bad_configuration(lab):
    """Configuration missing or wrong: file, line, value and reason, also on a terminal."""
    def missing():
        os.unlink("/etc/pptpd.conf")
    refused(lab, "no log", r"/etc/pptpd\.conf.*No such file", log=False,
            mounts=lambda: (missing(), hide("/dev/log")()))
    wrong = r"/etc/pptpd\.conf line \d+: .*datapath.*sideways"
    refused(lab, "no log", wrong, log=False, datapath="sideways", mounts=hide("/dev/log"))
    for regex, how in ((r"/etc/pptpd\.conf.*No such file", dict(mounts=missing)),
                       (wrong, dict(datapath="sideways"))):
        said = on_terminal(lab, **how)
        lab.expect(len(said) == 1 and re.search(regex, said[0]), f"on a terminal: {said}")
    server = lab.server(start=False, datapath="sideways")
    server.start(wait=False)
    lab.expect(server.process.wait(60) == 1, "status")
    server.log.wait(r"the configuration has errors, see the system log")
    expect_one_error(lab, "sideways", wrong, server.mark)
    lab.expect_clean()


def on_terminal(lab, mounts=None, **how):
    """What a start in the foreground prints on a terminal; its status is 1."""
    server = lab.server(start=False, remote_ip=FEW, **how)
    server.write_files()
    master, slave = os.openpty()
    process = popen("srv", server.command(), mounts=mounts, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    with contextlib.suppress(OSError):      # EIO: nobody has the terminal any more
        while data := os.read(master, 4096):
            said += data
    os.close(master)
    lab.expect(process.wait(60) == 1, f"status {process.returncode}")
    lab.say(f"on a terminal: {said.decode()}")
    return said.decode().replace("\r", "").splitlines()


# -- ways to be started ---------------------------------------------------------------

def daemon(lab, **how):
    """pptpd as from a shell: its exit status, what it printed, and the server's files."""
    server = lab.server(start=False, remote_ip=FEW, **how)
    server.write_files()
    process = popen("srv", [PROGRAM, "-c", server.conf_file], mounts=server.mounts,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read().decode()   # ends when the daemon has let go of it
    return process.wait(60), said, server


@scenario(group="environment", needs_build=True)
def daemonised(lab):
    """Without -f: status 0 when it serves, errors reach the terminal; pid file; stop."""
    for log in (True, False):
        status, said, _ = daemon(lab, options=OPTIONS + "reqire-mppe\n",
                                 mounts=None if log else hide("/dev/log"))
        lab.say(f"daemon with an error, log {log}: {status} {said!r}")
        lab.expect(status == 1 and said.count("\n") == 1 and "'reqire-mppe'" in said,
                   f"log {log}: status {status}, printed {said!r}")
    lab.expect_clean()
    lab.expect(not os.path.exists("/run/pptpd.pid"), "pid file of a server that did not start")
    mark = lab.syslog.mark()
    status, said, server = daemon(lab)
    lab.expect(status == 0 and not said, f"status {status}, printed {said!r}")
    with open("/run/pptpd.pid") as handle:
        pid = int(handle.read())
    # It served before the command returned: nothing is waited for here.
    lab.expect(processes.listens(pid, 1723), "it does not listen")
    streams = [processes.descriptors(pid).get(fd) for fd in range(3)]
    lab.expect(streams == ["/dev/null"] * 3, f"standard streams: {streams}")
    lab.expect(os.getsid(pid) == os.getpgid(pid) != os.getsid(0), "it has a session of another")
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    call.stop()
    lab.syslog.wait(r"call \d+ ended", start=mark)
    family = processes.descendants(pid)
    os.kill(pid, 15)
    poll(lambda: not any(processes.state(p) not in ("", "Z") for p in family), "the daemon's end")
    lab.expect(not os.path.exists("/run/pptpd.pid"), "the pid file is left")
    lab.expect(not os.path.exists("/run/pptpd/control"), "the status socket is left")
    lab.expect_clean()


# Hands over listening sockets as systemd does: as descriptors 3 and on, to the process that
# it becomes.
ACTIVATE = """
import os, socket, sys
kind, program = sys.argv[1], sys.argv[2:]
if kind == "tcp":
    made = [socket.create_server((address, 1723)) for address in ("198.18.0.1", "127.0.0.1")]
elif kind == "udp":
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
else:
    made = [socket.create_server(("::1", 1723), family=socket.AF_INET6)]
high = [os.dup2(s.fileno(), 20 + n) for n, s in enumerate(made)]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
os.closerange(3 + len(high), 40)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()))
os.execv(program[0], program)
"""


def activate(kind):
    return [sys.executable, "-c", ACTIVATE, kind]


@scenario(group="environment", needs_build=True)
def socket_activation(lab):
    """Sockets handed over by LISTEN_FDS are served, at the address of listen only; wrong ones
    are refused."""
    for kind in ("udp", "tcp6"):
        refused(lab, kind, r"descriptor 3 from systemd is not a listening IPv4 TCP socket.*see "
                r"ListenStream= in pptpd\.socket", wrapper=activate(kind))
    address = lab.net.addresses["srv"]
    server = lab.server(wrapper=activate("tcp"), conf=f"listen {address}\n")
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    environment = processes.read(server.pppds()[0], "environ")
    lab.expect("LISTEN_" not in environment, f"pppd's environment: {environment!r}")
    call.stop()
    server.wait_log(r"call \d+ ended")
    hello = struct.pack("!HHIHHHHIIHH128x", 156, 1, 0x1A2B3C4D, 1, 0, 0x100, 0, 3, 3, 0, 0)
    for where, answer in ((address, 156), ("127.0.0.1", 0)):
        with inside("srv"), socket.create_connection((where, 1723), timeout=30) as control:
            # Start-Control-Connection-Request: 156 bytes, most of them names.
            control.sendall(hello)
            try:
                got = control.recv(156, socket.MSG_WAITALL)
            except ConnectionResetError:
                got = b""
            lab.expect(len(got) == answer, f"{len(got)} bytes of an answer at {where}")
    server.wait_log(rf"Client {re.escape(address)} control connection finished")
    lab.expect_clean()
    lab.expect(server.stop() == 0, "status")
    lab.expect_clean()
