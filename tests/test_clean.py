"""Cleaning: against an independent reference written with the standard library, and against Unicode itself."""

import re
import sys
import time
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_ja.stages import clean as stage
from corpus_ja.stages.clean import Clean, clean, clean_counted, trim_menus

REMOVED = {*range(0x20), *range(0x7F, 0xA0)} - {9, 10} | {0xAD, 0x200B, 0xFEFF, 0xFFFE, 0xFFFF}
REMOVED |= {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
AWKWARD = "あがか\u3099は\u309aabé e\u0301漢字。」 \t\u3000\n\n\r\x00\x0b\x0c\x1b\x85"
AWKWARD += "\u2028\ufeff\u200b\u200d\ufe0f\u202e①㍿ﾊﾟ👩‍👩‍👧神\u1100\u1161"
texts = st.text(st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"])), max_size=60)


def reference(text: str, form: str = "NFC") -> str:
    text = re.sub("\r\n?|[\x0b\x0c\u2028\u2029]", "\n", text)
    text = "".join(character for character in text if ord(character) not in REMOVED)
    if form != "none":
        text = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    spaces = "\t" + "".join(chr(point) for point in range(0x3001) if unicodedata.category(chr(point)) == "Zs")
    lines = [line.rstrip(spaces) for line in text.split("\n")]
    kept: list[str] = []
    for line in lines:
        if line or kept[-2:] != ["", ""]:
            kept.append(line)
    while kept and not kept[0]:
        del kept[0]
    while kept and not kept[-1]:
        del kept[-1]
    return "\n".join(kept)


def one(text: str, **options: object) -> str:
    cleaned = clean(pl.Series("text", [text]), Clean.model_validate(options))[0]
    assert isinstance(cleaned, str)
    return cleaned


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from(["NFC", "NFKC", "none"]))
def test_cleaning_is_what_the_plain_reference_says_and_a_second_time_changes_nothing(
    rows: list[str], form: str
) -> None:
    chosen = Clean.model_validate({"unicode": form})
    cleaned = clean(pl.Series("text", rows), chosen)
    assert cleaned.to_list() == [reference(row, form) for row in rows]
    assert clean(cleaned, chosen).to_list() == cleaned.to_list()


def test_every_character_that_nfc_can_change_is_seen_by_the_fast_path() -> None:
    changing = set()
    for point in range(sys.maxunicode + 1):
        if 0xD800 <= point <= 0xDFFF:
            continue
        character = chr(point)
        normal = unicodedata.normalize("NFC", character)
        if normal != character:
            changing.add(character)
        parts = unicodedata.normalize("NFD", character)
        if len(parts) > 1 and normal == character:
            changing.update(parts[1:])  # the second half of a pair that NFC joins
        if unicodedata.combining(character):
            changing.add(character)
    hangul = {character for character in changing if 0x1100 <= ord(character) <= 0x11FF}
    assert hangul
    frame = pl.DataFrame({"text": sorted(changing)})
    missed = frame.filter(~pl.col("text").str.contains(rf"[{stage._NOT_NFC}]"))["text"].to_list()
    assert missed == []


def test_nfkc_is_a_choice_and_never_silent() -> None:
    assert one("①㍿ＡＢＣ ﾊﾟﾝ") == "①㍿ＡＢＣ ﾊﾟﾝ"
    assert one("①㍿ＡＢＣ ﾊﾟﾝ", unicode="NFKC") == "1株式会社ABC パン"


def test_voicing_marks_join_their_kana_and_are_never_lost() -> None:
    assert one("か\u3099き\u3099は\u309a東京カ\u3099ス") == "がぎぱ東京ガス"


def test_indentation_tables_code_and_emoji_stay() -> None:
    text = "　　空の下\n\tdef f():\n\t    return {}\n| a  |  b |\n👩‍👩‍👧 ❤️ می‌خواهم"
    assert one(text) == text


def test_windows_lines_nul_and_invisible_marks_go() -> None:
    assert one("\ufeff一行目 \r\n二\x00行\u200b目\r三行目\u202e\n") == "一行目\n二行目\n三行目"


def test_null_stays_null_and_the_name_stays() -> None:
    cleaned = clean(pl.Series("body", ["a ", None, ""]), Clean(menus=True, mask_pii=True))
    assert cleaned.name == "body"
    assert cleaned.to_list() == ["a", None, ""]


@pytest.mark.parametrize("unit", ["\n", " ", "　\n", "\r\n", "か\u3099", " \nx"])
def test_time_is_linear_in_one_thing_repeated(unit: str) -> None:
    def seconds(times: int) -> float:
        text = pl.Series("text", ["あ" + unit * times + "。"])
        started = time.perf_counter()
        clean(text, Clean())
        return time.perf_counter() - started

    seconds(1000)
    short, long = seconds(100_000), seconds(1_000_000)
    assert long < 2 + 40 * short  # quadratic would be a hundred times


def test_ten_million_newlines_become_two_blank_lines_in_seconds() -> None:
    started = time.perf_counter()
    assert one("上" + "\n" * 10_000_000 + "下") == "上\n\n\n下"
    assert time.perf_counter() - started < 10


def test_addresses_and_telephone_numbers_are_masked_only_by_choice() -> None:
    text = "連絡は taro.yamada@mail.example または 03-1234-5678、090-0000-1111 まで。2020-10-03 の版 1-2-3。"
    assert one(text) == text
    masked = one(text, mask_pii=True)
    assert masked == "連絡は xxxx@example.com または 03-1234-XXXX、090-0000-XXXX まで。2020-10-03 の版 1-2-3。"


PROSE = "能登の塩田では、夜明け前から海水を汲み上げる。\n\n浜に撒かれた水は、日が昇るとともに白く乾いていく。"


def test_menus_around_good_prose_are_trimmed_and_the_title_stays() -> None:
    page = "海辺の手帖\nトップ\n会社概要\nお問い合わせ\nホーム > 旅 > 能登\n塩をつくる人\n" + PROSE
    page += "\n前の記事\n次の記事\nプライバシーポリシー\n© 海辺の手帖"
    assert trim_menus(page) == "海辺の手帖\n塩をつくる人\n" + PROSE


def test_a_row_of_entries_a_side_bar_and_the_sentences_of_a_footer_are_trimmed_too() -> None:
    page = "メニューを開く ホーム 店舗一覧 ご利用ガイド お問い合わせ よくある質問 採用情報 カートを見る ログイン English 中文 閉じる 特定商取引法に基づく表記\n"
    page += (
        "塩をつくる人\n"
        + PROSE
        + "\nこの記事が気に入ったらいいね!しよう\n最新情報をお届けします\nFacebookでシェア\n関連記事\n"
    )
    page += "潮風が変わる?海辺の最新事情\n漁港、過去最多に 専門家「黒潮の影響も」\n"
    page += "カテゴリー 釣り(23) 料理(9) 旅(14) 温泉(68) 工芸(18) 港(56) 祭り(57) 船(63) 灯台と岬の散歩(79) 春(64)\n"
    page += "このサイトに掲載されている記事・写真の無断転載を禁じます。\nPAGE TOP"
    assert trim_menus(page) == "塩をつくる人\n" + PROSE


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "アーカイブの作成\n\nアーカイブの作成: 導入\n\n" + PROSE,
        "カテゴリの定数\n" + "名\n値\n" * 6 + "カテゴリの終わり\n" + PROSE,
        PROSE + "\nスタートメニューから接続を起動します\nサーバーにログインします",
        "塩をつくる人\n\n" + PROSE + "\n\nおわり",
        "「おはよう」\n「早いね」\n" + PROSE + "\n「ログインしたの？」\n「お問い合わせが来てね」",
        "import menu\nhome = search()\n" + PROSE + "\nprint(login);\nregister(tags);",
        "| メニュー | 値段 | 備考 |\n| 検索 | 100 | なし |\n" + PROSE,
        "ホーム\nログイン\nサイトマップ",  # no prose at all: not ours to judge
        PROSE + "\n" + "ログイン\n" * 200 + "お問い合わせ",  # too long for a footer
    ],
)
def test_dialogue_code_tables_and_unclear_ends_are_left_alone(text: str) -> None:
    assert trim_menus(text) == text


def test_menu_lines_in_the_middle_are_never_touched() -> None:
    text = PROSE + "\nログイン\nサイトマップ\nお問い合わせ\n" + PROSE
    assert trim_menus(text) == text


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["ログイン", "トップ", "", PROSE, "題", "「はい」", "x = 1;", "a > b > c", "© x"]), max_size=12
    )
)
def test_trimming_only_removes_lines_and_keeps_all_prose(lines: list[str]) -> None:
    text = "\n".join(lines)
    trimmed = trim_menus(text)
    rest = iter(text.split("\n"))
    assert all(line in rest for line in trimmed.split("\n"))  # a subsequence of the lines
    assert trimmed.count(PROSE) == text.count(PROSE)


# ----------------------------------------------------------------------------------------------------------- by choice

EVERYTHING = Clean(urls=True, wikipedia=True, menus=True, repeated_lines=True, punctuation="minority", mask_pii=True)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("詳しくはhttps://example.com/a_(b)を参照。", "詳しくはを参照。"),
        ("例（https://example.com/）です。", "例です。"),
        ("例（https://example.com/a）。b", "例。b"),
        ("[入門](https://example.com/x)を読む。", "入門を読む。"),
        ("前\nhttps://example.com/\n- URL: www.example.jp/x\n後", "前\n後"),
        ("文の終わりはhttp://example.com/x.", "文の終わりは."),
        ("版は1.2.3、www とだけ書く。", "版は1.2.3、www とだけ書く。"),
    ],
)
def test_addresses_go_with_their_brackets_and_the_lines_that_were_nothing_else(text: str, left: str) -> None:
    assert one(text) == text
    assert one(text, urls=True) == left


@pytest.mark.parametrize(
    "text",
    [
        "```\ncurl https://example.com/x\n```",
        "    page = get('https://example.com')",
        "$ wget https://example.com/x.tar.gz",
        'let page = fetch("https://example.com");',
        "| 名 | https://example.com |",
        "名\thttps://example.com\t3",
    ],
)
def test_code_and_tables_keep_their_addresses(text: str) -> None:
    assert one(f"前。\n{text}", urls=True) == f"前。\n{text}"


ARTICLE = "東京（、とうきょう）は日本の首都（）である。川（多摩川、）がある。\n\n" + PROSE


def test_an_article_ends_before_its_notes_and_what_furigana_left_is_mended() -> None:
    text = ARTICLE + "\n\n脚注\n[1] 東京の本。\n関連項目\n江戸\n外部リンク\n公式"
    cut = one(text, wikipedia=True)
    assert cut == "東京（とうきょう）は日本の首都である。川（多摩川）がある。\n\n" + PROSE
    assert one(text.replace("脚注", "== 脚注 =="), wikipedia=True) == cut
    assert one("A city.\n\nSee also\n\nOther city", wikipedia=True) == "A city."


@pytest.mark.parametrize(
    "text",
    [
        "参照\n" + PROSE,  # a heading at the very top belongs to no article
        "序文である。\n注釈\n" + PROSE + "\n" + PROSE,  # more than half of the text follows, and it is prose
        "脚注という語を文の中で使い、出典を示す。",
        "関数f()と(a, b)を呼ぶ。f( , x)は誤り。",
        "（笑）、（注）",
    ],
)
def test_articles_that_only_seem_to_end_and_calls_in_code_are_left_alone(text: str) -> None:
    assert one(text, wikipedia=True) == text


def test_menu_lines_that_stand_three_times_go_and_refrains_dialogue_and_twice_said_lines_stay() -> None:
    entries = "\n".join(f"{n}日目の記録をここに書いておく。\n続きを読む\nトラックバック(0)" for n in range(3))
    assert one(entries, repeated_lines=True) == "\n".join(f"{n}日目の記録をここに書いておく。" for n in range(3))
    for text in (
        "ねんねんころりよ\n" * 4 + "おころりよ",
        "「続きを読むの？」\n" * 3 + "と聞いた。",
        "    続きを読む();\n" * 3 + "終わり",
        "続きを読む\n" * 2 + "終わり",
        "第一条　削除\n" * 5 + "附則",
    ):
        assert one(text, repeated_lines=True) == text.rstrip("\n")


@pytest.mark.parametrize(
    ("text", "mode", "left"),
    [
        ("今日は、晴れ、時々，曇り。風は弱い．", "minority", "今日は、晴れ、時々、曇り。風は弱い．"),
        ("今日は、晴れ、時々，曇り。風は弱い．海は凪。", "minority", "今日は、晴れ、時々、曇り。風は弱い。海は凪。"),
        ("本論文では，手法を述べる．結果は，良い．", "minority", "本論文では，手法を述べる．結果は，良い．"),
        ("本論文では，手法を述べる．結果は，良い．", "majority", "本論文では、手法を述べる。結果は、良い。"),
        ("今日は、晴れ、時々，曇り。", "majority", "今日は、晴れ、時々，曇り。"),
        ("値は１，０００円と３．１４、Ａ，Ｂ．", "always", "値は１，０００円と３．１４、Ａ，Ｂ．"),
        ("（例），「はい」．", "always", "（例）、「はい」。"),
        ("ファイル.txt, 値.", "always", "ファイル.txt, 値."),
    ],
)
def test_western_punctuation_is_turned_where_the_mode_says_so(text: str, mode: str, left: str) -> None:
    assert one(text) == text
    assert one(text, punctuation=mode) == left


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("電話03-1234-5678まで", "電話03-1234-XXXXまで"),
        ("（03）1234-5678", "（03）1234-XXXX"),
        ("０９０－１２３４－５６７８", "０９０－１２３４－XXXX"),
        ("09012345678へ", "0901234XXXXへ"),
        ("0120-444-444", "0120-444-XXX"),
        ("+81-3-1234-5678", "+81-3-1234-XXXX"),
        ("〒100-0001 東京", "〒XXX-XXXX 東京"),
        ("郵便番号：１００－０００１", "郵便番号：XXX-XXXX"),
        ("taro＠ex.co.jpとhanako@ex.jp", "xxxx@example.comとxxxx@example.com"),
        ("01-02-2020、ISBN 978-4-00-310101-8、第0-1-2345号", "01-02-2020、ISBN 978-4-00-310101-8、第0-1-2345号"),
        ("id=0901234567890 100-0001", "id=0901234567890 100-0001"),
    ],
)
def test_what_names_a_person_is_masked_and_other_numbers_are_not(text: str, masked: str) -> None:
    assert one(text, mask_pii=True) == masked


def test_what_each_kind_took_is_counted_in_characters() -> None:
    texts = ["見よ https://a.jp/ を。 ", "東京（）、大阪，京都、奈良", "〒100-0001\r\n", None]
    cleaned, counts = clean_counted(pl.Series("text", texts), EVERYTHING)
    assert cleaned.to_list() == ["見よ を。", "東京、大阪、京都、奈良", "〒XXX-XXXX", None]
    assert counts == {"form": 3, "mask_pii": 7, "punctuation": 1, "urls": 14, "wikipedia": 2}
    assert clean_counted(pl.Series("text", ["何もない。"]), EVERYTHING)[1] == {}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "ログイン",
                "",
                PROSE,
                "「はい」",
                "x = f();",
                "https://a.jp",
                "（、）",
                "脚注",
                "東京，",
                "大阪、",
                "続きを読む",
            ]
        )
        | texts,
        max_size=10,
    )
)
def test_cleaning_by_every_choice_never_adds_text_and_counts_what_it_took(lines: list[str]) -> None:
    text = "\n".join(lines)
    chosen = Clean(urls=True, wikipedia=True, menus=True, repeated_lines=True)
    cleaned, counts = clean_counted(pl.Series("text", [text]), chosen)
    assert sum(counts.values()) == len(text) - len(cleaned[0])
    formed = iter(one(text))
    assert all(character in formed for character in cleaned[0])  # a subsequence of its characters


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "def f(x):\n    return x  # ログイン\n\n\tprint(f(1))",
        "| 項目 | 値 |\n|---|---|\n| 検索 | 100 |\n\n" + PROSE,
        "「おはよう」\n「おはよう」\n「おはよう」\n" + PROSE + "\n「ログインしたの？」",
        "太郎：こんにちは\n花子：こんにちは\n太郎：またね\n　　空の下で。",
    ],
)
def test_prose_code_tables_and_dialogue_lose_nothing_to_any_choice(text: str) -> None:
    cleaned, counts = clean_counted(pl.Series("text", [text]), EVERYTHING)
    assert cleaned[0] == text
    assert counts == {}


@pytest.mark.parametrize(
    "unit", ["あ，", "https://a.jp/", "（、）", "0", "0-1", "a@b.", "[a](", "続きを読む\n", "〒1", "\\("]
)
def test_time_of_every_choice_is_linear_in_one_thing_repeated(unit: str) -> None:
    def seconds(times: int) -> float:
        started = time.process_time()
        clean(pl.Series("text", ["東京、" + unit * times + "。"]), EVERYTHING)
        return time.process_time() - started

    seconds(100)
    short, long = seconds(3_000), seconds(30_000)
    assert long < 1 + 30 * short
