"""More of what liars do: they forge, replay in other roles, flood, and bend the view change.

Each is a function from a liar, a receiver and a message to what is sent instead, as in
`byzantine`. Forgeries bear other members' names and must fail at a signature; the rest is signed by
the liar itself and must fail at a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from consensus.messages import (
    COMMIT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    BatchReply,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    Proposal,
    StableCertificate,
    ViewChange,
    new_view_input,
    view_change_hash,
    view_change_input,
)
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate

if TYPE_CHECKING:
    from tests.simulator.byzantine import Liar

FORGED = b"\x05" * 64
FLOOD = 12
OTHER_BATCH = b"\x0b" * 32


def _is_own_proposal(liar: Liar, payload: Any) -> bool:
    return type(payload) is PrePrepare and payload.signer == liar.config.index


def prepare_as_primary(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send PREPARE for the own proposal, as if that were another member's word (F5)."""
    if not _is_own_proposal(liar, payload):
        return [payload]
    place = (payload.view, payload.height, payload.digest)
    signature = liar.vote_signature(PREPARE_KIND, *place)
    return [payload, Prepare(payload.epoch, *place, payload.signer, signature)]


def tell_both(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send two proposals for one height to everybody (F4)."""
    if not _is_own_proposal(liar, payload) or payload.batch.is_null:
        return [payload]
    return [payload, liar.alter(payload, payload.batch.transactions, 1)]


def propose_far(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Propose at H+1 and beyond (F8, F9)."""
    if not _is_own_proposal(liar, payload):
        return [payload]
    far = payload.height + liar.rng.randint(3, 2 * liar.config.limits.window)
    return [payload, _propose(liar, payload, Batch(far, payload.batch.time_ms or 0, ()))]


def _propose(liar: Liar, like: PrePrepare, batch: Batch) -> PrePrepare:
    digest = batch.digest(liar.config.chain_id)
    signature = liar.vote_signature(PRE_PREPARE_KIND, like.view, batch.height, digest)
    return replace(like, batch=batch, digest=digest, signature=signature)


def propose_unfit(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Propose batches of known bodies that are too large, too many, or too early (rule 17)."""
    if not _is_own_proposal(liar, payload):
        return [payload]
    limits, time_ms = liar.config.limits, payload.batch.time_ms or 0
    known = liar.known_bodies()
    way = liar.rng.randrange(4)
    if way == 0:
        chosen = known[-limits.batch_count - 1 :]
    elif way == 1:
        chosen = sorted(known[-8:], key=lambda body: -body.size)[: limits.batch_count]
    else:
        # What is within MAX_TTL now is not at an earlier time, near enough or too far back.
        earlier_ms = max(0, time_ms - (20_000 if way == 2 else 60_000))
        return [_propose(liar, payload, replace(payload.batch, time_ms=earlier_ms))]
    hashes = tuple(body.hash for body in chosen)
    return [_propose(liar, payload, Batch(payload.height, time_ms, hashes))]


def usurp(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Propose without being the primary (rule 7)."""
    config = liar.config
    if type(payload) is not Commit or config.primary(payload.view) == config.index:
        return [payload]
    batch = Batch(payload.height + 1, liar.last_time_ms + 5, ())
    like = PrePrepare(payload.epoch, payload.view, payload.digest, config.index, FORGED, batch)
    return [_propose(liar, like, batch), payload]


def usurp_view(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Open a view that is another member's, by true VIEW-CHANGEs (F18)."""
    config = liar.config
    changes = liar.heard_of(ViewChange)
    view = max((item.view for item in changes), default=0)
    if view <= liar.usurped_view or config.primary(view) == config.index:
        return [payload]
    opened = _open(liar, view, {item.signer: item for item in changes if item.view == view})
    if opened and to == (config.index - 1) % config.size:
        liar.usurped_view = view
    return [payload, *opened]


def open_with_others(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Open a view by VIEW-CHANGEs for other views too (F18)."""
    if type(payload) is not NewView or payload.signer != liar.config.index:
        return [payload]
    changes = {item.signer: item for item in liar.heard_of(ViewChange)}
    return _open(liar, payload.view, changes) or [payload]


def _open(liar: Liar, view: int, changes: dict[int, ViewChange]) -> list[Any]:
    config = liar.config
    if len(changes) < config.quorum:
        return []
    named = [changes[signer] for signer in sorted(changes)][: config.quorum]
    names = tuple((item.signer, view_change_hash(item)) for item in named)
    low = max(item.stable_height for item in named)
    proofs = {p.height: p.digest for item in named for p in item.prepared if p.height > low}
    heights = range(low + 1, max(proofs, default=low) + 1)
    if any(height not in proofs for height in heights):
        return []
    proposals = tuple(
        Proposal(h, proofs[h], liar.vote_signature(PRE_PREPARE_KIND, view, h, proofs[h]))
        for h in heights
    )
    message = NewView(config.epoch, view, names, proposals, config.index, FORGED)
    signature = liar.sign(new_view_input(config.chain_id, message))
    return [replace(message, signature=signature)]


def forge_votes(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send the votes of all others, with a made-up signature."""
    if type(payload) is not Commit and type(payload) is not Prepare:
        return [payload]
    others = [member for member in range(liar.config.size) if member != payload.signer]
    forged = [replace(payload, signer=member, signature=FORGED) for member in others]
    return [payload, *forged]


def speak_of_another_epoch(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send the votes of all others in another epoch, where nothing is verified (rule 2)."""
    if type(payload) is not Commit and type(payload) is not Prepare:
        return [payload]
    return [replace(item, epoch=item.epoch + 1) for item in forge_votes(liar, to, payload)]


def swap_roles(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send others' PREPAREs as COMMITs, under the signature of the PREPARE (F81)."""
    if type(payload) is not Commit and type(payload) is not Prepare:
        return [payload]
    heard = [item for item in liar.heard_of(Prepare) if item.height == payload.height]
    return [
        payload,
        *(
            Commit(item.epoch, item.view, item.height, item.digest, item.signer, item.signature)
            for item in heard
        ),
    ]


def swap_views(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send others' votes of another view as votes of this one (F39)."""
    if type(payload) is not Commit and type(payload) is not Prepare:
        return [payload]
    heard = [item for kind in (Prepare, Commit) for item in liar.heard_of(kind)]
    moved = [replace(item, view=item.view + 1) for item in heard[-FLOOD:]]
    return [payload, *moved]


def forge_certificates(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Show certificates of few votes, or of forged ones (F15, F73)."""
    if type(payload) is not Checkpoint:
        return [payload]
    config, height = liar.config, payload.height + liar.rng.choice((0, 1, 40))
    signers = [config.index]
    if liar.rng.random() < 0.5:
        signers = sorted({config.index, *range(config.quorum)})[: config.quorum]
    signature = liar.checkpoint_signature(height, OTHER_BATCH)
    votes = tuple((item, signature if item == config.index else FORGED) for item in signers)
    certificate = Certificate(config.epoch, height, OTHER_BATCH, votes)
    return [payload, StableCertificate(config.epoch, certificate)]


def forge_proofs(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Claim to have prepared a batch of one's own, with forged or too few PREPAREs (F15)."""
    config = liar.config
    if type(payload) is not ViewChange or payload.signer != config.index:
        return [payload]
    first = max(0, payload.view - config.size)
    views = [v for v in range(first, payload.view) if config.primary(v) != config.index]
    if not views:
        return [payload]
    led = [view for view in views if config.primary(view) in liar.fellows]
    view = max(led or views)
    height = payload.stable_height + 1
    backups = [item for item in range(config.size) if item != config.primary(view)]
    is_short = liar.rng.random() < 0.5
    signers = [config.index] if is_short else backups[: config.quorum - 1]
    own = liar.vote_signature(PREPARE_KIND, view, height, OTHER_BATCH)
    prepares = tuple((item, own if item == config.index else FORGED) for item in signers)
    signature = liar.proposal_signature(view, height, OTHER_BATCH) or FORGED
    proof = PreparedProof(view, height, OTHER_BATCH, signature, prepares)
    rest = tuple(item for item in payload.prepared if item.height > height)
    return [_resign(liar, replace(payload, prepared=(proof, *rest)))]


def _resign(liar: Liar, message: ViewChange) -> ViewChange:
    return replace(message, signature=liar.sign(view_change_input(liar.config.chain_id, message)))


def shorten_proofs(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Show certificates with a PREPARE too few (F15)."""
    if type(payload) is not ViewChange or payload.signer != liar.config.index:
        return [payload]
    short = tuple(replace(item, prepares=item.prepares[:-1]) for item in payload.prepared)
    return [_resign(liar, replace(payload, prepared=short))]


def propose_nothing(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Lead a view and order nothing in it (F28, F29)."""
    return [] if _is_own_proposal(liar, payload) else [payload]


def show_two_view_changes(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Show one VIEW-CHANGE to some and another to the rest (F15)."""
    if type(payload) is not ViewChange or payload.signer != liar.config.index:
        return [payload]
    if to not in liar.half or not payload.prepared:
        return [payload]
    return [_resign(liar, replace(payload, prepared=payload.prepared[:-1]))]


def answer_with_another_batch(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Answer a request for a batch with another one of that height."""
    if type(payload) is not BatchReply or payload.batch.is_null:
        return [payload]
    later_ms = (payload.batch.time_ms or 0) + 1
    return [replace(payload, batch=replace(payload.batch, time_ms=later_ms))]


def send_wrong_blocks(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Answer who fetches blocks with altered, missing or misplaced ones (F26)."""
    if type(payload) is not tuple or payload[0] not in ("blocks", "state") or not payload[1]:
        return [payload]
    blocks, way = list(payload[1]), liar.rng.randrange(3)
    if way == 0:
        blocks[-1] = replace(blocks[-1], results=b"\x01" + blocks[-1].results)
    elif way == 1:
        blocks = blocks[:-1]
    else:
        blocks[0] = replace(blocks[0], parent_hash=OTHER_BATCH)
    return [(payload[0], blocks, *payload[2:])]


def flood(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Send votes for views that will never come, without end (F70)."""
    if type(payload) is not Commit:
        return [payload]
    config = liar.config
    votes = []
    for _ in range(FLOOD):
        liar.flooded += 1
        place = (payload.view + 1000, liar.flooded, payload.digest)
        signature = liar.vote_signature(COMMIT_KIND, *place)
        votes.append(Commit(config.epoch, *place, config.index, signature))
    return [payload, *votes]


def propose_refused(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Propose a transaction whose bytes every door refuses, and show them (F10)."""
    if not _is_own_proposal(liar, payload) or payload.batch.is_null:
        return [payload]
    refused = blake2b(b"refused" + payload.digest, digest_size=32).digest()
    liar.refused.add(refused)
    hashes = (*payload.batch.transactions[:-1], refused)
    return [_propose(liar, payload, replace(payload.batch, transactions=hashes))]


def skip_a_height(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Never propose height 1, whatever comes after it (F7)."""
    return [] if _is_own_proposal(liar, payload) and payload.height == 1 else [payload]


def run_ahead(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Give every batch the latest time that others take: their clock, and the skew (F36)."""
    if not _is_own_proposal(liar, payload) or payload.batch.is_null:
        return [payload]
    later_ms = (payload.batch.time_ms or 0) + liar.config.limits.skew_ms
    return [_propose(liar, payload, replace(payload.batch, time_ms=later_ms))]


def order_slowly(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Lead, and order one transaction a batch where there are more (F28)."""
    if not _is_own_proposal(liar, payload) or len(payload.batch.transactions) < 2:
        return [payload]
    batch = replace(payload.batch, transactions=payload.batch.transactions[:1])
    return [_propose(liar, payload, batch)]


def order_late(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Propose each batch only when STATUS asks for it a second time (F28)."""
    if not _is_own_proposal(liar, payload):
        return [payload]
    key = (to, payload.view, payload.height)
    is_first = key not in liar.held_back
    liar.held_back.add(key)
    return [] if is_first else [payload]


def open_twice(liar: Liar, to: int, payload: Any) -> list[Any]:
    """Open one view by two true NEW-VIEWs that name other VIEW-CHANGEs (F19).

    The second one follows when another VIEW-CHANGE than those of the first has come in.
    """
    if type(payload) is NewView and payload.signer == liar.config.index:
        liar.opened = payload
    opened = liar.opened
    if opened is None or to not in liar.half:
        return [payload]
    changes = {item.signer: item for item in liar.heard_of(ViewChange) if item.view == opened.view}
    named = dict(opened.view_changes)
    chosen = {signer: item for signer, item in changes.items() if signer not in named}
    if not chosen:
        return [payload]
    for signer in sorted(named)[len(chosen) :]:
        if signer in changes:
            chosen[signer] = changes[signer]
    second = _open(liar, opened.view, chosen)
    return [*second, payload] if second else [payload]


FORGERIES: dict[str, Callable[[Liar, int, Any], list[Any]]] = {
    "answer with another batch": answer_with_another_batch,
    "flood": flood,
    "forge certificates": forge_certificates,
    "forge proofs": forge_proofs,
    "forge votes": forge_votes,
    "open twice": open_twice,
    "open with others": open_with_others,
    "order late": order_late,
    "order slowly": order_slowly,
    "prepare as primary": prepare_as_primary,
    "propose far": propose_far,
    "propose nothing": propose_nothing,
    "propose refused": propose_refused,
    "propose unfit": propose_unfit,
    "run ahead": run_ahead,
    "send wrong blocks": send_wrong_blocks,
    "skip a height": skip_a_height,
    "shorten proofs": shorten_proofs,
    "show two view changes": show_two_view_changes,
    "speak of another epoch": speak_of_another_epoch,
    "swap roles": swap_roles,
    "swap views": swap_views,
    "tell both": tell_both,
    "usurp": usurp,
    "usurp view": usurp_view,
}
