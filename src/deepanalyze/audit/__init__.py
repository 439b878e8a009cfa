"""The audit trail: who did what, in a chain of records that tells when one was changed or taken out."""

from deepanalyze.audit.chain import Chain
from deepanalyze.audit.context import Origin, bound, note
from deepanalyze.audit.deeds import Deed, acting, batch_of_change, change_frees, changing
from deepanalyze.audit.noted import HeadFile, NotedHead
from deepanalyze.audit.records import Action, AuditRepository, Entry, Mark, Outcome, Record, Wanted
from deepanalyze.audit.statements import StatementMode
from deepanalyze.audit.trail import AuditTrail
from deepanalyze.audit.verification import Verification

__all__ = [
    "Action",
    "AuditRepository",
    "AuditTrail",
    "Chain",
    "Deed",
    "Entry",
    "HeadFile",
    "Mark",
    "NotedHead",
    "Origin",
    "Outcome",
    "Record",
    "StatementMode",
    "Verification",
    "Wanted",
    "acting",
    "batch_of_change",
    "bound",
    "change_frees",
    "changing",
    "note",
]
