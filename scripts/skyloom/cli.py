"""What every step's command line shares: options, settings, progress, and errors in one sentence."""

import argparse
import errno
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from .errors import UserError


def step_parser(description: str, section: str | None = None, seed: bool = False) -> argparse.ArgumentParser:
    """Return the parser of one step.

    Parameters
    ----------
    description : str
        The script's own docstring.
    section : str, optional
        The part of the case file that the step reads; adds ``--case`` and ``--settings``.
    seed : bool
        Whether the step draws random numbers; adds ``--seed``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if section:
        parser.set_defaults(section=section)
        parser.add_argument("--case", required=True, help="science case, e.g. disk_winds")
        parser.add_argument(
            "--settings",
            help=f"the case's `{section}` settings as JSON text or as a YAML file "
            f"(default: those in config/cases/CASE.yaml)",
        )
    if seed:
        parser.add_argument("--seed", type=int, default=42, help="seed of the run (default: %(default)s)")
    return parser


def step_settings(args: argparse.Namespace):
    """Return the validated settings of the step, an instance of the section's model in the case's schema."""
    from .config.load import section_settings

    return section_settings(args.case, args.section, args.settings)


def run(main: Callable[[], None]) -> None:
    """Run a step's `main` and end the process: a user's mistake as one sentence, a bug as a traceback."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(f"error: {error.filename or 'a result'}: the disk is full; free some space and run again.")
        raise
    except KeyboardInterrupt:
        sys.exit("interrupted; run again to go on")


def say(text: str) -> None:
    """Print one plain line for the log."""
    print(text, flush=True)


def progress(items: Iterable, total: int, what: str, every: float = 10.0) -> Iterator:
    """Yield the items; show a bar on a terminal, and a plain line at most every `every` seconds in a log."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what, unit="")
        return
    last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if done == total or time.monotonic() - last >= every:
            last = time.monotonic()
            say(f"{what}: {done} of {total}")
