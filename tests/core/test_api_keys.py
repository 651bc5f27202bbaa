import pytest

from gateway.core.api_keys import ApiKey, KeyFileError, Keyring, key_named, parse_keys

USER, ADMIN = key_named("shop", "trt_1", is_admin=False), key_named("ops@home", "trt_2", is_admin=True)


def test_a_file_is_read_as_it_was_written() -> None:
    text = f"# who may\n\n{USER}  # the shop's\n  {ADMIN}\n"
    assert parse_keys(text, max_keys=2) == (USER, ADMIN)


def test_no_key_stands_in_its_line() -> None:
    assert "trt_1" not in str(USER)
    assert str(USER).startswith("shop user ")
    assert str(ADMIN).startswith("ops@home admin ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shop user", "line 2 is not"),
        (f"shop root {USER.digest}", "line 2 is not"),
        (f"shop user {USER.digest[1:]}", "line 2 is not"),
        (f"shop user {USER.digest.upper()}", "line 2 is not"),
        (f"sh/op user {USER.digest}", "line 2 is not"),
        ("trt_a-key-by-mistake", "line 2 is not"),
        (str(ApiKey("ops@home", False, USER.digest)), "line 2: the name ops@home is there twice"),
        (f"{USER}\n{key_named('third', 'x', is_admin=False)}", "more than 2 keys: raise --max-api-keys"),
    ],
)
def test_a_file_that_is_wrong_is_refused_as_a_whole(line: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message) as caught:
        parse_keys(f"{ADMIN}\n{line}\n", max_keys=2)
    assert "by-mistake" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "line\n"])
def test_a_name_must_fit_a_line(name: str) -> None:
    with pytest.raises(KeyFileError):
        key_named(name, "trt_1", is_admin=False)


def test_a_token_is_found_and_no_other_text_is() -> None:
    ring = Keyring([USER, ADMIN])
    assert (ring.find("trt_1"), ring.find("trt_2")) == (USER, ADMIN)
    for other in ("", "trt_", "trt_3", "shop", USER.digest, "\udcff"):
        assert ring.find(other) is None
