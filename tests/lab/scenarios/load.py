"""Many calls of the load generator, a client that shares no source with the server."""

from lab import poll, scenario

CALLS = 50


def serve(lab, **how):
    return lab.server(remote_ip="192.168.1.1-250", conf="connections 250\n", **how)


def end(lab, server):
    """Nothing is left of so many calls."""
    poll(lambda: server.calls() == [], "no call is listed", 120)
    lab.expect_clean(120)


@scenario(group="load", datapaths=("relay",), timeout=600)
def fifty_calls(lab):
    """50 at once: echoes, then datagrams both ways through all of them, each byte checked."""
    server = serve(lab)
    client = lab.net.client()
    echo = lab.load(client, "echo", "-n", CALLS, "-t", 1, "-R", 5, "-z", 400, "-P", 300)
    result = echo.result()
    echo.expect_whole(result, CALLS)
    lab.expect(result["received"] == result["sent"] > 0,
               f"{result['received']} of {result['sent']} echoes came back")
    end(lab, server)
    sink = lab.load("srv", "sink")
    sink.wait("ready")
    # All go to one address of the server's: the sink answers from there.
    both = lab.load(client, "both", "-n", CALLS, "-t", 1, "-w", 8, "-P", 300, "-T", server.local_ip)
    result = both.result()
    both.expect_whole(result, CALLS)
    lab.expect(result["least"] > 0, f"a call carried nothing: {result}")
    lab.note(f"{result['mbit']:.1f} Mbit/s, set-up {result['setup_ms']['median']:.0f} ms, "
             f"lost {result['sent'] - result['received']} of {result['sent']}")
    sink.end()
    end(lab, server)
