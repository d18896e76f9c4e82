"""The page's charts as Vega-Lite specifications, written with Altair and checked by its schema.

Each function returns one specification over named, empty data sets; the page fills them (`view.data(name, rows)`), so
that a slider redraws a chart without a new one, and thirty histograms share one specification. Colours are CSS custom
properties, which the SVG obeys: light, dark and print need no second chart. Vega's expressions are interpreted, never
compiled, for the page forbids `eval`. Rejected: charts drawn ahead as SVG (a slider could not move them), and canvas
(not sharp on paper, and black on a dark page).
"""

from typing import Any

from corpus_ja.page.words import Words

FATES = ("kept", "not_sampled", "contaminated", "duplicates", "rules", "language", "where", "cleaning", "unreadable")
"""What can become of a document, as the funnel names it; each has a colour `--fate-NAME` in the page's style."""

BRIEF = "format(datum.value, '~s')"
"""1.5k, and 0 where Vega's own format of the axis says 0k."""
FONT = "system-ui, 'Hiragino Sans', 'Noto Sans JP', 'Noto Sans CJK JP', sans-serif"
"""Measures the room for labels; the page's own style says what is drawn."""


def specifications(words: Words) -> dict[str, Any]:
    """All specifications by name, as plain JSON values."""
    return {
        "fates": _plain(_fates(words)),
        "rules": _plain(_rules(words)),
        "signal": _plain(_signal(words)),
        "clusters": _plain(_clusters(words)),
        "mix": _plain(_mix(words)),
        "density": _plain(_density(words)),
        "stages": _plain(_stages(words)),
    }


def _plain(chart: Any) -> dict[str, Any]:  # noqa: ANN401 - Altair has many kinds of chart
    configured = (
        chart.configure(font=FONT, background="transparent", autosize={"type": "pad"})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor="var(--ink-soft)",
            titleColor="var(--ink-soft)",
            titleFontWeight="normal",
            titleFontSize=12,
            labelFontSize=12,
            gridColor="var(--line)",
            domainColor="var(--line-strong)",
            tickColor="var(--line-strong)",
            labelLimit=220,
        )
        .configure_legend(
            labelColor="var(--ink-soft)",
            titleColor="var(--ink-soft)",
            labelFontSize=12,
            orient="top",
            title=None,
            symbolType="square",
            labelLimit=400,
        )
    )
    specification: dict[str, Any] = configured.to_dict()
    # The page compiles them itself: its own copy of Vega-Lite, no address to ask.
    specification.pop("$schema", None)
    return specification


def _fates(words: Words) -> Any:  # noqa: ANN401
    """One bar a source: what became of its documents (or bytes, or tokens). Rows: source, fate, label, start, end,
    amount, share.
    """
    import altair as alt

    labels = [words[f"fate_{fate}"] for fate in FATES]
    return (
        alt.Chart(alt.NamedData("fates"), description=words["chart_fates"], height={"step": 26})
        .mark_bar()
        .encode(
            y=alt.Y("source:N", sort=None, title=None),
            x=alt.X("start:Q", title=words["axis_share"], scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            x2="end",
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=labels, range=[f"var(--fate-{fate})" for fate in FATES]),
                legend=alt.Legend(columns=5),
            ),
            tooltip=["source:N", "label:N", "amount:N", alt.Tooltip("share:Q", format=".2%")],
            description="told:N",
        )
    )


def _rules(words: Words) -> Any:  # noqa: ANN401
    """What every rule breaks, drops first, and drops alone, one bar inside the other. Rows: rule, kind, documents."""
    import altair as alt

    kinds = [words["rule_broken"], words["rule_first"], words["rule_alone"]]
    base = alt.Chart(alt.NamedData("rules"), height={"step": 20}).encode(
        y=alt.Y("rule:N", sort=None, title=None, axis=alt.Axis(labelLimit=320)),
        x=alt.X("documents:Q", stack=None, title=words["documents"], axis=alt.Axis(tickMinStep=1, format=",d")),
        color=alt.Color(
            "kind:N", scale=alt.Scale(domain=kinds, range=["var(--broken)", "var(--first)", "var(--alone)"])
        ),
        tooltip=["rule:N", "kind:N", alt.Tooltip("documents:Q", format=",d")],
    )
    bars = [
        base.mark_bar(size=size).transform_filter(alt.FieldEqualPredicate(field="kind", equal=kind))
        for kind, size in zip(kinds, (15, 11, 6), strict=True)
    ]
    return alt.layer(*bars).properties(description=words["chart_rules"])


def _signal(words: Words) -> Any:  # noqa: ANN401
    """A signal over kept documents (above) and dropped ones (below), each with its own height, limits as lines.

    Heights are square roots: nine documents that a limit drops are seen beside nine thousand that others drop.

    The legend stands once above all of them, in the page. Rows of `kept` and `dropped`: left, right, low, high, n, label; of `limits`: value. The page sets the scale of x.
    """
    import altair as alt

    x = alt.X("left:Q", title=None, scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(grid=False, tickCount=6))
    labels = [words["hist_kept"], words["hist_this"], words["hist_others"]]
    colors = alt.Scale(domain=labels, range=["var(--kept)", "var(--this)", "var(--others)"])

    def half(name: str, height: int, title: str, *, upper: bool) -> Any:  # noqa: ANN401
        own = x if not upper else x.axis(None)
        bars = (
            alt.Chart(alt.NamedData(name), height=height)
            .mark_rect(stroke=None)
            .encode(
                x=own,
                x2="right",
                y=alt.Y(
                    "low:Q",
                    title=title,
                    scale=alt.Scale(type="sqrt", reverse=not upper, nice=True, domainMin=0),
                    axis=alt.Axis(tickCount=2, tickMinStep=1, labelExpr=BRIEF),
                ),
                y2="high",
                color=alt.Color("label:N", scale=colors, legend=None),
                tooltip=[
                    "label:N",
                    alt.Tooltip("left:Q", format=".4~g"),
                    alt.Tooltip("right:Q", format=".4~g"),
                    alt.Tooltip("n:Q", format=",.0f"),
                ],
            )
        )
        line = (
            alt.Chart(alt.NamedData("limits"))
            .mark_rule(color="var(--limit)", strokeWidth=2)
            .encode(x=alt.X("value:Q", scale=alt.Scale(zero=False, nice=False)))
        )
        return alt.layer(bars, line)

    return alt.vconcat(
        half("kept", 70, words["hist_kept"], upper=True),
        half("dropped", 56, words["hist_dropped"], upper=False),
        spacing=2,
        description=words["chart_signal"],
    ).resolve_scale(x="shared", color="shared")


def _clusters(words: Words) -> Any:  # noqa: ANN401
    """How many clusters of each size. Rows: size, clusters."""
    import altair as alt

    return (
        alt.Chart(alt.NamedData("clusters"), description=words["chart_clusters"], height=180)
        .mark_bar(color="var(--fate-duplicates)", size=26)
        .encode(
            x=alt.X("size:O", sort=None, title=words["cluster_size"], axis=alt.Axis(labelAngle=0)),
            y=alt.Y(
                "clusters:Q",
                title=words["clusters"],
                scale=alt.Scale(type="sqrt"),
                axis=alt.Axis(labelExpr=BRIEF, tickCount=5),
            ),
            tooltip=["size:O", alt.Tooltip("clusters:Q", format=",d")],
        )
    )


def _mix(words: Words) -> Any:  # noqa: ANN401
    """Asked, available and taken tokens of every source. Rows: source, kind, tokens."""
    import altair as alt

    kinds = [words["mix_asked"], words["mix_available"], words["mix_taken"]]
    return (
        alt.Chart(alt.NamedData("mix"), description=words["chart_mix"], height={"step": 11})
        .mark_bar()
        .encode(
            y=alt.Y("source:N", sort=None, title=None),
            yOffset=alt.YOffset("kind:N", sort=kinds),
            x=alt.X("tokens:Q", title=words["tokens"], axis=alt.Axis(labelExpr=BRIEF, tickCount=6)),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=["var(--others)", "var(--broken)", "var(--kept)"]),
            ),
            tooltip=["source:N", "kind:N", alt.Tooltip("tokens:Q", format=",d")],
        )
    )


def _density(words: Words) -> Any:  # noqa: ANN401
    """Tokens per character of kept documents: the whole source as a point, the middle 80% of documents as a line.

    Rows: source, low, high, all.
    """
    import altair as alt

    base = alt.Chart(alt.NamedData("density"), height={"step": 26}).encode(y=alt.Y("source:N", sort=None, title=None))
    tips = [
        "source:N",
        alt.Tooltip("all:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f"),
        alt.Tooltip("high:Q", format=".3f"),
    ]
    spread = base.mark_rule(strokeWidth=4, color="var(--broken)", strokeCap="round").encode(
        x=alt.X("low:Q", title=words["tokens_per_character"], axis=alt.Axis(format=".2f")), x2="high", tooltip=tips
    )
    whole = base.mark_point(filled=True, size=90, color="var(--kept)", opacity=1).encode(x="all:Q", tooltip=tips)
    return alt.layer(spread, whole).properties(description=words["chart_density"])


def _stages(words: Words) -> Any:  # noqa: ANN401
    """Processor seconds of every stage. Rows: stage, seconds."""
    import altair as alt

    return (
        alt.Chart(alt.NamedData("stages"), description=words["chart_stages"], height={"step": 20})
        .mark_bar(color="var(--kept)")
        .encode(
            y=alt.Y("stage:N", sort=None, title=None),
            x=alt.X("seconds:Q", title=words["cpu_seconds"], axis=alt.Axis(labelExpr=BRIEF, tickCount=6)),
            tooltip=["stage:N", alt.Tooltip("seconds:Q", format=",.1f")],
        )
    )
