"""Chromium, without a screen, and a service for it to visit.

Where there is no Chromium with its driver, as Debian's packages chromium and chromium-driver have
them, these tests are skipped, and say so.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.serving import Server

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # Chromium has none for root, who runs tests in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("there is no Chromium here: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in (*_OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    with webdriver.Chrome(options=options, service=Service(driver)) as running:
        yield running


@pytest.fixture(scope="module")
def posterior(posterior_by_hand, make_customers):
    return posterior_by_hand(draws=500, fitted_to=make_customers(300), spend=True)


@pytest.fixture(scope="module")
def model(posterior, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("models") / "page.clv"
    posterior.save(path)
    return path


@pytest.fixture(scope="module")
def server(model) -> Iterator[Server]:
    with Server(model) as running:
        yield running
