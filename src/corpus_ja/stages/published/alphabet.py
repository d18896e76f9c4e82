"""What each code point is to the published formulas: one table of bits for every walk over a text."""

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

SPECIAL_CHARACTERS = (
    "9-D 20-2F 3A-40 5B-60 7B-7E 81-85 91-93 95-99 9C-9D A1-AB AD-B4 B7-BF D7 F7-F8 131 26A 2BA-2BC 2C8 "
    "2CC 2D0 2D8 2DA 2DC 3C0 413 60C 647 66A 66C 6E9 93E 940 947 94D 97D 9BE E51 2002-2003 2005 2008-200B "
    "2010-2011 2013-2016 2018-201A 201C-2020 2022 2024 2026 202F-2030 2032-2033 2039-203A 203C 203F "
    "2043-2044 2049 20A8 20AA 20AC 2103 2122 2139 2194-2199 21A9-21AA 21D3 2206 2208 2212 221A 221E-221F "
    "2248 2256 2264-2265 2295 22C5 231A-231B 2328 23CF 23E9-23F3 23F8-23FA 24C2 2550 25A0 25AA-25AC 25B2 "
    "25B4 25B6-25B7 25BA-25BC 25C0 25C6 25CF 25E6 25FB-25FE 2600-2606 260E 2611 2614-2615 2618 261B 261D "
    "2620 2622-2623 2626 262A 262E-262F 2638-263B 2640 2642 2648-2653 265F-2661 2663 2665-2666 2668 266B "
    "267B 267E-267F 2692-2697 2699 269B-269C 26A0-26A1 26A7 26AA-26AB 26B0-26B1 26BD-26BE 26C4-26C5 26C8 "
    "26CE-26CF 26D1 26D3-26D4 26E9-26EA 26F0-26F5 26F7-26FA 26FD 2702 2705 2708-270D 270F 2712-2714 2716 "
    "271D 2721 2726 2728 2731 2733-2734 2744 2747 274C 274E 2753-2757 2763-2764 2795-2797 27A1 27A4 27A9 "
    "27B0 27BF 2800 2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3000-3002 300A-300D 3010-3011 3030 303D 309C "
    "3297 3299 58EB FD3E-FD3F FEFF FF01 FF08-FF09 FF0C FF0E FF11 FF1A-FF1B FF1F FF3E FF5E FFFC-FFFD 1F004 "
    "1F0CF 1F170-1F171 1F17E-1F17F 1F18E 1F191-1F19A 1F201-1F202 1F21A 1F22F 1F232-1F23A 1F250-1F251 "
    "1F300-1F321 1F324-1F393 1F396-1F397 1F399-1F39B 1F39E-1F3F0 1F3F3-1F3F5 1F3F7-1F4FD 1F4FF-1F53D "
    "1F549-1F54E 1F550-1F567 1F56F-1F570 1F573-1F57A 1F587 1F58A-1F58D 1F590 1F595-1F596 1F5A4-1F5A5 "
    "1F5A8 1F5B1-1F5B2 1F5BC 1F5C2-1F5C4 1F5D1-1F5D3 1F5DC-1F5DE 1F5E1 1F5E3 1F5E8 1F5EF 1F5F3 "
    "1F5FA-1F64F 1F680-1F6C5 1F6CB-1F6D2 1F6D5-1F6D9 1F6DC-1F6E5 1F6E9 1F6EB-1F6EC 1F6F0 1F6F3-1F6FC "
    "1F7E0-1F7EB 1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FA7C 1FA80-1FAC6 1FAC8 1FACC-1FADD "
    "1FADF-1FAEB 1FAEF-1FAFA"
)
"""HojiChar's special characters as code points: ASCII punctuation and white space, BigScience's list (which holds
士 and １ by mistake), and single emoji."""

TERMINAL_CHARACTERS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 "
    "17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F "
    "203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F "
    "A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 "
    "10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 "
    "1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 "
    "11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 "
    "16E98 1BC9F 1DA88"
)
"""Where a line may end for FineWeb, as code points: close to Unicode's sentence terminals; 。！？．｡ are among
them, 」 and … are not."""

FINEWEB2_STOP_WORDS = "のにをはたてがとで年し・月れさ"
"""The Japanese stop words of FineWeb-2: all are single characters, so no word has to be found."""

BOARD_WORDS = ("コメント", "レビュー", "投稿", "質問", "ページ", "楽天市場", "SOLD OUT")
"""Words of shops and boards that HojiChar counts; no two begin alike."""

(
    SPACE,
    BREAK,
    ALPHA,
    LETTER_OR_MARK,
    SENTENCE_END,
    HIRAGANA,
    KATAKANA,
    KANJI,
    KUTEN,
    TOTEN,
    SPECIAL,
    TERMINAL,
    PUNCTUATION,
    BOARD,
) = (1 << bit for bit in range(14))
WORD = 16  # bits 16 to 18: what a word may run over; 0 stands alone
ALONE, RUN_KANJI, RUN_HIRAGANA, RUN_KATAKANA, RUN_LATIN, RUN_DIGIT, RUN_LETTER, RUN_MARK = range(8)
STOP = 20  # bits 20 to 23: place among FINEWEB2_STOP_WORDS, from 1


@functools.cache
def marks() -> npt.NDArray[np.uint32]:
    """What each code point is to the published formulas, as bits, shape (1114112,); 4.4 MB, built once a process in
    about 0.15 s.
    """
    entries = np.zeros(0x110000, dtype=np.uint32)
    letters = {"L": ALPHA | LETTER_OR_MARK, "M": LETTER_OR_MARK, "P": PUNCTUATION}
    for point in (*range(0x34000), *range(0xE0000, 0xE0200)):
        character = chr(point)
        category = unicodedata.category(character)
        entry = letters.get(category[0], 0)
        kind = {"L": RUN_LETTER, "M": RUN_MARK}.get(category[0], RUN_DIGIT if category == "Nd" else ALONE)
        if character.isspace():
            entry |= SPACE
        entries[point] = entry | kind << WORD
    for first, last, mark, kind in (
        (0x3041, 0x3096, HIRAGANA, RUN_HIRAGANA),
        (0x309D, 0x309F, 0, RUN_HIRAGANA),
        (0x30A1, 0x30FA, KATAKANA, RUN_KATAKANA),
        (0x30FC, 0x30FF, 0, RUN_KATAKANA),
        (0xFF66, 0xFF9F, 0, RUN_KATAKANA),
        (0x3400, 0x9FFF, KANJI, RUN_KANJI),
        (0xF900, 0xFAFF, KANJI, RUN_KANJI),
        (0x20000, 0x3FFFF, 0, RUN_KANJI),  # Swallow looks for surrogate pairs, which Python's strings do not have
        (0x3005, 0x3005, KANJI, RUN_KANJI),
        (0x3007, 0x3007, KANJI, RUN_KANJI),
        (0x303B, 0x303B, KANJI, RUN_KANJI),
        *(
            (first, last, 0, RUN_LATIN)
            for first, last in ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F))
        ),
        *((first, last, 0, RUN_LATIN) for first, last in ((0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))),
    ):
        entries[first : last + 1] = entries[first : last + 1] & ~np.uint32(7 << WORD) | np.uint32(mark | kind << WORD)
    for characters, mark in (
        ("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", BREAK),
        ("。．！？!?", SENTENCE_END),
        ("。．！？", KUTEN),
        ("、，", TOTEN),
        ("$+<=>^`|~", PUNCTUATION),
        ("".join(word[0] for word in BOARD_WORDS) + "-(", BOARD),
    ):
        for character in characters:
            entries[ord(character)] |= mark
    for place, character in enumerate(FINEWEB2_STOP_WORDS, start=1):
        entries[ord(character)] |= place << STOP
    for ranges, mark in ((SPECIAL_CHARACTERS, SPECIAL), (TERMINAL_CHARACTERS, TERMINAL)):
        for one in ranges.split():
            bounds = [int(bound, 16) for bound in one.split("-")]
            entries[bounds[0] : bounds[-1] + 1] |= np.uint32(mark)
    entries.setflags(write=False)
    return entries
