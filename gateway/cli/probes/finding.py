"""What came of trying one thing."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How it stands with it."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_SET = "not set"
    NOT_TRIED = "not tried"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report: the setting that it is about, how it stands, and a sentence."""

    about: str
    state: State
    detail: str


def ok(about: str, detail: str) -> Finding:
    """It works."""
    return Finding(about, State.OK, detail)


def warning(about: str, detail: str) -> Finding:
    """It works, and is probably not meant so."""
    return Finding(about, State.WARNING, detail)


def problem(about: str, detail: str) -> Finding:
    """It does not work."""
    return Finding(about, State.PROBLEM, detail)


def not_set(about: str, detail: str) -> Finding:
    """It is not used; the sentence says what that means."""
    return Finding(about, State.NOT_SET, detail)


def not_tried(about: str, detail: str) -> Finding:
    """It rests on something that is wrong."""
    return Finding(about, State.NOT_TRIED, detail)
