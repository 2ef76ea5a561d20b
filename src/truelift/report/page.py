"""The report as one self-contained page: no network, no script."""

from collections.abc import Iterable, Sequence
from html import escape
from re import sub

from truelift.report import equal_time, published, sections, tradeoff
from truelift.report.feature_figure import features_figure, panels
from truelift.report.figures import (
    CLASS_PALETTE,
    DARK_CLASS_PALETTE,
    DARK_PALETTE,
    PALETTE,
    curves,
    curves_figure,
    differences_figure,
    training_lines,
)
from truelift.report.summary import Summary
from truelift.report.table import HEADER, HEADER_LEGEND, cells
from truelift.report.tradeoff_figure import tradeoff_figure

_CSS = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #596273; --paper: #fff; --line: #dfe3ea; --card: #f5f6f8;
  --helps: #0b6b3a; --hurts: #a3221b; --undecided: #74560a; SERIES }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #a0a9b8; --paper: #14181f; --line: #303845;
  --card: #1c222c; --helps: #6cd69b; --hurts: #ff938a; --undecided: #e5c15a; DARK } }
@media print { :root { color-scheme: light; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 2.5rem 1.1rem 4rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.4rem, 4.5vw, 2rem); line-height: 1.25; margin: .2rem 0 1.6rem; text-wrap: balance; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 3rem 0 .7rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, figcaption, li { max-width: 44rem; text-wrap: pretty; } p, ul { margin: .6rem 0; } ul { padding-left: 1.2rem; }
.name, figcaption, .soft { color: var(--soft); font-size: .9rem; }
.verdicts { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem; }
.verdicts li { --tone: var(--undecided); max-width: none; padding: .75rem 1rem; background: var(--card);
  border-left: 4px solid var(--tone); border-radius: 4px; display: grid; grid-template-columns: 7rem 1fr;
  column-gap: 1rem; }
.verdicts .helps { --tone: var(--helps); } .verdicts .hurts { --tone: var(--hurts); }
.verdicts span:last-child { grid-column: 2; }
.badge { font-weight: 650; color: var(--tone); white-space: nowrap; }
@media (max-width: 34rem) { .verdicts li { display: block; } .verdicts b { margin-left: .5rem; }
  .verdicts span:last-child { display: block; } }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem 1rem .4rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
th:first-child, .text td, .text th { text-align: left; } .numbers td:not(:last-child) { min-width: 4rem; }
.text td { white-space: normal; min-width: 14rem; }
.published th:nth-child(2), .published td:nth-child(2) { text-align: left; min-width: 6rem; }
.published td:nth-child(2), .published td:last-child { white-space: normal; }
.published :is(th, td):not(:last-child) { padding-right: .7rem; }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; } tbody th { font-weight: 500; }
figure { margin: 1rem 0 0; } figure + figure { margin-top: 2rem; }
svg { width: 100%; max-width: 36rem; height: auto; display: block; }
figcaption { margin-top: .3rem; }
.wide svg { max-width: none; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1.2rem; }
.panels p { margin: 0; } .panels svg { max-width: 27rem; }
.panels text { paint-order: stroke; stroke: var(--paper); stroke-width: 2.5px; }
.classes { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .9rem; }
.classes li::before { content: ""; display: inline-block; margin-right: .4rem; border: .35rem solid var(--class);
  border-radius: 50%; }
pre { background: var(--card); padding: .7rem .9rem; border-radius: 4px; overflow-x: auto; font-size: .88rem; }
summary { cursor: pointer; font-weight: 600; margin-top: 1rem; }
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid-page; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""


def _variables(series: Sequence[str], classes: Sequence[str]) -> str:
    kinds = (("series", series), ("class", classes))
    return " ".join(f"--{kind}-{i}: {colour};" for kind, palette in kinds for i, colour in enumerate(palette))


_STYLE = _CSS.replace("SERIES", _variables(PALETTE, CLASS_PALETTE))
_STYLE = _STYLE.replace("DARK", _variables(DARK_PALETTE, DARK_CLASS_PALETTE))

# What a gradient rule or a freezing logs, by its name in metrics.jsonl.
_LOGGED = {
    "cosine": "the gradients' cosine",
    "auxiliary_weight": "auxiliary gradient's weight",
    "frozen_layers": "layers frozen",
}

_SYMBOLS = {"helps": "▲", "hurts": "▼", "undecided": "◆"}


def html_page(summary: Summary) -> str:
    """The whole page."""
    body = "\n".join(
        [
            f'<p class="name">truelift study · {escape(str(summary.study.plan["name"]))}</p>',
            f"<h1>{escape(summary.question)}</h1>",
            _verdicts(summary),
            _problems(summary),
            _section("The table", _table(HEADER, cells(summary.rows)), f'<p class="soft">{HEADER_LEGEND}</p>'),
            _published(summary),
            _section("Paired differences", _differences(summary)),
            _saving(summary),
            _section("Two noises", *_paragraphs(sections.noises(summary))),
            _section("Curves", *_curves(summary)),
            _features(summary),
            _others(summary),
            _section("Settings that differ", _table(("variant", "settings"), sections.settings(summary), kind="text")),
            _shared(summary),
            _section("Cost", *_paragraphs(sections.cost(summary))),
            _section("Environment", *_paragraphs(sections.environment(summary))),
            _section("How to repeat it", f"<pre>{escape(str(summary.study.plan['repeat']))}</pre>"),
            _section("How to read this", *_paragraphs(sections.reading(summary))),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(summary.question)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _paragraphs(lines: Iterable[str]) -> list[str]:
    return [f"<p>{escape(line)}</p>" for line in lines]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    show = escape if kind == "text" else _minus
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{show(cell)}</td>" for cell in others) + "</tr>"
        for name, *others in rows
    )
    # A table that scrolls must be reachable by the keyboard, and then must have a name.
    return (
        f'<div class="scroll" role="region" aria-label="table by {escape(header[0])}" tabindex="0">'
        f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
    )


def _minus(text: str) -> str:
    """Escaped, with a true minus sign before numbers: it is as wide as the plus."""
    return escape(sub(r"(?<![\w.-])-(?=\d)", "\u2212", text))


def _verdicts(summary: Summary) -> str:
    items = []
    for row in summary.compared:
        assert row.comparison is not None
        verdict = row.comparison.verdict
        words = summary.headlines[row.variant].removeprefix(f"{verdict} · {row.variant}: ")
        badge = f'<span class="badge">{_SYMBOLS[verdict]} {verdict}</span>'
        items.append(f'<li class="{verdict}">{badge} <b>{escape(row.variant)}</b> <span>{_minus(words)}</span></li>')
    return '<ul class="verdicts">\n' + "\n".join(items) + "\n</ul>"


def _problems(summary: Summary) -> str:
    if not summary.problems:
        return ""
    items = "\n".join(f"<li>{escape(line)}</li>" for line in summary.problems)
    return _section("Runs that are missing", f"<ul>\n{items}\n</ul>", f"<p>{sections.ONLY_PAIRS}</p>")


def _published(summary: Summary) -> str:
    rows = published.cells(summary)
    if not rows:
        return ""
    legend = f'<p class="soft">{escape(published.legend(summary))}</p>'
    return _section("Published figures", _table(published.HEADER, rows, "numbers published"), legend)


def _differences(summary: Summary) -> str:
    smallest = float(summary.study.plan["smallest_effect"])
    band = " Effects in the shaded band are too small to matter to the one who asked." if smallest > 0 else ""
    return (
        f"<figure>{differences_figure(summary)}<figcaption>The diamond is the mean of the differences, the bar its "
        f"95 % interval; the dots under it are the seeds, the first on top.{band}</figcaption></figure>"
    )


def _saving(summary: Summary) -> str:
    choices = tradeoff.trade_off(summary)
    if not choices:
        return ""
    better = "upwards" if summary.metric.higher_is_better else "downwards"
    caption = (
        f"To the right and {better} is better. Filled: the time saved as measured; hollow: as counted, joined to it; "
        "the bar is the 95 % interval of the mean over seeds; dotted: variants of one family, or the baseline in other "
        "lengths."
    )
    picture = tradeoff_figure(choices, summary.metric, equal_time.other_lengths(summary))
    table = _table(tradeoff.header(summary), tradeoff.cells(summary))
    return _section(
        "Saving",
        f'<figure class="wide">{picture}<figcaption>{caption}</figcaption></figure>',
        table,
        f'<p class="soft">{tradeoff.legend(summary)}</p>',
        *_at_equal_time(summary),
    )


def _at_equal_time(summary: Summary) -> list[str]:
    compared = equal_time.rows(summary)
    if not compared:
        return []
    table = _table(HEADER, cells(compared))
    return ["<h3>At equal time</h3>", table, f'<p class="soft">{equal_time.LEGEND}</p>']


def _curves(summary: Summary) -> list[str]:
    names = [row.variant for row in summary.rows]
    lines = training_lines(summary.study)
    caption = (
        "Mean over seeds; the band runs from the lowest seed to the highest. Each value is the mean over the last 2 % "
        "of the logged ones."
    )
    losses, errors = curves(lines, "train_loss"), curves(lines, "test_error")
    drawn = [
        ("training loss", losses, False),
        ("test error, %", errors, False),
        ("training error, %", curves(lines, "train_error"), False),
        *((label, curves(lines, key), True) for key, label in _LOGGED.items()),
    ]
    pictures = [
        curves_figure(names, found, label, name=f"curves-{number}", linear=linear)
        for number, (label, found, linear) in enumerate(drawn)
        if found
    ]
    panels = f'<div class="panels">\n{"".join(pictures)}\n</div>'
    figure = [f"<figure>{panels}<figcaption>{caption}</figcaption></figure>"] if pictures else []
    return [*figure, *_paragraphs(sections.without_curves(summary, losses.keys() | errors.keys()))]


def _features(summary: Summary) -> str:
    shown = panels(summary)
    if not shown:
        return ""
    missing = _paragraphs(sections.without_features(summary, [panel.variant for panel in shown]))
    return _section("Features", f"<figure>{features_figure(shown)}</figure>", *missing)


def _others(summary: Summary) -> str:
    if not summary.others:
        return ""
    full = [f"<h3>{escape(sections.title(name))}</h3>" + _table(HEADER, cells(r)) for name, r in summary.others.items()]
    return _section(
        "Other metrics",
        _table(*sections.others(summary)),
        f'<p class="soft">{sections.OTHERS_LEGEND}</p>',
        "<details><summary>Each in full</summary>\n" + "\n".join(full) + "\n</details>",
    )


def _shared(summary: Summary) -> str:
    rows = [(name, sections.setting(value)) for name, value in summary.study.plan["shared"].items()]
    if not rows:
        return ""
    table = _table(("setting", "value"), rows, "text")
    return f"<details><summary>Settings that all share</summary>\n{table}\n</details>"
