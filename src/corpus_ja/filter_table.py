"""The table of all shipped rules, `filters/README.md`: `python -m corpus_ja.filter_table` makes it from the rule files.

One section a file with what it is, and one row a rule with what it compares, what it keeps and why. A test compares the
file with `table()`, so the table cannot lie. Every text in it is the rule file's own.
"""

import json
from pathlib import Path

from corpus_ja.config import filters_folder
from corpus_ja.stages.rules import Rule, RuleSet, parse_rule_set

OURS = ("corpus_ja", "corpus_en", "technical_ja", "literary_ja", "wikipedia_ja", "oscar_ja")
"""Sets of our own, in the order of the table; published ones follow by name."""

_HEAD = """# All rules

Made by `python -m corpus_ja.filter_table` from the files beside it; edit those. A document is kept by a rule when its
signal is as the column "kept" says. Where a signal has no value the document is kept, unless the row says *missing
falls*. A rule that needs a list or a model runs when the mix gives it (`lists`, `signals`) and is recorded as not run
where the mix says `none`. What each signal counts, and in which unit, is written in
`src/corpus_ja/stages/`: `signals.py`, `published/` and `lists.py`. What the sets keep of good text stands in
docs/decisions.md.

In a rule file: `signal` is compared with `min`, `max` (the limit itself is kept), `above`, `below` (the limit itself
falls), `none_of` or `one_of` (words); `missing: drop` drops where there is no value; `requires` names a list or model;
`why` says the reason and the source; `examples` are measured and judged by the tests. A rule that requires a word list
NAME compares `words_NAME_hits`, `words_NAME_distinct`, `words_NAME_coverage` and the like; a host list, `host_in_NAME`;
a model, NAME itself.
"""


def table(folder: Path) -> str:
    """The text of README.md for the rule files of a folder."""
    files = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    names = [*(name for name in OURS if name in files), *(name for name in files if name not in OURS)]
    sections = [_HEAD, "| set | for | rules | what it is |\n|---|---|---|---|"]
    details = []
    for name in names:
        content = files[name].read_text(encoding="utf-8")
        rule_set = parse_rule_set(name, str(files[name]), content)
        sections.append(
            f"| [{name}](#{name}) | {rule_set.language} | {len(rule_set.rules)} | {_cell(rule_set.description)} |"
        )
        details.append(_section(rule_set, content))
    return "\n".join(sections) + "\n\n" + "\n".join(details)


def _section(rule_set: RuleSet, content: str) -> str:
    head = [
        line.removeprefix("#").strip()
        for line in content.splitlines()[: content.splitlines().index(f"language: {rule_set.language}")]
    ]
    source = " ".join(line for line in head if not line.startswith("description:"))
    rows = [
        f"| {rule.name} | `{rule.signal}` | {_kept(rule)} | {_cell(rule.why)} |" for rule in rule_set.rules
    ]  # fmt: skip
    return "\n".join(
        [f"## {rule_set.name}", "", source, "", "| rule | signal | kept | why |", "|---|---|---|---|", *rows, ""]
    )


def _kept(rule: Rule) -> str:
    signs = {"min": "≥", "above": ">", "max": "≤", "below": "<"}
    said = [
        f"{signs[key]} {number:,}" if isinstance(number, int) else f"{signs[key]} {number}"
        for key, number in rule.limits.items()
    ]
    if rule.words is not None:
        words = ", ".join(
            word if word.replace("_", "").isalnum() else f"`{json.dumps(word)[1:-1]}`" for word in rule.words
        )
        said.append(("none of " if rule.none_of is not None else "one of ") + words)
    if rule.missing == "drop":
        said.append("*missing falls*")
    if rule.requires is not None:
        said.append(f"needs `{rule.requires}`")
    return "; ".join(said)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write filters/README.md."""
    folder = filters_folder()
    (folder / "README.md").write_text(table(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
