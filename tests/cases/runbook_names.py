"""A name server on this machine whose answers a test gives, over UDP."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from inventory.model import Dns
from rehearsal.ports import LOOPBACK


@dataclass(frozen=True)
class Answer:
    """An answer to a question: an address, or a code such as SERVFAIL."""

    address: str = ""
    code: str = "NOERROR"


Answers = Callable[[str, str], Answer | None]  # by name and kind; none: silence


@contextmanager
def answering(answers: Answers) -> Iterator[Dns]:
    """The server, as an inventory says it, while the block runs."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked, link = self.request
            if reply := _reply(dns.message.from_wire(asked), answers):
                link.sendto(reply.to_wire(), self.client_address)

    with socketserver.ThreadingUDPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Dns(server=LOOPBACK, port=int(server.server_address[1]))
        finally:
            server.shutdown()
            thread.join()


def _reply(query: dns.message.Message, answers: Answers) -> dns.message.Message | None:
    (question,) = query.question
    kind = dns.rdatatype.to_text(question.rdtype)
    answer = answers(question.name.to_text(omit_final_dot=True), kind)
    if answer is None:
        return None
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(dns.rcode.from_text(answer.code))
    if answer.address:
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, answer.address))
    return reply
