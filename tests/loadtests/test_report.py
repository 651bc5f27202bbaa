import json

from loadtests.report import floor_json, floor_lines, noise_warning, row_json, table
from loadtests.rows import Floor, Round, Row

ROW = Row("c1", "one client", (Round(10, 2, 0.5, 4.321, 0, (("a", 0.25),)),), 3 * 1024 * 1024)


def test_the_table_has_a_line_for_each_row() -> None:
    heading, line, remote = table(
        [ROW, Row("c4", "four", (Round(10, 2, None, 4, 1, (("a", 0.25),)),), None)]
    ).splitlines()
    assert heading.split()[:2] == ["audio", "s/s"]
    assert line.split() == ["c1", "one", "client", "5.0", "250", "250", "4.32", "0", "0.050", "3"]
    assert remote.split()[-3:] == ["1", "-", "-"]


def test_a_floor_says_whether_it_was_met() -> None:
    lines = floor_lines([Floor("speed", 4, 3.5, True), Floor("delay", 12, 10, False)]).splitlines()
    assert lines == ["ok     speed: 4.00 (at least 3.5)", "MISSED delay: 12.00 (at most 10)"]
    assert floor_json(Floor("delay", 12, 10, False))["met"] is False


def test_json_holds_the_medians_and_every_round() -> None:
    data = json.loads(json.dumps(row_json(ROW)))
    assert (data["audio_s_per_s"], data["latency_p50_ms"], data["peak_rss_bytes"]) == (5, 250, 3 * 1024 * 1024)
    assert data["rounds"][0]["latencies_s"] == [["a", 0.25]]


def test_a_busy_machine_is_told_of() -> None:
    assert noise_warning({"load_1_min": 0.4, "cores": 2}) == ""
    assert "2.5" in noise_warning({"load_1_min": 2.5, "cores": 2})
