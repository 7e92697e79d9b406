"""The results as tables: times, ratios to each peer, and goals."""

import statistics
from typing import Any

from benchmarks.speed.cases import BESIDE, CASES, HTTP_CASE
from benchmarks.speed.results import Results, percentile
from benchmarks.speed.soak import RECORD, runs_in
from rich.console import Console
from rich.table import Table

_PEER_BARS = {
    "face_recognition": (("640x480", 10.0), ("1280x886", 20.0), ("1920x1080", 30.0), ("12mp", 80.0)),
    "deepface": (("1280x886", 20.0), ("groups", 60.0)),
}
_ORDER = ("floor", "likeness", "likeness http", "moto", "face_recognition", "deepface")


def show(results: Results) -> None:
    """Prints all results."""
    console = Console(width=132 if not Console().is_terminal else None)
    console.print(_times(results))
    if results.rates:
        console.print(_rates(results))
    if results.cold_start_s:
        cold = percentile(results.cold_start_s, 50), percentile(results.cold_start_s, 95)
        console.print(
            f"Cold start of likeness compare-faces, two 640×480 photos: median {cold[0]:.2f} s, p95 {cold[1]:.2f} s"
        )
        ready = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in results.ready_s.items())
        console.print(f"From the start of the process until it can compare: {ready}")
    console.print(_goals(results))


def _times(results: Results) -> Table:
    table = Table(title="Wall and processor time of a comparison", title_justify="left")
    for name in ("case", "contestant", "median", "p95", "CPU", "peak memory", "wall: × Likeness", "CPU: × Likeness"):
        table.add_column(name, justify="left" if name in ("case", "contestant") else "right")
    for case in CASES:
        title = case.title
        for who in _ORDER:
            kept = results.cases.get(case.name, {}).get(who)
            if kept is None:
                continue
            if "failed" in kept:
                table.add_row(title, who, "failed", "", "", "", "", kept["failed"][:40])
            else:
                wall_s, p95_s, cpu_s = (
                    measure(case.name, who) or 0.0 for measure in (results.median_s, results.p95_s, results.cpu_s)
                )
                found = [results.ratio(case.name, who, "likeness", kind) for kind in ("wall_s", "cpu_s")]
                ratios = [f"{ratio:.2f}" if ratio and who != "likeness" else "" for ratio in found]
                memory = f"{kept['peak_mb']:.0f} MB" if kept["peak_mb"] and "http" not in who and who != "moto" else ""
                table.add_row(title, who, _ms(wall_s), _ms(p95_s), _ms(cpu_s), memory, *ratios)
            title = ""
        table.add_section()
    return table


def _rates(results: Results) -> Table:
    table = Table(title="Several clients at once", title_justify="left")
    for name in ("contestant", "clients", "pairs/s", "p50", "p99", "CPU a pair", "the client's own CPU"):
        table.add_column(name, justify="left" if name == "contestant" else "right")
    for who, rates in results.rates.items():
        for clients, rate in rates.items():
            own = _ms(rate["client_cpu_s_per_pair"]) if rate["client_cpu_s_per_pair"] else ""
            table.add_row(
                who,
                clients,
                f"{rate['pairs_per_s']:.1f}",
                _ms(rate["p50_s"]),
                _ms(rate["p99_s"]),
                _ms(rate["cpu_s_per_pair"]),
                own,
            )
    return table


def _goals(results: Results) -> Table:
    table = Table(title="Goals", title_justify="left")
    for name in ("goal", "bar", "measured", ""):
        table.add_column(name, justify="right" if name in ("bar", "measured") else "left")
    for text, bar, value, at_most in goals(results):
        reached = value <= bar if at_most else value >= bar
        table.add_row(
            text, f"{'≤' if at_most else '≥'} {bar:g}", f"{value:.3g}", "yes" if reached else "[bold]no[/bold]"
        )
    return table


def goals(results: Results) -> list[tuple[str, float, float, bool]]:
    """The goals with measured values: text, bar, value, and whether the value must be at most the bar."""
    found: list[tuple[str, float, float | None, bool]] = []
    for case in ("1280x886", "1920x1080", "group-100"):
        found += [(f"{case}: wall over floor", 1.25, results.ratio(case, "likeness", "floor"), True)]
    found.append(("12mp over 1920x1080", 2.0, results.ratio("12mp", "likeness", BESIDE), True))
    for peer, bars in _PEER_BARS.items():
        found += [
            (f"{case}: faster than {peer}", bar, results.ratio(case, peer, "likeness"), False) for case, bar in bars
        ]
    http = results.ratio(HTTP_CASE, "likeness http", "likeness", "cpu_s")
    found.append(("HTTP and signature: CPU over in process", 1.12, http, True))
    many = results.rates.get("likeness http", {}).get("8")
    ratio = _rate_over_in_process(results)
    if many and ratio:
        found.append(("8 clients over HTTP: rate over in process", 0.9, ratio, False))
        found.append(("8 clients over HTTP: p99 over p50", 2.0, many["p99_s"] / many["p50_s"], True))
    if results.cold_start_s:
        found.append(("cold start of the command, s", 1.0, percentile(results.cold_start_s, 50), True))
    if runs := runs_in(results.path.with_name(RECORD)):
        found.append(("server after the soak, MB", 450, max(run["end_mb"] for run in runs), True))
        found.append(("growth over the second half, %", 1.0, max(run["growth_percent"] for run in runs), True))
    return [(text, bar, value, at_most) for text, bar, value, at_most in found if value is not None]


def _rate_over_in_process(results: Results) -> float | None:
    """The rate of 8 clients over the in-process rate with one comparison per processor at once: the median of the
    ratios of consecutive turns.
    """
    processors = str(results.machine["processors"])
    ours, theirs = results.rates.get("likeness", {}).get(processors), results.rates.get("likeness http", {}).get("8")
    if not ours or not theirs:
        return None
    pairs = zip(theirs["turns_pairs_per_s"], ours["turns_pairs_per_s"], strict=True)
    return float(statistics.median(over_http / in_process for over_http, in_process in pairs))


def show_soak(runs: list[dict[str, Any]]) -> None:
    """Prints the memory in each tenth of the runs of a soak, and the answers of the last one."""
    table = Table(
        title=f"{len(runs)} × {runs[-1]['requests']} mixed requests: memory of the server, MB", title_justify="left"
    )
    for name in ("run ended", *(f"{tenth}0 %" for tenth in range(1, 11)), "growth", "wrong"):
        table.add_column(name, justify="right")
    for run in runs:
        observed = run["observed_mb"]
        step = -(-len(observed) // 10)
        tenths = [f"{statistics.mean(observed[at : at + step]):.1f}" for at in range(0, len(observed), step)]
        table.add_row(run["ended"], *tenths, f"{run['growth_percent']:.2f} %", str(run["wrong"]))
    console = Console(width=132 if not Console().is_terminal else None)
    console.print(table)
    console.print(f"Growth is that of the second half. Answers of the last run: {runs[-1]['statuses']}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
