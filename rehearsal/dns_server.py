"""The lab's name server, over UDP and TCP; the only importer of dnslib. It reads its zone at every question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dnslib import CNAME, QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from rehearsal import zone
from rehearsal.daemon import serve
from rehearsal.ports import LOOPBACK

KINDS = {"A": (QTYPE.A, A), "CNAME": (QTYPE.CNAME, CNAME)}


class Resolver(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """A resolver that answers from the zone file as it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        """Return the chain of entries that the name leads to, never to be cached."""
        reply = request.reply()
        entries = zone.chain(zone.read(self._path), str(request.q.qname).rstrip(".").lower())
        if not entries:
            reply.header.rcode = RCODE.NXDOMAIN
        for entry in entries:
            number, make = KINDS[entry.kind]
            if entry.kind == "CNAME" or request.q.qtype in (number, QTYPE.ANY):
                reply.add_answer(RR(entry.name, number, rdata=make(entry.value), ttl=0))
        return reply


def run(config: Mapping[str, Any], ready: Callable[[Mapping[str, object]], None]) -> None:
    """Serve until the process is ended."""
    resolver, logger = Resolver(Path(config["zone"])), DNSLogger("-request,-reply,-truncated,-error")
    tcp = DNSServer(resolver, address=LOOPBACK, port=0, tcp=True, logger=logger)
    port = tcp.server.server_address[1]
    udp = DNSServer(resolver, address=LOOPBACK, port=port, logger=logger)
    tcp.start_thread()
    ready({"port": port})
    udp.start()


if __name__ == "__main__":
    serve(run)
