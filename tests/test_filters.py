"""The shipped rule files: they parse, their examples behave, and real text is kept or falls as promised."""

import io
from functools import cache
from pathlib import Path

import polars as pl
import pytest
import zstandard

from corpus_ja import filter_table
from corpus_ja.stages import clean, language, rules, signals

FILTERS = Path(__file__).resolve().parents[1] / "filters"
NAMES = sorted(path.stem for path in FILTERS.glob("*.yaml"))


@cache
def rule_set(name: str) -> rules.RuleSet:
    path = FILTERS / f"{name}.yaml"
    return rules.parse_rule_set(name, f"filters/{name}.yaml", path.read_text(encoding="utf-8"))


def verdicts(text: pl.Series, wanted: str, *names: str) -> pl.Series:
    """Language, then the rules, as the pipeline orders them; null is kept."""
    cleaned = clean.clean(text, clean.Clean())
    spoken = language.judge(language.measure(cleaned, str(language.default_model_path())), wanted)
    judged = rules.judge(signals.measure(pl.DataFrame({"text": cleaned}), wanted), [rule_set(name) for name in names])
    return (
        pl.DataFrame({"language": spoken, "rule": judged["dropped_by"]})
        .select(pl.coalesce("language", "rule"))
        .to_series()
    )


def read(path: Path, *, every: int = 1) -> pl.Series:
    """Every n-th document of more than 400 characters."""
    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read()
    text = pl.read_ndjson(lines, schema={"text": pl.String})["text"].gather_every(every)
    return text.filter(text.str.len_chars() > 400)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_is_its_own_test(name: str) -> None:
    assert rules.check_examples(rule_set(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_says_where_the_file_comes_from_and_every_rule_says_where_its_limit_does(name: str) -> None:
    content = (FILTERS / f"{name}.yaml").read_text(encoding="utf-8")
    head = content[: content.index("description:")]
    assert "corpus-ja, MIT" in head
    assert head.startswith("# Written for corpus-ja, MIT.") == (name in filter_table.OURS)
    for rule in rule_set(name).rules:
        assert "(" in rule.why, rule.name
    assert rule_set(name).language == ("en" if name.endswith("_en") else "ja")


def test_the_table_of_all_rules_is_the_one_the_files_make() -> None:
    written = (FILTERS / "README.md").read_text(encoding="utf-8")
    assert written == filter_table.table(FILTERS), "run `python -m corpus_ja.filter_table`"
    assert {*filter_table.OURS} <= {*NAMES}


def test_the_table_says_every_rule_with_every_limit() -> None:
    written = (FILTERS / "README.md").read_text(encoding="utf-8")
    rows = [
        line
        for line in written.splitlines()
        if line.startswith("| ") and line.count(" | ") >= 3 and "`" in line.split(" | ")[1]
    ]
    assert len(rows) == sum(len(rule_set(name).rules) for name in NAMES)
    assert "| hiragana | `swallow_hiragana_share` | ≥ 0.2 |" in written
    assert "| ng_words | `words_swallow_ng_words_of_japanese` | < 0.05; needs `swallow_ng_words` |" in written


@pytest.mark.parametrize("name", [path.stem for path in sorted(FILTERS.glob("*.yaml"))])
def test_every_file_in_filters_is_a_rule_file(name: str) -> None:
    assert rule_set(name).rules


# Kept shares over whole files, measured: see docs/decisions.md. Here a part of each, so one document weighs more.
@pytest.mark.shared_data
@pytest.mark.parametrize(
    "file", ["aozora", "techdocs", "wikipedia_jaquad", "blog", "news", "dialogue", "living", "law"]
)
def test_good_japanese_is_kept(shared_data: Path, file: str) -> None:
    text = read(shared_data / "prose_ja" / f"{file}.jsonl.zst", every=3 if file != "aozora" else 6)
    dropped = verdicts(text, "ja", "corpus_ja").drop_nulls()
    assert len(dropped) <= 0.025 * len(text), dropped.value_counts(sort=True).rows()


@pytest.mark.shared_data
@pytest.mark.parametrize("file", ["standardebooks", "techdocs"])
def test_good_english_is_kept(shared_data: Path, file: str) -> None:
    text = read(shared_data / "prose_en" / f"{file}.jsonl.zst", every=5)
    dropped = verdicts(text, "en", "corpus_en").drop_nulls()
    assert len(dropped) <= 0.025 * len(text), dropped.value_counts(sort=True).rows()


@pytest.mark.shared_data
def test_articles_are_kept_by_the_wikipedia_set(shared_data: Path) -> None:
    text = read(shared_data / "prose_ja" / "wikipedia_jaquad.jsonl.zst", every=3)
    assert verdicts(text, "ja", "wikipedia_ja").null_count() == len(text)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["zh", "ko"])
def test_other_languages_fall_as_language(shared_data: Path, name: str) -> None:
    text = read(shared_data / "other" / f"{name}.jsonl.zst")
    assert set(verdicts(text, "ja", "corpus_ja")) == {"language"}


@pytest.mark.shared_data
def test_good_japanese_in_the_wrong_encoding_falls(shared_data: Path) -> None:
    good = read(shared_data / "prose_ja" / "blog.jsonl.zst", every=20).to_list()
    broken = []
    for text in good:
        utf8, sjis, euc = text.encode(), text.encode("cp932", "ignore"), text.encode("euc_jp", "ignore")
        broken += [
            utf8.decode("latin-1"),
            utf8.decode("cp1252", "replace"),
            utf8.decode("cp932", "replace"),
            utf8.decode("cp932", "ignore"),
        ]
        broken += [
            sjis.decode("utf-8", "replace"),
            sjis.decode("latin-1"),
            euc.decode("latin-1"),
            euc.decode("utf-8", "replace"),
        ]
        broken += [utf8.decode("gbk", "ignore"), sjis.decode("gbk", "ignore"), euc.decode("gbk", "ignore")]
        broken += [euc.decode("cp932", "ignore"), euc.decode("big5", "ignore"), utf8.decode("big5", "ignore")]
        broken += [text.encode("iso2022_jp", "ignore").decode().replace("\x1b", "")]
        broken.append(text[: len(text) // 2] + utf8.decode("latin-1")[: len(utf8) // 2])
    judged = verdicts(pl.Series("text", broken), "ja", "corpus_ja")
    assert judged.null_count() == 0


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("written", "taken"),
    [
        *(("utf-8", "latin-1"), ("utf-8", "cp1252"), ("utf-8", "cp932"), ("utf-8", "gbk"), ("cp932", "latin-1")),
        *(("cp932", "cp1252"), ("cp932", "gbk"), ("euc_jp", "latin-1"), ("euc_jp", "cp932"), ("iso2022_jp", "ascii")),
    ],
)
def test_a_quarter_of_a_good_page_in_the_wrong_encoding_makes_it_fall(
    shared_data: Path, written: str, taken: str
) -> None:
    broken = []
    for text in read(shared_data / "prose_ja" / "blog.jsonl.zst", every=20):
        start, end = len(text) // 2, len(text) * 3 // 4
        garbled = text[start:end].encode(written, "ignore").decode(taken, "replace").replace("\x1b", "")
        broken.append(f"{text[:start]}\n{garbled}\n{text[end:]}")
    assert verdicts(pl.Series("text", broken), "ja", "corpus_ja").null_count() <= 0.05 * len(broken)


@pytest.mark.shared_data
def test_fragments_of_good_text_fall(shared_data: Path) -> None:
    good = read(shared_data / "prose_ja" / "news.jsonl.zst", every=20)
    assert verdicts(good.str.slice(0, 90), "ja", "corpus_ja").null_count() == 0


@pytest.mark.shared_data
def test_a_sentence_said_again_and_again_falls(shared_data: Path) -> None:
    good = read(shared_data / "prose_ja" / "news.jsonl.zst", every=20).str.slice(0, 120)
    assert verdicts(pl.Series("text", [text * 8 for text in good]), "ja", "corpus_ja").null_count() == 0


# ------------------------------------------------------------------------------------------- fluent text from templates

TOWNS = ("白浜町", "若葉台", "みどり市", "藤ヶ丘", "北山村", "さくら町", "港南区", "旭ヶ丘", "川西市", "いずみ野")
THINGS = ("水筒", "かばん", "まくら", "傘", "炊飯器", "クッション", "腕時計", "毛布", "やかん", "電気毛布")
VIRTUES = (
    "軽さ",
    "丈夫さ",
    "手ざわり",
    "色の豊富さ",
    "安さ",
    "温かさ",
    "静かさ",
    "使い心地",
    "見た目",
    "手入れのしやすさ",
)


def filled(template: str, *slots: tuple[str, ...]) -> str:
    return "\n".join(template.format(*values) for values in zip(*slots, strict=True))


def templated() -> dict[str, str]:
    """One document of each way to make much text from little; every sentence could stand in a good page."""
    town, thing = TOWNS[0], "保冷バッグ"
    stuffed = (
        "{0}をご存じですか。{0}は古くから多くの人に親しまれてきました。{0}には、思いのほか多くの種類があります。"
        "{0}を選ぶときは、まず使う場面を考えることが大切です。近ごろは{0}を贈り物にする方も増えています。"
        "{0}の手入れは、乾いた布で拭くだけで十分です。{0}を長く使うには、日の当たらない場所にしまいましょう。"
        "{0}があれば、毎日の暮らしがもっと楽しくなります。{0}に興味のある方は、ぜひ一度試してみてください。"
        "{0}との出会いが、あなたの生活を変えるかもしれません。"
    )
    pitch = (
        "失敗しない{0}の選び方を、初心者の方にもわかりやすく紹介します。どれを買えばよいか迷っている方は、ぜひ参考にしてください。"
        "いま一番のおすすめは、口コミで高評価を集めているこちらの品です。手軽に使えるうえ、ほかの品より軽いのが魅力です。"
        "公式サイトから申し込むと、初回限定の特典がつきます。数に限りがありますので、お早めにご検討ください。"
        "合わなければ全額返金されるので安心です。気になる方は、この機会にチェックしてみてはいかがでしょうか。"
    )
    return {
        "towns": filled("{0}で庭木の手入れを頼むなら、{0}造園がよいでしょう。{0}造園は{0}の隅々まで伺い、{1}にもこだわります。", TOWNS, VIRTUES),
        "things": filled("{0}の良さは、なんといっても{1}にあります。{0}を買った人の多くが{1}をほめています。値段は{2}円ほどです。", THINGS, VIRTUES, tuple(str(900 + 35 * n) for n in range(10))),
        "news": filled("{0}は先月、{1}の売り上げを発表した。{0}によれば{1}は前の年より{2}割増えたという。今後も{1}の動きに注目が集まりそうだ。", TOWNS, THINGS, tuple("一二三四五六七八九十")),
        "questions": filled("{0}は洗えますか。はい、{0}は水で洗えます。{0}で人気なのは{1}です。", THINGS, VIRTUES),
        "stuffed": stuffed.format(thing) + "\n" + stuffed.format(thing).replace("ましょう", "てください"),
        "stuffed, not polite": "\n".join(
            f"{town}{said}" for said in (
                "の歴史は古い。", "が町になったのは明治の初めである。", "には川が二本流れている。", "の人口はこの十年でやや減った。",
                "の名物として知られるのは豆腐である。", "を訪れる人は春に多い。", "へは鉄道とバスの便がある。", "の冬は長く、雪が深い。",
                "では毎年秋に市が立つ。", "に残る古い蔵は、いまも酒を造っている。", "を愛した詩人がいる。", "の夜は静かで、星がよく見える。",
            )
        ),
        "pitch": pitch.format(thing),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(templated()))
def test_fluent_text_that_was_made_from_a_template_falls(kind: str) -> None:
    text = templated()[kind]
    names = [rule for rules_ in verdicts_of(text) for rule in rules_]
    made = {"worded_like_spam", "same_frames", "same_clauses", "one_term_everywhere", "made_from_a_template"}
    assert made & {name.removeprefix("corpus_ja.") for name in names}, names


def verdicts_of(text: str) -> list[list[str]]:
    """All rules of the Japanese default that a text breaks."""
    judged = rules.judge(signals.measure(pl.DataFrame({"text": [text]}), "ja"), [rule_set("corpus_ja")])
    return judged["broken"].to_list()
