"""The named measurements of a document that rules compare with limits.

`measure` turns a frame of texts into a frame of numbers, one row a document and one column an entry of `SIGNALS`, the
same columns for every language; a signal without meaning for a text (the hiragana share of a text without Japanese) is
null, and what null means is decided by each rule. Nearly all of them are quotients of the counters that one Numba loop
fills (`characters`), others come from loops over repetition (`ngrams`), over the frames of sentences (`templates`), over
debris of wrong encodings (`encodings`) and over wording (`spam`), and the word lists are one search by Aho-Corasick.
Together 39 MB/s of processor time on Japanese prose and pages, one thread; 0.3 GB on top of its text for one document
of 60 MB. What only published rule sets compare (`published`) is measured besides for a mix that names them.

Units, unless the description says otherwise: *characters* are code points; *length* is code points that are not white
space; shares are of the length, 0 to 1; "per 1,000" means per 1,000 of the length. Lines, letters and sentence ends
are defined in `characters`.
Rejected: word signals for Japanese through a segmenter (a hundred times slower, and the published limits differ by
segmenter), compression ratios in our own sets (slower than the n-gram windows, and they fall with length), and one rule
deciding about several numbers at once (nobody can say afterwards which limit dropped a document). `template_score` is
the exception: a sum of five signals that stand beside it, because text from a template has all of them a little.
"""

import functools
from collections.abc import Collection, Mapping

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import polars as pl

from corpus_ja.stages import characters, encodings, ngrams, published, spam, templates
from corpus_ja.stages.measurement import Signal

VERSION = 4

SHOP_WORDS = (
    *(
        "送料無料",
        "送料込",
        "税込",
        "税抜",
        "税別",
        "通販",
        "激安",
        "特価",
        "格安",
        "最安値",
        "お買い得",
        "お買得",
        "お得",
        "セール",
        "割引",
    ),
    *(
        "ポイント還元",
        "在庫",
        "カートに入れる",
        "カートへ",
        "買い物かご",
        "ご注文",
        "即納",
        "即日発送",
        "翌日配送",
        "返品",
        "代引",
        "後払い",
    ),
    *(
        "今すぐ",
        "今だけ",
        "期間限定",
        "数量限定",
        "限定価格",
        "キャンペーン",
        "無料登録",
        "無料体験",
        "お申し込み",
        "お申込み",
        "お試し",
        "口コミ",
    ),
    *(
        "ランキング",
        "人気商品",
        "おすすめ商品",
        "売れ筋",
        "正規品",
        "新品",
        "中古",
        "買取",
        "公式サイト",
        "資料請求",
        "満足度",
        "全額返金",
        "定価",
    ),
    *(
        "値下げ",
        "クーポン",
        "ショップ",
        "販売店",
        "お支払い",
        "分割払い",
        "最大",
        "大特価",
        "半額",
        "プレゼント",
        "商品一覧",
        "商品番号",
        "型番",
    ),
)
"""What shop and advertising pages say; written for corpus-ja, MIT. One of them proves nothing: rules ask for many."""

MENU_WORDS = (
    *(
        "ログイン",
        "ログアウト",
        "新規登録",
        "会員登録",
        "マイページ",
        "サイトマップ",
        "プライバシーポリシー",
        "個人情報保護方針",
        "利用規約",
    ),
    *(
        "お問い合わせ",
        "お問合せ",
        "会社概要",
        "運営会社",
        "特定商取引法",
        "よくある質問",
        "トップページ",
        "ページトップ",
        "ページの先頭",
    ),
    *(
        "前の記事",
        "次の記事",
        "前へ",
        "次へ",
        "前のページ",
        "次のページ",
        "記事一覧",
        "一覧へ",
        "一覧を見る",
        "もっと見る",
        "続きを読む",
        "続きを見る",
    ),
    *(
        "カテゴリー",
        "カテゴリ",
        "アーカイブ",
        "月別",
        "最近の投稿",
        "最新記事",
        "人気記事",
        "関連記事",
        "関連リンク",
        "新着情報",
        "お知らせ一覧",
    ),
    *(
        "トラックバック",
        "コメントを書く",
        "コメントする",
        "コメントを残す",
        "ツイート",
        "シェアする",
        "いいね！",
        "はてなブックマーク",
        "フォローする",
        "RSS",
    ),
    *(
        "サイト内検索",
        "検索結果",
        "メニュー",
        "Copyright",
        "All Rights Reserved",
        "All rights reserved",
        "©",
        "無断転載",
    ),
)
"""What menus, side bars and footers say; written for corpus-ja, MIT."""

ENGLISH_SHOP_WORDS = (
    *(
        "free shipping",
        "add to cart",
        "buy now",
        "order now",
        "shop now",
        "in stock",
        "out of stock",
        "sale",
        "discount",
        "% off",
    ),
    *(
        "coupon",
        "promo code",
        "best price",
        "lowest price",
        "cheap",
        "clearance",
        "limited time",
        "act now",
        "money back",
        "guarantee",
    ),
    *(
        "click here",
        "sign up today",
        "free trial",
        "call now",
        "call us today",
        "free quote",
        "special offer",
        "best deals",
        "wholesale",
    ),
    *(
        "replica",
        "casino",
        "viagra",
        "add to wishlist",
        "checkout",
        "customer reviews",
        "sku",
        "msrp",
        "payday",
        "subscribe now",
    ),
)
"""What English shop and advertising pages say, in lower case; written for corpus-ja, MIT."""

ENGLISH_MENU_WORDS = (
    *(
        "home",
        "about us",
        "contact us",
        "privacy policy",
        "terms of use",
        "terms of service",
        "sitemap",
        "site map",
        "log in",
        "login",
    ),
    *(
        "sign in",
        "sign up",
        "register",
        "subscribe",
        "newsletter",
        "read more",
        "learn more",
        "see all",
        "view all",
        "next page",
    ),
    *(
        "previous",
        "archives",
        "categories",
        "tags",
        "related posts",
        "recent posts",
        "leave a comment",
        "leave a reply",
        "share this",
    ),
    *(
        "tweet",
        "facebook",
        "twitter",
        "pinterest",
        "linkedin",
        "rss",
        "copyright",
        "all rights reserved",
        "cookie",
        "skip to content",
    ),
    *("search", "menu", "faq", "careers", "advertise", "powered by", "follow us", "my account"),
)
"""What English menus and footers say, in lower case; written for corpus-ja, MIT."""


TOPIC_SENTENCES = 8
"""Under so many sentences the commonest term says nothing."""


def measure(frame: pl.DataFrame, language: str, names: Collection[str] = ()) -> pl.DataFrame:
    """Measure every document of the frame: columns `text` (cleaned; null counts as empty) and `url` (may be absent).

    `language` ("ja", "en", ...) chooses the word lists; `names` are those of `published.PUBLISHED` wanted besides.
    Returns exactly the columns of `SIGNALS`, then the wanted ones in the order of `PUBLISHED`; same rows and order.
    """
    text = frame["text"].fill_null("")
    more = published.Measuring(names)
    counts, units, repeated, framed, garbled, worded = [], [], [], [], [], []
    for points, offsets in characters.code_points(text):
        counts.append(characters.count(points, offsets))
        units.append(ngrams.repeated_units(points, offsets))
        repeated.append(ngrams.repeated_ngrams(points, offsets, (5, 10)))
        framed.append(templates.frames(points, offsets))
        garbled.append(encodings.debris(points, offsets))
        worded.append(spam.score(points, offsets))
        more.take(points, offsets)
        del points, offsets  # else the last piece, 4 bytes a character, lives as long as what follows
    counted = _columns(counts, characters.COUNTERS) | _columns(units, ngrams.COUNTERS)
    counted |= _columns(framed, templates.COUNTERS) | _columns(garbled, encodings.COUNTERS)
    shares = np.concatenate([*repeated, np.empty((0, 2))])
    counted |= {"repeated_5grams": shares[:, 0], "repeated_10grams": shares[:, 1]}
    counted["spam"] = np.concatenate([*worded, np.empty(0)])
    table = pl.DataFrame(counted).with_columns(
        text.str.len_bytes().alias("utf8_bytes"), _url(frame), *_word_counts(text, language)
    )
    measured = table.select(**_expressions()).select(
        pl.col(name).fill_nan(None).cast(signal.dtype) if signal.dtype.is_float() else pl.col(name).cast(signal.dtype)
        for name, signal in SIGNALS.items()
    )
    return measured.hstack(more.table(text, _url(frame))) if names else measured


def _columns(rows: list[npt.NDArray[np.int64]], names: tuple[str, ...]) -> dict[str, npt.NDArray[np.generic]]:
    stacked = np.concatenate([*rows, np.empty((0, len(names)), dtype=np.int64)])
    return {name: np.ascontiguousarray(stacked[:, column]) for column, name in enumerate(names)}


def _url(frame: pl.DataFrame) -> pl.Series:
    if "url" in frame.columns:
        return frame["url"].cast(pl.String)
    return pl.Series("url", [None] * frame.height, dtype=pl.String)


def _word_counts(text: pl.Series, language: str) -> list[pl.Series]:
    """How often and how many different words of each list stand in the texts, which are searched once.

    Where words begin at one place the longest counts, and with it the words of other lists that it holds.
    """
    automaton, longest, holds = _words_of(language)
    if language == "en":
        text = text.str.to_lowercase()
    array = (text + "\n").to_arrow(compat_level=pl.CompatLevel.oldest())  # no word goes from one text into the next
    _, places, buffer = array.buffers()
    starts = np.frombuffer(places, dtype=np.int64)[array.offset :][: len(text)]
    data = memoryview(buffer or b"").cast("B")
    documents, hits = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    begin = 0
    while begin < len(data):
        # a match belongs to the block it begins in, and the next block begins after it
        end = begin + _BLOCK
        block = automaton.find_matches_as_indexes(data[begin : end + longest])
        matches = np.array(block, dtype=np.int64).reshape(-1, 3)
        matches = matches[matches[:, 1] < _BLOCK]
        documents.append(np.searchsorted(starts, begin + matches[:, 1], side="right") - 1)
        hits.append(matches[:, 0])
        begin = max(end, begin + int(matches[-1, 2])) if len(matches) else end
    found = pl.DataFrame({"row": np.concatenate(documents), "hit": np.concatenate(hits)}).join(holds, on="hit")
    counts = []
    for name in _LISTS:
        of_list = (
            found.filter(pl.col("list") == name)
            .group_by("row")
            .agg(pl.len().alias("words"), pl.col("word").n_unique().alias("distinct"))
        )
        rows = of_list["row"].to_numpy()
        for column, values in ((f"{name}_words", of_list["words"]), (f"distinct_{name}_words", of_list["distinct"])):
            whole = np.zeros(len(text), dtype=np.uint32)
            whole[rows] = values.to_numpy()
            counts.append(pl.Series(column, whole))
    return counts


_LISTS = ("shop", "menu")
_BLOCK = 1 << 22
"""Bytes searched for words at once: a block of nothing else gives a few hundred thousand matches."""
_MANUALS_SAY = "メニュー"
"""A menu's word that is no evidence of one: manuals of programs say it in every other line."""


@functools.cache
def _words_of(language: str) -> tuple[ahocorasick_rs.BytesAhoCorasick, int, pl.DataFrame]:
    """The search for all words of a language's lists, the longest first, the bytes of the longest, and which words of
    which list each of them holds: columns `hit`, `list`, `word`, one row a pair.
    """
    menu = tuple(word for word in MENU_WORDS if word != _MANUALS_SAY)
    lists = dict(zip(_LISTS, (SHOP_WORDS, menu), strict=True))
    if language == "en":
        lists = dict(zip(_LISTS, (ENGLISH_SHOP_WORDS, ENGLISH_MENU_WORDS), strict=True))
    words = sorted({word for one in lists.values() for word in one}, key=lambda word: (-len(word), word))
    pairs = []
    for number, hit in enumerate(words):
        for name, own in lists.items():
            left = hit
            for word in sorted(own, key=lambda word: (-len(word), word)):
                pairs += [(number, name, word)] * left.count(word)
                left = left.replace(word, "\n")
    holds = pl.DataFrame(pairs, schema={"hit": pl.Int64, "list": pl.String, "word": pl.String}, orient="row")
    encoded = [word.encode() for word in words]
    # a table of every state and byte class, twice as fast as what Polars chooses for so many words
    automaton = ahocorasick_rs.BytesAhoCorasick(
        encoded,
        matchkind=ahocorasick_rs.MatchKind.LeftmostFirst,
        implementation=ahocorasick_rs.Implementation.DFA,
    )
    return automaton, max(map(len, encoded)), holds


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """The quotient, null where the whole is zero."""
    return pl.when(whole > 0).then(part / whole)


def _expressions() -> dict[str, pl.Expr]:
    """Every signal as an expression over the counters, the word counts and the address."""
    column = pl.col
    length = column("length")
    lines = column("lines")
    japanese = column("hiragana") + column("katakana") + column("half_katakana") + column("kanji")
    letters = japanese + column("latin") + column("other_letters")

    def of_length(name: str) -> pl.Expr:
        return _share(column(name), length)

    def per_1000(part: pl.Expr) -> pl.Expr:
        return _share(1000 * part, length)

    def lines_share(name: str) -> pl.Expr:
        return _share(column(name), lines)

    sentences = column("term_sentences")
    enough = pl.when((sentences >= TOPIC_SENTENCES) & (column("hiragana") > 0))
    common_term = enough.then(column("topic_sentences") / sentences)
    polite = enough.then(column("polite_sentences") / sentences)
    mean_length = column("lengths") / sentences
    variance = column("squared_lengths") / sentences - mean_length**2
    variation = enough.then(variance.clip(lower_bound=0).sqrt() / mean_length)
    framed = pl.max_horizontal(of_length("framed_sentences"), of_length("framed_clauses"))
    wording = pl.when((length >= spam.SHORTEST) & (column("hiragana") > 0)).then(column("spam"))

    return {
        "characters": column("characters"),
        "characters_without_spaces": length,
        "utf8_bytes": column("utf8_bytes"),
        "lines": lines,
        "blank_line_share": _share(column("blank_lines"), column("blank_lines") + lines),
        "hiragana_share": of_length("hiragana"),
        "katakana_share": _share(column("katakana") + column("half_katakana"), length),
        "half_width_katakana_share": of_length("half_katakana"),
        "kanji_share": of_length("kanji"),
        "latin_share": of_length("latin"),
        "other_letter_share": of_length("other_letters"),
        "digit_share": of_length("digits"),
        "punctuation_share": of_length("punctuation"),
        "symbol_share": of_length("symbols"),
        "space_share": _share(column("characters") - length, column("characters")),
        "letter_share": _share(letters + column("marks"), column("characters")),
        "japanese_letter_share": _share(japanese, length),
        "japanese_of_letters": _share(japanese, letters),
        "hiragana_of_japanese_letters": _share(column("hiragana"), japanese),
        "sentence_ends_per_1000": per_1000(column("ends")),
        "mean_sentence_length": _share(column("sentence_length"), column("ends")),
        "longest_sentence": column("longest_sentence"),
        "sentence_line_share": of_length("sentence_line_length"),
        "prose_line_share": of_length("prose_line_length"),
        "text_line_share": of_length("text_line_length"),
        "ended_line_share": lines_share("ended_lines"),
        "ellipsis_line_share": lines_share("ellipsis_lines"),
        "cut_off_line_share": _share(column("cut_line_length"), column("long_line_length")),
        "bullet_line_share": lines_share("bullet_lines"),
        "short_line_share": lines_share("short_lines_10"),
        "lines_under_30_share": lines_share("short_lines_30"),
        "mean_line_length": lines_share("line_characters"),
        "longest_line": column("longest_line"),
        "table_line_share": of_length("table_line_length"),
        "number_line_share": of_length("number_line_length"),
        "code_line_share": of_length("code_line_length"),
        "repeated_line_share": of_length("repeated_line_length"),
        "repeated_lines_of_lines": _share(column("repeated_lines"), column("counted_lines")),
        "repeated_sentence_share": of_length("repeated_sentence_length"),
        "repeated_10gram_worst_window": column("repeated_10grams"),
        "repeated_5gram_worst_window": column("repeated_5grams"),
        "longest_character_run": column("longest_run"),
        "replacement_character_share": of_length("replacement"),
        "mojibake_share": _share(column("latin_soup") + column("sjis_soup"), length),
        "url_share": of_length("url_characters"),
        "prices_per_1000": per_1000(column("prices")),
        "commas_per_1000": per_1000(column("commas")),
        "japanese_gaps_per_1000": per_1000(column("japanese_gaps")),
        "particles_per_1000": _share(1000 * column("particles"), japanese),
        "distinct_particles": column("distinct_particles"),
        "curly_braces_per_1000": per_1000(column("curly")),
        "words": column("words"),
        "mean_word_length": _share(column("word_characters"), column("words")),
        "longest_word": column("longest_word"),
        "alphabetic_word_share": _share(column("letter_words"), column("words")),
        "hashes_per_word": _share(column("hashes"), column("words")),
        "ellipses_per_word": _share(column("ellipses"), column("words")),
        "ellipses_per_1000": per_1000(column("ellipses")),
        "english_stop_words": column("gopher_words"),
        "english_stop_word_share": _share(column("stop_words"), column("latin_words")),
        "english_stop_words_per_1000": per_1000(column("stop_words")),
        "shop_words_per_1000": per_1000(column("shop_words")),
        "distinct_shop_words": column("distinct_shop_words"),
        "menu_words_per_1000": per_1000(column("menu_words")),
        "distinct_menu_words": column("distinct_menu_words"),
        "shop_evidence_per_1000": pl.when(column("distinct_shop_words") >= 5)
        .then(per_1000(column("shop_words") + column("prices")))
        .otherwise(0.0),
        "menu_evidence_per_1000": pl.when(column("distinct_menu_words") >= 5)
        .then(per_1000(column("menu_words")))
        .otherwise(0.0),
        "spam_score": wording,
        "framed_sentence_share": of_length("framed_sentences"),
        "framed_clause_share": of_length("framed_clauses"),
        "common_term_share": common_term,
        "polite_present_share": polite,
        "sentence_length_variation": variation,
        "template_score": 1.5 * common_term + polite - 2 * variation.clip(upper_bound=0.7) + 2 * framed + wording,
        "garbled_line_share": of_length("garbled_line_length"),
        "odd_kanji_of_kanji": _share(column("odd_kanji"), column("kanji")),
        "host": column("url").str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)").str.to_lowercase(),
    }


_N, _F, _S = pl.UInt32, pl.Float32, pl.String

SIGNALS: Mapping[str, Signal] = {
    "characters": Signal(_N, "code points"),
    "characters_without_spaces": Signal(_N, "code points that are not white space: the length"),
    "utf8_bytes": Signal(_N, "UTF-8 bytes"),
    "lines": Signal(_N, "lines that hold more than white space"),
    "blank_line_share": Signal(_F, "blank lines, of all lines"),
    "hiragana_share": Signal(_F, "hiragana, of the length"),
    "katakana_share": Signal(_F, "katakana with ー and half-width forms, of the length"),
    "half_width_katakana_share": Signal(_F, "half-width katakana, of the length"),
    "kanji_share": Signal(_F, "kanji with 々〇〻, of the length"),
    "latin_share": Signal(_F, "Latin letters with full-width ones, of the length"),
    "other_letter_share": Signal(_F, "letters of all other scripts, of the length"),
    "digit_share": Signal(_F, "decimal digits with full-width ones, of the length"),
    "punctuation_share": Signal(_F, "punctuation (Unicode P), of the length"),
    "symbol_share": Signal(_F, "symbols (Unicode S), of the length"),
    "space_share": Signal(_F, "white space with newlines, of all characters"),
    "letter_share": Signal(_F, "letters and combining marks, of all characters (what OSCAR calls not noisy)"),
    "japanese_letter_share": Signal(_F, "hiragana, katakana and kanji, of the length"),
    "japanese_of_letters": Signal(_F, "hiragana, katakana and kanji, of all letters; null without letters"),
    "hiragana_of_japanese_letters": Signal(_F, "hiragana, of hiragana, katakana and kanji; null without them"),
    "sentence_ends_per_1000": Signal(_F, "sentence ends, per 1,000 of the length"),
    "mean_sentence_length": Signal(_F, "length per sentence end; null without any"),
    "longest_sentence": Signal(_N, "longest run without a sentence end inside one line, in length"),
    "sentence_line_share": Signal(_F, "length on lines with a sentence end after at least 8 letters, of the length"),
    "prose_line_share": Signal(
        _F,
        "length on lines of at least 20 Japanese letters, a fifth of them hiragana, "
        "or of at least 8 English words, 15% of them stop words; of the length",
    ),
    "text_line_share": Signal(
        _F, "length on lines that count for sentence_line_share or prose_line_share, of the length"
    ),
    "ended_line_share": Signal(
        _F, "lines that end in a sentence end (closing brackets and quotes may follow), of lines"
    ),
    "ellipsis_line_share": Signal(_F, "lines that end in … or ..., of lines"),
    "cut_off_line_share": Signal(
        _F,
        "length on lines of at least 20 that end in …, ... or ・・, of the length on lines of at least 20; null without",
    ),
    "bullet_line_share": Signal(_F, "lines that start with a bullet, of lines"),
    "short_line_share": Signal(_F, "lines of at most 10 characters, of lines"),
    "lines_under_30_share": Signal(_F, "lines of at most 30 characters, of lines"),
    "mean_line_length": Signal(_F, "characters per line, indentation not counted"),
    "longest_line": Signal(_N, "characters of the longest line, indentation not counted"),
    "table_line_share": Signal(_F, "length on lines with at least two | or tabs and no sentence end, of the length"),
    "number_line_share": Signal(_F, "length on lines of 30% digits or more and no sentence end, of the length"),
    "code_line_share": Signal(_F, "length on lines of 8% or more { } ; = < > ( _ and no sentence end, of the length"),
    "repeated_line_share": Signal(_F, "length of lines of at least 10 characters that stood before, of the length"),
    "repeated_lines_of_lines": Signal(
        _F, "lines that stood before, of lines of at least 10 characters; null without them"
    ),
    "repeated_sentence_share": Signal(
        _F, "length of sentences of at least 10 characters that stood before, of the length"
    ),
    "repeated_10gram_worst_window": Signal(
        _F, "share covered by 10-grams seen before in the same window of at most 20,000, worst window; null under 20"
    ),
    "repeated_5gram_worst_window": Signal(_F, "the same for 5-grams; null under 10"),
    "longest_character_run": Signal(_N, "longest run of one character that is not white space"),
    "replacement_character_share": Signal(_F, "U+FFFD, of the length"),
    "mojibake_share": Signal(
        _F,
        "runs of three or more of what bytes become in Latin-1 or Windows-1252, "
        "and 縺 繧 繝 of misread kana; of the length",
    ),
    "url_share": Signal(_F, "characters of http(s) addresses, of the length"),
    "prices_per_1000": Signal(_F, "numbers before 円 or after a currency sign, per 1,000 of the length"),
    "commas_per_1000": Signal(_F, "、，and comma, per 1,000 of the length"),
    "japanese_gaps_per_1000": Signal(_F, "single white space between Japanese letters, per 1,000 of the length"),
    "particles_per_1000": Signal(
        _F, "のにはをがでともへ straight after kanji, katakana, a Latin letter or a digit, per 1,000 Japanese letters"
    ),
    "distinct_particles": Signal(_N, "how many of のにはをがでともへ stand there at all, 0 to 9"),
    "curly_braces_per_1000": Signal(_F, "{ and }, per 1,000 of the length"),
    "words": Signal(_N, "runs between white space; words in English only"),
    "mean_word_length": Signal(_F, "characters per run between white space; null without any"),
    "longest_word": Signal(_N, "characters of the longest run between white space"),
    "alphabetic_word_share": Signal(_F, "runs between white space with at least one letter, of all"),
    "hashes_per_word": Signal(_F, "# per run between white space"),
    "ellipses_per_word": Signal(_F, "… and ... per run between white space"),
    "ellipses_per_1000": Signal(_F, "runs of …, of ‥ and of ... per 1,000"),
    "english_stop_words": Signal(_N, "how many of the, be, to, of, and, that, have, with stand in the text, 0 to 8"),
    "english_stop_word_share": Signal(_F, "common English words, of all runs of ASCII letters; null without any"),
    "english_stop_words_per_1000": Signal(_F, "common English words, per 1,000 of the length"),
    "shop_words_per_1000": Signal(_F, "shop and advertising words of the language, per 1,000 of the length"),
    "distinct_shop_words": Signal(_N, "how many different shop and advertising words stand in the text"),
    "menu_words_per_1000": Signal(_F, "menu and footer words of the language, per 1,000 of the length"),
    "distinct_menu_words": Signal(_N, "how many different menu and footer words stand in the text"),
    "shop_evidence_per_1000": Signal(
        _F,
        "shop words and prices, per 1,000 of the length; 0 unless at least five different shop words stand in the text",
    ),
    "menu_evidence_per_1000": Signal(
        _F, "menu words, per 1,000 of the length; 0 unless at least five different ones stand in the text"
    ),
    "spam_score": Signal(
        _F,
        "log-odds that a text so worded is advertising or a page made to be found, by the model of spam_ja.tsv; null "
        "for a length under 200 and without hiragana",
    ),
    "framed_sentence_share": Signal(
        _F,
        "length of sentences whose frame stands three times or more in the same window of about 4,000 characters, of the "
        "length; a frame is hiragana and 、 after the first other character, and one slot for all else, for endings of "
        "words and for short quotations; at least 4 hiragana",
    ),
    "framed_clause_share": Signal(_F, "the same for clauses, which end after 、 too"),
    "common_term_share": Signal(
        _F,
        "sentences with the commonest term of their window of about 4,000 characters, of sentences of at least 10 "
        "characters; a term is a run of two or more kanji, katakana or Latin letters; null under 8 sentences or without "
        "hiragana",
    ),
    "polite_present_share": Signal(
        _F,
        "of the same sentences, those that end in です, ます, ません, でしょう, ましょう or ください; null like that",
    ),
    "sentence_length_variation": Signal(
        _F, "standard deviation of the lengths of the same sentences, over their mean; null like that"
    ),
    "template_score": Signal(
        _F,
        "1.5 common_term_share + polite_present_share - 2 sentence_length_variation (at most 0.7) + 2 times the larger "
        "framed share + spam_score; null like that",
    ),
    "garbled_line_share": Signal(
        _F,
        "length on lines of at least 20 characters a fifth of which is debris of a wrong encoding: kanji that Japanese "
        "hardly uses, U+FFFD, broken runs of half-width or ASCII characters; of the length",
    ),
    "odd_kanji_of_kanji": Signal(_F, "kanji outside JIS X 0208 and the vendors' rows, of all kanji; null without any"),
    "host": Signal(_S, "host of the address, in lower case; null without an address"),
}

SOURCE_SIGNALS: Mapping[str, Signal] = {
    "oscar_quality_warnings": Signal(pl.List, "OSCAR's own warnings: tiny, short_sentences, header, footer, noisy"),
    "oscar_categories": Signal(pl.List, "names of the UT1 folders that list the page's host"),
    "oscar_other_language_lines": Signal(
        _F, "lines that OSCAR gives to another language, of its lines with a language"
    ),
    "oscar_harmful_pp": Signal(_F, "perplexity under a model of harmful text: low is harmful; null is unknown"),
    "oscar_language": Signal(_S, "the document's language as OSCAR found it"),
    "oscar_probability": Signal(_F, "its probability as OSCAR found it; may exceed 1 a little"),
    "language_score": Signal(
        _F, "probability of the language that the mix's language model finds; null without letters"
    ),
}
"""Columns that a source (or the language stage) brings and rules may use as they are; a rule on one that is absent
is recorded as not run."""
