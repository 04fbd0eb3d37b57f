"""Pictures are well-formed, and show which side is better."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.picture import Bar, bars, curves

SVG = "{http://www.w3.org/2000/svg}"


def test_a_bar_begins_in_the_middle_and_goes_to_the_right_where_ours_is_better() -> None:
    picture = ElementTree.fromstring(bars("a & b", [Bar("four times", 4, "<ours>"), Bar("a quarter", 0.25, "")]))
    better, worse = [each for each in picture.iter(f"{SVG}rect") if each.get("height") == "12"]
    assert float(better.get("x", 0)) == float(worse.get("x", 0)) + float(worse.get("width", 0))
    assert better.get("width") == worse.get("width")


def test_a_bar_of_any_length_stays_in_the_picture() -> None:
    picture = ElementTree.fromstring(bars("far", [Bar("a million times", 1e6, ""), Bar("a millionth", 1e-6, "")]))
    drawn = [each for each in picture.iter(f"{SVG}rect") if each.get("height") == "12"]
    assert all(0 <= float(each.get("x", 0)) + float(each.get("width", 0)) <= 1000 for each in drawn)


def test_a_curve_rises_with_its_values() -> None:
    picture = ElementTree.fromstring(curves("DEL", "routes", "ms", {"ours": [(0, 4), (100, 8)], "flat": [(0, 4)]}))
    rising = next(picture.iter(f"{SVG}polyline")).get("points", "")
    (_, low), (_, high) = (map(float, point.split(",")) for point in rising.split())
    assert high < low  # y grows downwards
