"""The measurements, kept as JSON, and derived figures."""

import json
import math
import platform
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from likeness.system.processors import thread_budget


def _machine() -> dict[str, Any]:
    """The properties of the machine that affect the figures, without its name."""
    return {
        "processors": thread_budget(),
        "processor": _processor(),
        "instructions": _instructions(),
        "system": platform.system(),
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor() or "unknown"


def _instructions() -> list[str]:
    """The processor's instruction sets that speed up networks, which its name may not tell."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return []
    return sorted({"avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"} & set(flags.split()))


@dataclass
class Results:
    """Every single figure, by case and contestant: `wall_s` and `cpu_s`, a list each; their medians in
    each of the `turns`; `peak_mb`; what was answered.
    """

    path: Path
    machine: dict[str, Any] = field(default_factory=_machine)
    cases: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    rates: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    cold_start_s: list[float] = field(default_factory=list)
    ready_s: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, *, resume: bool) -> Self:
        """The results in `path`, or empty ones to be written there."""
        if resume and path.is_file():
            return cls(path, **json.loads(path.read_text()))
        return cls(path)

    def save(self) -> None:
        kept = {name: value for name, value in vars(self).items() if name != "path"}
        rounded = json.loads(json.dumps(kept), parse_float=lambda text: float(f"{float(text):.5g}"))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(rounded, indent=1, ensure_ascii=False) + "\n")

    def has(self, case: str, contestant: str) -> bool:
        return contestant in self.cases.get(case, {})

    def add(self, case: str, contestant: str, turn: str, measured: dict[str, Any]) -> None:
        """Adds the figures of a turn; contestants of the same turn use the same name."""
        nothing: dict[str, Any] = {"wall_s": [], "cpu_s": [], "peak_mb": None, "turns": {}}
        known = self.cases.setdefault(case, {}).setdefault(contestant, nothing)
        known["wall_s"] += measured["wall_s"]
        known["cpu_s"] += measured["cpu_s"]
        known["turns"][turn] = {kind: statistics.median(measured[kind]) for kind in ("wall_s", "cpu_s")}
        known["peak_mb"] = max(filter(None, (known["peak_mb"], measured["peak_mb"])), default=None)
        known["answer"] = measured["answer"]

    def fail(self, case: str, contestant: str, reason: str) -> None:
        self.cases.setdefault(case, {})[contestant] = {"failed": reason, "wall_s": [], "cpu_s": [], "peak_mb": None}

    def clients(self, contestant: str, clients: int, turns: list[dict[str, Any]]) -> None:
        """Keeps the rate in comparisons a second over all turns, and percentiles of response times."""
        answers = [turn["answer"] for turn in turns]
        took_s = [took for answer in answers for took in answer["took_s"]]
        self.rates.setdefault(contestant, {})[str(clients)] = {
            "pairs_per_s": len(took_s) / sum(answer["lasted_s"] for answer in answers),
            "turns_pairs_per_s": [len(answer["took_s"]) / answer["lasted_s"] for answer in answers],
            "p50_s": percentile(took_s, 50),
            "p99_s": percentile(took_s, 99),
            "answers": len(took_s),
            "cpu_s_per_pair": sum(turn["cpu_s"][0] for turn in turns) / len(took_s),
            "client_cpu_s_per_pair": sum(answer.get("client_cpu_s", 0.0) for answer in answers) / len(took_s),
        }

    def median_s(self, case: str, contestant: str) -> float | None:
        values = self.cases.get(case, {}).get(contestant, {}).get("wall_s")
        return statistics.median(values) if values else None

    def p95_s(self, case: str, contestant: str) -> float | None:
        values = self.cases.get(case, {}).get(contestant, {}).get("wall_s")
        return percentile(values, 95) if values else None

    def cpu_s(self, case: str, contestant: str) -> float | None:
        """Median processor seconds of a repetition."""
        values = self.cases.get(case, {}).get(contestant, {}).get("cpu_s")
        return statistics.median(values) if values else None

    def ratio(self, case: str, upper: str, lower: str, kind: str = "wall_s") -> float | None:
        """How many times as long `upper` takes as `lower`, by wall or processor time: the median of the ratios of the
        turns in which both were measured, one after the other.
        """
        above, below = (self.cases.get(case, {}).get(who, {}).get("turns", {}) for who in (upper, lower))
        ratios = [turn[kind] / below[name][kind] for name, turn in above.items() if name in below]
        return statistics.median(ratios) if ratios else None


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that `percent` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
