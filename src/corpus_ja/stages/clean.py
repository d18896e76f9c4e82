"""Cleaning that loses no content: one Unicode form, no control characters, quiet line ends.

`clean` first asks one regular expression whether a text needs anything at all; most do not and are passed through. What
remains is a short chain of linear replacements in Polars:
1. U+000B, U+000C, U+2028 and U+2029 end a line like CR LF and CR: all become newlines;
2. control characters go (all of Cc but newline and tab, so NUL and ESC too), and with them U+FEFF, U+200B (a place
   where a line may break; it splits words for every later stage), U+00AD (the same in Latin text), the bidirectional
   embeddings, overrides and isolates U+202A-202E and U+2066-2069, and the noncharacters U+FFFE and U+FFFF. ZWJ and ZWNJ
   (emoji, Persian, Indic) and variation selectors stay;
3. NFC (or NFKC by choice: it turns ① into 1 and ㍿ into 株式会社, so it is never silent);
4. white space at line ends goes, indentation stays, U+3000 included;
5. at most two blank lines in a row; none at either end.
`clean` of a cleaned text is the text itself.

The rest is done by choice only, in this order, each for the texts that one regular expression finds to have any:
- `urls` takes addresses out, with the brackets around them and the lines that were nothing else; code and tables
  keep theirs;
- `wikipedia` cuts from the heading of the notes, references or links at the end, and mends what lost furigana leave:
  （、1900年） and （）;
- `menus` trims navigation, share and footer lines at both ends: lines before the first and after the last line of
  prose, at most 150 at each end, and only where at least two of them, and one in five, say what menus say. A row of
  entries on one line is a menu, however long; a sentence that forbids copying or asks to be followed is no prose;
- `repeated_lines` takes out short lines that say what menus say and stand at least three times: 続きを読む under
  every entry;
- `mask_pii` replaces e-mail addresses by xxxx@example.com, the last digits of Japanese telephone numbers by X, and
  postal codes;
- `punctuation` turns ，． after Japanese into 、。 where they are the document's minority form, or its majority, or
  always.
Code, tables, indentation and dialogue lose nothing to them. `clean_counted` says how many characters each took. All of
them together on prose and pages: 16 to 66 MB/s.
Rejected: NFKC by default, ftfy (guesses; changes code), neologdn (joins words, drops ー), cutting at the first footer
word (a page about privacy policies has one), removing other repeated lines (refrains, laws and dialogue repeat too).
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Literal

import polars as pl

from corpus_ja.settings import Settings
from corpus_ja.stages.signals import ENGLISH_MENU_WORDS, MENU_WORDS

VERSION = 3

_LINE_ENDS = r"\r\n?|[\x{0B}\x{0C}\x{2028}\x{2029}]"
_REMOVED = r"\x00-\x08\x0E-\x1F\x7F-\x9F\x{AD}\x{200B}\x{FEFF}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{FFFE}\x{FFFF}"
_SPACE = r"[\t\p{Zs}]"
# Everything that NFC could change: marks, conjoining jamo, compatibility ideographs, and the single characters with
# canonical decompositions. Wider than needed, never narrower (a test walks through all of Unicode).
_NOT_NFC = (
    r"\p{M}\x{0374}\x{037E}\x{0387}\x{1100}-\x{11FF}\x{1F00}-\x{2001}\x{2126}\x{212A}\x{212B}\x{2329}\x{232A}\x{2ADC}"
    r"\x{0958}-\x{095F}\x{09DC}-\x{09DF}\x{0A33}-\x{0A5E}\x{0B5C}\x{0B5D}\x{0F43}-\x{0F69}"
    r"\x{F900}-\x{FAFF}\x{FB1D}-\x{FB4E}\x{1D15E}-\x{1D1C0}\x{2F800}-\x{2FA1F}"
)
_NEEDS = rf"[{_REMOVED}\r\x{{0B}}\x{{0C}}\x{{2028}}\x{{2029}}]|{_SPACE}\n|\n\n\n\n|\A(?:{_SPACE}*\n)|[\n\t\p{{Zs}}]\z"


class Clean(Settings):
    """How a source's text is cleaned."""

    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    """Unicode normal form of the text; NFKC also folds full-width letters, circled digits and ligatures."""
    urls: bool = False
    """Take http, https, ftp and www addresses out of the text."""
    wikipedia: bool = False
    """Cut the trailing sections of an encyclopedia's article and mend what lost furigana leave."""
    menus: bool = False
    """Trim navigation, share and footer lines at both ends of a document."""
    repeated_lines: bool = False
    """Take out menu lines that stand three times or more."""
    punctuation: Literal["none", "minority", "majority", "always"] = "none"
    """Turn ，． after Japanese into 、。: where they are fewer than 、。 in the document, where they are more, or
    always."""
    mask_pii: bool = False
    """Mask e-mail addresses, Japanese telephone numbers and postal codes."""


def clean(text: pl.Series, settings: Clean) -> pl.Series:
    """The cleaned texts, same rows, same name; null stays null."""
    return clean_counted(text, settings)[0]


def clean_counted(text: pl.Series, settings: Clean) -> tuple[pl.Series, dict[str, int]]:
    """The cleaned texts, and by kind the characters (code points) that were taken out of them all.

    `form` is what every text gets: control characters, spaces at line ends, blank lines, what Unicode forms join. For
    `punctuation` it is the characters changed, for `mask_pii` the characters masked. Kinds that took nothing are left
    out.
    """
    counts: Counter[str] = Counter()
    result = _formed(text, settings)
    counts["form"] += _lost(text, result)
    for kind, signs, step in _steps(settings):
        rows = result.str.contains(signs).fill_null(value=False).arg_true()
        if not len(rows):
            continue
        before = result.gather(rows)
        done = [step(one) for one in before.to_list()]
        counts[kind] += sum(number for _, number in done)
        result = result.scatter(rows, pl.Series([new for new, _ in done], dtype=pl.String))
    if settings.punctuation != "none":
        result, counts["punctuation"] = _repunctuated(result, settings.punctuation)
    # what was taken out may leave spaces at line ends, blank lines and pairs that NFC joins
    again = _formed(result, settings)
    counts["form"] += _lost(result, again)
    return again, {kind: number for kind, number in sorted(counts.items()) if number}


def _lost(before: pl.Series, after: pl.Series) -> int:
    if before is after:
        return 0
    return int(before.str.len_chars().sum()) - int(after.str.len_chars().sum())


def _steps(settings: Clean) -> list[tuple[str, str, Callable[[str], tuple[str, int]]]]:
    """The chosen steps in order: their name, what a text must hold for them, and the step: the text and what it
    took.
    """
    steps: list[tuple[str, str, Callable[[str], tuple[str, int]]]] = []
    if settings.urls:
        steps.append(("urls", r"://|(?i:www)\.", strip_urls))
    if settings.wikipedia:
        signs = "|".join(map(re.escape, (*_TRAILING, *_ENGLISH_TRAILING)))
        steps.append(
            (
                "wikipedia",
                rf"(?m)^[=#\s]*(?:{signs})[=\s]*$|[（(]\s*[、，,;；:：]|[、，,;；]\s*[）)]|（\s*）",
                trim_article,
            )
        )
    if settings.menus:
        steps.append(("menus", r"", lambda text: _shorter(text, trim_menus(text))))
    if settings.repeated_lines:
        steps.append(("repeated_lines", r"\n", remove_repeated_menus))
    if settings.mask_pii:
        steps.append(
            (
                "mask_pii",
                r"[@＠〒]|郵便番号|\+81|[0０][0-9０-９]{1,4}[-‐‑–−－ー()（）][0-9０-９]|0[5789]0[0-9]{8}",
                mask,
            )
        )
    return steps


def _shorter(before: str, after: str) -> tuple[str, int]:
    return after, len(before) - len(after)


def _formed(text: pl.Series, settings: Clean) -> pl.Series:
    """The form every text gets."""
    column = pl.col("text")
    needs = _NEEDS
    if settings.unicode == "NFC":
        needs = rf"[{_NOT_NFC}]|{_NEEDS}"
    elif settings.unicode == "NFKC":
        needs = rf"[^\x00-\x7F\p{{Hiragana}}\p{{Han}}ァ-ヴー。、「」]|[{_NOT_NFC}]|{_NEEDS}"
    frame = pl.DataFrame({"text": text}).with_columns(needs=column.str.contains(needs))
    if frame["needs"].any():
        cleaned = column.filter(pl.col("needs"))
        done = frame.select(_chain(cleaned, settings))["text"]
        rows = frame["needs"].fill_null(value=False).arg_true()
        frame = frame.with_columns(text=frame["text"].scatter(rows, done))
        return frame["text"].rename(text.name)
    return text


def _chain(text: pl.Expr, settings: Clean) -> pl.Expr:
    text = text.str.replace_all(_LINE_ENDS, "\n").str.replace_all(rf"[{_REMOVED}]", "")
    if settings.unicode != "none":
        text = text.str.normalize(settings.unicode)
    return (
        text.str.replace_all(rf"{_SPACE}+\n", "\n")
        .str.replace_all(r"\n{4,}", "\n\n\n")
        .str.replace(r"[\n\t\p{Zs}]+\z", "")
        .str.strip_chars_start("\n")
    )


_ENDS = 150  # lines looked at from either end
_LONGEST = 60  # characters of a menu's line
_MANUALS_SAY = {"アーカイブ", "カテゴリ", "カテゴリー"}  # only an entry when it is all of one
_SAYS_MENU = re.compile(
    "|".join(re.escape(word) for word in MENU_WORDS if word not in _MANUALS_SAY)
    + r"|(?i:\b(?:"
    + "|".join(re.escape(word) for word in ENGLISH_MENU_WORDS)
    + r")\b)|\([cC]\)|[|｜].*[|｜]|いいね[!！]|URLをコピー|文字サイズ|前に戻る|^現在位置|^現在の位置|^この記事を(?:シェア|共有)"
    r"|^(?:タグ|カテゴリー?)[:：]|^コメント ?[（(]\d+[)）]$"
)
_ENTRY = re.compile(
    r"(?:グローバル)?(?:ホーム|トップ|メニュー|アクセス|プロフィール|検索|ヘルプ|(?:はじ|初)めての方へ|リンク集?|ブログ|コラム|お知らせ|ニュース"
    r"|採用情報|企業情報|会社情報|会社案内|事業内容|サービス(?:紹介)?|料金(?:案内|表)?|店舗(?:一覧|案内|情報)|スタッフ紹介|資料請求|お気に入り|カート(?:を見る)?"
    r"|買い物かご|ご利用(?:ガイド|案内|方法)|新規会員登録|特定商取引法に基づく表記|このサイトについて|サイトポリシー|一覧(?:へ|に)?戻る|トップへ戻る|(?:この)?ページの?(?:先頭|トップ)へ(?:戻る)?"
    r"|閉じる|開く|戻る|シェア|印刷(?:する)?|ランキング|アクセスランキング|人気ランキング|おすすめ記事|スポンサー(?:ド)?リンク|広告|PR|Facebook|Twitter|LINE|X|Pocket|Pinterest|Instagram"
    r"|YouTube|RSS|はてブ|English|日本語|中文|简体中文|繁體中文|한국어|PAGE ?TOP|TOP|HOME|MENU|SEARCH|NEWS|BLOG|CONTACT|ACCESS|ABOUT|SHARE|BACK|NEXT|PREV)"
    r"(?:で(?:シェア|共有)|を(?:開く|閉じる))?(?:する)?"
    r"|(?:カテゴリー?|タグ|(?:月別|過去の)?アーカイブ)|[^\s()（）]{1,15}[(（]\d{1,5}[)）]"
)
"""A menu's entry when it is all of a cell."""
_CELLS = re.compile(r"[\s　|｜/／・>»›＞\[\]【】▲△▼◀▶■□●○→←↑]+")
_NOTICE = re.compile(
    r"無断(?:転載|複製|使用|引用)|転載を(?:固く)?(?:禁|お断)|(?:この|本)(?:記事|ページ|サイト)が気に入ったら|最新(?:の)?情報をお届け|フォローしよう"
    r"|JavaScript(?:を|が)(?:有効|無効|オン)|Cookie(?:を使用|の使用)|クッキーを使用|(?i:powered by)"
)
"""Sentences of a page's frame."""
_TRAIL = re.compile(r"^(?:[^>»›＞]{1,20}[>»›＞]){1,}[^>»›＞]{1,40}$")
_COPYRIGHT = re.compile(r"©|\([cC]\)|(?i:copyright|all rights reserved)")
_PROSE_END = re.compile(
    r"[^\W\d_][^。．！？!?]{6,}(?:[。．]|[！？!?…]+[」』）)]?(?:$|.{20}))|[^\W\d_].{38,}\.(?=\s|$)|.{10}(?:ます|ました|ません|です|でした|ください)$"
)
_KANA = re.compile(r"[ぁ-ん]")
_CODE_ALONE = re.compile(r"^[ \t　]|[{};=`]|->|\(\)|^[「『]|^[#$|]")
_CODE = re.compile(_CODE_ALONE.pattern + r"|[「『]|^[^：]{1,12}：")
_ROW = 4
"""Entries on one line that make it a menu, whatever else it looks like."""
_SPARSE = 4
"""Most other lines for each line that says what menus say: side bars list headlines, but not many under one heading."""
_SURE = 5
"""Lines that say what menus say, from which on quotations among them are headlines."""


def _is_prose(line: str) -> bool:
    if len(line) > 20 * _LONGEST:
        return True  # no menu has such a line, and the expressions below are made for short ones
    if len(line) <= 2 * _LONGEST and (_COPYRIGHT.search(line) is not None or _NOTICE.search(line) is not None):
        return False
    prose = _PROSE_END.search(line) is not None or (len(line) >= 40 and len(_KANA.findall(line)) * 5 >= len(line))
    return prose and _entries(line) < _ROW


def _entries(line: str) -> int:
    """Cells that are entries of a menu, where at least half of the line's cells are; else 0."""
    if len(line) > 6 * _LONGEST or "。" in line:
        return 0
    cells = [cell for cell in _CELLS.split(line) if cell]
    found = sum(
        _ENTRY.fullmatch(cell) is not None or (len(cell) <= 20 and _SAYS_MENU.search(cell) is not None)
        for cell in cells
    )
    return found if 2 * found >= len(cells) else 0


def _says_menu(line: str) -> int:
    """How much a short line, or a row of entries, says what menus say: 0, 1 or more."""
    entries = _entries(line)
    if len(line) > _LONGEST:
        return entries if entries >= _ROW else int(len(line) <= 2 * _LONGEST and _NOTICE.search(line) is not None)
    if entries < _ROW and _CODE.search(line) is not None:
        return 0
    trail = 2 * (_TRAIL.search(line) is not None)
    return trail + bool(entries or _SAYS_MENU.search(line) or _NOTICE.search(line))


def trim_menus(text: str) -> str:
    """Without the menu lines before the first and after the last line of prose; a title before them is kept.

    A line says what menus say when it is short, is neither prose, code nor dialogue, and holds a menu word or cells
    between bars; a trail of > counts twice. Nothing is cut on a side with fewer than two such lines or more than 150
    lines without prose, and nothing of a document without prose.
    """
    lines = text.split("\n")
    first = next((place for place, line in enumerate(lines[: _ENDS + 1]) if _is_prose(line)), None)
    if first is None:
        return text
    end = len(lines)
    start, stop = _menu(lines[:first])
    tail = range(end - 1, max(first, end - _ENDS - 2), -1)
    last = next((place for place in tail if _is_prose(lines[place])), first if end - first <= _ENDS + 1 else None)
    if last is not None:
        end -= _menu(lines[:last:-1], title=False)[1]
    if stop == 0 and end == len(lines):
        return text
    return "\n".join(lines[:start] + lines[stop:end]).strip("\n")


def _menu(lines: list[str], *, title: bool = True) -> tuple[int, int]:
    """The stretch of menu lines as (first, one past the last), (0, 0) when there is none; lines from the outside in.

    With `title`, what stands outside of the menu is kept, where it is longer than a menu's entries.
    """
    says = [_says_menu(line) for line in lines]
    evidence = [place for place, much in enumerate(says) for _ in range(much)]
    if len(evidence) < 2:
        return 0, 0
    begin, end = evidence[0], evidence[-1] + 1
    if not title:
        begin = 0
    while begin > 1 and len(lines[begin - 1]) <= 10:
        begin -= 1
    # what is as short as a menu's entries goes with it, but never the line next to the prose: it may be the heading
    while end < len(lines) - 1 and len(lines[end]) <= 8 and any(lines[end + 1 :]):
        end += 1
    plain = _CODE if len(evidence) < _SURE else _CODE_ALONE
    between = [line for line, much in zip(lines[begin:end], says[begin:end], strict=True) if line and not much]
    if len(between) > _SPARSE * len(set(evidence)):
        return 0, 0
    if any(len(line) > _LONGEST or (plain.search(line) is not None and line.strip("- ")) for line in between):
        return 0, 0
    return begin, end


# ---------------------------------------------------------------------------------------------------------- by choice

_URL = re.compile(
    r"(?<![A-Za-z0-9])(?:https?|ftp)://[A-Za-z0-9\-._~:/?#\[\]@!$&'*+,;=%()]+"
    r"|(?<![A-Za-z0-9./@_-])www\.[A-Za-z0-9-]+\.[A-Za-z0-9\-._~:/?#@!$&'*+,;=%]+",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\(\s*(?:https?://|www\.)[^\s()]*\s*\)", re.IGNORECASE)
_BRACKETED = re.compile(r"[（(<＜〈【\[]\s*\x00\s*[）)>＞〉】\]]")
_LEFT_OF_LINE = re.compile(r"[\s　:：・*+>→\-–—|,，、.。]*(?:URL|url|Url|リンク先?|link)?[\s　:：・*+>→\-–—|,，、.。]*")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_IS_CODE = re.compile(r"^(?: {2,}|\t|[$%>] )|[{};]|\(\)|[^=]=[^=]|^(?:curl|wget|git|pip|npm|apt) |\|.*\||\t.*\t")


def strip_urls(text: str) -> tuple[str, int]:
    """Without its addresses, and the characters that took; fenced or indented code, commands and tables keep theirs."""
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and ("://" in line or "www." in line.lower()):
            bare = _URL.sub("", line)
            if _IS_CODE.search(bare) is None:
                marked = _URL.sub(_without_its_end, _LINK.sub(r"\1", line))
                if marked != line:
                    left = _BRACKETED.sub("", marked).replace("\x00", "")
                    if _LEFT_OF_LINE.fullmatch(left):
                        continue
                    lines.append(re.sub(r"(?<=\S)  +(?=\S)", " ", left))
                    continue
        lines.append(line)
    return _shorter(text, "\n".join(lines))


def _without_its_end(match: re.Match[str]) -> str:
    """A mark in place of an address, and what stands at its end and belongs to the sentence."""
    address = match[0]
    end = len(address)
    while address[end - 1] in ".,;:!?'" or (
        address[end - 1] == ")" and address.count(")", 0, end) > address.count("(", 0, end)
    ):
        end -= 1
    return "\x00" + address[end:]


_TRAILING = (
    *("脚注", "注釈", "出典", "出典・脚注", "脚注・出典", "注釈・出典", "脚注と出典", "参照", "参考文献", "参考資料"),
    *("関連項目", "日本国内の関連項目", "その他関連事項", "関連書籍", "関連文献", "外部リンク"),
)
_ENGLISH_TRAILING = (
    *(
        "References",
        "See also",
        "External links",
        "Notes",
        "Notes and references",
        "Footnotes",
        "Further reading",
        "Citations",
    ),
)
_HEADING = re.compile("[=#\\s]*(?:" + "|".join(map(re.escape, (*_TRAILING, *_ENGLISH_TRAILING))) + ")[=\\s]*")
_JAPANESE = "ぁ-ゖァ-ヺー々〇〻\u3400-\u9fff\uf900-\ufaff"
_FURIGANA = (
    (re.compile(rf"（[\s、，,;；:：]*）|(?<=[{_JAPANESE}])\([\s]*[、，,;；][\s、，,;；]*\)"), ""),
    (re.compile(r"（(?:[\s]*[、，,;；:：])+[\s]*"), "（"),
    (re.compile(rf"(?<=[{_JAPANESE}])\((?:[\s]*[、，;；])+[\s]*"), "("),
    (re.compile(r"(?:[\s]*[、，,;；])+[\s]*）"), "）"),
)


def trim_article(text: str) -> tuple[str, int]:
    """An encyclopedia's article without its trailing sections and furigana leftovers, and the characters that took.

    It is cut at the first line that is a heading of notes, references, further reading or links (llm-jp-corpus v1,
    with a few more headings), unless more than half of the article and a line of prose stand below: then it is no
    trailing section. Empty brackets （） go; 、，,;； at either end inside of （） go.
    """
    lines = text.split("\n")
    place = 0
    for number, line in enumerate(lines):
        if number and len(line) < 40 and _HEADING.fullmatch(line) is not None and any(lines[:number]):
            below = lines[number + 1 :]
            if 2 * place <= len(text) and any(_is_prose(one) for one in below):
                place += len(line) + 1
                continue
            lines = lines[:number]
            break
        place += len(line) + 1
    kept = "\n".join(lines)
    for pattern, put in _FURIGANA:
        kept = pattern.sub(put, kept)
    return _shorter(text, kept)


REPEATS = 3
"""How often a menu line stands in a document before it counts as repeated boilerplate."""


def remove_repeated_menus(text: str) -> tuple[str, int]:
    """Without the lines that say what menus say and stand at least `REPEATS` times, and the characters that took."""
    lines = text.split("\n")
    often = {line for line, times in Counter(lines).items() if times >= REPEATS and 0 < len(line) <= _LONGEST}
    said = {
        line
        for line in often
        if _CODE.search(line) is None
        and not _is_prose(line)
        and (_SAYS_MENU.search(line) is not None or _COPYRIGHT.search(line) is not None)
    }
    return _shorter(text, "\n".join(line for line in lines if line not in said)) if said else (text, 0)


_BEFORE = r"[ぁ-ゖァ-ヺー々〇〻\x{3400}-\x{9FFF}\x{F900}-\x{FAFF}」』）】〉》〕］]"


def _repunctuated(text: pl.Series, mode: str) -> tuple[pl.Series, int]:
    """The texts with ，． after Japanese as 、。 where the mode says so, and how many were changed; commas and stops
    each by itself.
    """
    column = pl.col("text")
    changed = 0
    for western, japanese in (("，", "、"), ("．", "。")):
        rows = text.str.contains(western, literal=True).fill_null(value=False).arg_true()
        if not len(rows):
            continue
        counted = pl.DataFrame({"text": text.gather(rows)}).with_columns(
            western=column.str.count_matches(f"{_BEFORE}{western}"),
            japanese=column.str.count_matches(f"{_BEFORE}{japanese}"),
        )
        meant = {
            "minority": pl.col("western") < pl.col("japanese"),
            "majority": pl.col("western") > pl.col("japanese"),
            "always": pl.col("western") > 0,
        }[mode]
        counted = counted.with_columns(meant=meant & (pl.col("western") > 0))
        changed += int(counted.filter(pl.col("meant"))["western"].sum())
        replaced = column.str.replace_all(f"({_BEFORE}){western}", f"${{1}}{japanese}")
        text = text.scatter(rows, counted.select(pl.when("meant").then(replaced).otherwise(column)).to_series())
    return text, changed


_D, _S = "[0-9０-９]", "[-‐‑–−－ー()（）]"
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}[@＠](?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}")
_PHONE = re.compile(
    rf"(?<![0-9０-９A-Za-z.\-－/])((?:\+81{_S}?{_D}{{1,4}}|[0０]{_D}{{1,4}}){_S}{_D}{{1,4}}{_S})({_D}{{3,4}})(?!{_D}|[A-Za-z]|{_S}{_D})"
)
_MOBILE = re.compile(r"(?<![0-9A-Za-z.\-/_=])(0[5789]0[0-9]{4})[0-9]{4}(?![0-9A-Za-z])")
_POSTAL = re.compile(rf"(〒\s?|郵便番号[\s:：]{{0,2}}){_D}{{3}}[-‐‑–−－ー]{_D}{{4}}(?!{_D})")


def mask(text: str) -> tuple[str, int]:
    """With e-mail addresses, telephone numbers (of 10 or 11 digits) and postal codes masked, and the characters
    masked.
    """
    masked = 0

    def mail(match: re.Match[str]) -> str:
        nonlocal masked
        if match[0] != "xxxx@example.com":
            masked += len(match[0])
        return "xxxx@example.com"

    def phone(match: re.Match[str]) -> str:
        nonlocal masked
        digits = sum(character.isdigit() for character in match[0].removeprefix("+81")) + match[0].startswith("+")
        if digits not in {10, 11}:
            return match[0]
        masked += len(match[2])
        return match[1] + "X" * len(match[2])

    def mobile(match: re.Match[str]) -> str:
        nonlocal masked
        masked += 4
        return f"{match[1]}XXXX"

    def postal(match: re.Match[str]) -> str:
        nonlocal masked
        masked += 7
        return f"{match[1]}XXX-XXXX"

    if "@" in text or "＠" in text:
        text = _MAIL.sub(mail, text)
    return _POSTAL.sub(postal, _MOBILE.sub(mobile, _PHONE.sub(phone, text))), masked
