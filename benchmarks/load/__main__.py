"""The table of load: `make load`, or `python -m benchmarks.load [--only PATTERN ...]`.

Each case starts a server with the standard pack that checks signatures, and measures clients from one other process on
the same machine. Ordinary clients send pairs of 640x480 portraits with their own keys, one request after the other, and
back off like SDKs when refused; each answer is compared, octet for octet, with the library's, and each refusal with the
service's. An answer is distinguishable if it is that of one pair of photos and one caller only, or quotes a value that
one request only has: if it were given to another request, it would be wrong. In cases with hostile clients, turns
without and with them alternate; the share is the median of the turns' ratios. Results are kept in
benchmarks/results/load.json: a case that is there is not measured again without `--again`, so the whole may run in
pieces. Cases called `mix` only count and check answers, so they may run beside other work: no times are taken, and
without `--again` the counts of several runs add up. Exits 1 if an answer is wrong or crossed, an ordinary
client gets none, or a limit is missed.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.clients import Client, Tally, be_silent, be_slow, send_without_pause, serve_clients
from benchmarks.load.requests import (
    Exchange,
    Photos,
    costly_answers,
    health,
    mixed_answers,
    ordinary_answers,
    signed,
    unsigned,
    wrongly_signed,
)
from benchmarks.load.server import Server, Usage

from likeness.aws.keys import Key
from likeness.counted import counted

RESULTS = Path(__file__).resolve().parents[1] / "results" / "load.json"
LEAST_SHARE, LONGEST_P99_SECONDS, HOSTILE = 0.7, 2.0, 64
KINDS = ("silent", "slow", "costly", "unsigned", "wrongly signed")
#: The parts of the mix: kinds of requests by weight.
MIX = {
    "pair": 2,
    "small": 40,
    "quoted": 100,
    "no face": 5,
    "damaged": 8,
    "wrongly signed": 10,
    "unsigned": 8,
    "health": 7,
}
#: How long a case is measured; of one with hostile clients, each turn with and without them.
PLAIN_SECONDS, TURN_SECONDS, MIX_SECONDS = 60.0, 15.0, 600.0
#: Clients below capacity send at most this many requests a second, all together.
BELOW_CAPACITY_PER_SECOND = 10.0
#: The clients of a mix sign their requests again after this; signatures are valid for five minutes.
_SIGNED_SECONDS = 200.0

Photo = dict[str, list[Photos]]


@dataclass(frozen=True)
class Case:
    """`clients` ordinary ones, `rate`: at most so many requests a second of all; `hostile`: the kinds of 64 others."""

    name: str
    clients: int
    workers: int = 1
    rate: float = 0.0
    hostile: tuple[str, ...] = ()
    is_mix: bool = False

    @property
    def seconds(self) -> float:
        """How long it is measured, or each of its turns."""
        return MIX_SECONDS if self.is_mix else TURN_SECONDS if self.hostile else PLAIN_SECONDS


def cases() -> list[Case]:
    """All cases, in the order of the table."""
    both = (1, 2)
    plain = [
        Case(f"{counted(clients, 'client')}, {counted(workers, 'worker')}", clients, workers)
        for workers in both
        for clients in (1, 8, 64, 512)
    ]
    below = [
        Case(f"64 clients below capacity, {counted(workers, 'worker')}", 64, workers, BELOW_CAPACITY_PER_SECOND)
        for workers in both
    ]
    hostile = [Case(f"64 clients, 64 {kind}", 64, 1, hostile=(kind,)) for kind in KINDS]
    all_kinds = [
        Case(f"64 clients, 64 of all kinds, {counted(workers, 'worker')}", 64, workers, hostile=KINDS)
        for workers in both
    ]
    mixes = [Case(f"mix of 128 clients, {counted(workers, 'worker')}", 128, workers, is_mix=True) for workers in both]
    return plain + below + hostile + all_kinds + mixes


def ordinary_clients(case: Case, server: Server, photos: Photo, tally: Tally, end: float) -> list[Client]:
    """The clients of a case, until `end`. Signatures are made now and are valid for five minutes."""
    by_key = _signed(photos, server.keys, "pair")
    mixed = _mixed(photos, server.keys) if case.is_mix else None
    interval = case.clients / case.rate if case.rate else 0.0

    def chooser(number: int) -> Callable[[], Exchange]:
        dice = random.Random(number)
        if mixed is not None:
            kinds = dice.choices(list(MIX), list(MIX.values()), k=4096)
            following = iter(kinds * 64)
            return lambda: dice.choice(mixed[next(following)])
        return lambda: dice.choice(by_key[number % len(by_key)])

    return [Client(server.port, chooser(number), tally, end, interval) for number in range(case.clients)]


def _signed(photos: Photo, keys: Sequence[Key], kind: str) -> list[list[Exchange]]:
    """Requests by key, each key with its own share of the photos, so that answers of two callers always differ."""
    return [[signed(each, key, kind) for each in photos[kind][number :: len(keys)]] for number, key in enumerate(keys)]


def _mixed(photos: Photo, keys: Sequence[Key]) -> dict[str, list[Exchange]]:
    mixed = {
        kind: [each for exchanges in _signed(photos, keys, kind) for each in exchanges]
        for kind in ("pair", "small", "quoted", "damaged")
    }
    mixed["no face"] = [signed(each, key, "no face") for key in keys for each in photos["no face"]]
    mixed["wrongly signed"] = [wrongly_signed(each, key) for key, each in zip(itertools.cycle(keys), photos["small"])]
    mixed["unsigned"] = [unsigned(each) for each in photos["small"]]
    return mixed | {"health": [health()]}


def start_hostile(case: Case, server: Server, photos: Photo, tallies: dict[str, Tally]) -> list[asyncio.Task[None]]:
    """64 hostile clients, of the kinds of the case in turn."""
    pair = photos["pair"][0]
    # The key of ordinary clients, with another secret.
    exchanges = {"unsigned": unsigned(pair), "wrongly signed": wrongly_signed(pair, server.keys[0])}
    if "costly" in case.hostile:
        exchanges["costly"] = signed(photos["costly"][0], server.hostile_key, "costly")
    tasks = []
    for number in range(HOSTILE):
        kind = case.hostile[number % len(case.hostile)]
        tally = tallies[kind]
        attack = {"silent": be_silent, "slow": be_slow}.get(kind)
        running = attack(server.port, tally) if attack else send_without_pause(server.port, tally, exchanges[kind])
        tasks.append(asyncio.create_task(running))
    return tasks


async def measure(case: Case, server: Server, photos: Photo, seconds: float, turns: int) -> dict[str, Any]:
    """The row of a case."""
    usage = Usage()
    watching = asyncio.create_task(server.watch(usage))
    warm_up = Case("", 4)
    await serve_clients(ordinary_clients(warm_up, server, photos, Tally(), time.monotonic() + 1.0))
    beside, alone, shares = Tally(), Tally(), []
    tallies = {kind: Tally() for kind in case.hostile}
    begun = time.monotonic()
    if not case.hostile:
        end = begun + seconds
        while (now := time.monotonic()) < end:
            part = min(end, now + _SIGNED_SECONDS)
            await serve_clients(ordinary_clients(case, server, photos, beside, part))
    for _ in range(turns if case.hostile else 0):
        before = alone.compared, beside.compared
        await serve_clients(ordinary_clients(case, server, photos, alone, time.monotonic() + seconds))
        tasks = start_hostile(case, server, photos, tallies)
        await asyncio.sleep(1.0)
        await serve_clients(ordinary_clients(case, server, photos, beside, time.monotonic() + seconds))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(2.0)
        shares.append((beside.compared - before[1]) / max(1, alone.compared - before[0]))
    watching.cancel()
    all_tallies = [beside, alone, *tallies.values()]
    times = {} if case.is_mix else _times(beside, seconds * (turns if case.hostile else 1))
    return (
        times
        | _counts(beside, alone, usage)
        | {
            "clients": case.clients,
            "workers": case.workers,
            "seconds": round(time.monotonic() - begun, 1),
            "share_of_throughput_alone": round(statistics.median(shares), 3) if shares else None,
            "p99_alone_seconds": _quantile(alone.latencies, 0.99) if shares else None,
            "hostile": {kind: _paid(tally) for kind, tally in tallies.items()},
            "requests": sum(tally.requests for tally in all_tallies),
            "all_refused": sum(tally.refused for tally in all_tallies),
            "distinguishable": dict(sum((tally.distinguishable for tally in all_tallies), Counter())),
            "wrong": [each for tally in all_tallies for each in tally.wrong][:20],
        }
    )


def _times(tally: Tally, seconds: float) -> dict[str, Any]:
    return {
        "compared_per_second": round(tally.compared / seconds, 1),
        "p50_seconds": _quantile(tally.latencies, 0.5),
        "p99_seconds": _quantile(tally.latencies, 0.99),
    }


def _counts(beside: Tally, alone: Tally, usage: Usage) -> dict[str, Any]:
    return {
        "answered": dict(beside.answered),
        "refused": beside.refused,
        "unanswered": dict(beside.unanswered + alone.unanswered),
        "megabytes": round(usage.megabytes),
        "descriptors": usage.descriptors,
    }


def _paid(tally: Tally) -> dict[str, Any]:
    """What hostile clients got."""
    return {"answered": sum(tally.answered.values()), "refused": tally.refused, "ended": dict(tally.unanswered)}


def _quantile(values: list[float], part: float) -> float | None:
    return round(sorted(values)[min(len(values) - 1, int(part * len(values)))], 3) if values else None


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| Case | seconds | answers | distinguishable | refused | compared a second | p50, p99 s | share of alone | MB "
        "| descriptors | hostile clients got |",
        "|---" * 11 + "|",
    ]
    for name, row in rows.items():
        hostile = "; ".join(f"{kind}: {_text(paid)}" for kind, paid in row["hostile"].items())
        is_timed = "p99_seconds" in row
        cells = [
            name,
            round(row["seconds"]),
            row["requests"] - row["all_refused"],
            sum(row["distinguishable"].values()),
        ]
        cells += [row["all_refused"], row["compared_per_second"] if is_timed else ""]
        cells += [
            f"{row['p50_seconds']}, {row['p99_seconds']}" if is_timed else "",
            row["share_of_throughput_alone"] or "",
        ]
        cells += [row["megabytes"], row["descriptors"], hostile]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", _total(rows)])


def distinguishable(rows: dict[str, dict[str, Any]]) -> Counter[str]:
    """How many answers of all cases are distinguishable, by the kind of request."""
    return sum((Counter(row["distinguishable"]) for row in rows.values()), Counter())


def _total(rows: dict[str, dict[str, Any]]) -> str:
    """What was compared, in one line."""
    refused, distinct = sum(row["all_refused"] for row in rows.values()), distinguishable(rows)
    compared, wrong = (
        sum(row["requests"] for row in rows.values()) - refused,
        sum(len(row["wrong"]) for row in rows.values()),
    )
    kinds = ": " + ", ".join(f"{count} {kind}" for kind, count in sorted(distinct.items())) if distinct else ""
    return (
        f"{compared} answers compared, {distinct.total()} of them distinguishable{kinds}; and {refused} refusals; "
        f"{wrong} wrong or crossed"
    )


def _text(paid: dict[str, Any]) -> str:
    ended = ", ".join(f"{count} {name}" for name, count in paid["ended"].items())
    return f"{paid['answered']} answered, {paid['refused']} refused" + (f", {ended}" if ended else "")


def misses(row: dict[str, Any]) -> list[str]:
    """The limits that a row misses."""
    missed = [f"wrong: {each}" for each in row["wrong"]]
    missed += [
        f"{count} requests of ordinary clients without an answer: {how}" for how, count in row["unanswered"].items()
    ]
    if row["hostile"] and len(row["hostile"]) == len(KINDS):
        if row["share_of_throughput_alone"] < LEAST_SHARE:
            missed.append(f"share {row['share_of_throughput_alone']} < {LEAST_SHARE}")
        if row["p99_seconds"] > LONGEST_P99_SECONDS:
            missed.append(f"p99 {row['p99_seconds']} s > {LONGEST_P99_SECONDS:g} s")
    return missed


def added(row: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The row of a mix after another run: counts add up, memory and descriptors are of the later one."""
    sums = {
        name: dict(Counter(row[name]) + Counter(more[name])) for name in ("answered", "distinguishable", "unanswered")
    }
    sums |= {name: row[name] + more[name] for name in ("requests", "refused", "all_refused", "seconds", "wrong")}
    return more | sums


def kept() -> dict[str, dict[str, Any]]:
    """The rows of the record by the names of their cases."""
    rows: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return rows


def keep(case: Case, row: dict[str, Any], *, again: bool) -> dict[str, dict[str, Any]]:
    """Puts a row into the record, which another run may have changed meanwhile; returns all rows.

    What a mix counts is added to its row, unless it is measured `again`.
    """
    rows = kept()
    rows[case.name] = added(rows[case.name], row) if case.is_mix and case.name in rows and not again else row
    rows = {each.name: rows[each.name] for each in cases() if each.name in rows}
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def _answer(photos: Photo, case: Case) -> None:
    """Adds the kinds of photos that a case needs."""
    if "pair" not in photos:
        photos["pair"] = ordinary_answers()
    if "costly" in case.hostile and "costly" not in photos:
        photos["costly"] = costly_answers()
    if case.is_mix and "small" not in photos:
        photos |= mixed_answers()


def _seconds_to_ready() -> float:
    with tempfile.TemporaryDirectory() as folder, Server(1, Path(folder)) as server:
        return server.seconds_to_ready


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="PATTERN", help="cases in whose names one of these is found")
    parser.add_argument("--seconds", type=float, help="of each case, or turn with and without attackers")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--again", action="store_true", help="replace the results of cases that have some")
    parser.add_argument("--table", action="store_true", help="print the kept results, measure nothing")
    parser.add_argument("--starts", type=int, help="only print how long so many starts take until ready")
    options = parser.parse_args()
    if options.starts:
        took = sorted(_seconds_to_ready() for _ in range(options.starts))
        print(f"from start to ready: {statistics.median(took):.2f} s ({took[0]:.2f} to {took[-1]:.2f} s)")
        return 0
    rows = kept()
    wanted = [case for case in cases() if not options.only or any(re.search(each, case.name) for each in options.only)]
    photos: Photo = {}
    missed: list[str] = []
    for case in [] if options.table else wanted:
        if case.name in rows and not (options.again or case.is_mix):
            continue
        _answer(photos, case)
        with tempfile.TemporaryDirectory() as folder, Server(case.workers, Path(folder)) as server:
            row = asyncio.run(measure(case, server, photos, options.seconds or case.seconds, options.turns))
        missed += [f"{case.name}: {each}" for each in misses(row)]
        rows = keep(case, row, again=options.again)
        print(f"{case.name}: {row.get('compared_per_second')}/s, p99 {row.get('p99_seconds')} s", flush=True)
    print("\n" + table(rows), *missed, sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
