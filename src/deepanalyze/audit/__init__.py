"""The audit trail: who did what, in a chain of records that tells when one was changed or taken out."""

from deepanalyze.audit.chain import Chain
from deepanalyze.audit.context import Origin, begin_change, bound, note
from deepanalyze.audit.records import AuditRepository, Entry, Mark, Outcome, Record, Wanted
from deepanalyze.audit.statements import StatementMode
from deepanalyze.audit.trail import AuditTrail
from deepanalyze.audit.verification import Verification

__all__ = [
    "AuditRepository",
    "AuditTrail",
    "Chain",
    "Entry",
    "Mark",
    "Origin",
    "Outcome",
    "Record",
    "StatementMode",
    "Verification",
    "Wanted",
    "begin_change",
    "bound",
    "note",
]
