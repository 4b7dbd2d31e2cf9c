"""``--fail-over``: which outcomes of a survey make a build fail, and what must be known for it to pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adverscarial.attacks import Attack, Result
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.registered import attacks as all_attacks
from adverscarial.attacks.registered import named
from adverscarial.cli.exits import LimitExceeded, NotDecided
from adverscarial.cli.output import alarm
from adverscarial.errors import ParameterError, some
from adverscarial.surveys.stored import already_there

DEFAULT = "single-gene"  #: the attack that a bare number is about


class Limit(NamedTuple):
    """One ``--fail-over``: an attack, its gate, and the number."""

    name: str
    kind: type[Attack[Result]]
    gate: Gate
    number: int


class Outcome(NamedTuple):
    """What one attack found on one cluster; no result, but an error, where it failed or had nothing to do."""

    attack: Attack[Result]
    where: str
    result: Result | None
    error: str = ""


def limits_of(texts: Sequence[str], attacks: Iterable[Attack[Result]]) -> list[Limit]:
    """Return the limits that ``--fail-over`` names, one for each attack.

    Parameters
    ----------
    texts
        ``"2"`` (single genes) or ``"max-change=10"``.
    attacks
        The attacks that are asked for.

    Raises
    ------
    ParameterError
        If a text is no such limit, its attack has no gate, or is not asked for: a limit that nothing is compared with
        would always pass.
    """
    limits = [_limit(text) for text in texts]
    asked = {type(attack) for attack in attacks}
    for limit in limits:
        if limit.kind not in asked:
            others = [name for name, kind in all_attacks().items() if kind in asked]
            raise ParameterError(
                f"--fail-over {limit.name}={limit.number} needs an attack that is not asked for. Add --attack "
                f"{limit.name}, or set a limit for what is asked for: {', '.join(f'{name}=N' for name in others)}."
            )
    repeated = [limit.name for limit in limits]
    if len(set(repeated)) < len(repeated):
        raise ParameterError(f"--fail-over names one attack more than once: {some(repeated)}. Name each attack once.")
    return limits


def _limit(text: str) -> Limit:
    name, equals, digits = text.rpartition("=")
    if not digits.strip().isdecimal() or (equals and not name):
        raise ParameterError(
            f"--fail-over got '{text}'. Give a whole number of single genes, such as --fail-over 0, or an attack and "
            "its number, such as --fail-over max-change=10."
        )
    name, number = name or DEFAULT, int(digits)
    kind = named(name)
    gate = kind.result_type().gate
    if gate is None:
        gated = [known for known, other in all_attacks().items() if other.result_type().gate]
        raise ParameterError(
            f"The attack '{name}' has no gate, so --fail-over cannot judge it. Use: {', '.join(gated)}."
        )
    if gate.column == "success" and number:
        raise ParameterError(f"The attack '{name}' reaches its goal or not: use --fail-over {name}=0, not {number}.")
    return Limit(name, kind, gate, number)


def judge(limits: Sequence[Limit], outcomes: Sequence[Outcome]) -> None:
    """Compare what was found with the limits.

    Raises
    ------
    LimitExceeded
        If an outcome is beyond its limit.
    NotDecided
        If none is, but at least one is not known.
    """
    over = [not _within(limit, outcomes) for limit in limits]
    if any(over):
        raise LimitExceeded
    known = [_decided(limit, outcomes) for limit in limits]
    if not all(known):
        raise NotDecided


def _within(limit: Limit, outcomes: Sequence[Outcome]) -> bool:
    """Return whether no result is beyond the limit, and name the worst one that is."""
    found = [
        (value, outcome)
        for outcome in outcomes
        if type(outcome.attack) is limit.kind
        and outcome.result is not None
        and (value := limit.gate.value(outcome.result)) is not None
        and limit.gate.beyond(value, limit.number)
    ]
    if found:
        value, outcome = (max if limit.gate.fails == "above" else min)(found, key=lambda pair: pair[0])
        more = f" {len(found):,} attacks are beyond this limit." if len(found) > 1 else ""
        alarm(
            f"{limit.gate.sentence(value, outcome.where)}; --fail-over allows {limit.gate.allowed(limit.number)}.{more}"
        )
    return not found


def _decided(limit: Limit, outcomes: Sequence[Outcome]) -> bool:
    """Return whether every attack of a limit came to a complete answer, and name those that did not."""
    left = {
        f"{outcome.where} ({reason})": None
        for outcome in outcomes
        if type(outcome.attack) is limit.kind and (reason := _open(outcome))
    }
    if left:
        alarm(f"Not decided: {'; '.join(list(left)[:5])}{_more(len(left) - 5)}.")
        alarm("--fail-over cannot pass what was not tested.")
    return not left


def _open(outcome: Outcome) -> str:
    """Return why an outcome cannot pass; empty if it can."""
    if outcome.result is None:
        if already_there(outcome.error):  # no gene can give the cluster the label that it has
            return ""
        return f"{outcome.attack!r} failed"
    if not outcome.result.complete:
        return f"the budget ended {outcome.attack!r}"
    meanings = {} if outcome.result.count is None else outcome.result.count.marks
    told = [meanings.get(mark, "not everything was tested") for mark in outcome.result.marks]
    return f"{outcome.attack!r}: {', '.join(told)}" if told else ""


def _more(count: int) -> str:
    return f"; and {count:,} more" if count > 0 else ""
