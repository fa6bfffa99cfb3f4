"""The committed notebooks are what their scripts say, and the scripts still run."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

jupytext = pytest.importorskip("jupytext", reason="the notebooks' extra is not installed")
nbclient = pytest.importorskip("nbclient", reason="the notebooks' extra is not installed")
nbformat = pytest.importorskip("nbformat", reason="the notebooks' extra is not installed")

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
MAX_BYTES = 800_000

every_notebook = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def read(script: Path):
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def outputs(notebook):
    return [it for cell in notebook.cells if cell.cell_type == "code" for it in cell.outputs]


def test_there_are_notebooks_and_each_has_its_script():
    assert len(SCRIPTS) == 6
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@every_notebook
def test_the_notebook_holds_the_cells_of_its_script(script):
    def cells(notebook):
        return [(cell.cell_type, cell.source) for cell in notebook.cells]

    assert cells(read(script)) == cells(jupytext.read(script))


@every_notebook
def test_the_notebook_was_run_from_top_to_bottom_without_an_error(script):
    notebook = read(script)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert [it for it in outputs(notebook) if it.output_type == "error"] == []


@every_notebook
def test_the_notebook_shows_a_figure_and_a_table_and_stays_small(script):
    shown = {kind for it in outputs(read(script)) for kind in it.get("data", {})}
    assert {"image/png", "text/html"} <= shown
    assert script.with_suffix(".ipynb").stat().st_size < MAX_BYTES


@every_notebook
def test_the_notebook_names_no_path_of_the_machine_it_ran_on(script):
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    for folder in (str(Path.home()), str(FOLDER.parent), "site-packages"):
        assert folder not in text


@every_notebook
def test_the_notebook_opens_with_a_question_and_closes_with_what_was_found(script):
    cells = jupytext.read(script).cells
    assert cells[0].source.splitlines()[0].endswith("?")
    assert cells[-1].source.startswith("## What was found")


@pytest.fixture(scope="module")
def executed():
    """Each script's notebook, run from its folder on the sample: two at a time, from the start."""
    environment = os.environ | {"BAYES_CLV_FAST": "1", "PYTHONPATH": str(FOLDER.parent)}

    def execute(script):
        client = nbclient.NotebookClient(
            jupytext.read(script),
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": str(FOLDER)}},
        )
        return client.execute(env=environment)

    with ThreadPoolExecutor(2) as pool:
        yield {script: pool.submit(execute, script) for script in SCRIPTS}


@pytest.mark.long
@every_notebook
def test_the_script_runs_from_its_folder_on_the_sample(script, executed):
    notebook = executed[script].result()
    figures = [
        it.data["image/png"] for it in outputs(notebook) if "image/png" in it.get("data", {})
    ]
    assert figures
    for figure in figures:
        pixels = plt.imread(BytesIO(base64.b64decode(figure)))[..., :3]
        assert (pixels.min(axis=2) < 0.9).mean() > 0.005, "a figure with nothing on it"
