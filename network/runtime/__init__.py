"""The shell around the replica: bodies, signature checks, disks, timers, blocks, service.

Everything that waits lives here; everything that decides lives in `consensus` and `ledger`.
"""
