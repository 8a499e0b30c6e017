"""What guides for PoPToP tell people to do, with our server in its place."""

import os
import re
import shutil
import signal
import socket

from lab import ip, poll, processes, run, scenario, systemd
from lab.namespaces import inside
from lab.server import OPTIONS, Server, write
from lab.service import SOCKET, UNIT

GROUP = "recipe"


def recipe(function):
    return scenario(group=GROUP, needs_build=True)(function)


# -- make install ------------------------------------------------------------------

ROOT = "/tmp/root"
BUILD = "build/13" if os.path.exists("/lab/build") else "build/12"


def files(root):
    return {os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root) for name in names}


SPEC, PKGBUILD = "/lab/repo/contrib/rpm/pptpctrl.spec", "/lab/repo/contrib/arch/PKGBUILD"


def check_recipes(lab, installed):
    """The other packages' lists: of the configuration, the only one that they have of their own,
    and of the Makefile's variables."""
    etc = {path for path in installed if path.startswith("etc/")}
    spec = open(SPEC).read()
    listed = set(re.findall(r"(?m)^%config\(noreplace\) %\{_sysconfdir\}/(.*)", spec))
    lab.expect({f"etc/{path}" for path in listed} == etc, f"{SPEC} lists {listed}, not {etc}")
    backup = re.search(r"(?m)^backup=\((.*)\)", open(PKGBUILD).read()).group(1).split()
    lab.expect(set(backup) == etc, f"{PKGBUILD} lists {backup}, not {etc}")
    known = re.findall(r"(?m)^(\w+)\s*=", open("/lab/repo/Makefile").read())
    unknown = set(re.findall(r"(\w+)=[%\"]", spec.split("%global make_it")[1].split("\n\n")[0]))
    unknown -= set(known)
    lab.expect(not unknown, f"{SPEC} sets what the Makefile has not: {unknown}")


def make(goal, *variables):
    run(None, "make", "-s", "-C", "/lab/repo", f"B={BUILD}", "-o", "all", goal, f"DESTDIR={ROOT}",
        *variables)


@recipe
def install_uninstall(lab):
    """make install and uninstall: all goes but the configuration, which stays as it was edited."""
    make("install")
    installed = files(ROOT)
    for path in ("usr/sbin/pptpd", "etc/pptpd.conf", "etc/ppp/options.pptpd",
                 "usr/lib/systemd/system/pptpd.service", "usr/share/man/man8/pptpd.8"):
        lab.expect(path in installed, f"{path} is missing in {sorted(installed)}")
    lab.expect(any(path.endswith("/pptpctrl.so") for path in installed), "no plugin")
    check_recipes(lab, installed)
    write(f"{ROOT}/etc/pptpd.conf", "# edited\n")
    make("install")
    lab.expect(open(f"{ROOT}/etc/pptpd.conf").read() == "# edited\n", "edits were lost")
    lab.expect(files(ROOT) == installed, "the second installation differs")
    make("uninstall")
    lab.expect(files(ROOT) == {"etc/pptpd.conf", "etc/ppp/options.pptpd"},
               f"left: {sorted(files(ROOT))}")
    lab.expect(open(f"{ROOT}/etc/pptpd.conf").read() == "# edited\n", "edits were lost")
    for path in "etc/pptpd.conf", "etc/ppp/options.pptpd":
        os.unlink(f"{ROOT}/{path}")
    # Arch's recipe installs the same, with its own folder for programs.
    script = f"startdir=/lab/repo/contrib/arch pkgdir={ROOT}; . $startdir/PKGBUILD; " \
             f"_make() {{ make -s -C /lab/repo B={BUILD} -o all sbindir=/usr/bin \"$@\"; }}; package"
    run(None, "bash", "-ec", script)
    expected = {path.replace("usr/sbin/", "usr/bin/") for path in installed}
    lab.expect(files(ROOT) == expected, f"Arch: {sorted(files(ROOT) ^ expected)}")


# -- /etc/init.d/pptpd ---------------------------------------------------------------

SCRIPT = "/etc/init.d/pptpd"


def install_script(lab):
    """Only where it is asked for. A package has it."""
    make("install", "initdir=/etc/init.d")
    shutil.copy(ROOT + SCRIPT, SCRIPT)
    make("uninstall", "initdir=/etc/init.d")
    lab.expect(not os.path.exists(ROOT + SCRIPT), "make uninstall left the script")


@recipe
def init_script(lab):
    """/etc/init.d/pptpd without systemd: each of its words, twice where that must do no harm."""
    install_script(lab)
    lab.server(start=False, datapath="auto").write_files()
    write("/etc/default/pptpd", "DAEMON_OPTS='--connections 5'\n")
    ns = lab.net.client()

    def script(word, status=0):
        done = run("srv", SCRIPT, word, check=False)
        lab.say(f"{word}: {done.returncode} {done.stdout}{done.stderr}")
        lab.expect(done.returncode == status, f"{word}: status {done.returncode}")
        return done.stdout + done.stderr

    def pid():
        return int(open("/var/run/pptpd.pid").read())

    script("status", 3)
    script("condrestart")
    script("status", 3)
    script("start")
    lab.syslog.wait("Maximum of 5 connections available")
    first = pid()
    script("start")
    lab.expect(pid() == first, "the second start made another")
    lab.expect("is running" in script("status"), "status says something else")
    call = lab.client(ns, up=True)
    script("force-reload")
    lab.syslog.wait("Maximum of 5 connections available", count=2)
    lab.expect(pid() == first, "a reload made another")
    lab.ping(ns, "192.168.0.1", count=1)
    for word in "restart", "restart-kill", "condrestart":
        script(word)
        lab.expect(pid() != first, f"{word}: still the same")
        first = pid()
        call.wait_exit()
        call = lab.client(ns, up=True)
    script("stop")
    call.wait_exit()
    script("stop")
    script("status", 3)
    lab.expect("restart-kill" in script("nonsense", 3), "no usage")
    write("/etc/default/pptpd", "DAEMON_OPTS='-c /nothing'\n")
    script("start", 1)
    lab.syslog.wait("Config file not found! .*/nothing|/nothing.*not found")
    lab.expect_clean()


# -- a container ----------------------------------------------------------------------

# As a container's syslogd does, it is back when its socket is there.
SYSLOGD = """
import os, socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/run/container-log")
os.chmod("/run/container-log", 0o666)
if os.fork() == 0:
    while True:
        print(log.recv(65536).decode(errors="replace").rstrip("\\n\\0"), flush=True)
"""
ENTRYPOINT = """#!/bin/sh
set -e
python3 /run/syslogd.py
mount --bind /run/container-log /dev/log
exec setpriv --bounding-set "$RIGHTS" -- "$@"
"""
# What Docker leaves to root, and NET_ADMIN.
RIGHTS = ("-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,"
          "+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap,+net_admin")


class Container(Server):
    """pptpd in the foreground as first process, which has inherited a syslogd."""

    def command(self):
        return ["env", f"RIGHTS={RIGHTS}", "unshare", "--pid", "--fork", "--mount",
                "--mount-proc", "--kill-child", "sh", "/run/entrypoint", *super().command()]

    def find_log(self, regex, start=0):
        return self.log.find(regex) if self.log else []

    def wait_log(self, regex, timeout=30, start=0, count=1):
        return self.log.wait(regex, timeout, count=count)

    def first(self):
        (pid,) = [pid for pid in self.pids() if processes.parent(pid) == self.process.pid]
        return pid


@recipe
def container(lab):
    """Docker: pptpd -f or --fg as process 1 beside a syslogd, with a container's rights; stopped."""
    write("/run/syslogd.py", SYSLOGD)
    write("/run/entrypoint", ENTRYPOINT)
    write("/etc/ppp/ip-up", "#!/bin/sh\n(sleep 0.1; echo late >/run/ip-up-child) &\n", 0o755)
    ns = lab.net.client()
    for option in "-f", "--fg":
        server = Container(lab, datapath="auto", args=[option])
        lab.servers.append(server)
        server.start()
        first = server.first()
        lab.expect(processes.title(first).startswith("/usr/sbin/pptpd "), processes.title(first))
        lab.expect(open("/var/run/pptpd.pid").read() == "1\n", "the pid file does not say 1")
        call = lab.client(ns, up=True)
        lab.ping(ns, server.local_ip, count=1)
        server.wait_log(rf"pptpd\[\d+\]: CTRL: Client {lab.net.addresses[ns]} control connection "
                        "started")
        server.wait_log(r"pppd\[\d+\]: .*MPPE")
        poll(lambda: os.path.exists("/run/ip-up-child"), "a script's child has run")
        os.unlink("/run/ip-up-child")
        call.stop()
        server.wait_log(r"pptpd\[\d+\]: call \d+ ended: .*client cleared the call")
        poll(lambda: not [pid for pid in server.pids() if processes.state(pid) == "Z" or
                          processes.name(pid) == "pppd"], "all are collected")
        call = lab.client(ns, up=True)
        os.kill(first, signal.SIGTERM)
        call.wait_exit()
        lab.expect(server.process.wait(60) == 0, f"docker stop: {server.process.returncode}")
        lab.expect_clean()
        os.unlink("/run/container-log")


# -- set-up and start --------------------------------------------------------------

def append(path, text):
    with open(path, "a") as handle:
        handle.write(text)


@scenario(group=GROUP, systemd=True)
def service_commands(lab):
    """Lines appended to the files as installed; service, systemctl, /etc/init.d/pptpd; last | grep ppp."""
    append("/etc/pptpd.conf", "localip 192.168.0.1\nremoteip 192.168.0.234-238,192.168.0.245\n"
           "logwtmp\n")
    append("/etc/ppp/options.pptpd", "ms-dns 192.0.2.53\n")
    append("/etc/ppp/chap-secrets", "alice pptpd wonder *\n")
    os.chmod("/etc/ppp/chap-secrets", 0o600)
    ns = lab.net.client()

    def visit():
        call = lab.client(ns, up=True, more=["usepeerdns"])
        lab.expect(call.address == "192.168.0.234", f"address {call.address}")
        call.wait_log(r"DNS address 192\.0\.2\.53")
        lab.ping(ns, "192.168.0.1", count=1)
        poll(lambda: re.search(r"(?m)^alice .*ppp\d", run(None, "last", check=False).stdout),
             "last shows alice")
        call.stop()

    install_script(lab)
    systemd.systemctl("daemon-reload")
    run(None, "service", "pptpd", "restart")
    visit()
    status = run(None, "service", "pptpd", "status").stdout
    lab.expect("active (running)" in status, f"service pptpd status: {status}")
    run(None, "service", "pptpd", "stop")
    lab.expect(systemd.show(UNIT, "ActiveState") == "inactive", "it runs after service pptpd stop")
    systemd.systemctl("enable", "--now", "pptpd")
    lab.expect(systemd.systemctl("is-enabled", "pptpd") == "enabled", "it is not enabled")
    visit()
    # No line was edited, two more only: the old value stays, as with PoPToP.
    append("/etc/pptpd.conf", "remoteip 192.168.0.50-60\n")
    run(None, "service", "pptpd", "restart")
    visit()
    # Under systemd the script passes on what systemctl knows.
    run(None, SCRIPT, "restart")
    for command in ([SCRIPT, "force-reload"], ["service", "pptpd", "restart-kill"]):
        call = lab.client(ns, up=True)
        run(None, *command)
        if "restart-kill" in command:
            call.wait_exit()
        else:
            lab.ping(ns, "192.168.0.1", count=1)
            call.stop()
    lab.expect("active (running)" in run(None, SCRIPT, "status").stdout, "its status")
    run(None, SCRIPT, "stop")
    states = [systemd.show(unit, "ActiveState") for unit in (UNIT, SOCKET)]
    lab.expect(states == ["inactive", "inactive"], f"after {SCRIPT} stop: {states}")
    run(None, SCRIPT, "start")
    visit()
    # The confined server writes the logout that a killed pppd does not.
    call = lab.client(ns, up=True)
    newest = lambda: [line for line in run(None, "last", check=False).stdout.splitlines()
                      if "ppp" in line][0]
    poll(lambda: re.search("still logged in|gone - no logout", newest()), "last shows the login")
    for pid in processes.pids():
        if processes.title(pid).startswith("/usr/sbin/pppd local "):
            os.kill(pid, signal.SIGKILL)
    poll(lambda: re.search(r"- \d\d:\d\d ", newest()), "last shows the logout")
    call.wait_exit()
    systemd.systemctl("disable", "--now", "pptpd")
    states = [systemd.show(unit, "ActiveState") for unit in (UNIT, SOCKET)]
    lab.expect(states == ["inactive", "inactive"], f"after disable --now: {states}")


# The relay's own frames go through lo, which such a firewall always lets in.
FIREWALL = """
-P INPUT DROP
-P FORWARD DROP
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp --dport 1723 -j ACCEPT
-A INPUT -p gre -j ACCEPT
-A INPUT -i ppp+ -p icmp -j ACCEPT
-A FORWARD -p tcp --tcp-flags SYN,RST SYN -s 192.168.1.0/24 -j TCPMSS --set-mss 1356
-A FORWARD -i ppp+ -o eth0 -j ACCEPT
-A FORWARD -i eth0 -o ppp+ -m state --state RELATED,ESTABLISHED -j ACCEPT
-t nat -A POSTROUTING -s 192.168.1.0/24 -o eth0 -j MASQUERADE
"""


@scenario(group=GROUP, needs_build=True)
def masquerade(lab):
    """The guides' firewall: 1723 and GRE let in, clients masqueraded with TCPMSS, all else shut."""
    server = lab.server(datapath="auto", options=OPTIONS + "mtu 1400\n")
    with inside("srv"), open("/proc/sys/net/ipv4/ip_forward", "w") as setting:
        setting.write("1")
    for words in FIREWALL.split("\n")[1:-1]:
        run("srv", "iptables-legacy", "-w", *words.split())
    far = lab.net.client()
    address = lab.net.addresses[far]
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip, count=1)
    ip(call.ns, f"route add {address}/32 dev {call.iface}")
    lab.ping(call.ns, address, count=2)
    with inside(far):
        listener = socket.create_server(("", 8080))
    with inside(call.ns):
        near = socket.create_connection((address, 8080), 30)
    end, (peer, _) = listener.accept()
    lab.expect(peer == server.address, f"the far end sees {peer}")
    size = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    lab.expect(size <= 1356, f"the far end's segments have {size} bytes")
    for sock in near, end, listener:
        sock.close()
    call.stop()
    lab.expect_clean()
