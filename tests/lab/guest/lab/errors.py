"""How a scenario ends otherwise than well."""


class LabError(Exception):
    """The scenario failed; the text is the reason that is shown."""


class Skip(Exception):
    """The scenario cannot run here; the text says why."""
