"""What has been tried, so that an interrupted torture goes on where it was; a changed archiver begins anew."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".torture"
JUDGED = ("errors.py", "archiver/**/*.py", "inventory/*.yaml", "rehearsal/seed*.py", "rehearsal/schema/*")


@dataclass(frozen=True)
class Ledger:
    """The tries of one kind, in a file of their own."""

    kind: str

    @property
    def path(self) -> Path:
        """The file for the code as it is now."""
        return FOLDER / _fingerprint() / f"{self.kind}.jsonl"

    def tried(self) -> set[str]:
        """The names of what was tried and judged."""
        return {str(line["name"]) for line in read(self.path)}

    def add(self, name: str, *, lost: int, seconds: float, how: str = "") -> None:
        """Writes one try down, when it has been judged."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            line = {"name": name, "lost": lost, "seconds": round(seconds, 2), "how": how}
            file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, object]]:
    """The lines of a ledger; none where nothing was tried."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary() -> str:
    """The numbers of tries and of rows lost, a line for each kind."""
    lines, tries, lost = [], 0, 0
    for path in sorted((FOLDER / _fingerprint()).glob("*.jsonl")):
        found = read(path)
        rows = sum(int(str(line["lost"])) for line in found)
        seconds = sum(float(str(line["seconds"])) for line in found)
        lines.append(f"{path.stem:<28} {len(found):>6} tries {rows:>6} rows lost {seconds:>8.0f} s")
        tries, lost = tries + len(found), lost + rows
    return "\n".join([*lines, f"{'in all':<28} {tries:>6} tries {lost:>6} rows lost"])


def _fingerprint() -> str:
    """Stands for the code and the seed that are tortured."""
    digest = hashlib.sha256()
    for pattern in JUDGED:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
