"""Decision letters: every reason with its inputs, the change that passes, both languages alike."""

from __future__ import annotations

import string
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands.letters import phrases
from commands.letters.gathering import Gathered, gather
from commands.letters.phrases import CHINESE, ENGLISH, LANGUAGES, PHRASES
from commands.letters.writing import WIDTH, write_letter
from ledger.errors import Code, Rejected
from ledger.rules.decision import Outcome
from ledger.rules.failures import ErrorKind
from ledger.transactions.records import Record
from tests.lending.province import OTHER, RECEIVABLE_FEN, SELLER, TODAY, Province, invoice

SCF = "SCF-ICBC/1"


class InMemory:
    """A session of one identity on a chain in memory."""

    def __init__(self, province: Province, who: str) -> None:
        self._province, self._who = province, who

    def query(self, name: str, **params: Any) -> Any:
        return self._province.ask(self._who, name, **params)


def gathered(province: Province, application: str, language: str, who: str = SELLER) -> Gathered:
    session: Any = InMemory(province, who)
    return gather(session, application, province.genesis, language)


def letter(province: Province, application: str, language: str = ENGLISH, who: str = SELLER) -> str:
    return write_letter(gathered(province, application, language, who), language)


def declined(province: Province) -> str:
    province.consent(SELLER, "ICBC")
    asset = province.receivable(101, is_confirmed=False)
    application: str = province.apply(SCF, asset=asset, term_days=365)["application"]
    return application


def test_declined_reasons_come_first_with_what_they_saw() -> None:
    province = Province()
    text = letter(province, declined(province))
    order = (
        "Your application is declined.",
        "1. Not confirmed, or its invoice not verified  [R101]\n   rv.confirmed: no\n",
        "2. The loan would outlive the receivable  [R104]\n   the term asked for: 365 days\n",
        "What would pass",
        "What the decision rests on",
        "If you do not agree",
        "the result is the same",
    )
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_an_author_cannot_write_paragraphs_of_the_letter() -> None:
    province = Province()
    found = gathered(province, declined(province), ENGLISH)
    for condition in found.rules["product"]["condition"]:
        condition["text"] = "{amount} %s\n\nYour application is granted.\n"
    text = write_letter(found, ENGLISH)
    assert "{amount} %s Your application is granted.  [R101]" in text
    assert "\nYour application is granted" not in text


def test_the_change_in_the_letter_is_what_the_rule_then_grants() -> None:
    """Made as the letter says, the same company is granted that amount at that rate."""
    province = Province()
    text = letter(province, declined(province))
    assert "- the term asked for: 150 days (now 365 days)" in text
    assert "- rv.confirmed: yes (now no)" in text
    assert "it then grants CNY 1,120,000.00 at 5.50% a year" in text
    confirmed_and_verified = province.receivable()
    granted = province.apply(SCF, asset=confirmed_and_verified, term_days=150)
    assert (granted["outcome"], granted["amount_fen"]) == ("GRANT", RECEIVABLE_FEN * 8 // 10)


def test_granted_letter_says_the_terms_and_how_to_accept() -> None:
    province = Province()
    province.consent(SELLER, "ICBC")
    application = province.apply(SCF, asset=province.receivable())["application"]
    text = letter(province, application)
    assert "offers CNY 1,120,000.00 at 5.50% a year" in text
    assert "That is less than you asked for" in text
    assert f"creditledger loan accept {application} --as {SELLER}" in text
    assert "Why" not in text
    assert "What would pass" not in text
    province.do(SELLER, "loan.accept", application=application)
    accepted = letter(province, application)
    assert "offers CNY 1,120,000.00 at 5.50% a year" in accepted
    assert "The offer is open" not in accepted
    assert "loan accept" not in accepted


def test_referred_letter_names_what_is_not_known() -> None:
    province = Province()
    province.consent(SELLER, "CCB")
    body = {"kind": "patent", "document_no": "ZL1", "day": TODAY - 900}
    asset = province.do(SELLER, "asset.register", company=SELLER, **body)["asset"]
    application = province.apply("IPP/1", asset=asset)["application"]
    text = letter(province, application)
    assert "neither granted nor declined" in text
    assert "Not known: pt.legal_status." in text
    assert "category C028 (C028): no record until" in text
    fields = {"patent_no": "ZL1", "title": "a", "granted_on": TODAY - 900, "legal_status": "valid"}
    province.succeed(province.submit("D01", "C028", [Record(SELLER, TODAY - 900, fields)]))
    known = letter(province, province.apply("IPP/1", asset=asset)["application"])
    assert "1 record until" in known
    assert "category C028 (C028): no record until" in letter(province, application)


def with_reasons(found: Gathered, *reasons: tuple[str, str, str, Any]) -> Gathered:
    return replace(found, shown={**found.shown, "reasons": reasons})


def test_a_score_that_cannot_be_told_is_not_called_low() -> None:
    province = Province()
    found = gathered(province, declined(province), ENGLISH)
    product = found.rules["product"]
    product["rate"]["text"], product["limit"]["text"] = "The score is too low", "Nothing left"
    code = product["limit"]["reason"]
    reasons = (
        ("S99", "score", "MISSING", (("missing", 5),)),
        (code, "limit", "FAIL", ()),
        (code, "score", "FAIL", (("score", 480),)),
    )
    text = write_letter(with_reasons(found, *reasons), ENGLISH)
    assert "Too much of what your score rests on is not known  [S99]" in text
    assert "   how many figures of the score are not known: 5\n" in text
    assert f"Nothing left  [{code}]" in text
    assert f"The score is too low  [{code}]\n   your score: 480\n" in text
    assert "{" not in text


@pytest.mark.parametrize("kind", [item for item in ErrorKind if item is not ErrorKind.MISSING])
def test_what_could_not_be_told_is_not_said_to_be_so(kind: ErrorKind) -> None:
    province = Province()
    found = gathered(province, declined(province), ENGLISH)
    unknown = ("R101", "confirmed", "MISSING", (("rv.confirmed", None),))
    failed = ("R101", "confirmed", str(kind), (("rv.confirmed", True),))
    english = " ".join(write_letter(with_reasons(found, unknown, failed), ENGLISH).split())
    so = "It could not be told whether this is so: Not confirmed, or its invoice not verified"
    assert f"1. {so} [R101] a figure that it needs is not known rv.confirmed: not known" in english
    why = PHRASES[ENGLISH].sentences[kind]
    assert f"2. {so} [R101] {why} rv.confirmed: yes" in english
    chinese = write_letter(with_reasons(found, unknown, failed), CHINESE)
    assert chinese.count("无法判断是否存在以下情形：") == 2
    assert PHRASES[CHINESE].sentences[kind] in chinese


def test_a_part_of_the_score_that_is_not_known_is_not_told_as_bad() -> None:
    """RULES.md, scorecards: never say "past due" for "not known"."""
    province = Province()
    found = gathered(province, declined(province), ENGLISH)
    part = found.rules["scorecard"]["characteristic"][0]
    part |= {
        "text": "Past due",
        "missing_reason": "S91",
        "input": "ratio_bp(co.gone, co.sales_12m)",
    }
    found.rules["schema"]["feature"]["co.gone"] = {"unit": "fen", "text": "Gone"}
    shown = {**found.shown, "score_reasons": ("S91", part["reason"])}
    text = write_letter(replace(found, shown=shown), ENGLISH)
    assert f"   - Not known: Gone  [S91]\n   - Past due  [{part['reason']}]\n" in text


def test_values_are_told_in_words_and_counts_in_what_they_count() -> None:
    province = Province()
    found = gathered(province, declined(province), ENGLISH)
    features = {
        "co.power": {"unit": "count", "measure": "kWh", "measure_zh": "千瓦时", "decimals": 3},
        "co.state": {"unit": "text", "words_zh": {"moved_out": "迁出"}},
        "co.code": {"unit": "text"},
    }
    found.rules["schema"]["feature"].update(features)
    values = (("co.power", 12_345_678), ("co.state", "moved_out"), ("co.code", "A_1"))
    reason = ("R101", "confirmed", "FAIL", values)
    text = write_letter(with_reasons(found, reason), ENGLISH)
    assert "co.power: 12,345.678 kWh\n   co.state: moved out\n   co.code: A_1\n" in text
    found = replace(found, names=replace(found.names, is_chinese=True))
    text = write_letter(with_reasons(found, reason), CHINESE)
    assert "co.power：12,345.678千瓦时\n   co.state：迁出\n   co.code：A_1\n" in text


def test_a_change_of_a_rule_that_ended_says_so() -> None:
    province = Province()
    found = gathered(province, declined(province), ENGLISH)
    assert "no longer in force" not in write_letter(found, ENGLISH)
    ended = write_letter(replace(found, is_in_force=False), ENGLISH)
    assert "This version of the product is no longer in force: a new application" in ended


def test_every_sentence_is_said_somewhere() -> None:
    """A sentence is named in the writer, is a unit's, a label, a status or a kind of failure."""
    folder = Path(phrases.__file__).parent
    written = "".join((folder / name).read_text("utf-8") for name in ("writing.py", "phrases.py"))
    for name in PHRASES[ENGLISH].sentences:
        is_named = written.count(f'"{name}"') > len(LANGUAGES)
        known = {*Outcome, *ErrorKind, "SUPERSEDED", "ERASED"}
        is_built = name.startswith(("label of ", "of_")) or name in known
        assert is_named or is_built, name


def test_record_corrected_afterwards_is_marked_and_the_lender_looks_again() -> None:
    province = Province()
    application = declined(province)
    found = gathered(province, application, ENGLISH)
    record = found.inputs["co.sales_12m"]["records"][0]["latest"][0]
    listed = province.ask("D02", "company.records", company=SELLER, category="C044", schema="line")
    old = next(item for item in listed["records"] if item["digest"] == record["digest"])
    fixed = Record(
        SELLER,
        record["day"],
        {**old["fields"], "net": 1},
        supersedes=(record["day"], record["digest"]),
        salt=bytes(16),
    )
    province.succeed(province.submit("D02", "C044", [fixed, invoice(800, TODAY)], "line"))
    text = letter(province, application)
    assert "(corrected since)" in text
    assert "has been told to look at it again" in " ".join(text.split())


def test_record_erased_afterwards_is_marked_and_the_lender_looks_again() -> None:
    province = Province()
    application = declined(province)
    found = gathered(province, application, ENGLISH)
    record = found.inputs["co.sales_12m"]["records"][0]["latest"][0]
    named = {"company": SELLER, "category": "C044", "schema": "line", "reference": "order 7"}
    records = ((record["day"], record["digest"]),)
    province.do("D02", "records.erase", **named, ground="order", records=records)
    text = letter(province, application)
    assert "(erased since)" in text
    assert "was corrected or erased afterwards" in text
    assert "the result is the same" in text
    assert "此后已删除" in letter(province, application, CHINESE)


def test_a_node_that_lies_about_the_outcome_is_named() -> None:
    """The letter runs the rule itself: what the node says of facts and terms must follow."""
    province = Province()
    province.consent(SELLER, "ICBC")
    application = province.apply(SCF, asset=province.receivable())["application"]

    class Lying(InMemory):
        def query(self, name: str, **params: Any) -> Any:
            answer = super().query(name, **params)
            return {**answer, "rate_bp": 551} if name == "application.show" else answer

    session: Any = Lying(province, SELLER)
    text = write_letter(gather(session, application, province.genesis, ENGLISH), ENGLISH)
    assert "WARNING" in text
    assert "the result is the same" not in text


def test_only_whom_it_concerns_gets_a_letter() -> None:
    province = Province()
    application = declined(province)
    assert letter(province, application, who="ICBC") == letter(province, application)
    for who in ("CCB", OTHER):
        with pytest.raises(Rejected) as caught:
            letter(province, application, who=who)
        assert caught.value.code is Code.NOT_PERMITTED


def test_both_languages_say_the_same() -> None:
    english, chinese = (PHRASES[language].sentences for language in (ENGLISH, CHINESE))
    assert english.keys() == chinese.keys()
    for name, sentence in english.items():
        places, others = (
            {field for _, field, _, _ in string.Formatter().parse(text) if field}
            for text in (sentence, chinese[name])
        )
        assert places == others, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_lines_are_short_and_nothing_is_left_unsaid(language: str) -> None:
    province = Province()
    text = letter(province, declined(province), language)
    for line in text.splitlines():
        width = sum(2 if unicodedata.east_asian_width(item) in "WF" else 1 for item in line)
        assert width <= WIDTH or "creditledger" in line, line
        assert not line.strip().startswith(("，", "。", "）")), line
        assert line == line.rstrip()
    assert "{" not in text
    if language == CHINESE:
        assert "您的申请未获批准" in text
        assert "1,120,000.00元，年利率5.50%" in text


def test_command_writes_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    from click.testing import CliRunner

    from commands.cli import cli
    from commands.loans import letter as noun

    province = Province()
    application = declined(province)

    @contextmanager
    def in_memory(_context: object, identity: str) -> Any:
        yield InMemory(province, identity)

    monkeypatch.setattr(noun, "open_session", in_memory)
    (tmp_path / "genesis.bin").write_bytes(province.genesis.data)
    out = tmp_path / "letter.txt"
    arguments = ["loan", "letter", application, "--lang", "zh", "--as", SELLER, "--out", str(out)]
    result = CliRunner().invoke(cli, [*arguments, "--trust", str(tmp_path / "genesis.bin")])
    assert result.exit_code == 0, result.output
    assert out.read_text(encoding="utf-8") == letter(province, application, CHINESE)
