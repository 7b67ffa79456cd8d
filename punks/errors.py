"""Every error that a user can cause: what is wrong, in one line, and what to do."""


class PunkError(Exception):
    """The base of all errors here: entrances catch it and print its message."""


class RecipeError(PunkError, ValueError):
    """A field of a request has a value that is not allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        given = "missing" if value is None else f"{_short(value)} is not allowed"
        super().__init__(f"{field}: {given}; {allowed}")
        self.field = field


class UnknownNameError(RecipeError):
    """A request has a name that no field has."""

    def __init__(self, kind: str, name: object, allowed: str) -> None:
        super().__init__(kind, name, allowed)
        self.args = (f"unknown {kind} {_short(name)}; {allowed}",)


class WeightsError(PunkError):
    """A weight file is missing, damaged, or could not be fetched."""


class LoraError(PunkError):
    """A LoRA file does not fit the base model."""


class DeviceError(PunkError):
    """The requested device is not available."""


class ImageError(PunkError, ValueError):
    """A picture cannot be read, or is not one that can become pixel art."""


class BatchError(PunkError):
    """A batch cannot start, or has to stop; what it made so far is kept."""


class StoreError(PunkError):
    """A database cannot be used: its address, its version, or the package that speaks to it."""


def wrong(error: Exception) -> str:
    """What is wrong with text that a parser refused, without Python's advice to programmers."""
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).partition("; use sys.")[0]


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
