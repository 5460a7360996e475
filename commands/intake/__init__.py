"""From a file that somebody has to the records and attestations that a transaction carries.

`mapping` reads the small TOML file that says what the columns mean; `rows` reads CSV, JSON Lines
and Parquet into rows of texts with their line numbers; `values` turns a text into the stored value
of a field, exactly; `reader` joins them and gives one `Line` a row, a record or the one error;
`batches` packs the records into transactions that come out the same when the file is read again.
Everything here is pure but for opening the file: no network, no clock.
"""

from commands.intake.batches import Batch, derive_secret, make_attestations, make_batches
from commands.intake.mapping import AttestMapping, FileMapping, load_mapping, parse_mapping
from commands.intake.progress import Progress
from commands.intake.reader import Attestation, InputError, Intake, Line, OnError, read, read_all

__all__ = [
    "AttestMapping",
    "Attestation",
    "Batch",
    "FileMapping",
    "InputError",
    "Intake",
    "Line",
    "OnError",
    "Progress",
    "derive_secret",
    "load_mapping",
    "make_attestations",
    "make_batches",
    "parse_mapping",
    "read",
    "read_all",
]
