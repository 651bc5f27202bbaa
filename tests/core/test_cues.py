from gateway.core.cues import srt_cue, vtt_cue


def test_times_are_clocks() -> None:
    assert srt_cue(7, 3661.5, 3662.0004, " Hello. ") == "7\n01:01:01,500 --> 01:01:02,000\nHello.\n\n"


def test_times_are_rounded_upwards_into_the_next_unit() -> None:
    assert vtt_cue(0.0, 59.9996, "a").startswith("00:00:00.000 --> 00:01:00.000\n")


def test_nothing_in_a_text_ends_its_cue_or_begins_markup() -> None:
    assert srt_cue(1, 0, 1, "a\n\nb --> c").splitlines()[2:] == ["a b -> c", ""]
    assert vtt_cue(0, 1, "a & <b>").splitlines()[1] == "a &amp; &lt;b>"
