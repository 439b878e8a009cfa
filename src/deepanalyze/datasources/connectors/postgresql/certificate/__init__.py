"""How much a credential could do without us: tried, asked, graded, and how to make one that needs no guard."""

from __future__ import annotations

from collections.abc import Sequence

from deepanalyze.datasources.capabilities import Certificate, Finding
from deepanalyze.datasources.connectors.postgresql.certificate.probes import probes, table_probe, tried
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
_TRIED_SCHEMAS = 3


async def certify(
    connection: Connection, *, schemas: Sequence[str] | None, timeout_s: float, read_only: bool
) -> Certificate:
    """On a connection that nobody else will use. Leaves no trace: nothing is ever committed.

    Args:
        schemas: the source's allow list.
        timeout_s: the source's time limit, for the script.
    """
    rights = await ask(connection)
    attempts = [*probes(), *(table_probe(schema) for schema in rights.schemas[:_TRIED_SCHEMAS])]
    findings = [*rights.findings, *[await tried(connection, probe) for probe in attempts]]
    script = await grant_script(connection, rights.database, schemas, timeout_s)
    return _graded(rights, findings, script, read_only=read_only)


def _graded(rights: Rights, findings: Sequence[Finding], script: str, *, read_only: bool) -> Certificate:
    severities = {finding.severity for finding in findings if finding.allowed}
    grade = next((_GRADES[severity] for severity in _GRADES if severity in severities), "A")
    order = ("high", "medium", "low", "none")
    ranked = sorted(findings, key=lambda f: (order.index(f.severity), not f.allowed))
    summary = f"Role {rights.role!r} in database {rights.database!r}: grade {grade}. {_SUMMARIES[grade]}"
    if grade != "A":
        summary += (
            " This source is read-only and blocks it; a credential made by the script could not do it at all."
            if read_only
            else " This source is writable: users with the write grant may change what the role may change."
        )
    return Certificate(
        grade=grade,  # type: ignore[arg-type]
        summary=summary,
        findings=ranked,
        script=script,
        details={
            "role": rights.role,
            "database": rights.database,
            "unknown": [finding.check for finding in findings if finding.allowed is None],
        },
    )
