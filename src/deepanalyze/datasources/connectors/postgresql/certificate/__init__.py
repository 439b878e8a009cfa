"""How much a credential could do without us: tried, asked, graded, and how to make one that needs no guard."""

from __future__ import annotations

from collections.abc import Sequence

from deepanalyze.datasources.capabilities import Certificate, Finding
from deepanalyze.datasources.connectors.postgresql.certificate.probes import (
    probes,
    role_probe,
    table_probe,
    tried,
)
from deepanalyze.datasources.connectors.postgresql.certificate.rights import Rights, ask
from deepanalyze.datasources.connectors.postgresql.certificate.script import grant_script
from deepanalyze.datasources.connectors.postgresql.connecting import Connection

_GRADES = {"high": "D", "medium": "C", "low": "B"}
_SUMMARIES = {
    "A": "It can read, and nothing else that a right could keep it from.",
    "B": "It can do small things beyond reading.",
    "C": "It can write, or change what others see.",
    "D": "It could take over the server or leave the database.",
}
_TRIED = 3  # of schemas, and of roles


async def certify(
    connection: Connection, *, schemas: Sequence[str] | None, timeout_s: float, read_only: bool
) -> Certificate:
    """On a connection that nobody else will use. Leaves no trace: nothing is ever committed.

    Args:
        schemas: the source's allow list.
        timeout_s: the source's time limit, for the script.
    """
    rights = await ask(connection)
    attempts = [
        *probes(),
        *map(table_probe, rights.schemas[:_TRIED]),
        *map(role_probe, rights.others[:_TRIED]),
    ]
    attempted = [await tried(connection, probe, standby=rights.standby) for probe in attempts]
    findings = [*rights.findings, *attempted]
    script = await grant_script(connection, rights.database, schemas, timeout_s)
    return _graded(rights, findings, script, read_only=read_only)


def _graded(rights: Rights, findings: Sequence[Finding], script: str, *, read_only: bool) -> Certificate:
    severities = {finding.severity for finding in findings if finding.allowed}
    grade = next((_GRADES[severity] for severity in _GRADES if severity in severities), "A")
    order = ("high", "medium", "low", "none")
    ranked = sorted(findings, key=lambda f: (order.index(f.severity), not f.allowed))
    unknown = [finding.check for finding in findings if finding.allowed is None]
    sentences = [f"Role {rights.role!r} in database {rights.database!r}: grade {grade}.", _SUMMARIES[grade]]
    if unknown:
        sentences.append(f"Could not be told: {', '.join(unknown)}.")
    if grade != "A":
        sentences += [_protection(findings, read_only=read_only)]
    return Certificate(
        grade=grade,  # type: ignore[arg-type]
        summary=" ".join(sentences),
        findings=ranked,
        script=script,
        details={"role": rights.role, "database": rights.database, "unknown": unknown},
    )


def _protection(findings: Sequence[Finding], *, read_only: bool) -> str:
    if not read_only:
        return "This source is writable: users with the write grant may change what the role may change."
    open_ = [f.check for f in findings if f.severity != "none" and not f.blocked]
    but = f", but not this: {', '.join(open_)}" if open_ else ""
    return f"This source is read-only and blocks it{but}; a credential made by the script could not do it at all."
