"""Rules as data: a signal, a limit, a reason, and examples that prove it.

A rule file is YAML; `parse_rule_set` turns it into a frozen `RuleSet` or answers with one sentence that names the file
and the rule. `judge` compares a frame of signals with the limits, as Polars expressions, without reading any text:
changing a limit costs seconds. A document's verdict is "<file>.<rule>" of the first rule it breaks, in order; all
broken rules are kept beside it, so that one can see what a rule dropped alone.

Nothing happens by accident: a value that is null or NaN keeps the document unless the rule says `missing: drop`, and a
rule on a column that is not there is recorded by `not_run` and drops nothing. `check_examples` measures a rule's own
examples and judges them by that rule alone. Rejected: rules as Python functions (cannot be compared, listed or
fingerprinted), and expressions in strings (YAML that runs code).
"""

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NoReturn

import polars as pl
import yaml
from pydantic import Field, StrictFloat, StrictInt, StrictStr, StringConstraints, ValidationError

from corpus_ja.errors import RuleError
from corpus_ja.settings import Settings
from corpus_ja.stages import lists, signals
from corpus_ja.stages.published import ADDRESS_SIGNALS, PUBLISHED

VERSION = 1

MEASURED = {**signals.SIGNALS, **PUBLISHED}
"""Every signal of the text and the address."""
ADDRESS = {"host", *ADDRESS_SIGNALS}
"""Those of the address."""

Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_]*\z", max_length=80)]
Number = StrictInt | StrictFloat
Sentence = Annotated[StrictStr, StringConstraints(min_length=1, strip_whitespace=True)]


class Example(Settings):
    """A text, possibly said many times, or the value of a column that a source brings."""

    text: StrictStr | None = None
    """The text to measure."""
    times: Annotated[StrictInt, Field(ge=1, le=10_000)] = 1
    """How many times the text stands one after the other."""
    value: Number | StrictStr | list[StrictStr] | None = None
    """The value of the rule's own signal, where that is a column of the source."""


class Examples(Settings):
    """Documents a rule keeps and documents it drops, at least one of each."""

    keep: Annotated[list[StrictStr | Example], Field(min_length=1)]
    drop: Annotated[list[StrictStr | Example], Field(min_length=1)]


class Rule(Settings):
    """One limit: a document breaks it when its signal lies outside the numbers, or its words are wrong."""

    name: Name
    why: Sentence
    signal: StrictStr
    min: Number | None = None
    """Smallest value that is kept."""
    max: Number | None = None
    """Largest value that is kept."""
    above: Number | None = None
    """Every value that is kept is larger than this."""
    below: Number | None = None
    """Every value that is kept is smaller than this."""
    none_of: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    """Values that drop a document: of a text signal itself, or among the entries of a list signal."""
    one_of: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    """Values that keep a document: a text signal is one of them, a list signal has one of them among its entries."""
    missing: Literal["keep", "drop"] = "keep"
    """What happens where the signal is null or NaN."""
    requires: StrictStr | None = None
    """Name of a list or model that the mix must give; without it the rule is not run."""
    examples: Examples

    @property
    def limits(self) -> dict[str, int | float]:
        """The numbers it compares with, by key."""
        numbers = {"min": self.min, "max": self.max, "above": self.above, "below": self.below}
        return {key: number for key, number in numbers.items() if number is not None}

    @property
    def words(self) -> list[str] | None:
        """The words it compares with."""
        return self.none_of if self.none_of is not None else self.one_of


class RuleSet(Settings):
    """A file of rules; `language` chooses the word lists of the signals its examples are measured with."""

    name: StrictStr
    description: Sentence
    language: StrictStr = "ja"
    rules: Annotated[list[Rule], Field(min_length=1)]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} stands twice in one mapping", node.start_mark
            )
        return super().construct_mapping(node, deep)


def parse_rule_set(name: str, file: str, content: str, columns: frozenset[str] = frozenset()) -> RuleSet:
    """Read a rule file's content.

    `columns` are columns that the mix brings (a sidecar, a model's score); rules may name them besides `SIGNALS` and
    `SOURCE_SIGNALS`.
    Raises RuleError, with one sentence that names the file and the rule, whatever the content is.
    """
    if content.count("*") > 10_000 or len(content) > 5_000_000:
        raise RuleError(f"{file}: this is too large to be a rule file; split it")
    try:
        data = yaml.load(content, Loader=_Loader)  # noqa: S506  # derived from SafeLoader
    except yaml.YAMLError as error:
        raise RuleError(f"{file}: not YAML: {_one_line(error)}") from error
    except (
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        AttributeError,
        LookupError,
        ArithmeticError,
    ) as error:
        # PyYAML lets these escape for dates that do not exist, numbers too long to read and nesting too deep
        raise RuleError(f"{file}: not YAML that can be read: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise RuleError(f"{file}: a rule file is a mapping with `description` and `rules`, not {_kind(data)}")
    if "name" in data:
        raise RuleError(f"{file}: `name` is not written in a rule file; the file's own name is the set's name")
    try:
        rule_set = RuleSet.model_validate({"name": name, **data})
    except ValidationError as error:
        _explain(error, data, file)
    except (TypeError, RecursionError) as error:  # keys that are no strings, mappings that hold themselves
        raise RuleError(f"{file}: keys must be plain words: {_one_line(error)}") from error
    seen: set[str] = set()
    known = {**MEASURED, **signals.SOURCE_SIGNALS}
    for rule in rule_set.rules:
        place = f"{file}, rule {rule.name}"
        if rule.name in seen:
            raise RuleError(f"{place}: this name stands twice in the file; rename one of the two rules")
        seen.add(rule.name)
        given = columns | _columns_of(rule.requires)
        if rule.signal not in known and rule.signal not in given:
            near = difflib.get_close_matches(rule.signal[:200], [*known, *sorted(given)], n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else "see the list of signals in stages/signals.py"
            raise RuleError(f"{place}: there is no signal {_shown(rule.signal)}; {advice}")
        _check_limits(rule, place)
        if rule.signal in known:
            wordy = not known[rule.signal].dtype.is_numeric()
            if wordy and rule.words is None:
                raise RuleError(
                    f"{place}: {rule.signal!r} holds words, not numbers; compare it with `none_of` or `one_of`"
                )
            if not wordy and rule.words is not None:
                raise RuleError(f"{place}: {rule.signal!r} is a number; compare it with `min` or `max`")
        measured = rule.signal in MEASURED and rule.signal not in ADDRESS
        for example in (*rule.examples.keep, *rule.examples.drop):
            if not isinstance(example, str) and (example.text is None) == (example.value is None):
                raise RuleError(f"{place}: an example is a text, or {{text: ..., times: N}}, or {{value: ...}}")
            if measured and not isinstance(example, str) and example.value is not None:
                raise RuleError(f"{place}: {rule.signal!r} is measured on the text, so its examples are texts")
            if not measured and (isinstance(example, str) or example.value is None):
                what = "read off the address" if rule.signal in ADDRESS else "a column of the source"
                raise RuleError(f"{place}: {rule.signal!r} is {what}, so its examples say {{value: ...}}")
    return rule_set


def _columns_of(required: str | None) -> frozenset[str]:
    """What a rule that requires a list or a model may compare: the model's score, or any column of such a list."""
    if required is None:
        return frozenset()
    return frozenset((required, *lists.word_columns(required), *lists.host_columns(required, categories=True)))


def _check_limits(rule: Rule, place: str) -> None:
    """RuleError where the limits of a rule are missing, are no numbers, or leave nothing."""
    if not rule.limits and rule.words is None:
        raise RuleError(f"{place}: nothing to compare with; give `min`, `max` or `none_of`")
    if rule.none_of is not None and rule.one_of is not None:
        raise RuleError(f"{place}: `none_of` and `one_of` together; write two rules")
    if rule.words is not None and rule.limits:
        key = "none_of" if rule.none_of is not None else "one_of"
        raise RuleError(f"{place}: `{key}` compares words and `min`, `max` compare numbers; write two rules")
    for key, number in rule.limits.items():
        if not abs(number) < 1e300:
            raise RuleError(f"{place}: `{key}` is not a number that a signal can have")
    for one, other in (("min", "above"), ("max", "below")):
        if one in rule.limits and other in rule.limits:
            raise RuleError(f"{place}: `{one}` and `{other}` say the same thing twice; keep one of them")
    low = next(((key, rule.limits[key]) for key in ("min", "above") if key in rule.limits), None)
    high = next(((key, rule.limits[key]) for key in ("max", "below") if key in rule.limits), None)
    if (
        low is not None
        and high is not None
        and (low[1] > high[1] or (low[1] == high[1] and {low[0], high[0]} != {"min", "max"}))
    ):
        raise RuleError(f"{place}: `{low[0]}` {low[1]} is above `{high[0]}` {high[1]}, so nothing could be kept")


def _explain(error: ValidationError, data: dict[Any, Any], file: str) -> NoReturn:
    """One sentence for the thing pydantic found that says most: a misspelt key explains the missing one beside it."""
    errors = error.errors(include_url=False, include_context=False, include_input=True)
    # an example is a text or a mapping; of the two complaints about a mapping, "no text" is the useless one
    found = min(errors, key=lambda one: (one["type"] != "extra_forbidden", one["type"] == "string_type"))
    location = found["loc"]
    place = file
    rest = list(location)
    if len(rest) >= 2 and rest[0] == "rules" and isinstance(rest[1], int):
        rules = data.get("rules")
        rule = rules[rest[1]] if isinstance(rules, list) and rest[1] < len(rules) else None
        given = rule.get("name") if isinstance(rule, dict) else None
        place = (
            f"{file}, rule {given[:80]}" if isinstance(given, str) and given else f"{file}, rule number {rest[1] + 1}"
        )
        rest = rest[2:]
    # names of a union's branches are pydantic's business
    key = ".".join(str(part) for part in rest if str(part) in _KEYS or isinstance(part, int))
    wanted = str(rest[-1]) if rest else ""
    kind = found["type"]
    if kind == "missing":
        raise RuleError(f"{place}: `{key or wanted}` is missing") from None
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(wanted[:200], sorted(_KEYS), n=1, cutoff=0.6)
        advice = f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(sorted(_KEYS))}"
        raise RuleError(f"{place}: unknown key {_shown(wanted)}; {advice}") from None
    message = found["msg"]
    if rest and rest[0] in {"min", "max", "above", "below"}:
        message = "should be a plain number"
    elif kind == "string_pattern_mismatch":
        message = "should be a word of small letters, digits and _"
    elif kind == "too_short":
        message = "should have at least one entry"
    elif kind == "string_too_short":
        message = "should not be empty"
    elif kind == "literal_error":
        message = "should be keep or drop"
    raise RuleError(f"{place}: `{key}` {_one_line(message)}, not {_shown(found.get('input'))}") from None


_KEYS = {*RuleSet.model_fields, *Rule.model_fields, *Examples.model_fields, *Example.model_fields} - {"columns"}


def _one_line(error: object) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 300 else words[:297] + "..."


def _shown(value: object) -> str:
    """A value as it was written, short, without ever walking through a large or endless one."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, bool | float) or value is None:
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 10**30 else "a number of many digits"
    return _kind(value)


def _kind(value: object) -> str:
    names = {type(None): "nothing", dict: "a mapping", list: "a list", str: "a text", bool: "a yes or no"}
    return names.get(type(value), f"a {type(value).__name__}")


def broken_by(rule: Rule, dtype: pl.DataType) -> pl.Expr:
    """Whether a document breaks the rule: an expression over the signals, never null."""
    value = pl.col(rule.signal)
    if rule.words is not None:
        holds = (
            value.list.eval(pl.element().is_in(rule.words)).list.any()
            if isinstance(dtype, pl.List)
            else value.is_in(rule.words)
        )
        broken = holds if rule.none_of is not None else ~holds
        absent = value.is_null()
    else:
        number = value.cast(pl.Float64, strict=False)
        broken = pl.lit(value=False)
        if rule.min is not None:
            broken = broken | (number < _limit(rule.min, dtype))
        if rule.max is not None:
            broken = broken | (number > _limit(rule.max, dtype))
        if rule.above is not None:
            broken = broken | (number <= _limit(rule.above, dtype))
        if rule.below is not None:
            broken = broken | (number >= _limit(rule.below, dtype))
        absent = number.is_null() | number.is_nan()
    return pl.when(absent).then(pl.lit(rule.missing == "drop")).otherwise(broken.fill_null(value=False))


def _limit(limit: float, dtype: pl.DataType) -> float:
    """The limit in the column's own precision: 0.1 as Float32 is 0.10000000149, and a value of exactly 0.1 is kept."""
    if dtype == pl.Float32:
        return float(pl.Series([limit], dtype=pl.Float32)[0])
    return float(limit)


def judge(table: pl.DataFrame, rule_sets: Sequence[RuleSet]) -> pl.DataFrame:
    """Compare the signals with all rules.

    Returns, same rows: `dropped_by` (String, "<set>.<rule>" of the first broken rule in order, null when none) and
    `broken` (List(String), all broken rules in order). Rules on absent columns are passed over: see `not_run`.
    """
    run = [(f"{rule_set.name}.{rule.name}", rule) for rule_set in rule_sets for rule in rule_set.rules]
    run = [(name, rule) for name, rule in run if rule.signal in table.columns]
    if not run:
        return pl.DataFrame(
            {"dropped_by": [None] * table.height, "broken": [[]] * table.height},
            schema={"dropped_by": pl.String, "broken": pl.List(pl.String)},
        )
    marks = table.select(
        pl.when(broken_by(rule, table.schema[rule.signal])).then(pl.lit(name)).alias(str(place))
        for place, (name, rule) in enumerate(run)
    )
    return marks.select(
        dropped_by=pl.coalesce(pl.all()),
        broken=pl.concat_list(pl.all()).list.drop_nulls().cast(pl.List(pl.String)),
    )


def not_run(rule_sets: Sequence[RuleSet], columns: Sequence[str]) -> list[str]:
    """The rules, as "<set>.<rule>", whose signal is none of the columns."""
    present = set(columns)
    return [f"{one.name}.{rule.name}" for one in rule_sets for rule in one.rules if rule.signal not in present]


def names_to_measure(rule_sets: Sequence[RuleSet]) -> tuple[str, ...]:
    """The signals that the rules name and that are measured only when asked for, sorted, for `signals.measure`."""
    return tuple(sorted({rule.signal for one in rule_sets for rule in one.rules} & set(PUBLISHED)))


def check_examples(rule_set: RuleSet) -> list[str]:
    """One sentence for every example that its rule does not treat as it says; empty when all behave."""
    sentences = []
    for rule in rule_set.rules:
        for wanted, examples in (("keep", rule.examples.keep), ("drop", rule.examples.drop)):
            for place, example in enumerate(examples, start=1):
                table = _example_table(rule, example, rule_set.language)
                dropped = bool(table.select(broken_by(rule, table.schema[rule.signal])).item())
                if dropped != (wanted == "drop"):
                    verdict = "dropped" if dropped else "kept"
                    sentences.append(
                        f"{rule_set.name}, rule {rule.name}: example {place} under `{wanted}` is {verdict}; "
                        f"its {rule.signal} is {table[rule.signal][0]!r}"
                    )
    return sentences


def _example_table(rule: Rule, example: str | Example, language: str) -> pl.DataFrame:
    if isinstance(example, Example) and example.text is None:
        return pl.DataFrame({rule.signal: [example.value]})
    text = example if isinstance(example, str) else (example.text or "") * example.times
    return signals.measure(pl.DataFrame({"text": [text]}), language, {rule.signal} & set(PUBLISHED))
