"""Login shells of hosts as a server starts them: one that has something to say first, and two that are no sh.

The real ones are on no machine of ours: programs tell what they make of a command that is sent.
"""

from __future__ import annotations

import sys
from pathlib import Path

NOISY = r"""
import os, sys
print("Last login: Fri Aug 15 21:00\n\n3 updates pending", flush=True)
os.execv("/bin/sh", ["sh", *sys.argv[1:]])
"""
# Each line is a command of its own, also within quotes; one with half a quote is refused, and the next one is run.
CSH = r"""
import os, shlex, subprocess, sys
os.chdir(os.environ["HOME"])
os.environ["folder"] = os.environ["HOME"]  # a line that is run astray stays here
code = 0
for line in sys.argv[2].split("\n"):
    try:
        shlex.split(line)
    except ValueError:
        print("Unmatched quote.", file=sys.stderr)
        code = 1
    else:
        code = subprocess.run(["/bin/sh", "-c", line]).returncode
sys.exit(code)
"""
# In single quotes a backslash before another one or before a quote is gone.
FISH = r'''
import os, re, shlex, sys
WORDS = re.compile(r"""'((?:[^'\\]|\\.)*)'|"(?:[^"\\]|\\.)*"|[^'"]+""", re.DOTALL)
def read(word):
    if not word[0].startswith("'"):
        return word[0]
    return shlex.quote(re.sub(r"\\(['\\])", lambda found: found[1], word[1]))
os.execv("/bin/sh", ["sh", "-c", "".join(read(word) for word in WORDS.finditer(sys.argv[2]))])
'''
AT_HOME = 'import os; os.environ["HOME"] = os.path.dirname(os.path.abspath(__file__))\n'


def login_shell(home: Path, program: str) -> str:
    """One of these, of a user at home in this folder, where it lies."""
    path = home / "shell"
    path.write_text(f"#!{sys.executable} -S\n{AT_HOME}{program}")
    path.chmod(0o755)
    return str(path)
