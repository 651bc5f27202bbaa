"""One HTML page of a run, with its pictures inside: readable without a network."""

import dataclasses
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

import psutil

from loadtests.soak import ledger
from loadtests.soak.figures import Pictures
from loadtests.soak.ledger import read_ledger
from loadtests.soak.memory import MIB
from loadtests.soak.run import Run

_MEASURES: Final = (
    ("stream", "end of speech to final"),
    ("stream", "first partial"),
    ("realtime", "end of speech to completed"),
    ("file", "upload to answer, short file"),
    ("file", "upload to answer, long file"),
)
# What a terminal shows of a run in which much has failed.
_TOLD: Final = 20
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .5em 0 1.5em } td, th { padding: .25em .8em; border-bottom: 1px solid #ddd;
text-align: left; vertical-align: top } th { background: #f4f4f4 } td.n { text-align: right;
font-variant-numeric: tabular-nums } .ok { color: #2a7f62 } .bad { color: #c0392b; font-weight: bold }
h1 span { padding: 0 .4em } h1 .ok { color: white; background: #2a7f62 }
h1 .bad { color: white; background: #c0392b }
svg { max-width: 100%; height: auto }
"""


def write_report(run: Run, path: Path) -> None:
    """Writes the page."""
    entries = read_ledger(run.plan.folder / "warmup.jsonl") + list(run.evidence.entries)
    end_s = run.samples[-1].at_s
    disturbed = {entry.name: entry.at_s for entry in entries if entry.kind == ledger.DISTURBANCE}
    pictures = Pictures(run.samples[0].at_s, end_s, {**run.marks, **disturbed})
    word, look = ("pass", "ok") if run.passed else ("FAIL", "bad")
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Soak: {word}</title><style>{_STYLE}</style>",
        f"<h1>Soak <span class={look}>{word}</span></h1>",
        _configuration(run),
        "<h2>Verdict</h2>",
        _table(("", "what", "measured", "limit"), (_finding_cells(run))),
        *(["<h2>What allocates, under the load once more</h2>", _lines(run.allocations)] if run.allocations else []),
        "<h2>Memory</h2>",
        pictures.memory(run.samples, run.evidence.fits),
        "<h2>Users</h2>",
        _table(("kind", "what", "ok", "failed", "p50 ms", "p95 ms", "p99 ms"), _tally_cells(run)),
        _refusals(run),
        pictures.throughput(entries),
        "<h2>Latency</h2>",
        pictures.latency(entries, _MEASURES),
        "<h2>Counts</h2>",
        pictures.counts(run.samples),
        "<details><summary>Every count of the idle gateway, before and after the load</summary>",
        _table(("count", "before", "after"), _count_cells(run)),
        "</details></html>",
    ]
    path.write_text("\n".join(parts), encoding="utf-8")


def write_samples(run: Run, path: Path) -> None:
    """Writes every look at the service as a line of JSON, for other tools."""
    path.write_text("".join(json.dumps(dataclasses.asdict(sample)) + "\n" for sample in run.samples))


def findings_text(run: Run) -> str:
    """The verdict as lines for a terminal."""
    told = [found for found in run.findings if not found.passed or not found.subject.startswith("gateway: ")]
    lines = [
        f"  {'ok  ' if found.passed else 'FAIL'}  {found.subject}: {found.measured} ({found.limit})"
        for found in told[:_TOLD]
    ]
    lines += [f"  and {len(told) - _TOLD} more in the report"] * (len(told) > _TOLD)
    lines += [f"        allocates: {line}" for line in run.allocations[:5]]
    return "\n".join(lines)


def _configuration(run: Run) -> str:
    plan = run.plan
    rows = (
        ("when", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.samples[0].at_s))),
        ("model", plan.model),
        ("shape", f"{plan.shape}, {plan.load_s:g} s after a warm-up of {plan.warm_s:g} s or more"),
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / MIB:,.0f} MiB"),
        ("software", f"Linux {platform.release()}, Python {platform.python_version()}"),
        ("samples", f"{len(run.samples)}, one every {plan.every_s:g} s"),
        ("built-in leak", run.leak or "none"),
    )
    return _table(("", ""), [tuple(escape(cell) for cell in row) for row in rows])


def _finding_cells(run: Run) -> Iterable[Sequence[str]]:
    for found in run.findings:
        mark = "<span class=ok>ok</span>" if found.passed else "<span class=bad>FAIL</span>"
        yield mark, escape(found.subject), escape(found.measured), escape(found.limit)


def _tally_cells(run: Run) -> Iterable[Sequence[str]]:
    for tally in ledger.tallies(run.evidence.entries):
        times = (f"{value:,.0f}" for value in (tally.p50_ms, tally.p95_ms, tally.p99_ms))
        yield escape(tally.kind), escape(tally.name), f"{tally.ok:,}", f"{tally.failed:,}", *times


def _count_cells(run: Run) -> Iterable[Sequence[str]]:
    before, after = run.evidence.before, run.evidence.after
    for name in sorted({*before, *after}):
        yield escape(name), f"{before.get(name, 0):,g}", f"{after.get(name, 0):,g}"


def _refusals(run: Run) -> str:
    shed = ledger.shed(run.evidence.entries)
    failed = ledger.failures(run.evidence.entries)
    lines = [f"{count:,} x {what}" for what, count in shed.most_common()]
    wrong = [f"{count:,} x {what}" for what, count in failed.most_common()]
    return f"<h3>Shed ({shed.total():,})</h3>{_lines(lines)}<h3>Failed ({failed.total():,})</h3>{_lines(wrong)}"


def _lines(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else "<p>none</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>"


def _cell(text: str) -> str:
    return f"<td class=n>{text}</td>" if text.replace(",", "").replace(".", "").isdecimal() else f"<td>{text}</td>"
