"""A recipe of one's own: a copy of one that ships, under its own name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from accelzoo.errors import AccelzooError, ConfigError
from accelzoo.recipes import recipe_path

_SUFFIXES = (".yaml", ".yml")
_STEM = re.compile(r"(?!(?:true|false|null)\Z)[A-Za-z][A-Za-z0-9_-]*", re.IGNORECASE)
_NAME_LINE = re.compile(r"^recipe:[^\n#]*", re.MULTILINE)


def copy_recipe(name: str, path: Path) -> None:
    """Writes a copy of a recipe, named as its file and with its header's commands for that file.

    Everything else stays as it is. Paths inside a recipe are relative to the folder in which `accelzoo run` is called,
    not to the recipe: they mean the same in a copy, wherever it lies.

    Args:
        name: A shipped recipe's name, or a file.
        path: The file to write; a new one.

    Raises:
        ConfigError: If `path` cannot be a recipe's, or the recipe cannot be read.
        AccelzooError: If something is there already, or it cannot be written.
        UnknownNameError: If there is no such recipe.
    """
    source = recipe_path(name)
    if path.suffix not in _SUFFIXES or not _STEM.fullmatch(path.stem):
        raise ConfigError([
            f"{path}: name a file such as mine.yaml: the part before .yaml becomes the recipe's name "
            "(letters, digits, _ and -, a letter first)"
        ])  # fmt: skip
    try:
        text = source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    text = _NAME_LINE.sub(f"recipe: {path.stem}", text, count=1)
    text = _with_commands_for(text, name, path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise AccelzooError(f"{path} exists already; give another name, or move it away") from None
    except OSError as error:
        raise AccelzooError(f"{path}: cannot be written: {error.strerror}") from None


def _with_commands_for(text: str, name: str, path: Path) -> str:
    """Returns the text with `accelzoo run` of the header for another file."""
    command = re.compile(rf"^(#.* accelzoo run ){re.escape(shlex.quote(name))}(?= |$)", re.MULTILINE)
    return command.sub(lambda found: found[1] + shlex.quote(str(path)), text)
