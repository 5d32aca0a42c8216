"""What a check has found."""

from __future__ import annotations


class Report:
    """The outcome of a check, true if nothing failed. `failures` and `kinks` are sentences; str() is the report."""

    def __init__(self, name: str):
        self.name = name
        self.failures: list[str] = []
        self.kinks: list[str] = []  # places left out, since the forward has no derivative within a step of them
        self.compared = 0  # how many numbers
        self.method = "central differences"
        self.worst = 0.0  # the largest difference, in units of its tolerance

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        if self.failures:
            return f"{self.name}: " + "\n".join(self.failures)
        left_out = f", {len(self.kinks)} left out near points without derivative" if self.kinks else ""
        return (
            f"{self.name}: {self.compared} numbers agree with {self.method}, the worst at {self.worst:.2g} of its "
            f"tolerance{left_out}."
        )

    __repr__ = __str__
