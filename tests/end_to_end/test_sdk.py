"""Every example of docs/SDK.md, executed in its order against four nodes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import RemoteError
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
    _check_erasing(province, names["company"])


def _check_erasing(province: Province, company: str) -> None:
    """What is erased by a command is shown to nobody, and the home goes on being whole."""
    about = ("company", "records", company, "C044", "--schema", "line", "--as", "D02", "--json")
    first = json.loads(province.command(*about).stdout)["records"][0]
    day = (date(1970, 1, 1) + timedelta(days=first["day"])).isoformat()
    order = ("--ground", "order", "--reference", "order 7", "--as", "D18", "--schema", "line")
    named = ("company", "erase", company, "C044", "--record", f"{day}:{first['digest']}", *order)
    done = province.command(*named)
    assert done.exit_code == 0, done.output
    assert "1 records of C044" in done.output
    province.check_well()  # every node has the block of the order
    after = json.loads(province.command(*about).stdout)["records"][0]
    assert (after["status"], after["fields"], after["code"]) == ("ERASED", None, 2116)
    assert province.command(*named).exit_code == 1  # not there any more
    bad = ("company", "erase", company, "C044", "--record", f"{day}:00", *order)
    assert "64 hexadecimal digits" in province.command(*bad).output
    assert '"status"' not in province.command(*about[:-1]).output
    province.check_well()


def _check_async(province: Province, company: str) -> None:
    """The same answer through trio; a block that is not there yet is not waited for for ever."""
    done = province.send("D01", "company.bind", province.new_company()[2])
    late = replace(done, header=replace(done.header, height=done.header.height + 10**9))

    async def main() -> str:
        async with open_client(province.profile("D01")) as client:
            ledger = AsyncLedger(client)
            await ledger.wait_for(done)
            with pytest.raises(RemoteError, match="5008 no certified block"):
                await ledger.wait_for(late, wait_ms=10)
            return (await ledger.ask(ShowCompany(company))).name

    import trio

    assert trio.run(main) == "Example Lighting Ltd"


def test_every_module_of_the_table_is_there() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    areas = {item.__module__.rpartition(".")[2] for item in ACTS.values()}
    assert all(f"`network/sdk/{area}.py`" in text for area in areas)
