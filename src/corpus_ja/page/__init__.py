"""The report page: one self-contained HTML file on which a person can judge a build.

`write_page` joins a template, a style, a script, the Vega libraries that vl-convert carries, and two blocks of data: JSON
(the same `report.stats` as `--json`, counts by rule, samples, words) and the signals of a sample (see `data`). Nothing
is fetched: a Content-Security-Policy in the page forbids every request, every script but those two by their SHA-256, and
`eval`; Vega's expressions are interpreted. What stands in documents and names reaches the page as JSON whose `<`, `>`
and `&` are escapes, and is shown through text nodes alone.

At most `MOST_BYTES`: 0.9 MB are Vega, the signals get what the rest leaves, the sample shrinking where they are too
many. Rejected: a server (a report is mailed, archived, opened in a plane), and charts from a content delivery network.
"""

import base64
import hashlib
import html
import json
import locale
import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from corpus_ja.errors import ConfigError
from corpus_ja.exports import stored
from corpus_ja.page import data
from corpus_ja.page.charts import FATES, specifications
from corpus_ja.page.words import Language, words_in
from corpus_ja.report import stats, visible
from corpus_ja.samples import as_json, read_samples, verdict_counts, work_of
from corpus_ja.storage.manifest import Manifest
from corpus_ja.storage.shards import replacing

__all__ = ["MOST_BYTES", "Language", "default_language", "render", "write_page"]

MOST_BYTES = 5_000_000
"""Of the whole file."""
SIGNALS_BYTES = 2_600_000
"""Of the sample's signals, in base64."""
SAMPLES_BYTES = 900_000
"""Of the documents to read, as JSON."""
CHARACTERS = 1_200
"""Characters of a document to read."""
A_VERDICT = 4
"""Documents to read of every verdict, about."""
SAMPLES, KEPT = 160, 16
"""Documents to read at most, and of kept ones besides."""


def default_language() -> Language:
    """Japanese where the locale is, else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return "ja" if os.environ[name].lower().startswith("ja") else "en"
    return "ja" if (locale.getlocale()[0] or "").lower().startswith(("ja", "japan")) else "en"


def write_page(
    manifest: Manifest, build: Path, target: Path, language: Language, work: Path | None = None, most: int = data.MOST
) -> int:
    """Write the report of a build to one HTML file; returns its bytes.

    `most` is the number of judged documents up to which the page holds the signals of all of them.
    Raises ManifestError where the work folder of the build is gone, ConfigError where the target is a folder.
    """
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name the page itself, like {target / 'report.html'}.")
    page = render(collect(manifest, build, work_of(build, work), most), language).encode("utf-8")
    with replacing(target) as temporary:
        temporary.write_bytes(page)
    return len(page)


def collect(manifest: Manifest, build: Path, work: Path, most: int = data.MOST) -> dict[str, Any]:
    """Everything the page shows, in no language: `facts` as JSON values and `sample` as base64."""
    _, parts = stored(build, work)
    facts = data.facts_by_source(manifest, work, parts)
    rules = data.rules_of(manifest)
    samples = data.draw_sample(manifest, facts, most)
    rule_facts = data.rule_facts(rules, facts, samples)
    header, packed = data.encode(samples, rules)
    while len(packed) > SIGNALS_BYTES and header["documents"] > 1:
        # Too many signals for so many documents: as many as fit, in the order of their draws.
        wanted = int(header["documents"] * SIGNALS_BYTES / len(packed) * 0.97)
        share = data.quotas({one.source: one.frame.height for one in samples}, max(1, wanted))
        samples = [data.Sampled(one.source, one.judged, one.frame.head(share[one.source])) for one in samples]
        header, packed = data.encode(samples, rules)
    return {
        "facts": {
            "stats": stats(manifest),
            "fates": list(FATES),
            "seed": manifest.mix.get("seed"),
            "packing": {"method": manifest.packing, "report": manifest.packing_report},
            "funnel": {
                name: {verdict: tally.as_json() for verdict, tally in own.fates.items()} for name, own in facts.items()
            },
            "judged": {name: own.judged for name, own in facts.items()},
            "passing": {name: own.passing.as_json() for name, own in facts.items()},
            "recorded": bool(manifest.rules),
            "rules": rule_facts,
            "sample": header,
            "samples": _documents(manifest, work),
            "verdicts": verdict_counts(manifest),
            "clusters": data.cluster_texts(manifest, parts),
            "hits": data.hits_of(manifest, build),
            "mix": {name: source.mix.model_dump() for name, source in manifest.sources.items()},
            "density": {name: data.density(own) for name, own in facts.items()},
            "stages": data.stages_of(manifest),
            "provenance": data.provenance(manifest),
            "versions": manifest.versions,
            "yaml": yaml.safe_dump(data.without_nothing(manifest.mix), allow_unicode=True, sort_keys=False, width=100),
        },
        "sample": packed,
    }


def _documents(manifest: Manifest, work: Path) -> list[dict[str, Any]]:
    """Documents to read: of every verdict in turn, and more of those kept, until they fill their room."""
    verdicts = verdict_counts(manifest)
    chosen = read_samples(manifest, work, n=min(SAMPLES, A_VERDICT * max(4, len(verdicts))), characters=CHARACTERS)
    known = {one.id for one in chosen if one.verdict is None}
    more = read_samples(manifest, work, kept=True, n=KEPT, characters=CHARACTERS) if "kept" in verdicts else []
    chosen += [one for one in more if one.id not in known]
    result: list[dict[str, Any]] = []
    room = SAMPLES_BYTES
    for sample in chosen:
        # A document's own broken rules say why already, in the table of rules.
        plain = {**as_json(sample), "group": sample.verdict or "kept"}
        plain["broken"] = [{key: one[key] for key in one if key != "why"} for one in plain["broken"]]
        room -= len(_json(plain).encode("utf-8"))
        if room < 0:
            break
        result.append(plain)
    # What fell comes first, the frequent verdicts before the rare ones; then what stayed.
    order = {verdict: place for place, verdict in enumerate(one for one in verdicts if one != "kept")}
    return sorted(result, key=lambda one: order.get(one["group"], len(order)))


# -------------------------------------------------------------------------------------------------------------- writing


def render(content: Mapping[str, Any], language: Language) -> str:
    """The page of what `collect` returned."""
    words = words_in(language)
    style, script, vega = _asset("page.css"), _asset("page.js"), _vega()
    facts = {**content["facts"], "words": words, "charts": specifications(words)}
    name = visible(str(facts["stats"]["name"]))
    values = {
        **{key: html.escape(word) for key, word in words.items()},
        "lang": language,
        "title": html.escape(words["title"].replace("{name}", name)),
        "policy": html.escape(_policy(style, vega, script)),
        "style": style,
        "facts": _json(facts),
        "sample": content["sample"],
        "vega": vega,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _asset("template.html"))


def _json(value: object) -> str:
    """JSON that no HTML parser sees a tag, an entity or the end of a script in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(style: str, *scripts: str) -> str:
    """No request whatever, no script and no style but these, no `eval`."""
    hashes = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _asset(name: str) -> str:
    return files("corpus_ja.page").joinpath(name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed with its expression interpreter as one script; no text of it ends a script. 1.5 s."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("globalThis.vegaEmbed = vegaEmbed;")
    return re.sub(r"</(?=script)|<!--", lambda match: match[0].replace("<", "\\x3c"), bundle, flags=re.IGNORECASE)
