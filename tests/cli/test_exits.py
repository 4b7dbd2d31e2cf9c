"""Exit codes: 0 all was tested and is within the limit, 1 more than allowed, 2 anything else."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from adverscarial.cli import exits
from adverscarial.cli.app import COMMANDS, EndedBy, loaded
from adverscarial.errors import DataError


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("No cells."), 2, "adverscarial: No cells.\n"),
        (KeyError("x"), 2, "KeyError: 'x'. The program did not expect this error"),
        (MemoryError(), 2, "There is not enough memory (MemoryError)"),
        (OSError(28, "No space left on device"), 2, "A file cannot be read or written"),
        (RecursionError("too deep"), 2, "RecursionError: too deep"),
        (EndedBy(0), 2, "asked the program to end (exit code 0)"),
        (EndedBy(1), 2, "asked the program to end (exit code 1)"),
        (EndedBy(143), 143, "a survey started again on its folder goes on"),
        (KeyboardInterrupt(), 130, "a survey started again on its folder goes on"),
        (SystemExit(130), 130, "a survey started again on its folder goes on"),
        (SystemExit(1), 2, ""),
        (SystemExit("lost"), 2, ""),
        (SystemExit(2), 2, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(None), 0, ""),
        (exits.LimitExceeded(), 1, ""),
        (exits.NotDecided(), 2, ""),
        (GeneratorExit(), 2, "GeneratorExit"),
    ],
)
def test_every_way_to_end_has_its_code(capsys, error, code, message):
    assert exits.exit_code(raising(error)) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_a_run_that_comes_to_its_end_passes():
    assert exits.exit_code(lambda: None) == 0


def test_debug_shows_the_traceback(capsys):
    assert exits.exit_code(raising(DataError("No cells.")), debug=True) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("adverscarial: No cells.\n")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_may_stand_anywhere(run, place):
    arguments = ["convert", "no.h5ad", "out.h5ad"]
    code, _, err = run(*arguments[:place], "--debug", *arguments[place:])
    assert code == 2
    assert "Traceback" in err
    code, _, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("code", [0, 1, 130, None])
def test_a_classifier_that_ends_the_program_is_no_pass(run, monkeypatch, code):
    monkeypatch.setattr("adverscarial.cli.listing.list_", lambda: sys.exit(code))
    assert run("list")[0] == 2


def test_a_lost_process_is_no_silent_end(run, monkeypatch):
    monkeypatch.setattr("adverscarial.cli.listing.list_", raising(BrokenPipeError(32, "Broken pipe")))
    code, _, err = run("list")
    assert code == 2
    assert "Broken pipe" in err


def test_the_version_is_printed_alone(run):
    from adverscarial import __version__

    assert run("--version") == (0, f"adverscarial {__version__}\n", "")


def test_a_command_that_does_not_exist(run):
    code, _, err = run("surve")
    assert code == 2
    assert "survey" in err


def words(text):
    return set(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_they_say(name):
    assert words(COMMANDS[name].help) <= words(str(loaded(name).help))


@pytest.mark.fast(1)
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"]])
def test_first_answers_load_nothing_heavy(arguments):
    heavy = ("anndata", "numba", "numpy", "pandas", "scanpy", "scipy", "sklearn", "torch")
    code = (
        f"import sys; sys.argv = ['adverscarial', *{arguments!r}]\nfrom adverscarial.cli import main\n"
        f"try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
