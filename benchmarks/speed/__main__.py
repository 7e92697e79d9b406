"""`make bench`: measures, prints the table, writes benchmarks/results/speed.json.

python -m benchmarks.speed                            everything: about 20 minutes on two idle cores
python -m benchmarks.speed --only 640x480,12mp        some cases; also: clients, cold
python -m benchmarks.speed --peers none --rounds 1    without the slow ones
python -m benchmarks.speed --resume                   what the results file lacks
python -m benchmarks.speed --soak 10000               the server's memory over that many mixed requests, in soak.json
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed import contestants
from benchmarks.speed.cases import BESIDE, CASES, CLIENTS, CLIENTS_CASE, PEERS_TARGETS, Case
from benchmarks.speed.contestants import Contestant, ContestantFailed, cold_start_s
from benchmarks.speed.photos import Pair
from benchmarks.speed.results import Results
from benchmarks.speed.soak import RECORD, record, soak
from benchmarks.speed.table import show, show_soak

from likeness.system.processors import thread_budget

_PEERS = ("face_recognition", "deepface", "moto")
_ALWAYS = ("floor", "likeness", "likeness http")
_RESULTS = Path(__file__).resolve().parents[1] / "results"
_OTHER = ("clients", "cold")
#: Repetitions in a turn: in the first one, caches hold the data of another contestant.
_SHORT_TURN = 5
#: The number of turns into which the time for each number of clients is divided.
_CLIENTS_ROUNDS = 6


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers and workers, and keeps the results
    options = _options()
    if options.soak:
        try:
            run = soak(options.soak, progress=_say)
        except ContestantFailed as error:
            sys.exit(f"soak: {error}")
        show_soak(record(options.results.with_name(RECORD), run))
        return
    results = Results.open(options.results, resume=options.resume)
    try:
        _measure(options, results)
    finally:
        results.save()
    show(results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    known = [case.name for case in CASES] + list(_OTHER)
    parser.add_argument("--only", default=",".join(known), help=f"of {', '.join(known)}")
    parser.add_argument("--peers", default=",".join(_PEERS), help=f"of {', '.join(_PEERS)}; none")
    parser.add_argument("--rounds", type=int, default=3, help="how often the contestants take turns in each case")
    parser.add_argument("--repeat", type=float, default=1.0, help="factor on the repetitions of a turn")
    parser.add_argument("--seconds", type=float, default=45.0, help="longest that a contestant's turn may take")
    parser.add_argument("--lasting", type=float, default=24.0, help="seconds for each number of clients, in turns")
    parser.add_argument("--resume", action="store_true", help="keep what the results file has, measure the rest")
    parser.add_argument(
        "--soak", type=int, default=0, metavar="N", help="N mixed requests, memory recorded in soak.json"
    )
    parser.add_argument("--results", type=Path, default=_RESULTS / "speed.json")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.peers = [] if options.peers == "none" else options.peers.split(",")
    for unknown in {*options.only} - {*known} | {*options.peers} - {*_PEERS}:
        parser.error(f"there is no {unknown!r}")
    return options


def _measure(options: argparse.Namespace, results: Results) -> None:
    makers = (
        contestants.floor,
        contestants.likeness,
        contestants.likeness_http,
        contestants.moto,
        contestants.face_recognition,
        contestants.deepface,
    )
    field = [contestant for contestant in (make() for make in makers) if contestant.name in (*_ALWAYS, *options.peers)]
    try:
        for case in CASES:
            if case.name in options.only:
                _measure_case(case, field, options, results)
                results.save()
        if "clients" in options.only:
            _measure_clients(field, options, results)
        if "cold" in options.only:
            _measure_cold_start(field, options, results)
    finally:
        for contestant in field:
            contestant.close()


def _measure_case(case: Case, field: list[Contestant], options: argparse.Namespace, results: Results) -> None:
    """The contestants take turns, so that other load on the machine affects all of them."""
    pair = case.pair()
    absent: set[str] = set()
    done = {each.name for each in field if results.has(case.name, each.name)}
    for round_ in range(options.rounds):
        for turn, contestant, repeat in _turns(case, field, options.repeat):
            if contestant.name in absent | done:
                continue
            try:
                if not results.has(case.name, contestant.name):
                    _warm(contestant, pair)
                measured = _turn(case, contestant, pair, repeat, options.seconds)
            except ContestantFailed as error:
                _say(f"{case.name}: {error}")
                results.fail(case.name, contestant.name, str(error))
                absent.add(contestant.name)
                continue
            results.add(case.name, contestant.name, f"{round_}.{turn}", measured)
            if case.beside and contestant.name == "likeness":
                measured_beside = _turn(case, contestant, case.beside(), repeat, options.seconds)
                results.add(case.name, BESIDE, f"{round_}.{turn}", measured_beside)
            wall_ms = 1000 * min(measured["wall_s"])
            _say(f"{case.name:>12} {contestant.name:<18} {len(measured['wall_s']):3} x, best {wall_ms:9.1f} ms")


def _turns(case: Case, field: list[Contestant], factor: float) -> Iterator[tuple[int, Contestant, int]]:
    """The turns of a round: number, contestant and repetitions. Turns are short, and all contestants have as many as
    the fastest ones need, since a processor's clock changes within seconds.
    """
    left = {each.name: max(1, round(case.repeat[each.name] * factor)) for each in field if case.repeat.get(each.name)}
    turns = -(-max(left.values()) // _SHORT_TURN)
    for turn in range(turns):
        for contestant in field:
            if repeat := -(-left.get(contestant.name, 0) // (turns - turn)):
                left[contestant.name] -= repeat
                yield turn, contestant, repeat


def _warm(contestant: Contestant, pair: Pair) -> None:
    if contestant.name == "floor":
        contestant.ask("prepare", source=pair.source, target=pair.target)
    elif contestant.name in (*_ALWAYS, "moto"):
        contestant.ask("pair", repeat=3, source=pair.source, target=pair.target)


def _turn(case: Case, contestant: Contestant, pair: Pair, repeat: int, seconds: float) -> dict[str, Any]:
    if not case.targets:
        return contestant.ask("pair", repeat=repeat, seconds=seconds, source=pair.source, target=pair.target)
    count = PEERS_TARGETS if contestant.name in _PEERS else case.targets
    targets = [str(path) for path in case.target_photos(count)]
    measured = contestant.ask("many", repeat=repeat, seconds=seconds, source=pair.source, targets=targets)
    for kind in ("wall_s", "cpu_s"):
        measured[kind] = [value * case.targets / count for value in measured[kind]]
    return measured


def _measure_clients(field: list[Contestant], options: argparse.Namespace, results: Results) -> None:
    pair = next(case for case in CASES if case.name == CLIENTS_CASE).pair()
    # boto3's own time comes from the same processors, so it is measured for one number of clients only.
    most = CLIENTS[-1]
    turns = [("likeness http", "likeness http, boto3", most, False), ("likeness", "likeness", most, True)]
    turns += [(name, name, count, True) for count in CLIENTS[:-1] for name in ("likeness http", "likeness")]
    # Consecutive, as their ratio is reported: all processors in process, and many clients.
    turns.sort(key=lambda turn: turn[:3] == ("likeness", "likeness", thread_budget()))
    turns.append(("likeness http", "likeness http", most, True))
    measured: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for _ in range(_CLIENTS_ROUNDS):
        for name, shown, count, prepared in turns:
            contestant = next(each for each in field if each.name == name)
            arguments = {"source": pair.source, "target": pair.target, "lasting": options.lasting / _CLIENTS_ROUNDS}
            turn = contestant.ask("clients", clients=count, prepared=prepared, **arguments)
            measured.setdefault((shown, count), []).append(turn)
            _say(f"     clients {shown:<20} {count}")
    for (shown, count), parts in measured.items():
        results.clients(shown, count, parts)


def _measure_cold_start(field: list[Contestant], options: argparse.Namespace, results: Results) -> None:
    pair = CASES[0].pair()
    took = [cold_start_s(pair.source, pair.target) for _ in range(max(2, round(10 * options.repeat)))]
    results.cold_start_s = took
    results.ready_s = {each.name: each.cold_s for each in field if each.cold_s is not None}


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
