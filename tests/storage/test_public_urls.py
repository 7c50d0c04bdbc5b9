"""The URL under which a picture is shown."""

import pytest

from storage.public_urls import PublicUrls, encode_key

URLS = PublicUrls("https://project.supabase.co/", "https://gateway.example.com/", {"private"})


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("ai-images/a.png", "ai-images/a.png"),
        ("b/two words.png", "b/two%20words.png"),
        ("b/ü.png", "b/%C3%BC.png"),
        ("b/100%.png", "b/100%25.png"),
        ('b/"<>^`{|}\\.png', "b/%22%3C%3E%5E%60%7B%7C%7D%5C.png"),
        ("b/;,/?:@&=+$-_.!~*'()#", "b/;,/?:@&=+$-_.!~*'()#"),
        ("b/😀.png", "b/%F0%9F%98%80.png"),
    ],
)
def test_keys_are_written_as_javascripts_encode_uri_does(key: str, encoded: str) -> None:
    assert encode_key(key) == encoded
    assert URLS.of(key, "r", "t") == f"https://project.supabase.co/storage/v1/object/public/{encoded}"


def test_a_private_picture_has_an_address_of_the_gateway() -> None:
    assert URLS.of("private/a.png", "request", "token") == "https://gateway.example.com/api/ai-images/request/token"


@pytest.mark.parametrize(
    ("key", "private"),
    [("private/a.png", True), ("private", True), ("privateer/a.png", False), ("public/private/a.png", False)],
)
def test_the_bucket_is_the_whole_first_part(key: str, private: bool) -> None:
    assert URLS.is_private(key) is private
