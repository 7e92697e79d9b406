"""IAM-style policies (specification section 3.3)."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likeness.aws.signature import Identity


@dataclass(frozen=True, slots=True)
class Context:
    """What conditions may ask about a request: the peer's address, the time (aware), and whether it came over TLS."""

    source_ip: str | None
    now: datetime
    secure_transport: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy document."""

    @classmethod
    def load(cls, document: Any) -> "Policy":
        """From parsed JSON. Raises SettingsError that names what is not understood; nothing is ignored in silence."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed`, or why not: an `explicit_deny`, else nothing allows it."""

    allowed: bool
    explicit_deny: bool = False


def decide(policies: tuple[Policy, ...], action: str, resource: str, context: Context) -> Decision:
    """Whether all of `policies` allow `action` on `resource`; a Deny in any of them wins."""
    ...


def authorize(identity: "Identity", action: str, resource: str, context: Context) -> None:
    """Returns when allowed, raises NotAuthorized with the service's text otherwise.

    The operation is `authorize(identity, shapes.ACTION, "*", context)`. For an S3Object use `decide` with the reference's
    `.action` and `.arn` and answer InvalidS3Object, as the service does.
    """
    ...
