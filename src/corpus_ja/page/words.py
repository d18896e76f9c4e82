"""Every word of the page, English and Japanese side by side.

`{name}` stands for what the page puts in. Signals, rules, reasons of rules and notes of a build are the build's own
words and stay as they are. Rejected: one file a language (a forgotten key shows only on the other page).
"""

from typing import Literal

Language = Literal["ja", "en"]
Words = dict[str, str]

WORDS: dict[str, tuple[str, str]] = {
    # head
    "skip": ("Skip to the content", "本文へ移動"),
    "sections": ("Sections", "セクション"),
    "noscript": (
        "This page draws itself with JavaScript from the data inside it; it asks no server for anything.",
        "このページは内蔵データから JavaScript で描画されます。外部との通信は一切行いません。",
    ),
    "title": ("{name} · corpus report", "{name} · コーパスレポート"),
    "story": (
        "{tokens} training tokens in {rows} rows of {length}. Of {read} documents read from {sources} sources, {kept} ({share}) are kept; the others fell to: {reasons}.",
        "学習用 {tokens} トークン（{length} トークン × {rows} 行）。{sources} ソースから読んだ {read} 文書のうち {kept} 文書（{share}）を採用。除外の内訳：{reasons}。",
    ),
    "story_all": (
        "{tokens} training tokens in {rows} rows of {length}. All of the {read} documents read from {sources} sources are kept.",
        "学習用 {tokens} トークン（{length} トークン × {rows} 行）。{sources} ソースから読んだ {read} 文書をすべて採用。",
    ),
    "comma": (", ", "、"),
    "and": (" and ", " かつ "),
    "training_tokens": ("Training tokens", "学習トークン"),
    "tokens_exact": ("exactly {tokens}; {held} more held out", "正確には {tokens}、ほかに検証用 {held}"),
    "kept_documents": ("Documents kept", "採用した文書"),
    "of_read": ("{share} of {read} read", "読んだ {read} 文書の {share}"),
    "dropped_documents": ("Documents dropped", "除外した文書"),
    "unreadable_lines": ("Unreadable records", "読めないレコード"),
    "unreadable_note": ("set aside by name; not counted as read", "理由を記録して除外（読んだ文書数には含まない）"),
    "text_read": ("Text read", "読んだテキスト"),
    "text_kept": ("{bytes} of it kept, after cleaning", "うち採用 {bytes}（整形後）"),
    "seed": ("Seed", "シード"),
    "fingerprint": ("Fingerprint", "フィンガープリント"),
    "tokenizer": ("Tokenizer", "トークナイザー"),
    "vocabulary": ("Vocabulary", "語彙数"),
    "sequence_length": ("Row length", "行の長さ"),
    "packing": ("Packing", "パッキング"),
    "version": ("Version", "バージョン"),
    "footer": (
        "Made by corpus-ja. This file holds everything it shows and asks no server for anything. Charts by Vega and Vega-Lite (BSD 3-Clause).",
        "corpus-ja が作成。表示内容はすべてこのファイルに含まれ、外部との通信は行いません。グラフは Vega と Vega-Lite（BSD 3-Clause）による。",
    ),
    # tabs
    "tab_funnel": ("What became of it", "文書のゆくえ"),
    "tab_rules": ("Rules", "ルール"),
    "tab_limits": ("Limits", "しきい値"),
    "tab_documents": ("Documents", "文書を読む"),
    "tab_duplicates": ("Duplicates", "重複"),
    "tab_evaluation": ("Evaluation sets", "評価データ"),
    "tab_mix": ("Mix and tokens", "配合とトークン"),
    "tab_run": ("Run", "実行"),
    "tab_origin": ("Origin", "出所"),
    # general
    "source": ("Source", "ソース"),
    "all_sources": ("All sources", "全ソース"),
    "documents": ("Documents", "文書"),
    "tokens": ("Tokens", "トークン"),
    "bytes": ("Bytes", "バイト"),
    "characters": ("Characters", "文字"),
    "nothing": ("None.", "なし。"),
    "not_asked": ("This mix did not ask for it.", "この設定では行っていません。"),
    "unit": ("Count", "単位"),
    # funnel
    "lead_funnel": (
        (
            "Every document that was read has one fate, decided in this order: language, rules, evaluation sets, duplicates, mix. Bytes are UTF-8, of the cleaned text; "
            "tokens count the end-of-text token of each document. A document in another language is never encoded, so it has no tokens."
        ),
        (
            "読んだ文書の運命はひとつで、言語 → ルール → 評価データ → 重複 → 配合の順に決まります。バイトは整形後の UTF-8、トークンは文書ごとの終端トークンを含みます。"
            "対象外の言語の文書は符号化しないため、トークンは 0 です。"
        ),
    ),
    "chart_fates": ("What became of the documents of each source, as shares", "ソースごとの文書のゆくえ（割合）"),
    "axis_share": ("share", "割合"),
    "read": ("Read", "読込"),
    "encoded": ("Encoded", "符号化"),
    "kept_share": ("Kept share", "採用率"),
    "fate_kept": ("kept", "採用"),
    "fate_not_sampled": ("not needed by the mix", "配合で不使用"),
    "fate_contaminated": ("evaluation sets", "評価データ混入"),
    "fate_duplicates": ("duplicates", "重複"),
    "fate_rules": ("rules", "ルール"),
    "fate_language": ("another language", "対象外の言語"),
    "fate_where": ("where", "where 条件"),
    "fate_cleaning": ("cleaning", "整形"),
    "fate_unreadable": ("unreadable", "読込不可"),
    "unreadable_title": ("Unreadable records", "読めないレコード"),
    "lead_unreadable": (
        "Lines and records that are no documents, by reason. Each is listed with its file and line in the work folder.",
        "文書として読めなかった行やレコードの理由別の数。ファイル名と行番号は work フォルダーに記録されています。",
    ),
    "reason": ("Reason", "理由"),
    "lines": ("Records", "件数"),
    "in_sources": ("In", "ソース"),
    "cleaned_title": ("What cleaning took out or changed", "整形で取り除いた・変えた文字"),
    "lead_cleaned": (
        "In characters. `form` is the Unicode form that every text gets (NFC, control characters, line ends).",
        "単位は文字。form はすべてのテキストに適用する Unicode 正規化（NFC・制御文字・改行）です。",
    ),
    # rules
    "lead_rules": (
        (
            "A document falls when it breaks any rule, and is counted under the first it breaks, in order. “Alone” are the documents that no other rule would have dropped: "
            "what would come back if this rule were taken away. “Broken” counts every document that breaks it."
        ),
        (
            "文書はルールをひとつでも破ると除外され、順に見て最初に破ったルールに計上されます。「単独」はほかのどのルールにも触れない文書、つまりそのルールを外せば戻ってくる文書です。"
            "「違反」はそのルールを破る文書の総数です。"
        ),
    ),
    "chart_rules": (
        "Rules by documents: broken, dropped first, dropped alone",
        "ルール別の文書数：違反・最初に除外・単独で除外",
    ),
    "rule": ("Rule", "ルール"),
    "all_rules": ("All rules", "全ルール"),
    "keeps_when": ("keeps when", "採用条件："),
    "kept_when": ("kept when", "採用条件："),
    "rule_first": ("Dropped first", "最初に除外"),
    "rule_alone": ("Dropped alone", "単独で除外"),
    "rule_broken": ("Broken", "違反"),
    "of_judged": ("Of judged", "判定数比"),
    "tokens_alone": ("Tokens alone", "単独トークン"),
    "judged_documents": ("{judged} documents judged", "判定した文書：{judged}"),
    "none_of": ("none of", "いずれでもない："),
    "one_of": ("one of", "いずれか："),
    "missing_drop": ("dropped where there is no value", "値がなければ除外"),
    "not_run": ("not run: the build has no such column", "未実行：該当する列がない"),
    "no_rules": ("No source of this build has rules.", "このビルドにはルールがありません。"),
    "rules_not_recorded": (
        "This build was made before the manifest kept its rules. Remove its manifest.json and run the build again: finished work is not redone.",
        "このビルドの manifest にはルールが記録されていません。manifest.json を削除して再度ビルドしてください（済んだ処理はやり直しません）。",
    ),
    # limits
    "lead_limits": (
        (
            "Move a limit and see what it would keep. “Keeps” means: passes language and every rule, with all limits as they are set here. Rules are judged anew, all together, as a build does. "
            "What comes after the rules (evaluation sets, duplicates, the mix) is not decided anew: a document that comes back may still turn out to be a duplicate. Bars are as high as the square root of their documents."
        ),
        (
            "しきい値を動かすと、採用される量がその場で変わります。ここでの「採用」は、言語判定とすべてのルールを（いま設定しているしきい値で）通過することです。ルールはビルドと同じく全体を判定し直します。"
            "ルールより後の処理（評価データ・重複・配合）はやり直さないため、戻ってきた文書が重複と判定されることもあります。棒の高さは文書数の平方根です。"
        ),
    ),
    "sample_whole": (
        "The page holds the stored signals of all {judged} documents that the rules judged, so these numbers are exact: they are what a rebuild with the same limits counts.",
        "ルールが判定した {judged} 文書すべての測定値を内蔵しているため、数値は正確です（同じしきい値で再ビルドした結果と一致します）。",
    ),
    "sample_part": (
        (
            "The page holds the stored signals of {documents} of the {judged} documents that the rules judged, drawn by the build's seed. What the build kept is exact; the change is scaled up "
            "from the sample, ± half the width of a 95% interval."
        ),
        "ルールが判定した {judged} 文書から、ビルドのシードで抽出した {documents} 文書の測定値を内蔵しています。ビルド時の採用数は正確な値、変化分は標本からの推定です（± は 95% 信頼区間の半幅）。",
    ),
    "no_limits": ("No rule of this build compares a number.", "数値を比べるルールはありません。"),
    "no_streams": (
        "This browser cannot unpack the stored signals (DecompressionStream); a newer one can.",
        "このブラウザーは内蔵データを展開できません（DecompressionStream 非対応）。新しいブラウザーでご覧ください。",
    ),
    "keeps": ("Keeps {documents} documents, {tokens} tokens", "採用 {documents} 文書、{tokens} トークン"),
    "keeps_change": (
        "{documents} documents and {tokens} tokens against the build: {back} come back, {gone} fall.",
        "ビルド時との差：{documents} 文書、{tokens} トークン（復帰 {back}、除外 {gone}）。",
    ),
    "as_built": ("All limits stand as they were built.", "すべてのしきい値はビルド時のままです。"),
    "reset_all": ("Reset all limits", "すべて元に戻す"),
    "reset_to": ("Back to {limit}", "{limit} に戻す"),
    "limit_min": ("at least", "下限（以上）"),
    "limit_max": ("at most", "上限（以下）"),
    "limit_above": ("more than", "下限（超）"),
    "limit_below": ("less than", "上限（未満）"),
    "rule_breaks": (
        "{broken} documents break this rule, {alone} of them no other.",
        "このルールの違反 {broken} 文書、うち単独 {alone} 文書。",
    ),
    "without_value": ("{documents} documents have no value here.", "値のない文書：{documents}"),
    "hist_kept": ("kept", "採用"),
    "hist_dropped": ("dropped", "除外"),
    "hist_this": ("dropped, breaks a limit here", "除外（このしきい値に違反）"),
    "hist_others": ("dropped by other rules alone", "除外（ほかのルールのみ）"),
    "hist_limit": ("limit", "しきい値"),
    "chart_signal": (
        "Distribution of a signal over kept documents, above, and dropped ones, below, with the limits as lines",
        "測定値の分布。上が採用、下が除外の文書、縦線がしきい値",
    ),
    "chart_signal_of": (
        "Distribution of {signal} over kept and dropped documents, with its limits",
        "{signal} の分布（採用・除外の文書としきい値）",
    ),
    # documents
    "lead_documents": (
        (
            "Documents drawn by chance for every verdict, and of those kept. What made a document fall is marked; the mark is the part that the first broken rule measures, where a part can be named. "
            "Characters that cannot be seen stand as their code points."
        ),
        "判定ごとに無作為に選んだ文書と、採用した文書です。除外の原因となった箇所に印が付きます（最初に破ったルールが測る箇所を示せる場合）。目に見えない文字は符号位置で表示します。",
    ),
    "verdict": ("Verdict", "判定"),
    "all_verdicts": ("All verdicts", "すべての判定"),
    "search": ("Search these documents", "この中を検索"),
    "search_hint": ("text, id or address", "本文・ID・URL"),
    "found": ("{found} of {all} documents", "{all} 文書中 {found} 文書"),
    "more": ("Show more", "さらに表示"),
    "cut": ("{characters} more characters are not shown.", "ほかに {characters} 文字（省略）"),
    "before": ("{characters} characters before are not shown.", "前に {characters} 文字（省略）"),
    "of_build": ("{verdict} ({documents} in the build)", "{verdict}（ビルド全体で {documents}）"),
    "no_value": ("no value", "値なし"),
    "text_of": ("Text of {id}", "{id} の本文"),
    # duplicates
    "lead_duplicates": (
        "Documents that say the same as another: byte for byte after normalisation (exact), at the same address (url), or nearly (near). One of each cluster stays.",
        "ほかの文書と同じ内容の文書：正規化後に完全一致（exact）、同じ URL（url）、ほぼ同一（near）。クラスターごとに 1 文書を残します。",
    ),
    "living": ("Alive before", "直前の文書"),
    "duplicate_exact": ("Exact", "完全一致"),
    "duplicate_url": ("Same address", "同一 URL"),
    "duplicate_near": ("Near", "ほぼ同一"),
    "removed": ("Removed", "除去"),
    "of_living": ("Of alive", "除去率"),
    "sizes_title": ("Sizes of clusters", "クラスターの大きさ"),
    "chart_clusters": ("Number of clusters of duplicates by size", "重複クラスターの大きさの分布"),
    "cluster_size": ("documents in a cluster", "クラスター内の文書数"),
    "clusters": ("clusters", "クラスター数"),
    "largest_title": ("Largest clusters", "最大のクラスター"),
    "cluster_of": ("{documents} documents, {near} of them near", "{documents} 文書（うち near {near}）"),
    "stays": ("Stays:", "残す文書："),
    "left": ("left:", "除去："),
    "others": ("Others ({n} shown)", "ほかの文書（{n} 件表示）"),
    "not_compared": (
        "{documents} documents share a band with so many others that they were compared with the best of them only; near duplicates among them may have stayed.",
        "{documents} 文書は候補が多すぎるため一部とだけ比較しました。ほぼ同一の文書が残っている可能性があります。",
    ),
    "repeats_title": ("Repeated pieces of {source}", "{source} の繰り返し"),
    "repeats_say": (
        "{removed} repeated pieces of {kinds} kinds were taken out of {documents} documents ({bytes}).",
        "{kinds} 種 {removed} 個の繰り返しを {documents} 文書から除去（{bytes}）。",
    ),
    "piece": ("Piece", "繰り返された部分"),
    # evaluation
    "lead_evaluation": (
        "Items of evaluation sets looked for in every document. A document that holds one leaves training. Items too short to be told from ordinary language cannot be protected.",
        "評価データの各問を全文書から探し、含む文書は学習から外します。短すぎて普通の文と区別できない問は保護できません。",
    ),
    "evaluation_set": ("Set", "評価データ"),
    "items": ("Items", "問"),
    "items_found": ("Found", "発見"),
    "items_found_share": ("Share found", "発見率"),
    "unprotected": ("Unprotected", "保護不可"),
    "met_title": ("By source", "ソース別"),
    "with_items": ("Documents with items", "問を含む文書"),
    "with_contexts": ("Documents that share text with a context", "文脈と重なる文書"),
    "hits_title": ("Where items stand", "問の所在"),
    "hits_say": (
        "{hits} hits in {documents} documents; {shown} are listed, all of them in evaluation/hits.parquet of the build.",
        "{documents} 文書に {hits} 件。表示は {shown} 件（全件はビルドの evaluation/hits.parquet）。",
    ),
    "document": ("Document", "文書"),
    "item": ("Item", "問"),
    # mix
    "lead_mix": (
        "What the mix asked of each source, what there was, and what the training shards hold, in tokens.",
        "配合が各ソースに求めた量、使えた量、学習シャードに入った量（トークン）。",
    ),
    "chart_mix": ("Tokens asked, available and taken of each source", "ソースごとのトークン：要求・利用可能・使用"),
    "mix_asked": ("Asked", "要求"),
    "mix_available": ("Available", "利用可能"),
    "mix_taken": ("Taken", "使用"),
    "mix_share": ("Share of the mix", "構成比"),
    "epochs": ("Epochs", "エポック"),
    "held_out": ("Held out", "検証用"),
    "density_title": ("Tokens per character", "1 文字あたりのトークン"),
    "lead_density": (
        "Of kept documents, end-of-text included: the whole source as a point, the middle 80% of its documents as a line. More tokens per character mean a tokenizer that fits worse.",
        "採用した文書（終端トークン込み）。点はソース全体、線は文書の中央 80%。値が大きいほどトークナイザーの相性が悪いことを示します。",
    ),
    "chart_density": ("Tokens per character of each source", "ソースごとの 1 文字あたりのトークン数"),
    "tokens_per_character": ("Tokens per character", "トークン／文字"),
    "density_low": ("10% of documents below", "下位 10%"),
    "density_middle": ("Median document", "中央値"),
    "density_high": ("10% above", "上位 10%"),
    "bytes_per_token": ("Bytes per token", "バイト／トークン"),
    "packing_title": ("Packing", "パッキング"),
    "lead_packing": (
        "How documents were laid into rows. A document that would fit a row should not be cut; concatenation cuts many.",
        "文書を行に詰めた結果。1 行に収まる文書は切らないのが望ましく、単純連結では多くが切れます。",
    ),
    "rows": ("Rows", "行数"),
    "row_length": ("Tokens a row", "1 行のトークン"),
    "fill": ("Filled", "充填率"),
    "pieces_a_row": ("Pieces a row", "1 行の文書片"),
    "short_documents": ("Documents that fit a row", "1 行に収まる文書"),
    "short_cut": ("of them cut", "うち切断"),
    "short_cut_concat": ("cut by concatenation", "単純連結なら切断"),
    "train_shards": ("Training shards", "学習シャード"),
    "validation_shards": ("Validation shards", "検証シャード"),
    "shards_say": ("{files} files, {tokens} tokens", "{files} ファイル、{tokens} トークン"),
    # run
    "lead_run": (
        "Work of every stage, summed over its tasks, also those that an earlier run did. Throughput is text read per second of processor time.",
        "各段階の処理量（全タスクの合計。以前の実行で済んだものも含む）。処理速度は CPU 時間 1 秒あたりに読んだテキストです。",
    ),
    "chart_stages": ("Processor seconds of each stage", "段階ごとの CPU 時間"),
    "cpu_seconds": ("Processor seconds", "CPU 秒"),
    "seconds": ("Seconds", "秒"),
    "stage": ("Stage", "段階"),
    "all_stages": ("All stages", "全段階"),
    "tasks": ("Tasks", "タスク"),
    "text_bytes": ("Text read", "読んだテキスト"),
    "throughput": ("MB/s", "MB/s"),
    "peak_memory": ("Peak memory of a task", "タスクの最大メモリー"),
    # origin
    "lead_origin": (
        "Where the text comes from, under which licence, and the mix as it was run.",
        "テキストの出所とライセンス、実行した設定。",
    ),
    "kind": ("Kind", "種類"),
    "address": ("Address", "所在"),
    "revision": ("Revision", "リビジョン"),
    "license": ("Licence", "ライセンス"),
    "license_unknown": ("not stated in the mix", "記載なし"),
    "wanted_language": ("Language", "言語"),
    "any_language": ("any", "指定なし"),
    "inputs": ("Files", "ファイル"),
    "more_inputs": ("and {n} more", "ほか {n} ファイル"),
    "versions_title": ("Versions", "バージョン"),
    "yaml_title": ("The mix as run", "実行した設定"),
}


def words_in(language: Language) -> Words:
    """Every key in one language."""
    place = ("en", "ja").index(language)
    return {key: both[place] for key, both in WORDS.items()}
