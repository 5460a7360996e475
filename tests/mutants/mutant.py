"""What a mutant is, and how it takes the place of a module at import.

`install` puts a finder before all others: it compiles the altered text of the modules concerned, in
memory, for this process only. So a process holds one mutant, and the tree is never touched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


class MutantError(Exception):
    """A mutant does not fit the source: its text must stand there exactly once."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The one place in `module` (dotted) that reads `old` reads `new` instead."""

    module: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        """Return the file of the module."""
        return ROOT.joinpath(*self.module.split(".")).with_suffix(".py")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken rule. `rules` are numbers of the contract; `killed_by` says which checker sees it.

    `killed_by` is a part of the text of a violation that a seed is to end with; a mutant can be
    seen by others first, so it explains and is not held against the seed.
    """

    name: str
    rules: tuple[int, ...]
    edits: tuple[Edit, ...]
    killed_by: str


def one(
    name: str,
    rules: Sequence[int],
    place: tuple[str, str, str],
    killed_by: str,
) -> Mutant:
    """Return a mutant of one edit: (module, old, new)."""
    return Mutant(name, tuple(rules), (Edit(*place),), killed_by)


def compute_source(module: str, edits: Iterable[Edit]) -> str:
    """Return the altered text of a module; raise `MutantError` where an edit does not fit."""
    edits = [edit for edit in edits if edit.module == module]
    text = edits[0].path.read_text(encoding="utf-8")
    for edit in edits:
        if text.count(edit.old) != 1:
            raise MutantError(f"{module} has {text.count(edit.old)} of {edit.old!r}, want 1")
        if edit.old == edit.new:
            raise MutantError(f"{module}: nothing is changed in {edit.old!r}")
        text = text.replace(edit.old, edit.new)
    return text


class _TextLoader(Loader):
    """Runs a module from a text."""

    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self._path = path

    def exec_module(self, module: ModuleType) -> None:
        """Run the text as the module."""
        exec(compile(self._text, str(self._path), "exec"), module.__dict__)  # noqa: S102


class _Finder(MetaPathFinder):
    """Finds the altered modules of one mutant."""

    def __init__(self, mutant: Mutant) -> None:
        self._paths = {edit.module: edit.path for edit in mutant.edits}
        self._texts = {name: compute_source(name, mutant.edits) for name in self._paths}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the altered module, or None for all others."""
        if fullname not in self._texts:
            return None
        loader = _TextLoader(self._texts[fullname], self._paths[fullname])
        return spec_from_loader(fullname, loader, origin=str(self._paths[fullname]))


def install(mutant: Mutant) -> None:
    """Put a mutant in place in this process; none of its modules may be imported yet."""
    early = [edit.module for edit in mutant.edits if edit.module in sys.modules]
    if early:
        raise MutantError(f"{early[0]} is imported already")
    sys.meta_path.insert(0, _Finder(mutant))
