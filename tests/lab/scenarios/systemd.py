"""The server as systemd's service: units, activation, failures, ordering."""

import os
import socket
import subprocess

from lab import poll, run, scenario, systemd
from lab.namespaces import inside
from lab.server import write
from lab.service import SOCKET, UNIT

GENERATOR = "/usr/lib/systemd/system-generators/pptpd-generator"


def unit(function):
    """A scenario on the default data path, in the guest with systemd."""
    return scenario(group="systemd", systemd=True)(function)


def port_is_open(lab, address=None):
    """Does somebody listen? As a client sees it."""
    with inside("net"):
        sock = socket.socket()
    with sock:
        sock.settimeout(20)
        return sock.connect_ex((address or lab.net.addresses["srv"], 1723)) == 0


def gets_closed(lab, address):
    """True when a connection is taken and closed at once; False when the greeting is answered."""
    with inside("net"):
        sock = socket.create_connection((address, 1723), 20)
    with sock:
        return sock.recv(1) == b""


def states(*units):
    return [systemd.show(name, "ActiveState") for name in units or (UNIT, SOCKET)]


@scenario(group="systemd", datapaths=["relay"], systemd=True)
@scenario(group="systemd", datapaths=["tty", "kernel"], systemd=True, long=True)
def service_login(lab):
    """pptpd.service started by hand: a call, its end, the service's end, its port."""
    server = lab.service()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    lab.transfer(call.ns, "srv", server.local_ip, 200_000)
    call.stop()
    server.wait_log(r"call \d+ ended: .*, user \"alice\"")
    lab.expect_clean()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()
    lab.expect(not port_is_open(lab), "port 1723 is open after systemctl stop")
    lab.expect(states() == ["inactive", "inactive"], f"after stop: {states()}")
    server.start()
    lab.client(call.ns, up=True).stop()


@unit
def cold_start(lab):
    """Only the socket is there; the first client starts the server. After stop no client does."""
    server = lab.service(start=False)
    server.start(unit=SOCKET)
    lab.expect(states() == ["inactive", "active"], f"before the first client: {states()}")
    call = lab.client(up=True)
    lab.expect(states() == ["active", "active"], f"with a client: {states()}")
    lab.ping(call.ns, server.local_ip)
    call.stop()
    server.stop()
    for _ in range(3):
        lab.expect(not port_is_open(lab), "a SYN after systemctl stop was answered")
    lab.expect(states() == ["inactive", "inactive"], f"after stop and SYNs: {states()}")
    # The same when the server itself never ran.
    server.start(unit=SOCKET)
    lab.expect(port_is_open(lab), "the socket does not listen")
    poll(lambda: states()[0] == "active", "the connection started the server")
    server.stop()
    server.start(unit=SOCKET)
    systemd.systemctl("stop", UNIT)
    lab.expect(not port_is_open(lab), "stop of a server that did not run left the port open")


@unit
def bad_configuration(lab):
    """Enabled at boot with an error in pptpd.conf: one failed state that says why, no loop."""
    server = lab.service(start=False, conf="remoteip 192.168.1.x\n", remote_ip="192.168.1.300")
    server.write_files()
    systemd.systemctl("enable", UNIT)
    mark = lab.syslog.mark()
    systemd.systemctl("start", "multi-user.target")
    poll(lambda: states() == ["failed", "inactive"], f"failed, and the port closed: {states()}", 60)
    lab.expect(server.show("ExecMainStatus") == "1", "the status is not 1")
    lab.expect(server.show("NRestarts") == "0", "it was started again")
    lab.expect(not port_is_open(lab), "the port of a server that cannot run is open")
    server.find_log(r"192\.168\.1\.300", mark) or lab.expect(False, "the reason is not in the log")
    starts = lab.syslog.find(r"systemd\[1\]: Starting .*PPTP server", mark)
    lab.expect(len(starts) == 1, f"{len(starts)} starts")
    server.remote_ip, server.extra_conf = "192.168.1.1-9", ""
    server.start()
    lab.client(up=True).stop()


@unit
def bad_configuration_cold(lab):
    """The same where only the socket is enabled: the first client's attempt is the only one."""
    server = lab.service(start=False, remote_ip="192.168.1.300")
    mark = lab.syslog.mark()
    server.start(unit=SOCKET)
    port_is_open(lab)
    poll(lambda: states() == ["failed", "inactive"], "failed, and the port closed", 60)
    starts = lab.syslog.find(r"systemd\[1\]: Starting .*PPTP server", mark)
    lab.expect(len(starts) == 1, f"{len(starts)} starts")


@unit
def listen_address(lab):
    """listen of pptpd.conf, through the generator: only that address is bound; on a socket that
    is bound to all, connections to others are refused. -l of /etc/default/pptpd beats the file."""
    first, second = lab.net.addresses["srv"], "198.18.0.77"
    lab.net.add_address("srv", second)
    server = lab.service(conf=f"listen {second}\n")
    listens = systemd.show(SOCKET, "Listen")
    lab.expect(f"{second}:1723" in listens and "0.0.0.0" not in listens, f"Listen: {listens}")
    lab.expect(not port_is_open(lab, first), f"{first} answers")
    call = lab.client(up=True, server=second)
    lab.ping(call.ns, server.local_ip)
    call.stop()
    server.stop()
    server.dropins[SOCKET] = "[Socket]\nListenStream=\nListenStream=0.0.0.0:1723\n"
    server.start()
    lab.expect(gets_closed(lab, first), f"a connection to {first} was served")
    call = lab.client(call.ns, up=True, server=second)
    call.stop()
    server.stop()
    server.dropins[SOCKET] = ""
    os.unlink(f"/etc/systemd/system/{SOCKET}.d/lab.conf")
    write("/etc/default/pptpd", f'# comment\nDAEMON_OPTS="-l {first}"\n')
    server.start()
    listens = systemd.show(SOCKET, "Listen")
    lab.expect(f"{first}:1723" in listens, f"with -l: {listens}")


@unit
def late_address(lab):
    """The address of listen comes up only after the server: it starts, and serves it then."""
    late = "198.18.0.88"
    server = lab.service(conf=f"listen {late}\n")
    lab.expect(states() == ["active", "active"], f"without the address: {states()}")
    lab.net.add_address("srv", late)
    call = lab.client(up=True, server=late)
    lab.ping(call.ns, server.local_ip)
    call.stop()


def sockets_of_1723():
    return run("srv", "ss", "-Hltn", "sport = :1723").stdout


@unit
def several_sockets(lab):
    """Two ListenStream=: clients on both, with the long backlog."""
    first, second = lab.net.addresses["srv"], "198.18.0.99"
    lab.net.add_address("srv", second)
    server = lab.service(socket_dropin=f"[Socket]\nListenStream=\nListenStream={first}:1723\n"
                         f"ListenStream={second}:1723\n")
    calls = [lab.client(up=True, server=address) for address in (first, second)]
    for call in calls:
        lab.ping(call.ns, server.local_ip)
    bound = sockets_of_1723()
    lab.expect(bound.count(" 4096 ") == 2, f"backlog: {bound}")


@unit
def bound_to_device(lab):
    """BindToDevice= of the socket (a VRF device would be another name)."""
    systemd.has_device("eth0")
    server = lab.service(socket_dropin="[Socket]\nBindToDevice=eth0\n")
    lab.expect("%eth0:1723" in sockets_of_1723(), f"not bound to eth0: {sockets_of_1723()}")
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    systemd.forget_devices()


@unit
def generator_survives(lab):
    """The generator: no, an empty, a binary and a wrong configuration; a name that needs DNS."""
    def generate(conf, defaults=None):
        where = f"/tmp/generator-{len(os.listdir('/tmp'))}"
        os.makedirs(where)
        for path, text in (("/etc/pptpd.conf", conf), ("/etc/default/pptpd", defaults)):
            if text is None:
                if os.path.exists(path):
                    os.unlink(path)
            else:
                with open(path, "wb") as out:
                    out.write(text)
        done = subprocess.run([GENERATOR, where, where, where], capture_output=True, text=True)
        lab.expect(done.returncode == 0, f"{conf!r}: status {done.returncode}: {done.stderr}")
        made = {}
        for folder, _, names in os.walk(where):
            for name in names:
                with open(f"{folder}/{name}") as text:
                    made[name] = text.read()
        return made

    pool = b"localip 10.0.0.1\nremoteip 10.1.0.1-250\n"
    lab.expect("TasksMax=1264" in generate(None)["50-limits.conf"], "no file: not the default")
    for text in b"", os.urandom(4096), b"listen\n", b"listen 1.2.3\x00.4\n", b"x" * 100000:
        lab.expect("network-online" not in str(generate(text).get("50-listen.conf")), repr(text[:9]))
    made = generate(pool + b"connections 50\nlisten 192.0.2.1\n")
    lab.expect("ListenStream=192.0.2.1:1723" in made["50-listen.conf"], f"listen: {made}")
    lab.expect("For 50 calls" in made["50-limits.conf"], f"connections: {made}")
    lab.expect("network-online" not in made["50-limits.conf"], "a number needs no network")
    made = generate(pool + b"listen vpn.example.net\n")
    lab.expect("50-listen.conf" not in made, f"a name: {made}")
    lab.expect("After=network-online.target" in made["50-limits.conf"], f"a name: {made}")
    made = generate(pool, b"DAEMON_OPTS='-l 192.0.2.9 -d'\n")
    lab.expect("192.0.2.9:1723" in made["50-listen.conf"], f"-l: {made}")
