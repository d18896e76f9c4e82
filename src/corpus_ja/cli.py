"""The command line: each command a docstring with an example and a few lines that call the rooms below.

Only typer is imported at the top; whatever a command needs is imported inside it, so `corpus-ja --help` answers at
once. A mistake of the person at the keyboard is one sentence on stderr and exit status 1; Ctrl-C is 130.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(
    name="corpus-ja",
    help="From raw Japanese and English text to packed, tokenizer-exact training shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def build(
    mix: Annotated[Path, typer.Option(help="The mix file: what to read, how to judge it, how much of it.")],
    output: Annotated[Path | None, typer.Option(help="The build folder (default: builds/NAME).")] = None,
    work: Annotated[
        Path | None, typer.Option(help="Where stages keep their files (default: work beside the build).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Tasks at once (default: the mix's, else all cores).")
    ] = None,
    executor: Annotated[
        Literal["local", "slurm", "ray"] | None, typer.Option(help="Where tasks run (default: the mix's).")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting, like budget=1B (repeatable).")
    ] = None,
) -> None:
    """Build packed training shards from a mix.

    Example: corpus-ja build --mix recipes/quickstart/mix.yaml

    Run it again after a change or an interruption: only what is new is done.
    """
    from rich.console import Console

    from corpus_ja.config import load_mix
    from corpus_ja.display import Display
    from corpus_ja.executors import open_executor
    from corpus_ja.pipeline import run
    from corpus_ja.report import print_stats

    overrides = list(set_ or [])
    if executor is not None:
        overrides.append(f"executor.kind={executor}")
    if workers is not None:
        overrides.append(f"executor.workers={workers}")
    console = Console(stderr=False)
    loaded = load_mix(mix, overrides)
    folder = output or Path("builds") / loaded.mix.name
    place = work or folder.parent / "work"
    with Display(console) as display, open_executor(loaded.mix.executor, place) as runner:
        manifest, made = run(loaded, folder, place, runner, display)
    print_stats(manifest, console)
    if not made:
        console.print(
            "Nothing to do: this build is complete, and neither its mix nor its inputs have changed.", highlight=False
        )
    console.print(f"Shards: {folder / 'shards'}", highlight=False, soft_wrap=True)


@app.command()
def plan(
    mix: Annotated[Path, typer.Option(help="The mix file.")],
    sample: Annotated[int, typer.Option(min=1, help="Documents of each source to look at.")] = 2000,
    workers: Annotated[int | None, typer.Option(help="Local processes (default: all cores).")] = None,
    work: Annotated[
        Path | None, typer.Option(help="A work folder whose list of checksums is used (default: builds/work).")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting, like budget=1B (repeatable).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say what a mix will give, from a sample, before anything long begins.

    Example: corpus-ja plan --mix recipes/quickstart/mix.yaml --set budget=1M

    Tokens with intervals, survival, epochs, which source runs dry, time, memory and disk. A mix that the build would
    refuse ends with 1.
    """
    from rich.console import Console

    from corpus_ja.config import load_mix
    from corpus_ja.display import Display
    from corpus_ja.errors import MixError
    from corpus_ja.executors import ExecutorSettings, open_executor
    from corpus_ja.planning import make_plan, print_plan

    loaded = load_mix(mix, list(set_ or []))
    local = loaded.mix.executor if loaded.mix.executor.kind == "local" else ExecutorSettings()
    if workers is not None:
        local = local.model_copy(update={"workers": workers})
    with Display(Console(stderr=True, quiet=json)) as display, open_executor(local, Path()) as runner:
        planned = make_plan(loaded, runner, display, sample, work or Path("builds") / "work")
    if json:
        _print_json(planned.as_json())
    else:
        print_plan(planned, Console())
    if planned.conflict:
        raise MixError(planned.conflict)


@app.command()
def stats(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[BUILD | BUILD BUILD | PATH]",
            help="A build (default: the newest under builds/), two builds to compare, or any file or folder of text.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    tokenizer: Annotated[
        str | None, typer.Option(help="Of a plain file or folder: count tokens with this one, a folder or a Hub id.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Of a plain file or folder: where a record's text stands.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Of a plain file or folder: documents whose language is looked at, 0 for all.")
    ] = 10_000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of a plain file or folder: local processes (default: all cores).")
    ] = None,
    check_card: Annotated[
        bool, typer.Option("--check-card", help="Ask the Hub whether it accepts the build's data card: one request.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report of a build to this one offline page.")] = None,
    lang: Annotated[
        Literal["ja", "en"] | None, typer.Option(help="The language of --html (default: the locale's).")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Of --html: the work folder of the build (default: work beside it).")
    ] = None,
) -> None:
    """Show what went in, what fell out and why, and what came out; of two builds what differs; of plain text what
    there is.

    Example: corpus-ja stats builds/quickstart --json
    """
    from rich.console import Console

    from corpus_ja.errors import ConfigError

    given = list(paths or [])
    if not given:
        given = [_newest_build()]
        typer.echo(f"{given[0]}, the newest build:", err=True)
    if len(given) > 2:
        raise ConfigError(f"stats shows one build or compares two, and {len(given)} paths were given.")
    plain = len(given) == 1 and not _is_build(given[0])
    if not plain and (tokenizer is not None or text_column is not None):
        raise ConfigError("--tokenizer and --text-column belong to plain text; a build's tokens are counted already.")
    if check_card and (plain or len(given) > 1):
        raise ConfigError("--check-card asks about the data card of one build; name the build's folder.")
    if html is not None and (plain or len(given) > 1 or json):
        raise ConfigError("--html writes the page of one build; name the build's folder, and leave --json out.")
    if html is None and (lang is not None or work is not None):
        raise ConfigError("--lang and --work belong to --html PAGE.html, which is not given.")
    if check_card:
        _check_card(given[0])
    elif html is not None:
        _write_page(given[0], html, lang, work)
    elif plain:
        _stats_of_text(given[0], tokenizer, text_column, sample, workers, as_json=json)
    elif len(given) == 2:
        _stats_of_two(given[0], given[1], as_json=json)
    else:
        from corpus_ja import report
        from corpus_ja.storage.manifest import read_manifest

        manifest = read_manifest(given[0])
        _print_json(report.stats(manifest)) if json else report.print_stats(manifest, Console())


def _write_page(build: Path, target: Path, language: Literal["ja", "en"] | None, work: Path | None) -> None:
    from corpus_ja import page
    from corpus_ja.storage.manifest import read_manifest

    size = page.write_page(read_manifest(build), build, target, language or page.default_language(), work)
    typer.echo(f"{target}: {size / 1e6:.1f} MB, one file; open it in a browser.")


def _is_build(path: Path) -> bool:
    """Whether a path is meant as a build: a folder with a manifest, one that a build writes to, or none at all."""
    from corpus_ja.storage.manifest import MANIFEST

    return not path.exists() or (path / MANIFEST).is_file() or (path / ".lock").is_file()


def _stats_of_text(
    path: Path, tokenizer: str | None, text_column: str | None, sample: int, workers: int | None, *, as_json: bool
) -> None:
    from rich.console import Console

    from corpus_ja import surveying
    from corpus_ja.display import Display

    with Display(Console(stderr=True, quiet=as_json)) as display:
        found = surveying.survey(path, tokenizer, sample, text_column, workers=workers, observer=display)
    _print_json(surveying.as_json(found)) if as_json else surveying.print_survey(found, Console())


def _stats_of_two(first: Path, second: Path, *, as_json: bool) -> None:
    from rich.console import Console

    from corpus_ja import differences
    from corpus_ja.storage.manifest import read_manifest

    found = differences.compare_builds(read_manifest(first), read_manifest(second))
    if as_json:
        _print_json(differences.as_json(found))
    else:
        differences.print_differences(found, Console(), (str(first), str(second)))


def _check_card(build: Path) -> None:
    from corpus_ja import datacard

    complaint = datacard.ask_hub(datacard.read_card(build))
    if complaint is not None:
        from corpus_ja.errors import ManifestError

        raise ManifestError(f"The Hub does not accept {build / datacard.CARD}: {complaint}")
    typer.echo(f"The Hub accepts {build / datacard.CARD}.")


@app.command()
def samples(
    build: Annotated[Path | None, typer.Argument(help="A build folder (default: the newest under builds/).")] = None,
    dropped_by: Annotated[
        str | None, typer.Option(help="Those with this verdict: RULE, SET.RULE, language, duplicate, unreadable, ...")
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Those that were kept.")] = False,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many documents.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Another number, other documents.")] = 0,
    characters: Annotated[int, typer.Option(min=1, help="Characters of a document that are shown.")] = 4000,
    work: Annotated[Path | None, typer.Option(help="The work folder of the build (default: work beside it).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Read documents of a build, each with the reason why it was dropped and the offending part marked.

    Example: corpus-ja samples builds/quickstart --dropped-by too_short -n 3

    Without --dropped-by and --kept, one document of every verdict in turn. The same seed shows the same documents.
    """
    from rich.console import Console

    from corpus_ja.samples import as_json, print_samples, read_samples, work_of
    from corpus_ja.storage.manifest import read_manifest

    place = build or _newest_build()
    if build is None:
        typer.echo(f"{place}, the newest build:", err=True)
    chosen = read_samples(
        read_manifest(place),
        work_of(place, work),
        dropped_by=dropped_by,
        kept=kept,
        source=source,
        n=number,
        seed=seed,
        characters=characters,
    )
    if json:
        _print_json([as_json(one) for one in chosen])
    elif chosen:
        print_samples(chosen, Console())
    else:
        typer.echo("There is no such document in this build.")


@app.command()
def verify(build: Annotated[Path, typer.Argument(help="A build folder.")]) -> None:
    """Check a build: every checksum, every count, and that every document is whole.

    Example: corpus-ja verify builds/quickstart
    """
    from corpus_ja.verification import check

    faults = check(build)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(1)
    typer.echo(f"{build} is whole: checksums, counts and documents agree with its manifest.")


@app.command()
def export(
    build: Annotated[Path, typer.Argument(help="A build folder.")],
    kept: Annotated[
        Path | None, typer.Option(help="Write the cleaned text of kept documents into this folder.")
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="Write every document's verdict and signals to this .parquet or .jsonl file.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="Of --kept: parquet or jsonl.zst.")] = "parquet",
    work: Annotated[Path | None, typer.Option(help="The work folder of the build (default: work beside it).")] = None,
) -> None:
    """Write a build's documents out: the kept texts, or what became of each and why.

    Example: corpus-ja export builds/quickstart --verdicts verdicts.parquet
    """
    from corpus_ja.errors import ConfigError
    from corpus_ja.exports import export_kept, export_verdicts

    if (kept is None) == (verdicts is None):
        raise ConfigError("export writes one thing at a time: name either --kept DIR or --verdicts FILE.")
    if kept is not None:
        if form not in {"parquet", "jsonl.zst"}:
            raise ConfigError(f"--format {form} is not known; it is parquet or jsonl.zst.")
        count = export_kept(build, work, kept, "parquet" if form == "parquet" else "jsonl.zst")
        typer.echo(f"{count:,} kept documents written to {kept}.")
    elif verdicts is not None:
        if verdicts.suffix not in {".parquet", ".jsonl"}:
            raise ConfigError(f"--verdicts {verdicts}: end the name in .parquet or .jsonl.")
        typer.echo(f"{export_verdicts(build, work, verdicts):,} verdicts written to {verdicts}.")


@app.command()
def explain(
    mix: Annotated[Path, typer.Option(help="The mix file whose cleaning and rules are asked.")],
    document: Annotated[str | None, typer.Argument(help="A text file, or - for standard input.")] = None,
    source: Annotated[
        str | None, typer.Option(help="As a document of this source (default: the mix's first, or the id's).")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="A document of a source, by its id: SOURCE/ID.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a setting of the mix (repeatable).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show every signal and every rule with value, limit and verdict, for one document.

    Example: corpus-ja explain --mix recipes/quickstart/mix.yaml page.txt
    """
    from rich.console import Console

    from corpus_ja import explaining
    from corpus_ja.config import load_mix
    from corpus_ja.errors import ConfigError

    if (document is None) == (id_ is None):
        raise ConfigError("explain looks at one document: name a text file, - for standard input, or --id SOURCE/ID.")
    loaded = load_mix(mix, list(set_ or []))
    _check_source(source, list(loaded.sources))
    if id_ is not None:
        name, frame = explaining.find(loaded, id_, source)
    else:
        name = source or next(iter(loaded.sources))
        frame = explaining.given_text(explaining.text_of(str(document), sys.stdin.buffer))
    explanation = explaining.explain(loaded, name, frame)
    if json:
        _print_json(explaining.as_json(explanation))
    else:
        explaining.print_explanation(explanation, Console())


@app.command()
def compare(
    mix: Annotated[Path, typer.Option(help="The mix file whose sources the rule sets are tried on.")],
    filters: Annotated[str, typer.Option(help="Rule sets, shipped names or paths, with commas between them.")],
    sample: Annotated[int, typer.Option(min=1, help="Documents of every source.")] = 1000,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Documents to show for every two sets that part.")] = 2,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a setting of the mix (repeatable).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Try rule sets on the same documents: what each keeps, where they agree, examples where they part.

    Example: corpus-ja compare --mix recipes/quickstart/mix.yaml --filters corpus_ja,wikipedia_ja
    """
    from rich.console import Console

    from corpus_ja import comparing
    from corpus_ja.config import load_mix

    loaded = load_mix(mix, list(set_ or []))
    _check_source(source, list(loaded.sources))
    names = [name.strip() for name in filters.split(",") if name.strip()]
    comparison = comparing.compare(loaded, names, sample, source, examples)
    if json:
        _print_json(comparing.as_json(comparison))
    else:
        comparing.print_comparison(comparison, Console())


@app.command()
def vocab(
    mix: Annotated[Path, typer.Option(help="The mix file; its tokenizer says base, add and from.")],
    output: Annotated[Path, typer.Option(help="The folder to write the tokenizer to.")],
    work: Annotated[
        Path, typer.Option(help="Where the stages before it keep their results, shared with builds.")
    ] = Path("builds") / "work",
    workers: Annotated[int | None, typer.Option(help="Local processes (default: all cores).")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting, like tokenizer.add=4000 (repeatable).")
    ] = None,
) -> None:
    """Extend a tokenizer by what a mix's kept text teaches, and write it alone.

    Example: corpus-ja vocab --mix mix.yaml --set 'tokenizer={base: gpt2, add: 8000, from: [wikipedia_ja]}' --output
    gpt2-ja

    The folder loads with AutoTokenizer; report.json says what it saves. A build of the same mix uses the same one.
    """
    from rich.console import Console

    from corpus_ja.config import load_mix
    from corpus_ja.display import Display
    from corpus_ja.executors import open_executor
    from corpus_ja.pipeline import vocabulary_alone
    from corpus_ja.storage.shards import write_json
    from corpus_ja.storage.tokenizers import copy_tokenizer

    loaded = load_mix(mix, [*(set_ or []), *([f"executor.workers={workers}"] if workers is not None else [])])
    console = Console()
    with Display(console) as display, open_executor(loaded.mix.executor, work) as runner:
        report, folder = vocabulary_alone(loaded, work, runner, display)
    copy_tokenizer(folder, output)
    write_json(output / "report.json", {key: report[key] for key in ("entries", "learned", "sources")})
    console.print(f"{report['entries']:,} entries, {report['learned']:,} of them new: {output}", highlight=False)


@app.command()
def clean(
    builds: Annotated[Path, typer.Option(help="The folder of builds whose manifests say what is in use.")] = Path(
        "builds"
    ),
    work: Annotated[Path | None, typer.Option(help="The work folder to clean (default: work in that folder).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove from the work folder what no build's manifest names.

    Example: corpus-ja clean --dry-run
    """
    from corpus_ja.publishing import remove_unused

    removed = remove_unused(builds, work or builds / "work", dry_run=dry_run)
    verb = "would be removed" if dry_run else "removed"
    for path, size in removed:
        typer.echo(f"{path}: {size / 1e6:,.1f} MB {verb}")
    typer.echo(f"{len(removed):,} folders, {sum(size for _, size in removed) / 1e6:,.1f} MB {verb}.")


def _check_source(source: str | None, known: list[str]) -> None:
    from corpus_ja.errors import ConfigError

    if source is not None and source not in known:
        raise ConfigError(f"--source {source}: the mix has no such source; it has: {', '.join(known)}.")


def _newest_build() -> Path:
    from corpus_ja.errors import ManifestError
    from corpus_ja.storage.manifest import MANIFEST

    found = sorted(Path("builds").glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ManifestError("There is no build under builds/; name one, or run corpus-ja build first.")
    return found[-1].parent


def _print_json(value: Any) -> None:  # noqa: ANN401 - JSON is anything
    import json

    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


INTERRUPTED = 130


def main() -> None:
    """Run the command line; a mistake is a sentence, never a traceback."""
    from corpus_ja.errors import CorpusError

    try:
        app()
    except CorpusError as error:
        _fail(str(error), getattr(error, "details", ""))
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer takes Ctrl-C itself and says nothing
            _stopped()
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(_of_the_system(error))


def _stopped() -> None:
    typer.echo("\ncorpus-ja: stopped; run the same command again to go on where it was.", err=True)
    sys.exit(INTERRUPTED)


def _of_the_system(error: OSError) -> str:
    """The sentence for what the operating system refused; errors that name no file or device are ours, and are raised
    again.
    """
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"No space left for {error.filename or 'a file'}: free space and run the same command again; nothing finished is lost."
    if error.filename is None:
        raise error
    reason = (error.strerror or "it cannot be opened").lower()
    return f"{error.filename} cannot be written or read: {reason}. Check the path and its permissions, or name another one."


def _fail(sentence: str, details: str = "") -> None:
    printable = "".join(
        c if c.isprintable() or c == "\u3000" else c.encode("unicode_escape").decode() for c in sentence
    )
    typer.echo(f"corpus-ja: {printable}", err=True)
    if details and os.environ.get("CORPUS_JA_DEBUG"):
        typer.echo(details, err=True)
    elif details:
        typer.echo("(CORPUS_JA_DEBUG=1 shows where it happened.)", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
