"""A deterministic, seeded simulator of many replicas, without trio (DESIGN 2, PBFT part 2).

It drives the real `consensus.Replica` of each member from one queue ordered by simulated time. The
shell around it (sync, bodies, blocks, timers) is modelled in `node`, the ledger in `model_ledger`,
the network in `network`, what goes wrong in `faults`, members that lie in `byzantine`, clients in
`clients`; `checkers` stand apart and look at everything. Same seed and options, same run, byte for
byte: the hash of the trace says so.
"""
