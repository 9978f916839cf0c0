"""
What a doctor's visit reports.
"""

from enum import StrEnum

from lashstore.model.record import Record


class Health(StrEnum):
    """
    `OK`: as it should be. `WARNING`: works, and will hurt one day.
    `PROBLEM`: does not work, or data is at risk.
    """

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Diagnosis(Record, frozen=True, kw_only=True):
    """
    One thing that was looked at.

    `topic` is a word to match on; `path` None: it is about this host;
    `command` None: there is nothing to run.
    """

    topic: str
    health: Health
    path: str | None = None
    what: str
    command: str | None = None


class DoctorReport(Record, frozen=True, kw_only=True):
    """
    What was looked at, the host first, then the folder, then each file.
    """

    target: str
    diagnoses: tuple[Diagnosis, ...]

    @property
    def health(self) -> Health:
        """
        The worst of them.
        """
        found = {diagnosis.health for diagnosis in self.diagnoses}
        for health in (Health.PROBLEM, Health.WARNING):
            if health in found:
                return health
        return Health.OK


class Chart:
    """
    The diagnoses of a visit, as they are made.
    """

    def __init__(self) -> None:
        self.diagnoses: list[Diagnosis] = []

    def add(
        self,
        topic: str,
        health: Health,
        what: str,
        *,
        path: object = None,
        command: str | None = None,
    ) -> None:
        """
        Note something.
        """
        self.diagnoses.append(
            Diagnosis(
                topic=topic,
                health=health,
                path=None if path is None else str(path),
                what=what,
                command=command,
            )
        )
