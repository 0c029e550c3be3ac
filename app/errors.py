"""The error tree. Foreign exceptions are translated into these at the seam, with `from`.

QuarterdeckError
├── ConfigError            the configuration is wrong: every problem with file, line and cure
├── StoreError
│   ├── SchemaMismatch     the store's schema is older or newer than this build
│   └── StoreUnavailable   the database did not answer or is locked
├── SourceError            a collector could not look
│   ├── SourceUnavailable  nobody answered, or not in time
│   │   └── SourceStarting it answered that it is not ready yet
│   ├── SourceRefused      it answered: you may not (401, 403)
│   └── SourceNonsense     it answered something that is not its protocol
├── ActionError
│   ├── ActionRefused      a guardrail or the cluster said no; nothing was written
│   ├── ActionConflict     the object changed since it was looked at; nothing was written
│   ├── ActionFailed       the cluster refused the write for a reason of its own
│   └── OutcomeUnknown     the write was sent and no answer came
├── AccessError
│   ├── NotSignedIn        no or no valid credentials (401)
│   └── NotAllowed         the role does not include it (403)
└── RequestError           what the caller sent cannot be used
    ├── BadInput           a field or parameter is wrong (400 or 422)
    ├── NotFound           no such thing (404)
    └── TooMany            a limit is reached (429)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class QuarterdeckError(Exception):
    """Root of everything this project raises on purpose. `str(error)` is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a configuration file: where it stands, what is wrong, what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class ConfigError(QuarterdeckError):
    """The configuration cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StoreError(QuarterdeckError):
    """The store could not do what was asked."""


class SchemaMismatch(StoreError):
    """The schema in the store is not the one this build was made for."""


class StoreUnavailable(StoreError):
    """The database did not answer, or stayed locked."""


class SourceError(QuarterdeckError):
    """A collector could not look; the last snapshot stays, with its age."""


class SourceUnavailable(SourceError):
    """Nobody answered, or not before the deadline."""


class SourceStarting(SourceUnavailable):
    """It is there and says that it is not ready yet: wait, nothing is broken."""


class SourceRefused(SourceError):
    """The source answered that these credentials may not look."""


class SourceNonsense(SourceError):
    """The source answered something that is not its protocol."""


class ActionError(QuarterdeckError):
    """An action did not go through."""


class ActionRefused(ActionError):
    """Refused before anything was written; says by which rule and who can change it."""


class ActionConflict(ActionError):
    """The object changed since it was looked at; nothing was written: review again."""


class ActionFailed(ActionError):
    """The cluster refused the write for a reason of its own."""


class OutcomeUnknown(ActionError):
    """The write was sent and no answer came: re-read before anything is repeated."""


class AccessError(QuarterdeckError):
    """The caller is not who, or may not what, is needed."""


class NotSignedIn(AccessError):
    """No credentials, or credentials that are not valid."""


class NotAllowed(AccessError):
    """Signed in, but the role does not include this."""


class RequestError(QuarterdeckError):
    """What the caller sent cannot be used."""


class BadInput(RequestError):
    """A field or parameter is wrong; `field` names it."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        self.field = field
        super().__init__(message)


class NotFound(RequestError):
    """No such thing."""


class TooMany(RequestError):
    """A limit is reached; `retry_after` says when to come back."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)
