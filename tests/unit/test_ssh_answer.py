"""A command's answer between its marks, by a real `sh`: noise before it, nothing of it, half of it, and very much."""

from __future__ import annotations

import subprocess

import pytest

from runbooks.engine.live.ssh_answer import MAX_OUTPUT, Answer, Hearing, script

MARK = "cutover-0123456789abcdef"


def said(command: str, *, cut: int | None = None) -> bytes:
    """The output of a bare shell when it reads the script of a command, or the beginning of it."""
    text = script(command, MARK).encode()[:cut]
    return subprocess.run(["sh"], input=text, capture_output=True, check=False).stdout


def heard(*pieces: bytes) -> Hearing:
    hearing = Hearing(MARK)
    for piece in pieces:
        hearing.add(piece)
    return hearing


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("echo one; exit 3", Answer(code=3, text="one\n")),
        ("printf half", Answer(code=0, text="half")),
        ("true", Answer(code=0, text="")),
        ("kill -TERM $$", Answer(code=143, text="")),
        ("read answer || echo asked nobody", Answer(code=0, text="asked nobody\n")),
        ("cat <<'end'\nit's \\\\ \"a\"\nend\n", Answer(code=0, text='it\'s \\\\ "a"\n')),
        ("echo '", Answer(code=2, text="")),
        (f"echo {MARK} ends 7", Answer(code=0, text=f"{MARK} ends 7\n")),
    ],
    ids=["code", "no newline", "silence", "signal", "asks", "here-document", "half a quote", "a mark of its own"],
)
def test_a_command_is_answered_with_its_output_and_exit_status(command: str, answer: Answer) -> None:
    output = said(command)

    assert heard(output).answer == answer
    assert heard(*(output[at : at + 1] for at in range(len(output)))).answer == answer


@pytest.mark.parametrize("noise", [b"Last login: today\n\n", b"no newline at its end", b"\xff\x00" * 3 * MAX_OUTPUT])
def test_words_before_an_answer_are_none_of_it(noise: bytes) -> None:
    assert heard(noise, said("echo here")).answer == Answer(code=0, text="here\n")


def test_what_comes_after_an_answer_is_none_of_it() -> None:
    assert heard(said("echo here"), b"logout\n").answer == Answer(code=0, text="here\n")


def test_half_an_answer_is_none() -> None:
    output = said("seq 100")

    assert not [end for end in range(len(output) - 2) if heard(output[:end]).answer]


def test_a_script_that_arrives_in_part_runs_nothing_of_the_command() -> None:
    whole = script("echo acted", MARK)
    end = whole.index("< /dev/null")

    assert not [cut for cut in range(end - 1) if b"acted" in said("echo acted", cut=cut)]


def test_the_end_of_much_output_is_kept_with_the_number_of_bytes_before_it() -> None:
    line = b"row after row\n"
    count = 3 * MAX_OUTPUT // len(line)
    begin, end = said("echo @").split(b"@\n")

    answer = heard(begin, *[line] * count, end).answer

    assert answer is not None
    first, *rest = answer.text.splitlines()
    assert set(rest) == {"row after row"}
    assert first == f"[{len(line) * (count - len(rest))} bytes before this are omitted]"
    assert len(answer.text) > MAX_OUTPUT - 2 * len(line)
