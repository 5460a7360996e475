"""PBFT (Castro and Liskov, OSDI 1999, TOCS 2002) with signatures: deterministic and sans-IO.

`Replica.handle(event, now)` takes one event and returns the effects that the shell performs in
order; `Observer` does the same for a node that follows without a vote. The package knows hashes of
transactions, never their bodies, and nothing of credit. It imports only `ledger.encoding`,
`ledger.keys`, `ledger.errors` and `ledger.chain`.
"""
