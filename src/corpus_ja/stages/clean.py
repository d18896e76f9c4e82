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

Two things are done by choice only. `menus` trims navigation, share and footer lines at both ends of a document: lines
before the first and after the last line of prose, at most 150 at each end, and only where at least two of them say what
menus say. It is made for web pages; it stays off for articles and books. `mask_pii` replaces e-mail addresses by
xxxx@example.com and the last four digits of Japanese telephone numbers by XXXX.
Rejected: NFKC by default, ftfy (guesses; changes code), neologdn (joins words, drops ー), removing lines in the middle
of a document (dialogue, lists and code look like menus there).
"""

import re
from typing import Literal

import polars as pl

from corpus_ja.settings import Settings
from corpus_ja.stages.signals import ENGLISH_MENU_WORDS, MENU_WORDS

VERSION = 1

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

_MAIL = r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}"
_PHONE = r"\b(0\d{1,4}[-‐－(（]\d{1,4}[-‐－)）])\d{4}\b"


class Clean(Settings):
    """How a source's text is cleaned."""

    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    """Unicode normal form of the text; NFKC also folds full-width letters, circled digits and ligatures."""
    menus: bool = False
    """Trim navigation, share and footer lines at both ends of a document."""
    mask_pii: bool = False
    """Mask e-mail addresses and Japanese telephone numbers."""


def clean(text: pl.Series, settings: Clean) -> pl.Series:
    """The cleaned texts, same rows, same name; null stays null."""
    name = text.name
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
    result = frame["text"]
    if settings.menus:
        result = pl.Series(
            name, [None if one is None else trim_menus(one) for one in result.to_list()], dtype=pl.String
        )
    if settings.mask_pii:
        result = result.str.replace_all(_MAIL, "xxxx@example.com").str.replace_all(_PHONE, "${1}XXXX")
    return result.rename(name)


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
_SAYS_MENU = re.compile(
    "|".join(re.escape(word) for word in MENU_WORDS)
    + r"|(?i:\b(?:"
    + "|".join(re.escape(word) for word in ENGLISH_MENU_WORDS)
    + r")\b)|\([cC]\)|[|｜].*[|｜]"
    r"|^(?:ホーム|トップ|メニュー|アクセス|プロフィール|リンク集?|検索|ヘルプ|はじめての方へ|初めての方へ)$"
    r"|^タグ[:：]|^コメント ?[（(]\d+[)）]$"
)
_TRAIL = re.compile(r"^(?:[^>»›＞]{1,20}[>»›＞]){1,}[^>»›＞]{1,40}$")
_COPYRIGHT = re.compile(r"©|\([cC]\)|(?i:copyright|all rights reserved)")
_PROSE_END = re.compile(r"[^\W\d_][^。．！？!?]{6,}[。．！？!?…]|[^\W\d_].{38,}\.(?=\s|$)")
_KANA = re.compile(r"[ぁ-ん]")
_CODE = re.compile(r"^[ \t　]|[{};=`]|->|\(\)|[「『]|^[#$|]|^[^：]{1,12}：")


def _is_prose(line: str) -> bool:
    if len(line) > 20 * _LONGEST:
        return True  # no menu has such a line, and the expressions below are made for short ones
    if len(line) <= 2 * _LONGEST and _COPYRIGHT.search(line) is not None:
        return False
    return _PROSE_END.search(line) is not None or (len(line) >= 40 and len(_KANA.findall(line)) * 5 >= len(line))


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
    evidence = [
        place
        for place, line in enumerate(lines)
        if len(line) <= _LONGEST and _CODE.search(line) is None
        for _ in range(2 * (_TRAIL.search(line) is not None) or (_SAYS_MENU.search(line) is not None))
    ]
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
    if any(len(line) > _LONGEST or (_CODE.search(line) is not None and line.strip("- ")) for line in lines[begin:end]):
        return 0, 0
    return begin, end
