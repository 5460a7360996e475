"""Every example of docs/SDK.md, executed in its order against four nodes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from network.client import open_client
from network.sdk import ACTS, AsyncLedger
from network.sdk.records import ShowCompany
from tests.end_to_end.province import Province

DOCUMENT = Path(__file__).parents[2] / "docs/SDK.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_document_run(province: Province) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    names: dict[str, Any] = {"net": str(province.net)}
    blocks = list(_BLOCK.finditer(text))
    assert len(blocks) >= 10
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        # Padded, so that a failure names the line of the document.
        exec(compile("\n" * line + block[1], str(DOCUMENT), "exec"), names)  # noqa: S102
    _check_async(province, names["company"])


def _check_async(province: Province, company: str) -> None:
    """The same answer through trio."""

    async def main() -> str:
        async with open_client(province.profile("D01")) as client:
            return (await AsyncLedger(client).ask(ShowCompany(company))).name

    import trio

    assert trio.run(main) == "Example Lighting Ltd"


def test_every_module_of_the_table_is_there() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    areas = {item.__module__.rpartition(".")[2] for item in ACTS.values()}
    assert all(f"`network/sdk/{area}.py`" in text for area in areas)
