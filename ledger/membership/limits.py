"""The bounds of membership: how many, how long, how far ahead; checked against each other here."""

from __future__ import annotations

MIN_VALIDATORS = 4
MAX_VALIDATORS = 199  # the arithmetic of quorums is checked for 4 to 199 (PBFT part 1)
MAX_MEMBERS = 1_000
MAX_REVOKED_KEYS = 64

# L: a change that is executed at g is active from g + L + 1 at the earliest, so that no height that
# a replica may have accepted by then changes its members (rule 2). No replica has a larger window.
# Genesis may set another under this name; a pipeline of two batches wants two.
CHANGE_WINDOW_SETTING = "member_change_window"
CHANGE_WINDOW = 32
MIN_CHANGE_WINDOW = 2
MAX_CHANGE_WINDOW = 10_000

MS_A_DAY = 86_400_000
MAX_PROPOSAL_MS = 30 * MS_A_DAY
MAX_OPEN_PROPOSALS = 8  # of one proposer
# Of one proposer, rejected ones included: every member's keys are looked at for each, 4 ms where
# there are 1,000 members.
MAX_PROPOSALS_A_BLOCK = 4
MAX_NOTE = 512

READY_BLOCKS = 1_000  # how far below the head the block of a `member.ready` may be
READY_MS = MS_A_DAY  # chain time for which a `member.ready` counts

if not (
    MIN_CHANGE_WINDOW <= CHANGE_WINDOW <= MAX_CHANGE_WINDOW
    and MIN_VALIDATORS < MAX_VALIDATORS < MAX_MEMBERS
):
    raise ValueError("the limits of membership contradict each other")
