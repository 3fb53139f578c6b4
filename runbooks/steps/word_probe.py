"""The check of a probe that prints one word."""

from __future__ import annotations

from inventory.model import Host
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.model.step import Check, Verdict, fails, holds

LONGEST_WORD = 200  # characters of a probe's answer that an error shows


def prints(host: Host, probe: str, sentence: str, expected: str) -> Check:
    """Return the check that a probe prints exactly this word on a host; `sentence` says what the word is."""
    look = RemoteCommand(host=host.name, command=probe)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        said = outputs[0].text.strip()
        if outputs[0].code != 0 or not said or "\n" in said:
            raise Unreadable(f"expected a word, got {said[:LONGEST_WORD]!r} (exit {outputs[0].code})")
        return holds(f"{sentence} {said}") if said == expected else fails(f"{sentence} {said}, expected {expected}")

    return Check(title=f"{sentence} {expected}", looks=(look,), judge=judge)
