"""Policies: who may do what, from where and when; unsupported elements are refused (section 3.3)."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.aws.errors import NotAuthorized
from likeness.aws.policy import Context, Policy, authorize, decide
from likeness.aws.shapes import ACTION
from likeness.errors import SettingsError

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
CONTEXT = Context("10.1.2.3", NOON, secure_transport=True)
ALLOW = {"Effect": "Allow", "Action": ACTION, "Resource": "*"}
ARN = "arn:aws:iam::111122223333:user/x"
DENY = {"Effect": "Deny", "Action": "*", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> Policy:
    return Policy.load({"Version": "2012-10-17", "Statement": list(statements)})


def allowed(*statements: dict[str, Any], action: str = ACTION, resource: str = "*", context: Context = CONTEXT) -> bool:
    return decide((policy(*statements),), action, resource, context).allowed


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (ACTION, True),
        ("rekognition:*", True),
        ("rekognition:Compare*", True),
        ("*", True),
        ("REKOGNITION:comparefaces", True),
        ("rekognition:CompareFace?", True),
        (["s3:GetObject", "rekognition:C*"], True),
        ("rekognition:Compare", False),
        ("rekognition:CompareFaces?", False),
        ("rekognition.CompareFaces", False),
        ("s3:*", False),
    ],
)
def test_actions(pattern: Any, matches: bool) -> None:
    assert allowed(ALLOW | {"Action": pattern}) is matches
    turned = {"Effect": "Allow", "NotAction": pattern, "Resource": "*"}
    assert allowed(turned) is not matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("arn:aws:s3:::photos/*", True),
        ("arn:aws:s3:::photos/2026/a.jpg", True),
        ("arn:aws:s3:::pho?os/*.jpg", True),
        ("arn:aws:s3:::photos", False),
        ("arn:aws:s3:::photos/A.jpg", False),
        ("ARN:aws:s3:::photos/*", False),
        ("arn:aws:s3:::phot", False),
    ],
)
def test_resources(pattern: str, matches: bool) -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": pattern}
    assert allowed(statement, action="s3:GetObject", resource="arn:aws:s3:::photos/2026/a.jpg") is matches
    assert not allowed(statement, action="s3:GetObjectVersion", resource="arn:aws:s3:::photos/2026/a.jpg")


@pytest.mark.parametrize("name", ["a\nb", "\n", "a\r\nb.jpg", "\u2028"])
def test_names_with_line_ends_are_names(name: str) -> None:
    """Names of S3 objects may have them; what is denied for all names is denied for these."""
    deny = {"Effect": "Deny", "Action": "*", "Resource": ["arn:aws:s3:::photos/?*", "x"]}
    resource = f"arn:aws:s3:::photos/{name}"
    assert allowed(ALLOW | {"Action": "*"}, resource=resource)
    assert not allowed(ALLOW | {"Action": "*"}, deny, resource=resource)


def test_the_operation_has_no_resource_so_an_arn_never_matches() -> None:
    assert not allowed(ALLOW | {"Resource": "arn:aws:rekognition:*:*:*"})


def test_nothing_is_allowed_by_default() -> None:
    assert not decide((), ACTION, "*", CONTEXT).allowed
    assert not decide((policy(ALLOW | {"Action": "s3:*"}),), ACTION, "*", CONTEXT).allowed


def test_an_explicit_deny_wins_wherever_it_stands() -> None:
    for statements in ((ALLOW, DENY), (DENY, ALLOW)):
        decision = decide((policy(*statements),), ACTION, "*", CONTEXT)
        assert (decision.allowed, decision.explicit_deny) == (False, True)
    assert decide((policy(ALLOW), policy(DENY)), ACTION, "*", CONTEXT).explicit_deny


def test_all_policies_must_allow() -> None:
    narrow = policy(ALLOW | {"Action": "s3:*"})
    assert not decide((policy(ALLOW), narrow), ACTION, "*", CONTEXT).allowed
    assert decide((policy(ALLOW), policy(ALLOW)), ACTION, "*", CONTEXT).allowed


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.1.2.3"]}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.1.2.4/32"}}, False),
        ({"IpAddress": {"aws:sourceip": "10.1.2.3"}}, True),
        ({"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, False),
        ({"IpAddress": {"aws:SourceIp": "::ffff:10.0.0.0/104"}}, True),
        ({"IpAddress": {"aws:SourceIp": "::ffff:10.1.2.3"}}, True),
        ({"IpAddress": {"aws:SourceIp": "::ffff:11.0.0.0/104"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "::ffff:10.0.0.0/104"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "192.168.0.0/16"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-06-15T12:00:00Z"}}, False),
        ({"DateGreaterThanEquals": {"aws:CurrentTime": "2026-06-15T12:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-06-15T15:00:00+02:00"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-06-15"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2026-06-15T12:00:00Z"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": ["2026-01-01", "2027-01-01"]}}, True),
        ({"DateLessThanEquals": {"aws:CurrentTime": "2026-06-15T12:00:00"}}, True),
        ({"DateEquals": {"aws:CurrentTime": "1781524800"}}, True),
        ({"DateNotEquals": {"aws:CurrentTime": ["1781524800", "1781524801"]}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "Bool": {"aws:SecureTransport": "false"}}, False),
        ({"IpAddress": {"aws:SourceIp": "192.168.0.0/16", "aws:sourceip": "10.0.0.0/8"}}, False),
        ({}, True),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    assert allowed(ALLOW | {"Condition": condition}) is holds
    assert allowed(ALLOW, DENY | {"Condition": condition}) is not holds


def test_the_address_of_a_caller() -> None:
    inside = ALLOW | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    outside = ALLOW | {"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    mapped = Context("::ffff:10.1.2.3", NOON, secure_transport=False)
    assert allowed(inside, context=mapped)
    assert not allowed(outside, context=mapped)
    socket = Context(None, NOON, secure_transport=False)
    assert not allowed(inside, context=socket)
    assert allowed(outside, context=socket)
    for statement in (inside, outside):
        with pytest.raises(ValueError, match="010"):
            allowed(ALLOW, statement | {"Effect": "Deny"}, context=Context("010.0.0.5", NOON, secure_transport=False))


@pytest.mark.parametrize(
    ("value", "plain", "tls"),
    [("true", False, True), ("false", True, False), (False, True, False), (["false", "true"], True, True)],
)
def test_the_transport_of_a_caller(value: Any, plain: bool, tls: bool) -> None:
    statement = ALLOW | {"Condition": {"Bool": {"aws:SecureTransport": value}}}
    for secure, expected in ((False, plain), (True, tls)):
        assert allowed(statement, context=Context("10.1.2.3", NOON, secure_transport=secure)) is expected


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set")
def test_a_time_without_a_zone_is_in_utc_wherever_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    try:
        assert allowed(ALLOW | {"Condition": {"DateEquals": {"aws:CurrentTime": "2026-06-15T12:00:00"}}})
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ([], "must be a JSON object"),
        ({}, "no Statement"),
        ({"Statement": []}, "no Statement"),
        ({"Statement": "x"}, "Statement 1 must be a JSON object"),
        ({"Statement": [ALLOW], "Statements": []}, "unknown member 'Statements'"),
        ({"Version": "2030-01-01", "Statement": [ALLOW]}, "Version '2030-01-01'"),
        ({"Statement": [ALLOW, ALLOW | {"Efect": "Deny"}]}, "Statement 2 has the unknown member 'Efect'"),
        ({"Statement": [ALLOW | {"Principal": "*"}]}, "unknown member 'Principal'"),
        ({"Statement": [ALLOW | {"Effect": "allow"}]}, "Effect of 'Allow' or 'Deny'"),
        ({"Statement": [ALLOW | {"NotAction": "x"}]}, "either Action or NotAction"),
        ({"Statement": [{"Effect": "Allow", "Resource": "*"}]}, "either Action or NotAction"),
        ({"Statement": [{"Effect": "Allow", "Action": "*"}]}, "either Resource or NotResource"),
        ({"Statement": [ALLOW | {"Action": 5}]}, "Action of Statement 1 must be a string"),
        ({"Statement": [ALLOW | {"Action": []}]}, "Action of Statement 1 must be a string"),
        ({"Statement": [ALLOW | {"Action": ["s3:*", ""]}]}, "Action of Statement 1 must be a string"),
        (
            {"Statement": [ALLOW | {"Condition": {"StringEquals": {"aws:username": "x"}}}]},
            "StringEquals with 'aws:username'",
        ),
        ({"Statement": [ALLOW | {"Condition": {"BoolIfExists": {"aws:SecureTransport": "true"}}}]}, "'BoolIfExists'"),
        ({"Statement": [ALLOW | {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}]}, "aws:MultiFactor"),
        ({"Statement": [ALLOW | {"Condition": {"IpAddress": {"aws:VpcSourceIp": "10.0.0.1"}}}]}, "aws:VpcSourceIp"),
        ({"Statement": [ALLOW | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0"}}}]}, "10.0.0"),
        ({"Statement": [ALLOW | {"Condition": {"IpAddress": {"aws:SourceIp": "::ffff:10.0.0.0/8"}}}]}, "as IPv4"),
        ({"Statement": [ALLOW | {"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}}]}, "soon"),
        ({"Statement": [ALLOW | {"Condition": {"DateLessThan": {"aws:CurrentTime": "9" * 30}}}]}, "DateLessThan"),
        ({"Statement": [ALLOW | {"Condition": {"Bool": {"aws:SecureTransport": "yes"}}}]}, "yes"),
        ({"Statement": [ALLOW | {"Condition": {"Bool": {"aws:SecureTransport": []}}}]}, "must be a string"),
        ({"Statement": [ALLOW | {"Condition": []}]}, "must be a JSON object"),
        ({"Statement": [ALLOW | {"Condition": {"Bool": "true"}}]}, "must be a JSON object"),
    ],
)
def test_unsupported_elements_are_refused_by_name(document: Any, names: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Policy.load(document)
    assert names in str(raised.value)


def test_one_statement_needs_no_list() -> None:
    assert decide((Policy.load({"Statement": ALLOW}),), ACTION, "*", CONTEXT).allowed


def test_the_text_of_a_denial() -> None:
    authorize((policy(ALLOW),), ARN, ACTION, "*", CONTEXT)
    start = "User: arn:aws:iam::111122223333:user/x is not authorized to perform: rekognition:CompareFaces"
    with pytest.raises(NotAuthorized) as raised:
        authorize((), ARN, ACTION, "*", CONTEXT)
    because = " because no identity-based policy allows the rekognition:CompareFaces action"
    assert raised.value.text == start + because
    with pytest.raises(NotAuthorized) as raised:
        authorize((policy(ALLOW, DENY),), ARN, ACTION, "*", CONTEXT)
    assert raised.value.text == start + " with an explicit deny in an identity-based policy"


@given(st.text(alphabet="ab*?.[", max_size=12), st.text(alphabet="ab.[", max_size=12))
def test_wildcards_mean_what_they_mean_in_iam(pattern: str, name: str) -> None:
    def matches(p: str, n: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return matches(p[1:], n) or (bool(n) and matches(p, n[1:]))
        return bool(n) and p[0] in ("?", n[0]) and matches(p[1:], n[1:])

    statement = {"Effect": "Allow", "Action": "x", "Resource": pattern or "?"}
    assert allowed(statement, action="x", resource=name) is matches(pattern or "?", name)


def test_a_policy_full_of_stars_takes_no_time() -> None:
    statement = {"Effect": "Allow", "Action": "x", "Resource": "*a" * 40 + "b"}
    started = time.thread_time()
    assert not allowed(statement, action="x", resource="a" * 1000)
    assert time.thread_time() - started < 1
