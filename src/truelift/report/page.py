"""The report as one self-contained page: no network, no script."""

from collections.abc import Iterable, Sequence
from html import escape

from truelift.report import sections
from truelift.report.figures import curves_figure, differences_figure
from truelift.report.summary import Summary
from truelift.report.table import HEADER, HEADER_LEGEND, cells

_CSS = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5b6475; --paper: #fff; --line: #dfe3ea; --card: #f6f7f9;
  --helps: #0b6b3a; --hurts: #a3221b; --undecided: #7a5b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #a0a9b8; --paper: #14181f; --line: #303845;
  --card: #1c222c; --helps: #6cd69b; --hurts: #ff938a; --undecided: #e5c15a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 2rem 1.1rem 4rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.4rem, 4.5vw, 2rem); line-height: 1.25; margin: .2rem 0 1.4rem; text-wrap: balance; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; }
p, figcaption, li { max-width: 44rem; }
.name, figcaption, .soft { color: var(--soft); font-size: .9rem; }
.verdicts { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem; }
.verdicts li { max-width: none; padding: .7rem .9rem; background: var(--card); border-left: 4px solid;
  border-radius: 4px; }
.helps { border-color: var(--helps) !important; } .hurts { border-color: var(--hurts) !important; }
.undecided { border-color: var(--undecided) !important; }
.badge { font-weight: 650; } .helps .badge { color: var(--helps); } .hurts .badge { color: var(--hurts); }
.undecided .badge { color: var(--undecided); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .7rem .38rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:last-child, td:last-child, .text td, .text th { text-align: left; }
.text td { white-space: normal; }
th { font-weight: 600; color: var(--soft); }
figure { margin: 1rem 0 0; } svg { width: 100%; max-width: 40rem; height: auto; display: block; }
pre { background: var(--card); padding: .7rem .9rem; border-radius: 4px; overflow-x: auto; font-size: .88rem; }
details summary { cursor: pointer; font-weight: 600; margin-top: 1rem; }
@media print { body { max-width: none; padding: 0; } }
"""

_SYMBOLS = {"helps": "▲", "hurts": "▼", "undecided": "◆"}


def html_page(summary: Summary) -> str:
    """The whole page."""
    body = "\n".join(
        [
            f'<p class="name">truelift study · {escape(str(summary.study.plan["name"]))}</p>',
            f"<h1>{escape(summary.question)}</h1>",
            _verdicts(summary),
            _problems(summary),
            _section("The table", _table(HEADER, map(cells, summary.rows)), f"<p class=soft>{HEADER_LEGEND}</p>"),
            _section("Paired differences", _differences(summary)),
            _section("Two noises", *_paragraphs(sections.noises(summary))),
            _section("Curves", *_curves(summary)),
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
        f"<title>{escape(summary.question)}</title>\n<style>{_CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _paragraphs(lines: Iterable[str]) -> list[str]:
    return [f"<p>{escape(line)}</p>" for line in lines]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _verdicts(summary: Summary) -> str:
    items = []
    for row in summary.compared:
        assert row.comparison is not None
        verdict = row.comparison.verdict
        _, _, words = summary.headlines[row.variant].partition(" · ")
        badge = f'<span class="badge">{_SYMBOLS[verdict]} {verdict}</span>'
        items.append(f'<li class="{verdict}">{badge} · {escape(words)}</li>')
    return '<ul class="verdicts">\n' + "\n".join(items) + "\n</ul>"


def _problems(summary: Summary) -> str:
    if not summary.problems:
        return ""
    items = "\n".join(f"<li>{escape(line)}</li>" for line in summary.problems)
    return _section(
        "Runs that are missing", f"<ul>\n{items}\n</ul>", "<p>Only complete pairs of seeds are compared.</p>"
    )


def _differences(summary: Summary) -> str:
    return (
        f"<figure>{differences_figure(summary)}<figcaption>A dot a seed; the diamond is their mean, the bar its 95 % "
        "interval. Effects in the shaded band are too small to matter to the one who asked.</figcaption></figure>"
    )


def _curves(summary: Summary) -> list[str]:
    study = summary.study
    pictures = [
        curves_figure(study, "train_loss", "training loss", rolling=True, name="loss"),
        curves_figure(study, "test_error", "test error, %", rolling=False, name="error"),
    ]
    caption = "Mean over seeds; the band runs from the lowest seed to the highest; the loss is a rolling average."
    shown = [f"<figure>{picture}<figcaption>{caption}</figcaption></figure>" for picture in pictures if picture]
    return shown or ["<p>The runs left no curves (no metrics.jsonl).</p>"]


def _others(summary: Summary) -> str:
    if not summary.others:
        return ""
    parts = [
        f"<h3>{escape(sections.title(name))}</h3>" + _table(HEADER, map(cells, r)) for name, r in summary.others.items()
    ]
    note = "<p class=soft>Looked at beside the question; each metric is corrected for its own variants alone.</p>"
    return f"<details><summary>Other metrics</summary>\n{note}\n" + "\n".join(parts) + "\n</details>"


def _shared(summary: Summary) -> str:
    rows = [(name, str(value)) for name, value in summary.study.plan["shared"].items()]
    if not rows:
        return ""
    return (
        f"<details><summary>Settings that all share</summary>\n{_table(('setting', 'value'), rows, 'text')}\n</details>"
    )
