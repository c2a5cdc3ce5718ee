"""Run the examples of the documentation: pages cannot say what does not work.

- Python blocks are executed in order, with one namespace for a page; in blocks of `>>>` lines the output is compared.
- A block whose first line is a comment with a file name (`# my-network.toml`, `<!-- my-network.graphml -->`) is written
  to that file.
- In a console block that shows output, each line `$ ...` is run and its output compared: white space counts as one
  space, `...` stands for anything, and numbers may differ by a quarter: a new draw of random numbers is no error.

Each page has a directory of its own as working directory while it runs.
"""

# ruff: noqa: INP001  (documentation is no package)

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

_FILE_NAME = re.compile(r"(?:#|<!--) ([\w-]+\.(?:py|toml|ini|graphml))(?: -->)?\n")
_NUMBER = re.compile(r"(?<![\w.~-])\d+(?:\.\d+)?(?![\w~-])")
_TOLERANCE = 0.25


def write_file(example: Example) -> None:
    """Write a block to the file that its first line names."""
    if found := _FILE_NAME.match(example.parsed):
        Path(found[1]).write_text(example.parsed, "utf-8")


class PythonParser(PythonCodeBlockParser):
    """Python blocks are executed; those with a file name are also written, and run by what the page does with them."""

    def __call__(self, document: Document) -> Iterator[Region]:
        """Yield the regions of a document."""
        for region in super().__call__(document):
            if _FILE_NAME.match(str(region.parsed)):
                region.evaluator = write_file
            yield region


def run_console(example: Example) -> str | None:
    """Run the commands of a block and compare what they print."""
    code = 0
    for command, shown in _commands(example.parsed):
        if command == "echo $?":
            printed = str(code)
        else:
            code, printed = _run(shlex.split(command, comments=True))
        if shown and (difference := _difference(shown, printed)):
            return f"$ {command}\n{difference}\nit printed:\n{printed}"
    return None


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command.strip(), shown.strip()


def _run(words: list[str]) -> tuple[int, str]:
    if words[0] == "pytest":
        # These plugins and no others: what else is installed here is not the reader's.
        plugins = {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "scenarios.pytest_plugin,pytest_trio.plugin",
        }
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | plugins
        command = [sys.executable, "-m", "pytest", *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)  # noqa: S603
        return done.returncode, done.stdout
    if words[0] != "qie":
        raise ValueError(f"no console block runs {words[0]!r}; show it without `$`")
    from scenarios.cli import main  # noqa: PLC0415

    out, err, arguments, code = io.StringIO(), io.StringIO(), sys.argv, 0
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        warnings.simplefilter("ignore", UserWarning)  # cyclopts wonders why it runs under pytest
        sys.argv = words
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = arguments
    return code, out.getvalue() + (err.getvalue() if code else "")  # else it is progress


def _difference(shown: str, printed: str) -> str | None:
    """Say where the output is not what is shown."""
    pattern, numbers = "", []
    for k, part in enumerate(re.split(r"(\.\.\.)", " ".join(shown.split()))):
        if k % 2:
            pattern += ".*?"
            continue
        last = 0
        for number in _NUMBER.finditer(part):
            pattern += re.escape(part[last : number.start()]) + r"(\d+(?:\.\d+)?)"
            numbers.append(float(number[0]))
            last = number.end()
        pattern += re.escape(part[last:])
    found = re.fullmatch(pattern, " ".join(printed.split()))
    if found is None:
        return "the words differ"
    for expected, actual in zip(numbers, map(float, found.groups()), strict=True):
        if abs(expected - actual) > _TOLERANCE * max(abs(expected), abs(actual)) + 2e-3:
            return f"{expected:g} is shown, {actual:g} was printed"
    return None


def enter(namespace: dict[str, Any]) -> None:
    """Give a page its directory."""
    namespace["_before"] = Path.cwd()
    namespace["_place"] = tempfile.mkdtemp(prefix="qie-docs-")
    os.chdir(namespace["_place"])


def leave(namespace: dict[str, Any]) -> None:
    """Take it away again."""
    os.chdir(namespace["_before"])
    shutil.rmtree(namespace["_place"])


pytest_collect_file = Sybil(
    parsers=[
        PythonParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE),
        CodeBlockParser("toml", write_file),
        CodeBlockParser("ini", write_file),
        CodeBlockParser("xml", write_file),
        CodeBlockParser("console", run_console),
    ],
    pattern="**/*.md",
    setup=enter,
    teardown=leave,
).pytest()
