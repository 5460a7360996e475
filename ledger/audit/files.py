"""Damage of files: every file of a home checked by its own checksums, before anything is opened.

`check_files` reads, writes nothing, and covers each file of a home or names it as one that holds no
data: the database's tables, logs, manifest and CURRENT by LevelDB's own checksums, the vote log by
its chain of hashes and its guard, genesis and keys by the home's `checksums`. For each damaged
place it says the file, the offset, and what is lost: the blocks whose parts lay there. Bytes whose
change changes nothing (padding, filters) are told apart, so that every flipped byte is either
reported with its file or lies in a file that `not_data` names.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ledger.audit.leveldb_files import (
    Flaw,
    Manifest,
    check_table,
    read_log,
    read_manifest,
)
from ledger.audit.losses import NOTHING, describe_range, describe_record
from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.storage.files import DiskFiles
from ledger.storage.home import CHECKSUMS_END, HomeLayout
from ledger.storage.vote_log import GUARD_NAME, LogState, inspect_vote_log

_TABLE_NAME = re.compile(r"(\d{6,})\.(ldb|sst)")
_LOG_NAME = re.compile(r"(\d{6,})\.log")
_EVERYTHING = "which tables belong to the database: all of it must be copied anew"
_FILTER_LOSS = "nothing: a filter that speeds up reads"
_PADDING_LOSS = "nothing: padding that is never read"
REPAIR = (
    "stop the node, creditledger repair --home HOME, with --from for copies of others' homes "
    "where they are damaged too, start again; if votes/ is damaged, rejoin under a new key"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged place: file relative to the folder, offset in bytes, what is wrong, what is lost.

    `is_harmless`: nothing that is ever read lies there.
    """

    file: str
    offset: int
    what: str
    lost: str
    is_harmless: bool = False

    def __str__(self) -> str:
        return f"{self.file} at offset {self.offset}: {self.what}; lost: {self.lost}"


@dataclass(slots=True)
class FilesReport:
    """What was checked, what holds no data, what is damaged, what is noted though whole."""

    checked: list[str] = field(default_factory=list)
    not_data: list[str] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_damaged(self) -> bool:
        """Tell whether anything is lost or unreadable."""
        return any(not damage.is_harmless for damage in self.damages)

    def add(self, file: str, offset: int, what: str, lost: str) -> None:
        """Note a damage."""
        self.damages.append(Damage(file, offset, what, lost))


def check_files(folder: Path) -> FilesReport:
    """Check a home, or a folder that is only a database."""
    report = FilesReport()
    layout = HomeLayout(folder)
    if not layout.database.is_dir() and (folder / "CURRENT").exists():
        check_database(folder, "", report)
        return report
    if layout.database.is_dir():
        check_database(layout.database, "db/", report)
    else:
        report.add("db", 0, "the database is missing", "everything")
    _check_votes(layout, report)
    _check_sums(layout, report)
    _check_config(layout, report)
    _list_others(folder, report)
    return report


def check_genesis_file(folder: Path, chain_id: bytes, report: FilesReport) -> None:
    """Compare a home's genesis document with the chain it must be of."""
    layout = HomeLayout(folder)
    if layout.genesis.exists():
        found = tagged_hash(GENESIS_TAG, layout.genesis.read_bytes())
        if found != chain_id:
            what = f"is of chain {found.hex()}, want {chain_id.hex()}"
            report.add("genesis.bin", 0, what, "the genesis document: copy it from any member")


def check_database(folder: Path, name: str, report: FilesReport) -> None:
    """Check the files of a LevelDB folder; `name` stands before their names in the report."""
    names = sorted(path.name for path in folder.iterdir())
    manifest_name = _check_current(folder, names, name, report)
    manifest = Manifest()
    is_known = False
    if manifest_name is not None:
        manifest = read_manifest((folder / manifest_name).read_bytes())
        report.checked.append(name + manifest_name)
        is_known = not any(not flaw.is_harmless for flaw in manifest.flaws)
        for flaw in manifest.flaws:
            _add(report, name + manifest_name, flaw, _EVERYTHING)
    for entry in names:
        table, log = _TABLE_NAME.fullmatch(entry), _LOG_NAME.fullmatch(entry)
        if table is not None:
            _check_table(folder / entry, int(table[1]), manifest, is_known, name, report)
        elif log is not None:
            _check_log(folder / entry, int(log[1]), manifest, name, report)
        elif entry not in ("CURRENT", manifest_name):
            report.not_data.append(name + entry)
    if is_known:
        _check_missing(names, manifest, name, report)


def _check_current(folder: Path, names: list[str], name: str, report: FilesReport) -> str | None:
    """Return the manifest that CURRENT names; on damage the newest there is, or None."""
    manifests = [entry for entry in names if re.fullmatch(r"MANIFEST-\d{6,}", entry)]
    report.checked.append(name + "CURRENT")
    current = DiskFiles().read(folder / "CURRENT")
    for manifest in manifests:
        if current == f"{manifest}\n".encode():
            return manifest
    lost = "nothing else: it names the manifest" if manifests else _EVERYTHING
    what = "is missing" if current is None else "does not name a manifest that is there"
    report.add(name + "CURRENT", 0, what, lost)
    return manifests[-1] if manifests else None


def _check_table(
    path: Path, number: int, manifest: Manifest, is_known: bool, name: str, report: FilesReport
) -> None:
    entry = manifest.tables.get(number)
    if entry is None and is_known:
        report.not_data.append(name + path.name)
        return
    report.checked.append(name + path.name)
    data = path.read_bytes()
    low, high = (b"", b"\xff" * 20) if entry is None else (entry.low, entry.high)
    if entry is not None and len(data) != entry.size:
        what = f"size {len(data)}, want {entry.size}"
        report.add(name + path.name, min(len(data), entry.size), what, describe_range(low, high))
        return
    for flaw in check_table(data, low, high):
        lost = _FILTER_LOSS if flaw.high == b"" else describe_range(flaw.low, flaw.high)
        _add(report, name + path.name, flaw, lost)


def _check_log(path: Path, number: int, manifest: Manifest, name: str, report: FilesReport) -> None:
    if number < manifest.log_number:
        report.not_data.append(name + path.name)
        return
    report.checked.append(name + path.name)
    content = read_log(path.read_bytes())
    for flaw in content.flaws:
        _add(report, name + path.name, flaw, describe_record(flaw.payload or b""))
    if content.is_unfinished:
        report.notes.append(
            f"{name}{path.name} ends in an unfinished write, as after a kill: "
            "nothing acknowledged was in it"
        )


def _check_missing(names: list[str], manifest: Manifest, name: str, report: FilesReport) -> None:
    tables = {int(match[1]) for entry in names if (match := _TABLE_NAME.fullmatch(entry))}
    for number, entry in sorted(manifest.tables.items()):
        if number not in tables:
            lost = describe_range(entry.low, entry.high)
            report.add(f"{name}{number:06d}.ldb", 0, "the table is missing", lost)
    logs = {int(match[1]) for entry in names if (match := _LOG_NAME.fullmatch(entry))}
    if manifest.log_number and manifest.log_number not in logs:
        lost = "the last writes before the node stopped"
        report.add(f"{name}{manifest.log_number:06d}.log", 0, "the log is missing", lost)


def _add(report: FilesReport, file: str, flaw: Flaw, lost: str) -> None:
    if flaw.is_harmless:
        report.damages.append(Damage(file, flaw.offset, flaw.what, _PADDING_LOSS, True))
    else:
        report.add(file, flaw.offset, flaw.what, lost)


def _check_votes(layout: HomeLayout, report: FilesReport) -> None:
    folders = layout.vote_folders()
    if not folders:
        report.notes.append("no vote log here: a copy without it can be audited, not run")
    for folder in folders:
        _check_vote_log(folder, report)


def _check_vote_log(folder: Path, report: FilesReport) -> None:
    found = inspect_vote_log(folder, DiskFiles())
    name, guard = f"{folder.name}/{found.file}", f"{folder.name}/{GUARD_NAME}"
    report.checked += [name, guard]
    if found.state in (LogState.BEHIND, LogState.CORRUPT):
        lost = "votes that may have been sent: this key must not vote again"
        report.add(name, found.offset, found.reason, lost)
    for offset in found.damaged_copies:
        report.add(guard, offset, "copy of a slot cannot be read", "nothing: a copy is whole")
    if found.state is LogState.AHEAD or found.reason != LogState.WHOLE.value:
        report.notes.append(f"vote log is {found.state.value}: {found.reason}")


def _check_sums(layout: HomeLayout, report: FilesReport) -> None:
    """Check genesis and keys against `checksums`, and that file against its own last line."""
    data = DiskFiles().read(layout.checksums)
    if data is None:
        report.notes.append("no checksums here: genesis and keys were not checked")
        return
    report.checked.append(layout.checksums.name)
    body, _, last = data.decode(errors="replace").rpartition(CHECKSUMS_END)
    if last != f"{sha256(body.encode()).hexdigest()}\n":
        report.add(layout.checksums.name, 0, "does not match its own checksum", NOTHING)
        return
    for line in body.splitlines():
        digest, _, name = line.partition("  ")
        content = DiskFiles().read(layout.folder / name)
        report.checked.append(name)
        if content is None:
            report.add(name, 0, "is missing", "the file itself")
        elif sha256(content).hexdigest() != digest:
            report.add(name, 0, "does not match its checksum", "the file itself")


def _check_config(layout: HomeLayout, report: FilesReport) -> None:
    data = DiskFiles().read(layout.config)
    if data is None:
        report.notes.append("no config.toml here: a copy without it can be audited, not run")
        return
    report.not_data.append(layout.config.name)
    try:
        tomllib.loads(data.decode())
    except ValueError as error:
        report.add(layout.config.name, 0, f"is no TOML: {error}", NOTHING)


def _list_others(folder: Path, report: FilesReport) -> None:
    """Name every file that was not checked: nothing of the chain is read from it."""
    known = {*report.checked, *report.not_data}
    report.not_data += [name for name in _file_names(folder) if name not in known]


def _file_names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix()
