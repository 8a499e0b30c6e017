"""The wire suite: what a stranger or a client can do to a PPTP server, and what must happen."""
