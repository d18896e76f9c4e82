"""A mix file into a `LoadedMix`: the settings, and everything small that they name, in memory.

`load_mix` is the one door: it reads the mix, its rule sets, its evaluation sets and its tokenizer, and answers every
mistake with a sentence that names the file, the line and the key. `$NAME` and `${NAME:-other}` stand for environment
variables in paths, and nowhere else; paths are relative to the mix file. Cost: milliseconds without the Hub.
"""

import difflib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from corpus_ja.errors import ConfigError, RuleError
from corpus_ja.mix import DuplicateSettings, Mix, Source
from corpus_ja.mixfile import Places, complain_about_keys, override, read_mix, said, sentence
from corpus_ja.stages import decontaminate, lists, models, signals, tokens, vocabulary
from corpus_ja.stages.decontaminate import Item
from corpus_ja.stages.language import default_model_path
from corpus_ja.stages.lists import Listing, ListSettings
from corpus_ja.stages.models import Model
from corpus_ja.stages.rules import RuleSet, parse_rule_set
from corpus_ja.storage.evaluation import fetch_from_hub, read_jglue, read_jsonl
from corpus_ja.storage.manifest import sha256_of
from corpus_ja.storage.sources.records import Condition
from corpus_ja.storage.tokenizers import find_tokenizer

__all__ = ["DuplicateSettings", "LoadedMix", "Mix", "Source", "expand", "filters_folder", "load_mix"]

DEFAULT_FILTERS = {"ja": ("corpus_ja",), "en": ("corpus_en",)}


@dataclass(frozen=True, slots=True)
class LoadedMix:
    """A mix with every small file it names read: what the pipeline runs.

    `sources` are those of the mix, then one per file of `heldout`; `rule_sets` by source; `conditions` by source are
    those `where` that ask for a measured score, and so are answered after measuring; `hashes` are the SHA-256 of all
    rule, list and model files by name; `folder` is what paths are relative to.
    """

    mix: Mix
    folder: Path
    sources: dict[str, Source]
    rule_sets: dict[str, tuple[RuleSet, ...]]
    hashes: dict[str, str]
    tokenizer: tokens.Tokenizer
    language_model: str
    items: tuple[Item, ...]
    lists: tuple[Listing, ...] = ()
    models: tuple[Model, ...] = ()
    conditions: dict[str, str] = field(default_factory=dict)


def load_mix(path: Path, overrides: Sequence[str] = ()) -> LoadedMix:
    """Read a mix file and every small file it names; `overrides` are `key=value` with dotted keys.

    Raises ConfigError (or RuleError) with one sentence that names the file, the line and the key.
    """
    values, places = read_mix(path)
    for setting in overrides:
        override(values, places, setting)
    complain_about_keys(values, Mix, (), places)
    try:
        mix = Mix.model_validate(values)
    except ValidationError as error:
        raise ConfigError(sentence(error, values, places)) from error
    try:
        return _load(mix, path, places)
    except OSError as error:
        name = str(error.filename or "a file that it names")
        shown = name if len(name) <= 200 else f"{name[:197]}..."
        raise ConfigError(f"{path}: {shown} cannot be read: {(error.strerror or str(error)).lower()}.") from error


def _load(mix: Mix, path: Path, places: Places) -> LoadedMix:
    """Read what a mix names."""
    folder = path.resolve().parent
    sources = {name: _expanded(source, name, places) for name, source in mix.sources.items()}
    for number, address in enumerate(mix.heldout):
        sources[f"heldout_{number + 1}"] = _heldout(address, places.at("heldout", str(number)))
    hashes: dict[str, str] = {}
    with places.named("signals"):
        scores = tuple(_models(mix, folder, hashes))
    shelf = _Shelf(mix, folder, hashes, {})
    for name in mix.lists:
        with places.named("lists", name):
            shelf.add(name)
    rule_sets = {
        name: tuple(_rule_sets(source, folder, places.at("sources", name, "filters"), hashes, shelf))
        for name, source in sources.items()
    }
    listings = tuple(listing for listing in shelf.listings.values() if listing is not None)
    conditions = _late_conditions(
        sources, folder, {one.name for one in scores} | {c for one in listings for c in one.columns}, places
    )
    with places.named("tokenizer"):
        named = mix.tokenizer if isinstance(mix.tokenizer, str) else mix.tokenizer.base
        found = find_tokenizer(expand(named), mix.tokenizer_revision, folder)
        tokenizer = tokens.describe(found.folder, found.name, found.revision, found.sha256, mix.eos)
        if not isinstance(mix.tokenizer, str):
            vocabulary.check(mix.tokenizer, tokenizer, list(mix.sources))
    if mix.bos and tokenizer.bos_id is None:
        raise ConfigError(
            f"{places.at('bos')}: bos: true, but the tokenizer {tokenizer.name} names no beginning-of-text token."
        )
    with places.named("language_model"):
        model = _language_model(mix, folder, hashes)
    with places.named("decontaminate"):
        items = tuple(_evaluation_items(mix, folder, hashes))
    return LoadedMix(
        mix=mix,
        folder=folder,
        sources={
            name: source.model_copy(update={"where": None}) if name in conditions else source
            for name, source in sources.items()
        },
        rule_sets=rule_sets,
        hashes=hashes,
        tokenizer=tokenizer,
        language_model=model,
        items=items,
        lists=listings,
        models=scores,
        conditions=conditions,
    )


def expand(text: str) -> str:
    """Put environment variables in place of `$NAME`, `${NAME}` and `${NAME:-other}`; an unset one without `other` is
    an error.
    """

    def value(match: re.Match[str]) -> str:
        name, fallback = match["braced"] or match["plain"], match["fallback"]
        found = os.environ.get(name) or fallback
        if found is None:
            raise ConfigError(
                f"{text} names the environment variable {name}, which is not set; set it, or write ${{{name}:-PATH}} to say what stands in."
            )
        return found

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::-(?P<fallback>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))", value, text)


def filters_folder() -> Path:
    """Where the rule sets that corpus-ja ships lie, in a wheel or in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "filters", here.parents[1] / "filters"):
        if folder.is_dir():
            return folder
    raise ConfigError("The rule sets of corpus-ja are not installed with it; install the package again.")


def _expanded(source: Source, name: str, places: Places) -> Source:
    updates: dict[str, str] = {}
    for key in ("parquet", "jsonl", "text", "oscar", "warc", "sidecar"):
        address = getattr(source, key)
        if address is not None:
            with places.named("sources", name, key):
                updates[key] = expand(address)
    return source.model_copy(update=updates) if updates else source


def _heldout(address: str, where: str) -> Source:
    try:
        expanded = expand(address)
    except ConfigError as error:
        raise ConfigError(f"{where}: heldout: {error}") from error
    ending = re.sub(r"\.(gz|zst)$", "", expanded)
    kind = "parquet" if ending.endswith(".parquet") else "text" if ending.endswith((".txt", ".md")) else "jsonl"
    try:
        return Source.model_validate({kind: expanded, "filters": "none", "heldout": True})
    except ValidationError as error:
        raise ConfigError(f"{where}: heldout: {said(error.errors()[0])}.") from error


def rule_sets_of(loaded: LoadedMix, source: Source, names: Sequence[str], where: str) -> tuple[RuleSet, ...]:
    """Other rule sets for a source of a loaded mix, with the lists and scores that the mix has; `where` names the
    place in errors.
    """
    shelf = _Shelf(loaded.mix, loaded.folder, {}, {listing.name: listing for listing in loaded.lists})
    for name in loaded.mix.lists:
        shelf.listings.setdefault(name, None)
    return tuple(_rule_sets(source.model_copy(update={"filters": tuple(names)}), loaded.folder, where, {}, shelf))


def with_lists_for(loaded: LoadedMix, names: Sequence[str]) -> LoadedMix:
    """The mix with those of our own lists that these rule sets need besides."""
    shelf = _Shelf(loaded.mix, loaded.folder, {}, {listing.name: listing for listing in loaded.lists})
    for name in loaded.mix.lists:
        shelf.listings.setdefault(name, None)
    for source in loaded.sources.values():
        list(_rule_sets(source.model_copy(update={"filters": tuple(names)}), loaded.folder, "--filters", {}, shelf))
    return replace(loaded, lists=tuple(listing for listing in shelf.listings.values() if listing is not None))


def _rule_sets(source: Source, folder: Path, where: str, hashes: dict[str, str], shelf: "_Shelf") -> Iterator[RuleSet]:
    names = source.filters
    if names is None:
        names = DEFAULT_FILTERS.get(source.language or "", ())
    own = frozenset(source.extra_paths) | _sidecar_columns(source, folder)
    columns = own | shelf.columns()
    for name in names:
        shipped = filters_folder() / f"{name}.yaml"
        try:
            file = shipped if shipped.is_file() else folder / expand(name)
        except ConfigError as error:
            raise ConfigError(f"{where}: filters: {error}") from error
        if not file.is_file():
            known = sorted(rule_file.stem for rule_file in filters_folder().glob("*.yaml"))
            close = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(known)}."
            raise ConfigError(f"{where}: filters: there is no rule set `{name[:100]}` and no file {file}; {hint}")
        try:
            content = file.read_text(encoding="utf-8")
            hashes[f"filters/{name}"] = sha256_of(file)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{where}: filters: {file} is not UTF-8 text (byte {error.start:,}).") from error
        rule_set = parse_rule_set(file.stem, str(file), content, columns)
        for rule in rule_set.rules:
            if rule.requires is not None and rule.signal not in own:
                shelf.require(rule.requires, rule.signal, f"{file}, rule {rule.name}")
        yield rule_set


def _columns_of(names: Iterable[str]) -> frozenset[str]:
    """Every column that lists or models of these names can give."""
    return frozenset(
        column
        for name in names
        for column in (name, *lists.word_columns(name), *lists.host_columns(name, categories=True))
    )


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The lists of a mix as they are found: those it names, and those of ours that a rule asks for. None is one it
    does without.
    """

    mix: Mix
    folder: Path
    hashes: dict[str, str]
    listings: dict[str, Listing | None]

    def add(self, name: str) -> None:
        """Find a list that the mix names."""
        settings = self.mix.lists[name]
        found = None if settings.path == "none" else _listing(name, settings, self.folder)
        self.listings[name] = found
        for category, _, sha256 in found.files if found is not None else ():
            self.hashes[f"lists/{name}/{category}"] = sha256

    def require(self, name: str, signal: str, where: str) -> None:
        """See to it that a rule's list or model is there, or that the mix says `none`; RuleError names file and
        rule.
        """
        if name in self.listings or name in self.mix.signals:
            return
        if not (words_folder() / f"{name}.txt").is_file():
            listed = signal.startswith(("words_", "host_"))
            advice = (
                f"give `lists: {{{name}: PATH}}` in the mix, or `lists: {{{name}: none}}` to go without the rule."
                if listed
                else f"give `signals: {{{name}: {{fasttext: PATH, label: ...}}}}` in the mix, a column {name} in the source or its sidecar, "
                f"or `signals: {{{name}: none}}` to go without the rule."
            )
            raise RuleError(
                f"{where}: it needs the {'list' if listed else 'score'} {name}, which is not shipped; {advice}"
            )
        found = _listing(name, ListSettings(path=name), self.folder)
        self.listings[name] = found
        self.hashes[f"lists/{name}/"] = found.files[0][2]

    def columns(self) -> frozenset[str]:
        """The columns that rules may name: of all lists and scores, and those of lists and scores done without."""
        given = frozenset(
            column for listing in self.listings.values() if listing is not None for column in listing.columns
        )
        return (
            given
            | frozenset(self.mix.signals)
            | _columns_of(name for name, listing in self.listings.items() if listing is None)
        )


def words_folder() -> Path:
    """Where the lists that corpus-ja ships lie."""
    return filters_folder() / "words"


def _listing(name: str, settings: ListSettings, folder: Path) -> Listing:
    """Find a list and look at it; ConfigError where it is not there or holds nothing."""
    place = _list_place(settings.path, folder)
    if place.is_dir():
        if settings.kind == "words":
            raise ConfigError(f"{place} is a folder, and a word list is one file.")
        inner = [
            (category, entries)
            for category in sorted(place.iterdir())
            for entries in (category / "domains", category / "urls")
        ]
        files = [(category.name, entries) for category, entries in inner if entries.is_file()]
        if not files:
            raise ConfigError(
                f"{place} holds no CATEGORY/domains and no CATEGORY/urls, as a folder of host lists does."
            )
        _check_categories(place, {category for category, _ in files}, settings)
        hashed = tuple((category, str(entries), sha256_of(entries)) for category, entries in files)
        return Listing(name, "hosts", hashed, settings.boundaries, settings.categories)
    if lists.is_archive(place.name):
        if settings.kind == "words":
            raise ConfigError(f"{place} is an archive, and a word list is one file of text.")
        try:
            with place.open("rb") as stream:
                categories = lists.archive_categories(stream)
        except ValueError as error:
            raise ConfigError(f"{place} {error}") from error
        _check_categories(place, set(categories), settings)
        sha256 = sha256_of(place)
        files_inside = tuple((category, str(place), sha256) for category in categories)
        return Listing(name, "hosts", files_inside, settings.boundaries, settings.categories)
    if settings.categories is not None:
        raise ConfigError(f"{place} is one file and has no categories; `categories` belongs to a folder of host lists.")
    try:
        content = place.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place} is not UTF-8 text (byte {error.start:,}).") from error
    kind = settings.kind
    if kind == "auto":
        kind = "hosts" if lists.looks_like_hosts(content) else "words"
    if not (lists.parse_words(content) if kind == "words" else len(lists.parse_hosts(content))):
        raise ConfigError(f"{place} holds no entry; a list has one a line.")
    return Listing(name, kind, (("", str(place), sha256_of(place)),), settings.boundaries)


def _check_categories(place: Path, known: set[str], settings: ListSettings) -> None:
    """ConfigError where the mix names a category that the list does not have."""
    unknown = [category for category in settings.categories or () if category not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], sorted(known), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(known))}."
        raise ConfigError(f"{place} has no category {unknown[0]}; {hint}")


def _list_place(given: str, folder: Path) -> Path:
    """The path that a list's address stands for: a package's file, a file or folder of the user's, or a list of
    ours.
    """
    address = expand(given)
    if address.startswith("package:"):
        package, _, inside = address.removeprefix("package:").partition("/")
        try:
            spec = importlib.util.find_spec(package) if re.fullmatch(r"\w+", package) else None
        except (ImportError, ValueError):
            spec = None
        roots = list(spec.submodule_search_locations or ()) if spec is not None else []
        if not roots:
            raise ConfigError(
                f"{given}: the package {package!r} is not installed here; install it, name a file, or write none."
            )
        found = [Path(root) / inside for root in roots if inside and (Path(root) / inside).exists()]
        if not found:
            raise ConfigError(f"{given}: the package {package} holds no {inside or 'file of an empty name'}.")
        return found[0]
    place = folder / address
    if place.exists():
        return place
    shipped = words_folder() / f"{address}.txt"
    if re.fullmatch(r"[a-z][a-z0-9_]*", address) and shipped.is_file():
        return shipped
    ours = sorted(one.stem for one in words_folder().glob("*.txt"))
    raise ConfigError(f"there is no file or folder {place}; lists of ours are: {', '.join(ours)}.")


def _models(mix: Mix, folder: Path, hashes: dict[str, str]) -> Iterator[Model]:
    """The classifiers whose scores the mix wants; ConfigError where one is not there or does not know its label."""
    taken = {
        *signals.SIGNALS,
        *signals.SOURCE_SIGNALS,
        "language",
        "language_score",
        "id",
        "text",
        "url",
        "repeat",
        "source",
    }
    for name, settings in mix.signals.items():
        if name in taken:
            raise ConfigError(f"`{name}` is a signal that every document has already; choose another name.")
        if settings is None:
            continue
        place = folder / expand(settings.fasttext)
        if not place.is_file():
            raise ConfigError(f"`{name}`: there is no file {place}; name a fastText model (.bin or .ftz).")
        try:
            labels = models.labels_of(str(place))
        except ValueError as error:
            raise ConfigError(f"`{name}`: {place} is no fastText classifier: {error}.") from error
        for label in settings.weights:
            if label not in labels:
                some = ", ".join(sorted(labels)[:10]) + (", ..." if len(labels) > 10 else "")
                raise ConfigError(f"`{name}`: the model has no label {label!r}; it has: {some or 'none'}.")
        hashes[f"signals/{name}"] = sha256_of(place)
        yield Model(name, str(place), settings, hashes[f"signals/{name}"])


def _late_conditions(sources: dict[str, Source], folder: Path, measured: set[str], places: Places) -> dict[str, str]:
    """The `where` of each source that names a list's column or a model's score, and so cannot be asked while
    reading.
    """
    late: dict[str, str] = {}
    for name, source in sources.items():
        own = frozenset(source.extra_paths) | _sidecar_columns(source, folder)
        both = sorted(own & measured)
        if both:
            raise ConfigError(
                f"{places.at('sources', name)}: the source `{name}` has a column `{both[0]}` of its own, and the mix measures one of that name; "
                "rename one of the two."
            )
        if source.where is None:
            continue
        asked = {path[0] for path in Condition.parse(source.where).paths}
        if not asked & measured:
            continue
        strange = sorted(asked - measured - own - set(signals.SIGNALS))
        if strange:
            raise ConfigError(
                f"{places.at('sources', name, 'where')}: sources.{name}.where asks for the measured {min(asked & measured)}, so it is answered "
                f"after reading, where the record's {strange[0]} is gone; declare it under `columns`, as in columns: {{{strange[0]}: {strange[0]}}}."
            )
        late[name] = source.where
    return late


def _sidecar_columns(source: Source, folder: Path) -> frozenset[str]:
    """The columns a sidecar adds, which rules may name; one that cannot be read is reported when it is joined."""
    if source.sidecar is None:
        return frozenset()
    try:
        return frozenset(pl.read_parquet_schema(folder / source.sidecar))
    except (OSError, pl.exceptions.PolarsError):
        return frozenset()


def _language_model(mix: Mix, folder: Path, hashes: dict[str, str]) -> str:
    if mix.language_model is None:
        model = Path(default_model_path())
    else:
        model = folder / expand(mix.language_model)
        if not model.is_file():
            raise ConfigError(f"there is no file {model}; name a fastText model (.bin or .ftz).")
    hashes["language_model"] = sha256_of(model)
    return str(model)


def _evaluation_items(mix: Mix, folder: Path, hashes: dict[str, str]) -> Iterator[Item]:
    if mix.decontaminate is None:
        return
    if not mix.decontaminate.sets:
        raise ConfigError("`decontaminate` names no sets; give it some, or leave it out of the mix.")
    for evaluation in mix.decontaminate.sets:
        found = 0
        if (evaluation.path is None) == (evaluation.hub is None):
            raise ConfigError("every set of `decontaminate` names either a `path` or a dataset of the `hub`.")
        place = folder / expand(evaluation.path) if evaluation.path else fetch_from_hub(str(evaluation.hub))
        for file in read_jglue(place) if evaluation.form == "jglue" else read_jsonl(place):
            name = evaluation.name or file.name
            hashes[f"evaluation/{name}/{Path(file.file).name}"] = file.sha256
            if file.task is not None:
                items = decontaminate.jglue_items(file.task, file.records, name, file.file)
            elif evaluation.form == "lm-eval":
                items = decontaminate.lm_eval_items(file.records, evaluation.fields, name, file.file)
            else:
                items = decontaminate.jsonl_items(file.records, evaluation.fields, name, file.file)
            found += len(items)
            yield from items
        if not found:
            raise ConfigError(f"{place} holds no evaluation item; it protects nothing.")
