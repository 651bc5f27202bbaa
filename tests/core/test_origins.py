import pytest

from gateway.core.origins import is_local, parse_origins, permits

LISTED = frozenset({"https://shop.example", "null"})


def test_a_list_is_read() -> None:
    assert parse_origins(" https://Shop.example/, http://[::1]:3000,*,null,, ") == {
        "https://shop.example",
        "http://[::1]:3000",
        "*",
        "null",
    }
    assert parse_origins("") == frozenset()


@pytest.mark.parametrize(
    "text", ["shop.example", "https://", "https://a/path", "https://user@shop.example", "http://[x"]
)
def test_what_is_no_origin_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_origins(f"https://shop.example,{text}")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("origin", "host", "only_local", "expected"),
    [
        ("https://shop.example", "127.0.0.1:8080", True, True),
        ("https://SHOP.example", "127.0.0.1:8080", True, True),
        ("http://shop.example", "127.0.0.1:8080", True, False),
        ("https://shop.example.evil.example", "127.0.0.1:8080", True, False),
        ("null", "127.0.0.1:8080", True, True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True, True),
        ("http://localhost:8080", "localhost:8080", True, True),
        ("http://127.0.0.1:9", "127.0.0.1:8080", True, False),
        ("http://evil.example:8080", "evil.example:8080", True, False),
        ("https://speech.example", "speech.example", False, True),
        ("https://other.example", "speech.example", False, False),
        ("", "", False, False),
        ("https://", "", False, False),
    ],
)
def test_who_may_call(origin: str, host: str, only_local: bool, expected: bool) -> None:
    assert permits(LISTED, origin, host, only_local=only_local) is expected


def test_everybody_may_where_the_list_says_so() -> None:
    assert permits(frozenset("*"), "https://any.example", "speech.example", only_local=True)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:80", True),
        ("127.8.8.8", True),
        ("[::1]:80", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("192.0.2.1", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_what_names_this_machine(host: str, expected: bool) -> None:
    assert is_local(host) is expected
