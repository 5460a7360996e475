"""The tree of errors and their stable numbers.

Everything that can be refused is refused with a `Code`: a number that never changes its meaning,
so that a department's program may act on it, a result on the chain may carry it, and an operator
may look it up in docs/ERRORS.md (generated from `DESCRIPTIONS`). Blame is in the type:
`LocalError` is our bug or our caller's, `RemoteError` names the peer that misbehaved, and a
`Rejected` transaction broke a rule of the ledger and stays in its block with its code.

Numbers are grouped by the part that raises them; a number is never reused.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Stable numbers of everything that can go wrong. 0 is success."""

    OK = 0

    # 1000: encoding (DESIGN 5)
    ENCODING_TYPE = 1001
    ENCODING_RANGE = 1002
    ENCODING_DEPTH = 1003
    ENCODING_SIZE = 1004
    ENCODING_MALFORMED = 1005
    ENCODING_NOT_CANONICAL = 1006

    # 1100: keys and signatures (PBFT part 4)
    KEY_MALFORMED = 1101
    KEY_WEAK = 1102
    SIGNATURE_MALFORMED = 1103
    SIGNATURE_INVALID = 1104
    KEY_FILE = 1105

    # 1200: the envelope, checked at the door
    ENVELOPE_MALFORMED = 1201
    ENVELOPE_VERSION = 1202
    WRONG_CHAIN = 1203
    TX_EXPIRED_AT_DOOR = 1204
    TX_EXPIRY_TOO_FAR = 1205
    TX_TOO_LARGE = 1206
    ATTACHMENT_MISMATCH = 1207
    TX_REFUSED_BEFORE = 1208

    # 1300: headers, blocks, certificates, proofs
    HEADER_MALFORMED = 1301
    CERTIFICATE_INVALID = 1302
    BLOCK_INVALID = 1303
    PROOF_INVALID = 1304
    RECEIPT_INVALID = 1305
    EPOCH_INVALID = 1306
    STATE_PIECE_INVALID = 1310

    # 2000: execution, general
    DUPLICATE = 2001
    EXPIRED = 2002
    SENDER_UNKNOWN = 2003
    KEY_NOT_SENDERS = 2004
    KEY_REVOKED = 2005
    NOT_PERMITTED = 2006
    KIND_UNKNOWN = 2007
    BODY_MALFORMED = 2008
    INTERNAL = 2099

    # 2100: records
    CATEGORY_UNKNOWN = 2101
    CATEGORY_NOT_OWNED = 2102
    RECORD_FIELD_UNKNOWN = 2103
    RECORD_FIELD_MISSING = 2104
    RECORD_FIELD_TYPE = 2105
    RECORD_FIELD_RANGE = 2106
    RECORD_FIELD_VALUE = 2107
    RECORD_SUPERSEDES_UNKNOWN = 2108
    SCHEMA_VERSION_UNKNOWN = 2109
    RECORD_DATE = 2110
    BATCH_EMPTY = 2111
    BATCH_TOO_LARGE = 2112
    RECORD_VERSIONS = 2113
    RECORD_SELF_DECLARED = 2114
    RECORD_UNKNOWN = 2115
    RECORD_ERASED = 2116
    RECORD_OVER = 2117

    # 2200: companies, authorisation, objections
    USCC_LENGTH = 2201
    USCC_CHARACTER = 2202
    USCC_CHECK_DIGIT = 2203
    COMPANY_UNKNOWN = 2204
    COMPANY_KEY_BOUND = 2205
    CONSENT_UNKNOWN = 2210
    CONSENT_MISSING = 2211
    CONSENT_STATE = 2212
    CONSENT_CAP = 2213
    CONSENT_EXISTS = 2214
    ACCESS_NOT_LOGGED = 2215
    ACCESS_UNFIT = 2216
    CONSENT_USED = 2217
    CONSENT_DAYS = 2218
    CONSENT_ONWARD = 2219
    OBJECTION_UNKNOWN = 2220
    OBJECTION_STATE = 2221
    OBJECTION_EXISTS = 2222
    CONSENT_BORDER = 2223
    DELETION_OVERDUE = 2224
    DELETION_STATE = 2225
    PERSON_UNKNOWN = 2226
    PERSON_KEY_BOUND = 2227
    AGREEMENT_MISSING = 2228
    AGREEMENT_INVALID = 2229

    # 2300: financing assets
    ASSET_EXISTS = 2301
    ASSET_UNKNOWN = 2302
    ASSET_ALREADY_PLEDGED = 2303
    ASSET_NOT_OWNER = 2304
    ASSET_STATE = 2305
    ASSET_KIND = 2306
    ASSET_UNPRICED = 2307

    # 2400: lending
    PRODUCT_UNKNOWN = 2401
    PRODUCT_NOT_EFFECTIVE = 2402
    PRODUCT_NOT_LENDERS = 2403
    PRODUCT_VERSION = 2404
    APPLICATION_EXISTS = 2405
    APPLICATION_UNKNOWN = 2406
    LOAN_UNKNOWN = 2407
    LOAN_STATE = 2408
    AMOUNT_NOT_POSITIVE = 2409
    AMOUNT_TOO_LARGE = 2410
    ASSET_REQUIRED = 2411
    OFFER_EXPIRED = 2412
    LIMIT_EXCEEDED = 2413
    REPORT_DATE = 2414
    REPORT_VERSIONS = 2415
    GROUP_TOO_LARGE = 2416

    # 2500: rules registered on chain
    RULE_INVALID = 2501
    RULE_EXISTS = 2502
    SCORECARD_UNKNOWN = 2503
    SCHEMA_UNKNOWN = 2504
    ALERT_UNKNOWN = 2505
    ALERT_STATE = 2506
    RULE_VERSION = 2507
    RULE_DATE = 2508
    RULE_FILLING = 2509
    RATE_EXISTS = 2510
    SETTING_UNKNOWN = 2511
    CATEGORY_CHANGE = 2512

    # 2600: governance
    MEMBER_UNKNOWN = 2601
    MEMBER_EXISTS = 2602
    PROPOSAL_UNKNOWN = 2603
    PROPOSAL_STATE = 2604
    KEY_IN_USE = 2605
    KEY_UNPROVEN = 2606
    VALIDATORS_BOUNDS = 2607
    CHANGE_PENDING = 2608
    MEMBER_STATE = 2609
    PROPOSAL_LIMIT = 2610
    NOT_READY = 2611
    READY_BLOCK = 2612

    # 3000: the rule language, at registration (each carries line and column)
    RULE_SYNTAX = 3001
    RULE_TYPE = 3002
    RULE_UNIT = 3003
    RULE_NAME = 3004
    RULE_LIMIT = 3005
    RULE_COST = 3006
    RULE_FORBIDDEN = 3007
    RULE_DOCUMENT = 3008

    # 4000: consensus
    CONSENSUS_MALFORMED = 4001
    CONSENSUS_DIVERGED = 4002
    CONSENSUS_TOO_MANY_FAULTS = 4003
    CONSENSUS_MISUSE = 4004
    EVIDENCE_INVALID = 4005

    # 5000: network
    FRAME_TOO_LARGE = 5001
    FRAME_MALFORMED = 5002
    PEER_UNKNOWN = 5003
    PEER_WRONG_CHAIN = 5004
    PEER_PROTOCOL = 5005
    TLS_REFUSED = 5006
    CONNECT_FAILED = 5007
    TIMED_OUT = 5008
    PORT_IN_USE = 5009
    CONNECTION_LOST = 5010
    NODE_REMOVED = 5011

    # 5100: the gateway for clients
    BUSY = 5101
    REQUEST_UNKNOWN = 5102
    REQUEST_MALFORMED = 5103
    NOT_FOUND = 5104
    NOT_SYNCED = 5105
    NOT_ORDERING = 5106
    NOT_HELD = 5110

    # 6000: storage and homes
    STORE_CORRUPT = 6001
    STORE_IO = 6002
    DISK_FULL = 6003
    HOME_LOCKED = 6101
    HOME_WRONG_CHAIN = 6102
    HOME_INCOMPLETE = 6103
    VOTE_LOG_BEHIND_GUARD = 6201
    VOTE_LOG_CORRUPT = 6202
    VOTE_LOG_MISSING = 6203
    VOTES_FORGOTTEN = 6204
    NODE_KEY_MISSING = 6205

    # 7000: genesis and configuration
    GENESIS_MALFORMED = 7001
    GENESIS_INVALID = 7002
    CONFIG_INVALID = 7003
    PROTOCOL_UNKNOWN = 7004

    # 8000: what a person hands in
    INPUT_FILE = 8001
    INPUT_LINE = 8002
    INPUT_MAPPING = 8003
    INPUT_USAGE = 8004

    # 9000: audit
    AUDIT_FAILED = 9001


class CreditLedgerError(Exception):
    """Base of every error of this project; `str()` is `E<number> <text>`."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"E{int(self.code)} {self.message}"


class LocalError(CreditLedgerError):
    """Our own bug or our caller's: wrong use of an interface, a bad configuration."""


class RemoteError(CreditLedgerError):
    """A peer or a client broke the protocol; `peer` says who is charged."""

    def __init__(self, peer: str, code: Code, message: str) -> None:
        super().__init__(code, message)
        self.peer = peer


class Refused(CreditLedgerError):
    """Bytes refused before they are ordered: encoding, signature, envelope, proof, genesis."""


class Rejected(CreditLedgerError):
    """A transaction broke a rule at execution: no effect, its code is the result (rule 17)."""


class RuleSourceError(CreditLedgerError):
    """A rule, product, scorecard, alert or schema is refused at registration.

    `line` and `column` count from 1 in the source text that the author wrote.
    """

    def __init__(self, code: Code, message: str, line: int, column: int) -> None:
        super().__init__(code, message)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"E{int(self.code)} line {self.line}, column {self.column}: {self.message}"


class StorageError(CreditLedgerError):
    """The disk, the database or the home cannot be trusted or used."""
