"""`python -m faults [--seed N] [--minutes M] [--only KIND]… [--busy]`: a lab under seeded faults.

Ends with 0 only if nothing failed.

Writes build/faults.json for a machine, build/faults.txt for a person, and build/faults/NODE-PROGRAM.log.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from faults.inside import Order
from faults.judge import failures, numbers
from faults.kinds import KINDS
from faults.record import Run
from faults.schedule import schedule
from faults.timeline import HEAD, timeline
from felix_py.status.status_json import from_json, to_json
from lab import wall_clock
from lab.host import HostError, RunningLab, start
from lab.interruption import INTERRUPTED, ends_in_order
from lab.leftovers import held_namespaces, listing
from lab.minutes import minutes
from lab.paths import TREE
from lab.state_model import LabState
from lab.verdict import faults

SPEC = Path(__file__).with_name("three-nodes.yaml")
BUILD = TREE / "build"
FILES = BUILD / "faults.json", BUILD / "faults.txt"


class RunFailed(Exception):
    """A run did not get to its end; the message says why."""


def main(words: Sequence[str]) -> int:
    arguments = _arguments(words)
    for written in FILES:  # by the run before: of one that does not get to its end there are no figures
        written.unlink(missing_ok=True)
    try:
        with ends_in_order():
            return _run(arguments)
    except KeyboardInterrupt:
        again = same_again(arguments.seed, arguments.minutes, arguments.only)
        print(f"\ninterrupted; nothing is written\n{again}", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    try:
        running, state = start(SPEC, lambda what, done, wanted: None, stays=False, preload=wall_clock.build())
        with held_namespaces(running.init_pid) as own:
            try:
                order = Order(arguments.seed, arguments.minutes, tuple(arguments.only), state.pods)
                run = _carry_out(running, order, state)
            finally:
                running.end()
            left = [each for each in listing().processes.values() if own.intersection(each.namespaces)]
    except (HostError, RunFailed) as error:
        print(f"run faults of seed {arguments.seed}: {error}", file=sys.stderr)
        return 1
    outlived = [f"process {each.pid} has outlived the lab: {each.command}" for each in left]
    return _report(run, arguments.busy, arguments.only, outlived)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description="Run a lab under seeded faults.")
    parser.add_argument("--seed", type=int, default=1, help="which faults, in which order and where (%(default)s)")
    parser.add_argument("--minutes", type=minutes, default=1.0, help="how many of them (%(default)s)")
    parser.add_argument("--only", action="append", choices=sorted(KINDS), default=[], help="choose from these kinds")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="other work has the processors too: what changes of routes cost is not judged",
    )
    return parser.parse_args(words)


def _carry_out(lab: RunningLab, order: Order, state: LabState) -> Run:
    """Make the faults inside the lab, and tell of each. Raises RunFailed."""
    if broken := faults(state, []):
        raise RunFailed(f"the lab did not come up: {'; '.join(broken)}")
    count = len(schedule(order.seed, order.minutes, order.only))
    print(f"seed {order.seed}, {order.minutes:g} min: {count} faults\n\n{HEAD}", flush=True)
    command = [sys.executable, "-m", "faults.inside", str(lab.init_pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        print(json.dumps(to_json(order)), file=process.stdin, flush=True)
        found = [run for line in process.stdout if (run := _take(json.loads(line)))]
    if not found:
        raise RunFailed(f"what makes the faults ended with status {process.returncode} and no record")
    return found[0]


def _take(message: dict[str, object]) -> Run | None:
    """Show a line, keep a log, or return the record of the run."""
    match message:
        case {"line": line}:
            print(line, flush=True)
        case {"log": name, "text": str(text)}:
            folder = BUILD / "faults"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.log").write_text(text)
        case {"run": run}:
            return from_json(Run, run)
    return None


def _report(run: Run, busy: bool, only: Sequence[str], left: Sequence[str]) -> int:
    """Write both files, print what failed, and return the exit status."""
    run = replace(run, leaks=(*run.leaks, *left))
    BUILD.mkdir(exist_ok=True)
    for_machines, for_people = FILES
    for_machines.write_text(json.dumps(numbers(run), indent=2) + "\n")
    failed = list(failures(run, busy=busy))
    verdict = [*_verdict(failed), same_again(run.seed, run.minutes, only)]
    for_people.write_text("\n".join([*timeline(run), *verdict]) + "\n")
    print("\n" + "\n".join(verdict))
    return 1 if failed else 0


def _verdict(failed: Sequence[str]) -> Iterator[str]:
    yield from (f"✗ {text}" for text in failed)
    if not failed:
        yield "✓ nothing was lost that may not be, nothing leaked, no invariant was violated, no traceback was logged"
    yield f"written to {BUILD}/faults.json and faults.txt, the logs to {BUILD}/faults/"


def same_again(seed: int, time: float, only: Sequence[str]) -> str:
    """Return a line with the command that makes the same faults. time: in minutes."""
    kinds = "".join(f" --only '{kind}'" for kind in only)
    command = f".venv/bin/python -m faults --seed {seed} --minutes {time:g}{kinds}"
    return f"the same faults again: {command if only else f'make faults SEED={seed} MINUTES={time:g}'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
