"""Pieces of the sentences said about checkpoint files."""

from __future__ import annotations

HOW_TO_SAVE = 'Save the weights alone instead: torch.save(model.state_dict(), "weights.pth").'


def too_large(name: str, limit: int) -> str:
    """The sentence for a checkpoint of more than `limit` bytes."""
    most = f"{limit / 2**30:g} GiB" if limit >= 2**28 else f"{limit:,} bytes"
    return f'"{name}" is larger than {most}, the largest Loupe opens.'


def shown(text: str, length: int = 80) -> str:
    """Untrusted text as it may stand in a sentence: printable, on one line, at most `length` characters."""
    short = text if len(text) <= length else text[: length - 3] + "..."
    return "".join(character if character.isprintable() else "?" for character in short)
