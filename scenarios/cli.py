"""The command `qie`. Exit codes: 0 good, 1 the run failed or an invariant broke, 2 bad input, 130 interrupted."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError

from .commands import deploying, describing, measuring, probing, running, searching
from .commands.answers import fail
from .load import InputError
from .version import version

app = App(
    name="qie",
    help="A live, exact emulator of the quantum internet.",
    version=version,
    version_flags=["--version"],
)
for command in (
    running.run,
    running.replay,
    running.records,
    describing.scenarios,
    describing.check,
    describing.import_,
    probing.qping,
    probing.qtrace,
    describing.faults,
    describing.schema,
    searching.chaos,
    deploying.deploy,
    deploying.host,
    deploying.certs,
    measuring.bench,
):
    app.command(command)


def main() -> NoReturn:
    """Run the command line."""
    # States are small: threads of the linear algebra would cost time, and could change the last bit of a sum.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = app(exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except InputError as error:
        fail(error.lines, 2)
    except CycloptsError as error:
        fail([" ".join(str(error).split()) + " See qie --help."], 2)
    except BrokenPipeError:  # whoever read our output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        fail(["interrupted before there was anything to sum up"], 130)
    raise SystemExit(code if isinstance(code, int) else 0)
