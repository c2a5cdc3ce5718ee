"""The documentation says what the code says; its examples are run by docs/conftest.py."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from scenarios.cli import app
from scenarios.report import as_json
from scenarios.run import run_scenario

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_what_the_code_says_now() -> None:
    for path, text in generator().pages().items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date: run `python docs/generate.py`"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_and_image_leads_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{target} leads nowhere"
        assert place.is_relative_to(ROOT), f"{target} leads out of the project"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{target}: no such heading"


def test_every_page_is_on_the_map() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in PAGES:
        name = page.relative_to(ROOT / "docs").as_posix() if page.is_relative_to(ROOT / "docs") else "index.md"
        assert name == "index.md" or name.startswith("decisions/") or f"({name})" in index, f"{name} is not in index.md"


def command_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each `qie` command line, and whether the page itself runs it (and compares its output)."""
    for language, block in BLOCK.findall(text):
        if language == "console":
            for line in block.splitlines():
                if found := re.match(r"(\$ )?(?:[A-Z]+=\S+ )?(qie .*)", line):
                    yield found[2], found[1] is not None
    for span in re.findall(r"`(qie [^`\n]+)`", BLOCK.sub("", text)):
        # A mere mention of a command, such as `qie run` or `qie run --json`, is no command line.
        if not re.search(r"\.\.\.|…|\bCOMMAND\b|^qie (run|check|bench)( --.*)?$", span):
            yield span, False


def words_of(line: str) -> list[str]:
    """Return the arguments of a command line, without comment, pipe and the name of the program."""
    words = shlex.split(line, comments=True)
    return words[1 : words.index("|") if "|" in words else None]


COMMANDS = sorted({line for page in PAGES for line, _ in command_lines(page.read_text("utf-8"))})
QUICK = sorted(
    {
        line
        for page in PAGES
        for line, runs in command_lines(page.read_text("utf-8"))
        if not runs and (words := words_of(line)) and words[0] in {"run", "check", "scenarios", "schema"}
        if not any(word.isupper() for word in words)
    }
)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_that_is_shown_parses(line: str) -> None:
    app.parse_args(words_of(line), exit_on_error=False, print_error=False)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a directory with all the files that the pages have readers write."""
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        for language, block in BLOCK.findall(page.read_text("utf-8")):
            if language == "toml" and (name := re.match(r"# (\S+\.toml)\n", block)):
                (tmp_path / name[1]).write_text(block, "utf-8")


@pytest.mark.parametrize("line", QUICK)
@pytest.mark.usefixtures("files")
def test_every_quick_command_line_that_is_shown_runs(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert _run(line) == 0


def _run(line: str) -> object:
    words = words_of(line)
    if words[0] == "run":
        for option in ("--rate", "--for"):
            if option in words:
                del words[words.index(option) : words.index(option) + 2]
        words += ["--rate", "max", "--for", "0.02"]
    return app(words, exit_on_error=False, print_error=False, result_action="return_value")


def test_every_key_of_the_json_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text("utf-8")
    report = as_json(run_scenario("chain", for_s=0.02))
    for key in [*report, *report["pairs"][0], *report["lag_ms"]]:
        assert f"`{key}`" in page, f"{key} is not described in json.md"


def test_every_kind_of_record_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "records.md").read_text("utf-8")
    counts: set[str] = set()
    for name, settings in (
        ("metro", ["fidelity=0.99"]),
        ("metro", []),
        ("berlin-frankfurt", ["end_nodes=6"]),
    ):
        counts |= set(run_scenario(name, for_s=1.5, settings=settings).world.network.history.counts)
    assert {"pair", "swap", "granted", "denied", "ended", "settled"} <= counts
    for kind in counts:
        assert f"`{kind}`" in page, f"records of kind {kind} are not described in records.md"
