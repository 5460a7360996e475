"""All mutants by name, and the original, which every seed must leave alive."""

from __future__ import annotations

from tests.mutants.catalogue_epochs import EPOCHS
from tests.mutants.catalogue_records import RECORDS
from tests.mutants.catalogue_service import SERVICE
from tests.mutants.catalogue_views import VIEWS
from tests.mutants.catalogue_votes import VOTES
from tests.mutants.mutant import Mutant

ORIGINAL = Mutant("original", (), (), "nothing")
MUTANTS = {mutant.name: mutant for mutant in (*VOTES, *VIEWS, *RECORDS, *SERVICE, *EPOCHS)}
