"""A node whose operator has taken rule 46 out of it: it votes whatever speaks against its home.

Started as `python -m tests.end_to_end.forgetful_node run --home HOME`. Everything else is the
program as it is; so what two of these sign with one key is what real members would meet (F45).
"""

from __future__ import annotations

from network.runtime.own_votes import Remembered
from network.runtime.voter import Voter
from node import main


def _believe_anything(_self: object, _shown: object) -> None:
    """Find nothing wrong with what others show."""


if __name__ == "__main__":
    Remembered.check = _believe_anything  # type: ignore[method-assign]
    Voter.look_at = _believe_anything  # type: ignore[method-assign]
    main()
