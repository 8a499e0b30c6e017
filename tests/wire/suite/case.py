"""Cases: functions with an id of the abuse list, or a name, and what must happen."""

import dataclasses


class Failed(Exception):
    """What should have happened did not; the text says what did."""


class NotHere(Exception):
    """The case cannot be built with what the run was given."""


@dataclasses.dataclass
class Case:
    id: str
    text: str           # what is done, and what must happen
    function: object
    slow: bool          # waits for a deadline of the server: runs beside the others


registry = {}           # id -> Case


def add(id_, text, function, slow=False):
    if id_ in registry:
        raise ValueError(f"two cases are called {id_}")
    registry[id_] = Case(id_, text, function, slow)


def case(id_, slow=False):
    """Registers a function of a Target; the first line of its comment is the text."""
    def register(function):
        add(id_, function.__doc__.strip().split("\n")[0], function, slow)
        return function
    return register


def expect(truth, text):
    if not truth:
        raise Failed(text)
