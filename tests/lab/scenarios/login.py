"""The main job: a stock client logs in, traffic flows, the call ends."""

from lab import DATAPATHS, scenario


@scenario(datapaths=DATAPATHS)
def login(lab):
    """Address from the pool, ping, checked transfer each way, clear by the client."""
    server = lab.server(debug=True)
    call = lab.client(up=True)
    lab.expect(call.address == "192.168.1.1", f"address {call.address}")
    lab.expect(call.mppe == "128-bit stateless", f"encryption {call.mppe}")
    lab.ping(call.ns, server.local_ip)
    lab.ping("srv", call.address)
    speed = lab.transfer(call.ns, "srv", server.local_ip, 20_000_000)
    lab.note(f"{speed.up:.0f}/{speed.down:.0f} Mbit/s")
    lab.expect(call.stop() in (0, 5), "the client's pppd ended otherwise than by the signal")
    server.wait_log(r"call \d+ ended: .*, user \"alice\"")
    lab.expect_clean()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()
