"""The words of a decision letter in each language, and how it writes amounts, days and rates.

A letter is put together from whole sentences with places for values, so that each language keeps
its own order of words. `PHRASES` has one entry a language; a test holds that all have the same
places. What a rule's author wrote (texts of conditions, names of facts) comes from the rule itself,
in Chinese where he gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from commands.values import amount, rate

ENGLISH, CHINESE = "en", "zh"
LANGUAGES = (ENGLISH, CHINESE)
_EPOCH = date(1970, 1, 1)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language: its sentences by name, and its way to write what is counted."""

    sentences: Mapping[str, str]
    amount: Callable[[int], str]
    day: Callable[[int], str]
    days: Callable[[int], str]

    def say(self, name: str, **values: str) -> str:
        """Return a sentence with its values."""
        return self.sentences[name].format(**values)

    def label(self, name: str) -> str:
        """Return what an input is called of which no schema says it: its name at worst."""
        return self.sentences.get(f"label of {name}", name)

    def join(self, texts: Iterable[str]) -> str:
        """Return texts one after the other, as the language separates them."""
        return self.sentences["comma"].join(texts)

    def value(self, unit: str, value: object) -> str:
        """Return a fact in its unit; None is "not known", which is never zero."""
        if value is None:
            return self.sentences["not_known"]
        if isinstance(value, bool):
            return self.sentences["yes" if value else "no"]
        if not isinstance(value, int):
            return str(value)
        writers = {"fen": self.amount, "bp": rate, "date": self.day, "days": self.days}
        return writers[unit](value) if unit in writers else f"{value:,}"


def _english_day(days: int) -> str:
    found = _EPOCH + timedelta(days=days)
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def _chinese_day(days: int) -> str:
    found = _EPOCH + timedelta(days=days)
    return f"{found.year}年{found.month}月{found.day}日"


_ENGLISH: Mapping[str, str] = {
    "title": "Decision on your application",
    "to": "To:           {company}",
    "from": "From:         {lender}",
    "dated": "Date:         {day}",
    "product": "Product:      {product}",
    "number": "Application:  {application}",
    "asked": "You asked for {amount} for {term}.",
    "GRANT": "Your application is granted.",
    "DECLINE": "Your application is declined.",
    "REFER": "Your application is neither granted nor declined: it goes to a person of {lender}, "
    "because the rule could not decide it.",
    "by_rule": "The decision was made by a published rule, without a person. You may ask {lender} "
    "to have a person look at it, and to explain it to you.",
    "offer": "{lender} offers {amount} at {rate} a year.",
    "less": "That is less than you asked for: the rule's limit for you is {limit}.",
    "until": "The offer is open until {day}. Accept it with:",
    "why": "Why",
    "why_refer": "What could not be decided",
    "reason": "{number}. {text}  [{code}]",
    "seen": "{label}: {value}",
    "not_told": "{number}. It could not be told whether this is so: {text}  [{code}]",
    "MISSING": "a figure that it needs is not known",
    "OVERFLOW": "a result is too large to be computed",
    "DIV_ZERO": "a figure by which it divides is zero",
    "RANGE": "a figure lies outside what the rule allows for",
    "NO_KEY": "a value is none of those that the rule knows",
    "REPEATED_KEY": "a value stands twice in the rule",
    "BAD_VALUE": "a text is no number",
    "no_condition": "No condition failed; a figure that the score or the limit needs is not known.",
    "missing": "Not known: {labels}.",
    "score_unknown": "{number}. Too much of what your score rests on is not known  [{code}]",
    "score": "Your score is {score}. What lowered it most:",
    "score_alone": "Your score is {score}.",
    "score_part": "- {text}  [{code}]",
    "score_missing": "- Not known: {labels}  [{code}]",
    "change": "What would pass",
    "change_is": "The rule would grant your application if this were so, and nothing else changed:",
    "move": "{label}: {after} (now {before})",
    "move_new": "{label}: {after} (now not known)",
    "move_day": "wait until {after}",
    "or": "{after}, or {others}",
    "comma": ", ",
    "then": "Tried with the rule itself: it then grants {amount} at {rate} a year.",
    "no_change": "No change was found, among the facts that you can change, with which the rule "
    "would grant your application.",
    "not_tried": "The rule could not be run here, so no change was looked for.",
    "superseded": "This version of the product is no longer in force: a new application would be "
    "decided by the version that is, if there is one.",
    "rests": "What the decision rests on",
    "measured": "{figure} {measure}",
    "of_records": "{owner}, {category}: {count} from {first} to {last}",
    "of_records_all": "{owner}, {category}: {count} until {last}",
    "one_record": "1 record",
    "records": "{count} records",
    "more_records": "more than {count} records",
    "no_record": "no record",
    "latest": "latest: record {number} of {day}, {digest}",
    "SUPERSEDED": "corrected since",
    "ERASED": "erased since",
    "of_asset": "the asset you named, {asset}",
    "of_ledger": "the loans on this ledger",
    "of_application": "your application",
    "of_block": "the time of the block that holds the decision",
    "review": "A record that this decision rests on was corrected or erased afterwards; {lender} "
    "has been told to look at it again.",
    "rights": "If you do not agree",
    "object": "If a record is wrong, object to it. Its supplier must answer within 20 days; until "
    "then it is shown as disputed. With your own key:",
    "complain": "If you do not agree with the answer, complain to the regulator ({regulator}), who "
    "must answer within 30 days.",
    "counter": "The department's counter does both for you, if you have no key.",
    "looked": "Who has looked at your data:",
    "proof": "For whoever checks this",
    "proof_is": "Rule {rule}, schema {schema}, scorecard {scorecard}; facts {digest}; block "
    "{height} of chain {chain}.",
    "recomputed": "This letter ran the rule again on these facts: the result is the same.",
    "differs": "WARNING: this letter ran the rule again on these facts and got another result.",
    "label of ap.amount": "the amount asked for",
    "label of ap.term": "the term asked for",
    "label of as_of": "the day of the decision",
    "label of score": "your score",
    "label of missing": "how many figures of the score are not known",
    "not_known": "not known",
    "yes": "yes",
    "no": "no",
}
_CHINESE: Mapping[str, str] = {
    "title": "贷款申请决定书",
    "to": "致：　　　{company}",
    "from": "发件机构：{lender}",
    "dated": "日期：　　{day}",
    "product": "产品：　　{product}",
    "number": "申请编号：{application}",
    "asked": "您申请{amount}，期限{term}。",
    "GRANT": "您的申请已获批准。",
    "DECLINE": "您的申请未获批准。",
    "REFER": "您的申请尚未决定：规则无法作出判断，将由{lender}的工作人员处理。",
    "by_rule": "本决定由已公布的规则自动作出，无人工参与。"
    "您有权要求{lender}进行人工复核并说明理由。",
    "offer": "{lender}提供{amount}，年利率{rate}。",
    "less": "低于您申请的金额：按规则，您的额度为{limit}。",
    "until": "此要约有效至{day}。接受请执行：",
    "why": "未通过的原因",
    "why_refer": "无法判断的事项",
    "reason": "{number}. {text}　［{code}］",
    "seen": "{label}：{value}",
    "not_told": "{number}. 无法判断是否存在以下情形：{text}　［{code}］",
    "MISSING": "所需数据缺失",
    "OVERFLOW": "计算结果过大，无法计算",
    "DIV_ZERO": "作为除数的数据为零",
    "RANGE": "有数据超出规则允许的范围",
    "NO_KEY": "有数据不是规则所列的值",
    "REPEATED_KEY": "规则中有重复的值",
    "BAD_VALUE": "有文字无法转换为数字",
    "no_condition": "没有条件未通过；计算评分或额度所需的数据缺失。",
    "missing": "缺少的数据：{labels}。",
    "score_unknown": "{number}. 评分所依据的数据缺失过多　［{code}］",
    "score": "您的评分为{score}分。扣分最多的项目：",
    "score_alone": "您的评分为{score}分。",
    "score_part": "- {text}　［{code}］",
    "score_missing": "- 缺少数据：{labels}　［{code}］",
    "change": "怎样可以通过",
    "change_is": "其他情况不变，若下列情况成立，按规则将批准您的申请：",
    "move": "{label}：{after}（现为{before}）",
    "move_new": "{label}：{after}（现无数据）",
    "move_day": "等到{after}",
    "or": "{after}，或{others}",
    "comma": "、",
    "then": "已用同一规则验算：届时批准{amount}，年利率{rate}。",
    "no_change": "在您能够改变的事项中，未找到可使规则批准的改变。",
    "not_tried": "此处无法运行该规则，未查找可通过的改变。",
    "superseded": "该产品的此版本已不再有效，新的申请将适用现行版本（如有）。",
    "rests": "决定所依据的数据",
    "measured": "{figure}{measure}",
    "of_records": "{owner}，{category}：{first}至{last}，{count}",
    "of_records_all": "{owner}，{category}：截至{last}，{count}",
    "one_record": "1条记录",
    "records": "{count}条记录",
    "more_records": "超过{count}条记录",
    "no_record": "没有记录",
    "latest": "最近一条：第{number}号记录，{day}，{digest}",
    "SUPERSEDED": "此后已更正",
    "ERASED": "此后已删除",
    "of_asset": "您提供的资产{asset}",
    "of_ledger": "本账本上的贷款",
    "of_application": "您的申请",
    "of_block": "记载本决定的区块的时间",
    "review": "本决定所依据的一条记录后来已更正或删除，已通知{lender}重新审查。",
    "rights": "如有异议",
    "object": "如果某条记录有误，您可以提出异议。信息提供方须在20日内答复，"
    "答复之前该记录标注为有异议。使用您自己的密钥：",
    "complain": "对答复不服的，可向监管部门（{regulator}）投诉，监管部门须在30日内处理。",
    "counter": "没有密钥的，可到部门服务窗口办理。",
    "looked": "查询谁看过您的数据：",
    "proof": "供核验",
    "proof_is": "规则{rule}，特征{schema}，评分卡{scorecard}；数据摘要{digest}；"
    "链{chain}第{height}块。",
    "recomputed": "本决定书已用上述数据重新运行该规则，结果一致。",
    "differs": "警告：本决定书用上述数据重新运行该规则，结果不一致。",
    "label of ap.amount": "申请金额",
    "label of ap.term": "申请期限",
    "label of as_of": "决定之日",
    "label of score": "您的评分",
    "label of missing": "评分所缺数据项数",
    "not_known": "无数据",
    "yes": "是",
    "no": "否",
}
PHRASES: Mapping[str, Phrases] = {
    ENGLISH: Phrases(
        _ENGLISH,
        lambda fen: f"CNY {amount(fen)}",
        _english_day,
        lambda days: "1 day" if days == 1 else f"{days:,} days",
    ),
    CHINESE: Phrases(
        _CHINESE, lambda fen: f"人民币{amount(fen)}元", _chinese_day, lambda days: f"{days:,}天"
    ),
}
