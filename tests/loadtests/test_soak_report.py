import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from loadtests.soak.ledger import Entry, failures, read_ledger, shed, tallies
from loadtests.soak.memory import HELD, MIB, Held, Sample
from loadtests.soak.report import findings_text, write_report
from loadtests.soak.run import Plan, Run
from loadtests.soak.slopes import fit
from loadtests.soak.thresholds import PROCESSES, THRESHOLDS
from loadtests.soak.verdict import Evidence, judge

START_S = 1_700_000_000.0
FINAL = "end of speech to final"


def sample(number: int) -> Sample:
    held = Held(7, (200 + number) * MIB, (150 + number) * MIB, (100 + number) * MIB, 12, 34)
    return Sample(START_S + 5 * number, dict.fromkeys(PROCESSES, held), 32 * MIB, dict.fromkeys(HELD, 1.0))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run in which memory grows by 1 MiB every 5 s, with a failure and something shed."""
    samples = [sample(number) for number in range(60)]
    times = np.random.default_rng(3).uniform(0, 300, 200)
    entries = [Entry(START_S + at, "stream", FINAL, 900 + at, "ok", "") for at in sorted(times)]
    entries.append(Entry(START_S + 10, "file", "<short>", 1.0, "failed", "WrongError: 90 % of 5 words"))
    entries.append(Entry(START_S + 11, "shed", "short file: HTTP 503", 1.0, "shed", ""))
    points = {name: [(each.at_s, each.processes[name].uss_bytes / MIB) for each in samples] for name in PROCESSES}
    fits = {name: fit(each, confidence=0.95) for name, each in points.items()}
    counts = dict.fromkeys(HELD, 0.0)
    evidence = Evidence(counts, {**counts, "objects of x": 2}, samples[0], samples[-1], fits, entries, [])
    plan = Plan("tiny.en", "steady", 15, 1, 300, 5, tmp_path)
    findings = judge(evidence, THRESHOLDS)
    marks = {"warmup": START_S, "steady": START_S + 30}
    return Run(plan, None, samples, marks, evidence, findings, ["a/b.py:3: +9.00 MiB"])


def test_a_report_is_one_page_that_needs_no_network(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(run, page)
    text = page.read_text()
    assert text.count("<svg") == 4
    for told in ("FAIL", "MiB/h", "objects of x", "a/b.py:3", "&lt;short&gt;", "short file: HTTP 503", "p95"):
        assert told in text
    assert "<short>" not in text
    assert not re.findall(r"(?:src|href)=.?https?:|<script|@import", text)


def test_a_terminal_is_told_what_failed(run: Run) -> None:
    told = findings_text(run)
    assert "FAIL  private memory of gateway: +720.0 MiB/h" in told
    assert "FAIL  gateway: objects of x: 0 -> 2" in told
    assert "tritone_sessions" not in told
    many = replace(run, findings=[replace(run.findings[-1], passed=False)] * 30)
    assert "and 10 more in the report" in findings_text(many)
    assert not run.passed


def test_a_ledger_is_read_as_it_was_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(json.dumps(asdict(entry)) + "\n" for entry in run.evidence.entries))
    assert read_ledger(path) == list(run.evidence.entries)
    assert read_ledger(tmp_path / "none") == []


def test_entries_are_summed_up(run: Run) -> None:
    short, stream = tallies(run.evidence.entries)
    assert (short.ok, short.failed, np.isnan(short.p50_ms)) == (0, 1, True)
    assert (stream.name, stream.ok) == (FINAL, 200)
    assert 900 < stream.p50_ms < stream.p95_ms < stream.p99_ms < 1200
    assert shed(run.evidence.entries) == {"short file: HTTP 503": 1}
    assert failures(run.evidence.entries) == {"file <short>: WrongError: 90 % of 5 words": 1}
