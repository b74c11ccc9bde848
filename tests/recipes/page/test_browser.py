"""Pages in a real headless Chromium: they load, draw, stay within narrow windows, and can be used by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accelzoo.recipes.page.material import read_material
from accelzoo.recipes.page.page import make_page
from tests.recipes.page.browser import Browser, find_browser
from tests.recipes.page.places import HOSTILE, write_product_run
from tests.recipes.run_folders import write_run

pytest.importorskip("altair", reason="pages need the extra [plot]")
PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium")
PAGES = ("search", "product", "hostile", "release")
TAB, ENTER = 9, 13
# The width that the document takes beyond the window, and whatever sticks out of it.
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("pages")
    write_run(place / "search", done=12)
    write_product_run(place / "product")
    write_product_run(place / "hostile", HOSTILE)
    sources = {name: str(place / name) for name in PAGES} | {"release": "camera_accel"}
    found = {name: place / f"{name}.html" for name in PAGES}
    for name, path in found.items():
        path.write_text(make_page(read_material(sources[name])), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM) as started:
        yield started


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PAGES)
def test_every_chart_is_drawn_without_a_complaint_or_a_request(
    name: str, dark: bool, browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages[name], dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]
    charts, drawn = (browser.evaluate(f"document.querySelectorAll('{one}').length") for one in (".chart", ".chart svg"))
    assert charts == drawn > 0
    # A mark is a path of a group that Vega calls a mark; axes and legends have other roles.
    marks = "[...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('.role-mark path').length)"
    assert min(browser.evaluate(marks)) > 0
    colour = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") is not dark


@pytest.mark.parametrize("width", [390, 760])
@pytest.mark.parametrize("name", PAGES)
def test_narrow_windows_need_no_sideways_scrolling(
    name: str, width: int, browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages[name], width=width, height=800)
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.evaluate("window.innerWidth") == width
    assert browser.evaluate(OVERFLOW) <= 0
    sticking_out = (
        "[...document.querySelectorAll('.chart svg')].filter(s => s.getBoundingClientRect().right > innerWidth).length"
    )
    assert browser.evaluate(sticking_out) == 0


def test_texts_of_a_run_are_never_markup(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    assert browser.evaluate("window.hacked") is None
    assert browser.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    said = browser.evaluate("document.body.innerText")
    assert "</script><script>window.hacked=1</script>" in said
    assert "\x1b" not in browser.evaluate("document.documentElement.outerHTML")


def test_the_keyboard_reaches_content_theme_and_numbers(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["product"])
    focused = "document.activeElement.outerHTML.slice(0, 60)"
    browser.press("Tab", TAB)
    assert "Skip to the content" in browser.evaluate("document.activeElement.textContent")
    browser.press("Tab", TAB)
    assert 'id="theme"' in browser.evaluate(focused)
    before = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    marks = "getComputedStyle(document.querySelector('.chart .role-mark path')).fill"
    fill = browser.evaluate(marks)
    browser.press("Enter", ENTER)
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert browser.evaluate(marks) != fill  # charts follow the theme
    seen = set()
    for _ in range(60):
        browser.press("Tab", TAB)
        seen.add(browser.evaluate("document.activeElement.tagName"))
        if seen >= {"A", "SUMMARY", "DIV"}:
            break
    assert seen >= {"A", "SUMMARY", "DIV"}  # contents, numbers behind charts, boxes that scroll
    browser.evaluate("document.querySelector('summary').focus()")
    browser.press("Enter", ENTER)
    assert browser.evaluate("document.querySelector('details').open")


def test_pointing_at_the_front_shows_an_architecture(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["product"])
    browser.evaluate("document.querySelector('#front').scrollIntoView({behavior: 'instant'})")
    # The third layer holds the front's points.
    points = "document.querySelectorAll('#front .chart .role-mark.layer_2_marks path')"
    assert browser.evaluate(f"{points}.length") > 3
    x, y = browser.evaluate(
        f"(() => {{ const box = {points}[1].getBoundingClientRect(); return [box.x + box.width / 2, "
        "box.y + box.height / 2]; })()"
    )
    browser.hover(x - 30, y)
    browser.hover(x, y)
    shown = browser.evaluate(
        "new Promise(done => { const look = () => { const tip = document.getElementById('vg-tooltip-element'); "
        "tip && tip.classList.contains('visible') ? done(tip.innerText) : setTimeout(look, 50); }; look(); })"
    )
    assert "stem" in shown
    assert "ibn" in shown


def test_charts_and_boxes_have_names(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["release"])
    nameless = "[...document.querySelectorAll('.chart, .scroll')].filter(e => !e.getAttribute('aria-label')).length"
    assert browser.evaluate(nameless) == 0
    assert browser.evaluate("[...document.images].every(one => one.alt)")
    assert browser.evaluate("document.documentElement.lang") == "en"
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    links = browser.evaluate("[...document.querySelectorAll('nav a')].map(one => one.hash.slice(1))")
    assert links
    assert set(links) <= set(ids)


def test_print_is_dark_on_light(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["release"], dark=True)
    browser.call("Emulation.setEmulatedMedia", media="print",
                 features=[{"name": "prefers-color-scheme", "value": "dark"}])  # fmt: skip
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
