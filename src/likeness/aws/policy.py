"""IAM-style policies (specification section 3.3).

A document is JSON as for IAM, restricted to what this server can check: Effect, Action or NotAction, Resource or
NotResource, and Conditions on the caller's address, the time, TLS and the model pack. Everything else is refused when
the document is loaded, because a condition that is silently skipped grants access.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from likeness.aws.addresses import parse_address, parse_network
from likeness.aws.errors import NotAuthorized
from likeness.errors import SettingsError

_VERSIONS = ("2012-10-17", "2008-10-17")
_STATEMENT_KEYS = frozenset(("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"))


@dataclass(frozen=True, slots=True)
class Context:
    """What conditions may refer to: the peer's IP address (None: it has none), the time (timezone-aware), whether the
    request used TLS, and the model pack that it would be compared with (`likeness:Pack`, a key of Likeness's own).
    """

    source_ip: str | None
    now: datetime
    secure_transport: bool
    pack: str = ""


#: One entry of a Condition block: True when a request meets it.
Test = Callable[[Context], bool]


@dataclass(frozen=True, slots=True)
class PackNamed:
    """A test of the model pack: whether it is `among` the names."""

    names: frozenset[str]
    among: bool

    def __call__(self, context: Context) -> bool:
        return (context.pack in self.names) == self.among


@dataclass(frozen=True, slots=True)
class Patterns:
    """Names with `*` (any text) and `?` (any character); `negated` for NotAction and NotResource."""

    alternatives: re.Pattern[str]
    negated: bool = False

    def match(self, name: str) -> bool:
        """Whether all of `name` matches (or, if negated, does not)."""
        return (self.alternatives.fullmatch(name) is not None) != self.negated


@dataclass(frozen=True, slots=True)
class Statement:
    """One checked statement; it applies if action, resource and all conditions match."""

    allow: bool
    actions: Patterns
    resources: Patterns
    conditions: tuple[Test, ...]

    def applies(self, action: str, resource: str, context: Context) -> bool:
        """Whether this statement applies to a request."""
        return (
            self.actions.match(action)
            and self.resources.match(resource)
            and all(condition(context) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy document."""

    statements: tuple[Statement, ...]

    @property
    def packs(self) -> frozenset[str]:
        """The model packs that it names."""
        conditions = (condition for statement in self.statements for condition in statement.conditions)
        return frozenset().union(*(each.names for each in conditions if isinstance(each, PackNamed)))

    @classmethod
    def load(cls, document: Any) -> "Policy":
        """Reads parsed JSON. Raises SettingsError naming any unsupported element; nothing is silently ignored."""
        members = _object(document, "the policy")
        _refuse_unknown(members, {"Version", "Id", "Statement"}, "the policy")
        if members.get("Version", _VERSIONS[0]) not in _VERSIONS:
            raise SettingsError(f"policy: Version {members['Version']!r} is not known; write {_VERSIONS[0]!r}")
        statements = members.get("Statement")
        if not isinstance(statements, list):
            statements = [statements]
        if not statements or statements == [None]:
            raise SettingsError("policy: it has no Statement")
        return cls(tuple(_statement(each, f"Statement {number}") for number, each in enumerate(statements, 1)))


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed`, or the reason why not: an `explicit_deny`, otherwise nothing allows it."""

    allowed: bool
    explicit_deny: bool = False


def decide(policies: Iterable[Policy], action: str, resource: str, context: Context) -> Decision:
    """Whether all of `policies` allow `action` on `resource`; a Deny in any wins. Without policies: not allowed.

    Raises ValueError where a condition needs the address and `context.source_ip` is not one: neither answer is right.
    """
    verdicts = [_verdicts(policy, action, resource, context) for policy in policies]
    if any(False in each for each in verdicts):
        return Decision(False, explicit_deny=True)
    return Decision(bool(verdicts) and all(verdicts))


def _verdicts(policy: Policy, action: str, resource: str, context: Context) -> set[bool]:
    """The effects of the applicable statements: True for Allow, False for Deny."""
    return {each.allow for each in policy.statements if each.applies(action, resource, context)}


def authorize(policies: Iterable[Policy], user_arn: str, action: str, resource: str, context: Context) -> None:
    """Raises NotAuthorized, with the service's text, unless all of the user's `policies` allow the action.

    The operation is `authorize(key.policies, key.arn, shapes.ACTION, "*", context)`. For an S3Object use
    `decide(key.policies, reference.action, reference.arn, context)` and raise InvalidS3Object, as the service does.
    """
    decision = decide(policies, action, resource, context)
    if decision.allowed:
        return
    why = f"because no identity-based policy allows the {action} action"
    if decision.explicit_deny:
        why = "with an explicit deny in an identity-based policy"
    raise NotAuthorized(f"User: {user_arn} is not authorized to perform: {action} {why}")


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"policy: {where} must be a JSON object, not {value!r}")
    return value


def _refuse_unknown(members: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for name in members:
        if name not in known:
            raise SettingsError(
                f"policy: {where} has the unknown member {name!r}; known are {', '.join(sorted(known))}"
            )


def _statement(value: Any, where: str) -> Statement:
    members = _object(value, where)
    _refuse_unknown(members, _STATEMENT_KEYS, where)
    if members.get("Effect") not in ("Allow", "Deny"):
        raise SettingsError(f"policy: {where} needs an Effect of 'Allow' or 'Deny', not {members.get('Effect')!r}")
    conditions = _object(members.get("Condition", {}), f"the Condition of {where}")
    return Statement(
        members["Effect"] == "Allow",
        # As in IAM, actions are case-insensitive and resources case-sensitive.
        _patterns(members, "Action", where, re.IGNORECASE),
        _patterns(members, "Resource", where, re.NOFLAG),
        tuple(test for operator, block in conditions.items() for test in _tests(operator, block, where)),
    )


def _patterns(members: Mapping[str, Any], name: str, where: str, flags: re.RegexFlag) -> Patterns:
    given = [key for key in (name, f"Not{name}") if key in members]
    if len(given) != 1:
        raise SettingsError(f"policy: {where} needs either {name} or Not{name}")
    names = _strings(members[given[0]], f"{given[0]} of {where}")
    return Patterns(re.compile("|".join(map(_wildcards, names)), flags | re.DOTALL), negated=given[0] != name)


def _wildcards(pattern: str) -> str:
    """A regular expression for `*` and `?` without backtracking: each part matches at its first occurrence."""
    first, *pieces = (re.escape(piece).replace(r"\?", ".") for piece in re.split(r"\*+", pattern))
    if not pieces:
        return first
    *middle, last = pieces
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + last


def _strings(value: Any, where: str) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) and each for each in values):
        raise SettingsError(f"policy: {where} must be a string or a list of strings, not {value!r}")
    return values


def _tests(operator: str, block: Any, where: str) -> list[Test]:
    if operator not in _OPERATORS:
        known = ", ".join(sorted(_OPERATORS))
        raise SettingsError(f"policy: {where} has the condition operator {operator!r}; this server supports {known}")
    key, make = _OPERATORS[operator]
    tests = []
    for name, value in _object(block, f"{operator} of {where}").items():
        if name.lower() != key.lower():
            raise SettingsError(
                f"policy: {where} uses {operator} with {name!r}; this server supports it for {key!r} only"
            )
        values = _strings(str(value).lower() if isinstance(value, bool) else value, f"{operator} of {where}")
        try:
            tests.append(make(values))
        except ValueError as error:
            raise SettingsError(f"policy: {operator} of {where}: {error}") from error
    return tests


def _in_networks(values: Sequence[str], *, inside: bool) -> Test:
    networks = [parse_network(value) for value in values]

    def test(context: Context) -> bool:
        if not context.source_ip:  # a Unix socket: as in IAM, IpAddress fails and NotIpAddress holds
            return not inside
        address = parse_address(context.source_ip)
        return any(address in network for network in networks) == inside

    return test


def _at_time(values: Sequence[str], *, holds: Callable[[datetime, datetime], bool], every: bool = False) -> Test:
    times = [_time(value) for value in values]
    return lambda context: (all if every else any)(holds(context.now, time) for time in times)


def _time(text: str) -> datetime:
    """A time in ISO 8601, in UTC without a zone, or in seconds since 1970."""
    if re.fullmatch("[0-9]{9,11}", text):
        return datetime.fromtimestamp(int(text), UTC)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _over_tls(values: Sequence[str]) -> Test:
    if not {value.lower() for value in values} <= {"true", "false"}:
        raise ValueError(f"{values!r} is neither 'true' nor 'false'")
    wanted = {value.lower() == "true" for value in values}
    return lambda context: context.secure_transport in wanted


def _pack_named(values: Sequence[str], *, among: bool) -> Test:
    return PackNamed(frozenset(values), among)


def _time_operator(holds: Callable[[datetime, datetime], bool], every: bool = False) -> tuple[str, Any]:
    return "aws:CurrentTime", partial(_at_time, holds=holds, every=every)


#: Condition operator → the one key that it supports, and the function that creates its test from the values.
_OPERATORS: dict[str, tuple[str, Callable[[Sequence[str]], Test]]] = {
    "IpAddress": ("aws:SourceIp", partial(_in_networks, inside=True)),
    "NotIpAddress": ("aws:SourceIp", partial(_in_networks, inside=False)),
    "DateEquals": _time_operator(lambda now, time: now == time),
    "DateNotEquals": _time_operator(lambda now, time: now != time, every=True),
    "DateLessThan": _time_operator(lambda now, time: now < time),
    "DateLessThanEquals": _time_operator(lambda now, time: now <= time),
    "DateGreaterThan": _time_operator(lambda now, time: now > time),
    "DateGreaterThanEquals": _time_operator(lambda now, time: now >= time),
    "Bool": ("aws:SecureTransport", _over_tls),
    "StringEquals": ("likeness:Pack", partial(_pack_named, among=True)),
    "StringNotEquals": ("likeness:Pack", partial(_pack_named, among=False)),
}
