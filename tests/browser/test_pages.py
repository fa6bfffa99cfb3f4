"""The pages as people meet them: in Chromium, light and dark, on a phone, and by keyboard."""

import json
import re

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.serving import Server

WINDOWS = {
    "light": (1100, 900, "light"),
    "dark": (1100, 900, "dark"),
    "phone": (360, 740, "light"),
    "dark phone": (360, 740, "dark"),
}
TOKEN = "a-token-that-is-long"
PALE = re.compile(r"rgba?\((\d+), (\d+), (\d+)")


@pytest.fixture
def visit(chromium):
    """Open a page in a window of some size and scheme; at the end, nothing may have been logged."""

    def opened(server, path="/", window="light"):
        width, height, scheme = WINDOWS[window]
        colours = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": colours})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get(f"http://127.0.0.1:{server.port}{path}")
        return chromium

    yield opened
    assert chromium.get_log("browser") == []


def find(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def find_all(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def wait(page, condition):
    WebDriverWait(page, 15, 0.05).until(lambda _: condition())


def ask(page, **fields):
    for name, value in fields.items():
        field = find(page, f"[name={name}]")
        field.clear()
        field.send_keys(value)
    find(page, "#ask button").click()
    wait(page, lambda: find_all(page, "#answer dl, #customer .error:not(:empty)"))


def ink(page, canvas):
    """How many pixels of a canvas hold something, and the colour of most of those."""
    return page.execute_script(
        """
        const {width, height} = arguments[0];
        const {data} = arguments[0].getContext("2d").getImageData(0, 0, width, height);
        const counts = new Map();
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) {
          const colour = `${data[i]},${data[i + 1]},${data[i + 2]}`;
          counts.set(colour, (counts.get(colour) ?? 0) + 1);
        }
        const most = [...counts].sort((a, b) => b[1] - a[1])[0];
        return [[...counts.values()].reduce((a, b) => a + b, 0), most?.[0]];
        """,
        canvas,
    )


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_keeps_the_rules_of_accessibility_and_fits_its_window(visit, server, path, window):
    page = visit(server, path, window)
    if path == "/":
        ask(page)
    found = Axe().run(page)
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 15
    assert page.execute_script("return document.documentElement.scrollWidth") <= WINDOWS[window][0]


@pytest.mark.parametrize("window", WINDOWS)
def test_every_chart_is_drawn_in_the_colours_of_the_scheme(visit, server, window):
    page = visit(server, "/", window)
    ask(page)
    canvases = find_all(page, "canvas")
    assert len(canvases) == 4
    for canvas in canvases:
        assert canvas.is_displayed()
        assert ink(page, canvas)[0] > 300
        assert len(canvas.get_attribute("aria-label")) > 20
    names = ("--alive", "--buys", "--risk", "--text")
    style = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])"
    back = luminance(page.execute_script(style, "--page"))
    for name in names:
        front = luminance(page.execute_script(style, name))
        assert (max(front, back) + 0.05) / (min(front, back) + 0.05) > 4.5


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2 defines it."""
    parts = (int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_charts_follow_when_the_scheme_changes(visit, server, chromium):
    page = visit(server)
    picture = "return document.querySelector('canvas').toDataURL()"
    before = page.execute_script(picture)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    wait(page, lambda: page.execute_script(picture) != before)


def test_the_table_says_what_the_route_answers(visit, server):
    page = visit(server)
    told = {
        row["segment"]: (f"{row['customers']:,}", f"{row['buys_again']:.0%}")
        for row in server.get("/v1/segments")["data"]["segments"]
    }
    shown = {}
    for row in find_all(page, "#segment-table tbody tr"):
        name, customers, _, buys, *_ = row.find_elements(By.CSS_SELECTOR, "th, td")
        shown[name.text] = (customers.text, buys.text.split("\n")[0])
    assert shown == told
    assert len(shown) == 3


def test_the_answer_about_a_customer_is_that_of_the_route(visit, server):
    page = visit(server)
    ask(page, frequency="4", recency="100", T="160", horizon_days="60", monetary_value="20")
    customer = b'{"frequency": 4, "recency": 100, "T": %d, "monetary_value": 20, "segment": %s}'
    rows = [customer % (160, b"null")]
    rows += [customer % (160 + day, b'"in between"') for day in (0, 60, 120)]
    body = b'{"customers": [%s], "horizon_days": 60, "value": {}}' % b",".join(rows)
    headers = {"Content-Type": "application/json"}
    status, _, content = server.request("POST", "/v1/predictions", body, headers)
    assert status == 200, content
    now, *silent = json.loads(content)["data"]["predictions"]
    assert now["segment"] == "in between"
    figures = [cell.text.split("\n") for cell in find_all(page, "#answer dd")]
    for name, write, (mean, interval) in zip(
        ("prob_alive", "prob_purchase", "expected_purchases", "expected_spend", "expected_value"),
        ("{:.0%}", "{:.0%}", "{:.2f}", "{:.2f}", "{:,.2f}"),
        figures,
        strict=True,
    ):
        told = now[name]
        assert mean == write.format(told["mean"])
        assert interval == "–".join(write.format(told[end]) for end in ("lower", "upper"))

    find(page, "#silence summary").click()
    curve = {
        cells[0].text: cells[1].text
        for row in find_all(page, "#silence tbody tr")
        for cells in [row.find_elements(By.CSS_SELECTOR, "th, td")]
    }
    assert len(curve) == 61
    for day, told in zip((0, 60, 120), silent, strict=True):
        assert curve[str(day)].startswith(f"{told['prob_alive']['mean']:.0%} (")
    sentence = find(page, "#silence figcaption").text
    assert sentence.startswith(f"P(alive) is {now['prob_alive']['mean']:.0%} today")


def test_silence_only_lowers_the_curve(visit, server):
    """The segment stays that of today: a change of segment would make the curve jump."""
    page = visit(server)
    ask(page, frequency="2", recency="30", T="40", horizon_days="300")
    find(page, "#silence summary").click()
    rows = find_all(page, "#silence tbody tr")
    cells = [row.find_elements(By.TAG_NAME, "td") for row in rows]
    shares = [[int(re.search(r"\d+", cell.text)[0]) for cell in row] for row in cells]
    for column in zip(*shares, strict=True):
        assert list(column) == sorted(column, reverse=True)
    assert shares[-1][0] < shares[0][0]


@pytest.mark.parametrize(
    ("fields", "name", "words"),
    [
        ({"T": "20"}, "T", "must be at least recency (90"),
        ({"frequency": "many"}, "frequency", "must be a whole number from 0 to"),
        ({"frequency": "2.5"}, "frequency", "not 2.5"),
        ({"recency": " "}, "recency", "is missing"),
        ({"horizon_days": "0"}, "horizon_days", "must be a number of days above 0"),
        ({"monetary_value": "-1"}, "monetary_value", "must be a number from 0 to"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(visit, server, fields, name, words, chromium):
    page = visit(server)
    ask(page, **fields)
    field = find(page, f"[name={name}]")
    assert words in find(page, f"#{name}-error").text
    assert field.get_attribute("aria-invalid") == "true"
    assert f"{name}-error" in field.get_attribute("aria-describedby")
    assert page.switch_to.active_element == field
    refused = chromium.get_log("browser")  # Chromium notes every answer of status 422
    assert [entry["source"] for entry in refused] == ["network"]
    ask(page, frequency="3", recency="90", T="150", horizon_days="90", monetary_value="7")
    assert find_all(page, "#customer .error:not(:empty), [aria-invalid]") == []


def test_a_customer_who_bought_once_is_explained(visit, server):
    page = visit(server)
    ask(page, frequency="0", recency="0", T="60")
    assert "read the probability of a purchase" in find(page, "#answer .notice").text


def test_all_can_be_done_by_keyboard(visit, server):
    page = visit(server)

    def press(*keys):
        ActionChains(page).send_keys(*keys).perform()
        return page.switch_to.active_element

    first = press(Keys.TAB)
    assert first.text == "Skip to the content"
    assert first.location["x"] >= 0
    press(Keys.ENTER)
    reached = [press(Keys.TAB) for _ in range(6)]
    names = [
        each.get_dom_attribute(kind)
        for each in reached
        for kind in ("href", "aria-labelledby", "name")
        if each.get_dom_attribute(kind)
    ]
    assert names == ["#health", "segments-caption", "pairs-1", "pairs-2", "frequency", "recency"]
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.execute_script(outline) == "solid"
    press(Keys.ENTER)
    wait(page, lambda: find_all(page, "#answer dl"))


def test_a_token_is_asked_for_kept_in_the_tab_and_sent(visit, model, chromium):
    with Server(model, environment={"BAYES_CLV_TOKEN": TOKEN}) as server:
        page = visit(server)
        assert [rule["id"] for rule in Axe().run(page)["violations"]] == []
        field = find(page, "#token")
        field.send_keys("not-the-token-at-all", Keys.ENTER)
        wait(page, lambda: find_all(page, "#token-error:not(:empty)"))
        assert "does not accept this token" in find(page, "#token-error").text
        field.clear()
        field.send_keys(TOKEN, Keys.ENTER)
        wait(page, lambda: find_all(page, "#segment-table"))
        assert ink(page, find(page, "canvas"))[0] > 300
        ask(page)
        assert len(find_all(page, "#answer dd")) == 5
        page.refresh()
        wait(page, lambda: find_all(page, "#segment-table"))
        assert page.execute_script("return [document.cookie, localStorage.length]") == ["", 0]
        refused = chromium.get_log("browser")
        assert ["401" in entry["message"] for entry in refused] == [True]
