"""A crash at every persistence operation of a run, exhaustively: before, after and torn (F41, F53).

Four members order 500 transactions in batches of ten. Each has the real vote log and the real
keys of the chain store on files of a simulated disk (`file_store` stands for the database), the
real ledger executes. At each write, sync, rename, removal and folder sync of each member, the
machine stops: what was not synced is gone, is there, or is there in part. The member starts again
from what the disk holds; then no vote may contradict one that was sent, nothing acknowledged may be
gone, and all chains must end equal. `member` is one member, `world` joins four, `explore` tries
every point from a run that is copied there, `main` is `scripts/crash-points`.
"""
