"""Times as text: ISO 8601 in UTC, as in CloudTrail's records."""

from datetime import UTC, datetime
from typing import Literal


def utc_text(time: datetime, precision: Literal["seconds", "milliseconds"] = "seconds") -> str:
    """A timezone-aware `time` as 2026-11-29T23:00:00Z, or 2026-11-29T23:00:00.000Z."""
    return time.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
