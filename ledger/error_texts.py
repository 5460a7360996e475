"""What every error number means and what to do about it; the source of docs/ERRORS.md.

`DESCRIPTIONS` has a text for each `Code`, meaning first, then the remedy. A test holds it complete
and the document current. `python -m ledger.error_texts > docs/ERRORS.md` writes the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ledger.errors import Code

DESCRIPTIONS: Mapping[Code, str] = {
    Code.OK: "Success. There is nothing to do.",
    # 1000: encoding
    Code.ENCODING_TYPE: "A value is of a type that has no encoding: a float, an extension, a map "
    "key that is not text. Write numbers as scaled integers.",
    Code.ENCODING_RANGE: "An integer is wider than 64 bits, or text is not valid UTF-8. "
    "Correct the value.",
    Code.ENCODING_DEPTH: "A value is nested deeper than 16 levels. Flatten it.",
    Code.ENCODING_SIZE: "Bytes are too many, or describe too many containers for their length. "
    "Send less at once.",
    Code.ENCODING_MALFORMED: "Bytes are not one msgpack value. Use the client library, and look "
    "for bytes that were cut or joined on the way.",
    Code.ENCODING_NOT_CANONICAL: "The value could be written shorter or in another order, so its "
    "hash would not be unique. Encode with ledger.encoding.",
    # 1100: keys and signatures
    Code.KEY_MALFORMED: "A key does not have 32 bytes. Check that the right file or field was "
    "given.",
    Code.KEY_WEAK: "A public key is not a canonical point of the prime-order group, so signatures "
    "under it prove nothing. Make a new key.",
    Code.SIGNATURE_MALFORMED: "A signature does not have 64 bytes. Sign again.",
    Code.SIGNATURE_INVALID: "A signature does not verify under the key that is named. Check that "
    "the right key signed exactly these bytes for this chain.",
    Code.KEY_FILE: "A key file cannot be read, opened with this password or written. Check its "
    "path, its password and that only its owner may read it.",
    # 1200: the envelope
    Code.ENVELOPE_MALFORMED: "A transaction is not of the envelope's shape. Build it with the "
    "client library.",
    Code.ENVELOPE_VERSION: "The envelope's version is not known here. Update the software that "
    "is older.",
    Code.WRONG_CHAIN: "A transaction names another chain. Use the profile of the network you mean.",
    Code.TX_EXPIRED_AT_DOOR: "A transaction had expired when it arrived. Sign it again with a "
    "later expiry; it has not been executed by this node.",
    Code.TX_EXPIRY_TOO_FAR: "A transaction expires more than 24 hours ahead. Choose an earlier "
    "expiry, and check the sender's clock.",
    Code.TX_TOO_LARGE: "A transaction is larger than 1 MiB. Split the batch.",
    Code.ATTACHMENT_MISMATCH: "Attached records are not those that the signed body commits to. "
    "Send the records that were signed, in their order.",
    Code.TX_REFUSED_BEFORE: "These very bytes were refused at this door before. Correct what was "
    "wrong and sign anew.",
    # 1300: chain
    Code.HEADER_MALFORMED: "A block header is not of its shape. Fetch the block from another node.",
    Code.CERTIFICATE_INVALID: "A block's certificate is not exactly one quorum of valid votes. "
    "Do not trust the block; fetch it from another node.",
    Code.BLOCK_INVALID: "A block's parts do not agree with its header; the message names the part. "
    "Fetch the block from another node.",
    Code.PROOF_INVALID: "A proof does not lead to the root it is held against. Do not trust what "
    "it was to prove; ask another node.",
    Code.RECEIPT_INVALID: "A receipt does not verify; the message names its part. Ask for a new "
    "one from another node.",
    Code.EPOCH_INVALID: "A change of the members that certify does not follow from the members "
    "before it; the message names the change. Do not trust what rests on it; ask another node.",
    Code.STATE_PIECE_INVALID: "A piece of a state from another node does not lead to the root that "
    "is certified, or is short, out of order or of another shape. The piece is asked of another "
    "node; where it happens often, look for the one that is named.",
    # 2000: execution, general
    Code.DUPLICATE: "The transaction was executed before; the first result stands. Ask for the "
    "fate of its id.",
    Code.EXPIRED: "The transaction reached a block after its expiry and had no effect. Sign it "
    "again if it is still meant.",
    Code.SENDER_UNKNOWN: "The sender is neither a member nor a company with a bound key. Have the "
    "registrar bind the company's key, or use the member's id.",
    Code.KEY_NOT_SENDERS: "The key is not the sender's. Sign with the sender's own key.",
    Code.KEY_REVOKED: "The key was the sender's and has been replaced. Sign with the new one.",
    Code.NOT_PERMITTED: "The sender's role or capabilities do not allow this. Ask the member "
    "whose business it is.",
    Code.KIND_UNKNOWN: "No transaction of this kind exists. Check the spelling, or update the "
    "software that is older.",
    Code.BODY_MALFORMED: "A field of the body is missing, unknown or of the wrong type; the "
    "message names it. Correct the field.",
    Code.INTERNAL: "The ledger failed on this transaction, the same on every node; it had no "
    "effect. Send the node's report to the maintainers.",
    # 2100: records
    Code.CATEGORY_UNKNOWN: "No category has this id. `categories.list` shows those that exist.",
    Code.CATEGORY_NOT_OWNED: "The category belongs to another member. Only its owner submits, "
    "corrects and attests its records.",
    Code.RECORD_FIELD_UNKNOWN: "A record has a field that its schema does not have. Leave it out "
    "or correct its name.",
    Code.RECORD_FIELD_MISSING: "A record lacks a field (or the salt) that its schema demands. "
    "Supply it.",
    Code.RECORD_FIELD_TYPE: "A field is of another type than its schema says. Check the mapping: "
    "amounts are integers in fen, dates are days since 1970.",
    Code.RECORD_FIELD_RANGE: "A field is outside its limits; the message gives them. Check the "
    "unit and the sign.",
    Code.RECORD_FIELD_VALUE: "A field has a value that is not listed, or a character that may not "
    "be shown. Use one of the listed values or clean the text.",
    Code.RECORD_SUPERSEDES_UNKNOWN: "The record to be corrected is not there, or was corrected "
    "before. Name the latest record by its day and digest.",
    Code.SCHEMA_VERSION_UNKNOWN: "The category has no record schema of this name and version. "
    "`categories.list` shows them.",
    Code.RECORD_DATE: "A date is before 1900, in the future, out of order, or not the record's "
    "day. Correct the date.",
    Code.BATCH_EMPTY: "A submission holds no record. Put in at least one.",
    Code.BATCH_TOO_LARGE: "A submission holds more than 1,000 records. Split it.",
    Code.RECORD_VERSIONS: "Too many records share one identity and day: conflicts and corrections "
    "without end. Find out at the source which one is right.",
    Code.RECORD_SELF_DECLARED: "A category is declared by companies themselves, or it is not and "
    "this transaction is for those that are. Departments submit with records.submit, companies "
    "with records.declare.",
    Code.RECORD_UNKNOWN: "There is no such record, or it was erased already. Name it by the day "
    "and digest that `company records` shows.",
    Code.RECORD_ERASED: "The record was erased, by an order or because its time was over; its "
    "digest and the order are all that is left. There is nothing to do.",
    Code.RECORD_OVER: "The time for which the record may be shown is over, as it is for a negative "
    "record of a person five years after its end. Its owner, the company and regulators see it.",
    # 2200: companies, authorisation, objections
    Code.USCC_LENGTH: "A company's code does not have 18 characters. Correct the code.",
    Code.USCC_CHARACTER: "A company's code has a character outside the 31 of GB 32100. Letters "
    "I, O, S, V and Z do not occur; correct the code.",
    Code.USCC_CHECK_DIGIT: "A check character of a company's code is wrong: a typing slip, or a "
    "code of the first years. Correct it, or have the registrar accept it.",
    Code.COMPANY_UNKNOWN: "The ledger has no record and no key of this company. Check its code.",
    Code.COMPANY_KEY_BOUND: "The company has or had this key. Bind a new one.",
    Code.CONSENT_UNKNOWN: "No authorisation has this id. `consent.list` shows a company's.",
    Code.CONSENT_MISSING: "No active authorisation of the company covers these categories. Ask "
    "the company to grant one.",
    Code.CONSENT_STATE: "The authorisation's state does not allow this step. Look at its state "
    "with `consent.list`.",
    Code.CONSENT_CAP: "The authorisation asks for more than its purpose allows. Ask for less: the "
    "message gives the cap.",
    Code.CONSENT_EXISTS: "A live authorisation says the same. Use it, or revoke it first.",
    Code.ACCESS_NOT_LOGGED: "Data under an authorisation is shown only after the look is logged. "
    "Send `access.open`, wait for its certificate, and name it (`creditledger company records` "
    "does).",
    Code.ACCESS_UNFIT: "The logged access is not one that lets this caller see this now. Open "
    "another.",
    Code.CONSENT_USED: "The authorisation allows no further look now. Ask the company for another.",
    Code.CONSENT_DAYS: "The authorisation does not open the days that are to be read; the message "
    "names them. Ask the company for one that does (`consent needed` says which days a product "
    "reads).",
    Code.CONSENT_ONWARD: "The company does not let its data be passed on. Ask it for an "
    "authorisation that does (`consent grant --onward`), or have it authorise the other one.",
    Code.CONSENT_BORDER: "The member is abroad and the company does not let its data leave the "
    "country. Ask it for an authorisation that does (`consent grant --cross-border`).",
    Code.DELETION_OVERDUE: "The member kept data of this company longer than it may and has not "
    "told its deletion. Delete it, say so (`consent deleted`), and look again.",
    Code.DELETION_STATE: "Nothing is to be deleted under this look: nothing of it may be kept, or "
    "its deletion was told before. See `company who-looked`.",
    Code.PERSON_UNKNOWN: "No key is bound to this person. Have a counter bind it (`person bind`).",
    Code.PERSON_KEY_BOUND: "The person has or had this key. Bind a new one.",
    Code.AGREEMENT_MISSING: "The persons named in an authorisation each sign its terms. Give one "
    "agreement of each (`consent grant --draft`, `person agree`).",
    Code.AGREEMENT_INVALID: "An agreement is not its person's signature over these very terms, or "
    "was withdrawn. Have the person sign the terms as they are sent.",
    Code.OBJECTION_UNKNOWN: "No objection has this id. Check the id.",
    Code.OBJECTION_STATE: "The objection's state does not allow this step. Look at its state.",
    # 2300: financing assets
    Code.OBJECTION_EXISTS: "An objection to this record is open already. See `objection list`.",
    Code.ASSET_EXISTS: "The same document is registered already. It is not registered twice.",
    Code.ASSET_UNKNOWN: "No asset has this id. Check the id.",
    Code.ASSET_ALREADY_PLEDGED: "The asset's document is pledged. The first pledge in block order "
    "stands; ask the company for another asset.",
    Code.ASSET_NOT_OWNER: "The asset belongs to another company. Use the owner's key or id.",
    Code.ASSET_STATE: "The asset's state does not allow this step. Look at it with `asset.show`.",
    Code.ASSET_KIND: "The asset is not of the kind that is wanted here. Name another asset.",
    Code.ASSET_UNPRICED: "The asset's amount is in a currency that has no exchange rate today."
    " The members set one by vote (rules propose).",
    # 2400: lending
    Code.PRODUCT_UNKNOWN: "No product has this id and version. `product.list` shows them.",
    Code.PRODUCT_NOT_EFFECTIVE: "The product cannot be applied for on this day. Look at its dates.",
    Code.PRODUCT_NOT_LENDERS: "The product belongs to another institution. Only its lender acts "
    "for it.",
    Code.PRODUCT_VERSION: "The version is not above the last one registered. Raise it.",
    Code.APPLICATION_EXISTS: "There is such an application already. Use it.",
    Code.APPLICATION_UNKNOWN: "No application has this id. Check the id.",
    Code.LOAN_UNKNOWN: "No loan has this id. Check the id.",
    Code.LOAN_STATE: "The loan's state does not allow this step. Look at it with `loan.show`.",
    Code.AMOUNT_NOT_POSITIVE: "An amount is below the least that makes sense. Give a positive "
    "amount in fen.",
    Code.AMOUNT_TOO_LARGE: "An amount is above what is allowed or owed. Check the unit: amounts "
    "are in fen.",
    Code.ASSET_REQUIRED: "The product lends against an asset and the application names none. Name "
    "a registered asset.",
    Code.OFFER_EXPIRED: "The offer was not accepted in time. Apply again.",
    Code.LIMIT_EXCEEDED: "The loan or guarantee would go beyond a prudential limit that is set to "
    "refuse, or the institution has not reported what the limit is measured against. Lend less, or "
    "report net assets first.",
    Code.REPORT_DATE: "A report of an institution is dated in the future or too far back. Date it "
    "today or within the last two years.",
    Code.REPORT_VERSIONS: "The report of this day was corrected as often as is allowed. Report the "
    "next day.",
    Code.GROUP_TOO_LARGE: "A group of related companies has as many members as one may have. Check "
    "whether all of them belong together.",
    # 2500: rules on chain
    Code.RULE_INVALID: "A rule does not compile; the message has line and column. Correct the "
    "source; `product.check` tries it without registering.",
    Code.RULE_EXISTS: "A rule of this id and version is registered. Raise the version.",
    Code.SCORECARD_UNKNOWN: "No scorecard has this id and version. `rules.list` shows them.",
    Code.SCHEMA_UNKNOWN: "No feature schema has this id and version. `rules.list` shows them.",
    Code.ALERT_UNKNOWN: "No alert has this id. `alerts.list` shows them.",
    Code.ALERT_STATE: "The alert's state does not allow this step. Look at its state.",
    Code.RULE_VERSION: "Versions only go up: a later version of this rule or record schema is "
    "there. Give it the next number.",
    Code.RULE_DATE: "A date is in the past, before what it rests on is in force, or its time is "
    "over. Choose today or a later day, or a version that is in force.",
    Code.RULE_FILLING: "The rule asks what no earlier rule asked, and the nodes are still counting "
    "the records of the past for it. `rules.status` says how far they are; try again later.",
    Code.RATE_EXISTS: "The exchange rate of this currency and day was set, and does not change. "
    "Leave it out of the proposal.",
    Code.SETTING_UNKNOWN: "No setting of this name can be changed by vote, or the value is not "
    "one it may have. The message names those that can.",
    Code.CATEGORY_CHANGE: "The changed category would break what is there: records, rules over its "
    "fields, or who may read it. The message names what. Add a new schema version beside the old.",
    # 2600: governance
    Code.MEMBER_UNKNOWN: "No member has this id. `members.list` shows them.",
    Code.MEMBER_EXISTS: "A member of this id or key exists. Choose another.",
    Code.PROPOSAL_UNKNOWN: "No proposal has this id. Check the id.",
    Code.PROPOSAL_STATE: "The proposal's state does not allow this step. Look at its state with "
    "`proposals.list`; one that expired must be made anew.",
    Code.KEY_IN_USE: "The proposed key is, or once was, some member's. A key serves one purpose of "
    "one member and never comes back: make a new one.",
    Code.KEY_UNPROVEN: "The proof that its holder has the new key does not verify, or the "
    "certificate is not of that key. Make proof and certificate with the new key, for this "
    "network and this member.",
    Code.VALIDATORS_BOUNDS: "The change would leave fewer than 4 validators, or more than 199. "
    "Promote another member first, or demote one.",
    Code.CHANGE_PENDING: "Another change of the validators, or of this member, is decided and not "
    "yet active: one at a time. Approve again after the height that the message names.",
    Code.MEMBER_STATE: "The change does not fit what the member is now: a validator, an observer, "
    "without a node, or removed. `members.list` shows it.",
    Code.PROPOSAL_LIMIT: "The member has as many open proposals as it may have, or made several in "
    "one block. Withdraw one, or wait until one expires; else send it again.",
    Code.NOT_READY: "The observer has not shown lately that its node follows the chain. Let its "
    "node catch up and send `member ready`, then approve again.",
    Code.READY_BLOCK: "The block that `member ready` names is not this chain's, or too old. Let "
    "the node catch up and send it again.",
    # 3000: the rule language
    Code.RULE_SYNTAX: "A rule's source is not well formed. Correct it at the line and column.",
    Code.RULE_TYPE: "An operation does not fit its operands' types. Correct the expression.",
    Code.RULE_UNIT: "An operation mixes units, such as money and a bare number. Write the unit: "
    "yuan(1000), days(30).",
    Code.RULE_NAME: "A name is not known: a feature, a field, a parameter or a function. The "
    "message suggests near ones.",
    Code.RULE_LIMIT: "An expression or a file is too large or too deep. Split it.",
    Code.RULE_COST: "An expression could cost more than is allowed. Make its lists smaller or "
    "the expression simpler.",
    Code.RULE_FORBIDDEN: "The rule uses what a ledger cannot: floats, regular expressions, named "
    "time zones. Write it without.",
    Code.RULE_DOCUMENT: "A key of the document is missing, unknown or has a wrong value. Correct "
    "it at the line and column.",
    # 4000: consensus
    Code.CONSENSUS_MALFORMED: "A consensus message is not of its shape; its sender is charged. "
    "Look at that member's software.",
    Code.CONSENSUS_DIVERGED: "This node's result differs from the certified one, and it has "
    "halted. Keep its home for the maintainers; rebuild from another node's blocks.",
    Code.CONSENSUS_TOO_MANY_FAULTS: "More members contradicted themselves than the protocol "
    "survives. Stop, keep all homes, and compare the evidence.",
    Code.CONSENSUS_MISUSE: "The replica was called in a way its interface forbids: our own bug. "
    "Send the node's report to the maintainers.",
    Code.EVIDENCE_INVALID: "This proves nothing: the two messages do not contradict each other, "
    "are not of one member, or do not verify. Nobody is charged by it; ask who made the file.",
    # 5000: network
    Code.FRAME_TOO_LARGE: "A frame is announced larger than the link allows. The sender is cut "
    "off; look at its software.",
    Code.FRAME_MALFORMED: "A frame is not of its shape. The sender is cut off; look at its "
    "software.",
    Code.PEER_UNKNOWN: "The other side is not a member. Check the genesis document on both sides.",
    Code.PEER_WRONG_CHAIN: "The other side belongs to another chain. Check the address.",
    Code.PEER_PROTOCOL: "The other side broke the protocol. It is cut off; look at its software.",
    Code.TLS_REFUSED: "The TLS handshake failed, or the certificate is not issued by the member "
    "it names. Check certificates, and the real time on both machines.",
    Code.CONNECT_FAILED: "No connection could be made. Check the address, the firewall, and that "
    "the node runs.",
    Code.TIMED_OUT: "No answer came in time. Try again; the transaction's fate can be asked for.",
    Code.PORT_IN_USE: "Another process listens on this port. Stop it or choose another port.",
    Code.CONNECTION_LOST: "The connection broke. It is made again by itself; ask for the fate of "
    "what was on its way.",
    Code.NODE_REMOVED: "The member has been removed, and its node with it. Stop the node; its home "
    "can still be audited.",
    # 5100: the gateway
    Code.BUSY: "The node has as much as it can take. Wait for the delay it names and send the "
    "same bytes again.",
    Code.REQUEST_UNKNOWN: "No request or query has this name. Check the spelling, or update.",
    Code.REQUEST_MALFORMED: "A request's parameters are not of its shape. Correct them.",
    Code.NOT_FOUND: "There is no such thing here. Check the name or the height.",
    Code.NOT_SYNCED: "The node is behind the others. Wait, or ask another node.",
    Code.NOT_ORDERING: "The node follows the chain and takes no transactions: it is an observer, "
    "or may not vote. Send them to a validator's node.",
    Code.NOT_HELD: "This node began at a snapshot and does not hold what lies before it. Ask a "
    "node that holds the whole chain.",
    # 6000: storage and homes
    Code.STORE_CORRUPT: "Stored data is damaged; the node has stopped. Check the disk, then "
    "restore the home from another node.",
    Code.STORE_IO: "The disk or the file system failed. Look at the system's log.",
    Code.DISK_FULL: "The disk is full. Free space and start the node again; nothing is half "
    "written.",
    Code.HOME_LOCKED: "Another process uses this home. Stop it first.",
    Code.HOME_WRONG_CHAIN: "This home belongs to another chain. Use the right folder or genesis.",
    Code.HOME_INCOMPLETE: "Files of the home are missing; the message names them. Restore them.",
    Code.VOTE_LOG_BEHIND_GUARD: "The vote log lacks votes that were sent, so this key must not "
    "vote again. Re-enter with a new key by a member change.",
    Code.VOTE_LOG_CORRUPT: "The vote log is damaged, so this key must not vote again. Re-enter "
    "with a new key by a member change.",
    Code.VOTE_LOG_MISSING: "The home holds no vote log of the node's key, so this key must not "
    "vote. Re-enter with a new key: `creditledger member rejoin`.",
    Code.VOTES_FORGOTTEN: "The node's key has signed more than this home remembers: it was "
    "restored or rolled back, or another process uses the key. Re-enter with a new key: "
    "`creditledger member rejoin`.",
    Code.NODE_KEY_MISSING: "The member's node votes under a key that this home does not hold. Put "
    "the key's file into keys/, or re-enter with a new key.",
    # 7000: genesis and configuration
    Code.GENESIS_MALFORMED: "The genesis document is not of its shape; the message names the "
    "place. Get the document from the consortium again.",
    Code.GENESIS_INVALID: "The genesis document contradicts itself; the message names the place. "
    "Correct the consortium file and build again.",
    Code.CONFIG_INVALID: "A configuration or consortium file is wrong; the message names the "
    "place. Correct it.",
    Code.PROTOCOL_UNKNOWN: "The members have raised the rules of execution to a number that this "
    "release does not know. Install the new release and start again; nothing is lost.",
    # 8000: what a person hands in
    Code.INPUT_FILE: "A file cannot be read or is not of its kind. Check the path and the format.",
    Code.INPUT_LINE: "A line of the input cannot be taken; the message has its number. Correct "
    "it, or choose to leave bad lines out.",
    Code.INPUT_MAPPING: "The mapping file does not fit the input or the record schema. Correct "
    "it at the key that is named.",
    Code.INPUT_USAGE: "A command was called with arguments that do not go together. See --help.",
    # 9000: audit
    Code.AUDIT_FAILED: "The chain does not replay: the report names block, transaction and "
    "reason. Keep the copy as evidence and compare with other nodes.",
}


def render() -> str:
    """Return docs/ERRORS.md: one row for each number, then a table for each kind of transaction."""
    lines = [
        "# Error numbers",
        "",
        "Every refusal has a number that never changes its meaning. This file is written by",
        "`python -m ledger.error_texts > docs/ERRORS.md`.",
        "",
        "| number | name | what it means, what to do |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {int(code)} | {code.name} | {DESCRIPTIONS[code]} |" for code in sorted(Code)]
    return "\n".join([*lines, *_render_kinds()]) + "\n"


def _render_kinds() -> Iterator[str]:
    """Yield the lines of the tables of what can be wrong with a transaction, kind by kind."""
    # Only for the document: who wants a description does not load every handler.
    from ledger.refusals import GENERAL, find_refusals, get_kinds

    general = [f"{int(code)} {code.name}" for code in GENERAL]
    yield from (
        "",
        "# What can be wrong with a transaction",
        "",
        "Read out of the handlers: for each kind the numbers it can be refused with, and the",
        "sentences in which that is told, … standing for what is filled in. A number stands there",
        "if some way through the code leads to it. What is refused stays in its block with its",
        "number and leaves nothing else. Any kind can also be refused with",
        f"{', '.join(general[:-1])} and {general[-1]}.",
    )
    for kind in get_kinds():
        yield from (
            "",
            f"## {kind}",
            "",
            "| number | name | what is wrong |",
            "| --- | --- | --- |",
        )
        for refusal in find_refusals(kind):
            said = "; ".join(refusal.sentences).replace("|", "\\|")
            yield f"| {int(refusal.code)} | {refusal.code.name} | {said} |"


if __name__ == "__main__":
    print(render(), end="")
