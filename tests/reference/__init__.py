"""An independent reference model of the protocol: small, slow, plain, and of nobody's code.

`model` is written from the paper and the project's rules alone and imports nothing of the project.
It reads a trace: what each node received, made durable, executed and sent, as plain tuples; and for
each vote it asks whether the rules allow it, given what that node had received and made durable.
`neutral` turns messages and records into those tuples, `recorder` listens to the simulator, `files`
reads what real processes wrote, `main` is `scripts/reference`.

A line is (node, verb, ...):

    start      epoch, index, size, window, height, certificate, ((height, digest, block hash), ...)
    restored   record             (it was durable at this start)
    received   message
    persisted  record
    executed   height, digest, block hash, pending
    installed  height, digest, block hash, pending
    state      certificate, pending
    sent       message

`pending` is the height from which a decided change of members is active, or None. Messages:

    pre-prepare  epoch, view, height, digest, signer
    prepare      epoch, view, height, digest, signer          (commit alike)
    checkpoint   epoch, height, block hash, signer
    view-change  epoch, view, height, certificate, ((view, height, digest, signers), ...), signer,
                 name
    new-view     epoch, view, ((signer, name), ...), ((height, digest), ...), signer
    certificate  epoch, height, block hash, signers

Records are accepted (epoch, view, height, digest), prepared (epoch, view, height, digest, signers),
left (view-change), entered (new-view, view-changes). The digest of the null batch is `NULL`.
"""
