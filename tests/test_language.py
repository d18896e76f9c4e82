"""Language: labels of short texts, of code-heavy Japanese, and the law that null is not another language."""

from pathlib import Path

import polars as pl
import pytest

from corpus_ja.stages import language

MODEL = str(language.default_model_path())
PROSE = "この章では、変数に値を入れて、あとから取り出す方法を説明します。名前は好きなものを選べます。"
CODE = "const response = await fetch(endpoint, { method: 'POST', headers, body: JSON.stringify(payload) });\n"


def labels(*texts: str | None) -> list[str | None]:
    return language.measure(pl.Series("text", texts, dtype=pl.String), MODEL)["language"].to_list()


def test_japanese_english_chinese_and_korean_are_told_apart() -> None:
    assert labels(
        "昨日は雨だったので、家で本を読んでいました。",
        "It rained yesterday, so I stayed at home and read a book.",
        "昨天下雨了，所以我在家里看书，晚上还给朋友写了一封很长的信。",
        "어제는 비가 와서 집에서 책을 읽었습니다.",
    ) == ["ja", "en", "zh", "ko"]


def test_a_text_without_letters_has_no_language_and_is_left_to_the_rules() -> None:
    measured = language.measure(pl.Series("text", ["", None, "12.5 | 30\n---", "😀"], dtype=pl.String), MODEL)
    assert measured["language"].to_list() == [None] * 4
    assert measured["language_score"].to_list() == [None] * 4
    assert language.judge(measured, "ja").to_list() == [None] * 4


def test_japanese_prose_between_much_code_is_japanese() -> None:
    assert labels((PROSE + "\n" + CODE * 3) * 10) == ["ja"]
    assert labels((PROSE + "\n" + CODE * 4) * 10) == ["ja"]


def test_chinese_quoting_one_japanese_word_stays_chinese() -> None:
    assert labels(
        "日语里的「の」是一个很常见的助词，相当于汉语的“的”。学习日语的人首先会遇到它，然后才会学习其他助词。" * 5
    ) == ["zh"]


def test_newlines_nul_and_a_missing_end_do_not_disturb_the_model() -> None:
    assert labels("昨日は\n雨だった\r\nので\x00家で\x0b本を\x0c読んだ。\n") == ["ja"]


def test_a_short_text_is_seen_whole_and_a_long_one_in_even_windows() -> None:
    short = "あ" * (language.WINDOWS * language.WINDOW_CHARACTERS)
    assert language.windows(pl.Series([short])).to_list() == [short]
    long = "".join(chr(0x4E00 + place) for place in range(10_000))
    size = language.WINDOW_CHARACTERS
    expected = [long[(10_000 - size) * place // (language.WINDOWS - 1) :][:size] for place in range(language.WINDOWS)]
    assert language.windows(pl.Series([long])).to_list() == [" ".join(expected)]
    assert expected[0] == long[:size]
    assert expected[-1] == long[-size:]


def test_only_another_language_is_dropped_and_only_when_one_is_wanted() -> None:
    measured = pl.DataFrame({"language": ["ja", "en", None], "language_score": [0.9, 0.9, None]})
    assert language.judge(measured, "ja").to_list() == [None, "language", None]
    assert language.judge(measured, None).to_list() == [None, None, None]


def test_rows_keep_their_order_and_types_also_when_there_are_none() -> None:
    empty = language.measure(pl.Series("text", [], dtype=pl.String), MODEL)
    assert empty.schema == {"language": pl.String, "language_score": pl.Float32}
    measured = language.measure(pl.Series("text", ["", "これは日本語です。", "", "This is English."]), MODEL)
    assert measured["language"].to_list() == [None, "ja", None, "en"]
    assert measured["language_score"][1] > 0.9


def read(path: Path) -> pl.Series:
    import io

    import zstandard

    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read()
    return pl.read_ndjson(lines, schema={"text": pl.String})["text"]


@pytest.mark.shared_data
def test_windows_give_the_label_of_the_whole_text_on_nearly_every_document(shared_data: Path) -> None:
    text = pl.concat(
        [
            read(shared_data / f"{name}.jsonl.zst").gather_every(8)
            for name in ("prose_ja/blog", "noisy/web_pages_wetlike")
        ]
    )
    text = text.str.slice(0, 30_000)
    model = language._model(MODEL)
    whole = [model.predict(one.replace("\n", " "))[0][0].removeprefix("__label__") for one in text.to_list()]
    agree = sum(one == other for one, other in zip(whole, language.measure(text, MODEL)["language"], strict=True))
    assert agree >= 0.985 * len(whole)  # a sample of 210; measured on all 15,000 documents: 0.9995


@pytest.mark.shared_data
def test_no_chinese_or_korean_document_becomes_japanese(shared_data: Path) -> None:
    for name in ("zh", "ko"):
        measured = language.measure(read(shared_data / "other" / f"{name}.jsonl.zst"), MODEL)
        assert measured.filter(pl.col("language") == "ja").is_empty()


@pytest.mark.shared_data
def test_real_technical_pages_full_of_code_are_japanese(shared_data: Path) -> None:
    text = read(shared_data / "prose_ja" / "techdocs.jsonl.zst").gather_every(5)
    assert set(language.measure(text, MODEL)["language"]) == {"ja"}
