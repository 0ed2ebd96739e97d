"""Writes the tables of README.md that come from the source: parameters, reasons, output names, results.

    python bin/readme.py            writes them
    python bin/readme.py --check    says whether they are as the source has them (exit status 1 if not)

Needs the test environment.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "layers" / "detag" / "python")]

from benchmarks.headline import rows  # noqa: E402  (found by the line above)
from detag.domain.job import Reason  # noqa: E402  (found by the line above)
from detag.domain.naming import output_key, record_key  # noqa: E402
from detag.domain.reasons import ADVICE  # noqa: E402

JOB_ID = "1f3a9c20d4b58e6677aa0b1c2d3e4f50"


class _Loader(yaml.SafeLoader):
    """YAML whose CloudFormation short forms do not matter here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def parameters() -> str:
    """Every parameter, in the groups that the console shows."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    template: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506  (a safe loader that knows the short forms)
    rows = []
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        rows.append([f"**{group['Label']['default']}**", "", "", ""])
        for name in group["Parameters"]:
            parameter = template["Parameters"][name]
            takes = parameter["ConstraintDescription"].removeprefix("must be ").removesuffix(".")
            default = str(parameter["Default"])
            rows.append([f"`{name}`", f"`{default}`" if default else "empty", takes, parameter["Description"]])
    return table(["parameter", "default", "takes", "what it does"], rows)


def reasons() -> str:
    """Every reason, under the comment that heads it in the source."""
    rows = []
    for line in inspect.getsource(Reason).splitlines():
        if heading := re.match(r"\s+# (.+)", line):
            rows.append([f"**{heading[1]}**", "", ""])
        elif member := re.match(r"\s+[A-Z_]+ = \"(\w+)\"", line):
            advice = ADVICE[Reason(member[1])]
            rows.append([f"`{member[1]}`", advice.means, advice.do])
    return table(["reason", "what it means", "what to do"], rows)


def outputs() -> str:
    """What becomes of names, shown by example."""
    rows = [
        ["`shoe.jpg`", "a JPEG", f"`{output_key('shoe.jpg', 'image/jpeg', 'image/jpeg')}`"],
        ["`shoe.jpg`", "a WebP", f"`{output_key('shoe.jpg', 'image/jpeg', 'image/webp')}`"],
        ["`shoe.png`", "a WebP", f"`{output_key('shoe.png', 'image/png', 'image/webp')}`"],
        ["`autumn/shoe.jpg`", "two WebPs", " and ".join(
            f"`{output_key('autumn/shoe.jpg', 'image/jpeg', 'image/webp', number)}`" for number in (1, 2)
        )],
        [
            "`shoe.jpg`, where `shoe.jpg.webp` is the output of another photo",
            "a WebP",
            f"`{output_key('shoe.jpg', 'image/jpeg', 'image/webp', owner=JOB_ID[:8])}`",
        ],
        ["`shoe.jpg`, failed or cancelled", "nothing", f"`{record_key('shoe.jpg', JOB_ID)}`"],
    ]  # fmt: skip
    return table(["photo", "Runflow gives", "appears in the output bucket as"], rows)


def results() -> str:
    """The headline of benchmarks/results.json."""
    return table(["", ""], rows((ROOT / "benchmarks/results.json").read_text(encoding="utf-8")))


TABLES = {"parameters": parameters, "reasons": reasons, "outputs": outputs, "results": results}


def written(text: str) -> str:
    """The text of the README with its tables as the source has them. Raises KeyError for a table nobody makes."""

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- {name}: made by bin/readme.py -->\n\n{TABLES[name]()}\n\n<!-- end of {name} -->"

    marked = r"<!-- (?P<name>\w+): made by bin/readme\.py -->.*?<!-- end of (?P=name) -->"
    return re.sub(marked, replaced, text, flags=re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = written(before)
    if arguments == ["--check"]:
        if before != after:
            print("README.md is behind the source: run python bin/readme.py")
        return int(before != after)
    readme.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
