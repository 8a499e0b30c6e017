"""The server as systemd's service."""

from lab import scenario


@scenario(group="systemd", datapaths=("relay",), systemd=True)
def service_login(lab):
    """pptpd.service started by hand: a call, its end, the service's end."""
    server = lab.service()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    lab.transfer(call.ns, "srv", server.local_ip, 2_000_000)
    call.stop()
    server.wait_log(r"call \d+ ended: .*, user \"alice\"")
    lab.expect_clean()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()
