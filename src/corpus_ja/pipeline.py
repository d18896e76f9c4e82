"""The build, first stage to last: read this first.

`run` takes a loaded mix through the seven stages and publishes the result. Every stage is a list of jobs handed to an
executor; a job whose report lies on disk was done by an earlier run. A source's folder in
`work/<stage>/<source>-<fingerprint>/` is named by everything that can change a byte in it, so whatever is new is done
and nothing else: another limit re-judges stored columns, another budget re-allots stored counts, another source reads
that source.

    documents ▸ chance ▸ measures ▸ rules ▸ duplicates (▸ vocabulary) ▸ tokens ▸ mix ▸ pack ▸ publish
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus_ja.building import Allotments, Build, Observer, Reached, heldout_bound, per_part, place, priority, summed
from corpus_ja.config import LoadedMix, Source
from corpus_ja.documents import below
from corpus_ja.errors import ConfigError, CorpusError, MixError
from corpus_ja.executors import Executor
from corpus_ja.publishing import finished_build, locked, publish, remove_leftovers
from corpus_ja.settings import plain
from corpus_ja.stages import (
    clean,
    clusters,
    decontaminate,
    exact,
    language,
    lists,
    minhash,
    mixing,
    models,
    packing,
    published,
    repeats,
    rules,
    signals,
    tokens,
    vocabulary,
)  # fmt: skip
from corpus_ja.storage.manifest import Counted, Manifest, fingerprint
from corpus_ja.storage.shards import read_json, write_json
from corpus_ja.storage.sources import cut_tasks, extra_columns, list_files, located, sidecar_file
from corpus_ja.storage.tokenizers import sha256_of_files
from corpus_ja.tasks import (
    Job,
    allotting,
    encoding,
    judging,
    matching,
    measuring,
    reading,
    repeating,
    shards,
    vocabularies,
)

TOKENS_A_SHARD = 16_000_000
"""Tokens a training shard aims at with `shards: auto`: what one packing task holds in memory, about ten bytes each."""


LOSSES_TOLD = 5
"""Files of a source that broke off, named in its notes."""


def run(loaded: LoadedMix, output: Path, work: Path, executor: Executor, observer: Observer) -> tuple[Manifest, bool]:
    """Build the corpus; returns its manifest, and whether anything was done (False: it was already there)."""
    with locked(output):
        reached = list_sources(loaded, work)
        build = Build(loaded, output, work, executor, observer)
        stamp = _build_fingerprint(loaded, reached)
        finished = finished_build(output, stamp)
        if finished is not None:
            return finished, False
        remove_leftovers(work)
        documents(build, reached)
        repeated_pieces(build, reached)
        chance(build, reached)
        measures(build, reached)
        judge(build, reached)
        duplicates(build, reached)
        learn_vocabulary(build, reached)
        encode(build, reached)
        allotments = allot(build, reached)
        packed = pack(build, reached, allotments)
        return publish(build, reached, allotments, packed, stamp), True


# ---------------------------------------------------------------------------------------------------------------- stages


def documents(build: Build, reached: Sequence[Reached]) -> None:
    """1. Read and clean; set aside what is unreadable; make ids unique."""
    mix = build.loaded.mix
    jobs: list[reading.ReadDocuments] = []
    for state in reached:
        folder = state.folders["documents"] = build.folder("documents", state.name, state.prints["documents"])
        jobs += [
            reading.ReadDocuments(
                source=state.name,
                index=index,
                pieces=pieces,
                reading=state.source,
                cleaning=state.source.clean,
                fraction=below(state.source.fraction),
                seed=mix.seed,
                validation=heldout_bound(build.loaded, state),
                validation_seed=mix.validation_seed,
                extra=tuple(extra_columns(state.files, state.source).items()),
                folder=folder,
            )
            for index, pieces in enumerate(cut_tasks(state.files, state.source))
        ]
    by_source: dict[str, list[dict[str, Any]]] = {state.name: [] for state in reached}
    for job, report in zip(jobs, build.run("documents", jobs), strict=True):
        by_source[job.source].append(report)
    numbering: list[Job] = []
    for state in reached:
        for report in by_source[state.name]:
            for part in report["parts"]:
                state.parts.append(part["name"])
                state.rows[part["name"]] = part["rows"]
        sidecar = state.source if state.source.sidecar is not None else None
        numbering.append(reading.NumberRepeats(state.name, state.folders["documents"], tuple(state.parts), sidecar))
    for state, report in zip(reached, build.run("ids", numbering), strict=True):
        reports = by_source[state.name]
        state.read = Counted(**summed(part["read"] for part in reports)) if reports else Counted()
        state.unreadable = summed(part["unreadable"] for part in reports)
        state.dropped = summed(part["dropped"] for part in reports)
        state.cleaned = summed(part["cleaned"] for part in reports)
        if report["repeated"]:
            state.notes.append(f"ids that repeat an earlier one: {report['repeated']:,}; they end in ~2, ~3, ... now.")
        if report.get("unknown_sidecar_ids"):
            state.notes.append(
                f"{report['unknown_sidecar_ids']:,} ids of the sidecar belong to no document of the source."
            )
        losses = [loss for part in reports for loss in part.get("losses", ())]
        state.notes += [f"{loss}." for loss in losses[:LOSSES_TOLD]]
        if len(losses) > LOSSES_TOLD:
            state.notes.append(
                f"{len(losses) - LOSSES_TOLD:,} more files broke off; the *.set_aside.parquet in {state.folders['documents']} name them."
            )
        if not state.read.documents:
            aside = sum(state.unreadable.values())
            state.notes.append(
                f"not one document was read of its {len(state.files):,} file{'s' if len(state.files) != 1 else ''}"
                + (f"; {aside:,} were unreadable." if aside else ": they are empty.")
            )
        surrogates = sum(part["surrogates"] for part in reports)
        if surrogates:
            state.notes.append(f"{surrogates:,} lone surrogates became U+FFFD.")
        build.record("documents", state.name, state.prints["documents"], [*reports, report], state.notes)
        for note in state.notes:
            build.observer.note(f"{state.name}: {note}")


def repeated_pieces(build: Build, reached: Sequence[Reached]) -> None:
    """1b. Take the lines or paragraphs that many documents of a source repeat out of them, where the source asks for
    it.
    """
    asking = [(state, state.source.repeats) for state in reached if state.source.repeats is not None]
    if not asking:
        return
    read = {state.name: state.folders["documents"] for state, _ in asking}
    counting: list[repeating.CountPieces] = []
    finding: list[Job] = []
    dropping: list[repeating.DropRepeats] = []
    for state, settings in asking:
        # Both stay in use: the documents as they were read, and those without the repeated pieces.
        build.folders["documents"][f"{state.name}, as read"] = read[state.name].name
        place(
            build,
            state,
            "documents",
            fingerprint(
                [state.prints["documents"], repeats.VERSION, repeating.VERSION, exact.VERSION, plain(settings)]
            ),
        )
        folder = state.folders["documents"]
        parts = tuple(state.parts)
        counting += [
            repeating.CountPieces(state.name, part, read[state.name] / f"{part}.parquet", settings, folder)
            for part in parts
        ]
        finding.append(repeating.FindRepeated(state.name, parts, read[state.name], settings, folder))
        first = 0
        for path in sorted(read[state.name].glob("[0-9]*.json")):
            of_task = tuple(part["name"] for part in read_json(path)["parts"])
            dropping.append(
                repeating.DropRepeats(state.name, path.stem, of_task, first, read[state.name], settings, folder)
            )
            first += sum(state.rows[part] for part in of_task)
    counted = build.run("repeats: count", counting)
    found = build.run("repeats: find", finding)
    dropped = build.run("repeats: drop", dropping)
    for (state, settings), repeated in zip(asking, found, strict=True):
        own = [report for job, report in zip(dropping, dropped, strict=True) if job.source == state.name]
        counts = [report for job, report in zip(counting, counted, strict=True) if job.source == state.name]
        state.parts = [part["name"] for report in own for part in report["parts"]]
        state.rows = {part["name"]: part["rows"] for report in own for part in report["parts"]}
        state.dropped = summed([state.dropped, *(report["dropped"] for report in own)])
        total = summed({key: report[key] for key in ("pieces", "touched", "left_bytes")} for report in own)
        state.repeats = {
            "unit": settings.unit,
            "kinds": repeated["repeated"],
            "removed": total.get("pieces", 0),
            "documents": total.get("touched", 0),
            "bytes": total.get("left_bytes", 0),
            "most": repeated["shown"],
        }
        reports = [*({**report, "rows": 0} for report in (*counts, repeated)), *own]
        build.record("repeats", state.name, state.prints["documents"], reports, folder="documents")


def chance(build: Build, reached: Sequence[Reached]) -> None:
    """1c. Draw each document's numbers, one stream a purpose."""
    mix = build.loaded.mix
    for state in reached:
        print_ = fingerprint([state.prints["documents"], measuring.VERSION, mix.seed, mix.validation_seed])
        place(build, state, "chance", print_)
    per_part(
        build, "chance", reached,
        lambda state, part: measuring.DrawChance(
            state.name, part, state.file("documents", part), state.folders["chance"], mix.seed, mix.validation_seed
        ),
    )  # fmt: skip


def measures(build: Build, reached: Sequence[Reached]) -> None:
    """2. Measure everything that reads text and gives no verdict."""
    loaded = build.loaded
    mix = loaded.mix
    index = None
    if mix.decontaminate is not None:
        content = {
            "items": [
                {
                    "set": item.set,
                    "id": item.id,
                    "parts": list(item.parts),
                    "context": item.context,
                    "answers": list(item.answers),
                }
                for item in loaded.items
            ],
            "settings": plain(mix.decontaminate),
        }
        index = build.work / "overlaps" / f"items-{fingerprint(content)}.json"
        build.folders.setdefault("overlaps", {})["items"] = index.name
        if not index.is_file():
            write_json(index, content)
    near = mix.duplicates
    for state in reached:
        documents_print = state.prints["documents"]
        place(
            build, state, "language", fingerprint([documents_print, language.VERSION, loaded.hashes["language_model"]])
        )
        # what only published sets compare is measured when a rule names it, and stands for itself in the fingerprint
        named = rules.names_to_measure(loaded.rule_sets[state.name])
        more = [[published.VERSION, *named]] if named else []
        place(build, state, "signals", fingerprint([documents_print, signals.VERSION, state.source.language, *more]))
        if loaded.lists:
            meaning = [listing.meaning for listing in loaded.lists]
            place(build, state, "lists", fingerprint([documents_print, lists.VERSION, meaning]))
        if loaded.models:
            scoring = [[one.name, loaded.hashes[f"signals/{one.name}"], plain(one.settings)] for one in loaded.models]
            place(build, state, "scores", fingerprint([documents_print, models.VERSION, scoring]))
        if near is not None:
            shape = [*near.shape, near.characters, near.max_characters]
            signing = [documents_print, exact.VERSION, minhash.VERSION, measuring.HEAD, shape]
            place(build, state, "signatures", fingerprint(signing))
        if index is not None:
            place(
                build,
                state,
                "overlaps",
                fingerprint([documents_print, exact.VERSION, decontaminate.VERSION, index.name]),
            )

    def job(state: Reached, part: str) -> measuring.Measure:
        outputs = tuple((kind, state.folders[kind]) for kind in measuring.KINDS if kind in state.folders)
        return measuring.Measure(
            source=state.name,
            part=part,
            documents=state.file("documents", part),
            outputs=outputs,
            language_model=loaded.language_model,
            text_language=state.source.language,
            names=rules.names_to_measure(loaded.rule_sets[state.name]),
            near=near,
            index=index,
            stamp=fingerprint([folder.name for _, folder in outputs]),
            lists=loaded.lists,
            models=loaded.models,
        )

    per_part(build, "measures", reached, job, record_as="language")


def judge(build: Build, reached: Sequence[Reached]) -> None:
    """3. Compare the measured columns with the limits; reads no text."""
    loaded = build.loaded
    for state in reached:
        print_ = fingerprint(
            [
                state.prints["language"], state.prints["signals"], state.prints.get("overlaps"), state.prints.get("lists"),
                state.prints.get("scores"), loaded.conditions.get(state.name), judging.VERSION, rules.VERSION, language.VERSION, state.source.language, [plain(rule_set) for rule_set in loaded.rule_sets[state.name]],
            ]
        )  # fmt: skip
        place(build, state, "rules", print_)
    reports = per_part(
        build, "rules", reached,
        lambda state, part: judging.Judge(
            source=state.name,
            part=part,
            documents=state.file("documents", part),
            language=state.file("language", part),
            signals=state.file("signals", part),
            overlaps=state.file("overlaps", part) if "overlaps" in state.folders else None,
            scores=tuple(state.file(kind, part) for kind in ("lists", "scores") if kind in state.folders),
            condition=loaded.conditions.get(state.name),
            folder=state.folders["rules"],
            wanted_language=state.source.language,
            rule_sets=loaded.rule_sets[state.name],
        ),
    )  # fmt: skip
    if "overlaps" in build.folders:
        _list_overlaps(build, reached)
    for state in reached:
        state.evaluation = summed(report["evaluation"] for report in reports[state.name])
        not_run = sorted({name for report in reports[state.name] for name in report["not_run"]})
        for name in not_run:
            state.notes.append(f"the rule {name} did not run: its signal is not there.")


def _list_overlaps(build: Build, reached: Sequence[Reached]) -> None:
    """Which items stand in which documents, as a file of the build."""
    index = build.folders["overlaps"]["items"]
    print_ = fingerprint(
        [index, decontaminate.VERSION, judging.VERSION, [[state.name, state.prints["rules"]] for state in reached]]
    )
    folder = build.folder("overlaps", "listed", print_)
    parts = tuple(
        (state.name, state.file("documents", part), state.file("overlaps", part), state.file("rules", part))
        for state in reached
        for part in state.parts
    )
    (report,) = build.run("evaluation", [judging.ListOverlaps(parts, build.work / "overlaps" / index, folder)])
    build.record("overlaps", "listed", print_, [report])
    build.evaluation = {"sets": report["sets"], "files": ["evaluation/hits.parquet", "evaluation/unprotected.jsonl"]}


def duplicates(build: Build, reached: Sequence[Reached]) -> None:
    """4. Exact, address and near duplicates over all sources."""
    mix = build.loaded.mix
    settings = mix.duplicates
    if settings is None:
        return
    everything = [
        [
            state.name, state.prints["signatures"], state.prints["rules"], state.prints["chance"],
            state.source.duplicates, priority(reached, state), str(heldout_bound(build.loaded, state)),
        ]
        for state in reached
    ]  # fmt: skip
    chosen = plain(settings)
    del chosen["max_removal"]
    print_ = fingerprint([everything, chosen, clusters.VERSION, matching.VERSION, minhash.VERSION, exact.VERSION])
    gathered = build.work / "duplicates" / f"gathered-{print_}"
    build.folders.setdefault("duplicates", {})["gathered"] = gathered.name
    way = fingerprint([settings.characters, settings.max_characters, minhash.VERSION, exact.VERSION, matching.VERSION])
    compared = build.work / "duplicates" / f"compared-{way}"
    build.folders["duplicates"]["compared"] = compared.name
    every_part = tuple(
        matching.Part(
            source=state.name,
            part=part,
            rows=state.rows[part],
            documents=state.file("documents", part),
            signatures=state.file("signatures", part),
            rules=state.file("rules", part),
            chance=state.file("chance", part),
            mode=state.source.duplicates,
            priority=priority(reached, state),
            heldout=heldout_bound(build.loaded, state),
        )
        for state in reached
        for part in state.parts
    )
    parts = matching.write_parts(gathered / "parts.json", every_part)
    bands, _ = settings.shape
    columns = ("key_low", *(("url_key",) if settings.url else ()), *(f"band_{band}" for band in range(bands)))
    ranges = matching.ranges_needed(sum(sum(state.rows.values()) for state in reached))
    reports = build.run(
        "duplicates: buckets",
        [matching.FindBuckets(parts, column, gathered, index, ranges) for column in columns for index in range(ranges)],
    )
    reports += build.run(
        "duplicates: pairs", [matching.PairUp(parts, columns, settings.max_comparisons, compared, gathered)]
    )
    chunks: tuple[int, ...] = ()
    while True:
        proposed = matching.pairs_report(gathered, len(chunks))
        chunks = (*chunks, proposed["chunks"])
        comparing = [
            matching.VerifyPairs(parts, len(chunks) - 1, index, settings, compared, gathered)
            for index in range(chunks[-1])
        ]
        if comparing:
            reports += build.run("duplicates: compare", comparing)
        if not proposed["unfinished"] or len(chunks) == matching.ROUNDS:
            break
        again = matching.PairAgain(columns, settings.max_comparisons, settings.threshold, chunks, compared, gathered)
        reports += build.run("duplicates: pairs", [again])
    reports += build.run("duplicates: survivors", [matching.Decide(parts, chunks, settings.threshold, gathered)])
    first = {}
    count = 0
    for state in reached:
        place(build, state, "duplicates", print_)
        for part in state.parts:
            first[state.name, part] = count
            count += state.rows[part]
    spread = per_part(
        build, "duplicates", reached,
        lambda state, part: matching.SpreadVerdicts(
            state.name, part, first[state.name, part], state.rows[part], gathered, state.folders["duplicates"]
        ),
    )  # fmt: skip
    build.record("duplicates", "gathered", print_, reports)
    _tell_removal(build, reached, spread, reports[-1], proposed["unfinished"])


def learn_vocabulary(build: Build, reached: Sequence[Reached]) -> dict[str, Any] | None:
    """4b. Extend the tokenizer by what the kept text teaches, where the mix asks for it; the build goes on with the
    extended one.

    The report of the task: entries, and tokens a character before and after.
    """
    loaded = build.loaded
    extension = loaded.mix.tokenizer
    if isinstance(extension, str):
        return None
    taught = [
        [
            state.name, state.prints["documents"], state.prints["chance"], state.prints["rules"], state.prints.get("duplicates"),
            str(heldout_bound(loaded, state)),
        ]
        for state in reached
    ]  # fmt: skip
    print_ = fingerprint(
        [
            taught, plain(extension), loaded.tokenizer.sha256, loaded.tokenizer.eos_id, loaded.tokenizer.bos_id, vocabulary.VERSION,
            vocabularies.VERSION, vocabulary.package_version(),
        ]
    )  # fmt: skip
    stem = f"{loaded.tokenizer.name.replace('/', '--')}+{extension.add}"
    folder = build.folder("vocabulary", stem, print_)
    task = vocabularies.LearnVocabulary(candidates(build, reached), extension, loaded.tokenizer, folder)
    reports = build.run("vocabulary", [task])
    report = reports[0]
    notes = [
        f"{name}: {one['tokens_per_character_before']:.2f} tokens a character with {loaded.tokenizer.name}, "
        f"{one['tokens_per_character_after']:.2f} with {report['learned']:,} entries more"
        + ("." if one["unseen"] else " (on text that taught them).")
        for name, one in report["sources"].items()
        if one["characters"]
    ]
    build.record("vocabulary", stem, print_, reports, notes)
    for note in notes:
        build.observer.note(note)
    go_on_with(build, extension, folder)
    return dict(report)


def candidates(build: Build, reached: Sequence[Reached]) -> tuple[vocabularies.Candidates, ...]:
    """Every part of the sources, as the vocabulary reads it."""
    return tuple(
        vocabularies.Candidates(
            source=state.name,
            documents=state.file("documents", part),
            chance=state.file("chance", part),
            rules=state.file("rules", part),
            duplicates=state.file("duplicates", part) if "duplicates" in state.folders else None,
            heldout=heldout_bound(build.loaded, state),
        )
        for state in reached
        for part in state.parts
    )


def go_on_with(build: Build, extension: vocabulary.Extension, folder: Path) -> None:
    """From here on the build's tokenizer is the extended one in `folder`."""
    base = build.loaded.tokenizer
    tokenizer = tokens.describe(
        folder, f"{base.name}+{extension.add}", base.revision, sha256_of_files(folder), base.eos_token
    )
    build.loaded = replace(build.loaded, tokenizer=tokenizer)


def vocabulary_alone(
    loaded: LoadedMix, work: Path, executor: Executor, observer: Observer
) -> tuple[dict[str, Any], Path]:
    """The stages up to the vocabulary: the report of its task, and the folder of the extended tokenizer."""
    reached = list_sources(loaded, work)
    build = Build(loaded, work, work, executor, observer)
    documents(build, reached)
    repeated_pieces(build, reached)
    chance(build, reached)
    measures(build, reached)
    judge(build, reached)
    duplicates(build, reached)
    report = learn_vocabulary(build, reached)
    if report is None:
        raise ConfigError("The mix asks for no new entries; write `tokenizer: {base: ..., add: 8000, from: [SOURCE]}`.")
    return report, Path(build.loaded.tokenizer.folder)


def encode(build: Build, reached: Sequence[Reached]) -> None:
    """5. Token ids of every document in the wanted language."""
    tokenizer = build.loaded.tokenizer
    for state in reached:
        print_ = fingerprint(
            [
                state.prints["documents"], state.prints["language"], state.prints["chance"], state.source.language,
                tokens.VERSION, encoding.VERSION, language.VERSION, tokenizer.sha256, tokenizer.kind,
            ]
        )  # fmt: skip
        place(build, state, "tokens", print_)

    def job(state: Reached, part: str, *, by_reference: bool = False) -> encoding.Encode:
        return encoding.Encode(
            source=state.name,
            part=part,
            documents=state.file("documents", part),
            language=state.file("language", part),
            chance=state.file("chance", part),
            folder=state.folders["tokens"],
            wanted_language=state.source.language,
            tokenizer=tokenizer,
            by_reference=by_reference,
        )

    reports = per_part(build, "tokens", reached, job)
    if any(report.get("doubtful") for own in reports.values() for report in own):
        # The reference refuted a proof: nothing that the fast encoder gave may stand, whoever wrote it and when.
        build.observer.note(
            "The fast encoder's ids were proved and yet wrong; everything that it encoded is encoded again by the reference."
        )
        for state in reached:
            for part, report in zip(state.parts, reports[state.name], strict=True):
                if report.get("encoder") != "reference":
                    job(state, part).report.unlink()
        build.records[:] = [record for record in build.records if record.stage != "tokens"]
        reports = per_part(build, "tokens", reached, lambda state, part: job(state, part, by_reference=True))
    for sentence in sorted({report["note"] for own in reports.values() for report in own if report["note"]}):
        build.observer.note(sentence)


def allot(build: Build, reached: Sequence[Reached]) -> Allotments:
    """6. Counts and wishes into a plan, and the plan into each document's last verdict."""
    loaded = build.loaded
    mix = loaded.mix
    extra = 1 + int(mix.bos)
    wishes = tuple((state.name, wish_of(state.source)) for state in reached if not state.source.heldout)
    print_ = fingerprint(
        [
            [[s.name, s.prints["rules"], s.prints.get("duplicates"), s.prints["tokens"], str(heldout_bound(loaded, s))] for s in reached],
            [[name, plain(wish)] for name, wish in wishes], mix.budget, mix.on_shortage, mix.validation, extra,
            mixing.VERSION, allotting.VERSION,
        ]
    )  # fmt: skip
    places = {(state.name, part): mix_part(build, state, part) for state in reached for part in state.parts}
    folder = build.folder("mix", "plan", print_)
    reports = build.run(
        "mix: plan",
        [
            allotting.PlanMix(
                tuple(places.values()), wishes, mix.budget, mix.on_shortage, mix.validation > 0, extra, folder
            )
        ],
    )
    plan = reports[0]
    build.record("mix", "plan", print_, reports)
    for state in reached:
        place(build, state, "mix", print_)

    def job(state: Reached, part: str) -> allotting.Allot:
        nothing = mixing.Share(0, 0, 0, 0, 0, 0, 0, 0, 0)
        share = nothing if state.source.heldout else allotting.share_from(plan, state.name)
        chosen = plan["chosen"].get(state.name)
        row = int(chosen[1]) if chosen and chosen[0] == part else None
        steps = wish_of(state.source).steps
        return allotting.Allot(places[state.name, part], share, steps, row, extra, state.folders["mix"])

    sums = {}
    for name, own in per_part(build, "mix", reached, job).items():
        sums[name] = {
            key: summed(report[key] for report in own) for key in ("dropped", "kept", "taken", "heldout")
        }  # fmt: skip
    for state in reached:
        if state.read.documents and not sums[state.name]["kept"].get("documents"):
            dropped = summed([state.dropped, sums[state.name]["dropped"]])
            most = max(dropped, key=lambda verdict: dropped[verdict])
            state.notes.append(f"not one of its {state.read.documents:,} documents is kept; most fell as {most}.")
    if not any(own["taken"].get("tokens") for own in sums.values()):
        build.observer.note(
            "The training shards are empty: no document is left for them. The table says where all of them fell."
        )
    return Allotments(print_, plan, sums)


def mix_part(build: Build, state: Reached, part: str) -> allotting.MixPart:
    """A part of a source, as the mix reads it."""
    return allotting.MixPart(
        source=state.name,
        part=part,
        chance=state.file("chance", part),
        rules=state.file("rules", part),
        duplicates=state.file("duplicates", part) if "duplicates" in state.folders else None,
        counts=state.folders["tokens"] / f"{part}.counts.parquet",
        heldout=heldout_bound(build.loaded, state),
    )


def pack(build: Build, reached: Sequence[Reached], allotments: Allotments) -> tuple[list[dict[str, Any]], str]:
    """7. Draw, shuffle and pack, one shard a task."""
    loaded = build.loaded
    mix = loaded.mix
    total = shard_count(loaded, reached)
    held = sum(own["heldout"].get("tokens", 0) for own in allotments.sums.values())
    names = [state.name for state in reached]
    settings = [
        allotments.print, mix.seed, mix.sequence_length, mix.packing, mix.bos, total, names, loaded.tokenizer.eos_id,
        loaded.tokenizer.bos_id, packing.VERSION, shards.VERSION, loaded.tokenizer.name, loaded.tokenizer.revision,
    ]  # fmt: skip
    print_ = fingerprint(settings)
    folder = build.folder("shards", mix.name, print_)
    parts = tuple(
        shards.TokenPart(number, state.file("tokens", part), state.file("mix", part))
        for number, state in enumerate(reached)
        for part in state.parts
    )
    metadata = {
        "tokenizer": {
            "name": loaded.tokenizer.name,
            "revision": loaded.tokenizer.revision,
            "sha256": loaded.tokenizer.sha256,
        },
        "vocab_size": loaded.tokenizer.vocab_size,
        "eos_id": loaded.tokenizer.eos_id,
        "bos_id": loaded.tokenizer.bos_id if mix.bos else None,
        "sequence_length": mix.sequence_length,
        "packing": mix.packing,
        "source_names": names,
        "fingerprint": print_,
    }

    def job(split: str, index: int, of: int, epochs: int) -> shards.PackShard:
        return shards.PackShard(
            split=split,
            index=index,
            total=of,
            parts=parts,
            epochs=epochs,
            seed=mix.seed,
            sequence_length=mix.sequence_length,
            packing=mix.packing,
            eos_id=loaded.tokenizer.eos_id,
            bos_id=loaded.tokenizer.bos_id if mix.bos else None,
            wide=loaded.tokenizer.vocab_size > 65_536,
            metadata=metadata,
            folder=folder,
        )

    passes = max((share["passes"] for share in allotments.plan["shares"].values()), default=0)
    jobs = [job("train", index, total, passes) for index in range(total)]
    validation = -(-held // TOKENS_A_SHARD)
    jobs += [job("validation", index, validation, 1) for index in range(validation)]
    reports = build.run("pack", jobs)
    build.record("shards", mix.name, print_, reports)
    return reports, print_


# --------------------------------------------------------------------------------------------------------------- details


def shard_count(loaded: LoadedMix, reached: Sequence[Reached]) -> int:
    """How many training shards there will be: fixed by the mix and the bytes of its inputs, never by workers."""
    mix = loaded.mix
    if mix.shards != "auto":
        return mix.shards
    if mix.budget is not None:
        tokens_expected = mix.budget
    else:
        tokens_expected = sum(
            # Compressed text is about a quarter of itself; two bytes a token, about.
            int(file.bytes * (1 if file.name.endswith((".jsonl", ".txt", ".md")) else 4) * state.source.fraction) // 2
            for state in reached
            for file in state.files
        )
    return min(max(1, -(-tokens_expected // TOKENS_A_SHARD)), 65_536)


def list_sources(loaded: LoadedMix, work: Path) -> list[Reached]:
    """Find every source's files and take the fingerprints of their documents."""
    cache_file = work / "inputs.json"
    cache = _read_cache(cache_file)
    reached: list[Reached] = []
    for name, source in loaded.sources.items():
        resolved = located(source, loaded.folder)
        files = list_files(resolved, loaded.folder, cache)
        joined = sidecar_file(resolved, loaded.folder, cache)
        meaning = [
            resolved.kind,
            resolved.columns,
            resolved.where,
            resolved.max_document_bytes,
            joined.identity if joined else None,
        ]
        state = Reached(name, resolved, files)
        sampling = [
            str(below(source.fraction)),
            loaded.mix.seed,
            str(heldout_bound(loaded, state)),
            loaded.mix.validation_seed,
        ]
        state.prints["documents"] = fingerprint(
            [
                name, reading.VERSION, clean.VERSION, plain(source.clean), meaning,
                [[file.name, file.identity] for file in files], sampling if source.fraction < 1 else None,
            ]
        )  # fmt: skip
        reached.append(state)
    write_json(cache_file, cache)
    return reached


def _read_cache(path: Path) -> dict[str, Any]:
    try:
        cache = read_json(path)
    except (OSError, ValueError, CorpusError):
        return {}
    return cache if isinstance(cache, dict) else {}


def _build_fingerprint(loaded: LoadedMix, reached: Sequence[Reached]) -> str:
    """Everything that can change a byte of the shards or a number of the manifest."""
    settings = plain(loaded.mix)
    del settings["executor"]
    versions = [
        module.VERSION
        for module in (
            allotting, clean, clusters, decontaminate, encoding, exact, judging, language, lists, matching, measuring, minhash, mixing,
            models, packing, published, reading, repeating, repeats, rules, shards, signals, tokens, vocabularies,
            vocabulary,
        )
    ]  # fmt: skip
    return fingerprint(
        [
            settings, versions, loaded.tokenizer.sha256, loaded.tokenizer.eos_id, dict(sorted(loaded.hashes.items())),
            [[state.name, state.prints["documents"]] for state in reached],
        ]
    )  # fmt: skip


def wish_of(source: Source) -> mixing.Wish:
    """What the mix asks of a source: the part of its settings that mixing reads."""
    """What the mix asks of a source."""
    return mixing.Wish(**{name: getattr(source, name) for name in mixing.Wish.model_fields})


ALARM_DOCUMENTS, ALARM_SHARE = 100, 0.01
"""One cluster that takes so many documents of a source, and such a share of its living ones, is told by name."""


def _tell_removal(
    build: Build,
    reached: Sequence[Reached],
    spread: Mapping[str, Sequence[Mapping[str, Any]]],
    decided: Mapping[str, Any],
    unfinished: int,
) -> None:
    """Note what duplicates take of every source, warn of absurd clusters, and stop where they take more than its
    author expects.
    """
    settings = build.loaded.mix.duplicates
    assert settings is not None  # noqa: S101 - the caller checked
    largest = decided["largest"]
    build.clusters = {
        "sizes": decided["sizes"],
        "largest": largest[: matching.LARGEST],
        "members_not_fully_compared": unfinished,
    }
    if unfinished:
        build.observer.note(
            f"{unfinished:,} documents share a band with so many others that they were compared with the best of them only "
            "(`max_comparisons`); near duplicates among them may have stayed."
        )
    for state in reached:
        judged = read_json(build.work / "rules" / f"{state.name}-{state.prints['rules']}" / "record.json")
        living = judged["rows"] - sum(judged["details"]["dropped"].values())
        taken = summed(report["dropped"] for report in spread[state.name])
        removed = sum(taken.values())
        state.removal = {"living": living} | {
            kind: taken.get(f"duplicate.{kind}", 0) for kind in ("exact", "url", "near")
        }
        own = sorted(
            (cluster for cluster in largest if state.name in cluster["left"]), key=lambda one: -one["left"][state.name]
        )
        for cluster in own:
            count = cluster["left"][state.name]
            if count >= ALARM_DOCUMENTS and count > ALARM_SHARE * living:
                state.notes.append(
                    f"{_told(cluster, count)} ({count / living:.1%} of its living documents); is that a template?"
                )
                build.observer.note(f"{state.name}: {state.notes[-1]}")
        limit = state.source.max_removal if state.source.max_removal is not None else settings.max_removal
        if living and removed > limit * living:
            template = f" The largest cluster: {_told(own[0], own[0]['left'][state.name])}." if own else ""
            raise MixError(
                f"Duplicates would remove {removed:,} of the {living:,} living documents of the source `{state.name}` "
                f"({removed / living:.0%}), more than `max_removal` allows ({limit:.0%}).{template} If that is meant, give the source "
                f"`max_removal: 100%`; the verdicts lie in {build.work / 'duplicates' / (state.name + '-' + state.prints['duplicates'])}."
            )


def _told(cluster: Mapping[str, Any], count: int) -> str:
    text = " ".join(cluster["text"].split())
    return f"{count:,} documents leave for {cluster['stays']}, which begins \u201c{text}\u201d"
