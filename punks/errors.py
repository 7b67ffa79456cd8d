"""Every error that a user can cause: what is wrong, in one line, and the way out of it."""


class PunkError(Exception):
    """The base of them all: entrances catch this one and print its message."""


class RecipeError(PunkError, ValueError):
    """A field of a request has a value that is not allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        given = "nothing is given" if value is None else f"{_short(value)} is not allowed"
        super().__init__(f"{field}: {given}; {allowed}")
        self.field = field


class WeightsError(PunkError):
    """A weight file is missing, damaged, or could not be fetched."""


class LoraError(PunkError):
    """A LoRA file is not what the base model needs."""


class DeviceError(PunkError):
    """The device that was asked for is not there."""


class ImageError(PunkError, ValueError):
    """A picture cannot be read, or is not one that can become pixel art."""


class BatchError(PunkError):
    """A run of many pictures cannot start, or has to stop; what it made so far is kept."""


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
