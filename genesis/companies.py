"""Made-up companies: a code with valid checks, a name, a size and a way of doing business.

The organisation part of a code is one letter and seven digits (`made_up_code`): no such code was
ever given out, and all checks of GB 32100 hold. A `Profile` says what the records will show: sales
a month, how they moved, how many invoices are void, who buys, what the tax office thinks. Most are
sound; about one in eight is in some trouble, so that there is something to find.
"""

from __future__ import annotations

from dataclasses import dataclass

from genesis.draws import Draws
from ledger.credit.uscc import make_uscc
from ledger.errors import Code, LocalError

# Region (GB/T 2260), English and Chinese name.
REGIONS = (
    ("440100", "Guangzhou", "广州"),
    ("440300", "Shenzhen", "深圳"),
    ("440400", "Zhuhai", "珠海"),
    ("440500", "Shantou", "汕头"),
    ("440600", "Foshan", "佛山"),
    ("440700", "Jiangmen", "江门"),
    ("441200", "Zhaoqing", "肇庆"),
    ("441300", "Huizhou", "惠州"),
    ("441900", "Dongguan", "东莞"),
    ("442000", "Zhongshan", "中山"),
)
# Industry (GB/T 4754), English and Chinese words for it.
INDUSTRIES = (
    ("C3983", "Electronic Components", "电子元件"),
    ("C2929", "Plastics", "塑料制品"),
    ("C3360", "Surface Treatment", "金属表面处理"),
    ("C1810", "Garments", "服装"),
    ("C2110", "Furniture", "家具"),
    ("C3872", "Lighting", "照明电器"),
    ("F5173", "Building Materials Trading", "建材贸易"),
    ("F5179", "Machinery Trading", "机械贸易"),
    ("G5430", "Freight", "货运"),
    ("I6510", "Software", "软件"),
)
_SYLLABLES = (
    ("Heng", "恒"),
    ("Rui", "瑞"),
    ("Xing", "兴"),
    ("Jia", "嘉"),
    ("Hong", "宏"),
    ("Tai", "泰"),
    ("Ming", "明"),
    ("Li", "利"),
    ("Da", "达"),
    ("Feng", "丰"),
    ("Yuan", "源"),
    ("Sheng", "盛"),
    ("Kai", "凯"),
    ("Bo", "博"),
    ("Zhi", "智"),
    ("An", "安"),
)
# Monthly sales in fen from CNY 45,000 to about 3.9 million, each step half as much again.
_SIZES = tuple(4_500_000 * 3**step // 2**step for step in range(12))
_GRADES = "AAABBBBBMMMC"
CODE_LETTERS = "ABCDEFGHJKLMNPQRTUWXY"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the records of one company will show. Amounts in fen, rates in basis points."""

    code: str
    name: str
    name_zh: str
    region: str
    region_name: str
    industry: str
    age_years: int
    staff: int
    capital_10k: int
    monthly_sales_fen: int
    trend_bp: int  # sales of the last twelve months against the twelve before
    void_bp: int
    purchase_bp: int
    buyers: tuple[str, ...]
    suppliers: tuple[str, ...]
    top_buyer_bp: int
    grade: str  # "" where the tax office has not rated it
    monthly_export_fen: int  # 0: no exporter
    patents: int
    has_arrears: bool
    is_listed: bool
    is_quiet: bool  # no sale since the autumn


def made_up_code(name: str, region: str = "440000") -> str:
    """Return the code of a made-up company `E1`, `P204`, …: a letter and up to seven digits.

    The code is 91, the region, the letter, the number in seven digits, and the two check
    characters: E1 of the published invoices is 91440000E00000010Y. Raises
    `LocalError` 8003 for another form of name.
    """
    letter, digits = name[:1], name[1:]
    if letter not in CODE_LETTERS or not letter or not digits.isascii() or not digits.isdigit():
        raise LocalError(Code.INPUT_MAPPING, f"made-up company {name!r}, want a name like E12")
    if len(digits) > 7:
        raise LocalError(Code.INPUT_MAPPING, f"made-up company {name!r}, want at most 7 digits")
    return make_uscc(f"91{region}{letter}{int(digits):07d}")


def make_profiles(draws: Draws, count: int) -> list[Profile]:
    """Return `count` made-up companies with codes and names of their own."""
    start = draws.between(1, 9_000) * 1000
    names: set[str] = set()
    return [_profile(draws.branch(f"company {n}"), start + n, names) for n in range(count)]


def _profile(draws: Draws, number: int, names: set[str]) -> Profile:
    region, place, place_zh = draws.pick(REGIONS)
    industry, trade, trade_zh = draws.pick(INDUSTRIES)
    name, name_zh = _name(draws, place, place_zh, trade, trade_zh, names)
    monthly = draws.spread(draws.pick(_SIZES), 9000, 12000)
    is_troubled = draws.chance(125)
    is_exporter = draws.chance(200)
    return Profile(
        code=made_up_code(f"P{number}", region),
        name=name,
        name_zh=name_zh,
        region=region,
        region_name=place_zh,
        industry=industry,
        age_years=draws.between(1, 18),
        staff=max(2, monthly // 4_000_000 + draws.between(1, 12)),
        capital_10k=draws.pick((10, 50, 100, 200, 500, 1000)),
        monthly_sales_fen=monthly,
        trend_bp=draws.between(1500, 6500) if is_troubled else draws.between(8600, 13500),
        void_bp=draws.between(1500, 3000) if is_troubled else draws.between(0, 600),
        purchase_bp=draws.between(7500, 10_800) if is_troubled else draws.between(5000, 7300),
        buyers=_partners(draws, draws.between(3, 9)),
        suppliers=_partners(draws, draws.between(2, 6)),
        top_buyer_bp=draws.between(1000, 3000) if draws.chance(930) else draws.between(6500, 9000),
        grade=draws.pick("MCCD") if is_troubled else draws.pick(_GRADES),
        monthly_export_fen=monthly * draws.between(20, 90) // 100 if is_exporter else 0,
        patents=draws.between(1, 4) if draws.chance(150) else 0,
        has_arrears=is_troubled and draws.chance(300),
        is_listed=is_troubled and draws.chance(350),
        is_quiet=is_troubled and draws.chance(300),
    )


def _name(
    draws: Draws, place: str, place_zh: str, trade: str, trade_zh: str, names: set[str]
) -> tuple[str, str]:
    while True:
        first, first_zh = draws.pick(_SYLLABLES)
        second, second_zh = draws.pick(_SYLLABLES)
        third, third_zh = draws.pick(_SYLLABLES)
        name = f"{place} {first}{second.lower()}{third.lower()} {trade}"
        if name not in names:
            names.add(name)
            return name, f"{place_zh}{first_zh}{second_zh}{third_zh}{trade_zh}有限公司"


def _partners(draws: Draws, count: int) -> tuple[str, ...]:
    """Return the codes of trading partners outside the network's companies."""
    return tuple(
        made_up_code(f"T{draws.below(9_000_000) + n}", draws.pick(REGIONS)[0]) for n in range(count)
    )
